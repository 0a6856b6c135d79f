/* plan/serve.h - how fast a model answers, how many people at a time, and what a
 * million tokens cost.  Part of the door of plan.
 *
 * A token of an answer takes the time of its bytes (weights once for all users, the
 * experts they touch, the cache of each) at the share of the memory's bandwidth that
 * such devices reach, plus arithmetic, plus a delay for every layer, plus what tensor
 * parallel devices tell each other.  A prompt takes the time of its arithmetic.  What
 * is counted comes from the graph; the few learned numbers stand in serve_fit.h.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_SERVE_H
#define SP_SERVE_H
#include "ask.h"

/* Where the time of a token goes, seconds (likely values). */
enum sp_serve_part { SP_SERVE_WEIGHTS, SP_SERVE_CACHE, SP_SERVE_ARITHMETIC, SP_SERVE_DELAY, SP_SERVE_LINKS, SP_SERVE_PARTS };
extern const char *const sp_serve_part_names[SP_SERVE_PARTS]; /* "weights", "cache", ... */

struct sp_serve_plan {
    struct sp_figure prefill_tokens_s;     /* tokens of prompts a second, all devices                            */
    struct sp_figure user_tokens_s, tokens_s; /* of answers: one user's, all users'; with a->users at a time     */
    struct sp_figure first_token_s;        /* from the question to the first token, nobody waiting before        */
    struct sp_figure answer_s;             /* from the question to the last of a->generate tokens                */
    double weights_bytes, cache_user_bytes, work_bytes; /* one copy of the model; cache of one user at a->context; all else (memory.h) */
    double device_bytes;                   /* needed on each device with a->users                                */
    bool fits;                             /* that is there; when not, all rates are as if it were               */
    int64_t users_memory, users_most;      /* that memory holds; and of those with which every promise of a (user_tokens_s_least,
                                              first_token_s_most) is kept; 0: none; all copies of the model      */
    struct sp_figure tokens_s_most;        /* of all users when users_most ask                                   */
    double part_s[SP_SERVE_PARTS];         /* of a decode step                                                   */
    double flops_token, bytes_token;       /* of a step divided by its users; one copy of the model              */
    enum sp_serve_part bound;              /* the largest part                                                   */
    struct sp_cost million;                /* of a million tokens of answers with their prompts, the devices always busy with
                                              a->users: time_s, device_hours, flops; energy and money are the caller's to price */
    const char *device_class, *stack;      /* which learned numbers were used                                    */
};

/* a: completed by sp_ask_finish, task SP_TASK_SERVE.  machine.device.count 0: the processor answers, with
 * machine.threads threads.  copies of the model: a->cut.data; each on a->cut.tensor devices.  SP_USAGE names what is
 * missing (a device whose bandwidth nobody knows). */
enum sp_status sp_plan_serve(const struct sp_ask *a, struct sp_serve_plan *out, struct sp_explain *explain, struct sp_err *err);
/* The software that answers when a->stack is NULL; and whether several devices then hold layers in a row (llama.cpp) instead of
 * sharing each: what sp_ask_finish cuts the model by. */
const char *sp_serve_stack_of(const struct sp_ask *a);
bool sp_serve_by_layers(const struct sp_ask *a);
#endif
