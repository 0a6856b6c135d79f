/* tests/test_ranks.c - the parts of several ranks against one process that has all:
 * shares cover, and steps of all ranks, their sums made by hand, leave the weights
 * and moments of the one.  (tests/mpi.sh has real processes.)
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "link/link.h"
#include "step/step.h"

enum { RANKS = 3, STEPS = 3, BATCH = 5, TOKENS = 6, VOCAB = 11 };
static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

static void shares_cover(void **u)
{
    static const int64_t n[] = { 0, 1, 15, 16, 17, 65, 1000, 50257 * 768ll, 405853388800ll };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(n); i++)
        for (int ranks = 0; ranks <= 9; ranks++) {
            int64_t at = 0;
            for (int r = 0; r < (ranks > 1 ? ranks : 1); r++) {
                struct sp_share s = sp_share_of(n[i], r, ranks);
                assert_true(s.from == at && s.count >= 0);
                assert_true(s.from % SP_SHARE_ALIGN == 0 || !s.count);
                assert_true(ranks < 2 || llabs(s.count - n[i] / ranks) <= SP_SHARE_ALIGN);
                at += s.count;
            }
            assert_true(at == n[i]);
        }
}

static void alone_everything_succeeds(void **u)
{
    struct sp_link *l = NULL;
    double v = 3, rate = 1;
    float x[20] = { 1, 2 };
    struct sp_link_array a = { x, 20 };
    (void)u;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_SIZE");
    unsetenv("PMIX_RANK");
    OK(sp_link_open(&l, &err));
    assert_null(l);
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    OK(sp_link_open(&l, &err));
    assert_null(l);
    unsetenv("OMPI_COMM_WORLD_SIZE");
    assert_true(sp_link_rank(l) == 0 && sp_link_ranks(l) == 1 && sp_link_here(l) == 1 && sp_link_machines(l) == 1);
    assert_true(sp_link_speaks(l) && !sp_link_broken(l));
    OK(sp_link_sum(l, &v, 1, &err));
    OK(sp_link_rate(l, &rate, &err));
    OK(sp_link_reduce(l, &a, 1, &err));
    OK(sp_link_spread(l, &a, 1, &err));
    OK(sp_link_same(l, 7, "text", &err));
    OK(sp_link_copy(l, x, sizeof x, &err));
    assert_true(v == 3 && rate == 0 && x[0] == 1 && x[1] == 2);
    sp_fail(&err, SP_FORMAT, "a failure stays");
    assert_int_equal(sp_link_agree(l, SP_FORMAT, &err), SP_FORMAT);
    assert_string_equal(err.what, "a failure stays");
    sp_link_close(l);
}

/* ---- one against several ---- */

struct part { struct sp_job job; struct sp_live live; };

