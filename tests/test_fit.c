/* tests/test_fit.c - the law of one's own runs: known constants found again, the
 * published fit of published runs, gradients by finite differences, which rows count.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include "shared.h"

#include "plan/fit.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

/* ---- runs of a law that is known ---- */

static const struct sp_law truth = { .E = 1.8, .A = 400, .B = 2000, .alpha = 0.34, .beta = 0.37 }, tied_truth = { .E = 2.1, .A = 150, .B = 300, .alpha = 0.3, .beta = 0.3 };

/* 8 sizes of model, 8 of data for each, from 3 to 300 tokens a parameter; noise in the log of the loss. */
static void synthetic(struct sp_law_runs *r, const struct sp_law *l, double noise, int outliers)
{
    enum { SIZES = 8 };
    struct sp_random random = { .key = sp_random_key(7, "synthetic") };
    *r = (struct sp_law_runs){ .n = SIZES * SIZES, .given = SIZES * SIZES, .parameters = sp_zalloc(3 * SIZES * SIZES, sizeof(double)) };
    r->tokens = r->parameters + r->n;
    r->loss = r->tokens + r->n;
    for (int i = 0; i < r->n; i++) {
        r->parameters[i] = 1e6 * pow(3, i / SIZES);
        r->tokens[i] = r->parameters[i] * 3 * pow(100, i % SIZES / (SIZES - 1.0));
        r->loss[i] = sp_law_loss(l, r->parameters[i], r->tokens[i]) * exp(noise * sp_random_normal(&random));
        if (i < outliers)
            r->loss[i] *= 1.5;
    }
}

static void inside(const struct sp_fit *f, const struct sp_law *l)
{
    const double want[] = { l->E, l->A, l->B, l->alpha, l->beta };
    for (int i = 0; i < SP_LAW_NUMBERS; i++)
        if (!(f->number[i].low <= want[i] && want[i] <= f->number[i].high && f->number[i].low < f->number[i].high))
            fail_msg("%s: %g is not within %g to %g", sp_law_number_names[i], want[i], f->number[i].low, f->number[i].high);
}

static void found_exactly_without_noise(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    (void)state;
    synthetic(&r, &truth, 0, 0);
    OK(sp_fit_law(&r, &(struct sp_fit_options){ 0 }, &f, &err));
    assert_true(fabs(f.law.E / truth.E - 1) < 1e-4 && fabs(f.law.alpha - truth.alpha) < 1e-4 && fabs(f.law.beta - truth.beta) < 1e-4);
    assert_true(fabs(f.law.A / truth.A - 1) < 1e-3 && fabs(f.law.B / truth.B - 1) < 1e-3);
    assert_true(f.law.flops_min == 6 * 1e6 * 3e6 && f.law.runs == 64 && f.law.scatter < 1e-5);
    sp_law_runs_clear(&r);
}

static void found_within_its_intervals(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    (void)state;
    synthetic(&r, &truth, 0.003, 0);
    OK(sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 300, .seed = 1 }, &f, &err));
    inside(&f, &truth);
    assert_true(f.law.scatter > 0.002 && f.law.scatter < 0.0045);
    assert_true(f.exponent.low < f.exponent.likely && f.exponent.likely < f.exponent.high);
    /* a range is that of the bootstrap: the standard deviation of log E twice over */
    assert_true(fabs(f.error[SP_LAW_E] / f.law.E - sqrt(f.law.covariance[0][0])) < 1e-12);
    sp_law_runs_clear(&r);
}

static void one_exponent_for_both(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    (void)state;
    synthetic(&r, &tied_truth, 0.002, 0);
    OK(sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 300, .seed = 3, .tied = true }, &f, &err));
    inside(&f, &tied_truth);
    assert_true(f.law.alpha == f.law.beta && f.exponent.low == 0.5 && f.exponent.high == 0.5);
    sp_law_runs_clear(&r);
}

/* What Huber's loss is for: five of 64 runs that are half again too high hardly move it. */
static void some_odd_runs_hardly_matter(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    (void)state;
    synthetic(&r, &truth, 0.002, 5);
    OK(sp_fit_law(&r, &(struct sp_fit_options){ 0 }, &f, &err));
    assert_true(fabs(f.law.E / truth.E - 1) < 0.02 && fabs(f.law.beta - truth.beta) < 0.02);
    assert_true(fabs(sp_law_loss(&f.law, 1e9, 1e11) / sp_law_loss(&truth, 1e9, 1e11) - 1) < 0.005);
    sp_law_runs_clear(&r);
}

