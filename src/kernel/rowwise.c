/* kernel/rowwise.c - the families that work row by row: fields, tasks, rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elem.h"
#include "embed.h"

#include "portable/norm.c"
#include "portable/softmax.c"
#include "portable/xent.c"
#include "portable/soft.c"
#include "portable/embed.c"

SP_EMBED_TEXT(norm, "portable/norm.c")
SP_EMBED_TEXT(softmax, "portable/softmax.c")
SP_EMBED_TEXT(xent, "portable/xent.c")
SP_EMBED_TEXT(soft, "portable/soft.c")
SP_EMBED_TEXT(embed, "portable/embed.c")


/* ---- norm ---- */

SP_PORTABLE_ROW(norm)

static int64_t norm_tasks(const void *args, int phase)
{
    const struct sp_norm_args *a = args;
    (void)phase;
    return sp_blocks(a->m, SP_NORM_ROWS);
}

static const struct sp_field norm_fields[] = {
    SP_F(norm, x, IN, "const float *"),
    SP_F(norm, gain, IN, "const float *"),
    SP_F(norm, bias, IN, "const float *"),
    SP_F(norm, y, OUT, "void *"),
    SP_F(norm, stat, OUT, "float *"),
    SP_F(norm, m, I64, ""),
    SP_F(norm, n, I64, ""),
    SP_F(norm, eps, F32, ""),
    SP_F(norm, layer, I32, ""),
    SP_F(norm, y_format, I32, ""),
    { 0 },
};

