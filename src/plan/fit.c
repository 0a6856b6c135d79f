/* plan/fit.c - the law of a person's own runs: Huber's loss of the log, L-BFGS from
 * many starts, intervals by bootstrap.
 *
 * Sizes and data are centred in their logarithms, which takes most of the correlation
 * out of A and alpha, B and beta, so that few steps suffice.  Starts: for each pair of
 * exponents on a grid the other three numbers enter linearly (variable projection,
 * Golub & Pereyra 1973); the best pairs descend.  The bootstrap draws runs with
 * replacement, and begins at the fit and at one start of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <nlopt.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"
#include "solve.h"

enum { EXPONENTS = 14, DESCENTS = 12, COARSE = 3, STEPS_MAX = 2000, ROUNDS_MAX = 6, AGAIN_MAX = 2, N = SP_LAW_NUMBERS };
static const double exponents[EXPONENTS] = { 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1, 1.4, 2 };
#define DELTA 1e-3
#define SMALLEST 1e-4              /* a share of the loss that least squares makes of what it would have negative */
#define RIDGE 1e-12                /* a share of the diagonal: small exponents make columns nearly alike             */
#define PATIENCE 1e-10             /* a round that gains less (of 1) is the last                                  */

/* Distinct runs: centred log parameters and log tokens, log loss, how often each counts. */
struct points { int n; double *x, *y, *l, *w; double mean_x, mean_y; };
struct problem { const struct points *p; double delta; bool tied, no_memory; int64_t evaluations; };

/* ---- the objective, in units of delta squared: e, a, b centred, alpha, beta ---- */

static double objective(unsigned n, const double *t, double *gradient, void *arg)
{
    struct problem *k = arg;
    const struct points *p = k->p;
    double beta = n == N ? t[SP_LAW_BETA] : t[SP_LAW_ALPHA], sum = 0, g[N] = { 0 }, delta = k->delta;
    for (int i = 0; i < p->n; i++) {
        double a = t[SP_LAW_A] - t[SP_LAW_ALPHA] * p->x[i], b = t[SP_LAW_B] - beta * p->y[i], top = fmax(fmax(a, b), t[SP_LAW_E]);
        double e = exp(t[SP_LAW_E] - top), ea = exp(a - top), eb = exp(b - top), whole = e + ea + eb;
        double r = p->l[i] - top - log(whole), size = fabs(r), w = p->w[i];
        sum += w * (size <= delta ? r * r / 2 : delta * (size - delta / 2));
        double pull = -w * (size <= delta ? r : copysign(delta, r)) / whole;
        g[SP_LAW_E] += pull * e;
        g[SP_LAW_A] += pull * ea;
        g[SP_LAW_B] += pull * eb;
        g[SP_LAW_ALPHA] -= pull * ea * p->x[i];
        g[SP_LAW_BETA] -= pull * eb * p->y[i];
    }
    k->evaluations++;
    if (n < N)
        g[SP_LAW_ALPHA] += g[SP_LAW_BETA];
    for (unsigned i = 0; gradient && i < n; i++)
        gradient[i] = g[i] / (delta * delta);
    return sum / (delta * delta);
}

/* Down from t, again from where it ended until that gains nothing: the kinks of Huber's loss end some descents early. */
static double descend(struct problem *k, double t[N], int rounds)
{
    unsigned n = k->tied ? N - 1 : N;
    double best = objective(n, t, NULL, k);
    nlopt_opt o = nlopt_create(NLOPT_LD_LBFGS, n);
    if (!o) {
        k->no_memory = true;
        return INFINITY;
    }
    nlopt_set_min_objective(o, objective, k);
    nlopt_set_ftol_rel(o, 1e-12);
    nlopt_set_xtol_rel(o, 1e-10);
    nlopt_set_maxeval(o, STEPS_MAX);
    for (int i = 0; i < rounds; i++) {
        double at[N], value;
        memcpy(at, t, sizeof at);
        nlopt_optimize(o, at, &value); /* one that fails has still not climbed */
        if (!(value < best))
            break;
        bool last = best - value < PATIENCE * best;
        best = value;
        memcpy(t, at, n * sizeof *t);
        if (last)
            break;
    }
    nlopt_destroy(o);
    return best;
}

/* ---- starts ---- */

