/* infer/session.c - one timeline: tokens in, logits out, tokens drawn.
 *
 * A prompt goes in by chunks of the prefill program; its tail is padded where that is
 * cheaper than feeding it token by token, and the chunk still fits the cache.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infer.h"

#include <string.h>

enum { PREFILL_GAIN = 8 /* a rough limit: what a token by itself takes of one in a chunk was 5 to 7 in docs/performance.md */ };

void sp_session_begin(struct sp_session *s, struct sp_engine *e)
{
    *s = (struct sp_session){ .engine = e };
}

void sp_session_end(struct sp_session *s)
{
    sp_ids_clear(&s->history);
    *s = (struct sp_session){ 0 };
}

void sp_session_cut(struct sp_session *s, int64_t n)
{
    if (n < 0 || n >= s->past)
        return;
    s->past = n;
    s->history.n = (size_t)n;
    s->logits = NULL;
}

int64_t sp_session_shared(const struct sp_session *s, const int32_t *ids, int64_t n)
{
    int64_t i = 0;
    while (i < n && i < s->past && ids[i] == s->history.at[i])
        i++;
    return i;
}

static void run_chunk(struct sp_session *s, enum sp_run run, const int32_t *ids, int64_t n, int64_t room)
{
    struct sp_live *l = &s->engine->live;
    int32_t *to = sp_live_at(l, run, "ids"), *last = sp_live_at(l, run, "last"), *positions = sp_live_at(l, run, "positions");
    memcpy(to, ids, (size_t)n * sizeof *to);
    memset(to + n, 0, (size_t)(room - n) * sizeof *to);
    *(int32_t *)sp_live_at(l, run, "past") = (int32_t)s->past;
    for (int64_t i = 0; positions && i < room; i++)
        positions[i] = (int32_t)(s->past + i);
    if (last)
        *last = (int32_t)(n - 1);
    sp_live_run(l, run);
    s->logits = sp_live_at(l, run, "logits");
    s->past += n;
    for (int64_t i = 0; i < n; i++)
        sp_ids_add(&s->history, ids[i]);
}

enum sp_status sp_session_feed(struct sp_session *s, const int32_t *ids, int64_t n, struct sp_err *err)
{
    const struct sp_job *j = &s->engine->job;
    int64_t cache = j->serve.cache, chunk = j->has[SP_RUN_PREFILL] ? j->serve.prefill : 1;
    if (n > cache - s->past) {
        sp_fail(err, SP_LIMIT, "%lld tokens do not fit the cache: %lld of its %lld positions are taken", (long long)n, (long long)s->past,
                (long long)cache);
        return sp_remedy(err, "a shorter prompt, fewer tokens, or a larger --cache");
    }
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= j->config.vocab)
            return sp_fail(err, SP_USAGE, "token %d is not in the vocabulary of %lld", (int)ids[i], (long long)j->config.vocab);
    sp_ids_reserve(&s->history, (size_t)(cache - s->past)); /* once: a decoded token allocates nothing */
    if (s->history.full)
        return sp_fail(err, SP_NOMEM, "no memory for the session's tokens");
    while (n > 0) {
        if (n > 1 && sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted with %lld tokens of the prompt to go", (long long)n);
        bool whole = n > 1 && chunk > 1 && n * PREFILL_GAIN >= chunk && s->past + chunk <= cache;
        int64_t take = whole ? (n < chunk ? n : chunk) : 1;
        run_chunk(s, whole ? SP_RUN_PREFILL : SP_RUN_DECODE, ids, take, whole ? chunk : 1);
        ids += take;
        n -= take;
    }
    if (s->engine->live.lent && s->engine->live.lent->lost) {
        sp_fail(err, SP_IO, "the model's file became shorter while it was in use");
        return sp_remedy(err, "write files under another name and rename them");
    }
    return SP_OK;
}
