/* text/template_eval.c - expressions of a template to values.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>
#include "template.h"

enum { RANGE_MAX = 100000, TIME_MAX = 256 };

/* ---- arithmetic ---- */

static bool whole(const struct sp_tpl_val *v, int64_t *out)
{
    *out = v->kind == SP_TPL_INT ? v->i : v->kind == SP_TPL_BOOL ? v->on : 0;
    return v->kind == SP_TPL_INT || v->kind == SP_TPL_BOOL;
}

static bool real(const struct sp_tpl_val *v, double *out)
{
    int64_t i;
    bool is = whole(v, &i);
    *out = v->kind == SP_TPL_REAL ? v->r : (double)i;
    return is || v->kind == SP_TPL_REAL;
}

static enum sp_status no_operation(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b)
{
    return sp_tpl_fail(r, SP_FORMAT, "an operator has no meaning for %s and %s", sp_tpl_kind_name(a), sp_tpl_kind_name(b));
}

static enum sp_status int_power(struct sp_tpl_run *r, int64_t x, int64_t y, int64_t *out)
{
    int64_t v = 1;
    bool over = y > 64 && x != 0 && x != 1 && x != -1;
    y = y > 64 ? 64 + y % 2 : y;
    for (; y > 0 && !over; y--)
        over = __builtin_mul_overflow(v, x, &v);
    *out = v;
    return over ? sp_tpl_fail(r, SP_LIMIT, "a number needs more than 64 bits") : SP_OK;
}

static enum sp_status int_binary(struct sp_tpl_run *r, int op, int64_t x, int64_t y, struct sp_tpl_val *out)
{
    int64_t v = 0;
    bool over = false;
    if ((op == SP_TPL_FLOOR || op == '%') && (y == 0 || y == -1)) {
        if (y == 0)
            return sp_tpl_fail(r, SP_FORMAT, "division by zero");
        over = op == SP_TPL_FLOOR && __builtin_sub_overflow((int64_t)0, x, &v);
    } else if (op == SP_TPL_FLOOR)
        v = x / y - (x % y != 0 && (x < 0) != (y < 0));
    else if (op == '%')
        v = x % y + (x % y != 0 && (x < 0) != (y < 0) ? y : 0);
    else if (op == SP_TPL_POW)
        TRY(int_power(r, x, y, &v));
    else
        over = op == '+' ? __builtin_add_overflow(x, y, &v) : op == '-' ? __builtin_sub_overflow(x, y, &v) : __builtin_mul_overflow(x, y, &v);
    *out = sp_tpl_int(v);
    return over ? sp_tpl_fail(r, SP_LIMIT, "a number needs more than 64 bits") : SP_OK;
}

static enum sp_status real_binary(struct sp_tpl_run *r, int op, double x, double y, struct sp_tpl_val *out)
{
    if ((op == '/' || op == '%' || op == SP_TPL_FLOOR) && y == 0)
        return sp_tpl_fail(r, SP_FORMAT, "division by zero");
    double v = op == '+' ? x + y : op == '-' ? x - y : op == '*' ? x * y : op == '/' ? x / y : op == SP_TPL_FLOOR ? floor(x / y) :
               op == '%' ? x - floor(x / y) * y : pow(x, y);
    *out = (struct sp_tpl_val){ .kind = SP_TPL_REAL, .r = v };
    return SP_OK;
}

