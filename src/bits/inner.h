/* bits/inner.h - what the files of bits share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BITS_INNER_H
#define SP_BITS_INNER_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>

/* No number of x is infinite, or no number at all. */
static inline bool sp_bits_sound(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return isfinite(sum);
}
#endif
