/* text/decode.c - token numbers to text, whole or one at a time.
 *
 * Bytes wait until they are a character; the longest prefix that can't become one
 * is written as U+FFFD (Unicode 15, section 3.9, "maximal subparts").
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

void sp_decoder_init(struct sp_decoder *d, const struct sp_tokenizer *t, bool skip_special)
{
    *d = (struct sp_decoder){ .t = t, .skip_special = skip_special, .strip = t->strip_start };
}

void sp_decoder_resume(struct sp_decoder *d)
{
    d->begun = true;
    d->strip = 0;
}

/* Bytes a character beginning with s[0] has, and the range of its second byte; 0: none begins so. */
static int lead(unsigned char c, unsigned char *low, unsigned char *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* Whether b may follow the n bytes held (n >= 1, an unfinished character). */
static bool follows(const unsigned char *held, int n, unsigned char b)
{
    unsigned char low, high;
    lead(held[0], &low, &high);
    return n == 1 ? b >= low && b <= high : (b & 0xc0) == 0x80;
}

static void push_byte(struct sp_decoder *d, unsigned char b, struct sp_text *out)
{
    unsigned char low, high;
    if (d->n_held && !follows(d->held, d->n_held, b))
        sp_decoder_end(d, out);
    d->held[d->n_held++] = b;
    int whole = lead(d->held[0], &low, &high);
    if (!whole)
        sp_decoder_end(d, out);
    else if (d->n_held == whole) {
        sp_text_add(out, (const char *)d->held, (size_t)whole);
        d->n_held = 0;
    }
}

/* Leaves out what the text may not begin with. */
static size_t stripped(struct sp_decoder *d, const char *s, size_t n)
{
    size_t from = 0, k = d->strip > 0 ? strlen(d->t->strip) : 0;
    while (d->strip > 0 && n - from >= k && memcmp(s + from, d->t->strip, k) == 0) {
        from += k;
        d->strip--;
    }
    if (from < n)
        d->strip = 0;
    return from;
}

static void push_text(struct sp_decoder *d, const char *s, size_t n, struct sp_text *out)
{
    for (const char *end = s + n; s < end;) {
        const char *plain = s;
        while (!d->n_held && s < end && (unsigned char)*s < 0x80)
            s++;
        sp_text_add(out, plain, (size_t)(s - plain));
        if (s < end)
            push_byte(d, (unsigned char)*s++, out);
    }
}

enum sp_status sp_decoder_push(struct sp_decoder *d, int32_t id, struct sp_text *out, struct sp_err *err)
{
    const struct sp_tokenizer *t = d->t;
    if (id < 0 || id >= t->n_vocab)
        return sp_fail(err, SP_FORMAT, "token %d is outside the vocabulary of %d", id, t->n_vocab);
    const struct sp_tok_token *k = &t->token[id];
    if (!(k->flags & SP_TOK_USED) || (d->skip_special && (k->flags & SP_TOK_SPECIAL)))
        return SP_OK;
    if (d->space)
        push_text(d, " ", 1, out);
    const char *s = d->begun ? k->out : k->first;
    size_t n = d->begun ? k->n_out : k->n_first, from = n ? stripped(d, s, n) : 0;
    push_text(d, s + from, n - from, out);
    d->begun = true;
    d->space = t->joins || (k->flags & SP_TOK_SPACE_AFTER);
    return SP_OK;
}

void sp_decoder_end(struct sp_decoder *d, struct sp_text *out)
{
    if (d->n_held)
        sp_text_add(out, "\xef\xbf\xbd", 3);
    d->n_held = 0;
}

/* Tokens from i on that say single bytes (special ones that are left out lie between them unseen). */
static size_t byte_run(const struct sp_tokenizer *t, const int32_t *ids, size_t n, size_t i, bool skip_special)
{
    size_t at = i;
    for (; at < n && ids[at] >= 0 && ids[at] < t->n_vocab; at++) {
        uint32_t flags = t->token[ids[at]].flags;
        if (!(flags & SP_TOK_BYTE) && !(skip_special && (flags & SP_TOK_SPECIAL)))
            break;
    }
    return at - i;
}

/* A run of bytes that isn't UTF-8 is one U+FFFD a byte, whatever parts of it are characters. */
static bool is_broken(const struct sp_tokenizer *t, const int32_t *ids, size_t n, bool skip_special, size_t *bytes)
{
    struct sp_decoder d;
    bool broken = false;
    struct sp_text unused = { .max = 8 };
    sp_decoder_init(&d, t, false);
    *bytes = 0;
    for (size_t i = 0; i < n; i++) {
        const struct sp_tok_token *k = &t->token[ids[i]];
        unsigned char low, high;
        if (!(k->flags & SP_TOK_BYTE) || (skip_special && (k->flags & SP_TOK_SPECIAL)))
            continue;
        unsigned char b = (unsigned char)k->out[0];
        broken = broken || (d.n_held ? !follows(d.held, d.n_held, b) : !lead(b, &low, &high));
        unused.n = 0;
        push_byte(&d, b, &unused);
        ++*bytes;
    }
    sp_text_clear(&unused);
    return broken || d.n_held;
}

enum sp_status sp_tokenizer_decode(const struct sp_tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                   struct sp_text *out, struct sp_err *err)
{
    struct sp_decoder d;
    size_t was = out->n, bytes;
    sp_decoder_init(&d, t, skip_special);
    for (size_t i = 0, run; i < n; i += run) {
        run = byte_run(t, ids, n, i, skip_special);
        bool broken = run && is_broken(t, ids + i, run, skip_special, &bytes);
        for (size_t k = 0; broken && k < bytes; k++)
            push_text(&d, "\xef\xbf\xbd", 3, out);
        d.begun = d.begun || broken;
        for (size_t k = 0; !broken && k < (run ? run : 1); k++)
            TRY(sp_decoder_push(&d, ids[i + k], out, err));
        run += !run;
    }
    sp_decoder_end(&d, out);
    size_t k = t->strip_stop ? strlen(t->strip) : 0;
    for (int i = 0; i < t->strip_stop && out->n - was >= k && memcmp(out->at + out->n - k, t->strip, k) == 0; i++)
        out->n -= k;
    return out->full ? sp_tok_nomem(err) : SP_OK;
}
