/* tests/test_text.c - tokenizers against other people's: Hugging Face's tokenizers,
 * llama2.c, and a published training reference; round trips; hostile files.
 *
 * Golden cases that need the large vocabularies are read from the shared data where
 * it is there; small ones stand here.
 *
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
    snprintf(buf, cap, "%s/data/%s", root ? root : "../shared", name);
    return access(buf, R_OK) == 0 ? buf : NULL;
}

static void encode(struct sp_tokenizer *t, const char *text, size_t n, bool special, struct sp_ids *out)
{
    struct sp_err err = { 0 };
    if (sp_tokenizer_encode(t, text, n, special, out, &err))
        fail_msg("%s", sp_err_line(&err, line, sizeof line));
}

static bool same_ids(const struct sp_ids *got, const json_t *want)
{
    bool same = got->n == json_array_size(want);
    for (size_t i = 0; i < got->n && same; i++)
        same = got->at[i] == json_integer_value(json_array_get(want, i));
    return same;
}

/* ---- golden cases of other implementations ---- */
struct golden {
    const char *name, *file;
    struct sp_tokenizer *t;
    int run;
};

static int golden_case(struct golden *g, const json_t *j)
{
    const char *text = json_string_value(json_object_get(j, "text")), *id = json_string_value(json_object_get(j, "id"));
    const json_t *decoded = json_object_get(j, "decoded");
    size_t n = json_string_length(json_object_get(j, "text"));
    struct sp_ids plain = { 0 }, full = { 0 };
    struct sp_text back = { 0 };
    int bad = 0;
    encode(g->t, text, n, false, &plain);
    encode(g->t, text, n, true, &full);
    if (!same_ids(&plain, json_object_get(j, "ids")) || !same_ids(&full, json_object_get(j, "ids_with_special"))) {
        print_error("%s/%s: other ids\n", g->name, id);
        bad++;
    }
    OK(sp_tokenizer_decode(g->t, plain.at, plain.n, false, &back, &err));
    if (json_is_string(decoded) && (back.n != json_string_length(decoded) ||
                                    (back.n && memcmp(back.at, json_string_value(decoded), back.n) != 0))) {
        print_error("%s/%s: decoded \"%.*s\"\n", g->name, id, (int)back.n, back.at);
        bad++;
    }
    g->run++;
    sp_ids_clear(&plain);
    sp_ids_clear(&full);
    sp_text_clear(&back);
    return bad;
}

static void test_golden(void **state)
{
    (void)state;
    struct golden all[] = {
        { .name = "gpt2", .file = "tokenizers/gpt2" },
        { .name = "llama2", .file = "tokenizers/llama2" },
        { .name = "llama3", .file = "tokenizers/llama3/tokenizer.json" },
        { .name = "qwen3", .file = "tokenizers/qwen3" },
        { .name = "pythia_neox20b", .file = "tokenizers/pythia_neox20b" },
        { .name = "bert_base_uncased", .file = "tokenizers/bert_base_uncased" },
        { .name = "stories260K_tok512", .file = "models/stories260K/tok512.bin" },
    };
    char buf[512];
    const char *path = shared("tokenizers/golden.jsonl", buf, sizeof buf);
    if (!path)
        skip();
    struct sp_text file = { 0 };
    int bad = 0, run = 0, skipped = 0;
    OK(sp_read_file(&file, path, 1 << 24, &err));
    for (size_t i = 0; i < SP_COUNT(all); i++) {
        char where[512];
        if (shared(all[i].file, where, sizeof where))
            OK(sp_tokenizer_load(&all[i].t, where, &err));
    }
    for (char *s = file.at, *end; s < file.at + file.n; s = end + 1) {
        end = strchr(s, '\n');
        json_t *j = NULL;
        struct golden *g = NULL;
        OK(sp_json_parse(&j, s, (size_t)(end - s), "golden", &err));
        for (size_t i = 0; i < SP_COUNT(all); i++)
            if (strcmp(all[i].name, json_string_value(json_object_get(j, "tokenizer"))) == 0 && all[i].t)
                g = &all[i];
        if (g)
            bad += golden_case(g, j);
        run += g != NULL;
        skipped += !g;
        json_decref(j);
    }
    print_message("golden: %d cases of %zu tokenizers, %d skipped (not here)\n", run, SP_COUNT(all), skipped);
    for (size_t i = 0; i < SP_COUNT(all); i++)
        sp_tokenizer_free(all[i].t);
    sp_text_clear(&file);
    assert_int_equal(bad, 0);
    assert_true(run >= 100);
}

