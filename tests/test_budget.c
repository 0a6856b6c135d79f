/* tests/test_budget.c - formats under a budget against every combination of small problems.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bits/bits.h"

enum { TENSORS = 4, FORMATS = 4, COMBINATIONS = 256 };
static const uint64_t bytes_of[FORMATS] = { 2, 3, 4, 8 };

/* Loss falls as 4^-bits times how much the tensor matters. */
static void make(struct sp_choices *t)
{
    static const double matters[TENSORS] = { 1, 30, 0.2, 5 };
    static const uint64_t numbers[TENSORS] = { 100, 100, 400, 200 };
    for (int i = 0; i < TENSORS; i++) {
        t[i] = (struct sp_choices){ .n = FORMATS };
        for (int k = 0; k < FORMATS; k++)
            t[i].at[k] = (struct sp_choice){ (enum sp_format)k, numbers[i] * bytes_of[k], matters[i] * pow(4, -(double)bytes_of[k]) };
    }
}

static double best(const struct sp_choices *t, uint64_t bytes)
{
    double least = INFINITY;
    for (int c = 0; c < COMBINATIONS; c++) {
        uint64_t sum = 0;
        double loss = 0;
        for (int i = 0, rest = c; i < TENSORS; i++, rest /= FORMATS) {
            sum += t[i].at[rest % FORMATS].bytes;
            loss += t[i].at[rest % FORMATS].loss;
        }
        if (sum <= bytes && loss < least)
            least = loss;
    }
    return least;
}

static void near_the_best(void **state)
{
    struct sp_choices t[TENSORS];
    struct sp_err err;
    double ratio = 0;
    int exact = 0, n = 0;
    (void)state;
    for (uint64_t bytes = 1600; bytes <= 6400; bytes += 100, n++) {
        uint64_t sum = 0;
        double loss = 0;
        make(t);
        assert_int_equal(sp_bits_choose(t, TENSORS, bytes, &err), SP_OK);
        for (int i = 0; i < TENSORS; i++) {
            sum += t[i].at[t[i].chosen].bytes;
            loss += t[i].at[t[i].chosen].loss;
        }
        assert_true(sum <= bytes);
        exact += loss <= best(t, bytes) * (1 + 1e-12);
        ratio += loss / best(t, bytes);
    }
    print_message("%d budgets, the best of all in %d, on average %.3f of its loss\n", n, exact, ratio / n);
    assert_true(exact > n / 3);
    assert_true(ratio / n < 1.5);
}

static void too_little(void **state)
{
    struct sp_choices t[TENSORS];
    struct sp_err err;
    (void)state;
    make(t);
    assert_int_equal(sp_bits_choose(t, TENSORS, 1599, &err), SP_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(near_the_best), cmocka_unit_test(too_little) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
