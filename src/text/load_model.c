/* text/load_model.c - reading a tokenizer's model: BPE, Unigram, WordPiece or WordLevel, its vocabulary,
 * its merges or scores.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "../file/file.h"
#include "inner.h"

enum { WORD_CHARS = 100, WORD_CHARS_MAX = 1 << 20 }; /* of a word that WordPiece cuts: usual, largest */
static const double unk_penalty = 10; /* below the lowest score: what an unknown character costs Unigram */

static enum sp_status model_kind(const json_t *model, enum sp_tok_model *out, struct sp_err *err)
{
    static const char *const names[] = { [SP_TOK_BPE] = "BPE",
                                         [SP_TOK_UNIGRAM] = "Unigram",
                                         [SP_TOK_WORDPIECE] = "WordPiece",
                                         [SP_TOK_WORDLEVEL] = "WordLevel" };
    const char *type = NULL;
    bool merges = json_is_array(json_object_get(model, "merges")),
         list = json_is_array(json_object_get(model, "vocab"));
    TRY(sp_json_text(model, "type", merges ? "BPE" : list ? "Unigram" : "WordPiece", &type, err));
    for (size_t i = 0; i < SP_COUNT(names); i++)
        if (strcmp(type, names[i]) == 0) {
            *out = (enum sp_tok_model)i;
            return SP_OK;
        }
    sp_fail(err, SP_UNSUPPORTED, "the tokenizer's model is \"%.40s\"", type);
    return sp_remedy(err, "BPE, Unigram, WordPiece and WordLevel can be read");
}

static enum sp_status affix(struct sp_tokenizer *t, const json_t *model, const char *key, const char *fallback,
                            const char **out, struct sp_err *err)
{
    const char *text = NULL;
    TRY(sp_json_text(model, key, fallback, &text, err));
    if (strlen(text) > SP_TOK_AFFIX_MAX)
        return sp_fail(err, SP_LIMIT, "model.%s has %zu bytes, at most %d are allowed", key, strlen(text),
                       SP_TOK_AFFIX_MAX);
    return sp_tok_keep(t, text, out, err);
}

enum sp_status sp_tok_check_model(struct sp_tokenizer *t, const json_t *model, struct sp_err *err)
{
    TRY(model_kind(model, &t->model, err));
    const json_t *dropout = json_object_get(model, "dropout"), *vocab = json_object_get(model, "vocab");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
        return sp_fail(err, SP_UNSUPPORTED, "the tokenizer drops merges at random (model.dropout)");
    if (t->model == SP_TOK_UNIGRAM ? !json_is_array(vocab) : !json_is_object(vocab))
        return sp_fail(err, SP_FORMAT, "model.vocab must be %s",
                       t->model == SP_TOK_UNIGRAM ? "a list of [piece, score]" : "an object of names and numbers");
    if (t->model == SP_TOK_BPE && !json_is_array(json_object_get(model, "merges")))
        return sp_fail(err, SP_FORMAT, "model.merges must be a list");
    if (t->model == SP_TOK_BPE || t->model == SP_TOK_WORDPIECE)
        TRY(affix(t, model, "continuing_subword_prefix", t->model == SP_TOK_BPE ? "" : "##", &t->prefix, err));
    if (t->model == SP_TOK_BPE)
        TRY(affix(t, model, "end_of_word_suffix", "", &t->suffix, err));
    TRY(sp_json_int(model, "max_input_chars_per_word", 0, WORD_CHARS_MAX, WORD_CHARS, &t->word_chars_max, err));
    TRY(sp_json_bool(model, "fuse_unk", false, &t->fuse_unk, err));
    TRY(sp_json_bool(model, "byte_fallback", false, &t->byte_fallback, err));
    return sp_json_bool(model, "ignore_merges", false, &t->ignore_merges, err);
}

int32_t sp_tok_model_token(const struct sp_tokenizer *t, const char *name, size_t n)
{
    char bytes[SP_TOK_TOKEN_BYTES_MAX];
    size_t m;
    if (!t->byte_level)
        return sp_tok_names_get(&t->names, name, n);
    return n <= sizeof bytes && sp_tok_unmap(name, n, bytes, &m) ? sp_tok_names_get(&t->names, bytes, m) : -1;
}

/* ---- vocabularies ---- */
static enum sp_status load_names(struct sp_tokenizer *t, const json_t *vocab, struct sp_err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)vocab, name, v)
        TRY(sp_tok_put(t, name, strlen(name), (int32_t)json_integer_value(v), err));
    return SP_OK;
}

