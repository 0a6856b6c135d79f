/* kernel/gemm_bits_body.h - the gemm row for weights in blocks: whole numbers times whole numbers, for x86 with AVX2.
 *
 * Rows of a become bytes with a scale for every 32 (the largest is 127), so that a product is one of bytes; what that
 * loses is below what the weights have lost.  Few rows (decoding) read the blocks as they are stored, once, bound by
 * memory.  More rows: eight columns of c at a time are unpacked to a panel that holds four k of each side by side.
 * A task does all of k for its columns.
 *
 * Before inclusion: SP_BITS_ROW, the row's name; where one instruction adds products of four bytes to 32 bits,
 * SP_BITS_DOT(sum, unsigned bytes, signed bytes).  Elsewhere sums of codes below 64 stay in 16 bits for as long as
 * they cannot overflow, and bytes with a sign give it to the other factor (so that -128 counts as 128).
 * SPDX-License-Identifier: Apache-2.0 */
#include "gemm_bits_vec.h"

enum { K_MAX = 1 << 17, BYTES_MAX = SP_SCRATCH_MAX - (64 << 10), TASKS = 16, TASKS_A_THREAD = 4 };

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
#ifdef SP_BITS_DOT
    (void)is_signed;
    return _mm256_cvtepi32_ps(SP_BITS_DOT(_mm256_setzero_si256(), code, a));
#else
    __m256i p = is_signed ? _mm256_maddubs_epi16(_mm256_sign_epi8(a, a), _mm256_sign_epi8(code, a)) : _mm256_maddubs_epi16(code, a);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(p, _mm256_set1_epi16(1)));
#endif
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
        __m256 all = _mm256_loadu_ps(a[i].sum + first), half = _mm256_loadu_ps(a[i].first + first);
        if (shape.halves > 1)
            rest[i] = _mm256_fmadd_ps(s.m[0], half, _mm256_fmadd_ps(s.m[1], _mm256_sub_ps(all, half), rest[i]));
        else if (shape.quads > 1)
            rest[i] = _mm256_fmadd_ps(s.m[0], all, rest[i]);
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
            sum[i] = _mm256_fmadd_ps(products(code, q, shape.quads == 1), scale, sum[i]);
            KEEP(sum[i]);
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
ALWAYS void quads_of(__m256i part[HIGH], const __m256i *p, const struct row *a, int64_t at, const int rows, const int quads, const bool is_signed,
                     const bool more)
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
#ifdef SP_BITS_DOT
            sum[r] = SP_BITS_DOT(t ? sum[r] : more ? part[r] : _mm256_setzero_si256(), w, x);
#else
            __m256i v = is_signed ? _mm256_maddubs_epi16(_mm256_sign_epi8(x, x), _mm256_sign_epi8(w, x)) : _mm256_maddubs_epi16(w, x);
            sum[r] = t ? _mm256_add_epi16(sum[r], v) : v;
#endif
            KEEP(sum[r]);
        }
    }
    UNROLL
    for (int r = 0; r < rows; r++) {
#ifdef SP_BITS_DOT
        part[r] = sum[r];
#else
        __m256i v = _mm256_madd_epi16(sum[r], _mm256_set1_epi16(1));
        part[r] = more ? _mm256_add_epi32(part[r], v) : v;
#endif
        KEEP(part[r]);
    }
    (void)is_signed;
    (void)more;
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
                quads_of(part, p->code + run * WIDE + h * words + s, a, run * R + (h * words + s) * 4, rows, quads < words ? quads : words, quads == 1,
                         s > 0);
            __m256 d = _mm256_loadu_ps(scale + h * WIDE), m = _mm256_loadu_ps(scale + (2 + h) * WIDE);
            UNROLL
            for (int r = 0; r < rows; r++) {
                sum[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(part[r]), _mm256_mul_ps(d, _mm256_broadcast_ss(a[r].d + run)), sum[r]);
                float rest = halves == 1 ? a[r].sum[run] : h ? a[r].sum[run] - a[r].first[run] : a[r].first[run];
                if (quads > 1)
                    sum[r] = _mm256_fnmadd_ps(m, _mm256_set1_ps(rest), sum[r]);
                KEEP(sum[r]);
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
MULTIPLY(multiply_8_halves, 8, 2)
#ifndef SP_BITS_DOT
MULTIPLY(multiply_4, 4, 1)
MULTIPLY(multiply_1, 1, 1)
MULTIPLY(multiply_2_halves, 2, 2)
#endif

typedef void multiply_fn(const struct sp_gemm_args *g, const struct panel *p, const struct row *a, int64_t i, int64_t j, int64_t rows);

static multiply_fn *multiply_of(int format)
{
    struct shape s = shape_of(format);
#ifdef SP_BITS_DOT
    return s.halves > 1 ? multiply_8_halves : multiply_8;
#else
    return s.halves > 1 ? (s.quads > 2 ? multiply_8_halves : multiply_2_halves) : s.quads == 8 ? multiply_8 : s.quads == 4 ? multiply_4 : multiply_1;
#endif
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
    struct panel p = { .code = scratch, .scale = (float *)(void *)((char *)scratch + g->k * WIDE) };
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

void SP_BITS_ROW(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_gemm_args *g = args;
    (void)phase;
    (g->m <= HIGH ? run_few : run_many)(g, task, scratch);
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
    (void)phase;
    return g->m <= HIGH ? (g->n + few_part(g) - 1) / few_part(g) : (g->m + cut.rows - 1) / cut.rows * cut.across;
}
