/* base/random.c - Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, "Parallel
 * random numbers: as easy as 1, 2, 3"), and numbers made from it.
 *
 * The normal distribution uses logarithm and cosine of its own, so that the same
 * seed gives the same weights on every system.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <math.h>
#include <string.h>

void sp_random_block(uint64_t key, uint64_t counter, uint32_t out[4])
{
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter, c1 = (uint32_t)(counter >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(b >> 32) ^ c1 ^ k0, n2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

uint64_t sp_random_key(uint64_t seed, const char *name)
{
    uint64_t h = 14695981039346656037u;
    uint32_t r[4];
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211u;
    sp_random_block(seed, h, r);
    return (uint64_t)r[1] << 32 | r[0];
}

uint32_t sp_random_u32(struct sp_random *r)
{
    if (!r->n_left) {
        sp_random_block(r->key, r->counter++, r->left);
        r->n_left = 4;
    }
    return r->left[4 - r->n_left--];
}

/* Lemire 2019, with rejection. */
uint64_t sp_random_below(struct sp_random *r, uint64_t n)
{
    uint64_t least = n ? -n % n : 0;
    for (;;) {
        uint64_t x = (uint64_t)sp_random_u32(r) << 32;
        x |= sp_random_u32(r);
        __uint128_t m = (__uint128_t)x * n;
        if ((uint64_t)m >= least)
            return (uint64_t)(m >> 64);
    }
}

double sp_random_unit(struct sp_random *r)
{
    uint64_t x = (uint64_t)sp_random_u32(r) << 32;
    x |= sp_random_u32(r);
    return (double)(x >> 11) * 0x1p-53;
}

/* ln x for normal x > 0: atanh series of the mantissa in [sqrt(1/2), sqrt(2)). */
static double natural_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | 0x3FF0000000000000u;
    memcpy(&x, &bits, sizeof x);
    if (x > 1.4142135623730951) {
        x *= 0.5;
        e++;
    }
    double t = (x - 1) / (x + 1), t2 = t * t, sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * t2 + 1.0 / k;
    return 2 * t * sum + e * 0.6931471805599453;
}

/* cos of 2 pi u for u in [0,1). */
static double cos_turn(double u)
{
    double v = u < 0.5 ? u : 1 - u, sign = 1;
    if (v > 0.25) {
        v = 0.5 - v;
        sign = -1;
    }
    double x = 6.283185307179586 * v, x2 = x * x, term = 1, sum = 1;
    for (int k = 1; k <= 12; k++) {
        term *= -x2 / ((2 * k - 1) * (2 * k));
        sum += term;
    }
    return sign * sum;
}

double sp_random_normal(struct sp_random *r)
{
    double u = 1 - sp_random_unit(r), v = sp_random_unit(r);
    return sqrt(-2 * natural_log(u)) * cos_turn(v);
}
