/* model/tensor_read.c - the numbers of a stored tensor, converted, and put in the order
 * that is wanted: row by row where rows move whole, column by column where the matrix is
 * turned.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "weights.h"

enum { CHUNK = 4096 };

void sp_tensor_convert(void *to, enum sp_format to_format, const void *from, enum sp_format from_format, int64_t n)
{
    float x[CHUNK];
    if (to_format == from_format) {
        memcpy(to, from, (size_t)sp_format_bytes(to_format, n));
        return;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t k = n - at < CHUNK ? n - at : CHUNK;
        _Alignas(8) unsigned char raw[CHUNK * 4]; /* the file may be unaligned */
        memcpy(raw, (const unsigned char *)from + sp_format_bytes(from_format, at), (size_t)sp_format_bytes(from_format, k));
        sp_formats[from_format].decode(x, raw, k);
        sp_formats[to_format].encode((unsigned char *)to + sp_format_bytes(to_format, at), x, k);
    }
}

/* ---- the order of rows ---- */

/* Where row r of Hugging Face's order stands in this layout; sp_layout_row is the way back. */
static int64_t place_of(const struct sp_layout *l, int64_t r, int64_t rows)
{
    if (l->rope_heads) {
        int64_t dim = rows / l->rope_heads, head = r / dim, j = r % dim, half = dim / 2;
        return head * dim + (j < half ? 2 * j : 2 * (j - half) + 1);
    }
    if (l->groups) {
        int64_t dim = rows / (3 * l->groups), head = r / (3 * dim), part = r / dim % 3;
        return part * l->groups * dim + head * dim + r % dim;
    }
    return r;
}

int64_t sp_layout_row(const struct sp_layout *l, int64_t place, int64_t rows)
{
    if (l->rope_heads) {
        int64_t dim = rows / l->rope_heads, head = place / dim, j = place % dim;
        return head * dim + j % 2 * (dim / 2) + j / 2;
    }
    if (l->groups) {
        int64_t dim = rows / (3 * l->groups), part = place / (dim * l->groups), head = place / dim % l->groups;
        return head * 3 * dim + part * dim + place % dim;
    }
    return place;
}

/* ---- reading ---- */

struct reading {
    const struct sp_tensor *t;
    struct sp_layout as;
    enum sp_format from, to;
    int64_t rows, cols, first, n;  /* of the tensor as Hugging Face has it; of the rows wanted */
    unsigned char *out;
    float *turned;                 /* [n, columns] when the matrix is turned */
};

static struct reading reading_of(const struct sp_tensor *t, struct sp_layout as, enum sp_format format)
{
    struct reading r = { .t = t, .as = as, .from = sp_tensor_format(t), .to = format, .rows = 1, .cols = 1 };
    for (int i = 0; i < t->n; i++)
        if (i < t->n - 1 || t->n == 1)
            r.rows *= t->dim[i];
        else
            r.cols = t->dim[i];
    return r;
}

static void add(float *x, int64_t n, float v)
{
    for (int64_t i = 0; i < n; i++)
        x[i] += v;
}

/* A row of n numbers, from any format to any, `plus` added on the way. */
static void copy_row(const struct reading *r, unsigned char *to, const unsigned char *from, int64_t n, float plus)
{
    float x[CHUNK];
    if (!(plus < 0 || plus > 0)) {
        sp_tensor_convert(to, r->to, from, r->from, n);
        return;
    }
    for (int64_t at = 0; at < n; at += CHUNK) {
        int64_t k = n - at < CHUNK ? n - at : CHUNK;
        sp_tensor_convert(x, SP_F32, from + sp_format_bytes(r->from, at), r->from, k);
        add(x, k, plus);
        sp_tensor_convert(to + sp_format_bytes(r->to, at), r->to, x, SP_F32, k);
    }
}

/* Neither or both are turned: rows move whole. */
static void read_straight(const struct reading *r)
{
    const struct sp_layout *have = &r->t->layout;
    int64_t rows = have->transposed ? r->cols : r->rows, cols = have->transposed ? r->rows : r->cols;
    const unsigned char *from = r->t->map->at + r->t->at;
    bool ordered = !have->rope_heads && !have->groups && !r->as.rope_heads && !r->as.groups;
    if (ordered || have->transposed) {
        copy_row(r, r->out, from + sp_format_bytes(r->from, r->first * cols), r->n * cols, r->as.plus - have->plus);
        return;
    }
    for (int64_t i = 0; i < r->n; i++)
        copy_row(r, r->out + sp_format_bytes(r->to, i * cols), from + sp_format_bytes(r->from, place_of(have, sp_layout_row(&r->as, r->first + i, rows), rows) * cols), cols,
                 r->as.plus - have->plus);
}

