/* text/normalize.c - normalizers: Unicode forms (utf8proc), prepend, replace.
 * Text that isn't UTF-8 keeps its bytes: Unicode forms are applied to its valid stretches.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

enum { STRETCH = 1 << 20 }; /* bytes normalized at once, cut where nothing composes */

static int form_options(enum sp_tok_norm_kind kind)
{
    switch (kind) {
    case SP_TOK_NFC:
        return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    case SP_TOK_NFD:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
    case SP_TOK_NFKC:
        return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
    default:
        return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    }
}

/* Characters below U+0300 are their own NFC; below U+0080 every form. */
static bool is_plain(const unsigned char *s, size_t n, enum sp_tok_norm_kind kind)
{
    unsigned char limit = kind == SP_TOK_NFC ? 0xcc : 0x80;
    for (size_t i = 0; i < n; i++)
        if (s[i] >= limit)
            return false;
    return true;
}

static enum sp_status form_stretch(const char *s, size_t n, enum sp_tok_norm_kind kind, struct sp_text *out,
                                   struct sp_err *err)
{
    utf8proc_uint8_t *form = NULL;
    utf8proc_ssize_t m =
        utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &form, (utf8proc_option_t)form_options(kind));
    if (m < 0)
        return sp_tok_nomem(err);
    sp_text_add(out, (const char *)form, (size_t)m);
    free(form);
    return SP_OK;
}

/* End of the valid stretch at s: before invalid UTF-8, or behind a line's end once it is long. */
static size_t stretch(const unsigned char *s, size_t n)
{
    size_t at = 0, len;
    int32_t code;
    while (at < n) {
        sp_tok_class_at(s + at, n - at, &len, &code);
        if (code < 0)
            return at;
        at += len;
        if (at >= STRETCH && code == '\n')
            return at;
    }
    return at;
}

static enum sp_status form(const char *s, size_t n, enum sp_tok_norm_kind kind, struct sp_text *out, struct sp_err *err)
{
    if (is_plain((const unsigned char *)s, n, kind)) {
        sp_text_add(out, s, n);
        return SP_OK;
    }
    for (size_t at = 0; at < n;) {
        size_t k = stretch((const unsigned char *)s + at, n - at);
        if (k)
            TRY(form_stretch(s + at, k, kind, out, err));
        else
            sp_text_add(out, s + at, k = 1);
        at += k;
    }
    return SP_OK;
}

static void replace(const char *s, size_t n, const struct sp_tok_norm *r, struct sp_text *out)
{
    size_t k = strlen(r->from), m = strlen(r->to);
    for (const char *end = s + n; s < end;) {
        const char *hit = memmem(s, (size_t)(end - s), r->from, k);
        sp_text_add(out, s, (size_t)((hit ? hit : end) - s));
        if (!hit)
            return;
        sp_text_add(out, r->to, m);
        s = hit + k;
    }
}

static enum sp_status one_step(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out,
                               struct sp_err *err)
{
    if (r->kind == SP_TOK_PREPEND) {
        if (n) {
            sp_text_add(out, r->to, strlen(r->to));
            sp_text_add(out, s, n);
        }
    } else if (r->kind == SP_TOK_REPLACE) {
        replace(s, n, r, out);
    } else {
        TRY(form(s, n, r->kind, out, err));
    }
    return out->full ? sp_tok_nomem(err) : SP_OK;
}

enum sp_status sp_tok_normalize(const struct sp_tokenizer *t, const char *s, size_t n, struct sp_text *out,
                                struct sp_err *err)
{
    struct sp_text now = { .max = (size_t)SP_TOK_INPUT_MAX * 4 }, next = { .max = now.max };
    enum sp_status st = SP_OK;
    if (!t->n_norm)
        sp_text_add(&now, s, n);
    for (int i = 0; i < t->n_norm && !st; i++) {
        st = one_step(&t->norm[i], i ? now.at : s, i ? now.n : n, &next, err);
        sp_text_clear(&now);
        now = next;
        next = (struct sp_text){ .max = now.max };
    }
    if (!st && now.full)
        st = sp_tok_nomem(err);
    if (st) {
        sp_text_clear(&now);
        return st;
    }
    *out = now;
    return SP_OK;
}
