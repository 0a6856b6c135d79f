/* graph/op/op_attention.c - fused attention and its backward pass.
 *
 * inputs   q[b*t, heads*dim], k and v[b*tk, kv_heads*dim], past i32 (optional, one number); or, packed, one matrix
 *          [b*t, (heads + 2 kv_heads)*dim] holding q, k and v side by side; counter i32 (optional) of dropout
 * outputs  o[b*t, heads*dim] and lse f32[b, heads, t] (kept for the backward pass only)
 * attr     i: SP_ATTN_*; f: scale (0: 1/sqrt(dim)), softcap (0: none), share of weights dropped (0: none)
 *
 * Query i stands at position past + i (past NULL: i).  No t x tk matrix exists at any time.
 *
 * attention_bias adds to every score what its distance is given (Press et al. 2022: a slope a head and no table;
 * Raffel et al. 2020: table [buckets, heads]) or a share of attention that goes to nothing (table [heads]): input 5.
 * It is counted only: no kernel has such scores.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ops.h"

static int64_t heads(const struct sp_node *n) { return n->attr.i[SP_ATTN_HEADS]; }
static int64_t kv_heads(const struct sp_node *n) { return n->attr.i[SP_ATTN_KV_HEADS]; }
static int64_t dim(const struct sp_node *n) { return n->attr.i[SP_ATTN_DIM]; }
static int64_t batch(const struct sp_node *n) { return n->attr.i[SP_ATTN_BATCH]; }
static bool packed(const struct sp_node *n) { return n->attr.i[SP_ATTN_PACKED] != 0; }
static int64_t window(const struct sp_node *n) { return n->attr.i[SP_ATTN_WINDOW]; }
static bool causal(const struct sp_node *n) { return !n->attr.i[SP_ATTN_FULL]; }

static bool is_real(enum sp_format f) { return f == SP_F32 || f == SP_F16 || f == SP_BF16; }

/* Numbers left out get their defaults. */
static enum sp_status attention_attr(struct sp_node *n, struct sp_err *err)
{
    int64_t *i = n->attr.i;
    i[SP_ATTN_KV_HEADS] = i[SP_ATTN_KV_HEADS] ? i[SP_ATTN_KV_HEADS] : i[SP_ATTN_HEADS];
    i[SP_ATTN_BATCH] = i[SP_ATTN_BATCH] ? i[SP_ATTN_BATCH] : 1;
    if (heads(n) < 1 || kv_heads(n) < 1 || heads(n) % kv_heads(n))
        return sp_fail(err, SP_SHAPE, "%s: %lld query heads cannot share %lld key-value heads", n->op->name,
                       (long long)heads(n), (long long)kv_heads(n));
    if (dim(n) < 1 || dim(n) > SP_HEAD_DIM_MAX)
        return sp_fail(err, SP_SHAPE, "%s: a head of %lld numbers, allowed are 1 to %d", n->op->name, (long long)dim(n),
                       SP_HEAD_DIM_MAX);
    if (batch(n) < 1 || window(n) < 0)
        return sp_fail(err, SP_SHAPE, "%s: batch %lld, window %lld", n->op->name, (long long)batch(n), (long long)window(n));
    if (!(n->attr.f[2] >= 0 && n->attr.f[2] < 1))
        return sp_fail(err, SP_SHAPE, "%s: a share of %g dropped, allowed is 0 to below 1", n->op->name, n->attr.f[2]);
    if (n->attr.f[0] == 0)
        n->attr.f[0] = 1 / sqrt((double)dim(n));
    return SP_OK;
}

/* Cached keys and values may be blocks that heads divide into. */
static bool is_cached(const struct sp_node *n, enum sp_format f) { return (f == SP_Q8_0 || f == SP_Q4_0) && dim(n) % sp_formats[f].block == 0; }

static enum sp_status want_matrix(const struct sp_node *n, const char *what, const struct sp_type *t, int64_t cols,
                                  struct sp_err *err)
{
    char buf[80];
    if (t->n < 1 || !(is_real(t->format) || (*what != 'q' && n->n_in > 3 && is_cached(n, t->format))) || sp_type_cols(t) != cols || sp_type_rows(t) % batch(n))
        return sp_fail(err, SP_SHAPE, "%s: %s is %s, wanted are %lld columns of f32, f16 or bf16 and rows in %lld sequences",
                       n->op->name, what, t->n < 0 ? "left out" : sp_type_text(t, buf, sizeof buf), (long long)cols,
                       (long long)batch(n));
    return SP_OK;
}

