/* plan/ask.h - what a person asks the planner: a model, a job, the software it
 * runs on, where.  Part of the door of plan.
 *
 * One plain struct, filled from options, read by every part of the planner
 * (memory, time, serving, money), so that all of them speak of the same job.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ASK_H
#define SP_ASK_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../model/model.h"

enum sp_task { SP_TASK_TRAIN, SP_TASK_FINETUNE, SP_TASK_SERVE };
enum sp_method { SP_METHOD_FULL, SP_METHOD_LORA, SP_METHOD_QLORA, SP_METHOD_DORA, SP_METHOD_IA3, SP_METHOD_BITFIT, SP_METHOD_ADAPTER,
                 SP_METHOD_PREFIX, SP_METHOD_FREEZE };
enum sp_optimizer { SP_OPTIMIZER_ADAMW, SP_OPTIMIZER_ADAMW_8BIT, SP_OPTIMIZER_ADAMW_PAGED, SP_OPTIMIZER_ADAFACTOR, SP_OPTIMIZER_GALORE,
                    SP_OPTIMIZER_SGD, SP_OPTIMIZER_NONE };
/* Numbers of weights and of arithmetic.  MIXED: 16-bit arithmetic over f32 master weights. */
enum sp_precision { SP_PRECISION_BF16_MIXED, SP_PRECISION_FP16_MIXED, SP_PRECISION_BF16, SP_PRECISION_FP16, SP_PRECISION_F32, SP_PRECISION_FP8 };
/* As train does it on this machine; elsewhere nothing is computed again unless that alone makes the job fit. */
enum { SP_RECOMPUTE_AUTO = 3 };
/* How a job is cut: devices = data x tensor x pipeline x context (expert cuts within data). */
struct sp_sharding {
    int64_t data, tensor, pipeline, expert, context;
    int64_t interleave;            /* parts of the model that a device of a pipeline has; 0 or 1: one, in one piece */
    int64_t zero;                  /* 0: none; 1 optimizer, 2 and gradients, 3 and weights (FSDP) */
    bool sequence, offload;        /* sequence parallel; optimizer (zero 3: and weights) in host memory */
};
struct sp_ask {
    enum sp_task task;
    const char *model_name;        /* as the person wrote it */
    struct sp_model_config model;
    double parameters, active;     /* all, and those a token meets; from the graph */
    bool typical;                  /* the shape is a typical one for a number of parameters ("params=7B") */

    int method, optimizer, precision;
    int recompute;                 /* enum sp_recompute, or SP_RECOMPUTE_AUTO */
    int64_t rank;                  /* of LoRA and its kin, tokens of a prefix, width of an adapter, layers not frozen */
    int64_t batch, accumulate;     /* sequences a device and micro-step; micro-steps an update */
    int64_t context;               /* tokens a sequence                                        */
    double tokens, epochs;         /* training: all tokens of one epoch, and how often         */
    double dropout;
    bool flash;                    /* attention doesn't store its weights                      */
    double bits, cache_bits;       /* of a stored weight when served or frozen; of a cached key or value; 0: as precision */
    int64_t prompt, generate, users; /* serving: tokens of a request; requests at a time       */
    double user_tokens_s_least, first_token_s_most; /* serving: promised to each user; 0: nothing is */
    const char *stack;             /* name of a row of sp_stacks (memory.h)                    */
    struct sp_sharding cut;
    struct sp_memo *memo;          /* of a search: what was counted of this model before; NULL: none */
    struct sp_machine machine;     /* machine.device.count devices; 0: the processor           */
};
extern const struct sp_option sp_ask_train_options[], sp_ask_serve_options[]; /* offsets within struct sp_ask */
extern const char *const sp_method_names[], *const sp_optimizer_names[], *const sp_precision_names[]; /* NULL-terminated */

/* The model by folder, config.json, safetensors or GGUF file (header only), name of the catalogue ("llama-2-7b"), or a
 * number of parameters ("params=7B", "7e9"): fills model, parameters, active, typical; bits, where serving, from GGUF. */
enum sp_status sp_ask_model(struct sp_ask *a, const char *name, struct sp_err *err);
/* A typical shape (Llama's proportions) with about so many parameters. */
enum sp_status sp_ask_typical(double parameters, struct sp_model_config *out, struct sp_err *err);
/* Completes what is 0 and checks what contradicts: more shards than heads or layers, a method that needs training, ... */
enum sp_status sp_ask_finish(struct sp_ask *a, struct sp_err *err);
double sp_precision_bytes(int precision);  /* of a weight as it is computed with */
int64_t sp_ask_devices(const struct sp_ask *a); /* at least 1 */

/* The way to a figure, for --explain: one line a formula with its numbers and source.  NULL: nobody asks. */
struct sp_explain { struct sp_text text; };
void sp_explain(struct sp_explain *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
