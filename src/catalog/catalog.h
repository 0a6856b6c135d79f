/* catalog/catalog.h - facts with source and date: grid intensity, processors,
 * accelerators, prices, regions, tariffs, embodied carbon.  [door of catalog]
 *
 * Facts stand in catalog/ as CSV and are compiled in (make catalog).  A person's
 * own folder (sp_catalog_folder) may hold CSV files of the same names and columns;
 * its rows win over ours.  A file of a person's that cannot be read is an error, not
 * silently the default.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CATALOG_H
#define SP_CATALOG_H
#include "../base/base.h"
#include "../cost/cost.h"

struct sp_grid { const char *code, *name; double g_per_kwh; const char *basis; int year; const char *source, *licence; };
struct sp_processor { const char *name, *class; int cores, threads; double tdp_w; int year; const char *source, *licence; };
/* Wall power of whole servers by maker and era: share of full power at 0, 10, ... 100 % load; watts a thread. */
struct sp_server_power { const char *make, *era; int from, to; double load[11], idle_w_thread, full_w_thread; const char *source, *licence; };
/* Numbers by name: "electricity_price_per_kwh", "embodied_server_g", "server_life_years", ... */
struct sp_default { const char *name; double low, likely, high; const char *unit, *how, *date, *source; };
/* What computes.  Peaks of one device without sparsity, with sums in f32 (16) where the maker gives both; 0: unknown.
 * keys: words that mean it, separated by ';'.  kind: server, workstation, consumer, tpu, soc, edge, cpu.  Memory is a
 * range where it is sold with more or less.  link and net count one direction.  parts: how many of what its name
 * counts make a device (TPU v3-8: four chips).  host_w: the host's power a device beside its own. */
struct sp_accelerator {
    const char *name, *keys, *kind;
    int year;
    double memory_gb_min, memory_gb, bandwidth_gbs, f32_tflops, tf32_tflops, f16_tflops, fp8_tflops, int8_tops, link_gbs, net_gbs, tdp_w;
    int per_node;
    double host_w;
    int parts;
    const char *source, *licence;
};
/* Rent of a whole instance an hour, without tax; 0: not offered or unknown.  devices: of the accelerator, parts too. */
struct sp_instance {
    const char *instance, *provider, *region, *accelerator;
    double devices, on_demand, spot, reserved_1y;
    const char *currency, *date, *source, *licence;
};
struct sp_purchase { const char *accelerator; double price; const char *currency, *kind, *date, *source, *licence; }; /* of one device */
/* Where machines can be rented.  zone: code of a row of grid; g_per_kwh 0: as there.  A row with region "any" holds what
 * is usual with a provider. */
struct sp_region { const char *region, *provider, *location, *zone; double g_per_kwh, pue, carbon_free; int year; const char *source, *licence; };
/* Models by the names people type (models.h finds them).  config: text of a minimal config.json.  parameters, active
 * (those a token meets; 0: dense, or not published): as published, to the digit where the digits are known.  aliases are
 * separated by ';'.  looked_up: "file" where the configuration was read from one, "memory" where it was not. */
struct sp_model_fact { const char *name, *aliases, *config; double parameters, active; const char *source, *looked_up, *licence; };

struct sp_catalog;
/* The person's rows (sp_catalog_folder) over what is compiled in.  SP_FORMAT names file, row and column. */
enum sp_status sp_catalog_open(struct sp_catalog **out, struct sp_err *err);
void sp_catalog_free(struct sp_catalog *c);
/* $SPARSAM_CATALOG, else sparsam/catalog below $XDG_DATA_HOME or ~/.local/share; "" when none of them is known. */
const char *sp_catalog_folder(char *buf, size_t cap);

/* ---- the kinds of facts: each a file, columns, rows ---- */

enum sp_catalog_type { SP_COLUMN_TEXT, SP_COLUMN_REAL, SP_COLUMN_INT, SP_COLUMN_DATE }; /* DATE: "2024" or "2024-04", kept as text */
/* at: offset in the row's struct; a number lies within min and max; an empty number is 0 unless needed. */
struct sp_catalog_column { const char *name; enum sp_catalog_type type; size_t at; double min, max; bool needed; const char *unit; };
enum sp_catalog_kind_id { SP_KIND_ACCELERATORS, SP_KIND_INSTANCES, SP_KIND_PURCHASES, SP_KIND_REGIONS, SP_KIND_GRID, SP_KIND_PROCESSORS,
                          SP_KIND_SERVER_POWER, SP_KIND_DEFAULTS, SP_KIND_MODELS, SP_KINDS };
