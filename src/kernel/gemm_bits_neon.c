/* kernel/gemm_bits_neon.c - the gemm row for weights in blocks, for 64-bit Arm with the dot product of bytes.
 *
 * As on x86 (gemm_bits_body.h), rows of a become bytes with a scale for every 32, the largest 127.  A column of b is
 * unpacked once and meets four rows of a at a time.  A task does all of k.
 * SPDX-License-Identifier: Apache-2.0 */
#include <arm_neon.h>
#include <string.h>

#include "embed.h"
#include "gemm_bits.h"

enum { R = 32 /* a run */, HIGH = 4 /* rows at once */, K_MAX = 1 << 17, TASKS = 16, TASKS_A_THREAD = 4 };
_Static_assert(K_MAX / R * (int)sizeof(struct sp_run) + HIGH * (K_MAX + K_MAX / R * 12) <= SP_SCRATCH_MAX, "a column and four rows fit");

/* ---- rows of a as bytes ---- */

/* k codes; for every run its scale, and scale times the sum of its first 16 codes, of its last. */
struct row { int8_t *q; float *d, *sum[2]; };

static int64_t row_bytes(int64_t k)
{
    return k + k / R * 12;
}

static struct row row_at(void *scratch, int64_t i, int64_t k)
{
    char *p = (char *)scratch + i * row_bytes(k);
    float *d = (float *)(void *)(p + k);
    return (struct row){ (int8_t *)p, d, { d + k / R, d + 2 * (k / R) } };
}

static int16x8_t rounded(const float *x, float step)
{
    int32x4_t low = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x), step)), high = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 4), step));
    return vcombine_s16(vqmovn_s32(low), vqmovn_s32(high));
}

static void run_to_bytes(const struct row *to, int64_t run, const float *x)
{
    float32x4_t most = vdupq_n_f32(0);
    for (int i = 0; i < R; i += 4)
        most = vmaxq_f32(most, vabsq_f32(vld1q_f32(x + i)));
    float top = vmaxvq_f32(most), step = top > 1e-30f ? 127 / top : 0;
    to->d[run] = top / 127;
    for (int h = 0; h < 2; h++, x += R / 2) {
        int8x16_t q = vcombine_s8(vqmovn_s16(rounded(x, step)), vqmovn_s16(rounded(x + 8, step)));
        vst1q_s8(to->q + run * R + h * R / 2, q);
        to->sum[h][run] = to->d[run] * (float)vaddlvq_s8(q);
    }
}

static void take_row(const struct sp_gemm_args *g, int64_t i, const struct row *to)
{
    for (int64_t run = 0; run < g->k / R; run++) {
        float x[R];
        sp_load_many(x, g->a, i * g->lda + run * R, R, g->a_format);
        run_to_bytes(to, run, x);
    }
}

/* ---- products ---- */

static inline __attribute__((always_inline)) void dot(float *out, const struct sp_run *b, const struct row *a, int64_t runs, const int m)
{
    float32x4_t sum[HIGH];
    float rest[HIGH] = { 0 };
    for (int i = 0; i < m; i++)
        sum[i] = vdupq_n_f32(0);
    for (int64_t run = 0; run < runs; run++, b++) {
        int8x16_t low = vld1q_s8(b->q), high = vld1q_s8(b->q + R / 2);
        for (int i = 0; i < m; i++) {
            const int8_t *q = a[i].q + run * R;
            float32x4_t first = vcvtq_f32_s32(vdotq_s32(vdupq_n_s32(0), low, vld1q_s8(q)));
            float32x4_t last = vcvtq_f32_s32(vdotq_s32(vdupq_n_s32(0), high, vld1q_s8(q + R / 2)));
            sum[i] = vfmaq_n_f32(sum[i], vfmaq_n_f32(vmulq_n_f32(first, b->d[0]), last, b->d[1]), a[i].d[run]);
            rest[i] += b->m[0] * a[i].sum[0][run] + b->m[1] * a[i].sum[1][run];
        }
    }
    for (int i = 0; i < m; i++)
        out[i] = vaddvq_f32(sum[i]) - rest[i];
}

static void dot_rows(float out[HIGH], const struct sp_run *b, const struct row *a, int64_t runs, int64_t m)
{
    switch (m) {
    case 1: dot(out, b, a, runs, 1); break;
    case 2: dot(out, b, a, runs, 2); break;
    case 3: dot(out, b, a, runs, 3); break;
    default: dot(out, b, a, runs, HIGH); break;
    }
}

static void finish(const struct sp_gemm_args *g, int64_t i, int64_t j, float v)
{
    v += g->bias ? g->bias[j] : 0;
    v += g->acc ? g->acc[i * g->ldc + j] : 0;
    sp_store(g->c, i * g->ldc + j, g->c_format, v);
}

/* ---- the row ---- */

/* Rows and columns of c a task. */
struct cut { int64_t rows, cols, across; };

static struct cut cut_of(const struct sp_gemm_args *g)
{
    int64_t rows = (SP_SCRATCH_MAX - g->k / R * (int64_t)sizeof(struct sp_run)) / row_bytes(g->k), tasks = g->threads > 0 ? TASKS_A_THREAD * g->threads : TASKS;
    struct cut c = { .rows = rows < g->m ? rows : g->m, .cols = (g->n + tasks - 1) / tasks };
    c.cols = c.cols < TASKS ? TASKS : c.cols;
    c.across = (g->n + c.cols - 1) / c.cols;
    return c;
}

void sp_gemm_bits_neon(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_gemm_args *g = args;
    struct cut cut = cut_of(g);
    int64_t runs = g->k / R, i0 = task / cut.across * cut.rows, j0 = task % cut.across * cut.cols;
    int64_t m = g->m - i0 < cut.rows ? g->m - i0 : cut.rows, end = j0 + cut.cols < g->n ? j0 + cut.cols : g->n;
    struct sp_run *column = scratch;
    struct row a[HIGH];
    (void)phase;
    for (int64_t i = 0; i < m; i++) {
        struct row to = row_at(column + runs, i, g->k);
        take_row(g, i0 + i, &to);
    }
    for (int64_t j = j0; j < end; j++) {
        for (int64_t run = 0; run < runs; run++)
            sp_run_of(&column[run], g->b, j * (g->ldb / R) + run, g->b_format);
        for (int64_t i = 0; i < m; i += HIGH) {
            float out[HIGH];
            int64_t n = m - i < HIGH ? m - i : HIGH;
            for (int64_t r = 0; r < n; r++)
                a[r] = row_at(column + runs, i + r, g->k);
            dot_rows(out, column, a, runs, n);
            for (int64_t r = 0; r < n; r++)
                finish(g, i0 + i + r, j, out[r]);
        }
    }
}

bool sp_gemm_bits_neon_fits(const void *args)
{
    const struct sp_gemm_args *g = args;
    return sp_formats[g->b_format].block > 1 && sp_formats[g->a_format].block == 1 && g->trans == 2 && !g->b_packed && g->k > 0 && g->k % R == 0 &&
           g->k <= K_MAX && g->ldb % sp_formats[g->b_format].block == 0;
}

int64_t sp_gemm_bits_neon_tasks(const void *args, int phase)
{
    const struct sp_gemm_args *g = args;
    struct cut cut = cut_of(g);
    (void)phase;
    return (g->m + cut.rows - 1) / cut.rows * cut.across;
}
