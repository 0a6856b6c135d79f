/* base/random.c - counter-based random numbers: Philox4x32-10.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2,
 * 3", SC 2011.  A value depends on key and counter alone, so threads, order and
 * recomputation don't change it.  Logarithm and cosine are own series, and sqrt is
 * exact by IEEE 754: no result depends on the C library.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "base.h"

void sp_random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4])
{
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53 * c0, b = (uint64_t)0xCD9E8D57 * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9; /* the golden ratio */
        k1 += 0xBB67AE85; /* sqrt(3) - 1      */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void sp_random_block(uint64_t key, uint64_t counter, uint32_t out[4])
{
    const uint32_t k[2] = { (uint32_t)key, (uint32_t)(key >> 32) };
    const uint32_t c[4] = { (uint32_t)counter, (uint32_t)(counter >> 32), 0, 0 };
    sp_random_philox(k, c, out);
}

uint64_t sp_random_key(uint64_t seed, const char *name)
{
    uint64_t h = 0xCBF29CE484222325; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3;
    uint32_t out[4];
    sp_random_block(seed, h, out);
    return (uint64_t)out[1] << 32 | out[0];
}

uint32_t sp_random_u32(struct sp_random *r)
{
    if (r->n_left <= 0) {
        sp_random_block(r->key, r->counter++, r->left);
        r->n_left = 4;
    }
    return r->left[4 - r->n_left--];
}

static uint64_t random_u64(struct sp_random *r)
{
    uint64_t low = sp_random_u32(r);
    return (uint64_t)sp_random_u32(r) << 32 | low;
}

/* Lemire, "Fast random integer generation in an interval", 2019. */
uint64_t sp_random_below(struct sp_random *r, uint64_t n)
{
    if (n == 0)
        return 0;
    unsigned __int128 m = (unsigned __int128)random_u64(r) * n;
    if ((uint64_t)m < n) {
        uint64_t least = -n % n;
        while ((uint64_t)m < least)
            m = (unsigned __int128)random_u64(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double sp_random_unit(struct sp_random *r)
{
    return (double)(random_u64(r) >> 11) * 0x1p-53;
}

/* Natural logarithm of a positive normal number: x = m 2^e, m in [sqrt(1/2), sqrt(2)),
 * log m = 2 atanh((m-1)/(m+1)) as a series. */
static double own_log(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, 8);
    int e = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000;
    double m;
    memcpy(&m, &bits, 8);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        e++;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int k = 21; k >= 1; k -= 2)
        sum = sum * s2 + 1.0 / k;
    return e * 0.6931471805599453 + 2 * s * sum;
}

/* cos(2 pi x) for x in [0,1): the nearest quarter turn is taken off, the rest is a series. */
static double own_cos_turn(double x)
{
    int q = (int)(4 * x + 0.5);
    double y = (x - 0.25 * q) * 6.283185307179586, y2 = y * y, c = 0, s = 0;
    for (int k = 16; k >= 2; k -= 2) {
        c = (1 + c) * (-y2 / (k * (k - 1)));
        s = (1 + s) * (-y2 / ((k + 1) * k));
    }
    c = 1 + c;
    s = y * (1 + s);
    return q % 4 == 0 ? c : q % 4 == 1 ? -s : q % 4 == 2 ? -c : s;
}

double sp_random_normal(struct sp_random *r)
{
    double u = ((double)(random_u64(r) >> 11) + 1) * 0x1p-53; /* (0,1] */
    double v = sp_random_unit(r);
    return sqrt(-2 * own_log(u)) * own_cos_turn(v);
}
