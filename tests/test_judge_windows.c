/* tests/test_judge_windows.c - windows, divergences and llama.cpp's file of
 * log-probabilities against the same sums in double precision, on models simple
 * enough to be written down; and what must hold whatever the model is.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "judge/judge.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 9, WIDTH = 8, CONTEXT = 8, EACH = 3, WINDOWS = 7, BOS = 1 };

static const double EPS = 1e-5;
static int32_t ids[WINDOWS * CONTEXT];
static char folder[64];

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- a model whose blocks add nothing: a token's distribution follows from that token alone ---- */

struct judged { struct sp_job job; struct sp_live live; float *embed; };

static void begin(struct judged *j, uint64_t seed, int64_t batch)
{
    struct sp_model_config c = { .family = SP_FAMILY_LLAMA, .vocab = VOCAB, .context = CONTEXT, .layers = 1, .width = WIDTH, .heads = 2,
                                 .kv_heads = 2, .ffn = 12, .tied = true, .bos = -1, .activation = SP_SILU, .norm_eps = EPS };
    struct sp_machine m;
    struct sp_random r = { .key = seed };
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_logits(&c, batch, CONTEXT, batch * EACH, SP_F32, SP_F32, &m, &j->job, &err));
    OK(sp_live_new(&j->live, &j->job, NULL, false, &err));
    OK(sp_live_init(&j->live, 1, &err));
    for (int i = 0; i < j->job.state.n; i++) {
        const struct sp_state_entry *e = &j->job.state.entry[i];
        float *p = sp_live_state(&j->live, e->name);
        if (e->kind != SP_STATE_PARAM)
            continue;
        bool embed = strstr(e->name, "embed") != NULL;
        for (int64_t k = 0; k < sp_type_elements(&e->type); k++)
            p[k] = embed ? (float)sp_random_normal(&r) : e->type.n > 1 ? 0 : 1;
        j->embed = embed ? p : j->embed;
    }
    if (j->job.has[SP_RUN_REFRESH])
        sp_live_run(&j->live, SP_RUN_REFRESH);
}

static void end(struct judged *j)
{
    sp_live_clear(&j->live);
    sp_job_clear(&j->job);
}

static void distribution(const struct judged *j, int32_t id, double logp[VOCAB])
{
    const float *x = j->embed + id * WIDTH;
    double square = 0, sum = 0;
    for (int i = 0; i < WIDTH; i++)
        square += (double)x[i] * (double)x[i];
    for (int v = 0; v < VOCAB; v++) {
        logp[v] = 0;
        for (int i = 0; i < WIDTH; i++)
            logp[v] += (double)x[i] / sqrt(square / WIDTH + EPS) * (double)j->embed[v * WIDTH + i];
        sum += exp(logp[v]);
    }
    for (int v = 0; v < VOCAB; v++)
        logp[v] -= log(sum);
}

static int top(const double p[VOCAB])
{
    int best = 0;
    for (int v = 1; v < VOCAB; v++)
        best = p[v] > p[best] ? v : best;
    return best;
}

static struct sp_judging judging(struct judged *model, struct judged *base)
{
    return (struct sp_judging){ .windows = { ids, WINDOWS, CONTEXT, BOS }, .model = { model ? &model->live : NULL, NULL }, .base = { base ? &base->live : NULL, NULL } };
}

/* ---- against sums by hand ---- */

