/* tests/test_step.c - steps against the outside world: a published checkpoint's
 * golden tokens and logits, gradients through a whole model by finite differences,
 * counts against formulas.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "step/step.h"
#include "step_formulas.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static struct sp_machine this_machine(void)
{
    struct sp_machine m;
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    return m;
}

/* A file below the folder of shared models; skips the test when it isn't there. */
static const char *shared(const char *name)
{
    static char path[512];
    const char *root = getenv("SPARSAM_SHARED");
    snprintf(path, sizeof path, "%s/%s", root ? root : "../shared", name);
    if (access(path, R_OK))
        skip();
    return path;
}

/* ---- the stories model ---- */

enum { LONGEST = 128, CHUNK = 7 };

struct golden { int32_t ids[LONGEST]; int n_prompt, n; int top[10]; double logit[10], sum, nll; };

static int read_ids(const json_t *list, int32_t *to)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        to[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return (int)json_array_size(list);
}

static bool read_golden(FILE *f, struct golden *g)
{
    char line[8192];
    json_t *j = NULL;
    if (!fgets(line, sizeof line, f))
        return false;
    OK(sp_json_parse(&j, line, strlen(line), "golden", &err));
    g->n_prompt = read_ids(json_object_get(j, "prompt_ids"), g->ids);
    g->n = g->n_prompt + read_ids(json_object_get(j, "greedy_ids"), g->ids + g->n_prompt);
    const json_t *top = json_object_get(j, "first_logits_top10");
    for (size_t i = 0; i < 10; i++) {
        g->top[i] = (int)json_integer_value(json_array_get(json_array_get(top, i), 0));
        g->logit[i] = json_number_value(json_array_get(json_array_get(top, i), 1));
    }
    g->sum = json_number_value(json_object_get(j, "first_logits_sum"));
    g->nll = json_number_value(json_object_get(j, "mean_nll"));
    json_decref(j);
    return true;
}

struct serving { struct sp_weights w; struct sp_job job; struct sp_live live; };

static void start(struct serving *s, const char *path, uint32_t features)
{
    struct sp_machine m = this_machine();
    struct sp_serve_shape shape = { .batch = 1, .prefill = CHUNK, .cache = LONGEST, .score_batch = 1, .score_tokens = LONGEST };
    int extra = -1;
    m.features &= features;
    OK(sp_weights_open(&s->w, path, &err));
    OK(sp_step_serve(&s->w.config, &shape, &m, NULL, NULL, &s->job, &err));
    OK(sp_live_new(&s->live, &s->job, NULL, false, &err));
    OK(sp_live_fill(&s->live, &s->w, &extra, NULL, &err));
    assert_int_equal(extra, 0);
}

static void stop(struct serving *s)
{
    sp_live_clear(&s->live);
    sp_job_clear(&s->job);
    sp_weights_close(&s->w);
}

/* One chunk of ids behind `past`; the last position's logits. */
static const float *feed(struct sp_live *l, const int32_t *ids, int n, int past)
{
    enum sp_run run = n > 1 ? SP_RUN_PREFILL : SP_RUN_DECODE;
    int32_t *to = sp_live_at(l, run, "ids"), *last = sp_live_at(l, run, "last"), *at = sp_live_at(l, run, "positions");
    *(int32_t *)sp_live_at(l, run, "past") = past;
    for (int i = 0; i < (n > 1 ? CHUNK : 1); i++) {
        to[i] = i < n ? ids[i] : 0;
        if (at)
            at[i] = past + i;
    }
    if (last)
        last[0] = n - 1;
    sp_live_run(l, run);
    return sp_live_at(l, run, "logits");
}

static const float *prefill(struct sp_live *l, const int32_t *ids, int n)
{
    const float *logits = NULL;
    for (int at = 0; at < n; at += CHUNK)
        logits = feed(l, ids + at, n - at < CHUNK ? n - at : CHUNK, at);
    return logits;
}

