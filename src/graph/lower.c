/* graph/lower.c - from graph to program: what is needed, in which buffer, with
 * which kernel row.
 *
 * Time is the node's number.  A buffer may hold several values: a view, an
 * output written over its input.  Values whose buffer is a state entry stay
 * there; a node that writes into one is always needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "layout.h"
#include "ops.h"
#include "state.h"

struct value { int32_t span, root, last; int64_t at; }; /* root: the state node it lives in, or -1 */
struct lowering {
    const struct sp_graph *g;
    const struct sp_machine *m;
    struct sp_state *state;
    struct sp_program *p;
    struct value *value;   /* [n * SP_OUT_MAX] */
    int64_t *state_at;     /* [n]              */
    struct sp_span *span;  /* [n * (SP_OUT_MAX + 1)] */
    int32_t *work;         /* [n]: span of the workspace, or -1 */
    bool *needed;
    int n_span;
};

static struct value *value_of(const struct lowering *l, sp_ref r)
{
    return &l->value[r.node * SP_OUT_MAX + r.out];
}

/* The input that output o of n is written over whatever else, or SP_NONE. */
static sp_ref over(const struct sp_node *n, int o)
{
    if (n->op->view)
        return o ? SP_NONE : n->in[0];
    int i = n->op->alias[o] - 1;
    return i >= 0 && i < n->n_in && (n->op->must_alias || n->in_place) ? n->in[i] : SP_NONE;
}

static bool is_step(const struct sp_node *n)
{
    return n->op != &sp_op_input && n->op != &sp_op_state && !n->op->view;
}

/* ---- what is needed ---- */

static void find_roots(struct lowering *l)
{
    for (int v = 0; v < l->g->n; v++)  /* first: an accumulating node may stand before the state it adds to */
        for (int o = 0; o < SP_OUT_MAX; o++)
            *value_of(l, (sp_ref){ v, o }) = (struct value){ .span = -1, .root = l->g->node[v].op == &sp_op_state ? v : -1, .last = v };
    for (int v = 0; v < l->g->n; v++) {
        const struct sp_node *n = &l->g->node[v];
        for (int o = 0; o < n->n_out; o++) {
            sp_ref from = over(n, o);
            if (!sp_is(from))
                continue;
            value_of(l, (sp_ref){ v, o })->root = value_of(l, from)->root;
            l->needed[v] |= is_step(n) && value_of(l, from)->root >= 0;
        }
    }
}

static enum sp_status mark_wanted(struct lowering *l, const char *const *want, int n_want, struct sp_err *err)
{
    for (int i = 0; i < n_want; i++) {
        sp_ref r = sp_graph_find(l->g, want[i]);
        if (!sp_is(r))
            return sp_fail(err, SP_MISSING, "the graph has no value named %s", want[i]);
        l->needed[r.node] = true;
        value_of(l, r)->last = l->g->n;
    }
    return SP_OK;
}

/* Backwards: inputs of needed nodes are needed, and alive as long as what stands in their place. */
static void mark_needed(struct lowering *l)
{
    for (int v = l->g->n - 1; v >= 0; v--) {
        const struct sp_node *n = &l->g->node[v];
        if (!l->needed[v])
            continue;
        for (int o = 0; o < n->n_out; o++) {
            sp_ref from = over(n, o);
            int32_t last = value_of(l, (sp_ref){ v, o })->last;
            if (sp_is(from) && value_of(l, from)->last < last)
                value_of(l, from)->last = last;
        }
        for (int i = 0; i < n->n_in; i++) {
            if (!sp_is(n->in[i]))
                continue;
            l->needed[n->in[i].node] = true;
            if (value_of(l, n->in[i])->last < v)
                value_of(l, n->in[i])->last = v;
        }
    }
}

/* ---- in which buffer ---- */

static int new_span(struct lowering *l, int64_t bytes, int32_t from, int32_t to)
{
    l->span[l->n_span] = (struct sp_span){ .bytes = bytes, .from = from, .to = to };
    return l->n_span++;
}

/* Output o may take over the buffer of an input that dies here. */
static bool take_over(struct lowering *l, int v, int o)
{
    const struct sp_node *n = &l->g->node[v];
    int i = n->op->alias[o] - 1;
    if (i < 0 || i >= n->n_in || !sp_is(n->in[i]))
        return false;
    struct value *from = value_of(l, n->in[i]), *to = value_of(l, (sp_ref){ v, o });
    if (from->span < 0 || from->at || l->g->node[n->in[i].node].op == &sp_op_input)
        return false;
    struct sp_span *s = &l->span[from->span];
    if (s->to != v || s->bytes != sp_type_bytes(&n->out[o]))
        return false;
    for (int p = 0; p < o; p++)
        if (value_of(l, (sp_ref){ v, p })->span == from->span)
            return false;
    *to = (struct value){ .span = from->span, .root = -1, .last = to->last };
    s->to = to->last;
    return true;
}

