/* text/decode_steps.c - the decoders, run once over every token when the vocabulary is
 * complete: what a token says alone, and what it says as the first one.
 *
 * Decoders work on lists of strings in Hugging Face's library, one for each token until Fuse
 * or ByteLevel joins them.  What comes before is done here, token by token; behind it only a
 * Strip is left for the text as a whole (decode.c), and what can be done before instead.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include "inner.h"

/* ---- helpers ---- */
static void put_replaced(struct sp_text *out, const char *s, size_t n, const char *from, const char *to)
{
    size_t k = strlen(from);
    for (const char *end = s + n; s < end;) {
        const char *hit = memmem(s, (size_t)(end - s), from, k);
        sp_text_add(out, s, (size_t)((hit ? hit : end) - s));
        if (hit)
            sp_text_add(out, to, strlen(to));
        s = hit ? hit + k : end;
    }
}

static int hex_byte(const char *s, size_t n)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    if (n != 6 || memcmp(s, "<0x", 3) != 0 || s[5] != '>')
        return -1;
    const char *a = s[3] ? strchr(digits, s[3]) : NULL, *b = s[4] ? strchr(digits, s[4]) : NULL;
    if (!a || !b)
        return -1;
    int high = (int)(a - digits), low = (int)(b - digits);
    return (high > 15 ? high - 6 : high) * 16 + (low > 15 ? low - 6 : low);
}

/* Spaces that English doesn't have, taken out of one token. */
static void clean_up(struct sp_text *text)
{
    static const char *const pairs[][2] = { { " .", "." },     { " ?", "?" },           { " !", "!" },
                                            { " ,", "," },     { " ' ", "'" },          { " n't", "n't" },
                                            { " 'm", "'m" },   { " do not", " don't" }, { " 's", "'s" },
                                            { " 've", "'ve" }, { " 're", "'re" } };
    for (size_t i = 0; i < SP_COUNT(pairs) && text->n && memchr(text->at, ' ', text->n); i++) {
        struct sp_text next = { 0 };
        put_replaced(&next, text->at, text->n, pairs[i][0], pairs[i][1]);
        next.full = next.full || text->full;
        sp_text_clear(text);
        *text = next;
    }
}

/* ---- one decoder on one token ---- */
static enum sp_status replace(const struct sp_tok_dec *d, const struct sp_text *in, struct sp_text *out,
                              struct sp_err *err)
{
    size_t last = SIZE_MAX, begin, end;
    for (size_t at = 0; at < in->n; at = last = end) {
        TRY(sp_tok_pattern_next(&d->pattern, in->at, in->n, at, last, &begin, &end, err));
        sp_text_add(out, in->at + at, begin - at);
        if (begin < in->n)
            sp_text_add(out, d->to, strlen(d->to));
    }
    return SP_OK;
}

static void strip(const struct sp_tok_dec *d, const struct sp_text *in, struct sp_text *out)
{
    size_t k = strlen(d->from), from = 0, to = in->n;
    for (int i = 0; i < d->start && to - from >= k && memcmp(in->at + from, d->from, k) == 0; i++)
        from += k;
    for (int i = 0; i < d->stop && to - from >= k && memcmp(in->at + to - k, d->from, k) == 0; i++)
        to -= k;
    sp_text_add(out, in->at + from, to - from);
}

static void wordpiece(const struct sp_tok_dec *d, bool first, const struct sp_text *in, struct sp_text *out)
{
    size_t k = strlen(d->from);
    bool later = !first && in->n >= k && memcmp(in->n ? in->at : "", d->from, k) == 0;
    if (!first && !later)
        sp_text_add(out, " ", 1);
    sp_text_add(out, in->at + (later ? k : 0), in->n - (later ? k : 0));
    if (d->cleanup)
        clean_up(out);
}

/* BPEDecoder: a suffix is a space, but not behind the last token. */
static void suffix(const struct sp_tok_dec *d, const struct sp_text *in, struct sp_text *out, uint32_t *flags)
{
    size_t k = strlen(d->from), n = in->n;
    if (n >= k && memcmp(in->at + n - k, d->from, k) == 0) {
        n -= k;
        *flags |= SP_TOK_SPACE_AFTER;
    }
    put_replaced(out, in->at, n, d->from, " ");
}

static enum sp_status one_decoder(const struct sp_tok_dec *d, bool first, const struct sp_text *in, struct sp_text *out,
                                  uint32_t *flags, struct sp_err *err)
{
    int byte;
    size_t n = 0;
    switch (d->kind) {
    case SP_TOK_DEC_REPLACE:
        return replace(d, in, out, err);
    case SP_TOK_DEC_STRIP:
        strip(d, in, out);
        break;
    case SP_TOK_DEC_METASPACE:
        put_replaced(out, in->at, in->n, d->from, first && d->scheme != SP_TOK_NEVER ? "" : " ");
        break;
    case SP_TOK_DEC_WORDPIECE:
        wordpiece(d, first, in, out);
        break;
    case SP_TOK_DEC_SUFFIX:
        suffix(d, in, out, flags);
        break;
    case SP_TOK_DEC_BYTE_FALLBACK:
        byte = hex_byte(in->at, in->n);
        if (byte >= 0) {
            *flags |= SP_TOK_BYTE;
            sp_text_add(out, &(char){ (char)byte }, 1);
            break;
        }
        /* fallthrough */
    case SP_TOK_DEC_FUSE:
        sp_text_add(out, in->at, in->n);
        break;
    case SP_TOK_DEC_BYTE_LEVEL:
        sp_text_add(out, in->at, in->n);
        if (out->n && sp_tok_unmap(in->at, in->n, out->at, &n))
            out->n = n;
        break;
    }
    return SP_OK;
}

