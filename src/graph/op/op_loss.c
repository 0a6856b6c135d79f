/* graph/op/op_loss.c - softmax, cross-entropy, squared error, and a loss whose
 * gradients were made on the way.
 *
 * softmax: attr.f[0]: scale (0 stands for 1).
 * xent: inputs logits [m,n], targets i32 [m] (negative: doesn't count), weights [m] or
 * none, loss so far or none; outputs loss, dlogits (attr.format, by default that of the
 * logits), nll [m].  mse: inputs x, y, loss so far or none; attr.f[0]: scale.
 * soft: inputs logits [m,n], a teacher's logits [m,n], weights [m] or none, loss so far or none; outputs loss, dlogits,
 * divergence [m]; the teacher gets no gradient.
 * given_grad: inputs loss, x, dx, w, dw; the loss itself, with these gradients.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* ---- softmax ---- */

static enum sp_status softmax_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    return op_want(n, in[0].format == SP_F32, "f32 rows", &in[0], err);
}

static void softmax_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    din[0] = SP_ADD(g, &sp_op_softmax_back, NULL, SP_ATTR(.f = { g->node[node].attr.f[0] }), dout[0], ((sp_ref){ node, 0 }));
}

static void softmax_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 5);
}

static void softmax_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_softmax_args *)args = (struct sp_softmax_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]),
                                                                .scale = (float)op_or_one(n->attr.f[0]) };
}

static enum sp_status softmax_back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[1];
    return op_want(n, sp_type_equal(&in[0], &in[1]), "dy of y's type", &in[0], err);
}

static void softmax_back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_softmax_back_args *)args = (struct sp_softmax_back_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]),
                                                                          .scale = (float)op_or_one(n->attr.f[0]) };
}

const struct sp_op sp_op_softmax = {
    .name = "softmax", .help = "exponentials of rows over their sum", .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = softmax_shape,
    .grad = softmax_grad, .count = softmax_count, .kernel = &sp_kernel_softmax, .args = softmax_args,
};
const struct sp_op sp_op_softmax_back = {
    .name = "softmax_back", .help = "slope of softmax", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = softmax_back_shape,
    .count = softmax_count, .kernel = &sp_kernel_softmax_back, .args = softmax_back_args,
};

/* ---- cross-entropy ---- */

static enum sp_status xent_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t m = sp_type_rows(&in[0]);
    TRY(op_want(n, op_is_float(&in[0]) && in[0].n >= 1 && sp_type_cols(&in[0]) > 0, "rows of logits", &in[0], err));
    TRY(op_want(n, in[1].format == SP_I32 && sp_type_elements(&in[1]) == m, "an i32 target a row", &in[1], err));
    TRY(op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == m, "a weight a row", &in[2], err));
    n->out[0] = op_scalar();
    n->out[1] = in[0];
    n->out[1].format = op_format(n, in[0].format);
    n->out[2] = SP_TYPE(SP_F32, m);
    return SP_OK;
}

static void xent_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (!sp_is(dout[0]))
        return;
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = op_times(g, (sp_ref){ node, 1 }, dout[0]);
    if (n.n_in > 3 && sp_graph_needs_grad(g, n.in[3]))
        din[3] = dout[0];
}

static void xent_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_other += 5 * (double)sp_type_elements(&in[0]);
    op_count_bytes(n, in, c);
}

static void xent_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_xent_args *)args = (struct sp_xent_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]), .x_format = in[0].format,
                                                          .dx_format = n->out[1].format };
}

const struct sp_op sp_op_xent = {
    .name = "xent", .help = "cross-entropy of logits and targets, with its slope", .n_in_min = 2, .n_in_max = 4, .n_out = 3,
    .shape = xent_shape, .grad = xent_grad, .count = xent_count, .kernel = &sp_kernel_xent, .args = xent_args, .alias = { 4, 1 },
    .optional_out = 2,
};

/* ---- divergence from a teacher ---- */

static enum sp_status soft_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t m = sp_type_rows(&in[0]);
    TRY(op_want(n, in[0].format == SP_F32 && in[0].n >= 1 && sp_type_cols(&in[0]) > 0, "f32 rows of logits", &in[0], err));
    TRY(op_want(n, sp_type_equal(&in[0], &in[1]), "a teacher's logits of the same shape", &in[1], err));
    TRY(op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == m, "a weight a row", &in[2], err));
    n->out[0] = op_scalar();
    n->out[1] = in[0];
    n->out[2] = SP_TYPE(SP_F32, m);
    return SP_OK;
}

static void soft_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    (void)n;
    *(struct sp_soft_args *)args = (struct sp_soft_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]) };
}

const struct sp_op sp_op_soft = {
    .name = "soft", .help = "divergence from a teacher's logits, with its slope", .n_in_min = 2, .n_in_max = 4, .n_out = 3,
    .shape = soft_shape, .grad = xent_grad, .count = xent_count, .kernel = &sp_kernel_soft, .args = soft_args, .alias = { 4, 1 },
    .optional_out = 2,
};

/* ---- squared error ---- */

static enum sp_status mse_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = op_scalar();
    n->out[1] = in[0];
    n->work_bytes = (sp_type_elements(&in[0]) + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK * 8;
    return op_want(n, sp_type_equal(&in[0], &in[1]) && in[0].format == SP_F32, "two f32 operands of one shape", &in[1], err);
}

static void mse_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    sp_ref d = op_times(g, (sp_ref){ node, 1 }, dout[0]);
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = d;
    if (sp_graph_needs_grad(g, n.in[1]))
        din[1] = SP_ADD(g, &sp_op_neg, NULL, NULL, d);
    if (n.n_in > 2 && sp_graph_needs_grad(g, n.in[2]))
        din[2] = dout[0];
}

static void mse_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_other += 4 * (double)sp_type_elements(&in[0]);
    op_count_bytes(n, in, c);
}

static void mse_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_mse_args *)args = (struct sp_mse_args){ .n = sp_type_elements(&in[0]), .scale = (float)op_or_one(n->attr.f[0]) };
}

const struct sp_op sp_op_mse = {
    .name = "mse", .help = "sum of squared differences, with its slope", .n_in_min = 2, .n_in_max = 3, .n_out = 2, .shape = mse_shape,
    .grad = mse_grad, .count = mse_count, .kernel = &sp_kernel_mse, .args = mse_args, .alias = { 3 }, .optional_out = 2,
};

/* ---- gradients made on the way ---- */

static enum sp_status given_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    for (int i = 1; i < 5; i += 2)
        TRY(op_want(n, sp_type_elements(&in[i]) == sp_type_elements(&in[i + 1]), "a gradient of its operand's size", &in[i + 1], err));
    return op_want(n, sp_type_elements(&in[0]) == 1, "a scalar loss", &in[0], err);
}

static void given_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    for (int i = 1; i + 1 < n.n_in; i += 2)
        if (sp_is(n.in[i]) && sp_graph_needs_grad(g, n.in[i]))
            din[i] = op_times(g, n.in[i + 1], dout[0]);
}

const struct sp_op sp_op_given_grad = {
    .name = "given_grad", .help = "a loss whose gradients were made on the way", .n_in_min = 1, .n_in_max = 5, .n_out = 1,
    .shape = given_shape, .grad = given_grad, .view = true,
};
