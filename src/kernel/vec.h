/* kernel/vec.h - vectors of floats of any width, by the vector extension of gcc
 * and clang, with the mathematics of portable/math.c on them.
 *
 * The including file may define SP_W (floats a vector: 4, 8 or 16) and
 * SP_FMA(a, b, c); else both follow from the instruction set it is compiled for.
 * Not for portable texts.  Lanes beyond the end of a row are read as 0.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_VEC_H
#define SP_VEC_H
#include <stdint.h>
#include <string.h>

#include "args.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef SP_W
#if defined(__AVX512F__)
#define SP_W 16
#elif defined(__AVX2__)
#define SP_W 8
#else
#define SP_W 4
#endif
#endif

typedef float sp_vf __attribute__((vector_size(SP_W * 4)));
typedef int32_t sp_vi __attribute__((vector_size(SP_W * 4)));
typedef uint32_t sp_vu __attribute__((vector_size(SP_W * 4)));
typedef uint16_t sp_vh __attribute__((vector_size(SP_W * 2)));

#ifndef SP_FMA
#if SP_W == 16 && defined(__AVX512F__)
#define SP_FMA(a, b, c) ((sp_vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#elif SP_W == 8 && defined(__FMA__)
#define SP_FMA(a, b, c) ((sp_vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#elif SP_W == 4 && defined(__ARM_NEON)
#define SP_FMA(a, b, c) ((sp_vf)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define SP_FMA(a, b, c) ((a) * (b) + (c))
#endif
#endif

/* ---- lanes ---- */
static inline sp_vf sp_vsplat(float x) { return x - (sp_vf){ 0 }; }
static inline sp_vf sp_vload(const float *p)
{
    sp_vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline void sp_vstore(float *p, sp_vf v) { memcpy(p, &v, sizeof v); }
#if SP_W == 8 && defined(__AVX2__)
static inline sp_vf sp_vpick(sp_vi yes, sp_vf a, sp_vf b) { return (sp_vf)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)yes); }
static inline sp_vf sp_vmax(sp_vf a, sp_vf b) { return (sp_vf)_mm256_max_ps((__m256)a, (__m256)b); }
static inline sp_vf sp_vmin(sp_vf a, sp_vf b) { return (sp_vf)_mm256_min_ps((__m256)a, (__m256)b); }
#else
static inline sp_vf sp_vpick(sp_vi yes, sp_vf a, sp_vf b) { return (sp_vf)((yes & (sp_vi)a) | (~yes & (sp_vi)b)); }
static inline sp_vf sp_vmax(sp_vf a, sp_vf b) { return sp_vpick(a > b, a, b); }
static inline sp_vf sp_vmin(sp_vf a, sp_vf b) { return sp_vpick(a < b, a, b); }
#endif
static inline sp_vf sp_vabs(sp_vf a) { return (sp_vf)((sp_vi)a & 0x7FFFFFFF); }
/* The magnitude of a with the sign of s. */
static inline sp_vf sp_vsign(sp_vf a, sp_vf s) { return (sp_vf)(((sp_vi)a & 0x7FFFFFFF) | ((sp_vi)s & INT32_MIN)); }

static inline sp_vf sp_vsqrt(sp_vf a)
{
#if SP_W == 16 && defined(__AVX512F__)
    return (sp_vf)_mm512_sqrt_ps((__m512)a);
#elif SP_W == 8 && defined(__AVX2__)
    return (sp_vf)_mm256_sqrt_ps((__m256)a);
#elif SP_W == 4 && defined(__aarch64__)
    return (sp_vf)vsqrtq_f32((float32x4_t)a);
#else
    for (int i = 0; i < SP_W; i++)
        a[i] = __builtin_sqrtf(a[i]);
    return a;
#endif
}

/* Halves are added to halves: the same order whatever the compiler. */
static inline float sp_vsum(sp_vf v)
{
    float s[SP_W];
    memcpy(s, &v, sizeof s);
    for (int n = SP_W / 2; n; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] += s[i + n];
    return s[0];
}
static inline float sp_vtop(sp_vf v)
{
    float s[SP_W];
    memcpy(s, &v, sizeof s);
    for (int n = SP_W / 2; n; n /= 2)
        for (int i = 0; i < n; i++)
            s[i] = s[i] > s[i + n] ? s[i] : s[i + n];
    return s[0];
}

