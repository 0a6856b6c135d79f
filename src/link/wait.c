/* link/wait.c - one message, and waiting for it without hanging on the dead.
 *
 * Spinning gives the shortest wait, but takes a processor from whoever computes:
 * it is bounded, then the processor is offered to others, then the process sleeps.
 *
 * Ranks on this machine are looked at by their process number.  Those elsewhere
 * can't be: mpirun notices their end and sends all the others a SIGTERM, which
 * a user's interrupt does too, so it is only reported.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "inner.h"

enum { TAG = 1, SPIN_TURNS = 64, NAP_NS = 50000 };
static const double NAP_AFTER_S = 1e-3, LOOK_EVERY_S = 0.02, WARN_AFTER_S = 0.5;

static enum sp_status broken(struct sp_link *l, struct sp_err *err)
{
    l->broken = true;
    if (l->lost >= 0)
        return sp_fail(err, SP_IO, "rank %d of %d is lost: its process %lld on %s has ended", l->lost, l->ranks, (long long)l->peer[l->lost].pid,
                       l->peer[l->lost].host);
    return sp_fail(err, SP_IO, "the connection between the %d ranks is broken", l->ranks);
}

static enum sp_status look(struct sp_link *l, struct link_wait *w, double now, struct sp_err *err)
{
    for (int r = 0; r < l->ranks; r++)
        if (l->visible[r] && kill((pid_t)l->peer[r].pid, 0) && errno == ESRCH) {
            l->lost = r;
            return broken(l, err);
        }
    if (sp_signal_pending() && now - w->began > WARN_AFTER_S && l->machines > 1 && !l->warned) {
        l->warned = true;
        sp_log(SP_LOG_WARN, "told to stop, and waiting for the other ranks; should one on another machine be lost, the last checkpoint stays");
    }
    return SP_OK;
}

enum sp_status link_idle(struct sp_link *l, struct link_wait *w, struct sp_err *err)
{
    if (++w->turns < SPIN_TURNS)
        return SP_OK;
    double now = sp_now();
    if (w->turns == SPIN_TURNS)
        w->began = w->looked = now;
    if (now - w->looked > LOOK_EVERY_S) {
        w->looked = now;
        TRY(look(l, w, now, err));
    }
    if (now - w->began < NAP_AFTER_S)
        sched_yield();
    else
        nanosleep(&(struct timespec){ .tv_nsec = NAP_NS }, NULL);
    return SP_OK;
}

enum sp_status link_send(struct sp_link *l, int to, const void *p, size_t bytes, void **request, struct sp_err *err)
{
    if (l->broken || l->mpi.isend(p, (int)bytes, l->mpi.byte, to, TAG, l->mpi.world, request))
        return broken(l, err);
    return SP_OK;
}

enum sp_status link_receive(struct sp_link *l, int from, void *p, size_t bytes, void **request, struct sp_err *err)
{
    if (l->broken || l->mpi.irecv(p, (int)bytes, l->mpi.byte, from, TAG, l->mpi.world, request))
        return broken(l, err);
    return SP_OK;
}

enum sp_status link_test(struct sp_link *l, void **request, bool *done, struct sp_err *err)
{
    int flag = 0;
    if (l->broken || l->mpi.test(request, &flag, NULL)) /* NULL: MPI_STATUS_IGNORE */
        return broken(l, err);
    *done = flag;
    return SP_OK;
}

enum sp_status link_finish(struct sp_link *l, void **request, struct sp_err *err)
{
    struct link_wait w = { 0 };
    for (bool done = false;;) {
        TRY(link_test(l, request, &done, err));
        if (done)
            return SP_OK;
        TRY(link_idle(l, &w, err));
    }
}
