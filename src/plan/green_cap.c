/* plan/green_cap.c - a power cap for a GPU, from what other GPUs did under theirs.
 *
 * Three rules, each with one number x that is learned on other GPUs: a share of the
 * label's watts (looks at nothing of the GPU), a share of what the workload draws
 * uncapped (looks at one reading), and the lowest limit that isn't too slow (looks
 * at times).  None looks at the energies of the GPU that is capped.  x is the value
 * that saves most on the others while they lose no more than 0.9 of the time
 * allowed: another GPU answers a little differently (the 0.9 was set with the scores of left-out GPUs in view; what
 * else was tried stands in docs/planning.md).  (You et al. 2023, Zeus, for
 * the question and the traces; its MaxSlowdown is the third rule with x given.)
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "green.h"

enum { TRACES_BYTES_MAX = 64 << 20 };
static const double MARGIN = 0.9;

/* ---- traces ---- */

static int by_limit(const void *a, const void *b)
{
    double d = ((const struct sp_cap_point *)a)->limit_w - ((const struct sp_cap_point *)b)->limit_w;
    return (d > 0) - (d < 0);
}

struct columns { int limit, time, power; };

static void name_work(const struct sp_csv *t, int row, const struct columns *c, char *buf, size_t cap)
{
    size_t n = 0;
    buf[0] = 0;
    for (int i = 0; i < t->columns && n < cap; i++)
        if (i != c->limit && i != c->time && i != c->power)
            n += (size_t)snprintf(buf + n, cap - n, "%s%s", n ? " " : "", sp_csv_at(t, row, i));
}

static enum sp_status read_point(const struct sp_csv *t, int row, const struct columns *c, struct sp_cap_point *p, struct sp_err *err)
{
    TRY(sp_csv_real(t, row, c->limit, &p->limit_w, err));
    TRY(sp_csv_real(t, row, c->time, &p->time_s, err));
    p->power_w = NAN;
    if (c->power >= 0)
        TRY(sp_csv_real(t, row, c->power, &p->power_w, err));
    if (p->limit_w > 0 && p->time_s > 0 && !(p->power_w <= 0))
        return SP_OK;
    sp_fail(err, SP_FORMAT, "a limit of \"%s\" W, a time of \"%s\" s and a power of \"%s\" W are not all above 0", sp_csv_at(t, row, c->limit),
            sp_csv_at(t, row, c->time), sp_csv_at(t, row, c->power));
    return sp_where(err, "%s row %d", t->name, row + 1);
}

/* Rows of one workload need not stand together. */
static struct sp_cap_work *find_work(struct sp_cap_gpu *g, const char *name)
{
    for (int i = g->n - 1; i >= 0; i--)
        if (!strcmp(g->work[i].name, name))
            return &g->work[i];
    struct sp_cap_work *w = &g->work[g->n++];
    *w = (struct sp_cap_work){ 0 };
    snprintf(w->name, sizeof w->name, "%s", name);
    return w;
}

static enum sp_status put_row(struct sp_cap_gpu *g, const struct sp_csv *t, int row, const struct columns *c, struct sp_err *err)
{
    struct sp_cap_point p;
    char name[sizeof g->work->name];
    TRY(read_point(t, row, c, &p, err));
    name_work(t, row, c, name, sizeof name);
    struct sp_cap_work *w = find_work(g, name);
    for (int i = 0; i < w->n; i++)
        if (fabs(w->at[i].limit_w - p.limit_w) < 0.5) {
            sp_fail(err, SP_FORMAT, "workload \"%s\" stands twice with a limit of %g W", name, p.limit_w);
            return sp_where(err, "%s row %d", t->name, row + 1);
        }
    if (w->n == SP_CAP_POINTS_MAX) {
        sp_fail(err, SP_LIMIT, "workload \"%s\" has more than %d limits", name, SP_CAP_POINTS_MAX);
        return sp_where(err, "%s", t->name);
    }
    w->at[w->n++] = p;
    g->top_w = fmax(g->top_w, p.limit_w);
    return SP_OK;
}

/* Left out, by what a row says and never by how a rule does on it: no measurement without a cap, or nothing beside it. */
static void keep_comparable(struct sp_cap_gpu *g)
{
    int kept = 0;
    g->given = g->n;
    for (int i = 0; i < g->n; i++) {
        struct sp_cap_work *w = &g->work[i];
        qsort(w->at, (size_t)w->n, sizeof *w->at, by_limit);
        if (w->n >= 2 && w->at[w->n - 1].limit_w > g->top_w - 0.5)
            g->work[kept++] = *w;
    }
    g->skipped = g->n - kept;
    g->n = kept;
}

