/* judge/windows.c - a model on windows of text, alone or against another: a number
 * for every scored token.
 *
 * Both sides are brought into log-probabilities of one row in a thread's own memory;
 * what is summed is written down a token each, so no result depends on threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>

static const float FLOOR = -16; /* the convention passes over what the base thinks less likely (ln p) */

/* Where a batch's rows of one side are. */
struct rows { const float *logits; unsigned char *packed; };

struct judging {
    const struct sp_judging *j;
    struct sp_scored out;
    struct rows model, base;
    unsigned char *save;
    float *scratch;                 /* [threads][2][vocab] */
    int64_t batch, vocab, first;    /* first: window of this batch */
    int bad[2];                     /* a row of that side is no distribution */
};

/* ---- a row ---- */

/* Log-probabilities; *top: the first of the most likely tokens.  False when they are none. */
static bool read_row(const struct rows *r, int64_t row, int64_t vocab, float *logp, int64_t *top)
{
    const float *x = r->logits ? r->logits + row * vocab : logp;
    double sum = 0;
    if (!r->logits && !sp_logits_decode(r->packed + row * sp_logits_row_bytes(vocab), vocab, logp))
        return false;
    *top = 0;
    for (int64_t i = 1; i < vocab; i++)
        *top = x[i] > x[*top] ? i : *top;
    if (!r->logits)
        return true;
    for (int64_t i = 0; i < vocab; i++)
        sum += (double)expf(x[i] - x[*top]);
    float all = x[*top] + (float)log(sum);
    for (int64_t i = 0; i < vocab; i++)
        logp[i] = x[i] - all;
    return isfinite(all);
}

static double divergence(const float *base, const float *model, int64_t vocab)
{
    double sum = 0;
    for (int64_t i = 0; i < vocab; i++)
        if (base[i] > FLOOR)
            sum += (double)(expf(base[i]) * (base[i] - model[i]));
    return sum;
}

static void one_row(void *arg, int64_t row, int thread)
{
    struct judging *k = arg;
    const struct sp_windows *w = &k->j->windows;
    float *model = k->scratch + 2 * thread * k->vocab, *base = model + k->vocab;
    int64_t each = k->out.each, place = row % each, window = k->first + row / each, at = window * each + place, top, base_top;
    int32_t target = w->ids[window * w->context + w->context / 2 + 1 + place];
    if (k->save)
        sp_logits_encode(k->model.logits + row * k->vocab, k->vocab, k->save + row * sp_logits_row_bytes(k->vocab));
    if (!read_row(&k->model, row, k->vocab, model, &top)) {
        __atomic_store_n(&k->bad[0], 1, __ATOMIC_RELAXED);
        return;
    }
    k->out.nll[at] = -(double)model[target];
    if (!k->out.divergence)
        return;
    if (!read_row(&k->base, row, k->vocab, base, &base_top)) {
        __atomic_store_n(&k->bad[1], 1, __ATOMIC_RELAXED);
        return;
    }
    k->out.base_nll[at] = -(double)base[target];
    k->out.divergence[at] = divergence(base, model, k->vocab);
    k->out.p_change[at] = (double)(expf(model[target]) - expf(base[target]));
    k->out.same_top[at] = top == base_top;
}

/* ---- a batch of windows ---- */

static void fill(const struct judging *k, struct sp_live *l, int64_t real)
{
    const struct sp_windows *w = &k->j->windows;
    int32_t *ids = sp_live_at(l, SP_RUN_SCORE, "ids"), *rows = sp_live_at(l, SP_RUN_SCORE, "rows");
    for (int64_t b = 0; b < k->batch; b++) {
        const int32_t *from = w->ids + (k->first + (b < real ? b : 0)) * w->context;
        for (int64_t i = 0; i < w->context; i++)
            ids[b * w->context + i] = i == 0 && w->bos >= 0 ? w->bos : from[i];
        for (int64_t i = 0; i < k->out.each; i++)
            rows[b * k->out.each + i] = (int32_t)(b * w->context + w->context / 2 + i);
    }
}

