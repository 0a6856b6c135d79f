/* tests/test_attention.c - attention and positions against the textbook in double,
 * decoding through a cache against the whole sequence at once, counts against
 * the formula, and what wrong shapes are told.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/ops.h"

static struct sp_random noise = { .key = 11 };

static float *numbers(int64_t n, double size)
{
    float *p = sp_alloc((size_t)n * sizeof *p + 1);
    assert_non_null(p);
    for (int64_t i = 0; i < n; i++)
        p[i] = (float)(size * sp_random_normal(&noise));
    return p;
}

/* ---- the textbook ---- */

struct shape { int64_t b, t, tk, heads, kv_heads, dim, window; double softcap; int past, full; };

static double score(const struct shape *s, const float *q, const float *k)
{
    double sum = 0;
    for (int64_t d = 0; d < s->dim; d++)
        sum += (double)q[d] * (double)k[d];
    sum /= sqrt((double)s->dim);
    return s->softcap > 0 ? s->softcap * tanh(sum / s->softcap) : sum;
}

static bool sees(const struct shape *s, int64_t p, int64_t j)
{
    int64_t keys = s->past >= 0 ? s->past + s->t : s->tk;
    return j < keys && (s->full || j <= p) && (!s->window || j > p - s->window);
}

/* o[dim] of one query; returns log sum exp. */
static double textbook(const struct shape *s, const float *q, const float *k, const float *v, int64_t p, double *o)
{
    int64_t ld = s->kv_heads * s->dim;
    double sum = 0;
    memset(o, 0, (size_t)s->dim * sizeof *o);
    for (int64_t j = 0; j < s->tk; j++) {
        double w = sees(s, p, j) ? exp(score(s, q, k + j * ld)) : 0;
        sum += w;
        for (int64_t d = 0; d < s->dim; d++)
            o[d] += w * (double)v[j * ld + d];
    }
    for (int64_t d = 0; d < s->dim; d++)
        o[d] /= sum;
    return log(sum);
}

static void check_against_textbook(const struct shape *s, const struct sp_attention_args *a)
{
    double o[SP_HEAD_DIM_MAX];
    for (int64_t i = 0; i < s->b * s->t * s->heads; i++) {
        int64_t b = i / s->heads / s->t, r = i / s->heads % s->t, h = i % s->heads, g = h / (s->heads / s->kv_heads);
        const float *k = (const float *)a->k + b * s->tk * a->ldk + g * s->dim, *v = (const float *)a->v + b * s->tk * a->ldv + g * s->dim;
        double lse = textbook(s, (const float *)a->q + i * s->dim, k, v, r + (s->past > 0 ? s->past : 0), o);
        assert_true(fabs(lse - (double)a->lse[(b * s->heads + h) * s->t + r]) < 1e-5);
        for (int64_t d = 0; d < s->dim; d++)
            assert_true(fabs(o[d] - (double)((const float *)a->o)[i * s->dim + d]) < 5e-6);
    }
}

static const struct shape shapes[] = {
    { 2, 9, 9, 4, 2, 16, 0, 0, -1, 0 },     { 1, 130, 130, 2, 1, 64, 0, 0, -1, 0 },   { 1, 1, 200, 6, 2, 32, 0, 0, 150, 0 },
    { 2, 7, 300, 2, 2, 24, 0, 0, 201, 0 },  { 1, 100, 150, 3, 3, 10, 40, 0, 50, 0 },  { 1, 20, 33, 2, 2, 8, 0, 0, -1, 1 },
    { 1, 3, 64, 4, 1, 64, 16, 3, 60, 0 },   { 1, 50, 50, 2, 2, 40, 0, 1.5, -1, 0 },
};

