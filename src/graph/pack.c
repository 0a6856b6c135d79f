/* graph/pack.c - weights laid out for the row that reads them.
 *
 * A matrix product whose row takes b in panels may read them from the state
 * "pack/tT/NAME", which a pack node in `refresh` writes: once for constant weights,
 * after every update for trained ones.  Panels cost as much memory as the weights,
 * so only products that gain by it are rewritten: a handful of rows, where making the
 * panels on the way is a large part of the work (1.4 to 1.6 times at 8 rows); from
 * 64 rows on the gain is 3 to 10 %, and up to 4 rows the weights are read as stored.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "ops.h"

enum { ROWS_FROM = 5, ROWS_TO = 63 };

/* Bytes of the panels the machine's row wants of this product's b; 0: it stays as it is. */
static int64_t panel_bytes(const struct sp_graph *g, const struct sp_node *n, const struct sp_machine *m)
{
    struct sp_gemm_args a;
    struct sp_type types[SP_IN_MAX];
    if (n->op != &sp_op_matmul || g->node[n->in[1].node].op != &sp_op_state || g->node[n->in[1].node].state_kind != SP_STATE_PARAM)
        return 0;
    for (int i = 0; i < SP_IN_MAX; i++)
        types[i] = *sp_graph_type(g, i < n->n_in ? n->in[i] : SP_NONE);
    n->op->args(n, types, &a);
    if (a.m < ROWS_FROM || a.m > ROWS_TO)
        return 0;
    const struct sp_kernel_row *row = sp_kernel_pick(&sp_kernel_gemm, m->features, &a);
    return row->pack_bytes ? row->pack_bytes(&a) : 0;
}

static void write_panels(struct sp_graph *refresh, const struct sp_node *param, const char *name, int trans, int64_t bytes)
{
    if (sp_is(sp_graph_find(refresh, name)))
        return;
    sp_ref w = sp_graph_state(refresh, param->name, param->state_kind, param->trainable, param->out[0]);
    sp_ref into = sp_graph_state(refresh, name, SP_STATE_PACKED, false, SP_TYPE(SP_BYTES, bytes));
    sp_ref p = SP_ADD(refresh, &sp_op_pack, NULL, SP_ATTR(.i = { trans, bytes }), w, into);
    if (sp_is(p))
        refresh->node[p.node].in_place = true;
}

static void read_panels(struct sp_graph *user, int v, const char *name, int64_t bytes)
{
    sp_ref panels = sp_graph_state(user, name, SP_STATE_PACKED, false, SP_TYPE(SP_BYTES, bytes));
    struct sp_node *n = &user->node[v];
    const struct sp_type *w = sp_graph_type(user, n->in[1]);
    n->attr.i[1] = n->attr.i[0] & 2 ? sp_type_rows(w) : sp_type_cols(w);
    n->attr.i[2] = w->format;
    n->in[1] = panels;
}

enum sp_status sp_graph_pack(struct sp_graph *user, struct sp_graph *refresh, const struct sp_machine *m, struct sp_err *err)
{
    int n = user->n;
    for (int v = 0; v < n && !user->status && !refresh->status; v++) {
        int64_t bytes = panel_bytes(user, &user->node[v], m);
        if (!bytes)
            continue;
        const struct sp_node param = user->node[user->node[v].in[1].node];
        char *name = sp_arena_printf(&user->mem, "pack/t%d/%s", (int)(user->node[v].attr.i[0] & 2), param.name);
        if (!name)
            return sp_fail(err, SP_NOMEM, "no memory for a node's name");
        write_panels(refresh, &param, name, (int)user->node[v].attr.i[0], bytes);
        read_panels(user, v, name, bytes);
    }
    TRY(sp_graph_status(refresh, err));
    return sp_graph_status(user, err);
}
