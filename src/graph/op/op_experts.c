/* graph/op/op_experts.c - a mixture of experts (Shazeer et al. 2017): which rows go to
 * which experts, the products of all experts of a layer, and their weighted sum.
 *
 * route           inputs logits f32 [m, experts], bias of the choice [experts] or none; attr.i[0]: experts a row, k
 *                 outputs weights f32 [m, k] and index i32 [m, k]
 * expert_matmul   inputs x [m, c], or [m k, c] with a row a choice, w [experts, n, c], index, bias [experts, n] or none;
 *                 output [m k, n] (attr.format, by default f32); attr.i[0]: y = x w instead of x w', for the way back
 * expert_outer    inputs dy [m k, n], x, index, accumulators of dw and dbias or none; outputs dw [experts, n, c], dbias
 * expert_combine  inputs y [m k, n], weights [m, k] or none (1), onto [m, n] or none; attr.i[0]: k; output f32 [m, n]
 *
 * 256 experts are one node, so that a plan takes milliseconds.  Counted only: no kernel runs them.  The experts'
 * weights that m rows read are those at least one row chose, of choices that fall evenly.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "op.h"

/* ---- route ---- */

static enum sp_status route_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t k = n->attr.i[0];
    TRY(op_want(n, in[0].n == 2 && in[0].format == SP_F32 && k >= 1 && k <= sp_type_cols(&in[0]), "f32 logits of at least as many experts as are chosen", &in[0], err));
    n->out[0] = SP_TYPE(SP_F32, sp_type_rows(&in[0]), k);
    n->out[1] = SP_TYPE(SP_I32, sp_type_rows(&in[0]), k);
    return SP_OK;
}

static void route_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    if (sp_is(dout[0]))
        din[0] = SP_ADD(g, &sp_op_route_back, NULL, NULL, dout[0], ((sp_ref){ node, 0 }), ((sp_ref){ node, 1 }), g->node[node].in[0]);
}

static void route_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_other += 5 * (double)sp_type_elements(&in[0]);
    op_count_bytes(n, in, c);
}

const struct sp_op sp_op_route = {
    .name = "route", .help = "the experts of each row and their weights; counted only", .n_in_min = 1, .n_in_max = 2, .n_out = 2,
    .shape = route_shape, .grad = route_grad, .count = route_count, .plan_only = true,
};

static enum sp_status route_back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = in[3];
    return op_want(n, sp_type_elements(&in[0]) == sp_type_elements(&in[1]), "a slope for every weight", &in[0], err);
}

const struct sp_op sp_op_route_back = {
    .name = "route_back", .help = "slopes of the logits; counted only", .n_in_min = 4, .n_in_max = 4, .n_out = 1, .shape = route_back_shape,
    .count = route_count, .plan_only = true,
};

/* ---- the products ---- */

enum { BACK };

static double touched(const struct sp_type *w, const struct sp_type *index)
{
    double all = (double)w->dim[0], k = (double)sp_type_cols(index), m = (double)sp_type_rows(index);
    return k < all ? all * (1 - pow(1 - k / all, m)) : all;
}

static enum sp_status expert_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    bool back = n->attr.i[BACK] != 0;
    int64_t rows = sp_type_rows(&in[0]), choices = sp_type_elements(&in[2]), from = back ? in[1].dim[1] : in[1].dim[2];
    TRY(op_want(n, in[1].n == 3 && from == sp_type_cols(&in[0]), "[experts, n, c] weights for rows of c", &in[1], err));
    TRY(op_want(n, in[2].n == 2 && in[2].format == SP_I32 && (rows == choices || (!back && rows == sp_type_rows(&in[2]))),
                "the experts of every row", &in[2], err));
    TRY(op_want(n, in[3].n < 0 || sp_type_elements(&in[3]) == in[1].dim[0] * in[1].dim[1], "a bias an expert", &in[3], err));
    n->out[0] = SP_TYPE(op_format(n, SP_F32), choices, back ? in[1].dim[2] : in[1].dim[1]);
    return SP_OK;
}

static void expert_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    const struct sp_type x = *sp_graph_type(g, n.in[0]), index = *sp_graph_type(g, n.in[2]);
    bool shared = sp_type_rows(&x) != sp_type_elements(&index);
    if (!sp_is(dout[0]))
        return;
    if (sp_graph_needs_grad(g, n.in[0])) {
        din[0] = SP_ADD(g, &sp_op_expert_matmul, NULL, (&(struct sp_attr){ .i = { 1 }, .format = (int)x.format }), dout[0], n.in[1], n.in[2]);
        if (shared)
            din[0] = SP_ADD(g, &sp_op_expert_combine, NULL, SP_ATTR(.i = { sp_type_cols(&index) }), din[0]);
    }
    bool bias = n.n_in > 3 && sp_is(n.in[3]);
    if (!sp_graph_needs_grad(g, n.in[1]) && !(bias && sp_graph_needs_grad(g, n.in[3])))
        return;
    din[1] = SP_ADD(g, &sp_op_expert_outer, NULL, SP_ATTR(.i = { sp_graph_type(g, n.in[1])->dim[0] }), dout[0], n.in[0], n.in[2]);
    if (bias)
        din[3] = (sp_ref){ din[1].node, 1 };
}

