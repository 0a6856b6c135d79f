/* tests/test_optimal.c - what scaling laws say of a budget: published constants and
 * test vectors, optima against brute force, ranges by hand, budgets of all kinds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plan/fit.h"
#include "recipe/recipe.h"
#include "step/step.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static void near(double got, double want, double share, const char *what)
{
    if (!(fabs(got / want - 1) <= share))
        fail_msg("%s: %.10g, wanted %.10g within %g", what, got, want, share);
}

static const struct sp_law *law(const char *name)
{
    const struct sp_law *l = sp_law_find(name);
    if (!l)
        fail_msg("no law %s", name);
    return l;
}

/* ---- published values ---- */

static void chinchillas_budget(void **state)
{
    static const struct { const char *law; double ratio; } want[] = { { "hoffmann-rounded", 92.6 }, { "hoffmann", 58.9 }, { "epoch", 18.3 }, { "muennighoff", 19.6 } };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(want); i++) {
        struct sp_law_point p = sp_law_best(law(want[i].law), 5.76e23);
        near(p.tokens / p.parameters, want[i].ratio, 0.006, want[i].law);
        near(6 * p.parameters * p.tokens, 5.76e23, 1e-12, "6 N D");
    }
}

static void epochs_optimum(void **state)
{
    struct sp_law_point p = sp_law_best(law("epoch"), 1e21);
    (void)state;
    near(p.parameters, 2.78e9, 0.002, "N at 1e21");
    near(p.tokens, 5.99e10, 0.002, "D at 1e21");
    p = sp_law_best(law("epoch"), 1e15);
    near(p.parameters, 2.34e6, 0.004, "N at 1e15");
    near(p.tokens, 7.13e7, 0.004, "D at 1e15");
    /* by hand: 1.69 + 406.4 / 1e9^0.34 + 410.7 / 2e10^0.28 */
    near(sp_law_loss(law("hoffmann-rounded"), 1e9, 2e10), 1.69 + 406.4 / 1148.1536 + 410.7 / 766.1052, 1e-5, "loss");
}

/* The values that the published code of Muennighoff et al. prints. */
static void repeated_data(void **state)
{
    const struct sp_law *l = law("muennighoff");
    (void)state;
    near(sp_law_loss_repeated(l, 6.34e9, 242e9, 25e9), 2.2256440889984477, 1e-8, "6.34e9 on 242e9 of 25e9");
    near(sp_law_loss_repeated(l, 8.67e9, 178e9, 25e9), 2.2269634075087867, 1e-8, "8.67e9 on 178e9 of 25e9");
    assert_true(sp_law_loss_repeated(l, 1e9, 1e9, 1e12) == sp_law_loss_repeated(l, 1e9, 1e9, 1e9)); /* not worth more than it is long */
}

/* 13 billion parameters at their best, then 2e12 tokens answered: Sardana et al.'s example. */
static void served_tokens(void **state)
{
    struct sp_law l = { .E = 1.69, .A = 406.4, .B = 410.7, .alpha = 0.336, .beta = 0.283 };
    double g = pow(l.alpha * l.A / (l.beta * l.B), 1 / (l.alpha + l.beta)), flops = 6 * pow(13e9 / g, (l.alpha + l.beta) / l.beta);
    struct sp_law_point c = sp_law_best(&l, flops), p = sp_law_best_served(&l, c.loss, 2e12);
    (void)state;
    near(c.parameters, 13e9, 1e-9, "N");
    near(c.flops + 2 * c.parameters * 2e12, 9.70e22, 0.001, "before");
    near(p.parameters, 6.97e9, 0.002, "smaller N");
    near(p.tokens, 1.25e12, 0.005, "more D");
    near(p.flops + 2 * p.parameters * 2e12, 8.00e22, 0.002, "after");
    near(sp_law_loss(&l, p.parameters, p.tokens), c.loss, 1e-9, "the same loss");
    l = *law("epoch");
    c = (struct sp_law_point){ .parameters = 13e9 };
    g = pow(l.alpha * l.A / (l.beta * l.B), 1 / (l.alpha + l.beta));
    c = sp_law_best(&l, 6 * pow(13e9 / g, (l.alpha + l.beta) / l.beta));
    p = sp_law_best_served(&l, c.loss, 2e12);
    near(p.parameters, 6.09e9, 0.01, "smaller N with epoch's constants");
    near(1 - (p.flops + 2 * p.parameters * 2e12) / (c.flops + 2 * c.parameters * 2e12), 0.29, 0.02, "saved with epoch's constants");
    assert_true(isnan(sp_law_best_served(&l, 1.8, 1e12).parameters)); /* below E */
    near(sp_law_best_served(&l, 2.2, 0).parameters, sp_law_cheapest(&l, 2.2).parameters, 1e-4, "nothing served");
}

