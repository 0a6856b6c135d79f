/* kernel/gemm_bits_avx2.c - the gemm row for weights in blocks, for AVX2.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_BITS_ROW sp_gemm_bits_avx2
#include "gemm_bits_body.h"
