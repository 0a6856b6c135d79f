/* plan/check_energy.c - predicted energy, given the hours, against measured ones.
 *
 * Which rows count is written in docs/planning.md and was before the first fit.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../catalog/catalog.h"
#include "check.h"
#include "energy_share.h"

static const char *const names[] = { "item", "kind", "hardware", "n", "hours_or_days", "avg_power_w_per_device", "pue", "energy_mwh", "scope", "measured", "source" };
enum column { ITEM, KIND, HARDWARE, DEVICES, TIME, WATTS, BUILDING, ENERGY, SCOPE, MEASURED, SOURCE, COLUMNS };
enum { NUMBER = 64, GROUP = 160 };

struct measured {
    struct sp_ask ask;
    enum sp_load load;
    double hours, kwh;             /* of all devices; a row without hours is one hour of one device */
    bool devices_only, building;   /* what the truth holds */
};

/* ---- what a row says ---- */

/* A number with commas between thousands; *end: what stands behind it. */
static double number(const char *s, const char **end)
{
    char plain[NUMBER], *stop;
    size_t n = 0, i = 0;
    for (; s[i] && n + 1 < NUMBER; i++)
        if (s[i] != ',')
            plain[n++] = s[i];
    plain[n] = 0;
    double v = strtod(plain, &stop);
    if (end)
        *end = s + (stop == plain ? 0 : strcspn(s, " "));
    return stop == plain ? NAN : v;
}

/* "20 d" and "168 h" of every device; "1,082,990 GPU-h" of all. */
static double device_hours(const char *time, double devices)
{
    const char *unit;
    double v = number(time, &unit);
    unit += strspn(unit, " ");
    if (*unit == 'd')
        return 24 * v * devices;
    return *unit == 'h' ? v * devices : strcasestr(unit, "-h") || strcasestr(unit, "hours") ? v : NAN;
}

/* Billions of parameters in a model's name ("Qwen3-235B-A22B"); 0: none are named. */
static double billions(const char *name)
{
    for (const char *s = name; *s; s++) {
        const char *end = s + strspn(s, "0123456789.");
        bool begins = s == name || !isalnum((unsigned char)s[-1]);
        if (begins && end > s && toupper((unsigned char)*end) == 'B' && !isalnum((unsigned char)end[1]))
            return strtod(s, NULL);
    }
    return 0;
}

static const char *read_load(const char *kind, enum sp_load *out)
{
    bool training = strcasestr(kind, "training") || strcasestr(kind, "fine-tun"), answers = strcasestr(kind, "inference") != NULL;
    *out = training ? SP_LOAD_TRAINING : SP_LOAD_DECODE;
    return training || answers ? NULL : "neither training nor inference";
}

static const char *read_hardware(const struct sp_catalog *c, const char *hardware, struct sp_check_result *r, struct sp_machine *m)
{
    struct sp_err refused;
    if (hardware[0] && !sp_catalog_place(c, hardware, m, &refused) && m->device.count > 0 && m->device.tdp_w > 0)
        return NULL;
    const char *why = sp_arena_printf(&r->mem, "hardware without a known power: %.60s", hardware[0] ? hardware : "none is named");
    return why ? why : "hardware that isn\'t known";
}

static const char *read_energy(const struct sp_csv *t, int row, const int *at, struct measured *m)
{
    double devices = number(sp_csv_at(t, row, at[DEVICES]), NULL), watts = number(sp_csv_at(t, row, at[WATTS]), NULL);
    double hours = device_hours(sp_csv_at(t, row, at[TIME]), devices), mwh = number(sp_csv_at(t, row, at[ENERGY]), NULL);
    m->ask.machine.device.count = devices >= 1 && devices < 1e8 ? (int)devices : m->ask.machine.device.count;
    if (hours > 0 && mwh > 0) {
        m->hours = hours;
        m->kwh = 1000 * mwh;
        return NULL;
    }
    m->hours = 1;
    m->kwh = watts / 1000;
    m->building = false;
    return watts > 0 ? NULL : "no watts, and no energy with hours";
}

static const char *read_row(const struct sp_catalog *c, const struct sp_csv *t, int row, const int *at, struct sp_check_result *r, struct measured *m)
{
    const char *measured = sp_csv_at(t, row, at[MEASURED]), *scope = sp_csv_at(t, row, at[SCOPE]), *why;
    double pue = number(sp_csv_at(t, row, at[BUILDING]), NULL);
    *m = (struct measured){ .devices_only = strcasestr(measured, "nvml") || strcasestr(scope, "gpu only"), .building = !strcasestr(scope, "before pue") };
    sp_machine_portable(&m->ask.machine);
    if (!strcasestr(measured, "measured") || strstr(measured, "NOT") || strcasestr(measured, "estimate") || strcasestr(measured, "modelled"))
        return "not measured";
    if ((why = read_load(sp_csv_at(t, row, at[KIND]), &m->load)) || (why = read_hardware(c, sp_csv_at(t, row, at[HARDWARE]), r, &m->ask.machine)) ||
        (why = read_energy(t, row, at, m)))
        return why;
    m->building &= pue >= 1 || !m->devices_only;
    m->ask.machine.pue = pue >= 1 ? pue : 0;
    m->ask.parameters = 1e9 * billions(sp_csv_at(t, row, at[ITEM]));
    m->ask.bits = strcasestr(scope, "fp8") || strcasestr(sp_csv_at(t, row, at[ITEM]), "fp8") ? 8 : 16;
    return NULL;
}

