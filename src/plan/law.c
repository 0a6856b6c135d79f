/* plan/law.c - published scaling laws and what they say: loss, the best split of a
 * budget, the cheapest way to a loss, ranges.
 *
 * The constants are the papers' own.  Covariance and scatter were never published;
 * they are those of our bootstrap over the runs of the Chinchilla paper, which the
 * other laws borrow.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "fit.h"

#define STEP 1e-3                  /* of the difference quotient in log E, log A, log B, alpha, beta */
#define Z95 1.959964               /* standard deviations of a 95 % range                            */
#define RANGE_MAX 1e6              /* no range is wider than this factor to either side              */

const char *const sp_law_number_names[SP_LAW_NUMBERS] = { "E", "A", "B", "alpha", "beta" };

/* sparsam plan fit chinchilla_points.csv --drop-largest 5 --bootstrap 4000 --json */
#define COVARIANCE                                                          \
    { { 1.902832e-4, 2.123641e-3, 3.244546e-3, 1.253206e-4, 1.585116e-4 },  \
      { 2.123641e-3, 6.309709e-2, -2.206375e-2, 3.760525e-3, -1.108831e-3 }, \
      { 3.244546e-3, -2.206375e-2, 1.522227e-1, -1.382404e-3, 7.461959e-3 }, \
      { 1.253206e-4, 3.760525e-3, -1.382404e-3, 2.244253e-4, -6.952188e-5 }, \
      { 1.585116e-4, -1.108831e-3, 7.461959e-3, -6.952188e-5, 3.660389e-4 } }
#define SCATTER 0.004851
#define CHINCHILLA_RUNS .covariance = COVARIANCE, .scatter = SCATTER, .flops_min = 1.4e18, .flops_max = 1.3e22, .runs = 240

const struct sp_law sp_laws[] = {
    { .name = "epoch", .E = 1.8169, .A = 482.01, .B = 2085.43, .alpha = 0.3478, .beta = 0.3658, .how = SP_HOW_MODEL, CHINCHILLA_RUNS,
      .source = "Besiroglu et al. 2024 (Epoch AI), the Chinchilla runs fitted again" },
    { .name = "hoffmann", .E = 1.69337368, .A = 406.401018, .B = 410.722827, .alpha = 0.33917084, .beta = 0.2849083, .how = SP_HOW_ASSUMED, CHINCHILLA_RUNS,
      .source = "Hoffmann et al. 2022 (Chinchilla), approach 3, constants as in the paper's source text" },
    { .name = "hoffmann-rounded", .E = 1.69, .A = 406.4, .B = 410.7, .alpha = 0.34, .beta = 0.28, .how = SP_HOW_ASSUMED, CHINCHILLA_RUNS,
      .source = "Hoffmann et al. 2022 (Chinchilla), approach 3, constants as printed with two digits" },
    /* flops: of its IsoFLOP runs, 2.8 billion parameters x 55 billion tokens to 8.7 x 178 */
    { .name = "muennighoff", .E = 1.86914368, .A = 520.824952, .B = 1487.71609, .alpha = 0.3526596, .beta = 0.3526596, .how = SP_HOW_ASSUMED,
      .covariance = COVARIANCE, .scatter = SCATTER, .flops_min = 9.2e20, .flops_max = 9.3e21,
      .source = "Muennighoff et al. 2023 (C4, one exponent for both)" },
    { .name = "" },
};

const struct sp_law *sp_law_find(const char *name)
{
    for (const struct sp_law *l = sp_laws; *l->name; l++)
        if (!strcmp(l->name, name))
            return l;
    return NULL;
}

/* ---- what it says ---- */

double sp_law_loss(const struct sp_law *l, double parameters, double tokens)
{
    return l->E + l->A * pow(parameters, -l->alpha) + l->B * pow(tokens, -l->beta);
}

static struct sp_law_point point(const struct sp_law *l, double parameters, double tokens)
{
    return (struct sp_law_point){ parameters, tokens, 6 * parameters * tokens, sp_law_loss(l, parameters, tokens) };
}

static double proportion(const struct sp_law *l) /* G */
{
    return pow(l->alpha * l->A / (l->beta * l->B), 1 / (l->alpha + l->beta));
}

struct sp_law_point sp_law_best(const struct sp_law *l, double flops)
{
    double n = proportion(l) * pow(flops / 6, l->beta / (l->alpha + l->beta));
    return point(l, n, flops / 6 / n);
}

/* On the best splits both terms fall as C^-(alpha beta / (alpha + beta)). */
struct sp_law_point sp_law_cheapest(const struct sp_law *l, double loss)
{
    double g = proportion(l), k = l->A * pow(g, -l->alpha) + l->B * pow(g, l->beta), fall = l->alpha * l->beta / (l->alpha + l->beta);
    if (!(loss > l->E))
        return (struct sp_law_point){ INFINITY, INFINITY, INFINITY, loss };
    return sp_law_best(l, 6 * pow(k / (loss - l->E), 1 / fall));
}

struct sp_law_point sp_law_twenty(const struct sp_law *l, double flops)
{
    double n = sqrt(flops / 120);
    return point(l, n, 20 * n);
}

double sp_law_outside(const struct sp_law *l, double flops)
{
    return flops < l->flops_min ? log10(l->flops_min / flops) : flops > l->flops_max ? log10(flops / l->flops_max) : 0;
}

void sp_law_batch(double flops, double *tokens, double *learning_rate)
{
    *tokens = 0.2920 * pow(flops, 0.3271);
    *learning_rate = 0.3118 * pow(flops, -0.1250);
}

/* ---- how sure ---- */

static struct sp_law moved(const struct sp_law *l, int number, double by)
{
    struct sp_law m = *l;
    double *at[SP_LAW_NUMBERS] = { &m.E, &m.A, &m.B, &m.alpha, &m.beta };
    *at[number] = number < SP_LAW_ALPHA ? *at[number] * exp(by) : *at[number] + by;
    return m;
}

struct sp_figure sp_law_range(const struct sp_law *l, sp_law_quantity *q, const void *arg, double outside, bool one_run)
{
    double likely = q(l, arg), slope[SP_LAW_NUMBERS], variance = one_run ? l->scatter * l->scatter : 0;
    for (int i = 0; i < SP_LAW_NUMBERS; i++) {
        struct sp_law up = moved(l, i, STEP), down = moved(l, i, -STEP);
        slope[i] = log(q(&up, arg) / q(&down, arg)) / (2 * STEP);
    }
    for (int i = 0; i < SP_LAW_NUMBERS; i++)
        for (int j = 0; j < SP_LAW_NUMBERS; j++)
            variance += slope[i] * slope[j] * l->covariance[i][j];
    double widest = log(RANGE_MAX), by = Z95 * sqrt(variance > 0 ? variance : 0) * (1 + outside);
    by = exp(by < widest ? by : widest); /* NAN too: a neighbour that cannot reach the loss */
    return sp_range(likely / by, likely, likely * by, outside > 0 ? SP_HOW_ASSUMED : l->how);
}
