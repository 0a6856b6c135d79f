/* tests/test_serve.c - speeds of serving against rooflines computed by hand, against
 * what must never happen (fewer bits slower, longer contexts faster), and against rows
 * made by the model itself, from which the fit has to find its numbers again.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "shared.h"

#include "plan/check.h"
#include "plan/serve_fit.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static void assert_near(double found, double wanted, double within)
{
    if (!(fabs(found / wanted - 1) <= within))
        fail_msg("%.9g is not %.9g within %g", found, wanted, within);
}

/* ---- questions ---- */

static const struct sp_model_config llama2_7b = { .family = SP_FAMILY_LLAMA, .vocab = 32000, .context = 4096, .layers = 32, .width = 4096, .heads = 32,
                                                  .ffn = 11008, .bos = -1, .activation = SP_SILU };
static const double LLAMA2_7B = 6738415616.0, LLAMA2_7B_EMBEDDING = 32000.0 * 4096; /* published; its rows are looked up, not read */

static struct sp_device rtx4090(void)
{
    return (struct sp_device){ .name = "NVIDIA GeForce RTX 4090 24GB", .count = 1, .year = 2022, .memory_bytes = 24e9, .bytes_per_s = 1008e9,
                               .flops_f32 = 82.6e12, .flops_16 = 165e12, .ops_8 = 660e12, .link_bytes_per_s = 32e9 };
}

static struct sp_ask ask_of(struct sp_device d)
{
    struct sp_ask a = { .task = SP_TASK_SERVE, .model = llama2_7b, .parameters = LLAMA2_7B, .active = LLAMA2_7B, .precision = SP_PRECISION_BF16,
                        .bits = 4, .prompt = 384, .generate = 256, .users = 1, .stack = "llama.cpp", .machine.device = d,
                        .machine.memory_bytes = (uint64_t)64e9, .machine.threads = 8 };
    OK(sp_model_config_finish(&a.model, &err));
    OK(sp_ask_finish(&a, &err));
    return a;
}

/* Everything ideal: bytes over bandwidth and FLOPs over peak alone. */
static struct sp_serve_constants ideal(void)
{
    struct sp_serve_constants k = sp_serve_compiled();
    k.v[SP_K_SHARE] = k.v[SP_K_SHARE_PROCESSOR] = k.v[SP_K_PEAK] = k.v[SP_K_PEAK_PACKED] = 1;
    k.v[SP_K_HANDLING] = k.v[SP_K_LAYER] = k.v[SP_K_STEP] = k.v[SP_K_UNPACK] = 0;
    k.v[SP_K_THREAD] = 1e15;
    return k;
}

/* ---- by hand ---- */

/* 6.607 billion weights of 4 bits are 3.304 GB: 3.278 ms at 1,008 GB/s; 512 positions of 32 layers, keys and values of
 * 4,096 numbers, 2 bytes each are 268 MB: 0.266 ms. */
static void test_decode_by_hand(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_constants k = ideal();
    struct sp_serve_plan p;
    (void)u;
    OK(sp_plan_serve_with(&a, &k, &p, NULL, &err));
    assert_near(p.part_s[SP_SERVE_WEIGHTS], (LLAMA2_7B - LLAMA2_7B_EMBEDDING) / 2 / 1008e9, 1e-3);
    assert_near(p.part_s[SP_SERVE_CACHE], 2.0 * 32 * 4096 * 512 * 2 / 1008e9, 1e-9);
    assert_near(p.user_tokens_s.likely, 1 / (3.2775e-3 + 0.2663e-3), 1e-3);
    assert_int_equal(p.bound, SP_SERVE_WEIGHTS);
    assert_near(p.weights_bytes, LLAMA2_7B / 2, 1e-9);
    assert_near(p.cache_user_bytes, 2.0 * 32 * 4096 * 640 * 2, 1e-9);
    assert_true(p.user_tokens_s.low < p.user_tokens_s.likely && p.user_tokens_s.likely < p.user_tokens_s.high);
}

