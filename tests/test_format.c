/* tests/test_format.c - formats in blocks: what blocks mean, to the bit, and how
 * near the encoders come.
 *
 * The golden values and sums (FNV-1a over the bytes of 512 floats) were written
 * by llama.cpp's own decoders (August 2026) from the same bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernel/kernel.h"

enum { N = 512, GAUSS = 8192 };

/* half: where f16 scales stand, which are kept between 2^-6 and 2^-5 or so; most: rms error on normal numbers. */
struct row { enum sp_format f; int half[2]; double most; uint64_t sum; float first[3]; };
static const struct row rows[] = {
    { SP_Q4_0, { 0, -1 }, 0.08476, 0xcd0acd3a656fe263, { -0x1.5d2p-3f, 0x1.c14p-5f, 0x1.9dcp-6f } },
    { SP_Q4_1, { 0, 2 }, 0.07332, 0x912bb6ac4bd6520c, { 0x1.f74p-4f, -0x1.63ccp-2f, -0x1.6c18p-2f } },
    { SP_Q5_0, { 0, -1 }, 0.04202, 0x962eced48509d71d, { -0x1.968p-5f, -0x1.66f8p-2f, -0x1.1acp-3f } },
    { SP_Q5_1, { 0, 2 }, 0.03567, 0x3f2f030b8cf2b65e, { -0x1.773p-3f, 0x1.5ed8p-2f, -0x1.7ap-6f } },
    { SP_Q8_0, { 0, -1 }, 0.005252, 0x2e363d8856857ab3, { -0x1.c088p+0f, -0x1.6698p+1f, -0x1.4b47p+0f } },
    { SP_Q2_K, { 80, 82 }, 0.2756, 0x4716d335b98a930f, { -0x1.281p-4f, -0x1.c7dcp-1f, -0x1.7f3p-3f } },
    { SP_Q3_K, { 108, -1 }, 0.1503, 0x53808f6bd76387d9, { -0x1.e54p-1f, 0x1.f46ap+0f, -0x1.7b1ap+1f } },
    { SP_Q4_K, { 0, 2 }, 0.07384, 0x510aa9bfce2ea8e8, { 0x1.0391ep+4f, 0x1.f7cp-3f, 0x1.adc9p+1f } },
    { SP_Q5_K, { 0, 2 }, 0.0365, 0x91697707fd1f38b9, { 0x1.1f4ccp+2f, 0x1.211p+3f, 0x1.b06cp+3f } },
    { SP_Q6_K, { 208, -1 }, 0.01778, 0x69486e32b086e15c, { 0x1.e342fp+5f, 0x1.ac768p+5f, 0x1.19f448p+6f } },
    { SP_IQ4_NL, { 0, -1 }, 0.07696, 0x47e9d220b3e002b1, { 0x1.4464p-2f, -0x1.a76a8p+1f, -0x1.f498p+0f } },
    { SP_IQ4_XS, { 0, -1 }, 0.07769, 0x0e0844f8d8cd62bd, { -0x1.0446fp+4f, 0x1.88dfp+1f, 0x1.46154p+5f } },
    { SP_MXFP4, { -1, -1 }, 0.1171, 0x98def2e759cced7c, { 0x1.8p-21f, -0x1.8p-4f, 0x1.8p-25f } },
    { SP_TQ1_0, { 52, -1 }, 0.4555, 0x5f4e9ced06fab56a, { -0x1.26cp-6f, -0x1.26cp-6f, 0x0p+0f } },
    { SP_TQ2_0, { 64, -1 }, 0.4555, 0x8cb0b14dc575cfcf, { 0x0p+0f, 0x0p+0f, 0x0p+0f } },
};

static uint32_t draw(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 24;
}

static void random_blocks(unsigned char *b, const struct row *row, uint32_t seed)
{
    const struct sp_format_row *r = &sp_formats[row->f];
    for (int k = 0; k < N / r->block; k++, b += r->bytes) {
        for (int j = 0; j < r->bytes; j++)
            b[j] = (unsigned char)draw(&seed);
        for (int j = 0; j < 2 && row->half[j] >= 0; j++)
            b[row->half[j] + 1] = (unsigned char)((b[row->half[j] + 1] & 0x83) | 0x24);
        if (row->f == SP_MXFP4)
            b[0] = (unsigned char)(b[0] / 4 + 90);
    }
}

