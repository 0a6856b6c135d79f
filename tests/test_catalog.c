/* tests/test_catalog.c - facts found, a user's rows in front, a machine completed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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
    assert_true(strstr(err.what, "much") && strstr(err.where, "grid.csv row 1"));
    static const char few[] = "code,name\nDE,Germany\n";
    assert_int_equal(sp_write_file(path, few, strlen(few), &err), SP_OK);
    assert_int_equal(sp_catalog_open(&c, &err), SP_FORMAT);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    assert_int_equal(sp_catalog_open(&c, &err), SP_MISSING);
    unsetenv("SPARSAM_CATALOG");
}

/* A file is added, its rows win; a second one replaces what it names again and keeps the rest; a wrong one changes nothing. */
static void adds_files(void **state)
{
    static const char first[] = "provider,instance,accelerator,devices,on_demand,currency,date\nus,\"box, big\",NVIDIA L4 24GB,2,1.5,EUR,2026-10\n"
                                "us,small,NVIDIA L4 24GB,1,0.2,EUR,2026-10\n";
    static const char second[] = "date,instance,provider,accelerator,devices,on_demand,currency,note\n2026-11,SMALL,us,NVIDIA L4 24GB,1,0.25,EUR,x\n";
    static const char *const wrong[] = {
        "instance,provider,accelerator,devices,on_demand,currency,date\nbox,us,NVIDIA L4 24GB,2,-1,EUR,2026-10\n", "instance,provider,accelerator,devices,currency,date\nbox,us,NVIDIA L4 24GB,2,EUR,soon\n",
        "instance,provider,accelerator,devices,currency,date\nbox,us,NVIDIA L4 24GB,,EUR,2026\n", "instance,provider\nbox,us\n", "instance\n", "",
        "instance,provider,accelerator,devices,currency,date\nbox,us,NVIDIA L4 24GB,2,EUR,2026-13\n", "instance,provider,accelerator,devices,currency,date\nbox,us,rtx 4090,2,EUR,2026\n",
        "instance,provider,accelerator,devices,currency,date\nbox,us,NVIDIA L4 24GB,2,EUR,2026\nBOX,us,NVIDIA L4 24GB,2,EUR,2026\n",
    };
    char folder[] = "/tmp/sparsam-catalog-XXXXXX", own[64], file[64], path[4200], command[64];
    struct sp_err err = { 0 };
    struct sp_machine m = { 0 };
    struct sp_catalog *c = open_catalog();
    int rows;
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(own, sizeof own, "%s/made/here", folder);
    snprintf(file, sizeof file, "%s/mine.csv", folder);
    setenv("SPARSAM_CATALOG", own, 1);
    assert_int_equal(sp_write_file(file, first, strlen(first), &err), SP_OK);
    assert_int_equal(sp_catalog_add(c, SP_KIND_INSTANCES, file, path, sizeof path, &rows, &err), SP_OK);
    assert_int_equal(rows, 2);
    for (size_t i = 0; i < SP_COUNT(wrong); i++) {
        assert_int_equal(sp_write_file(file, wrong[i], strlen(wrong[i]), &err), SP_OK);
        assert_int_equal(sp_catalog_add(c, SP_KIND_INSTANCES, file, path, sizeof path, &rows, &err), SP_FORMAT);
        assert_true(err.what[0]);
    }
    assert_int_equal(sp_write_file(file, second, strlen(second), &err), SP_OK);
    assert_int_equal(sp_catalog_add(c, SP_KIND_INSTANCES, file, path, sizeof path, &rows, &err), SP_OK);
    assert_int_equal(rows, 2); /* SMALL is small */
    sp_catalog_free(c);
    c = open_catalog();
    near(sp_catalog_instance(c, "small")->on_demand, 0.25, 1e-12);
    assert_int_equal(sp_catalog_place(c, "Box BIG*3", &m, &err), SP_OK);
    assert_true(m.device.count == 6 && m.price_per_hour == 4.5 && !strcmp(m.currency, "EUR"));
    assert_int_equal(sp_catalog_place(c, "p4d.24xlarge", &m, &err), SP_OK);
    sp_catalog_free(c);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
    unsetenv("SPARSAM_CATALOG");
}

