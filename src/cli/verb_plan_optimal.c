/* cli/verb_plan_optimal.c - the best model and data size for a budget; how far a
 * given choice is from it; the cheapest way to a loss.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "optimal.h"

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
      .help = "a100-80gb*8, rtx-4090, p4d.24xlarge: what isn't set below is looked up or learned" },
    { .name = "devices", .kind = SP_OPT_REAL, .at = AT(budget.devices), .min = 0, .max = 1e7, .help = "how many" },
    { .name = "peak", .kind = SP_OPT_REAL, .at = AT(budget.peak_flops), .min = 0, .max = 1e18, .unit = "FLOP/s", .help = "of a device (312T: A100 in bf16)" },
    { .name = "mfu", .kind = SP_OPT_REAL, .at = AT(budget.utilisation), .min = 0, .max = 1, .help = "share of the peak that training reaches (0.4); without it what published runs reach on --on" },
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
    const struct sp_recipe_place *place = &call->common.place;
    struct optimal k = { .o = call->options, .place = place, .utilisation = { .how = SP_HOW_UNKNOWN } };
    k.budget = k.o->budget;
    if (!(k.budget.price > 0) && place->price_per_hour > 0) /* of all devices together */
        k.budget.price = place->price_per_hour / fmax(1, k.budget.devices);
    snprintf(k.currency, sizeof k.currency, "%.3s", place->currency ? place->currency : "EUR");
    enum sp_status st = optimal_find(&k, err);
    if (!st && call->common.json) {
        sp_json_begin();
        call->answer = optimal_json(&k);
        if (!call->answer || sp_json_ran_out())
            st = sp_fail(err, SP_NOMEM, "out of memory for the answer");
    } else if (!st)
        optimal_words(&k);
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
            "  sparsam plan optimal --money 5000 --price 2 --on a100\n"
            "  sparsam plan optimal --days 7 --on h100*8 --mfu 0.4 --unique 10G\n"
            "  sparsam plan optimal --parameters 13G --tokens 2T --served 2T\n"
            "  sparsam plan optimal --law law.json --loss 3.2\n"
            "  sparsam plan optimal --law law.json --flops 1e16 --rewrite small.yaml --out best.yaml\n",
    .sets = { { optimal_options, 0 } },
    .options_bytes = sizeof(struct optimal_options),
    .run = optimal_run,
};
