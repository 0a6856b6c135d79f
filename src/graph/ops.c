/* graph/ops.c - the table of ops: one file in op/, one row here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

const struct sp_op *const sp_ops[] = {
    /* values that come from outside */
    &sp_op_input,
    &sp_op_state,

    /* matrix products */
    &sp_op_matmul, &sp_op_pack,

    /* attention, positions, moving data */
    &sp_op_attention, &sp_op_attention_back, &sp_op_rope_table, &sp_op_rope, &sp_op_cache_append, &sp_op_cast, &sp_op_slice,
    &sp_op_slice_back, &sp_op_concat, &sp_op_put_rows, &sp_op_transpose, &sp_op_view,

    &sp_op_attention_bias, &sp_op_attention_bias_back, &sp_op_ring_append, &sp_op_rope_table_other,

    /* latent attention, mixtures of experts */
    &sp_op_latent, &sp_op_latent_back, &sp_op_latent_absorb, &sp_op_route, &sp_op_route_back, &sp_op_expert_matmul, &sp_op_expert_outer,
    &sp_op_expert_combine, &sp_op_expert_combine_back,

    /* element by element, rows, reductions, optimizer */
    &sp_op_relu, &sp_op_gelu, &sp_op_gelu_erf, &sp_op_silu, &sp_op_tanh, &sp_op_sigmoid, &sp_op_exp, &sp_op_log, &sp_op_square,
    &sp_op_sqrt, &sp_op_neg, &sp_op_unary_back, &sp_op_add, &sp_op_mul, &sp_op_scale, &sp_op_glu, &sp_op_glu_back, &sp_op_rmsnorm,
    &sp_op_rmsnorm_back, &sp_op_layernorm, &sp_op_layernorm_back, &sp_op_softmax, &sp_op_softmax_back, &sp_op_xent, &sp_op_soft, &sp_op_mse,
    &sp_op_given_grad, &sp_op_embed, &sp_op_embed_back, &sp_op_dropout, &sp_op_fill, &sp_op_sum_rows, &sp_op_sum, &sp_op_sumsq,
    &sp_op_clip, &sp_op_adamw, &sp_op_sgd,

    NULL,
};

const struct sp_op *sp_op_find(const char *name)
{
    for (const struct sp_op *const *o = sp_ops; *o; o++)
        if (!strcmp((*o)->name, name))
            return *o;
    return NULL;
}
