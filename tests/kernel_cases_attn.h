/* tests/kernel_cases_attn.h - attention, positions, moving data: odd sizes, packed
 * and apart, caches, windows, soft caps, formats.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernel_cases.h"

static const enum sp_format attn_formats[] = { SP_F32, SP_F32, SP_BF16, SP_F16 };

/* Sizes that cross the blocks of queries (96, 48) and keys (96), strips (6) and vectors. */
static void attn_sizes(struct kernel_case *c, int number, struct sp_attention_args *a)
{
    static const int64_t dims[] = { 64, 8, 20, 80, 128, 5, 256, 48 };
    int64_t group = case_between(c, 1, 3);
    a->b = case_between(c, 1, 2), a->kv_heads = case_between(c, 1, 2), a->heads = group * a->kv_heads;
    a->dim = dims[number % 8];
    a->t = number % 3 == 0 ? case_between(c, 1, 5) : case_between(c, 6, number % 3 == 1 ? 60 : 210);
    a->tk = a->t;
    a->scale = 1 / sqrtf((float)a->dim);
    a->causal = number % 5 != 4;
    a->window = number % 4 == 3 ? case_between(c, 1, 120) : 0;
    a->softcap = number % 7 == 6 ? 2.0f : 0;
    a->drop = number % 3 == 2 ? 0.3f : 0, a->key = (uint64_t)number;
}

/* Columns: one packed matrix, or three with gaps between the rows. */
static void attn_columns(struct kernel_case *c, struct sp_attention_args *a, bool packed)
{
    int64_t q = a->heads * a->dim, kv = a->kv_heads * a->dim, loose = packed ? 0 : case_below(c, 4);
    a->ldo = q;
    a->ldq = packed ? q + 2 * kv : q + loose;
    a->ldk = packed ? a->ldq : kv + loose, a->ldv = packed ? a->ldq : kv + case_below(c, 3);
    a->q_at = 0, a->k_at = packed ? q : loose / 2, a->v_at = packed ? q + kv : 0;
}

static void attn_make(struct kernel_case *c, int number)
{
    struct sp_attention_args a = { 0 };
    bool packed = number % 2, past = !packed && number % 3 == 0;
    attn_sizes(c, number, &a);
    a.tk = past ? a.t + case_between(c, 0, 250) : a.t;
    attn_columns(c, &a, packed);
    a.q_format = (int32_t)attn_formats[case_below(c, 4)];
    a.kv_format = packed ? a.q_format : (int32_t)attn_formats[case_below(c, 4)];
    a.o_format = (int32_t)attn_formats[case_below(c, 3)];
    a.q = case_in(c, (enum sp_format)a.q_format, a.b * a.t * a.ldq);
    if (!packed) {
        a.k = case_in_range(c, (enum sp_format)a.kv_format, a.b * a.tk * a.ldk, -2, 2);
        a.v = case_in(c, (enum sp_format)a.kv_format, a.b * a.tk * a.ldv);
    }
    if (past)
        a.past = case_ids(c, 1, 0, (int32_t)(a.tk - a.t + 1));
    if (case_coin(c))
        a.counter = case_ids(c, 1, 0, 1000);
    a.o = case_out(c, (enum sp_format)a.o_format, a.b * a.t * a.ldo);
    if (case_coin(c))
        a.lse = case_out(c, SP_F32, a.b * a.heads * a.t);
    memcpy(c->args, &a, sizeof a);
}

static void attn_back_formats(struct kernel_case *c, struct sp_attention_back_args *a)
{
    a->x_format = (int32_t)attn_formats[case_below(c, 4)], a->do_format = (int32_t)attn_formats[case_below(c, 3)];
    a->o_format = (int32_t)attn_formats[case_below(c, 3)], a->d_format = (int32_t)attn_formats[case_below(c, 4)];
}

static void attn_back_buffers(struct kernel_case *c, struct sp_attention_back_args *a, bool packed)
{
    enum sp_format x = (enum sp_format)a->x_format, d = (enum sp_format)a->d_format;
    int64_t rows = a->b * a->t;
    a->d_o = case_in(c, (enum sp_format)a->do_format, rows * a->ldo);
    a->o = case_in(c, (enum sp_format)a->o_format, rows * a->ldo);
    a->q = case_in(c, x, rows * a->ldq);
    a->lse = case_in_range(c, SP_F32, rows * a->heads, 3, 5);
    a->counter = case_coin(c) ? case_ids(c, 1, 0, 1000) : NULL;
    a->dq = case_out(c, d, rows * a->ldq);
    if (!packed) {
        a->k = case_in(c, x, rows * a->ldk), a->v = case_in(c, x, rows * a->ldv);
        a->dk = case_out(c, d, rows * a->ldk), a->dv = case_out(c, d, rows * a->ldv);
    }
    a->work = case_work(c, rows * a->heads * 4 * (d == SP_F32 ? 1 : 1 + a->dim));
}

