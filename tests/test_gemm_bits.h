/* tests/test_gemm_bits.h - products with weights in blocks where nothing need be
 * lost: numbers of a that are whole multiples of a 127th of the
 * largest of their 32 become bytes exactly, so that only sums are rounded.
 *
 * Weights are random bytes, and bytes of ones and of zeros, with which sums in 16
 * bits come nearest to their limit.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TEST_GEMM_BITS_H
#define SP_TEST_GEMM_BITS_H
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "cost/cost.h"
#include "kernel_cases_gemm.h"
#include "../src/kernel/gemm_bits.h"

enum { COLS = 19, ROWS_MAX = 13, DEPTH_MAX = 32 * 23, LD = 768 };
static unsigned char bits_b[COLS * LD * 2];
static float bits_a[ROWS_MAX * DEPTH_MAX], bits_c[ROWS_MAX * COLS], bits_w[COLS * LD];
static char bits_work[SP_GEMM_WORK(ROWS_MAX, DEPTH_MAX)];
static void *bits_scratch;

/* Where f16 scales stand in a block. */
static int scale_at(enum sp_format f, int which)
{
    switch (f) {
    case SP_Q4_1: case SP_Q5_1: case SP_Q4_K: case SP_Q5_K: return 2 * which;
    case SP_Q2_K: return 80 + 2 * which;
    case SP_Q3_K: return 108;
    case SP_Q6_K: return 208;
    case SP_TQ1_0: return 52;
    case SP_TQ2_0: return 64;
    default: return 0;
    }
}

static void fill_blocks(enum sp_format f, int pattern, struct sp_random *r)
{
    const struct sp_format_row *row = &sp_formats[f];
    for (int64_t i = 0; i < COLS * LD / row->block; i++) {
        unsigned char *p = bits_b + i * row->bytes;
        for (int j = 0; j < row->bytes; j++)
            p[j] = pattern == 1 ? 0xFF : pattern == 2 ? 0 : (unsigned char)(sp_random_below(r, 255) + 129); /* not -128, which Q8_0 has no use for */
        if (f == SP_MXFP4)
            p[0] = 120;
        for (int j = 0; j < 2 && f != SP_MXFP4; j++) {
            p[scale_at(f, j)] = 0;
            p[scale_at(f, j) + 1] = (unsigned char)(j ? 0x2C : 0x24);
        }
    }
    row->decode(bits_w, bits_b, COLS * LD);
}

/* Each 32 hold a 127 of their scale; a quarter of the rows nothing else, of one sign or of both. */
static void fill_rows(int64_t m, int64_t k, struct sp_random *r)
{
    for (int64_t i = 0; i < m * k; i++) {
        int q = (int)sp_random_below(r, 255) - 127;
        q = i % 32 == 5 ? 127 : i / k % 4 == 1 ? 127 : i / k % 4 == 2 ? (i % 2 ? -127 : 127) : q;
        bits_a[i] = (float)q * (1.0f + (float)(i / 32 % 3)) / 64;
    }
}

static void compare_bits(const struct sp_kernel_row *r, const struct sp_gemm_args *g)
{
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < COLS; j++) {
            double want = 0, size = 1e-9;
            for (int64_t l = 0; l < g->k; l++) {
                double x = (double)bits_a[i * g->k + l] * (double)bits_w[j * LD + l];
                want += x;
                size += fabs(x);
            }
            if (!(fabs((double)bits_c[i * COLS + j] - want) <= 1e-5 * size))
                fail_msg("%s, %s, m %lld, k %lld: [%lld,%lld] is %.9g, not %.9g", r->name, sp_formats[g->b_format].name, (long long)g->m,
                         (long long)g->k, (long long)i, (long long)j, (double)bits_c[i * COLS + j], want);
        }
}

/* Rows of the family until one needs nothing, that one too unless `needy`. */
static int rows_of(const struct sp_kernel_row *r, const struct sp_gemm_args *g, bool needy)
{
    int n = 0;
    for (;; r++) {
        if (!r->needs && needy)
            return n;
        if (!(r->needs & ~sp_cpu_features()) && (!r->fits || r->fits(g))) {
            memset(bits_c, 0xFF, sizeof bits_c);
            sp_kernel_run(&sp_kernel_gemm, r, g, NULL, bits_scratch, SP_SCRATCH_MAX);
            compare_bits(r, g);
            n++;
        }
        if (!r->needs)
            return n;
    }
}

static void products_of(const struct sp_kernel_row *rows, bool needy)
{
    static const int64_t m[] = { 1, 2, 3, 4, 5, 13 }, k[] = { 32, 256, 288, 736 };
    struct sp_random r = { .key = 11 };
    int n = 0;
    for (size_t f = 0; f < SP_COUNT(gemm_bits); f++)
        for (int pattern = 0; pattern < 3; pattern++) {
            fill_blocks(gemm_bits[f], pattern, &r);
            for (size_t i = 0; i < SP_COUNT(m) * SP_COUNT(k); i++) {
                if (pattern && i % 5)
                    continue;
                struct sp_gemm_args g = { .a = bits_a, .b = bits_b, .c = bits_c, .m = m[i % SP_COUNT(m)], .n = COLS, .k = k[i / SP_COUNT(m)],
                                          .ldb = LD, .ldc = COLS, .trans = 2, .a_format = SP_F32, .b_format = (int32_t)gemm_bits[f],
                                          .c_format = SP_F32 };
                g.lda = g.k;
                fill_rows(g.m, g.k, &r);
                n += rows_of(rows, &g, needy);
                g.work = bits_work;
                n += rows_of(rows, &g, needy);
            }
        }
    print_message("  %d products\n", n);
    assert_true(n > 0 || (rows->needs & ~sp_cpu_features()));
}

/* Rows made ready once give the bits that rows made ready by each task give: more than a task takes, the last tile not whole. */
static void many_rows(const struct sp_kernel_row *row)
{
    enum { MANY = 1030, K = 288 };
    static float a[MANY * K], each[MANY * COLS], all[MANY * COLS];
    static char work[SP_GEMM_WORK(MANY, K)];
    struct sp_random r = { .key = 12 };
    for (size_t i = 0; i < SP_COUNT(a); i++)
        a[i] = (float)sp_random_normal(&r);
    for (size_t f = 0; f < SP_COUNT(gemm_bits); f++) {
        fill_blocks(gemm_bits[f], 0, &r);
        struct sp_gemm_args g = { .a = a, .b = bits_b, .c = each, .m = MANY, .n = COLS, .k = K, .lda = K, .ldb = LD, .ldc = COLS, .trans = 2,
                                  .a_format = SP_F32, .b_format = (int32_t)gemm_bits[f], .c_format = SP_F32, .threads = 2 };
        if (row->phases < 2 || (row->needs & ~sp_cpu_features()) || !row->fits(&g))
            continue;
        sp_kernel_run(&sp_kernel_gemm, row, &g, NULL, bits_scratch, SP_SCRATCH_MAX);
        g.c = all, g.work = work;
        sp_kernel_run(&sp_kernel_gemm, row, &g, NULL, bits_scratch, SP_SCRATCH_MAX);
        assert_memory_equal(each, all, sizeof all);
    }
}

static int run_bits_test(void (*test)(void **))
{
    const struct CMUnitTest tests[] = { { "nothing is lost", test, NULL, NULL, NULL } };
    bits_scratch = sp_alloc(SP_SCRATCH_MAX);
    int failed = bits_scratch ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    sp_free(bits_scratch);
    return failed;
}
#endif