/* ---- the patterns, by cases of the three models (small: they stand here) ---- */
static const struct {
    const char *name, *pattern, *text, *pieces;
} splits[] = {
    { "gpt2", NULL, "Hello, world! I'll go", "Hello|,| world|!| I|'ll| go" },
    { "gpt2", NULL, "a  b\n\n c\t", "a| | b|\n\n| c|\t" },
    { "gpt2", NULL, "x = 12345;  ", "x| =| 12345|;|  " },
    { "gpt2", NULL,
      "Stra\xc3\x9f"
      "e \xe4\xb8\xad\xe6\x96\x87 'S",
      "Stra\xc3\x9f"
      "e| \xe4\xb8\xad\xe6\x96\x87| '|S" },
    { "llama3", "\\p{N}{1,3}", "12345 'LL \n\n x", "123|45| '|LL| \n\n| x" },
    { "llama3", "\\p{N}{1,3}", "it'S(foo)\r\n end", "it|'S|(foo|)\r\n| end" },
    { "llama3", "\\p{N}{1,3}",
      "x'\xc5\xbf"
      "abc",
      "x|'\xc5\xbf|abc" },
    { "qwen2", "\\p{N}", "a1234 b", "a|1|2|3|4| b" },
};

/* A tokenizer that has every one of `pieces` in its vocabulary and ignore_merges, so each piece is one token. */
static struct sp_tokenizer *splitting(const char *pattern, const char *pieces)
{
    static const char head[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|",
                      tail[] = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    struct sp_tokenizer *bytes = NULL, *t = NULL;
    char path[] = "/tmp/test_text_XXXXXX", *words = sp_strdup(pieces);
    int fd = mkstemp(path);
    json_t *j = NULL;
    OK(sp_tokenizer_bytes(&bytes, NULL, &err));
    OK(sp_tokenizer_save(bytes, path, &err));
    OK(sp_json_read(&j, path, 1 << 20, &err));
    json_t *model = json_object_get(j, "model"), *vocab = json_object_get(model, "vocab");
    json_object_set_new(model, "ignore_merges", json_true());
    json_t *split = json_object();
    char full[512];
    snprintf(full, sizeof full, "%s%s%s", head, pattern ? pattern : "", tail);
    json_object_set_new(split, "type", json_string("Split"));
    json_object_set_new(split, "behavior", json_string("Isolated"));
    json_object_set_new(
        split, "pattern",
        json_pack("{s:s}", "Regex",
                  pattern ? full
                          : "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"));
    json_object_set_new(j, "pre_tokenizer",
                        json_pack("{s:s, s:[o, {s:s, s:b, s:b}]}", "type", "Sequence", "pretokenizers", split, "type",
                                  "ByteLevel", "add_prefix_space", 0, "use_regex", 0));
    int next = 256;
    for (char *save = NULL, *w = strtok_r(words, "|", &save); w; w = strtok_r(NULL, "|", &save)) {
        char name[256] = "";
        for (const char *s = w; *s; s++) { /* the byte's own name from the saved vocabulary */
            const char *key;
            json_t *v;
            json_object_foreach(vocab, key, v)
                if (json_integer_value(v) == (unsigned char)*s) {
                    strcat(name, key);
                    break;
                }
        }
        if (strlen(w) > 1 && !json_object_get(vocab, name))
            json_object_set_new(vocab, name, json_integer(next++));
    }
    char *text = json_dumps(j, 0);
    OK(sp_tokenizer_from_json(&t, text, strlen(text), &err));
    free(text);
    json_decref(j);
    sp_free(words);
    sp_tokenizer_free(bytes);
    close(fd);
    unlink(path);
    return t;
}

static void test_splits(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(splits); i++) {
        struct sp_tokenizer *t = splitting(splits[i].pattern, splits[i].pieces);
        struct sp_ids ids = { 0 };
        struct sp_text got = { 0 };
        encode(t, splits[i].text, strlen(splits[i].text), false, &ids);
        for (size_t k = 0; k < ids.n; k++) {
            size_t n = 0;
            const char *s = sp_tokenizer_token(t, ids.at[k], &n);
            sp_text_add(&got, "|", k > 0);
            sp_text_add(&got, s, n);
        }
        assert_string_equal(got.at, splits[i].pieces);
        sp_text_clear(&got);
        sp_ids_clear(&ids);
        sp_tokenizer_free(t);
    }
    print_message("%zu texts split\n", SP_COUNT(splits));
}

