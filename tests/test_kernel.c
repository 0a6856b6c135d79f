/* tests/test_kernel.c - every kernel row this machine can run against the
 * portable row: random arguments, odd sizes and places, canaries around every
 * buffer, and the same bits from one thread and from three.
 *
 * A family without cases is a failure, and so is a row that was never compared.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cost/cost.h"
#include "kernel_cases_gemm.h"
#if __has_include("kernel_cases_attn.h")
#include "kernel_cases_attn.h"
#define ATTN_CASES kernel_cases_attn,
#else
#define ATTN_CASES
#endif
#if __has_include("kernel_cases_elem.h")
#include "kernel_cases_elem.h"
#define ELEM_CASES kernel_cases_elem,
#else
#define ELEM_CASES
#endif

static const struct kernel_cases *const all_cases[] = { kernel_cases_gemm, ATTN_CASES ELEM_CASES };
static struct sp_pool *three;
static unsigned char *scratch;

/* ---- one case: initial values, one run's results ---- */

struct results { unsigned char *at[CASE_BUFFERS]; };

static void take(const struct kernel_case *c, struct results *r)
{
    for (int i = 0; i < c->n; i++) {
        r->at[i] = sp_alloc((size_t)c->buffer[i].bytes + 1);
        assert_non_null(r->at[i]);
        memcpy(r->at[i], c->buffer[i].at, (size_t)c->buffer[i].bytes);
    }
}

static void give(struct kernel_case *c, const struct results *r)
{
    for (int i = 0; i < c->n; i++)
        memcpy(c->buffer[i].at, r->at[i], (size_t)c->buffer[i].bytes);
}

static void forget(const struct kernel_case *c, struct results *r)
{
    for (int i = 0; i < c->n; i++)
        sp_free(r->at[i]);
}

static void check_canaries(const struct kernel_case *c, const char *row, int number)
{
    for (int i = 0; i < c->n; i++) {
        const struct case_buffer *b = &c->buffer[i];
        for (const unsigned char *p = b->block; p < b->at; p++)
            if (*p != 0xA5)
                fail_msg("%s case %d writes before buffer %d", row, number, i);
        for (const unsigned char *p = b->at + b->bytes; p < b->at + b->bytes + CASE_CANARY; p++)
            if (*p != 0xA5)
                fail_msg("%s case %d writes behind buffer %d", row, number, i);
    }
}

static void run(struct kernel_case *c, const struct sp_kernel *k, const struct sp_kernel_row *row, struct sp_pool *pool,
                const struct results *start, struct results *end, int number)
{
    give(c, start);
    sp_kernel_run(k, row, c->args, pool, scratch, SP_SCRATCH_MAX);
    check_canaries(c, row->name, number);
    take(c, end);
}

static void decode(enum sp_format f, const unsigned char *p, int64_t i, float *v)
{
    const struct sp_format_row *r = &sp_formats[f];
    if (f == SP_I32)
        *v = (float)((const int32_t *)(const void *)p)[i];
    else
        r->decode(v, p + i / r->block * r->bytes, r->block);
}

static double mean_magnitude(const struct case_buffer *b, const unsigned char *p)
{
    double sum = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < b->elements; i += sp_formats[b->format].block) {
        float v[SP_FORMAT_BLOCK_MAX];
        decode(b->format, p, i, v);
        if (isfinite(v[0])) {
            sum += fabs((double)v[0]);
            n++;
        }
    }
    return n ? sum / (double)n : 0;
}

static bool close_enough(double got, double want, double tolerance, double scale)
{
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got);
    return got == want || fabs(got - want) <= tolerance * (fabs(want) + scale);
}

