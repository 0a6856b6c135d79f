/* text/wordpiece.c - WordPiece (Schuster and Nakajima 2012, as in BERT): the longest word beginning,
 * then always the longest later piece; a word that can't be cut so is unknown as a whole.
 *
 * Two trees over bytes find the longest piece, so a word takes time in proportion to its length.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "inner.h"

static bool is_too_long(const char *s, size_t n, int64_t max)
{
    int64_t chars = 0;
    for (size_t i = 0; i < n && chars <= max; i++)
        chars += ((unsigned char)s[i] & 0xc0) != 0x80;
    return chars > max;
}

static bool cut(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out)
{
    size_t len = 0;
    for (size_t at = 0; at < n; at += len) {
        int32_t id = sp_tok_tree_find(at ? &t->later : &t->start, s + at, n - at, &len);
        if (id < 0)
            return false;
        sp_ids_add(out, id);
    }
    return true;
}

enum sp_status sp_tok_wordpiece(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    size_t before = out->n;
    if (!is_too_long(s, n, t->word_chars_max) && cut(t, s, n, out))
        return SP_OK;
    if (t->unk < 0)
        return sp_fail(err, SP_MISSING, "the tokenizer has no pieces for \"%.*s\" and no unknown token",
                       (int)(n > 40 ? 40 : n), s);
    out->n = before;
    sp_ids_add(out, t->unk);
    return SP_OK;
}