/* Rows [first, first + n) are columns of what is stored: [rows, cols] there. */
static void read_turned(const struct reading *r)
{
    const struct sp_layout *have = &r->t->layout;
    int64_t rows = have->transposed ? r->cols : r->rows, cols = have->transposed ? r->rows : r->cols, block = sp_formats[r->from].block;
    int64_t a = r->first / block * block, b = (r->first + r->n + block - 1) / block * block;
    const unsigned char *from = r->t->map->at + r->t->at;
    for (int64_t i = 0; i < rows; i++)
        for (int64_t at = a; at < b; at += CHUNK) {
            float x[CHUNK];
            int64_t k = b - at < CHUNK ? b - at : CHUNK;
            sp_tensor_convert(x, SP_F32, from + sp_format_bytes(r->from, i * cols + at), r->from, k);
            for (int64_t j = at < r->first ? r->first : at; j < at + k && j < r->first + r->n; j++)
                r->turned[(j - r->first) * rows + i] = x[j - at];
        }
    sp_tensor_convert(r->out, r->to, r->turned, SP_F32, r->n * rows);
}

static enum sp_status read_all(void *arg, struct sp_err *err)
{
    const struct reading *r = arg;
    (void)err;
    if (r->turned)
        read_turned(r);
    else
        read_straight(r);
    return SP_OK;
}

static bool divides(const struct sp_layout *l, int64_t rows)
{
    return (!l->rope_heads || (rows % l->rope_heads == 0 && rows / l->rope_heads % 2 == 0)) && (!l->groups || rows % (3 * l->groups) == 0);
}

static enum sp_status check(const struct reading *r, struct sp_err *err)
{
    const struct sp_tensor *t = r->t;
    bool moves = r->as.rope_heads || r->as.groups || r->as.transposed || t->layout.rope_heads || t->layout.groups || t->layout.transposed;
    const struct sp_format_row *to = &sp_formats[r->to];
    bool same = r->from == r->to && !(r->as.plus - t->layout.plus > 0 || r->as.plus - t->layout.plus < 0) && r->as.transposed == t->layout.transposed;
    if (r->from == SP_FORMATS || (!same && (!sp_formats[r->from].decode || !to->encode)))
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s is %s, which can't be read as %s", t->name, t->dtype, to->name);
    int64_t cols = r->as.transposed ? r->rows : r->cols, stored = t->layout.transposed ? r->rows : r->cols;
    if (!divides(&r->as, r->rows) || !divides(&t->layout, r->rows))
        return sp_fail(err, SP_SHAPE, "the %lld rows of tensor %s don't divide into heads", (long long)r->rows, t->name);
    if ((moves || r->n < r->rows) && stored % sp_formats[r->from].block)
        return sp_fail(err, SP_UNSUPPORTED, "rows of tensor %s don't divide into blocks of %s", t->name, t->dtype);
    if (r->rows * r->cols % to->block || (moves && cols % to->block))
        return sp_fail(err, SP_UNSUPPORTED, "tensor %s doesn't divide into blocks of %s", t->name, to->name);
    return SP_OK;
}

static enum sp_status read_rows(struct reading *r, struct sp_err *err)
{
    TRY(check(r, err));
    if (!r->n || !(r->as.transposed ? r->rows : r->cols))
        return SP_OK;
    if (r->as.transposed != r->t->layout.transposed && !(r->turned = sp_alloc((size_t)(r->n * (r->as.transposed ? r->rows : r->cols)) * sizeof *r->turned)))
        return sp_fail(err, SP_NOMEM, "no memory to turn tensor %s", r->t->name);
    enum sp_status st = sp_map_guard(r->t->map, read_all, r, err);
    sp_free(r->turned);
    return st;
}

enum sp_status sp_tensor_rows(const struct sp_tensor *t, struct sp_layout as, int64_t first, int64_t n, enum sp_format format, void *to,
                              struct sp_err *err)
{
    struct reading r = reading_of(t, as, format);
    r.first = first;
    r.n = n;
    r.out = to;
    return read_rows(&r, err);
}

enum sp_status sp_tensor_read(const struct sp_tensor *t, enum sp_format format, void *to, struct sp_err *err)
{
    struct reading r = reading_of(t, (struct sp_layout){ 0 }, format);
    r.n = r.rows;
    r.out = to;
    return read_rows(&r, err);
}
