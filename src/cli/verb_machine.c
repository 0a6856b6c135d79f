/* cli/verb_machine.c - what this machine is, which kernel rows it runs, which of
 * its sensors can be read and why the others cannot.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../meter/meter.h"
#include "work.h"

struct machine_options { bool measure; };

static const struct sp_option machine_options[] = {
    { .name = "measure", .kind = SP_OPT_FLAG, .at = offsetof(struct machine_options, measure), .group = "Rates",
      .help = "measure the rates of the kernel rows anew, and keep them in the ledger" },
    { 0 },
};

static const enum sp_format computes[] = { SP_F32, SP_BF16 };
struct all_rates { struct sp_rates of[SP_COUNT(computes)]; };

static enum sp_status find_rates(const struct verb_call *call, const struct sp_machine *m, struct all_rates *r, struct sp_err *err)
{
    const struct machine_options *o = call->options;
    for (size_t i = 0; i < SP_COUNT(computes); i++)
        if (o->measure)
            TRY(work_rates(&call->common, m, computes[i], true, &r->of[i], err));
        else
            work_rates_kept(&call->common, m, computes[i], &r->of[i]);
    return SP_OK;
}

static json_t *rates_json(const struct all_rates *all)
{
    json_t *list = json_array();
    for (size_t i = 0; i < SP_COUNT(computes); i++)
        for (int k = 0; list && k < all->of[i].n; k++) {
            const struct sp_rate *r = &all->of[i].at[k];
            json_array_append_new(list, json_pack("{s:s, s:s, s:f, s:f, s:s}", "row", r->row, "compute", sp_formats[computes[i]].name, "flops_per_s",
                                                  r->flops_per_s, "bytes_per_s", r->bytes_per_s, "how", sp_how_name(r->how)));
        }
    return list;
}

static void show_rates(const struct all_rates *all)
{
    puts("\nRates of kernel rows, as measured here and kept in the ledger (--measure: anew):");
    if (!all->of[0].n && !all->of[1].n)
        puts("  none yet: the first prediction measures them");
    for (size_t i = 0; i < SP_COUNT(computes); i++)
        for (int k = 0; k < all->of[i].n; k++) {
            const struct sp_rate *r = &all->of[i].at[k];
            char n[32];
            printf("  %-4s %-24s %s%s/s\n", sp_formats[computes[i]].name, r->row, sp_show_number(r->flops_per_s > 0 ? r->flops_per_s : r->bytes_per_s, n, sizeof n),
                   r->flops_per_s > 0 ? " FLOP" : " bytes");
        }
}

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
    printf("Building: %.2f W for each watt of the machine (PUE, assumed)\n", m->pue);
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
    struct all_rates rates = { 0 };
    TRY(work_machine(&call->common, &m, err));
    TRY(find_rates(call, &m, &rates, err));
    sp_meter_sensors(&s);
    if (call->common.json) {
        call->answer = json_pack("{s:s, s:o, s:o, s:o, s:o}", "schema", "sparsam.machine/1", "machine", sp_machine_json(&m), "kernels",
                                 kernels_json(m.features), "sensors", sensors_json(&s),
                                 "rates", rates_json(&rates));
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    show_place(&m);
    show_sensors(&s);
    show_kernels(m.features);
    show_rates(&rates);
    return SP_OK;
}

const struct verb sp_verb_machine = {
    .name = "machine",
    .help = "say what this machine is, and what can be measured on it",
    .operands = "",
    .text = "Shows processor and memory, the kernel rows that can run here, the sensors that can be\n"
            "read and why the others cannot, and the model of power, grid and prices that stands in\n"
            "for a sensor. Predictions use the rates kept in the ledger; --measure renews them.\n"
            "SPARSAM_CPU=portable or avx2 hides what the processor can do,\n"
            "SPARSAM_ZONE or --zone names the grid, SPARSAM_CATALOG a folder with facts of your own.\n"
            "\n"
            "  sparsam machine\n"
            "  sparsam machine --measure\n"
            "  sparsam machine --zone FR --json | jq '.sensors[] | select(.readable)'\n",
    .sets = { { machine_options, 0 } },
    .options_bytes = sizeof(struct machine_options),
    .run = machine_run,
};