/* A pattern by hand and the same one by PCRE2 (made unknown by a group around it) agree: all neighbours
 * merge inside a piece, so other borders give other ids. */
static void test_pattern_peers(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
        "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
    };
    static const char *const bits[] = { "a",
                                        "Z",
                                        "'",
                                        "s",
                                        "LL",
                                        "re",
                                        " ",
                                        " ",
                                        "\n",
                                        "\r",
                                        "\t",
                                        "1",
                                        "23",
                                        ".",
                                        "-",
                                        "\xc3\xa9",
                                        "\xc2\xa0",
                                        "\xe2\x80\x83",
                                        "\xe4\xb8\xad",
                                        "\xd9\xa3",
                                        "\xcc\x81",
                                        "\xf0\x9f\x8d\x95",
                                        "\xc5\xbf",
                                        "\xe2\x85\xa7",
                                        "_" };
    struct sp_random random = { .key = 7 };
    int cases = 0;
    for (size_t p = 0; p < SP_COUNT(patterns); p++) {
        struct sp_tokenizer *t[2] = { 0 };
        for (int unknown = 0; unknown < 2; unknown++) {
            json_t *vocab = json_object();
            char pattern[512], key[8];
            snprintf(pattern, sizeof pattern, unknown ? "(?:%s)" : "%s", patterns[p]);
            json_t *merges = json_array();
            for (size_t i = 0; i < SP_COUNT(bits); i++)
                if (!json_object_get(vocab, bits[i]))
                    json_object_set_new(vocab, bits[i], json_integer((json_int_t)json_object_size(vocab)));
            for (int c = 'A'; c <= 'z'; c++)
                if (snprintf(key, sizeof key, "%c", c) && !json_object_get(vocab, key))
                    json_object_set_new(vocab, key, json_integer((json_int_t)json_object_size(vocab)));
            static const char *const extra[] = { "2", "3" };
            for (size_t i = 0; i < SP_COUNT(extra); i++)
                json_object_set_new(vocab, extra[i], json_integer((json_int_t)json_object_size(vocab)));
            for (size_t a = 0; a < SP_COUNT(bits); a++)
                for (size_t b = 0; b < SP_COUNT(bits); b++) {
                    char both[32];
                    if (strlen(bits[a]) > 4 || strchr("LrR", bits[a][0]) || strchr("LrR", bits[b][0]) ||
                        bits[a][0] == '2' || bits[b][0] == '2')
                        continue;
                    snprintf(both, sizeof both, "%s%s", bits[a], bits[b]);
                    if (!json_object_get(vocab, both))
                        json_object_set_new(vocab, both, json_integer((json_int_t)json_object_size(vocab)));
                    json_array_append_new(merges, json_pack("[s, s]", bits[a], bits[b]));
                }
            json_t *j = json_pack("{s:{s:s, s:{s:s}, s:s}, s:{s:s, s:o, s:o}}", "pre_tokenizer", "type", "Split",
                                  "pattern", "Regex", pattern, "behavior", "Isolated", "model", "type", "BPE", "vocab",
                                  vocab, "merges", merges);
            assert_non_null(j);
            char *text = json_dumps(j, 0);
            OK(sp_tokenizer_from_json(&t[unknown], text, strlen(text), &err));
            free(text);
            json_decref(j);
        }
        for (int k = 0; k < 2000; k++, cases++) {
            struct sp_text s = { 0 };
            struct sp_ids a = { 0 }, b = { 0 };
            for (int n = 1 + (int)sp_random_below(&random, 12); n; n--) {
                const char *bit = bits[sp_random_below(&random, SP_COUNT(bits))];
                sp_text_add(&s, bit, strlen(bit));
            }
            encode(t[0], s.at, s.n, false, &a);
            encode(t[1], s.at, s.n, false, &b);
            if (a.n != b.n || memcmp(a.at, b.at, a.n * sizeof *a.at) != 0)
                fail_msg("pattern %zu splits \"%s\" otherwise than PCRE2", p, s.at);
            sp_text_clear(&s);
            sp_ids_clear(&a);
            sp_ids_clear(&b);
        }
        sp_tokenizer_free(t[0]);
        sp_tokenizer_free(t[1]);
    }
    print_message("%d random texts split as PCRE2 does\n", cases);
}

