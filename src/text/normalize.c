/* text/normalize.c - normalizers, one after another: Unicode forms (utf8proc), prepend,
 * replace, strip; those that go by characters are in characters.c and charsmap.c.
 * Text that isn't UTF-8 keeps its bytes: Unicode forms are applied to its valid stretches.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

enum { STRETCH = 1 << 20 }; /* bytes normalized at once, cut where nothing composes */

const char *const sp_tok_norm_names[SP_TOK_NORMS] = {
    [SP_TOK_NFC] = "NFC",
    [SP_TOK_NFD] = "NFD",
    [SP_TOK_NFKC] = "NFKC",
    [SP_TOK_NFKD] = "NFKD",
    [SP_TOK_LOWERCASE] = "Lowercase",
    [SP_TOK_STRIP_ACCENTS] = "StripAccents",
    [SP_TOK_NMT] = "Nmt",
    [SP_TOK_BYTES] = "ByteLevel",
    [SP_TOK_PREPEND] = "Prepend",
    [SP_TOK_REPLACE] = "Replace",
    [SP_TOK_STRIP] = "Strip",
    [SP_TOK_BERT] = "BertNormalizer",
    [SP_TOK_PRECOMPILED] = "Precompiled",
};

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

static enum sp_status replace(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out,
                              struct sp_err *err)
{
    size_t m = strlen(r->to), last = SIZE_MAX, begin, end;
    for (size_t at = 0; at < n; at = last = end) {
        TRY(sp_tok_pattern_next(&r->pattern, s, n, at, last, &begin, &end, err));
        sp_text_add(out, s + at, begin - at);
        if (begin == n)
            return SP_OK;
        sp_text_add(out, r->to, m);
    }
    return SP_OK;
}

static void strip(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out)
{
    size_t from = 0, to = 0, len;
    int32_t code;
    bool text = false; /* something that isn't space was met */
    for (size_t at = 0; at < n; at += len) {
        bool space = sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code) == SP_TOK_SPACE;
        text = text || !space;
        from = text ? from : at + len;
        to = space ? to : at + len;
    }
    from = r->left ? from : 0;
    to = r->right ? to : n;
    sp_text_add(out, s + from, to > from ? to - from : 0);
}

static enum sp_status one_step(const struct sp_tok_norm *r, const char *s, size_t n, struct sp_text *out,
                               struct sp_err *err)
{
    switch (r->kind) {
    case SP_TOK_NFC:
    case SP_TOK_NFD:
    case SP_TOK_NFKC:
    case SP_TOK_NFKD:
        TRY(form(s, n, r->kind, out, err));
        break;
    case SP_TOK_PREPEND:
        sp_text_add(out, r->to, n ? strlen(r->to) : 0);
        sp_text_add(out, s, n);
        break;
    case SP_TOK_REPLACE:
        TRY(replace(r, s, n, out, err));
        break;
    case SP_TOK_STRIP:
        strip(r, s, n, out);
        break;
    case SP_TOK_PRECOMPILED:
        sp_tok_charsmap_run(&r->map, s, n, out);
        break;
    default:
        sp_tok_characters(r, s, n, out);
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
        st = one_step(&t->norm[i], i ? (now.at ? now.at : "") : s, i ? now.n : n, &next, err);
        struct sp_text was = now; /* two buffers take turns */
        now = next;
        next = was;
        next.n = 0;
    }
    sp_text_clear(&next);
    if (!st && now.full)
        st = sp_tok_nomem(err);
    if (st) {
        sp_text_clear(&now);
        return st;
    }
    *out = now;
    return SP_OK;
}
