/* kernel/rowwise_body.h - row by row, for any vector width.
 *
 * Formulas are those of portable/norm.c, softmax.c, xent.c, embed.c; sums over a
 * row run in two vectors, so that their order depends on the width alone.
 * Included after pointwise_body.h.
 * SPDX-License-Identifier: Apache-2.0 */

/* ---- normalisation ---- */

static inline float row_sum(const float *x, int64_t n)
{
    sp_vf s = { 0 }, t = { 0 };
    int64_t j = 0;
    for (; j + 2 * SP_W <= n; j += 2 * SP_W) {
        s += sp_vload(x + j);
        t += sp_vload(x + j + SP_W);
    }
    for (; j < n; j += SP_W)
        s += sp_vread(x, j, SP_F32, n - j);
    return sp_vsum(s + t);
}

/* Sum of (x - mean)^2. */
static inline float row_spread(const float *x, int64_t n, float mean)
{
    sp_vf s = { 0 }, t = { 0 };
    int64_t j = 0;
    for (; j + 2 * SP_W <= n; j += 2 * SP_W) {
        sp_vf d = sp_vload(x + j) - mean, e = sp_vload(x + j + SP_W) - mean;
        s = SP_FMA(d, d, s);
        t = SP_FMA(e, e, t);
    }
    for (; j < n; j += SP_W) {
        sp_vf d = sp_vread(x, j, SP_F32, n - j) - mean;
        for (int l = 0; l < SP_W && n - j < SP_W; l++)
            d[l] = l < n - j ? d[l] : 0;
        s = SP_FMA(d, d, s);
    }
    return sp_vsum(s + t);
}

static void norm_row(const struct sp_norm_args *a, int64_t i)
{
    int64_t n = a->n, j;
    const float *x = a->x + i * n;
    float mean = a->layer ? row_sum(x, n) / (float)n : 0;
    float inverse = 1 / __builtin_sqrtf(row_spread(x, n, mean) / (float)n + a->eps);
    if (a->stat) {
        a->stat[2 * i] = mean;
        a->stat[2 * i + 1] = inverse;
    }
    for (j = 0; j < n; j += SP_W) {
        sp_vf y = (sp_vread(x, j, SP_F32, n - j) - mean) * inverse * sp_vread(a->gain, j, SP_F32, n - j);
        if (a->bias)
            y += sp_vread(a->bias, j, SP_F32, n - j);
        sp_vwrite(a->y, i * n + j, a->y_format, y, n - j);
    }
}

void SP_ROW(norm)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_norm_args *a = args;
    int64_t i = task * SP_NORM_ROWS, end = block_end(i, SP_NORM_ROWS, a->m);
    for (; i < end; i++)
        norm_row(a, i);
    (void)phase;
    (void)scratch;
}

/* Adds row i's part of the slopes of gain and bias; *along, *sum: sums of dy gain h and of dy gain. */
static void norm_back_parts(const struct sp_norm_back_args *a, int64_t i, float *gain, float *bias, float *along, float *sum)
{
    int64_t n = a->n, j;
    float mean = a->stat[2 * i], inverse = a->stat[2 * i + 1];
    sp_vf s = { 0 }, t = { 0 };
    for (j = 0; j < n; j += SP_W) {
        sp_vf dy = sp_vread(a->dy, i * n + j, a->dy_format, n - j);
        sp_vf h = (sp_vread(a->x, i * n + j, SP_F32, n - j) - mean) * inverse, g = dy * sp_vread(a->gain, j, SP_F32, n - j);
        sp_vwrite(gain, j, SP_F32, SP_FMA(dy, h, sp_vread(gain, j, SP_F32, n - j)), n - j);
        if (a->dbias)
            sp_vwrite(bias, j, SP_F32, dy + sp_vread(bias, j, SP_F32, n - j), n - j);
        s = SP_FMA(g, h, s);
        t += g;
    }
    *along = sp_vsum(s) / (float)n;
    *sum = a->layer ? sp_vsum(t) / (float)n : 0;
}

static void norm_back_row(const struct sp_norm_back_args *a, int64_t i, float *gain, float *bias)
{
    int64_t n = a->n, j;
    float mean = a->stat[2 * i], inverse = a->stat[2 * i + 1], along, sum;
    norm_back_parts(a, i, gain, bias, &along, &sum);
    for (j = 0; a->dx && j < n; j += SP_W) {
        sp_vf dy = sp_vread(a->dy, i * n + j, a->dy_format, n - j), g = dy * sp_vread(a->gain, j, SP_F32, n - j);
        sp_vf h = (sp_vread(a->x, i * n + j, SP_F32, n - j) - mean) * inverse;
        sp_vf dx = inverse * (g - sum - h * along);
        if (a->dx_acc)
            dx += sp_vread(a->dx_acc, i * n + j, SP_F32, n - j);
        sp_vwrite(a->dx, i * n + j, SP_F32, dx, n - j);
    }
}

