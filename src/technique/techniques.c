/* technique/techniques.c - the table of techniques: one file and one row each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../recipe/technique.h"

const struct sp_technique *const sp_techniques[] = {
    NULL,
};
