/* tests/test_catalog.c - facts found, a user's rows in front, a machine completed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "catalog/catalog.h"
#include "file/file.h"

static struct sp_catalog *open_catalog(void)
{
    struct sp_err err = { 0 };
    struct sp_catalog *c = NULL;
    if (sp_catalog_open(&c, &err))
        fail_msg("%s: %s", err.where, err.what);
    return c;
}

static void near(double got, double want, double by)
{
    if (fabs(got - want) > by)
        fail_msg("%.9g, wanted %.9g within %g", got, want, by);
}

/* Our World in Data, 2023: 381, 56 and 369; EPA eGRID 2016 for California: 205. */
static const struct { const char *zone, *code; double g; } zones[] = {
    { "DE", "DE", 381 }, { "fr", "FR", 56 }, { "US", "US", 369.5 }, { "US-CA", "US-CA", 205.3 }, { "us-ca", "US-CA", 205.3 }, { "DE-BY", "DE", 381 },
    { "WORLD", "WORLD", 481 }, { "XX", NULL, 0 }, { "", NULL, 0 }, { "D", NULL, 0 }, { "-", NULL, 0 },
};

static void finds_zones(void **state)
{
    struct sp_catalog *c = open_catalog();
    (void)state;
    for (size_t i = 0; i < SP_COUNT(zones); i++) {
        const struct sp_grid *g = sp_catalog_grid(c, zones[i].zone);
        assert_int_equal(g != NULL, zones[i].code != NULL);
        if (g) {
            assert_string_equal(g->code, zones[i].code);
            near(g->g_per_kwh, zones[i].g, 0.6);
        }
    }
    print_message("%zu zones\n", SP_COUNT(zones));
    sp_catalog_free(c);
}

/* As /proc/cpuinfo spells them; watts as the makers state them. */
static const struct { const char *cpu; double tdp; } processors[] = {
    { "AMD EPYC 7763 64-Core Processor", 280 }, { "AMD Ryzen 9 5950X 16-Core Processor", 105 },
    { "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz", 270 }, { "AMD EPYC", 0 }, { "", 0 }, { "(", 0 }, { "@", 0 },
};

static void finds_processors(void **state)
{
    struct sp_catalog *c = open_catalog();
    (void)state;
    for (size_t i = 0; i < SP_COUNT(processors); i++) {
        const struct sp_processor *p = sp_catalog_processor(c, processors[i].cpu);
        assert_int_equal(p != NULL, processors[i].tdp > 0);
        if (p)
            near(p->tdp_w, processors[i].tdp, 0.5);
    }
    sp_catalog_free(c);
}

/* Every era's curve begins between nothing and full, never falls, ends at full power. */
static void curves_rise(void **state)
{
    struct sp_catalog *c = open_catalog();
    static const char *const makes[] = { "amd", "Intel" };
    int n = 0;
    (void)state;
    for (size_t i = 0; i < SP_COUNT(makes); i++)
        for (int year = 2007; year < 2030; year++, n++) {
            const struct sp_server_power *s = sp_catalog_server(c, makes[i], year);
            assert_non_null(s);
            near(sp_catalog_load(s, 1), 1, 1e-9);
            near(sp_catalog_load(s, 2), 1, 1e-9);
            assert_true(sp_catalog_load(s, 0) > 0.05 && sp_catalog_load(s, -1) < 0.6);
            near(sp_catalog_load(s, 0.25), (s->load[2] + s->load[3]) / 2, 1e-9);
            for (int k = 0; k < 10; k++)
                assert_true(s->load[k] <= s->load[k + 1]);
        }
    assert_null(sp_catalog_server(c, "amd", 1990));
    print_message("%d curves\n", n);
    sp_catalog_free(c);
}

