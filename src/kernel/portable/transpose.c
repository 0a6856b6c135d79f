/* transpose: y[cols, rows] = x[rows, cols]; a task is 32 columns of x, in tiles of 32 rows. */
static void sp_transpose_portable(const struct sp_transpose_args *a, int phase, int64_t task)
{
    int64_t end = task * 32 + 32 < a->cols ? task * 32 + 32 : a->cols;
    for (int64_t i = 0; i < a->rows; i += 32)
        for (int64_t j = task * 32; j < end; j++)
            for (int64_t k = i; k < i + 32 && k < a->rows; k++)
                sp_store(a->y, j * a->rows + k, a->format, sp_load(a->x, k * a->cols + j, a->format));
    (void)phase;
}
