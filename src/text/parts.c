/* text/parts.c - a tokenizer from the parts that GGUF metadata hold: SentencePiece's BPE with scores
 * ("llama"), byte-level BPE ("gpt2"), BPE over spaces as U+2581 ("gemma4"), WordPiece ("bert"),
 * Unigram ("t5").
 *
 * What the metadata leave unsaid is as in llama.cpp (src/llama-vocab.cpp).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "inner.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
static const char mark[] = "\xe2\x96\x81";
static const double unk_penalty = 10;

void sp_token_parts_init(struct sp_token_parts *p)
{
    *p = (struct sp_token_parts){ .bos = -1,
                                  .eos = -1,
                                  .unk = -1,
                                  .sep = -1,
                                  .pad = -1,
                                  .mask = -1,
                                  .eot = -1,
                                  .add_bos = -1,
                                  .add_eos = -1,
                                  .add_sep = -1,
                                  .add_space_prefix = -1,
                                  .remove_extra_whitespaces = -1,
                                  .lowercase = -1,
                                  .strip_accents = -1 };
}

static int type_of(const struct sp_token_parts *p, int32_t id)
{
    return p->type ? p->type[id] : NORMAL;
}

/* ---- tokens ---- */
/* GGUF's WordPiece marks the beginnings of words, the model the later pieces. */
static enum sp_status put_piece(struct sp_tokenizer *t, const char *s, size_t n, int32_t id, struct sp_err *err)
{
    size_t k = strlen(mark), m = strlen(t->prefix);
    char name[SP_TOK_TOKEN_BYTES_MAX];
    if (n >= k && memcmp(s, mark, k) == 0)
        return sp_tok_put_raw(t, s + k, n - k, id, err);
    if (n >= 2 && s[0] == '[' && s[n - 1] == ']')
        return sp_tok_put_raw(t, s, n, id, err);
    if (n + m > sizeof name)
        return sp_fail(err, SP_LIMIT, "token %d has %zu bytes, at most %d are allowed", id, n, SP_TOK_TOKEN_BYTES_MAX);
    memcpy(name, t->prefix, m);
    memcpy(name + m, s, n);
    return sp_tok_put_raw(t, name, n + m, id, err);
}

static enum sp_status put_token(struct sp_tokenizer *t, const struct sp_token_parts *p, int32_t id, struct sp_err *err)
{
    const char *s = p->token[id].at;
    size_t n = p->token[id].n;
    char empty[32];
    int type = type_of(p, id);
    if (!n) {
        s = empty;
        n = (size_t)snprintf(empty, sizeof empty, "[EMPTY_%d]", id);
    }
    bool added = type == CONTROL || type == USER_DEFINED || type == UNKNOWN;
    uint32_t special = type == USER_DEFINED ? 0 : SP_TOK_SPECIAL;
    if (added && t->byte_level)
        return sp_tok_add(t, s, n, id, special, err);
    TRY(t->model == SP_TOK_WORDPIECE && !added ? put_piece(t, s, n, id, err) : sp_tok_put(t, s, n, id, err));
    if (added)
        t->token[id].flags |= SP_TOK_ADDED | special;
    return SP_OK;
}

static enum sp_status put_tokens(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    TRY(sp_tok_reserve(t, p->n_tokens, err));
    for (int32_t id = 0; id < p->n_tokens; id++)
        TRY(put_token(t, p, id, err));
    return SP_OK;
}

static enum sp_status put_scores(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    double lowest = INFINITY;
    if (!p->score)
        return sp_fail(err, SP_FORMAT, "a \"%s\" vocabulary needs scores", p->model);
    t->score = sp_zalloc((size_t)p->n_tokens, sizeof *t->score);
    if (!t->score)
        return sp_tok_nomem(err);
    for (int32_t id = 0; id < p->n_tokens; id++) {
        if (!isfinite(p->score[id]))
            return sp_fail(err, SP_FORMAT, "token %d has no finite score", id);
        t->score[id] = (double)p->score[id];
        if (type_of(p, id) == NORMAL)
            lowest = fmin(lowest, t->score[id]);
    }
    t->score_unk = lowest - unk_penalty;
    return SP_OK;
}

