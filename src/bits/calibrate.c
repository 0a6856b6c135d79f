/* bits/calibrate.c - statistics of a model on a text: programs that are lowered, laid
 * out and run like others, with the nodes of tap.c in them.
 *
 * What only wants inputs is collected layer by layer (stream.c); gradients want the whole
 * model at once, in f32, and run one window at a time.
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
    TRY(sp_graph_grad(g, b->loss, err));
    TRY(sp_bits_values_only(g, err));
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
    struct sp_build b = { .mode = SP_BUILD_TRAIN, .batch = 1, .tokens = context, .positions = most, .compute = SP_F32, .stored = SP_F32 };
    k->job.config = k->w->config;
    k->job.machine = *m;
    TRY(make(k, SP_RUN_MICRO, b, "loss", m, err));
    b.mode = SP_BUILD_SCORE;
    b.wanted = context;
    if (k->o->sampled)
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
static enum sp_status check(const struct sp_live *live, const struct sp_bits_taps *taps, struct sp_err *err)
{
    for (int i = 0; i < taps->n; i++) {
        const struct sp_bits_tap *t = &taps->tap[i];
        if (t->x2 && !sp_bits_sound(sp_live_state(live, t->x2), t->cols))
            return sp_fail(err, SP_DIVERGED, "what enters %s is no number, or one too large: the model's weights are damaged, or the text isn't for it", t->name);
    }
    for (int i = taps->n - 1; i >= 0; i--) {
        const struct sp_bits_tap *t = &taps->tap[i];
        if (t->g2 && !sp_bits_sound(sp_live_state(live, t->g2), t->rows))
            return sp_fail(err, SP_DIVERGED, "the gradient of what %s puts out is no number, or one too large", t->name);
    }
    return SP_OK;
}

static enum sp_status one(struct calibrating *k, int64_t window, int32_t *drawn, struct sp_err *err)
{
    if (k->o->sampled)
        draw_targets(k, window, drawn);
    put_ids(k, SP_RUN_MICRO, window);
    put_targets(k, window, k->o->sampled ? drawn : NULL);
    sp_live_run(&k->live, SP_RUN_MICRO);
    k->tokens += (double)k->windows->context;
    k->nats += (double)*(const float *)sp_live_at(&k->live, SP_RUN_MICRO, "loss");
    return check(&k->live, &k->taps, err);
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

/* From the states of a program: those of matrix `first` on are of its taps. */
struct taking { const struct sp_live *live; const struct sp_bits_taps *taps; double tokens, targets; bool weighted; };

static const float *mean(const struct taking *k, struct sp_bits_stats *s, const char *state, double by, int64_t n)
{
    const float *sum = state ? sp_live_state(k->live, state) : NULL;
    float *x = sum ? sp_arena_take(&s->mem, (size_t)n * sizeof *x) : NULL;
    for (int64_t i = 0; x && i < n; i++)
        x[i] = by > 0 ? (float)((double)sum[i] / by) : 0;
    return x;
}

static bool take_one(const struct taking *k, struct sp_bits_stats *s, int first, int i)
{
    const struct sp_bits_tap *t = &k->taps->tap[i];
    struct sp_bits_matrix *all = s->matrix + first, *m = &all[i];
    double energy = t->energy ? (double)*(const float *)sp_live_state(k->live, t->energy) : 0;
    *m = (struct sp_bits_matrix){ .name = sp_arena_printf(&s->mem, "%s", t->name), .rows = t->rows, .cols = t->cols, .layer = t->layer, .tokens = k->tokens };
    for (int j = 0; j < i; j++) { /* shared */
        m->x2 = t->x2 && k->taps->tap[j].x2 && !strcmp(t->x2, k->taps->tap[j].x2) ? all[j].x2 : m->x2;
        m->h = t->h && k->taps->tap[j].h && !strcmp(t->h, k->taps->tap[j].h) ? all[j].h : m->h;
    }
    m->x2 = m->x2 ? m->x2 : mean(k, s, t->x2, k->tokens, t->cols);
    m->g2 = mean(k, s, t->g2, k->targets, t->rows);
    m->xg = mean(k, s, t->xg, energy, t->cols);
    m->h = m->h ? m->h : mean(k, s, t->h, k->weighted ? energy : k->tokens, t->cols * t->cols);
    return m->name && !m->x2 == !t->x2 && !m->g2 == !t->g2 && !m->xg == !t->xg && !m->h == !t->h;
}

