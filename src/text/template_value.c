/* text/template_value.c - values of a template: making, comparing and printing them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "template.h"

enum { ROLE_MAX = 32 /* bytes of a role that is taken for a plain word */ };

enum sp_status sp_tpl_fail(struct sp_tpl_run *r, enum sp_status st, const char *fmt, ...)
{
    char what[400];
    va_list ap;
    va_start(ap, fmt);
    sp_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    return sp_fail(r->err, st, "line %d: %s", r->line, what);
}

enum sp_status sp_tpl_tick(struct sp_tpl_run *r, size_t steps)
{
    r->steps += (int64_t)(steps < SP_TPL_STEPS_MAX ? steps : SP_TPL_STEPS_MAX) + 1;
    return r->steps > SP_TPL_STEPS_MAX ? sp_tpl_fail(r, SP_LIMIT, "the template takes more than %d steps", SP_TPL_STEPS_MAX) : SP_OK;
}

enum sp_status sp_tpl_take(struct sp_tpl_run *r, size_t bytes, void *out)
{
    if (bytes > r->memory_max - r->taken)
        return sp_tpl_fail(r, SP_LIMIT, "the template takes more than %zu bytes of memory", r->memory_max);
    r->taken += bytes;
    void *p = sp_arena_take(r->mem, bytes ? bytes : 1);
    if (!p)
        return sp_tpl_fail(r, SP_NOMEM, "no memory to render the template");
    memcpy(out, &p, sizeof p);
    return SP_OK;
}

struct sp_tpl_val sp_tpl_own(const char *s)
{
    return (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { s, NULL, strlen(s) } };
}

struct sp_tpl_val sp_tpl_int(int64_t i)
{
    return (struct sp_tpl_val){ .kind = SP_TPL_INT, .i = i };
}

struct sp_tpl_val sp_tpl_bool(bool on)
{
    return (struct sp_tpl_val){ .kind = SP_TPL_BOOL, .on = on };
}

bool sp_tpl_named(struct sp_slice name, const char *s)
{
    return strlen(s) == name.n && !memcmp(s, name.at, name.n);
}

const char *sp_tpl_kind_name(const struct sp_tpl_val *v)
{
    static const char *const names[] = { "an undefined value", "none", "a boolean", "an integer", "a number", "a string", "a list", "a dict", "a macro", "a method" };
    return names[v->kind];
}

/* ---- lists and dicts ---- */

enum sp_status sp_tpl_list_new(struct sp_tpl_run *r, struct sp_tpl_val *out)
{
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_take(r, sizeof *l, &l));
    *out = (struct sp_tpl_val){ .kind = SP_TPL_LIST, .list = l };
    return SP_OK;
}

static enum sp_status grow(struct sp_tpl_run *r, struct sp_tpl_val **at, size_t n, size_t cap)
{
    struct sp_tpl_val *to = NULL;
    TRY(sp_tpl_take(r, cap * sizeof *to, &to));
    if (n)
        memcpy(to, *at, n * sizeof *to);
    *at = to;
    return SP_OK;
}

enum sp_status sp_tpl_list_add(struct sp_tpl_run *r, struct sp_tpl_list *l, const struct sp_tpl_val *v)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        TRY(grow(r, &l->at, l->n, cap));
        l->cap = cap;
    }
    l->at[l->n++] = *v;
    return SP_OK;
}

enum sp_status sp_tpl_dict_new(struct sp_tpl_run *r, struct sp_tpl_val *out)
{
    struct sp_tpl_dict *d = NULL;
    TRY(sp_tpl_take(r, sizeof *d, &d));
    *out = (struct sp_tpl_val){ .kind = SP_TPL_DICT, .dict = d };
    return SP_OK;
}

struct sp_tpl_val *sp_tpl_dict_get(const struct sp_tpl_dict *d, const char *key, size_t n)
{
    for (size_t i = 0; i < d->n; i++)
        if (d->key[i].kind == SP_TPL_STR && d->key[i].s.n == n && (!n || !memcmp(d->key[i].s.at, key, n)))
            return &d->val[i];
    return NULL;
}

enum sp_status sp_tpl_dict_find(struct sp_tpl_run *r, const struct sp_tpl_dict *d, const struct sp_tpl_val *key,
                                struct sp_tpl_val **out)
{
    *out = NULL;
    TRY(sp_tpl_tick(r, d->n / 8));
    if (key->kind == SP_TPL_STR) {
        *out = sp_tpl_dict_get(d, key->s.at, key->s.n);
        return SP_OK;
    }
    for (size_t i = 0; i < d->n && !*out; i++) {
        bool same;
        TRY(sp_tpl_equal(r, &d->key[i], key, &same));
        *out = same ? &d->val[i] : NULL;
    }
    return SP_OK;
}

