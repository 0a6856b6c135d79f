/* kernel/attention.c - the families attention, attention_back, rope and rope_table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "attention.h"

#include "../cost/cost.h"
#include "embed.h"
#include "portable/attention.c"
#include "portable/attention_back.c"
#include "portable/rope.c"
#include "portable/rope_table.c"

SP_EMBED(attention)
SP_EMBED(attention_back)
SP_EMBED(rope)
SP_EMBED(rope_table)

#define F(type, kind_, field) { #field, SP_FIELD_##kind_, offsetof(struct type, field), NULL }
#define P(type, kind_, field, c) { #field, SP_FIELD_##kind_, offsetof(struct type, field), c }

/* ---- attention ---- */
#define A(kind, field) F(sp_attention_args, kind, field)
static const struct sp_field attention_fields[] = {
    P(sp_attention_args, IN, q, "const void *"), P(sp_attention_args, IN, k, "const void *"),
    P(sp_attention_args, IN, v, "const void *"), P(sp_attention_args, IN, past, "const int32_t *"),
    P(sp_attention_args, IN, counter, "const int32_t *"),
    P(sp_attention_args, OUT, o, "void *"), P(sp_attention_args, OUT, lse, "float *"),
    A(I64, b), A(I64, t), A(I64, tk), A(I64, heads), A(I64, kv_heads), A(I64, dim), A(I64, ldq), A(I64, ldk), A(I64, ldv),
    A(I64, ldo), A(I64, q_at), A(I64, k_at), A(I64, v_at), A(I64, window), A(U64, key), A(F32, scale), A(F32, softcap), A(F32, drop), A(I32, causal),
    A(I32, q_format), A(I32, kv_format), A(I32, o_format), { NULL },
};

static int64_t attention_tasks(const void *args, int phase)
{
    const struct sp_attention_args *a = args;
    (void)phase;
    return a->b * a->heads * sp_blocks(a->t, SP_ATTENTION_Q);
}

static int64_t attention_fast_tasks(const void *args, int phase)
{
    const struct sp_attention_args *a = args;
    return sp_attention_is_few(a) ? a->b * a->kv_heads : attention_tasks(args, phase);
}

static bool attention_fits(const void *args)
{
    const struct sp_attention_args *a = args;
    return a->dim <= SP_ATTENTION_FAST_DIM && sp_formats[a->q_format].block == 1 && sp_formats[a->kv_format].decode && a->dim % sp_formats[a->kv_format].block == 0;
}

