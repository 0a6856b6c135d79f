/* tests/test_article.c - every cell of the rule of thumb against what the article
 * prints, every sentence's numbers, and that each cell moves with its input.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "plan/article.h"

static struct sp_err err;
static struct sp_article a;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static struct sp_article_input usual(void)
{
    struct sp_article_input in;
    struct sp_option_set set = { sp_article_options, &in };
    sp_option_defaults(&set, 1);
    return in;
}

static void near(double is, double want, double tolerance, const char *what)
{
    if (!(fabs(is - want) <= tolerance))
        fail_msg("%s is %.6f, wanted %.6f within %g", what, is, want, tolerance);
}

static double cell(int model, int quantity)
{
    return a.cell[model][quantity].computed;
}

/* What the article prints and what follows from its inputs (by hand), to half of the last place given. */
static const struct golden { int model, quantity; double value, within; } golden[] = {
    { SP_ARTICLE_GPT35, SP_ARTICLE_MEMORY, 4200, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_NEEDED, 140, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_GPUS, 164, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_PF_DAYS, 3700, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_TOKENS, 304.457, 0.001 },  /* 3700 x 8.64e19 / 6 / 175e9 */
    { SP_ARTICLE_GPT35, SP_ARTICLE_GPU_DAYS, 29600, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_DAYS, 180.5, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_POWER, 82, 1e-9 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_ENERGY, 355224, 1e-6 },
    { SP_ARTICLE_GPT35, SP_ARTICLE_MONEY, 2410103, 0.5 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_MEMORY, 480, 1e-9 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_NEEDED, 16, 1e-9 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_GPUS, 16, 1e-9 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_DAYS, 20.63, 0.005 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_POWER, 8, 1e-9 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_ENERGY, 4032, 1e-6 },
    { SP_ARTICLE_TURBO, SP_ARTICLE_MONEY, 26894.43, 0.001 * 26894.43 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_MEMORY, 168, 1e-9 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_NEEDED, 6, 1e-9 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_GPUS, 6, 1e-9 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_DAYS, 7.22, 0.005 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_POWER, 3, 1e-9 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_ENERGY, 576, 1e-6 },
    { SP_ARTICLE_LLAMA2, SP_ARTICLE_MONEY, 3517.99, 0.003 * 3517.99 },
};

static void test_cells(void **state)
{
    (void)state;
    struct sp_article_input in = usual();
    OK(sp_article_make(&in, &a, &err));
    assert_int_equal(a.models, 3);
    for (size_t i = 0; i < SP_COUNT(golden); i++)
        near(cell(golden[i].model, golden[i].quantity), golden[i].value, golden[i].within, sp_article_rows[golden[i].quantity].key);
    for (int m = 0; m < a.models; m++)
        for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++)
            if (a.cell[m][q].printed.step > 0 && !(q == SP_ARTICLE_MONEY && m))
                assert_true(sp_article_agrees(a.cell[m][q].computed, a.cell[m][q].printed));
}

static void test_tables(void **state)
{
    (void)state;
    static const struct { const char *name; int exponent, fraction; double stored, trained; } want[] = {
        { "FP32", 8, 23, 4, 80 }, { "FP16", 5, 10, 2, 40 }, { "BF16", 8, 7, 2, 40 }, { "INT8", 0, 7, 1, 20 },
    };
    static const struct { double optimal, within, trained; } tokens[] = { { 1.4e12, 1, 1.4e12 }, { 1.3e12, 1, 1.4e12 }, { 3.5e12, 1, 300e9 } };
    struct sp_article_input in = usual();
    OK(sp_article_make(&in, &a, &err));
    for (size_t i = 0; i < SP_COUNT(want); i++) {
        assert_string_equal(a.format[i].name, want[i].name);
        assert_int_equal(a.format[i].exponent, want[i].exponent);
        assert_int_equal(a.format[i].fraction, want[i].fraction);
        near(a.format[i].stored_gb, want[i].stored, 1e-9, "stored");
        near(a.format[i].trained_gb, want[i].trained, 1e-9, "trained");
    }
    for (size_t i = 0; i < SP_COUNT(tokens); i++) {
        near(a.optimal[i].optimal, tokens[i].optimal, tokens[i].within, "optimal tokens");
        near(a.optimal[i].trained, tokens[i].trained, tokens[i].within, "trained tokens");
    }
}

