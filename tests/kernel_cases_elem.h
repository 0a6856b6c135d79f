/* tests/kernel_cases_elem.h - element by element, rows, sums, optimizers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel_cases.h"

/* Mostly some vectors and a rest; every eighth case goes over blocks of 16384. */
static int64_t elem_size(struct kernel_case *c, int number)
{
    return number % 8 == 7 ? case_between(c, 16384, 40000) : case_between(c, 1, 300);
}
static enum sp_format elem_format(struct kernel_case *c)
{
    return case_below(c, 3) ? SP_F32 : SP_BF16;
}
/* A result, sometimes over an operand of its size (which is then read and written). */
static void elem_pair(struct kernel_case *c, const void **x, int32_t *x_format, void **y, int32_t *y_format, int64_t n, double low, double high)
{
    *x_format = elem_format(c);
    if (case_below(c, 3) == 0) {
        *x = *y = case_inout(c, (enum sp_format)*x_format, n, low, high);
        *y_format = *x_format;
        return;
    }
    *y_format = elem_format(c);
    *x = case_in_range(c, (enum sp_format)*x_format, n, low, high);
    *y = case_out(c, (enum sp_format)*y_format, n);
}

/* ---- element by element ---- */

static void unary_make(struct kernel_case *c, int number)
{
    struct sp_unary_args a = { .n = elem_size(c, number), .kind = number % SP_UNARIES };
    bool positive = a.kind == SP_LOG || a.kind == SP_SQRT;
    elem_pair(c, &a.x, &a.x_format, &a.y, &a.y_format, a.n, positive ? 0.01 : -6, 6);
    memcpy(c->args, &a, sizeof a);
}

static void unary_back_make(struct kernel_case *c, int number)
{
    struct sp_unary_back_args a = { .n = elem_size(c, number), .kind = number % SP_UNARIES, .x_format = elem_format(c) };
    bool positive = a.kind == SP_LOG || a.kind == SP_SQRT;
    elem_pair(c, &a.dy, &a.dy_format, &a.dx, &a.dx_format, a.n, -1, 1);
    a.x = case_in_range(c, (enum sp_format)a.x_format, a.n, positive ? 0.1 : -5, 5);
    memcpy(c->args, &a, sizeof a);
}

static void binary_make(struct kernel_case *c, int number)
{
    static const int64_t widths[] = { 1, 3, 16, 37, 768 };
    struct sp_binary_args a = { .n = elem_size(c, number), .alpha = 1.5f, .beta = -0.5f, .kind = number & 1 };
    int64_t width = widths[case_below(c, 5)];
    bool alone = number % 7 == 0, whole = number % 3 == 0;
    a.n = whole || alone ? a.n : (a.n + width - 1) / width * width;
    a.nb = whole ? a.n : alone ? 1 : width;
    elem_pair(c, &a.a, &a.a_format, &a.y, &a.y_format, a.n, -1, 1);
    a.b_format = elem_format(c);
    a.b = alone ? NULL : case_in(c, (enum sp_format)a.b_format, a.nb);
    a.scale = case_coin(c) ? case_in(c, SP_F32, 1) : NULL;
    memcpy(c->args, &a, sizeof a);
}

static const int32_t elem_gates[] = { SP_SILU, SP_GELU, SP_RELU, SP_SIGMOID };

static void glu_make(struct kernel_case *c, int number)
{
    struct sp_glu_args a = { .n = elem_size(c, number), .kind = elem_gates[number % 4] };
    elem_pair(c, &a.gate, &a.x_format, &a.y, &a.y_format, a.n, -6, 6);
    a.up = case_in(c, (enum sp_format)a.x_format, a.n);
    memcpy(c->args, &a, sizeof a);
}

static void glu_back_make(struct kernel_case *c, int number)
{
    struct sp_glu_back_args a = { .n = elem_size(c, number), .kind = elem_gates[number % 4], .dy_format = elem_format(c) };
    elem_pair(c, &a.gate, &a.x_format, &a.dgate, &a.dx_format, a.n, -6, 6);
    a.dy = case_in(c, (enum sp_format)a.dy_format, a.n);
    a.up = case_in(c, (enum sp_format)a.x_format, a.n);
    a.dup = case_out(c, (enum sp_format)a.dx_format, a.n);
    memcpy(c->args, &a, sizeof a);
}

