/* kernel/reduce.c - the families that work sums, and the optimizers: fields, tasks, rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elem.h"
#include "embed.h"

#include "portable/sum.c"
#include "portable/clip.c"
#include "portable/adamw.c"
#include "portable/mse.c"

SP_EMBED_TEXT(sum, "portable/sum.c")
SP_EMBED_TEXT(clip, "portable/clip.c")
SP_EMBED_TEXT(adamw, "portable/adamw.c")
SP_EMBED_TEXT(mse, "portable/mse.c")


/* ---- sum_rows ---- */

SP_PORTABLE_ROW(sum_rows)

static int64_t sum_rows_tasks(const void *args, int phase)
{
    const struct sp_sum_rows_args *a = args;
    (void)phase;
    return sp_blocks(a->n, 64);
}

static const struct sp_field sum_rows_fields[] = {
    SP_F(sum_rows, x, IN, "const void *"),
    SP_F(sum_rows, acc, IN, "const float *"),
    SP_F(sum_rows, y, OUT, "float *"),
    SP_F(sum_rows, m, I64, ""),
    SP_F(sum_rows, n, I64, ""),
    SP_F(sum_rows, x_format, I32, ""),
    { 0 },
};

static bool sum_rows_fits(const void *args)
{
    const struct sp_sum_rows_args *a = args;
    return sp_elem_plain(a->x_format);
}

static const struct sp_kernel_row sum_rows_rows[] = {
    SP_ELEM_FAST(sum_rows, sum_rows_fits, 1e-5f)
    { .name = "sum_rows.portable", .fn = SP_FN(sum_rows) },
};

const struct sp_kernel sp_kernel_sum_rows = {
    .name = "sum_rows", .help = "sums over rows", .args_bytes = sizeof(struct sp_sum_rows_args), .fields = sum_rows_fields,
    .phases = 1, .tasks = sum_rows_tasks, .rows = sum_rows_rows,
    .source = SP_TEXT(sum), .function = "sp_sum_rows_portable", .args_type = "struct sp_sum_rows_args",
};

/* ---- sum ---- */

SP_PORTABLE_ROW(sum)

static int64_t sum_tasks(const void *args, int phase)
{
    const struct sp_sum_args *a = args;
    return phase ? 1 : sp_blocks(a->n, SP_SUM_BLOCK);
}

static const struct sp_field sum_fields[] = {
    SP_F(sum, x, IN, "const void *"),
    SP_F(sum, acc, IN, "const float *"),
    SP_F(sum, y, OUT, "float *"),
    SP_F(sum, work, WORK, "double *"),
    SP_F(sum, n, I64, ""),
    SP_F(sum, scale, F32, ""),
    SP_F(sum, kind, I32, ""),
    SP_F(sum, x_format, I32, ""),
    { 0 },
};

static bool sum_fits(const void *args)
{
    const struct sp_sum_args *a = args;
    return sp_elem_plain(a->x_format);
}

static const struct sp_kernel_row sum_rows[] = {
    SP_ELEM_FAST(sum, sum_fits, 1e-6f)
    { .name = "sum.portable", .fn = SP_FN(sum) },
};

const struct sp_kernel sp_kernel_sum = {
    .name = "sum", .help = "sum of all, or of all squared", .args_bytes = sizeof(struct sp_sum_args), .fields = sum_fields,
    .phases = 2, .tasks = sum_tasks, .rows = sum_rows,
    .source = SP_TEXT(sum), .function = "sp_sum_portable", .args_type = "struct sp_sum_args",
};

/* ---- clip ---- */

SP_PORTABLE_ROW(clip)

static int64_t clip_tasks(const void *args, int phase)
{
    const struct sp_clip_args *a = args;
    (void)phase;
    (void)a;
    return 1;
}

static const struct sp_field clip_fields[] = {
    SP_F(clip, sumsq, IN, "const float *"),
    SP_F(clip, max_norm, IN, "const float *"),
    SP_F(clip, factor, OUT, "float *"),
    SP_F(clip, norm, OUT, "float *"),
    { 0 },
};

static const struct sp_kernel_row clip_rows[] = {
    { .name = "clip.portable", .fn = SP_FN(clip) },
};

