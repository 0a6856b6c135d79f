/* cli/verb_plan_where.c - what a job costs where: rented, on an own machine, in which
 * region, in money and in CO2e.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../plan/where.h"
#include "work.h"

static const char *const orders[] = { "money", "co2e", NULL };

struct where_options {
    const char *on, *provider, *region, *in;
    double hours, kwh;
    struct sp_own_terms own;
    struct sp_option_list rates;
    int by;
    int64_t top;
    bool explain;
};
#define AT(field) offsetof(struct where_options, field)
static const struct sp_option where_options[] = {
    { .name = "on", .kind = SP_OPT_TEXT, .at = AT(on), .fallback_text = "this", .group = "Job", .unit = "MACHINE", .help = "a100-80gb*8, rtx-4090, p4d.24xlarge, this" },
    { .name = "hours", .kind = SP_OPT_REAL, .at = AT(hours), .min = 0, .max = 1e9, .fallback = 1, .unit = "H", .help = "that all its devices work" },
    { .name = "kwh", .kind = SP_OPT_REAL, .at = AT(kwh), .min = 0, .max = 1e12, .help = "of devices and hosts without the building; 0: as such devices draw in training" },
    { .name = "by", .kind = SP_OPT_CHOICE, .at = AT(by), .choices = orders, .group = "Places", .help = "what they are ranked by" },
    { .name = "provider", .kind = SP_OPT_TEXT, .at = AT(provider), .unit = "NAME", .help = "aws, azure, gcp, lambda; without it all" },
    { .name = "region", .kind = SP_OPT_TEXT, .at = AT(region), .unit = "NAME", .help = "us-east-1, westeurope, europe-west4; without it all" },
    { .name = "top", .kind = SP_OPT_INT, .at = AT(top), .min = 1, .max = SP_PLACES_MAX, .fallback = 12, .help = "places shown" },
    { .name = "in", .kind = SP_OPT_TEXT, .at = AT(in), .group = "Money", .unit = "CODE", .help = "currency of the answer; without it that of the prices" },
    { .name = "rate", .kind = SP_OPT_LIST, .at = AT(rates), .unit = "CODE=NUMBER", .help = "worth of another currency in it (USD=0.92); nothing is converted without" },
    { .name = "own-price", .kind = SP_OPT_REAL, .at = AT(own.price), .min = -1, .max = 1e9, .fallback = -1, .group = "Own machine (negative: the catalogue's)", .help = "to buy one device" },
    { .name = "own-rest", .kind = SP_OPT_REAL, .at = AT(own.rest), .min = -1, .max = 100, .fallback = -1, .help = "server, network and room over its price" },
    { .name = "own-months", .kind = SP_OPT_REAL, .at = AT(own.months), .min = -1, .max = 600, .fallback = -1, .help = "until it is worth nothing" },
    { .name = "own-utilisation", .kind = SP_OPT_REAL, .at = AT(own.utilisation), .min = -1, .max = 1, .fallback = -1, .help = "share of all hours in which it works" },
    { .name = "own-staff", .kind = SP_OPT_REAL, .at = AT(own.staff), .min = -1, .max = 100, .fallback = -1, .help = "upkeep a year over what was bought" },
    { .name = "own-load", .kind = SP_OPT_REAL, .at = AT(own.load), .min = -1, .max = 2, .fallback = -1, .help = "power at work over rated power" },
    { .name = "own-host", .kind = SP_OPT_REAL, .at = AT(own.host), .min = -1, .max = 10, .fallback = -1, .help = "power of the host over the devices'" },
    { .name = "explain", .kind = SP_OPT_FLAG, .at = AT(explain), .group = "Answer", .help = "every formula with its numbers and sources" },
    { 0 },
};
#undef AT

struct answer {
    struct sp_machine machine;
    struct sp_plan_money_ask ask;
    struct sp_plan_money money;
    struct sp_plan_place *place;
    int n;
    struct sp_explain explain;
};

/* ---- the question ---- */

