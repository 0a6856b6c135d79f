/* model/gguf_tokens.c - the vocabulary in a GGUF file's keys, both ways.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"
#include "gguf.h"

#define KEY(name) "tokenizer.ggml." name
#define AT(field) offsetof(struct sp_token_parts, field)
static const struct { const char *key; size_t at; } ids[] = {
    { KEY("bos_token_id"), AT(bos) }, { KEY("eos_token_id"), AT(eos) }, { KEY("unknown_token_id"), AT(unk) }, { KEY("seperator_token_id"), AT(sep) },
    { KEY("padding_token_id"), AT(pad) }, { KEY("mask_token_id"), AT(mask) }, { KEY("eot_token_id"), AT(eot) },
}, flags[] = {
    { KEY("add_bos_token"), AT(add_bos) }, { KEY("add_eos_token"), AT(add_eos) }, { KEY("add_sep_token"), AT(add_sep) },
    { KEY("add_space_prefix"), AT(add_space_prefix) }, { KEY("remove_extra_whitespaces"), AT(remove_extra_whitespaces) },
    { "tokenizer.ggml.normalizer.lowercase", AT(lowercase) }, { "tokenizer.ggml.normalizer.strip_accents", AT(strip_accents) },
};
#undef AT

/* ---- reading ---- */

/* A list of that kind (I32: or U32), of n elements where n is not 0; NULL: there is none. */
static enum sp_status list(const struct sp_gguf *g, const char *key, enum sp_gguf_kind kind, uint64_t n, const struct sp_gguf_pair **out, struct sp_err *err)
{
    const struct sp_gguf_pair *p = sp_gguf_find(g, key);
    *out = p;
    if (!p)
        return SP_OK;
    bool fits = p->kind == kind || (kind == SP_GGUF_I32 && p->kind == SP_GGUF_U32);
    if (!p->list || !fits || (n && p->n != n) || p->n > INT32_MAX)
        return sp_fail(err, SP_FORMAT, "\"%s\" holds %llu values of type %d, which isn't what belongs there", key, (unsigned long long)p->n, (int)p->kind);
    return SP_OK;
}

static enum sp_status texts(const struct sp_gguf_pair *p, struct sp_arena *mem, const struct sp_slice **out, int32_t *n, struct sp_err *err)
{
    const unsigned char *at = p ? p->at : NULL;
    struct sp_slice *s = sp_arena_take(mem, (size_t)(p ? p->n + 1 : 1) * sizeof *s);
    if (!s)
        return sp_fail(err, SP_NOMEM, "no memory for the vocabulary");
    for (uint64_t i = 0; p && i < p->n; i++)
        s[i] = sp_gguf_next_text(&at);
    *out = s;
    *n = p ? (int32_t)p->n : 0;
    return SP_OK;
}

/* Numbers are copied: they may stand unaligned in the header. */
static enum sp_status numbers(const struct sp_gguf_pair *p, struct sp_arena *mem, const void **out, struct sp_err *err)
{
    void *to = p ? sp_arena_take(mem, (size_t)p->n * 4 + 4) : NULL;
    if (p && !to)
        return sp_fail(err, SP_NOMEM, "no memory for the vocabulary");
    if (p)
        memcpy(to, p->at, (size_t)p->n * 4);
    *out = to;
    return SP_OK;
}

static enum sp_status read_lists(const struct sp_gguf *g, struct sp_token_parts *p, struct sp_arena *mem, struct sp_err *err)
{
    const struct sp_gguf_pair *tokens, *scores, *types, *merges, *map;
    const void *at;
    TRY(list(g, KEY("tokens"), SP_GGUF_TEXT, 0, &tokens, err));
    uint64_t n = tokens ? tokens->n : 0;
    TRY(list(g, KEY("scores"), SP_GGUF_F32, n, &scores, err));
    TRY(list(g, KEY("token_type"), SP_GGUF_I32, n, &types, err));
    TRY(list(g, KEY("merges"), SP_GGUF_TEXT, 0, &merges, err));
    TRY(texts(tokens, mem, &p->token, &p->n_tokens, err));
    TRY(texts(merges, mem, &p->merge, &p->n_merges, err));
    TRY(numbers(scores, mem, &at, err));
    p->score = at;
    TRY(numbers(types, mem, &at, err));
    p->type = at;
    map = sp_gguf_find(g, KEY("precompiled_charsmap"));
    if (map && map->list && (map->kind == SP_GGUF_U8 || map->kind == SP_GGUF_I8)) {
        p->charsmap = map->at;
        p->n_charsmap = (size_t)map->n;
    }
    return SP_OK;
}

static const char *text_of(const struct sp_gguf *g, const char *key, struct sp_arena *mem)
{
    json_t *v = sp_gguf_value(g, key);
    const char *s = json_is_string(v) ? sp_arena_printf(mem, "%s", json_string_value(v)) : NULL;
    json_decref(v);
    return s;
}

