/* kernel/kernel.c - choosing a row, and running a call's phases and tasks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

const struct sp_kernel_row *sp_kernel_pick(const struct sp_kernel *k, uint32_t features, const void *args)
{
    const struct sp_kernel_row *r = k->rows;
    while (r->needs && ((r->needs & ~features) || (r->fits && !r->fits(args))))
        r++;
    return r;
}

struct call { const struct sp_kernel_row *row; const void *args; int phase; unsigned char *scratch; size_t stride; };

static void one_task(void *arg, int64_t task, int thread)
{
    const struct call *c = arg;
    c->row->fn(c->args, c->phase, task, c->scratch + (size_t)thread * c->stride);
}

void sp_kernel_run(const struct sp_kernel *k, const struct sp_kernel_row *row, const void *args, struct sp_pool *pool, void *scratch,
                   size_t stride)
{
    int64_t (*tasks)(const void *, int) = row->tasks ? row->tasks : k->tasks;
    struct call c = { row, args, 0, scratch, stride };
    const int phases = row->phases ? row->phases : k->phases;
    for (; c.phase < phases; c.phase++)
        sp_pool_run(pool, one_task, &c, tasks(args, c.phase));
}
