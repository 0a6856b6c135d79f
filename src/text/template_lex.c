/* text/template_lex.c - a chat template to tokens, with white space around tags as Hugging Face sets it:
 * the line break behind a block goes (trim_blocks), blanks before one that begins its line too (lstrip_blocks).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "template.h"

enum { BRACKETS_MAX = 1 << 10 };

struct lexer {
    struct sp_arena *mem;
    struct sp_tpl_tokens *out;
    struct sp_err *err;
    const char *s;
    size_t n, at;
    int line;
};

static enum sp_status bad(const struct lexer *x, const char *what)
{
    return sp_fail(x->err, SP_FORMAT, "line %d: %s", x->line, what);
}

static bool blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool name_char(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || digit(c) || (unsigned char)c >= 128;
}

static enum sp_status emit(struct lexer *x, enum sp_tpl_token_kind kind, const char *at, size_t n)
{
    struct sp_tpl_tokens *t = x->out;
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 64;
        struct sp_tpl_token *to = sp_arena_take(x->mem, cap * sizeof *to);
        if (!to)
            return sp_fail(x->err, SP_NOMEM, "no memory for the template");
        if (t->n)
            memcpy(to, t->at, t->n * sizeof *to);
        t->at = to;
        t->cap = cap;
    }
    t->at[t->n++] = (struct sp_tpl_token){ kind, x->line, at, n };
    return SP_OK;
}

static void go_to(struct lexer *x, size_t to)
{
    for (; x->at < to; x->at++)
        x->line += x->s[x->at] == '\n';
}

static bool next_is(const struct lexer *x, const char *s)
{
    size_t n = strlen(s);
    return x->n - x->at >= n && !memcmp(x->s + x->at, s, n);
}

/* Behind a tag: minus takes all white space, else a block takes one line break. */
static void after_tag(struct lexer *x, char sign, bool block)
{
    size_t to = x->at;
    while (sign == '-' && to < x->n && blank(x->s[to]))
        to++;
    if (sign == 0 && block && to < x->n && x->s[to] == '\n')
        to++;
    go_to(x, to);
}

/* A closing mark, with its sign in front: "%}", "}}" or "#}".  False: it doesn't stand here. */
static bool take_close(struct lexer *x, const char *close, bool block)
{
    char sign = x->at < x->n && (x->s[x->at] == '-' || (x->s[x->at] == '+' && block)) ? x->s[x->at] : 0;
    size_t skip = sign != 0;
    if (x->n - x->at < skip + 2 || memcmp(x->s + x->at + skip, close, 2) != 0)
        return false;
    go_to(x, x->at + skip + 2);
    after_tag(x, sign, block);
    return true;
}

static enum sp_status lex_string(struct lexer *x)
{
    char quote = x->s[x->at];
    size_t from = x->at + 1, to = from;
    while (to < x->n && x->s[to] != quote)
        to += 1 + (x->s[to] == '\\');
    if (to >= x->n)
        return bad(x, "a string has no end");
    TRY(emit(x, SP_TPL_T_STRING, x->s + from, to - from));
    go_to(x, to + 1);
    return SP_OK;
}

static enum sp_status lex_number(struct lexer *x)
{
    size_t from = x->at, to = from;
    bool real = false;
    while (to < x->n && (digit(x->s[to]) || x->s[to] == '_'))
        to++;
    if (to + 1 < x->n && x->s[to] == '.' && digit(x->s[to + 1]))
        for (real = true, to++; to < x->n && digit(x->s[to]);)
            to++;
    size_t e = to + 1;
    if (e < x->n && (x->s[to] == 'e' || x->s[to] == 'E')) {
        e += x->s[e] == '+' || x->s[e] == '-';
        if (e < x->n && digit(x->s[e]))
            for (real = true, to = e; to < x->n && digit(x->s[to]);)
                to++;
    }
    x->at = to;
    return emit(x, real ? SP_TPL_T_REAL : SP_TPL_T_INT, x->s + from, to - from);
}

static enum sp_status lex_op(struct lexer *x, int *brackets)
{
    static const char *const two[] = { "==", "!=", "<=", ">=", "//", "**" };
    char c = x->s[x->at];
    size_t n = 1;
    for (size_t i = 0; i < SP_COUNT(two); i++)
        n = next_is(x, two[i]) ? 2 : n;
    if (n == 1 && (!c || !strchr("+-*/%~<>=()[]{}.,:|;", c)))
        return sp_fail(x->err, SP_FORMAT, "line %d: unexpected '%c'", x->line, c >= ' ' && c < 127 ? c : '?');
    *brackets += n == 1 && strchr("([{", c) ? 1 : 0;
    *brackets -= n == 1 && strchr(")]}", c) ? 1 : 0;
    if (*brackets < 0 || *brackets > BRACKETS_MAX)
        return bad(x, "a bracket is closed that was not opened, or too many are open");
    TRY(emit(x, SP_TPL_T_OP, x->s + x->at, n));
    x->at += n;
    return SP_OK;
}

