/* file/out.c - whole or not at all: written under a temporary name in the same
 * folder, synced, renamed.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"

static enum sp_status fail_write(struct sp_out *o, int code, struct sp_err *err)
{
    sp_fail(err, SP_IO, "%s can't be written: %s", o->path, strerror(code));
    if (code == ENOSPC || code == EDQUOT)
        sp_remedy(err, "free some space; what stood there before is untouched");
    sp_out_abandon(o);
    return SP_IO;
}

enum sp_status sp_out_open(struct sp_out *o, const char *path, struct sp_err *err)
{
    struct sp_out n = { 0 };
    size_t bytes = strlen(path) + 32;
    n.path = sp_strdup(path);
    n.temp = sp_alloc(bytes);
    if (!n.path || !n.temp) {
        sp_out_abandon(&n);
        return sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    }
    snprintf(n.temp, bytes, "%s.tmp-XXXXXX", path);
    int fd = mkostemp(n.temp, O_CLOEXEC);
    if (fd >= 0) {
        mode_t mask = umask(0);
        umask(mask);
        if (fchmod(fd, 0666 & ~mask)) { /* a file system without modes is fine */
        }
        n.f = fdopen(fd, "wb");
    }
    if (!n.f) {
        int code = errno;
        if (fd >= 0) {
            close(fd);
            unlink(n.temp);
        }
        n.temp[0] = 0;
        return fail_write(&n, code, err);
    }
    *o = n;
    return SP_OK;
}

enum sp_status sp_out_write(struct sp_out *o, const void *p, size_t n, struct sp_err *err)
{
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
    errno = 0;
    bool bad = fflush(o->f) || ferror(o->f) || fsync(fileno(o->f));
    int code = errno;
    if (fclose(o->f)) {
        code = code ? code : errno;
        bad = true;
    }
    o->f = NULL;
    if (!bad && rename(o->temp, o->path)) {
        code = errno;
        bad = true;
    }
    if (bad)
        return fail_write(o, code ? code : EIO, err);
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
