/* tests/test_infer.c - answering: the cache against the whole prefix, chunks of
 * prompts, how tokens are drawn, limits as sentences.
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

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

enum { VOCAB = 19, CACHE = 24, PROMPT = 11, ANSWER = 10 };

static const int32_t prompt[PROMPT] = { 3, 17, 0, 12, 9, 9, 5, 4, 18, 1, 7 };

static struct sp_machine this_machine(void)
{
    struct sp_machine m;
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    return m;
}

/* ---- a model in a folder ---- */

static char folder[2][64]; /* a family each */

static void save_model(enum sp_family f, const char *to)
{
    struct sp_model_config c = { .family = f, .vocab = VOCAB, .context = CACHE, .layers = 2, .width = 16, .heads = 4, .kv_heads = 2, .ffn = 20,
                                 .tied = false, .bias = f == SP_FAMILY_GPT2, .bos = -1, .activation = f == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_machine m = this_machine();
    struct sp_job job;
    struct sp_live live;
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_score(&c, 1, 4, SP_F32, SP_F32, &m, &job, &err));
    OK(sp_live_new(&live, &job, NULL, false, &err));
    OK(sp_live_init(&live, 7, &err));
    for (int i = 0; i < job.state.n; i++) /* larger than fresh, so that answers vary */
        if (job.state.entry[i].kind == SP_STATE_PARAM && job.state.entry[i].type.n > 1) {
            float *p = sp_live_state(&live, job.state.entry[i].name);
            for (int64_t k = 0; k < sp_type_elements(&job.state.entry[i].type); k++)
                p[k] *= 12;
        }
    OK(sp_model_save(to, &c, &job.state, live.state.at, SP_F32, NULL, 0, &err));
    sp_live_clear(&live);
    sp_job_clear(&job);
}

static int make_models(void **u)
{
    (void)u;
    for (int f = 0; f < 2; f++) {
        strcpy(folder[f], "/tmp/sparsam-infer-XXXXXX");
        if (!mkdtemp(folder[f]))
            return -1;
        save_model(f ? SP_FAMILY_GPT2 : SP_FAMILY_LLAMA, folder[f]);
    }
    return 0;
}

static int remove_models(void **u)
{
    char command[160];
    int bad = 0;
    (void)u;
    for (int f = 0; f < 2; f++) {
        snprintf(command, sizeof command, "rm -r %s", folder[f]);
        bad |= system(command);
    }
    return bad ? -1 : 0;
}

static void open_engine(struct sp_engine *e, int family, int64_t chunk)
{
    struct sp_machine m = this_machine();
    struct sp_serve_shape shape = { .batch = 1, .prefill = chunk, .cache = CACHE };
    OK(sp_engine_open(e, folder[family], NULL, &shape, &m, NULL, &err));
}

static void keep(float *to, const struct sp_session *s)
{
    assert_non_null(s->logits);
    memcpy(to, s->logits, VOCAB * sizeof *to);
}

/* ---- going back ---- */

/* After another end was taken back, the same tokens give the logits they give from the beginning. */
static void cut_back_is_as_never_fed(void **u)
{
    float fresh[VOCAB], again[VOCAB];
    static const int32_t other[] = { 3, 17, 0, 12, 2, 2, 2, 2 };
    (void)u;
    for (int f = 0; f < 2; f++) {
        struct sp_engine e;
        struct sp_session s;
        open_engine(&e, f, 1);
        sp_session_begin(&s, &e);
        OK(sp_session_feed(&s, prompt, PROMPT, &err));
        keep(fresh, &s);
        sp_session_end(&s);
        sp_session_begin(&s, &e);
        assert_int_equal(sp_session_shared(&s, prompt, PROMPT), 0);
        OK(sp_session_feed(&s, other, SP_COUNT(other), &err));
        int64_t n = sp_session_shared(&s, prompt, PROMPT);
        assert_int_equal(n, 4);
        sp_session_cut(&s, n);
        assert_null(s.logits);
        assert_int_equal(s.past, 4);
        assert_int_equal(s.history.n, 4);
        OK(sp_session_feed(&s, prompt + n, PROMPT - n, &err));
        keep(again, &s);
        assert_memory_equal(fresh, again, sizeof fresh);
        sp_session_cut(&s, 100); /* nothing lies behind */
        assert_int_equal(s.past, PROMPT);
        sp_session_end(&s);
        sp_engine_close(&e);
    }
}

/* ---- how an answer ends ---- */

struct heard { struct sp_text text; int tokens; };

static void hear(void *self, const struct sp_event *e)
{
    struct heard *h = self;
    if (e->kind != SP_EVENT_TOKEN)
        return;
    sp_text_add(&h->text, e->text, strlen(e->text));
    h->tokens++;
}

