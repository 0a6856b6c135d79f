/* cost/machine.c - what this processor can do, and the machine that printed C
 * runs on.  Features decide, never the vendor.
 * SPDX-License-Identifier: Apache-2.0 */
#include "cost.h"

#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
/* A feature counts when the processor names it and the system saves the registers it needs: a virtual machine or an
 * old kernel may hide either one.  (Intel SDM volume 1, 13.2 and 14.3; volume 2, CPUID and XGETBV.) */
enum { EAX, EBX, ECX, EDX };
enum { OSXSAVE = 1 << 27, YMM = 0x6, ZMM = 0xE6, TILES = 0x60000 };
static const struct { uint32_t leaf, part, reg, bits, state, feature; } cpuid_bits[] = {
    { 7, 0, EBX, 1u << 5, YMM, SP_CPU_AVX2 },
    { 1, 0, ECX, 1u << 12, YMM, SP_CPU_FMA },
    { 1, 0, ECX, 1u << 29, YMM, SP_CPU_F16C },
    { 7, 0, EBX, 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 30 /* BW */ | 1u << 31 /* VL */, ZMM, SP_CPU_AVX512 },
    { 7, 0, ECX, 1u << 11, ZMM, SP_CPU_AVX512_VNNI },
    { 7, 1, EAX, 1u << 5, ZMM, SP_CPU_AVX512_BF16 },
    { 7, 0, EDX, 1u << 22 /* bf16 */ | 1u << 24 /* tiles */ | 1u << 25 /* int8 */, TILES, SP_CPU_AMX },
};

/* 0 for a leaf, or a part of leaf 7, that the processor does not have. */
static uint32_t cpuid_register(uint32_t leaf, uint32_t part, uint32_t reg)
{
    uint32_t r[4];
    if (part && (!__get_cpuid_count(leaf, 0, &r[EAX], &r[EBX], &r[ECX], &r[EDX]) || r[EAX] < part))
        return 0;
    return __get_cpuid_count(leaf, part, &r[EAX], &r[EBX], &r[ECX], &r[EDX]) ? r[reg] : 0;
}

/* XCR0: the register states that the system saves when threads change. */
static uint32_t states_saved(void)
{
    uint32_t low, high;
    if (!(cpuid_register(1, 0, ECX) & OSXSAVE))
        return 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

static uint32_t ask_features(void)
{
    uint32_t f = SP_CPU_DNNL;
#if defined(__x86_64__)
    uint32_t saved = states_saved();
    for (size_t i = 0; i < SP_COUNT(cpuid_bits); i++) {
        uint32_t bits = cpuid_bits[i].bits, state = cpuid_bits[i].state;
        if ((cpuid_register(cpuid_bits[i].leaf, cpuid_bits[i].part, cpuid_bits[i].reg) & bits) == bits && (saved & state) == state)
            f |= cpuid_bits[i].feature;
    }
#elif defined(__aarch64__)
    f |= SP_CPU_NEON; /* every 64-bit Arm has it */
    f |= getauxval(AT_HWCAP) >> 20 & 1 ? SP_CPU_NEON_DOT : 0;
#endif
    return f;
}

/* Asked once: in a virtual machine each CPUID takes a host's help, tens of microseconds. */
static uint32_t features_here(void)
{
    static _Atomic uint32_t known;
    if (!known)
        known = ask_features();
    return known;
}

/* SPARSAM_CPU=portable, avx2, avx512, neon (all by default), each with ",-dnnl" behind. */
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
