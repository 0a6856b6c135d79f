/* plan/check_inference.c - predicted speeds of answering against a table of
 * measured ones.
 *
 * The rules by which a row counts, is reported apart or is left out, and what a
 * device is when one is left out of the fit, stand in docs/planning.md ("Which rows
 * of published speeds are used"); they are numbered there and here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../catalog/catalog.h"
#include "../catalog/models.h"
#include "check.h"
#include "serve_fit.h"
#include "serve_words.h"

enum { GROUPS_MAX = 512, NAME_MAX_ = 64, POSITIONS = 512, PROMPT = 512, THREADS = 8, THREADS_MOST = 1 << 16, USERS_MOST = 1024 };
static const double SHARE_LEAST = 0.05, PEAK_LEAST = 0.02, SHARE_MOST = 1.05; /* rules 4, 5 */

struct columns { int model, params, format, bits, hardware, threads, prompt, gen, batch, source, looked_up; };
/* ask: of a loaded server, which is planned as a whole and is in no fit. */
struct measured { struct sp_serve_row fit; int at; bool fitted; double rows; struct sp_ask *ask; };
struct checking {
    const struct sp_csv *t;
    struct columns c;
    struct sp_catalog *catalog;
    struct sp_models *models;
    struct sp_check_result *out;
    struct measured *m;
    int n, n_groups;
    const char *group[GROUPS_MAX];
    struct sp_serve_constants *k;          /* of each group, without it; the last: of all rows */
};
/* What the fields of a row say. */
struct told {
    int line;
    double params, bits, gen, prompt, threads, prompt_threads;
    const char *model, *format, *hardware, *source, *batch;
    bool processor, python, ik;
    const struct sp_serve_stack *stack;    /* NULL: other software */
    struct sp_ask ask;
    char group[NAME_MAX_];
};

/* ---- a row ---- */

