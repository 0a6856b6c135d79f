/* tests/test_graph.c - the graph's core: layout, accumulation, chunks of the
 * loss, the printed C against the run, bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../src/graph/layout.h"
#include "graph/ops.h"

static struct sp_err err;

#define OK(call)                                              \
    do {                                                      \
        if (call)                                             \
            fail_msg("%s: %s: %s", #call, err.where, err.what); \
    } while (0)

/* ---- layout: what is alive together never overlaps ---- */

static void layout_is_sound(void **unused)
{
    enum { N = 300, STEPS = 90 };
    static struct sp_span s[N];
    struct sp_random r = { .key = 3 };
    int64_t arena, live;
    (void)unused;
    for (int i = 0; i < N; i++) {
        s[i].from = (int32_t)sp_random_below(&r, STEPS);
        s[i].to = s[i].from + (int32_t)sp_random_below(&r, (uint64_t)(STEPS - s[i].from));
        s[i].bytes = 64 + (int64_t)sp_random_below(&r, 100000);
    }
    OK(sp_layout(s, N, STEPS, &arena, &live, &err));
    for (int i = 0; i < N; i++) {
        assert_true(s[i].at % 64 == 0 && s[i].at + s[i].bytes <= arena);
        for (int j = 0; j < i; j++)
            if (s[i].from <= s[j].to && s[j].from <= s[i].to)
                assert_true(s[i].at + s[i].bytes <= s[j].at || s[j].at + s[j].bytes <= s[i].at);
    }
    assert_true(arena >= live);
    print_message("layout: %d buffers, arena %.3f of the lower bound\n", N, (double)arena / (double)live);
}

/* ---- an MLP, forward and backward ---- */

enum { ROWS = 8, WIDE = 12, HIDDEN = 10, CLASSES = 5 };

static const char *const mlp_grads[] = { "w1", "b1", "w2", "b2" };

static struct sp_graph *mlp(int64_t chunk)
{
    struct sp_graph *g = sp_graph_new();
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, ROWS, WIDE));
    sp_ref target = sp_graph_input(g, "targets", SP_TYPE(SP_I32, ROWS));
    sp_ref weight = sp_graph_input(g, "weights", SP_TYPE(SP_F32, ROWS));
    sp_ref w1 = sp_graph_state(g, "w1", SP_STATE_PARAM, true, SP_TYPE(SP_F32, HIDDEN, WIDE));
    sp_ref b1 = sp_graph_state(g, "b1", SP_STATE_PARAM, true, SP_TYPE(SP_F32, HIDDEN));
    sp_ref w2 = sp_graph_state(g, "w2", SP_STATE_PARAM, true, SP_TYPE(SP_F32, CLASSES, HIDDEN));
    sp_graph_scope(g, 0, "layer.");
    sp_ref h = SP_ADD(g, &sp_op_matmul, "h", SP_ATTR(.i = { 2 }), x, w1, b1);
    h = SP_ADD(g, &sp_op_gelu, "a", NULL, h);
    sp_graph_scope(g, -1, "%s", "");
    sp_ref loss = sp_graph_lm_loss(g, h, w2, target, weight, chunk, SP_F32);
    OK(sp_graph_grad(g, loss, &err));
    return g;
}

struct running { struct sp_program p; struct sp_state state; struct sp_block arena, region; struct sp_exec x; };

static void start(struct running *r, struct sp_graph *g, const char *want, uint32_t features)
{
    struct sp_machine m;
    sp_machine_portable(&m);
    m.features = features;
    memset(r, 0, sizeof *r);
    OK(sp_lower(g, "step", &want, want != NULL, &m, &r->state, &r->p, &err));
    OK(sp_block_new(&r->arena, (size_t)r->p.arena_bytes + 64, &err));
    OK(sp_block_new(&r->region, (size_t)r->state.bytes + 64, &err));
    OK(sp_exec_bind(&r->x, &r->p, r->arena.at, r->region.at, NULL, false, &err));
}

static void stop(struct running *r)
{
    sp_exec_clear(&r->x);
    sp_program_clear(&r->p);
    sp_state_clear(&r->state);
    sp_block_free(&r->arena);
    sp_block_free(&r->region);
}