/* A row for a spelling; peaks as the makers publish them: dense, sums in f32. */
static const struct { const char *on; int count; const char *name; double memory_gb, bandwidth_gbs, f16_tflops, tdp_w; } places[] = {
    { "A100-80GB", 1, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 }, { "A100-40GB", 1, "NVIDIA A100 SXM4 40GB", 40, 1555, 312, 400 },
    { "NVIDIA A100 SXM4 40 GB", 1, "NVIDIA A100 SXM4 40GB", 40, 1555, 312, 400 }, { "NVIDIA A100", 1, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 },
    { "A100 PCIe 80GB * 4", 4, "NVIDIA A100 PCIe 80GB", 80, 1935, 312, 300 }, { "a100-80gb*64", 64, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 },
    { "8xH100", 8, "NVIDIA H100 SXM5 80GB", 80, 3350, 989.4, 700 }, { "H100 SXM TP8", 8, "NVIDIA H100 SXM5 80GB", 80, 3350, 989.4, 700 },
    { "A100-80GB x8 (TP)", 8, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 }, { "A100-40GB x2 TP2", 2, "NVIDIA A100 SXM4 40GB", 40, 1555, 312, 400 },
    { "rtx-4090", 1, "NVIDIA GeForce RTX 4090 24GB", 24, 1008, 165.2, 450 }, { "RTX 4090", 1, "NVIDIA GeForce RTX 4090 24GB", 24, 1008, 165.2, 450 },
    { "3090 24GB * 4", 4, "NVIDIA GeForce RTX 3090 24GB", 24, 936, 71, 350 }, { "3080 Ti 12GB", 1, "NVIDIA GeForce RTX 3080 Ti 12GB", 12, 912, 68.2, 350 },
    { "3080", 1, "NVIDIA GeForce RTX 3080 10GB", 10, 760, 59.5, 320 }, { "RTX 6000 Ada 48GB", 1, "NVIDIA RTX 6000 Ada 48GB", 48, 960, 364.2, 300 },
    { "RTX A6000 48GB * 4", 4, "NVIDIA RTX A6000 48GB", 48, 768, 154.8, 300 }, { "NVIDIA Quadro RTX 6000", 1, "NVIDIA Quadro RTX 6000 24GB", 24, 672, 130.5, 260 },
    { "RTX 6000 48GB", 1, "NVIDIA RTX 6000 Ada 48GB", 48, 960, 364.2, 300 }, { "RTX 6000 Pro Blackwell TP1", 1, "NVIDIA RTX PRO 6000 Blackwell 96GB", 96, 1792, 503.8, 600 },
    { "MI-250x one GCD", 1, "AMD Instinct MI250X GCD 64GB", 64, 1638, 191.5, 280 }, { "Titan X 12GB", 1, "NVIDIA Titan X 12GB", 12, 336.6, 6.7, 250 },
    { "A10G-24GB", 1, "NVIDIA A10G 24GB", 24, 600, 70, 300 }, { "NVIDIA Tesla V100S PCIe 32 GB", 1, "NVIDIA V100S PCIe 32GB", 32, 1134, 130, 250 },
    { "NVIDIA V100 (PCIe)", 1, "NVIDIA V100 PCIe 16GB", 16, 900, 112, 250 }, { "V100-32GB", 1, "NVIDIA V100 SXM2 32GB", 32, 900, 125, 300 },
    { "TPU v3-256", 128, "Google TPU v3", 32, 900, 123, 220 }, { "TPUv4", 1, "Google TPU v4", 32, 1200, 275, 170 }, { "tpu v5e-8", 8, "Google TPU v5e", 16, 819, 197, 140 },
    { "Apple M2 Max", 1, "Apple M2 Max", 96, 409.6, 13.5, 145 }, { "M1 Max 400 GB/s (Metal)", 1, "Apple M1 Max", 64, 400, 10.4, 115 },
    { "M1 7\xE2\x80\x91" "Core GPU 8GB", 1, "Apple M1", 8, 68.3, 2.6, 39 }, { "MacBook Pro M3 Max 128GB", 1, "Apple M3 Max", 128, 409.6, 16.3, 120 },
    { "Apple M2 Max CPU (NEON)", 0, "Apple M2 Max processor", 96, 243, 0.94, 145 }, { "Ryzen 7950X (AVX2/Zen4)", 0, "AMD Ryzen 9 7950X", 128, 83.2, 2.3, 170 },
    { "DGX Spark GB10 128GB (CUDA)", 1, "NVIDIA DGX Spark GB10 128GB", 128, 273, 125, 140 }, { "3070 16GB", 1, "NVIDIA GeForce RTX 3070 8GB", 16, 448, 40.6, 220 },
    { "64 A100", 64, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 }, { "8 GPUs (A100 40GB)", 8, "NVIDIA A100 SXM4 40GB", 40, 1555, 312, 400 },
    { "RTX 3090 GPU", 1, "NVIDIA GeForce RTX 3090 24GB", 24, 936, 71, 350 }, { "7900 XTX", 1, "AMD Radeon RX 7900 XTX 24GB", 24, 960, 122.8, 355 },
    { "8xT4", 8, "NVIDIA T4 16GB", 16, 320, 65, 70 }, { "3090 Ti", 1, "NVIDIA GeForce RTX 3090 Ti 24GB", 24, 1008, 80, 450 },
    { "A100 PCIe x16", 1, "NVIDIA A100 PCIe 80GB", 80, 1935, 312, 300 }, { "v5e-256", 256, "Google TPU v5e", 16, 819, 197, 140 },
    { "a100 \xC3\x97 16", 16, "NVIDIA A100 SXM4 80GB", 80, 2039, 312, 400 }, { "epyc 7763", 0, "AMD EPYC 7763", 2048, 204.8, 5, 280 },
};
static const char *const nowhere[] = { "a1000", "h100x", "rtx4090ti", "A100-640GB", "a100*0", "p4d.25xlarge", "", "*", "GPU", "disk", "total over GPUs",
                                       "8 GPUs (per GPU)", "Karpathy Linux box (CPU unspecified)", "a100*99999999999999999999" };

