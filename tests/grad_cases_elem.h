/* tests/grad_cases_elem.h - gradients of pointwise functions, normalisation,
 * losses, tables and sums.
 * SPDX-License-Identifier: Apache-2.0 */
#include "grad_cases.h"

#define NO_FORMAT .format = -1
#define UNARY(name, fill_) { #name, &sp_op_##name, 1, { GRAD_F32(2, 3, 5) }, { fill_ }, .attr = { NO_FORMAT } }

const struct grad_case grad_cases_elem[] = {
    { "relu", &sp_op_relu, 1, { GRAD_F32(2, 3, 5) }, .attr = { NO_FORMAT }, .away = 0.05 },
    UNARY(gelu, FILL_RANDOM), UNARY(gelu_erf, FILL_RANDOM), UNARY(silu, FILL_RANDOM), UNARY(tanh, FILL_RANDOM),
    UNARY(sigmoid, FILL_RANDOM), UNARY(exp, FILL_RANDOM), UNARY(log, FILL_POSITIVE), UNARY(square, FILL_RANDOM),
    UNARY(sqrt, FILL_POSITIVE), UNARY(neg, FILL_RANDOM),

    { "add", &sp_op_add, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { NO_FORMAT } },
    { "add, weighed", &sp_op_add, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .f = { 2, -0.5 }, NO_FORMAT } },
    { "add a row", &sp_op_add, 2, { GRAD_F32(2, 3, 5), GRAD_F32(1, 5) }, .attr = { NO_FORMAT } },
    { "add rows to blocks", &sp_op_add, 2, { GRAD_F32(3, 2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { NO_FORMAT } },
    { "mul", &sp_op_mul, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { NO_FORMAT } },
    { "mul by a row", &sp_op_mul, 2, { GRAD_F32(2, 3, 5), GRAD_F32(1, 5) }, .attr = { NO_FORMAT } },
    { "scale", &sp_op_scale, 1, { GRAD_F32(2, 3, 5) }, .attr = { .f = { -3 }, NO_FORMAT } },
    { "scale by a scalar", &sp_op_scale, 3, { GRAD_F32(2, 3, 5), GRAD_ABSENT, GRAD_F32(1, 1) }, .attr = { .f = { 2 }, NO_FORMAT } },
    { "glu, silu", &sp_op_glu, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .i = { SP_SILU }, NO_FORMAT } },
    { "glu, gelu", &sp_op_glu, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .i = { SP_GELU }, NO_FORMAT } },
    { "glu, sigmoid", &sp_op_glu, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .i = { SP_SIGMOID }, NO_FORMAT } },
    { "glu, relu", &sp_op_glu, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .i = { SP_RELU }, NO_FORMAT }, .away = 0.05 },

    { "rmsnorm", &sp_op_rmsnorm, 2, { GRAD_F32(2, 3, 7), GRAD_F32(1, 7) }, { FILL_RANDOM, FILL_POSITIVE },
      .attr = { .f = { 1e-3 }, NO_FORMAT } },
    { "rmsnorm, more rows than a block", &sp_op_rmsnorm, 2, { GRAD_F32(2, 67, 2), GRAD_F32(1, 2) }, { FILL_RANDOM, FILL_POSITIVE },
      .attr = { .f = { 0.1 }, NO_FORMAT } },
    { "layernorm", &sp_op_layernorm, 3, { GRAD_F32(3, 2, 2, 7), GRAD_F32(1, 7), GRAD_F32(1, 7) }, { FILL_RANDOM, FILL_POSITIVE },
      .attr = { .f = { 1e-3 }, NO_FORMAT } },
    { "layernorm, no bias", &sp_op_layernorm, 2, { GRAD_F32(2, 3, 7), GRAD_F32(1, 7) }, .attr = { .f = { 1e-3 }, NO_FORMAT } },
    { "softmax", &sp_op_softmax, 1, { GRAD_F32(2, 3, 5) }, .attr = { .f = { 1.5 }, NO_FORMAT } },

    { "xent", &sp_op_xent, 2, { GRAD_F32(2, 3, 5), GRAD_I32(1, 3) }, { FILL_RANDOM, FILL_INDEX }, { 0, 5 }, .attr = { NO_FORMAT } },
    { "xent, weighed, onto", &sp_op_xent, 4, { GRAD_F32(2, 3, 5), GRAD_I32(1, 3), GRAD_F32(1, 3), GRAD_F32(1, 1) },
      { FILL_RANDOM, FILL_INDEX, FILL_FIXED, FILL_RANDOM }, { 0, 5 }, .attr = { NO_FORMAT } },
    { "xent, rows that don't count", &sp_op_xent, 2, { GRAD_F32(2, 3, 5), GRAD_I32(1, 3) }, { FILL_RANDOM, FILL_VALUE }, { 0, -1 },
      .attr = { NO_FORMAT } },
    { "soft", &sp_op_soft, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, { FILL_RANDOM, FILL_FIXED }, .attr = { NO_FORMAT } },
    { "soft, weighed, onto", &sp_op_soft, 4, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5), GRAD_F32(1, 3), GRAD_F32(1, 1) },
      { FILL_RANDOM, FILL_FIXED, FILL_FIXED, FILL_RANDOM }, .attr = { NO_FORMAT } },
    { "mse", &sp_op_mse, 2, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5) }, .attr = { .f = { 0.5 }, NO_FORMAT } },
    { "mse, onto", &sp_op_mse, 3, { GRAD_F32(2, 3, 5), GRAD_F32(2, 3, 5), GRAD_F32(1, 1) }, .attr = { NO_FORMAT } },

    { "embed", &sp_op_embed, 2, { GRAD_I32(1, 9), GRAD_F32(2, 4, 3) }, { FILL_INDEX, FILL_RANDOM }, { 4 }, .attr = { .f = { 2 }, NO_FORMAT } },
    { "dropout", &sp_op_dropout, 2, { GRAD_F32(2, 3, 5), GRAD_I32(1, 1) }, { FILL_RANDOM, FILL_VALUE }, { 0, 12 },
      .attr = { .i = { 42 }, .f = { 0.4 }, NO_FORMAT } },

    { "sum_rows", &sp_op_sum_rows, 1, { GRAD_F32(3, 2, 3, 5) }, .attr = { NO_FORMAT } },
    { "sum_rows, onto", &sp_op_sum_rows, 2, { GRAD_F32(2, 3, 5), GRAD_F32(1, 5) }, .attr = { NO_FORMAT } },
    { "sum", &sp_op_sum, 1, { GRAD_F32(2, 3, 5) }, .attr = { .f = { 0.25 }, NO_FORMAT } },
    { "sum, onto", &sp_op_sum, 2, { GRAD_F32(2, 3, 5), GRAD_F32(1, 1) }, .attr = { NO_FORMAT } },
    { "sumsq", &sp_op_sumsq, 1, { GRAD_F32(2, 3, 5) }, .attr = { .f = { 0.5 }, NO_FORMAT } },
    { "sumsq, onto", &sp_op_sumsq, 2, { GRAD_F32(2, 3, 5), GRAD_F32(1, 1) }, .attr = { NO_FORMAT } },
    { 0 },
};
#undef UNARY