static enum sp_status repeat(struct sp_tpl_run *r, const struct sp_tpl_val *v, int64_t times, struct sp_tpl_val *out)
{
    struct sp_tpl_buf b = { 0 };
    if (v->kind == SP_TPL_LIST) {
        TRY(sp_tpl_list_new(r, out));
        for (int64_t k = 0; k < times && v->list->n; k++)
            for (size_t i = 0; i < v->list->n; i++)
                TRY(sp_tpl_list_add(r, out->list, &v->list->at[i]));
        return SP_OK;
    }
    for (int64_t k = 0; k < times && v->s.n; k++)
        TRY(sp_tpl_buf_add(r, &b, v->s.at, v->s.mark, v->s.n));
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

static enum sp_status concatenate(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b, struct sp_tpl_val *out)
{
    struct sp_tpl_buf t = { 0 };
    TRY(sp_tpl_buf_val(r, &t, a));
    TRY(sp_tpl_buf_val(r, &t, b));
    *out = sp_tpl_buf_take(&t);
    return SP_OK;
}

static enum sp_status add_lists(struct sp_tpl_run *r, const struct sp_tpl_list *a, const struct sp_tpl_list *b, struct sp_tpl_val *out)
{
    TRY(sp_tpl_list_new(r, out));
    out->list->tuple = a->tuple;
    for (size_t i = 0; i < a->n + b->n; i++)
        TRY(sp_tpl_list_add(r, out->list, i < a->n ? &a->at[i] : &b->at[i - a->n]));
    return sp_tpl_tick(r, (a->n + b->n) / 16);
}

enum sp_status sp_tpl_binary(struct sp_tpl_run *r, int op, const struct sp_tpl_val *a, const struct sp_tpl_val *b, struct sp_tpl_val *out)
{
    int64_t i, k;
    double x, y;
    bool a_int = whole(a, &i), b_int = whole(b, &k), ints = a_int && b_int;
    if (op == '~')
        return concatenate(r, a, b, out);
    if (ints && op != '/' && !(op == SP_TPL_POW && k < 0))
        return int_binary(r, op, i, k, out);
    if (real(a, &x) && real(b, &y))
        return real_binary(r, op, x, y, out);
    if (op == '+' && a->kind == SP_TPL_STR && b->kind == SP_TPL_STR)
        return concatenate(r, a, b, out);
    if (op == '+' && a->kind == SP_TPL_LIST && b->kind == SP_TPL_LIST && a->list->tuple == b->list->tuple)
        return add_lists(r, a->list, b->list, out);
    if (op == '*' && (a->kind == SP_TPL_STR || a->kind == SP_TPL_LIST) && whole(b, &k))
        return repeat(r, a, k, out);
    if (op == '*' && (b->kind == SP_TPL_STR || b->kind == SP_TPL_LIST) && whole(a, &i))
        return repeat(r, b, i, out);
    return no_operation(r, a, b);
}

static enum sp_status unary(struct sp_tpl_run *r, int op, const struct sp_tpl_val *v, struct sp_tpl_val *out)
{
    struct sp_tpl_val zero = sp_tpl_int(0);
    if (op == '!') {
        *out = sp_tpl_bool(!sp_tpl_true(v));
        return SP_OK;
    }
    return op == '-' && v->kind == SP_TPL_REAL ? (out->kind = SP_TPL_REAL, out->r = -v->r, SP_OK) : sp_tpl_binary(r, op, &zero, v, out);
}

/* ---- comparison ---- */

enum sp_status sp_tpl_contains(struct sp_tpl_run *r, const struct sp_tpl_val *in, const struct sp_tpl_val *v, bool *out)
{
    struct sp_tpl_val *at;
    *out = false;
    if (in->kind == SP_TPL_STR && v->kind == SP_TPL_STR) {
        *out = !v->s.n || memmem(in->s.at, in->s.n, v->s.at, v->s.n);
        return sp_tpl_tick(r, in->s.n / 64);
    }
    if (in->kind == SP_TPL_DICT) {
        TRY(sp_tpl_dict_find(r, in->dict, v, &at));
        *out = at != NULL;
        return SP_OK;
    }
    if (in->kind != SP_TPL_LIST)
        return in->kind == SP_TPL_UNDEFINED ? SP_OK : no_operation(r, v, in);
    for (size_t i = 0; i < in->list->n && !*out; i++)
        TRY(sp_tpl_equal(r, &in->list->at[i], v, out));
    return SP_OK;
}

static enum sp_status compare(struct sp_tpl_run *r, int op, const struct sp_tpl_val *a, const struct sp_tpl_val *b, bool *out)
{
    int order = 0;
    if (op == SP_TPL_EQ || op == SP_TPL_NE)
        TRY(sp_tpl_equal(r, a, b, out));
    else if (op == SP_TPL_IN || op == SP_TPL_NOT_IN)
        TRY(sp_tpl_contains(r, b, a, out));
    else {
        TRY(sp_tpl_order(r, a, b, &order));
        *out = op == '<' ? order < 0 : op == '>' ? order > 0 : op == SP_TPL_LE ? order <= 0 : order >= 0;
    }
    if (op == SP_TPL_NE || op == SP_TPL_NOT_IN)
        *out = !*out;
    return SP_OK;
}

static enum sp_status eval_compare(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val a, b;
    bool holds = true;
    TRY(sp_tpl_eval(r, e->a, &a));
    for (const struct sp_tpl_node *k = e->kids; k && holds; k = k->next) {
        TRY(sp_tpl_eval(r, k->a, &b));
        TRY(compare(r, k->op, &a, &b, &holds));
        a = b;
    }
    *out = sp_tpl_bool(holds);
    return SP_OK;
}

/* ---- parts of values ---- */

static enum sp_status bind_method(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_slice name, struct sp_tpl_val *out)
{
    struct sp_tpl_method *m = NULL;
    TRY(sp_tpl_take(r, sizeof *m, &m));
    *m = (struct sp_tpl_method){ *v, name };
    *out = (struct sp_tpl_val){ .kind = SP_TPL_METHOD, .method = m };
    return SP_OK;
}

enum sp_status sp_tpl_attr(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_slice name, struct sp_tpl_val *out)
{
    int n = name.n < 60 ? (int)name.n : 60;
    if (v->kind == SP_TPL_UNDEFINED)
        return sp_tpl_fail(r, SP_FORMAT, "'%.*s' is asked of '%.*s', which is undefined", n, name.at, v->s.n < 60 ? (int)v->s.n : 60, v->s.n ? v->s.at : "");
    if (sp_tpl_has_method(v, name))
        return bind_method(r, v, name, out);
    struct sp_tpl_val *at = v->kind == SP_TPL_DICT ? sp_tpl_dict_get(v->dict, name.at, name.n) : NULL;
    *out = at ? *at : (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED, .s = { name.at, NULL, name.n } };
    return sp_tpl_tick(r, v->kind == SP_TPL_DICT ? v->dict->n / 8 : 0);
}

enum sp_status sp_tpl_item(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_val *key, struct sp_tpl_val *out)
{
    struct sp_tpl_val *at = NULL;
    struct sp_tpl_list *l = NULL;
    int64_t i;
    if (v->kind == SP_TPL_DICT)
        TRY(sp_tpl_dict_find(r, v->dict, key, &at));
    if (!at && key->kind == SP_TPL_STR)
        return v->kind == SP_TPL_DICT && !sp_tpl_has_method(v, (struct sp_slice){ key->s.at, key->s.n }) ?
                   (*out = (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED, .s = key->s }, SP_OK) :
                   sp_tpl_attr(r, v, (struct sp_slice){ key->s.at, key->s.n }, out);
    if (v->kind == SP_TPL_UNDEFINED)
        return sp_tpl_attr(r, v, (struct sp_slice){ "[]", 2 }, out);
    if ((v->kind == SP_TPL_LIST || v->kind == SP_TPL_STR) && whole(key, &i)) {
        TRY(sp_tpl_iterate(r, v, &l));
        i += i < 0 ? (int64_t)l->n : 0;
        at = i >= 0 && i < (int64_t)l->n ? &l->at[i] : NULL;
    }
    *out = at ? *at : (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED };
    return SP_OK;
}

/* A bound of a slice; missing or none: the default. */
static enum sp_status bound(struct sp_tpl_run *r, const struct sp_tpl_node *e, int64_t n, int64_t low, int64_t high, int64_t fallback, int64_t *out)
{
    struct sp_tpl_val v = { .kind = SP_TPL_NONE };
    *out = fallback;
    if (e)
        TRY(sp_tpl_eval(r, e, &v));
    if (v.kind == SP_TPL_NONE)
        return SP_OK;
    if (!whole(&v, out))
        return sp_tpl_fail(r, SP_FORMAT, "a slice has %s where a number belongs", sp_tpl_kind_name(&v));
    *out += *out < 0 ? n : 0;
    *out = *out < low ? low : *out > high ? high : *out;
    return SP_OK;
}

static enum sp_status slice(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val v, step = { .kind = SP_TPL_NONE };
    struct sp_tpl_list *l = NULL;
    struct sp_tpl_buf b = { 0 };
    int64_t from, to, by = 1;
    TRY(sp_tpl_eval(r, e->a, &v));
    if (e->d)
        TRY(sp_tpl_eval(r, e->d, &step));
    if (step.kind != SP_TPL_NONE && (!whole(&step, &by) || !by || by == INT64_MIN))
        return sp_tpl_fail(r, SP_FORMAT, "a slice's step must be a number other than 0");
    if (v.kind != SP_TPL_LIST && v.kind != SP_TPL_STR)
        return sp_tpl_fail(r, SP_FORMAT, "%s has no slices", sp_tpl_kind_name(&v));
    TRY(sp_tpl_iterate(r, &v, &l));
    int64_t n = (int64_t)l->n, low = by < 0 ? -1 : 0, high = by < 0 ? n - 1 : n;
    TRY(bound(r, e->b, n, low, high, by < 0 ? n - 1 : 0, &from));
    TRY(bound(r, e->c, n, low, high, by < 0 ? -1 : n, &to));
    TRY(sp_tpl_list_new(r, out));
    out->list->tuple = l->tuple;
    for (int64_t i = from; by > 0 ? i < to : i > to; i += by) {
        if (v.kind == SP_TPL_LIST)
            TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
        else
            TRY(sp_tpl_buf_val(r, &b, &l->at[i]));
        if ((by > 0 && by > n) || (by < 0 && -by > n))
            break;
    }
    if (v.kind == SP_TPL_STR)
        *out = sp_tpl_buf_take(&b);
    return sp_tpl_tick(r, l->n / 16);
}

/* ---- names and calls ---- */

static const char *const functions[] = { "raise_exception", "strftime_now", "namespace", "range", "dict" };

static enum sp_status eval_name(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    for (const struct sp_tpl_frame *f = r->frame; f; f = f->up) {
        const struct sp_tpl_val *v = sp_tpl_dict_get(&f->vars, e->name.at, e->name.n);
        TRY(sp_tpl_tick(r, f->vars.n / 8));
        if (v) {
            *out = *v;
            return SP_OK;
        }
    }
    struct sp_tpl_val none = { .kind = SP_TPL_UNDEFINED, .s = { e->name.at, NULL, e->name.n } };
    for (size_t i = 0; i < SP_COUNT(functions); i++)
        if (sp_tpl_named(e->name, functions[i]))
            return bind_method(r, &none, e->name, out);
    *out = none;
    return SP_OK;
}

enum sp_status sp_tpl_eval_args(struct sp_tpl_run *r, const struct sp_tpl_node *kids, struct sp_tpl_args *out)
{
    int n = 0;
    for (const struct sp_tpl_node *k = kids; k; k = k->next)
        n++;
    *out = (struct sp_tpl_args){ 0 };
    if (!n)
        return SP_OK;
    TRY(sp_tpl_take(r, (size_t)n * sizeof *out->at, &out->at));
    TRY(sp_tpl_take(r, (size_t)n * sizeof *out->named, &out->named));
    TRY(sp_tpl_take(r, (size_t)n * sizeof *out->name, &out->name));
    for (const struct sp_tpl_node *k = kids; k; k = k->next) {
        TRY(sp_tpl_eval(r, k->a, k->name.n ? &out->named[out->n_named] : &out->at[out->n]));
        if (k->name.n)
            out->name[out->n_named++] = k->name;
        else
            out->n++;
    }
    return SP_OK;
}

const struct sp_tpl_val *sp_tpl_arg(const struct sp_tpl_args *a, int place, const char *name)
{
    for (int i = 0; name && i < a->n_named; i++)
        if (sp_tpl_named(a->name[i], name))
            return &a->named[i];
    return place >= 0 && place < a->n ? &a->at[place] : NULL;
}

static enum sp_status make_dict(struct sp_tpl_run *r, const struct sp_tpl_args *a, enum sp_tpl_role role, struct sp_tpl_val *out)
{
    TRY(sp_tpl_dict_new(r, out));
    out->dict->role = role;
    for (size_t i = 0; a->n && a->at[0].kind == SP_TPL_DICT && i < a->at[0].dict->n; i++)
        TRY(sp_tpl_dict_put(r, out->dict, &a->at[0].dict->key[i], &a->at[0].dict->val[i]));
    for (int i = 0; i < a->n_named; i++) {
        struct sp_tpl_val key = { .kind = SP_TPL_STR, .s = { a->name[i].at, NULL, a->name[i].n } };
        TRY(sp_tpl_dict_put(r, out->dict, &key, &a->named[i]));
    }
    return SP_OK;
}

static enum sp_status make_range(struct sp_tpl_run *r, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    int64_t v[3] = { 0, 0, 1 };
    for (int i = 0; i < a->n && i < 3; i++)
        if (!whole(&a->at[i], &v[a->n == 1 ? 1 : i]))
            return sp_tpl_fail(r, SP_FORMAT, "range takes whole numbers");
    if (!a->n || !v[2])
        return sp_tpl_fail(r, SP_FORMAT, "range takes an end, and a step other than 0");
    TRY(sp_tpl_list_new(r, out));
    for (int64_t i = v[0]; v[2] > 0 ? i < v[1] : i > v[1];) {
        struct sp_tpl_val k = sp_tpl_int(i);
        if (out->list->n == RANGE_MAX)
            return sp_tpl_fail(r, SP_LIMIT, "a range of more than %d numbers", RANGE_MAX);
        TRY(sp_tpl_list_add(r, out->list, &k));
        if (__builtin_add_overflow(i, v[2], &i))
            break;
    }
    return SP_OK;
}

static enum sp_status time_text(struct sp_tpl_run *r, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    char format[TIME_MAX], text[TIME_MAX], *kept = NULL;
    time_t now = r->now ? (time_t)r->now : time(NULL);
    struct tm tm;
    struct sp_tpl_str s;
    if (!a->n || !localtime_r(&now, &tm))
        return sp_tpl_fail(r, SP_FORMAT, "strftime_now takes a format");
    TRY(sp_tpl_to_str(r, &a->at[0], &s));
    sp_format(format, sizeof format, "%.*s", s.n < TIME_MAX ? (int)s.n : TIME_MAX - 1, s.n ? s.at : "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof text, format, &tm);
#pragma GCC diagnostic pop
    TRY(sp_tpl_take(r, n + 1, &kept));
    memcpy(kept, text, n);
    *out = (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { kept, NULL, n } };
    return SP_OK;
}

static enum sp_status raise_exception(struct sp_tpl_run *r, const struct sp_tpl_args *a)
{
    struct sp_tpl_str s = { "", NULL, 0 };
    if (a->n)
        TRY(sp_tpl_to_str(r, &a->at[0], &s));
    return sp_tpl_fail(r, SP_USAGE, "the template refuses: %.*s", s.n < 300 ? (int)s.n : 300, s.n ? s.at : "");
}

static enum sp_status call_function(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    if (sp_tpl_named(name, "raise_exception"))
        return raise_exception(r, a);
    if (sp_tpl_named(name, "strftime_now"))
        return time_text(r, a, out);
    return sp_tpl_named(name, "range") ? make_range(r, a, out) : make_dict(r, a, sp_tpl_named(name, "dict") ? SP_TPL_PLAIN : SP_TPL_NAMESPACE, out);
}

enum sp_status sp_tpl_call(struct sp_tpl_run *r, const struct sp_tpl_val *f, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    if (f->kind == SP_TPL_MACRO)
        return sp_tpl_call_macro(r, f->macro, a, out);
    if (f->kind == SP_TPL_METHOD && f->method->self.kind == SP_TPL_UNDEFINED)
        return call_function(r, f->method->name, a, out);
    if (f->kind == SP_TPL_METHOD)
        return sp_tpl_method(r, f->method, a, out);
    int n = f->kind == SP_TPL_UNDEFINED && f->s.n < 60 ? (int)f->s.n : 0;
    return sp_tpl_fail(r, SP_FORMAT, "%s can't be called%s%.*s%s", sp_tpl_kind_name(f), n ? ": '" : "", n, n ? f->s.at : "", n ? "'" : "");
}

/* ---- the walk ---- */

static enum sp_status eval_applied(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val v;
    struct sp_tpl_args args;
    bool is;
    TRY(sp_tpl_eval(r, e->a, &v));
    TRY(sp_tpl_eval_args(r, e->kids, &args));
    r->line = e->line;
    if (e->kind == SP_TPL_CALL)
        return sp_tpl_call(r, &v, &args, out);
    if (e->kind == SP_TPL_FILTER)
        return sp_tpl_filter(r, e->name, &v, &args, out);
    TRY(sp_tpl_test(r, e->name, &v, &args, &is));
    *out = sp_tpl_bool(is != (e->op == '!'));
    return SP_OK;
}

static enum sp_status eval_seq(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    TRY(sp_tpl_list_new(r, out));
    out->list->tuple = e->op == 't';
    for (const struct sp_tpl_node *k = e->kids; k; k = k->next) {
        struct sp_tpl_val v;
        TRY(sp_tpl_eval(r, k, &v));
        TRY(sp_tpl_list_add(r, out->list, &v));
    }
    return SP_OK;
}

static enum sp_status eval_pairs(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    TRY(sp_tpl_dict_new(r, out));
    for (const struct sp_tpl_node *k = e->kids; k; k = k->next->next) {
        struct sp_tpl_val key, v;
        TRY(sp_tpl_eval(r, k, &key));
        TRY(sp_tpl_eval(r, k->next, &v));
        TRY(sp_tpl_dict_put(r, out->dict, &key, &v));
    }
    return SP_OK;
}

static enum sp_status eval_binary(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val a, b;
    TRY(sp_tpl_eval(r, e->a, &a));
    if (e->op == SP_TPL_AND || e->op == SP_TPL_OR) {
        *out = a;
        return sp_tpl_true(&a) == (e->op == SP_TPL_OR) ? SP_OK : sp_tpl_eval(r, e->b, out);
    }
    TRY(sp_tpl_eval(r, e->b, &b));
    r->line = e->line;
    return sp_tpl_binary(r, e->op, &a, &b, out);
}

static enum sp_status eval_part(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val a, b;
    TRY(sp_tpl_eval(r, e->a, &a));
    r->line = e->line;
    if (e->kind == SP_TPL_ATTR)
        return sp_tpl_attr(r, &a, e->name, out);
    if (e->kind == SP_TPL_UNARY)
        return unary(r, e->op, &a, out);
    TRY(sp_tpl_eval(r, e->b, &b));
    return sp_tpl_item(r, &a, &b, out);
}

static enum sp_status eval_choice(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_val if_;
    TRY(sp_tpl_eval(r, e->b, &if_));
    *out = (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED };
    return sp_tpl_true(&if_) ? sp_tpl_eval(r, e->a, out) : e->c ? sp_tpl_eval(r, e->c, out) : SP_OK;
}

static enum sp_status eval_kind(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    switch (e->kind) {
    case SP_TPL_VALUE:
        *out = e->value;
        return SP_OK;
    case SP_TPL_NAME:
        return eval_name(r, e, out);
    case SP_TPL_SEQ:
        return eval_seq(r, e, out);
    case SP_TPL_PAIRS:
        return eval_pairs(r, e, out);
    case SP_TPL_SLICE:
        return slice(r, e, out);
    case SP_TPL_BINARY:
        return eval_binary(r, e, out);
    case SP_TPL_COMPARE:
        return eval_compare(r, e, out);
    case SP_TPL_CHOICE:
        return eval_choice(r, e, out);
    case SP_TPL_CALL:
    case SP_TPL_FILTER:
    case SP_TPL_TEST:
        return eval_applied(r, e, out);
    default:
        return eval_part(r, e, out);
    }
}

enum sp_status sp_tpl_eval(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    TRY(sp_tpl_tick(r, 1));
    if (++r->depth > SP_TPL_DEPTH_MAX)
        return sp_tpl_fail(r, SP_LIMIT, "more than %d levels of calls and expressions", SP_TPL_DEPTH_MAX);
    r->line = e->line;
    TRY(eval_kind(r, e, out));
    r->depth--;
    return SP_OK;
}
