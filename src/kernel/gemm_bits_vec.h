/* kernel/gemm_bits_vec.h - the two factors of gemm_bits_body.h: rows of a as bytes, blocks of b as codes and scales,
 * 256 at a time.  Formats that have no way of their own here go by way of struct sp_run.
 * SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>
#include <string.h>

#include "embed.h"
#include "gemm_bits.h"

#define ALWAYS static inline __attribute__((always_inline))
#if defined(__clang__)
#pragma clang diagnostic ignored "-Wpass-failed" /* below -O2 loops stay loops */
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Sums stay in their registers and in order: else compilers make trees of them, which spill. */
#define KEEP(v) __asm__("" : "+x"(v))
#define BITS_PASTE_(a, b) a##b
#define BITS_PASTE(a, b) BITS_PASTE_(a, b)

enum { R = 32 /* a run */, CHUNK = 8 /* runs */, FEW = 4 /* rows read with the blocks as stored */ };

/* Codes are 0..most with `minus` to subtract, or signed bytes (quads 1).  quads: how many sums of four codes in pairs
 * 16 bits hold.  halves: scales differ within a run. */
struct shape { int minus, quads, halves; };

ALWAYS struct shape shape_of(int format)
{
    switch (format) {
    case SP_Q4_0: return (struct shape){ 8, 8, 1 };
    case SP_Q4_1: case SP_Q4_K: return (struct shape){ 0, 8, 1 };
    case SP_Q5_0: return (struct shape){ 16, 4, 1 };
    case SP_Q5_1: case SP_Q5_K: return (struct shape){ 0, 4, 1 };
    case SP_Q2_K: return (struct shape){ 0, 8, 2 };
    case SP_Q3_K: return (struct shape){ 4, 8, 2 };
    case SP_Q6_K: return (struct shape){ 32, 2, 2 };
    case SP_TQ1_0: case SP_TQ2_0: return (struct shape){ 1, 8, 1 };
    case SP_MXFP4: return (struct shape){ 12, 4, 1 };
#ifdef SP_BITS_DOT
    default: return (struct shape){ 128, 8, 1 };
#else
    default: return (struct shape){ 0, 1, 1 }; /* Q8_0, IQ4_NL, IQ4_XS */
#endif
    }
}

/* ---- rows of a as bytes ---- */

/* A row of a: k codes; for every run its scale, and scale times the sum of its codes, and of the first 16. */
struct row { const int8_t *q; const float *d, *sum, *first; };

ALWAYS float most_of(__m256 v)
{
    __m128 h = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_max_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_max_ss(h, _mm_shuffle_ps(h, h, 1)));
}

/* Sums of the first 16 bytes and of all. */
ALWAYS void sums_of(__m256i q, int *first, int *all)
{
    __m256i v = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
    v = _mm256_add_epi32(v, _mm256_shuffle_epi32(v, 0x4E));
    v = _mm256_add_epi32(v, _mm256_shuffle_epi32(v, 0xB1));
    *first = _mm256_cvtsi256_si32(v);
    *all = *first + _mm_cvtsi128_si32(_mm256_extracti128_si256(v, 1));
}

/* The largest magnitude of a run. */
ALWAYS float largest(const float *x)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    __m256 most = _mm256_setzero_ps();
    for (int j = 0; j < 4; j++)
        most = _mm256_max_ps(most, _mm256_and_ps(_mm256_loadu_ps(x + 8 * j), magnitude));
    return most_of(most);
}

static void to_bytes(int8_t *q, float *d, float *sum, float *half, const float *x, int64_t runs)
{
    for (int64_t i = 0; i < runs; i++, x += R, q += R) {
        float top = largest(x), step = top > 1e-30f ? 127 / top : 0;
        __m256i w[4];
        for (int j = 0; j < 4; j++)
            w[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * j), _mm256_set1_ps(step)));
        __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(w[0], w[1]), _mm256_packs_epi32(w[2], w[3]));
        bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
        _mm256_storeu_si256((__m256i *)(void *)q, bytes);
        int first, all;
        sums_of(bytes, &first, &all);
        d[i] = top / 127;
        sum[i] = d[i] * (float)all;
        half[i] = d[i] * (float)first;
    }
}

