/* cli/verb_plan_cap.c - a power cap for a GPU, from what other GPUs did under theirs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "../plan/green.h"
#include "verb.h"

static const char *const rule_names[] = { "label", "draw", "time", NULL };

struct cap_options { double watts, largest, lowest, stride, slower, hours; const char *own; int rule; bool rows; };
#define AT(field) offsetof(struct cap_options, field)
static const struct sp_option cap_options[] = {
    { .name = "watts", .kind = SP_OPT_REAL, .at = AT(watts), .min = 0, .max = 1e5, .group = "The GPU to cap", .unit = "W", .help = "what it draws at work without a cap (nvidia-smi)" },
    { .name = "largest", .kind = SP_OPT_REAL, .at = AT(largest), .min = 0, .max = 1e5, .unit = "W", .help = "its largest power limit" },
    { .name = "lowest", .kind = SP_OPT_REAL, .at = AT(lowest), .min = 0, .max = 1e5, .unit = "W", .help = "its lowest; 0: 40 % of the largest" },
    { .name = "stride", .kind = SP_OPT_REAL, .at = AT(stride), .min = 0.1, .max = 1e3, .fallback = 5, .unit = "W", .help = "limits are multiples of it" },
    { .name = "own", .kind = SP_OPT_TEXT, .at = AT(own), .unit = "FILE", .help = "own measurements of it, columns as of TRACES; power may be missing" },
    { .name = "hours", .kind = SP_OPT_REAL, .at = AT(hours), .min = 0, .max = 1e8, .unit = "H", .help = "of work without a cap: what it saves is reckoned" },
    { .name = "slower", .kind = SP_OPT_REAL, .at = AT(slower), .min = 0.001, .max = 1, .fallback = 0.043, .group = "How", .unit = "SHARE", .help = "time that may be lost, on average" },
    { .name = "rule", .kind = SP_OPT_CHOICE, .at = AT(rule), .choices = rule_names, .fallback = SP_CAP_DRAW, .help = "whose rows are shown, and the one for --own" },
    { .name = "rows", .kind = SP_OPT_FLAG, .at = AT(rows), .help = "every workload" },
    { 0 },
};
#undef AT

struct traces { int n; struct sp_cap_gpu gpu[SP_CAP_GPUS_MAX]; };

static void close_traces(struct traces *t)
{
    for (int i = 0; i < t->n; i++)
        sp_cap_clear(&t->gpu[i]);
    t->n = 0;
}

static enum sp_status open_traces(struct traces *t, const struct verb_call *call, struct sp_err *err)
{
    for (int i = 0; i < call->n_operands; i++) {
        enum sp_status st = sp_cap_read(&t->gpu[i], call->operands[i], err);
        if (st) {
            close_traces(t);
            return st;
        }
        t->n++;
    }
    return SP_OK;
}

static enum sp_status no_memory(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "out of memory for the answer");
}

/* ---- each GPU by what the others teach ---- */

struct judged {
    double x[SP_CAP_RULES][SP_CAP_GPUS_MAX], x_all[SP_CAP_RULES];
    struct sp_cap_score score[SP_CAP_RULES][SP_CAP_GPUS_MAX], all[SP_CAP_RULES], oracle[SP_CAP_GPUS_MAX], oracle_all;
};

static enum sp_status judge(const struct traces *t, double slower, struct judged *j, struct sp_err *err)
{
    memset(j, 0, sizeof *j);
    for (int r = 0; r < SP_CAP_RULES; r++) {
        TRY(sp_cap_learn((enum sp_cap_rule)r, t->gpu, t->n, -1, slower, &j->x_all[r], err));
        for (int i = 0; i < t->n; i++) {
            TRY(sp_cap_learn((enum sp_cap_rule)r, t->gpu, t->n, i, slower, &j->x[r][i], err));
            sp_cap_score(&j->score[r][i], (enum sp_cap_rule)r, j->x[r][i], &t->gpu[i]);
            sp_cap_score(&j->all[r], (enum sp_cap_rule)r, j->x[r][i], &t->gpu[i]);
        }
    }
    sp_cap_oracle(t->gpu, t->n, slower, j->oracle, &j->oracle_all);
    return SP_OK;
}

