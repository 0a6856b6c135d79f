/* tests/test_text_parts.c - tokenizers made of what GGUF metadata hold, against llama.cpp's own cases, and
 * tokenizers taken apart and put together again.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "file/file.h"
#include "text/text.h"

static char line[1024];
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct sp_err err = { 0 };                                                                                     \
        enum sp_status st_ = (call);                                                                                   \
        if (st_)                                                                                                       \
            fail_msg("%s: %s", #call, sp_err_line(&err, line, sizeof line));                                           \
    } while (0)

static const char *shared(const char *name, char *buf, size_t cap)
{
    const char *root = getenv("SPARSAM_SHARED");
    snprintf(buf, cap, "%s/data/tokenizers/%s", root ? root : "../shared", name);
    return access(buf, R_OK) == 0 ? buf : NULL;
}

/* ---- the metadata of a GGUF file that is known to be sound ---- */
struct reader {
    const unsigned char *at;
    struct sp_arena mem;
    struct sp_token_parts parts;
};

static uint64_t number(struct reader *r, size_t bytes)
{
    uint64_t v = 0;
    memcpy(&v, r->at, bytes);
    r->at += bytes;
    return v;
}

static struct sp_slice string(struct reader *r)
{
    size_t n = (size_t)number(r, 8);
    struct sp_slice s = { (const char *)r->at, n };
    r->at += n;
    return s;
}

static const size_t sizes[] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
enum { STRING = 8, ARRAY = 9 };

static void array(struct reader *r, const char *key)
{
    uint32_t type = (uint32_t)number(r, 4);
    size_t n = (size_t)number(r, 8);
    struct sp_slice *list = sp_arena_take(&r->mem, (n + 1) * sizeof *list);
    void *plain = sp_arena_take(&r->mem, n * 8 + 8);
    for (size_t i = 0; i < n; i++) {
        if (type == STRING)
            list[i] = string(r);
        else {
            memcpy((char *)plain + i * sizes[type], r->at, sizes[type]);
            r->at += sizes[type];
        }
    }
    if (strcmp(key, "tokenizer.ggml.tokens") == 0) {
        r->parts.token = list;
        r->parts.n_tokens = (int32_t)n;
    } else if (strcmp(key, "tokenizer.ggml.merges") == 0) {
        r->parts.merge = list;
        r->parts.n_merges = (int32_t)n;
    } else if (strcmp(key, "tokenizer.ggml.scores") == 0)
        r->parts.score = plain;
    else if (strcmp(key, "tokenizer.ggml.token_type") == 0)
        r->parts.type = plain;
}

static void scalar(struct reader *r, const char *key, uint64_t v)
{
    static const struct {
        const char *key;
        size_t at;
    } ids[] = { { "bos_token_id", offsetof(struct sp_token_parts, bos) },
                { "eos_token_id", offsetof(struct sp_token_parts, eos) },
                { "unknown_token_id", offsetof(struct sp_token_parts, unk) },
                { "seperator_token_id", offsetof(struct sp_token_parts, sep) } },
      flags[] = { { "add_bos_token", offsetof(struct sp_token_parts, add_bos) },
                  { "add_eos_token", offsetof(struct sp_token_parts, add_eos) },
                  { "add_space_prefix", offsetof(struct sp_token_parts, add_space_prefix) } };
    if (strncmp(key, "tokenizer.ggml.", 15) != 0)
        return;
    for (size_t i = 0; i < SP_COUNT(ids); i++)
        if (strcmp(key + 15, ids[i].key) == 0)
            *(int32_t *)((char *)&r->parts + ids[i].at) = (int32_t)v;
    for (size_t i = 0; i < SP_COUNT(flags); i++)
        if (strcmp(key + 15, flags[i].key) == 0)
            *((int8_t *)&r->parts + flags[i].at) = (int8_t)v;
}