/* The same numbers for the same names, whatever the layout; i32 below `below`. */
static void fill(void *at, const struct sp_type *t, const char *name, int below)
{
    struct sp_random r = { .key = sp_random_key(5, name) };
    for (int64_t i = 0; i < sp_type_elements(t); i++)
        if (t->format == SP_I32)
            ((int32_t *)at)[i] = (int32_t)sp_random_below(&r, (uint64_t)below);
        else
            ((float *)at)[i] = (float)(2 * sp_random_unit(&r) - 1);
}

static void fill_all(struct running *r, int below)
{
    for (int i = 0; i < r->p.n_named; i++)
        fill(sp_exec_at(&r->x, r->p.named[i].name), &r->p.named[i].type, r->p.named[i].name, below);
    for (int i = 0; i < r->state.n; i++)
        if (r->state.entry[i].kind == SP_STATE_PARAM)
            fill(r->region.at + r->state.entry[i].at, &r->state.entry[i].type, r->state.entry[i].name, below);
}

static const float *gradient(struct running *r, const char *name, int64_t *n)
{
    char full[64];
    snprintf(full, sizeof full, "grad/%s", name);
    const struct sp_state_entry *e = sp_state_find(&r->state, full);
    if (!e)
        return NULL;
    *n = sp_type_elements(&e->type);
    return (const float *)(const void *)(r->region.at + e->at);
}

static void gradients_accumulate_in_place(void **unused)
{
    struct running r;
    struct sp_graph *g = mlp(0);
    int64_t n;
    (void)unused;
    start(&r, g, NULL, 0);
    fill_all(&r, CLASSES);
    sp_exec_run(&r.x);
    float once = gradient(&r, "w1", &n)[3];
    assert_true(once != 0);
    sp_exec_run(&r.x);
    assert_true(gradient(&r, "w1", &n)[3] == once + once);
    for (int i = 0; i < r.p.n; i++)
        assert_string_not_equal(r.p.step[i].kernel->name, "binary"); /* every contribution went straight into the state */
    stop(&r);
    sp_graph_free(g);
}

static void chunks_change_nothing_but_memory(void **unused)
{
    struct running whole, parts;
    struct sp_graph *a = mlp(0), *b = mlp(3);
    (void)unused;
    start(&whole, a, NULL, 0);
    start(&parts, b, NULL, 0);
    fill_all(&whole, CLASSES);
    fill_all(&parts, CLASSES);
    sp_exec_run(&whole.x);
    sp_exec_run(&parts.x);
    for (size_t k = 0; k < 3; k++) {
        int64_t n = 0;
        const float *x = gradient(&whole, mlp_grads[k], &n), *y = gradient(&parts, mlp_grads[k], &n);
        for (int64_t i = 0; i < n; i++)
            assert_true(x[i] - y[i] < 1e-5f && y[i] - x[i] < 1e-5f);
    }
    assert_true(whole.p.count.flops_matmul == parts.p.count.flops_matmul);
    stop(&whole);
    stop(&parts);
    sp_graph_free(a);
    sp_graph_free(b);
}

static void count_is_analytic(void **unused)
{
    struct running r;
    struct sp_graph *g = mlp(0);
    (void)unused;
    start(&r, g, NULL, 0);
    /* forward; dW of both; dX of the second only, since x leads to no parameter */
    double first = 2.0 * ROWS * WIDE * HIDDEN, second = 2.0 * ROWS * HIDDEN * CLASSES;
    assert_true(r.p.count.flops_matmul == 2 * first + 3 * second);
    stop(&r);
    sp_graph_free(g);
}

/* ---- printed C ---- */