static double said(const char *key, const char *name)
{
    for (int i = 0; i < a.notes; i++)
        for (int k = 0; !strcmp(a.note[i].key, key) && k < SP_ARTICLE_VALUES_MAX && a.note[i].at[k].name; k++)
            if (!strcmp(a.note[i].at[k].name, name))
                return a.note[i].at[k].value;
    fail_msg("no number %s in the sentence %s", name, key);
    return NAN;
}

static void test_sentences(void **state)
{
    (void)state;
    static const struct { const char *key, *name; double value, within; const char *text; } want[] = {
        { "practical", "factor", 1.17, 0.005, "From 140 GPUs to 164: the factor of 1.17" },
        { "money", "computed", 2410103, 0.5, "= 2,410,103 EUR: the 2.41 million" },
        { "money", "first_follows", 1, 0, "follows from these inputs" },
        { "money", "second_follows", 0, 0, "2,403,738.88 printed in another does not" },
        { "square", "exponent", 2, 0.1, "N squared" },
        { "square", "turbo_gpu_days", 330.3, 0.05, "330.3 and 43.2 GPU-days" },
        { "square", "llama_gpu_days", 43.2, 0.05, "(20.63, 7.22)" },
        { "square", "turbo_tokens_b", 30, 0.5, "about 30 and 11 billion tokens" },
        { "square", "llama_tokens_b", 11, 0.5, "" },
        { "rounding", "turbo_days_energy", 21, 0, "20.63 to 21, 7.22 to 8" },
        { "rounding", "llama_days_energy", 8, 0, "the cost doesn't" },
        { "unit", "kwh", 355224, 1e-6, "in kW where kWh is meant" },
        { "utilisation", "assumed", 1, 1e-12, "100 % of their peak" },
        { "utilisation", "published", 0.197, 0.0005, "reached 20 %" }, /* as looked up from Epoch AI's table */
        { "epochs", "epochs", 1, 0, "One epoch is assumed" },
        { "bytes", "here", 24, 0, "24 bytes a parameter here and 80 there" },
        { "bytes", "there", 80, 0, "" },
        { "llama", "published_hours", 184320, 1e-6, "184,320 A100-hours" },
        { "llama", "times", 178, 0.5, "178 times" },
        { "watts", "watts_published", 363, 1.5, "2.0 times its chip's 250 W" }, /* 330 W x PUE 1.1, as published */
    };
    struct sp_article_input in = usual();
    OK(sp_article_make(&in, &a, &err));
    for (size_t i = 0; i < SP_COUNT(want); i++) {
        bool found = false;
        near(said(want[i].key, want[i].name), want[i].value, want[i].within, want[i].name);
        for (int k = 0; k < a.notes; k++)
            found |= !strcmp(a.note[k].key, want[i].key) && strstr(a.note[k].text, want[i].text);
        if (!found)
            fail_msg("the sentence %s does not say \"%s\"", want[i].key, want[i].text);
    }
    for (int i = 0; i < a.notes; i++)
        assert_int_equal(a.note[i].text[strlen(a.note[i].text) - 1], '.'); /* none was cut off */
}

/* Twice the input moves exactly the cells that follow from it, by what arithmetic says. */
static void test_inputs_move(void **state)
{
    (void)state;
    static const struct { size_t at; int quantity; double times; } want[] = {
        { offsetof(struct sp_article_input, bytes_per_parameter), SP_ARTICLE_MEMORY, 2 },
        { offsetof(struct sp_article_input, bytes_per_parameter), SP_ARTICLE_NEEDED, 2 },
        { offsetof(struct sp_article_input, bytes_per_parameter), SP_ARTICLE_MONEY, 1 },
        { offsetof(struct sp_article_input, pf_days), SP_ARTICLE_MONEY, 2 },
        { offsetof(struct sp_article_input, pf_days), SP_ARTICLE_MEMORY, 1 },
        { offsetof(struct sp_article_input, per_pf), SP_ARTICLE_GPU_DAYS, 2 },
        { offsetof(struct sp_article_input, watts), SP_ARTICLE_ENERGY, 2 },
        { offsetof(struct sp_article_input, watts), SP_ARTICLE_MONEY, 1 },
        { offsetof(struct sp_article_input, price), SP_ARTICLE_MONEY, 2 },
        { offsetof(struct sp_article_input, price), SP_ARTICLE_ENERGY, 1 },
        { offsetof(struct sp_article_input, epochs), SP_ARTICLE_TOKENS, 2 },
        { offsetof(struct sp_article_input, practical), SP_ARTICLE_GPUS, 2 },
    };
    struct sp_article_input in = usual();
    static struct sp_article before;
    OK(sp_article_make(&in, &before, &err));
    for (size_t i = 0; i < SP_COUNT(want); i++) {
        in = usual();
        *(double *)(void *)((char *)&in + want[i].at) *= 2;
        OK(sp_article_make(&in, &a, &err));
        near(cell(0, want[i].quantity) / before.cell[0][want[i].quantity].computed, want[i].times, 1e-9, sp_article_rows[want[i].quantity].key);
    }
    in = usual();
    in.price *= 2;
    OK(sp_article_make(&in, &a, &err));
    near(said("money", "first_follows"), 0, 0, "at twice the price 2.41 million follows"); /* a sentence is made, not stored */
}