static enum sp_status take(const struct taking *k, struct sp_bits_stats *s, struct sp_err *err)
{
    int first = s->n;
    for (int i = 0; i < k->taps->n; i++, s->n++)
        if (!take_one(k, s, first, i))
            return sp_fail(err, SP_NOMEM, "no memory for statistics of %d matrices", first + k->taps->n);
    return SP_OK;
}

static enum sp_status begin(const struct calibrating *k, int most, struct sp_bits_stats *s, struct sp_err *err)
{
    *s = (struct sp_bits_stats){ .windows = k->windows->n, .context = k->windows->context };
    s->matrix = sp_arena_take(&s->mem, ((size_t)most + 1) * sizeof *s->matrix);
    s->text = sp_arena_printf(&s->mem, "%s", k->o->text ? k->o->text : "");
    return s->matrix && s->text ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for statistics");
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

/* ---- part by part ---- */

/* h of a layer, or (-1) of what is outside, where it is wanted. */
static int what_of(const struct sp_calibration *o, int layer)
{
    bool h = !o->last || (layer >= o->first && layer < o->last);
    return (o->what & ~SP_BITS_H) | (h ? o->what & SP_BITS_H : 0) | (layer < 0 && o->head ? SP_BITS_H : 0);
}

static enum sp_status take_part(struct sp_bits_stream *s, struct sp_bits_stats *out, struct sp_err *err)
{
    struct taking t = { .live = &s->live, .taps = &s->taps, .tokens = (double)(s->windows->n * s->windows->context) };
    TRY(check(&s->live, &s->taps, err));
    return take(&t, out, err);
}

static enum sp_status by_layers(struct sp_bits_stream *s, const struct sp_calibration *o, struct sp_bits_stats *out, struct sp_err *err)
{
    int layers = (int)s->w->config.layers;
    double parts = layers + 2;
    TRY(sp_bits_stream_begin(s, 1 / parts, what_of(o, -1), err));
    TRY(take_part(s, out, err));
    for (int i = 0; i < layers; i++) {
        TRY(sp_bits_stream_open(s, SP_BUILD_LAYERS, i, what_of(o, i), err));
        TRY(sp_bits_stream_run(s, SP_RUN_MICRO, true, (i + 1) / parts, (i + 2) / parts, err));
        TRY(take_part(s, out, err));
    }
    TRY(sp_bits_stream_open(s, SP_BUILD_HEAD, 0, what_of(o, -1), err));
    TRY(sp_bits_stream_run(s, SP_RUN_MICRO, false, (layers + 1) / parts, 1, err));
    return take_part(s, out, err);
}

static enum sp_status forward(struct calibrating *k, const struct sp_machine *m, struct sp_pool *pool, const struct sp_watch *watch, struct sp_bits_stats *out,
                              struct sp_err *err)
{
    struct sp_bits_stream s = { .w = k->w, .windows = k->windows, .machine = m, .pool = pool, .watch = watch };
    enum sp_status st = begin(k, k->w->n + 1, out, err);
    if (!st)
        st = by_layers(&s, k->o, out, err);
    sp_bits_stream_clear(&s);
    return st;
}

/* ---- the whole at once ---- */

static enum sp_status back(struct calibrating *k, const struct sp_machine *m, struct sp_pool *pool, const struct sp_watch *watch, struct sp_bits_stats *out,
                           struct sp_err *err)
{
    TRY(make_job(k, m, err));
    TRY(sp_live_new(&k->live, &k->job, pool, false, err));
    TRY(sp_live_fill(&k->live, k->w, NULL, NULL, err));
    TRY(all(k, watch, err));
    TRY(begin(k, k->taps.n, out, err));
    return take(&(struct taking){ &k->live, &k->taps, k->tokens, k->targets, (k->o->what & SP_BITS_HG) != 0 }, out, err);
}

enum sp_status sp_bits_calibrate(const struct sp_weights *w, const struct sp_windows *windows, const struct sp_calibration *o, const struct sp_machine *m,
                                 struct sp_pool *pool, const struct sp_watch *watch, struct sp_bits_stats *out, struct sp_err *err)
{
    struct calibrating k = { .o = o, .w = w, .windows = windows };
    struct sp_bits_stats s = { 0 };
    enum sp_status st = usable(&k, err);
    if (!st)
        st = by_gradient(o) ? back(&k, m, pool, watch, &s, err) : forward(&k, m, pool, watch, &s, err);
    sp_live_clear(&k.live);
    sp_job_clear(&k.job);
    sp_bits_taps_clear(&k.taps);
    if (st)
        sp_bits_stats_clear(&s);
    else
        *out = s;
    return st;
}
