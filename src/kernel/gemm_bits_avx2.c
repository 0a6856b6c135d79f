/* kernel/gemm_bits_avx2.c - the gemm row for weights in blocks: whole numbers times whole numbers, by AVX2.
 *
 * Rows of a become bytes with a scale for every 32 (the largest is 127), so that a product is one of bytes; what that
 * loses is below what the weights have lost.  Few rows (decoding) read the blocks as they are stored, once, bound by
 * memory.  More rows: eight columns of c at a time are unpacked to a panel that holds four k of each side by side;
 * sums of codes below 64 stay in 16 bits for as long as they cannot overflow.  A task does all of k for its columns.
 * SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>
#include <string.h>

#include "embed.h"
#include "gemm_bits.h"

#define ALWAYS static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

enum { R = 32 /* a run */, CHUNK = 8 /* runs */, WIDE = 8 /* columns a panel */, HIGH = 4 /* rows at once */ };
enum { K_MAX = 1 << 17, BYTES_MAX = SP_SCRATCH_MAX - (64 << 10), TASKS = 16, TASKS_A_THREAD = 4 };

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
    default: return (struct shape){ 0, 1, 1 }; /* Q8_0, IQ4_NL, IQ4_XS */
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

static void to_bytes(int8_t *q, float *d, float *sum, float *half, const float *x, int64_t runs)
{
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFFFF));
    for (int64_t i = 0; i < runs; i++, x += R, q += R) {
        __m256 v[4], most = _mm256_setzero_ps();
        __m256i w[4];
        for (int j = 0; j < 4; j++) {
            v[j] = _mm256_loadu_ps(x + 8 * j);
            most = _mm256_max_ps(most, _mm256_and_ps(v[j], magnitude));
        }
        float top = most_of(most), step = top > 1e-30f ? 127 / top : 0;
        for (int j = 0; j < 4; j++)
            w[j] = _mm256_cvtps_epi32(_mm256_mul_ps(v[j], _mm256_set1_ps(step)));
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

/* Bytes for a row in scratch. */
static int64_t row_bytes(int64_t k)
{
    return k + k / R * 12;
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

ALWAYS __m256i table(__m256i code)
{
    const __m128i iq4 = _mm_loadu_si128((const __m128i *)(const void *)sp_run_iq4);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(iq4), code);
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
    case SP_Q8_0: return load32(b + run * 34 + 2);
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
    uint16_t h[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        memcpy(&h[i], b + i * bytes, 2);
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)h));
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
    struct scales s = { .m = { _mm256_setzero_ps(), _mm256_setzero_ps() } };
    switch (format) {
    case SP_Q4_0:
        s.d[0] = halves_of(b, 18);
        s.m[0] = _mm256_mul_ps(s.d[0], _mm256_set1_ps(8));
        break;
    case SP_Q8_0: s.d[0] = halves_of(b, 34); break;
    case SP_IQ4_NL: s.d[0] = halves_of(b, 18); break;
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
        __m256 d = _mm256_set1_ps(half_at(b + 208)), minus = _mm256_set1_ps(32);
        s.d[0] = _mm256_mul_ps(d, floats(sixteen));
        s.d[1] = _mm256_mul_ps(d, floats(_mm_srli_si128(sixteen, 8)));
        s.m[0] = _mm256_mul_ps(s.d[0], minus);
        s.m[1] = _mm256_mul_ps(s.d[1], minus);
    }
    }
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
        u->code[r] = _mm256_add_epi8(q, _mm256_set1_epi8((char)minus));
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

static void finish(const struct sp_gemm_args *g, int64_t i, int64_t j, float v)
{
    v += g->bias ? g->bias[j] : 0;
    v += g->acc ? g->acc[i * g->ldc + j] : 0;
    sp_store(g->c, i * g->ldc + j, g->c_format, v);
}

/* ---- few rows ---- */

ALWAYS float total(__m256 v)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}

/* Sums of products of four, of one run; signed codes: the sign of a goes to the code. */
ALWAYS __m256 products(__m256i code, __m256i a, bool is_signed)
{
    __m256i p = is_signed ? _mm256_maddubs_epi16(_mm256_sign_epi8(a, a), _mm256_sign_epi8(code, a)) : _mm256_maddubs_epi16(code, a);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
}