/* Runs of 16 bytes of nibbles are taken by twos: the low halves of two runs together, then the high ones. */
ALWAYS bool by_twos(int format)
{
    return format == SP_Q4_0 || format == SP_IQ4_NL || format == SP_IQ4_XS;
}

static void to_twos(int8_t *q)
{
    for (int r = 0; r < CHUNK; r += 2, q += 2 * R) {
        __m256i *at = (__m256i *)(void *)q, x = _mm256_loadu_si256(at), y = _mm256_loadu_si256(at + 1);
        _mm256_storeu_si256(at, _mm256_permute2x128_si256(x, y, 0x20));
        _mm256_storeu_si256(at + 1, _mm256_permute2x128_si256(x, y, 0x31));
    }
}

struct rows { int8_t *q; float *d, *sum, *first; int64_t k, runs; };

static struct rows take_rows(const struct sp_gemm_args *g, int64_t i0, int64_t count, void *scratch)
{
    struct rows a = { .k = g->k, .runs = g->k / R };
    a.d = scratch;
    a.sum = a.d + count * a.runs;
    a.first = a.sum + count * a.runs;
    a.q = (int8_t *)(a.first + count * a.runs);
    for (int64_t i = 0; i < count; i++)
        for (int64_t run = 0; run < a.runs; run += CHUNK) {
            float line[CHUNK * R];
            const float *x = (const float *)g->a + (i0 + i) * g->lda + run * R;
            int64_t n = a.runs - run < CHUNK ? a.runs - run : CHUNK;
            if (g->a_format != SP_F32) {
                sp_load_many(line, g->a, (i0 + i) * g->lda + run * R, n * R, g->a_format);
                x = line;
            }
            int64_t at = i * a.runs + run;
            to_bytes(a.q + at * R, a.d + at, a.sum + at, a.first + at, x, n);
            if (n == CHUNK && by_twos(g->b_format))
                to_twos(a.q + at * R);
        }
    return a;
}

static struct row row_at(const struct rows *a, int64_t i)
{
    return (struct row){ a->q + i * a->k, a->d + i * a->runs, a->sum + i * a->runs, a->first + i * a->runs };
}

/* ---- blocks of b: eight runs at a time ---- */

ALWAYS __m256i nibbles(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_and_si256(_mm256_inserti128_si256(_mm256_castsi128_si256(v), _mm_srli_epi16(v, 4), 1), _mm256_set1_epi8(15));
}

/* What signed bytes need to become codes. */
ALWAYS __m256i raised(__m256i q, int format)
{
    int minus = shape_of(format).minus;
    return minus ? _mm256_add_epi8(q, _mm256_set1_epi8((char)minus)) : q;
}

ALWAYS __m256i table(__m256i code)
{
    const __m128i iq4 = _mm_loadu_si128((const __m128i *)(const void *)sp_run_iq4);
    return _mm256_shuffle_epi8(raised(_mm256_broadcastsi128_si256(iq4), SP_IQ4_NL), code);
}

