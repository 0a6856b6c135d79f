/* kernel/pack.c - the family that writes b as the gemm row of the same name wants it.
 *
 * Its rows stand in the order of gemm's, so that one machine picks the same of both.
 * SPDX-License-Identifier: Apache-2.0 */
#include "embed.h"
#include "gemm.h"
#include "portable/pack.c"
#include "../cost/cost.h"

SP_EMBED(pack)

static int64_t pack_tasks(const void *args, int phase)
{
    (void)phase;
    return (sp_pack_size(args) + SP_PACK_BLOCK - 1) / SP_PACK_BLOCK;
}

static const struct sp_field pack_fields[] = {
    SP_F(pack, src, IN, "const void *"),
    SP_F(pack, dst, OUT, "void *"),
    SP_F(pack, n, I64, ""),
    SP_F(pack, k, I64, ""),
    SP_F(pack, trans, I32, ""),
    SP_F(pack, src_format, I32, ""),
    SP_F(pack, dst_format, I32, ""),
    { 0 },
};

/* wide: columns of c a panel; a task is one panel. */
#define ROW_OF(isa, wide)                                                                      \
    static void pack_##isa(const void *args, int phase, int64_t task, void *scratch)          \
    {                                                                                          \
        (void)phase;                                                                           \
        sp_gemm_##isa##_pack(args, task, scratch);                                             \
    }                                                                                          \
    static int64_t tasks_##isa(const void *args, int phase)                                   \
    {                                                                                          \
        (void)phase;                                                                           \
        return (((const struct sp_pack_args *)args)->n + (wide) - 1) / (wide);                 \
    }
#define ROW(isa, features)                                                                                                 \
    { .name = "pack." #isa, .needs = (features), .fn = pack_##isa, .tasks = tasks_##isa, .scratch_bytes = SP_GEMM_SCRATCH, \
      .tolerance = 1e-6f }

#if defined(__x86_64__)
ROW_OF(avx512, 32)
ROW_OF(avx2, 16)
#elif defined(__aarch64__)
ROW_OF(neon, 8)
#endif

static const struct sp_kernel_row pack_rows[] = {
#if defined(__x86_64__)
    ROW(avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C),
    ROW(avx2, SP_CPU_AVX2 | SP_CPU_FMA | SP_CPU_F16C),
#elif defined(__aarch64__)
    ROW(neon, SP_CPU_NEON),
#endif
    { .name = "pack.portable", .fn = SP_FN(pack) },
};

const struct sp_kernel sp_kernel_pack = {
    .name = "pack", .help = "a weight as panels for the matrix product", .args_bytes = sizeof(struct sp_pack_args), .fields = pack_fields,
    .phases = 1, .tasks = pack_tasks, .rows = pack_rows,
    .source = SP_TEXT(pack), .function = "sp_pack_portable", .args_type = "struct sp_pack_args",
};
