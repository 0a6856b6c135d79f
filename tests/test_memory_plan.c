/* tests/test_memory_plan.c - what a job holds: a paper's published figures, adapters and
 * caches counted by hand, this program's own layout, what does not fit, and how a
 * table of runs is read.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include "shared.h"

#include "catalog/models.h"
#include "plan/check.h"
#include "plan/memory.h"
#include "plan/stack.h"
#include "step/step.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SLOWER 10
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SLOWER 10
#endif
#endif
#ifndef SLOWER
#define SLOWER 1
#endif

static struct sp_err err;

#define OK(call)                                                                 \
    do {                                                                         \
        if (call)                                                                \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static const double GIB = 1024.0 * 1024 * 1024;

/* ---- Korthikanti et al. 2022, figure 1: GiB of a device, as published ---- */

static const struct published {
    const char *name;
    int64_t layers, width, heads, batch, pipeline, interleave;
    double states, all, lean;      /* parameters and optimizer; activations; with sequence parallel and selective recomputation */
} published[] = {
    { "22B", 48, 6144, 64, 4, 1, 1, 45.5625, 59.25, 9.5625 },
    { "175B", 96, 12288, 96, 1, 8, 3, 45.5625, 66.84375, 12.3515625 },
    { "530B", 105, 20480, 128, 1, 35, 3, 31.640625, 114.0234375, 23.076171875 },
    { "1T", 128, 25600, 160, 1, 64, 1, 32.958984375, 131.25, 26.5625 },
};

static struct sp_ask paper_ask(const struct published *p, bool lean)
{
    struct sp_ask a = { .task = SP_TASK_TRAIN, .precision = SP_PRECISION_FP16_MIXED, .batch = p->batch, .accumulate = 512, .context = 2048, .dropout = 0.1,
                        .stack = "paper", .recompute = lean ? SP_RECOMPUTE_SELECTIVE : SP_RECOMPUTE_NONE,
                        .cut = { .data = 1, .tensor = 8, .pipeline = p->pipeline, .expert = 1, .context = 1, .interleave = p->interleave, .sequence = lean },
                        .model = { .family = SP_FAMILY_GPT2, .vocab = 51200, .context = 2048, .layers = p->layers, .width = p->width, .heads = p->heads,
                                   .tied = true, .bias = true, .activation = SP_GELU, .bos = -1 } };
    OK(sp_model_config_finish(&a.model, &err));
    return a;
}

static double states_of(const struct sp_memory_plan *p)
{
    return p->hold[SP_HOLD_WEIGHTS].likely + p->hold[SP_HOLD_GRADIENTS].likely + p->hold[SP_HOLD_OPTIMIZER].likely;
}

static void near(const char *what, double is, double wanted, double share)
{
    if (!(fabs(is / wanted - 1) <= share))
        fail_msg("%s: %.8g, published %.8g", what, is, wanted);
}

static void the_paper_is_met_to_a_thousandth(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(published); i++) {
        const struct published *p = &published[i];
        struct sp_memory_plan all, lean, exact;
        struct sp_ask a = paper_ask(p, false), b = paper_ask(p, true);
        OK(sp_plan_memory(&a, &all, NULL, &err));
        OK(sp_plan_memory(&b, &lean, NULL, &err));
        near(p->name, states_of(&all) / GIB, p->states, 0.001);
        near(p->name, all.hold[SP_HOLD_ACTIVATIONS].likely / GIB, p->all, 0.001);
        near(p->name, lean.hold[SP_HOLD_ACTIVATIONS].likely / GIB, p->lean, 0.001);
        a.stack = "megatron"; /* every parameter, and what a paper leaves out */
        OK(sp_plan_memory(&a, &exact, NULL, &err));
        assert_true(states_of(&exact) > states_of(&all) && states_of(&exact) < 1.12 * states_of(&all));
        assert_true(exact.device.likely > all.device.likely);
    }
}

/* ---- by hand ---- */

#define LLAMA(...) { .family = SP_FAMILY_LLAMA, .activation = SP_SILU, .bos = -1, __VA_ARGS__ }