/* A model of bytes answers once; then the middle of its answer is the stop text. */
static void stop_text_ends_an_answer(void **u)
{
    static const struct sp_sampling greedy = { .greedy = true };
    struct sp_engine e;
    struct sp_session s;
    struct sp_answer whole, cut;
    struct heard h = { 0 };
    struct sp_watch watch = { hear, &h };
    (void)u;
    open_engine(&e, 0, 4);
    OK(sp_tokenizer_chars(&e.tokenizer, "abcdefghijklmnopqrs", VOCAB, NULL, &err));
    sp_session_begin(&s, &e);
    OK(sp_generate(&s, prompt, PROMPT, &greedy, ANSWER, true, NULL, &whole, &err));
    assert_int_equal(whole.text.n, ANSWER);
    sp_session_end(&s);
    for (size_t n = 1; n < 4; n++) {
        char stop[8];
        snprintf(stop, sizeof stop, "%.*s", (int)n, whole.text.at + 4);
        size_t at = (size_t)(strstr(whole.text.at, stop) - whole.text.at);
        sp_session_begin(&s, &e);
        s.stop = stop;
        OK(sp_generate(&s, prompt, PROMPT, &greedy, ANSWER, true, &watch, &cut, &err));
        assert_true(cut.ended);
        assert_int_equal(cut.text.n, at);
        assert_memory_equal(cut.text.at, whole.text.at, at);
        assert_int_equal(h.text.n, at);
        assert_memory_equal(h.text.n ? h.text.at : "", whole.text.at, at);
        h.text.n = 0;
        sp_answer_clear(&cut);
        sp_session_end(&s);
    }
    /* one that never comes holds nothing back in the end */
    char never[4] = { whole.text.at[ANSWER - 1], 'z', 'z', 0 };
    sp_session_begin(&s, &e);
    s.stop = never;
    OK(sp_generate(&s, prompt, PROMPT, &greedy, ANSWER, true, &watch, &cut, &err));
    assert_false(cut.ended);
    assert_int_equal(h.text.n, ANSWER);
    assert_memory_equal(h.text.at, whole.text.at, ANSWER);
    sp_answer_clear(&cut);
    sp_session_end(&s);
    sp_engine_add_end(&e, whole.ids.at[3]);
    int32_t first = 0;
    while (whole.ids.at[first] != whole.ids.at[3])
        first++;
    sp_session_begin(&s, &e);
    OK(sp_generate(&s, prompt, PROMPT, &greedy, ANSWER, false, NULL, &cut, &err));
    assert_true(cut.ended);
    assert_int_equal(cut.ids.n, first);
    sp_answer_clear(&cut);
    sp_session_end(&s);
    sp_answer_clear(&whole);
    sp_text_clear(&h.text);
    sp_engine_close(&e);
}

/* ---- the cache ---- */

static void cache_equals_whole_prefix(void **u)
{
    static const struct sp_sampling greedy = { .greedy = true };
    (void)u;
    for (int f = 0; f < 2; f++) {
        struct sp_engine e;
        struct sp_session s;
        struct sp_answer a;
        int32_t ids[PROMPT + ANSWER], id;
        int different = 0;
        open_engine(&e, f, 4);
        sp_session_begin(&s, &e);
        OK(sp_generate(&s, prompt, PROMPT, &greedy, ANSWER, true, NULL, &a, &err));
        assert_int_equal(a.ids.n, ANSWER);
        assert_int_equal(a.prompt_tokens, PROMPT);
        sp_session_end(&s);
        memcpy(ids, prompt, sizeof prompt);
        for (int i = 0; i < ANSWER; i++) {
            sp_session_begin(&s, &e);
            OK(sp_session_feed(&s, ids, PROMPT + i, &err));
            OK(sp_session_sample(&s, &greedy, &id, &err));
            if (id != a.ids.at[i])
                fail_msg("family %d, token %d: %d from the cache, %d from the whole prefix", f, i, a.ids.at[i], id);
            different += i && id != ids[PROMPT + i - 1];
            ids[PROMPT + i] = id;
            sp_session_end(&s);
        }
        assert_true(different > 1);
        sp_answer_clear(&a);
        sp_engine_close(&e);
    }
}

static void chunks_change_nothing(void **u)
{
    static const int64_t chunk[] = { 1, 3, 16 };
    (void)u;
    for (int f = 0; f < 2; f++) {
        float first[VOCAB], now[VOCAB];
        for (size_t k = 0; k < SP_COUNT(chunk); k++) {
            struct sp_engine e;
            struct sp_session s;
            open_engine(&e, f, chunk[k]);
            sp_session_begin(&s, &e);
            OK(sp_session_feed(&s, prompt, PROMPT, &err));
            OK(sp_session_feed(&s, prompt, PROMPT, &err)); /* the second lies across the end of what a chunk may pad */
            keep(k ? now : first, &s);
            for (int i = 0; k && i < VOCAB; i++)
                if (fabs((double)(now[i] - first[i])) > 1e-4)
                    fail_msg("family %d, chunks of %d: logit %d is %g, by ones %g", f, (int)chunk[k], i, (double)now[i], (double)first[i]);
            sp_session_end(&s);
            sp_engine_close(&e);
        }
    }
}

