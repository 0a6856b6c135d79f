/* graph/op/op_cast.c - the same numbers in another format (attr.format).
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status cast_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    char buf[80];
    if (n->attr.format < 0)
        return sp_fail(err, SP_SHAPE, "cast: no format given");
    if (in[0].format == SP_I32 || in[0].format == SP_BYTES || n->attr.format == SP_I32 || n->attr.format == SP_BYTES)
        return sp_fail(err, SP_UNSUPPORTED, "cast: %s to %s, only formats of real numbers are cast",
                       sp_type_text(&in[0], buf, sizeof buf), sp_formats[n->attr.format].name);
    if (sp_formats[n->attr.format].block > 1 || sp_formats[in[0].format].block > 1)
        return sp_fail(err, SP_UNSUPPORTED, "cast: formats in blocks are made by quantizing, not by a cast");
    n->out[0] = in[0];
    n->out[0].format = (enum sp_format)n->attr.format;
    return SP_OK;
}

static void cast_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    int format = (int)sp_graph_type(g, g->node[node].in[0])->format;
    if (!sp_is(dout[0]))
        return;
    din[0] = (int)sp_graph_type(g, dout[0])->format == format
                 ? dout[0]
                 : sp_graph_add(g, &sp_op_cast, NULL, 1, dout, &(struct sp_attr){ .format = format });
}

static void cast_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->bytes_read += (double)sp_type_bytes(&in[0]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void cast_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_copy_args *a = args;
    a->rows = sp_type_rows(&in[0]);
    a->cols = a->lds = a->ldd = sp_type_cols(&in[0]);
    a->src_format = (int32_t)in[0].format, a->dst_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_cast = {
    .name = "cast", .help = "another number format", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .shape = cast_shape, .grad = cast_grad, .count = cast_count, .kernel = &sp_kernel_copy, .args = cast_args, .cheap = true,
};
