/* link/link.h - several processes that train as one.  [door of link]
 *
 * Who was started by mpirun has a rank and peers, everybody else is alone: a link
 * that is NULL, with which every call here succeeds and does nothing.  So whoever
 * trains asks the link and never whether there is one.
 *
 * Open MPI is loaded when a link is opened under mpirun and at no other time; its
 * stable C interface is declared in mpi.c, so that building needs no header of it.
 * Only sending, receiving and asking are used: sums are made here, in the order of
 * ranks, and so are the same bits on every rank; a rank that waits looks whether
 * the others are still there, and sleeps when it takes long.
 *
 * All ranks call the same functions in the same order.  After a failure other than
 * one agreed on the link is broken: every later call fails at once.
 *
 * It doesn't: recover from a lost rank (the run ends, its checkpoint stays), or
 * start processes (mpirun does).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LINK_H
#define SP_LINK_H
#include "../base/base.h"

struct sp_link;
/* *out NULL: alone.  Under mpirun all ranks must call it; fails where Open MPI can't be loaded. */
enum sp_status sp_link_open(struct sp_link **out, struct sp_err *err);
/* All ranks together, unless the link is broken.  NULL: nothing. */
void sp_link_close(struct sp_link *l);

int sp_link_rank(const struct sp_link *l);      /* 0 alone */
int sp_link_ranks(const struct sp_link *l);     /* 1 alone */
int sp_link_here(const struct sp_link *l);      /* ranks on this machine */
int sp_link_machines(const struct sp_link *l);
/* Of all ranks one speaks to the user: the first, or the first that is left. */
bool sp_link_speaks(const struct sp_link *l);
bool sp_link_broken(const struct sp_link *l);
/* Bytes a second, both ways at once, between neighbours, from a short exchange; 0 alone. */
enum sp_status sp_link_rate(struct sp_link *l, double *bytes_per_s, struct sp_err *err);

/* ---- few numbers ---- */
enum { SP_LINK_SUM_MAX = 64 };
/* v[i] becomes its sum over all ranks; n <= SP_LINK_SUM_MAX. */
enum sp_status sp_link_sum(struct sp_link *l, double *v, int n, struct sp_err *err);
/* If any rank failed, all fail with the sentence of the first that did; else SP_OK. */
enum sp_status sp_link_agree(struct sp_link *l, enum sp_status st, struct sp_err *err);
/* Fails on all ranks, naming what, unless all bring the same value. */
enum sp_status sp_link_same(struct sp_link *l, uint64_t value, const char *what, struct sp_err *err);

/* ---- many numbers ----
 * Rank r owns the sp_share_of(n, r, ranks) of every array.  Nothing here allocates. */
struct sp_link_array { float *at; int64_t n; };
/* Each rank's own share becomes the sum over all ranks; the rest stays as it was. */
enum sp_status sp_link_reduce(struct sp_link *l, const struct sp_link_array *a, int n, struct sp_err *err);
/* Each rank's own share goes to all others. */
enum sp_status sp_link_spread(struct sp_link *l, const struct sp_link_array *a, int n, struct sp_err *err);
/* All shares of one array into `whole` on the first rank; part: one's own share. */
enum sp_status sp_link_collect(struct sp_link *l, float *whole, const float *part, int64_t n, struct sp_err *err);
/* The reverse. */
enum sp_status sp_link_deal(struct sp_link *l, const float *whole, float *part, int64_t n, struct sp_err *err);
/* From the first rank to all. */
enum sp_status sp_link_copy(struct sp_link *l, void *at, size_t bytes, struct sp_err *err);
#endif
