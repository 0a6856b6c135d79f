/* text/pattern.c - Unicode classes, and the word patterns of GPT-2, Llama 3 and
 * Qwen matched by hand (a general regular expression is some ten times slower).
 *
 * A known pattern is recognised by its exact text; any other goes to regex.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

const char sp_tok_gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const char sp_tok_llama3_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char sp_tok_qwen2_pattern[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* White_Space of Unicode, beyond ASCII. */
static bool is_wide_space(int32_t c)
{
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

static enum sp_tok_class wide_class(int32_t c)
{
    if (is_wide_space(c))
        return SP_TOK_SPACE;
    utf8proc_category_t k = utf8proc_category(c);
    if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO)
        return SP_TOK_LETTER;
    return k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO ? SP_TOK_NUMBER : SP_TOK_OTHER;
}

static enum sp_tok_class ascii_class(unsigned char c)
{
    if ((c | 32) >= 'a' && (c | 32) <= 'z')
        return SP_TOK_LETTER;
    if (c >= '0' && c <= '9')
        return SP_TOK_NUMBER;
    return c == ' ' || (c >= 9 && c <= 13) ? SP_TOK_SPACE : SP_TOK_OTHER;
}

enum sp_tok_class sp_tok_class_at(const unsigned char *s, size_t n, size_t *len, int32_t *code)
{
    *len = 1;
    *code = s[0];
    if (s[0] < 0x80)
        return ascii_class(s[0]);
    utf8proc_int32_t c = -1;
    utf8proc_ssize_t k = utf8proc_iterate(s, n > 4 ? 4 : (utf8proc_ssize_t)n, &c);
    *code = k > 0 ? c : -1;
    if (k <= 0)
        return SP_TOK_OTHER;
    *len = (size_t)k;
    return wide_class(c);
}

bool sp_tok_is_punctuation(int32_t code)
{
    if (code < 0x80)
        return (code >= '!' && code <= '/') || (code >= ':' && code <= '@') || (code >= '[' && code <= '`') ||
               (code >= '{' && code <= '~');
    utf8proc_category_t k = utf8proc_category(code);
    return k >= UTF8PROC_CATEGORY_PC && k <= UTF8PROC_CATEGORY_PO;
}

bool sp_tok_is_word(const unsigned char *s, size_t n)
{
    size_t len;
    int32_t code;
    if (!n)
        return false;
    enum sp_tok_class k = sp_tok_class_at(s, n, &len, &code);
    if (k == SP_TOK_LETTER || code == '_' || code == 0x200c || code == 0x200d) /* joiners */
        return true;
    utf8proc_category_t c = code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code);
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_MN ||
           c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_PC;
}

/* End of the run of class k that starts at `at`, at most max characters. */
static size_t run_end(const unsigned char *s, size_t n, size_t at, enum sp_tok_class k, size_t max)
{
    size_t len;
    int32_t code;
    while (at < n && max-- && sp_tok_class_at(s + at, n - at, &len, &code) == k)
        at += len;
    return at;
}