static json_t *score_json(const struct sp_cap_score *s)
{
    return json_pack("{s:i, s:f, s:f, s:f}", "workloads", s->works, "saved", s->saved, "slower", s->slower, "slower_most", s->slower_most);
}

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *rows_json(const struct traces *t, const struct judged *j, int rule)
{
    json_t *list = json_array();
    for (int i = 0; list && i < t->n; i++)
        for (int k = 0; k < t->gpu[i].n; k++) {
            const struct sp_cap_work *w = &t->gpu[i].work[k];
            const struct sp_cap_point *p = &w->at[sp_cap_choose((enum sp_cap_rule)rule, j->x[rule][i], w, t->gpu[i].top_w)], *top = &w->at[w->n - 1];
            json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:o}", "gpu", t->gpu[i].name, "workload", w->name, "cap_w", p->limit_w, "slower",
                                                  p->time_s / top->time_s - 1, "saved", real(1 - p->time_s * p->power_w / (top->time_s * top->power_w))));
        }
    return list;
}

/* What the cap of rule draw did, by how much of the largest limit a workload drew. */
static json_t *effects_json(const struct traces *t, double x)
{
    struct sp_cap_effect e[SP_CAP_EFFECTS];
    json_t *list = json_array();
    sp_cap_effects(t->gpu, t->n, x, e);
    for (int i = 0; list && i < SP_CAP_EFFECTS; i++)
        json_array_append_new(list, json_pack("{s:o, s:i, s:o, s:o}", "draw_to", isfinite(e[i].draw_to) ? json_real(e[i].draw_to) : json_null(), "workloads", e[i].works,
                                              "saved", sp_figure_json(&e[i].saved), "slower", sp_figure_json(&e[i].slower)));
    return list;
}

static json_t *judged_json(const struct traces *t, const struct judged *j, const struct cap_options *o)
{
    json_t *rules = json_array(), *gpus = json_array();
    for (int r = 0; rules && r < SP_CAP_RULES; r++) {
        json_t *each = json_array();
        for (int i = 0; each && i < t->n; i++) {
            json_t *s = score_json(&j->score[r][i]);
            json_object_set_new(s, "gpu", json_string(t->gpu[i].name));
            json_object_set_new(s, "x", json_real(j->x[r][i]));
            json_array_append_new(each, s);
        }
        json_array_append_new(rules, json_pack("{s:s, s:s, s:o, s:o, s:f}", "rule", sp_cap_rules[r].name, "looks_at", sp_cap_rules[r].looks_at, "all",
                                               score_json(&j->all[r]), "each", each, "x_of_all", j->x_all[r]));
    }
    for (int i = 0; gpus && i < t->n; i++)
        json_array_append_new(gpus, json_pack("{s:s, s:f, s:i, s:i, s:o}", "gpu", t->gpu[i].name, "largest_w", t->gpu[i].top_w, "given", t->gpu[i].given, "used",
                                              t->gpu[i].n, "oracle", score_json(&j->oracle[i])));
    return json_pack("{s:s, s:f, s:o, s:o, s:o, s:o, s:s, s:o}", "schema", "sparsam.plan-cap/1", "slower_allowed", o->slower, "rules", rules, "gpus", gpus, "oracle",
                     score_json(&j->oracle_all), "effects", effects_json(t, j->x_all[SP_CAP_DRAW]), "rows_of", sp_cap_rules[o->rule].name, "rows", rows_json(t, j, o->rule));
}

static void show_score(const char *what, double x, const struct sp_cap_score *s)
{
    char number[16] = "";
    if (x > 0)
        sp_format(number, sizeof number, "%.3f", x);
    printf("  %-14s %7s %10d %9.1f %% %9.1f %% %9.1f %%\n", what, number, s->works, 100 * s->saved, 100 * s->slower, 100 * s->slower_most);
}