static void start(struct part *p, enum sp_family f, int rank, int ranks)
{
    struct sp_model_config c = { .family = f, .vocab = VOCAB, .context = TOKENS, .layers = 2, .width = 16, .heads = 4, .kv_heads = 2, .ffn = 20,
                                 .tied = true, .bias = true, .bos = -1, .activation = f == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_train_shape t = { .batch = BATCH, .tokens = TOKENS, .seed = 5, .adamw = { .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .decay = 0.1 } };
    struct sp_machine m;
    sp_machine_portable(&m);
    m.features = sp_cpu_features();
    OK(sp_model_config_finish(&c, &err));
    if (ranks > 1)
        OK(sp_train_shape_share(&t, rank, ranks, &err));
    OK(sp_step_train(&c, &t, &m, NULL, NULL, &p->job, &err));
    OK(sp_live_new(&p->live, &p->job, NULL, false, &err));
    OK(sp_live_init(&p->live, 3, &err));
}

static void stop(struct part *p)
{
    sp_live_clear(&p->live);
    sp_job_clear(&p->job);
}

/* The rows that belong to the part, of a batch that depends on the step. */
static void micro(struct part *p, int step)
{
    const struct sp_train_shape *t = &p->job.train;
    int32_t *ids = sp_live_at(&p->live, SP_RUN_MICRO, "ids"), *targets = sp_live_at(&p->live, SP_RUN_MICRO, "targets");
    float *w = sp_live_at(&p->live, SP_RUN_MICRO, "weights");
    for (int64_t i = 0; i < t->batch * TOKENS; i++) {
        int64_t at = t->first * TOKENS + i;
        ids[i] = (int32_t)((at * 7 + step * 3) % VOCAB);
        targets[i] = (int32_t)((at * 5 + step) % VOCAB);
        w[i] = 1.0f / (BATCH * TOKENS);
    }
    if (p->job.has[SP_RUN_REFRESH])
        sp_live_run(&p->live, SP_RUN_REFRESH);
    sp_live_run(&p->live, SP_RUN_MICRO);
}

static void update(struct part *p, int step, double squares)
{
    float *sumsq = sp_live_at(&p->live, SP_RUN_UPDATE, "sumsq");
    if (sumsq)
        *sumsq = (float)squares;
    *(float *)sp_live_at(&p->live, SP_RUN_UPDATE, "lr") = 1e-2f;
    *(float *)sp_live_at(&p->live, SP_RUN_UPDATE, "max_norm") = 0.05f; /* clips, so that the norm matters */
    *(int32_t *)sp_live_at(&p->live, SP_RUN_UPDATE, "step") = step;
    sp_live_run(&p->live, SP_RUN_UPDATE);
}

/* What sp_link_reduce and sp_link_spread do, in one process. */
static void reduce(struct part *p, const char *grad, int64_t n)
{
    float *g[RANKS];
    for (int r = 0; r < RANKS; r++)
        g[r] = sp_live_state(&p[r].live, grad);
    for (int r = 0; r < RANKS; r++) {
        struct sp_share s = sp_share_of(n, r, RANKS);
        for (int64_t i = s.from; i < s.from + s.count; i++)
            for (int o = 1; o < RANKS; o++) {
                int from = (r + o) % RANKS;
                g[r][i] += g[from][i];
                g[from][i] = 0;
            }
    }
}

static void spread(struct part *p, const char *name, int64_t n)
{
    for (int r = 0; r < RANKS; r++) {
        struct sp_share s = sp_share_of(n, r, RANKS);
        for (int o = 0; o < RANKS; o++)
            if (o != r)
                memcpy((float *)sp_live_state(&p[o].live, name) + s.from, (float *)sp_live_state(&p[r].live, name) + s.from,
                       (size_t)s.count * sizeof(float));
    }
}

static void step_of_all(struct part *p, int step)
{
    const struct sp_state *s = &p[0].job.state;
    double squares = 0;
    for (int r = 0; r < RANKS; r++)
        micro(&p[r], step);
    for (int i = 0; i < s->n; i++)
        if (s->entry[i].kind == SP_STATE_GRAD)
            reduce(p, s->entry[i].name, sp_type_elements(&s->entry[i].type));
    for (int r = 0; r < RANKS; r++) {
        sp_live_run(&p[r].live, SP_RUN_NORM);
        squares += (double)*(const float *)sp_live_at(&p[r].live, SP_RUN_NORM, "norm");
    }
    for (int r = 0; r < RANKS; r++)
        update(&p[r], step, squares);
    for (int i = 0; i < s->n; i++)
        if (s->entry[i].kind == SP_STATE_GRAD)
            spread(p, strchr(s->entry[i].name, '/') + 1, sp_type_elements(&s->entry[i].type));
}

static void near(const char *name, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)(a[i] - b[i])) <= 2e-5 * (0.05 + fabs((double)b[i]))))
            fail_msg("%s: number %lld is %g, one process has %g", name, (long long)i, (double)a[i], (double)b[i]);
}

