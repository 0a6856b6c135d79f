/* text/merge.c - byte-pair encoding of one pre-token (Sennrich et al. 2016): the pair
 * of lowest rank first, the leftmost of equals: in short pre-tokens by looking at all pairs, else by a heap of
 * rank and place.
 *
 * A heap's entry may be stale: it counts only if the pair at its place still has its rank
 * (an equal rank means an equal result over the same text).  Short pre-tokens are
 * kept in a direct-mapped cache.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

enum {
    CACHE = 1 << 14, /* slots                          */
    AFFIX_MAX = SP_TOK_AFFIX_MAX,
    SHORT = 32,      /* symbols that are merged without a heap */
    WORD_BYTES_MAX = INT32_MAX / 4 /* of one pre-token               */
};

static enum sp_status reserve(struct sp_tok_scratch *w, size_t n, struct sp_err *err)
{
    if (n <= w->symbol_cap)
        return SP_OK;
    size_t cap = n < 256 ? 256 : n + n / 2;
    struct sp_tok_symbol *symbol = sp_realloc(w->symbol, cap * sizeof *symbol);
    if (symbol)
        w->symbol = symbol;
    uint64_t *heap = sp_realloc(w->heap, 3 * cap * sizeof *heap); /* n-1 pairs, then two a merge */
    if (heap)
        w->heap = heap;
    if (!symbol || !heap)
        return sp_tok_nomem(err);
    w->symbol_cap = cap;
    return SP_OK;
}

static void heap_push(struct sp_tok_scratch *w, uint64_t v)
{
    size_t i = w->heap_n++;
    for (; i && w->heap[(i - 1) / 2] > v; i = (i - 1) / 2)
        w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = v;
}

static uint64_t heap_pop(struct sp_tok_scratch *w)
{
    uint64_t top = w->heap[0], v = w->heap[--w->heap_n];
    size_t i = 0, n = w->heap_n;
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        c += c + 1 < n && w->heap[c + 1] < w->heap[c];
        if (w->heap[c] >= v)
            break;
        w->heap[i] = w->heap[c];
    }
    if (n)
        w->heap[i] = v;
    return top;
}

static uint64_t value_of(const struct sp_tokenizer *t, int32_t left, int32_t right)
{
    uint64_t v;
    return left >= 0 && right >= 0 && sp_tok_map_get(&t->merge, (uint64_t)(uint32_t)left << 32 | (uint32_t)right, &v) ? v : UINT64_MAX;
}

/* symbol[0..n) in place, n at most SHORT; returns how many are left. */
static size_t merge_short(const struct sp_tokenizer *t, size_t n)
{
    struct sp_tok_symbol *s = t->scratch.symbol;
    uint64_t value[SHORT]; /* of the pair that begins here */
    for (size_t i = 0; i + 1 < n; i++)
        value[i] = value_of(t, s[i].id, s[i + 1].id);
    while (n > 1) {
        size_t k = 0;
        for (size_t i = 1; i + 1 < n; i++)
            k = value[i] >> 32 < value[k] >> 32 ? i : k;
        if (value[k] == UINT64_MAX)
            break;
        s[k].id = (int32_t)(uint32_t)value[k];
        n--;
        for (size_t i = k + 1; i < n; i++) {
            s[i].id = s[i + 1].id;
            value[i] = value[i + 1]; /* the last one is never looked at */
        }
        if (k)
            value[k - 1] = value_of(t, s[k - 1].id, s[k].id);
        if (k + 1 < n)
            value[k] = value_of(t, s[k].id, s[k + 1].id);
    }
    return n;
}

static bool pair(const struct sp_tokenizer *t, int32_t left, uint64_t *value)
{
    const struct sp_tok_symbol *s = t->scratch.symbol;
    int32_t right = s[left].next;
    return s[left].id >= 0 && right >= 0 &&
           sp_tok_map_get(&t->merge, (uint64_t)(uint32_t)s[left].id << 32 | (uint32_t)s[right].id, value);
}

static void offer(struct sp_tokenizer *t, int32_t left)
{
    uint64_t v;
    if (left >= 0 && pair(t, left, &v))
        heap_push(&t->scratch, (v >> 32) << 32 | (uint32_t)left);
}

