/* tests/test_base.c - room base: memory, text, options, pool, random numbers, signals.
 * SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <assert.h>
#include <cmocka.h>
#include "base/base.h"

/* ---- errors ---- */

static void test_err(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    char line[1200];
    assert_int_equal(sp_fail(&e, SP_SHAPE, "matmul: [%d,%d] times [4,4]", 3, 5), SP_SHAPE);
    assert_int_equal(sp_where(&e, "layer %d", 2), SP_SHAPE);
    sp_where(&e, "model.json");
    sp_remedy(&e, "check hidden_size");
    assert_string_equal(sp_err_line(&e, line, sizeof line),
                        "model.json: layer 2: matmul: [3,5] times [4,4] (check hidden_size)");
    assert_string_equal(sp_status_name(SP_FORMAT), "FORMAT");
    assert_string_equal(sp_status_text(SP_NOMEM), "out of memory");
    assert_string_equal(sp_status_name((enum sp_status)99), "UNKNOWN");
    char big[2000];
    memset(big, 'x', sizeof big);
    memcpy(big + 510, "\xc3\xa4", 2);
    big[sizeof big - 1] = 0;
    sp_fail(&e, SP_IO, "%s", big);
    assert_int_equal(strlen(e.what), 510);
    sp_fail(&e, SP_IO, "again: %s", e.what);
    assert_true(!strncmp(e.what, "again: xxx", 10));
    assert_int_equal(sp_fail(NULL, SP_IO, "nobody listens"), SP_IO);
}

/* ---- memory ---- */

static void test_alloc(void **state)
{
    (void)state;
    uint64_t live = sp_mem_live(), count = sp_mem_count();
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = sp_alloc(n);
        assert_true(p && (uintptr_t)p % 64 == 0);
        memset(p, 7, n);
        p = sp_realloc(p, 3 * n + 1);
        assert_true(p && (uintptr_t)p % 64 == 0 && (n == 0 || (p[0] == 7 && p[n - 1] == 7)));
        sp_free(p);
    }
    assert_null(sp_zalloc(SIZE_MAX / 2, 3));
    assert_null(sp_alloc(SIZE_MAX));
    assert_int_equal(sp_mem_live(), live);
    assert_true(sp_mem_count() > count);
    sp_mem_fail_at(1);
    void *a = sp_alloc(1), *b = sp_alloc(1), *c = sp_alloc(1);
    assert_true(a && !b && c);
    sp_free(a);
    sp_free(c);
    assert_int_equal(sp_mem_live(), live);
}

