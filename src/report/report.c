/* report/report.c - costs side by side, runs in a table, one run against another.
 *
 * Words first, then a table.  A saving is the difference of two measured costs,
 * never shown without the quality of both.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "report.h"
#include "saving.h"

enum { LABEL = 20, COLUMN = 12 };

static bool is_known(const struct sp_figure *f)
{
    return fabs(f->low) > 0 || fabs(f->likely) > 0 || fabs(f->high) > 0;
}

/* Rows of a cost, then peak memory, by one index; false after the last. */
static bool row_at(int i, const struct sp_cost *c, const char **key, const char **label, const struct sp_figure **f,
                   const char *(**show)(double, char *, size_t))
{
    int n = 0;
    while (sp_cost_rows[n].key)
        n++;
    if (i > n)
        return false;
    *key = i < n ? sp_cost_rows[i].key : "memory_peak_bytes";
    *label = i < n ? sp_cost_rows[i].label : "memory, peak";
    *show = i < n ? sp_cost_rows[i].show : sp_show_bytes;
    *f = i < n ? (const struct sp_figure *)(const void *)((const char *)c + sp_cost_rows[i].at) : &c->memory_peak;
    return true;
}

static const char *unit_of(const char *key, const struct sp_cost *c)
{
    return strcmp(key, "money") ? "" : c->currency;
}

void sp_report_cost(const struct sp_cost *c, FILE *out)
{
    const char *key, *label, *(*show)(double, char *, size_t);
    const struct sp_figure *f;
    char a[40], b[40], d[40];
    for (int i = 0; row_at(i, c, &key, &label, &f, &show); i++) {
        if (!is_known(f))
            continue;
        fprintf(out, "  %-*s %*s %-4s", LABEL, label, COLUMN, show(f->likely, a, sizeof a), unit_of(key, c));
        if (f->high > f->low)
            fprintf(out, "%s to %s, ", show(f->low, b, sizeof b), show(f->high, d, sizeof d));
        fprintf(out, "%s\n", sp_how_name(f->how));
    }
}

/* ---- predicted against measured ---- */

void sp_report_predicted(const struct sp_cost *p, const struct sp_cost *m, FILE *out)
{
    const char *key, *label, *(*show)(double, char *, size_t);
    const struct sp_figure *x, *y;
    char a[40], b[40], c[40], d[40];
    fprintf(out, "  %-*s %*s %*s  %s\n", LABEL, "", COLUMN, "predicted", COLUMN, "measured", "measured / predicted");
    for (int i = 0; row_at(i, p, &key, &label, &x, &show) && row_at(i, m, &key, &label, &y, &show); i++) {
        if (!is_known(x) && !is_known(y))
            continue;
        fprintf(out, "  %-*s %*s %*s", LABEL, label, COLUMN, is_known(x) ? show(x->likely, a, sizeof a) : "-", COLUMN,
                is_known(y) ? show(y->likely, b, sizeof b) : "-");
        if (is_known(x) && is_known(y) && fabs(x->likely) > 0) {
            bool inside = y->likely >= x->low && y->likely <= x->high;
            fprintf(out, "  %.2f, %s %s to %s", y->likely / x->likely, inside ? "within" : "OUTSIDE", show(x->low, c, sizeof c),
                    show(x->high, d, sizeof d));
        }
        fputc('\n', out);
    }
}

json_t *sp_report_predicted_json(const struct sp_cost *p, const struct sp_cost *m)
{
    const char *key, *label, *(*show)(double, char *, size_t);
    const struct sp_figure *x, *y;
    json_t *j = json_object();
    for (int i = 0; j && row_at(i, p, &key, &label, &x, &show) && row_at(i, m, &key, &label, &y, &show); i++)
        if (is_known(x) && is_known(y) && fabs(x->likely) > 0)
            json_object_set_new(j, key, json_pack("{s:f, s:f, s:f, s:b}", "predicted", x->likely, "measured", y->likely, "ratio",
                                                  y->likely / x->likely, "within", y->likely >= x->low && y->likely <= x->high));
    return j;
}

/* ---- runs ---- */

