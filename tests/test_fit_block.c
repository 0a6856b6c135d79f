/* tests/test_fit_block.c - a stored block is linear in its scales: held against the
 * decoders.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "bits/fit.h"

static const enum sp_format formats[] = { SP_Q4_0, SP_Q4_1, SP_Q5_0, SP_Q5_1, SP_Q8_0, SP_Q2_K, SP_Q3_K, SP_Q4_K, SP_Q5_K, SP_Q6_K, SP_IQ4_NL, SP_IQ4_XS };
static struct sp_random noise = { .key = 3 };

static void draw(enum sp_format f, unsigned char *block, float *decoded)
{
    float x[SP_FORMAT_BLOCK_MAX];
    for (int i = 0; i < sp_formats[f].block; i++)
        x[i] = (float)(sp_random_unit(&noise) - 0.5);
    sp_formats[f].encode(block, x, sp_formats[f].block);
    sp_formats[f].decode(decoded, block, sp_formats[f].block);
}

static void linear_in_scales(void **unused)
{
    (void)unused;
    for (size_t q = 0; q < SP_COUNT(formats); q++) {
        enum sp_format f = formats[q];
        unsigned char block[SP_FIT_BLOCK_BYTES];
        float y[SP_FORMAT_BLOCK_MAX], slope[SP_FORMAT_BLOCK_MAX], sum[SP_FORMAT_BLOCK_MAX] = { 0 };
        draw(f, block, y);
        for (int k = 0; k < fit_scales(f); k++) {
            fit_slope(f, block, k, slope);
            for (int i = 0; i < sp_formats[f].block; i++)
                sum[i] += slope[i] * fit_scale(f, block, k);
        }
        for (int i = 0; i < sp_formats[f].block; i++)
            assert_true(fabsf(sum[i] - y[i]) < 1e-5F);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(linear_in_scales) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