static void attn_back_make(struct kernel_case *c, int number)
{
    struct sp_attention_args f = { 0 };
    bool packed = number % 2;
    attn_sizes(c, number, &f);
    attn_columns(c, &f, packed);
    struct sp_attention_back_args a = { .b = f.b, .t = f.t, .tk = f.tk, .heads = f.heads, .kv_heads = f.kv_heads, .dim = f.dim,
        .ldq = f.ldq, .ldk = f.ldk, .ldv = f.ldv, .ldo = f.ldo, .q_at = f.q_at, .k_at = f.k_at, .v_at = f.v_at,
        .window = f.window, .key = f.key, .drop = f.drop, .scale = f.scale, .softcap = f.softcap, .causal = f.causal };
    attn_back_formats(c, &a);
    attn_back_buffers(c, &a, packed);
    memcpy(c->args, &a, sizeof a);
}

static void attn_rope_make(struct kernel_case *c, int number)
{
    struct sp_rope_args a = { .m = case_between(c, 1, 50), .heads = case_between(c, 1, 4), .dim = 2 * case_between(c, 1, 40) };
    a.t = number % 3 ? a.m : case_between(c, 1, a.m);
    a.each = case_coin(c) ? 1 : case_between(c, 1, 5);
    a.max = a.t + case_below(c, 60);
    a.ldx = a.heads * a.dim + case_below(c, 100), a.ldy = a.heads * a.dim + case_below(c, 100);
    a.interleaved = number % 2, a.back = case_coin(c);
    a.x_format = (int32_t)attn_formats[case_below(c, 4)], a.y_format = (int32_t)attn_formats[case_below(c, 4)];
    a.table = case_in(c, SP_F32, a.max * a.dim);
    if (case_coin(c))
        a.past = case_ids(c, 1, 0, (int32_t)a.max);
    if (number % 5 == 4) {
        a.ldy = a.ldx, a.y_format = a.x_format;
        a.x = a.y = case_inout(c, (enum sp_format)a.x_format, a.m * a.ldx, -1, 1);
    } else {
        a.x = case_in(c, (enum sp_format)a.x_format, a.m * a.ldx);
        a.y = case_out(c, (enum sp_format)a.y_format, a.m * a.ldy);
    }
    memcpy(c->args, &a, sizeof a);
}

static void attn_copy_make(struct kernel_case *c, int number)
{
    struct sp_copy_args a = { .rows = case_between(c, 1, 150), .cols = case_between(c, 1, number % 4 ? 40 : 2500) };
    a.lds = a.cols + case_below(c, 5), a.ldd = a.cols + case_below(c, 5);
    a.src_at = case_below(c, 7), a.dst_at = case_below(c, 7);
    a.src_format = (int32_t)attn_formats[case_below(c, 4)], a.dst_format = (int32_t)attn_formats[case_below(c, 4)];
    if (number % 6 == 5)
        a.src_format = a.dst_format = SP_I32;
    a.src = case_in_range(c, (enum sp_format)a.src_format, a.src_at + a.rows * a.lds, -100, 100);
    a.dst = case_out(c, (enum sp_format)a.dst_format, a.dst_at + a.rows * a.ldd);
    memcpy(c->args, &a, sizeof a);
}

/* Also at places outside, which must be dropped. */
static void attn_put_make(struct kernel_case *c, int number)
{
    struct sp_put_args a = { .rows = case_between(c, 1, 100), .cols = case_between(c, 1, number % 4 ? 40 : 1500) };
    int64_t sequences = number % 3 == 2 ? case_between(c, 1, 3) : 1;
    if (number % 3 == 2) {
        a.group = case_between(c, 1, 30), a.rows = a.group * sequences;
        a.group_step = a.group + case_below(c, 20);
    }
    a.col = case_below(c, 5), a.dst_cols = a.col + a.cols + case_below(c, 5);
    a.dst_rows = a.group ? a.group_step * sequences : a.rows + case_below(c, 90);
    a.row = case_between(c, -2, 5), a.add = number % 5 > 2;
    a.src_format = (int32_t)attn_formats[case_below(c, 4)], a.dst_format = (int32_t)attn_formats[case_below(c, 4)];
    a.src = case_in(c, (enum sp_format)a.src_format, a.rows * a.cols);
    if (case_coin(c))
        a.past = case_ids(c, 1, -3, 120);
    if (number % 2)
        a.old = a.dst = case_inout(c, (enum sp_format)a.dst_format, a.dst_rows * a.dst_cols, -1, 1);
    else {
        a.old = case_coin(c) ? case_in(c, (enum sp_format)a.dst_format, a.dst_rows * a.dst_cols) : NULL;
        a.dst = case_out(c, (enum sp_format)a.dst_format, a.dst_rows * a.dst_cols);
    }
    memcpy(c->args, &a, sizeof a);
}

