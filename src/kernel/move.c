/* kernel/move.c - the families that move numbers: copy, put, concat, transpose.
 *
 * Their fast rows are plain C that moves whole rows by memcpy and changes formats
 * through the formats' own encode and decode; the feature bit only keeps them
 * off the portable machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "../cost/cost.h"
#include "embed.h"
#include "kernel.h"
#include "portable/concat.c"
#include "portable/copy.c"
#include "portable/put.c"
#include "portable/transpose.c"

SP_EMBED(concat)
SP_EMBED(copy)
SP_EMBED(put)
SP_EMBED(transpose)

enum { MOVE_ROWS = 64, MOVE_TILE = 32, MOVE_CHUNK = 1024 /* numbers decoded at once */ };
#ifdef __aarch64__
enum { MOVE_NEEDS = SP_CPU_NEON };
#define MOVE_ROW(name) name ".neon"
#else
enum { MOVE_NEEDS = SP_CPU_AVX2 };
#define MOVE_ROW(name) name ".avx2"
#endif

#define F(type, kind_, field) { #field, SP_FIELD_##kind_, offsetof(struct type, field), NULL }
#define P(type, kind_, field, c) { #field, SP_FIELD_##kind_, offsetof(struct type, field), c }

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* n numbers from src (element s) to dst (element d). */
static void move(void *dst, int64_t d, int dst_format, const void *src, int64_t s, int src_format, int64_t n, float *room)
{
    const struct sp_format_row *to = &sp_formats[dst_format], *from = &sp_formats[src_format];
    char *p = (char *)dst + d / to->block * to->bytes;
    const char *q = (const char *)src + s / from->block * from->bytes;
    if (to == from) {
        memmove(p, q, (size_t)(n / to->block * to->bytes));
        return;
    }
    for (int64_t i = 0; i < n; i += MOVE_CHUNK) {
        int64_t k = least(MOVE_CHUNK, n - i);
        from->decode(room, q + i / from->block * from->bytes, k);
        to->encode(p + i / to->block * to->bytes, room, k);
    }
}

static bool plain(int32_t f) { return sp_formats[f].block == 1 && f != SP_BYTES; }
static bool movable(int32_t a, int32_t b) { return plain(a) && plain(b) && (a == b || (a != SP_I32 && b != SP_I32)); }

/* ---- copy ---- */
#define C(kind, field) F(sp_copy_args, kind, field)
static const struct sp_field copy_fields[] = {
    P(sp_copy_args, IN, src, "const void *"), P(sp_copy_args, OUT, dst, "void *"), C(I64, rows), C(I64, cols), C(I64, lds),
    C(I64, ldd), C(I64, src_at), C(I64, dst_at), C(I32, src_format), C(I32, dst_format), { NULL },
};

static int64_t copy_tasks(const void *args, int phase)
{
    (void)phase;
    return sp_blocks(((const struct sp_copy_args *)args)->rows, MOVE_ROWS);
}

static bool copy_fits(const void *args)
{
    const struct sp_copy_args *a = args;
    return movable(a->src_format, a->dst_format);
}

static void copy_rows(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_copy_args *a = args;
    (void)phase;
    for (int64_t i = task * MOVE_ROWS; i < least(task * MOVE_ROWS + MOVE_ROWS, a->rows); i++)
        move(a->dst, a->dst_at + i * a->ldd, a->dst_format, a->src, a->src_at + i * a->lds, a->src_format, a->cols, scratch);
}

static const struct sp_kernel_row copy_table[] = {
    { MOVE_ROW("copy"), MOVE_NEEDS, copy_rows, copy_fits, MOVE_CHUNK * 4, 0 },
    { "copy.portable", 0, SP_FN(copy) },
};

const struct sp_kernel sp_kernel_copy = {
    .name = "copy", .help = "a part of a matrix, any format to any", .args_bytes = sizeof(struct sp_copy_args),
    .fields = copy_fields, .phases = 1, .tasks = copy_tasks, .rows = copy_table, .source = SP_TEXT(copy),
    .function = "sp_copy_portable", .args_type = "struct sp_copy_args",
};