static void threads_change_nothing(void **state)
{
    struct sp_law_runs r;
    struct sp_fit one, two;
    struct sp_pool *pool;
    (void)state;
    synthetic(&r, &truth, 0.003, 0);
    OK(sp_pool_new(&pool, 2, &err));
    OK(sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 40, .seed = 1 }, &one, &err));
    OK(sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 40, .seed = 1, .pool = pool }, &two, &err));
    assert_memory_equal(one.number, two.number, sizeof one.number);
    assert_memory_equal(one.law.covariance, two.law.covariance, sizeof one.law.covariance);
    assert_int_equal(one.evaluations, two.evaluations);
    sp_pool_free(pool);
    sp_law_runs_clear(&r);
}

static void not_determined_is_said(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    struct sp_err e = { 0 };
    (void)state;
    synthetic(&r, &(struct sp_law){ .E = 2, .A = 400, .B = 1e-9, .alpha = 0.34, .beta = 0.3 }, 0, 0);
    assert_int_equal(sp_fit_law(&r, &(struct sp_fit_options){ 0 }, &f, &e), SP_UNSUPPORTED);
    assert_non_null(strstr(e.what, "tokens"));
    sp_law_runs_clear(&r);
}

/* ---- the objective ---- */

/* Huber's definition, a run by hand: off by more than delta, and by less. */
static void objective_by_hand(void **state)
{
    double n = 1e8, d = 1e10, loss = sp_law_loss(&truth, n, d) * exp(0.01), near = sp_law_loss(&truth, n, d) * exp(-0.0004);
    (void)state;
    assert_true(fabs(sp_fit_objective(&(struct sp_law_runs){ .n = 1, .parameters = &n, .tokens = &d, .loss = &loss }, &truth, 1e-3, NULL) - 1e-3 * (0.01 - 5e-4)) < 1e-15);
    assert_true(fabs(sp_fit_objective(&(struct sp_law_runs){ .n = 1, .parameters = &n, .tokens = &d, .loss = &near }, &truth, 1e-3, NULL) - 0.5 * 0.0004 * 0.0004) < 1e-15);
}

static struct sp_law moved(const struct sp_law *l, int i, double by)
{
    struct sp_law m = *l;
    double *at[] = { &m.E, &m.A, &m.B, &m.alpha, &m.beta };
    *at[i] = i < SP_LAW_ALPHA ? *at[i] * exp(by) : *at[i] + by;
    return m;
}

static void gradient_as_differences(void **state)
{
    static const struct sp_law at[] = { { .E = 1.7, .A = 380, .B = 2300, .alpha = 0.35, .beta = 0.36 }, { .E = 0.5, .A = 30, .B = 900, .alpha = 0.2, .beta = 0.5 } };
    static const double deltas[] = { 1e-3, 0.05, 10 };
    struct sp_law_runs r;
    double g[SP_LAW_NUMBERS], step = 1e-7;
    (void)state;
    synthetic(&r, &truth, 0.003, 0);
    for (size_t a = 0; a < SP_COUNT(at); a++)
        for (size_t d = 0; d < SP_COUNT(deltas); d++)
            for (int i = 0; i < SP_LAW_NUMBERS; i++) {
                struct sp_law up = moved(&at[a], i, step), down = moved(&at[a], i, -step);
                sp_fit_objective(&r, &at[a], deltas[d], g);
                double want = (sp_fit_objective(&r, &up, deltas[d], NULL) - sp_fit_objective(&r, &down, deltas[d], NULL)) / (2 * step);
                if (fabs(g[i] - want) > 1e-5 * fabs(want) + 1e-8)
                    fail_msg("law %zu, delta %g, %s: %.12g, by differences %.12g", a, deltas[d], sp_law_number_names[i], g[i], want);
            }
    sp_law_runs_clear(&r);
}

/* ---- which rows ---- */

static enum sp_status read_text(struct sp_law_runs *r, const char *text, int drop, struct sp_err *e)
{
    static char copy[4096];
    struct sp_csv t;
    snprintf(copy, sizeof copy, "%s", text);
    TRY(sp_csv_parse(&t, copy, "t.csv", e));
    enum sp_status st = sp_law_runs_read(r, &t, drop, e);
    sp_csv_clear(&t);
    return st;
}

