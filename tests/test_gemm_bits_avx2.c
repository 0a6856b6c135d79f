/* tests/test_gemm_bits_avx2.c - the gemm row of processors that add four products of bytes in one instruction, with that
 * instruction made of others: its logic on any processor with AVX2.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test_gemm_bits.h"

#include <immintrin.h>

/* sum + products of four unsigned bytes by signed ones. */
static inline __m256i dot(__m256i sum, __m256i u, __m256i s)
{
    __m256i low = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(u)), _mm256_cvtepi8_epi16(_mm256_castsi256_si128(s)));
    __m256i high = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(u, 1)), _mm256_cvtepi8_epi16(_mm256_extracti128_si256(s, 1)));
    return _mm256_add_epi32(sum, _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8));
}

#define SP_BITS_ROW sp_gemm_bits_made
#define SP_BITS_DOT dot
SP_GEMM_BITS_ROW(made)
#include "../src/kernel/gemm_bits_body.h"

static const struct sp_kernel_row made[] = {
    { .name = "gemm.bits_made", .needs = SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C, .fn = sp_gemm_bits_made, .fits = sp_gemm_bits_made_fits,
      .phases = 2, .tasks = sp_gemm_bits_made_tasks },
    { .name = "none" },
};

static void nothing_is_lost(void **unused)
{
    (void)unused;
    products_of(made, true);
    for (const struct sp_kernel_row *r = made; r->needs; r++)
        many_rows(r);
}

int main(void)
{
    return run_bits_test(nothing_is_lost);
}
