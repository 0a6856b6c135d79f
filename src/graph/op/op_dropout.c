/* graph/op/op_dropout.c - dropout (Srivastava et al. 2014) by counter-based numbers.
 *
 * Inputs x, counter i32 [1]; attr.i[0]: key, attr.f[0]: the share dropped.  The
 * gradient, and a recomputed copy, draw the same numbers again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status dropout_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    TRY(op_want(n, op_is_float(&in[0]), "floating-point numbers", &in[0], err));
    return op_want(n, in[1].format == SP_I32 && sp_type_elements(&in[1]) == 1, "one i32 counter", &in[1], err);
}

static void dropout_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    din[0] = SP_ADD(g, &sp_op_dropout, NULL, (&(struct sp_attr){ .i = { n.attr.i[0] }, .f = { n.attr.f[0] }, .format = -1 }), dout[0], n.in[1]);
}

static void dropout_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 2);
}

static void dropout_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_dropout_args *)args = (struct sp_dropout_args){ .n = sp_type_elements(&in[0]), .key = (uint64_t)n->attr.i[0],
        .p = (float)n->attr.f[0], .x_format = in[0].format, .y_format = n->out[0].format };
}

const struct sp_op sp_op_dropout = {
    .name = "dropout", .help = "zeros by chance, the rest scaled up", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = dropout_shape,
    .grad = dropout_grad, .count = dropout_count, .kernel = &sp_kernel_dropout, .args = dropout_args, .alias = { 1 },
};
