/* bits/fit.h - stored blocks as functions of their scales.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FIT_H
#define SP_FIT_H
#include "bits.h"

enum { SP_FIT_BLOCK_BYTES = 256 };
int fit_scales(enum sp_format f);  /* f16 numbers a block in which it is linear; 0: a format that isn't fitted */
float fit_scale(enum sp_format f, const unsigned char *block, int k);
void fit_scale_put(enum sp_format f, unsigned char *block, int k, float v);
void fit_slope(enum sp_format f, const unsigned char *block, int k, float *out); /* d value / d scale k, [numbers of a block] */
#endif
