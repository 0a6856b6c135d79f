/* cli/verb_plan.c - what training, fine-tuning or serving a model will cost, where.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "plan.h"
#include "work.h"

enum { SIDES_MAX = 16, PLACES_MAX = 256 };

struct plan_options {
    struct sp_ask ask;
    const char *on, *claimed;
    double price, deadline_days, budget;
    struct sp_option_list compare;
    bool explain;
    int best;
};

#define AT(field) offsetof(struct plan_options, field)
static const struct sp_option where_options[] = {
    { .name = "on", .kind = SP_OPT_TEXT, .at = AT(on), .fallback_text = "this", .unit = "PLACE", .group = "Where",
      .help = "this machine, an accelerator (a100-80gb*64, rtx-4090; without *N: as many as it takes), a cloud instance" },
    { .name = "price", .kind = SP_OPT_REAL, .at = AT(price), .min = 0, .max = 1e6, .fallback = NAN, .help = "of a device for an hour; without it the catalogue's" },
    { .name = "deadline", .kind = SP_OPT_REAL, .at = AT(deadline_days), .min = 0, .max = 36525, .unit = "DAYS", .help = "how long it may take; 0: as long as it takes" },
    { .name = "budget", .kind = SP_OPT_REAL, .at = AT(budget), .min = 0, .max = 1e15, .unit = "MONEY", .help = "what it may cost; 0: whatever it costs" },
    { .name = "compare", .kind = SP_OPT_LIST, .at = AT(compare), .unit = "NAME", .help = "a model or a place to set beside; may be repeated" },
    { .name = "claimed", .kind = SP_OPT_TEXT, .at = AT(claimed), .unit = "WHAT=N", .help = "is this possible? gpu-hours=184320, days=21, kwh=4000" },
    { .name = "best", .kind = SP_OPT_CHOICE, .at = AT(best), .choices = sp_best_names,
      .help = "search machine (all of the catalogue, or --on alone), number, cut and technique for the least of it, within --budget and --deadline" },
    { .name = "explain", .kind = SP_OPT_FLAG, .at = AT(explain), .help = "every formula with its numbers and source" },
    { 0 },
};
#undef AT

/* ---- the question ---- */

/* "*N", "Nx" or an instance with several devices: the number was given. */
static bool gives_count(const char *on, const struct sp_machine *m)
{
    return m->device.count > 1 || strchr(on, '*') || (on[0] == '1' && strchr("xX ", on[1]));
}

static enum sp_status find_place(const struct verb_call *call, const struct sp_catalog *facts, const char *on, struct sp_machine *m, struct sp_err *err)
{
    TRY(work_machine(&call->common, m, err));
    return !strcmp(on, "this") ? SP_OK : sp_catalog_place(facts, on, m, err);
}

static bool cut_is_given(const struct sp_ask *a)
{
    const struct sp_sharding *c = &a->cut;
    return c->data || c->tensor > 1 || c->pipeline > 1 || c->context > 1 || c->expert > 1 || c->zero || c->sequence;
}

static struct sp_planned_with limits(const struct verb_call *call, const struct sp_catalog *facts)
{
    const struct plan_options *o = call->options;
    bool priced = !isnan(o->price);
    return (struct sp_planned_with){ .catalog = facts, .deadline_s = 86400 * o->deadline_days, .budget = o->budget,
                                     .price_per_hour = priced ? o->price : -1, .currency = priced ? call->common.place.currency : NULL };
}

static enum sp_status answer(struct verb_call *call, const struct sp_catalog *facts, const char *model, const char *on, struct plan_side *s, struct sp_err *err)
{
    const struct plan_options *o = call->options;
    struct sp_ask a = o->ask;
    struct sp_rates rates = { 0 };
    TRY(find_place(call, facts, on, &a.machine, err));
    TRY(sp_ask_model(&a, model, err));
    work_rates_kept(&call->common, &a.machine, a.precision == SP_PRECISION_F32 ? SP_F32 : SP_BF16, &rates);
    struct sp_planned_with with = limits(call, facts);
    with.rates = &rates;
    with.cut_given = cut_is_given(&a);
    with.count_given = gives_count(on, &a.machine);
    with.counts_least = true;
    return sp_plan_answer(&a, &with, &s->answer, o->explain ? &s->explain : NULL, err);
}

/* ---- the verbs ---- */

static bool is_a_place(const struct verb_call *call, const struct sp_catalog *facts, const char *name)
{
    struct sp_machine m;
    struct sp_err ignored = { 0 };
    return !find_place(call, facts, name, &m, &ignored);
}

