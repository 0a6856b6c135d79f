/* rope_table: cos and sin in double with exact argument reduction; a task is 64 positions. */
/* The dimension pair that turns `beta` times over the original length (Peng et al. 2023, yarn). */
static double sp_rope_table_pair(const struct sp_rope_table_args *a, double beta)
{
    return (double)a->dim * sp_logd(a->original / (beta * 6.283185307179586)) / (2 * sp_logd(a->base));
}

/* llama3: long wavelengths are divided by the factor, short ones kept, a ramp between. */
static double sp_rope_table_llama3(const struct sp_rope_table_args *a, double w)
{
    double wavelength = 6.283185307179586 / w, s = (a->original / wavelength - a->low) / (a->high - a->low);
    if (wavelength < a->original / a->high)
        return w;
    if (wavelength > a->original / a->low)
        return w / a->factor;
    return (1 - s) * w / a->factor + s * w;
}

static double sp_rope_table_yarn(const struct sp_rope_table_args *a, double w, int64_t j)
{
    double from = sp_rope_table_pair(a, a->high), to = sp_rope_table_pair(a, a->low), ramp;
    int64_t first = from < 0 ? 0 : (int64_t)from, last = to < 0 ? 0 : (int64_t)to + (to > (double)(int64_t)to);
    last = last < a->dim - 1 ? last : a->dim - 1;
    ramp = ((double)(j - first)) / (last > first ? (double)(last - first) : 0.001);
    ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
    return w / a->factor * ramp + w * (1 - ramp);
}

static double sp_rope_table_frequency(const struct sp_rope_table_args *a, int64_t j)
{
    double w = sp_expd(-2.0 * (double)j / (double)a->dim * sp_logd(a->base));
    if (a->scaling == 1)
        return w / a->factor;
    if (a->scaling == 2)
        return sp_rope_table_llama3(a, w);
    return a->scaling == 3 ? sp_rope_table_yarn(a, w, j) : w;
}

static void sp_rope_table_portable(const struct sp_rope_table_args *a, int phase, int64_t task)
{
    int64_t end = task * 64 + 64 < a->max ? task * 64 + 64 : a->max;
    double size = a->size > 0 ? a->size : a->scaling == 3 && a->factor > 1 ? 0.1 * sp_logd(a->factor) + 1 : 1;
    for (int64_t j = 0; j < a->dim / 2; j++) {
        double w = sp_rope_table_frequency(a, j), s, c;
        for (int64_t i = task * 64; i < end; i++) {
            sp_sincos((double)i * w, &s, &c);
            a->table[i * a->dim + 2 * j] = (float)(c * size);
            a->table[i * a->dim + 2 * j + 1] = (float)(s * size);
        }
    }
    (void)phase;
}
