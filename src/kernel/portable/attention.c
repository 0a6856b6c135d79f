/* attention: one query of one head of one sequence a row; running softmax (Milakov & Gimelshein 2018). */
static void sp_attention_row(const struct sp_attention_args *a, int64_t b, int64_t h, int64_t i, int64_t p, int64_t seen)
{
    float acc[SP_HEAD_DIM_MAX], m = 0, l = 0;
    int64_t g = h / (a->heads / a->kv_heads), at = (b * a->t + i) * a->ldq + a->q_at + h * a->dim;
    int64_t row = (b * a->heads + h) * a->t + i;
    int64_t hi = a->causal && p + 1 < seen ? p + 1 : seen, lo = a->window > 0 && p + 1 > a->window ? p + 1 - a->window : 0;
    const void *k = a->k ? a->k : a->q, *v = a->v ? a->v : a->q;
    for (int64_t d = 0; d < a->dim; d++)
        acc[d] = 0;
    for (int64_t j = lo; j < hi; j++) {
        int64_t k_at = (b * a->tk + j) * a->ldk + a->k_at + g * a->dim, v_at = (b * a->tk + j) * a->ldv + a->v_at + g * a->dim;
        float s = 0, w, shrink = 1;
        for (int64_t d = 0; d < a->dim; d++)
            s += sp_load(a->q, at + d, a->q_format) * sp_load(k, k_at + d, a->kv_format);
        s *= a->scale;
        if (a->softcap > 0)
            s = a->softcap * sp_tanhf(s / a->softcap);
        if (j == lo || s > m) {
            shrink = j == lo ? 0 : sp_expf(m - s);
            m = s;
        }
        w = sp_expf(s - m);
        l = l * shrink + w;
        w *= sp_dropout_keep(a->key, row * ((a->tk + 3) / 4) + j / 4, (int)(j % 4), a->counter, a->drop);
        for (int64_t d = 0; d < a->dim; d++)
            acc[d] = acc[d] * shrink + w * sp_load(v, v_at + d, a->kv_format);
    }
    for (int64_t d = 0; d < a->dim; d++)
        sp_store(a->o, (b * a->t + i) * a->ldo + h * a->dim + d, a->o_format, l > 0 ? acc[d] / l : 0);
    if (a->lse)
        a->lse[row] = l > 0 ? m + sp_logf(l) : 0;
}

static void sp_attention_portable(const struct sp_attention_args *a, int phase, int64_t task)
{
    int64_t blocks = (a->t + 95) / 96, i = task % blocks * 96, end = i + 96 < a->t ? i + 96 : a->t;
    int64_t p = a->past ? *a->past : 0, seen;
    p = p < 0 || a->tk < a->t ? 0 : p > a->tk - a->t ? a->tk - a->t : p;
    seen = a->past && p + a->t < a->tk ? p + a->t : a->tk;
    for (; i < end; i++)
        sp_attention_row(a, task / blocks / a->heads, task / blocks % a->heads, i, p + i, seen);
    (void)phase;
}