static void read_gguf(struct reader *r, const struct sp_text *file)
{
    r->at = (const unsigned char *)file->at + 16;
    sp_token_parts_init(&r->parts);
    for (uint64_t n = number(r, 8); n; n--) {
        struct sp_slice k = string(r);
        const char *key = sp_arena_printf(&r->mem, "%.*s", (int)k.n, k.at);
        uint32_t type = (uint32_t)number(r, 4);
        if (type == ARRAY)
            array(r, key);
        else if (type == STRING) {
            struct sp_slice s = string(r);
            const char *text = sp_arena_printf(&r->mem, "%.*s", (int)s.n, s.at);
            if (strcmp(key, "tokenizer.ggml.model") == 0)
                r->parts.model = text;
            else if (strcmp(key, "tokenizer.ggml.pre") == 0)
                r->parts.pre = text;
        } else
            scalar(r, key, number(r, sizes[type]));
    }
}

/* ---- llama.cpp's cases: texts between marks, their ids a line each ---- */
static bool same_ids(const struct sp_ids *got, const char *want)
{
    char *end;
    size_t i = 0;
    for (;; i++, want = end) {
        long v = strtol(want, &end, 10);
        if (end == want || *want == '\n')
            break;
        if (i >= got->n || got->at[i] != v)
            return false;
        if (*end == '\n')
            return i + 1 == got->n;
    }
    return i == got->n;
}

static int run_cases(struct sp_tokenizer *t, const char *name, int *cases)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[256], buf[512];
    struct sp_text in = { 0 }, out = { 0 };
    int bad = 0;
    snprintf(path, sizeof path, "gguf_vocab/ggml-vocab-%s.gguf.inp", name);
    OK(sp_read_file(&in, shared(path, buf, sizeof buf), 1 << 20, &err));
    snprintf(path, sizeof path, "gguf_vocab/ggml-vocab-%s.gguf.out", name);
    OK(sp_read_file(&out, shared(path, buf, sizeof buf), 1 << 20, &err));
    const char *want = out.at;
    for (const char *s = in.at, *end; s && *s && want && *want; s = end ? end + sizeof mark - 1 : NULL) {
        end = strstr(s, mark);
        struct sp_ids ids = { 0 };
        OK(sp_tokenizer_encode(t, s, end ? (size_t)(end - s) : strlen(s), false, &ids, &err));
        const char *next = strchr(want, '\n');
        if (!same_ids(&ids, want)) {
            print_error("%s: \"%.*s\"\n", name, (int)(end ? end - s : 40), s);
            bad++;
        }
        ++*cases;
        want = next ? next + 1 : NULL;
        sp_ids_clear(&ids);
    }
    sp_text_clear(&in);
    sp_text_clear(&out);
    return bad;
}

static void test_gguf(void **state)
{
    (void)state;
    static const char *const names[] = { "bert-bge", "gpt-2", "llama-spm" };
    int bad = 0, cases = 0;
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        char path[256], buf[512];
        struct sp_text file = { 0 };
        struct reader r = { 0 };
        struct sp_tokenizer *t = NULL;
        snprintf(path, sizeof path, "gguf_vocab/ggml-vocab-%s.gguf", names[i]);
        if (!shared(path, buf, sizeof buf))
            skip();
        OK(sp_read_file(&file, buf, 1 << 24, &err));
        read_gguf(&r, &file);
        OK(sp_tokenizer_from_parts(&t, &r.parts, &err));
        bad += run_cases(t, names[i], &cases);
        sp_tokenizer_free(t);
        sp_arena_clear(&r.mem);
        sp_text_clear(&file);
    }
    print_message("%d of llama.cpp's cases\n", cases);
    assert_int_equal(bad, 0);
    assert_true(cases >= 100);
}

/* ---- apart and together ---- */
static void same_tokens(struct sp_tokenizer *a, struct sp_tokenizer *b, const char *s, size_t n)
{
    struct sp_ids x = { 0 }, y = { 0 };
    struct sp_text p = { 0 }, q = { 0 };
    OK(sp_tokenizer_encode(a, s, n, true, &x, &err));
    OK(sp_tokenizer_encode(b, s, n, true, &y, &err));
    if (x.n != y.n || (x.n && memcmp(x.at, y.at, x.n * sizeof *x.at) != 0))
        fail_msg("other tokens for \"%.*s\"", (int)n, s);
    OK(sp_tokenizer_decode(a, x.at, x.n, true, &p, &err));
    OK(sp_tokenizer_decode(b, y.at, y.n, true, &q, &err));
    if (p.n != q.n || (p.n && memcmp(p.at, q.at, p.n) != 0))
        fail_msg("other text from \"%.*s\"", (int)n, s);
    sp_ids_clear(&x);
    sp_ids_clear(&y);
    sp_text_clear(&p);
    sp_text_clear(&q);
}

