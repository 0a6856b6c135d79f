/* graph/op/op_unary.c - functions of one number, a row each, and their slope.
 *
 * attr.format: of y; by default that of x.  unary_back: inputs dy, x; attr.i[0]: the
 * function (enum sp_unary).
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

#define UNARY(X)                                                      \
    X(relu, SP_RELU, "max(x, 0)")                                     \
    X(gelu, SP_GELU, "Gaussian error linear unit, tanh form")         \
    X(gelu_erf, SP_GELU_ERF, "Gaussian error linear unit, exact")     \
    X(silu, SP_SILU, "x sigmoid(x)")                                  \
    X(tanh, SP_TANH, "hyperbolic tangent")                            \
    X(sigmoid, SP_SIGMOID, "1 / (1 + exp(-x))")                       \
    X(exp, SP_EXP, "exponential")                                     \
    X(log, SP_LOG, "natural logarithm")                               \
    X(square, SP_SQUARE, "x x")                                       \
    X(sqrt, SP_SQRT, "square root")                                   \
    X(neg, SP_NEG, "-x")

static enum sp_status unary_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[0];
    n->out[0].format = op_format(n, in[0].format);
    return op_want(n, op_is_float(&in[0]), "floating-point numbers", &in[0], err);
}

static int kind_of(const struct sp_op *op);

static void unary_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    din[0] = SP_ADD(g, &sp_op_unary_back, NULL,
                    (&(struct sp_attr){ .i = { kind_of(n.op) }, .format = (int)sp_graph_type(g, n.in[0])->format }), dout[0], n.in[0]);
}

static void unary_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 1);
}

static void unary_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_unary_args *)args = (struct sp_unary_args){ .n = sp_type_elements(&in[0]), .kind = kind_of(n->op),
                                                            .x_format = in[0].format, .y_format = n->out[0].format };
}

#define DEFINE(op_name, kind_, what)                                                                     \
    const struct sp_op sp_op_##op_name = {                                                               \
        .name = #op_name, .help = what, .n_in_min = 1, .n_in_max = 1, .n_out = 1, .shape = unary_shape,  \
        .grad = unary_grad, .count = unary_count, .kernel = &sp_kernel_unary, .args = unary_args, .alias = { 1 }, .cheap = true, \
    };
UNARY(DEFINE)

static int kind_of(const struct sp_op *op)
{
    static const struct { const struct sp_op *op; int kind; } rows[] = {
#define ROW(op_name, kind_, what) { &sp_op_##op_name, kind_ },
        UNARY(ROW)
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++)
        if (rows[i].op == op)
            return rows[i].kind;
    return SP_NEG;
}

/* ---- slope ---- */

static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[1];
    n->out[0].format = op_format(n, in[1].format);
    return op_want(n, sp_type_elements(&in[0]) == sp_type_elements(&in[1]), "two operands of one size", &in[0], err);
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_unary_back_args *)args = (struct sp_unary_back_args){ .n = sp_type_elements(&in[1]), .kind = (int32_t)n->attr.i[0],
        .dy_format = in[0].format, .x_format = in[1].format, .dx_format = n->out[0].format };
}

const struct sp_op sp_op_unary_back = {
    .name = "unary_back", .help = "dy times the slope at x", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = back_shape,
    .count = unary_count, .kernel = &sp_kernel_unary_back, .args = back_args, .alias = { 1 },
};