static void as_by_hand(void **u)
{
    struct judged a = { 0 }, b = { 0 };
    struct sp_scored s;
    (void)u;
    begin(&a, 3, 2); /* 7 windows in batches of 2: the last is half empty */
    begin(&b, 4, 2);
    struct sp_judging j = judging(&a, &b);
    OK(sp_judge_windows(&j, &s, &err));
    assert_int_equal(s.each, EACH);
    assert_int_equal(sp_windows_scored(512), 255);
    for (int w = 0; w < WINDOWS; w++)
        for (int i = 0; i < EACH; i++) { /* from the tokens at 4, 5, 6 those at 5, 6, 7 */
            int32_t id = ids[w * CONTEXT + CONTEXT / 2 + i], next = ids[w * CONTEXT + CONTEXT / 2 + i + 1];
            int64_t at = w * EACH + i;
            double p[VOCAB], q[VOCAB], kl = 0;
            distribution(&a, id, p);
            distribution(&b, id, q);
            for (int v = 0; v < VOCAB; v++)
                kl += q[v] > -16 ? exp(q[v]) * (q[v] - p[v]) : 0;
            assert_true(fabs(s.nll[at] + p[next]) < 1e-5 && fabs(s.base_nll[at] + q[next]) < 1e-5);
            assert_true(fabs(s.divergence[at] - kl) < 1e-5);
            assert_true(fabs(s.p_change[at] - (exp(p[next]) - exp(q[next]))) < 1e-5);
            assert_int_equal(s.same_top[at], top(p) == top(q));
        }
    sp_scored_clear(&s);
    end(&a);
    end(&b);
}

/* Attention sees the first token of a window: with weights drawn at random, another one changes the figures. */
static void bos_stands_in_front(void **u)
{
    struct judged a = { 0 };
    struct sp_scored with, without, twice;
    (void)u;
    begin(&a, 3, 1);
    OK(sp_live_init(&a.live, 5, &err));
    for (int i = 0; i < a.job.state.n; i++) {
        const struct sp_state_entry *e = &a.job.state.entry[i];
        float *p = sp_live_state(&a.live, e->name);
        for (int64_t k = 0; e->kind == SP_STATE_PARAM && e->type.n > 1 && k < sp_type_elements(&e->type); k++)
            p[k] *= 20;
    }
    if (a.job.has[SP_RUN_REFRESH])
        sp_live_run(&a.live, SP_RUN_REFRESH);
    struct sp_judging j = judging(&a, NULL);
    OK(sp_judge_windows(&j, &with, &err));
    j.windows.bos = -1;
    OK(sp_judge_windows(&j, &without, &err));
    int32_t kept[WINDOWS];
    for (int w = 0; w < WINDOWS; w++) {
        kept[w] = ids[w * CONTEXT];
        ids[w * CONTEXT] = BOS;
    }
    OK(sp_judge_windows(&j, &twice, &err));
    for (int w = 0; w < WINDOWS; w++)
        ids[w * CONTEXT] = kept[w];
    assert_memory_equal(with.nll, twice.nll, sizeof(double) * WINDOWS * EACH);
    assert_memory_not_equal(with.nll, without.nll, sizeof(double) * WINDOWS * EACH);
    sp_scored_clear(&with);
    sp_scored_clear(&without);
    sp_scored_clear(&twice);
    end(&a);
}

/* ---- what must hold ---- */

static void same_model_does_not_diverge(void **u)
{
    struct judged a = { 0 }, b = { 0 };
    struct sp_scored s, one;
    struct sp_fidelity f;
    struct sp_pool *pool;
    (void)u;
    begin(&a, 3, 3);
    begin(&b, 3, 3);
    struct sp_judging j = judging(&a, &b);
    OK(sp_judge_windows(&j, &one, &err));
    OK(sp_pool_new(&pool, 4, &err));
    j.pool = pool;
    OK(sp_judge_windows(&j, &s, &err));
    assert_memory_equal(one.nll, s.nll, sizeof(double) * WINDOWS * EACH);
    assert_memory_equal(one.divergence, s.divergence, sizeof(double) * WINDOWS * EACH);
    OK(sp_scored_summary(&s, &f, &err));
    assert_true(f.compared && f.divergence.value == 0 && f.largest == 0 && f.same_top.value == 1 && f.p_change_rms.value == 0);
    assert_true(f.perplexity_ratio.value == 1 && f.chance == 1 && fabs(f.correlation - 1) < 1e-12);
    sp_scored_clear(&s);
    sp_scored_clear(&one);
    sp_pool_free(pool);
    end(&a);
    end(&b);
}

/* ---- llama.cpp's file ---- */

