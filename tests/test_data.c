/* tests/test_data.c - documents, the split, token streams and batches.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>
#include "data/data.h"
#include "file/file.h"

static char line[1024], folder[64];
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct sp_err err = { 0 };                                                                                     \
        enum sp_status st_ = (call);                                                                                   \
        if (st_)                                                                                                       \
            fail_msg("%s: %s", #call, sp_err_line(&err, line, sizeof line));                                           \
    } while (0)

static const char *at(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    OK(sp_write_file(at(name), text, strlen(text), &err));
}

static void put_gz(const char *name, const char *text)
{
    gzFile f = gzopen(at(name), "wb");
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), strlen(text));
    gzclose(f);
}

static void put_zst(const char *name, const char *text)
{
    char out[4096];
    size_t n = ZSTD_compress(out, sizeof out, text, strlen(text), 3);
    assert_false(ZSTD_isError(n));
    OK(sp_write_file(at(name), out, n, &err));
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_data_XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) != 0;
}

static bool is(struct sp_slice s, const char *want)
{
    return s.n == strlen(want) && memcmp(s.at, want, s.n) == 0;
}

/* Reads one file and compares its only document. */
static void only(const char *name, const char *want)
{
    struct sp_documents d;
    OK(sp_documents_read(&d, at(name), NULL, NULL, &err));
    assert_int_equal(d.n, 1);
    if (!is(d.at[0].text, want))
        fail_msg("%s gives \"%.*s\"", name, (int)d.at[0].text.n, d.at[0].text.at);
    sp_documents_free(&d);
}

static void test_kinds(void **state)
{
    (void)state;
    put("a.txt", "one\ntwo\n");
    put_gz("b.txt.gz", "packed text");
    put_zst("c.jsonl.zst", "{\"text\":\"packed line\"}\n");
    put("d.jsonl", "\n{\"id\":3,\"text\":\"caf\\u00e9\"}\r\n");
    only("a.txt", "one\ntwo\n");
    only("b.txt.gz", "packed text");
    only("c.jsonl.zst", "packed line");
    only("d.jsonl", "caf\xc3\xa9");
}

static void test_html(void **state)
{
    (void)state;
    put("p.html", "<!DOCTYPE html><html><head><title>T</title><style>p{}</style></head><body>"
                  "<ul class=\"docnav top\"><li>Prev</li></ul><nav>Menu</nav><div id='banner'>Buy</div>"
                  "<h1>Head &amp; <em>more</em></h1>\n<div class=\"para\">\n  First\n\tline <b>b</b>old.</div>"
                  "<p>Second<br>row</p><pre>\ncode  x\n  y</pre><script>var x = '<p>no</p>';</script>"
                  "<ul><li>i</li><li>j</li></ul><table><tr><td>1</td><td>2</td></tr></table>\xc3\xa9</body></html>");
    only("p.html", "Head & more\n\nFirst line bold.\n\nSecond\nrow\n\ncode  x\n  y\n\ni\nj\n\n1 2\n\n\xc3\xa9\n");
    put("q.html", "<p>unclosed <b>tags <p>\xe4\xb8\xad &lt;x&gt;");
    only("q.html", "unclosed tags\n\n\xe4\xb8\xad <x>\n");
}

static void test_splits_of_text(void **state)
{
    (void)state;
    struct sp_documents d;
    struct sp_data_options o = { .split = SP_DATA_SPLIT_BLANK };
    put("e.txt", "one\n<|endoftext|>\ntwo\n<|endoftext|>\n\n<|endoftext|>one\n");
    OK(sp_documents_read(&d, at("e.txt"), NULL, NULL, &err));
    assert_int_equal(d.n, 2);
    assert_true(is(d.at[0].text, "one") && is(d.at[1].text, "two"));
    assert_int_equal(d.report.given, 4);
    assert_int_equal(d.report.empty, 1);
    assert_int_equal(d.report.duplicate, 1);
    sp_documents_free(&d);
    put("f.txt", "a\n\nb\n\n\nc\n");
    OK(sp_documents_read(&d, at("f.txt"), &o, NULL, &err));
    assert_int_equal(d.n, 2);
    assert_true(is(d.at[0].text, "a\n\nb") && is(d.at[1].text, "c"));
    sp_documents_free(&d);
    put("g.txt", "a\r\n\r\nb\r\n\r\n\r\nc\r\n");
    OK(sp_documents_read(&d, at("g.txt"), &o, NULL, &err));
    assert_int_equal(d.n, 2);
    assert_true(is(d.at[0].text, "a\r\n\r\nb") && is(d.at[1].text, "c"));
    sp_documents_free(&d);
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *where;
    } bad[] = {
        { "{\"text\":\"a\"}\n{\"text\":", "bad.jsonl:2" },
        { "{\"text\":\"a\"}\n\n{\"body\":\"b\"}\n", "bad.jsonl:3" },
        { "{\"text\":7}\n", "bad.jsonl:1" },
        { "[1]\n", "bad.jsonl:1" },
    };
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_documents d;
        struct sp_err err = { 0 };
        put("bad.jsonl", bad[i].text);
        assert_int_equal(sp_documents_read(&d, at("bad.jsonl"), NULL, NULL, &err), SP_FORMAT);
        if (!strstr(err.where, bad[i].where))
            fail_msg("\"%s\" isn't in \"%s\"", bad[i].where, sp_err_line(&err, line, sizeof line));
    }
    unlink(at("bad.jsonl"));
}

