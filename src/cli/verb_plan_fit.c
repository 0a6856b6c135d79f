/* cli/verb_plan_fit.c - the scaling law of a person's own runs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <time.h>

#include "../plan/fit.h"
#include "verb.h"

enum { FILE_BYTES_MAX = 64 << 20 };

struct fit_options { int64_t drop_largest, resamples, seed; bool tied; double delta; const char *out, *name; };

#define AT(field) offsetof(struct fit_options, field)
static const struct sp_option fit_options[] = {
    { .name = "drop-largest", .kind = SP_OPT_INT, .at = AT(drop_largest), .min = 0, .max = SP_RUNS_MAX, .group = "Runs", .unit = "K",
      .help = "use only losses below the K-th largest: runs that had hardly begun to learn" },
    { .name = "tied", .kind = SP_OPT_FLAG, .at = AT(tied), .group = "Law", .help = "one exponent for parameters and tokens: fewer runs determine it" },
    { .name = "delta", .kind = SP_OPT_REAL, .at = AT(delta), .min = 1e-6, .max = 1, .fallback = 1e-3,
      .help = "of Huber's loss: beyond it a run pulls no harder, however far off it is" },
    { .name = "bootstrap", .kind = SP_OPT_INT, .at = AT(resamples), .min = 0, .max = SP_FIT_RESAMPLES_MAX, .fallback = 1000, .unit = "N",
      .help = "resamples that the intervals are made of; 0: no intervals" },
    { .name = "seed", .kind = SP_OPT_INT, .at = AT(seed), .min = 0, .max = 1e15, .fallback = 1, .help = "of the resamples" },
    { .name = "out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .group = "Result", .unit = "FILE", .help = "write the law here, for plan optimal --law FILE" },
    { .name = "name", .kind = SP_OPT_TEXT, .at = AT(name), .fallback_text = "own", .unit = "TEXT", .help = "what the law is called" },
    { 0 },
};
#undef AT

struct fitting { struct sp_csv table; struct sp_law_runs runs; struct sp_fit fit; double fit_s, fit_cpu_s, all_s, all_cpu_s; };

/* ---- the work ---- */