static void show_rows(const struct traces *t, const struct judged *j, int rule)
{
    printf("\nEvery workload, rule %s\n", sp_cap_rules[rule].name);
    for (int i = 0; i < t->n; i++)
        for (int k = 0; k < t->gpu[i].n; k++) {
            const struct sp_cap_work *w = &t->gpu[i].work[k];
            const struct sp_cap_point *p = &w->at[sp_cap_choose((enum sp_cap_rule)rule, j->x[rule][i], w, t->gpu[i].top_w)], *top = &w->at[w->n - 1];
            printf("  %-10s %-48s draws %4.0f W, cap %4.0f W: saved %6.1f %%, slower %6.1f %%\n", t->gpu[i].name, w->name, top->power_w, p->limit_w,
                   100 * (1 - p->time_s * p->power_w / (top->time_s * top->power_w)), 100 * (p->time_s / top->time_s - 1));
        }
}

static void show_judged(const struct traces *t, const struct judged *j, const struct cap_options *o)
{
    int given = 0;
    for (int i = 0; i < t->n; i++)
        given += t->gpu[i].given;
    printf("Each of %d GPUs was capped by what the others taught, without a look at its energies, for at most %.1f %% more\ntime (%d of %d workloads):\n", t->n,
           100 * o->slower, j->oracle_all.works, given);
    for (int r = 0; r < SP_CAP_RULES; r++)
        printf("- looking at %s, it saved %.1f %% of the energy for %.1f %% more time;\n", sp_cap_rules[r].looks_at, 100 * j->all[r].saved, 100 * j->all[r].slower);
    printf("- choosing with the answer known would have saved %.1f %% for %.1f %%.\n", 100 * j->oracle_all.saved, 100 * j->oracle_all.slower);
    for (int r = 0; r < SP_CAP_RULES; r++) {
        printf("\nRule %-9s %7s %10s %11s %11s %11s\n", sp_cap_rules[r].name, "x", "workloads", "saved", "slower", "at most");
        for (int i = 0; i < t->n; i++)
            show_score(t->gpu[i].name, j->x[r][i], &j->score[r][i]);
        show_score("all", 0, &j->all[r]);
        printf("  learned on all: x = %.3f\n", j->x_all[r]);
    }
    printf("\nAnswer known   %7s %10s %11s %11s %11s\n", "", "workloads", "saved", "slower", "at most");
    for (int i = 0; i < t->n; i++)
        show_score(t->gpu[i].name, 0, &j->oracle[i]);
    show_score("all", 0, &j->oracle_all);
    if (o->rows)
        show_rows(t, j, o->rule);
}

static enum sp_status evaluate(struct verb_call *call, const struct traces *t, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct judged j;
    if (t->n < 2) {
        sp_fail(err, SP_USAGE, "one GPU's traces teach nothing about another GPU's without that other");
        return sp_remedy(err, "traces of two or more GPUs, or --watts and --largest of the GPU to cap");
    }
    TRY(judge(t, o->slower, &j, err));
    if (call->common.json) {
        call->answer = judged_json(t, &j, o);
        return call->answer ? SP_OK : no_memory(err);
    }
    show_judged(t, &j, o);
    return SP_OK;
}

/* ---- one GPU, from what it draws ---- */

struct advice { double cap_w, x; struct sp_figure saved, slower; struct sp_cost without, saving; };