static void test_folder(void **state)
{
    (void)state;
    struct sp_documents d, again;
    struct sp_data_options o = { .bytes_max = 40 };
    OK(sp_make_folder(at("sub"), &err));
    OK(sp_make_folder(at("sub/deep"), &err));
    put("sub/b.txt", "second text");
    put("sub/a.txt", "first text");
    put("sub/deep/c.jsonl", "{\"text\":\"first text\"}\n{\"text\":\"  \"}\n{\"text\":\"third\"}\n");
    put("sub/deep/x.png", "no");
    OK(sp_write_file(at("sub/zero.txt"), "a\0b", 3, &err));
    OK(sp_documents_read(&d, at("sub"), NULL, NULL, &err));
    assert_int_equal(d.n, 3);
    assert_true(is(d.at[0].text, "first text") && is(d.at[1].text, "second text") && is(d.at[2].text, "third"));
    assert_int_equal(d.at[2].line, 3);
    const struct sp_data_report *r = &d.report;
    assert_int_equal(r->given, 5);
    assert_int_equal(r->given, r->used + r->empty + r->duplicate + r->over);
    assert_int_equal(r->files, 3);
    assert_int_equal(r->files_skipped, 2);
    assert_int_equal(r->n_skipped, 2);
    OK(sp_documents_read(&again, at("sub"), NULL, NULL, &err));
    assert_string_equal(d.hash, again.hash);
    sp_documents_free(&again);
    put("sub/a.txt", "First text");
    OK(sp_documents_read(&again, at("sub"), NULL, NULL, &err));
    assert_string_not_equal(d.hash, again.hash);
    sp_documents_free(&again);
    o.bytes_max = 12;
    OK(sp_documents_read(&again, at("sub"), &o, NULL, &err));
    assert_int_equal(again.n, 1);
    assert_int_equal(again.report.over, 3);
    sp_documents_free(&again);
    sp_documents_free(&d);
    struct sp_err err = { 0 };
    assert_int_equal(sp_documents_read(&d, at("nowhere"), NULL, NULL, &err), SP_MISSING);
}

static void many(struct sp_documents *d, int n)
{
    struct sp_text text = { 0 };
    for (int i = 0; i < n; i++)
        sp_text_printf(&text, "{\"text\":\"document %d says %d\"}\n", i, i * i);
    OK(sp_write_file(at("many.jsonl"), text.at, text.n, &err));
    OK(sp_documents_read(d, at("many.jsonl"), NULL, NULL, &err));
    sp_text_clear(&text);
}

static void test_split(void **state)
{
    (void)state;
    struct sp_documents d;
    struct sp_split s;
    many(&d, 1000);
    OK(sp_documents_split(&d, 0.1, &s, &err));
    assert_int_equal(s.n_train + s.n_valid, 1000);
    assert_true(s.n_valid > 60 && s.n_valid < 140); /* 100, standard deviation 9.5 */
    sp_split_free(&s);
    sp_documents_free(&d);
    many(&d, 2);
    OK(sp_documents_split(&d, 0.001, &s, &err));
    assert_true(s.n_train == 1 && s.n_valid == 1);
    sp_split_free(&s);
    sp_documents_free(&d);
    struct sp_text text = { 0 };
    for (int i = 0; i < 100; i++)
        sp_text_printf(&text, "line %04d\n", i);
    OK(sp_write_file(at("one.txt"), text.at, text.n, &err));
    OK(sp_documents_read(&d, at("one.txt"), NULL, NULL, &err));
    OK(sp_documents_split(&d, 0.1, &s, &err));
    assert_true(s.n_train == 1 && s.n_valid == 1);
    assert_int_equal(s.train[0].n + s.valid[0].n, 1000);
    assert_memory_equal(s.valid[0].at, "line 009", 8);
    sp_split_free(&s);
    sp_text_clear(&text);
    sp_documents_free(&d);
}

/* ---- streams and batches ---- */
static void test_stream(void **state)
{
    (void)state;
    static const struct sp_slice docs[] = { { "ab", 2 }, { "c", 1 } };
    struct sp_tokenizer *t = NULL;
    struct sp_tokens k;
    static const int32_t want[] = { 256, 'a', 'b', 256, 'c', 256 };
    OK(sp_tokenizer_bytes(&t, "<|endoftext|>", &err));
    OK(sp_tokens_build(&k, docs, 2, t, NULL, &err));
    assert_int_equal(k.n, SP_COUNT(want));
    for (size_t i = 0; i < SP_COUNT(want); i++)
        assert_int_equal(sp_tokens_at(&k, (int64_t)i), want[i]);
    assert_int_equal(k.text_bytes, 3);
    assert_int_equal(k.documents, 2);
    assert_non_null(k.u16);
    sp_tokens_free(&k);
    sp_tokenizer_free(t);
    OK(sp_tokenizer_bytes(&t, NULL, &err)); /* without eos the first byte is predicted from nothing */
    OK(sp_tokens_build(&k, docs, 2, t, NULL, &err));
    assert_int_equal(k.n, 3);
    assert_int_equal(k.text_bytes, 2);
    sp_tokens_free(&k);
    sp_tokenizer_free(t);
}