/* By hand: 16 nats are 65535 codes; -8 is half of them, 32767.5, which goes to the even 32768; -20 is clipped. */
static void a_row_as_its_writer_makes_it(void **u)
{
    static const float logits[3] = { 0, -20, -8 };
    unsigned char row[16] = { [14] = 7, [15] = 7 };
    float head[2], logp[3];
    uint16_t code[4];
    (void)u;
    assert_int_equal(sp_logits_row_bytes(3), 16);
    assert_int_equal(sp_logits_row_bytes(8192), 2 * (8192 + 4));
    sp_logits_encode(logits, 3, row);
    memcpy(head, row, 8);
    memcpy(code, row + 8, 8);
    assert_true(head[0] == 16.0f / 65535.0f && fabs((double)head[1] + 16 + log1p(exp(-8) + exp(-20))) < 1e-6);
    assert_true(code[0] == 65535 && code[1] == 0 && code[2] == 32768 && code[3] == 0);
    assert_true(sp_logits_decode(row, 3, logp));
    assert_true(fabs((double)logp[0] + log1p(exp(-8))) < 2e-4 && fabs((double)logp[2] + 8 + log1p(exp(-8))) < 2e-4);
    static const float even[2] = { 5, 5 };
    sp_logits_encode(even, 2, row); /* no range: no scale */
    assert_true(sp_logits_decode(row, 2, logp) && fabs((double)logp[1] + log(2)) < 1e-6);
    head[1] = 0;
    memcpy(row, head, 8);
    assert_false(sp_logits_decode(row, 3, logp)); /* adds up to far more than 1 */
    head[0] = NAN;
    memcpy(row, head, 8);
    assert_false(sp_logits_decode(row, 3, logp));
}

static void save(struct judged *a, const char *name)
{
    struct sp_out o = { 0 };
    struct sp_scored s;
    struct sp_judging j = judging(a, NULL);
    OK(sp_logits_create(&o, path_of(name), &j.windows, VOCAB, &err));
    j.save = &o;
    OK(sp_judge_windows(&j, &s, &err));
    OK(sp_out_commit(&o, &err));
    sp_scored_clear(&s);
}

static void a_file_stands_for_its_model(void **u)
{
    struct judged a = { 0 }, b = { 0 };
    struct sp_logits_file file;
    struct sp_scored live, filed, both;
    (void)u;
    begin(&a, 3, 2);
    begin(&b, 4, 2);
    save(&b, "b.kld");
    assert_true(sp_logits_is(path_of("b.kld")));
    OK(sp_logits_open(&file, path_of("b.kld"), &err));
    assert_true(file.vocab == VOCAB && file.windows.n == WINDOWS && file.windows.context == CONTEXT);
    assert_int_equal(file.map.bytes, 20 + 4 * WINDOWS * CONTEXT + WINDOWS * EACH * (8 + 2 * 10));
    assert_memory_equal(file.windows.ids, ids, sizeof ids);
    struct sp_judging j = judging(&a, &b);
    OK(sp_judge_windows(&j, &live, &err));
    j.base = (struct sp_judge_side){ NULL, &file };
    OK(sp_judge_windows(&j, &filed, &err));
    j.model = j.base;
    OK(sp_judge_windows(&j, &both, &err));
    for (int i = 0; i < WINDOWS * EACH; i++) { /* half a code is 1.2e-4 nats */
        assert_true(fabs(live.divergence[i] - filed.divergence[i]) < 2.5e-4 && fabs(live.base_nll[i] - filed.base_nll[i]) < 1.3e-4);
        assert_true(live.nll[i] == filed.nll[i] && both.divergence[i] == 0 && both.nll[i] == filed.base_nll[i]);
    }
    sp_scored_clear(&live);
    sp_scored_clear(&filed);
    sp_scored_clear(&both);
    sp_logits_close(&file);
    end(&a);
    end(&b);
}

