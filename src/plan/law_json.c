/* plan/law_json.c - a law as JSON, as `plan fit` writes it and `plan optimal` reads it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "fit.h"

enum { LAW_BYTES_MAX = 1 << 20 };

static json_t *covariance_json(const struct sp_law *l)
{
    json_t *rows = json_array();
    for (int i = 0; rows && i < SP_LAW_NUMBERS; i++) {
        json_t *row = json_array();
        for (int j = 0; row && j < SP_LAW_NUMBERS; j++)
            json_array_append_new(row, json_real(l->covariance[i][j]));
        json_array_append_new(rows, row);
    }
    return rows;
}

json_t *sp_law_json(const struct sp_law *l)
{
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:o, s:f, s:s, s:f, s:f, s:i}", "name", l->name, "source", l->source, "E", l->E, "A", l->A, "B", l->B,
                     "alpha", l->alpha, "beta", l->beta, "covariance", covariance_json(l), "scatter", l->scatter, "how", sp_how_name(l->how), "flops_min",
                     l->flops_min, "flops_max", l->flops_max, "runs", l->runs);
}

static enum sp_status read_covariance(struct sp_law *l, const json_t *rows, struct sp_err *err)
{
    for (size_t i = 0; i < SP_LAW_NUMBERS; i++)
        for (size_t j = 0; j < SP_LAW_NUMBERS; j++) {
            const json_t *v = json_array_get(json_array_get(rows, i), j);
            if (!json_is_number(v))
                return sp_fail(err, SP_FORMAT, "\"covariance\" is not %d rows of %d numbers", SP_LAW_NUMBERS, SP_LAW_NUMBERS);
            l->covariance[i][j] = json_number_value(v);
        }
    return SP_OK;
}

static enum sp_status number(const json_t *j, const char *key, double min, double max, double *out, struct sp_err *err)
{
    TRY(sp_json_real(j, key, min, max, NAN, out, err));
    return isnan(*out) ? sp_fail(err, SP_FORMAT, "\"%s\" is missing: a law has E, A, B, alpha and beta", key) : SP_OK;
}

enum sp_status sp_law_from_json(struct sp_law *out, const json_t *j, struct sp_err *err)
{
    struct sp_law l = { .how = SP_HOW_ASSUMED };
    const char *name, *how;
    int64_t runs;
    TRY(number(j, "E", 0, 1e3, &l.E, err));
    TRY(number(j, "A", 1e-300, 1e300, &l.A, err));
    TRY(number(j, "B", 1e-300, 1e300, &l.B, err));
    TRY(number(j, "alpha", 1e-3, 10, &l.alpha, err));
    TRY(number(j, "beta", 1e-3, 10, &l.beta, err));
    TRY(sp_json_real(j, "scatter", 0, 10, 0, &l.scatter, err));
    TRY(sp_json_real(j, "flops_min", 0, 1e60, 0, &l.flops_min, err));
    TRY(sp_json_real(j, "flops_max", 0, 1e60, 0, &l.flops_max, err));
    TRY(sp_json_int(j, "runs", 0, SP_RUNS_MAX, 0, &runs, err));
    TRY(sp_json_text(j, "name", "own", &name, err));
    TRY(sp_json_text(j, "how", "assumed", &how, err));
    if (json_object_get(j, "covariance"))
        TRY(read_covariance(&l, json_object_get(j, "covariance"), err));
    if (!sp_how_parse(how, &l.how))
        return sp_fail(err, SP_FORMAT, "\"how\": \"%.40s\" is no way to know a figure", how);
    snprintf(l.name, sizeof l.name, "%.60s", name);
    TRY(sp_json_text(j, "source", "", &name, err));
    snprintf(l.source, sizeof l.source, "%.190s", name);
    l.runs = (int)runs;
    *out = l;
    return SP_OK;
}

static enum sp_status no_law(const char *name, struct sp_err *err)
{
    char list[256] = "";
    for (const struct sp_law *l = sp_laws; *l->name; l++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", l == sp_laws ? "" : ", ", l->name);
    sp_fail(err, SP_MISSING, "no law is called \"%s\", and no file", name);
    return sp_remedy(err, "known are %s; plan fit RUNS.csv --out law.json makes one", list);
}

enum sp_status sp_law_open(struct sp_law *out, const char *name_or_path, struct sp_err *err)
{
    const struct sp_law *known = sp_law_find(name_or_path);
    if (known) {
        *out = *known;
        return SP_OK;
    }
    if (!sp_is_file(name_or_path))
        return no_law(name_or_path, err);
    json_t *j;
    TRY(sp_json_read(&j, name_or_path, LAW_BYTES_MAX, err));
    const json_t *law = json_object_get(j, "law");
    enum sp_status st = sp_law_from_json(out, law ? law : j, err);
    json_decref(j);
    return st ? sp_where(err, "%s", name_or_path) : SP_OK;
}