ALWAYS __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* Codes of run `run` of the eight that start at b, in the order of k. */
ALWAYS __m256i codes(const uint8_t *b, int run, int format)
{
    const __m256i low = _mm256_set1_epi8(15);
    switch (format) {
    case SP_Q4_0: return nibbles(b + run * 18 + 2);
    case SP_Q8_0: return raised(load32(b + run * 34 + 2), format);
    case SP_IQ4_NL: return table(nibbles(b + run * 18 + 2));
    case SP_IQ4_XS: return table(nibbles(b + 8 + run * 16));
    case SP_Q4_K: {
        __m256i v = load32(b + 16 + run / 2 * 32);
        return _mm256_and_si256(run % 2 ? _mm256_srli_epi16(v, 4) : v, low);
    }
    case SP_Q5_K: {
        __m256i v = load32(b + 48 + run / 2 * 32), h = load32(b + 16), fifth = _mm256_set1_epi8(16);
        h = run < 4 ? _mm256_slli_epi16(h, 4 - (run < 4 ? run : 4)) : _mm256_srli_epi16(h, run < 4 ? 0 : run - 4);
        return _mm256_or_si256(_mm256_and_si256(run % 2 ? _mm256_srli_epi16(v, 4) : v, low), _mm256_and_si256(h, fifth));
    }
    default: { /* Q6_K */
        __m256i v = load32(b + run / 4 * 64 + run % 2 * 32), h = load32(b + 128 + run / 4 * 32), two = _mm256_set1_epi8(48);
        int shift = run % 4 * 2;
        h = shift < 4 ? _mm256_slli_epi16(h, shift < 4 ? 4 - shift : 0) : _mm256_srli_epi16(h, shift < 4 ? 0 : shift - 4);
        return _mm256_or_si256(_mm256_and_si256(run % 4 > 1 ? _mm256_srli_epi16(v, 4) : v, low), _mm256_and_si256(h, two));
    }
    }
}

/* Codes of runs `run` and run + 1: the low halves, the high halves. */
ALWAYS void two_codes(__m256i to[2], const uint8_t *b, int run, int format)
{
    const int from = format == SP_IQ4_XS ? 8 : 2, bytes = format == SP_IQ4_XS ? 16 : 18;
    const __m128i *x = (const __m128i *)(const void *)(b + from + run * bytes), *y = (const __m128i *)(const void *)(b + from + (run + 1) * bytes);
    const __m256i v = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(x)), _mm_loadu_si128(y), 1), low = _mm256_set1_epi8(15);
    to[0] = _mm256_and_si256(v, low);
    to[1] = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
    for (int i = 0; i < 2 && format != SP_Q4_0; i++)
        to[i] = table(to[i]);
}

struct scales { __m256 d[2], m[2]; }; /* for eight runs: of the first and the second half; value: code d - m */

ALWAYS float half_at(const uint8_t *p)
{
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return _cvtsh_ss(h);
}

/* f16 scales in front of eight blocks. */
ALWAYS __m256 halves_of(const uint8_t *b, int bytes)
{
    short h[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(&h[i], b + i * bytes, 2);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* Eight scales and eight offsets of 6 bits in 12 bytes, as bytes: scales, offsets. */
ALWAYS __m128i six_bits(const uint8_t *p)
{
    uint32_t a, b, c;
    memcpy(&a, p, 4);
    memcpy(&b, p + 4, 4);
    memcpy(&c, p + 8, 4);
    return _mm_setr_epi32((int)(a & 0x3F3F3F3F), (int)((c & 0x0F0F0F0F) | (a >> 2 & 0x30303030)), (int)(b & 0x3F3F3F3F),
                          (int)((c >> 4 & 0x0F0F0F0F) | (b >> 2 & 0x30303030)));
}

ALWAYS __m256 floats(__m128i bytes)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

ALWAYS __m256 xs_scales(const uint8_t *b)
{
    uint16_t high;
    uint32_t low;
    memcpy(&high, b + 2, 2);
    memcpy(&low, b + 4, 4);
    const __m256i l = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32((int)low), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28)),
                                       _mm256_set1_epi32(15));
    const __m256i h = _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(high), _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14)),
                                       _mm256_set1_epi32(3));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_or_si256(l, _mm256_slli_epi32(h, 4)), _mm256_set1_epi32(32)));
}