enum sp_status sp_tpl_dict_put(struct sp_tpl_run *r, struct sp_tpl_dict *d, const struct sp_tpl_val *key,
                               const struct sp_tpl_val *v)
{
    struct sp_tpl_val *at;
    TRY(sp_tpl_dict_find(r, d, key, &at));
    if (at) {
        *at = *v;
        return SP_OK;
    }
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 4;
        TRY(grow(r, &d->key, d->n, cap));
        TRY(grow(r, &d->val, d->n, cap));
        d->cap = cap;
    }
    d->key[d->n] = *key;
    d->val[d->n++] = *v;
    return SP_OK;
}

/* ---- from JSON ---- */

static bool plain_word(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '-'))
            return false;
    return n <= ROLE_MAX;
}

static enum sp_status from_string(struct sp_tpl_run *r, const char *s, size_t n, bool foreign, struct sp_tpl_val *out)
{
    unsigned char *mark = NULL;
    if (foreign) {
        TRY(sp_tpl_take(r, n, &mark));
        memset(mark, 1, n);
    }
    *out = (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { s, mark, n } };
    return SP_OK;
}

static enum sp_status from_object(struct sp_tpl_run *r, const json_t *j, bool foreign, struct sp_tpl_val *out)
{
    const char *name;
    json_t *value;
    TRY(sp_tpl_dict_new(r, out));
    json_object_foreach((json_t *)j, name, value) {
        struct sp_tpl_val k, v;
        bool role = !strcmp(name, "role") && json_is_string(value) && plain_word(json_string_value(value), json_string_length(value));
        TRY(from_string(r, name, strlen(name), foreign, &k));
        TRY(sp_tpl_from_json(r, value, foreign && !role, &v));
        TRY(sp_tpl_dict_put(r, out->dict, &k, &v));
    }
    return SP_OK;
}

enum sp_status sp_tpl_from_json(struct sp_tpl_run *r, const json_t *j, bool foreign, struct sp_tpl_val *out)
{
    size_t i;
    json_t *e;
    if (++r->depth > SP_TPL_NESTING_MAX)
        return sp_tpl_fail(r, SP_LIMIT, "a variable has more than %d levels", SP_TPL_NESTING_MAX);
    *out = (struct sp_tpl_val){ .kind = SP_TPL_NONE };
    if (json_is_string(j))
        TRY(from_string(r, json_string_value(j), json_string_length(j), foreign, out));
    else if (json_is_boolean(j))
        *out = sp_tpl_bool(json_is_true(j));
    else if (json_is_integer(j))
        *out = sp_tpl_int(json_integer_value(j));
    else if (json_is_real(j))
        *out = (struct sp_tpl_val){ .kind = SP_TPL_REAL, .r = json_real_value(j) };
    else if (json_is_object(j))
        TRY(from_object(r, j, foreign, out));
    else if (json_is_array(j)) {
        TRY(sp_tpl_list_new(r, out));
        json_array_foreach(j, i, e) {
            struct sp_tpl_val v;
            TRY(sp_tpl_from_json(r, e, foreign, &v));
            TRY(sp_tpl_list_add(r, out->list, &v));
        }
    }
    r->depth--;
    return SP_OK;
}

/* ---- truth and order ---- */

bool sp_tpl_true(const struct sp_tpl_val *v)
{
    switch (v->kind) {
    case SP_TPL_UNDEFINED:
    case SP_TPL_NONE:
        return false;
    case SP_TPL_BOOL:
        return v->on;
    case SP_TPL_INT:
        return v->i != 0;
    case SP_TPL_REAL:
        return v->r != 0;
    case SP_TPL_STR:
        return v->s.n > 0;
    case SP_TPL_LIST:
        return v->list->n > 0;
    case SP_TPL_DICT:
        return v->dict->n > 0 || v->dict->role != SP_TPL_PLAIN;
    default:
        return true;
    }
}

static bool number(const struct sp_tpl_val *v, double *out)
{
    *out = v->kind == SP_TPL_INT ? (double)v->i : v->kind == SP_TPL_REAL ? v->r : v->kind == SP_TPL_BOOL ? (double)v->on : 0;
    return v->kind == SP_TPL_INT || v->kind == SP_TPL_REAL || v->kind == SP_TPL_BOOL;
}

