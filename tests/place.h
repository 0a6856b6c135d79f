/* tests/place.h - paths in a test's own folder.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TESTS_PLACE_H
#define SP_TESTS_PLACE_H
#include <stdio.h>

/* FOLDER/NAME; stays until the fourth call from here. */
static inline const char *place_in(const char *folder, const char *name)
{
    static char buf[4][128];
    static int i;
    i = (i + 1) % 4;
    snprintf(buf[i], sizeof buf[i], "%s/%s", folder, name);
    return buf[i];
}
#endif
