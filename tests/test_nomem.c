/* tests/test_nomem.c - every allocation fails in turn, and a sample of them with all
 * after it, while data, tokenizer and model are loaded, in training, saving, resuming,
 * generating and booking: SP_NOMEM with a sentence, no crash, nothing leaked.  And
 * a step of training, or a token, allocates nothing: not through our door, and
 * where no sanitizer is in the way, not by any library.
 *
 * SQLite's memory goes through the door here, jansson's and PCRE2's always does.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "catalog/catalog.h"
#include "plan/answer.h"
#include "data/data.h"
#include "infer/infer.h"
#include "learn/learn.h"
#include "ledger/ledger.h"

/* ---- every call of the C library's allocator, by whomever ---- */

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define COUNTS_ALL 0
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define COUNTS_ALL 0
#endif
#endif
#if !defined COUNTS_ALL && defined __GLIBC__
#define COUNTS_ALL 1
#endif

static _Atomic long all_calls;

#if COUNTS_ALL
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

void *malloc(size_t n)
{
    all_calls++;
    return __libc_malloc(n);
}
void *calloc(size_t count, size_t n)
{
    all_calls++;
    return __libc_calloc(count, n);
}
void *realloc(void *p, size_t n)
{
    all_calls++;
    return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n)
{
    all_calls++;
    return __libc_memalign(align, n);
}
void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
    all_calls++;
    return __libc_memalign(align, n);
}
int posix_memalign(void **out, size_t align, size_t n)
{
    all_calls++;
    *out = __libc_memalign(align, n);
    return *out ? 0 : ENOMEM;
}
#endif

/* ---- SQLite through the door: the size stands before the block ---- */

enum { HEAD = 64 };

static void *lite_take(int n)
{
    unsigned char *p = sp_alloc((size_t)n + HEAD);
    if (!p)
        return NULL;
    memcpy(p, &n, sizeof n);
    return p + HEAD;
}

static int lite_size(void *p)
{
    int n = 0;
    if (p)
        memcpy(&n, (unsigned char *)p - HEAD, sizeof n);
    return n;
}

static void lite_give(void *p)
{
    if (p)
        sp_free((unsigned char *)p - HEAD);
}

static void *lite_again(void *p, int n)
{
    void *q = lite_take(n);
    int old = lite_size(p);
    if (q && p) {
        memcpy(q, p, (size_t)(old < n ? old : n));
        lite_give(p);
    }
    return q;
}

static int lite_round(int n)
{
    return (n + 7) & ~7;
}

static int lite_begin(void *unused)
{
    (void)unused;
    return SQLITE_OK;
}

static void lite_end(void *unused)
{
    (void)unused;
}

/* ---- a folder with everything ---- */

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { CONTEXT = 16, STEPS = 6 };

static char folder[64];
static struct sp_machine machine;
static struct sp_pool *pool;

static const char *in(const char *name)
{
    static char path[4][128];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void write_text(void)
{
    struct sp_text t = { 0 };
    for (int i = 0; i < 40; i++)
        sp_text_printf(&t, "the cat %d and the hat sat %s<|endoftext|>\n", i, i % 3 ? "down" : "here");
    OK(sp_make_folder(in("data"), &err));
    OK(sp_write_file(in("data/a.txt"), t.at, t.n, &err));
    gzFile g = gzopen(in("data/b.txt.gz"), "wb");
    assert_int_equal(gzwrite(g, "packed text", 11), 11);
    gzclose(g);
    sp_text_clear(&t);
    static const char lines[] = "{\"text\": \"one line\"}\n{\"text\": \"another \\u00e4 line\"}\n", page[] = "<html><body><h1>A</h1><p>b c</p></body></html>";
    OK(sp_write_file(in("data/c.jsonl"), lines, sizeof lines - 1, &err));
    OK(sp_write_file(in("data/d.html"), page, sizeof page - 1, &err));
    static const char recipe[] = "model: {layers: 1, width: 16}\ntrain: {steps: 3, lr: 0.01, out: somewhere}\n";
    OK(sp_write_file(in("recipe.yaml"), recipe, sizeof recipe - 1, &err));
    /* a pattern of its own, so that PCRE2 has to be asked */
    static const char json[] = "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"[a-z]+|[^a-z]\"}},"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}}";
    OK(sp_write_file(in("regex.json"), json, sizeof json - 1, &err));
}

