/* link/share.c - arrays of which every rank owns a share.
 *
 * Reduce and spread go round: in turn s a rank sends to the one s after it and
 * receives from the one s before it, so every link carries each number once and
 * all are busy at once (as in Rabenseifner 2004, pairwise exchange).  Messages are
 * chunks of one array, a few on their way at a time.  What comes in is added in
 * the order of turns: the sum depends on the number of ranks, not on the time.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "inner.h"

enum { COPY_CHUNK = 1 << 26, RATE_FLOATS = 1 << 20, RATE_TIMES = 3 };

/* ---- the chunks of one rank's shares, in order ---- */

struct walk { const struct sp_link_array *a; int n, i; int64_t done; int rank, ranks; };

static bool next(struct walk *w, float **at, int64_t *n)
{
    for (; w->i < w->n; w->i++, w->done = 0) {
        struct sp_share s = sp_share_of(w->a[w->i].n, w->rank, w->ranks);
        if (w->done == s.count)
            continue;
        *n = s.count - w->done < LINK_CHUNK ? s.count - w->done : LINK_CHUNK;
        *at = w->a[w->i].at + s.from + w->done;
        w->done += *n;
        return true;
    }
    return false;
}

/* ---- one turn ---- */

struct slot { void *request; float *to, *room; int64_t n; };
struct ring { struct slot slot[LINK_SLOTS]; int first, used; bool ended; };
struct turn { struct sp_link *l; struct walk out, in; struct ring send, receive; int to, from; bool add; };

static struct slot *free_slot(struct ring *r)
{
    return r->ended || r->used == LINK_SLOTS ? NULL : &r->slot[(r->first + r->used) % LINK_SLOTS];
}

static enum sp_status post(struct turn *t, struct sp_err *err)
{
    struct sp_link *l = t->l;
    for (struct slot *s; (s = free_slot(&t->receive)) != NULL && !(t->receive.ended = !next(&t->in, &s->to, &s->n)); t->receive.used++) {
        s->room = t->add ? l->room + (size_t)(s - t->receive.slot) * LINK_CHUNK : s->to;
        TRY(link_receive(l, t->from, s->room, (size_t)s->n * sizeof(float), &s->request, err));
    }
    for (struct slot *s; (s = free_slot(&t->send)) != NULL && !(t->send.ended = !next(&t->out, &s->to, &s->n)); t->send.used++)
        TRY(link_send(l, t->to, s->to, (size_t)s->n * sizeof(float), &s->request, err));
    return SP_OK;
}

static void add(float *restrict to, const float *restrict from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += from[i];
}

/* Takes the oldest message off the ring when it has arrived. */
static enum sp_status take(struct turn *t, struct ring *r, bool sum, bool *moved, struct sp_err *err)
{
    struct slot *s = &r->slot[r->first];
    bool done = false;
    if (!r->used)
        return SP_OK;
    TRY(link_test(t->l, &s->request, &done, err));
    if (!done)
        return SP_OK;
    if (sum)
        add(s->to, s->room, s->n);
    r->first = (r->first + 1) % LINK_SLOTS;
    r->used--;
    *moved = true;
    return SP_OK;
}

static enum sp_status turn(struct turn *t, struct sp_err *err)
{
    struct link_wait wait = { 0 };
    for (;;) {
        bool moved = false;
        TRY(post(t, err));
        if (!t->send.used && !t->receive.used)
            return SP_OK;
        TRY(take(t, &t->receive, t->add, &moved, err));
        TRY(take(t, &t->send, false, &moved, err));
        if (moved)
            wait = (struct link_wait){ 0 };
        else
            TRY(link_idle(t->l, &wait, err));
    }
}

/* reduce: shares of the receiver go to it; else one's own share goes to all. */
static enum sp_status go_round(struct sp_link *l, const struct sp_link_array *a, int n, bool reduce, struct sp_err *err)
{
    for (int s = 1; s < sp_link_ranks(l); s++) {
        int to = (l->rank + s) % l->ranks, from = (l->rank - s + l->ranks) % l->ranks;
        struct turn t = { .l = l, .to = to, .from = from, .add = reduce };
        t.out = (struct walk){ .a = a, .n = n, .rank = reduce ? to : l->rank, .ranks = l->ranks };
        t.in = (struct walk){ .a = a, .n = n, .rank = reduce ? l->rank : from, .ranks = l->ranks };
        TRY(turn(&t, err));
    }
    return SP_OK;
}

