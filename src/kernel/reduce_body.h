/* kernel/reduce_body.h - sums and optimizers, for any vector width.
 *
 * Formulas are those of portable/sum.c and adamw.c.  Included after pointwise_body.h.
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- sums over rows ---- */

/* Columns first.. of four vectors, in registers; the loads of later rows are asked for early. */
static void sum_four(const struct sp_sum_rows_args *a, int64_t first)
{
    enum { AHEAD = 16 };
    int64_t size = a->x_format == SP_BF16 ? 2 : 4;
    const char *x = (const char *)a->x + first * size;
    sp_vf s = { 0 }, t = { 0 }, u = { 0 }, v = { 0 };
    for (int64_t i = 0; i < a->m; i++, x += a->n * size) {
        if (i + AHEAD < a->m) {
            __builtin_prefetch(x + AHEAD * a->n * size);
            __builtin_prefetch(x + AHEAD * a->n * size + 2 * SP_W * size);
        }
        s += sp_vget(x, 0, a->x_format);
        t += sp_vget(x, SP_W, a->x_format);
        u += sp_vget(x, 2 * SP_W, a->x_format);
        v += sp_vget(x, 3 * SP_W, a->x_format);
    }
    sp_vf sum[4] = { s, t, u, v };
    for (int k = 0; k < 4; k++)
        sp_vstore(a->y + first + k * SP_W, a->acc ? sum[k] + sp_vload(a->acc + first + k * SP_W) : sum[k]);
}

void SP_ROW(sum_rows)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_sum_rows_args *a = args;
    int64_t j = task * SP_ELEM_COLS, end = block_end(j, SP_ELEM_COLS, a->n);
    (void)phase;
    (void)scratch;
    for (; j + 4 * SP_W <= end; j += 4 * SP_W)
        sum_four(a, j);
    for (; j < end; j += SP_W) {
        sp_vf s = { 0 };
        for (int64_t i = 0; i < a->m; i++)
            s += sp_vread(a->x, i * a->n + j, a->x_format, end - j);
        if (a->acc)
            s += sp_vread(a->acc, j, SP_F32, end - j);
        sp_vwrite(a->y, j, SP_F32, s, end - j);
    }
}

/* ---- sums of all, in double ---- */

typedef double doubles __attribute__((vector_size(SP_W * 4)));
typedef float half __attribute__((vector_size(SP_W * 2)));

/* Half a vector of floats from memory. */
static inline doubles widen(const float *p)
{
#if SP_W == 8 && defined(__AVX2__)
    return (doubles)_mm256_cvtps_pd(_mm_loadu_ps(p));
#else
    half h;
    memcpy(&h, p, sizeof h);
    return __builtin_convertvector(h, doubles);
#endif
}

static double sum_block(const struct sp_sum_args *a, int64_t i, int64_t end)
{
    doubles s = { 0 }, t = { 0 };
    double sum = 0;
    for (; i < end; i += SP_W) {
        float room[SP_W];
        const float *from = (const float *)a->x + i;
        if (a->x_format != SP_F32 || end - i < SP_W) {
            sp_vstore(room, sp_vread(a->x, i, a->x_format, end - i));
            from = room;
        }
        doubles x = widen(from), y = widen(from + SP_W / 2);
        s += a->kind ? x * x : x;
        t += a->kind ? y * y : y;
    }
    for (int l = 0; l < SP_W / 2; l++)
        sum += s[l] + t[l];
    return sum;
}

void SP_ROW(sum)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_sum_args *a = args;
    int64_t i = task * SP_SUM_BLOCK;
    double sum = 0;
    (void)scratch;
    if (!phase) {
        a->work[task] = sum_block(a, i, block_end(i, SP_SUM_BLOCK, a->n));
        return;
    }
    for (i = 0; i < (a->n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK; i++)
        sum += a->work[i];
    a->y[0] = (float)((double)a->scale * sum + (a->acc ? (double)a->acc[0] : 0));
}

/* ---- optimizers ---- */

static double power(double base, int32_t n)
{
    double p = 1;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1)
            p *= base;
    return p;
}

void SP_ROW(adamw)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_adamw_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    float factor = a->factor ? *a->factor : 1, lr = *a->lr, keep = 1 - lr * a->decay;
    float rate = (float)((double)lr / (1 - power((double)a->beta1, *a->step)));
    float wide_ = (float)(1 / (1 - power((double)a->beta2, *a->step)));
    for (; i < end; i += SP_W) {
        int64_t left = end - i;
        sp_vf g = factor * sp_vread(a->grad, i, SP_F32, left), p = sp_vread(a->p, i, SP_F32, left);
        sp_vf m = a->beta1 * sp_vread(a->m, i, SP_F32, left) + (1 - a->beta1) * g;
        sp_vf v = a->beta2 * sp_vread(a->v, i, SP_F32, left) + (1 - a->beta2) * g * g;
        sp_vwrite(a->m, i, SP_F32, m, left);
        sp_vwrite(a->v, i, SP_F32, v, left);
        sp_vwrite(a->p, i, SP_F32, p * keep - rate * m / (sp_vsqrt(v * wide_) + a->eps), left);
        sp_vwrite(a->grad, i, SP_F32, (sp_vf){ 0 }, left);
    }
    (void)phase;
    (void)scratch;
}

void SP_ROW(sgd)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_sgd_args *a = args;
    int64_t i = task * SP_ELEM_BLOCK, end = block_end(i, SP_ELEM_BLOCK, a->n);
    float factor = a->factor ? *a->factor : 1, lr = *a->lr;
    for (; i < end; i += SP_W) {
        int64_t left = end - i;
        sp_vf p = sp_vread(a->p, i, SP_F32, left), g = factor * sp_vread(a->grad, i, SP_F32, left) + a->decay * p;
        if (a->m) {
            g += a->momentum * sp_vread(a->m, i, SP_F32, left);
            sp_vwrite(a->m, i, SP_F32, g, left);
        }
        sp_vwrite(a->p, i, SP_F32, p - lr * g, left);
        sp_vwrite(a->grad, i, SP_F32, (sp_vf){ 0 }, left);
    }
    (void)phase;
    (void)scratch;
}
