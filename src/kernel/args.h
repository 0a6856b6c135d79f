/* kernel/args.h - the arguments of every kernel family.  Printed verbatim into
 * exported C, so: C99, stdint only, no includes of ours.
 *
 * Sizes and strides count elements unless a name says bytes.  A pointer to an
 * optional operand may be NULL.  Matrices are row-major; ld* is the distance
 * between rows.  `past` and other small pointers are runtime inputs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ARGS_H
#define SP_ARGS_H
#include <stdint.h>

enum sp_format { SP_F32, SP_F16, SP_BF16, SP_Q8_0, SP_I32, SP_BYTES /* opaque, kernel-private */, SP_Q4_0, SP_Q4_1, SP_Q5_0, SP_Q5_1,
                 SP_Q2_K, SP_Q3_K, SP_Q4_K, SP_Q5_K, SP_Q6_K, SP_IQ4_NL, SP_IQ4_XS, SP_MXFP4, SP_TQ1_0, SP_TQ2_0, SP_FORMATS };

/* c[m,n] = op(a)[m,k] op(b)[k,n] (+ bias[n]) (+ acc[m,n]).  trans bit 0: a is stored [k,m];
 * bit 1: b is stored [n,k].  b_packed: b was written by `pack` for this very row.
 * acc may be c itself.  a may be f32 or bf16, b any stored format, c f32 or bf16.
 * work: SP_GEMM_WORK(m, k) bytes where b is in blocks, for rows of a made ready once, or NULL: then each task makes
 * its own ready.  threads: how many will share the work, 0: not known. */
#define SP_GEMM_WORK(m, k) (((m) + 3) / 4 * (k) / 32 * 272)
struct sp_gemm_args {
    const void *a, *b; const float *bias, *acc; void *c, *work;
    int64_t m, n, k, lda, ldb, ldc;
    int32_t trans, a_format, b_format, c_format, b_packed, threads;
};
/* dst = the panels a gemm row wants of the weight src[rows, cols] (ld = cols); trans as bit 1 above. */
struct sp_pack_args { const void *src; void *dst; int64_t n, k; int32_t trans, src_format, dst_format; };

/* y[i] = f(x[i]); kind: see SP_UNARY.  back: dx = dy * f'(x). */
enum sp_unary { SP_RELU, SP_GELU /* tanh form */, SP_GELU_ERF, SP_SILU, SP_TANH, SP_SIGMOID, SP_EXP, SP_LOG,
                SP_SQUARE, SP_SQRT, SP_NEG, SP_UNARIES };
struct sp_unary_args { const void *x; void *y; int64_t n; int32_t kind, x_format, y_format; };
struct sp_unary_back_args { const void *dy, *x; void *dx; int64_t n; int32_t kind, dy_format, x_format, dx_format; };
/* y[i] = alpha*a[i] op beta*b[i % nb]; kind 0 add, 1 mul (alpha*beta*a*b).  b NULL: y = alpha*a.
 * scale: optional pointer to one float that multiplies the result. */
struct sp_binary_args {
    const void *a, *b; const float *scale; void *y;
    int64_t n, nb; float alpha, beta; int32_t kind, a_format, b_format, y_format;
};
/* y = f(gate) * up, f a sp_unary.  back fills both. */
struct sp_glu_args { const void *gate, *up; void *y; int64_t n; int32_t kind, x_format, y_format; };
struct sp_glu_back_args { const void *dy, *gate, *up; void *dgate, *dup; int64_t n; int32_t kind, dy_format, x_format, dx_format; };
/* Rows of x[m,n]: rms: x/sqrt(mean x^2 + eps) * gain; layer: (x-mean)/sqrt(var+eps) * gain + bias.
 * stat[m,2] = mean (0 for rms), 1/sigma.  bias may be NULL. */
