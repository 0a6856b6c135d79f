/* file/out.c - whole or not at all: written under a temporary name in the same
 * folder, synced, renamed, the folder synced.  A device or pipe ("/dev/stdout") is
 * written in place.
 *
 * A writer holds a lock on its temporary file.  The system drops the lock when the
 * writer is killed, so the next writer of the same path knows what to remove.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { TRIES_MAX = 100, SUFFIX_BYTES = 48, SWEEP_MAX = 100000 /* names looked at in a folder */ };

static enum sp_status fail_write(struct sp_out *o, int code, struct sp_err *err)
{
    enum sp_status st = code == ENOMEM ? SP_NOMEM : SP_IO;
    sp_fail(err, st, "%s can't be written: %s", o->path, strerror(code));
    if (code == ENOSPC || code == EDQUOT)
        sp_remedy(err, "free some space; what stood there before is untouched");
    else if (code == EACCES || code == EPERM || code == EROFS)
        sp_remedy(err, "name a folder that may be written to");
    sp_out_abandon(o);
    return st;
}

/* Removes one temporary file, unless its writer lives. */
static void sweep_one(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (!flock(fd, LOCK_EX | LOCK_NB))
        unlinkat(folder, name, 0);
    close(fd);
}

/* What killed writers of this path left behind. */
static void sweep(const char *path)
{
    char *copy = sp_strdup(path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name);
    DIR *d = copy ? opendir(dirname(copy)) : NULL;
    struct dirent *e;
    for (int i = 0; d && i < SWEEP_MAX && (e = readdir(d)); i++)
        if (!strncmp(e->d_name, name, n) && !strncmp(e->d_name + n, ".tmp-", 5))
            sweep_one(dirfd(d), e->d_name);
    if (d)
        closedir(d);
    sp_free(copy);
}

/* A new file, locked; -1 when it can't be, or when a sweeper was there between the two. */
static int open_locked(const char *path)
{
    struct stat s;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0 || (flock(fd, LOCK_EX | LOCK_NB) && errno != EWOULDBLOCK)) /* a file system without locks is fine */
        return fd;
    if (!fstat(fd, &s) && s.st_nlink)
        return fd;
    close(fd);
    errno = EEXIST;
    return -1;
}

/* A new file beside `path`, with the rights of the one it will replace. */
static FILE *open_temp(struct sp_out *o, size_t cap, const struct stat *old)
{
    static _Atomic unsigned count;
    int fd = -1;
    sweep(o->path);
    for (int i = 0; fd < 0 && i < TRIES_MAX && (i == 0 || errno == EEXIST); i++) {
        snprintf(o->temp, cap, "%s.tmp-%ld-%u", o->path, (long)getpid(), count++);
        fd = open_locked(o->temp);
    }
    if (fd < 0) {
        o->temp[0] = 0;
        return NULL;
    }
    if (old && fchmod(fd, old->st_mode & 07777))
        errno = 0; /* a file system without modes is fine */
    return fdopen(fd, "wb");
}

/* Where the bytes go: through a link to what it names; a device or pipe is written in place. */
static FILE *open_target(struct sp_out *o, size_t cap)
{
    struct stat old;
    bool exists = !stat(o->path, &old);
    if (exists && S_ISDIR(old.st_mode)) {
        errno = EISDIR;
        return NULL;
    }
    if (exists && !S_ISREG(old.st_mode))
        return fopen(o->path, "wbe");
    char *real = exists ? realpath(o->path, NULL) : NULL;
    char *copy = real ? sp_strdup(real) : NULL;
    free(real);
    if (copy) {
        sp_free(o->path);
        o->path = copy;
    }
    if (cap < strlen(o->path) + SUFFIX_BYTES) {
        sp_free(o->temp);
        cap = strlen(o->path) + SUFFIX_BYTES;
        o->temp = sp_zalloc(cap, 1);
    }
    errno = o->temp ? 0 : ENOMEM;
    return o->temp ? open_temp(o, cap, exists ? &old : NULL) : NULL;
}

enum sp_status sp_out_open(struct sp_out *o, const char *path, struct sp_err *err)
{
    struct sp_out n = { 0 };
    size_t cap = strlen(path) + SUFFIX_BYTES;
    n.path = sp_strdup(path);
    n.temp = sp_zalloc(cap, 1);
    if (!n.path || !n.temp) {
        sp_out_abandon(&n);
        return sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    }
    n.f = open_target(&n, cap);
    if (!n.f)
        return fail_write(&n, errno, err);
    *o = n;
    return SP_OK;
}

enum sp_status sp_out_write(struct sp_out *o, const void *p, size_t n, struct sp_err *err)
{
    if (!o->f)
        return sp_fail(err, SP_IO, "writing goes on after it failed");
    errno = 0;
    if (n && fwrite(p, 1, n, o->f) != n)
        return fail_write(o, errno ? errno : EIO, err);
    return SP_OK;
}

static void sync_folder(const char *path)
{
    char *copy = sp_strdup(path);
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    sp_free(copy);
}

enum sp_status sp_out_seal(struct sp_out *o, struct sp_err *err)
{
    struct sp_hash h;
    if (!o->f)
        return sp_fail(err, SP_IO, "writing goes on after it failed");
    if (fflush(o->f))
        return fail_write(o, errno, err);
    TRY(sp_hash_file(&h, o->temp[0] ? o->temp : o->path, err));
    return sp_out_write(o, h.hex, SP_SEAL_BYTES, err);
}

enum sp_status sp_move_file(const char *from, const char *to, struct sp_err *err)
{
    if (rename(from, to))
        return sp_fail(err, SP_IO, "%s can't become %s: %s", from, to, strerror(errno));
    sync_folder(to);
    return SP_OK;
}

enum sp_status sp_out_commit(struct sp_out *o, struct sp_err *err)
{
    if (!o->f)
        return sp_fail(err, SP_IO, "writing goes on after it failed");
    errno = 0;
    bool bad = fflush(o->f) || ferror(o->f) || (o->temp[0] && fsync(fileno(o->f)));
    int code = errno;
    if (fclose(o->f)) {
        code = code ? code : errno;
        bad = true;
    }
    o->f = NULL;
    if (!bad && o->temp[0] && rename(o->temp, o->path)) {
        code = errno;
        bad = true;
    }
    if (bad)
        return fail_write(o, code ? code : EIO, err);
    if (o->temp[0])
        sync_folder(o->path);
    o->temp[0] = 0;
    sp_out_abandon(o);
    return SP_OK;
}

void sp_out_abandon(struct sp_out *o)
{
    if (o->f)
        fclose(o->f);
    if (o->temp && o->temp[0])
        unlink(o->temp);
    sp_free(o->path);
    sp_free(o->temp);
    *o = (struct sp_out){ 0 };
}

enum sp_status sp_write_file(const char *path, const void *p, size_t n, struct sp_err *err)
{
    struct sp_out o;
    TRY(sp_out_open(&o, path, err));
    TRY(sp_out_write(&o, p, n, err));
    return sp_out_commit(&o, err);
}
