/* text/load_steps.c - reading what stands before the model: normalizers and pre-tokenizers.
 * A step that isn't known is refused by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { NEST_MAX = 4, LENGTH_MAX = 1 << 20 }; /* Sequence inside Sequence; characters of a FixedLength */

/* ---- what all steps share ---- */
enum sp_status sp_tok_keep(struct sp_tokenizer *t, const char *s, const char **out, struct sp_err *err)
{
    *out = sp_arena_printf(&t->mem, "%s", s);
    return *out ? SP_OK : sp_tok_nomem(err);
}

static enum sp_status each(struct sp_tokenizer *t, const json_t *j, const char *list, sp_tok_step_fn *fn, int depth,
                           struct sp_err *err)
{
    const char *type = NULL;
    if (!j || json_is_null(j))
        return SP_OK;
    if (!json_is_object(j))
        return sp_fail(err, SP_FORMAT, "a step of \"%s\" is not an object", list);
    TRY(sp_json_text(j, "type", "", &type, err));
    if (strcmp(type, "Sequence") != 0)
        return fn(t, j, type, err);
    const json_t *steps = json_object_get(j, list);
    if (!json_is_array(steps) || depth == NEST_MAX)
        return sp_fail(err, SP_FORMAT, "a Sequence without its list \"%s\", or nested too deeply", list);
    for (size_t i = 0; i < json_array_size(steps); i++)
        TRY(each(t, json_array_get(steps, i), list, fn, depth + 1, err));
    return SP_OK;
}

enum sp_status sp_tok_each_step(struct sp_tokenizer *t, const json_t *j, const char *list, sp_tok_step_fn *fn,
                                struct sp_err *err)
{
    return each(t, j, list, fn, 0, err);
}

enum sp_status sp_tok_too_many(struct sp_err *err)
{
    return sp_fail(err, SP_LIMIT, "more than %d steps in a tokenizer", SP_TOK_STEPS_MAX);
}

enum sp_status sp_tok_json_pattern(const json_t *j, const char **text, bool *literal, struct sp_err *err)
{
    const json_t *p = json_object_get(j, "pattern"), *s = json_object_get(p, "String"),
                 *r = json_object_get(p, "Regex");
    if (!json_is_string(s) && !json_is_string(r))
        return sp_fail(err, SP_FORMAT, "a pattern must be {\"String\":…} or {\"Regex\":…}");
    *literal = json_is_string(s);
    *text = json_string_value(*literal ? s : r);
    return SP_OK;
}

enum sp_status sp_tok_json_scheme(const json_t *j, enum sp_tok_scheme *scheme, struct sp_err *err)
{
    const char *name = NULL;
    bool prefix = true;
    TRY(sp_json_bool(j, "add_prefix_space", true, &prefix, err));
    TRY(sp_json_text(j, "prepend_scheme", prefix ? "always" : "never", &name, err));
    for (size_t i = 0; i < SP_COUNT(sp_tok_schemes); i++)
        if (strcmp(name, sp_tok_schemes[i]) == 0) {
            *scheme = (enum sp_tok_scheme)i;
            return SP_OK;
        }
    return sp_fail(err, SP_UNSUPPORTED, "Metaspace prepend_scheme \"%.40s\" is not supported", name);
}

static enum sp_status behavior(const json_t *j, const char *fallback, enum sp_tok_behavior *out, struct sp_err *err)
{
    const char *name = "";
    TRY(sp_json_text(j, "behavior", fallback, &name, err));
    for (size_t i = 0; i < SP_COUNT(sp_tok_behaviors); i++)
        if (strcmp(name, sp_tok_behaviors[i]) == 0) {
            *out = (enum sp_tok_behavior)i;
            return SP_OK;
        }
    return sp_fail(err, SP_UNSUPPORTED, "behavior \"%.40s\" is not supported", name);
}

