/* plan/energy.c - watts under a load, hour by hour, and what stands around it.
 *
 * Shares of rated power come from meters: BERT and other networks trained on V100,
 * P100, A40 and RTX 6000 (traces of Zeus, You et al. 2023, Apache-2.0; 208 means) and
 * answers of language models on H100 and B200 (energy_share.c).  They are measured
 * apart from the published energies that plan check energy holds them against.
 * SPDX-License-Identifier: Apache-2.0 */
#include "energy.h"

#include <math.h>

#include "energy_share.h"

/* BERT on devices with matrix units, medians 0.89 to 0.91; all means of large networks 0.57 to 0.97. */
static const struct sp_figure BUSY = { 0.75, 0.89, 0.97, SP_HOW_MODEL };
/* BERT on a P100, whose arithmetic units have no such peaks of power. */
static const struct sp_figure BUSY_PLAIN = { 0.57, 0.69, 0.80, SP_HOW_MODEL };
/* DeepSpeech, ShuffleNet: devices that wait for their host; means of all batches. */
static const struct sp_figure SMALL = { 0.30, 0.62, 0.80, SP_HOW_MODEL };
/* A model so small that the device idles (NCF): four devices, 0.14 to 0.29. */
static const struct sp_figure IDLE = { 0.13, 0.20, 0.30, SP_HOW_MODEL };
/* Hours of a run in which steps advance it; in the others devices wait. */
static const double ADVANCING = 0.90;
/* Where the catalogue says nothing of the host, its power over the device's. */
static const struct sp_figure HOST = { 0.15, 0.30, 0.50, SP_HOW_ASSUMED };
/* Adapter and this device's part of the switches. */
static const struct sp_figure NETWORK_W = { 10, 20, 40, SP_HOW_ASSUMED };
/* Data centres: from the best that are published to the mean of the surveys. */
static const struct sp_figure PUE = { 1.09, 1.2, 1.56, SP_HOW_ASSUMED };
/* A busy server a watt that its processor is rated at: memory, fans and supply beside it. */
static const struct sp_figure SERVER = { 0.6, 1, 1.6, SP_HOW_ASSUMED };
static const int MATRIX_UNITS_SINCE = 2017;

const char *const sp_load_names[SP_LOADS] = { "training", "training of small networks", "answers", "reading of prompts", "idle" };

static struct sp_figure training(const struct sp_device *d)
{
    struct sp_figure busy = d->year && d->year < MATRIX_UNITS_SINCE ? BUSY_PLAIN : BUSY;
    return sp_figure_add(sp_figure_scale(busy, ADVANCING), sp_figure_scale(IDLE, 1 - ADVANCING));
}

static double bytes_of_weight(const struct sp_ask *a)
{
    return a->bits > 0 ? a->bits / 8 : sp_precision_bytes(a->precision);
}

static struct sp_figure answers(const struct sp_ask *a, const struct sp_decode_share *s)
{
    double copies = a->cut.data > 1 ? (double)a->cut.data : 1, devices = (double)sp_ask_devices(a) / copies;
    struct sp_decode_terms t = sp_decode_terms_of(a->parameters * bytes_of_weight(a), devices);
    double share = sp_decode_share_of(s, &t);
    return sp_range(share * exp(-s->spread), share, fmin(1, share * exp(s->spread)), SP_HOW_MODEL);
}

/* Of two that don't depend on each other: the spreads add as roots of squares. */
static struct sp_figure times(struct sp_figure a, struct sp_figure b)
{
    struct sp_figure f = sp_figure_mul(a, b);
    if (!(a.low > 0 && b.low > 0))
        return f;
    f.low = f.likely * exp(-hypot(log(a.likely / a.low), log(b.likely / b.low)));
    f.high = f.likely * exp(hypot(log(a.high / a.likely), log(b.high / b.likely)));
    return f;
}

