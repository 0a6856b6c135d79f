/* plan/law_runs.c - a person's runs from a table: size, data, loss.
 *
 * Which rows are used is decided here and by what goes in alone: the rules stand in
 * docs/planning.md.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fit.h"

#define LARGEST 1e40
enum { PARAMETERS, TOKENS, FLOPS, LOSS, COLUMNS };
static const char *const names[COLUMNS][12] = {
    [PARAMETERS] = { "parameters", "params", "n", "modelsize", "nparams", "numparams", "nparameters", NULL },
    [TOKENS] = { "tokens", "d", "trainingtokens", "traintokens", "ntokens", "numtokens", "datasize", NULL },
    [FLOPS] = { "flop", "flops", "c", "trainingflop", "trainingflops", "trainflops", "compute", NULL },
    [LOSS] = { "loss", "l", "valloss", "validloss", "validationloss", "evalloss", "testloss", "finalloss", NULL },
};

/* Letters and digits alone, in lower case: "Model Size", "model_size". */
static bool called(const char *column, const char *name)
{
    for (; *column; column++) {
        if (!isalnum((unsigned char)*column))
            continue;
        if (tolower((unsigned char)*column) != *name++)
            return false;
    }
    return !*name;
}

/* The first name of the list that some column has; -1: none. */
static int find(const struct sp_csv *t, int what)
{
    for (const char *const *n = names[what]; *n; n++)
        for (int i = 0; i < t->columns; i++)
            if (called(t->cell[i], *n))
                return i;
    return -1;
}

static enum sp_status find_all(const struct sp_csv *t, int at[COLUMNS], struct sp_err *err)
{
    for (int i = 0; i < COLUMNS; i++)
        at[i] = find(t, i);
    const char *lacks = at[PARAMETERS] < 0 ? "parameters" : at[LOSS] < 0 ? "loss" : at[TOKENS] < 0 && at[FLOPS] < 0 ? "tokens or FLOP" : NULL;
    if (!lacks)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "no column tells the %s of a run", lacks);
    sp_where(err, "%s", t->name);
    return sp_remedy(err, "name the columns parameters, tokens (or flop) and loss");
}

/* Rules 1 and 2. */
static enum sp_status take_row(struct sp_law_runs *r, const struct sp_csv *t, int row, const int at[COLUMNS], struct sp_err *err)
{
    double v[COLUMNS] = { NAN, NAN, NAN, NAN };
    for (int i = 0; i < COLUMNS; i++)
        if (at[i] >= 0)
            TRY(sp_csv_real(t, row, at[i], &v[i], err));
    if (isnan(v[PARAMETERS]) || isnan(v[LOSS]) || (isnan(v[TOKENS]) && isnan(v[FLOPS]))) {
        r->missing++;
        return SP_OK;
    }
    for (int i = 0; i < COLUMNS; i++)
        if (v[i] <= 0 || v[i] > LARGEST) {
            r->negative++;
            return SP_OK;
        }
    r->tokens_from_flops |= isnan(v[TOKENS]);
    r->parameters[r->n] = v[PARAMETERS];
    r->tokens[r->n] = isnan(v[TOKENS]) ? v[FLOPS] / 6 / v[PARAMETERS] : v[TOKENS];
    r->loss[r->n++] = v[LOSS];
    return SP_OK;
}

static int downwards(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Rule 3; sorted: room for all losses. */
static void drop(struct sp_law_runs *r, int largest, double *sorted)
{
    if (largest <= 0)
        return;
    if (largest >= r->n) {
        r->largest = r->n;
        r->n = 0;
        return;
    }
    memcpy(sorted, r->loss, (size_t)r->n * sizeof *sorted);
    qsort(sorted, (size_t)r->n, sizeof *sorted, downwards);
    int kept = 0;
    for (int i = 0; i < r->n; i++) {
        if (r->loss[i] >= sorted[largest - 1])
            continue;
        r->parameters[kept] = r->parameters[i];
        r->tokens[kept] = r->tokens[i];
        r->loss[kept++] = r->loss[i];
    }
    r->largest = r->n - kept;
    r->n = kept;
}

/* Different values, a thousandth apart at least; counted up to a few. */
static int different(const double *v, int n)
{
    double seen[SP_RUNS_SIZES_MIN];
    int k = 0;
    for (int i = 0; i < n && k < SP_RUNS_SIZES_MIN; i++) {
        bool new = true;
        for (int j = 0; j < k; j++)
            new = new && fabs(v[i] / seen[j] - 1) > 1e-3;
        if (new)
            seen[k++] = v[i];
    }
    return k;
}

/* Rule 4. */
static enum sp_status enough(const struct sp_law_runs *r, const char *name, struct sp_err *err)
{
    const char *few = r->n < SP_RUNS_MIN ? "runs" : different(r->parameters, r->n) < SP_RUNS_SIZES_MIN ? "sizes of model"
                    : different(r->tokens, r->n) < SP_RUNS_SIZES_MIN ? "sizes of data" : NULL;
    if (!few)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "%d runs can be used of %d given: too few %s to determine five numbers", r->n, r->given, few);
    sp_where(err, "%s", name);
    return sp_remedy(err, "%d runs with %d different sizes of model and of data at least", SP_RUNS_MIN, SP_RUNS_SIZES_MIN);
}

enum sp_status sp_law_runs_read(struct sp_law_runs *out, const struct sp_csv *t, int drop_largest, struct sp_err *err)
{
    struct sp_law_runs r = { .given = t->rows };
    int at[COLUMNS];
    TRY(find_all(t, at, err));
    if (t->rows > SP_RUNS_MAX)
        return sp_fail(err, SP_LIMIT, "%s: more than %d rows", t->name, SP_RUNS_MAX);
    size_t n = (size_t)t->rows;
    r.parameters = sp_zalloc(4 * n + 1, sizeof *r.parameters); /* the last quarter: to sort in */
    if (!r.parameters)
        return sp_fail(err, SP_NOMEM, "out of memory for %d runs", t->rows);
    r.tokens = r.parameters + n;
    r.loss = r.tokens + n;
    enum sp_status st = SP_OK;
    for (int i = 0; i < t->rows && !st; i++)
        st = take_row(&r, t, i, at, err);
    if (!st) {
        drop(&r, drop_largest, r.loss + n);
        st = enough(&r, t->name, err);
    }
    if (st)
        sp_law_runs_clear(&r);
    else
        *out = r;
    return st;
}

void sp_law_runs_clear(struct sp_law_runs *r)
{
    sp_free(r->parameters);
    *r = (struct sp_law_runs){ 0 };
}
