/* text/split.c - pre-tokenizers: a text is cut step by step, each piece going through
 * the remaining steps at once, so no list of pieces is ever held.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE 1 /* memmem */
#include <string.h>
#include "inner.h"

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

static enum sp_status give(struct cutter *c, size_t begin, size_t end, struct sp_err *err)
{
    if (begin == end)
        return SP_OK;
    return sp_tok_pieces(c->t, c->step + 1, c->s + begin, end - begin, c->first && begin == 0, c->out, err);
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
    if (begin == end || (match && c->behavior == SP_TOK_REMOVED))
        return SP_OK;
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
    for (size_t at = 0, begin, end; at < n; at = end) {
        TRY(sp_tok_pattern_next(&p->pattern, s, n, at, &begin, &end, err));
        TRY(span(&c, at, begin, p->invert, err));
        TRY(span(&c, begin, end, !p->invert, err));
    }
    return flush(&c, err);
}

/* Digits: characters of class N, one by one or as runs. */
static enum sp_status cut_digits(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                                 struct sp_err *err)
{
    struct cutter c = { .t = t, .step = i, .s = s, .first = first, .out = out, .behavior = SP_TOK_CONTIGUOUS };
    size_t len;
    int32_t code;
    for (size_t at = 0; at < n; at += len) {
        bool digit = sp_tok_class_at((const unsigned char *)s + at, n - at, &len, &code) == SP_TOK_NUMBER;
        if (digit && t->pre[i].individual)
            TRY(flush(&c, err));
        TRY(span(&c, at, at + len, digit, err));
    }
    return flush(&c, err);
}

/* A copy of s with `front` before it and every space as `mark` (NULL: kept), then `next`. */
static enum sp_status with_copy(struct sp_tokenizer *t, int i, const char *s, size_t n, const char *front,
                                const char *mark, bool cutting, bool first, struct sp_ids *out, struct sp_err *err)
{
    struct sp_text copy = { .max = (size_t)SP_TOK_INPUT_MAX * 4 };
    sp_text_add(&copy, front, strlen(front));
    for (const char *end = s + n; s < end;) {
        const char *hit = mark ? memchr(s, ' ', (size_t)(end - s)) : NULL;
        sp_text_add(&copy, s, (size_t)((hit ? hit : end) - s));
        if (hit)
            sp_text_add(&copy, mark, strlen(mark));
        s = hit ? hit + 1 : end;
    }
    enum sp_status st = copy.full ? sp_tok_nomem(err) : SP_OK;
    if (!st)
        st = cutting ? cut(t, i, copy.at, copy.n, first, out, err)
                     : sp_tok_pieces(t, i + 1, copy.at, copy.n, first, out, err);
    sp_text_clear(&copy);
    return st;
}

static enum sp_status metaspace(struct sp_tokenizer *t, int i, const char *s, size_t n, bool first, struct sp_ids *out,
                                struct sp_err *err)
{
    const struct sp_tok_pre *p = &t->pre[i];
    size_t k = strlen(p->replacement);
    bool marked = n && (*s == ' ' || (n >= k && memcmp(s, p->replacement, k) == 0));
    bool front = !marked && (p->scheme == SP_TOK_ALWAYS || (p->scheme == SP_TOK_FIRST && first));
    return with_copy(t, i, s, n, front ? p->replacement : "", p->replacement, p->split, first, out, err);
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
    if (i == t->n_pre)
        return words(t, s, n, out, err);
    const struct sp_tok_pre *p = &t->pre[i];
    switch (p->kind) {
    case SP_TOK_SPLIT:
        return cut(t, i, s, n, first, out, err);
    case SP_TOK_DIGITS:
        return cut_digits(t, i, s, n, first, out, err);
    case SP_TOK_METASPACE:
        return metaspace(t, i, s, n, first, out, err);
    case SP_TOK_BYTE_LEVEL:
        break;
    }
    if (p->prefix_space && n && *s != ' ')
        return with_copy(t, i, s, n, " ", NULL, p->use_regex, first, out, err);
    return p->use_regex ? cut(t, i, s, n, first, out, err) : sp_tok_pieces(t, i + 1, s, n, first, out, err);
}
