/* cli/verb_plan_when.c - the hours to start or run a job in, decided from the past
 * alone, and how well that did.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "../catalog/catalog.h"
#include "../plan/green.h"
#include "verb.h"

struct when_options { struct sp_when_ask ask; double watts; const char *at, *column; int64_t month; bool evaluate; };
#define AT(field) offsetof(struct when_options, field)
static const struct sp_option when_options[] = {
    { .name = "hours", .kind = SP_OPT_INT, .at = AT(ask.hours), .min = 1, .max = 24 * 14, .fallback = 4, .group = "Job", .help = "of work" },
    { .name = "slack", .kind = SP_OPT_INT, .at = AT(ask.slack), .min = 0, .max = 24 * 14, .fallback = 24, .unit = "HOURS", .help = "it may end so much later than when it began now" },
    { .name = "interruptible", .kind = SP_OPT_FLAG, .at = AT(ask.interruptible), .help = "it may stop and go on, by the hour" },
    { .name = "watts", .kind = SP_OPT_REAL, .at = AT(watts), .min = 0, .max = 1e9, .unit = "W", .help = "it draws: energy and CO2e are reckoned" },
    { .name = "at", .kind = SP_OPT_TEXT, .at = AT(at), .group = "When", .unit = "TIME", .help = "now, as \"2020-03-01 17:00\"; without it the hour after the file's last" },
    { .name = "month", .kind = SP_OPT_INT, .at = AT(month), .min = 0, .max = 12, .help = "of a file of mean days; 0: this one" },
    { .name = "column", .kind = SP_OPT_TEXT, .at = AT(column), .unit = "NAME", .help = "with the intensity; without it one that says so, else the second" },
    { .name = "evaluate", .kind = SP_OPT_FLAG, .at = AT(evaluate), .help = "only how well it did over the file" },
    { 0 },
};
#undef AT

/* A decision: the window from t on. */
struct decided {
    int t, window;
    double forecast[SP_WINDOW_MAX];
    bool chosen[SP_WINDOW_MAX];
    struct sp_figure planned, now; /* g CO2e/kWh expected: in the hours chosen, and when started now */
    struct sp_cost cost, cost_now;
    bool priced;
};

static double mean_chosen(const struct decided *d, int64_t hours)
{
    double sum = 0;
    for (int i = 0; i < d->window; i++)
        sum += d->chosen[i] ? d->forecast[i] : 0;
    return sum / (double)hours;
}

static struct sp_cost cost_of(const struct when_options *o, const struct verb_common *c, struct sp_figure g_per_kwh)
{
    struct sp_machine m = { .pue = c->place.pue, .price_per_kwh = fmax(0, c->place.price_per_kwh) };
    struct sp_cost cost = { .time_s = sp_exact((double)o->ask.hours * 3600, SP_HOW_ASSUMED) };
    snprintf(m.currency, sizeof m.currency, "%.3s", c->place.currency ? c->place.currency : "EUR");
    cost.energy_j = sp_with_building(sp_exact(o->watts * (double)o->ask.hours * 3600, SP_HOW_ASSUMED), &m);
    sp_cost_price(&cost, &m);
    cost.co2e_g = sp_figure_mul(sp_figure_scale(cost.energy_j, 1 / 3.6e6), g_per_kwh);
    return cost;
}

static enum sp_status no_history(const struct sp_hours *h, int t, struct sp_err *err)
{
    char when[32];
    sp_fail(err, SP_LIMIT, "no forecast for %s: the file's hours before it are too few", sp_hours_show(h->first + t, when, sizeof when));
    sp_where(err, "%s", h->name);
    return sp_remedy(err, "two weeks of hours before --at");
}

static enum sp_status find_now(const struct when_options *o, const struct sp_hours *h, int *t, struct sp_err *err)
{
    int64_t hour = h->first + h->n;
    if (o->at && !sp_hours_parse(o->at, &hour)) {
        sp_fail(err, SP_USAGE, "--at \"%s\" is no time", o->at);
        return sp_remedy(err, "one like \"2020-03-01 17:00\"");
    }
    if (h->profile) {
        *t = 24 * 42 + (int)(o->at ? (hour % 24 + 24) % 24 : time(NULL) / 3600 % 24);
        return SP_OK;
    }
    if (hour - h->first < 1 || hour - h->first > h->n) {
        char first[32], last[32];
        sp_fail(err, SP_USAGE, "--at \"%s\" is outside the file", o->at);
        return sp_remedy(err, "%s to %s", sp_hours_show(h->first + 1, first, sizeof first), sp_hours_show(h->first + h->n, last, sizeof last));
    }
    *t = (int)(hour - h->first);
    return SP_OK;
}

