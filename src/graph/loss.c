/* graph/loss.c - the language-model loss over chunks of the logits.
 *
 * The logits of a batch are the largest tensor of a step (rows times
 * vocabulary).  They are made for some rows at a time, and since the gradient
 * of a summed loss needs nothing from later rows, each chunk's gradients are
 * made at once and its logits forgotten.  given_grad ties them to the loss.
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"
#include "ops.h"

struct head { bool soft; sp_ref x, w, targets /* soft: a teacher's logits */, weights, loss, dx, dw; enum sp_format compute; int64_t m, c, v; };

static sp_ref rows_of(struct sp_graph *g, sp_ref x, int64_t row, int64_t n)
{
    const struct sp_type *t = sp_graph_type(g, x);
    int64_t cols = t->n > 1 ? sp_type_cols(t) : 1;
    if (t->n > 1)
        return SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { row * cols, 2, n, cols }), x);
    return SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { row, 1, n }), x);
}

static sp_ref cast(struct sp_graph *g, sp_ref x, enum sp_format f)
{
    if (g->status || sp_graph_type(g, x)->format == f)
        return x;
    return SP_ADD(g, &sp_op_cast, NULL, (&(struct sp_attr){ .format = (int)f }), x);
}

static void chunk(struct sp_graph *g, struct head *h, int64_t row, int64_t n, bool whole)
{
    sp_ref x = whole ? h->x : rows_of(g, h->x, row, n);
    sp_ref logits = SP_ADD(g, &sp_op_matmul, NULL, (&(struct sp_attr){ .i = { 2 }, .format = SP_F32 }), x, h->w);
    sp_ref loss = SP_ADD(g, h->soft ? &sp_op_soft : &sp_op_xent, NULL, NULL, logits, whole ? h->targets : rows_of(g, h->targets, row, n),
                         whole ? h->weights : rows_of(g, h->weights, row, n), h->loss);
    h->loss = loss;
    if (!sp_graph_needs_grad(g, h->x) && !sp_graph_needs_grad(g, h->w))
        return;
    sp_ref d = cast(g, (sp_ref){ loss.node, 1 }, h->compute);
    g->part = SP_PART_BACKWARD;
    if (sp_graph_needs_grad(g, h->x)) {
        sp_ref dx = SP_ADD(g, &sp_op_matmul, NULL, (&(struct sp_attr){ .i = { 0 }, .format = SP_F32 }), d, h->w);
        h->dx = whole ? dx : SP_ADD(g, &sp_op_put_rows, NULL, SP_ATTR(.i = { row }), h->dx, dx);
    }
    if (sp_graph_needs_grad(g, h->w)) {
        sp_ref in[4] = { d, x, SP_NONE, h->dw };
        h->dw = sp_graph_add(g, &sp_op_matmul, NULL, sp_is(h->dw) ? 4 : 2, in, &(struct sp_attr){ .i = { 1 }, .format = SP_F32 });
    }
    g->part = SP_PART_FORWARD;
}

static sp_ref chunks(struct sp_graph *g, bool soft, sp_ref x, sp_ref w, sp_ref targets, sp_ref weights, int64_t rows, enum sp_format compute)
{
    struct head h = { .soft = soft, .x = x, .w = w, .targets = targets, .weights = weights, .loss = SP_NONE, .dx = SP_NONE, .dw = SP_NONE,
                      .compute = compute };
    if (g->status)
        return SP_NONE;
    h.m = sp_type_rows(sp_graph_type(g, x));
    h.c = sp_type_cols(sp_graph_type(g, x));
    bool whole = rows >= h.m || rows <= 0;
    if (!whole && sp_graph_needs_grad(g, x))
        h.dx = sp_graph_add(g, &sp_op_fill, NULL, 0, NULL, SP_ATTR(.i = { 2, h.m, h.c }, .f = { 0 }));
    for (int64_t row = 0; row < h.m && !g->status; row += whole ? h.m : rows)
        chunk(g, &h, row, whole ? h.m : (row + rows > h.m ? h.m - row : rows), whole);
    if (g->status || (!sp_is(h.dx) && !sp_is(h.dw)))
        return h.loss;
    sp_ref in[5] = { h.loss, h.x, h.dx, h.w, h.dw };
    if (!sp_is(h.dx))
        in[1] = in[2] = SP_NONE;
    return sp_graph_add(g, &sp_op_given_grad, NULL, sp_is(h.dw) ? 5 : 3, in, NULL);
}

sp_ref sp_graph_lm_loss(struct sp_graph *g, sp_ref x, sp_ref w, sp_ref targets, sp_ref weights, int64_t rows, enum sp_format compute)
{
    return chunks(g, false, x, w, targets, weights, rows, compute);
}

sp_ref sp_graph_soft_loss(struct sp_graph *g, sp_ref x, sp_ref w, sp_ref teacher, sp_ref weights, int64_t rows, enum sp_format compute)
{
    return chunks(g, true, x, w, teacher, weights, rows, compute);
}
