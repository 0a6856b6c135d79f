/* tests/test_text_steps.c - every step and model of a tokenizer.json on small vocabularies, against what Hugging
 * Face's tokenizers 0.22.2 gave: golden_tokens.jsonl holds tokenizers, texts, ids, and what those decode to.
 * Long words and long runs take time in proportion to their length; every allocation fails in turn.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
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

static json_t *rows; /* of golden_tokens.jsonl */

static int read_rows(void **state)
{
    (void)state;
    struct sp_text file = { 0 };
    rows = json_array();
    OK(sp_read_file(&file, "tests/golden_tokens.jsonl", 1 << 20, &err));
    for (char *s = file.at, *end; s < file.at + file.n; s = end + 1) {
        json_t *j = NULL;
        end = strchr(s, '\n');
        OK(sp_json_parse(&j, s, (size_t)(end - s), "golden_tokens", &err));
        json_array_append_new(rows, j);
    }
    sp_text_clear(&file);
    return 0;
}

static int drop_rows(void **state)
{
    (void)state;
    json_decref(rows);
    return 0;
}

static struct sp_tokenizer *load(const json_t *j)
{
    char *text = json_dumps(j, 0);
    struct sp_tokenizer *t = NULL;
    OK(sp_tokenizer_from_json(&t, text, strlen(text), &err));
    free(text);
    return t;
}

static void check_case(struct sp_tokenizer *t, const char *what, const json_t *c)
{
    const json_t *text = json_array_get(c, 0), *want = json_array_get(c, 1), *back = json_array_get(c, 2);
    struct sp_ids ids = { 0 };
    struct sp_text whole = { 0 }, stream = { 0 };
    struct sp_decoder d;
    OK(sp_tokenizer_encode(t, json_string_value(text), json_string_length(text), false, &ids, &err));
    bool same = ids.n == json_array_size(want);
    for (size_t i = 0; i < ids.n && same; i++)
        same = ids.at[i] == json_integer_value(json_array_get(want, i));
    if (!same)
        fail_msg("%s: other ids for \"%s\"", what, json_string_value(text));
    OK(sp_tokenizer_decode(t, ids.at, ids.n, false, &whole, &err));
    if (whole.n != json_string_length(back) || (whole.n && memcmp(whole.at, json_string_value(back), whole.n) != 0))
        fail_msg("%s: \"%s\" comes back as \"%.*s\"", what, json_string_value(text), (int)whole.n, whole.at);
    sp_decoder_init(&d, t, false);
    for (size_t i = 0; i < ids.n; i++) {
        OK(sp_decoder_push(&d, ids.at[i], &stream, &err));
        assert_true(sp_utf8_whole(stream.n ? stream.at : "", stream.n) == stream.n);
    }
    sp_decoder_end(&d, &stream);
    if (!strstr(json_string_value(back), "\xef\xbf\xbd")) { /* broken runs of bytes are told otherwise */
        assert_int_equal(stream.n, whole.n);
        assert_memory_equal(stream.n ? stream.at : "", whole.n ? whole.at : "", whole.n);
    }
    sp_ids_clear(&ids);
    sp_text_clear(&whole);
    sp_text_clear(&stream);
}

/* As read, and as written and read again. */
static void test_golden(void **state)
{
    (void)state;
    char path[] = "/tmp/test_text_steps_XXXXXX";
    int fd = mkstemp(path);
    size_t i, k, cases = 0;
    const json_t *row, *c;
    json_array_foreach(rows, i, row) {
        const char *what = json_string_value(json_object_get(row, "what"));
        struct sp_tokenizer *t[2] = { load(json_object_get(row, "tokenizer")) };
        OK(sp_tokenizer_save(t[0], path, &err));
        OK(sp_tokenizer_load(&t[1], path, &err));
        for (int again = 0; again < 2; again++)
            json_array_foreach(json_object_get(row, "cases"), k, c) {
                check_case(t[again], what, c);
                cases++;
            }
        sp_tokenizer_free(t[0]);
        sp_tokenizer_free(t[1]);
    }
    close(fd);
    unlink(path);
    print_message("%zu cases of %zu tokenizers\n", cases, json_array_size(rows));
    assert_true(cases > 60);
}