static void dropout_make(struct kernel_case *c, int number)
{
    struct sp_dropout_args a = { .n = elem_size(c, number), .key = sp_random_key(1, "dropout") + (uint64_t)number, .p = 0.3f };
    elem_pair(c, &a.x, &a.x_format, &a.y, &a.y_format, a.n, -1, 1);
    a.counter = number % 5 ? case_ids(c, 1, 0, 1 << 30) : NULL;
    a.p = number == 1 ? 0 : number == 2 ? 1 : a.p;
    memcpy(c->args, &a, sizeof a);
}

static void fill_make(struct kernel_case *c, int number)
{
    struct sp_fill_args a = { .n = number % 8 == 7 ? 70000 : elem_size(c, number), .value = -2.5f };
    a.y = case_out(c, SP_F32, a.n);
    memcpy(c->args, &a, sizeof a);
}

/* ---- rows ---- */

static void norm_make(struct kernel_case *c, int number)
{
    struct sp_norm_args a = { .m = case_between(c, 1, number % 4 ? 20 : 140), .n = case_between(c, 1, number % 5 ? 70 : 900),
                              .eps = 1e-5f, .layer = number & 1, .y_format = elem_format(c) };
    a.x = case_in_range(c, SP_F32, a.m * a.n, -1, 3);
    a.gain = case_in(c, SP_F32, a.n);
    a.bias = case_coin(c) ? case_in(c, SP_F32, a.n) : NULL;
    a.y = case_out(c, (enum sp_format)a.y_format, a.m * a.n);
    a.stat = case_coin(c) ? case_out(c, SP_F32, 2 * a.m) : NULL;
    memcpy(c->args, &a, sizeof a);
}

/* An accumulator: none, apart, or the result itself. */
static float *elem_acc(struct kernel_case *c, const float **acc, int64_t n)
{
    int64_t how = case_below(c, 3);
    float *to = how == 2 ? case_inout(c, SP_F32, n, -1, 1) : case_out(c, SP_F32, n);
    *acc = how == 0 ? NULL : how == 1 ? case_in(c, SP_F32, n) : to;
    return to;
}

static void norm_back_make(struct kernel_case *c, int number)
{
    struct sp_norm_back_args a = { .m = case_between(c, 1, number % 4 ? 20 : 200), .n = case_between(c, 1, number % 5 ? 70 : 900),
                                   .layer = number & 1, .dy_format = elem_format(c) };
    a.dy = case_in(c, (enum sp_format)a.dy_format, a.m * a.n);
    a.x = case_in(c, SP_F32, a.m * a.n);
    a.gain = case_in(c, SP_F32, a.n);
    a.stat = case_in_range(c, SP_F32, 2 * a.m, 0.1, 1);
    a.dx = elem_acc(c, &a.dx_acc, a.m * a.n);
    a.dgain = elem_acc(c, &a.dgain_acc, a.n);
    if (case_coin(c))
        a.dbias = elem_acc(c, &a.dbias_acc, a.n);
    a.work = case_work(c, (a.m + SP_NORM_ROWS - 1) / SP_NORM_ROWS * 2 * a.n * 4);
    memcpy(c->args, &a, sizeof a);
}

static void softmax_make(struct kernel_case *c, int number)
{
    struct sp_softmax_args a = { .m = case_between(c, 1, 40), .n = case_between(c, 1, number % 5 ? 70 : 2000), .scale = 2 };
    a.y = number % 3 ? case_out(c, SP_F32, a.m * a.n) : case_inout(c, SP_F32, a.m * a.n, -5, 5);
    a.x = number % 3 ? case_in_range(c, SP_F32, a.m * a.n, -5, 5) : a.y;
    memcpy(c->args, &a, sizeof a);
}

static void softmax_back_make(struct kernel_case *c, int number)
{
    struct sp_softmax_back_args a = { .m = case_between(c, 1, 40), .n = case_between(c, 1, number % 5 ? 70 : 2000), .scale = 0.5f };
    a.dy = case_in(c, SP_F32, a.m * a.n);
    a.y = case_in_range(c, SP_F32, a.m * a.n, 0, 1);
    a.dx = case_out(c, SP_F32, a.m * a.n);
    memcpy(c->args, &a, sizeof a);
}

