/* kernel/attention_back_vec.h - the backward pass of fused attention, any width.
 *
 * Probabilities are computed again from lse.  A task owns one key-value head of
 * one sequence: keys block by block, queries of every head of the group in
 * blocks below, five small products each (Dao et al. 2022, algorithm 4).
 * Included after attention_vec.h.
 * SPDX-License-Identifier: Apache-2.0 */

struct back {
    const struct sp_attention_back_args *a;
    int64_t b, g, h, dimp, k0, keys, q0, rows;
    float *k, *kt, *vt, *dk, *dv, *q, *d_o, *s, *ds, *dq; /* dq: one block */
    float *sum;                                           /* dq of all queries of head h, f32 */
    int64_t ld_sum;
    struct drops drops;
};

static void back_open(struct back *f, const struct sp_attention_back_args *a, int64_t task, float *scratch)
{
    f->a = a, f->b = task / a->kv_heads, f->g = task % a->kv_heads;
    f->dimp = up(a->dim, NR);
    f->drops = drops_open(a->drop, a->key, a->counter, a->tk);
    int64_t keys = SP_ATTENTION_K * f->dimp, queries = SP_ATTENTION_BACK_Q * f->dimp;
    f->k = scratch, f->kt = f->k + keys, f->vt = f->kt + keys, f->dk = f->vt + keys, f->dv = f->dk + keys;
    f->q = f->dv + keys, f->d_o = f->q + queries, f->dq = f->d_o + queries, f->s = f->dq + queries;
    f->ds = f->s + SP_ATTENTION_BACK_Q * SP_ATTENTION_K;
}

/* Where the f32 sums of dq of head h live: in dq itself, or behind the row sums in work. */
static void back_sum(struct back *f)
{
    const struct sp_attention_back_args *a = f->a;
    f->ld_sum = a->d_format == SP_F32 ? a->ldq : a->dim;
    f->sum = a->d_format == SP_F32 ? (float *)a->dq + a->q_at + f->b * a->t * a->ldq + f->h * a->dim
                                   : a->work + a->b * a->heads * a->t * 1 + (f->b * a->heads + f->h) * a->t * a->dim;
}

static void back_load_keys(struct back *f)
{
    const struct sp_attention_back_args *a = f->a;
    int64_t row = f->b * a->tk + f->k0, at = f->g * a->dim;
    load_rows(f->dv, f->dimp, a->v ? a->v : a->q, a->v_at + row * a->ldv + at, a->ldv, f->keys, f->keys, a->dim, 1, a->x_format);
    transpose_rows(f->vt, SP_ATTENTION_K, f->dv, f->dimp, f->keys, a->dim);
    load_rows(f->k, f->dimp, a->k ? a->k : a->q, a->k_at + row * a->ldk + at, a->ldk, f->keys, SP_ATTENTION_K, a->dim, 1, a->x_format);
    transpose_rows(f->kt, SP_ATTENTION_K, f->k, f->dimp, f->keys, a->dim);
    memset(f->dk, 0, (size_t)(SP_ATTENTION_K * f->dimp) * 4);
    memset(f->dv, 0, (size_t)(SP_ATTENTION_K * f->dimp) * 4);
}

static void back_range(const struct back *f, int64_t row, int64_t *lo, int64_t *hi)
{
    sp_attention_keys(f->q0 + row, f->a->tk, f->a->window, f->a->causal, lo, hi);
    *lo = most(*lo - f->k0, 0);
    *hi = least(*hi - f->k0, f->keys);
}

struct slope { float lse, delta, scale, cap; const float *keep; /* dropout's multipliers; NULL: none */ };

/* One vector of scores x and gradients of dropped probabilities dp becomes dropped probabilities and gradients of scores. */
static inline void back_scores(sp_vf *x, sp_vf *dp, sp_vf keep, const struct slope *r)
{
    sp_vf y = *x * sp_vsplat(r->scale), by = sp_vsplat(r->scale);
    if (r->cap > 0) {
        sp_vf soft = sp_vtanh(y * sp_vsplat(1 / r->cap));
        y = soft * sp_vsplat(r->cap);
        by -= by * soft * soft;
    }
    *x = sp_vexp_short(y - sp_vsplat(r->lse));
    *dp = *x * (*dp * keep - sp_vsplat(r->delta)) * by;
    *x *= keep;
}

