/* plan/work.c - the forward graph of a model, walked op by op.
 *
 * Bytes are what each op must move (its own count), in numbers of the width that is
 * computed with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

#include <math.h>

static void add_node(const struct sp_graph *g, const struct sp_node *n, const struct sp_rate_of *d, struct sp_work *w)
{
    struct sp_type in[SP_IN_MAX];
    struct sp_count c = { 0 };
    if (!n->op->count)
        return;
    for (int i = 0; i < n->n_in; i++) {
        in[i] = (struct sp_type){ .n = -1 };
        if (sp_is(n->in[i]))
            in[i] = g->node[n->in[i].node].out[n->in[i].out];
    }
    n->op->count(n, in, &c);
    double arithmetic = (c.flops_matmul + c.flops_attention) / d->peak;
    double moving = d->bytes_per_s > 0 ? (c.bytes_read + c.bytes_written) * d->number_bytes / 4 / d->bytes_per_s : 0;
    w->matmul += c.flops_matmul;
    w->attention += c.flops_attention;
    w->arithmetic_s += arithmetic;
    w->waiting_s += fmax(0, moving - arithmetic);
}

enum sp_status sp_work_count(const struct sp_model_config *c, int64_t sequences, int64_t tokens, const struct sp_rate_of *d, struct sp_work *out,
                             struct sp_err *err)
{
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = sequences, .tokens = c->family == SP_FAMILY_MLP ? 1 : tokens, .compute = SP_F32, .stored = SP_F32,
                          .cached = SP_F32 };
    struct sp_model_config longer = *c;
    struct sp_graph *g = sp_graph_new();
    if (!g)
        return sp_fail(err, SP_NOMEM, "out of memory for the model's graph");
    if (longer.context < tokens && longer.family != SP_FAMILY_MLP)
        longer.context = tokens;
    enum sp_status st = sp_model_build(g, &longer, &b, err);
    struct sp_work w = { .streams = (double)c->width, .layers = c->layers };
    for (int v = 0; !st && v < g->n; v++)
        add_node(g, &g->node[v], d, &w);
    sp_graph_free(g);
    if (st)
        return st;
    double per = 1 / ((double)sequences * (double)b.tokens);
    w.matmul *= per;
    w.attention *= per;
    w.arithmetic_s *= per;
    w.waiting_s *= per;
    *out = w;
    return SP_OK;
}
