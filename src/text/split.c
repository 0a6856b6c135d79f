/* text/split.c - pre-tokenizers: a text is cut step by step, each piece going through
 * the remaining steps at once, so no list of pieces is ever held.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include "inner.h"

const char *const sp_tok_behaviors[5] = { [SP_TOK_REMOVED] = "Removed",
                                          [SP_TOK_ISOLATED] = "Isolated",
                                          [SP_TOK_WITH_PREVIOUS] = "MergedWithPrevious",
                                          [SP_TOK_WITH_NEXT] = "MergedWithNext",
                                          [SP_TOK_CONTIGUOUS] = "Contiguous" };
const char *const sp_tok_schemes[3] = {
    [SP_TOK_ALWAYS] = "always", [SP_TOK_FIRST] = "first", [SP_TOK_NEVER] = "never"
};

struct cutter {
    struct sp_tokenizer *t;
    int step;
    const char *s;
    bool first;
    struct sp_ids *out;
    enum sp_tok_behavior behavior;
    size_t begin, end; /* the piece held back             */
    bool held, held_match;
};

/* A piece of step i goes on to the next one; a ByteLevel step may spell its bytes as characters first. */
static enum sp_status next(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                           struct sp_err *err)
{
    if (t->pre[i].kind != SP_TOK_BYTE_LEVEL || !t->pre[i].spells)
        return sp_tok_pieces(t, i + 1, s, n, first, out, err);
    struct sp_text copy = { .max = (size_t)SP_TOK_INPUT_MAX * 4 };
    sp_tok_map_bytes(&copy, s, n);
    enum sp_status st = copy.full ? sp_tok_nomem(err) : sp_tok_pieces(t, i + 1, copy.at, copy.n, first, out, err);
    sp_text_clear(&copy);
    return st;
}

static enum sp_status give(struct cutter *c, size_t begin, size_t end, struct sp_err *err)
{
    if (begin == end)
        return SP_OK;
    return next(c->t, c->step, c->s + begin, end - begin, c->first && begin == 0, c->out, err);
}

static enum sp_status flush(struct cutter *c, struct sp_err *err)
{
    bool held = c->held;
    c->held = false;
    return held ? give(c, c->begin, c->end, err) : SP_OK;
}

/* Whether the span joins the piece held back. */
static bool joins(const struct cutter *c, bool match)
{
    if (!c->held)
        return false;
    switch (c->behavior) {
    case SP_TOK_WITH_PREVIOUS:
        return match && !c->held_match;
    case SP_TOK_WITH_NEXT:
        return !match && c->held_match;
    case SP_TOK_CONTIGUOUS:
        return match == c->held_match;
    default:
        return false;
    }
}

static enum sp_status span(struct cutter *c, size_t begin, size_t end, bool match, struct sp_err *err)
{
    if (begin == end) /* an empty match cuts */
        return flush(c, err);
    if (match && c->behavior == SP_TOK_REMOVED)
        return flush(c, err);
    if (joins(c, match)) {
        c->end = end;
        c->held_match = match;
        return SP_OK;
    }
    TRY(flush(c, err));
    c->begin = begin;
    c->end = end;
    c->held_match = match;
    c->held = true;
    return SP_OK;
}

static enum sp_status cut(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                          struct sp_err *err)
{
    const struct sp_tok_pre *p = &t->pre[i];
    struct cutter c = { .t = t, .step = i, .s = s, .first = first, .out = out, .behavior = p->behavior };
    for (size_t at = 0, last = SIZE_MAX, begin, end; at < n; at = last = end) {
        TRY(sp_tok_pattern_next(&p->pattern, s, n, at, last, &begin, &end, err));
        if (begin > at)
            TRY(span(&c, at, begin, p->invert, err));
        if (begin < n)
            TRY(span(&c, begin, end, !p->invert, err));
    }
    return flush(&c, err);
}

/* Steps that look at one character at a time: whether it is one to cut at. */
static bool cuts_at(const struct sp_tok_pre *p, enum sp_tok_class class, int32_t code)
{
    return p->kind == SP_TOK_DIGITS        ? class == SP_TOK_NUMBER
           : p->kind == SP_TOK_PUNCTUATION ? sp_tok_is_punctuation(code)
                                           : class == SP_TOK_SPACE;
}

static enum sp_status cut_characters(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first,
                                     struct sp_ids *out, struct sp_err *err)
{
    const struct sp_tok_pre *p = &t->pre[i];
    struct cutter c = { .t = t, .step = i, .s = s, .first = first, .out = out, .behavior = p->behavior };
    size_t len, from = 0;
    int32_t code;
    for (size_t at = 0; at < n; at += len) {
        enum sp_tok_class class = sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code);
        if (!cuts_at(p, class, code))
            continue;
        if (at > from)
            TRY(span(&c, from, at, false, err));
        TRY(span(&c, at, from = at + len, true, err));
    }
    if (n > from)
        TRY(span(&c, from, n, false, err));
    return flush(&c, err);
}

