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
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *limits;
};

enum sp_status sp_tok_regex_new(struct sp_tok_regex **out, const char *text, struct sp_err *err)
{
    int what = 0;
    PCRE2_SIZE where = 0;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &what, &where, NULL);
    if (!code) {
        char why[128];
        pcre2_get_error_message(what, (PCRE2_UCHAR *)why, sizeof why);
        return sp_fail(err, SP_UNSUPPORTED, "pattern \"%.80s\": %s at byte %zu", text, why, (size_t)where);
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* slower without, that's all */
    struct sp_tok_regex *r = sp_zalloc(1, sizeof *r);
    if (!r) {
        pcre2_code_free(code);
        return sp_tok_nomem(err);
    }
    r->code = code;
    r->data = pcre2_match_data_create_from_pattern(code, NULL);
    r->limits = pcre2_match_context_create(NULL);
    if (!r->data || !r->limits) {
        sp_tok_regex_free(r);
        return sp_tok_nomem(err);
    }
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    *out = r;
    return SP_OK;
}

void sp_tok_regex_free(struct sp_tok_regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
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