static int set_up(void **u)
{
    (void)u;
    snprintf(folder, sizeof folder, "%s/sparsam-nomem-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    if (!mkdtemp(folder))
        return -1;
    sp_machine_portable(&machine);
    machine.features = sp_cpu_features();
    OK(sp_pool_new(&pool, 2, &err));
    write_text();
    sp_log_set(SP_LOG_ERROR);
    return 0;
}

static int tear_down(void **u)
{
    char command[96];
    (void)u;
    sp_pool_free(pool);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

/* ---- what is tried ---- */

static enum sp_status load_data(struct sp_err *e)
{
    struct sp_documents d = { 0 };
    struct sp_split s = { 0 };
    struct sp_tokenizer *t = NULL;
    struct sp_tokens tokens = { 0 };
    enum sp_status st = sp_documents_read(&d, in("data"), NULL, NULL, e);
    if (!st && d.report.files_skipped)
        fail_msg("skipped: %s", d.report.skipped[0]);
    st = st ? st : sp_documents_split(&d, 0.2, &s, e);
    st = st ? st : sp_tokenizer_bytes(&t, "<|endoftext|>", e);
    st = st ? st : sp_tokens_build(&tokens, s.train, s.n_train, t, NULL, e);
    if (!st)
        assert_int_equal(d.report.used, 44);
    sp_tokens_free(&tokens);
    sp_tokenizer_free(t);
    sp_split_free(&s);
    sp_documents_free(&d);
    return st;
}

static enum sp_status make_tokenizer(struct sp_err *e)
{
    static const char text[] = "the cat and the hat sat on the mat, the mat";
    static const char *special = "<|endoftext|>";
    struct sp_slice doc = { text, sizeof text - 1 };
    struct sp_tokenizer *t = NULL;
    enum sp_status st = sp_bpe_train(&t, &doc, 1, 270, &special, 1, NULL, e);
    st = st ? st : sp_tokenizer_save(t, in("tokenizer.json"), e);
    sp_tokenizer_free(t);
    return st;
}

static enum sp_status load_one(const char *path, const char *says, struct sp_err *e)
{
    struct sp_tokenizer *t = NULL;
    struct sp_ids ids = { 0 };
    struct sp_text back = { 0 };
    enum sp_status st = sp_tokenizer_load(&t, path, e);
    st = st ? st : sp_tokenizer_encode(t, "abab", 4, true, &ids, e);
    st = st ? st : sp_tokenizer_decode(t, ids.at, ids.n, false, &back, e);
    if (!st)
        assert_string_equal(back.at, says);
    sp_ids_clear(&ids);
    sp_text_clear(&back);
    sp_tokenizer_free(t);
    return st;
}

static enum sp_status load_tokenizer(struct sp_err *e)
{
    return load_one(in("tokenizer.json"), "abab", e);
}

static enum sp_status load_regex(struct sp_err *e)
{
    return load_one(in("regex.json"), "ab ab", e); /* without a decoder blanks join tokens */
}

static enum sp_status read_recipe(struct sp_err *e)
{
    struct sp_recipe r;
    struct sp_arena mem = { 0 };
    sp_recipe_defaults(&r);
    enum sp_status st = sp_recipe_read(&r, in("recipe.yaml"), &mem, e);
    if (!st) {
        assert_int_equal(r.train.steps, 3);
        assert_string_equal(r.train.out, "somewhere");
    }
    sp_arena_clear(&mem);
    return st;
}

/* A training run of a few steps; what it needs, and what it saw. */
struct training { struct sp_recipe recipe; struct sp_pool *pool; struct sp_job job; struct sp_live live; struct sp_learned learned; long door[STEPS + 1], all[STEPS + 1]; };

static void on_step(void *self, const struct sp_event *e)
{
    struct training *t = self;
    if (e->kind != SP_EVENT_STEP || e->done > STEPS)
        return;
    t->door[e->done] = (long)sp_mem_count();
    t->all[e->done] = all_calls;
}

static enum sp_status open_training(struct training *t, enum sp_family f, int compute, struct sp_err *e)
{
    struct sp_model_config c = { .family = f, .vocab = 270, .context = CONTEXT, .layers = 1, .width = 16, .heads = 2, .kv_heads = 1, .ffn = 20, .tied = true,
                                 .bos = -1, .activation = f == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_recipe_train *r = &t->recipe.train;
    sp_recipe_defaults(&t->recipe);
    r->batch = 2;
    r->steps = 2;
    r->tokens_total = 0;
    r->minutes = 0;
    r->compute = compute;
    r->dropout = 0.1;
    r->eval_every = r->checkpoint_every = 0;
    r->out = NULL;
    TRY(sp_model_config_finish(&c, e));
    TRY(sp_pool_new(&t->pool, 2, e));
    struct sp_train_shape shape = sp_train_shape_of(&t->recipe, &c);
    TRY(sp_step_train(&c, &shape, &machine, NULL, NULL, &t->job, e));
    TRY(sp_live_new(&t->live, &t->job, t->pool, false, e));
    return sp_live_init(&t->live, 5, e);
}

static void close_training(struct training *t)
{
    sp_live_clear(&t->live);
    sp_job_clear(&t->job);
    sp_pool_free(t->pool);
}

static int32_t stream[500];

static enum sp_status run_training(struct training *t, struct sp_err *e)
{
    for (int i = 0; i < 500; i++)
        stream[i] = i * 7 % 270;
    struct sp_tokens tokens = { .i32 = stream, .n = 500, .documents = 1, .text_bytes = 500, .vocab = 270, .eos = -1, .bos = -1 };
    struct sp_watch watch = { on_step, t };
    struct sp_learn l = { .how = &t->recipe.train, .live = &t->live, .train = &tokens, .valid = &tokens, .watch = &watch };
    return sp_learn_run(&l, &t->learned, e);
}

static enum sp_status train(struct sp_err *e)
{
    struct training t = { 0 };
    enum sp_status st = open_training(&t, SP_FAMILY_LLAMA, SP_COMPUTE_BF16, e);
    st = st ? st : run_training(&t, e);
    if (!st)
        assert_int_equal(t.learned.steps, 2);
    close_training(&t);
    return st;
}

static struct training held; /* opened once, for what only saves and resumes */

static enum sp_status save(struct sp_err *e)
{
    TRY(sp_checkpoint_save(in("model"), &held.live, NULL, 2, 1, e));
    return sp_model_save(in("model"), &held.job.config, &held.job.state, held.live.state.at, SP_F32, in("tokenizer.json"), 0, e);
}

static enum sp_status resume(struct sp_err *e)
{
    held.recipe.train.out = in("model");
    held.recipe.train.resume = true;
    held.recipe.train.steps = 4;
    held.learned = (struct sp_learned){ 0 };
    enum sp_status st = run_training(&held, e);
    if (!st)
        assert_int_equal(held.learned.steps, 4);
    return st;
}

static enum sp_status open_and_generate(struct sp_err *e)
{
    struct sp_serve_shape shape = { .batch = 1, .prefill = 4, .cache = CONTEXT, .compute = SP_F32, .stored = SP_F32, .cached = SP_F32 };
    struct sp_sampling how = { .temperature = 0.9, .top_p = 0.9, .repeat_penalty = 1.1, .top_k = 20, .seed = 3 };
    struct sp_engine engine;
    struct sp_session session;
    struct sp_answer a = { 0 };
    struct sp_ids prompt = { 0 };
    TRY(sp_engine_open(&engine, in("model"), NULL, &shape, &machine, pool, e));
    assert_non_null(engine.tokenizer);
    sp_session_begin(&session, &engine);
    enum sp_status st = sp_tokenizer_encode(engine.tokenizer, "the cat", 7, true, &prompt, e);
    st = st ? st : sp_generate(&session, prompt.at, (int64_t)prompt.n, &how, 5, true, NULL, &a, e);
    if (!st)
        assert_int_equal(a.ids.n, 5);
    sp_answer_clear(&a);
    sp_ids_clear(&prompt);
    sp_session_end(&session);
    sp_engine_close(&engine);
    return st;
}

static enum sp_status use_ledger(struct sp_ledger *l, struct sp_err *e)
{
    struct sp_cost cost = { .time_s = sp_exact(2, SP_HOW_COUNTER), .currency = "EUR" };
    struct sp_rates rates = { .n = 1, .at = { { "gemm", 1, 1, SP_HOW_COUNTER } } };
    struct sp_hash head;
    int64_t run = 0, events = 0;
    json_t *list = NULL;
    TRY(sp_ledger_start(l, &(struct sp_run_start){ .verb = "eval", .command = "sparsam eval", .machine = &machine }, &run, e));
    TRY(sp_ledger_end(l, run, &(struct sp_run_end){ .measured = &cost, .energy_source = "model" }, e));
    TRY(sp_ledger_rates_put(l, "here", &rates, e));
    TRY(sp_ledger_rates_get(l, "here", &rates, e));
    TRY(sp_ledger_list(l, 3, &list, e));
    json_t *newest = json_array_get(list, 0), *measured = json_object_get(json_object_get(newest, "end"), "measured");
    bool whole = json_integer_value(json_object_get(newest, "run")) == run && json_object_get(measured, "time_s") && json_object_get(measured, "currency") &&
                 json_object_get(json_object_get(newest, "start"), "machine");
    json_decref(list);
    assert_true(whole);
    TRY(sp_ledger_head(l, &head, &events, e));
    return sp_ledger_verify(l, head.hex, &events, e);
}

/* A new one each time: a ledger that grows would have more allocations each time. */
static enum sp_status book(struct sp_err *e)
{
    static const char *const names[] = { "ledger.db", "ledger.db-wal", "ledger.db-shm" };
    struct sp_ledger *l = NULL;
    for (int i = 0; i < 3; i++)
        unlink(in(names[i]));
    TRY(sp_ledger_open(&l, in("ledger.db"), e));
    enum sp_status st = use_ledger(l, e);
    sp_ledger_close(l);
    return st;
}

/* A job that is cut to fit, one that is served, and a search: the catalogue, graphs and what was counted are all there. */
static enum sp_status plan(struct sp_err *e)
{
    struct sp_catalog *facts = NULL;
    struct sp_planned p;
    struct sp_best *best = NULL;
    struct sp_machine m = { .threads = 1, .pue = 1 };
    struct sp_ask a = { .task = SP_TASK_TRAIN, .batch = 1, .accumulate = 1, .epochs = 1, .rank = 8, .tokens = 1e9, .context = 512,
                        .cut = { .tensor = 1, .pipeline = 1, .context = 1, .expert = 1 } };
    TRY(sp_catalog_open(&facts, e));
    struct sp_planned_with with = { .catalog = facts, .price_per_hour = -1 };
    enum sp_status st = sp_catalog_place(facts, "a100-80gb", &m, e);
    a.machine = m;
    st = st ? st : sp_ask_model(&a, "gpt2", e);
    st = st ? st : sp_plan_answer(&a, &with, &p, NULL, e);
    st = st ? st : sp_plan_best(&a, &(struct sp_best_ask){ .with = &with, .by = SP_BEST_MONEY, .n = 1, .machine = &m }, &best, e);
    if (!st)
        assert_true(p.fits && best->n > 0);
    sp_free(best);
    sp_catalog_free(facts);
    return st;
}

static const struct { const char *name; enum sp_status (*run)(struct sp_err *e); } row[] = {
    { "reading data", load_data }, { "making a tokenizer", make_tokenizer }, { "loading a tokenizer", load_tokenizer },
    { "loading one with a pattern", load_regex }, { "reading a recipe", read_recipe }, { "training two steps", train }, { "saving", save },
    { "resuming", resume }, { "loading a model, generating", open_and_generate }, { "making a ledger, booking", book }, { "planning", plan },
};

/* ---- the walk ---- */

/* n-th allocation fails; true when there was one. */
static bool try_one(size_t i, int64_t n, bool all_after, int *survived)
{
    struct sp_err e = { 0 };
    char line[1200];
    uint64_t live = sp_mem_live(), count = sp_mem_count();
    if (all_after)
        sp_mem_fail_from(n);
    else
        sp_mem_fail_at(n);
    enum sp_status st = row[i].run(&e);
    sp_mem_fail_at(-1);
    bool fired = sp_mem_count() - count > (uint64_t)n;
    if (sp_mem_live() != live)
        fail_msg("%s, allocation %lld%s: %lld blocks are left", row[i].name, (long long)n, all_after ? " and all after" : "", (long long)(sp_mem_live() - live));
    if (st && (!fired || st != SP_NOMEM || e.status != st || strlen(e.what) < 10 || strchr(e.what, '\n')))
        fail_msg("%s, allocation %lld%s: status %d: %s", row[i].name, (long long)n, all_after ? " and all after" : "", st, sp_err_line(&e, line, sizeof line));
    *survived += fired && !st;
    return fired;
}

static void every_allocation_fails(void **u)
{
    (void)u;
    OK(open_training(&held, SP_FAMILY_LLAMA, SP_COMPUTE_F32, &err));
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        int64_t n[2] = { 0, 0 };
        int survived[2] = { 0, 0 };
        if (row[i].run(&err)) /* first whole: what is loaded late is there then, and what later rows read */
            fail_msg("%s: %s", row[i].name, err.what);
        for (int all = 0; all < 2; all++)
            while (try_one(i, n[all], all, &survived[all]))
                n[all] += all ? 1 + n[all] / 64 : 1;
        assert_true(n[0] > 0 && n[1] > 0);
        print_message("%-28s %5lld allocations failed; %d times it could do without, %d times without all after\n", row[i].name, (long long)n[0],
                      survived[0], survived[1]);
    }
    close_training(&held);
}

/* ---- nothing is allocated inside a step ---- */

static void steps_allocate_nothing(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++)
        for (int compute = SP_COMPUTE_F32; compute <= SP_COMPUTE_BF16; compute++) {
            struct training t = { 0 };
            OK(open_training(&t, (enum sp_family)f, compute, &err));
            t.recipe.train.steps = STEPS;
            t.recipe.train.accumulate = 2;
            OK(run_training(&t, &err));
            for (int i = 2; i <= STEPS; i++) {
                assert_int_equal(t.door[i], t.door[1]);
                assert_int_equal(t.all[i], t.all[1]);
            }
            close_training(&t);
        }
}

struct counts { int64_t n; long door[CONTEXT], all[CONTEXT]; };

static void on_token(void *self, const struct sp_event *e)
{
    struct counts *c = self;
    if (e->kind == SP_EVENT_TOKEN && c->n < CONTEXT) {
        c->door[c->n] = (long)sp_mem_count();
        c->all[c->n++] = all_calls;
    }
}

static void tokens_allocate_nothing(void **u)
{
    struct sp_serve_shape shape = { .batch = 1, .prefill = 4, .cache = CONTEXT, .compute = SP_F32, .stored = SP_F32, .cached = SP_F32 };
    struct sp_sampling how[] = { { .greedy = true, .repeat_penalty = 1.1 }, { .temperature = 0.9, .top_p = 0.9, .min_p = 0.01, .top_k = 20, .seed = 3 } };
    struct sp_engine engine;
    (void)u;
    OK(sp_engine_open(&engine, in("model"), NULL, &shape, &machine, pool, &err));
    for (size_t h = 0; h < SP_COUNT(how); h++) {
        struct counts c = { 0 };
        struct sp_watch watch = { on_token, &c };
        struct sp_session session;
        struct sp_answer a = { 0 };
        sp_session_begin(&session, &engine);
        OK(sp_generate(&session, (int32_t[]){ 5, 6, 7 }, 3, &how[h], CONTEXT - 3, true, &watch, &a, &err));
        assert_int_equal(c.n, CONTEXT - 3);
        for (int i = 1; i < c.n; i++) {
            assert_int_equal(c.door[i], c.door[0]);
            assert_int_equal(c.all[i], c.all[0]);
        }
        sp_answer_clear(&a);
        sp_session_end(&session);
    }
    sp_engine_close(&engine);
    assert_true(!COUNTS_ALL || all_calls > 1000);
}

int main(void)
{
    static const sqlite3_mem_methods lite = { lite_take, lite_give, lite_again, lite_size, lite_round, lite_begin, lite_end, NULL };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_fails), cmocka_unit_test(steps_allocate_nothing), cmocka_unit_test(tokens_allocate_nothing),
    };
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &lite) != SQLITE_OK)
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
