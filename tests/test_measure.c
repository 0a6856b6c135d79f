/* tests/test_measure.c - divergence foretold of formats against that of the model with one tensor so stored, which the judge
 * measures; matrices that a GGUF file turns or whose rows it moves; the model as it was afterwards.
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
#include "kernel/kernel.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 96, CONTEXT = 16, WINDOWS = 24, TRIED = 8, TENSORS_MAX = 32 };
static const char *const config[] = {
    "{\"model_type\": \"llama\", \"vocab_size\": 96, \"hidden_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
    "\"intermediate_size\": 96, \"max_position_embeddings\": 16, \"initializer_range\": 0.2, \"tie_word_embeddings\": true}",
    "{\"model_type\": \"gpt2\", \"vocab_size\": 96, \"n_embd\": 64, \"n_head\": 4, \"n_layer\": 2, \"n_positions\": 16, \"initializer_range\": 0.2}",
};
static const enum sp_format other = SP_Q5_0; /* than what is tried */

static char folder[] = "/tmp/sparsam-test-XXXXXX";
static struct sp_err err;

struct fixture {
    struct sp_machine machine;
    struct sp_weights weights;
    struct sp_export export;
    struct sp_job job, judge;
    struct sp_live live, base, model; /* of the job; of the judge's, the original and one that is changed */
    struct sp_bits_stats known;
    struct sp_choices choices[TENSORS_MAX];
    int32_t ids[WINDOWS * CONTEXT];
};

static const char *in(const char *name)
{
    return place_in(folder, name);
}

static void make_model(struct fixture *f, const char *text)
{
    draw_model(in("hf"), text, 5, SP_F32, &f->machine, NULL, NULL);
    OK(sp_weights_open(&f->weights, in("hf"), &err));
}

static void live(struct fixture *f, const struct sp_job *job, struct sp_live *l)
{
    OK(sp_live_new(l, job, NULL, false, &err));
    OK(sp_live_fill(l, &f->weights, NULL, NULL, &err));
}

static void start(struct fixture *f, int which)
{
    struct sp_random r = { .key = 3 };
    memset(f, 0, sizeof *f);
    sp_machine_portable(&f->machine);
    f->machine.features = sp_cpu_features();
    make_model(f, config[which]);
    for (int i = 0; i < WINDOWS * CONTEXT; i++)
        f->ids[i] = (int32_t)sp_random_below(&r, VOCAB);
    struct sp_windows w = { f->ids, WINDOWS, CONTEXT, -1 };
    struct sp_calibration how = { .what = SP_BITS_X2 | SP_BITS_G2, .sampled = true };
    OK(sp_bits_calibrate(&f->weights, &w, &how, &f->machine, NULL, NULL, &f->known, &err));
    OK(sp_export_begin(&f->export, &f->weights, true, &err));
    assert_true(f->export.n <= TENSORS_MAX);
    OK(sp_step_logits(&f->weights.config, TRIED, CONTEXT, TRIED * CONTEXT / 2, SP_F32, SP_F32, &f->machine, &f->job, &err));
    OK(sp_step_logits(&f->weights.config, WINDOWS, CONTEXT, WINDOWS * sp_windows_scored(CONTEXT), SP_F32, SP_F32, &f->machine, &f->judge, &err));
    live(f, &f->job, &f->live);
    live(f, &f->judge, &f->base);
    live(f, &f->judge, &f->model);
}

static void end(struct fixture *f)
{
    sp_live_clear(&f->live);
    sp_live_clear(&f->base);
    sp_live_clear(&f->model);
    sp_job_clear(&f->job);
    sp_job_clear(&f->judge);
    sp_bits_stats_clear(&f->known);
    sp_export_clear(&f->export);
    sp_weights_close(&f->weights);
    unlink(in("hf/config.json"));
    unlink(in("hf/model.safetensors"));
}

static double loss_of(const struct sp_choices *c, enum sp_format f)
{
    for (int i = 0; i < c->n; i++)
        if (c->at[i].format == f)
            return c->at[i].loss;
    return -1;
}

enum { COLS_MOST = 512 };