static enum sp_status put_merges(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    if (p->n_merges > SP_TOK_MERGES_MAX)
        return sp_fail(err, SP_LIMIT, "%d merges; at most %d are allowed", p->n_merges, SP_TOK_MERGES_MAX);
    for (int32_t i = 0; i < p->n_merges; i++) {
        const char *s = p->merge[i].at, *end = s + p->merge[i].n;
        const char *gap = p->merge[i].n > 1 ? memchr(s + 1, ' ', p->merge[i].n - 1) : NULL;
        int32_t left = gap ? sp_tok_model_token(t, s, (size_t)(gap - s)) : -1;
        int32_t right = gap ? sp_tok_model_token(t, gap + 1, (size_t)(end - gap - 1)) : -1;
        if (left < 0 || right < 0)
            return sp_fail(err, SP_FORMAT, "merge %d, \"%.*s\", doesn't join two tokens of the vocabulary", i,
                           (int)(p->merge[i].n > 40 ? 40 : p->merge[i].n), s);
        TRY(sp_tok_put_merge(t, left, right, (uint32_t)i, err));
    }
    return SP_OK;
}

/* ---- what stands around a text ---- */
static int32_t known(const struct sp_tokenizer *t, int32_t id, int32_t usual)
{
    id = id < 0 ? usual : id;
    return id >= 0 && id < t->n_vocab ? id : -1;
}

static enum sp_status around(struct sp_tokenizer *t, bool bos, bool eos, const char *what, struct sp_err *err)
{
    if ((bos && t->bos < 0) || (eos && t->eos < 0))
        return sp_fail(err, SP_FORMAT, "add_%s_token is set, but no %s token is named",
                       bos && t->bos < 0 ? "bos" : "eos", what);
    if (bos)
        t->before[t->n_before++] = t->bos;
    if (eos)
        t->behind[t->n_behind++] = t->eos;
    return SP_OK;
}

static bool said(int8_t flag, bool usual)
{
    return flag < 0 ? usual : flag > 0;
}

/* ---- the models ---- */
static enum sp_status make_llama(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    TRY(sp_tok_llama2_steps(t, said(p->add_space_prefix, true), err));
    TRY(put_tokens(t, p, err));
    TRY(put_scores(t, p, err));
    TRY(sp_tok_merges_of_scores(t, err));
    t->bos = known(t, p->bos, 1);
    t->eos = known(t, p->eos, 2);
    t->unk = known(t, p->unk, 0);
    return around(t, said(p->add_bos, true), said(p->add_eos, false), "such", err);
}

static enum sp_status make_gemma(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    TRY(sp_tok_llama2_steps(t, false, err));
    TRY(put_tokens(t, p, err));
    TRY(put_merges(t, p, err));
    t->bos = known(t, p->bos, -1);
    t->eos = known(t, p->eos, -1);
    t->unk = known(t, p->unk, -1);
    return around(t, t->bos >= 0, said(p->add_eos, false), "such", err);
}

static enum sp_status split_steps(struct sp_tokenizer *t, const struct sp_tok_pre_name *row, struct sp_err *err)
{
    int n = 0;
    while (n < SP_TOK_PRE_PATTERNS && row->patterns[n])
        n++;
    bool gpt2 = strcmp(row->patterns[n - 1], sp_tok_gpt2_pattern) == 0; /* ByteLevel does it itself */
    if (row->nfc)
        t->norm[t->n_norm++].kind = SP_TOK_NFC;
    for (int i = 0; i < n - gpt2; i++) {
        struct sp_tok_pre *s = &t->pre[t->n_pre++];
        *s = (struct sp_tok_pre){ .kind = SP_TOK_SPLIT, .behavior = SP_TOK_ISOLATED };
        TRY(sp_tok_pattern_init(&s->pattern, &t->mem, row->patterns[i], false, err));
    }
    t->ignore_merges = row->ignore_merges;
    return sp_tok_byte_level_steps(t, gpt2, err);
}

static enum sp_status make_gpt2(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    const char *name = p->pre && *p->pre ? p->pre : "default";
    const struct sp_tok_pre_name *row = sp_tok_pre_named(name);
    if (!row) {
        sp_fail(err, SP_UNSUPPORTED, "the pre-tokenizer \"%.40s\" is not known", name);
        return sp_remedy(err, "a tokenizer.json beside the model says how text is split");
    }
    TRY(split_steps(t, row, err));
    TRY(put_tokens(t, p, err));
    TRY(put_merges(t, p, err));
    t->bos = known(t, p->bos, -1);
    t->eos = known(t, p->eos, -1);
    t->unk = known(t, p->unk, -1);
    return around(t, said(p->add_bos, row->add_bos && t->bos >= 0), said(p->add_eos, false), "such", err);
}

