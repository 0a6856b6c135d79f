/* plan/energy.h - what devices draw while they work, and what the house around
 * them adds.  Part of the door of plan.
 *
 * Watts are a share of the device's rated power that was measured under such a
 * load, then host and network, then the building.  Hours times rated power is only
 * taken where nobody has measured such a load, and then it is said.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_ENERGY_H
#define SP_PLAN_ENERGY_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "ask.h"

enum sp_load { SP_LOAD_TRAINING /* of language models */, SP_LOAD_SMALL /* training of small networks */, SP_LOAD_DECODE /* answers, a token at a time */,
               SP_LOAD_PREFILL /* reading of prompts */, SP_LOAD_IDLE, SP_LOADS };
extern const char *const sp_load_names[SP_LOADS];

struct sp_energy_plan {
    struct sp_figure device_w;     /* one device under this load */
    struct sp_figure host_w;       /* processors, memory, fans, supplies of the host: this device's part */
    struct sp_figure network_w;    /* between nodes: this device's part; 0 within one node */
    struct sp_figure pue;          /* the building's factor */
    struct sp_figure device_kwh;   /* of the devices alone, before the building */
    struct sp_figure kwh;          /* of all, with the building */
    bool rated;                    /* nothing but the rated power is known: device_w is that */
    const char *load, *source;     /* name of the load; where its share was measured */
};
/* Watts of a machine with a->machine.device.count devices (at least one) under a load; kwh: of so many device-hours in
 * all.  a is read for the machine (device, pue) and, for SP_LOAD_DECODE, for model, bits and cut.  SP_USAGE: a
 * processor (sp_cost_price has its model), or a device whose rated power nobody knows. */
enum sp_status sp_plan_energy(const struct sp_ask *a, enum sp_load load, struct sp_figure device_hours, struct sp_energy_plan *out,
                              struct sp_explain *explain, struct sp_err *err);
/* Joules of a processor elsewhere that works so long: nothing but its rated power is known (device.tdp_w; 0: nothing). */
struct sp_figure sp_energy_of_processor(const struct sp_machine *m, struct sp_figure time_s, struct sp_explain *explain);
#endif