/* ---- normalizers ---- */
static enum sp_status norm_replace(struct sp_tokenizer *t, struct sp_tok_norm *r, const json_t *j, struct sp_err *err)
{
    const char *from = NULL, *to = NULL;
    bool literal = false;
    TRY(sp_tok_json_pattern(j, &from, &literal, err));
    TRY(sp_json_text(j, "content", "", &to, err));
    TRY(sp_tok_keep(t, to, &r->to, err));
    return sp_tok_pattern_init(&r->pattern, &t->mem, from, literal, err);
}

static enum sp_status norm_bert(struct sp_tok_norm *r, const json_t *j, struct sp_err *err)
{
    TRY(sp_json_bool(j, "clean_text", true, &r->clean, err));
    TRY(sp_json_bool(j, "handle_chinese_chars", true, &r->chinese, err));
    TRY(sp_json_bool(j, "lowercase", true, &r->lower, err));
    return sp_json_bool(j, "strip_accents", r->lower, &r->accents, err);
}

static enum sp_status norm_details(struct sp_tokenizer *t, struct sp_tok_norm *r, const json_t *j, struct sp_err *err)
{
    const char *text = NULL;
    switch (r->kind) {
    case SP_TOK_PREPEND:
        TRY(sp_json_text(j, "prepend", "", &text, err));
        return sp_tok_keep(t, text, &r->to, err);
    case SP_TOK_REPLACE:
        return norm_replace(t, r, j, err);
    case SP_TOK_STRIP:
        TRY(sp_json_bool(j, "strip_left", true, &r->left, err));
        return sp_json_bool(j, "strip_right", true, &r->right, err);
    case SP_TOK_BERT:
        return norm_bert(r, j, err);
    case SP_TOK_PRECOMPILED:
        TRY(sp_json_text(j, "precompiled_charsmap", "", &text, err));
        return sp_tok_charsmap_text(&r->map, &t->mem, text, err);
    default:
        return SP_OK;
    }
}

static enum sp_status normalizer(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    if (t->n_norm == SP_TOK_STEPS_MAX)
        return sp_tok_too_many(err);
    for (size_t i = 0; i < SP_COUNT(sp_tok_norm_names); i++)
        if (strcmp(type, sp_tok_norm_names[i]) == 0) {
            struct sp_tok_norm *r = &t->norm[t->n_norm++];
            r->kind = (enum sp_tok_norm_kind)i;
            return norm_details(t, r, j, err);
        }
    return sp_fail(err, SP_UNSUPPORTED, "normalizer \"%.40s\" is not supported", type);
}

/* ---- pre-tokenizers ---- */
typedef enum sp_status pre_fn(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err);

static enum sp_status pre_split(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    const char *text = NULL;
    bool literal = false;
    p->kind = SP_TOK_SPLIT;
    TRY(sp_tok_json_pattern(j, &text, &literal, err));
    TRY(behavior(j, "", &p->behavior, err));
    TRY(sp_json_bool(j, "invert", false, &p->invert, err));
    return sp_tok_pattern_init(&p->pattern, &t->mem, text, literal, err);
}

static enum sp_status pre_delimiter(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    const char *text = NULL;
    p->kind = SP_TOK_SPLIT;
    p->behavior = SP_TOK_REMOVED;
    TRY(sp_json_text(j, "delimiter", "", &text, err));
    return sp_tok_pattern_init(&p->pattern, &t->mem, text, true, err);
}

static enum sp_status pre_byte_level(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    p->kind = SP_TOK_BYTE_LEVEL;
    p->behavior = SP_TOK_ISOLATED;
    p->spells = true;
    TRY(sp_json_bool(j, "add_prefix_space", true, &p->prefix_space, err));
    TRY(sp_json_bool(j, "use_regex", true, &p->use_regex, err));
    return p->use_regex ? sp_tok_pattern_init(&p->pattern, &t->mem, sp_tok_gpt2_pattern, false, err) : SP_OK;
}

static enum sp_status pre_metaspace(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    const char *mark = NULL;
    p->kind = SP_TOK_METASPACE;
    p->behavior = SP_TOK_WITH_NEXT;
    TRY(sp_json_text(j, "replacement", "\xe2\x96\x81", &mark, err));
    TRY(sp_json_bool(j, "split", true, &p->split, err));
    TRY(sp_tok_json_scheme(j, &p->scheme, err));
    TRY(sp_tok_keep(t, mark, &p->replacement, err));
    return sp_tok_pattern_init(&p->pattern, &t->mem, mark, true, err);
}