static void stream_of(struct sp_tokens *k, int n)
{
    *k = (struct sp_tokens){ .n = n, .i32 = sp_alloc((size_t)n * 4 + 4), .vocab = n, .bos = -1, .eos = -1 };
    for (int i = 0; i < n; i++)
        k->i32[i] = i;
}

/* Every target once, in every row its predecessor as input, for all remainders. */
static void test_windows(void **state)
{
    (void)state;
    enum { B = 3, T = 7 };
    int32_t ids[B * T], targets[B * T];
    float weights[B * T];
    int cases = 0;
    for (int n = 1; n < 70; n++, cases++) {
        struct sp_tokens k;
        int seen[70] = { 0 };
        int64_t count, real = 0;
        stream_of(&k, n);
        count = sp_window_count(&k, T);
        for (int64_t w = 0; w < count; w += B)
            for (int i = (int)(real += sp_window_fill(&k, w, B, T, ids, targets, weights)) * 0; i < B * T; i++)
                if (weights[i] > 0) {
                    assert_int_equal(targets[i], ids[i] + 1);
                    seen[targets[i]]++;
                }
        assert_int_equal(real, count);
        for (int i = 0; i < n; i++)
            assert_int_equal(seen[i], i > 0);
        sp_tokens_free(&k);
    }
    print_message("%d streams covered exactly once\n", cases);
}

static void test_batches(void **state)
{
    (void)state;
    enum { B = 8, T = 16, N = 100 };
    int32_t a[B * T], b[B * T], ta[B * T], tb[B * T];
    float w[B * T];
    int starts[N] = { 0 };
    struct sp_tokens k;
    stream_of(&k, N);
    sp_batch_fill(&k, 1, 5, 2, 0, B, T, a, ta, w);
    sp_batch_fill(&k, 1, 5, 2, 0, B, T, b, tb, w);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(ta, tb, sizeof ta);
    sp_batch_fill(&k, 1, 5, 2, 0, 3, T, b, tb, w); /* a row doesn't depend on how many there are */
    assert_memory_equal(a, b, 3 * T * sizeof *a);
    sp_batch_fill(&k, 1, 5, 2, 3, B - 3, T, b, tb, w); /* nor on where the part begins */
    assert_memory_equal(a + 3 * T, b, (B - 3) * T * sizeof *a);
    static const int64_t other[][3] = { { 2, 5, 2 }, { 1, 6, 2 }, { 1, 5, 3 } };
    for (size_t i = 0; i < SP_COUNT(other); i++) {
        sp_batch_fill(&k, (uint64_t)other[i][0], other[i][1], other[i][2], 0, B, T, b, tb, w);
        assert_memory_not_equal(a, b, sizeof a);
    }
    for (int64_t step = 0; step < 2000; step++) {
        sp_batch_fill(&k, 9, step, 0, 0, B, T, a, ta, w);
        for (int r = 0; r < B; r++) {
            starts[a[r * T]]++;
            for (int i = 0; i < T; i++)
                assert_true(a[r * T + i] == a[r * T] + i && ta[r * T + i] == a[r * T] + i + 1 && w[r * T + i] == 1.0f);
        }
    }
    double chi = 0, each = 2000.0 * B / (N - T);
    for (int i = 0; i < N; i++) {
        assert_true(i < N - T || starts[i] == 0);
        if (i < N - T)
            chi += (starts[i] - each) * (starts[i] - each) / each;
    }
    assert_true(chi < 140); /* 83 degrees of freedom: 0.9999 quantile 137 */
    sp_tokens_free(&k);
    stream_of(&k, 5); /* shorter than a row: padded */
    sp_batch_fill(&k, 1, 0, 0, 0, 1, T, a, ta, w);
    for (int i = 0; i < T; i++)
        assert_true(w[i] == (i < 4 ? 1.0f : 0.0f));
    sp_tokens_free(&k);
}

/* A known beginning of a document is no prediction. */
static void test_bos_weight(void **state)
{
    (void)state;
    int32_t ids[8], targets[8];
    float w[8];
    struct sp_tokens k;
    stream_of(&k, 8);
    k.bos = 4;
    k.eos = 3;
    assert_int_equal(sp_window_fill(&k, 0, 1, 8, ids, targets, w), 1);
    for (int i = 0; i < 8; i++)
        assert_true(w[i] == (i == 3 || i == 7 ? 0.0f : 1.0f));
    sp_tokens_free(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),      cmocka_unit_test(test_html),    cmocka_unit_test(test_splits_of_text),
        cmocka_unit_test(test_bad_lines),  cmocka_unit_test(test_folder),  cmocka_unit_test(test_split),
        cmocka_unit_test(test_stream),     cmocka_unit_test(test_windows), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_bos_weight),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