static void test_arena(void **state)
{
    (void)state;
    struct sp_arena a = { 0 };
    uint64_t live = sp_mem_live();
    for (size_t n = 0; n < 5000; n = n * 3 / 2 + 1) {
        void *dirty = memset(sp_alloc(64 << 10), 0xff, 64 << 10); /* so that a fresh chunk is likely not zero */
        void *small = memset(sp_alloc(4160), 0xff, 4160);
        sp_free(small);
        sp_free(dirty);
        sp_arena_clear(&a);
        unsigned char *p = sp_arena_take(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (n >= 64 ? 64 : 16), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    assert_non_null(sp_arena_take(&a, 3 << 20));
    assert_null(sp_arena_take(&a, SIZE_MAX - 100));
    assert_string_equal(sp_arena_printf(&a, "%s-%d", "x", 5), "x-5");
    sp_arena_clear(&a);
    assert_int_equal(sp_mem_live(), live);
}

static void test_block(void **state)
{
    (void)state;
    struct sp_err e = { 0 };
    uint64_t live = sp_mem_live();
    const size_t sizes[] = { 0, 1, 4096, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 3 };
    for (size_t i = 0; i < SP_COUNT(sizes); i++) {
        struct sp_block b = { 0 };
        assert_int_equal(sp_block_new(&b, sizes[i], &e), SP_OK);
        assert_true(b.at && b.bytes == sizes[i] && (uintptr_t)b.at % 4096 == 0);
        if (sizes[i])
            b.at[sizes[i] - 1] = 1;
        sp_block_free(&b);
        sp_block_free(&b);
    }
    struct sp_block b = { 0 };
    assert_int_equal(sp_block_new(&b, (size_t)1 << 60, &e), SP_NOMEM);
    assert_non_null(strstr(e.what, "memory wanted"));
    sp_mem_fail_at(0);
    assert_int_equal(sp_block_new(&b, 100, &e), SP_NOMEM);
    assert_null(b.at);
    assert_int_equal(sp_mem_live(), live);
}

/* ---- text ---- */

static void test_text(void **state)
{
    (void)state;
    struct sp_text t = { .max = 1000 };
    for (int i = 0; i < 100; i++)
        sp_text_printf(&t, "%d,", i % 10);
    assert_int_equal(t.n, 200);
    assert_false(t.full);
    char more[801] = { 0 };
    memset(more, 'y', 800);
    sp_text_add(&t, more, 800);
    assert_true(!t.full && t.n == 1000 && t.at[1000] == 0);
    sp_text_add(&t, "z", 1);
    assert_true(t.full && t.n == 1000);
    sp_text_clear(&t);
    assert_true(!t.at && !t.full && t.max == 1000);
}

static void test_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool valid;
    } rows[] = {
        { "", true },        { "abc", true },          { "\xc3\xa4", true },     { "\xe2\x82\xac", true },
        { "\xc0\x80", false }, { "\xed\xa0\x80", false }, { "\xf0\x9f\x98\x80", true }, { "\xf4\x90\x80\x80", false },
        { "\xff", false },   { "\x80", false },        { "a\xc3", false },       { "\xf0\x80\x80\x80", false },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++)
        assert_int_equal(sp_utf8_valid(rows[i].s, strlen(rows[i].s)), rows[i].valid);
    assert_int_equal(sp_utf8_whole("a\xc3", 2), 1);
    assert_int_equal(sp_utf8_whole("a\xc3\xa4", 3), 3);
    assert_int_equal(sp_utf8_whole("\xf0\x9f\x98", 3), 0);
    assert_int_equal(sp_utf8_whole("a\x80\x80\x80\x80", 5), 5);
    assert_int_equal(sp_utf8_whole("", 0), 0);
}

/* ---- numbers ---- */

static void check_numbers(void)
{
    static const struct {
        const char *s;
        double v; /* NAN: refused */
    } rows[] = {
        { "1.5", 1.5 },   { "-2", -2 },     { "+.5e1", 5 },   { "1k", 1e3 },   { "1.5G", 1.5e9 }, { "7B", 7e9 },
        { "2Ki", 2048 },  { "1e-4", 1e-4 }, { "", NAN },      { " 1", NAN },   { "1 ", NAN },     { "nan", NAN },
        { "inf", NAN },   { "0x10", NAN },  { "1,5", NAN },   { "1kk", NAN },  { "1e999", NAN },  { "--1", NAN },
        { "1e308k", NAN }, { "3Gi", 3221225472.0 },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        double v = 42;
        bool ok = sp_parse_real(rows[i].s, &v);
        assert_int_equal(ok, !isnan(rows[i].v));
        assert_true(v == (ok ? rows[i].v : 42));
    }
    static const struct {
        const char *s;
        int64_t v;
        bool ok;
    } whole[] = {
        { "12", 12, true },       { "-5", -5, true },  { "1.5k", 1500, true }, { "1e6", 1000000, true },
        { "4Mi", 4 << 20, true }, { "1.5", 0, false }, { "x", 0, false },      { "9223372036854775807", INT64_MAX, true },
        { "9223372036854775808", 0, false }, { "9223372036854775807k", 0, false }, { "1e30", 0, false },
    };
    for (size_t i = 0; i < SP_COUNT(whole); i++) {
        int64_t v = 0;
        assert_int_equal(sp_parse_int(whole[i].s, &v), whole[i].ok);
        assert_int_equal(v, whole[i].v);
    }
    char b[32];
    assert_string_equal(sp_show_bytes(1.2e9, b, sizeof b), "1.2 GB");
    assert_string_equal(sp_show_bytes(999.9e6, b, sizeof b), "1 GB");
    assert_string_equal(sp_show_bytes(0, b, sizeof b), "0 B");
    assert_string_equal(sp_show_time(184, b, sizeof b), "3 min 4 s");
    assert_string_equal(sp_show_time(3599.9, b, sizeof b), "1 h");
    assert_string_equal(sp_show_time(59.97, b, sizeof b), "1 min");
    assert_string_equal(sp_show_time(0.0034, b, sizeof b), "3.4 ms");
    assert_string_equal(sp_show_time(86400 * 1.5, b, sizeof b), "1 d 12 h");
    assert_string_equal(sp_show_energy(5.4e6, b, sizeof b), "1.5 kWh");
    assert_string_equal(sp_show_mass(12.34, b, sizeof b), "12.3 g");
    assert_string_equal(sp_show_mass(0.05, b, sizeof b), "50 mg");
    assert_string_equal(sp_show_number(124e6, b, sizeof b), "124M");
    assert_string_equal(sp_show_number(3200, b, sizeof b), "3.2k");
    assert_string_equal(sp_show_number(65, b, sizeof b), "65");
    sp_format(b, sizeof b, "%.2f", 1.25);
    assert_string_equal(b, "1.25");
}

