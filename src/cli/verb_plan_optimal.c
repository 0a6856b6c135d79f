/* cli/verb_plan_optimal.c - the best model and data size for a budget; how far a
 * given choice is from it; the cheapest way to a loss.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "../plan/fit.h"
#include "verb.h"

struct optimal_options {
    struct sp_budget budget;
    const char *on, *law, *rewrite, *out;
    double unique, served, parameters, tokens, loss;
    bool explain;
};

#define AT(field) offsetof(struct optimal_options, field)
#define LARGEST 1e30
static const struct sp_option optimal_options[] = {
    { .name = "flops", .kind = SP_OPT_REAL, .at = AT(budget.flops), .min = 0, .max = LARGEST, .group = "Budget of training (of several limits the tightest counts)",
      .unit = "FLOP", .help = "1e21" },
    { .name = "device-hours", .kind = SP_OPT_REAL, .at = AT(budget.device_hours), .min = 0, .max = LARGEST, .unit = "h", .help = "hours times devices" },
    { .name = "money", .kind = SP_OPT_REAL, .at = AT(budget.money), .min = 0, .max = LARGEST, .help = "with --price; both in the same currency" },
    { .name = "energy", .kind = SP_OPT_REAL, .at = AT(budget.energy_kwh), .min = 0, .max = LARGEST, .unit = "kWh", .help = "with --watts" },
    { .name = "days", .kind = SP_OPT_REAL, .at = AT(budget.days), .min = 0, .max = LARGEST, .unit = "days", .help = "with --devices" },
    { .name = "on", .kind = SP_OPT_TEXT, .at = AT(on), .group = "What it is trained on", .unit = "MACHINE",
      .help = "a100-80gb*8, rtx-4090, p4d.24xlarge: gives devices, peak and, where known, price unless they are set" },
    { .name = "devices", .kind = SP_OPT_REAL, .at = AT(budget.devices), .min = 0, .max = 1e7, .help = "how many" },
    { .name = "peak", .kind = SP_OPT_REAL, .at = AT(budget.peak_flops), .min = 0, .max = 1e18, .unit = "FLOP/s", .help = "of a device (312T: A100 in bf16)" },
    { .name = "mfu", .kind = SP_OPT_REAL, .at = AT(budget.utilisation), .min = 0, .max = 1, .help = "share of the peak that training reaches (0.4)" },
    { .name = "price", .kind = SP_OPT_REAL, .at = AT(budget.price), .min = 0, .max = 1e6, .help = "of a device for an hour" },
    { .name = "watts", .kind = SP_OPT_REAL, .at = AT(budget.watts), .min = 0, .max = 1e6, .unit = "W", .help = "of a device with its share of host and building" },
    { .name = "law", .kind = SP_OPT_TEXT, .at = AT(law), .fallback_text = "epoch", .group = "Law", .unit = "NAME|FILE",
      .help = "epoch, hoffmann, hoffmann-rounded, muennighoff, or what plan fit --out wrote" },
    { .name = "unique", .kind = SP_OPT_REAL, .at = AT(unique), .min = 0, .max = LARGEST, .group = "Question", .unit = "tokens",
      .help = "no more different tokens than this: the rest is repeated" },
    { .name = "served", .kind = SP_OPT_REAL, .at = AT(served), .min = 0, .max = LARGEST, .unit = "tokens", .help = "count answering so many tokens too" },
    { .name = "parameters", .kind = SP_OPT_REAL, .at = AT(parameters), .min = 0, .max = 1e16, .help = "judge a model of this size" },
    { .name = "tokens", .kind = SP_OPT_REAL, .at = AT(tokens), .min = 0, .max = LARGEST, .unit = "tokens", .help = "trained on so many; without it on what the budget allows" },
    { .name = "loss", .kind = SP_OPT_REAL, .at = AT(loss), .min = 0, .max = 100, .unit = "nats", .help = "the cheapest way to this loss" },
    { .name = "rewrite", .kind = SP_OPT_TEXT, .at = AT(rewrite), .group = "Result", .unit = "RECIPE", .help = "give this recipe's model and data the best size, counted from its graph" },
    { .name = "out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .unit = "FILE", .help = "where the recipe so changed goes, for train --recipe FILE" },
    { .name = "explain", .kind = SP_OPT_FLAG, .at = AT(explain), .help = "every formula with its numbers and source" },
    { 0 },
};
#undef AT

struct optimal {
    const struct optimal_options *o;
    char currency[4];
    struct sp_budget budget;       /* completed                             */
    struct sp_law law;
    double flops, outside;
    enum sp_budget_limit tightest;
    struct sp_law_point best;      /* for flops                             */
    struct sp_figure parameters, tokens, ratio, loss; /* of best, or of what is judged */
    struct sp_text warning;        /* a line each                           */
};

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