static double cpu_now(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Twice: without the bootstrap, for the time that the fit itself takes; then with it. */
static enum sp_status fit_timed(struct fitting *k, const struct fit_options *o, struct sp_pool *pool, struct sp_err *err)
{
    struct sp_fit_options f = { .tied = o->tied, .delta = o->delta, .seed = (uint64_t)o->seed, .pool = pool };
    double began = sp_now(), cpu = cpu_now();
    TRY(sp_fit_law(&k->runs, &f, &k->fit, err));
    k->fit_s = sp_now() - began;
    k->fit_cpu_s = cpu_now() - cpu;
    f.resamples = (int)o->resamples;
    if (f.resamples)
        TRY(sp_fit_law(&k->runs, &f, &k->fit, err));
    k->all_s = sp_now() - began;
    k->all_cpu_s = cpu_now() - cpu;
    return SP_OK;
}

static enum sp_status fit_file(struct fitting *k, const char *path, const struct verb_call *call, struct sp_err *err)
{
    const struct fit_options *o = call->options;
    struct sp_pool *pool;
    TRY(sp_csv_read(&k->table, path, FILE_BYTES_MAX, err));
    TRY(sp_law_runs_read(&k->runs, &k->table, (int)o->drop_largest, err));
    TRY(sp_pool_new(&pool, (int)call->common.place.threads, err));
    enum sp_status st = fit_timed(k, o, pool, err);
    sp_pool_free(pool);
    TRY(st);
    const char *slash = strrchr(path, '/');
    snprintf(k->fit.law.name, sizeof k->fit.law.name, "%.60s", o->name);
    snprintf(k->fit.law.source, sizeof k->fit.law.source, "%d runs of %.120s", k->runs.n, slash ? slash + 1 : path);
    return SP_OK;
}

/* ---- words ---- */

static void show_rows(const struct sp_law_runs *r)
{
    printf("%d of %d rows are used", r->n, r->given);
    if (r->missing)
        printf("; %d say too little", r->missing);
    if (r->negative)
        printf("; %d hold a number that isn't above 0, or beyond 1e40", r->negative);
    if (r->largest)
        printf("; %d are the largest losses", r->largest);
    printf(".%s\n", r->tokens_from_flops ? " Tokens are FLOP / (6 N)." : "");
}

static void show_sentence(const struct sp_fit *f)
{
    const struct sp_law *l = &f->law;
    double middle = sqrt(l->flops_min * l->flops_max);
    struct sp_law_point p = sp_law_best(l, middle);
    char n[32], d[32];
    printf("Loss = %.4g + %.4g / parameters^%.4g + %.4g / tokens^%.4g.\n", l->E, l->A, l->alpha, l->B, l->beta);
    printf("The best model grows with the %.3gth power of the FLOP", f->exponent.likely);
    if (f->resamples)
        printf(" (%.3g to %.3g)", f->exponent.low, f->exponent.high);
    printf("; amid these runs, at %.3g FLOP, it has %s parameters and %s tokens, %.3g a parameter, and reaches %.4g.\n", middle,
           sp_show_number(p.parameters, n, sizeof n), sp_show_number(p.tokens, d, sizeof d), p.tokens / p.parameters, p.loss);
    printf("A run is off by %.2g %% (standard deviation). The law holds for %.3g to %.3g FLOP, what these runs took, and not beyond.\n", 100 * l->scatter,
           l->flops_min, l->flops_max);
}

static void show_numbers(const struct sp_fit *f)
{
    printf("\n  %-8s %12s", "", "value");
    if (f->resamples)
        printf(" %12s %12s %12s", "95 % from", "to", "deviation");
    puts("");
    for (int i = 0; i < SP_LAW_NUMBERS; i++) {
        printf("  %-8s %12.5g", sp_law_number_names[i], f->number[i].likely);
        if (f->resamples)
            printf(" %12.5g %12.5g %12.3g", f->number[i].low, f->number[i].high, f->error[i]);
        puts("");
    }
}

/* How the published laws do on these runs: what a person would lose by taking one. */
static void show_others(const struct fitting *k, double delta)
{
    printf("\nOn these runs\n  %-18s %14s %10s\n  %-18s %14.10f %10.3g\n", "law", "Huber, sum", "times", k->fit.law.name, k->fit.objective, 1.0);
    for (const struct sp_law *l = sp_laws; *l->name; l++) {
        double v = sp_fit_objective(&k->runs, l, delta, NULL);
        printf("  %-18s %14.10f %10.3g\n", l->name, v, v / k->fit.objective);
    }
}

static void show(const struct fitting *k, const struct fit_options *o)
{
    const struct sp_fit *f = &k->fit;
    show_rows(&k->runs);
    show_sentence(f);
    show_numbers(f);
    show_others(k, o->delta);
    printf("\nThe fit took %.3f s (%.3f s of processor time): %d starts, %d descents", k->fit_s, k->fit_cpu_s, f->starts, f->descents);
    if (f->resamples)
        printf("; with %d resamples %.2f s (%.2f s)", f->resamples, k->all_s, k->all_cpu_s);
    puts(".");
}

/* ---- JSON ---- */

static json_t *numbers_json(const struct sp_fit *f)
{
    json_t *j = json_object();
    for (int i = 0; i < SP_LAW_NUMBERS; i++)
        json_object_set_new(j, sp_law_number_names[i], sp_figure_json(&f->number[i]));
    json_object_set_new(j, "exponent", sp_figure_json(&f->exponent));
    return j;
}

static json_t *others_json(const struct sp_law_runs *r, double delta)
{
    json_t *j = json_object();
    for (const struct sp_law *l = sp_laws; *l->name; l++)
        json_object_set_new(j, l->name, json_real(sp_fit_objective(r, l, delta, NULL)));
    return j;
}

static json_t *answer(const struct fitting *k, const struct fit_options *o)
{
    const struct sp_law_runs *r = &k->runs;
    return json_pack("{s:s, s:o, s:o, s:f, s:f, s:o, s:{s:i, s:i, s:i, s:i, s:i}, s:i, s:i, s:i, s:I, s:f, s:f, s:f, s:f}", "schema", "sparsam.plan-fit/1",
                     "law", sp_law_json(&k->fit.law), "numbers", numbers_json(&k->fit), "objective", k->fit.objective, "delta", o->delta, "objective_of",
                     others_json(r, o->delta), "rows", "given", r->given, "used", r->n, "missing", r->missing, "negative", r->negative, "largest", r->largest,
                     "starts", k->fit.starts, "descents", k->fit.descents, "resamples", k->fit.resamples, "evaluations", (json_int_t)k->fit.evaluations,
                     "fit_s", k->fit_s, "fit_cpu_s", k->fit_cpu_s, "all_s", k->all_s, "all_cpu_s", k->all_cpu_s);
}

static enum sp_status fit_answer(struct verb_call *call, const struct fitting *k, struct sp_err *err)
{
    const struct fit_options *o = call->options;
    sp_json_begin();
    json_t *j = answer(k, o);
    if (!j)
        return sp_fail(err, SP_NOMEM, "out of memory for the answer");
    enum sp_status st = o->out ? sp_json_write(o->out, j, err) : SP_OK;
    if (!st && call->common.json) {
        call->answer = j;
        return SP_OK;
    }
    json_decref(j);
    TRY(st);
    show(k, o);
    if (o->out)
        printf("The law is in %s: sparsam plan optimal --law %s\n", o->out, o->out);
    return SP_OK;
}

static enum sp_status fit_run(struct verb_call *call, struct sp_err *err)
{
    struct fitting k = { 0 };
    enum sp_status st = fit_file(&k, call->operands[0], call, err);
    if (!st)
        st = fit_answer(call, &k, err);
    sp_law_runs_clear(&k.runs);
    sp_csv_clear(&k.table);
    return st;
}

const struct verb sp_verb_plan_fit = {
    .name = "plan fit",
    .help = "the scaling law of your own runs: how loss falls with model and data",
    .operands = "RUNS.csv", .operands_min = 1, .operands_max = 1,
    .text = "Fits L = E + A / N^alpha + B / D^beta to runs of different sizes: N parameters, D tokens,\n"
            "L the loss. The table has the columns parameters, tokens (or flop) and loss. Published\n"
            "laws are of other data, other tokenizers and larger models; the law of eight small runs of\n"
            "your own says more about your next one. Huber's loss of the logarithm, summed; L-BFGS from\n"
            "many starts; 95 % intervals from runs drawn again with replacement. Which rows are used is\n"
            "decided by what they say, never by how far off they are (docs/planning.md).\n"
            "\n"
            "  sparsam plan fit runs.csv --out law.json\n"
            "  sparsam plan optimal --law law.json --flops 1e17\n"
            "  sparsam plan fit chinchilla_points.csv --drop-largest 5\n",
    .sets = { { fit_options, 0 } },
    .options_bytes = sizeof(struct fit_options),
    .run = fit_run,
};
