/* plan/answer.c - one way to do a job, answered by every part of the planner, cut
 * so that it fits when nobody said how.
 * SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "memo.h"

#include <math.h>
#include <string.h>

enum { DEVICES_MAX = 1 << 20, CUTS_MAX = 256, LOOKS = 3 };

/* So many devices: what the machine costs by the hour goes with them. */
void sp_machine_set_devices(struct sp_machine *m, int64_t n)
{
    double times = (double)n / (double)(m->device.count > 0 ? m->device.count : 1);
    m->embodied_g_per_hour *= times;
    m->price_per_hour *= times;
    m->device.count = (int)n;
}

/* ---- how a training job is cut ---- */

/* Ways to cut a job for n devices: copies that share optimizer, gradients and weights; layers shared within a node;
 * layers one behind the other; experts shared among copies. */
static int cuts(const struct sp_ask *a, int64_t n, struct sp_sharding *out)
{
    static const int64_t rows[] = { 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64 }, experts[] = { 1, 8, 64 };
    int k = 0;
    int64_t node = a->machine.device.per_node > 0 ? a->machine.device.per_node : 8;
    for (size_t p = 0; p < SP_COUNT(rows) && rows[p] <= a->model.layers; p++)
        for (int64_t tensor = 1; tensor <= node; tensor *= 2)
            for (size_t e = 0; e < (a->model.experts > 1 ? SP_COUNT(experts) : 1); e++)
                for (int64_t zero = 0; zero <= 3; zero++) {
                    int64_t one = tensor * rows[p];
                    struct sp_sharding c = a->cut;
                    c.data = n % one ? 0 : n / one;
                    if (k == CUTS_MAX || c.data < 1 || a->model.heads % tensor || c.data % experts[e] || experts[e] > a->model.experts + 1 ||
                        (zero && c.data == 1) || (one > 1 && (zero == 2 || (c.data > 1 && !zero) || (rows[p] > 1 && zero == 3))))
                        continue;
                    c.tensor = tensor;
                    c.pipeline = rows[p];
                    c.expert = experts[e];
                    c.context = 1;
                    c.zero = zero;
                    c.sequence = tensor > 1;
                    out[k++] = c;
                }
    return k;
}

/* 0 where no tokens say how long it takes. */
static enum sp_status seconds(const struct sp_ask *a, double *s, struct sp_err *err)
{
    struct sp_time_plan t = { 0 };
    if (a->tokens > 0)
        TRY(sp_plan_time(a, &t, NULL, err));
    *s = t.run_s.likely;
    return SP_OK;
}

/* The cut that fits and is fastest (without tokens: the first), else the one that needs least. */
static enum sp_status cut_to_fit(struct sp_ask *a, struct sp_memory_plan *m, struct sp_err *err)
{
    struct sp_sharding cut[CUTS_MAX], best = a->cut;
    double least = INFINITY, fastest = INFINITY, s;
    const struct sp_ask asked = *a;
    int n = cuts(a, sp_ask_devices(a), cut);
    for (int i = 0; i < n && (fastest > 0 || !isfinite(fastest)); i++) {
        *a = asked;
        a->cut = cut[i];
        TRY(sp_ask_finish(a, err));
        TRY(sp_plan_memory(a, m, NULL, err));
        if (m->fits) {
            TRY(seconds(a, &s, err));
            if (s < fastest) {
                fastest = s;
                best = cut[i];
            }
        } else if (m->device.likely < least && !isfinite(fastest)) {
            least = m->device.likely;
            best = cut[i];
        }
    }
    *a = asked;
    a->cut = best;
    TRY(sp_ask_finish(a, err));
    return sp_plan_memory(a, m, NULL, err);
}

/* With what the question says of recomputation. */
static enum sp_status memory_so(struct sp_planned *o, const struct sp_planned_with *with, struct sp_err *err)
{
    struct sp_ask a = o->ask; /* what is completed for one number of devices is not what the person said */
    if (with->cut_given || o->ask.task == SP_TASK_SERVE) {
        TRY(sp_ask_finish(&o->ask, err));
        return sp_plan_memory(&o->ask, &o->memory, NULL, err);
    }
    TRY(sp_ask_finish(&a, err));
    o->ask.tokens = a.tokens;
    o->ask.context = a.context;
    o->ask.bits = a.bits;
    return cut_to_fit(&o->ask, &o->memory, err);
}

static enum sp_status memory(struct sp_planned *o, const struct sp_planned_with *with, struct sp_err *err)
{
    struct sp_planned again = *o;
    bool free = o->ask.recompute == SP_RECOMPUTE_AUTO && o->ask.task != SP_TASK_SERVE;
    TRY(memory_so(o, with, err));
    if (!free || o->memory.fits)
        return SP_OK;
    again.ask.recompute = SP_RECOMPUTE_FULL;
    TRY(memory_so(&again, with, err));
    if (again.memory.fits)
        *o = again;
    return SP_OK;
}

