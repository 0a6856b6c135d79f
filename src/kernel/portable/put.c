/* put: a matrix into a part of another; phase 0 fills the rest (64 rows a task), phase 1 puts (64 rows of src a task). */
static void sp_put_rest(const struct sp_put_args *a, int64_t task)
{
    int64_t end = task * 64 + 64 < a->dst_rows ? task * 64 + 64 : a->dst_rows;
    for (int64_t i = task * 64; a->old != a->dst && i < end; i++)
        for (int64_t j = 0; j < a->dst_cols; j++) {
            int64_t at = i * a->dst_cols + j;
            sp_store(a->dst, at, a->dst_format, a->old ? sp_load(a->old, at, a->dst_format) : 0);
        }
}

static void sp_put_portable(const struct sp_put_args *a, int phase, int64_t task)
{
    int64_t end = task * 64 + 64 < a->rows ? task * 64 + 64 : a->rows;
    int64_t group = a->group > 0 ? a->group : a->rows, step = a->group > 0 ? a->group_step : a->dst_rows;
    if (phase == 0) {
        sp_put_rest(a, task);
        return;
    }
    for (int64_t i = task * 64; i < end; i++) {
        int64_t row = a->row + (a->past ? *a->past : 0) + i % group, at = (i / group * step + row) * a->dst_cols + a->col;
        for (int64_t j = 0; row >= 0 && row < step && i / group * step + row < a->dst_rows && j < a->cols; j++) {
            float x = sp_load(a->src, i * a->cols + j, a->src_format);
            sp_store(a->dst, at + j, a->dst_format, a->add ? x + sp_load(a->dst, at + j, a->dst_format) : x);
        }
    }
}
