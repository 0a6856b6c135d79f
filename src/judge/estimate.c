/* judge/estimate.c - from a number a token to means with their errors, quantiles and
 * paired tests.
 *
 * The error over tokens is the one llama-perplexity prints; it takes neighbours for
 * independent.  The one over windows does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>
#include <stdlib.h>

enum { BETA_STEPS_MAX = 300 };

/* ---- means ---- */

static double standard_error(double sum, double squares, double n)
{
    double mean = sum / n, spread = squares / n - mean * mean;
    return n > 1 && spread > 0 ? sqrt(spread / (n - 1)) : 0;
}

static struct sp_estimate mean_of(const double *x, const struct sp_scored *s)
{
    double sum = 0, squares = 0, of_means = 0, n = (double)(s->windows * s->each), windows = (double)s->windows;
    for (int64_t i = 0; i < s->windows * s->each; i++)
        sum += x[i];
    double mean = sum / n;
    for (int64_t w = 0; w < s->windows; w++) { /* around the mean: no figures are lost */
        double window = 0;
        for (int64_t i = w * s->each; i < (w + 1) * s->each; i++) {
            window += x[i] - mean;
            squares += (x[i] - mean) * (x[i] - mean);
        }
        of_means += window * window / (double)s->each / (double)s->each;
    }
    return (struct sp_estimate){ mean, standard_error(0, squares, n), standard_error(0, of_means, windows) };
}

/* f of an estimate whose slope there is given. */
static struct sp_estimate through(double value, double slope, struct sp_estimate e)
{
    return (struct sp_estimate){ value, slope * e.error, slope * e.error_windows };
}

static double correlation(const double *x, const double *y, int64_t n, double mx, double my)
{
    double xx = 0, yy = 0, xy = 0;
    for (int64_t i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

/* ---- chance ---- */

/* The incomplete beta function's continued fraction by Lentz's method (Abramowitz and Stegun 26.5.8). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= BETA_STEPS_MAX; m++)
        for (int odd = 0; odd < 2; odd++) {
            double v = odd ? -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)) : m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
            d = 1 + v * d;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = 1 + v / c;
            c = fabs(c) < tiny ? tiny : c;
            f *= d * c;
            if (odd && fabs(d * c - 1) < 1e-14)
                return f;
        }
    return f;
}

static double beta_share(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x <= 0 ? 0 : 1;
    double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double sp_chance_of_t(double t, double freedom)
{
    return freedom >= 1 && isfinite(t) ? beta_share(freedom / 2, 0.5, freedom / (freedom + t * t)) : isfinite(t) ? 1 : 0;
}

static void test(struct sp_estimate difference, int64_t windows, double *t, double *chance)
{
    *t = difference.error_windows > 0 ? difference.value / difference.error_windows : 0;
    *chance = difference.error_windows > 0 ? sp_chance_of_t(*t, (double)(windows - 1)) : 1;
}

/* ---- quantiles ---- */

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Between two values in proportion, as llama-perplexity does. */
static double quantile(const double *sorted, int64_t n, double share)
{
    double at = share * (double)(n - 1);
    int64_t low = (int64_t)at, high = low + 1 < n ? low + 1 : low;
    return sorted[low] + (at - (double)low) * (sorted[high] - sorted[low]);
}

static void quantiles(double *x, int64_t n, struct sp_fidelity *f)
{
    qsort(x, (size_t)n, sizeof *x, ascending);
    f->median = quantile(x, n, 0.5);
    f->q90 = quantile(x, n, 0.9);
    f->q99 = quantile(x, n, 0.99);
    f->q999 = quantile(x, n, 0.999);
    f->largest = x[n - 1];
}

/* ---- all of it ---- */

/* x: room for a number a token. */
static void compare(const struct sp_scored *s, double *x, struct sp_fidelity *f)
{
    int64_t n = s->windows * s->each;
    struct sp_estimate base = mean_of(s->base_nll, s), squared;
    f->base_perplexity = through(exp(base.value), exp(base.value), base);
    f->correlation = correlation(s->nll, s->base_nll, n, f->loss.value, base.value);
    for (int64_t i = 0; i < n; i++)
        x[i] = s->nll[i] - s->base_nll[i];
    f->loss_change = mean_of(x, s);
    f->perplexity_ratio = through(exp(f->loss_change.value), exp(f->loss_change.value), f->loss_change);
    test(f->loss_change, s->windows, &f->t, &f->chance);
    for (int64_t i = 0; i < n; i++)
        x[i] = s->same_top[i];
    f->same_top = mean_of(x, s);
    f->p_change = mean_of(s->p_change, s);
    for (int64_t i = 0; i < n; i++)
        x[i] = s->p_change[i] * s->p_change[i];
    squared = mean_of(x, s);
    double rms = sqrt(squared.value);
    f->p_change_rms = through(rms, rms > 0 ? 0.5 / rms : 0, squared);
    f->divergence = mean_of(s->divergence, s);
    for (int64_t i = 0; i < n; i++)
        x[i] = s->divergence[i];
    quantiles(x, n, f);
}

enum sp_status sp_scored_summary(const struct sp_scored *s, struct sp_fidelity *out, struct sp_err *err)
{
    int64_t n = s->windows * s->each;
    struct sp_fidelity f = { .tokens = n, .windows = s->windows, .compared = s->divergence != NULL };
    double *x = f.compared ? sp_alloc((size_t)n * sizeof *x) : NULL;
    if (f.compared && !x)
        return sp_fail(err, SP_NOMEM, "no memory to sort %lld divergences", (long long)n);
    f.loss = mean_of(s->nll, s);
    f.perplexity = through(exp(f.loss.value), exp(f.loss.value), f.loss);
    if (f.compared)
        compare(s, x, &f);
    sp_free(x);
    *out = f;
    return SP_OK;
}

enum sp_status sp_scored_compare(const struct sp_scored *a, const struct sp_scored *b, struct sp_rivalry *out, struct sp_err *err)
{
    int64_t n = a->windows * a->each;
    if (!a->divergence || !b->divergence || a->windows != b->windows || a->each != b->each)
        return sp_fail(err, SP_SHAPE, "divergences on the same windows are wanted");
    double *x = sp_alloc((size_t)n * sizeof *x), of_b = mean_of(b->divergence, b).value, ratio = mean_of(a->divergence, a).value / of_b;
    if (!x)
        return sp_fail(err, SP_NOMEM, "no memory to compare %lld divergences", (long long)n);
    for (int64_t i = 0; i < n; i++)
        x[i] = a->divergence[i] - b->divergence[i];
    test(mean_of(x, a), a->windows, &out->t, &out->chance);
    for (int64_t i = 0; i < n; i++) /* residuals of a ratio estimator (Cochran 1977, 2.11) */
        x[i] = a->divergence[i] - ratio * b->divergence[i];
    out->ratio = through(ratio, 1 / of_b, mean_of(x, a));
    sp_free(x);
    return SP_OK;
}
