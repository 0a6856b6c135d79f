/* text/save.c - writing a tokenizer.json that Hugging Face tokenizers reads.
 * Written from the tables, so any tokenizer can be written, however it was made.
 * SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "../file/file.h"
#include "inner.h"

/* A vocabulary string as the file spells it; NULL: no memory, or not UTF-8. */
static json_t *spelled(const struct sp_tokenizer *t, int32_t id)
{
    const struct sp_tok_token *k = &t->token[id];
    if (!t->byte_level || (k->flags & SP_TOK_LITERAL))
        return json_stringn(k->raw, k->n_raw);
    struct sp_text name = { 0 };
    sp_tok_map_bytes(&name, k->raw, k->n_raw);
    json_t *j = name.full ? NULL : json_stringn(name.n ? name.at : "", name.n);
    sp_text_clear(&name);
    return j;
}

static json_t *spelled_added(const struct sp_tokenizer *t, int32_t id)
{
    return json_stringn(t->token[id].raw, t->token[id].n_raw);
}

static json_t *vocab(const struct sp_tokenizer *t)
{
    json_t *out = json_object();
    for (int32_t id = 0; id < t->n_vocab && out; id++) {
        if (!(t->token[id].flags & SP_TOK_IN_VOCAB))
            continue;
        json_t *name = spelled(t, id);
        if (!name || json_object_set_new(out, json_string_value(name), json_integer(id))) {
            json_decref(out);
            out = NULL;
        }
        json_decref(name);
    }
    return out;
}

static json_t *merges(const struct sp_tokenizer *t)
{
    size_t n;
    struct sp_tok_ranked *m = sp_tok_merges_ranked(t, &n);
    json_t *out = m ? json_array() : NULL;
    for (size_t i = 0; i < n && out; i++) {
        json_t *a = spelled(t, (int32_t)(m[i].key >> 32)), *b = spelled(t, (int32_t)(uint32_t)m[i].key);
        bool spaced = a && b && (strchr(json_string_value(a), ' ') || strchr(json_string_value(b), ' '));
        /* "a b" where it can be: every version reads that */
        json_t *both = spaced   ? json_pack("[O, O]", a, b)
                       : a && b ? json_sprintf("%s %s", json_string_value(a), json_string_value(b))
                                : NULL;
        json_decref(a);
        json_decref(b);
        if (json_array_append_new(out, both)) {
            json_decref(out);
            out = NULL;
        }
    }
    sp_free(m);
    return out;
}

static json_t *added(const struct sp_tokenizer *t)
{
    json_t *out = json_array();
    for (int32_t id = 0; id < t->n_vocab; id++) {
        uint32_t f = t->token[id].flags;
        if (f & SP_TOK_ADDED)
            json_array_append_new(out,
                                  json_pack("{s:i, s:o, s:b, s:b, s:b, s:b, s:b}", "id", id, "content",
                                            spelled_added(t, id), "single_word", !!(f & SP_TOK_SINGLE_WORD), "lstrip",
                                            !!(f & SP_TOK_LSTRIP), "rstrip", !!(f & SP_TOK_RSTRIP), "normalized",
                                            !!(f & SP_TOK_NORMALIZED), "special", !!(f & SP_TOK_SPECIAL)));
    }
    return out;
}

/* One step alone, several as a Sequence, none as null. */
static json_t *steps(json_t *list, const char *key)
{
    json_t *out = json_array_size(list) == 0   ? json_null()
                  : json_array_size(list) == 1 ? json_incref(json_array_get(list, 0))
                                               : json_pack("{s:s, s:O}", "type", "Sequence", key, list);
    json_decref(list);
    return out;
}

static json_t *pattern(const struct sp_tok_pattern *p)
{
    return json_pack("{s:s}", p->literal ? "String" : "Regex", p->text);
}

static json_t *charsmap(const struct sp_tok_charsmap *m)
{
    size_t n = sodium_base64_encoded_len(m->n_blob, sodium_base64_VARIANT_ORIGINAL);
    char *text = sp_alloc(n);
    json_t *out = NULL;
    if (text) {
        sodium_bin2base64(text, n, m->n_blob ? m->blob : (const unsigned char *)"", m->n_blob,
                          sodium_base64_VARIANT_ORIGINAL);
        out = json_string(text);
    }
    sp_free(text);
    return out;
}

