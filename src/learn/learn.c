/* learn/learn.c - the training loop.
 *
 * One step: every micro-batch's gradient is added into the state, the loss is
 * looked at, then the update program clips and applies.
 *
 * Of several ranks each runs this loop; what they decide by (losses, the clock, a
 * signal to stop) is made the same on all before it is looked at.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "inner.h"

enum { DIVERGED_AFTER = 25 };       /* steps in a row above the first loss by the factor */
static const double DIVERGED_FACTOR = 2.0, RATE_SMOOTHING = 0.1;

struct loop {
    const struct sp_learn *l;
    struct sp_learned *out;
    int64_t b, t, micros, steps;    /* b: this rank's rows; steps 0: limited by time alone */
    int64_t tokens;                 /* of an update, all ranks         */
    double began, before;           /* before: seconds of earlier processes */
    double elapsed;                 /* at the last look, on all ranks  */
    bool stop;                      /* a signal came, to any rank      */
    int64_t high;                   /* steps in a row above the range  */
    int64_t saved;                  /* step of the last checkpoint; 0: none */
    struct ranks ranks;
};

/* The clock of the first rank, and whether anybody was told to stop. */
static enum sp_status look(struct loop *k, struct sp_err *err)
{
    double v[2] = { sp_link_rank(k->l->link) ? 0 : k->before + sp_now() - k->began, sp_signal_pending() };
    TRY(sp_link_sum(k->l->link, v, 2, err));
    k->elapsed = v[0];
    k->stop = v[1] > 0;
    return SP_OK;
}

static double progress(const struct loop *k, int64_t step)
{
    double by_steps = k->steps > 0 ? (double)(step - 1) / (double)k->steps : 0;
    double by_time = k->l->how->minutes > 0 ? k->elapsed / (60 * k->l->how->minutes) : 0;
    return by_steps > by_time ? by_steps : by_time;
}

static bool finished(const struct loop *k, int64_t done)
{
    return (k->steps > 0 && done >= k->steps) || (k->l->how->minutes > 0 && k->elapsed >= 60 * k->l->how->minutes);
}

static double batch(const struct loop *k, int64_t step, int64_t micro)
{
    struct sp_live *v = k->l->live;
    float *w = sp_live_at(v, SP_RUN_MICRO, "weights");
    double sum = 0;
    sp_batch_fill(k->l->train, (uint64_t)k->l->how->seed, step, micro, v->job->train.first, k->b, k->t,
                  sp_live_at(v, SP_RUN_MICRO, "ids"), sp_live_at(v, SP_RUN_MICRO, "targets"), w);
    for (int64_t i = 0; i < k->b * k->t; i++)
        sum += (double)w[i];
    return sum;
}

static void micro_step(const struct loop *k, int64_t step, int64_t micro, double by)
{
    struct sp_live *v = k->l->live;
    float *w = sp_live_at(v, SP_RUN_MICRO, "weights");
    int32_t *counter = sp_live_at(v, SP_RUN_MICRO, "dropout_counter");
    for (int64_t i = 0; i < k->b * k->t; i++)
        w[i] *= (float)by;
    if (counter) /* no two ranks draw the same numbers */
        *counter = (int32_t)((step * k->micros + micro) * sp_link_ranks(k->l->link) + sp_link_rank(k->l->link));
    sp_live_run(v, SP_RUN_MICRO);
}

/* The loss of the update: the mean over all tokens of all its micro-batches, of all ranks. */
static enum sp_status micro_steps(const struct loop *k, int64_t step, double *loss, struct sp_err *err)
{
    double all = 0, sum = 0;
    bool ahead = k->micros > 1 || k->l->link; /* the batch alone doesn't tell how many tokens there are */
    for (int64_t m = 0; ahead && m < k->micros; m++)
        all += batch(k, step, m);
    TRY(sp_link_sum(k->l->link, &all, 1, err));
    for (int64_t m = 0; m < k->micros; m++) {
        double own = batch(k, step, m);
        micro_step(k, step, m, 1 / (ahead ? all : own > 0 ? own : 1));
        sum += (double)*(const float *)sp_live_at(k->l->live, SP_RUN_MICRO, "loss");
    }
    TRY(sp_link_sum(k->l->link, &sum, 1, err));
    *loss = sum;
    return SP_OK;
}

static enum sp_status update(struct loop *k, int64_t step, double lr, double *norm, struct sp_err *err)
{
    struct sp_live *v = k->l->live;
    TRY(ranks_reduce(&k->ranks, err));
    *(float *)sp_live_at(v, SP_RUN_UPDATE, "lr") = (float)lr;
    *(float *)sp_live_at(v, SP_RUN_UPDATE, "max_norm") = (float)k->l->how->clip;
    *(int32_t *)sp_live_at(v, SP_RUN_UPDATE, "step") = (int32_t)step;
    sp_live_run(v, SP_RUN_UPDATE);
    *norm = (double)*(const float *)sp_live_at(v, SP_RUN_UPDATE, "clip:1");
    TRY(ranks_spread(&k->ranks, err));
    if (v->job->has[SP_RUN_REFRESH])
        sp_live_run(v, SP_RUN_REFRESH);
    return SP_OK;
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
    if (sp_link_rank(l->link))
        return SP_OK;
    enum sp_status st = sp_judge_tokens(l->live, l->valid, l->how->eval_batches * l->live->job->train.batch_all, NULL, &k->out->valid, err);
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
    TRY(sp_checkpoint_save(l->how->out, l->live, l->link, step, k->elapsed, err));
    k->saved = step;
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_CHECKPOINT, .phase = "train", .done = step, .text = l->how->out });
    return SP_OK;
}

