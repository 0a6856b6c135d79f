/* text/llama2c.c - reading llama2.c's tokenizer.bin: i32 longest token, then for each
 * token f32 score, i32 length, bytes, up to the file's end.
 *
 * Scores become merge ranks (scores.c).  Spaces are kept as U+2581, as in Llama 2's tokenizer.json.
 * Unlike there, "<s>" inside a text is not a token, as in llama2.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { BIN_BYTES_MAX = 16 << 20, PIECE_BYTES_MAX = 256, SPECIALS = 3 };

struct piece {
    float score;
    int32_t id;
    const char *at;
    uint32_t n;
};

/* Counts when `out` is NULL. */
static enum sp_status pieces(const struct sp_text *file, struct piece *out, int32_t *count, struct sp_err *err)
{
    size_t at = 4;
    int32_t k = 0;
    for (uint32_t n; at < file->n; at += 8 + n, k++) {
        float score;
        if (file->n - at < 8)
            return sp_fail(err, SP_FORMAT, "token %d is cut off", k);
        memcpy(&score, file->at + at, 4);
        memcpy(&n, file->at + at + 4, 4);
        if (n > PIECE_BYTES_MAX || n > file->n - at - 8)
            return sp_fail(err, SP_FORMAT, "token %d claims %u bytes; %zu are left and %d allowed", k, n,
                           file->n - at - 8, PIECE_BYTES_MAX);
        if (!isfinite(score))
            return sp_fail(err, SP_FORMAT, "token %d has no finite score", k);
        if (out)
            out[k] = (struct piece){ score, k, file->at + at + 8, n };
    }
    if (k <= SPECIALS || k > SP_TOK_VOCAB_MAX)
        return sp_fail(err, SP_FORMAT, "%d tokens; a llama2.c tokenizer has <unk>, <s>, </s> and more", k);
    *count = k;
    return SP_OK;
}

static enum sp_status put_piece(struct sp_tokenizer *t, const struct piece *p, struct sp_err *err)
{
    static const char *const special[SPECIALS] = { "<unk>", "<s>", "</s>" };
    if (p->id < SPECIALS)
        return sp_tok_add(t, special[p->id], strlen(special[p->id]), p->id,
                          SP_TOK_SPECIAL | SP_TOK_UNMATCHED | SP_TOK_IN_VOCAB, err);
    struct sp_text name = { 0 };
    for (uint32_t i = 0; i < p->n; i++)
        if (p->at[i] == ' ')
            sp_text_add(&name, "\xe2\x96\x81", 3);
        else
            sp_text_add(&name, p->at + i, 1);
    enum sp_status st = name.full ? sp_tok_nomem(err) : sp_tok_put_raw(t, name.n ? name.at : "", name.n, p->id, err);
    sp_text_clear(&name);
    return st;
}

static enum sp_status build(struct sp_tokenizer *t, const struct piece *p, int32_t n, struct sp_err *err)
{
    TRY(sp_tok_llama2_steps(t, true, err));
    TRY(sp_tok_reserve(t, n, err));
    t->score = sp_zalloc((size_t)n, sizeof *t->score);
    if (!t->score)
        return sp_tok_nomem(err);
    for (int32_t i = 0; i < n; i++) {
        TRY(put_piece(t, &p[i], err));
        t->score[i] = (double)p[i].score;
    }
    TRY(sp_tok_merges_of_scores(t, err));
    t->unk = 0;
    t->bos = t->before[t->n_before++] = 1;
    t->eos = 2;
    return sp_tok_finish(t, err);
}

static enum sp_status from_file(struct sp_tokenizer **out, const struct sp_text *file, struct sp_err *err)
{
    int32_t n = 0;
    if (file->n < 4)
        return sp_fail(err, SP_FORMAT, "%zu bytes are no tokenizer", file->n);
    TRY(pieces(file, NULL, &n, err));
    struct piece *p = sp_zalloc((size_t)n, sizeof *p);
    struct sp_tokenizer *t = NULL;
    enum sp_status st = p ? sp_tok_new(&t, err) : sp_tok_nomem(err);
    if (!st)
        st = pieces(file, p, &n, err);
    if (!st)
        st = build(t, p, n, err);
    sp_free(p);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}

enum sp_status sp_tok_load_llama2c(struct sp_tokenizer **out, const char *path, struct sp_err *err)
{
    struct sp_text file = { 0 };
    TRY(sp_read_file(&file, path, BIN_BYTES_MAX, err));
    enum sp_status st = from_file(out, &file, err);
    sp_text_clear(&file);
    return st ? sp_where(err, "%s", path) : SP_OK;
}
