/* base/pool.c - a small pool: bounded spin, then sleep.
 *
 * A run publishes (fn, arg, n) under a new generation number; threads take task
 * numbers from one counter.  The caller works too.  Spinning is bounded since
 * spinning threads collapse as soon as another process wants the processor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { SPINS = 2000 };

struct sp_pool {
    int threads;
    pthread_t thread[SP_THREADS_MAX];
    pthread_mutex_t lock;
    pthread_cond_t go, done;
    _Atomic uint64_t generation;   /* even numbers; a run makes it one larger */
    _Atomic int busy;              /* helpers still in the current run        */
    _Atomic int64_t next;
    _Atomic bool stop;
    sp_task_fn *fn;
    void *arg;
    int64_t n;
};

struct helper { struct sp_pool *pool; int number; };

static void pause_a_little(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void work(struct sp_pool *p, int thread)
{
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (task >= p->n)
            return;
        p->fn(p->arg, task, thread);
    }
}

static uint64_t wait_for_work(struct sp_pool *p, uint64_t seen)
{
    for (int i = 0; i < SPINS; i++) {
        uint64_t now = atomic_load_explicit(&p->generation, memory_order_acquire);
        if (now != seen)
            return now;
        pause_a_little();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == seen)
        pthread_cond_wait(&p->go, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return atomic_load_explicit(&p->generation, memory_order_acquire);
}

static void *help(void *arg)
{
    struct helper h = *(struct helper *)arg;
    uint64_t seen = 0;
    sp_free(arg);
    for (;;) {
        seen = wait_for_work(h.pool, seen);
        if (atomic_load(&h.pool->stop))
            return NULL;
        work(h.pool, h.number);
        if (atomic_fetch_sub_explicit(&h.pool->busy, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&h.pool->lock);
            pthread_cond_signal(&h.pool->done);
            pthread_mutex_unlock(&h.pool->lock);
        }
    }
}

static int usable_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? 1 : CPU_COUNT(&set);
    return n < 1 ? 1 : n > SP_THREADS_MAX ? SP_THREADS_MAX : n;
}

static void new_generation(struct sp_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
}

/* A machine that refuses more threads gets fewer: the result is the same. */
enum sp_status sp_pool_new(struct sp_pool **out, int threads, struct sp_err *err)
{
    if (threads < 0 || threads > SP_THREADS_MAX)
        return sp_fail(err, SP_USAGE, "%d threads asked for, 1 to %d are possible", threads, SP_THREADS_MAX);
    struct sp_pool *p = sp_zalloc(1, sizeof *p);
    if (!p)
        return sp_fail(err, SP_NOMEM, "no memory for the thread pool");
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    pthread_cond_init(&p->done, NULL);
    int want = threads ? threads : usable_processors();
    for (p->threads = 1; p->threads < want; p->threads++) {
        struct helper *h = sp_alloc(sizeof *h);
        if (!h)
            break;
        *h = (struct helper){ p, p->threads };
        if (pthread_create(&p->thread[p->threads], NULL, help, h)) {
            sp_free(h);
            break;
        }
    }
    *out = p;
    return SP_OK;
}

void sp_pool_free(struct sp_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    new_generation(p);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->go);
    pthread_cond_destroy(&p->done);
    sp_free(p);
}

int sp_pool_threads(const struct sp_pool *p)
{
    return p ? p->threads : 1;
}

static void wait_for_helpers(struct sp_pool *p)
{
    for (int i = 0; i < SPINS; i++) {
        if (!atomic_load_explicit(&p->busy, memory_order_acquire))
            return;
        pause_a_little();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load_explicit(&p->busy, memory_order_acquire))
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void sp_pool_run(struct sp_pool *p, sp_task_fn *fn, void *arg, int64_t n)
{
    if (!p || p->threads == 1 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            fn(arg, i, 0);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    atomic_store_explicit(&p->busy, p->threads - 1, memory_order_relaxed);
    new_generation(p);
    work(p, 0);
    wait_for_helpers(p);
}