static enum sp_status reckon(const struct verb_call *call, struct advice *a, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct sp_machine m = { .threads = 1, .price_per_kwh = fmax(0, call->common.place.price_per_kwh), .price_how = SP_HOW_CATALOGUE, .pue = call->common.place.pue };
    struct sp_catalog *facts;
    snprintf(m.currency, sizeof m.currency, "%.3s", call->common.place.currency ? call->common.place.currency : "EUR");
    TRY(sp_catalog_open(&facts, err));
    enum sp_status st = sp_catalog_machine(facts, call->common.place.zone, &m, err);
    sp_catalog_free(facts);
    if (st)
        return st;
    m.embodied_g_per_hour = 0; /* energy alone is spared */
    a->without.energy_j = sp_with_building(sp_exact(o->watts * o->hours * 3600, SP_HOW_MODEL), &m);
    a->saving.energy_j = sp_figure_mul(a->without.energy_j, a->saved);
    sp_cost_price(&a->without, &m);
    sp_cost_price(&a->saving, &m);
    return SP_OK;
}

static enum sp_status advise(const struct verb_call *call, const struct traces *t, struct advice *a, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct sp_cap_effect effect[SP_CAP_EFFECTS];
    double lowest = o->lowest > 0 ? o->lowest : 0.4 * o->largest;
    int e = 0;
    *a = (struct advice){ .x = sp_cap_rules[SP_CAP_DRAW].all };
    memcpy(effect, sp_cap_effects_known, sizeof effect);
    if (!(o->watts > 0) || !(o->largest > 0) || o->watts > 1.1 * o->largest || lowest > o->largest) {
        sp_fail(err, SP_USAGE, "a draw of %g W under limits from %g to %g W is not what a GPU does", o->watts, lowest, o->largest);
        return sp_remedy(err, "--watts as it draws at work, --largest and --lowest as nvidia-smi -q -d POWER says");
    }
    if (t->n) {
        TRY(sp_cap_learn(SP_CAP_DRAW, t->gpu, t->n, -1, o->slower, &a->x, err));
        sp_cap_effects(t->gpu, t->n, a->x, effect);
    }
    while (e < SP_CAP_EFFECTS - 1 && o->watts / o->largest >= effect[e].draw_to)
        e++;
    a->cap_w = fmin(o->largest, fmax(lowest, o->stride * ceil(a->x * o->watts / o->stride - 1e-9)));
    a->saved = effect[e].saved;
    a->slower = effect[e].slower;
    return o->hours > 0 ? reckon(call, a, err) : SP_OK;
}

static enum sp_status advice_json(struct verb_call *call, const struct advice *a, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    call->answer = json_pack("{s:s, s:f, s:f, s:o, s:o}", "schema", "sparsam.plan-cap/1", "cap_w", a->cap_w, "x", a->x, "saved", sp_figure_json(&a->saved), "slower",
                             sp_figure_json(&a->slower));
    if (call->answer && o->hours > 0) {
        json_object_set_new(call->answer, "without", sp_cost_json(&a->without));
        json_object_set_new(call->answer, "saving", sp_cost_json(&a->saving));
    }
    return call->answer ? SP_OK : no_memory(err);
}

static void show_saving(const struct advice *a, double hours)
{
    char n[40], low[40], likely[40], high[40];
    printf("\nOver %g hours of work without a cap\n  %-14s %12s   %s\n", hours, "", "without", "saved (low, likely, high)");
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++) {
        const struct sp_figure *w = (const struct sp_figure *)(const void *)((const char *)&a->without + r->at);
        const struct sp_figure *s = (const struct sp_figure *)(const void *)((const char *)&a->saving + r->at);
        if (w->likely > 0)
            printf("  %-14s %12s   %s, %s, %s %s\n", r->label, r->show(w->likely, n, sizeof n), r->show(s->low, low, sizeof low), r->show(s->likely, likely, sizeof likely),
                   r->show(s->high, high, sizeof high), sp_how_name(s->how));
    }
}

