/* tests/test_cost.c - figures, the JSON contract both ways, prices, rates,
 * feature masks.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "cost/cost.h"

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * fmax(1, fabs(want))))
        fail_msg("%.15g, wanted %.15g", got, want);
}

static void is(struct sp_figure f, double low, double likely, double high, enum sp_how how)
{
    near(f.low, low);
    near(f.likely, likely);
    near(f.high, high);
    assert_int_equal(f.how, how);
}

static void figures_are_ranges(void **state)
{
    struct sp_figure a = sp_range(1, 2, 4, SP_HOW_METER), b = sp_range(10, 20, 30, SP_HOW_MODEL), none = { 0 };
    (void)state;
    is(sp_figure_add(a, b), 11, 22, 34, SP_HOW_MODEL);       /* known as well as its weakest part */
    is(sp_figure_sub(b, a), 6, 18, 29, SP_HOW_MODEL);        /* the error of both */
    is(sp_figure_sub(a, a), -3, 0, 3, SP_HOW_METER);
    is(sp_figure_mul(a, b), 10, 40, 120, SP_HOW_MODEL);
    is(sp_figure_mul(sp_range(-2, 1, 3, SP_HOW_METER), b), -60, 20, 90, SP_HOW_MODEL);
    is(sp_figure_scale(a, 2), 2, 4, 8, SP_HOW_METER);
    is(sp_figure_scale(a, -1), -4, -2, -1, SP_HOW_METER);
    is(sp_figure_add(a, none), 1, 2, 4, SP_HOW_METER);
    is(sp_exact(3, SP_HOW_COUNTER), 3, 3, 3, SP_HOW_COUNTER);
}

static void costs_add_and_peaks_do_not(void **state)
{
    struct sp_cost a = { .time_s = sp_exact(2, SP_HOW_COUNTER), .memory_peak = sp_exact(100, SP_HOW_COUNTER), .currency = "" };
    struct sp_cost b = { .time_s = sp_exact(3, SP_HOW_MODEL), .memory_peak = sp_exact(70, SP_HOW_COUNTER), .parameters = sp_exact(7, SP_HOW_COUNTER), .currency = "EUR" };
    (void)state;
    sp_cost_add(&a, &b);
    is(a.time_s, 5, 5, 5, SP_HOW_MODEL);
    is(a.memory_peak, 100, 100, 100, SP_HOW_COUNTER);
    near(a.parameters.likely, 7);
    sp_cost_add(&a, &b);
    near(a.parameters.likely, 7); /* the same model twice has not twice the parameters */
    assert_string_equal(a.currency, "EUR");
}

static void fill(struct sp_cost *c)
{
    double v = 1;
    memset(c, 0, sizeof *c);
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++, v += 1)
        *(struct sp_figure *)(void *)((char *)c + r->at) = sp_range(v, 2 * v, 3.1 * v, (enum sp_how)((int)v % SP_HOW_UNKNOWN));
    for (int i = 0; i < SP_MEM_KINDS; i++)
        c->memory[i] = sp_exact(1000 + i, SP_HOW_COUNTER);
    c->memory_peak = sp_exact(9999, SP_HOW_METER);
    memcpy(c->currency, "CHF", 4);
}

/* The keys that other programs rely on. */
static void json_goes_both_ways(void **state)
{
    static const char *const keys[] = { "time_s", "energy_j", "co2e_g", "money", "flops", "parameters", "device_hours", "memory_bytes", "currency" };
    static const char *const kinds[] = { "weights", "gradients", "optimizer", "activations", "cache", "packed", "data", "program", "peak" };
    struct sp_cost a, b;
    struct sp_err err = { 0 };
    (void)state;
    fill(&a);
    json_t *j = sp_cost_json(&a);
    assert_non_null(j);
    for (size_t i = 0; i < SP_COUNT(keys); i++)
        assert_non_null(json_object_get(j, keys[i]));
    for (size_t i = 0; i < SP_COUNT(kinds); i++)
        assert_non_null(json_object_get(json_object_get(j, "memory_bytes"), kinds[i]));
    json_t *f = json_object_get(j, "time_s");
    assert_int_equal(json_object_size(f), 4);
    assert_true(json_is_real(json_object_get(f, "low")) && json_is_real(json_object_get(f, "likely")) && json_is_real(json_object_get(f, "high")));
    assert_true(json_is_string(json_object_get(f, "how")));
    assert_int_equal(sp_cost_from_json(&b, j, &err), SP_OK);
    json_t *k = sp_cost_json(&b);
    assert_true(json_equal(j, k));
    json_decref(j);
    json_decref(k);
    struct sp_cost nothing = { 0 };
    j = sp_cost_json(&nothing);
    assert_null(json_object_get(j, "time_s")); /* what is not known is absent */
    json_decref(j);
}

static const struct { const char *text; enum sp_status want; } hostile[] = {
    { "{}", SP_OK },
    { "{\"time_s\":{\"low\":1,\"likely\":2,\"high\":3,\"how\":\"meter\"},\"later\":1}", SP_OK },
    { "[]", SP_FORMAT },
    { "{\"time_s\":3}", SP_FORMAT },
    { "{\"time_s\":{\"low\":1,\"likely\":2,\"high\":3}}", SP_FORMAT },
    { "{\"time_s\":{\"low\":1,\"likely\":2,\"high\":3,\"how\":\"guess\"}}", SP_FORMAT },
    { "{\"memory_bytes\":{\"peak\":[]}}", SP_FORMAT },
};

