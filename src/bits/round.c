/* bits/round.c - rounding that makes up for its errors: what one number lost is given to
 * those of its row that are still to be rounded.
 *
 * The factor is a Cholesky decomposition from the last column to the first, in panels.
 * The walk goes panel by panel of columns: within one it is each row's own, what it
 * gives to later panels is one product.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../cost/cost.h"
#include "../kernel/kernel.h"
#include "bits.h"
#include "inner.h"

enum { PANEL = SP_FORMAT_BLOCK_MAX, FACTOR_PANEL = 64, TASK_ROWS = 16, TRIES = 6 };

/* c[m,n] += a[m,k] b, by rows. */
static enum sp_status product(struct sp_gemm_args *g, struct sp_pool *pool, struct sp_err *err)
{
    const struct sp_kernel_row *row;
    void *scratch = NULL;
    size_t stride;
    if (g->m < 1 || g->n < 1 || g->k < 1)
        return SP_OK;
    g->threads = 0; /* results must not depend on them */
    row = sp_kernel_pick(&sp_kernel_gemm, sp_cpu_features(), g);
    stride = (row->scratch_bytes + 63) / 64 * 64;
    if (stride && !(scratch = sp_alloc(stride * (size_t)sp_pool_threads(pool))))
        return sp_fail(err, SP_NOMEM, "no memory for a product");
    sp_kernel_run(&sp_kernel_gemm, row, g, pool, scratch, stride);
    sp_free(scratch);
    return SP_OK;
}

/* ---- the factor ---- */

struct factoring { float *a; int64_t n, from, to; }; /* columns [from, to) of the panel */

/* Number j of row i, those behind it in the panel being done. */
static double rest(const struct factoring *f, int64_t i, int64_t j)
{
    double s = (double)f->a[i * f->n + j];
    for (int64_t k = j + 1; k < f->to; k++)
        s -= (double)f->a[i * f->n + k] * (double)f->a[j * f->n + k];
    return s;
}

static void solve_rows(void *arg, int64_t task, int thread)
{
    const struct factoring *f = arg;
    int64_t last = (task + 1) * TASK_ROWS < f->from ? (task + 1) * TASK_ROWS : f->from;
    (void)thread;
    for (int64_t i = task * TASK_ROWS; i < last; i++)
        for (int64_t j = f->to - 1; j >= f->from; j--)
            f->a[i * f->n + j] = (float)(rest(f, i, j) / (double)f->a[j * f->n + j]);
}

static bool corner(const struct factoring *f)
{
    for (int64_t j = f->to - 1; j >= f->from; j--) {
        double square = rest(f, j, j);
        if (!(square > 0))
            return false;
        f->a[j * f->n + j] = (float)sqrt(square);
        for (int64_t i = f->from; i < j; i++)
            f->a[i * f->n + j] = (float)(rest(f, i, j) / (double)f->a[j * f->n + j]);
    }
    return true;
}

/* a = r r', r upper, in place; *positive: it is. */
static enum sp_status decompose(float *a, int64_t n, struct sp_pool *pool, float *minus, bool *positive, struct sp_err *err)
{
    struct factoring f = { .a = a, .n = n, .to = n };
    for (*positive = true; f.to > 0 && *positive; f.to = f.from) {
        f.from = (f.to - 1) / FACTOR_PANEL * FACTOR_PANEL;
        int64_t wide = f.to - f.from, behind = n - f.to;
        for (int64_t i = 0; i < wide; i++)
            for (int64_t k = 0; k < behind; k++)
                minus[i * n + k] = -a[(f.from + i) * n + f.to + k];
        struct sp_gemm_args g = { .a = a + f.to, .b = minus, .acc = a + f.from, .c = a + f.from, .m = f.to, .n = wide, .k = behind, .lda = n, .ldb = n, .ldc = n, .trans = 2 };
        TRY(product(&g, pool, err));
        *positive = corner(&f);
        if (*positive)
            sp_pool_run(pool, solve_rows, &f, (f.from + TASK_ROWS - 1) / TASK_ROWS);
    }
    return SP_OK;
}