static uint64_t sum_of(const void *p, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 1099511628211u;
    return h;
}

static void blocks_mean_what_they_should(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        unsigned char b[N / 32 * 34];
        float v[N];
        const struct sp_format_row *r = &sp_formats[rows[i].f];
        random_blocks(b, &rows[i], (uint32_t)i + 1);
        r->decode(v, b, N);
        for (int j = 0; j < 3; j++)
            if (v[j * 37] - rows[i].first[j] != 0)
                fail_msg("%s: element %d is %a, not %a", r->name, j * 37, (double)v[j * 37], (double)rows[i].first[j]);
        if (sum_of(v, sizeof v) != rows[i].sum)
            fail_msg("%s: the sum is %016llx", r->name, (unsigned long long)sum_of(v, sizeof v));
    }
}

static void rows_are_sound(void **unused)
{
    (void)unused;
    for (int f = 0; f < SP_FORMATS; f++) {
        const struct sp_format_row *r = &sp_formats[f];
        assert_non_null(r->name);
        assert_true(r->block <= SP_FORMAT_BLOCK_MAX && r->bytes > 0);
        for (int g = 0; g < f; g++)
            assert_true(strcmp(r->name, sp_formats[g].name) && (!r->gguf || !sp_formats[g].gguf || r->gguf_type != sp_formats[g].gguf_type));
    }
    assert_int_equal(sp_format_bytes(SP_Q4_K, 2048 * 5632), 2048 * 22 * 144);
}

static double error_of(const struct sp_format_row *r, const float *x, const float *w, bool weighted)
{
    static unsigned char b[GAUSS / 32 * 34];
    static float y[GAUSS];
    double sum = 0;
    r->encode_weighted(b, x, weighted ? w : NULL, GAUSS);
    r->decode(y, b, GAUSS);
    for (int i = 0; i < GAUSS; i++)
        sum += (double)(w[i] * (x[i] - y[i]) * (x[i] - y[i]));
    return sqrt(sum / GAUSS);
}

static void encoders_come_near(void **unused)
{
    static float x[GAUSS], one[GAUSS], w[GAUSS];
    struct sp_random random = { .key = 8 };
    (void)unused;
    for (int i = 0; i < GAUSS; i++) {
        x[i] = (float)sp_random_normal(&random);
        one[i] = 1;
        w[i] = i % 8 ? 0.1f : 8; /* a few columns that matter */
    }
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        const struct sp_format_row *r = &sp_formats[rows[i].f];
        double plain = error_of(r, x, one, false), blind = error_of(r, x, w, false), seeing = error_of(r, x, w, true);
        if (plain > rows[i].most || seeing >= blind)
            fail_msg("%s: rms error %g (at most %g); weighted %g, without weights %g", r->name, plain, rows[i].most, seeing, blind);
    }
}

/* Zeros stay zeros, constants and what is no number do no harm, decoded blocks are written as they were read. */
static void odd_blocks(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        const struct sp_format_row *r = &sp_formats[rows[i].f];
        unsigned char b[N / 32 * 34];
        float x[N] = { 0 }, y[N], w[N] = { 0 };
        r->encode(b, x, N);
        r->decode(y, b, N);
        for (int j = 0; j < N; j++)
            assert_true(!(y[j] < 0) && !(y[j] > 0));
        for (int j = 0; j < N; j++)
            x[j] = j % 3 ? 1.5f : j % 2 ? NAN : j % 5 ? 1e-42f : -INFINITY;
        r->encode_weighted(b, x, w, N);
        r->decode(y, b, N);
        for (int j = 0; j < N; j++)
            assert_true(isfinite(y[j]));
    }
}

static void decoded_blocks_come_back(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        const struct sp_format_row *r = &sp_formats[rows[i].f];
        unsigned char b[N / 32 * 34];
        float x[N], y[N];
        double error = 0, size = 0;
        random_blocks(b, &rows[i], 77);
        r->decode(x, b, N);
        r->encode(b, x, N);
        r->decode(y, b, N);
        for (int j = 0; j < N; j++) {
            error += (double)((x[j] - y[j]) * (x[j] - y[j]));
            size += (double)(x[j] * x[j]);
        }
        double bound = r->block == 32 ? 0.01 : 0.1;
        if (rows[i].f != SP_TQ1_0 && rows[i].f != SP_TQ2_0 && sqrt(error / size) > bound) /* of all bytes, few are digits */
            fail_msg("%s: decoded and encoded again, relative error %g", r->name, sqrt(error / size));
    }
}

