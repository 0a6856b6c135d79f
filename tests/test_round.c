/* tests/test_round.c - rounding that makes up for its errors: blocks put back as they
 * were, plain rounding where inputs don't correlate, less error where they do.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bits/bits.h"
#include "kernel/kernel.h"

enum { COLS = 512, ROWS = 24, BYTES = ROWS * COLS * 2 };
static const enum sp_format formats[] = { SP_Q4_0, SP_Q4_1, SP_Q5_0, SP_Q5_1, SP_Q8_0, SP_Q2_K, SP_Q3_K, SP_Q4_K, SP_Q5_K, SP_Q6_K, SP_IQ4_NL, SP_IQ4_XS };

struct fixture { float w[ROWS * COLS], y[ROWS * COLS], h[COLS * COLS], factor[COLS * COLS], importance[COLS]; unsigned char a[BYTES], b[BYTES]; };
static struct fixture x;
static double left;

static void normal(float *to, int n, uint64_t key)
{
    struct sp_random r = { .key = key };
    for (int i = 0; i < n; i++)
        to[i] = (float)sp_random_normal(&r);
}

/* Inputs that are sums of a few: h = a a' of 40 directions, and a little of its own for each. */
static void correlated(double own)
{
    enum { DIRECTIONS = 40 };
    static float a[COLS * DIRECTIONS];
    normal(a, COLS * DIRECTIONS, 7);
    for (int i = 0; i < COLS; i++)
        for (int j = 0; j < COLS; j++) {
            double s = i == j ? own : 0;
            for (int k = 0; k < DIRECTIONS; k++)
                s += (double)a[i * DIRECTIONS + k] * (double)a[j * DIRECTIONS + k];
            x.h[i * COLS + j] = (float)s;
        }
}

static void identity(void)
{
    memset(x.h, 0, sizeof x.h);
    for (int i = 0; i < COLS; i++)
        x.h[i * COLS + i] = 1;
}

static void take_importance(void)
{
    for (int i = 0; i < COLS; i++)
        x.importance[i] = x.h[i * COLS + i];
}

static double error(enum sp_format f, const unsigned char *packed)
{
    double sum = 0;
    sp_formats[f].decode(x.y, packed, ROWS * COLS);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < COLS; i++)
            for (int j = 0; j < COLS; j++)
                sum += (double)(x.w[r * COLS + i] - x.y[r * COLS + i]) * (double)x.h[i * COLS + j] * (double)(x.w[r * COLS + j] - x.y[r * COLS + j]);
    return sum;
}

static void plain(enum sp_format f, unsigned char *to)
{
    for (int r = 0; r < ROWS; r++)
        sp_formats[f].encode_weighted(to + sp_format_bytes(f, r * COLS), x.w + r * COLS, x.importance, COLS);
}

static void compensated(enum sp_format f, struct sp_pool *pool, unsigned char *to)
{
    struct sp_err err = { 0 };
    assert_int_equal(sp_bits_factor(x.h, COLS, 0.01, pool, x.factor, &left, &err), SP_OK);
    assert_int_equal(sp_bits_round(f, x.w, ROWS, COLS, x.importance, x.factor, pool, to, &err), SP_OK);
}

static void test_put(void **state)
{
    (void)state;
    normal(x.w, ROWS * COLS, 1);
    for (size_t i = 0; i < SP_COUNT(formats); i++) {
        enum sp_format f = formats[i];
        const struct sp_block_grid *g = sp_format_grid(f);
        struct sp_grid_run r, changed, again;
        sp_formats[f].encode(x.a, x.w, ROWS * COLS);
        memcpy(x.b, x.a, sizeof x.a);
        for (int run = 0; run < 16; run++) {
            sp_format_run(f, x.a, run, &r);
            changed = r;
            for (int j = 0; j < 32; j++)
                changed.q[j] = g->table ? g->table[(j * 5 + run) % 16] : (signed char)(g->low + (j * 5 + run) % (g->high - g->low + 1));
            sp_format_put(f, x.b, run, changed.q);
            sp_format_run(f, x.b, run, &again);
            assert_memory_equal(&again, &changed, sizeof again);
            sp_formats[f].decode(x.y, x.b, COLS);
            for (int j = 0; j < 32; j++)
                assert_true(x.y[run * 32 + j] == (float)changed.q[j] * r.d[j / 16] - r.m[j / 16]);
            sp_format_put(f, x.b, run, r.q);
        }
        assert_memory_equal(x.a, x.b, sizeof x.a);
    }
    assert_null(sp_format_grid(SP_F16));
    assert_null(sp_format_grid(SP_TQ2_0));
}