/* ---- put ---- */
#define U(kind, field) F(sp_put_args, kind, field)
static const struct sp_field put_fields[] = {
    P(sp_put_args, IN, old, "const void *"), P(sp_put_args, IN, src, "const void *"),
    P(sp_put_args, IN, past, "const int32_t *"), P(sp_put_args, OUT, dst, "void *"), U(I64, dst_rows), U(I64, dst_cols),
    U(I64, rows), U(I64, cols), U(I64, row), U(I64, col), U(I64, group), U(I64, group_step), U(I32, add),
    U(I32, src_format), U(I32, dst_format), { NULL },
};

static int64_t put_tasks(const void *args, int phase)
{
    const struct sp_put_args *a = args;
    return sp_blocks(phase ? a->rows : a->dst_rows, MOVE_ROWS);
}

static bool put_fits(const void *args)
{
    const struct sp_put_args *a = args;
    return movable(a->src_format, a->dst_format) && a->dst_format != SP_I32;
}

/* Rows into a cache in blocks: of whole ones. */
static bool put_blocks_fits(const void *args)
{
    const struct sp_put_args *a = args;
    int64_t block = sp_formats[a->dst_format].block;
    return block > 1 && sp_formats[a->dst_format].encode && plain(a->src_format) && a->src_format != SP_I32 && !a->add && a->dst_cols % block == 0 &&
           a->cols % block == 0 && a->col % block == 0;
}

static void put_rest(const struct sp_put_args *a, int64_t task)
{
    int64_t bytes = sp_format_bytes((enum sp_format)a->dst_format, a->dst_cols), from = task * MOVE_ROWS;
    size_t n = (size_t)(bytes * (least(from + MOVE_ROWS, a->dst_rows) - from));
    if (!a->old)
        memset((char *)a->dst + from * bytes, 0, n);
    else if (a->old != a->dst)
        memcpy((char *)a->dst + from * bytes, (const char *)a->old + from * bytes, n);
}

/* dst row at element `at` += src row i. */
static void add_row(const struct sp_put_args *a, int64_t at, int64_t i, float *room)
{
    for (int64_t j = 0; j < a->cols; j += MOVE_CHUNK) {
        int64_t n = least(MOVE_CHUNK, a->cols - j);
        move(room, 0, SP_F32, a->src, i * a->cols + j, a->src_format, n, room + 2 * MOVE_CHUNK);
        move(room + MOVE_CHUNK, 0, SP_F32, a->dst, at + j, a->dst_format, n, room + 2 * MOVE_CHUNK);
        for (int64_t k = 0; k < n; k++)
            room[k] += room[MOVE_CHUNK + k];
        move(a->dst, at + j, a->dst_format, room, 0, SP_F32, n, room + 2 * MOVE_CHUNK);
    }
}

static void put_rows(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_put_args *a = args;
    int64_t group = a->group > 0 ? a->group : a->rows, step = a->group > 0 ? a->group_step : a->dst_rows;
    if (!phase) {
        put_rest(a, task);
        return;
    }
    for (int64_t i = task * MOVE_ROWS; i < least(task * MOVE_ROWS + MOVE_ROWS, a->rows); i++) {
        int64_t row = a->row + (a->past ? *a->past : 0) + i % group, at = i / group * step + row;
        if (row < 0 || row >= step || at >= a->dst_rows)
            continue;
        at = at * a->dst_cols + a->col;
        if (a->add)
            add_row(a, at, i, scratch);
        else
            move(a->dst, at, a->dst_format, a->src, i * a->cols, a->src_format, a->cols, scratch);
    }
}

