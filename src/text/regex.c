/* text/regex.c - word patterns that pattern.c doesn't know, by PCRE2.
 *
 * They are written for Oniguruma, whose \s, \w and line ends differ from PCRE2's in rare
 * characters: those are spelled out before compiling.  Work on one match is limited, so a
 * hostile pattern ends in a sentence.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include "inner.h"

enum {
    MATCH_LIMIT = 1000000, /* steps of one match, and           */
    MATCH_LIMIT_BYTE = 64, /* so many more for each byte behind */
    DEPTH_LIMIT = 1000000,
    HEAP_LIMIT_KIB = 65536,
    JIT_STACK_MIN = 32 << 10,
    JIT_STACK_MAX = 8 << 20
};

/* Used under the tokenizer's lock. */
struct sp_tok_regex {
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
    pcre2_jit_stack *stack;
};

static void *take(size_t n, void *unused)
{
    (void)unused;
    return sp_alloc(n);
}

static void give(void *p, void *unused)
{
    (void)unused;
    sp_free(p);
}

/* White_Space and Oniguruma's word characters, as they stand inside a class. */
static const char spaces[] = "\\p{Z}\\t-\\r\\x{85}", words[] = "\\p{L}\\p{M}\\p{N}\\p{Pc}";

/* The escape at s (n >= 2 bytes) in PCRE2's terms. */
static void escape(struct sp_text *out, const char *s, bool in_class)
{
    const char *inside = s[1] == 's' || s[1] == 'S' ? spaces : s[1] == 'w' || s[1] == 'W' ? words : NULL;
    bool negated = s[1] == 'S' || s[1] == 'W';
    if (!inside || (in_class && negated))
        sp_text_add(out, s, 2);
    else if (in_class)
        sp_text_add(out, inside, strlen(inside));
    else
        sp_text_printf(out, negated ? "[^%s]" : "[%s]", inside);
}

static enum sp_status translate(struct sp_text *out, const char *text, struct sp_err *err)
{
    bool in_class = false;
    for (const char *s = text; *s; s++) {
        if (*s == '\\' && s[1]) {
            escape(out, s++, in_class);
            continue;
        }
        if (in_class && ((*s == '[' && s[1] != ':') || (*s == '&' && s[1] == '&')))
            return sp_fail(err, SP_UNSUPPORTED, "pattern \"%.80s\": a class inside a class", text);
        if (*s == '[' && !in_class) {
            in_class = true;
            size_t n = 1 + (s[1] == '^');
            n += s[n] == ']'; /* there it stands for itself */
            sp_text_add(out, s, n);
            s += n - 1;
            continue;
        }
        if (*s == '[' && in_class) { /* [:name:] goes as it is */
            const char *end = strstr(s, ":]");
            size_t n = end ? (size_t)(end - s) + 2 : 1;
            sp_text_add(out, s, n);
            s += n - 1;
            continue;
        }
        in_class = in_class && *s != ']';
        sp_text_add(out, s, 1);
    }
    return out->full ? sp_tok_nomem(err) : SP_OK;
}

static enum sp_status build(struct sp_tok_regex *r, const char *text, const struct sp_text *form, struct sp_err *err)
{
    int what = 0;
    PCRE2_SIZE where = 0;
    pcre2_compile_context *c = pcre2_compile_context_create(r->memory);
    if (!c)
        return sp_tok_nomem(err);
    r->code = pcre2_compile((PCRE2_SPTR)form->at, form->n,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_MATCH_INVALID_UTF, &what, &where, c);
    pcre2_compile_context_free(c);
    if (!r->code && what == PCRE2_ERROR_HEAP_FAILED)
        return sp_tok_nomem(err);
    if (!r->code) {
        char why[128];
        pcre2_get_error_message(what, (PCRE2_UCHAR *)why, sizeof why);
        return sp_fail(err, SP_UNSUPPORTED, "pattern \"%.80s\": %s", text, why);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* slower without, that's all */
    return SP_OK;
}

static enum sp_status compile(struct sp_tok_regex *r, const char *text, struct sp_err *err)
{
    struct sp_text form = { 0 };
    r->memory = pcre2_general_context_create(take, give, NULL);
    if (!r->memory)
        return sp_tok_nomem(err);
    enum sp_status st = translate(&form, text, err);
    if (!st)
        st = build(r, text, &form, err);
    sp_text_clear(&form);
    if (st)
        return st;
    r->data = pcre2_match_data_create_from_pattern(r->code, r->memory);
    r->limits = pcre2_match_context_create(r->memory);
    r->stack = pcre2_jit_stack_create(JIT_STACK_MIN, JIT_STACK_MAX, r->memory);
    if (!r->data || !r->limits || !r->stack)
        return sp_tok_nomem(err);
    pcre2_jit_stack_assign(r->limits, NULL, r->stack);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    return SP_OK;
}

enum sp_status sp_tok_regex_new(struct sp_tok_regex **out, const char *text, struct sp_err *err)
{
    struct sp_tok_regex *r = sp_zalloc(1, sizeof *r);
    enum sp_status st = r ? compile(r, text, err) : sp_tok_nomem(err);
    if (st)
        sp_tok_regex_free(r);
    else
        *out = r;
    return st;
}

void sp_tok_regex_free(struct sp_tok_regex *r)
{
    if (!r)
        return;
    pcre2_jit_stack_free(r->stack);
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    pcre2_general_context_free(r->memory);
    sp_free(r);
}

static enum sp_status gave_up(int rc, size_t from, struct sp_err *err)
{
    char why[128];
    if (rc == PCRE2_ERROR_NOMEMORY)
        return sp_tok_nomem(err);
    pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
    return sp_fail(err, SP_LIMIT, "the tokenizer's pattern gave up at byte %zu of the text: %s", from, why);
}

enum sp_status sp_tok_regex_next(const struct sp_tok_regex *r, const char *s, size_t n, size_t from, size_t last,
                                 size_t *begin, size_t *end, struct sp_err *err)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->data);
    *begin = *end = n;
    size_t steps = MATCH_LIMIT + MATCH_LIMIT_BYTE * (n - from);
    pcre2_set_match_limit(r->limits, steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX);
    while (from < n) {
        int rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, from, 0, r->data, r->limits);
        if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
            rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, from, PCRE2_NO_JIT, r->data, r->limits);
        if (rc == PCRE2_ERROR_NOMATCH)
            return SP_OK;
        if (rc < 0)
            return gave_up(rc, from, err);
        if (at[1] < at[0] || at[0] < from)
            return sp_fail(err, SP_FORMAT, "the tokenizer's pattern matches backwards (\\K)");
        if (at[0] < at[1] || at[0] != last) {
            *begin = at[0];
            *end = at[1];
            return SP_OK;
        }
        size_t len;
        int32_t code;
        sp_tok_class_at((const unsigned char *)s + from, n - from, &len, &code);
        from += len;
    }
    return SP_OK;
}