/* What the catalogue knows of --on: the dense 16-bit peak (f32 where there is no other), the number, the rent. */
static enum sp_status find_device(struct optimal *k, struct sp_err *err)
{
    struct sp_machine m = { 0 };
    struct sp_catalog *facts;
    struct sp_budget *b = &k->budget;
    const struct sp_device *d = &m.device;
    if (!k->o->on)
        return SP_OK;
    TRY(sp_catalog_open(&facts, err));
    enum sp_status st = sp_catalog_place(facts, k->o->on, &m, err);
    sp_catalog_free(facts);
    TRY(st);
    double count = d->count > 0 ? d->count : 1, peak = d->flops_16 > 0 ? d->flops_16 : d->flops_f32;
    if (!(b->peak_flops > 0))
        b->peak_flops = peak;
    if (!(b->devices > 0))
        b->devices = count;
    if (!(b->price > 0) && m.price_per_hour > 0) {
        b->price = m.price_per_hour / count;
        snprintf(k->currency, sizeof k->currency, "%.3s", m.currency);
    }
    if (b->peak_flops > 0)
        return SP_OK;
    sp_fail(err, SP_USAGE, "--on %s: its peak isn't known", k->o->on);
    return sp_remedy(err, "--peak FLOP/s gives it");
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

static enum sp_status find_out(struct optimal *k, struct sp_err *err)
{
    TRY(sp_law_open(&k->law, k->o->law, err));
    TRY(find_device(k, err));
    TRY(find_flops(k, err));
    warn_outside(k);
    k->best = sp_law_best(&k->law, k->flops);
    k->parameters = sp_law_range(&k->law, best_parameters, &k->flops, k->outside, false);
    k->tokens = sp_law_range(&k->law, best_tokens, &k->flops, k->outside, false);
    k->ratio = sp_law_range(&k->law, best_ratio, &k->flops, k->outside, false);
    k->loss = sp_law_range(&k->law, best_loss, &k->flops, k->outside, true);
    return SP_OK;
}

/* Share of the FLOP that this choice takes more than its loss needs, by the law in use. */
static double wasted(const struct optimal *k, double parameters, double tokens)
{
    double w = 1 - sp_law_cheapest(&k->law, sp_law_loss(&k->law, parameters, tokens)).flops / (6 * parameters * tokens);
    return w > 1e-9 ? w : 0;
}

/* ---- words ---- */

static const char *count_range(const struct sp_figure *f, char *buf, size_t cap)
{
    char a[32], b[32], c[32];
    sp_format(buf, cap, "%s (%s to %s)", sp_show_number(f->likely, a, sizeof a), sp_show_number(f->low, b, sizeof b), sp_show_number(f->high, c, sizeof c));
    return buf;
}

/* Hours, days, money, energy of so many FLOP, as far as the device is known. */
static void show_spent(const struct optimal *k, double flops)
{
    const struct sp_budget *b = &k->budget;
    char t[32];
    if (!(b->peak_flops > 0 && b->utilisation > 0))
        return;
    double hours = flops / (3600 * b->peak_flops * b->utilisation);
    printf("That takes %.4g device hours", hours);
    if (b->devices > 1)
        printf(", %s on %g devices", sp_show_time(3600 * hours / b->devices, t, sizeof t), b->devices);
    if (b->price > 0)
        printf(", %.4g %s", hours * b->price, k->currency);
    if (b->watts > 0)
        printf(", %s", sp_show_energy(3600 * hours * b->watts, t, sizeof t));
    printf(" at %.3g of the peak.\n", b->utilisation);
}

static void show_best(const struct optimal *k)
{
    char n[112], d[112], u[32], v[32];
    struct sp_law_point t = sp_law_twenty(&k->law, k->flops);
    if (k->tightest < SP_BUDGET_LIMITS && k->tightest != SP_BUDGET_FLOPS)
        printf("Of the limits, %s is the tightest: %.4g FLOP.\n", sp_budget_names[k->tightest], k->flops);
    printf("%.4g FLOP are best spent on a model of %s parameters and %s tokens, %.3g tokens a parameter (%.3g to %.3g).\n", k->flops,
           count_range(&k->parameters, n, sizeof n), count_range(&k->tokens, d, sizeof d), k->ratio.likely, k->ratio.low, k->ratio.high);
    printf("Predicted loss: %.4g nats a token (a run: %.4g to %.4g), by the law \"%s\": %s.\n", k->loss.likely, k->loss.low, k->loss.high, k->law.name, k->law.source);
    show_spent(k, k->flops);
    printf("The rule of 20 tokens a parameter says %s parameters, %s tokens: loss %.4g; %.2g %% of its FLOP are more than that loss needs.\n",
           sp_show_number(t.parameters, u, sizeof u), sp_show_number(t.tokens, v, sizeof v), t.loss, 100 * wasted(k, t.parameters, t.tokens));
}

static void show_cheapest(const struct optimal *k)
{
    char n[112], d[112];
    struct sp_figure f = sp_law_range(&k->law, cheapest_flops, &k->o->loss, k->outside, false);
    printf("A loss of %.4g takes %.3g FLOP at least (%.3g to %.3g): %s parameters, %s tokens, by the law \"%s\": %s.\n", k->o->loss, f.likely, f.low, f.high,
           count_range(&k->parameters, n, sizeof n), count_range(&k->tokens, d, sizeof d), k->law.name, k->law.source);
    show_spent(k, f.likely);
}

static struct sp_law_point judged(const struct optimal *k)
{
    double n = k->o->parameters, d = k->o->tokens > 0 ? k->o->tokens : k->flops / 6 / n;
    return (struct sp_law_point){ n, d, k->flops, sp_law_loss(&k->law, n, d) };
}

static const char *verdict(double ratio, double best)
{
    return ratio > 1.5 * best ? "over-trained" : ratio < best / 1.5 ? "under-trained" : "near the best";
}

static void show_judged(const struct optimal *k)
{
    struct sp_law_point p = judged(k);
    struct sp_figure loss = sp_law_range(&k->law, loss_at, &p, k->outside, true);
    char n[32], d[32], m[32], t[32];
    printf("%s parameters on %s tokens take %.3g FLOP; predicted loss %.4g (a run: %.4g to %.4g), by the law \"%s\": %s.\n", sp_show_number(p.parameters, n, sizeof n),
           sp_show_number(p.tokens, d, sizeof d), p.flops, loss.likely, loss.low, loss.high, k->law.name, k->law.source);
    show_spent(k, p.flops);
    printf("That is %s: %.3g tokens a parameter, where %.3g are best (%.3g to %.3g).\n", verdict(p.tokens / p.parameters, k->ratio.likely), p.tokens / p.parameters,
           k->ratio.likely, k->ratio.low, k->ratio.high);
    printf("The same FLOP would reach %.4g with %s parameters and %s tokens; the same loss needs %.3g FLOP at least, %.2g %% less.\n", k->best.loss,
           sp_show_number(k->best.parameters, m, sizeof m), sp_show_number(k->best.tokens, t, sizeof t), sp_law_cheapest(&k->law, p.loss).flops,
           100 * wasted(k, p.parameters, p.tokens));
    if (p.tokens / p.parameters > 1.5 * k->ratio.likely)
        printf("What it buys: a model %.3g times smaller than the cheapest of that loss, in every answer (--served N counts them).\n",
               sp_law_cheapest(&k->law, p.loss).parameters / p.parameters);
}

static void show_repeated(const struct optimal *k)
{
    struct repeated_arg arg = { k->flops, k->o->unique };
    struct sp_law_point p = sp_law_best_repeated(&k->law, k->flops, k->o->unique);
    struct sp_figure n = sp_law_range(&k->law, repeated_parameters, &arg, k->outside, false), loss = sp_law_range(&k->law, repeated_loss, &arg, k->outside, true);
    char u[32], a[112], d[32];
    sp_show_number(k->o->unique, u, sizeof u);
    if (p.tokens <= k->o->unique) {
        printf("%s different tokens are enough: nothing need be repeated.\n", u);
        return;
    }
    printf("With only %s different tokens: %s parameters, %s tokens, so that each is seen %.3g times; loss %.4g (a run: %.4g to %.4g).\n", u, count_range(&n, a, sizeof a),
           sp_show_number(p.tokens, d, sizeof d), p.tokens / k->o->unique, loss.likely, loss.low, loss.high);
    printf("  Repeated tokens are worth less each time (Muennighoff et al. 2023, R_D* 15.4, R_N* 5.3%s); that costs %.3g nats.\n",
           strcmp(k->law.name, "muennighoff") ? ", measured with their own law" : "", p.loss - k->best.loss);
}

static void show_served(const struct optimal *k)
{
    double loss = k->o->loss > 0 ? k->o->loss : k->o->parameters > 0 ? judged(k).loss : k->best.loss, served = k->o->served;
    struct sp_law_point c = sp_law_cheapest(&k->law, loss), p = sp_law_best_served(&k->law, loss, served);
    double all = c.flops + 2 * c.parameters * served, least = p.flops + 2 * p.parameters * served;
    char t[32], n[32], d[32], m[32];
    printf("With %s tokens served: the loss of %.4g comes cheapest with %s parameters on %s tokens: %.4g FLOP of training and answers together, instead of %.4g with "
           "%s parameters, %.3g %% less (Sardana et al. 2024).\n",
           sp_show_number(served, t, sizeof t), loss, sp_show_number(p.parameters, n, sizeof n), sp_show_number(p.tokens, d, sizeof d), least, all,
           sp_show_number(c.parameters, m, sizeof m), 100 * (1 - least / all));
}

static void show_law(const struct optimal *k, const struct sp_law *l)
{
    struct sp_law_point p = sp_law_best(l, k->flops);
    char n[32], d[32];
    printf("  %-18s %11s %11s %12.3g %10.4g %14.4g %8.2g %%%s\n", l->name, sp_show_number(p.parameters, n, sizeof n), sp_show_number(p.tokens, d, sizeof d),
           p.tokens / p.parameters, p.loss, sp_law_loss(&k->law, p.parameters, p.tokens), 100 * wasted(k, p.parameters, p.tokens),
           sp_law_outside(l, k->flops) > 0 ? "  extrapolated" : "");
}

static void show_laws(const struct optimal *k)
{
    double least = INFINITY, most = 0;
    printf("\n  %-18s %11s %11s %12s %10s %14s %10s\n", "for these FLOP", "parameters", "tokens", "tokens/param", "its loss", "by this law", "wasted");
    for (const struct sp_law *l = sp_laws; *l->name; l++) {
        double ratio = best_ratio(l, &k->flops);
        least = fmin(least, ratio);
        most = fmax(most, ratio);
        show_law(k, l);
    }
    if (!sp_law_find(k->law.name))
        show_law(k, &k->law);
    printf("\nThe published constants disagree: from %.3g to %.3g tokens a parameter for these FLOP. \"hoffmann\" and \"epoch\" are fits to the same runs; the first stopped "
           "early and was printed with two digits of each exponent (\"hoffmann-rounded\"), which move it further the larger the budget is. \"muennighoff\" is of other text. "
           "Losses of different laws compare texts and tokenizers as well.\n", least, most);
}

static void show_advice(const struct optimal *k)
{
    double batch, rate, decade = log10(k->flops);
    char b[32];
    sp_law_batch(k->flops, &batch, &rate);
    printf("To begin with: a batch of %s tokens and a learning rate of %.2g (DeepSeek LLM 2024, measured at 1e17 to 2e19 FLOP%s; a wide valley, no law).\n",
           sp_show_number(batch, b, sizeof b), rate, decade < SP_LAW_BATCH_DECADE_MIN || decade > SP_LAW_BATCH_DECADE_MAX ? ", so extrapolated" : "");
}

static void show_formulas(const struct optimal *k)
{
    const struct sp_law *l = &k->law;
    struct sp_law_point p = k->best;
    double sum = l->alpha + l->beta, g = pow(l->alpha * l->A / (l->beta * l->B), 1 / sum);
    printf("\nC = 6 N D: 2 FLOP a parameter and token forward, 4 backward (Kaplan et al. 2020)\n"
           "L = E + A / N^alpha + B / D^beta = %.5g + %.5g / %.4g^%.5g + %.5g / %.4g^%.5g = %.5g  [%s]\n"
           "G = (alpha A / (beta B))^(1 / (alpha + beta)) = %.5g\n"
           "N = G (C/6)^(beta / (alpha + beta)) = %.5g * (%.4g/6)^%.4g = %.5g\n"
           "D = C / (6 N) = %.5g  (Hoffmann et al. 2022, equation 4)\n"
           "range of q: q * exp(+-1.96 sd (1 + %.2f)), sd of log q to first order in the covariance of log E, log A, log B, alpha, beta%s\n",
           l->E, l->A, p.parameters, l->alpha, l->B, p.tokens, l->beta, p.loss, l->source, g, g, k->flops, l->beta / sum, p.parameters, p.tokens, k->outside,
           l->scatter > 0 ? "; of the loss of a run also its scatter about the law" : "");
}

static void show(const struct optimal *k)
{
    if (k->warning.n)
        printf("WARNING: %s", k->warning.at);
    if (k->o->parameters > 0)
        show_judged(k);
    else if (k->o->loss > 0)
        show_cheapest(k);
    else
        show_best(k);
    if (k->o->unique > 0)
        show_repeated(k);
    if (k->o->served > 0)
        show_served(k);
    show_laws(k);
    show_advice(k);
    if (k->o->explain)
        show_formulas(k);
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
        json_object_set_new(row, "wasted", json_real(wasted(k, p.parameters, p.tokens)));
        json_object_set_new(row, "outside_decades", json_real(sp_law_outside(l, k->flops)));
        json_array_append_new(j, row);
    }
    return j;
}

