/* kernel/pointwise_body.h - element by element, for any vector width.
 *
 * Formulas are those of portable/unary.c, glu.c, binary.c, dropout.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elem.h"
#include "philox_vec.h"

#define ONE sp_vsplat(1)

static inline int64_t block_end(int64_t first, int64_t block, int64_t n)
{
    return first + block < n ? first + block : n;
}

/* ---- functions of one number ---- */

static inline sp_vf gelu_inner(sp_vf x) { return 0.7978845608f * SP_FMA(0.044715f * x * x, x, x); }
static inline sp_vf positive(sp_vf x) { return sp_vpick(x > 0.0f, x, (sp_vf){ 0 }); }

/* (1 + tanh u) / 2 is the sigmoid of 2 u. */
static inline sp_vf gelu_share(sp_vf x) { return sp_vsigmoid_short(2 * gelu_inner(x)); }

static inline sp_vf gelu_slope(sp_vf x)
{
    sp_vf s = gelu_share(x);
    return SP_FMA(x * s * (1 - s), 2 * 0.7978845608f * (1 + 3 * 0.044715f * x * x), s);
}

static inline sp_vf value_of(int32_t kind, sp_vf x)
{
    switch (kind) {
    case SP_RELU: return positive(x);
    case SP_GELU: return x * gelu_share(x);
    case SP_GELU_ERF: return 0.5f * x * (1 + sp_verf(x * 0.70710678f));
    case SP_SILU: return x * sp_vsigmoid_short(x);
    case SP_TANH: return sp_vtanh(x);
    case SP_SIGMOID: return sp_vsigmoid(x);
    case SP_EXP: return sp_vexp(x);
    case SP_LOG: return sp_vlog(x);
    case SP_SQUARE: return x * x;
    case SP_SQRT: return sp_vsqrt(x);
    default: return -x;
    }
}

static inline sp_vf slope_of(int32_t kind, sp_vf x)
{
    sp_vf s;
    switch (kind) {
    case SP_RELU: return sp_vpick(x > 0.0f, ONE, (sp_vf){ 0 });
    case SP_GELU: return gelu_slope(x);
    case SP_GELU_ERF: return 0.5f * (1 + sp_verf(x * 0.70710678f)) + x * 0.3989422804f * sp_vexp(-0.5f * x * x);
    case SP_SILU:
        s = sp_vsigmoid_short(x);
        return s * (1 + x * (1 - s));
    case SP_TANH:
        s = sp_vtanh(x);
        return 1 - s * s;
    case SP_SIGMOID:
        s = sp_vsigmoid(x);
        return s * (1 - s);
    case SP_EXP: return sp_vexp(x);
    case SP_LOG: return 1 / x;
    case SP_SQUARE: return 2 * x;
    case SP_SQRT: return 0.5f / sp_vsqrt(x);
    default: return -ONE;
    }
}

void SP_ROW(unary)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_unary_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    for (; i < end; i += SP_W)
        sp_vwrite(a->y, i, a->y_format, value_of(a->kind, sp_vread(a->x, i, a->x_format, end - i)), end - i);
    (void)phase;
    (void)scratch;
}

void SP_ROW(unary_back)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_unary_back_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    for (; i < end; i += SP_W) {
        sp_vf dy = sp_vread(a->dy, i, a->dy_format, end - i), x = sp_vread(a->x, i, a->x_format, end - i);
        sp_vwrite(a->dx, i, a->dx_format, dy * slope_of(a->kind, x), end - i);
    }
    (void)phase;
    (void)scratch;
}

/* ---- gated units: f is SP_GELU, SP_RELU, SP_SIGMOID, else SP_SILU ---- */

