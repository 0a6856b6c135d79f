/* tests/test_gguf_peer.c - GGUF files written here mean to llama.cpp what they mean here:
 * logits that llama.cpp gave for these very files.
 *
 * The models are drawn from a seed. llama.cpp (of August 2026, its library, one thread, f32 cache, no flash attention)
 * opened the files and gave the logits after the last token; four of the 96 stand here. Where it takes the activation
 * from a table of half-precision numbers (GELU), it is that much further off.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "infer/infer.h"
#include "model/model.h"
#include "step/step.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

#define SMALL "\"vocab_size\": 96, \"hidden_size\": 64, \"num_hidden_layers\": 4, \"num_attention_heads\": 4, \"intermediate_size\": 96, " \
              "\"max_position_embeddings\": 64, \"eos_token_id\": 2, \"bos_token_id\": 1, \"initializer_range\": 0.15}"

static const int32_t prompt[] = { 1, 5, 17, 33, 60, 2, 94, 8, 13, 21, 34, 55, 89, 3, 7, 11, 19, 44, 71, 90 };

/* logits of tokens 0, 1, 2, 95 */
static const struct { const char *what, *config; double logits[4], tolerance; } models[] = {
    { "llama", "{\"model_type\": \"llama\", \"num_key_value_heads\": 2, " SMALL, { -0.794421, -0.563522, -1.751238, -0.278732 }, 2e-5 },
    { "llama3", "{\"model_type\": \"llama\", \"head_dim\": 32, \"rope_theta\": 10000, \"attention_bias\": true, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}, " SMALL, { -1.194318, -1.188784, -2.389778, -1.565075 }, 2e-5 },
    { "linear", "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, " SMALL, { 1.049111, -1.532179, 0.052472, -0.713477 }, 2e-5 },
    { "yarn", "{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 16}, " SMALL, { 1.205672, -0.647098, -2.487031, 0.654848 }, 2e-5 },
    { "mistral", "{\"model_type\": \"mistral\", \"num_key_value_heads\": 2, " SMALL, { -0.794421, -0.563522, -1.751238, -0.278732 }, 2e-5 },
    { "qwen2", "{\"model_type\": \"qwen2\", " SMALL, { 1.789721, -0.107305, -0.010416, -1.643681 }, 2e-5 },
    { "qwen3", "{\"model_type\": \"qwen3\", \"head_dim\": 32, " SMALL, { -0.136192, 1.364092, 0.937374, 1.603685 }, 2e-5 },
    { "gemma", "{\"model_type\": \"gemma\", \"head_dim\": 32, " SMALL, { 1.231027, -1.055716, -0.603880, 2.261752 }, 2e-3 },
    { "gemma2", "{\"model_type\": \"gemma2\", \"head_dim\": 32, \"query_pre_attn_scalar\": 32, \"sliding_window\": 8, " SMALL, { 1.056644, 1.129192, -1.191605, 1.587554 }, 2e-3 },
    { "gemma3", "{\"model_type\": \"gemma3_text\", \"head_dim\": 32, \"query_pre_attn_scalar\": 32, \"sliding_window\": 8, \"sliding_window_pattern\": 2, " SMALL, { 0.957485, 0.409709, 1.490674, 1.029202 }, 2e-3 },
    { "gpt2", "{\"model_type\": \"gpt2\", " SMALL, { 0.906995, -0.099840, 0.121112, -0.793033 }, 2e-3 },
    { "neox", "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, \"hidden_act\": \"gelu_new\", " SMALL, { -0.091863, -0.174953, 0.270486, 0.066317 }, 2e-3 },
    { "phi", "{\"model_type\": \"phi\", " SMALL, { -2.414888, -0.610474, 1.043497, 2.321481 }, 2e-3 },
    { "starcoder2", "{\"model_type\": \"starcoder2\", " SMALL, { 0.580494, -1.709460, 0.346042, 0.074556 }, 2e-3 },
    { "stablelm", "{\"model_type\": \"stablelm\", " SMALL, { -0.455729, 1.913833, -0.915239, 0.816789 }, 2e-5 },
    { "olmo2", "{\"model_type\": \"olmo2\", " SMALL, { 0.905700, 0.539667, 0.974768, -0.079537 }, 2e-5 },
};

static struct sp_err err;
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

/* Matrices as training begins; vectors moved, so that a gain or bias in the wrong place shows. */
static void draw(const struct sp_model_config *c, const struct sp_job *job, unsigned char *region)
{
    struct sp_random r = { .key = 3 };
    OK(sp_model_init(c, &job->state, region, 5, &err));
    for (int i = 0; i < job->state.n; i++) {
        const struct sp_state_entry *e = &job->state.entry[i];
        float *x = (float *)(void *)(region + e->at);
        for (int64_t k = 0; e->kind == SP_STATE_PARAM && e->type.n == 1 && k < e->type.dim[0]; k++)
            x[k] += 0.3F * (float)sp_random_normal(&r);
    }
}

static void write_model(const char *config)
{
    struct sp_model_config c;
    struct sp_machine m;
    struct sp_job job;
    struct sp_weights w;
    struct sp_export e;
    json_t *j = NULL;
    OK(sp_json_parse(&j, config, strlen(config), "a configuration", &err));
    OK(sp_model_config_parse(&c, j, &err));
    json_decref(j);
    sp_machine_portable(&m);
    OK(sp_step_score(&c, 1, 4, SP_F32, SP_F32, &m, &job, &err));
    unsigned char *region = sp_zalloc((size_t)job.state.bytes + 64, 1);
    assert_non_null(region);
    draw(&c, &job, region);
    OK(sp_model_save(in("hf"), &c, &job.state, region, SP_F32, NULL, 0, &err));
    OK(sp_weights_open(&w, in("hf"), &err));
    OK(sp_export_begin(&e, &w, true, &err));
    OK(sp_export_write(&e, in("a.gguf"), "small", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&w);
    sp_job_clear(&job);
    sp_free(region);
}

static void same_logits(const char *what, const double want[4], double tolerance)
{
    static const int at[4] = { 0, 1, 2, 95 };
    struct sp_serve_shape shape = { .batch = 1, .prefill = 32, .cache = 64, .compute = SP_F32, .stored = SP_F32, .cached = SP_F32 };
    struct sp_machine m;
    struct sp_engine e;
    struct sp_session s;
    sp_machine_portable(&m);
    OK(sp_engine_open(&e, in("a.gguf"), NULL, &shape, &m, NULL, &err));
    sp_session_begin(&s, &e);
    OK(sp_session_feed(&s, prompt, SP_COUNT(prompt), &err));
    for (int i = 0; i < 4; i++)
        if (fabs((double)s.logits[at[i]] - want[i]) > tolerance)
            fail_msg("%s: the logit of token %d is %.6f, llama.cpp's %.6f", what, at[i], (double)s.logits[at[i]], want[i]);
    sp_session_end(&s);
    sp_engine_close(&e);
}

static void logits_are_llama_cpps(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(models); i++) {
        write_model(models[i].config);
        same_logits(models[i].what, models[i].logits, models[i].tolerance);
    }
}

static int setup(void **u)
{
    (void)u;
    return !mkdtemp(folder);
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "a.gguf" };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_are_llama_cpps) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