/* One row: s = probabilities, ds = gradients of the scores; 0 outside [lo, hi) up to K. */
static void back_row(float *s, float *ds, int64_t lo, int64_t hi, const struct slope *r)
{
    for (int64_t j = 0; j < SP_ATTENTION_K; j += W) {
        sp_vf zero = { 0 }, p = zero, d = zero;
        if (j < hi && j + W > lo) {
            p = sp_vload(s + j), d = sp_vload(ds + j);
            back_scores(&p, &d, r->keep ? sp_vload(r->keep + j) : sp_vsplat(1), r);
            sp_vi in = between(j, lo, hi);
            p = sp_vpick(in, p, zero), d = sp_vpick(in, d, zero);
        }
        sp_vstore(s + j, p), sp_vstore(ds + j, d);
    }
}

/* Scores, probabilities and dq of MR queries from row i of the block. */
static void back_strip(struct back *f, int64_t i)
{
    const struct sp_attention_back_args *a = f->a;
    int64_t lo, hi, first, ld = SP_ATTENTION_K, last = least(i + MR, f->rows) - 1;
    float *s = f->s + i * ld, *ds = f->ds + i * ld, room[DROPS_ROOM];
    int64_t lse_at = (f->b * a->heads + f->h) * a->t + f->q0;
    back_range(f, last, &lo, &hi);
    back_range(f, i, &first, &lo);
    int64_t n = most(hi, 0);
    for (int64_t j = 0; j < n; j += NR) {
        tile(s + j, ld, f->q + i * f->dimp, f->dimp, 1, f->kt + j, ld, a->dim, false);
        tile(ds + j, ld, f->d_o + i * f->dimp, f->dimp, 1, f->vt + j, ld, a->dim, false);
    }
    for (int64_t r = 0; r < MR; r++) {
        back_range(f, least(i + r, last), &lo, &hi);
        if (i + r > last || lo >= hi)
            lo = hi = 0;
        int64_t at = lse_at + least(i + r, last);
        struct slope slope = { a->lse[at], a->work[at], a->scale, a->softcap, NULL };
        if (a->drop > 0 && hi > lo)
            slope.keep = drops_row(&f->drops, room, at, f->k0, hi);
        back_row(s + r * ld, ds + r * ld, lo, hi, &slope);
    }
    for (int64_t d = 0; d < f->dimp; d += NR)
        tile(f->dq + i * f->dimp + d, f->dimp, ds, ld, 1, f->k + d, f->dimp, n, false);
}

/* dk, dv of the block of keys += what the block of queries says; keys see only queries at or behind them. */
static void back_keys(struct back *f)
{
    int64_t ld = SP_ATTENTION_K;
    for (int64_t j = 0; j < f->keys; j += MR) {
        int64_t i = f->a->causal ? most(f->k0 + j - f->q0, 0) : 0, n = f->rows - i;
        for (int64_t d = 0; n > 0 && d < f->dimp; d += NR) {
            tile(f->dv + j * f->dimp + d, f->dimp, f->s + i * ld + j, 1, ld, f->d_o + i * f->dimp + d, f->dimp, n, true);
            tile(f->dk + j * f->dimp + d, f->dimp, f->ds + i * ld + j, 1, ld, f->q + i * f->dimp + d, f->dimp, n, true);
        }
    }
}

