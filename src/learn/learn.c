/* learn/learn.c - the training loop.
 *
 * One step: every micro-batch's gradient is added into the state, the loss is
 * looked at, then the update program clips and applies.
 * SPDX-License-Identifier: Apache-2.0 */
#include "learn.h"

#include <math.h>

enum { DIVERGED_AFTER = 25 };       /* steps in a row above the first loss by the factor */
static const double DIVERGED_FACTOR = 2.0, RATE_SMOOTHING = 0.1;

struct loop {
    const struct sp_learn *l;
    struct sp_learned *out;
    int64_t b, t, micros, steps;    /* steps 0: limited by time alone */
    double began, before;           /* before: seconds of earlier processes */
    int64_t high;                   /* steps in a row above the range  */
};

static double elapsed(const struct loop *k)
{
    return k->before + sp_now() - k->began;
}

static double progress(const struct loop *k, int64_t step)
{
    double by_steps = k->steps > 0 ? (double)(step - 1) / (double)k->steps : 0;
    double by_time = k->l->how->minutes > 0 ? elapsed(k) / (60 * k->l->how->minutes) : 0;
    return by_steps > by_time ? by_steps : by_time;
}

static bool finished(const struct loop *k, int64_t done)
{
    return (k->steps > 0 && done >= k->steps) || (k->l->how->minutes > 0 && elapsed(k) >= 60 * k->l->how->minutes);
}

static double batch(const struct loop *k, int64_t step, int64_t micro)
{
    struct sp_live *v = k->l->live;
    float *w = sp_live_at(v, SP_RUN_MICRO, "weights");
    double sum = 0;
    sp_batch_fill(k->l->train, (uint64_t)k->l->how->seed, step, micro, k->b, k->t, sp_live_at(v, SP_RUN_MICRO, "ids"),
                  sp_live_at(v, SP_RUN_MICRO, "targets"), w);
    for (int64_t i = 0; i < k->b * k->t; i++)
        sum += (double)w[i];
    return sum;
}

/* The loss of the update: the mean over all tokens of all its micro-batches. */
static double micro_steps(const struct loop *k, int64_t step)
{
    struct sp_live *v = k->l->live;
    double all = 0, loss = 0;
    for (int64_t m = 0; k->micros > 1 && m < k->micros; m++)
        all += batch(k, step, m);
    for (int64_t m = 0; m < k->micros; m++) {
        double sum = batch(k, step, m);
        float *w = sp_live_at(v, SP_RUN_MICRO, "weights"), by = (float)(1 / (k->micros > 1 ? all : sum > 0 ? sum : 1));
        int32_t *counter = sp_live_at(v, SP_RUN_MICRO, "dropout_counter");
        for (int64_t i = 0; i < k->b * k->t; i++)
            w[i] *= by;
        if (counter)
            *counter = (int32_t)(step * k->micros + m);
        sp_live_run(v, SP_RUN_MICRO);
        loss += (double)*(const float *)sp_live_at(v, SP_RUN_MICRO, "loss");
    }
    return loss;
}

static double update(const struct loop *k, int64_t step, double lr)
{
    struct sp_live *v = k->l->live;
    *(float *)sp_live_at(v, SP_RUN_UPDATE, "lr") = (float)lr;
    *(float *)sp_live_at(v, SP_RUN_UPDATE, "max_norm") = (float)k->l->how->clip;
    *(int32_t *)sp_live_at(v, SP_RUN_UPDATE, "step") = (int32_t)step;
    sp_live_run(v, SP_RUN_UPDATE);
    double norm = (double)*(const float *)sp_live_at(v, SP_RUN_UPDATE, "clip:1");
    if (v->job->has[SP_RUN_REFRESH])
        sp_live_run(v, SP_RUN_REFRESH);
    return norm;
}

static enum sp_status diverged(const struct loop *k, int64_t step, const char *what, double value, struct sp_err *err)
{
    const char *out = k->l->how->out;
    sp_fail(err, SP_DIVERGED, "step %lld: %s is %g", (long long)step, what, isnan(value) ? fabs(value) : value);
    return sp_remedy(err, "a smaller --lr or a longer --warmup usually helps%s%s", out ? "; the last good checkpoint stays in " : "", out ? out : "");
}

static enum sp_status check_loss(struct loop *k, int64_t step, double loss, struct sp_err *err)
{
    if (!isfinite(loss))
        return diverged(k, step, "the loss", loss, err);
    if (!(k->out->first_loss > 0))
        k->out->first_loss = loss;
    k->high = loss > DIVERGED_FACTOR * k->out->first_loss ? k->high + 1 : 0;
    if (k->high >= DIVERGED_AFTER)
        return diverged(k, step, "the loss has left the range it began in and", loss, err);
    return SP_OK;
}