static void test_numbers(void **state)
{
    (void)state;
    check_numbers();
}

static void test_numbers_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_ALL, "de_DE.UTF-8") && !setlocale(LC_ALL, "de_DE"))
        skip();
    check_numbers();
    setlocale(LC_ALL, "C");
}

/* ---- options ---- */

struct settings {
    int64_t batch;
    double lr, noise;
    const char *model, *note;
    bool quiet, fused;
    int kind;
    struct sp_option_list data;
};
static const char *const kinds[] = { "f32", "bf16", NULL };
static const struct sp_option table[] = {
    { .name = "batch", .key = "train.batch", .letter = 'b', .kind = SP_OPT_INT, .at = offsetof(struct settings, batch),
      .min = 1, .max = 4096, .fallback = 16, .unit = "rows", .group = "Training", .help = "sequences in a step" },
    { .name = "lr", .key = "train.lr", .kind = SP_OPT_REAL, .at = offsetof(struct settings, lr), .min = 0, .max = 10,
      .fallback = 3e-4, .group = "Training", .help = "learning rate at its highest" },
    { .name = "model", .key = "model.path", .letter = 'm', .kind = SP_OPT_TEXT, .at = offsetof(struct settings, model),
      .group = "Model", .help = "folder of the model" },
    { .name = "quiet", .letter = 'q', .kind = SP_OPT_FLAG, .at = offsetof(struct settings, quiet),
      .help = "say nothing. A long sentence so that the help has to be wrapped at eighty columns" },
    { .name = "fused", .key = "train.fused", .letter = 'f', .kind = SP_OPT_FLAG, .at = offsetof(struct settings, fused),
      .fallback = 1, .group = "Training", .help = "fuse" },
    { .name = "kind", .key = "model.kind", .kind = SP_OPT_CHOICE, .at = offsetof(struct settings, kind), .fallback = 1,
      .choices = kinds, .group = "Model", .help = "number format" },
    { .name = "data", .key = "data", .letter = 'd', .kind = SP_OPT_LIST, .at = offsetof(struct settings, data),
      .help = "files to read" },
    { 0 },
};
static const struct sp_option table2[] = {
    { .name = "noise", .key = "train.noise", .kind = SP_OPT_REAL, .at = offsetof(struct settings, noise),
      .fallback = NAN, .help = "noise" },
    { .name = "note", .key = "note", .kind = SP_OPT_TEXT, .at = offsetof(struct settings, note),
      .fallback_text = "a \"b\"\n" },
    { 0 },
};

static enum sp_status parse(struct settings *s, int *n, char **argv, struct sp_err *err)
{
    struct sp_option_set set[] = { { table, s }, { table2, s } };
    int argc = 0;
    while (argv[argc])
        argc++;
    sp_option_defaults(set, 2);
    return sp_option_parse(set, 2, argc, argv, n, err);
}

static void test_options(void **state)
{
    (void)state;
    struct settings s;
    struct sp_err e = { 0 };
    int n = -1;
    const char *argv[] = { "in.txt", "--batch=2k", "-m", "gpt", "--lr", "0.5", "b.txt", "-qd", "x", "-dy", "--no-fused",
                     "--kind=f32", "-", "--", "--lr", "--data", NULL };
    assert_int_equal(parse(&s, &n, (char **)argv, &e), SP_OK);
    assert_int_equal(n, 5);
    static const char *const operands[] = { "in.txt", "b.txt", "-", "--lr", "--data" };
    for (int i = 0; i < n; i++)
        assert_string_equal(argv[i], operands[i]);
    assert_true(s.batch == 2000 && s.lr == 0.5 && s.quiet && !s.fused && s.kind == 0 && isnan(s.noise));
    assert_string_equal(s.model, "gpt");
    assert_int_equal(s.data.n, 2);
    assert_string_equal(s.data.at[0], "x");
    assert_string_equal(s.data.at[1], "y");
}

