/* plan/where.c - what a job costs in money: rented on demand, spot or reserved, or
 * on an own machine, and when buying pays.
 *
 * An own device costs what was bought with it (server, network, room), upkeep, and
 * power in the hours that it works; its hour costs that over the hours of its life in
 * which it works.  Renting and owning break even after the months in which the rent of
 * the same hours, less upkeep and power, has paid what was bought.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include "energy.h"
#include "where_inner.h"

static const double hours_month = 730; /* 8760 / 12 */

void sp_plan_money_ask_init(struct sp_plan_money_ask *ask, const struct sp_machine *m, struct sp_figure device_hours)
{
    *ask = (struct sp_plan_money_ask){ .machine = m, .device_hours = device_hours, .price_per_hour = -1,
                                       .own = { -1, -1, -1, -1, -1, -1, -1, -1, -1 } };
}

/* ---- small things ---- */

int sp_where_devices(const struct sp_machine *m)
{
    return m->device.count > 1 ? m->device.count : 1;
}

struct sp_figure sp_own_term(const struct sp_catalog *c, const char *name, double said)
{
    const struct sp_default *d = sp_catalog_default(c, name);
    enum sp_how how = SP_HOW_ASSUMED;
    if (said >= 0)
        return sp_exact(said, SP_HOW_CATALOGUE);
    if (!d)
        return sp_exact(0, SP_HOW_UNKNOWN);
    sp_how_parse(d->how, &how);
    return sp_range(d->low, d->likely, d->high, how);
}

/* Watts of a device and its part of host and network: as measured in training, but for what the person says. */
static struct sp_figure watts(const struct sp_plan_money_ask *ask)
{
    const struct sp_machine *m = ask->machine;
    const struct sp_own_terms *t = &ask->own;
    struct sp_ask job = { .machine = *m };
    struct sp_energy_plan e = { 0 };
    if (m->device.count < 1 && m->watts_thread > 0) /* a processor whose power at work is known */
        return sp_exact(m->idle_w + m->cores * m->watts_thread, m->power_how);
    if (sp_plan_energy(&job, SP_LOAD_TRAINING, ask->device_hours, &e, NULL, &(struct sp_err){ 0 }))
        return sp_exact(0, SP_HOW_UNKNOWN);
    struct sp_figure device = t->load >= 0 ? sp_exact(t->load * m->device.tdp_w, SP_HOW_CATALOGUE) : e.device_w;
    return sp_figure_add(device, t->host >= 0 ? sp_figure_scale(device, t->host) : sp_figure_add(e.host_w, e.network_w));
}

struct sp_figure sp_where_kwh(const struct sp_plan_money_ask *ask)
{
    return ask->energy_kwh.high > 0 ? ask->energy_kwh : sp_figure_scale(sp_figure_mul(watts(ask), ask->device_hours), 1e-3);
}

enum sp_status sp_money_rate(struct sp_money_rates *rates, const char *text, struct sp_err *err)
{
    double worth;
    bool code = strlen(text) > 4 && isalpha((unsigned char)text[0]) && isalpha((unsigned char)text[1]) && isalpha((unsigned char)text[2]) && text[3] == '=';
    if (!code || !sp_parse_real(text + 4, &worth) || worth <= 0) {
        sp_fail(err, SP_USAGE, "\"%.40s\" is no rate of exchange", text);
        return sp_remedy(err, "--rate USD=0.92: a dollar is worth 0.92 of the answer's currency");
    }
    if (rates->n == SP_RATES_OF_MONEY)
        return sp_fail(err, SP_USAGE, "more than %d rates of exchange", SP_RATES_OF_MONEY);
    snprintf(rates->at[rates->n].currency, sizeof rates->at->currency, "%.3s", text);
    rates->at[rates->n++].worth = worth;
    return SP_OK;
}

bool sp_money_convert(const struct sp_money_rates *rates, double amount, const char *from, const char *to, double *out)
{
    *out = amount;
    if (!strcasecmp(from, to))
        return true;
    for (int i = 0; i < rates->n; i++)
        if (!strcasecmp(rates->at[i].currency, from)) {
            *out = amount * rates->at[i].worth;
            return true;
        }
    return false;
}

/* A price that is older than a year may have fallen since. */
static struct sp_figure aged(const struct sp_catalog *c, struct sp_figure f, bool stale)
{
    struct sp_figure by = sp_own_term(c, "stale_price", -1);
    return stale ? sp_range(f.low * by.low, f.likely, f.high * by.high, f.how > SP_HOW_CATALOGUE ? f.how : SP_HOW_CATALOGUE) : f;
}

