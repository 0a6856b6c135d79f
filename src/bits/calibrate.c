/* bits/calibrate.c - statistics of a model on a text: a program that is lowered, laid
 * out and run like others, with the nodes of tap.c in it.
 *
 * One window at a time: memory is the model's in f32 and one window's values.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "bits.h"
#include "inner.h"

struct calibrating {
    const struct sp_calibration *o;
    const struct sp_weights *w;
    const struct sp_windows *windows;
    struct sp_bits_taps taps;
    struct sp_job job;             /* MICRO: statistics; SCORE: logits to draw targets from */
    struct sp_live live;
    double tokens, targets, nats;  /* so far; targets: how many count in the loss */
};

static bool by_gradient(const struct sp_calibration *o)
{
    return (o->what & (SP_BITS_G2 | SP_BITS_XG | SP_BITS_HG)) != 0;
}

/* ---- programs ---- */

static enum sp_status rewrite(struct calibrating *k, struct sp_graph *g, const struct sp_build *b, struct sp_err *err)
{
    if (b->mode == SP_BUILD_TRAIN) {
        TRY(sp_graph_grad(g, b->loss, err));
        TRY(sp_bits_values_only(g, err));
    }
    return sp_bits_tap(g, k->o->what, k->o->first, k->o->last, &k->taps, err);
}

/* want NULL: what adds up is reason enough. */
static enum sp_status make(struct calibrating *k, enum sp_run run, struct sp_build b, const char *want, const struct sp_machine *m, struct sp_err *err)
{
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = sp_model_build(g, &k->job.config, &b, err);
    if (!st && run == SP_RUN_MICRO)
        st = rewrite(k, g, &b, err);
    if (!st)
        st = sp_lower(g, sp_run_names[run], &want, want ? 1 : 0, m, &k->job.state, &k->job.program[run], err);
    k->job.has[run] = !st && k->job.program[run].n > 0;
    sp_graph_free(g);
    return st;
}

static enum sp_status make_job(struct calibrating *k, const struct sp_machine *m, struct sp_err *err)
{
    int64_t context = k->windows->context, most = k->w->config.context > context ? k->w->config.context : context;
    bool back = by_gradient(k->o);
    struct sp_build b = { .mode = back ? SP_BUILD_TRAIN : SP_BUILD_SCORE, .batch = 1, .tokens = context, .positions = most, .compute = SP_F32, .stored = SP_F32 };
    k->job.config = k->w->config;
    k->job.machine = *m;
    TRY(make(k, SP_RUN_MICRO, b, back ? "loss" : NULL, m, err));
    b.mode = SP_BUILD_SCORE;
    b.wanted = context;
    if (back && k->o->sampled)
        TRY(make(k, SP_RUN_SCORE, b, "logits", m, err));
    b.mode = SP_BUILD_LOAD;
    return make(k, SP_RUN_LOAD, b, NULL, m, err);
}

/* ---- a window ---- */

static void put_ids(const struct calibrating *k, enum sp_run run, int64_t window)
{
    const struct sp_windows *w = k->windows;
    int32_t *ids = sp_live_at(&k->live, run, "ids");
    memcpy(ids, w->ids + window * w->context, (size_t)w->context * sizeof *ids);
    if (w->bos >= 0)
        ids[0] = w->bos;
}

/* A token drawn by the model's own probabilities, at temperature 1. */
static int32_t draw(const float *logits, int64_t vocab, double unit)
{
    double sum = 0, so_far = 0, most = (double)logits[0];
    for (int64_t i = 1; i < vocab; i++)
        most = (double)logits[i] > most ? (double)logits[i] : most;
    for (int64_t i = 0; i < vocab; i++)
        sum += exp((double)logits[i] - most);
    for (int64_t i = 0; i < vocab; i++) {
        so_far += exp((double)logits[i] - most);
        if (so_far > unit * sum)
            return (int32_t)i;
    }
    return (int32_t)(vocab - 1);
}

