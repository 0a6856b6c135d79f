/* bits/fit.c - a quantized file's gains and scales fitted to its original's logits.
 *
 * The student's training graph gives the slope of the divergence by every weight; a
 * weight is linear in its block's scales.  Adam (Kingma & Ba 2015) moves the logarithms
 * of scales and gains, so that one rate suits all.  The file's bytes are rewritten in
 * memory each step and decoded, so that rounding of the scales is part of what is
 * fitted; what moves is kept in f32 beside.  Codes stay.  That gains and scales
 * after rounding are worth a fit is from AQLM (Egiazarian et al. 2024) and QuIP#
 * (Tseng et al. 2024).
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "fit.h"

enum { NAME_MAX_ = 320, BATCH_TOKENS = 1024, HELD = 16, CHECKS = 4, WARM = 10 /* of the steps, a part */ };
static const double RATE = 0.0125, RATE_MOST = 4e-3, BETA1 = 0.9, BETA2 = 0.97, PI = 3.14159265358979;

/* A number that moves by a factor: stored = start * exp(z). */
struct factor { float start, z, m, v; };
struct site {
    const struct sp_tensor *t;
    enum sp_format f;
    int64_t rows, cols, blocks;    /* blocks: of a row; of a vector 0 */
    unsigned char *bytes;          /* in the image            */
    float *w, *grad;               /* [rows, cols], in Hugging Face's order */
    struct factor *factor;         /* [elements] of a vector, [rows, blocks, scales] */
};
struct fitting {
    const struct sp_fit *o;
    const struct sp_windows *windows;
    struct sp_job teacher_job, job;
    struct sp_live teacher, live;
    struct sp_pool *pool;
    unsigned char *image, *best;   /* of the student's file   */
    size_t image_bytes;
    int n; struct site *site;
    struct sp_arena mem;
    int64_t batch, held, train;    /* windows                 */
    int64_t step;                  /* from 1                  */
    double rate;                   /* of this step            */
    const struct site *at;
};

/* ---- one site's numbers ---- */

static void move(struct factor *p, double slope, double rate, int64_t step)
{
    double g = slope * (double)p->start * exp((double)p->z);
    p->m = (float)(BETA1 * (double)p->m + (1 - BETA1) * g);
    p->v = (float)(BETA2 * (double)p->v + (1 - BETA2) * g * g);
    double m = (double)p->m / (1 - pow(BETA1, (double)step)), v = (double)p->v / (1 - pow(BETA2, (double)step));
    p->z -= v > 0 ? (float)(rate * m / sqrt(v)) : 0;
}

static float value(const struct factor *p)
{
    return p->start * expf(p->z);
}

static void move_block(const struct fitting *k, const struct site *s, struct factor *p, unsigned char *block, float *w, const float *g)
{
    float slope[SP_FORMAT_BLOCK_MAX];
    int scales = fit_scales(s->f), n = sp_formats[s->f].block;
    double by[2] = { 0 };
    for (int i = 0; i < scales; i++) {
        fit_slope(s->f, block, i, slope);
        for (int j = 0; j < n; j++)
            by[i] += (double)(g[j] * slope[j]);
    }
    for (int i = 0; i < scales; i++) {
        move(&p[i], by[i], k->rate, k->step);
        fit_scale_put(s->f, block, i, value(&p[i]));
    }
    sp_formats[s->f].decode(w, block, n);
}

static void move_row(void *arg, int64_t r, int thread)
{
    const struct fitting *k = arg;
    const struct site *s = k->at;
    int64_t to = sp_layout_row(&s->t->layout, r, s->rows) * s->cols;
    int n = sp_formats[s->f].block, scales = fit_scales(s->f);
    (void)thread;
    for (int64_t i = 0, b = r * s->blocks; i < s->blocks; i++, b++)
        move_block(k, s, s->factor + b * scales, s->bytes + b * sp_formats[s->f].bytes, s->w + to + i * n, s->grad + to + i * n);
}

static void move_vector(const struct fitting *k, const struct site *s)
{
    for (int64_t i = 0; i < s->cols; i++) {
        move(&s->factor[i], (double)s->grad[i], k->rate, k->step);
        float stored = value(&s->factor[i]);
        memcpy(s->bytes + i * 4, &stored, 4);
        s->w[i] = stored - s->t->layout.plus;
    }
}

