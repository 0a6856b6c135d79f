/* kernel/gemm_dnnl.c - the gemm row that asks oneDNN: the one file that knows it.
 *
 * The library is loaded when a product first asks for it, so that nothing else
 * pays for its start.  Its two versions in use, 2 and 3, share the one function
 * needed, dnnl_sgemm: row-major, c = a b + beta c.  It is called on tiles, one
 * thread each, since the result must not depend on the number of threads; where
 * the library is built on OpenMP, each of our threads asks that for one thread.
 * SPDX-License-Identifier: Apache-2.0 */
#include "gemm.h"

#ifdef SP_WITH_DNNL
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

typedef int sgemm_fn(char trans_a, char trans_b, int64_t m, int64_t n, int64_t k, float alpha, const float *a, int64_t lda, const float *b,
                     int64_t ldb, float beta, float *c, int64_t ldc); /* dnnl.h; 0 is success */
typedef void threads_fn(int n);

static pthread_once_t once = PTHREAD_ONCE_INIT;
static sgemm_fn *sgemm;
static threads_fn *set_threads;

static void load(void)
{
    static const char *const names[] = { "libdnnl.so.3", "libdnnl.so.2", "libdnnl.so" };
    void *library = NULL, *symbol;
    for (int i = 0; i < 3 && !library; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    symbol = dlsym(library, "omp_set_num_threads"); /* searches what the library itself needs */
    memcpy(&set_threads, &symbol, sizeof symbol);
    symbol = dlsym(library, "dnnl_sgemm");
    memcpy(&sgemm, &symbol, sizeof symbol);
}

bool sp_gemm_dnnl_fits(const void *args)
{
    const struct sp_gemm_args *g = args;
    if (g->a_format != SP_F32 || g->b_format != SP_F32 || g->c_format != SP_F32 || g->b_packed || g->k < 1 || g->m <= SP_GEMM_FEW)
        return false;
    pthread_once(&once, load);
    return sgemm;
}

/* What stands in c before the product is added; false: nothing. */
static bool prepare(const struct sp_gemm_args *g, int64_t i0, int64_t j0, int64_t rows, int64_t cols)
{
    if (!g->bias && !g->acc)
        return false;
    for (int64_t i = i0; i < i0 + rows; i++) {
        float *c = (float *)g->c + i * g->ldc;
        const float *acc = g->acc ? g->acc + i * g->ldc : NULL;
        if (acc == c && !g->bias)
            continue;
        for (int64_t j = j0; j < j0 + cols; j++)
            c[j] = (g->bias ? g->bias[j] : 0) + (acc ? acc[j] : 0);
    }
    return true;
}

void sp_gemm_dnnl(const void *args, int phase, int64_t task, void *scratch)
{
    static _Thread_local bool single;
    const struct sp_gemm_args *g = args;
    struct sp_gemm_cut cut = sp_gemm_cut(g, 0, 24, 32);
    int64_t i0 = task / cut.across * cut.rows, j0 = task % cut.across * cut.cols;
    int64_t rows = g->m - i0 < cut.rows ? g->m - i0 : cut.rows, cols = g->n - j0 < cut.cols ? g->n - j0 : cut.cols;
    bool added = prepare(g, i0, j0, rows, cols);
    (void)phase;
    (void)scratch;
    if (!single && set_threads)
        set_threads(1);
    single = true;
    /* The sizes are sound, so that only lack of memory could make it fail. */
    sgemm(g->trans & 1 ? 'T' : 'N', g->trans & 2 ? 'T' : 'N', rows, cols, g->k, 1, (const float *)g->a + (g->trans & 1 ? i0 : i0 * g->lda), g->lda,
          (const float *)g->b + (g->trans & 2 ? j0 * g->ldb : j0), g->ldb, added ? 1 : 0, (float *)g->c + i0 * g->ldc + j0, g->ldc);
}

int64_t sp_gemm_dnnl_tasks(const void *args, int phase)
{
    struct sp_gemm_cut cut = sp_gemm_cut(args, 0, 24, 32); /* its sums may depend on the cut, which must not depend on threads */
    (void)phase;
    return cut.down * cut.across;
}
#endif
