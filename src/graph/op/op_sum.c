/* graph/op/op_sum.c - fill, and sums: over rows, over everything, of squares.
 *
 * fill: attr.i[0]: number of dimensions, i[1..]: they; attr.f[0]: the value; none: a scalar.
 * sum_rows: x [.., n] to [n].  sum: attr.f[0]: scale (0 stands for 1).  sumsq likewise.
 * All take an accumulator as last input or none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

/* ---- fill ---- */

static enum sp_status fill_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    (void)in;
    if (n->attr.i[0] < 0 || n->attr.i[0] > SP_DIMS_MAX)
        return sp_fail(err, SP_SHAPE, "fill: %lld dimensions", (long long)n->attr.i[0]);
    n->out[0] = n->attr.i[0] ? sp_type_of(SP_F32, (int)n->attr.i[0], n->attr.i + 1) : op_scalar();
    return SP_OK;
}

static void plain_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_bytes(n, in, c);
}

static void fill_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    (void)in;
    *(struct sp_fill_args *)args = (struct sp_fill_args){ .n = sp_type_elements(&n->out[0]), .value = (float)n->attr.f[0] };
}

const struct sp_op sp_op_fill = {
    .name = "fill", .help = "one value everywhere", .n_in_min = 0, .n_in_max = 0, .n_out = 1, .shape = fill_shape, .count = plain_count,
    .kernel = &sp_kernel_fill, .args = fill_args,
};

/* ---- sums ---- */

static sp_ref filled_like(struct sp_graph *g, sp_ref x, double value)
{
    const struct sp_type t = *sp_graph_type(g, x);
    struct sp_attr a = { .i = { t.n }, .f = { value }, .format = -1 };
    for (int i = 0; i < t.n; i++)
        a.i[1 + i] = t.dim[i];
    return sp_graph_add(g, &sp_op_fill, NULL, 0, NULL, &a);
}

static void sum_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_other += (double)sp_type_elements(&in[0]) * (n->op == &sp_op_sumsq ? 2 : 1);
    op_count_bytes(n, in, c);
}

static enum sp_status rows_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = SP_TYPE(SP_F32, sp_type_cols(&in[0]));
    return op_want(n, op_is_float(&in[0]) && in[0].n >= 1, "rows", &in[0], err);
}

static void rows_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (sp_graph_needs_grad(g, n.in[0]))
        din[0] = SP_ADD(g, &sp_op_add, NULL, NULL, filled_like(g, n.in[0], 0), dout[0]);
    if (n.n_in > 1 && sp_graph_needs_grad(g, n.in[1]))
        din[1] = dout[0];
}

static void rows_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    (void)n;
    *(struct sp_sum_rows_args *)args = (struct sp_sum_rows_args){ .m = sp_type_rows(&in[0]), .n = sp_type_cols(&in[0]), .x_format = in[0].format };
}

static enum sp_status sum_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = op_scalar();
    n->work_bytes = (sp_type_elements(&in[0]) + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK * 8;
    return op_want(n, op_is_float(&in[0]), "floating-point numbers", &in[0], err);
}

static void sum_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    bool square = n.op == &sp_op_sumsq;
    double by = op_or_one(n.attr.f[0]);
    if (sp_graph_needs_grad(g, n.in[0])) {
        sp_ref in[3] = { square ? n.in[0] : filled_like(g, n.in[0], by), SP_NONE, dout[0] };
        din[0] = sp_graph_add(g, &sp_op_scale, NULL, 3, in, SP_ATTR(.f = { square ? 2 * by : 1 }));
    }
    if (n.n_in > 1 && sp_graph_needs_grad(g, n.in[1]))
        din[1] = dout[0];
}

static void sum_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_sum_args *)args = (struct sp_sum_args){ .n = sp_type_elements(&in[0]), .scale = (float)op_or_one(n->attr.f[0]),
                                                        .kind = n->op == &sp_op_sumsq, .x_format = in[0].format };
}

const struct sp_op sp_op_sum_rows = {
    .name = "sum_rows", .help = "sum over rows", .n_in_min = 1, .n_in_max = 2, .n_out = 1, .shape = rows_shape, .grad = rows_grad,
    .count = sum_count, .kernel = &sp_kernel_sum_rows, .args = rows_args, .alias = { 2 },
};
const struct sp_op sp_op_sum = {
    .name = "sum", .help = "sum of everything", .n_in_min = 1, .n_in_max = 2, .n_out = 1, .shape = sum_shape, .grad = sum_grad,
    .count = sum_count, .kernel = &sp_kernel_sum, .args = sum_args, .alias = { 2 },
};
const struct sp_op sp_op_sumsq = {
    .name = "sumsq", .help = "sum of squares", .n_in_min = 1, .n_in_max = 2, .n_out = 1, .shape = sum_shape, .grad = sum_grad,
    .count = sum_count, .kernel = &sp_kernel_sum, .args = sum_args, .alias = { 2 },
};
