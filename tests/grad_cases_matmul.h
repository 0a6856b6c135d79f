/* tests/grad_cases_matmul.h - gradients of the matrix product, either operand
 * turned, with bias and accumulator.
 * SPDX-License-Identifier: Apache-2.0 */
#include "grad_cases.h"

const struct grad_case grad_cases_matmul[] = {
    { "matmul", &sp_op_matmul, 2, { GRAD_F32(2, 3, 4), GRAD_F32(2, 4, 5) }, .attr = { .format = -1 } },
    { "matmul, a turned", &sp_op_matmul, 2, { GRAD_F32(2, 4, 3), GRAD_F32(2, 4, 5) }, .attr = { .i = { 1 }, .format = -1 } },
    { "matmul, b turned", &sp_op_matmul, 2, { GRAD_F32(2, 3, 4), GRAD_F32(2, 5, 4) }, .attr = { .i = { 2 }, .format = -1 } },
    { "matmul, both turned", &sp_op_matmul, 2, { GRAD_F32(2, 4, 3), GRAD_F32(2, 5, 4) }, .attr = { .i = { 3 }, .format = -1 } },
    { "matmul with bias", &sp_op_matmul, 3, { GRAD_F32(2, 3, 4), GRAD_F32(2, 5, 4), GRAD_F32(1, 5) }, .attr = { .i = { 2 }, .format = -1 } },
    { "matmul onto", &sp_op_matmul, 4, { GRAD_F32(2, 3, 4), GRAD_F32(2, 5, 4), GRAD_ABSENT, GRAD_F32(2, 3, 5) },
      .attr = { .i = { 2 }, .format = -1 } },
    { 0 },
};
