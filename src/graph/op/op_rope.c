/* graph/op/op_rope.c - rotary positions (Su et al. 2021).
 *
 * rope_table  no input; out f32[max, dim]: cos and sin of every position and pair of dimensions
 *             attr i: SP_ROPE_TABLE_*; f: base, factor, low, high, original, size (see kernel/args.h)
 * rope        inputs x[m, >= heads*dim], table, past i32 (optional, one number); out like x
 *             attr i: SP_ROPE_*.  The first heads*dim columns turn, further columns stay, so q and k of a packed
 *             matrix are turned in place.  Row i stands at position past + i / each % t: with a row a head (each = heads) a
 *             head's first dim numbers turn and the others stay.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

static enum sp_status table_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    const int64_t *i = n->attr.i;
    (void)in;
    if (i[SP_ROPE_TABLE_MAX] < 1 || i[SP_ROPE_TABLE_DIM] < 2 || i[SP_ROPE_TABLE_DIM] % 2)
        return sp_fail(err, SP_SHAPE, "rope_table: %lld positions of %lld numbers, wanted an even number at least 2",
                       (long long)i[SP_ROPE_TABLE_MAX], (long long)i[SP_ROPE_TABLE_DIM]);
    if (i[SP_ROPE_TABLE_SCALING] < 0 || i[SP_ROPE_TABLE_SCALING] > 3)
        return sp_fail(err, SP_UNSUPPORTED, "rope_table: scaling %lld, known are 0 none, 1 linear, 2 llama3, 3 yarn",
                       (long long)i[SP_ROPE_TABLE_SCALING]);
    if (!(n->attr.f[0] > 1) || (i[SP_ROPE_TABLE_SCALING] && !(n->attr.f[1] > 0)))
        return sp_fail(err, SP_SHAPE, "rope_table: base %g and factor %g, wanted above 1 and above 0", n->attr.f[0], n->attr.f[1]);
    if (i[SP_ROPE_TABLE_SCALING] > 1 && !(n->attr.f[2] > 0 && n->attr.f[3] > n->attr.f[2] && n->attr.f[4] > 0))
        return sp_fail(err, SP_SHAPE, "rope_table: low %g, high %g, original %g, wanted 0 < low < high and original > 0",
                       n->attr.f[2], n->attr.f[3], n->attr.f[4]);
    if (!(n->attr.f[5] >= 0))
        return sp_fail(err, SP_SHAPE, "rope_table: size %g, wanted 0 or more", n->attr.f[5]);
    n->out[0] = SP_TYPE(SP_F32, i[SP_ROPE_TABLE_MAX], i[SP_ROPE_TABLE_DIM]);
    return SP_OK;
}

static void table_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    (void)in;
    c->flops_other += (double)sp_type_elements(&n->out[0]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void table_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_rope_table_args *a = args;
    (void)in;
    a->max = n->attr.i[SP_ROPE_TABLE_MAX], a->dim = n->attr.i[SP_ROPE_TABLE_DIM];
    a->scaling = (int32_t)n->attr.i[SP_ROPE_TABLE_SCALING];
    a->base = n->attr.f[0], a->factor = n->attr.f[1], a->low = n->attr.f[2], a->high = n->attr.f[3], a->original = n->attr.f[4];
    a->size = n->attr.f[5];
}

const struct sp_op sp_op_rope_table = {
    .name = "rope_table", .help = "cosines and sines of rotary positions", .n_in_min = 0, .n_in_max = 0, .n_out = 1,
    .shape = table_shape, .count = table_count, .kernel = &sp_kernel_rope_table, .args = table_args,
};

/* Scalings without a kernel: counted only. */
const struct sp_op sp_op_rope_table_other = {
    .name = "rope_table_other", .help = "cosines and sines of a scaling that is counted only", .n_in_min = 0, .n_in_max = 0, .n_out = 1,
    .shape = table_shape, .count = table_count, .plan_only = true,
};