static void xent_make(struct kernel_case *c, int number)
{
    struct sp_xent_args a = { .m = case_between(c, 1, 30), .n = case_between(c, 1, number % 5 ? 70 : 2000) };
    if (number % 4) {
        elem_pair(c, &a.x, &a.x_format, &a.dx, &a.dx_format, a.m * a.n, -5, 5);
    } else {
        a.x_format = elem_format(c);
        a.x = case_in_range(c, (enum sp_format)a.x_format, a.m * a.n, -5, 5);
    }
    a.target = case_ids(c, a.m, number % 3 ? 0 : -1, (int32_t)a.n + (number % 3 ? 0 : 2));
    a.weight = case_coin(c) ? case_in_range(c, SP_F32, a.m, 0, 1) : NULL;
    a.nll = case_out(c, SP_F32, a.m);
    a.loss = elem_acc(c, &a.loss_acc, 1);
    memcpy(c->args, &a, sizeof a);
}

static void embed_make(struct kernel_case *c, int number)
{
    static const enum sp_format formats[] = { SP_F32, SP_BF16, SP_F32, SP_F16, SP_Q8_0 };
    struct sp_embed_args a = { .m = case_between(c, 1, 150), .n = case_between(c, 1, 90), .rows = case_between(c, 1, 50), .scale = 0.5f };
    a.table_format = formats[number % 5];
    a.n = a.table_format == SP_Q8_0 ? 64 : a.n;
    a.y_format = elem_format(c);
    a.ids = case_ids(c, a.m, number % 3 ? 0 : -2, (int32_t)a.rows + (number % 3 ? 0 : 2));
    a.table = case_in(c, (enum sp_format)a.table_format, a.rows * a.n);
    a.y = case_out(c, (enum sp_format)a.y_format, a.m * a.n);
    memcpy(c->args, &a, sizeof a);
}

static void embed_back_make(struct kernel_case *c, int number)
{
    struct sp_embed_back_args a = { .m = case_between(c, 1, 150), .n = case_between(c, 1, 200), .rows = case_between(c, 1, 50), .scale = 0.5f };
    a.dy_format = elem_format(c);
    a.ids = case_ids(c, a.m, number % 3 ? 0 : -2, (int32_t)a.rows + (number % 3 ? 0 : 2));
    a.dy = case_in(c, (enum sp_format)a.dy_format, a.m * a.n);
    a.dtable = elem_acc(c, &a.acc, a.rows * a.n);
    memcpy(c->args, &a, sizeof a);
}

/* ---- sums and optimizers ---- */

static void sum_rows_make(struct kernel_case *c, int number)
{
    struct sp_sum_rows_args a = { .m = case_between(c, 1, number % 4 ? 50 : 700), .n = case_between(c, 1, 300), .x_format = elem_format(c) };
    a.x = case_in(c, (enum sp_format)a.x_format, a.m * a.n);
    a.y = elem_acc(c, &a.acc, a.n);
    memcpy(c->args, &a, sizeof a);
}

