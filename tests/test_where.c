/* tests/test_where.c - renting and owning against worked examples, places ranked,
 * currencies kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <cmocka.h>
#include "shared.h"
#include "file/file.h"
#include "plan/where.h"
#include "recipe/recipe.h"
#include "recipe/technique.h"

static const int64_t today = 1795564800; /* 2026-11-25 */

static struct sp_catalog *open_catalog(void)
{
    struct sp_err err = { 0 };
    struct sp_catalog *c = NULL;
    if (sp_catalog_open(&c, &err))
        fail_msg("%s: %s", err.where, err.what);
    return c;
}

static void near(const char *what, double got, double want, double by)
{
    if (!(fabs(got - want) <= by))
        fail_msg("%s: %.9g, wanted %.9g within %g", what, got, want, by);
}

/* Bought, a month's upkeep and power, a month's rent, break-even (0: never) and an own useful hour over 48 months: a
 * spreadsheet's, with 0.4 for the rest, 0.72 of rated power, 0.3 for the host, PUE 1.56, 0.2 a kWh, 0.05 for upkeep. */
struct worked { double price, tdp_w, rent, utilisation, power_hour, opex, rent_month, months, own_hour; };
static const struct worked worked[] = {
    { 11458, 300, 3.06, 0.1, 0.0876, 73.23, 223.38, 106.8, 5.581 }, { 11458, 300, 3.06, 0.9, 0.0876, 124.4, 2010.42, 8.5, 0.698 },
    { 11458, 300, 0.6818, 0.1, 0.0876, 73.23, 49.77, 0, 5.581 },    { 15000, 400, 2.79, 0.6, 0.1168, 138.66, 1222.02, 19.4, 1.315 },
    { 33600, 700, 12.29, 0.3, 0.2044, 240.77, 2691.51, 19.2, 5.574 }, { 33600, 700, 4.09, 0.1, 0.2044, 210.92, 298.57, 536.7, 16.314 },
    { 4649, 300, 1.09, 0.6, 0.0876, 65.49, 477.42, 15.8, 0.459 },
};

static void check_worked(const struct sp_catalog *c, const struct worked *w)
{
    struct sp_machine m = { .name = "example", .currency = "USD", .device = { .name = "example", .count = 1, .tdp_w = w->tdp_w } };
    struct sp_plan_money_ask ask;
    struct sp_plan_money out;
    struct sp_err err = { 0 };
    sp_plan_money_ask_init(&ask, &m, sp_exact(100, SP_HOW_CATALOGUE));
    ask.price_per_hour = w->rent;
    ask.own = (struct sp_own_terms){ .price = w->price, .rest = 0.4, .months = 48, .utilisation = w->utilisation, .staff = 0.05, .price_per_kwh = 0.2, .pue = 1.56,
                                     .load = 0.72, .host = 0.3 };
    ask.today = today;
    if (sp_plan_money(c, &ask, &out, NULL, &err))
        fail_msg("%s", err.what);
    near("bought", out.capital, 1.4 * w->price, 1e-6);
    near("a month", out.opex_month, w->opex, 0.006);
    near("rent a month", out.rent_month, w->rent_month, 0.02);
    near("own hour", out.own_per_device_hour, w->own_hour, 0.0006);
    near("the job on an own machine", out.own.likely, 100 * w->own_hour, 0.06);
    near("the job rented", out.on_demand.likely, 100 * w->rent, 1e-9);
    if (w->months > 0)
        near("break-even", out.months_break_even, w->months, 0.051);
    else
        assert_true(isinf(out.months_break_even));
    assert_true(out.own.low > 0 && out.own.low <= out.own.likely && out.own.likely <= out.own.high);
    assert_string_equal(out.currency, "USD");
}

static void breaks_even(void **state)
{
    struct sp_catalog *c = open_catalog();
    const char *path = shared_file("facts/tco_breakeven.csv");
    struct sp_csv t;
    struct sp_err err = { 0 };
    int n = (int)SP_COUNT(worked);
    (void)state;
    for (size_t i = 0; i < SP_COUNT(worked); i++)
        check_worked(c, &worked[i]);
    if (path && !sp_csv_read(&t, path, 1 << 20, &err)) {
        static const char *const names[] = { "price", "tdp_w", "rent_per_h", "utilisation", "own_power_cost_per_h", "own_opex_per_month", "cloud_per_month",
                                             "break_even_months", "own_cost_per_useful_h_48mo" };
        for (int row = 0; row < t.rows; row++, n++) {
            double v[SP_COUNT(names)];
            for (size_t k = 0; k < SP_COUNT(names); k++)
                if (sp_csv_real(&t, row, sp_csv_column(&t, names[k]), &v[k], &err))
                    v[k] = 0; /* "never" */
            check_worked(c, &(struct worked){ v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[8] });
        }
        sp_csv_clear(&t);
    }
    print_message("%d worked examples\n", n);
    sp_catalog_free(c);
}

