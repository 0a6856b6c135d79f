/* plan/where_places.c - the regions of the clouds ranked for one job, by money and
 * by CO2e.
 *
 * Use: kWh x PUE x intensity of the grid there, location-based.  Making: M = TE x
 * (TiR / EL) x (RR / ToR) (ISO/IEC 21031, the SCI): what making hosts and devices took,
 * over their life, for the hours and devices reserved.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "where_inner.h"

static const struct sp_figure unknown = { 0, 0, 0, SP_HOW_UNKNOWN };

static const struct sp_region *usual(const struct sp_catalog *c, const char *provider)
{
    const struct sp_region *r;
    for (int i = 0; (r = sp_catalog_row(c, SP_KIND_REGIONS, i, NULL)); i++)
        if (!strcasecmp(r->region, "any") && !strcasecmp(r->provider, provider))
            return r;
    return NULL;
}

/* Price of this region, else of any of this provider. */
static void place_money(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, const struct sp_region *r, struct sp_plan_place *p)
{
    struct sp_rent rent;
    char missing[4] = "";
    sp_rent_find(c, ask, r->provider, r->region, &rent, missing);
    if (!rent.row)
        sp_rent_find(c, ask, r->provider, NULL, &rent, missing);
    if (!rent.row)
        return;
    p->instance = rent.row->instance;
    p->price_date = rent.row->date;
    p->price_region = rent.row->region;
    p->stale = sp_catalog_stale(rent.row->date, ask->today);
    p->money = sp_figure_mul(ask->device_hours, sp_exact(rent.on_demand, SP_HOW_CATALOGUE));
    if (strcasecmp(p->price_region, p->region) && strcasecmp(p->price_region, "any"))
        p->money = sp_range(0.9 * p->money.low, p->money.likely, 1.4 * p->money.high, SP_HOW_ASSUMED);
    memcpy(p->currency, rent.currency, sizeof p->currency);
}

static void place_carbon(const struct sp_catalog *c, const struct sp_region *r, struct sp_figure kwh, struct sp_plan_place *p)
{
    const struct sp_grid *g = *r->zone ? sp_catalog_grid(c, r->zone) : NULL;
    const struct sp_region *own = usual(c, r->provider), *any = usual(c, "unknown");
    p->g_per_kwh = r->g_per_kwh > 0 ? r->g_per_kwh : g ? g->g_per_kwh : 0;
    p->pue = r->pue > 0 ? r->pue : own && own->pue > 0 ? own->pue : any ? any->pue : 1;
    p->kwh = kwh;
    if (p->g_per_kwh > 0 && kwh.high > 0)
        p->co2e_g = sp_figure_scale(kwh, p->pue * p->g_per_kwh);
}

static void place_making(const struct sp_plan_money_ask *ask, struct sp_plan_place *p)
{
    double hour = ask->machine->embodied_g_per_hour / sp_where_devices(ask->machine);
    if (hour > 0)
        p->co2e_embodied_g = sp_figure_mul(ask->device_hours, sp_range(0.5 * hour, hour, 2 * hour, SP_HOW_ASSUMED));
}

static void place_of(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, const struct sp_region *r, struct sp_figure kwh, struct sp_plan_place *p)
{
    *p = (struct sp_plan_place){ .provider = r->provider, .region = r->region, .location = r->location, .zone = r->zone, .instance = "", .price_date = "",
                                 .price_region = "", .money = unknown, .co2e_g = unknown, .co2e_embodied_g = unknown };
    place_money(c, ask, r, p);
    place_carbon(c, r, kwh, p);
    place_making(ask, p);
}

/* A machine of one's own in the zone that was given. */
static enum sp_status own_place(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_figure kwh, struct sp_plan_place *p, struct sp_err *err)
{
    const struct sp_machine *m = ask->machine;
    struct sp_plan_money money;
    TRY(sp_plan_money(c, ask, &money, NULL, err));
    struct sp_figure pue = sp_own_term(c, "own_pue", ask->own.pue);
    *p = (struct sp_plan_place){ .provider = "own", .region = "your own", .location = "", .zone = m->zone, .instance = "", .price_date = "", .price_region = "your own",
                                 .money = money.own, .stale = money.stale, .pue = pue.likely, .g_per_kwh = m->co2e_g_per_kwh, .co2e_g = unknown, .co2e_embodied_g = unknown };
    memcpy(p->currency, money.currency, sizeof p->currency);
    p->kwh = kwh;
    if (kwh.high > 0)
        p->co2e_g = sp_figure_scale(sp_figure_mul(kwh, pue), m->co2e_g_per_kwh);
    place_making(ask, p);
    return SP_OK;
}

/* What is usual with a provider is a place only where the provider names no regions. */
static bool is_place(const struct sp_catalog *c, const struct sp_region *r)
{
    const struct sp_region *other;
    if (strcasecmp(r->region, "any"))
        return true;
    for (int i = 0; (other = sp_catalog_row(c, SP_KIND_REGIONS, i, NULL)); i++)
        if (!strcasecmp(other->provider, r->provider) && strcasecmp(other->region, "any"))
            return false;
    return true;
}

static bool is_meant(const struct sp_plan_money_ask *ask, const struct sp_region *r)
{
    return (!ask->provider || !strcasecmp(ask->provider, r->provider)) && (!ask->region || !strcasecmp(ask->region, r->region));
}

static int compare(double a, double b)
{
    return (a > b) - (a < b);
}

static double co2e(const struct sp_plan_place *p)
{
    return p->co2e_g.how == SP_HOW_UNKNOWN ? INFINITY : p->co2e_g.likely;
}

static double money(const struct sp_plan_place *p)
{
    return p->money.how == SP_HOW_UNKNOWN ? INFINITY : p->money.likely;
}

static int by_money(const void *a, const void *b)
{
    int d = compare(money(a), money(b));
    return d ? d : compare(co2e(a), co2e(b));
}

static int by_co2e(const void *a, const void *b)
{
    int d = compare(co2e(a), co2e(b));
    return d ? d : compare(money(a), money(b));
}

enum sp_status sp_plan_places(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, enum sp_place_order by, struct sp_plan_place *out, int max, int *n,
                              struct sp_err *err)
{
    struct sp_plan_money_ask same = *ask;
    const struct sp_region *r;
    struct sp_rent first;
    char missing[4] = "";
    TRY(sp_where_check(c, ask, err));
    sp_rent_find(c, ask, NULL, NULL, &first, missing);
    if (!same.currency && first.row)
        same.currency = first.currency; /* amounts that are ranked are in one currency */
    struct sp_figure kwh = sp_where_kwh(ask);
    *n = 0;
    if (max > 0 && ask->machine->co2e_g_per_kwh > 0 && ask->machine->co2e_how != SP_HOW_ASSUMED && !ask->provider && !ask->region) {
        TRY(own_place(c, &same, kwh, &out[0], err));
        *n = 1;
    }
    for (int i = 0; *n < max && (r = sp_catalog_row(c, SP_KIND_REGIONS, i, NULL)); i++) {
        if (!is_meant(ask, r) || !is_place(c, r))
            continue;
        place_of(c, &same, r, kwh, &out[*n]);
        *n += out[*n].g_per_kwh > 0 || out[*n].money.how != SP_HOW_UNKNOWN;
    }
    qsort(out, (size_t)*n, sizeof *out, by == SP_PLACE_BY_CO2E ? by_co2e : by_money);
    return SP_OK;
}