static void sum_make(struct kernel_case *c, int number)
{
    struct sp_sum_args a = { .n = elem_size(c, number), .scale = 0.5f, .kind = number & 1, .x_format = elem_format(c) };
    a.x = case_in_range(c, (enum sp_format)a.x_format, a.n, 0, 2);
    a.y = elem_acc(c, &a.acc, 1);
    a.work = case_work(c, (a.n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK * 8);
    memcpy(c->args, &a, sizeof a);
}

static void adamw_make(struct kernel_case *c, int number)
{
    struct sp_adamw_args a = { .n = elem_size(c, number), .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .decay = 0.1f };
    a.p = case_inout(c, SP_F32, a.n, -1, 1);
    a.grad = case_inout(c, SP_F32, a.n, -1, 1);
    a.m = case_inout(c, SP_F32, a.n, -1, 1);
    a.v = case_inout(c, SP_F32, a.n, 0, 1);
    a.factor = case_coin(c) ? case_in_range(c, SP_F32, 1, 0.1, 1) : NULL;
    a.lr = case_in_range(c, SP_F32, 1, 0.001, 0.1);
    a.step = case_ids(c, 1, 1, 2000);
    memcpy(c->args, &a, sizeof a);
}

static void sgd_make(struct kernel_case *c, int number)
{
    struct sp_sgd_args a = { .n = elem_size(c, number), .momentum = 0.9f, .decay = 0.1f };
    a.p = case_inout(c, SP_F32, a.n, -1, 1);
    a.grad = case_inout(c, SP_F32, a.n, -1, 1);
    a.m = case_coin(c) ? case_inout(c, SP_F32, a.n, -1, 1) : NULL;
    a.factor = case_coin(c) ? case_in_range(c, SP_F32, 1, 0.1, 1) : NULL;
    a.lr = case_in_range(c, SP_F32, 1, 0.001, 0.1);
    memcpy(c->args, &a, sizeof a);
}

static void mse_make(struct kernel_case *c, int number)
{
    struct sp_mse_args a = { .n = elem_size(c, number), .scale = 0.5f };
    a.x = case_in(c, SP_F32, a.n);
    a.y = case_in(c, SP_F32, a.n);
    a.dx = case_coin(c) ? case_out(c, SP_F32, a.n) : NULL;
    a.loss = elem_acc(c, &a.acc, 1);
    a.work = case_work(c, (a.n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK * 8);
    memcpy(c->args, &a, sizeof a);
}

static void clip_make(struct kernel_case *c, int number)
{
    struct sp_clip_args a = { .sumsq = case_in_range(c, SP_F32, 1, 0, 4), .max_norm = case_in_range(c, SP_F32, 1, number ? 0.1 : 0, number ? 3 : 0) };
    a.factor = case_out(c, SP_F32, 1);
    a.norm = case_out(c, SP_F32, 1);
    memcpy(c->args, &a, sizeof a);
}

/* ---- timed: 4096 rows of 768, as in a training step; 1024 rows of a vocabulary ---- */

static const char *const elem_kinds[] = { "relu", "gelu", "gelu_erf", "silu" };

static void unary_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_unary_args a = { .n = 4096 * 768, .kind = number };
    a.x = case_in(c, SP_F32, a.n);
    a.y = case_out(c, SP_F32, a.n);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "%s 3.1M", elem_kinds[number]);
    *flops = (double)a.n;
    *bytes = 8 * (double)a.n;
}

static void binary_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_binary_args a = { .n = 4096 * 768, .nb = number ? 768 : 4096 * 768, .alpha = 1, .beta = 1 };
    a.a = case_in(c, SP_F32, a.n);
    a.b = case_in(c, SP_F32, a.nb);
    a.y = case_out(c, SP_F32, a.n);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, number ? "add [4096,768] [768]" : "add 3.1M");
    *flops = (double)a.n;
    *bytes = 8 * (double)a.n + 4 * (double)a.nb;
}

static void dropout_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_dropout_args a = { .n = 4096 * 768, .key = (uint64_t)number + 1, .p = 0.1f };
    a.x = case_in(c, SP_F32, a.n);
    a.y = case_out(c, SP_F32, a.n);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "3.1M");
    *flops = (double)a.n;
    *bytes = 8 * (double)a.n;
}

static void norm_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_norm_args a = { .m = 4096, .n = 768, .eps = 1e-5f, .layer = number };
    a.x = case_in(c, SP_F32, a.m * a.n);
    a.gain = case_in(c, SP_F32, a.n);
    a.y = case_out(c, SP_F32, a.m * a.n);
    a.stat = case_out(c, SP_F32, 2 * a.m);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "%s [4096,768]", number ? "layer" : "rms");
    *flops = 4 * (double)(a.m * a.n);
    *bytes = 8 * (double)(a.m * a.n);
}

static void norm_back_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_norm_back_args a = { .m = 4096, .n = 768, .layer = number };
    a.dy = case_in(c, SP_F32, a.m * a.n);
    a.x = case_in(c, SP_F32, a.m * a.n);
    a.gain = case_in(c, SP_F32, a.n);
    a.stat = case_in_range(c, SP_F32, 2 * a.m, 0.1, 1);
    a.dx = case_out(c, SP_F32, a.m * a.n);
    a.dgain = case_out(c, SP_F32, a.n);
    a.work = case_work(c, a.m / SP_NORM_ROWS * 2 * a.n * 4);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "%s [4096,768]", number ? "layer" : "rms");
    *flops = 11 * (double)(a.m * a.n);
    *bytes = 12 * (double)(a.m * a.n);
}