static struct sp_tokenizer *again(const struct sp_tokenizer *t, const char *model, const char *pre)
{
    struct sp_arena mem = { 0 };
    struct sp_token_parts parts;
    struct sp_tokenizer *out = NULL;
    OK(sp_tokenizer_to_parts(t, &parts, &mem, &err));
    assert_string_equal(parts.model, model);
    assert_string_equal(parts.pre, pre);
    OK(sp_tokenizer_from_parts(&out, &parts, &err));
    assert_int_equal(sp_tokenizer_vocab(out), sp_tokenizer_vocab(t));
    assert_int_equal(sp_tokenizer_adds_bos(out), sp_tokenizer_adds_bos(t));
    sp_arena_clear(&mem);
    return out;
}

static void same_golden(struct sp_tokenizer *a, struct sp_tokenizer *b, const char *name, int *cases)
{
    char buf[512];
    struct sp_text file = { 0 };
    OK(sp_read_file(&file, shared("golden.jsonl", buf, sizeof buf), 1 << 24, &err));
    for (char *s = file.at, *end; s < file.at + file.n; s = end + 1) {
        json_t *j = NULL;
        end = strchr(s, '\n');
        OK(sp_json_parse(&j, s, (size_t)(end - s), "golden", &err));
        const json_t *text = json_object_get(j, "text");
        if (strcmp(json_string_value(json_object_get(j, "tokenizer")), name) == 0) {
            same_tokens(a, b, json_string_value(text), json_string_length(text));
            ++*cases;
        }
        json_decref(j);
    }
    sp_text_clear(&file);
}

static void test_round(void **state)
{
    (void)state;
    static const struct {
        const char *name, *model, *pre, *cases;
    } all[] = {
        { "gpt2", "gpt2", "gpt-2", "gpt-2" },           { "llama2", "llama", "default", "llama-spm" },
        { "llama3", "gpt2", "llama-bpe", "llama-bpe" }, { "qwen3", "gpt2", "qwen2", "qwen2" },
        { "pythia_neox20b", "gpt2", "mpt", NULL },      { "bert_base_uncased", "bert", "default", "bert-bge" },
    };
    int cases = 0, bad = 0;
    for (size_t i = 0; i < SP_COUNT(all); i++) {
        char path[256], buf[512];
        snprintf(path, sizeof path, "%s/tokenizer.json", all[i].name);
        if (!shared(path, buf, sizeof buf))
            skip();
        struct sp_tokenizer *t = NULL, *b = NULL;
        OK(sp_tokenizer_load(&t, buf, &err));
        b = again(t, all[i].model, all[i].pre);
        same_golden(t, b, all[i].name, &cases);
        if (all[i].cases)
            bad += run_cases(b, all[i].cases, &cases);
        sp_tokenizer_free(t);
        sp_tokenizer_free(b);
    }
    print_message("%d texts through tokenizers taken apart and put together\n", cases);
    assert_int_equal(bad, 0);
}

/* ---- small vocabularies, worked out by hand ---- */
#define SLICE(s)                                                                                                       \
    {                                                                                                                  \
        s, sizeof(s) - 1                                                                                               \
    }

static void ids_are(struct sp_tokenizer *t, const char *text, const int32_t *want, size_t n)
{
    struct sp_ids ids = { 0 };
    OK(sp_tokenizer_encode(t, text, strlen(text), true, &ids, &err));
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.at, want, n * sizeof *want);
    sp_ids_clear(&ids);
}

/* "ab" has the better score, so "abc" is ab+c; "bc" alone is joined. */
static void test_scores(void **state)
{
    (void)state;
    static const struct sp_slice token[] = { SLICE("<unk>"), SLICE("<s>"), SLICE("</s>"),         SLICE("a"),
                                             SLICE("b"),     SLICE("c"),   SLICE("\xe2\x96\x81"), SLICE("bc"),
                                             SLICE("ab"),    SLICE("<x>") };
    static const float score[] = { 0, 0, 0, -9, -9, -9, -9, -2, -1, 0 };
    static const int32_t type[] = { 2, 3, 3, 1, 1, 1, 1, 1, 1, 4 };
    struct sp_token_parts p;
    struct sp_tokenizer *t = NULL;
    sp_token_parts_init(&p);
    p.model = "llama";
    p.n_tokens = (int32_t)SP_COUNT(token);
    p.token = token;
    p.score = score;
    p.type = type;
    OK(sp_tokenizer_from_parts(&t, &p, &err));
    ids_are(t, "abc", (int32_t[]){ 1, 6, 8, 5 }, 4);
    ids_are(t, "bc<x>b?", (int32_t[]){ 1, 6, 7, 9, 6, 4, 0 }, 7);
    sp_tokenizer_free(t);
}

