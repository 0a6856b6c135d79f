/* xent: negative log likelihood of the target by rows, 8 rows a task; then the weighted sum. */
static void sp_xent_row(const struct sp_xent_args *a, int64_t i)
{
    int64_t n = a->n, j, target = a->target[i];
    int counts = target >= 0 && target < n;
    float weight = counts ? (a->weight ? a->weight[i] : 1) : 0, most, log_sum;
    double sum = 0;
    most = sp_load(a->x, i * n, a->x_format);
    for (j = 1; j < n; j++) {
        float x = sp_load(a->x, i * n + j, a->x_format);
        most = x > most || x != x ? x : most;
    }
    for (j = 0; j < n; j++)
        sum += (double)sp_expf(sp_load(a->x, i * n + j, a->x_format) - most);
    log_sum = most + (float)sp_logd(sum > 0 ? sum : 1);
    a->nll[i] = counts ? log_sum - sp_load(a->x, i * n + target, a->x_format) : 0;
    for (j = 0; a->dx && j < n; j++) {
        float p = sp_expf(sp_load(a->x, i * n + j, a->x_format) - log_sum);
        sp_store(a->dx, i * n + j, a->dx_format, weight * (j == target ? p - 1 : p));
    }
}

static void sp_xent_portable(const struct sp_xent_args *a, int phase, int64_t task)
{
    int64_t i = task * 8, end = i + 8 < a->m ? i + 8 : a->m;
    double sum = 0;
    if (!phase) {
        for (; i < end; i++)
            sp_xent_row(a, i);
        return;
    }
    for (i = 0; i < a->m; i++)
        if (a->target[i] >= 0 && a->target[i] < a->n)
            sum += (double)(a->weight ? a->weight[i] : 1) * (double)a->nll[i];
    a->loss[0] = (float)(sum + (a->loss_acc ? (double)a->loss_acc[0] : 0));
}
