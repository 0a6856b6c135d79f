/* file/map.c - files mapped read-only; one truncated underneath gives a
 * sentence instead of SIGBUS.
 *
 * A guarded stretch notes the range and a place to jump to, in a chain that each
 * thread has for itself (a guard inside a guard protects both files).  A fault
 * outside all of them goes to the handler that was there before.  Pages lent to other memory (sp_map_onto) are watched
 * by a list that all threads share.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

struct guard { const unsigned char *from, *to; sigjmp_buf back; struct guard *outer; };

/* initial-exec: the signal handler must not be the first to touch it. */
static __attribute__((tls_model("initial-exec"))) _Thread_local struct guard *guards;
static struct sp_lent *_Atomic loans;
static pthread_mutex_t loans_lock = PTHREAD_MUTEX_INITIALIZER;
static size_t page;
static struct sigaction before;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A lent page that is gone: zeros take its place. */
static bool mended(uintptr_t at)
{
    for (struct sp_lent *w = atomic_load(&loans); w; w = w->next)
        if (at - (uintptr_t)w->at < w->bytes) {
            atomic_store(&w->lost, true);
            return mmap((void *)(at / page * page), page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED;
        }
    return false;
}

static void on_bus(int number, siginfo_t *info, void *context)
{
    const unsigned char *at = info->si_addr;
    for (struct guard *g = guards; g; g = g->outer)
        if (at >= g->from && at < g->to)
            siglongjmp(g->back, 1);
    if (mended((uintptr_t)at))
        return;
    if (before.sa_flags & SA_SIGINFO && before.sa_sigaction) {
        before.sa_sigaction(number, info, context);
        return;
    }
    if (!(before.sa_flags & SA_SIGINFO) && before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
        return;
    }
    signal(number, SIG_DFL);
    raise(number);
}

static void install(void)
{
    struct sigaction a;
    page = (size_t)sysconf(_SC_PAGESIZE);
    memset(&a, 0, sizeof a);
    a.sa_sigaction = on_bus;
    a.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, &before);
}

static enum sp_status map_fd(struct sp_map *m, int fd, const char *path, struct sp_err *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return sp_fail(err, SP_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return sp_fail(err, SP_IO, "%s is not a regular file", path);
    void *at = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    if (at == MAP_FAILED)
        return sp_fail(err, SP_IO, "%s can't be mapped: %s", path, strerror(errno));
    char *copy = sp_strdup(path);
    if (!copy) {
        if (at)
            munmap(at, (size_t)st.st_size);
        return sp_fail(err, SP_NOMEM, "no memory to map %s", path);
    }
    *m = (struct sp_map){ at, (size_t)st.st_size, copy, fd };
    return SP_OK;
}

enum sp_status sp_map_open(struct sp_map *m, const char *path, struct sp_err *err)
{
    pthread_once(&once, install);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return sp_fail(err, errno == ENOENT ? SP_MISSING : SP_IO, "%s: %s", path, strerror(errno));
    enum sp_status st = map_fd(m, fd, path, err);
    if (st)
        close(fd);
    return st;
}

void sp_map_close(struct sp_map *m)
{
    if (m->at)
        munmap((void *)(uintptr_t)m->at, m->bytes);
    if (m->path)
        close(m->fd);
    sp_free(m->path);
    *m = (struct sp_map){ 0 };
}

void sp_map_forget(const struct sp_map *m, size_t from, size_t n)
{
    size_t first = from / page * page;
    if (m->at && from < m->bytes && n <= m->bytes - from)
        madvise((void *)(uintptr_t)(m->at + first), from + n - first, MADV_DONTNEED);
}

enum sp_status sp_map_guard(const struct sp_map *m, enum sp_status (*fn)(void *arg, struct sp_err *err), void *arg, struct sp_err *err)
{
    struct guard g = { .from = m->at, .to = m->at + (m->bytes + page - 1) / page * page, .outer = guards };
    if (sigsetjmp(g.back, 1)) {
        guards = g.outer;
        sp_fail(err, SP_IO, "%s became shorter while it was read", m->path);
        return sp_remedy(err, "write files under another name and rename them");
    }
    guards = &g;
    enum sp_status st = fn(arg, err);
    guards = g.outer;
    return st;
}

struct copy { const unsigned char *from; void *to; size_t n; };

static enum sp_status do_copy(void *arg, struct sp_err *err)
{
    const struct copy *c = arg;
    (void)err;
    memcpy(c->to, c->from, c->n);
    return SP_OK;
}

enum sp_status sp_map_copy(const struct sp_map *m, size_t from, size_t n, void *to, struct sp_err *err)
{
    if (n > m->bytes || from > m->bytes - n)
        return sp_fail(err, SP_FORMAT, "%s has %zu bytes, %zu from %zu were wanted", m->path, m->bytes, n, from);
    if (!n)
        return SP_OK;
    return sp_map_guard(m, do_copy, &(struct copy){ m->at + from, to, n }, err);
}

/* ---- pages lent ---- */

enum sp_status sp_map_onto(const struct sp_map *m, size_t from, size_t n, void *to, struct sp_err *err)
{
    unsigned char *at = to;
    size_t head = -from % page, whole = n > head ? (n - head) / page * page : 0;
    if (n > m->bytes || from > m->bytes - n)
        return sp_fail(err, SP_FORMAT, "%s has %zu bytes, %zu from %zu were wanted", m->path, m->bytes, n, from);
    if (!whole || ((uintptr_t)to - from) % page)
        return sp_map_copy(m, from, n, to, err);
    TRY(sp_map_copy(m, from, head, at, err));
    TRY(sp_map_copy(m, from + head + whole, n - head - whole, at + head + whole, err));
    if (mmap(at + head, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, m->fd, (off_t)(from + head)) == MAP_FAILED)
        return sp_fail(err, SP_IO, "%s can't be mapped: %s", m->path, strerror(errno));
    madvise(at + head, whole, MADV_WILLNEED);
    return SP_OK;
}

struct sp_lent *sp_map_lend(const void *at, size_t bytes)
{
    struct sp_lent *w = sp_zalloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->at = at;
    w->bytes = bytes;
    pthread_mutex_lock(&loans_lock);
    w->next = atomic_load(&loans);
    atomic_store(&loans, w);
    pthread_mutex_unlock(&loans_lock);
    return w;
}

void sp_map_lend_end(struct sp_lent *w)
{
    pthread_mutex_lock(&loans_lock);
    struct sp_lent *next = atomic_load(&loans);
    if (w && w == next)
        atomic_store(&loans, w->next);
    for (; w && next; next = next->next)
        if (next->next == w)
            next->next = w->next;
    pthread_mutex_unlock(&loans_lock);
    sp_free(w);
}
