/* kernel/gemm_body.h - a gemm row for vectors of SP_W floats: included once a width.
 *
 * After Goto and van de Geijn (2008): a piece of a stays in the second cache, a
 * panel of b in the first, and MR by 2 vectors of sums in registers.  Stored
 * formats become f32 while they are packed.  A task is one tile of c, packed on
 * its own, so that no task waits for another.  Few rows (decoding) are dot
 * products straight from the stored weights, bound by memory.
 *
 * Before inclusion: SP_GEMM_MR (rows in registers), SP_GEMM_NAME (the row).
 * SPDX-License-Identifier: Apache-2.0 */
#include "embed.h"
#include "gemm.h"
#include "vec.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define EXPORT(what) PASTE(PASTE(sp_gemm_, SP_GEMM_NAME), what)
#define ALWAYS static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum { MR = SP_GEMM_MR, NR = 2 * SP_W, Q = 32 /* q8_0: elements a block */, Q_BYTES = 34 };
typedef int8_t sp_vb __attribute__((vector_size(SP_W)));

/* ---- stored numbers to f32 ---- */

ALWAYS sp_vf from_f16(const uint16_t *p)
{
#if SP_W == 16 && defined(__AVX512F__)
    return (sp_vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#elif SP_W == 8 && defined(__F16C__)
    return (sp_vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#elif SP_W == 4 && defined(__aarch64__)
    return (sp_vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
#else
    sp_vf v;
    for (int i = 0; i < SP_W; i++)
        v[i] = sp_from_f16(p[i]);
    return v;
#endif
}

ALWAYS sp_vf from_i8(const int8_t *p)
{
#if SP_W == 8 && defined(__AVX2__)
    return (sp_vf)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#elif SP_W == 4 && defined(__aarch64__)
    uint32_t four;
    memcpy(&four, p, sizeof four);
    return (sp_vf)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(four))))));
#else
    sp_vb b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, sp_vf);
#endif
}

/* SP_W elements from place `at`; not q8_0. */
ALWAYS sp_vf stored(const void *p, int64_t at, int format)
{
    if (format == SP_F16)
        return from_f16((const uint16_t *)p + at);
#if SP_W == 8 && defined(__AVX2__)
    if (format == SP_BF16)
        return (sp_vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)p + at))), 16);
#endif
    return sp_vget(p, at, format);
}

ALWAYS const int8_t *q8_block(const void *p, int64_t at, float *scale)
{
    const unsigned char *b = (const unsigned char *)p + at / Q * Q_BYTES;
    uint16_t h = (uint16_t)(b[0] | b[1] << 8);
#if defined(__F16C__)
    *scale = _cvtsh_ss(h);
#else
    *scale = sp_from_f16(h);
#endif
    return (const int8_t *)b + 2;
}

static void decode_q8(float *to, const void *from, int64_t at, int64_t n)
{
    int64_t i = 0;
    for (; i < n && (at + i) % Q; i++)
        to[i] = sp_from_q8_0(from, at + i);
    for (; i + Q <= n; i += Q) {
        float scale;
        const int8_t *b = q8_block(from, at + i, &scale);
        for (int j = 0; j < Q; j += SP_W)
            sp_vstore(to + i + j, from_i8(b + j) * sp_vsplat(scale));
    }
    for (; i < n; i++)
        to[i] = sp_from_q8_0(from, at + i);
}

/* n elements from place `at`, which f32 need not copy: the caller reads what is returned. */
static const float *decode(float *to, const void *from, int64_t at, int64_t n, int format)
{
    if (format == SP_F32)
        return (const float *)from + at;
    if (format == SP_Q8_0) {
        decode_q8(to, from, at, n);
        return to;
    }
    if (sp_formats[format].block > 1) {
        sp_load_many(to, from, at, n, format);
        return to;
    }
    int64_t i = 0;
    for (; i + SP_W <= n; i += SP_W)
        sp_vstore(to + i, stored(from, at + i, format));
    for (; i < n; i++)
        to[i] = sp_load(from, at + i, format);
    return to;
}

enum { ALONG = 4 /* rows at a time: what is written lies together */ };

/* ---- packing: panels of `wide` rows (of a) or columns (of b), depth by depth ---- */

struct source { const void *at; int64_t ld; int32_t format; bool along; /* a panel's elements lie side by side */ };

/* The rows that are packed next: asked for while these are. */
struct ahead { const char *at; int64_t row, element; };

