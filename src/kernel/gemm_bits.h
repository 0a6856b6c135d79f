/* kernel/gemm_bits.h - the gemm rows for weights in blocks, one an instruction set.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GEMM_BITS_H
#define SP_GEMM_BITS_H
#include "kernel.h"

#define SP_GEMM_BITS_ROW(isa)                                                       \
    void sp_gemm_bits_##isa(const void *args, int phase, int64_t task, void *scratch); \
    bool sp_gemm_bits_##isa##_fits(const void *args);                               \
    int64_t sp_gemm_bits_##isa##_tasks(const void *args, int phase);

SP_GEMM_BITS_ROW(avx2)
SP_GEMM_BITS_ROW(vnni)
SP_GEMM_BITS_ROW(neon)
#endif
