/* kernel/gemm_bits.h - the gemm rows for weights in blocks, one an instruction set.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GEMM_BITS_H
#define SP_GEMM_BITS_H
#include "kernel.h"

void sp_gemm_bits_avx2(const void *args, int phase, int64_t task, void *scratch);
bool sp_gemm_bits_avx2_fits(const void *args);
int64_t sp_gemm_bits_avx2_tasks(const void *args, int phase);
#endif
