/* meter/meter.c - measuring from begin to end, and by phase.
 *
 * A counter gives the energy of what it counts, whoever caused it; what the
 * machine would have taken idle is shown beside it.  Without a counter of the
 * processor its part is modelled, and the sum is known as well as that part.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "inner.h"

/* A RAPL counter of 262 kJ wraps after 18 minutes at 250 W: it is read at least this often. */
enum { TICK_S = 60 };
struct reading { double wall, cpu, rapl, nvml; };
struct phase { char name[40]; struct reading sum; double peak; };

struct sp_meter {
    struct sp_machine machine;
    struct sp_rapl rapl;
    struct sp_nvml nvml;
    bool with_rapl, with_nvml, can_reset, children_only;
    struct reading begin;              /* clocks at begin               */
    double rapl_sum, nvml_sum;         /* joules since begin            */
    int machines;                      /* that work on the same, alike  */
    double elsewhere;                  /* processor seconds of other processes */
    double peak, children;             /* peak before the last reset    */
    struct phase phase[SP_PHASES_MAX];
    int phases, open;                  /* open: index + 1 of the phase going on */
    struct reading phase_begin;
    double idle_share;
    double ticked;                     /* when counters were last read for their own sake */
    char source[256];
    const struct sp_watch *next;
};

enum sp_status sp_meter_new(struct sp_meter **out, const struct sp_machine *machine, struct sp_err *err)
{
    struct sp_meter *m = sp_zalloc(1, sizeof *m);
    if (!m)
        return sp_fail(err, SP_NOMEM, "out of memory for a meter");
    m->machine = *machine;
    sp_rapl_open(&m->rapl);
    sp_nvml_open(&m->nvml);
    m->with_rapl = sp_rapl_readable(&m->rapl);
    m->with_nvml = sp_nvml_readable(&m->nvml);
    sp_meter_begin(m);
    *out = m;
    return SP_OK;
}

void sp_meter_free(struct sp_meter *m)
{
    if (m)
        sp_nvml_close(&m->nvml);
    sp_free(m);
}

static struct reading read_now(struct sp_meter *m)
{
    m->rapl_sum += m->with_rapl ? sp_rapl_take(&m->rapl) : 0;
    m->nvml_sum += m->with_nvml ? sp_nvml_take(&m->nvml) : 0;
    return (struct reading){ sp_now(), sp_cpu_seconds(!m->children_only) + m->elsewhere, m->rapl_sum, m->nvml_sum };
}

static struct reading difference(struct reading a, struct reading b)
{
    return (struct reading){ a.wall - b.wall, a.cpu - b.cpu, a.rapl - b.rapl, a.nvml - b.nvml };
}

void sp_meter_begin(struct sp_meter *m)
{
    m->can_reset = sp_peak_reset();
    m->peak = 0;
    m->children = sp_peak_children();
    m->phases = m->open = 0;
    m->elsewhere = 0;
    m->rapl_sum = m->nvml_sum = 0;
    if (m->with_rapl)
        sp_rapl_start(&m->rapl);
    if (m->with_nvml)
        sp_nvml_start(&m->nvml);
    m->begin = read_now(m);
    m->begin.rapl = m->begin.nvml = m->rapl_sum = m->nvml_sum = 0;
}

void sp_meter_children(struct sp_meter *m)
{
    m->children_only = true;
    sp_meter_begin(m);
}

/* Idle power of the whole machine over the time, as a share of the energy. */
static double idle_share(const struct sp_meter *m, const struct sp_cost *c)
{
    double idle = m->machine.idle_w * c->time_s.likely * (m->machine.pue > 0 ? m->machine.pue : 1);
    return c->energy_j.likely > 0 ? fmin(1, idle / c->energy_j.likely) : 0;
}

static void fill(const struct sp_meter *m, struct reading d, double peak, struct sp_cost *out)
{
    struct sp_cost c = { 0 };
    double by = m->machines > 1 ? m->machines : 1;
    enum sp_how how = m->machines > 1 ? SP_HOW_MODEL : SP_HOW_COUNTER;
    c.time_s = sp_exact(d.wall, SP_HOW_COUNTER);
    c.cpu_s = sp_exact(d.cpu, SP_HOW_COUNTER);
    c.memory_peak = sp_exact(peak, SP_HOW_COUNTER);
    if (m->with_rapl)
        c.energy_j = sp_with_building(sp_exact(by * (d.rapl + d.nvml), how), &m->machine);
    sp_cost_price(&c, &m->machine); /* models the energy that no counter gave */
    if (m->with_nvml && !m->with_rapl) {
        struct sp_cost again = c;
        again.energy_j = sp_figure_add(c.energy_j, sp_with_building(sp_exact(by * d.nvml, how), &m->machine));
        sp_cost_price(&again, &m->machine);
        c = again;
    }
    *out = c;
}

