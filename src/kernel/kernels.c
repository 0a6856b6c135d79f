/* kernel/kernels.c - the table of kernel families.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

const struct sp_kernel *const sp_kernels[] = {
    /* matrix products */
    &sp_kernel_gemm, &sp_kernel_pack,


    /* attention, positions, moving data */
    &sp_kernel_attention, &sp_kernel_attention_back, &sp_kernel_rope_table, &sp_kernel_rope, &sp_kernel_copy, &sp_kernel_put,
    &sp_kernel_concat, &sp_kernel_transpose,

    /* element by element, rows, reductions, optimizer */
    &sp_kernel_unary, &sp_kernel_unary_back, &sp_kernel_binary, &sp_kernel_glu, &sp_kernel_glu_back, &sp_kernel_dropout,
    &sp_kernel_fill, &sp_kernel_norm, &sp_kernel_norm_back, &sp_kernel_softmax, &sp_kernel_softmax_back, &sp_kernel_xent, &sp_kernel_soft,
    &sp_kernel_embed, &sp_kernel_embed_back, &sp_kernel_sum_rows, &sp_kernel_sum, &sp_kernel_clip, &sp_kernel_adamw,
    &sp_kernel_sgd, &sp_kernel_mse,


    NULL,
};