static void judged_json(const struct optimal *k, json_t *j)
{
    struct sp_law_point p = judged(k), c = sp_law_cheapest(&k->law, p.loss);
    struct sp_figure loss = sp_law_range(&k->law, loss_at, &p, k->outside, true);
    json_t *row = point_json(&p);
    json_object_set_new(row, "loss", sp_figure_json(&loss));
    json_object_set_new(row, "verdict", json_string(verdict(p.tokens / p.parameters, k->ratio.likely)));
    json_object_set_new(row, "wasted", json_real(wasted(k, p.parameters, p.tokens)));
    json_object_set_new(row, "cheapest", point_json(&c));
    json_object_set_new(j, "judged", row);
}

static void variants_json(const struct optimal *k, json_t *j)
{
    const struct optimal_options *o = k->o;
    if (o->parameters > 0)
        judged_json(k, j);
    if (o->unique > 0) {
        struct sp_law_point p = sp_law_best_repeated(&k->law, k->flops, o->unique);
        json_t *row = point_json(&p);
        json_object_set_new(row, "epochs", json_real(fmax(1, p.tokens / o->unique)));
        json_object_set_new(j, "repeated", row);
    }
    if (o->served > 0) {
        double loss = o->loss > 0 ? o->loss : o->parameters > 0 ? judged(k).loss : k->best.loss;
        struct sp_law_point p = sp_law_best_served(&k->law, loss, o->served), c = sp_law_cheapest(&k->law, loss);
        json_t *row = point_json(&p);
        json_object_set_new(row, "all_flops", json_real(p.flops + 2 * p.parameters * o->served));
        json_object_set_new(row, "all_flops_unserved", json_real(c.flops + 2 * c.parameters * o->served));
        json_object_set_new(j, "served", row);
    }
}