/* ---- limits ---- */

static void limits_are_said(void **u)
{
    struct sp_engine e;
    struct sp_session s;
    struct sp_answer a;
    float before[VOCAB], after[VOCAB];
    static const struct sp_sampling greedy = { .greedy = true };
    static const int32_t bad[][2] = { { 3, VOCAB }, { 3, -1 } };
    int32_t id;
    (void)u;
    open_engine(&e, 0, 4);
    sp_session_begin(&s, &e);
    assert_int_equal(sp_session_sample(&s, &greedy, &id, &err), SP_USAGE);
    assert_int_equal(sp_generate(&s, prompt, 0, &greedy, 1, true, NULL, &a, &err), SP_USAGE);
    OK(sp_session_feed(&s, prompt, PROMPT, &err));
    keep(before, &s);
    for (size_t i = 0; i < SP_COUNT(bad); i++) {
        assert_int_equal(sp_session_feed(&s, bad[i], 2, &err), SP_USAGE);
        print_message("%s\n", err.what);
        assert_true(s.past == PROMPT && s.history.n == PROMPT);
    }
    OK(sp_session_feed(&s, prompt, CACHE - PROMPT - 1 < PROMPT ? CACHE - PROMPT - 1 : PROMPT, &err));
    assert_int_equal(sp_session_feed(&s, prompt, 3, &err), SP_LIMIT);
    print_message("%s (%s)\n", err.what, err.remedy);
    assert_non_null(strstr(err.remedy, "--cache"));
    sp_session_end(&s);
    sp_session_begin(&s, &e); /* a refused session leaves the engine as it was */
    OK(sp_session_feed(&s, prompt, PROMPT, &err));
    keep(after, &s);
    assert_memory_equal(before, after, sizeof before);
    sp_session_end(&s);
    sp_session_begin(&s, &e); /* an answer ends with the cache */
    OK(sp_generate(&s, prompt, PROMPT, &greedy, 1000, true, NULL, &a, &err));
    assert_int_equal(a.ids.n, CACHE - PROMPT + 1);
    sp_answer_clear(&a);
    sp_session_end(&s);
    sp_engine_close(&e);
}

/* ---- drawing ---- */

enum { DRAWS = 20000, FACES = 6 };

/* Logits of a few tokens; all others never. */
static const float face[FACES] = { 2.0f, 1.0f, 0.5f, 0.0f, -1.0f, -2.5f };

static void load_die(float logits[VOCAB])
{
    for (int i = 0; i < VOCAB; i++)
        logits[i] = -INFINITY;
    for (int i = 0; i < FACES; i++)
        logits[2 * i + 1] = face[i];
}

/* How often each face came; `stay` of them may. */
static void throw_die(struct sp_session *s, const struct sp_sampling *how, int stay)
{
    int64_t seen[FACES] = { 0 };
    double sum = 0, chi = 0, t = how->temperature;
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = 0;
        OK(sp_session_sample(s, how, &id, &err));
        assert_true(id % 2 == 1 && id / 2 < FACES);
        seen[id / 2]++;
    }
    for (int i = 0; i < stay; i++)
        sum += exp((double)face[i] / t);
    for (int i = 0; i < FACES; i++) {
        double want = i < stay ? DRAWS * exp((double)face[i] / t) / sum : 0;
        if (i >= stay && seen[i])
            fail_msg("face %d was cut and came %lld times", i, (long long)seen[i]);
        chi += want > 0 ? ((double)seen[i] - want) * ((double)seen[i] - want) / want : 0;
    }
    if (chi > 25) /* five degrees of freedom: one in seven thousand, and the seed is fixed */
        fail_msg("chi-square is %.1f with %d faces", chi, stay);
}

