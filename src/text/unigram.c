/* text/unigram.c - Unigram (Kudo 2018): of all ways to cut a piece of text into pieces of the
 * vocabulary, the one whose scores add up highest (Viterbi), as Hugging Face finds it.
 *
 * A character that no single piece stands for costs the lowest score less 10; neighbours among
 * them are one unknown token, or their bytes where the vocabulary has them.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

/* The best way that ends at a place: its last piece, where that begins (-1: no way yet); of places on
 * the best way of all, where the next piece ends. */
struct sp_tok_best {
    double score;
    int32_t id, from, to;
};

static void offer(struct sp_tok_best *b, double score, int32_t id, int32_t from)
{
    if (b->from < 0 || score > b->score)
        *b = (struct sp_tok_best){ score, id, from, 0 };
}

/* All pieces that begin at `at`; whether one of them is the first character alone. */
static bool pieces(struct sp_tokenizer *t, const char *s, size_t n, size_t at, size_t len)
{
    struct sp_tok_best *best = t->scratch.best;
    const struct sp_tok_tree *tree = &t->start;
    uint64_t node = 0;
    bool single = false;
    for (size_t i = at; i < n && sp_tok_map_get(&tree->edge, node << 8 | (unsigned char)s[i], &node); i++) {
        int32_t id = tree->end[node];
        if (id < 0)
            continue;
        offer(&best[i + 1], best[at].score + t->score[id], id, (int32_t)at);
        single = single || i + 1 == at + len;
    }
    return single;
}

/* best[0..n]; afterwards best[k].from leads back from the end. */
static enum sp_status search(struct sp_tokenizer *t, const char *s, size_t n, struct sp_err *err)
{
    struct sp_tok_best *best = t->scratch.best;
    size_t len;
    int32_t code;
    for (size_t i = 0; i <= n; i++)
        best[i].from = -1;
    best[0] = (struct sp_tok_best){ 0 };
    for (size_t at = 0; at < n; at += len) {
        sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code);
        if (best[at].from < 0 || pieces(t, s, n, at, len))
            continue;
        if (t->unk < 0)
            return sp_fail(err, SP_MISSING, "the tokenizer has neither a piece for \"%.*s\" nor an unknown token",
                           (int)len, s + at);
        offer(&best[at + len], best[at].score + t->score_unk, t->unk, (int32_t)at);
    }
    return SP_OK;
}

static void unknown(const struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out)
{
    int32_t id = sp_tok_names_get(&t->names, s, n);
    bool bytes = id < 0 && t->byte_fallback;
    for (size_t i = 0; i < n && bytes; i++)
        bytes = t->byte_id[(unsigned char)s[i]] >= 0;
    for (size_t i = 0; i < n && bytes; i++)
        sp_ids_add(out, t->byte_id[(unsigned char)s[i]]);
    if (!bytes)
        sp_ids_add(out, id < 0 ? t->unk : id);
}

static enum sp_status reserve(struct sp_tok_scratch *w, size_t n, struct sp_err *err)
{
    if (n <= w->best_cap)
        return SP_OK;
    size_t cap = n < 256 ? 256 : n + n / 2;
    struct sp_tok_best *best = sp_realloc(w->best, cap * sizeof *best);
    if (!best)
        return sp_tok_nomem(err);
    w->best = best;
    w->best_cap = cap;
    return SP_OK;
}

enum sp_status sp_tok_unigram(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    TRY(reserve(&t->scratch, n + 1, err));
    TRY(search(t, s, n, err));
    struct sp_tok_best *best = t->scratch.best;
    int32_t all = (int32_t)n;
    for (int32_t at = all; at > 0; at = best[at].from)
        best[best[at].from].to = at;
    for (int32_t at = 0, end; at < all; at = end) {
        end = best[at].to;
        if (best[end].id != t->unk) {
            sp_ids_add(out, best[end].id);
            continue;
        }
        while (end < all && best[best[end].to].id == t->unk)
            end = best[end].to;
        unknown(t, s + at, (size_t)(end - at), out);
    }
    return SP_OK;
}
