/* attention_back: probabilities again from lse; a task owns one key-value head of one sequence. */
static void sp_attention_back_pair(const struct sp_attention_back_args *a, int64_t b, int64_t h, int64_t i, int64_t j,
                                   float *dq, float *dk, float *dv)
{
    int64_t g = h / (a->heads / a->kv_heads), row = (b * a->heads + h) * a->t + i;
    int64_t q_at = (b * a->t + i) * a->ldq + a->q_at + h * a->dim, o_at = (b * a->t + i) * a->ldo + h * a->dim;
    int64_t k_at = (b * a->tk + j) * a->ldk + a->k_at + g * a->dim, v_at = (b * a->tk + j) * a->ldv + a->v_at + g * a->dim;
    const void *k = a->k ? a->k : a->q, *v = a->v ? a->v : a->q;
    float s = 0, dp = 0, p, ds, slope = a->scale;
    float keep = sp_dropout_keep(a->key, row * ((a->tk + 3) / 4) + j / 4, (int)(j % 4), a->counter, a->drop);
    for (int64_t d = 0; d < a->dim; d++) {
        s += sp_load(a->q, q_at + d, a->x_format) * sp_load(k, k_at + d, a->x_format);
        dp += sp_load(a->d_o, o_at + d, a->do_format) * sp_load(v, v_at + d, a->x_format);
    }
    s *= a->scale;
    if (a->softcap > 0) {
        float y = sp_tanhf(s / a->softcap);
        s = a->softcap * y;
        slope *= 1 - y * y;
    }
    p = sp_expf(s - a->lse[row]);
    ds = p * (keep * dp - a->work[row]) * slope;
    for (int64_t d = 0; d < a->dim; d++) {
        dq[d] += ds * sp_load(k, k_at + d, a->x_format);
        dk[d] += ds * sp_load(a->q, q_at + d, a->x_format);
        dv[d] += keep * p * sp_load(a->d_o, o_at + d, a->do_format);
    }
}

/* Whether the query at position i sees key j. */
static int sp_attention_back_sees(const struct sp_attention_back_args *a, int64_t i, int64_t j)
{
    return (!a->causal || j <= i) && (a->window <= 0 || j > i - a->window);
}

/* dk, dv of key j (queries of the whole group); dq has sums in f32 at sum[group][t][ld]. */
static void sp_attention_back_key(const struct sp_attention_back_args *a, int64_t b, int64_t g, int64_t j, float *sum,
                                  int64_t ld, int64_t head)
{
    float dk[SP_HEAD_DIM_MAX], dv[SP_HEAD_DIM_MAX];
    int64_t group = a->heads / a->kv_heads;
    void *to_k = a->dk ? a->dk : a->dq, *to_v = a->dv ? a->dv : a->dq;
    for (int64_t d = 0; d < a->dim; d++)
        dk[d] = dv[d] = 0;
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < a->t; i++)
            if (sp_attention_back_sees(a, i, j))
                sp_attention_back_pair(a, b, g * group + h, i, j, sum + h * head + i * ld, dk, dv);
    for (int64_t d = 0; d < a->dim; d++) {
        sp_store(to_k, (b * a->tk + j) * a->ldk + a->k_at + g * a->dim + d, a->d_format, dk[d]);
        sp_store(to_v, (b * a->tk + j) * a->ldv + a->v_at + g * a->dim + d, a->d_format, dv[d]);
    }
}

static void sp_attention_back_delta(const struct sp_attention_back_args *a, int64_t b, int64_t h)
{
    for (int64_t i = 0; i < a->t; i++) {
        float sum = 0;
        int64_t at = (b * a->t + i) * a->ldo + h * a->dim;
        for (int64_t d = 0; d < a->dim; d++)
            sum += sp_load(a->d_o, at + d, a->do_format) * sp_load(a->o, at + d, a->o_format);
        a->work[(b * a->heads + h) * a->t + i] = sum;
    }
}

static void sp_attention_back_portable(const struct sp_attention_back_args *a, int phase, int64_t task)
{
    int64_t b = task / a->kv_heads, g = task % a->kv_heads, group = a->heads / a->kv_heads;
    int64_t ld = a->d_format == SP_F32 ? a->ldq : a->dim, head = a->d_format == SP_F32 ? a->dim : a->t * a->dim;
    float *sum = a->d_format == SP_F32 ? (float *)a->dq + a->q_at + b * a->t * a->ldq + g * group * a->dim
                                       : a->work + a->b * a->heads * a->t + (b * a->heads + g * group) * a->t * a->dim;
    if (phase == 0) {
        sp_attention_back_delta(a, task / a->heads, task % a->heads);
        return;
    }
    for (int64_t h = 0; h < group; h++)
        for (int64_t i = 0; i < a->t; i++)
            for (int64_t d = 0; d < a->dim; d++)
                sum[h * head + i * ld + d] = 0;
    for (int64_t j = 0; j < a->tk; j++)
        sp_attention_back_key(a, b, g, j, sum, ld, head);
    for (int64_t h = 0; h < group && a->d_format != SP_F32; h++)
        for (int64_t i = 0; i < a->t; i++)
            for (int64_t d = 0; d < a->dim; d++)
                sp_store(a->dq, (b * a->t + i) * a->ldq + a->q_at + (g * group + h) * a->dim + d, a->d_format,
                         sum[h * head + i * ld + d]);
}