static enum sp_status evaluate(struct loop *k, int64_t step, struct sp_err *err)
{
    const struct sp_learn *l = k->l;
    enum sp_status st = sp_judge_tokens(l->live, l->valid, l->how->eval_batches * k->b, NULL, &k->out->valid, err);
    if (st == SP_INTERRUPTED) {
        *err = (struct sp_err){ 0 };
        return SP_OK;
    }
    TRY(st);
    if (!(k->out->best_valid > 0) || k->out->valid.loss < k->out->best_valid)
        k->out->best_valid = k->out->valid.loss;
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_QUALITY, .phase = "train", .done = step, .loss = k->out->valid.loss });
    return SP_OK;
}

static enum sp_status save(struct loop *k, int64_t step, struct sp_err *err)
{
    const struct sp_learn *l = k->l;
    if (!l->how->out)
        return SP_OK;
    TRY(sp_checkpoint_save(l->how->out, l->live, step, elapsed(k), err));
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_CHECKPOINT, .phase = "train", .done = step, .text = l->how->out });
    return SP_OK;
}

static enum sp_status one_step(struct loop *k, int64_t step, struct sp_err *err)
{
    struct sp_learned *out = k->out;
    double began = sp_now(), lr = sp_learn_rate(k->l->how, step, progress(k, step)), loss = micro_steps(k, step);
    TRY(check_loss(k, step, loss, err));
    double norm = update(k, step, lr);
    if (!isfinite(norm))
        return diverged(k, step, "the gradient's norm", norm, err);
    double now = (double)(k->b * k->t * k->micros) / (sp_now() - began);
    out->tokens_per_s = out->tokens_per_s > 0 ? out->tokens_per_s + RATE_SMOOTHING * (now - out->tokens_per_s) : now;
    out->loss = loss;
    out->steps = step;
    out->tokens += k->b * k->t * k->micros;
    int64_t total = k->steps > 0 ? k->steps : (int64_t)((double)step / fmax(progress(k, step + 1), 1e-9));
    sp_tell(k->l->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "train", .done = step, .total = total, .loss = loss, .lr = lr,
                                             .grad_norm = norm, .tokens = k->b * k->t * k->micros, .tokens_per_s = out->tokens_per_s });
    return SP_OK;
}

static enum sp_status run(struct loop *k, struct sp_err *err)
{
    const struct sp_recipe_train *how = k->l->how;
    for (int64_t step = k->out->steps + 1; !finished(k, step - 1); step++) {
        TRY(one_step(k, step, err));
        if (k->l->valid && how->eval_every > 0 && step % how->eval_every == 0 && !finished(k, step))
            TRY(evaluate(k, step, err));
        if (sp_signal_pending()) {
            k->out->interrupted = true;
            return save(k, step, err);
        }
        if (how->checkpoint_every > 0 && step % how->checkpoint_every == 0 && !finished(k, step))
            TRY(save(k, step, err));
    }
    return save(k, k->out->steps, err);
}

static enum sp_status begin(struct loop *k, struct sp_err *err)
{
    const struct sp_recipe_train *how = k->l->how;
    if (!how->resume || !how->out)
        return SP_OK;
    enum sp_status st = sp_checkpoint_load(how->out, k->l->live, &k->out->begun_at, &k->before, err);
    if (st == SP_MISSING) {
        *err = (struct sp_err){ 0 };
        return SP_OK;
    }
    TRY(st);
    k->out->steps = k->out->begun_at;
    if (k->l->live->job->has[SP_RUN_REFRESH])
        sp_live_run(k->l->live, SP_RUN_REFRESH);
    return SP_OK;
}

enum sp_status sp_learn_run(const struct sp_learn *l, struct sp_learned *out, struct sp_err *err)
{
    struct sp_learned made = { 0 };
    const struct sp_train_shape *shape = &l->live->job->train;
    struct loop k = { .l = l, .out = &made, .b = shape->batch, .t = shape->tokens, .micros = l->how->accumulate > 0 ? l->how->accumulate : 1,
                      .began = sp_now() };
    k.steps = sp_learn_steps(l->how, k.b * k.t * k.micros);
    if (k.steps <= 0 && !(l->how->minutes > 0))
        return sp_fail(err, SP_USAGE, "nothing says how long to train: give --steps, --tokens-total or --minutes");
    if (l->train->n < 2)
        return sp_fail(err, SP_USAGE, "the training text has fewer than two tokens");
    TRY(begin(&k, err));
    made.complete = finished(&k, made.steps);
    k.began = sp_now();
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_BEGIN, .phase = "train" });
    enum sp_status st = made.complete ? SP_OK : run(&k, err);
    made.seconds = sp_now() - k.began;
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_END, .phase = "train" });
    if (st)
        return st;
    if (l->how->out && !made.interrupted)
        TRY(sp_model_save(l->how->out, &l->live->job->config, &l->live->job->state, l->live->state.at, SP_F32, l->tokenizer, 0, err));
    *out = made;
    return SP_OK;
}
