/* kernel/format_lanes.h - scales that are searched for eight runs of numbers side by side: lane j of a vector holds run j.
 *
 * A scale is the one of a few dozen candidates with the least weighted square error, each with the step that least
 * squares gives for its codes.  No lane looks at another until a block's own scales are fitted.  Every operation is
 * IEEE's on 8 lanes, so all instruction sets find the same bits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FORMAT_LANES_H
#define SP_FORMAT_LANES_H
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include "embed.h"
#include "format.h"

#define TINY 1e-36f /* steps below this are none: their inverse is no number */
#define LANES static inline __attribute__((always_inline))
enum { L = 8, BLOCK = SP_FORMAT_BLOCK_MAX, AT_ONCE = 3 /* candidates */,
       REFINE = 3 /* times: codes for the step, the step for the codes */ };
typedef float v8 __attribute__((vector_size(32)));
typedef int32_t m8 __attribute__((vector_size(32)));

/* What codes stand for: whole numbers from low to high, or 16 values in a table. */
enum table { WHOLE, IQ4, FP4 };
struct grid { float low, high; enum table table; };
static const signed char fp4_sorted[16] = { -12, -8, -6, -4, -3, -2, -1, 0, 0, 1, 2, 3, 4, 6, 8, 12 };
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

LANES v8 load(const float *p)
{
    v8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

LANES v8 splat(float x)
{
    return x - (v8){ 0 };
}

#if defined(__AVX2__)
LANES v8 pick(m8 yes, v8 a, v8 b)
{
    return (v8)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)yes);
}

LANES v8 larger(v8 a, v8 b)
{
    return (v8)_mm256_max_ps((__m256)a, (__m256)b);
}

LANES v8 smaller(v8 a, v8 b)
{
    return (v8)_mm256_min_ps((__m256)a, (__m256)b);
}
#else
LANES v8 pick(m8 yes, v8 a, v8 b)
{
    return (v8)((yes & (m8)a) | (~yes & (m8)b));
}

LANES v8 larger(v8 a, v8 b)
{
    return pick(a > b, a, b);
}

LANES v8 smaller(v8 a, v8 b)
{
    return pick(a < b, a, b);
}
#endif

LANES v8 keep(m8 yes, v8 a)
{
    return (v8)(yes & (m8)a);
}

LANES v8 size_of(v8 a)
{
    return (v8)((m8)a & 0x7FFFFFFF);
}

static inline float total(v8 v)
{
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

LANES v8 inverse_of(v8 d)
{
    return keep(size_of(d) > TINY, 1.0f / d);
}

/* Numbers from low to high: to whole ones. */
LANES v8 rounded(v8 x)
{
    const v8 magic = splat(12582912.0f); /* 1.5 2^23 */
    return (x + magic) - magic;
}

LANES v8 whole(v8 x, float low, float high)
{
    return rounded(smaller(larger(x, splat(low)), splat(high)));
}

/* The nearest of 16 values, and its place: how many of the 15 borders between them are below. */
#if defined(__AVX2__)
LANES v8 nearest_of(const signed char *t, v8 x, m8 *place)
{
#define BORDER(i) (0.5f * (float)(t[(i) - 1] + t[i]))
    const v8 second = { BORDER(2), BORDER(6), BORDER(10), BORDER(14) };
    const v8 first = { BORDER(1), BORDER(3), BORDER(5), BORDER(7), BORDER(9), BORDER(11), BORDER(13), BORDER(15) };
    const v8 low = { t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7] }, high = { t[8], t[9], t[10], t[11], t[12], t[13], t[14], t[15] };
    m8 upper = x > splat(BORDER(8)), n = 2 * -upper;
    n -= x > pick(upper, splat(BORDER(12)), splat(BORDER(4)));
    n = 2 * n - (x > (v8)_mm256_permutevar8x32_ps((__m256)second, (__m256i)n));
    n = 2 * n - (x > (v8)_mm256_permutevar8x32_ps((__m256)first, (__m256i)n));
#undef BORDER
    *place = n;
    return pick(upper, (v8)_mm256_permutevar8x32_ps((__m256)high, (__m256i)n), (v8)_mm256_permutevar8x32_ps((__m256)low, (__m256i)n));
}
#else
LANES v8 nearest_of(const signed char *t, v8 x, m8 *place)
{
    v8 v = splat((float)t[0]);
    m8 n = { 0 };
    UNROLL
    for (int i = 1; i < 16; i++) {
        m8 above = x > splat(0.5f * (float)(t[i - 1] + t[i]));
        v = pick(above, splat((float)t[i]), v);
        n -= above;
    }
    *place = n;
    return v;
}
#endif

