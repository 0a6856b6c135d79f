/* step/step.c - putting a step together: the one place where a training step, a
 * score, a prefill and a decode are built, rewritten and lowered.
 * SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

const char *const sp_run_names[SP_RUNS] = { "load", "micro", "norm", "update", "refresh", "score", "prefill", "decode" };

struct making {
    const struct sp_model_config *c;
    const struct sp_machine *m;
    sp_graph_hook *hook;
    void *self;
    struct sp_job *job;
    struct sp_graph *refresh;          /* packed copies written anew whenever weights have changed */
    sp_stored_fn *stored_of;           /* what the caller wants of each matrix */
    const void *stored_self;
};

/* What the caller wants, or f32 where the machine would have to multiply such blocks number by number. */
static enum sp_format stored(const void *self, const char *name)
{
    const struct making *k = self;
    enum sp_format f = k->stored_of(k->stored_self, name);
    enum { SOME = SP_FORMAT_BLOCK_MAX };
    struct sp_gemm_args a = { .m = 1, .n = SOME, .k = SOME, .lda = SOME, .ldb = SOME, .ldc = SOME, .trans = 2, .a_format = SP_F32, .b_format = (int32_t)f,
                              .c_format = SP_F32 };
    return sp_formats[f].block == 1 || sp_kernel_pick(&sp_kernel_gemm, k->m->features, &a)->needs ? f : SP_F32;
}

static enum sp_status build(const struct making *k, struct sp_build *b, struct sp_graph **out, struct sp_err *err)
{
    struct sp_graph *g = sp_graph_new();
    if (!g)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    b->stored_of = k->stored_of ? stored : NULL;
    b->stored_self = k;
    enum sp_status st = sp_model_build(g, k->c, b, err);
    if (!st && k->hook && b->mode != SP_BUILD_LOAD)
        st = k->hook(g, k->self, err);
    if (st) {
        sp_graph_free(g);
        return st;
    }
    *out = g;
    return SP_OK;
}

static enum sp_status lower(struct making *k, enum sp_run run, const struct sp_graph *g, const char *const *want, int n_want, struct sp_err *err)
{
    TRY(sp_lower(g, sp_run_names[run], want, n_want, k->m, &k->job->state, &k->job->program[run], err));
    k->job->has[run] = k->job->program[run].n > 0;
    k->job->nodes += g->n;
    return SP_OK;
}

static void count_parameters(struct sp_job *j)
{
    for (int i = 0; i < j->state.n; i++)
        if (j->state.entry[i].kind == SP_STATE_PARAM) {
            j->parameters += sp_type_elements(&j->state.entry[i].type);
            j->trainable += j->state.entry[i].trainable ? sp_type_elements(&j->state.entry[i].type) : 0;
        }
}

/* ---- a graph, rewritten and lowered ---- */

static enum sp_status simple(struct making *k, enum sp_run run, struct sp_build *b, const char *const *want, int n_want, struct sp_err *err)
{
    struct sp_graph *g = NULL;
    TRY(build(k, b, &g, err));
    enum sp_status st = sp_graph_pack(g, k->refresh, k->m, err);
    if (!st)
        st = lower(k, run, g, want, n_want, err);
    sp_graph_free(g);
    return st;
}

static enum sp_status make_load(struct making *k, struct sp_build b, struct sp_err *err)
{
    struct sp_graph *g = NULL;
    b.mode = SP_BUILD_LOAD;
    TRY(build(k, &b, &g, err));
    enum sp_status st = lower(k, SP_RUN_LOAD, g, NULL, 0, err);
    sp_graph_free(g);
    return st;
}

static enum sp_status make_refresh(struct making *k, struct sp_err *err)
{
    return k->refresh->n ? lower(k, SP_RUN_REFRESH, k->refresh, NULL, 0, err) : SP_OK;
}

/* ---- training ---- */

static enum sp_status make_update(struct making *k, const struct sp_graph *micro, const struct sp_adamw *how, struct sp_err *err)
{
    static const char *const clipped[] = { "clip:1" }, *const squares[] = { "norm" };
    struct sp_graph *update = sp_graph_new(), *norm = sp_graph_new();
    enum sp_status st = update && norm ? sp_graph_adamw(update, micro, how, err) : sp_fail(err, SP_NOMEM, "no memory for a graph");
    if (!st && how->ranks > 1)
        st = sp_graph_norm(norm, micro, how, err);
    if (!st && norm->n)
        st = lower(k, SP_RUN_NORM, norm, squares, 1, err);
    if (!st)
        st = lower(k, SP_RUN_UPDATE, update, clipped, 1, err);
    sp_graph_free(norm);
    sp_graph_free(update);
    return st;
}

static enum sp_status micro_and_update(struct making *k, struct sp_graph **micro, struct sp_build *b, const struct sp_train_shape *t, struct sp_err *err)
{
    static const char *const loss[] = { "loss" };
    enum sp_status st = sp_graph_grad(*micro, b->loss, err);
    if (!st)
        st = sp_graph_recompute(micro, t->recompute, err);
    if (!st)
        st = sp_graph_pack(*micro, k->refresh, k->m, err);
    if (!st)
        st = lower(k, SP_RUN_MICRO, *micro, loss, 1, err);
    return st || t->soft ? st : make_update(k, *micro, &t->adamw, err);
}