/* Compute-optimal as the rule says, to the token. */
static void twenty(void **state)
{
    struct sp_law_point p = sp_law_twenty(law("epoch"), 6 * 70e9 * 1.4e12);
    (void)state;
    near(p.parameters, 70e9, 1e-12, "Chinchilla's parameters");
    near(p.tokens, 1.4e12, 1e-12, "Chinchilla's tokens");
}

/* DeepSeek LLM 67B: 2e12 tokens at about 3 x 67e9 x 2 FLOP a token; batch 0.2920 C^0.3271. */
static void batch_and_rate(void **state)
{
    double batch, rate;
    (void)state;
    sp_law_batch(1e20, &batch, &rate);
    near(batch, 0.2920 * exp(0.3271 * 20 * log(10)), 1e-12, "batch");
    near(rate, 0.3118 * exp(-0.1250 * 20 * log(10)), 1e-12, "rate");
    assert_true(batch > 1.0e6 && batch < 1.02e6 && rate > 9.8e-4 && rate < 9.9e-4);
}

/* ---- optima against brute force ---- */

static void best_is_least(void **state)
{
    (void)state;
    for (const struct sp_law *l = sp_laws; *l->name; l++)
        for (double flops = 1e15; flops < 1e25; flops *= 100) {
            struct sp_law_point p = sp_law_best(l, flops);
            for (double by = 0.9; by < 1.15; by += 0.2)
                assert_true(sp_law_loss(l, by * p.parameters, p.tokens / by) > p.loss);
            near(sp_law_cheapest(l, p.loss).flops, flops, 1e-9, "there and back");
            near(sp_law_cheapest(l, p.loss).parameters, p.parameters, 1e-9, "there and back");
        }
    assert_true(isinf(sp_law_cheapest(law("epoch"), 1.8169).flops));
}

static void best_repeated_is_least(void **state)
{
    const struct sp_law *l = law("muennighoff");
    (void)state;
    for (double unique = 1e8; unique < 1e13; unique *= 10) {
        double flops = 1e22, least = INFINITY;
        struct sp_law_point p = sp_law_best_repeated(l, flops, unique), free = sp_law_best(l, flops);
        for (double n = 1e7; n < 1e13; n *= 1.01)
            least = fmin(least, sp_law_loss_repeated(l, n, flops / 6 / n, unique));
        assert_true(p.loss <= least + 1e-9 && p.loss >= free.loss - 1e-12);
        near(6 * p.parameters * p.tokens, flops, 1e-9, "6 N D");
        assert_true(unique < free.tokens ? p.loss > free.loss : p.loss == free.loss);
    }
}

static void loss_with_little_data(void **state)
{
    const struct sp_law *l = law("muennighoff");
    double floor = l->E + l->B * pow(1e10 * (1 + 15.387756), -l->beta); /* nothing but the data's own part, repeated for ever */
    (void)state;
    double flops = sp_law_flops_repeated(l, 2.5, 1e10);
    near(sp_law_best_repeated(l, flops, 1e10).loss, 2.5, 1e-6, "there and back");
    assert_true(flops > sp_law_cheapest(l, 2.5).flops);
    near(sp_law_flops_repeated(l, 3, 1e13), sp_law_cheapest(l, 3).flops, 1e-9, "data enough");
    assert_true(isinf(sp_law_flops_repeated(l, floor, 1e10)));
    assert_true(isinf(sp_law_flops_repeated(l, l->E, 1e10)));
}