/* Pieces of T5's kind: the way with the highest sum, not the longest piece. */
static void test_unigram(void **state)
{
    (void)state;
    static const struct sp_slice token[] = { SLICE("<pad>"),
                                             SLICE("</s>"),
                                             SLICE("<unk>"),
                                             SLICE("\xe2\x96\x81"),
                                             SLICE("a"),
                                             SLICE("b"),
                                             SLICE("\xe2\x96\x81"
                                                   "ab"),
                                             SLICE("abb"),
                                             SLICE("bb") };
    static const float score[] = { 0, 0, 0, -2, -3, -3, -2.5f, -9, -1 };
    static const int32_t type[] = { 3, 3, 2, 1, 1, 1, 1, 1, 1 };
    struct sp_token_parts p;
    struct sp_tokenizer *t = NULL;
    sp_token_parts_init(&p);
    p.model = "t5";
    p.n_tokens = (int32_t)SP_COUNT(token);
    p.token = token;
    p.score = score;
    p.type = type;
    OK(sp_tokenizer_from_parts(&t, &p, &err));
    ids_are(t, "ab", (int32_t[]){ 6, 1 }, 2);
    ids_are(t, "abb", (int32_t[]){ 6, 5, 1 }, 3);
    ids_are(t, "  bb   xyb", (int32_t[]){ 3, 8, 3, 2, 5, 1 }, 6);
    sp_tokenizer_free(again(t, "t5", "default"));
    sp_tokenizer_free(t);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct sp_slice token[] = { SLICE("a"), SLICE("b"), SLICE("a") },
                                 merge[] = { SLICE("a"), SLICE("a c") };
    static const float score[] = { 0, __builtin_inff(), 0 };
    static const struct {
        const char *model, *pre;
        int32_t n, merges;
        bool scores;
        enum sp_status status;
        const char *says;
    } cases[] = {
        { NULL, NULL, 2, 0, false, SP_UNSUPPORTED, "model" },
        { "rwkv", NULL, 2, 0, false, SP_UNSUPPORTED, "rwkv" },
        { "gpt2", "nobody's", 2, 0, false, SP_UNSUPPORTED, "nobody's" },
        { "gpt2", "gpt-2", 3, 0, false, SP_FORMAT, "twice" },
        { "gpt2", "gpt-2", 2, 1, false, SP_FORMAT, "merge 0" },
        { "gpt2", NULL, 0, 0, false, SP_LIMIT, "token numbers" },
        { "llama", NULL, 2, 0, false, SP_FORMAT, "scores" },
        { "llama", NULL, 2, 0, true, SP_FORMAT, "finite" },
        { "llama", NULL, 1, 0, true, SP_FORMAT, "bos" },
    };
    uint64_t live = sp_mem_live();
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        struct sp_token_parts p;
        struct sp_tokenizer *t = NULL;
        struct sp_err err = { 0 };
        sp_token_parts_init(&p);
        p.model = cases[i].model;
        p.pre = cases[i].pre;
        p.n_tokens = cases[i].n;
        p.token = token;
        p.score = cases[i].scores ? score : NULL;
        p.n_merges = cases[i].merges;
        p.merge = merge;
        enum sp_status st = sp_tokenizer_from_parts(&t, &p, &err);
        if (st != cases[i].status || !strstr(err.what, cases[i].says))
            fail_msg("case %zu gives %d, \"%s\"", i, st, err.what);
        assert_null(t);
    }
    assert_int_equal(sp_mem_live(), live);
    print_message("%zu vocabularies refused\n", SP_COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores), cmocka_unit_test(test_unigram), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_gguf),   cmocka_unit_test(test_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
