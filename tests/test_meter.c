/* tests/test_meter.c - energy counters in a made-up sysfs tree, wraparound,
 * forbidden files; clocks; the model where there is no counter.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "meter/meter.h"
#include "file/file.h"

static char root[] = "/tmp/sparsam-sysfs-XXXXXX";

static void put(const char *zone, const char *file, const char *text)
{
    char path[256];
    struct sp_err err = { 0 };
    snprintf(path, sizeof path, "%s/class/powercap/%s", root, zone);
    assert_int_equal(sp_make_folder(path, &err), SP_OK);
    snprintf(path, sizeof path, "%s/class/powercap/%s/%s", root, zone, file);
    assert_int_equal(sp_write_file(path, text, strlen(text), &err), SP_OK);
}

static void zone(const char *name, const char *is, const char *range, const char *energy)
{
    put(name, "name", is);
    put(name, "max_energy_range_uj", range);
    put(name, "energy_uj", energy);
}

static int make_tree(void **state)
{
    (void)state;
    if (!mkdtemp(root))
        return -1;
    setenv("SPARSAM_SYSFS", root, 1);
    return 0;
}

static int remove_tree(void **state)
{
    char command[160];
    (void)state;
    snprintf(command, sizeof command, "chmod -R u+rwx %s && rm -r %s", root, root);
    return system(command);
}

static struct sp_meter *meter_of(const struct sp_machine *m)
{
    struct sp_err err = { 0 };
    struct sp_meter *meter = NULL;
    assert_int_equal(sp_meter_new(&meter, m, &err), SP_OK);
    return meter;
}

static void near(double got, double want, double by)
{
    if (fabs(got - want) > by)
        fail_msg("%.9g, wanted %.9g within %g", got, want, by);
}

static void models_without_counter(void **state)
{
    struct sp_machine machine = { .idle_w = 10, .watts_thread = 5, .power_how = SP_HOW_MODEL, .power_source = "the tests", .pue = 1,
                                  .co2e_g_per_kwh = 360, .price_per_kwh = 0.36, .currency = "EUR" };
    struct sp_meter *m = meter_of(&machine);
    struct sp_cost c;
    (void)state;
    sp_meter_begin(m);
    usleep(100000);
    sp_meter_end(m, &c);
    assert_int_equal(c.energy_j.how, SP_HOW_MODEL);
    near(c.energy_j.likely, 10 * c.time_s.likely + 5 * c.cpu_s.likely, 1e-9);
    near(c.co2e_g.likely, c.energy_j.likely * 1e-4, 1e-9);     /* 360 g a kWh = 1e-4 g a joule */
    near(c.money.likely, c.energy_j.likely * 1e-7, 1e-12);
    assert_true(c.energy_j.low < c.energy_j.likely && c.energy_j.likely < c.energy_j.high);
    assert_true(sp_meter_idle_share(m) > 0.5 && sp_meter_idle_share(m) <= 1);
    assert_non_null(strstr(sp_meter_energy_source(m), "model: the tests"));
    sp_meter_free(m);
    struct sp_machine nothing = { .pue = 1 };
    m = meter_of(&nothing);
    sp_meter_end(m, &c);
    assert_true(fabs(c.energy_j.high) <= 0); /* never a silent constant */
    assert_non_null(strstr(sp_meter_energy_source(m), "unknown"));
    sp_meter_free(m);
}

/* Packages and memory count, core and psys do not. */
static void counts_rapl(void **state)
{
    struct sp_machine machine = { .idle_w = 1, .pue = 1 };
    struct sp_cost c;
    (void)state;
    zone("intel-rapl:0", "package-0\n", "262143328850\n", "1000000\n");
    zone("intel-rapl:0:0", "core\n", "262143328850\n", "500000\n");
    zone("intel-rapl:0:1", "dram\n", "65712999613\n", "7000000\n");
    zone("intel-rapl:1", "package-1\n", "262143328850\n", "262143328000\n");
    zone("intel-rapl:2", "psys\n", "262143328850\n", "5\n");
    zone("intel-rapl-mmio:0", "package-0\n", "262143328850\n", "1000000\n");
    put("dtpm", "name", "dtpm\n");
    struct sp_meter *m = meter_of(&machine);
    sp_meter_begin(m);
    put("intel-rapl:0", "energy_uj", "3500000\n");     /* 2.5 J */
    put("intel-rapl:0:0", "energy_uj", "900000\n");
    put("intel-rapl:0:1", "energy_uj", "7250000\n");   /* 0.25 J */
    put("intel-rapl:1", "energy_uj", "999150\n");      /* 850 uJ to the range, then 999150: 1.0 J */
    put("intel-rapl:2", "energy_uj", "99999999\n");
    put("intel-rapl-mmio:0", "energy_uj", "3500000\n");
    sp_meter_end(m, &c);
    assert_int_equal(c.energy_j.how, SP_HOW_COUNTER);
    near(c.energy_j.likely, 3.75, 1e-9);
    assert_non_null(strstr(sp_meter_energy_source(m), "RAPL"));
    assert_true(sp_meter_idle_share(m) > 0 && sp_meter_idle_share(m) < 0.5);
    /* a second wrap between phases, and both phases add up */
    sp_meter_begin(m);
    sp_meter_phase(m, "one");
    put("intel-rapl:1", "energy_uj", "1999150\n");
    sp_meter_phase(m, "two");
    put("intel-rapl:1", "energy_uj", "150\n");         /* wrapped */
    sp_meter_phase(m, "one");
    put("intel-rapl:1", "energy_uj", "2000150\n");
    sp_meter_end(m, &c);
    struct sp_cost one, two;
    assert_int_equal(sp_meter_phases(m), 2);
    assert_string_equal(sp_meter_phase_at(m, 0, &one), "one");
    assert_string_equal(sp_meter_phase_at(m, 1, &two), "two");
    near(one.energy_j.likely, 3.0, 1e-9);
    near(two.energy_j.likely, 1e-6 * (262143328850.0 - 1999150 + 150), 1e-6);
    near(c.energy_j.likely, one.energy_j.likely + two.energy_j.likely, 1e-6);
    json_t *j = sp_meter_phases_json(m);
    assert_int_equal(json_object_size(j), 2);
    json_decref(j);
    sp_meter_free(m);
}