ALWAYS struct scales scales(const uint8_t *b, int format)
{
    struct scales s = { { _mm256_setzero_ps(), _mm256_setzero_ps() }, { _mm256_setzero_ps(), _mm256_setzero_ps() } };
    switch (format) {
    case SP_Q8_0: s.d[0] = halves_of(b, 34); break;
    case SP_Q4_0: case SP_IQ4_NL: s.d[0] = halves_of(b, 18); break;
    case SP_IQ4_XS: s.d[0] = _mm256_mul_ps(_mm256_set1_ps(half_at(b)), xs_scales(b)); break;
    case SP_Q4_K: case SP_Q5_K: {
        __m128i six = six_bits(b + 4);
        s.d[0] = _mm256_mul_ps(_mm256_set1_ps(half_at(b)), floats(six));
        s.m[0] = _mm256_mul_ps(_mm256_set1_ps(half_at(b + 2)), floats(_mm_srli_si128(six, 8)));
        break;
    }
    default: { /* Q6_K: scales of first and second halves stand in turn */
        const __m128i turn = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
        __m128i sixteen = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(b + 192)), turn);
        __m256 d = _mm256_set1_ps(half_at(b + 208));
        s.d[0] = _mm256_mul_ps(d, floats(sixteen));
        s.d[1] = _mm256_mul_ps(d, floats(_mm_srli_si128(sixteen, 8)));
    }
    }
    for (int h = 0; h < 2 && shape_of(format).minus; h++)
        s.m[h] = _mm256_mul_ps(s.d[h], _mm256_set1_ps((float)shape_of(format).minus));
    if (shape_of(format).halves == 1) {
        s.d[1] = s.d[0];
        s.m[1] = s.m[0];
    }
    return s;
}

/* Whether the functions above know it; others go by way of struct sp_run. */
ALWAYS bool is_quick(int format)
{
    return format == SP_Q4_0 || format == SP_Q8_0 || format == SP_Q4_K || format == SP_Q5_K || format == SP_Q6_K || format == SP_IQ4_NL ||
           format == SP_IQ4_XS;
}

/* Some runs of a row unpacked: codes as shape_of says, scales of halves in turn. */
struct unpacked { __m256i code[CHUNK]; float d[2][CHUNK], m[2][CHUNK]; };

ALWAYS void unpack_quick(struct unpacked *u, const uint8_t *b, const int format)
{
    struct scales s = scales(b, format);
    UNROLL
    for (int r = 0; r < CHUNK; r++)
        u->code[r] = codes(b, r, format);
    for (int h = 0; h < 2; h++) {
        _mm256_storeu_ps(u->d[h], s.d[h]);
        _mm256_storeu_ps(u->m[h], s.m[h]);
    }
}

static void unpack_any(struct unpacked *u, const void *b, int64_t first, int64_t runs, int format)
{
    const int minus = shape_of(format).minus;
    for (int64_t r = 0; r < runs; r++) {
        struct sp_run run;
        sp_run_of(&run, b, first + r, format);
        __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)run.q);
        u->code[r] = raised(q, format);
        for (int h = 0; h < 2; h++) {
            u->d[h][r] = run.d[h];
            u->m[h][r] = run.m[h] + (float)minus * run.d[h];
        }
    }
}

/* Runs first.. of b, `runs` of them, 8 or what is left. */
static void unpack(struct unpacked *u, const void *b, int64_t first, int64_t runs, int format)
{
    const uint8_t *at = (const uint8_t *)b + sp_stored_bytes(first * R, format);
    if (runs < CHUNK) {
        unpack_any(u, b, first, runs, format);
        return;
    }
    switch (format) {
    case SP_Q4_0: unpack_quick(u, at, SP_Q4_0); break;
    case SP_Q8_0: unpack_quick(u, at, SP_Q8_0); break;
    case SP_Q4_K: unpack_quick(u, at, SP_Q4_K); break;
    case SP_Q5_K: unpack_quick(u, at, SP_Q5_K); break;
    case SP_Q6_K: unpack_quick(u, at, SP_Q6_K); break;
    case SP_IQ4_NL: unpack_quick(u, at, SP_IQ4_NL); break;
    case SP_IQ4_XS: unpack_quick(u, at, SP_IQ4_XS); break;
    default: unpack_any(u, b, first, runs, format); break;
    }
}
