/* tests/fault.c - loaded before the program (LD_PRELOAD): makes it die, or its disk
 * full, at the N-th call that changes a regular file.  SPARSAM_FAULT says what:
 *
 *   count:FILE   writes the number of calls to FILE when the program ends
 *   kill@N       SIGKILL instead of the N-th call (from 1); a write is first half done
 *   full@N       from the N-th call on there is no space left
 *
 * Calls are those of the program and of SQLite: fwrite, write, pwrite64, fsync,
 * fdatasync, ftruncate64, rename, unlink.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define EXPORT __attribute__((visibility("default")))

static _Atomic long calls;
static long kill_at, full_at;
static const char *count_to;

__attribute__((constructor)) static void begin(void)
{
    const char *what = getenv("SPARSAM_FAULT");
    if (!what)
        return;
    kill_at = strncmp(what, "kill@", 5) ? 0 : atol(what + 5);
    full_at = strncmp(what, "full@", 5) ? 0 : atol(what + 5);
    count_to = strncmp(what, "count:", 6) ? NULL : what + 6;
}

__attribute__((destructor)) static void end(void)
{
    FILE *f = count_to ? fopen(count_to, "w") : NULL;
    if (!f)
        return;
    fprintf(f, "%ld\n", atomic_load(&calls));
    fclose(f);
}

static bool is_file(int fd)
{
    struct stat s;
    return !fstat(fd, &s) && S_ISREG(s.st_mode);
}

static bool now(long *number)
{
    *number = atomic_fetch_add(&calls, 1) + 1;
    return *number == kill_at;
}

static bool is_full(long number)
{
    return full_at && number >= full_at;
}

EXPORT ssize_t write(int fd, const void *p, size_t n)
{
    long k = 0;
    if (is_file(fd) && now(&k)) {
        REAL(write)(fd, p, n / 2);
        raise(SIGKILL);
    }
    if (k && is_full(k)) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(write)(fd, p, n);
}

EXPORT ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    long k = 0;
    if (is_file(fd) && now(&k)) {
        REAL(pwrite64)(fd, p, n / 2, at);
        raise(SIGKILL);
    }
    if (k && is_full(k)) {
        errno = ENOSPC;
        return -1;
    }
    return REAL(pwrite64)(fd, p, n, at);
}

EXPORT size_t fwrite(const void *p, size_t size, size_t n, FILE *f)
{
    long k = 0;
    if (is_file(fileno(f)) && now(&k)) {
        REAL(fwrite)(p, size, n / 2, f);
        fflush(f);
        raise(SIGKILL);
    }
    if (k && is_full(k)) {
        errno = ENOSPC;
        return 0;
    }
    return REAL(fwrite)(p, size, n, f);
}

EXPORT int fsync(int fd)
{
    long k;
    if (now(&k))
        raise(SIGKILL);
    return REAL(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
    long k;
    if (now(&k))
        raise(SIGKILL);
    return REAL(fdatasync)(fd);
}

EXPORT int ftruncate64(int fd, off_t n)
{
    long k;
    if (now(&k))
        raise(SIGKILL);
    return REAL(ftruncate64)(fd, n);
}

EXPORT int rename(const char *from, const char *to)
{
    long k;
    if (now(&k))
        raise(SIGKILL);
    return REAL(rename)(from, to);
}

EXPORT int unlink(const char *path)
{
    long k;
    if (now(&k))
        raise(SIGKILL);
    return REAL(unlink)(path);
}
