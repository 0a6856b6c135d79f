/* cost/cost.h - what things cost, predicted and measured in one type, and the
 * machine they cost it on.  [door of cost]
 *
 * Every figure is a range with how it is known.  Predicted and measured can be
 * subtracted because they are the same type.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_COST_H
#define SP_COST_H
#include <jansson.h>
#include "../base/base.h"

/* Strongest first; a sum is known as well as its weakest part. */
enum sp_how { SP_HOW_METER, SP_HOW_COUNTER, SP_HOW_MODEL, SP_HOW_CATALOGUE, SP_HOW_ASSUMED, SP_HOW_UNKNOWN };
struct sp_figure { double low, likely, high; enum sp_how how; };

/* Memory by kind; peak is not their sum where lifetimes differ. */
enum sp_memory { SP_MEM_WEIGHTS, SP_MEM_GRADIENTS, SP_MEM_OPTIMIZER, SP_MEM_ACTIVATIONS, SP_MEM_CACHE,
                 SP_MEM_PACKED, SP_MEM_DATA, SP_MEM_PROGRAM, SP_MEM_KINDS };
extern const char *const sp_memory_names[SP_MEM_KINDS];

struct sp_cost {
    struct sp_figure time_s, energy_j, co2e_g, co2e_embodied_g, money, water_l, flops, parameters,
                     device_hours, memory[SP_MEM_KINDS], memory_peak, cpu_s;
    char currency[4];
};
/* Rows naming every figure of a cost: JSON key, unit, offset; table and report read the same rows. */
struct sp_cost_row { const char *key, *label; size_t at; const char *(*show)(double v, char *buf, size_t cap); };
extern const struct sp_cost_row sp_cost_rows[];   /* ends with key NULL; memory kinds not included */

struct sp_figure sp_exact(double v, enum sp_how how);
struct sp_figure sp_range(double low, double likely, double high, enum sp_how how);
struct sp_figure sp_figure_add(struct sp_figure a, struct sp_figure b);
struct sp_figure sp_figure_sub(struct sp_figure a, struct sp_figure b);   /* widens */
struct sp_figure sp_figure_mul(struct sp_figure a, struct sp_figure b);
struct sp_figure sp_figure_scale(struct sp_figure a, double by);
void sp_cost_add(struct sp_cost *to, const struct sp_cost *more);         /* peaks: the larger */
const char *sp_how_name(enum sp_how how);
bool sp_how_parse(const char *name, enum sp_how *out);
json_t *sp_figure_json(const struct sp_figure *f);
json_t *sp_cost_json(const struct sp_cost *c);                            /* docs/json.md; new reference or NULL */
enum sp_status sp_cost_from_json(struct sp_cost *out, const json_t *j, struct sp_err *err);

/* What a machine can do.  Feature bits decide kernel rows; never the vendor. */
enum { SP_CPU_AVX2 = 1 << 0, SP_CPU_FMA = 1 << 1, SP_CPU_F16C = 1 << 2, SP_CPU_AVX512 = 1 << 3 /* F BW DQ VL */,
       SP_CPU_AVX512_VNNI = 1 << 4, SP_CPU_AVX512_BF16 = 1 << 5, SP_CPU_NEON = 1 << 6, SP_CPU_NEON_DOT = 1 << 7,
       SP_CPU_AMX = 1 << 8, SP_CPU_DNNL = 1 << 9 /* oneDNN present and wanted */ };
/* Accelerators of a machine (count 0: its processors compute).  Peaks of one device, without sparsity; 0: unknown. */
struct sp_device {
    char name[64]; int count, per_node, year;
    double memory_bytes, bytes_per_s;                     /* memory and its bandwidth                              */
    double flops_f32, flops_tf32, flops_16, flops_8, ops_8; /* 16: bf16 or f16 with matrix units; ops_8: int8      */
    double link_bytes_per_s, net_bytes_per_s;             /* to the other devices of a node; between nodes, a device */
    double tdp_w, host_w;                                 /* of one; and the host's power a device beside it         */
    char source[160];
};
struct sp_machine {
    char name[96], cpu[96];
    uint32_t features;
    int cores, threads;            /* threads we use */
    uint64_t memory_bytes, cache_bytes;
    double idle_w, watts_thread, tdp_w; /* model of power; 0 unknown */
    enum sp_how power_how;
    char power_source[128];
    char zone[16]; double co2e_g_per_kwh; enum sp_how co2e_how; char co2e_source[128]; /* how: ASSUMED widens the figure */
    double price_per_kwh, price_per_hour; enum sp_how price_how; char currency[4];
    double embodied_g_per_hour, pue;
    struct sp_device device;       /* all else is of the host; price_per_hour of host and devices together */
};
uint32_t sp_cpu_features(void);    /* this processor; SPARSAM_CPU=portable|avx2|avx512|…,-dnnl masks */
void sp_machine_portable(struct sp_machine *m); /* features 0: what printed C runs on */

/* Measured or assumed rates, by kernel row name ("gemm_f32.avx2"): work per second on all threads. */
struct sp_rate { char row[48]; double flops_per_s, bytes_per_s; enum sp_how how; };
enum { SP_RATES_MAX = 256 };
struct sp_rates { int n; struct sp_rate at[SP_RATES_MAX]; };
const struct sp_rate *sp_rates_find(const struct sp_rates *r, const char *row);
void sp_rates_put(struct sp_rates *r, const struct sp_rate *rate);

/* What the building takes for it; with a PUE other than 1 the figure is known as well as that: assumed. */
struct sp_figure sp_with_building(struct sp_figure f, const struct sp_machine *m);
/* Completes a cost whose time_s and cpu_s are known: energy by the machine's power model where no counter gave it,
 * then device hours, CO2e, embodied CO2e, money. */
void sp_cost_price(struct sp_cost *c, const struct sp_machine *m);
#endif