static void forward_is_the_textbook(void **unused)
{
    (void)unused;
    void *scratch = sp_alloc(SP_SCRATCH_MAX);
    for (size_t n = 0; n < SP_COUNT(shapes); n++) {
        const struct shape *s = &shapes[n];
        int64_t nq = s->b * s->t * s->heads * s->dim, nk = s->b * s->tk * s->kv_heads * s->dim;
        int32_t past = s->past;
        float *q = numbers(nq, 2), *k = numbers(nk, 2), *v = numbers(nk, 1), *o = numbers(nq, 1), *lse = numbers(s->b * s->t * s->heads, 1);
        struct sp_attention_args a = { .q = q, .k = k, .v = v, .past = past < 0 ? NULL : &past, .o = o, .lse = lse, .b = s->b, .t = s->t,
            .tk = s->tk, .heads = s->heads, .kv_heads = s->kv_heads, .dim = s->dim, .ldq = s->heads * s->dim,
            .ldk = s->kv_heads * s->dim, .ldv = s->kv_heads * s->dim, .ldo = s->heads * s->dim, .window = s->window,
            .scale = (float)(1 / sqrt((double)s->dim)), .softcap = (float)s->softcap, .causal = !s->full };
        sp_kernel_run(&sp_kernel_attention, sp_kernel_pick(&sp_kernel_attention, 0, &a), &a, NULL, scratch, SP_SCRATCH_MAX);
        check_against_textbook(s, &a);
        memset(o, 0, (size_t)nq * sizeof *o);
        sp_kernel_run(&sp_kernel_attention, sp_kernel_pick(&sp_kernel_attention, sp_cpu_features(), &a), &a, NULL, scratch, SP_SCRATCH_MAX);
        check_against_textbook(s, &a);
        sp_free(q), sp_free(k), sp_free(v), sp_free(o), sp_free(lse);
    }
    sp_free(scratch);
}

/* ---- dropout of the weights ---- */

/* With values of 1 an output is the share of weight kept over 1 - p: 1 in the mean, with the weights' own spread. */
static void dropped_weights_keep_the_mean(void **unused)
{
    (void)unused;
    enum { T = 192, HEADS = 4, DIM = 8 };
    void *scratch = sp_alloc(SP_SCRATCH_MAX);
    float *q = numbers(T * HEADS * DIM, 0), *k = numbers(T * HEADS * DIM, 0), *v = numbers(T * HEADS * DIM, 0), *o = numbers(T * HEADS * DIM, 1);
    int32_t counter = 5;
    for (int i = 0; i < T * HEADS * DIM; i++)
        v[i] = 1;
    struct sp_attention_args a = { .q = q, .k = k, .v = v, .counter = &counter, .o = o, .b = 1, .t = T, .tk = T, .heads = HEADS,
        .kv_heads = HEADS, .dim = DIM, .ldq = HEADS * DIM, .ldk = HEADS * DIM, .ldv = HEADS * DIM, .ldo = HEADS * DIM, .scale = 1,
        .drop = 0.2f, .key = 77 };
    for (int fast = 0; fast < 2; fast++) {
        double sum = 0, square = 0, same = 0;
        sp_kernel_run(&sp_kernel_attention, sp_kernel_pick(&sp_kernel_attention, fast ? sp_cpu_features() : 0, &a), &a, NULL, scratch, SP_SCRATCH_MAX);
        for (int i = 0; i < T * HEADS; i++) {
            double x = (double)o[i * DIM];
            sum += x, square += x * x, same += i && x == (double)o[(i - 1) * DIM];
        }
        double n = T * HEADS, mean = sum / n, variance = square / n - mean * mean, want = 0.2 / 0.8 / T;
        assert_true(fabs(mean - 1) < 5 * sqrt(want / n));
        assert_true(fabs(variance / want - 1) < 5 * sqrt(2 / n));
        assert_true(same < n / 8); /* rows are drawn apart: of 193 possible sums few are equal */
    }
    sp_free(scratch), sp_free(q), sp_free(k), sp_free(v), sp_free(o);
}

/* ---- positions ---- */

static double llama3_frequency(double w, double factor, double low, double high, double original)
{
    double length = 2 * acos(-1) / w;
    if (length < original / high)
        return w;
    if (length > original / low)
        return w / factor;
    double s = (original / length - low) / (high - low);
    return (1 - s) * w / factor + s * w;
}

static double yarn_frequency(int64_t j, int64_t dim, double base, double factor, double original)
{
    double w = pow(base, -2.0 * (double)j / (double)dim), ln = 2 * log(base), pi2 = 2 * acos(-1);
    double first = fmax(floor((double)dim * log(original / (32 * pi2)) / ln), 0);
    double last = fmin(ceil((double)dim * log(original / (1 * pi2)) / ln), (double)dim - 1);
    double ramp = fmin(fmax(((double)j - first) / (last - first), 0), 1);
    return w / factor * ramp + w * (1 - ramp);
}

