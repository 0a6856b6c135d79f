/* link/link.c - opening, closing, and the few numbers that all ranks tell all others.
 *
 * Everything small goes over the first rank: it hears the others in order and
 * tells all what all have said, so every rank then does the same arithmetic on the
 * same numbers in the same order.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "inner.h"

enum { THREAD_FUNNELED = 1 };                   /* MPI_THREAD_FUNNELED: only the thread that opened calls */
_Static_assert(SP_LINK_SUM_MAX * sizeof(double) <= sizeof(struct link_said), "room for every sum");

int sp_link_rank(const struct sp_link *l)
{
    return l ? l->rank : 0;
}

int sp_link_ranks(const struct sp_link *l)
{
    return l ? l->ranks : 1;
}

int sp_link_here(const struct sp_link *l)
{
    return l ? l->here : 1;
}

int sp_link_machines(const struct sp_link *l)
{
    return l ? l->machines : 1;
}

bool sp_link_broken(const struct sp_link *l)
{
    return l && l->broken;
}

bool sp_link_speaks(const struct sp_link *l)
{
    int first = 0;
    while (l && first < l->rank && l->visible && l->visible[first] && kill((pid_t)l->peer[first].pid, 0) && errno == ESRCH)
        first++;
    return first == sp_link_rank(l);
}

/* ---- all tell all ---- */

/* Afterwards what rank r has brought stands at l->told + r * bytes, on every rank. */
static enum sp_status tell(struct sp_link *l, const void *mine, size_t bytes, struct sp_err *err)
{
    void *request;
    if (l->rank) {
        TRY(link_send(l, 0, mine, bytes, &request, err));
        TRY(link_finish(l, &request, err));
        TRY(link_receive(l, 0, l->told, bytes * (size_t)l->ranks, &request, err));
        return link_finish(l, &request, err);
    }
    memcpy(l->told, mine, bytes);
    for (int r = 1; r < l->ranks; r++) {
        TRY(link_receive(l, r, l->told + (size_t)r * bytes, bytes, &request, err));
        TRY(link_finish(l, &request, err));
    }
    for (int r = 1; r < l->ranks; r++) {
        TRY(link_send(l, r, l->told, bytes * (size_t)l->ranks, &request, err));
        TRY(link_finish(l, &request, err));
    }
    return SP_OK;
}

enum sp_status sp_link_sum(struct sp_link *l, double *v, int n, struct sp_err *err)
{
    if (!l)
        return SP_OK;
    TRY(tell(l, v, (size_t)n * sizeof *v, err));
    for (int i = 0; i < n; i++) {
        v[i] = 0;
        for (int r = 0; r < l->ranks; r++) {
            double x;
            memcpy(&x, l->told + ((size_t)r * (size_t)n + (size_t)i) * sizeof x, sizeof x);
            v[i] += x;
        }
    }
    return SP_OK;
}

enum sp_status sp_link_agree(struct sp_link *l, enum sp_status st, struct sp_err *err)
{
    struct link_said mine = { .status = (int32_t)st };
    if (!l || l->broken)
        return st;
    if (st)
        mine.err = *err;
    TRY(tell(l, &mine, sizeof mine, err));
    for (int r = 0; r < l->ranks; r++) {
        struct link_said said;
        memcpy(&said, l->told + (size_t)r * sizeof said, sizeof said);
        if (!said.status)
            continue;
        *err = said.err;
        if (r && r != l->rank && !err->where[0])
            sp_where(err, "rank %d on %s", r, l->peer[r].host);
        return (enum sp_status)said.status;
    }
    return SP_OK;
}

enum sp_status sp_link_same(struct sp_link *l, uint64_t value, const char *what, struct sp_err *err)
{
    if (!l)
        return SP_OK;
    TRY(tell(l, &value, sizeof value, err));
    for (int r = 1; r < l->ranks; r++)
        if (memcmp(l->told, l->told + (size_t)r * sizeof value, sizeof value)) {
            sp_fail(err, SP_USAGE, "rank %d on %s has another %s than rank 0 on %s", r, l->peer[r].host, what, l->peer[0].host);
            return sp_remedy(err, "all ranks need the same command line and the same files");
        }
    return SP_OK;
}

/* ---- opening and closing ---- */

static enum sp_status meet(struct sp_link *l, struct sp_err *err)
{
    struct link_peer me = { .pid = getpid() };
    if (gethostname(me.host, sizeof me.host - 1))
        snprintf(me.host, sizeof me.host, "this machine");
    TRY(tell(l, &me, sizeof me, err));
    memcpy(l->peer, l->told, (size_t)l->ranks * sizeof me);
    for (int r = 0; r < l->ranks; r++) {
        bool known = false, here = !strcmp(l->peer[r].host, me.host);
        for (int p = 0; p < r; p++)
            known |= !strcmp(l->peer[p].host, l->peer[r].host);
        l->machines += !known;
        l->here += here;
        l->visible[r] = here && !kill((pid_t)l->peer[r].pid, 0); /* not from another container */
    }
    return SP_OK;
}

static enum sp_status start(struct sp_link *l, struct sp_err *err)
{
    int given = 0;
    TRY(link_load(&l->mpi, err));
    if (l->mpi.init(NULL, NULL, THREAD_FUNNELED, &given) || l->mpi.handler(l->mpi.world, l->mpi.errors_return) ||
        l->mpi.rank(l->mpi.world, &l->rank) || l->mpi.size(l->mpi.world, &l->ranks))
        return sp_fail(err, SP_IO, "Open MPI could not start");
    if (l->ranks > LINK_RANKS_MAX)
        return sp_fail(err, SP_LIMIT, "%d ranks: at most %d can train together", l->ranks, LINK_RANKS_MAX);
    size_t n = (size_t)l->ranks;
    l->peer = sp_zalloc(n, sizeof *l->peer);
    l->visible = sp_zalloc(n, sizeof *l->visible);
    l->told = sp_zalloc(n, sizeof(struct link_said));
    l->room = sp_alloc((size_t)LINK_SLOTS * LINK_CHUNK * sizeof *l->room);
    if (!l->peer || !l->visible || !l->told || !l->room)
        return sp_fail(err, SP_NOMEM, "no memory for a link of %d ranks", l->ranks);
    return meet(l, err);
}

static void let_go(struct sp_link *l)
{
    sp_free(l->peer);
    sp_free(l->visible);
    sp_free(l->told);
    sp_free(l->room);
    sp_free(l);
}

enum sp_status sp_link_open(struct sp_link **out, struct sp_err *err)
{
    *out = NULL;
    if (!link_is_wanted())
        return SP_OK;
    struct sp_link *l = sp_zalloc(1, sizeof *l);
    if (!l)
        return sp_fail(err, SP_NOMEM, "no memory for a link");
    l->lost = -1;
    enum sp_status st = start(l, err);
    if (!st && l->ranks > 1) {
        *out = l;
        return SP_OK;
    }
    if (!st)
        l->mpi.finalize();
    let_go(l);
    return st;
}

/* Of a broken link nothing is closed: mpirun ends whoever is left.  The silent ones stay a moment, lest they be taken
 * for the one that was lost. */
void sp_link_close(struct sp_link *l)
{
    if (!l)
        return;
    if (!l->broken)
        l->mpi.finalize();
    else if (!sp_link_speaks(l))
        nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);
    let_go(l);
}
