/* tests/test_stored.c - models run from the blocks of their file: the same logits as from an f32 copy of what the file
 * says, up to what bytes in place of activations lose; and keys and values cached in fewer bits.
 *
 * How much that may be is measured, not guessed.  Rounding n normal numbers of standard deviation 1 to steps of d leaves
 * an error of d / sqrt(12) each; where steps are the largest of 32, by root mean square 2.39 (Monte Carlo), over 127 or 8, that
 * is 0.0054 or 0.086 of the numbers; 16 bits leave 2^-7 (bf16) or 2^-10 (f16) / sqrt(12) / 1.47.  An error of that share in the input of a product does to its output what independent
 * errors of the same share in the matrix do.  So the model is run once more, from f32, with such errors in its matrices (or in those that make
 * keys and values), and rounding may do half as much again.
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

enum { VOCAB = 96 };
#define SMALL "\"vocab_size\": 96, \"hidden_size\": 256, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 512, " \
              "\"max_position_embeddings\": 64, \"eos_token_id\": 2, \"bos_token_id\": 1, \"initializer_range\": 0.08}"

static const int32_t prompt[] = { 1, 5, 17, 33, 60, 2, 94, 8, 13, 21, 34, 55, 89, 3, 7, 11, 19, 44, 71, 90 };
static const struct { const char *what, *config, *matrix; } models[] = {
    { "llama", "{\"model_type\": \"llama\", \"num_key_value_heads\": 2, " SMALL, "model.layers.1.self_attn.k_proj.weight" },
    { "tied", "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, " SMALL, "model.embed_tokens.weight" },
    { "qwen2", "{\"model_type\": \"qwen2\", " SMALL, "model.layers.0.mlp.down_proj.weight" },
    { "gpt2", "{\"model_type\": \"gpt2\", " SMALL, "transformer.h.1.attn.c_proj.weight" },
    { "neox", "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, " SMALL, "gpt_neox.layers.0.attention.query_key_value.weight" },
};
#define BYTES 0.0054 /* see above */
#define HALF_BYTES 0.086
static const enum sp_format formats[] = { SP_F16, SP_BF16, SP_Q8_0, SP_Q4_0, SP_Q4_K, SP_Q6_K, SP_IQ4_XS };

static struct sp_err err;
static struct sp_machine machine;
static struct sp_pool *pool;
static char folder[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(folder, name);
}

/* ---- files ---- */

static void draw(const char *config)
{
    draw_model(in("hf"), config, 5, SP_F32, &machine, NULL, NULL);
}

