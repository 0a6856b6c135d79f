/* tests/grad_cases.h - cases for the walker that checks the gradient of every
 * op by finite differences.  Each owner of ops has one array, ending with what NULL.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GRAD_CASES_H
#define SP_GRAD_CASES_H
#include "graph/ops.h"

/* How an input is filled: random in +-1, random in 0.5..1.5, whole numbers below `below`, or one value.
 * Only FILL_RANDOM and FILL_POSITIVE inputs in f32 are differentiated. */
enum grad_fill { FILL_RANDOM, FILL_POSITIVE, FILL_INDEX, FILL_VALUE, FILL_FIXED /* random, not differentiated */ };

struct grad_case {
    const char *what;
    const struct sp_op *op;
    int n_in;
    struct sp_type in[SP_IN_MAX];      /* n = -1: operand left out */
    enum grad_fill fill[SP_IN_MAX];
    double value[SP_IN_MAX];           /* FILL_INDEX: below; FILL_VALUE: the value */
    struct sp_attr attr;               /* .format = -1 unless meant */
    int outs;                          /* how many outputs carry a gradient; 0 means 1 */
    double away;                       /* kinks: random values keep this far from 0 */
    double tolerance;                  /* 0: 2e-3, relative to 1 + |value| */
};

extern const struct grad_case grad_cases_matmul[], grad_cases_move[], grad_cases_elem[];

/* A shape in a static table: GRAD_F32(2, 3, 5) is f32[3,5]. */
#define GRAD_F32(dims, ...) { .n = dims, .dim = { __VA_ARGS__ }, .format = SP_F32 }
#define GRAD_I32(dims, ...) { .n = dims, .dim = { __VA_ARGS__ }, .format = SP_I32 }
#define GRAD_ABSENT { .n = -1 }
#endif