static json_t *answer(const struct optimal *k)
{
    double batch, rate;
    struct sp_law_point t = sp_law_twenty(&k->law, k->flops);
    sp_law_batch(k->flops, &batch, &rate);
    json_t *j = json_pack("{s:s, s:o, s:f, s:f, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:{s:f, s:f}, s:s}", "schema", "sparsam.plan-optimal/1", "law", sp_law_json(&k->law), "flops",
                          k->flops, "outside_decades", k->outside, "best", "parameters", sp_figure_json(&k->parameters), "tokens", sp_figure_json(&k->tokens),
                          "tokens_per_parameter", sp_figure_json(&k->ratio), "loss", sp_figure_json(&k->loss), "rule_of_20", point_json(&t), "laws", laws_json(k), "advice",
                          "batch_tokens", batch, "learning_rate", rate, "warnings", k->warning.n ? k->warning.at : "");
    const struct sp_budget *b = &k->budget;
    if (j && b->peak_flops > 0 && b->utilisation > 0)
        json_object_set_new(j, "device_hours", json_real(k->flops / (3600 * b->peak_flops * b->utilisation)));
    if (j)
        variants_json(k, j);
    return j;
}

/* ---- a recipe ---- */

static const struct sp_technique *technique(const char *name)
{
    for (const struct sp_technique *const *t = sp_techniques; *t; t++)
        if (!strcmp((*t)->name, name))
            return *t;
    return NULL;
}