/* Every column over its diagonal; nothing on and below it.  The sum of D, which the diagonal's squares are. */
static double unit(float *a, int64_t n, float *diagonal)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        diagonal[i] = a[i * n + i];
        sum += (double)diagonal[i] * (double)diagonal[i];
    }
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            a[i * n + j] = j > i ? a[i * n + j] / diagonal[j] : 0;
    return sum;
}

/* The squares on the diagonal, which alone are written over on both sides of it: out or back. */
static void corners(float *a, int64_t n, float *kept, bool back)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t from = i / FACTOR_PANEL * FACTOR_PANEL, wide = n - from < FACTOR_PANEL ? n - from : FACTOR_PANEL;
        float *at = a + i * n + from, *beside = kept + i * FACTOR_PANEL;
        memcpy(back ? at : beside, back ? beside : at, (size_t)wide * sizeof *at);
    }
}

/* h as it was, above the diagonal from below it, and more on the diagonal. */
static void damped(float *a, int64_t n, float *kept, double by)
{
    corners(a, n, kept, true);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = i / FACTOR_PANEL * FACTOR_PANEL + FACTOR_PANEL; j < n; j++)
            a[i * n + j] = a[j * n + i];
        a[i * n + i] += (float)by;
    }
}

enum sp_status sp_bits_factor(const float *h, int64_t cols, double damp, struct sp_pool *pool, float *factor, double *left, struct sp_err *err)
{
    double mean = 0;
    bool positive = false;
    for (int64_t i = 0; i < cols; i++)
        mean += (double)h[i * cols + i] / (double)cols;
    if (!sp_bits_sound(h, cols * cols))
        return sp_fail(err, SP_DIVERGED, "the mean square of a matrix's inputs holds what is no number: the model's weights are damaged, or the text isn't for it");
    float *minus = sp_alloc((size_t)(2 * cols * FACTOR_PANEL) * sizeof *minus), *kept = minus + cols * FACTOR_PANEL;
    if (!minus)
        return sp_fail(err, SP_NOMEM, "no memory for a factor of %lld columns", (long long)cols);
    enum sp_status st = SP_OK;
    if (factor != h)
        memcpy(factor, h, (size_t)(cols * cols) * sizeof *factor);
    corners(factor, cols, kept, false);
    damp = damp > 0 ? damp : 1e-4;
    for (int i = 0; !st && !positive && i < TRIES; i++, damp *= 10) {
        damped(factor, cols, kept, mean > 0 ? damp * mean : 1);
        st = decompose(factor, cols, pool, minus, &positive, err);
    }
    if (!st && !positive)
        st = sp_fail(err, SP_DIVERGED, "the inputs of a matrix have no positive mean square, however much is added to it");
    if (!st)
        *left = unit(factor, cols, minus) / (mean > 0 ? mean * (double)cols : (double)cols);
    sp_free(minus);
    return st;
}

/* ---- the walk ---- */

struct walking {
    enum sp_format f;
    const struct sp_block_grid *grid;
    const float *w, *importance, *factor;
    float *goal, *lost;            /* [rows, cols]: what is aimed at; [rows, PANEL]: w - rounded */
    unsigned char *to;
    int64_t rows, cols, from, wide; /* columns of the panel */
};

static int nearest(const struct sp_block_grid *g, float x)
{
    int best = 0;
    if (!g->table)
        return x <= (float)g->low ? g->low : x >= (float)g->high ? g->high : (int)lrintf(x);
    while (best < 15 && 2 * x > (float)(g->table[best] + g->table[best + 1]))
        best++;
    return g->table[best];
}

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));

