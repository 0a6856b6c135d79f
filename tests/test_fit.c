/* tests/test_fit.c - a file whose gains and scales were disturbed by known factors, fitted to the one that it was: they
 * come back; and a file that is its own original stays as it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bits/fit.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 40, CONTEXT = 16, WINDOWS = 32 };
static const char config[] = "{\"model_type\": \"llama\", \"vocab_size\": 40, \"hidden_size\": 64, \"num_hidden_layers\": 1, \"num_attention_heads\": 4, "
                             "\"num_key_value_heads\": 2, \"intermediate_size\": 96, \"max_position_embeddings\": 16, \"initializer_range\": 0.3}";
static const char gain[] = "model.layers.0.post_attention_layernorm.weight", down[] = "model.layers.0.mlp.down_proj.weight",
                  query[] = "model.layers.0.self_attn.q_proj.weight";

static struct sp_err err;
static struct sp_machine machine;
static int32_t ids[WINDOWS * CONTEXT];
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

static double factor(int i)
{
    return 1 + 0.2 * ((i * 7 % 11) / 10.0 - 0.5);
}

/* exact.gguf with what a tensor is scaled by disturbed. */
static void disturb(const char *to, const char *gains, const char *scales)
{
    struct sp_weights w;
    OK(sp_weights_open(&w, in("exact.gguf"), &err));
    unsigned char *image = sp_alloc(w.bin.bytes);
    assert_non_null(image);
    OK(sp_map_copy(&w.bin, 0, w.bin.bytes, image, &err));
    const struct sp_tensor *g = gains ? sp_weights_find(&w, gains) : NULL, *s = scales ? sp_weights_find(&w, scales) : NULL;
    for (int i = 0; g && i < g->dim[0]; i++) {
        float v;
        memcpy(&v, image + g->at + 4 * i, 4);
        v *= (float)factor(i);
        memcpy(image + g->at + 4 * i, &v, 4);
    }
    for (int i = 0; s && (uint64_t)i < s->bytes / 18; i++) {
        unsigned char *b = image + s->at + 18 * i;
        fit_scale_put(SP_Q4_0, b, 0, fit_scale(SP_Q4_0, b, 0) * (float)factor(i));
    }
    OK(sp_write_file(in(to), image, w.bin.bytes, &err));
    sp_free(image);
    sp_weights_close(&w);
}

static struct sp_fitted fit(const char *name, int what, int64_t steps)
{
    struct sp_weights original, student;
    struct sp_windows windows = { ids, WINDOWS, CONTEXT, -1 };
    struct sp_fit o = { .what = what, .steps = steps, .rate = 5e-3 };
    struct sp_fitted r;
    OK(sp_weights_open(&original, in("exact.gguf"), &err));
    OK(sp_weights_open(&student, in(name), &err));
    OK(sp_bits_fit(&original, &student, &windows, &o, in("fitted.gguf"), &machine, NULL, NULL, &r, &err));
    sp_weights_close(&student);
    sp_weights_close(&original);
    return r;
}

/* Root mean square of the difference from the original, of that of the original. */
static double off(const char *file, const char *name)
{
    struct sp_weights a, b;
    static float x[96 * 64], y[96 * 64];
    double sum = 0, all = 0;
    OK(sp_weights_open(&a, in("exact.gguf"), &err));
    OK(sp_weights_open(&b, in(file), &err));
    const struct sp_tensor *t = sp_weights_find(&a, name);
    OK(sp_tensor_read(t, SP_F32, x, &err));
    OK(sp_tensor_read(sp_weights_find(&b, name), SP_F32, y, &err));
    for (int i = 0; i < t->dim[0] * (t->n > 1 ? t->dim[1] : 1); i++) {
        sum += pow((double)x[i] - (double)y[i], 2);
        all += pow((double)x[i], 2);
    }
    sp_weights_close(&a);
    sp_weights_close(&b);
    return sqrt(sum / all);
}

static void gains_come_back(void **u)
{
    (void)u;
    disturb("off.gguf", gain, NULL);
    double before = off("off.gguf", gain);
    struct sp_fitted r = fit("off.gguf", SP_FIT_GAINS, 120);
    assert_true(r.best > 0 && r.after < 0.02 * r.before);
    assert_true(before > 0.06 && off("fitted.gguf", gain) < 0.15 * before);
    assert_true(off("fitted.gguf", down) == 0); /* no scale moved */
}

/* q's rows stand in rotary order in the file. */
static void scales_come_back(void **u)
{
    static const char *const of[] = { down, query };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(of); i++) {
        disturb("off.gguf", NULL, of[i]);
        double before = off("off.gguf", of[i]);
        struct sp_fitted r = fit("off.gguf", SP_FIT_GAINS | SP_FIT_SCALES, 160);
    assert_true(r.best > 0 && r.after < 0.1 * r.before);
    assert_true(before > 0.06 && off("fitted.gguf", of[i]) < 0.5 * before);
    }
}

/* Held-out windows say that nothing gets better, and nothing is written. */
static void what_is_right_stays(void **u)
{
    (void)u;
    unlink(in("fitted.gguf"));
    struct sp_fitted r = fit("exact.gguf", SP_FIT_GAINS | SP_FIT_SCALES, 8);
    assert_true(r.best == 0 && r.before < 1e-9 && r.after <= r.before && access(in("fitted.gguf"), F_OK));
}

static void other_models_are_refused(void **u)
{
    struct sp_weights a, b;
    struct sp_windows windows = { ids, WINDOWS, CONTEXT, -1 };
    struct sp_fit o = { .what = SP_FIT_GAINS, .steps = 1 };
    struct sp_fitted r;
    (void)u;
    OK(sp_weights_open(&a, in("exact.gguf"), &err));
    OK(sp_weights_open(&b, in("exact.gguf"), &err));
    b.config.layers = 2;
    assert_int_equal(sp_bits_fit(&a, &b, &windows, &o, in("no.gguf"), &machine, NULL, NULL, &r, &err), SP_SHAPE);
    b.config.layers = 1;
    windows.n = 3;
    assert_int_equal(sp_bits_fit(&a, &b, &windows, &o, in("no.gguf"), &machine, NULL, NULL, &r, &err), SP_USAGE);
    sp_weights_close(&a);
    sp_weights_close(&b);
}

static void export_exact(void)
{
    struct sp_weights w;
    struct sp_export e;
    OK(sp_weights_open(&w, in("hf"), &err));
    OK(sp_export_begin(&e, &w, true, &err));
    for (int i = 0; i < e.n; i++)
        if (e.tensor[i].matrix)
            e.tensor[i].type.format = SP_Q4_0;
    OK(sp_export_write(&e, in("exact.gguf"), "small", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&w);
}

static int setup(void **u)
{
    (void)u;
    sp_machine_portable(&machine);
    machine.features = sp_cpu_features();
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < WINDOWS * CONTEXT; i++)
        ids[i] = (i * 17 + i / 5 * 3 + i / 31) % VOCAB;
    draw_model(in("hf"), config, 5, SP_F32, &machine, NULL, NULL);
    export_exact();
    return 0;
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "exact.gguf", "off.gguf", "fitted.gguf" };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(gains_come_back), cmocka_unit_test(scales_come_back), cmocka_unit_test(what_is_right_stays),
                                        cmocka_unit_test(other_models_are_refused) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
