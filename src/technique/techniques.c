/* technique/techniques.c - the table of techniques: one file and one row each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../recipe/technique.h"

extern const struct sp_technique sp_technique_green, sp_technique_cloud, sp_technique_optimal, sp_technique_quantize;

const struct sp_technique *const sp_techniques[] = {
    &sp_technique_green,
    &sp_technique_cloud,
    &sp_technique_optimal,
    &sp_technique_quantize,
    NULL,
};
