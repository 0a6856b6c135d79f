/* infer/generate.c - a prompt in, an answer out, token by token.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>

#include "infer.h"

enum { RESERVED_MAX = 1 << 20 /* bytes of an answer set aside before its first token */ };

/* told: bytes of the text that the watch has seen. */
struct stream { struct sp_session *s; const struct sp_watch *watch; struct sp_answer *a; struct sp_decoder decoder; size_t told; };

/* Bytes at the end of the text that may be the beginning of the stop text. */
static size_t may_stop(const struct sp_text *text, const char *stop)
{
    size_t n = strlen(stop) - 1;
    for (n = n < text->n ? n : text->n; n && memcmp(text->at + text->n - n, stop, n) != 0;)
        n--;
    return n;
}

/* Tells what may be told of the text; at its end, all. */
static void tell(struct stream *t, int32_t id, bool last)
{
    struct sp_text *text = &t->a->text;
    const char *stop = t->s->stop;
    size_t upto = text->n - (!last && stop && *stop ? may_stop(text, stop) : 0);
    char kept = text->at ? text->at[upto] : 0;
    if (text->at)
        text->at[upto] = 0; /* for the watch alone; one byte behind the text is always there */
    sp_tell(t->watch, &(struct sp_event){ .kind = SP_EVENT_TOKEN, .phase = "generate", .token = id, .done = (int64_t)t->a->ids.n,
                                          .text = upto > t->told ? text->at + t->told : "" });
    if (text->at)
        text->at[upto] = kept;
    t->told = upto > t->told ? upto : t->told;
}

/* The stop text ends the answer, and isn't part of it. */
static bool stopped(struct stream *t, size_t was)
{
    const char *stop = t->s->stop;
    struct sp_text *text = &t->a->text;
    if (!stop || !*stop || !text->n)
        return false;
    size_t n = strlen(stop), from = was > n ? was - n : 0;
    char *hit = memmem(text->at + from, text->n - from, stop, n);
    if (!hit)
        return false;
    text->n = (size_t)(hit - text->at);
    *hit = 0;
    sp_decoder_init(&t->decoder, t->s->engine->tokenizer, true); /* nothing behind it is held */
    return true;
}

static enum sp_status take(struct stream *t, int32_t id, struct sp_err *err)
{
    size_t was = t->a->text.n;
    sp_ids_add(&t->a->ids, id);
    if (t->s->engine->tokenizer)
        TRY(sp_decoder_push(&t->decoder, id, &t->a->text, err));
    if (t->a->ids.full || t->a->text.full)
        return sp_fail(err, SP_NOMEM, "no memory for the answer");
    t->a->ended = stopped(t, was);
    tell(t, id, t->a->ended);
    return SP_OK;
}

static enum sp_status loop(struct stream *t, const struct sp_sampling *how, int64_t max_tokens, bool ignore_end, struct sp_err *err)
{
    const struct sp_job *j = &t->s->engine->job;
    for (int64_t i = 0; i < max_tokens; i++) {
        int32_t id;
        TRY(sp_session_sample(t->s, how, &id, err));
        t->a->ended = !ignore_end && sp_engine_is_end(t->s->engine, id);
        if (t->a->ended)
            return SP_OK;
        TRY(take(t, id, err));
        if (t->a->ended || i + 1 == max_tokens || t->s->past == j->serve.cache || sp_signal_pending())
            return SP_OK;
        TRY(sp_session_feed(t->s, &id, 1, err));
    }
    return SP_OK;
}

/* What was held back until the end: a part of a character, or of the stop text. */
static void finish(struct stream *t)
{
    if (t->s->engine->tokenizer)
        sp_decoder_end(&t->decoder, &t->a->text);
    if (t->a->text.n > t->told)
        tell(t, -1, true);
}

/* Room for the whole answer, so that a token allocates nothing: bytes that form no character become three. */
static void reserve(struct stream *t, int64_t max_tokens)
{
    const struct sp_tokenizer *k = t->s->engine->tokenizer;
    int64_t left = t->s->engine->job.serve.cache - t->s->past + 1, n_vocab = k ? sp_tokenizer_vocab(k) : 0;
    size_t tokens = (size_t)(max_tokens < 0 ? 0 : max_tokens < left ? max_tokens : left), longest = 0, n;
    for (int32_t id = 0; id < n_vocab; id++)
        if (sp_tokenizer_token(k, id, &n) && n > longest)
            longest = n;
    size_t bytes = 3 * (longest + 1);
    sp_ids_reserve(&t->a->ids, tokens);
    sp_text_reserve(&t->a->text, bytes > RESERVED_MAX / (tokens + 1) ? RESERVED_MAX : bytes * tokens);
}

enum sp_status sp_generate(struct sp_session *s, const int32_t *prompt, int64_t n, const struct sp_sampling *how, int64_t max_tokens,
                           bool ignore_end, const struct sp_watch *watch, struct sp_answer *out, struct sp_err *err)
{
    struct sp_answer a = { .prompt_tokens = n };
    struct stream t = { .s = s, .watch = watch, .a = &a };
    double began = sp_now();
    if (n < 1)
        return sp_fail(err, SP_USAGE, "the prompt has no token");
    TRY(sp_session_feed(s, prompt, n, err));
    a.prompt_s = a.first_token_s = sp_now() - began;
    if (s->engine->tokenizer) {
        sp_decoder_init(&t.decoder, s->engine->tokenizer, true);
        sp_decoder_resume(&t.decoder);
    }
    reserve(&t, max_tokens);
    began = sp_now();
    enum sp_status st = loop(&t, how, max_tokens, ignore_end, err);
    a.generate_s = sp_now() - began;
    if (st) {
        sp_answer_clear(&a);
        return st;
    }
    finish(&t);
    *out = a;
    return SP_OK;
}

void sp_answer_clear(struct sp_answer *a)
{
    sp_ids_clear(&a->ids);
    sp_text_clear(&a->text);
    *a = (struct sp_answer){ 0 };
}
