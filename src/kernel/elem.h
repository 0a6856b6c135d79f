/* kernel/elem.h - fast rows that work element by element, by rows and in sums.
 *
 * pointwise_body.h, rowwise_body.h and reduce_body.h are written once for any
 * vector width and compiled for each instruction set by elem_ISA.c, which
 * defines SP_ROW(name).  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ELEM_H
#define SP_ELEM_H
#include "../cost/cost.h"
#include "kernel.h"

/* Elements, rows or columns a task; the same numbers as in the portable texts. */
enum { SP_ELEM_BLOCK = 16384, SP_ELEM_FILL = 65536, SP_ELEM_ROWS = 16, SP_ELEM_XENT = 8, SP_ELEM_EMBED = 64, SP_ELEM_COLS = 64,
       SP_ELEM_NORM_COLS = 256 };

#define SP_ELEM_DECLARE(isa)                                                                                          \
    sp_kernel_fn sp_unary_##isa, sp_unary_back_##isa, sp_binary_##isa, sp_glu_##isa, sp_glu_back_##isa, sp_dropout_##isa, \
        sp_fill_##isa, sp_norm_##isa, sp_norm_back_##isa, sp_softmax_##isa, sp_softmax_back_##isa, sp_xent_##isa,      \
        sp_embed_##isa, sp_embed_back_##isa, sp_sum_rows_##isa, sp_sum_##isa, sp_adamw_##isa, sp_sgd_##isa;
SP_ELEM_DECLARE(avx2)
SP_ELEM_DECLARE(avx512)
SP_ELEM_DECLARE(neon)

static inline bool sp_elem_plain(int32_t format) { return format == SP_F32 || format == SP_BF16; }

/* The fast rows of a family, best first; they stand before the portable row. */
#define SP_ELEM_ROW(family, isa, bits, fits_, tolerance_) \
    { .name = #family "." #isa, .needs = bits, .fn = sp_##family##_##isa, .fits = fits_, .tolerance = tolerance_ }
#if defined(__x86_64__)
#define SP_ELEM_FAST(family, fits_, tolerance_)                                                              \
    SP_ELEM_ROW(family, avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C, fits_, tolerance_),  \
    SP_ELEM_ROW(family, avx2, SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C, fits_, tolerance_),
#elif defined(__aarch64__)
#define SP_ELEM_FAST(family, fits_, tolerance_) SP_ELEM_ROW(family, neon, SP_CPU_NEON, fits_, tolerance_),
#else
#define SP_ELEM_FAST(family, fits_, tolerance_)
#endif
#endif
