/* bits/fit.c - a quantized file fitted to its original's logits.
 *
 * The student's training graph gives the slope of the divergence by every weight; a
 * weight is linear in its block's scales, and in its code.  Adam moves scales and gains
 * (Kingma & Ba 2015), a step of its own size for every block the codes, straight
 * through the rounding (Bengio et al. 2013; for offsets of codes see AutoRound, Cheng
 * et al. 2023).  The file's bytes are rewritten in memory each step and decoded, so that
 * rounding of the scales is part of what is fitted.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "fit.h"

enum { BATCH = 4, CHECKS = 6, HELD_LEAST = 8 };
static const double BETA1 = 0.9, BETA2 = 0.97, GAINS = 1e-3, SCALES = 5e-4, CODES = 0.02, LAST_RATE = 0.1;

/* A number that moves by a factor: stored = start * exp(z). */
struct factor { float start, z, m, v; };
struct site {
    const struct sp_tensor *t;
    enum sp_format f;
    int64_t rows, cols, blocks;    /* blocks: of a row; of a vector 0 */
    unsigned char *bytes;          /* in the image            */
    float *w, *grad;               /* [rows, cols], in Hugging Face's order */
    struct factor *factor;         /* [elements] of a vector, [rows, blocks, scales] */
    float *u, *m, *size;           /* codes: position and mean slope [rows, cols]; mean square of slopes [rows, blocks] */
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
    double rate;                   /* share of the first rate */
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

/* Where row r of the file stands among the model's. */
static int64_t row_of(const struct site *s, int64_t r)
{
    int64_t heads = s->t->layout.rope_heads, dim = heads ? s->rows / heads : 1, j = r % dim;
    return heads ? r / dim * dim + j % 2 * (dim / 2) + j / 2 : r;
}

static void move_codes(const struct fitting *k, const struct site *s, int64_t at, int64_t block, unsigned char *b, const float *g)
{
    float base[SP_FORMAT_BLOCK_MAX], step[SP_FORMAT_BLOCK_MAX];
    int n = sp_formats[s->f].block;
    double square = 0, kept = BETA2 * (double)s->size[block];
    fit_lines(s->f, b, base, step);
    for (int i = 0; i < n; i++)
        square += (double)(g[i] * step[i]) * (double)(g[i] * step[i]);
    s->size[block] = (float)(kept + (1 - BETA2) * square / n);
    double rms = sqrt((double)s->size[block] / (1 - pow(BETA2, (double)k->step)));
    double warm = 1 / (1 - pow(BETA1, (double)k->step));
    float by = rms > 0 ? (float)(k->rate * (k->o->codes > 0 ? k->o->codes : CODES) * (double)fit_gap(s->f) * warm / rms) : 0;
    for (int i = 0; i < n; i++) {
        float *u = s->u + at + i, *m = s->m + at + i;
        *m = (float)BETA1 * *m + (float)(1 - BETA1) * g[i] * step[i];
        *u -= by * *m;
        fit_code_put(s->f, b, i, fit_nearest(s->f, *u));
    }
}

static void one_block(const struct fitting *k, const struct site *s, int64_t block, unsigned char *b, int64_t at, float *w, const float *g)
{
    float slope[SP_FORMAT_BLOCK_MAX];
    int scales = s->factor ? fit_scales(s->f) : 0, n = sp_formats[s->f].block;
    double by[2] = { 0 };
    for (int i = 0; i < scales; i++) {
        fit_slope(s->f, b, i, slope);
        for (int j = 0; j < n; j++)
            by[i] += (double)(g[j] * slope[j]);
    }
    for (int i = 0; i < scales; i++) {
        struct factor *p = s->factor + block * scales + i;
        move(p, by[i], k->rate * (k->o->scales > 0 ? k->o->scales : SCALES), k->step);
        fit_scale_put(s->f, b, i, value(p));
    }
    if (s->u)
        move_codes(k, s, at, block, b, g);
    sp_formats[s->f].decode(w, b, n);
}

static void move_row(void *arg, int64_t r, int thread)
{
    const struct fitting *k = arg;
    const struct site *s = k->at;
    int64_t to = row_of(s, r) * s->cols;
    int n = sp_formats[s->f].block;
    (void)thread;
    for (int64_t b = 0; b < s->blocks; b++)
        one_block(k, s, r * s->blocks + b, s->bytes + (r * s->blocks + b) * sp_formats[s->f].bytes, r * s->cols + b * n, s->w + to + b * n,
                  s->grad + to + b * n);
    memset(s->grad + to, 0, (size_t)s->cols * sizeof *s->grad);
}

static void move_vector(const struct fitting *k, const struct site *s)
{
    for (int64_t i = 0; i < s->cols; i++) {
        move(&s->factor[i], (double)s->grad[i], k->rate * (k->o->gains > 0 ? k->o->gains : GAINS), k->step);
        float stored = value(&s->factor[i]);
        memcpy(s->bytes + i * 4, &stored, 4);
        s->w[i] = stored - s->t->layout.plus;
    }
    memset(s->grad, 0, (size_t)s->cols * sizeof *s->grad);
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
    for (int i = 0; i < k->job.state.n; i++) /* of what doesn't move */
        if (k->job.state.entry[i].kind == SP_STATE_GRAD)
            memset(k->live.state.at + k->job.state.entry[i].at, 0, (size_t)sp_type_bytes(&k->job.state.entry[i].type));
    if (k->job.has[SP_RUN_REFRESH])
        sp_live_run(&k->live, SP_RUN_REFRESH);
}

/* ---- sites ---- */

static enum sp_status start_codes(struct fitting *k, struct site *s, struct sp_err *err)
{
    const float *original = sp_live_state(&k->teacher, s->t->name);
    float base[SP_FORMAT_BLOCK_MAX], step[SP_FORMAT_BLOCK_MAX];
    int n = sp_formats[s->f].block;
    size_t all = (size_t)(s->rows * s->cols);
    if (!original || !fit_levels(s->f))
        return SP_OK;
    s->u = sp_arena_take(&k->mem, all * sizeof *s->u);
    s->m = sp_arena_take(&k->mem, all * sizeof *s->m);
    s->size = sp_arena_take(&k->mem, all / (size_t)n * sizeof *s->size);
    if (!s->u || !s->m || !s->size)
        return sp_fail(err, SP_NOMEM, "no memory to move the codes of %s", s->t->name);
    for (int64_t b = 0; b < s->rows * s->blocks; b++) {
        const unsigned char *block = s->bytes + b * sp_formats[s->f].bytes;
        const float *from = original + row_of(s, b / s->blocks) * s->cols + b % s->blocks * n;
        fit_lines(s->f, block, base, step);
        for (int i = 0; i < n; i++) {
            int code = fit_code(s->f, block, i);
            float level = fit_level(s->f, code), u = fabsf(step[i]) > 0 ? (from[i] - base[i]) / step[i] : level;
            if (fit_nearest(s->f, u) != code) { /* just inside its cell */
                int next = u > level ? code + 1 : code - 1;
                next = next < 0 || next >= fit_levels(s->f) ? code : next;
                u = level + 0.45F * (fit_level(s->f, next) - level);
            }
            s->u[b * n + i] = u;
        }
    }
    return SP_OK;
}

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

static enum sp_status start_site(struct fitting *k, const struct sp_tensor *t, struct sp_err *err)
{
    enum sp_format f = sp_tensor_format(t);
    char name[320];
    sp_format(name, sizeof name, "grad/%s", t->name);
    struct site s = { .t = t, .f = f, .rows = t->n == 2 ? t->dim[0] : 1, .cols = t->n ? t->dim[t->n - 1] : 1, .bytes = k->image + t->at,
                      .w = sp_live_state(&k->live, t->name), .grad = sp_live_state(&k->live, name) };
    if (f == SP_FORMATS || !s.w || !s.grad)
        return SP_OK;
    if (t->layout.transposed || t->layout.groups)
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s is kept turned or grouped in the file, which is not fitted", t->name);
    bool vector = t->n == 1 && f == SP_F32, blocks = t->n == 2 && fit_scales(f) > 0 && s.cols % sp_formats[f].block == 0;
    s.blocks = blocks ? s.cols / sp_formats[f].block : 0;
    if (vector && k->o->what & SP_FIT_GAINS)
        TRY(start_vector(k, &s, err));
    if (blocks && k->o->what & SP_FIT_SCALES)
        TRY(start_scales(k, &s, err));
    if (blocks && k->o->what & SP_FIT_CODES)
        TRY(start_codes(k, &s, err));
    if (s.factor || s.u)
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

/* A worse state than the best halves the steps that follow. */
static enum sp_status check(struct fitting *k, double *slower, struct sp_fitted *r, const struct sp_watch *watch, struct sp_err *err)
{
    double now = 0;
    TRY(held_out(k, &now, err));
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_QUALITY, .phase = "fit", .done = k->step, .loss = now });
    if (now < r->after) {
        r->after = now;
        r->best = k->step;
        memcpy(k->best, k->image, k->image_bytes);
    } else {
        *slower *= 0.5;
    }
    return SP_OK;
}

