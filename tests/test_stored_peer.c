/* tests/test_stored_peer.c - files in blocks mean to llama.cpp what they mean here, and running from their blocks loses
 * no more here than there.
 *
 * Blocks are drawn at random, so that every code and scale occurs and no way of quantizing enters; other tensors are drawn
 * as training begins.  llama.cpp (of August 2026, its library, one thread, f32 cache, no flash attention) gave two things
 * for every file: the logits after the last token from its own F32 copy of the file (llama-quantize --allow-requantize
 * FILE COPY F32), of which four of the 96 stand here; and how far its logits from the blocks are off those (root of the
 * mean square over that of the logits): what it loses by making activations bytes, or half-precision numbers for F16.
 * Where it takes the activation from a table of half-precision numbers (GELU), its copy is that much further off.
 * SPARSAM_KEEP=FOLDER keeps the files, to ask it again.
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
#include "infer/infer.h"
#include "meter/meter.h"
#include "model/model.h"
#include "step/step.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 96, WHOLE = 17 /* tokens of the prompt that are fed at once */, TENSOR_MAX = 1 << 20, SEED = 5 };
#define SMALL "\"vocab_size\": 96, \"hidden_size\": 256, \"num_attention_heads\": 4, \"intermediate_size\": 256, \"max_position_embeddings\": 64, " \
              "\"eos_token_id\": 2, \"bos_token_id\": 1, \"initializer_range\": 0.0625"
#define TWO "\"num_hidden_layers\": 2, " SMALL "}"

static const int32_t prompt[] = { 1, 5, 17, 33, 60, 2, 94, 8, 13, 21, 34, 55, 89, 3, 7, 11, 19, 44, 71, 90 };

static const struct model { const char *name, *config; double tolerance; } models[] = {
    { "llama3", "{\"model_type\": \"llama\", \"num_key_value_heads\": 2, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 1, "
                "\"high_freq_factor\": 4, \"original_max_position_embeddings\": 64}, " TWO, 5e-5 },
    { "yarn", "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, "
              "\"original_max_position_embeddings\": 16}, " TWO, 5e-5 },
    { "mistral", "{\"model_type\": \"mistral\", \"num_key_value_heads\": 1, " TWO, 5e-5 },
    { "smollm3", "{\"model_type\": \"smollm3\", \"num_key_value_heads\": 2, \"num_hidden_layers\": 4, " SMALL "}", 5e-5 },
    { "qwen2", "{\"model_type\": \"qwen2\", \"num_key_value_heads\": 2, " TWO, 5e-5 },
    { "qwen3", "{\"model_type\": \"qwen3\", \"head_dim\": 64, \"num_key_value_heads\": 2, " TWO, 5e-5 },
    { "gemma", "{\"model_type\": \"gemma\", \"head_dim\": 64, \"num_key_value_heads\": 1, " TWO, 3e-3 },
    { "gemma2", "{\"model_type\": \"gemma2\", \"head_dim\": 32, \"query_pre_attn_scalar\": 32, \"sliding_window\": 8, " TWO, 3e-3 },
    { "gemma3", "{\"model_type\": \"gemma3_text\", \"head_dim\": 64, \"query_pre_attn_scalar\": 64, \"sliding_window\": 8, \"sliding_window_pattern\": 2, " TWO, 3e-3 },
    { "gpt2", "{\"model_type\": \"gpt2\", " TWO, 3e-3 },
    { "neox", "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, \"hidden_act\": \"gelu_new\", " TWO, 3e-3 },
};