static enum sp_status fill(struct verb_call *call, const struct sp_catalog *c, struct answer *a, struct sp_err *err)
{
    const struct where_options *o = call->options;
    const struct sp_recipe_place *place = &call->common.place;
    TRY(work_machine(&call->common, &a->machine, err));
    TRY(sp_catalog_place(c, o->on, &a->machine, err));
    double devices = a->machine.device.count > 1 ? a->machine.device.count : 1;
    sp_plan_money_ask_init(&a->ask, &a->machine, sp_exact(o->hours * devices, SP_HOW_CATALOGUE));
    a->ask.energy_kwh = sp_exact(o->kwh, SP_HOW_CATALOGUE);
    a->ask.provider = o->provider;
    a->ask.region = o->region;
    a->ask.own = o->own;
    a->ask.own.price_per_kwh = place->price_per_kwh;
    a->ask.own.pue = place->pue > 1 ? place->pue : -1;
    a->ask.price_per_hour = place->price_per_hour;
    if (o->in)
        a->ask.currency = o->in;
    else if (place->price_per_hour >= 0 || place->price_per_kwh >= 0 || o->own.price >= 0)
        a->ask.currency = place->currency;
    for (int i = 0; i < o->rates.n; i++)
        TRY(sp_money_rate(&a->ask.rates, o->rates.at[i], err));
    return SP_OK;
}

static enum sp_status reckon(struct verb_call *call, const struct sp_catalog *c, struct answer *a, struct sp_err *err)
{
    const struct where_options *o = call->options;
    TRY(fill(call, c, a, err));
    TRY(sp_plan_money(c, &a->ask, &a->money, o->explain ? &a->explain : NULL, err));
    a->place = sp_alloc(SP_PLACES_MAX * sizeof *a->place);
    if (!a->place)
        return sp_fail(err, SP_NOMEM, "out of memory for places");
    return sp_plan_places(c, &a->ask, (enum sp_place_order)o->by, a->place, SP_PLACES_MAX, &a->n, err);
}

/* ---- for programs ---- */

static void set_figure(json_t *j, const char *key, const struct sp_figure *f)
{
    if (f->how != SP_HOW_UNKNOWN)
        json_object_set_new(j, key, sp_figure_json(f));
}

static json_t *money_json(const struct sp_plan_money *m)
{
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "currency", m->currency, "source", m->source, "own_source", m->own_source, "unknown", m->why, "stale", m->stale,
                          "break_even", isnan(m->months_break_even) ? "unknown" : isinf(m->months_break_even) ? "never" : "months");
    set_figure(j, "on_demand", &m->on_demand);
    set_figure(j, "spot", &m->spot);
    set_figure(j, "reserved", &m->reserved);
    set_figure(j, "own", &m->own);
    if (isfinite(m->months_break_even))
        json_object_set_new(j, "months_break_even", json_real(m->months_break_even));
    return j;
}

static json_t *place_json(const struct sp_plan_place *p)
{
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:f}", "provider", p->provider, "region", p->region, "location", p->location, "zone", p->zone, "instance", p->instance,
                          "pue", p->pue, "g_per_kwh", p->g_per_kwh);
    if (p->money.how != SP_HOW_UNKNOWN) {
        set_figure(j, "money", &p->money);
        json_object_set_new(j, "currency", json_string(p->currency));
        json_object_set_new(j, "price_date", json_string(p->price_date));
        json_object_set_new(j, "price_region", json_string(p->price_region));
        json_object_set_new(j, "stale", json_boolean(p->stale));
    }
    set_figure(j, "co2e_g", &p->co2e_g);
    set_figure(j, "co2e_embodied_g", &p->co2e_embodied_g);
    return j;
}

