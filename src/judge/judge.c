/* judge/judge.c - loss, perplexity and bits a byte over windows of a token stream.
 *
 * The loss is a ratio of sums (nats over tokens); its standard error is that of a
 * ratio estimator over windows (Cochran 1977, 2.11).
 * SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>

struct sums { double n, nats, tokens, nn, nt, tt; };

static void add_window(struct sums *s, const float *nll, const float *weight, int64_t t)
{
    double nats = 0, tokens = 0;
    for (int64_t i = 0; i < t; i++) {
        nats += (double)weight[i] * (double)nll[i];
        tokens += (double)weight[i];
    }
    if (tokens <= 0)
        return;
    s->n++;
    s->nats += nats;
    s->tokens += tokens;
    s->nn += nats * nats;
    s->nt += nats * tokens;
    s->tt += tokens * tokens;
}

static void finish(const struct sums *s, const struct sp_tokens *tokens, struct sp_quality *q)
{
    double r = s->nats / s->tokens, mean = s->tokens / s->n;
    double spread = s->n > 1 ? (s->nn - 2 * r * s->nt + r * r * s->tt) / (s->n - 1) : 0;
    double share = s->tokens / (double)(tokens->n > 1 ? tokens->n - 1 : 1);
    q->loss = r;
    q->loss_stderr = s->n > 1 ? sqrt((spread > 0 ? spread : 0) / s->n) / mean : 0;
    q->perplexity = exp(r);
    q->tokens = (int64_t)s->tokens;
    q->windows = (int64_t)s->n;
    q->bits_per_byte = tokens->text_bytes ? s->nats / 0.6931471805599453 / ((double)tokens->text_bytes * (share < 1 ? share : 1)) : 0;
}

enum sp_status sp_judge_tokens(struct sp_live *l, const struct sp_tokens *tokens, int64_t windows_max, const struct sp_watch *watch,
                               struct sp_quality *out, struct sp_err *err)
{
    int32_t *ids = sp_live_at(l, SP_RUN_SCORE, "ids"), *targets = sp_live_at(l, SP_RUN_SCORE, "targets");
    float *weights = sp_live_at(l, SP_RUN_SCORE, "weights");
    if (!ids || !targets || !weights)
        return sp_fail(err, SP_UNSUPPORTED, "this job has no program that scores text");
    const struct sp_program *p = &l->job->program[SP_RUN_SCORE];
    int64_t rows = sp_type_elements(&sp_program_find(p, "ids")->type);
    int64_t b = l->job->train.score_batch > 0 ? l->job->train.score_batch : l->job->serve.score_batch;
    if (b <= 0)
        b = 1;
    int64_t t = rows / b, all = sp_window_count(tokens, t), groups = (all + b - 1) / b;
    if (all < 1)
        return sp_fail(err, SP_USAGE, "the text is too short to be scored");
    int64_t used = windows_max > 0 && windows_max < all ? (windows_max + b - 1) / b : groups;
    float *kept = sp_alloc((size_t)rows * sizeof *kept);
    struct sums s = { 0 };
    if (!kept)
        return sp_fail(err, SP_NOMEM, "no memory to score text");
    for (int64_t g = 0; g < used; g++) {
        int64_t first = (used < groups ? g * groups / used : g) * b;
        int64_t real = sp_window_fill(tokens, first, b, t, ids, targets, weights);
        for (int64_t i = 0; i < rows; i++)
            kept[i] = weights[i];
        sp_live_run(l, SP_RUN_SCORE);
        const float *nll = sp_live_at(l, SP_RUN_SCORE, "nll");
        for (int64_t w = 0; w < real; w++)
            add_window(&s, nll + w * t, kept + w * t, t);
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "eval", .done = g + 1, .total = used, .tokens = rows,
                                           .loss = s.tokens > 0 ? s.nats / s.tokens : 0 });
        if (sp_signal_pending()) {
            sp_free(kept);
            return sp_fail(err, SP_INTERRUPTED, "interrupted while scoring text");
        }
    }
    sp_free(kept);
    if (!(s.tokens > 0))
        return sp_fail(err, SP_USAGE, "no token of the text can be scored");
    *out = (struct sp_quality){ .windows_given = all };
    finish(&s, tokens, out);
    if (!isfinite(out->loss))
        return sp_fail(err, SP_DIVERGED, "the loss on this text is not a number: the weights are damaged");
    return SP_OK;
}
