/* kernel/format_search_body.h - numbers to blocks, with scales that are searched: included once an instruction set.
 *
 * A scale is the one of a few dozen candidates with the least weighted square error, each with the step that least
 * squares gives for its codes; in blocks of 256 the scales' own scale is fitted last, with the codes fixed.  Every
 * operation is IEEE's on 8 lanes, so all instruction sets write the same bytes.
 *
 * Before inclusion: SP_SEARCH, the name of the function.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "embed.h"
#include "format.h"

#define TINY 1e-37f /* steps below this are none: their inverse is no number */
enum { L = 8, BLOCK = SP_FORMAT_BLOCK_MAX, REFINE = 3 /* times: codes for the step, the step for the codes */ };
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

static inline v8 load(const float *p)
{
    v8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline v8 splat(float x)
{
    return x - (v8){ 0 };
}

static inline v8 pick(m8 yes, v8 a, v8 b)
{
    return (v8)((yes & (m8)a) | (~yes & (m8)b));
}

static inline float total(v8 v)
{
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

/* The nearest of 16 values, and its place. */
static inline v8 nearest_of(const signed char *table, v8 x, m8 *place)
{
    v8 v = splat((float)table[0]);
    m8 n = { 0 };
    UNROLL
    for (int i = 1; i < 16; i++) {
        m8 above = x > splat(0.5f * (float)(table[i - 1] + table[i]));
        v = pick(above, splat((float)table[i]), v);
        n -= above;
    }
    *place = n;
    return v;
}

/* The grid's nearest value, and its code: the place in the table, or the value itself. */
static inline v8 nearest_code(const struct grid *g, v8 x, m8 *code)
{
    if (g->table == IQ4)
        return nearest_of(sp_run_iq4, x, code);
    if (g->table == FP4)
        return nearest_of(fp4_sorted, x, code);
    x = pick(x > splat(g->low), x, splat(g->low));
    x = pick(x < splat(g->high), x, splat(g->high));
    const v8 magic = splat(12582912.0f); /* 1.5 2^23: rounds to whole numbers */
    x = (x + magic) - magic;
    *code = __builtin_convertvector(x, m8);
    return x;
}

static inline v8 nearest(const struct grid *g, v8 x)
{
    m8 code;
    return nearest_code(g, x, &code);
}

/* q = codes less `minus` of (x + m) times step. */
static void codes_of(const struct grid *g, const float *x, int n, float m, float step, int minus, unsigned char *q)
{
    for (int i = 0; i < n; i += L) {
        m8 code;
        nearest_code(g, (load(x + i) + splat(m)) * splat(step), &code);
        for (int j = 0; j < L; j++)
            q[i + j] = (unsigned char)(code[j] - minus);
    }
}

static float inverse(float d)
{
    return d > TINY || d < -TINY ? 1 / d : 0;
}

static float to_half(float x, unsigned char out[2])
{
    x = x > 65504 ? 65504 : x < -65504 ? -65504 : x;
    uint16_t h = sp_to_f16(x);
    memcpy(out, &h, sizeof h);
    return sp_from_f16(h);
}

/* ---- a step ---- */

struct fit { float d, m, gain; };

/* The step that suits the codes which the inverse step gives, and by how much it lessens the error. */
static struct fit try_step(const struct grid *g, const float *x, const float *w, int n, float step)
{
    v8 xl = { 0 }, ll = { 0 };
    for (int i = 0; i < n; i += L) {
        v8 v = load(x + i), c = nearest(g, v * splat(step)), wc = load(w + i) * c;
        xl += wc * v;
        ll += wc * c;
    }
    float a = total(xl), b = total(ll);
    return b > 0 ? (struct fit){ .d = a / b, .gain = a * a / b } : (struct fit){ 0 };
}

static float signed_most(const float *x, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        if ((x[i] < 0 ? -x[i] : x[i]) > (most < 0 ? -most : most))
            most = x[i];
    return most;
}

/* The largest number goes near either end of the grid, on it, inside or beyond it. */
static float fit_step(const struct grid *g, const float *x, const float *w, int n)
{
    enum { TRIES = 5 };
    float most = signed_most(x, n), reach = g->high < 4 ? 2.5f : 1.0f, from = g->table ? 0.88f : 1 - 0.9f / (g->high + 1);
    float to = g->table ? 1.25f : 1 + reach / (g->high + 1);
    struct fit best = { 0 };
    if (!(most > TINY || most < -TINY))
        return 0;
    for (int end = 0; end < 2; end++)
        for (int t = 0; t <= TRIES; t++) {
            float factor = t == 2 ? 1 : from + (to - from) * (float)t / TRIES;
            struct fit f = try_step(g, x, w, n, factor * (end ? g->high : g->low) / most);
            best = f.gain > best.gain ? f : best;
        }
    for (int i = 0; i < REFINE && best.gain > 0; i++) {
        struct fit f = try_step(g, x, w, n, 1 / best.d);
        best = f.gain > best.gain ? f : best;
    }
    return best.d;
}

/* ---- a step and an offset: x = d q - m ---- */

struct sums { float w, x, xx; };

static struct sums sums_of(const float *x, const float *w, int n)
{
    v8 a = { 0 }, b = { 0 }, c = { 0 };
    for (int i = 0; i < n; i += L) {
        v8 v = load(x + i), u = load(w + i);
        a += u;
        b += u * v;
        c += u * v * v;
    }
    return (struct sums){ total(a), total(b), total(c) };
}

/* As try_step; m is not negative unless any. */
static struct fit try_line(float high, const float *x, const float *w, int n, float step, float m, const struct sums *s, bool any)
{
    const struct grid g = { 0, high, WHOLE };
    v8 l = { 0 }, xl = { 0 }, ll = { 0 };
    for (int i = 0; i < n; i += L) {
        v8 v = load(x + i), c = nearest(&g, (v + splat(m)) * splat(step)), wc = load(w + i) * c;
        l += wc;
        xl += wc * v;
        ll += wc * c;
    }
    float q = total(l), xq = total(xl), qq = total(ll), det = s->w * qq - q * q;
    struct fit f = { 0 };
    if (det > 0) {
        f.d = (s->w * xq - s->x * q) / det;
        f.m = (q * xq - qq * s->x) / det;
    }
    if (!(det > 0) || (f.m < 0 && !any) || f.d < 0)
        f = (struct fit){ .d = qq > 0 && xq > 0 ? xq / qq : 0 };
    f.gain = 2 * (f.d * xq - f.m * s->x) - (f.d * f.d * qq - 2 * f.d * f.m * q + f.m * f.m * s->w);
    return f;
}

static struct fit fit_line(float high, const float *x, const float *w, int n, bool any)
{
    enum { TRIES = 8 };
    struct sums s = sums_of(x, w, n);
    float least = x[0], most = x[0];
    for (int i = 1; i < n; i++) {
        least = x[i] < least ? x[i] : least;
        most = x[i] > most ? x[i] : most;
    }
    least = least > 0 && !any ? 0 : least;
    struct fit best = { .m = -least };
    best.gain = 2 * -best.m * s.x - best.m * best.m * s.w;
    if (!(most - least > TINY))
        return best;
    for (int t = 0; t <= TRIES; t++) {
        struct fit f = try_line(high, x, w, n, (high - 0.9f + 0.3f * (float)t) / (most - least), -least, &s, any);
        best = f.gain > best.gain ? f : best;
    }
    for (int i = 0; i < REFINE && best.d > 0; i++) {
        struct fit f = try_line(high, x, w, n, 1 / best.d, best.m, &s, any);
        best = f.gain > best.gain ? f : best;
    }
    return best;
}

static float line_error(float high, const float *x, const float *w, int n, float d, float m)
{
    const struct grid g = { 0, high, WHOLE };
    v8 sum = { 0 }, step = splat(inverse(d));
    for (int i = 0; i < n; i += L) {
        v8 v = load(x + i) + splat(m), e = v - nearest(&g, v * step) * splat(d);
        sum += load(w + i) * e * e;
    }
    return total(sum);
}

static float step_error(const struct grid *g, const float *x, const float *w, int n, float d)
{
    v8 sum = { 0 }, step = splat(inverse(d));
    for (int i = 0; i < n; i += L) {
        v8 v = load(x + i), e = v - nearest(g, v * step) * splat(d);
        sum += load(w + i) * e * e;
    }
    return total(sum);
}

/* ---- blocks of 256: parts with a small scale each, and a scale of scales ---- */

static int whole(float x, int low, int high)
{
    x = x < (float)low ? (float)low : x > (float)high ? (float)high : x;
    return (int)(x < 0 ? x - 0.5f : x + 0.5f);
}

struct parts { int n, length, low, high; /* scales are whole numbers from low to high */ };

/* The scale of a part, between one less and one more than the nearest. */
static int best_scale(const struct grid *g, const struct parts *p, const float *x, const float *w, float d, float wanted)
{
    int middle = whole(wanted * inverse(d), p->low, p->high), best = middle;
    float least = step_error(g, x, w, p->length, d * (float)middle);
    for (int s = middle - 1; s <= middle + 1; s += 2) {
        if (s < p->low || s > p->high)
            continue;
        float e = step_error(g, x, w, p->length, d * (float)s);
        if (e < least) {
            least = e;
            best = s;
        }
    }
    return best;
}

/* Least squares for d with the scales and codes fixed. */
static float refit(const struct grid *g, const struct parts *p, const float *x, const float *w, float d, const int *scale)
{
    v8 xl = { 0 }, ll = { 0 };
    for (int i = 0; i < BLOCK; i += L) {
        float s = (float)scale[i / p->length];
        v8 v = load(x + i), c = nearest(g, v * splat(inverse(d * s))) * splat(s), wc = load(w + i) * c;
        xl += wc * v;
        ll += wc * c;
    }
    float a = total(xl), b = total(ll);
    return b > 0 ? a / b : d;
}

static float fit_steps(const struct grid *g, const struct parts *p, const float *x, const float *w, int *scale, unsigned char out[2])
{
    float wanted[16], most, d;
    for (int j = 0; j < p->n; j++)
        wanted[j] = fit_step(g, x + j * p->length, w + j * p->length, p->length);
    most = signed_most(wanted, p->n);
    d = to_half(most / (float)p->low, out);
    for (int j = 0; j < p->n; j++)
        scale[j] = best_scale(g, p, x + j * p->length, w + j * p->length, d, wanted[j]);
    return to_half(refit(g, p, x, w, d, scale), out);
}

struct lines { int n, length, most; float high; };

static void best_line(const struct lines *p, const float *x, const float *w, float d, float m, const struct fit *f, int *scale, int *least)
{
    int s0 = whole(f->d * inverse(d), 0, p->most), m0 = whole(f->m * inverse(m), 0, p->most);
    float lowest = -1;
    for (int s = s0 > 0 ? s0 - 1 : 0; s <= s0 + 1 && s <= p->most; s++)
        for (int k = m0 > 0 ? m0 - 1 : 0; k <= m0 + 1 && k <= p->most; k++) {
            float e = line_error(p->high, x, w, p->length, d * (float)s, m * (float)k);
            if (lowest < 0 || e < lowest) {
                lowest = e;
                *scale = s;
                *least = k;
            }
        }
}

/* Least squares for d and m with everything else fixed. */
static void refit_lines(const struct lines *p, const float *x, const float *w, float *d, float *m, const int *scale, const int *least)
{
    const struct grid g = { 0, p->high, WHOLE };
    v8 aa = { 0 }, ab = { 0 }, bb = { 0 }, xa = { 0 }, xb = { 0 };
    for (int i = 0; i < BLOCK; i += L) {
        float s = (float)scale[i / p->length], k = (float)least[i / p->length];
        v8 v = load(x + i), u = load(w + i), a = nearest(&g, (v + splat(*m * k)) * splat(inverse(*d * s))) * splat(s), b = splat(-k);
        aa += u * a * a;
        ab += u * a * b;
        bb += u * b * b;
        xa += u * a * v;
        xb += u * b * v;
    }
    float p11 = total(aa), p12 = total(ab), p22 = total(bb), q1 = total(xa), q2 = total(xb), det = p11 * p22 - p12 * p12;
    if (det > 1e-6f * p11 * p22 && q1 * p22 - q2 * p12 > 0 && q2 * p11 - q1 * p12 > 0) {
        *d = (q1 * p22 - q2 * p12) / det;
        *m = (q2 * p11 - q1 * p12) / det;
    } else if (p11 > 0 && q1 > 0 && !(p22 > 0)) {
        *d = q1 / p11;
    }
}

static void fit_lines(const struct lines *p, const float *x, const float *w, int *scale, int *least, float dm[2], unsigned char *out)
{
    struct fit f[16];
    float d = 0, m = 0;
    for (int j = 0; j < p->n; j++) {
        f[j] = fit_line(p->high, x + j * p->length, w + j * p->length, p->length, false);
        d = f[j].d > d ? f[j].d : d;
        m = f[j].m > m ? f[j].m : m;
    }
    d = to_half(d / (float)p->most, out);
    m = to_half(m / (float)p->most, out + 2);
    for (int j = 0; j < p->n; j++)
        best_line(p, x + j * p->length, w + j * p->length, d, m, &f[j], &scale[j], &least[j]);
    refit_lines(p, x, w, &d, &m, scale, least);
    dm[0] = to_half(d, out);
    dm[1] = to_half(m, out + 2);
}

static void line_codes(const struct lines *p, const float *x, const float dm[2], const int *scale, const int *least, unsigned char *q)
{
    const struct grid g = { 0, p->high, WHOLE };
    for (int j = 0, i = 0; j < p->n; j++, i += p->length)
        codes_of(&g, x + i, p->length, dm[1] * (float)least[j], inverse(dm[0] * (float)scale[j]), 0, q + i);
}

/* ---- the formats: codes to bytes ---- */

static void put_nibbles(unsigned char *out, const unsigned char *q)
{
    for (int j = 0; j < 16; j++)
        out[j] = (unsigned char)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

static void put_fifth(unsigned char *out, const unsigned char *q)
{
    memset(out, 0, 4);
    for (int j = 0; j < 32; j++)
        out[j / 8] = (unsigned char)(out[j / 8] | (q[j] >> 4 & 1) << j % 8);
}

/* Q4_0, Q5_0, Q8_0, IQ4_NL */
static void put_step(int format, unsigned char *out, const float *x, const float *w)
{
    const struct grid g = format == SP_Q4_0   ? (struct grid){ -8, 7, WHOLE }
                          : format == SP_Q5_0 ? (struct grid){ -16, 15, WHOLE }
                          : format == SP_Q8_0 ? (struct grid){ -127, 127, WHOLE }
                                              : (struct grid){ -127, 113, IQ4 };
    float step = inverse(to_half(fit_step(&g, x, w, 32), out));
    unsigned char q[32];
    codes_of(&g, x, 32, 0, step, format == SP_Q4_0 || format == SP_Q5_0 ? (int)g.low : 0, q);
    if (format == SP_Q8_0) {
        memcpy(out + 2, q, 32);
        return;
    }
    if (format == SP_Q5_0)
        put_fifth(out + 2, q);
    put_nibbles(out + (format == SP_Q5_0 ? 6 : 2), q);
}

/* Q4_1, Q5_1 */
static void put_line(int format, unsigned char *out, const float *x, const float *w)
{
    const struct grid g = { 0, format == SP_Q4_1 ? 15 : 31, WHOLE };
    struct fit f = fit_line(g.high, x, w, 32, true);
    float step = inverse(to_half(f.d, out)), least = to_half(-f.m, out + 2);
    unsigned char q[32];
    codes_of(&g, x, 32, -least, step, 0, q);
    if (format == SP_Q5_1)
        put_fifth(out + 4, q);
    put_nibbles(out + (format == SP_Q5_1 ? 8 : 4), q);
}

static float power_of_two(int e)
{
    union sp_word word = { .u = e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23 };
    return word.f;
}

/* The exponent that the largest number asks for, or one of its neighbours. */
static void put_mxfp4(unsigned char *out, const float *x, const float *w)
{
    static const unsigned char code[16] = { 15, 14, 13, 12, 11, 10, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7 };
    const struct grid g = { -12, 12, FP4 };
    union sp_word most = { .f = signed_most(x, 32) };
    int middle = (int)(most.u >> 23 & 255) - 2, best = 0;
    float least = -1;
    for (int e = middle - 1; e <= middle + 1; e++) {
        int sound = e < 0 ? 0 : e > 254 ? 254 : e;
        float error = step_error(&g, x, w, 32, power_of_two(sound));
        if (least < 0 || error < least) {
            least = error;
            best = sound;
        }
    }
    unsigned char q[32];
    codes_of(&g, x, 32, 0, inverse(power_of_two(best)), 0, q);
    for (int j = 0; j < 32; j++)
        q[j] = code[q[j]];
    out[0] = (unsigned char)best;
    put_nibbles(out + 1, q);
}

static void put_q2_k(unsigned char *out, const float *x, const float *w)
{
    const struct lines p = { 16, 16, 15, 3 };
    int scale[16], least[16];
    float dm[2];
    unsigned char q[BLOCK];
    fit_lines(&p, x, w, scale, least, dm, out + 80);
    line_codes(&p, x, dm, scale, least, q);
    memset(out, 0, 80);
    for (int j = 0; j < 16; j++)
        out[j] = (unsigned char)(scale[j] | least[j] << 4);
    for (int i = 0; i < BLOCK; i++)
        out[16 + i / 128 * 32 + i % 32] |= (unsigned char)(q[i] << i % 128 / 32 * 2);
}

/* Eight scales and offsets of 6 bits in 12 bytes. */
static void put_six(unsigned char *s, const int *scale, const int *least)
{
    for (int j = 0; j < 4; j++) {
        s[j] = (unsigned char)(scale[j] | scale[j + 4] >> 4 << 6);
        s[j + 4] = (unsigned char)(least[j] | least[j + 4] >> 4 << 6);
        s[j + 8] = (unsigned char)((scale[j + 4] & 15) | (least[j + 4] & 15) << 4);
    }
}

/* Q4_K, Q5_K */
static void put_q45_k(int format, unsigned char *out, const float *x, const float *w)
{
    const struct lines p = { 8, 32, 63, format == SP_Q4_K ? 15 : 31 };
    int scale[16], least[16];
    float dm[2];
    unsigned char q[BLOCK], *low = out + (format == SP_Q4_K ? 16 : 48);
    fit_lines(&p, x, w, scale, least, dm, out);
    line_codes(&p, x, dm, scale, least, q);
    put_six(out + 4, scale, least);
    memset(out + 16, 0, format == SP_Q4_K ? 128 : 160);
    for (int i = 0; i < BLOCK; i++) {
        low[i / 64 * 32 + i % 32] |= (unsigned char)((q[i] & 15) << i % 64 / 32 * 4);
        if (format == SP_Q5_K)
            out[16 + i % 32] |= (unsigned char)((q[i] >> 4) << i / 32);
    }
}

static void step_codes(const struct grid *g, const struct parts *p, const float *x, float d, const int *scale, unsigned char *q)
{
    for (int j = 0, i = 0; j < p->n; j++, i += p->length)
        codes_of(g, x + i, p->length, 0, inverse(d * (float)scale[j]), g->table ? 0 : (int)g->low, q + i);
}

static void put_q3_k(unsigned char *out, const float *x, const float *w)
{
    const struct grid g = { -4, 3, WHOLE };
    const struct parts p = { 16, 16, -32, 31 };
    int scale[16];
    unsigned char q[BLOCK];
    float d = fit_steps(&g, &p, x, w, scale, out + 108);
    step_codes(&g, &p, x, d, scale, q);
    memset(out, 0, 108);
    for (int i = 0; i < BLOCK; i++) {
        out[i % 32] |= (unsigned char)((q[i] >> 2) << i / 32);
        out[32 + i / 128 * 32 + i % 32] |= (unsigned char)((q[i] & 3) << i % 128 / 32 * 2);
    }
    for (int j = 0; j < 16; j++) {
        int s = scale[j] + 32;
        out[96 + j % 8] |= (unsigned char)((s & 15) << j / 8 * 4);
        out[104 + j % 4] |= (unsigned char)((s >> 4) << j / 4 * 2);
    }
}

static void put_q6_k(unsigned char *out, const float *x, const float *w)
{
    const struct grid g = { -32, 31, WHOLE };
    const struct parts p = { 16, 16, -128, 127 };
    int scale[16];
    unsigned char q[BLOCK];
    float d = fit_steps(&g, &p, x, w, scale, out + 208);
    step_codes(&g, &p, x, d, scale, q);
    memset(out, 0, 192);
    for (int i = 0; i < BLOCK; i++) {
        int run = i / 32;
        out[run / 4 * 64 + run % 2 * 32 + i % 32] |= (unsigned char)((q[i] & 15) << run % 4 / 2 * 4);
        out[128 + run / 4 * 32 + i % 32] |= (unsigned char)((q[i] >> 4) << run % 4 * 2);
    }
    for (int j = 0; j < 16; j++)
        out[192 + j] = (unsigned char)scale[j];
}

static void put_iq4_xs(unsigned char *out, const float *x, const float *w)
{
    const struct grid g = { -127, 113, IQ4 };
    const struct parts p = { 8, 32, -32, 31 };
    int scale[16];
    unsigned char q[BLOCK];
    float d = fit_steps(&g, &p, x, w, scale, out);
    step_codes(&g, &p, x, d, scale, q);
    memset(out + 2, 0, 6);
    for (int j = 0; j < 8; j++) {
        int s = scale[j] + 32;
        out[4 + j / 2] |= (unsigned char)((s & 15) << j % 2 * 4);
        out[2 + j / 4] |= (unsigned char)((s >> 4) << j % 4 * 2);
        put_nibbles(out + 8 + 16 * j, q + 32 * j);
    }
}

/* TQ1_0, TQ2_0: one scale for 256 */
static void put_ternary(int format, unsigned char *out, const float *x, const float *w)
{
    const struct grid g = { -1, 1, WHOLE };
    float step = inverse(to_half(fit_step(&g, x, w, BLOCK), out + (format == SP_TQ1_0 ? 52 : 64)));
    unsigned char code[BLOCK];
    int sum[52] = { 0 };
    codes_of(&g, x, BLOCK, 0, step, -1, code);
    memset(out, 0, format == SP_TQ1_0 ? 52 : 64);
    for (int i = 0; i < BLOCK; i++) {
        int q = code[i], byte = i < 160 ? i % 32 : i < 240 ? 32 + i % 16 : 48 + i % 4;
        if (format == SP_TQ1_0)
            sum[byte] = sum[byte] * 3 + q;
        else
            out[i / 128 * 32 + i % 32] |= (unsigned char)(q << i % 128 / 32 * 2);
    }
    for (int j = 0; format == SP_TQ1_0 && j < 52; j++)
        out[j] = (unsigned char)((256 * (j < 48 ? sum[j] : sum[j] * 3) + 242) / 243);
}

/* Numbers that are none count as 0; without weights, or with none above 0, all count the same. */
static void take(float *x, float *w, const float *from, const float *weight, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++) {
        x[i] = from[i] - from[i] == 0 ? from[i] : 0;
        w[i] = weight && weight[i] > 0 && weight[i] - weight[i] == 0 ? weight[i] : 0;
        sum += w[i];
    }
    for (int i = 0; !(sum > 0) && i < n; i++)
        w[i] = 1;
}

static void put(int format, unsigned char *out, const float *x, const float *w)
{
    switch (format) {
    case SP_Q4_1: case SP_Q5_1: put_line(format, out, x, w); break;
    case SP_MXFP4: put_mxfp4(out, x, w); break;
    case SP_Q2_K: put_q2_k(out, x, w); break;
    case SP_Q3_K: put_q3_k(out, x, w); break;
    case SP_Q4_K: case SP_Q5_K: put_q45_k(format, out, x, w); break;
    case SP_Q6_K: put_q6_k(out, x, w); break;
    case SP_IQ4_XS: put_iq4_xs(out, x, w); break;
    case SP_TQ1_0: case SP_TQ2_0: put_ternary(format, out, x, w); break;
    default: put_step(format, out, x, w); break;
    }
}

void SP_SEARCH(int format, void *to, const float *from, const float *weight, int64_t n)
{
    const struct sp_format_row *r = &sp_formats[format];
    float x[BLOCK], w[BLOCK];
    for (int64_t i = 0; i < n; i += r->block) {
        take(x, w, from + i, weight ? weight + i : NULL, r->block);
        put(format, (unsigned char *)to + i / r->block * r->bytes, x, w);
    }
}
