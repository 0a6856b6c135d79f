/* tests/test_print.c - whole training steps of small models printed as C99: the
 * gradient of a micro-batch and the AdamW update leave the same bits as the run.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "step/step.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 11, TOKENS = 6, STEPS = 2 };
static const enum sp_run runs[] = { SP_RUN_MICRO, SP_RUN_MICRO, SP_RUN_UPDATE, SP_RUN_REFRESH }; /* of a step, in this order */

static void put(FILE *c, enum sp_run run, const char *name, const unsigned char *at, int64_t n)
{
    fputs("    { static const unsigned char b[] = {", c);
    for (int64_t i = 0; i < n; i++)
        fprintf(c, "%d,", at[i]);
    fprintf(c, "}; memcpy(%s_at(\"%s\"), b, %lld); }\n", sp_run_names[run], name, (long long)n);
}

/* Inputs of one run into the live job, and the same bytes into the text. */
static void feed(struct sp_live *l, enum sp_run run, uint64_t seed, FILE *c)
{
    const struct sp_program *p = &l->job->program[run];
    for (int i = 0; i < p->n_named; i++) {
        const struct sp_named *v = &p->named[i];
        struct sp_random r = { .key = sp_random_key(seed, v->name) };
        int64_t n = sp_type_elements(&v->type);
        void *at = sp_live_at(l, run, v->name);
        bool out = !strcmp(v->name, "loss") || !strcmp(v->name, "clip:1");
        for (int64_t k = 0; !out && k < n; k++)
            if (v->type.format == SP_I32)
                ((int32_t *)at)[k] = 1 + (int32_t)sp_random_below(&r, VOCAB - 1);
            else
                ((float *)at)[k] = (float)(0.01 + 0.05 * sp_random_unit(&r));
        if (!out)
            put(c, run, v->name, at, sp_type_bytes(&v->type));
    }
}

static void print_and_run(struct sp_live *l, FILE *c)
{
    const struct sp_program *p[SP_RUNS];
    const struct sp_state *s = &l->job->state;
    int n = 0;
    for (size_t i = 1; i < SP_COUNT(runs); i++)
        if (l->job->has[runs[i]])
            p[n++] = &l->job->program[runs[i]];
    OK(sp_program_print(p, n, s, c, &err));
    fputs("#include <stdio.h>\n#include <string.h>\nint main(void)\n{\n", c);
    for (int i = 0; i < s->n; i++)
        put(c, SP_RUN_MICRO, s->entry[i].name, l->state.at + s->entry[i].at, sp_type_bytes(&s->entry[i].type));
    for (size_t i = 0; i < STEPS * SP_COUNT(runs); i++) {
        enum sp_run run = runs[i % SP_COUNT(runs)];
        if (!l->job->has[run])
            continue;
        feed(l, run, i, c);
        sp_live_run(l, run);
        fprintf(c, "    %s();\n", sp_run_names[run]);
    }
    for (int i = 0; i < s->n; i++)
        fprintf(c, "    fwrite(micro_at(\"%s\"), 1, %lld, stdout);\n", s->entry[i].name, (long long)sp_type_bytes(&s->entry[i].type));
    fputs("    return 0;\n}\n", c);
}

static void compare(const struct sp_live *l, const char *path)
{
    FILE *o = fopen(path, "r");
    assert_non_null(o);
    for (int i = 0; i < l->job->state.n; i++) {
        const struct sp_state_entry *e = &l->job->state.entry[i];
        for (int64_t j = 0; j < sp_type_bytes(&e->type); j++)
            if (fgetc(o) != l->state.at[e->at + j])
                fail_msg("the printed step differs from the run in %s, byte %lld", e->name, (long long)j);
    }
    assert_int_equal(fgetc(o), EOF);
    fclose(o);
}

static void compile_and_compare(struct sp_live *l)
{
    char dir[] = "/tmp/sparsam-print-XXXXXX", path[80], command[400];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/step.c", dir);
    FILE *c = fopen(path, "w");
    assert_non_null(c);
    print_and_run(l, c);
    fclose(c);
    snprintf(command, sizeof command, "cd %s && %s -std=c99 -O1 -Wall -Werror step.c -o step -lm && %s ./step > out", dir,
             getenv("CC") ? getenv("CC") : "cc", getenv("RUNNER") ? getenv("RUNNER") : "");
    assert_int_equal(system(command), 0);
    snprintf(path, sizeof path, "%s/out", dir);
    compare(l, path);
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void printed_steps_equal(enum sp_family f, enum sp_format compute, double dropout)
{
    struct sp_model_config c = { .family = f, .vocab = VOCAB, .context = TOKENS, .layers = 2, .width = 16, .heads = 4, .kv_heads = 2, .ffn = 20,
                                 .tied = true, .bias = true, .bos = -1, .activation = f == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_train_shape shape = { .batch = 2, .tokens = TOKENS, .score_batch = -1, .compute = compute, .dropout = dropout, .seed = 5,
                                    .adamw = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.1 } };
    struct sp_machine m;
    struct sp_job job;
    struct sp_live live;
    sp_machine_portable(&m);
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_train(&c, &shape, &m, NULL, NULL, &job, &err));
    OK(sp_live_new(&live, &job, NULL, false, &err));
    OK(sp_live_init(&live, 3, &err));
    compile_and_compare(&live);
    sp_live_clear(&live);
    sp_job_clear(&job);
}

static void llama_f32(void **u) { (void)u; printed_steps_equal(SP_FAMILY_LLAMA, SP_F32, 0); }
static void llama_bf16(void **u) { (void)u; printed_steps_equal(SP_FAMILY_LLAMA, SP_BF16, 0); }
static void gpt2_with_dropout(void **u) { (void)u; printed_steps_equal(SP_FAMILY_GPT2, SP_F32, 0.2); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(llama_f32), cmocka_unit_test(llama_bf16), cmocka_unit_test(gpt2_with_dropout) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
