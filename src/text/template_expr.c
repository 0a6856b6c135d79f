/* text/template_expr.c - expressions of a template, from tokens to a tree; precedence as in Jinja:
 * choice, or, and, not, comparison, + -, ~, * / // %, **, sign, postfix, filters and tests.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "template.h"

typedef enum sp_status level_fn(struct sp_tpl_parser *p, struct sp_tpl_node **out);

/* ---- tokens ---- */

bool sp_tpl_is_op(const struct sp_tpl_parser *p, const char *op)
{
    return p->at->kind == SP_TPL_T_OP && p->at->n == strlen(op) && !memcmp(p->at->at, op, p->at->n);
}

bool sp_tpl_is_name(const struct sp_tpl_parser *p, const char *name)
{
    return p->at->kind == SP_TPL_T_NAME && p->at->n == strlen(name) && !memcmp(p->at->at, name, p->at->n);
}

bool sp_tpl_take_op(struct sp_tpl_parser *p, const char *op)
{
    bool is = sp_tpl_is_op(p, op);
    p->at += is;
    return is;
}

bool sp_tpl_take_name(struct sp_tpl_parser *p, const char *name)
{
    bool is = sp_tpl_is_name(p, name);
    p->at += is;
    return is;
}

enum sp_status sp_tpl_wrong(const struct sp_tpl_parser *p, const char *wanted)
{
    bool end = p->at->kind == SP_TPL_T_END;
    int n = p->at->n < 40 ? (int)p->at->n : 40;
    return sp_fail(p->err, SP_FORMAT, "line %d: %s where %s was expected%s%.*s%s", p->at->line, end ? "the template ends" : "found", wanted,
                   end ? "" : ": '", end ? 0 : n, p->at->at, end ? "" : "'");
}

enum sp_status sp_tpl_want_op(struct sp_tpl_parser *p, const char *op)
{
    return sp_tpl_take_op(p, op) ? SP_OK : sp_tpl_wrong(p, op);
}

enum sp_status sp_tpl_want_name(struct sp_tpl_parser *p, struct sp_slice *out)
{
    if (p->at->kind != SP_TPL_T_NAME)
        return sp_tpl_wrong(p, "a name");
    *out = (struct sp_slice){ p->at->at, p->at->n };
    p->at++;
    return SP_OK;
}

/* ---- nodes ---- */

enum sp_status sp_tpl_node(struct sp_tpl_parser *p, enum sp_tpl_node_kind kind, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = sp_arena_take(p->mem, sizeof *e);
    if (!e)
        return sp_fail(p->err, SP_NOMEM, "no memory for the template");
    e->kind = kind;
    e->line = p->at->line;
    *out = e;
    return SP_OK;
}

void sp_tpl_kid(struct sp_tpl_node *of, struct sp_tpl_node *kid)
{
    if (of->last)
        of->last->next = kid;
    else
        of->kids = kid;
    of->last = kid;
}

static enum sp_status two(struct sp_tpl_parser *p, enum sp_tpl_node_kind kind, int op, struct sp_tpl_node *a, struct sp_tpl_node *b,
                          struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL;
    TRY(sp_tpl_node(p, kind, &e));
    e->op = op;
    e->a = a;
    e->b = b;
    *out = e;
    return SP_OK;
}

/* ---- literals ---- */

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80)
        return (size_t)(to[0] = (char)c, 1);
    if (c < 0x800)
        return (size_t)(to[0] = (char)(0xc0 | c >> 6), to[1] = (char)(0x80 | (c & 63)), 2);
    if (c >= 0xd800 && c < 0xe000)
        c = 0xfffd;
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 63));
    to[2] = (char)(0x80 | (c & 63));
    return 3;
}

