/* base/pool.c - a small pool of threads that runs numbered tasks.
 *
 * One word holds the whole protocol: [generation | open | workers inside].  The
 * caller publishes a job and opens it; a worker enters by raising the count while
 * the job is open, takes task numbers from one counter, and leaves.  The caller
 * works too, closes the job when no number is left, and waits for those inside
 * only.  So a worker that sleeps, or was put aside by the system for another
 * process, is never waited for unless it holds a task.  It knows no task
 * dependencies and no stealing: a program is a straight line of steps.
 *
 * Where one side writes a flag and then reads the other's, the write is an
 * exchange: emulators of Arm let a load overtake a sequentially consistent store.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include "base.h"
#include "cpus.h"

enum {
    SPIN_MAX = 2000, /* looks at the word before going to sleep: some 20 to 80 us */
};

static const uint64_t OPEN = (uint64_t)1 << 16;
static const uint64_t INSIDE = ((uint64_t)1 << 16) - 1;
static const uint64_t GENERATION = (uint64_t)1 << 17;

struct worker {
    struct sp_pool *pool;
    pthread_t id;
    int thread;
};

struct sp_pool {
    _Alignas(64) _Atomic uint64_t word;
    _Alignas(64) _Atomic int64_t next; /* the next task's number */
    _Alignas(64) _Atomic int sleepers; /* workers that need a signal */
    _Atomic bool waiting, stop;
    sp_task_fn *fn; /* fn, arg, n: written by the caller while closed and empty */
    void *arg;
    int64_t n;
    int n_workers, spin;
    pthread_mutex_t turn, lock;
    pthread_cond_t begin, end;
    struct worker worker[SP_THREADS_MAX];
};

static _Thread_local struct {
    const struct sp_pool *pool; /* whose task this thread is in */
    int thread;
} current;

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

static void work(struct sp_pool *p, int thread)
{
    const __typeof__(current) before = current;
    current.pool = p;
    current.thread = thread;
    for (int64_t i; (i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed)) < p->n;)
        p->fn(p->arg, i, thread);
    current = before;
}

/* ---- workers ---- */

static bool is_new(struct sp_pool *p, uint64_t word, uint64_t seen)
{
    return (word & OPEN && word / GENERATION != seen) || atomic_load(&p->stop);
}

/* Waits until a job other than `seen` is open; returns the word. */
static uint64_t await_job(struct sp_pool *p, uint64_t seen)
{
    uint64_t word = 0;
    for (int i = 0; i < p->spin; i++) {
        word = atomic_load(&p->word);
        if (is_new(p, word, seen))
            return word;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!is_new(p, word = atomic_load(&p->word), seen))
        pthread_cond_wait(&p->begin, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return word;
}

static void leave(struct sp_pool *p)
{
    uint64_t word = atomic_fetch_sub(&p->word, 1) - 1;
    if (word & (OPEN | INSIDE) || !atomic_load(&p->waiting))
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_signal(&p->end);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct sp_pool *p = w->pool;
    uint64_t seen = 0;
    while (!atomic_load(&p->stop)) {
        uint64_t word = await_job(p, seen);
        if (!(word & OPEN) || word / GENERATION == seen)
            continue;
        if (!atomic_compare_exchange_strong(&p->word, &word, word + 1))
            continue;
        seen = word / GENERATION;
        work(p, w->thread);
        leave(p);
    }
    return NULL;
}

/* ---- the caller ---- */

static void publish(struct sp_pool *p, sp_task_fn *fn, void *arg, int64_t n)
{
    p->fn = fn;
    p->arg = arg;
    p->n = n;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed);
    uint64_t word = atomic_load(&p->word);
    atomic_exchange(&p->word, (word / GENERATION + 1) * GENERATION | OPEN);
    int asleep = atomic_load(&p->sleepers);
    if (!asleep)
        return;
    pthread_mutex_lock(&p->lock);
    if (n > asleep)
        pthread_cond_broadcast(&p->begin);
    else
        for (int64_t i = 1; i < n; i++)
            pthread_cond_signal(&p->begin);
    pthread_mutex_unlock(&p->lock);
}

static void close_and_wait(struct sp_pool *p)
{
    atomic_fetch_and(&p->word, ~OPEN);
    for (int i = 0; i < p->spin; i++) {
        if (!(atomic_load(&p->word) & INSIDE))
            return;
        relax();
    }
    pthread_mutex_lock(&p->lock);
    atomic_exchange(&p->waiting, true);
    while (atomic_load(&p->word) & INSIDE)
        pthread_cond_wait(&p->end, &p->lock);
    atomic_store(&p->waiting, false);
    pthread_mutex_unlock(&p->lock);
}

void sp_pool_run(struct sp_pool *p, sp_task_fn *fn, void *arg, int64_t n)
{
    bool nested = p && current.pool == p;
    if (!p || nested || p->n_workers == 0 || n <= 1) {
        for (int64_t i = 0; i < n; i++)
            fn(arg, i, nested ? current.thread : 0);
        return;
    }
    pthread_mutex_lock(&p->turn);
    publish(p, fn, arg, n);
    work(p, 0);
    close_and_wait(p);
    pthread_mutex_unlock(&p->turn);
}

int sp_pool_threads(const struct sp_pool *p)
{
    return p ? p->n_workers + 1 : 1;
}

/* ---- life ---- */

/* Signals for the process go to the threads the user started; faults stay here. */
static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

/* Fewer threads than wanted only make it slower: the result is the same. */
static void start_workers(struct sp_pool *p, int threads)
{
    sigset_t before;
    block_signals(&before);
    for (int i = 0; i < threads - 1; i++) {
        struct worker *w = &p->worker[i];
        *w = (struct worker){ .pool = p, .thread = i + 1 };
        int e = pthread_create(&w->id, NULL, worker_main, w);
        if (e) {
            sp_log(SP_LOG_WARN, "only %d of %d threads could be started: %s", i + 1, threads, strerror(e));
            break;
        }
        p->n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum sp_status sp_pool_new(struct sp_pool **out, int threads, struct sp_err *err)
{
    if (threads < 0 || threads > SP_THREADS_MAX)
        return sp_fail(err, SP_USAGE, "%d threads: wanted 1 to %d, or 0 for all", threads, SP_THREADS_MAX);
    int usable = sp_cpus_usable();
    usable = usable > SP_THREADS_MAX ? SP_THREADS_MAX : usable;
    threads = threads ? threads : usable;
    struct sp_pool *p = sp_zalloc(1, sizeof *p);
    if (!p)
        return sp_fail(err, SP_NOMEM, "out of memory for a pool of %d threads", threads);
    p->spin = threads > usable ? 0 : SPIN_MAX; /* more threads than processors: spinning only steals */
    pthread_mutex_init(&p->turn, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    start_workers(p, threads);
    *out = p;
    return SP_OK;
}

void sp_pool_free(struct sp_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_workers; i++)
        pthread_join(p->worker[i].id, NULL);
    pthread_cond_destroy(&p->begin);
    pthread_cond_destroy(&p->end);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->turn);
    sp_free(p);
}