static json_t *normalizer(const struct sp_tok_norm *r)
{
    const char *type = sp_tok_norm_names[r->kind];
    switch (r->kind) {
    case SP_TOK_PREPEND:
        return json_pack("{s:s, s:s}", "type", type, "prepend", r->to);
    case SP_TOK_REPLACE:
        return json_pack("{s:s, s:o, s:s}", "type", type, "pattern", pattern(&r->pattern), "content", r->to);
    case SP_TOK_STRIP:
        return json_pack("{s:s, s:b, s:b}", "type", type, "strip_left", r->left, "strip_right", r->right);
    case SP_TOK_BERT:
        return json_pack("{s:s, s:b, s:b, s:b, s:b}", "type", type, "clean_text", r->clean, "handle_chinese_chars",
                         r->chinese, "strip_accents", r->accents, "lowercase", r->lower);
    case SP_TOK_PRECOMPILED:
        return json_pack("{s:s, s:o}", "type", type, "precompiled_charsmap", charsmap(&r->map));
    default:
        return json_pack("{s:s}", "type", type);
    }
}

static json_t *normalizers(const struct sp_tokenizer *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_norm; i++)
        json_array_append_new(list, normalizer(&t->norm[i]));
    return steps(list, "normalizers");
}

static json_t *byte_level(bool prefix, bool use_regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", prefix, "trim_offsets", 1,
                     "use_regex", use_regex);
}

static json_t *pre_tokenizer(const struct sp_tok_pre *p)
{
    switch (p->kind) {
    case SP_TOK_SPLIT:
        return json_pack("{s:s, s:o, s:s, s:b}", "type", "Split", "pattern", pattern(&p->pattern), "behavior",
                         sp_tok_behaviors[p->behavior], "invert", p->invert);
    case SP_TOK_BYTE_LEVEL:
        return byte_level(p->prefix_space, p->use_regex);
    case SP_TOK_METASPACE:
        return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", p->replacement, "prepend_scheme",
                         sp_tok_schemes[p->scheme], "split", p->split);
    case SP_TOK_DIGITS:
        return json_pack("{s:s, s:b}", "type", "Digits", "individual_digits", p->behavior == SP_TOK_ISOLATED);
    case SP_TOK_PUNCTUATION:
        return json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", sp_tok_behaviors[p->behavior]);
    case SP_TOK_WHITESPACE:
        return json_pack("{s:s}", "type", "Whitespace");
    case SP_TOK_WHITESPACE_SPLIT:
        return json_pack("{s:s}", "type", "WhitespaceSplit");
    case SP_TOK_LENGTH:
        break;
    }
    return json_pack("{s:s, s:I}", "type", "FixedLength", "length", (json_int_t)p->length);
}

static json_t *pre_tokenizers(const struct sp_tokenizer *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_pre; i++)
        json_array_append_new(list, pre_tokenizer(&t->pre[i]));
    return steps(list, "pretokenizers");
}

static json_t *one_decoder(const struct sp_tok_dec *d)
{
    switch (d->kind) {
    case SP_TOK_DEC_BYTE_LEVEL:
        return byte_level(true, true);
    case SP_TOK_DEC_BYTE_FALLBACK:
        return json_pack("{s:s}", "type", "ByteFallback");
    case SP_TOK_DEC_FUSE:
        return json_pack("{s:s}", "type", "Fuse");
    case SP_TOK_DEC_REPLACE:
        return json_pack("{s:s, s:o, s:s}", "type", "Replace", "pattern", pattern(&d->pattern), "content", d->to);
    case SP_TOK_DEC_STRIP:
        return json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", d->from, "start", d->start, "stop",
                         d->stop);
    case SP_TOK_DEC_METASPACE:
        return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", d->from, "prepend_scheme",
                         sp_tok_schemes[d->scheme], "split", 1);
    case SP_TOK_DEC_WORDPIECE:
        return json_pack("{s:s, s:s, s:b}", "type", "WordPiece", "prefix", d->from, "cleanup", d->cleanup);
    case SP_TOK_DEC_SUFFIX:
        break;
    }
    return json_pack("{s:s, s:s}", "type", "BPEDecoder", "suffix", d->from);
}

static json_t *decoder(const struct sp_tokenizer *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n_dec; i++)
        json_array_append_new(list, one_decoder(&t->dec[i]));
    if (!t->n_dec && !t->joins) /* without a decoder, readers would join by spaces */
        json_array_append_new(list, json_pack("{s:s}", "type", "Fuse"));
    return steps(list, "decoders");
}