static struct sp_figure share_of(const struct sp_ask *a, enum sp_load load, const struct sp_decode_share *s, struct sp_energy_plan *p)
{
    p->load = sp_load_names[load];
    p->source = "traces of Zeus (NSDI 2023): four devices, six networks, measured";
    switch (load) {
    case SP_LOAD_TRAINING: return training(&a->machine.device);
    case SP_LOAD_SMALL: return SMALL;
    case SP_LOAD_IDLE: return IDLE;
    case SP_LOAD_DECODE: p->source = "ML.ENERGY leaderboard: language models on H100 and B200, measured"; return answers(a, s);
    default: break;
    }
    p->rated = true;
    p->source = "nobody's meter: the rated power";
    return sp_range(0.6, 1, 1, SP_HOW_ASSUMED);
}

static void explain_it(struct sp_explain *x, const struct sp_ask *a, const struct sp_energy_plan *p, double hours)
{
    const struct sp_device *d = &a->machine.device;
    sp_explain(x, "a device under %s = %.0f W (%.0f to %.0f), %.2f of its rated %.0f W; from %s", p->load, p->device_w.likely, p->device_w.low, p->device_w.high,
               p->device_w.likely / d->tdp_w, d->tdp_w, p->source);
    sp_explain(x, "its part of the host = %.0f W (%s), of the network between nodes = %.0f W; building x %.2f (%s)", p->host_w.likely, sp_how_name(p->host_w.how),
               p->network_w.likely, p->pue.likely, sp_how_name(p->pue.how));
    sp_explain(x, "energy = %.4g device-hours x %.0f W x %.2f = %.4g kWh; hours x rated power alone would be %.4g kWh", hours,
               p->device_w.likely + p->host_w.likely + p->network_w.likely, p->pue.likely, p->kwh.likely, hours * d->tdp_w / 1000);
}

/* As said; servers stand in data centres, other machines in rooms. */
static struct sp_figure building(const struct sp_machine *m)
{
    if (m->pue > 1)
        return sp_exact(m->pue, SP_HOW_CATALOGUE);
    return m->device.per_node > 1 ? PUE : sp_exact(1, SP_HOW_ASSUMED);
}

enum sp_status sp_energy_with(const struct sp_ask *a, enum sp_load load, const struct sp_decode_share *s, struct sp_figure device_hours,
                              struct sp_energy_plan *out, struct sp_explain *explain, struct sp_err *err)
{
    const struct sp_machine *m = &a->machine;
    struct sp_energy_plan p = { 0 };
    if (m->device.count < 1 || !(m->device.tdp_w > 0)) {
        sp_fail(err, SP_USAGE, "nobody knows the rated power of \"%.60s\"", m->device.name[0] ? m->device.name : "a processor as a device");
        return sp_remedy(err, "name an accelerator that sparsam catalog list accelerators shows with watts, or add it there");
    }
    p.device_w = sp_figure_scale(share_of(a, load, s ? s : &sp_decode_published, &p), m->device.tdp_w);
    p.host_w = m->device.host_w > 0 ? sp_range(0.6 * m->device.host_w, m->device.host_w, 1.5 * m->device.host_w, SP_HOW_CATALOGUE) : sp_figure_scale(HOST, m->device.tdp_w);
    if (sp_ask_devices(a) > (m->device.per_node > 0 ? m->device.per_node : 8))
        p.network_w = NETWORK_W;
    p.pue = building(m);
    p.device_kwh = times(sp_figure_scale(device_hours, 1e-3), p.device_w);
    struct sp_figure all = sp_figure_add(sp_figure_add(p.device_w, p.host_w), p.network_w);
    p.kwh = times(times(sp_figure_scale(device_hours, 1e-3), all), p.pue);
    explain_it(explain, a, &p, device_hours.likely);
    *out = p;
    return SP_OK;
}

enum sp_status sp_plan_energy(const struct sp_ask *a, enum sp_load load, struct sp_figure device_hours, struct sp_energy_plan *out,
                              struct sp_explain *explain, struct sp_err *err)
{
    return sp_energy_with(a, load, NULL, device_hours, out, explain, err);
}

struct sp_figure sp_energy_of_processor(const struct sp_machine *m, struct sp_figure time_s, struct sp_explain *explain)
{
    double w = m->device.tdp_w;
    sp_explain(explain, "energy = time x %g of the %g W that the processor is rated at: nobody measured it under such a load", SERVER.likely, w);
    return sp_with_building(sp_figure_mul(time_s, sp_figure_scale(SERVER, w)), m);
}