/* Python's escapes; an unknown one keeps its backslash. */
static size_t unescape(char *to, const char *s, size_t n)
{
    static const char from[] = "ntr\\'\"abfv0", into[] = "\n\t\r\\'\"\a\b\f\v";
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const char *e = s[i] == '\\' && i + 1 < n ? strchr(from, s[i + 1]) : NULL;
        size_t digits = s[i] == '\\' && i + 1 < n ? (s[i + 1] == 'x' ? 2 : s[i + 1] == 'u' ? 4 : 0) : 0;
        char hex[5] = { 0 }, *end = hex;
        if (digits && n - i - 2 >= digits) {
            memcpy(hex, s + i + 2, digits);
            unsigned long c = strtoul(hex, &end, 16);
            if (end == hex + digits) {
                k += put_utf8(to + k, (uint32_t)c);
                i += 1 + digits;
                continue;
            }
        }
        if (s[i] == '\\' && i + 1 < n && s[i + 1] == '\n')
            i++;
        else if (e && *e)
            to[k++] = into[e - from], i++;
        else
            to[k++] = s[i];
    }
    return k;
}

static enum sp_status literal_string(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    size_t n = 0, k = 0;
    const struct sp_tpl_token *t;
    for (t = p->at; t->kind == SP_TPL_T_STRING; t++)
        n += t->n;
    char *to = sp_arena_take(p->mem, n + 1);
    TRY(sp_tpl_node(p, SP_TPL_VALUE, out));
    if (!to)
        return sp_fail(p->err, SP_NOMEM, "no memory for the template");
    for (; p->at->kind == SP_TPL_T_STRING; p->at++)
        k += unescape(to + k, p->at->at, p->at->n);
    (*out)->value = (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { to, NULL, k } };
    return SP_OK;
}

static enum sp_status literal_number(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    char digits[40];
    size_t k = 0;
    int64_t i = 0;
    double r = 0;
    bool real = p->at->kind == SP_TPL_T_REAL;
    for (size_t at = 0; at < p->at->n && k < sizeof digits - 1; at++)
        if (p->at->at[at] != '_')
            digits[k++] = p->at->at[at];
    digits[k] = 0;
    if (p->at->n >= sizeof digits || (real ? !sp_parse_real(digits, &r) : !sp_parse_int(digits, &i)))
        return sp_tpl_wrong(p, "a number that fits 64 bits");
    TRY(sp_tpl_node(p, SP_TPL_VALUE, out));
    (*out)->value = real ? (struct sp_tpl_val){ .kind = SP_TPL_REAL, .r = r } : sp_tpl_int(i);
    p->at++;
    return SP_OK;
}

static enum sp_status sequence(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    p->at++;
    TRY(sp_tpl_node(p, SP_TPL_SEQ, out));
    while (!sp_tpl_take_op(p, "]")) {
        struct sp_tpl_node *e = NULL;
        TRY(sp_tpl_expr(p, true, &e));
        sp_tpl_kid(*out, e);
        if (!sp_tpl_is_op(p, "]"))
            TRY(sp_tpl_want_op(p, ","));
    }
    return SP_OK;
}

static enum sp_status pairs(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    p->at++;
    TRY(sp_tpl_node(p, SP_TPL_PAIRS, out));
    while (!sp_tpl_take_op(p, "}")) {
        struct sp_tpl_node *e = NULL;
        TRY(sp_tpl_expr(p, true, &e));
        sp_tpl_kid(*out, e);
        TRY(sp_tpl_want_op(p, ":"));
        TRY(sp_tpl_expr(p, true, &e));
        sp_tpl_kid(*out, e);
        if (!sp_tpl_is_op(p, "}"))
            TRY(sp_tpl_want_op(p, ","));
    }
    return SP_OK;
}

static enum sp_status parenthesis(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    p->at++;
    if (sp_tpl_take_op(p, ")")) {
        TRY(sp_tpl_node(p, SP_TPL_SEQ, out));
        (*out)->op = 't';
        return SP_OK;
    }
    TRY(sp_tpl_tuple(p, out));
    return sp_tpl_want_op(p, ")");
}

