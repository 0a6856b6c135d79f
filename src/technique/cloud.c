/* technique/cloud.c - the same work on a rented machine, where it is cheapest or
 * cleanest.
 *
 * Rewrites the place: the rent of the machine, the building and the intensity of the
 * grid in the region that comes first.  Ranking and prices are plan's (where.h).  What
 * it doesn't do: rent the machine, or move data there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../catalog/catalog.h"
#include "../plan/where.h"
#include "../recipe/recipe.h"

static const char *const orders[] = { "money", "co2e", NULL };

struct cloud { const char *on, *provider, *region, *in; struct sp_option_list rates; int by; };

#define AT(field) offsetof(struct cloud, field)
static const struct sp_option cloud_options[] = {
    { .name = "cloud-on", .kind = SP_OPT_TEXT, .at = AT(on), .group = "Cloud", .unit = "MACHINE", .help = "what to rent: a100-80gb*8, p4d.24xlarge" },
    { .name = "cloud-provider", .kind = SP_OPT_TEXT, .at = AT(provider), .unit = "NAME", .help = "aws, azure, gcp, lambda; without it all" },
    { .name = "cloud-region", .kind = SP_OPT_TEXT, .at = AT(region), .unit = "NAME", .help = "without it all" },
    { .name = "cloud-by", .kind = SP_OPT_CHOICE, .at = AT(by), .choices = orders, .help = "what places are ranked by" },
    { .name = "cloud-in", .kind = SP_OPT_TEXT, .at = AT(in), .unit = "CODE", .help = "currency; without it the place's" },
    { .name = "cloud-rate", .kind = SP_OPT_LIST, .at = AT(rates), .unit = "CODE=NUMBER", .help = "worth of another currency in it (USD=0.92)" },
    { 0 },
};
#undef AT

/* The first place whose rent is known. */
static enum sp_status best_place(const struct sp_catalog *c, const struct cloud *o, const struct sp_plan_money_ask *ask, struct sp_plan_place *out, struct sp_err *err)
{
    struct sp_plan_money money;
    int n;
    struct sp_plan_place *place = sp_alloc(SP_PLACES_MAX * sizeof *place);
    if (!place)
        return sp_fail(err, SP_NOMEM, "out of memory for places");
    enum sp_status st = sp_plan_places(c, ask, (enum sp_place_order)o->by, place, SP_PLACES_MAX, &n, err);
    int i = 0;
    while (!st && i < n && place[i].money.how == SP_HOW_UNKNOWN)
        i++;
    if (!st && i < n)
        *out = place[i];
    else if (!st && !(st = sp_plan_money(c, ask, &money, NULL, err)))
        st = sp_fail(err, SP_MISSING, "cloud: no rent is known for %s in %s: %s", o->on, ask->currency, money.why);
    sp_free(place);
    return st;
}

static enum sp_status rewrite(const struct sp_catalog *c, const struct cloud *o, struct sp_recipe_place *p, struct sp_err *err)
{
    struct sp_machine m = { .cores = 1, .threads = 1, .pue = 1 };
    struct sp_plan_money_ask ask;
    struct sp_plan_place best = { 0 };
    TRY(sp_catalog_place(c, o->on, &m, err));
    sp_plan_money_ask_init(&ask, &m, sp_exact(m.device.count > 1 ? m.device.count : 1, SP_HOW_CATALOGUE)); /* one hour of all */
    ask.provider = o->provider;
    ask.region = o->region;
    ask.currency = o->in ? o->in : p->currency ? p->currency : "EUR";
    for (int i = 0; i < o->rates.n; i++)
        TRY(sp_money_rate(&ask.rates, o->rates.at[i], err));
    TRY(best_place(c, o, &ask, &best, err));
    p->price_per_hour = best.money.likely;
    p->currency = ask.currency;
    p->pue = best.pue;
    p->co2e_per_kwh = best.g_per_kwh;
    return SP_OK;
}

static enum sp_status cloud_recipe(struct sp_recipe *r, const void *options, struct sp_err *err)
{
    const struct cloud *o = options;
    struct sp_recipe_place p = r->place;
    struct sp_catalog *c;
    if (!o->on) {
        sp_fail(err, SP_USAGE, "cloud: no machine to rent is named");
        return sp_remedy(err, "--cloud-on a100-80gb*8; sparsam catalog list instances shows what there is");
    }
    TRY(sp_catalog_open(&c, err));
    enum sp_status st = rewrite(c, o, &p, err);
    sp_catalog_free(c);
    if (!st)
        r->place = p;
    return st;
}

const struct sp_technique sp_technique_cloud = {
    .name = "cloud", .help = "the same work on a rented machine, where it is cheapest or cleanest", .options = cloud_options, .options_bytes = sizeof(struct cloud),
    .recipe = cloud_recipe,
};
