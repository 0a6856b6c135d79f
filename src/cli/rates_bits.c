/* cli/rates_bits.c - how fast this machine multiplies with weights in blocks: a row by a
 * matrix that no cache holds (bytes a second), and many rows (FLOP a second).
 *
 * About a tenth of a second, for plans of answers on this machine. Where other programs work too, the clock runs on
 * while these threads wait; so it is their processor time that counts, where that is less.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "../kernel/kernel.h"
#include "work.h"

enum { COLS = 4096, ROWS = 1 << 15, MANY = 256, MANY_ROWS = 1024, RUNS = 4 };
static const enum sp_format FORMAT = SP_Q4_K;

struct probe { struct sp_pool *pool; const struct sp_machine *machine; unsigned char *blocks, *scratch, *work; float *a, *c; };

static double processor_s(void)
{
    struct timespec t = { 0 };
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of the best run; 0: no row multiplies blocks here. */
static double best(const struct probe *p, int64_t m, int64_t n)
{
    struct sp_gemm_args g = { .a = p->a, .b = p->blocks, .c = p->c, .work = p->work, .m = m, .n = n, .k = COLS, .lda = COLS, .ldb = COLS, .ldc = n, .trans = 2,
                              .a_format = SP_F32, .b_format = FORMAT, .c_format = SP_F32 };
    double least = 0;
    sp_kernel_gemm.cut(&g, p->machine->threads);
    const struct sp_kernel_row *row = sp_kernel_pick(&sp_kernel_gemm, p->machine->features, &g);
    for (int i = 0; i < RUNS && row->needs; i++) {
        double began = sp_now(), worked = processor_s();
        sp_kernel_run(&sp_kernel_gemm, row, &g, p->pool, p->scratch, SP_SCRATCH_MAX);
        double s = fmin(sp_now() - began, (processor_s() - worked) / fmax(1, p->machine->threads));
        least = !i || s < least ? s : least;
    }
    return least;
}

/* One block of small numbers, over and over. */
static void fill(const struct probe *p)
{
    const struct sp_format_row *f = &sp_formats[FORMAT];
    float x[SP_FORMAT_BLOCK_MAX] = { 0 };
    for (int i = 0; i < f->block; i++)
        x[i] = (float)(i * 37 % 64) / 64 - 0.5F;
    f->encode(p->blocks, x, f->block);
    for (int64_t i = 1; i < (int64_t)ROWS * COLS / f->block; i++)
        memcpy(p->blocks + i * f->bytes, p->blocks, (size_t)f->bytes);
    for (int64_t i = 0; i < (int64_t)MANY * COLS; i++)
        p->a[i] = (float)(i % 17) - 8;
}

enum sp_status work_rates_bits(const struct sp_machine *m, double *bytes_per_s, double *flops_per_s, struct sp_err *err)
{
    struct probe p = { .machine = m };
    *bytes_per_s = *flops_per_s = 0;
    TRY(sp_pool_new(&p.pool, m->threads, err));
    p.blocks = sp_alloc((size_t)sp_format_bytes(FORMAT, (int64_t)ROWS * COLS));
    p.scratch = sp_alloc((size_t)SP_SCRATCH_MAX * (size_t)(m->threads > 0 ? m->threads : 1));
    p.work = sp_alloc(SP_GEMM_WORK(MANY, COLS));
    p.a = sp_alloc((size_t)MANY * COLS * sizeof(float));
    p.c = sp_alloc((size_t)MANY * ROWS * sizeof(float) / 8);
    bool well = p.blocks && p.scratch && p.work && p.a && p.c;
    if (well) {
        fill(&p);
        double few = best(&p, 1, ROWS), many = best(&p, MANY, MANY_ROWS);
        *bytes_per_s = few > 0 ? (double)sp_format_bytes(FORMAT, (int64_t)ROWS * COLS) / few : 0;
        *flops_per_s = many > 0 ? 2.0 * MANY * MANY_ROWS * COLS / many : 0;
    }
    sp_free(p.c);
    sp_free(p.a);
    sp_free(p.work);
    sp_free(p.scratch);
    sp_free(p.blocks);
    sp_pool_free(p.pool);
    return well ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to measure products");
}
