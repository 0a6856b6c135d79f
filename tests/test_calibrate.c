/* tests/test_calibrate.c - statistics of a model on a text against what they are made of: the norm of an embedding by hand,
 * and the gradient of a training step, which for a single token is g x'; and files of importance, both forms.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bits/bits.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 40, WIDTH = 64 };
static const char config[] = "{\"model_type\": \"llama\", \"vocab_size\": 40, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                             "\"num_key_value_heads\": 2, \"intermediate_size\": 96, \"max_position_embeddings\": 16, \"initializer_range\": 0.3}";
static const char *const matrices[] = { "model.layers.0.self_attn.v_proj.weight", "model.layers.0.self_attn.o_proj.weight", "model.layers.0.mlp.up_proj.weight",
                                        "model.layers.1.mlp.down_proj.weight",    "lm_head.weight" };
static const int32_t ids[] = { 7, 23, 11, 35, 2, 19 };

static struct sp_err err;
static struct sp_machine machine;
static struct sp_weights weights;
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

static struct sp_bits_stats calibrate(int what, const int32_t *at, int64_t n, int64_t context)
{
    struct sp_windows w = { at, n, context, -1 };
    struct sp_calibration o = { .what = what, .text = "a text" };
    struct sp_bits_stats s;
    OK(sp_bits_calibrate(&weights, &w, &o, &machine, NULL, NULL, &s, &err));
    return s;
}

static bool near(double a, double b, double scale)
{
    return fabs(a - b) <= 2e-5 * scale + 1e-4 * fabs(b);
}

/* What enters the first projections: x times its gain over its root mean square. */
static void inputs_are_the_normed_embedding(void **u)
{
    float table[VOCAB * WIDTH], gain[WIDTH];
    struct sp_bits_stats s = calibrate(SP_BITS_X2, ids, 3, 2);
    const struct sp_bits_matrix *q = sp_bits_find(&s, "model.layers.0.self_attn.q_proj.weight"), *k = sp_bits_find(&s, "model.layers.0.self_attn.k_proj.weight");
    (void)u;
    OK(sp_tensor_read(sp_weights_find(&weights, "model.embed_tokens.weight"), SP_F32, table, &err));
    OK(sp_tensor_read(sp_weights_find(&weights, "model.layers.0.input_layernorm.weight"), SP_F32, gain, &err));
    assert_true(q && k && q->x2 && q->x2 == k->x2 && q->cols == WIDTH && !(q->tokens < 6) && !q->h && !q->g2);
    for (int j = 0; j < WIDTH; j++) {
        double sum = 0;
        for (int t = 0; t < 6; t++) {
            double square = 0;
            for (int i = 0; i < WIDTH; i++)
                square += pow((double)table[ids[t] * WIDTH + i], 2) / WIDTH;
            sum += pow((double)table[ids[t] * WIDTH + j] * (double)gain[j], 2) / (square + weights.config.norm_eps) / 6;
        }
        assert_true(near((double)q->x2[j], sum, 1));
    }
    sp_bits_stats_clear(&s);
}

/* Of one token h is x x'; of several it is their mean, and its diagonal x2. */
static void h_is_the_mean_of_products(void **u)
{
    struct sp_bits_stats one[3], all = calibrate(SP_BITS_H | SP_BITS_X2, ids, 3, 1);
    (void)u;
    for (int t = 0; t < 3; t++)
        one[t] = calibrate(SP_BITS_H, ids + t, 1, 1);
    for (size_t m = 0; m < SP_COUNT(matrices); m++) {
        const struct sp_bits_matrix *s = sp_bits_find(&all, matrices[m]);
        assert_true(s && s->h && s->x2);
        for (int64_t i = 0; i < s->cols; i++)
            for (int64_t j = 0; j < s->cols; j++) {
                double sum = 0;
                for (int t = 0; t < 3; t++) {
                    const float *h = sp_bits_find(&one[t], matrices[m])->h;
                    double x2 = (double)h[i * s->cols + i] * (double)h[j * s->cols + j];
                    assert_true(near(pow((double)h[i * s->cols + j], 2), x2, x2));
                    sum += (double)h[i * s->cols + j] / 3;
                }
                assert_true(near((double)s->h[i * s->cols + j], sum, 1));
            }
        for (int64_t j = 0; j < s->cols; j++)
            assert_true(near((double)s->x2[j], (double)s->h[j * s->cols + j], 1));
    }
    for (int t = 0; t < 3; t++)
        sp_bits_stats_clear(&one[t]);
    sp_bits_stats_clear(&all);
}

