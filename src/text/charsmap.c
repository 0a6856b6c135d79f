/* text/charsmap.c - SentencePiece's precompiled normalizer: a double array (Darts-clone,
 * Yata 2008) over bytes whose leaves point to what a string becomes.
 *
 * As in Hugging Face's reading of it: a grapheme of fewer than 6 bytes is looked up whole,
 * then its characters one by one, and of several prefixes that match the shortest counts.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sodium.h>
#include <utf8proc.h>
#include "inner.h"

enum { GRAPHEME_BYTES = 6, BLOB_MAX = 16 << 20 };

static uint32_t word_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum sp_status sp_tok_charsmap_read(struct sp_tok_charsmap *m, struct sp_arena *mem, const void *blob, size_t n,
                                    struct sp_err *err)
{
    const unsigned char *p = blob;
    if (!n) {
        *m = (struct sp_tok_charsmap){ 0 };
        return SP_OK;
    }
    size_t bytes = n >= 4 ? word_at(p) : SIZE_MAX;
    if (n < 4 || n > BLOB_MAX || bytes % 4 || bytes > n - 4)
        return sp_fail(err, SP_FORMAT, "a precompiled_charsmap of %zu bytes doesn't hold the table it announces", n);
    unsigned char *keep = sp_arena_take(mem, n + 1); /* a zero ends the last text */
    uint32_t *unit = sp_arena_take(mem, bytes + 4);
    if (!keep || !unit)
        return sp_tok_nomem(err);
    memcpy(keep, p, n);
    for (size_t i = 0; i < bytes / 4; i++)
        unit[i] = word_at(p + 4 + 4 * i);
    *m = (struct sp_tok_charsmap){ keep, unit, (const char *)keep + 4 + bytes, n, bytes / 4, n - 4 - bytes };
    return SP_OK;
}

enum sp_status sp_tok_charsmap_text(struct sp_tok_charsmap *m, struct sp_arena *mem, const char *base64,
                                    struct sp_err *err)
{
    size_t n = strlen(base64), got = 0;
    unsigned char *blob = sp_alloc(n + 1);
    if (!blob)
        return sp_tok_nomem(err);
    enum sp_status st = SP_OK;
    if (sodium_base642bin(blob, n, base64, n, "\r\n", &got, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        st = sp_fail(err, SP_FORMAT, "a precompiled_charsmap that isn't base64");
    if (!st)
        st = sp_tok_charsmap_read(m, mem, blob, got, err);
    sp_free(blob);
    return st;
}

static size_t offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What the shortest prefix of s that has an entry becomes; NULL: there is none. */
static const char *look_up(const struct sp_tok_charsmap *m, const char *s, size_t n)
{
    if (!m->n_unit)
        return NULL;
    size_t at = offset(m->unit[0]);
    for (size_t i = 0; i < n && s[i]; i++) {
        unsigned char c = (unsigned char)s[i];
        at ^= c;
        if (at >= m->n_unit || (m->unit[at] & (1u << 31 | 0xff)) != c)
            return NULL;
        bool leaf = m->unit[at] >> 8 & 1;
        at ^= offset(m->unit[at]);
        if (at >= m->n_unit)
            return NULL;
        size_t to = m->unit[at] & 0x7fffffffu;
        if (leaf)
            return to < m->n_text ? m->text + to : NULL;
    }
    return NULL;
}

/* End of the grapheme at s. */
static size_t grapheme(const char *s, size_t n)
{
    size_t at, len;
    int32_t before, code;
    utf8proc_int32_t state = 0;
    sp_tok_class_at((const unsigned char *)s, n, &at, &before);
    for (; at < n; at += len, before = code) {
        sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code);
        if (before < 0 || code < 0 || utf8proc_grapheme_break_stateful(before, code, &state))
            break;
    }
    return at;
}

void sp_tok_charsmap_run(const struct sp_tok_charsmap *m, const char *s, size_t n, struct sp_text *out)
{
    for (size_t at = 0, k, len; at < n; at += k) {
        k = grapheme(s + at, n - at);
        const char *to = k < GRAPHEME_BYTES ? look_up(m, s + at, k) : NULL;
        if (to)
            sp_text_add(out, to, strlen(to));
        for (size_t i = 0; i < k && !to; i += len) {
            int32_t code;
            sp_tok_class_at((const unsigned char *)s + at + i, k - i, &len, &code);
            const char *one = look_up(m, s + at + i, len);
            sp_text_add(out, one ? one : s + at + i, one ? strlen(one) : len);
        }
    }
}