/* With a matrix so stored, by rows as a product takes them. */
static double judged(struct fixture *f, const struct sp_export_tensor *t, enum sp_format format)
{
    float *at = sp_live_state(&f->model, t->name), was[VOCAB * 2 * 96], row[COLS_MOST], x[COLS_MOST];
    unsigned char packed[COLS_MOST * 8];
    int64_t rows = t->type.dim[0], cols = t->type.dim[1], over = t->layout.transposed ? 1 : cols, beside = t->layout.transposed ? rows : 1;
    struct sp_judging j = { .windows = { f->ids, WINDOWS, CONTEXT, -1 }, .model = { .live = &f->model }, .base = { .live = &f->base } };
    struct sp_scored s;
    struct sp_fidelity q;
    assert_true(at && cols <= COLS_MOST && rows * cols <= (int64_t)SP_COUNT(was));
    memcpy(was, at, (size_t)(rows * cols) * sizeof *at);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t k = 0; k < cols; k++)
            x[k] = was[i * over + k * beside];
        sp_formats[format].encode(packed, x, cols);
        sp_formats[format].decode(row, packed, cols);
        for (int64_t k = 0; k < cols; k++)
            at[i * over + k * beside] = row[k];
    }
    OK(sp_judge_windows(&j, &s, &err));
    OK(sp_scored_summary(&s, &q, &err));
    memcpy(at, was, (size_t)(rows * cols) * sizeof *at);
    sp_scored_clear(&s);
    return q.divergence.value;
}

static void as_judged(int which)
{
    static struct fixture f;
    double off = 0, most = 0, least = INFINITY;
    int n = 0;
    start(&f, which);
    struct sp_measuring how = { .windows = { f.ids, TRIED, CONTEXT, -1 }, .live = &f.live };
    OK(sp_bits_candidates(&f.export, &f.known, NULL, NULL, f.choices, &err));
    OK(sp_bits_measure(&f.export, &how, f.choices, &err));
    assert_memory_equal(f.live.state.at, f.base.state.at, (size_t)f.job.state.bytes);
    for (int i = 0; i < f.export.n; i++) {
        const struct sp_export_tensor *t = &f.export.tensor[i];
        if (!t->matrix)
            continue;
        double truth = judged(&f, t, other), foretold = loss_of(&f.choices[i], other), ratio = log(foretold / truth);
        off += ratio * ratio;
        most = ratio > most ? ratio : most;
        least = ratio < least ? ratio : least;
        n++;
    }
    off = sqrt(off / n);
    print_message("%s: %d matrices, foretold is off by a factor of %.2f, from %.2f to %.2f\n", which ? "gpt2" : "llama", n, exp(off), exp(least), exp(most));
    assert_true(n == (which ? 9 : 15) && off < log(1.5) && most < log(2.5) && least > -log(2.5));
    end(&f);
}

static void llama(void **state)
{
    (void)state;
    as_judged(0);
}

/* Its matrices are turned in a GGUF file. */
static void gpt2(void **state)
{
    (void)state;
    as_judged(1);
}

/* Layers' numbers make no kind; other numbers in names do. */
static void kinds(void **state)
{
    static struct fixture f;
    int kinds = 0, tensors = 0;
    (void)state;
    start(&f, 0);
    struct sp_measuring how = { .windows = { f.ids, TRIED, CONTEXT, -1 }, .live = &f.live };
    OK(sp_bits_candidates(&f.export, NULL, NULL, NULL, f.choices, &err));
    OK(sp_bits_measure(&f.export, &how, f.choices, &err));
    for (int i = 0; i < f.export.n; i++) {
        kinds += f.choices[i].tensors > 0;
        tensors += f.choices[i].tensors;
        assert_true(f.choices[i].kind <= i && f.choices[f.choices[i].kind].kind == f.choices[i].kind);
    }
    assert_true(kinds == 8 && tensors == 15);
    how.windows.n++;
    assert_int_equal(sp_bits_measure(&f.export, &how, f.choices, &err), SP_SHAPE);
    end(&f);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(llama), cmocka_unit_test(gpt2), cmocka_unit_test(kinds) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
