/* kernel/gemm.c - the matrix-product family: fields, cutting, rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "embed.h"
#include "gemm.h"
#include "gemm_bits.h"
#include "portable/gemm.c"
#include "../cost/cost.h"

SP_EMBED(gemm)

static int64_t parts(int64_t n, int64_t part)
{
    return (n + part - 1) / part;
}

static int64_t gemm_tasks(const void *args, int phase)
{
    const struct sp_gemm_args *g = args;
    (void)phase;
    return parts(g->m, SP_GEMM_TILE) * parts(g->n, SP_GEMM_TILE);
}

enum { TASKS_WANTED = 16, TASKS_A_THREAD = 3, TASKS_EVEN = 32 /* a thread; with more an odd one costs little */, SIDE_MIN = 96 };

/* The side of tiles when n is cut in `count`: whole units. */
static int64_t side(int64_t n, int64_t count, int64_t unit)
{
    return parts(parts(n, count), unit) * unit;
}

/* Halves the longer side of tiles until there are as many as wanted. */
static void divide(int64_t m, int64_t n, int64_t wanted, int64_t *down, int64_t *across)
{
    int64_t rows = SP_GEMM_ROWS, cols = SP_GEMM_COLS;
    while (parts(m, rows) * parts(n, cols) < wanted && (rows > SIDE_MIN || cols > 2 * SIDE_MIN)) {
        int64_t high = m < rows ? m : rows, wide = n < cols ? n : cols;
        if ((high >= wide && rows > SIDE_MIN) || cols <= 2 * SIDE_MIN)
            rows /= 2;
        else
            cols /= 2;
    }
    *down = parts(m, rows), *across = parts(n, cols);
}

struct sp_gemm_cut sp_gemm_cut(const struct sp_gemm_args *g, int threads, int64_t row_unit, int64_t col_unit)
{
    int64_t down, across;
    divide(g->m, g->n, threads > 0 ? TASKS_A_THREAD * threads : TASKS_WANTED, &down, &across);
    int64_t rows = side(g->m, down, row_unit), cols = side(g->n, across, col_unit);
    if (threads > 0 && down * across % threads && down * across < TASKS_EVEN * threads)
        rows = side(g->m, parts(down * across, threads) * threads / across, row_unit);
    rows = rows < SP_GEMM_ROWS ? rows : SP_GEMM_ROWS, cols = cols < SP_GEMM_COLS ? cols : SP_GEMM_COLS;
    return (struct sp_gemm_cut){ rows, cols, parts(g->m, rows), parts(g->n, cols) };
}

/* Every task packs for itself: few and large ones for few threads, at least 3 each so that none waits long. */
static void gemm_cut(void *args, int threads)
{
    ((struct sp_gemm_args *)args)->threads = threads;
}

static const struct sp_field gemm_fields[] = {
    SP_F(gemm, a, IN, "const void *"),
    SP_F(gemm, b, IN, "const void *"),
    SP_F(gemm, bias, IN, "const float *"),
    SP_F(gemm, acc, IN, "const float *"),
    SP_F(gemm, c, OUT, "void *"),
    SP_F(gemm, work, WORK, "void *"),
    SP_F(gemm, m, I64, ""),
    SP_F(gemm, n, I64, ""),
    SP_F(gemm, k, I64, ""),
    SP_F(gemm, lda, I64, ""),
    SP_F(gemm, ldb, I64, ""),
    SP_F(gemm, ldc, I64, ""),
    SP_F(gemm, trans, I32, ""),
    SP_F(gemm, a_format, I32, ""),
    SP_F(gemm, b_format, I32, ""),
    SP_F(gemm, c_format, I32, ""),
    SP_F(gemm, b_packed, I32, ""),
    SP_F(gemm, threads, I32, ""),
    { 0 },
};

#define VECTOR_ROW(isa, features)                                                                                                  \
    {                                                                                                                              \
        .name = "gemm." #isa, .needs = (features), .fn = sp_gemm_##isa, .fits = sp_gemm_##isa##_fits, .tasks = sp_gemm_##isa##_tasks, \
        .scratch_bytes = SP_GEMM_SCRATCH, .tolerance = 1e-4f, .pack_bytes = sp_gemm_##isa##_pack_bytes, .pack = sp_gemm_##isa##_pack, \
    }

/* Weights in blocks; the tolerance is what bytes lose of a. */
#define BITS_ROW(isa, features, n_phases)                                                                                                   \
    {                                                                                                                               \
        .name = "gemm.bits_" #isa, .needs = (features), .fn = sp_gemm_bits_##isa, .fits = sp_gemm_bits_##isa##_fits,               \
        .phases = n_phases, .tasks = sp_gemm_bits_##isa##_tasks, .scratch_bytes = SP_SCRATCH_MAX, .tolerance = 0.04f,                                  \
    }

static const struct sp_kernel_row gemm_rows[] = {
#if defined(__x86_64__)
    BITS_ROW(vnni, SP_CPU_AVX512_VNNI | SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C, 2),
    BITS_ROW(avx2, SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C, 2),
    VECTOR_ROW(avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C),
    VECTOR_ROW(avx2, SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C),
#elif defined(__aarch64__)
    BITS_ROW(neon, SP_CPU_NEON | SP_CPU_NEON_DOT, 1),
    VECTOR_ROW(neon, SP_CPU_NEON),
#endif
#ifdef SP_WITH_DNNL
    { .name = "gemm.dnnl", .needs = SP_CPU_DNNL, .fn = sp_gemm_dnnl, .fits = sp_gemm_dnnl_fits, .tasks = sp_gemm_dnnl_tasks, .tolerance = 1e-4f },
#endif
    { .name = "gemm.portable", .fn = SP_FN(gemm) },
};

const struct sp_kernel sp_kernel_gemm = {
    .name = "gemm", .help = "matrix product", .args_bytes = sizeof(struct sp_gemm_args), .fields = gemm_fields,
    .phases = 1, .tasks = gemm_tasks, .cut = gemm_cut, .rows = gemm_rows,
    .source = SP_TEXT(gemm), .function = "sp_gemm_portable", .args_type = "struct sp_gemm_args",
};
