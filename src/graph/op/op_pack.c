/* graph/op/op_pack.c - a weight as the machine's matrix product wants it.
 *
 * attr.i[0]: trans, bit 1 the weight is stored [n,k].  attr.i[1]: bytes of the
 * result, 0: as stored.  Inputs: the weight, and what the result is written over or none;
 * output: bytes that only a product lowered for the same machine can read.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status pack_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(op_want(n, in[0].n == 2 && in[0].format != SP_I32 && in[0].format != SP_BYTES, "a matrix of numbers", &in[0], err));
    int64_t bytes = n->attr.i[1] > 0 ? n->attr.i[1] : sp_type_bytes(&in[0]);
    n->out[0] = SP_TYPE(SP_BYTES, bytes);
    return SP_OK;
}

static void pack_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_bytes(n, in, c);
}

static void pack_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_pack_args *a = args;
    bool turned = n->attr.i[0] & 2;
    *a = (struct sp_pack_args){ .n = turned ? sp_type_rows(&in[0]) : sp_type_cols(&in[0]), .k = turned ? sp_type_cols(&in[0]) : sp_type_rows(&in[0]),
                                .trans = (int32_t)n->attr.i[0], .src_format = (int32_t)in[0].format, .dst_format = SP_BYTES };
}

const struct sp_op sp_op_pack = {
    .name = "pack", .help = "a weight as panels for the machine's matrix product", .n_in_min = 1, .n_in_max = 2, .n_out = 1,
    .shape = pack_shape, .count = pack_count, .kernel = &sp_kernel_pack, .args = pack_args, .alias = { 1 + 1 },
};
