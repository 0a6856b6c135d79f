/* kernel/attention_vec.h - fused attention forward for any vector width.
 *
 * Blocks of queries meet blocks of keys; each strip of MR queries multiplies with
 * the transposed keys, joins the running softmax and multiplies with the values
 * while its scores are in the first cache (Dao et al. 2022).  Few queries
 * (decoding) take dot products instead, since transposing would cost more.
 * Included by attention_avx2.c and its likes, which name the two functions.
 * SPDX-License-Identifier: Apache-2.0 */
#include "attention_tile.h"

struct flash {
    const struct sp_attention_args *a;
    int64_t b, g, h0, heads, q0, rows, p0, seen, dimp; /* heads h0.. share the rows of q; kv head g */
    float *q, *o, *kt, *v, *s, *m, *l;
    struct drops drops;
    const float *k_at, *v_at;                          /* the block of keys as f32 */
    int64_t ldk, ldv;
};

/* Cuts the scratch and sets what all tasks share. */
static void flash_open(struct flash *f, const struct sp_attention_args *a, int64_t b, int64_t g, float *scratch)
{
    f->a = a, f->b = b, f->g = g;
    f->dimp = up(a->dim, NR);
    f->drops = drops_open(a->drop, a->key, a->counter, a->tk);
    f->p0 = sp_attention_past(a->past, a->t, a->tk);
    f->seen = sp_attention_seen(a->past, f->p0, a->t, a->tk);
    f->q = scratch, scratch += (SP_ATTENTION_Q + MR) * f->dimp;
    f->o = scratch, scratch += (SP_ATTENTION_Q + MR) * f->dimp;
    f->kt = scratch, scratch += SP_ATTENTION_K * f->dimp;
    f->v = scratch, scratch += 2 * SP_ATTENTION_K * f->dimp;
    f->s = scratch, scratch += SP_ATTENTION_K * 8;
    f->m = scratch, f->l = scratch + 2 * SP_ATTENTION_Q;
}

static void flash_begin(struct flash *f, int64_t rows)
{
    memset(f->o, 0, (size_t)(up(rows, MR) * f->dimp) * 4);
    fill(f->m, 0, up(rows, MR), -INFINITY);
    fill(f->l, 0, up(rows, MR), 0);
}

/* Rows k0.. of keys or values as f32, in place when they are that already and need no padding. */
static const float *flash_rows(const struct flash *f, const void *x, int64_t at, int64_t ld, int64_t k0, int64_t n,
                               float *room, int64_t *ld_out)
{
    at += (f->b * f->a->tk + k0) * ld + f->g * f->a->dim;
    if (f->a->kv_format == SP_F32 && f->dimp == f->a->dim) {
        *ld_out = ld;
        return (const float *)x + at;
    }
    load_rows(room, f->dimp, x, at, ld, n, n, f->a->dim, 1, f->a->kv_format);
    *ld_out = f->dimp;
    return room;
}

static void flash_block(struct flash *f, int64_t k0, int64_t n)
{
    const struct sp_attention_args *a = f->a;
    f->k_at = flash_rows(f, a->k ? a->k : a->q, a->k_at, a->ldk, k0, n, f->v + SP_ATTENTION_K * f->dimp, &f->ldk);
    f->v_at = flash_rows(f, a->v ? a->v : a->q, a->v_at, a->ldv, k0, n, f->v, &f->ldv);
}

/* The range of keys [*lo, *hi) of query position p, counted inside the block that starts at k0. */
static void flash_range(const struct flash *f, int64_t p, int64_t k0, int64_t n, int64_t *lo, int64_t *hi)
{
    sp_attention_keys(p, f->seen, f->a->window, f->a->causal, lo, hi);
    *lo = most(*lo - k0, 0);
    *hi = least(*hi - k0, n);
}

/* s[n] = weights of query i of head h for keys k0..: dropped as the counter says. */
static void flash_drop(const struct flash *f, float *s, int64_t h, int64_t i, int64_t k0, int64_t n)
{
    float room[DROPS_ROOM];
    if (!(f->a->drop > 0))
        return;
    const float *keep = drops_row(&f->drops, room, (f->b * f->a->heads + h) * f->a->t + i, k0, n);
    for (int64_t j = 0; j < n; j += W)
        sp_vstore(s + j, sp_vload(s + j) * sp_vload(keep + j));
}