/* E, A, B of least squares of (law / loss - 1) at these exponents; what would be negative is made small. */
static void start_at(const struct points *p, double alpha, double beta, double t[N])
{
    double m[3 * 3] = { 0 }, v[3] = { 0 }, mean = 0;
    for (int i = 0; i < p->n; i++) {
        double part = exp(-p->l[i]), row[3] = { part, part * exp(-alpha * p->x[i]), part * exp(-beta * p->y[i]) };
        for (int r = 0; r < 3; r++) {
            v[r] += row[r];
            for (int c = 0; c < 3; c++)
                m[3 * r + c] += row[r] * row[c];
        }
        mean += p->l[i] / p->n;
    }
    for (int r = 0; r < 3; r++)
        m[4 * r] *= 1 + RIDGE;
    sp_solve(3, m, v);
    for (int i = 0; i < 3; i++)
        t[i] = log(fmax(v[i], SMALLEST * exp(mean))); /* NAN too */
    t[SP_LAW_ALPHA] = alpha;
    t[SP_LAW_BETA] = beta;
}

struct start { double value, t[N]; };

static int by_value(const void *a, const void *b)
{
    double x = ((const struct start *)a)->value, y = ((const struct start *)b)->value;
    return (x > y) - (x < y);
}

/* Of every stride-th pair of exponents, the best first. */
static int starts_of(struct problem *k, int stride, struct start start[EXPONENTS * EXPONENTS])
{
    int n = 0;
    for (int i = 0; i < EXPONENTS; i += stride)
        for (int j = 0; j < EXPONENTS; j += stride) {
            struct start *s = &start[n];
            if (k->tied && i != j)
                continue;
            start_at(k->p, exponents[i], exponents[j], s->t);
            s->value = objective(N, s->t, NULL, k);
            n++;
        }
    qsort(start, (size_t)n, sizeof *start, by_value);
    return n;
}

static double search(struct problem *k, double t[N], struct sp_fit *f)
{
    struct start start[EXPONENTS * EXPONENTS];
    double best = INFINITY;
    f->starts = starts_of(k, 1, start);
    f->descents = f->starts < DESCENTS ? f->starts : DESCENTS;
    for (int i = 0; i < f->descents; i++) {
        double value = descend(k, start[i].t, ROUNDS_MAX);
        if (value < best) {
            best = value;
            memcpy(t, start[i].t, N * sizeof *t);
        }
    }
    if (k->tied)
        t[SP_LAW_BETA] = t[SP_LAW_ALPHA];
    return best;
}

/* From t, and from the best of a coarser grid: another valley may be the deeper one for other runs. */
static void search_again(struct problem *k, double t[N])
{
    struct start start[EXPONENTS * EXPONENTS];
    starts_of(k, COARSE, start);
    if (descend(k, start[0].t, AGAIN_MAX) < descend(k, t, AGAIN_MAX))
        memcpy(t, start[0].t, N * sizeof *t);
    if (k->tied)
        t[SP_LAW_BETA] = t[SP_LAW_ALPHA];
}

/* ---- points and laws ---- */

static enum sp_status points_new(struct points *p, int n, struct sp_err *err)
{
    *p = (struct points){ .n = n, .x = sp_zalloc((size_t)n * 4, sizeof *p->x) };
    if (!p->x)
        return sp_fail(err, SP_NOMEM, "out of memory for %d runs", n);
    p->y = p->x + n;
    p->l = p->y + n;
    p->w = p->l + n;
    return SP_OK;
}

static enum sp_status points_of(struct points *p, const struct sp_law_runs *r, struct sp_err *err)
{
    TRY(points_new(p, r->n, err));
    for (int i = 0; i < r->n; i++) {
        p->mean_x += log(r->parameters[i]) / r->n;
        p->mean_y += log(r->tokens[i]) / r->n;
    }
    for (int i = 0; i < r->n; i++) {
        p->x[i] = log(r->parameters[i]) - p->mean_x;
        p->y[i] = log(r->tokens[i]) - p->mean_y;
        p->l[i] = log(r->loss[i]);
        p->w[i] = 1;
    }
    return SP_OK;
}

/* Of centred t to log E, log A, log B, alpha, beta. */
static void plain(const struct points *p, const double t[N], double out[N])
{
    memcpy(out, t, N * sizeof *out);
    out[SP_LAW_A] += t[SP_LAW_ALPHA] * p->mean_x;
    out[SP_LAW_B] += t[SP_LAW_BETA] * p->mean_y;
}

