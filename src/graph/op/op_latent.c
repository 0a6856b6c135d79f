/* graph/op/op_latent.c - attention over latent keys and values (DeepSeek-AI 2024,
 * "DeepSeek-V2", section 2.1): heads of nope numbers of their own and rope turned ones
 * that all heads share, values of another width.
 *
 * latent         inputs q [b t, heads (nope + rope)], kv [b tk, heads (nope + v)], kr [b tk, rope], past i32 or none;
 *                outputs o [b t, heads v] and lse f32 [b, heads, t]; attr.i: SP_LATENT_*
 *                SHARED: kv [b tk, nope] is the compressed row itself, which is key and value of every head (v = nope)
 * latent_back    inputs do, q, kv, kr, o, lse; outputs dq, dkv, dkr
 * latent_absorb  inputs x [m heads, n], w [heads block, c]: each head's rows FROM .. FROM + ROWS of its block; output
 *                [m heads, c], or with BACK [m heads, ROWS].  So a cache of latent rows need not be unpacked.
 *
 * Counted only: no kernel has keys and values of two widths.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static int64_t at(const struct sp_node *n, int i) { return n->attr.i[i]; }

static enum sp_status latent_attr(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    int64_t *i = n->attr.i, heads = i[SP_LATENT_HEADS], nope = i[SP_LATENT_NOPE], rope = i[SP_LATENT_ROPE], v = i[SP_LATENT_V];
    int64_t batch = i[SP_LATENT_BATCH] = i[SP_LATENT_BATCH] ? i[SP_LATENT_BATCH] : 1;
    if (heads < 1 || nope < 1 || rope < 1 || v < 1 || batch < 1 || (i[SP_LATENT_SHARED] && v != nope))
        return sp_fail(err, SP_SHAPE, "%s: %lld heads of %lld and %lld, values of %lld", n->op->name, (long long)heads, (long long)nope,
                       (long long)rope, (long long)v);
    TRY(op_want(n, sp_type_cols(&in[0]) == heads * (nope + rope) && sp_type_rows(&in[0]) % batch == 0, "queries of all heads", &in[0], err));
    TRY(op_want(n, sp_type_cols(&in[1]) == (i[SP_LATENT_SHARED] ? nope : heads * (nope + v)) && sp_type_rows(&in[1]) % batch == 0,
                "keys and values", &in[1], err));
    return op_want(n, sp_type_cols(&in[2]) == rope && sp_type_rows(&in[2]) == sp_type_rows(&in[1]), "turned keys", &in[2], err);
}

static enum sp_status latent_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(latent_attr(n, in, err));
    n->out[0] = SP_TYPE(op_format(n, in[0].format), sp_type_rows(&in[0]), at(n, SP_LATENT_HEADS) * at(n, SP_LATENT_V));
    n->out[1] = SP_TYPE(SP_F32, sp_type_rows(&in[0]), at(n, SP_LATENT_HEADS));
    return SP_OK;
}

static void latent_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node n = g->node[node];
    if (n.n_in > 3 && sp_is(n.in[3])) {
        g->status = sp_fail(&g->err, SP_UNSUPPORTED, "%s: attention over a cache has no gradient", n.name);
        return;
    }
    if (!sp_is(dout[0]))
        return;
    struct sp_attr attr = n.attr;
    attr.format = -1;
    sp_ref in[6] = { dout[0], n.in[0], n.in[1], n.in[2], { node, 0 }, { node, 1 } };
    sp_ref d = sp_graph_add(g, &sp_op_latent_back, NULL, 6, in, &attr);
    for (int32_t i = 0; sp_is(d) && i < 3; i++)
        din[i] = (sp_ref){ d.node, i };
}

/* Pairs under a causal mask, over heads and sequences, as attention counts them. */
static double pairs(const struct sp_node *n, const struct sp_type *q, const struct sp_type *k, bool past)
{
    double b = (double)at(n, SP_LATENT_BATCH), t = (double)sp_type_rows(q) / b, tk = (double)sp_type_rows(k) / b, p = past ? tk - t : 0;
    return ((p + t) * (p + t + 1) - p * (p + 1)) / 2 * b * (double)at(n, SP_LATENT_HEADS);
}

/* Scores over nope + rope numbers, a sum over v. */
static void latent_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double dim = (double)(at(n, SP_LATENT_NOPE) + at(n, SP_LATENT_ROPE) + at(n, SP_LATENT_V));
    c->flops_attention += 2 * dim * pairs(n, &in[0], &in[1], in[3].n >= 0);
    op_count_bytes(n, in, c);
}

const struct sp_op sp_op_latent = {
    .name = "latent", .help = "attention whose keys and values share a latent row; counted only", .n_in_min = 3, .n_in_max = 4, .n_out = 2,
    .shape = latent_shape, .grad = latent_grad, .count = latent_count, .optional_out = 2, .plan_only = true,
};

static enum sp_status latent_back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(latent_attr(n, in + 1, err));
    for (int o = 0; o < 3; o++)
        n->out[o] = in[1 + o];
    return SP_OK;
}

/* Three products over nope + rope, two over v. */
static void latent_back_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double dim = 3 * (double)(at(n, SP_LATENT_NOPE) + at(n, SP_LATENT_ROPE)) + 2 * (double)at(n, SP_LATENT_V);
    c->flops_attention += 2 * dim * pairs(n, &in[1], &in[2], false);
    op_count_bytes(n, in, c);
}

const struct sp_op sp_op_latent_back = {
    .name = "latent_back", .help = "gradients of latent attention; counted only", .n_in_min = 6, .n_in_max = 6, .n_out = 3,
    .shape = latent_back_shape, .count = latent_back_count, .plan_only = true,
};

static enum sp_status absorb_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    const int64_t *i = n->attr.i;
    int64_t heads = i[SP_ABSORB_HEADS], c = sp_type_cols(&in[1]), from = i[SP_ABSORB_BACK] ? c : i[SP_ABSORB_ROWS];
    TRY(op_want(n, heads > 0 && in[1].n == 2 && sp_type_rows(&in[1]) % heads == 0 && i[SP_ABSORB_FROM] + i[SP_ABSORB_ROWS] <= sp_type_rows(&in[1]) / heads,
                "a block of rows a head", &in[1], err));
    TRY(op_want(n, sp_type_cols(&in[0]) == from && sp_type_rows(&in[0]) % heads == 0, "a row a head", &in[0], err));
    n->out[0] = SP_TYPE(op_format(n, in[0].format), sp_type_rows(&in[0]), i[SP_ABSORB_BACK] ? i[SP_ABSORB_ROWS] : c);
    return SP_OK;
}

static void absorb_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    double rows = (double)n->attr.i[SP_ABSORB_ROWS], wide = (double)sp_type_cols(&in[1]);
    c->flops_matmul += 2 * (double)sp_type_rows(&in[0]) * rows * wide;
    c->bytes_read += (double)sp_type_bytes(&in[0]) + (double)sp_format_bytes(in[1].format, n->attr.i[SP_ABSORB_HEADS] * n->attr.i[SP_ABSORB_ROWS] * sp_type_cols(&in[1]));
    c->bytes_written += (double)sp_type_bytes(&n->out[0]);
}

const struct sp_op sp_op_latent_absorb = {
    .name = "latent_absorb", .help = "each head's row times its part of the unpacking matrix; counted only", .n_in_min = 2, .n_in_max = 2,
    .n_out = 1, .shape = absorb_shape, .count = absorb_count, .plan_only = true,
};
