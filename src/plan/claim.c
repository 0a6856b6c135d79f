/* plan/claim.c - a figure somebody published or offered: what would have to be true
 * for it, and whether that can be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "energy.h"
#include "hours.h"

/* Utilisations by model FLOPs: above the first nothing was ever published; above the second not even a matrix product
 * alone runs on such devices. */
static const double BEST_RUN = 0.65, BEST_PRODUCT = 0.85;
/* Twice what the range expects at most. */
static const double WASTE = 2;
static const double SECONDS_OF_DAY = 86400;

const char *const sp_verdict_names[] = { "impossible", "doubtful", "plausible", "wasteful", NULL };

static const struct claim_word { const char *word; enum sp_claim_kind kind; double times; const char *unit; } words[] = {
    { "gpu-hours", SP_CLAIM_DEVICE_HOURS, 1, "device-hours" }, { "device-hours", SP_CLAIM_DEVICE_HOURS, 1, NULL }, { "chip-hours", SP_CLAIM_DEVICE_HOURS, 1, NULL },
    { "days", SP_CLAIM_DAYS, 1, "days" },                      { "kwh", SP_CLAIM_KWH, 1, "kWh" },                  { "mwh", SP_CLAIM_KWH, 1e3, NULL },
    { "cost", SP_CLAIM_MONEY, 1, "" },                         { "money", SP_CLAIM_MONEY, 1, NULL },
};

enum sp_status sp_claim_parse(const char *text, struct sp_claim *out, struct sp_err *err)
{
    size_t n = strcspn(text, "=");
    double v;
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        if (strlen(words[i].word) != n || strncmp(text, words[i].word, n) || !text[n])
            continue;
        if (!sp_parse_real(text + n + 1, &v) || !(v > 0)) {
            sp_fail(err, SP_USAGE, "\"%.60s\" claims no number above 0", text);
            return sp_remedy(err, "%s=184320, %s=1.7M", words[i].word, words[i].word);
        }
        *out = (struct sp_claim){ words[i].kind, v * words[i].times };
        return SP_OK;
    }
    sp_fail(err, SP_USAGE, "\"%.60s\" is no claim", text);
    return sp_remedy(err, "gpu-hours=184320, days=21, kwh=2.6M, mwh=433 or cost=43000");
}

/* ---- what it implies ---- */

/* Money of a device-hour; the price of a machine is that of all its devices. */
static double price_of(const struct sp_ask *a)
{
    return a->machine.price_per_hour / (double)sp_ask_devices(a);
}

struct judged { const struct sp_ask *a; const struct sp_claim *c; struct sp_time_plan time; struct sp_energy_plan energy; };

static double hours_of(const struct judged *j)
{
    double v = j->c->value;
    switch (j->c->kind) {
    case SP_CLAIM_DAYS: return 24 * v * (double)sp_ask_devices(j->a);
    case SP_CLAIM_KWH: return j->time.device_hours.likely * v / j->energy.kwh.likely;
    case SP_CLAIM_MONEY: return v / price_of(j->a);
    default: return v;
    }
}

static struct sp_figure expected_of(const struct judged *j)
{
    switch (j->c->kind) {
    case SP_CLAIM_DAYS: return sp_figure_scale(j->time.run_s, 1 / SECONDS_OF_DAY);
    case SP_CLAIM_KWH: return j->energy.kwh;
    case SP_CLAIM_MONEY: return sp_figure_scale(j->time.device_hours, price_of(j->a));
    default: return j->time.device_hours;
    }
}

static enum sp_verdict verdict_of(double utilisation, double claimed, struct sp_figure expected)
{
    if (utilisation > BEST_PRODUCT)
        return SP_VERDICT_IMPOSSIBLE;
    if (utilisation > BEST_RUN)
        return SP_VERDICT_DOUBTFUL;
    return claimed > WASTE * expected.high ? SP_VERDICT_WASTEFUL : SP_VERDICT_PLAUSIBLE;
}

static const char *reason_of(enum sp_verdict v, double utilisation)
{
    switch (v) {
    case SP_VERDICT_IMPOSSIBLE: return utilisation > 1 ? "impossible, it is more than they can compute" : "impossible, not even a matrix product alone runs like that";
    case SP_VERDICT_DOUBTFUL: return "doubtful, no published run reached 65 %";
    case SP_VERDICT_WASTEFUL: return "possible, but wasteful";
    default: return "plausible";
    }
}

static const char *unit_of(const struct sp_ask *a, enum sp_claim_kind kind)
{
    for (size_t i = 0; i < SP_COUNT(words); i++)
        if (words[i].kind == kind && words[i].unit)
            return kind == SP_CLAIM_MONEY ? a->machine.currency : words[i].unit;
    return "";
}

static void say(const struct judged *j, struct sp_claim_verdict *v)
{
    char claimed[32], low[32], high[32], watts[64] = "";
    const char *unit = unit_of(j->a, j->c->kind);
    if (j->c->kind == SP_CLAIM_KWH)
        sp_format(watts, sizeof watts, ", or %.0f W for each of the hours expected", v->watts);
    sp_format(v->sentence, sizeof v->sentence, "%s %s on %s imply %.0f %% of the devices' peak%s: %s (expected are %s to %s %s).", sp_show_number(j->c->value, claimed, sizeof claimed),
              unit, j->a->machine.device.name, 100 * v->utilisation, watts, reason_of(v->verdict, v->utilisation), sp_show_number(v->expected.low, low, sizeof low),
              sp_show_number(v->expected.high, high, sizeof high), unit);
}

enum sp_status sp_plan_claim(const struct sp_ask *a, const struct sp_claim *claim, struct sp_claim_verdict *out, struct sp_explain *explain, struct sp_err *err)
{
    struct judged j = { .a = a, .c = claim };
    if (!(claim->value > 0))
        return sp_fail(err, SP_USAGE, "a claim of %g is none", claim->value);
    if (claim->kind == SP_CLAIM_MONEY && !(a->machine.price_per_hour > 0)) {
        sp_fail(err, SP_USAGE, "a claim in money needs the price of an hour");
        return sp_remedy(err, "give --price, or --on an instance of a cloud");
    }
    TRY(sp_plan_time(a, &j.time, explain, err));
    if (claim->kind == SP_CLAIM_KWH)
        TRY(sp_plan_energy(a, SP_LOAD_TRAINING, j.time.device_hours, &j.energy, explain, err));
    struct sp_claim_verdict v = { .watts = NAN, .device_hours = hours_of(&j), .expected = expected_of(&j) };
    v.utilisation = j.time.flops / (j.time.peak_flops * 3600 * v.device_hours);
    if (claim->kind == SP_CLAIM_KWH)
        v.watts = 1000 * claim->value / j.time.device_hours.likely;
    v.verdict = verdict_of(v.utilisation, claim->value, v.expected);
    sp_explain(explain, "claimed: utilisation = %.4g FLOP / (%.4g FLOP/s x 3600 x %.4g device-hours) = %.3f", j.time.flops, j.time.peak_flops, v.device_hours,
               v.utilisation);
    say(&j, &v);
    *out = v;
    return SP_OK;
}
