/* text/make.c - tokenizers that need no file: a token a byte, a token a character;
 * and the standard steps of byte-level and Llama 2 tokenizers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

enum { CODES = 0x110000 };

enum sp_status sp_tok_byte_level_steps(struct sp_tokenizer *t, bool use_regex, struct sp_err *err)
{
    struct sp_tok_pre *p = &t->pre[t->n_pre++];
    p->kind = SP_TOK_BYTE_LEVEL;
    p->behavior = SP_TOK_ISOLATED;
    p->use_regex = use_regex;
    t->byte_level = true;
    t->dec[t->n_dec++].kind = SP_TOK_DEC_BYTE_LEVEL;
    return use_regex ? sp_tok_pattern_init(&p->pattern, &t->mem, sp_tok_gpt2_pattern, false, err) : SP_OK;
}

enum sp_status sp_tok_llama2_steps(struct sp_tokenizer *t, bool prefix, struct sp_err *err)
{
    static const char mark[] = "\xe2\x96\x81";
    if (prefix)
        t->norm[t->n_norm++] = (struct sp_tok_norm){ .kind = SP_TOK_PREPEND, .to = mark };
    struct sp_tok_norm *r = &t->norm[t->n_norm++];
    *r = (struct sp_tok_norm){ .kind = SP_TOK_REPLACE, .to = mark };
    TRY(sp_tok_pattern_init(&r->pattern, &t->mem, " ", true, err));
    struct sp_tok_dec *d = &t->dec[t->n_dec++];
    *d = (struct sp_tok_dec){ .kind = SP_TOK_DEC_REPLACE, .to = " " };
    TRY(sp_tok_pattern_init(&d->pattern, &t->mem, mark, true, err));
    t->dec[t->n_dec++].kind = SP_TOK_DEC_BYTE_FALLBACK;
    t->dec[t->n_dec++].kind = SP_TOK_DEC_FUSE;
    if (prefix)
        t->dec[t->n_dec++] = (struct sp_tok_dec){ .kind = SP_TOK_DEC_STRIP, .from = " ", .start = 1 };
    t->byte_fallback = t->fuse_unk = true;
    return SP_OK;
}

static enum sp_status add_eos(struct sp_tokenizer *t, const char *eos, struct sp_err *err)
{
    if (!eos)
        return SP_OK;
    t->eos = t->n_vocab - 1;
    return sp_tok_add(t, eos, strlen(eos), t->eos, SP_TOK_SPECIAL, err);
}

static enum sp_status fill_bytes(struct sp_tokenizer *t, const char *eos, struct sp_err *err)
{
    TRY(sp_tok_byte_level_steps(t, false, err));
    TRY(sp_tok_reserve(t, 256 + (eos != NULL), err));
    for (int b = 0; b < 256; b++)
        TRY(sp_tok_put_raw(t, &(char){ (char)b }, 1, b, err));
    TRY(add_eos(t, eos, err));
    return sp_tok_finish(t, err);
}

enum sp_status sp_tokenizer_bytes(struct sp_tokenizer **out, const char *eos, struct sp_err *err)
{
    struct sp_tokenizer *t = NULL;
    TRY(sp_tok_new(&t, err));
    enum sp_status st = fill_bytes(t, eos, err);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}

/* Marks the characters of the text; -1: it isn't UTF-8. */
static int32_t mark_codes(unsigned char *seen, const char *text, size_t n)
{
    int32_t count = 0, code;
    size_t len;
    for (size_t at = 0; at < n; at += len) {
        sp_tok_class_at((const unsigned char *)text + at, n - at, &len, &code);
        if (code < 0)
            return -1;
        count += !seen[code];
        seen[code] = 1;
    }
    return count;
}

static enum sp_status fill_chars(struct sp_tokenizer *t, const unsigned char *seen, int32_t count, const char *eos,
                                 struct sp_err *err)
{
    TRY(sp_tok_reserve(t, count + (eos != NULL), err));
    for (int32_t code = 0, id = 0; code < CODES; code++) {
        utf8proc_uint8_t buf[4];
        if (seen[code])
            TRY(sp_tok_put_raw(t, (const char *)buf, (size_t)utf8proc_encode_char(code, buf), id++, err));
    }
    TRY(add_eos(t, eos, err));
    return sp_tok_finish(t, err);
}

enum sp_status sp_tokenizer_chars(struct sp_tokenizer **out, const char *text, size_t n, const char *eos,
                                  struct sp_err *err)
{
    unsigned char *seen = sp_zalloc(CODES, 1);
    if (!seen)
        return sp_tok_nomem(err);
    struct sp_tokenizer *t = NULL;
    int32_t count = mark_codes(seen, text, n);
    enum sp_status st = SP_OK;
    if (count < 0)
        st = sp_fail(err, SP_FORMAT, "a vocabulary of characters needs UTF-8 text");
    else if (!count)
        st = sp_fail(err, SP_FORMAT, "a vocabulary of characters needs a text that isn't empty");
    if (!st)
        st = sp_tok_new(&t, err);
    if (!st)
        st = fill_chars(t, seen, count, eos, err);
    sp_free(seen);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}
