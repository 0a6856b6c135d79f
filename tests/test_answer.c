/* tests/test_answer.c - room plan: the whole answer to a question, against published
 * runs and against itself: what is cut, what fits, what the search keeps.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "plan/answer.h"

static struct sp_catalog *facts;
static struct sp_err err;

static int open_facts(void **state)
{
    (void)state;
    return sp_catalog_open(&facts, &err);
}

static int close_facts(void **state)
{
    (void)state;
    sp_catalog_free(facts);
    return 0;
}

static struct sp_machine place(const char *on)
{
    struct sp_machine m = { .threads = 2, .pue = 1, .co2e_g_per_kwh = 400, .co2e_how = SP_HOW_CATALOGUE, .price_per_kwh = 0.3, .currency = "EUR" };
    assert_int_equal(sp_catalog_place(facts, on, &m, &err), SP_OK);
    return m;
}

static struct sp_ask question(enum sp_task task, const char *model, const char *on)
{
    struct sp_ask a = { 0 };
    struct sp_option_set set = { task == SP_TASK_SERVE ? sp_ask_serve_options : sp_ask_train_options, &a };
    sp_option_defaults(&set, 1);
    a.task = task;
    a.machine = place(on);
    assert_int_equal(sp_ask_model(&a, model, &err), SP_OK);
    return a;
}

static struct sp_planned answer(const struct sp_ask *a, struct sp_planned_with with)
{
    struct sp_planned p;
    with.catalog = facts;
    with.price_per_hour = with.price_per_hour > 0 ? with.price_per_hour : -1;
    enum sp_status st = sp_plan_answer(a, &with, &p, NULL, &err);
    if (st)
        fail_msg("%s", err.what);
    return p;
}

/* Touvron et al. 2023: 184,320 A100-hours for 2T tokens. */
static void published_hours_are_within(void **state)
{
    (void)state;
    struct sp_ask a = question(SP_TASK_TRAIN, "llama-2-7b", "a100-80gb*1024");
    a.tokens = 2e12;
    struct sp_planned p = answer(&a, (struct sp_planned_with){ .count_given = true });
    assert_int_equal(p.devices, 1024);
    assert_true(p.fits);
    assert_true(p.cost.device_hours.low < 184320 && 184320 < p.cost.device_hours.high);
    assert_true(fabs(p.cost.time_s.likely * 1024 / 3600 / p.cost.device_hours.likely - 1) < 1e-6);
    assert_true(p.cost.energy_j.likely > 0 && p.cost.co2e_g.likely > 0 && p.cost.money.likely > 0);
}

/* What holds is the sum of its kinds; more devices never hold less each; a deadline takes whole nodes. */
static void devices_are_enough(void **state)
{
    (void)state;
    struct sp_ask a = question(SP_TASK_TRAIN, "llama-2-7b", "a100-80gb");
    a.tokens = 2e12;
    struct sp_planned p = answer(&a, (struct sp_planned_with){ 0 });
    assert_true(p.fits && p.devices == p.devices_least && p.devices > 1);
    double sum = 0;
    for (int i = 0; i < SP_MEM_KINDS; i++)
        sum += p.cost.memory[i].likely;
    assert_true(fabs(sum / p.cost.memory_peak.likely - 1) < 1e-9);
    struct sp_planned quick = answer(&a, (struct sp_planned_with){ .deadline_s = 30 * 86400.0 });
    assert_true(quick.in_time && quick.cost.time_s.likely <= 30 * 86400.0);
    assert_int_equal(quick.devices % 8, 0);
    assert_true(quick.devices > p.devices && quick.fits);
    /* carbon of making them goes by device-hours, not by how many there are */
    assert_true(fabs(quick.cost.co2e_embodied_g.likely / p.cost.co2e_embodied_g.likely - quick.cost.device_hours.likely / p.cost.device_hours.likely) < 0.02);
}

/* One node fewer is too late; an update has as many tokens on few devices as on many; what is paid for energy is paid once. */
static void a_deadline_takes_no_more_than_it_needs(void **state)
{
    (void)state;
    struct sp_ask a = question(SP_TASK_TRAIN, "llama-2-7b", "a100-80gb");
    a.tokens = 2e12;
    struct sp_planned few = answer(&a, (struct sp_planned_with){ 0 });
    struct sp_planned quick = answer(&a, (struct sp_planned_with){ .deadline_s = 30 * 86400.0, .budget = 1e3, .counts_least = true });
    assert_true(quick.time.tokens_step < 1.5 * few.time.tokens_step && quick.time.tokens_step > few.time.tokens_step / 1.5);
    assert_true(quick.devices_least > 1 && quick.devices_least < quick.devices); /* 2 hold it when activations are computed again */
    assert_false(quick.in_budget);
    sp_machine_set_devices(&a.machine, quick.devices - 8);
    struct sp_planned late = answer(&a, (struct sp_planned_with){ .deadline_s = 30 * 86400.0, .budget = 1e9, .count_given = true });
    assert_false(late.in_time);
    assert_true(late.in_budget);
    struct sp_plan_money_ask ask;
    struct sp_plan_money paid;
    sp_plan_money_ask_init(&ask, &quick.ask.machine, quick.time.device_hours);
    ask.energy_kwh = sp_figure_scale(quick.energy.kwh, 1 / quick.energy.pue.likely);
    assert_int_equal(sp_plan_money(facts, &ask, &paid, NULL, &err), SP_OK);
    assert_true(fabs(paid.own.likely / quick.money.own.likely - 1) < 1e-9);
}

