/* bits/budget.c - formats by tensor, so that a file is no larger than said and differs
 * from the original as little as can be.
 *
 * How a tensor's loss falls with its format is counted from its own rows, importance
 * and all; how much the model cares about that tensor is measured, once, with the tensor
 * alone in a coarse format.  Loss is proportional to the squared change, which is what makes
 * both the scaling and the sum over tensors hold as long as it is small.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../model/gguf.h"
#include "bits.h"

enum { ROWS_SEEN = 512 };

static uint64_t stored_bytes(const struct sp_export_tensor *t, enum sp_format f)
{
    struct sp_type type = t->type;
    type.format = f;
    return sp_gguf_aligned((uint64_t)sp_type_bytes(&type));
}

/* ---- the choice ---- */

/* The next of a tensor: the steepest fall of loss a byte from where it is; -1: none within room. */
static int next(const struct sp_choices *c, uint64_t room, double *fall)
{
    const struct sp_choice *now = &c->at[c->chosen];
    int best = -1;
    for (int i = 0; i < c->n; i++) {
        const struct sp_choice *x = &c->at[i];
        if (x->loss >= now->loss || x->bytes > now->bytes + room)
            continue;
        double f = x->bytes > now->bytes ? (now->loss - x->loss) / (double)(x->bytes - now->bytes) : INFINITY;
        if (best < 0 || f > *fall || (!(f < *fall) && x->loss < c->at[best].loss)) {
            best = i;
            *fall = f;
        }
    }
    return best;
}

static void smallest(struct sp_choices *c)
{
    c->chosen = 0;
    for (int i = 1; i < c->n; i++) {
        const struct sp_choice *x = &c->at[i], *s = &c->at[c->chosen];
        if (x->bytes < s->bytes || (x->bytes == s->bytes && x->loss < s->loss))
            c->chosen = i;
    }
}

/* The steepest step of all; with room for any of them this walks along every tensor's lower hull. */
static bool step(struct sp_choices *t, int n, uint64_t *left)
{
    double most = -1, fall = 0;
    int who = -1, to = -1;
    for (int i = 0; i < n; i++) {
        int k = next(&t[i], *left, &fall);
        if (k >= 0 && fall > most) {
            most = fall;
            who = i;
            to = k;
        }
    }
    if (who < 0)
        return false;
    *left = *left + t[who].at[t[who].chosen].bytes - t[who].at[to].bytes;
    t[who].chosen = to;
    return true;
}

enum sp_status sp_bits_choose(struct sp_choices *tensor, int n, uint64_t bytes, struct sp_err *err)
{
    uint64_t sum = 0;
    for (int i = 0; i < n; i++) {
        smallest(&tensor[i]);
        sum += tensor[i].at[tensor[i].chosen].bytes;
    }
    if (sum > bytes) {
        sp_fail(err, SP_LIMIT, "the smallest formats take %llu bytes, %llu are allowed", (unsigned long long)sum, (unsigned long long)bytes);
        return sp_remedy(err, "a larger --size or --bits");
    }
    for (uint64_t left = bytes - sum; step(tensor, n, &left);)
        ;
    return SP_OK;
}

/* ---- what a format does to a tensor ---- */

struct rows { float *x, *y; unsigned char *packed; int64_t cols; };

static enum sp_status rows_new(struct rows *r, int64_t cols, struct sp_err *err)
{
    *r = (struct rows){ sp_alloc((size_t)cols * sizeof(float)), sp_alloc((size_t)cols * sizeof(float)), sp_alloc((size_t)cols * 8), cols };
    return r->x && r->y && r->packed ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for a row of %lld numbers", (long long)cols);
}

static void rows_clear(struct rows *r)
{
    sp_free(r->x);
    sp_free(r->y);
    sp_free(r->packed);
}

static void there_and_back(const struct rows *r, const float *importance, enum sp_format f, const float *x, float *y)
{
    const struct sp_format_row *row = &sp_formats[f];
    if (importance && row->encode_weighted)
        row->encode_weighted(r->packed, x, importance, r->cols);
    else
        row->encode(r->packed, x, r->cols);
    row->decode(y, r->packed, r->cols);
}

static double change(const struct rows *r, const float *importance)
{
    double sum = 0;
    for (int64_t i = 0; i < r->cols; i++) {
        double d = (double)(r->x[i] - r->y[i]);
        sum += d * d * (importance ? (double)importance[i] : 1);
    }
    return sum / 2;
}