/* As many devices as hold the job; doubled from one, which is how they are rented and cut.  Where more cannot share it,
 * the answer is that of as many as can. */
static enum sp_status enough_devices(struct sp_planned *o, const struct sp_planned_with *with, struct sp_err *err)
{
    const struct sp_planned alone = *o;
    struct sp_planned last = *o;
    enum sp_status st = SP_OK;
    for (int64_t n = 1; n <= DEVICES_MAX; n *= 2) {
        *o = alone;
        sp_machine_set_devices(&o->ask.machine, n);
        if ((st = memory(o, with, err)))
            break;
        o->devices_least = n;
        last = *o;
        if (o->memory.fits || o->memory.device_bytes <= 0)
            return SP_OK;
    }
    if (st && st != SP_USAGE)
        return st;
    if (!last.devices_least)
        return st;
    *err = (struct sp_err){ 0 };
    *o = last;
    return SP_OK;
}

/* ---- time, energy, what they come to ---- */

/* The question asked anew for so many devices: asked is it as the person put it. */
static enum sp_status ask_again(struct sp_planned *o, const struct sp_ask *asked, int64_t devices, const struct sp_planned_with *with, struct sp_err *err)
{
    o->ask = *asked;
    sp_machine_set_devices(&o->ask.machine, devices);
    TRY(memory(o, with, err));
    return sp_plan_time(&o->ask, &o->time, NULL, err);
}

/* As many whole nodes as are done in time.  How many depends on the cut, and the cut on how many: few are cut for room, many
 * for speed, so the second look takes fewer. */
static enum sp_status enough_time(struct sp_planned *o, const struct sp_ask *asked, const struct sp_planned_with *with, struct sp_err *err)
{
    int64_t node = o->ask.machine.device.per_node, devices;
    if (with->count_given || with->deadline_s <= 0 || o->time.run_s.likely <= with->deadline_s)
        return SP_OK;
    for (int look = 0; look < LOOKS; look++) {
        const struct sp_planned before = *o;
        enum sp_status st = sp_plan_deadline(&o->ask, with->deadline_s, &devices, NULL, err);
        if (st == SP_LIMIT) { /* no number does: the answer says so */
            *err = (struct sp_err){ 0 };
            return SP_OK;
        }
        TRY(st);
        if (node > 0 && devices > node)
            devices = (devices + node - 1) / node * node;
        if (devices == before.ask.machine.device.count)
            return SP_OK;
        TRY(ask_again(o, asked, devices, with, err));
        if (look && o->time.run_s.likely > with->deadline_s) {
            *o = before;
            return SP_OK;
        }
    }
    return SP_OK;
}

static enum sp_status train(struct sp_planned *o, const struct sp_ask *asked, const struct sp_planned_with *with, struct sp_explain *x, struct sp_err *err)
{
    if (!(o->ask.tokens > 0))
        return SP_OK;
    TRY(sp_plan_time(&o->ask, &o->time, NULL, err));
    TRY(enough_time(o, asked, with, err));
    TRY(sp_plan_time(&o->ask, &o->time, x, err));
    o->in_time = with->deadline_s <= 0 || o->time.run_s.likely <= with->deadline_s;
    o->cost.time_s = o->time.run_s;
    o->cost.flops = sp_exact(o->time.flops * (1 + o->time.flops_again), SP_HOW_COUNTER);
    return sp_plan_energy(&o->ask, SP_LOAD_TRAINING, o->time.device_hours, &o->energy, x, err);
}

static enum sp_status serve(struct sp_planned *o, struct sp_explain *x, struct sp_err *err)
{
    TRY(sp_plan_serve(&o->ask, &o->serve, x, err));
    o->cost = o->serve.million;
    return o->ask.machine.device.count ? sp_plan_energy(&o->ask, SP_LOAD_DECODE, o->cost.device_hours, &o->energy, x, err) : SP_OK;
}

/* Kinds of memory as costs name them; the planner's are finer. */
static void put_memory(struct sp_planned *o)
{
    static const enum sp_memory kind[SP_HOLDINGS] = { SP_MEM_WEIGHTS, SP_MEM_GRADIENTS, SP_MEM_OPTIMIZER, SP_MEM_ACTIVATIONS, SP_MEM_ACTIVATIONS,
                                                      SP_MEM_CACHE, SP_MEM_ACTIVATIONS, SP_MEM_PROGRAM };
    memset(o->cost.memory, 0, sizeof o->cost.memory);
    for (int i = 0; i < SP_HOLDINGS; i++)
        o->cost.memory[kind[i]] = sp_figure_add(o->cost.memory[kind[i]], o->memory.hold[i]);
    o->cost.memory_peak = o->memory.device;
}

