/* rope: rotary positions (Su et al. 2021); a task is 16 rows. */
static void sp_rope_pair(const struct sp_rope_args *a, const float *turn, int64_t from, int64_t to, int64_t step)
{
    float c = turn[0], s = a->back ? -turn[1] : turn[1];
    float x = sp_load(a->x, from, a->x_format), y = sp_load(a->x, from + step, a->x_format);
    sp_store(a->y, to, a->y_format, x * c - y * s);
    sp_store(a->y, to + step, a->y_format, x * s + y * c);
}

static void sp_rope_portable(const struct sp_rope_args *a, int phase, int64_t task)
{
    int64_t half = a->dim / 2, step = a->interleaved ? 1 : half, end = task * 16 + 16 < a->m ? task * 16 + 16 : a->m;
    for (int64_t i = task * 16; i < end; i++) {
        int64_t at = (a->past ? *a->past : 0) + i / a->each % a->t;
        const float *turn = a->table + (at < 0 ? 0 : at < a->max ? at : a->max - 1) * a->dim;
        for (int64_t h = 0; h < a->heads; h++)
            for (int64_t j = 0; j < half; j++) {
                int64_t col = h * a->dim + (a->interleaved ? 2 * j : j);
                sp_rope_pair(a, turn + 2 * j, i * a->ldx + col, i * a->ldy + col, step);
            }
        for (int64_t c = a->heads * a->dim; a->x != a->y && c < a->ldx && c < a->ldy; c++)
            sp_store(a->y, i * a->ldy + c, a->y_format, sp_load(a->x, i * a->ldx + c, a->x_format));
    }
    (void)phase;
}
