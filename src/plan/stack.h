/* plan/stack.h - software as a table: what each keeps, copies, shards and reports
 * beside what the graph itself says.  Private to the room.
 *
 * A stack has no formula of its own.  memory.c walks the model's forward graph and
 * asks the row of the op what waits for the backward pass; the other fields say in
 * how many bytes.  Every figure stands in the software's own source or documents,
 * none is fitted; what is fitted stands in struct sp_memory_constants.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_STACK_H
#define SP_STACK_H
#include "memory.h"
#include "../graph/graph.h"

/* What an op leaves behind.  Bit i of a mask is input or output i; a tensor that several ops keep is kept once. */
struct sp_keep {
    const char *op;                /* name in sp_ops; NULL ends the table */
    uint8_t in, out;               /* kept in the bytes it is computed with */
    uint8_t in_trained;            /* kept only where the op's own parameters (or an adapter beside them) are trained */
    uint8_t in_f32;                /* a copy in f32 is kept (and not the tensor itself) */
    double copies, copies_trained; /* more tensors like output 0; those of trained parameters only */
    double mask;                   /* bytes for each element of output 0 */
    bool selective;                /* all this is computed again under selective recomputation */
};

enum sp_targets { SP_TARGET_QV, SP_TARGET_ATTENTION, SP_TARGET_ALL };
enum sp_reports { SP_REPORTS_ALLOCATED /* bytes in its own tensors */, SP_REPORTS_DEVICE /* bytes taken from the device */ };
enum { SP_STACK_METHODS_MAX = 4 };

struct sp_stack {
    const char *name, *help, *source;
    const char *const *words;      /* in lower case: texts with one of them speak of it; NULL-terminated */
    const struct sp_keep *keep;

    /* weights and what belongs to them, a parameter */
    bool layers_only, matrices_only; /* counts no embeddings and head, no biases and norms */
    bool unties;                   /* a shared head becomes a tensor of its own */
    bool amp;                      /* mixed: f32 weights, 16-bit copies on the way; else 16-bit weights and an f32 master */
    double gradient;               /* bytes of a gradient beside a master; else as its weight */
    double step;                   /* bytes of a trained parameter that the optimizer's step takes for itself; <0: as a weight */
    double master_gradient;        /* a second, f32 gradient held for the master */
    bool buckets;                  /* copies exchange gradients from buckets: the gradients once more */
    bool gradients_stay;           /* buffers that live always; else gradients come while activations go, unless several micro-steps add up */
    bool step_in_backward;         /* each gradient is used and freed at once */
    bool kept_on_host;             /* what waits for the backward pass is sent to the host meanwhile */
    bool whole_until_step;         /* copies that share weights add up whole gradients over micro-steps */
    bool frozen_stay;              /* a frozen weight once gathered stays until the step's end */
    bool units_apart;              /* embedding and head are gathered by themselves, like a layer; else for the whole step */
    bool trains_outside;           /* adapters come with embedding and head trained, in copies of their own */

    /* at the loss: bytes of one logit kept for all rows, and more while at most `loss_rows` rows (0: all) are worked on */
    double logit_kept, logit_working; int64_t loss_rows, loss_chunks; /* chunks: that many parts of all rows; 0: one */

    /* attention that isn't fused: bytes of one weight of [heads, tokens, tokens], without dropout */
    double weight_bytes;
    bool fused_qkv;                /* values are a part of one projection, which therefore lives as long as they */
    bool expands_kv;               /* keys and values are repeated for the query heads that share them */
    bool drops_weights;            /* selective recomputation: what attention keeps of its weights goes */
    double flow;                   /* gradients of activations alive at once, in tensors like a layer's largest */

    /* adapters */
    double adapter;                /* bytes of a parameter; 0: as computed with */
    int64_t rank; int targets;     /* where nothing else is said */
    double adapter_dropout;
    bool quantizes_head, quantizes_embedding;
    bool quantised_keeps_input;    /* products with quantised weights keep their input though nothing needs it */
    bool keeps_dequantised;        /* a layer's dequantised weights wait for its backward pass */
    double frozen_rest;            /* bytes of a frozen parameter that isn't quantised beside some that are; 0: as computed with */

    /* what it does where a table of runs says nothing */
    int recompute, recompute_sharded; /* enum sp_recompute; of copies that share weights */
    int64_t accumulate;            /* micro-steps an update */
    bool lean_full;                /* full training on one device, as its recipe has it: paged 8-bit optimizer, stepping in the backward pass */
    double nf4;                    /* bits of a weight in "nf4"; 0: 4.5 */
    int64_t tokens;                /* of an answer; 0: 2048 or what the model takes */
    int reports;                   /* enum sp_reports: what a figure of it means */
    struct { const char *word; int method; int64_t rank; int targets; } method[SP_STACK_METHODS_MAX]; /* names of its own for a method */
    bool plain_is_mixed;           /* its "bf16" of full training means mixed */

    /* serving */
    int64_t prefill;               /* rows a chunk of a prompt has; 0: all of it */
    bool logits_all;               /* of every row of a prompt */
    double cache_slack;            /* share of the cache that growing it takes beside it */
    double fixed;                  /* bytes a process has on a device before it begins: where fitting begins */
};
extern const struct sp_keep sp_keep_compiled[];            /* PyTorch through its compiler */
extern const struct sp_stack sp_stacks[];                  /* name NULL ends it; the first is hf */
/* NULL: the usual one of the task.  SP_USAGE naming those known. */
enum sp_status sp_stack_find(const char *name, int task, const struct sp_stack **out, struct sp_err *err);
/* The row whose word stands first in the text; NULL: none. */
const struct sp_stack *sp_stack_in(const char *text);
const struct sp_keep *sp_stack_keep(const struct sp_stack *s, const char *op); /* NULL: not known */

/* What is learned from runs (check_memory.c); all else is counted. */
struct sp_memory_constants {
    double working;                /* factor on activations, logits and temporary buffers */
    double fixed;                  /* factor on the stack's `fixed` */
    double low, high;              /* of the printed range: factors on working; and */
    double low_all, high_all;      /* on everything */
};
/* Of the low end when served: figures of serving are often counted in GiB and called GB. */
#define SP_MEMORY_SERVED_LOW 0.93
extern const struct sp_memory_constants sp_memory_compiled;
/* What the software itself would report, as a figure: with or without the process's fixed bytes. */
struct sp_figure sp_memory_reported(const struct sp_memory_plan *p, const struct sp_stack *s);
enum sp_status sp_plan_memory_with(const struct sp_ask *a, const struct sp_stack *s, const struct sp_memory_constants *k, struct sp_memory_plan *out,
                                   struct sp_explain *explain, struct sp_err *err);
#endif
