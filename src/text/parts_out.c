/* text/parts_out.c - a tokenizer taken apart into what GGUF metadata hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "inner.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };
static const char mark[] = "\xe2\x96\x81";

/* ---- tokens ---- */
/* A token's text as GGUF spells it, in front of what `text` has. */
static void spell(const struct sp_tokenizer *t, int32_t id, struct sp_text *text)
{
    const struct sp_tok_token *k = &t->token[id];
    size_t n = strlen(t->prefix);
    if (!(k->flags & SP_TOK_USED))
        sp_text_printf(text, "[PAD%d]", id);
    else if (t->byte_level && !(k->flags & SP_TOK_LITERAL))
        sp_tok_map_bytes(text, k->raw, k->n_raw);
    else if (t->model != SP_TOK_WORDPIECE || (k->n_raw > 1 && *k->raw == '[' && k->raw[k->n_raw - 1] == ']'))
        sp_text_add(text, k->raw, k->n_raw);
    else if (k->n_raw > n && memcmp(k->raw, t->prefix, n) == 0)
        sp_text_add(text, k->raw + n, k->n_raw - n);
    else {
        sp_text_add(text, mark, strlen(mark));
        sp_text_add(text, k->raw, k->n_raw);
    }
}

static enum sp_status keep(struct sp_text *text, struct sp_arena *mem, struct sp_slice *out, struct sp_err *err)
{
    char *copy = text->full ? NULL : sp_arena_take(mem, text->n + 1);
    if (!copy)
        return sp_tok_nomem(err);
    if (text->n)
        memcpy(copy, text->at, text->n);
    *out = (struct sp_slice){ copy, text->n };
    text->n = 0;
    return SP_OK;
}

static int32_t type_of(const struct sp_tokenizer *t, int32_t id)
{
    uint32_t flags = t->token[id].flags;
    if (!(flags & SP_TOK_USED))
        return UNUSED;
    if (id == t->unk && !t->byte_level)
        return UNKNOWN;
    if (flags & SP_TOK_SPECIAL)
        return CONTROL;
    if (flags & SP_TOK_BYTE)
        return BYTE;
    return flags & SP_TOK_ADDED ? USER_DEFINED : NORMAL;
}

static enum sp_status tokens_out(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                 struct sp_text *text, struct sp_err *err)
{
    struct sp_slice *token = sp_arena_take(mem, (size_t)t->n_vocab * sizeof *token);
    int32_t *type = sp_arena_take(mem, (size_t)t->n_vocab * sizeof *type);
    if (!token || !type)
        return sp_tok_nomem(err);
    for (int32_t id = 0; id < t->n_vocab; id++) {
        spell(t, id, text);
        TRY(keep(text, mem, &token[id], err));
        type[id] = type_of(t, id);
    }
    out->n_tokens = t->n_vocab;
    out->token = token;
    out->type = type;
    return SP_OK;
}

/* ---- merges and scores ---- */
static enum sp_status merges_out(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                 struct sp_text *text, struct sp_err *err)
{
    struct sp_slice *list = sp_arena_take(mem, (t->merge.n + 1) * sizeof *list);
    size_t n;
    struct sp_tok_ranked *m = sp_tok_merges_ranked(t, &n);
    enum sp_status st = list && m ? SP_OK : sp_tok_nomem(err);
    for (size_t i = 0; i < n && !st; i++) {
        spell(t, (int32_t)(m[i].key >> 32), text);
        sp_text_add(text, " ", 1);
        spell(t, (int32_t)(uint32_t)m[i].key, text);
        st = keep(text, mem, &list[i], err);
    }
    sp_free(m);
    if (!st) {
        out->merge = list;
        out->n_merges = (int32_t)n;
    }
    return st;
}

