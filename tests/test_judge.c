/* tests/test_judge.c - quality figures against the same sums in double precision,
 * on a model simple enough to be written down: its blocks add nothing, so a
 * token's distribution follows from that token alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "judge/judge.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 9, WIDTH = 8, BATCH = 3, LENGTH = 5, STREAM = 83, WINDOWS = 17 }; /* 82 targets: 16 whole windows and 2 */

static const double EPS = 1e-5;
static int32_t stream[STREAM];

struct judged { struct sp_job job; struct sp_live live; struct sp_tokens tokens; float *embed; };

static void begin(struct judged *j)
{
    struct sp_model_config c = { .family = SP_FAMILY_LLAMA, .vocab = VOCAB, .context = LENGTH, .layers = 1, .width = WIDTH, .heads = 2,
                                 .kv_heads = 2, .ffn = 12, .tied = true, .bos = -1, .activation = SP_SILU, .norm_eps = EPS };
    struct sp_machine m;
    struct sp_random r = { .key = 8 };
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    for (int i = 0; i < STREAM; i++)
        stream[i] = (int32_t)sp_random_below(&r, VOCAB);
    j->tokens = (struct sp_tokens){ .i32 = stream, .n = STREAM, .documents = 1, .text_bytes = 300, .vocab = VOCAB, .eos = -1, .bos = -1 };
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_score(&c, BATCH, LENGTH, SP_F32, SP_F32, &m, &j->job, &err));
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
    if (j->job.has[SP_RUN_REFRESH]) /* packed copies follow the weights */
        sp_live_run(&j->live, SP_RUN_REFRESH);
}

static void end(struct judged *j)
{
    sp_live_clear(&j->live);
    sp_job_clear(&j->job);
}

/* -log p(next | id) by the formula: embedding, root mean square norm, product with every embedding, softmax. */
static double nats(const struct judged *j, int32_t id, int32_t next)
{
    const float *x = j->embed + id * WIDTH;
    double square = 0, sum = 0, chosen = 0;
    for (int i = 0; i < WIDTH; i++)
        square += (double)x[i] * (double)x[i];
    for (int v = 0; v < VOCAB; v++) {
        double logit = 0;
        for (int i = 0; i < WIDTH; i++)
            logit += (double)x[i] / sqrt(square / WIDTH + EPS) * (double)j->embed[v * WIDTH + i];
        sum += exp(logit);
        chosen = v == next ? logit : chosen;
    }
    return log(sum) - chosen;
}

struct expected { double loss, error, nats; int64_t tokens; };

/* Over the windows marked; a window of few tokens counts by its tokens. */
static struct expected by_hand(const struct judged *j, const bool used[WINDOWS])
{
    double of[WINDOWS] = { 0 }, n[WINDOWS] = { 0 }, windows = 0, tokens = 0, residuals = 0;
    struct expected x = { 0 };
    for (int w = 0; w < WINDOWS; w++)
        for (int i = w * LENGTH + 1; used[w] && i <= (w + 1) * LENGTH && i < STREAM; i++) {
            of[w] += nats(j, stream[i - 1], stream[i]);
            n[w]++;
        }
    for (int w = 0; w < WINDOWS; w++) {
        windows += n[w] > 0;
        x.nats += of[w];
        tokens += n[w];
    }
    x.loss = x.nats / tokens;
    for (int w = 0; w < WINDOWS; w++)
        residuals += (of[w] - x.loss * n[w]) * (of[w] - x.loss * n[w]);
    x.error = sqrt(residuals / (windows - 1) / windows) / (tokens / windows);
    x.tokens = (int64_t)tokens;
    return x;
}

static void compare(const struct sp_quality *q, const struct expected *x)
{
    if (fabs(q->loss - x->loss) > 1e-5 || fabs(q->loss_stderr - x->error) > 1e-5)
        fail_msg("loss %.7f +- %.7f, by hand %.7f +- %.7f", q->loss, q->loss_stderr, x->loss, x->error);
    assert_true(q->loss_stderr > 0 && fabs(q->perplexity - exp(x->loss)) < 1e-3);
    assert_int_equal(q->tokens, x->tokens);
    assert_int_equal(q->windows_given, WINDOWS);
}

static void whole_stream_as_by_hand(void **u)
{
    struct judged j = { 0 };
    struct sp_quality q;
    bool all[WINDOWS];
    (void)u;
    memset(all, true, sizeof all);
    begin(&j);
    OK(sp_judge_tokens(&j.live, &j.tokens, 0, NULL, &q, &err));
    struct expected x = by_hand(&j, all);
    compare(&q, &x);
    assert_int_equal(q.tokens, STREAM - 1);
    assert_int_equal(q.windows, WINDOWS);
    assert_true(fabs(q.bits_per_byte - x.nats / log(2) / 300) < 1e-5);
    print_message("loss %.6f +- %.6f over %lld tokens, by hand %.6f +- %.6f\n", q.loss, q.loss_stderr, (long long)q.tokens, x.loss, x.error);
    end(&j);
}

/* Seven windows asked for, in batches of three: the batches 0, 2, 4 of the six. */
static void fewer_windows_are_spread(void **u)
{
    struct judged j = { 0 };
    struct sp_quality q;
    bool some[WINDOWS] = { 0 };
    (void)u;
    for (int w = 0; w < WINDOWS; w++)
        some[w] = w / BATCH % 2 == 0;
    begin(&j);
    OK(sp_judge_tokens(&j.live, &j.tokens, 7, NULL, &q, &err));
    struct expected x = by_hand(&j, some);
    compare(&q, &x);
    assert_int_equal(q.windows, 9);
    end(&j);
}

static void what_cannot_be_scored_is_said(void **u)
{
    struct judged j = { 0 };
    struct sp_quality q;
    (void)u;
    begin(&j);
    j.tokens.n = 1;
    assert_int_equal(sp_judge_tokens(&j.live, &j.tokens, 0, NULL, &q, &err), SP_USAGE);
    j.tokens.n = STREAM;
    j.embed[0] = NAN;
    assert_int_equal(sp_judge_tokens(&j.live, &j.tokens, 0, NULL, &q, &err), SP_DIVERGED);
    end(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_stream_as_by_hand), cmocka_unit_test(fewer_windows_are_spread), cmocka_unit_test(what_cannot_be_scored_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