static enum sp_status count_tensor(const struct sp_export *e, const struct sp_export_tensor *t, struct rows *r, struct sp_choices *c, struct sp_err *err)
{
    int64_t n = sp_type_rows(&t->type), every = n > ROWS_SEEN ? n / ROWS_SEEN : 1, seen = 0;
    for (int64_t row = 0; row < n; row += every, seen++) {
        TRY(sp_export_rows(e, t, row, 1, SP_F32, r->x, err));
        for (int i = 0; i < c->n; i++) {
            there_and_back(r, t->importance, c->at[i].format, r->x, r->y);
            c->at[i].loss += change(r, t->importance);
        }
    }
    for (int i = 0; i < c->n; i++)
        c->at[i].loss *= (double)n / (double)seen;
    return sp_signal_pending() ? sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s; nothing was written", t->name) : SP_OK;
}

static void list_formats(const struct sp_export_tensor *t, struct sp_choices *c)
{
    static const enum sp_format all[] = { SP_Q2_K, SP_Q3_K, SP_IQ4_XS, SP_IQ4_NL, SP_Q4_0, SP_Q4_K, SP_Q4_1, SP_Q5_0, SP_Q5_K, SP_Q5_1, SP_Q6_K, SP_Q8_0, SP_F16 };
    *c = (struct sp_choices){ 0 };
    for (size_t i = 0; i < SP_COUNT(all) && t->matrix; i++)
        if (t->type.dim[t->type.n - 1] % sp_formats[all[i]].block == 0)
            c->at[c->n++] = (struct sp_choice){ all[i], stored_bytes(t, all[i]), 0 };
    if (!c->n)
        c->at[c->n++] = (struct sp_choice){ t->type.format, stored_bytes(t, t->type.format), 0 };
}

/* ---- how much the model cares ---- */

/* The parameter as Hugging Face has it, in a coarse format (SP_F32: as it is). */
static enum sp_status put(const struct sp_measuring *m, const struct sp_export_tensor *t, struct rows *r, enum sp_format f, struct sp_err *err)
{
    float *to = sp_live_state(m->live, t->name);
    TRY(sp_tensor_rows(t->from, (struct sp_layout){ 0 }, 0, sp_type_rows(&t->type), SP_F32, to, err));
    for (int64_t i = 0; f != SP_F32 && i < sp_type_rows(&t->type); i++)
        there_and_back(r, t->importance, f, to + i * r->cols, to + i * r->cols);
    if (m->live->job->has[SP_RUN_REFRESH])
        sp_live_run(m->live, SP_RUN_REFRESH);
    return SP_OK;
}

static enum sp_status divergence(const struct sp_measuring *m, double *out, struct sp_err *err)
{
    struct sp_judging j = { .windows = m->windows, .model = { .live = m->live }, .base = { .live = m->base }, .pool = m->pool };
    struct sp_scored s = { 0 };
    struct sp_fidelity f;
    TRY(sp_judge_windows(&j, &s, err));
    enum sp_status st = sp_scored_summary(&s, &f, err);
    sp_scored_clear(&s);
    if (!st)
        *out = f.divergence.value;
    return st;
}

/* Coarse enough to stand out of f32's rounding, fine enough to be small. */
static int coarse(const struct sp_choices *c)
{
    int best = 0;
    for (int i = 0; i < c->n; i++)
        if (c->at[i].format == SP_Q3_K || (c->at[i].format == SP_Q4_0 && c->at[best].format != SP_Q3_K))
            best = i;
    return best;
}

static enum sp_status measure_tensor(const struct sp_measuring *m, const struct sp_export_tensor *t, struct rows *r, struct sp_choices *c, struct sp_err *err)
{
    int k = coarse(c);
    double nats = 0, counted = c->at[k].loss;
    if (!sp_live_state(m->live, t->name) || t->layout.transposed || !(counted > 0))
        return SP_OK;
    TRY(put(m, t, r, c->at[k].format, err));
    TRY(divergence(m, &nats, err));
    for (int i = 0; i < c->n; i++)
        c->at[i].loss *= (nats > 0 ? nats : 0) / counted;
    return put(m, t, r, SP_F32, err);
}

static enum sp_status one_tensor(const struct sp_export *e, const struct sp_measuring *m, int i, struct sp_choices *c, struct sp_err *err)
{
    const struct sp_export_tensor *t = &e->tensor[i];
    struct rows r;
    list_formats(t, c);
    if (!t->matrix)
        return SP_OK;
    enum sp_status st = rows_new(&r, t->type.dim[t->type.n - 1], err);
    st = st ? st : count_tensor(e, t, &r, c, err);
    if (!st && m)
        st = measure_tensor(m, t, &r, c, err);
    rows_clear(&r);
    return st;
}

enum sp_status sp_bits_candidates(const struct sp_export *e, const struct sp_measuring *m, struct sp_choices *out, struct sp_err *err)
{
    for (int i = 0; i < e->n; i++) {
        TRY(one_tensor(e, m, i, &out[i], err));
        sp_tell(m ? m->watch : NULL, &(struct sp_event){ .kind = SP_EVENT_STEP, .done = i + 1, .total = e->n });
    }
    return SP_OK;
}
