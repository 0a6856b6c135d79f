/* judge/judge.h - how good a model is, on text it was not trained on.  [door of judge]
 *
 * Every figure comes with its error: windows of text are the independent pieces,
 * tokens within one are not.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_JUDGE_H
#define SP_JUDGE_H
#include "../base/base.h"
#include "../data/data.h"
#include "../step/step.h"

struct sp_quality {
    double loss, loss_stderr;      /* nats a token, over `tokens`; standard error over windows */
    double perplexity;             /* e^loss                                                    */
    double bits_per_byte;          /* of the text these tokens stand for                        */
    int64_t tokens, windows, windows_given; /* used, and how many there are                     */
};
/* Scores windows of the stream with the job's SCORE program (its batch and length).  windows_max 0: all of them;
 * fewer are spread evenly over the stream.  SP_INTERRUPTED on a signal. */
enum sp_status sp_judge_tokens(struct sp_live *l, const struct sp_tokens *tokens, int64_t windows_max, const struct sp_watch *watch,
                               struct sp_quality *out, struct sp_err *err);
#endif