static enum sp_status lex_inside(struct lexer *x, bool block)
{
    int brackets = 0, began = x->line;
    while (x->at < x->n) {
        char c = x->s[x->at];
        size_t from = x->at;
        if (blank(c))
            go_to(x, x->at + 1);
        else if (!brackets && take_close(x, block ? "%}" : "}}", block))
            return emit(x, block ? SP_TPL_T_TAG_END : SP_TPL_T_PRINT_END, x->s + from, 2);
        else if (digit(c))
            TRY(lex_number(x));
        else if (name_char(c)) {
            while (x->at < x->n && name_char(x->s[x->at]))
                x->at++;
            TRY(emit(x, SP_TPL_T_NAME, x->s + from, x->at - from));
        } else if (c == '"' || c == '\'')
            TRY(lex_string(x));
        else
            TRY(lex_op(x, &brackets));
    }
    return sp_fail(x->err, SP_FORMAT, "line %d: a tag begun here has no end", began);
}

static enum sp_status skip_comment(struct lexer *x)
{
    const char *end = NULL;
    for (size_t i = x->at; i + 1 < x->n && !end; i++)
        end = x->s[i] == '#' && x->s[i + 1] == '}' ? x->s + i : NULL;
    if (!end)
        return bad(x, "a comment has no end");
    size_t to = (size_t)(end - x->s);
    char sign = to > x->at && (end[-1] == '-' || end[-1] == '+') ? end[-1] : 0;
    go_to(x, to + 2);
    after_tag(x, sign, true);
    return SP_OK;
}

/* Text before a tag, without the blanks that the tag takes. */
static enum sp_status lex_data(struct lexer *x, size_t to, char kind, char sign)
{
    size_t from = x->at, end = to, line;
    while (sign == '-' && end > from && blank(x->s[end - 1]))
        end--;
    for (line = end; line > from && blank(x->s[line - 1]) && x->s[line - 1] != '\n';)
        line--;
    bool begins = line > from ? x->s[line - 1] == '\n' : from == 0 || x->s[from - 1] == '\n';
    if (sign == 0 && (kind == '%' || kind == '#') && begins)
        end = line;
    if (end > from)
        TRY(emit(x, SP_TPL_T_DATA, x->s + from, end - from));
    go_to(x, to);
    return SP_OK;
}

static size_t next_tag(const struct lexer *x)
{
    for (size_t i = x->at; i + 1 < x->n; i++)
        if (x->s[i] == '{' && (x->s[i + 1] == '{' || x->s[i + 1] == '%' || x->s[i + 1] == '#'))
            return i;
    return x->n;
}

static enum sp_status lex_all(struct lexer *x)
{
    while (x->at < x->n) {
        size_t tag = next_tag(x);
        char kind = tag < x->n ? x->s[tag + 1] : 0, sign = tag + 2 < x->n ? x->s[tag + 2] : 0;
        sign = sign == '-' || sign == '+' ? sign : 0;
        TRY(lex_data(x, tag, kind, sign));
        if (!kind)
            break;
        go_to(x, tag + 2 + (sign != 0));
        if (kind == '#') {
            TRY(skip_comment(x));
            continue;
        }
        TRY(emit(x, kind == '%' ? SP_TPL_T_TAG : SP_TPL_T_PRINT, x->s + tag, 2));
        TRY(lex_inside(x, kind == '%'));
    }
    return emit(x, SP_TPL_T_END, x->s + x->n, 0);
}

enum sp_status sp_tpl_lex(struct sp_arena *mem, const char *source, size_t n, struct sp_tpl_tokens *out,
                          struct sp_err *err)
{
    struct lexer x = { .mem = mem, .out = out, .err = err, .line = 1 };
    if (n > SP_TPL_SOURCE_MAX)
        return sp_fail(err, SP_LIMIT, "the template has %zu bytes; at most %d are allowed", n, SP_TPL_SOURCE_MAX);
    char *s = sp_arena_take(mem, n + 1);
    if (!s)
        return sp_fail(err, SP_NOMEM, "no memory for the template");
    for (size_t i = 0; i < n; i++)
        if (source[i] != '\r')
            s[x.n++] = source[i];
        else if (i + 1 >= n || source[i + 1] != '\n')
            s[x.n++] = '\n';
    x.n -= x.n && s[x.n - 1] == '\n';
    x.s = s;
    return lex_all(&x);
}
