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
    *d = (struct sp_decoder){ .t = t, .skip_special = skip_special };
}

void sp_decoder_resume(struct sp_decoder *d)
{
    d->begun = true;
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

enum sp_status sp_decoder_push(struct sp_decoder *d, int32_t id, struct sp_text *out, struct sp_err *err)
{
    const struct sp_tokenizer *t = d->t;
    if (id < 0 || id >= t->n_vocab)
        return sp_fail(err, SP_FORMAT, "token %d is outside the vocabulary of %d", id, t->n_vocab);
    const struct sp_tok_token *k = &t->token[id];
    if (d->skip_special && (k->flags & SP_TOK_SPECIAL))
        return SP_OK;
    const char *s = k->out, *end = s + k->n_out;
    if (!d->begun && t->dec_strip_space && s < end && *s == ' ')
        s++;
    d->begun = d->begun || k->n_out;
    while (s < end) {
        const char *plain = s;
        while (!d->n_held && s < end && (unsigned char)*s < 0x80)
            s++;
        sp_text_add(out, plain, (size_t)(s - plain));
        if (s < end)
            push_byte(d, (unsigned char)*s++, out);
    }
    return SP_OK;
}

void sp_decoder_end(struct sp_decoder *d, struct sp_text *out)
{
    if (d->n_held)
        sp_text_add(out, "\xef\xbf\xbd", 3);
    d->n_held = 0;
}

enum sp_status sp_tokenizer_decode(const struct sp_tokenizer *t, const int32_t *ids, size_t n, bool skip_special,
                                   struct sp_text *out, struct sp_err *err)
{
    struct sp_decoder d;
    sp_decoder_init(&d, t, skip_special);
    for (size_t i = 0; i < n; i++)
        TRY(sp_decoder_push(&d, ids[i], out, err));
    sp_decoder_end(&d, out);
    return out->full ? sp_tok_nomem(err) : SP_OK;
}
