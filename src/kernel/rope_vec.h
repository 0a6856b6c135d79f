/* kernel/rope_vec.h - rotary positions for any vector width: cosines and sines of
 * a row are laid out once, then every head of the row turns.
 * Included after attention_tile.h.
 * SPDX-License-Identifier: Apache-2.0 */

/* y[dim] = x[dim] turned by c, s [dim/2]; pairs (j, j + dim/2). */
static void turn_halves(float *y, const float *x, const float *c, const float *s, int64_t half)
{
    int64_t j = 0;
    for (; j + W <= half; j += W) {
        sp_vf a = sp_vload(x + j), b = sp_vload(x + half + j), vc = sp_vload(c + j), vs = sp_vload(s + j);
        sp_vstore(y + j, a * vc - b * vs);
        sp_vstore(y + half + j, a * vs + b * vc);
    }
    for (; j < half; j++) {
        float a = x[j], b = x[half + j];
        y[j] = a * c[j] - b * s[j];
        y[half + j] = a * s[j] + b * c[j];
    }
}

static void turn_pairs(float *y, const float *x, const float *c, const float *s, int64_t half)
{
    for (int64_t j = 0; j < half; j++) {
        float a = x[2 * j], b = x[2 * j + 1];
        y[2 * j] = a * c[j] - b * s[j];
        y[2 * j + 1] = a * s[j] + b * c[j];
    }
}

static const float *row_in(float *room, const void *x, int64_t at, int64_t n, int format)
{
    if (format == SP_F32)
        return (const float *)x + at;
    load_row(room, x, at, n, 1, format);
    return room;
}

static void rope_row(const struct sp_rope_args *a, int64_t i, float *room)
{
    int64_t half = a->dim / 2, p = sp_rope_at(a, i);
    float *c = room, *s = c + half, *x = s + half, *y = x + a->dim;
    for (int64_t j = 0; j < half; j++) {
        c[j] = a->table[p * a->dim + 2 * j];
        s[j] = a->back ? -a->table[p * a->dim + 2 * j + 1] : a->table[p * a->dim + 2 * j + 1];
    }
    for (int64_t h = 0; h < a->heads; h++) {
        const float *from = row_in(x, a->x, i * a->ldx + h * a->dim, a->dim, a->x_format);
        float *to = a->y_format == SP_F32 ? (float *)a->y + i * a->ldy + h * a->dim : y;
        (a->interleaved ? turn_pairs : turn_halves)(to, from, c, s, half);
        if (to == y)
            store_row(a->y, i * a->ldy + h * a->dim, y, a->dim, a->y_format);
    }
    for (int64_t col = a->heads * a->dim, n; a->x != a->y && col < least(a->ldx, a->ldy); col += n) {
        n = least(a->dim, least(a->ldx, a->ldy) - col);
        store_row(a->y, i * a->ldy + col, row_in(x, a->x, i * a->ldx + col, n, a->x_format), n, a->y_format);
    }
}

static void turn_rows(const struct sp_rope_args *a, int64_t task, float *scratch)
{
    for (int64_t i = task * SP_ROPE_ROWS; i < least(task * SP_ROPE_ROWS + SP_ROPE_ROWS, a->m); i++)
        rope_row(a, i, scratch);
}
