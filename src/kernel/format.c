/* kernel/format.c - the table of number formats: size, decoder, encoder.
 *
 * The conversions are the portable kernels' own; fast rows bring their own and
 * are tested against these.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../cost/cost.h"
#include "embed.h"
#include "format.h"

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

#if defined(__x86_64__)
#define FASTEST(name, ...) (sp_cpu_features() & SP_CPU_AVX2 ? name##_avx2(__VA_ARGS__) : name##_plain(__VA_ARGS__))
#else
#define FASTEST(name, ...) name##_plain(__VA_ARGS__)
#endif

static void decode_f16(float *to, const void *from, int64_t n)
{
    FASTEST(sp_format_decode_16, to, from, n, false);
}

static void encode_f16(void *to, const float *from, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        ((uint16_t *)to)[i] = sp_to_f16(from[i]);
}

static void decode_bf16(float *to, const void *from, int64_t n)
{
    FASTEST(sp_format_decode_16, to, from, n, true);
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

static void encode_q8_0(void *to, const float *from, int64_t n)
{
    FASTEST(sp_format_nearest_q8_0, to, from, n);
}

static void search(int format, void *to, const float *from, const float *weight, int64_t n)
{
    FASTEST(sp_format_search, format, to, from, weight, n);
}

static void search_q8_0(void *to, const float *from, const float *weight, int64_t n)
{
    search(SP_Q8_0, to, from, weight, n);
}

/* The three functions of a format in blocks. */
#define BLOCKS(NAME, run)                                                                       \
    static void decode_##run(float *to, const void *from, int64_t n)                            \
    {                                                                                           \
        struct sp_run r;                                                                        \
        for (int64_t i = 0; i < n / 32; i++) {                                                  \
            sp_run_of(&r, from, i, SP_##NAME);                                                  \
            sp_run_values(to + i * 32, &r);                                                     \
        }                                                                                       \
    }                                                                                           \
    static void search_##run(void *to, const float *from, const float *weight, int64_t n)       \
    {                                                                                           \
        search(SP_##NAME, to, from, weight, n);                                                 \
    }                                                                                           \
    static void encode_##run(void *to, const float *from, int64_t n)                            \
    {                                                                                           \
        search(SP_##NAME, to, from, NULL, n);                                                   \
    }
BLOCKS(Q4_0, q4_0)
BLOCKS(Q4_1, q4_1)
BLOCKS(Q5_0, q5_0)
BLOCKS(Q5_1, q5_1)
BLOCKS(Q2_K, q2_k)
BLOCKS(Q3_K, q3_k)
BLOCKS(Q4_K, q4_k)
BLOCKS(Q5_K, q5_k)
BLOCKS(Q6_K, q6_k)
BLOCKS(IQ4_NL, iq4_nl)
BLOCKS(IQ4_XS, iq4_xs)
BLOCKS(MXFP4, mxfp4)
BLOCKS(TQ1_0, tq1_0)
BLOCKS(TQ2_0, tq2_0)

/* ggml's number of the format, elements and bytes a block. */
#define ROW(NAME, run, type, elements, size)                                                                                      \
    [SP_##NAME] = { .name = #run, .block = elements, .bytes = size, .decode = decode_##run, .encode = encode_##run, .gguf = #NAME, \
                    .gguf_type = type, .encode_weighted = search_##run }

const struct sp_format_row sp_formats[SP_FORMATS] = {
    [SP_F32] = { "f32", "F32", 1, 4, decode_f32, encode_f32, "F32", 0 },
    [SP_F16] = { "f16", "F16", 1, 2, decode_f16, encode_f16, "F16", 1 },
    [SP_BF16] = { "bf16", "BF16", 1, 2, decode_bf16, encode_bf16, "BF16", 30 },
    [SP_Q8_0] = { "q8_0", NULL, 32, 34, decode_q8_0, encode_q8_0, "Q8_0", 8, search_q8_0 },
    [SP_I32] = { "i32", "I32", 1, 4, NULL, NULL, "I32", 26 },
    [SP_BYTES] = { "bytes", NULL, 1, 1, NULL, NULL },
    ROW(Q4_0, q4_0, 2, 32, 18),
    ROW(Q4_1, q4_1, 3, 32, 20),
    ROW(Q5_0, q5_0, 6, 32, 22),
    ROW(Q5_1, q5_1, 7, 32, 24),
    ROW(Q2_K, q2_k, 10, 256, 84),
    ROW(Q3_K, q3_k, 11, 256, 110),
    ROW(Q4_K, q4_k, 12, 256, 144),
    ROW(Q5_K, q5_k, 13, 256, 176),
    ROW(Q6_K, q6_k, 14, 256, 210),
    ROW(IQ4_NL, iq4_nl, 20, 32, 18),
    ROW(IQ4_XS, iq4_xs, 23, 256, 136),
    ROW(MXFP4, mxfp4, 39, 32, 17),
    ROW(TQ1_0, tq1_0, 34, 256, 54),
    ROW(TQ2_0, tq2_0, 35, 256, 66),
};

int64_t sp_format_bytes(enum sp_format f, int64_t elements)
{
    const struct sp_format_row *r = &sp_formats[f];
    return (elements + r->block - 1) / r->block * r->bytes;
}