static const struct sp_sensor *sensor(const struct sp_sensors *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (strstr(s->at[i].name, name))
            return &s->at[i];
    return NULL;
}

static void says_what_is_forbidden(void **state)
{
    struct sp_sensors s;
    char path[256];
    (void)state;
    sp_meter_sensors(&s);
    assert_true(sensor(&s, "package-1")->readable);
    snprintf(path, sizeof path, "%s/class/powercap/intel-rapl:1/energy_uj", root);
    if (geteuid() == 0) /* root reads everything: a folder in its place cannot be read by anyone */
        assert_true(!unlink(path) && !mkdir(path, 0700));
    else
        chmod(path, 0);
    sp_meter_sensors(&s);
    const struct sp_sensor *x = sensor(&s, "package-1");
    assert_false(x->readable);
    assert_true(x->why[0] != 0);
    if (geteuid())
        assert_non_null(strstr(x->remedy, "chmod a+r"));
}

static void probes(void **state)
{
    struct sp_machine m;
    (void)state;
    sp_meter_probe(&m, 0);
    assert_true(m.cores >= 1 && m.threads == m.cores && m.memory_bytes > 1 << 20);
    sp_meter_probe(&m, 3);
    assert_int_equal(m.threads, 3);
}

/* Work that is known: a block touched, a child that spins. */
static void sees_memory_and_children(void **state)
{
    struct sp_machine machine = { .pue = 1 };
    struct sp_meter *m = meter_of(&machine);
    struct sp_cost c;
    enum { BLOCK = 64 << 20 };
    int status;
    (void)state;
    sp_meter_begin(m);
    sp_meter_end(m, &c);
    double before = c.memory_peak.likely;
    sp_meter_begin(m);
    volatile char *p = sp_alloc(BLOCK);
    assert_non_null(p);
    for (size_t i = 0; i < BLOCK; i += 4096)
        p[i] = 1;
    sp_free((void *)(uintptr_t)p);
    pid_t child = fork();
    if (!child) {
        for (double end = sp_now() + 0.1; sp_now() < end;)
            continue;
        _exit(0);
    }
    waitpid(child, &status, 0);
    sp_meter_end(m, &c);
    assert_true(c.memory_peak.likely - before > 0.9 * BLOCK);
    assert_true(c.cpu_s.likely > 0.02);
    assert_true(c.time_s.likely >= 0.09 && c.device_hours.likely > 0);
    sp_meter_free(m);
}

static void watches(void **state)
{
    struct sp_machine machine = { .pue = 1 };
    struct sp_meter *m = meter_of(&machine);
    struct sp_watch w = sp_meter_watch(m, NULL);
    struct sp_cost c;
    (void)state;
    sp_tell(&w, &(struct sp_event){ .kind = SP_EVENT_PHASE_BEGIN, .phase = "train" });
    sp_tell(&w, &(struct sp_event){ .kind = SP_EVENT_STEP });
    sp_tell(&w, &(struct sp_event){ .kind = SP_EVENT_PHASE_END, .phase = "train" });
    assert_int_equal(sp_meter_phases(m), 1);
    assert_string_equal(sp_meter_phase_at(m, 0, &c), "train");
    sp_meter_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_without_counter), cmocka_unit_test(counts_rapl), cmocka_unit_test(says_what_is_forbidden),
        cmocka_unit_test(probes), cmocka_unit_test(sees_memory_and_children), cmocka_unit_test(watches),
    };
    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
