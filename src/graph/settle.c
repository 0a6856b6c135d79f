/* graph/settle.c - nodes added last stand right behind what they need.
 *
 * A value lives until the last node that reads it: what a rewrite adds at the end (statistics of
 * every layer, say) would keep all of a graph's values alive at once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"
#include "names.h"
#include "ops.h"

struct settling { struct sp_graph *g; int from; int32_t *behind, *next, *now; struct sp_node *node; struct sp_name_map *names; };

/* The last of a node's inputs that is no late node, found through those that are. */
static int32_t after(const struct settling *s, int v)
{
    const struct sp_node *n = &s->g->node[v];
    int32_t last = -1;
    for (int i = 0; i < n->n_in; i++) {
        int32_t in = n->in[i].node;
        if (!sp_is(n->in[i]) || s->g->node[in].op == &sp_op_state)
            continue;
        in = in >= s->from ? s->behind[in] : in;
        last = in > last ? in : last;
    }
    return last;
}

static bool append(struct settling *s, int32_t v, int32_t *n)
{
    s->now[v] = *n;
    s->node[*n] = s->g->node[v];
    return sp_names_put(s->names, s->g->node[v].name, (*n)++);
}

/* next: late nodes behind the same node, in their order; the list of node v begins at next[n + 1 + v], of those behind none at next[n]. */
static bool order(struct settling *s)
{
    int32_t n = 0, all = s->g->n;
    bool ok = true;
    for (int32_t i = 0; i < 2 * all + 1; i++)
        s->next[i] = -1;
    for (int32_t v = s->from; v < all; v++)
        s->behind[v] = after(s, v);
    for (int32_t v = all - 1; v >= s->from; v--) {
        int32_t head = all + 1 + s->behind[v];
        s->next[v] = s->next[head];
        s->next[head] = v;
    }
    for (int32_t v = -1; v < s->from; v++) {
        if (v >= 0)
            ok = ok && append(s, v, &n);
        for (int32_t late = s->next[all + 1 + v]; late >= 0; late = s->next[late])
            ok = ok && append(s, late, &n);
    }
    return ok;
}

static void take_place(struct settling *s)
{
    struct sp_graph *g = s->g;
    for (int v = 0; v < g->n; v++)
        for (int i = 0; i < s->node[v].n_in; i++)
            if (sp_is(s->node[v].in[i]))
                s->node[v].in[i].node = s->now[s->node[v].in[i].node];
    sp_free(g->node);
    sp_names_free(g->names);
    g->node = s->node;
    g->names = s->names;
    g->cap = g->n;
}

enum sp_status sp_graph_settle(struct sp_graph *g, int from, struct sp_err *err)
{
    size_t n = (size_t)g->n;
    TRY(sp_graph_status(g, err));
    struct settling s = { .g = g, .from = from, .names = sp_names_new(), .node = sp_alloc((n + 1) * sizeof *s.node) };
    s.behind = sp_alloc((4 * n + 2) * sizeof *s.behind);
    bool ok = s.names && s.node && s.behind;
    if (ok) {
        s.now = s.behind + n;
        s.next = s.now + n;
        ok = order(&s);
    }
    if (ok)
        take_place(&s);
    sp_free(s.behind);
    if (ok)
        return SP_OK;
    sp_free(s.node);
    sp_names_free(s.names);
    return sp_fail(err, SP_NOMEM, "no memory to rewrite a graph of %d nodes", g->n);
}