static enum sp_status decide(const struct verb_call *call, const struct sp_hours *h, const struct sp_when_test *test, struct decided *d, struct sp_err *err)
{
    const struct when_options *o = call->options;
    double now = 0;
    memset(d, 0, sizeof *d);
    d->window = (int)(o->ask.hours + o->ask.slack);
    TRY(find_now(o, h, &d->t, err));
    if (!sp_hours_forecast(h, d->t, d->window, d->forecast))
        return no_history(h, d->t, err);
    sp_when_choose(&o->ask, d->forecast, d->chosen);
    for (int i = 0; i < o->ask.hours; i++)
        now += d->forecast[i] / (double)o->ask.hours;
    double low = test ? test->off_low : 1, high = test ? test->off_high : 1, planned = mean_chosen(d, o->ask.hours);
    enum sp_how how = h->profile ? SP_HOW_CATALOGUE : SP_HOW_MODEL;
    d->planned = sp_range(fmin(low, 1) * planned, planned, fmax(high, 1) * planned, how);
    d->now = sp_range(fmin(low, 1) * now, now, fmax(high, 1) * now, how);
    d->priced = o->watts > 0;
    if (d->priced) {
        d->cost = cost_of(o, &call->common, d->planned);
        d->cost_now = cost_of(o, &call->common, d->now);
    }
    return SP_OK;
}

/* ---- for programs ---- */

static json_t *test_json(const struct sp_when_test *r)
{
    return json_pack("{s:i, s:i, s:f, s:f, s:f, s:f, s:o, s:f, s:f, s:f}", "starts", r->starts, "passed_over", r->passed_over, "now_g_per_kwh", r->now,
                     "planned_g_per_kwh", r->planned, "persistence_g_per_kwh", r->persistence, "oracle_g_per_kwh", r->oracle, "saved", sp_figure_json(&r->saved),
                     "saved_persistence", r->saved_persistence, "saved_oracle", r->saved_oracle, "share_of_oracle", r->share);
}

static json_t *decided_json(const struct sp_hours *h, const struct decided *d)
{
    json_t *hours = json_array(), *j;
    for (int i = 0; hours && i < d->window; i++) {
        char when[32];
        json_array_append_new(hours, json_pack("{s:s, s:f, s:b}", "hour", sp_hours_show(h->first + d->t + i, when, sizeof when), "g_per_kwh", d->forecast[i], "run",
                                               d->chosen[i]));
    }
    j = json_pack("{s:o, s:o, s:o}", "hours", hours, "planned_g_per_kwh", sp_figure_json(&d->planned), "now_g_per_kwh", sp_figure_json(&d->now));
    if (j && d->priced) {
        json_object_set_new(j, "cost", sp_cost_json(&d->cost));
        json_object_set_new(j, "cost_now", sp_cost_json(&d->cost_now));
    }
    return j;
}

/* ---- for people ---- */

static void show_test(const struct sp_hours *h, const struct when_options *o, const struct sp_when_test *r)
{
    printf("Planned like this, from the past of each moment alone, %d starts in %s (%d passed over, hours missing; %lld hours of\n"
           "work, %lld of slack, %s) saved %.1f %% of the CO2e against starting at once (a single start: %.0f to %.0f). Repeating\n"
           "yesterday's hours saved %.1f %%, knowing the future would have saved %.1f %%: %.0f %% of what can be had.\n", r->starts, h->name, r->passed_over,
           (long long)o->ask.hours, (long long)o->ask.slack, o->ask.interruptible ? "interruptible" : "in one piece", 100 * r->saved.likely, 100 * r->saved.low,
           100 * r->saved.high, 100 * r->saved_persistence, 100 * r->saved_oracle, 100 * r->share);
    printf("\n  %-22s %12s %8s\n", "", "g CO2e/kWh", "saved");
    printf("  %-22s %12.1f\n  %-22s %12.1f %6.1f %%\n  %-22s %12.1f %6.1f %%\n  %-22s %12.1f %6.1f %%\n", "starting at once", r->now, "yesterday's hours", r->persistence,
           100 * r->saved_persistence, "planned", r->planned, 100 * r->saved.likely, "with the future known", r->oracle, 100 * r->saved_oracle);
}

static void show_hours(const struct sp_hours *h, const struct decided *d)
{
    double most = 0;
    for (int i = 0; i < d->window; i++)
        most = fmax(most, d->forecast[i]);
    puts("\n  hour                   expected g CO2e/kWh");
    for (int i = 0; i < d->window && i < 48; i++) {
        char when[32], bar[41] = "";
        memset(bar, '=', (size_t)fmin(40, most > 0 ? round(40 * d->forecast[i] / most) : 0));
        printf("  %s %7.0f %s %s\n", sp_hours_show(h->first + d->t + i, when, sizeof when), d->forecast[i], d->chosen[i] ? "run" : "   ", bar);
    }
    if (d->window > 48)
        puts("  ... (--json has every hour)");
}