static int best(const float *x, int64_t n)
{
    int at = 0;
    for (int i = 1; i < n; i++)
        at = x[i] > x[at] ? i : at;
    return at;
}

static void check_first_logits(const struct golden *g, const float *logits, int64_t vocab)
{
    double sum = 0;
    for (int i = 0; i < 10; i++)
        if (fabs(logits[g->top[i]] - g->logit[i]) > 1e-4)
            fail_msg("logit %d is %.6f, golden %.6f", g->top[i], (double)logits[g->top[i]], g->logit[i]);
    for (int64_t i = 0; i < vocab; i++)
        sum += (double)logits[i];
    assert_true(fabs(sum - g->sum) < 2e-2);
}

static int check_tokens(struct serving *s, const struct golden *g)
{
    int64_t vocab = s->w.config.vocab;
    const float *logits = prefill(&s->live, g->ids, g->n_prompt);
    check_first_logits(g, logits, vocab);
    for (int i = g->n_prompt; i < g->n; i++) {
        int got = best(logits, vocab);
        if (got != g->ids[i])
            fail_msg("token %d is %d, golden %d", i, got, g->ids[i]);
        if (i + 1 < g->n)
            logits = feed(&s->live, &g->ids[i], 1, i);
    }
    return g->n - g->n_prompt;
}

/* Mean over the predicted tokens that the golden file scored: all after the first. */
static double mean_nll(struct serving *s, const struct golden *g, int from)
{
    int32_t *ids = sp_live_at(&s->live, SP_RUN_SCORE, "ids"), *targets = sp_live_at(&s->live, SP_RUN_SCORE, "targets");
    float *weights = sp_live_at(&s->live, SP_RUN_SCORE, "weights");
    double sum = 0;
    for (int i = 0; i < LONGEST; i++) {
        bool real = i + 1 < g->n;
        ids[i] = i < g->n ? g->ids[i] : 0;
        targets[i] = real ? g->ids[i + 1] : -1;
        weights[i] = real && i + 1 >= from ? 1.0f / (float)(g->n - from) : 0;
    }
    sp_live_run(&s->live, SP_RUN_SCORE);
    const float *nll = sp_live_at(&s->live, SP_RUN_SCORE, "nll");
    for (int i = from - 1; i + 1 < g->n; i++)
        sum += (double)nll[i];
    sum /= g->n - from;
    assert_true(fabs(sum - (double)*(const float *)sp_live_at(&s->live, SP_RUN_SCORE, "loss")) < 1e-4);
    return sum;
}

static void stories(const char *model, uint32_t features)
{
    char golden[512];
    struct serving s = { 0 };
    struct golden g;
    int prompts = 0, tokens = 0;
    snprintf(golden, sizeof golden, "%s", shared("data/models/stories260K/golden.jsonl"));
    start(&s, shared(model), features);
    FILE *f = fopen(golden, "r");
    assert_non_null(f);
    while (read_golden(f, &g)) {
        tokens += check_tokens(&s, &g);
        double all = mean_nll(&s, &g, 1), rest = mean_nll(&s, &g, g.n_prompt);
        if (fabs(all - g.nll) > 1e-4 && fabs(rest - g.nll) > 1e-4)
            fail_msg("mean nll is %.6f (%.6f of the answer), golden %.6f", all, rest, g.nll);
        prompts++;
    }
    fclose(f);
    stop(&s);
    print_message("%s: %d prompts, %d greedy tokens as golden\n", model, prompts, tokens);
    assert_true(prompts > 0);
}

static void stories_safetensors(void **u) { (void)u; stories("data/models/stories260K", ~0u); }
static void stories_bin(void **u) { (void)u; stories("data/models/stories260K/stories260K.bin", ~0u); }
static void stories_portable(void **u) { (void)u; stories("data/models/stories260K", 0); }

/* ---- the architectures ---- */

