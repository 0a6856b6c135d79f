/* kernel/attention.h - what the rows of the attention and rope families share:
 * which keys a query sees, and how the work is cut.  Private to kernel.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ATTENTION_H
#define SP_ATTENTION_H
#include "kernel.h"

enum {
    SP_ATTENTION_FAST_DIM = 256, /* largest head of the fast rows       */
    SP_ATTENTION_Q = 96,         /* queries a task (forward)            */
    SP_ATTENTION_K = 96,         /* keys a block                        */
    SP_ATTENTION_BACK_Q = 48,    /* queries a block (backward)          */
    SP_ATTENTION_FEW = 6,        /* below: one query a row, tasks by kv head */
    SP_ATTENTION_GROUP_ROWS = 96 /* most rows (queries times heads a kv head) of that kind of task */
};

/* The first position of the queries, kept inside what is stored. */
static inline int64_t sp_attention_past(const int32_t *past, int64_t t, int64_t tk)
{
    int64_t p = past ? *past : 0;
    return p < 0 || tk < t ? 0 : p > tk - t ? tk - t : p;
}

/* Keys [*lo, *hi) of the query at position p. */
static inline void sp_attention_keys(int64_t p, int64_t seen, int64_t window, int causal, int64_t *lo, int64_t *hi)
{
    *hi = causal && p + 1 < seen ? p + 1 : seen;
    *lo = window > 0 && p + 1 > window ? p + 1 - window : 0;
}

/* How many keys there are: all stored ones, or up to the last query when its position is given. */
static inline int64_t sp_attention_seen(const int32_t *past, int64_t p0, int64_t t, int64_t tk)
{
    return past && p0 + t < tk ? p0 + t : tk;
}

/* Few queries over many keys (decoding): tasks by sequence and key-value head. */
static inline bool sp_attention_is_few(const struct sp_attention_args *a)
{
    return a->t < SP_ATTENTION_FEW && a->heads / a->kv_heads * a->t <= SP_ATTENTION_GROUP_ROWS;
}

/* Numbers of f32 a thread needs. */
enum {
    SP_ATTENTION_FLOATS = (2 * (SP_ATTENTION_Q + 6) + 3 * SP_ATTENTION_K) * SP_ATTENTION_FAST_DIM +
                          SP_ATTENTION_K * 8 + 4 * SP_ATTENTION_Q,
    SP_ATTENTION_BACK_FLOATS = (6 * SP_ATTENTION_K + 3 * SP_ATTENTION_BACK_Q) * SP_ATTENTION_FAST_DIM +
                               2 * SP_ATTENTION_BACK_Q * SP_ATTENTION_K
};

enum { SP_ROPE_ROWS = 16, SP_ROPE_FLOATS = 3 * SP_HEAD_DIM_MAX };

/* The row of the table for row i of x. */
static inline int64_t sp_rope_at(const struct sp_rope_args *a, int64_t i)
{
    int64_t p = (a->past ? *a->past : 0) + i / a->each % a->t;
    return p < 0 ? 0 : p < a->max ? p : a->max - 1;
}

#define SP_ATTENTION_ROWS(isa)                                                                                   \
    void sp_attention_##isa(const void *args, int phase, int64_t task, void *scratch);                           \
    void sp_attention_back_##isa(const void *args, int phase, int64_t task, void *scratch);                      \
    void sp_rope_##isa(const void *args, int phase, int64_t task, void *scratch);
SP_ATTENTION_ROWS(avx2)
SP_ATTENTION_ROWS(avx512)
SP_ATTENTION_ROWS(neon)
#endif
