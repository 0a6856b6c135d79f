/* graph/grad.c - reverse mode, as a rewrite that adds ordinary nodes.
 *
 * Gradients of parameters are accumulated in place into the state "grad/NAME".
 * Where the node that makes a contribution has an empty accumulator operand
 * (see alias in struct sp_op), the state goes in there and nothing is added.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "ops.h"

struct grad {
    struct sp_graph *g;
    int n;             /* nodes of the forward graph                            */
    sp_ref *d;         /* [n * SP_OUT_MAX]: gradient of each output, or SP_NONE  */
    sp_ref *into;      /* [n]: where a parameter's gradient stands now           */
};

static const char *scoped(struct sp_graph *g, const char *prefix, const char *name)
{
    const char *s = sp_arena_printf(&g->mem, "%s%s", prefix, name);
    if (!s && !g->status)
        g->status = sp_fail(&g->err, SP_NOMEM, "no memory for a node's name");
    return s;
}

/* The states come first, so that any node may refer to them. */
static void add_states(struct grad *r)
{
    for (int v = 0; v < r->n && !r->g->status; v++) {
        const struct sp_node *n = &r->g->node[v];
        if (n->op != &sp_op_state || !n->trainable)
            continue;
        struct sp_type t = n->out[0];
        t.format = SP_F32;
        const char *name = scoped(r->g, "grad/", n->name);
        r->into[v] = name ? sp_graph_state(r->g, name, SP_STATE_GRAD, false, t) : SP_NONE;
    }
}

/* The empty accumulator of the node behind `from`, or -1.  A chain of
 * accumulations is followed to its first link. */
static int accumulator(const struct sp_graph *g, sp_ref from, sp_ref now, int *node)
{
    for (sp_ref at = from;;) {
        const struct sp_node *n = &g->node[at.node];
        int i = n->op->alias[at.out] - 1;
        if (i < n->op->n_in_min || n->op->must_alias || n->op->view || n->out[at.out].format != SP_F32)
            return -1;
        if (i >= n->n_in || !sp_is(n->in[i])) {
            *node = at.node;
            return now.node < at.node || g->node[now.node].op == &sp_op_state ? i : -1;
        }
        at = n->in[i];
    }
}

/* Only this op's own rule refers to din[i]: it made the node just now and hands it out once, or it was made for
 * this very operand (given_grad).  A gradient passed through may have other readers, some still to come. */
static bool sole(const struct sp_node *n, const sp_ref *din, int i, int made_from)
{
    for (int j = 0; j < n->n_in; j++)
        if (j != i && din[j].node == din[i].node && din[j].out == din[i].out)
            return false;
    if (n->op == &sp_op_given_grad)
        return din[i].node == n->in[i + 1].node;
    return din[i].node >= made_from;
}

/* Every link of the chain now writes into the state. */
static void mark_chain(struct sp_graph *g, sp_ref from, int first)
{
    for (sp_ref at = from;; at = g->node[at.node].in[g->node[at.node].op->alias[at.out] - 1]) {
        g->node[at.node].in_place = true;
        if (at.node == first)
            return;
    }
}

/* grad/NAME += din. */
static void accumulate(struct grad *r, int param, sp_ref din, bool alone)
{
    struct sp_graph *g = r->g;
    sp_ref now = r->into[param];
    int first = -1, i;
    if (g->status)
        return;
    i = alone ? accumulator(g, din, now, &first) : -1;
    if (i < 0) {
        sp_ref sum = SP_ADD(g, &sp_op_add, NULL, NULL, now, din);
        if (sp_is(sum))
            g->node[sum.node].in_place = true;
        r->into[param] = sum;
        return;
    }
    struct sp_node *n = &g->node[first];
    for (int j = n->n_in; j < i; j++)
        n->in[j] = SP_NONE;
    n->in[i] = now;
    n->n_in = n->n_in > i + 1 ? n->n_in : i + 1;
    mark_chain(g, din, first);
    r->into[param] = din;
}

static void flow(struct grad *r, sp_ref to, sp_ref din, bool alone)
{
    struct sp_graph *g = r->g;
    if (g->node[to.node].op == &sp_op_state) {
        if (g->node[to.node].trainable)
            accumulate(r, to.node, din, alone);
        return;
    }
    sp_ref *d = &r->d[to.node * SP_OUT_MAX + to.out];
    *d = sp_is(*d) ? SP_ADD(g, &sp_op_add, NULL, NULL, *d, din) : din;
}

static bool any(const sp_ref *d, int n)
{
    for (int i = 0; i < n; i++)
        if (sp_is(d[i]))
            return true;
    return false;
}

static enum sp_status backward(struct grad *r, int v)
{
    struct sp_graph *g = r->g;
    const struct sp_node n = g->node[v];
    const sp_ref *dout = &r->d[v * SP_OUT_MAX];
    sp_ref din[SP_IN_MAX];
    if (!n.needs_grad || n.op == &sp_op_state || !any(dout, n.n_out))
        return SP_OK;
    if (!n.op->grad)
        return sp_fail(&g->err, SP_UNSUPPORTED, "%s: %s has no gradient", n.name, n.op->name);
    for (int i = 0; i < SP_IN_MAX; i++)
        din[i] = SP_NONE;
    sp_graph_scope(g, n.layer, "d/%.100s/", n.name);
    int made_from = g->n;
    n.op->grad(g, v, dout, din);
    for (int i = 0; i < n.n_in && !g->status; i++)
        if (sp_is(din[i]) && sp_graph_needs_grad(g, n.in[i]))
            flow(r, n.in[i], din[i], sole(&n, din, i, made_from));
    return g->status;
}

enum sp_status sp_graph_grad(struct sp_graph *g, sp_ref loss, struct sp_err *err)
{
    struct grad r = { .g = g, .n = g->n };
    TRY(sp_graph_status(g, err));
    if (!sp_is(loss) || sp_type_elements(sp_graph_type(g, loss)) != 1)
        return sp_fail(err, SP_SHAPE, "a gradient wants a scalar loss");
    r.d = sp_alloc((size_t)g->n * SP_OUT_MAX * sizeof *r.d);
    r.into = sp_alloc((size_t)g->n * sizeof *r.into);
    if (!r.d || !r.into) {
        sp_free(r.d);
        sp_free(r.into);
        return sp_fail(err, SP_NOMEM, "no memory for the gradient of %d nodes", g->n);
    }
    for (int i = 0; i < r.n * SP_OUT_MAX; i++)
        r.d[i] = SP_NONE;
    for (int i = 0; i < r.n; i++)
        r.into[i] = SP_NONE;
    add_states(&r);
    g->part = SP_PART_BACKWARD;
    sp_graph_scope(g, -1, "d/");
    r.d[loss.node * SP_OUT_MAX + loss.out] = sp_graph_add(g, &sp_op_fill, "seed", 0, NULL, SP_ATTR(.f = { 1 }));
    for (int v = loss.node; v >= 0 && !g->status; v--)
        if (backward(&r, v))
            g->status = g->err.status;
    g->part = SP_PART_FORWARD;
    sp_graph_scope(g, -1, "%s", "");
    sp_free(r.d);
    sp_free(r.into);
    return sp_graph_status(g, err);
}
