/* kernel/attention_tile.h - the small matrix product, the loads and the row
 * softmax that attention and its backward pass are made of, for any vector width.
 *
 * The including file (attention_avx2.c and its likes) defines SP_W (floats a
 * vector) and SP_FMA(a, b, c); everything else is GCC vector extensions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ATTENTION_TILE_H
#define SP_ATTENTION_TILE_H
#include <math.h>
#include <string.h>
#include "kernel.h"
#include "attention.h"
#include "philox_vec.h"

enum { W = SP_W, MR = 6, NR = 2 * SP_W, DIM_MAX = SP_ATTENTION_FAST_DIM };

static inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

static inline void fill(float *s, int64_t from, int64_t to, float v)
{
    for (int64_t j = from; j < to; j++)
        s[j] = v;
}

#define TILE_ROWS(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define TILE_ZERO(i) sp_vf c##i##0 = { 0 }, c##i##1 = { 0 };
#define TILE_OLD(i) c##i##0 = sp_vload(c + i * ldc), c##i##1 = sp_vload(c + i * ldc + W);
#define TILE_STEP(i)                         \
    {                                        \
        sp_vf x = sp_vsplat(a[i * ars]);        \
        c##i##0 = SP_FMA(x, b0, c##i##0);    \
        c##i##1 = SP_FMA(x, b1, c##i##1);    \
    }
#define TILE_STORE(i) sp_vstore(c + i * ldc, c##i##0), sp_vstore(c + i * ldc + W, c##i##1);

/* c[MR, NR] (+)= a[MR, k] b[k, NR]; element (i, p) of a is a[i*ars + p*acs]. */
static inline void tile(float *c, int64_t ldc, const float *a, int64_t ars, int64_t acs, const float *b, int64_t ldb,
                        int64_t k, bool add)
{
    TILE_ROWS(TILE_ZERO)
    if (add) {
        TILE_ROWS(TILE_OLD)
    }
    for (int64_t p = 0; p < k; p++, a += acs, b += ldb) {
        sp_vf b0 = sp_vload(b), b1 = sp_vload(b + W);
        TILE_ROWS(TILE_STEP)
    }
    TILE_ROWS(TILE_STORE)
}

/* to[dim] = numbers `at`.. of x, times scale. */
static void load_row(float *to, const void *x, int64_t at, int64_t dim, float scale, int format)
{
    sp_vf by = sp_vsplat(scale);
    int64_t d = 0;
    if (format == SP_F16 || sp_formats[format].block > 1) {
        sp_formats[format].decode(to, (const char *)x + sp_format_bytes((enum sp_format)format, at), dim);
        x = to, at = 0, format = SP_F32;
    }
    for (; d + W <= dim; d += W)
        sp_vstore(to + d, sp_vget(x, at + d, format) * by);
    if (d < dim)
        sp_vput_n(to, d, SP_F32, sp_vget_n(x, at + d, format, dim - d) * by, dim - d);
}

/* to[padded, dimp] = rows of x[.., ld], zero beyond dim and beyond rows; times scale. */
static void load_rows(float *to, int64_t dimp, const void *x, int64_t at, int64_t ld, int64_t rows, int64_t padded,
                      int64_t dim, float scale, int format)
{
    for (int64_t r = 0; r < rows; r++, to += dimp, at += ld) {
        load_row(to, x, at, dim, scale, format);
        fill(to, dim, dimp, 0);
    }
    memset(to, 0, (size_t)((padded - rows) * dimp) * 4);
}

/* to[dim, ldt] = x[rows, ldx] transposed, zero beyond rows up to ldt. */
static void transpose_rows(float *to, int64_t ldt, const float *x, int64_t ldx, int64_t rows, int64_t dim)
{
    int64_t d = 0;
    for (; d + 4 <= dim; d += 4)
        for (int64_t r = 0; r < rows; r++) {
            const float *p = x + r * ldx + d;
            float *q = to + d * ldt + r;
            q[0] = p[0], q[ldt] = p[1], q[2 * ldt] = p[2], q[3 * ldt] = p[3];
        }
    for (; d < dim; d++)
        for (int64_t r = 0; r < rows; r++)
            to[d * ldt + r] = x[r * ldx + d];
    for (d = 0; rows < ldt && d < dim; d++)
        memset(to + d * ldt + rows, 0, (size_t)(ldt - rows) * 4);
}