static void read_ids(const struct sp_gguf *g, struct sp_token_parts *p)
{
    for (size_t i = 0; i < SP_COUNT(ids) + SP_COUNT(flags); i++) {
        bool id = i < SP_COUNT(ids);
        const char *key = id ? ids[i].key : flags[i - SP_COUNT(ids)].key;
        json_t *v = sp_gguf_value(g, key);
        if (id && json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < p->n_tokens)
            *(int32_t *)(void *)((char *)p + ids[i].at) = (int32_t)json_integer_value(v);
        else if (!id && json_is_boolean(v))
            *((int8_t *)p + flags[i - SP_COUNT(ids)].at) = json_is_true(v);
        json_decref(v);
    }
}

enum sp_status sp_gguf_tokenizer(const struct sp_gguf *g, struct sp_tokenizer **out, struct sp_err *err)
{
    struct sp_token_parts p;
    struct sp_arena mem = { 0 };
    sp_token_parts_init(&p);
    enum sp_status st = read_lists(g, &p, &mem, err);
    if (!st) {
        p.model = text_of(g, KEY("model"), &mem);
        p.pre = text_of(g, KEY("pre"), &mem);
        read_ids(g, &p);
        st = sp_tokenizer_from_parts(out, &p, err);
    }
    sp_arena_clear(&mem);
    return st ? sp_where(err, "tokenizer") : SP_OK;
}

/* ---- writing ---- */

/* As many as the embedding has rows: what the tokenizer doesn't know is called [PADn] and unused. */
static enum sp_status put_tokens(struct sp_gguf_keys *k, const struct sp_token_parts *p, int64_t rows, struct sp_arena *mem, struct sp_err *err)
{
    int64_t n = rows;
    if (p->n_tokens > n)
        return sp_fail(err, SP_SHAPE, "the tokenizer has %d tokens, the model only %lld", (int)p->n_tokens, (long long)n);
    struct sp_slice *token = sp_arena_take(mem, (size_t)(n + 1) * sizeof *token);
    int32_t *type = sp_arena_take(mem, (size_t)(n + 1) * sizeof *type);
    float *score = sp_arena_take(mem, (size_t)(n + 1) * sizeof *score);
    if (!token || !type || !score)
        return sp_fail(err, SP_NOMEM, "no memory for the vocabulary");
    for (int64_t i = 0; i < n; i++) {
        bool own = i < p->n_tokens;
        const char *pad = own ? NULL : sp_arena_printf(mem, "[PAD%lld]", (long long)i);
        if (!own && !pad)
            return sp_fail(err, SP_NOMEM, "no memory for the vocabulary");
        token[i] = own ? p->token[i] : (struct sp_slice){ pad, strlen(pad) };
        type[i] = own && p->type ? p->type[i] : own ? 1 : 5;
        score[i] = own && p->score ? p->score[i] : 0;
    }
    sp_gguf_put_texts(k, KEY("tokens"), (uint64_t)n, token);
    sp_gguf_put_list(k, KEY("token_type"), SP_GGUF_I32, (uint64_t)n, type, (size_t)n * 4);
    if (p->score)
        sp_gguf_put_list(k, KEY("scores"), SP_GGUF_F32, (uint64_t)n, score, (size_t)n * 4);
    return SP_OK;
}

static void put_rest(struct sp_gguf_keys *k, const struct sp_token_parts *p)
{
    if (p->n_merges)
        sp_gguf_put_texts(k, KEY("merges"), (uint64_t)p->n_merges, p->merge);
    if (p->n_charsmap)
        sp_gguf_put_list(k, KEY("precompiled_charsmap"), SP_GGUF_U8, p->n_charsmap, p->charsmap, p->n_charsmap);
    for (size_t i = 0; i < SP_COUNT(ids); i++) {
        int32_t id = *(const int32_t *)(const void *)((const char *)p + ids[i].at);
        if (id >= 0)
            sp_gguf_put_word(k, ids[i].key, (uint32_t)id);
    }
    for (size_t i = 0; i < SP_COUNT(flags); i++) {
        int8_t on = *((const int8_t *)p + flags[i].at);
        if (on >= 0)
            sp_gguf_put_bool(k, flags[i].key, on);
    }
}

/* The configuration knows the end of a text where the tokenizer doesn't. */
static void complete(struct sp_token_parts *p, const struct sp_model_config *c)
{
    if (p->bos < 0 && c->bos >= 0 && c->bos < p->n_tokens)
        p->bos = (int32_t)c->bos;
    if (p->eos < 0 && c->n_eos && c->eos[0] < p->n_tokens)
        p->eos = (int32_t)c->eos[0];
}

enum sp_status sp_gguf_put_tokenizer(struct sp_gguf_keys *k, const struct sp_model_config *c, const struct sp_tokenizer *t, struct sp_err *err)
{
    struct sp_token_parts p;
    struct sp_arena mem = { 0 };
    sp_token_parts_init(&p);
    if (!t) {
        sp_gguf_put_text(k, KEY("model"), "none");
        p.n_tokens = INT32_MAX;
        complete(&p, c);
        put_rest(k, &p);
        return SP_OK;
    }
    enum sp_status st = sp_tokenizer_to_parts(t, &p, &mem, err);
    if (!st) {
        complete(&p, c);
        sp_gguf_put_text(k, KEY("model"), p.model);
        if (p.pre)
            sp_gguf_put_text(k, KEY("pre"), p.pre);
        st = put_tokens(k, &p, c->vocab, &mem, err);
        put_rest(k, &p);
    }
    sp_arena_clear(&mem);
    return st;
}