static enum sp_status read_rows(struct sp_cap_gpu *g, const struct sp_csv *t, struct sp_err *err)
{
    struct columns c = { .power = sp_csv_column(t, "average_power") };
    TRY(sp_csv_need(t, "power_limit", &c.limit, err));
    TRY(sp_csv_need(t, "time_per_epoch", &c.time, err));
    g->work = sp_zalloc((size_t)t->rows + 1, sizeof *g->work);
    if (!g->work)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows of traces", t->rows);
    for (int i = 0; i < t->rows; i++)
        TRY(put_row(g, t, i, &c, err));
    keep_comparable(g);
    if (g->n)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "no workload has the largest limit of %g W and another one", g->top_w);
    return sp_where(err, "%s", t->name);
}

/* The file's name without folder, ending and what all such files begin with. */
static void name_gpu(struct sp_cap_gpu *g, const char *path)
{
    static const char usual[] = "power_cap_traces_";
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    base += strncmp(base, usual, sizeof usual - 1) ? 0 : sizeof usual - 1;
    snprintf(g->name, sizeof g->name, "%.*s", (int)strcspn(base, "."), base);
}

enum sp_status sp_cap_read(struct sp_cap_gpu *out, const char *path, struct sp_err *err)
{
    struct sp_csv t;
    struct sp_cap_gpu g = { 0 };
    TRY(sp_csv_read(&t, path, TRACES_BYTES_MAX, err));
    name_gpu(&g, path);
    enum sp_status st = read_rows(&g, &t, err);
    sp_csv_clear(&t);
    if (st)
        sp_cap_clear(&g);
    else
        *out = g;
    return st;
}

void sp_cap_clear(struct sp_cap_gpu *g)
{
    sp_free(g->work);
    *g = (struct sp_cap_gpu){ 0 };
}

/* ---- rules ---- */

/* all: make && build/sparsam plan cap TRACES..., the three files of docs/planning.md, "learned on all". */
const struct sp_cap_rule_row sp_cap_rules[SP_CAP_RULES] = {
    [SP_CAP_LABEL] = { "label", "its largest limit alone", 0.30, 1, 0.01, 0.68 },
    [SP_CAP_DRAW] = { "draw", "what each workload draws uncapped", 0.30, 1.2, 0.01, 0.85 },
    [SP_CAP_TIME] = { "time", "the time of each workload under each limit", 1, 1.5, 0.005, 1.09 },
};

static int lowest_from(const struct sp_cap_work *w, double watts)
{
    for (int i = 0; i < w->n; i++)
        if (w->at[i].limit_w >= watts - 1e-9)
            return i;
    return w->n - 1;
}

int sp_cap_choose(enum sp_cap_rule rule, double x, const struct sp_cap_work *w, double top_w)
{
    const struct sp_cap_point *top = &w->at[w->n - 1];
    int i = w->n - 1;
    if (rule == SP_CAP_LABEL)
        return lowest_from(w, x * top_w);
    if (rule == SP_CAP_DRAW)
        return top->power_w > 0 ? lowest_from(w, x * top->power_w) : i;
    while (i > 0 && w->at[i - 1].time_s <= x * top->time_s)
        i--;
    return i;
}

static bool has_energy(const struct sp_cap_work *w, int i)
{
    return w->at[i].power_w > 0 && w->at[w->n - 1].power_w > 0;
}

static double slower_at(const struct sp_cap_work *w, int i)
{
    return w->at[i].time_s / w->at[w->n - 1].time_s - 1;
}

static double saved_at(const struct sp_cap_work *w, int i)
{
    const struct sp_cap_point *top = &w->at[w->n - 1];
    return 1 - w->at[i].time_s * w->at[i].power_w / (top->time_s * top->power_w);
}

/* A running mean. */
static void count(struct sp_cap_score *to, const struct sp_cap_work *w, int i)
{
    if (!has_energy(w, i))
        return;
    to->works++;
    to->saved += (saved_at(w, i) - to->saved) / to->works;
    to->slower += (slower_at(w, i) - to->slower) / to->works;
    to->slower_most = fmax(to->slower_most, slower_at(w, i));
}

void sp_cap_score(struct sp_cap_score *to, enum sp_cap_rule rule, double x, const struct sp_cap_gpu *g)
{
    for (int i = 0; i < g->n; i++)
        count(to, &g->work[i], sp_cap_choose(rule, x, &g->work[i], g->top_w));
}

