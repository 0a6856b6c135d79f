/* tests/test_learn.c - the training loop: a run cut short and resumed ends with
 * the same bits, damaged checkpoints, full disks, divergence, schedules by hand.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "learn/learn.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

/* ---- a small run ---- */

enum { STREAM = 3000, VOCAB = 13, STEPS = 12, CUT = 7 };

static int32_t stream[STREAM];

/* Each token follows from the one before it, except one in eight. */
static struct sp_tokens tokens(void)
{
    struct sp_random r = { .key = 4 };
    for (int i = 0; i < STREAM; i++)
        stream[i] = i < 1 || sp_random_below(&r, 8) == 0 ? (int32_t)sp_random_below(&r, VOCAB) : (stream[i - 1] * 3 + 1) % VOCAB;
    return (struct sp_tokens){ .i32 = stream, .n = STREAM, .documents = 1, .text_bytes = STREAM, .vocab = VOCAB, .eos = -1, .bos = -1 };
}

struct running { struct sp_recipe recipe; struct sp_job job; struct sp_live live; struct sp_pool *pool; struct sp_tokens tokens; };

/* What a watch does at a step. */
struct watcher { struct running *r; int64_t at; int signal; bool poison; uint64_t allocated[STEPS + 1]; };

static void begin(struct running *r, enum sp_family f, int threads, int compute)
{
    struct sp_model_config c = { .family = f, .vocab = VOCAB, .context = 8, .layers = 2, .width = 16, .heads = 4, .kv_heads = 2, .ffn = 20,
                                 .tied = true, .bias = true, .bos = -1, .activation = f == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_machine m;
    memset(r, 0, sizeof *r);
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    r->tokens = tokens();
    sp_recipe_defaults(&r->recipe);
    struct sp_recipe_train *t = &r->recipe.train;
    t->batch = 4;
    t->tokens = 8;
    t->accumulate = 2;
    t->steps = STEPS;
    t->tokens_total = 0;
    t->minutes = 0;
    t->warmup_steps = 2;
    t->lr = 1e-2;
    t->dropout = 0.1;
    t->compute = compute;
    t->eval_every = t->checkpoint_every = 0;
    t->seed = 5;
    t->out = t->init = NULL;
    t->resume = true;
    OK(sp_model_config_finish(&c, &err));
    OK(sp_pool_new(&r->pool, threads, &err));
    struct sp_train_shape shape = sp_train_shape_of(&r->recipe, &c);
    OK(sp_step_train(&c, &shape, &m, NULL, NULL, &r->job, &err));
    OK(sp_live_new(&r->live, &r->job, r->pool, false, &err));
    OK(sp_live_init(&r->live, 5, &err));
}

static void end(struct running *r)
{
    sp_live_clear(&r->live);
    sp_job_clear(&r->job);
    sp_pool_free(r->pool);
}

static bool kept(const struct sp_state_entry *e)
{
    return e->kind == SP_STATE_PARAM || e->kind == SP_STATE_MOMENT;
}

static void poison(struct running *r)
{
    for (int i = 0; i < r->job.state.n; i++)
        if (r->job.state.entry[i].kind == SP_STATE_PARAM)
            ((float *)sp_live_state(&r->live, r->job.state.entry[i].name))[0] = NAN;
    if (r->job.has[SP_RUN_REFRESH])
        sp_live_run(&r->live, SP_RUN_REFRESH);
}

static void on_event(void *self, const struct sp_event *e)
{
    struct watcher *w = self;
    if (e->kind != SP_EVENT_STEP)
        return;
    if (e->done <= STEPS)
        w->allocated[e->done] = sp_mem_count();
    if (e->done == w->at && w->signal)
        raise(w->signal);
    if (e->done == w->at && w->poison)
        poison(w->r);
}

static enum sp_status train(struct running *r, struct watcher *w, struct sp_learned *out)
{
    struct sp_watch watch = { on_event, w };
    struct sp_learn l = { .how = &r->recipe.train, .live = &r->live, .train = &r->tokens, .watch = w ? &watch : NULL };
    if (w)
        w->r = r;
    return sp_learn_run(&l, out, &err);
}

static void same_bits(const struct running *a, const struct running *b)
{
    int n = 0;
    for (int i = 0; i < a->job.state.n; i++) {
        const struct sp_state_entry *e = &a->job.state.entry[i];
        if (kept(e) && memcmp(a->live.state.at + e->at, b->live.state.at + e->at, (size_t)sp_type_bytes(&e->type)))
            fail_msg("%s differs", e->name);
        n += kept(e);
    }
    assert_true(n > 20);
}

/* ---- folders ---- */

struct place { char dir[64], out[80], path[2][120]; };

static void make_place(struct place *p)
{
    strcpy(p->dir, "/tmp/sparsam-learn-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->out, sizeof p->out, "%s/out", p->dir);
    snprintf(p->path[0], sizeof p->path[0], "%s/checkpoint.safetensors", p->out);
    snprintf(p->path[1], sizeof p->path[1], "%s/checkpoint.old.safetensors", p->out);
}

static void remove_place(const struct place *p)
{
    char command[120];
    snprintf(command, sizeof command, "rm -r %s", p->dir);
    assert_int_equal(system(command), 0);
}

static void damage(const char *path)
{
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -3, SEEK_END), 0);
    fputc(c ^ 0x10, f);
    fclose(f);
}

