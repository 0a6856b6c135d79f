/* fuzz/fuzz_catalog.c - hostile facts of a user's: the first byte picks the file, the rest is its text.
 * A first byte from 'A' on: a name of hardware.
 * SPDX-License-Identifier: Apache-2.0 */
#include "catalog/catalog.h"
#include "temp.h"

static void look_up(struct sp_catalog *c, struct sp_err *err)
{
    struct sp_machine m = { .cpu = "AMD EPYC 7B13 64-Core Processor", .cores = 2, .threads = 2 };
    (void)sp_catalog_machine(c, "US-CA", &m, err);
    (void)sp_catalog_processor(c, "x");
    (void)sp_catalog_server(c, "amd", 2020);
    (void)sp_catalog_default(c, "server_threads");
    (void)sp_catalog_place(c, "NC6s v3", &m, err);
    (void)sp_catalog_place(c, "a100*8", &m, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = { "grid.csv", "processors.csv", "server_power.csv", "defaults.csv",
                                         "accelerators.csv", "instances.csv", "purchases.csv", "regions.csv" };
    struct sp_err err = { 0 };
    struct sp_catalog *c;
    char path[128];
    if (!size)
        return 0;
    if (data[0] >= 'A' && size < sizeof path) { /* a name of hardware */
        memcpy(path, data, size);
        path[size] = 0;
        if (!sp_catalog_open(&c, &err)) {
            struct sp_machine m = { .cores = 2 };
            (void)sp_catalog_place(c, path, &m, &err);
            sp_catalog_free(c);
        }
        return 0;
    }
    if (fuzz_file(path, sizeof path, names[data[0] % SP_COUNT(names)], data + 1, size - 1)) {
        char *slash = strrchr(path, '/');
        *slash = 0;
        setenv("SPARSAM_CATALOG", path, 1);
        *slash = '/';
        if (!sp_catalog_open(&c, &err)) {
            look_up(c, &err);
            sp_catalog_free(c);
        }
    }
    fuzz_remove(path);
    return 0;
}