static enum sp_status pre_digits(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    (void)t;
    bool individual = false;
    p->kind = SP_TOK_DIGITS;
    TRY(sp_json_bool(j, "individual_digits", false, &individual, err));
    p->behavior = individual ? SP_TOK_ISOLATED : SP_TOK_CONTIGUOUS;
    return SP_OK;
}

static enum sp_status pre_punctuation(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    (void)t;
    p->kind = SP_TOK_PUNCTUATION;
    return behavior(j, "Isolated", &p->behavior, err);
}

static enum sp_status pre_whitespace(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    (void)t, (void)j, (void)err;
    p->kind = SP_TOK_WHITESPACE;
    return SP_OK;
}

static enum sp_status pre_whitespace_split(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j,
                                           struct sp_err *err)
{
    (void)t, (void)j, (void)err;
    p->kind = SP_TOK_WHITESPACE_SPLIT;
    p->behavior = SP_TOK_REMOVED;
    return SP_OK;
}

/* BERT's is two steps: at spaces, then at punctuation. */
static enum sp_status pre_bert(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    if (t->n_pre == SP_TOK_STEPS_MAX)
        return sp_tok_too_many(err);
    t->pre[t->n_pre++] = (struct sp_tok_pre){ .kind = SP_TOK_PUNCTUATION, .behavior = SP_TOK_ISOLATED };
    return pre_whitespace_split(t, p, j, err);
}

static enum sp_status pre_length(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    (void)t;
    p->kind = SP_TOK_LENGTH;
    return sp_json_int(j, "length", 1, LENGTH_MAX, 5, &p->length, err);
}

static enum sp_status pre_tokenizer(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    static const struct {
        const char *type;
        pre_fn *read;
    } known[] = {
        { "Split", pre_split },
        { "ByteLevel", pre_byte_level },
        { "Metaspace", pre_metaspace },
        { "Digits", pre_digits },
        { "Punctuation", pre_punctuation },
        { "Whitespace", pre_whitespace },
        { "WhitespaceSplit", pre_whitespace_split },
        { "BertPreTokenizer", pre_bert },
        { "CharDelimiterSplit", pre_delimiter },
        { "FixedLength", pre_length },
    };
    if (t->n_pre == SP_TOK_STEPS_MAX)
        return sp_tok_too_many(err);
    for (size_t i = 0; i < SP_COUNT(known); i++)
        if (strcmp(type, known[i].type) == 0)
            return known[i].read(t, &t->pre[t->n_pre++], j, err);
    return sp_fail(err, SP_UNSUPPORTED, "pre-tokenizer \"%.40s\" is not supported", type);
}

/* Where ByteLevel is the last step before BPE, the model works on the bytes themselves. */
static void choose_bytes(struct sp_tokenizer *t)
{
    int n = 0;
    for (int i = 0; i < t->n_pre; i++)
        n += t->pre[i].kind == SP_TOK_BYTE_LEVEL;
    bool last = n == 1 && t->pre[t->n_pre - 1].kind == SP_TOK_BYTE_LEVEL;
    t->byte_level = last && t->model == SP_TOK_BPE && !t->byte_fallback && !*t->prefix && !*t->suffix;
    if (t->byte_level)
        t->pre[t->n_pre - 1].spells = false;
}

enum sp_status sp_tok_load_steps(struct sp_tokenizer *t, const json_t *root, struct sp_err *err)
{
    TRY(sp_tok_each_step(t, json_object_get(root, "normalizer"), "normalizers", normalizer, err));
    TRY(sp_tok_each_step(t, json_object_get(root, "pre_tokenizer"), "pretokenizers", pre_tokenizer, err));
    choose_bytes(t);
    return sp_tok_load_decoder(t, json_object_get(root, "decoder"), err);
}