/* Eight runs of one row of b by m rows of a, from run `first`. */
ALWAYS void dot_chunk(__m256 *sum, __m256 *rest, const uint8_t *b, const struct row *a, int64_t first, const int m, const int format)
{
    const struct shape shape = shape_of(format);
    const struct scales s = scales(b, format);
    __attribute__((aligned(32))) float d[4][2][CHUNK];
    UNROLL
    for (int i = 0; i < m; i++) {
        __m256 da = _mm256_loadu_ps(a[i].d + first);
        _mm256_store_ps(d[i][0], _mm256_mul_ps(s.d[0], da));
        if (shape.halves > 1)
            _mm256_store_ps(d[i][1], _mm256_mul_ps(s.d[1], da));
        if (shape.halves == 1 && shape.quads > 1)
            rest[i] = _mm256_fmadd_ps(s.m[0], _mm256_loadu_ps(a[i].sum + first), rest[i]);
    }
    UNROLL
    for (int r = 0; r < CHUNK; r++) {
        __m256i code = codes(b, r, format);
        UNROLL
        for (int i = 0; i < m; i++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)(a[i].q + (first + r) * R));
            __m256 scale = _mm256_broadcast_ss(&d[i][0][r]);
            if (shape.halves > 1) { /* lanes 0..3 are the first half; its offset does not go by a's sums, which are of runs */
                scale = _mm256_blend_ps(scale, _mm256_broadcast_ss(&d[i][1][r]), 0xF0);
                code = i ? code : _mm256_sub_epi8(code, _mm256_set1_epi8((char)shape.minus));
            }
            sum[i] = _mm256_fmadd_ps(products(code, q, shape.quads == 1 || shape.halves > 1), scale, sum[i]);
        }
    }
}

ALWAYS __m256 two(float low, float high)
{
    return _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low));
}

/* Runs that are no whole chunk, or of a format without its own way. */
static void dot_rest(const struct sp_gemm_args *g, const struct row *a, int64_t j, int64_t first, int64_t runs, float *out, int m)
{
    struct unpacked u;
    const bool is_signed = shape_of(g->b_format).quads == 1;
    unpack(&u, g->b, j * (g->ldb / R) + first, runs, g->b_format);
    for (int i = 0; i < m; i++) {
        __m256 sum = _mm256_setzero_ps();
        for (int64_t r = 0; r < runs; r++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)(a[i].q + (first + r) * R));
            __m256 v = _mm256_mul_ps(products(u.code[r], q, is_signed), two(u.d[0][r], u.d[1][r]));
            v = _mm256_fnmadd_ps(products(_mm256_set1_epi8(1), q, false), two(u.m[0][r], u.m[1][r]), v);
            sum = _mm256_fmadd_ps(v, _mm256_set1_ps(a[i].d[first + r]), sum);
        }
        out[i] += total(sum);
    }
}

ALWAYS void dot_rows(const struct sp_gemm_args *g, const struct row *a, int64_t j, int64_t end, const int m, const int format)
{
    const int64_t runs = g->k / R, whole = is_quick(format) ? runs / CHUNK * CHUNK : 0;
    for (; j < end; j++) {
        const uint8_t *b = (const uint8_t *)g->b + sp_stored_bytes(j * g->ldb, format);
        __m256 sum[4], rest[4];
        float more[4] = { 0 };
        UNROLL
        for (int i = 0; i < m; i++)
            sum[i] = rest[i] = _mm256_setzero_ps();
        if (is_quick(format))
            for (int64_t first = 0; first < whole; first += CHUNK)
                dot_chunk(sum, rest, b + sp_stored_bytes(first * R, format), a, first, m, format);
        for (int64_t first = whole; first < runs; first += CHUNK)
            dot_rest(g, a, j, first, runs - first < CHUNK ? runs - first : CHUNK, more, m);
        for (int i = 0; i < m; i++)
            finish(g, i, j, total(_mm256_sub_ps(sum[i], rest[i])) + more[i]);
    }
}

