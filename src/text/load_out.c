/* text/load_out.c - reading what stands behind the model: decoders and the post-processor.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { STRIP_MAX = 1000 };

/* ---- decoders ---- */
static enum sp_status dec_replace(struct sp_tokenizer *t, struct sp_tok_dec *d, const json_t *j, struct sp_err *err)
{
    const char *from = NULL, *to = NULL;
    bool literal = false;
    TRY(sp_tok_json_pattern(j, &from, &literal, err));
    TRY(sp_json_text(j, "content", "", &to, err));
    TRY(sp_tok_keep(t, to, &d->to, err));
    return sp_tok_pattern_init(&d->pattern, &t->mem, from, literal, err);
}

static enum sp_status named(struct sp_tokenizer *t, struct sp_tok_dec *d, const json_t *j, const char *key,
                            const char *fallback, struct sp_err *err)
{
    const char *text = NULL;
    TRY(sp_json_text(j, key, fallback, &text, err));
    if (!*text)
        return sp_fail(err, SP_FORMAT, "a decoder's \"%s\" is empty", key);
    return sp_tok_keep(t, text, &d->from, err);
}

static enum sp_status dec_strip(struct sp_tokenizer *t, struct sp_tok_dec *d, const json_t *j, struct sp_err *err)
{
    int64_t start = 0, stop = 0;
    TRY(sp_json_int(j, "start", 0, STRIP_MAX, 0, &start, err));
    TRY(sp_json_int(j, "stop", 0, STRIP_MAX, 0, &stop, err));
    d->start = (int)start;
    d->stop = (int)stop;
    return named(t, d, j, "content", " ", err);
}

static enum sp_status dec_details(struct sp_tokenizer *t, struct sp_tok_dec *d, const json_t *j, struct sp_err *err)
{
    switch (d->kind) {
    case SP_TOK_DEC_REPLACE:
        return dec_replace(t, d, j, err);
    case SP_TOK_DEC_STRIP:
        return dec_strip(t, d, j, err);
    case SP_TOK_DEC_METASPACE:
        TRY(sp_tok_json_scheme(j, &d->scheme, err));
        return named(t, d, j, "replacement", "\xe2\x96\x81", err);
    case SP_TOK_DEC_WORDPIECE:
        TRY(sp_json_bool(j, "cleanup", true, &d->cleanup, err));
        return named(t, d, j, "prefix", "##", err);
    case SP_TOK_DEC_SUFFIX:
        return named(t, d, j, "suffix", "</w>", err);
    default:
        return SP_OK;
    }
}

static enum sp_status decoder(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    static const char *const names[] = {
        [SP_TOK_DEC_BYTE_LEVEL] = "ByteLevel",
        [SP_TOK_DEC_BYTE_FALLBACK] = "ByteFallback",
        [SP_TOK_DEC_FUSE] = "Fuse",
        [SP_TOK_DEC_REPLACE] = "Replace",
        [SP_TOK_DEC_STRIP] = "Strip",
        [SP_TOK_DEC_METASPACE] = "Metaspace",
        [SP_TOK_DEC_WORDPIECE] = "WordPiece",
        [SP_TOK_DEC_SUFFIX] = "BPEDecoder",
    };
    if (t->n_dec == SP_TOK_STEPS_MAX)
        return sp_tok_too_many(err);
    for (size_t i = 0; i < SP_COUNT(names); i++)
        if (strcmp(type, names[i]) == 0) {
            struct sp_tok_dec *d = &t->dec[t->n_dec++];
            d->kind = (enum sp_tok_dec_kind)i;
            return dec_details(t, d, j, err);
        }
    return sp_fail(err, SP_UNSUPPORTED, "decoder \"%.40s\" is not supported", type);
}

enum sp_status sp_tok_load_decoder(struct sp_tokenizer *t, const json_t *j, struct sp_err *err)
{
    t->joins = !j || json_is_null(j);
    return sp_tok_each_step(t, j, "decoders", decoder, err);
}

/* ---- post-processor: ids before and behind the text ---- */
static enum sp_status around(struct sp_tokenizer *t, bool behind, const json_t *id, struct sp_err *err)
{
    int *n = behind ? &t->n_behind : &t->n_before;
    if (*n == SP_TOK_STEPS_MAX)
        return sp_tok_too_many(err);
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= t->n_vocab)
        return sp_fail(err, SP_FORMAT, "the post-processor names a token outside the vocabulary");
    (behind ? t->behind : t->before)[(*n)++] = (int32_t)json_integer_value(id);
    return SP_OK;
}

static enum sp_status from_template(struct sp_tokenizer *t, const json_t *j, struct sp_err *err)
{
    const json_t *single = json_object_get(j, "single"), *specials = json_object_get(j, "special_tokens"), *item, *id;
    bool behind = false;
    size_t i, k;
    if (!json_is_array(single))
        return sp_fail(err, SP_FORMAT, "TemplateProcessing without its list \"single\"");
    json_array_foreach(single, i, item) {
        const json_t *special = json_object_get(item, "SpecialToken");
        const char *name = json_string_value(json_object_get(special, "id"));
        if (json_object_get(item, "Sequence"))
            behind = true;
        if (!special)
            continue;
        const json_t *ids = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
        if (!json_is_array(ids))
            return sp_fail(err, SP_FORMAT, "TemplateProcessing uses \"%.40s\" without saying its ids",
                           name ? name : "(no name)");
        json_array_foreach(ids, k, id)
            TRY(around(t, behind, id, err));
    }
    return SP_OK;
}

static enum sp_status post_step(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    if (strcmp(type, "ByteLevel") == 0)
        return SP_OK;
    if (strcmp(type, "TemplateProcessing") == 0)
        return from_template(t, j, err);
    if (strcmp(type, "RobertaProcessing") == 0 || strcmp(type, "BertProcessing") == 0) {
        TRY(around(t, false, json_array_get(json_object_get(j, "cls"), 1), err));
        return around(t, true, json_array_get(json_object_get(j, "sep"), 1), err);
    }
    return sp_fail(err, SP_UNSUPPORTED, "post-processor \"%.40s\" is not supported", type);
}

enum sp_status sp_tok_load_post(struct sp_tokenizer *t, const json_t *post, struct sp_err *err)
{
    return sp_tok_each_step(t, post, "processors", post_step, err);
}