/* ---- prediction ---- */

struct check { struct sp_check_result *r; struct measured *m; struct sp_decode_row *learn; int *row; int n, n_learn; };

static enum sp_status take_row(const struct sp_catalog *c, const struct sp_csv *t, int i, const int *at, struct check *k, struct sp_err *err)
{
    char group[GROUP];
    struct measured *m = &k->m[k->n];
    snprintf(group, sizeof group, "%.*s on %.40s", (int)strcspn(sp_csv_at(t, i, at[SOURCE]), ",:;("), sp_csv_at(t, i, at[SOURCE]), sp_csv_at(t, i, at[HARDWARE]));
    struct sp_check_row *w = sp_check_add(k->r, i, sp_csv_at(t, i, at[ITEM]), group);
    if (!w)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    w->skipped = read_row(c, t, i, at, k->r, m);
    if (w->skipped)
        return SP_OK;
    w->truth = m->kwh;
    if (m->load == SP_LOAD_DECODE && m->devices_only)
        k->learn[k->n_learn++] = (struct sp_decode_row){ sp_decode_terms_of(m->ask.parameters * m->ask.bits / 8, (double)sp_ask_devices(&m->ask)),
                                                         m->kwh * 1000 / m->hours / m->ask.machine.device.tdp_w, w->group };
    k->row[k->n++] = k->r->n - 1;
    return SP_OK;
}

static enum sp_status predict(struct check *k, int constants, struct sp_err *err)
{
    static const char *const what[SP_DECODE_TERMS] = { "share of rated power, answers", "weights a device (30 GB: 0)", "devices of a copy (log2)" };
    struct sp_decode_share all, s = sp_decode_published;
    struct sp_energy_plan p;
    sp_decode_learn(k->learn, k->n_learn, NULL, &all);
    for (int i = 0; i < k->n; i++) {
        struct measured *m = &k->m[i];
        struct sp_check_row *w = &k->r->row[k->row[i]];
        if (constants == SP_CHECK_LEFT_OUT)
            sp_decode_learn(k->learn, k->n_learn, w->group, &s);
        else if (constants == SP_CHECK_ALL)
            s = all;
        TRY(sp_energy_with(&m->ask, m->load, &s, sp_exact(m->hours, SP_HOW_CATALOGUE), &p, NULL, err));
        w->predicted = m->devices_only ? p.device_kwh : p.kwh;
        if (!m->building && !m->devices_only)
            w->predicted = sp_figure_scale(p.kwh, 1 / p.pue.likely);
        else if (m->building && m->devices_only)
            w->predicted = sp_figure_scale(p.device_kwh, p.pue.likely);
    }
    for (int i = 0; constants != SP_CHECK_COMPILED && k->n_learn && i < SP_DECODE_TERMS; i++)
        k->r->constant[k->r->n_constants++] = (struct sp_check_constant){ what[i], "in the logarithm", all.k[i] };
    return SP_OK;
}

static enum sp_status check_rows(const struct sp_catalog *c, const struct sp_csv *t, const int *at, int constants, struct check *k, struct sp_err *err)
{
    for (int i = 0; i < t->rows; i++)
        TRY(take_row(c, t, i, at, k, err));
    return predict(k, constants, err);
}

static enum sp_status check_energy(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    int at[COLUMNS];
    struct sp_catalog *c;
    for (int i = 0; i < COLUMNS; i++)
        at[i] = sp_csv_column(t, names[i]);
    static const int needed[] = { ITEM, KIND, HARDWARE, MEASURED };
    for (size_t i = 0; i < SP_COUNT(needed); i++)
        TRY(sp_csv_need(t, names[needed[i]], &at[needed[i]], err));
    TRY(sp_catalog_open(&c, err));
    out->quantity = "energy of the hours given";
    out->unit = "kWh";
    size_t rows = (size_t)t->rows + 1;
    struct check k = { .r = out, .m = sp_zalloc(rows, sizeof *k.m), .learn = sp_zalloc(rows, sizeof *k.learn), .row = sp_zalloc(rows, sizeof *k.row) };
    enum sp_status st = k.m && k.learn && k.row ? check_rows(c, t, at, o->constants, &k, err) : sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    sp_free(k.m);
    sp_free(k.learn);
    sp_free(k.row);
    sp_catalog_free(c);
    return st;
}

const struct sp_check sp_check_energy = {
    .name = "energy", .help = "energy of training and answers, given the hours, in kWh", .fn = check_energy,
};
