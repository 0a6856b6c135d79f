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