/* 2 FLOP a weight and token, but of the head for the last token alone, and 4 x 4096 a layer and pair of a causal half. */
static void test_prefill_by_hand(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_constants k = ideal();
    struct sp_serve_plan p;
    double body = LLAMA2_7B - 2 * LLAMA2_7B_EMBEDDING, flops = 2 * body * 384 + 2 * LLAMA2_7B_EMBEDDING + 4.0 * 4096 * 32 * 384 * 385 / 2;
    (void)u;
    OK(sp_plan_serve_with(&a, &k, &p, NULL, &err));
    assert_near(p.prefill_tokens_s.likely, 384 / (flops / 330e12), 2e-3);
    assert_near(p.first_token_s.likely, flops / 330e12 + 1 / p.user_tokens_s.likely, 2e-3);
    assert_near(p.answer_s.likely, flops / 330e12 + 256 / p.user_tokens_s.likely, 2e-3);
}

/* Grouped queries: 8 heads of 128 for keys and values. */
static void test_cache_of_groups(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_count n;
    (void)u;
    a.model.kv_heads = 8;
    OK(sp_serve_count(&a.model, 3, 1, 100, &n, &err));
    assert_near(n.cache_bytes, 3 * 100 * 2.0 * 32 * 1024 * 2, 1e-9);
}

static struct sp_model_config parsed(const char *json)
{
    struct sp_model_config c;
    json_t *j;
    OK(sp_json_parse(&j, json, strlen(json), "config", &err));
    OK(sp_model_config_parse(&c, j, &err));
    json_decref(j);
    return c;
}

/* Mixtral 8x7B: 46,702,792,704 parameters, of which 12,879,925,248 meet a token (published: 12.9 billion); 2 of 8 experts.
 * b tokens touch 8 (1 - (6/8)^b) of them when choices fall evenly: 2, 3.5, ... 7.2 of 8. */
static void test_experts_touched(void **u)
{
    static const char json[] = "{\"model_type\":\"mixtral\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,"
                               "\"num_key_value_heads\":8,\"intermediate_size\":14336,\"vocab_size\":32000,\"max_position_embeddings\":32768,"
                               "\"num_local_experts\":8,\"num_experts_per_tok\":2}";
    static const double ALL = 46702792704.0, EXPERTS = 32.0 * 8 * 3 * 4096 * 14336, EMBEDDING = 32000.0 * 4096;
    struct sp_model_config c = parsed(json);
    struct sp_serve_count n;
    (void)u;
    for (int64_t b = 1; b <= 64; b *= 2) {
        OK(sp_serve_count(&c, b, 1, 128, &n, &err));
        assert_near(n.weights, ALL - EXPERTS - EMBEDDING + EXPERTS * (1 - pow(0.75, (double)b)), 1e-3);
    }
    OK(sp_serve_count(&c, 1, 1, 128, &n, &err));
    assert_near(n.weights, 12879925248.0 - EMBEDDING, 1e-3);
    assert_near(n.flops, 2 * (12879925248.0 - EMBEDDING), 1e-2);
}

/* Latent attention (DeepSeek-V2-Lite): 512 + 64 numbers a layer and position, whatever the heads. */
static void test_cache_of_latents(void **u)
{
    static const char json[] = "{\"model_type\":\"deepseek_v2\",\"hidden_size\":2048,\"num_hidden_layers\":27,\"num_attention_heads\":16,\"kv_lora_rank\":512,"
                               "\"qk_nope_head_dim\":128,\"qk_rope_head_dim\":64,\"v_head_dim\":128,\"intermediate_size\":10944,\"moe_intermediate_size\":1408,"
                               "\"n_routed_experts\":64,\"n_shared_experts\":2,\"num_experts_per_tok\":6,\"first_k_dense_replace\":1,\"vocab_size\":102400,"
                               "\"max_position_embeddings\":163840}";
    struct sp_model_config c = parsed(json);
    struct sp_serve_count n;
    (void)u;
    OK(sp_serve_count(&c, 2, 1, 1000, &n, &err));
    assert_near(n.cache_bytes, 2 * 1000 * 27 * 576 * 2.0, 1e-9);
}

