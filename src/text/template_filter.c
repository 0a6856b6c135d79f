/* text/template_filter.c - filters and tests of templates, as Jinja's.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "template.h"

typedef enum sp_status filter_fn(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out);

/* ---- tests ---- */

static int kind_test(struct sp_slice name, const struct sp_tpl_val *v)
{
    static const struct {
        const char *name;
        unsigned kinds;
    } tests[] = {
        { "undefined", 1u << SP_TPL_UNDEFINED },
        { "defined", ~(1u << SP_TPL_UNDEFINED) },
        { "none", 1u << SP_TPL_NONE },
        { "string", 1u << SP_TPL_STR },
        { "mapping", 1u << SP_TPL_DICT },
        { "sequence", 1u << SP_TPL_LIST | 1u << SP_TPL_STR | 1u << SP_TPL_DICT | 1u << SP_TPL_UNDEFINED },
        { "iterable", 1u << SP_TPL_LIST | 1u << SP_TPL_STR | 1u << SP_TPL_DICT | 1u << SP_TPL_UNDEFINED },
        { "number", 1u << SP_TPL_INT | 1u << SP_TPL_REAL | 1u << SP_TPL_BOOL },
        { "integer", 1u << SP_TPL_INT },
        { "float", 1u << SP_TPL_REAL },
        { "boolean", 1u << SP_TPL_BOOL },
        { "callable", 1u << SP_TPL_MACRO | 1u << SP_TPL_METHOD },
    };
    for (size_t i = 0; i < SP_COUNT(tests); i++)
        if (sp_tpl_named(name, tests[i].name))
            return (tests[i].kinds >> v->kind & 1u) != 0;
    if (sp_tpl_named(name, "true") || sp_tpl_named(name, "false"))
        return v->kind == SP_TPL_BOOL && v->on == (name.n == 4);
    return -1;
}

static enum sp_status compare_test(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_val *v, const struct sp_tpl_val *b, bool *out, bool *known)
{
    static const struct {
        const char *name[3];
        int low, high;
    } tests[] = { { { "lt", "lessthan", "<" }, -1, -1 }, { { "gt", "greaterthan", ">" }, 1, 1 }, { { "le", "<=", "le" }, -1, 0 }, { { "ge", ">=", "ge" }, 0, 1 } };
    int order;
    *known = true;
    if (sp_tpl_named(name, "eq") || sp_tpl_named(name, "equalto") || sp_tpl_named(name, "sameas"))
        return sp_tpl_equal(r, v, b, out);
    if (sp_tpl_named(name, "ne")) {
        TRY(sp_tpl_equal(r, v, b, out));
        *out = !*out;
        return SP_OK;
    }
    if (sp_tpl_named(name, "in"))
        return sp_tpl_contains(r, b, v, out);
    for (size_t i = 0; i < SP_COUNT(tests); i++)
        for (int k = 0; k < 3; k++)
            if (sp_tpl_named(name, tests[i].name[k])) {
                TRY(sp_tpl_order(r, v, b, &order));
                *out = order >= tests[i].low && order <= tests[i].high;
                return SP_OK;
            }
    *known = false;
    return SP_OK;
}

enum sp_status sp_tpl_test(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_val *v, const struct sp_tpl_args *a, bool *out)
{
    const struct sp_tpl_val none = { .kind = SP_TPL_NONE }, *b = sp_tpl_arg(a, 0, NULL);
    int kind = kind_test(name, v);
    bool known;
    if (kind >= 0)
        return *out = kind, SP_OK;
    int64_t by = sp_tpl_named(name, "divisibleby") ? (b && b->kind == SP_TPL_INT && b->i > 0 ? b->i : 0) : 2;
    if (sp_tpl_named(name, "odd") || sp_tpl_named(name, "even") || sp_tpl_named(name, "divisibleby")) {
        if (v->kind != SP_TPL_INT || !by)
            return sp_tpl_fail(r, SP_FORMAT, "odd, even and divisibleby ask whole numbers");
        *out = (v->i % by == 0) != (name.n == 3);
        return SP_OK;
    }
    if (v->kind == SP_TPL_STR && (sp_tpl_named(name, "lower") || sp_tpl_named(name, "upper"))) {
        struct sp_tpl_val same;
        TRY(sp_tpl_letters(r, &v->s, name.at[0], &same));
        return sp_tpl_equal(r, v, &same, out);
    }
    TRY(compare_test(r, name, v, b ? b : &none, out, &known));
    return known ? SP_OK : sp_tpl_fail(r, SP_UNSUPPORTED, "the test '%.*s' isn't known", name.n < 40 ? (int)name.n : 40, name.at);
}