static void template_token(const struct sp_tokenizer *t, int32_t id, json_t *list, json_t *specials)
{
    json_t *name = spelled_added(t, id);
    json_array_append_new(list, json_pack("{s:{s:O, s:i}}", "SpecialToken", "id", name, "type_id", 0));
    json_object_set_new(specials, json_string_value(name),
                        json_pack("{s:O, s:[i], s:[O]}", "id", name, "ids", id, "tokens", name));
    json_decref(name);
}

static json_t *post_processor(const struct sp_tokenizer *t)
{
    if (!t->n_before && !t->n_behind)
        return t->byte_level ? byte_level(true, true) : json_null();
    json_t *single = json_array(), *pair = json_array(), *specials = json_object();
    for (int i = 0; i < t->n_before; i++)
        template_token(t, t->before[i], single, specials);
    json_array_append_new(single, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0));
    for (int i = 0; i < t->n_behind; i++)
        template_token(t, t->behind[i], single, specials);
    json_array_extend(pair, single);
    json_array_append_new(pair, json_pack("{s:{s:s, s:i}}", "Sequence", "id", "B", "type_id", 1));
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                     "special_tokens", specials);
}

static json_t *pieces(const struct sp_tokenizer *t)
{
    json_t *out = json_array();
    for (int32_t id = 0; id < t->n_vocab; id++)
        if (t->token[id].flags & SP_TOK_IN_VOCAB)
            json_array_append_new(out, json_pack("[o, f]", spelled(t, id), t->score[id]));
    return out;
}

static json_t *model(const struct sp_tokenizer *t)
{
    json_t *unk = t->unk >= 0 ? spelled_added(t, t->unk) : json_null();
    switch (t->model) {
    case SP_TOK_UNIGRAM:
        json_decref(unk);
        unk = t->unk >= 0 ? json_integer(t->unk) : json_null();
        return json_pack("{s:s, s:o, s:o, s:b}", "type", "Unigram", "unk_id", unk, "vocab", pieces(t), "byte_fallback",
                         t->byte_fallback);
    case SP_TOK_WORDPIECE:
        return json_pack("{s:s, s:o, s:s, s:I, s:o}", "type", "WordPiece", "unk_token", unk,
                         "continuing_subword_prefix", t->prefix, "max_input_chars_per_word",
                         (json_int_t)t->word_chars_max, "vocab", vocab(t));
    case SP_TOK_WORDLEVEL:
        return json_pack("{s:s, s:o, s:o}", "type", "WordLevel", "vocab", vocab(t), "unk_token", unk);
    case SP_TOK_BPE:
        break;
    }
    return json_pack("{s:s, s:n, s:o, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token", unk,
                     "continuing_subword_prefix", t->prefix, "end_of_word_suffix", t->suffix, "fuse_unk", t->fuse_unk,
                     "byte_fallback", t->byte_fallback, "ignore_merges", t->ignore_merges, "vocab", vocab(t), "merges",
                     merges(t));
}

/* Whether JSON can hold every token: byte-level names are spelled in characters, others are written as they are. */
static bool is_text(const struct sp_tokenizer *t)
{
    for (int32_t id = 0; id < t->n_vocab; id++) {
        const struct sp_tok_token *k = &t->token[id];
        bool as_is = (k->flags & SP_TOK_ADDED) ||
                     ((k->flags & SP_TOK_IN_VOCAB) && (!t->byte_level || (k->flags & SP_TOK_LITERAL)));
        if (as_is && !sp_utf8_valid(k->raw, k->n_raw))
            return false;
    }
    return true;
}

enum sp_status sp_tokenizer_save(const struct sp_tokenizer *t, const char *path, struct sp_err *err)
{
    sp_json_begin();
    json_t *root = json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:o, s:o, s:o}", "version", "1.0", "truncation", "padding",
                             "added_tokens", added(t), "normalizer", normalizers(t), "pre_tokenizer", pre_tokenizers(t),
                             "post_processor", post_processor(t), "decoder", decoder(t), "model", model(t));
    if (!root && !is_text(t))
        return sp_fail(err, SP_FORMAT, "%s: the tokenizer can't be written: a token isn't UTF-8", path);
    if (!root)
        return sp_fail(err, SP_NOMEM, "%s: no memory to write the tokenizer", path);
    enum sp_status st = sp_json_write(path, root, err);
    json_decref(root);
    return st;
}
