/* kernel/gemm_avx512.c - the gemm row for AVX-512: 12 by 32 sums in registers.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_GEMM_MR 12
#define SP_GEMM_NAME avx512
#include "gemm_body.h"
