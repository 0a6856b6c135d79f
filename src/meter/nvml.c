/* meter/nvml.c - total energy counters of NVIDIA devices, through the driver's
 * own library, loaded when a meter is made and never at start-up.
 *
 * Declared here, so that building needs no NVIDIA header: five functions of a
 * stable C interface (nvmlDeviceGetTotalEnergyConsumption: Volta and newer).
 * SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>
#include "inner.h"

typedef int init_fn(void);
typedef int count_fn(unsigned *);
typedef int handle_fn(unsigned, void **);
typedef int energy_fn(void *, unsigned long long *);

/* POSIX says that dlsym's pointer is a function's; C does not, hence the copy. */
static bool find(void *library, const char *name, void *fn)
{
    void *at = dlsym(library, name);
    memcpy(fn, &at, sizeof at);
    return at != NULL;
}

static bool take(const struct sp_nvml *v, int i, uint64_t *millijoules)
{
    energy_fn *energy;
    unsigned long long now = 0;
    if (!find(v->library, "nvmlDeviceGetTotalEnergyConsumption", &energy) || energy(v->device[i], &now))
        return false;
    *millijoules = now;
    return true;
}

static const char *open_devices(struct sp_nvml *v)
{
    init_fn *init;
    count_fn *count;
    handle_fn *handle;
    unsigned n = 0;
    if (!find(v->library, "nvmlInit_v2", &init) || !find(v->library, "nvmlDeviceGetCount_v2", &count) ||
        !find(v->library, "nvmlDeviceGetHandleByIndex_v2", &handle))
        return "libnvidia-ml.so.1 lacks a function that is needed";
    if (init())
        return "the NVIDIA driver does not answer";
    if (count(&n) || !n)
        return "the NVIDIA driver shows no device";
    for (unsigned i = 0; i < n && v->n < NVML_MAX; i++)
        if (!handle(i, &v->device[v->n])) {
            v->counts[v->n] = take(v, v->n, &v->last[v->n]);
            v->n++;
        }
    return sp_nvml_readable(v) ? "" : "its devices have no energy counter (Volta and newer have)";
}

/* Looking for a library that isn't there takes longer than all else before a measured command begins. */
static bool has_driver(void)
{
    return !access("/dev/nvidiactl", F_OK) || !access("/dev/dxg", F_OK); /* dxg: under Windows */
}

void sp_nvml_open(struct sp_nvml *v)
{
    *v = (struct sp_nvml){ .why = "no NVIDIA driver (libnvidia-ml.so.1) is installed" };
    if (has_driver())
        v->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (v->library)
        v->why = open_devices(v);
}

void sp_nvml_close(struct sp_nvml *v)
{
    init_fn *shut;
    if (v->library && find(v->library, "nvmlShutdown", &shut))
        shut();
    if (v->library)
        dlclose(v->library);
    *v = (struct sp_nvml){ 0 };
}

bool sp_nvml_readable(const struct sp_nvml *v)
{
    for (int i = 0; i < v->n; i++)
        if (v->counts[i])
            return true;
    return false;
}

void sp_nvml_start(struct sp_nvml *v)
{
    for (int i = 0; i < v->n; i++)
        if (v->counts[i])
            take(v, i, &v->last[i]);
}

double sp_nvml_take(struct sp_nvml *v)
{
    double joules = 0;
    for (int i = 0; i < v->n; i++) {
        uint64_t now;
        if (!v->counts[i] || !take(v, i, &now))
            continue;
        if (now >= v->last[i])
            joules += 1e-3 * (double)(now - v->last[i]);
        v->last[i] = now;
    }
    return joules;
}