/* logits of tokens 0, 1, 2, 95; how far llama.cpp's from blocks are off */
static const struct golden { const char *model, *to; double logits[4], theirs; } golden[] = {
    { "llama3", "f16", { 1.267078, 0.609408, 1.415430, -0.300892 }, 0.000737 },
    { "llama3", "q8_0", { 0.487683, -0.735398, 1.853476, -0.432852 }, 0.023853 },
    { "llama3", "q4_0", { -0.328890, -0.078239, -2.331702, 0.111840 }, 0.008608 },
    { "llama3", "q4_k_m", { -0.354924, -0.747926, -1.095312, 0.834388 }, 0.014906 },
    { "yarn", "f16", { -1.144690, -0.426077, 1.502908, -1.115203 }, 0.000906 },
    { "yarn", "q8_0", { 1.161714, 0.634998, 0.025817, 0.274436 }, 0.020801 },
    { "yarn", "q4_0", { -0.384958, 0.129349, 1.868083, -0.409815 }, 0.022708 },
    { "yarn", "q4_k_m", { 2.685228, -1.464293, 0.350114, -0.509263 }, 0.021949 },
    { "mistral", "f16", { -0.715454, 0.359249, 1.495246, -0.259084 }, 0.000921 },
    { "mistral", "q8_0", { -1.500199, 0.631285, -0.200911, 0.206263 }, 0.025291 },
    { "mistral", "q4_0", { -0.108613, -0.086459, -1.693064, 0.078982 }, 0.007272 },
    { "mistral", "q4_k_m", { 0.684827, -1.354053, 2.434416, 2.480351 }, 0.018800 },
    { "smollm3", "f16", { -1.439883, -0.613127, 0.433257, 1.730312 }, 0.000605 },
    { "smollm3", "q8_0", { 0.844027, 1.217348, -0.094638, -1.567775 }, 0.023482 },
    { "smollm3", "q4_0", { 0.354996, -0.205551, 0.364257, -0.487023 }, 0.007380 },
    { "smollm3", "q4_k_m", { -1.491229, -0.532980, 0.039138, 0.152146 }, 0.019766 },
    { "qwen2", "f16", { -0.100937, 0.794504, 1.931709, -0.139247 }, 0.000576 },
    { "qwen2", "q8_0", { -1.005485, -1.304614, 0.017214, 0.690434 }, 0.024132 },
    { "qwen2", "q4_0", { -0.655652, -0.473933, -0.174294, 0.294034 }, 0.007013 },
    { "qwen2", "q4_k_m", { 0.464883, -0.056271, -1.228723, -1.732222 }, 0.014285 },
    { "qwen3", "f16", { 0.847162, 1.230036, 1.630018, 0.277127 }, 0.000878 },
    { "qwen3", "q8_0", { -0.174569, -0.746170, -0.364775, -0.294486 }, 0.017932 },
    { "qwen3", "q4_0", { -0.796599, -0.385774, -0.395873, 0.225568 }, 0.007689 },
    { "qwen3", "q4_k_m", { -0.596046, -0.716609, -0.251895, -0.353731 }, 0.016058 },
    { "gemma", "f16", { -0.474800, -0.263871, 0.524189, 0.673544 }, 0.000176 },
    { "gemma", "q8_0", { 0.810416, 0.233424, -0.282703, -0.085029 }, 0.008818 },
    { "gemma", "q4_0", { 1.422894, 0.360472, 0.206982, 1.716623 }, 0.007700 },
    { "gemma", "q4_k_m", { 3.198887, -0.245643, 0.774640, 1.021207 }, 0.016083 },
    { "gemma2", "f16", { 0.349743, -1.356633, 1.477186, 1.471379 }, 0.000394 },
    { "gemma2", "q8_0", { 1.695188, 1.094872, -0.281535, 0.544344 }, 0.010671 },
    { "gemma2", "q4_0", { 0.504867, 0.867890, 0.801180, 1.451570 }, 0.016193 },
    { "gemma2", "q4_k_m", { -0.495571, 0.703670, 0.085424, 0.493591 }, 0.013460 },
    { "gemma3", "f16", { -0.298737, 0.404099, 1.479222, -0.630286 }, 0.000383 },
    { "gemma3", "q8_0", { 1.124592, -1.358404, 1.201498, -0.856997 }, 0.012646 },
    { "gemma3", "q4_0", { 0.376424, -1.047796, 1.216550, 0.801751 }, 0.007471 },
    { "gemma3", "q4_k_m", { 2.850808, 0.265841, -0.140126, 1.552331 }, 0.014961 },
    { "gpt2", "f16", { 0.387738, 0.057584, -1.425614, 0.610082 }, 0.000378 },
    { "gpt2", "q8_0", { -2.104032, -2.384022, 0.049558, 0.601813 }, 0.011914 },
    { "gpt2", "q4_0", { -0.015131, -0.753179, 0.187787, 0.047381 }, 0.010901 },
    { "gpt2", "q4_k_m", { -1.128667, -0.443640, -0.722103, 0.062481 }, 0.008634 },
    { "neox", "f16", { 0.191610, 0.032726, 0.304993, -0.086858 }, 0.000456 },
    { "neox", "q8_0", { -1.063250, 0.411678, 0.281275, -2.381433 }, 0.011160 },
    { "neox", "q4_0", { 0.167369, -0.894420, -2.054282, 0.109808 }, 0.011007 },
    { "neox", "q4_k_m", { 0.112532, 0.749081, -1.622762, -0.750170 }, 0.009949 },
    { "mistral", "q2_k", { 0.688708, -0.566519, -0.275944, -0.395090 }, 0.014981 },
    { "mistral", "q3_k_m", { -0.371119, 1.458574, 0.097160, -1.754617 }, 0.047434 },
    { "mistral", "q5_k_m", { 0.044602, -0.003651, -0.182797, 1.630515 }, 0.009843 },
    { "mistral", "q6_k", { -0.657329, 0.329713, -0.612876, 0.814662 }, 0.030912 },
    { "mistral", "q4_1", { 0.575241, 0.812807, 0.484473, 1.795602 }, 0.009030 },
    { "mistral", "q5_0", { -0.803678, 1.223393, 1.048054, -1.549852 }, 0.016061 },
    { "mistral", "q5_1", { -0.751397, 0.074741, -1.551342, 0.695800 }, 0.013881 },
    { "mistral", "iq4_nl", { 0.512887, -0.047827, -0.577045, 1.162929 }, 0.014281 },
    { "mistral", "iq4_xs", { 0.954910, 0.130709, -0.804548, 1.413997 }, 0.039168 },
    { "mistral", "mxfp4", { -0.606615, -1.370875, -1.977281, 0.046507 }, 0.020742 },
    { "mistral", "tq1_0", { -0.613148, -1.220183, 1.643606, -1.546896 }, 0.025507 },
    { "mistral", "tq2_0", { 5.809379, 8.603750, 6.616972, 6.797915 }, 0.000652 },
    { "mistral", "bf16", { -0.726391, 0.360613, 1.507011, -0.267933 }, 0.005499 },
};

