/* text/vocab.c - the vocabulary: tokens, the byte-level alphabet, merges, and the
 * trees that find tokens in text.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include <utf8proc.h>
#include "inner.h"

/* ---- the byte-level alphabet: printable Latin-1 stands for itself, the other 68 bytes
 * for U+0100 and on, in order (Radford et al. 2019, GPT-2). ---- */
static bool is_shown(int b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad && b <= 0xff);
}

int32_t sp_tok_byte_char(int byte)
{
    if (is_shown(byte))
        return byte;
    int k = 0;
    for (int b = 0; b < byte; b++)
        k += !is_shown(b);
    return 0x100 + k;
}

static int char_byte(int32_t c)
{
    static const unsigned char hidden_end[] = { 0x21, 0x22 }; /* 0x00..0x20 are the first 33, 0x7f..0xa0 the next 34 */
    if (c < 0x100)
        return c >= 0 && is_shown(c) ? c : -1;
    int k = c - 0x100;
    if (k < hidden_end[0])
        return k;
    if (k < hidden_end[0] + hidden_end[1])
        return 0x7f + k - hidden_end[0];
    return k == 67 ? 0xad : -1;
}

bool sp_tok_unmap(const char *name, size_t n, char *out, size_t *n_out)
{
    size_t m = 0;
    for (size_t at = 0; at < n;) {
        utf8proc_int32_t c = -1;
        utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)name + at, (utf8proc_ssize_t)(n - at), &c);
        int byte = k > 0 ? char_byte(c) : -1;
        if (byte < 0)
            return false;
        out[m++] = (char)byte;
        at += (size_t)k;
    }
    *n_out = m;
    return true;
}

void sp_tok_map_bytes(struct sp_text *out, const char *raw, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        utf8proc_uint8_t buf[4];
        utf8proc_ssize_t k = utf8proc_encode_char(sp_tok_byte_char((unsigned char)raw[i]), buf);
        sp_text_add(out, (const char *)buf, (size_t)k);
    }
}

/* ---- building ---- */
enum sp_status sp_tok_new(struct sp_tokenizer **out, struct sp_err *err)
{
    struct sp_tokenizer *t = sp_zalloc(1, sizeof *t);
    if (!t)
        return sp_tok_nomem(err);
    t->bos = t->eos = t->unk = -1;
    t->prefix = t->suffix = "";
    if (pthread_mutex_init(&t->scratch.lock, NULL)) {
        sp_free(t);
        return sp_fail(err, SP_NOMEM, "tokenizer: no lock to be had");
    }
    *out = t;
    return SP_OK;
}

void sp_tokenizer_free(struct sp_tokenizer *t)
{
    if (!t)
        return;
    for (int i = 0; i < SP_TOK_STEPS_MAX; i++) {
        sp_tok_pattern_clear(&t->norm[i].pattern);
        sp_tok_pattern_clear(&t->pre[i].pattern);
        sp_tok_pattern_clear(&t->dec[i].pattern);
        sp_text_clear(&t->scratch.piece[i]);
    }
    sp_tok_names_clear(&t->names);
    sp_tok_map_clear(&t->merge);
    sp_tok_tree_clear(&t->start);
    sp_tok_tree_clear(&t->later);
    sp_tok_tree_clear(&t->raw_added);
    sp_tok_tree_clear(&t->norm_added);
    sp_free(t->scratch.cache);
    sp_free(t->scratch.symbol);
    sp_free(t->scratch.heap);
    sp_free(t->scratch.best);
    pthread_mutex_destroy(&t->scratch.lock);
    sp_free(t->token);
    sp_free(t->score);
    sp_arena_clear(&t->mem);
    sp_free(t);
}

enum sp_status sp_tok_reserve(struct sp_tokenizer *t, int32_t n_vocab, struct sp_err *err)
{
    if (n_vocab < 1 || n_vocab > SP_TOK_VOCAB_MAX)
        return sp_fail(err, SP_LIMIT, "tokenizer: %d token numbers; from 1 to %d are allowed", n_vocab,
                       SP_TOK_VOCAB_MAX);
    t->token = sp_zalloc((size_t)n_vocab, sizeof *t->token);
    if (!t->token)
        return sp_tok_nomem(err);
    t->n_vocab = n_vocab;
    return SP_OK;
}