static void hash_of(const char *path, char hex[65])
{
    struct sp_hash h;
    OK(sp_hash_file(&h, path, &err));
    memcpy(hex, h.hex, 64);
    hex[64] = 0;
}

/* ---- interrupted and resumed ---- */

static void cut_and_resume(enum sp_family f, int threads, const struct running *whole)
{
    struct place p;
    struct running r;
    struct sp_learned done = { 0 };
    struct watcher w = { .at = CUT, .signal = SIGTERM };
    make_place(&p);
    sp_signals_install();
    begin(&r, f, threads, SP_COMPUTE_F32);
    r.recipe.train.out = p.out;
    OK(train(&r, &w, &done));
    assert_true(done.interrupted && done.steps == CUT && done.begun_at == 0);
    end(&r);
    sp_signals_install(); /* forgets the signal */
    begin(&r, f, threads, SP_COMPUTE_F32);
    r.recipe.train.out = p.out;
    OK(train(&r, NULL, &done));
    assert_true(!done.interrupted && done.begun_at == CUT && done.steps == STEPS);
    same_bits(whole, &r);
    OK(train(&r, NULL, &done)); /* once more: nothing is left */
    assert_true(done.complete && done.steps == STEPS);
    end(&r);
    remove_place(&p);
}

static void resumed_equals_uninterrupted(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++)
        for (int threads = 1; threads <= 2; threads++) {
            struct running whole;
            struct sp_learned done = { 0 };
            begin(&whole, (enum sp_family)f, threads, SP_COMPUTE_F32);
            OK(train(&whole, NULL, &done));
            assert_int_equal(done.steps, STEPS);
            cut_and_resume((enum sp_family)f, threads, &whole);
            end(&whole);
        }
}

