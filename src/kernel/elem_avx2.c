/* kernel/elem_avx2.c - element by element, by rows, in sums: eight floats a vector.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 8
#define SP_ROW(name) sp_##name##_avx2
#include "pointwise_body.h"
#include "rowwise_body.h"
#include "reduce_body.h"
