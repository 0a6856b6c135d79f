/* graph/op/op_view.c - the same memory in another shape, or a part of it; no step.
 *
 * attr i[0]: first element; i[1]: number of dimensions (0: all elements in one); i[2..5]: the dimensions
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status view_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t from = n->attr.i[0], dims = n->attr.i[1], all = sp_type_elements(&in[0]);
    char was[80], now[80];
    if (dims < 0 || dims > SP_DIMS_MAX || from < 0 || from > all)
        return sp_fail(err, SP_SHAPE, "view: %lld dimensions from element %lld of %s", (long long)dims, (long long)from,
                       sp_type_text(&in[0], was, sizeof was));
    struct sp_type t = dims ? sp_type_of(in[0].format, (int)dims, n->attr.i + 2) : SP_TYPE(in[0].format, all - from);
    if (sp_type_elements(&t) < 0 || sp_type_elements(&t) > all - from || from % sp_formats[t.format].block)
        return sp_fail(err, SP_SHAPE, "view: %s at element %lld of %s", sp_type_text(&t, now, sizeof now), (long long)from,
                       sp_type_text(&in[0], was, sizeof was));
    n->out[0] = t;
    return SP_OK;
}

static sp_ref view_as(struct sp_graph *g, sp_ref x, const struct sp_type *t)
{
    struct sp_attr attr = { .format = -1 };
    attr.i[1] = t->n ? t->n : 1;
    attr.i[2] = 1;
    for (int i = 0; i < t->n; i++)
        attr.i[2 + i] = t->dim[i];
    return sp_graph_add(g, &sp_op_view, NULL, 1, &x, &attr);
}

static void view_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    struct sp_type x = *sp_graph_type(g, g->node[node].in[0]), y = g->node[node].out[0];
    struct sp_attr attr = { .format = -1 };
    sp_ref d = dout[0];
    if (!sp_is(d))
        return;
    if (sp_type_elements(&x) != sp_type_elements(&y)) {
        attr.i[SP_SLICE_COL] = g->node[node].attr.i[0];
        attr.i[SP_SLICE_ROWS] = 1, attr.i[SP_SLICE_COLS] = sp_type_elements(&x);
        struct sp_type flat = SP_TYPE(y.format, 1, sp_type_elements(&y));
        d = view_as(g, d, &flat);
        d = SP_ADD(g, &sp_op_slice_back, NULL, &attr, SP_NONE, d);
    }
    din[0] = view_as(g, d, &x);
}

static void view_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    (void)n, (void)in, (void)c;
}

const struct sp_op sp_op_view = {
    .name = "view", .help = "the same memory in another shape", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .shape = view_shape, .grad = view_grad, .count = view_count, .view = true,
};
