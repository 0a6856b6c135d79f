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

const struct sp_format_row sp_formats[SP_FORMATS] = {
    [SP_F32] = { "f32", "F32", 1, 4, decode_f32, encode_f32 },
    [SP_F16] = { "f16", "F16", 1, 2, decode_f16, encode_f16 },
    [SP_BF16] = { "bf16", "BF16", 1, 2, decode_bf16, encode_bf16 },
    [SP_Q8_0] = { "q8_0", NULL, 32, 34, decode_q8_0, encode_q8_0 },
    [SP_I32] = { "i32", "I32", 1, 4, NULL, NULL },
    [SP_BYTES] = { "bytes", NULL, 1, 1, NULL, NULL },
};

int64_t sp_format_bytes(enum sp_format f, int64_t elements)
{
    const struct sp_format_row *r = &sp_formats[f];
    return (elements + r->block - 1) / r->block * r->bytes;
}