static void say_source(struct sp_meter *m)
{
    const char *gpu = m->with_nvml ? "; NVIDIA devices: NVML energy counter" : "";
    if (m->with_rapl)
        snprintf(m->source, sizeof m->source, "counter: RAPL, processor packages and memory%s", gpu);
    else if (m->machine.idle_w > 0 || m->machine.watts_thread > 0)
        snprintf(m->source, sizeof m->source, "model: %s%s", m->machine.power_source[0] ? m->machine.power_source : "power of the machine as given", gpu);
    else
        snprintf(m->source, sizeof m->source, "unknown: no counter can be read and the machine's power is not known%s", gpu);
}

static double peak_now(const struct sp_meter *m)
{
    double children = sp_peak_children();
    if (m->children_only)
        return children;
    return fmax(fmax(m->peak, sp_peak_bytes()), children > m->children ? children : 0);
}

void sp_meter_end(struct sp_meter *m, struct sp_cost *out)
{
    sp_meter_phase(m, NULL);
    fill(m, difference(read_now(m), m->begin), peak_now(m), out);
    m->idle_share = idle_share(m, out);
    say_source(m);
}

double sp_meter_cpu(struct sp_meter *m)
{
    return difference(read_now(m), m->begin).cpu;
}

void sp_meter_machines(struct sp_meter *m, int machines)
{
    m->machines = machines;
}

void sp_meter_add_cpu(struct sp_meter *m, double seconds)
{
    m->elsewhere += seconds;
}

/* ---- phases ---- */

static int find_phase(struct sp_meter *m, const char *name)
{
    for (int i = 0; i < m->phases; i++)
        if (!strncmp(m->phase[i].name, name, sizeof m->phase[i].name - 1))
            return i + 1;
    if (m->phases == SP_PHASES_MAX)
        return 0;
    struct phase *p = &m->phase[m->phases++];
    *p = (struct phase){ 0 };
    snprintf(p->name, sizeof p->name, "%s", name);
    return m->phases;
}

void sp_meter_phase(struct sp_meter *m, const char *name)
{
    struct reading now = read_now(m);
    double peak = sp_peak_bytes();
    if (m->open) {
        struct phase *p = &m->phase[m->open - 1];
        struct reading d = difference(now, m->phase_begin);
        p->sum = (struct reading){ p->sum.wall + d.wall, p->sum.cpu + d.cpu, p->sum.rapl + d.rapl, p->sum.nvml + d.nvml };
        p->peak = fmax(p->peak, peak);
    }
    m->peak = fmax(m->peak, m->can_reset ? peak : 0);
    m->open = name ? find_phase(m, name) : 0;
    if (m->open && m->can_reset)
        sp_peak_reset();
    m->phase_begin = now;
}

int sp_meter_phases(const struct sp_meter *m)
{
    return m->phases;
}

const char *sp_meter_phase_at(const struct sp_meter *m, int i, struct sp_cost *out)
{
    fill(m, m->phase[i].sum, m->phase[i].peak, out);
    return m->phase[i].name;
}

json_t *sp_meter_phases_json(const struct sp_meter *m)
{
    json_t *j = json_object();
    for (int i = 0; j && i < m->phases; i++) {
        struct sp_cost c;
        const char *name = sp_meter_phase_at(m, i, &c);
        if (json_object_set_new(j, name, sp_cost_json(&c))) {
            json_decref(j);
            return NULL;
        }
    }
    return j;
}

double sp_meter_idle_share(const struct sp_meter *m)
{
    return m->idle_share;
}

const char *sp_meter_energy_source(const struct sp_meter *m)
{
    return m->source;
}

/* ---- a watch ---- */

void sp_meter_tick(struct sp_meter *m)
{
    if (sp_now() - m->ticked < TICK_S)
        return;
    m->ticked = sp_now();
    read_now(m);
}

static void on_event(void *self, const struct sp_event *e)
{
    struct sp_meter *m = self;
    sp_meter_tick(m);
    if (e->kind == SP_EVENT_PHASE_BEGIN)
        sp_meter_phase(m, e->phase);
    else if (e->kind == SP_EVENT_PHASE_END)
        sp_meter_phase(m, NULL);
    sp_tell(m->next, e);
}

struct sp_watch sp_meter_watch(struct sp_meter *m, const struct sp_watch *next)
{
    m->next = next;
    return (struct sp_watch){ on_event, m };
}
