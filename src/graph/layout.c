/* graph/layout.c - offsets by liveness.
 *
 * Two greedy orders are tried and the smaller arena is taken: by size, largest
 * first (best for most graphs, quadratic, so only up to BY_SIZE_MAX buffers),
 * and by time with best fit, as an allocator would.
 * SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, BY_SIZE_MAX = 6000 };

struct gap { int64_t at, bytes; };

static int by_size(const void *a, const void *b)
{
    const struct sp_span *x = *(const struct sp_span *const *)a, *y = *(const struct sp_span *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->from != y->from ? (x->from < y->from ? -1 : 1) : (x < y ? -1 : x > y);
}

static int by_offset(const struct sp_span *a, const struct sp_span *b)
{
    return a->at < b->at;
}

/* placed[] is kept sorted by offset; a span goes into the first hole among those alive with it. */
static int64_t place_by_size(struct sp_span **order, int n, struct sp_span **placed)
{
    int64_t end = 0;
    for (int k = 0; k < n; k++) {
        struct sp_span *s = order[k];
        int64_t at = 0;
        for (int i = 0; i < k; i++) {
            const struct sp_span *p = placed[i];
            if (p->to < s->from || p->from > s->to)
                continue;
            if (p->at - at >= s->bytes)
                break;
            if (p->at + p->bytes > at)
                at = p->at + p->bytes;
        }
        s->at = at;
        end = at + s->bytes > end ? at + s->bytes : end;
        int i = k;
        for (; i > 0 && by_offset(s, placed[i - 1]); i--)
            placed[i] = placed[i - 1];
        placed[i] = s;
    }
    return end;
}

struct pool { struct gap *gap; int n; int64_t end; };

static void give_back(struct pool *p, int64_t at, int64_t bytes)
{
    int i = 0;
    while (i < p->n && p->gap[i].at < at)
        i++;
    bool left = i > 0 && p->gap[i - 1].at + p->gap[i - 1].bytes == at;
    bool right = i < p->n && at + bytes == p->gap[i].at;
    if (left && right) {
        p->gap[i - 1].bytes += bytes + p->gap[i].bytes;
        memmove(&p->gap[i], &p->gap[i + 1], (size_t)(--p->n - i) * sizeof *p->gap);
    } else if (left) {
        p->gap[i - 1].bytes += bytes;
    } else if (right) {
        p->gap[i].at = at;
        p->gap[i].bytes += bytes;
    } else {
        memmove(&p->gap[i + 1], &p->gap[i], (size_t)(p->n++ - i) * sizeof *p->gap);
        p->gap[i] = (struct gap){ at, bytes };
    }
}

static int64_t take(struct pool *p, int64_t bytes)
{
    int best = -1;
    for (int i = 0; i < p->n; i++)
        if (p->gap[i].bytes >= bytes && (best < 0 || p->gap[i].bytes < p->gap[best].bytes))
            best = i;
    if (best < 0) {
        int64_t at = p->end;
        if (p->n && p->gap[p->n - 1].at + p->gap[p->n - 1].bytes == p->end)
            at = p->gap[--p->n].at;
        p->end = at + bytes;
        return at;
    }
    int64_t at = p->gap[best].at;
    p->gap[best].at += bytes;
    p->gap[best].bytes -= bytes;
    if (!p->gap[best].bytes)
        memmove(&p->gap[best], &p->gap[best + 1], (size_t)(--p->n - best) * sizeof *p->gap);
    return at;
}

/* head[t] chains the spans that begin (or end) at step t. */
static int64_t place_by_time(struct sp_span *span, int n, int n_steps, int32_t *begin, int32_t *finish, int32_t *next_b,
                             int32_t *next_f, struct gap *gap, int64_t *at)
{
    struct pool p = { .gap = gap };
    for (int t = 0; t < n_steps; t++)
        begin[t] = finish[t] = -1;
    for (int i = n - 1; i >= 0; i--) {
        next_b[i] = begin[span[i].from];
        begin[span[i].from] = i;
        next_f[i] = finish[span[i].to];
        finish[span[i].to] = i;
    }
    for (int t = 0; t < n_steps; t++) {
        for (int i = begin[t]; i >= 0; i = next_b[i])
            at[i] = span[i].bytes ? take(&p, span[i].bytes) : 0;
        for (int i = finish[t]; i >= 0; i = next_f[i])
            if (span[i].bytes)
                give_back(&p, at[i], span[i].bytes);
    }
    return p.end;
}

static int64_t most_alive(const struct sp_span *span, int n, int n_steps, int64_t *delta)
{
    int64_t now = 0, most = 0;
    memset(delta, 0, (size_t)(n_steps + 1) * sizeof *delta);
    for (int i = 0; i < n; i++) {
        delta[span[i].from] += span[i].bytes;
        delta[span[i].to + 1] -= span[i].bytes;
    }
    for (int t = 0; t < n_steps; t++) {
        now += delta[t];
        most = now > most ? now : most;
    }
    return most;
}

enum sp_status sp_layout(struct sp_span *span, int n, int n_steps, int64_t *arena_bytes, int64_t *live_bytes, struct sp_err *err)
{
    size_t un = (size_t)n + 1, steps = (size_t)n_steps + 2;
    int64_t *at = sp_alloc((un + steps) * sizeof *at);
    int32_t *chain = sp_alloc(2 * (un + steps) * sizeof *chain);
    struct gap *gap = sp_alloc((un + 1) * sizeof *gap);
    struct sp_span **order = sp_alloc(2 * un * sizeof *order);
    enum sp_status st = SP_OK;
    if (!at || !chain || !gap || !order) {
        st = sp_fail(err, SP_NOMEM, "no memory to lay out %d buffers", n);
        goto done;
    }
    for (int i = 0; i < n; i++) {
        span[i].bytes = (span[i].bytes + ALIGN - 1) / ALIGN * ALIGN;
        order[i] = &span[i];
    }
    *live_bytes = most_alive(span, n, n_steps, at + un);
    *arena_bytes = place_by_time(span, n, n_steps, chain, chain + steps, chain + 2 * steps, chain + 2 * steps + un, gap, at);
    if (*arena_bytes > *live_bytes && n <= BY_SIZE_MAX) {
        qsort(order, (size_t)n, sizeof *order, by_size);
        int64_t end = place_by_size(order, n, order + un);
        if (end < *arena_bytes) {
            *arena_bytes = end;
            goto done;
        }
    }
    for (int i = 0; i < n; i++)
        span[i].at = at[i];
done:
    sp_free(at);
    sp_free(chain);
    sp_free(gap);
    sp_free(order);
    return st;
}
