/* graph/graph.c - building a graph, node by node.
 *
 * The first failure sticks: builders need no check after every line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"

#include <string.h>

#include "names.h"
#include "ops.h"

struct sp_graph *sp_graph_new(void)
{
    struct sp_graph *g = sp_zalloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->layer = -1;
    g->names = sp_names_new();
    if (!g->names) {
        sp_free(g);
        return NULL;
    }
    return g;
}

void sp_graph_free(struct sp_graph *g)
{
    if (!g)
        return;
    sp_names_free(g->names);
    sp_arena_clear(&g->mem);
    sp_free(g->node);
    sp_free(g);
}

enum sp_status sp_graph_status(const struct sp_graph *g, struct sp_err *err)
{
    if (g->status)
        *err = g->err;
    return g->status;
}

void sp_graph_scope(struct sp_graph *g, int layer, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(g->scope, sizeof g->scope, fmt, ap);
    va_end(ap);
    g->layer = layer;
}

static sp_ref failed(struct sp_graph *g, enum sp_status st)
{
    if (!g->status)
        g->status = st;
    return SP_NONE;
}

static bool grow(struct sp_graph *g)
{
    if (g->n < g->cap)
        return true;
    int cap = g->cap ? 2 * g->cap : 256;
    struct sp_node *more = cap <= SP_NODES_MAX ? sp_realloc(g->node, (size_t)cap * sizeof *more) : NULL;
    if (!more) {
        sp_fail(&g->err, g->n >= SP_NODES_MAX / 2 ? SP_LIMIT : SP_NOMEM, "no room for node %d of the graph (at most %d)",
                g->n + 1, SP_NODES_MAX);
        return false;
    }
    g->node = more;
    g->cap = cap;
    return true;
}

/* Full name of a node: scope and name, or scope, op and the node's number. */
static const char *full_name(struct sp_graph *g, const struct sp_op *op, const char *name, bool scoped)
{
    const char *scope = scoped ? g->scope : "";
    char *s = name ? sp_arena_printf(&g->mem, "%s%s", scope, name)
                   : sp_arena_printf(&g->mem, "%s%s.%d", scope, op->name, g->n);
    if (!s)
        sp_fail(&g->err, SP_NOMEM, "no memory for a node's name");
    else if (sp_names_find(g->names, s) >= 0) {
        sp_fail(&g->err, SP_USAGE, "two nodes are named %s", s);
        return NULL;
    }
    return s;
}

static bool check_inputs(struct sp_graph *g, const struct sp_op *op, const char *name, int n_in, const sp_ref *in)
{
    if (n_in < op->n_in_min || n_in > op->n_in_max || n_in > SP_IN_MAX) {
        sp_fail(&g->err, SP_SHAPE, "%s: %s takes %d to %d inputs, not %d", name, op->name, op->n_in_min, op->n_in_max, n_in);
        return false;
    }
    for (int i = 0; i < n_in; i++) {
        if (!sp_is(in[i]) && i < op->n_in_min) {
            sp_fail(&g->err, SP_SHAPE, "%s: input %d of %s is missing", name, i, op->name);
            return false;
        }
        if (sp_is(in[i]) && (in[i].node >= g->n || in[i].out < 0 || in[i].out >= g->node[in[i].node].n_out)) {
            sp_fail(&g->err, SP_SHAPE, "%s: input %d of %s refers to no node", name, i, op->name);
            return false;
        }
    }
    return true;
}

static void input_types(const struct sp_graph *g, const struct sp_node *n, struct sp_type *t)
{
    for (int i = 0; i < SP_IN_MAX; i++)
        t[i] = i < n->n_in && sp_is(n->in[i]) ? *sp_graph_type(g, n->in[i]) : (struct sp_type){ .n = -1 };
}

static bool types_sound(struct sp_graph *g, const struct sp_node *n)
{
    char buf[80];
    for (int o = 0; o < n->n_out; o++) {
        const struct sp_type *t = &n->out[o];
        int64_t e = 1;
        for (int i = 0; i < t->n; i++)
            if (t->dim[i] < 0 || __builtin_mul_overflow(e, t->dim[i], &e) || e > INT64_MAX / 16) {
                sp_fail(&g->err, SP_SHAPE, "%s: output %d would be %s", n->name, o, sp_type_text(t, buf, sizeof buf));
                return false;
            }
    }
    return true;
}