/* ---- f32 and bf16 rows ---- */
#if SP_W == 4 && defined(__ARM_NEON)
static inline sp_vf sp_vfrom_bf16(sp_vh h) { return (sp_vf)vshll_n_u16((uint16x4_t)h, 16); }
#else
static inline sp_vf sp_vfrom_bf16(sp_vh h) { return (sp_vf)(__builtin_convertvector(h, sp_vu) << 16); }
#endif
static inline sp_vh sp_vto_bf16(sp_vf v)
{
    sp_vu u = (sp_vu)v, nan = (sp_vu)(v != v);
    sp_vu r = (u + 0x7FFFu + (u >> 16 & 1u)) >> 16;
    return __builtin_convertvector((nan & (u >> 16 | 0x40u)) | (~nan & r), sp_vh);
}

/* Elements i.. of a row in f32 or bf16. */
static inline sp_vf sp_vget(const void *p, int64_t i, int32_t format)
{
    if (format != SP_BF16)
        return sp_vload((const float *)p + i);
    sp_vh h;
    memcpy(&h, (const uint16_t *)p + i, sizeof h);
    return sp_vfrom_bf16(h);
}
static inline void sp_vput(void *p, int64_t i, int32_t format, sp_vf v)
{
    if (format != SP_BF16) {
        sp_vstore((float *)p + i, v);
        return;
    }
    sp_vh h = sp_vto_bf16(v);
    memcpy((uint16_t *)p + i, &h, sizeof h);
}
/* The same for the last n < SP_W elements of a row. */
static inline sp_vf sp_vget_n(const void *p, int64_t i, int32_t format, int64_t n)
{
    if (format != SP_BF16) {
        sp_vf v = { 0 };
        memcpy(&v, (const float *)p + i, (size_t)n * sizeof(float));
        return v;
    }
    sp_vh h = { 0 };
    memcpy(&h, (const uint16_t *)p + i, (size_t)n * sizeof(uint16_t));
    return sp_vfrom_bf16(h);
}
static inline void sp_vput_n(void *p, int64_t i, int32_t format, sp_vf v, int64_t n)
{
    if (format != SP_BF16) {
        memcpy((float *)p + i, &v, (size_t)n * sizeof(float));
        return;
    }
    sp_vh h = sp_vto_bf16(v);
    memcpy((uint16_t *)p + i, &h, (size_t)n * sizeof(uint16_t));
}

/* Either, as there is room for: what loops over a row call. */
static inline sp_vf sp_vread(const void *p, int64_t i, int32_t format, int64_t left)
{
    return left >= SP_W ? sp_vget(p, i, format) : sp_vget_n(p, i, format, left);
}
static inline void sp_vwrite(void *p, int64_t i, int32_t format, sp_vf v, int64_t left)
{
    if (left >= SP_W)
        sp_vput(p, i, format, v);
    else
        sp_vput_n(p, i, format, v, left);
}

/* ---- mathematics: portable/math.c's formulas ---- */
static inline sp_vf sp_vpower2(sp_vi n) { return (sp_vf)(((sp_vu)n + 127u) << 23); }

/* Full range: denormals, 0 and infinity at the ends, NaN stays. */
static inline sp_vf sp_vexp(sp_vf x)
{
    x = sp_vpick(x > 89.0f, sp_vsplat(89), sp_vpick(x < -104.0f, sp_vsplat(-104), x));
    sp_vf shifted = SP_FMA(x, sp_vsplat(1.44269504f), sp_vsplat(12582912.0f));
    sp_vf n = shifted - 12582912.0f;
    sp_vi whole = (sp_vi)shifted - 0x4B400000, half = whole >> 1;
    sp_vf r = SP_FMA(n, sp_vsplat(2.12194440e-4f), SP_FMA(n, sp_vsplat(-0.693359375f), x));
    sp_vf p = sp_vsplat(1.0f / 5040);
    p = SP_FMA(p, r, sp_vsplat(1.0f / 720));
    p = SP_FMA(p, r, sp_vsplat(1.0f / 120));
    p = SP_FMA(p, r, sp_vsplat(1.0f / 24));
    p = SP_FMA(p, r, sp_vsplat(1.0f / 6));
    p = SP_FMA(p, r, sp_vsplat(0.5f));
    p = SP_FMA(p, r * r, r) + 1.0f;
    return p * sp_vpower2(half) * sp_vpower2(whole - half);
}

/* The same, short: arguments are kept in -87..88, so that the ends are the smallest normal number and 1.65e38. */
static inline sp_vf sp_vexp_short(sp_vf x)
{
    x = sp_vmin(sp_vsplat(88), sp_vmax(sp_vsplat(-87), x)); /* in this order NaN stays */
    sp_vf shifted = SP_FMA(x, sp_vsplat(1.44269504f), sp_vsplat(12582912.0f)), n = shifted - 12582912.0f;
    sp_vf r = SP_FMA(n, sp_vsplat(2.12194440e-4f), SP_FMA(n, sp_vsplat(-0.693359375f), x));
    sp_vf p = SP_FMA(sp_vsplat(1.0f / 720), r, sp_vsplat(1.0f / 120));
    p = SP_FMA(p, r, sp_vsplat(1.0f / 24));
    p = SP_FMA(p, r, sp_vsplat(1.0f / 6));
    p = SP_FMA(p, r, sp_vsplat(0.5f));
    p = SP_FMA(p, r * r, r) + 1.0f;
    return p * (sp_vf)(((sp_vi)shifted << 23) + 0x3F800000);
}