/* ---- training ---- */
/* The merges of a saved tokenizer as lines "a b". */
static void merge_lines(struct sp_tokenizer *t, struct sp_text *out)
{
    char path[] = "/tmp/test_text_XXXXXX";
    int fd = mkstemp(path);
    json_t *j = NULL, *m;
    size_t i;
    OK(sp_tokenizer_save(t, path, &err));
    OK(sp_json_read(&j, path, 1 << 26, &err));
    json_array_foreach(json_object_get(json_object_get(j, "model"), "merges"), i, m)
        sp_text_printf(out, "%s\n", json_string_value(m));
    json_decref(j);
    close(fd);
    unlink(path);
}

static void test_training_reference(void **state)
{
    (void)state;
    char buf[512], buf2[512];
    const char *corpus = shared("tokenizers/bpe_training_ref/corpus.en", buf, sizeof buf);
    const char *merges = shared("tokenizers/bpe_training_ref/train-bpe-reference-merges.txt", buf2, sizeof buf2);
    if (!corpus || !merges)
        skip();
    struct sp_text text = { 0 }, want = { 0 }, got = { 0 };
    struct sp_tokenizer *t = NULL;
    OK(sp_read_file(&text, corpus, 1 << 24, &err));
    OK(sp_read_file(&want, merges, 1 << 24, &err));
    struct sp_slice doc = { text.at, text.n };
    const char *special = "<|endoftext|>";
    OK(sp_bpe_train(&t, &doc, 1, 500, &special, 1, NULL, &err));
    assert_int_equal(sp_tokenizer_vocab(t), 500);
    assert_int_equal(sp_tokenizer_eos(t), 0);
    merge_lines(t, &got);
    assert_string_equal(got.at, want.at);
    print_message("training: 243 merges as the reference\n");
    sp_tokenizer_free(t);
    sp_text_clear(&text);
    sp_text_clear(&want);
    sp_text_clear(&got);
}

/* By hand: "aa" is counted 6 times, every other pair at most 3; then (aa,a) and (a,b) tie at 3, and
 * the greater left side wins; then (aaa,b). */
static void test_training_small(void **state)
{
    (void)state;
    static const char text[] = "aaabdaaabac<|x|>aaab";
    struct sp_slice doc = { text, sizeof text - 1 };
    const char *special = "<|x|>";
    struct sp_tokenizer *t = NULL;
    struct sp_text got = { 0 };
    OK(sp_bpe_train(&t, &doc, 1, 260, &special, 1, NULL, &err));
    merge_lines(t, &got);
    assert_string_equal(got.at, "a a\naa a\naaa b\n");
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    encode(t, text, sizeof text - 1, false, &ids);
    OK(sp_tokenizer_decode(t, ids.at, ids.n, false, &back, &err));
    assert_string_equal(back.at, text);
    bool has_special = false;
    for (size_t i = 0; i < ids.n; i++)
        has_special = has_special || ids.at[i] == 0;
    assert_true(has_special);
    sp_ids_clear(&ids);
    sp_text_clear(&got);
    sp_text_clear(&back);
    sp_tokenizer_free(t);
}

/* ---- properties ---- */
static const char sample[] = "The quick brown fox; it's 1,234 \xe2\x82\xac!\n\n  \tGr\xc3\xb6\xc3\x9f"
                             "e \xe6\x88\x91\xe5\x96\x9c\xe6\xac\xa2 "
                             "\xf0\x9f\x8d\x95\xf0\x9f\x98\x82 e\xcc\x81 <|endoftext|> end  ";

static void round_trip(struct sp_tokenizer *t, const char *s, size_t n)
{
    struct sp_ids ids = { 0 };
    struct sp_text whole = { 0 }, stream = { 0 };
    struct sp_decoder d;
    encode(t, s, n, false, &ids);
    OK(sp_tokenizer_decode(t, ids.at, ids.n, false, &whole, &err));
    assert_int_equal(whole.n, n);
    assert_memory_equal(whole.at, s, n);
    sp_decoder_init(&d, t, false);
    for (size_t i = 0; i < ids.n; i++) {
        size_t was = stream.n;
        OK(sp_decoder_push(&d, ids.at[i], &stream, &err));
        assert_true(stream.n == was || sp_utf8_whole(stream.at + was, stream.n - was) == stream.n - was);
    }
    sp_decoder_end(&d, &stream);
    assert_int_equal(stream.n, n);
    assert_memory_equal(stream.at, s, n);
    sp_ids_clear(&ids);
    sp_text_clear(&whole);
    sp_text_clear(&stream);
}