/* A window of 4 positions: the cache holds no more. */
static void test_cache_of_windows(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_count n;
    (void)u;
    a.model.window = 4;
    OK(sp_serve_count(&a.model, 1, 1, 100, &n, &err));
    assert_near(n.cache_bytes, 32 * 2.0 * 4096 * 4 * 2, 1e-9);
}

/* Weights are read once for all users, caches once for each; arithmetic takes over when it is the longer. */
static void test_many_users(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_constants k = ideal();
    struct sp_serve_plan one, many;
    (void)u;
    OK(sp_plan_serve_with(&a, &k, &one, NULL, &err));
    a.users = 8;
    OK(sp_plan_serve_with(&a, &k, &many, NULL, &err));
    assert_near(many.part_s[SP_SERVE_WEIGHTS], one.part_s[SP_SERVE_WEIGHTS], 1e-4);
    assert_near(many.part_s[SP_SERVE_CACHE], 8 * one.part_s[SP_SERVE_CACHE], 1e-9);
    a.users = 2048;
    a.cache_bits = 0.5;
    OK(sp_plan_serve_with(&a, &k, &many, NULL, &err));
    assert_int_equal(many.bound, SP_SERVE_ARITHMETIC);
    assert_true(many.part_s[SP_SERVE_ARITHMETIC] > 2 * 2048 * 6.6e9 / 330e12);
    assert_false(many.fits);
}

/* Two devices that share each layer read half each, and add up twice a layer; llama.cpp's read one after the other. */
static void test_two_devices(void **u)
{
    struct sp_device d = rtx4090();
    struct sp_serve_constants k = ideal();
    struct sp_serve_plan one, row, shared;
    struct sp_ask a = ask_of(d);
    (void)u;
    OK(sp_plan_serve_with(&a, &k, &one, NULL, &err));
    d.count = 2;
    a = ask_of(d);
    assert_int_equal(a.cut.pipeline, 2);
    OK(sp_plan_serve_with(&a, &k, &row, NULL, &err));
    assert_near(row.user_tokens_s.likely, 1 / (1 / one.user_tokens_s.likely + 100e-6), 1e-6);
    a.stack = "vllm", a.cut = (struct sp_sharding){ 0 };
    OK(sp_ask_finish(&a, &err));
    assert_int_equal(a.cut.tensor, 2);
    OK(sp_plan_serve_with(&a, &k, &shared, NULL, &err));
    double sum = 10e-6 + 4096 * 2 / 32e9; /* 2 (n-1)/n = 1 of a row of 16-bit numbers */
    assert_near(shared.user_tokens_s.likely, 1 / (0.5 / one.user_tokens_s.likely + 64 * sum), 1e-6);
}

/* A million tokens of answers of 256: 3906.25 prompts and 1e6 / users steps. */
static void test_million(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_plan p;
    (void)u;
    a.users = 4;
    OK(sp_plan_serve(&a, &p, NULL, &err));
    double step = 4 / p.tokens_s.likely, prompt = 384 / p.prefill_tokens_s.likely;
    assert_near(p.million.time_s.likely, 1e6 / 256 * prompt + 1e6 / 4 * step, 1e-9);
    assert_near(p.million.device_hours.likely, p.million.time_s.likely / 3600, 1e-9);
}

/* ---- never ---- */

static struct sp_device devices(int i)
{
    struct sp_device d = rtx4090();
    if (i == 1)
        d = (struct sp_device){ .name = "Apple M2 Ultra", .count = 1, .memory_bytes = 192e9, .bytes_per_s = 819e9, .flops_f32 = 27.2e12, .flops_16 = 27.2e12 };
    if (i == 2)
        d = (struct sp_device){ .name = "AMD Ryzen 9 7950X", .count = 0, .bytes_per_s = 83.2e9, .flops_f32 = 2.3e12 };
    return d;
}

