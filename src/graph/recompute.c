/* graph/recompute.c - trade time for memory: of each layer only what enters it
 * (full) or what is dear to compute (selective) is kept; before its backward pass
 * the rest is computed again.
 *
 * Chen, Xu, Zhang, Guestrin 2016, "Training deep nets with sublinear memory
 * cost", with one segment a layer; Korthikanti et al. 2022, "Reducing activation
 * recomputation in large transformer models".  A recomputed dropout keeps its key.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "names.h"
#include "ops.h"

struct copy {
    const struct sp_graph *from;
    struct sp_graph *to;
    int32_t *now;      /* [n]: the node's number in the new graph          */
    int32_t *again;    /* [n]: its recomputed twin, or -1                  */
    bool *wanted;      /* [n]: a backward node of its layer needs its value, computed again */
    enum sp_recompute which;
};

static bool from_outside(const struct sp_node *n)
{
    return n->op == &sp_op_state || n->op == &sp_op_input;
}

static bool forward_in(const struct sp_graph *g, int v, int layer)
{
    const struct sp_node *n = &g->node[v];
    return n->layer == layer && n->part == SP_PART_FORWARD && !from_outside(n);
}

/* Appends a copy of node v; `twin`: inputs prefer recomputed values. */
static int32_t append_copy(struct copy *c, int v, bool twin, const char *name)
{
    struct sp_node n = c->from->node[v];
    struct sp_graph *g = c->to;
    for (int i = 0; i < n.n_in; i++)
        if (sp_is(n.in[i])) {
            int32_t at = n.in[i].node;
            n.in[i].node = twin && c->again[at] >= 0 ? c->again[at] : c->now[at];
        }
    n.name = name ? name : sp_arena_printf(&g->mem, "%s", n.name);
    if (g->n == g->cap) {
        int cap = g->cap ? 2 * g->cap : 2 * c->from->n;
        struct sp_node *more = sp_realloc(g->node, (size_t)cap * sizeof *more);
        if (!more)
            return -1;
        g->node = more;
        g->cap = cap;
    }
    if (!n.name || !sp_names_put(g->names, n.name, g->n))
        return -1;
    g->node[g->n] = n;
    return g->n++;
}

static bool again(const struct copy *c, int v, int layer)
{
    return forward_in(c->from, v, layer) && (c->which == SP_RECOMPUTE_FULL || c->from->node[v].op->cheap);
}

/* Forward nodes of a layer that its backward nodes need, directly or through others of the layer. */
static void find_wanted(struct copy *c)
{
    const struct sp_graph *g = c->from;
    for (int v = g->n - 1; v >= 0; v--) {
        const struct sp_node *n = &g->node[v];
        bool asks = n->part == SP_PART_BACKWARD || c->wanted[v];
        for (int i = 0; asks && n->layer >= 0 && i < n->n_in; i++)
            if (sp_is(n->in[i]) && again(c, n->in[i].node, n->layer))
                c->wanted[n->in[i].node] = true;
    }
}

static bool repeat_layer(struct copy *c, int layer)
{
    for (int v = 0; v < c->from->n; v++) {
        if (!c->wanted[v] || !forward_in(c->from, v, layer))
            continue;
        const char *name = sp_arena_printf(&c->to->mem, "again/%s", c->from->node[v].name);
        c->again[v] = name ? append_copy(c, v, true, name) : -1;
        if (c->again[v] < 0)
            return false;
        c->to->node[c->again[v]].part = SP_PART_RECOMPUTE;
    }
    return true;
}

/* What comes from outside goes first: an accumulating node may stand before the state it adds to. */
static bool copy_all(struct copy *c)
{
    const struct sp_graph *g = c->from;
    int repeated = -1;
    for (int v = 0; v < g->n; v++)
        if (from_outside(&g->node[v]) && (c->now[v] = append_copy(c, v, false, NULL)) < 0)
            return false;
    for (int v = 0; v < g->n; v++) {
        if (from_outside(&g->node[v]))
            continue;
        bool back = g->node[v].part == SP_PART_BACKWARD && g->node[v].layer >= 0;
        if (back && g->node[v].layer != repeated) {
            repeated = g->node[v].layer;
            if (!repeat_layer(c, repeated))
                return false;
        }
        c->now[v] = append_copy(c, v, back, NULL);
        if (c->now[v] < 0)
            return false;
    }
    return true;
}

enum sp_status sp_graph_recompute(struct sp_graph **g, enum sp_recompute which, struct sp_err *err)
{
    TRY(sp_graph_status(*g, err));
    if (which == SP_RECOMPUTE_NONE)
        return SP_OK;
    struct copy c = { .from = *g, .to = sp_graph_new(), .which = which };
    size_t n = (size_t)(*g)->n + 1;
    c.now = sp_alloc(n * sizeof *c.now);
    c.again = sp_alloc(n * sizeof *c.again);
    c.wanted = sp_zalloc(n, sizeof *c.wanted);
    bool ok = c.to && c.now && c.again && c.wanted;
    if (ok) {
        memset(c.again, -1, n * sizeof *c.again);
        find_wanted(&c);
        ok = copy_all(&c);
    }
    sp_free(c.now);
    sp_free(c.again);
    sp_free(c.wanted);
    if (!ok) {
        sp_graph_free(c.to);
        return sp_fail(err, SP_NOMEM, "no memory to rewrite a graph of %d nodes", (*g)->n);
    }
    sp_graph_free(*g);
    *g = c.to;
    return SP_OK;
}
