/* meter/rapl.c - RAPL energy counters through the kernel's powercap tree.
 *
 * Packages and the memory below them are summed; core and uncore are parts of a
 * package, and psys holds packages, so they are listed and not summed.  Counts
 * processors and memory: not the power supply, disks or fans.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include "inner.h"

static void add_zone(struct sp_rapl *r, const char *folder, const char *entry)
{
    char path[PATH_LEN + 32];
    struct sp_rapl_zone z = { 0 };
    if (r->n == RAPL_MAX || snprintf(z.path, sizeof z.path, "%.200s/%.200s", folder, entry) >= PATH_LEN)
        return;
    snprintf(path, sizeof path, "%s/name", z.path);
    if (sp_meter_line(path, z.name, sizeof z.name))
        return; /* the control type itself, not a zone */
    snprintf(path, sizeof path, "%s/max_energy_range_uj", z.path);
    sp_meter_u64(path, &z.range);
    snprintf(path, sizeof path, "%s/energy_uj", z.path);
    z.error = sp_meter_u64(path, &z.last);
    z.readable = !z.error;
    z.counts = !strncmp(z.name, "package", 7) || !strcmp(z.name, "dram");
    r->at[r->n++] = z;
}

static bool is_mmio(const struct sp_rapl_zone *z)
{
    return strstr(z->path, "/intel-rapl-mmio") != NULL;
}

/* The memory-mapped interface shows the same packages again: one of the two counts. */
static void drop_doubles(struct sp_rapl *r)
{
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < r->n; k++)
            if (is_mmio(&r->at[i]) && !is_mmio(&r->at[k]) && r->at[k].readable && !strcmp(r->at[i].name, r->at[k].name))
                r->at[i].counts = false;
}

/* Flat as in /sys/class/powercap: intel-rapl:0, intel-rapl:0:0, ... */
void sp_rapl_open(struct sp_rapl *r)
{
    char folder[PATH_LEN];
    struct dirent **list;
    *r = (struct sp_rapl){ 0 };
    snprintf(folder, sizeof folder, "%.200s/class/powercap", sp_meter_sysfs());
    int n = scandir(folder, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (!strncmp(list[i]->d_name, "intel-rapl", 10))
            add_zone(r, folder, list[i]->d_name);
        free(list[i]); /* scandir's own */
    }
    if (n >= 0)
        free(list);
    drop_doubles(r);
}

bool sp_rapl_readable(const struct sp_rapl *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->at[i].readable && r->at[i].counts)
            return true;
    return false;
}

static bool read_zone(struct sp_rapl_zone *z, uint64_t *now)
{
    char path[PATH_LEN + 32];
    snprintf(path, sizeof path, "%s/energy_uj", z->path);
    return z->readable && z->counts && !sp_meter_u64(path, now);
}

void sp_rapl_start(struct sp_rapl *r)
{
    uint64_t now;
    for (int i = 0; i < r->n; i++)
        if (read_zone(&r->at[i], &now))
            r->at[i].last = now;
}

double sp_rapl_take(struct sp_rapl *r)
{
    double joules = 0;
    uint64_t now;
    for (int i = 0; i < r->n; i++) {
        struct sp_rapl_zone *z = &r->at[i];
        if (!read_zone(z, &now))
            continue;
        if (now >= z->last)
            joules += 1e-6 * (double)(now - z->last);
        else if (z->range > z->last) /* the counter goes from its range to 0 */
            joules += 1e-6 * (double)(z->range - z->last + now);
        z->last = now;
    }
    return joules;
}