static enum sp_status ask_all(struct verb_call *call, const struct sp_catalog *facts, struct plan_side *side, int *n, struct sp_err *err)
{
    const struct plan_options *o = call->options;
    for (int i = 0; i < call->n_operands; i++)
        TRY(answer(call, facts, call->operands[i], o->on, &side[(*n)++], err));
    for (int i = 0; i < o->compare.n && *n < SIDES_MAX; i++) {
        bool place = is_a_place(call, facts, o->compare.at[i]);
        TRY(answer(call, facts, place ? call->operands[0] : o->compare.at[i], place ? o->compare.at[i] : o->on, &side[(*n)++], err));
    }
    return SP_OK;
}

static enum sp_status say_claim(struct verb_call *call, const struct plan_side *s, json_t **verdict, struct sp_err *err)
{
    const struct plan_options *o = call->options;
    struct sp_claim claim;
    struct sp_claim_verdict v;
    if (!o->claimed)
        return SP_OK;
    TRY(sp_claim_parse(o->claimed, &claim, err));
    TRY(sp_plan_claim(&s->answer.ask, &claim, &v, NULL, err));
    if (!call->common.json)
        printf("\nThe claim %s is %s: %s\n", o->claimed, sp_verdict_names[v.verdict], v.sentence);
    else
        *verdict = json_pack("{s:s, s:s, s:s}", "claim", o->claimed, "verdict", sp_verdict_names[v.verdict], "sentence", v.sentence);
    return SP_OK;
}