/* A run of checkpoints at 5, 10 and the end. */
static void fill_place(struct place *p)
{
    struct running r;
    struct sp_learned done = { 0 };
    make_place(p);
    begin(&r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    r.recipe.train.out = p->out;
    r.recipe.train.checkpoint_every = 5;
    OK(train(&r, NULL, &done));
    end(&r);
}

static enum sp_status resume(const struct place *p, struct sp_learned *done, struct running *r)
{
    begin(r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    r->recipe.train.out = p->out;
    return train(r, NULL, done);
}

static void damaged_falls_back(void **u)
{
    struct place p;
    struct running r, whole;
    struct sp_learned done = { 0 };
    (void)u;
    fill_place(&p);
    damage(p.path[0]);
    sp_log_set(SP_LOG_ERROR);
    OK(resume(&p, &done, &r));
    sp_log_set(SP_LOG_WARN);
    assert_int_equal(done.begun_at, 10);
    begin(&whole, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    OK(train(&whole, NULL, &done));
    same_bits(&whole, &r);
    end(&whole);
    end(&r);
    remove_place(&p);
}

static void says(enum sp_status got, enum sp_status want)
{
    assert_int_equal(got, want);
    assert_true(strlen(err.what) > 10 && !strchr(err.what, '\n'));
    print_message("%s\n", err.what);
}

/* Also when the newer one is gone altogether: work is never begun anew over what may be saved by hand. */
static void both_damaged_is_said(void **u)
{
    struct place p;
    struct running r;
    struct sp_learned done = { 0 };
    (void)u;
    fill_place(&p);
    damage(p.path[0]);
    damage(p.path[1]);
    says(resume(&p, &done, &r), SP_FORMAT);
    end(&r);
    assert_int_equal(unlink(p.path[0]), 0);
    says(resume(&p, &done, &r), SP_FORMAT);
    end(&r);
    remove_place(&p);
}

static void limit_files(rlim_t bytes, struct rlimit *was)
{
    struct rlimit now;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, was), 0);
    now = *was;
    now.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
}

/* No room for the new one: a sentence, and the one before is still loaded, even after the newest was damaged. */
static void no_room_loses_nothing(void **u)
{
    struct place p;
    struct running r;
    struct rlimit was;
    int64_t step = 0;
    double seconds;
    (void)u;
    fill_place(&p);
    sp_log_set(SP_LOG_ERROR);
    begin(&r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    damage(p.path[0]);
    OK(sp_checkpoint_load(p.out, &r.live, NULL, &step, &seconds, &err));
    assert_int_equal(step, 10);
    limit_files(4096, &was);
    enum sp_status st = sp_checkpoint_save(p.out, &r.live, NULL, 11, 1, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    says(st, SP_IO);
    err = (struct sp_err){ 0 };
    OK(sp_checkpoint_load(p.out, &r.live, NULL, &step, &seconds, &err));
    assert_int_equal(step, 10);
    sp_log_set(SP_LOG_WARN);
    end(&r);
    remove_place(&p);
}

static void no_folder_is_said(void **u)
{
    struct place p;
    struct running r;
    struct sp_learned done = { 0 };
    (void)u;
    make_place(&p);
    OK(sp_write_file(p.out, "x", 1, &err)); /* a file where the folder should be */
    begin(&r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    r.recipe.train.out = p.out;
    r.recipe.train.steps = 1;
    enum sp_status st = train(&r, NULL, &done);
    assert_true(st != SP_OK);
    says(st, st);
    end(&r);
    remove_place(&p);
}

static void divergence_leaves_the_checkpoint(void **u)
{
    struct place p;
    struct running r;
    struct sp_learned done = { 0 };
    struct watcher w = { .at = CUT, .poison = true };
    char before[65], after[65];
    (void)u;
    make_place(&p);
    begin(&r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    r.recipe.train.out = p.out;
    r.recipe.train.steps = CUT - 1;
    OK(train(&r, NULL, &done));
    end(&r);
    hash_of(p.path[0], before);
    begin(&r, SP_FAMILY_LLAMA, 1, SP_COMPUTE_F32);
    r.recipe.train.out = p.out;
    says(train(&r, &w, &done), SP_DIVERGED);
    end(&r);
    hash_of(p.path[0], after);
    assert_string_equal(before, after);
    remove_place(&p);
}

/* ---- learning ---- */

static double final_loss(enum sp_family f, int compute)
{
    struct running r;
    struct sp_learned done = { 0 };
    struct sp_quality q;
    begin(&r, f, 1, compute);
    r.recipe.train.steps = 120;
    r.recipe.train.dropout = 0;
    OK(train(&r, NULL, &done));
    OK(sp_judge_tokens(&r.live, &r.tokens, 64, NULL, &q, &err));
    assert_true(q.loss < 0.85 * done.first_loss && done.loss < done.first_loss);
    print_message("%s: loss %.4f to %.4f (%s)\n", sp_family_name(f), done.first_loss, q.loss, compute == SP_COMPUTE_BF16 ? "bf16" : "f32");
    end(&r);
    return q.loss;
}

static void loss_falls_in_both_formats(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++) {
        double whole = final_loss((enum sp_family)f, SP_COMPUTE_F32), half = final_loss((enum sp_family)f, SP_COMPUTE_BF16);
        assert_true(fabs(whole - half) < 0.05 * whole);
    }
}

static void step_allocates_nothing(void **u)
{
    struct running r;
    struct sp_learned done = { 0 };
    struct watcher w = { .at = -1 };
    (void)u;
    begin(&r, SP_FAMILY_GPT2, 2, SP_COMPUTE_F32);
    OK(train(&r, &w, &done));
    for (int i = 2; i <= STEPS; i++)
        assert_int_equal(w.allocated[i], w.allocated[1]);
    end(&r);
}

static void schedules_by_hand(void **u)
{
    static const struct { int schedule; double step, progress, want; } row[] = {
        { SP_SCHEDULE_CONSTANT, 1, 0, 0.25 },        { SP_SCHEDULE_CONSTANT, 2, 0, 0.5 },    { SP_SCHEDULE_CONSTANT, 4, 0, 1 },
        { SP_SCHEDULE_CONSTANT, 99, 1, 1 },          { SP_SCHEDULE_COSINE, 2, 0, 0.5 },      { SP_SCHEDULE_COSINE, 9, 0.5, 0.55 },
        { SP_SCHEDULE_COSINE, 9, 1, 0.1 },           { SP_SCHEDULE_COSINE, 9, 1.5, 0.1 },    { SP_SCHEDULE_WSD, 9, 0.75, 1 },
        { SP_SCHEDULE_WSD, 9, 0.8125, 1 - 0.9 / 2 }, { SP_SCHEDULE_WSD, 9, 1, 0.1 },         { SP_SCHEDULE_WSD, 3, 0, 0.75 },
    };
    struct sp_recipe_train t = { .lr = 2, .min_lr = 0.1, .warmup_steps = 4, .decay_fraction = 0.25, .steps = 70 };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        t.schedule = row[i].schedule;
        double got = sp_learn_rate(&t, (int64_t)row[i].step, row[i].progress);
        if (fabs(got - 2 * row[i].want) > 1e-12)
            fail_msg("row %zu: %.15g, by hand %.15g", i, got, 2 * row[i].want);
    }
    assert_int_equal(sp_learn_steps(&t, 10), 70);
    t.tokens_total = 695;
    assert_int_equal(sp_learn_steps(&t, 10), 70);
    assert_int_equal(sp_learn_steps(&t, 11), 64);
    t.steps = 0;
    assert_int_equal(sp_learn_steps(&t, 100), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schedules_by_hand),      cmocka_unit_test(resumed_equals_uninterrupted), cmocka_unit_test(damaged_falls_back),
        cmocka_unit_test(both_damaged_is_said),   cmocka_unit_test(no_room_loses_nothing),        cmocka_unit_test(no_folder_is_said),
        cmocka_unit_test(divergence_leaves_the_checkpoint), cmocka_unit_test(loss_falls_in_both_formats), cmocka_unit_test(step_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
