/* tests/test_gemm.c - the portable matrix product against sums in double, and
 * every row's packed form of b against its plain form.
 *
 * The walker in test_kernel.c compares rows with the portable one; this is what
 * the portable one itself is compared with.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cost/cost.h"
#include "kernel_cases_gemm.h"

static void *scratch;

static double at(const void *p, int64_t i, int32_t format)
{
    const struct sp_format_row *r = &sp_formats[format];
    float v[SP_FORMAT_BLOCK_MAX];
    r->decode(v, (const unsigned char *)p + i / r->block * r->bytes, r->block);
    return (double)v[i % r->block];
}

/* The definition, and the sum of magnitudes, to which rounding errors relate. */
static double truth(const struct sp_gemm_args *g, int64_t i, int64_t j, double *size)
{
    double sum = g->bias ? (double)g->bias[j] : 0;
    *size = fabs(sum) + 1e-30;
    for (int64_t l = 0; l < g->k; l++) {
        double x = at(g->a, g->trans & 1 ? l * g->lda + i : i * g->lda + l, g->a_format) *
                   at(g->b, g->trans & 2 ? j * g->ldb + l : l * g->ldb + j, g->b_format);
        sum += x;
        *size += fabs(x);
    }
    return sum;
}

static void portable_is_the_definition(void **unused)
{
    const struct sp_kernel_row *r = sp_kernel_gemm.rows;
    int64_t elements = 0;
    (void)unused;
    while (r->needs)
        r++;
    for (int number = 0; number < 72; number++) {
        struct kernel_case c = { .random = { .key = sp_random_key((uint64_t)number, "truth") } };
        struct sp_gemm_args g = { .m = case_between(&c, 1, 40), .n = case_between(&c, 1, 70), .k = case_between(&c, 1, 90) };
        g.trans = number % 4;
        g.a_format = gemm_a[case_below(&c, 4)];
        g.b_format = gemm_b[number % 5];
        gemm_buffers(&c, &g, case_coin(&c), true);
        float *acc = sp_alloc((size_t)(g.ldc * g.m) * sizeof *acc);
        assert_non_null(acc);
        memcpy(acc, g.acc, (size_t)(g.ldc * g.m) * sizeof *acc); /* it may be c */
        sp_kernel_run(&sp_kernel_gemm, r, &g, NULL, scratch, 0);
        for (int64_t i = 0; i < g.m; i++)
            for (int64_t j = 0; j < g.n; j++, elements++) {
                double size, want = truth(&g, i, j, &size) + (double)acc[i * g.ldc + j];
                double got = (double)((const float *)g.c)[i * g.ldc + j];
                if (fabs(got - want) > 1.2e-7 * (double)(g.k + 3) * (size + 1))
                    fail_msg("case %d [%lld,%lld]: %.9g, not %.9g", number, (long long)i, (long long)j, got, want);
            }
        sp_free(acc);
        case_clear(&c);
    }
    print_message("  %lld elements\n", (long long)elements);
    assert_true(elements > 0);
}

/* b as the row wants it; panels are as many as tasks until the bytes are full. */
static void *pack(const struct sp_gemm_args *g, const struct sp_kernel_row *row)
{
    struct sp_pack_args p = { .src = g->b, .n = g->n, .k = g->k, .trans = g->trans, .src_format = g->b_format };
    int64_t bytes = row->pack_bytes(g), one_column = g->k * (int64_t)sizeof(float), wide = 1;
    struct sp_gemm_args single = *g;
    p.dst = sp_alloc((size_t)bytes);
    assert_non_null(p.dst);
    single.n = 1;
    wide = row->pack_bytes(&single) / one_column;
    for (int64_t t = 0; t * wide < g->n; t++)
        row->pack(&p, t, scratch);
    return p.dst;
}

static int packed_case(const struct sp_kernel_row *r, int number)
{
    struct kernel_case c = { .random = { .key = sp_random_key((uint64_t)number, "packed") } };
    gemm_make(&c, number);
    struct sp_gemm_args g, packed;
    memcpy(&g, c.args, sizeof g);
    g.acc = NULL;
    g.m += SP_COUNT(gemm_a); /* more than few rows, which read b plain */
    g.lda = g.trans & 1 ? g.m : g.k;
    g.a_format = g.c_format = SP_F32;
    g.ldc = g.n;
    bool whole = g.ldb == (g.trans & 2 ? g.k : g.n);
    g.a = case_in(&c, SP_F32, g.m * g.k);
    float *plain = case_out(&c, SP_F32, g.m * g.n), *panels = case_out(&c, SP_F32, g.m * g.n);
    if (whole) {
        g.c = plain;
        packed = g;
        packed.c = panels;
        packed.b_packed = 1;
        packed.b = pack(&g, r);
        sp_kernel_run(&sp_kernel_gemm, r, &g, NULL, scratch, 0);
        sp_kernel_run(&sp_kernel_gemm, r, &packed, NULL, scratch, 0);
        assert_memory_equal(plain, panels, (size_t)(g.m * g.n) * sizeof *plain);
        sp_free((void *)(uintptr_t)packed.b);
    }
    case_clear(&c);
    return whole;
}

static void packed_is_plain(void **unused)
{
    (void)unused;
    for (const struct sp_kernel_row *r = sp_kernel_gemm.rows; r->needs; r++) {
        int compared = 0;
        if ((r->needs & ~sp_cpu_features()) || !r->pack_bytes)
            continue;
        for (int number = 0; number < 96; number++)
            compared += packed_case(r, number);
        print_message("  %s: %d comparisons, bit for bit\n", r->name, compared);
        assert_true(compared > 0);
    }
}

static int set_up(void **state)
{
    (void)state;
    return !(scratch = sp_alloc(SP_SCRATCH_MAX));
}

static int tear_down(void **state)
{
    (void)state;
    sp_free(scratch);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(portable_is_the_definition), cmocka_unit_test(packed_is_plain) };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
