/* text/train.c - training byte-level BPE (Sennrich et al. 2016; GPT-2's word pattern).
 *
 * Distinct words are counted once; pairs are counted over them with the words'
 * weights.  A merge rewrites only the words that hold its pair, and a heap with
 * stale entries gives the next one: counts in it are never too low, so a top entry
 * whose count is still right is the best pair.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include "inner.h"

enum {
    SPECIALS_MAX = 1024,
    WORD_BYTES_MAX = 1024, /* a longer word is counted in parts     */
    TELL_EVERY = 64,       /* merges between two progress events    */
};

struct word {
    const char *at;
    uint32_t n;
    uint64_t first;
    int64_t count;
}; /* first: in symbols; n shrinks */
struct pair {
    int32_t left, right;
    int64_t count;
    uint32_t *words, n, cap, stamp;
};
struct entry {
    int64_t count;
    uint32_t pair;
};

struct trainer {
    struct sp_arena mem;
    struct sp_tok_names word_of, token_of;
    struct word *word;
    size_t n_word, word_cap;
    int32_t *symbol;
    size_t n_symbol;
    struct sp_slice *token; /* [vocab] bytes                         */
    int32_t n_token, vocab, n_special;
    struct {
        int32_t left, right;
    } * merge;
    int32_t n_merge, merge_cap;
    struct sp_tok_map pair_of; /* left << 32 | right -> index           */
    struct pair *pair;
    size_t n_pair, pair_cap;
    uint32_t *touched;
    size_t n_touched, touched_cap;
    struct entry *heap;
    size_t n_heap, heap_cap;
    uint32_t stamp;
};

/* Room for one more; false: no memory. */
static bool room(void **at, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t more = *cap ? *cap * 2 : 64;
    void *p = sp_realloc(*at, more * size);
    if (!p)
        return false;
    *at = p;
    *cap = more;
    return true;
}
#define ROOM(r, what, count, cap) room((void **)&(r)->what, (r)->count, &(r)->cap, sizeof *(r)->what)

/* ---- words ---- */
static enum sp_status count_word(struct trainer *r, const char *s, size_t n, struct sp_err *err)
{
    int32_t i = sp_tok_names_get(&r->word_of, s, n);
    if (i >= 0) {
        r->word[i].count++;
        return SP_OK;
    }
    if (r->n_word == INT32_MAX || !ROOM(r, word, n_word, word_cap))
        return sp_tok_nomem(err);
    TRY(sp_tok_names_put(&r->word_of, s, n, (int32_t)r->n_word, err));
    r->word[r->n_word++] = (struct word){ .at = s, .n = (uint32_t)n, .count = 1 };
    return SP_OK;
}

static enum sp_status count_words(struct trainer *r, const char *s, size_t n, struct sp_err *err)
{
    while (n) {
        size_t k = sp_tok_match_gpt2((const unsigned char *)s, n);
        k = k > WORD_BYTES_MAX ? WORD_BYTES_MAX : k;
        TRY(count_word(r, s, k, err));
        s += k;
        n -= k;
    }
    return SP_OK;
}

/* A document without its special tokens: the words between them. */
static enum sp_status count_document(struct trainer *r, const char *s, size_t n, const char *const *specials,
                                     int n_specials, struct sp_err *err)
{
    for (int i = 0; i < n_specials; i++) {
        size_t k = strlen(specials[i]);
        const char *hit = memmem(s, n, specials[i], k);
        if (!hit)
            continue;
        TRY(count_document(r, s, (size_t)(hit - s), specials + i + 1, n_specials - i - 1, err));
        size_t used = (size_t)(hit - s) + k;
        s += used;
        n -= used;
        i--;
    }
    return count_words(r, s, n, err);
}

/* ---- the starting vocabulary: specials, then bytes in the order of their characters ---- */
static enum sp_status new_token(struct trainer *r, const char *s, size_t n, struct sp_err *err)
{
    r->token[r->n_token] = (struct sp_slice){ s, n };
    return sp_tok_names_put(&r->token_of, s, n, r->n_token++, err);
}

