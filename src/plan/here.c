/* plan/here.c - a question about this machine: the job that `train` or `run` would
 * build, counted with measured rates.
 * SPDX-License-Identifier: Apache-2.0 */
#include "here.h"

#include <math.h>

/* What the process has before the job: program, libraries, tokenizer; as a small training run has it. */
static const double PROCESS_BYTES = 12e6;
enum { PREFILL_CHUNK = 64 };

static enum sp_format format_of(int precision)
{
    return precision == SP_PRECISION_F32 ? SP_F32 : SP_BF16;
}

static enum sp_status can(const struct sp_ask *a, struct sp_err *err)
{
    if (a->task != SP_TASK_SERVE && a->method != SP_METHOD_FULL) {
        sp_fail(err, SP_UNSUPPORTED, "sparsam doesn't train with %s itself yet", sp_method_names[a->method]);
        return sp_remedy(err, "name an accelerator with --on, or take --method full");
    }
    if (a->task != SP_TASK_SERVE && a->optimizer != SP_OPTIMIZER_ADAMW) {
        sp_fail(err, SP_UNSUPPORTED, "sparsam itself trains with adamw, not %s", sp_optimizer_names[a->optimizer]);
        return sp_remedy(err, "name an accelerator with --on, or take --optimizer adamw");
    }
    return SP_OK;
}

static enum sp_status train(const struct sp_ask *a, struct sp_job *job, struct sp_plan_ask *p, struct sp_explain *x, struct sp_err *err)
{
    struct sp_model_config c = a->model;
    c.context = c.context < a->context ? a->context : c.context;
    struct sp_train_shape t = { .batch = a->batch, .tokens = a->context, .compute = format_of(a->precision), .dropout = a->dropout,
                                .recompute = (enum sp_recompute)a->recompute, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
    TRY(sp_step_train(&c, &t, &a->machine, NULL, NULL, job, err));
    double update = (double)(a->batch * a->accumulate * a->context), steps = fmax(1, ceil(a->tokens * a->epochs / update));
    p->runs[SP_RUN_MICRO] = steps * (double)a->accumulate;
    p->runs[SP_RUN_UPDATE] = steps;
    p->data_bytes = 4 * a->tokens;
    const struct sp_count *m = &job->program[SP_RUN_MICRO].count;
    sp_explain(x, "updates = tokens x epochs / (batch x accumulate x context) = %.6g x %g / (%lld x %lld x %lld) = %.6g", a->tokens, a->epochs,
               (long long)a->batch, (long long)a->accumulate, (long long)a->context, steps);
    sp_explain(x, "a micro-step, counted from the graph: %.6g FLOP in products + %.6g in attention + %.6g elsewhere", m->flops_matmul, m->flops_attention,
               m->flops_other);
    return SP_OK;
}

static enum sp_status serve(const struct sp_ask *a, struct sp_job *job, struct sp_plan_ask *p, struct sp_explain *x, struct sp_err *err)
{
    int64_t chunk = a->prompt < PREFILL_CHUNK ? a->prompt : PREFILL_CHUNK;
    struct sp_model_config c = a->model;
    c.context = c.context < a->context ? a->context : c.context;
    struct sp_serve_shape s = { .batch = a->users, .prefill = chunk, .cache = a->context, .compute = format_of(a->precision),
                                .stored = format_of(a->precision), .cached = format_of(a->precision) };
    TRY(sp_step_serve(&c, &s, &a->machine, NULL, NULL, job, err));
    p->runs[SP_RUN_LOAD] = 1;
    p->runs[SP_RUN_PREFILL] = ceil((double)a->prompt / (double)chunk);
    p->runs[SP_RUN_DECODE] = (double)a->generate;
    sp_explain(x, "an answer: %g runs of prefill over %lld positions, %g of decode", p->runs[SP_RUN_PREFILL], (long long)chunk, p->runs[SP_RUN_DECODE]);
    return SP_OK;
}

enum sp_status sp_plan_here(const struct sp_ask *a, const struct sp_rates *rates, struct sp_cost *out, struct sp_plan_questions *questions,
                            struct sp_explain *explain, struct sp_err *err)
{
    struct sp_job job;
    struct sp_plan_ask p = { .job = &job, .machine = &a->machine, .rates = rates, .process_bytes = PROCESS_BYTES };
    struct sp_plan_questions asked = { 0 };
    TRY(can(a, err));
    TRY(a->task == SP_TASK_SERVE ? serve(a, &job, &p, explain, err) : train(a, &job, &p, explain, err));
    sp_plan_job(&p, out, &asked);
    sp_explain(explain, "time = sum over kernel rows of work / rate; %s", asked.n ? "some rates are assumed" : "all rates were measured on this machine");
    if (questions)
        *questions = asked;
    sp_job_clear(&job);
    return SP_OK;
}