static enum sp_status equal_dicts(struct sp_tpl_run *r, const struct sp_tpl_dict *a, const struct sp_tpl_dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; *out && i < a->n; i++) {
        struct sp_tpl_val *other;
        TRY(sp_tpl_dict_find(r, b, &a->key[i], &other));
        *out = other != NULL;
        if (other)
            TRY(sp_tpl_equal(r, &a->val[i], other, out));
    }
    return SP_OK;
}

enum sp_status sp_tpl_equal(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b, bool *out)
{
    double x, y;
    TRY(sp_tpl_tick(r, 1));
    *out = false;
    if (number(a, &x) && number(b, &y))
        *out = a->kind == SP_TPL_INT && b->kind == SP_TPL_INT ? a->i == b->i : x == y;
    else if (a->kind != b->kind)
        return SP_OK;
    else if (a->kind == SP_TPL_STR)
        *out = a->s.n == b->s.n && (!a->s.n || !memcmp(a->s.at, b->s.at, a->s.n));
    else if (a->kind == SP_TPL_NONE || a->kind == SP_TPL_UNDEFINED)
        *out = true;
    else if (a->kind == SP_TPL_LIST || a->kind == SP_TPL_DICT) {
        if (++r->depth > SP_TPL_DEPTH_MAX)
            return sp_tpl_fail(r, SP_LIMIT, "values are nested too deep to compare");
        if (a->kind == SP_TPL_DICT)
            TRY(equal_dicts(r, a->dict, b->dict, out));
        else
            *out = a->list->n == b->list->n && a->list->tuple == b->list->tuple;
        for (size_t i = 0; a->kind == SP_TPL_LIST && *out && i < a->list->n; i++)
            TRY(sp_tpl_equal(r, &a->list->at[i], &b->list->at[i], out));
        r->depth--;
    } else
        *out = a->macro == b->macro;
    return SP_OK;
}

enum sp_status sp_tpl_order(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b, int *out)
{
    double x, y;
    if (number(a, &x) && number(b, &y)) {
        *out = x < y ? -1 : x > y;
        return SP_OK;
    }
    if (a->kind != SP_TPL_STR || b->kind != SP_TPL_STR)
        return sp_tpl_fail(r, SP_FORMAT, "%s and %s have no order", sp_tpl_kind_name(a), sp_tpl_kind_name(b));
    size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
    int c = n ? memcmp(a->s.at, b->s.at, n) : 0;
    *out = c < 0 ? -1 : c > 0 ? 1 : a->s.n < b->s.n ? -1 : a->s.n > b->s.n;
    return sp_tpl_tick(r, n / 64);
}

enum sp_status sp_tpl_iterate(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_tpl_list **out)
{
    struct sp_tpl_val l;
    if (v->kind == SP_TPL_LIST) {
        *out = v->list;
        return SP_OK;
    }
    TRY(sp_tpl_list_new(r, &l));
    if (v->kind == SP_TPL_STR)
        for (size_t i = 0, n; i < v->s.n; i += n) {
            n = sp_tpl_char(&v->s, i);
            struct sp_tpl_val c = sp_tpl_part(&v->s, i, i + n);
            TRY(sp_tpl_list_add(r, l.list, &c));
        }
    else if (v->kind == SP_TPL_DICT)
        for (size_t i = 0; i < v->dict->n; i++)
            TRY(sp_tpl_list_add(r, l.list, &v->dict->key[i]));
    else if (v->kind != SP_TPL_UNDEFINED)
        return sp_tpl_fail(r, SP_FORMAT, "%s can't be walked over", sp_tpl_kind_name(v));
    *out = l.list;
    return SP_OK;
}

enum sp_status sp_tpl_length(struct sp_tpl_run *r, const struct sp_tpl_val *v, int64_t *out)
{
    *out = 0;
    if (v->kind == SP_TPL_STR)
        for (size_t i = 0; i < v->s.n; i += sp_tpl_char(&v->s, i))
            ++*out;
    else if (v->kind == SP_TPL_LIST)
        *out = (int64_t)v->list->n;
    else if (v->kind == SP_TPL_DICT)
        *out = (int64_t)v->dict->n;
    else if (v->kind != SP_TPL_UNDEFINED)
        return sp_tpl_fail(r, SP_FORMAT, "%s has no length", sp_tpl_kind_name(v));
    return sp_tpl_tick(r, v->kind == SP_TPL_STR ? v->s.n / 64 : 0);
}
