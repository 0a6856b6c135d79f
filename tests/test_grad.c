/* tests/test_grad.c - the gradient of every op against finite differences.
 *
 * The op's own rule is called with random output gradients; the graph is lowered
 * for the portable machine and run; each element of each input is moved.
 * An op with a rule and no case is a failure: none is forgotten.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "grad_cases_elem.h"
#include "grad_cases_matmul.h"
#include "grad_cases_move.h"

static const struct grad_case *const tables[] = { grad_cases_matmul, grad_cases_move, grad_cases_elem };
static struct sp_random noise = { .key = 7 };
static long compared;

struct bench {
    struct sp_graph *g;
    struct sp_program p;
    struct sp_state state;
    struct sp_block arena, region;
    struct sp_exec x;
    sp_ref in[SP_IN_MAX], y, dy[SP_OUT_MAX], din[SP_IN_MAX];
    char din_name[SP_IN_MAX][96], y_name[SP_OUT_MAX][96], in_name[SP_IN_MAX][16];
};

static int outs(const struct grad_case *c)
{
    return c->outs ? c->outs : 1;
}

static bool moves(const struct grad_case *c, int i)
{
    return i < c->n_in && c->in[i].n >= 0 && c->in[i].format == SP_F32 && (c->fill[i] == FILL_RANDOM || c->fill[i] == FILL_POSITIVE);
}

static void fill(const struct grad_case *c, int i, void *at)
{
    int64_t n = sp_type_elements(&c->in[i]);
    for (int64_t e = 0; e < n; e++) {
        double u = 2 * sp_random_unit(&noise) - 1;
        double v = c->fill[i] == FILL_POSITIVE ? 1 + 0.5 * u : c->fill[i] == FILL_VALUE ? c->value[i] : u;
        if (c->fill[i] == FILL_INDEX)
            v = (double)sp_random_below(&noise, (uint64_t)c->value[i]);
        else if (c->away > 0 && fabs(v) < c->away)
            v = v < 0 ? v - c->away : v + c->away;
        if (c->in[i].format == SP_I32)
            ((int32_t *)at)[e] = (int32_t)v;
        else
            ((float *)at)[e] = (float)v;
    }
}

static void build(struct bench *b, const struct grad_case *c)
{
    struct sp_err err;
    b->g = sp_graph_new();
    for (int i = 0; i < SP_IN_MAX; i++) {
        b->in[i] = b->din[i] = SP_NONE;
        snprintf(b->in_name[i], sizeof b->in_name[i], "in%d", i);
        if (i < c->n_in && c->in[i].n >= 0)
            b->in[i] = moves(c, i) ? sp_graph_state(b->g, b->in_name[i], SP_STATE_PARAM, true, c->in[i])
                                   : sp_graph_input(b->g, b->in_name[i], c->in[i]);
    }
    b->y = sp_graph_add(b->g, c->op, "y", c->n_in, b->in, &c->attr);
    if (sp_graph_status(b->g, &err))
        fail_msg("%s: %s", c->what, err.what);
    for (int o = 0; o < SP_OUT_MAX; o++) {
        char name[16];
        snprintf(name, sizeof name, "dy%d", o);
        b->dy[o] = o < outs(c) ? sp_graph_input(b->g, name, *sp_graph_type(b->g, (sp_ref){ b->y.node, o })) : SP_NONE;
        snprintf(b->y_name[o], sizeof b->y_name[o], "y:%d", o);
    }
    c->op->grad(b->g, b->y.node, b->dy, b->din);
    if (sp_graph_status(b->g, &err))
        fail_msg("%s: gradient: %s", c->what, err.what);
}

static void bring_up(struct bench *b, const struct grad_case *c)
{
    const char *want[SP_IN_MAX + SP_OUT_MAX];
    int n = 0;
    struct sp_err err;
    struct sp_machine m;
    for (int i = 0; i < c->n_in; i++) {
        if (!moves(c, i))
            continue;
        if (!sp_is(b->din[i]))
            fail_msg("%s: no gradient for input %d", c->what, i);
        if (!sp_type_equal(sp_graph_type(b->g, b->din[i]), &c->in[i]) &&
            sp_type_elements(sp_graph_type(b->g, b->din[i])) != sp_type_elements(&c->in[i]))
            fail_msg("%s: gradient of input %d has the wrong shape", c->what, i);
        int out = b->din[i].out;
        snprintf(b->din_name[i], sizeof b->din_name[i], out ? "%s:%d" : "%s", b->g->node[b->din[i].node].name, out);
        want[n++] = b->din_name[i];
    }
    for (int o = 0; o < outs(c); o++)
        want[n++] = b->y_name[o];
    sp_machine_portable(&m);
    if (sp_lower(b->g, "case", want, n, &m, &b->state, &b->p, &err))
        fail_msg("%s: %s", c->what, err.what);
    if (sp_block_new(&b->arena, (size_t)b->p.arena_bytes + 64, &err) || sp_block_new(&b->region, (size_t)b->state.bytes + 64, &err) ||
        sp_exec_bind(&b->x, &b->p, b->arena.at, b->region.at, NULL, false, &err))
        fail_msg("%s: %s", c->what, err.what);
}

static void *memory_of(struct bench *b, const char *name)
{
    const struct sp_state_entry *e = sp_state_find(&b->state, name);
    return e ? b->region.at + e->at : sp_exec_at(&b->x, name);
}

/* sum over outputs of y . dy, in double. */
static double weighed(struct bench *b, const struct grad_case *c, float *const kept[SP_IN_MAX])
{
    double sum = 0;
    for (int i = 0; i < c->n_in; i++)
        if (moves(c, i) && memory_of(b, b->in_name[i]))
            memcpy(memory_of(b, b->in_name[i]), kept[i], (size_t)sp_type_bytes(&c->in[i]));
    sp_exec_run(&b->x);
    for (int o = 0; o < outs(c); o++) {
        char name[16];
        snprintf(name, sizeof name, "dy%d", o);
        const float *y = sp_exec_at(&b->x, b->y_name[o]), *dy = sp_exec_at(&b->x, name);
        int64_t n = sp_type_elements(sp_graph_type(b->g, b->dy[o]));
        for (int64_t e = 0; y && dy && e < n; e++)
            sum += (double)y[e] * (double)dy[e];
    }
    return sum;
}

