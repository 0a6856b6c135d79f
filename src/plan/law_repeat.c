/* plan/law_repeat.c - best sizes when data must be repeated, and when serving is
 * counted too: searches along one axis, where no closed form is.
 *
 * Muennighoff et al. 2023, "Scaling Data-Constrained Language Models", equations
 * (5) and (6) with the constants of their code.  Sardana et al. 2024, "Beyond
 * Chinchilla-Optimal", equation (3).
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fit.h"

#define REPEATS 15.387756          /* R_D*: repetitions after which the value of a token has fallen to 1/e */
#define EXCESS 5.309743            /* R_N*: the same of parameters that are more than the unique tokens deserve */
#define FLOPS_MAX 1e40
enum { GRID = 400, SECTIONS = 60, HALVES = 40 };

/* ---- the least of a function ---- */

typedef double axis(double log_parameters, const void *arg);

/* A grid finds the valley, golden section its floor. */
static double least(axis *f, const void *arg, double from, double to)
{
    const double golden = (sqrt(5) - 1) / 2, step = (to - from) / GRID;
    double best = INFINITY, at = from;
    for (int i = 0; i <= GRID; i++) {
        double v = f(from + i * step, arg);
        if (v < best) {
            best = v;
            at = from + i * step;
        }
    }
    double a = fmax(from, at - step), b = fmin(to, at + step);
    for (int i = 0; i < SECTIONS; i++) {
        double left = b - golden * (b - a), right = a + golden * (b - a);
        if (f(left, arg) < f(right, arg))
            b = right;
        else
            a = left;
    }
    return (a + b) / 2;
}

/* ---- repeated data ---- */

/* What n are worth of which only the first `whole` count in full. */
static double worth(double n, double whole, double fade)
{
    return n <= whole ? n : whole + whole * fade * (1 - exp(-(n / whole - 1) / fade));
}

/* Parameters of the best model for so many tokens. */
static double deserved(const struct sp_law *l, double tokens)
{
    double g = pow(l->alpha * l->A / (l->beta * l->B), 1 / (l->alpha + l->beta));
    return pow(tokens * g, l->beta / l->alpha) * g;
}

double sp_law_loss_repeated(const struct sp_law *l, double parameters, double tokens, double unique)
{
    if (unique > tokens)
        unique = tokens;
    return sp_law_loss(l, worth(parameters, deserved(l, unique), EXCESS), worth(tokens, unique, REPEATS));
}

struct repeated { const struct sp_law *l; double flops, unique; };

static double loss_of(double log_parameters, const void *arg)
{
    const struct repeated *r = arg;
    double n = exp(log_parameters);
    return sp_law_loss_repeated(r->l, n, r->flops / 6 / n, r->unique);
}

struct sp_law_point sp_law_best_repeated(const struct sp_law *l, double flops, double unique)
{
    struct sp_law_point p = sp_law_best(l, flops);
    if (unique >= p.tokens)
        return p;
    struct repeated r = { l, flops, unique };
    double all = log(p.parameters), once = log(flops / 6 / unique);
    p.parameters = exp(least(loss_of, &r, fmin(all, once) - 2, fmax(all, once) + 2));
    p.tokens = flops / 6 / p.parameters;
    p.loss = sp_law_loss_repeated(l, p.parameters, p.tokens, unique);
    return p;
}

double sp_law_flops_repeated(const struct sp_law *l, double loss, double unique)
{
    double low = sp_law_cheapest(l, loss).flops, high = low;
    while (high < FLOPS_MAX && sp_law_best_repeated(l, high, unique).loss > loss)
        high *= 10;
    if (!(high < FLOPS_MAX))
        return INFINITY;
    for (int i = 0; i < HALVES; i++) {
        double middle = sqrt(low) * sqrt(high);
        if (sp_law_best_repeated(l, middle, unique).loss > loss)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* ---- serving counted too ---- */

struct served { const struct sp_law *l; double loss, served; };

/* Tokens that bring n parameters to the loss. */
static double tokens_to(const struct sp_law *l, double n, double loss)
{
    double left = loss - l->E - l->A * pow(n, -l->alpha);
    return left > 0 ? pow(l->B / left, 1 / l->beta) : INFINITY;
}

static double work_of(double log_parameters, const void *arg)
{
    const struct served *s = arg;
    double n = exp(log_parameters);
    return 6 * n * tokens_to(s->l, n, s->loss) + 2 * n * s->served;
}

struct sp_law_point sp_law_best_served(const struct sp_law *l, double loss, double served)
{
    if (!(loss > l->E))
        return (struct sp_law_point){ NAN, NAN, NAN, NAN };
    struct served s = { l, loss, served };
    double smallest = log(l->A / (loss - l->E)) / l->alpha, best = log(sp_law_cheapest(l, loss).parameters);
    double n = exp(least(work_of, &s, smallest, best)), d = tokens_to(l, n, loss);
    return (struct sp_law_point){ n, d, 6 * n * d, loss };
}