static void attn_concat_make(struct kernel_case *c, int number)
{
    struct sp_concat_args a = { .rows = case_between(c, 1, 150) };
    int64_t wide = 0;
    a.x_format = (int32_t)attn_formats[case_below(c, 4)], a.y_format = (int32_t)attn_formats[case_below(c, 4)];
    for (int i = 0; i < 8; i++)
        if (i == number % 8 || case_coin(c)) {
            a.cols[i] = case_between(c, 1, 30), wide += a.cols[i];
            a.x[i] = case_in(c, (enum sp_format)a.x_format, a.rows * a.cols[i]);
        }
    a.y = case_out(c, (enum sp_format)a.y_format, a.rows * wide);
    memcpy(c->args, &a, sizeof a);
}

static void attn_transpose_make(struct kernel_case *c, int number)
{
    struct sp_transpose_args a = { .rows = case_between(c, 1, 90), .cols = case_between(c, 1, 90) };
    enum sp_format f = attn_formats[number % 4];
    a.format = (int32_t)f;
    a.x = case_in(c, f, a.rows * a.cols), a.y = case_out(c, f, a.rows * a.cols);
    memcpy(c->args, &a, sizeof a);
}

static const struct { const char *name; int64_t b, t, tk, heads, kv_heads, dim; enum sp_format f; } attn_benches[] = {
    { "16x256 6x64", 16, 256, 256, 6, 6, 64, SP_F32 },   { "16x256 6x64 bf16", 16, 256, 256, 6, 6, 64, SP_BF16 },
    { "1x2048 8/2x64", 1, 2048, 2048, 8, 2, 64, SP_F32 }, { "decode 2048 32/8x128", 1, 1, 2048, 32, 8, 128, SP_F32 },
};

static void attn_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    enum sp_format f = attn_benches[number].f;
    struct sp_attention_args a = { .b = attn_benches[number].b, .t = attn_benches[number].t, .tk = attn_benches[number].tk,
        .heads = attn_benches[number].heads, .kv_heads = attn_benches[number].kv_heads, .dim = attn_benches[number].dim,
        .causal = 1, .q_format = (int32_t)f, .kv_format = (int32_t)f, .o_format = (int32_t)f };
    a.scale = 1 / sqrtf((float)a.dim), a.ldo = a.ldq = a.heads * a.dim, a.ldk = a.ldv = a.kv_heads * a.dim;
    a.q = case_in(c, f, a.b * a.t * a.ldq), a.k = case_in(c, f, a.b * a.tk * a.ldk), a.v = case_in(c, f, a.b * a.tk * a.ldv);
    if (a.t < a.tk)
        a.past = case_ids(c, 1, (int32_t)(a.tk - a.t), (int32_t)(a.tk - a.t + 1));
    a.o = case_out(c, f, a.b * a.t * a.ldo), a.lse = case_out(c, SP_F32, a.b * a.heads * a.t);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "%s", attn_benches[number].name);
    double t = (double)a.t, pairs = t * (double)(a.tk - a.t) + t * (t + 1) / 2;
    *flops = 4 * (double)(a.b * a.heads * a.dim) * pairs;
    *bytes = (double)sp_format_bytes(f, 2 * a.b * (a.t * a.ldq + a.tk * a.ldk));
}

static void attn_back_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    enum sp_format f = attn_benches[number].f;
    struct sp_attention_back_args a = { .b = attn_benches[number].b, .t = attn_benches[number].t, .tk = attn_benches[number].tk,
        .heads = attn_benches[number].heads, .kv_heads = attn_benches[number].kv_heads, .dim = attn_benches[number].dim,
        .causal = 1, .x_format = (int32_t)f, .do_format = (int32_t)f, .o_format = (int32_t)f, .d_format = (int32_t)f };
    a.scale = 1 / sqrtf((float)a.dim), a.ldo = a.ldq = a.heads * a.dim, a.ldk = a.ldv = a.kv_heads * a.dim;
    attn_back_buffers(c, &a, false);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "%s", attn_benches[number].name);
    *flops = 10 * (double)(a.b * a.heads * a.dim) * (double)a.t * (double)(a.t + 1) / 2;
    *bytes = (double)sp_format_bytes(f, 4 * a.b * (a.t * a.ldq + a.tk * a.ldk));
}

static const struct kernel_cases kernel_cases_attn[] = {
    { &sp_kernel_attention, 96, attn_make, 4, attn_bench },
    { &sp_kernel_attention_back, 60, attn_back_make, 3, attn_back_bench },
    { &sp_kernel_rope, 60, attn_rope_make },
    { &sp_kernel_copy, 40, attn_copy_make },
    { &sp_kernel_put, 60, attn_put_make },
    { &sp_kernel_concat, 24, attn_concat_make },
    { &sp_kernel_transpose, 16, attn_transpose_make },
    { NULL },
};
