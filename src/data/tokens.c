/* data/tokens.c - documents as one stream of tokens, in 16 bits where the vocabulary allows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

enum { TELL_BYTES = 1 << 20 }; /* text between two progress events */
static const int64_t tokens_max = (int64_t)1 << 33;

struct stream {
    struct sp_tokens k;
    int64_t cap;
};

static enum sp_status reserve(struct stream *s, int64_t more, struct sp_err *err)
{
    if (s->k.n + more <= s->cap)
        return SP_OK;
    bool narrow = s->k.vocab <= 65536;
    int64_t cap = s->cap * 2 > s->k.n + more ? s->cap * 2 : s->k.n + more + 1024;
    void *was = narrow ? (void *)s->k.u16 : (void *)s->k.i32;
    void *at = cap <= tokens_max ? sp_realloc(was, (size_t)cap * (narrow ? 2 : 4)) : NULL;
    if (!at)
        return sp_fail(err, SP_NOMEM, "no memory for %lld tokens", (long long)cap);
    if (narrow)
        s->k.u16 = at;
    else
        s->k.i32 = at;
    s->cap = cap;
    return SP_OK;
}

static enum sp_status append(struct stream *s, const int32_t *ids, size_t n, struct sp_err *err)
{
    TRY(reserve(s, (int64_t)n, err));
    for (size_t i = 0; i < n; i++)
        if (s->k.u16)
            s->k.u16[s->k.n++] = (uint16_t)ids[i];
        else
            s->k.i32[s->k.n++] = ids[i];
    return SP_OK;
}

static enum sp_status append_document(struct stream *s, struct sp_slice doc, struct sp_tokenizer *t, struct sp_ids *ids,
                                      struct sp_err *err)
{
    bool first = s->k.documents == 0;
    ids->n = 0;
    TRY(sp_tokenizer_encode(t, doc.at, doc.n, false, ids, err));
    if (s->k.bos >= 0)
        TRY(append(s, &s->k.bos, 1, err));
    else if (first && s->k.eos >= 0)
        TRY(append(s, &s->k.eos, 1, err));
    else if (first && ids->n) {
        size_t unseen = 0; /* the first token is predicted from nothing */
        sp_tokenizer_token(t, ids->at[0], &unseen);
        s->k.text_bytes -= unseen < doc.n ? unseen : doc.n;
    }
    TRY(append(s, ids->at, ids->n, err));
    if (s->k.eos >= 0)
        TRY(append(s, &s->k.eos, 1, err));
    s->k.text_bytes += doc.n;
    s->k.documents++;
    return SP_OK;
}

static enum sp_status append_all(struct stream *s, const struct sp_slice *docs, int64_t n_docs, struct sp_tokenizer *t,
                                 const struct sp_watch *watch, struct sp_err *err)
{
    struct sp_ids ids = { 0 };
    enum sp_status st = SP_OK;
    uint64_t all = 0, done = 0, told = 0;
    for (int64_t i = 0; i < n_docs; i++)
        all += docs[i].n;
    for (int64_t i = 0; i < n_docs && !st; i++) {
        st = append_document(s, docs[i], t, &ids, err);
        done += docs[i].n;
        if (!st && sp_signal_pending())
            st = sp_fail(err, SP_INTERRUPTED, "encoding the data was interrupted");
        if (st || done - told < TELL_BYTES)
            continue;
        told = done;
        sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_STEP,
                                           .phase = "tokens",
                                           .done = (int64_t)done,
                                           .total = (int64_t)all,
                                           .tokens = s->k.n });
    }
    sp_ids_clear(&ids);
    return st;
}

enum sp_status sp_tokens_build(struct sp_tokens *out, const struct sp_slice *docs, int64_t n_docs,
                               struct sp_tokenizer *t, const struct sp_watch *watch, struct sp_err *err)
{
    struct stream s = { .k = { .vocab = sp_tokenizer_vocab(t), .bos = -1, .eos = sp_tokenizer_eos(t) } };
    if (sp_tokenizer_adds_bos(t))
        s.k.bos = sp_tokenizer_bos(t);
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_BEGIN, .phase = "tokens" });
    enum sp_status st = append_all(&s, docs, n_docs, t, watch, err);
    sp_tell(watch, &(struct sp_event){ .kind = SP_EVENT_PHASE_END, .phase = "tokens", .tokens = s.k.n });
    if (st)
        sp_tokens_free(&s.k);
    else
        *out = s.k;
    return st;
}

void sp_tokens_free(struct sp_tokens *t)
{
    sp_free(t->u16);
    sp_free(t->i32);
    *t = (struct sp_tokens){ 0 };
}

int32_t sp_tokens_at(const struct sp_tokens *t, int64_t i)
{
    return t->u16 ? t->u16[i] : t->i32[i];
}
