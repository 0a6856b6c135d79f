/* bits/tap.c - the rewrite that measures: at every product with a parameter, ordinary
 * nodes add up what enters it, and what its output's gradient is.
 *
 * A forward product is y = x W': its first operand is x.  The product of the backward pass that
 * takes the same parameter as second operand is dx = dy W: its first operand is dy.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bits.h"
#include "../graph/ops.h"

/* What entered a product, and the states in which it is added up; shared by all that take the same. */
struct entered { sp_ref x; const char *x2, *h; };
/* Of a matrix while the graph is walked: its states so far (the last link of each chain), and what entered it last. */
struct walked { sp_ref x, x2, g2, xg, h, energy; };

struct tapping {
    struct sp_graph *g;
    int what, first, last, n_entered;
    struct sp_bits_taps *taps;
    struct walked *walked;         /* [taps->n]             */
    struct entered *entered;       /* [at most g->n]        */
};

static sp_ref add(struct sp_graph *g, const struct sp_op *op, sp_ref a, sp_ref b, const struct sp_attr *attr)
{
    sp_ref in[2] = { a, b };
    return sp_graph_add(g, op, NULL, sp_is(b) ? 2 : 1, in, attr);
}

static void accumulates(struct sp_graph *g, sp_ref r)
{
    if (sp_is(r))
        g->node[r.node].in_place = true;
}

/* A state of the matrix, by the name it will have; NULL when out of memory. */
static const char *state(struct tapping *t, const char *which, const char *matrix, struct sp_type type, sp_ref *at)
{
    const char *name = sp_arena_printf(&t->taps->mem, "stats/%s/%s", which, matrix), *own = name ? sp_arena_printf(&t->g->mem, "%s", name) : NULL;
    if (!own && !t->g->status)
        t->g->status = sp_fail(&t->g->err, SP_NOMEM, "no memory for a tensor's name");
    *at = own ? sp_graph_state(t->g, own, SP_STATE_MOMENT, false, type) : SP_NONE;
    return name;
}

/* into += sum over rows of x. */
static void add_rows(struct sp_graph *g, sp_ref *into, sp_ref x)
{
    *into = add(g, &sp_op_sum_rows, x, *into, NULL);
    accumulates(g, *into);
}

/* into += a' b. */
static void add_outer(struct sp_graph *g, sp_ref *into, sp_ref a, sp_ref b)
{
    sp_ref in[4] = { a, b, SP_NONE, *into };
    *into = sp_graph_add(g, &sp_op_matmul, NULL, 4, in, SP_ATTR(.i = { 1 }));
    accumulates(g, *into);
}

static sp_ref ones(struct sp_graph *g, int64_t rows, int64_t cols)
{
    return sp_graph_add(g, &sp_op_fill, NULL, 0, NULL, SP_ATTR(.i = { 2, rows, cols }, .f = { 1 }));
}

/* ---- what enters ---- */

static bool wants_h(const struct tapping *t, int layer)
{
    return !t->last || (layer >= t->first && layer < t->last);
}

static struct entered *entered(struct tapping *t, sp_ref x)
{
    for (int i = 0; i < t->n_entered; i++)
        if (t->entered[i].x.node == x.node && t->entered[i].x.out == x.out)
            return &t->entered[i];
    return NULL;
}

static void add_input(struct tapping *t, struct walked *w, const struct sp_bits_tap *tap, sp_ref x)
{
    if (sp_is(w->x2))
        add_rows(t->g, &w->x2, add(t->g, &sp_op_square, x, SP_NONE, NULL));
    if (sp_is(w->h))
        add_outer(t->g, &w->h, x, x);
    t->entered[t->n_entered++] = (struct entered){ x, tap->x2, t->what & SP_BITS_H ? tap->h : NULL };
}

static void forward(struct tapping *t, int i, sp_ref x)
{
    struct sp_bits_tap *tap = &t->taps->tap[i];
    struct walked *w = &t->walked[i];
    const struct entered *before = entered(t, x);
    w->x = x;
    if (before && !tap->x2) {
        tap->x2 = before->x2;
        tap->h = before->h;
        return;
    }
    if (before)
        return;
    if (!tap->x2 && t->what & SP_BITS_X2)
        tap->x2 = state(t, "x2", tap->name, SP_TYPE(SP_F32, tap->cols), &w->x2);
    if (!tap->h && t->what & SP_BITS_H && wants_h(t, tap->layer))
        tap->h = state(t, "h", tap->name, SP_TYPE(SP_F32, tap->cols, tap->cols), &w->h);
    add_input(t, w, tap, x);
}

