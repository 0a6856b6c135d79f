/* cost/cost.c - ranges that know how they are known, and their JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cost.h"

#include <math.h>
#include <string.h>

const char *const sp_memory_names[SP_MEM_KINDS] = { "weights", "gradients", "optimizer", "activations", "cache", "packed", "data", "program" };

static const char *const how_names[] = { "meter", "counter", "model", "catalogue", "assumed", "unknown" };

static const char *show_number(double v, char *buf, size_t cap)
{
    return sp_show_number(v, buf, cap);
}

static const char *show_money(double v, char *buf, size_t cap)
{
    int64_t e = 100000000, whole = (int64_t)(v * (double)e + 0.5);
    snprintf(buf, cap, v < 0.01 ? "%lld.%06lld" : "%lld.%02lld", (long long)(whole / e),
             (long long)(v < 0.01 ? whole % e / 100 : whole % e / 1000000));
    return buf;
}

static const char *show_hours(double v, char *buf, size_t cap)
{
    return sp_show_time(3600 * v, buf, cap);
}

#define ROW(field, label_, show_) { #field, label_, offsetof(struct sp_cost, field), show_ }
const struct sp_cost_row sp_cost_rows[] = {
    ROW(parameters, "parameters", show_number),        ROW(flops, "arithmetic (FLOP)", show_number),
    ROW(time_s, "time", sp_show_time),                 ROW(cpu_s, "processor time", sp_show_time),
    ROW(device_hours, "device time", show_hours),      ROW(energy_j, "energy", sp_show_energy),
    ROW(co2e_g, "CO2e of use", sp_show_mass),          ROW(co2e_embodied_g, "CO2e embodied", sp_show_mass),
    ROW(money, "money", show_money),                   ROW(water_l, "water (l)", show_number),
    { 0 },
};

/* ---- figures ---- */

struct sp_figure sp_exact(double v, enum sp_how how)
{
    return (struct sp_figure){ v, v, v, how };
}

struct sp_figure sp_range(double low, double likely, double high, enum sp_how how)
{
    return (struct sp_figure){ low, likely, high, how };
}

static enum sp_how weaker(enum sp_how a, enum sp_how b)
{
    return a > b ? a : b;
}

/* Nothing at all adds nothing, whatever is said of it. */
static bool is_nothing(struct sp_figure f)
{
    return !(f.low < 0 || f.low > 0 || f.likely < 0 || f.likely > 0 || f.high < 0 || f.high > 0);
}

struct sp_figure sp_figure_add(struct sp_figure a, struct sp_figure b)
{
    if (is_nothing(a) || is_nothing(b))
        return is_nothing(a) ? b : a;
    return (struct sp_figure){ a.low + b.low, a.likely + b.likely, a.high + b.high, weaker(a.how, b.how) };
}

struct sp_figure sp_figure_sub(struct sp_figure a, struct sp_figure b)
{
    return (struct sp_figure){ a.low - b.high, a.likely - b.likely, a.high - b.low, weaker(a.how, b.how) };
}

struct sp_figure sp_figure_mul(struct sp_figure a, struct sp_figure b)
{
    double p[4] = { a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high };
    struct sp_figure f = { p[0], a.likely * b.likely, p[0], weaker(a.how, b.how) };
    for (int i = 1; i < 4; i++) {
        f.low = fmin(f.low, p[i]);
        f.high = fmax(f.high, p[i]);
    }
    return f;
}

struct sp_figure sp_figure_scale(struct sp_figure a, double by)
{
    struct sp_figure f = { a.low * by, a.likely * by, a.high * by, a.how };
    return by < 0 ? (struct sp_figure){ f.high, f.likely, f.low, f.how } : f;
}

static struct sp_figure larger(struct sp_figure a, struct sp_figure b)
{
    return a.likely >= b.likely ? a : b;
}