static struct sp_ask ask(enum sp_task task, const char *stack)
{
    struct sp_ask a = { .task = task, .stack = stack, .precision = SP_PRECISION_BF16, .batch = 1, .accumulate = 1, .context = 1024, .flash = true, .users = 1,
                        .prompt = 1, .rank = 8, .cut = { .data = 1, .tensor = 1, .pipeline = 1, .expert = 1, .context = 1 },
                        .model = LLAMA(.vocab = 32000, .context = 4096, .layers = 32, .width = 4096, .heads = 32, .ffn = 11008) };
    OK(sp_model_config_finish(&a.model, &err));
    return a;
}

static void adapters_are_counted(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_FINETUNE, "hf");
    struct sp_memory_plan p;
    a.method = SP_METHOD_LORA;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    assert_float_equal(p.trained, 32.0 * 8 * (4 * (4096 + 4096) + 3 * (4096 + 11008)), 0.5); /* 19,988,480, as PEFT prints */
    near("weights", p.hold[SP_HOLD_WEIGHTS].likely, 6738415616.0 * 2 + 19988480.0 * 4, 1e-9);
    near("optimizer", p.hold[SP_HOLD_OPTIMIZER].likely, 19988480.0 * 8, 1e-9);
    a.method = SP_METHOD_QLORA;
    a.bits = 4.5;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    a.cut.tensor = 2;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    assert_float_equal(p.trained, 19988480, 0.5); /* however it is cut */
    a.cut.tensor = 1;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    double inner = 32.0 * (4 * 4096.0 * 4096 + 3 * 4096.0 * 11008), rest = 6738415616.0 - inner;
    near("quantised", p.hold[SP_HOLD_WEIGHTS].likely, inner * 4.5 / 8 + rest * 4 + 19988480.0 * 4, 1e-9); /* PEFT makes the rest f32 */
}

static void full_training_is_counted(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_FINETUNE, "hf");
    struct sp_memory_plan p, q;
    a.accumulate = 8;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    near("16-bit throughout", states_of(&p), 6738415616.0 * 8, 1e-9);
    a.precision = SP_PRECISION_BF16_MIXED;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    near("f32 with 16-bit arithmetic", states_of(&p), 6738415616.0 * 16, 1e-9);
    a.cut.data = 4; /* Rajbhandari et al. 2020, figure 1: 4 + 4 + 8 bytes, shared in three steps */
    static const double share[] = { 16, 8 + 8 / 4.0, 4 + 12 / 4.0, 16 / 4.0 };
    for (int z = 0; z < 4; z++) {
        a.cut.zero = z;
        OK(sp_plan_memory(&a, &q, NULL, &err));
        near("shared", states_of(&q), 6738415616.0 * share[z], 1e-9);
    }
    a.cut.zero = 1;
    a.cut.offload = true;
    OK(sp_plan_memory(&a, &q, NULL, &err));
    near("on the host: a quarter of the moments, all gradients", q.host.likely, 6738415616.0 * (8 / 4.0 + 4), 1e-9);
    a.cut.offload = false;
    a.optimizer = SP_OPTIMIZER_SGD;
    OK(sp_plan_memory(&a, &q, NULL, &err));
    assert_true(!(q.hold[SP_HOLD_OPTIMIZER].likely > 0));
}

