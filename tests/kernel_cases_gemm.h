/* tests/kernel_cases_gemm.h - matrix products: formats, layouts, odd sizes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_cases.h"

static const enum sp_format gemm_a[] = { SP_F32, SP_F32, SP_BF16, SP_F16 };
static const enum sp_format gemm_b[] = { SP_F32, SP_F32, SP_BF16, SP_F16, SP_Q8_0 };

static int64_t round_up(int64_t n, int64_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Allocates for sizes and formats that stand in g. */
static void gemm_buffers(struct kernel_case *c, struct sp_gemm_args *g, bool bias, bool acc)
{
    int64_t unit = sp_formats[g->b_format].block;
    int64_t loose = c->aligned ? 0 : case_below(c, 5);
    g->lda = (g->trans & 1 ? g->m : g->k) + loose;
    g->ldb = round_up((g->trans & 2 ? g->k : g->n) + loose, unit);
    g->ldc = g->n + loose;
    g->a = case_in(c, g->a_format, g->lda * (g->trans & 1 ? g->k : g->m));
    g->b = case_in(c, g->b_format, g->ldb * (g->trans & 2 ? g->n : g->k));
    if (bias)
        g->bias = case_in(c, SP_F32, g->n);
    bool over = acc && g->c_format == SP_F32 && (c->aligned || case_coin(c));
    if (acc && !over)
        g->acc = case_in(c, SP_F32, g->ldc * g->m);
    g->c = over ? case_inout(c, SP_F32, g->ldc * g->m, -1, 1) : case_out(c, g->c_format, g->ldc * g->m);
    if (over)
        g->acc = g->c;
}

static const enum sp_format gemm_bits[] = { SP_Q4_0,  SP_Q4_1, SP_Q5_0, SP_Q5_1,   SP_Q8_0,   SP_Q2_K,  SP_Q3_K, SP_Q4_K,
                                            SP_Q5_K, SP_Q6_K, SP_IQ4_NL, SP_IQ4_XS, SP_MXFP4, SP_TQ1_0, SP_TQ2_0 };

/* Weights in blocks: few rows and many, whole chunks of 256 and less. */
static void gemm_bits_make(struct kernel_case *c, int number)
{
    struct sp_gemm_args g = { .m = case_between(c, 1, number % 7 ? 9 : 40), .n = case_between(c, 1, 40), .k = 32 * case_between(c, 1, 20) };
    g.trans = number % 5 == 4 ? (int32_t)case_below(c, 4) : 2;
    g.a_format = gemm_a[case_below(c, 4)];
    g.b_format = gemm_bits[number % 15];
    g.c_format = case_below(c, 3) ? SP_F32 : SP_BF16;
    bool bias = case_coin(c), acc = case_coin(c);
    gemm_buffers(c, &g, bias, acc);
    g.work = case_coin(c) ? case_work(c, SP_GEMM_WORK(g.m, g.k)) : NULL;
    memcpy(c->args, &g, sizeof g);
}

enum { GEMM_CASES = 240, GEMM_BITS_CASES = 120 };
static void gemm_make(struct kernel_case *c, int number)
{
    static const int64_t most[6][3] = { { 9, 300, 700 }, { 30, 30, 30 }, { 70, 70, 300 }, { 10, 140, 40 }, { 200, 40, 20 }, { 25, 70, 600 } };
    if (number >= GEMM_CASES) {
        gemm_bits_make(c, number);
        return;
    }
    const int64_t *size = most[number % 6];
    struct sp_gemm_args g = { .m = case_between(c, 1, size[0]), .n = case_between(c, 1, size[1]), .k = case_between(c, 1, size[2]) };
    g.trans = number / 6 % 4;
    g.a_format = gemm_a[case_below(c, 4)];
    g.b_format = gemm_b[case_below(c, 5)];
    g.c_format = case_below(c, 3) ? SP_F32 : SP_BF16;
    if (number % 24 == 23) { /* several tiles of the largest kind */
        g.m = 397;
        g.n = 530;
        g.k = 19;
    }
    bool bias = case_coin(c), acc = case_coin(c);
    gemm_buffers(c, &g, bias, acc);
    memcpy(c->args, &g, sizeof g);
}

