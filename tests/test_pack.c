/* tests/test_pack.c - a product that reads a packed weight equals the plain one,
 * on the portable machine and on this one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "graph/ops.h"

enum { M = 13, N = 70, K = 64 };
static struct sp_err err;

static struct sp_graph *products(const struct sp_machine *m, int trans, enum sp_format f)
{
    struct sp_graph *g = sp_graph_new();
    assert_non_null(g);
    struct sp_gemm_args a = { .m = M, .n = N, .k = K, .lda = K, .ldb = trans & 2 ? K : N, .ldc = N, .trans = trans, .b_format = (int32_t)f };
    const struct sp_kernel_row *row = sp_kernel_pick(&sp_kernel_gemm, m->features, &a);
    int64_t bytes = row->pack_bytes ? row->pack_bytes(&a) : 0;
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, M, K));
    sp_ref w = trans & 2 ? sp_graph_input(g, "w", SP_TYPE(f, N, K)) : sp_graph_input(g, "w", SP_TYPE(f, K, N));
    sp_ref p = SP_ADD(g, &sp_op_pack, "packed", SP_ATTR(.i = { trans, bytes }), w);
    SP_ADD(g, &sp_op_matmul, "plain", SP_ATTR(.i = { trans }), x, w);
    SP_ADD(g, &sp_op_matmul, "panels", SP_ATTR(.i = { trans, N, f }), x, p);
    assert_int_equal(sp_graph_status(g, &err), SP_OK);
    return g;
}

static void fill(void *at, enum sp_format f, int64_t n, struct sp_random *r)
{
    const struct sp_format_row *row = &sp_formats[f];
    for (int64_t i = 0; i < n; i += row->block) {
        float v[32];
        for (int j = 0; j < row->block; j++)
            v[j] = (float)sp_random_normal(r);
        row->encode((unsigned char *)at + i / row->block * row->bytes, v, row->block);
    }
}

static void run(const struct sp_machine *m, int trans, enum sp_format f)
{
    static const char *const want[] = { "plain", "panels" };
    struct sp_graph *g = products(m, trans, f);
    struct sp_program p;
    struct sp_state state = { 0 };
    struct sp_block arena;
    struct sp_exec x = { 0 };
    struct sp_random r = { .key = 9 };
    assert_int_equal(sp_lower(g, "p", want, 2, m, &state, &p, &err), SP_OK);
    assert_int_equal(sp_block_new(&arena, (size_t)p.arena_bytes + 64, &err), SP_OK);
    assert_int_equal(sp_exec_bind(&x, &p, arena.at, NULL, NULL, false, &err), SP_OK);
    fill(sp_exec_at(&x, "x"), SP_F32, M * K, &r);
    fill(sp_exec_at(&x, "w"), f, N * K, &r);
    sp_exec_run(&x);
    const float *a = sp_exec_at(&x, "plain"), *b = sp_exec_at(&x, "panels");
    assert_memory_equal(a, b, M * N * sizeof *a);
    assert_true(a[5] > 0 || a[5] < 0);
    sp_exec_clear(&x);
    sp_program_clear(&p);
    sp_state_clear(&state);
    sp_block_free(&arena);
    sp_graph_free(g);
}

static void packed_equals_plain(void **unused)
{
    static const enum sp_format formats[] = { SP_F32, SP_BF16, SP_F16 };
    struct sp_machine portable, here;
    (void)unused;
    sp_machine_portable(&portable);
    here = portable;
    here.features = sp_cpu_features();
    for (int i = 0; i < 3; i++)
        for (int trans = 0; trans <= 2; trans += 2) {
            run(&portable, trans, formats[i]);
            run(&here, trans, formats[i]);
        }
}

/* ---- the rewrite: a program that reads panels which another program writes ---- */

struct job { struct sp_program user, refresh; struct sp_state state; struct sp_block arena, region; struct sp_exec run, renew; };

static int rewritten(const struct sp_machine *m, int64_t rows, struct job *j)
{
    static const char *const want[] = { "y" };
    struct sp_graph *g = sp_graph_new(), *refresh = sp_graph_new();
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, rows, K));
    sp_ref w = sp_graph_state(g, "w", SP_STATE_PARAM, true, SP_TYPE(SP_F32, N, K));
    SP_ADD(g, &sp_op_matmul, "y", SP_ATTR(.i = { 2 }), x, w);
    assert_int_equal(sp_graph_pack(g, refresh, m, &err), SP_OK);
    int packed = refresh->n;
    memset(j, 0, sizeof *j);
    assert_int_equal(sp_lower(refresh, "refresh", NULL, 0, m, &j->state, &j->refresh, &err), SP_OK);
    assert_int_equal(sp_lower(g, "user", want, 1, m, &j->state, &j->user, &err), SP_OK);
    assert_int_equal(sp_block_new(&j->arena, (size_t)(j->user.arena_bytes + j->refresh.arena_bytes) + 64, &err), SP_OK);
    assert_int_equal(sp_block_new(&j->region, (size_t)j->state.bytes + 64, &err), SP_OK);
    assert_int_equal(sp_exec_bind(&j->run, &j->user, j->arena.at, j->region.at, NULL, false, &err), SP_OK);
    assert_int_equal(sp_exec_bind(&j->renew, &j->refresh, j->arena.at, j->region.at, NULL, false, &err), SP_OK);
    sp_graph_free(g);
    sp_graph_free(refresh);
    return packed;
}

static void clear(struct job *j)
{
    sp_exec_clear(&j->run);
    sp_exec_clear(&j->renew);
    sp_program_clear(&j->user);
    sp_program_clear(&j->refresh);
    sp_state_clear(&j->state);
    sp_block_free(&j->arena);
    sp_block_free(&j->region);
}

/* The result for 8 rows (packed where the machine wants it) against each row alone (never packed). */
static void rewrite_keeps_the_result(void **unused)
{
    struct sp_machine here;
    struct job many, one;
    struct sp_random r = { .key = 4 };
    (void)unused;
    sp_machine_portable(&here);
    here.features = sp_cpu_features();
    int packed = rewritten(&here, 8, &many);
    assert_int_equal(rewritten(&here, 1, &one), 0);
    fill(many.region.at + sp_state_find(&many.state, "w")->at, SP_F32, N * K, &r);
    memcpy(one.region.at + sp_state_find(&one.state, "w")->at, many.region.at + sp_state_find(&many.state, "w")->at, N * K * 4);
    fill(sp_exec_at(&many.run, "x"), SP_F32, 8 * K, &r);
    sp_exec_run(&many.renew);
    for (int i = 0; i < 8; i++) {
        memcpy(sp_exec_at(&one.run, "x"), (float *)sp_exec_at(&many.run, "x") + i * K, K * 4);
        sp_exec_run(&one.run);
    }
    sp_exec_run(&many.run);
    const float *y = (const float *)sp_exec_at(&many.run, "y") + 7 * N, *z = sp_exec_at(&one.run, "y");
    for (int i = 0; i < N; i++)
        assert_true(y[i] - z[i] < 1e-3f && z[i] - y[i] < 1e-3f);
    print_message("pack: %d nodes write panels here\n", packed);
    clear(&many);
    clear(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(packed_equals_plain), cmocka_unit_test(rewrite_keeps_the_result) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