static void methods_take_less(void **state)
{
    (void)state;
    struct sp_ask a = question(SP_TASK_FINETUNE, "llama-2-7b", "a100-80gb*8");
    struct sp_planned_with uncut = { .count_given = true, .cut_given = true };
    double whole = answer(&a, uncut).memory.device.likely;
    a.method = SP_METHOD_LORA;
    double lora = answer(&a, uncut).memory.device.likely;
    a.method = SP_METHOD_QLORA;
    double qlora = answer(&a, uncut).memory.device.likely;
    assert_true(qlora < lora && lora < whole);
    a.task = SP_TASK_TRAIN;
    struct sp_planned p;
    assert_int_equal(sp_plan_answer(&a, &(struct sp_planned_with){ .price_per_hour = -1 }, &p, NULL, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "needs a trained model"));
    err = (struct sp_err){ 0 };
}

/* 70.6e9 weights of 4.85 bits are 42.8 GB: two devices of 24 GB are too few by a little, three hold it. */
static void serving_is_spread(void **state)
{
    (void)state;
    struct sp_ask a = question(SP_TASK_SERVE, "llama-3-70b", "rtx-3090");
    a.bits = 4.85;
    struct sp_planned p = answer(&a, (struct sp_planned_with){ 0 });
    assert_true(p.fits && p.devices >= 2 && p.devices <= 4);
    assert_true(p.memory.device.likely * (double)p.devices > 42.8e9 && p.memory.device.high <= 24e9 * 1.08);
}

static void bad_cuts_are_refused(void **state)
{
    static const struct { int64_t tensor, pipeline, data; const char *says; } bad[] = {
        { 3, 1, 0, "--tensor-parallel 3 does not divide the model's 32 heads" },
        { 1, 64, 0, "--pipeline-parallel 64 is more than the model's 32 layers" },
        { 8, 1, 2, "is not the 8 devices" },
    };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_ask a = question(SP_TASK_TRAIN, "llama-2-7b", "a100-80gb*8");
        struct sp_planned p;
        a.cut.tensor = bad[i].tensor;
        a.cut.pipeline = bad[i].pipeline;
        a.cut.data = bad[i].data;
        assert_int_equal(sp_plan_answer(&a, &(struct sp_planned_with){ .cut_given = true, .count_given = true, .price_per_hour = -1 }, &p, NULL, &err), SP_USAGE);
        assert_non_null(strstr(err.what, bad[i].says));
        err = (struct sp_err){ 0 };
    }
}

/* The search's winner against every way tried by hand; nothing kept as frontier is beaten by another that is kept. */
static void the_best_is_the_best(void **state)
{
    (void)state;
    struct sp_machine m[3] = { place("a100-80gb"), place("h100"), place("rtx-4090") };
    struct sp_ask a = question(SP_TASK_FINETUNE, "llama-2-7b", "a100-80gb");
    struct sp_planned_with with = { .catalog = facts, .price_per_hour = 2, .currency = "USD" };
    struct sp_best_ask ask = { .with = &with, .by = SP_BEST_ENERGY, .n = 3, .machine = m };
    struct sp_best *best;
    a.tokens = 1e7;
    assert_int_equal(sp_plan_best(&a, &ask, &best, &err), SP_OK);
    assert_true(best->n > 3 && best->fit <= best->tried && best->within <= best->fit);
    for (int i = 0; i < 3; i++)
        for (int method = SP_METHOD_FULL; method <= SP_METHOD_QLORA; method++)
            for (int n = 1; n <= 64; n *= 4) {
                struct sp_ask one = a;
                one.method = method;
                one.machine = m[i];
                sp_machine_set_devices(&one.machine, n);
                struct sp_planned p = answer(&one, (struct sp_planned_with){ .count_given = true, .price_per_hour = 2, .currency = "USD" });
                assert_true(!p.fits || p.cost.energy_j.likely >= best->plan[0].cost.energy_j.likely * (1 - 1e-9));
            }
    for (int i = 0; i < best->n; i++)
        for (int k = 0; k < best->n; k++) {
            const struct sp_cost *x = &best->plan[i].cost, *y = &best->plan[k].cost;
            assert_false(best->on_frontier[k] && x->time_s.likely < y->time_s.likely && x->money.likely < y->money.likely && x->energy_j.likely < y->energy_j.likely &&
                         x->co2e_g.likely + x->co2e_embodied_g.likely < y->co2e_g.likely + y->co2e_embodied_g.likely);
        }
    sp_free(best);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_hours_are_within), cmocka_unit_test(devices_are_enough), cmocka_unit_test(a_deadline_takes_no_more_than_it_needs),
        cmocka_unit_test(methods_take_less),
        cmocka_unit_test(serving_is_spread), cmocka_unit_test(bad_cuts_are_refused), cmocka_unit_test(the_best_is_the_best),
    };
    return cmocka_run_group_tests(tests, open_facts, close_facts);
}
