/* graph/op/op_transpose.c - rows become columns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status transpose_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    if (sp_formats[in[0].format].block > 1)
        return sp_fail(err, SP_UNSUPPORTED, "transpose: %s is a format in blocks", sp_formats[in[0].format].name);
    n->out[0] = SP_TYPE(in[0].format, sp_type_cols(&in[0]), sp_type_rows(&in[0]));
    return SP_OK;
}

static void transpose_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    (void)node;
    if (sp_is(dout[0]))
        din[0] = sp_graph_add(g, &sp_op_transpose, NULL, 1, dout, NULL);
}

static void transpose_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->bytes_read += (double)sp_type_bytes(&in[0]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void transpose_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_transpose_args *a = args;
    (void)n;
    a->rows = sp_type_rows(&in[0]), a->cols = sp_type_cols(&in[0]), a->format = (int32_t)in[0].format;
}

const struct sp_op sp_op_transpose = {
    .name = "transpose", .help = "rows become columns", .n_in_min = 1, .n_in_max = 1, .n_out = 1,
    .shape = transpose_shape, .grad = transpose_grad, .count = transpose_count, .kernel = &sp_kernel_transpose,
    .args = transpose_args,
};