/* MR queries from row i of the block against n keys from k0. */
static void flash_strip(struct flash *f, int64_t i, int64_t k0, int64_t n)
{
    int64_t lo, hi, first, ld = SP_ATTENTION_K, last = least(i + MR, f->rows) - 1, pos = f->p0 + f->q0;
    flash_range(f, pos + last, k0, n, &first, &hi);
    flash_range(f, pos + i, k0, n, &first, &lo);
    if (hi <= first)
        return;
    n = hi;
    int64_t wide = up(n, NR);
    for (int64_t j = 0; j < wide; j += NR)
        tile(f->s + j, ld, f->q + i * f->dimp, f->dimp, 1, f->kt + j, ld, f->a->dim, false);
    for (int64_t r = 0; r < MR; r++) {
        if (f->a->softcap > 0)
            soften(f->s + r * ld, wide, f->a->softcap);
        flash_range(f, pos + least(i + r, last), k0, n, &lo, &hi);
        join(f->s + r * ld, lo, hi, wide, f->m + i + r, f->l + i + r, f->o + (i + r) * f->dimp, f->dimp);
        flash_drop(f, f->s + r * ld, f->h0, f->q0 + least(i + r, last), k0, hi);
    }
    for (int64_t d = 0; d < f->dimp; d += NR)
        tile(f->o + i * f->dimp + d, f->dimp, f->s + first, ld, 1, f->v_at + first * f->ldv + d, f->ldv, n - first, true);
}

/* Row r of the scratch is the output of query q0 + r of head h. */
static void flash_finish(const struct flash *f, int64_t from, int64_t h, int64_t rows)
{
    const struct sp_attention_args *a = f->a;
    for (int64_t r = 0; r < rows; r++) {
        float *o = f->o + (from + r) * f->dimp, l = f->l[from + r];
        for (int64_t d = 0; d < f->dimp; d += W)
            sp_vstore(o + d, sp_vload(o + d) * sp_vsplat(l > 0 ? 1 / l : 0));
        store_row(a->o, (f->b * a->t + f->q0 + r) * a->ldo + h * a->dim, o, a->dim, a->o_format);
        if (a->lse)
            a->lse[(f->b * a->heads + h) * a->t + f->q0 + r] = l > 0 ? f->m[from + r] + sp_vlog(sp_vsplat(l))[0] : 0;
    }
}

/* Keys that some query of the positions [p, p + rows) sees. */
static void flash_span(const struct flash *f, int64_t p, int64_t rows, int64_t *lo, int64_t *hi)
{
    int64_t ignore;
    sp_attention_keys(p, f->seen, f->a->window, f->a->causal, lo, &ignore);
    sp_attention_keys(p + rows - 1, f->seen, f->a->window, f->a->causal, &ignore, hi);
}

static void flash_many(const struct sp_attention_args *a, int64_t task, float *scratch)
{
    struct flash f = { 0 };
    int64_t blocks = (a->t + SP_ATTENTION_Q - 1) / SP_ATTENTION_Q, h = task / blocks % a->heads, lo, hi;
    flash_open(&f, a, task / blocks / a->heads, h / (a->heads / a->kv_heads), scratch);
    f.h0 = h, f.q0 = task % blocks * SP_ATTENTION_Q;
    f.rows = least(SP_ATTENTION_Q, a->t - f.q0);
    flash_begin(&f, f.rows);
    load_rows(f.q, f.dimp, a->q, a->q_at + (f.b * a->t + f.q0) * a->ldq + h * a->dim, a->ldq, f.rows, up(f.rows, MR),
              a->dim, a->scale, a->q_format);
    flash_span(&f, f.p0 + f.q0, f.rows, &lo, &hi);
    for (int64_t k0 = lo; k0 < hi; k0 += SP_ATTENTION_K) {
        int64_t n = least(SP_ATTENTION_K, hi - k0);
        flash_block(&f, k0, n);
        transpose_rows(f.kt, SP_ATTENTION_K, f.k_at, f.ldk, n, a->dim);
        for (int64_t i = 0; i < f.rows; i += MR)
            flash_strip(&f, i, k0, n);
    }
    flash_finish(&f, 0, h, f.rows);
}