/* Matrices 0.3 sin(h + 0.7 i), vectors 0.2 sin(h + 0.7 i), plus 1 where they are gains; h from the name's bytes. */
static void fill_by_name(const struct sp_live *l, const struct sp_state_entry *e)
{
    size_t n = strlen(e->name);
    int64_t h = 0;
    bool matrix = e->type.n > 1, gain = !matrix && !strcmp(e->name + n - 6, "weight");
    float *p = sp_live_state(l, e->name);
    for (size_t i = 0; i < n; i++)
        h += (int64_t)(i + 1) * (unsigned char)e->name[i];
    for (int64_t i = 0; i < sp_type_elements(&e->type); i++)
        p[i] = (float)((matrix ? 0.3 : 0.2) * sin((double)(h % 1000) + 0.7 * (double)i) + gain);
}

static void follow_formula(const char *what, const char *config, const double *want)
{
    static const int32_t ids[TOKENS + 1] = { 3, 17, 0, 32, 9, 9, 25, 4 };
    struct sp_machine m = this_machine();
    struct sp_model_config c;
    struct sp_job job;
    struct sp_live live;
    json_t *j = NULL;
    OK(sp_json_parse(&j, config, strlen(config), what, &err));
    OK(sp_model_config_parse(&c, j, &err));
    json_decref(j);
    OK(sp_step_score(&c, 1, TOKENS, SP_F32, SP_F32, &m, &job, &err));
    OK(sp_live_new(&live, &job, NULL, false, &err));
    OK(sp_live_init(&live, 1, &err));
    for (int i = 0; i < job.state.n; i++)
        if (job.state.entry[i].kind == SP_STATE_PARAM)
            fill_by_name(&live, &job.state.entry[i]);
    if (job.has[SP_RUN_REFRESH])
        sp_live_run(&live, SP_RUN_REFRESH);
    memcpy(sp_live_at(&live, SP_RUN_SCORE, "ids"), ids, TOKENS * sizeof *ids);
    memcpy(sp_live_at(&live, SP_RUN_SCORE, "targets"), ids + 1, TOKENS * sizeof *ids);
    sp_live_run(&live, SP_RUN_SCORE);
    const float *nll = sp_live_at(&live, SP_RUN_SCORE, "nll");
    for (int i = 0; i < TOKENS; i++)
        if (fabs((double)nll[i] - want[i]) > 2e-5)
            fail_msg("%s: nll of token %d is %.6f, by the formula %.6f", what, i, (double)nll[i], want[i]);
    sp_live_clear(&live);
    sp_job_clear(&job);
}

static void architectures_follow_their_formulas(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(formula); i++)
        follow_formula(formula[i].what, formula[i].config, formula[i].nll);
    print_message("%zu architectures as their formulas\n", SP_COUNT(formula));
}

/* ---- gradients through whole models ---- */

static struct sp_model_config small(enum sp_family f)
{
    struct sp_model_config c = { .family = f, .vocab = 11, .context = 6, .layers = 2, .width = 16, .heads = 4, .kv_heads = 2, .ffn = 20,
                                 .tied = true, .bias = true, .inputs = 5, .bos = -1,
                                 .activation = f == SP_FAMILY_LLAMA ? SP_SILU : f == SP_FAMILY_GPT2 ? SP_GELU : SP_TANH };
    OK(sp_model_config_finish(&c, &err));
    return c;
}

/* Every family, made by hand, then every architecture above. */
enum { BY_HAND = SP_FAMILY_T5, CASES = BY_HAND + (int)SP_COUNT(formula) };
static struct sp_model_config case_of(int k)
{
    struct sp_model_config c;
    json_t *j = NULL;
    if (k < BY_HAND)
        return small((enum sp_family)k);
    OK(sp_json_parse(&j, formula[k - BY_HAND].config, strlen(formula[k - BY_HAND].config), formula[k - BY_HAND].what, &err));
    OK(sp_model_config_parse(&c, j, &err));
    json_decref(j);
    return c;
}

