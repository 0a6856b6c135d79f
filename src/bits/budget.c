/* bits/budget.c - formats by tensor, so that a file is no larger than said and differs
 * from the original as little as can be.
 *
 * What each format would do to a tensor is counted from the tensor's own rows, with
 * statistics of one pass of gradients as weights, so that it takes as long as the model is
 * large.  measure.c brings it in line with what storing does.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../kernel/kernel.h"
#include "../model/gguf.h"
#include "bits.h"

enum { ROWS_SEEN = 512, BYTES_A_NUMBER = 8 };

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

/* Rows as a product sees them, whichever way round the file to be has them. */
struct counting {
    const struct sp_export_tensor *t;
    const struct sp_choices *c;
    const float *x2, *g2;          /* [cols], [rows]; NULL: ones      */
    int64_t cols, every, seen;     /* every so many rows one is seen  */
    float *x, *y;                  /* [seen, cols]; [threads, cols]   */
    unsigned char *packed;         /* a row a thread                  */
    double *loss;                  /* [seen, formats]                 */
};

static void there_and_back(const struct sp_export_tensor *t, enum sp_format f, const float *x, unsigned char *packed, float *y, int64_t n)
{
    const struct sp_format_row *row = &sp_formats[f];
    if (t->importance && row->encode_weighted)
        row->encode_weighted(packed, x, t->importance, n);
    else
        row->encode(packed, x, n);
    row->decode(y, packed, n);
}

static void count_row(void *arg, int64_t row, int thread)
{
    const struct counting *k = arg;
    const float *x = k->x + row * k->cols;
    float *y = k->y + thread * k->cols;
    double weight = k->g2 ? (double)k->g2[row * k->every] / 2 : 0.5;
    for (int i = 0; i < k->c->n; i++) {
        double sum = 0;
        there_and_back(k->t, k->c->at[i].format, x, k->packed + thread * k->cols * BYTES_A_NUMBER, y, k->cols);
        for (int64_t j = 0; j < k->cols; j++) {
            double d = (double)(x[j] - y[j]);
            sum += d * d * (k->x2 ? (double)k->x2[j] : 1);
        }
        k->loss[row * k->c->n + i] = weight * sum;
    }
}

static enum sp_status read_seen(const struct counting *k, struct sp_err *err)
{
    struct sp_layout as = { .transposed = k->t->layout.transposed };
    for (int64_t i = 0; i < k->seen; i++)
        TRY(sp_tensor_rows(k->t->from, as, i * k->every, 1, SP_F32, k->x + i * k->cols, err));
    return SP_OK;
}

static void add_up(const struct counting *k, int64_t rows, struct sp_choices *c)
{
    for (int i = 0; i < c->n; i++) {
        for (int64_t row = 0; row < k->seen; row++)
            c->at[i].loss += k->loss[row * c->n + i];
        c->at[i].loss *= (double)rows / (double)k->seen;
    }
}

static enum sp_status count_tensor(const struct sp_export_tensor *t, const struct sp_bits_stats *known, struct sp_pool *pool, struct sp_choices *c,
                                   struct sp_err *err)
{
    const struct sp_bits_matrix *m = known ? sp_bits_find(known, t->name) : NULL;
    int64_t rows = sp_type_rows(&t->type), cols = t->type.dim[t->type.n - 1], every = rows > ROWS_SEEN ? rows / ROWS_SEEN : 1, threads = sp_pool_threads(pool);
    struct counting k = { .t = t, .c = c, .cols = cols, .every = every, .seen = (rows + every - 1) / every };
    if (m && m->rows == rows && m->cols == cols) {
        k.x2 = m->x2;
        k.g2 = m->g2;
    }
    k.x = sp_alloc((size_t)(k.seen * cols) * sizeof *k.x);
    k.y = sp_alloc((size_t)(threads * cols) * sizeof *k.y);
    k.packed = sp_alloc((size_t)(threads * cols * BYTES_A_NUMBER));
    k.loss = sp_alloc((size_t)(k.seen * c->n) * sizeof *k.loss);
    enum sp_status st = k.x && k.y && k.packed && k.loss ? read_seen(&k, err) : sp_fail(err, SP_NOMEM, "no memory for rows of %s", t->name);
    if (!st) {
        sp_pool_run(pool, count_row, &k, k.seen);
        add_up(&k, rows, c);
    }
    sp_free(k.x);
    sp_free(k.y);
    sp_free(k.packed);
    sp_free(k.loss);
    return st;
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

enum sp_status sp_bits_candidates(const struct sp_export *e, const struct sp_bits_stats *known, struct sp_pool *pool, const struct sp_watch *watch,
                                  struct sp_choices *out, struct sp_err *err)
{
    for (int i = 0; i < e->n; i++) {
        list_formats(&e->tensor[i], &out[i]);
        if (e->tensor[i].matrix)
            TRY(count_tensor(&e->tensor[i], known, pool, &out[i], err));
        if (sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted at tensor %s; nothing was written", e->tensor[i].name);
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .done = i + 1, .total = e->n });
    }
    return SP_OK;
}