/* ---- filters of one value ---- */

static enum sp_status filter_trim(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_str s;
    TRY(sp_tpl_to_str(r, v, &s));
    return sp_tpl_strip(r, &s, sp_tpl_arg(a, 0, "chars"), 3, out);
}

static enum sp_status filter_length(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    int64_t n;
    (void)a;
    TRY(sp_tpl_length(r, v, &n));
    *out = sp_tpl_int(n);
    return SP_OK;
}

static enum sp_status filter_tojson(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_buf b = { 0 };
    const struct sp_tpl_val *indent = sp_tpl_arg(a, -1, "indent");
    if (!indent && a->n)
        indent = a->n > 1 ? &a->at[1] : a->at[0].kind == SP_TPL_INT ? &a->at[0] : NULL;
    int by = indent && indent->kind == SP_TPL_INT ? (indent->i < 0 ? 0 : indent->i > 16 ? 16 : (int)indent->i) : -1;
    TRY(sp_tpl_buf_json(r, &b, v, by, 0));
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

static enum sp_status filter_string(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_str s;
    (void)a;
    TRY(sp_tpl_to_str(r, v, &s));
    *out = (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = s };
    return SP_OK;
}

static enum sp_status filter_safe(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    return filter_string(r, v, a, out);
}

static enum sp_status letters(struct sp_tpl_run *r, const struct sp_tpl_val *v, int how, struct sp_tpl_val *out)
{
    struct sp_tpl_str s;
    TRY(sp_tpl_to_str(r, v, &s));
    return sp_tpl_letters(r, &s, how, out);
}

static enum sp_status filter_upper(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return letters(r, v, 'u', out);
}

static enum sp_status filter_lower(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return letters(r, v, 'l', out);
}

static enum sp_status filter_capitalize(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return letters(r, v, 'c', out);
}

static enum sp_status filter_title(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return letters(r, v, 't', out);
}

static enum sp_status filter_replace(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_str s;
    TRY(sp_tpl_to_str(r, v, &s));
    return sp_tpl_replace(r, &s, a, out);
}

static enum sp_status filter_default(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *d = sp_tpl_arg(a, 0, "default_value"), *also = sp_tpl_arg(a, 1, "boolean");
    (void)r;
    *out = v->kind == SP_TPL_UNDEFINED || (also && sp_tpl_true(also) && !sp_tpl_true(v)) ? d ? *d : sp_tpl_own("") : *v;
    return SP_OK;
}

static enum sp_status filter_int(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *d = sp_tpl_arg(a, 0, "default");
    char s[64];
    double x;
    (void)r;
    *out = d ? *d : sp_tpl_int(0);
    if (v->kind == SP_TPL_INT || v->kind == SP_TPL_BOOL)
        *out = v->kind == SP_TPL_INT ? *v : sp_tpl_int(v->on);
    else if (v->kind == SP_TPL_REAL && fabs(v->r) < 9e18)
        *out = sp_tpl_int((int64_t)v->r);
    else if (v->kind == SP_TPL_STR && v->s.n && v->s.n < sizeof s) {
        sp_format(s, sizeof s, "%.*s", (int)v->s.n, v->s.at);
        if (strspn(s, "+-0123456789.eE ") == v->s.n && sp_parse_real(s + strspn(s, " "), &x) && fabs(x) < 9e18)
            *out = sp_tpl_int((int64_t)x);
    }
    return SP_OK;
}

static enum sp_status filter_float(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    char s[64];
    double x = v->kind == SP_TPL_INT ? (double)v->i : v->kind == SP_TPL_BOOL ? v->on : v->kind == SP_TPL_REAL ? v->r : 0;
    (void)r, (void)a;
    if (v->kind == SP_TPL_STR && v->s.n && v->s.n < sizeof s) {
        sp_format(s, sizeof s, "%.*s", (int)v->s.n, v->s.at);
        if (strspn(s, "+-0123456789.eE") != v->s.n || !sp_parse_real(s, &x))
            x = 0;
    }
    *out = (struct sp_tpl_val){ .kind = SP_TPL_REAL, .r = x };
    return SP_OK;
}

static enum sp_status filter_abs(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)r, (void)a;
    *out = v->kind == SP_TPL_INT && v->i < 0 && v->i != INT64_MIN ? sp_tpl_int(-v->i) : *v;
    if (v->kind == SP_TPL_REAL)
        out->r = fabs(v->r);
    return SP_OK;
}