static enum sp_status put(struct sp_tokenizer *t, const char *raw, size_t n, int32_t id, uint32_t flags,
                          struct sp_err *err)
{
    if (n > SP_TOK_TOKEN_BYTES_MAX)
        return sp_fail(err, SP_LIMIT, "token %d has %zu bytes, at most %d are allowed", id, n, SP_TOK_TOKEN_BYTES_MAX);
    if (id < 0 || id >= t->n_vocab)
        return sp_fail(err, SP_FORMAT, "token \"%.*s\" has the number %d, outside 0 to %d", (int)(n > 40 ? 40 : n), raw,
                       id, t->n_vocab - 1);
    struct sp_tok_token *k = &t->token[id];
    if (k->flags & SP_TOK_USED)
        return sp_fail(err, SP_FORMAT, "two tokens have the number %d: \"%.*s\" and \"%.*s\"", id, (int)k->n_raw,
                       k->raw, (int)(n > 40 ? 40 : n), raw);
    char *copy = sp_arena_take(&t->mem, n + 1);
    if (!copy)
        return sp_tok_nomem(err);
    memcpy(copy, raw, n);
    k->raw = k->out = k->first = copy;
    k->n_raw = k->n_out = k->n_first = (uint32_t)n;
    k->flags = SP_TOK_USED | flags;
    return SP_OK;
}

enum sp_status sp_tok_put_raw(struct sp_tokenizer *t, const char *raw, size_t n, int32_t id, struct sp_err *err)
{
    if (t->model != SP_TOK_UNIGRAM && sp_tok_names_get(&t->names, raw, n) >= 0) /* there the last one counts */
        return sp_fail(err, SP_FORMAT, "the token \"%.*s\" is in the vocabulary twice", (int)(n > 40 ? 40 : n), raw);
    TRY(put(t, raw, n, id, SP_TOK_IN_VOCAB, err));
    return sp_tok_names_put(&t->names, t->token[id].raw, n, id, err);
}

enum sp_status sp_tok_put(struct sp_tokenizer *t, const char *name, size_t n, int32_t id, struct sp_err *err)
{
    char bytes[SP_TOK_TOKEN_BYTES_MAX];
    size_t m;
    if (!t->byte_level || n > sizeof bytes)
        return sp_tok_put_raw(t, name, n, id, err);
    if (!sp_tok_unmap(name, n, bytes, &m))
        return put(t, name, n, id, SP_TOK_IN_VOCAB | SP_TOK_LITERAL, err);
    return sp_tok_put_raw(t, bytes, m, id, err);
}

enum sp_status sp_tok_add(struct sp_tokenizer *t, const char *content, size_t n, int32_t id, uint32_t flags,
                          struct sp_err *err)
{
    if (!n)
        return sp_fail(err, SP_FORMAT, "added token %d has no content", id);
    if (id >= 0 && id < t->n_vocab && (t->token[id].flags & SP_TOK_USED)) {
        struct sp_tok_token *k = &t->token[id];
        char bytes[SP_TOK_TOKEN_BYTES_MAX];
        size_t m = n;
        bool mapped =
            t->byte_level && !(k->flags & SP_TOK_LITERAL) && n <= sizeof bytes && sp_tok_unmap(content, n, bytes, &m);
        if (k->n_raw == m && memcmp(k->raw, mapped ? bytes : content, m) == 0) {
            k->flags |= flags | SP_TOK_ADDED;
            return SP_OK;
        }
    }
    return put(t, content, n, id, flags | SP_TOK_ADDED | SP_TOK_LITERAL, err);
}