static void compare(struct bench *b, const struct grad_case *c, float *const kept[SP_IN_MAX])
{
    double tolerance = c->tolerance > 0 ? c->tolerance : 2e-3;
    float *got[SP_IN_MAX] = { 0 };
    weighed(b, c, kept);
    for (int i = 0; i < c->n_in; i++)
        if (moves(c, i)) {
            got[i] = sp_alloc((size_t)sp_type_bytes(&c->in[i]));
            memcpy(got[i], sp_exec_at(&b->x, b->din_name[i]), (size_t)sp_type_bytes(&c->in[i]));
        }
    for (int i = 0; i < c->n_in; i++) {
        if (!moves(c, i))
            continue;
        int64_t n = sp_type_elements(&c->in[i]);
        for (int64_t e = 0; e < n; e++) {
            float was = kept[i][e], h = 1e-2f;
            kept[i][e] = was + h;
            double up = weighed(b, c, kept);
            kept[i][e] = was - h;
            double down = weighed(b, c, kept);
            kept[i][e] = was;
            double want = (up - down) / (2 * (double)h);
            if (!(fabs(want - (double)got[i][e]) <= tolerance * (1 + fabs(want))))
                fail_msg("%s: input %d element %lld: %g, finite difference says %g", c->what, i, (long long)e, (double)got[i][e], want);
            compared++;
        }
        sp_free(got[i]);
    }
}

static void run_case(const struct grad_case *c)
{
    struct bench b;
    float *kept[SP_IN_MAX] = { 0 };
    memset(&b, 0, sizeof b);
    build(&b, c);
    bring_up(&b, c);
    for (int i = 0; i < c->n_in; i++) {
        if (moves(c, i)) {
            kept[i] = sp_alloc((size_t)sp_type_bytes(&c->in[i]) + 4);
            fill(c, i, kept[i]);
        } else if (c->in[i].n >= 0 && memory_of(&b, b.in_name[i])) {
            fill(c, i, memory_of(&b, b.in_name[i]));
        }
    }
    for (int o = 0; o < outs(c); o++) {
        char name[16];
        snprintf(name, sizeof name, "dy%d", o);
        float *dy = sp_exec_at(&b.x, name);
        for (int64_t e = 0; dy && e < sp_type_elements(sp_graph_type(b.g, b.dy[o])); e++)
            dy[e] = (float)(2 * sp_random_unit(&noise) - 1);
    }
    compare(&b, c, kept);
    for (int i = 0; i < c->n_in; i++)
        sp_free(kept[i]);
    sp_exec_clear(&b.x);
    sp_program_clear(&b.p);
    sp_state_clear(&b.state);
    sp_block_free(&b.arena);
    sp_block_free(&b.region);
    sp_graph_free(b.g);
}

static void every_case(void **unused)
{
    int cases = 0;
    (void)unused;
    for (size_t t = 0; t < SP_COUNT(tables); t++)
        for (const struct grad_case *c = tables[t]; c->what; c++, cases++)
            run_case(c);
    print_message("gradients: %d cases, %ld elements compared\n", cases, compared);
    assert_true(cases > 0);
}

static void every_op_has_a_case(void **unused)
{
    (void)unused;
    if (SP_COUNT(tables) < 3)
        skip();
    for (const struct sp_op *const *o = sp_ops; *o; o++) {
        bool found = !(*o)->grad || (*o)->plan_only || !strcmp((*o)->name, "given_grad");
        for (size_t t = 0; t < SP_COUNT(tables); t++)
            for (const struct grad_case *c = tables[t]; c->what; c++)
                found |= c->op == *o;
        if (!found)
            fail_msg("op %s has a gradient rule and no case", (*o)->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_case), cmocka_unit_test(every_op_has_a_case) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