static enum sp_status where_json(struct verb_call *call, const struct answer *a, struct sp_err *err)
{
    const struct where_options *o = call->options;
    json_t *list = json_array();
    for (int i = 0; list && i < a->n && i < o->top; i++)
        json_array_append_new(list, place_json(&a->place[i]));
    call->answer = json_pack("{s:s, s:s, s:i, s:f, s:o, s:s, s:o}", "schema", "sparsam.plan-where/1", "machine", a->machine.name, "devices", a->machine.device.count,
                             "device_hours", a->ask.device_hours.likely, "money", money_json(&a->money), "by", orders[o->by], "places", list);
    if (call->answer && o->explain)
        json_object_set_new(call->answer, "explain", json_string(a->explain.text.at ? a->explain.text.at : ""));
    return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
}

/* ---- for people ---- */

static const char *amount(double v, char *buf, size_t cap)
{
    sp_format(buf, cap, v < 10 ? "%.3f" : v < 1000 ? "%.1f" : "%.0f", v);
    return buf;
}

static void line(const char *label, const struct sp_figure *f, const char *currency)
{
    char a[32], b[32], c[32];
    if (f->how != SP_HOW_UNKNOWN)
        printf("  %-20s %12s %12s %12s %s  %s\n", label, amount(f->low, a, sizeof a), amount(f->likely, b, sizeof b), amount(f->high, c, sizeof c), currency, sp_how_name(f->how));
}

static void in_words(const struct answer *a)
{
    const struct sp_plan_money *m = &a->money;
    char hours[32], x[32], y[32];
    printf("%s device-hours of %s", sp_show_number(a->ask.device_hours.likely, hours, sizeof hours), a->machine.device.name[0] ? a->machine.device.name : a->machine.name);
    if (m->on_demand.how != SP_HOW_UNKNOWN)
        printf(" cost %s %s on demand", amount(m->on_demand.likely, x, sizeof x), m->currency);
    if (m->own.how != SP_HOW_UNKNOWN)
        printf("%s %s %s on a machine of your own", m->on_demand.how != SP_HOW_UNKNOWN ? ", and" : " cost", amount(m->own.likely, y, sizeof y), m->currency);
    puts(".");
    if (isinf(m->months_break_even))
        puts("Buying never pays at this utilisation: upkeep and power cost more than the rent.");
    else if (!isnan(m->months_break_even))
        printf("Buying pays after %.1f months of such use.\n", m->months_break_even);
    if (m->stale)
        puts("A price here is older than twelve months (stale): its range is widened. sparsam catalog add takes yours.");
    if (m->why[0])
        printf("Unknown: %s.\n", m->why);
}

static void show_money(const struct sp_plan_money *m)
{
    if (m->on_demand.how == SP_HOW_UNKNOWN && m->own.how == SP_HOW_UNKNOWN)
        return;
    printf("\n  %-20s %12s %12s %12s      known by\n", "money", "low", "likely", "high");
    line("on demand", &m->on_demand, m->currency);
    line("spot, with repeats", &m->spot, m->currency);
    line("reserved for a year", &m->reserved, m->currency);
    line("own machine", &m->own, m->currency);
    if (m->source[0])
        printf("  rent: %s\n", m->source);
    if (m->own_source[0])
        printf("  own: %s\n", m->own_source);
}

static void show_place(const struct sp_plan_place *p)
{
    char money[32] = "-", co2e[32] = "-", embodied[32] = "-", grid[32] = "-";
    if (p->g_per_kwh > 0)
        sp_format(grid, sizeof grid, "%.0f", p->g_per_kwh);
    if (p->money.how != SP_HOW_UNKNOWN)
        amount(p->money.likely, money, sizeof money);
    if (p->co2e_g.how != SP_HOW_UNKNOWN)
        sp_show_mass(p->co2e_g.likely, co2e, sizeof co2e);
    if (p->co2e_embodied_g.how != SP_HOW_UNKNOWN)
        sp_show_mass(p->co2e_embodied_g.likely, embodied, sizeof embodied);
    bool elsewhere = p->instance[0] && strcasecmp(p->price_region, p->region) && strcasecmp(p->price_region, "any");
    printf("  %-8s %-24s %-6s %12s %-3s %10s %10s  %5s x %.2f  %s%s%s%s\n", p->provider, p->region, p->zone, money, p->currency, co2e, embodied, grid, p->pue, p->instance,
           elsewhere ? ", price of " : "", elsewhere ? p->price_region : "", p->stale ? p->instance[0] ? ", stale" : "stale" : "");
}