static enum sp_status filter_indent(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *width = sp_tpl_arg(a, 0, "width"), *first = sp_tpl_arg(a, 1, "first"), *blank = sp_tpl_arg(a, 2, "blank");
    struct sp_tpl_buf b = { 0 };
    struct sp_tpl_str s;
    struct sp_tpl_val by = sp_tpl_own("                "), pad = sp_tpl_part(&by.s, 0, width && width->kind == SP_TPL_INT ? (size_t)(width->i < 0 ? 0 : width->i) : 4);
    pad = width && width->kind == SP_TPL_STR ? *width : pad;
    TRY(sp_tpl_to_str(r, v, &s));
    for (size_t at = 0; at <= s.n;) {
        const char *hit = at < s.n ? memchr(s.at + at, '\n', s.n - at) : NULL;
        size_t to = hit ? (size_t)(hit - s.at) + 1 : s.n;
        bool empty = to - at == (hit ? 1u : 0u);
        if (at ? !empty || (blank && sp_tpl_true(blank)) : first && sp_tpl_true(first))
            TRY(sp_tpl_buf_val(r, &b, &pad));
        TRY(sp_tpl_buf_add(r, &b, s.at + at, s.mark ? s.mark + at : NULL, to - at));
        at = hit ? to : s.n + 1;
    }
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

/* ---- filters of lists ---- */

static enum sp_status filter_first(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    (void)a;
    TRY(sp_tpl_iterate(r, v, &l));
    *out = l->n ? l->at[0] : (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED };
    return SP_OK;
}

static enum sp_status filter_last(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    (void)a;
    TRY(sp_tpl_iterate(r, v, &l));
    *out = l->n ? l->at[l->n - 1] : (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED };
    return SP_OK;
}

static enum sp_status filter_list(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    (void)a;
    TRY(sp_tpl_iterate(r, v, &l));
    TRY(sp_tpl_list_new(r, out));
    for (size_t i = 0; i < l->n; i++)
        TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
    return SP_OK;
}

static enum sp_status filter_reverse(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    struct sp_tpl_str nothing = { "", NULL, 0 };
    (void)a;
    TRY(sp_tpl_iterate(r, v, &l));
    TRY(sp_tpl_list_new(r, out));
    for (size_t i = l->n; i-- > 0;)
        TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
    return v->kind == SP_TPL_STR ? sp_tpl_join(r, out->list, &nothing, out) : SP_OK;
}

static enum sp_status filter_items(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    if (v->kind == SP_TPL_UNDEFINED)
        return sp_tpl_list_new(r, out);
    return v->kind == SP_TPL_DICT ? sp_tpl_items(r, v->dict, 'i', out) : sp_tpl_fail(r, SP_FORMAT, "items needs a dict, not %s", sp_tpl_kind_name(v));
}

/* a.b.0 of a value; fallback (or NULL) stands in for each part that is undefined. */
static enum sp_status dotted(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_val *path, const struct sp_tpl_val *fallback,
                             struct sp_tpl_val *out)
{
    *out = *v;
    if (path->kind != SP_TPL_STR)
        return sp_tpl_item(r, v, path, out);
    for (size_t at = 0, n; at <= path->s.n; at += n + 1) {
        const char *dot = at < path->s.n ? memchr(path->s.at + at, '.', path->s.n - at) : NULL;
        n = dot ? (size_t)(dot - path->s.at) - at : path->s.n - at;
        struct sp_tpl_val key = sp_tpl_part(&path->s, at, at + n), from = *out;
        if (n && n < 9 && strspn(key.s.at, "0123456789") >= n)
            key = sp_tpl_int(strtol(key.s.at, NULL, 10));
        TRY(sp_tpl_item(r, &from, &key, out));
        *out = fallback && out->kind == SP_TPL_UNDEFINED ? *fallback : *out;
        TRY(sp_tpl_tick(r, 1));
    }
    return SP_OK;
}

static enum sp_status filter_join(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *by = sp_tpl_arg(a, 0, "d"), *attr = sp_tpl_arg(a, 1, "attribute");
    struct sp_tpl_str sign = { "", NULL, 0 };
    struct sp_tpl_list *l = NULL;
    struct sp_tpl_val each;
    TRY(sp_tpl_iterate(r, v, &l));
    TRY(sp_tpl_list_new(r, &each));
    for (size_t i = 0; attr && i < l->n; i++) {
        struct sp_tpl_val e;
        TRY(dotted(r, &l->at[i], attr, NULL, &e));
        TRY(sp_tpl_list_add(r, each.list, &e));
    }
    if (by)
        TRY(sp_tpl_to_str(r, by, &sign));
    return sp_tpl_join(r, attr ? each.list : l, &sign, out);
}

/* The arguments behind the first n. */
static struct sp_tpl_args behind(const struct sp_tpl_args *a, int n)
{
    struct sp_tpl_args rest = *a;
    n = n > a->n ? a->n : n;
    rest.at = rest.at ? rest.at + n : NULL;
    rest.n -= n;
    return rest;
}

static enum sp_status filter_map(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *attr = sp_tpl_arg(a, -1, "attribute"), *d = sp_tpl_arg(a, -1, "default");
    struct sp_tpl_args rest = behind(a, 1);
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_list_new(r, out));
    if (!sp_tpl_true(v))
        return SP_OK;
    TRY(sp_tpl_iterate(r, v, &l));
    if (!attr && (!a->n || a->at[0].kind != SP_TPL_STR))
        return sp_tpl_fail(r, SP_FORMAT, "map takes a filter's name, or attribute=");
    for (size_t i = 0; i < l->n; i++) {
        struct sp_tpl_val e;
        if (attr)
            TRY(dotted(r, &l->at[i], attr, d, &e));
        else
            TRY(sp_tpl_filter(r, (struct sp_slice){ a->at[0].s.at, a->at[0].s.n }, &l->at[i], &rest, &e));
        TRY(sp_tpl_list_add(r, out->list, &e));
    }
    return SP_OK;
}