/* ---- the output's gradient ---- */

static void weighted_states(struct tapping *t, struct sp_bits_tap *tap, struct walked *w)
{
    tap->energy = state(t, "energy", tap->name, SP_TYPE(SP_F32, 1), &w->energy);
    if (t->what & SP_BITS_XG)
        tap->xg = state(t, "xg", tap->name, SP_TYPE(SP_F32, tap->cols), &w->xg);
    if (t->what & SP_BITS_HG && wants_h(t, tap->layer))
        tap->h = state(t, "hg", tap->name, SP_TYPE(SP_F32, tap->cols, tap->cols), &w->h);
}

/* x with every row times the energy of that row's gradient: both products are thin. */
static sp_ref weighted(struct tapping *t, const struct sp_bits_tap *tap, struct walked *w, sp_ref square)
{
    struct sp_graph *g = t->g;
    sp_ref energy = add(g, &sp_op_matmul, square, ones(g, tap->rows, 1), NULL);
    add_rows(g, &w->energy, energy);
    return add(g, &sp_op_mul, add(g, &sp_op_matmul, energy, ones(g, 1, tap->cols), NULL), w->x, NULL);
}

static void backward(struct tapping *t, int i, sp_ref dy)
{
    struct sp_bits_tap *tap = &t->taps->tap[i];
    struct walked *w = &t->walked[i];
    struct sp_graph *g = t->g;
    if (!(t->what & (SP_BITS_G2 | SP_BITS_XG | SP_BITS_HG)))
        return;
    sp_ref square = add(g, &sp_op_square, dy, SP_NONE, NULL);
    if (t->what & SP_BITS_G2) {
        if (!tap->g2)
            tap->g2 = state(t, "g2", tap->name, SP_TYPE(SP_F32, tap->rows), &w->g2);
        add_rows(g, &w->g2, square);
    }
    if (!(t->what & (SP_BITS_XG | SP_BITS_HG)) || !sp_is(w->x))
        return;
    if (!tap->energy)
        weighted_states(t, tap, w);
    sp_ref by_energy = weighted(t, tap, w, square);
    if (sp_is(w->xg))
        add_rows(g, &w->xg, add(g, &sp_op_mul, by_energy, w->x, NULL));
    if (t->what & SP_BITS_HG && sp_is(w->h))
        add_outer(g, &w->h, by_energy, w->x);
}

/* ---- the walk ---- */

/* The parameter a value is, perhaps cast or seen otherwise; NULL: something else. */
static const struct sp_node *parameter(const struct sp_graph *g, sp_ref r)
{
    while (sp_is(r)) {
        const struct sp_node *n = &g->node[r.node];
        if (n->op == &sp_op_state)
            return n->state_kind == SP_STATE_PARAM ? n : NULL;
        if (!n->op->view && n->op != &sp_op_cast)
            return NULL;
        r = n->in[0];
    }
    return NULL;
}

static int tap_of(struct tapping *t, const char *matrix, const struct sp_node *n)
{
    const struct sp_type *w = sp_graph_type(t->g, n->in[1]);
    bool turned = !(n->attr.i[0] & 2); /* stored [in, out] */
    for (int i = 0; i < t->taps->n; i++)
        if (!strcmp(t->taps->tap[i].name, matrix))
            return i;
    const char *name = sp_arena_printf(&t->taps->mem, "%s", matrix);
    if (!name)
        return -1;
    t->taps->tap[t->taps->n] = (struct sp_bits_tap){ .name = name, .rows = turned ? sp_type_cols(w) : sp_type_rows(w),
                                                     .cols = turned ? sp_type_rows(w) : sp_type_cols(w), .layer = n->layer };
    t->walked[t->taps->n] = (struct walked){ SP_NONE, SP_NONE, SP_NONE, SP_NONE, SP_NONE, SP_NONE };
    return t->taps->n++;
}