/* ---- time ---- */
static double seconds(struct sp_tokenizer *t, const char *s, size_t n)
{
    struct sp_ids ids = { 0 };
    struct sp_err err = { 0 };
    clock_t begin = clock();
    (void)sp_tokenizer_encode(t, s, n, false, &ids, &err);
    sp_ids_clear(&ids);
    return (double)(clock() - begin) / CLOCKS_PER_SEC;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const double NO_TIME = 8; /* a sanitizer copies whatever grows, each time */
#else
static const double NO_TIME = 0.5;
#endif
/* Sixteen times the text may not take a hundred times as long (quadratic time would take 256 times); what is over in
 * no time isn't asked. */
static void test_long(void **state)
{
    (void)state;
    static const char *const units[] = { "a", " ", "ab", "\xc3\xa9", "e\xcc\x81", "-", "1", "\n ", "<r>" };
    enum { SHORT = 1 << 14, LONG = 1 << 18 };
    char *text = sp_alloc(LONG + 8);
    const json_t *row;
    size_t i, runs = 0;
    json_array_foreach(rows, i, row) {
        struct sp_tokenizer *t = load(json_object_get(row, "tokenizer"));
        for (size_t u = 0; u < SP_COUNT(units); u++, runs++) {
            size_t k = strlen(units[u]);
            for (size_t at = 0; at < LONG; at += k)
                memcpy(text + at, units[u], k);
            double few = seconds(t, text, SHORT / k * k), many = seconds(t, text, LONG / k * k);
            if (many > NO_TIME && many > 100 * few)
                fail_msg("%s: %g s for %d bytes of \"%s\", %g s for %d",
                         json_string_value(json_object_get(row, "what")), few, SHORT, units[u], many, LONG);
        }
        sp_tokenizer_free(t);
    }
    sp_free(text);
    print_message("%zu long texts\n", runs);
}

/* ---- memory ---- */
static enum sp_status whole_life(const char *json, const char *text, struct sp_err *err)
{
    struct sp_tokenizer *t = NULL, *again = NULL;
    struct sp_token_parts parts;
    struct sp_arena mem = { 0 };
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    enum sp_status st = sp_tokenizer_from_json(&t, json, strlen(json), err);
    if (!st)
        st = sp_tokenizer_encode(t, text, strlen(text), true, &ids, err);
    if (!st)
        st = sp_tokenizer_decode(t, ids.at, ids.n, false, &back, err);
    bool apart = !st && !(st = sp_tokenizer_to_parts(t, &parts, &mem, err));
    if (st == SP_UNSUPPORTED) /* not every one has a name in GGUF */
        st = SP_OK;
    if (apart)
        st = sp_tokenizer_from_parts(&again, &parts, err);
    sp_tokenizer_free(t);
    sp_tokenizer_free(again);
    sp_arena_clear(&mem);
    sp_ids_clear(&ids);
    sp_text_clear(&back);
    return st == SP_FORMAT ? SP_OK : st; /* a toy vocabulary has no token where GGUF's usual bos is */
}

static void test_memory(void **state)
{
    (void)state;
    int failed = 0;
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row) {
        char *json = json_dumps(json_object_get(row, "tokenizer"), 0);
        const char *text = json_string_value(json_array_get(json_array_get(json_object_get(row, "cases"), 0), 0));
        uint64_t with = sp_mem_live();
        for (int64_t n = 0;; n += 1 + n / 20, failed++) {
            struct sp_err err = { 0 };
            sp_mem_fail_at(n);
            enum sp_status st = whole_life(json, text, &err);
            sp_mem_fail_at(-1);
            assert_int_equal(sp_mem_live(), with);
            if (!st)
                break;
            if (st != SP_NOMEM && st != SP_LIMIT && st != SP_UNSUPPORTED)
                fail_msg("allocation %d: %s", (int)n, sp_err_line(&err, line, sizeof line));
        }
        free(json);
    }
    print_message("%d allocations failed in turn\n", failed);
    assert_true(failed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, read_rows, drop_rows);
}