#define DOTS(name, format)                                                                                    \
    static void name(const struct sp_gemm_args *g, const struct row *a, int64_t j, int64_t end)               \
    {                                                                                                         \
        g->m == 1   ? dot_rows(g, a, j, end, 1, format)                                                       \
        : g->m == 2 ? dot_rows(g, a, j, end, 2, format)                                                       \
        : g->m == 3 ? dot_rows(g, a, j, end, 3, format)                                                       \
                    : dot_rows(g, a, j, end, 4, format);                                                      \
    }
DOTS(dots_q4_0, SP_Q4_0)
DOTS(dots_q8_0, SP_Q8_0)
DOTS(dots_q4_k, SP_Q4_K)
DOTS(dots_q5_k, SP_Q5_K)
DOTS(dots_q6_k, SP_Q6_K)
DOTS(dots_iq4_nl, SP_IQ4_NL)
DOTS(dots_iq4_xs, SP_IQ4_XS)

static void dots_any(const struct sp_gemm_args *g, const struct row *a, int64_t j, int64_t end)
{
    dot_rows(g, a, j, end, (int)g->m, g->b_format);
}

static int64_t tasks_wanted(const struct sp_gemm_args *g)
{
    return g->threads > 0 ? TASKS_A_THREAD * g->threads : TASKS;
}

static int64_t part_of(int64_t n, int64_t wanted, int64_t unit, int64_t least)
{
    int64_t part = ((n + wanted - 1) / wanted + unit - 1) / unit * unit;
    return part < least ? least : part;
}

static int64_t few_part(const struct sp_gemm_args *g)
{
    return part_of(g->n, tasks_wanted(g), 4, 16);
}

static void run_few(const struct sp_gemm_args *g, int64_t task, void *scratch)
{
    struct rows all = take_rows(g, 0, g->m, scratch);
    struct row a[4];
    int64_t part = few_part(g), j = task * part, end = j + part < g->n ? j + part : g->n;
    for (int i = 0; i < g->m; i++)
        a[i] = row_at(&all, i);
    switch (g->b_format) {
    case SP_Q4_0: dots_q4_0(g, a, j, end); break;
    case SP_Q8_0: dots_q8_0(g, a, j, end); break;
    case SP_Q4_K: dots_q4_k(g, a, j, end); break;
    case SP_Q5_K: dots_q5_k(g, a, j, end); break;
    case SP_Q6_K: dots_q6_k(g, a, j, end); break;
    case SP_IQ4_NL: dots_iq4_nl(g, a, j, end); break;
    case SP_IQ4_XS: dots_iq4_xs(g, a, j, end); break;
    default: dots_any(g, a, j, end); break;
    }
}

/* ---- many rows ---- */

/* Eight columns of c: for every run 8 times 32 codes, four k of each column side by side, then scales and offsets of
 * its halves. */
struct panel { __m256i *code; float *scale; }; /* code[runs * 8], scale[runs * 32]: d, d of second halves, m, m */

/* to[s] = word s of each of eight. */
ALWAYS void turn(__m256i to[8], const __m256i r[8])
{
    __m256i u[8], v[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
        u[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4)
        UNROLL
        for (int j = 0; j < 2; j++) {
            v[i + 2 * j] = _mm256_unpacklo_epi64(u[i + j], u[i + j + 2]);
            v[i + 2 * j + 1] = _mm256_unpackhi_epi64(u[i + j], u[i + j + 2]);
        }
    UNROLL
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_si256(&to[i], _mm256_permute2x128_si256(v[i], v[i + 4], 0x20));
        _mm256_storeu_si256(&to[i + 4], _mm256_permute2x128_si256(v[i], v[i + 4], 0x31));
    }
}

