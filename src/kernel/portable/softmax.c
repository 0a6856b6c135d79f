/* softmax of scale x by rows; softmax_back: dx = scale y (dy - sum dy y); 16 rows a task. */
SP_MAYBE_UNUSED static void sp_softmax_portable(const struct sp_softmax_args *a, int phase, int64_t task)
{
    int64_t i = task * 16, end = i + 16 < a->m ? i + 16 : a->m, j, n = a->n;
    for (; i < end; i++) {
        const float *x = a->x + i * n;
        float *y = a->y + i * n, most = x[0], sum = 0;
        for (j = 1; j < n; j++)
            most = x[j] > most ? x[j] : most;
        for (j = 0; j < n; j++) {
            y[j] = sp_expf(a->scale * (x[j] - most));
            sum += y[j];
        }
        for (j = 0; j < n; j++)
            y[j] /= sum;
    }
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_softmax_back_portable(const struct sp_softmax_back_args *a, int phase, int64_t task)
{
    int64_t i = task * 16, end = i + 16 < a->m ? i + 16 : a->m, j, n = a->n;
    for (; i < end; i++) {
        const float *dy = a->dy + i * n, *y = a->y + i * n;
        float dot = 0;
        for (j = 0; j < n; j++)
            dot += dy[j] * y[j];
        for (j = 0; j < n; j++)
            a->dx[i * n + j] = a->scale * y[j] * (dy[j] - dot);
    }
    (void)phase;
}