static enum sp_status make_training(struct making *k, const struct sp_train_shape *t, struct sp_err *err)
{
    static const char *const scored[] = { "loss", "nll" };
    struct sp_build b = { .mode = SP_BUILD_TRAIN, .batch = t->batch, .tokens = t->tokens, .positions = t->tokens, .compute = t->compute, .stored = SP_F32,
                          .dropout = t->dropout, .seed = t->seed, .loss_rows = t->loss_rows, .soft = t->soft };
    struct sp_graph *micro = NULL;
    TRY(build(k, &b, &micro, err));
    enum sp_status st = micro_and_update(k, &micro, &b, t, err);
    sp_graph_free(micro);
    TRY(st);
    TRY(make_load(k, b, err));
    if (t->score_batch > 0) {
        b.mode = SP_BUILD_SCORE;
        b.batch = t->score_batch;
        TRY(simple(k, SP_RUN_SCORE, &b, scored, 2, err));
    }
    return make_refresh(k, err);
}

static enum sp_status finish(struct making *k, enum sp_status st, struct sp_job *out)
{
    sp_graph_free(k->refresh);
    if (st) {
        sp_job_clear(k->job);
        return st;
    }
    count_parameters(k->job);
    *out = *k->job;
    return SP_OK;
}

enum sp_status sp_step_train(const struct sp_model_config *c, const struct sp_train_shape *t, const struct sp_machine *m, sp_graph_hook *hook, void *self,
                             struct sp_job *out, struct sp_err *err)
{
    struct sp_job job = { .config = *c, .machine = *m, .train = *t };
    struct making k = { c, m, hook, self, &job, sp_graph_new(), NULL, NULL };
    struct sp_train_shape *s = &job.train;
    s->tokens = s->tokens > 0 ? s->tokens : c->context;
    s->score_batch = s->score_batch ? s->score_batch : s->batch;
    s->batch_all = s->batch_all > 0 ? s->batch_all : s->batch;
    if (!k.refresh)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    if (s->tokens > c->context) {
        sp_graph_free(k.refresh);
        return sp_fail(err, SP_USAGE, "sequences of %lld tokens do not fit a context of %lld", (long long)s->tokens, (long long)c->context);
    }
    return finish(&k, make_training(&k, s, err), out);
}

/* ---- serving ---- */

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static enum sp_status make_serving(struct making *k, const struct sp_serve_shape *s, struct sp_err *err)
{
    static const char *const logits[] = { "logits" }, *const scored[] = { "loss", "nll" };
    int64_t most = larger(k->c->context, larger(s->cache, s->score_tokens)); /* one rotary table for all programs */
    struct sp_build b = { .mode = SP_BUILD_SERVE, .batch = s->batch, .tokens = 1, .cache = s->cache, .positions = most, .compute = s->compute,
                          .stored = s->stored, .cached = s->cached, .rings = s->rings };
    TRY(simple(k, SP_RUN_DECODE, &b, logits, 1, err));
    if (s->prefill > 1) {
        b.tokens = s->prefill;
        b.all_logits = s->all_logits;
        TRY(simple(k, SP_RUN_PREFILL, &b, logits, 1, err));
    }
    if (s->score_batch > 0 && s->score_tokens > 0) {
        b = (struct sp_build){ .mode = SP_BUILD_SCORE, .batch = s->score_batch, .tokens = s->score_tokens, .positions = most, .compute = s->compute,
                               .stored = s->stored };
        TRY(simple(k, SP_RUN_SCORE, &b, scored, 2, err));
    }
    TRY(make_load(k, b, err));
    return make_refresh(k, err);
}

enum sp_status sp_step_serve(const struct sp_model_config *c, const struct sp_serve_shape *s, const struct sp_machine *m, sp_graph_hook *hook, void *self,
                             struct sp_job *out, struct sp_err *err)
{
    struct sp_job job = { .config = *c, .machine = *m, .serve = *s };
    struct making k = { c, m, hook, self, &job, sp_graph_new(), s->stored_of, s->stored_self };
    struct sp_serve_shape *t = &job.serve;
    job.state.phase_of = s->phase_of;
    job.state.phase_self = s->stored_self;
    t->batch = t->batch > 0 ? t->batch : 1;
    t->cache = t->cache > 0 ? t->cache : c->context;
    t->prefill = t->prefill > t->cache ? t->cache : t->prefill;
    if (!k.refresh)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    return finish(&k, make_serving(&k, t, err), out);
}