/* The grid's nearest value, and its code: the place in the table, or the value itself. */
LANES v8 nearest_code(const struct grid *g, enum table table, v8 x, m8 *code)
{
    if (table == IQ4)
        return nearest_of(sp_run_iq4, x, code);
    if (table == FP4) { /* the sign is bit 3; of two zeros the one without */
        m8 p;
        v8 v = nearest_of(fp4_sorted, x, &p);
        *code = ((p < 7) & (15 - p)) | ((p > 7) & (p - 8));
        return v;
    }
    x = whole(x, g->low, g->high);
    *code = __builtin_convertvector(x, m8);
    return x;
}

LANES v8 nearest(const struct grid *g, enum table table, v8 x)
{
    m8 code;
    return nearest_code(g, table, x, &code);
}

/* ---- a step ---- */

struct fit { v8 d, m, gain; };

LANES void better(struct fit *best, const struct fit *f)
{
    m8 more = f->gain > best->gain;
    *best = (struct fit){ pick(more, f->d, best->d), pick(more, f->m, best->m), pick(more, f->gain, best->gain) };
}

/* The step that suits the codes which an inverse step gives, and by how much it lessens the error: the best of `count`
 * tried at once, which hides how long sums take. */
LANES void try_steps_on(struct fit *best, const struct grid *g, enum table table, const v8 *x, const v8 *w, int n, const v8 *step, const int count)
{
    v8 xl[AT_ONCE] = { { 0 } }, ll[AT_ONCE] = { { 0 } };
    for (int i = 0; i < n; i++) {
        UNROLL
        for (int t = 0; t < count; t++) {
            v8 c = nearest(g, table, x[i] * step[t]), wc = w[i] * c;
            xl[t] += wc * x[i];
            ll[t] += wc * c;
        }
    }
    UNROLL
    for (int t = 0; t < count; t++) {
        v8 d = keep(ll[t] > 0, xl[t] / ll[t]);
        struct fit f = { .d = d, .gain = d * xl[t] };
        better(best, &f);
    }
}

static void try_steps(struct fit *best, const struct grid *g, const v8 *x, const v8 *w, int n, const v8 *step)
{
    if (g->table == WHOLE)
        try_steps_on(best, g, WHOLE, x, w, n, step, AT_ONCE);
    else
        try_steps_on(best, g, IQ4, x, w, n, step, AT_ONCE);
}

static void try_step(struct fit *best, const struct grid *g, const v8 *x, const v8 *w, int n, v8 step)
{
    if (g->table == WHOLE)
        try_steps_on(best, g, WHOLE, x, w, n, &step, 1);
    else
        try_steps_on(best, g, IQ4, x, w, n, &step, 1);
}

static v8 signed_most(const v8 *x, int n)
{
    v8 most = { 0 };
    for (int i = 0; i < n; i++)
        most = pick(size_of(x[i]) > size_of(most), x[i], most);
    return most;
}