static const struct sp_kernel_row put_table[] = {
    { MOVE_ROW("put"), MOVE_NEEDS, put_rows, put_fits, MOVE_CHUNK * 3 * 4, 0 },
    { "put.blocks", 0, put_rows, put_blocks_fits, MOVE_CHUNK * 3 * 4, 0 },
    { "put.portable", 0, SP_FN(put) },
};

const struct sp_kernel sp_kernel_put = {
    .name = "put", .help = "a matrix into a part of another, at a row known at run time",
    .args_bytes = sizeof(struct sp_put_args), .fields = put_fields, .phases = 2, .tasks = put_tasks, .rows = put_table,
    .source = SP_TEXT(put), .function = "sp_put_portable", .args_type = "struct sp_put_args",
};

/* ---- concat ---- */
#define X(i) { "x[" #i "]", SP_FIELD_IN, offsetof(struct sp_concat_args, x) + i * sizeof(void *), "const void *" }
#define N(i) { "cols[" #i "]", SP_FIELD_I64, offsetof(struct sp_concat_args, cols) + i * sizeof(int64_t), NULL }
static const struct sp_field concat_fields[] = {
    X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), P(sp_concat_args, OUT, y, "void *"),
    N(0), N(1), N(2), N(3), N(4), N(5), N(6), N(7), F(sp_concat_args, I64, rows), F(sp_concat_args, I32, x_format),
    F(sp_concat_args, I32, y_format), { NULL },
};

static int64_t concat_tasks(const void *args, int phase)
{
    (void)phase;
    return sp_blocks(((const struct sp_concat_args *)args)->rows, MOVE_ROWS);
}

static bool concat_fits(const void *args)
{
    const struct sp_concat_args *a = args;
    return movable(a->x_format, a->y_format);
}

static void concat_rows(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_concat_args *a = args;
    int64_t wide = 0;
    (void)phase;
    for (int k = 0; k < 8; k++)
        wide += a->x[k] ? a->cols[k] : 0;
    for (int64_t i = task * MOVE_ROWS; i < least(task * MOVE_ROWS + MOVE_ROWS, a->rows); i++)
        for (int64_t k = 0, at = i * wide; k < 8; k++) {
            if (!a->x[k])
                continue;
            move(a->y, at, a->y_format, a->x[k], i * a->cols[k], a->x_format, a->cols[k], scratch);
            at += a->cols[k];
        }
}

static const struct sp_kernel_row concat_table[] = {
    { MOVE_ROW("concat"), MOVE_NEEDS, concat_rows, concat_fits, MOVE_CHUNK * 4, 0 },
    { "concat.portable", 0, SP_FN(concat) },
};

const struct sp_kernel sp_kernel_concat = {
    .name = "concat", .help = "matrices side by side", .args_bytes = sizeof(struct sp_concat_args), .fields = concat_fields,
    .phases = 1, .tasks = concat_tasks, .rows = concat_table, .source = SP_TEXT(concat), .function = "sp_concat_portable",
    .args_type = "struct sp_concat_args",
};

/* ---- transpose ---- */
#define T(kind, field) F(sp_transpose_args, kind, field)
static const struct sp_field transpose_fields[] = {
    P(sp_transpose_args, IN, x, "const void *"), P(sp_transpose_args, OUT, y, "void *"), T(I64, rows), T(I64, cols),
    T(I32, format), { NULL },
};

static int64_t transpose_tasks(const void *args, int phase)
{
    (void)phase;
    return sp_blocks(((const struct sp_transpose_args *)args)->cols, MOVE_TILE);
}

static const struct sp_kernel_row transpose_table[] = { { "transpose.portable", 0, SP_FN(transpose) } };

const struct sp_kernel sp_kernel_transpose = {
    .name = "transpose", .help = "rows become columns", .args_bytes = sizeof(struct sp_transpose_args),
    .fields = transpose_fields, .phases = 1, .tasks = transpose_tasks, .rows = transpose_table,
    .source = SP_TEXT(transpose), .function = "sp_transpose_portable", .args_type = "struct sp_transpose_args",
};
