/* mse: scale times the sum of squared differences, and its slope; SP_SUM_BLOCK elements a task, then the blocks in order. */
static void sp_mse_portable(const struct sp_mse_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_SUM_BLOCK, end = i + SP_SUM_BLOCK < a->n ? i + SP_SUM_BLOCK : a->n;
    double sum = 0;
    if (phase) {
        for (i = 0; i < (a->n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK; i++)
            sum += a->work[i];
        a->loss[0] = (float)((double)a->scale * sum + (a->acc ? (double)a->acc[0] : 0));
        return;
    }
    for (; i < end; i++) {
        float d = a->x[i] - a->y[i];
        sum += (double)d * (double)d;
        if (a->dx)
            a->dx[i] = 2 * a->scale * d;
    }
    a->work[task] = sum;
}