struct sp_norm_args {
    const float *x, *gain, *bias; void *y; float *stat;
    int64_t m, n; float eps; int32_t layer, y_format;
};
/* dx[m,n] (+= dx_acc when given), dgain[n], dbias[n]; work[blocks, 2, n], blocks = ceil(m/SP_NORM_ROWS).
 * Phase 0: dx and partial sums a block of rows; phase 1: sums over blocks (+ dgain_acc, dbias_acc). */
enum { SP_NORM_ROWS = 64 };
struct sp_norm_back_args {
    const void *dy; const float *x, *gain, *stat, *dx_acc, *dgain_acc, *dbias_acc;
    float *dx, *dgain, *dbias, *work;
    int64_t m, n; int32_t layer, dy_format;
};
struct sp_softmax_args { const float *x; float *y; int64_t m, n; float scale; };
struct sp_softmax_back_args { const float *dy, *y; float *dx; int64_t m, n; float scale; };
/* Per row: nll[m] = logsumexp(x) - x[target]; loss[1] = sum weight*nll (+ loss_acc); dx = weight*(softmax - onehot).
 * dx may be NULL or alias x.  target < 0: the row counts nothing.  weight NULL: 1.  Phase 1 sums the loss. */
struct sp_xent_args {
    const void *x; const int32_t *target; const float *weight, *loss_acc; void *dx; float *nll, *loss;
    int64_t m, n; int32_t x_format, dx_format;
};
/* Per row: kl[m] = sum of p ln(p/q), p the softmax of the teacher's logits, q that of x; loss[1] = sum weight*kl (+ loss_acc);
 * dx = weight*(q - p), may be NULL or alias x.  weight NULL: 1.  Phase 1 sums the loss. */
struct sp_soft_args { const float *x, *teacher, *weight, *loss_acc; float *dx, *kl, *loss; int64_t m, n; };
/* y[m,n] = table[ids[i], :] * scale; ids out of range give zeros. */
struct sp_embed_args { const int32_t *ids; const void *table; void *y; int64_t m, n, rows; float scale; int32_t table_format, y_format; };
/* dtable = acc + sum of dy rows by id; each task owns a range of columns. */
struct sp_embed_back_args { const int32_t *ids; const void *dy; const float *acc; float *dtable; int64_t m, n, rows; float scale; int32_t dy_format; };
/* table[max, dim/2, 2] = cos, sin of position * inverse frequency base^(-2j/dim).  scaling: 0 none, 1 linear, 2 llama3
 * (low, high: frequency factors), 3 yarn (low, high: beta slow 1, beta fast 32); factor, original: length before;
 * size: what cosines and sines are multiplied by, 0: 1, with yarn 0.1 ln(factor) + 1. */
struct sp_rope_table_args { float *table; int64_t max, dim; double base, factor, low, high, original, size; int32_t scaling; };
/* Rotates the first heads*dim columns of x[m, ldx] by row *past + i / each % t of table[max, dim/2, 2] (past NULL: 0;
 * kept below max; each: rows in a line that share a position); back: inverse.  Further columns (to the smaller of ldx, ldy) are copied.  y may be x.
 * interleaved: pairs (2j, 2j+1), else (j, j + dim/2). */
struct sp_rope_args {
    const void *x; const float *table; const int32_t *past; void *y;
    int64_t m, t, each, heads, dim, ldx, ldy, max; int32_t interleaved, back, x_format, y_format;
};
/* Causal attention, b sequences: t queries at positions past..past+t-1, over keys 0..past+t-1 of at most tk stored
 * (past NULL: 0 and all tk keys).  q[b*t, heads*dim] row distance ldq, k and v[b*tk, kv_heads*dim] row distances ldk,
 * ldv; o[b*t, heads*dim]; q_at, k_at, v_at: first column.  k or v NULL: they stand in q (packed).
 * lse[b, heads, t] for the backward pass, or NULL.  window 0: none.  softcap 0: none.  dim at most SP_HEAD_DIM_MAX.
 * drop > 0: the weight of key j in row r = (b, head, query) is kept by word j % 4 of Philox(key, r * ((tk + 3) / 4) + j / 4,
 * *counter). */
