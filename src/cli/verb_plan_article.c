/* cli/verb_plan_article.c - the rule of thumb of an introductory article beside
 * what it prints, what physics says and what is published.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../plan/article.h"
#include "verb.h"

/* ---- for programs ---- */

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *inputs_json(const struct sp_article_input *in)
{
    json_t *j = json_object();
    for (const struct sp_option *o = sp_article_options; j && o->name; o++)
        json_object_set_new(j, o->name, real(*(const double *)(const void *)((const char *)in + o->at)));
    return j;
}

static json_t *cell_json(const struct sp_article *a, int m, int q)
{
    const struct sp_article_cell *c = &a->cell[m][q];
    const struct sp_article_row *r = &sp_article_rows[q];
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:o}", "model", a->name[m], "quantity", r->key, "unit", r->unit, "formula", r->formula, "computed", real(c->computed));
    if (j && c->printed.step > 0)
        json_object_update_new(j, json_pack("{s:f, s:b}", "printed", c->printed.value, "agrees", sp_article_agrees(c->computed, c->printed)));
    if (j && c->printed_too.step > 0)
        json_object_set_new(j, "printed_too", real(c->printed_too.value));
    if (j && c->physical.how != SP_HOW_UNKNOWN)
        json_object_set_new(j, "physical", sp_figure_json(&c->physical));
    if (j && isfinite(c->published))
        json_object_update_new(j, json_pack("{s:f, s:s}", "published", c->published, "source", c->source));
    return j;
}

static json_t *cells_json(const struct sp_article *a)
{
    json_t *list = json_array();
    for (int m = 0; list && m < a->models; m++)
        for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++)
            json_array_append_new(list, cell_json(a, m, q));
    return list;
}

static json_t *formats_json(const struct sp_article *a)
{
    json_t *list = json_array();
    for (int i = 0; list && i < SP_ARTICLE_FORMATS; i++) {
        const struct sp_article_format *f = &a->format[i];
        json_array_append_new(list, json_pack("{s:s, s:f, s:i, s:i, s:f, s:f}", "format", f->name, "bytes", f->bytes, "exponent_bits", f->exponent, "fraction_bits",
                                              f->fraction, "stored_gb", f->stored_gb, "trained_gb", f->trained_gb));
    }
    return list;
}

static json_t *optimals_json(const struct sp_article *a)
{
    json_t *list = json_array();
    for (int i = 0; list && i < SP_ARTICLE_OPTIMALS; i++)
        json_array_append_new(list, json_pack("{s:s, s:f, s:f, s:f, s:f}", "model", a->optimal[i].name, "parameters", a->optimal[i].parameters, "optimal_tokens",
                                              a->optimal[i].optimal, "law_tokens", a->optimal[i].by_law, "trained_tokens", a->optimal[i].trained));
    return list;
}

static json_t *notes_json(const struct sp_article *a)
{
    json_t *list = json_array();
    for (int i = 0; list && i < a->notes; i++) {
        json_t *values = json_object();
        for (int k = 0; values && k < SP_ARTICLE_VALUES_MAX && a->note[i].at[k].name; k++)
            json_object_set_new(values, a->note[i].at[k].name, real(a->note[i].at[k].value));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "key", a->note[i].key, "text", a->note[i].text, "values", values));
    }
    return list;
}

/* ---- for people ---- */

static int decimals(double v, const char *key)
{
    if (fabs(v) > 0 && fabs(v) < 0.1)
        return (int)fmin(9, ceil(-log10(fabs(v))) + 1);
    if (!strcmp(key, "days"))
        return 2;
    return !strcmp(key, "money_eur") && fabs(v) < 1e6 ? 2 : fabs(v) < 100 && fabs(v - round(v)) > 0.005 ? 1 : 0;
}

static const char *shown(double v, bool known, const char *key, char *buf, size_t cap)
{
    if (!known)
        return "";
    return sp_article_number(v, decimals(v, key), buf, cap);
}

static void show_cell(const struct sp_article *a, int m, int q)
{
    const struct sp_article_cell *c = &a->cell[m][q];
    const struct sp_article_row *r = &sp_article_rows[q];
    char computed[40], printed[40], low[40], high[40], off[24] = "", range[96] = "", published[40];
    if (c->printed.step > 0 && sp_article_agrees(c->computed, c->printed))
        snprintf(off, sizeof off, "=");
    else if (c->printed.step > 0)
        sp_format(off, sizeof off, "%+.2f %%", 100 * (c->printed.value / c->computed - 1));
    if (c->physical.how != SP_HOW_UNKNOWN && c->physical.high <= c->physical.low)
        shown(c->physical.likely, true, r->key, range, sizeof range);
    else if (c->physical.how != SP_HOW_UNKNOWN)
        snprintf(range, sizeof range, "%s to %s", shown(c->physical.low, true, r->key, low, sizeof low), shown(c->physical.high, true, r->key, high, sizeof high));
    printf("  %-20s %-9s %15s %15s %9s %25s %13s\n", r->label, r->unit, shown(c->computed, true, r->key, computed, sizeof computed),
           shown(c->printed.value, c->printed.step > 0, r->key, printed, sizeof printed), off, range,
           shown(c->published, isfinite(c->published), r->key, published, sizeof published));
    if (c->printed_too.step > 0)
        printf("  %-20s %-9s %15s %15s %+7.2f %%\n", "", "", "", sp_article_number(c->printed_too.value, c->printed_too.step < 1 ? 2 : 0, printed, sizeof printed),
               100 * (c->printed_too.value / c->computed - 1));
}

