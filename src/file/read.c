/* file/read.c - whole files as text, .gz and .zst unpacked, never more than
 * the given maximum.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "file.h"

enum { PIECE = 1 << 16 };
static const size_t READ_MAX = (size_t)1 << 40; /* whatever the caller allows */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && !strcmp(s + n - k, end);
}

static enum sp_status append(struct sp_text *t, const char *p, size_t n, size_t max, const char *path, struct sp_err *err)
{
    if (n > max || t->n > max - n) {
        sp_fail(err, SP_LIMIT, "%s holds more than the %zu bytes that are read at most", path, max);
        return sp_remedy(err, "split it into several files");
    }
    sp_text_add(t, p, n);
    return t->full ? sp_fail(err, SP_NOMEM, "no memory to read %s", path) : SP_OK;
}

static enum sp_status read_plain(struct sp_text *t, const char *path, size_t max, struct sp_err *err)
{
    char piece[PIECE];
    enum sp_status st = SP_OK;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return sp_fail(err, errno == ENOENT ? SP_MISSING : SP_IO, "%s: %s", path, strerror(errno));
    for (size_t n; !st && (n = fread(piece, 1, sizeof piece, f)) > 0;)
        st = append(t, piece, n, max, path, err);
    if (!st && ferror(f))
        st = sp_fail(err, SP_IO, "%s: %s", path, strerror(errno));
    fclose(f);
    return st;
}

static enum sp_status read_gz(struct sp_text *t, const char *path, size_t max, struct sp_err *err)
{
    char piece[PIECE];
    enum sp_status st = SP_OK;
    int n = 0, code = Z_OK;
    gzFile f = gzopen(path, "rbe");
    if (!f)
        return sp_fail(err, errno == ENOENT ? SP_MISSING : SP_IO, "%s: %s", path, strerror(errno));
    if (gzdirect(f)) /* zlib would hand plain bytes through */
        st = sp_fail(err, SP_FORMAT, "%s is not a gzip file", path);
    while (!st && (n = gzread(f, piece, sizeof piece)) > 0)
        st = append(t, piece, (size_t)n, max, path, err);
    const char *why = gzerror(f, &code);
    if (!st && (n < 0 || (code != Z_OK && code != Z_STREAM_END)))
        st = sp_fail(err, SP_FORMAT, "%s is damaged or cut off: %s", path, why);
    code = gzclose(f);
    if (!st && code != Z_OK)
        st = sp_fail(err, SP_FORMAT, "%s is damaged or cut off", path);
    return st;
}

struct unpack { struct sp_text *t; const struct sp_map *m; ZSTD_DStream *d; size_t max; };

static enum sp_status unpack_zst(void *arg, struct sp_err *err)
{
    const struct unpack *u = arg;
    const struct sp_map *m = u->m;
    char piece[PIECE];
    ZSTD_inBuffer in = { m->at, m->bytes, 0 };
    size_t left = 1;
    while (in.pos < in.size) {
        ZSTD_outBuffer out = { piece, sizeof piece, 0 };
        do {
            out.pos = 0;
            left = ZSTD_decompressStream(u->d, &out, &in);
            if (ZSTD_isError(left))
                return sp_fail(err, SP_FORMAT, "%s is damaged: %s", m->path, ZSTD_getErrorName(left));
            TRY(append(u->t, piece, out.pos, u->max, m->path, err));
        } while (out.pos == out.size);
    }
    return left ? sp_fail(err, SP_FORMAT, "%s is cut off", m->path) : SP_OK;
}

static enum sp_status read_zst(struct sp_text *t, const char *path, size_t max, struct sp_err *err)
{
    struct sp_map m;
    TRY(sp_map_open(&m, path, err));
    ZSTD_DStream *d = ZSTD_createDStream();
    enum sp_status st = d ? sp_map_guard(&m, unpack_zst, &(struct unpack){ t, &m, d, max }, err) : sp_fail(err, SP_NOMEM, "no memory to unpack %s", path);
    ZSTD_freeDStream(d);
    sp_map_close(&m);
    return st;
}

enum sp_status sp_read_file(struct sp_text *out, const char *path, size_t max, struct sp_err *err)
{
    max = max < READ_MAX ? max : READ_MAX;
    struct sp_text t = { .max = max + 1 };
    enum sp_status st = ends_with(path, ".gz") ? read_gz(&t, path, max, err)
                      : ends_with(path, ".zst") ? read_zst(&t, path, max, err) : read_plain(&t, path, max, err);
    if (!st)
        sp_text_add(&t, "", 0);
    if (!st && t.full)
        st = sp_fail(err, SP_NOMEM, "no memory to read %s", path);
    if (st)
        sp_text_clear(&t);
    else
        *out = t;
    return st;
}