static const char *case_name(int k)
{
    return k < BY_HAND ? sp_family_name((enum sp_family)k) : formula[k - BY_HAND].what;
}

struct training { struct sp_job job; struct sp_live live; };

static void start_training(struct training *t, const struct sp_model_config *c, enum sp_recompute recompute, int64_t loss_rows, double dropout)
{
    struct sp_machine m = this_machine();
    struct sp_train_shape shape = { .batch = 3, .recompute = recompute, .loss_rows = loss_rows, .dropout = dropout, .seed = 5,
                                    .tokens = c->context, .adamw = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8 } };
    OK(sp_step_train(c, &shape, &m, NULL, NULL, &t->job, &err));
    OK(sp_live_new(&t->live, &t->job, NULL, false, &err));
    OK(sp_live_init(&t->live, 3, &err));
}

static void stop_training(struct training *t)
{
    sp_live_clear(&t->live);
    sp_job_clear(&t->job);
}

static void fill_inputs(struct training *t, enum sp_run run)
{
    const struct sp_program *p = &t->job.program[run];
    for (int i = 0; i < p->n_named; i++) {
        const struct sp_named *v = &p->named[i];
        struct sp_random r = { .key = sp_random_key(9, v->name) };
        int64_t n = sp_type_elements(&v->type);
        void *at = sp_live_at(&t->live, run, v->name);
        bool out = !strcmp(v->name, "loss") || !strcmp(v->name, "nll"), weight = !strcmp(v->name, "weights");
        for (int64_t k = 0; !out && k < n; k++)
            if (v->type.format == SP_I32)
                ((int32_t *)at)[k] = (int32_t)sp_random_below(&r, (uint64_t)(strcmp(v->name, "types") ? t->job.config.vocab : t->job.config.token_types));
            else
                ((float *)at)[k] = weight ? 1.0f / (float)n : (float)sp_random_normal(&r);
    }
}

/* Weights were changed by hand or by an update, so packed copies are made again first. */
static double loss_of(struct training *t, enum sp_run run)
{
    if (t->job.has[SP_RUN_REFRESH])
        sp_live_run(&t->live, SP_RUN_REFRESH);
    fill_inputs(t, run);
    sp_live_run(&t->live, run);
    return (double)*(const float *)sp_live_at(&t->live, run, "loss");
}

/* One random direction a tensor: slope by central difference against the gradient. */
static void check_gradient(struct training *t, const struct sp_state_entry *e)
{
    char name[256];
    int64_t n = sp_type_elements(&e->type);
    float *p = sp_live_state(&t->live, e->name), *was = malloc((size_t)n * 4), *d = malloc((size_t)n * 4);
    struct sp_random r = { .key = sp_random_key(2, e->name) };
    double slope = 0, h = 2e-3;
    snprintf(name, sizeof name, "grad/%s", e->name);
    float *g = sp_live_state(&t->live, name);
    assert_non_null(g);
    assert_true(was && d);
    memcpy(was, p, (size_t)n * 4);
    for (int64_t i = 0; i < n; i++) {
        d[i] = (float)(sp_random_normal(&r) / sqrt((double)n));
        slope += (double)d[i] * (double)g[i];
    }
    double loss[2];
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < n; i++)
            p[i] = was[i] + (float)(side ? h : -h) * d[i];
        loss[side] = loss_of(t, SP_RUN_SCORE);
    }
    memcpy(p, was, (size_t)n * 4);
    double found = (loss[1] - loss[0]) / (2 * h);
    if (fabs(found - slope) > 2e-3 * (1 + fabs(slope)))
        fail_msg("%s: slope %.6f by difference, %.6f by gradient", e->name, found, slope);
    free(was);
    free(d);
}

