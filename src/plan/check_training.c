/* plan/check_training.c - predicted device-hours against a table of published runs.
 *
 * Which rows count is written in docs/planning.md and was before the first fit; the
 * rules look at what a row says.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../catalog/catalog.h"
#include "check.h"
#include "efficiency.h"
#include "work.h"

static const double UNITS_OFF = 1.5, IDLE = 0.05, TOO_GOOD = 0.65; /* the rules' own numbers */
enum { CONTEXT = 2048, REMARK = 400, FAMILY = 64 };
static const char *const names[] = { "model", "params_b", "active_params_b", "tokens_b", "epochs", "hardware", "count", "precision", "gpu_hours", "wall_days",
                                     "source", "looked_up" };
enum column { MODEL, PARAMS, ACTIVE, TOKENS, EPOCHS, HARDWARE, COUNT, PRECISION, HOURS, DAYS, SOURCE, LOOKED_UP, COLUMNS };

struct published {
    double parameters, tokens, hours, devices; /* parameters: those that a token meets */
    struct sp_machine machine;
    struct sp_peak rate;
    double implied, counted_hours;             /* counted_hours: of the arithmetic at the pace */
    int precision;
};

/* ---- what a row says ---- */

/* Every word's first letters stand somewhere in the remark, without regard to case. */
static bool says(const char *remark, const char *const *words)
{
    for (; *words; words++)
        if (strcasestr(remark, *words))
            return true;
    return false;
}

/* A remark of the source that calls hours or the number of devices somebody's reckoning. */
static bool hours_are_reckoned(const char *source)
{
    static const char *const doubt[] = { "circular", "assumed", "estimate", "(est", "est.", NULL };
    static const char *const hours[] = { "gpuh", "gpu-h", "hour", " days", "count", "number of", "chips", NULL };
    static const char *const energy[] = { "energy", "power", "kwh", "mwh", "co2", "watt", NULL };
    char remark[REMARK];
    while (*source) {
        size_t n = 0;
        while (source[n] && !strchr(";()", source[n]) && !(source[n] == ',' && source[n + 1] == ' '))
            n++;
        snprintf(remark, sizeof remark, "%.*s", (int)(n < REMARK ? n : REMARK - 1), source);
        if (says(remark, doubt) && says(remark, hours) && !says(remark, energy))
            return true;
        source += n + (source[n] != 0);
    }
    return false;
}

/* "FLOP=4.3e23" or "4.30e23 FLOPs"; 0: none is named. */
static double named_flops(const char *source)
{
    const char *at = strstr(source, "FLOP=");
    if (at)
        return strtod(at + 5, NULL);
    at = strstr(source, " FLOP");
    if (!at)
        return 0;
    while (at > source && (isalnum((unsigned char)at[-1]) || strchr(".+", at[-1])))
        at--;
    return strpbrk(at, "eE") ? strtod(at, NULL) : 0;
}

/* A number with one of B, M, T or K behind it, as a word: a model's size. */
static bool is_size(const char *s)
{
    const char *end = s + strspn(s, "0123456789.");
    return end > s && isdigit((unsigned char)*s) && strchr("BbMmTtKk", *end) && *end && !isalnum((unsigned char)end[1]);
}

static void family_of(const char *model, char out[FAMILY])
{
    size_t n = 0;
    for (const char *s = model; *s && *s != '(' && n + 1 < FAMILY; s++) {
        bool word = s == model || strchr(" -_/", s[-1]);
        if (word && is_size(s))
            break;
        out[n++] = (char)tolower((unsigned char)*s);
    }
    while (n && strchr(" -_/.,", out[n - 1]))
        n--;
    out[n] = 0;
}

static int precision_of(const char *text)
{
    return strcasestr(text, "fp8") ? SP_PRECISION_FP8 : strcasestr(text, "32") && !strcasestr(text, "16") ? SP_PRECISION_F32 : SP_PRECISION_BF16_MIXED;
}

/* A cell that may hold no number ("about 400"): NAN then. */
static double number(const struct sp_csv *t, int row, int column)
{
    double v;
    return sp_parse_real(sp_csv_at(t, row, column), &v) ? v : NAN;
}

static bool positive(double v)
{
    return v > 0 && isfinite(v);
}

/* ---- the rules, in their order; NULL: the row counts ---- */

