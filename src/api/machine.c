/* api/machine.c - the public machine: this processor and a pool of threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>
#include "api.h"

static enum sp_status machine_open(struct sparsam_machine *h, const struct sparsam_machine_options *given, struct sp_err *err)
{
    struct sparsam_machine_options o = SPARSAM_MACHINE_OPTIONS;
    TRY(sp_api_options(&o, sizeof o, given, "sparsam_machine_options", err));
    sp_machine_portable(&h->m);
    TRY(sp_pool_new(&h->pool, o.threads, err));
    long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    snprintf(h->m.name, sizeof h->m.name, "this machine");
    h->m.features = sp_cpu_features();
    h->m.cores = cores > 0 ? (int)cores : 1;
    h->m.threads = sp_pool_threads(h->pool);
    h->m.memory_bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    return SP_OK;
}

enum sparsam_status sparsam_machine_open(struct sparsam_machine **out, const struct sparsam_machine_options *options)
{
    struct sp_err err = { 0 };
    struct sparsam_machine *h = sp_zalloc(1, sizeof *h);
    enum sp_status st = h ? machine_open(h, options, &err) : sp_fail(&err, SP_NOMEM, "out of memory for a machine");
    if (st)
        sparsam_machine_close(h);
    else
        *out = h;
    return sp_api_status(st, &err);
}

void sparsam_machine_close(struct sparsam_machine *m)
{
    if (m)
        sp_pool_free(m->pool);
    sp_free(m);
}

const char *sparsam_machine_text(const struct sparsam_machine *m, char *buf, size_t cap)
{
    char memory[32];
    uint32_t f = m->m.features;
    snprintf(buf, cap, "%d threads, %s memory, %s", m->m.threads, sp_show_bytes((double)m->m.memory_bytes, memory, sizeof memory),
             f & SP_CPU_AVX512 ? "AVX-512" : f & SP_CPU_AVX2 ? "AVX2" : f & SP_CPU_NEON ? "NEON" : "portable kernels");
    return buf;
}

int sparsam_machine_threads(const struct sparsam_machine *m)
{
    return m->m.threads;
}
