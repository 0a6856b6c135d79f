/* link/inner.h - what the collective operations stand on.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LINK_INNER_H
#define SP_LINK_INNER_H
#include "link.h"

enum { LINK_HOST = 64, LINK_SLOTS = 4, LINK_CHUNK = 1 << 18 /* floats a message */, LINK_RANKS_MAX = 4096 };

struct link_peer { int64_t pid; char host[LINK_HOST]; };
struct link_said { int32_t status; struct sp_err err; };      /* the largest thing that all ranks tell all others */

/* Open MPI's functions and handles; requests, types and communicators are pointers in its C interface. */
struct link_mpi {
    void *library, *world, *byte, *errors_return;
    int (*init)(int *argc, char ***argv, int wanted, int *given);
    int (*finalize)(void);
    int (*rank)(void *comm, int *out);
    int (*size)(void *comm, int *out);
    int (*handler)(void *comm, void *handler);
    int (*isend)(const void *p, int n, void *type, int to, int tag, void *comm, void **request);
    int (*irecv)(void *p, int n, void *type, int from, int tag, void *comm, void **request);
    int (*test)(void **request, int *done, void *status);
};

struct sp_link {
    struct link_mpi mpi;
    int rank, ranks, here, machines, lost;      /* lost: the first rank found to be gone, or -1 */
    struct link_peer *peer;                     /* [ranks] */
    bool *visible;                              /* [ranks]: its process can be looked at from here */
    bool broken, warned;
    unsigned char *told;                        /* [ranks] of struct link_said */
    float *room;                                /* LINK_SLOTS chunks on their way in */
};

/* mpi.c */
bool link_is_wanted(void);                      /* started by mpirun, with others */
enum sp_status link_load(struct link_mpi *m, struct sp_err *err);

/* wait.c: one message, and waiting for it.  A failure breaks the link. */
struct link_wait { int turns; double began, looked; };
enum sp_status link_send(struct sp_link *l, int to, const void *p, size_t bytes, void **request, struct sp_err *err);
enum sp_status link_receive(struct sp_link *l, int from, void *p, size_t bytes, void **request, struct sp_err *err);
enum sp_status link_test(struct sp_link *l, void **request, bool *done, struct sp_err *err);
/* Called whenever nothing has moved: spins, then yields, then naps; looks whether all are there. */
enum sp_status link_idle(struct sp_link *l, struct link_wait *w, struct sp_err *err);
enum sp_status link_finish(struct sp_link *l, void **request, struct sp_err *err);
#endif
