/* fuzz/fuzz_runs.c - any bytes as a table of runs that a scaling law is fitted to, and
 * as the law that came of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "plan/fit.h"

enum { RUNS_MAX = 40 }; /* longer tables only take longer */

static void check_law(const struct sp_law *l)
{
    struct sp_law_point p = sp_law_best(l, 1e20);
    if (!(p.parameters >= 0) || !(sp_law_outside(l, 1e20) >= 0))
        abort();
}

static void as_runs(char *text)
{
    struct sp_csv t;
    struct sp_law_runs r;
    struct sp_fit f;
    struct sp_err err = { 0 };
    if (sp_csv_parse(&t, text, "fuzz.csv", &err))
        return;
    if (sp_law_runs_read(&r, &t, 1, &err)) {
        if (!err.what[0])
            abort();
    } else {
        if (r.n + r.missing + r.negative + r.largest != r.given)
            abort();
        if (r.n <= RUNS_MAX && !sp_fit_law(&r, &(struct sp_fit_options){ .resamples = 2, .seed = 1 }, &f, &err)) {
            if (!(f.objective >= 0) || !(f.law.alpha > 0))
                abort();
            check_law(&f.law);
        }
        sp_law_runs_clear(&r);
    }
    sp_csv_clear(&t);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
    struct sp_err err = { 0 };
    struct sp_law l;
    json_t *j;
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = 0;
    if (!sp_json_parse(&j, text, n, "fuzz.json", &err)) {
        if (!sp_law_from_json(&l, j, &err))
            check_law(&l);
        json_decref(j);
    }
    as_runs(text);
    free(text);
    return 0;
}