static void finds_places(void **state)
{
    struct sp_catalog *c = open_catalog();
    (void)state;
    for (size_t i = 0; i < SP_COUNT(places); i++) {
        struct sp_machine m = { .name = "probed", .cores = 2, .idle_w = 40, .zone = "DE", .co2e_g_per_kwh = 381 };
        struct sp_err err = { 0 };
        if (sp_catalog_place(c, places[i].on, &m, &err))
            fail_msg("%s: %s", places[i].on, err.what);
        if (strcmp(m.device.name, places[i].name) || m.device.count != places[i].count)
            fail_msg("%s: %d %s, wanted %d %s", places[i].on, m.device.count, m.device.name, places[i].count, places[i].name);
        near(m.device.memory_bytes, places[i].memory_gb * 1e9, 1e6);
        near(m.device.bytes_per_s, places[i].bandwidth_gbs * 1e9, 1e6);
        near(m.device.flops_16, places[i].f16_tflops * 1e12, 1e9);
        near(m.device.tdp_w, places[i].tdp_w, 0);
        assert_true(m.device.source[0] && m.idle_w == 0 && m.co2e_g_per_kwh == 381); /* the host is another, the grid is the person's */
        assert_true(m.embodied_g_per_hour > 0);
    }
    for (size_t i = 0; i < SP_COUNT(nowhere); i++) {
        struct sp_machine m = { .cores = 3 };
        struct sp_err err = { 0 };
        assert_int_equal(sp_catalog_place(c, nowhere[i], &m, &err), SP_USAGE);
        assert_true(err.what[0] && err.remedy[0] && m.cores == 3);
    }
    print_message("%zu spellings, %zu that are none\n", SP_COUNT(places), SP_COUNT(nowhere));
    sp_catalog_free(c);
}

