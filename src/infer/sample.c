/* infer/sample.c - the next token: greedy, or drawn after temperature, top-k,
 * top-p (Holtzman et al. 2020) and min-p (Nguyen et al. 2024), in that order of cuts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infer.h"

#include <math.h>
#include <stdlib.h>

static int by_logit(const void *a, const void *b)
{
    const struct sp_candidate *x = a, *y = b;
    if (x->logit > y->logit || x->logit < y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int32_t greedy(const struct sp_candidate *c, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (c[i].logit > c[best].logit)
            best = i;
    return (int32_t)best;
}

/* Keskar et al. 2019: a token seen before is divided, or multiplied when negative. */
static void penalise(struct sp_candidate *c, int64_t n, const struct sp_ids *seen, double by)
{
    if (!(by > 0) || (by >= 1 && by <= 1))
        return;
    for (size_t i = 0; i < seen->n; i++) {
        size_t first = 0;
        while (seen->at[first] != seen->at[i])
            first++;
        if (first == i && seen->at[i] < n)
            c[seen->at[i]].logit *= (float)(c[seen->at[i]].logit > 0 ? 1 / by : by);
    }
}

/* How many of the sorted candidates stay. */
static int64_t cut(const struct sp_candidate *c, int64_t n, const struct sp_sampling *how)
{
    double t = how->temperature, sum = 0, so_far = 0;
    if (how->top_k > 0 && how->top_k < n)
        n = how->top_k;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)(c[i].logit - c[0].logit) / t);
    if (how->min_p > 0)
        while (n > 1 && exp((double)(c[n - 1].logit - c[0].logit) / t) < how->min_p)
            n--;
    for (int64_t i = 0; how->top_p > 0 && how->top_p < 1 && i < n; i++) {
        so_far += exp((double)(c[i].logit - c[0].logit) / t) / sum;
        if (so_far >= how->top_p)
            return i + 1;
    }
    return n;
}

static int32_t draw(const struct sp_candidate *c, int64_t n, double t, double u)
{
    double sum = 0, at = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)(c[i].logit - c[0].logit) / t);
    for (int64_t i = 0; i < n; i++) {
        at += exp((double)(c[i].logit - c[0].logit) / t) / sum;
        if (u < at)
            return c[i].id;
    }
    return c[n - 1].id;
}

enum sp_status sp_session_sample(struct sp_session *s, const struct sp_sampling *how, int32_t *id, struct sp_err *err)
{
    int64_t n = s->engine->job.config.vocab;
    if (!s->logits)
        return sp_fail(err, SP_USAGE, "nothing was fed yet: a model needs at least one token to go on from");
    for (int64_t i = 0; i < n; i++)
        if (isnan(s->logits[i]))
            return sp_fail(err, SP_DIVERGED, "the model's answer is not a number: its weights are damaged");
    struct sp_candidate *c = s->engine->candidates;
    for (int64_t i = 0; i < n; i++)
        c[i] = (struct sp_candidate){ s->logits[i], (int32_t)i };
    penalise(c, n, &s->history, how->repeat_penalty);
    if (how->greedy || how->temperature <= 0) {
        *id = greedy(c, n);
    } else {
        struct sp_random r = { .key = sp_random_key((uint64_t)how->seed, "sample"), .counter = s->drawn++ };
        qsort(c, (size_t)n, sizeof *c, by_logit);
        *id = draw(c, cut(c, n, how), how->temperature, sp_random_unit(&r));
    }
    return SP_OK;
}