static void print_harness(FILE *c, const struct running *r)
{
    fputs("#include <stdio.h>\n#include <string.h>\nstatic void put(const char *n, const unsigned char *b, long k) { memcpy(step_at(n), b, k); }\n"
          "int main(void)\n{\n", c);
    for (int i = 0; i < r->p.n_named + r->state.n; i++) {
        const struct sp_state_entry *e = i < r->p.n_named ? NULL : &r->state.entry[i - r->p.n_named];
        const char *name = e ? e->name : r->p.named[i].name;
        const unsigned char *at = e ? r->region.at + e->at : sp_exec_at(&r->x, name);
        int64_t n = sp_type_bytes(e ? &e->type : &r->p.named[i].type);
        fputs("    { static const unsigned char b[] = {", c);
        for (int64_t j = 0; j < n; j++)
            fprintf(c, "%d,", at[j]);
        fprintf(c, "}; put(\"%s\", b, %lld); }\n", name, (long long)n);
    }
    fputs("    step();\n", c);
    for (int i = 0; i < r->state.n; i++)
        fprintf(c, "    fwrite(step_at(\"%s\"), 1, %lld, stdout);\n", r->state.entry[i].name,
                (long long)sp_type_bytes(&r->state.entry[i].type));
    fputs("    return 0;\n}\n", c);
}