/* The largest number goes near either end of the grid, on it, inside or beyond it. */
static v8 fit_step(const struct grid *g, const v8 *x, const v8 *w, int n)
{
    const int tries = g->high < 31 || g->table ? 6 : 3;
    float reach = g->high < 4 ? 2.5f : 1.0f, from = g->table ? 0.88f : 1 - 0.9f / (g->high + 1);
    float to = g->table ? 1.25f : 1 + reach / (g->high + 1);
    v8 inverse = inverse_of(signed_most(x, n));
    struct fit best = { 0 };
    for (int end = 0; end < 2; end++)
        for (int t = 0; t < tries; t += AT_ONCE) {
            v8 step[AT_ONCE];
            for (int k = 0; k < AT_ONCE; k++) {
                float factor = t + k == tries / 2 - (tries > 3) ? 1 : from + (to - from) * (float)(t + k) / (float)(tries - 1);
                step[k] = inverse * splat(factor * (end ? g->high : g->low));
            }
            try_steps(&best, g, x, w, n, step);
        }
    for (int i = 0; i < REFINE; i++)
        try_step(&best, g, x, w, n, inverse_of(best.d));
    return best.d;
}

/* Errors with steps d, of which there are three. */
LANES void step_errors_on(v8 *error, const struct grid *g, enum table table, const v8 *x, const v8 *w, int n, const v8 *d)
{
    v8 sum[AT_ONCE] = { { 0 } }, step[AT_ONCE];
    for (int t = 0; t < AT_ONCE; t++)
        step[t] = inverse_of(d[t]);
    for (int i = 0; i < n; i++) {
        UNROLL
        for (int t = 0; t < AT_ONCE; t++) {
            v8 e = x[i] - nearest(g, table, x[i] * step[t]) * d[t];
            sum[t] += w[i] * e * e;
        }
    }
    memcpy(error, sum, sizeof sum);
}

static void step_errors(v8 *error, const struct grid *g, const v8 *x, const v8 *w, int n, const v8 *d)
{
    if (g->table == WHOLE)
        step_errors_on(error, g, WHOLE, x, w, n, d);
    else if (g->table == IQ4)
        step_errors_on(error, g, IQ4, x, w, n, d);
    else
        step_errors_on(error, g, FP4, x, w, n, d);
}

/* ---- a step and an offset: x = d q - m ---- */

struct sums { v8 w, x; };

/* As try_steps; m is not negative unless any. */
LANES void try_lines_on(struct fit *best, float high, const v8 *x, const v8 *w, int n, const v8 *step, v8 m, const struct sums *s, bool any, const int count)
{
    v8 q[2] = { { 0 } }, xq[2] = { { 0 } }, qq[2] = { { 0 } };
    for (int i = 0; i < n; i++) {
        v8 v = x[i] + m;
        UNROLL
        for (int t = 0; t < count; t++) {
            v8 c = whole(v * step[t], 0, high), wc = w[i] * c;
            q[t] += wc;
            xq[t] += wc * x[i];
            qq[t] += wc * c;
        }
    }
    UNROLL
    for (int t = 0; t < count; t++) {
        v8 det = s->w * qq[t] - q[t] * q[t], by = 1.0f / det;
        struct fit f = { .d = (s->w * xq[t] - s->x * q[t]) * by, .m = (q[t] * xq[t] - qq[t] * s->x) * by };
        m8 sound = (det > 0) & (f.d >= 0) & ((f.m >= 0) | -(int32_t)any);
        f.d = pick(sound, f.d, keep((qq[t] > 0) & (xq[t] > 0), xq[t] / qq[t]));
        f.m = keep(sound, f.m);
        f.gain = 2 * (f.d * xq[t] - f.m * s->x) - (f.d * f.d * qq[t] - 2 * f.d * f.m * q[t] + f.m * f.m * s->w);
        better(best, &f);
    }
}

static void try_lines(struct fit *best, float high, const v8 *x, const v8 *w, int n, const v8 step[2], v8 m, const struct sums *s, bool any)
{
    try_lines_on(best, high, x, w, n, step, m, s, any, 2);
}

static void try_line(struct fit *best, float high, const v8 *x, const v8 *w, int n, v8 step, v8 m, const struct sums *s, bool any)
{
    try_lines_on(best, high, x, w, n, &step, m, s, any, 1);
}

