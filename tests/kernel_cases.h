/* tests/kernel_cases.h - cases for the walker that runs every kernel row against
 * the portable row, and for the benchmark.
 *
 * Each owner of families has a file kernel_cases_OWNER.h, which the walker
 * includes, with one array `kernel_cases_OWNER[]` ending with kernel NULL.  A
 * row's `make` fills the arguments for case `number` from c->random; buffers
 * come from case_in, case_out, case_work, which put them at odd places (of the
 * right alignment for their element) between canaries.  Random sizes should
 * cross every block size of the family.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_KERNEL_CASES_H
#define SP_KERNEL_CASES_H
#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"

enum { CASE_BUFFERS = 16, CASE_CANARY = 64 };
enum case_role { CASE_IN, CASE_OUT, CASE_INOUT, CASE_WORK };

struct case_buffer { unsigned char *block, *at; int64_t elements, bytes; enum sp_format format; enum case_role role; };
struct kernel_case {
    struct sp_random random;
    _Alignas(16) unsigned char args[SP_KERNEL_ARGS_MAX];
    int n;
    struct case_buffer buffer[CASE_BUFFERS];
    bool aligned; /* benchmark: 64-byte aligned */
};
struct kernel_cases {
    const struct sp_kernel *kernel;
    int n;                                             /* how many cases      */
    void (*make)(struct kernel_case *c, int number);
    /* The benchmark's: sizes that matter; names them, says the work.  n_bench 0: none. */
    int n_bench;
    void (*bench)(struct kernel_case *c, int number, char name[64], double *flops, double *bytes);
};

/* ---- what `make` calls ---- */

static inline int64_t case_below(struct kernel_case *c, int64_t n)
{
    return (int64_t)sp_random_below(&c->random, (uint64_t)n);
}
static inline int64_t case_between(struct kernel_case *c, int64_t low, int64_t high)
{
    return low + case_below(c, high - low + 1);
}
static inline bool case_coin(struct kernel_case *c)
{
    return case_below(c, 2);
}

static inline struct case_buffer *case_buffer(struct kernel_case *c, enum sp_format f, int64_t elements, enum case_role role)
{
    struct case_buffer *b = &c->buffer[c->n++];
    int64_t size = f == SP_F32 || f == SP_I32 ? 4 : f == SP_BYTES ? 8 : 2, shift = c->aligned ? 0 : size * case_below(c, 9);
    if (c->n > CASE_BUFFERS)
        abort();
    *b = (struct case_buffer){ .elements = elements, .bytes = sp_format_bytes(f, elements), .format = f, .role = role };
    b->block = sp_alloc((size_t)b->bytes + 2 * CASE_CANARY + (size_t)shift);
    if (!b->block)
        abort();
    memset(b->block, 0xA5, (size_t)b->bytes + 2 * CASE_CANARY + (size_t)shift);
    b->at = b->block + CASE_CANARY + shift;
    return b;
}

/* Fills with low + unit * (high - low), in the buffer's own format. */
static inline void case_fill(struct kernel_case *c, struct case_buffer *b, double low, double high)
{
    enum { KINDS = 16 };
    int block = sp_formats[b->format].block, bytes = sp_formats[b->format].bytes;
    float value[SP_FORMAT_BLOCK_MAX];
    unsigned char kind[KINDS * SP_FORMAT_BLOCK_MAX];
    if (b->format == SP_BYTES)
        return;
    if (block > 1) { /* searching for scales takes time: a few blocks, in random order */
        for (int i = 0; i < KINDS; i++) {
            for (int j = 0; j < block; j++)
                value[j] = (float)(low + sp_random_unit(&c->random) * (high - low));
            sp_formats[b->format].encode(kind + i * bytes, value, block);
        }
        for (int64_t i = 0; i < b->elements / block; i++)
            memcpy(b->at + i * bytes, kind + case_below(c, KINDS) * bytes, (size_t)bytes);
        return;
    }
    for (int64_t i = 0; i < b->elements; i++) {
        value[0] = (float)(low + sp_random_unit(&c->random) * (high - low));
        if (b->format == SP_I32)
            ((int32_t *)(void *)b->at)[i] = (int32_t)value[0];
        else
            sp_formats[b->format].encode(b->at + i * bytes, value, 1);
    }
}

static inline void *case_in_range(struct kernel_case *c, enum sp_format f, int64_t elements, double low, double high)
{
    struct case_buffer *b = case_buffer(c, f, elements, CASE_IN);
    case_fill(c, b, low, high);
    return b->at;
}
static inline void *case_in(struct kernel_case *c, enum sp_format f, int64_t elements)
{
    return case_in_range(c, f, elements, -1, 1);
}
static inline int32_t *case_ids(struct kernel_case *c, int64_t elements, int32_t low, int32_t high) /* low..high-1 */
{
    struct case_buffer *b = case_buffer(c, SP_I32, elements, CASE_IN);
    for (int64_t i = 0; i < elements; i++)
        ((int32_t *)(void *)b->at)[i] = (int32_t)case_between(c, low, high - 1);
    return (int32_t *)(void *)b->at;
}
/* Compared; filled too, so that rows between columns (ld > n) are seen to stay. */
static inline void *case_out(struct kernel_case *c, enum sp_format f, int64_t elements)
{
    struct case_buffer *b = case_buffer(c, f, elements, CASE_OUT);
    case_fill(c, b, -1, 1);
    return b->at;
}
/* Read and written: the same values stand there before every run. */
static inline void *case_inout(struct kernel_case *c, enum sp_format f, int64_t elements, double low, double high)
{
    struct case_buffer *b = case_buffer(c, f, elements, CASE_INOUT);
    case_fill(c, b, low, high);
    return b->at;
}
static inline void *case_work(struct kernel_case *c, int64_t bytes)
{
    return case_buffer(c, SP_BYTES, bytes, CASE_WORK)->at;
}

static inline void case_clear(struct kernel_case *c)
{
    for (int i = 0; i < c->n; i++)
        sp_free(c->buffer[i].block);
    c->n = 0;
}
#endif