static enum sp_status first_tokens(struct trainer *r, const char *const *specials, struct sp_err *err)
{
    r->token = sp_zalloc((size_t)r->vocab, sizeof *r->token);
    char *bytes = sp_arena_take(&r->mem, 256);
    if (!r->token || !bytes)
        return sp_tok_nomem(err);
    for (int i = 0; i < r->n_special; i++)
        r->token[r->n_token++] = (struct sp_slice){ specials[i], strlen(specials[i]) };
    for (int high = 0; high < 2; high++)
        for (int b = 0; b < 256; b++)
            if ((sp_tok_byte_char(b) >= 0x100) == high) {
                bytes[b] = (char)b;
                TRY(new_token(r, bytes + b, 1, err));
            }
    return SP_OK;
}

static enum sp_status spell_words(struct trainer *r, struct sp_err *err)
{
    size_t total = 0;
    for (size_t i = 0; i < r->n_word; i++)
        total += r->word[i].n;
    r->symbol = sp_alloc((total + 1) * sizeof *r->symbol);
    if (!r->symbol)
        return sp_tok_nomem(err);
    for (size_t i = 0; i < r->n_word; i++) {
        struct word *w = &r->word[i];
        w->first = r->n_symbol;
        for (uint32_t k = 0; k < w->n; k++)
            r->symbol[r->n_symbol++] = sp_tok_names_get(&r->token_of, w->at + k, 1);
    }
    return SP_OK;
}

/* ---- the heap: most frequent first, then the greater bytes ---- */
static int compare_bytes(struct sp_slice a, struct sp_slice b)
{
    int c = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);
    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool better(const struct trainer *r, struct entry a, struct entry b)
{
    if (a.count != b.count)
        return a.count > b.count;
    const struct pair *x = &r->pair[a.pair], *y = &r->pair[b.pair];
    int c = compare_bytes(r->token[x->left], r->token[y->left]);
    return (c ? c : compare_bytes(r->token[x->right], r->token[y->right])) > 0;
}

static enum sp_status heap_push(struct trainer *r, uint32_t pair, struct sp_err *err)
{
    struct entry v = { r->pair[pair].count, pair };
    if (v.count <= 0)
        return SP_OK;
    if (!ROOM(r, heap, n_heap, heap_cap))
        return sp_tok_nomem(err);
    size_t i = r->n_heap++;
    for (; i && better(r, v, r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = v;
    return SP_OK;
}

static struct entry heap_pop(struct trainer *r)
{
    struct entry top = r->heap[0], v = r->heap[--r->n_heap];
    size_t i = 0, n = r->n_heap;
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        c += c + 1 < n && better(r, r->heap[c + 1], r->heap[c]);
        if (!better(r, r->heap[c], v))
            break;
        r->heap[i] = r->heap[c];
    }
    r->heap[i] = v;
    return top;
}

/* ---- pairs ---- */
/* Adds `by` to the pair's count, and notes that word w holds it when by > 0. */
static enum sp_status count_pair(struct trainer *r, int32_t left, int32_t right, uint32_t w, int64_t by,
                                 struct sp_err *err)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right, index = r->n_pair;
    if (!sp_tok_map_get(&r->pair_of, key, &index)) {
        if (r->n_pair == UINT32_MAX || !ROOM(r, pair, n_pair, pair_cap))
            return sp_tok_nomem(err);
        TRY(sp_tok_map_put(&r->pair_of, key, index, err));
        r->pair[r->n_pair++] = (struct pair){ .left = left, .right = right };
    }
    struct pair *p = &r->pair[index];
    p->count += by;
    if (by > 0 && (!p->n || p->words[p->n - 1] != w)) {
        size_t cap = p->cap;
        if (!room((void **)&p->words, p->n, &cap, sizeof *p->words))
            return sp_tok_nomem(err);
        p->cap = (uint32_t)cap;
        p->words[p->n++] = w;
    }
    if (by > 0 && p->stamp != r->stamp) {
        p->stamp = r->stamp;
        if (!ROOM(r, touched, n_touched, touched_cap))
            return sp_tok_nomem(err);
        r->touched[r->n_touched++] = (uint32_t)index;
    }
    return SP_OK;
}

