/* cost/machine.c - what this processor can do, and the machine that printed C
 * runs on.  Features decide, never the vendor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cost.h"

#include <stdlib.h>
#include <string.h>
#ifdef __aarch64__
#include <sys/auxv.h>
#endif

static uint32_t features_here(void)
{
    uint32_t f = SP_CPU_DNNL;
#if defined(__x86_64__)
    __builtin_cpu_init();
    f |= __builtin_cpu_supports("avx2") ? SP_CPU_AVX2 : 0;
    f |= __builtin_cpu_supports("fma") ? SP_CPU_FMA : 0;
    f |= __builtin_cpu_supports("avx2") ? SP_CPU_F16C : 0;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        f |= SP_CPU_AVX512;
    f |= __builtin_cpu_supports("avx512vnni") ? SP_CPU_AVX512_VNNI : 0;
#elif defined(__aarch64__)
    f |= SP_CPU_NEON;
    f |= getauxval(AT_HWCAP) >> 20 & 1 ? SP_CPU_NEON_DOT : 0;
#endif
    return f;
}

/* SPARSAM_CPU=portable, avx2, avx512 (all by default), each with ",-dnnl" behind. */
uint32_t sp_cpu_features(void)
{
    const char *want = getenv("SPARSAM_CPU");
    uint32_t f = features_here();
    if (!want)
        return f;
    if (strstr(want, "-dnnl"))
        f &= ~(uint32_t)SP_CPU_DNNL;
    if (!strncmp(want, "portable", 8))
        return 0;
    if (!strncmp(want, "avx2", 4))
        f &= ~(uint32_t)(SP_CPU_AVX512 | SP_CPU_AVX512_VNNI | SP_CPU_AVX512_BF16 | SP_CPU_AMX);
    return f;
}

void sp_machine_portable(struct sp_machine *m)
{
    *m = (struct sp_machine){ .name = "portable", .cores = 1, .threads = 1, .currency = "EUR", .pue = 1 };
}
