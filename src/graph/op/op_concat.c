/* graph/op/op_concat.c - up to 8 matrices side by side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status concat_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t cols = 0;
    char a[80], b[80];
    for (int i = 0; i < n->n_in; i++) {
        if (in[i].n < 0)
            return sp_fail(err, SP_SHAPE, "concat: input %d is left out", i);
        if (sp_type_rows(&in[i]) != sp_type_rows(&in[0]) || in[i].format != in[0].format)
            return sp_fail(err, SP_SHAPE, "concat: %s beside %s", sp_type_text(&in[i], b, sizeof b),
                           sp_type_text(&in[0], a, sizeof a));
        cols += sp_type_cols(&in[i]);
    }
    if (sp_formats[in[0].format].block > 1)
        return sp_fail(err, SP_UNSUPPORTED, "concat: %s is a format in blocks", sp_formats[in[0].format].name);
    n->out[0] = SP_TYPE(n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[0].format, sp_type_rows(&in[0]), cols);
    return SP_OK;
}

static void concat_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    int64_t col = 0;
    for (int i = 0; sp_is(dout[0]) && i < g->node[node].n_in; i++) {
        sp_ref x = g->node[node].in[i];
        const struct sp_type *t = sp_graph_type(g, x);
        struct sp_attr attr = { .format = (int)t->format };
        attr.i[SP_SLICE_COL] = col, attr.i[SP_SLICE_COLS] = sp_type_cols(t);
        col += sp_type_cols(t);
        if (sp_graph_needs_grad(g, x))
            din[i] = sp_graph_add(g, &sp_op_slice, NULL, 1, dout, &attr);
    }
}

static void concat_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    for (int i = 0; i < n->n_in; i++)
        c->bytes_read += (double)sp_type_bytes(&in[i]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void concat_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_concat_args *a = args;
    for (int i = 0; i < n->n_in; i++)
        a->cols[i] = sp_type_cols(&in[i]);
    a->rows = sp_type_rows(&in[0]);
    a->x_format = (int32_t)in[0].format, a->y_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_concat = {
    .name = "concat", .help = "matrices side by side", .n_in_min = 1, .n_in_max = 8, .n_out = 1,
    .shape = concat_shape, .grad = concat_grad, .count = concat_count, .kernel = &sp_kernel_concat, .args = concat_args,
};
