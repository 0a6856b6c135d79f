/* model/count.c - what a configuration comes to: parameters, those a token meets, and
 * the cache, read off the graph.
 * SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

/* Of the elements of state v, those that `share` leaves out: experts that a row doesn't choose. */
static int64_t idle(const struct sp_graph *g, int v)
{
    for (int u = v + 1; u < g->n; u++) {
        const struct sp_node *n = &g->node[u];
        if (n->op != &sp_op_expert_matmul || (n->in[1].node != v && n->in[3].node != v))
            continue;
        const struct sp_type *w = &g->node[v].out[0], *index = sp_graph_type(g, n->in[2]);
        return sp_type_elements(w) / w->dim[0] * (w->dim[0] - sp_type_cols(index));
    }
    return 0;
}

static enum sp_status count(const struct sp_model_config *c, bool active, int64_t *out, struct sp_err *err)
{
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = 1, .tokens = 1 };
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = sp_model_build(g, c, &b, err);
    int64_t n = 0;
    for (int v = 0; !st && v < g->n; v++)
        if (g->node[v].op == &sp_op_state && g->node[v].state_kind == SP_STATE_PARAM)
            n += sp_type_elements(&g->node[v].out[0]) - (active && c->experts ? idle(g, v) : 0);
    sp_graph_free(g);
    if (!st)
        *out = n;
    return st;
}

enum sp_status sp_model_parameters(const struct sp_model_config *c, int64_t *out, struct sp_err *err)
{
    return count(c, false, out, err);
}

enum sp_status sp_model_active_parameters(const struct sp_model_config *c, int64_t *out, struct sp_err *err)
{
    return count(c, true, out, err);
}

enum sp_status sp_model_cache_bytes(const struct sp_model_config *c, int64_t positions, enum sp_format format, int64_t *out, struct sp_err *err)
{
    struct sp_model_config wide = *c;
    struct sp_build b = { .mode = SP_BUILD_SERVE, .batch = 1, .tokens = 1, .cache = positions, .cached = format, .rings = true };
    struct sp_graph *g = sp_graph_new();
    if (wide.context < positions)
        wide.context = positions; /* learned positions don't bound what a cache would take */
    enum sp_status st = sp_model_build(g, &wide, &b, err);
    int64_t n = 0;
    for (int v = 0; !st && v < g->n; v++)
        if (g->node[v].op == &sp_op_state && g->node[v].state_kind == SP_STATE_CACHE)
            n += sp_type_bytes(&g->node[v].out[0]);
    sp_graph_free(g);
    if (!st)
        *out = n;
    return st;
}