static enum sp_status tell(struct verb_call *call, const struct plan_side *side, int n, struct sp_err *err)
{
    json_t *all = json_array(), *verdict = NULL;
    for (int i = 0; i < n && call->common.json; i++)
        json_array_append_new(all, plan_side_json(&side[i]));
    if (!call->common.json)
        n == 1 ? plan_show_one(side) : plan_show_sides(side, n);
    enum sp_status st = say_claim(call, side, &verdict, err);
    if (!st && call->common.json) {
        call->answer = json_pack("{s:s, s:o}", "schema", "sparsam.plan/1", "plans", json_incref(all));
        if (!call->answer || (verdict && json_object_set(call->answer, "claim", verdict)))
            st = sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    json_decref(all);
    json_decref(verdict);
    return st;
}

/* ---- the search ---- */

/* Devices of the catalogue that train or serve: all whose memory, arithmetic and power are known. */
static enum sp_status candidates(struct verb_call *call, const struct sp_catalog *facts, struct sp_machine *m, int max, int *n, struct sp_err *err)
{
    const struct plan_options *o = call->options;
    const struct sp_accelerator *row;
    struct sp_err ignored = { 0 };
    if (strcmp(o->on, "this")) {
        *n = 1;
        return find_place(call, facts, o->on, m, err);
    }
    struct sp_machine here;
    TRY(work_machine(&call->common, &here, err));
    for (int i = 0; *n < max && (row = sp_catalog_row(facts, SP_KIND_ACCELERATORS, i, NULL)); i++) {
        m[*n] = here;
        if (row->memory_gb > 0 && row->bandwidth_gbs > 0 && row->tdp_w > 0 && strcmp(row->kind, "cpu") && strcmp(row->kind, "soc") && strcmp(row->kind, "edge") &&
            !sp_catalog_place(facts, row->name, &m[*n], &ignored) && m[*n].device.flops_16 > 0)
            ++*n;
    }
    return SP_OK;
}

static enum sp_status search(struct verb_call *call, const struct sp_catalog *facts, struct sp_machine *machine, struct sp_err *err)
{
    const struct plan_options *o = call->options;
    struct sp_ask a = o->ask;
    struct sp_best *best;
    int n = 0;
    TRY(sp_ask_model(&a, call->operands[0], err));
    if (a.task == SP_TASK_FINETUNE && !(a.tokens > 0)) {
        sp_fail(err, SP_USAGE, "--best needs the number of tokens");
        return sp_remedy(err, "--tokens 10M");
    }
    TRY(candidates(call, facts, machine, PLACES_MAX, &n, err));
    struct sp_planned_with with = limits(call, facts);
    struct sp_best_ask ask = { .with = &with, .by = (enum sp_best_by)o->best, .n = n, .machine = machine };
    TRY(sp_plan_best(&a, &ask, &best, err));
    if (call->common.json)
        call->answer = plan_best_json(best);
    else
        plan_show_best(best, o->best);
    sp_free(best);
    return SP_OK;
}

static enum sp_status find_best(struct verb_call *call, struct sp_err *err)
{
    struct sp_catalog *facts;
    TRY(sp_catalog_open(&facts, err));
    struct sp_machine *machine = sp_zalloc(PLACES_MAX, sizeof *machine);
    enum sp_status st = machine ? search(call, facts, machine, err) : sp_fail(err, SP_NOMEM, "out of memory for a search");
    sp_free(machine);
    sp_catalog_free(facts);
    return st;
}

static enum sp_status plan_run(struct verb_call *call, enum sp_task task, struct sp_err *err)
{
    struct plan_options *o = call->options;
    struct sp_catalog *facts;
    int n = 0;
    o->ask.task = task;
    if (o->best)
        return find_best(call, err);
    struct plan_side *side = sp_zalloc(SIDES_MAX, sizeof *side);
    if (!side)
        return sp_fail(err, SP_NOMEM, "out of memory for a plan");
    enum sp_status st = sp_catalog_open(&facts, err);
    if (!st) {
        st = ask_all(call, facts, side, &n, err);
        sp_catalog_free(facts);
    }
    if (!st)
        st = tell(call, side, n, err);
    for (int i = 0; i < SIDES_MAX; i++)
        sp_text_clear(&side[i].explain.text);
    sp_free(side);
    return st;
}

static enum sp_status run_train(struct verb_call *call, struct sp_err *err) { return plan_run(call, SP_TASK_TRAIN, err); }
static enum sp_status run_finetune(struct verb_call *call, struct sp_err *err) { return plan_run(call, SP_TASK_FINETUNE, err); }
static enum sp_status run_serve(struct verb_call *call, struct sp_err *err) { return plan_run(call, SP_TASK_SERVE, err); }

#define MODEL_TEXT "MODEL is a folder or config.json, a name that `sparsam catalog list models` knows, or a number\n" \
                   "of parameters (params=7B: a typical shape). Several are set side by side.\n"

const struct verb sp_verb_plan_train = {
    .name = "plan train",
    .help = "what training a model will cost: memory, devices, time, energy, CO2e, money",
    .operands = "MODEL...", .operands_min = 1, .operands_max = SIDES_MAX - 1,
    .text = MODEL_TEXT
            "\n"
            "  sparsam plan train llama-2-7b --tokens 2T --on a100-80gb*1024 --zone FR\n"
            "  sparsam plan train llama-2-7b --tokens 2T --on a100-80gb --claimed gpu-hours=184320\n"
            "  sparsam plan train params=1B --on h100 --deadline 7 --compare a100-80gb\n"
            "  sparsam plan train demo-model --tokens 1M --batch 8 --context 256 --precision f32     on this machine\n",
    .sets = { { sp_ask_train_options, offsetof(struct plan_options, ask) }, { where_options, 0 } },
    .options_bytes = sizeof(struct plan_options),
    .run = run_train,
};

const struct verb sp_verb_plan_finetune = {
    .name = "plan finetune",
    .help = "what fine-tuning a model will cost, whole or a few parameters of it",
    .operands = "MODEL...", .operands_min = 1, .operands_max = SIDES_MAX - 1,
    .text = MODEL_TEXT
            "\n"
            "  sparsam plan finetune llama-2-7b --method lora --rank 16 --batch 4 --context 1024 --on rtx-4090 --tokens 10M\n"
            "  sparsam plan finetune llama-3-8b --method qlora --on rtx-3090 --compare a10g\n",
    .sets = { { sp_ask_train_options, offsetof(struct plan_options, ask) }, { where_options, 0 } },
    .options_bytes = sizeof(struct plan_options),
    .run = run_finetune,
};

const struct verb sp_verb_plan_serve = {
    .name = "plan serve",
    .help = "how fast a model answers, for how many, and what a million tokens cost",
    .operands = "MODEL...", .operands_min = 1, .operands_max = SIDES_MAX - 1,
    .text = MODEL_TEXT
            "\n"
            "  sparsam plan serve llama-3-8b --bits 4.85 --on rtx-4090 --context 8192\n"
            "  sparsam plan serve mixtral-8x7b --on a100-80gb*2 --users 16 --compare h100\n",
    .sets = { { sp_ask_serve_options, offsetof(struct plan_options, ask) }, { where_options, 0 } },
    .options_bytes = sizeof(struct plan_options),
    .run = run_serve,
};
