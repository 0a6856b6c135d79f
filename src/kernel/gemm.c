/* kernel/gemm.c - the matrix-product family: fields, tasks, rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "embed.h"
#include "portable/gemm.c"

SP_EMBED(gemm)

static int64_t gemm_tasks(const void *args, int phase)
{
    const struct sp_gemm_args *a = args;
    (void)phase;
    return (a->m + 47) / 48 * ((a->n + 63) / 64);
}

static const struct sp_field gemm_fields[] = {
    SP_F(gemm, a, IN, "const void *"),    SP_F(gemm, b, IN, "const void *"), SP_F(gemm, bias, IN, "const float *"),
    SP_F(gemm, acc, IN, "const float *"), SP_F(gemm, c, OUT, "void *"),      SP_F(gemm, m, I64, ""),
    SP_F(gemm, n, I64, ""),               SP_F(gemm, k, I64, ""),            SP_F(gemm, lda, I64, ""),
    SP_F(gemm, ldb, I64, ""),             SP_F(gemm, ldc, I64, ""),          SP_F(gemm, trans, I32, ""),
    SP_F(gemm, a_format, I32, ""),        SP_F(gemm, b_format, I32, ""),     SP_F(gemm, c_format, I32, ""),
    SP_F(gemm, b_packed, I32, ""),        { 0 },
};

static const struct sp_kernel_row gemm_rows[] = {
    { .name = "gemm.portable", .fn = SP_FN(gemm) },
};

const struct sp_kernel sp_kernel_gemm = {
    .name = "gemm", .help = "matrix product", .args_bytes = sizeof(struct sp_gemm_args), .fields = gemm_fields, .phases = 1,
    .tasks = gemm_tasks, .rows = gemm_rows, .source = SP_TEXT(gemm), .function = "sp_gemm_portable", .args_type = "struct sp_gemm_args",
};
