/* kernel/gemm_bits_body.h - the gemm row for weights in blocks: whole numbers times whole numbers, for x86 with AVX2.
 *
 * Rows of a become bytes with a scale for every 32 (the largest is 127), so that a product is one of bytes; what that
 * loses is below what the weights have lost.  Few rows (decoding) read the blocks as they are stored, once, bound by
 * memory.  More rows: see gemm_bits_tile_body.h.  A task does all of k for its columns.
 *
 * Before inclusion: SP_BITS_ROW, the row's name; where one instruction adds products of four bytes to 32 bits,
 * SP_BITS_DOT(sum, unsigned bytes, signed bytes).  Elsewhere sums of codes below 64 stay in 16 bits for as long as
 * they cannot overflow, and bytes with a sign give it to the other factor (so that -128 counts as 128).
 * SPDX-License-Identifier: Apache-2.0 */
#include "gemm_bits_vec.h"
#include "gemm_bits_tile_body.h"

/* ---- few rows ---- */

/* Bytes asked for before they are needed: processors' own reading ahead ends with a page, and so would the stream. */
enum { AHEAD = 2048, LINE = 64 };

ALWAYS float total(__m256 v)
{
    __m128 h = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    h = _mm_add_ps(h, _mm_movehl_ps(h, h));
    return _mm_cvtss_f32(_mm_add_ss(h, _mm_shuffle_ps(h, h, 1)));
}

/* Sums of products of four, of one run; signed codes: the sign of a goes to the code. */
ALWAYS __m256 products(__m256i code, __m256i a, bool is_signed)
{
#ifdef SP_BITS_DOT
    (void)is_signed;
    return _mm256_cvtepi32_ps(SP_BITS_DOT(_mm256_setzero_si256(), code, a));
#else
    __m256i p = is_signed ? _mm256_maddubs_epi16(_mm256_sign_epi8(a, a), _mm256_sign_epi8(code, a)) : _mm256_maddubs_epi16(code, a);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
#endif
}

/* The same of two runs by halves. */
ALWAYS __m256 two_products(const __m256i code[2], const __m256i a[2], bool is_signed)
{
#ifdef SP_BITS_DOT
    (void)is_signed;
    return _mm256_cvtepi32_ps(SP_BITS_DOT(SP_BITS_DOT(_mm256_setzero_si256(), code[0], a[0]), code[1], a[1]));
#else
    const __m256i one = _mm256_set1_epi16(1);
    if (!is_signed)
        return _mm256_cvtepi32_ps(_mm256_madd_epi16(_mm256_add_epi16(_mm256_maddubs_epi16(code[0], a[0]), _mm256_maddubs_epi16(code[1], a[1])), one));
    __m256i p[2];
    for (int h = 0; h < 2; h++)
        p[h] = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_sign_epi8(a[h], a[h]), _mm256_sign_epi8(code[h], a[h])), one);
    return _mm256_cvtepi32_ps(_mm256_add_epi32(p[0], p[1]));
#endif
}

/* Sums of a row of a: a chain of additions takes four cycles a link, so that few rows need several chains. */
enum { CHAINS = 4 };
ALWAYS int chains(const int m)
{
    return m > 2 ? 1 : CHAINS / m;
}