static const char *text_of(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static bool cost_of(const json_t *run, const char *part, const char *key, struct sp_cost *out)
{
    struct sp_err ignored;
    const json_t *j = json_object_get(json_object_get(run, part), key);
    return j && !sp_cost_from_json(out, j, &ignored);
}

static const char *quality_of(const json_t *run, char *buf, size_t cap)
{
    const json_t *q = json_object_get(json_object_get(run, "end"), "quality"), *loss = json_object_get(q, "loss");
    snprintf(buf, cap, "-");
    if (sp_report_saving_short(json_object_get(json_object_get(run, "end"), "more"), buf, cap))
        return buf;
    if (json_is_number(loss)) {
        double e = json_number_value(json_object_get(q, "loss_stderr"));
        snprintf(buf, cap, e > 0 ? "%.4f +- %.4f" : "%.4f", json_number_value(loss), e);
    }
    return buf;
}

static void list_run(const json_t *r, FILE *out)
{
    struct sp_cost c = { 0 };
    char t[40] = "-", e[40] = "-", g[40] = "-", q[64];
    if (cost_of(r, "end", "measured", &c)) {
        sp_show_time(c.time_s.likely, t, sizeof t);
        if (is_known(&c.energy_j))
            sp_show_energy(c.energy_j.likely, e, sizeof e);
        if (is_known(&c.co2e_g))
            sp_show_mass(c.co2e_g.likely, g, sizeof g);
    }
    fprintf(out, "  %5lld  %-20s  %-10s %-9s %12s %10s %10s  %s\n", (long long)json_integer_value(json_object_get(r, "run")),
            text_of(r, "started"), text_of(r, "verb"), text_of(r, "status"), t, e, g, quality_of(r, q, sizeof q));
}

void sp_report_list(const json_t *runs, FILE *out)
{
    struct sp_cost all = { 0 }, c = { 0 };
    char t[40], e[40], g[40];
    size_t n = json_array_size(runs), open = 0;
    for (size_t i = 0; i < n; i++) {
        if (cost_of(json_array_get(runs, i), "end", "measured", &c))
            sp_cost_add(&all, &c);
        open += !strcmp(text_of(json_array_get(runs, i), "status"), "running");
    }
    fprintf(out, "%zu runs took %s, %s and %s of CO2e in all%s.\n", n, sp_show_time(all.time_s.likely, t, sizeof t),
            sp_show_energy(all.energy_j.likely, e, sizeof e), sp_show_mass(all.co2e_g.likely, g, sizeof g), open ? "; some are still going on" : "");
    if (n)
        fprintf(out, "\n  %5s  %-20s  %-10s %-9s %12s %10s %10s  %s\n", "run", "started", "verb", "status", "time", "energy", "CO2e", "loss");
    for (size_t i = 0; i < n; i++)
        list_run(json_array_get(runs, i), out);
}

static void show_phases(const json_t *end, FILE *out)
{
    const char *name;
    json_t *j, *phases = json_object_get(end, "phases");
    char t[40], e[40];
    json_object_foreach(phases, name, j)
    {
        struct sp_cost c = { 0 };
        struct sp_err ignored;
        if (!sp_cost_from_json(&c, j, &ignored))
            fprintf(out, "  phase %-*s %*s %*s\n", LABEL - 6, name, COLUMN, sp_show_time(c.time_s.likely, t, sizeof t), COLUMN,
                    is_known(&c.energy_j) ? sp_show_energy(c.energy_j.likely, e, sizeof e) : "-");
    }
}

static void show_end(const json_t *end, FILE *out)
{
    const json_t *error = json_object_get(end, "error");
    double idle = json_number_value(json_object_get(end, "idle_share"));
    if (error)
        fprintf(out, "It failed: %s%s%s\n", text_of(error, "where"), text_of(error, "where")[0] ? ": " : "", text_of(error, "what"));
    if (text_of(end, "energy_source")[0])
        fprintf(out, "Energy is from a %s.\n", text_of(end, "energy_source"));
    if (idle > 0)
        fprintf(out, "Of it, %.0f %% the machine would have taken idle.\n", 100 * idle);
}

enum sp_status sp_report_run(const json_t *run, FILE *out, struct sp_err *err)
{
    struct sp_cost p = { 0 }, m = { 0 };
    const json_t *start = json_object_get(run, "start"), *end = json_object_get(run, "end"), *machine = json_object_get(start, "machine");
    char q[64];
    if (!start)
        return sp_fail(err, SP_FORMAT, "the run's start cannot be read");
    fprintf(out, "Run %lld, %s, began %s on %s (%s) and is %s.\n", (long long)json_integer_value(json_object_get(run, "run")), text_of(run, "verb"),
            text_of(run, "started"), text_of(machine, "name"), text_of(machine, "cpu"), text_of(run, "status"));
    if (text_of(start, "command")[0])
        fprintf(out, "Command: %s\n", text_of(start, "command"));
    show_end(end, out);
    bool measured = cost_of(run, "end", "measured", &m);
    bool predicted = cost_of(run, "end", "predicted", &p) || cost_of(run, "start", "predicted", &p);
    const json_t *more = json_object_get(end, "more");
    int64_t parent = json_integer_value(json_object_get(start, "parent"));
    if (parent > 0)
        fprintf(out, "Its model was made by run %lld.\n", (long long)parent);
    if (!sp_report_has_saving(more) && strcmp(quality_of(run, q, sizeof q), "-"))
        fprintf(out, "Quality: loss %s\n", q);
    fputc('\n', out);
    if (measured && predicted)
        sp_report_predicted(&p, &m, out);
    else if (measured || predicted)
        sp_report_cost(measured ? &m : &p, out);
    show_phases(end, out);
    sp_report_saving(more, out);
    return SP_OK;
}

/* ---- one run against another ---- */

static enum sp_status both(const json_t *a, const json_t *b, struct sp_cost *x, struct sp_cost *y, struct sp_err *err)
{
    *x = *y = (struct sp_cost){ 0 };
    bool first = cost_of(a, "end", "measured", x);
    if (first && cost_of(b, "end", "measured", y))
        return SP_OK;
    return sp_fail(err, SP_USAGE, "run %lld has no measured cost, so nothing can be compared",
                   (long long)json_integer_value(json_object_get(first ? b : a, "run")));
}

enum sp_status sp_report_compare(const json_t *a, const json_t *b, FILE *out, struct sp_err *err)
{
    const char *key, *label, *(*show)(double, char *, size_t);
    const struct sp_figure *x, *y;
    struct sp_cost ca, cb;
    char s[40], t[40], q[64], r[64];
    TRY(both(a, b, &ca, &cb, err));
    fprintf(out, "What run %lld (%s) took against run %lld (%s).\n\n", (long long)json_integer_value(json_object_get(b, "run")), text_of(b, "verb"),
            (long long)json_integer_value(json_object_get(a, "run")), text_of(a, "verb"));
    fprintf(out, "  %-*s %*s %*s  %s\n", LABEL, "", COLUMN, "before", COLUMN, "after", "change");
    for (int i = 0; row_at(i, &ca, &key, &label, &x, &show) && row_at(i, &cb, &key, &label, &y, &show); i++)
        if (is_known(x) && is_known(y)) {
            struct sp_figure saved = sp_figure_sub(*x, *y);
            fprintf(out, "  %-*s %*s %*s  %+.1f %%%s (%s)\n", LABEL, label, COLUMN, show(x->likely, s, sizeof s), COLUMN,
                    show(y->likely, t, sizeof t), 100 * (y->likely / x->likely - 1), saved.low < 0 && saved.high > 0 ? ", within the error" : "",
                    sp_how_name(saved.how));
        }
    fprintf(out, "  %-*s %*s  %s  (quality, beside every saving)\n", LABEL, "loss", COLUMN, quality_of(a, q, sizeof q), quality_of(b, r, sizeof r));
    return SP_OK;
}

enum sp_status sp_report_compare_json(const json_t *a, const json_t *b, json_t **out, struct sp_err *err)
{
    const char *key, *label, *(*show)(double, char *, size_t);
    const struct sp_figure *x, *y;
    struct sp_cost ca, cb;
    TRY(both(a, b, &ca, &cb, err));
    json_t *saved = json_object();
    for (int i = 0; row_at(i, &ca, &key, &label, &x, &show) && row_at(i, &cb, &key, &label, &y, &show); i++)
        if (is_known(x) && is_known(y)) {
            struct sp_figure f = sp_figure_sub(*x, *y);
            json_object_set_new(saved, key, sp_figure_json(&f));
        }
    *out = json_pack("{s:O, s:O, s:o}", "before", a, "after", b, "saved", saved);
    return *out ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the comparison");
}

void sp_report_head(const struct sp_hash *head, int64_t events, FILE *out)
{
    fprintf(out, "\nLedger: %lld events, head %s\n", (long long)events, head->hex);
}