/* Scores as they are; a BPE of merges gets the rank of the first merge that makes a token, negated. */
static enum sp_status scores_out(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                 struct sp_err *err)
{
    float *score = sp_arena_take(mem, (size_t)t->n_vocab * sizeof *score);
    if (!score)
        return sp_tok_nomem(err);
    for (int32_t id = 0; id < t->n_vocab; id++)
        score[id] = t->score ? (float)t->score[id] : t->token[id].flags & (SP_TOK_SPECIAL | SP_TOK_BYTE) ? 0 : -1e6f;
    for (size_t i = 0; i < t->merge.cap && !t->score; i++) {
        if (t->merge.slot[i].key == UINT64_MAX)
            continue;
        float rank = -(float)(t->merge.slot[i].value >> 32);
        int32_t id = (int32_t)(uint32_t)t->merge.slot[i].value;
        score[id] = score[id] > rank && score[id] > -1e6f ? score[id] : rank;
    }
    out->score = score;
    return SP_OK;
}

/* ---- the kinds ---- */
static bool has_norm(const struct sp_tokenizer *t, enum sp_tok_norm_kind kind, const struct sp_tok_norm **out)
{
    for (int i = 0; i < t->n_norm; i++)
        if (t->norm[i].kind == kind) {
            *out = &t->norm[i];
            return true;
        }
    return false;
}

static enum sp_status kind_out(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_err *err)
{
    const struct sp_tok_norm *r = NULL;
    if (t->byte_level) {
        out->model = "gpt2";
        out->pre = sp_tok_pre_name_of(t);
        if (out->pre)
            return SP_OK;
    } else if (t->model == SP_TOK_BPE && t->byte_fallback && !*t->prefix && !*t->suffix) {
        out->model = "llama";
        out->pre = "default";
        bool front = t->n_pre == 1 && t->pre[0].kind == SP_TOK_METASPACE && t->pre[0].scheme != SP_TOK_NEVER;
        out->add_space_prefix = has_norm(t, SP_TOK_PREPEND, &r) || front;
        return SP_OK;
    } else if (t->model == SP_TOK_WORDPIECE && strcmp(t->prefix, "##") == 0) {
        out->model = "bert";
        out->pre = "default";
        if (has_norm(t, SP_TOK_BERT, &r)) {
            out->lowercase = r->lower;
            out->strip_accents = r->accents;
        }
        return SP_OK;
    } else if (t->model == SP_TOK_UNIGRAM) {
        out->model = "t5";
        out->pre = "default";
        out->add_space_prefix =
            t->n_pre && t->pre[t->n_pre - 1].kind == SP_TOK_METASPACE && t->pre[t->n_pre - 1].scheme != SP_TOK_NEVER;
        out->remove_extra_whitespaces = has_norm(t, SP_TOK_REPLACE, &r) || has_norm(t, SP_TOK_STRIP, &r) ||
                                        (t->n_pre && t->pre[0].kind == SP_TOK_WHITESPACE_SPLIT);
        if (has_norm(t, SP_TOK_PRECOMPILED, &r)) {
            out->charsmap = r->map.blob;
            out->n_charsmap = r->map.n_blob;
        }
        return SP_OK;
    }
    sp_fail(err, SP_UNSUPPORTED, "GGUF has no name for how this tokenizer splits text");
    return sp_remedy(err, "keep the model as a folder with its tokenizer.json");
}

static enum sp_status parts_out(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                struct sp_text *text, struct sp_err *err)
{
    TRY(kind_out(t, out, err));
    TRY(tokens_out(t, out, mem, text, err));
    if (t->byte_level)
        TRY(merges_out(t, out, mem, text, err));
    else if (t->model != SP_TOK_WORDPIECE)
        TRY(scores_out(t, out, mem, err));
    out->bos = t->bos;
    out->eos = out->sep = t->eos;
    out->unk = t->unk;
    out->add_bos = t->n_before > 0;
    out->add_eos = out->add_sep = t->n_behind > 0;
    if (t->model != SP_TOK_WORDPIECE)
        out->sep = out->add_sep = -1;
    return SP_OK;
}

enum sp_status sp_tokenizer_to_parts(const struct sp_tokenizer *t, struct sp_token_parts *out, struct sp_arena *mem,
                                     struct sp_err *err)
{
    struct sp_token_parts parts;
    struct sp_text text = { 0 };
    sp_token_parts_init(&parts);
    enum sp_status st = parts_out(t, &parts, mem, &text, err);
    sp_text_clear(&text);
    if (!st)
        *out = parts;
    return st;
}
