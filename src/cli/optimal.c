/* cli/optimal.c - plan optimal: from what was asked to what is best, with ranges; and
 * as JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "../plan/energy.h"
#include "../plan/hours.h"
#include "optimal.h"

/* ---- ranges ---- */

static double best_parameters(const struct sp_law *l, const void *flops) { return sp_law_best(l, *(const double *)flops).parameters; }
static double best_tokens(const struct sp_law *l, const void *flops) { return sp_law_best(l, *(const double *)flops).tokens; }
static double best_loss(const struct sp_law *l, const void *flops) { return sp_law_best(l, *(const double *)flops).loss; }
static double loss_at(const struct sp_law *l, const void *p) { return sp_law_loss(l, ((const struct sp_law_point *)p)->parameters, ((const struct sp_law_point *)p)->tokens); }
static double cheapest_flops(const struct sp_law *l, const void *loss) { return sp_law_cheapest(l, *(const double *)loss).flops; }

static double best_ratio(const struct sp_law *l, const void *flops)
{
    struct sp_law_point p = sp_law_best(l, *(const double *)flops);
    return p.tokens / p.parameters;
}

struct repeated_arg { double flops, unique; };
static double repeated_loss(const struct sp_law *l, const void *arg)
{
    const struct repeated_arg *r = arg;
    return sp_law_best_repeated(l, r->flops, r->unique).loss;
}
static double repeated_parameters(const struct sp_law *l, const void *arg)
{
    const struct repeated_arg *r = arg;
    return sp_law_best_repeated(l, r->flops, r->unique).parameters;
}

struct sp_figure optimal_loss_range(const struct optimal *k, const struct sp_law_point *p)
{
    return sp_law_range(&k->law, loss_at, p, k->outside, true);
}

struct sp_figure optimal_flops_range(const struct optimal *k)
{
    return sp_law_range(&k->law, cheapest_flops, &k->o->loss, k->outside, false);
}

void optimal_repeated_range(const struct optimal *k, struct sp_figure *parameters, struct sp_figure *loss)
{
    struct repeated_arg arg = { k->flops, k->o->unique };
    *parameters = sp_law_range(&k->law, repeated_parameters, &arg, k->outside, false);
    *loss = sp_law_range(&k->law, repeated_loss, &arg, k->outside, true);
}

/* ---- finding out ---- */

static void warn_outside(struct optimal *k)
{
    const struct sp_law *l = &k->law;
    k->outside = sp_law_outside(l, k->flops);
    if (k->outside > 0)
        sp_text_printf(&k->warning, "%.3g FLOP are %.1f powers of ten %s the runs of the law \"%s\" (%.2g to %.2g FLOP): an extrapolation. All ranges are "
                                    "widened %.1f-fold; runs of your own and plan fit would tell more.\n",
                       k->flops, k->outside, k->flops < l->flops_min ? "below" : "above", l->name, l->flops_min, l->flops_max, 1 + k->outside);
    if (l->how == SP_HOW_ASSUMED)
        sp_text_printf(&k->warning, "How sure the law \"%s\" is was not published%s.\n", l->name,
                       l->covariance[0][0] > 0 ? "; ranges are borrowed from the fit of the Chinchilla runs" : " with it, so that no range says it");
}

/* What the catalogue knows of --on: the number, the dense 16-bit peak (f32 where there is no other), the rent. */
static enum sp_status find_device(struct optimal *k, struct sp_err *err)
{
    struct sp_catalog *facts;
    struct sp_budget *b = &k->budget;
    const struct sp_device *d = &k->machine.device;
    k->machine.pue = k->place->pue;
    TRY(sp_catalog_open(&facts, err));
    enum sp_status st = sp_catalog_place(facts, k->o->on, &k->machine, err);
    sp_catalog_free(facts);
    TRY(st);
    if (!(b->devices > 0))
        b->devices = d->count > 0 ? d->count : 1;
    if (!(b->peak_flops > 0))
        b->peak_flops = d->flops_16 > 0 ? d->flops_16 : d->flops_f32;
    if (!(b->price > 0) && k->machine.price_per_hour > 0) {
        b->price = k->machine.price_per_hour / fmax(1, d->count);
        snprintf(k->currency, sizeof k->currency, "%.3s", k->machine.currency);
    }
    if (b->peak_flops > 0)
        return SP_OK;
    sp_fail(err, SP_USAGE, "--on %s: its peak isn't known", k->o->on);
    return sp_remedy(err, "--peak FLOP/s gives it");
}

/* The watts of a device in training with host and building; what nobody has measured stays unknown. */
static void find_watts(struct optimal *k)
{
    struct sp_ask a = { .machine = k->machine };
    struct sp_energy_plan e;
    struct sp_err ignored = { 0 };
    if (!(k->budget.watts > 0) && !sp_plan_energy(&a, SP_LOAD_TRAINING, sp_exact(1, SP_HOW_MODEL), &e, NULL, &ignored))
        k->budget.watts = 1000 * e.kwh.likely;
}

