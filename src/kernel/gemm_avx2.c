/* kernel/gemm_avx2.c - the gemm row for AVX2, FMA and F16C: 6 by 16 sums in registers.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_GEMM_MR 6
#define SP_GEMM_NAME avx2
#include "gemm_body.h"