static void place_on(const struct sp_catalog *c, const char *on, struct sp_machine *m)
{
    struct sp_err err = { 0 };
    *m = (struct sp_machine){ .name = "probed", .currency = "EUR", .pue = 1 };
    if (sp_catalog_place(c, on, m, &err))
        fail_msg("%s", err.what);
}

/* Prices of the catalogue, by hand: 8 A100 of an instance for 22.32 USD an hour; spot and reserved of p4d.24xlarge. */
static void rents(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_machine m;
    struct sp_plan_money_ask ask;
    struct sp_plan_money out;
    struct sp_err err = { 0 };
    (void)state;
    place_on(c, "a100-80gb*8", &m);
    sp_plan_money_ask_init(&ask, &m, sp_range(700, 800, 900, SP_HOW_MODEL));
    ask.today = today;
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    near("cheapest", out.on_demand.likely, 100 * 22.32, 1e-6);
    near("low", out.on_demand.low, 87.5 * 22.32, 1e-6);
    assert_true(!strcmp(out.currency, "USD") && strstr(out.source, "lambda") && strstr(out.source, "2026"));
    ask.provider = "aws";
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    near("p4de", out.on_demand.likely, 100 * 40.9657, 1e-4);
    assert_true(out.stale && out.on_demand.low < 700.0 / 8 * 40.9657 && strstr(out.source, "stale"));
    place_on(c, "p4d.24xlarge", &m);
    ask.provider = NULL;
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    near("p4d", out.on_demand.likely, 100 * 32.7726, 1e-4);
    near("reserved", out.reserved.likely, 100 * 20.1755, 1e-4);
    near("spot", out.spot.likely, 1.1 * 100 * 8.1984, 1e-3); /* a tenth is done again */
    place_on(c, "a100-80gb", &m); /* one of it: the other seven of the instance idle, and are paid */
    ask.provider = "lambda";
    ask.device_hours = sp_exact(100, SP_HOW_CATALOGUE);
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    near("idle devices", out.on_demand.likely, 100 * 22.32, 1e-6);
    sp_catalog_free(c);
}

static void keeps_currencies(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_machine m;
    struct sp_plan_money_ask ask;
    struct sp_plan_money out;
    struct sp_err err = { 0 };
    (void)state;
    place_on(c, "h100*4", &m);
    sp_plan_money_ask_init(&ask, &m, sp_exact(4, SP_HOW_CATALOGUE));
    ask.today = today;
    ask.currency = "EUR";
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    assert_true(out.on_demand.how == SP_HOW_UNKNOWN && out.own.how == SP_HOW_UNKNOWN && strstr(out.why, "--rate USD") && isnan(out.months_break_even));
    assert_int_equal(sp_money_rate(&ask.rates, "USD=0.92", &err), SP_OK);
    assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_OK);
    near("in euros", out.on_demand.likely, 0.92 * 16.36, 1e-9);
    assert_true(!strcmp(out.currency, "EUR") && out.own.how != SP_HOW_UNKNOWN && !out.why[0]);
    static const char *const wrong[] = { "USD", "USD=", "USD=-1", "USD=0", "US=1", "USD=x", "", "USDOLLAR=1" };
    for (size_t i = 0; i < SP_COUNT(wrong); i++) {
        struct sp_money_rates r = { 0 };
        assert_int_equal(sp_money_rate(&r, wrong[i], &err), SP_USAGE);
    }
    sp_catalog_free(c);
}

static void refuses(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_machine m;
    struct sp_plan_money out;
    struct sp_err err = { 0 };
    (void)state;
    place_on(c, "h100*4", &m);
    for (int i = 0; i < 7; i++) {
        struct sp_plan_money_ask ask;
        sp_plan_money_ask_init(&ask, &m, sp_exact(i == 0 ? -4 : i == 1 ? INFINITY : 4, SP_HOW_CATALOGUE));
        ask.provider = i == 2 ? "nimbus" : NULL;
        ask.region = i == 3 ? "atlantis-1" : NULL;
        ask.currency = i == 4 ? "dollars" : NULL;
        ask.own.utilisation = i == 5 ? 1.5 : -1;
        ask.own.pue = i == 6 ? 0.5 : -1;
        assert_int_equal(sp_plan_money(c, &ask, &out, NULL, &err), SP_USAGE);
        assert_true(err.what[0]);
    }
    sp_catalog_free(c);
}