/* ---- all of them ---- */
/* A token as the file spells it, through the decoders. */
static enum sp_status through(const struct sp_tokenizer *t, const struct sp_tok_token *k, bool first,
                              struct sp_text *out, uint32_t *flags, struct sp_err *err)
{
    struct sp_text now = { 0 };
    enum sp_status st = SP_OK;
    if (t->byte_level && !(k->flags & SP_TOK_LITERAL))
        sp_tok_map_bytes(&now, k->raw, k->n_raw);
    else
        sp_text_add(&now, k->raw, k->n_raw);
    for (int i = 0; i < t->n_dec && !st && now.n && !(*flags & SP_TOK_BYTE); i++) {
        if (t->dec[i].kind == SP_TOK_DEC_STRIP && t->strip && t->dec[i].from == t->strip)
            continue; /* of the whole text */
        struct sp_text next = { 0 };
        st = one_decoder(&t->dec[i], first, &now, &next, flags, err);
        next.full = next.full || now.full;
        sp_text_clear(&now);
        now = next;
    }
    if (!st && now.full)
        st = sp_tok_nomem(err);
    if (st)
        sp_text_clear(&now);
    else
        *out = now;
    return st;
}

static enum sp_status keep_form(struct sp_tokenizer *t, const struct sp_text *form, const char **at, uint32_t *n,
                                struct sp_err *err)
{
    char *copy = sp_arena_take(&t->mem, form->n + 1);
    if (!copy)
        return sp_tok_nomem(err);
    if (form->n)
        memcpy(copy, form->at, form->n);
    *at = copy;
    *n = (uint32_t)form->n;
    return SP_OK;
}

static bool is_same(const struct sp_text *a, const char *s, size_t n)
{
    return a->n == n && (!n || memcmp(a->at, s, n) == 0);
}

/* The commonest case: a byte-level token whose raw form is what it says. */
static bool says_raw(const struct sp_tokenizer *t, const struct sp_tok_token *k)
{
    bool plain = t->byte_level && t->n_dec == 1 && t->dec[0].kind == SP_TOK_DEC_BYTE_LEVEL;
    return !t->n_dec ? !t->byte_level || (k->flags & SP_TOK_LITERAL) : plain && !(k->flags & SP_TOK_LITERAL);
}

enum sp_status sp_tok_decoded(struct sp_tokenizer *t, struct sp_tok_token *k, struct sp_err *err)
{
    if (!(k->flags & SP_TOK_USED) || says_raw(t, k))
        return SP_OK;
    struct sp_text form = { 0 }, first = { 0 };
    uint32_t flags = 0;
    enum sp_status st = through(t, k, false, &form, &flags, err);
    if (!st)
        st = through(t, k, true, &first, &(uint32_t){ 0 }, err);
    k->flags |= flags;
    if (!st && !is_same(&form, k->out, k->n_out))
        st = keep_form(t, &form, &k->out, &k->n_out, err);
    k->first = k->out;
    k->n_first = k->n_out;
    if (!st && !is_same(&first, k->out, k->n_out))
        st = keep_form(t, &first, &k->first, &k->n_first, err);
    sp_text_clear(&form);
    sp_text_clear(&first);
    return st;
}

/* Behind Fuse or ByteLevel there is one text: only what can be done before, and a Strip, may stand there. */
static enum sp_status behind(struct sp_tokenizer *t, struct sp_tok_dec *d, struct sp_err *err)
{
    if (d->kind == SP_TOK_DEC_FUSE || d->kind == SP_TOK_DEC_BYTE_FALLBACK)
        return SP_OK; /* nothing is left to them: one string isn't <0xHH> */
    if (d->kind == SP_TOK_DEC_STRIP && !t->strip) {
        t->strip = d->from;
        t->strip_start = d->start;
        t->strip_stop = d->stop;
        return SP_OK;
    }
    size_t len;
    int32_t code;
    const char *from = d->pattern.literal ? d->pattern.text : NULL;
    if (d->kind == SP_TOK_DEC_REPLACE && from) {
        sp_tok_class_at((const unsigned char *)from, strlen(from), &len, &code);
        if (len == strlen(from)) /* one character never lies across two tokens */
            return SP_OK;
    }
    return sp_fail(err, SP_UNSUPPORTED, "a decoder other than Strip behind Fuse or ByteLevel is not supported");
}

enum sp_status sp_tok_check_decoders(struct sp_tokenizer *t, struct sp_err *err)
{
    bool fused = false;
    for (int i = 0; i < t->n_dec; i++) {
        if (fused)
            TRY(behind(t, &t->dec[i], err));
        fused = fused || t->dec[i].kind == SP_TOK_DEC_FUSE || t->dec[i].kind == SP_TOK_DEC_BYTE_LEVEL;
    }
    return SP_OK;
}
