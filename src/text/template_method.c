/* text/template_method.c - methods of strings, dicts and lists, as Python's; none that changes its object.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <utf8proc.h>
#include "inner.h"
#include "template.h"

static const char *const of_strings[] = { "split", "rsplit", "strip", "lstrip", "rstrip", "startswith", "endswith", "replace", "upper", "lower", "title",
                                          "capitalize", "find", "count", "join", "isdigit", "splitlines", "removeprefix", "removesuffix" };
static const char *const of_dicts[] = { "get", "items", "keys", "values" };
static const char *const of_lists[] = { "index", "count" };

bool sp_tpl_has_method(const struct sp_tpl_val *v, struct sp_slice name)
{
    const char *const *list = v->kind == SP_TPL_STR ? of_strings : v->kind == SP_TPL_DICT ? of_dicts : of_lists;
    size_t n = v->kind == SP_TPL_STR ? SP_COUNT(of_strings) : v->kind == SP_TPL_DICT ? SP_COUNT(of_dicts) : v->kind == SP_TPL_LIST ? SP_COUNT(of_lists) : 0;
    if (v->kind == SP_TPL_DICT && v->dict->role == SP_TPL_LOOP)
        return sp_tpl_named(name, "cycle");
    if (v->kind == SP_TPL_DICT && v->dict->role == SP_TPL_NAMESPACE)
        return false;
    for (size_t i = 0; i < n; i++)
        if (sp_tpl_named(name, list[i]))
            return true;
    return false;
}

/* ---- strings ---- */

static bool in_chars(const struct sp_tpl_str *s, size_t at, size_t n, const struct sp_tpl_val *chars)
{
    size_t len;
    int32_t code;
    if (!chars || chars->kind != SP_TPL_STR)
        return sp_tok_class_at((const unsigned char *)s->at + at, n, &len, &code) == SP_TOK_SPACE || (s->at[at] >= 28 && s->at[at] < 32);
    for (size_t i = 0, k; i < chars->s.n; i += k) {
        k = sp_tpl_char(&chars->s, i);
        if (k == n && !memcmp(chars->s.at + i, s->at + at, n))
            return true;
    }
    return false;
}

enum sp_status sp_tpl_strip(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_val *chars, int sides, struct sp_tpl_val *out)
{
    size_t from = 0, to = s->n;
    while (sides & 1 && from < to && in_chars(s, from, sp_tpl_char(s, from), chars))
        from += sp_tpl_char(s, from);
    while (sides & 2 && to > from) {
        size_t at = to - 1;
        while (at > from && to - at < 4 && ((unsigned char)s->at[at] & 0xc0) == 0x80)
            at--;
        if (!in_chars(s, at, to - at, chars))
            break;
        to = at;
    }
    *out = sp_tpl_part(s, from, to);
    return sp_tpl_tick(r, (s->n - (to - from)) * (chars && chars->kind == SP_TPL_STR ? 1 + chars->s.n : 1));
}

static const char *find(const struct sp_tpl_str *in, size_t from, const struct sp_tpl_str *what)
{
    return from > in->n ? NULL : memmem(in->at + from, in->n - from, what->at, what->n);
}