static enum sp_status place_outputs(struct lowering *l, int v, struct sp_err *err)
{
    const struct sp_node *n = &l->g->node[v];
    for (int o = 0; o < n->n_out; o++) {
        struct value *to = value_of(l, (sp_ref){ v, o });
        sp_ref from = over(n, o);
        if (sp_is(from)) {
            const struct sp_type *t = sp_graph_type(l->g, from);
            int64_t shift = n->op->view ? sp_format_bytes(t->format, n->attr.i[0]) : 0;
            if (shift + sp_type_bytes(&n->out[o]) > sp_type_bytes(t) || shift < 0)
                return sp_fail(err, SP_SHAPE, "%s: output %d does not fit over its input", n->name, o);
            *to = (struct value){ value_of(l, from)->span, value_of(l, from)->root, to->last, value_of(l, from)->at + shift };
        } else if (n->op->optional_out >> o & 1 && to->last == v) {
            continue;
        } else if (!take_over(l, v, o)) {
            to->span = new_span(l, sp_type_bytes(&n->out[o]), v, to->last);
        }
    }
    if (n->work_bytes)
        l->work[v] = new_span(l, n->work_bytes, v, v);
    return SP_OK;
}

static enum sp_status place(struct lowering *l, struct sp_err *err)
{
    for (int v = 0; v < l->g->n; v++) {
        const struct sp_node *n = &l->g->node[v];
        l->work[v] = -1;
        if (!l->needed[v])
            continue;
        if (n->op == &sp_op_state)
            TRY(sp_state_add(l->state, n, &l->state_at[v], err));
        else if (n->op == &sp_op_input)
            value_of(l, (sp_ref){ v, 0 })->span = new_span(l, sp_type_bytes(&n->out[0]), 0, l->g->n);
        else
            TRY(place_outputs(l, v, err));
        l->p->n += is_step(n);
        l->p->n_named += n->op == &sp_op_input;
    }
    return sp_layout(l->span, l->n_span, l->g->n + 1, &l->p->arena_bytes, &l->p->live_bytes, err);
}

static struct sp_place place_of(const struct lowering *l, sp_ref r)
{
    if (!sp_is(r))
        return (struct sp_place){ .none = true };
    const struct value *v = value_of(l, r);
    if (v->root >= 0)
        return (struct sp_place){ .at = l->state_at[v->root] + v->at, .in_state = true };
    if (v->span < 0)
        return (struct sp_place){ .none = true };
    return (struct sp_place){ .at = l->span[v->span].at + v->at };
}

/* ---- with which kernel row ---- */

static struct sp_place pointer_place(const struct lowering *l, int v, enum sp_field_kind kind, int *in, int *out)
{
    const struct sp_node *n = &l->g->node[v];
    if (kind == SP_FIELD_IN)
        return *in < n->n_in ? place_of(l, n->in[(*in)++]) : ((*in)++, (struct sp_place){ .none = true });
    if (kind == SP_FIELD_OUT)
        return *out < n->n_out ? place_of(l, (sp_ref){ v, (*out)++ }) : ((*out)++, (struct sp_place){ .none = true });
    return l->work[v] < 0 ? (struct sp_place){ .none = true } : (struct sp_place){ .at = l->span[l->work[v]].at };
}

/* Pointers stand in as 64 so that tasks() and fits() can tell which are there. */
static void bind_pointers(const struct lowering *l, int v, struct sp_step *s)
{
    int in = 0, out = 0;
    for (const struct sp_field *f = s->kernel->fields; f->name && f->kind <= SP_FIELD_WORK; f++) {
        struct sp_place at = pointer_place(l, v, f->kind, &in, &out);
        void *p = at.none ? NULL : (void *)(uintptr_t)64;
        memcpy(s->args + f->at, &p, sizeof p);
        s->ptr[s->n_ptr++] = at;
    }
}

static double flops(const struct sp_count *c)
{
    return c->flops_matmul + c->flops_attention + c->flops_other;
}

static enum sp_status make_step(struct lowering *l, int v, struct sp_step *s, struct sp_err *err)
{
    const struct sp_node *n = &l->g->node[v];
    struct sp_count *c = &l->p->count, was = *c;
    struct sp_type types[SP_IN_MAX];
    for (int i = 0; i < SP_IN_MAX; i++)
        types[i] = *sp_graph_type(l->g, i < n->n_in ? n->in[i] : SP_NONE);
    if (n->op->count)
        n->op->count(n, types, c);
    c->steps++;
    s->node = v;
    s->flops = flops(c) - flops(&was);
    s->bytes = c->bytes_read + c->bytes_written - was.bytes_read - was.bytes_written;
    c->flops_by_part[n->part] += s->flops;
    if (!n->op->kernel)
        return n->op->plan_only ? SP_OK : sp_fail(err, SP_UNSUPPORTED, "%s: %s can't be run", n->name, n->op->name);
    s->kernel = n->op->kernel;
    n->op->args(n, types, s->args);
    if (s->kernel->cut)
        s->kernel->cut(s->args, l->m->threads);
    bind_pointers(l, v, s);
    s->row = sp_kernel_pick(s->kernel, l->m->features, s->args);
    if (s->row->scratch_bytes > l->p->scratch_bytes)
        l->p->scratch_bytes = s->row->scratch_bytes;
    return SP_OK;
}