static enum sp_status write_recipe(const struct sp_recipe *r, const char *path, struct sp_err *err)
{
    enum { SECTIONS = 3 };         /* model, data, train: what the verb train reads */
    struct sp_recipe copy = *r;
    struct sp_option_set set[SP_RECIPE_SETS];
    struct sp_out out;
    TRY(sp_out_open(&out, path, err));
    sp_recipe_sets(&copy, set);
    sp_option_yaml(set, SECTIONS, out.f);
    return sp_out_commit(&out, err);
}

/* The technique, its options filled through its table, over the recipe of the file. */
static enum sp_status rewritten(const struct optimal *k, struct sp_recipe *r, struct sp_arena *mem, struct sp_err *err)
{
    const struct sp_technique *t = technique("optimal");
    void *options = sp_arena_take(mem, t->options_bytes);
    char *word[] = { sp_arena_printf(mem, "--optimal-flops=%.17g", k->flops), sp_arena_printf(mem, "--optimal-law=%s", k->o->law),
                     sp_arena_printf(mem, "--optimal-unique=%.17g", k->o->unique) };
    int operands;
    if (!options || !word[0] || !word[1] || !word[2])
        return sp_fail(err, SP_NOMEM, "out of memory for the recipe");
    struct sp_option_set set = { t->options, options };
    sp_option_defaults(&set, 1);
    TRY(sp_option_parse(&set, 1, (int)SP_COUNT(word), word, &operands, err));
    sp_recipe_defaults(r);
    TRY(sp_recipe_read(r, k->o->rewrite, mem, err));
    return t->recipe(r, options, err);
}

