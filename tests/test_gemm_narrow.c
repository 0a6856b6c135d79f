/* tests/test_gemm_narrow.c - the 4-lane gemm row on any processor, as on ARM.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 4
#define SP_GEMM_MR 8
#include "test_gemm_wide.c"
