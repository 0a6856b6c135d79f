/* kernel/gemm.h - what the files of the gemm family share.
 *
 * Rows for vector processors are one body (gemm_body.h) compiled for each
 * width; every width exports the same four functions.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GEMM_H
#define SP_GEMM_H
#include "kernel.h"

#define SP_GEMM_ROW(isa)                                                                    \
    void sp_gemm_##isa(const void *args, int phase, int64_t task, void *scratch);           \
    bool sp_gemm_##isa##_fits(const void *args);                                            \
    int64_t sp_gemm_##isa##_tasks(const void *args, int phase);                             \
    int64_t sp_gemm_##isa##_pack_bytes(const struct sp_gemm_args *g);                       \
    void sp_gemm_##isa##_pack(const struct sp_pack_args *p, int64_t task, void *scratch);

SP_GEMM_ROW(avx2)
SP_GEMM_ROW(avx512)
SP_GEMM_ROW(neon)

/* A task of a vector row computes at most ROWS by COLS elements of c; k is cut in pieces of DEPTH. */
enum { SP_GEMM_ROWS = 384, SP_GEMM_COLS = 512, SP_GEMM_DEPTH = 256, SP_GEMM_A_ROWS = 192, SP_GEMM_FEW = 4, SP_GEMM_SLACK = 16 };
enum {
    SP_GEMM_SCRATCH = 4 * (SP_GEMM_COLS * SP_GEMM_DEPTH + SP_GEMM_A_ROWS * SP_GEMM_DEPTH + SP_GEMM_SLACK + SP_GEMM_ROWS * SP_GEMM_COLS +
                           8 * SP_GEMM_DEPTH)
};

/* oneDNN, where it can be loaded (gemm_dnnl.c). */
void sp_gemm_dnnl(const void *args, int phase, int64_t task, void *scratch);
bool sp_gemm_dnnl_fits(const void *args);
int64_t sp_gemm_dnnl_tasks(const void *args, int phase);

/* How c is cut for so many threads (0: not known): big tiles of whole units, at least three a thread where that
 * leaves them worth packing for, and as many for each. */
struct sp_gemm_cut { int64_t rows, cols, down, across; };
struct sp_gemm_cut sp_gemm_cut(const struct sp_gemm_args *g, int threads, int64_t row_unit, int64_t col_unit);
#endif
