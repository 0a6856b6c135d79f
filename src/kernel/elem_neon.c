/* kernel/elem_neon.c - element by element, by rows, in sums: four floats a vector.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 4
#define SP_ROW(name) sp_##name##_neon
#include "pointwise_body.h"
#include "rowwise_body.h"
#include "reduce_body.h"