static int upwards(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int n, double q)
{
    double at = q * (n - 1);
    int i = (int)at;
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

/* Standard deviation by the median, for the numbers that the fit used up. */
static enum sp_status scatter_of(const struct sp_law_runs *r, struct sp_law *l, struct sp_err *err)
{
    double *off = sp_zalloc((size_t)r->n, sizeof *off);
    if (!off)
        return sp_fail(err, SP_NOMEM, "out of memory for %d runs", r->n);
    for (int i = 0; i < r->n; i++)
        off[i] = fabs(log(r->loss[i] / sp_law_loss(l, r->parameters[i], r->tokens[i])));
    qsort(off, (size_t)r->n, sizeof *off, upwards);
    l->scatter = 1.4826 * quantile(off, r->n, 0.5) * sqrt((double)r->n / (r->n - N));
    sp_free(off);
    return SP_OK;
}

static void law_of(const double number[N], const struct sp_law_runs *r, struct sp_law *l)
{
    *l = (struct sp_law){ .name = "own", .E = exp(number[0]), .A = exp(number[1]), .B = exp(number[2]), .alpha = number[3], .beta = number[4],
                          .how = SP_HOW_MODEL, .flops_min = INFINITY, .runs = r->n };
    for (int i = 0; i < r->n; i++) {
        double flops = 6 * r->parameters[i] * r->tokens[i];
        l->flops_min = fmin(l->flops_min, flops);
        l->flops_max = fmax(l->flops_max, flops);
    }
}

static enum sp_status determined(const struct sp_law *l, struct sp_err *err)
{
    const char *what = !(l->alpha > 0.01 && l->alpha < 5) ? "parameters" : !(l->beta > 0.01 && l->beta < 5) ? "tokens" : NULL;
    if (!what)
        return SP_OK;
    sp_fail(err, SP_UNSUPPORTED, "these runs do not show how loss falls with %s (alpha %.3g, beta %.3g)", what, l->alpha, l->beta);
    return sp_remedy(err, "add runs that differ more in %s, or try --tied", what);
}

/* ---- bootstrap ---- */

struct bootstrap {
    const struct points *all;
    struct problem problem;        /* as of the fit                               */
    double begin[N];
    uint64_t key;
    int resamples;
    double (*number)[N];           /* of each resample                            */
    int64_t *evaluations;          /* of each; -1: memory ran out                 */
};

/* Runs drawn with replacement; those drawn are kept once, with how often. */
static void draw(const struct points *all, struct sp_random *random, struct points *p)
{
    for (int i = 0; i < all->n; i++)
        p->w[i] = 0;
    for (int i = 0; i < all->n; i++)
        p->w[sp_random_below(random, (uint64_t)all->n)]++;
    p->n = 0;
    for (int i = 0; i < all->n; i++) {
        double w = p->w[i];
        if (w == 0)
            continue;
        p->x[p->n] = all->x[i];
        p->y[p->n] = all->y[i];
        p->l[p->n] = all->l[i];
        p->w[p->n++] = w; /* at or before i */
    }
}

static void resample(void *arg, int64_t task, int thread)
{
    struct bootstrap *b = arg;
    struct sp_random random = { .key = b->key, .counter = (uint64_t)task << 32 };
    struct points p;
    struct sp_err err;
    (void)thread;
    b->evaluations[task] = -1;
    if (points_new(&p, b->all->n, &err))
        return;
    struct problem k = b->problem;
    double t[N];
    k.p = &p;
    k.evaluations = 0;
    draw(b->all, &random, &p);
    memcpy(t, b->begin, sizeof t);
    search_again(&k, t);
    plain(b->all, t, b->number[task]);
    b->evaluations[task] = k.no_memory ? -1 : k.evaluations;
    sp_free(p.x);
}

/* Interval, deviation and covariance; one coordinate's outermost hundredths count as the hundredth, so that the few
 * resamples in which a number is not determined do not make the covariance. */
static void summarise(struct bootstrap *b, double *column, struct sp_fit *f)
{
    double likely[N] = { f->law.E, f->law.A, f->law.B, f->law.alpha, f->law.beta }, mean[N] = { 0 };
    int n = b->resamples;
    for (int i = 0; i < n; i++)
        column[i] = b->number[i][SP_LAW_BETA] / (b->number[i][SP_LAW_ALPHA] + b->number[i][SP_LAW_BETA]);
    qsort(column, (size_t)n, sizeof *column, upwards);
    f->exponent = sp_range(quantile(column, n, 0.025), f->law.beta / (f->law.alpha + f->law.beta), quantile(column, n, 0.975), SP_HOW_MODEL);
    for (int j = 0; j < N; j++) {
        for (int i = 0; i < n; i++)
            column[i] = b->number[i][j];
        qsort(column, (size_t)n, sizeof *column, upwards);
        double low = quantile(column, n, 0.025), high = quantile(column, n, 0.975), least = quantile(column, n, 0.01), most = quantile(column, n, 0.99);
        f->number[j] = j < SP_LAW_ALPHA ? sp_range(exp(low), likely[j], exp(high), SP_HOW_MODEL) : sp_range(low, likely[j], high, SP_HOW_MODEL);
        for (int i = 0; i < n; i++) {
            b->number[i][j] = fmin(fmax(b->number[i][j], least), most);
            mean[j] += b->number[i][j] / n;
        }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < N; j++)
            for (int k = 0; k < N; k++)
                f->law.covariance[j][k] += (b->number[i][j] - mean[j]) * (b->number[i][k] - mean[k]) / (n - 1);
    for (int j = 0; j < N; j++)
        f->error[j] = sqrt(f->law.covariance[j][j]) * (j < SP_LAW_ALPHA ? likely[j] : 1);
}

static enum sp_status intervals(struct bootstrap *b, struct sp_pool *pool, struct sp_fit *f, struct sp_err *err)
{
    size_t n = (size_t)b->resamples;
    b->number = sp_zalloc(n, sizeof *b->number + sizeof(double) + sizeof(int64_t));
    if (!b->number)
        return sp_fail(err, SP_NOMEM, "out of memory for %d resamples", b->resamples);
    double *column = (double *)(void *)(b->number + n);
    b->evaluations = (int64_t *)(void *)(column + n);
    sp_pool_run(pool, resample, b, b->resamples);
    enum sp_status st = SP_OK;
    for (size_t i = 0; i < n && !st; i++) {
        if (b->evaluations[i] < 0)
            st = sp_fail(err, SP_NOMEM, "out of memory for a resample");
        f->evaluations += b->evaluations[i];
    }
    if (!st)
        summarise(b, column, f);
    f->resamples = b->resamples;
    sp_free(b->number);
    return st;
}

/* ---- the fit ---- */

static enum sp_status fit_points(const struct sp_law_runs *r, const struct points *p, const struct sp_fit_options *o, struct sp_fit *f, struct sp_err *err)
{
    struct problem k = { .p = p, .delta = o->delta > 0 ? o->delta : DELTA, .tied = o->tied };
    struct bootstrap b = { .all = p, .resamples = o->resamples, .key = sp_random_key(o->seed, "plan fit bootstrap") };
    double number[N];
    f->objective = search(&k, b.begin, f) * k.delta * k.delta;
    if (k.no_memory)
        return sp_fail(err, SP_NOMEM, "out of memory for the fit");
    if (!(f->objective < INFINITY))
        return sp_fail(err, SP_UNSUPPORTED, "the numbers of these runs are out of all proportion: no law comes near them");
    f->evaluations = k.evaluations;
    plain(p, b.begin, number);
    law_of(number, r, &f->law);
    TRY(determined(&f->law, err));
    TRY(scatter_of(r, &f->law, err));
    f->exponent = sp_exact(f->law.beta / (f->law.alpha + f->law.beta), SP_HOW_MODEL);
    for (int i = 0; i < N; i++)
        f->number[i] = sp_exact(i < SP_LAW_ALPHA ? exp(number[i]) : number[i], SP_HOW_MODEL);
    b.problem = k;
    return o->resamples > 1 ? intervals(&b, o->pool, f, err) : SP_OK;
}

enum sp_status sp_fit_law(const struct sp_law_runs *r, const struct sp_fit_options *o, struct sp_fit *out, struct sp_err *err)
{
    struct points p;
    struct sp_fit f = { 0 };
    TRY(points_of(&p, r, err));
    enum sp_status st = fit_points(r, &p, o, &f, err);
    sp_free(p.x);
    if (!st)
        *out = f;
    return st;
}

double sp_fit_objective(const struct sp_law_runs *r, const struct sp_law *l, double delta, double gradient[SP_LAW_NUMBERS])
{
    double sum = 0, t[N] = { log(l->E), log(l->A), log(l->B), l->alpha, l->beta };
    for (int j = 0; gradient && j < N; j++)
        gradient[j] = 0;
    for (int i = 0; i < r->n; i++) { /* a run at a time, where nothing is centred */
        double x = log(r->parameters[i]), y = log(r->tokens[i]), loss = log(r->loss[i]), w = 1, g[N];
        struct points p = { .n = 1, .x = &x, .y = &y, .l = &loss, .w = &w };
        struct problem k = { .p = &p, .delta = delta };
        sum += objective(N, t, g, &k) * delta * delta;
        for (int j = 0; gradient && j < N; j++)
            gradient[j] += g[j] * delta * delta;
    }
    return sum;
}
