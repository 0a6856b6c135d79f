/* plan/plan.h - what a job will cost, from the programs that will be run.  [door of plan]
 *
 * Nothing is run here.  Time is work over rate for every kernel row of every
 * program; rates are handed in, and rows without one are returned as questions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_H
#define SP_PLAN_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../step/step.h"

/* How often each program of a job runs, and what else takes memory. */
struct sp_plan_ask {
    const struct sp_job *job;
    const struct sp_machine *machine;
    const struct sp_rates *rates;
    double runs[SP_RUNS];
    double data_bytes, process_bytes;  /* tokens and text held; what the process takes before it begins */
    double limit_s;                    /* 0, or the time after which training ends by itself            */
    double link_bytes_per_s;           /* between ranks, of a job that is one rank's; 0: takes no time  */
};
enum { SP_PLAN_QUESTIONS_MAX = 64 };
struct sp_plan_questions { int n; const struct sp_kernel_row *row[SP_PLAN_QUESTIONS_MAX]; };

/* time_s, cpu_s, flops, parameters, memory by kind and peak, and what sp_cost_price makes of them.  Of a job that is
 * one rank's: time and memory of this rank, all else of all ranks. */
void sp_plan_job(const struct sp_plan_ask *ask, struct sp_cost *out, struct sp_plan_questions *questions);
/* Seconds of one run of a program at these rates; rows without a rate count at the assumed ones. */
struct sp_figure sp_plan_program(const struct sp_program *p, const struct sp_rates *rates, int threads, struct sp_plan_questions *questions);
#endif