/* symbol[0..n) in place; afterwards the live ones are linked from 0. */
static void merge_all(struct sp_tokenizer *t, size_t n)
{
    struct sp_tok_symbol *s = t->scratch.symbol;
    t->scratch.heap_n = 0;
    for (size_t i = 0; i < n; i++) {
        s[i].prev = (int32_t)i - 1;
        s[i].next = i + 1 < n ? (int32_t)i + 1 : -1;
    }
    for (size_t i = 0; i + 1 < n; i++)
        offer(t, (int32_t)i);
    while (t->scratch.heap_n) {
        uint64_t top = heap_pop(&t->scratch), v;
        int32_t left = (int32_t)(uint32_t)top;
        if (!pair(t, left, &v) || v >> 32 != top >> 32)
            continue;
        int32_t right = s[left].next;
        s[left].id = (int32_t)(uint32_t)v;
        s[left].next = s[right].next;
        s[right].id = -1;
        if (s[left].next >= 0)
            s[s[left].next].prev = left;
        offer(t, s[left].prev);
        offer(t, left);
    }
}

static enum sp_status unheard(const char *s, size_t n, int32_t code, struct sp_err *err)
{
    if (code >= 0x80)
        sp_fail(err, SP_MISSING, "the character U+%04X (%.*s) isn't in the tokenizer's vocabulary", (unsigned)code,
                (int)n, s);
    else
        sp_fail(err, SP_MISSING, "the byte 0x%02X isn't in the tokenizer's vocabulary", (unsigned char)*s);
    return sp_remedy(err, "use a tokenizer made from text that has it");
}

/* The vocabulary's number of a character of a word: later ones carry the prefix, the last one the suffix. */
static int32_t character(const struct sp_tokenizer *t, const char *s, size_t n, bool later, bool last)
{
    char name[AFFIX_MAX * 2 + 8];
    size_t k = later ? strlen(t->prefix) : 0, m = last ? strlen(t->suffix) : 0;
    if (!k && !m)
        return n == 1 && *(const unsigned char *)s < SP_COUNT(t->ascii_id) ? t->ascii_id[*(const unsigned char *)s] : sp_tok_names_get(&t->names, s, n);
    memcpy(name, t->prefix, k);
    memcpy(name + k, s, n);
    memcpy(name + k + n, t->suffix, m);
    return sp_tok_names_get(&t->names, name, k + n + m);
}

/* Bytes of s as symbols, if every one has a token. */
static bool bytes_of(struct sp_tokenizer *t, const char *s, size_t n, size_t *count)
{
    for (size_t i = 0; i < n; i++)
        if (t->byte_id[(unsigned char)s[i]] < 0)
            return false;
    for (size_t i = 0; i < n; i++)
        t->scratch.symbol[(*count)++].id = t->byte_id[(unsigned char)s[i]];
    return true;
}

static void add_symbol(struct sp_tokenizer *t, size_t *count, int32_t id)
{
    t->scratch.symbol[(*count)++].id = id;
}

/* A word's characters as symbols.  An unknown one waits for its neighbours (fuse_unk); bytes go past it. */
static enum sp_status characters(struct sp_tokenizer *t, const char *s, size_t n, size_t *count, struct sp_err *err)
{
    bool waits = false;
    size_t len;
    int32_t code;
    for (size_t at = 0; at < n; at += len) {
        sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code);
        int32_t id = character(t, s + at, len, at > 0, at + len == n);
        if (id < 0 && t->byte_fallback && bytes_of(t, s + at, len, count))
            continue;
        if (id < 0 && t->unk < 0)
            return unheard(s + at, len, code, err);
        if (waits && (id >= 0 || !t->fuse_unk))
            add_symbol(t, count, t->unk);
        waits = id < 0;
        if (id >= 0)
            add_symbol(t, count, id);
    }
    if (waits)
        add_symbol(t, count, t->unk);
    return SP_OK;
}

/* Byte-level: a byte is a symbol. */
static enum sp_status bytes(struct sp_tokenizer *t, const char *s, size_t n, size_t *count, struct sp_err *err)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = t->byte_id[(unsigned char)s[i]];
        if (id < 0 && t->unk < 0)
            return unheard(s + i, 1, (unsigned char)s[i], err);
        if (id < 0 && t->fuse_unk && i && t->byte_id[(unsigned char)s[i - 1]] < 0)
            continue;
        add_symbol(t, count, id < 0 ? t->unk : id);
    }
    return SP_OK;
}

