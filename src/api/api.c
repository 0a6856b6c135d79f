/* api/api.c - the library's public face: version, error text, machine.
 *
 * A thin layer: copies options, calls rooms, keeps the error's sentence.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "api.h"

#define X(name, value, text) _Static_assert((int)SPARSAM_##name == (int)SP_##name, "the public status numbers");
SP_STATUS_MAP(X)
#undef X

enum { SIZE_SANE = 4096 }; /* no option struct of any version is larger */

static _Thread_local char last_error[1200];

enum sparsam_status sp_api_status(enum sp_status st, const struct sp_err *err)
{
    if (st)
        sp_err_line(err, last_error, sizeof last_error);
    return (enum sparsam_status)st;
}

const char *sparsam_version(void)
{
    return SPARSAM_VERSION;
}

const char *sparsam_error(void)
{
    return last_error;
}

enum sp_status sp_api_options(void *ours, size_t size, const void *given, const char *what, struct sp_err *err)
{
    size_t n;
    if (!given)
        return SP_OK;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n || n > SIZE_SANE) {
        sp_fail(err, SP_USAGE, "%s: its size field says %zu bytes", what, n);
        return sp_remedy(err, "begin with the initializer that sparsam.h gives");
    }
    memcpy(ours, given, n < size ? n : size);
    memcpy(ours, &size, sizeof size);
    return SP_OK;
}

void sp_api_result(void *given, const void *ours, size_t size)
{
    size_t n;
    memcpy(&n, given, sizeof n);
    n = n < size ? n : size;
    if (n > sizeof n)
        memcpy((char *)given + sizeof n, (const char *)ours + sizeof n, n - sizeof n);
}