/* What is asked about: a budget, or two sizes, or a loss; flops follow. */
static enum sp_status find_flops(struct optimal *k, struct sp_err *err)
{
    const struct optimal_options *o = k->o;
    double hours;
    k->tightest = SP_BUDGET_LIMITS;
    if (o->tokens > 0 && !(o->parameters > 0))
        return sp_fail(err, SP_USAGE, "--tokens without --parameters: of which model?");
    if (o->parameters > 0 && o->tokens > 0)
        k->flops = 6 * o->parameters * o->tokens;
    else if (o->loss > 0)
        k->flops = sp_law_cheapest(&k->law, o->loss).flops;
    else
        TRY(sp_budget_flops(&k->budget, &k->flops, &hours, &k->tightest, err));
    if (isfinite(k->flops))
        return SP_OK;
    sp_fail(err, SP_USAGE, "--loss %.4g: by the law \"%s\" no model gets below %.4g, however large", o->loss, k->law.name, k->law.E);
    return sp_remedy(err, "the law is of its own data and tokenizer; plan fit makes one of yours");
}

/* The planner's question of training this model there. */
static enum sp_status job_of(const struct optimal *k, const struct sp_law_point *p, const char *name, struct sp_ask *a, struct sp_err *err)
{
    struct sp_option_set set = { sp_ask_train_options, a };
    sp_option_defaults(&set, 1);
    a->task = SP_TASK_TRAIN;
    a->machine = k->machine;
    a->machine.device.count = (int)fmax(1, k->budget.devices);
    a->tokens = p->tokens;
    TRY(sp_ask_model(a, name, err));
    return sp_ask_finish(a, err);
}

/* The share of the peak that published runs reach with such a model there. The model depends on the budget and the
 * budget on the share: a few rounds settle that. */
static enum sp_status find_utilisation(struct optimal *k, struct sp_err *err)
{
    enum { ROUNDS = 4 };
    const double begin = 0.35, near = 1e-3;
    struct sp_budget *b = &k->budget;
    if (b->utilisation > 0)
        return SP_OK;
    if (k->machine.device.count < 1) {
        sp_fail(err, SP_USAGE, "--on %s is a processor: no published runs say what share of its peak training reaches", k->o->on);
        return sp_remedy(err, "--mfu gives it; train --predict times a model on this machine");
    }
    b->utilisation = begin;
    for (int i = 0; i < ROUNDS; i++) {
        struct sp_ask a = { 0 };
        struct sp_time_plan t;
        char name[40];
        TRY(find_flops(k, err));
        struct sp_law_point p = k->o->parameters > 0 ? optimal_judged(k) : sp_law_best(&k->law, k->flops);
        sp_format(name, sizeof name, "params=%.0f", fmin(fmax(p.parameters, 1e5), 1e14));
        if (job_of(k, &p, name, &a, err) || sp_plan_time(&a, &t, NULL, err))
            return sp_remedy(err, "--mfu gives the share of the peak that training reaches");
        k->utilisation = sp_figure_scale(t.efficiency, t.flops_token_6n / t.flops_token); /* of 6 N D, which laws count */
        k->published = t.rows;
        double before = b->utilisation;
        b->utilisation = k->utilisation.likely;
        if (!(k->o->budget.peak_flops > 0))
            b->peak_flops = t.peak_flops;
        if (fabs(b->utilisation / before - 1) < near)
            break;
    }
    return SP_OK;
}

enum sp_status optimal_find(struct optimal *k, struct sp_err *err)
{
    TRY(sp_law_open(&k->law, k->o->law, err));
    if (k->o->on) {
        TRY(find_device(k, err));
        find_watts(k);
        TRY(find_utilisation(k, err));
    }
    TRY(find_flops(k, err));
    warn_outside(k);
    k->best = sp_law_best(&k->law, k->flops);
    k->parameters = sp_law_range(&k->law, best_parameters, &k->flops, k->outside, false);
    k->tokens = sp_law_range(&k->law, best_tokens, &k->flops, k->outside, false);
    k->ratio = sp_law_range(&k->law, best_ratio, &k->flops, k->outside, false);
    k->loss = sp_law_range(&k->law, best_loss, &k->flops, k->outside, true);
    return SP_OK;
}

double optimal_wasted(const struct optimal *k, double parameters, double tokens)
{
    double w = 1 - sp_law_cheapest(&k->law, sp_law_loss(&k->law, parameters, tokens)).flops / (6 * parameters * tokens);
    return w > 1e-9 ? w : 0;
}