static void explain_place(struct answer *a)
{
    const struct sp_plan_place *p = a->place;
    double hour = a->machine.embodied_g_per_hour;
    if (!a->n)
        return;
    if (p->co2e_g.how != SP_HOW_UNKNOWN)
        sp_explain(&a->explain, "CO2e of use, %s %s: %.6g kWh x PUE %.3g x %.4g g/kWh = %.6g g, location-based", p->provider, p->region, p->kwh.likely, p->pue, p->g_per_kwh,
                   p->co2e_g.likely);
    if (hour > 0)
        sp_explain(&a->explain, "making: M = TE x TiR / EL x RR / ToR = %.4g g an hour of %s x %.6g hours = %.6g g (ISO/IEC 21031)", hour, a->machine.name,
                   p->co2e_embodied_g.likely / hour, p->co2e_embodied_g.likely);
}

static void show(const struct answer *a, const struct where_options *o)
{
    in_words(a);
    show_money(&a->money);
    if (a->n) {
        printf("\nPlaces by %s (%d of %d)\n", orders[o->by], a->n < o->top ? a->n : (int)o->top, a->n);
        printf("  %-8s %-24s %-6s %12s %-3s %10s %10s  %s\n", "", "", "zone", "money", "", "CO2e use", "making", "g/kWh x PUE");
    }
    for (int i = 0; i < a->n && i < o->top; i++)
        show_place(&a->place[i]);
    if (o->explain && a->explain.text.at)
        printf("\n%s", a->explain.text.at);
}

static enum sp_status where_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_catalog *c;
    struct answer a = { 0 };
    TRY(sp_catalog_open(&c, err));
    enum sp_status st = reckon(call, c, &a, err);
    if (!st)
        explain_place(&a);
    if (!st && call->common.json)
        st = where_json(call, &a, err);
    else if (!st)
        show(&a, call->options);
    sp_text_clear(&a.explain.text);
    sp_free(a.place);
    sp_catalog_free(c);
    return st;
}

const struct verb sp_verb_plan_where = {
    .name = "plan where",
    .help = "rent or own, and in which region: money and CO2e of a job",
    .operands = "",
    .text = "What so many hours of a machine cost rented (on demand, spot with the work that interruptions\n"
            "repeat, reserved for a year) and on a machine of your own (bought, kept up, powered), when\n"
            "buying pays, and every region ranked by money or CO2e: kWh x PUE x grid (location-based), and\n"
            "the share of making the machine (SCI, ISO/IEC 21031).\n"
            "\n"
            "Amounts keep the currency of their price. Another currency is converted only at a rate that you\n"
            "state. --price-hour is your own rent for one device, --price-kwh your own tariff, --currency\n"
            "the currency of both and of --own-price. With --zone your own machine is ranked among the places.\n"
            "\n"
            "  sparsam plan where --on a100-80gb*8 --hours 100\n"
            "  sparsam plan where --on p4d.24xlarge --hours 720 --by co2e --provider aws\n"
            "  sparsam plan where --on v100-32gb --hours 1000 --own-utilisation 0.6 --explain\n"
            "  sparsam plan where --on h100*8 --hours 24 --in EUR --rate USD=0.92\n",
    .sets = { { where_options, 0 } },
    .options_bytes = sizeof(struct where_options),
    .run = where_run,
};
