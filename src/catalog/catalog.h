/* catalog/catalog.h - facts with source and date: grid intensity, processors,
 * server power, tariffs, embodied carbon.  [door of catalog]
 *
 * Facts stand in catalog/ as CSV and are compiled in (make catalog).  A folder
 * named by SPARSAM_CATALOG holds CSV files of the same names and columns; its
 * rows win over ours.  A file of a user's that cannot be read is an error, not
 * silently the default.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CATALOG_H
#define SP_CATALOG_H
#include "../base/base.h"
#include "../cost/cost.h"

struct sp_grid { const char *code, *name; double g_per_kwh; int year; const char *source; };  /* source: basis, then where from */
struct sp_processor { const char *name, *class; int cores, threads; double tdp_w; int year; const char *source; };
/* Wall power of whole servers by maker and era: share of full power at 0, 10, ... 100 % load; watts a thread. */
struct sp_server_power { const char *make, *era; int from, to; double load[11], idle_w_thread, full_w_thread; const char *source; };
/* Numbers by name: "electricity_price_per_kwh", "embodied_server_g", "server_life_years", ... */
struct sp_default { const char *name; double low, likely, high; const char *unit, *how, *source; };

struct sp_catalog;
enum sp_status sp_catalog_open(struct sp_catalog **out, struct sp_err *err); /* $SPARSAM_CATALOG over what is compiled in */
void sp_catalog_free(struct sp_catalog *c);

/* NULL when there is no such row.  Zones and names without regard to case; a zone US-CA falls back to US,
 * a processor matches as /proc/cpuinfo spells it ("AMD EPYC 7B13 64-Core Processor"). */
const struct sp_grid *sp_catalog_grid(const struct sp_catalog *c, const char *zone);
const struct sp_processor *sp_catalog_processor(const struct sp_catalog *c, const char *cpu);
const struct sp_server_power *sp_catalog_server(const struct sp_catalog *c, const char *make, int year);
const struct sp_default *sp_catalog_default(const struct sp_catalog *c, const char *name);
double sp_catalog_load(const struct sp_server_power *s, double load); /* share of full power at load 0..1 */
int sp_catalog_grids(const struct sp_catalog *c, const struct sp_grid **rows);

/* Completes a probed machine: power model, zone (NULL: $SPARSAM_ZONE, else the world's mean), tariff,
 * embodied carbon, each with its source.  Fields already set are kept.  SP_USAGE: no such zone. */
enum sp_status sp_catalog_machine(const struct sp_catalog *c, const char *zone, struct sp_machine *m, struct sp_err *err);
#endif