static void fill_panel(const struct sp_gemm_args *g, const struct panel *p, int64_t j)
{
    struct unpacked u[WIDE];
    const int64_t runs = g->k / R;
    for (int64_t first = 0; first < runs; first += CHUNK) {
        int64_t n = runs - first < CHUNK ? runs - first : CHUNK;
        for (int c = 0; c < WIDE; c++) /* beyond the last column: that again */
            unpack(&u[c], g->b, (j + c < g->n ? j + c : g->n - 1) * (g->ldb / R) + first, n, g->b_format);
        for (int64_t r = 0; r < n; r++) {
            __m256i column[WIDE];
            float *scale = p->scale + (first + r) * 4 * WIDE;
            for (int c = 0; c < WIDE; c++) {
                column[c] = u[c].code[r];
                scale[c] = u[c].d[0][r];
                scale[WIDE + c] = u[c].d[1][r];
                scale[2 * WIDE + c] = u[c].m[0][r];
                scale[3 * WIDE + c] = u[c].m[1][r];
            }
            turn(p->code + (first + r) * WIDE, column);
        }
    }
}

static void put_row(const struct sp_gemm_args *g, int64_t i, int64_t j, __m256 sum)
{
    float v[WIDE];
    int64_t n = g->n - j < WIDE ? g->n - j : WIDE;
    if (n == WIDE && g->c_format == SP_F32) {
        int64_t at = i * g->ldc + j;
        sum = g->bias ? _mm256_add_ps(sum, _mm256_loadu_ps(g->bias + j)) : sum;
        sum = g->acc ? _mm256_add_ps(sum, _mm256_loadu_ps(g->acc + at)) : sum;
        _mm256_storeu_ps((float *)g->c + at, sum);
        return;
    }
    _mm256_storeu_ps(v, sum);
    for (int64_t c = 0; c < n; c++)
        finish(g, i, j + c, v[c]);
}