static struct sp_tokenizer *trained(int32_t vocab)
{
    struct sp_text text = { 0 };
    struct sp_tokenizer *t = NULL;
    for (int i = 0; i < 50; i++)
        sp_text_printf(&text, "%s Line %d of the fox, the dog and the quick brown end.\n", sample, i * 37);
    struct sp_slice doc = { text.at, text.n };
    const char *special = "<|endoftext|>";
    OK(sp_bpe_train(&t, &doc, 1, vocab, &special, 1, NULL, &err));
    sp_text_clear(&text);
    return t;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct sp_tokenizer *t[3] = { trained(400) };
    OK(sp_tokenizer_bytes(&t[1], "<|endoftext|>", &err));
    OK(sp_tokenizer_chars(&t[2], sample, sizeof sample - 1, NULL, &err));
    struct sp_random random = { .key = 3 };
    int cases = 0;
    for (int k = 0; k < 3; k++) {
        round_trip(t[k], sample, sizeof sample - 1);
        round_trip(t[k], "", 0);
        for (int i = 0; i < 300; i++, cases++) { /* any stretch of whole characters */
            size_t from = sp_random_below(&random, sizeof sample), n = sp_random_below(&random, sizeof sample - from);
            while (from < sizeof sample - 1 && ((unsigned char)sample[from] & 0xc0) == 0x80)
                from++;
            n = from + n > sizeof sample - 1 ? sizeof sample - 1 - from : n;
            round_trip(t[k], sample + from, sp_utf8_whole(sample + from, n));
        }
    }
    print_message("%d round trips\n", cases);
    for (int k = 0; k < 3; k++)
        sp_tokenizer_free(t[k]);
}

static void test_saved(void **state)
{
    (void)state;
    struct sp_tokenizer *t[4] = { trained(300) }, *again = NULL;
    char path[] = "/tmp/test_text_XXXXXX", buf[512];
    int fd = mkstemp(path), n = 3;
    OK(sp_tokenizer_bytes(&t[1], "<|endoftext|>", &err));
    OK(sp_tokenizer_chars(&t[2], sample, sizeof sample - 1, "<|end|>", &err));
    if (shared("models/stories260K/tok512.bin", buf, sizeof buf)) {
        OK(sp_tokenizer_load(&t[n], buf, &err));
        n++;
    }
    for (int k = 0; k < n; k++) {
        struct sp_ids a = { 0 }, b = { 0 };
        OK(sp_tokenizer_save(t[k], path, &err));
        OK(sp_tokenizer_load(&again, path, &err));
        const char *text = k == 2 ? sample
                                  : "Once upon a time, <|endoftext|>\xf0\x9f\x8d\x95 Gr\xc3\xb6\xc3\x9f"
                                    "e";
        encode(t[k], text, strlen(text), true, &a);
        encode(again, text, strlen(text), true, &b);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.at, b.at, a.n * sizeof *a.at);
        assert_int_equal(sp_tokenizer_vocab(t[k]), sp_tokenizer_vocab(again));
        if (k < 2)
            assert_int_equal(sp_tokenizer_eos(t[k]), sp_tokenizer_eos(again));
        assert_int_equal(sp_tokenizer_adds_bos(t[k]), sp_tokenizer_adds_bos(again));
        sp_ids_clear(&a);
        sp_ids_clear(&b);
        sp_tokenizer_free(again);
        sp_tokenizer_free(t[k]);
    }
    close(fd);
    unlink(path);
}