static enum sp_status descend(struct fitting *k, struct sp_fitted *r, const struct sp_watch *watch, struct sp_err *err)
{
    int64_t steps = k->train / k->batch * (k->o->passes > 0 ? k->o->passes : 1), every = (steps + CHECKS - 1) / CHECKS;
    double slower = 1, loss = 0;
    TRY(held_out(k, &r->before, err));
    r->after = r->before;
    for (k->step = 1; k->step <= steps; k->step++) {
        k->rate = slower * (1 - (1 - LAST_RATE) * (double)(k->step - 1) / (double)steps);
        TRY(one_loss(k, SP_RUN_MICRO, (k->step - 1) * k->batch, &loss, err));
        move_all(k);
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "fit", .done = k->step, .total = steps, .loss = loss, .tokens = k->batch * k->windows->context });
        if (k->step % every == 0 || k->step == steps)
            TRY(check(k, &slower, r, watch, err));
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
    int64_t n = k->windows->n, held = k->o->held > 0 ? k->o->held : n / 10 > HELD_LEAST ? n / 10 : HELD_LEAST;
    k->batch = k->o->batch > 0 ? k->o->batch : BATCH;
    k->batch = k->batch > n / 4 ? n / 4 : k->batch;
    held = held > n / 2 ? n / 2 : held;
    k->held = (held + k->batch - 1) / k->batch * k->batch;
    k->train = n - k->held;
}

static enum sp_status bring_up(struct fitting *k, const struct sp_weights *original, const struct sp_weights *student, const struct sp_machine *m, struct sp_err *err)
{
    int64_t context = k->windows->context;
    struct sp_train_shape shape = { .batch = k->batch, .tokens = context, .compute = SP_F32, .soft = true };
    TRY(sp_step_logits(&original->config, k->batch, context, k->batch * context, SP_F32, SP_F32, m, &k->teacher_job, err));
    TRY(sp_step_train(&student->config, &shape, m, NULL, NULL, &k->job, err));
    enum sp_status st = sp_live_new(&k->teacher, &k->teacher_job, k->pool, false, err);
    if (!st)
        st = sp_live_new(&k->live, &k->job, k->pool, false, err);
    if (st == SP_NOMEM)
        return sp_remedy(err, "fitting needs about 16 bytes a parameter, with codes 24, and the logits of two batches: fewer windows at once, or leave the fit out");
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
    if (!st)
        st = sp_write_file(out, k.best, k.image_bytes, err);
    clear(&k);
    if (!st)
        *result = r;
    return st;
}
