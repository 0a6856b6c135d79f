/* text/regex.c - word patterns that pattern.c doesn't know, by PCRE2.
 * Work on one match is limited, so a hostile pattern ends in a sentence.
 * SPDX-License-Identifier: Apache-2.0 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>
#include "inner.h"

enum { MATCH_LIMIT = 1000000, DEPTH_LIMIT = 100000, HEAP_LIMIT_KIB = 65536 };

/* Used under the tokenizer's lock. */
struct sp_tok_regex {
    pcre2_general_context *memory;
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
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

static enum sp_status compile(struct sp_tok_regex *r, const char *text, struct sp_err *err)
{
    int what = 0;
    PCRE2_SIZE where = 0;
    r->memory = pcre2_general_context_create(take, give, NULL);
    pcre2_compile_context *c = r->memory ? pcre2_compile_context_create(r->memory) : NULL;
    if (!c)
        return sp_tok_nomem(err);
    r->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &what, &where, c);
    pcre2_compile_context_free(c);
    if (!r->code && what == PCRE2_ERROR_HEAP_FAILED)
        return sp_tok_nomem(err);
    if (!r->code) {
        char why[128];
        pcre2_get_error_message(what, (PCRE2_UCHAR *)why, sizeof why);
        return sp_fail(err, SP_UNSUPPORTED, "pattern \"%.80s\": %s at byte %zu", text, why, (size_t)where);
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* slower without, that's all */
    r->data = pcre2_match_data_create_from_pattern(r->code, r->memory);
    r->limits = pcre2_match_context_create(r->memory);
    if (!r->data || !r->limits)
        return sp_tok_nomem(err);
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
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
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    pcre2_general_context_free(r->memory);
    sp_free(r);
}

enum sp_status sp_tok_regex_next(const struct sp_tok_regex *r, const char *s, size_t n, size_t from, size_t *begin,
                                 size_t *end, struct sp_err *err)
{
    *begin = *end = n;
    if (from >= n)
        return SP_OK;
    /* An empty match splits nothing, so it is never asked for. */
    int rc = pcre2_match(r->code, (PCRE2_SPTR)s, n, from, PCRE2_NOTEMPTY, r->data, r->limits);
    if (rc == PCRE2_ERROR_NOMATCH)
        return SP_OK;
    if (rc == PCRE2_ERROR_NOMEMORY)
        return sp_tok_nomem(err);
    if (rc < 0) {
        char why[128];
        pcre2_get_error_message(rc, (PCRE2_UCHAR *)why, sizeof why);
        return sp_fail(err, SP_LIMIT, "the tokenizer's pattern gave up at byte %zu of the text: %s", from, why);
    }
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(r->data);
    if (at[1] <= at[0] || at[0] < from)
        return sp_fail(err, SP_FORMAT, "the tokenizer's pattern matches backwards (\\K)");
    *begin = at[0];
    *end = at[1];
    return SP_OK;
}