static enum sp_status money(struct sp_planned *o, const struct sp_planned_with *with, struct sp_figure hours, struct sp_explain *x, struct sp_err *err)
{
    struct sp_plan_money_ask ask;
    const struct sp_machine *m = &o->ask.machine;
    sp_plan_money_ask_init(&ask, m, hours);
    ask.energy_kwh = sp_figure_scale(o->energy.kwh, o->energy.pue.likely > 0 ? 1 / o->energy.pue.likely : 1);
    ask.price_per_hour = with->price_per_hour;
    ask.currency = with->currency;
    ask.rates = with->money_rates;
    TRY(sp_plan_money(with->catalog, &ask, &o->money, x, err));
    o->cost.money = o->money.on_demand.how != SP_HOW_UNKNOWN ? o->money.on_demand : o->money.own;
    memcpy(o->cost.currency, o->money.currency, sizeof o->cost.currency);
    return SP_OK;
}

static enum sp_status price(struct sp_planned *o, const struct sp_planned_with *with, struct sp_explain *x, struct sp_err *err)
{
    struct sp_figure hours = o->ask.task == SP_TASK_SERVE ? o->cost.device_hours : o->time.device_hours;
    o->cost.energy_j = sp_figure_scale(o->energy.kwh, 3.6e6);
    if (!o->ask.machine.device.count)
        o->cost.energy_j = sp_energy_of_processor(&o->ask.machine, o->cost.time_s, x);
    sp_cost_price(&o->cost, &o->ask.machine);
    o->cost.device_hours = hours;
    o->cost.parameters = sp_exact(o->ask.parameters, SP_HOW_COUNTER);
    return with->catalog && hours.high > 0 ? money(o, with, hours, x, err) : SP_OK;
}

static enum sp_status least_devices(struct sp_planned *o, struct sp_err *err)
{
    struct sp_ask a = o->ask;
    enum sp_status st = sp_plan_devices(&a, &o->devices_least, NULL, err);
    if (st != SP_LIMIT && st != SP_USAGE)
        return st;
    *err = (struct sp_err){ 0 }; /* no number does, and the answer says so */
    return SP_OK;
}

static bool is_in_budget(const struct sp_cost *c, const struct sp_planned_with *with)
{
    return with->budget <= 0 || (c->money.likely > 0 && c->money.likely <= with->budget);
}

static enum sp_status elsewhere(struct sp_planned *o, const struct sp_planned_with *with, struct sp_explain *x, struct sp_err *err)
{
    const struct sp_ask asked = o->ask;
    TRY(with->count_given || !o->ask.machine.device.count ? memory(o, with, err) : enough_devices(o, with, err));
    if (o->ask.task == SP_TASK_SERVE)
        TRY(serve(o, x, err));
    else
        TRY(train(o, &asked, with, x, err));
    TRY(sp_plan_memory(&o->ask, &o->memory, x, err));
    o->fits = o->memory.fits;
    o->devices = sp_ask_devices(&o->ask);
    if (with->counts_least && o->devices > 1)
        TRY(least_devices(o, err));
    put_memory(o);
    TRY(price(o, with, x, err));
    o->in_budget = is_in_budget(&o->cost, with);
    return SP_OK;
}

enum sp_status sp_plan_answer(const struct sp_ask *a, const struct sp_planned_with *with, struct sp_planned *out, struct sp_explain *explain, struct sp_err *err)
{
    struct sp_planned o = { .ask = *a, .in_time = true };
    struct sp_memo counted = { 0 };
    static const struct sp_rates none;
    o.here = !a->machine.device.name[0];
    if (o.here) {
        TRY(sp_ask_finish(&o.ask, err));
        TRY(sp_plan_here(&o.ask, with->rates ? with->rates : &none, &o.cost, &o.asked, explain, err));
        o.fits = o.cost.memory_peak.high <= (double)a->machine.memory_bytes;
        o.in_time = with->deadline_s <= 0 || o.cost.time_s.likely <= with->deadline_s;
        o.devices = o.devices_least = 1;
        o.in_budget = is_in_budget(&o.cost, with);
        *out = o;
        return SP_OK;
    }
    o.ask.memo = a->memo ? a->memo : &counted;
    enum sp_status st = elsewhere(&o, with, explain, err);
    sp_memo_clear(&counted);
    o.ask.memo = a->memo;
    if (!st)
        *out = o;
    return st;
}
