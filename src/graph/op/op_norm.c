/* graph/op/op_norm.c - RMS and layer normalisation of rows, and their slopes.
 *
 * Forward: inputs x [.., n] f32, gain [n], bias [n] (layernorm, or none); outputs y and
 * stat [m,2]; attr.f[0]: eps; attr.format: of y, by default f32.
 * Back: inputs dy, x, gain, stat, and accumulators for dx, dgain, dbias or none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static bool is_layer(const struct sp_op *op)
{
    return op == &sp_op_layernorm || op == &sp_op_layernorm_back;
}

static enum sp_status norm_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(op_want(n, in[0].format == SP_F32 && in[0].n >= 1, "f32 rows", &in[0], err));
    TRY(op_want(n, sp_type_elements(&in[1]) == sp_type_cols(&in[0]), "a gain as wide as the rows", &in[1], err));
    TRY(op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == sp_type_cols(&in[0]), "a bias as wide as the rows", &in[2], err));
    n->out[0] = in[0];
    n->out[0].format = op_format(n, SP_F32);
    n->out[1] = SP_TYPE(SP_F32, sp_type_rows(&in[0]), 2);
    return SP_OK;
}

static void norm_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    const struct sp_op *op = is_layer(n.op) ? &sp_op_layernorm_back : &sp_op_rmsnorm_back;
    din[0] = SP_ADD(g, op, NULL, NULL, dout[0], n.in[0], n.in[1], ((sp_ref){ node, 1 }));
    if (sp_graph_needs_grad(g, n.in[1]))
        din[1] = (sp_ref){ din[0].node, 1 };
    if (n.n_in > 2 && sp_graph_needs_grad(g, n.in[2]))
        din[2] = (sp_ref){ din[0].node, 2 };
}

static void norm_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, is_layer(n->op) ? 6 : 4);
}

static void norm_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_norm_args *)args = (struct sp_norm_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]), .eps = (float)n->attr.f[0],
                                                          .layer = is_layer(n->op), .y_format = n->out[0].format };
}

static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t m = sp_type_rows(&in[1]), c = sp_type_cols(&in[1]);
    n->out[0] = in[1];
    n->out[1] = n->out[2] = SP_TYPE(SP_F32, c);
    n->work_bytes = (m + SP_NORM_ROWS - 1) / SP_NORM_ROWS * 2 * c * 4;
    return op_want(n, sp_type_elements(&in[0]) == m * c, "dy of x's size", &in[0], err);
}

static void back_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 11);
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_norm_back_args *)args = (struct sp_norm_back_args){ .m = sp_type_rows(&in[1]), .n = sp_type_cols(&in[1]),
                                                                    .layer = is_layer(n->op), .dy_format = in[0].format };
}

const struct sp_op sp_op_rmsnorm = {
    .name = "rmsnorm", .help = "rows over their root mean square, times a gain", .n_in_min = 2, .n_in_max = 2, .n_out = 2,
    .shape = norm_shape, .grad = norm_grad, .count = norm_count, .kernel = &sp_kernel_norm, .args = norm_args, .optional_out = 2, .cheap = true,
};
const struct sp_op sp_op_layernorm = {
    .name = "layernorm", .help = "rows to mean 0 and variance 1, times a gain, plus a bias", .n_in_min = 2, .n_in_max = 3, .n_out = 2,
    .shape = norm_shape, .grad = norm_grad, .count = norm_count, .kernel = &sp_kernel_norm, .args = norm_args, .optional_out = 2, .cheap = true,
};
const struct sp_op sp_op_rmsnorm_back = {
    .name = "rmsnorm_back", .help = "slopes of rmsnorm", .n_in_min = 4, .n_in_max = 7, .n_out = 3, .shape = back_shape, .count = back_count,
    .kernel = &sp_kernel_norm_back, .args = back_args, .alias = { 5, 6, 7 }, .optional_out = 7,
};
const struct sp_op sp_op_layernorm_back = {
    .name = "layernorm_back", .help = "slopes of layernorm", .n_in_min = 4, .n_in_max = 7, .n_out = 3, .shape = back_shape,
    .count = back_count, .kernel = &sp_kernel_norm_back, .args = back_args, .alias = { 5, 6, 7 }, .optional_out = 7,
};
