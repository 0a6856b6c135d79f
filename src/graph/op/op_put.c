/* graph/op/op_put.c - rows written into a matrix that stays where it is.
 *
 * put_rows      inputs into, src, at i32 (optional, one number); attr i: SP_SLICE_ROW, SP_SLICE_COL (at is added to ROW)
 * cache_append  inputs cache[batch*tk, c], rows[batch*t, c], past i32; attr i[0]: batch (0: 1).  Row i of sequence s
 *               goes to row s*tk + past + i; what would leave the sequence's tk rows is dropped.
 * ring_append   the same, round and round: of each sequence the last tk rows are kept.  Counted only.
 * The output is the first input, changed in place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status want_index(const struct sp_node *n, const struct sp_type *t, struct sp_err *err)
{
    char buf[80];
    if (t->n >= 0 && (t->format != SP_I32 || sp_type_elements(t) != 1))
        return sp_fail(err, SP_SHAPE, "%s: the position is %s, wanted is one i32", n->op->name, sp_type_text(t, buf, sizeof buf));
    return SP_OK;
}

static enum sp_status put_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t row = n->attr.i[SP_SLICE_ROW], col = n->attr.i[SP_SLICE_COL];
    char into[80], src[80];
    TRY(want_index(n, &in[2], err));
    if (row < 0 || col < 0 || row + sp_type_rows(&in[1]) > sp_type_rows(&in[0]) || col + sp_type_cols(&in[1]) > sp_type_cols(&in[0]))
        return sp_fail(err, SP_SHAPE, "put_rows: %s at row %lld, column %lld of %s", sp_type_text(&in[1], src, sizeof src),
                       (long long)row, (long long)col, sp_type_text(&in[0], into, sizeof into));
    n->out[0] = in[0];
    return SP_OK;
}

static void put_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node *n = &g->node[node];
    const struct sp_type *src = sp_graph_type(g, n->in[1]);
    struct sp_attr attr = n->attr;
    if ((n->n_in > 2 && sp_is(n->in[2])) || sp_graph_needs_grad(g, n->in[0])) {
        g->status = sp_fail(&g->err, SP_UNSUPPORTED, "%s: only what is put at a fixed place has a gradient", n->name);
        return;
    }
    attr.format = (int)src->format;
    attr.i[SP_SLICE_ROWS] = sp_type_rows(src), attr.i[SP_SLICE_COLS] = sp_type_cols(src);
    if (sp_is(dout[0]))
        din[1] = sp_graph_add(g, &sp_op_slice, NULL, 1, dout, &attr);
}

static void put_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->bytes_read += (double)sp_type_bytes(&in[1]);
    c->bytes_written += (double)sp_format_bytes(n->out[0].format, sp_type_elements(&in[1]));
}

static void put_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_put_args *a = args;
    a->dst_rows = sp_type_rows(&in[0]), a->dst_cols = sp_type_cols(&in[0]);
    a->rows = sp_type_rows(&in[1]), a->cols = sp_type_cols(&in[1]);
    a->row = n->attr.i[SP_SLICE_ROW], a->col = n->attr.i[SP_SLICE_COL];
    a->src_format = (int32_t)in[1].format, a->dst_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_put_rows = {
    .name = "put_rows", .help = "a matrix written into a part of another, in place", .n_in_min = 2, .n_in_max = 3, .n_out = 1,
    .shape = put_shape, .grad = put_grad, .count = put_count, .kernel = &sp_kernel_put, .args = put_args,
    .alias = { 1 }, .must_alias = true,
};

static enum sp_status append_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t batch = n->attr.i[0] = n->attr.i[0] ? n->attr.i[0] : 1, tk = sp_type_rows(&in[0]), t = sp_type_rows(&in[1]);
    char cache[80], rows[80];
    TRY(want_index(n, &in[2], err));
    if (batch < 1 || tk % batch || t % batch || t > tk || sp_type_cols(&in[0]) != sp_type_cols(&in[1]))
        return sp_fail(err, SP_SHAPE, "cache_append: %s into %s of %lld sequences", sp_type_text(&in[1], rows, sizeof rows),
                       sp_type_text(&in[0], cache, sizeof cache), (long long)batch);
    n->out[0] = in[0];
    return SP_OK;
}

static void append_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_put_args *a = args;
    put_args(n, in, args);
    a->row = a->col = 0;
    a->group = a->rows / n->attr.i[0];
    a->group_step = a->dst_rows / n->attr.i[0];
}

const struct sp_op sp_op_cache_append = {
    .name = "cache_append", .help = "new rows of keys or values behind those stored", .n_in_min = 3, .n_in_max = 3, .n_out = 1,
    .shape = append_shape, .count = put_count, .kernel = &sp_kernel_put, .args = append_args,
    .alias = { 1 }, .must_alias = true,
};

static enum sp_status ring_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t batch = n->attr.i[0] = n->attr.i[0] ? n->attr.i[0] : 1;
    char cache[80], rows[80];
    TRY(want_index(n, &in[2], err));
    if (batch < 1 || sp_type_rows(&in[0]) % batch || sp_type_rows(&in[1]) % batch || sp_type_cols(&in[0]) != sp_type_cols(&in[1]))
        return sp_fail(err, SP_SHAPE, "ring_append: %s into %s of %lld sequences", sp_type_text(&in[1], rows, sizeof rows),
                       sp_type_text(&in[0], cache, sizeof cache), (long long)batch);
    n->out[0] = in[0];
    return SP_OK;
}

static void ring_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    int64_t kept = sp_type_elements(&in[1]) < sp_type_elements(&in[0]) ? sp_type_elements(&in[1]) : sp_type_elements(&in[0]);
    c->bytes_read += (double)sp_format_bytes(in[1].format, kept);
    c->bytes_written += (double)sp_format_bytes(n->out[0].format, kept);
}

const struct sp_op sp_op_ring_append = {
    .name = "ring_append", .help = "new rows of keys or values over the oldest stored; counted only", .n_in_min = 3, .n_in_max = 3,
    .n_out = 1, .shape = ring_shape, .count = ring_count, .alias = { 1 }, .must_alias = true, .plan_only = true,
};
