/* file/scratch.c - pieces of equal size that are written and read again: in memory while
 * they are small all in all, else in a file without a name, so that they don't grow with
 * what memory is short of, and nothing is left of them whatever ends the process.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

enum { MEMORY_MOST = 16 << 20 };

/* /var/tmp before /tmp, which may be memory. */
static int open_unnamed(struct sp_err *err)
{
    const char *given = getenv("TMPDIR"), *folders[] = { given && *given ? given : "/var/tmp", "/tmp" };
    int fd = -1, code = 0;
    for (size_t i = 0; fd < 0 && i < SP_COUNT(folders); i++) {
        char path[4096];
        if (snprintf(path, sizeof path, "%s/sparsam-XXXXXX", folders[i]) >= (int)sizeof path)
            continue;
        fd = mkostemp(path, 02000000 /* O_CLOEXEC */);
        code = fd < 0 && !code ? errno : code;
        if (fd >= 0)
            unlink(path);
    }
    if (fd >= 0)
        return fd;
    sp_fail(err, SP_IO, "no temporary file in %s: %s", folders[0], strerror(code));
    sp_remedy(err, "TMPDIR=FOLDER says where else");
    return -1;
}

enum sp_status sp_scratch_new(struct sp_scratch *s, size_t piece, int64_t n, struct sp_err *err)
{
    struct sp_scratch made = { .piece = piece, .n = n };
    if (piece < 1 || n < 1 || (uint64_t)n > (UINT64_C(1) << 62) / piece)
        return sp_fail(err, SP_USAGE, "%lld pieces of %zu bytes", (long long)n, piece);
    if (piece * (uint64_t)n <= MEMORY_MOST) {
        if (!(made.at = sp_zalloc((size_t)n, piece)))
            return sp_fail(err, SP_NOMEM, "no memory for %lld pieces of %zu bytes", (long long)n, piece);
    } else {
        int fd = open_unnamed(err);
        if (fd < 0)
            return err->status;
        made.fd = fd + 1;
    }
    *s = made;
    return SP_OK;
}

static enum sp_status failed(const struct sp_scratch *s, const char *what, int code, struct sp_err *err)
{
    char bytes[32];
    sp_fail(err, SP_IO, "a temporary file of %s can't be %s: %s", sp_show_bytes((double)s->piece * (double)s->n, bytes, sizeof bytes), what, strerror(code));
    return sp_remedy(err, "TMPDIR=FOLDER says where there is more room");
}

enum sp_status sp_scratch_write(struct sp_scratch *s, int64_t i, const void *from, struct sp_err *err)
{
    const unsigned char *p = from;
    off_t at = (off_t)s->piece * i;
    if (s->at)
        memcpy(s->at + at, from, s->piece);
    for (size_t n = 0; !s->at && n < s->piece;) {
        ssize_t k = pwrite(s->fd - 1, p + n, s->piece - n, at + (off_t)n);
        if (k <= 0 && errno != EINTR)
            return failed(s, "written", errno, err);
        n += k > 0 ? (size_t)k : 0;
    }
    return SP_OK;
}

enum sp_status sp_scratch_read(const struct sp_scratch *s, int64_t i, void *to, struct sp_err *err)
{
    unsigned char *p = to;
    off_t at = (off_t)s->piece * i;
    if (s->at)
        memcpy(to, s->at + at, s->piece);
    for (size_t n = 0; !s->at && n < s->piece;) {
        ssize_t k = pread(s->fd - 1, p + n, s->piece - n, at + (off_t)n);
        if (!k || (k < 0 && errno != EINTR))
            return failed(s, "read", k ? errno : ENODATA, err);
        n += k > 0 ? (size_t)k : 0;
    }
    return SP_OK;
}

void sp_scratch_clear(struct sp_scratch *s)
{
    sp_free(s->at);
    if (s->fd)
        close(s->fd - 1);
    *s = (struct sp_scratch){ 0 };
}