static enum sp_status rewrite_recipe(const struct optimal *k, bool tell, struct sp_err *err)
{
    struct sp_recipe r;
    struct sp_arena mem = { 0 };
    char d[32];
    if (!k->o->out)
        return sp_fail(err, SP_USAGE, "--rewrite wants --out FILE, where the changed recipe goes");
    enum sp_status st = rewritten(k, &r, &mem, err);
    if (!st)
        st = write_recipe(&r, k->o->out, err);
    if (!st && tell)
        printf("%s: %lld layers of width %lld with %lld heads, %s tokens; sparsam train --recipe %s\n", k->o->out, (long long)r.model.layers, (long long)r.model.width,
               (long long)r.model.heads, sp_show_number((double)r.train.tokens_total, d, sizeof d), k->o->out);
    sp_arena_clear(&mem);
    return st;
}

static enum sp_status optimal_run(struct verb_call *call, struct sp_err *err)
{
    struct optimal k = { .o = call->options };
    const struct sp_recipe_place *place = &call->common.place;
    k.budget = k.o->budget;
    if (!(k.budget.price > 0) && place->price_per_hour > 0) /* of all devices together */
        k.budget.price = place->price_per_hour / fmax(1, k.budget.devices);
    snprintf(k.currency, sizeof k.currency, "%.3s", place->currency ? place->currency : "EUR");
    enum sp_status st = find_out(&k, err);
    if (!st && call->common.json) {
        sp_json_begin();
        call->answer = answer(&k);
        if (!call->answer || sp_json_ran_out())
            st = sp_fail(err, SP_NOMEM, "out of memory for the answer");
    } else if (!st)
        show(&k);
    if (!st && k.o->rewrite)
        st = rewrite_recipe(&k, !call->common.json, err);
    sp_text_clear(&k.warning);
    return st;
}

const struct verb sp_verb_plan_optimal = {
    .name = "plan optimal",
    .help = "the best model and data size for a budget, and how far another choice is from it",
    .operands = "",
    .text = "A budget of FLOP, device hours, money, energy or days buys a larger model or more data. A\n"
            "scaling law says which split reaches the lowest loss, and how sure that is. Published laws\n"
            "differ, and none holds outside the budgets it was measured at: what is outside is said to\n"
            "be. Also: with data that must be repeated (--unique), counting the answers that will be\n"
            "given (--served), a choice already made (--parameters, --tokens), a loss (--loss).\n"
            "\n"
            "  sparsam plan optimal --flops 1e21\n"
            "  sparsam plan optimal --money 5000 --price 2 --on a100 --mfu 0.4\n"
            "  sparsam plan optimal --days 7 --on h100*8 --mfu 0.4 --unique 10G\n"
            "  sparsam plan optimal --parameters 13G --tokens 2T --served 2T\n"
            "  sparsam plan optimal --law law.json --loss 3.2\n"
            "  sparsam plan optimal --law law.json --flops 1e16 --rewrite small.yaml --out best.yaml\n",
    .sets = { { optimal_options, 0 } },
    .options_bytes = sizeof(struct optimal_options),
    .run = optimal_run,
};