/* Where f16 scales stand in a block, and how large they are drawn, so that numbers are about a sixteenth. */
static const struct { enum sp_format f; int at[2]; float unit[2]; } scales[] = {
    { SP_Q8_0, { 0, -1 }, { 8.5e-4F, 0 } },      { SP_Q4_0, { 0, -1 }, { -1.35e-2F, 0 } },      { SP_Q4_1, { 0, 2 }, { 1.35e-2F, -0.1F } },
    { SP_Q5_0, { 0, -1 }, { -6.8e-3F, 0 } },     { SP_Q5_1, { 0, 2 }, { 6.8e-3F, -0.105F } },   { SP_Q2_K, { 80, 82 }, { 4.5e-3F, 6.8e-3F } },
    { SP_Q3_K, { 108, -1 }, { 1.4e-3F, 0 } },    { SP_Q4_K, { 0, 2 }, { 2.4e-4F, 1.8e-3F } },   { SP_Q5_K, { 0, 2 }, { 1.2e-4F, 1.85e-3F } },
    { SP_Q6_K, { 208, -1 }, { 4.6e-5F, 0 } },    { SP_IQ4_NL, { 0, -1 }, { 8.6e-4F, 0 } },      { SP_IQ4_XS, { 0, -1 }, { 4.6e-5F, 0 } },
    { SP_TQ1_0, { 52, -1 }, { 7.7e-2F, 0 } },    { SP_TQ2_0, { 64, -1 }, { 5.1e-2F, 0 } },
};

static struct sp_err err;
static struct sp_machine machine, portable;
static struct sp_pool *pool;
static unsigned char blocks[TENSOR_MAX];
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

/* ---- files ---- */

static void shake(void *random, int number, float *x, int64_t n)
{
    (void)number;
    for (int64_t k = 0; k < n; k++)
        x[k] += 0.1F * (float)sp_random_normal(random);
}

/* Matrices as training begins; vectors moved, so that a gain or bias in the wrong place shows. */
static void draw(const char *config)
{
    struct sp_random r = { .key = 3 };
    draw_model(in("hf"), config, SEED, SP_F32, &portable, shake, &r);
}

static void draw_block(enum sp_format f, unsigned char *p, struct sp_random *r)
{
    for (int j = 0; j < sp_formats[f].bytes; j++)
        p[j] = (unsigned char)(sp_random_below(r, 255) + 129); /* not -128, which Q8_0 has no use for */
    if (f == SP_MXFP4)
        p[0] = (unsigned char)(121 + sp_random_below(r, 2));
    for (size_t s = 0; s < SP_COUNT(scales); s++)
        for (int k = 0; k < 2 && scales[s].f == f; k++) {
            float scale = scales[s].unit[k] * (0.5F + (float)sp_random_below(r, 1000) / 1000);
            if (scales[s].at[k] >= 0)
                sp_formats[SP_F16].encode(p + scales[s].at[k], &scale, 1);
        }
}

/* In place of a tensor's numbers: see sp_export. */
static enum sp_status random_blocks(void *self, const struct sp_export *e, int tensor, const void **at, struct sp_err *ignored)
{
    const struct sp_type *t = &e->tensor[tensor].type;
    const struct sp_format_row *row = &sp_formats[t->format];
    struct sp_random r = { .key = (uint64_t)tensor + 100 };
    (void)self, (void)ignored;
    if (row->block == 1)
        return SP_OK;
    int64_t n = sp_type_elements(t) / row->block;
    assert_true(n * row->bytes <= TENSOR_MAX);
    for (int64_t i = 0; i < n; i++)
        draw_block(t->format, blocks + i * row->bytes, &r);
    *at = blocks;
    return SP_OK;
}