static inline sp_vf gate_of(int32_t kind, sp_vf x, sp_vf *slope)
{
    sp_vf s;
    switch (kind) {
    case SP_GELU:
        s = sp_vtanh(gelu_inner(x));
        *slope = 0.5f * (1 + s) + 0.5f * x * (1 - s * s) * (0.7978845608f * (1 + 3 * 0.044715f * x * x));
        return 0.5f * x * (1 + s);
    case SP_RELU:
        *slope = sp_vpick(x > 0.0f, ONE, (sp_vf){ 0 });
        return positive(x);
    case SP_SIGMOID:
        s = sp_vsigmoid(x);
        *slope = s * (1 - s);
        return s;
    default:
        s = sp_vsigmoid(x);
        *slope = s * (1 + x * (1 - s));
        return x * s;
    }
}

void SP_ROW(glu)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_glu_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    for (; i < end; i += SP_W) {
        sp_vf slope, value = gate_of(a->kind, sp_vread(a->gate, i, a->x_format, end - i), &slope);
        sp_vwrite(a->y, i, a->y_format, value * sp_vread(a->up, i, a->x_format, end - i), end - i);
    }
    (void)phase;
    (void)scratch;
}

void SP_ROW(glu_back)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_glu_back_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    for (; i < end; i += SP_W) {
        sp_vf slope, value = gate_of(a->kind, sp_vread(a->gate, i, a->x_format, end - i), &slope);
        sp_vf dy = sp_vread(a->dy, i, a->dy_format, end - i), up = sp_vread(a->up, i, a->x_format, end - i);
        sp_vwrite(a->dgate, i, a->dx_format, dy * up * slope, end - i);
        sp_vwrite(a->dup, i, a->dx_format, dy * value, end - i);
    }
    (void)phase;
    (void)scratch;
}

/* ---- two operands ---- */

/* n elements from i on, of b from j on. */
static inline void binary_run(const struct sp_binary_args *a, int64_t i, int64_t j, int64_t n, float scale)
{
    sp_vf one = sp_vsplat(a->b && a->nb == 1 ? sp_vget_n(a->b, 0, a->b_format, 1)[0] : 0);
    for (; n > 0; n -= SP_W, i += SP_W, j += SP_W) {
        sp_vf x = a->alpha * sp_vread(a->a, i, a->a_format, n);
        if (a->b) {
            sp_vf b = a->beta * (a->nb == 1 ? one : sp_vread(a->b, j, a->b_format, n));
            x = a->kind ? x * b : x + b;
        }
        sp_vwrite(a->y, i, a->y_format, x * scale, n);
    }
}

void SP_ROW(binary)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_binary_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n), n;
    float scale = a->scale ? *a->scale : 1;
    for (; i < end; i += n) {
        int64_t j = a->b && a->nb > 1 ? i % a->nb : 0;
        n = a->b && a->nb > 1 && a->nb - j < end - i ? a->nb - j : end - i;
        binary_run(a, i, j, n, scale);
    }
    (void)phase;
    (void)scratch;
}

/* ---- dropout ---- */

void SP_ROW(dropout)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_dropout_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    uint32_t drop = philox_share(a->p);
    float keep = a->p < 1 ? 1 / (1 - a->p) : 0;
    uint64_t words[PHILOX_ELEMENTS / 2];
    for (; i < end; i += PHILOX_ELEMENTS) {
        philox_words(a->key, (uint64_t)(i / 4), a->counter ? (uint32_t)*a->counter : 0, words);
        for (int64_t j = 0; j < PHILOX_ELEMENTS && i + j < end; j += SP_W) {
            sp_vu w;
            memcpy(&w, words + j / 2, sizeof w);
            sp_vf x = keep * sp_vread(a->x, i + j, a->x_format, end - i - j);
            sp_vwrite(a->y, i + j, a->y_format, sp_vpick(w >= drop, x, (sp_vf){ 0 }), end - i - j);
        }
    }
    (void)phase;
    (void)scratch;
}

void SP_ROW(fill)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_fill_args *a = args;
    int64_t i = task * SP_ELEM_FILL, end = block_end(i, SP_ELEM_FILL, a->n);
    for (; i < end; i += SP_W)
        sp_vwrite(a->y, i, SP_F32, sp_vsplat(a->value), end - i);
    (void)phase;
    (void)scratch;
}
