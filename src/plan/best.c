/* plan/best.c - the cheapest way to do a job: every machine, number of devices, cut
 * and technique is planned, and what nothing else beats is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "memo.h"

#include <math.h>
#include <stdlib.h>

const char *const sp_best_names[] = { "none", "money", "time", "energy", "co2e", NULL };

enum { AIMS = 4, VARIANTS_MAX = 8, DOUBLINGS = 12, BEYOND_FIRST = 8, WAYS_MAX = 1 << 16 };

/* One way, without its plan: that is made again for those that are kept. */
struct way { int machine, variant, devices; double aim[AIMS]; };
struct search {
    const struct sp_best_ask *ask;
    struct sp_ask variant[VARIANTS_MAX];
    int variants, ways;
    struct way *way;
    struct sp_memo memo;
    struct sp_best *out;
};

/* What else the job could be, at the quality that the person can judge: what is computed again, how few parameters
 * are trained, in how few bits weights are stored. */
static int variants_of(const struct sp_ask *a, struct sp_ask *out)
{
    static const int recomputes[] = { SP_RECOMPUTE_NONE, SP_RECOMPUTE_SELECTIVE, SP_RECOMPUTE_FULL };
    static const int methods[] = { SP_METHOD_FULL, SP_METHOD_LORA, SP_METHOD_QLORA };
    static const double bits[] = { 0, 8.5, 4.85 };
    int n = 0;
    for (int i = 0; i < 3 && (a->task == SP_TASK_FINETUNE && a->method == SP_METHOD_FULL); i++)
        for (int k = 0; k < 3; k += 2) {
            out[n] = *a;
            out[n].method = methods[i];
            out[n++].recompute = recomputes[k];
        }
    for (int i = 0; i < 3 && !n; i++) {
        if (a->task == SP_TASK_SERVE ? a->bits > 0 : a->recompute != SP_RECOMPUTE_AUTO)
            break; /* the person said it */
        for (int k = 0; k < 3; k++) {
            out[k] = *a;
            if (a->task == SP_TASK_SERVE)
                out[k].bits = bits[k];
            else
                out[k].recompute = recomputes[k];
        }
        n = 3;
    }
    if (!n)
        out[n++] = *a;
    return n;
}

static enum sp_status plan(const struct search *s, const struct way *w, struct sp_planned *out, struct sp_err *err)
{
    struct sp_ask a = s->variant[w->variant];
    struct sp_planned_with with = *s->ask->with;
    a.machine = s->ask->machine[w->machine];
    sp_machine_set_devices(&a.machine, w->devices);
    with.count_given = true;
    return sp_plan_answer(&a, &with, out, NULL, err);
}

static void aims_of(const struct sp_planned *p, double aim[AIMS])
{
    const struct sp_cost *c = &p->cost;
    const double v[AIMS] = { c->money.likely, c->time_s.likely, c->energy_j.likely, c->co2e_g.likely + c->co2e_embodied_g.likely };
    for (int i = 0; i < AIMS; i++)
        aim[i] = v[i] > 0 ? v[i] : INFINITY;
}

static bool keep(struct search *s, const struct way *w)
{
    if (s->ways == WAYS_MAX)
        return false;
    if (!(s->ways & (s->ways - 1))) {
        struct way *more = sp_realloc(s->way, (size_t)(s->ways ? 2 * s->ways : 1) * sizeof *more);
        if (!more)
            return false;
        s->way = more;
    }
    s->way[s->ways++] = *w;
    return true;
}

/* Numbers of one machine's devices, doubled: from the first that holds the job to some that are faster. */
static enum sp_status look_at(struct search *s, int machine, int variant, struct sp_err *err)
{
    struct sp_planned p;
    bool serves = s->variant[variant].task == SP_TASK_SERVE; /* more than a node only where that is not enough */
    int64_t node = s->ask->machine[machine].device.per_node;
    for (int k = 0, first = -1; k < DOUBLINGS && (first < 0 || k - first < BEYOND_FIRST); k++) {
        if (serves && first >= 0 && (int64_t)1 << k > (node > 8 ? node : 8))
            return SP_OK;
        struct way w = { machine, variant, 1 << k, { 0 } };
        enum sp_status st = plan(s, &w, &p, err);
        if (st == SP_USAGE || st == SP_LIMIT) { /* such a device cannot, or not so many */
            *err = (struct sp_err){ 0 };
            return SP_OK;
        }
        TRY(st);
        s->out->tried++;
        if (!p.fits)
            continue;
        s->out->fit++;
        first = first < 0 ? k : first;
        if (!p.in_time || !p.in_budget)
            continue;
        s->out->within++;
        aims_of(&p, w.aim);
        if (!keep(s, &w))
            return sp_fail(err, SP_NOMEM, "no memory for %d plans", s->ways);
    }
    return SP_OK;
}

static bool beats(const struct way *a, const struct way *b)
{
    bool better = false;
    for (int i = 0; i < AIMS; i++) {
        if (a->aim[i] > b->aim[i])
            return false;
        better = better || a->aim[i] < b->aim[i];
    }
    return better;
}

static bool on_frontier(const struct search *s, int i)
{
    for (int k = 0; k < s->ways; k++)
        if (beats(&s->way[k], &s->way[i]))
            return false;
    return true;
}

static int by_aim(const void *a, const void *b, void *aim)
{
    double x = ((const struct way *)a)->aim[*(int *)aim], y = ((const struct way *)b)->aim[*(int *)aim];
    return (x > y) - (x < y);
}

/* The best few, then what else stands on the frontier. */
static enum sp_status gather(struct search *s, struct sp_err *err)
{
    enum { BEST = 5 };
    struct sp_best *o = s->out;
    int aim = (int)s->ask->by - SP_BEST_MONEY;
    if (s->ways)
        qsort_r(s->way, (size_t)s->ways, sizeof *s->way, by_aim, &aim);
    for (int i = 0; i < s->ways && o->n < SP_BEST_MAX; i++) {
        bool front = on_frontier(s, i);
        if (i >= BEST && !front)
            continue;
        o->on_frontier[o->n] = front;
        TRY(plan(s, &s->way[i], &o->plan[o->n++], err));
    }
    return SP_OK;
}

enum sp_status sp_plan_best(const struct sp_ask *a, const struct sp_best_ask *ask, struct sp_best **out, struct sp_err *err)
{
    struct search s = { .ask = ask };
    struct sp_ask counted = *a;
    enum sp_status st = SP_OK;
    counted.memo = &s.memo;
    s.variants = variants_of(&counted, s.variant);
    s.out = sp_zalloc(1, sizeof *s.out);
    if (!s.out)
        return sp_fail(err, SP_NOMEM, "no memory for a search");
    for (int m = 0; m < ask->n && !st; m++)
        for (int v = 0; v < s.variants && !st; v++)
            st = look_at(&s, m, v, err);
    if (!st)
        st = gather(&s, err);
    for (int i = 0; i < s.out->n; i++)
        s.out->plan[i].ask.memo = NULL;
    sp_memo_clear(&s.memo);
    sp_free(s.way);
    if (st)
        sp_free(s.out);
    else
        *out = s.out;
    return st;
}
