/* text/scores.c - SentencePiece's BPE, whose vocabulary has scores instead of merges: of all neighbours
 * that together are a token, those with the best score are joined first, the leftmost of equals.
 *
 * So every way to cut a token into two tokens is a merge, and tokens of equal score share a rank.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include "inner.h"

struct scored {
    double score;
    int32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* All cuts of one token between characters. */
static enum sp_status cuts(struct sp_tokenizer *t, int32_t id, uint32_t rank, struct sp_err *err)
{
    const struct sp_tok_token *k = &t->token[id];
    for (uint32_t i = 1; i < k->n_raw; i++) {
        if (((unsigned char)k->raw[i] & 0xc0) == 0x80)
            continue;
        int32_t left = sp_tok_names_get(&t->names, k->raw, i);
        int32_t right = left < 0 ? -1 : sp_tok_names_get(&t->names, k->raw + i, k->n_raw - i);
        if (right >= 0)
            TRY(sp_tok_put_merge(t, left, right, rank, err));
    }
    return SP_OK;
}

enum sp_status sp_tok_merges_of_scores(struct sp_tokenizer *t, struct sp_err *err)
{
    enum sp_status st = SP_OK;
    uint32_t rank = 0;
    int32_t n = 0;
    struct scored *all = sp_alloc((size_t)t->n_vocab * sizeof *all);
    if (!all)
        return sp_tok_nomem(err);
    for (int32_t id = 0; id < t->n_vocab; id++)
        if ((t->token[id].flags & SP_TOK_IN_VOCAB) && !(t->token[id].flags & SP_TOK_SPECIAL))
            all[n++] = (struct scored){ t->score[id], id };
    qsort(all, (size_t)n, sizeof *all, by_score);
    for (int32_t i = 0; i < n && !st; i++) {
        rank += i && all[i].score != all[i - 1].score;
        st = cuts(t, all[i].id, rank, err);
    }
    sp_free(all);
    return st;
}