/* One source often stands behind several cells. */
static bool is_new_source(const struct sp_article_cell *c, int q)
{
    for (int k = 0; k < q; k++)
        if (c[k].source == c[q].source)
            return false;
    return c[q].source;
}

static void show_model(const struct sp_article *a, int m)
{
    printf("\n%s\n  %-20s %-9s %15s %15s %9s %25s %13s\n", a->name[m], "", "", "rule of thumb", "article prints", "off", "physical estimate", "published");
    for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++)
        show_cell(a, m, q);
    for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++)
        if (is_new_source(a->cell[m], q))
            printf("  published: %s\n", a->cell[m][q].source);
}

static void show_tables(const struct sp_article *a)
{
    puts("\nBytes a value, and 10^9 parameters of them\n  format  bytes  exponent  fraction      stored     trained");
    for (int i = 0; i < SP_ARTICLE_FORMATS; i++) {
        const struct sp_article_format *f = &a->format[i];
        char exponent[8] = "";
        if (f->exponent)
            snprintf(exponent, sizeof exponent, "%d", f->exponent);
        printf("  %-6s %6g  %8s  %8d  %7g GB  %7g GB%s\n", f->name, f->bytes, exponent, f->fraction, f->stored_gb, f->trained_gb,
               f->exponent ? "" : "   (a sign and bits of value)");
    }
    printf("\nCompute-optimal tokens, %g a parameter\n  %-16s %12s %14s %12s\n", a->in.tokens_per_parameter, "", "optimal", "by a law", "trained on");
    for (int i = 0; i < SP_ARTICLE_OPTIMALS; i++) {
        char optimal[32], law[32], trained[32];
        printf("  %-16s %12s %14s %12s\n", a->optimal[i].name, sp_show_number(a->optimal[i].optimal, optimal, sizeof optimal),
               sp_show_number(a->optimal[i].by_law, law, sizeof law), sp_show_number(a->optimal[i].trained, trained, sizeof trained));
    }
}

static void show_words(const struct sp_article *a)
{
    char memory[40], days[40], kwh[40], money[40], gpus[40];
    int m = a->models - 1 == SP_ARTICLE_OWN ? SP_ARTICLE_OWN : SP_ARTICLE_GPT35;
    const struct sp_article_cell *c = a->cell[m];
    printf("By the rule of thumb, training %s takes %s GB of memory, %s GPUs for %s days, %s kWh and %s EUR.\n",
           m == SP_ARTICLE_OWN ? "a model of that size" : a->name[m], sp_article_number(c[SP_ARTICLE_MEMORY].computed, 0, memory, sizeof memory),
           sp_article_number(c[SP_ARTICLE_GPUS].computed, 0, gpus, sizeof gpus), sp_article_number(c[SP_ARTICLE_DAYS].computed, 1, days, sizeof days),
           sp_article_number(c[SP_ARTICLE_ENERGY].computed, 0, kwh, sizeof kwh), sp_article_number(c[SP_ARTICLE_MONEY].computed, 0, money, sizeof money));
    puts("Where the rule goes wrong:");
    for (int i = 0; i < a->notes; i++)
        printf("- %s\n", a->note[i].text);
}

static enum sp_status article_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_article a;
    TRY(sp_article_make(call->options, &a, err));
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "schema", "sparsam.plan-article/1", "inputs", inputs_json(&a.in), "cells", cells_json(&a),
                                 "formats", formats_json(&a), "optimal", optimals_json(&a), "deviations", notes_json(&a));
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    show_words(&a);
    for (int m = 0; m < a.models; m++)
        show_model(&a, m);
    show_tables(&a);
    return SP_OK;
}

const struct verb sp_verb_plan_article = {
    .name = "plan article",
    .help = "the rule of thumb of an introductory article, cell by cell, and where it goes wrong",
    .operands = "",
    .text = "Reckons what training costs the way a well-known article does: bytes a parameter, GPUs,\n"
            "petaflop/s-days, watts, a price an hour. Every cell is computed from the options below,\n"
            "and stands beside what the article prints, the physical estimate and what is published.\n"
            "Change an assumption and see every cell move. --parameters adds a model of your own.\n"
            "\n"
            "  sparsam plan article\n"
            "  sparsam plan article --bytes-per-parameter 16 --gpu-hour 1.20\n"
            "  sparsam plan article --parameters 13B --json | jq '.cells[] | select(.quantity == \"money_eur\")'\n",
    .sets = { { sp_article_options, 0 } },
    .options_bytes = sizeof(struct sp_article_input),
    .run = article_run,
};
