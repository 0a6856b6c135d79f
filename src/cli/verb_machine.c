/* cli/verb_machine.c - what this machine is, which kernel rows it runs, which of
 * its sensors can be read and why the others cannot.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../meter/meter.h"
#include "work.h"

static bool runs_here(const struct sp_kernel_row *r, uint32_t features)
{
    return (r->needs & features) == r->needs;
}

static json_t *kernels_json(uint32_t features)
{
    json_t *list = json_array();
    for (const struct sp_kernel *const *k = sp_kernels; *k; k++)
        for (const struct sp_kernel_row *r = (*k)->rows; list; r++) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "row", r->name, "kernel", (*k)->name, "runs", runs_here(r, features)));
            if (!r->needs && !r->fits)
                break;
        }
    return list;
}

static json_t *sensors_json(const struct sp_sensors *s)
{
    json_t *list = json_array();
    for (int i = 0; list && i < s->n; i++)
        json_array_append_new(list, json_pack("{s:s, s:b, s:s, s:s}", "sensor", s->at[i].name, "readable", s->at[i].readable, "why", s->at[i].why,
                                              "remedy", s->at[i].remedy));
    return list;
}

static void show_place(const struct sp_machine *m)
{
    char memory[40], cache[40];
    printf("%s: %s, %d threads, %s memory, %s cache.\n", m->name, m->cpu, m->cores, sp_show_bytes((double)m->memory_bytes, memory, sizeof memory),
           sp_show_bytes((double)m->cache_bytes, cache, sizeof cache));
    printf("\nPower, where no counter can be read: %.1f W idle and %.2f W more a busy thread (%s)\n  %s\n", m->idle_w, m->watts_thread,
           sp_how_name(m->power_how), m->power_source);
    printf("Grid: %s, %.0f g CO2e/kWh (%s)\n  %s\n", m->zone, m->co2e_g_per_kwh, sp_how_name(m->co2e_how), m->co2e_source);
    printf("Electricity: %.4f %s/kWh (%s)\n", m->price_per_kwh, m->currency, sp_how_name(m->price_how));
    printf("Making the machine: %.2f g CO2e an hour, our threads' share (assumed)\n", m->embodied_g_per_hour);
}

static void show_kernels(uint32_t features)
{
    puts("\nKernel rows, best first (those in brackets need what this processor lacks):");
    for (const struct sp_kernel *const *k = sp_kernels; *k; k++) {
        printf("  %-16s", (*k)->name);
        for (const struct sp_kernel_row *r = (*k)->rows;; r++) {
            printf(runs_here(r, features) ? " %s" : " [%s]", r->name);
            if (!r->needs && !r->fits)
                break;
        }
        putchar('\n');
    }
}

static void show_sensors(const struct sp_sensors *s)
{
    puts("\nSensors:");
    for (int i = 0; i < s->n; i++) {
        printf("  %s %-44s %s\n", s->at[i].readable ? "yes" : "no ", s->at[i].name, s->at[i].why);
        if (s->at[i].remedy[0])
            printf("      %s\n", s->at[i].remedy);
    }
}

static enum sp_status machine_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_machine m;
    struct sp_sensors s;
    TRY(work_machine(&call->common, &m, err));
    sp_meter_sensors(&s);
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:o, s:o, s:o}", "schema", "sparsam.machine/1", "machine", sp_machine_json(&m), "kernels",
                                 kernels_json(m.features), "sensors", sensors_json(&s));
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    show_place(&m);
    show_sensors(&s);
    show_kernels(m.features);
    return SP_OK;
}

const struct verb sp_verb_machine = {
    .name = "machine",
    .help = "say what this machine is, and what can be measured on it",
    .operands = "",
    .text = "Shows processor and memory, the kernel rows that can run here, the sensors that can be\n"
            "read and why the others cannot, and the model of power, grid and prices that stands in\n"
            "for a sensor. SPARSAM_CPU=portable or avx2 hides what the processor can do,\n"
            "SPARSAM_ZONE or --zone names the grid, SPARSAM_CATALOG a folder with facts of your own.\n"
            "\n"
            "  sparsam machine\n"
            "  sparsam machine --zone FR --json | jq '.sensors[] | select(.readable)'\n",
    .run = machine_run,
};
