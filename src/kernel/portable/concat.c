/* concat: matrices side by side; a task is 64 rows. */
static void sp_concat_portable(const struct sp_concat_args *a, int phase, int64_t task)
{
    int64_t end = task * 64 + 64 < a->rows ? task * 64 + 64 : a->rows, wide = 0;
    for (int k = 0; k < 8; k++)
        wide += a->x[k] ? a->cols[k] : 0;
    for (int64_t i = task * 64; i < end; i++) {
        int64_t at = i * wide;
        for (int k = 0; k < 8; k++)
            for (int64_t j = 0; a->x[k] && j < a->cols[k]; j++)
                sp_store(a->y, at++, a->y_format, sp_load(a->x[k], i * a->cols[k] + j, a->x_format));
    }
    (void)phase;
}