/* to[n] = acc + the part `which` (0 gain, 1 bias) of every block, columns j.. */
static void norm_back_sum(const struct sp_norm_back_args *a, int64_t j, int64_t end, int which, const float *acc, float *to)
{
    int64_t blocks = (a->m + SP_NORM_ROWS - 1) / SP_NORM_ROWS, k;
    for (; to && j < end; j += SP_W) {
        sp_vf s = { 0 };
        for (k = 0; k < blocks; k++)
            s += sp_vread(a->work + (2 * k + which) * a->n, j, SP_F32, end - j);
        if (acc)
            s += sp_vread(acc, j, SP_F32, end - j);
        sp_vwrite(to, j, SP_F32, s, end - j);
    }
}

void SP_ROW(norm_back)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_norm_back_args *a = args;
    int64_t i = task * SP_NORM_ROWS, end = block_end(i, SP_NORM_ROWS, a->m), j = task * SP_ELEM_NORM_COLS;
    float *gain = a->work + 2 * task * a->n;
    (void)scratch;
    if (phase) {
        norm_back_sum(a, j, block_end(j, SP_ELEM_NORM_COLS, a->n), 0, a->dgain_acc, a->dgain);
        norm_back_sum(a, j, block_end(j, SP_ELEM_NORM_COLS, a->n), 1, a->dbias_acc, a->dbias);
        return;
    }
    memset(gain, 0, 2 * (size_t)a->n * sizeof *gain);
    for (; i < end; i++)
        norm_back_row(a, i, gain, gain + a->n);
}

/* ---- softmax ---- */

static inline float row_top(const void *x, int64_t at, int32_t format, int64_t n)
{
    sp_vf top = sp_vsplat(-__builtin_inff()), first = sp_vsplat(sp_vget_n(x, at, format, 1)[0]);
    int64_t j = 0;
    for (; j + SP_W <= n; j += SP_W)
        top = sp_vmax(sp_vget(x, at + j, format), top);
    if (j < n) {
        sp_vf last = sp_vget_n(x, at + j, format, n - j);
        for (int l = (int)(n - j); l < SP_W; l++)
            last[l] = first[0];
        top = sp_vmax(last, top);
    }
    return sp_vtop(sp_vmax(top, first));
}

static inline sp_vf first_lanes(sp_vf v, int64_t n)
{
    for (int l = (int)(n < SP_W ? n : SP_W); l < SP_W; l++)
        v[l] = 0;
    return v;
}

/* y = exp(scale (x - top)); returns the sum, in double over stretches of 64 vectors. */
static double row_exp(const void *x, int64_t at, int32_t format, int64_t n, float scale, float top, float *y)
{
    double sum = 0;
    for (int64_t j = 0; j < n;) {
        sp_vf s = { 0 };
        for (int k = 0; k < 64 && j < n; k++, j += SP_W) {
            sp_vf e = sp_vexp(scale * (sp_vread(x, at + j, format, n - j) - top));
            if (n - j < SP_W)
                e = first_lanes(e, n - j);
            if (y)
                sp_vwrite(y, j, SP_F32, e, n - j);
            s += e;
        }
        sum += (double)sp_vsum(s);
    }
    return sum;
}

void SP_ROW(softmax)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_softmax_args *a = args;
    int64_t i = task * SP_ELEM_ROWS, end = block_end(i, SP_ELEM_ROWS, a->m), j, n = a->n;
    for (; i < end; i++) {
        float *y = a->y + i * n;
        float over = (float)(1 / row_exp(a->x, i * n, SP_F32, n, a->scale, row_top(a->x, i * n, SP_F32, n), y));
        for (j = 0; j < n; j += SP_W)
            sp_vwrite(y, j, SP_F32, over * sp_vread(y, j, SP_F32, n - j), n - j);
    }
    (void)phase;
    (void)scratch;
}

