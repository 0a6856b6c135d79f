/* meter/meter.h - what a piece of work took on this machine: wall time, processor
 * time, peak memory, energy; and what the machine is.  [door of meter]
 *
 * Energy is the difference of hardware counters (RAPL, NVML) where they can be
 * read; where they cannot, the power model in struct sp_machine is used and the
 * figure says `model`.  Never a silent constant.
 * Knows no catalogue: the caller completes the machine first (sp_catalog_machine).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_METER_H
#define SP_METER_H
#include "../base/base.h"
#include "../cost/cost.h"

/* What can be read here, and why the rest cannot. */
struct sp_sensor { char name[64], why[160], remedy[160]; bool readable; };
enum { SP_SENSORS_MAX = 24 };
struct sp_sensors { int n; struct sp_sensor at[SP_SENSORS_MAX]; };
void sp_meter_sensors(struct sp_sensors *out);

/* The hardware: name, processor, features, cores, memory and cache (control group limits
 * respected), threads (0: all that may be used).  Power, zone and prices stay 0. */
void sp_meter_probe(struct sp_machine *m, int threads);

/* A meter, for this process and its waited-for children.  The machine is copied.
 * sysfs: "/sys" unless SPARSAM_SYSFS says otherwise (tests bring a tree of their own). */
struct sp_meter;
enum sp_status sp_meter_new(struct sp_meter **out, const struct sp_machine *m, struct sp_err *err);
void sp_meter_free(struct sp_meter *m);
/* Starts measuring.  Resets the peak of memory where the kernel lets us, else the peak is the process's. */
void sp_meter_begin(struct sp_meter *m);
/* From begin on processor time and memory are those of waited-for children alone: what this process does beside is its own. */
void sp_meter_children(struct sp_meter *m);
/* time_s, cpu_s, memory_peak, energy_j, then sp_cost_price.  May be called again: everything since begin. */
void sp_meter_end(struct sp_meter *m, struct sp_cost *out);

/* Processor seconds since begin; and those of other processes that worked on the same, to be counted from here on. */
double sp_meter_cpu(struct sp_meter *m);
void sp_meter_add_cpu(struct sp_meter *m, double seconds);

/* Counters here stand for `machines` alike: their energy counts so often, and is then a model. */
void sp_meter_machines(struct sp_meter *m, int machines);

/* Phases: each call ends the phase before it; NULL ends the last.  At most SP_PHASES_MAX
 * names; the same name again adds to its phase. */
enum { SP_PHASES_MAX = 16 };
void sp_meter_phase(struct sp_meter *m, const char *name);
int sp_meter_phases(const struct sp_meter *m);
const char *sp_meter_phase_at(const struct sp_meter *m, int i, struct sp_cost *out);
json_t *sp_meter_phases_json(const struct sp_meter *m);   /* {"phase": cost, ...}; new reference or NULL */

/* Reads the counters, so that none wraps unseen (RAPL: every few minutes); phases and events do it too. */
void sp_meter_tick(struct sp_meter *m);

/* After sp_meter_end: the share of the energy that the machine would have taken idle
 * (0 when unknown), and in words where the energy figure comes from. */
double sp_meter_idle_share(const struct sp_meter *m);
const char *sp_meter_energy_source(const struct sp_meter *m);

/* A watch that turns SP_EVENT_PHASE_BEGIN / END into phases and passes every event on to `next`. */
struct sp_watch sp_meter_watch(struct sp_meter *m, const struct sp_watch *next);
#endif