static void best_served_is_least(void **state)
{
    const struct sp_law *l = law("epoch");
    (void)state;
    for (double served = 1e9; served < 1e15; served *= 100) {
        double loss = 2.2, least = INFINITY;
        struct sp_law_point p = sp_law_best_served(l, loss, served);
        for (double n = 1e8; n < 1e12; n *= 1.003) {
            double left = loss - l->E - l->A * pow(n, -l->alpha);
            if (left > 0)
                least = fmin(least, 6 * n * pow(l->B / left, 1 / l->beta) + 2 * n * served);
        }
        assert_true(p.flops + 2 * p.parameters * served <= least * (1 + 1e-9));
    }
}

/* ---- ranges ---- */

static double loss_of(const struct sp_law *l, const void *p)
{
    return sp_law_loss(l, ((const double *)p)[0], ((const double *)p)[1]);
}

static double e_of(const struct sp_law *l, const void *arg)
{
    (void)arg;
    return l->E;
}

static void ranges_by_hand(void **state)
{
    struct sp_law l = *law("epoch");
    double at[] = { 1e9, 2e10 };
    (void)state;
    memset(l.covariance, 0, sizeof l.covariance);
    l.covariance[SP_LAW_E][SP_LAW_E] = 1e-4;
    struct sp_figure f = sp_law_range(&l, e_of, NULL, 0, false);
    near(f.high / f.likely, exp(1.959964 * 0.01), 1e-6, "E itself");
    assert_true(f.how == SP_HOW_MODEL);
    f = sp_law_range(&l, loss_of, at, 0, false);
    near(f.high / f.likely, exp(1.959964 * 0.01 * l.E / f.likely), 1e-5, "a loss, of which E is a part");
    f = sp_law_range(&l, e_of, NULL, 2, false); /* two powers of ten outside: three times as wide */
    near(f.high / f.likely, exp(3 * 1.959964 * 0.01), 1e-6, "outside");
    assert_true(f.how == SP_HOW_ASSUMED);
    l.scatter = 0.02;
    f = sp_law_range(&l, e_of, NULL, 0, true);
    near(f.high / f.likely, exp(1.959964 * sqrt(1e-4 + 4e-4)), 1e-6, "one run");
}

static void outside_is_said(void **state)
{
    const struct sp_law *l = law("epoch");
    (void)state;
    assert_true(sp_law_outside(l, 1e20) == 0);
    near(sp_law_outside(l, l->flops_max * 100), 2, 1e-9, "above");
    near(sp_law_outside(l, l->flops_min / 10), 1, 1e-9, "below");
}

/* ---- budgets ---- */

static void budgets(void **state)
{
    const double a100 = 312e12;
    static const struct { struct sp_budget b; double hours; enum sp_budget_limit tightest; } good[] = {
        { { .device_hours = 1000 }, 1000, SP_BUDGET_HOURS },
        { { .money = 5000, .price = 2 }, 2500, SP_BUDGET_MONEY },
        { { .energy_kwh = 600, .watts = 400 }, 1500, SP_BUDGET_ENERGY },
        { { .days = 7, .devices = 8 }, 1344, SP_BUDGET_DAYS },
        { { .days = 7, .devices = 8, .money = 1000, .price = 1 }, 1000, SP_BUDGET_MONEY },
        { { .flops = 4.4928e17, .device_hours = 50 }, 1, SP_BUDGET_FLOPS },
    };
    double flops, hours;
    enum sp_budget_limit tightest;
    (void)state;
    for (size_t i = 0; i < SP_COUNT(good); i++) {
        struct sp_budget b = good[i].b;
        b.peak_flops = a100;
        b.utilisation = 0.4;
        OK(sp_budget_flops(&b, &flops, &hours, &tightest, &err));
        near(hours, good[i].hours, 1e-9, sp_budget_names[good[i].tightest]);
        near(flops, good[i].hours * 3600 * a100 * 0.4, 1e-9, sp_budget_names[good[i].tightest]);
        assert_int_equal(tightest, good[i].tightest);
    }
    OK(sp_budget_flops(&(struct sp_budget){ .flops = 1e21 }, &flops, &hours, &tightest, &err));
    assert_true(flops == 1e21 && isnan(hours));
}

