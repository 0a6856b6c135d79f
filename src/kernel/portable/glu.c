/* glu: y = f(gate) up; glu_back: dup = dy f(gate), dgate = dy up f'(gate). */
enum { SP_GLU_BLOCK = 16384 };

SP_MAYBE_UNUSED static float sp_glu_value(int32_t kind, float x, float *slope)
{
    float s, u, t;
    switch (kind) {
    case SP_GELU:
        u = 0.7978845608f * (x + 0.044715f * x * x * x);
        t = sp_tanhf(u);
        *slope = 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
        return 0.5f * x * (1 + t);
    case SP_RELU:
        *slope = x > 0 ? 1 : 0;
        return x > 0 ? x : 0;
    case SP_SIGMOID:
        s = 1 / (1 + sp_expf(-x));
        *slope = s * (1 - s);
        return s;
    default:
        s = 1 / (1 + sp_expf(-x));
        *slope = s * (1 + x * (1 - s));
        return x * s;
    }
}

SP_MAYBE_UNUSED static void sp_glu_portable(const struct sp_glu_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_GLU_BLOCK, end = i + SP_GLU_BLOCK < a->n ? i + SP_GLU_BLOCK : a->n;
    float slope;
    for (; i < end; i++)
        sp_store(a->y, i, a->y_format, sp_glu_value(a->kind, sp_load(a->gate, i, a->x_format), &slope) * sp_load(a->up, i, a->x_format));
    (void)phase;
}

SP_MAYBE_UNUSED static void sp_glu_back_portable(const struct sp_glu_back_args *a, int phase, int64_t task)
{
    int64_t i = task * SP_GLU_BLOCK, end = i + SP_GLU_BLOCK < a->n ? i + SP_GLU_BLOCK : a->n;
    for (; i < end; i++) {
        float slope, value = sp_glu_value(a->kind, sp_load(a->gate, i, a->x_format), &slope);
        float dy = sp_load(a->dy, i, a->dy_format), up = sp_load(a->up, i, a->x_format);
        sp_store(a->dgate, i, a->dx_format, dy * up * slope);
        sp_store(a->dup, i, a->dx_format, dy * value);
    }
    (void)phase;
}
