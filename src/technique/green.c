/* technique/green.c - the same work where and when the grid is cleaner.
 *
 * Rewrites the place: the cleanest of the zones one may choose from, and the
 * intensity of the hours that are expected to be cleanest within the slack.  The
 * deciding is plan's (green.h).  What it doesn't do: start the work at that hour,
 * or set a power cap, which is the system's to set (sparsam plan cap says which).
 * SPDX-License-Identifier: Apache-2.0 */
#include <time.h>

#include "../catalog/catalog.h"
#include "../plan/green.h"
#include "../recipe/recipe.h"

struct green { struct sp_option_list zones; const char *hourly; struct sp_when_ask ask; };

#define AT(field) offsetof(struct green, field)
static const struct sp_option green_options[] = {
    { .name = "green-zone", .kind = SP_OPT_LIST, .at = AT(zones), .group = "Green", .unit = "ZONE", .help = "grid zones to choose from; repeat it" },
    { .name = "green-hourly", .kind = SP_OPT_TEXT, .at = AT(hourly), .unit = "FILE", .help = "intensities of the zone by the hour up to now" },
    { .name = "green-hours", .kind = SP_OPT_INT, .at = AT(ask.hours), .min = 1, .max = 24 * 14, .fallback = 4, .help = "the work takes" },
    { .name = "green-slack", .kind = SP_OPT_INT, .at = AT(ask.slack), .min = 0, .max = 24 * 14, .fallback = 24, .unit = "HOURS", .help = "it may end later" },
    { .name = "green-interruptible", .kind = SP_OPT_FLAG, .at = AT(ask.interruptible), .help = "it may stop and go on" },
    { 0 },
};
#undef AT

static enum sp_status cleanest(const struct sp_catalog *c, const struct sp_option_list *zones, const char **out, struct sp_err *err)
{
    double least = 0;
    const char *best = NULL;
    for (int i = 0; i < zones->n; i++) {
        const struct sp_grid *g = sp_catalog_grid(c, zones->at[i]);
        if (!g) {
            sp_fail(err, SP_USAGE, "no grid zone is called \"%s\"", zones->at[i]);
            return sp_remedy(err, "--green-zone takes a country (DE, FR, IN) or a state of the USA (US-CA)");
        }
        if (!best || g->g_per_kwh < least) {
            best = zones->at[i];
            least = g->g_per_kwh;
        }
    }
    *out = best;
    return SP_OK;
}

static enum sp_status where(const struct green *o, struct sp_recipe_place *p, struct sp_err *err)
{
    struct sp_catalog *c;
    TRY(sp_catalog_open(&c, err));
    enum sp_status st = cleanest(c, &o->zones, &p->zone, err);
    sp_catalog_free(c);
    return st;
}

/* Mean of what is expected in the hours chosen, from the hour after the file's last. */
static enum sp_status expected(const struct sp_hours *h, const struct sp_when_ask *a, double *out, struct sp_err *err)
{
    double g[SP_WINDOW_MAX], sum = 0;
    bool chosen[SP_WINDOW_MAX];
    int window = (int)(a->hours + a->slack);
    if (!sp_hours_forecast(h, h->n, window, g))
        return sp_fail(err, SP_LIMIT, "%s: %d hours are too few for a forecast, two weeks are wanted", h->name, h->n);
    sp_when_choose(a, g, chosen);
    for (int i = 0; i < window; i++)
        sum += chosen[i] ? g[i] : 0;
    *out = sum / (double)a->hours;
    return SP_OK;
}

static enum sp_status when(const struct green *o, struct sp_recipe_place *p, struct sp_err *err)
{
    struct sp_hours h;
    struct tm utc;
    time_t now = time(NULL);
    TRY(sp_hours_read(&h, o->hourly, NULL, p->zone, gmtime_r(&now, &utc) ? utc.tm_mon + 1 : 1, err));
    enum sp_status st = expected(&h, &o->ask, &p->co2e_per_kwh, err);
    sp_hours_clear(&h);
    return st;
}

static enum sp_status green_recipe(struct sp_recipe *r, const void *options, struct sp_err *err)
{
    const struct green *o = options;
    struct sp_recipe_place p = r->place;
    if (!o->zones.n && !o->hourly) {
        sp_fail(err, SP_USAGE, "green: neither zones to choose from nor hours of a grid are named");
        return sp_remedy(err, "--green-zone DE --green-zone FR, or --green-hourly FILE");
    }
    if (o->zones.n)
        TRY(where(o, &p, err));
    if (o->hourly)
        TRY(when(o, &p, err));
    r->place = p;
    return SP_OK;
}

const struct sp_technique sp_technique_green = {
    .name = "green", .help = "the same work where and when the grid is cleaner", .options = green_options, .options_bytes = sizeof(struct green),
    .recipe = green_recipe,
};