static void gradients_of(int k)
{
    struct sp_model_config c = case_of(k);
    struct training t;
    int tensors = 0;
    start_training(&t, &c, SP_RECOMPUTE_NONE, 0, 0);
    for (int i = 0; i < t.job.state.n; i++) /* larger than fresh, so that slopes are not lost in rounding */
        if (t.job.state.entry[i].kind == SP_STATE_PARAM && t.job.state.entry[i].type.n > 1 && c.family != SP_FAMILY_MLP) {
            float *p = sp_live_state(&t.live, t.job.state.entry[i].name);
            for (int64_t e = 0; e < sp_type_elements(&t.job.state.entry[i].type); e++)
                p[e] *= 12;
        }
    double a = loss_of(&t, SP_RUN_MICRO), b = loss_of(&t, SP_RUN_SCORE);
    assert_true(fabs(a - b) < 1e-5 * (1 + fabs(a)));
    for (int i = 0; i < t.job.state.n; i++)
        if (t.job.state.entry[i].kind == SP_STATE_PARAM) {
            check_gradient(&t, &t.job.state.entry[i]);
            tensors++;
        }
    stop_training(&t);
    print_message("%s: gradients of %d tensors\n", case_name(k), tensors);
}

static void gradients(void **u)
{
    (void)u;
    for (int k = 0; k < CASES; k++)
        gradients_of(k);
}

static void same_gradients(struct training *a, struct training *b)
{
    assert_true(fabs(loss_of(a, SP_RUN_MICRO) - loss_of(b, SP_RUN_MICRO)) < 1e-6);
    for (int i = 0; i < a->job.state.n; i++) {
        const struct sp_state_entry *e = &a->job.state.entry[i];
        const float *x = sp_live_state(&a->live, e->name), *y = sp_live_state(&b->live, e->name);
        for (int64_t k = 0; e->kind == SP_STATE_GRAD && k < sp_type_elements(&e->type); k++)
            if (fabs((double)(x[k] - y[k])) > 1e-6 + 1e-5 * fabs((double)x[k]))
                fail_msg("%s [%lld]: %g and %g", e->name, (long long)k, (double)x[k], (double)y[k]);
    }
}

/* Recomputation and chunks of the loss change memory and nothing else. */
static void rewrites_change_no_gradient(void **u)
{
    (void)u;
    for (int k = 0; k < CASES; k++)
        for (int which = SP_RECOMPUTE_FULL; which <= SP_RECOMPUTE_SELECTIVE; which++) {
            struct sp_model_config c = case_of(k);
            struct training a, b;
            c.context = c.family == SP_FAMILY_MLP ? 1 : 40;
            start_training(&a, &c, SP_RECOMPUTE_NONE, 1000, 0.25);
            start_training(&b, &c, (enum sp_recompute)which, 64, 0.25);
            same_gradients(&a, &b);
            if (c.family != SP_FAMILY_MLP)
                assert_true(b.job.program[SP_RUN_MICRO].arena_bytes < a.job.program[SP_RUN_MICRO].arena_bytes);
            stop_training(&a);
            stop_training(&b);
        }
}

/* ---- learning ---- */

static void loss_falls(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_T5; f++) {
        struct sp_model_config c = small((enum sp_family)f);
        struct training t;
        double first = 0, last = 0;
        start_training(&t, &c, SP_RECOMPUTE_NONE, 0, 0);
        for (int step = 1; step <= 40; step++) {
            last = loss_of(&t, SP_RUN_MICRO);
            first = step == 1 ? last : first;
            *(float *)sp_live_at(&t.live, SP_RUN_UPDATE, "lr") = 1e-2f;
            *(float *)sp_live_at(&t.live, SP_RUN_UPDATE, "max_norm") = 1;
            *(int32_t *)sp_live_at(&t.live, SP_RUN_UPDATE, "step") = step;
            sp_live_run(&t.live, SP_RUN_UPDATE);
            if (t.job.has[SP_RUN_REFRESH])
                sp_live_run(&t.live, SP_RUN_REFRESH);
        }
        print_message("%s: loss %.3f to %.3f\n", sp_family_name((enum sp_family)f), first, last);
        assert_true(last < 0.6 * first);
        stop_training(&t);
    }
}