static double speed(const struct sp_ask *a, double *first)
{
    struct sp_serve_plan p;
    OK(sp_plan_serve(a, &p, NULL, &err));
    *first = p.first_token_s.likely;
    return p.user_tokens_s.likely;
}

static void test_never_faster(void **u)
{
    (void)u;
    for (int i = 0; i < 3; i++) {
        struct sp_ask a = ask_of(devices(i));
        double last = INFINITY, first, first_last = 0;
        for (a.bits = 1; a.bits <= 32; a.bits += 1.5) {
            double s = speed(&a, &first);
            assert_true(s < last);
            last = s;
        }
        a.bits = 4.85, last = INFINITY;
        for (a.prompt = 64; a.prompt <= 4096; a.prompt *= 2) {
            a.context = a.prompt + a.generate;
            double s = speed(&a, &first);
            assert_true(s < last && first > first_last);
            last = s, first_last = first;
        }
        a.prompt = 384, a.context = 640, last = INFINITY;
        for (a.users = 1; a.users <= 256; a.users *= 2) {
            double s = speed(&a, &first);
            assert_true(s < last);
            last = s;
        }
    }
}

/* ---- promises ---- */

static void test_promises(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    struct sp_serve_plan p;
    double first;
    (void)u;
    OK(sp_plan_serve(&a, &p, NULL, &err));
    assert_true(p.fits && p.users_most == p.users_memory && p.users_memory > 10);
    double memory = p.weights_bytes + p.work_bytes + (double)p.users_memory * p.cache_user_bytes;
    assert_true(memory <= 24e9 && memory + p.cache_user_bytes > 0.9 * 24e9);
    a.user_tokens_s_least = p.user_tokens_s.likely * 0.6;
    OK(sp_plan_serve(&a, &p, NULL, &err));
    assert_true(p.users_most >= 1 && p.users_most < p.users_memory);
    a.users = p.users_most;
    assert_true(speed(&a, &first) >= a.user_tokens_s_least);
    a.users = p.users_most + 1;
    assert_true(speed(&a, &first) < a.user_tokens_s_least);
    a.users = 1, a.user_tokens_s_least = 1e5;
    OK(sp_plan_serve(&a, &p, NULL, &err));
    assert_int_equal(p.users_most, 0);
    a.user_tokens_s_least = 0, a.first_token_s_most = 1e-6;
    OK(sp_plan_serve(&a, &p, NULL, &err));
    assert_int_equal(p.users_most, 0);
}

/* ---- learning ---- */

/* Rows made with known numbers, without noise: what is learned predicts a device that it never saw. */
static void test_fit_finds(void **u)
{
    static const char *const stacks[] = { "llama.cpp", "exllama", "gpt-fast" };
    struct sp_serve_row row[64];
    struct sp_serve_constants truth = sp_serve_compiled(), found;
    int n = 0;
    (void)u;
    for (int i = 0; i < SP_SERVE_CONSTANTS; i++)
        truth.v[i] = sp_serve_constant_rows[i].begin;
    truth.v[SP_K_HANDLING] = 7, truth.v[SP_K_LAYER] = 30e-6, truth.v[SP_K_LLAMACPP] = 1.4;
    for (int d = 0; d < 5; d++)
        for (int s = 0; s < 3; s++)
            for (int b = 0; b < 4; b++) {
                struct sp_device at = rtx4090();
                at.bytes_per_s = 300e9 * (1 + d), at.flops_f32 = 20e12 * (1 + (d * 7) % 5);
                struct sp_ask a = ask_of(at);
                a.stack = stacks[s], a.bits = 3 + 3 * b;
                OK(sp_serve_case_of(&a, 1, 1, 512, &row[n].c, &err));
                row[n].seconds = sp_serve_step_s(&row[n].c, &truth, NULL);
                row[n++].group = d;
            }
    for (int d = 0; d < 5; d++) {
        sp_serve_fit(row, n, d, &found);
        for (int i = 0; i < n; i++)
            if (row[i].group == d)
                assert_near(sp_serve_step_s(&row[i].c, &found, NULL), row[i].seconds, 0.03);
    }
    sp_serve_fit(row, 0, -1, &found);
    for (int i = 0; i < SP_K_OFF; i++)
        assert_near(found.v[i], sp_serve_constant_rows[i].begin, 1e-12);
}

