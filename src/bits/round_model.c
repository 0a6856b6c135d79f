/* bits/round_model.c - a model's matrices rounded with errors made up for, as they are
 * written: a layer at a time, on what the rounded layers before it put out.
 *
 * So later layers also make up for what earlier ones lost (as GPTQ does it; Frantar et al.
 * 2023).  Each layer is read once, run twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "../kernel/kernel.h"
#include "bits.h"
#include "inner.h"

enum { BAND_NUMBERS = 1 << 22, COLS_MOST = 1 << 20, PARTS = 1 << 20 }; /* rounded at a time; of a matrix; of progress */

struct sp_bits_walk {
    const struct sp_bits_rounding *r;
    const struct sp_export *e;
    struct sp_bits_stream stream;
    int next;                      /* the layer to be walked next; 0: not begun */
    unsigned char **bytes;         /* [e->n]: of those that are kept            */
    double left;                   /* by the factor made last                   */
    double before, share;          /* of the progress: of tensors before this layer, of it */
};

static const struct sp_bits_matrix *known(const struct sp_bits_walk *k, int i)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    return t->matrix && t->type.n == 2 ? sp_bits_find(k->r->known, t->name) : NULL;
}

/* Tensor i is one whose errors are made up for. */
static bool rounds(const struct sp_bits_walk *k, int i)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    const struct sp_bits_matrix *m = known(k, i);
    return m && sp_format_grid(t->type.format) && m->cols == t->type.dim[1] && m->cols <= COLS_MOST;
}

/* ---- a matrix ---- */

static enum sp_status in_bands(struct sp_bits_walk *k, int i, const float *factor, int64_t most, float *w, struct sp_err *err)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    int64_t rows = t->type.dim[0], cols = t->type.dim[1];
    enum sp_format f = t->type.format;
    const float *importance = t->importance ? t->importance : known(k, i)->x2;
    for (int64_t at = 0; at < rows; at += most) {
        int64_t n = rows - at < most ? rows - at : most;
        unsigned char *to = k->bytes[i] + sp_format_bytes(f, at * cols);
        if (!factor) {
            TRY(sp_bits_rows(k->e, t, at, n, f, k->r->pool, to, err));
            continue;
        }
        TRY(sp_bits_rows(k->e, t, at, n, SP_F32, k->r->pool, w, err));
        TRY(sp_bits_round(f, w, n, cols, importance, factor, k->r->pool, to, err));
    }
    return SP_OK;
}

/* factor NULL: to the nearest. */
static enum sp_status make(struct sp_bits_walk *k, int i, const float *factor, struct sp_err *err)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    int64_t rows = t->type.dim[0], cols = t->type.dim[1], most = cols < BAND_NUMBERS ? BAND_NUMBERS / cols : 1;
    most = most < rows ? most : rows;
    k->bytes[i] = sp_alloc((size_t)sp_type_bytes(&t->type));
    float *w = factor ? sp_alloc((size_t)(most * cols) * sizeof *w) : NULL;
    enum sp_status st = k->bytes[i] && !factor == !w ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to round %s", t->name);
    if (!st)
        st = in_bands(k, i, factor, most, w, err);
    if (k->r->left)
        k->r->left[i] = factor ? k->left : 1;
    sp_free(w);
    if (t->from->map)
        sp_map_forget(t->from->map, t->from->at, t->from->bytes);
    return st;
}

/* The matrix as it was made, in place of the original. */
static enum sp_status put_back(struct sp_bits_walk *k, int i, struct sp_err *err)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    const struct sp_state_entry *s = sp_state_find(&k->stream.job.state, t->name);
    return s ? sp_bits_read_back(t, t->type.format, k->bytes[i], s->type.format, k->stream.live.state.at + s->at, err) : SP_OK;
}

/* ---- a layer ---- */

static const struct sp_bits_tap *tap_of(const struct sp_bits_walk *k, const char *name)
{
    const struct sp_bits_taps *t = &k->stream.taps;
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->tap[i].name, name))
            return &t->tap[i];
    return NULL;
}

