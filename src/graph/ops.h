/* graph/ops.h - every op by its C name, for builders and for gradient rules.
 * Part of the door of graph for rooms that build graphs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_OPS_H
#define SP_OPS_H
#include "graph.h"

extern const struct sp_op sp_op_input, sp_op_state;

/* matrix products */
extern const struct sp_op sp_op_matmul, sp_op_pack;

/* attention, positions, moving data */
extern const struct sp_op sp_op_attention, sp_op_attention_back, sp_op_rope_table, sp_op_rope, sp_op_cache_append,
    sp_op_attention_bias, sp_op_attention_bias_back, sp_op_ring_append, sp_op_rope_table_other, sp_op_cast, sp_op_slice, sp_op_slice_back, sp_op_concat, sp_op_put_rows, sp_op_transpose, sp_op_view;

/* Where attributes of these ops stand in attr.i; numbers left at 0 get the default in brackets. */
enum { SP_ATTN_HEADS, SP_ATTN_KV_HEADS /* [heads] */, SP_ATTN_DIM, SP_ATTN_BATCH /* [1] */, SP_ATTN_PACKED, SP_ATTN_WINDOW /* [none] */,
       SP_ATTN_FULL /* no causal mask */, SP_ATTN_KEY /* of dropout */ };
enum { SP_ROPE_HEADS, SP_ROPE_DIM, SP_ROPE_T /* rows a sequence [all] */, SP_ROPE_BACK, SP_ROPE_INTERLEAVED, SP_ROPE_EACH /* rows a position [1] */ };
enum { SP_ROPE_TABLE_MAX, SP_ROPE_TABLE_DIM, SP_ROPE_TABLE_SCALING };
enum { SP_SLICE_ROW, SP_SLICE_COL, SP_SLICE_ROWS, SP_SLICE_COLS };

/* latent attention, mixtures of experts: counted, not run */
extern const struct sp_op sp_op_latent, sp_op_latent_back, sp_op_latent_absorb, sp_op_route, sp_op_route_back, sp_op_expert_matmul,
    sp_op_expert_outer, sp_op_expert_combine, sp_op_expert_combine_back;
enum { SP_LATENT_HEADS, SP_LATENT_NOPE, SP_LATENT_ROPE, SP_LATENT_V, SP_LATENT_BATCH /* [1] */, SP_LATENT_SHARED };
enum { SP_ABSORB_HEADS, SP_ABSORB_FROM, SP_ABSORB_ROWS, SP_ABSORB_BACK };

/* element by element, rows, reductions, optimizer */
extern const struct sp_op sp_op_relu, sp_op_gelu, sp_op_gelu_erf, sp_op_silu, sp_op_tanh, sp_op_sigmoid, sp_op_exp,
    sp_op_log, sp_op_square, sp_op_sqrt, sp_op_neg, sp_op_unary_back, sp_op_add, sp_op_mul, sp_op_scale, sp_op_glu,
    sp_op_glu_back, sp_op_rmsnorm, sp_op_rmsnorm_back, sp_op_layernorm, sp_op_layernorm_back, sp_op_softmax,
    sp_op_softmax_back, sp_op_xent, sp_op_soft, sp_op_embed, sp_op_embed_back, sp_op_dropout, sp_op_fill, sp_op_sum_rows,
    sp_op_sum, sp_op_sumsq, sp_op_clip, sp_op_adamw, sp_op_sgd, sp_op_mse, sp_op_given_grad;
#endif
