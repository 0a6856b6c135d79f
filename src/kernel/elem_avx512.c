/* kernel/elem_avx512.c - element by element, by rows, in sums: sixteen floats a vector.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 16
#define SP_ROW(name) sp_##name##_avx512
#include "pointwise_body.h"
#include "rowwise_body.h"
#include "reduce_body.h"