#define ATTENTION(isa, bits)                                                                                    \
    { "attention." #isa, bits, sp_attention_##isa, attention_fits, SP_ATTENTION_FLOATS * 4, 2e-5f, attention_fast_tasks }
static const struct sp_kernel_row attention_rows[] = {
#ifdef __x86_64__
    ATTENTION(avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA),
    ATTENTION(avx2, SP_CPU_AVX2 | SP_CPU_FMA),
#elif defined __aarch64__
    ATTENTION(neon, SP_CPU_NEON),
#endif
    { "attention.portable", 0, SP_FN(attention) },
};

const struct sp_kernel sp_kernel_attention = {
    .name = "attention", .help = "softmax of queries times keys, times values, without the matrix",
    .args_bytes = sizeof(struct sp_attention_args), .fields = attention_fields, .phases = 1, .tasks = attention_tasks,
    .rows = attention_rows, .source = SP_TEXT(attention), .function = "sp_attention_portable",
    .args_type = "struct sp_attention_args",
};

/* ---- attention_back ---- */
#define B(kind, field) F(sp_attention_back_args, kind, field)
static const struct sp_field back_fields[] = {
    P(sp_attention_back_args, IN, d_o, "const void *"), P(sp_attention_back_args, IN, q, "const void *"),
    P(sp_attention_back_args, IN, k, "const void *"), P(sp_attention_back_args, IN, v, "const void *"),
    P(sp_attention_back_args, IN, o, "const void *"), P(sp_attention_back_args, IN, lse, "const float *"),
    P(sp_attention_back_args, IN, counter, "const int32_t *"),
    P(sp_attention_back_args, OUT, dq, "void *"), P(sp_attention_back_args, OUT, dk, "void *"),
    P(sp_attention_back_args, OUT, dv, "void *"), P(sp_attention_back_args, WORK, work, "float *"),
    B(I64, b), B(I64, t), B(I64, tk), B(I64, heads), B(I64, kv_heads), B(I64, dim), B(I64, ldq), B(I64, ldk), B(I64, ldv),
    B(I64, ldo), B(I64, q_at), B(I64, k_at), B(I64, v_at), B(I64, window), B(U64, key), B(F32, scale), B(F32, softcap), B(F32, drop), B(I32, causal),
    B(I32, x_format), B(I32, do_format), B(I32, o_format), B(I32, d_format), { NULL },
};

static int64_t back_tasks(const void *args, int phase)
{
    const struct sp_attention_back_args *a = args;
    return a->b * (phase ? a->kv_heads : a->heads);
}

static bool back_fits(const void *args)
{
    const struct sp_attention_back_args *a = args;
    return a->dim <= SP_ATTENTION_FAST_DIM && sp_formats[a->x_format].block == 1;
}

#define BACK(isa, bits) \
    { "attention_back." #isa, bits, sp_attention_back_##isa, back_fits, SP_ATTENTION_BACK_FLOATS * 4, 1e-4f }
static const struct sp_kernel_row back_rows[] = {
#ifdef __x86_64__
    BACK(avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA),
    BACK(avx2, SP_CPU_AVX2 | SP_CPU_FMA),
#elif defined __aarch64__
    BACK(neon, SP_CPU_NEON),
#endif
    { "attention_back.portable", 0, SP_FN(attention_back) },
};

const struct sp_kernel sp_kernel_attention_back = {
    .name = "attention_back", .help = "gradients of queries, keys and values",
    .args_bytes = sizeof(struct sp_attention_back_args), .fields = back_fields, .phases = 2, .tasks = back_tasks,
    .rows = back_rows, .source = SP_TEXT(attention_back), .function = "sp_attention_back_portable",
    .args_type = "struct sp_attention_back_args",
};

/* ---- rope ---- */
#define R(kind, field) F(sp_rope_args, kind, field)
static const struct sp_field rope_fields[] = {
    P(sp_rope_args, IN, x, "const void *"), P(sp_rope_args, IN, table, "const float *"),
    P(sp_rope_args, IN, past, "const int32_t *"), P(sp_rope_args, OUT, y, "void *"), R(I64, m), R(I64, t), R(I64, each),
    R(I64, heads), R(I64, dim), R(I64, ldx), R(I64, ldy), R(I64, max), R(I32, interleaved), R(I32, back), R(I32, x_format),
    R(I32, y_format), { NULL },
};

static int64_t rope_tasks(const void *args, int phase)
{
    (void)phase;
    return sp_blocks(((const struct sp_rope_args *)args)->m, SP_ROPE_ROWS);
}

static bool rope_fits(const void *args)
{
    const struct sp_rope_args *a = args;
    return a->dim <= SP_HEAD_DIM_MAX && sp_formats[a->x_format].block == 1;
}

#define ROPE(isa, bits) { "rope." #isa, bits, sp_rope_##isa, rope_fits, SP_ROPE_FLOATS * 4, 1e-6f }
static const struct sp_kernel_row rope_rows[] = {
#ifdef __x86_64__
    ROPE(avx512, SP_CPU_AVX512 | SP_CPU_AVX2 | SP_CPU_FMA),
    ROPE(avx2, SP_CPU_AVX2 | SP_CPU_FMA),
#elif defined __aarch64__
    ROPE(neon, SP_CPU_NEON),
#endif
    { "rope.portable", 0, SP_FN(rope) },
};

const struct sp_kernel sp_kernel_rope = {
    .name = "rope", .help = "turns pairs of numbers by their position", .args_bytes = sizeof(struct sp_rope_args),
    .fields = rope_fields, .phases = 1, .tasks = rope_tasks, .rows = rope_rows, .source = SP_TEXT(rope),
    .function = "sp_rope_portable", .args_type = "struct sp_rope_args",
};

/* ---- rope_table ---- */
#define T(kind, field) F(sp_rope_table_args, kind, field)
static const struct sp_field table_fields[] = {
    P(sp_rope_table_args, OUT, table, "float *"), T(I64, max), T(I64, dim), T(F64, base), T(F64, factor), T(F64, low),
    T(F64, high), T(F64, original), T(F64, size), T(I32, scaling), { NULL },
};

static int64_t table_tasks(const void *args, int phase)
{
    (void)phase;
    return sp_blocks(((const struct sp_rope_table_args *)args)->max, 64);
}

static const struct sp_kernel_row table_rows[] = { { "rope_table.portable", 0, SP_FN(rope_table) } };

const struct sp_kernel sp_kernel_rope_table = {
    .name = "rope_table", .help = "cosines and sines of rotary positions", .args_bytes = sizeof(struct sp_rope_table_args),
    .fields = table_fields, .phases = 1, .tasks = table_tasks, .rows = table_rows, .source = SP_TEXT(rope_table),
    .function = "sp_rope_table_portable", .args_type = "struct sp_rope_table_args",
};