/* Twice the rows hold twice the activations; attention that isn't fused holds heads x tokens x tokens more a layer. */
static void activations_follow_rows(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_FINETUNE, "litgpt");
    struct sp_memory_plan one, two, unfused;
    a.optimizer = SP_OPTIMIZER_SGD;
    a.accumulate = 8;
    OK(sp_plan_memory(&a, &one, NULL, &err));
    a.batch = 2;
    OK(sp_plan_memory(&a, &two, NULL, &err));
    near("activations", two.hold[SP_HOLD_ACTIVATIONS].likely, 2 * one.hold[SP_HOLD_ACTIVATIONS].likely, 1e-9);
    a.batch = 1;
    a.flash = false;
    OK(sp_plan_memory(&a, &unfused, NULL, &err));
    near("weights of attention", (unfused.hold[SP_HOLD_ACTIVATIONS].likely - one.hold[SP_HOLD_ACTIVATIONS].likely) / sp_memory_compiled.working,
         32.0 * 32 * 1024 * 1024 * sp_stack_in("litgpt")->weight_bytes, 1e-9);
    a.recompute = SP_RECOMPUTE_FULL;
    OK(sp_plan_memory(&a, &two, NULL, &err));
    assert_true(two.hold[SP_HOLD_ACTIVATIONS].likely < 0.2 * one.hold[SP_HOLD_ACTIVATIONS].likely + 32.0 * 1024 * 1024 * 6);
}

/* GB that the software itself printed: LitGPT's and torchtune's tables. */
static void measured_peaks_are_near(void **state)
{
    (void)state;
    static const struct { const char *model, *stack; int method, targets, recompute; int64_t rank, batch, context; double bits, gb; } rows[] = {
        { "llama-2-7b", "litgpt", SP_METHOD_LORA, SP_TARGET_QV, SP_RECOMPUTE_NONE, 8, 1, 1304, 0, 21.30 },
        { "llama-2-7b", "litgpt", SP_METHOD_LORA, SP_TARGET_QV, SP_RECOMPUTE_NONE, 8, 2, 1304, 0, 29.07 },
        { "llama-2-7b", "litgpt", SP_METHOD_PREFIX, SP_TARGET_QV, SP_RECOMPUTE_NONE, 10, 1, 1304, 0, 19.98 },
        { "llama-3.2-3b", "torchtune", SP_METHOD_FULL, SP_TARGET_ALL, SP_RECOMPUTE_FULL, 8, 2, 4096, 0, 26.74 },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_ask a = ask(SP_TASK_FINETUNE, rows[i].stack);
        const struct sp_stack *found;
        struct sp_memory_plan p;
        OK(sp_ask_model(&a, rows[i].model, &err));
        OK(sp_stack_find(rows[i].stack, SP_TASK_FINETUNE, &found, &err));
        struct sp_stack s = *found;
        s.targets = rows[i].targets;
        a.method = rows[i].method;
        a.recompute = rows[i].recompute;
        a.rank = rows[i].rank;
        a.batch = rows[i].batch;
        a.context = rows[i].context;
        OK(sp_plan_memory_with(&a, &s, &sp_memory_compiled, &p, NULL, &err));
        near(rows[i].stack, sp_memory_reported(&p, &s).likely / 1e9, rows[i].gb, 0.03);
    }
}

static void caches_are_exact(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_SERVE, "llama.cpp");
    struct sp_memory_plan p;
    a.model = (struct sp_model_config)LLAMA(.vocab = 128256, .context = 8192, .layers = 32, .width = 4096, .heads = 32, .kv_heads = 8, .ffn = 14336);
    OK(sp_model_config_finish(&a.model, &err));
    a.context = 8192;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    assert_true(p.hold[SP_HOLD_CACHE].likely == 1073741824.0); /* 2 x 32 layers x 8 heads x 128 x 8192 x 2 bytes */
    a.users = 3;
    a.cache_bits = 8.5;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    assert_true(p.hold[SP_HOLD_CACHE].likely == 3 * 536870912.0 * 8.5 / 8);
    a.bits = 4.5;
    OK(sp_plan_memory(&a, &p, NULL, &err));
    double vectors = 65.0 * 4096, all = 8030261248.0;
    near("weights", p.hold[SP_HOLD_WEIGHTS].likely, (all - vectors) * 4.5 / 8 + vectors * 2, 1e-9);
}