static void check_table(struct sp_rope_table_args a, double size)
{
    float *table = a.table = numbers(a.max * a.dim, 1);
    sp_kernel_run(&sp_kernel_rope_table, sp_kernel_pick(&sp_kernel_rope_table, 0, &a), &a, NULL, NULL, 0);
    for (int64_t i = 0; i < a.max; i += 1 + i / 16)
        for (int64_t j = 0; j < a.dim / 2; j++) {
            double w = pow(a.base, -2.0 * (double)j / (double)a.dim);
            w = a.scaling == 1 ? w / a.factor : a.scaling == 2 ? llama3_frequency(w, a.factor, a.low, a.high, a.original) :
                a.scaling == 3 ? yarn_frequency(j, a.dim, a.base, a.factor, a.original) : w;
            assert_true(fabs((double)table[i * a.dim + 2 * j] - size * cos((double)i * w)) < 1e-7 * size);
            assert_true(fabs((double)table[i * a.dim + 2 * j + 1] - size * sin((double)i * w)) < 1e-7 * size);
        }
    sp_free(table);
}

static void tables_are_cosines_and_sines(void **unused)
{
    (void)unused;
    check_table((struct sp_rope_table_args){ .max = 131072, .dim = 8, .base = 10000 }, 1);
    check_table((struct sp_rope_table_args){ .max = 3000, .dim = 64, .base = 500000 }, 1);
    check_table((struct sp_rope_table_args){ .max = 3000, .dim = 128, .base = 10000, .factor = 4, .scaling = 1 }, 1);
    check_table((struct sp_rope_table_args){ .max = 9000, .dim = 128, .base = 500000, .factor = 8, .low = 1, .high = 4, .original = 8192,
                                             .scaling = 2 }, 1);
    check_table((struct sp_rope_table_args){ .max = 5000, .dim = 128, .base = 10000, .factor = 4, .low = 1, .high = 32, .original = 4096,
                                             .scaling = 3 }, 0.1 * log(4) + 1);
    check_table((struct sp_rope_table_args){ .max = 5000, .dim = 64, .base = 1000000, .factor = 40, .low = 1, .high = 32, .original = 4096, .size = 0.921,
                                             .scaling = 3 }, 0.921);
}

/* Scores depend on the distance alone, and turning back restores. */
static void rope_knows_distances(void **unused)
{
    (void)unused;
    enum { DIM = 16, MAX = 64 };
    float x[2][DIM], y[2][DIM], back[DIM], *table = numbers(MAX * DIM, 1);
    struct sp_rope_table_args t = { table, MAX, DIM, 10000, 0, 0, 0, 0, 0 };
    sp_kernel_run(&sp_kernel_rope_table, sp_kernel_pick(&sp_kernel_rope_table, 0, &t), &t, NULL, NULL, 0);
    for (int i = 0; i < 2 * DIM; i++)
        x[i / DIM][i % DIM] = (float)sp_random_normal(&noise);
    for (int32_t p = 0; p < 50; p += 7)
        for (int pairs = 0; pairs < 2; pairs++) {
            double sum = 0;
            int32_t at[2] = { p, p + 5 };
            struct sp_rope_args a = { .table = table, .m = 1, .t = 1, .each = 1, .heads = 1, .dim = DIM, .ldx = DIM, .ldy = DIM, .max = MAX, .interleaved = pairs };
            for (int i = 0; i < 2; i++) {
                a.x = x[i], a.y = y[i], a.past = &at[i];
                sp_kernel_run(&sp_kernel_rope, sp_kernel_pick(&sp_kernel_rope, 0, &a), &a, NULL, NULL, 0);
            }
            a.x = y[1], a.y = back, a.back = 1;
            sp_kernel_run(&sp_kernel_rope, sp_kernel_pick(&sp_kernel_rope, 0, &a), &a, NULL, NULL, 0);
            for (int d = 0; d < DIM; d++) {
                sum += (double)y[0][d] * (double)y[1][d];
                assert_true(fabsf(back[d] - x[1][d]) < 1e-6f);
            }
            static double want[2];
            want[pairs] = p ? want[pairs] : sum;
            assert_true(fabs(sum - want[pairs]) < 1e-5);
        }
    sp_free(table);
}

/* ---- a cache gives what the whole sequence gives ---- */

enum { STEPS = 23, HEADS = 4, KV = 2, DIM = 8, ROOM = 32, WIDE = (HEADS + 2 * KV) * DIM };

struct running { struct sp_graph *g; struct sp_program p; struct sp_block arena; struct sp_exec x; };