/* Hardware as published runs spell it; what is no hardware is named here. */
static void finds_published(void **state)
{
    static const char *const files[] = { "runs_training.csv", "runs_memory.csv", "runs_inference.csv", "energy_published.csv" };
    static const char *const none[] = { "total", "total over GPUs", "8 GPUs (per GPU)", "n/a", "RAM", "disk", "GPU", "80GB GPU", "8GB GPU", "Nd=64 (per GPU)",
                                        "Karpathy Linux box (CPU unspecified)", "" };
    const char *root = getenv("SPARSAM_SHARED");
    struct sp_catalog *c = open_catalog();
    int rows = 0;
    (void)state;
    for (size_t f = 0; f < SP_COUNT(files); f++) {
        char path[512];
        struct sp_csv t;
        struct sp_err err = { 0 };
        snprintf(path, sizeof path, "%s/facts/%s", root ? root : "../shared", files[f]);
        if (!sp_is_file(path) || sp_csv_read(&t, path, 16 << 20, &err))
            continue;
        for (int i = 0; i < t.rows; i++, rows++) {
            struct sp_machine m = { 0 };
            const char *on = sp_csv_at(&t, i, sp_csv_column(&t, "hardware"));
            bool wanted = true;
            for (size_t k = 0; k < SP_COUNT(none); k++)
                wanted &= strcmp(on, none[k]) != 0;
            if ((sp_catalog_place(c, on, &m, &err) == SP_OK) != wanted)
                fail_msg("%s: %s: %s", files[f], on, wanted ? err.what : "taken for something");
        }
        sp_csv_clear(&t);
    }
    sp_catalog_free(c);
    print_message("%d rows of published runs\n", rows);
    if (!rows)
        skip();
}

static void finds_instances(void **state)
{
    struct sp_catalog *c = open_catalog();
    struct sp_err err = { 0 };
    struct sp_machine m = { .name = "probed", .idle_w = 40, .price_per_kwh = 0.3, .currency = "EUR" };
    (void)state;
    assert_int_equal(sp_catalog_place(c, "this", &m, &err), SP_OK);
    assert_true(m.idle_w == 40 && m.device.count == 0 && !strcmp(m.name, "probed"));
    assert_int_equal(sp_catalog_place(c, "p4d.24xlarge*2", &m, &err), SP_OK);
    assert_string_equal(m.device.name, "NVIDIA A100 SXM4 40GB");
    assert_true(m.device.count == 16 && m.device.per_node == 8 && !strcmp(m.currency, "USD") && m.price_per_kwh == 0);
    near(m.price_per_hour, 2 * 32.7726, 1e-9);
    assert_true(strstr(m.device.source, "2023-11") && m.price_how == SP_HOW_CATALOGUE);
    assert_int_equal(sp_catalog_place(c, "standard_nc6s_v3", &m, &err), SP_OK);
    assert_string_equal(m.device.name, "NVIDIA V100 PCIe 16GB");
    near(m.price_per_hour, 3.06, 1e-9);
    assert_int_equal(sp_catalog_place(c, "NV6adsv5", &m, &err), SP_OK); /* a sixth of an A10 */
    near(m.device.memory_bytes, 4e9, 1e7);
    sp_catalog_free(c);
}

/* Every row of every compiled table: numbers within their column's bounds, text and dates there, no row twice; and the
 * CSV beside them says the same number of rows. */
static void same_identity(const struct sp_catalog_kind *k, const char *a, const char *b)
{
    char line[512] = "";
    for (int i = 0; i < k->identity; i++) {
        const struct sp_catalog_column *col = &k->columns[i];
        const char *x, *y;
        if (col->type == SP_COLUMN_REAL || col->type == SP_COLUMN_INT)
            return; /* prices may differ: then these are two rows */
        memcpy(&x, a + col->at, sizeof x);
        memcpy(&y, b + col->at, sizeof y);
        if (strcasecmp(x, y))
            return;
        snprintf(line + strlen(line), sizeof line - strlen(line), " %s", x);
    }
    fail_msg("%s: twice:%s", k->name, line);
}

static void check_cell(const struct sp_catalog_kind *k, const struct sp_catalog_column *col, const char *row)
{
    double v = 0;
    int whole;
    const char *text;
    if (col->type == SP_COLUMN_REAL)
        memcpy(&v, row + col->at, sizeof v);
    else if (col->type == SP_COLUMN_INT) {
        memcpy(&whole, row + col->at, sizeof whole);
        v = whole;
    } else {
        memcpy(&text, row + col->at, sizeof text);
        if (!text || (col->needed && !*text) || (!strcmp(col->name, "source") && !*text) || (!strcmp(col->name, "licence") && !*text))
            fail_msg("%s: %s is empty", k->name, col->name);
        if (col->type == SP_COLUMN_DATE && (strlen(text) < 4 || atoi(text) < 1990 || atoi(text) > 2030))
            fail_msg("%s: %s is no date", k->name, text);
        return;
    }
    if (!(v >= col->min && v <= col->max) && (v != 0 || col->needed))
        fail_msg("%s: %s is %g, not within %g and %g", k->name, col->name, v, col->min, col->max);
}