static void own_stack_is_the_layout(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_TRAIN, "sparsam");
    struct sp_memory_plan p;
    struct sp_job j;
    int64_t bytes[SP_MEM_KINDS], sum = 0;
    a.model = (struct sp_model_config){ .family = SP_FAMILY_GPT2, .vocab = 65, .context = 64, .layers = 2, .width = 64, .heads = 4, .tied = true, .bias = true, .activation = SP_GELU, .bos = -1 };
    OK(sp_model_config_finish(&a.model, &err));
    a.context = 64;
    a.precision = SP_PRECISION_F32;
    sp_machine_portable(&a.machine);
    a.machine.threads = 2;
    struct sp_train_shape t = { .batch = 1, .tokens = 64, .score_batch = -1, .compute = SP_F32, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL, 0, 0 } };
    OK(sp_step_train(&a.model, &t, &a.machine, NULL, NULL, &j, &err));
    sp_job_memory(&j, 2, bytes);
    sp_job_clear(&j);
    for (int i = 0; i < SP_MEM_KINDS; i++)
        sum += bytes[i];
    OK(sp_plan_memory(&a, &p, NULL, &err));
    assert_true(p.device.low == (double)sum && p.device.high == (double)sum);
}

static void devices_are_found(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_FINETUNE, "torch-fsdp");
    struct sp_memory_plan p, before;
    int64_t n = 0;
    a.precision = SP_PRECISION_BF16_MIXED;
    a.recompute = SP_RECOMPUTE_FULL;
    a.machine.device.count = 1;
    a.machine.device.memory_bytes = 40e9;
    OK(sp_plan_devices(&a, &n, &p, &err));
    assert_true(n > 1 && n <= 12 && p.fits);
    static const int64_t order[] = { 1, 2, 3, 4, 6, 8, 12 };
    for (int i = 0; order[i] < n; i++) { /* with fewer, however they are cut: not by this */
        a.cut = p.cut;
        a.cut.data = order[i];
        a.cut.pipeline = a.cut.tensor = 1;
        a.cut.zero = 3;
        OK(sp_plan_memory(&a, &before, NULL, &err));
        assert_false(before.fits);
    }
    a.cut = p.cut;
    OK(sp_plan_memory(&a, &before, NULL, &err));
    assert_true(before.fits && before.device.high == p.device.high);
    a.machine.device.memory_bytes = 400e9;
    OK(sp_plan_devices(&a, &n, NULL, &err));
    assert_int_equal(n, 1);
    a.machine.device.memory_bytes = 1e9;
    assert_int_equal(sp_plan_devices(&a, &n, NULL, &err), SP_LIMIT);
    assert_non_null(strstr(err.remedy, "smaller batch"));
    a.stack = "excel";
    assert_int_equal(sp_plan_memory(&a, &p, NULL, &err), SP_USAGE);
    assert_non_null(strstr(err.remedy, "megatron"));
}

static void large_models_take_moments(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_TRAIN, "megatron");
    struct sp_memory_plan p;
    struct timespec t[2];
    a.model = (struct sp_model_config)LLAMA(.vocab = 128256, .context = 8192, .layers = 126, .width = 16384, .heads = 128, .kv_heads = 8, .ffn = 53248);
    OK(sp_model_config_finish(&a.model, &err));
    a.precision = SP_PRECISION_BF16_MIXED;
    a.context = 8192;
    a.cut.tensor = 8;
    a.cut.pipeline = 16;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t[0]);
    OK(sp_plan_memory(&a, &p, NULL, &err));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t[1]);
    double s = (double)(t[1].tv_sec - t[0].tv_sec) + 1e-9 * (double)(t[1].tv_nsec - t[0].tv_nsec);
    if (s > 0.05 * SLOWER)
        fail_msg("a plan took %.0f ms", 1000 * s);
    assert_true(p.device.low < p.device.likely && p.device.likely < p.device.high);
}

static void a_plan_explains_itself(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_FINETUNE, NULL);
    struct sp_explain e = { { 0 } };
    struct sp_memory_plan p;
    OK(sp_plan_memory(&a, &p, &e, &err));
    assert_non_null(strstr(e.text.at, "stack hf"));
    assert_non_null(strstr(e.text.at, "learned from runs"));
    sp_text_clear(&e.text);
    for (int64_t n = 0; n < 60; n++) { /* memory that runs out is an error, not a crash */
        sp_mem_fail_at(n);
        enum sp_status st = sp_plan_memory(&a, &p, NULL, &err);
        assert_true(st == SP_OK || st == SP_NOMEM);
    }
    sp_mem_fail_at(-1);
}

