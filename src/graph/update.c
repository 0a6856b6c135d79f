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

/* The sum of squares of all gradients, one after the other in node order. */
static sp_ref sum_of_squares(struct sp_graph *u, const struct sp_graph *micro)
{
    sp_ref sum = SP_NONE;
    for (int v = 0; v < micro->n; v++)
        if (is_gradient(&micro->node[v])) {
            sp_ref in[2] = { gradient(u, &micro->node[v]), sum };
            sum = sp_graph_add(u, &sp_op_sumsq, NULL, sp_is(sum) ? 2 : 1, in, NULL);
        }
    return sum;
}

struct common { sp_ref factor, lr, step; };

static void update_one(struct sp_graph *u, const struct sp_graph *micro, const struct sp_node *grad, const struct sp_adamw *o,
                       const struct common *c)
{
    const char *name = strchr(grad->name, '/') + 1;
    const struct sp_node *param = &micro->node[sp_graph_find(micro, name).node];
    bool decays = o->decays ? o->decays(name, &param->out[0]) : param->out[0].n > 1;
    sp_ref p = sp_graph_state(u, name, SP_STATE_PARAM, true, param->out[0]);
    sp_ref m = sp_graph_state(u, prefixed(u, "m/", name), SP_STATE_MOMENT, false, grad->out[0]);
    sp_ref v = sp_graph_state(u, prefixed(u, "v/", name), SP_STATE_MOMENT, false, grad->out[0]);
    SP_ADD(u, &sp_op_adamw, prefixed(u, "adamw/", name),
           SP_ATTR(.f = { o->beta1, o->beta2, o->eps, decays ? o->decay : 0 }), p, gradient(u, grad), m, v, c->factor, c->lr, c->step);
}

enum sp_status sp_graph_adamw(struct sp_graph *update, const struct sp_graph *micro, const struct sp_adamw *o, struct sp_err *err)
{
    struct sp_graph *u = update;
    u->part = SP_PART_UPDATE;
    sp_ref sum = sum_of_squares(u, micro);
    if (!sp_is(sum) && !u->status)
        return sp_fail(err, SP_USAGE, "there is no gradient to update with: nothing is trainable");
    sp_ref max_norm = sp_graph_input(u, "max_norm", SP_TYPE(SP_F32, 1));
    struct common c = { .factor = SP_ADD(u, &sp_op_clip, "clip", NULL, sum, max_norm),
                        .lr = sp_graph_input(u, "lr", SP_TYPE(SP_F32, 1)),
                        .step = sp_graph_input(u, "step", SP_TYPE(SP_I32, 1)) };
    for (int v = 0; v < micro->n && !u->status; v++)
        if (is_gradient(&micro->node[v]))
            update_one(u, micro, &micro->node[v], o, &c);
    return sp_graph_status(u, err);
}