/* q, k, v (or one packed matrix) standing at in[0..2]. */
static enum sp_status attention_inputs(const struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    char k[80], v[80];
    if (packed(n))
        return in[1].n >= 0 || in[2].n >= 0
                   ? sp_fail(err, SP_SHAPE, "%s: packed, so k and v must be left out", n->op->name)
                   : want_matrix(n, "the packed input", &in[0], (heads(n) + 2 * kv_heads(n)) * dim(n), err);
    TRY(want_matrix(n, "q", &in[0], heads(n) * dim(n), err));
    TRY(want_matrix(n, "k", &in[1], kv_heads(n) * dim(n), err));
    TRY(want_matrix(n, "v", &in[2], kv_heads(n) * dim(n), err));
    if (sp_type_rows(&in[1]) != sp_type_rows(&in[2]) || in[1].format != in[2].format)
        return sp_fail(err, SP_SHAPE, "%s: k is %s but v is %s", n->op->name, sp_type_text(&in[1], k, sizeof k),
                       sp_type_text(&in[2], v, sizeof v));
    return SP_OK;
}

static enum sp_status attention_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    char buf[80];
    TRY(attention_attr(n, err));
    TRY(attention_inputs(n, in, err));
    if (in[4].n >= 0 && (in[4].format != SP_I32 || sp_type_elements(&in[4]) != 1))
        return sp_fail(err, SP_SHAPE, "attention: counter is %s, wanted is one i32", sp_type_text(&in[4], buf, sizeof buf));
    if (in[3].n >= 0 && (in[3].format != SP_I32 || sp_type_elements(&in[3]) != 1))
        return sp_fail(err, SP_SHAPE, "attention: past is %s, wanted is one i32", sp_type_text(&in[3], buf, sizeof buf));
    int64_t rows = sp_type_rows(&in[0]);
    if (in[3].n >= 0 && !packed(n) && sp_type_rows(&in[1]) < rows)
        return sp_fail(err, SP_SHAPE, "attention: %lld queries but only %lld keys stored", (long long)rows,
                       (long long)sp_type_rows(&in[1]));
    enum sp_format f = n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[0].format;
    n->out[0] = SP_TYPE(f, rows, heads(n) * dim(n));
    n->out[1] = SP_TYPE(SP_F32, batch(n), heads(n), rows / batch(n));
    return SP_OK;
}

static void attention_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node *n = &g->node[node];
    struct sp_attr attr = n->attr;
    attr.format = -1;
    if (n->n_in > 3 && sp_is(n->in[3])) {
        g->status = sp_fail(&g->err, SP_UNSUPPORTED, "%s: attention over a cache has no gradient", n->name);
        return;
    }
    if (!sp_is(dout[0]))
        return;
    sp_ref in[7] = { dout[0], n->in[0], n->in[1], n->in[2], { node, 0 }, { node, 1 }, n->n_in > 4 ? n->in[4] : SP_NONE };
    bool one = packed(n);
    sp_ref d = sp_graph_add(g, &sp_op_attention_back, NULL, 7, in, &attr);
    for (int32_t i = 0; sp_is(d) && i < (one ? 1 : 3); i++)
        din[i] = (sp_ref){ d.node, i };
}

/* sum over p < n of min(p + 1, window) */
static double ramp(double n, double w)
{
    return w > 0 && n > w ? w * (w + 1) / 2 + (n - w) * w : n * (n + 1) / 2;
}

/* Pairs (query, key) the kernel computes, over all heads and sequences: under a causal mask only the half it sees,
 * t(t+1)/2 for a whole sequence.  A position known at run time counts as the last one possible. */
static double attention_pairs(const struct sp_node *n, const struct sp_type *q, const struct sp_type *k, bool past)
{
    double t = (double)(sp_type_rows(q) / batch(n)), tk = (double)(sp_type_rows(k) / batch(n)), p = past ? tk - t : 0;
    double a_head = causal(n) ? ramp(p + t, (double)window(n)) - ramp(p, (double)window(n)) : t * tk;
    return a_head * (double)(heads(n) * batch(n));
}

static void count_bytes(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    for (int i = 0; i < n->n_in; i++)
        c->bytes_read += in[i].n >= 0 ? (double)sp_type_bytes(&in[i]) : 0;
    for (int o = 0; o < n->n_out; o++)
        c->bytes_written += (double)sp_type_bytes(&n->out[o]);
}

/* Two products of dim a pair: 4 dim.  Exponentials are left out, as everywhere in the literature. */
static void attention_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_attention += 4 * (double)dim(n) * attention_pairs(n, &in[0], packed(n) ? &in[0] : &in[1], in[3].n >= 0);
    count_bytes(n, in, c);
}

static void attention_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_attention_args *a = args;
    const struct sp_type *k = packed(n) ? &in[0] : &in[1];
    a->b = batch(n), a->t = sp_type_rows(&in[0]) / a->b, a->tk = sp_type_rows(k) / a->b;
    a->heads = heads(n), a->kv_heads = kv_heads(n), a->dim = dim(n), a->window = window(n);
    a->ldq = sp_type_cols(&in[0]), a->ldk = a->ldv = sp_type_cols(k), a->ldo = heads(n) * dim(n);
    a->q_at = 0, a->k_at = packed(n) ? a->ldo : 0, a->v_at = packed(n) ? a->ldo + kv_heads(n) * dim(n) : 0;
    a->scale = (float)n->attr.f[0], a->softcap = (float)n->attr.f[1], a->causal = causal(n);
    a->key = (uint64_t)n->attr.i[SP_ATTN_KEY], a->drop = (float)n->attr.f[2];
    a->q_format = (int32_t)in[0].format, a->kv_format = (int32_t)k->format, a->o_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_attention = {
    .name = "attention", .help = "softmax(q k' / sqrt(dim)) v a head, causal, without the matrix",
    .n_in_min = 1, .n_in_max = 5, .n_out = 2, .shape = attention_shape, .grad = attention_grad, .count = attention_count,
    .kernel = &sp_kernel_attention, .args = attention_args, .optional_out = 1 << 1,
};