static void back_block(struct back *f)
{
    const struct sp_attention_back_args *a = f->a;
    int64_t row = f->b * a->t + f->q0, at = f->h * a->dim, padded = up(f->rows, MR);
    load_rows(f->q, f->dimp, a->q, a->q_at + row * a->ldq + at, a->ldq, f->rows, padded, a->dim, 1, a->x_format);
    load_rows(f->d_o, f->dimp, a->d_o, row * a->ldo + at, a->ldo, f->rows, padded, a->dim, 1, a->do_format);
    for (int64_t i = 0; i < f->rows; i += MR)
        back_strip(f, i);
    back_keys(f);
    for (int64_t i = 0; i < f->rows; i++) {
        float *to = f->sum + (f->q0 + i) * f->ld_sum;
        int64_t d = 0;
        for (; d + W <= a->dim; d += W)
            sp_vstore(to + d, sp_vload(to + d) + sp_vload(f->dq + i * f->dimp + d));
        for (; d < a->dim; d++)
            to[d] += f->dq[i * f->dimp + d];
    }
}

/* Every query of head h that sees a key of the block. */
static void back_head(struct back *f)
{
    const struct sp_attention_back_args *a = f->a;
    int64_t from = a->causal ? f->k0 / MR * MR : 0, to = a->t;
    if (a->window > 0)
        to = least(to, f->k0 + f->keys - 1 + a->window);
    back_sum(f);
    for (int64_t i = 0; !f->k0 && i < a->t; i++)
        memset(f->sum + i * f->ld_sum, 0, (size_t)a->dim * 4);
    for (f->q0 = from; f->q0 < to; f->q0 += SP_ATTENTION_BACK_Q) {
        f->rows = least(SP_ATTENTION_BACK_Q, to - f->q0);
        back_block(f);
    }
}

static void back_store(struct back *f)
{
    const struct sp_attention_back_args *a = f->a;
    void *dk = a->dk ? a->dk : a->dq, *dv = a->dv ? a->dv : a->dq;
    for (int64_t j = 0; j < f->keys; j++) {
        int64_t row = f->b * a->tk + f->k0 + j, at = f->g * a->dim;
        store_row(dk, a->k_at + row * a->ldk + at, f->dk + j * f->dimp, a->dim, a->d_format);
        store_row(dv, a->v_at + row * a->ldv + at, f->dv + j * f->dimp, a->dim, a->d_format);
    }
}

static void flash_back(const struct sp_attention_back_args *a, int64_t task, float *scratch)
{
    struct back f = { 0 };
    int64_t group = a->heads / a->kv_heads;
    back_open(&f, a, task, scratch);
    for (f.k0 = 0; f.k0 < a->tk; f.k0 += SP_ATTENTION_K) {
        f.keys = least(SP_ATTENTION_K, a->tk - f.k0);
        back_load_keys(&f);
        for (int64_t h = 0; h < group; h++) {
            f.h = f.g * group + h;
            back_head(&f);
        }
        back_store(&f);
    }
    for (int64_t h = 0; a->d_format != SP_F32 && h < group; h++) {
        f.h = f.g * group + h;
        back_sum(&f);
        for (int64_t i = 0; i < a->t; i++)
            store_row(a->dq, a->q_at + (f.b * a->t + i) * a->ldq + f.h * a->dim, f.sum + i * f.ld_sum, a->dim, a->d_format);
    }
}

/* work[b, heads, t] = rowsum(do * o); the task is one head of one sequence. */
static void back_deltas(const struct sp_attention_back_args *a, int64_t task, float *scratch)
{
    int64_t b = task / a->heads, h = task % a->heads, dimp = up(a->dim, NR);
    float *x = scratch, *y = scratch + dimp;
    for (int64_t i = 0; i < a->t; i++) {
        int64_t at = (b * a->t + i) * a->ldo + h * a->dim;
        sp_vf sum = { 0 };
        load_rows(x, dimp, a->d_o, at, a->ldo, 1, 1, a->dim, 1, a->do_format);
        load_rows(y, dimp, a->o, at, a->ldo, 1, 1, a->dim, 1, a->o_format);
        for (int64_t d = 0; d < dimp; d += W)
            sum = SP_FMA(sp_vload(x + d), sp_vload(y + d), sum);
        a->work[task * a->t + i] = sp_vsum(sum);
    }
}