/* 's 't 're 've 'm 'll 'd at s, or 0.  Case-insensitive s also means U+017F. */
static size_t contraction(const unsigned char *s, size_t n, bool any_case)
{
    if (n < 2 || s[0] != '\'')
        return 0;
    unsigned char fold = any_case ? 32 : 0, a = s[1] | fold, b = n > 2 ? s[2] | fold : 0;
    if (s[1] < 0x80 && (a == 's' || a == 't' || a == 'm' || a == 'd'))
        return 2;
    if (n > 2 && s[1] < 0x80 && s[2] < 0x80 &&
        ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')))
        return 3;
    return any_case && n > 2 && s[1] == 0xc5 && s[2] == 0xbf ? 3 : 0;
}

/* \s+(?!\S)|\s+ at s, which is a space: the run, without its last character when something follows. */
static size_t spaces(const unsigned char *s, size_t n)
{
    size_t at = 0, last = 0, len;
    int32_t code;
    while (at < n && sp_tok_class_at(s + at, n - at, &len, &code) == SP_TOK_SPACE) {
        last = at;
        at += len;
    }
    return at == n || !last ? at : last;
}

size_t sp_tok_match_gpt2(const unsigned char *s, size_t n)
{
    size_t c = contraction(s, n, false), len, at = s[0] == ' ' && n > 1;
    int32_t code;
    if (c)
        return c;
    enum sp_tok_class k = sp_tok_class_at(s + at, n - at, &len, &code);
    return k == SP_TOK_SPACE ? spaces(s, n) : run_end(s, n, at, k, SIZE_MAX);
}

/* \s*[\r\n]+ at s, a space: up to the last line end of the run; or 0. */
static size_t line_ends(const unsigned char *s, size_t n)
{
    size_t at = 0, end = 0, len;
    int32_t code;
    while (at < n && sp_tok_class_at(s + at, n - at, &len, &code) == SP_TOK_SPACE) {
        at += len;
        end = code == '\r' || code == '\n' ? at : end;
    }
    return end;
}

static size_t match_llama3(const unsigned char *s, size_t n, size_t digits)
{
    size_t c = contraction(s, n, true), len, next_len;
    int32_t code, next_code;
    if (c)
        return c;
    enum sp_tok_class k = sp_tok_class_at(s, n, &len, &code), next = SP_TOK_OTHER;
    if (k == SP_TOK_LETTER)
        return run_end(s, n, 0, k, SIZE_MAX);
    if (k == SP_TOK_NUMBER)
        return run_end(s, n, 0, k, digits);
    if (len < n)
        next = sp_tok_class_at(s + len, n - len, &next_len, &next_code);
    if (len < n && next == SP_TOK_LETTER && code != '\r' && code != '\n')
        return run_end(s, n, len, SP_TOK_LETTER, SIZE_MAX);
    if (k == SP_TOK_OTHER || (code == ' ' && len < n && next == SP_TOK_OTHER)) {
        size_t at = run_end(s, n, k == SP_TOK_OTHER ? 0 : 1, SP_TOK_OTHER, SIZE_MAX);
        while (at < n && (s[at] == '\r' || s[at] == '\n'))
            at++;
        return at;
    }
    size_t end = line_ends(s, n);
    return end ? end : spaces(s, n);
}

static size_t match_three_digits(const unsigned char *s, size_t n)
{
    return match_llama3(s, n, 3);
}
static size_t match_one_digit(const unsigned char *s, size_t n)
{
    return match_llama3(s, n, 1);
}

sp_tok_match_fn *sp_tok_known_pattern(const char *text)
{
    static const struct {
        const char *text;
        sp_tok_match_fn *match;
    } known[] = {
        { sp_tok_gpt2_pattern, sp_tok_match_gpt2 },
        { sp_tok_llama3_pattern, match_three_digits },
        { sp_tok_qwen2_pattern, match_one_digit },
    };
    for (size_t i = 0; i < SP_COUNT(known); i++)
        if (strcmp(text, known[i].text) == 0)
            return known[i].match;
    return NULL;
}

enum sp_status sp_tok_pattern_init(struct sp_tok_pattern *p, struct sp_arena *mem, const char *text, bool literal,
                                   struct sp_err *err)
{
    size_t n = strlen(text);
    if (!n || n > SP_TOK_PATTERN_MAX)
        return sp_fail(err, SP_LIMIT, "a pattern of %zu bytes; from 1 to %d are allowed", n, SP_TOK_PATTERN_MAX);
    p->literal = literal;
    p->text = sp_arena_printf(mem, "%s", text);
    if (!p->text)
        return sp_tok_nomem(err);
    p->match = literal ? NULL : sp_tok_known_pattern(text);
    return literal || p->match ? SP_OK : sp_tok_regex_new(&p->regex, text, err);
}

void sp_tok_pattern_clear(struct sp_tok_pattern *p)
{
    sp_tok_regex_free(p->regex);
}

enum sp_status sp_tok_pattern_next(const struct sp_tok_pattern *p, const char *s, size_t n, size_t from, size_t last,
                                   size_t *begin, size_t *end, struct sp_err *err)
{
    if (p->regex)
        return sp_tok_regex_next(p->regex, s, n, from, last, begin, end, err);
    *begin = *end = n;
    if (p->match && from < n) {
        *begin = from;
        *end = from + p->match((const unsigned char *)s + from, n - from);
    } else if (p->literal && from < n) {
        size_t k = strlen(p->text);
        const char *hit = memmem(s + from, n - from, p->text, k);
        *begin = hit ? (size_t)(hit - s) : n;
        *end = hit ? *begin + k : n;
    }
    return SP_OK;
}