static void test_options_bad(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b, *what, *remedy;
    } rows[] = {
        { "--batch=0", NULL, "--batch 0: wanted a whole number from 1 to 4096 rows", "" },
        { "--batch", "1.5", "--batch 1.5: wanted a whole number from 1 to 4096 rows", "" },
        { "-b9999", NULL, "-b 9999: wanted a whole number from 1 to 4096 rows", "" },
        { "--lr=nan", NULL, "--lr nan: wanted a number from 0 to 10", "" },
        { "--lr=", NULL, "--lr : wanted a number from 0 to 10", "" },
        { "--lr", NULL, "--lr: a value is missing", "" },
        { "--kind=f16", NULL, "--kind f16: wanted one of f32, bf16", "" },
        { "--quiet=maybe", NULL, "--quiet maybe: wanted true or false", "" },
        { "--noise=x", NULL, "--noise x: wanted a number", "" },
        { "--bacth=1", NULL, "unknown option --bacth", "did you mean --batch?" },
        { "--no-lr", NULL, "unknown option --no-lr", "--help lists the options" },
        { "--zzzzzzzz", NULL, "unknown option --zzzzzzzz", "--help lists the options" },
        { "-z", NULL, "unknown option -z", "--help lists the options" },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        char a[64], b[64], *argv[] = { a, rows[i].b ? b : NULL, NULL };
        sp_format(a, sizeof a, "%s", rows[i].a);
        sp_format(b, sizeof b, "%s", rows[i].b ? rows[i].b : "");
        struct settings s;
        struct sp_err e = { 0 };
        int n = -1;
        assert_int_equal(parse(&s, &n, argv, &e), SP_USAGE);
        assert_string_equal(e.what, rows[i].what);
        assert_string_equal(e.remedy, rows[i].remedy);
        assert_int_equal(n, -1);
    }
    const char *many[SP_OPTION_LIST_MAX + 2] = { 0 };
    for (int i = 0; i <= SP_OPTION_LIST_MAX; i++)
        many[i] = "-dx";
    struct settings s;
    struct sp_err e = { 0 };
    int n;
    assert_int_equal(parse(&s, &n, (char **)many, &e), SP_LIMIT);
}

static void test_option_keys(void **state)
{
    (void)state;
    struct settings s;
    struct sp_option_set set[] = { { table, &s } };
    struct sp_err e = { 0 };
    struct sp_arena mem = { 0 };
    sp_option_defaults(set, 1);
    char path[] = "folder";
    assert_int_equal(sp_option_set_key(set, 1, "model.path", path, &mem, &e), SP_OK);
    path[0] = 'x'; /* the value was copied */
    assert_string_equal(s.model, "folder");
    assert_int_equal(sp_option_set_key(set, 1, "train.batch", "8", &mem, &e), SP_OK);
    assert_int_equal(s.batch, 8);
    assert_int_equal(sp_option_set_key(set, 1, "train.lr", "-1", &mem, &e), SP_USAGE);
    assert_string_equal(e.what, "train.lr -1: wanted a number from 0 to 10");
    assert_int_equal(sp_option_set_key(set, 1, "train.bath", "1", &mem, &e), SP_MISSING);
    assert_string_equal(e.remedy, "did you mean train.batch?");
    sp_mem_fail_at(0);
    struct sp_arena none = { 0 };
    assert_int_equal(sp_option_set_key(set, 1, "data", "1", &none, &e), SP_NOMEM);
    assert_int_equal(s.data.n, 0);
    sp_arena_clear(&mem);
}

/* What `print` writes, as text to be freed with free(). */
static char *printed(void (*print)(FILE *))
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    print(f);
    fclose(f);
    return text;
}

static void print_help(FILE *f)
{
    sp_option_help(table, f);
}

static void print_man(FILE *f)
{
    sp_option_man(table, f);
}

static void print_yaml(FILE *f)
{
    struct settings s;
    struct sp_option_set set[] = { { table, &s }, { table2, &s } };
    sp_option_defaults(set, 2);
    s.data.n = 2;
    s.data.at[0] = "a";
    s.data.at[1] = "b c";
    sp_option_yaml(set, 2, f);
}