static enum sp_status make_steps(struct lowering *l, struct sp_err *err)
{
    struct sp_program *p = l->p;
    int at = 0;
    p->step = sp_arena_take(&p->mem, (size_t)(p->n + 1) * sizeof *p->step);
    if (!p->step)
        return sp_fail(err, SP_NOMEM, "no memory for a program of %d steps", p->n);
    for (int v = 0; v < l->g->n; v++)
        if (l->needed[v] && is_step(&l->g->node[v]))
            TRY(make_step(l, v, &p->step[at++], err));
    return SP_OK;
}

static enum sp_status name_values(struct lowering *l, const char *const *want, int n_want, struct sp_err *err)
{
    struct sp_program *p = l->p;
    p->named = sp_arena_take(&p->mem, (size_t)(p->n_named + n_want + 1) * sizeof *p->named);
    if (!p->named)
        return sp_fail(err, SP_NOMEM, "no memory for the program's names");
    p->n_named = 0;
    for (int v = 0; v < l->g->n; v++)
        if (l->needed[v] && l->g->node[v].op == &sp_op_input)
            p->named[p->n_named++] = (struct sp_named){ sp_arena_printf(&p->mem, "%s", l->g->node[v].name),
                                                        place_of(l, (sp_ref){ v, 0 }), l->g->node[v].out[0] };
    for (int i = 0; i < n_want; i++) {
        sp_ref r = sp_graph_find(l->g, want[i]);
        if (l->g->node[r.node].op != &sp_op_input)
            p->named[p->n_named++] = (struct sp_named){ sp_arena_printf(&p->mem, "%s", want[i]), place_of(l, r),
                                                        *sp_graph_type(l->g, r) };
    }
    for (int i = 0; i < p->n_named; i++)
        if (!p->named[i].name)
            return sp_fail(err, SP_NOMEM, "no memory for the program's names");
    return SP_OK;
}

static bool allocate(struct lowering *l, size_t n)
{
    l->value = sp_alloc(n * SP_OUT_MAX * sizeof *l->value);
    l->state_at = sp_zalloc(n, sizeof *l->state_at);
    l->span = sp_alloc(n * (SP_OUT_MAX + 1) * sizeof *l->span);
    l->work = sp_alloc(n * sizeof *l->work);
    l->needed = sp_zalloc(n, sizeof *l->needed);
    return l->value && l->state_at && l->span && l->work && l->needed;
}

static enum sp_status lower(struct lowering *l, const char *name, const char *const *want, int n_want, struct sp_err *err)
{
    if (!allocate(l, (size_t)l->g->n + 1) || !(l->p->name = sp_arena_printf(&l->p->mem, "%s", name)))
        return sp_fail(err, SP_NOMEM, "no memory to lower a graph of %d nodes", l->g->n);
    find_roots(l);
    TRY(mark_wanted(l, want, n_want, err));
    mark_needed(l);
    TRY(place(l, err));
    TRY(make_steps(l, err));
    return name_values(l, want, n_want, err);
}

enum sp_status sp_lower(const struct sp_graph *g, const char *name, const char *const *want, int n_want,
                        const struct sp_machine *m, struct sp_state *state, struct sp_program *out, struct sp_err *err)
{
    struct sp_program p = { 0 };
    struct lowering l = { .g = g, .m = m, .state = state, .p = &p };
    TRY(sp_graph_status(g, err));
    enum sp_status st = lower(&l, name, want, n_want, err);
    sp_free(l.value);
    sp_free(l.state_at);
    sp_free(l.span);
    sp_free(l.work);
    sp_free(l.needed);
    if (st) {
        sp_where(err, "program %s", name);
        sp_program_clear(&p);
        return st;
    }
    *out = p;
    return SP_OK;
}

void sp_program_clear(struct sp_program *p)
{
    sp_arena_clear(&p->mem);
    *p = (struct sp_program){ 0 };
}

const struct sp_named *sp_program_find(const struct sp_program *p, const char *name)
{
    for (int i = 0; i < p->n_named; i++)
        if (!strcmp(p->named[i].name, name))
            return &p->named[i];
    return NULL;
}

int sp_program_rows(const struct sp_program *p, struct sp_row_count *out, int max)
{
    int n = 0;
    for (int i = 0; i < p->n; i++) {
        int at = 0;
        while (at < n && out[at].row != p->step[i].row)
            at++;
        if (at == n) {
            if (n == max)
                continue;
            out[n++] = (struct sp_row_count){ .row = p->step[i].row };
        }
        out[at].flops += p->step[i].flops;
        out[at].bytes += p->step[i].bytes;
        out[at].steps++;
    }
    return n;
}