static enum sp_status bpe(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    size_t count = 0;
    TRY(t->byte_level ? bytes(t, s, n, &count, err) : characters(t, s, n, &count, err));
    if (!t->merge.n || count <= SHORT) {
        count = t->merge.n ? merge_short(t, count) : count;
        for (size_t i = 0; i < count; i++)
            sp_ids_add(out, t->scratch.symbol[i].id);
        return SP_OK;
    }
    merge_all(t, count);
    for (int32_t i = count ? 0 : -1; i >= 0; i = t->scratch.symbol[i].next)
        sp_ids_add(out, t->scratch.symbol[i].id);
    return SP_OK;
}

static void remember(struct sp_tok_cached *c, uint64_t hash, const char *s, size_t n, const int32_t *ids, size_t n_ids)
{
    if (n_ids > SP_COUNT(c->ids))
        return;
    c->hash = hash;
    c->n_key = (uint8_t)n;
    c->n_ids = (uint8_t)n_ids;
    memcpy(c->key, s, n);
    memcpy(c->ids, ids, n_ids * sizeof *ids);
}

static enum sp_status encode(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    int32_t id;
    switch (t->model) {
    case SP_TOK_UNIGRAM:
        return sp_tok_unigram(t, s, n, out, err);
    case SP_TOK_WORDPIECE:
        return sp_tok_wordpiece(t, s, n, out, err);
    case SP_TOK_WORDLEVEL:
        id = sp_tok_names_get(&t->names, s, n);
        if (id < 0 && t->unk < 0)
            return sp_fail(err, SP_MISSING, "the word \"%.*s\" isn't in the vocabulary", (int)(n > 40 ? 40 : n), s);
        sp_ids_add(out, id < 0 ? t->unk : id);
        return SP_OK;
    default:
        TRY(reserve(&t->scratch, n, err));
        return bpe(t, s, n, out, err);
    }
}

enum sp_status sp_tok_word(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    if (!n)
        return SP_OK;
    if (n > WORD_BYTES_MAX)
        return sp_fail(err, SP_LIMIT, "a word of %zu bytes; at most %d are allowed", n, WORD_BYTES_MAX);
    if (!t->scratch.cache && !(t->scratch.cache = sp_zalloc(CACHE, sizeof *t->scratch.cache)))
        return sp_tok_nomem(err);
    int32_t whole = t->ignore_merges ? sp_tok_names_get(&t->names, s, n) : -1;
    if (whole >= 0) {
        sp_ids_add(out, whole);
        return out->full ? sp_tok_nomem(err) : SP_OK;
    }
    bool cached = n <= sizeof t->scratch.cache->key;
    uint64_t hash = cached ? sp_tok_hash(s, n) : 0;
    struct sp_tok_cached *c = &t->scratch.cache[hash & (CACHE - 1)];
    if (cached && c->hash == hash && c->n_key == n && memcmp(c->key, s, n) == 0) {
        for (int i = 0; i < c->n_ids; i++)
            sp_ids_add(out, c->ids[i]);
        return out->full ? sp_tok_nomem(err) : SP_OK;
    }
    size_t before = out->n;
    TRY(encode(t, s, n, out, err));
    if (out->full)
        return sp_tok_nomem(err);
    if (cached)
        remember(c, hash, s, n, out->at + before, out->n - before);
    return SP_OK;
}

static int by_rank(const void *a, const void *b)
{
    const struct sp_tok_ranked *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return (x->key > y->key) - (x->key < y->key);
}

struct sp_tok_ranked *sp_tok_merges_ranked(const struct sp_tokenizer *t, size_t *n)
{
    struct sp_tok_ranked *m = sp_alloc((t->merge.n + 1) * sizeof *m);
    *n = 0;
    for (size_t i = 0; i < t->merge.cap && m; i++)
        if (t->merge.slot[i].key != UINT64_MAX)
            m[(*n)++] = (struct sp_tok_ranked){ t->merge.slot[i].value >> 32, t->merge.slot[i].key };
    if (*n)
        qsort(m, *n, sizeof *m, by_rank);
    return m;
}