static bool is_product(const struct sp_graph *g, const struct sp_node *n, const struct sp_node **w)
{
    return n->op == &sp_op_matmul && !(n->attr.i[0] & 1) && (n->part == SP_PART_FORWARD || n->part == SP_PART_BACKWARD) && (*w = parameter(g, n->in[1]));
}

static enum sp_status walk(struct tapping *t, int nodes, struct sp_err *err)
{
    struct sp_graph *g = t->g;
    const struct sp_node *w;
    for (int v = 0; v < nodes && !g->status; v++) {
        const struct sp_node n = g->node[v];
        if (!is_product(g, &n, &w))
            continue;
        int i = n.part == SP_PART_FORWARD ? tap_of(t, w->name, &n) : -1;
        for (int k = 0; n.part == SP_PART_BACKWARD && k < t->taps->n; k++)
            i = strcmp(t->taps->tap[k].name, w->name) ? i : k;
        if (i < 0)
            return sp_fail(err, SP_NOMEM, "no memory for the statistics of %s", w->name);
        sp_graph_scope(g, n.layer, "stats/%.90s/", w->name);
        g->part = n.part;
        if (n.part == SP_PART_FORWARD)
            forward(t, i, n.in[0]);
        else
            backward(t, i, n.in[0]);
    }
    g->part = SP_PART_FORWARD;
    sp_graph_scope(g, -1, "%s", "");
    return sp_graph_status(g, err);
}

enum sp_status sp_bits_tap(struct sp_graph *g, int what, int first, int last, struct sp_bits_taps *taps, struct sp_err *err)
{
    struct sp_bits_taps n = { 0 };
    struct tapping t = { .g = g, .what = what, .first = first, .last = last, .taps = &n };
    int nodes = g->n;
    TRY(sp_graph_status(g, err));
    if (what & SP_BITS_H && what & SP_BITS_HG)
        return sp_fail(err, SP_USAGE, "h is either weighted by gradients or isn't");
    n.tap = sp_arena_take(&n.mem, ((size_t)nodes + 1) * sizeof *n.tap);
    t.walked = sp_alloc(((size_t)nodes + 1) * sizeof *t.walked);
    t.entered = sp_alloc(((size_t)nodes + 1) * sizeof *t.entered);
    enum sp_status st = n.tap && t.walked && t.entered ? walk(&t, nodes, err) : sp_fail(err, SP_NOMEM, "no memory for statistics of %d nodes", nodes);
    if (!st)
        st = sp_graph_settle(g, nodes, err);
    sp_free(t.walked);
    sp_free(t.entered);
    if (st)
        sp_bits_taps_clear(&n);
    else
        *taps = n;
    return st;
}

void sp_bits_taps_clear(struct sp_bits_taps *t)
{
    sp_arena_clear(&t->mem);
    *t = (struct sp_bits_taps){ 0 };
}

/* ---- gradients of values without those of parameters ---- */

static bool is_gradient(const struct sp_graph *g, const bool *cut, sp_ref r)
{
    const struct sp_node *n = sp_is(r) ? &g->node[r.node] : NULL;
    return n && ((n->op == &sp_op_state && n->state_kind == SP_STATE_GRAD) || cut[r.node]);
}

/* What adds to a parameter's gradient no longer does: nobody wants it, and lowering leaves it out. */
static void cut_one(struct sp_graph *g, int v, bool *cut)
{
    struct sp_node *n = &g->node[v];
    for (int o = 0; o < n->n_out && n->in_place; o++) {
        int i = n->op->alias[o] - 1;
        if (i < 0 || i >= n->n_in || !is_gradient(g, cut, n->in[i]))
            continue;
        cut[v] = true;
        if (i >= n->op->n_in_min)
            n->in[i] = SP_NONE;
    }
    if (cut[v])
        n->in_place = false;
    if (n->op == &sp_op_given_grad && n->n_in > 3)
        n->n_in = 3;
}

enum sp_status sp_bits_values_only(struct sp_graph *g, struct sp_err *err)
{
    TRY(sp_graph_status(g, err));
    bool *cut = sp_zalloc((size_t)g->n + 1, sizeof *cut);
    if (!cut)
        return sp_fail(err, SP_NOMEM, "no memory to rewrite a graph of %d nodes", g->n);
    for (int v = 0; v < g->n; v++)
        cut_one(g, v, cut);
    sp_free(cut);
    return SP_OK;
}