/* What physics says is counted, and holds the published runs; the rule of thumb isn't near either. */
static void test_physical(void **state)
{
    (void)state;
    struct sp_article_input in = usual();
    OK(sp_article_make(&in, &a, &err));
    for (int m = 0; m < a.models; m++)
        for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++) {
            const struct sp_figure *f = &a.cell[m][q].physical;
            assert_true(f->how != SP_HOW_UNKNOWN && f->low > 0 && f->low <= f->likely && f->likely <= f->high);
        }
    static const int held[] = { SP_ARTICLE_GPU_DAYS, SP_ARTICLE_ENERGY, SP_ARTICLE_TOKENS };
    for (size_t i = 0; i < SP_COUNT(held); i++) {
        const struct sp_article_cell *c = &a.cell[SP_ARTICLE_GPT35][held[i]];
        assert_true(c->published >= c->physical.low && c->published <= c->physical.high);
    }
    near(a.cell[SP_ARTICLE_GPT35][SP_ARTICLE_PF_DAYS].physical.likely, 3640, 0.03 * 3640, "effort of GPT-3, counted"); /* Brown et al. 2020, 6 N D */
    near(log(a.a100_hours.likely / 184320), 0, log(1.3), "A100-hours of Llama 2 7B over the published");
    assert_true(a.cell[SP_ARTICLE_LLAMA2][SP_ARTICLE_GPU_DAYS].physical.low > 100 * cell(SP_ARTICLE_LLAMA2, SP_ARTICLE_GPU_DAYS));
    for (int i = 0; i < SP_ARTICLE_OPTIMALS; i++)
        near(log(a.optimal[i].by_law / a.optimal[i].optimal), 0, log(1.4), "tokens by the law over 20 a parameter");
}

static void test_own_model_and_refusal(void **state)
{
    (void)state;
    struct sp_article_input in = usual();
    in.parameters = 7e9;
    OK(sp_article_make(&in, &a, &err));
    assert_int_equal(a.models, 4);
    for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++)
        near(cell(SP_ARTICLE_OWN, q), cell(SP_ARTICLE_LLAMA2, q), 1e-9, sp_article_rows[q].key);
    in.parameters = 50; /* too small to have a shape: its cells stand, and a sentence says why there is no more */
    OK(sp_article_make(&in, &a, &err));
    near(cell(SP_ARTICLE_OWN, SP_ARTICLE_NEEDED), 1, 0, "GPUs of a very small model");
    assert_int_equal(a.cell[SP_ARTICLE_OWN][SP_ARTICLE_DAYS].physical.how, SP_HOW_UNKNOWN);
    bool found = false;
    for (int i = 0; i < a.notes; i++)
        found |= !strcmp(a.note[i].key, "own");
    assert_true(found);
    in.usable_gb = 33;
    assert_int_equal(sp_article_make(&in, &a, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "usable"));
}

static void test_number(void **state)
{
    (void)state;
    static const struct { double v; int decimals; const char *text; } want[] = {
        { 0, 0, "0" }, { 999, 0, "999" }, { 1000, 0, "1,000" }, { 2410103.04, 2, "2,410,103.04" }, { -1234.5, 1, "-1,234.5" }, { 999999.6, 0, "1,000,000" },
    };
    char buf[40];
    for (size_t i = 0; i < SP_COUNT(want); i++)
        assert_string_equal(sp_article_number(want[i].v, want[i].decimals, buf, sizeof buf), want[i].text);
    assert_string_equal(sp_article_number(1234567, 0, buf, 6), "1,23"); /* cut, never past the end */
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cells),       cmocka_unit_test(test_tables),  cmocka_unit_test(test_sentences),
                                        cmocka_unit_test(test_inputs_move), cmocka_unit_test(test_own_model_and_refusal), cmocka_unit_test(test_number), cmocka_unit_test(test_physical) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
