/* sum of x or of x squared: SP_SUM_BLOCK elements a task in double, then the blocks in order; sum_rows: 64 columns a task. */
SP_MAYBE_UNUSED static void sp_sum_portable(const struct sp_sum_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_SUM_BLOCK, end = i + SP_SUM_BLOCK < a->n ? i + SP_SUM_BLOCK : a->n;
    double sum = 0;
    if (phase) {
        for (i = 0; i < (a->n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK; i++)
            sum += a->work[i];
        a->y[0] = (float)((double)a->scale * sum + (a->acc ? (double)a->acc[0] : 0));
        return;
    }
    for (; i < end; i++) {
        double x = (double)sp_load(a->x, i, a->x_format);
        sum += a->kind ? x * x : x;
    }
    a->work[task] = sum;
}

SP_MAYBE_UNUSED static void sp_sum_rows_portable(const struct sp_sum_rows_args *a, int phase, int64_t task)
{
    int64_t first = task * 64, end = first + 64 < a->n ? first + 64 : a->n, i, j;
    float sum[64] = { 0 };
    for (i = 0; i < a->m; i++)
        for (j = first; j < end; j++)
            sum[j - first] += sp_load(a->x, i * a->n + j, a->x_format);
    for (j = first; j < end; j++)
        a->y[j] = sum[j - first] + (a->acc ? a->acc[j] : 0);
    (void)phase;
}
