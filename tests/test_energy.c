/* tests/test_energy.c - watts and kilowatt-hours: by hand, against meters, and how the
 * share of rated power is learned.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "shared.h"

#include "file/file.h"
#include "plan/check.h"
#include "plan/energy.h"
#include "plan/energy_share.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static void near(const char *what, double got, double want, double share)
{
    if (!(fabs(got - want) <= share * fabs(want)))
        fail_msg("%s: got %.6g, wanted %.6g within %g %%", what, got, want, 100 * share);
}

static struct sp_ask on(int count, int per_node, double tdp, double host, double pue)
{
    struct sp_ask a = { .parameters = 7e9, .bits = 16 };
    sp_machine_portable(&a.machine);
    a.machine.pue = pue;
    a.machine.device = (struct sp_device){ .name = "test", .count = count, .per_node = per_node, .year = 2020, .tdp_w = tdp, .host_w = host };
    return a;
}

/* 0.9 of the hours at 0.89 and 0.1 at 0.20 of 400 W are 328.4 W; the host has 200 W, the network 20; PUE 1.1; 1000 hours. */
static void by_hand(void **state)
{
    struct sp_ask a = on(64, 8, 400, 200, 1.1);
    struct sp_energy_plan p;
    (void)state;
    OK(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1000, SP_HOW_CATALOGUE), &p, NULL, &err));
    near("device", p.device_w.likely, 328.4, 1e-9);
    near("devices alone", p.device_kwh.likely, 328.4, 1e-9);
    near("all", p.kwh.likely, (328.4 + 200 + 20) * 1.1, 1e-9);
    assert_false(p.rated);
    assert_true(p.kwh.low < p.kwh.likely && p.kwh.likely < p.kwh.high);
    a = on(8, 8, 400, 0, 0);
    OK(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1000, SP_HOW_CATALOGUE), &p, NULL, &err));
    near("no network within a node", p.network_w.likely, 0, 0);
    near("a host nobody knows", p.host_w.likely, 0.3 * 400, 1e-9);
    assert_int_equal(p.host_w.how, SP_HOW_ASSUMED);
    assert_int_equal(p.pue.how, SP_HOW_ASSUMED);
    a = on(1, 1, 450, 100, 1);
    OK(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1, SP_HOW_CATALOGUE), &p, NULL, &err));
    near("a machine in a room has no building", p.pue.likely, 1, 1e-12);
}

static void loads_differ(void **state)
{
    struct sp_ask a = on(1, 8, 400, 200, 1.1);
    struct sp_energy_plan p[SP_LOADS];
    (void)state;
    for (int i = 0; i < SP_LOADS; i++)
        OK(sp_plan_energy(&a, (enum sp_load)i, sp_exact(1, SP_HOW_CATALOGUE), &p[i], NULL, &err));
    assert_true(p[SP_LOAD_IDLE].device_w.likely < p[SP_LOAD_DECODE].device_w.likely);
    assert_true(p[SP_LOAD_SMALL].device_w.likely < p[SP_LOAD_TRAINING].device_w.likely);
    assert_true(p[SP_LOAD_DECODE].device_w.likely < p[SP_LOAD_TRAINING].device_w.likely);
    assert_true(p[SP_LOAD_PREFILL].rated && !strcmp(p[SP_LOAD_PREFILL].source, "nobody's meter: the rated power"));
    near("rated power where nobody measured", p[SP_LOAD_PREFILL].device_w.likely, 400, 1e-12);
    a.machine.device.year = 2016;
    OK(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1, SP_HOW_CATALOGUE), &p[0], NULL, &err));
    assert_true(p[0].device_w.likely < 0.7 * 400);
}

static void said_plainly_when_unknown(void **state)
{
    struct sp_ask a = on(8, 8, 0, 0, 1);
    struct sp_energy_plan p;
    (void)state;
    assert_int_equal(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1, SP_HOW_CATALOGUE), &p, NULL, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "rated power of \"test\""));
    a = on(0, 8, 400, 0, 1);
    assert_int_equal(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1, SP_HOW_CATALOGUE), &p, NULL, &err), SP_USAGE);
}

static void explained_beside_hours_times_rated_power(void **state)
{
    struct sp_ask a = on(64, 8, 400, 200, 1.1);
    struct sp_energy_plan p;
    struct sp_explain x = { 0 };
    (void)state;
    OK(sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1000, SP_HOW_CATALOGUE), &p, &x, &err));
    assert_non_null(strstr(x.text.at, "hours x rated power alone would be 400 kWh"));
    sp_text_clear(&x.text);
}

/* ---- learning ---- */