static bool norm_fits(const void *args)
{
    const struct sp_norm_args *a = args;
    return sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row norm_rows[] = {
    SP_ELEM_FAST(norm, norm_fits, 1e-5f)
    { .name = "norm.portable", .fn = SP_FN(norm) },
};

const struct sp_kernel sp_kernel_norm = {
    .name = "norm", .help = "RMS or layer normalisation", .args_bytes = sizeof(struct sp_norm_args), .fields = norm_fields,
    .phases = 1, .tasks = norm_tasks, .rows = norm_rows,
    .source = SP_TEXT(norm), .function = "sp_norm_portable", .args_type = "struct sp_norm_args",
};

/* ---- norm_back ---- */

SP_PORTABLE_ROW(norm_back)

static int64_t norm_back_tasks(const void *args, int phase)
{
    const struct sp_norm_back_args *a = args;
    return sp_blocks(phase ? a->n : a->m, phase ? 256 : SP_NORM_ROWS);
}

static const struct sp_field norm_back_fields[] = {
    SP_F(norm_back, dy, IN, "const void *"),
    SP_F(norm_back, x, IN, "const float *"),
    SP_F(norm_back, gain, IN, "const float *"),
    SP_F(norm_back, stat, IN, "const float *"),
    SP_F(norm_back, dx_acc, IN, "const float *"),
    SP_F(norm_back, dgain_acc, IN, "const float *"),
    SP_F(norm_back, dbias_acc, IN, "const float *"),
    SP_F(norm_back, dx, OUT, "float *"),
    SP_F(norm_back, dgain, OUT, "float *"),
    SP_F(norm_back, dbias, OUT, "float *"),
    SP_F(norm_back, work, WORK, "float *"),
    SP_F(norm_back, m, I64, ""),
    SP_F(norm_back, n, I64, ""),
    SP_F(norm_back, layer, I32, ""),
    SP_F(norm_back, dy_format, I32, ""),
    { 0 },
};

static bool norm_back_fits(const void *args)
{
    const struct sp_norm_back_args *a = args;
    return sp_elem_plain(a->dy_format);
}

static const struct sp_kernel_row norm_back_rows[] = {
    SP_ELEM_FAST(norm_back, norm_back_fits, 1e-4f)
    { .name = "norm_back.portable", .fn = SP_FN(norm_back) },
};

const struct sp_kernel sp_kernel_norm_back = {
    .name = "norm_back", .help = "slopes of a normalisation", .args_bytes = sizeof(struct sp_norm_back_args), .fields = norm_back_fields,
    .phases = 2, .tasks = norm_back_tasks, .rows = norm_back_rows,
    .source = SP_TEXT(norm), .function = "sp_norm_back_portable", .args_type = "struct sp_norm_back_args",
};

/* ---- softmax ---- */

SP_PORTABLE_ROW(softmax)

static int64_t softmax_tasks(const void *args, int phase)
{
    const struct sp_softmax_args *a = args;
    (void)phase;
    return sp_blocks(a->m, 16);
}

static const struct sp_field softmax_fields[] = {
    SP_F(softmax, x, IN, "const float *"),
    SP_F(softmax, y, OUT, "float *"),
    SP_F(softmax, m, I64, ""),
    SP_F(softmax, n, I64, ""),
    SP_F(softmax, scale, F32, ""),
    { 0 },
};

static const struct sp_kernel_row softmax_rows[] = {
    SP_ELEM_FAST(softmax, NULL, 1e-5f)
    { .name = "softmax.portable", .fn = SP_FN(softmax) },
};

const struct sp_kernel sp_kernel_softmax = {
    .name = "softmax", .help = "softmax by rows", .args_bytes = sizeof(struct sp_softmax_args), .fields = softmax_fields,
    .phases = 1, .tasks = softmax_tasks, .rows = softmax_rows,
    .source = SP_TEXT(softmax), .function = "sp_softmax_portable", .args_type = "struct sp_softmax_args",
};

/* ---- softmax_back ---- */

SP_PORTABLE_ROW(softmax_back)

static int64_t softmax_back_tasks(const void *args, int phase)
{
    const struct sp_softmax_back_args *a = args;
    (void)phase;
    return sp_blocks(a->m, 16);
}

static const struct sp_field softmax_back_fields[] = {
    SP_F(softmax_back, dy, IN, "const float *"),
    SP_F(softmax_back, y, IN, "const float *"),
    SP_F(softmax_back, dx, OUT, "float *"),
    SP_F(softmax_back, m, I64, ""),
    SP_F(softmax_back, n, I64, ""),
    SP_F(softmax_back, scale, F32, ""),
    { 0 },
};

static const struct sp_kernel_row softmax_back_rows[] = {
    SP_ELEM_FAST(softmax_back, NULL, 1e-5f)
    { .name = "softmax_back.portable", .fn = SP_FN(softmax_back) },
};

const struct sp_kernel sp_kernel_softmax_back = {
    .name = "softmax_back", .help = "slope of softmax", .args_bytes = sizeof(struct sp_softmax_back_args), .fields = softmax_back_fields,
    .phases = 1, .tasks = softmax_back_tasks, .rows = softmax_back_rows,
    .source = SP_TEXT(softmax), .function = "sp_softmax_back_portable", .args_type = "struct sp_softmax_back_args",
};

/* ---- xent ---- */

SP_PORTABLE_ROW(xent)

static int64_t xent_tasks(const void *args, int phase)
{
    const struct sp_xent_args *a = args;
    return phase ? 1 : sp_blocks(a->m, 8);
}

static const struct sp_field xent_fields[] = {
    SP_F(xent, x, IN, "const void *"),
    SP_F(xent, target, IN, "const int32_t *"),
    SP_F(xent, weight, IN, "const float *"),
    SP_F(xent, loss_acc, IN, "const float *"),
    SP_F(xent, loss, OUT, "float *"),
    SP_F(xent, dx, OUT, "void *"),
    SP_F(xent, nll, OUT, "float *"),
    SP_F(xent, m, I64, ""),
    SP_F(xent, n, I64, ""),
    SP_F(xent, x_format, I32, ""),
    SP_F(xent, dx_format, I32, ""),
    { 0 },
};

static bool xent_fits(const void *args)
{
    const struct sp_xent_args *a = args;
    return sp_elem_plain(a->x_format) && sp_elem_plain(a->dx_format);
}

static const struct sp_kernel_row xent_rows[] = {
    SP_ELEM_FAST(xent, xent_fits, 1e-5f)
    { .name = "xent.portable", .fn = SP_FN(xent) },
};

const struct sp_kernel sp_kernel_xent = {
    .name = "xent", .help = "cross-entropy with its slope", .args_bytes = sizeof(struct sp_xent_args), .fields = xent_fields,
    .phases = 2, .tasks = xent_tasks, .rows = xent_rows,
    .source = SP_TEXT(xent), .function = "sp_xent_portable", .args_type = "struct sp_xent_args",
};

/* ---- soft ---- */

SP_PORTABLE_ROW(soft)

static int64_t soft_tasks(const void *args, int phase)
{
    const struct sp_soft_args *a = args;
    return phase ? 1 : sp_blocks(a->m, 8);
}

static const struct sp_field soft_fields[] = {
    SP_F(soft, x, IN, "const float *"),
    SP_F(soft, teacher, IN, "const float *"),
    SP_F(soft, weight, IN, "const float *"),
    SP_F(soft, loss_acc, IN, "const float *"),
    SP_F(soft, loss, OUT, "float *"),
    SP_F(soft, dx, OUT, "float *"),
    SP_F(soft, kl, OUT, "float *"),
    SP_F(soft, m, I64, ""),
    SP_F(soft, n, I64, ""),
    { 0 },
};

static const struct sp_kernel_row soft_rows[] = {
    { .name = "soft.portable", .fn = SP_FN(soft) },
};

const struct sp_kernel sp_kernel_soft = {
    .name = "soft", .help = "divergence from a teacher's logits with its slope", .args_bytes = sizeof(struct sp_soft_args), .fields = soft_fields,
    .phases = 2, .tasks = soft_tasks, .rows = soft_rows,
    .source = SP_TEXT(soft), .function = "sp_soft_portable", .args_type = "struct sp_soft_args",
};

/* ---- embed ---- */

SP_PORTABLE_ROW(embed)

static int64_t embed_tasks(const void *args, int phase)
{
    const struct sp_embed_args *a = args;
    (void)phase;
    return sp_blocks(a->m, 64);
}

static const struct sp_field embed_fields[] = {
    SP_F(embed, ids, IN, "const int32_t *"),
    SP_F(embed, table, IN, "const void *"),
    SP_F(embed, y, OUT, "void *"),
    SP_F(embed, m, I64, ""),
    SP_F(embed, n, I64, ""),
    SP_F(embed, rows, I64, ""),
    SP_F(embed, scale, F32, ""),
    SP_F(embed, table_format, I32, ""),
    SP_F(embed, y_format, I32, ""),
    { 0 },
};

static bool embed_fits(const void *args)
{
    const struct sp_embed_args *a = args;
    return sp_elem_plain(a->table_format) && sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row embed_rows[] = {
    SP_ELEM_FAST(embed, embed_fits, 1e-6f)
    { .name = "embed.portable", .fn = SP_FN(embed) },
};

const struct sp_kernel sp_kernel_embed = {
    .name = "embed", .help = "rows of a table by number", .args_bytes = sizeof(struct sp_embed_args), .fields = embed_fields,
    .phases = 1, .tasks = embed_tasks, .rows = embed_rows,
    .source = SP_TEXT(embed), .function = "sp_embed_portable", .args_type = "struct sp_embed_args",
};

/* ---- embed_back ---- */

SP_PORTABLE_ROW(embed_back)

static int64_t embed_back_tasks(const void *args, int phase)
{
    const struct sp_embed_back_args *a = args;
    (void)phase;
    return sp_blocks(a->n, 64);
}

static const struct sp_field embed_back_fields[] = {
    SP_F(embed_back, ids, IN, "const int32_t *"),
    SP_F(embed_back, dy, IN, "const void *"),
    SP_F(embed_back, acc, IN, "const float *"),
    SP_F(embed_back, dtable, OUT, "float *"),
    SP_F(embed_back, m, I64, ""),
    SP_F(embed_back, n, I64, ""),
    SP_F(embed_back, rows, I64, ""),
    SP_F(embed_back, scale, F32, ""),
    SP_F(embed_back, dy_format, I32, ""),
    { 0 },
};

static bool embed_back_fits(const void *args)
{
    const struct sp_embed_back_args *a = args;
    return sp_elem_plain(a->dy_format);
}

static const struct sp_kernel_row embed_back_rows[] = {
    SP_ELEM_FAST(embed_back, embed_back_fits, 1e-5f)
    { .name = "embed_back.portable", .fn = SP_FN(embed_back) },
};

const struct sp_kernel sp_kernel_embed_back = {
    .name = "embed_back", .help = "sums of rows by number", .args_bytes = sizeof(struct sp_embed_back_args), .fields = embed_back_fields,
    .phases = 1, .tasks = embed_back_tasks, .rows = embed_back_rows,
    .source = SP_TEXT(embed), .function = "sp_embed_back_portable", .args_type = "struct sp_embed_back_args",
};