static sp_ref turned(struct sp_graph *g, const char *name, sp_ref x, sp_ref table, sp_ref past)
{
    return SP_ADD(g, &sp_op_rope, name, SP_ATTR(.i = { HEADS + KV, DIM }), x, table, past);
}

static void bring_up(struct running *r, struct sp_state *state, uint32_t features, const char *want)
{
    struct sp_err err = { 0 };
    struct sp_machine m;
    sp_machine_portable(&m);
    m.features = features;
    if (sp_graph_status(r->g, &err) || sp_lower(r->g, "p", &want, 1, &m, state, &r->p, &err) ||
        sp_block_new(&r->arena, (size_t)r->p.arena_bytes + 64, &err))
        fail_msg("%s: %s", err.where, err.what);
}

static void whole_graph(struct running *r)
{
    r->g = sp_graph_new();
    sp_ref x = sp_graph_input(r->g, "x", SP_TYPE(SP_F32, STEPS, WIDE));
    sp_ref table = sp_graph_add(r->g, &sp_op_rope_table, "table", 0, NULL, SP_ATTR(.i = { ROOM, DIM }, .f = { 10000 }));
    (void)SP_ADD(r->g, &sp_op_attention, "o", SP_ATTR(.i = { HEADS, KV, DIM, 1, 1 }), turned(r->g, "rope", x, table, SP_NONE));
}

static sp_ref part(struct sp_graph *g, const char *name, sp_ref x, int64_t col, int64_t cols)
{
    return SP_ADD(g, &sp_op_slice, name, SP_ATTR(.i = { [SP_SLICE_COL] = col, [SP_SLICE_COLS] = cols }), x);
}

static void cached_graph(struct running *r, int64_t t)
{
    struct sp_graph *g = r->g = sp_graph_new();
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, t, WIDE)), past = sp_graph_input(g, "past", SP_TYPE(SP_I32, 1));
    sp_ref table = sp_graph_add(g, &sp_op_rope_table, "table", 0, NULL, SP_ATTR(.i = { ROOM, DIM }, .f = { 10000 }));
    sp_ref y = turned(g, "rope", x, table, past);
    sp_ref kc = sp_graph_state(g, "cache/k", SP_STATE_CACHE, false, SP_TYPE(SP_F32, ROOM, KV * DIM));
    sp_ref vc = sp_graph_state(g, "cache/v", SP_STATE_CACHE, false, SP_TYPE(SP_F32, ROOM, KV * DIM));
    kc = SP_ADD(g, &sp_op_cache_append, "k", NULL, kc, part(g, "new_k", y, HEADS * DIM, KV * DIM), past);
    vc = SP_ADD(g, &sp_op_cache_append, "v", NULL, vc, part(g, "new_v", y, (HEADS + KV) * DIM, KV * DIM), past);
    (void)SP_ADD(g, &sp_op_attention, "o", SP_ATTR(.i = { HEADS, KV, DIM }), part(g, "q", y, 0, HEADS * DIM), kc, vc, past);
}

static void start(struct running *r, unsigned char *region)
{
    assert_int_equal(sp_exec_bind(&r->x, &r->p, r->arena.at, region, NULL, false, NULL), SP_OK);
}

static void stop(struct running *r)
{
    sp_exec_clear(&r->x);
    sp_program_clear(&r->p);
    sp_block_free(&r->arena);
    sp_graph_free(r->g);
}

static void advance(struct running *r, const float *x, int32_t past, int64_t t, const float *want)
{
    memcpy(sp_exec_at(&r->x, "x"), x + past * WIDE, (size_t)(t * WIDE) * sizeof *x);
    *(int32_t *)sp_exec_at(&r->x, "past") = past;
    sp_exec_run(&r->x);
    const float *o = sp_exec_at(&r->x, "o");
    for (int64_t i = 0; i < t * HEADS * DIM; i++)
        assert_true(fabsf(o[i] - want[past * HEADS * DIM + i]) < 2e-6f);
}