static void draw_targets(struct calibrating *k, int64_t window, int32_t *drawn)
{
    int64_t context = k->windows->context, vocab = k->job.config.vocab;
    struct sp_random random = { .key = sp_random_key(k->o->seed, "calibration"), .counter = (uint64_t)(window * context) };
    int32_t *rows = sp_live_at(&k->live, SP_RUN_SCORE, "rows");
    put_ids(k, SP_RUN_SCORE, window);
    for (int64_t i = 0; i < context; i++)
        rows[i] = (int32_t)i;
    sp_live_run(&k->live, SP_RUN_SCORE);
    const float *logits = sp_live_at(&k->live, SP_RUN_SCORE, "logits");
    for (int64_t i = 0; i < context; i++)
        drawn[i] = draw(logits + i * vocab, vocab, sp_random_unit(&random));
}

/* drawn NULL: what follows in the text; behind a window's last token nothing does. */
static void put_targets(struct calibrating *k, int64_t window, const int32_t *drawn)
{
    const struct sp_windows *w = k->windows;
    int32_t *targets = sp_live_at(&k->live, SP_RUN_MICRO, "targets");
    float *weights = sp_live_at(&k->live, SP_RUN_MICRO, "weights");
    for (int64_t i = 0; i < w->context; i++) {
        bool last = i + 1 == w->context;
        targets[i] = drawn ? drawn[i] : last ? 0 : w->ids[window * w->context + i + 1];
        weights[i] = drawn || !last ? 1 : 0;
        k->targets += (double)weights[i];
    }
}

/* In order of use, so that the first is where it began. */
static enum sp_status check(const struct calibrating *k, struct sp_err *err)
{
    for (int i = 0; i < k->taps.n; i++) {
        const struct sp_bits_tap *t = &k->taps.tap[i];
        if (t->x2 && !sp_bits_sound(sp_live_state(&k->live, t->x2), t->cols))
            return sp_fail(err, SP_DIVERGED, "what enters %s is no number, or one too large: the model's weights are damaged, or the text isn't for it", t->name);
    }
    for (int i = k->taps.n - 1; i >= 0; i--) {
        const struct sp_bits_tap *t = &k->taps.tap[i];
        if (t->g2 && !sp_bits_sound(sp_live_state(&k->live, t->g2), t->rows))
            return sp_fail(err, SP_DIVERGED, "the gradient of what %s puts out is no number, or one too large", t->name);
    }
    return SP_OK;
}

static enum sp_status one(struct calibrating *k, int64_t window, int32_t *drawn, struct sp_err *err)
{
    bool back = by_gradient(k->o), sampled = back && k->o->sampled;
    if (sampled)
        draw_targets(k, window, drawn);
    put_ids(k, SP_RUN_MICRO, window);
    if (back)
        put_targets(k, window, sampled ? drawn : NULL);
    sp_live_run(&k->live, SP_RUN_MICRO);
    k->tokens += (double)k->windows->context;
    if (back)
        k->nats += (double)*(const float *)sp_live_at(&k->live, SP_RUN_MICRO, "loss");
    return check(k, err);
}

static enum sp_status all(struct calibrating *k, const struct sp_watch *watch, struct sp_err *err)
{
    int32_t *drawn = sp_alloc((size_t)k->windows->context * sizeof *drawn);
    enum sp_status st = drawn ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for a window");
    for (int64_t i = 0; !st && i < k->windows->n; i++) {
        st = one(k, i, drawn, err);
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "calibrate", .done = i + 1, .total = k->windows->n, .tokens = k->windows->context,
                                           .loss = k->targets > 0 ? k->nats / k->targets : 0 });
        if (!st && sp_signal_pending())
            st = sp_fail(err, SP_INTERRUPTED, "interrupted while calibrating");
    }
    sp_free(drawn);
    return st;
}

/* ---- what came out ---- */

static const float *mean(struct calibrating *k, struct sp_bits_stats *s, const char *state, double by, int64_t n)
{
    const float *sum = state ? sp_live_state(&k->live, state) : NULL;
    float *x = sum ? sp_arena_take(&s->mem, (size_t)n * sizeof *x) : NULL;
    for (int64_t i = 0; x && i < n; i++)
        x[i] = by > 0 ? (float)((double)sum[i] / by) : 0;
    return x;
}