/* Every architecture of the catalogue by every stack: finite, ordered, and an adapter takes less than all. */
static void every_model_is_counted(void **state)
{
    (void)state;
    static const char *const stacks[] = { "hf", "litgpt", "megatron" };
    struct sp_models *models;
    struct sp_memory_plan all, some, served;
    int counted = 0;
    OK(sp_models_open(&models, &err));
    for (int i = 0; i < sp_models_count(models); i += SLOWER > 1 ? 23 : 3)
        for (size_t k = 0; k < SP_COUNT(stacks); k++) {
            struct sp_ask a = ask(SP_TASK_FINETUNE, stacks[k]);
            OK(sp_ask_model(&a, sp_models_at(models, i)->name, &err));
            a.context = a.model.context < 512 ? a.model.context : 512;
            OK(sp_plan_memory(&a, &all, NULL, &err));
            a.method = SP_METHOD_LORA;
            OK(sp_plan_memory(&a, &some, NULL, &err));
            a.method = SP_METHOD_FULL;
            a.task = SP_TASK_SERVE;
            OK(sp_plan_memory(&a, &served, NULL, &err));
            assert_true(all.device.low > 0 && all.device.low <= all.device.likely && all.device.likely <= all.device.high && all.device.high < 1e15);
            assert_true(some.trained > 0 && some.trained < 0.5 * all.trained && some.device.likely < all.device.likely);
            assert_true(served.device.likely > 0 && served.device.likely < all.device.likely);
            counted++;
        }
    sp_models_free(models);
    print_message("%d models by stacks\n", counted);
}

/* 16-bit caches of one sequence: 46 of Gemma 2 27B's layers, every other with a window of 4096; DeepSeek-V3's latent rows. */
/* Mixtral 8x7B: two of eight experts a device; what all copies share is shared the same with and without that. */
static void experts_are_cut_among_copies(void **state)
{
    (void)state;
    struct sp_ask a = ask(SP_TASK_TRAIN, "megatron");
    struct sp_memory_plan whole, cut;
    double experts = 32 * 8 * 3 * 4096.0 * 14336;
    OK(sp_ask_model(&a, "mixtral-8x7b", &err));
    a.cut.data = 4;
    OK(sp_plan_memory(&a, &whole, NULL, &err));
    a.cut.expert = 4;
    OK(sp_plan_memory(&a, &cut, NULL, &err));
    near("weights", whole.hold[SP_HOLD_WEIGHTS].likely - cut.hold[SP_HOLD_WEIGHTS].likely, experts * 2 * 3 / 4, 1e-9);
    a.cut.zero = 3;
    OK(sp_plan_memory(&a, &cut, NULL, &err));
    near("shared by all", cut.hold[SP_HOLD_WEIGHTS].likely, whole.hold[SP_HOLD_WEIGHTS].likely / 4, 1e-9);
    near("moments too", cut.hold[SP_HOLD_OPTIMIZER].likely, whole.hold[SP_HOLD_OPTIMIZER].likely / 4, 1e-9);
}

static void odd_caches_are_exact(void **state)
{
    (void)state;
    static const struct { const char *model; int64_t context; double bytes; } rows[] = {
        { "mistral-7b", 32768, 32 * 2 * 8 * 128 * 2 * 4096.0 },
        { "gemma-2-27b", 8192, 2 * 16 * 128 * 2 * (23 * 8192.0 + 23 * 4096.0) },
        { "deepseek-v3", 163840, 61 * (512 + 64) * 2 * 163840.0 },
        { "falcon-7b", 2048, 32 * 2 * 64 * 2 * 2048.0 },
    };
    for (size_t i = 0; i < SP_COUNT(rows); i++) {
        struct sp_ask a = ask(SP_TASK_SERVE, "vllm");
        struct sp_memory_plan p;
        OK(sp_ask_model(&a, rows[i].model, &err));
        a.context = rows[i].context;
        OK(sp_plan_memory(&a, &p, NULL, &err));
        if (!(p.hold[SP_HOLD_CACHE].likely == rows[i].bytes))
            fail_msg("%s: %.0f bytes, by hand %.0f", rows[i].model, p.hold[SP_HOLD_CACHE].likely, rows[i].bytes);
    }
}

