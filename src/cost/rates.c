/* cost/rates.c - rates by kernel row, and what time on a machine costs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cost.h"

#include <string.h>

const struct sp_rate *sp_rates_find(const struct sp_rates *r, const char *row)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->at[i].row, row))
            return &r->at[i];
    return NULL;
}

void sp_rates_put(struct sp_rates *r, const struct sp_rate *rate)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->at[i].row, rate->row)) {
            r->at[i] = *rate;
            return;
        }
    if (r->n < SP_RATES_MAX)
        r->at[r->n++] = *rate;
}

/* Idle power belongs to the whole machine for the whole time, the rest to busy threads.  The model's own error: +-30 %. */
static struct sp_figure modelled_energy(const struct sp_cost *c, const struct sp_machine *m)
{
    struct sp_figure f = sp_figure_add(sp_figure_scale(c->time_s, m->idle_w), sp_figure_scale(c->cpu_s, m->watts_thread));
    return (struct sp_figure){ 0.7 * f.low, f.likely, 1.3 * f.high, m->power_how > f.how ? m->power_how : f.how };
}

/* A factor for this place, or one assumed for want of it: grids and tariffs differ by that much. */
static struct sp_figure factor(double v, enum sp_how how)
{
    return how == SP_HOW_ASSUMED ? sp_range(0.3 * v, v, 1.6 * v, how) : sp_exact(v, SP_HOW_CATALOGUE);
}

struct sp_figure sp_with_building(struct sp_figure f, const struct sp_machine *m)
{
    if (!(m->pue > 0) || m->pue == 1)
        return f;
    f = sp_figure_scale(f, m->pue);
    f.how = f.how > SP_HOW_ASSUMED ? f.how : SP_HOW_ASSUMED;
    return f;
}

void sp_cost_price(struct sp_cost *c, const struct sp_machine *m)
{
    if (!(c->energy_j.high > 0) && (m->idle_w > 0 || m->watts_thread > 0))
        c->energy_j = sp_with_building(modelled_energy(c, m), m);
    struct sp_figure kwh = sp_figure_scale(c->energy_j, 1 / 3.6e6), hours = sp_figure_scale(c->time_s, 1.0 / 3600);
    c->device_hours = hours;
    if (m->co2e_g_per_kwh > 0)
        c->co2e_g = sp_figure_mul(kwh, factor(m->co2e_g_per_kwh, m->co2e_how));
    if (m->embodied_g_per_hour > 0)
        c->co2e_embodied_g = sp_figure_mul(hours, sp_range(0.5 * m->embodied_g_per_hour, m->embodied_g_per_hour, 2 * m->embodied_g_per_hour, SP_HOW_ASSUMED));
    if (m->price_per_hour > 0)
        c->money = sp_figure_scale(hours, m->price_per_hour);
    else if (m->price_per_kwh > 0)
        c->money = sp_figure_mul(kwh, factor(m->price_per_kwh, m->price_how));
    memcpy(c->currency, m->currency, sizeof c->currency);
}