static bool take_one(struct calibrating *k, struct sp_bits_stats *s, int i)
{
    const struct sp_bits_tap *t = &k->taps.tap[i];
    struct sp_bits_matrix *m = &s->matrix[i];
    double energy = t->energy ? (double)*(const float *)sp_live_state(&k->live, t->energy) : 0;
    *m = (struct sp_bits_matrix){ .name = sp_arena_printf(&s->mem, "%s", t->name), .rows = t->rows, .cols = t->cols, .layer = t->layer, .tokens = k->tokens };
    for (int j = 0; j < i; j++) { /* shared */
        m->x2 = t->x2 && k->taps.tap[j].x2 && !strcmp(t->x2, k->taps.tap[j].x2) ? s->matrix[j].x2 : m->x2;
        m->h = t->h && k->taps.tap[j].h && !strcmp(t->h, k->taps.tap[j].h) ? s->matrix[j].h : m->h;
    }
    m->x2 = m->x2 ? m->x2 : mean(k, s, t->x2, k->tokens, t->cols);
    m->g2 = mean(k, s, t->g2, k->targets, t->rows);
    m->xg = mean(k, s, t->xg, energy, t->cols);
    m->h = m->h ? m->h : mean(k, s, t->h, k->o->what & SP_BITS_HG ? energy : k->tokens, t->cols * t->cols);
    return m->name && !m->x2 == !t->x2 && !m->g2 == !t->g2 && !m->xg == !t->xg && !m->h == !t->h;
}

static enum sp_status take(struct calibrating *k, struct sp_bits_stats *out, struct sp_err *err)
{
    struct sp_bits_stats s = { .windows = k->windows->n, .context = k->windows->context };
    s.matrix = sp_arena_take(&s.mem, ((size_t)k->taps.n + 1) * sizeof *s.matrix);
    s.text = sp_arena_printf(&s.mem, "%s", k->o->text ? k->o->text : "");
    bool ok = s.matrix && s.text;
    for (int i = 0; ok && i < k->taps.n; i++, s.n++)
        ok = take_one(k, &s, i);
    if (ok) {
        *out = s;
        return SP_OK;
    }
    sp_bits_stats_clear(&s);
    return sp_fail(err, SP_NOMEM, "no memory for statistics of %d matrices", k->taps.n);
}

const struct sp_bits_matrix *sp_bits_find(const struct sp_bits_stats *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->matrix[i].name, name))
            return &s->matrix[i];
    return NULL;
}

void sp_bits_stats_clear(struct sp_bits_stats *s)
{
    sp_arena_clear(&s->mem);
    *s = (struct sp_bits_stats){ 0 };
}

static enum sp_status usable(const struct calibrating *k, struct sp_err *err)
{
    const struct sp_windows *w = k->windows;
    int64_t vocab = k->w->config.vocab;
    TRY(sp_model_check_runs(&k->w->config, err));
    if (k->w->config.family == SP_FAMILY_MLP)
        return sp_fail(err, SP_UNSUPPORTED, "only models of text are calibrated on text");
    if (w->n < 1 || w->context < 1 || w->context > SP_WINDOW_MOST)
        return sp_fail(err, SP_USAGE, "%lld windows of %lld tokens are no text to calibrate on", (long long)w->n, (long long)w->context);
    for (int64_t i = 0; i < w->n * w->context; i++)
        if (w->ids[i] < 0 || w->ids[i] >= vocab)
            return sp_fail(err, SP_USAGE, "the text holds token %d, the model has %lld", (int)w->ids[i], (long long)vocab);
    return w->bos < vocab ? SP_OK : sp_fail(err, SP_USAGE, "the beginning of a text is token %d, the model has %lld", (int)w->bos, (long long)vocab);
}

enum sp_status sp_bits_calibrate(const struct sp_weights *w, const struct sp_windows *windows, const struct sp_calibration *o, const struct sp_machine *m,
                                 struct sp_pool *pool, const struct sp_watch *watch, struct sp_bits_stats *out, struct sp_err *err)
{
    struct calibrating k = { .o = o, .w = w, .windows = windows };
    enum sp_status st = usable(&k, err);
    if (!st)
        st = make_job(&k, m, err);
    if (!st)
        st = sp_live_new(&k.live, &k.job, pool, false, err);
    if (!st)
        st = sp_live_fill(&k.live, w, NULL, NULL, err);
    if (!st)
        st = all(&k, watch, err);
    if (!st)
        st = take(&k, out, err);
    sp_live_clear(&k.live);
    sp_job_clear(&k.job);
    sp_bits_taps_clear(&k.taps);
    return st;
}