static void test_constants_sane(void **u)
{
    (void)u;
    for (int i = 0; i < SP_SERVE_CONSTANTS; i++) {
        const struct sp_serve_constant_row *r = &sp_serve_constant_rows[i];
        assert_true(r->name && r->begin > 0 && r->fitted > 0 && (i >= SP_K_OFF || r->spread > 0));
        assert_true(r->fitted / r->begin < 10 && r->begin / r->fitted < 10);
    }
}

/* ---- the check ---- */

static void checked(const char *path, int constants, struct sp_check_result *r, struct sp_check_summary *s)
{
    struct sp_check_options o = { .constants = constants };
    OK(sp_check_file(&sp_check_inference, path, &o, r, &err));
    sp_check_summarize(r, s);
}

static void test_check_rules(void **u)
{
    static const struct { const char *row, *set, *skipped, *group; } cases[] = {
        { "Llama 2 7B,6.74,Q4_K_M,4.85,RTX 4090,,3000,150,1,llama.cpp,yes", NULL, NULL, "4090" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,RTX 4090,,3000,150,1,llama.cpp,yes", "prompts", NULL, "4090" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,RTX 4090,,,150,1,llama.cpp,no", NULL, "1:", "" },
        { "Llama 2 7B,,Q4_K_M,4.85,RTX 4090,,,150,1,llama.cpp,yes", NULL, "2:", "" },
        { "Llama 2 7B,6.74,Q4_K_M,,RTX 4090,,,150,1,llama.cpp,yes", NULL, "2:", "" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,RTX 4090,,,150+,1,llama.cpp,yes", NULL, "2:", "4090" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,Zilog Z80,,,150,1,llama.cpp,yes", NULL, "3:", "" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,RTX 4090,,,2000,1,llama.cpp,yes", NULL, "4:", "4090" },
        { "Llama 2 7B,6.74,fp16,16,A100-40GB,,,15000,64,vLLM ISL/OSL 128/128,yes", "loaded server", NULL, "a100" },
        { "Llama 2 7B,6.74,fp16,16,A100-40GB,,,15000,64,vLLM,yes", "loaded server", "2:", "a100" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,2x A100 PCIe 80GB,,,100,1,llama.cpp,yes", "several devices", NULL, "a100" },
        { "Llama 2 7B,6.74,Q4_K_M,4.85,Ryzen 7950X,8,,8,1,llama.cpp,yes", "processor", NULL, NULL },
        { "Llama 2 7B,6.74,bf16,16,A100-80GB,,,30,1,HF transformers,yes", "python", NULL, "a100" },
        { "Llama 2 7B,6.74,bf16,16,A100-80GB,,,60,1,something else,yes", "other software", NULL, "a100" },
        { "Llama 2 7B,6.74,EXL2,4,RTX 3090 Ti,,,100,1,turboderp/exllamav2,yes", NULL, NULL, "3090ti" },
    };
    static const char path[] = "/tmp/sparsam-test-serve.csv";
    struct sp_check_result r;
    struct sp_check_summary s;
    FILE *f = fopen(path, "w");
    (void)u;
    assert_non_null(f);
    fputs("model,params_b,format,bits_per_weight,hardware,threads,prompt_tok_s,gen_tok_s,batch,source,looked_up\n", f);
    for (size_t i = 0; i < SP_COUNT(cases); i++)
        if (i != 1) /* the first row is two measurements */
            fprintf(f, "%s\n", cases[i].row);
    fclose(f);
    checked(path, SP_CHECK_LEFT_OUT, &r, &s);
    remove(path);
    assert_int_equal(r.n, SP_COUNT(cases));
    assert_int_equal(s.given, SP_COUNT(cases) - 1);
    for (int i = 0; i < r.n; i++) {
        const struct sp_check_row *w = &r.row[i];
        if (!cases[i].skipped != !w->skipped || (w->skipped && strncmp(w->skipped, cases[i].skipped, 2)))
            fail_msg("%s: %s", cases[i].row, w->skipped ? w->skipped : "was used");
        if (!w->skipped && (!cases[i].set != !w->set || (w->set && strcmp(w->set, cases[i].set))))
            fail_msg("%s: %s", cases[i].row, w->set ? w->set : "in the check's own set");
        if (cases[i].group && strcmp(w->group, cases[i].group))
            fail_msg("%s: %s", cases[i].row, w->group);
        assert_true(w->skipped || (w->predicted.low > 0 && w->predicted.low <= w->predicted.likely && w->predicted.likely <= w->predicted.high));
    }
    sp_check_clear(&r);
}

/* The promise: published rows of one device, each chip unseen, half of them within 16 %. */
static void test_check_published(void **u)
{
    const char *path = shared_file("facts/runs_inference.csv");
    struct sp_check_result r;
    struct sp_check_summary s;
    (void)u;
    if (!path) {
        puts("skipped: no runs_inference.csv");
        skip();
    }
    checked(path, SP_CHECK_LEFT_OUT, &r, &s);
    assert_null(s.set[0].set);
    assert_true(s.set[0].used >= 60 && s.set[0].groups >= 15);
    assert_true(s.set[0].median <= 0.16 && s.set[0].coverage >= 0.8);
    sp_check_clear(&r);
}

/* ---- what cannot be answered ---- */

static void refused(struct sp_ask *a, enum sp_status wanted, const char *says)
{
    struct sp_serve_plan p;
    struct sp_err e = { 0 };
    assert_int_equal(sp_plan_serve(a, &p, NULL, &e), wanted);
    if (!strstr(e.what, says) || !e.remedy[0])
        fail_msg("\"%s\" (%s) does not say \"%s\" and a way out", e.what, e.remedy, says);
}

static void test_refused(void **u)
{
    struct sp_ask a = ask_of(rtx4090());
    (void)u;
    a.stack = "megatron-9";
    refused(&a, SP_USAGE, "megatron-9");
    a = ask_of(rtx4090());
    a.machine.device.bytes_per_s = 0;
    refused(&a, SP_USAGE, "bandwidth");
    a = ask_of(rtx4090());
    a.context = 100;
    refused(&a, SP_USAGE, "context of 100");
    a = ask_of(rtx4090());
    a.model.family = SP_FAMILY_MLP;
    refused(&a, SP_USAGE, "tables");
}

static void test_explained(void **u)
{
    struct sp_explain x = { 0 };
    struct sp_serve_plan p;
    struct sp_ask a = ask_of(rtx4090());
    (void)u;
    OK(sp_plan_serve(&a, &p, &x, &err));
    assert_non_null(strstr(x.text.at, "weights of 4 bits"));
    assert_non_null(strstr(x.text.at, "llama.cpp"));
    sp_text_clear(&x.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_by_hand), cmocka_unit_test(test_prefill_by_hand), cmocka_unit_test(test_cache_of_groups),
        cmocka_unit_test(test_experts_touched), cmocka_unit_test(test_cache_of_latents), cmocka_unit_test(test_cache_of_windows),
        cmocka_unit_test(test_many_users),     cmocka_unit_test(test_two_devices),     cmocka_unit_test(test_million),
        cmocka_unit_test(test_never_faster),   cmocka_unit_test(test_promises),        cmocka_unit_test(test_fit_finds),
        cmocka_unit_test(test_constants_sane), cmocka_unit_test(test_refused),         cmocka_unit_test(test_explained),
        cmocka_unit_test(test_check_rules),    cmocka_unit_test(test_check_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