static enum sp_status bring(const struct judging *k, const struct sp_judge_side *side, struct rows *r, int64_t real, struct sp_err *err)
{
    if (side->live) {
        fill(k, side->live, real);
        sp_live_run(side->live, SP_RUN_SCORE);
        r->logits = sp_live_at(side->live, SP_RUN_SCORE, "logits");
    }
    for (int64_t b = 0; side->file && b < real; b++)
        TRY(sp_logits_window(side->file, k->first + b, r->packed + b * k->out.each * sp_logits_row_bytes(k->vocab), err));
    return SP_OK;
}

static enum sp_status check_rows(const struct judging *k, struct sp_err *err)
{
    const struct sp_judge_side *side[2] = { &k->j->model, &k->j->base };
    for (int i = 0; i < 2; i++)
        if (k->bad[i] && side[i]->file)
            return sp_fail(err, SP_FORMAT, "%s: what stands for windows %lld to %lld are no probabilities that add up to 1", side[i]->file->map.path,
                           (long long)k->first + 1, (long long)(k->first + k->batch));
        else if (k->bad[i])
            return sp_fail(err, SP_DIVERGED, "the %s's logits on this text are not numbers: its weights are damaged", i ? "other model" : "model");
    return SP_OK;
}

static enum sp_status one_batch(struct judging *k, int64_t real, struct sp_err *err)
{
    const struct sp_judging *j = k->j;
    TRY(bring(k, &j->model, &k->model, real, err));
    TRY(bring(k, &j->base, &k->base, real, err));
    sp_pool_run(j->pool, one_row, k, real * k->out.each);
    TRY(check_rows(k, err));
    return j->save ? sp_out_write(j->save, k->save, (size_t)(real * k->out.each * sp_logits_row_bytes(k->vocab)), err) : SP_OK;
}

static enum sp_status all_batches(struct judging *k, struct sp_err *err)
{
    double nats = 0;
    int64_t n = k->j->windows.n;
    for (k->first = 0; k->first < n; k->first += k->batch) {
        int64_t real = n - k->first < k->batch ? n - k->first : k->batch, done = k->first + real;
        TRY(one_batch(k, real, err));
        for (int64_t i = k->first * k->out.each; i < done * k->out.each; i++)
            nats += k->out.nll[i];
        sp_tell(k->j->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "eval", .done = done, .total = n, .tokens = real * k->j->windows.context,
                                                 .loss = nats / (double)(done * k->out.each) });
        if (sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted while scoring text");
    }
    return SP_OK;
}

/* ---- what is asked for must fit together ---- */

static enum sp_status check_live(struct judging *k, const struct sp_live *l, struct sp_err *err)
{
    const struct sp_windows *w = &k->j->windows;
    if (!sp_live_at(l, SP_RUN_SCORE, "ids") || !sp_live_at(l, SP_RUN_SCORE, "rows"))
        return sp_fail(err, SP_UNSUPPORTED, "this job has no program that gives logits");
    int64_t b = l->job->serve.score_batch;
    if (l->job->serve.score_tokens != w->context || sp_type_elements(&sp_program_find(&l->job->program[SP_RUN_SCORE], "rows")->type) != b * k->out.each)
        return sp_fail(err, SP_SHAPE, "a program for other windows than those of %lld tokens", (long long)w->context);
    if (k->batch && k->batch != b)
        return sp_fail(err, SP_SHAPE, "one model takes %lld windows at once, the other %lld", (long long)k->batch, (long long)b);
    k->batch = b;
    return SP_OK;
}