enum sp_status sp_tok_put_merge(struct sp_tokenizer *t, int32_t left, int32_t right, uint32_t rank, struct sp_err *err)
{
    const struct sp_tok_token *a = &t->token[left], *b = &t->token[right];
    char both[2 * SP_TOK_TOKEN_BYTES_MAX];
    size_t cut = strlen(t->prefix); /* a later piece leaves its prefix behind */
    cut = b->n_raw >= cut ? cut : b->n_raw;
    memcpy(both, a->raw, a->n_raw);
    memcpy(both + a->n_raw, b->raw + cut, b->n_raw - cut);
    int32_t id = sp_tok_names_get(&t->names, both, a->n_raw + b->n_raw - cut);
    if (id < 0)
        return sp_fail(err, SP_FORMAT,
                       "merge %u joins \"%.*s\" and \"%.*s\", but what they make isn't in the vocabulary", rank,
                       (int)a->n_raw, a->raw, (int)b->n_raw, b->raw);
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return sp_tok_map_put(&t->merge, key, (uint64_t)rank << 32 | (uint32_t)id, err);
}

/* ---- trees ---- */
enum sp_status sp_tok_tree_add(struct sp_tok_tree *tree, const char *s, size_t n, int32_t id, struct sp_err *err)
{
    uint64_t node = 0;
    if (!n)
        return SP_OK;
    if (tree->n + n + 1 > SP_TOK_TREE_MAX)
        return sp_fail(err, SP_LIMIT, "the tokens hold more than %d bytes", SP_TOK_TREE_MAX);
    if (tree->n + n + 1 > tree->cap) {
        size_t cap = (tree->cap + n + 1) * 2;
        int32_t *end = sp_realloc(tree->end, cap * sizeof *end);
        if (!end)
            return sp_tok_nomem(err);
        tree->end = end;
        tree->cap = cap;
    }
    if (!tree->n)
        tree->end[tree->n++] = -1;
    tree->first[(unsigned char)s[0]] = true;
    for (size_t i = 0; i < n; i++) {
        uint64_t key = node << 8 | (unsigned char)s[i];
        if (sp_tok_map_get(&tree->edge, key, &node))
            continue;
        node = tree->n;
        tree->end[tree->n++] = -1;
        TRY(sp_tok_map_put(&tree->edge, key, node, err));
    }
    tree->end[node] = id;
    return SP_OK;
}

void sp_tok_tree_clear(struct sp_tok_tree *tree)
{
    sp_tok_map_clear(&tree->edge);
    sp_free(tree->end);
    *tree = (struct sp_tok_tree){ 0 };
}

int32_t sp_tok_tree_find(const struct sp_tok_tree *tree, const char *s, size_t n, size_t *len)
{
    uint64_t node = 0;
    int32_t id = -1;
    for (size_t i = 0; i < n && sp_tok_map_get(&tree->edge, node << 8 | (unsigned char)s[i], &node); i++)
        if (tree->end[node] >= 0) {
            id = tree->end[node];
            *len = i + 1;
        }
    return id;
}

static enum sp_status plant(struct sp_tokenizer *t, int32_t id, struct sp_err *err)
{
    const struct sp_tok_token *k = &t->token[id];
    if (!(k->flags & SP_TOK_NORMALIZED))
        return sp_tok_tree_add(&t->raw_added, k->raw, k->n_raw, id, err);
    struct sp_text form = { 0 };
    TRY(sp_tok_normalize(t, k->raw, k->n_raw, &form, err));
    enum sp_status st = form.n ? sp_tok_tree_add(&t->norm_added, form.at, form.n, id, err) : SP_OK;
    sp_text_clear(&form);
    return st;
}

/* Unigram finds all its pieces in one tree, WordPiece the beginnings and the later pieces in two. */
static enum sp_status plant_piece(struct sp_tokenizer *t, int32_t id, struct sp_err *err)
{
    const struct sp_tok_token *k = &t->token[id];
    size_t n = strlen(t->prefix);
    if (t->model != SP_TOK_UNIGRAM && t->model != SP_TOK_WORDPIECE)
        return SP_OK;
    TRY(sp_tok_tree_add(&t->start, k->raw, k->n_raw, id, err));
    if (t->model == SP_TOK_WORDPIECE && k->n_raw > n && memcmp(k->raw, t->prefix, n) == 0)
        return sp_tok_tree_add(&t->later, k->raw + n, k->n_raw - n, id, err);
    return SP_OK;
}