static enum sp_status offer_touched(struct trainer *r, struct sp_err *err)
{
    for (size_t i = 0; i < r->n_touched; i++)
        TRY(heap_push(r, r->touched[i], err));
    r->n_touched = 0;
    return SP_OK;
}

static enum sp_status count_pairs(struct trainer *r, struct sp_err *err)
{
    r->stamp = 1;
    for (size_t i = 0; i < r->n_word; i++) {
        const struct word *w = &r->word[i];
        for (uint32_t k = 0; k + 1 < w->n; k++)
            TRY(count_pair(r, r->symbol[w->first + k], r->symbol[w->first + k + 1], (uint32_t)i, w->count, err));
    }
    return offer_touched(r, err);
}

/* Replaces (left,right) by id in word i, keeping the counts of the pairs around it. */
static enum sp_status merge_word(struct trainer *r, uint32_t i, int32_t left, int32_t right, int32_t id,
                                 struct sp_err *err)
{
    struct word *w = &r->word[i];
    int32_t *s = r->symbol + w->first;
    uint32_t out = 0;
    for (uint32_t k = 0; k < w->n; k++) {
        if (k + 1 >= w->n || s[k] != left || s[k + 1] != right) {
            s[out++] = s[k];
            continue;
        }
        if (out) {
            TRY(count_pair(r, s[out - 1], left, i, -w->count, err));
            TRY(count_pair(r, s[out - 1], id, i, w->count, err));
        }
        if (k + 2 < w->n) {
            TRY(count_pair(r, right, s[k + 2], i, -w->count, err));
            TRY(count_pair(r, id, s[k + 2], i, w->count, err));
        }
        s[out++] = id;
        k++;
    }
    w->n = out;
    return SP_OK;
}

/* The token a merge makes: new, or one that another pair made before. */
static enum sp_status merged_token(struct trainer *r, int32_t left, int32_t right, int32_t *id, struct sp_err *err)
{
    struct sp_slice a = r->token[left], b = r->token[right];
    char *both = sp_arena_take(&r->mem, a.n + b.n);
    if (!both)
        return sp_tok_nomem(err);
    memcpy(both, a.at, a.n);
    memcpy(both + a.n, b.at, b.n);
    *id = sp_tok_names_get(&r->token_of, both, a.n + b.n);
    if (*id >= 0)
        return SP_OK;
    *id = r->n_token;
    return new_token(r, both, a.n + b.n, err);
}

static enum sp_status merge_pair(struct trainer *r, uint32_t index, struct sp_err *err)
{
    const struct pair best = r->pair[index];
    int32_t id = -1;
    size_t cap = (size_t)r->merge_cap;
    if (!room((void **)&r->merge, (size_t)r->n_merge, &cap, sizeof *r->merge))
        return sp_tok_nomem(err);
    r->merge_cap = (int32_t)cap;
    r->merge[r->n_merge].left = best.left;
    r->merge[r->n_merge++].right = best.right;
    TRY(merged_token(r, best.left, best.right, &id, err));
    r->stamp++;
    r->pair[index].words = NULL;
    r->pair[index].n = r->pair[index].cap = 0;
    enum sp_status st = SP_OK;
    for (uint32_t k = 0; k < best.n && !st; k++)
        st = merge_word(r, best.words[k], best.left, best.right, id, err);
    sp_free(best.words);
    r->pair[index].count = 0;
    return st ? st : offer_touched(r, err);
}

static void tell(const struct trainer *r, const struct sp_watch *watch, enum sp_event_kind kind)
{
    sp_tell(watch, &(struct sp_event){ .kind = kind, .phase = "tokenizer", .done = r->n_token, .total = r->vocab });
}

static enum sp_status merge_all(struct trainer *r, const struct sp_watch *watch, struct sp_err *err)
{
    while (r->n_token < r->vocab && r->n_heap && r->n_merge < SP_TOK_MERGES_MAX) {
        struct entry top = heap_pop(r);
        const struct pair *p = &r->pair[top.pair];
        if (top.count != p->count) {
            TRY(heap_push(r, top.pair, err));
            continue;
        }
        if (r->token[p->left].n + r->token[p->right].n > WORD_BYTES_MAX)
            continue;
        TRY(merge_pair(r, top.pair, err));
        if (r->n_merge % TELL_EVERY == 0) {
            tell(r, watch, SP_EVENT_STEP);
            if (sp_signal_pending())
                return sp_fail(err, SP_INTERRUPTED, "training the tokenizer was interrupted");
        }
    }
    return SP_OK;
}

