/* plan/hours.h - how long training takes on devices, and whether a claim about a
 * run can be true.  Part of the door of plan.
 *
 * A step is counted from the model's own graph (forward, backward, what is computed
 * again, attention with the job's context), and takes the time of its arithmetic at
 * the device's peak for the precision, of its memory traffic, of what devices tell
 * each other, and of waiting in a pipeline.  Real runs need longer: that share is
 * learned from published runs (efficiency.c) and has a distribution.  The efficiency
 * of a step (how busy devices are while all goes well) and that of a whole run
 * (restarts, evaluation, ramp-up) are two figures.
 *
 * A processor of this machine is not planned here: sp_plan_here has measured rates.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_TIME_H
#define SP_PLAN_TIME_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "ask.h"

/* Where the time of an update goes, seconds at the rates of data sheets. */
enum sp_time_part { SP_TIME_ARITHMETIC, SP_TIME_MEMORY /* beside arithmetic */, SP_TIME_UPDATE /* optimizer */, SP_TIME_DATA /* gradients, ZeRO */,
                    SP_TIME_TENSOR, SP_TIME_PIPELINE /* links and waiting */, SP_TIME_PARTS };
extern const char *const sp_time_part_names[SP_TIME_PARTS];  /* "arithmetic", ... */

struct sp_time_plan {
    double flops_token;            /* counted, training: forward and backward, without what is computed again */
    double flops_token_6n;         /* 6 a parameter that a token meets, for comparison */
    double flops_again;            /* share of arithmetic on top that is computed again: 0.33 with full recomputation */
    double flops;                  /* of the whole run, without what is computed again */
    double tokens, tokens_step, steps; /* of the run, all epochs; of an update, all devices; updates */
    double part_s[SP_TIME_PARTS];  /* of an update */
    enum sp_time_part bound;       /* the largest of them */
    struct sp_figure step_efficiency; /* model FLOPs of a steady step over the devices' peak ("MFU"), 0..1 */
    struct sp_figure run_share;    /* of the hours of a run in which steps advance it, 0..1 */
    struct sp_figure efficiency;   /* of the whole run: model FLOPs over peak x hours */
    struct sp_figure step_s, run_s, device_hours, tokens_s; /* tokens_s: all devices, in a steady step */
    double peak_flops;             /* of one device at the precision */
    int rows;                      /* published runs that the efficiency is learned from */
};
/* a: completed by sp_ask_finish, machine.device.count >= 1.  SP_USAGE: no tokens, a device whose peak is not known, a
 * processor.  Cut as a->cut says; where the job is one of bare numbers its shape is a typical one. */
enum sp_status sp_plan_time(const struct sp_ask *a, struct sp_time_plan *out, struct sp_explain *explain, struct sp_err *err);
/* The least number of such devices that is likely to be done in so many seconds, copies added to a's cut; out (may be
 * NULL) is the plan on them.  SP_LIMIT: no number does. */
enum sp_status sp_plan_deadline(const struct sp_ask *a, double deadline_s, int64_t *devices, struct sp_time_plan *out, struct sp_err *err);

/* ---- is that possible? ---- */
enum sp_claim_kind { SP_CLAIM_DEVICE_HOURS, SP_CLAIM_DAYS, SP_CLAIM_KWH, SP_CLAIM_MONEY };
struct sp_claim { enum sp_claim_kind kind; double value; };  /* money: in the machine's currency */
enum sp_verdict { SP_VERDICT_IMPOSSIBLE, SP_VERDICT_DOUBTFUL, SP_VERDICT_PLAUSIBLE, SP_VERDICT_WASTEFUL /* possible, but slow or hungry */ };
extern const char *const sp_verdict_names[];       /* "impossible", ...; NULL-terminated */
struct sp_claim_verdict {
    enum sp_verdict verdict;
    double utilisation;            /* implied: model FLOPs over peak x hours; NAN: not implied */
    double watts;                  /* a device, implied; NAN: not implied */
    double device_hours;           /* claimed or implied; NAN */
    struct sp_figure expected;     /* of what is claimed, in the claim's unit */
    char sentence[320];            /* the verdict in words, with figures */
};
/* "gpu-hours=184320" (or device-hours, chip-hours), "days=21", "kwh=2.6M", "mwh=433", "cost=20" (or money). */
enum sp_status sp_claim_parse(const char *text, struct sp_claim *out, struct sp_err *err);
enum sp_status sp_plan_claim(const struct sp_ask *a, const struct sp_claim *claim, struct sp_claim_verdict *out, struct sp_explain *explain, struct sp_err *err);
#endif