static enum sp_status rope_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t *i = n->attr.i, cols = i[SP_ROPE_HEADS] * i[SP_ROPE_DIM];
    char x[80], t[80];
    i[SP_ROPE_EACH] = i[SP_ROPE_EACH] ? i[SP_ROPE_EACH] : 1;
    i[SP_ROPE_T] = i[SP_ROPE_T] ? i[SP_ROPE_T] : sp_type_rows(&in[0]) / (i[SP_ROPE_EACH] > 0 ? i[SP_ROPE_EACH] : 1);
    if (i[SP_ROPE_EACH] < 1 || i[SP_ROPE_HEADS] < 1 || i[SP_ROPE_DIM] < 2 || i[SP_ROPE_DIM] % 2 || cols > sp_type_cols(&in[0]))
        return sp_fail(err, SP_SHAPE, "rope: %lld heads of %lld numbers in %s", (long long)i[SP_ROPE_HEADS],
                       (long long)i[SP_ROPE_DIM], sp_type_text(&in[0], x, sizeof x));
    if (in[1].format != SP_F32 || sp_type_cols(&in[1]) != i[SP_ROPE_DIM])
        return sp_fail(err, SP_SHAPE, "rope: the table is %s, wanted is f32 with %lld columns",
                       sp_type_text(&in[1], t, sizeof t), (long long)i[SP_ROPE_DIM]);
    if (i[SP_ROPE_T] < 0 || i[SP_ROPE_T] > sp_type_rows(&in[1]))
        return sp_fail(err, SP_SHAPE, "rope: %lld positions, the table has %lld", (long long)i[SP_ROPE_T],
                       (long long)sp_type_rows(&in[1]));
    if (in[2].n >= 0 && (in[2].format != SP_I32 || sp_type_elements(&in[2]) != 1))
        return sp_fail(err, SP_SHAPE, "rope: past is %s, wanted is one i32", sp_type_text(&in[2], t, sizeof t));
    n->out[0] = in[0];
    n->out[0].format = n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[0].format;
    return SP_OK;
}

static void rope_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node *n = &g->node[node];
    struct sp_attr attr = n->attr;
    sp_ref in[3] = { dout[0], n->in[1], n->in[2] };
    attr.i[SP_ROPE_BACK] = !attr.i[SP_ROPE_BACK];
    attr.format = -1;
    if (sp_is(dout[0]))
        din[0] = sp_graph_add(g, &sp_op_rope, NULL, n->n_in, in, &attr);
}

static void rope_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double turned = (double)(sp_type_rows(&in[0]) * n->attr.i[SP_ROPE_HEADS] * n->attr.i[SP_ROPE_DIM]);
    c->flops_other += 3 * turned;
    c->bytes_read += (double)sp_type_bytes(&in[0]) + 4 * (double)(n->attr.i[SP_ROPE_T] * n->attr.i[SP_ROPE_DIM]);
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

static void rope_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_rope_args *a = args;
    a->m = sp_type_rows(&in[0]), a->t = n->attr.i[SP_ROPE_T], a->each = n->attr.i[SP_ROPE_EACH], a->heads = n->attr.i[SP_ROPE_HEADS];
    a->dim = n->attr.i[SP_ROPE_DIM], a->ldx = a->ldy = sp_type_cols(&in[0]), a->max = sp_type_rows(&in[1]);
    a->interleaved = (int32_t)n->attr.i[SP_ROPE_INTERLEAVED], a->back = (int32_t)n->attr.i[SP_ROPE_BACK];
    a->x_format = (int32_t)in[0].format, a->y_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_rope = {
    .name = "rope", .help = "turns pairs of numbers by their position", .n_in_min = 2, .n_in_max = 3, .n_out = 1,
    .shape = rope_shape, .grad = rope_grad, .count = rope_count, .kernel = &sp_kernel_rope, .args = rope_args,
    .alias = { 1 },
};
