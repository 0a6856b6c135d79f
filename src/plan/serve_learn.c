/* plan/serve_learn.c - how the numbers of serve_fit.h are learned from rows of
 * measured speeds: Gauss-Newton in the logarithms of the numbers, with weights that
 * make far rows count by their distance alone (Huber 1964, by reweighting).
 *
 * A number that no row speaks of stays at its beginning.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "serve_fit.h"

enum { ITERATIONS = 20, ROWS_MAX = 1 << 16 };
static const double NOISE = 0.12;          /* what rows of one device differ by, as a logarithm */
static const double STEP_MOST = 0.5, DIFFERENCE = 1e-3;
static const double COVERED = 0.9, UNSEEN = 1.4, LEAST_OFF = 0.1; /* range: that share of the rows' errors, wider for what wasn't seen */

struct normal { double a[SP_SERVE_CONSTANTS][SP_SERVE_CONSTANTS], b[SP_SERVE_CONSTANTS]; };
struct learning { const struct sp_serve_row *row; int n, without; enum sp_serve_what what; int of[SP_SERVE_CONSTANTS], n_of; };

static bool counts(const struct learning *l, const struct sp_serve_row *r)
{
    return r->group != l->without && sp_serve_what_of(&r->c) == l->what;
}

/* Cholesky: a is symmetric and, thanks to the beginnings, positive definite. */
static void solve(struct normal *m, int n, double *x)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double s = m->a[i][j];
            for (int k = 0; k < j; k++)
                s -= m->a[i][k] * m->a[j][k];
            m->a[i][j] = i == j ? sqrt(fmax(s, 1e-12)) : s / m->a[j][j];
        }
    for (int i = 0; i < n; i++) {
        x[i] = m->b[i];
        for (int k = 0; k < i; k++)
            x[i] -= m->a[i][k] * x[k];
        x[i] /= m->a[i][i];
    }
    for (int i = n - 1; i >= 0; i--) {
        for (int k = i + 1; k < n; k++)
            x[i] -= m->a[k][i] * x[k];
        x[i] /= m->a[i][i];
    }
}

static void add_row(const struct learning *l, const struct sp_serve_row *r, const struct sp_serve_constants *k, struct normal *m)
{
    double at = log(sp_serve_step_s(&r->c, k, NULL)), off = log(r->seconds) - at, slope[SP_SERVE_CONSTANTS];
    double weight = 1 / (NOISE * NOISE) / fmax(1, fabs(off) / NOISE);
    for (int i = 0; i < l->n_of; i++) {
        struct sp_serve_constants moved = *k;
        moved.v[l->of[i]] *= exp(DIFFERENCE);
        slope[i] = (log(sp_serve_step_s(&r->c, &moved, NULL)) - at) / DIFFERENCE;
    }
    for (int i = 0; i < l->n_of; i++) {
        m->b[i] += weight * slope[i] * off;
        for (int j = 0; j < l->n_of; j++)
            m->a[i][j] += weight * slope[i] * slope[j];
    }
}

static void improve(const struct learning *l, struct sp_serve_constants *k)
{
    struct normal m = { 0 };
    double step[SP_SERVE_CONSTANTS];
    for (int r = 0; r < l->n; r++)
        if (counts(l, &l->row[r]))
            add_row(l, &l->row[r], k, &m);
    for (int i = 0; i < l->n_of; i++) {
        const struct sp_serve_constant_row *c = &sp_serve_constant_rows[l->of[i]];
        m.a[i][i] += 1 / (c->spread * c->spread);
        m.b[i] -= log(k->v[l->of[i]] / c->begin) / (c->spread * c->spread);
    }
    solve(&m, l->n_of, step);
    for (int i = 0; i < l->n_of; i++)
        k->v[l->of[i]] *= exp(fmax(-STEP_MOST, fmin(STEP_MOST, step[i])));
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Half the width that covers most of the rows seen, and somewhat more. */
static void set_range(const struct learning *l, struct sp_serve_constants *k)
{
    int n = 0;
    double *off = sp_alloc((size_t)(l->n + 1) * sizeof *off);
    if (!off)
        return;
    for (int r = 0; r < l->n; r++)
        if (counts(l, &l->row[r]))
            off[n++] = fabs(log(l->row[r].seconds / sp_serve_step_s(&l->row[r].c, k, NULL)));
    qsort(off, (size_t)n, sizeof *off, by_size);
    if (n > 3)
        k->v[SP_K_OFF + (int)l->what] = fmax(LEAST_OFF, UNSEEN * off[(int)(COVERED * (n - 1))]);
    sp_free(off);
}

void sp_serve_fit(const struct sp_serve_row *row, int n, int without, struct sp_serve_constants *out)
{
    n = n < ROWS_MAX ? n : ROWS_MAX;
    for (int i = 0; i < SP_SERVE_CONSTANTS; i++)
        out->v[i] = sp_serve_constant_rows[i].begin;
    for (int what = 0; what < SP_SERVE_WHATS; what++) {
        struct learning l = { row, n, without, (enum sp_serve_what)what, { 0 }, 0 };
        for (int i = 0; i < SP_K_OFF; i++)
            if (sp_serve_constant_rows[i].of == l.what)
                l.of[l.n_of++] = i;
        for (int i = 0; i < ITERATIONS; i++)
            improve(&l, out);
        set_range(&l, out);
    }
}
