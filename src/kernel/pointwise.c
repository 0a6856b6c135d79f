/* kernel/pointwise.c - the families that work element by element: fields, tasks, rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "elem.h"
#include "embed.h"

#include "portable/unary.c"
#include "portable/binary.c"
#include "portable/glu.c"
#include "portable/dropout.c"
#include "portable/fill.c"

SP_EMBED_TEXT(unary, "portable/unary.c")
SP_EMBED_TEXT(binary, "portable/binary.c")
SP_EMBED_TEXT(glu, "portable/glu.c")
SP_EMBED_TEXT(dropout, "portable/dropout.c")
SP_EMBED_TEXT(fill, "portable/fill.c")


/* ---- unary ---- */

SP_PORTABLE_ROW(unary)

static int64_t unary_tasks(const void *args, int phase)
{
    const struct sp_unary_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_UNARY_BLOCK);
}

static const struct sp_field unary_fields[] = {
    SP_F(unary, x, IN, "const void *"),
    SP_F(unary, y, OUT, "void *"),
    SP_F(unary, n, I64, ""),
    SP_F(unary, kind, I32, ""),
    SP_F(unary, x_format, I32, ""),
    SP_F(unary, y_format, I32, ""),
    { 0 },
};

static bool unary_fits(const void *args)
{
    const struct sp_unary_args *a = args;
    return sp_elem_plain(a->x_format) && sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row unary_rows[] = {
    SP_ELEM_FAST(unary, unary_fits, 4e-6f)
    { .name = "unary.portable", .fn = SP_FN(unary) },
};

const struct sp_kernel sp_kernel_unary = {
    .name = "unary", .help = "y = f(x)", .args_bytes = sizeof(struct sp_unary_args), .fields = unary_fields,
    .phases = 1, .tasks = unary_tasks, .rows = unary_rows,
    .source = SP_TEXT(unary), .function = "sp_unary_portable", .args_type = "struct sp_unary_args",
};

/* ---- unary_back ---- */

SP_PORTABLE_ROW(unary_back)

static int64_t unary_back_tasks(const void *args, int phase)
{
    const struct sp_unary_back_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_UNARY_BLOCK);
}

static const struct sp_field unary_back_fields[] = {
    SP_F(unary_back, dy, IN, "const void *"),
    SP_F(unary_back, x, IN, "const void *"),
    SP_F(unary_back, dx, OUT, "void *"),
    SP_F(unary_back, n, I64, ""),
    SP_F(unary_back, kind, I32, ""),
    SP_F(unary_back, dy_format, I32, ""),
    SP_F(unary_back, x_format, I32, ""),
    SP_F(unary_back, dx_format, I32, ""),
    { 0 },
};

static bool unary_back_fits(const void *args)
{
    const struct sp_unary_back_args *a = args;
    return sp_elem_plain(a->dy_format) && sp_elem_plain(a->x_format) && sp_elem_plain(a->dx_format);
}

static const struct sp_kernel_row unary_back_rows[] = {
    SP_ELEM_FAST(unary_back, unary_back_fits, 1e-5f)
    { .name = "unary_back.portable", .fn = SP_FN(unary_back) },
};

const struct sp_kernel sp_kernel_unary_back = {
    .name = "unary_back", .help = "dx = dy f'(x)", .args_bytes = sizeof(struct sp_unary_back_args), .fields = unary_back_fields,
    .phases = 1, .tasks = unary_back_tasks, .rows = unary_back_rows,
    .source = SP_TEXT(unary), .function = "sp_unary_back_portable", .args_type = "struct sp_unary_back_args",
};

/* ---- binary ---- */

SP_PORTABLE_ROW(binary)

static int64_t binary_tasks(const void *args, int phase)
{
    const struct sp_binary_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_BINARY_BLOCK);
}

static const struct sp_field binary_fields[] = {
    SP_F(binary, a, IN, "const void *"),
    SP_F(binary, b, IN, "const void *"),
    SP_F(binary, scale, IN, "const float *"),
    SP_F(binary, y, OUT, "void *"),
    SP_F(binary, n, I64, ""),
    SP_F(binary, nb, I64, ""),
    SP_F(binary, alpha, F32, ""),
    SP_F(binary, beta, F32, ""),
    SP_F(binary, kind, I32, ""),
    SP_F(binary, a_format, I32, ""),
    SP_F(binary, b_format, I32, ""),
    SP_F(binary, y_format, I32, ""),
    { 0 },
};

static bool binary_fits(const void *args)
{
    const struct sp_binary_args *a = args;
    return sp_elem_plain(a->a_format) && sp_elem_plain(a->b_format) && sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row binary_rows[] = {
    SP_ELEM_FAST(binary, binary_fits, 1e-6f)
    { .name = "binary.portable", .fn = SP_FN(binary) },
};

const struct sp_kernel sp_kernel_binary = {
    .name = "binary", .help = "sum or product, b repeated", .args_bytes = sizeof(struct sp_binary_args), .fields = binary_fields,
    .phases = 1, .tasks = binary_tasks, .rows = binary_rows,
    .source = SP_TEXT(binary), .function = "sp_binary_portable", .args_type = "struct sp_binary_args",
};

/* ---- glu ---- */

SP_PORTABLE_ROW(glu)

static int64_t glu_tasks(const void *args, int phase)
{
    const struct sp_glu_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_GLU_BLOCK);
}

