/* graph/update.c - the optimizer's program: global clipping, then AdamW for
 * every parameter whose gradient the micro-step accumulates.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "ops.h"

static const char *prefixed(struct sp_graph *g, const char *prefix, const char *name)
{
    const char *s = sp_arena_printf(&g->mem, "%s%s", prefix, name);
    if (!s && !g->status)
        g->status = sp_fail(&g->err, SP_NOMEM, "no memory for a node's name");
    return s ? s : "";
}

static sp_ref gradient(struct sp_graph *u, const struct sp_node *n)
{
    return sp_graph_state(u, n->name, SP_STATE_GRAD, false, n->out[0]);
}

static bool is_gradient(const struct sp_node *n)
{
    return n->op == &sp_op_state && n->state_kind == SP_STATE_GRAD;
}

static struct sp_share share(const struct sp_node *grad, const struct sp_adamw *o)
{
    return sp_share_of(sp_type_elements(&grad->out[0]), o->rank, o->ranks);
}

/* The rank's share of a state, as a view: all of it where there are no others. */
static sp_ref part_of(struct sp_graph *u, sp_ref whole, struct sp_share s, const struct sp_adamw *o)
{
    return o->ranks > 1 ? SP_ADD(u, &sp_op_view, NULL, SP_ATTR(.i = { s.from, 1, s.count }), whole) : whole;
}

/* The sum of squares of all gradients, one after the other in node order. */
static sp_ref sum_of_squares(struct sp_graph *u, const struct sp_graph *micro, const struct sp_adamw *o)
{
    int last = micro->n - 1;
    sp_ref sum = SP_NONE;
    while (last >= 0 && !(is_gradient(&micro->node[last]) && share(&micro->node[last], o).count))
        last--;
    for (int v = 0; v <= last; v++) {
        const struct sp_node *n = &micro->node[v];
        if (!is_gradient(n) || !share(n, o).count)
            continue;
        sp_ref in[2] = { part_of(u, gradient(u, n), share(n, o), o), sum };
        sum = sp_graph_add(u, &sp_op_sumsq, o->ranks > 1 && v == last ? "norm" : NULL, sp_is(sum) ? 2 : 1, in, NULL);
    }
    return sum;
}

enum sp_status sp_graph_norm(struct sp_graph *norm, const struct sp_graph *micro, const struct sp_adamw *o, struct sp_err *err)
{
    norm->part = SP_PART_UPDATE;
    sum_of_squares(norm, micro, o);
    return sp_graph_status(norm, err);
}

struct common { sp_ref factor, lr, step; };

static void update_one(struct sp_graph *u, const struct sp_graph *micro, const struct sp_node *grad, const struct sp_adamw *o,
                       const struct common *c)
{
    const char *name = strchr(grad->name, '/') + 1;
    const struct sp_node *param = &micro->node[sp_graph_find(micro, name).node];
    bool decays = o->decays ? o->decays(name, &param->out[0]) : param->out[0].n > 1;
    struct sp_share s = share(grad, o);
    if (!s.count)
        return;
    struct sp_type moment = o->ranks > 1 ? SP_TYPE(SP_F32, s.count) : grad->out[0];
    sp_ref p = part_of(u, sp_graph_state(u, name, SP_STATE_PARAM, true, param->out[0]), s, o);
    sp_ref m = sp_graph_state(u, prefixed(u, "m/", name), SP_STATE_MOMENT, false, moment);
    sp_ref v = sp_graph_state(u, prefixed(u, "v/", name), SP_STATE_MOMENT, false, moment);
    SP_ADD(u, &sp_op_adamw, prefixed(u, "adamw/", name), SP_ATTR(.f = { o->beta1, o->beta2, o->eps, decays ? o->decay : 0 }), p,
           part_of(u, gradient(u, grad), s, o), m, v, c->factor, c->lr, c->step);
}

static bool any_gradient(const struct sp_graph *micro)
{
    int v = 0;
    while (v < micro->n && !is_gradient(&micro->node[v]))
        v++;
    return v < micro->n;
}

enum sp_status sp_graph_adamw(struct sp_graph *update, const struct sp_graph *micro, const struct sp_adamw *o, struct sp_err *err)
{
    struct sp_graph *u = update;
    u->part = SP_PART_UPDATE;
    if (!any_gradient(micro))
        return sp_fail(err, SP_USAGE, "there is no gradient to update with: nothing is trainable");
    sp_ref sum = o->ranks > 1 ? sp_graph_input(u, "sumsq", SP_TYPE(SP_F32, 1)) : sum_of_squares(u, micro, o);
    sp_ref max_norm = sp_graph_input(u, "max_norm", SP_TYPE(SP_F32, 1));
    struct common c = { .factor = SP_ADD(u, &sp_op_clip, "clip", NULL, sum, max_norm),
                        .lr = sp_graph_input(u, "lr", SP_TYPE(SP_F32, 1)),
                        .step = sp_graph_input(u, "step", SP_TYPE(SP_I32, 1)) };
    for (int v = 0; v < micro->n && !u->status; v++)
        if (is_gradient(&micro->node[v]))
            update_one(u, micro, &micro->node[v], o, &c);
    return sp_graph_status(u, err);
}