static struct fit fit_line(float high, const v8 *x, const v8 *w, int n, bool any)
{
    enum { TRIES = 9 };
    struct sums s = { { 0 }, { 0 } };
    v8 least = x[0], most = x[0];
    for (int i = 0; i < n; i++) {
        least = smaller(x[i], least);
        most = larger(x[i], most);
        s.w += w[i];
        s.x += w[i] * x[i];
    }
    least = any ? least : smaller(least, splat(0));
    v8 inverse = inverse_of(most - least);
    struct fit best = { .m = -least, .gain = 2 * least * s.x - least * least * s.w };
    for (int t = 0; t <= TRIES; t += 2) {
        v8 first = splat(high - 0.9f + 0.3f * (float)t) * inverse, step[2] = { first, first + splat(0.3f) * inverse };
        try_lines(&best, high, x, w, n, step, -least, &s, any);
    }
    for (int i = 0; i < REFINE; i++)
        try_line(&best, high, x, w, n, inverse_of(best.d), best.m, &s, any);
    return best;
}

/* Errors with an offset and three steps. */
static void line_errors(v8 *error, float high, const v8 *x, const v8 *w, int n, const v8 *d, v8 m)
{
    v8 sum[AT_ONCE] = { { 0 } }, step[AT_ONCE];
    for (int t = 0; t < AT_ONCE; t++)
        step[t] = inverse_of(d[t]);
    for (int i = 0; i < n; i++) {
        v8 v = x[i] + m;
        UNROLL
        for (int t = 0; t < AT_ONCE; t++) {
            v8 e = v - whole(v * step[t], 0, high) * d[t];
            sum[t] += w[i] * e * e;
        }
    }
    memcpy(error, sum, sizeof sum);
}

/* ---- blocks of 256: runs with a small scale each, and a scale of scales ---- */

/* Scales are whole numbers from low to high; run j of group g is lane j of x[g length ...]. */
struct parts { int groups, length, low, high; };

/* The scales of a group, each between one less and one more than the nearest. */
static v8 best_scale(const struct grid *g, const struct parts *p, const v8 *x, const v8 *w, v8 d, v8 wanted)
{
    v8 middle = whole(wanted * inverse_of(d), (float)p->low, (float)p->high), best = middle, scale[AT_ONCE], step[AT_ONCE], error[AT_ONCE];
    for (int t = 0; t < AT_ONCE; t++) {
        scale[t] = whole(middle + splat((float)(t - 1)), (float)p->low, (float)p->high);
        step[t] = d * scale[t];
    }
    step_errors(error, g, x, w, p->length, step);
    v8 least = error[1];
    for (int t = 0; t < AT_ONCE; t += 2) {
        best = pick(error[t] < least, scale[t], best);
        least = smaller(error[t], least);
    }
    return best;
}

/* Least squares for d with the scales and codes fixed. */
static float refit(const struct grid *g, const struct parts *p, const v8 *x, const v8 *w, float d, const v8 *scale)
{
    v8 xl = { 0 }, ll = { 0 };
    for (int k = 0; k < p->groups; k++, x += p->length, w += p->length) {
        v8 s = scale[k], step = inverse_of(d * s);
        for (int i = 0; i < p->length; i++) {
            v8 c = (g->table == WHOLE ? nearest(g, WHOLE, x[i] * step) : nearest(g, IQ4, x[i] * step)) * s, wc = w[i] * c;
            xl += wc * x[i];
            ll += wc * c;
        }
    }
    float a = total(xl), b = total(ll);
    return b > 0 ? a / b : d;
}

static float to_half(float x, unsigned char out[2])
{
    x = x > 65504 ? 65504 : x < -65504 ? -65504 : x;
    uint16_t h = sp_to_f16(x);
    memcpy(out, &h, sizeof h);
    return sp_from_f16(h);
}

static float fit_steps(const struct grid *g, const struct parts *p, const v8 *x, const v8 *w, v8 *scale, unsigned char out[2])
{
    v8 wanted[2] = { { 0 }, { 0 } };
    float most = 0;
    for (int k = 0; k < p->groups; k++)
        wanted[k] = fit_step(g, x + k * p->length, w + k * p->length, p->length);
    v8 each = signed_most(wanted, p->groups);
    for (int j = 0; j < L; j++)
        most = each[j] * each[j] > most * most ? each[j] : most;
    float d = to_half(most / (float)p->low, out);
    for (int k = 0; k < p->groups; k++)
        scale[k] = best_scale(g, p, x + k * p->length, w + k * p->length, splat(d), wanted[k]);
    return to_half(refit(g, p, x, w, d, scale), out);
}