/* The gradient of every parameter, of two tokens of which the first alone is scored. */
static void train(struct sp_job *job, struct sp_live *l)
{
    struct sp_train_shape shape = { .batch = 1, .tokens = 2, .score_batch = -1, .compute = SP_F32, .adamw = { 0.9, 0.95, 1e-8, 0, NULL, 0, 0 } };
    OK(sp_step_train(&weights.config, &shape, &machine, NULL, NULL, job, &err));
    OK(sp_live_new(l, job, NULL, false, &err));
    OK(sp_live_fill(l, &weights, NULL, NULL, &err));
    memcpy(sp_live_at(l, SP_RUN_MICRO, "ids"), ids, 2 * sizeof *ids);
    memcpy(sp_live_at(l, SP_RUN_MICRO, "targets"), (int32_t[]){ ids[1], 0 }, 2 * sizeof *ids);
    memcpy(sp_live_at(l, SP_RUN_MICRO, "weights"), (float[]){ 1, 0 }, 2 * sizeof(float));
    sp_live_run(l, SP_RUN_MICRO);
}

/* Then it is g x' with the x of that token, whose squares are g2 and, h by h, the statistics. */
static void gradients_are_those_of_training(void **u)
{
    struct sp_job job;
    struct sp_live l;
    struct sp_bits_stats x = calibrate(SP_BITS_H, ids, 1, 1), g = calibrate(SP_BITS_G2 | SP_BITS_XG | SP_BITS_HG, ids, 1, 2);
    (void)u;
    train(&job, &l);
    for (size_t m = 0; m < SP_COUNT(matrices); m++) {
        char name[80];
        const struct sp_bits_matrix *a = sp_bits_find(&x, matrices[m]), *b = sp_bits_find(&g, matrices[m]);
        snprintf(name, sizeof name, "grad/%s", matrices[m]);
        const float *dw = sp_live_state(&l, name);
        double most = 0;
        assert_true(a && b && a->h && b->g2 && b->xg && b->h && dw);
        for (int64_t i = 0; i < a->rows * a->cols; i++)
            most = pow((double)dw[i], 2) > most ? pow((double)dw[i], 2) : most;
        assert_true(most > 0);
        for (int64_t i = 0; i < a->rows; i++)
            for (int64_t j = 0; j < a->cols; j++)
                assert_true(near((double)b->g2[i] * (double)a->h[j * a->cols + j], pow((double)dw[i * a->cols + j], 2), most));
        for (int64_t i = 0; i < a->cols; i++) {
            assert_true(near((double)b->xg[i], (double)a->h[i * a->cols + i], 1));
            for (int64_t j = 0; j < a->cols; j++)
                assert_true(near((double)b->h[i * a->cols + j], (double)a->h[i * a->cols + j], 1));
        }
    }
    sp_live_clear(&l);
    sp_job_clear(&job);
    sp_bits_stats_clear(&x);
    sp_bits_stats_clear(&g);
}

static void what_cannot_be_is_said(void **u)
{
    static const int32_t bad[] = { 1, VOCAB };
    struct sp_windows w = { bad, 1, 2, -1 };
    struct sp_calibration o = { .what = SP_BITS_X2 };
    struct sp_bits_stats s;
    (void)u;
    assert_int_equal(sp_bits_calibrate(&weights, &w, &o, &machine, NULL, NULL, &s, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "token 40"));
    w = (struct sp_windows){ ids, 0, 2, -1 };
    assert_int_equal(sp_bits_calibrate(&weights, &w, &o, &machine, NULL, NULL, &s, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "0 windows"));
    w.n = 1;
    o.what = SP_BITS_H | SP_BITS_HG;
    assert_int_equal(sp_bits_calibrate(&weights, &w, &o, &machine, NULL, NULL, &s, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "weighted"));
}

/* ---- files of importance ---- */

