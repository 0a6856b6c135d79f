/* cli/verb_plan_check.c - how far off the planner is, against a table of what
 * happened: rows used of rows given, median error, coverage of the ranges.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "../plan/check.h"
#include "verb.h"

enum { LABEL = 44 };

static const struct sp_option check_options[] = {
    { .name = "constants", .kind = SP_OPT_CHOICE, .at = offsetof(struct sp_check_options, constants), .choices = sp_check_constants_names, .group = "Check",
      .help = "fitted on the other groups of the file (left-out), on all of its rows that count, or as compiled in" },
    { 0 },
};

/* ---- for a person ---- */

static void show_row(const struct sp_check_row *w)
{
    printf("%6d  %-*.*s ", w->line, LABEL, LABEL, w->label);
    if (w->skipped) {
        printf("%10s  left out: %s\n", w->truth > 0 ? "" : "", w->skipped);
        return;
    }
    if (w->truth > 0)
        printf("%10.4g", w->truth);
    else
        printf("%10s", "");
    printf(" %10.4g %10.4g %10.4g", w->predicted.low, w->predicted.likely, w->predicted.high);
    if (w->truth > 0)
        printf(" %+7.1f %%%s", 100 * (w->predicted.likely / w->truth - 1),
               w->truth < w->predicted.low ? "  below" : w->truth > w->predicted.high ? "  above" : "");
    if (w->judged)
        printf("  %s, said %s", w->was ? "yes" : "no", w->said ? "yes" : "no");
    printf("%s%s\n", w->set ? "  apart: " : "", w->set ? w->set : "");
}

static void show_figures(const struct sp_check_result *r, const struct sp_check_figures *f)
{
    printf("\n%s%s: %d of %d rows, %d groups", f->set ? "Apart, " : "All others", f->set ? f->set : "", f->used, f->given, f->groups);
    if (f->used)
        printf("; median error %.1f %% (signed %+.1f %%, mean %.1f %%, worst %.0f %%), within 10 %%: %.0f %%, within 20 %%: %.0f %%;\n"
               "  %.0f %% of the rows are inside the printed range, which spans a factor %.2f (median)",
               100 * f->median, 100 * f->median_signed, 100 * f->mean, 100 * f->worst, 100 * f->within_10, 100 * f->within_20, 100 * f->coverage, f->width);
    if (r->judgement && f->was + f->was_not)
        printf("\n  %s: said yes to %d of %d that did not, and no to %d of %d that did", r->judgement, f->said_wrongly, f->was_not, f->missed, f->was);
    putchar('\n');
}

static void show(const struct sp_check *kind, const struct sp_check_result *r, const struct sp_check_summary *s, const struct sp_check_options *o)
{
    const struct sp_check_figures *f = &s->set[0];
    printf("%s: %d of %d rows count", kind->name, f->used, s->given);
    if (f->used)
        printf(", and half of them are predicted within %.1f %%", 100 * f->median);
    printf(" (constants: %s).\n\n%6s  %-*s %10s %10s %10s %10s  of %s, %s\n", sp_check_constants_names[o->constants], "line", LABEL, "", "was", "low", "likely",
           "high", r->quantity, r->unit);
    for (int i = 0; i < r->n; i++)
        show_row(&r->row[i]);
    for (int k = 0; k < s->n_sets; k++)
        if (s->set[k].given && (s->set[k].used || s->set[k].set))
            show_figures(r, &s->set[k]);
    if (s->n_skips)
        puts("\nLeft out by rule:");
    for (int k = 0; k < s->n_skips; k++)
        printf("%6d  %s\n", s->skip[k].rows, s->skip[k].why);
    if (r->n_constants)
        printf("\nConstants fitted: %d. From all rows that count:\n", r->n_constants);
    for (int k = 0; k < r->n_constants; k++)
        printf("  %-48s %.6g %s\n", r->constant[k].name, r->constant[k].value, r->constant[k].unit);
}

/* ---- for a program ---- */

static void put_real(json_t *j, const char *key, double v)
{
    if (isfinite(v))
        json_object_set_new(j, key, json_real(v));
}