static enum sp_status choose(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, bool attr, bool keep, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *test = sp_tpl_arg(a, attr, NULL);
    struct sp_tpl_args rest = behind(a, 1 + attr);
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_list_new(r, out));
    if (!sp_tpl_true(v))
        return SP_OK;
    TRY(sp_tpl_iterate(r, v, &l));
    if ((attr && !a->n) || (test && test->kind != SP_TPL_STR))
        return sp_tpl_fail(r, SP_FORMAT, "a selection takes an attribute and a test, by name");
    for (size_t i = 0; i < l->n; i++) {
        struct sp_tpl_val e = l->at[i];
        if (attr)
            TRY(dotted(r, &l->at[i], &a->at[0], NULL, &e));
        bool is = sp_tpl_true(&e);
        if (test)
            TRY(sp_tpl_test(r, (struct sp_slice){ test->s.at, test->s.n }, &e, &rest, &is));
        if (is == keep)
            TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
    }
    return SP_OK;
}

static enum sp_status filter_select(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    return choose(r, v, a, false, true, out);
}

static enum sp_status filter_reject(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    return choose(r, v, a, false, false, out);
}

static enum sp_status filter_selectattr(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    return choose(r, v, a, true, true, out);
}

static enum sp_status filter_rejectattr(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    return choose(r, v, a, true, false, out);
}

/* What is compared: an attribute, letters without case unless asked for. */
static enum sp_status sort_key(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_val *attr, bool cased, struct sp_tpl_val *out)
{
    *out = *v;
    if (attr)
        TRY(dotted(r, v, attr, NULL, out));
    return out->kind == SP_TPL_STR && !cased ? sp_tpl_letters(r, &out->s, 'l', out) : SP_OK;
}

static enum sp_status filter_sort(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *down = sp_tpl_arg(a, 0, "reverse"), *cased = sp_tpl_arg(a, 1, "case_sensitive"), *attr = sp_tpl_arg(a, 2, "attribute");
    struct sp_tpl_val keys, key;
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_iterate(r, v, &l));
    TRY(sp_tpl_list_new(r, out));
    TRY(sp_tpl_list_new(r, &keys));
    for (size_t i = 0; i < l->n; i++) {
        size_t at = i;
        TRY(sort_key(r, &l->at[i], attr, cased && sp_tpl_true(cased), &key));
        TRY(sp_tpl_list_add(r, keys.list, &key));
        TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
        for (int order; at > 0; at--) {
            TRY(sp_tpl_tick(r, 1));
            TRY(sp_tpl_order(r, &keys.list->at[at - 1], &key, &order));
            if (down && sp_tpl_true(down) ? order >= 0 : order <= 0)
                break;
            keys.list->at[at] = keys.list->at[at - 1];
            out->list->at[at] = out->list->at[at - 1];
        }
        keys.list->at[at] = key;
        out->list->at[at] = l->at[i];
    }
    return SP_OK;
}

