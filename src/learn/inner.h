/* learn/inner.h - what the files of learn share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LEARN_INNER_H
#define SP_LEARN_INNER_H
#include "learn.h"

/* ranks.c: several processes as one.  All of it does nothing where there is no link. */
enum { SP_RANKS_NAME = 512 };       /* of a state entry, at most */
struct ranks {
    struct sp_link *link;
    struct sp_live *live;
    const struct sp_state_entry **all; /* [n_all]: every parameter */
    struct sp_link_array *grad, *param; /* [n]: of those that are trained */
    int n_all, n;
};
enum sp_status ranks_open(struct ranks *r, struct sp_link *link, struct sp_live *live, struct sp_err *err);
void ranks_close(struct ranks *r);
/* All ranks have read the same text and recipe. */
enum sp_status ranks_check(const struct ranks *r, const struct sp_learn *l, struct sp_err *err);
/* The first rank's weights to all. */
enum sp_status ranks_begin(struct ranks *r, struct sp_err *err);
/* Between the last micro-step and the update: each rank's share of the gradients is their sum, the rest zero, and the
 * update knows the sum of squares of all. */
enum sp_status ranks_reduce(struct ranks *r, struct sp_err *err);
/* After the update: every rank has all new weights. */
enum sp_status ranks_spread(struct ranks *r, struct sp_err *err);

/* moments.c: whole moments on the first rank, one at a time, in the memory of their gradient (zero between updates).
 * name: "m/NAME" or "v/NAME"; the memory is cleared by the next call and by moments_done.  The first rank calls, the
 * others serve until it is done. */
struct moments { struct sp_link *link; struct sp_live *live; const struct sp_state_entry *used; };
enum sp_status moments_collect(void *moments, const char *name, const void **at, struct sp_err *err);
enum sp_status moments_deal(struct moments *m, const char *name, const struct sp_tensor *from, struct sp_err *err);
enum sp_status moments_done(struct moments *m, struct sp_err *err);
enum sp_status moments_serve(struct moments *m, struct sp_err *err);
#endif
