/* text/template_print.c - values of a template as text: as Python prints them, and as JSON.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "template.h"

enum sp_status sp_tpl_buf_add(struct sp_tpl_run *r, struct sp_tpl_buf *b, const char *s, const unsigned char *mark, size_t n)
{
    TRY(sp_tpl_tick(r, n / 64));
    if (n > b->cap - b->n) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap - b->n < n)
            cap *= 2;
        char *at = NULL;
        TRY(sp_tpl_take(r, 2 * cap, &at));
        if (b->n) {
            memcpy(at, b->at, b->n);
            memcpy(at + cap, b->mark, b->n);
        }
        *b = (struct sp_tpl_buf){ at, (unsigned char *)at + cap, b->n, cap };
    }
    if (!n)
        return SP_OK;
    memcpy(b->at + b->n, s, n);
    if (mark)
        memcpy(b->mark + b->n, mark, n);
    else
        memset(b->mark + b->n, 0, n);
    b->n += n;
    return SP_OK;
}

enum sp_status sp_tpl_buf_str(struct sp_tpl_run *r, struct sp_tpl_buf *b, const char *s)
{
    return sp_tpl_buf_add(r, b, s, NULL, strlen(s));
}

struct sp_tpl_val sp_tpl_buf_take(const struct sp_tpl_buf *b)
{
    return (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { b->n ? b->at : "", b->mark, b->n } };
}

struct sp_tpl_val sp_tpl_part(const struct sp_tpl_str *s, size_t from, size_t to)
{
    to = to > s->n ? s->n : to;
    from = from > to ? to : from;
    return (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { s->at + from, s->mark ? s->mark + from : NULL, to - from } };
}

size_t sp_tpl_char(const struct sp_tpl_str *s, size_t at)
{
    size_t n = 1;
    while (at + n < s->n && ((unsigned char)s->at[at + n] & 0xc0) == 0x80 && n < 4)
        n++;
    return n;
}

/* The shortest digits that read back as the same number, as Python prints them. */
static enum sp_status put_real(struct sp_tpl_run *r, struct sp_tpl_buf *b, double v)
{
    char s[40];
    if (isnan(v) || isinf(v))
        return sp_tpl_buf_str(r, b, isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
    for (int digits = 15; digits <= 17; digits++) {
        double back = 0;
        sp_format(s, sizeof s, "%.*g", digits, v);
        if (sp_parse_real(s, &back) && back == v)
            break;
    }
    if (strchr(s, 'e') && fabs(v) < 1e16 && fabs(v) >= 1e-4)
        sp_format(s, sizeof s, "%.0f", v);
    TRY(sp_tpl_buf_str(r, b, s));
    return strpbrk(s, ".e") ? SP_OK : sp_tpl_buf_str(r, b, ".0");
}

static enum sp_status put_number(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v)
{
    char s[32];
    if (v->kind == SP_TPL_REAL)
        return put_real(r, b, v->r);
    sp_format(s, sizeof s, "%lld", (long long)v->i);
    return sp_tpl_buf_str(r, b, s);
}

/* quote: the sign around it; Python's escapes with ', JSON's with ". */
static enum sp_status put_quoted(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_str *s, char quote)
{
    static const char from[] = "\n\r\t\\", into[] = "nrt\\";
    bool json = quote == '"';
    if (!json && memchr(s->at, '\'', s->n) && !memchr(s->at, '"', s->n))
        quote = '"';
    TRY(sp_tpl_buf_add(r, b, &quote, NULL, 1));
    for (size_t i = 0; i < s->n; i++) {
        unsigned char c = (unsigned char)s->at[i];
        const unsigned char *mark = s->mark ? s->mark + i : NULL;
        const char *e = c ? strchr(from, c) : NULL;
        char out[8] = { (char)c, 0 };
        if (e)
            sp_format(out, sizeof out, "\\%c", into[e - from]);
        else if (c == (unsigned char)quote)
            sp_format(out, sizeof out, "\\%c", quote);
        else if (json && (c == '\b' || c == '\f'))
            sp_format(out, sizeof out, "\\%c", c == '\b' ? 'b' : 'f');
        else if (c < 32 || (c == 127 && !json))
            sp_format(out, sizeof out, json ? "\\u%04x" : "\\x%02x", c);
        unsigned char marks[8];
        memset(marks, mark ? *mark : 0, sizeof marks);
        TRY(sp_tpl_buf_add(r, b, out, marks, out[0] ? strlen(out) : 1));
    }
    return sp_tpl_buf_add(r, b, &quote, NULL, 1);
}

static enum sp_status put_repr(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v);

static enum sp_status repr_list(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_list *l)
{
    TRY(sp_tpl_buf_str(r, b, l->tuple ? "(" : "["));
    for (size_t i = 0; i < l->n; i++) {
        TRY(sp_tpl_buf_str(r, b, i ? ", " : ""));
        TRY(put_repr(r, b, &l->at[i]));
    }
    return sp_tpl_buf_str(r, b, l->tuple ? l->n == 1 ? ",)" : ")" : "]");
}

static enum sp_status repr_dict(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_dict *d)
{
    TRY(sp_tpl_buf_str(r, b, "{"));
    for (size_t i = 0; i < d->n; i++) {
        TRY(sp_tpl_buf_str(r, b, i ? ", " : ""));
        TRY(put_repr(r, b, &d->key[i]));
        TRY(sp_tpl_buf_str(r, b, ": "));
        TRY(put_repr(r, b, &d->val[i]));
    }
    return sp_tpl_buf_str(r, b, "}");
}

static enum sp_status put_repr(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v)
{
    TRY(sp_tpl_tick(r, 1));
    if (v->kind == SP_TPL_STR)
        return put_quoted(r, b, &v->s, '\'');
    return sp_tpl_buf_val(r, b, v);
}

enum sp_status sp_tpl_buf_val(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v)
{
    enum sp_status st = SP_OK;
    switch (v->kind) {
    case SP_TPL_UNDEFINED:
        return SP_OK;
    case SP_TPL_NONE:
        return sp_tpl_buf_str(r, b, "None");
    case SP_TPL_BOOL:
        return sp_tpl_buf_str(r, b, v->on ? "True" : "False");
    case SP_TPL_INT:
    case SP_TPL_REAL:
        return put_number(r, b, v);
    case SP_TPL_STR:
        return sp_tpl_buf_add(r, b, v->s.at, v->s.mark, v->s.n);
    case SP_TPL_LIST:
    case SP_TPL_DICT:
        if (++r->depth > SP_TPL_DEPTH_MAX)
            return sp_tpl_fail(r, SP_LIMIT, "a value is nested too deep to print");
        st = v->kind == SP_TPL_LIST ? repr_list(r, b, v->list) : repr_dict(r, b, v->dict);
        r->depth--;
        return st;
    default:
        return sp_tpl_fail(r, SP_FORMAT, "%s can't be printed: its call is missing", sp_tpl_kind_name(v));
    }
}

enum sp_status sp_tpl_to_str(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_tpl_str *out)
{
    struct sp_tpl_buf b = { 0 };
    if (v->kind == SP_TPL_STR) {
        *out = v->s;
        return SP_OK;
    }
    TRY(sp_tpl_buf_val(r, &b, v));
    *out = sp_tpl_buf_take(&b).s;
    return SP_OK;
}

/* ---- JSON ---- */

static enum sp_status break_line(struct sp_tpl_run *r, struct sp_tpl_buf *b, int indent, int level)
{
    if (indent < 0)
        return SP_OK;
    TRY(sp_tpl_buf_str(r, b, "\n"));
    for (int i = 0; i < indent * level; i++)
        TRY(sp_tpl_buf_str(r, b, " "));
    return SP_OK;
}

static enum sp_status json_each(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v, int indent, int level)
{
    bool dict = v->kind == SP_TPL_DICT;
    size_t n = dict ? v->dict->n : v->list->n;
    TRY(sp_tpl_buf_str(r, b, dict ? "{" : "["));
    for (size_t i = 0; i < n; i++) {
        TRY(sp_tpl_buf_str(r, b, !i ? "" : indent < 0 ? ", " : ","));
        TRY(break_line(r, b, indent, level + 1));
        if (dict) {
            struct sp_tpl_str key;
            TRY(sp_tpl_to_str(r, &v->dict->key[i], &key));
            TRY(put_quoted(r, b, &key, '"'));
            TRY(sp_tpl_buf_str(r, b, ": "));
        }
        TRY(sp_tpl_buf_json(r, b, dict ? &v->dict->val[i] : &v->list->at[i], indent, level + 1));
    }
    if (n)
        TRY(break_line(r, b, indent, level));
    return sp_tpl_buf_str(r, b, dict ? "}" : "]");
}

enum sp_status sp_tpl_buf_json(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v, int indent, int level)
{
    TRY(sp_tpl_tick(r, 1));
    if (level > SP_TPL_NESTING_MAX)
        return sp_tpl_fail(r, SP_LIMIT, "a value is nested too deep for JSON");
    switch (v->kind) {
    case SP_TPL_NONE:
        return sp_tpl_buf_str(r, b, "null");
    case SP_TPL_BOOL:
        return sp_tpl_buf_str(r, b, v->on ? "true" : "false");
    case SP_TPL_INT:
    case SP_TPL_REAL:
        return put_number(r, b, v);
    case SP_TPL_STR:
        return put_quoted(r, b, &v->s, '"');
    case SP_TPL_LIST:
    case SP_TPL_DICT:
        return json_each(r, b, v, indent, level);
    default:
        return sp_tpl_fail(r, SP_FORMAT, "%s can't be written as JSON", sp_tpl_kind_name(v));
    }
}