static void same(const struct sp_bits_stats *a, const struct sp_bits_stats *b, const char *name)
{
    const struct sp_bits_matrix *x = sp_bits_find(a, name), *y = sp_bits_find(b, name);
    assert_true(x && y && x->cols == y->cols && x->rows == y->rows && x->layer == y->layer);
    for (int64_t j = 0; j < x->cols; j++)
        assert_true(near((double)y->x2[j], (double)x->x2[j], 0));
}

static void gguf_form_comes_back(void **u)
{
    struct sp_bits_stats s = calibrate(SP_BITS_X2, ids, 3, 2), back;
    (void)u;
    OK(sp_imatrix_write(&s, &weights, in("a.gguf"), &err));
    OK(sp_imatrix_read(&back, in("a.gguf"), &weights, &err));
    assert_true(back.n == s.n && back.windows == 3 && back.context == 2 && !strcmp(back.text, "a text"));
    for (size_t m = 0; m < SP_COUNT(matrices); m++)
        same(&s, &back, matrices[m]);
    sp_bits_stats_clear(&s);
    sp_bits_stats_clear(&back);
}

/* One entry as llama-imatrix wrote them before July 2025: the sum over 2 calls, mean square times calls. */
static size_t older(unsigned char *to, int32_t cols)
{
    static const char name[] = "blk.1.ffn_down.weight", text[] = "book";
    int32_t words[] = { 1, sizeof name - 1 }, calls[] = { 2, cols }, end[] = { 5, sizeof text - 1 };
    unsigned char *p = to;
    memcpy(p, words, sizeof words), p += sizeof words;
    memcpy(p, name, sizeof name - 1), p += sizeof name - 1;
    memcpy(p, calls, sizeof calls), p += sizeof calls;
    for (int32_t j = 0; j < cols; j++, p += 4)
        memcpy(p, &(float){ 2 * (float)(j + 1) }, 4);
    memcpy(p, end, sizeof end), p += sizeof end;
    memcpy(p, text, sizeof text - 1), p += sizeof text - 1;
    return (size_t)(p - to);
}

static void older_form_is_read(void **u)
{
    unsigned char file[1024];
    struct sp_bits_stats s;
    size_t n = older(file, 96);
    (void)u;
    OK(sp_write_file(in("old.dat"), file, n, &err));
    OK(sp_imatrix_read(&s, in("old.dat"), &weights, &err));
    assert_true(s.n == 1 && s.windows == 5 && !strcmp(s.text, "book") && !strcmp(s.matrix[0].name, matrices[3]) && s.matrix[0].layer == 1);
    for (int j = 0; j < 96; j++)
        assert_true(near((double)s.matrix[0].x2[j], j + 1, 0));
    sp_bits_stats_clear(&s);
    for (size_t cut = 1; cut < n; cut++) { /* whole without the text's part, or without its name too */
        if (cut == n - 4 - 8 || cut == n - 4 - 4)
            continue;
        OK(sp_write_file(in("old.dat"), file, cut, &err));
        assert_int_not_equal(sp_imatrix_read(&s, in("old.dat"), &weights, &err), SP_OK);
    }
    OK(sp_write_file(in("old.dat"), file, older(file, 95), &err));
    assert_int_equal(sp_imatrix_read(&s, in("old.dat"), &weights, &err), SP_SHAPE);
    assert_non_null(strstr(err.what, "95 numbers"));
}

/* ---- a model ---- */

static int setup(void **u)
{
    (void)u;
    sp_machine_portable(&machine);
    machine.features = sp_cpu_features();
    assert_non_null(mkdtemp(folder));
    draw_model(in("hf"), config, 5, SP_F32, &machine, NULL, NULL);
    OK(sp_weights_open(&weights, in("hf"), &err));
    return 0;
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "a.gguf", "old.dat" };
    (void)u;
    sp_weights_close(&weights);
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(inputs_are_the_normed_embedding), cmocka_unit_test(h_is_the_mean_of_products),
                                        cmocka_unit_test(gradients_are_those_of_training), cmocka_unit_test(what_cannot_be_is_said),
                                        cmocka_unit_test(gguf_form_comes_back), cmocka_unit_test(older_form_is_read) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