/* goal[j + 1 ..] += lost factor[j + 1 ..]: the factor is 0 up to j, so that it may begin before. */
static void give(float *goal, const float *factor, float lost, int64_t j, int64_t n)
{
    for (int64_t k = j / 4 * 4; k < n; k += 4)
        *(four *)(goal + k) += lost * *(const four *)(factor + k);
}

static void walk_run(const struct walking *k, int64_t row, unsigned char *at, int64_t run)
{
    struct sp_grid_run r;
    float *goal = k->goal + row * k->cols + k->from, *lost = k->lost + row * PANEL;
    const float *w = k->w + row * k->cols + k->from;
    sp_format_run(k->f, at, run, &r);
    for (int j = 0; j < 32; j++) {
        int64_t c = run * 32 + j;
        float d = r.d[j / 16], m = r.m[j / 16];
        if (fabsf(d) > 0)
            r.q[j] = (signed char)nearest(k->grid, (goal[c] + m) / d);
        lost[c] = w[c] - ((float)r.q[j] * d - m);
        give(goal, k->factor + (k->from + c) * k->cols + k->from, lost[c], c, k->wide);
    }
    sp_format_put(k->f, at, run, r.q);
}

static void walk_rows(void *arg, int64_t task, int thread)
{
    const struct walking *k = arg;
    int64_t last = (task + 1) * TASK_ROWS < k->rows ? (task + 1) * TASK_ROWS : k->rows;
    (void)thread;
    for (int64_t row = task * TASK_ROWS; row < last; row++) {
        unsigned char *at = k->to + sp_format_bytes(k->f, row * k->cols + k->from);
        sp_formats[k->f].encode_weighted(at, k->goal + row * k->cols + k->from, k->importance + k->from, k->wide);
        for (int64_t run = 0; run < k->wide / 32; run++)
            walk_run(k, row, at, run);
    }
}

static enum sp_status walk(struct walking *k, struct sp_pool *pool, struct sp_err *err)
{
    for (; k->from < k->cols; k->from += PANEL) {
        int64_t next = k->from + PANEL;
        k->wide = next < k->cols ? PANEL : k->cols - k->from;
        sp_pool_run(pool, walk_rows, k, (k->rows + TASK_ROWS - 1) / TASK_ROWS);
        if (next >= k->cols)
            break;
        struct sp_gemm_args g = { .a = k->lost, .b = k->factor + k->from * k->cols + next, .acc = k->goal + next, .c = k->goal + next, .m = k->rows,
                                  .n = k->cols - next, .k = PANEL, .lda = PANEL, .ldb = k->cols, .ldc = k->cols };
        TRY(product(&g, pool, err));
    }
    return SP_OK;
}

enum sp_status sp_bits_round(enum sp_format f, const float *w, int64_t rows, int64_t cols, const float *importance, const float *factor,
                             struct sp_pool *pool, void *to, struct sp_err *err)
{
    struct walking k = { .f = f, .grid = sp_format_grid(f), .w = w, .importance = importance, .factor = factor, .to = to, .rows = rows, .cols = cols };
    if (!k.grid || cols % sp_formats[f].block)
        return sp_fail(err, SP_UNSUPPORTED, "rows of %lld numbers can't be rounded to %s with errors made up for", (long long)cols, sp_formats[f].name);
    if (!sp_bits_sound(w, rows * cols))
        return sp_fail(err, SP_DIVERGED, "a matrix to be rounded holds what is no number: the model's weights are damaged");
    k.goal = sp_alloc((size_t)(rows * cols) * sizeof(float));
    k.lost = sp_alloc((size_t)(rows * PANEL) * sizeof(float));
    enum sp_status st = k.goal && k.lost ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to round %lld rows", (long long)rows);
    if (!st) {
        memcpy(k.goal, w, (size_t)(rows * cols) * sizeof(float));
        st = walk(&k, pool, err);
    }
    sp_free(k.goal);
    sp_free(k.lost);
    return st;
}
