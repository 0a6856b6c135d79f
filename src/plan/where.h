/* plan/where.h - what a job costs in money where: rented on demand, spot or
 * reserved, or on an own machine; and places ranked by money and CO2e.  Part of the
 * door of plan.
 *
 * Amounts keep the currency of their price.  Nothing is converted but by rates that
 * the person states.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WHERE_H
#define SP_WHERE_H
#include "../base/base.h"
#include "../catalog/catalog.h"
#include "../cost/cost.h"
#include "ask.h"

/* An own machine.  Negative: the catalogue's default (rows own_...), with its range. */
struct sp_own_terms {
    double price;          /* of one device; in `currency` of the question, else of its row in purchases           */
    double rest;           /* server, network and building a device, as a share of its price                        */
    double months;         /* until it is worth nothing                                                             */
    double utilisation;    /* share of all hours in which it works                                                  */
    double staff;          /* a year, as a share of what was bought (price and rest)                                */
    double price_per_kwh, pue;
    double load, host;     /* where the energy isn't known: device power over TDP; host's power over the device's;
                              negative: as sp_plan_energy has them for training                                     */
};
/* How much of the answer's currency one of another is worth ("USD=0.92"). */
enum { SP_RATES_OF_MONEY = 8 };
struct sp_money_rates { int n; struct { char currency[4]; double worth; } at[SP_RATES_OF_MONEY]; };

struct sp_plan_money_ask {
    const struct sp_machine *machine;  /* placed (sp_catalog_place): names the device, how many there are       */
    struct sp_figure device_hours;     /* of all devices together                                                */
    struct sp_figure energy_kwh;       /* devices and hosts, before PUE; high 0: unknown, then sp_plan_energy's   */
    const char *provider, *region;     /* NULL: the cheapest of the catalogue                                    */
    double price_per_hour;             /* rent of a device as the person says, in `currency`; negative: catalogue */
    const char *currency;              /* of the answer; NULL: of the price found first (rent, else purchase)     */
    struct sp_money_rates rates;
    struct sp_own_terms own;
    int64_t today;                     /* seconds since 1970, for the age of prices; 0: now                     */
};
/* A question with everything left to the catalogue. */
void sp_plan_money_ask_init(struct sp_plan_money_ask *ask, const struct sp_machine *m, struct sp_figure device_hours);

/* A figure that isn't known has how SP_HOW_UNKNOWN, and `why` says what is missing. */
struct sp_plan_money {
    struct sp_figure on_demand, spot, reserved, own; /* the job's, in currency; spot with what interruptions repeat;
                                                        reserved: its hours of a year that is used anyway            */
    char currency[4];
    char source[256], own_source[256];               /* of the rent; of the purchase                               */
    char why[256];                                   /* what is unknown, and what would tell                       */
    bool stale;                                      /* a price is older than a year                               */
    double rent_per_device_hour, own_per_device_hour; /* on demand; own at this utilisation over its life; 0: unknown */
    double capital, opex_month, rent_month;          /* of one device, at the own machine's utilisation: bought, a month's upkeep
                                                        and power, a month's rent for the same hours                */
    double months_break_even;                        /* of buying against renting on demand; INFINITY: never; NAN: unknown */
};
/* SP_USAGE: a negative price of own, a provider, region or currency nobody knows. */
enum sp_status sp_plan_money(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, struct sp_plan_money *out, struct sp_explain *explain,
                             struct sp_err *err);

/* One place where the job can be done. */
struct sp_plan_place {
    const char *provider, *region, *location, *zone, *instance; /* instance: "" when nothing is known to be offered there   */
    struct sp_figure money;            /* on demand; how SP_HOW_UNKNOWN: no price                                */
    char currency[4];
    const char *price_date, *price_region; /* price_region differs from region where only another one's is known */
    bool stale;
    double pue, g_per_kwh;
    struct sp_figure kwh;              /* devices and hosts, before PUE                                          */
    struct sp_figure co2e_g, co2e_embodied_g; /* kWh x PUE x grid (location-based); M = TE x TiR/EL x RR/ToR (ISO/IEC 21031) */
};
enum sp_place_order { SP_PLACE_BY_MONEY, SP_PLACE_BY_CO2E };
enum { SP_PLACES_MAX = 512 };
/* "USD=0.92" added to rates; SP_USAGE. */
enum sp_status sp_money_rate(struct sp_money_rates *rates, const char *text, struct sp_err *err);
/* All regions of all providers (or of ask->provider, ask->region), best first, at most max; and where the machine's zone
 * was given, an own machine there (provider "own"; pointers live as long as ask->machine and the catalogue). */
enum sp_status sp_plan_places(const struct sp_catalog *c, const struct sp_plan_money_ask *ask, enum sp_place_order by, struct sp_plan_place *out, int max,
                              int *n, struct sp_err *err);
#endif
