/* plan/work.c - the forward graph of a model, walked op by op.
 *
 * Bytes are what each op must move (its own count), in numbers of the width that is
 * computed with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

#include <math.h>
#include <string.h>

/* What ops do that do the same: how many there are. */
struct kind_of_op { double matmul, attention, bytes, times; };
enum { KINDS_MAX = 256 };
struct ops { int n; struct kind_of_op of[KINDS_MAX]; };

/* The last kind stands for all that are left, should there be more kinds than places: sums stay right. */
static void add_op(struct ops *o, const struct sp_count *c)
{
    struct kind_of_op k = { c->flops_matmul, c->flops_attention, c->bytes_read + c->bytes_written, 1 };
    int i = o->n - 1;
    for (; i >= 0; i--)
        if (o->of[i].matmul == k.matmul && o->of[i].attention == k.attention && o->of[i].bytes == k.bytes) {
            o->of[i].times++;
            return;
        }
    if (o->n < KINDS_MAX)
        o->of[o->n++] = k;
    else {
        struct kind_of_op *last = &o->of[KINDS_MAX - 1];
        last->matmul = (last->matmul * last->times + k.matmul) / (last->times + 1);
        last->attention = (last->attention * last->times + k.attention) / (last->times + 1);
        last->bytes = (last->bytes * last->times + k.bytes) / (last->times + 1);
        last->times++;
    }
}

static void add_node(const struct sp_graph *g, const struct sp_node *n, struct ops *o)
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
    add_op(o, &c);
}

static enum sp_status walk(const struct sp_model_config *c, const struct sp_build *as, struct ops *out, struct sp_err *err)
{
    struct sp_build b = *as;
    struct sp_graph *g = sp_graph_new();
    if (!g)
        return sp_fail(err, SP_NOMEM, "out of memory for the model's graph");
    enum sp_status st = sp_model_build(g, c, &b, err);
    for (int v = 0; !st && v < g->n; v++)
        add_node(g, &g->node[v], out);
    sp_graph_free(g);
    return st;
}

/* One device's time: of an op's arithmetic, and what its memory takes beyond that. */
static void price(const struct ops *o, const struct sp_rate_of *d, double per, struct sp_work *w)
{
    for (int i = 0; i < o->n; i++) {
        const struct kind_of_op *k = &o->of[i];
        double arithmetic = (k->matmul + k->attention) / d->peak;
        double moving = d->bytes_per_s > 0 ? k->bytes * d->number_bytes / 4 / d->bytes_per_s : 0, times = per * k->times;
        w->matmul += times * k->matmul;
        w->attention += times * k->attention;
        w->arithmetic_s += times * arithmetic;
        w->waiting_s += times * fmax(0, moving - arithmetic);
    }
}

enum sp_status sp_work_count(const struct sp_model_config *c, int64_t sequences, int64_t tokens, const struct sp_rate_of *d, struct sp_memo *memo,
                             struct sp_work *out, struct sp_err *err)
{
    struct { int64_t sequences, tokens; } key = { sequences, tokens };
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = sequences, .tokens = c->family == SP_FAMILY_MLP ? 1 : tokens, .compute = SP_F32,
                          .stored = SP_F32, .cached = SP_F32 };
    struct sp_model_config longer = *c;
    struct ops counted = { 0 };
    if (longer.context < tokens && longer.family != SP_FAMILY_MLP)
        longer.context = tokens;
    const struct ops *o = sp_memo_find(memo, sp_memo_work, &key, sizeof key);
    if (!o) {
        TRY(walk(&longer, &b, &counted, err));
        sp_memo_put(memo, sp_memo_work, &key, sizeof key, &counted, sizeof counted);
        o = &counted;
    }
    struct sp_work w = { .streams = (double)c->width, .layers = c->layers };
    price(o, d, 1 / ((double)sequences * (double)b.tokens), &w);
    *out = w;
    return SP_OK;
}
