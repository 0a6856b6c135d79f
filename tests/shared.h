/* tests/shared.h - material that tests use where it is at hand, and are skipped (and
 * counted as skipped) where it isn't: a folder named by SPARSAM_SHARED.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TESTS_SHARED_H
#define SP_TESTS_SHARED_H
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The path of a file below it; NULL: not at hand.  Stays until the next call. */
static inline const char *shared_file(const char *name)
{
    static char path[1024];
    const char *folder = getenv("SPARSAM_SHARED");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "../shared", name);
    return access(path, R_OK) ? NULL : path;
}
#endif