static const char *read_numbers(const struct sp_csv *t, int row, const int *at, struct published *p)
{
    double all = number(t, row, at[PARAMS]), active = number(t, row, at[ACTIVE]), epochs = number(t, row, at[EPOCHS]), days = number(t, row, at[DAYS]);
    *p = (struct published){ .parameters = 1e9 * (positive(active) ? active : all), .hours = number(t, row, at[HOURS]), .devices = number(t, row, at[COUNT]) };
    if (!positive(p->hours) && positive(p->devices) && positive(days))
        p->hours = 24 * p->devices * days;
    if (!positive(p->parameters) || !positive(p->hours))
        return "no parameters or no hours";
    p->tokens = 1e9 * number(t, row, at[TOKENS]) * (positive(epochs) ? epochs : 1);
    return positive(p->tokens) ? NULL : "no number of tokens";
}

static const char *read_hardware(const struct sp_catalog *c, const struct sp_csv *t, int row, const int *at, struct sp_check_result *r, struct published *p)
{
    struct sp_err err;
    const char *hardware = sp_csv_at(t, row, at[HARDWARE]);
    p->precision = precision_of(sp_csv_at(t, row, at[PRECISION]));
    sp_machine_portable(&p->machine);
    if (hardware[0] && !sp_catalog_place(c, hardware, &p->machine, &err) &&
        !sp_device_peak(&p->machine.device, p->precision, &p->rate, &err)) {
        if (!positive(p->devices) && p->machine.device.count > 1)
            p->devices = p->machine.device.count; /* "8xH100" */
        return NULL;
    }
    const char *why = sp_arena_printf(&r->mem, "hardware without a known peak: %.60s", hardware[0] ? hardware : "none is named");
    return why ? why : "hardware that isn\'t known";
}

static const char *doubts(const struct sp_csv *t, int row, const int *at, struct published *p)
{
    const char *source = sp_csv_at(t, row, at[SOURCE]), *sure = sp_csv_at(t, row, at[LOOKED_UP]);
    double flops = 6 * p->parameters * p->tokens, named = named_flops(source);
    p->implied = flops / (3600 * p->hours * p->rate.peak);
    if (!strcasecmp(sure, "no") || !strcasecmp(sure, "from-memory"))
        return "nobody checked it (looked_up)";
    if (hours_are_reckoned(source))
        return "its hours are somebody's reckoning";
    if (named > 0 && (flops > UNITS_OFF * named || flops < named / UNITS_OFF))
        return "its FLOPs are not 6 x parameters x tokens: other units, or weights not used once a token";
    if (p->implied < IDLE || p->implied > TOO_GOOD)
        return "implied utilisation outside 0.05 to 0.65";
    return NULL;
}

/* ---- prediction ---- */

/* The arithmetic of a typical shape of so many parameters. */
static enum sp_status count_work(struct published *p, struct sp_terms *terms, struct sp_err *err)
{
    struct sp_model_config shape;
    struct sp_rate_of d = { p->rate.pace, p->machine.device.bytes_per_s, sp_precision_bytes(p->precision) };
    struct sp_work w;
    int64_t all;
    TRY(sp_ask_typical(p->parameters, &shape, err));
    TRY(sp_model_parameters(&shape, &all, err));
    TRY(sp_work_count(&shape, 1, CONTEXT, &d, NULL, &w, err));
    double flops = 3 * (w.matmul + w.attention) * p->parameters / (double)all * p->tokens;
    p->counted_hours = flops / p->rate.pace / 3600;
    *terms = sp_terms_of(w.waiting_s / w.arithmetic_s, &p->machine.device, p->rate.pace, positive(p->devices) ? (int64_t)p->devices : 0);
    return SP_OK;
}

struct training { struct sp_check_result *r; struct sp_published *run; double *hours; int *row; int n; };

static enum sp_status take_row(const struct sp_catalog *c, const struct sp_csv *t, int i, const int *at, struct training *k, struct sp_err *err)
{
    struct published p;
    char family[FAMILY];
    struct sp_err why;
    family_of(sp_csv_at(t, i, at[MODEL]), family);
    struct sp_check_row *w = sp_check_add(k->r, i, sp_csv_at(t, i, at[MODEL]), family);
    if (!w)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    w->skipped = read_numbers(t, i, at, &p);
    if (!w->skipped)
        w->skipped = read_hardware(c, t, i, at, k->r, &p);
    if (!w->skipped)
        w->skipped = doubts(t, i, at, &p);
    w->truth = positive(p.hours) ? p.hours : NAN;
    if (w->skipped)
        return SP_OK;
    if (count_work(&p, &k->run[k->n].t, &why)) {
        const char *said = sp_arena_printf(&k->r->mem, "not counted: %.80s", why.what);
        w->skipped = said ? said : "not counted";
        return SP_OK;
    }
    k->run[k->n].slowness = p.hours / p.counted_hours;
    k->run[k->n].family = w->group;
    k->hours[k->n] = p.counted_hours;
    k->row[k->n++] = k->r->n - 1;
    return SP_OK;
}