static void test_option_prints(void **state)
{
    (void)state;
    char *help = printed(print_help), *man = printed(print_man), *yaml = printed(print_yaml);
    assert_non_null(strstr(help, "Training:\n  -b, --batch N             sequences in a step (1 to 4096; default 16 rows)\n"));
    assert_non_null(strstr(help, "Model:\n  -m, --model TEXT          folder of the model\n"));
    assert_non_null(strstr(help, "number format (f32, bf16; default bf16)"));
    for (char *line = help; *line; line = strchr(line, '\n') + 1)
        assert_true(strcspn(line, "\n") <= 80);
    assert_non_null(strstr(man, ".SS Training\n.TP\n\\fB\\-b\\fR, \\fB\\-\\-batch\\fR \\fIN\\fR\n"));
    assert_string_equal(yaml, "train:\n  batch: 16  # sequences in a step\n  lr: 0.0003  # learning rate at its highest\n"
                              "  fused: true  # fuse\n  noise: null  # noise\nmodel:\n  path: null  # folder of the model\n"
                              "  kind: \"bf16\"  # number format\ndata: [\"a\", \"b c\"]  # files to read\n"
                              "note: \"a \\\"b\\\"\\x0A\"\n");
    free(help);
    free(man);
    free(yaml);
}

/* Everything above that allocates, with the n-th allocation failing, for every n. */
static void test_every_allocation(void **state)
{
    (void)state;
    int walked = 0;
    for (int64_t n = 0;; n++, walked++) {
        uint64_t live = sp_mem_live(), before = sp_mem_count();
        sp_mem_fail_at(n);
        struct sp_arena a = { 0 };
        struct sp_text t = { 0 };
        struct settings s;
        struct sp_option_set set[] = { { table, &s } };
        struct sp_err e = { 0 };
        sp_option_defaults(set, 1);
        sp_option_set_key(set, 1, "model.path", "x", &a, &e);
        sp_option_set_key(set, 1, "data", "y", &a, &e);
        sp_arena_take(&a, 10000);
        sp_arena_printf(&a, "%0*d", 9000, 1);
        sp_text_printf(&t, "%0*d", 9000, 1);
        sp_text_add(&t, "x", 1);
        assert_true(t.full ? t.n < 9001 : t.n == 9001);
        char *help = printed(print_help);
        free(help);
        struct sp_pool *p = NULL;
        if (!sp_pool_new(&p, 2, &e))
            sp_pool_free(p);
        sp_text_clear(&t);
        sp_arena_clear(&a);
        assert_int_equal(sp_mem_live(), live);
        if (sp_mem_count() - before <= (uint64_t)n)
            break;
    }
    sp_mem_fail_at(-1);
    print_message("          %d allocations failed in turn\n", walked);
    assert_true(walked > 10);
}

/* ---- pool ---- */

enum { TASKS = 1000 };
struct job {
    struct sp_pool *pool;
    _Atomic int hits[TASKS];
    double out[TASKS];
    int threads;
};

static void task(void *arg, int64_t i, int thread)
{
    struct job *j = arg;
    assert(thread >= 0 && thread < j->threads);
    j->hits[i]++;
    double x = (double)i;
    for (int k = 0; k < 20; k++)
        x = x * 0.5 + 1.0 / (x + 1);
    j->out[i] = x;
}

static void test_pool(void **state)
{
    (void)state;
    static struct job one, many;
    one.threads = 1;
    sp_pool_run(NULL, task, &one, TASKS);
    static const int threads[] = { 1, 2, 3, 8 };
    for (size_t k = 0; k < SP_COUNT(threads); k++) {
        struct sp_err e = { 0 };
        struct sp_pool *p = NULL;
        assert_int_equal(sp_pool_new(&p, threads[k], &e), SP_OK);
        assert_true(sp_pool_threads(p) >= 1 && sp_pool_threads(p) <= threads[k]);
        for (int run = 0; run < 200; run++) {
            memset(&many, 0, sizeof many);
            many.threads = sp_pool_threads(p);
            int64_t n = run % 7 == 0 ? TASKS : run % 5;
            sp_pool_run(p, task, &many, n);
            for (int64_t i = 0; i < TASKS; i++)
                assert_int_equal(many.hits[i], i < n);
            assert_memory_equal(many.out, one.out, (size_t)n * sizeof *one.out);
        }
        sp_pool_free(p);
    }
    struct sp_err e = { 0 };
    struct sp_pool *p = NULL;
    assert_int_equal(sp_pool_new(&p, -1, &e), SP_USAGE);
    assert_int_equal(sp_pool_new(&p, SP_THREADS_MAX + 1, &e), SP_USAGE);
    assert_int_equal(sp_pool_new(&p, 0, &e), SP_OK);
    sp_pool_free(p);
    sp_pool_free(NULL);
    assert_int_equal(sp_pool_threads(NULL), 1);
}

