/* base/pool.h - threads and random numbers.
 *
 * Work is split by shape into numbered tasks, never by the number of threads:
 * the result is the same for any pool.  Threads spin a bounded while, then sleep.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_POOL_H
#define SP_POOL_H
#include <stdint.h>
#include "base.h"

struct sp_pool;
enum { SP_THREADS_MAX = 256 };
typedef void sp_task_fn(void *arg, int64_t task, int thread);

/* threads: 0 = as many as this process may use. */
enum sp_status sp_pool_new(struct sp_pool **out, int threads, struct sp_err *err);
void sp_pool_free(struct sp_pool *p);
int sp_pool_threads(const struct sp_pool *p);    /* NULL: 1 */
/* Called from a task of the same pool, the tasks run in the calling thread; calls
 * from several threads take turns.
 * Runs fn for task 0..n-1, each once, returns when all are done.  p NULL: in this thread. */
void sp_pool_run(struct sp_pool *p, sp_task_fn *fn, void *arg, int64_t n);

/* The part of n elements that belongs to `rank` of `ranks`: parts of one size but for the last, cut at multiples of
 * SP_SHARE_ALIGN, so that each begins at a cache line.  One rank, or none: all of them. */
enum { SP_SHARE_ALIGN = 16 };
struct sp_share { int64_t from, count; };
static inline struct sp_share sp_share_of(int64_t n, int64_t rank, int64_t ranks)
{
    int64_t cut[2] = { 0, n };
    for (int i = 0; i < 2 && ranks > 1; i++) {
        int64_t at = (n * (rank + i) / ranks + SP_SHARE_ALIGN - 1) / SP_SHARE_ALIGN * SP_SHARE_ALIGN;
        cut[i] = rank + i == ranks || at > n ? n : at;
    }
    return (struct sp_share){ cut[0], cut[1] - cut[0] };
}

/* Counter-based random numbers (Philox4x32-10, Salmon et al. 2011): the value
 * depends on key and counter alone. */
void sp_random_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);
void sp_random_block(uint64_t key, uint64_t counter, uint32_t out[4]);
uint64_t sp_random_key(uint64_t seed, const char *name); /* a key for a named use */
struct sp_random { uint64_t key, counter; uint32_t left[4]; int n_left; };
uint32_t sp_random_u32(struct sp_random *r);
uint64_t sp_random_below(struct sp_random *r, uint64_t n); /* unbiased */
double sp_random_unit(struct sp_random *r);      /* [0,1) */
double sp_random_normal(struct sp_random *r);    /* Box-Muller with own log, sqrt, cos */
#endif