static enum sp_status word(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct {
        const char *word;
        struct sp_tpl_val value;
    } constants[] = {
        { "true", { .kind = SP_TPL_BOOL, .on = true } },   { "True", { .kind = SP_TPL_BOOL, .on = true } },
        { "false", { .kind = SP_TPL_BOOL, .on = false } }, { "False", { .kind = SP_TPL_BOOL, .on = false } },
        { "none", { .kind = SP_TPL_NONE } },               { "None", { .kind = SP_TPL_NONE } },
    };
    for (size_t i = 0; i < SP_COUNT(constants); i++)
        if (sp_tpl_take_name(p, constants[i].word)) {
            TRY(sp_tpl_node(p, SP_TPL_VALUE, out));
            (*out)->value = constants[i].value;
            return SP_OK;
        }
    TRY(sp_tpl_node(p, SP_TPL_NAME, out));
    return sp_tpl_want_name(p, &(*out)->name);
}

enum sp_status sp_tpl_primary(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    if (p->at->kind == SP_TPL_T_STRING)
        return literal_string(p, out);
    if (p->at->kind == SP_TPL_T_INT || p->at->kind == SP_TPL_T_REAL)
        return literal_number(p, out);
    if (sp_tpl_is_op(p, "["))
        return sequence(p, out);
    if (sp_tpl_is_op(p, "{"))
        return pairs(p, out);
    if (sp_tpl_is_op(p, "("))
        return parenthesis(p, out);
    return p->at->kind == SP_TPL_T_NAME ? word(p, out) : sp_tpl_wrong(p, "an expression");
}

/* ---- postfix ---- */

enum sp_status sp_tpl_arguments(struct sp_tpl_parser *p, struct sp_tpl_node *of)
{
    TRY(sp_tpl_want_op(p, "("));
    while (!sp_tpl_take_op(p, ")")) {
        struct sp_tpl_node *e = NULL;
        TRY(sp_tpl_node(p, SP_TPL_ARG, &e));
        if (p->at->kind == SP_TPL_T_NAME && p->at[1].kind == SP_TPL_T_OP && p->at[1].n == 1 && *p->at[1].at == '=') {
            TRY(sp_tpl_want_name(p, &e->name));
            p->at++;
        }
        TRY(sp_tpl_expr(p, true, &e->a));
        sp_tpl_kid(of, e);
        if (!sp_tpl_is_op(p, ")"))
            TRY(sp_tpl_want_op(p, ","));
    }
    return SP_OK;
}

static enum sp_status bound(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    return sp_tpl_is_op(p, ":") || sp_tpl_is_op(p, "]") ? SP_OK : sp_tpl_expr(p, true, out);
}

static enum sp_status subscript(struct sp_tpl_parser *p, struct sp_tpl_node **io)
{
    struct sp_tpl_node *e = NULL;
    TRY(two(p, SP_TPL_ITEM, 0, *io, NULL, &e));
    TRY(bound(p, &e->b));
    if (sp_tpl_take_op(p, ":")) {
        e->kind = SP_TPL_SLICE;
        TRY(bound(p, &e->c));
        if (sp_tpl_take_op(p, ":"))
            TRY(bound(p, &e->d));
    } else if (!e->b)
        return sp_tpl_wrong(p, "an index");
    *io = e;
    return sp_tpl_want_op(p, "]");
}

static enum sp_status attribute(struct sp_tpl_parser *p, struct sp_tpl_node **io)
{
    struct sp_tpl_node *e = NULL, *number = NULL;
    TRY(two(p, SP_TPL_ATTR, 0, *io, NULL, &e));
    *io = e;
    if (p->at->kind != SP_TPL_T_INT)
        return sp_tpl_want_name(p, &e->name);
    TRY(literal_number(p, &number));
    e->kind = SP_TPL_ITEM;
    e->b = number;
    return SP_OK;
}

static enum sp_status filter(struct sp_tpl_parser *p, struct sp_tpl_node **io)
{
    struct sp_tpl_node *e = NULL;
    TRY(two(p, SP_TPL_FILTER, 0, *io, NULL, &e));
    TRY(sp_tpl_want_name(p, &e->name));
    *io = e;
    return sp_tpl_is_op(p, "(") ? sp_tpl_arguments(p, e) : SP_OK;
}