static void slow(void *arg, int64_t i, int thread)
{
    struct job *j = arg;
    (void)thread;
    if (i)
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    j->hits[i]++;
}

/* The caller is done with its task long before the others are with theirs. */
static void test_pool_waits(void **state)
{
    (void)state;
    static struct job j;
    struct sp_err e = { 0 };
    assert_int_equal(sp_pool_new(&j.pool, 4, &e), SP_OK);
    for (int run = 1; run <= 20; run++) {
        sp_pool_run(j.pool, slow, &j, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(j.hits[i], run);
    }
    sp_pool_free(j.pool);
}

static void inner(void *arg, int64_t i, int thread)
{
    struct job *j = arg;
    (void)thread;
    j->hits[i]++;
}

static void outer(void *arg, int64_t i, int thread)
{
    struct job *j = arg;
    (void)i, (void)thread;
    sp_pool_run(j->pool, inner, j, 10);
}

static void test_pool_nested(void **state)
{
    (void)state;
    static struct job j;
    struct sp_err e = { 0 };
    assert_int_equal(sp_pool_new(&j.pool, 3, &e), SP_OK);
    sp_pool_run(j.pool, outer, &j, 50);
    for (int i = 0; i < 10; i++)
        assert_int_equal(j.hits[i], 50);
    sp_pool_free(j.pool);
}

static void *call(void *arg)
{
    static struct job jobs[2];
    struct job *shared = arg;
    struct job *j = &jobs[shared->hits[0]++ & 1];
    j->threads = sp_pool_threads(shared->pool);
    for (int run = 0; run < 500; run++)
        sp_pool_run(shared->pool, task, j, 37);
    for (int i = 0; i < TASKS; i++)
        assert(j->hits[i] == (i < 37 ? 500 : 0));
    return NULL;
}

/* Two threads use one pool at the same time: they take turns. */
static void test_pool_callers(void **state)
{
    (void)state;
    static struct job shared;
    struct sp_err e = { 0 };
    pthread_t other;
    assert_int_equal(sp_pool_new(&shared.pool, 3, &e), SP_OK);
    assert_int_equal(pthread_create(&other, NULL, call, &shared), 0);
    call(&shared);
    pthread_join(other, NULL);
    sp_pool_free(shared.pool);
}

/* ---- random numbers ---- */

static void test_philox(void **state)
{
    (void)state;
    /* kat_vectors of Random123 1.14: philox4x32 10 */
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } rows[] = {
        { { 0 }, { 0 }, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        uint32_t out[4];
        sp_random_philox(rows[i].key, rows[i].counter, out);
        assert_memory_equal(out, rows[i].out, sizeof out);
    }
    uint32_t a[4], b[4];
    sp_random_block(0x0000000200000001, 0x0000000400000003, a);
    sp_random_philox((const uint32_t[]){ 1, 2 }, (const uint32_t[]){ 3, 4, 0, 0 }, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(sp_random_key(1, "dropout") != sp_random_key(1, "shuffle"));
    assert_true(sp_random_key(1, "dropout") != sp_random_key(2, "dropout"));
}

static void test_random_draws(void **state)
{
    (void)state;
    enum { N = 100000 };
    struct sp_random r = { .key = sp_random_key(7, "test") };
    double sum = 0, square = 0, fourth = 0, unit = 0;
    int bins[10] = { 0 };
    for (int i = 0; i < N; i++) {
        double x = sp_random_normal(&r), u = sp_random_unit(&r);
        assert_true(isfinite(x) && u >= 0 && u < 1);
        sum += x;
        square += x * x;
        fourth += x * x * x * x;
        unit += u;
        bins[sp_random_below(&r, 10)]++;
    }
    assert_true(fabs(sum / N) < 0.015 && fabs(square / N - 1) < 0.02 && fabs(fourth / N - 3) < 0.15);
    assert_true(fabs(unit / N - 0.5) < 0.005);
    for (int i = 0; i < 10; i++)
        assert_true(abs(bins[i] - N / 10) < 500);
    assert_int_equal(sp_random_below(&r, 0), 0);
    assert_int_equal(sp_random_below(&r, 1), 0);
    /* Own series against libm, from the same draws. */
    struct sp_random p = { .key = 3 }, q = { .key = 3 };
    for (int i = 0; i < 10000; i++) {
        double x = sp_random_normal(&p), u = sp_random_unit(&q) + 0x1p-53, v = sp_random_unit(&q);
        assert_true(fabs(x - sqrt(-2 * log(u)) * cos(2 * acos(-1) * v)) < 1e-14);
    }
}

/* ---- events and signals ---- */

static void count_event(void *self, const struct sp_event *e)
{
    *(int64_t *)self += e->done;
}

static void test_events(void **state)
{
    (void)state;
    int64_t n = 0;
    struct sp_event e = { .kind = SP_EVENT_STEP, .done = 5 };
    sp_tell(NULL, &e);
    sp_tell(&(struct sp_watch){ 0 }, &e);
    sp_tell(&(struct sp_watch){ count_event, &n }, &e);
    assert_int_equal(n, 5);
    double a = sp_now();
    assert_true(sp_now() >= a);
    struct sp_progress p;
    sp_progress_begin(&p, "quiet", true);
    for (int i = 0; i <= 10; i++)
        sp_progress_show(&p, i, 10, NULL);
    sp_progress_end(&p, "closed");
    sp_log(SP_LOG_DEBUG, "not shown %d", 1);
}

/* What `say` writes to standard error, as text to be freed with free(). */
static char *said(void (*say)(void))
{
    fflush(stderr);
    FILE *f = tmpfile();
    int was = dup(STDERR_FILENO);
    dup2(fileno(f), STDERR_FILENO);
    say();
    fflush(stderr);
    dup2(was, STDERR_FILENO);
    close(was);
    char *text = calloc(1, 1000);
    rewind(f);
    assert_true(fread(text, 1, 999, f) > 0);
    fclose(f);
    return text;
}

static void say_plain(void)
{
    struct sp_progress p;
    sp_progress_begin(&p, "train", false);
    sp_progress_show(&p, 0, 100, NULL); /* too early for a line */
    p.began -= 10;
    p.last -= 10;
    sp_progress_show(&p, 25, 100, "loss 3.2");
    sp_progress_show(&p, 26, 100, "loss 3.1"); /* too early again */
    sp_progress_end(&p, "100 steps");
    sp_progress_end(&p, "only once");
}

static void say_live(void)
{
    struct sp_progress p;
    sp_progress_begin(&p, "train", false);
    p.live = true;
    p.last = 0;
    sp_progress_show(&p, 50, 100, NULL);
    sp_log(SP_LOG_WARN, "careful");
    sp_progress_end(&p, NULL);
}

static void test_progress(void **state)
{
    (void)state;
    char *plain = said(say_plain), *live = said(say_live);
    assert_non_null(strstr(plain, "train  25.0 %  2.5/s  30 s left  loss 3.2\ntrain: 100 steps, 10 s\n"));
    assert_null(strstr(plain, "3.1"));
    assert_null(strstr(plain, "once"));
    assert_non_null(strstr(live, "\rtrain [############............]  50.0 %"));
    assert_non_null(strstr(live, "\r\033[Ksparsam: warn: careful\ntrain: done, "));
    free(plain);
    free(live);
}

static void test_signals(void **state)
{
    (void)state;
    sp_signals_install();
    assert_int_equal(sp_signal_pending(), 0);
    raise(SIGTERM);
    assert_int_equal(sp_signal_pending(), SIGTERM);
    sp_signals_install();
    raise(SIGINT);
    assert_int_equal(sp_signal_pending(), SIGINT);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err),
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_block),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_numbers_locale),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_options_bad),
        cmocka_unit_test(test_option_keys),
        cmocka_unit_test(test_option_prints),
        cmocka_unit_test(test_every_allocation),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_pool_waits),
        cmocka_unit_test(test_pool_nested),
        cmocka_unit_test(test_pool_callers),
        cmocka_unit_test(test_philox),
        cmocka_unit_test(test_random_draws),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
