/* file/hash.c - content hashes: BLAKE2b-256 of libsodium, in hex.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"

enum { BYTES = 32, PIECE = 1 << 16 };

static void finish(crypto_generichash_state *s, struct sp_hash *out)
{
    unsigned char raw[BYTES];
    crypto_generichash_final(s, raw, sizeof raw);
    sodium_bin2hex(out->hex, sizeof out->hex, raw, sizeof raw);
}

static enum sp_status begin(crypto_generichash_state *s, struct sp_err *err)
{
    if (sodium_init() < 0 || crypto_generichash_init(s, NULL, 0, BYTES))
        return sp_fail(err, SP_UNSUPPORTED, "libsodium can't be used");
    return SP_OK;
}

enum sp_status sp_hash_bytes(struct sp_hash *out, const void *p, size_t n, struct sp_err *err)
{
    crypto_generichash_state s;
    TRY(begin(&s, err));
    crypto_generichash_update(&s, p, n);
    finish(&s, out);
    return SP_OK;
}

/* Hashes the next `max` bytes of the file, or as many as there are. */
static enum sp_status hash_stream(struct sp_hash *out, FILE *f, uint64_t max, const char *path, struct sp_err *err)
{
    unsigned char piece[PIECE];
    crypto_generichash_state s;
    TRY(begin(&s, err));
    errno = 0;
    for (size_t n; (n = fread(piece, 1, max < sizeof piece ? (size_t)max : sizeof piece, f)) > 0; max -= n)
        crypto_generichash_update(&s, piece, n);
    if (ferror(f))
        return sp_fail(err, SP_IO, "%s: %s", path, strerror(errno ? errno : EIO));
    finish(&s, out);
    return SP_OK;
}

static enum sp_status open_to_hash(FILE **out, const char *path, struct sp_err *err)
{
    *out = fopen(path, "rbe");
    if (*out)
        return SP_OK;
    return sp_fail(err, errno == ENOENT || errno == ENOTDIR ? SP_MISSING : errno == ENOMEM ? SP_NOMEM : SP_IO, "%s: %s", path, strerror(errno));
}

enum sp_status sp_hash_file(struct sp_hash *out, const char *path, struct sp_err *err)
{
    FILE *f;
    TRY(open_to_hash(&f, path, err));
    enum sp_status st = hash_stream(out, f, UINT64_MAX, path, err);
    fclose(f);
    return st;
}

static enum sp_status check_seal(FILE *f, const char *path, struct sp_err *err)
{
    char seal[SP_SEAL_BYTES];
    struct sp_hash h;
    struct stat s;
    if (fstat(fileno(f), &s) || !S_ISREG(s.st_mode))
        return sp_fail(err, SP_IO, "%s is not a regular file", path);
    if (s.st_size < SP_SEAL_BYTES)
        return sp_fail(err, SP_FORMAT, "%s is damaged: it has %lld bytes, its seal alone has %d", path, (long long)s.st_size, SP_SEAL_BYTES);
    TRY(hash_stream(&h, f, (uint64_t)s.st_size - SP_SEAL_BYTES, path, err));
    if (fread(seal, 1, sizeof seal, f) == sizeof seal && !memcmp(seal, h.hex, sizeof seal))
        return SP_OK;
    return sp_fail(err, SP_FORMAT, "%s is damaged: its content doesn't match the hash at its end", path);
}

enum sp_status sp_check_seal(const char *path, struct sp_err *err)
{
    FILE *f;
    TRY(open_to_hash(&f, path, err));
    enum sp_status st = check_seal(f, path, err);
    fclose(f);
    return st;
}