static enum sp_status filter_unique(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *cased = sp_tpl_arg(a, 0, "case_sensitive"), *attr = sp_tpl_arg(a, 1, "attribute");
    struct sp_tpl_val keys, key;
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_iterate(r, v, &l));
    TRY(sp_tpl_list_new(r, out));
    TRY(sp_tpl_list_new(r, &keys));
    for (size_t i = 0; i < l->n; i++) {
        bool seen;
        TRY(sort_key(r, &l->at[i], attr, cased && sp_tpl_true(cased), &key));
        TRY(sp_tpl_contains(r, &keys, &key, &seen));
        if (seen)
            continue;
        TRY(sp_tpl_list_add(r, keys.list, &key));
        TRY(sp_tpl_list_add(r, out->list, &l->at[i]));
    }
    return SP_OK;
}

static enum sp_status filter_dictsort(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_val zero = sp_tpl_int(0), items;
    struct sp_slice name = { "attribute", 9 };
    struct sp_tpl_args by = { .name = &name, .named = &zero, .n_named = 1 };
    TRY(filter_items(r, v, a, &items));
    return filter_sort(r, &items, &by, out);
}

static enum sp_status filter_sum(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *attr = sp_tpl_arg(a, 0, "attribute");
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_iterate(r, v, &l));
    *out = sp_tpl_int(0);
    for (size_t i = 0; i < l->n; i++) {
        struct sp_tpl_val e = l->at[i], so_far = *out;
        if (attr)
            TRY(dotted(r, &l->at[i], attr, NULL, &e));
        TRY(sp_tpl_binary(r, '+', &so_far, &e, out));
    }
    return SP_OK;
}

static enum sp_status extreme(struct sp_tpl_run *r, const struct sp_tpl_val *v, int sign, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_iterate(r, v, &l));
    *out = l->n ? l->at[0] : (struct sp_tpl_val){ .kind = SP_TPL_UNDEFINED };
    for (size_t i = 1; i < l->n; i++) {
        int order;
        TRY(sp_tpl_order(r, &l->at[i], out, &order));
        *out = order == sign ? l->at[i] : *out;
    }
    return SP_OK;
}

static enum sp_status filter_max(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return extreme(r, v, 1, out);
}

static enum sp_status filter_min(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    (void)a;
    return extreme(r, v, -1, out);
}

static const struct {
    const char *name;
    filter_fn *run;
} filters[] = {
    { "trim", filter_trim },       { "length", filter_length },         { "count", filter_length },           { "tojson", filter_tojson },
    { "join", filter_join },       { "default", filter_default },       { "d", filter_default },              { "first", filter_first },
    { "last", filter_last },       { "upper", filter_upper },           { "lower", filter_lower },            { "capitalize", filter_capitalize },
    { "title", filter_title },     { "replace", filter_replace },       { "items", filter_items },            { "map", filter_map },
    { "select", filter_select },   { "reject", filter_reject },         { "selectattr", filter_selectattr },  { "rejectattr", filter_rejectattr },
    { "list", filter_list },       { "string", filter_string },         { "int", filter_int },                { "float", filter_float },
    { "indent", filter_indent },   { "safe", filter_safe },             { "sort", filter_sort },              { "unique", filter_unique },
    { "reverse", filter_reverse }, { "dictsort", filter_dictsort },     { "sum", filter_sum },                { "abs", filter_abs },
    { "max", filter_max },         { "min", filter_min },
};

enum sp_status sp_tpl_filter(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_val *v, const struct sp_tpl_args *a,
                             struct sp_tpl_val *out)
{
    TRY(sp_tpl_tick(r, 1));
    for (size_t i = 0; i < SP_COUNT(filters); i++)
        if (sp_tpl_named(name, filters[i].name)) {
            if (++r->depth > SP_TPL_DEPTH_MAX)
                return sp_tpl_fail(r, SP_LIMIT, "more than %d levels of calls and expressions", SP_TPL_DEPTH_MAX);
            TRY(filters[i].run(r, v, a, out));
            r->depth--;
            return SP_OK;
        }
    return sp_tpl_fail(r, SP_UNSUPPORTED, "the filter '%.*s' isn't known", name.n < 40 ? (int)name.n : 40, name.at);
}