static void store_row(void *y, int64_t at, const float *x, int64_t n, int format)
{
    int64_t d = 0;
    if (format == SP_F16) {
        sp_formats[SP_F16].encode((uint16_t *)y + at, x, n);
        return;
    }
    for (; d + W <= n; d += W)
        sp_vput(y, at + d, format, sp_vload(x + d));
    if (d < n)
        sp_vput_n(y, at + d, format, sp_vget_n(x, d, SP_F32, n - d), n - d);
}

/* s[n] = cap tanh(s / cap), n a multiple of W. */
static void soften(float *s, int64_t n, float cap)
{
    for (int64_t j = 0; j < n; j += W)
        sp_vstore(s + j, sp_vtanh(sp_vload(s + j) * sp_vsplat(1 / cap)) * sp_vsplat(cap));
}

/* All ones in the lanes of columns j.. that lie in [lo, hi). */
static inline sp_vi between(int64_t j, int64_t lo, int64_t hi)
{
    static const int32_t lane[16] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
    sp_vi at;
    memcpy(&at, lane, sizeof at);
    return (at >= (int32_t)(lo - j)) & (at < (int32_t)(hi - j));
}

/* o and l as they would be had the largest score been `top` all along. */
static void shrink(float *o, int64_t dimp, float *m, float *l, float top)
{
    float by = *m > -INFINITY ? sp_vexp(sp_vsplat(*m - top))[0] : 0;
    *l *= by;
    *m = top;
    for (int64_t d = 0; d < dimp; d += W)
        sp_vstore(o + d, sp_vload(o + d) * sp_vsplat(by));
}

/* The largest of s[lo, hi), or m. */
static float largest(const float *s, int64_t lo, int64_t hi, float m)
{
    sp_vf top = sp_vsplat(m);
    for (int64_t j = lo / W * W; j < hi; j += W) {
        sp_vf x = sp_vload(s + j);
        if (j < lo || j + W > hi)
            x = sp_vpick(between(j, lo, hi), x, sp_vsplat(m));
        top = sp_vmax(top, x);
    }
    return sp_vtop(top);
}

/* ---- dropout of attention weights ---- */
struct drops { uint64_t key; uint32_t stream, below; float keep; int64_t row_counters; };
enum { DROPS_ROOM = SP_ATTENTION_K + W + 4 + PHILOX_ELEMENTS };

static struct drops drops_open(float p, uint64_t key, const int32_t *counter, int64_t tk)
{
    return (struct drops){ key, counter ? (uint32_t)*counter : 0, philox_share(p), p < 1 ? 1 / (1 - p) : 0, (tk + 3) / 4 };
}

/* What multiplies the weights of keys k0.. k0 + n, rounded up to W, in the row: 0 or 1 / (1 - p). */
static const float *drops_row(const struct drops *d, float room[DROPS_ROOM], int64_t row, int64_t k0, int64_t n)
{
    int64_t from = k0 / 4, end = k0 - 4 * from + up(n, W);
    uint64_t words[PHILOX_ELEMENTS / 2];
    for (int64_t i = 0; i < end; i += PHILOX_ELEMENTS) {
        philox_words(d->key, (uint64_t)(row * d->row_counters + from + i / 4), d->stream, words);
        for (int64_t j = 0; j < PHILOX_ELEMENTS; j += W) {
            sp_vu w;
            memcpy(&w, words + j / 2, sizeof w);
            sp_vstore(room + i + j, sp_vpick(w >= d->below, sp_vsplat(d->keep), (sp_vf){ 0 }));
        }
    }
    return room + k0 - 4 * from;
}

/* One row of scores of one block of keys joins the running softmax (Milakov & Gimelshein 2018): columns [lo, hi)
 * of s[n] become exp(s - m), the rest 0; o[dimp] and l are rescaled to the new maximum m. */
static void join(float *s, int64_t lo, int64_t hi, int64_t n, float *m, float *l, float *o, int64_t dimp)
{
    float top = lo < hi ? largest(s, lo, hi, *m) : *m;
    sp_vf vm = sp_vsplat(top), sum = { 0 };
    if (top > *m)
        shrink(o, dimp, m, l, top);
    for (int64_t j = 0; j < n; j += W) {
        sp_vf p = { 0 };
        if (j >= lo && j + W <= hi)
            p = sp_vexp_short(sp_vload(s + j) - vm);
        else if (j < hi && j + W > lo)
            p = sp_vpick(between(j, lo, hi), sp_vexp_short(sp_vload(s + j) - vm), p);
        sum += p;
        sp_vstore(s + j, p);
    }
    *l += sp_vsum(sum);
}
#endif