static inline sp_vf sp_vlog(sp_vf x)
{
    sp_vi tiny = (sp_vi)x < 0x00800000;
    sp_vu u = (sp_vu)sp_vpick(tiny, x * 16777216.0f, x) + (0x3F800000u - 0x3F3504F3u);
    sp_vf e = __builtin_convertvector((sp_vi)(u >> 23) - 127 + (tiny & -24), sp_vf);
    sp_vf f = (sp_vf)((u & 0x7FFFFFu) + 0x3F3504F3u) - 1.0f;
    sp_vf s = f / (2.0f + f), s2 = s * s, half = 0.5f * f * f;
    sp_vf q = SP_FMA(s2, sp_vsplat(2.0f / 9), sp_vsplat(2.0f / 7));
    q = SP_FMA(s2, SP_FMA(s2, q, sp_vsplat(2.0f / 5)), sp_vsplat(2.0f / 3));
    s = s * SP_FMA(s2, q, half);
    sp_vf y = SP_FMA(e, sp_vsplat(0.693359375f), f - (half - SP_FMA(e, sp_vsplat(-2.12194440e-4f), s)));
    y = sp_vpick(x < __builtin_inff(), y, x); /* infinity and NaN stand for themselves */
    y = sp_vpick(x == 0.0f, sp_vsplat(-__builtin_inff()), y);
    return sp_vpick(x < 0.0f, sp_vsplat(__builtin_nanf("")), y);
}

static inline sp_vf sp_vtanh(sp_vf x)
{
    sp_vf a = sp_vabs(x), z = x * x;
    sp_vf y = sp_vsplat(-5.714782818e-3f);
    y = SP_FMA(y, z, sp_vsplat(2.064865606e-2f));
    y = SP_FMA(y, z, sp_vsplat(-5.37429373e-2f));
    y = SP_FMA(y, z, sp_vsplat(1.333148498e-1f));
    y = SP_FMA(y, z, sp_vsplat(-3.333328371e-1f));
    y = SP_FMA(y * z, x, x);
    sp_vf t = 1.0f - 2.0f / (sp_vexp(a + a) + 1.0f);
    return sp_vpick(a >= 0.625f, sp_vsign(t, x), y);
}

static inline sp_vf sp_vsigmoid(sp_vf x)
{
    sp_vf e = sp_vexp((sp_vf)((sp_vi)x | INT32_MIN));
    return sp_vpick(x < 0.0f, e, sp_vsplat(1)) / (1.0f + e);
}

/* The same, short: never below 6e-39. */
static inline sp_vf sp_vsigmoid_short(sp_vf x) { return 1.0f / (1.0f + sp_vexp_short(-x)); }

static inline sp_vf sp_verf(sp_vf x)
{
    sp_vf a = sp_vabs(x), z = x * x;
    sp_vf y = sp_vsplat(7.889072278e-5f), q = sp_vsplat(-2.168672425e-5f);
    y = SP_FMA(y, z, sp_vsplat(-8.020826311e-4f));
    y = SP_FMA(y, z, sp_vsplat(5.189533542e-3f));
    y = SP_FMA(y, z, sp_vsplat(-2.685444359e-2f));
    y = SP_FMA(y, z, sp_vsplat(1.128360015e-1f));
    y = SP_FMA(y, z, sp_vsplat(-3.761262713e-1f));
    y = SP_FMA(SP_FMA(y, z, sp_vsplat(1.283791661e-1f)), x, x);
    a = sp_vpick(a > 4.0f, sp_vsplat(4), a);
    q = SP_FMA(q, a, sp_vsplat(4.413348423e-4f));
    q = SP_FMA(q, a, sp_vsplat(-4.204554005e-3f));
    q = SP_FMA(q, a, sp_vsplat(2.520823475e-2f));
    q = SP_FMA(q, a, sp_vsplat(-1.084185411e-1f));
    q = SP_FMA(q, a, sp_vsplat(-6.332199282e-1f));
    q = SP_FMA(q, a, sp_vsplat(-1.129578406f));
    q = 1.0f - sp_vexp(SP_FMA(q, a, sp_vsplat(1.880360639e-4f)));
    return sp_vpick(a >= 1.0f, sp_vsign(q, x), y);
}
#endif
