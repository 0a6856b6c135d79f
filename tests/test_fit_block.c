/* tests/test_fit_block.c - a stored block is linear in its scales and in the level of
 * each code, and a code that is put changes one number alone: held against the decoders.
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

static void one_code(enum sp_format f, const unsigned char *block, int i, const float *base, const float *step, const float *y)
{
    unsigned char copy[SP_FIT_BLOCK_BYTES];
    float z[SP_FORMAT_BLOCK_MAX];
    int code = (int)sp_random_below(&noise, (uint64_t)fit_levels(f));
    memcpy(copy, block, (size_t)sp_formats[f].bytes);
    fit_code_put(f, copy, i, code);
    sp_formats[f].decode(z, copy, sp_formats[f].block);
    assert_int_equal(fit_code(f, copy, i), code);
    for (int j = 0; j < sp_formats[f].block; j++)
        assert_true(fabsf(z[j] - (j == i ? base[i] + step[i] * fit_level(f, code) : y[j])) < 1e-5F);
}

static void a_code_is_one_number(void **unused)
{
    (void)unused;
    for (size_t q = 0; q < SP_COUNT(formats); q++) {
        enum sp_format f = formats[q];
        unsigned char block[SP_FIT_BLOCK_BYTES];
        float y[SP_FORMAT_BLOCK_MAX], base[SP_FORMAT_BLOCK_MAX], step[SP_FORMAT_BLOCK_MAX];
        draw(f, block, y);
        if (!fit_levels(f))
            continue;
        fit_lines(f, block, base, step);
        for (int i = 0; i < sp_formats[f].block; i++)
            one_code(f, block, i, base, step, y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(linear_in_scales), cmocka_unit_test(a_code_is_one_number) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