enum sp_status sp_cap_learn(enum sp_cap_rule rule, const struct sp_cap_gpu *g, int n, int except, double slower, double *x, struct sp_err *err)
{
    const struct sp_cap_rule_row *r = &sp_cap_rules[rule];
    double most = -INFINITY, best = 0;
    int steps = (int)lround((r->to - r->from) / r->step);
    for (int k = 0; k <= steps; k++) {
        struct sp_cap_score s = { 0 };
        for (int i = 0; i < n; i++)
            if (i != except)
                sp_cap_score(&s, rule, r->from + k * r->step, &g[i]);
        if (s.works && s.slower <= MARGIN * slower && s.saved > most) {
            most = s.saved;
            best = r->from + k * r->step;
        }
    }
    if (!(most > -INFINITY)) {
        sp_fail(err, SP_FORMAT, "the traces have no energies that a cap could be learned from");
        return sp_remedy(err, "columns power_limit, time_per_epoch, average_power, of at least one GPU other than the one to cap");
    }
    *x = best;
    return SP_OK;
}

/* ---- with the answer known ---- */

static int priced_best(const struct sp_cap_work *w, double price)
{
    int best = w->n - 1;
    for (int i = 0; i < w->n; i++)
        if (has_energy(w, i) && saved_at(w, i) - price * slower_at(w, i) > saved_at(w, best) - price * slower_at(w, best))
            best = i;
    return best;
}

static void at_price(const struct sp_cap_gpu *g, int n, double price, struct sp_cap_score *each, struct sp_cap_score *all)
{
    *all = (struct sp_cap_score){ 0 };
    for (int i = 0; i < n; i++) {
        each[i] = (struct sp_cap_score){ 0 };
        for (int k = 0; k < g[i].n; k++) {
            int best = priced_best(&g[i].work[k], price);
            count(&each[i], &g[i].work[k], best);
            count(all, &g[i].work[k], best);
        }
    }
}

/* Time has a price in energy; the lowest price at which the mean is slow enough no more (Everett 1963). */
void sp_cap_oracle(const struct sp_cap_gpu *g, int n, double slower, struct sp_cap_score *each, struct sp_cap_score *all)
{
    double low = 0, high = 1024;
    at_price(g, n, 0, each, all);
    if (all->slower <= slower)
        return;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        at_price(g, n, middle, each, all);
        if (all->slower > slower)
            low = middle;
        else
            high = middle;
    }
    at_price(g, n, high, each, all);
}

/* ---- what to expect of a cap ---- */

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;
    return (d > 0) - (d < 0);
}

static struct sp_figure middle_of(double *v, int n)
{
    double mean = 0;
    for (int i = 0; i < n; i++)
        mean += v[i] / n;
    if (!n)
        return sp_exact(0, SP_HOW_UNKNOWN);
    qsort(v, (size_t)n, sizeof *v, by_value);
    return sp_range(fmin(mean, v[n / 10]), mean, fmax(mean, v[n - 1 - n / 10]), SP_HOW_MODEL);
}

static const double draws_to[SP_CAP_EFFECTS] = { 0.4, 0.6, 0.8, INFINITY };

void sp_cap_effects(const struct sp_cap_gpu *g, int n, double x, struct sp_cap_effect out[SP_CAP_EFFECTS])
{
    enum { WORKS_MAX = 4096 };
    for (int e = 0; e < SP_CAP_EFFECTS; e++) {
        double saved[WORKS_MAX], slower[WORKS_MAX], from = e ? draws_to[e - 1] : 0;
        int works = 0;
        for (int i = 0; i < n; i++)
            for (int k = 0; k < g[i].n && works < WORKS_MAX; k++) {
                const struct sp_cap_work *w = &g[i].work[k];
                double draw = w->at[w->n - 1].power_w / g[i].top_w;
                int at = sp_cap_choose(SP_CAP_DRAW, x, w, g[i].top_w);
                if (!has_energy(w, at) || draw < from || draw >= draws_to[e])
                    continue;
                saved[works] = saved_at(w, at);
                slower[works++] = slower_at(w, at);
            }
        out[e] = (struct sp_cap_effect){ draws_to[e], middle_of(saved, works), middle_of(slower, works), works };
    }
}

/* As `all` above: build/sparsam plan cap TRACES... --json | jq .effects */
const struct sp_cap_effect sp_cap_effects_known[SP_CAP_EFFECTS] = {
    { 0.4, { -0.048, 0.015, 0.096, SP_HOW_MODEL }, { -0.071, -0.007, 0.050, SP_HOW_MODEL }, 55 },
    { 0.6, { 0.103, 0.129, 0.170, SP_HOW_MODEL }, { -0.015, 0.063, 0.146, SP_HOW_MODEL }, 18 },
    { 0.8, { 0.120, 0.180, 0.225, SP_HOW_MODEL }, { 0.029, 0.066, 0.116, SP_HOW_MODEL }, 49 },
    { INFINITY, { 0.087, 0.126, 0.157, SP_HOW_MODEL }, { 0.016, 0.051, 0.077, SP_HOW_MODEL }, 43 },
};
