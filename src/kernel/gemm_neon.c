/* kernel/gemm_neon.c - the gemm row for 64-bit ARM: 8 by 8 sums in registers.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_GEMM_MR 8
#define SP_GEMM_NAME neon
#include "gemm_body.h"