/* Places are in order; use is kWh x PUE x grid; making is the SCI's example: a tonne over four years, one hour: 28.5 g. */
static void ranks_places(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_machine m;
    struct sp_plan_money_ask ask;
    static struct sp_plan_place place[SP_PLACES_MAX];
    struct sp_err err = { 0 };
    int n;
    (void)state;
    place_on(c, "a100-80gb*8", &m);
    m.embodied_g_per_hour = 8 * 1e6 / (4 * 8766.0);
    sp_plan_money_ask_init(&ask, &m, sp_exact(1, SP_HOW_CATALOGUE));
    ask.energy_kwh = sp_exact(10, SP_HOW_METER);
    ask.today = today;
    assert_int_equal(sp_plan_places(c, &ask, SP_PLACE_BY_MONEY, place, SP_PLACES_MAX, &n, &err), SP_OK);
    assert_true(n > 80 && !strcmp(place[0].provider, "lambda"));
    for (int i = 1; i < n; i++)
        assert_true(place[i].money.how == SP_HOW_UNKNOWN || place[i - 1].money.likely <= place[i].money.likely);
    near("making", place[0].co2e_embodied_g.likely, 28.52, 0.01);
    assert_int_equal(sp_plan_places(c, &ask, SP_PLACE_BY_CO2E, place, SP_PLACES_MAX, &n, &err), SP_OK);
    assert_string_equal(place[0].region, "europe-north2");
    near("use", place[0].co2e_g.likely, 10 * 1.12 * 2.73, 1e-6);
    for (int i = 1; i < n; i++)
        assert_true(place[i].co2e_g.how == SP_HOW_UNKNOWN || place[i - 1].co2e_g.likely <= place[i].co2e_g.likely);
    snprintf(m.zone, sizeof m.zone, "PL");
    m.co2e_g_per_kwh = 700;
    m.co2e_how = SP_HOW_CATALOGUE; /* a zone was given: an own machine is a place too, with a room's PUE */
    assert_int_equal(sp_plan_places(c, &ask, SP_PLACE_BY_CO2E, place, SP_PLACES_MAX, &n, &err), SP_OK);
    int own = 0;
    while (own < n && strcmp(place[own].provider, "own"))
        own++;
    assert_true(own < n && place[own].money.likely > 0 && !strcmp(place[own].zone, "PL"));
    near("own use", place[own].co2e_g.likely, 10 * 1.56 * 700, 1e-6);
    ask.provider = "azure";
    ask.region = "westeurope";
    assert_int_equal(sp_plan_places(c, &ask, SP_PLACE_BY_CO2E, place, SP_PLACES_MAX, &n, &err), SP_OK);
    assert_true(n == 1 && !strcmp(place[0].zone, "NL") && !strcmp(place[0].price_region, "eastus") && place[0].money.how == SP_HOW_ASSUMED);
    near("of another region", place[0].money.likely, 32.77 / 8, 1e-9);
    ask.region = "atlantis";
    assert_int_equal(sp_plan_places(c, &ask, SP_PLACE_BY_CO2E, place, SP_PLACES_MAX, &n, &err), SP_USAGE);
    sp_catalog_free(c);
}

extern const struct sp_technique sp_technique_cloud;

static void rewrites_the_place(void **state)
{
    void *options = calloc(1, sp_technique_cloud.options_bytes);
    struct sp_option_set set = { sp_technique_cloud.options, options };
    char on[] = "--cloud-on=a100-80gb*8", in[] = "--cloud-in=USD", provider[] = "--cloud-provider=aws", region[] = "--cloud-region=eu-north-1", euro[] = "--cloud-in=EUR";
    char *argv[] = { on, in, provider, region }, *euros[] = { euro };
    struct sp_recipe r = { .place = { .currency = "EUR", .price_per_hour = -1, .pue = 1 } }, before = r;
    struct sp_err err = { 0 };
    int operands;
    (void)state;
    sp_option_defaults(&set, 1);
    assert_int_equal(sp_technique_cloud.recipe(&r, options, &err), SP_USAGE);
    assert_int_equal(sp_option_parse(&set, 1, 4, argv, &operands, &err), SP_OK);
    assert_int_equal(sp_technique_cloud.recipe(&r, options, &err), SP_OK);
    near("rent an hour of all eight", r.place.price_per_hour, 40.9657, 1e-4);
    near("grid", r.place.co2e_per_kwh, 40.7, 0.2); /* Sweden */
    near("building", r.place.pue, 1.2, 1e-9);
    assert_string_equal(r.place.currency, "USD");
    assert_int_equal(sp_option_parse(&set, 1, 1, euros, &operands, &err), SP_OK);
    r = before;
    assert_int_equal(sp_technique_cloud.recipe(&r, options, &err), SP_MISSING);
    assert_true(strstr(err.what, "--rate USD") && r.place.price_per_hour < 0);
    free(options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(breaks_even), cmocka_unit_test(rents), cmocka_unit_test(keeps_currencies), cmocka_unit_test(refuses),
        cmocka_unit_test(ranks_places), cmocka_unit_test(rewrites_the_place),
    };
    unsetenv("SPARSAM_CATALOG");
    setenv("XDG_DATA_HOME", "/nonexistent", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