static void compare(const struct kernel_case *c, const struct results *want, const struct results *got, const char *row, double tolerance,
                    int number)
{
    for (int i = 0; i < c->n; i++) {
        const struct case_buffer *b = &c->buffer[i];
        if (b->role == CASE_IN && memcmp(want->at[i], got->at[i], (size_t)b->bytes))
            fail_msg("%s case %d writes into its input %d", row, number, i);
        if (b->role == CASE_WORK || b->role == CASE_IN || b->format == SP_BYTES)
            continue;
        double t = b->format == SP_F32 || b->format == SP_I32 ? tolerance : b->format == SP_F16 ? tolerance + 1.0 / 1024 : tolerance + 1.0 / 128;
        double scale = mean_magnitude(b, want->at[i]);
        for (int64_t e = 0; e < b->elements; e++) {
            float w[SP_FORMAT_BLOCK_MAX], g[SP_FORMAT_BLOCK_MAX];
            decode(b->format, want->at[i], e, w);
            decode(b->format, got->at[i], e, g);
            if (!close_enough((double)g[0], (double)w[0], t, scale))
                fail_msg("%s case %d buffer %d element %lld: %g, portable %g (tolerance %g of %g)", row, number, i, (long long)e,
                         (double)g[0], (double)w[0], t, fabs((double)w[0]) + scale);
        }
    }
}

static void same_bits(const struct kernel_case *c, const struct results *a, const struct results *b, const char *row, int number)
{
    for (int i = 0; i < c->n; i++)
        if (c->buffer[i].role != CASE_WORK && memcmp(a->at[i], b->at[i], (size_t)c->buffer[i].bytes))
            fail_msg("%s case %d: one thread and three give different bits in buffer %d", row, number, i);
}

static void threads_agree(struct kernel_case *c, const struct sp_kernel *k, const struct sp_kernel_row *row, const struct results *start,
                          const struct results *one, int number)
{
    struct results many;
    run(c, k, row, three, start, &many, number);
    same_bits(c, one, &many, row->name, number);
    forget(c, &many);
}

/* ---- the walk ---- */

enum { ROWS_MAX = 16 };

static void one_case(const struct kernel_cases *family, int number, int compared[ROWS_MAX])
{
    const struct sp_kernel *k = family->kernel;
    const struct sp_kernel_row *last = k->rows;
    struct kernel_case c = { .random = { .key = sp_random_key((uint64_t)number, k->name) } };
    struct results start, want, got;
    family->make(&c, number);
    while (last->needs)
        last++;
    take(&c, &start);
    run(&c, k, last, NULL, &start, &want, number);
    threads_agree(&c, k, last, &start, &want, number);
    for (const struct sp_kernel_row *r = k->rows; r < last; r++) {
        if ((r->needs & ~sp_cpu_features()) || (r->fits && !r->fits(c.args)))
            continue;
        run(&c, k, r, NULL, &start, &got, number);
        compare(&c, &want, &got, r->name, (double)r->tolerance, number);
        threads_agree(&c, k, r, &start, &got, number);
        forget(&c, &got);
        compared[r - k->rows]++;
    }
    forget(&c, &start);
    forget(&c, &want);
    case_clear(&c);
}

static void one_family(const struct kernel_cases *family)
{
    int compared[ROWS_MAX] = { 0 };
    const struct sp_kernel_row *r = family->kernel->rows;
    for (int i = 0; i < family->n; i++)
        one_case(family, i, compared);
    for (; r->needs; r++) {
        if (r->needs & ~sp_cpu_features())
            print_message("  %-28s skipped: this processor lacks it\n", r->name);
        else if (!compared[r - family->kernel->rows] && (r->needs & SP_CPU_DNNL))
            print_message("  %-28s skipped: the library is not there\n", r->name);
        else if (!compared[r - family->kernel->rows])
            fail_msg("%s: none of %d cases fits", r->name, family->n);
        else
            print_message("  %-28s %d comparisons\n", r->name, compared[r - family->kernel->rows]);
    }
    print_message("  %-28s %d cases, one thread and three\n", r->name, family->n);
    assert_true(family->n > 0);
}

static void rows_equal_portable(void **unused)
{
    (void)unused;
    assert_int_equal(sp_pool_new(&three, 3, NULL), SP_OK);
    scratch = sp_alloc(3 * (size_t)SP_SCRATCH_MAX);
    assert_non_null(scratch);
    for (size_t i = 0; i < SP_COUNT(all_cases); i++)
        for (const struct kernel_cases *f = all_cases[i]; f->kernel; f++)
            one_family(f);
    sp_free(scratch);
    sp_pool_free(three);
}