/* ---- checks of tables ---- */

static void figures_of_a_check_are_right(void **state)
{
    (void)state;
    struct sp_check_result r = { .quantity = "x", .unit = "y", .judgement = "fits" };
    struct sp_check_summary s;
    static const struct { double truth, likely; const char *group, *set, *skipped; int was, said; } rows[] = {
        { 10, 11, "a", NULL, NULL, 1, 1 }, { 10, 8, "a", NULL, NULL, 0, 1 }, { 10, 13, "b", NULL, NULL, 1, 0 }, { 10, 20, "b", "apart", NULL, -1, 0 },
        { 10, 99, "c", NULL, "of no use", 1, 1 }, { NAN, 1, "c", NULL, NULL, 0, 0 },
    };
    for (int i = 0; i < (int)SP_COUNT(rows); i++) {
        struct sp_check_row *w = sp_check_add(&r, i, "row", rows[i].group);
        assert_non_null(w);
        w->truth = rows[i].truth;
        w->predicted = sp_range(rows[i].likely * 0.9, rows[i].likely, rows[i].likely * 1.2, SP_HOW_MODEL);
        w->set = rows[i].set;
        w->skipped = rows[i].skipped;
        w->judged = rows[i].was >= 0;
        w->was = rows[i].was > 0;
        w->said = rows[i].said;
    }
    sp_check_summarize(&r, &s);
    const struct sp_check_figures *f = &s.set[0];
    assert_int_equal(s.given, 6);
    assert_int_equal(s.n_sets, 2);
    assert_int_equal(f->given, 5);
    assert_int_equal(f->used, 3);
    assert_int_equal(f->groups, 2);
    assert_true(fabs(f->median - 0.2) < 1e-12 && fabs(f->mean - 0.2) < 1e-12 && fabs(f->worst - 0.3) < 1e-12);
    assert_true(fabs(f->median_signed - 0.1) < 1e-12 && fabs(f->coverage - 1.0 / 3) < 1e-12 && fabs(f->width - 1.2 / 0.9) < 1e-12);
    assert_int_equal(f->was, 2);
    assert_int_equal(f->was_not, 2);
    assert_int_equal(f->said_wrongly, 1);
    assert_int_equal(f->missed, 1);
    assert_int_equal(s.n_skips, 1);
    assert_string_equal(s.skip[0].why, "of no use");
    sp_check_clear(&r);
}

#define HEAD "model,task,method,precision,optimizer,batch,seq,hardware,devices,peak_gb,fits,source,looked_up\n"

static void check_text(const char *text, struct sp_check_result *r, enum sp_status wanted)
{
    static char copy[8192];
    struct sp_csv t;
    struct sp_check_options o = { SP_CHECK_LEFT_OUT };
    snprintf(copy, sizeof copy, "%s", text);
    OK(sp_csv_parse(&t, copy, "table", &err));
    assert_int_equal(sp_check_memory.fn(&t, &o, r, &err), wanted);
    sp_csv_clear(&t);
}

