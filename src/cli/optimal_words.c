/* cli/optimal_words.c - the answer of plan optimal in words and tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "optimal.h"

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
    if (k->published)
        printf("  Such models reach %.3g of it (%.3g to %.3g), by %d published runs: the same hours are %.3g to %.3g FLOP.\n", k->utilisation.likely, k->utilisation.low,
               k->utilisation.high, k->published, flops * k->utilisation.low / k->utilisation.likely, flops * k->utilisation.high / k->utilisation.likely);
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
           sp_show_number(t.parameters, u, sizeof u), sp_show_number(t.tokens, v, sizeof v), t.loss, 100 * optimal_wasted(k, t.parameters, t.tokens));
}

static void show_cheapest(const struct optimal *k)
{
    char n[112], d[112];
    struct sp_figure f = optimal_flops_range(k);
    printf("A loss of %.4g takes %.3g FLOP at least (%.3g to %.3g): %s parameters, %s tokens, by the law \"%s\": %s.\n", k->o->loss, f.likely, f.low, f.high,
           count_range(&k->parameters, n, sizeof n), count_range(&k->tokens, d, sizeof d), k->law.name, k->law.source);
    show_spent(k, f.likely);
}

static void show_judged(const struct optimal *k)
{
    struct sp_law_point p = optimal_judged(k);
    struct sp_figure loss = optimal_loss_range(k, &p);
    char n[32], d[32], m[32], t[32];
    printf("%s parameters on %s tokens take %.3g FLOP; predicted loss %.4g (a run: %.4g to %.4g), by the law \"%s\": %s.\n", sp_show_number(p.parameters, n, sizeof n),
           sp_show_number(p.tokens, d, sizeof d), p.flops, loss.likely, loss.low, loss.high, k->law.name, k->law.source);
    show_spent(k, p.flops);
    printf("That is %s: %.3g tokens a parameter, where %.3g are best (%.3g to %.3g).\n", optimal_verdict(p.tokens / p.parameters, k->ratio.likely), p.tokens / p.parameters,
           k->ratio.likely, k->ratio.low, k->ratio.high);
    printf("The same FLOP would reach %.4g with %s parameters and %s tokens; the same loss needs %.3g FLOP at least, %.2g %% less.\n", k->best.loss,
           sp_show_number(k->best.parameters, m, sizeof m), sp_show_number(k->best.tokens, t, sizeof t), sp_law_cheapest(&k->law, p.loss).flops,
           100 * optimal_wasted(k, p.parameters, p.tokens));
    if (p.tokens / p.parameters > 1.5 * k->ratio.likely)
        printf("What it buys: a model %.3g times smaller than the cheapest of that loss, in every answer (--served N counts them).\n",
               sp_law_cheapest(&k->law, p.loss).parameters / p.parameters);
}

/* What repeating buys at the end: the FLOP that come within a hundredth of the loss. */
static void show_enough(const struct optimal *k, const struct sp_law_point *p)
{
    double enough = sp_law_flops_repeated(&k->law, 1.01 * p->loss, k->o->unique);
    printf("  Repeated tokens are worth less each time (Muennighoff et al. 2023, R_D* 15.4, R_N* 5.3%s); that costs %.3g nats.%s", strcmp(k->law.name, "muennighoff") ?
           ", measured with their own law" : "", p->loss - k->best.loss, p->tokens / k->o->unique > 4 ? " " : "\n");
    if (p->tokens / k->o->unique > 4)
        printf("%.3g FLOP, %.2g %% of these, come within 1 %% of that loss.\n", enough, 100 * enough / k->flops);
}

/* With --loss: the FLOP that reach it with the data there is. */
static void show_loss_repeated(const struct optimal *k)
{
    double flops = sp_law_flops_repeated(&k->law, k->o->loss, k->o->unique);
    char u[32], n[32], d[32];
    sp_show_number(k->o->unique, u, sizeof u);
    if (isinf(flops)) {
        printf("With only %s different tokens no model gets to %.4g, however often it sees them.\n", u, k->o->loss);
        return;
    }
    struct sp_law_point p = sp_law_best_repeated(&k->law, flops, k->o->unique);
    printf("With only %s different tokens the same loss takes %.3g FLOP: %s parameters, %s tokens, so that each is seen %.3g times.\n", u, flops,
           sp_show_number(p.parameters, n, sizeof n), sp_show_number(p.tokens, d, sizeof d), fmax(1, p.tokens / k->o->unique));
}

static void show_repeated(const struct optimal *k)
{
    struct sp_law_point p = sp_law_best_repeated(&k->law, k->flops, k->o->unique);
    struct sp_figure n, loss;
    char u[32], a[112], d[32];
    optimal_repeated_range(k, &n, &loss);
    sp_show_number(k->o->unique, u, sizeof u);
    if (p.tokens <= k->o->unique) {
        printf("%s different tokens are enough: nothing need be repeated.\n", u);
        return;
    }
    printf("With only %s different tokens these FLOP are best spent on %s parameters and %s tokens, so that each is seen %.3g times; loss %.4g (a run: %.4g to %.4g).\n", u,
           count_range(&n, a, sizeof a), sp_show_number(p.tokens, d, sizeof d), p.tokens / k->o->unique, loss.likely, loss.low, loss.high);
    show_enough(k, &p);
}

static void show_served(const struct optimal *k)
{
    double loss = optimal_loss(k), served = k->o->served;
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
           p.tokens / p.parameters, p.loss, sp_law_loss(&k->law, p.parameters, p.tokens), 100 * optimal_wasted(k, p.parameters, p.tokens),
           sp_law_outside(l, k->flops) > 0 ? "  extrapolated" : "");
}

static void show_laws(const struct optimal *k)
{
    double least = INFINITY, most = 0;
    printf("\n  %-18s %11s %11s %12s %10s %14s %10s\n", "for these FLOP", "parameters", "tokens", "tokens/param", "its loss", "by this law", "wasted");
    for (const struct sp_law *l = sp_laws; *l->name; l++) {
        struct sp_law_point p = sp_law_best(l, k->flops);
        double ratio = p.tokens / p.parameters;
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

void optimal_words(const struct optimal *k)
{
    if (k->warning.n)
        printf("WARNING: %s", k->warning.at);
    if (k->o->parameters > 0)
        show_judged(k);
    else if (k->o->loss > 0)
        show_cheapest(k);
    else
        show_best(k);
    if (k->o->unique > 0 && k->o->loss > 0 && !(k->o->parameters > 0))
        show_loss_repeated(k);
    else if (k->o->unique > 0)
        show_repeated(k);
    if (k->o->served > 0)
        show_served(k);
    show_laws(k);
    show_advice(k);
    if (k->o->explain)
        show_formulas(k);
}