static void rows_by_rule(void **state)
{
    static const char text[] = "run,Model Size,Training FLOP,loss,tokens\n"
                               "a,1e6,6e13,5.0,\nb,2e6,2.4e14,4.5,\nc,4e6,9.6e14,4.0,\nd,8e6,3.84e15,3.5,\ne,1e6,1,4.8,2e7\n"
                               "f,2e6,,4.4,4e7\ng,4e6,,3.9,8e7\nh,8e6,,3.4,16e7\ni,,6e13,3,\nj,1e6,,3,\nk,1e6,6e13,,\nl,-1,6e13,3,\nm,1e6,6e13,0,\n";
    struct sp_law_runs r;
    struct sp_err e = { 0 };
    (void)state;
    OK(read_text(&r, text, 0, &err));
    assert_int_equal(r.given, 13);
    assert_int_equal(r.n, 8);
    assert_int_equal(r.missing, 3);
    assert_int_equal(r.negative, 2);
    assert_true(r.tokens_from_flops && r.tokens[0] == 1e7 && r.tokens[4] == 2e7 && r.loss[7] == 3.4);
    sp_law_runs_clear(&r);
    assert_int_equal(read_text(&r, text, 1, &e), SP_FORMAT); /* 7 are left */
    assert_non_null(strstr(e.what, "7 runs"));
    e = (struct sp_err){ 0 };
    assert_int_equal(read_text(&r, "size,loss\n1,2\n", 0, &e), SP_FORMAT);
    assert_non_null(strstr(e.what, "parameters"));
    e = (struct sp_err){ 0 };
    assert_int_equal(read_text(&r, "N,loss\n1,2\n", 0, &e), SP_FORMAT);
    assert_non_null(strstr(e.what, "tokens or FLOP"));
    e = (struct sp_err){ 0 };
    assert_int_equal(read_text(&r, "n,d,loss\n1,x,2\n", 0, &e), SP_FORMAT);
    assert_non_null(strstr(e.what, "\"x\""));
    e = (struct sp_err){ 0 };
    assert_int_equal(read_text(&r, "n,d,l\n1,1,2\n1,2,2\n1,3,2\n1,4,2\n1,5,2\n1,6,2\n1,7,2\n2,8,2\n", 0, &e), SP_FORMAT);
    assert_non_null(strstr(e.what, "sizes of model"));
}

/* ---- the published runs ---- */

static void chinchilla_again(void **state)
{
    const char *path = shared_file("facts/chinchilla_points.csv");
    struct sp_csv t;
    struct sp_law_runs r;
    struct sp_fit f;
    (void)state;
    if (!path)
        skip();
    OK(sp_csv_read(&t, path, 1 << 20, &err));
    OK(sp_law_runs_read(&r, &t, 5, &err));
    assert_int_equal(r.given, 245);
    assert_int_equal(r.n, 240);
    /* Huber sums of published constants over the 240 points, computed with another program */
    assert_true(fabs(sp_fit_objective(&r, sp_law_find("hoffmann-rounded"), 1e-3, NULL) - 0.004121) < 1e-6);
    assert_true(fabs(sp_fit_objective(&r, sp_law_find("hoffmann"), 1e-3, NULL) - 0.001231) < 3e-6);
    clock_t began = clock();
    OK(sp_fit_law(&r, &(struct sp_fit_options){ 0 }, &f, &err));
    double seconds = (double)(clock() - began) / CLOCKS_PER_SEC;
    assert_true(f.objective <= 0.0010183 && seconds < 1);
    assert_true(fabs(f.law.A - 477.83) < 0.05 && fabs(f.law.B - 2143.4) < 0.5 && fabs(f.law.E - 1.8172) < 1e-4);
    assert_true(fabs(f.law.alpha - 0.34731) < 1e-5 && fabs(f.law.beta - 0.36717) < 1e-5);
    /* intervals of Besiroglu et al. 2024: A 285-744, B 1042-5810, E 1.769-1.871, alpha .317-.373, beta .331-.415 */
    static const double low[] = { 1.769, 285, 1042, 0.317, 0.331 }, high[] = { 1.871, 744, 5810, 0.373, 0.415 }, within[] = { 0.004, 35, 900, 0.004, 0.006 };
    OK(sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 600, .seed = 1 }, &f, &err));
    for (int i = 0; i < SP_LAW_NUMBERS; i++)
        if (fabs(f.number[i].low - low[i]) > within[i] || fabs(f.number[i].high - high[i]) > within[i])
            fail_msg("%s: %g to %g, published %g to %g", sp_law_number_names[i], f.number[i].low, f.number[i].high, low[i], high[i]);
    sp_law_runs_clear(&r);
    sp_csv_clear(&t);
}

static void memory_that_runs_out(void **state)
{
    struct sp_law_runs r;
    struct sp_fit f;
    struct sp_err e = { 0 };
    (void)state;
    synthetic(&r, &truth, 0.003, 0);
    int64_t n = 0;
    for (;; n++) {
        sp_mem_fail_at(n);
        enum sp_status st = sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 3, .seed = 1 }, &f, &e);
        sp_mem_fail_at(-1);
        if (!st)
            break;
        assert_int_equal(st, SP_NOMEM);
    }
    assert_true(n >= 3);
    sp_law_runs_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_exactly_without_noise), cmocka_unit_test(found_within_its_intervals), cmocka_unit_test(one_exponent_for_both),
        cmocka_unit_test(some_odd_runs_hardly_matter), cmocka_unit_test(threads_change_nothing),     cmocka_unit_test(not_determined_is_said),
        cmocka_unit_test(objective_by_hand),           cmocka_unit_test(gradient_as_differences),    cmocka_unit_test(rows_by_rule),
        cmocka_unit_test(chinchilla_again),            cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