static void rules_are_read_in_order(void **state)
{
    (void)state;
    struct sp_check_result r = { 0 };
    check_text(HEAD "7B,finetune,lora,bf16-true,adamw,1,512,A100-40GB,1,20,estimate,a/b x,yes\n"
                    "7B,finetune,lora,bf16-true,adamw,1,512,A100-40GB,1,20,yes,a/b x,guess\n"
                    "7B,checkpoint,lora,bf16-true,adamw,1,512,A100-40GB,1,20,yes,a/b x,yes\n"
                    "7B,finetune,lora,bf16-true,adamw,1,512,A100-40GB,4,20,yes,\"a/b x, in total\",yes\n"
                    "7B,finetune,lora,bf16-true,adamw,1,256,A100-40GB,1,20,yes,a/b x; one,yes\n"
                    "7B,finetune,lora,bf16-true,adamw,1,256,A100-40GB,1,20,yes,a/b x; two,yes\n"
                    "no such model,finetune,lora,bf16-true,adamw,1,512,A100-40GB,1,20,yes,a/b x,yes\n"
                    "7B,finetune,lora,bf16-true,adamw,,512,A100-40GB,1,20,yes,a/b x,yes\n"
                    "7B,finetune,magic,bf16-true,adamw,1,512,A100-40GB,1,20,yes,a/b x,yes\n"
                    "7B,finetune,lora,trinary,adamw,1,512,A100-40GB,1,20,yes,a/b x,yes\n"
                    "7B,finetune,full,bf16-true,adamw,1,512,A100-40GB,1,,no,c/d x,yes\n"
                    "7B,finetune,lora,bf16-true,adamw,1,512,A100-40GB,1,40,yes,c/d x,yes\n", &r, SP_OK);
    static const char *const why[] = { "an estimate", "nobody looked", "neither training", "a total", NULL, "the same run", "no model", "no batch", "no method",
                                       "no precision", NULL, NULL };
    assert_int_equal(r.n, (int)SP_COUNT(why));
    for (int i = 0; i < r.n; i++) {
        if (!why[i] != !r.row[i].skipped || (why[i] && strncmp(why[i], r.row[i].skipped, strlen(why[i]))))
            fail_msg("row %d: %s, wanted %s", i, r.row[i].skipped ? r.row[i].skipped : "used", why[i] ? why[i] : "used");
    }
    assert_true(r.row[4].predicted.likely > 14 && r.row[4].predicted.likely < 30);
    assert_true(r.row[10].judged && !r.row[10].was && !r.row[10].said);
    assert_true(isnan(r.row[11].truth)); /* the whole device is a bound */
    sp_check_clear(&r);
    check_text("model,peak_gb\nx,1\n", &r, SP_FORMAT);
    sp_check_clear(&r);
}

static void published_peaks_are_met(void **state)
{
    (void)state;
    const char *path = shared_file("facts/runs_memory.csv");
    struct sp_check_options o = { SP_CHECK_LEFT_OUT };
    struct sp_check_result r;
    struct sp_check_summary s;
    if (!path || SLOWER > 1) /* a second, ten under a sanitizer */
        skip();
    OK(sp_check_file(&sp_check_memory, path, &o, &r, &err));
    sp_check_summarize(&r, &s);
    for (int k = 0; k < s.n_sets; k++)
        if (s.set[k].set && !strcmp(s.set[k].set, "pretraining, as a paper counts"))
            assert_true(s.set[k].used == 12 && s.set[k].worst < 0.001);
    const struct sp_check_figures *f = &s.set[0];
    if (f->used < 50)
        fail_msg("only %d rows count", f->used);
    if (!(f->median <= 0.15) || f->said_wrongly)
        fail_msg("median error %.3f, %d said to fit that did not", f->median, f->said_wrongly);
    sp_check_clear(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_paper_is_met_to_a_thousandth), cmocka_unit_test(adapters_are_counted), cmocka_unit_test(full_training_is_counted),
        cmocka_unit_test(activations_follow_rows), cmocka_unit_test(measured_peaks_are_near),
        cmocka_unit_test(caches_are_exact), cmocka_unit_test(own_stack_is_the_layout),
        cmocka_unit_test(devices_are_found), cmocka_unit_test(large_models_take_moments), cmocka_unit_test(a_plan_explains_itself),
        cmocka_unit_test(every_model_is_counted), cmocka_unit_test(odd_caches_are_exact), cmocka_unit_test(experts_are_cut_among_copies),
        cmocka_unit_test(figures_of_a_check_are_right), cmocka_unit_test(rules_are_read_in_order), cmocka_unit_test(published_peaks_are_met),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