enum sp_status sp_link_reduce(struct sp_link *l, const struct sp_link_array *a, int n, struct sp_err *err)
{
    return go_round(l, a, n, true, err);
}

enum sp_status sp_link_spread(struct sp_link *l, const struct sp_link_array *a, int n, struct sp_err *err)
{
    return go_round(l, a, n, false, err);
}

enum sp_status sp_link_rate(struct sp_link *l, double *bytes_per_s, struct sp_err *err)
{
    *bytes_per_s = 0;
    if (!l)
        return SP_OK;
    struct sp_link_array a = { sp_zalloc(RATE_FLOATS, sizeof(float)), RATE_FLOATS };
    enum sp_status st = sp_link_agree(l, a.at ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to measure the link"), err);
    double seconds = 0;
    for (int i = 0; !st && i <= RATE_TIMES; i++) { /* the first only connects */
        double began = sp_now();
        st = sp_link_spread(l, &a, 1, err);
        seconds += i ? sp_now() - began : 0;
    }
    sp_free(a.at);
    if (!st)
        st = sp_link_sum(l, &seconds, 1, err);
    TRY(st);
    *bytes_per_s = RATE_TIMES * 4.0 * RATE_FLOATS * (l->ranks - 1) / seconds;
    return SP_OK;
}

/* ---- to and from the first rank ---- */

static enum sp_status push(struct sp_link *l, int to, const void *p, size_t bytes, struct sp_err *err)
{
    for (const char *at = p; bytes;) {
        size_t n = bytes < COPY_CHUNK ? bytes : COPY_CHUNK;
        void *request;
        TRY(link_send(l, to, at, n, &request, err));
        TRY(link_finish(l, &request, err));
        at += n;
        bytes -= n;
    }
    return SP_OK;
}

static enum sp_status pull(struct sp_link *l, int from, void *p, size_t bytes, struct sp_err *err)
{
    for (char *at = p; bytes;) {
        size_t n = bytes < COPY_CHUNK ? bytes : COPY_CHUNK;
        void *request;
        TRY(link_receive(l, from, at, n, &request, err));
        TRY(link_finish(l, &request, err));
        at += n;
        bytes -= n;
    }
    return SP_OK;
}

static size_t bytes_of(struct sp_share s)
{
    return (size_t)s.count * sizeof(float);
}

enum sp_status sp_link_collect(struct sp_link *l, float *whole, const float *part, int64_t n, struct sp_err *err)
{
    if (!l)
        return SP_OK;
    struct sp_share mine = sp_share_of(n, l->rank, l->ranks);
    if (l->rank)
        return push(l, 0, part, bytes_of(mine), err);
    if (mine.count)
        memcpy(whole, part, bytes_of(mine));
    for (int r = 1; r < l->ranks; r++) {
        struct sp_share s = sp_share_of(n, r, l->ranks);
        TRY(pull(l, r, whole + s.from, bytes_of(s), err));
    }
    return SP_OK;
}

enum sp_status sp_link_deal(struct sp_link *l, const float *whole, float *part, int64_t n, struct sp_err *err)
{
    if (!l)
        return SP_OK;
    struct sp_share mine = sp_share_of(n, l->rank, l->ranks);
    if (l->rank)
        return pull(l, 0, part, bytes_of(mine), err);
    if (mine.count)
        memcpy(part, whole, bytes_of(mine));
    for (int r = 1; r < l->ranks; r++) {
        struct sp_share s = sp_share_of(n, r, l->ranks);
        TRY(push(l, r, whole + s.from, bytes_of(s), err));
    }
    return SP_OK;
}

enum sp_status sp_link_copy(struct sp_link *l, void *at, size_t bytes, struct sp_err *err)
{
    if (l && l->rank)
        return pull(l, 0, at, bytes, err);
    for (int r = 1; r < sp_link_ranks(l); r++)
        TRY(push(l, r, at, bytes, err));
    return SP_OK;
}