/* name: of the file without ".csv".  The first `identity` columns tell rows apart. */
struct sp_catalog_kind { const char *name, *help; size_t bytes; int identity; const struct sp_catalog_column *columns; const void *rows; const int *n; };
extern const struct sp_catalog_kind sp_catalog_kinds[SP_KINDS];   /* columns end with name NULL */
/* The i-th row of a kind, the person's own first; NULL past the end.  own may be NULL. */
const void *sp_catalog_row(const struct sp_catalog *c, enum sp_catalog_kind_id kind, int i, bool *own);
/* Reads a file of this kind as a person's: columns, bounds, dates, rows that stand twice, names that another table must
 * have.  SP_FORMAT with one sentence; *rows: how many.  Nothing is kept. */
enum sp_status sp_catalog_check(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const char *path, int *rows, struct sp_err *err);
/* Text of a number ("" for 0), a text or a date of a row. */
const char *sp_catalog_cell(const struct sp_catalog_column *column, const void *row, char *buf, size_t cap);
/* Puts a person's file where sp_catalog_open finds it: its rows, then those already there that are not among them.
 * *rows: how many there are now; path: where.  SP_FORMAT as sp_catalog_check. */
enum sp_status sp_catalog_add(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const char *file, char *path, size_t cap, int *rows, struct sp_err *err);
/* A price of that date ("2024-04") is older than twelve months; today: seconds since 1970, 0: now. */
bool sp_catalog_stale(const char *date, int64_t today);

/* ---- looking up ---- */

/* NULL when there is no such row.  Zones and names without regard to case; a zone US-CA falls back to US,
 * a processor matches as /proc/cpuinfo spells it ("AMD EPYC 7B13 64-Core Processor"). */
const struct sp_grid *sp_catalog_grid(const struct sp_catalog *c, const char *zone);
const struct sp_processor *sp_catalog_processor(const struct sp_catalog *c, const char *cpu);
const struct sp_server_power *sp_catalog_server(const struct sp_catalog *c, const char *make, int year);
const struct sp_default *sp_catalog_default(const struct sp_catalog *c, const char *name);
const struct sp_instance *sp_catalog_instance(const struct sp_catalog *c, const char *name); /* "p4d.24xlarge", "Standard_NC6s_v3" */
const struct sp_accelerator *sp_catalog_accelerator(const struct sp_catalog *c, const char *name); /* exactly, but for case */
double sp_catalog_load(const struct sp_server_power *s, double load); /* share of full power at load 0..1 */

/* Completes a probed machine: power model, zone (NULL: $SPARSAM_ZONE, else the world's mean), tariff,
 * embodied carbon, each with its source.  Fields already set are kept.  SP_USAGE: no such zone. */
enum sp_status sp_catalog_machine(const struct sp_catalog *c, const char *zone, struct sp_machine *m, struct sp_err *err);

/* The machine that a person names with --on: "a100-80gb*64", "8xH100", "rtx-4090", "3090 24GB * 4", "TPU v3-256",
 * "p4d.24xlarge*2" (an instance: its devices, and price_per_hour of all of them with currency and date), "epyc 7763"
 * (a processor: device.count 0, and m->device holds memory, bandwidth and f32 peak of one of it), "this" (m stays as it is).
 * Fills m->device; but for "this" all that is of the host is the foreign machine's (idle_w, watts_thread, memory_bytes
 * 0: unknown; embodied carbon of host and devices together); zone, grid and tariff stay.  Words are compared without
 * regard to case, blanks and hyphens; "80GB" picks the row of that memory, and where none has it replaces the row's (up
 * to twice as much).  A device without matrix units has flops_16 as flops_f32.  SP_USAGE: nothing is called that; the
 * sentence names the three nearest. */
enum sp_status sp_catalog_place(const struct sp_catalog *c, const char *on, struct sp_machine *m, struct sp_err *err);
#endif