/* Every row writes the same bytes, whatever the number of blocks; Q8_0 without search is ggml's. */
static void rows_agree(void **unused)
{
    static float x[GAUSS], w[GAUSS];
    static unsigned char a[2][GAUSS * 2], b[2][GAUSS * 2];
    struct sp_random random = { .key = 5 };
    (void)unused;
    for (int i = 0; i < GAUSS; i++) {
        double z = sp_random_normal(&random);
        x[i] = i % 97 ? (float)(z * z * z) : 0;
        w[i] = i % 7 ? (float)(z * z) : i % 14 ? -1.0f : INFINITY;
    }
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        const struct sp_format_row *r = &sp_formats[rows[i].f];
        int64_t n = r->block * (5 + (int64_t)i), bytes = sp_format_bytes(rows[i].f, n);
        for (int k = 0; k < 2; k++) {
            assert_int_equal(k ? unsetenv("SPARSAM_CPU") : setenv("SPARSAM_CPU", "portable", 1), 0);
            memset(a[k], 0xA5, sizeof a[k]);
            memset(b[k], 0xA5, sizeof b[k]);
            r->encode(a[k], x, n);
            r->encode_weighted(b[k], x, w, n);
        }
        if (memcmp(a[0], a[1], sizeof a[0]) || memcmp(b[0], b[1], sizeof b[0]) || a[0][bytes] != 0xA5)
            fail_msg("%s: rows write different bytes, or too many", r->name);
    }
}

static void q8_0_rounds_away_from_zero(void **unused)
{
    static float x[64] = { 127, 0.5f, 1.5f, -2.5f, 0.49999997f, -0.49999997f, 63.5f, -126.5f, NAN };
    unsigned char b[68];
    static const signed char want[] = { 127, 1, 2, -3, 0, 0, 64, -127, 0 };
    (void)unused;
    sp_formats[SP_Q8_0].encode(b, x, 64);
    for (size_t i = 0; i < sizeof want; i++)
        assert_int_equal((signed char)b[2 + i], want[i]);
}

/* All halves, by their definition, from an odd place and to an odd end. */
static void halves_mean_what_they_should(void **unused)
{
    static uint16_t h[65537];
    static float v[65538], u[65538];
    (void)unused;
    for (int i = 0; i < 65536; i++)
        h[i + 1] = (uint16_t)i;
    v[65536] = u[65536] = 7;
    sp_formats[SP_F16].decode(v, h + 1, 65536);
    sp_formats[SP_BF16].decode(u, h + 1, 65535);
    for (int i = 0; i < 65536; i++) {
        int e = i >> 10 & 31, m = i & 1023;
        uint32_t bits, upper = (uint32_t)i << 16, got;
        float want = e == 31 ? (m ? NAN : INFINITY) : (float)ldexp(e ? 1024 + m : m, (e ? e : 1) - 25);
        want = i >> 15 ? -want : want;
        memcpy(&bits, &v[i], sizeof bits);
        memcpy(&got, &u[i], sizeof got);
        if (!(isnan(want) ? isnan(v[i]) : !(v[i] < want) && !(v[i] > want)) || bits >> 31 != (uint32_t)i >> 15)
            fail_msg("half %04x is %a, not %a", (unsigned)i, (double)v[i], (double)want);
        if (i < 65535 && got != upper)
            fail_msg("bf16 %04x is %a", (unsigned)i, (double)u[i]);
    }
    assert_true(!(v[65536] < 7) && !(u[65535] < 0) && !(u[65535] > 0) && !(u[65536] < 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_mean_what_they_should), cmocka_unit_test(rows_are_sound),           cmocka_unit_test(encoders_come_near),
        cmocka_unit_test(odd_blocks),                   cmocka_unit_test(decoded_blocks_come_back),
        cmocka_unit_test(rows_agree),                   cmocka_unit_test(q8_0_rounds_away_from_zero), cmocka_unit_test(halves_mean_what_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
