/* unary: y = f(x), a block of 16384 elements a task; unary_back: dx = dy f'(x). */
enum { SP_UNARY_BLOCK = 16384 };

SP_MAYBE_UNUSED static float sp_unary_value(int32_t kind, float x)
{
    float u;
    switch (kind) {
    case SP_RELU: return x > 0 ? x : 0;
    case SP_GELU:
        u = 0.7978845608f * (x + 0.044715f * x * x * x);
        return 0.5f * x * (1 + sp_tanhf(u));
    case SP_GELU_ERF: return 0.5f * x * (1 + sp_erff(x * 0.70710678f));
    case SP_SILU: return x / (1 + sp_expf(-x));
    case SP_TANH: return sp_tanhf(x);
    case SP_SIGMOID: return 1 / (1 + sp_expf(-x));
    case SP_EXP: return sp_expf(x);
    case SP_LOG: return sp_logf(x);
    case SP_SQUARE: return x * x;
    case SP_SQRT: return sqrtf(x);
    default: return -x;
    }
}

SP_MAYBE_UNUSED static float sp_unary_slope(int32_t kind, float x)
{
    float u, t, s;
    switch (kind) {
    case SP_RELU: return x > 0 ? 1 : 0;
    case SP_GELU:
        u = 0.7978845608f * (x + 0.044715f * x * x * x);
        t = sp_tanhf(u);
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
    case SP_GELU_ERF: return 0.5f * (1 + sp_erff(x * 0.70710678f)) + x * 0.3989422804f * sp_expf(-0.5f * x * x);
    case SP_SILU:
        s = 1 / (1 + sp_expf(-x));
        return s * (1 + x * (1 - s));
    case SP_TANH:
        t = sp_tanhf(x);
        return 1 - t * t;
    case SP_SIGMOID:
        s = 1 / (1 + sp_expf(-x));
        return s * (1 - s);
    case SP_EXP: return sp_expf(x);
    case SP_LOG: return 1 / x;
    case SP_SQUARE: return 2 * x;
    case SP_SQRT: return 0.5f / sqrtf(x);
    default: return -1;
    }
}

SP_MAYBE_UNUSED static void sp_unary_portable(const struct sp_unary_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_UNARY_BLOCK, end = i + SP_UNARY_BLOCK < a->n ? i + SP_UNARY_BLOCK : a->n;
    for (; i < end; i++)
        sp_store(a->y, i, a->y_format, sp_unary_value(a->kind, sp_load(a->x, i, a->x_format)));
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_unary_back_portable(const struct sp_unary_back_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_UNARY_BLOCK, end = i + SP_UNARY_BLOCK < a->n ? i + SP_UNARY_BLOCK : a->n;
    for (; i < end; i++)
        sp_store(a->dx, i, a->dx_format, sp_load(a->dy, i, a->dy_format) * sp_unary_slope(a->kind, sp_load(a->x, i, a->x_format)));
    (void)phase;
}
