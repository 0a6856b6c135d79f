/* kernel/gemm_bits_vnni.c - the gemm row for weights in blocks, where products of four bytes are one instruction.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_BITS_ROW sp_gemm_bits_vnni
#define SP_BITS_DOT _mm256_dpbusd_epi32
#include "gemm_bits_body.h"