enum sp_status sp_tpl_replace(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_buf b = { 0 };
    struct sp_tpl_str old, new;
    const struct sp_tpl_val *count = sp_tpl_arg(a, 2, "count");
    int64_t left = count && count->kind == SP_TPL_INT && count->i >= 0 ? count->i : INT64_MAX;
    if (!sp_tpl_arg(a, 0, "old") || !sp_tpl_arg(a, 1, "new"))
        return sp_tpl_fail(r, SP_FORMAT, "replace takes what to replace, and with what");
    TRY(sp_tpl_to_str(r, sp_tpl_arg(a, 0, "old"), &old));
    TRY(sp_tpl_to_str(r, sp_tpl_arg(a, 1, "new"), &new));
    size_t at = 0;
    TRY(sp_tpl_tick(r, s->n / 64));
    for (const char *hit; left > 0 && at <= s->n && (hit = find(s, at, &old)); left--) {
        size_t to = (size_t)(hit - s->at), step = old.n ? 0 : to < s->n ? sp_tpl_char(s, to) : 0;
        TRY(sp_tpl_buf_add(r, &b, s->at + at, s->mark ? s->mark + at : NULL, to - at));
        TRY(sp_tpl_buf_add(r, &b, new.at, new.mark, new.n));
        TRY(sp_tpl_buf_add(r, &b, s->at + to, s->mark ? s->mark + to : NULL, step));
        at = to + old.n + step;
        if (!old.n && !step)
            break;
    }
    if (at < s->n)
        TRY(sp_tpl_buf_add(r, &b, s->at + at, s->mark ? s->mark + at : NULL, s->n - at));
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

enum sp_status sp_tpl_letters(struct sp_tpl_run *r, const struct sp_tpl_str *s, int how, struct sp_tpl_val *out)
{
    struct sp_tpl_buf b = { 0 };
    bool begins = true;
    for (size_t i = 0, n; i < s->n; i += n) {
        utf8proc_int32_t c;
        unsigned char to[4], mark[4];
        utf8proc_ssize_t took = utf8proc_iterate((const utf8proc_uint8_t *)s->at + i, (utf8proc_ssize_t)(s->n - i), &c);
        n = took > 0 ? (size_t)took : 1;
        if (took <= 0) {
            TRY(sp_tpl_buf_add(r, &b, s->at + i, s->mark ? s->mark + i : NULL, 1));
            continue;
        }
        bool up = how == 'u' || (how != 'l' && begins);
        utf8proc_category_t cat = utf8proc_category(c);
        begins = how == 't' && !(cat >= UTF8PROC_CATEGORY_LU && cat <= UTF8PROC_CATEGORY_LT);
        utf8proc_ssize_t put = utf8proc_encode_char(up ? utf8proc_toupper(c) : utf8proc_tolower(c), to);
        memset(mark, s->mark ? s->mark[i] : 0, sizeof mark);
        TRY(sp_tpl_tick(r, 0));
        TRY(sp_tpl_buf_add(r, &b, (char *)to, mark, (size_t)put));
    }
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

static enum sp_status add_part(struct sp_tpl_run *r, struct sp_tpl_list *l, const struct sp_tpl_str *s, size_t from, size_t to)
{
    struct sp_tpl_val part = sp_tpl_part(s, from, to);
    return sp_tpl_list_add(r, l, &part);
}

static enum sp_status split_blanks(struct sp_tpl_run *r, const struct sp_tpl_str *s, int64_t max, struct sp_tpl_list *l)
{
    size_t at = 0;
    for (;;) {
        while (at < s->n && in_chars(s, at, sp_tpl_char(s, at), NULL))
            at += sp_tpl_char(s, at);
        size_t from = at;
        if (at >= s->n)
            return sp_tpl_tick(r, s->n);
        while (at < s->n && !in_chars(s, at, sp_tpl_char(s, at), NULL))
            at += sp_tpl_char(s, at);
        if (max-- == 0) {
            struct sp_tpl_str rest = sp_tpl_part(s, from, s->n).s;
            struct sp_tpl_val v;
            TRY(sp_tpl_strip(r, &rest, NULL, 2, &v));
            return sp_tpl_list_add(r, l, &v);
        }
        TRY(add_part(r, l, s, from, at));
    }
}

static enum sp_status split(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_args *a, bool back, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *sep = sp_tpl_arg(a, 0, "sep"), *most = sp_tpl_arg(a, 1, "maxsplit");
    int64_t max = most && most->kind == SP_TPL_INT ? most->i : -1, parts = 0;
    TRY(sp_tpl_list_new(r, out));
    if (!sep || sep->kind == SP_TPL_NONE)
        return back && max >= 0 ? sp_tpl_fail(r, SP_UNSUPPORTED, "rsplit needs a separator here") : split_blanks(r, s, max, out->list);
    if (sep->kind != SP_TPL_STR || !sep->s.n)
        return sp_tpl_fail(r, SP_FORMAT, "split takes a separator that is a string, not empty");
    size_t at = 0;
    const char *hit;
    for (size_t k = 0; (hit = find(s, k, &sep->s)); k = (size_t)(hit - s->at) + sep->s.n)
        parts++;
    int64_t skip = back && max >= 0 && parts > max ? parts - max : 0, cut = 0; /* non-overlapping from the front */
    for (size_t k = 0; (hit = find(s, k, &sep->s)); k = (size_t)(hit - s->at) + sep->s.n) {
        if (skip-- > 0)
            continue;
        if (!back && max >= 0 && cut++ >= max)
            break;
        TRY(add_part(r, out->list, s, at, (size_t)(hit - s->at)));
        at = (size_t)(hit - s->at) + sep->s.n;
    }
    TRY(sp_tpl_tick(r, s->n / 16));
    return add_part(r, out->list, s, at, s->n);
}

static enum sp_status split_lines(struct sp_tpl_run *r, const struct sp_tpl_str *s, struct sp_tpl_val *out)
{
    TRY(sp_tpl_list_new(r, out));
    for (size_t at = 0; at < s->n;) {
        const char *hit = memchr(s->at + at, '\n', s->n - at);
        size_t to = hit ? (size_t)(hit - s->at) : s->n;
        TRY(add_part(r, out->list, s, at, to - (to > at && s->at[to - 1] == '\r')));
        at = to + 1;
    }
    return SP_OK;
}

static bool edge(const struct sp_tpl_str *s, const struct sp_tpl_val *v, bool end)
{
    return v->kind == SP_TPL_STR && v->s.n <= s->n && (!v->s.n || !memcmp(end ? s->at + s->n - v->s.n : s->at, v->s.at, v->s.n));
}

static bool edges(const struct sp_tpl_str *s, const struct sp_tpl_val *v, bool end)
{
    bool any = edge(s, v, end);
    for (size_t i = 0; v->kind == SP_TPL_LIST && i < v->list->n; i++)
        any = any || edge(s, &v->list->at[i], end);
    return any;
}

static enum sp_status search(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_val *what, bool count, struct sp_tpl_val *out)
{
    int64_t n = 0, at = -1;
    if (what->kind != SP_TPL_STR || !what->s.n)
        return sp_tpl_fail(r, SP_FORMAT, "find and count take a string, not empty");
    const char *first = find(s, 0, &what->s);
    for (const char *hit = first; count && hit; hit = find(s, (size_t)(hit - s->at) + what->s.n, &what->s))
        n++;
    if (first) {
        struct sp_tpl_val before = sp_tpl_part(s, 0, (size_t)(first - s->at));
        TRY(sp_tpl_length(r, &before, &at));
    }
    *out = sp_tpl_int(count ? n : at);
    return sp_tpl_tick(r, s->n / 16);
}

static enum sp_status remove_edge(const struct sp_tpl_str *s, const struct sp_tpl_val *v, bool end, struct sp_tpl_val *out)
{
    size_t n = edge(s, v, end) ? v->s.n : 0;
    *out = sp_tpl_part(s, end ? 0 : n, end ? s->n - n : s->n);
    return SP_OK;
}

static enum sp_status of_string(struct sp_tpl_run *r, const struct sp_tpl_str *s, struct sp_slice name, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    static const struct {
        const char *name;
        int how;
    } letters[] = { { "upper", 'u' }, { "lower", 'l' }, { "title", 't' }, { "capitalize", 'c' } }, strips[] = { { "lstrip", 1 }, { "rstrip", 2 }, { "strip", 3 } };
    const struct sp_tpl_val none = { .kind = SP_TPL_NONE }, *first = sp_tpl_arg(a, 0, NULL);
    struct sp_tpl_list *l = NULL;
    for (size_t i = 0; i < SP_COUNT(letters); i++)
        if (sp_tpl_named(name, letters[i].name))
            return sp_tpl_letters(r, s, letters[i].how, out);
    for (size_t i = 0; i < SP_COUNT(strips); i++)
        if (sp_tpl_named(name, strips[i].name))
            return sp_tpl_strip(r, s, first, strips[i].how, out);
    first = first ? first : &none;
    if (sp_tpl_named(name, "split") || sp_tpl_named(name, "rsplit"))
        return split(r, s, a, name.n == 6, out);
    if (sp_tpl_named(name, "startswith") || sp_tpl_named(name, "endswith"))
        return *out = sp_tpl_bool(edges(s, first, name.n == 8)), SP_OK;
    if (sp_tpl_named(name, "replace"))
        return sp_tpl_replace(r, s, a, out);
    if (sp_tpl_named(name, "find") || sp_tpl_named(name, "count"))
        return search(r, s, first, name.n == 5, out);
    if (sp_tpl_named(name, "splitlines"))
        return split_lines(r, s, out);
    if (sp_tpl_named(name, "isdigit")) {
        bool all = s->n > 0;
        for (size_t i = 0; i < s->n; i++)
            all = all && s->at[i] >= '0' && s->at[i] <= '9';
        return *out = sp_tpl_bool(all), SP_OK;
    }
    if (!sp_tpl_named(name, "join"))
        return remove_edge(s, first, sp_tpl_named(name, "removesuffix"), out);
    TRY(sp_tpl_iterate(r, first, &l));
    return sp_tpl_join(r, l, s, out);
}

enum sp_status sp_tpl_join(struct sp_tpl_run *r, const struct sp_tpl_list *l, const struct sp_tpl_str *by, struct sp_tpl_val *out)
{
    struct sp_tpl_buf b = { 0 };
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            TRY(sp_tpl_buf_add(r, &b, by->at, by->mark, by->n));
        TRY(sp_tpl_buf_val(r, &b, &l->at[i]));
    }
    *out = sp_tpl_buf_take(&b);
    return SP_OK;
}

/* ---- dicts and lists ---- */

enum sp_status sp_tpl_items(struct sp_tpl_run *r, const struct sp_tpl_dict *d, int what, struct sp_tpl_val *out)
{
    TRY(sp_tpl_list_new(r, out));
    for (size_t i = 0; i < d->n; i++) {
        struct sp_tpl_val pair = what == 'k' ? d->key[i] : d->val[i];
        if (what == 'i') {
            TRY(sp_tpl_list_new(r, &pair));
            pair.list->tuple = true;
            TRY(sp_tpl_list_add(r, pair.list, &d->key[i]));
            TRY(sp_tpl_list_add(r, pair.list, &d->val[i]));
        }
        TRY(sp_tpl_list_add(r, out->list, &pair));
    }
    return sp_tpl_tick(r, d->n);
}

static enum sp_status of_dict(struct sp_tpl_run *r, const struct sp_tpl_dict *d, struct sp_slice name, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val none = { .kind = SP_TPL_NONE }, *key = sp_tpl_arg(a, 0, "key"), *fallback = sp_tpl_arg(a, 1, "default"), *index;
    struct sp_tpl_val *at;
    if (sp_tpl_named(name, "cycle")) {
        index = sp_tpl_dict_get(d, "index0", 6);
        *out = a->n && index ? a->at[index->i % a->n] : none;
        return SP_OK;
    }
    if (!sp_tpl_named(name, "get"))
        return sp_tpl_items(r, d, name.at[0], out);
    if (!key)
        return sp_tpl_fail(r, SP_FORMAT, "get takes a key");
    TRY(sp_tpl_dict_find(r, d, key, &at));
    *out = at ? *at : fallback ? *fallback : none;
    return SP_OK;
}

static enum sp_status of_list(struct sp_tpl_run *r, const struct sp_tpl_list *l, struct sp_slice name, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    int64_t n = 0, at = -1;
    for (size_t i = 0; a->n && i < l->n; i++) {
        bool same;
        TRY(sp_tpl_equal(r, &l->at[i], &a->at[0], &same));
        n += same;
        at = same && at < 0 ? (int64_t)i : at;
    }
    if (sp_tpl_named(name, "index") && at < 0)
        return sp_tpl_fail(r, SP_FORMAT, "index finds no such value in the list");
    *out = sp_tpl_int(sp_tpl_named(name, "index") ? at : n);
    return SP_OK;
}

enum sp_status sp_tpl_method(struct sp_tpl_run *r, const struct sp_tpl_method *m, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    const struct sp_tpl_val *v = &m->self;
    if (v->kind == SP_TPL_STR)
        return of_string(r, &v->s, m->name, a, out);
    return v->kind == SP_TPL_DICT ? of_dict(r, v->dict, m->name, a, out) : of_list(r, v->list, m->name, a, out);
}