/* ---- the end ---- */
/* Whether U+2581 stands behind another character in some token. */
static bool mark_inside(const struct sp_tok_token *k)
{
    static const char mark[] = "\xe2\x96\x81";
    for (size_t i = 3; i + 3 <= k->n_raw; i++)
        if (memcmp(k->raw + i, mark, 3) == 0 && memcmp(k->raw + i - 3, mark, 3) != 0)
            return true;
    return k->n_raw > 3 && memcmp(k->raw, mark, 3) != 0 && (memmem(k->raw + 1, k->n_raw - 1, mark, 3) != NULL);
}

enum sp_status sp_tok_finish(struct sp_tokenizer *t, struct sp_err *err)
{
    bool all_bytes = true, inside = false;
    TRY(sp_tok_check_decoders(t, err));
    for (int b = 0; b < 256; b++) {
        char name[8] = { (char)b };
        if (!t->byte_level)
            snprintf(name, sizeof name, "<0x%02X>", (unsigned)b);
        t->byte_id[b] = sp_tok_names_get(&t->names, name, t->byte_level ? 1 : 6);
        all_bytes = all_bytes && t->byte_id[b] >= 0;
    }
    for (int c = 0; c < 128; c++)
        t->ascii_id[c] = sp_tok_names_get(&t->names, &(char){ (char)c }, 1);
    for (int32_t id = 0; id < t->n_vocab; id++) {
        struct sp_tok_token *k = &t->token[id];
        TRY(sp_tok_decoded(t, k, err));
        if (k->flags & SP_TOK_IN_VOCAB)
            TRY(plant_piece(t, id, err));
        inside = inside || ((k->flags & SP_TOK_IN_VOCAB) && mark_inside(k));
        if ((k->flags & SP_TOK_ADDED) && !(k->flags & SP_TOK_UNMATCHED))
            TRY(plant(t, id, err));
    }
    t->splits_at_mark = t->model == SP_TOK_BPE && !t->byte_level && t->byte_fallback && all_bytes && !inside &&
                        !t->ignore_merges && !*t->prefix && !*t->suffix;
    return SP_OK;
}

/* ---- facts ---- */
int32_t sp_tokenizer_vocab(const struct sp_tokenizer *t)
{
    return t->n_vocab;
}
int32_t sp_tokenizer_bos(const struct sp_tokenizer *t)
{
    return t->bos;
}
int32_t sp_tokenizer_eos(const struct sp_tokenizer *t)
{
    return t->eos;
}

bool sp_tokenizer_adds_bos(const struct sp_tokenizer *t)
{
    return t->n_before > 0 && t->bos >= 0 && t->before[0] == t->bos;
}

int32_t sp_tokenizer_find(const struct sp_tokenizer *t, const char *content)
{
    size_t n = strlen(content), m;
    char bytes[SP_TOK_TOKEN_BYTES_MAX];
    for (int32_t id = 0; id < t->n_vocab; id++)
        if ((t->token[id].flags & SP_TOK_ADDED) && t->token[id].n_raw == n && memcmp(t->token[id].raw, content, n) == 0)
            return id;
    if (t->byte_level && n <= sizeof bytes && sp_tok_unmap(content, n, bytes, &m))
        return sp_tok_names_get(&t->names, bytes, m);
    return sp_tok_names_get(&t->names, content, n);
}

bool sp_tokenizer_is_special(const struct sp_tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->n_vocab && (t->token[id].flags & SP_TOK_SPECIAL);
}

const char *sp_tokenizer_token(const struct sp_tokenizer *t, int32_t id, size_t *n)
{
    bool used = id >= 0 && id < t->n_vocab && (t->token[id].flags & SP_TOK_USED);
    *n = used ? t->token[id].n_out : 0;
    return used ? t->token[id].out : NULL;
}