static void share_of_answers_is_found_again(void **state)
{
    enum { ROWS = 60 };
    static const double truth[SP_DECODE_TERMS] = { -0.4, 0.2, -0.12 };
    struct sp_decode_row row[ROWS];
    struct sp_decode_share s;
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        double devices = 1 << i % 4;
        row[i] = (struct sp_decode_row){ .t = sp_decode_terms_of(1e9 * (20 + 7 * i), devices), .group = i % 2 ? "a" : "b" };
        row[i].share = exp(truth[0] * row[i].t.v[0] + truth[1] * row[i].t.v[1] + truth[2] * row[i].t.v[2]);
    }
    sp_decode_learn(row, ROWS, "a", &s);
    assert_int_equal(s.rows, ROWS / 2);
    for (int i = 0; i < SP_DECODE_TERMS; i++)
        near("number", s.k[i], truth[i], 0.05);
    row[1].share = 0.01; /* of the group left out */
    struct sp_decode_share again;
    sp_decode_learn(row, ROWS, "a", &again);
    assert_memory_equal(&s, &again, sizeof s);
    near("30 GB on one device", sp_decode_terms_of(30e9, 1).v[1], 0, 1e-12);
    assert_true(sp_decode_share_of(&s, &(struct sp_decode_terms){ { 1, 50, 0 } }) <= 1);
}

/* ---- the check ---- */

#define HEAD "item,kind,hardware,n,hours_or_days,avg_power_w_per_device,pue,energy_mwh,scope,measured,source\n"
static const struct { const char *row, *skipped; double kwh; } ruled[] = {
    { "T5-11B,training,TPUv3,512,20 d,310,1.12,85.7,system incl. host + PUE,measured,Patterson", NULL, 85700 },
    { "Hours,training,A100-80GB,,\"184,320 GPU-h\",,1.1,100,system,measured,somebody", NULL, 100000 },
    { "Qwen3-14B,inference,H100,1,,443,,1.9e-10,batch 8; bfloat16,\"measured (Zeus, NVML)\",leaderboard", NULL, 0.443 },
    { "TDP,training,A100-80GB,,184320 GPU-h,400,,73.7,GPU TDP x hours,NOT measured,card", "not measured", 0 },
    { "Guess,inference,H100,,,,,3e-07,per query,estimate,blog", "not measured", 0 },
    { "Parts,inference,8xA100-80GB node,8,,,,6e-06,mean,\"GPU measured, RAM modelled\",files", "not measured", 0 },
    { "Search,NAS,TPUv2,,,,,1,net,measured,x", "neither training nor inference", 0 },
    { "Nohours,training,H100-SXM,,,,1.12,257,\"GPU only, before PUE\",measured on one node,x", "no watts, and no energy with hours", 0 },
    { "Noname,training,,8,10 d,,1.1,5,system,measured,x", "hardware without a known power: none is named", 0 },
};

static void rows_are_ruled_by_what_they_say(void **state)
{
    struct sp_text text = { 0 };
    struct sp_csv t;
    struct sp_check_result r = { 0 };
    (void)state;
    sp_text_printf(&text, HEAD);
    for (size_t i = 0; i < SP_COUNT(ruled); i++)
        sp_text_printf(&text, "%s\n", ruled[i].row);
    OK(sp_csv_parse(&t, text.at, "ruled.csv", &err));
    OK(sp_check_energy.fn(&t, &(struct sp_check_options){ SP_CHECK_COMPILED }, &r, &err));
    assert_int_equal(r.n, SP_COUNT(ruled));
    for (size_t i = 0; i < SP_COUNT(ruled); i++) {
        const char *why = r.row[i].skipped;
        if ((why == NULL) != (ruled[i].skipped == NULL) || (why && strcmp(why, ruled[i].skipped)))
            fail_msg("%s: %s, wanted %s", r.row[i].label, why ? why : "counts", ruled[i].skipped ? ruled[i].skipped : "counts");
        if (!why)
            near(r.row[i].label, r.row[i].truth, ruled[i].kwh, 1e-9);
    }
    sp_check_clear(&r);
    sp_csv_clear(&t);
    sp_text_clear(&text);
}

/* The promise: measured energies within 15 %, given the hours: each of training, the median of all; nothing seen of source and device. */
static void published_energies(void **state)
{
    const char *path = shared_file("facts/energy_published.csv");
    struct sp_check_result r;
    struct sp_check_summary s;
    (void)state;
    if (!path)
        skip();
    OK(sp_check_file(&sp_check_energy, path, &(struct sp_check_options){ SP_CHECK_LEFT_OUT }, &r, &err));
    sp_check_summarize(&r, &s);
    if (!(s.set[0].used >= 40 && s.set[0].median <= 0.15 && s.set[0].coverage >= 0.8))
        fail_msg("%d rows, median error %.3f, coverage %.3f", s.set[0].used, s.set[0].median, s.set[0].coverage);
    for (int i = 0; i < r.n; i++)
        if (!r.row[i].skipped && r.row[i].truth > 1000)
            near(r.row[i].label, r.row[i].predicted.likely, r.row[i].truth, 0.15);
    for (int i = 0; i < SP_DECODE_TERMS; i++)
        near(r.constant[i].name, sp_decode_published.k[i], r.constant[i].value, 0.02);
    sp_check_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),
        cmocka_unit_test(loads_differ),
        cmocka_unit_test(said_plainly_when_unknown),
        cmocka_unit_test(explained_beside_hours_times_rated_power),
        cmocka_unit_test(share_of_answers_is_found_again),
        cmocka_unit_test(rows_are_ruled_by_what_they_say),
        cmocka_unit_test(published_energies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
