/* tests/test_quantize.c - the technique quantize knows the bytes of the file before it is written: for every mix and
 * kinds of models, by their files and by a configuration alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bits/bits.h"
#include "model/model.h"
#include "recipe/recipe.h"
#include "step/step.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

#define SMALL "\"vocab_size\": 96, \"hidden_size\": 64, \"num_hidden_layers\": 8, \"num_attention_heads\": 4, \"intermediate_size\": 96, " \
              "\"max_position_embeddings\": 64, \"eos_token_id\": 2, \"bos_token_id\": 1}"
static const char *const models[] = {
    "{\"model_type\": \"llama\", \"num_key_value_heads\": 1, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
    "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}, " SMALL,
    "{\"model_type\": \"qwen2\", \"tie_word_embeddings\": true, " SMALL,
    "{\"model_type\": \"gemma3_text\", \"head_dim\": 32, " SMALL,
    "{\"model_type\": \"gpt2\", " SMALL,
    "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, " SMALL,
    /* rows that blocks of 256 divide, so that no format gives way to another */
    "{\"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 256, \"num_hidden_layers\": 9, \"num_attention_heads\": 4, \"num_key_value_heads\": 1, "
    "\"intermediate_size\": 256}",
};
static const char *const names[] = { "q2_k", "q3_k_m", "q4_k_s", "q4_k_m", "q5_k_m", "q6_k", "q8_0", "iq4_xs", "q4_0", "q5_1", "f16", "bf16", "mxfp4", "tq2_0" };

static struct sp_err err;
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

static void draw(const char *config)
{
    struct sp_machine m;
    sp_machine_portable(&m);
    draw_model(in("model"), config, 5, SP_F32, &m, NULL, NULL);
}

static const struct sp_technique *technique(void)
{
    const struct sp_technique *const *t = sp_techniques;
    while (*t && strcmp((*t)->name, "quantize"))
        t++;
    assert_non_null(*t);
    return *t;
}

/* Options through the technique's own table. */
static enum sp_status rewrite(const char *model, char *option, struct sp_recipe *r)
{
    const struct sp_technique *t = technique();
    char *word[] = { option };
    void *options = sp_zalloc(1, t->options_bytes);
    struct sp_option_set set = { t->options, options };
    int operands;
    assert_non_null(options);
    sp_option_defaults(&set, 1);
    sp_recipe_defaults(r);
    r->model.path = model;
    enum sp_status st = sp_option_parse(&set, 1, option ? 1 : 0, word, &operands, &err);
    st = st ? st : t->recipe(r, options, &err);
    sp_free(options);
    return st;
}

static double planned_bytes(const char *model, const char *to, int64_t parameters)
{
    char option[64];
    struct sp_recipe r;
    snprintf(option, sizeof option, "--quantize-to=%s", to);
    OK(rewrite(model, option, &r));
    return r.serve.bits * (double)parameters / 8;
}

static int64_t written_bytes(const char *to, int64_t *parameters)
{
    struct sp_weights w;
    struct sp_export e;
    struct stat s;
    *parameters = 0;
    OK(sp_weights_open(&w, in("model"), &err));
    OK(sp_export_begin(&e, &w, true, &err));
    OK(sp_bits_named(&e, to, false, false, &err));
    OK(sp_export_write(&e, in("a.gguf"), "model", NULL, NULL, NULL, &err));
    for (int i = 0; i < e.n; i++)
        *parameters += sp_type_elements(&e.tensor[i].type);
    sp_export_clear(&e);
    sp_weights_close(&w);
    assert_int_equal(stat(in("a.gguf"), &s), 0);
    return s.st_size;
}

static void same(const char *what, const char *to, double planned, int64_t written)
{
    if (!(fabs(planned - (double)written) < 0.01))
        fail_msg("%s in %s: %.2f bytes were foretold, %lld written", what, to, planned, (long long)written);
}

static void bytes_are_known_before(void **u)
{
    int n = 0;
    (void)u;
    for (size_t i = 0; i < SP_COUNT(models); i++) {
        draw(models[i]);
        for (size_t k = 0; k < SP_COUNT(names); k++, n++) {
            int64_t parameters, written = written_bytes(names[k], &parameters);
            same(models[i], names[k], planned_bytes(in("model"), names[k], parameters), written);
            assert_int_equal(rename(in("model/model.safetensors"), in("away")), 0);
            same("a configuration alone", names[k], planned_bytes(in("model"), names[k], parameters), written);
            assert_int_equal(rename(in("away"), in("model/model.safetensors")), 0);
        }
    }
    print_message("%d files\n", n);
}

/* Files as their makers publish them: Llama 2 7B in Q4_K_M is "4.08 GB". */
static void as_published(void **u)
{
    (void)u;
    double bytes = planned_bytes("llama-2-7b", "q4_k_m", 6738415616);
    assert_true(bytes > 4.075e9 && bytes < 4.085e9);
}

static void budgets_and_mistakes(void **u)
{
    static char none[] = "--quantize-to=q9", bits[] = "--quantize-bits=4.5", half[] = "--quantize-size=50%", odd[] = "--quantize-size=50 cups";
    struct sp_recipe r;
    (void)u;
    draw(models[0]);
    OK(rewrite(in("model"), bits, &r));
    assert_true(r.serve.bits == 4.5);
    OK(rewrite(in("model"), half, &r));
    assert_true(fabs(r.serve.bits - 16) < 0.05);
    assert_int_equal(rewrite(in("model"), none, &r), SP_USAGE);
    assert_non_null(strstr(err.what, "q9"));
    assert_non_null(strstr(err.remedy, "q4_k_m"));
    assert_int_equal(rewrite(in("model"), odd, &r), SP_USAGE);
    assert_int_equal(rewrite(in("model"), NULL, &r), SP_USAGE);
    assert_int_equal(rewrite(NULL, bits, &r), SP_USAGE);
    assert_int_equal(rewrite("no-such-model", none, &r), SP_MISSING);
}

static int setup(void **u)
{
    (void)u;
    return !mkdtemp(folder);
}

static int teardown(void **u)
{
    static const char *const made[] = { "model/config.json", "model/model.safetensors", "a.gguf" };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("model")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(bytes_are_known_before), cmocka_unit_test(as_published), cmocka_unit_test(budgets_and_mistakes) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
