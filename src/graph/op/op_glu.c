/* graph/op/op_glu.c - gated units: y = f(gate) up (Shazeer 2020), and both slopes.
 *
 * attr.i[0]: f (SP_SILU for SwiGLU, SP_GELU for GeGLU); attr.format: of y, by default
 * that of gate.  glu_back: inputs dy, gate, up; outputs dgate, dup.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status glu_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    n->out[0].format = op_format(n, in[0].format);
    return op_want(n, sp_type_equal(&in[0], &in[1]), "gate and up of one type", &in[1], err);
}

static void glu_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    din[0] = SP_ADD(g, &sp_op_glu_back, NULL, SP_ATTR(.i = { n.attr.i[0] }), dout[0], n.in[0], n.in[1]);
    din[1] = (sp_ref){ din[0].node, 1 };
}

static void glu_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, n->n_out == 1 ? 2 : 5);
}

static void glu_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_glu_args *)args = (struct sp_glu_args){ .n = sp_type_elements(&in[0]), .kind = (int32_t)n->attr.i[0],
                                                        .x_format = in[0].format, .y_format = n->out[0].format };
}

static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = n->out[1] = in[1];
    return op_want(n, sp_type_elements(&in[0]) == sp_type_elements(&in[1]), "dy of the gate's size", &in[0], err);
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_glu_back_args *)args = (struct sp_glu_back_args){ .n = sp_type_elements(&in[1]), .kind = (int32_t)n->attr.i[0],
        .dy_format = in[0].format, .x_format = in[1].format, .dx_format = n->out[0].format };
}

const struct sp_op sp_op_glu = {
    .name = "glu", .help = "f(gate) times up", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = glu_shape, .grad = glu_grad,
    .count = glu_count, .kernel = &sp_kernel_glu, .args = glu_args, .alias = { 1 }, .cheap = true,
};
const struct sp_op sp_op_glu_back = {
    .name = "glu_back", .help = "slopes of glu for gate and up", .n_in_min = 3, .n_in_max = 3, .n_out = 2, .shape = back_shape,
    .count = glu_count, .kernel = &sp_kernel_glu_back, .args = back_args, .alias = { 2, 3 },
};