static enum sp_status one_step(struct loop *k, int64_t step, struct sp_err *err)
{
    struct sp_learned *out = k->out;
    double began = sp_now(), lr = sp_learn_rate(k->l->how, step, progress(k, step)), loss = 0, norm = 0;
    TRY(micro_steps(k, step, &loss, err));
    TRY(check_loss(k, step, loss, err));
    TRY(update(k, step, lr, &norm, err));
    if (!isfinite(norm))
        return diverged(k, step, "the gradient's norm", norm, err);
    double now = (double)k->tokens / (sp_now() - began);
    TRY(look(k, err));
    out->tokens_per_s = out->tokens_per_s > 0 ? out->tokens_per_s + RATE_SMOOTHING * (now - out->tokens_per_s) : now;
    out->loss = loss;
    out->steps = step;
    out->tokens += k->tokens;
    int64_t total = k->steps > 0 ? k->steps : (int64_t)((double)step / fmax(progress(k, step + 1), 1e-9));
    sp_tell(k->l->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "train", .done = step, .total = total, .loss = loss, .lr = lr,
                                             .grad_norm = norm, .tokens = k->tokens, .tokens_per_s = out->tokens_per_s });
    return SP_OK;
}

static enum sp_status run(struct loop *k, struct sp_err *err)
{
    const struct sp_recipe_train *how = k->l->how;
    for (int64_t step = k->out->steps + 1; !finished(k, step - 1); step++) {
        TRY(one_step(k, step, err));
        if (k->l->valid && how->eval_every > 0 && step % how->eval_every == 0 && !finished(k, step))
            TRY(sp_link_agree(k->l->link, evaluate(k, step, err), err));
        TRY(look(k, err));
        if (k->stop) {
            k->out->interrupted = true;
            return save(k, step, err);
        }
        if (how->checkpoint_every > 0 && step % how->checkpoint_every == 0 && !finished(k, step))
            TRY(save(k, step, err));
    }
    return save(k, k->out->steps, err);
}

static enum sp_status resume(struct loop *k, struct sp_err *err)
{
    const struct sp_recipe_train *how = k->l->how;
    if (!how->resume || !how->out)
        return SP_OK;
    enum sp_status st = sp_checkpoint_load(how->out, k->l->live, k->l->link, &k->out->begun_at, &k->before, err);
    if (st == SP_MISSING) {
        *err = (struct sp_err){ 0 };
        return SP_OK;
    }
    TRY(st);
    k->out->steps = k->saved = k->out->begun_at;
    return SP_OK;
}

static enum sp_status begin(struct loop *k, struct sp_err *err)
{
    struct sp_live *v = k->l->live;
    TRY(sp_link_agree(k->l->link, ranks_open(&k->ranks, k->l->link, v, err), err));
    TRY(ranks_check(&k->ranks, k->l, err));
    TRY(resume(k, err));
    TRY(ranks_begin(&k->ranks, err));
    if (v->job->has[SP_RUN_REFRESH])
        sp_live_run(v, SP_RUN_REFRESH);
    k->began = sp_now();
    return look(k, err);
}

/* A rank that is lost takes its part of the moments along: what is left is the last checkpoint. */
static void say_what_is_left(const struct loop *k, struct sp_err *err)
{
    const char *out = k->l->how->out;
    if (k->saved)
        sp_remedy(err, "the same command goes on from the checkpoint of step %lld in %s, with any number of ranks", (long long)k->saved, out);
    else
        sp_remedy(err, "no checkpoint was written yet, so the same command begins anew; --checkpoint-every sets how often");
}

static enum sp_status train(struct loop *k, struct sp_err *err)
{
    const struct sp_learn *l = k->l;
    TRY(begin(k, err));
    k->out->complete = finished(k, k->out->steps);
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_BEGIN, .phase = "train" });
    enum sp_status st = k->out->complete ? SP_OK : run(k, err);
    k->out->seconds = sp_now() - k->began;
    sp_tell(l->watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_END, .phase = "train" });
    if (!st && l->how->out && !k->out->interrupted && !sp_link_rank(l->link))
        st = sp_model_save(l->how->out, &l->live->job->config, &l->live->job->state, l->live->state.at, SP_F32, l->tokenizer, 0, err);
    return sp_link_agree(l->link, st, err);
}

enum sp_status sp_learn_run(const struct sp_learn *l, struct sp_learned *out, struct sp_err *err)
{
    struct sp_learned made = { 0 };
    const struct sp_train_shape *shape = &l->live->job->train;
    struct loop k = { .l = l, .out = &made, .b = shape->batch, .t = shape->tokens, .micros = l->how->accumulate > 0 ? l->how->accumulate : 1 };
    k.tokens = shape->batch_all * k.t * k.micros;
    k.steps = sp_learn_steps(l->how, k.tokens);
    if (k.steps <= 0 && !(l->how->minutes > 0))
        return sp_fail(err, SP_USAGE, "nothing says how long to train: give --steps, --tokens-total or --minutes");
    if (l->train->n < 2)
        return sp_fail(err, SP_USAGE, "the training text has fewer than two tokens");
    enum sp_status st = train(&k, err);
    ranks_close(&k.ranks);
    if (st && sp_link_broken(l->link))
        say_what_is_left(&k, err);
    if (st)
        return st;
    *out = made;
    return SP_OK;
}
