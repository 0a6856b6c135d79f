/* bits/measure.c - what was foretold of formats, brought in line with what storing does:
 * all tensors of a kind are stored as they would be written, the model is run, and its
 * divergence from the original measured.
 *
 * Foretelling knows how much one tensor matters beside another of its kind, and one format
 * beside another; not how errors of a kind go together over tokens, nor that an embedding
 * which is the head is also looked up.  A few numbers say that, so a few measurements do.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../kernel/kernel.h"
#include "bits.h"
#include "inner.h"

struct measuring {
    struct sp_export *e;
    const struct sp_measuring *m;
    struct sp_choices *c;
    void **bytes;                  /* [tensors]: in the format tried; NULL: not stored */
    double *left;                  /* [tensors]                                        */
    float *base;                   /* [rows, vocab]: the original's logits             */
    double *nats;                  /* [rows]                                           */
    int64_t rows, vocab;
};

/* ---- a tensor as it would be written ---- */

/* In the middle of what a budget chooses, so that the factor holds on both sides. */
static int middle(const struct sp_choices *c)
{
    for (int i = 0; i < c->n; i++)
        if (c->at[i].format == SP_IQ4_XS || c->at[i].format == SP_IQ4_NL)
            return i;
    return 0;
}

static enum sp_format tried(const struct sp_choices *c)
{
    return c->at[middle(c)].format;
}

static enum sp_status store(struct measuring *k, int i, struct sp_err *err)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    const void *whole = NULL;
    if (k->e->round)
        TRY(k->e->round(k->e->rounding, k->e, i, &whole, err));
    k->bytes[i] = sp_alloc((size_t)sp_type_bytes(&t->type));
    if (!k->bytes[i])
        return sp_fail(err, SP_NOMEM, "no memory to store %s", t->name);
    if (!whole)
        return sp_bits_rows(k->e, t, 0, sp_type_rows(&t->type), t->type.format, k->m->pool, k->bytes[i], err);
    memcpy(k->bytes[i], whole, (size_t)sp_type_bytes(&t->type));
    return SP_OK;
}

/* Into the model's parameter: the original, or what a reader of the file would have. */
static enum sp_status put(const struct measuring *k, int i, bool stored, struct sp_err *err)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    float *to = sp_live_state(k->m->live, t->name);
    return stored ? sp_bits_read_back(t, tried(&k->c[i]), k->bytes[i], SP_F32, to, err) : sp_tensor_read(t->from, SP_F32, to, err);
}

/* ---- a run ---- */

/* Rows are spread over all but the first quarter of every window. */
static const float *run(const struct measuring *k)
{
    const struct sp_windows *w = &k->m->windows;
    struct sp_live *l = k->m->live;
    int32_t *ids = sp_live_at(l, SP_RUN_SCORE, "ids"), *rows = sp_live_at(l, SP_RUN_SCORE, "rows");
    int64_t each = k->rows / w->n, from = w->context / 4;
    if (l->job->has[SP_RUN_REFRESH])
        sp_live_run(l, SP_RUN_REFRESH);
    memcpy(ids, w->ids, (size_t)(w->n * w->context) * sizeof *ids);
    for (int64_t i = 0; i < w->n && w->bos >= 0; i++)
        ids[i * w->context] = w->bos;
    for (int64_t i = 0; i < k->rows; i++)
        rows[i] = (int32_t)(i / each * w->context + from + i % each * (w->context - from) / each);
    sp_live_run(l, SP_RUN_SCORE);
    return sp_live_at(l, SP_RUN_SCORE, "logits");
}