enum { SP_HEAD_DIM_MAX = 512 };
struct sp_attention_args {
    const void *q, *k, *v; const int32_t *past, *counter; void *o; float *lse;
    int64_t b, t, tk, heads, kv_heads, dim, ldq, ldk, ldv, ldo, q_at, k_at, v_at, window; uint64_t key;
    float scale, softcap, drop; int32_t causal, q_format, kv_format, o_format;
};
/* past = 0.  dq, dk, dv have the layout of q, k, v; dk or dv NULL: they stand in dq.  Formats: x of q, k, v; d of dq,
 * dk, dv.  work[b, heads, t], followed by [b, heads, t, dim] when d_format is not f32. */
struct sp_attention_back_args {
    const void *d_o, *q, *k, *v, *o; const float *lse; const int32_t *counter; void *dq, *dk, *dv; float *work;
    int64_t b, t, tk, heads, kv_heads, dim, ldq, ldk, ldv, ldo, q_at, k_at, v_at, window; uint64_t key;
    float scale, softcap, drop; int32_t causal, x_format, do_format, o_format, d_format;
};
/* y = keep(i) ? x/(1-p) : 0, keep by Philox(key, counter[0] , element): the same numbers in the backward pass. */
struct sp_dropout_args { const void *x; const int32_t *counter; void *y; int64_t n; uint64_t key; float p; int32_t x_format, y_format; };
/* dst[rows, cols] = src; places at dst_at / src_at, row distances lds / ldd. */
struct sp_copy_args { const void *src; void *dst; int64_t rows, cols, lds, ldd, src_at, dst_at; int32_t src_format, dst_format; };
/* dst[dst_rows, dst_cols] = old with src[rows, cols] put (add: added) at row, col; old NULL: 0 elsewhere, old may be dst.
 * Rows of src come in groups of `group` (0: one group), group_step rows apart in dst, *past rows further down when given;
 * rows that would leave their group_step (or dst) are dropped. */
struct sp_put_args {
    const void *old, *src; const int32_t *past; void *dst;
    int64_t dst_rows, dst_cols, rows, cols, row, col, group, group_step; int32_t add, src_format, dst_format;
};
/* y[rows, sum of cols] = x[0..7] side by side; x NULL: not there. */
struct sp_concat_args { const void *x[8]; void *y; int64_t cols[8], rows; int32_t x_format, y_format; };
/* y[cols, rows] = x[rows, cols]. */
struct sp_transpose_args { const void *x; void *y; int64_t rows, cols; int32_t format; };
struct sp_fill_args { float *y; int64_t n; float value; };
/* y[n] = acc + sum over rows of x[m,n]; y[1] = acc + scale * sum of x or x^2 (kind 1); fixed blocks, work[blocks]. */
struct sp_sum_rows_args { const void *x; const float *acc; float *y; int64_t m, n; int32_t x_format; };
enum { SP_SUM_BLOCK = 16384 };
struct sp_sum_args { const void *x; const float *acc; float *y; double *work; int64_t n; float scale; int32_t kind, x_format; };
/* factor[1] = min(1, max_norm / sqrt(sumsq)); norm[1] = sqrt(sumsq).  NaN stays NaN. */
struct sp_clip_args { const float *sumsq, *max_norm; float *factor, *norm; };
/* AdamW (Loshchilov & Hutter 2019): p, m, v in place, grad read times *factor and set to zero.  step starts at 1. */
struct sp_adamw_args {
    float *p, *grad, *m, *v; const float *factor, *lr; const int32_t *step;
    int64_t n; float beta1, beta2, eps, decay;
};
struct sp_sgd_args { float *p, *grad, *m; const float *factor, *lr; int64_t n; float momentum, decay; };
/* loss[1] = scale * sum (x-y)^2 (+acc); dx = 2 scale (x-y). */
struct sp_mse_args { const float *x, *y, *acc; float *loss, *dx; double *work; int64_t n; float scale; };
#endif