static enum sp_status load_pieces(struct sp_tokenizer *t, const json_t *vocab, struct sp_err *err)
{
    size_t i;
    json_t *v;
    double lowest = INFINITY;
    t->score = sp_zalloc((size_t)t->n_vocab, sizeof *t->score);
    if (!t->score)
        return sp_tok_nomem(err);
    json_array_foreach(vocab, i, v) {
        const json_t *piece = json_array_get(v, 0), *score = json_array_get(v, 1);
        if (!json_is_string(piece) || !json_is_number(score))
            return sp_fail(err, SP_FORMAT, "model.vocab: entry %zu isn't [piece, score]", i);
        TRY(sp_tok_put_raw(t, json_string_value(piece), json_string_length(piece), (int32_t)i, err));
        t->score[i] = json_number_value(score);
        lowest = fmin(lowest, t->score[i]);
    }
    t->score_unk = lowest - unk_penalty;
    return SP_OK;
}

/* "a b" or ["a","b"]. */
static enum sp_status merge_parts(const json_t *m, size_t i, struct sp_slice part[2], struct sp_err *err)
{
    if (json_is_string(m)) {
        const char *s = json_string_value(m), *gap = strchr(s, ' ');
        if (gap && gap != s && gap[1] && !strchr(gap + 1, ' ')) {
            part[0] = (struct sp_slice){ s, (size_t)(gap - s) };
            part[1] = (struct sp_slice){ gap + 1, strlen(gap + 1) };
            return SP_OK;
        }
    } else if (json_is_array(m) && json_array_size(m) == 2) {
        const json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        if (json_is_string(a) && json_is_string(b)) {
            part[0] = (struct sp_slice){ json_string_value(a), json_string_length(a) };
            part[1] = (struct sp_slice){ json_string_value(b), json_string_length(b) };
            return SP_OK;
        }
    }
    return sp_fail(err, SP_FORMAT, "merge %zu is neither \"a b\" nor [\"a\",\"b\"]", i);
}

static enum sp_status load_merges(struct sp_tokenizer *t, const json_t *merges, struct sp_err *err)
{
    size_t i;
    json_t *m;
    if (json_array_size(merges) > SP_TOK_MERGES_MAX)
        return sp_fail(err, SP_LIMIT, "%zu merges; at most %d are allowed", json_array_size(merges), SP_TOK_MERGES_MAX);
    json_array_foreach(merges, i, m) {
        struct sp_slice part[2] = { 0 };
        int32_t id[2];
        TRY(merge_parts(m, i, part, err));
        for (int k = 0; k < 2; k++) {
            id[k] = sp_tok_model_token(t, part[k].at, part[k].n);
            if (id[k] < 0)
                return sp_fail(err, SP_FORMAT, "merge %zu names \"%.*s\", which isn't in the vocabulary", i,
                               (int)(part[k].n > 40 ? 40 : part[k].n), part[k].at);
        }
        TRY(sp_tok_put_merge(t, id[0], id[1], (uint32_t)i, err));
    }
    return SP_OK;
}

static enum sp_status load_unknown(struct sp_tokenizer *t, const json_t *model, struct sp_err *err)
{
    const char *name = NULL;
    int64_t id = -1;
    if (t->model == SP_TOK_UNIGRAM) {
        TRY(sp_json_int(model, "unk_id", 0, (int64_t)json_array_size(json_object_get(model, "vocab")) - 1, -1, &id,
                        err));
        t->unk = (int32_t)id;
        return SP_OK;
    }
    TRY(sp_json_text(model, "unk_token", t->model == SP_TOK_BPE ? "" : "[UNK]", &name, err));
    t->unk = *name ? sp_tok_model_token(t, name, strlen(name)) : -1;
    if (t->unk < 0 && json_is_string(json_object_get(model, "unk_token")) && t->model == SP_TOK_BPE && *name)
        return sp_fail(err, SP_FORMAT, "unk_token \"%.40s\" isn't in the vocabulary", name);
    return SP_OK;
}

enum sp_status sp_tok_load_model(struct sp_tokenizer *t, const json_t *model, struct sp_err *err)
{
    const json_t *vocab = json_object_get(model, "vocab");
    TRY(t->model == SP_TOK_UNIGRAM ? load_pieces(t, vocab, err) : load_names(t, vocab, err));
    if (t->model == SP_TOK_BPE)
        TRY(load_merges(t, json_object_get(model, "merges"), err));
    return load_unknown(t, model, err);
}
