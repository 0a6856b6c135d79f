/* plan/work.h - the arithmetic of one token, and how long data sheets say it takes,
 * from the model's forward graph.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_WORK_H
#define SP_PLAN_WORK_H
#include "ask.h"
#include "memo.h"

/* Of a forward pass, a token.  waiting_s: what memory takes longer than the arithmetic of the same op, summed. */
struct sp_work {
    double matmul, attention;      /* FLOPs; attention over the context, its causal half where it is causal */
    double arithmetic_s, waiting_s;
    double streams;                /* numbers a token carries from layer to layer (width), layers: for links */
    int64_t layers;
};
/* One device: FLOP/s; bytes/s of its memory (0: nothing waits); width of the numbers it computes with. */
struct sp_rate_of { double peak, bytes_per_s, number_bytes; };
/* sequences x tokens at a time. */
enum sp_status sp_work_count(const struct sp_model_config *c, int64_t sequences, int64_t tokens, const struct sp_rate_of *d, struct sp_memo *memo,
                             struct sp_work *out, struct sp_err *err);
#endif
