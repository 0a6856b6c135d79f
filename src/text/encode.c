/* text/encode.c - text to token numbers: added tokens are cut out (first on the text
 * as given, then on its normalized form), the rest is normalized, split, merged.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

/* Calls `rest` for what lies between added tokens, and adds those. */
typedef enum sp_status rest_fn(struct sp_tokenizer *t, const char *s, size_t n, bool first, struct sp_ids *out,
                               struct sp_err *err);

static size_t space_len(const unsigned char *s, size_t n)
{
    size_t len;
    int32_t code;
    return n && sp_tok_class_at(s, n, &len, &code) == SP_TOK_SPACE ? len : 0;
}

/* Begin of the character that ends at `at`. */
static size_t before(const char *s, size_t at)
{
    size_t k = at - 1;
    while (k && at - k < 4 && ((unsigned char)s[k] & 0xc0) == 0x80)
        k--;
    return k;
}

/* Widens or rejects a match by the token's flags. */
static bool accept(uint32_t flags, const char *s, size_t n, size_t from, size_t *begin, size_t *end)
{
    const unsigned char *u = (const unsigned char *)s;
    if (flags & SP_TOK_SINGLE_WORD) {
        size_t b = *begin ? before(s, *begin) : 0;
        if ((*begin && sp_tok_is_word(u + b, *begin - b)) || (*end < n && sp_tok_is_word(u + *end, n - *end)))
            return false;
    }
    while ((flags & SP_TOK_LSTRIP) && *begin > from) {
        size_t b = before(s, *begin);
        if (!space_len(u + b, *begin - b))
            break;
        *begin = b;
    }
    for (size_t k; (flags & SP_TOK_RSTRIP) && (k = space_len(u + *end, n - *end)); *end += k)
        ;
    return true;
}

/* A special token's name in text that people wrote stays text. */
static bool is_barred(const struct sp_tokenizer *t, int32_t id, const char *s, size_t n)
{
    const char *text = t->scratch.barred.text;
    if (!t->scratch.barred.mark || !(t->token[id].flags & SP_TOK_SPECIAL))
        return false;
    bool inside = (uintptr_t)s >= (uintptr_t)text && (uintptr_t)s < (uintptr_t)text + t->scratch.barred.n;
    return inside ? memchr(t->scratch.barred.mark + (s - text), 1, n) != NULL : t->scratch.barred.all;
}

static enum sp_status cut_added(struct sp_tokenizer *t, const struct sp_tok_tree *tree, const char *s, size_t n,
                                bool first, rest_fn *rest, struct sp_ids *out, struct sp_err *err)
{
    size_t from = 0, len = 0; /* spaces taken by one token don't hide the next, which may begin before `from` */
    for (size_t at = 0; at < n && tree->n; at++) {
        int32_t id = tree->first[(unsigned char)s[at]] ? sp_tok_tree_find(tree, s + at, n - at, &len) : -1;
        if (id < 0 || is_barred(t, id, s + at, len))
            continue;
        size_t begin = at, end = at + len;
        at = end - 1;
        if (!accept(t->token[id].flags, s, n, from, &begin, &end))
            continue;
        if (begin > from)
            TRY(rest(t, s + from, begin - from, first && from == 0, out, err));
        sp_ids_add(out, id);
        from = end;
    }
    return from < n ? rest(t, s + from, n - from, first && from == 0, out, err) : SP_OK;
}

static enum sp_status normalized(struct sp_tokenizer *t, const char *s, size_t n, bool first, struct sp_ids *out,
                                 struct sp_err *err)
{
    return sp_tok_pieces(t, 0, s, n, first, out, err);
}

static enum sp_status normalize_and_cut(struct sp_tokenizer *t, const char *s, size_t n, bool first, struct sp_ids *out,
                                        struct sp_err *err)
{
    struct sp_text form;
    TRY(sp_tok_normalize(t, s, n, &form, err));
    enum sp_status st = cut_added(t, &t->norm_added, form.at, form.n, first, normalized, out, err);
    sp_text_clear(&form);
    return st;
}

static bool norm_has_special(const struct sp_tokenizer *t)
{
    for (int32_t i = 0; i < t->n_vocab; i++)
        if ((t->token[i].flags & SP_TOK_SPECIAL) && (t->token[i].flags & SP_TOK_NORMALIZED))
            return true;
    return false;
}

static enum sp_status given(struct sp_tokenizer *t, const char *s, size_t n, bool first, struct sp_ids *out,
                            struct sp_err *err)
{
    const unsigned char *mark = t->scratch.barred.mark;
    if (!t->n_norm)
        return cut_added(t, &t->norm_added, s, n, first, normalized, out, err);
    if (!mark || !norm_has_special(t))
        return normalize_and_cut(t, s, n, first, out, err);
    mark += s - t->scratch.barred.text; /* marks don't survive the normalizer: each stretch of one kind alone */
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && mark[to] == mark[from];)
            to++;
        t->scratch.barred.all = mark[from];
        TRY(normalize_and_cut(t, s + from, to - from, first && from == 0, out, err));
    }
    return SP_OK;
}

static enum sp_status encode(struct sp_tokenizer *t, const char *text, const unsigned char *mark, size_t n, bool special,
                             struct sp_ids *out, struct sp_err *err)
{
    if (n > SP_TOK_INPUT_MAX)
        return sp_fail(err, SP_LIMIT, "a text of %zu bytes; at most %d can be encoded at once", n, SP_TOK_INPUT_MAX);
    size_t n_was = out->n;
    pthread_mutex_lock(&t->scratch.lock);
    t->scratch.barred.text = text;
    t->scratch.barred.mark = mark;
    t->scratch.barred.n = n;
    for (int i = 0; special && i < t->n_before; i++)
        sp_ids_add(out, t->before[i]);
    enum sp_status st = cut_added(t, &t->raw_added, text, n, true, given, out, err);
    for (int i = 0; special && i < t->n_behind; i++)
        sp_ids_add(out, t->behind[i]);
    t->scratch.barred.mark = NULL;
    pthread_mutex_unlock(&t->scratch.lock);
    if (!st && out->full)
        st = sp_tok_nomem(err);
    if (st)
        out->n = n_was;
    return st;
}

enum sp_status sp_tokenizer_encode(struct sp_tokenizer *t, const char *text, size_t n, bool special, struct sp_ids *out,
                                   struct sp_err *err)
{
    return encode(t, text, NULL, n, special, out, err);
}

enum sp_status sp_tokenizer_encode_marked(struct sp_tokenizer *t, const char *text, const unsigned char *mark, size_t n,
                                          struct sp_ids *out, struct sp_err *err)
{
    return encode(t, text, n ? mark : NULL, n, false, out, err);
}