/* (F + 1) D (F + 1)' is h again, D positive. */
static void test_factor(void **state)
{
    struct sp_err err = { 0 };
    static double u[COLS * COLS], back[COLS], d[COLS];
    (void)state;
    correlated(4);
    assert_int_equal(sp_bits_factor(x.h, COLS, 1e-9, NULL, x.factor, &left, &err), SP_OK);
    for (int i = 0; i < COLS * COLS; i++)
        u[i] = (double)x.factor[i] + (i % (COLS + 1) == 0);
    for (int j = COLS - 1; j >= 0; j--) {
        d[j] = (double)x.h[j * COLS + j];
        for (int k = j + 1; k < COLS; k++)
            d[j] -= u[j * COLS + k] * u[j * COLS + k] * d[k];
        assert_true(d[j] > 0);
    }
    double sum = 0, trace = 0;
    for (int j = 0; j < COLS; j++) {
        sum += d[j];
        trace += (double)x.h[j * COLS + j];
    }
    assert_true(fabs(left - sum / trace) < 1e-3 * left && left < 0.5);
    for (int i = 0; i < COLS; i += 37)
        for (int j = 0; j < COLS; j++) {
            back[j] = 0;
            for (int k = 0; k < COLS; k++)
                back[j] += u[i * COLS + k] * d[k] * u[j * COLS + k];
            assert_true(fabs(back[j] - (double)x.h[i * COLS + j]) < 2e-3);
            assert_true(j > i || x.factor[i * COLS + j] == 0);
        }
}

static void test_identity(void **state)
{
    (void)state;
    normal(x.w, ROWS * COLS, 2);
    identity();
    take_importance();
    for (size_t i = 0; i < SP_COUNT(formats); i++) {
        plain(formats[i], x.a);
        compensated(formats[i], NULL, x.b);
        double before = error(formats[i], x.a), after = error(formats[i], x.b);
        assert_true(after <= before * (1 + 1e-6)); /* to the nearest of the same scales */
        assert_true(after > before * 0.97);
    }
}

static void test_correlated(void **state)
{
    (void)state;
    normal(x.w, ROWS * COLS, 3);
    correlated(1);
    take_importance();
    for (size_t i = 0; i < SP_COUNT(formats); i++) {
        plain(formats[i], x.a);
        compensated(formats[i], NULL, x.b);
        assert_true(error(formats[i], x.b) < 0.35 * error(formats[i], x.a));
    }
}

static void test_singular(void **state)
{
    (void)state;
    normal(x.w, ROWS * COLS, 4);
    correlated(0);
    for (int i = 0; i < COLS; i++)
        x.h[i * COLS + 5] = x.h[5 * COLS + i] = 0; /* an input that is always 0 */
    take_importance();
    plain(SP_Q4_K, x.a);
    compensated(SP_Q4_K, NULL, x.b);
    assert_true(error(SP_Q4_K, x.b) < 0.35 * error(SP_Q4_K, x.a));
    memset(x.h, 0, sizeof x.h);
    take_importance();
    compensated(SP_Q4_K, NULL, x.b);
    sp_formats[SP_Q4_K].decode(x.y, x.b, ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        assert_true(fabsf(x.y[i]) < 8);
}

static void test_threads(void **state)
{
    struct sp_pool *pool;
    struct sp_err err;
    (void)state;
    assert_int_equal(sp_pool_new(&pool, 2, &err), SP_OK);
    normal(x.w, ROWS * COLS, 5);
    correlated(1);
    take_importance();
    compensated(SP_Q3_K, NULL, x.a);
    compensated(SP_Q3_K, pool, x.b);
    assert_memory_equal(x.a, x.b, (size_t)sp_format_bytes(SP_Q3_K, ROWS * COLS));
    sp_pool_free(pool);
}

static void test_no_number(void **state)
{
    struct sp_err err = { 0 };
    (void)state;
    identity();
    take_importance();
    x.h[COLS + 3] = NAN;
    assert_int_equal(sp_bits_factor(x.h, COLS, 0.01, NULL, x.factor, &left, &err), SP_DIVERGED);
    assert_non_null(strstr(err.what, "no number"));
    memset(x.factor, 0, sizeof x.factor);
    x.w[77] = NAN;
    assert_int_equal(sp_bits_round(SP_Q4_K, x.w, ROWS, COLS, x.importance, x.factor, NULL, x.b, &err), SP_DIVERGED);
    assert_int_equal(sp_bits_round(SP_F16, x.w, ROWS, COLS, x.importance, x.factor, NULL, x.b, &err), SP_UNSUPPORTED);
    assert_int_equal(sp_bits_round(SP_Q4_K, x.w, ROWS, 288, x.importance, x.factor, NULL, x.b, &err), SP_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_put), cmocka_unit_test(test_factor), cmocka_unit_test(test_identity), cmocka_unit_test(test_correlated),
                                        cmocka_unit_test(test_singular), cmocka_unit_test(test_threads), cmocka_unit_test(test_no_number) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
