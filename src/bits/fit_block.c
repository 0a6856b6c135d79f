/* bits/fit_block.c - a stored block as a function of numbers that may move: its f16
 * scales, in which it is linear, and its codes.
 *
 * Nothing is known here of how a format scales its parts: the decoder says it, given
 * blocks whose scales or codes are set.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "fit.h"

/* Where the scales stand, and the lowest bits of codes; codes 0: they aren't moved. */
static const struct { signed char scales; unsigned char at[2]; unsigned char levels; } row[SP_FORMATS] = {
    [SP_Q4_0] = { 1, { 0 }, 16 },       [SP_Q4_1] = { 2, { 0, 2 }, 16 },   [SP_Q5_0] = { 1, { 0 }, 32 },   [SP_Q5_1] = { 2, { 0, 2 }, 32 },
    [SP_Q8_0] = { 1, { 0 }, 0 },        [SP_Q2_K] = { 2, { 80, 82 }, 4 },  [SP_Q3_K] = { 1, { 108 }, 8 },  [SP_Q4_K] = { 2, { 0, 2 }, 16 },
    [SP_Q5_K] = { 2, { 0, 2 }, 32 },    [SP_Q6_K] = { 1, { 208 }, 64 },    [SP_IQ4_NL] = { 1, { 0 }, 16 }, [SP_IQ4_XS] = { 1, { 0 }, 16 },
};
static const signed char curved[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 };

int fit_scales(enum sp_format f)
{
    return row[f].scales;
}

int fit_levels(enum sp_format f)
{
    return row[f].levels;
}

static bool is_curved(enum sp_format f)
{
    return f == SP_IQ4_NL || f == SP_IQ4_XS;
}

float fit_level(enum sp_format f, int code)
{
    return is_curved(f) ? (float)curved[code] : (float)code;
}

float fit_gap(enum sp_format f)
{
    return is_curved(f) ? 16 : 1;
}

int fit_nearest(enum sp_format f, float u)
{
    int best = 0, n = row[f].levels;
    if (!is_curved(f)) {
        float r = rintf(u);
        return !(r > 0) ? 0 : r > (float)(n - 1) ? n - 1 : (int)r;
    }
    for (int i = 1; i < n; i++)
        best = fabsf(u - (float)curved[i]) < fabsf(u - (float)curved[best]) ? i : best;
    return best;
}

/* ---- fields ---- */

float fit_scale(enum sp_format f, const unsigned char *block, int k)
{
    float v;
    sp_formats[SP_F16].decode(&v, block + row[f].at[k], 1);
    return v;
}

void fit_scale_put(enum sp_format f, unsigned char *block, int k, float v)
{
    sp_formats[SP_F16].encode(block + row[f].at[k], &v, 1);
}

/* Code of element i: low bits and, above them, high bits. */
struct place { int low, low_shift, low_bits, high, high_shift, high_bits; };

static struct place small(enum sp_format f, int i)
{
    int base = f == SP_Q4_1 ? 4 : f == SP_Q5_0 ? 6 : f == SP_Q5_1 ? 8 : 2, high = f == SP_Q5_1 ? 4 : 2;
    bool five = f == SP_Q5_0 || f == SP_Q5_1;
    return (struct place){ base + i % 16, i < 16 ? 0 : 4, 4, high + i / 8, i % 8, five ? 1 : 0 };
}

static struct place place_of(enum sp_format f, int i)
{
    int half = i / 128, j = i % 128 / 32, l = i % 32, chunk = i / 64, side = i % 64 / 32;
    switch (f) {
    case SP_Q2_K: return (struct place){ 16 + 32 * half + l, 2 * j, 2, 0, 0, 0 };
    case SP_Q3_K: return (struct place){ 32 + 32 * half + l, 2 * j, 2, l, 4 * half + j, 1 };
    case SP_Q4_K: return (struct place){ 16 + 32 * chunk + l, 4 * side, 4, 0, 0, 0 };
    case SP_Q5_K: return (struct place){ 48 + 32 * chunk + l, 4 * side, 4, 16 + l, 2 * chunk + side, 1 };
    case SP_Q6_K: return (struct place){ 64 * half + l + 32 * (j & 1), 4 * (j >> 1), 4, 128 + 32 * half + l, 2 * j, 2 };
    case SP_IQ4_XS: return (struct place){ 8 + 16 * (i / 32) + i % 16, i % 32 < 16 ? 0 : 4, 4, 0, 0, 0 };
    default: return small(f, i);
    }
}

int fit_code(enum sp_format f, const unsigned char *block, int i)
{
    struct place p = place_of(f, i);
    int low = block[p.low] >> p.low_shift & ((1 << p.low_bits) - 1), high = block[p.high] >> p.high_shift & ((1 << p.high_bits) - 1);
    return low | high << p.low_bits;
}

static void put_bits(unsigned char *byte, int shift, int bits, int v)
{
    int mask = ((1 << bits) - 1) << shift;
    *byte = (unsigned char)((*byte & ~mask) | ((v << shift) & mask));
}

void fit_code_put(enum sp_format f, unsigned char *block, int i, int code)
{
    struct place p = place_of(f, i);
    put_bits(block + p.low, p.low_shift, p.low_bits, code);
    put_bits(block + p.high, p.high_shift, p.high_bits, code >> p.low_bits);
}

/* ---- what the decoder says ---- */

void fit_slope(enum sp_format f, const unsigned char *block, int k, float *out)
{
    unsigned char copy[SP_FIT_BLOCK_BYTES];
    memcpy(copy, block, (size_t)sp_formats[f].bytes);
    for (int i = 0; i < row[f].scales; i++)
        fit_scale_put(f, copy, i, i == k ? 1 : 0);
    sp_formats[f].decode(out, copy, sp_formats[f].block);
}

static void all_codes(enum sp_format f, const unsigned char *block, int code, float *out)
{
    unsigned char copy[SP_FIT_BLOCK_BYTES];
    memcpy(copy, block, (size_t)sp_formats[f].bytes);
    for (int i = 0; i < sp_formats[f].block; i++)
        fit_code_put(f, copy, i, code);
    sp_formats[f].decode(out, copy, sp_formats[f].block);
}

void fit_lines(enum sp_format f, const unsigned char *block, float *base, float *step)
{
    int n = sp_formats[f].block;
    if (is_curved(f)) { /* the level of code 8 is 1, and there is no base */
        all_codes(f, block, 8, step);
        memset(base, 0, (size_t)n * sizeof *base);
        return;
    }
    all_codes(f, block, 0, base);
    all_codes(f, block, 1, step);
    for (int i = 0; i < n; i++)
        step[i] -= base[i];
}