static void store(enum sp_format f)
{
    struct sp_weights w;
    struct sp_export e;
    OK(sp_weights_open(&w, in("hf"), &err));
    OK(sp_export_begin(&e, &w, true, &err));
    for (int i = 0; i < e.n; i++)
        if (e.tensor[i].matrix)
            e.tensor[i].type.format = sp_export_fitting(&e.tensor[i], f);
    OK(sp_export_write(&e, in("a.gguf"), "small", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&w);
}

/* As a.gguf says, in f32, with errors. */
struct noise { struct sp_weights of; double share; bool cached; float *x; };

static enum sp_status noisy_tensor(void *self, const struct sp_export *e, int tensor, const void **at, struct sp_err *unused)
{
    struct noise *n = self;
    const struct sp_export_tensor *t = &e->tensor[tensor];
    struct sp_random r = { .key = (uint64_t)tensor };
    int64_t all = sp_type_elements(&t->type), cols = t->type.dim[t->type.n - 1];
    double size = 0;
    (void)unused;
    if (!t->matrix || (n->cached && !strstr(t->name, "k_proj") && !strstr(t->name, "v_proj")))
        return SP_OK;
    n->x = sp_realloc(n->x, (size_t)all * sizeof(float));
    assert_non_null(n->x);
    OK(sp_tensor_rows(sp_weights_find(&n->of, t->name), t->layout, 0, all / cols, SP_F32, n->x, &err));
    for (int64_t i = 0; i < all; i++)
        size += (double)n->x[i] * (double)n->x[i];
    for (int64_t i = 0; i < all; i++)
        n->x[i] += (float)(n->share * sqrt(size / (double)all) * sp_random_normal(&r));
    *at = n->x;
    return SP_OK;
}

static void store_noisy(double share, bool cached)
{
    struct noise n = { .share = share, .cached = cached };
    struct sp_export e;
    OK(sp_weights_open(&n.of, in("a.gguf"), &err));
    OK(sp_export_begin(&e, &n.of, true, &err));
    for (int i = 0; i < e.n; i++)
        if (e.tensor[i].matrix)
            e.tensor[i].type.format = SP_F32;
    e.round = noisy_tensor;
    e.rounding = &n;
    OK(sp_export_write(&e, in("noisy.gguf"), "noisy", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&n.of);
    sp_free(n.x);
}

/* ---- logits ---- */

/* Of the last token of the prompt, and of one more that is decoded. */
struct logits { float at[2 * VOCAB]; };

static void take(struct sp_engine *e, struct logits *to)
{
    static const int32_t more = 42;
    struct sp_session s;
    sp_session_begin(&s, e);
    OK(sp_session_feed(&s, prompt, SP_COUNT(prompt), &err));
    memcpy(to->at, s.logits, VOCAB * sizeof(float));
    OK(sp_session_feed(&s, &more, 1, &err));
    memcpy(to->at + VOCAB, s.logits, VOCAB * sizeof(float));
    sp_session_end(&s);
}

static struct logits run_file(const char *file, const struct sp_machine *m, enum sp_format cached, const char *matrix, enum sp_format *stored)
{
    struct sp_serve_shape shape = { .batch = 1, .prefill = 32, .cache = 64, .compute = SP_F32, .cached = cached };
    struct sp_engine e;
    struct logits l;
    OK(sp_engine_open(&e, in(file), NULL, &shape, m, pool, &err));
    if (stored)
        *stored = sp_state_find(&e.job.state, matrix)->type.format;
    take(&e, &l);
    sp_engine_close(&e);
    return l;
}

static struct logits run(const struct sp_machine *m, enum sp_format cached, const char *matrix, enum sp_format *stored)
{
    return run_file("a.gguf", m, cached, matrix, stored);
}

/* Root of the mean square of the difference over that of a. */
static double apart(const struct logits *a, const struct logits *b)
{
    double d = 0, s = 0;
    for (int i = 0; i < 2 * VOCAB; i++) {
        d += ((double)a->at[i] - (double)b->at[i]) * ((double)a->at[i] - (double)b->at[i]);
        s += (double)a->at[i] * (double)a->at[i];
    }
    return sqrt(d / s);
}

/* How far errors of that share in the matrices bring logits off those of plain. */
static double noise_brings(const struct logits *plain, const struct sp_machine *m, double share, bool cached)
{
    store_noisy(share, cached);
    struct logits noisy = run_file("noisy.gguf", m, SP_F32, NULL, NULL);
    return apart(plain, &noisy);
}

/* ---- tests ---- */

/* The portable machine multiplies no blocks: it makes f32 copies, which is what the fast one must come near to. */
static void blocks_give_the_logits_of_their_numbers(void **u)
{
    struct sp_machine portable;
    double worst = 0;
    int n = 0;
    (void)u;
    sp_machine_portable(&portable);
    for (size_t i = 0; i < SP_COUNT(models); i++) {
        double noise = 0;
        draw(models[i].config);
        for (size_t f = 0; f < SP_COUNT(formats); f++, n++) {
            enum sp_format kept, copied;
            store(formats[f]);
            struct logits fast = run(&machine, SP_F32, models[i].matrix, &kept), plain = run(&portable, SP_F32, models[i].matrix, &copied);
            bool blocks = sp_formats[formats[f]].block > 1;
            assert_int_equal(copied, blocks ? SP_F32 : formats[f]);
            if (!blocks || machine.features & SP_CPU_AVX2)
                assert_int_equal(kept, formats[f]);
            double off = apart(&plain, &fast);
            if (blocks && noise <= 0)
                noise = noise_brings(&plain, &portable, BYTES, false);
            double most = blocks ? 1.5 * noise : 1e-5;
            if (!(off < most))
                fail_msg("%s in %s: logits are %.5f off, at most %.5f is expected", models[i].what, sp_formats[formats[f]].name, off, most);
            worst = blocks ? fmax(worst, off / noise) : worst;
        }
    }
    print_message("%d files, at most %.2f times what noise does\n", n, worst);
}

/* A score makes the logits that serving makes: same files, same blocks. */
static void scores_are_of_the_same_blocks(void **u)
{
    struct sp_weights w;
    struct sp_job job;
    struct sp_live live;
    (void)u;
    draw(models[0].config);
    store(SP_Q4_K);
    struct logits served = run(&machine, SP_F32, NULL, NULL);
    OK(sp_weights_open(&w, in("a.gguf"), &err));
    struct sp_score_shape shape = { .batch = 1, .tokens = SP_COUNT(prompt), .wanted = 1, .compute = SP_F32, .stored_of = sp_weights_stored, .stored_self = &w };
    OK(sp_step_scoring(&w.config, &shape, &machine, &job, &err));
    OK(sp_live_new(&live, &job, pool, false, &err));
    OK(sp_live_fill(&live, &w, NULL, NULL, &err));
    memcpy(sp_live_at(&live, SP_RUN_SCORE, "ids"), prompt, sizeof prompt);
    *(int32_t *)sp_live_at(&live, SP_RUN_SCORE, "rows") = SP_COUNT(prompt) - 1;
    sp_live_run(&live, SP_RUN_SCORE);
    const float *logits = sp_live_at(&live, SP_RUN_SCORE, "logits");
    for (int i = 0; i < VOCAB; i++)
        assert_float_equal(logits[i], served.at[i], 1e-4);
    sp_live_clear(&live);
    sp_job_clear(&job);
    sp_weights_close(&w);
}

/* On a machine of little memory weights stay pages of their file: the same logits; somebody makes it shorter: a sentence,
 * and the process lives. */
static void a_file_cut_while_in_use_is_told(void **u)
{
    struct sp_serve_shape shape = { .batch = 1, .prefill = 32, .cache = 64, .compute = SP_F32 };
    struct sp_machine small = machine;
    struct sp_engine e;
    struct sp_session s;
    struct logits copied, pages;
    (void)u;
    small.memory_bytes = 1 << 20;
    draw(models[0].config);
    store(SP_Q8_0);
    copied = run(&machine, SP_F32, NULL, NULL);
    OK(sp_engine_open(&e, in("a.gguf"), NULL, &shape, &small, pool, &err));
    take(&e, &pages);
    assert_memory_equal(&copied, &pages, sizeof pages);
    sp_session_begin(&s, &e);
    OK(sp_session_feed(&s, prompt, 3, &err));
    assert_int_equal(truncate(in("a.gguf"), 4096), 0);
    assert_int_equal(sp_session_feed(&s, prompt, 1, &err), SP_IO);
    assert_non_null(strstr(err.what, "shorter"));
    sp_session_end(&s);
    sp_engine_close(&e);
}

static void caches_take_fewer_bits(void **u)
{
    static const struct { enum sp_format f; double share; } caches[] = { { SP_BF16, 0.00153 }, { SP_F16, 0.00019 }, { SP_Q8_0, BYTES }, { SP_Q4_0, HALF_BYTES } };
    struct sp_machine portable;
    (void)u;
    sp_machine_portable(&portable);
    draw(models[0].config);
    store(SP_F16);
    struct logits whole = run(&machine, SP_F32, NULL, NULL);
    for (size_t i = 0; i < SP_COUNT(caches); i++) {
        const char *name = sp_formats[caches[i].f].name;
        struct logits less = run(&machine, caches[i].f, NULL, NULL), plain = run(&portable, caches[i].f, NULL, NULL);
        double off = apart(&whole, &less), noise = noise_brings(&whole, &machine, caches[i].share, true), rows = apart(&plain, &less);
        if (!(off < 1.5 * noise) || !(off > noise / 2))
            fail_msg("a cache in %s: logits are %.5f off, %.5f is expected", name, off, noise);
        if (!(rows < off / 4))
            fail_msg("a cache in %s: rows differ by %.5f", name, rows);
    }
}

static int setup(void **u)
{
    (void)u;
    sp_meter_probe(&machine, 2);
    return !mkdtemp(folder) || sp_pool_new(&pool, 2, &err);
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "a.gguf", "noisy.gguf" };
    (void)u;
    sp_pool_free(pool);
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_file_cut_while_in_use_is_told), /* first: the library takes the signal once, the framework in every test */
                                        cmocka_unit_test(blocks_give_the_logits_of_their_numbers),
                                        cmocka_unit_test(scores_are_of_the_same_blocks),
                                        cmocka_unit_test(caches_take_fewer_bits) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
