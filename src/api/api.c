/* api/api.c - the library's public face: version, error text, machine.
 *
 * A thin layer: copies options, calls rooms, keeps the error's sentence.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "api.h"

#define X(name, value, text) _Static_assert((int)SPARSAM_##name == (int)SP_##name, "the public status numbers");
SP_STATUS_MAP(X)
#undef X

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
