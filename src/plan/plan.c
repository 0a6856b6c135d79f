/* plan/plan.c - time from rates, memory from the layout.
 *
 * A row's time is its work over its measured rate, in arithmetic where it has a
 * rate for arithmetic, else in bytes.  The spread around a measured rate is that of
 * other shapes than the measured one; without a measurement it is a guess.
 * SPDX-License-Identifier: Apache-2.0 */
#include "plan.h"

#include <math.h>

/* Assumed, a thread: what a processor of the last ten years does with portable code. */
static const double FLOPS_ASSUMED = 2e9, BYTES_ASSUMED = 4e9;
static const double LOW_MEASURED = 0.85, HIGH_MEASURED = 1.25, LOW_ASSUMED = 0.1, HIGH_ASSUMED = 3;
/* Whole runs lose this much beside their steps: batches, looks at held-out text, checkpoints. */
static const double RUN_LIKELY = 1.02, RUN_HIGH = 1.15;

static void ask_for(struct sp_plan_questions *q, const struct sp_kernel_row *row)
{
    for (int i = 0; q && i < q->n; i++)
        if (q->row[i] == row)
            return;
    if (q && q->n < SP_PLAN_QUESTIONS_MAX)
        q->row[q->n++] = row;
}

/* The fastest that any row was seen to move memory; 0: nobody looked. */
static double bandwidth(const struct sp_rates *rates)
{
    double best = 0;
    for (int i = 0; i < rates->n; i++)
        best = fmax(best, rates->at[i].bytes_per_s);
    return best;
}

static struct sp_figure row_seconds(const struct sp_row_count *c, const struct sp_rates *rates, int threads, struct sp_plan_questions *q)
{
    const struct sp_rate *r = sp_rates_find(rates, c->row->name);
    double s = 0, moves = bandwidth(rates);
    if (r && r->flops_per_s > 0) /* few rows times a matrix wait for the matrix */
        s = fmax(c->flops / r->flops_per_s, moves > 0 ? c->bytes / moves : 0);
    else if (r && r->bytes_per_s > 0)
        s = c->bytes / r->bytes_per_s;
    if (r && (r->flops_per_s > 0 || r->bytes_per_s > 0))
        return sp_range(LOW_MEASURED * s, s, HIGH_MEASURED * s, SP_HOW_MODEL);
    ask_for(q, c->row);
    s = fmax(c->flops / (FLOPS_ASSUMED * threads), c->bytes / (BYTES_ASSUMED * threads));
    return sp_range(LOW_ASSUMED * s, s, HIGH_ASSUMED * s, SP_HOW_ASSUMED);
}

struct sp_figure sp_plan_program(const struct sp_program *p, const struct sp_rates *rates, int threads, struct sp_plan_questions *questions)
{
    struct sp_row_count row[SP_PLAN_QUESTIONS_MAX];
    struct sp_figure sum = { 0 };
    int n = sp_program_rows(p, row, SP_PLAN_QUESTIONS_MAX);
    for (int i = 0; i < n; i++)
        if (row[i].row)
            sum = sp_figure_add(sum, row_seconds(&row[i], rates, threads, questions));
    return sum;
}

static void plan_memory(const struct sp_plan_ask *a, struct sp_cost *out)
{
    int64_t bytes[SP_MEM_KINDS];
    double sum = a->data_bytes + a->process_bytes;
    sp_job_memory(a->job, a->machine->threads, bytes);
    for (int i = 0; i < SP_MEM_KINDS; i++) {
        sum += (double)bytes[i];
        out->memory[i] = sp_exact((double)bytes[i], SP_HOW_MODEL);
    }
    out->memory[SP_MEM_DATA] = sp_exact(a->data_bytes, SP_HOW_MODEL);
    out->memory[SP_MEM_PROGRAM].low += a->process_bytes;
    out->memory[SP_MEM_PROGRAM].likely += a->process_bytes;
    out->memory[SP_MEM_PROGRAM].high += a->process_bytes;
    out->memory_peak = sp_range(0.97 * sum, sum, 1.05 * sum + 8e6, SP_HOW_MODEL);
}

static double all_flops(const struct sp_count *c)
{
    return c->flops_matmul + c->flops_attention + c->flops_other;
}

void sp_plan_job(const struct sp_plan_ask *a, struct sp_cost *out, struct sp_plan_questions *questions)
{
    struct sp_cost c = { 0 };
    int threads = a->machine->threads > 0 ? a->machine->threads : 1;
    double flops = 0;
    for (int i = 0; i < SP_RUNS; i++) {
        if (!a->job->has[i] || !(a->runs[i] > 0))
            continue;
        c.time_s = sp_figure_add(c.time_s, sp_figure_scale(sp_plan_program(&a->job->program[i], a->rates, threads, questions), a->runs[i]));
        flops += a->runs[i] * all_flops(&a->job->program[i].count);
    }
    if (a->link_bytes_per_s > 0) {
        double s = a->runs[SP_RUN_UPDATE] * sp_job_exchanged(a->job) / a->link_bytes_per_s;
        c.time_s = sp_figure_add(c.time_s, sp_range(LOW_MEASURED * s, s, HIGH_MEASURED * s, SP_HOW_MODEL));
    }
    c.time_s = sp_range(c.time_s.low, RUN_LIKELY * c.time_s.likely, RUN_HIGH * c.time_s.high, c.time_s.how);
    if (a->limit_s > 0 && c.time_s.likely > a->limit_s) {
        flops *= a->limit_s / c.time_s.likely;
        c.time_s = sp_range(a->limit_s, RUN_LIKELY * a->limit_s, RUN_HIGH * a->limit_s, SP_HOW_MODEL);
    }
    int ranks = a->job->train.adamw.ranks > 1 ? a->job->train.adamw.ranks : 1, all = threads * ranks;
    c.cpu_s = sp_range(0.4 * all * c.time_s.low, 0.95 * all * c.time_s.likely, all * c.time_s.high, c.time_s.how);
    c.flops = sp_exact(flops * ranks, SP_HOW_COUNTER);
    c.parameters = sp_exact((double)a->job->parameters, SP_HOW_COUNTER);
    plan_memory(a, &c);
    sp_cost_price(&c, a->machine);
    *out = c;
}