ALWAYS struct ahead ahead_of(struct source s, int64_t at)
{
    int64_t bytes = s.format == SP_F32 ? 4 : sp_formats[s.format].block > 1 ? 1 : 2;
    return (struct ahead){ (const char *)((uintptr_t)s.at + (uintptr_t)(at * bytes)), s.ld * bytes, bytes };
}

ALWAYS void fetch(const struct ahead *a, int64_t row, int64_t element)
{
    __builtin_prefetch((const void *)((uintptr_t)a->at + (uintptr_t)(row * a->row + element * a->element)));
}

ALWAYS void pack_along(float *to, const int wide, struct source s, int64_t p0, int64_t np, int64_t l0, int64_t depth, float *temp)
{
    for (int64_t l = 0; l < depth; l += ALONG) {
        const float *row[ALONG];
        int count = depth - l < ALONG ? (int)(depth - l) : ALONG;
        for (int i = 0; i < count; i++)
            row[i] = decode(temp + i * SP_GEMM_COLS, s.at, (l0 + l + i) * s.ld + p0, np, s.format);
        struct ahead next = ahead_of(s, (l0 + l + ALONG) * s.ld + p0);
        int64_t p = 0;
        for (; p + wide <= np; p += wide)
            for (int i = 0; i < count; i++) {
                fetch(&next, i, p);
                memcpy(to + p * depth + (l + i) * wide, row[i] + p, (size_t)wide * sizeof *to);
            }
        for (int64_t q = p; q < p + wide && p < np; q++)
            for (int i = 0; i < count; i++)
                to[p * depth + (l + i) * wide + q - p] = q < np ? row[i][q] : 0;
    }
}

static const float zeros[SP_GEMM_DEPTH];

#if SP_W == 4 && defined(__aarch64__)
/* 4 by 4 numbers: to[q * wide] gets column q of the rows. */
ALWAYS void turn_four(float *to, int wide, const float *const row[4], int64_t l)
{
    float32x4_t a = vld1q_f32(row[0] + l), b = vld1q_f32(row[1] + l), c = vld1q_f32(row[2] + l), d = vld1q_f32(row[3] + l);
    float64x2_t even_ab = (float64x2_t)vtrn1q_f32(a, b), odd_ab = (float64x2_t)vtrn2q_f32(a, b);
    float64x2_t even_cd = (float64x2_t)vtrn1q_f32(c, d), odd_cd = (float64x2_t)vtrn2q_f32(c, d);
    vst1q_f32(to, (float32x4_t)vtrn1q_f64(even_ab, even_cd));
    vst1q_f32(to + wide, (float32x4_t)vtrn1q_f64(odd_ab, odd_cd));
    vst1q_f32(to + 2 * wide, (float32x4_t)vtrn2q_f64(even_ab, even_cd));
    vst1q_f32(to + 3 * wide, (float32x4_t)vtrn2q_f64(odd_ab, odd_cd));
}
#endif

