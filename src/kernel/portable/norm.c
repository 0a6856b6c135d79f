/* norm: rows normalised, SP_NORM_ROWS rows a task; norm_back: dx, then sums for gain and bias over blocks of rows. */
SP_MAYBE_UNUSED static void sp_norm_portable(const struct sp_norm_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_NORM_ROWS, end = i + SP_NORM_ROWS < a->m ? i + SP_NORM_ROWS : a->m, j, n = a->n;
    for (; i < end; i++) {
        const float *x = a->x + i * n;
        float mean = 0, square = 0, inverse;
        for (j = 0; a->layer && j < n; j++)
            mean += x[j];
        mean /= (float)n;
        for (j = 0; j < n; j++)
            square += (x[j] - mean) * (x[j] - mean);
        inverse = 1 / sqrtf(square / (float)n + a->eps);
        if (a->stat) {
            a->stat[2 * i] = mean;
            a->stat[2 * i + 1] = inverse;
        }
        for (j = 0; j < n; j++)
            sp_store(a->y, i * n + j, a->y_format, (x[j] - mean) * inverse * a->gain[j] + (a->bias ? a->bias[j] : 0));
    }
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_norm_back_row(const struct sp_norm_back_args *a, int64_t i, float *gain, float *bias)
{
    int64_t n = a->n, j;
    const float *x = a->x + i * n;
    float mean = a->stat[2 * i], inverse = a->stat[2 * i + 1], along = 0, sum = 0;
    for (j = 0; j < n; j++) {
        float dy = sp_load(a->dy, i * n + j, a->dy_format), h = (x[j] - mean) * inverse, g = dy * a->gain[j];
        gain[j] += dy * h;
        bias[j] += dy;
        along += g * h;
        sum += g;
    }
    along /= (float)n;
    sum = a->layer ? sum / (float)n : 0;
    for (j = 0; a->dx && j < n; j++) {
        float dy = sp_load(a->dy, i * n + j, a->dy_format), h = (x[j] - mean) * inverse;
        float dx = inverse * (dy * a->gain[j] - sum - h * along);
        a->dx[i * n + j] = a->dx_acc ? a->dx_acc[i * n + j] + dx : dx;
    }
}

/* Phase 1: 256 columns a task. */
SP_MAYBE_UNUSED static void sp_norm_back_sums(const struct sp_norm_back_args *a, int64_t task)
{
    int64_t blocks = (a->m + SP_NORM_ROWS - 1) / SP_NORM_ROWS, j = task * 256, end = j + 256 < a->n ? j + 256 : a->n, k;
    for (; j < end; j++) {
        float gain = 0, bias = 0;
        for (k = 0; k < blocks; k++) {
            gain += a->work[2 * k * a->n + j];
            bias += a->work[(2 * k + 1) * a->n + j];
        }
        if (a->dgain)
            a->dgain[j] = gain + (a->dgain_acc ? a->dgain_acc[j] : 0);
        if (a->dbias)
            a->dbias[j] = bias + (a->dbias_acc ? a->dbias_acc[j] : 0);
    }
}

SP_MAYBE_UNUSED static void sp_norm_back_portable(const struct sp_norm_back_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_NORM_ROWS, end = i + SP_NORM_ROWS < a->m ? i + SP_NORM_ROWS : a->m, j;
    float *gain = a->work + 2 * task * a->n, *bias = gain + a->n;
    if (phase) {
        sp_norm_back_sums(a, task);
        return;
    }
    for (j = 0; j < 2 * a->n; j++)
        gain[j] = 0;
    for (; i < end; i++)
        sp_norm_back_row(a, i, gain, bias);
}