static bool says(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

static void read_fields(const struct checking *k, int line, struct told *r)
{
    const struct sp_csv *t = k->t;
    *r = (struct told){ .line = line, .model = sp_csv_at(t, line, k->c.model), .format = sp_csv_at(t, line, k->c.format),
                        .hardware = sp_csv_at(t, line, k->c.hardware), .source = sp_csv_at(t, line, k->c.source), .batch = sp_csv_at(t, line, k->c.batch) };
    r->params = sp_words_number(sp_csv_at(t, line, k->c.params)) * 1e9;
    r->bits = sp_words_number(sp_csv_at(t, line, k->c.bits));
    r->gen = sp_words_number(sp_csv_at(t, line, k->c.gen));
    r->prompt = sp_words_number(sp_csv_at(t, line, k->c.prompt));
    r->threads = sp_words_number(sp_csv_at(t, line, k->c.threads));
    r->prompt_threads = sp_words_number_before(r->source, " thr, tg"); /* llama-bench: "pp512@16 thr, tg128@2 thr" */
    r->processor = r->threads > 0 || says(r->hardware, "CPU");
    r->python = says(r->source, "transformers") || says(r->source, "litgpt");
    r->stack = sp_words_stack(r->format);
    r->stack = r->stack ? r->stack : sp_words_stack(r->source);
    r->stack = r->stack ? r->stack : sp_words_gguf(r->format) ? sp_serve_stack_find("llama.cpp") : sp_words_stack(r->hardware);
    r->ik = says(r->format, "ik_llama") || (!sp_words_stack(r->format) && says(r->source, "ik_llama"));
}

static bool one_at_a_time(const struct told *r)
{
    return !*r->batch || !strcmp(r->batch, "1");
}

/* As the catalogue has it, else a typical shape of so many parameters that a token meets. */
static enum sp_status set_model(const struct checking *k, struct told *r, struct sp_err *err)
{
    double active = sp_words_active(r->model);
    struct sp_ask *a = &r->ask;
    const struct sp_model_fact *known = sp_words_model(k->models, r->model, r->params, active);
    if (known)
        return sp_ask_model(a, known->name, err);
    active = active > 0 && active < r->params ? active : r->params;
    TRY(sp_ask_typical(active, &a->model, err));
    a->typical = true;
    a->parameters = r->params;
    a->active = active;
    return SP_OK;
}

/* As sp_ask_finish, but a typical shape's heads need not divide among the devices. */
static void cut(struct sp_ask *a)
{
    int64_t all = sp_ask_devices(a);
    bool row = sp_serve_by_layers(a);
    a->cut = (struct sp_sharding){ .data = 1, .tensor = row ? 1 : all, .pipeline = row ? all : 1, .expert = 1, .context = 1 };
    a->context = a->prompt + a->generate;
}

/* "ISL/OSL 128/2048": tokens of a question and of an answer. */
static bool lengths(const char *source, struct sp_ask *a)
{
    const char *s = strcasestr(source, "ISL/OSL ");
    char *end;
    long prompt = s ? strtol(s + 8, &end, 10) : 0, answer = prompt > 0 && *end == '/' ? strtol(end + 1, NULL, 10) : 0;
    if (prompt < 1 || answer < 1 || prompt > 1 << 20 || answer > 1 << 20)
        return false;
    a->prompt = prompt;
    a->generate = answer;
    return true;
}

/* "1024-token prompt", llama-bench's "pp512". */
static int64_t prompt_of(const struct told *r)
{
    double told = sp_words_number_before(r->source, "-token prompt");
    const char *pp = strstr(r->source, "(llama-bench pp");
    told = told > 0 ? told : pp ? strtod(pp + 15, NULL) : 0;
    return told >= 1 && told <= 1 << 20 ? (int64_t)told : PROMPT;
}

static enum sp_status set_ask(const struct checking *k, struct told *r, struct sp_err *err)
{
    struct sp_ask *a = &r->ask;
    *a = (struct sp_ask){ .task = SP_TASK_SERVE, .precision = says(r->format, "fp8") || says(r->format, "fp4") ? SP_PRECISION_FP8 : SP_PRECISION_FP16,
                          .bits = r->bits, .prompt = prompt_of(r), .generate = 128, .users = 1,
                          .stack = r->stack ? r->stack->name : r->python ? "hf" : "vllm" };
    TRY(sp_catalog_place(k->catalog, r->hardware, &a->machine, err));
    r->processor = r->processor || a->machine.device.count == 0;
    a->machine.device.count = r->processor ? 0 : a->machine.device.count;
    a->machine.threads = (int)(r->threads > 0 ? fmin(r->threads, THREADS_MOST) : a->machine.threads > 1 ? a->machine.threads : THREADS);
    TRY(set_model(k, r, err));
    sp_words_chip(a->machine.device.name, r->group, sizeof r->group);
    cut(a);
    return SP_OK;
}

/* ---- rules: which set, or left out ---- */

static const char *set_of(const struct told *r, bool prompt)
{
    if (!one_at_a_time(r))
        return "loaded server";                                                              /* 6 */
    if (sp_ask_devices(&r->ask) > 1)
        return prompt ? "prompts, several devices" : "several devices";                     /* 7 */
    if (r->processor)
        return prompt ? "prompts, processor" : "processor";                                 /* 8 */
    if (r->python)
        return "python";                                                                     /* 9 */
    if (!r->stack)
        return prompt ? "prompts, other software" : "other software";                       /* 11 */
    return prompt ? "prompts" : NULL;                                                        /* 10 */
}

static double peak_most(const struct sp_device *d)
{
    return fmax(fmax(d->flops_16, 4 * d->flops_f32), fmax(d->flops_8, d->ops_8));
}

static const char *left_out(const struct checking *k, const struct told *r)
{
    const char *looked = sp_csv_at(k->t, r->line, k->c.looked_up);
    if (*looked && strcmp(looked, "yes"))
        return "1: nobody looked it up";
    if (r->params <= 0)
        return "2: no number of parameters";
    if (r->bits <= 0)
        return "2: no bits a weight";
    return NULL;
}

/* Rules 4 and 5, of rows that answer one question at a time. */
static const char *impossible(const struct told *r, const struct sp_serve_case *c, double rate)
{
    const struct sp_device *d = &r->ask.machine.device;
    double devices = (double)sp_ask_devices(&r->ask), of;
    if (!one_at_a_time(r))
        return NULL;
    if (c->prefill)
        of = 2 * c->weights * rate / (peak_most(d) * devices);
    else
        of = c->weights * c->bits / 8 * rate / (c->bytes_per_s * devices);
    if (c->prefill && peak_most(d) > 0)
        return of < PEAK_LEAST || of > SHARE_MOST ? "5: arithmetic under 2 % or over 105 % of the peak" : NULL;
    return !c->prefill && (of < SHARE_LEAST || of > SHARE_MOST) ? "4: bandwidth under 5 % or over 105 %" : NULL;
}

static int group_of(struct checking *k, const char *name)
{
    int g = 0;
    while (g < k->n_groups && strcmp(k->group[g], name))
        g++;
    if (g == k->n_groups && g < GROUPS_MAX - 1)
        k->group[k->n_groups++] = name;
    return g < GROUPS_MAX - 1 ? g : GROUPS_MAX - 2;
}

/* ---- measurements ---- */

static struct sp_check_row *add_row(struct checking *k, const struct told *r, bool prompt)
{
    char label[160];
    snprintf(label, sizeof label, "%.32s %.24s, %.40s%s", r->model, r->format, r->hardware, prompt ? ", prompt" : "");
    return sp_check_add(k->out, r->line, label, r->group);
}

static enum sp_status add_loaded(struct checking *k, struct told *r, struct sp_check_row *w, struct sp_err *err)
{
    struct measured *m = &k->m[k->n];
    if (!lengths(r->source, &r->ask)) {
        w->skipped = "2: the lengths of questions and answers of a loaded server aren't told";
        return SP_OK;
    }
    *m = (struct measured){ .at = k->out->n - 1, .rows = 1, .ask = sp_arena_take(&k->out->mem, sizeof *m->ask), .fit.group = group_of(k, w->group) };
    if (!m->ask)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", k->t->rows);
    cut(&r->ask);
    *m->ask = r->ask;
    m->ask->model_name = NULL;
    k->n++;
    return SP_OK;
}

static enum sp_status add_measured(struct checking *k, struct told *r, bool prompt, const char *skipped, struct sp_err *err)
{
    struct sp_check_row *w = add_row(k, r, prompt);
    struct measured *m = &k->m[k->n];
    double rate = prompt ? r->prompt : r->gen;
    if (!w)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", k->t->rows);
    w->set = skipped ? NULL : set_of(r, prompt);
    w->truth = rate > 0 ? rate : NAN;
    w->skipped = skipped ? skipped : rate > 0 ? NULL : "2: no rate";
    if (w->skipped)
        return SP_OK;
    if (!one_at_a_time(r))
        return prompt ? SP_OK : add_loaded(k, r, w, err);
    *m = (struct measured){ .at = k->out->n - 1, .rows = prompt ? (double)r->ask.prompt : 1 };
    TRY(sp_serve_case_of(&r->ask, 1, prompt ? r->ask.prompt : 1, prompt ? r->ask.prompt : POSITIONS, &m->fit.c, err));
    m->fit.c.packing = sp_words_packing(r->format);
    m->fit.c.ik = r->ik;
    if (prompt && r->prompt_threads > 0)
        m->fit.c.threads = r->prompt_threads;
    m->fit.seconds = m->rows / rate;
    w->skipped = impossible(r, &m->fit.c, rate);
    if (w->skipped)
        return SP_OK;
    m->fit.group = group_of(k, w->group);
    m->fitted = !w->set || !strcmp(w->set, "prompts") || (one_at_a_time(r) && sp_ask_devices(&r->ask) == 1 && r->processor);
    k->n++;
    return SP_OK;
}

static enum sp_status add_line(struct checking *k, int line, struct sp_err *err)
{
    struct told r;
    struct sp_err placed = { 0 };
    read_fields(k, line, &r);
    const char *skipped = left_out(k, &r);
    if (!skipped && set_ask(k, &r, &placed))
        skipped = sp_arena_printf(&k->out->mem, "%s: %s", placed.status == SP_USAGE && says(placed.what, "called") ? "3" : "2", placed.what);
    else if (!skipped && r.ask.machine.device.bytes_per_s <= 0)
        skipped = "3: no bandwidth known";
    TRY(add_measured(k, &r, false, skipped, err));
    return r.prompt > 0 && !skipped ? add_measured(k, &r, true, NULL, err) : SP_OK;
}

/* ---- predictions ---- */

static void fit_all(struct checking *k, enum sp_check_constants constants)
{
    struct sp_serve_row *rows = sp_zalloc((size_t)k->n + 1, sizeof *rows);
    int n = 0;
    for (int i = 0; rows && i < k->n; i++)
        if (k->m[i].fitted)
            rows[n++] = k->m[i].fit;
    for (int g = 0; g <= k->n_groups; g++)
        if (constants == SP_CHECK_COMPILED || !rows)
            k->k[g] = sp_serve_compiled();
        else if (g == k->n_groups || constants == SP_CHECK_LEFT_OUT)
            sp_serve_fit(rows, n, g == k->n_groups ? -1 : g, &k->k[g]);
    for (int g = 0; g < k->n_groups && constants == SP_CHECK_ALL; g++)
        k->k[g] = k->k[k->n_groups];
    sp_free(rows);
}

/* As many users as memory holds, up to what such servers take. */
static void predict_loaded(const struct measured *m, const struct sp_serve_constants *k, struct sp_check_row *w)
{
    struct sp_serve_plan p;
    struct sp_err err = { 0 };
    if (!sp_plan_serve_with(m->ask, k, &p, NULL, &err)) {
        m->ask->users = p.users_memory < 1 ? 1 : p.users_memory < USERS_MOST ? p.users_memory : USERS_MOST;
        if (!sp_plan_serve_with(m->ask, k, &p, NULL, &err)) {
            struct sp_figure s = p.million.time_s;
            w->predicted = sp_range(1e6 / s.high, 1e6 / s.likely, 1e6 / s.low, SP_HOW_MODEL);
            return;
        }
    }
    w->skipped = "2: not to be planned";
}

static void predict(const struct checking *k)
{
    for (int i = 0; i < k->n; i++) {
        const struct measured *m = &k->m[i];
        const struct sp_serve_constants *with = &k->k[m->fit.group];
        struct sp_check_row *w = &k->out->row[m->at];
        if (m->ask) {
            predict_loaded(m, with, w);
            continue;
        }
        double rate = m->rows / sp_serve_step_s(&m->fit.c, with, NULL), off = with->v[sp_serve_off_of(&m->fit.c)];
        w->predicted = sp_range(rate * exp(-off), rate, rate * exp(off), SP_HOW_MODEL);
    }
    for (int i = 0; i < SP_SERVE_CONSTANTS; i++)
        if (k->out->n_constants < (int)SP_COUNT(k->out->constant))
            k->out->constant[k->out->n_constants++] =
                (struct sp_check_constant){ sp_serve_constant_rows[i].name, sp_serve_constant_rows[i].unit, k->k[k->n_groups].v[i] };
}

/* ---- the check ---- */

static enum sp_status find_columns(const struct sp_csv *t, struct columns *c, struct sp_err *err)
{
    TRY(sp_csv_need(t, "model", &c->model, err));
    TRY(sp_csv_need(t, "params_b", &c->params, err));
    TRY(sp_csv_need(t, "bits_per_weight", &c->bits, err));
    TRY(sp_csv_need(t, "hardware", &c->hardware, err));
    TRY(sp_csv_need(t, "gen_tok_s", &c->gen, err));
    c->format = sp_csv_column(t, "format");
    c->threads = sp_csv_column(t, "threads");
    c->prompt = sp_csv_column(t, "prompt_tok_s");
    c->batch = sp_csv_column(t, "batch");
    c->source = sp_csv_column(t, "source");
    c->looked_up = sp_csv_column(t, "looked_up");
    return SP_OK;
}

static enum sp_status check_inference(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    struct checking k = { .t = t, .out = out, .m = sp_zalloc(2 * (size_t)t->rows + 1, sizeof *k.m), .k = sp_zalloc(GROUPS_MAX, sizeof *k.k) };
    enum sp_status st = k.m && k.k ? find_columns(t, &k.c, err) : sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    out->quantity = "speed of answers (prompts where it says so)";
    out->unit = "tokens/s";
    if (!st)
        st = sp_catalog_open(&k.catalog, err);
    if (!st)
        st = sp_models_open(&k.models, err);
    for (int i = 0; !st && i < t->rows; i++)
        st = add_line(&k, i, err);
    if (!st) {
        fit_all(&k, (enum sp_check_constants)o->constants);
        predict(&k);
    }
    sp_catalog_free(k.catalog);
    sp_models_free(k.models);
    sp_free(k.m);
    sp_free(k.k);
    return st;
}

const struct sp_check sp_check_inference = {
    .name = "inference", .help = "tokens a second of answers and prompts, by device, software and format", .fn = check_inference,
};
