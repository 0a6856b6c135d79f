/* meter/probe.c - what this machine is, and which of its sensors can be read.
 *
 * Memory is what this process may use: the smaller of the machine's and its
 * control group's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "inner.h"

enum { CACHES_MAX = 8 };

static uint64_t memory_here(void)
{
    char text[64];
    uint64_t all = 0, limit;
    if (sp_meter_field("/proc/meminfo", "MemTotal", text, sizeof text))
        all = 1024 * strtoull(text, NULL, 10);
    static const char *const limits[] = { "fs/cgroup/memory.max", "fs/cgroup/memory/memory.limit_in_bytes" };
    for (size_t i = 0; i < SP_COUNT(limits); i++) {
        char path[PATH_LEN];
        snprintf(path, sizeof path, "%.200s/%s", sp_meter_sysfs(), limits[i]);
        if (!sp_meter_u64(path, &limit) && limit && limit < all)
            all = limit;
    }
    return all;
}

/* The largest cache that the first processor sees, in bytes; sysfs writes "32768K". */
static uint64_t cache_here(void)
{
    uint64_t most = 0;
    for (int i = 0; i < CACHES_MAX; i++) {
        char path[PATH_LEN], text[64], *end;
        snprintf(path, sizeof path, "%.200s/devices/system/cpu/cpu0/cache/index%d/size", sp_meter_sysfs(), i);
        if (sp_meter_line(path, text, sizeof text))
            break;
        uint64_t v = strtoull(text, &end, 10) * (*end == 'K' ? 1024u : *end == 'M' ? 1048576u : 1u);
        most = v > most ? v : most;
    }
    return most;
}

static int usable_threads(void)
{
    cpu_set_t set;
    char text[64], *end;
    int n = sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
    n = n > 0 ? n : (int)sysconf(_SC_NPROCESSORS_ONLN);
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%.200s/fs/cgroup/cpu.max", sp_meter_sysfs());
    if (!sp_meter_line(path, text, sizeof text) && text[0] != 'm') { /* "quota period" in microseconds */
        double quota = strtod(text, &end), period = strtod(end, NULL);
        if (period > 0 && quota / period < n)
            n = quota / period < 1 ? 1 : (int)(quota / period);
    }
    return n > 0 ? n : 1;
}

void sp_meter_probe(struct sp_machine *m, int threads)
{
    struct sp_machine r = { .power_how = SP_HOW_UNKNOWN, .pue = 1 };
    if (gethostname(r.name, sizeof r.name - 1))
        snprintf(r.name, sizeof r.name, "this machine");
    if (!sp_meter_field("/proc/cpuinfo", "model name", r.cpu, sizeof r.cpu) &&
        !sp_meter_field("/proc/cpuinfo", "Model", r.cpu, sizeof r.cpu))
        snprintf(r.cpu, sizeof r.cpu, "unknown processor");
    r.features = sp_cpu_features();
    r.cores = usable_threads();
    r.threads = threads > 0 ? threads : r.cores;
    r.memory_bytes = memory_here();
    r.cache_bytes = cache_here();
    *m = r;
}

/* ---- sensors ---- */

static void say(struct sp_sensors *s, bool readable, const char *name, const char *why, const char *remedy)
{
    if (s->n == SP_SENSORS_MAX)
        return;
    struct sp_sensor *x = &s->at[s->n++];
    x->readable = readable;
    snprintf(x->name, sizeof x->name, "%s", name);
    snprintf(x->why, sizeof x->why, "%s", why);
    snprintf(x->remedy, sizeof x->remedy, "%s", remedy);
}

static void say_rapl(struct sp_sensors *s)
{
    struct sp_rapl r;
    sp_rapl_open(&r);
    if (!r.n)
        say(s, false, "energy counter of the processor (RAPL)", "the kernel shows none: a virtual machine, a container, or no driver",
            "on the machine itself: modprobe intel_rapl_common; in a virtual machine energy is modelled");
    for (int i = 0; i < r.n; i++) {
        const struct sp_rapl_zone *z = &r.at[i];
        char name[64];
        snprintf(name, sizeof name, "energy of %s (RAPL)", z->name);
        if (z->readable)
            say(s, true, name, z->counts ? "counted" : "part of another counter: shown, not summed", "");
        else if (z->error == EACCES || z->error == EPERM)
            say(s, false, name, "not permitted: the kernel keeps it for root", "sudo chmod a+r /sys/class/powercap/*/energy_uj, or run as root");
        else
            say(s, false, name, strerror(z->error), "");
    }
}

void sp_meter_sensors(struct sp_sensors *out)
{
    struct sp_sensors s = { 0 };
    struct sp_nvml v;
    say(&s, true, "wall time", "monotonic clock", "");
    say(&s, true, "processor time", "getrusage, with children", "");
    bool peak = access("/proc/self/clear_refs", W_OK) == 0;
    say(&s, true, "peak memory", peak ? "VmHWM, reset before each measurement" : "VmHWM of the whole process: it cannot be reset here", "");
    say_rapl(&s);
    sp_nvml_open(&v);
    bool readable = sp_nvml_readable(&v);
    say(&s, readable, "energy counter of NVIDIA devices (NVML)", readable ? "counted" : v.why, "");
    sp_nvml_close(&v);
    *out = s;
}