static void budgets_refused(void **state)
{
    static const struct { struct sp_budget b; const char *says; } bad[] = {
        { { 0 }, "no budget" },
        { { .device_hours = 1 }, "needs a device" },
        { { .money = 1, .peak_flops = 1e14, .utilisation = 0.4 }, "costs an hour" },
        { { .energy_kwh = 1, .peak_flops = 1e14, .utilisation = 0.4 }, "watts" },
        { { .days = 1, .peak_flops = 1e14, .utilisation = 0.4 }, "number of devices" },
        { { .flops = 1e21, .money = 3 }, "needs a device" },
    };
    double flops, hours;
    enum sp_budget_limit tightest;
    (void)state;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        struct sp_err e = { 0 };
        assert_int_equal(sp_budget_flops(&bad[i].b, &flops, &hours, &tightest, &e), SP_USAGE);
        assert_non_null(strstr(e.what, bad[i].says));
        assert_true(*e.remedy);
    }
}

/* ---- files ---- */

static void laws_as_json(void **state)
{
    struct sp_law back;
    (void)state;
    for (const struct sp_law *l = sp_laws; *l->name; l++) {
        json_t *j = sp_law_json(l);
        OK(sp_law_from_json(&back, j, &err));
        assert_string_equal(back.name, l->name);
        assert_string_equal(back.source, l->source);
        assert_true(back.E == l->E && back.beta == l->beta && back.flops_max == l->flops_max && back.runs == l->runs && back.how == l->how);
        assert_memory_equal(back.covariance, l->covariance, sizeof back.covariance);
        json_decref(j);
    }
}

static void laws_refused(void **state)
{
    static const struct { const char *text, *says; } bad[] = {
        { "{}", "\"E\" is missing" },
        { "{\"E\": 1, \"A\": 1, \"B\": 1, \"alpha\": 0.3}", "\"beta\" is missing" },
        { "{\"E\": 1, \"A\": -1, \"B\": 1, \"alpha\": 0.3, \"beta\": 0.3}", "A" },
        { "{\"E\": 1, \"A\": 1, \"B\": 1, \"alpha\": 0, \"beta\": 0.3}", "alpha" },
        { "{\"E\": 1, \"A\": 1, \"B\": 1, \"alpha\": 0.3, \"beta\": 0.3, \"covariance\": [1]}", "covariance" },
        { "{\"E\": 1, \"A\": 1, \"B\": 1, \"alpha\": 0.3, \"beta\": 0.3, \"how\": \"guessed\"}", "guessed" },
    };
    struct sp_law l;
    struct sp_err e = { 0 };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        json_t *j;
        OK(sp_json_parse(&j, bad[i].text, strlen(bad[i].text), "t", &err));
        e = (struct sp_err){ 0 };
        assert_int_equal(sp_law_from_json(&l, j, &e), SP_FORMAT);
        if (!strstr(e.what, bad[i].says))
            fail_msg("\"%s\" does not say \"%s\"", e.what, bad[i].says);
        json_decref(j);
    }
    assert_int_equal(sp_law_open(&l, "no-such-law", &e), SP_MISSING);
    assert_non_null(strstr(e.remedy, "hoffmann-rounded"));
    OK(sp_law_open(&l, "muennighoff", &err));
    assert_true(l.alpha == l.beta);
}

/* ---- a recipe ---- */

static enum sp_status rewrite(struct sp_recipe *r, const char *flops, const char *unique, struct sp_err *e)
{
    const struct sp_technique *t = NULL;
    double options[8] = { 0 };
    char words[2][64], *word[] = { words[0], words[1] };
    int operands;
    for (const struct sp_technique *const *at = sp_techniques; *at; at++)
        if (!strcmp((*at)->name, "optimal"))
            t = *at;
    assert_true(t && t->options_bytes <= sizeof options);
    struct sp_option_set set = { t->options, options };
    sp_option_defaults(&set, 1);
    snprintf(words[0], sizeof words[0], "--optimal-flops=%s", flops);
    snprintf(words[1], sizeof words[1], "--optimal-unique=%s", unique);
    OK(sp_option_parse(&set, 1, 2, word, &operands, &err));
    return t->recipe(r, options, e);
}