static void compare(const struct part *p, const struct part *one)
{
    const struct sp_state *s = &one->job.state;
    for (int i = 0; i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        const float *whole = sp_live_state(&one->live, e->name);
        int64_t n = sp_type_elements(&e->type);
        for (int r = 0; r < RANKS; r++) {
            struct sp_share part = sp_share_of(n, r, RANKS);
            const float *mine = sp_live_state(&p[r].live, e->name);
            if (e->kind == SP_STATE_PARAM)
                near(e->name, mine, whole, n);
            else if (e->kind == SP_STATE_MOMENT && part.count)
                near(e->name, mine, whole + part.from, part.count);
            else if (e->kind == SP_STATE_MOMENT)
                assert_null(mine);
        }
    }
}

static void ranks_leave_what_one_leaves(void **u)
{
    (void)u;
    for (int f = 0; f < SP_FAMILY_MLP; f++) {
        struct part one, p[RANKS];
        start(&one, (enum sp_family)f, 0, 1);
        for (int r = 0; r < RANKS; r++)
            start(&p[r], (enum sp_family)f, r, RANKS);
        assert_true(p[0].job.train.batch + p[1].job.train.batch + p[2].job.train.batch == BATCH);
        for (int step = 1; step <= STEPS; step++) {
            micro(&one, step);
            update(&one, step, 0);
            step_of_all(p, step);
            compare(p, &one);
        }
        for (int r = 0; r < RANKS; r++)
            stop(&p[r]);
        stop(&one);
    }
}

/* The prediction is the layout: the optimizer's memory falls by the number of ranks, GPT-2's largest tensor or not. */
static void optimizer_is_shared(void **u)
{
    struct sp_model_config c = { .family = SP_FAMILY_GPT2, .vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12,
                                 .tied = true, .bias = true, .activation = SP_GELU, .bos = -1 };
    struct sp_machine m;
    int64_t alone[SP_MEM_KINDS], each[SP_MEM_KINDS];
    (void)u;
    sp_machine_portable(&m);
    OK(sp_model_config_finish(&c, &err));
    for (int ranks = 1; ranks <= 4; ranks++)
        for (int r = 0; r < ranks; r++) {
            struct sp_train_shape t = { .batch = 4, .tokens = 64, .adamw = { .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8 } };
            struct sp_job job;
            if (ranks > 1)
                OK(sp_train_shape_share(&t, r, ranks, &err));
            OK(sp_step_train(&c, &t, &m, NULL, NULL, &job, &err));
            sp_job_memory(&job, 1, ranks > 1 ? each : alone);
            double sent = sp_job_exchanged(&job), want = ranks > 1 ? 8.0 * 124439808 * (ranks - 1) / ranks : 0;
            assert_true(fabs(sent - want) <= 1e-9 * want);
            if (ranks > 1) {
                assert_true(alone[SP_MEM_OPTIMIZER] == 8ll * 124439808);
                assert_true(fabs((double)each[SP_MEM_OPTIMIZER] * ranks / (double)alone[SP_MEM_OPTIMIZER] - 1) < 1e-3);
                assert_true(each[SP_MEM_GRADIENTS] == alone[SP_MEM_GRADIENTS] && each[SP_MEM_WEIGHTS] == alone[SP_MEM_WEIGHTS]);
            }
            sp_job_clear(&job);
        }
}

static void more_ranks_than_rows_is_said(void **u)
{
    struct sp_train_shape t = { .batch = 3 };
    (void)u;
    assert_int_equal(sp_train_shape_share(&t, 0, 4, &err), SP_USAGE);
    assert_non_null(strstr(err.what, "4 ranks"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cover), cmocka_unit_test(alone_everything_succeeds), cmocka_unit_test(ranks_leave_what_one_leaves),
        cmocka_unit_test(optimizer_is_shared), cmocka_unit_test(more_ranks_than_rows_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
