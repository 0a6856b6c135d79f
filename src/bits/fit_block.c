/* bits/fit_block.c - a stored block as a function of its f16 scales, in which it is
 * linear.
 *
 * Nothing is known here of how a format scales its parts: the decoder says it, given a
 * block whose scales are set.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "fit.h"

static const struct { signed char scales; unsigned char at[2]; } row[SP_FORMATS] = {
    [SP_Q4_0] = { 1, { 0 } },       [SP_Q4_1] = { 2, { 0, 2 } },   [SP_Q5_0] = { 1, { 0 } },    [SP_Q5_1] = { 2, { 0, 2 } },
    [SP_Q8_0] = { 1, { 0 } },       [SP_Q2_K] = { 2, { 80, 82 } }, [SP_Q3_K] = { 1, { 108 } },  [SP_Q4_K] = { 2, { 0, 2 } },
    [SP_Q5_K] = { 2, { 0, 2 } },    [SP_Q6_K] = { 1, { 208 } },    [SP_IQ4_NL] = { 1, { 0 } },  [SP_IQ4_XS] = { 1, { 0 } },
};

int fit_scales(enum sp_format f)
{
    return row[f].scales;
}

float fit_scale(enum sp_format f, const unsigned char *block, int k)
{
    float v;
    sp_formats[SP_F16].decode(&v, block + row[f].at[k], 1);
    return v;
}

void fit_scale_put(enum sp_format f, unsigned char *block, int k, float v)
{
    sp_formats[SP_F16].encode(block + row[f].at[k], &v, 1);
}

void fit_slope(enum sp_format f, const unsigned char *block, int k, float *out)
{
    unsigned char copy[SP_FIT_BLOCK_BYTES];
    memcpy(copy, block, (size_t)sp_formats[f].bytes);
    for (int i = 0; i < row[f].scales; i++)
        fit_scale_put(f, copy, i, i == k ? 1 : 0);
    sp_formats[f].decode(out, copy, sp_formats[f].block);
}