static void move_all(struct fitting *k)
{
    for (int i = 0; i < k->n; i++) {
        k->at = &k->site[i];
        if (k->at->blocks)
            sp_pool_run(k->pool, move_row, k, k->at->rows);
        else
            move_vector(k, k->at);
    }
    for (int i = 0; i < k->job.state.n; i++)
        if (k->job.state.entry[i].kind == SP_STATE_GRAD)
            memset(k->live.state.at + k->job.state.entry[i].at, 0, (size_t)sp_type_bytes(&k->job.state.entry[i].type));
    if (k->job.has[SP_RUN_REFRESH])
        sp_live_run(&k->live, SP_RUN_REFRESH);
}

/* ---- sites ---- */

static enum sp_status start_scales(struct fitting *k, struct site *s, struct sp_err *err)
{
    int scales = fit_scales(s->f);
    int64_t all = s->rows * s->blocks;
    if (!(s->factor = sp_arena_take(&k->mem, (size_t)(all * scales) * sizeof *s->factor)))
        return sp_fail(err, SP_NOMEM, "no memory to move the scales of %s", s->t->name);
    for (int64_t b = 0; b < all; b++)
        for (int i = 0; i < scales; i++)
            s->factor[b * scales + i].start = fit_scale(s->f, s->bytes + b * sp_formats[s->f].bytes, i);
    return SP_OK;
}

static enum sp_status start_vector(struct fitting *k, struct site *s, struct sp_err *err)
{
    if (!(s->factor = sp_arena_take(&k->mem, (size_t)s->cols * sizeof *s->factor)))
        return sp_fail(err, SP_NOMEM, "no memory to move %s", s->t->name);
    for (int64_t i = 0; i < s->cols; i++)
        memcpy(&s->factor[i].start, s->bytes + i * 4, 4);
    return SP_OK;
}

/* Of what a file keeps turned or grouped nothing moves. */
static enum sp_status start_site(struct fitting *k, const struct sp_tensor *t, struct sp_err *err)
{
    enum sp_format f = sp_tensor_format(t);
    char name[NAME_MAX_];
    sp_format(name, sizeof name, "grad/%s", t->name);
    struct site s = { .t = t, .f = f, .rows = t->n == 2 ? t->dim[0] : 1, .cols = t->n ? t->dim[t->n - 1] : 1, .bytes = k->image + t->at,
                      .w = sp_live_state(&k->live, t->name), .grad = sp_live_state(&k->live, name) };
    if (f == SP_FORMATS || !s.w || !s.grad || t->layout.transposed || t->layout.groups)
        return SP_OK;
    bool vector = t->n == 1 && f == SP_F32 && !t->layout.rope_heads, blocks = t->n == 2 && fit_scales(f) > 0 && s.cols % sp_formats[f].block == 0;
    s.blocks = blocks ? s.cols / sp_formats[f].block : 0;
    if (vector && k->o->what & SP_FIT_GAINS)
        TRY(start_vector(k, &s, err));
    if (blocks && k->o->what & SP_FIT_SCALES)
        TRY(start_scales(k, &s, err));
    if (s.factor)
        k->site[k->n++] = s;
    return SP_OK;
}

static enum sp_status start_sites(struct fitting *k, const struct sp_weights *student, struct sp_err *err)
{
    k->image_bytes = student->bin.bytes;
    k->image = sp_alloc(k->image_bytes);
    k->best = sp_alloc(k->image_bytes);
    k->site = sp_zalloc((size_t)student->n + 1, sizeof *k->site);
    if (!k->image || !k->best || !k->site)
        return sp_fail(err, SP_NOMEM, "no memory for two copies of %s", student->bin.path);
    TRY(sp_map_copy(&student->bin, 0, k->image_bytes, k->image, err));
    memcpy(k->best, k->image, k->image_bytes);
    for (int i = 0; i < student->n; i++)
        TRY(start_site(k, student->tensor[i], err));
    return k->n ? SP_OK : sp_fail(err, SP_UNSUPPORTED, "%s holds nothing that could be fitted", student->bin.path);
}

/* ---- a batch ---- */

