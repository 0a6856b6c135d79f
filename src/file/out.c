/* file/out.c - whole or not at all: written under a temporary name in the same
 * folder, synced, renamed.  A device or pipe ("/dev/stdout") is written in place.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

enum { TRIES_MAX = 100, SUFFIX_BYTES = 48 };

static enum sp_status fail_write(struct sp_out *o, int code, struct sp_err *err)
{
    enum sp_status st = code == ENOMEM ? SP_NOMEM : SP_IO;
    sp_fail(err, st, "%s can't be written: %s", o->path, strerror(code));
    if (code == ENOSPC || code == EDQUOT)
        sp_remedy(err, "free some space; what stood there before is untouched");
    sp_out_abandon(o);
    return st;
}

/* A new file beside `path`, with the rights of the one it will replace. */
static FILE *open_temp(struct sp_out *o, size_t cap, const struct stat *old)
{
    static _Atomic unsigned count;
    int fd = -1;
    for (int i = 0; fd < 0 && i < TRIES_MAX && (i == 0 || errno == EEXIST); i++) {
        snprintf(o->temp, cap, "%s.tmp-%ld-%u", o->path, (long)getpid(), count++);
        fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
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