/* Runs of word characters, and of what is neither these nor space. */
static enum sp_status cut_words(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                                struct sp_err *err)
{
    struct cutter c = { .t = t, .step = i, .s = s, .first = first, .out = out, .behavior = SP_TOK_CONTIGUOUS };
    const unsigned char *u = (const unsigned char *)s;
    size_t len;
    int32_t code;
    for (size_t at = 0; at < n; at += len) {
        bool space = sp_tok_class_at(u + at, n - at, &len, &code) == SP_TOK_SPACE;
        TRY(space ? flush(&c, err) : span(&c, at, at + len, sp_tok_is_word(u + at, n - at), err));
    }
    return flush(&c, err);
}

static enum sp_status cut_lengths(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first,
                                  struct sp_ids *out, struct sp_err *err)
{
    struct cutter c = { .t = t, .step = i, .s = s, .first = first, .out = out };
    size_t from = 0, len;
    int64_t chars = 0;
    int32_t code;
    for (size_t at = 0; at < n; at += len) {
        if (chars++ == t->pre[i].length) {
            TRY(give(&c, from, at, err));
            from = at;
            chars = 1;
        }
        sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code);
    }
    return give(&c, from, n, err);
}

/* The copy that step i works on.  It may hold the copy of no other piece: steps below have their own. */
static struct sp_text *fresh(struct sp_tokenizer *t, int i)
{
    struct sp_text *copy = &t->scratch.piece[i];
    copy->max = (size_t)SP_TOK_INPUT_MAX * 4;
    copy->n = 0;
    return copy;
}

static enum sp_status metaspace(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                                struct sp_err *err)
{
    const struct sp_tok_pre *p = &t->pre[i];
    struct sp_text *copy = fresh(t, i);
    size_t k = strlen(p->replacement);
    bool marked = *s == ' ' || (n >= k && memcmp(s, p->replacement, k) == 0);
    if (!marked && (p->scheme == SP_TOK_ALWAYS || (p->scheme == SP_TOK_FIRST && first)))
        sp_text_add(copy, p->replacement, k);
    for (const char *end = s + n; s < end;) {
        const char *hit = memchr(s, ' ', (size_t)(end - s));
        sp_text_add(copy, s, (size_t)((hit ? hit : end) - s));
        if (hit)
            sp_text_add(copy, p->replacement, k);
        s = hit ? hit + 1 : end;
    }
    if (copy->full)
        return sp_tok_nomem(err);
    return p->split ? cut(t, i, copy->at, copy->n, first, out, err) : next(t, i, copy->at, copy->n, first, out, err);
}

static enum sp_status byte_level(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                                 struct sp_err *err)
{
    const struct sp_tok_pre *p = &t->pre[i];
    if (p->prefix_space && *s != ' ') {
        struct sp_text *copy = fresh(t, i);
        sp_text_add(copy, " ", 1);
        sp_text_add(copy, s, n);
        if (copy->full)
            return sp_tok_nomem(err);
        s = copy->at;
        n = copy->n;
    }
    return p->use_regex ? cut(t, i, s, n, first, out, err) : next(t, i, s, n, first, out, err);
}

/* The model: without pre-tokenizer the whole text is one word; where no token crosses
 * the border before a U+2581, cutting there gives the same tokens and uses the cache. */
static enum sp_status words(struct sp_tokenizer *t, const char *s, size_t n, struct sp_ids *out, struct sp_err *err)
{
    static const char mark[] = "\xe2\x96\x81";
    size_t at = 0;
    while (t->splits_at_mark && at < n) {
        size_t k = at;
        while (k + 3 <= n && memcmp(s + k, mark, 3) == 0)
            k += 3;
        const char *hit = memmem(s + k, n - k, mark, 3);
        size_t end = hit ? (size_t)(hit - s) : n;
        TRY(sp_tok_word(t, s + at, end - at, out, err));
        at = end;
    }
    return sp_tok_word(t, s + at, n - at, out, err);
}

enum sp_status sp_tok_pieces(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                             struct sp_err *err)
{
    if (!n)
        return SP_OK;
    if (i == t->n_pre)
        return words(t, s, n, out, err);
    switch (t->pre[i].kind) {
    case SP_TOK_SPLIT:
        return cut(t, i, s, n, first, out, err);
    case SP_TOK_METASPACE:
        return metaspace(t, i, s, n, first, out, err);
    case SP_TOK_WHITESPACE:
        return cut_words(t, i, s, n, first, out, err);
    case SP_TOK_LENGTH:
        return cut_lengths(t, i, s, n, first, out, err);
    case SP_TOK_BYTE_LEVEL:
        return byte_level(t, i, s, n, first, out, err);
    default:
        return cut_characters(t, i, s, n, first, out, err);
    }
}
