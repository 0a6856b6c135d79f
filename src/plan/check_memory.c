/* plan/check_memory.c - predicted memory against a table of measured peaks, each
 * source predicted with what the other sources teach.
 *
 * Rows are chosen by the rules of docs/planning.md, "Which rows of published peaks
 * are used", in their order.  Three numbers are learned: a factor on what works, a
 * factor on a process's fixed bytes, and the width of the range.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "check_memory.h"

enum { ROWS_MAX = 20000, STEPS = 40 };
static const double SPREAD = 1.5, SPREAD_MAX = 3; /* of a range up and down, where fitting begins and ends */
static const char *const PAPER = "pretraining, as a paper counts", *const EXACT = "the same, every parameter counted (megatron)", *const SERVING = "serving";
static const char *const column_names[SP_ROW_COLUMNS] = { "model", "task", "method", "precision", "optimizer", "batch", "seq", "hardware", "devices", "peak_gb", "fits", "source", "looked_up" };

static bool is(const char *a, const char *b)
{
    return !strcmp(a, b);
}

/* A source is what stands before the first space or @. */
static void group_of(const char *source, char *to, size_t cap)
{
    size_t n = strcspn(source, " @\t");
    sp_format(to, cap, "%.*s", (int)(n < cap - 1 ? n : cap - 1), source);
    for (char *p = to; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* ---- rules ---- */

static const char *no_measurement(const struct sp_rows *r, int i)
{
    const char *looked = sp_row_at(r, i, LOOKED_UP), *fits = sp_row_at(r, i, FITS), *method = sp_row_at(r, i, METHOD), *source = sp_row_at(r, i, SOURCE), *task = sp_row_at(r, i, TASK);
    if (*looked && !is(looked, "yes"))
        return "nobody looked the figure up";
    if (!is(fits, "yes") && !is(fits, "no") && !(!*fits && *sp_row_at(r, i, PEAK)))
        return "an estimate, a formula, a file's size or the best of a search, not a measured peak";
    if (sp_row_says(method, "RELATIVE") || sp_row_says(method, "CIRCULAR") || sp_row_says(source, "CIRCULAR") || sp_row_says(source, "estimated") || sp_row_says(source, "excludes"))
        return "a share of another row, or an estimate by its own words";
    if (!is(task, "train") && !is(task, "pretrain") && !is(task, "finetune") && !is(task, "inference"))
        return "neither training nor serving";
    if (sp_row_number(sp_row_at(r, i, DEVICES)) > 1 && sp_row_says(source, "total"))
        return "a total of several devices";
    return NULL;
}

/* The source without what follows its last semicolon. */
static size_t stem(const char *source)
{
    const char *p = strrchr(source, ';');
    return p ? (size_t)(p - source) : strlen(source);
}

static bool listed_before(const struct sp_rows *r, int i)
{
    const char *a = sp_row_at(r, i, SOURCE);
    size_t n = stem(a);
    for (int k = 0; k < i; k++) {
        const char *b = sp_row_at(r, k, SOURCE);
        bool same = stem(b) == n && !strncmp(a, b, n);
        for (int c = MODEL; same && c <= DEVICES; c++)
            same = is(sp_row_at(r, i, (enum sp_row_column)c), sp_row_at(r, k, (enum sp_row_column)c));
        if (same)
            return true;
    }
    return false;
}

/* ---- a paper's own figures ---- */

static enum sp_status plan_paper(const struct sp_rows *r, int i, const char *stack, struct sp_memory_plan *p, struct sp_err *err)
{
    static const struct sp_memory_constants counted = { 1, 1, 1, 1, 1, 1 };
    struct sp_reading g = { 0 };
    const struct sp_stack *s;
    sp_row_paper(&g, sp_row_at(r, i, SOURCE), sp_row_at(r, i, METHOD), sp_row_number(sp_row_at(r, i, SEQ)));
    TRY(sp_stack_find(stack, SP_TASK_TRAIN, &s, err));
    TRY(sp_model_config_finish(&g.ask.model, err));
    return sp_plan_memory_with(&g.ask, s, &counted, p, NULL, err);
}

/* The row that was added last. */
static void paper_row(struct sp_rows *r, int i, const char *stack, const char *set)
{
    struct sp_check_row *w = &r->out->row[r->out->n - 1];
    struct sp_memory_plan p;
    struct sp_err told;
    w->set = set;
    w->truth = sp_row_number(sp_row_at(r, i, PEAK));
    if (plan_paper(r, i, stack, &p, &told)) {
        w->skipped = sp_row_text(r, "%.200s", told.what);
        return;
    }
    struct sp_figure states = sp_figure_add(sp_figure_add(p.hold[SP_HOLD_WEIGHTS], p.hold[SP_HOLD_GRADIENTS]), p.hold[SP_HOLD_OPTIMIZER]);
    w->predicted = sp_figure_scale(sp_row_says(sp_row_at(r, i, METHOD), "activation") ? p.hold[SP_HOLD_ACTIVATIONS] : states, 1e-9);
}

/* ---- any other row ---- */

static enum sp_status measure(struct sp_reading *g, struct sp_err *err)
{
    static const struct sp_memory_constants unit = { 1, 1, 1, 1, 1, 1 };
    struct sp_memory_plan p;
    TRY(sp_plan_memory_with(&g->ask, &g->stack, &unit, &p, NULL, err));
    g->working = p.hold[SP_HOLD_ACTIVATIONS].likely + p.hold[SP_HOLD_LOGITS].likely + p.hold[SP_HOLD_TEMPORARY].likely;
    g->own = p.hold[SP_HOLD_OVERHEAD].likely;
    g->states = p.device.likely - g->own - g->working;
    g->fixed = g->stack.reports == SP_REPORTS_DEVICE ? g->own : 0;
    return SP_OK;
}

static enum sp_status read_row(struct sp_rows *r, int i, struct sp_reading *g, bool *reads, struct sp_err *err)
{
    char group[96], label[160];
    const char *source = sp_row_at(r, i, SOURCE);
    group_of(source, group, sizeof group);
    sp_format(label, sizeof label, "%.30s %.40s %.24s b%.6s s%.8s", sp_row_at(r, i, MODEL), sp_row_at(r, i, METHOD), sp_row_at(r, i, PRECISION), sp_row_at(r, i, BATCH), sp_row_at(r, i, SEQ));
    struct sp_check_row *w = sp_check_add(r->out, i, label, group);
    *reads = false;
    if (!w)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", r->t->rows);
    w->skipped = no_measurement(r, i);
    if (!w->skipped && listed_before(r, i))
        w->skipped = "the same run as an earlier row";
    if (w->skipped)
        return SP_OK;
    if (sp_row_is_paper(source)) {
        paper_row(r, i, "paper", PAPER);
        if (!sp_check_add(r->out, i, label, group))
            return sp_fail(err, SP_NOMEM, "out of memory for %d rows", r->t->rows);
        paper_row(r, i, "megatron", EXACT);
        return SP_OK;
    }
    *g = (struct sp_reading){ .row = r->out->n - 1 };
    const char *why = sp_row_ask(r, i, g);
    struct sp_err told;
    if (!why && measure(g, &told))
        why = sp_row_text(r, "%.200s", told.what);
    w = &r->out->row[r->out->n - 1];
    w->skipped = why;
    *reads = !why;
    if (why)
        return SP_OK;
    double peak = sp_row_number(sp_row_at(r, i, PEAK)), devices = sp_row_number(sp_row_at(r, i, DEVICES));
    bool bound = peak > 0 && g->device > 0 && peak * 1e9 >= 0.995 * g->device * (devices > 1 && peak * 1e9 > g->device ? devices : 1);
    w->truth = bound ? NAN : peak;
    w->set = g->ask.task == SP_TASK_SERVE ? SERVING : NULL;
    w->judged = g->device > 0 && (is(sp_row_at(r, i, FITS), "yes") || is(sp_row_at(r, i, FITS), "no"));
    w->was = is(sp_row_at(r, i, FITS), "yes");
    g->learns = !w->set && w->truth > 0;
    return SP_OK;
}

/* ---- learning ---- */

struct learning { const struct sp_check_result *out; const struct sp_reading *g; int n; const char *without; };

static bool taught_by(const struct learning *l, int i)
{
    return l->g[i].learns && !(l->without && is(l->out->row[l->g[i].row].group, l->without));
}

static double rows_of_group(const struct learning *l, int i)
{
    double n = 0;
    for (int k = 0; k < l->n; k++)
        n += l->g[k].learns && is(l->out->row[l->g[k].row].group, l->out->row[l->g[i].row].group);
    return n;
}

static double predicted(const struct sp_reading *g, double working, double fixed)
{
    return 1e-9 * (g->states + working * g->working + fixed * g->fixed);
}

/* Mean over sources of their rows' mean relative error, and what drawing the factors to 1 costs. */
static double loss(const struct learning *l, const double *weight, double working, double fixed)
{
    double sum = 0, weights = 0;
    for (int i = 0; i < l->n; i++)
        if (taught_by(l, i)) {
            sum += weight[i] * fabs(predicted(&l->g[i], working, fixed) / l->out->row[l->g[i].row].truth - 1);
            weights += weight[i];
        }
    return (weights > 0 ? sum / weights : 0) + 0.05 * (log(working) * log(working) + log(fixed) * log(fixed));
}

/* Share of what is taught that a range of `spread` around working memory holds. */
static double covered(const struct learning *l, const double *weight, const struct sp_memory_constants *k, double spread)
{
    double in = 0, all = 0;
    for (int i = 0; i < l->n; i++)
        if (taught_by(l, i)) {
            double truth = l->out->row[l->g[i].row].truth;
            bool inside = truth >= k->low_all * predicted(&l->g[i], k->working / spread, 0.5 * k->fixed) &&
                          truth <= k->high_all * predicted(&l->g[i], k->working * spread, 1.7 * k->fixed);
            in += inside ? weight[i] : 0;
            all += weight[i];
        }
    return all > 0 ? in / all : 1;
}

static enum sp_status learn(const struct learning *l, struct sp_memory_constants *k, struct sp_err *err)
{
    double *weight = sp_zalloc((size_t)l->n + 1, sizeof *weight), least = INFINITY, spread = SPREAD;
    if (!weight)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", l->n);
    for (int i = 0; i < l->n; i++)
        weight[i] = taught_by(l, i) ? 1 / rows_of_group(l, i) : 0;
    *k = (struct sp_memory_constants){ .low_all = 0.97, .high_all = 1.03 };
    for (int i = -STEPS; i <= STEPS; i++)
        for (int f = -STEPS; f <= STEPS; f++) {
            double working = exp(i / (double)STEPS), fixed = exp(f / (double)STEPS), now = loss(l, weight, working, fixed);
            if (now < least) {
                least = now;
                k->working = working;
                k->fixed = fixed;
            }
        }
    while (spread < SPREAD_MAX && covered(l, weight, k, spread) < 0.85)
        spread += 0.05;
    k->low = 1 / spread;
    k->high = spread;
    sp_free(weight);
    return SP_OK;
}

/* ---- predicting ---- */

static void predict(struct sp_rows *r, const struct sp_reading *g, const struct sp_memory_constants *k)
{
    struct sp_check_row *w = &r->out->row[g->row];
    double served = g->ask.task == SP_TASK_SERVE ? SP_MEMORY_SERVED_LOW : 1;
    double low = served * k->low_all * 1e-9 * (g->states + k->low * k->working * g->working), high = k->high_all * 1e-9 * (g->states + k->high * k->working * g->working);
    double fixed = 1e-9 * k->fixed * g->fixed, own = 1e-9 * k->fixed * g->own;
    w->predicted = sp_range(low + 0.5 * fixed, predicted(g, k->working, k->fixed), high + 1.7 * fixed, SP_HOW_MODEL);
    w->said = (high + 1.7 * own) * 1e9 <= g->device;
}

static enum sp_status predict_all(struct sp_rows *r, const struct sp_reading *g, int n, struct sp_err *err)
{
    struct learning l = { r->out, g, n, NULL };
    struct sp_memory_constants k, all;
    TRY(learn(&l, &all, err));
    for (int i = 0; i < n; i++) {
        l.without = r->out->row[g[i].row].group;
        if (r->o->constants == SP_CHECK_LEFT_OUT && (i == 0 || !is(l.without, r->out->row[g[i - 1].row].group)))
            TRY(learn(&l, &k, err));
        predict(r, &g[i], r->o->constants == SP_CHECK_COMPILED ? &sp_memory_compiled : r->o->constants == SP_CHECK_ALL ? &all : &k);
    }
    struct sp_check_constant c[] = { { "factor on activations, logits and temporary buffers", "", all.working }, { "factor on a process's fixed bytes", "", all.fixed },
                                     { "range of what works, up and down", "", all.high } };
    memcpy(r->out->constant, c, sizeof c);
    r->out->n_constants = (int)SP_COUNT(c);
    return SP_OK;
}

static enum sp_status check_memory(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    struct sp_rows r = { .t = t, .o = o, .out = out };
    for (int c = 0; c < SP_ROW_COLUMNS; c++)
        if (c == LOOKED_UP)
            r.column[c] = sp_csv_column(t, column_names[c]);
        else
            TRY(sp_csv_need(t, column_names[c], &r.column[c], err));
    if (t->rows > ROWS_MAX)
        return sp_fail(err, SP_LIMIT, "%s has %d rows, at most %d are read", t->name, t->rows, ROWS_MAX);
    out->quantity = "peak memory of a device";
    out->unit = "GB";
    out->judgement = "fits";
    struct sp_reading *g = sp_zalloc((size_t)t->rows + 1, sizeof *g);
    int n = 0;
    enum sp_status st = g ? sp_catalog_open(&r.catalog, err) : sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    for (int i = 0; i < t->rows && !st; i++) {
        bool reads;
        st = read_row(&r, i, &g[n], &reads, err);
        n += !st && reads;
    }
    if (!st)
        st = predict_all(&r, g, n, err);
    sp_catalog_free(r.catalog);
    sp_free(g);
    return st;
}

const struct sp_check sp_check_memory = {
    .name = "memory", .help = "peak memory of a device while training, fine-tuning or serving, in GB", .fn = check_memory,
};