static enum sp_status make_bert(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    bool lower = said(p->lowercase, true);
    t->model = SP_TOK_WORDPIECE;
    t->prefix = "##";
    t->word_chars_max = 100;
    t->norm[t->n_norm++] = (struct sp_tok_norm){
        .kind = SP_TOK_BERT, .clean = true, .chinese = true, .lower = lower, .accents = said(p->strip_accents, lower)
    };
    t->pre[t->n_pre++] = (struct sp_tok_pre){ .kind = SP_TOK_WHITESPACE_SPLIT, .behavior = SP_TOK_REMOVED };
    t->pre[t->n_pre++] = (struct sp_tok_pre){ .kind = SP_TOK_PUNCTUATION, .behavior = SP_TOK_ISOLATED };
    t->dec[t->n_dec++] = (struct sp_tok_dec){ .kind = SP_TOK_DEC_WORDPIECE, .from = "##", .cleanup = true };
    TRY(put_tokens(t, p, err));
    t->bos = known(t, p->bos, 101);
    t->eos = known(t, p->sep, 102);
    t->unk = known(t, p->unk, 100);
    return around(t, t->bos >= 0, t->eos >= 0, "separator", err);
}

/* Without metadata to say it, extra spaces go, and a space stands in front, as for T5. */
static enum sp_status unigram_steps(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    enum sp_tok_scheme scheme = said(p->add_space_prefix, true) ? SP_TOK_ALWAYS : SP_TOK_NEVER;
    if (p->n_charsmap) {
        t->norm[t->n_norm].kind = SP_TOK_PRECOMPILED;
        TRY(sp_tok_charsmap_read(&t->norm[t->n_norm++].map, &t->mem, p->charsmap, p->n_charsmap, err));
    }
    if (said(p->remove_extra_whitespaces, true)) {
        t->norm[t->n_norm++] = (struct sp_tok_norm){ .kind = SP_TOK_STRIP, .left = true, .right = true };
        struct sp_tok_norm *r = &t->norm[t->n_norm++];
        *r = (struct sp_tok_norm){ .kind = SP_TOK_REPLACE, .to = " " };
        TRY(sp_tok_pattern_init(&r->pattern, &t->mem, " {2,}", false, err));
    }
    struct sp_tok_pre *s = &t->pre[t->n_pre++];
    *s = (struct sp_tok_pre){
        .kind = SP_TOK_METASPACE, .behavior = SP_TOK_WITH_NEXT, .replacement = mark, .scheme = scheme, .split = true
    };
    t->dec[t->n_dec++] = (struct sp_tok_dec){ .kind = SP_TOK_DEC_METASPACE, .from = mark, .scheme = scheme };
    return sp_tok_pattern_init(&s->pattern, &t->mem, mark, true, err);
}

static enum sp_status make_unigram(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    t->model = SP_TOK_UNIGRAM;
    TRY(unigram_steps(t, p, err));
    TRY(put_tokens(t, p, err));
    TRY(put_scores(t, p, err));
    t->bos = known(t, p->bos, -1);
    t->eos = known(t, p->eos, 1);
    t->unk = known(t, p->unk, 2);
    return around(t, said(p->add_bos, false), said(p->add_eos, true), "such", err);
}

static enum sp_status make(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err)
{
    static const struct {
        const char *name;
        enum sp_status (*make)(struct sp_tokenizer *t, const struct sp_token_parts *p, struct sp_err *err);
    } models[] = { { "llama", make_llama },
                   { "gpt2", make_gpt2 },
                   { "gemma4", make_gemma },
                   { "bert", make_bert },
                   { "t5", make_unigram } };
    for (size_t i = 0; i < SP_COUNT(models); i++)
        if (p->model && strcmp(p->model, models[i].name) == 0) {
            TRY(models[i].make(t, p, err));
            return sp_tok_finish(t, err);
        }
    sp_fail(err, SP_UNSUPPORTED, "the tokenizer model \"%.40s\" is not known", p->model ? p->model : "");
    return sp_remedy(err, "llama, gpt2, gemma4, bert and t5 are");
}

enum sp_status sp_tokenizer_from_parts(struct sp_tokenizer **out, const struct sp_token_parts *parts,
                                       struct sp_err *err)
{
    struct sp_tokenizer *t = NULL;
    TRY(sp_tok_new(&t, err));
    enum sp_status st = make(t, parts, err);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}
