/* tests/test_elem.c - the mathematics against libm, and the families that work
 * element by element, by rows and in sums against formulas in double: on every
 * row this processor can run.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cost/cost.h"
#include "kernel/embed.h"
#include "kernel/vec.h"

/* ---- mathematics ---- */

/* Every 1999th float from -inf to inf: distance in units in the last place, and monotone. */
static double ulps(float got, double want)
{
    int e;
    if (isnan(want))
        return isnan(got) ? 0 : 1e9;
    if (isinf((float)want))
        return got == (float)want ? 0 : 1e9;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static float float_of(int64_t order)
{
    union sp_word w = { .u = (uint32_t)(order < 0 ? -order : order) };
    return order < 0 ? -w.f : w.f;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static float lane(sp_vf (*f)(sp_vf), float x)
{
    return f(sp_vsplat(x))[SP_W - 1];
}

static void mathematics(void **unused)
{
    static const struct { const char *name; float (*one)(float); sp_vf (*many)(sp_vf); double (*want)(double); double most; } f[] = {
        { "exp", sp_expf, sp_vexp, exp, 1.1 },     { "log", sp_logf, sp_vlog, log, 1.1 },
        { "tanh", sp_tanhf, sp_vtanh, tanh, 1.6 }, { "erf", sp_erff, sp_verf, erf, 1.8 },
        { "sigmoid", sp_sigmoidf, sp_vsigmoid, sigmoid, 2.5 }, { "sqrt", sp_sqrtf, sp_vsqrt, sqrt, 0.5001 },
    };
    (void)unused;
    for (size_t k = 0; k < SP_COUNT(f); k++) {
        float last = -INFINITY;
        for (int64_t i = -0x7f900000; i <= 0x7f900000; i += 1999) {
            float x = float_of(i), y = f[k].one(x);
            double want = f[k].want((double)x);
            if (ulps(y, want) > f[k].most || ulps(lane(f[k].many, x), want) > f[k].most)
                fail_msg("%s(%.9g) is %.9g, a lane %.9g, not %.9g", f[k].name, (double)x, (double)y, (double)lane(f[k].many, x), want);
            if (y < last)
                fail_msg("%s falls at %.9g", f[k].name, (double)x);
            last = isnan(y) ? last : y;
        }
    }
}

static void sine_and_cosine(void **unused)
{
    (void)unused;
    for (double x = -1e6; x < 1e6; x += 33.3717) {
        double s, c;
        sp_sincos(x, &s, &c);
        assert_true(fabs(s - sin(x)) < 1e-15 && fabs(c - cos(x)) < 1e-15);
    }
}

/* The generator of the portable kernels is base's, whose values are the published ones. */
static void philox(void **unused)
{
    (void)unused;
    for (uint64_t i = 0; i < 100; i++) {
        uint32_t a[4], b[4];
        sp_philox(i * 0x9E3779B97F4A7C15u, i << 30, 0, a);
        sp_random_block(i * 0x9E3779B97F4A7C15u, i << 30, b);
        assert_memory_equal(a, b, sizeof a);
    }
}

/* ---- families, on every row ---- */

enum { N = 2048 };
static float a_[N], b_[N], c_[N], d_[N], e_[N], g_[N];
static struct sp_random noise = { .key = 3 };

static void randomize(float *x, int n, double low, double high)
{
    for (int i = 0; i < n; i++)
        x[i] = (float)(low + sp_random_unit(&noise) * (high - low));
}

static bool near(double got, double want, double tolerance)
{
    return fabs(got - want) <= tolerance * (1 + fabs(want));
}

static const struct sp_kernel_row *next_row(const struct sp_kernel_row *r, const void *args)
{
    while (r->needs && ((r->needs & ~sp_cpu_features()) || (r->fits && !r->fits(args))))
        r++;
    return r;
}

/* body for each row r of kernel k, last the portable one */
#define FOR_ROWS(k, args) for (const struct sp_kernel_row *r = next_row((k)->rows, args), *more = r; more; more = r->needs ? r : NULL, r = more ? next_row(r + 1, args) : r)

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
static double gelu_erf(double x)
{
    return 0.5 * x * erfc(-x / sqrt(2));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}

static void activations(void **unused)
{
    static const struct { int32_t kind; double (*want)(double); } f[] = { { SP_GELU, gelu }, { SP_GELU_ERF, gelu_erf }, { SP_SILU, silu } };
    (void)unused;
    randomize(a_, N, -8, 8);
    for (size_t k = 0; k < SP_COUNT(f); k++) {
        struct sp_unary_args u = { .x = a_, .y = b_, .n = N, .kind = f[k].kind };
        FOR_ROWS(&sp_kernel_unary, &u) {
            memset(b_, 0, sizeof b_);
            sp_kernel_run(&sp_kernel_unary, r, &u, NULL, NULL, 0);
            for (int i = 0; i < N; i++)
                assert_true(near((double)b_[i], f[k].want((double)a_[i]), 1e-6));
        }
    }
}

static void normalisation(void **unused)
{
    enum { M = 11, C = 101 };
    (void)unused;
    randomize(a_, M * C, -1, 3);
    randomize(b_, C, -1, 1);
    randomize(c_, C, -1, 1);
    for (int layer = 0; layer < 2; layer++) {
        struct sp_norm_args n = { .x = a_, .gain = b_, .bias = c_, .y = d_, .stat = e_, .m = M, .n = C, .eps = 1e-5f, .layer = layer };
        FOR_ROWS(&sp_kernel_norm, &n) {
            sp_kernel_run(&sp_kernel_norm, r, &n, NULL, NULL, 0);
            for (int i = 0; i < M; i++) {
                double mean = 0, square = 0;
                for (int j = 0; j < C; j++)
                    mean += layer ? (double)a_[i * C + j] / C : 0;
                for (int j = 0; j < C; j++)
                    square += pow((double)a_[i * C + j] - mean, 2) / C;
                for (int j = 0; j < C; j++)
                    assert_true(near((double)d_[i * C + j], ((double)a_[i * C + j] - mean) / sqrt(square + 1e-5) * (double)b_[j] + (double)c_[j], 2e-6));
                assert_true(near((double)e_[2 * i], mean, 1e-6) && near((double)e_[2 * i + 1], 1 / sqrt(square + 1e-5), 1e-6));
            }
        }
    }
}

static void cross_entropy(void **unused)
{
    enum { M = 7, V = 250 };
    int32_t target[M] = { 0, 249, 17, -1, 100, 250, 3 };
    float loss, start = 0.5f;
    (void)unused;
    randomize(a_, M * V, -20, 20);
    randomize(b_, M, 0, 2);
    struct sp_xent_args x = { .x = a_, .target = target, .weight = b_, .loss_acc = &start, .dx = c_, .nll = d_, .loss = &loss, .m = M, .n = V };
    FOR_ROWS(&sp_kernel_xent, &x) {
        double total = 0.5;
        sp_kernel_run(&sp_kernel_xent, r, &x, NULL, NULL, 0);
        for (int i = 0; i < M; i++) {
            double sum = 0;
            bool counts = target[i] >= 0 && target[i] < V;
            for (int j = 0; j < V; j++)
                sum += exp((double)a_[i * V + j]);
            double nll = counts ? log(sum) - (double)a_[i * V + target[i]] : 0;
            total += (double)b_[i] * nll;
            assert_true(near((double)d_[i], nll, 1e-6));
            for (int j = 0; j < V; j++)
                assert_true(near((double)c_[i * V + j], counts ? (double)b_[i] * (exp((double)a_[i * V + j]) / sum - (j == target[i])) : 0, 2e-6));
        }
        assert_true(near((double)loss, total, 1e-6));
    }
}

static void nan_and_infinity_show(void **unused)
{
    int32_t target = 1;
    float loss, nll;
    (void)unused;
    for (int k = 0; k < 40; k++) {
        randomize(a_, 40, -1, 1);
        a_[k] = k & 1 ? NAN : INFINITY;
        struct sp_xent_args x = { .x = a_, .target = &target, .dx = c_, .nll = &nll, .loss = &loss, .m = 1, .n = 40 };
        FOR_ROWS(&sp_kernel_xent, &x) {
            loss = 0;
            sp_kernel_run(&sp_kernel_xent, r, &x, NULL, NULL, 0);
            assert_false(isfinite(loss) && isfinite(c_[0]));
        }
    }
}

/* Ten steps by hand in double (Loshchilov & Hutter 2019, algorithm 2, with the schedule in lr). */
static void adamw(void **unused)
{
    (void)unused;
    struct sp_adamw_args w = { .p = a_, .grad = b_, .m = c_, .v = d_, .n = 37, .beta1 = 0.9f, .beta2 = 0.999f, .eps = 1e-8f, .decay = 0.1f };
    FOR_ROWS(&sp_kernel_adamw, &w) {
        double p[37], m[37] = { 0 }, v[37] = { 0 }, beta1 = (double)0.9f, beta2 = (double)0.999f;
        randomize(a_, 37, -1, 1);
        memset(c_, 0, sizeof c_);
        memset(d_, 0, sizeof d_);
        for (int i = 0; i < 37; i++)
            p[i] = (double)a_[i];
        for (int32_t t = 1; t <= 10; t++) {
            float lr = 0.01f / (float)t, factor = 0.5f;
            randomize(b_, 37, -1, 1);
            for (int i = 0; i < 37; i++) {
                double g = (double)b_[i] * 0.5;
                m[i] = beta1 * m[i] + (1 - beta1) * g;
                v[i] = beta2 * v[i] + (1 - beta2) * g * g;
                p[i] -= (double)lr * (double)0.1f * p[i];
                p[i] -= (double)lr * m[i] / (1 - pow(beta1, t)) / (sqrt(v[i] / (1 - pow(beta2, t))) + 1e-8);
            }
            w.lr = &lr;
            w.step = &t;
            w.factor = &factor;
            sp_kernel_run(&sp_kernel_adamw, r, &w, NULL, NULL, 0);
            for (int i = 0; i < 37; i++)
                assert_true(b_[i] == 0 && near((double)a_[i], p[i], 1e-6) && near((double)c_[i], m[i], 1e-6) && near((double)d_[i], v[i], 1e-6));
        }
    }
}

static void clipping(void **unused)
{
    static const struct { float sumsq, max, factor, norm; } rows[] = { { 4, 1, 0.5f, 2 }, { 4, 3, 1, 2 }, { 4, 0, 1, 2 }, { 0, 1, 1, 0 } };
    float factor, norm, nan = NAN, one = 1;
    (void)unused;
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_clip_args c = { .sumsq = &rows[i].sumsq, .max_norm = &rows[i].max, .factor = &factor, .norm = &norm };
        sp_kernel_run(&sp_kernel_clip, sp_kernel_clip.rows, &c, NULL, NULL, 0);
        assert_true(factor == rows[i].factor && norm == rows[i].norm);
    }
    struct sp_clip_args c = { .sumsq = &nan, .max_norm = &one, .factor = &factor, .norm = &norm };
    sp_kernel_run(&sp_kernel_clip, sp_kernel_clip.rows, &c, NULL, NULL, 0);
    assert_true(isnan(factor) && isnan(norm));
}

/* Within five standard deviations: the share dropped, of neighbours, of the same place at another step and key. */
static void dropout_statistics(void **unused)
{
    enum { COUNT = 1 << 18 };
    float *x = sp_alloc(COUNT * 4), *y[3] = { sp_alloc(COUNT * 4), sp_alloc(COUNT * 4), sp_alloc(COUNT * 4) };
    int32_t step[3] = { 5, 6, 5 };
    (void)unused;
    assert_true(x && y[0] && y[1] && y[2]);
    for (int i = 0; i < COUNT; i++)
        x[i] = 1;
    struct sp_dropout_args d = { .x = x, .n = COUNT, .p = 0.2f };
    FOR_ROWS(&sp_kernel_dropout, &d) {
        for (int k = 0; k < 3; k++) {
            d.key = k == 2 ? 78 : 77;
            d.counter = &step[k];
            d.y = y[k];
            sp_kernel_run(&sp_kernel_dropout, r, &d, NULL, NULL, 0);
        }
        double dropped = 0, both[3] = { 0 }, sum = 0, five = 5 * sqrt(0.04 * 0.96 / COUNT);
        for (int i = 0; i < COUNT; i++) {
            assert_true(y[0][i] == 0 || y[0][i] == 1.25f);
            dropped += y[0][i] == 0;
            sum += (double)y[0][i];
            both[0] += y[0][i] == 0 && y[0][(i + 1) % COUNT] == 0;
            both[1] += y[0][i] == 0 && y[1][i] == 0;
            both[2] += y[0][i] == 0 && y[2][i] == 0;
        }
        assert_true(fabs(dropped / COUNT - 0.2) < 5 * sqrt(0.2 * 0.8 / COUNT));
        assert_true(fabs(sum / COUNT - 1) < 5 * 1.25 * sqrt(0.2 * 0.8 / COUNT));
        for (int k = 0; k < 3; k++)
            assert_true(fabs(both[k] / COUNT - 0.04) < five);
    }
    sp_free(x);
    for (int k = 0; k < 3; k++)
        sp_free(y[k]);
}

/* Sums are made in double: a million of 0.1 beside one large number. */
static void sums(void **unused)
{
    enum { COUNT = 1000001 };
    float *x = sp_alloc(COUNT * 4), y;
    double *work = sp_alloc((COUNT / SP_SUM_BLOCK + 1) * sizeof *work), want[2] = { 0 };
    (void)unused;
    assert_true(x && work);
    for (int i = 0; i < COUNT; i++) {
        x[i] = i == 7 ? 1e6f : 0.1f;
        want[0] += (double)x[i];
        want[1] += (double)x[i] * (double)x[i];
    }
    for (int kind = 0; kind < 2; kind++) {
        struct sp_sum_args s = { .x = x, .y = &y, .work = work, .n = COUNT, .scale = 1, .kind = kind };
        FOR_ROWS(&sp_kernel_sum, &s) {
            sp_kernel_run(&sp_kernel_sum, r, &s, NULL, NULL, 0);
            assert_true(near((double)y, want[kind], 1e-7));
        }
    }
    sp_free(x);
    sp_free(work);
}

/* A table row stored in any format; numbers out of range give zeros; slopes of one number add up. */
static void tables(void **unused)
{
    int32_t ids[4] = { 2, 9, 2, -1 };
    unsigned char table[3 * 64 * 4];
    (void)unused;
    randomize(a_, 192, -1, 1);
    for (int f = SP_F32; f <= SP_Q8_0; f++) {
        sp_formats[f].encode(table, a_, 192);
        sp_formats[f].decode(c_, table, 192);
        struct sp_embed_args e = { .ids = ids, .table = table, .y = b_, .m = 4, .n = 64, .rows = 3, .scale = 2, .table_format = f };
        FOR_ROWS(&sp_kernel_embed, &e) {
            sp_kernel_run(&sp_kernel_embed, r, &e, NULL, NULL, 0);
            for (int j = 0; j < 64; j++)
                assert_true(b_[j] == 2 * c_[128 + j] && b_[64 + j] == 0 && b_[128 + j] == b_[j] && b_[192 + j] == 0);
        }
    }
    struct sp_embed_back_args back = { .ids = ids, .dy = a_, .dtable = g_, .m = 3, .n = 64, .rows = 3, .scale = 1 };
    FOR_ROWS(&sp_kernel_embed_back, &back) {
        memset(g_, 0x7F, sizeof g_);
        sp_kernel_run(&sp_kernel_embed_back, r, &back, NULL, NULL, 0);
        for (int j = 0; j < 64; j++)
            assert_true(g_[j] == 0 && g_[64 + j] == 0 && g_[128 + j] == a_[j] + a_[128 + j]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mathematics),   cmocka_unit_test(sine_and_cosine), cmocka_unit_test(philox),
        cmocka_unit_test(activations),   cmocka_unit_test(normalisation),   cmocka_unit_test(cross_entropy),
        cmocka_unit_test(nan_and_infinity_show), cmocka_unit_test(adamw),   cmocka_unit_test(clipping),
        cmocka_unit_test(dropout_statistics), cmocka_unit_test(sums),       cmocka_unit_test(tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