static json_t *row_json(const struct sp_check_row *w)
{
    json_t *j = json_pack("{s:i, s:s, s:s}", "line", w->line, "label", w->label, "group", w->group);
    if (j && w->set)
        json_object_set_new(j, "set", json_string(w->set));
    if (j)
        put_real(j, "truth", w->truth);
    if (!j || w->skipped) {
        json_object_set_new(j, "skipped", json_string(w->skipped ? w->skipped : ""));
        return j;
    }
    json_object_set_new(j, "predicted", sp_figure_json(&w->predicted));
    if (w->truth > 0) {
        put_real(j, "error", w->predicted.likely / w->truth - 1);
        json_object_set_new(j, "inside", json_boolean(w->truth >= w->predicted.low && w->truth <= w->predicted.high));
    }
    if (w->judged) {
        json_object_set_new(j, "was", json_boolean(w->was));
        json_object_set_new(j, "said", json_boolean(w->said));
    }
    return j;
}

static json_t *figures_json(const struct sp_check_figures *f)
{
    json_t *j = json_pack("{s:i, s:i, s:i}", "given", f->given, "used", f->used, "groups", f->groups);
    if (!j)
        return NULL;
    if (f->set)
        json_object_set_new(j, "set", json_string(f->set));
    put_real(j, "median_error", f->median);
    put_real(j, "median_signed", f->median_signed);
    put_real(j, "mean_error", f->mean);
    put_real(j, "worst_error", f->worst);
    put_real(j, "within_10", f->within_10);
    put_real(j, "within_20", f->within_20);
    put_real(j, "coverage", f->coverage);
    put_real(j, "width", f->width);
    if (f->was + f->was_not)
        json_object_set_new(j, "judged", json_pack("{s:i, s:i, s:i, s:i}", "was", f->was, "was_not", f->was_not, "said_wrongly", f->said_wrongly, "missed", f->missed));
    return j;
}

static enum sp_status check_json(struct verb_call *call, const struct sp_check *kind, const struct sp_check_result *r, const struct sp_check_summary *s,
                                 struct sp_err *err)
{
    const struct sp_check_options *o = call->options;
    json_t *rows = json_array(), *sets = json_array(), *skips = json_array(), *constants = json_array();
    sp_json_begin();
    for (int i = 0; i < r->n; i++)
        json_array_append_new(rows, row_json(&r->row[i]));
    for (int k = 0; k < s->n_sets; k++)
        json_array_append_new(sets, figures_json(&s->set[k]));
    for (int k = 0; k < s->n_skips; k++)
        json_array_append_new(skips, json_pack("{s:s, s:i}", "why", s->skip[k].why, "rows", s->skip[k].rows));
    for (int k = 0; k < r->n_constants; k++)
        json_array_append_new(constants, json_pack("{s:s, s:s, s:f}", "name", r->constant[k].name, "unit", r->constant[k].unit, "value", r->constant[k].value));
    call->answer = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "schema", "sparsam.plan-check/1", "kind", kind->name, "file",
                             call->operands[1], "quantity", r->quantity, "unit", r->unit, "fitted_on", sp_check_constants_names[o->constants], "given", s->given,
                             "figures", sets, "skipped", skips, "constants", constants, "rows", rows);
    return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
}

static enum sp_status check_run(struct verb_call *call, struct sp_err *err)
{
    const struct sp_check_options *o = call->options;
    const struct sp_check *kind;
    struct sp_check_result r;
    struct sp_check_summary s;
    TRY(sp_check_find(call->operands[0], &kind, err));
    TRY(sp_check_file(kind, call->operands[1], o, &r, err));
    sp_check_summarize(&r, &s);
    enum sp_status st = SP_OK;
    if (call->common.json)
        st = check_json(call, kind, &r, &s, err);
    else
        show(kind, &r, &s, o);
    sp_check_clear(&r);
    return st;
}

const struct verb sp_verb_plan_check = {
    .name = "plan check",
    .help = "hold the planner against a table of what happened",
    .operands = "KIND FILE.csv",
    .operands_min = 2,
    .operands_max = 2,
    .text = "Predicts every row of a table of runs and prints how far off it is. Constants that\n"
            "the planner learns from runs are fitted anew for every group of rows (a source, a\n"
            "family, a device) on the other groups alone, so that nothing is scored on what it\n"
            "has seen. Which rows count is decided by rules on what a row says (docs/planning.md),\n"
            "never by how far off it is; every row left out is listed with its reason.\n"
            "\n"
            "Kinds: memory (a device's peak), training (device-hours), inference (tokens a second).\n"
            "\n"
            "  sparsam plan check memory runs_memory.csv\n"
            "  sparsam plan check memory mine.csv --constants compiled --json\n",
    .sets = { { check_options, 0 } },
    .options_bytes = sizeof(struct sp_check_options),
    .run = check_run,
};