void sp_cost_add(struct sp_cost *to, const struct sp_cost *more)
{
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++) {
        struct sp_figure *f = (struct sp_figure *)(void *)((char *)to + r->at);
        const struct sp_figure *g = (const struct sp_figure *)(const void *)((const char *)more + r->at);
        *f = r->at == offsetof(struct sp_cost, parameters) ? larger(*f, *g) : sp_figure_add(*f, *g);
    }
    for (int i = 0; i < SP_MEM_KINDS; i++)
        to->memory[i] = larger(to->memory[i], more->memory[i]);
    to->memory_peak = larger(to->memory_peak, more->memory_peak);
    if (!to->currency[0])
        memcpy(to->currency, more->currency, sizeof to->currency);
}

/* ---- names and JSON ---- */

const char *sp_how_name(enum sp_how how)
{
    return (size_t)how < SP_COUNT(how_names) ? how_names[how] : "unknown";
}

bool sp_how_parse(const char *name, enum sp_how *out)
{
    for (size_t i = 0; i < SP_COUNT(how_names); i++)
        if (!strcmp(name, how_names[i])) {
            *out = (enum sp_how)i;
            return true;
        }
    return false;
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

json_t *sp_figure_json(const struct sp_figure *f)
{
    return json_pack("{s:o, s:o, s:o, s:s}", "low", number(f->low), "likely", number(f->likely), "high", number(f->high), "how", sp_how_name(f->how));
}

/* A figure nobody filled in is left out. */
static bool put(json_t *to, const char *key, const struct sp_figure *f)
{
    return is_nothing(*f) || !json_object_set_new(to, key, sp_figure_json(f));
}

json_t *sp_cost_json(const struct sp_cost *c)
{
    json_t *j = json_object(), *memory = json_object();
    bool ok = j && memory;
    for (const struct sp_cost_row *r = sp_cost_rows; ok && r->key; r++)
        ok = put(j, r->key, (const struct sp_figure *)(const void *)((const char *)c + r->at));
    for (int i = 0; ok && i < SP_MEM_KINDS; i++)
        ok = put(memory, sp_memory_names[i], &c->memory[i]);
    ok = ok && put(memory, "peak", &c->memory_peak);
    ok = ok && (!c->currency[0] || !json_object_set_new(j, "currency", json_string(c->currency)));
    if (!ok || json_object_set_new(j, "memory_bytes", memory)) {
        if (!ok)
            json_decref(memory);
        json_decref(j);
        return NULL;
    }
    return j;
}

static enum sp_status get(const json_t *j, const char *key, struct sp_figure *f, struct sp_err *err)
{
    const json_t *o = json_object_get(j, key);
    const char *how = json_string_value(json_object_get(o, "how"));
    if (!o)
        return SP_OK;
    struct sp_figure g = { json_number_value(json_object_get(o, "low")), json_number_value(json_object_get(o, "likely")),
                           json_number_value(json_object_get(o, "high")), SP_HOW_UNKNOWN };
    if (!json_is_object(o) || !how || !sp_how_parse(how, &g.how))
        return sp_fail(err, SP_FORMAT, "\"%s\" is no figure with low, likely, high and how", key);
    *f = g;
    return SP_OK;
}

enum sp_status sp_cost_from_json(struct sp_cost *out, const json_t *j, struct sp_err *err)
{
    struct sp_cost c = { 0 };
    const json_t *memory = json_object_get(j, "memory_bytes");
    const char *currency = json_string_value(json_object_get(j, "currency"));
    if (!json_is_object(j))
        return sp_fail(err, SP_FORMAT, "a cost is a JSON object");
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++)
        TRY(get(j, r->key, (struct sp_figure *)(void *)((char *)&c + r->at), err));
    for (int i = 0; i < SP_MEM_KINDS; i++)
        TRY(get(memory, sp_memory_names[i], &c.memory[i], err));
    TRY(get(memory, "peak", &c.memory_peak, err));
    snprintf(c.currency, sizeof c.currency, "%.3s", currency ? currency : "");
    *out = c;
    return SP_OK;
}
