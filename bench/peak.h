/* bench/peak.h - what products of bytes could do at best: instructions in registers and nothing else, and a plain read.
 *
 * Two other jobs on the machine share its pipes, so a peak means something only beside a row timed a moment before.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BENCH_PEAK_H
#define SP_BENCH_PEAK_H
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { PEAK_ROUNDS = 100000, PEAK_SUMS = 8 };
#define PEAK_TARGET __attribute__((target("avx2,fma")))
#define PEAK_KEEP(v) __asm__ volatile("" : "+x"(v))
#define PEAK_LOOP(name, each)                                                            \
    PEAK_TARGET static void name(void)                                                   \
    {                                                                                    \
        __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a, e = a, f = a, g = a, h = a, x = a, y = a; \
        PEAK_KEEP(y);                                                                    \
        for (int i = 0; i < PEAK_ROUNDS; i++) {                                          \
            each(a) each(b) each(c) each(d) each(e) each(f) each(g) each(h)              \
        }                                                                                \
        PEAK_KEEP(y);                                                                    \
    }
/* Codes of few bits: sums stay in 16 bits.  Bytes: sums of 32 bits at once. */
#define PEAK_FEW_BITS(s) PEAK_KEEP(x); s = _mm256_add_epi16(s, _mm256_maddubs_epi16(x, y)); PEAK_KEEP(s);
#define PEAK_BYTES(s) PEAK_KEEP(x); s = _mm256_add_epi32(s, _mm256_madd_epi16(_mm256_maddubs_epi16(x, y), y)); PEAK_KEEP(s);
#define PEAK_WORDS(s) PEAK_KEEP(x); s = _mm256_add_epi32(s, _mm256_madd_epi16(x, y)); PEAK_KEEP(s);
PEAK_LOOP(peak_few_bits, PEAK_FEW_BITS)
PEAK_LOOP(peak_bytes, PEAK_BYTES)
PEAK_LOOP(peak_words, PEAK_WORDS)

/* Reads n bytes. */
PEAK_TARGET static void peak_read(const void *p, int64_t n)
{
    const __m256i *v = (const __m256i *)p;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (int64_t i = 0; i + 4 <= n / 32; i += 4) {
        a = _mm256_or_si256(a, _mm256_loadu_si256(v + i));
        b = _mm256_or_si256(b, _mm256_loadu_si256(v + i + 1));
        c = _mm256_or_si256(c, _mm256_loadu_si256(v + i + 2));
        d = _mm256_or_si256(d, _mm256_loadu_si256(v + i + 3));
    }
    PEAK_KEEP(a);
    PEAK_KEEP(b);
    PEAK_KEEP(c);
    PEAK_KEEP(d);
}
#endif
#endif
