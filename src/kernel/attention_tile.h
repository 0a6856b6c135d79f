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
#include "vec.h"

enum { W = SP_W, MR = 6, NR = 2 * SP_W, DIM_MAX = SP_ATTENTION_FAST_DIM };

static inline int64_t up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

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

/* to[rows, dimp] = rows of x[.., ld] from column 0, zero beyond dim and beyond rows up to rows_padded; times scale. */
static void load_rows(float *to, int64_t dimp, const void *x, int64_t at, int64_t ld, int64_t rows, int64_t padded,
                      int64_t dim, float scale, int format)
{
    const struct sp_format_row *f = &sp_formats[format];
    for (int64_t r = 0; r < rows; r++, to += dimp) {
        const char *row = (const char *)x + (at + r * ld) * f->bytes;
        if (format == SP_F32)
            memcpy(to, row, (size_t)dim * 4);
        else
            f->decode(to, row, dim);
        for (int64_t d = 0; scale != 1 && d < dim; d++)
            to[d] *= scale;
        for (int64_t d = dim; d < dimp; d++)
            to[d] = 0;
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
    const struct sp_format_row *f = &sp_formats[format];
    if (format == SP_F32)
        memcpy((float *)y + at, x, (size_t)n * 4);
    else
        f->encode((char *)y + at * f->bytes, x, n);
}

/* s[n] = cap tanh(s / cap), n a multiple of W. */
static void soften(float *s, int64_t n, float cap)
{
    for (int64_t j = 0; j < n; j += W)
        sp_vstore(s + j, sp_vtanh(sp_vload(s + j) * sp_vsplat(1 / cap)) * sp_vsplat(cap));
}

static void fill(float *s, int64_t from, int64_t to, float v)
{
    for (int64_t j = from; j < to; j++)
        s[j] = v;
}

/* One row of scores of one block of keys joins the running softmax (Milakov & Gimelshein 2018): columns [lo, hi)
 * of s[n] become exp(s - m), the rest 0; o[dimp] and l are rescaled to the new maximum m. */
static void join(float *s, int64_t lo, int64_t hi, int64_t n, float *m, float *l, float *o, int64_t dimp)
{
    if (lo >= hi) {
        fill(s, 0, n, 0);
        return;
    }
    fill(s, 0, lo, -INFINITY);
    fill(s, hi, n, -INFINITY);
    float top = *m;
    sp_vf vtop = sp_vload(s), sum = { 0 };
    for (int64_t j = W; j < n; j += W)
        vtop = sp_vmax(vtop, sp_vload(s + j));
    top = sp_vtop(vtop) > top ? sp_vtop(vtop) : top;
    for (int64_t j = 0; j < n; j += W)
        sp_vstore(s + j, sp_vexp(sp_vload(s + j) - sp_vsplat(top)));
    fill(s, 0, lo, 0);
    fill(s, hi, n, 0);
    for (int64_t j = 0; j < n; j += W)
        sum += sp_vload(s + j);
    if (top != *m) {
        float shrink = *m > -INFINITY ? sp_vexp(sp_vsplat(*m - top))[0] : 0;
        *l *= shrink;
        for (int64_t d = 0; d < dimp; d += W)
            sp_vstore(o + d, sp_vload(o + d) * sp_vsplat(shrink));
        *m = top;
    }
    *l += sp_vsum(sum);
}
#endif