static void why(struct sp_plan_money *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void why(struct sp_plan_money *out, const char *fmt, ...)
{
    size_t n = strlen(out->why);
    va_list ap;
    va_start(ap, fmt);
    if (n && n + 2 < sizeof out->why) {
        memcpy(out->why + n, "; ", 3);
        n += 2;
    }
    sp_vformat(out->why + n, sizeof out->why - n, fmt, ap);
    va_end(ap);
}

/* ---- renting ---- */

/* The same chip in another form or with other memory: the first keys agree. */
static bool same_part(const struct sp_catalog *c, const char *name, const char *wanted)
{
    const struct sp_accelerator *a = sp_catalog_accelerator(c, name), *b = sp_catalog_accelerator(c, wanted);
    if (!a || !b || !*a->keys)
        return false;
    size_t n = strcspn(a->keys, ";");
    return n == strcspn(b->keys, ";") && !strncasecmp(a->keys, b->keys, n);
}

/* Rent of a device of the job: whole instances are rented, but for parts of a device and pods that are sold in slices. */
static double per_device(double price, double devices, int wanted)
{
    enum { POD = 64 };
    if (devices < 1)
        return price;
    if (devices > POD)
        return price / devices;
    return price * ceil(wanted / devices) / wanted;
}

static bool offered(const struct sp_instance *p, const char *provider, const char *region)
{
    return p->on_demand > 0 && (!provider || !strcasecmp(p->provider, provider)) && (!region || !strcasecmp(p->region, region) || !strcasecmp(p->region, "any"));
}

static void rent_of(const struct sp_plan_money_ask *ask, const struct sp_instance *p, const char *currency, struct sp_rent *out, char missing[4])
{
    double factor, price, wanted = sp_where_devices(ask->machine);
    if (!sp_money_convert(&ask->rates, 1, p->currency, currency, &factor)) {
        snprintf(missing, 4, "%.3s", p->currency);
        return;
    }
    price = factor * per_device(p->on_demand, p->devices, (int)wanted);
    if (out->row && out->on_demand <= price)
        return;
    out->row = p;
    out->on_demand = price;
    out->spot = factor * per_device(p->spot, p->devices, (int)wanted);
    out->reserved = factor * per_device(p->reserved_1y, p->devices, (int)wanted);
    snprintf(out->currency, sizeof out->currency, "%.3s", currency);
}

/* A machine that was named as an instance is rented as that. */
static const struct sp_instance *named_instance(const struct sp_catalog *c, const struct sp_machine *m)
{
    char name[160];
    const struct sp_instance *p;
    for (int i = 0; m->price_per_hour > 0 && (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++) {
        snprintf(name, sizeof name, "%s %s", p->provider, p->instance);
        if (!strcmp(name, m->name))
            return p;
    }
    return NULL;
}

void sp_rent_find(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, const char *provider, const char *region, struct sp_rent *out, char missing[4])
{
    const struct sp_instance *p, *named = provider ? NULL : named_instance(c, ask->machine);
    *out = (struct sp_rent){ 0 };
    for (int other = 0; other < 2 && !out->row; other++)
        for (int i = 0; (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++) {
            bool meant = named ? p == named : other ? same_part(c, p->accelerator, ask->machine->device.name) : !strcasecmp(p->accelerator, ask->machine->device.name);
            if (!meant || !offered(p, provider, region))
                continue;
            rent_of(ask, p, ask->currency ? ask->currency : out->row ? out->row->currency : p->currency, out, missing);
            out->other_form = other;
        }
}

/* Hours at the cheapest offer, or at what the person says. */
static void rent(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_explain *e)
{
    struct sp_rent r;
    char missing[4] = "";
    double hours = ask->device_hours.likely;
    if (ask->price_per_hour >= 0) {
        out->rent_per_device_hour = ask->price_per_hour;
        out->on_demand = sp_figure_mul(ask->device_hours, sp_exact(ask->price_per_hour, SP_HOW_CATALOGUE));
        snprintf(out->currency, sizeof out->currency, "%.3s", ask->currency ? ask->currency : ask->machine->currency);
        snprintf(out->source, sizeof out->source, "%g %s an hour and device, as you say", ask->price_per_hour, out->currency);
        sp_explain(e, "rent on demand: %.6g device-hours x %.6g = %.6g %s (as you say)", hours, ask->price_per_hour, out->on_demand.likely, out->currency);
        return;
    }
    sp_rent_find(c, ask, ask->provider, ask->region, &r, missing);
    if (!r.row) {
        if (*missing)
            why(out, "rents are in %s: give --rate %s=...", missing, missing);
        else
            why(out, "the catalogue has no rent for %.60s%s%s: give --price-hour", ask->machine->name, ask->provider ? " with " : "", ask->provider ? ask->provider : "");
        return;
    }
    bool stale = sp_catalog_stale(r.row->date, ask->today);
    out->stale |= stale;
    out->rent_per_device_hour = r.on_demand;
    memcpy(out->currency, r.currency, sizeof out->currency);
    out->on_demand = aged(c, sp_figure_mul(ask->device_hours, sp_exact(r.on_demand, SP_HOW_CATALOGUE)), stale);
    if (r.spot > 0)
        out->spot = aged(c, sp_figure_mul(sp_figure_mul(ask->device_hours, sp_exact(r.spot, SP_HOW_CATALOGUE)), sp_own_term(c, "spot_repeats", -1)), stale);
    if (r.reserved > 0)
        out->reserved = aged(c, sp_figure_mul(ask->device_hours, sp_exact(r.reserved, SP_HOW_CATALOGUE)), stale);
    snprintf(out->source, sizeof out->source, "%s %s (%s) of %s%s%s%s; %.110s", r.row->provider, r.row->instance, r.row->region, r.row->date,
             stale ? ", stale" : "", r.other_form ? ", of " : "", r.other_form ? r.row->accelerator : "", r.row->source);
    sp_explain(e, "rent on demand: %.6g device-hours x %.6g = %.6g %s (%s)", hours, r.on_demand, out->on_demand.likely, out->currency, out->source);
    if (r.spot > 0)
        sp_explain(e, "spot: %.6g device-hours x %.6g x %.3g for work done again = %.6g %s", hours, r.spot, sp_own_term(c, "spot_repeats", -1).likely, out->spot.likely, out->currency);
    if (r.reserved > 0)
        sp_explain(e, "reserved: %.6g device-hours x %.6g = %.6g %s, of a year that is paid and used anyway", hours, r.reserved, out->reserved.likely, out->currency);
}

/* ---- owning ---- */

struct own_case { double price, rest, months, utilisation, staff, kwh_hour, pue, price_per_kwh; };

static double own_capital(const struct own_case *o)
{
    return o->price * (1 + o->rest);
}

static double own_opex(const struct own_case *o)
{
    return o->staff * own_capital(o) / 12 + hours_month * o->utilisation * o->kwh_hour * o->pue * o->price_per_kwh;
}

static double own_hour(const struct own_case *o)
{
    return (own_capital(o) + o->months * own_opex(o)) / (hours_month * o->utilisation * o->months);
}

/* The price of the device, or of another form of the same part; false: nobody knows it, or not in this currency. */
static bool purchase(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_figure *price)
{
    const struct sp_purchase *p, *best = NULL;
    double v;
    if (ask->own.price >= 0) {
        *price = sp_exact(ask->own.price, SP_HOW_CATALOGUE);
        snprintf(out->own_source, sizeof out->own_source, "%g %s a device, as you say", ask->own.price, out->currency);
        return true;
    }
    for (int form = 0; form < 2 && !best; form++)
        for (int i = 0; (p = sp_catalog_row(c, SP_KIND_PURCHASES, i, NULL)) && !best; i++)
            if (form ? same_part(c, p->accelerator, ask->machine->device.name) : !strcasecmp(p->accelerator, ask->machine->device.name))
                best = p;
    if (!best) {
        why(out, "the catalogue has no price to buy %.60s: give --own-price", ask->machine->device.name[0] ? ask->machine->device.name : ask->machine->name);
        return false;
    }
    if (!*out->currency)
        snprintf(out->currency, sizeof out->currency, "%.3s", ask->currency ? ask->currency : best->currency);
    if (!sp_money_convert(&ask->rates, best->price, best->currency, out->currency, &v)) {
        why(out, "the price to buy is in %s: give --rate %s=...", best->currency, best->currency);
        return false;
    }
    bool stale = sp_catalog_stale(best->date, ask->today);
    out->stale |= stale;
    *price = aged(c, sp_exact(v, SP_HOW_CATALOGUE), stale);
    snprintf(out->own_source, sizeof out->own_source, "%s of %s (%s%s), %.6g %s: %.120s", best->kind, best->accelerator, best->date, stale ? ", stale" : "", best->price,
             best->currency, best->source);
    return true;
}

/* Of a kWh in the currency of the answer. */
static bool tariff(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_figure *f)
{
    static const char name[] = "electricity_price_per_kwh";
    const struct sp_machine *m = ask->machine;
    const struct sp_default *d;
    double factor;
    if (ask->own.price_per_kwh >= 0 || (m->price_per_kwh > 0 && m->price_how != SP_HOW_ASSUMED && !strcasecmp(m->currency, out->currency))) {
        *f = sp_exact(ask->own.price_per_kwh >= 0 ? ask->own.price_per_kwh : m->price_per_kwh, SP_HOW_CATALOGUE);
        return true;
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; (d = sp_catalog_row(c, SP_KIND_DEFAULTS, i, NULL)); i++)
            if (!strncmp(d->name, name, sizeof name - 1) && (pass || !strcasecmp(d->unit, out->currency)) &&
                sp_money_convert(&ask->rates, 1, d->unit, out->currency, &factor)) {
                *f = sp_range(factor * d->low, factor * d->likely, factor * d->high, SP_HOW_ASSUMED);
                return true;
            }
    why(out, "no price of electricity in %s: give --price-kwh", out->currency);
    return false;
}

/* What the range of one term does to the price of an hour; the terms are independent, so that their shares (in the
 * logarithm) add as squares do. */
static void spread(const struct own_case *likely, size_t at, struct sp_figure term, double *low2, double *high2)
{
    double hour = own_hour(likely);
    for (int i = 0; i < 2; i++) {
        struct own_case o = *likely;
        memcpy((char *)&o + at, i ? &term.high : &term.low, sizeof(double));
        double off = log(own_hour(&o) / hour);
        *(off < 0 ? low2 : high2) += isfinite(off) ? off * off : 0;
    }
}

/* The terms of the question, each beside its place in struct own_case. */
struct own_part { size_t at; struct sp_figure f; };
enum { OWN_PRICE, OWN_REST, OWN_MONTHS, OWN_USE, OWN_STAFF, OWN_KWH, OWN_PUE, OWN_TARIFF, OWN_PARTS };

static bool own_parts(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct own_part part[OWN_PARTS])
{
    const struct sp_own_terms *t = &ask->own;
    struct sp_figure price, kwh = sp_where_kwh(ask), kwh_price;
    if (!purchase(c, ask, out, &price) || !tariff(c, ask, out, &kwh_price))
        return false;
    if (!(kwh.high > 0) && ask->device_hours.high > 0) {
        why(out, "nobody knows what %.60s draws: give --kwh", ask->machine->device.name[0] ? ask->machine->device.name : ask->machine->name);
        return false;
    }
    double hours = ask->device_hours.likely, ratio = hours > 0 ? 1 / hours : 0;
    part[OWN_PRICE] = (struct own_part){ offsetof(struct own_case, price), price };
    part[OWN_REST] = (struct own_part){ offsetof(struct own_case, rest), sp_own_term(c, "own_rest", t->rest) };
    part[OWN_MONTHS] = (struct own_part){ offsetof(struct own_case, months), sp_own_term(c, "own_months", t->months) };
    part[OWN_USE] = (struct own_part){ offsetof(struct own_case, utilisation), sp_own_term(c, "own_utilisation", t->utilisation) };
    part[OWN_STAFF] = (struct own_part){ offsetof(struct own_case, staff), sp_own_term(c, "own_staff", t->staff) };
    part[OWN_KWH] = (struct own_part){ offsetof(struct own_case, kwh_hour), sp_figure_scale(kwh, ratio) };
    part[OWN_PUE] = (struct own_part){ offsetof(struct own_case, pue), sp_own_term(c, "own_pue", t->pue) };
    part[OWN_TARIFF] = (struct own_part){ offsetof(struct own_case, price_per_kwh), kwh_price };
    return true;
}

static void explain_own(const struct own_case *l, const struct sp_plan_money *out, struct sp_explain *e)
{
    sp_explain(e, "bought: %.6g x (1 + %.3g for server, network, room) = %.6g %s a device (%s)", l->price, l->rest, out->capital, out->currency, out->own_source);
    sp_explain(e, "a month: %.3g a year of it for upkeep / 12 + 730 h x %.3g of the time x %.4g kWh x PUE %.3g x %.4g = %.6g %s", l->staff, l->utilisation, l->kwh_hour, l->pue,
               l->price_per_kwh, out->opex_month, out->currency);
    sp_explain(e, "own device-hour: (%.6g + %g months x %.6g) / (730 h x %.3g x %g) = %.4g; the job: %.6g %s", out->capital, l->months, out->opex_month, l->utilisation, l->months,
               out->own_per_device_hour, out->own.likely, out->currency);
}

static void own(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_explain *e)
{
    struct own_part part[OWN_PARTS];
    struct own_case l;
    enum sp_how how = ask->device_hours.how;
    double low2 = 0, high2 = 0;
    if (!*out->currency)
        snprintf(out->currency, sizeof out->currency, "%.3s", ask->currency ? ask->currency : ask->own.price >= 0 ? ask->machine->currency : "");
    if (!own_parts(c, ask, out, part))
        return;
    for (int i = 0; i < OWN_PARTS; i++) {
        memcpy((char *)&l + part[i].at, &part[i].f.likely, sizeof(double));
        how = part[i].f.how > how ? part[i].f.how : how;
    }
    for (int i = 0; i < OWN_PARTS; i++)
        spread(&l, part[i].at, part[i].f, &low2, &high2);
    double hour = own_hour(&l);
    out->own = sp_figure_mul(ask->device_hours, sp_range(hour * exp(-sqrt(low2)), hour, hour * exp(sqrt(high2)), how));
    out->own_per_device_hour = hour;
    out->capital = own_capital(&l);
    out->opex_month = own_opex(&l);
    out->rent_month = out->rent_per_device_hour * hours_month * l.utilisation;
    explain_own(&l, out, e);
}

static void break_even(struct sp_plan_money *out, struct sp_explain *e)
{
    double saved = out->rent_month - out->opex_month;
    if (!(out->rent_per_device_hour > 0) || !(out->capital > 0))
        return;
    out->months_break_even = saved > 0 ? out->capital / saved : INFINITY;
    sp_explain(e, "break-even: %.6g / (%.6g of rent a month - %.6g) = %.4g months", out->capital, out->rent_month, out->opex_month, out->months_break_even);
}

/* ---- the answer ---- */

static bool knows(const struct sp_catalog *c, const char *provider, const char *region)
{
    const struct sp_region *r;
    const struct sp_instance *p;
    for (int i = 0; (r = sp_catalog_row(c, SP_KIND_REGIONS, i, NULL)); i++)
        if ((!provider || !strcasecmp(r->provider, provider)) && (!region || !strcasecmp(r->region, region)))
            return true;
    for (int i = 0; (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++)
        if ((!provider || !strcasecmp(p->provider, provider)) && (!region || !strcasecmp(p->region, region)))
            return true;
    return false;
}

static enum sp_status check_terms(const struct sp_own_terms *t, struct sp_err *err)
{
    if (t->utilisation == 0 || t->utilisation > 1) {
        sp_fail(err, SP_USAGE, "an own machine that works %g of the time", t->utilisation);
        return sp_remedy(err, "the share lies above 0 and at most at 1");
    }
    if (t->months == 0)
        return sp_fail(err, SP_USAGE, "an own machine that lasts 0 months");
    if (t->pue >= 0 && t->pue < 1) {
        sp_fail(err, SP_USAGE, "a PUE of %g", t->pue);
        return sp_remedy(err, "a building takes at least what its machines take: 1 or more");
    }
    return SP_OK;
}

enum sp_status sp_where_check(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_err *err)
{
    if (ask->provider && !knows(c, ask->provider, NULL)) {
        sp_fail(err, SP_USAGE, "no provider is called \"%.40s\"", ask->provider);
        return sp_remedy(err, "sparsam catalog list regions names them: aws, azure, gcp, lambda, ...");
    }
    if (ask->region && !knows(c, ask->provider, ask->region)) {
        sp_fail(err, SP_USAGE, "no region%s%s is called \"%.40s\"", ask->provider ? " of " : "", ask->provider ? ask->provider : "", ask->region);
        return sp_remedy(err, "sparsam catalog list regions names them");
    }
    if (ask->currency && strlen(ask->currency) != 3) {
        sp_fail(err, SP_USAGE, "\"%.20s\" is no currency", ask->currency);
        return sp_remedy(err, "three letters: EUR, USD, GBP");
    }
    if (!(ask->device_hours.low >= 0) || !isfinite(ask->device_hours.high))
        return sp_fail(err, SP_USAGE, "%g device-hours", ask->device_hours.likely);
    return check_terms(&ask->own, err);
}

enum sp_status sp_plan_money(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_explain *explain, struct sp_err *err)
{
    const struct sp_figure unknown = { 0, 0, 0, SP_HOW_UNKNOWN };
    TRY(sp_where_check(c, ask, err));
    *out = (struct sp_plan_money){ .on_demand = unknown, .spot = unknown, .reserved = unknown, .own = unknown, .months_break_even = NAN };
    rent(c, ask, out, explain);
    own(c, ask, out, explain);
    break_even(out, explain);
    return SP_OK;
}
