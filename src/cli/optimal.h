/* cli/optimal.h - the answer of plan optimal: what was asked, what was found out.
 * Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_OPTIMAL_H
#define SP_OPTIMAL_H
#include "../plan/fit.h"
#include "verb.h"

struct optimal_options {
    struct sp_budget budget;
    const char *on, *law, *rewrite, *out;
    double unique, served, parameters, tokens, loss;
    bool explain;
};

struct optimal {
    const struct optimal_options *o;
    const struct sp_recipe_place *place;
    struct sp_machine machine;     /* --on                                  */
    struct sp_figure utilisation;  /* learned from published runs where --mfu doesn't say it; how UNKNOWN: not */
    int published;                 /* those runs                            */
    char currency[4];
    struct sp_budget budget;       /* completed                             */
    struct sp_law law;
    double flops, outside;
    enum sp_budget_limit tightest;
    struct sp_law_point best;      /* for flops                             */
    struct sp_figure parameters, tokens, ratio, loss; /* of best, or of what is judged */
    struct sp_text warning;        /* a line each                           */
};

/* o, place, budget and currency are set; the rest is found out.  Clear warning afterwards. */
enum sp_status optimal_find(struct optimal *k, struct sp_err *err);
/* The model that --parameters names, on --tokens or what the budget allows. */
struct sp_law_point optimal_judged(const struct optimal *k);
const char *optimal_verdict(double ratio, double best);
/* The loss whose cheapest way is asked about when answers are counted. */
double optimal_loss(const struct optimal *k);
/* Share of the FLOP that this choice takes more than its loss needs, by the law in use. */
double optimal_wasted(const struct optimal *k, double parameters, double tokens);
/* 95 % ranges of what depends on more than a budget. */
struct sp_figure optimal_loss_range(const struct optimal *k, const struct sp_law_point *p);
struct sp_figure optimal_flops_range(const struct optimal *k);
void optimal_repeated_range(const struct optimal *k, struct sp_figure *parameters, struct sp_figure *loss);
void optimal_words(const struct optimal *k);
json_t *optimal_json(const struct optimal *k);   /* new reference or NULL */
#endif
