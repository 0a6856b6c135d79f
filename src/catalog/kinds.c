/* catalog/kinds.c - the kinds of facts: which columns a file has, their bounds, and
 * where they go.  The same rows read a person's file, list, show, and test ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

enum { YEAR_MIN = 1990, YEAR_MAX = 2100 };
#define TEXT(s, f) { #f, SP_COLUMN_TEXT, offsetof(struct s, f), 0, 0, false, NULL }
#define NAME(s, f) { #f, SP_COLUMN_TEXT, offsetof(struct s, f), 0, 0, true, NULL }
#define DATE(s, f) { #f, SP_COLUMN_DATE, offsetof(struct s, f), 0, 0, true, NULL }
#define YEAR(s, f) { #f, SP_COLUMN_INT, offsetof(struct s, f), YEAR_MIN, YEAR_MAX, false, NULL }
#define COUNT(s, f, least, most) { #f, SP_COLUMN_INT, offsetof(struct s, f), least, most, false, NULL }
#define REAL(s, f, least, most, unit) { #f, SP_COLUMN_REAL, offsetof(struct s, f), least, most, false, unit }
#define NEED(s, f, least, most, unit) { #f, SP_COLUMN_REAL, offsetof(struct s, f), least, most, true, unit }
#define END { 0 }

static const struct sp_catalog_column accelerator[] = {
    NAME(sp_accelerator, name), TEXT(sp_accelerator, keys), TEXT(sp_accelerator, kind), YEAR(sp_accelerator, year),
    REAL(sp_accelerator, memory_gb_min, 0, 10000, "GB"), NEED(sp_accelerator, memory_gb, 0.01, 10000, "GB"),
    REAL(sp_accelerator, bandwidth_gbs, 0, 100000, "GB/s"), REAL(sp_accelerator, f32_tflops, 0, 5000, "TFLOPS"),
    REAL(sp_accelerator, tf32_tflops, 0, 20000, "TFLOPS"), REAL(sp_accelerator, f16_tflops, 0, 20000, "TFLOPS"),
    REAL(sp_accelerator, fp8_tflops, 0, 40000, "TFLOPS"), REAL(sp_accelerator, int8_tops, 0, 40000, "TOPS"),
    REAL(sp_accelerator, link_gbs, 0, 10000, "GB/s"), REAL(sp_accelerator, net_gbs, 0, 10000, "GB/s"), REAL(sp_accelerator, tdp_w, 0, 5000, "W"),
    COUNT(sp_accelerator, per_node, 0, 1024), REAL(sp_accelerator, host_w, 0, 5000, "W"), COUNT(sp_accelerator, parts, 0, 16),
    TEXT(sp_accelerator, source), TEXT(sp_accelerator, licence), END,
};
static const struct sp_catalog_column instance[] = {
    NAME(sp_instance, instance), NAME(sp_instance, provider), TEXT(sp_instance, region), NAME(sp_instance, accelerator),
    NEED(sp_instance, devices, 0.01, 100000, NULL), REAL(sp_instance, on_demand, 0, 1e6, "an hour"), REAL(sp_instance, spot, 0, 1e6, "an hour"),
    REAL(sp_instance, reserved_1y, 0, 1e6, "an hour"), NAME(sp_instance, currency), DATE(sp_instance, date), TEXT(sp_instance, source),
    TEXT(sp_instance, licence), END,
};
static const struct sp_catalog_column purchase[] = {
    NAME(sp_purchase, accelerator), NEED(sp_purchase, price, 0.01, 1e7, NULL), NAME(sp_purchase, currency), TEXT(sp_purchase, kind),
    DATE(sp_purchase, date), TEXT(sp_purchase, source), TEXT(sp_purchase, licence), END,
};
static const struct sp_catalog_column region[] = {
    NAME(sp_region, region), NAME(sp_region, provider), TEXT(sp_region, location), TEXT(sp_region, zone), REAL(sp_region, g_per_kwh, 0, 2000, "g/kWh"),
    REAL(sp_region, pue, 0, 5, NULL), REAL(sp_region, carbon_free, 0, 1, NULL), YEAR(sp_region, year), TEXT(sp_region, source), TEXT(sp_region, licence), END,
};
static const struct sp_catalog_column grid[] = {
    NAME(sp_grid, code), TEXT(sp_grid, name), NEED(sp_grid, g_per_kwh, 0, 2000, "g/kWh"), TEXT(sp_grid, basis), YEAR(sp_grid, year),
    TEXT(sp_grid, source), TEXT(sp_grid, licence), END,
};
static const struct sp_catalog_column processor[] = {
    NAME(sp_processor, name), TEXT(sp_processor, class), COUNT(sp_processor, cores, 0, 4096), COUNT(sp_processor, threads, 0, 8192),
    REAL(sp_processor, tdp_w, 0, 5000, "W"), YEAR(sp_processor, year), TEXT(sp_processor, source), TEXT(sp_processor, licence), END,
};
#define LOAD(i, percent) { "p" #percent, SP_COLUMN_REAL, offsetof(struct sp_server_power, load[i]), 0.01, 1, true, "of full power" }
static const struct sp_catalog_column server[] = {
    NAME(sp_server_power, make), TEXT(sp_server_power, era), COUNT(sp_server_power, from, YEAR_MIN, YEAR_MAX), COUNT(sp_server_power, to, YEAR_MIN, YEAR_MAX),
    LOAD(0, 0), LOAD(1, 10), LOAD(2, 20), LOAD(3, 30), LOAD(4, 40), LOAD(5, 50), LOAD(6, 60), LOAD(7, 70), LOAD(8, 80), LOAD(9, 90), LOAD(10, 100),
    REAL(sp_server_power, idle_w_thread, 0, 1000, "W"), REAL(sp_server_power, full_w_thread, 0, 1000, "W"), TEXT(sp_server_power, source),
    TEXT(sp_server_power, licence), END,
};
static const struct sp_catalog_column fallback[] = {
    NAME(sp_default, name), NEED(sp_default, low, 0, 1e12, NULL), NEED(sp_default, likely, 0, 1e12, NULL), NEED(sp_default, high, 0, 1e12, NULL),
    TEXT(sp_default, unit), TEXT(sp_default, how), TEXT(sp_default, date), TEXT(sp_default, source), END,
};

static const struct sp_catalog_column model[] = {
    NAME(sp_model_fact, name), TEXT(sp_model_fact, aliases), NAME(sp_model_fact, config), REAL(sp_model_fact, parameters, 1, 1e15, NULL),
    REAL(sp_model_fact, active, 1, 1e15, NULL), TEXT(sp_model_fact, source), TEXT(sp_model_fact, looked_up), TEXT(sp_model_fact, licence), END,
};

#define KIND(name, help, type, identity, columns, rows) { name, help, sizeof(struct type), identity, columns, rows, &rows##_n }
const struct sp_catalog_kind sp_catalog_kinds[SP_KINDS] = {
    [SP_KIND_ACCELERATORS] = KIND("accelerators", "GPUs, TPUs and processors: memory, bandwidth, dense peaks, power", sp_accelerator, 1, accelerator, sp_accelerator_rows),
    [SP_KIND_INSTANCES] = KIND("instances", "rent of cloud machines an hour: on demand, spot, reserved for a year", sp_instance, 3, instance, sp_instance_rows),
    [SP_KIND_PURCHASES] = KIND("purchases", "what an accelerator costs to buy", sp_purchase, 3, purchase, sp_purchase_rows),
    [SP_KIND_REGIONS] = KIND("regions", "where machines can be rented: grid, PUE", sp_region, 2, region, sp_region_rows),
    [SP_KIND_GRID] = KIND("grid", "CO2e a kWh by country and state", sp_grid, 1, grid, sp_grid_rows),
    [SP_KIND_PROCESSORS] = KIND("processors", "processors: cores, rated power", sp_processor, 1, processor, sp_processor_rows),
    [SP_KIND_SERVER_POWER] = KIND("server_power", "power of whole servers by load", sp_server_power, 2, server, sp_server_rows),
    [SP_KIND_DEFAULTS] = KIND("defaults", "numbers for want of better ones: tariffs, embodied carbon, staff", sp_default, 1, fallback, sp_default_rows),
    [SP_KIND_MODELS] = KIND("models", "models: configuration, published parameters", sp_model_fact, 1, model, sp_model_rows),
};
