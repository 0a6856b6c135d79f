/* graph/op/op_slice.c - a part of a matrix, and its gradient.
 *
 * slice       input x; attr i: SP_SLICE_ROW, _COL where it begins, _ROWS, _COLS how much (0: to the end)
 * slice_back  inputs acc (optional), dy; out[_ROWS, _COLS] = acc + dy at _ROW, _COL, zero elsewhere
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static bool inside(int64_t at, int64_t n, int64_t of) { return at >= 0 && n > 0 && at <= of && n <= of - at; }

static enum sp_status slice_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t *i = n->attr.i, rows = sp_type_rows(&in[0]), cols = sp_type_cols(&in[0]);
    char buf[80];
    i[SP_SLICE_ROWS] = i[SP_SLICE_ROWS] ? i[SP_SLICE_ROWS] : rows - i[SP_SLICE_ROW];
    i[SP_SLICE_COLS] = i[SP_SLICE_COLS] ? i[SP_SLICE_COLS] : cols - i[SP_SLICE_COL];
    if (!inside(i[SP_SLICE_ROW], i[SP_SLICE_ROWS], rows) || !inside(i[SP_SLICE_COL], i[SP_SLICE_COLS], cols))
        return sp_fail(err, SP_SHAPE, "slice: rows %lld+%lld and columns %lld+%lld of %s", (long long)i[SP_SLICE_ROW],
                       (long long)i[SP_SLICE_ROWS], (long long)i[SP_SLICE_COL], (long long)i[SP_SLICE_COLS],
                       sp_type_text(&in[0], buf, sizeof buf));
    enum sp_format f = n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[0].format;
    if (sp_formats[f].block > 1 || sp_formats[in[0].format].block > 1 || (f == SP_I32) != (in[0].format == SP_I32))
        return sp_fail(err, SP_UNSUPPORTED, "slice: from %s to %s", sp_formats[in[0].format].name, sp_formats[f].name);
    n->out[0] = SP_TYPE(f, i[SP_SLICE_ROWS], i[SP_SLICE_COLS]);
    return SP_OK;
}

static void slice_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_type *x = sp_graph_type(g, g->node[node].in[0]);
    struct sp_attr attr = { .format = -1 };
    if (!sp_is(dout[0]))
        return;
    attr.i[SP_SLICE_ROW] = g->node[node].attr.i[SP_SLICE_ROW], attr.i[SP_SLICE_ROWS] = sp_type_rows(x);
    attr.i[SP_SLICE_COL] = g->node[node].attr.i[SP_SLICE_COL], attr.i[SP_SLICE_COLS] = sp_type_cols(x);
    din[0] = SP_ADD(g, &sp_op_slice_back, NULL, &attr, SP_NONE, dout[0]);
}

static void slice_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->bytes_read += (double)sp_format_bytes(in[0].format, sp_type_elements(&n->out[0]));
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void slice_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_copy_args *a = args;
    a->lds = sp_type_cols(&in[0]);
    a->src_at = n->attr.i[SP_SLICE_ROW] * a->lds + n->attr.i[SP_SLICE_COL];
    a->rows = n->attr.i[SP_SLICE_ROWS];
    a->cols = a->ldd = n->attr.i[SP_SLICE_COLS];
    a->src_format = (int32_t)in[0].format, a->dst_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_slice = {
    .name = "slice", .help = "rows and columns of a matrix", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .shape = slice_shape, .grad = slice_grad, .count = slice_count, .kernel = &sp_kernel_copy, .args = slice_args,
};

static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    const int64_t *i = n->attr.i;
    char dy[80], acc[80];
    if (in[1].n < 1 || !inside(i[SP_SLICE_ROW], sp_type_rows(&in[1]), i[SP_SLICE_ROWS]) ||
        !inside(i[SP_SLICE_COL], sp_type_cols(&in[1]), i[SP_SLICE_COLS]))
        return sp_fail(err, SP_SHAPE, "slice_back: %s at row %lld, column %lld of [%lld,%lld]",
                       in[1].n < 0 ? "nothing" : sp_type_text(&in[1], dy, sizeof dy), (long long)i[SP_SLICE_ROW],
                       (long long)i[SP_SLICE_COL], (long long)i[SP_SLICE_ROWS], (long long)i[SP_SLICE_COLS]);
    n->out[0] = SP_TYPE(n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[1].format, i[SP_SLICE_ROWS], i[SP_SLICE_COLS]);
    if (in[0].n >= 0 && (sp_type_rows(&in[0]) != i[SP_SLICE_ROWS] || sp_type_cols(&in[0]) != i[SP_SLICE_COLS]))
        return sp_fail(err, SP_SHAPE, "slice_back: %s cannot collect [%lld,%lld]", sp_type_text(&in[0], acc, sizeof acc),
                       (long long)i[SP_SLICE_ROWS], (long long)i[SP_SLICE_COLS]);
    if (in[0].n >= 0)
        n->out[0] = in[0];
    return SP_OK;
}

static void back_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node *n = &g->node[node];
    const struct sp_type *dy = sp_graph_type(g, n->in[1]);
    struct sp_attr attr = n->attr;
    attr.format = (int)dy->format;
    attr.i[SP_SLICE_ROWS] = sp_type_rows(dy), attr.i[SP_SLICE_COLS] = sp_type_cols(dy);
    if (!sp_is(dout[0]))
        return;
    din[0] = dout[0];
    din[1] = sp_graph_add(g, &sp_op_slice, NULL, 1, dout, &attr);
}

static void back_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->bytes_read += (double)sp_type_bytes(&in[1]) * (in[0].n >= 0 ? 2 : 1);
    c->bytes_written += (double)(in[0].n >= 0 ? sp_type_bytes(&in[1]) : sp_type_bytes(&n->out[0]));
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_put_args *a = args;
    a->dst_rows = sp_type_rows(&n->out[0]), a->dst_cols = sp_type_cols(&n->out[0]);
    a->rows = sp_type_rows(&in[1]), a->cols = sp_type_cols(&in[1]);
    a->row = n->attr.i[SP_SLICE_ROW], a->col = n->attr.i[SP_SLICE_COL], a->add = 1;
    a->src_format = (int32_t)in[1].format, a->dst_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_slice_back = {
    .name = "slice_back", .help = "a matrix that is zero but for a part", .n_in_min = 0, .n_in_max = 2, .n_out = 1,
    .shape = back_shape, .grad = back_grad, .count = back_count, .kernel = &sp_kernel_put, .args = back_args,
    .alias = { 1 },
};