/* Decoding one by one, in chunks, and scoring all at once agree, for every family with a cache. */
static void cache_changes_nothing(void **u)
{
    (void)u;
    for (int k = 0; k < CASES; k++) {
        struct sp_model_config c = case_of(k);
        if (c.family == SP_FAMILY_MLP || c.full)
            continue;
        struct sp_machine m = this_machine();
        struct sp_serve_shape shape = { .batch = 1, .prefill = CHUNK, .cache = 24 };
        struct sp_job job;
        struct sp_live live;
        float whole[16];
        int32_t ids[20];
        c.context = 24;
        OK(sp_step_serve(&c, &shape, &m, NULL, NULL, &job, &err));
        OK(sp_live_new(&live, &job, NULL, false, &err));
        OK(sp_live_init(&live, 3, &err));
        for (int i = 0; i < 20; i++)
            ids[i] = i * 7 % 11;
        memcpy(whole, prefill(&live, ids, 20), 11 * sizeof *whole);
        const float *one = NULL;
        for (int i = 0; i < 20; i++)
            one = feed(&live, &ids[i], 1, i);
        for (int i = 0; i < 11; i++)
            if (fabs((double)(one[i] - whole[i])) > 1e-5)
                fail_msg("%s: logit %d is %g one by one, %g in chunks", case_name(k), i, (double)one[i], (double)whole[i]);
        sp_live_clear(&live);
        sp_job_clear(&job);
    }
}

/* bf16 compute, storage and cache stay near f32. */
static void bf16_is_near(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++) {
        struct sp_model_config c = small((enum sp_family)f);
        struct sp_machine m = this_machine();
        struct training t[2];
        double loss[2], norm[2];
        for (int half = 0; half < 2; half++) {
            struct sp_train_shape shape = { .batch = 3, .compute = half ? SP_BF16 : SP_F32, .recompute = half, .adamw = { .beta1 = 0.9, .eps = 1e-8 } };
            OK(sp_step_train(&c, &shape, &m, NULL, NULL, &t[half].job, &err));
            OK(sp_live_new(&t[half].live, &t[half].job, NULL, false, &err));
            OK(sp_live_init(&t[half].live, 3, &err));
            loss[half] = loss_of(&t[half], SP_RUN_MICRO);
            *(float *)sp_live_at(&t[half].live, SP_RUN_UPDATE, "max_norm") = 1;
            *(int32_t *)sp_live_at(&t[half].live, SP_RUN_UPDATE, "step") = 1;
            sp_live_run(&t[half].live, SP_RUN_UPDATE);
            norm[half] = (double)*(const float *)sp_live_at(&t[half].live, SP_RUN_UPDATE, "clip:1");
            stop_training(&t[half]);
        }
        print_message("%s: loss %.5f and %.5f, norm %.5f and %.5f in bf16\n", sp_family_name((enum sp_family)f), loss[0], loss[1], norm[0], norm[1]);
        assert_true(fabs(loss[0] - loss[1]) < 5e-3 && fabs(norm[0] - norm[1]) < 2e-2 * norm[0]);
    }
}

static void serve_once(const struct sp_model_config *c, enum sp_format f, float *logits)
{
    struct sp_machine m = this_machine();
    struct sp_serve_shape shape = { .batch = 1, .prefill = CHUNK, .cache = 24, .compute = f, .stored = f, .cached = f,
                                    .score_batch = 1, .score_tokens = 8 };
    struct sp_job job;
    struct sp_live live;
    shape.cache += c->family == SP_FAMILY_LLAMA ? 40 : 0; /* further than the context */
    static const int32_t ids[9] = { 1, 5, 3, 2, 7, 9, 10, 4, 6 };
    OK(sp_step_serve(c, &shape, &m, NULL, NULL, &job, &err));
    OK(sp_live_new(&live, &job, NULL, false, &err));
    OK(sp_live_init(&live, 3, &err));
    memcpy(logits, prefill(&live, ids, 9), (size_t)c->vocab * sizeof *logits);
    sp_live_clear(&live);
    sp_job_clear(&job);
}