static sp_ref append(struct sp_graph *g, struct sp_node *n)
{
    if (!sp_names_put(g->names, n->name, g->n))
        return failed(g, sp_fail(&g->err, SP_NOMEM, "no memory for a node's name"));
    g->node[g->n] = *n;
    return (sp_ref){ g->n++, 0 };
}

sp_ref sp_graph_add(struct sp_graph *g, const struct sp_op *op, const char *name, int n_in, const sp_ref *in,
                    const struct sp_attr *attr)
{
    struct sp_node n = { .op = op, .n_in = n_in, .n_out = op->n_out, .layer = g->layer, .part = g->part };
    struct sp_type types[SP_IN_MAX];
    if (g->status)
        return SP_NONE;
    if (!grow(g) || !(n.name = full_name(g, op, name, true)) || !check_inputs(g, op, n.name, n_in, in))
        return failed(g, g->err.status);
    for (int i = 0; i < n_in; i++) {
        n.in[i] = in[i];
        n.needs_grad |= sp_is(in[i]) && g->node[in[i].node].needs_grad;
    }
    for (int i = n_in; i < SP_IN_MAX; i++)
        n.in[i] = SP_NONE;
    n.attr = attr ? *attr : (struct sp_attr){ .format = -1 };
    input_types(g, &n, types);
    if (op->shape(&n, types, &g->err)) {
        sp_where(&g->err, "%s", n.name);
        return failed(g, g->err.status);
    }
    return types_sound(g, &n) ? append(g, &n) : failed(g, g->err.status);
}

/* Inputs and states are shared: asking for the same name again gives the same node. */
static sp_ref shared(struct sp_graph *g, const struct sp_op *op, const char *name, struct sp_type t, struct sp_node *n)
{
    char was[80], now[80];
    if (g->status)
        return SP_NONE;
    int32_t old = sp_names_find(g->names, name);
    if (old >= 0) {
        const struct sp_node *o = &g->node[old];
        if (o->op == op && sp_type_equal(&o->out[0], &t))
            return (sp_ref){ old, 0 };
        return failed(g, sp_fail(&g->err, SP_SHAPE, "%s is %s already, not %s", name,
                                 sp_type_text(&o->out[0], was, sizeof was), sp_type_text(&t, now, sizeof now)));
    }
    if (!grow(g) || !(n->name = full_name(g, op, name, false)))
        return failed(g, g->err.status);
    n->op = op;
    n->n_out = 1;
    n->out[0] = t;
    n->layer = -1;
    for (int i = 0; i < SP_IN_MAX; i++)
        n->in[i] = SP_NONE;
    return types_sound(g, n) ? append(g, n) : failed(g, g->err.status);
}

sp_ref sp_graph_input(struct sp_graph *g, const char *name, struct sp_type t)
{
    return shared(g, &sp_op_input, name, t, &(struct sp_node){ 0 });
}

sp_ref sp_graph_state(struct sp_graph *g, const char *name, enum sp_state_kind kind, bool trainable, struct sp_type t)
{
    struct sp_node n = { .state_kind = kind, .trainable = trainable, .needs_grad = trainable };
    return shared(g, &sp_op_state, name, t, &n);
}

sp_ref sp_graph_find(const struct sp_graph *g, const char *name)
{
    const char *colon = strrchr(name, ':');
    int32_t at = sp_names_find(g->names, name);
    if (at >= 0)
        return (sp_ref){ at, 0 };
    if (!colon || colon[1] < '0' || colon[1] >= '0' + SP_OUT_MAX || colon[2] || colon - name >= 256)
        return SP_NONE;
    char base[256];
    memcpy(base, name, (size_t)(colon - name));
    base[colon - name] = 0;
    at = sp_names_find(g->names, base);
    int out = colon[1] - '0';
    return at >= 0 && out < g->node[at].n_out ? (sp_ref){ at, out } : SP_NONE;
}

const struct sp_type *sp_graph_type(const struct sp_graph *g, sp_ref r)
{
    static const struct sp_type none = { .n = -1 };
    return sp_is(r) ? &g->node[r.node].out[r.out] : &none;
}

bool sp_graph_needs_grad(const struct sp_graph *g, sp_ref r)
{
    return sp_is(r) && g->node[r.node].needs_grad;
}