static const struct { int64_t m, n, k; int trans; enum sp_format a, b, c; } gemm_benches[] = {
    { 256, 768, 768, 2, SP_F32, SP_F32, SP_F32 },   { 1024, 1024, 1024, 0, SP_F32, SP_F32, SP_F32 },
    { 1024, 1024, 1024, 1, SP_F32, SP_F32, SP_F32 }, { 1024, 1024, 1024, 2, SP_F32, SP_F32, SP_F32 },
    { 1024, 768, 3072, 2, SP_BF16, SP_BF16, SP_F32 }, { 2048, 2048, 512, 2, SP_F32, SP_F32, SP_F32 },
    { 1024, 65, 384, 2, SP_F32, SP_F32, SP_F32 },    { 256, 256, 256, 2, SP_F32, SP_F32, SP_F32 },
    { 512, 768, 768, 2, SP_F32, SP_Q8_0, SP_F32 },
    { 1, 4096, 4096, 2, SP_F32, SP_F32, SP_F32 },    { 1, 4096, 4096, 2, SP_F32, SP_BF16, SP_F32 },
    { 1, 4096, 4096, 2, SP_F32, SP_F16, SP_F32 },    { 1, 4096, 4096, 2, SP_F32, SP_Q8_0, SP_F32 },
    { 4, 4096, 4096, 2, SP_F32, SP_Q8_0, SP_F32 },   { 1, 3072, 768, 0, SP_F32, SP_F32, SP_F32 },
    { 1, 5632, 2048, 2, SP_F32, SP_Q4_0, SP_F32 },   { 1, 5632, 2048, 2, SP_F32, SP_Q4_K, SP_F32 },
    { 1, 5632, 2048, 2, SP_F32, SP_Q5_K, SP_F32 },   { 1, 5632, 2048, 2, SP_F32, SP_Q6_K, SP_F32 },
    { 1, 5632, 2048, 2, SP_F32, SP_IQ4_XS, SP_F32 }, { 512, 5632, 2048, 2, SP_F32, SP_Q8_0, SP_F32 },
    { 512, 5632, 2048, 2, SP_F32, SP_Q4_0, SP_F32 }, { 512, 5632, 2048, 2, SP_F32, SP_Q4_K, SP_F32 },
    { 512, 5632, 2048, 2, SP_F32, SP_Q6_K, SP_F32 }, { 512, 5632, 2048, 2, SP_F32, SP_IQ4_XS, SP_F32 },
};

static void gemm_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_gemm_args g = { .m = gemm_benches[number].m, .n = gemm_benches[number].n, .k = gemm_benches[number].k,
                              .trans = gemm_benches[number].trans, .a_format = gemm_benches[number].a,
                              .b_format = gemm_benches[number].b, .c_format = gemm_benches[number].c };
    gemm_buffers(c, &g, false, false);
    g.work = sp_formats[g.b_format].block > 1 ? case_work(c, SP_GEMM_WORK(g.m, g.k)) : NULL;
    memcpy(c->args, &g, sizeof g);
    snprintf(name, 64, "%lldx%lldx%lld %s%s %s*%s", (long long)g.m, (long long)g.n, (long long)g.k, g.trans & 1 ? "T" : "N",
             g.trans & 2 ? "T" : "N", sp_formats[g.a_format].name, sp_formats[g.b_format].name);
    *flops = 2.0 * (double)g.m * (double)g.n * (double)g.k;
    *bytes = (double)(sp_format_bytes(g.a_format, g.m * g.k) + sp_format_bytes(g.b_format, g.n * g.k) + 4 * g.m * g.n);
}

static const struct kernel_cases kernel_cases_gemm[] = {
    { &sp_kernel_gemm, GEMM_CASES + GEMM_BITS_CASES, gemm_make, SP_COUNT(gemm_benches), gemm_bench },
    { 0 },
};