static double logs(const float *x, int64_t n)
{
    double sum = 0;
    float most = x[0];
    for (int64_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    for (int64_t i = 0; i < n; i++)
        sum += (double)expf(x[i] - most);
    return (double)most + log(sum);
}

struct comparing { const struct measuring *k; const float *logits; };

static void compare_row(void *arg, int64_t row, int thread)
{
    const struct comparing *c = arg;
    const float *b = c->k->base + row * c->k->vocab, *x = c->logits + row * c->k->vocab;
    double all_b = logs(b, c->k->vocab), all_x = logs(x, c->k->vocab), sum = 0;
    (void)thread;
    for (int64_t i = 0; i < c->k->vocab; i++)
        sum += exp((double)b[i] - all_b) * (((double)b[i] - all_b) - ((double)x[i] - all_x));
    c->k->nats[row] = sum;
}

static enum sp_status divergence(const struct measuring *k, double *out, struct sp_err *err)
{
    struct comparing c = { k, run(k) };
    double sum = 0;
    sp_pool_run(k->m->pool, compare_row, &c, k->rows);
    for (int64_t i = 0; i < k->rows; i++)
        sum += k->nats[i] / (double)k->rows;
    if (!isfinite(sum))
        return sp_fail(err, SP_DIVERGED, "the model's logits on this text are not numbers: its weights are damaged");
    *out = sum > 0 ? sum : 0;
    return SP_OK;
}

/* ---- kinds ---- */

/* The same but for numbers between dots. */
static bool same_kind(const char *a, const char *b)
{
    for (bool begins = true;; begins = *a == '.', a++, b++) {
        size_t n = strspn(a, "0123456789"), m = strspn(b, "0123456789");
        if (begins && n && m && (a[n] == '.' || !a[n])) {
            a += n;
            b += m;
        }
        if (*a != *b)
            return false;
        if (!*a)
            return true;
    }
}

static bool measurable(const struct measuring *k, int i)
{
    const struct sp_export_tensor *t = &k->e->tensor[i];
    return t->matrix && t->from && k->c[i].n > 1 && sp_live_state(k->m->live, t->name);
}

static void sort_kinds(const struct measuring *k)
{
    for (int i = 0; i < k->e->n; i++) {
        k->c[i].kind = i;
        for (int j = 0; j < i && k->c[i].kind == i; j++)
            if (measurable(k, i) && measurable(k, j) && same_kind(k->e->tensor[i].name, k->e->tensor[j].name))
                k->c[i].kind = j;
    }
}

static void scale(struct sp_choices *c, double by)
{
    for (int i = 0; i < c->n; i++)
        c->at[i].loss *= by;
}

static enum sp_status measure_kind(const struct measuring *k, int kind, struct sp_err *err)
{
    struct sp_choices *first = &k->c[kind];
    first->tried = tried(first);
    for (int i = kind; i < k->e->n; i++)
        if (k->c[i].kind == kind) {
            TRY(put(k, i, true, err));
            scale(&k->c[i], k->left[i]);
            first->foretold += k->c[i].at[middle(&k->c[i])].loss;
            first->tensors++;
        }
    TRY(divergence(k, &first->measured, err));
    for (int i = kind; i < k->e->n; i++)
        if (k->c[i].kind == kind) {
            TRY(put(k, i, false, err));
            if (first->foretold > 0)
                scale(&k->c[i], first->measured / first->foretold);
        }
    return SP_OK;
}

static enum sp_status tell(const struct measuring *k, int done, struct sp_err *err)
{
    sp_tell(k->m->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .done = done, .total = 2 * k->e->n });
    return sp_signal_pending() ? sp_fail(err, SP_INTERRUPTED, "interrupted while measuring; nothing was written") : SP_OK;
}

/* All in the formats tried, in the order of writing, by which rounding goes. */
static enum sp_status store_all(struct measuring *k, struct sp_err *err)
{
    for (int i = 0; i < k->e->n; i++) {
        if (measurable(k, i))
            TRY(store(k, i, err));
        TRY(tell(k, i + 1, err));
    }
    return SP_OK;
}

static enum sp_status all(struct measuring *k, enum sp_format *was, struct sp_err *err)
{
    memcpy(k->base, run(k), (size_t)(k->rows * k->vocab) * sizeof *k->base);
    sort_kinds(k);
    for (int i = 0; i < k->e->n; i++) {
        k->left[i] = 1; /* else rounding says so, of a layer at once */
        was[i] = k->e->tensor[i].type.format;
        k->e->tensor[i].type.format = tried(&k->c[i]);
    }
    enum sp_status st = store_all(k, err);
    for (int i = 0; i < k->e->n; i++)
        k->e->tensor[i].type.format = was[i];
    for (int i = 0; !st && i < k->e->n; i++) {
        if (k->c[i].kind == i && measurable(k, i))
            st = measure_kind(k, i, err);
        st = st ? st : tell(k, k->e->n + i + 1, err);
    }
    if (!st && k->m->live->job->has[SP_RUN_REFRESH])
        sp_live_run(k->m->live, SP_RUN_REFRESH);
    return st;
}

static enum sp_status check(const struct sp_measuring *m, int64_t *rows, struct sp_err *err)
{
    const struct sp_windows *w = &m->windows;
    const struct sp_program *p = &m->live->job->program[SP_RUN_SCORE];
    const struct sp_named *ids = sp_program_find(p, "ids"), *wanted = sp_program_find(p, "rows");
    if (!ids || !wanted || w->n < 1 || sp_type_elements(&ids->type) != w->n * w->context || sp_type_elements(&wanted->type) % w->n)
        return sp_fail(err, SP_SHAPE, "a program for other windows than %lld of %lld tokens", (long long)w->n, (long long)w->context);
    *rows = sp_type_elements(&wanted->type);
    return SP_OK;
}

enum sp_status sp_bits_measure(struct sp_export *e, const struct sp_measuring *m, struct sp_choices *c, struct sp_err *err)
{
    struct measuring k = { .e = e, .m = m, .c = c, .vocab = m->live->job->config.vocab };
    TRY(check(m, &k.rows, err));
    enum sp_format *was = sp_alloc(((size_t)e->n + 1) * sizeof *was);
    k.bytes = sp_zalloc((size_t)e->n + 1, sizeof *k.bytes);
    k.left = sp_zalloc((size_t)e->n + 1, sizeof *k.left);
    k.base = sp_alloc((size_t)(k.rows * k.vocab) * sizeof *k.base);
    k.nats = sp_zalloc((size_t)k.rows, sizeof *k.nats);
    if (m->rounding)
        m->rounding->left = k.left;
    enum sp_status st = was && k.bytes && k.left && k.base && k.nats ? all(&k, was, err) : sp_fail(err, SP_NOMEM, "no memory to measure divergence");
    if (m->rounding)
        m->rounding->left = NULL;
    for (int i = 0; k.bytes && i < e->n; i++)
        sp_free(k.bytes[i]);
    sp_free(was);
    sp_free(k.bytes);
    sp_free(k.left);
    sp_free(k.base);
    sp_free(k.nats);
    return st;
}
