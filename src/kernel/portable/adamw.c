/* adamw and sgd: parameters and moments in place, the gradient read and set to zero; 16384 elements a task. */
enum { SP_UPDATE_BLOCK = 16384 };

/* base^n by squaring, in double. */
SP_MAYBE_UNUSED static double sp_adamw_power(double base, int32_t n)
{
    double p = 1;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1)
            p *= base;
    return p;
}

SP_MAYBE_UNUSED static void sp_adamw_portable(const struct sp_adamw_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_UPDATE_BLOCK, end = i + SP_UPDATE_BLOCK < a->n ? i + SP_UPDATE_BLOCK : a->n;
    float factor = a->factor ? *a->factor : 1, lr = *a->lr, keep = 1 - lr * a->decay;
    float rate = (float)((double)lr / (1 - sp_adamw_power((double)a->beta1, *a->step)));
    float wide = (float)(1 / (1 - sp_adamw_power((double)a->beta2, *a->step)));
    for (; i < end; i++) {
        float g = a->grad[i] * factor;
        float m = a->beta1 * a->m[i] + (1 - a->beta1) * g, v = a->beta2 * a->v[i] + (1 - a->beta2) * g * g;
        a->m[i] = m;
        a->v[i] = v;
        a->p[i] = a->p[i] * keep - rate * m / (sqrtf(v * wide) + a->eps);
        a->grad[i] = 0;
    }
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_sgd_portable(const struct sp_sgd_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_UPDATE_BLOCK, end = i + SP_UPDATE_BLOCK < a->n ? i + SP_UPDATE_BLOCK : a->n;
    float factor = a->factor ? *a->factor : 1, lr = *a->lr;
    for (; i < end; i++) {
        float g = a->grad[i] * factor + a->decay * a->p[i];
        if (a->m) {
            g += a->momentum * a->m[i];
            a->m[i] = g;
        }
        a->p[i] -= lr * g;
        a->grad[i] = 0;
    }
    (void)phase;
}