/* Numbers that this family taught nothing; a file of too few others is predicted by what published runs taught, if the
 * family isn't one of theirs.  False: there are none. */
static bool unseen(const struct training *k, const char *family, struct sp_efficiency *e)
{
    struct sp_err few;
    if (!sp_efficiency_fit(k->run, k->n, family, e, &few))
        return true;
    *e = sp_efficiency_published;
    return !sp_efficiency_knows(family);
}

static void name_constants(const struct sp_efficiency *all, struct sp_check_result *r)
{
    for (int i = 0; i < SP_TERMS; i++)
        r->constant[r->n_constants++] = (struct sp_check_constant){ sp_term_names[i], "times arithmetic at the peak", all->k[i] };
    r->constant[r->n_constants++] = (struct sp_check_constant){ "half of the range", "in the logarithm", all->spread };
}

static enum sp_status predict(struct training *k, int constants, struct sp_err *err)
{
    struct sp_efficiency e = sp_efficiency_published, all = { 0 };
    struct sp_err few;
    const char *family = NULL;
    bool known = true;
    if (constants == SP_CHECK_ALL && k->n)
        TRY(sp_efficiency_fit(k->run, k->n, NULL, &all, err));
    else if (constants == SP_CHECK_LEFT_OUT && sp_efficiency_fit(k->run, k->n, NULL, &all, &few))
        all.rows = 0;
    if (constants != SP_CHECK_COMPILED && all.rows > 0)
        name_constants(&all, k->r);
    if (constants == SP_CHECK_ALL)
        e = all;
    for (int i = 0; i < k->n; i++) {
        struct sp_check_row *w = &k->r->row[k->row[i]];
        if (constants == SP_CHECK_LEFT_OUT && (!family || strcmp(family, w->group)))
            known = unseen(k, family = w->group, &e);
        if (!known)
            w->skipped = "too few other families to learn from, and its own taught the compiled numbers";
        double h = k->hours[i] * sp_efficiency_slowness(&e, &k->run[i].t), wide = exp(e.spread);
        w->predicted = sp_range(h / wide, h, h * wide, SP_HOW_MODEL);
    }
    return SP_OK;
}

static enum sp_status check_rows(const struct sp_catalog *c, const struct sp_csv *t, const int *at, int constants, struct training *k, struct sp_err *err)
{
    for (int i = 0; i < t->rows; i++)
        TRY(take_row(c, t, i, at, k, err));
    return predict(k, constants, err);
}

static enum sp_status check_training(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    int at[COLUMNS];
    struct sp_catalog *c;
    for (int i = 0; i < COLUMNS; i++)
        at[i] = sp_csv_column(t, names[i]);
    TRY(sp_csv_need(t, "model", &at[MODEL], err));
    TRY(sp_csv_need(t, "params_b", &at[PARAMS], err));
    TRY(sp_csv_need(t, "tokens_b", &at[TOKENS], err));
    TRY(sp_csv_need(t, "hardware", &at[HARDWARE], err));
    TRY(sp_csv_need(t, "gpu_hours", &at[HOURS], err));
    TRY(sp_catalog_open(&c, err));
    out->quantity = "device-hours of the run";
    out->unit = "h";
    struct training k = { .r = out, .run = sp_zalloc((size_t)t->rows + 1, sizeof *k.run), .hours = sp_zalloc((size_t)t->rows + 1, sizeof *k.hours),
                          .row = sp_zalloc((size_t)t->rows + 1, sizeof *k.row) };
    enum sp_status st = k.run && k.hours && k.row ? check_rows(c, t, at, o->constants, &k, err) : sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    sp_free(k.run);
    sp_free(k.hours);
    sp_free(k.row);
    sp_catalog_free(c);
    return st;
}

const struct sp_check sp_check_training = {
    .name = "training", .help = "device-hours of whole training runs, leaving out the row's family of models", .fn = check_training,
};
