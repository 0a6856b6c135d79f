/* bench/bench_kernels.c - every row of every family that has cases, timed at
 * sizes that matter: GFLOP/s and GB/s on one thread, and the ratio to portable.
 *
 * Arguments choose families or rows by a part of their name.  The best of
 * several runs counts, in processor time, for machines are shared.  A product
 * with weights in blocks is also said as a share of what the processor's
 * instructions for it, and a plain read of the weights, reach at that moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "../tests/kernel_cases_gemm.h"
#include "cost/cost.h"
#include "peak.h"
#if __has_include("../tests/kernel_cases_attn.h")
#include "../tests/kernel_cases_attn.h"
#define ATTN_CASES kernel_cases_attn,
#else
#define ATTN_CASES
#endif
#if __has_include("../tests/kernel_cases_elem.h")
#include "../tests/kernel_cases_elem.h"
#define ELEM_CASES kernel_cases_elem,
#else
#define ELEM_CASES
#endif

static const struct kernel_cases *const all_cases[] = { kernel_cases_gemm, ATTN_CASES ELEM_CASES };

/* A row is timed about this long a size, and up to twice as long for RUNS_MIN runs. */
static const double seconds_max = 0.25;
enum { RUNS_MAX = 200, RUNS_MIN = 3, ROWS_MAX = 16 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_time(const struct sp_kernel *k, const struct sp_kernel_row *r, const struct kernel_case *c, void *scratch)
{
    double best = 1e30, from = now();
    for (int i = 0; i < RUNS_MAX && (now() - from < seconds_max || (i < RUNS_MIN && now() - from < 2 * seconds_max)); i++) {
        double start = now();
        sp_kernel_run(k, r, c->args, NULL, scratch, SP_SCRATCH_MAX);
        double took = now() - start;
        best = took < best ? took : best;
    }
    return best;
}

static bool chosen(const char *name, int argc, char **argv)
{
    bool any = argc < 2;
    for (int i = 1; i < argc; i++)
        any |= !!strstr(name, argv[i]);
    return any;
}

static bool runs_here(const struct sp_kernel_row *r, const struct kernel_case *c)
{
    return !(r->needs & ~sp_cpu_features()) && (!r->fits || r->fits(c->args));
}

#if defined(__x86_64__)
enum { PEAK_TRIES = 20 };

/* Operations a second of a loop of 8 instructions' worth of `macs` products. */
static double peak_of(void (*loop)(void), double macs)
{
    double best = 1e30;
    for (int i = 0; i < PEAK_TRIES; i++) {
        double start = now();
        loop();
        double took = now() - start;
        best = took < best ? took : best;
    }
    return 2 * macs * PEAK_SUMS * PEAK_ROUNDS / best;
}

static double read_rate(const void *p, int64_t n)
{
    double best = 1e30;
    for (int i = 0; i < PEAK_TRIES; i++) {
        double start = now();
        peak_read(p, n);
        double took = now() - start;
        best = took < best ? took : best;
    }
    return (double)n / best;
}

static void show_peak(const struct kernel_case *c, double flops, double seconds)
{
    const struct sp_gemm_args *g = (const void *)c->args;
    if (!(sp_cpu_features() & SP_CPU_AVX2) || sp_formats[g->b_format].block == 1)
        return;
    const int64_t bytes = sp_format_bytes((enum sp_format)g->b_format, g->n * g->k);
    if (g->m == 1) {
        double read = read_rate(g->b, bytes);
        printf("%-20s weights at %.2f GB/s, %.0f %% of a plain read (%.2f)\n", "", (double)bytes / seconds * 1e-9,
               100 * (double)bytes / seconds / read, read * 1e-9);
        return;
    }
    double few = peak_of(peak_few_bits, 32), words = peak_of(peak_words, 16), bytes_peak = peak_of(peak_bytes, 32);
    printf("%-20s %.0f %% of products summed in 16 bits (%.0f GOP/s), %.0f %% of bytes summed in 32 (%.0f), %.0f %% of 16-bit products (%.0f)\n",
           "", 100 * flops / seconds / few, few * 1e-9, 100 * flops / seconds / bytes_peak, bytes_peak * 1e-9,
           100 * flops / seconds / words, words * 1e-9);
}
#endif

static void bench(const struct kernel_cases *f, int number, void *scratch)
{
    const struct sp_kernel *k = f->kernel;
    struct kernel_case c = { .random = { .key = 1 }, .aligned = true };
    char name[64];
    double flops = 0, bytes = 0, seconds[ROWS_MAX] = { 0 };
    int last = 0;
    f->bench(&c, number, name, &flops, &bytes);
    while (k->rows[last].needs)
        last++;
    for (int i = last; i >= 0; i--)
        if (runs_here(&k->rows[i], &c))
            seconds[i] = best_time(k, &k->rows[i], &c, scratch);
    for (int i = 0; i <= last; i++)
        if (seconds[i] > 0)
            printf("%-20s %-34s %9.3f ms %8.2f GFLOP/s %7.2f GB/s %7.1fx\n", k->rows[i].name, name, seconds[i] * 1e3,
                   flops / seconds[i] * 1e-9, bytes / seconds[i] * 1e-9, seconds[last] / seconds[i]);
#if defined(__x86_64__)
    for (int i = 0; i <= last && k == &sp_kernel_gemm; i++)
        if (seconds[i] > 0 && strstr(k->rows[i].name, "bits")) {
            show_peak(&c, flops, seconds[i]);
            break;
        }
#endif
    fflush(stdout);
    case_clear(&c);
}

enum { NUMBERS = 1 << 16 };

static double best_encoding(const struct sp_format_row *r, unsigned char *to, const float *x, const float *weight)
{
    double best = 1e30, from = now();
    while (now() - from < seconds_max) {
        double start = now();
        if (weight)
            r->encode_weighted(to, x, weight, NUMBERS);
        else
            r->encode(to, x, NUMBERS);
        double took = now() - start;
        best = took < best ? took : best;
    }
    return best;
}

/* Normal numbers to each format in blocks, without weights and with. */
static void bench_formats(void)
{
    struct sp_random random = { .key = 1 };
    float *x = sp_alloc(NUMBERS * sizeof *x), *weight = sp_alloc(NUMBERS * sizeof *weight);
    unsigned char *to = sp_alloc(NUMBERS * 2);
    for (int i = 0; x && weight && i < NUMBERS; i++) {
        x[i] = (float)sp_random_normal(&random);
        weight[i] = 1 + x[i] * x[i];
    }
    for (int f = 0; x && weight && to && f < SP_FORMATS; f++)
        if (sp_formats[f].block > 1)
            printf("%-20s %-34s %9.1f million numbers/s, by importance %7.1f\n", "format.encode", sp_formats[f].name,
                   NUMBERS / best_encoding(&sp_formats[f], to, x, NULL) * 1e-6, NUMBERS / best_encoding(&sp_formats[f], to, x, weight) * 1e-6);
    sp_free(x);
    sp_free(weight);
    sp_free(to);
}

int main(int argc, char **argv)
{
    void *scratch = sp_alloc(SP_SCRATCH_MAX);
    if (!scratch)
        return 1;
    for (size_t i = 0; i < SP_COUNT(all_cases); i++)
        for (const struct kernel_cases *f = all_cases[i]; f->kernel; f++)
            for (int j = 0; j < f->n_bench && chosen(f->kernel->name, argc, argv); j++)
                bench(f, j, scratch);
    if (chosen("format", argc, argv))
        bench_formats();
    sp_free(scratch);
    return 0;
}
