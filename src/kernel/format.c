/* kernel/format.c - the table of number formats: size, decoder, encoder.
 *
 * The conversions are the portable kernels' own; fast rows bring their own and
 * are tested against these.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "embed.h"

_Static_assert(sizeof(void *) == 8, "sparsam needs a 64-bit machine");
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sparsam needs a little-endian machine"
#endif

static void decode_f32(float *to, const void *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *to);
}

static void encode_f32(void *to, const float *from, int64_t n)
{
    memcpy(to, from, (size_t)n * sizeof *from);
}

static void decode_f16(float *to, const void *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = sp_from_f16(((const uint16_t *)from)[i]);
}

static void encode_f16(void *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((uint16_t *)to)[i] = sp_to_f16(from[i]);
}

static void decode_bf16(float *to, const void *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = sp_from_bf16(((const uint16_t *)from)[i]);
}

static void encode_bf16(void *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((uint16_t *)to)[i] = sp_to_bf16(from[i]);
}

static void decode_q8_0(float *to, const void *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = sp_from_q8_0(from, i);
}

/* d = largest magnitude / 127; values round half away from zero. */
static void encode_q8_0(void *to, const float *from, int64_t n)
{
    for (int64_t b = 0; b < n / 32; b++, from += 32) {
        unsigned char *out = (unsigned char *)to + b * 34;
        float most = 0;
        for (int i = 0; i < 32; i++)
            most = fabsf(from[i]) > most ? fabsf(from[i]) : most;
        float d = most / 127, inverse = d > 0 ? 1 / d : 0;
        uint16_t h = sp_to_f16(d);
        memcpy(out, &h, sizeof h);
        for (int i = 0; i < 32; i++)
            out[2 + i] = (unsigned char)(int)roundf(from[i] * inverse);
    }
}

#define BITS(format, bytes_, type, block_, lower) \
    [SP_##format] = { .name = lower, .block = block_, .bytes = bytes_, .gguf = #format, .gguf_type = type }

/* Blocks of the formats of GGUF files: ggml's numbers, elements a block, bytes a block. */
const struct sp_format_row sp_formats[SP_FORMATS] = {
    [SP_F32] = { "f32", "F32", 1, 4, decode_f32, encode_f32, "F32", 0 },
    [SP_F16] = { "f16", "F16", 1, 2, decode_f16, encode_f16, "F16", 1 },
    [SP_BF16] = { "bf16", "BF16", 1, 2, decode_bf16, encode_bf16, "BF16", 30 },
    [SP_Q8_0] = { "q8_0", NULL, 32, 34, decode_q8_0, encode_q8_0, "Q8_0", 8 },
    [SP_I32] = { "i32", "I32", 1, 4, NULL, NULL, "I32", 26 },
    [SP_BYTES] = { "bytes", NULL, 1, 1, NULL, NULL },
    BITS(Q4_0, 18, 2, 32, "q4_0"),
    BITS(Q4_1, 20, 3, 32, "q4_1"),
    BITS(Q5_0, 22, 6, 32, "q5_0"),
    BITS(Q5_1, 24, 7, 32, "q5_1"),
    BITS(Q2_K, 84, 10, 256, "q2_k"),
    BITS(Q3_K, 110, 11, 256, "q3_k"),
    BITS(Q4_K, 144, 12, 256, "q4_k"),
    BITS(Q5_K, 176, 13, 256, "q5_k"),
    BITS(Q6_K, 210, 14, 256, "q6_k"),
    BITS(IQ4_NL, 18, 20, 32, "iq4_nl"),
    BITS(IQ4_XS, 136, 23, 256, "iq4_xs"),
    BITS(MXFP4, 17, 39, 32, "mxfp4"),
    BITS(TQ1_0, 54, 34, 256, "tq1_0"),
    BITS(TQ2_0, 66, 35, 256, "tq2_0"),
};

int64_t sp_format_bytes(enum sp_format f, int64_t elements)
{
    const struct sp_format_row *r = &sp_formats[f];
    return (elements + r->block - 1) / r->block * r->bytes;
}