static void compile_and_compare(struct running *r)
{
    char dir[] = "/tmp/sparsam-print-XXXXXX", path[80], command[400];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/step.c", dir);
    FILE *c = fopen(path, "w");
    assert_non_null(c);
    const struct sp_program *p = &r->p;
    OK(sp_program_print(&p, 1, &r->state, c, &err));
    print_harness(c, r);
    fclose(c);
    snprintf(command, sizeof command, "cd %s && %s -std=c99 -O1 -Wall -Werror step.c -o step -lm && %s ./step > out", dir,
             getenv("CC") ? getenv("CC") : "cc", getenv("RUNNER") ? getenv("RUNNER") : "");
    assert_int_equal(system(command), 0);
    sp_exec_run(&r->x);
    snprintf(path, sizeof path, "%s/out", dir);
    FILE *o = fopen(path, "r");
    assert_non_null(o);
    for (int i = 0; i < r->state.n; i++) {
        const unsigned char *at = r->region.at + r->state.entry[i].at;
        for (int64_t j = 0; j < sp_type_bytes(&r->state.entry[i].type); j++)
            if (fgetc(o) != at[j])
                fail_msg("printed C differs from the run in %s, byte %lld", r->state.entry[i].name, (long long)j);
    }
    fclose(o);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void printed_mlp_equals_run(void **unused)
{
    struct running r;
    struct sp_graph *g = mlp(0);
    (void)unused;
    start(&r, g, NULL, 0);
    fill_all(&r, CLASSES);
    compile_and_compare(&r);
    stop(&r);
    sp_graph_free(g);
}

/* One layer of the Llama family: shared keys, rotary positions, SwiGLU, tied head, bf16 products. */
enum { TOKENS = 14, VOCAB = 11, C = 24, HEAD = 6, HEADS = 4, KV = 2, INNER = 20 };

static sp_ref weights(struct sp_graph *g, const char *name, int64_t rows, int64_t cols)
{
    return sp_graph_state(g, name, SP_STATE_PARAM, true, cols ? SP_TYPE(SP_F32, rows, cols) : SP_TYPE(SP_F32, rows));
}

static sp_ref product(struct sp_graph *g, sp_ref x, sp_ref w)
{
    struct sp_attr half = { .format = SP_BF16 };
    return SP_ADD(g, &sp_op_matmul, NULL, SP_ATTR(.i = { 2 }), SP_ADD(g, &sp_op_cast, NULL, &half, x), SP_ADD(g, &sp_op_cast, NULL, &half, w));
}

static sp_ref normal(struct sp_graph *g, sp_ref x, sp_ref gain)
{
    return SP_ADD(g, &sp_op_rmsnorm, NULL, SP_ATTR(.f = { 1e-5 }), x, gain);
}

static sp_ref attended(struct sp_graph *g, sp_ref x)
{
    sp_ref table = sp_graph_add(g, &sp_op_rope_table, NULL, 0, NULL, SP_ATTR(.i = { TOKENS / 2, HEAD }, .f = { 10000 }));
    sp_ref qkv = product(g, x, weights(g, "qkv", (HEADS + 2 * KV) * HEAD, C));
    qkv = SP_ADD(g, &sp_op_rope, NULL, SP_ATTR(.i = { HEADS + KV, HEAD, TOKENS / 2 }), qkv, table);
    sp_ref o = SP_ADD(g, &sp_op_attention, NULL, SP_ATTR(.i = { HEADS, KV, HEAD, 2, 1 }), qkv);
    return product(g, o, weights(g, "o", C, HEADS * HEAD));
}

static struct sp_graph *transformer(void)
{
    struct sp_graph *g = sp_graph_new();
    sp_ref table = weights(g, "embed", VOCAB, C), ids = sp_graph_input(g, "ids", SP_TYPE(SP_I32, TOKENS));
    sp_ref x = SP_ADD(g, &sp_op_embed, NULL, NULL, ids, table);
    sp_graph_scope(g, 0, "layer.");
    x = SP_ADD(g, &sp_op_add, NULL, NULL, x, attended(g, normal(g, x, weights(g, "norm1", C, 0))));
    sp_ref y = normal(g, x, weights(g, "norm2", C, 0));
    y = SP_ADD(g, &sp_op_glu, NULL, SP_ATTR(.i = { SP_SILU }), product(g, y, weights(g, "gate", INNER, C)), product(g, y, weights(g, "up", INNER, C)));
    x = SP_ADD(g, &sp_op_add, NULL, NULL, x, product(g, y, weights(g, "down", C, INNER)));
    sp_graph_scope(g, -1, "%s", "");
    sp_ref loss = sp_graph_lm_loss(g, normal(g, x, weights(g, "norm3", C, 0)), table, sp_graph_input(g, "targets", SP_TYPE(SP_I32, TOKENS)),
                                   sp_graph_input(g, "weights", SP_TYPE(SP_F32, TOKENS)), 0, SP_F32);
    OK(sp_graph_grad(g, loss, &err));
    return g;
}

static void printed_transformer_equals_run(void **unused)
{
    struct running r;
    struct sp_graph *g = transformer();
    int64_t n = 0;
    (void)unused;
    start(&r, g, NULL, 0);
    fill_all(&r, VOCAB);
    compile_and_compare(&r);
    const float *d = gradient(&r, "qkv", &n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)(d[i] * d[i]);
    assert_true(n == (HEADS + 2 * KV) * HEAD * C && sum > 1e-6 && sum < 1e9);
    stop(&r);
    sp_graph_free(g);
}

/* Fast rows compute the same step up to rounding (bf16 products: a hundredth). */
static void fast_rows_make_the_same_step(void **unused)
{
    struct running slow, fast;
    struct sp_graph *g = transformer();
    int64_t n = 0;
    (void)unused;
    start(&slow, g, NULL, 0);
    start(&fast, g, NULL, sp_cpu_features());
    fill_all(&slow, VOCAB);
    fill_all(&fast, VOCAB);
    sp_exec_run(&slow.x);
    sp_exec_run(&fast.x);
    const float *a = gradient(&slow, "qkv", &n), *b = gradient(&fast, "qkv", &n);
    double error = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        error += (double)((a[i] - b[i]) * (a[i] - b[i]));
        size += (double)(a[i] * a[i]);
    }
    assert_true(n > 0 && error <= 1e-4 * size);
    stop(&slow);
    stop(&fast);
    sp_graph_free(g);
}

/* ---- errors ---- */

static void failures_stick_and_speak(void **unused)
{
    struct sp_graph *g = sp_graph_new();
    (void)unused;
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, 3, 5));
    sp_ref y = SP_ADD(g, &sp_op_matmul, "y", NULL, x, sp_graph_input(g, "w", SP_TYPE(SP_F32, 4, 4)));
    assert_false(sp_is(y));
    assert_false(sp_is(SP_ADD(g, &sp_op_relu, NULL, NULL, y)));
    assert_int_equal(sp_graph_status(g, &err), SP_SHAPE);
    assert_non_null(strstr(err.what, "matmul: [3,5] times [4,4]"));
    assert_string_equal(err.where, "y");
    sp_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_is_sound),          cmocka_unit_test(gradients_accumulate_in_place),
        cmocka_unit_test(chunks_change_nothing_but_memory), cmocka_unit_test(count_is_analytic),
        cmocka_unit_test(printed_mlp_equals_run),   cmocka_unit_test(printed_transformer_equals_run),
        cmocka_unit_test(fast_rows_make_the_same_step), cmocka_unit_test(failures_stick_and_speak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