static void serving_in_bf16_is_near(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++) {
        struct sp_model_config c = small((enum sp_family)f);
        float a[16], b[16];
        c.context = 24;
        serve_once(&c, SP_F32, a);
        serve_once(&c, SP_BF16, b);
        for (int i = 0; i < 11; i++)
            assert_true(fabs((double)(a[i] - b[i])) < 5e-3);
    }
}

/* ---- counts ---- */

static void gpt2_flops_as_the_formula(void **u)
{
    struct sp_model_config c = { .family = SP_FAMILY_GPT2, .vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12,
                                 .tied = true, .bias = true, .activation = SP_GELU, .bos = -1 };
    struct sp_train_shape t = { .batch = 4, .score_batch = -1, .adamw = { .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8 } };
    struct sp_machine m = this_machine();
    struct sp_step_count n, again;
    (void)u;
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_count_train(&c, &t, &m, &n, &err));
    double tokens = 4 * 1024, matrices = 12 * (12.0 * 768 * 768) + 50257.0 * 768;
    assert_int_equal(n.parameters, 124439808);
    assert_true(n.micro.flops_matmul == 6 * matrices * tokens);
    t.recompute = true;
    OK(sp_step_count_train(&c, &t, &m, &again, &err));
    double repeated = again.micro.flops_matmul - n.micro.flops_matmul;
    assert_true(repeated > 0 && repeated <= 2 * (matrices - 50257.0 * 768) * tokens);
    assert_true(again.micro.flops_by_part[SP_PART_RECOMPUTE] > 0);
    assert_true(again.arena_bytes < n.arena_bytes / 2);
    print_message("GPT-2 124M: 6 N D = %.3e, attention %.3e, recomputed %.3e\n", n.micro.flops_matmul, n.micro.flops_attention, repeated);
}

static void huge_models_are_counted_at_once(void **u)
{
    static const struct { struct sp_model_config c; int64_t parameters; } row[] = {
        { { .family = SP_FAMILY_GPT2, .vocab = 50257, .context = 2048, .layers = 96, .width = 12288, .heads = 96, .tied = true, .bias = true,
            .activation = SP_GELU, .bos = -1 }, 174604259328 },
        { { .family = SP_FAMILY_LLAMA, .vocab = 128256, .context = 8192, .layers = 126, .width = 16384, .heads = 128, .kv_heads = 8,
            .ffn = 53248, .activation = SP_SILU, .bos = -1 }, 405853388800 },
    };
    struct sp_machine m = this_machine();
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_model_config c = row[i].c;
        struct sp_train_shape t = { .batch = 1, .score_batch = -1, .recompute = true, .compute = SP_BF16, .adamw = { .beta1 = 0.9 } };
        struct sp_step_count n;
        OK(sp_model_config_finish(&c, &err));
        double began = sp_now();
        OK(sp_step_count_train(&c, &t, &m, &n, &err));
        print_message("%lld parameters, %lld nodes: counted in %.3f s\n", (long long)n.parameters, (long long)n.nodes, sp_now() - began);
        assert_int_equal(n.parameters, row[i].parameters);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stories_safetensors), cmocka_unit_test(stories_bin), cmocka_unit_test(stories_portable),
        cmocka_unit_test(architectures_follow_their_formulas), cmocka_unit_test(gradients), cmocka_unit_test(rewrites_change_no_gradient), cmocka_unit_test(loss_falls),
        cmocka_unit_test(cache_changes_nothing), cmocka_unit_test(bf16_is_near), cmocka_unit_test(serving_in_bf16_is_near),
        cmocka_unit_test(gpt2_flops_as_the_formula),
        cmocka_unit_test(huge_models_are_counted_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