static void draws_follow_the_softmax(void **u)
{
    /* shares at temperature 1: 0.559 0.206 0.125 0.076 0.028 0.006 */
    static const struct { struct sp_sampling how; int stay; } row[] = {
        { { .temperature = 1, .seed = 1 }, 6 },
        { { .temperature = 0.5, .seed = 2 }, 6 },
        { { .temperature = 2, .seed = 3, .repeat_penalty = 1 }, 6 },
        { { .temperature = 1, .seed = 4, .top_k = 3 }, 3 },
        { { .temperature = 1, .seed = 5, .top_k = 1000, .top_p = 1 }, 6 },
        { { .temperature = 1, .seed = 6, .top_p = 0.7 }, 2 },
        { { .temperature = 1, .seed = 6, .top_p = 0.55 }, 1 },
        { { .temperature = 1, .seed = 7, .top_p = 0.9 }, 4 },
        { { .temperature = 1, .seed = 8, .min_p = 0.2 }, 3 }, /* shares of the first: 1 0.37 0.22 0.14 0.05 0.01 */
        { { .temperature = 2, .seed = 9, .min_p = 0.2 }, 5 }, /* 1 0.61 0.47 0.37 0.22 0.11 */
        { { .temperature = 1, .seed = 10, .min_p = 1 }, 1 },
        { { .temperature = 1, .seed = 11, .top_k = 4, .min_p = 0.2 }, 3 },
    };
    struct sp_engine e;
    struct sp_session s;
    float logits[VOCAB];
    (void)u;
    open_engine(&e, 0, 4);
    load_die(logits);
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        sp_session_begin(&s, &e);
        s.logits = logits;
        throw_die(&s, &row[i].how, row[i].stay);
        sp_session_end(&s);
    }
    sp_engine_close(&e);
}

/* Keskar et al. 2019: a seen token's logit is divided when positive, multiplied when negative, once however often. */
static void repeats_are_penalised(void **u)
{
    static const struct sp_sampling how[2] = { { .temperature = 0, .repeat_penalty = 4 }, { .temperature = 1e-3, .repeat_penalty = 4, .seed = 1 } };
    static const int32_t seen[] = { 1, 1, 1 };
    struct sp_engine e;
    struct sp_session s;
    float logits[VOCAB];
    int32_t id = 0;
    (void)u;
    open_engine(&e, 0, 4);
    load_die(logits);
    for (int i = 0; i < 2; i++) {
        sp_session_begin(&s, &e);
        OK(sp_session_feed(&s, seen, 3, &err));
        s.logits = logits;
        OK(sp_session_sample(&s, &how[i], &id, &err));
        assert_int_equal(id, 3); /* 2.0 / 4 lies below 1.0 */
        assert_true(logits[1] >= 2.0f && logits[1] <= 2.0f);
        sp_session_end(&s);
    }
    sp_engine_close(&e);
}

static void generate(struct sp_engine *e, const struct sp_sampling *how, struct sp_answer *a)
{
    struct sp_session s;
    sp_session_begin(&s, e);
    OK(sp_generate(&s, prompt, PROMPT, how, ANSWER, true, NULL, a, &err));
    assert_int_equal(a->ids.n, ANSWER);
    sp_session_end(&s);
}

static void same_rules_same_tokens(void **u)
{
    static const struct sp_sampling how[] = { { .greedy = true, .temperature = 1 },         { .temperature = 0, .seed = 3 },
                                              { .temperature = 1, .top_k = 1, .seed = 4 }, { .temperature = 5, .seed = 1 },
                                              { .temperature = 5, .seed = 1 },             { .temperature = 5, .seed = 2 } };
    struct sp_answer a[SP_COUNT(how)];
    struct sp_engine e;
    (void)u;
    open_engine(&e, 1, 4);
    for (size_t i = 0; i < SP_COUNT(how); i++)
        generate(&e, &how[i], &a[i]);
    size_t bytes = ANSWER * sizeof(int32_t);
    assert_memory_equal(a[0].ids.at, a[1].ids.at, bytes);
    assert_memory_equal(a[0].ids.at, a[2].ids.at, bytes);
    assert_memory_equal(a[3].ids.at, a[4].ids.at, bytes);
    assert_true(memcmp(a[3].ids.at, a[5].ids.at, bytes) && memcmp(a[3].ids.at, a[0].ids.at, bytes));
    for (size_t i = 0; i < SP_COUNT(how); i++)
        sp_answer_clear(&a[i]);
    sp_engine_close(&e);
}

static void damaged_logits_are_said(void **u)
{
    static const struct sp_sampling how = { .temperature = 1 };
    struct sp_engine e;
    struct sp_session s;
    float logits[VOCAB];
    int32_t id;
    (void)u;
    open_engine(&e, 0, 4);
    sp_session_begin(&s, &e);
    load_die(logits);
    logits[4] = NAN;
    s.logits = logits;
    assert_int_equal(sp_session_sample(&s, &how, &id, &err), SP_DIVERGED);
    sp_session_end(&s);
    sp_engine_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cache_equals_whole_prefix), cmocka_unit_test(chunks_change_nothing),  cmocka_unit_test(limits_are_said),
        cmocka_unit_test(draws_follow_the_softmax),  cmocka_unit_test(repeats_are_penalised), cmocka_unit_test(same_rules_same_tokens),
        cmocka_unit_test(damaged_logits_are_said),   cmocka_unit_test(cut_back_is_as_never_fed), cmocka_unit_test(stop_text_ends_an_answer),
    };
    return cmocka_run_group_tests(tests, make_models, remove_models);
}
