/* bits/round_model.c - a model's matrices rounded with errors made up for, as they are
 * written, with h of as many layers at a time as fit in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../kernel/kernel.h"
#include "bits.h"

enum { H_MOST = 512 << 20, BAND_NUMBERS = 1 << 24 }; /* bytes of h at a time; numbers rounded at a time */

/* ---- h ---- */

/* Bytes of h of layers [first, last), or of all: matrices that share x2 share h. */
static uint64_t h_bytes(const struct sp_bits_stats *s, int first, int last)
{
    uint64_t n = 0;
    for (int i = 0; i < s->n; i++) {
        const struct sp_bits_matrix *m = &s->matrix[i];
        bool shared = false;
        for (int j = 0; j < i; j++)
            shared |= s->matrix[j].x2 == m->x2;
        if (!shared && (!last || (m->layer >= first && m->layer < last)))
            n += (uint64_t)(m->cols * m->cols) * sizeof(float);
    }
    return n;
}

static int layers(const struct sp_bits_stats *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        n = s->matrix[i].layer >= n ? s->matrix[i].layer + 1 : n;
    return n;
}

static enum sp_status collect(struct sp_bits_rounding *r, const struct sp_weights *w, int layer, struct sp_err *err)
{
    int last = layer + 1, all = layers(r->known);
    bool whole = h_bytes(r->known, 0, 0) <= H_MOST;
    while (last < all && h_bytes(r->known, layer, last + 1) <= H_MOST)
        last++;
    struct sp_calibration how = { .what = SP_BITS_H, .first = whole ? 0 : layer, .last = whole ? 0 : last, .text = r->known->text };
    if (layer < 0 && !whole)
        return SP_OK;
    sp_bits_stats_clear(&r->stats);
    r->factor_of = NULL;
    return sp_bits_calibrate(w, &r->windows, &how, r->machine, r->pool, NULL, &r->stats, err);
}

static const struct sp_bits_matrix *with_h(const struct sp_bits_rounding *r, const char *name)
{
    const struct sp_bits_matrix *m = sp_bits_find(&r->stats, name);
    return m && m->h ? m : NULL;
}

/* ---- a matrix ---- */

static enum sp_status factor(struct sp_bits_rounding *r, const struct sp_bits_matrix *m, struct sp_err *err)
{
    if (r->factor_of == m->h)
        return SP_OK;
    sp_free(r->factor);
    r->factor_of = NULL;
    r->factor = sp_alloc((size_t)(m->cols * m->cols) * sizeof *r->factor);
    if (!r->factor)
        return sp_fail(err, SP_NOMEM, "no memory for the factor of %s", m->name);
    TRY(sp_bits_factor(m->h, m->cols, r->damp, r->pool, r->factor, err));
    r->factor_of = m->h;
    return SP_OK;
}

struct reading { const struct sp_export *e; const struct sp_export_tensor *t; int64_t first, rows, each; float *to; struct sp_err *err; };

static void read_some(void *arg, int64_t task, int thread)
{
    const struct reading *d = arg;
    int64_t from = task * d->each, n = d->rows - from < d->each ? d->rows - from : d->each;
    (void)thread;
    (void)sp_export_rows(d->e, d->t, d->first + from, n, SP_F32, d->to + from * d->t->type.dim[d->t->type.n - 1], &d->err[task]);
}

static enum sp_status band(struct sp_bits_rounding *r, struct reading *d, const float *importance, struct sp_err *err)
{
    enum { TASKS = 16 };
    struct sp_err failed[TASKS] = { 0 };
    enum sp_format f = d->t->type.format;
    int64_t cols = d->t->type.dim[d->t->type.n - 1];
    d->each = (d->rows + TASKS - 1) / TASKS;
    d->err = failed;
    sp_pool_run(r->pool, read_some, d, (d->rows + d->each - 1) / d->each);
    for (int i = 0; i < TASKS; i++)
        if (failed[i].status) {
            *err = failed[i];
            return err->status;
        }
    return sp_bits_round(f, d->to, d->rows, cols, importance, r->factor, r->pool, r->bytes + sp_format_bytes(f, d->first * cols), err);
}

static enum sp_status whole(struct sp_bits_rounding *r, const struct sp_export *e, const struct sp_export_tensor *t, const struct sp_bits_matrix *m,
                            struct sp_err *err)
{
    int64_t rows = sp_type_rows(&t->type), most = BAND_NUMBERS / m->cols < rows ? BAND_NUMBERS / m->cols : rows;
    float *w = sp_alloc((size_t)(most * m->cols) * sizeof *w), *importance = sp_alloc((size_t)m->cols * sizeof *importance);
    r->bytes = sp_alloc((size_t)sp_type_bytes(&t->type));
    enum sp_status st = w && importance && r->bytes ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to round %s", t->name);
    for (int64_t j = 0; !st && j < m->cols; j++)
        importance[j] = t->importance ? t->importance[j] : m->h[j * m->cols + j];
    for (int64_t i = 0; !st && i < rows; i += most) {
        struct reading d = { .e = e, .t = t, .first = i, .rows = rows - i < most ? rows - i : most, .to = w };
        st = band(r, &d, importance, err);
    }
    sp_free(w);
    sp_free(importance);
    return st;
}

enum sp_status sp_bits_round_tensor(void *rounding, const struct sp_export *e, int tensor, const void **at, struct sp_err *err)
{
    struct sp_bits_rounding *r = rounding;
    const struct sp_export_tensor *t = &e->tensor[tensor];
    const struct sp_bits_matrix *known = sp_bits_find(r->known, t->name), *m;
    *at = NULL;
    if (!t->matrix || t->type.n != 2 || !sp_format_grid(t->type.format) || !known || (r->one_pass && h_bytes(r->known, 0, 0) > H_MOST))
        return SP_OK;
    if (!with_h(r, t->name))
        TRY(collect(r, e->w, known->layer, err));
    m = with_h(r, t->name);
    if (!m || m->cols != t->type.dim[1] || m->cols > BAND_NUMBERS)
        return SP_OK;
    sp_free(r->bytes);
    r->bytes = NULL;
    TRY(factor(r, m, err));
    TRY(whole(r, e, t, m, err));
    *at = r->bytes;
    return SP_OK;
}

void sp_bits_rounding_clear(struct sp_bits_rounding *r)
{
    sp_bits_stats_clear(&r->stats);
    sp_free(r->factor);
    sp_free(r->bytes);
    r->factor = NULL;
    r->factor_of = NULL;
    r->bytes = NULL;
}
