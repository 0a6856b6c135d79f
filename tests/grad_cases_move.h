/* tests/grad_cases_move.h - attention, positions, moving data: cases for the
 * walker that checks gradients by finite differences.
 * SPDX-License-Identifier: Apache-2.0 */
#include "grad_cases.h"

#define ATTR(...) { .format = -1, __VA_ARGS__ }

const struct grad_case grad_cases_move[] = {
    { "attention", &sp_op_attention, 3, { GRAD_F32(2, 7, 12), GRAD_F32(2, 7, 12), GRAD_F32(2, 7, 12) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 3, [SP_ATTN_DIM] = 4 }) },
    { "attention, 2 sequences, 2 heads share keys", &sp_op_attention, 3,
      { GRAD_F32(2, 10, 24), GRAD_F32(2, 10, 12), GRAD_F32(2, 10, 12) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 4, [SP_ATTN_KV_HEADS] = 2, [SP_ATTN_DIM] = 6, [SP_ATTN_BATCH] = 2 }) },
    { "attention, packed, window", &sp_op_attention, 1, { GRAD_F32(2, 12, 24) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 2, [SP_ATTN_DIM] = 4, [SP_ATTN_PACKED] = 1, [SP_ATTN_BATCH] = 2, [SP_ATTN_WINDOW] = 3 }) },
    { "attention, packed, shared keys", &sp_op_attention, 1, { GRAD_F32(2, 6, 16) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 2, [SP_ATTN_KV_HEADS] = 1, [SP_ATTN_DIM] = 4, [SP_ATTN_PACKED] = 1 }) },
    { "attention, weights dropped", &sp_op_attention, 5,
      { GRAD_F32(2, 14, 12), GRAD_F32(2, 14, 6), GRAD_F32(2, 14, 6), GRAD_ABSENT, GRAD_I32(1, 1) },
      { FILL_RANDOM, FILL_RANDOM, FILL_RANDOM, FILL_VALUE, FILL_VALUE }, { [4] = 3 },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 4, [SP_ATTN_KV_HEADS] = 2, [SP_ATTN_DIM] = 3, [SP_ATTN_BATCH] = 2, [SP_ATTN_KEY] = 9 },
                   .f = { 0, 0, 0.4 }) },
    { "attention, soft cap and scale", &sp_op_attention, 3, { GRAD_F32(2, 5, 8), GRAD_F32(2, 5, 8), GRAD_F32(2, 5, 8) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 2, [SP_ATTN_DIM] = 4 }, .f = { 0.9, 1.5 }) },
    { "attention over everything, more keys than queries", &sp_op_attention, 3,
      { GRAD_F32(2, 4, 6), GRAD_F32(2, 9, 6), GRAD_F32(2, 9, 6) },
      .attr = ATTR(.i = { [SP_ATTN_HEADS] = 2, [SP_ATTN_DIM] = 3, [SP_ATTN_FULL] = 1 }) },
    { "rope, halves", &sp_op_rope, 2, { GRAD_F32(2, 6, 12), GRAD_F32(2, 9, 6) }, { FILL_RANDOM, FILL_FIXED },
      .attr = ATTR(.i = { [SP_ROPE_HEADS] = 2, [SP_ROPE_DIM] = 6, [SP_ROPE_T] = 3 }) },
    { "rope, pairs, columns that stay, past", &sp_op_rope, 3, { GRAD_F32(2, 4, 11), GRAD_F32(2, 9, 4), GRAD_I32(1, 1) },
      { FILL_RANDOM, FILL_FIXED, FILL_VALUE }, { [2] = 5 },
      .attr = ATTR(.i = { [SP_ROPE_HEADS] = 2, [SP_ROPE_DIM] = 4, [SP_ROPE_INTERLEAVED] = 1 }) },
    { "cast", &sp_op_cast, 1, { GRAD_F32(2, 3, 5) }, .attr = { .format = SP_F32 } },
    { "slice", &sp_op_slice, 1, { GRAD_F32(2, 5, 7) },
      .attr = ATTR(.i = { [SP_SLICE_ROW] = 1, [SP_SLICE_ROWS] = 3, [SP_SLICE_COL] = 2, [SP_SLICE_COLS] = 4 }) },
    { "slice, to the end", &sp_op_slice, 1, { GRAD_F32(2, 5, 7) }, .attr = ATTR(.i = { [SP_SLICE_COL] = 3 }) },
    { "slice_back", &sp_op_slice_back, 2, { GRAD_ABSENT, GRAD_F32(2, 2, 3) },
      .attr = ATTR(.i = { [SP_SLICE_ROW] = 1, [SP_SLICE_ROWS] = 4, [SP_SLICE_COL] = 2, [SP_SLICE_COLS] = 6 }) },
    { "slice_back, collecting", &sp_op_slice_back, 2, { GRAD_F32(2, 4, 6), GRAD_F32(2, 2, 3) },
      .attr = ATTR(.i = { [SP_SLICE_ROW] = 2, [SP_SLICE_ROWS] = 4, [SP_SLICE_COL] = 0, [SP_SLICE_COLS] = 6 }) },
    { "put_rows", &sp_op_put_rows, 2, { GRAD_F32(2, 6, 5), GRAD_F32(2, 2, 3) }, { FILL_FIXED, FILL_RANDOM },
      .attr = ATTR(.i = { [SP_SLICE_ROW] = 3, [SP_SLICE_COL] = 2 }) },
    { "concat", &sp_op_concat, 3, { GRAD_F32(2, 4, 2), GRAD_F32(2, 4, 5), GRAD_F32(2, 4, 1) }, .attr = { .format = -1 } },
    { "transpose", &sp_op_transpose, 1, { GRAD_F32(2, 4, 7) }, .attr = { .format = -1 } },
    { "view", &sp_op_view, 1, { GRAD_F32(2, 4, 6) }, .attr = ATTR(.i = { 0, 2, 8, 3 }) },
    { "view of a part", &sp_op_view, 1, { GRAD_F32(2, 4, 6) }, .attr = ATTR(.i = { 5, 2, 3, 4 }) },
    { NULL },
};