const struct sp_kernel sp_kernel_clip = {
    .name = "clip", .help = "clipping factor of a gradient", .args_bytes = sizeof(struct sp_clip_args), .fields = clip_fields,
    .phases = 1, .tasks = clip_tasks, .rows = clip_rows,
    .source = SP_TEXT(clip), .function = "sp_clip_portable", .args_type = "struct sp_clip_args",
};

/* ---- adamw ---- */

SP_PORTABLE_ROW(adamw)

static int64_t adamw_tasks(const void *args, int phase)
{
    const struct sp_adamw_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_UPDATE_BLOCK);
}

static const struct sp_field adamw_fields[] = {
    SP_F(adamw, p, IN, "float *"),
    SP_F(adamw, grad, IN, "float *"),
    SP_F(adamw, m, IN, "float *"),
    SP_F(adamw, v, IN, "float *"),
    SP_F(adamw, factor, IN, "const float *"),
    SP_F(adamw, lr, IN, "const float *"),
    SP_F(adamw, step, IN, "const int32_t *"),
    SP_F(adamw, n, I64, ""),
    SP_F(adamw, beta1, F32, ""),
    SP_F(adamw, beta2, F32, ""),
    SP_F(adamw, eps, F32, ""),
    SP_F(adamw, decay, F32, ""),
    { 0 },
};

static const struct sp_kernel_row adamw_rows[] = {
    SP_ELEM_FAST(adamw, NULL, 1e-5f)
    { .name = "adamw.portable", .fn = SP_FN(adamw) },
};

const struct sp_kernel sp_kernel_adamw = {
    .name = "adamw", .help = "AdamW in place", .args_bytes = sizeof(struct sp_adamw_args), .fields = adamw_fields,
    .phases = 1, .tasks = adamw_tasks, .rows = adamw_rows,
    .source = SP_TEXT(adamw), .function = "sp_adamw_portable", .args_type = "struct sp_adamw_args",
};

/* ---- sgd ---- */

SP_PORTABLE_ROW(sgd)

static int64_t sgd_tasks(const void *args, int phase)
{
    const struct sp_sgd_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_UPDATE_BLOCK);
}

static const struct sp_field sgd_fields[] = {
    SP_F(sgd, p, IN, "float *"),
    SP_F(sgd, grad, IN, "float *"),
    SP_F(sgd, factor, IN, "const float *"),
    SP_F(sgd, lr, IN, "const float *"),
    SP_F(sgd, m, IN, "float *"),
    SP_F(sgd, n, I64, ""),
    SP_F(sgd, momentum, F32, ""),
    SP_F(sgd, decay, F32, ""),
    { 0 },
};

static const struct sp_kernel_row sgd_rows[] = {
    SP_ELEM_FAST(sgd, NULL, 1e-5f)
    { .name = "sgd.portable", .fn = SP_FN(sgd) },
};

const struct sp_kernel sp_kernel_sgd = {
    .name = "sgd", .help = "gradient descent with momentum", .args_bytes = sizeof(struct sp_sgd_args), .fields = sgd_fields,
    .phases = 1, .tasks = sgd_tasks, .rows = sgd_rows,
    .source = SP_TEXT(adamw), .function = "sp_sgd_portable", .args_type = "struct sp_sgd_args",
};

/* ---- mse ---- */

SP_PORTABLE_ROW(mse)

static int64_t mse_tasks(const void *args, int phase)
{
    const struct sp_mse_args *a = args;
    return phase ? 1 : sp_blocks(a->n, SP_SUM_BLOCK);
}

static const struct sp_field mse_fields[] = {
    SP_F(mse, x, IN, "const float *"),
    SP_F(mse, y, IN, "const float *"),
    SP_F(mse, acc, IN, "const float *"),
    SP_F(mse, loss, OUT, "float *"),
    SP_F(mse, dx, OUT, "float *"),
    SP_F(mse, work, WORK, "double *"),
    SP_F(mse, n, I64, ""),
    SP_F(mse, scale, F32, ""),
    { 0 },
};

static const struct sp_kernel_row mse_rows[] = {
    { .name = "mse.portable", .fn = SP_FN(mse) },
};

const struct sp_kernel sp_kernel_mse = {
    .name = "mse", .help = "squared error with its slope", .args_bytes = sizeof(struct sp_mse_args), .fields = mse_fields,
    .phases = 2, .tasks = mse_tasks, .rows = mse_rows,
    .source = SP_TEXT(mse), .function = "sp_mse_portable", .args_type = "struct sp_mse_args",
};