static void xent_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_xent_args a = { .m = number ? 256 : 4096, .n = number ? 32000 : 1024 };
    a.x = case_in_range(c, SP_F32, a.m * a.n, -5, 5);
    a.dx = case_out(c, SP_F32, a.m * a.n);
    a.target = case_ids(c, a.m, 0, (int32_t)a.n);
    a.nll = case_out(c, SP_F32, a.m);
    a.loss = case_out(c, SP_F32, 1);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "[%lld,%lld]", (long long)a.m, (long long)a.n);
    *flops = 5 * (double)(a.m * a.n);
    *bytes = 8 * (double)(a.m * a.n);
}

static void sum_rows_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_sum_rows_args a = { .m = 4096, .n = number ? 768 : 2304 };
    a.x = case_in(c, SP_F32, a.m * a.n);
    a.y = case_out(c, SP_F32, a.n);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "[4096,%lld]", (long long)a.n);
    *flops = (double)(a.m * a.n);
    *bytes = 4 * (double)(a.m * a.n);
}

static void sum_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_sum_args a = { .n = 10000000, .scale = 1, .kind = 1 };
    a.x = case_in(c, SP_F32, a.n);
    a.y = case_out(c, SP_F32, 1);
    a.work = case_work(c, (a.n + SP_SUM_BLOCK - 1) / SP_SUM_BLOCK * 8);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "squares of 10M");
    *flops = 2 * (double)a.n;
    *bytes = 4 * (double)a.n;
    (void)number;
}

static void adamw_bench(struct kernel_case *c, int number, char name[64], double *flops, double *bytes)
{
    struct sp_adamw_args a = { .n = 5000000, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .decay = 0.1f };
    a.p = case_inout(c, SP_F32, a.n, -1, 1);
    a.grad = case_inout(c, SP_F32, a.n, -1, 1);
    a.m = case_inout(c, SP_F32, a.n, -1, 1);
    a.v = case_inout(c, SP_F32, a.n, 0, 1);
    a.lr = case_in_range(c, SP_F32, 1, 0.001, 0.1);
    a.step = case_ids(c, 1, 1, 2000);
    memcpy(c->args, &a, sizeof a);
    snprintf(name, 64, "5M");
    *flops = 14 * (double)a.n;
    *bytes = 32 * (double)a.n;
    (void)number;
}

static const struct kernel_cases kernel_cases_elem[] = {
    { &sp_kernel_unary, 88, unary_make, 4, unary_bench },
    { &sp_kernel_unary_back, 88, unary_back_make },
    { &sp_kernel_binary, 64, binary_make, 2, binary_bench },
    { &sp_kernel_glu, 32, glu_make },
    { &sp_kernel_glu_back, 32, glu_back_make },
    { &sp_kernel_dropout, 24, dropout_make, 1, dropout_bench },
    { &sp_kernel_fill, 16, fill_make },
    { &sp_kernel_norm, 40, norm_make, 2, norm_bench },
    { &sp_kernel_norm_back, 40, norm_back_make, 2, norm_back_bench },
    { &sp_kernel_softmax, 20, softmax_make },
    { &sp_kernel_softmax_back, 20, softmax_back_make },
    { &sp_kernel_xent, 48, xent_make, 2, xent_bench },
    { &sp_kernel_embed, 30, embed_make },
    { &sp_kernel_embed_back, 24, embed_back_make },
    { &sp_kernel_sum_rows, 32, sum_rows_make, 2, sum_rows_bench },
    { &sp_kernel_sum, 24, sum_make, 1, sum_bench },
    { &sp_kernel_clip, 8, clip_make },
    { &sp_kernel_adamw, 16, adamw_make, 1, adamw_bench },
    { &sp_kernel_sgd, 16, sgd_make },
    { &sp_kernel_mse, 16, mse_make },
    { NULL },
};
