/* text/load_steps.c - reading the steps around the model: normalizers, pre-tokenizers,
 * decoder, post-processor.  A step that isn't known is refused by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { NEST_MAX = 4 }; /* Sequence inside Sequence */

typedef enum sp_status step_fn(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err);

static enum sp_status keep(struct sp_tokenizer *t, const char *s, const char **out, struct sp_err *err)
{
    *out = sp_arena_printf(&t->mem, "%s", s);
    return *out ? SP_OK : sp_tok_nomem(err);
}

/* Walks Sequences; `list` is their key. */
static enum sp_status each(struct sp_tokenizer *t, const json_t *j, const char *list, step_fn *fn, int depth,
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

static enum sp_status too_many(struct sp_err *err)
{
    return sp_fail(err, SP_LIMIT, "more than %d steps in a tokenizer", SP_TOK_STEPS_MAX);
}

/* {"String": s} or {"Regex": s}. */
static enum sp_status pattern_of(const json_t *j, const char **text, bool *literal, struct sp_err *err)
{
    const json_t *p = json_object_get(j, "pattern"), *s = json_object_get(p, "String"),
                 *r = json_object_get(p, "Regex");
    if (!json_is_string(s) && !json_is_string(r))
        return sp_fail(err, SP_FORMAT, "a pattern must be {\"String\":…} or {\"Regex\":…}");
    *literal = json_is_string(s);
    *text = json_string_value(*literal ? s : r);
    return SP_OK;
}

/* ---- normalizers ---- */
static enum sp_status normalizer(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    static const char *const forms[] = {
        [SP_TOK_NFC] = "NFC", [SP_TOK_NFD] = "NFD", [SP_TOK_NFKC] = "NFKC", [SP_TOK_NFKD] = "NFKD"
    };
    if (t->n_norm == SP_TOK_STEPS_MAX)
        return too_many(err);
    struct sp_tok_norm r = { 0 };
    const char *from = "", *to = "";
    for (size_t i = 0; i < SP_COUNT(forms); i++)
        if (strcmp(type, forms[i]) == 0) {
            t->norm[t->n_norm++].kind = (enum sp_tok_norm_kind)i;
            return SP_OK;
        }
    if (strcmp(type, "Prepend") == 0) {
        r.kind = SP_TOK_PREPEND;
        TRY(sp_json_text(j, "prepend", "", &to, err));
    } else if (strcmp(type, "Replace") == 0) {
        bool literal = false;
        r.kind = SP_TOK_REPLACE;
        TRY(pattern_of(j, &from, &literal, err));
        TRY(sp_json_text(j, "content", "", &to, err));
        if (!literal || !*from)
            return sp_fail(err, SP_UNSUPPORTED, "normalizer Replace with a regular expression is not supported");
    } else {
        return sp_fail(err, SP_UNSUPPORTED, "normalizer \"%.40s\" is not supported", type);
    }
    TRY(keep(t, from, &r.from, err));
    TRY(keep(t, to, &r.to, err));
    t->norm[t->n_norm++] = r;
    return SP_OK;
}

/* ---- pre-tokenizers ---- */
static enum sp_status pre_split(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    static const char *const behaviors[] = { [SP_TOK_REMOVED] = "Removed",
                                             [SP_TOK_ISOLATED] = "Isolated",
                                             [SP_TOK_WITH_PREVIOUS] = "MergedWithPrevious",
                                             [SP_TOK_WITH_NEXT] = "MergedWithNext",
                                             [SP_TOK_CONTIGUOUS] = "Contiguous" };
    const char *text = NULL, *behavior = "";
    bool literal = false;
    p->kind = SP_TOK_SPLIT;
    TRY(pattern_of(j, &text, &literal, err));
    TRY(sp_json_text(j, "behavior", "", &behavior, err));
    TRY(sp_json_bool(j, "invert", false, &p->invert, err));
    for (size_t i = 0; i < SP_COUNT(behaviors); i++)
        if (strcmp(behavior, behaviors[i]) == 0) {
            p->behavior = (enum sp_tok_behavior)i;
            return sp_tok_pattern_init(&p->pattern, &t->mem, text, literal, err);
        }
    return sp_fail(err, SP_UNSUPPORTED, "Split behavior \"%.40s\" is not supported", behavior);
}

static enum sp_status pre_byte_level(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    p->kind = SP_TOK_BYTE_LEVEL;
    p->behavior = SP_TOK_ISOLATED;
    t->byte_level = true;
    TRY(sp_json_bool(j, "add_prefix_space", true, &p->prefix_space, err));
    TRY(sp_json_bool(j, "use_regex", true, &p->use_regex, err));
    return p->use_regex ? sp_tok_pattern_init(&p->pattern, &t->mem, sp_tok_gpt2_pattern, false, err) : SP_OK;
}

static enum sp_status pre_metaspace(struct sp_tokenizer *t, struct sp_tok_pre *p, const json_t *j, struct sp_err *err)
{
    const char *mark = NULL, *scheme = NULL;
    bool prefix = true;
    p->kind = SP_TOK_METASPACE;
    p->behavior = SP_TOK_WITH_NEXT;
    TRY(sp_json_text(j, "replacement", "\xe2\x96\x81", &mark, err));
    TRY(sp_json_bool(j, "add_prefix_space", true, &prefix, err));
    TRY(sp_json_text(j, "prepend_scheme", prefix ? "always" : "never", &scheme, err));
    TRY(sp_json_bool(j, "split", true, &p->split, err));
    if (strcmp(scheme, "always") != 0 && strcmp(scheme, "first") != 0 && strcmp(scheme, "never") != 0)
        return sp_fail(err, SP_UNSUPPORTED, "Metaspace prepend_scheme \"%.40s\" is not supported", scheme);
    p->scheme = *scheme == 'a' ? SP_TOK_ALWAYS : *scheme == 'f' ? SP_TOK_FIRST : SP_TOK_NEVER;
    TRY(keep(t, mark, &p->replacement, err));
    return sp_tok_pattern_init(&p->pattern, &t->mem, mark, true, err);
}

static enum sp_status pre_tokenizer(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    if (t->n_pre == SP_TOK_STEPS_MAX)
        return too_many(err);
    struct sp_tok_pre *p = &t->pre[t->n_pre++]; /* counted at once, so that it is freed on failure */
    if (strcmp(type, "Split") == 0)
        return pre_split(t, p, j, err);
    if (strcmp(type, "ByteLevel") == 0)
        return pre_byte_level(t, p, j, err);
    if (strcmp(type, "Metaspace") == 0)
        return pre_metaspace(t, p, j, err);
    if (strcmp(type, "Digits") == 0) {
        p->kind = SP_TOK_DIGITS;
        return sp_json_bool(j, "individual_digits", false, &p->individual, err);
    }
    return sp_fail(err, SP_UNSUPPORTED, "pre-tokenizer \"%.40s\" is not supported", type);
}

/* ---- decoder ---- */
static enum sp_status dec_replace(struct sp_tokenizer *t, const char *from, const char *to, struct sp_err *err)
{
    if (t->dec_from)
        return sp_fail(err, SP_UNSUPPORTED, "a decoder with two replacements is not supported");
    TRY(keep(t, from, &t->dec_from, err));
    return keep(t, to, &t->dec_to, err);
}

static enum sp_status dec_strip(struct sp_tokenizer *t, const json_t *j, struct sp_err *err)
{
    const char *content = NULL;
    int64_t start = 0, stop = 0;
    TRY(sp_json_text(j, "content", " ", &content, err));
    TRY(sp_json_int(j, "start", 0, 1000, 0, &start, err));
    TRY(sp_json_int(j, "stop", 0, 1000, 0, &stop, err));
    if (strcmp(content, " ") != 0 || start > 1 || stop)
        return sp_fail(err, SP_UNSUPPORTED, "decoder Strip of anything but one leading space is not supported");
    t->dec_strip_space = start == 1;
    return SP_OK;
}

static enum sp_status decoder(struct sp_tokenizer *t, const json_t *j, const char *type, struct sp_err *err)
{
    const char *from = NULL, *to = NULL, *mark = NULL, *scheme = NULL;
    bool literal = false, prefix = true;
    if (strcmp(type, "ByteLevel") == 0)
        t->dec_byte_level = true;
    else if (strcmp(type, "ByteFallback") == 0)
        t->dec_byte_fallback = true;
    else if (strcmp(type, "Strip") == 0)
        return dec_strip(t, j, err);
    else if (strcmp(type, "Replace") == 0) {
        TRY(pattern_of(j, &from, &literal, err));
        TRY(sp_json_text(j, "content", "", &to, err));
        if (!literal || !*from)
            return sp_fail(err, SP_UNSUPPORTED, "decoder Replace with a regular expression is not supported");
        return dec_replace(t, from, to, err);
    } else if (strcmp(type, "Metaspace") == 0) {
        TRY(sp_json_text(j, "replacement", "\xe2\x96\x81", &mark, err));
        TRY(sp_json_bool(j, "add_prefix_space", true, &prefix, err));
        TRY(sp_json_text(j, "prepend_scheme", prefix ? "always" : "never", &scheme, err));
        t->dec_strip_space = strcmp(scheme, "never") != 0;
        return dec_replace(t, mark, " ", err);
    } else if (strcmp(type, "Fuse") != 0)
        return sp_fail(err, SP_UNSUPPORTED, "decoder \"%.40s\" is not supported", type);
    return SP_OK;
}

enum sp_status sp_tok_load_steps(struct sp_tokenizer *t, const json_t *root, struct sp_err *err)
{
    TRY(each(t, json_object_get(root, "normalizer"), "normalizers", normalizer, 0, err));
    TRY(each(t, json_object_get(root, "pre_tokenizer"), "pretokenizers", pre_tokenizer, 0, err));
    TRY(each(t, json_object_get(root, "decoder"), "decoders", decoder, 0, err));
    if (t->dec_byte_level && !t->byte_level)
        return sp_fail(err, SP_UNSUPPORTED, "a ByteLevel decoder without a ByteLevel pre-tokenizer is not supported");
    return SP_OK;
}

/* ---- post-processor: ids before and behind the text ---- */
static enum sp_status around(struct sp_tokenizer *t, bool behind, const json_t *id, struct sp_err *err)
{
    int *n = behind ? &t->n_behind : &t->n_before;
    if (*n == SP_TOK_STEPS_MAX)
        return too_many(err);
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
    return each(t, post, "processors", post_step, 0, err);
}