static const struct sp_field glu_fields[] = {
    SP_F(glu, gate, IN, "const void *"),
    SP_F(glu, up, IN, "const void *"),
    SP_F(glu, y, OUT, "void *"),
    SP_F(glu, n, I64, ""),
    SP_F(glu, kind, I32, ""),
    SP_F(glu, x_format, I32, ""),
    SP_F(glu, y_format, I32, ""),
    { 0 },
};

static bool glu_fits(const void *args)
{
    const struct sp_glu_args *a = args;
    return sp_elem_plain(a->x_format) && sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row glu_rows[] = {
    SP_ELEM_FAST(glu, glu_fits, 4e-6f)
    { .name = "glu.portable", .fn = SP_FN(glu) },
};

const struct sp_kernel sp_kernel_glu = {
    .name = "glu", .help = "f(gate) up", .args_bytes = sizeof(struct sp_glu_args), .fields = glu_fields,
    .phases = 1, .tasks = glu_tasks, .rows = glu_rows,
    .source = SP_TEXT(glu), .function = "sp_glu_portable", .args_type = "struct sp_glu_args",
};

/* ---- glu_back ---- */

SP_PORTABLE_ROW(glu_back)

static int64_t glu_back_tasks(const void *args, int phase)
{
    const struct sp_glu_back_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_GLU_BLOCK);
}

static const struct sp_field glu_back_fields[] = {
    SP_F(glu_back, dy, IN, "const void *"),
    SP_F(glu_back, gate, IN, "const void *"),
    SP_F(glu_back, up, IN, "const void *"),
    SP_F(glu_back, dgate, OUT, "void *"),
    SP_F(glu_back, dup, OUT, "void *"),
    SP_F(glu_back, n, I64, ""),
    SP_F(glu_back, kind, I32, ""),
    SP_F(glu_back, dy_format, I32, ""),
    SP_F(glu_back, x_format, I32, ""),
    SP_F(glu_back, dx_format, I32, ""),
    { 0 },
};

static bool glu_back_fits(const void *args)
{
    const struct sp_glu_back_args *a = args;
    return sp_elem_plain(a->dy_format) && sp_elem_plain(a->x_format) && sp_elem_plain(a->dx_format);
}

static const struct sp_kernel_row glu_back_rows[] = {
    SP_ELEM_FAST(glu_back, glu_back_fits, 1e-5f)
    { .name = "glu_back.portable", .fn = SP_FN(glu_back) },
};

const struct sp_kernel sp_kernel_glu_back = {
    .name = "glu_back", .help = "both slopes of glu", .args_bytes = sizeof(struct sp_glu_back_args), .fields = glu_back_fields,
    .phases = 1, .tasks = glu_back_tasks, .rows = glu_back_rows,
    .source = SP_TEXT(glu), .function = "sp_glu_back_portable", .args_type = "struct sp_glu_back_args",
};

/* ---- dropout ---- */

SP_PORTABLE_ROW(dropout)

static int64_t dropout_tasks(const void *args, int phase)
{
    const struct sp_dropout_args *a = args;
    (void)phase;
    return sp_blocks(a->n, SP_DROPOUT_BLOCK);
}

static const struct sp_field dropout_fields[] = {
    SP_F(dropout, x, IN, "const void *"),
    SP_F(dropout, counter, IN, "const int32_t *"),
    SP_F(dropout, y, OUT, "void *"),
    SP_F(dropout, n, I64, ""),
    SP_F(dropout, key, U64, ""),
    SP_F(dropout, p, F32, ""),
    SP_F(dropout, x_format, I32, ""),
    SP_F(dropout, y_format, I32, ""),
    { 0 },
};

static bool dropout_fits(const void *args)
{
    const struct sp_dropout_args *a = args;
    return sp_elem_plain(a->x_format) && sp_elem_plain(a->y_format);
}

static const struct sp_kernel_row dropout_rows[] = {
    SP_ELEM_FAST(dropout, dropout_fits, 1e-6f)
    { .name = "dropout.portable", .fn = SP_FN(dropout) },
};

const struct sp_kernel sp_kernel_dropout = {
    .name = "dropout", .help = "zeros by counter-based chance", .args_bytes = sizeof(struct sp_dropout_args), .fields = dropout_fields,
    .phases = 1, .tasks = dropout_tasks, .rows = dropout_rows,
    .source = SP_TEXT(dropout), .function = "sp_dropout_portable", .args_type = "struct sp_dropout_args",
};

/* ---- fill ---- */

SP_PORTABLE_ROW(fill)

static int64_t fill_tasks(const void *args, int phase)
{
    const struct sp_fill_args *a = args;
    (void)phase;
    return sp_blocks(a->n, 65536);
}

static const struct sp_field fill_fields[] = {
    SP_F(fill, y, OUT, "float *"),
    SP_F(fill, n, I64, ""),
    SP_F(fill, value, F32, ""),
    { 0 },
};

static const struct sp_kernel_row fill_rows[] = {
    SP_ELEM_FAST(fill, NULL, 1e-6f)
    { .name = "fill.portable", .fn = SP_FN(fill) },
};

const struct sp_kernel sp_kernel_fill = {
    .name = "fill", .help = "one value everywhere", .args_bytes = sizeof(struct sp_fill_args), .fields = fill_fields,
    .phases = 1, .tasks = fill_tasks, .rows = fill_rows,
    .source = SP_TEXT(fill), .function = "sp_fill_portable", .args_type = "struct sp_fill_args",
};
