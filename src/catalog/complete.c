/* catalog/complete.c - a probed machine gets its power model, its grid and its
 * prices, each with where it is from.
 *
 * Power: a known processor's rated power, times what a plug sees over it, shared
 * by its threads; idle by the load curve of servers of its maker and time.  A
 * processor that is not in the table counts as its maker's median server, or
 * where no such server is known as its maker's median server processor.
 * In a virtual machine the share is that of its threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "inner.h"

enum { NEWEST = 2021, RATED_MAX = 1024 }; /* NEWEST: first year of the newest era in server_power.csv */

static double likely(const struct sp_catalog *c, const char *name)
{
    const struct sp_default *d = sp_catalog_default(c, name);
    return d ? d->likely : 0;
}

static const char *make_of(const char *cpu)
{
    return strcasestr(cpu, "amd") ? "amd" : strcasestr(cpu, "intel") || strcasestr(cpu, "xeon") ? "intel" : NULL;
}

static void set_power(struct sp_machine *m, double full, double idle_share, enum sp_how how)
{
    m->idle_w = full * idle_share * m->cores;
    m->watts_thread = full * (1 - idle_share);
    m->power_how = how;
}

static int threads_of(const struct sp_processor *p)
{
    return p->threads > 0 ? p->threads : 2 * p->cores;
}

static void power_of_processor(const struct sp_catalog *c, const struct sp_processor *p, struct sp_machine *m)
{
    const char *make = make_of(p->name);
    const struct sp_server_power *s = sp_catalog_server(c, make ? make : "intel", p->year ? p->year : NEWEST);
    m->tdp_w = p->tdp_w;
    set_power(m, p->tdp_w * likely(c, "wall_over_tdp") / threads_of(p), s ? s->load[0] : 0.25, SP_HOW_MODEL);
    snprintf(m->power_source, sizeof m->power_source, "%s: %g W rated, at the plug x %g, idle by SPECpower %s %s", p->name, p->tdp_w,
             likely(c, "wall_over_tdp"), s ? s->make : "?", s ? s->era : "");
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int rated(const struct sp_catalog *c, const char *make, double *to)
{
    const struct sp_processor *p;
    int count = 0;
    for (int i = 0; count < RATED_MAX && (p = sp_catalog_row(c, SP_KIND_PROCESSORS, i, NULL)); i++) {
        const char *of = make_of(p->name);
        if (of && !strcmp(of, make) && !strcmp(p->class, "server") && p->year >= NEWEST && p->tdp_w > 0)
            to[count++] = p->tdp_w / threads_of(p);
    }
    return count;
}

/* Rated watts a thread of the maker's newer server processors, where nobody published watts of whole servers. */
static bool power_of_processors(const struct sp_catalog *c, const char *make, const struct sp_server_power *own, struct sp_machine *m)
{
    double watts[RATED_MAX];
    int n = rated(c, make, watts);
    if (!n)
        return false;
    qsort(watts, (size_t)n, sizeof *watts, by_value);
    double median = (watts[(n - 1) / 2] + watts[n / 2]) / 2;
    set_power(m, median * likely(c, "wall_over_tdp"), own ? own->load[0] : 0.25, SP_HOW_ASSUMED);
    snprintf(m->power_source, sizeof m->power_source, "not in the table: median of %d %s server processors since %d, %.2f W a thread, at the plug x %g",
             n, make, NEWEST, median, likely(c, "wall_over_tdp"));
    return true;
}

static void power_of_maker(const struct sp_catalog *c, const char *make, struct sp_machine *m)
{
    const struct sp_server_power *own = sp_catalog_server(c, make, NEWEST), *s = own;
    if ((!s || s->full_w_thread <= 0) && power_of_processors(c, make, own, m))
        return;
    if (!s || s->full_w_thread <= 0)
        s = sp_catalog_server(c, "intel", NEWEST);
    if (!s || s->full_w_thread <= 0)
        return;
    set_power(m, s->full_w_thread, own ? own->load[0] : s->load[0], SP_HOW_MODEL);
    snprintf(m->power_source, sizeof m->power_source, "processor not in the table: a thread's share of the median %s server %s (SPECpower)",
             s->make, s->era);
}

static void complete_power(const struct sp_catalog *c, const struct sp_processor *p, struct sp_machine *m)
{
    const char *make = make_of(m->cpu);
    if (m->idle_w > 0 || m->watts_thread > 0)
        return;
    if (p && p->tdp_w > 0)
        power_of_processor(c, p, m);
    else if (make)
        power_of_maker(c, make, m);
    else {
        set_power(m, likely(c, "unknown_full_w_thread"), 0.25, SP_HOW_ASSUMED);
        snprintf(m->power_source, sizeof m->power_source, "unknown processor: assumed %g W a busy thread", likely(c, "unknown_full_w_thread"));
    }
}

static const char *basis_and_source(const struct sp_grid *g, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s%s%s", g->basis, *g->basis ? "; " : "", g->source);
    return buf;
}

static enum sp_status complete_grid(const struct sp_catalog *c, const char *zone, struct sp_machine *m, struct sp_err *err)
{
    const char *asked = zone && *zone ? zone : getenv("SPARSAM_ZONE");
    bool known = asked && *asked;
    char text[160];
    const struct sp_grid *g = sp_catalog_grid(c, known ? asked : "WORLD");
    if (m->co2e_g_per_kwh > 0)
        return SP_OK;
    if (!g) {
        sp_fail(err, SP_USAGE, "no grid zone is called \"%s\"", known ? asked : "WORLD");
        return sp_remedy(err, "--zone takes a country (DE, FR, IN) or a state of the USA (US-CA)");
    }
    snprintf(m->zone, sizeof m->zone, "%.15s", g->code);
    m->co2e_g_per_kwh = g->g_per_kwh;
    m->co2e_how = known ? SP_HOW_CATALOGUE : SP_HOW_ASSUMED;
    snprintf(m->co2e_source, sizeof m->co2e_source, "%s%s %d: %.88s", known ? "" : "no zone given: ", g->name, g->year, basis_and_source(g, text, sizeof text));
    return SP_OK;
}

static void complete_prices(const struct sp_catalog *c, const struct sp_processor *p, struct sp_machine *m)
{
    bool client = p && !strcmp(p->class, "client");
    double grams = likely(c, client ? "client_embodied_g" : "server_embodied_g");
    double hours = 8766 * likely(c, client ? "client_life_years" : "server_life_years");
    int threads = client ? m->cores : p ? threads_of(p) : (int)likely(c, "server_threads");
    const struct sp_default *tariff = sp_catalog_default(c, "electricity_price_per_kwh");
    if (m->embodied_g_per_hour <= 0 && hours > 0)
        m->embodied_g_per_hour = grams / hours * (m->cores < threads && threads > 0 ? (double)m->cores / threads : 1);
    if (m->price_per_kwh <= 0 && tariff && (!m->currency[0] || !strcmp(m->currency, tariff->unit))) {
        m->price_per_kwh = tariff->likely;
        m->price_how = SP_HOW_ASSUMED; /* a fact about households, an assumption about you */
        snprintf(m->currency, sizeof m->currency, "%.3s", tariff->unit);
    }
}

enum sp_status sp_catalog_machine(const struct sp_catalog *c, const char *zone, struct sp_machine *m, struct sp_err *err)
{
    const struct sp_processor *p = sp_catalog_processor(c, m->cpu);
    TRY(complete_grid(c, zone, m, err));
    complete_power(c, p, m);
    complete_prices(c, p, m);
    return SP_OK;
}