/* Windows first, first + 1, ... of the training part (or held out) through the teacher; its logits become the target of `run`. */
static void put_batch(struct fitting *k, enum sp_run run, int64_t first)
{
    const struct sp_windows *w = k->windows;
    int64_t context = w->context, n = k->batch * context;
    int32_t *ids = sp_live_at(&k->teacher, SP_RUN_SCORE, "ids"), *rows = sp_live_at(&k->teacher, SP_RUN_SCORE, "rows");
    for (int64_t i = 0; i < n; i++) {
        int64_t at = first + i / context;
        at = run == SP_RUN_MICRO ? at % k->train : k->train + at % k->held;
        ids[i] = i % context == 0 && w->bos >= 0 ? w->bos : w->ids[at * context + i % context];
        rows[i] = (int32_t)i;
    }
    memcpy(sp_live_at(&k->live, run, "ids"), ids, (size_t)n * sizeof *ids);
    sp_live_run(&k->teacher, SP_RUN_SCORE);
    float *weights = sp_live_at(&k->live, run, "weights");
    for (int64_t i = 0; i < n; i++)
        weights[i] = 1 / (float)n;
    memcpy(sp_live_at(&k->live, run, "teacher"), sp_live_at(&k->teacher, SP_RUN_SCORE, "logits"), (size_t)(n * k->job.config.vocab) * sizeof(float));
}

static enum sp_status one_loss(struct fitting *k, enum sp_run run, int64_t first, double *loss, struct sp_err *err)
{
    put_batch(k, run, first);
    sp_live_run(&k->live, run);
    *loss = (double)*(const float *)sp_live_at(&k->live, run, "loss");
    if (sp_signal_pending())
        return sp_fail(err, SP_INTERRUPTED, "interrupted while fitting");
    return isfinite(*loss) ? SP_OK : sp_fail(err, SP_DIVERGED, "the divergence from the original is no number: one of the two files is damaged");
}

static enum sp_status held_out(struct fitting *k, double *out, struct sp_err *err)
{
    double sum = 0, one = 0;
    for (int64_t i = 0; i < k->held; i += k->batch) {
        TRY(one_loss(k, SP_RUN_SCORE, i, &one, err));
        sum += one;
    }
    *out = sum / (double)(k->held / k->batch);
    return SP_OK;
}

static enum sp_status check(struct fitting *k, struct sp_fitted *r, const struct sp_watch *watch, struct sp_err *err)
{
    double now = 0;
    TRY(held_out(k, &now, err));
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_QUALITY, .phase = "fit", .done = k->step, .loss = now });
    if (now < r->after) {
        r->after = now;
        r->best = k->step;
        memcpy(k->best, k->image, k->image_bytes);
    }
    return SP_OK;
}

/* What is lost goes with the square of errors: numbers have to move in proportion to its root. */
static double rate_of(const struct fitting *k, double divergence)
{
    double rate = RATE * sqrt(divergence > 0 ? divergence : 0);
    return k->o->rate > 0 ? k->o->rate : rate < RATE_MOST ? rate : RATE_MOST;
}

/* Up over the first steps, then down to nothing along a cosine. */
static double share_at(const struct fitting *k)
{
    double warm = (double)(k->o->steps / WARM + 1), step = (double)(k->step - 1);
    return (step + 1 < warm ? (step + 1) / warm : 1) * 0.5 * (1 + cos(PI * step / (double)k->o->steps));
}

static enum sp_status descend(struct fitting *k, struct sp_fitted *r, const struct sp_watch *watch, struct sp_err *err)
{
    int64_t steps = k->o->steps, every = (steps + CHECKS - 1) / CHECKS;
    double loss = 0;
    TRY(held_out(k, &r->before, err));
    r->after = r->before;
    for (k->step = 1; k->step <= steps; k->step++) {
        k->rate = rate_of(k, r->before) * share_at(k);
        TRY(one_loss(k, SP_RUN_MICRO, (k->step - 1) * k->batch, &loss, err));
        move_all(k);
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "fit", .done = k->step, .total = steps, .loss = loss, .lr = k->rate,
                                           .tokens = k->batch * k->windows->context });
        if (k->step % every == 0 || k->step == steps)
            TRY(check(k, r, watch, err));
    }
    r->steps = steps;
    return SP_OK;
}

/* ---- all of it ---- */