enum sp_status sp_step_scoring(const struct sp_model_config *c, const struct sp_score_shape *s, const struct sp_machine *m, struct sp_job *out, struct sp_err *err)
{
    static const char *const scored[] = { "loss", "nll" }, *const logits[] = { "logits" };
    struct sp_job job = { .config = *c, .machine = *m, .serve = { .compute = s->compute, .stored = s->stored, .score_batch = s->batch, .score_tokens = s->tokens } };
    struct making k = { c, m, NULL, NULL, &job, sp_graph_new(), s->stored_of, s->stored_self };
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = s->batch, .tokens = s->tokens, .positions = c->context, .compute = s->compute, .stored = s->stored,
                          .wanted = s->wanted };
    if (!k.refresh)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    enum sp_status st = simple(&k, SP_RUN_SCORE, &b, s->wanted ? logits : scored, s->wanted ? 1 : 2, err);
    if (!st)
        st = make_load(&k, b, err);
    if (!st)
        st = make_refresh(&k, err);
    return finish(&k, st, out);
}

enum sp_status sp_step_score(const struct sp_model_config *c, int64_t batch, int64_t tokens, enum sp_format compute, enum sp_format format,
                             const struct sp_machine *m, struct sp_job *out, struct sp_err *err)
{
    return sp_step_scoring(c, &(struct sp_score_shape){ .batch = batch, .tokens = tokens, .compute = compute, .stored = format }, m, out, err);
}

enum sp_status sp_step_logits(const struct sp_model_config *c, int64_t batch, int64_t tokens, int64_t wanted, enum sp_format compute, enum sp_format format,
                              const struct sp_machine *m, struct sp_job *out, struct sp_err *err)
{
    return sp_step_scoring(c, &(struct sp_score_shape){ .batch = batch, .tokens = tokens, .wanted = wanted, .compute = compute, .stored = format }, m, out, err);
}

void sp_job_clear(struct sp_job *j)
{
    for (int i = 0; i < SP_RUNS; i++)
        sp_program_clear(&j->program[i]);
    sp_state_clear(&j->state);
    *j = (struct sp_job){ 0 };
}

/* ---- from a recipe ---- */

static enum sp_format format_of(int compute)
{
    return compute == SP_COMPUTE_BF16 ? SP_BF16 : SP_F32;
}

struct sp_train_shape sp_train_shape_of(const struct sp_recipe *r, const struct sp_model_config *c)
{
    const struct sp_recipe_train *t = &r->train;
    return (struct sp_train_shape){
        .batch = t->batch, .tokens = t->tokens > 0 ? t->tokens : c->context, .compute = format_of(t->compute), .dropout = t->dropout, .seed = (uint64_t)t->seed,
        .recompute = (enum sp_recompute)t->recompute, .loss_rows = t->loss_rows, .adamw = { t->beta1, t->beta2, t->eps, t->weight_decay, NULL } };
}

enum sp_status sp_train_shape_share(struct sp_train_shape *t, int rank, int ranks, struct sp_err *err)
{
    if (t->batch < ranks) {
        sp_fail(err, SP_USAGE, "%d ranks can't share a batch of %lld sequences", ranks, (long long)t->batch);
        return sp_remedy(err, "--batch is of all ranks together: at least one a rank");
    }
    t->batch_all = t->batch;
    t->first = t->batch_all * rank / ranks;
    t->batch = t->batch_all * (rank + 1) / ranks - t->first;
    t->score_batch = rank ? -1 : t->score_batch;
    t->adamw.rank = rank;
    t->adamw.ranks = ranks;
    return SP_OK;
}

double sp_job_exchanged(const struct sp_job *j)
{
    double bytes = 0, ranks = j->train.adamw.ranks;
    for (int i = 0; i < j->state.n && ranks > 1; i++)
        if (j->state.entry[i].kind == SP_STATE_GRAD)
            bytes += (double)sp_type_bytes(&j->state.entry[i].type);
    return ranks > 1 ? 2 * bytes * (ranks - 1) / ranks : 0;
}

struct sp_serve_shape sp_serve_shape_of(const struct sp_recipe *r, const struct sp_model_config *c)
{
    static const enum sp_format cached[] = { [SP_CACHED_F32] = SP_F32, [SP_CACHED_BF16] = SP_BF16, [SP_CACHED_F16] = SP_F16, [SP_CACHED_Q8_0] = SP_Q8_0,
                                             [SP_CACHED_Q4_0] = SP_Q4_0 };
    const struct sp_recipe_serve *s = &r->serve;
    return (struct sp_serve_shape){ .batch = s->batch > 0 ? s->batch : 1, .prefill = s->prefill, .cache = s->cache > 0 ? s->cache : c->context,
                                    .compute = format_of(s->compute), .stored = SP_F32, .cached = cached[s->cached] };
}

enum sp_status sp_step_count_train(const struct sp_model_config *c, const struct sp_train_shape *t, const struct sp_machine *m, struct sp_step_count *out,
                                   struct sp_err *err)
{
    struct sp_job j;
    TRY(sp_step_train(c, t, m, NULL, NULL, &j, err));
    *out = (struct sp_step_count){ .micro = j.program[SP_RUN_MICRO].count, .update = j.program[SP_RUN_UPDATE].count, .score = j.program[SP_RUN_SCORE].count,
                                   .parameters = j.parameters, .state_bytes = j.state.bytes, .arena_bytes = sp_job_arena_bytes(&j), .nodes = j.nodes };
    sp_job_clear(&j);
    return SP_OK;
}