/* ---- the result ---- */
static enum sp_status build(const struct trainer *r, struct sp_tokenizer *t, struct sp_err *err)
{
    TRY(sp_tok_byte_level_steps(t, true, err));
    TRY(sp_tok_reserve(t, r->n_token, err));
    for (int32_t id = 0; id < r->n_token; id++)
        TRY(id < r->n_special
                ? sp_tok_add(t, r->token[id].at, r->token[id].n, id, SP_TOK_SPECIAL | SP_TOK_IN_VOCAB, err)
                : sp_tok_put_raw(t, r->token[id].at, r->token[id].n, id, err));
    for (int32_t i = 0; i < r->n_merge; i++)
        TRY(sp_tok_put_merge(t, r->merge[i].left, r->merge[i].right, (uint32_t)i, err));
    t->eos = r->n_special ? 0 : -1;
    return sp_tok_finish(t, err);
}

static enum sp_status check(int32_t vocab, const char *const *specials, int n_specials, struct sp_err *err)
{
    if (n_specials < 0 || n_specials > SPECIALS_MAX)
        return sp_fail(err, SP_LIMIT, "%d special tokens; at most %d are allowed", n_specials, SPECIALS_MAX);
    if (vocab < 256 + n_specials || vocab > SP_TOK_VOCAB_MAX)
        return sp_fail(err, SP_USAGE, "a vocabulary of %d; it must be from %d (256 bytes and %d special tokens) to %d",
                       vocab, 256 + n_specials, n_specials, SP_TOK_VOCAB_MAX);
    for (int i = 0; i < n_specials; i++) {
        if (!*specials[i])
            return sp_fail(err, SP_USAGE, "special token %d is empty", i);
        for (int k = 0; k < i; k++)
            if (strcmp(specials[i], specials[k]) == 0)
                return sp_fail(err, SP_USAGE, "special token \"%.40s\" is given twice", specials[i]);
    }
    return SP_OK;
}

static enum sp_status train(struct trainer *r, const struct sp_slice *docs, int64_t n_docs, const char *const *specials,
                            const struct sp_watch *watch, struct sp_err *err)
{
    for (int64_t i = 0; i < n_docs; i++)
        TRY(count_document(r, docs[i].at, docs[i].n, specials, r->n_special, err));
    TRY(first_tokens(r, specials, err));
    TRY(spell_words(r, err));
    TRY(count_pairs(r, err));
    return merge_all(r, watch, err);
}

static void clear(struct trainer *r)
{
    for (size_t i = 0; i < r->n_pair; i++)
        sp_free(r->pair[i].words);
    sp_free(r->pair);
    sp_free(r->heap);
    sp_free(r->touched);
    sp_free(r->merge);
    sp_free(r->token);
    sp_free(r->symbol);
    sp_free(r->word);
    sp_tok_map_clear(&r->pair_of);
    sp_tok_names_clear(&r->word_of);
    sp_tok_names_clear(&r->token_of);
    sp_arena_clear(&r->mem);
}

enum sp_status sp_bpe_train(struct sp_tokenizer **out, const struct sp_slice *docs, int64_t n_docs, int32_t vocab,
                            const char *const *specials, int n_specials, const struct sp_watch *watch,
                            struct sp_err *err)
{
    TRY(check(vocab, specials, n_specials, err));
    struct trainer r = { .vocab = vocab, .n_special = n_specials };
    struct sp_tokenizer *t = NULL;
    tell(&r, watch, SP_EVENT_PHASE_BEGIN);
    enum sp_status st = train(&r, docs, n_docs, specials, watch, err);
    if (!st)
        st = sp_tok_new(&t, err);
    if (!st)
        st = build(&r, t, err);
    tell(&r, watch, SP_EVENT_PHASE_END);
    clear(&r);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}
