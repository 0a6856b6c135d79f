/* graph/op/op_embed.c - rows of a table by number, and back.
 *
 * embed: inputs ids i32, table [rows, n]; attr.f[0]: scale (0 stands for 1); attr.format:
 * of y, by default f32.  embed_back: inputs ids, dy, accumulator or none; attr.i[0]: rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status embed_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(op_want(n, in[0].format == SP_I32, "i32 numbers", &in[0], err));
    TRY(op_want(n, in[1].n == 2, "a table", &in[1], err));
    n->out[0] = SP_TYPE(op_format(n, SP_F32), sp_type_elements(&in[0]), in[1].dim[1]);
    return SP_OK;
}

static void embed_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (sp_graph_needs_grad(g, n.in[1]))
        din[1] = SP_ADD(g, &sp_op_embed_back, NULL, SP_ATTR(.i = { sp_graph_type(g, n.in[1])->dim[0] }, .f = { n.attr.f[0] }), n.in[0], dout[0]);
}

/* Only the rows asked for are read. */
static void embed_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    (void)in;
    c->bytes_read += (double)sp_type_bytes(&n->out[0]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void embed_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_embed_args *)args = (struct sp_embed_args){ .m = sp_type_elements(&in[0]), .n = in[1].dim[1], .rows = in[1].dim[0],
        .scale = (float)op_or_one(n->attr.f[0]), .table_format = in[1].format, .y_format = n->out[0].format };
}

static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = SP_TYPE(SP_F32, n->attr.i[0], sp_type_cols(&in[1]));
    return op_want(n, sp_type_rows(&in[1]) == sp_type_elements(&in[0]), "a row a number", &in[1], err);
}

static void back_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    (void)n;
    c->flops_other += (double)sp_type_elements(&in[1]);
    c->bytes_read += 2 * (double)sp_type_bytes(&in[1]);
    c->bytes_written += (double)sp_type_bytes(&in[1]);
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_embed_back_args *)args = (struct sp_embed_back_args){ .m = sp_type_elements(&in[0]), .n = sp_type_cols(&in[1]),
        .rows = n->attr.i[0], .scale = (float)op_or_one(n->attr.f[0]), .dy_format = in[1].format };
}

const struct sp_op sp_op_embed = {
    .name = "embed", .help = "rows of a table by number", .n_in_min = 2, .n_in_max = 2, .n_out = 1, .shape = embed_shape,
    .grad = embed_grad, .count = embed_count, .kernel = &sp_kernel_embed, .args = embed_args,
};
const struct sp_op sp_op_embed_back = {
    .name = "embed_back", .help = "rows summed by number", .n_in_min = 2, .n_in_max = 3, .n_out = 1, .shape = back_shape,
    .count = back_count, .kernel = &sp_kernel_embed_back, .args = back_args, .alias = { 3 },
};