struct lines { int groups, length, most; float high; };

/* Scales and offsets of a group, each between one less and one more than the nearest. */
static void best_line(const struct lines *p, const v8 *x, const v8 *w, v8 d, v8 m, const struct fit *f, v8 *scale, v8 *least)
{
    float most = (float)p->most;
    v8 s0 = whole(f->d * inverse_of(d), 0, most), m0 = whole(f->m * inverse_of(m), 0, most), lowest = splat(3e38f), s[AT_ONCE], step[AT_ONCE];
    *scale = s0;
    *least = m0;
    for (int t = 0; t < AT_ONCE; t++) {
        s[t] = whole(s0 + splat((float)(t - 1)), 0, most);
        step[t] = d * s[t];
    }
    for (int i = -1; i <= 1; i++) {
        v8 error[AT_ONCE], k = whole(m0 + splat((float)i), 0, most);
        line_errors(error, p->high, x, w, p->length, step, m * k);
        for (int t = 0; t < AT_ONCE; t++) {
            m8 less = error[t] < lowest;
            *scale = pick(less, s[t], *scale);
            *least = pick(less, k, *least);
            lowest = pick(less, error[t], lowest);
        }
    }
}

/* Least squares for d and m with everything else fixed. */
static void refit_lines(const struct lines *p, const v8 *x, const v8 *w, float *d, float *m, const v8 *scale, const v8 *least)
{
    v8 aa = { 0 }, ab = { 0 }, bb = { 0 }, xa = { 0 }, xb = { 0 };
    for (int k = 0; k < p->groups; k++, x += p->length, w += p->length) {
        v8 s = scale[k], b = -least[k], offset = *m * least[k], step = inverse_of(*d * s);
        for (int i = 0; i < p->length; i++) {
            v8 a = whole((x[i] + offset) * step, 0, p->high) * s, ua = w[i] * a, ub = w[i] * b;
            aa += ua * a;
            ab += ua * b;
            bb += ub * b;
            xa += ua * x[i];
            xb += ub * x[i];
        }
    }
    float p11 = total(aa), p12 = total(ab), p22 = total(bb), q1 = total(xa), q2 = total(xb), det = p11 * p22 - p12 * p12;
    if (det > 1e-6f * p11 * p22 && q1 * p22 - q2 * p12 > 0 && q2 * p11 - q1 * p12 > 0) {
        *d = (q1 * p22 - q2 * p12) / det;
        *m = (q2 * p11 - q1 * p12) / det;
    } else if (p11 > 0 && q1 > 0 && !(p22 > 0)) {
        *d = q1 / p11;
    }
}

static void fit_lines(const struct lines *p, const v8 *x, const v8 *w, v8 *scale, v8 *least, float dm[2], unsigned char *out)
{
    struct fit f[2];
    v8 ds = { 0 }, ms = { 0 };
    float d = 0, m = 0;
    for (int k = 0; k < p->groups; k++) {
        f[k] = fit_line(p->high, x + k * p->length, w + k * p->length, p->length, false);
        ds = larger(f[k].d, ds);
        ms = larger(f[k].m, ms);
    }
    for (int j = 0; j < L; j++) {
        d = ds[j] > d ? ds[j] : d;
        m = ms[j] > m ? ms[j] : m;
    }
    d = to_half(d / (float)p->most, out);
    m = to_half(m / (float)p->most, out + 2);
    for (int k = 0; k < p->groups; k++)
        best_line(p, x + k * p->length, w + k * p->length, splat(d), splat(m), &f[k], &scale[k], &least[k]);
    refit_lines(p, x, w, &d, &m, scale, least);
    dm[0] = to_half(d, out);
    dm[1] = to_half(m, out + 2);
}
#endif