/* Sums of products of four k, of eight columns, of `quads` words from p on. */
ALWAYS void quads_of(__m256i part[HIGH], const __m256i *p, const struct row *a, int64_t at, const int rows, const int quads, bool more)
{
    __m256i sum[HIGH];
    UNROLL
    for (int t = 0; t < quads; t++) {
        __m256i w = _mm256_loadu_si256(p + t);
        UNROLL
        for (int r = 0; r < rows; r++) {
            int32_t four;
            memcpy(&four, a[r].q + at + 4 * t, 4);
            __m256i x = _mm256_set1_epi32(four);
            __m256i v = quads == 1 ? _mm256_maddubs_epi16(_mm256_sign_epi8(x, x), _mm256_sign_epi8(w, x)) : _mm256_maddubs_epi16(w, x);
            sum[r] = t ? _mm256_add_epi16(sum[r], v) : v;
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
        __m256i v = _mm256_madd_epi16(sum[r], _mm256_set1_epi16(1));
        part[r] = more ? _mm256_add_epi32(part[r], v) : v;
    }
}

ALWAYS void multiply(const struct sp_gemm_args *g, const struct panel *p, const struct row *a, int64_t i0, int64_t j, const int rows, const int quads,
                     const int halves)
{
    __m256 sum[HIGH];
    const int words = WIDE / halves;
    UNROLL
    for (int r = 0; r < rows; r++)
        sum[r] = _mm256_setzero_ps();
    for (int64_t run = 0; run < g->k / R; run++) {
        const float *scale = p->scale + run * 4 * WIDE;
        UNROLL
        for (int h = 0; h < halves; h++) {
            __m256i part[HIGH];
            UNROLL
            for (int s = 0; s < words; s += quads)
                quads_of(part, p->code + run * WIDE + h * words + s, a, run * R + (h * words + s) * 4, rows, quads < words ? quads : words, s);
            __m256 d = _mm256_loadu_ps(scale + h * WIDE), m = _mm256_loadu_ps(scale + (2 + h) * WIDE);
            UNROLL
            for (int r = 0; r < rows; r++) {
                sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(part[r]), _mm256_mul_ps(d, _mm256_broadcast_ss(a[r].d + run)), sum[r]);
                float rest = halves == 1 ? a[r].sum[run] : h ? a[r].sum[run] - a[r].first[run] : a[r].first[run];
                if (quads > 1)
                    sum[r] = _mm256_fnmadd_ps(m, _mm256_set1_ps(rest), sum[r]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++)
        put_row(g, i0 + r, j, sum[r]);
}

#define MULTIPLY(name, quads, halves)                                                                                              \
    static void name(const struct sp_gemm_args *g, const struct panel *p, const struct row *a, int64_t i, int64_t j, int64_t rows) \
    {                                                                                                                              \
        rows >= 4   ? multiply(g, p, a, i, j, 4, quads, halves)                                                                    \
        : rows == 3 ? multiply(g, p, a, i, j, 3, quads, halves)                                                                    \
        : rows == 2 ? multiply(g, p, a, i, j, 2, quads, halves)                                                                    \
                    : multiply(g, p, a, i, j, 1, quads, halves);                                                                   \
    }
MULTIPLY(multiply_8, 8, 1)
MULTIPLY(multiply_4, 4, 1)
MULTIPLY(multiply_1, 1, 1)
MULTIPLY(multiply_8_halves, 8, 2)
MULTIPLY(multiply_2_halves, 2, 2)

typedef void multiply_fn(const struct sp_gemm_args *g, const struct panel *p, const struct row *a, int64_t i, int64_t j, int64_t rows);

static multiply_fn *multiply_of(int format)
{
    struct shape s = shape_of(format);
    return s.halves > 1 ? (s.quads > 2 ? multiply_8_halves : multiply_2_halves) : s.quads == 8 ? multiply_8 : s.quads == 4 ? multiply_4 : multiply_1;
}

static int64_t panel_bytes(int64_t k)
{
    return k / R * (WIDE * R + 4 * WIDE * 4);
}

/* Rows and columns of c a task. */
struct cut { int64_t rows, cols, across; };

static struct cut cut_of(const struct sp_gemm_args *g)
{
    int64_t rows = (BYTES_MAX - panel_bytes(g->k)) / row_bytes(g->k) / HIGH * HIGH;
    struct cut c = { .rows = rows < g->m ? rows : g->m };
    c.cols = part_of(g->n, tasks_wanted(g), WIDE, 2 * WIDE);
    c.across = (g->n + c.cols - 1) / c.cols;
    return c;
}

static void run_many(const struct sp_gemm_args *g, int64_t task, void *scratch)
{
    struct cut cut = cut_of(g);
    int64_t i0 = task / cut.across * cut.rows, j0 = task % cut.across * cut.cols;
    int64_t m = g->m - i0 < cut.rows ? g->m - i0 : cut.rows, end = j0 + cut.cols < g->n ? j0 + cut.cols : g->n;
    struct panel p = { .code = scratch, .scale = (float *)((char *)scratch + g->k * WIDE) };
    struct rows all = take_rows(g, i0, m, (char *)scratch + panel_bytes(g->k));
    multiply_fn *multiply_rows = multiply_of(g->b_format);
    for (int64_t j = j0; j < end; j += WIDE) {
        fill_panel(g, &p, j);
        for (int64_t i = 0; i < m; i += HIGH) {
            struct row a[HIGH];
            for (int r = 0; r < HIGH && i + r < m; r++)
                a[r] = row_at(&all, i + r);
            multiply_rows(g, &p, a, i0 + i, j, m - i);
        }
    }
}

/* ---- the row ---- */

void sp_gemm_bits_avx2(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_gemm_args *g = args;
    (void)phase;
    (g->m <= HIGH ? run_few : run_many)(g, task, scratch);
}

bool sp_gemm_bits_avx2_fits(const void *args)
{
    const struct sp_gemm_args *g = args;
    return sp_formats[g->b_format].block > 1 && sp_formats[g->a_format].block == 1 && g->trans == 2 && !g->b_packed && g->k > 0 && g->k % R == 0 &&
           g->k <= K_MAX && g->ldb % sp_formats[g->b_format].block == 0;
}

int64_t sp_gemm_bits_avx2_tasks(const void *args, int phase)
{
    const struct sp_gemm_args *g = args;
    struct cut cut = cut_of(g);
    (void)phase;
    return g->m <= HIGH ? (g->n + few_part(g) - 1) / few_part(g) : (g->m + cut.rows - 1) / cut.rows * cut.across;
}