static enum sp_status check_pair(const struct sp_weights *a, const struct sp_weights *b, const struct sp_windows *w, struct sp_err *err)
{
    if (!b->gguf)
        return sp_fail(err, SP_UNSUPPORTED, "only a GGUF file is fitted");
    if (a->config.vocab != b->config.vocab || a->config.width != b->config.width || a->config.layers != b->config.layers)
        return sp_fail(err, SP_SHAPE, "the file doesn't hold the original's model: %lld tokens, %lld layers of %lld against %lld, %lld of %lld",
                       (long long)b->config.vocab, (long long)b->config.layers, (long long)b->config.width, (long long)a->config.vocab,
                       (long long)a->config.layers, (long long)a->config.width);
    if (w->context > a->config.context || w->n < 4)
        return sp_fail(err, SP_USAGE, "%lld windows of %lld tokens are not enough to fit by, or too long for a context of %lld", (long long)w->n,
                       (long long)w->context, (long long)a->config.context);
    return SP_OK;
}

static void split(struct fitting *k)
{
    int64_t n = k->windows->n, held = k->o->held > 0 ? k->o->held : HELD;
    k->batch = k->o->batch > 0 ? k->o->batch : k->windows->context < BATCH_TOKENS ? BATCH_TOKENS / k->windows->context : 1;
    k->batch = k->batch > n / 4 ? n / 4 : k->batch;
    held = held > n / 4 ? n / 4 : held;
    k->held = (held + k->batch - 1) / k->batch * k->batch;
    k->train = n - k->held;
}

/* Matrices have no gradients where gains alone move. */
static enum sp_status freeze(struct sp_graph *g, void *self, struct sp_err *err)
{
    const struct sp_fit *o = self;
    for (int i = 0; i < g->n && !(o->what & SP_FIT_SCALES); i++)
        if (g->node[i].trainable && g->node[i].out[0].n > 1)
            g->node[i].trainable = g->node[i].needs_grad = false;
    return sp_graph_status(g, err);
}

static enum sp_status bring_up(struct fitting *k, const struct sp_weights *original, const struct sp_weights *student, const struct sp_machine *m, struct sp_err *err)
{
    int64_t context = k->windows->context;
    struct sp_train_shape shape = { .batch = k->batch, .tokens = context, .compute = SP_F32, .soft = true };
    struct sp_fit o = *k->o;
    TRY(sp_step_logits(&original->config, k->batch, context, k->batch * context, SP_F32, SP_F32, m, &k->teacher_job, err));
    TRY(sp_step_train(&student->config, &shape, m, freeze, &o, &k->job, err));
    enum sp_status st = sp_live_new(&k->teacher, &k->teacher_job, k->pool, false, err);
    if (!st)
        st = sp_live_new(&k->live, &k->job, k->pool, false, err);
    if (st == SP_NOMEM)
        return sp_remedy(err, "fitting needs both models in 32 bits, gradients of one, and the logits of two batches: leave it out");
    TRY(st);
    TRY(sp_live_fill(&k->teacher, original, NULL, NULL, err));
    return sp_live_fill(&k->live, student, NULL, NULL, err);
}

static void clear(struct fitting *k)
{
    sp_live_clear(&k->teacher);
    sp_live_clear(&k->live);
    sp_job_clear(&k->teacher_job);
    sp_job_clear(&k->job);
    sp_free(k->image);
    sp_free(k->best);
    sp_free(k->site);
    sp_arena_clear(&k->mem);
}

enum sp_status sp_bits_fit(const struct sp_weights *original, const struct sp_weights *student, const struct sp_windows *windows, const struct sp_fit *o,
                           const char *out, const struct sp_machine *m, struct sp_pool *pool, const struct sp_watch *watch, struct sp_fitted *result,
                           struct sp_err *err)
{
    struct fitting k = { .o = o, .windows = windows, .pool = pool };
    struct sp_fitted r = { 0 };
    TRY(check_pair(original, student, windows, err));
    split(&k);
    enum sp_status st = bring_up(&k, original, student, m, err);
    if (!st)
        st = start_sites(&k, student, err);
    if (!st)
        st = descend(&k, &r, watch, err);
    if (!st && r.best)
        st = sp_write_file(out, k.best, k.image_bytes, err);
    clear(&k);
    if (!st)
        *result = r;
    return st;
}