static void json_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(hostile); i++) {
        struct sp_cost c = { .time_s = sp_exact(42, SP_HOW_METER) };
        struct sp_err err = { 0 };
        json_t *j = json_loads(hostile[i].text, 0, NULL);
        assert_non_null(j);
        assert_int_equal(sp_cost_from_json(&c, j, &err), hostile[i].want);
        if (hostile[i].want)
            near(c.time_s.likely, 42); /* untouched on failure */
        json_decref(j);
    }
    print_message("%zu texts\n", SP_COUNT(hostile));
}

static void hows_have_names(void **state)
{
    static const char *const names[] = { "meter", "counter", "model", "catalogue", "assumed" };
    enum sp_how how;
    (void)state;
    for (int i = 0; i < (int)SP_COUNT(names); i++) {
        assert_string_equal(sp_how_name((enum sp_how)i), names[i]);
        assert_true(sp_how_parse(names[i], &how) && how == (enum sp_how)i);
    }
    assert_false(sp_how_parse("", &how));
}

/* One kilowatt for an hour: 3.6 MJ, at 400 g and 0.30 a kWh. */
static void prices(void **state)
{
    struct sp_machine m = { .idle_w = 1000, .pue = 1, .co2e_g_per_kwh = 400, .co2e_how = SP_HOW_CATALOGUE, .price_per_kwh = 0.30,
                            .price_how = SP_HOW_CATALOGUE, .embodied_g_per_hour = 5, .currency = "EUR", .power_how = SP_HOW_MODEL };
    struct sp_cost c = { .time_s = sp_exact(3600, SP_HOW_COUNTER) };
    (void)state;
    sp_cost_price(&c, &m);
    near(c.energy_j.likely, 3.6e6);
    near(c.co2e_g.likely, 400);
    near(c.money.likely, 0.30);
    near(c.device_hours.likely, 1);
    near(c.co2e_embodied_g.likely, 5);
    assert_int_equal(c.energy_j.how, SP_HOW_MODEL);
    struct sp_cost counted = { .time_s = sp_exact(3600, SP_HOW_COUNTER), .energy_j = sp_exact(7.2e6, SP_HOW_COUNTER) };
    sp_cost_price(&counted, &m); /* a counter is not overruled */
    near(counted.energy_j.likely, 7.2e6);
    near(counted.co2e_g.likely, 800);
    m.price_per_hour = 2; /* rented: by the hour, power included */
    m.co2e_how = SP_HOW_ASSUMED;
    sp_cost_price(&counted, &m);
    near(counted.money.likely, 2);
    assert_true(counted.co2e_g.low < 0.5 * counted.co2e_g.likely && counted.co2e_g.how == SP_HOW_ASSUMED);
}

static void rates_are_found(void **state)
{
    struct sp_rates r = { 0 };
    (void)state;
    for (int i = 0; i < SP_RATES_MAX + 5; i++) {
        struct sp_rate one = { .flops_per_s = i };
        snprintf(one.row, sizeof one.row, "row%d", i);
        sp_rates_put(&r, &one);
    }
    assert_int_equal(r.n, SP_RATES_MAX);
    near(sp_rates_find(&r, "row7")->flops_per_s, 7);
    sp_rates_put(&r, &(struct sp_rate){ .row = "row7", .flops_per_s = 8 });
    near(sp_rates_find(&r, "row7")->flops_per_s, 8);
    assert_null(sp_rates_find(&r, "row"));
}

static void features_are_masked(void **state)
{
    struct sp_machine m;
    (void)state;
    unsetenv("SPARSAM_CPU");
    uint32_t all = sp_cpu_features();
    setenv("SPARSAM_CPU", "portable", 1);
    assert_int_equal(sp_cpu_features(), 0);
    setenv("SPARSAM_CPU", "avx2", 1);
    assert_int_equal(sp_cpu_features() & (SP_CPU_AVX512 | SP_CPU_AVX512_VNNI | SP_CPU_AVX512_BF16 | SP_CPU_AMX), 0);
    assert_int_equal(sp_cpu_features() & SP_CPU_AVX2, all & SP_CPU_AVX2);
    setenv("SPARSAM_CPU", "avx2,-dnnl", 1);
    assert_int_equal(sp_cpu_features() & SP_CPU_DNNL, 0);
    assert_int_equal(sp_cpu_features() & ~all, 0);
    unsetenv("SPARSAM_CPU");
    sp_machine_portable(&m);
    assert_int_equal(m.features, 0);
}

/* 1 changes nothing; else all is scaled and known no better than an assumption. */
static void a_building_takes_its_share(void **state)
{
    struct sp_machine m = { .pue = 1 };
    struct sp_figure f = sp_range(1, 2, 3, SP_HOW_COUNTER), g = sp_with_building(f, &m);
    (void)state;
    assert_true(g.low == 1 && g.likely == 2 && g.high == 3 && g.how == SP_HOW_COUNTER);
    m.pue = 1.5;
    g = sp_with_building(f, &m);
    assert_true(g.low == 1.5 && g.likely == 3 && g.high == 4.5 && g.how == SP_HOW_ASSUMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_ranges), cmocka_unit_test(costs_add_and_peaks_do_not), cmocka_unit_test(json_goes_both_ways),
        cmocka_unit_test(json_is_checked), cmocka_unit_test(hows_have_names), cmocka_unit_test(prices), cmocka_unit_test(rates_are_found),
        cmocka_unit_test(features_are_masked), cmocka_unit_test(a_building_takes_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
