/* bits/fit.h - stored blocks as functions of their scales and codes.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FIT_H
#define SP_FIT_H
#include "bits.h"

enum { SP_FIT_BLOCK_BYTES = 256 };
int fit_scales(enum sp_format f);  /* f16 numbers a block in which it is linear; 0: a format that isn't fitted */
int fit_levels(enum sp_format f);  /* values a code can have; 0: codes stay */
float fit_level(enum sp_format f, int code);
float fit_gap(enum sp_format f);   /* between levels, about */
int fit_nearest(enum sp_format f, float level);
float fit_scale(enum sp_format f, const unsigned char *block, int k);
void fit_scale_put(enum sp_format f, unsigned char *block, int k, float v);
int fit_code(enum sp_format f, const unsigned char *block, int i);
void fit_code_put(enum sp_format f, unsigned char *block, int i, int code);
/* d value / d scale k, [block]; and value = base + step * level. */
void fit_slope(enum sp_format f, const unsigned char *block, int k, float *out);
void fit_lines(enum sp_format f, const unsigned char *block, float *base, float *step);
#endif