static void rows_are_sane(void **state)
{
    int cells = 0;
    struct sp_catalog *c = open_catalog();
    (void)state;
    for (int kind = 0; kind < SP_KINDS; kind++) {
        const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
        const char *rows = k->rows;
        for (int i = 0; i < *k->n; i++) {
            for (const struct sp_catalog_column *col = k->columns; col->name; col++, cells++)
                check_cell(k, col, rows + (size_t)i * k->bytes);
            for (int j = 0; j < i; j++)
                same_identity(k, rows + (size_t)i * k->bytes, rows + (size_t)j * k->bytes);
        }
        char path[64];
        int n = 0;
        struct sp_err err = { 0 };
        snprintf(path, sizeof path, "catalog/%s.csv", k->name);
        if (sp_is_file(path)) {
            if (sp_catalog_check(c, (enum sp_catalog_kind_id)kind, path, &n, &err))
                fail_msg("%s: %s", err.where, err.what);
            assert_int_equal(n, *k->n); /* make catalog was run */
        }
    }
    print_message("%d cells\n", cells);
    sp_catalog_free(c);
}

/* What one table names another must have; peaks rise as numbers get shorter; ranges are ranges. */
static void tables_fit(void **state)
{
    struct sp_catalog *c = open_catalog();
    const struct sp_accelerator *a;
    const struct sp_instance *p;
    const struct sp_purchase *b;
    const struct sp_region *r;
    const struct sp_default *d;
    (void)state;
    for (int i = 0; (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++) {
        if (!sp_catalog_accelerator(c, p->accelerator))
            fail_msg("%s: no accelerator %s", p->instance, p->accelerator);
        assert_true(p->spot <= p->on_demand && p->reserved_1y <= p->on_demand && strlen(p->currency) == 3);
    }
    for (int i = 0; (b = sp_catalog_row(c, SP_KIND_PURCHASES, i, NULL)); i++)
        assert_non_null(sp_catalog_accelerator(c, b->accelerator));
    for (int i = 0; (r = sp_catalog_row(c, SP_KIND_REGIONS, i, NULL)); i++)
        if (*r->zone && r->g_per_kwh <= 0 && (!sp_catalog_grid(c, r->zone) || strcasecmp(sp_catalog_grid(c, r->zone)->code, r->zone)))
            fail_msg("%s: no zone %s", r->region, r->zone);
    for (int i = 0; (a = sp_catalog_row(c, SP_KIND_ACCELERATORS, i, NULL)); i++)
        if (a->memory_gb_min > a->memory_gb || (a->tf32_tflops > 0 && a->tf32_tflops > a->f16_tflops) || (a->f16_tflops > 0 && a->f32_tflops > a->f16_tflops)
            || (a->fp8_tflops > 0 && a->f16_tflops > a->fp8_tflops))
            fail_msg("%s: a shorter number is slower", a->name);
    for (int i = 0; (d = sp_catalog_row(c, SP_KIND_DEFAULTS, i, NULL)); i++)
        assert_true(d->low <= d->likely && d->likely <= d->high && *d->date);
    sp_catalog_free(c);
}

static void prices_grow_stale(void **state)
{
    const int64_t today = 1795564800; /* 2026-11-25 */
    (void)state;
    assert_true(sp_catalog_stale("2024-04", today) && sp_catalog_stale("2025-10", today) && sp_catalog_stale("2025", today));
    assert_false(sp_catalog_stale("2025-11", today) || sp_catalog_stale("2026", today) || sp_catalog_stale("2026-11-25", today));
    assert_true(sp_catalog_stale("", today) && sp_catalog_stale(NULL, today) && sp_catalog_stale("soon", today));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_zones), cmocka_unit_test(finds_processors), cmocka_unit_test(curves_rise),
        cmocka_unit_test(completes_machines), cmocka_unit_test(users_rows_win), cmocka_unit_test(adds_files),
        cmocka_unit_test(finds_places), cmocka_unit_test(finds_published), cmocka_unit_test(finds_instances), cmocka_unit_test(rows_are_sane), cmocka_unit_test(tables_fit),
        cmocka_unit_test(prices_grow_stale),
    };
    unsetenv("SPARSAM_CATALOG");
    setenv("XDG_DATA_HOME", "/nonexistent", 1); /* not what whoever runs this has added */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