/* What: where bytes are changed, to what, how many bytes are left (0: all), a word of the sentence. */
struct hostile { const char *what; size_t at; int32_t value; size_t left; const char *says; };
static const struct hostile hostiles[] = {
    { "empty", 0, 0, 1, "header" },
    { "another magic", 0, 1, 0, "_logits_" },
    { "no window", 8, 0, 0, "windows of 0" },
    { "a window too long", 8, 1 << 30, 0, "windows of" },
    { "no vocabulary", 12, -5, 0, "vocabulary of -5" },
    { "a huge vocabulary", 12, INT32_MAX, 0, "vocabulary of" },
    { "another vocabulary", 12, 300, 0, "take" },
    { "no windows", 16, -1, 0, "-1 windows" },
    { "many windows", 16, INT32_MAX, 0, "take" },
    { "cut", 0, 0x676f6c5f, 300, "take" },
    { "a token outside", 20, VOCAB, 0, "outside" },
    { "a token below", 24, -1, 0, "outside" },
};

static void hostile_files_get_a_sentence(void **u)
{
    struct judged a = { 0 };
    struct sp_text good = { 0 };
    struct sp_logits_file file;
    (void)u;
    begin(&a, 3, 2);
    save(&a, "good.kld");
    OK(sp_read_file(&good, path_of("good.kld"), 1 << 20, &err));
    for (size_t i = 0; i < SP_COUNT(hostiles); i++) {
        const struct hostile *h = &hostiles[i];
        char *bad = malloc(good.n);
        memcpy(bad, good.at, good.n);
        memcpy(bad + h->at, &h->value, 4);
        OK(sp_write_file(path_of("bad.kld"), bad, h->left ? h->left : good.n, &err));
        free(bad);
        if (sp_logits_open(&file, path_of("bad.kld"), &err) != SP_FORMAT || !strstr(err.what, h->says))
            fail_msg("%s: \"%s\" does not say \"%s\"", h->what, err.what, h->says);
    }
    memset(good.at + 20 + 4 * WINDOWS * CONTEXT, 0x3f, 8); /* a row that is no distribution */
    OK(sp_write_file(path_of("bad.kld"), good.at, good.n, &err));
    OK(sp_logits_open(&file, path_of("bad.kld"), &err));
    struct sp_scored s;
    struct sp_judging j = judging(&a, NULL);
    j.base.file = &file;
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_FORMAT);
    assert_non_null(strstr(err.what, "add up to 1"));
    sp_logits_close(&file);
    sp_text_clear(&good);
    end(&a);
}

static void what_does_not_fit_is_said(void **u)
{
    struct judged a = { 0 }, b = { 0 };
    struct sp_scored s;
    (void)u;
    begin(&a, 3, 2);
    begin(&b, 3, 3);
    struct sp_judging j = judging(&a, &b);
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_SHAPE); /* batches of 2 and 3 */
    j = judging(&a, NULL);
    j.windows.bos = VOCAB;
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_USAGE);
    j.windows.bos = -1;
    j.windows.context = CONTEXT / 2;
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_SHAPE);
    j = judging(&a, NULL);
    ids[3] += VOCAB;
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_USAGE);
    ids[3] -= VOCAB;
    a.embed[0] = NAN;
    assert_int_equal(sp_judge_windows(&j, &s, &err), SP_DIVERGED);
    end(&a);
    end(&b);
}

/* ---- estimates ---- */