/* Bytes that are no text come out as U+FFFD, one for each longest part (Unicode 15, table 3-8). */
static void test_invalid_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "a\xff"
          "b",
          "a\xef\xbf\xbd"
          "b" },
        { "\xe2\x82", "\xef\xbf\xbd" },
        { "\xf0\x9f\x8d"
          "x",
          "\xef\xbf\xbdx" },
        { "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
          "A",
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
          "A" },
    };
    struct sp_tokenizer *t = NULL;
    OK(sp_tokenizer_bytes(&t, NULL, &err));
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        struct sp_ids ids = { 0 };
        struct sp_text out = { 0 };
        encode(t, cases[i].in, strlen(cases[i].in), false, &ids);
        OK(sp_tokenizer_decode(t, ids.at, ids.n, false, &out, &err));
        assert_string_equal(out.at, cases[i].out);
        sp_ids_clear(&ids);
        sp_text_clear(&out);
    }
    sp_tokenizer_free(t);
}

/* ---- hostile files ---- */
static const struct {
    const char *json;
    enum sp_status status;
    const char *says;
} hostile[] = {
    { "[]", SP_FORMAT, "model" },
    { "{}", SP_FORMAT, "model" },
    { "{\"model\":{\"type\":\"Wordless\",\"vocab\":[]}}", SP_UNSUPPORTED, "Wordless" },
    { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", SP_FORMAT, "empty" },
    { "{\"model\":{\"type\":\"Unigram\",\"vocab\":{}}}", SP_FORMAT, "list" },
    { "{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", SP_FORMAT, "entry 0" },
    { "{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",-1]]}}", SP_FORMAT, "unk_id" },
    { "{\"model\":{\"type\":\"WordPiece\",\"vocab\":[]}}", SP_FORMAT, "object" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[]}}", SP_FORMAT, "empty" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", SP_FORMAT, "number" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":2000000000},\"merges\":[]}}", SP_FORMAT, "number" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}", SP_FORMAT, "number" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}", SP_FORMAT, "two tokens" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", SP_FORMAT, "\"b\"" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[\"a b\"]}}", SP_FORMAT, "make" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a\"]}}", SP_FORMAT, "merge 0" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[3]}}", SP_FORMAT, "merge 0" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"?\"}}", SP_FORMAT, "unk_token" },
    { "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"dropout\":0.1}}", SP_UNSUPPORTED, "dropout" },
    { "{\"normalizer\":{\"type\":\"Louder\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
      SP_UNSUPPORTED, "Louder" },
    { "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"(\"}},"
      "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
      SP_UNSUPPORTED, "pattern" },
    { "{\"added_tokens\":[{\"id\":0,\"content\":\"x\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
      "\"merges\":[]}}",
      SP_FORMAT, "two tokens" },
    { "{\"added_tokens\":[{\"id\":1,\"content\":\"\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
      "\"merges\":[]}}",
      SP_FORMAT, "no content" },
    { "{\"added_tokens\":[7],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", SP_FORMAT, "number" },
    { "{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}],"
      "\"special_tokens\":{\"<s>\":{\"ids\":[99]}}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
      SP_FORMAT, "outside" },
};

static void test_hostile(void **state)
{
    (void)state;
    uint64_t live = sp_mem_live();
    for (size_t i = 0; i < SP_COUNT(hostile); i++) {
        struct sp_tokenizer *t = NULL;
        struct sp_err err = { 0 };
        enum sp_status st = sp_tokenizer_from_json(&t, hostile[i].json, strlen(hostile[i].json), &err);
        if (st != hostile[i].status || !strstr(err.what, hostile[i].says))
            fail_msg("%s\n gives %d, \"%s\"", hostile[i].json, st, err.what);
        assert_null(t);
    }
    print_message("%zu hostile files refused\n", SP_COUNT(hostile));
    assert_int_equal(sp_mem_live(), live);
}

static void test_unknown_character(void **state)
{
    (void)state;
    struct sp_tokenizer *t = NULL;
    struct sp_ids ids = { 0 };
    OK(sp_tokenizer_chars(&t, "abc", 3, NULL, &err));
    struct sp_err err = { 0 };
    assert_int_equal(sp_tokenizer_vocab(t), 3);
    assert_int_equal(sp_tokenizer_encode(t, "abz", 3, false, &ids, &err), SP_MISSING);
    assert_int_equal(ids.n, 0);
    sp_ids_clear(&ids);
    sp_tokenizer_free(t);
}

/* A pattern that backtracks without end stops with a sentence. */
static void test_pattern_limit(void **state)
{
    (void)state;
    static const char json[] =
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":"
        "\"(a+)+(a+)+$\"}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}";
    struct sp_tokenizer *t = NULL;
    struct sp_ids ids = { 0 };
    char text[64];
    memset(text, 'a', sizeof text);
    text[63] = 'b';
    OK(sp_tokenizer_from_json(&t, json, sizeof json - 1, &err));
    struct sp_err err = { 0 };
    assert_int_equal(sp_tokenizer_encode(t, text, sizeof text, false, &ids, &err), SP_LIMIT);
    sp_ids_clear(&ids);
    sp_tokenizer_free(t);
}