void SP_ROW(softmax_back)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_softmax_back_args *a = args;
    int64_t i = task * SP_ELEM_ROWS, end = block_end(i, SP_ELEM_ROWS, a->m), j, n = a->n;
    for (; i < end; i++) {
        const float *dy = a->dy + i * n, *y = a->y + i * n;
        sp_vf s = { 0 };
        for (j = 0; j < n; j += SP_W)
            s = SP_FMA(sp_vread(dy, j, SP_F32, n - j), sp_vread(y, j, SP_F32, n - j), s);
        float dot = sp_vsum(s);
        for (j = 0; j < n; j += SP_W)
            sp_vwrite(a->dx, i * n + j, SP_F32,
                      a->scale * sp_vread(y, j, SP_F32, n - j) * (sp_vread(dy, j, SP_F32, n - j) - dot), n - j);
    }
    (void)phase;
    (void)scratch;
}

/* ---- cross-entropy ---- */

/* An f32 slope holds the exponentials between the two passes; a narrower one makes them again. */
static void xent_row(const struct sp_xent_args *a, int64_t i)
{
    int64_t n = a->n, at = i * n, target = a->target[i];
    bool counts = target >= 0 && target < n, keeps = a->dx && a->dx_format == SP_F32;
    float weight = counts ? (a->weight ? a->weight[i] : 1) : 0, *kept = keeps ? (float *)a->dx + at : NULL;
    float own = counts ? sp_vget_n(a->x, at + target, a->x_format, 1)[0] : 0, top = row_top(a->x, at, a->x_format, n);
    double sum = row_exp(a->x, at, a->x_format, n, 1, top, kept);
    float all = top + sp_vlog(sp_vsplat((float)sum))[0], by = (float)((double)weight / sum);
    a->nll[i] = counts ? all - own : 0;
    for (int64_t j = 0; a->dx && j < n; j += SP_W) {
        sp_vf e = keeps ? sp_vread(kept, j, SP_F32, n - j) : sp_vexp(sp_vread(a->x, at + j, a->x_format, n - j) - top);
        if (target >= j && target < j + SP_W && counts)
            e[target - j] -= (float)sum;
        sp_vwrite(a->dx, at + j, a->dx_format, by * e, n - j);
    }
}

void SP_ROW(xent)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_xent_args *a = args;
    int64_t i = task * SP_ELEM_XENT, end = block_end(i, SP_ELEM_XENT, a->m);
    double sum = 0;
    (void)scratch;
    if (!phase) {
        for (; i < end; i++)
            xent_row(a, i);
        return;
    }
    for (i = 0; i < a->m; i++)
        if (a->target[i] >= 0 && a->target[i] < a->n)
            sum += (double)(a->weight ? a->weight[i] : 1) * (double)a->nll[i];
    a->loss[0] = (float)(sum + (a->loss_acc ? (double)a->loss_acc[0] : 0));
}

/* ---- rows by number ---- */

void SP_ROW(embed)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_embed_args *a = args;
    int64_t i = task * SP_ELEM_EMBED, end = block_end(i, SP_ELEM_EMBED, a->m), j, n = a->n;
    for (; i < end; i++) {
        int64_t id = a->ids[i];
        bool sound = id >= 0 && id < a->rows;
        for (j = 0; j < n; j += SP_W)
            sp_vwrite(a->y, i * n + j, a->y_format,
                      sound ? a->scale * sp_vread(a->table, id * n + j, a->table_format, n - j) : (sp_vf){ 0 }, n - j);
    }
    (void)phase;
    (void)scratch;
}

void SP_ROW(embed_back)(const void *args, int phase, int64_t task, void *scratch)
{
    const struct sp_embed_back_args *a = args;
    int64_t first = task * SP_ELEM_COLS, end = block_end(first, SP_ELEM_COLS, a->n), i, j, n = a->n;
    size_t bytes = (size_t)(end - first) * sizeof *a->dtable;
    for (i = 0; a->acc != a->dtable && i < a->rows; i++)
        if (a->acc)
            memcpy(a->dtable + i * n + first, a->acc + i * n + first, bytes);
        else
            memset(a->dtable + i * n + first, 0, bytes);
    for (i = 0; i < a->m; i++) {
        int64_t id = a->ids[i];
        for (j = first; id >= 0 && id < a->rows && j < end; j += SP_W) {
            sp_vf s = sp_vread(a->dtable, id * n + j, SP_F32, end - j), dy = sp_vread(a->dy, i * n + j, a->dy_format, end - j);
            sp_vwrite(a->dtable, id * n + j, SP_F32, s + a->scale * dy, end - j);
        }
    }
    (void)phase;
    (void)scratch;
}