/* ---- backward: inputs d_o, q, k, v, o, lse, counter; outputs dq, dk, dv (packed: one) ---- */
static enum sp_status back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(attention_attr(n, err));
    TRY(attention_inputs(n, in + 1, err));
    TRY(want_matrix(n, "the gradient", &in[0], heads(n) * dim(n), err));
    TRY(want_matrix(n, "the output", &in[4], heads(n) * dim(n), err));
    int64_t rows = sp_type_rows(&in[1]);
    if (!packed(n) && in[2].format != in[1].format)
        return sp_fail(err, SP_SHAPE, "attention_back: q, k and v must have one number format");
    if (sp_type_rows(&in[0]) != rows || in[5].n < 0 || sp_type_elements(&in[5]) != rows * heads(n))
        return sp_fail(err, SP_SHAPE, "attention_back: gradient or lse do not belong to %lld queries", (long long)rows);
    n->n_out = packed(n) ? 1 : 3;
    for (int o = 0; o < n->n_out; o++) {
        n->out[o] = in[1 + o];
        n->out[o].format = n->attr.format >= 0 ? (enum sp_format)n->attr.format : in[1].format;
    }
    n->work_bytes = rows * heads(n) * 4 * (n->out[0].format == SP_F32 ? 1 : 1 + dim(n));
    return SP_OK;
}

/* Five products of dim a pair: 10 dim. */
static void back_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    c->flops_attention += 10 * (double)dim(n) * attention_pairs(n, &in[1], packed(n) ? &in[1] : &in[2], false);
    count_bytes(n, in, c);
}

static void back_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_attention_back_args *a = args;
    struct sp_attention_args f = { 0 };
    attention_args(n, in + 1, &f);
    a->b = f.b, a->t = f.t, a->tk = f.tk, a->heads = f.heads, a->kv_heads = f.kv_heads, a->dim = f.dim;
    a->ldq = f.ldq, a->ldk = f.ldk, a->ldv = f.ldv, a->ldo = f.ldo, a->q_at = f.q_at, a->k_at = f.k_at, a->v_at = f.v_at;
    a->window = f.window, a->scale = f.scale, a->softcap = f.softcap, a->causal = f.causal;
    a->key = f.key, a->drop = f.drop;
    a->x_format = f.q_format, a->do_format = (int32_t)in[0].format, a->o_format = (int32_t)in[4].format;
    a->d_format = (int32_t)n->out[0].format;
}

const struct sp_op sp_op_attention_back = {
    .name = "attention_back", .help = "gradients of q, k, v from the output's", .n_in_min = 2, .n_in_max = 7, .n_out = 3,
    .shape = back_shape, .count = back_count, .kernel = &sp_kernel_attention_back, .args = back_args,
};

/* ---- with scores that depend on the distance: counted, not run ---- */

static void bias_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    const struct sp_node *n = &g->node[node];
    struct sp_attr attr = n->attr;
    attr.format = -1;
    sp_ref table = n->n_in > 5 ? n->in[5] : SP_NONE, in[8] = { dout[0], n->in[0], n->in[1], n->in[2], { node, 0 }, { node, 1 }, SP_NONE, table };
    if (!sp_is(dout[0]))
        return;
    sp_ref d = sp_graph_add(g, &sp_op_attention_bias_back, NULL, 8, in, &attr);
    for (int32_t i = 0; sp_is(d) && i < 3; i++)
        din[i] = (sp_ref){ d.node, i };
    if (sp_is(table) && sp_is(d))
        din[5] = (sp_ref){ d.node, 3 };
}

const struct sp_op sp_op_attention_bias = {
    .name = "attention_bias", .help = "attention with scores that depend on the distance; counted only",
    .n_in_min = 3, .n_in_max = 6, .n_out = 2, .shape = attention_shape, .grad = bias_grad, .count = attention_count,
    .optional_out = 1 << 1, .plan_only = true,
};

static enum sp_status bias_back_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    TRY(back_shape(n, in, err));
    n->n_out = 4;
    n->out[3] = in[7].n < 0 ? SP_TYPE(SP_F32, 1) : in[7];
    n->out[3].format = SP_F32;
    return SP_OK;
}

const struct sp_op sp_op_attention_bias_back = {
    .name = "attention_bias_back", .help = "gradients of q, k, v and the table; counted only", .n_in_min = 6, .n_in_max = 8, .n_out = 4,
    .shape = bias_back_shape, .count = back_count, .plan_only = true, .optional_out = 1 << 3,
};