static void errors_and_quantiles(void **u)
{
    /* two windows of four: means 2 and 4, so 3 +- 1 over windows; squares around 3 add up to 16 */
    double nll[8] = { 1, 2, 2, 3, 3, 5, 3, 5 }, base[8] = { 1, 2, 2, 3, 2, 4, 2, 4 }, kl[8] = { 7, 1, 0, 3, 2, 6, 5, 4 };
    double change[8] = { 0.1, -0.1, 0.1, -0.1, 0.1, -0.1, 0.1, -0.1 };
    unsigned char same[8] = { 1, 1, 1, 1, 1, 1, 0, 0 };
    struct sp_scored s = { 2, 4, nll, base, kl, change, same };
    struct sp_fidelity f;
    (void)u;
    OK(sp_scored_summary(&s, &f, &err));
    assert_true(fabs(f.loss.value - 3) < 1e-12 && fabs(f.loss.error_windows - 1) < 1e-12);
    assert_true(fabs(f.loss.error - sqrt(14.0 / 8 / 7)) < 1e-12); /* llama-perplexity: sqrt((mean of squares - mean^2) / (n - 1)) */
    assert_true(fabs(f.perplexity.value - exp(3)) < 1e-12 && fabs(f.perplexity.error_windows - exp(3)) < 1e-12);
    assert_true(fabs(f.loss_change.value - 0.5) < 1e-12 && fabs(f.loss_change.error - sqrt(0.25 / 7)) < 1e-12);
    assert_true(fabs(f.loss_change.error_windows - 0.5) < 1e-12 && fabs(f.t - 1) < 1e-12 && fabs(f.chance - 0.5) < 1e-12); /* 1 degree of freedom: t = 1 is the quartile */
    assert_true(fabs(f.same_top.value - 0.75) < 1e-12 && fabs(f.same_top.error - sqrt(0.75 * 0.25 / 7)) < 1e-12);
    assert_true(fabs(f.p_change_rms.value - 0.1) < 1e-12 && f.p_change_rms.error < 1e-12 && fabs(f.p_change.value) < 1e-12);
    assert_true(f.median == 3.5 && f.largest == 7 && fabs(f.q90 - 6.3) < 1e-12 && fabs(f.q99 - 6.93) < 1e-12 && fabs(f.q999 - 6.993) < 1e-12);
    assert_true(kl[0] == 7); /* in its place */
    /* Pearson of nll and base: 7 / sqrt(14 * 8) */
    assert_true(fabs(f.correlation - 10 / sqrt(14.0 * 8)) < 1e-12);
}

static void a_ratio_of_divergences(void **u)
{
    double a[4] = { 1, 1, 2, 2 }, b[4] = { 2, 2, 4, 4 };
    struct sp_scored x = { .windows = 2, .each = 2, .divergence = a }, y = { .windows = 2, .each = 2, .divergence = b };
    struct sp_rivalry r;
    (void)u;
    OK(sp_scored_compare(&x, &y, &r, &err));
    assert_true(r.ratio.value == 0.5 && r.ratio.error_windows == 0); /* half of the other in every window */
    assert_true(fabs(r.t + 3) < 1e-12);                              /* differences -1 and -2: -1.5 +- 0.5 */
    y.each = 1;
    assert_int_equal(sp_scored_compare(&x, &y, &r, &err), SP_SHAPE);
}

/* Tables of Student's distribution. */
static void chances(void **u)
{
    static const struct { double t, freedom, chance; } rows[] = { { 12.7062, 1, 0.05 },  { 2.22814, 10, 0.05 }, { 3.16927, 10, 0.01 },
                                                                  { 1.97591, 150, 0.05 }, { 1.95996, 1e7, 0.05 }, { 0, 5, 1 } };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(rows); i++)
        if (fabs(sp_chance_of_t(rows[i].t, rows[i].freedom) - rows[i].chance) > 2e-6)
            fail_msg("t %g with %g: %.8f", rows[i].t, rows[i].freedom, sp_chance_of_t(rows[i].t, rows[i].freedom));
}

static int set_up(void **u)
{
    struct sp_random r = { .key = 8 };
    (void)u;
    for (int i = 0; i < WINDOWS * CONTEXT; i++)
        ids[i] = (int32_t)sp_random_below(&r, VOCAB);
    snprintf(folder, sizeof folder, "/tmp/sparsam-judge-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int tear_down(void **u)
{
    static const char *const names[] = { "b.kld", "good.kld", "bad.kld" };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(names); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_by_hand), cmocka_unit_test(bos_stands_in_front), cmocka_unit_test(same_model_does_not_diverge),
        cmocka_unit_test(a_row_as_its_writer_makes_it), cmocka_unit_test(a_file_stands_for_its_model), cmocka_unit_test(hostile_files_get_a_sentence),
        cmocka_unit_test(what_does_not_fit_is_said), cmocka_unit_test(errors_and_quantiles), cmocka_unit_test(a_ratio_of_divergences),
        cmocka_unit_test(chances),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