static enum sp_status check_side(struct judging *k, const struct sp_judge_side *s, struct sp_err *err)
{
    int64_t vocab = s->live ? s->live->job->config.vocab : s->file ? s->file->vocab : k->vocab;
    if (s->live)
        TRY(check_live(k, s->live, err));
    if (s->file && (s->file->windows.context != k->j->windows.context || s->file->windows.n < k->j->windows.n))
        return sp_fail(err, SP_SHAPE, "%s holds %lld windows of %lld tokens, wanted are %lld of %lld", s->file->map.path, (long long)s->file->windows.n,
                       (long long)s->file->windows.context, (long long)k->j->windows.n, (long long)k->j->windows.context);
    if (k->vocab && vocab != k->vocab) {
        sp_fail(err, SP_SHAPE, "a vocabulary of %lld against one of %lld", (long long)k->vocab, (long long)vocab);
        return sp_remedy(err, "only models with the same tokens can be compared");
    }
    k->vocab = vocab;
    return SP_OK;
}

static enum sp_status check(struct judging *k, struct sp_err *err)
{
    const struct sp_windows *w = &k->j->windows;
    if (w->n < 1 || w->context < SP_WINDOW_LEAST || w->context > SP_WINDOW_MOST)
        return sp_fail(err, SP_USAGE, "%lld windows of %lld tokens can't be scored", (long long)w->n, (long long)w->context);
    TRY(check_side(k, &k->j->model, err));
    TRY(check_side(k, &k->j->base, err));
    k->batch = k->batch ? k->batch : 1;
    if (w->bos >= k->vocab)
        return sp_fail(err, SP_USAGE, "the beginning of a text is token %d, the model has %lld", (int)w->bos, (long long)k->vocab);
    for (int64_t i = 0; i < w->n * w->context; i++)
        if (w->ids[i] < 0 || w->ids[i] >= k->vocab)
            return sp_fail(err, SP_USAGE, "the text holds token %d, the model has %lld", (int)w->ids[i], (long long)k->vocab);
    return SP_OK;
}

/* ---- memory ---- */

static enum sp_status take(struct judging *k, struct sp_err *err)
{
    const struct sp_judging *j = k->j;
    size_t n = (size_t)(j->windows.n * k->out.each), batch = (size_t)(k->batch * k->out.each * sp_logits_row_bytes(k->vocab));
    bool base = j->base.live || j->base.file;
    k->out.nll = sp_zalloc(n, sizeof(double));
    k->scratch = sp_zalloc((size_t)(2 * k->vocab) * (size_t)sp_pool_threads(j->pool), sizeof(float));
    bool all = k->out.nll && k->scratch;
    all = all && (!j->model.file || (k->model.packed = sp_alloc(batch)));
    all = all && (!j->base.file || (k->base.packed = sp_alloc(batch)));
    all = all && (!j->save || (k->save = sp_alloc(batch)));
    all = all && (!base || ((k->out.base_nll = sp_zalloc(n, sizeof(double))) && (k->out.divergence = sp_zalloc(n, sizeof(double))) &&
                            (k->out.p_change = sp_zalloc(n, sizeof(double))) && (k->out.same_top = sp_zalloc(n, 1))));
    return all ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to score %lld windows", (long long)j->windows.n);
}

enum sp_status sp_judge_windows(const struct sp_judging *j, struct sp_scored *out, struct sp_err *err)
{
    struct judging k = { .j = j, .out = { .windows = j->windows.n, .each = sp_windows_scored(j->windows.context) } };
    enum sp_status st = check(&k, err);
    if (!st && j->save && !j->model.live)
        st = sp_fail(err, SP_USAGE, "only a model's log-probabilities can be saved");
    if (!st)
        st = take(&k, err);
    if (!st)
        st = all_batches(&k, err);
    sp_free(k.scratch);
    sp_free(k.model.packed);
    sp_free(k.base.packed);
    sp_free(k.save);
    if (st)
        sp_scored_clear(&k.out);
    else
        *out = k.out;
    return st;
}

void sp_scored_clear(struct sp_scored *s)
{
    sp_free(s->nll);
    sp_free(s->base_nll);
    sp_free(s->divergence);
    sp_free(s->p_change);
    sp_free(s->same_top);
    *s = (struct sp_scored){ 0 };
}
