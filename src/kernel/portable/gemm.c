/* gemm: c = op(a) op(b) (+ bias) (+ acc).  A task is 32 rows by 32 columns; for
 * every element k runs upwards in one sum. */
enum { SP_GEMM_TILE = 32 };

/* One 32 by 32 piece as numbers, zero beyond the matrix: to[p][q].  One of the steps is 1. */
static void sp_gemm_piece(float *to, const void *from, int32_t format, int64_t p0, int64_t q0, int64_t p_step, int64_t q_step, int64_t np,
                          int64_t nq)
{
    const int along = q_step == 1;
    const int64_t lines = along ? np : nq, length = along ? nq : np, start = p0 * p_step + q0 * q_step;
    float line[SP_GEMM_TILE];
    int64_t i, j;
    for (i = 0; i < SP_GEMM_TILE * SP_GEMM_TILE; i++)
        to[i] = 0;
    for (i = 0; i < lines; i++) {
        sp_load_many(line, from, start + i * (along ? p_step : q_step), length, format);
        for (j = 0; j < length; j++)
            to[along ? i * SP_GEMM_TILE + j : j * SP_GEMM_TILE + i] = line[j];
    }
}

static void sp_gemm_multiply(float *sum, const float *a, const float *b, int64_t rows, int64_t depth)
{
    int64_t i, l;
    int j;
    for (i = 0; i < rows; i++)
        for (l = 0; l < depth; l++) {
            const float x = a[i * SP_GEMM_TILE + l], *y = b + l * SP_GEMM_TILE;
            float *s = sum + i * SP_GEMM_TILE;
            for (j = 0; j < SP_GEMM_TILE; j++)
                s[j] += x * y[j];
        }
}

static void sp_gemm_finish(const struct sp_gemm_args *g, const float *sum, int64_t i0, int64_t j0, int64_t rows, int64_t cols)
{
    int64_t i, j;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++) {
            float v = sum[i * SP_GEMM_TILE + j];
            if (g->bias)
                v += g->bias[j0 + j];
            if (g->acc)
                v += g->acc[(i0 + i) * g->ldc + j0 + j];
            sp_store(g->c, (i0 + i) * g->ldc + j0 + j, g->c_format, v);
        }
}

static void sp_gemm_portable(const struct sp_gemm_args *g, int phase, int64_t task)
{
    float a[SP_GEMM_TILE * SP_GEMM_TILE], b[SP_GEMM_TILE * SP_GEMM_TILE], sum[SP_GEMM_TILE * SP_GEMM_TILE];
    int64_t across = (g->n + SP_GEMM_TILE - 1) / SP_GEMM_TILE, i0 = task / across * SP_GEMM_TILE, j0 = task % across * SP_GEMM_TILE;
    int64_t rows = g->m - i0 < SP_GEMM_TILE ? g->m - i0 : SP_GEMM_TILE, cols = g->n - j0 < SP_GEMM_TILE ? g->n - j0 : SP_GEMM_TILE;
    int64_t l, depth;
    int j;
    (void)phase;
    for (j = 0; j < SP_GEMM_TILE * SP_GEMM_TILE; j++)
        sum[j] = 0;
    for (l = 0; l < g->k; l += SP_GEMM_TILE) {
        depth = g->k - l < SP_GEMM_TILE ? g->k - l : SP_GEMM_TILE;
        sp_gemm_piece(a, g->a, g->a_format, i0, l, g->trans & 1 ? 1 : g->lda, g->trans & 1 ? g->lda : 1, rows, depth);
        sp_gemm_piece(b, g->b, g->b_format, l, j0, g->trans & 2 ? 1 : g->ldb, g->trans & 2 ? g->ldb : 1, depth, cols);
        sp_gemm_multiply(sum, a, b, rows, depth);
    }
    sp_gemm_finish(g, sum, i0, j0, rows, cols);
}