/* s[n] = q[dimp] . k[n, ldk], four keys at once. */
static void dots(float *s, const float *q, const float *k, int64_t ldk, int64_t n, int64_t dimp)
{
    for (int64_t j = 0; j < n; j += 4) {
        const float *k0 = k + j * ldk, *k1 = k + least(j + 1, n - 1) * ldk, *k2 = k + least(j + 2, n - 1) * ldk,
                    *k3 = k + least(j + 3, n - 1) * ldk;
        sp_vf s0 = { 0 }, s1 = s0, s2 = s0, s3 = s0;
        for (int64_t d = 0; d < dimp; d += W) {
            sp_vf x = sp_vload(q + d);
            s0 = SP_FMA(x, sp_vload(k0 + d), s0), s1 = SP_FMA(x, sp_vload(k1 + d), s1);
            s2 = SP_FMA(x, sp_vload(k2 + d), s2), s3 = SP_FMA(x, sp_vload(k3 + d), s3);
        }
        s[j] = sp_vsum(s0), s[j + 1] = sp_vsum(s1), s[j + 2] = sp_vsum(s2), s[j + 3] = sp_vsum(s3);
    }
}

/* o[dimp] += s[n] v[n, ldv] */
static void weigh(float *o, const float *s, const float *v, int64_t ldv, int64_t n, int64_t dimp)
{
    for (int64_t d = 0; d < dimp; d += NR) {
        sp_vf o0 = sp_vload(o + d), o1 = sp_vload(o + d + W);
        for (int64_t j = 0; j < n; j++) {
            sp_vf x = sp_vsplat(s[j]);
            o0 = SP_FMA(x, sp_vload(v + j * ldv + d), o0);
            o1 = SP_FMA(x, sp_vload(v + j * ldv + d + W), o1);
        }
        sp_vstore(o + d, o0), sp_vstore(o + d + W, o1);
    }
}

/* Row r of the task: query r % t of head h0 + r / t. */
static void flash_few_row(struct flash *f, int64_t r, int64_t k0, int64_t n)
{
    int64_t lo, hi;
    flash_range(f, f->p0 + r % f->a->t, k0, n, &lo, &hi);
    if (lo >= hi)
        return;
    dots(f->s + lo, f->q + r * f->dimp, f->k_at + lo * f->ldk, f->ldk, hi - lo, f->dimp);
    if (f->a->softcap > 0)
        soften(f->s, up(hi, W), f->a->softcap);
    join(f->s, lo, hi, up(hi, W), f->m + r, f->l + r, f->o + r * f->dimp, f->dimp);
    flash_drop(f, f->s, f->h0 + r / f->a->t, r % f->a->t, k0, hi);
    weigh(f->o + r * f->dimp, f->s + lo, f->v_at + lo * f->ldv, f->ldv, hi - lo, f->dimp);
}

static void flash_few(const struct sp_attention_args *a, int64_t task, float *scratch)
{
    struct flash f = { 0 };
    int64_t group = a->heads / a->kv_heads, g = task % a->kv_heads, lo, hi;
    flash_open(&f, a, task / a->kv_heads, g, scratch);
    f.h0 = g * group;
    flash_begin(&f, group * a->t);
    for (int64_t h = 0; h < group; h++)
        load_rows(f.q + h * a->t * f.dimp, f.dimp, a->q, a->q_at + f.b * a->t * a->ldq + (g * group + h) * a->dim, a->ldq,
                  a->t, a->t, a->dim, a->scale, a->q_format);
    flash_span(&f, f.p0, a->t, &lo, &hi);
    for (int64_t k0 = lo; k0 < hi; k0 += SP_ATTENTION_K) {
        int64_t n = least(SP_ATTENTION_K, hi - k0);
        flash_block(&f, k0, n);
        for (int64_t r = 0; r < group * a->t; r++)
            flash_few_row(&f, r, k0, n);
    }
    for (int64_t h = 0; h < group; h++)
        flash_finish(&f, h * a->t, g * group + h, a->t);
}

static void flash(const struct sp_attention_args *a, int64_t task, float *scratch)
{
    if (sp_attention_is_few(a))
        flash_few(a, task, scratch);
    else
        flash_many(a, task, scratch);
}
