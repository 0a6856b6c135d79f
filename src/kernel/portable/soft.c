/* soft: divergence of rows of logits from a teacher's, 8 rows a task; then the weighted sum. */
static float sp_soft_log_sum(const float *x, int64_t n)
{
    float most = x[0];
    double sum = 0;
    int64_t j;
    for (j = 1; j < n; j++)
        most = x[j] > most || x[j] != x[j] ? x[j] : most;
    for (j = 0; j < n; j++)
        sum += (double)sp_expf(x[j] - most);
    return most + (float)sp_logd(sum > 0 ? sum : 1);
}

static void sp_soft_row(const struct sp_soft_args *a, int64_t i)
{
    const float *x = a->x + i * a->n, *t = a->teacher + i * a->n;
    float weight = a->weight ? a->weight[i] : 1, own = sp_soft_log_sum(x, a->n), want = sp_soft_log_sum(t, a->n);
    double sum = 0;
    int64_t j;
    for (j = 0; j < a->n; j++) {
        float x_j = x[j] - own, t_j = t[j] - want, p = sp_expf(t_j);
        sum += (double)p * ((double)t_j - (double)x_j);
        if (a->dx)
            a->dx[i * a->n + j] = weight * (sp_expf(x_j) - p);
    }
    a->kl[i] = (float)sum;
}

static void sp_soft_portable(const struct sp_soft_args *a, int phase, int64_t task)
{
    int64_t i = task * 8, end = i + 8 < a->m ? i + 8 : a->m;
    double sum = 0;
    if (!phase) {
        for (; i < end; i++)
            sp_soft_row(a, i);
        return;
    }
    for (i = 0; i < a->m; i++)
        sum += (double)(a->weight ? a->weight[i] : 1) * (double)a->kl[i];
    a->loss[0] = (float)(sum + (a->loss_acc ? (double)a->loss_acc[0] : 0));
}