static bool argument_follows(const struct sp_tpl_parser *p)
{
    enum sp_tpl_token_kind k = p->at->kind;
    if (k == SP_TPL_T_NAME)
        return !sp_tpl_is_name(p, "else") && !sp_tpl_is_name(p, "or") && !sp_tpl_is_name(p, "and") && !sp_tpl_is_name(p, "if") &&
               !sp_tpl_is_name(p, "is") && !sp_tpl_is_name(p, "not") && !sp_tpl_is_name(p, "in");
    return k == SP_TPL_T_STRING || k == SP_TPL_T_INT || k == SP_TPL_T_REAL || sp_tpl_is_op(p, "[") || sp_tpl_is_op(p, "{");
}

static enum sp_status test(struct sp_tpl_parser *p, struct sp_tpl_node **io)
{
    struct sp_tpl_node *e = NULL, *arg = NULL;
    bool negated = sp_tpl_take_name(p, "not");
    TRY(two(p, SP_TPL_TEST, negated ? '!' : 0, *io, NULL, &e));
    TRY(sp_tpl_want_name(p, &e->name));
    *io = e;
    if (sp_tpl_is_op(p, "("))
        return sp_tpl_arguments(p, e);
    if (!argument_follows(p))
        return SP_OK;
    TRY(sp_tpl_node(p, SP_TPL_ARG, &arg));
    TRY(sp_tpl_primary(p, &arg->a));
    TRY(sp_tpl_postfix(p, &arg->a, false));
    sp_tpl_kid(e, arg);
    return SP_OK;
}

enum sp_status sp_tpl_postfix(struct sp_tpl_parser *p, struct sp_tpl_node **io, bool filters)
{
    for (;;) {
        struct sp_tpl_node *e = NULL;
        if (sp_tpl_take_op(p, "."))
            TRY(attribute(p, io));
        else if (sp_tpl_take_op(p, "["))
            TRY(subscript(p, io));
        else if (sp_tpl_is_op(p, "(")) {
            TRY(two(p, SP_TPL_CALL, 0, *io, NULL, &e));
            TRY(sp_tpl_arguments(p, e));
            *io = e;
        } else if (filters && sp_tpl_take_op(p, "|"))
            TRY(filter(p, io));
        else if (filters && sp_tpl_take_name(p, "is"))
            TRY(test(p, io));
        else
            return SP_OK;
    }
}

/* ---- operators, the strongest first ---- */

static enum sp_status signed_(struct sp_tpl_parser *p, bool filters, struct sp_tpl_node **out)
{
    int op = sp_tpl_is_op(p, "-") ? '-' : sp_tpl_is_op(p, "+") ? '+' : 0;
    if (++p->nesting > SP_TPL_NESTING_MAX)
        return sp_fail(p->err, SP_LIMIT, "line %d: more than %d levels of nesting", p->at->line, SP_TPL_NESTING_MAX);
    if (op) {
        struct sp_tpl_node *a = NULL;
        p->at++;
        TRY(signed_(p, false, &a));
        TRY(two(p, SP_TPL_UNARY, op, a, NULL, out));
    } else
        TRY(sp_tpl_primary(p, out));
    p->nesting--;
    return sp_tpl_postfix(p, out, filters);
}

static enum sp_status unary(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    return signed_(p, true, out);
}

struct operators {
    const char *sign[5];
    int op[5];
};

static enum sp_status left(struct sp_tpl_parser *p, level_fn *below, const struct operators *o, struct sp_tpl_node **out)
{
    TRY(below(p, out));
    for (size_t i = 0; o->sign[i];) {
        struct sp_tpl_node *b = NULL;
        bool word_ = o->op[i] == SP_TPL_AND || o->op[i] == SP_TPL_OR;
        if (!(word_ ? sp_tpl_take_name(p, o->sign[i]) : sp_tpl_take_op(p, o->sign[i]))) {
            i++;
            continue;
        }
        TRY(below(p, &b));
        TRY(two(p, SP_TPL_BINARY, o->op[i], *out, b, out));
        i = 0;
    }
    return SP_OK;
}