/* Eight runs of one row of b by m rows of a, from run `first`. */
ALWAYS void dot_chunk(__m256 sum[][CHAINS], __m256 *rest, const uint8_t *b, const struct row *a, int64_t first, const int m, const int format)
{
    const struct shape shape = shape_of(format);
    for (int64_t i = 0; i < sp_stored_bytes(CHUNK * R, format); i += LINE)
        _mm_prefetch((const char *)b + AHEAD + i, _MM_HINT_T0);
    const struct scales s = scales(b, format);
    __attribute__((aligned(32))) float d[4][2][CHUNK];
    UNROLL
    for (int i = 0; i < m; i++) {
        __m256 da = _mm256_loadu_ps(a[i].d + first);
        _mm256_store_ps(d[i][0], _mm256_mul_ps(s.d[0], da));
        if (shape.halves > 1)
            _mm256_store_ps(d[i][1], _mm256_mul_ps(s.d[1], da));
        __m256 all = _mm256_loadu_ps(a[i].sum + first), half = _mm256_loadu_ps(a[i].first + first);
        if (shape.halves > 1)
            rest[i] = _mm256_fmadd_ps(s.m[0], half, _mm256_fmadd_ps(s.m[1], _mm256_sub_ps(all, half), rest[i]));
        else if (shape.quads > 1)
            rest[i] = _mm256_fmadd_ps(s.m[0], all, rest[i]);
    }
    if (by_twos(format)) {
        UNROLL
        for (int r = 0; r < CHUNK; r += 2) {
            __m256i code[2];
            two_codes(code, b, r, format);
            UNROLL
            for (int i = 0; i < m; i++) {
                const __m256i q[2] = { load32((const uint8_t *)a[i].q + (first + r) * R), load32((const uint8_t *)a[i].q + (first + r + 1) * R) };
                const __m256i pick = _mm256_setr_epi32(r, r, r, r, r + 1, r + 1, r + 1, r + 1);
                __m256 *to = &sum[i][r / 2 % chains(m)];
                *to = _mm256_fmadd_ps(two_products(code, q, shape.quads == 1), _mm256_permutevar8x32_ps(_mm256_load_ps(d[i][0]), pick), *to);
                KEEP(*to);
            }
        }
        return;
    }
    UNROLL
    for (int r = 0; r < CHUNK; r++) {
        __m256i code = codes(b, r, format);
        UNROLL
        for (int i = 0; i < m; i++) {
            __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)(a[i].q + (first + r) * R));
            __m256 scale = _mm256_broadcast_ss(&d[i][0][r]);
            if (shape.halves > 1) /* lanes 0..3 are the first half */
                scale = _mm256_blend_ps(scale, _mm256_broadcast_ss(&d[i][1][r]), 0xF0);
            __m256 *to = &sum[i][r % chains(m)];
            *to = _mm256_fmadd_ps(products(code, q, shape.quads == 1), scale, *to);
            KEEP(*to);
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
        __m256 sum[4][CHAINS], rest[4];
        float more[4] = { 0 };
        UNROLL
        for (int i = 0; i < m; i++) {
            rest[i] = _mm256_setzero_ps();
            UNROLL
            for (int c = 0; c < chains(m); c++)
                sum[i][c] = _mm256_setzero_ps();
        }
        if (is_quick(format))
            for (int64_t first = 0; first < whole; first += CHUNK)
                dot_chunk(sum, rest, b + sp_stored_bytes(first * R, format), a, first, m, format);
        for (int64_t first = whole; first < runs; first += CHUNK)
            dot_rest(g, a, j, first, runs - first < CHUNK ? runs - first : CHUNK, more, m);
        for (int i = 0; i < m; i++) {
            UNROLL
            for (int c = 1; c < chains(m); c++)
                sum[i][0] = _mm256_add_ps(sum[i][0], sum[i][c]);
            finish(g, i, j, total(_mm256_sub_ps(sum[i][0], rest[i])) + more[i]);
        }
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

/* ---- the row ---- */

void SP_BITS_ROW(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_gemm_args *g = args;
    if (!phase)
        ready_rows(g, task);
    else
        (g->m <= FEW ? run_few : run_many)(g, task, scratch);
}

bool BITS_PASTE(SP_BITS_ROW, _fits)(const void *args)
{
    const struct sp_gemm_args *g = args;
    return sp_formats[g->b_format].block > 1 && sp_formats[g->a_format].block == 1 && g->trans == 2 && !g->b_packed && g->k > 0 && g->k % R == 0 &&
           g->k <= K_MAX && g->ldb % sp_formats[g->b_format].block == 0;
}

int64_t BITS_PASTE(SP_BITS_ROW, _tasks)(const void *args, int phase)
{
    const struct sp_gemm_args *g = args;
    struct cut cut = cut_of(g);
    if (!phase) /* rows made ready */
        return g->work && g->m > FEW ? ((g->m + TALL - 1) / TALL + TOGETHER - 1) / TOGETHER : 0;
    return g->m <= FEW ? (g->n + few_part(g) - 1) / few_part(g) : cut.down * cut.across;
}
