/* file/hash.c - content hashes: BLAKE2b-256 of libsodium, in hex.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

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

enum sp_status sp_hash_file(struct sp_hash *out, const char *path, struct sp_err *err)
{
    unsigned char piece[PIECE];
    crypto_generichash_state s;
    TRY(begin(&s, err));
    FILE *f = fopen(path, "rbe");
    if (!f)
        return sp_fail(err, errno == ENOENT ? SP_MISSING : SP_IO, "%s: %s", path, strerror(errno));
    for (size_t n; (n = fread(piece, 1, sizeof piece, f)) > 0;)
        crypto_generichash_update(&s, piece, n);
    bool bad = ferror(f);
    fclose(f);
    if (bad)
        return sp_fail(err, SP_IO, "%s: %s", path, strerror(errno));
    finish(&s, out);
    return SP_OK;
}
