/* tests/test_api.c - the public header: errors, option sizes, prediction, generation.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <sparsam.h>

static struct sparsam_machine *here;

static int open_machine(void **state)
{
    (void)state;
    struct sparsam_machine_options o = SPARSAM_MACHINE_OPTIONS;
    o.threads = 2;
    return sparsam_machine_open(&here, &o);
}

static int close_machine(void **state)
{
    (void)state;
    sparsam_machine_close(here);
    return 0;
}

static void test_machine(void **state)
{
    (void)state;
    char text[128];
    assert_int_equal(sparsam_machine_threads(here), 2);
    assert_non_null(strstr(sparsam_machine_text(here, text, sizeof text), "2 threads"));
    assert_string_equal(sparsam_version(), SPARSAM_VERSION);
}

static void test_errors(void **state)
{
    (void)state;
    struct sparsam_model *m = (struct sparsam_model *)&state; /* must stay as it is on failure */
    assert_int_not_equal(sparsam_model_open(&m, here, "/nowhere/at/all", NULL), SPARSAM_OK);
    assert_ptr_equal(m, (struct sparsam_model *)&state);
    assert_non_null(strstr(sparsam_error(), "/nowhere/at/all"));
    sparsam_model_close(NULL);
    sparsam_machine_close(NULL);
}

/* size fields: nonsense is refused, an older program's shorter struct leaves the rest at its defaults. */
static void test_option_sizes(void **state)
{
    (void)state;
    struct sparsam_machine *m = NULL;
    struct sparsam_machine_options o = { 0, 1 };
    assert_int_equal(sparsam_machine_open(&m, &o), SPARSAM_USAGE);
    o.size = (size_t)-1;
    assert_int_equal(sparsam_machine_open(&m, &o), SPARSAM_USAGE);
    o.size = offsetof(struct sparsam_machine_options, threads);
    o.threads = -7; /* beyond its size: must not be read */
    assert_int_equal(sparsam_machine_open(&m, &o), SPARSAM_OK);
    assert_true(sparsam_machine_threads(m) >= 1);
    sparsam_machine_close(m);
}

static void test_predict(void **state)
{
    (void)state;
    char path[] = "/tmp/sparsam-recipe-XXXXXX";
    static const char recipe[] = "model: {family: llama, layers: 2, width: 64, heads: 4, ffn: 128, vocab: 256, context: 32, tied: true}\n"
                                 "train: {batch: 4, tokens: 32}\n";
    struct sparsam_prediction p = SPARSAM_PREDICTION;
    int f = mkstemp(path);
    assert_true(f >= 0 && write(f, recipe, sizeof recipe - 1) == sizeof recipe - 1 && !close(f));
    assert_int_equal(sparsam_predict_training(here, path, &p), SPARSAM_OK);
    unlink(path);
    /* embedding, two layers of q k v o, gate up down, two norms, last norm */
    assert_int_equal((int)p.parameters, 256 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * 64) + 64);
    /* forward and backward: 6 a weight of a matrix and token; attention is listed apart */
    double weights = 2 * (4 * 64 * 64 + 3 * 64 * 128) + 256 * 64;
    assert_true(p.flops_matmul_step == 6 * weights * 4 * 32);
    assert_true(p.flops_step > p.flops_matmul_step);
    assert_true(p.memory_peak_bytes > 16 * p.parameters);
    assert_int_not_equal(sparsam_predict_training(here, "/nowhere.yaml", &p), SPARSAM_OK);
}

static void collect(void *self, const char *text)
{
    strcat(self, text);
}

static void test_generate(void **state)
{
    (void)state;
    const char *shared = getenv("SPARSAM_SHARED");
    char path[512], tokenizer[600], streamed[4096] = "";
    snprintf(path, sizeof path, "%s/data/models/stories260K", shared ? shared : "../shared");
    snprintf(tokenizer, sizeof tokenizer, "%s/tok512.bin", path);
    if (access(tokenizer, R_OK))
        skip();
    struct sparsam_model *m = NULL;
    struct sparsam_model_options mo = SPARSAM_MODEL_OPTIONS;
    struct sparsam_generate_options o = SPARSAM_GENERATE_OPTIONS;
    struct sparsam_answer a = SPARSAM_ANSWER;
    assert_int_equal(sparsam_model_open(&m, here, path, NULL), SPARSAM_OK);
    assert_int_equal(sparsam_generate(m, "Once", NULL, &a), SPARSAM_MISSING); /* no tokenizer.json beside it */
    sparsam_model_close(m);
    mo.tokenizer = tokenizer;
    assert_int_equal(sparsam_model_open(&m, here, path, &mo), SPARSAM_OK);
    assert_int_equal(sparsam_model_parameters(m), 260032);
    o.max_tokens = 40;
    o.on_text = collect;
    o.self = streamed;
    assert_int_equal(sparsam_generate(m, "Once upon a time", &o, &a), SPARSAM_OK);
    assert_int_equal(a.tokens, 40);
    assert_string_equal(a.text, streamed);
    assert_non_null(strstr(a.text, "there was a little girl named")); /* what llama2.c says greedily */
    sparsam_answer_clear(&a);
    sparsam_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_machine),      cmocka_unit_test(test_errors),   cmocka_unit_test(test_option_sizes),
        cmocka_unit_test(test_predict),      cmocka_unit_test(test_generate),
    };
    return cmocka_run_group_tests(tests, open_machine, close_machine);
}