static enum sp_status one_gpu(struct verb_call *call, const struct traces *t, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct advice a;
    TRY(advise(call, t, &a, err));
    if (call->common.json)
        return advice_json(call, &a, err);
    if (a.cap_w >= o->largest)
        printf("No cap: %.2f of the %g W it draws is its largest limit of %g W.\n", a.x, o->watts, o->largest);
    else
        printf("A cap of %g W (%.2f of the %g W it draws): %.0f %% of the energy saved (%.0f to %.0f) for %.0f %% more time (%.0f to %.0f).\n"
               "  nvidia-smi -pl %g\n", a.cap_w, a.x, o->watts, 100 * a.saved.likely, 100 * a.saved.low, 100 * a.saved.high, 100 * a.slower.likely,
               100 * a.slower.low, 100 * a.slower.high, a.cap_w);
    if (o->watts < 0.6 * o->largest)
        puts("It draws little, so a cap does little: a larger batch would do more.");
    if (o->hours > 0)
        show_saving(&a, o->hours);
    return SP_OK;
}

/* ---- one GPU, from own measurements ---- */

static enum sp_status own_rows(struct verb_call *call, const struct sp_cap_gpu *own, double x, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    json_t *list = call->common.json ? json_array() : NULL;
    if (!call->common.json)
        printf("Looking at %s (x = %.3f), cap\n", sp_cap_rules[o->rule].looks_at, x);
    for (int i = 0; i < own->n; i++) {
        const struct sp_cap_work *w = &own->work[i];
        const struct sp_cap_point *p = &w->at[sp_cap_choose((enum sp_cap_rule)o->rule, x, w, own->top_w)];
        double slower = p->time_s / w->at[w->n - 1].time_s - 1;
        if (list)
            json_array_append_new(list, json_pack("{s:s, s:f, s:f}", "workload", w->name, "cap_w", p->limit_w, "slower", slower));
        else
            printf("  %-48s at %4.0f W (%+.1f %% time as measured)\n", w->name, p->limit_w, 100 * slower);
    }
    if (!call->common.json)
        return SP_OK;
    call->answer = json_pack("{s:s, s:s, s:f, s:o}", "schema", "sparsam.plan-cap/1", "rows_of", sp_cap_rules[o->rule].name, "x", x, "rows", list);
    return call->answer ? SP_OK : no_memory(err);
}

static enum sp_status own_gpu(struct verb_call *call, const struct traces *t, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct sp_cap_gpu own;
    double x = sp_cap_rules[o->rule].all;
    if (t->n)
        TRY(sp_cap_learn((enum sp_cap_rule)o->rule, t->gpu, t->n, -1, o->slower, &x, err));
    TRY(sp_cap_read(&own, o->own, err));
    enum sp_status st = own_rows(call, &own, x, err);
    sp_cap_clear(&own);
    return st;
}

static enum sp_status cap_run(struct verb_call *call, struct sp_err *err)
{
    const struct cap_options *o = call->options;
    struct traces t = { 0 };
    TRY(open_traces(&t, call, err));
    enum sp_status st = o->own ? own_gpu(call, &t, err) : o->watts > 0 || !t.n ? one_gpu(call, &t, err) : evaluate(call, &t, err);
    close_traces(&t);
    return st;
}

const struct verb sp_verb_plan_cap = {
    .name = "plan cap",
    .help = "a power cap for a GPU that saves energy for little time",
    .operands = "[TRACES.csv...]",
    .operands_max = SP_CAP_GPUS_MAX,
    .text = "A GPU near its largest power limit spends its last watts on little speed. The cap is a share\n"
            "of what the workload draws; the share was learned on GPUs that were measured under every\n"
            "limit. With traces of your own (one file a GPU: power_limit, time_per_epoch, average_power,\n"
            "other columns name the workload) it is learned anew; traces of several GPUs and nothing else\n"
            "show how well caps do on a GPU that wasn't looked at, and what knowing the answer would save.\n"
            "\n"
            "  sparsam plan cap --watts 280 --largest 300 --hours 500 --zone DE\n"
            "  sparsam plan cap p100.csv rtx6000.csv v100.csv --rows\n"
            "  sparsam plan cap p100.csv v100.csv --own mine.csv --rule time\n",
    .sets = { { cap_options, 0 } },
    .options_bytes = sizeof(struct cap_options),
    .run = cap_run,
};