/* ---- every allocation failing in turn ---- */
static enum sp_status whole_life(const char *path, struct sp_err *err)
{
    static const char text[] = "the cat \xf0\x9f\x8d\x95 and the hat <|x|> sat";
    struct sp_slice doc = { text, sizeof text - 1 };
    const char *special = "<|x|>";
    struct sp_tokenizer *t = NULL, *again = NULL;
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    enum sp_status st = sp_bpe_train(&t, &doc, 1, 264, &special, 1, NULL, err);
    if (!st)
        st = sp_tokenizer_save(t, path, err);
    if (!st)
        st = sp_tokenizer_load(&again, path, err);
    if (!st)
        st = sp_tokenizer_encode(again, text, sizeof text - 1, true, &ids, err);
    if (!st)
        st = sp_tokenizer_decode(again, ids.at, ids.n, false, &back, err);
    if (!st)
        assert_string_equal(back.at, text);
    sp_tokenizer_free(t);
    sp_tokenizer_free(again);
    sp_ids_clear(&ids);
    sp_text_clear(&back);
    return st;
}

static void test_every_allocation(void **state)
{
    (void)state;
    char path[] = "/tmp/test_text_XXXXXX";
    int fd = mkstemp(path), failed = 0;
    uint64_t live = sp_mem_live();
    for (int64_t n = 0;; n += 1 + n / 40) { /* every one at first, then a sample */
        struct sp_err err = { 0 };
        sp_mem_fail_at(n);
        enum sp_status st = whole_life(path, &err);
        sp_mem_fail_at(-1);
        assert_int_equal(sp_mem_live(), live);
        if (!st)
            break;
        if (st != SP_NOMEM && st != SP_FORMAT && st != SP_IO && st != SP_LIMIT)
            fail_msg("allocation %d: %s", (int)n, sp_err_line(&err, line, sizeof line));
        failed++;
    }
    print_message("%d allocations failed in turn\n", failed);
    assert_true(failed > 20);
    close(fd);
    unlink(path);
}

/* An added token whose content the vocabulary has keeps that number; lstrip, rstrip and
 * single_word as Hugging Face has them (cases checked against it). */
static void test_added(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[{\"id\":9,\"content\":\"ab\",\"single_word\":true},{\"id\":6,\"content\":\"<l>\","
        "\"lstrip\":true},"
        "{\"id\":7,\"content\":\"<r>\",\"rstrip\":true},{\"id\":8,\"content\":\"<r>x\"}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":3,\"<\":4,\"x\":5},\"merges\":[]}}";
    static const struct {
        const char *text;
        int n, ids[8];
    } cases[] = {
        { "ab a", 3, { 2, 3, 0 } },        { "abb", 3, { 0, 1, 1 } }, { "a <l> b", 4, { 0, 6, 3, 1 } },
        { "a <r>  b", 4, { 0, 3, 7, 1 } }, { "<r>x", 1, { 8 } },      { "<r", 0, { 0 } },
    };
    struct sp_tokenizer *t = NULL;
    OK(sp_tokenizer_from_json(&t, json, sizeof json - 1, &err));
    for (size_t i = 0; i < SP_COUNT(cases); i++) {
        struct sp_ids ids = { 0 };
        struct sp_err err = { 0 };
        enum sp_status st = sp_tokenizer_encode(t, cases[i].text, strlen(cases[i].text), false, &ids, &err);
        assert_int_equal(st, cases[i].n ? SP_OK : SP_MISSING);
        assert_int_equal(ids.n, cases[i].n);
        for (int k = 0; k < cases[i].n; k++)
            assert_int_equal(ids.at[k], cases[i].ids[k]);
        sp_ids_clear(&ids);
    }
    sp_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_pattern_peers),
        cmocka_unit_test(test_training_reference),
        cmocka_unit_test(test_training_small),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_saved),
        cmocka_unit_test(test_invalid_bytes),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_unknown_character),
        cmocka_unit_test(test_pattern_limit),
        cmocka_unit_test(test_added),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
