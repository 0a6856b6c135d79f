/* tests/test_gemm_wide.c - the 16-lane gemm row on any processor: the same body,
 * its vectors split by the compiler, against the portable row.
 *
 * The processor that runs the tests may lack AVX-512; the logic of that row
 * (12 rows in registers, panels of 32, halves of 16) is tested all the same, and
 * so is the packed form of b.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel_cases_gemm.h"

#pragma GCC diagnostic ignored "-Wpsabi"
#ifndef SP_W
#define SP_W 16
#define SP_GEMM_MR 12
#endif
#define SP_GEMM_NAME wide
#include "../src/kernel/gemm.h"
SP_GEMM_ROW(wide)
#include "../src/kernel/gemm_body.h"

static const struct sp_kernel_row wide_row = {
    .name = "gemm.wide", .fn = sp_gemm_wide, .fits = sp_gemm_wide_fits, .tasks = sp_gemm_wide_tasks, .scratch_bytes = SP_GEMM_SCRATCH,
    .pack_bytes = sp_gemm_wide_pack_bytes, .pack = sp_gemm_wide_pack,
};

static const struct sp_kernel_row *portable_row(void)
{
    const struct sp_kernel_row *r = sp_kernel_gemm.rows;
    while (r->needs)
        r++;
    return r;
}

static void *scratch;

/* c as numbers after one run from the same start. */
static float *result(struct kernel_case *c, const struct sp_kernel_row *row, const void *args, const unsigned char *start)
{
    struct case_buffer *out = &c->buffer[c->n - 1];
    memcpy(out->at, start, (size_t)out->bytes);
    sp_kernel_run(&sp_kernel_gemm, row, args, NULL, scratch, 0);
    float *v = sp_alloc((size_t)out->elements * sizeof *v);
    assert_non_null(v);
    sp_formats[out->format].decode(v, out->at, out->elements);
    return v;
}

/* The same arguments with b as panels; the caller frees b. */
static struct sp_gemm_args packed(const struct sp_gemm_args *g, const struct sp_kernel_row *row)
{
    struct sp_gemm_args to = *g;
    struct sp_pack_args p = { .src = g->b, .n = g->n, .k = g->k, .trans = g->trans, .src_format = g->b_format };
    p.dst = sp_alloc((size_t)row->pack_bytes(g));
    assert_non_null(p.dst);
    for (int64_t t = 0; t < (g->n + NR - 1) / NR; t++)
        row->pack(&p, t, scratch);
    to.b = p.dst;
    to.b_packed = 1;
    return to;
}

static void compare(const struct kernel_case *c, const float *want, const float *got, int number, const char *what)
{
    const struct case_buffer *out = &c->buffer[c->n - 1];
    double t = out->format == SP_F32 ? 1e-4 : 1e-2;
    for (int64_t i = 0; i < out->elements; i++)
        if (fabs((double)want[i] - (double)got[i]) > t * (fabs((double)want[i]) + 2))
            fail_msg("%s case %d element %lld: %g, portable %g", what, number, (long long)i, (double)got[i], (double)want[i]);
}

static void wide_equals_portable(void **unused)
{
    int plain = 0, panels = 0;
    (void)unused;
    scratch = sp_alloc(SP_GEMM_SCRATCH);
    assert_non_null(scratch);
    for (int number = 0; number < 144; number++) {
        struct kernel_case c = { .random = { .key = sp_random_key((uint64_t)number, "wide") } };
        gemm_make(&c, number);
        struct sp_gemm_args g;
        memcpy(&g, c.args, sizeof g);
        const struct case_buffer *out = &c.buffer[c.n - 1];
        unsigned char *start = sp_alloc((size_t)out->bytes);
        assert_non_null(start);
        memcpy(start, out->at, (size_t)out->bytes);
        float *want = result(&c, portable_row(), &g, start), *got = result(&c, &wide_row, &g, start);
        compare(&c, want, got, number, "wide");
        sp_free(got);
        plain++;
        if (g.ldb == (g.trans & 2 ? g.k : g.n)) {
            struct sp_gemm_args p = packed(&g, &wide_row);
            got = result(&c, &wide_row, &p, start);
            compare(&c, want, got, number, "wide, packed");
            sp_free(got);
            sp_free((void *)(uintptr_t)p.b);
            panels++;
        }
        sp_free(want);
        sp_free(start);
        case_clear(&c);
    }
    sp_free(scratch);
    print_message("  %d comparisons, %d more with packed b\n", plain, panels);
    assert_true(plain > 0 && panels > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(wide_equals_portable) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