static void show_decided(const struct sp_hours *h, const struct when_options *o, const struct decided *d)
{
    char when[32];
    int first = 0;
    while (!d->chosen[first])
        first++;
    printf("%s at %s, in %d hours: %.0f g CO2e/kWh are expected (%.0f to %.0f), %.0f when started at once.\n", o->ask.interruptible ? "Begin" : "Start",
           sp_hours_show(h->first + d->t + first, when, sizeof when), first, d->planned.likely, d->planned.low, d->planned.high, d->now.likely);
    if (h->profile)
        puts("These are mean days of a month (times are those of the file): what a single day saves, yesterday's hours would\n"
             "save, or knowing the future, can't be told from them; a file of hours can.");
    if (d->priced) {
        char kwh[40], low[40], likely[40], high[40], now[40];
        printf("%s: %s CO2e (%s to %s) in place of %s.\n", sp_show_energy(d->cost.energy_j.likely, kwh, sizeof kwh), sp_show_mass(d->cost.co2e_g.likely, likely, sizeof likely),
               sp_show_mass(d->cost.co2e_g.low, low, sizeof low), sp_show_mass(d->cost.co2e_g.high, high, sizeof high),
               sp_show_mass(d->cost_now.co2e_g.likely, now, sizeof now));
    }
}

/* ---- the verb ---- */

static enum sp_status answer(struct verb_call *call, const struct sp_hours *h, struct sp_err *err)
{
    const struct when_options *o = call->options;
    struct sp_when_test test;
    struct decided d;
    if (!h->profile)
        TRY(sp_when_evaluate(h, &o->ask, &test, err));
    else if (o->evaluate)
        return sp_fail(err, SP_USAGE, "%s holds mean days, and --evaluate needs the hours of weeks", h->name);
    if (!o->evaluate)
        TRY(decide(call, h, h->profile ? NULL : &test, &d, err));
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:s}", "schema", "sparsam.plan-when/1", "file", h->name);
        if (call->answer && !h->profile)
            json_object_set_new(call->answer, "back_test", test_json(&test));
        if (call->answer && !o->evaluate)
            json_object_set_new(call->answer, "plan", decided_json(h, &d));
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    if (!o->evaluate)
        show_decided(h, o, &d);
    if (!h->profile)
        show_test(h, o, &test);
    if (!o->evaluate)
        show_hours(h, &d);
    return SP_OK;
}

/* Without hours there is only a year's mean, in which no hour is better than another. */
static enum sp_status no_file(const struct verb_common *c, struct sp_err *err)
{
    struct sp_catalog *facts;
    TRY(sp_catalog_open(&facts, err));
    const struct sp_grid *g = c->place.zone ? sp_catalog_grid(facts, c->place.zone) : NULL;
    if (g)
        sp_fail(err, SP_USAGE, "of %s the catalogue has only the mean of %d, %.0f g CO2e/kWh: no hour is better than another", g->name, g->year, g->g_per_kwh);
    else
        sp_fail(err, SP_USAGE, "no file of hours is named");
    sp_catalog_free(facts);
    return sp_remedy(err, "a table of times and intensities, as grid operators and Electricity Maps give them, or of mean days with --zone");
}

static enum sp_status when_run(struct verb_call *call, struct sp_err *err)
{
    const struct when_options *o = call->options;
    struct sp_hours h;
    time_t now = time(NULL);
    struct tm utc;
    if (!call->n_operands)
        return no_file(&call->common, err);
    TRY(sp_hours_read(&h, call->operands[0], o->column, call->common.place.zone, o->month ? (int)o->month : gmtime_r(&now, &utc) ? utc.tm_mon + 1 : 1, err));
    enum sp_status st = answer(call, &h, err);
    sp_hours_clear(&h);
    return st;
}

const struct verb sp_verb_plan_when = {
    .name = "plan when",
    .help = "the hours to run a job in for the least CO2e, by a forecast that knows only the past",
    .operands = "[HOURLY.csv]",
    .operands_max = 1,
    .text = "Reads a table of times and grid intensities (hours, half or quarter hours), forecasts the coming\n"
            "hours from those before, and picks the cleanest for a job that may wait. It always says beside\n"
            "that what planning like this saved in the file itself, at every start after a warm-up of four\n"
            "weeks; what repeating yesterday's hours saved; and what knowing the future would have saved.\n"
            "A table of mean days (zone, month, h00 to h23) works too, without those three.\n"
            "\n"
            "  sparsam plan when gb.csv --hours 4 --slack 24 --interruptible --watts 600\n"
            "  sparsam plan when gb.csv --evaluate --json | jq .back_test.share_of_oracle\n"
            "  sparsam plan when mean_days.csv --zone ES --month 6\n",
    .sets = { { when_options, 0 } },
    .options_bytes = sizeof(struct when_options),
    .run = when_run,
};