static void choose(struct sp_export *e, const char *to)
{
    int f = 0;
    if (sp_bits_mix_is(to)) {
        OK(sp_bits_mix(e, to, false, &err));
        return;
    }
    while (f < SP_FORMATS && strcmp(sp_formats[f].name, to))
        f++;
    assert_true(f < SP_FORMATS);
    for (int i = 0; i < e->n; i++)
        if (e->tensor[i].matrix)
            e->tensor[i].type.format = sp_export_fitting(&e->tensor[i], (enum sp_format)f);
}

static void store(const char *to)
{
    struct sp_weights w;
    struct sp_export e;
    OK(sp_weights_open(&w, in("hf"), &err));
    OK(sp_export_begin(&e, &w, true, &err));
    choose(&e, to);
    e.round = random_blocks;
    OK(sp_export_write(&e, in("a.gguf"), "small", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&w);
}

/* ---- logits ---- */

struct logits { float at[VOCAB]; };

static struct logits run(const struct sp_machine *m)
{
    struct sp_serve_shape shape = { .batch = 1, .prefill = 32, .cache = 64, .compute = SP_F32, .cached = SP_F32 };
    struct sp_engine e;
    struct sp_session s;
    struct logits l;
    OK(sp_engine_open(&e, in("a.gguf"), NULL, &shape, m, pool, &err));
    sp_session_begin(&s, &e);
    OK(sp_session_feed(&s, prompt, WHOLE, &err));
    for (size_t i = WHOLE; i < SP_COUNT(prompt); i++)
        OK(sp_session_feed(&s, prompt + i, 1, &err));
    memcpy(l.at, s.logits, sizeof l.at);
    sp_session_end(&s);
    sp_engine_close(&e);
    return l;
}

/* Root of the mean square of the difference over that of a. */
static double apart(const struct logits *a, const struct logits *b)
{
    double d = 0, s = 0;
    for (int i = 0; i < VOCAB; i++) {
        d += ((double)a->at[i] - (double)b->at[i]) * ((double)a->at[i] - (double)b->at[i]);
        s += (double)a->at[i] * (double)a->at[i];
    }
    return sqrt(d / s);
}

/* ---- the test ---- */

static void compare(const struct model *m, const struct golden *g, double *worst)
{
    static const int at[4] = { 0, 1, 2, 95 };
    struct logits plain = run(&portable), fast = run(&machine);
    double off = apart(&plain, &fast);
    for (int i = 0; i < 4; i++)
        if (!(fabs((double)plain.at[at[i]] - g->logits[i]) <= m->tolerance))
            fail_msg("%s in %s: the logit of token %d is %.6f, llama.cpp's %.6f", m->name, g->to, at[i], (double)plain.at[at[i]], g->logits[i]);
    *worst = fmax(*worst, off / g->theirs);
    if (!(off <= 1.5 * g->theirs + 1e-6))
        fail_msg("%s in %s: logits are %.5f off those of the numbers, llama.cpp's %.5f", m->name, g->to, off, g->theirs);
}

static void keep(const struct golden *g, const char *where)
{
    char name[512];
    snprintf(name, sizeof name, "%s/%s-%s.gguf", where, g->model, g->to);
    assert_int_equal(rename(in("a.gguf"), name), 0);
}

static void logits_are_llama_cpps(void **u)
{
    const char *kept = getenv("SPARSAM_KEEP");
    double worst = 0;
    int n = 0;
    (void)u;
    for (size_t i = 0; i < SP_COUNT(models); i++) {
        draw(models[i].config);
        for (size_t k = 0; k < SP_COUNT(golden); k++) {
            if (strcmp(golden[k].model, models[i].name))
                continue;
            store(golden[k].to);
            n++;
            kept ? keep(&golden[k], kept) : compare(&models[i], &golden[k], &worst);
        }
    }
    print_message("%d files; from blocks at most %.2f times as far off as llama.cpp\n", n, worst);
    assert_int_equal(n, SP_COUNT(golden));
}

static int setup(void **u)
{
    (void)u;
    sp_machine_portable(&portable);
    sp_meter_probe(&machine, 2);
    return !mkdtemp(folder) || sp_pool_new(&pool, 2, &err);
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "a.gguf" };
    (void)u;
    sp_pool_free(pool);
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(logits_are_llama_cpps) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
