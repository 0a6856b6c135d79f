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
    static const enum sp_format formats[] = { SP_F32, SP_BF16, SP_F16, SP_Q8_0 };
    struct sp_machine portable, here;
    (void)unused;
    sp_machine_portable(&portable);
    here = portable;
    here.features = sp_cpu_features();
    for (int i = 0; i < 4; i++)
        for (int trans = 0; trans <= 2; trans += 2) {
            if (formats[i] == SP_Q8_0 && !trans)
                continue; /* rows of 70 are no whole blocks */
            run(&portable, trans, formats[i]);
            run(&here, trans, formats[i]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(packed_equals_plain) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