static void completes_machines(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_err err = { 0 };
    struct sp_machine m = { .cpu = "AMD EPYC 7763 64-Core Processor", .cores = 128, .threads = 128, .pue = 1 };
    (void)state;
    unsetenv("SPARSAM_ZONE");
    assert_int_equal(sp_catalog_machine(c, "DE", &m, &err), SP_OK);
    near(m.idle_w + 128 * m.watts_thread, 280 * 1.25, 1e-6); /* all of one processor's power at full load */
    assert_true(m.idle_w > 0 && m.power_how == SP_HOW_MODEL && strstr(m.power_source, "7763"));
    near(m.co2e_g_per_kwh, 381, 0.6);
    assert_int_equal(m.co2e_how, SP_HOW_CATALOGUE);
    near(m.embodied_g_per_hour, 1e6 / (4 * 8766), 1e-6);
    assert_true(m.price_per_kwh > 0.28 && !strcmp(m.currency, "EUR"));
    struct sp_machine v = { .cpu = "AMD EPYC", .cores = 2 }, own = { .cpu = "x", .cores = 1, .idle_w = 7, .price_per_kwh = 0.1, .currency = "USD", .co2e_g_per_kwh = 1 };
    assert_int_equal(sp_catalog_machine(c, NULL, &v, &err), SP_OK);
    assert_int_equal(v.co2e_how, SP_HOW_ASSUMED);
    assert_true(v.idle_w > 0 && v.embodied_g_per_hour < 1);
    near(v.idle_w + 2 * v.watts_thread, 2 * 3.42448 * 1.25, 1e-4); /* the middle of 98 server processors in the table, by awk */
    assert_true(v.power_how == SP_HOW_ASSUMED && strstr(v.power_source, "98 amd"));
    assert_int_equal(sp_catalog_machine(c, NULL, &own, &err), SP_OK); /* what is set is kept */
    near(own.idle_w, 7, 0);
    near(own.price_per_kwh, 0.1, 0);
    near(own.co2e_g_per_kwh, 1, 0);
    assert_int_equal(sp_catalog_machine(c, "Atlantis", &(struct sp_machine){ .cores = 1 }, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "Atlantis"));
    sp_catalog_free(c);
}

static void users_rows_win(void **state)
{
    char folder[] = "/tmp/sparsam-catalog-XXXXXX", path[64], command[64];
    static const char rows[] = "code,name,g_per_kwh,basis,year,source\n\"HOME\",\"my roof, mostly\",20,own,2026,meter\r\n\nDE,Germany,5,own,2026,me\n";
    struct sp_err err = { 0 };
    struct sp_catalog *c;
    (void)state;
    assert_non_null(mkdtemp(folder));
    setenv("SPARSAM_CATALOG", folder, 1);
    snprintf(path, sizeof path, "%s/grid.csv", folder);
    assert_int_equal(sp_write_file(path, rows, strlen(rows), &err), SP_OK);
    c = open_catalog();
    assert_string_equal(sp_catalog_grid(c, "home")->name, "my roof, mostly");
    near(sp_catalog_grid(c, "DE")->g_per_kwh, 5, 0);
    near(sp_catalog_grid(c, "FR")->g_per_kwh, 56, 0.6);
    sp_catalog_free(c);
    static const char bad[] = "code,name,g_per_kwh,basis,year,source\nDE,Germany,much,own,2026,me\n";
    assert_int_equal(sp_write_file(path, bad, strlen(bad), &err), SP_OK);
    assert_int_equal(sp_catalog_open(&c, &err), SP_FORMAT);
    assert_true(strstr(err.what, "much") && strstr(err.where, "grid.csv line 2"));
    static const char few[] = "code,name\nDE,Germany\n";
    assert_int_equal(sp_write_file(path, few, strlen(few), &err), SP_OK);
    assert_int_equal(sp_catalog_open(&c, &err), SP_FORMAT);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(sp_catalog_open(&c, &err), SP_MISSING);
    unsetenv("SPARSAM_CATALOG");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_zones), cmocka_unit_test(finds_processors), cmocka_unit_test(curves_rise),
        cmocka_unit_test(completes_machines), cmocka_unit_test(users_rows_win),
    };
    unsetenv("SPARSAM_CATALOG");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