/* 8 by 8 numbers from eight rows at l to out[0..8) * wide: to[q] gets column q of the rows. */
ALWAYS void turn(float *to, int wide, const float *const row[8], int64_t l, bool half)
{
#if defined(__AVX2__)
    __m256 r[8], u[8];
    UNROLL
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps(row[i] + l);
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        u[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        u[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4)
        UNROLL
        for (int j = 0; j < 2; j++) {
            r[i + 2 * j] = _mm256_shuffle_ps(u[i + j], u[i + j + 2], 0x44);
            r[i + 2 * j + 1] = _mm256_shuffle_ps(u[i + j], u[i + j + 2], 0xEE);
        }
    UNROLL
    for (int i = 0; i < 4; i++) {
        u[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        u[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
    UNROLL
    for (int i = 0; i < 8; i++)
        if (half)
            _mm_storeu_ps(to + i * wide, _mm256_castps256_ps128(u[i]));
        else
            _mm256_storeu_ps(to + i * wide, u[i]);
#elif SP_W == 4 && defined(__aarch64__)
    for (int q = 0; q < (half ? 4 : 8); q += 4) {
        turn_four(to + q, wide, row + q, l);
        turn_four(to + 4 * wide + q, wide, row + q, l + 4);
    }
#else
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < (half ? 4 : 8); j++)
            to[i * wide + j] = row[j][l + i];
#endif
}

/* Up to eight rows of one panel.  With 6 of them the store of 8 runs over the two
 * following numbers, which are written next; behind the last panel is slack. */
ALWAYS void pack_rows(float *out, int wide, int count, const float *const row[8], int64_t depth, const struct ahead *next)
{
    int64_t l = 0;
    for (; l + 8 <= depth; l += 8) {
        for (int i = 0; i < count && !(l & 8); i++)
            fetch(next, i, l);
        turn(out + l * wide, wide, row, l, count == 4);
    }
    for (; l < depth; l++)
        for (int i = 0; i < count; i++)
            out[l * wide + i] = row[i][l];
}

ALWAYS void pack_across(float *to, const int wide, struct source s, int64_t p0, int64_t np, int64_t l0, int64_t depth, float *temp)
{
    for (int64_t p = 0; p < np; p += wide)
        for (int q = 0; q < wide; q += 8) {
            const float *row[8];
            int count = wide - q < 8 ? wide - q : 8;
            for (int i = 0; i < 8; i++)
                row[i] = i < count && p + q + i < np
                             ? decode(temp + i * SP_GEMM_DEPTH, s.at, (p0 + p + q + i) * s.ld + l0, depth, s.format)
                             : zeros;
            struct ahead next = ahead_of(s, (p0 + p + q + count) * s.ld + l0);
            pack_rows(to + p * depth + q, wide, count, row, depth, &next);
        }
}

ALWAYS void pack_panels(float *to, const int wide, struct source s, int64_t p0, int64_t np, int64_t l0, int64_t depth, float *temp)
{
    if (s.along)
        pack_along(to, wide, s, p0, np, l0, depth, temp);
    else
        pack_across(to, wide, s, p0, np, l0, depth, temp);
}

/* ---- the innermost product ---- */

/* Where MR by NR sums go: t = from + sum + bias; from and bias may be NULL. */
struct goal { float *t; const float *from, *bias; int64_t ld_t, ld_from, rows, cols; };

static void put_edge(const float *sum, const struct goal *o)
{
    for (int64_t i = 0; i < o->rows && i < MR; i++)
        for (int64_t j = 0; j < o->cols && j < NR; j++) {
            float v = sum[i * NR + j] + (o->bias ? o->bias[j] : 0);
            o->t[i * o->ld_t + j] = o->from ? v + o->from[i * o->ld_from + j] : v;
        }
}

ALWAYS sp_vf with(sp_vf sum, const struct goal *o, int64_t i, int64_t j)
{
    if (o->bias)
        sum += sp_vload(o->bias + j);
    return o->from ? sum + sp_vload(o->from + i * o->ld_from + j) : sum;
}

ALWAYS void multiply(const float *a, const float *b, int64_t depth, const struct goal *o, const int vectors)
{
    sp_vf sum[MR][2];
    UNROLL
    for (int i = 0; i < MR; i++)
        sum[i][0] = sum[i][1] = (sp_vf){ 0 };
    for (int64_t i = 0; i < MR && i < o->rows; i++) /* here when the sums are */
        __builtin_prefetch(o->t + i * o->ld_t, 1);
    for (int64_t l = 0; l < depth; l++, a += MR, b += NR) {
        sp_vf b0 = sp_vload(b), b1 = sp_vload(b + (vectors > 1 ? SP_W : 0));
        UNROLL
        for (int i = 0; i < MR; i++) {
            sp_vf x = sp_vsplat(a[i]);
            sum[i][0] = SP_FMA(x, b0, sum[i][0]);
            if (vectors > 1)
                sum[i][1] = SP_FMA(x, b1, sum[i][1]);
        }
    }
    if (o->rows >= MR && o->cols >= NR) {
        UNROLL
        for (int i = 0; i < MR; i++) {
            sp_vstore(o->t + i * o->ld_t, with(sum[i][0], o, i, 0));
            sp_vstore(o->t + i * o->ld_t + SP_W, with(sum[i][1], o, i, SP_W));
        }
        return;
    }
    float edge[MR * NR];
    UNROLL
    for (int i = 0; i < MR; i++) {
        sp_vstore(edge + i * NR, sum[i][0]);
        sp_vstore(edge + i * NR + SP_W, sum[i][1]);
    }
    put_edge(edge, o);
}

static __attribute__((noinline)) void multiply_wide(const float *a, const float *b, int64_t depth, const struct goal *o)
{
    multiply(a, b, depth, o, 2);
}

static __attribute__((noinline)) void multiply_narrow(const float *a, const float *b, int64_t depth, const struct goal *o)
{
    multiply(a, b, depth, o, 1);
}

/* ---- one tile of c ---- */

struct tile {
    const struct sp_gemm_args *g;
    int64_t i0, j0, rows, cols;
    float *a, *b, *sum, *temp; /* in scratch */
    const float *panels;       /* b's, at this depth */
    int64_t panel_size;
};

static struct goal goal_of(const struct tile *t, int64_t i, int64_t j, bool first)
{
    const struct sp_gemm_args *g = t->g;
    bool direct = g->c_format == SP_F32;
    int64_t at = (t->i0 + i) * g->ldc + t->j0 + j;
    float *to = direct ? (float *)g->c + at : t->sum + i * SP_GEMM_COLS + j;
    struct goal o = { .t = to, .from = to, .ld_t = direct ? g->ldc : SP_GEMM_COLS, .rows = t->rows - i, .cols = t->cols - j };
    o.ld_from = o.ld_t;
    if (first) {
        o.from = g->acc ? g->acc + at : NULL;
        o.ld_from = g->ldc;
        o.bias = g->bias ? g->bias + t->j0 + j : NULL;
    }
    return o;
}

static void multiply_panels(const struct tile *t, int64_t i1, int64_t high, int64_t depth, bool first)
{
    for (int64_t j = 0; j < t->cols; j += NR)
        for (int64_t i = 0; i < high; i += MR) {
            struct goal o = goal_of(t, i1 + i, j, first);
            (o.cols > SP_W ? multiply_wide : multiply_narrow)(t->a + i * depth, t->panels + j / NR * t->panel_size, depth, &o);
        }
}

static void depth_piece(struct tile *t, int64_t l0, int64_t depth)
{
    const struct sp_gemm_args *g = t->g;
    struct source a = { g->a, g->lda, g->a_format, g->trans & 1 }, b = { g->b, g->ldb, g->b_format, !(g->trans & 2) };
    if (g->b_packed) {
        t->panels = (const float *)g->b + t->j0 * g->k + l0 * NR;
        t->panel_size = g->k * NR;
    } else {
        pack_panels(t->b, NR, b, t->j0, t->cols, l0, depth, t->temp);
        t->panels = t->b;
        t->panel_size = depth * NR;
    }
    for (int64_t i = 0; i < t->rows; i += SP_GEMM_A_ROWS) {
        int64_t high = t->rows - i < SP_GEMM_A_ROWS ? t->rows - i : SP_GEMM_A_ROWS;
        pack_panels(t->a, MR, a, t->i0 + i, high, l0, depth, t->temp);
        multiply_panels(t, i, high, depth, !l0);
    }
}

static void store_tile(const struct tile *t)
{
    const struct sp_gemm_args *g = t->g;
    for (int64_t i = 0; i < t->rows; i++) {
        int64_t at = (t->i0 + i) * g->ldc + t->j0, j = 0;
        for (; g->c_format == SP_BF16 && j + SP_W <= t->cols; j += SP_W)
            sp_vput(g->c, at + j, SP_BF16, sp_vload(t->sum + i * SP_GEMM_COLS + j));
        for (; j < t->cols; j++)
            sp_store(g->c, at + j, g->c_format, t->sum[i * SP_GEMM_COLS + j]);
    }
}

static void run_tile(const struct sp_gemm_args *g, int64_t task, float *scratch)
{
    struct sp_gemm_cut cut = sp_gemm_cut(g, g->threads, MR, NR);
    struct tile t = { .g = g, .i0 = task / cut.across * cut.rows, .j0 = task % cut.across * cut.cols };
    t.rows = g->m - t.i0 < cut.rows ? g->m - t.i0 : cut.rows;
    t.cols = g->n - t.j0 < cut.cols ? g->n - t.j0 : cut.cols;
    t.b = scratch;
    t.a = t.b + SP_GEMM_COLS * SP_GEMM_DEPTH;
    t.sum = t.a + SP_GEMM_A_ROWS * SP_GEMM_DEPTH + SP_GEMM_SLACK;
    t.temp = t.sum + SP_GEMM_ROWS * SP_GEMM_COLS;
    for (int64_t l = 0; l < g->k; l += SP_GEMM_DEPTH)
        depth_piece(&t, l, g->k - l < SP_GEMM_DEPTH ? g->k - l : SP_GEMM_DEPTH);
    if (g->c_format != SP_F32)
        store_tile(&t);
}

/* ---- few rows ---- */

/* Up to four rows of c, from row i0; x: the same rows of a. */
struct few { const struct sp_gemm_args *g; const float *x; int64_t ldx, i0; int m; };

static void finish(const struct sp_gemm_args *g, int64_t i, int64_t j, float v)
{
    v += g->bias ? g->bias[j] : 0;
    v += g->acc ? g->acc[i * g->ldc + j] : 0;
    sp_store(g->c, i * g->ldc + j, g->c_format, v);
}

/* c[0..m, j..j+rows] = x b[j.., :]': vectors of partial sums. */
ALWAYS void dots(const struct few *f, int64_t j, const int rows, const int m, const int format)
{
    const struct sp_gemm_args *g = f->g;
    const int step = format == SP_Q8_0 ? Q : SP_W;
    const int64_t whole = format == SP_Q8_0 && g->ldb % Q ? 0 : g->k / step * step;
    sp_vf sum[4][4];
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int i = 0; i < m; i++)
            sum[r][i] = (sp_vf){ 0 };
    for (int64_t l = 0; l < whole; l += step)
        UNROLL
        for (int r = 0; r < rows; r++) {
            if (format == SP_Q8_0) {
                float scale;
                const int8_t *q = q8_block(g->b, (j + r) * g->ldb + l, &scale);
                UNROLL
                for (int i = 0; i < m; i++) {
                    sp_vf part = from_i8(q) * sp_vload(f->x + i * f->ldx + l);
                    UNROLL
                    for (int p = SP_W; p < Q; p += SP_W)
                        part = SP_FMA(from_i8(q + p), sp_vload(f->x + i * f->ldx + l + p), part);
                    sum[r][i] = SP_FMA(sp_vsplat(scale), part, sum[r][i]);
                }
            } else {
                sp_vf w = stored(g->b, (j + r) * g->ldb + l, format);
                UNROLL
                for (int i = 0; i < m; i++)
                    sum[r][i] = SP_FMA(w, sp_vload(f->x + i * f->ldx + l), sum[r][i]);
            }
        }
    sp_vf total[4][4]; /* in memory, where sums must not be */
    UNROLL
    for (int r = 0; r < rows; r++)
        UNROLL
        for (int i = 0; i < m; i++)
            total[r][i] = sum[r][i];
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < m; i++) {
            float v = sp_vsum(total[r][i]);
            for (int64_t l = whole; l < g->k; l++)
                v += sp_load(g->b, (j + r) * g->ldb + l, format) * f->x[i * f->ldx + l];
            finish(g, f->i0 + i, j + r, v);
        }
}

/* Rows of b at once: as many as leave their sums in registers. */
#define DOTS(name, format)                                                       \
    static void name(const struct few *f, int64_t j, int64_t end)                \
    {                                                                            \
        for (; f->m <= 2 && j + 4 <= end; j += 4)                                \
            f->m == 1 ? dots(f, j, 4, 1, format) : dots(f, j, 4, 2, format);     \
        for (; f->m > 2 && j + 2 <= end; j += 2)                                 \
            f->m == 3 ? dots(f, j, 2, 3, format) : dots(f, j, 2, 4, format);     \
        for (; j < end; j++)                                                     \
            f->m == 1   ? dots(f, j, 1, 1, format)                               \
            : f->m == 2 ? dots(f, j, 1, 2, format)                               \
            : f->m == 3 ? dots(f, j, 1, 3, format)                               \
                        : dots(f, j, 1, 4, format);                              \
    }
DOTS(dots_f32, SP_F32)
DOTS(dots_f16, SP_F16)
DOTS(dots_bf16, SP_BF16)
DOTS(dots_q8_0, SP_Q8_0)

/* The same for blocks of any format, decoded piece by piece. */
static void dots_blocks(const struct few *f, int64_t j, int64_t end)
{
    const struct sp_gemm_args *g = f->g;
    for (; j < end; j++) {
        sp_vf sum[4] = { { 0 } };
        float rest[4] = { 0 }, w[SP_GEMM_DEPTH];
        for (int64_t l = 0; l < g->k; l += SP_GEMM_DEPTH) {
            int64_t n = g->k - l < SP_GEMM_DEPTH ? g->k - l : SP_GEMM_DEPTH, p;
            decode(w, g->b, j * g->ldb + l, n, g->b_format);
            for (int i = 0; i < f->m; i++) {
                const float *x = f->x + i * f->ldx + l;
                for (p = 0; p + SP_W <= n; p += SP_W)
                    sum[i] = SP_FMA(sp_vload(w + p), sp_vload(x + p), sum[i]);
                for (; p < n; p++)
                    rest[i] += w[p] * x[p];
            }
        }
        for (int i = 0; i < f->m; i++)
            finish(g, f->i0 + i, j, sp_vsum(sum[i]) + rest[i]);
    }
}

/* b is [k,n]: columns j..j+cols, all of k. */
enum { FEW_COLS = 128 };
static void columns(const struct few *f, int64_t j, int64_t cols, float *temp)
{
    const struct sp_gemm_args *g = f->g;
    float sum[4][FEW_COLS] = { { 0 } };
    for (int64_t l = 0; l < g->k; l++) {
        const float *w = decode(temp, g->b, l * g->ldb + j, cols, g->b_format);
        for (int i = 0; i < f->m; i++) {
            sp_vf x = sp_vsplat(f->x[i * f->ldx + l]);
            int64_t p = 0;
            for (; p + SP_W <= cols; p += SP_W)
                sp_vstore(sum[i] + p, SP_FMA(x, sp_vload(w + p), sp_vload(sum[i] + p)));
            for (; p < cols; p++)
                sum[i][p] += f->x[i * f->ldx + l] * w[p];
        }
    }
    for (int i = 0; i < f->m; i++)
        for (int64_t p = 0; p < cols; p++)
            finish(g, f->i0 + i, j + p, sum[i][p]);
}

static bool is_few(const struct sp_gemm_args *g)
{
    return g->m <= SP_GEMM_FEW && !(g->trans & 1) && !g->b_packed &&
           (g->a_format == SP_F32 || g->m * g->k <= SP_GEMM_SCRATCH / 4 - FEW_COLS);
}

/* Columns of c a task: about 64 Ki products, or a few vectors. */
static int64_t few_part(const struct sp_gemm_args *g)
{
    int64_t n = g->trans & 2 ? 65536 / g->k / 4 * 4 : FEW_COLS;
    return n < 4 ? 4 : n > 1024 ? 1024 : n;
}

static void run_few(const struct sp_gemm_args *g, int64_t task, float *scratch)
{
    struct few f = { .g = g, .x = g->a, .ldx = g->lda };
    int64_t part = few_part(g), j = task * part, end = j + part < g->n ? j + part : g->n;
    if (g->a_format != SP_F32) {
        for (int64_t i = 0; i < g->m; i++)
            decode(scratch + FEW_COLS + i * g->k, g->a, i * g->lda, g->k, g->a_format);
        f.x = scratch + FEW_COLS;
        f.ldx = g->k;
    }
    for (; f.i0 < g->m; f.i0 += 4, f.x += 4 * f.ldx) {
        f.m = g->m - f.i0 < 4 ? (int)(g->m - f.i0) : 4;
        if (!(g->trans & 2))
            columns(&f, j, end - j, scratch);
        else
            (g->b_format == SP_F32    ? dots_f32
             : g->b_format == SP_F16  ? dots_f16
             : g->b_format == SP_BF16 ? dots_bf16
             : g->b_format == SP_Q8_0 ? dots_q8_0
                                      : dots_blocks)(&f, j, end);
    }
}

/* ---- the row ---- */

void EXPORT()(const void *args, int phase, int64_t task, void *scratch)
{
    (void)phase;
    (is_few(args) ? run_few : run_tile)(args, task, scratch);
}

bool EXPORT(_fits)(const void *args)
{
    const struct sp_gemm_args *g = args;
    return g->k > 0 && sp_formats[g->a_format].block == 1;
}

int64_t EXPORT(_tasks)(const void *args, int phase)
{
    const struct sp_gemm_args *g = args;
    struct sp_gemm_cut cut = sp_gemm_cut(g, g->threads, MR, NR);
    (void)phase;
    return is_few(g) ? (g->n + few_part(g) - 1) / few_part(g) : cut.down * cut.across;
}

int64_t EXPORT(_pack_bytes)(const struct sp_gemm_args *g)
{
    return (g->n + NR - 1) / NR * NR * g->k * (int64_t)sizeof(float);
}

/* A task packs one panel over all of k. */
void EXPORT(_pack)(const struct sp_pack_args *p, int64_t task, void *scratch)
{
    struct source s = { p->src, p->trans & 2 ? p->k : p->n, p->src_format, !(p->trans & 2) };
    int64_t wide = p->n - task * NR < NR ? p->n - task * NR : NR;
    for (int64_t l = 0; l < p->k; l += SP_GEMM_DEPTH) {
        int64_t depth = p->k - l < SP_GEMM_DEPTH ? p->k - l : SP_GEMM_DEPTH;
        pack_panels((float *)p->dst + (task * p->k + l) * NR, NR, s, task * NR, wide, l, depth, scratch);
    }
}