struct sp_law_point optimal_judged(const struct optimal *k)
{
    double n = k->o->parameters, d = k->o->tokens > 0 ? k->o->tokens : k->flops / 6 / n;
    return (struct sp_law_point){ n, d, k->flops, sp_law_loss(&k->law, n, d) };
}

const char *optimal_verdict(double ratio, double best)
{
    return ratio > 1.5 * best ? "over-trained" : ratio < best / 1.5 ? "under-trained" : "near the best";
}

double optimal_loss(const struct optimal *k)
{
    return k->o->loss > 0 ? k->o->loss : k->o->parameters > 0 ? optimal_judged(k).loss : k->best.loss;
}

/* ---- JSON ---- */

static json_t *point_json(const struct sp_law_point *p)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "parameters", p->parameters, "tokens", p->tokens, "tokens_per_parameter", p->tokens / p->parameters, "flops", p->flops, "loss", p->loss);
}

static json_t *laws_json(const struct optimal *k)
{
    json_t *j = json_array();
    for (const struct sp_law *l = sp_laws; *l->name; l++) {
        struct sp_law_point p = sp_law_best(l, k->flops);
        json_t *row = point_json(&p);
        json_object_set_new(row, "law", json_string(l->name));
        json_object_set_new(row, "loss_by_this_law", json_real(sp_law_loss(&k->law, p.parameters, p.tokens)));
        json_object_set_new(row, "wasted", json_real(optimal_wasted(k, p.parameters, p.tokens)));
        json_object_set_new(row, "outside_decades", json_real(sp_law_outside(l, k->flops)));
        json_array_append_new(j, row);
    }
    return j;
}

static void judged_json(const struct optimal *k, json_t *j)
{
    struct sp_law_point p = optimal_judged(k), c = sp_law_cheapest(&k->law, p.loss);
    struct sp_figure loss = optimal_loss_range(k, &p);
    json_t *row = point_json(&p);
    json_object_set_new(row, "loss", sp_figure_json(&loss));
    json_object_set_new(row, "verdict", json_string(optimal_verdict(p.tokens / p.parameters, k->ratio.likely)));
    json_object_set_new(row, "wasted", json_real(optimal_wasted(k, p.parameters, p.tokens)));
    json_object_set_new(row, "cheapest", point_json(&c));
    json_object_set_new(j, "judged", row);
}

static void variants_json(const struct optimal *k, json_t *j)
{
    const struct optimal_options *o = k->o;
    if (o->parameters > 0)
        judged_json(k, j);
    if (o->unique > 0) {
        double flops = o->loss > 0 && !(o->parameters > 0) ? sp_law_flops_repeated(&k->law, o->loss, o->unique) : k->flops;
        struct sp_law_point p = sp_law_best_repeated(&k->law, isfinite(flops) ? flops : k->flops, o->unique);
        json_t *row = point_json(&p);
        json_object_set_new(row, "reached", json_boolean(isfinite(flops)));
        json_object_set_new(row, "epochs", json_real(fmax(1, p.tokens / o->unique)));
        json_object_set_new(j, "repeated", row);
    }
    if (o->served > 0) {
        double loss = optimal_loss(k);
        struct sp_law_point p = sp_law_best_served(&k->law, loss, o->served), c = sp_law_cheapest(&k->law, loss);
        json_t *row = point_json(&p);
        json_object_set_new(row, "all_flops", json_real(p.flops + 2 * p.parameters * o->served));
        json_object_set_new(row, "all_flops_unserved", json_real(c.flops + 2 * c.parameters * o->served));
        json_object_set_new(j, "served", row);
    }
}

json_t *optimal_json(const struct optimal *k)
{
    double batch, rate;
    struct sp_law_point t = sp_law_twenty(&k->law, k->flops);
    sp_law_batch(k->flops, &batch, &rate);
    json_t *j = json_pack("{s:s, s:o, s:f, s:f, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:{s:f, s:f}, s:s}", "schema", "sparsam.plan-optimal/1", "law", sp_law_json(&k->law), "flops",
                          k->flops, "outside_decades", k->outside, "best", "parameters", sp_figure_json(&k->parameters), "tokens", sp_figure_json(&k->tokens),
                          "tokens_per_parameter", sp_figure_json(&k->ratio), "loss", sp_figure_json(&k->loss), "rule_of_20", point_json(&t), "laws", laws_json(k), "advice",
                          "batch_tokens", batch, "learning_rate", rate, "warnings", k->warning.n ? k->warning.at : "");
    const struct sp_budget *b = &k->budget;
    if (j && b->peak_flops > 0 && b->utilisation > 0) {
        json_object_set_new(j, "device_hours", json_real(k->flops / (3600 * b->peak_flops * b->utilisation)));
        json_object_set_new(j, "utilisation", k->published ? sp_figure_json(&k->utilisation) : json_real(b->utilisation));
    }
    if (j)
        variants_json(k, j);
    return j;
}