static void with_features(uint32_t features)
{
    struct running whole = { 0 }, many = { 0 }, one = { 0 };
    struct sp_state none = { 0 }, state = { 0 };
    struct sp_block region;
    whole_graph(&whole), cached_graph(&many, 9), cached_graph(&one, 1);
    bring_up(&whole, &none, features, "o"), bring_up(&many, &state, features, "o"), bring_up(&one, &state, features, "o");
    assert_int_equal(sp_block_new(&region, (size_t)state.bytes + 64, NULL), SP_OK);
    start(&whole, region.at), start(&many, region.at), start(&one, region.at);
    float *x = numbers(STEPS * WIDE, 1);
    memcpy(sp_exec_at(&whole.x, "x"), x, STEPS * WIDE * sizeof *x);
    sp_exec_run(&whole.x);
    const float *want = sp_exec_at(&whole.x, "o");
    advance(&many, x, 0, 9, want);
    advance(&many, x, 9, 9, want);
    for (int32_t p = 18; p < STEPS; p++)
        advance(&one, x, p, 1, want);
    sp_free(x);
    stop(&whole), stop(&many), stop(&one);
    sp_state_clear(&state), sp_state_clear(&none);
    sp_block_free(&region);
}

static void cache_equals_whole(void **unused)
{
    (void)unused;
    with_features(0);
    with_features(sp_cpu_features());
}

/* ---- counts and sentences ---- */

static void counted_pairs(void **unused)
{
    struct sp_graph *g = sp_graph_new();
    struct sp_node *n;
    struct sp_count c = { 0 }, back = { 0 };
    double pairs = 3 * 2 * (100 * 101 / 2);
    (void)unused;
    sp_ref x = sp_graph_state(g, "x", SP_STATE_PARAM, true, SP_TYPE(SP_F32, 300, 48));
    sp_ref o = SP_ADD(g, &sp_op_attention, "o", SP_ATTR(.i = { 2, 2, 8, 3, 1 }), x), d[2] = { o, SP_NONE }, din[SP_IN_MAX] = { SP_NONE };
    sp_op_attention.grad(g, o.node, d, din);
    assert_int_equal(sp_graph_status(g, NULL), SP_OK);
    n = &g->node[o.node];
    struct sp_type in[SP_IN_MAX] = { g->node[x.node].out[0], { .n = -1 }, { .n = -1 }, { .n = -1 } };
    sp_op_attention.count(n, in, &c);
    assert_true(fabs(c.flops_attention - 4 * 8 * pairs) < 0.5);
    struct sp_type bin[SP_IN_MAX] = { n->out[0], in[0], { .n = -1 }, { .n = -1 }, n->out[0], n->out[1] };
    sp_op_attention_back.count(&g->node[din[0].node], bin, &back);
    assert_true(fabs(back.flops_attention - 10 * 8 * pairs) < 0.5);
    sp_graph_free(g);
}

static void wrong_shapes_are_named(void **unused)
{
    static const struct { const struct sp_op *op; int64_t rows, cols; struct sp_attr attr; const char *says; } rows[] = {
        { &sp_op_attention, 6, 24, { .i = { 3, 2, 4, 1, 1 }, .format = -1 }, "3 query heads cannot share 2" },
        { &sp_op_attention, 6, 25, { .i = { 2, 2, 4, 1, 1 }, .format = -1 }, "f32[6,25]" },
        { &sp_op_attention, 6, 24, { .i = { 2, 2, 4, 4, 1 }, .format = -1 }, "rows in 4 sequences" },
        { &sp_op_attention, 6, 24, { .i = { 2, 2, 4 }, .format = -1 }, "wanted are 8 columns" },
        { &sp_op_attention, 6, 24, { .i = { 1, 1, 600 }, .format = -1 }, "a head of 600 numbers" },
        { &sp_op_slice, 6, 24, { .i = { 0, 0, 7 }, .format = -1 }, "rows 0+7" },
        { &sp_op_view, 6, 24, { .i = { 0, 2, 13, 12 }, .format = -1 }, "f32[13,12]" },
        { &sp_op_cast, 6, 24, { .format = SP_I32 }, "only formats of real numbers" },
    };
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_err err = { 0 };
        struct sp_graph *g = sp_graph_new();
        sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, rows[i].rows, rows[i].cols));
        sp_graph_add(g, rows[i].op, "y", 1, &x, &rows[i].attr);
        assert_int_not_equal(sp_graph_status(g, &err), SP_OK);
        if (!strstr(err.what, rows[i].says))
            fail_msg("'%s' does not say '%s'", err.what, rows[i].says);
        sp_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dropped_weights_keep_the_mean), cmocka_unit_test(forward_is_the_textbook), cmocka_unit_test(tables_are_cosines_and_sines),
        cmocka_unit_test(rope_knows_distances),    cmocka_unit_test(cache_equals_whole),
        cmocka_unit_test(counted_pairs),           cmocka_unit_test(wrong_shapes_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
