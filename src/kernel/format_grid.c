/* kernel/format_grid.c - numbers in blocks as whole numbers, read and put back one run
 * at a time: what a rounding needs that chooses them itself and keeps the scales.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "embed.h"
#include "kernel.h"

/* Least and greatest whole number; both 0: not one of these. */
static const struct sp_block_grid grids[SP_FORMATS] = {
    [SP_Q4_0] = { -8, 7, NULL },   [SP_Q4_1] = { 0, 15, NULL },          [SP_Q5_0] = { -16, 15, NULL },        [SP_Q5_1] = { 0, 31, NULL },
    [SP_Q8_0] = { -127, 127, NULL }, [SP_Q2_K] = { 0, 3, NULL },         [SP_Q3_K] = { -4, 3, NULL },          [SP_Q4_K] = { 0, 15, NULL },
    [SP_Q5_K] = { 0, 31, NULL },   [SP_Q6_K] = { -32, 31, NULL },        [SP_IQ4_NL] = { 0, 15, sp_run_iq4 }, [SP_IQ4_XS] = { 0, 15, sp_run_iq4 },
};

const struct sp_block_grid *sp_format_grid(enum sp_format f)
{
    return grids[f].high ? &grids[f] : NULL;
}

_Static_assert(sizeof(struct sp_grid_run) == sizeof(struct sp_run), "one run");

void sp_format_run(enum sp_format f, const void *blocks, int64_t i, struct sp_grid_run *out)
{
    struct sp_run r;
    sp_run_of(&r, blocks, i, f);
    memcpy(out, &r, sizeof r);
}

/* ---- putting ---- */

static void put(unsigned char *byte, int shift, int mask, int v)
{
    *byte = (unsigned char)((*byte & ~(mask << shift)) | (v & mask) << shift);
}

static void put_nibbles(unsigned char *b, const signed char *q, int plus)
{
    for (int j = 0; j < 32; j++)
        put(&b[j % 16], j / 16 * 4, 15, q[j] + plus);
}

static void put_fifth(unsigned char *high, const signed char *q, int plus)
{
    for (int j = 0; j < 32; j++)
        put(&high[j / 8], j % 8, 1, (q[j] + plus) >> 4);
}

static void put_table(unsigned char *b, const signed char *q)
{
    signed char at[32];
    for (int j = 0; j < 32; j++)
        for (at[j] = 0; at[j] < 15 && sp_run_iq4[at[j]] != q[j];)
            at[j]++;
    put_nibbles(b, at, 0);
}

static void put_long(enum sp_format f, unsigned char *b, int run, const signed char *q)
{
    for (int j = 0; j < 32; j++) {
        int quarter = run / 4 * 32 + j, pair = run % 4 * 2;
        if (f == SP_Q2_K)
            put(&b[16 + quarter], pair, 3, q[j]);
        if (f == SP_Q3_K) {
            put(&b[32 + quarter], pair, 3, q[j] + 4);
            put(&b[j], run, 1, (q[j] + 4) >> 2);
        }
        if (f == SP_Q4_K || f == SP_Q5_K)
            put(&b[(f == SP_Q4_K ? 16 : 48) + run / 2 * 32 + j], run % 2 * 4, 15, q[j]);
        if (f == SP_Q5_K)
            put(&b[16 + j], run, 1, q[j] >> 4);
        if (f == SP_Q6_K) {
            put(&b[run / 4 * 64 + run % 2 * 32 + j], run % 4 / 2 * 4, 15, q[j] + 32);
            put(&b[128 + quarter], pair, 3, (q[j] + 32) >> 4);
        }
    }
}

void sp_format_put(enum sp_format f, void *blocks, int64_t i, const signed char q[32])
{
    const struct sp_format_row *r = &sp_formats[f];
    unsigned char *b = (unsigned char *)blocks + i / (r->block / 32) * r->bytes;
    int run = (int)(i % (r->block / 32));
    switch (f) {
    case SP_Q4_0: put_nibbles(b + 2, q, 8); break;
    case SP_Q4_1: put_nibbles(b + 4, q, 0); break;
    case SP_Q5_0: put_nibbles(b + 6, q, 16); put_fifth(b + 2, q, 16); break;
    case SP_Q5_1: put_nibbles(b + 8, q, 0); put_fifth(b + 4, q, 0); break;
    case SP_Q8_0: memcpy(b + 2, q, 32); break;
    case SP_IQ4_NL: put_table(b + 2, q); break;
    case SP_IQ4_XS: put_table(b + 8 + 16 * run, q); break;
    default: put_long(f, b, run, q);
    }
}