static bool has_cases(const struct sp_kernel *k)
{
    for (size_t i = 0; i < SP_COUNT(all_cases); i++)
        for (const struct kernel_cases *f = all_cases[i]; f->kernel; f++)
            if (f->kernel == k)
                return true;
    return false;
}

/* Portable rows alone need no comparison; families with more rows do.  What pack writes differs by row: see test_gemm.c. */
static void every_family_with_rows_has_cases(void **unused)
{
    (void)unused;
    int families = 0, portable = 0;
    for (const struct sp_kernel *const *k = sp_kernels; *k; k++, families++) {
        portable += !(*k)->rows[0].needs;
        if (!has_cases(*k) && (*k)->rows[0].needs && *k != &sp_kernel_pack)
            fail_msg("family %s has fast rows and no cases", (*k)->name);
        for (const struct sp_kernel_row *r = (*k)->rows; r->needs; r++)
            assert_true(r->scratch_bytes <= SP_SCRATCH_MAX);
    }
    print_message("  %d families, %d of them portable alone\n", families, portable);
    assert_true(families > 0);
}

/* ---- the formats ---- */

static void f16_round_trip(void **unused)
{
    (void)unused;
    for (uint32_t h = 0; h < 65536; h++) {
        uint16_t from = (uint16_t)h, to;
        float f;
        sp_formats[SP_F16].decode(&f, &from, 1);
        sp_formats[SP_F16].encode(&to, &f, 1);
        assert_true(isnan(f) ? (to & 0x7FFF) > 0x7C00 : to == from);
        sp_formats[SP_BF16].decode(&f, &from, 1);
        sp_formats[SP_BF16].encode(&to, &f, 1);
        assert_true(isnan(f) ? (to & 0x7FFF) > 0x7F80 : to == from);
    }
}

/* IEEE 754: nearest, ties to even. */
static void rounding(void **unused)
{
    static const struct { float f; uint16_t f16, bf16; } rows[] = {
        { 1.0f, 0x3C00, 0x3F80 },        { 1.00048828125f, 0x3C00, 0x3F80 },   { 1.00146484375f, 0x3C02, 0x3F80 },
        { 65519.0f, 0x7BFF, 0x4780 },    { 65520.0f, 0x7C00, 0x4780 },         { -2.0f, 0xC000, 0xC000 },
        { 5.9604645e-8f, 0x0001, 0x3380 }, { 2.9802322e-8f, 0x0000, 0x3300 },  { 1.00390625f, 0x3C04, 0x3F80 },
        { 1.01171875f, 0x3C0C, 0x3F82 }, { INFINITY, 0x7C00, 0x7F80 },         { 6.1035156e-5f, 0x0400, 0x3880 },
    };
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        uint16_t h;
        sp_formats[SP_F16].encode(&h, &rows[i].f, 1);
        assert_int_equal(h, rows[i].f16);
        sp_formats[SP_BF16].encode(&h, &rows[i].f, 1);
        assert_int_equal(h, rows[i].bf16);
    }
}

static void q8_error_is_half_a_step(void **unused)
{
    (void)unused;
    struct sp_random r = { .key = 5 };
    for (int t = 0; t < 200; t++) {
        float x[32], y[32], most = 0;
        unsigned char q[34];
        for (int i = 0; i < 32; i++) {
            x[i] = (float)sp_random_normal(&r);
            most = fmaxf(most, fabsf(x[i]));
        }
        sp_formats[SP_Q8_0].encode(q, x, 32);
        sp_formats[SP_Q8_0].decode(y, q, 32);
        for (int i = 0; i < 32; i++)
            assert_true(fabsf(x[i] - y[i]) <= most / 127 * 0.5f + most * 5e-4f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(f16_round_trip),      cmocka_unit_test(rounding),
        cmocka_unit_test(q8_error_is_half_a_step), cmocka_unit_test(every_family_with_rows_has_cases),
        cmocka_unit_test(rows_equal_portable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