static enum sp_status power(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "**" }, { SP_TPL_POW } };
    return left(p, unary, &o, out);
}

static enum sp_status product(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "*", "/", "//", "%" }, { '*', '/', SP_TPL_FLOOR, '%' } };
    return left(p, power, &o, out);
}

static enum sp_status concat(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "~" }, { '~' } };
    return left(p, product, &o, out);
}

static enum sp_status sum(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "+", "-" }, { '+', '-' } };
    return left(p, concat, &o, out);
}

static int take_comparison(struct sp_tpl_parser *p)
{
    static const struct operators o = { { "==", "!=", "<=", ">=" }, { SP_TPL_EQ, SP_TPL_NE, SP_TPL_LE, SP_TPL_GE } };
    for (size_t i = 0; o.sign[i]; i++)
        if (sp_tpl_take_op(p, o.sign[i]))
            return o.op[i];
    if (sp_tpl_take_op(p, "<"))
        return '<';
    if (sp_tpl_take_op(p, ">"))
        return '>';
    if (sp_tpl_take_name(p, "in"))
        return SP_TPL_IN;
    bool not_in = sp_tpl_is_name(p, "not") && p->at[1].kind == SP_TPL_T_NAME && p->at[1].n == 2 && !memcmp(p->at[1].at, "in", 2);
    p->at += not_in ? 2 : 0;
    return not_in ? SP_TPL_NOT_IN : 0;
}

static enum sp_status comparison(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL, *k;
    int op;
    TRY(sum(p, out));
    while ((op = take_comparison(p))) {
        if (!e)
            TRY(two(p, SP_TPL_COMPARE, 0, *out, NULL, &e));
        TRY(two(p, SP_TPL_OPERAND, op, NULL, NULL, &k));
        TRY(sum(p, &k->a));
        sp_tpl_kid(e, k);
        *out = e;
    }
    return SP_OK;
}

static enum sp_status negation(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    int n = 0;
    while (sp_tpl_take_name(p, "not"))
        n++;
    TRY(comparison(p, out));
    for (int i = n % 2 ? 1 : n ? 2 : 0; i; i--)
        TRY(two(p, SP_TPL_UNARY, '!', *out, NULL, out));
    return SP_OK;
}

static enum sp_status conjunction(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "and" }, { SP_TPL_AND } };
    return left(p, negation, &o, out);
}

static enum sp_status disjunction(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    static const struct operators o = { { "or" }, { SP_TPL_OR } };
    return left(p, conjunction, &o, out);
}

enum sp_status sp_tpl_expr(struct sp_tpl_parser *p, bool choice, struct sp_tpl_node **out)
{
    if (++p->nesting > SP_TPL_NESTING_MAX)
        return sp_fail(p->err, SP_LIMIT, "line %d: more than %d levels of nesting", p->at->line, SP_TPL_NESTING_MAX);
    TRY(disjunction(p, out));
    while (choice && sp_tpl_take_name(p, "if")) {
        struct sp_tpl_node *e = NULL;
        TRY(two(p, SP_TPL_CHOICE, 0, *out, NULL, &e));
        TRY(disjunction(p, &e->b));
        if (sp_tpl_take_name(p, "else"))
            TRY(sp_tpl_expr(p, true, &e->c));
        *out = e;
    }
    p->nesting--;
    return SP_OK;
}

enum sp_status sp_tpl_tuple(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL, *k = NULL;
    TRY(sp_tpl_expr(p, true, out));
    if (!sp_tpl_is_op(p, ","))
        return SP_OK;
    TRY(two(p, SP_TPL_SEQ, 't', NULL, NULL, &e));
    sp_tpl_kid(e, *out);
    while (sp_tpl_take_op(p, ",") && !sp_tpl_is_op(p, ")") && !sp_tpl_is_op(p, "=") && p->at->kind != SP_TPL_T_TAG_END &&
           p->at->kind != SP_TPL_T_PRINT_END) {
        TRY(sp_tpl_expr(p, true, &k));
        sp_tpl_kid(e, k);
    }
    *out = e;
    return SP_OK;
}
