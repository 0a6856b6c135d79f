/* kernel/philox_vec.h - counter-based random words (Salmon et al. 2011), any vector width;
 * the same words as sp_philox of the portable texts, many counters at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PHILOX_VEC_H
#define SP_PHILOX_VEC_H
#include "vec.h"

/* Two vectors of counters at a time, so that one's products hide the other's. */
enum { PHILOX_LANES = SP_W / 2, PHILOX_ELEMENTS = 4 * 2 * PHILOX_LANES };
typedef uint64_t philox_lanes __attribute__((vector_size(SP_W * 4)));
struct philox { philox_lanes c0, c1, c2, c3; };

/* Products of the low halves of 64-bit lanes. */
static inline philox_lanes low_product(philox_lanes a, uint32_t b)
{
#if SP_W == 16 && defined(__AVX512F__)
    return (philox_lanes)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif SP_W == 8 && defined(__AVX2__)
    return (philox_lanes)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#else
    return (a & 0xFFFFFFFFu) * b;
#endif
}

/* Only the low halves of lanes mean something until the end. */
static inline struct philox philox_start(uint64_t first, uint32_t stream)
{
    philox_lanes c = (philox_lanes){ 0 } + first;
    for (int l = 0; l < PHILOX_LANES; l++)
        c[l] += (uint64_t)l;
    return (struct philox){ c, c >> 32, (philox_lanes){ 0 } + stream, { 0 } };
}

static inline struct philox philox_round(struct philox p, uint32_t k0, uint32_t k1)
{
    philox_lanes a = low_product(p.c0, 0xD2511F53u), b = low_product(p.c2, 0xCD9E8D57u);
    return (struct philox){ (b >> 32) ^ p.c1 ^ (uint64_t)k0, b, (a >> 32) ^ p.c3 ^ (uint64_t)k1, a };
}

/* Lane l's four words stand at out[2 l]. */
static inline void philox_finish(struct philox p, uint64_t *out)
{
    philox_lanes low = (p.c0 & 0xFFFFFFFFu) | p.c1 << 32, high = (p.c2 & 0xFFFFFFFFu) | p.c3 << 32;
    for (int l = 0; l < PHILOX_LANES; l++) {
        out[2 * l] = low[l];
        out[2 * l + 1] = high[l];
    }
}

/* The words of counters first.. in order. */
static inline void philox_words(uint64_t key, uint64_t first, uint32_t stream, uint64_t out[PHILOX_ELEMENTS / 2])
{
    struct philox p = philox_start(first, stream), q = philox_start(first + PHILOX_LANES, stream);
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
        p = philox_round(p, k0, k1);
        q = philox_round(q, k0, k1);
    }
    philox_finish(p, out);
    philox_finish(q, out + 2 * PHILOX_LANES);
}

/* Words below this one are dropped. */
static inline uint32_t philox_share(float p)
{
    double share = (double)p * 4294967296.0;
    return share > 4294967295.0 ? UINT32_MAX : (uint32_t)share;
}
#endif