/* All matrices of the part that take what tap `like` takes: the factor is made in place of their h. */
static enum sp_status round_alike(struct sp_bits_walk *k, const struct sp_bits_tap *like, struct sp_err *err)
{
    float *h = sp_live_state(&k->stream.live, like->h);
    bool factored = false;
    for (int i = 0; i < k->e->n; i++) {
        const struct sp_bits_tap *tap = tap_of(k, k->e->tensor[i].name);
        if (!tap || !tap->h || strcmp(tap->h, like->h) || k->bytes[i])
            continue;
        if (rounds(k, i) && !factored) {
            TRY(sp_bits_factor(h, like->cols, k->r->damp, k->r->pool, h, &k->left, err));
            factored = true;
        }
        TRY(make(k, i, rounds(k, i) ? h : NULL, err));
        if (sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s; nothing was written", k->e->tensor[i].name);
    }
    return SP_OK;
}

static enum sp_status round_part(struct sp_bits_walk *k, struct sp_err *err)
{
    const struct sp_bits_taps *t = &k->stream.taps;
    for (int i = 0; i < t->n; i++)
        if (t->tap[i].h)
            TRY(round_alike(k, &t->tap[i], err));
    for (int i = 0; i < k->e->n; i++)
        if (k->bytes[i])
            TRY(put_back(k, i, err));
    return SP_OK;
}

static void forget(struct sp_bits_walk *k)
{
    for (int i = 0; i < k->e->n; i++) {
        sp_free(k->bytes[i]);
        k->bytes[i] = NULL;
    }
}

/* Share of the numbers in tensors before the first of layer `from`, and in layers from .. to. */
static void measure(struct sp_bits_walk *k, int layer)
{
    double all = 0, before = 0, own = 0;
    for (int i = 0; i < k->e->n; i++) {
        double n = (double)sp_type_elements(&k->e->tensor[i].type);
        const struct sp_bits_matrix *m = known(k, i);
        all += n;
        own += m && m->layer == layer ? n : 0;
        before += own > 0 ? 0 : n;
    }
    k->before = before / all;
    k->share = own / all;
}

static enum sp_status walk_layer(struct sp_bits_walk *k, struct sp_err *err)
{
    measure(k, k->next);
    forget(k);
    TRY(sp_bits_stream_open(&k->stream, SP_BUILD_LAYERS, k->next, SP_BITS_H, err));
    TRY(sp_bits_stream_run(&k->stream, SP_RUN_MICRO, false, k->before, k->before + 0.6 * k->share, err));
    TRY(round_part(k, err));
    TRY(sp_bits_stream_run(&k->stream, SP_RUN_SCORE, true, k->before + 0.7 * k->share, k->before + k->share, err));
    sp_bits_stream_shut(&k->stream);
    k->next++;
    return SP_OK;
}

/* ---- outside layers ---- */

/* A row of the embedding as it is written. */
static enum sp_status written_row(void *walk, const char *tensor, int32_t id, int64_t cols, float *to, struct sp_err *err)
{
    struct sp_bits_walk *k = walk;
    unsigned char *raw = sp_alloc((size_t)cols * sizeof(float));
    enum sp_status st = raw ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for a row of %s", tensor);
    int i = 0;
    while (i < k->e->n && strcmp(k->e->tensor[i].name, tensor))
        i++;
    if (!st && i == k->e->n)
        st = sp_fail(err, SP_MISSING, "tensor %s is missing from what is written", tensor);
    if (!st) {
        enum sp_format f = k->e->tensor[i].type.format;
        const unsigned char *at = k->bytes[i] ? k->bytes[i] + sp_format_bytes(f, id * cols) : raw;
        if (!k->bytes[i])
            st = sp_export_rows(k->e, &k->e->tensor[i], id, 1, f, raw, err);
        if (!st)
            sp_formats[f].decode(to, at, cols);
    }
    sp_free(raw);
    return st;
}

static enum sp_status begin(struct sp_bits_walk *k, struct sp_err *err)
{
    k->stream = (struct sp_bits_stream){ .w = k->e->w, .windows = &k->r->windows, .machine = k->r->machine, .pool = k->r->pool, .watch = k->r->watch,
                                         .row = written_row, .self = k };
    measure(k, 0);
    return sp_bits_stream_begin(&k->stream, k->before, 0, err);
}

/* With the original's h where that is known, else, behind all layers, with what comes out of them. */
static enum sp_status outside(struct sp_bits_walk *k, int i, struct sp_err *err)
{
    const struct sp_bits_matrix *m = known(k, i);
    if (m->h) {
        float *factor = sp_alloc((size_t)(m->cols * m->cols) * sizeof *factor);
        enum sp_status st = factor ? sp_bits_factor(m->h, m->cols, k->r->damp, k->r->pool, factor, &k->left, err)
                                   : sp_fail(err, SP_NOMEM, "no memory for the factor of %s", m->name);
        if (!st)
            st = make(k, i, factor, err);
        sp_free(factor);
        return st;
    }
    if (!k->next || k->next < k->e->w->config.layers)
        return SP_OK;
    forget(k);
    TRY(sp_bits_stream_open(&k->stream, SP_BUILD_HEAD, 0, SP_BITS_H, err));
    const struct sp_bits_tap *tap = tap_of(k, m->name);
    if (!tap || !tap->h)
        return SP_OK;
    measure(k, -1);
    TRY(sp_bits_stream_run(&k->stream, SP_RUN_MICRO, false, 1 - k->share, 1 - k->share / 2, err));
    return round_alike(k, tap, err);
}

/* ---- in the order of writing ---- */

static bool rounds_layers(const struct sp_bits_walk *k)
{
    for (int i = 0; i < k->e->n; i++)
        if (rounds(k, i) && known(k, i)->layer >= k->next)
            return true;
    return false;
}

static enum sp_status start(struct sp_bits_rounding *r, const struct sp_export *e, struct sp_err *err)
{
    if (r->walk)
        return SP_OK;
    r->walk = sp_zalloc(1, sizeof *r->walk);
    if (r->walk)
        r->walk->bytes = sp_zalloc((size_t)e->n + 1, sizeof *r->walk->bytes);
    if (!r->walk || !r->walk->bytes)
        return sp_fail(err, SP_NOMEM, "no memory to round %d tensors", e->n);
    r->walk->r = r;
    r->walk->e = e;
    return SP_OK;
}

static void tell(const struct sp_bits_walk *k, int tensor)
{
    double all = 0, before = 0;
    for (int i = 0; i < k->e->n; i++) {
        all += (double)sp_type_elements(&k->e->tensor[i].type);
        before = i < tensor ? all : before;
    }
    if (!k->bytes[tensor])
        sp_tell(k->r->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .done = (int64_t)(PARTS * before / all), .total = PARTS });
}

enum sp_status sp_bits_round_tensor(void *rounding, const struct sp_export *e, int tensor, const void **at, struct sp_err *err)
{
    struct sp_bits_rounding *r = rounding;
    *at = NULL;
    TRY(start(r, e, err));
    struct sp_bits_walk *k = r->walk;
    tell(k, tensor);
    const struct sp_bits_matrix *m = known(k, tensor);
    if (m && m->layer < 0 && rounds(k, tensor))
        TRY(outside(k, tensor, err));
    if (m && m->layer >= k->next && rounds_layers(k) && !k->stream.embedding)
        TRY(begin(k, err));
    while (m && m->layer >= k->next && rounds_layers(k))
        TRY(walk_layer(k, err));
    *at = k->bytes[tensor];
    return SP_OK;
}

void sp_bits_rounding_clear(struct sp_bits_rounding *r)
{
    if (r->walk && r->walk->bytes) {
        forget(r->walk);
        sp_bits_stream_clear(&r->walk->stream);
    }
    if (r->walk)
        sp_free(r->walk->bytes);
    sp_free(r->walk);
    r->walk = NULL;
}
