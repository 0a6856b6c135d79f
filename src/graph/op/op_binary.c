/* graph/op/op_binary.c - add, mul, scale.
 *
 * add: y = f[0] a + f[1] b (0 stands for 1); mul: y = a b.  b may be a suffix of a's
 * shape and is repeated.  scale: y = f[0] x s with the scalar s as input 2, input 1
 * stays empty.  attr.format: of y; by default f32 if an operand is, else that of a.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status suffix_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    char a[80], b[80];
    int64_t na = sp_type_elements(&in[0]), nb = sp_type_elements(&in[1]);
    bool fits = nb > 0 && in[1].n <= in[0].n;
    for (int i = 1; fits && i <= in[1].n; i++)
        fits = in[0].dim[in[0].n - i] == in[1].dim[in[1].n - i];
    if (!fits && na != nb)
        return sp_fail(err, SP_SHAPE, "%s: %s and %s do not fit", n->op->name, sp_type_text(&in[0], a, sizeof a), sp_type_text(&in[1], b, sizeof b));
    n->out[0] = in[0];
    n->out[0].format = op_format(n, in[1].format == SP_F32 ? SP_F32 : in[0].format);
    return SP_OK;
}

static void binary_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 1);
}

static void fill_args(const struct sp_node *n, const struct sp_type *in, void *args, int kind, double alpha, double beta)
{
    *(struct sp_binary_args *)args = (struct sp_binary_args){
        .n = sp_type_elements(&in[0]), .nb = in[1].n < 0 ? 1 : sp_type_elements(&in[1]), .alpha = (float)alpha, .beta = (float)beta,
        .kind = kind, .a_format = in[0].format, .b_format = in[1].n < 0 ? SP_F32 : in[1].format, .y_format = n->out[0].format };
}

/* Sums the repetitions of an operand as large as `like`. */
static sp_ref unrepeat(struct sp_graph *g, sp_ref d, sp_ref like)
{
    if (g->status)
        return SP_NONE;
    const struct sp_type *t = sp_graph_type(g, like);
    int64_t nb = sp_type_elements(t), n = sp_type_elements(sp_graph_type(g, d));
    if (n == nb)
        return d;
    if (sp_type_cols(sp_graph_type(g, d)) != nb)
        d = SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 2, n / nb, nb }), d);
    return SP_ADD(g, &sp_op_sum_rows, NULL, NULL, d);
}

static sp_ref times(struct sp_graph *g, sp_ref x, double by)
{
    return by >= 1 && by <= 1 ? x : SP_ADD(g, &sp_op_scale, NULL, SP_ATTR(.f = { by }), x);
}

static void add_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = times(g, dout[0], op_or_one(n.attr.f[0]));
    if (sp_graph_needs_grad(g, n.in[1]))
        din[1] = times(g, unrepeat(g, dout[0], n.in[1]), op_or_one(n.attr.f[1]));
}

static void add_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    fill_args(n, in, args, 0, op_or_one(n->attr.f[0]), op_or_one(n->attr.f[1]));
}

static void mul_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = SP_ADD(g, &sp_op_mul, NULL, NULL, dout[0], n.in[1]);
    if (sp_graph_needs_grad(g, n.in[1]))
        din[1] = unrepeat(g, SP_ADD(g, &sp_op_mul, NULL, NULL, dout[0], n.in[0]), n.in[1]);
}

static void mul_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    fill_args(n, in, args, 1, 1, 1);
}

static enum sp_status scale_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    n->out[0].format = op_format(n, in[0].format);
    return op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == 1, "a scalar to scale by", &in[2], err);
}

static void scale_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    sp_ref s = n.n_in > 2 ? n.in[2] : SP_NONE, in[3] = { dout[0], SP_NONE, s };
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = sp_graph_add(g, &sp_op_scale, NULL, sp_is(s) ? 3 : 1, in, &n.attr);
    if (sp_is(s) && sp_graph_needs_grad(g, s))
        din[2] = SP_ADD(g, &sp_op_sum, NULL, SP_ATTR(.f = { op_or_one(n.attr.f[0]) }), SP_ADD(g, &sp_op_mul, NULL, NULL, dout[0], n.in[0]));
}

static void scale_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_type one[3] = { in[0], { .n = -1 }, { .n = -1 } };
    fill_args(n, one, args, 1, op_or_one(n->attr.f[0]), 1);
}

const struct sp_op sp_op_add = {
    .name = "add", .help = "sum, the second operand repeated", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = suffix_shape,
    .grad = add_grad, .count = binary_count, .kernel = &sp_kernel_binary, .args = add_args, .alias = { 1 },
};
const struct sp_op sp_op_mul = {
    .name = "mul", .help = "product of elements, the second operand repeated", .n_in_min = 2, .n_in_max = 2, .n_out = 1,
    .shape = suffix_shape, .grad = mul_grad, .count = binary_count, .kernel = &sp_kernel_binary, .args = mul_args, .alias = { 1 },
};
const struct sp_op sp_op_scale = {
    .name = "scale", .help = "times a constant and a scalar", .n_in_min = 1, .n_in_max = 3, .n_out = 1, .shape = scale_shape,
    .grad = scale_grad, .count = binary_count, .kernel = &sp_kernel_binary, .args = scale_args, .alias = { 1 },
};