/* What training the recipe takes, counted with the shape that train uses. */
static double counted(const struct sp_recipe *r, double *parameters)
{
    struct sp_model_config c;
    struct sp_step_count n;
    struct sp_machine m;
    sp_machine_portable(&m);
    OK(sp_recipe_config(r, 2048, &c, &err));
    struct sp_train_shape t = sp_train_shape_of(r, &c);
    OK(sp_step_count_train(&c, &t, &m, &n, &err));
    *parameters = (double)n.parameters;
    return (n.micro.flops_matmul + n.micro.flops_attention + n.micro.flops_other - n.micro.flops_by_part[SP_PART_RECOMPUTE]) / (double)(t.batch * t.tokens) *
           (double)r->train.tokens_total;
}

static struct sp_recipe small(void)
{
    struct sp_recipe r;
    sp_recipe_defaults(&r);
    r.train.minutes = 5;
    return r;
}

static void recipe_gets_the_best_size(void **state)
{
    struct sp_recipe r = small(), more = small();
    double n, bigger;
    (void)state;
    sp_log_set(SP_LOG_ERROR);
    OK(rewrite(&r, "1e15", "0", &err));
    near(counted(&r, &n), 1e15, 1e-3, "counted FLOP");
    assert_true(r.train.minutes == 0 && r.train.steps == 0);
    near((double)r.model.width / (double)r.model.heads, 64, 1e-12, "size of a head");
    near((double)r.model.layers / (double)r.model.width, 4.0 / 256, 0.26, "proportions");
    /* narrower and wider by a head or two is no better by the law */
    double loss = sp_law_loss(law("epoch"), n, (double)r.train.tokens_total);
    for (int by = -2; by <= 2; by++) {
        struct sp_recipe other = r;
        other.model.heads += by;
        if (!by || other.model.heads < 1)
            continue;
        other.model.width = 64 * other.model.heads;
        other.model.layers = (int64_t)fmax(1, round((double)other.model.heads));
        other.train.tokens_total = 1000000;
        other.train.tokens_total = (int64_t)(1e15 / counted(&other, &n) * 1e6);
        assert_true(sp_law_loss(law("epoch"), n, (double)other.train.tokens_total) >= loss);
    }
    OK(rewrite(&more, "1e17", "0", &err));
    near(counted(&more, &bigger), 1e17, 1e-3, "counted FLOP");
    counted(&r, &n);
    assert_true(bigger > 5 * n && more.train.tokens_total > 5 * r.train.tokens_total);
    r = small();
    OK(rewrite(&r, "1e17", "2e6", &err)); /* data is short: a smaller model sees it more often */
    assert_true(counted(&r, &n) > 0 && n < bigger && r.train.tokens_total > more.train.tokens_total);
}

static void recipe_refused(void **state)
{
    struct sp_recipe r = small();
    struct sp_err e = { 0 };
    (void)state;
    assert_int_equal(rewrite(&r, "0", "0", &e), SP_USAGE);
    assert_non_null(strstr(e.what, "no budget"));
    r.model.path = "somewhere";
    assert_int_equal(rewrite(&r, "1e15", "0", &e), SP_USAGE);
    assert_non_null(strstr(e.what, "somewhere"));
    r = small();
    r.model.family = SP_FAMILY_MLP;
    assert_int_equal(rewrite(&r, "1e15", "0", &e), SP_UNSUPPORTED);
    r = small();
    r.data.tokenizer = "some.json";
    assert_int_equal(rewrite(&r, "1e15", "0", &e), SP_USAGE); /* whose size nobody says */
    assert_non_null(strstr(e.what, "vocabulary"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chinchillas_budget), cmocka_unit_test(epochs_optimum),         cmocka_unit_test(repeated_data),        cmocka_unit_test(served_tokens),
        cmocka_unit_test(twenty),             cmocka_unit_test(batch_and_rate),         cmocka_unit_test(best_is_least),        cmocka_unit_test(best_repeated_is_least),
        cmocka_unit_test(best_served_is_least), cmocka_unit_test(ranges_by_hand),       cmocka_unit_test(outside_is_said),      cmocka_unit_test(budgets),
        cmocka_unit_test(budgets_refused),    cmocka_unit_test(laws_as_json),           cmocka_unit_test(laws_refused),
        cmocka_unit_test(recipe_gets_the_best_size), cmocka_unit_test(recipe_refused), cmocka_unit_test(loss_with_little_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
