/* plan/memory.h - what a job holds in memory, a device and on the host: counted
 * over the model's own graph, with what the software adds taken from its row in
 * a table (a stack).  Part of the door of plan.
 *
 * Nothing here knows an architecture: the forward graph that sp_model_build
 * writes for the job's batch and context is walked once, and for every op the
 * stack's table says which of its inputs and outputs wait for the backward pass,
 * and in how many bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_MEMORY_H
#define SP_PLAN_MEMORY_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "ask.h"

/* Bytes of a device at the moment when it holds most. */
enum sp_holding { SP_HOLD_WEIGHTS, SP_HOLD_GRADIENTS, SP_HOLD_OPTIMIZER /* and master weights */, SP_HOLD_ACTIVATIONS, SP_HOLD_LOGITS /* and the loss */,
                  SP_HOLD_CACHE, SP_HOLD_TEMPORARY /* a dequantised or gathered layer, communication */, SP_HOLD_OVERHEAD /* context, allocator */, SP_HOLDINGS };
extern const char *const sp_holding_names[SP_HOLDINGS];    /* "weights", ... */

struct sp_memory_plan {
    struct sp_figure hold[SP_HOLDINGS];
    struct sp_figure device, host; /* all of a device: the sum; on the host for this device (offloaded, paged) */
    double device_bytes;           /* that a device has; 0: not known */
    bool fits;                     /* device.high <= device_bytes; false when that is not known */
    double trained;                /* parameters that are trained, of the whole model */
    double parameters;             /* on this device */
    struct sp_figure allocated;    /* device without what a process takes before it begins: what a framework reports of itself */
    struct sp_sharding cut;        /* as it was planned */
    const char *stack;             /* the row that was used */
};
/* Of the device that holds most.  a: completed by sp_ask_finish. */
enum sp_status sp_plan_memory(const struct sp_ask *a, struct sp_memory_plan *out, struct sp_explain *explain, struct sp_err *err);
/* The least number of such devices that holds the job, of 1, 2, 3, 4, 6, 8, 12, 16, 24, ...; cut in the way that leaves
 * most room: weights shared among copies (ZeRO stage 3), or up to eight devices a layer and a pipeline of those, whatever
 * a->cut says; when served each layer, or layers in a row, as the software does.  out (may be NULL) has the cut.  SP_LIMIT: no number does. */
enum sp_status sp_plan_devices(const struct sp_ask *a, int64_t *devices, struct sp_memory_plan *out, struct sp_err *err);
#endif