static void expert_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double m = (double)sp_type_elements(&in[2]), share = touched(&in[1], &in[2]) / (double)in[1].dim[0];
    c->flops_matmul += 2 * m * (double)in[1].dim[1] * (double)in[1].dim[2];
    c->bytes_read += (double)sp_type_bytes(&in[0]) + (double)sp_type_bytes(&in[2]) + share * (double)sp_type_bytes(&in[1]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

const struct sp_op sp_op_expert_matmul = {
    .name = "expert_matmul", .help = "each row times the matrices of its experts; counted only", .n_in_min = 3, .n_in_max = 4, .n_out = 1,
    .shape = expert_shape, .grad = expert_grad, .count = expert_count, .plan_only = true,
};

/* attr.i[0]: experts */
static enum sp_status outer_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(op_want(n, sp_type_rows(&in[0]) == sp_type_elements(&in[2]), "a row a choice", &in[0], err));
    n->out[0] = SP_TYPE(SP_F32, n->attr.i[0], sp_type_cols(&in[0]), sp_type_cols(&in[1]));
    n->out[1] = SP_TYPE(SP_F32, n->attr.i[0], sp_type_cols(&in[0]));
    return SP_OK;
}

/* Only the experts that some row chose are read and written. */
static void outer_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double m = (double)sp_type_elements(&in[2]), share = touched(&n->out[0], &in[2]) / (double)n->out[0].dim[0];
    c->flops_matmul += 2 * m * (double)n->out[0].dim[1] * (double)n->out[0].dim[2];
    c->bytes_read += (double)sp_type_bytes(&in[0]) + (double)sp_type_bytes(&in[1]) + (in[3].n < 0 ? 0 : share * (double)sp_type_bytes(&in[3]));
    c->bytes_written += share * (double)sp_type_bytes(&n->out[0]);
}

const struct sp_op sp_op_expert_outer = {
    .name = "expert_outer", .help = "slopes of the experts' matrices; counted only", .n_in_min = 3, .n_in_max = 5, .n_out = 2,
    .shape = outer_shape, .count = outer_count, .alias = { 4, 5 }, .optional_out = 2, .plan_only = true,
};

/* ---- the sum ---- */

static enum sp_status combine_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t k = n->attr.i[0] = n->attr.i[0] ? n->attr.i[0] : 1, rows = sp_type_rows(&in[0]);
    TRY(op_want(n, k > 0 && rows % k == 0, "k rows for each of the sum's", &in[0], err));
    TRY(op_want(n, in[1].n < 0 || sp_type_elements(&in[1]) == rows, "a weight a row", &in[1], err));
    n->out[0] = SP_TYPE(op_format(n, SP_F32), rows / k, sp_type_cols(&in[0]));
    return op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == sp_type_elements(&n->out[0]), "an accumulator of its result's size", &in[2], err);
}

static void combine_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    sp_ref in[3] = { dout[0], n.in[0], n.n_in > 1 ? n.in[1] : SP_NONE };
    if (!sp_is(dout[0]))
        return;
    if (sp_graph_needs_grad(g, n.in[0]) || sp_graph_needs_grad(g, in[2])) {
        din[0] = sp_graph_add(g, &sp_op_expert_combine_back, NULL, 3, in, SP_ATTR(.i = { n.attr.i[0] }));
        if (sp_is(in[2]))
            din[1] = (sp_ref){ din[0].node, 1 };
    }
    if (n.n_in > 2 && sp_is(n.in[2]))
        din[2] = dout[0];
}

static void combine_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_other += 2 * (double)sp_type_elements(&in[0]);
    op_count_bytes(n, in, c);
}

const struct sp_op sp_op_expert_combine = {
    .name = "expert_combine", .help = "weighted sum of what a row's experts say; counted only", .n_in_min = 1, .n_in_max = 3, .n_out = 1,
    .shape = combine_shape, .grad = combine_grad, .count = combine_count, .alias = { 3 }, .plan_only = true,
};

static enum sp_status combine_back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    (void)err;
    n->out[0] = in[1];
    n->out[1] = in[2].n < 0 ? SP_TYPE(SP_F32, 1) : in[2];
    return SP_OK;
}

const struct sp_op sp_op_expert_combine_back = {
    .name = "expert_combine_back", .help = "slopes of the sum; counted only", .n_in_min = 2, .n_in_max = 3, .n_out = 2,
    .shape = combine_back_shape, .count = combine_count, .optional_out = 2, .plan_only = true,
};
