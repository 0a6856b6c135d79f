/* gemm: c = op(a) op(b) (+ bias) (+ acc); a task is 48 rows by 64 columns; k runs upwards for every element. */
static void sp_gemm_row(const struct sp_gemm_args *a, int64_t i, int64_t j0, int64_t j1)
{
    float sum[64];
    int64_t j, l;
    for (j = j0; j < j1; j++)
        sum[j - j0] = 0;
    if (a->trans & 2)
        for (j = j0; j < j1; j++)
            for (l = 0; l < a->k; l++)
                sum[j - j0] += sp_load(a->a, a->trans & 1 ? l * a->lda + i : i * a->lda + l, a->a_format) * sp_load(a->b, j * a->ldb + l, a->b_format);
    else
        for (l = 0; l < a->k; l++) {
            float x = sp_load(a->a, a->trans & 1 ? l * a->lda + i : i * a->lda + l, a->a_format);
            for (j = j0; j < j1; j++)
                sum[j - j0] += x * sp_load(a->b, l * a->ldb + j, a->b_format);
        }
    for (j = j0; j < j1; j++) {
        float v = sum[j - j0] + (a->bias ? a->bias[j] : 0);
        if (a->acc)
            v += a->acc[i * a->ldc + j];
        sp_store(a->c, i * a->ldc + j, a->c_format, v);
    }
}

static void sp_gemm_portable(const struct sp_gemm_args *a, int phase, int64_t task)
{
    int64_t across = (a->n + 63) / 64, i = task / across * 48, end = i + 48 < a->m ? i + 48 : a->m;
    int64_t j0 = task % across * 64, j1 = j0 + 64 < a->n ? j0 + 64 : a->n;
    for (; i < end; i++)
        sp_gemm_row(a, i, j0, j1);
    (void)phase;
}
