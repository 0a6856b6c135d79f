/* plan/memory_walk.h - the forward graph, walked: what every layer holds, before
 * anything is said of optimizers and of how the job is cut.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_MEMORY_WALK_H
#define SP_MEMORY_WALK_H
#include "stack.h"

/* Of one layer, or of what stands before the first (slot 0) or behind the last (slot layers + 1).  Bytes of one
 * device of a tensor-parallel group, all of one micro-batch; parameters likewise. */
struct sp_slot {
    double parameters, weights;    /* weights: bytes as stored */
    double gathered;               /* bytes of its weights as they are sent to who computes with them */
    double trained, owned;         /* of the model's own parameters: those it has gradients of, those whose optimizer it has */
    double moments;                /* bytes of their optimizer's state at 4 bytes a number */
    double adapters;               /* parameters added, all trained */
    double extra;                  /* bytes of copies of the model's own weights that are trained beside adapters */
    double kept, kept_selective;   /* for the backward pass; the part that selective recomputation spares */
    double enters;                 /* the layer's input alone (full recomputation) */
    double largest;                /* bytes of its largest tensor */
    double matrix;                 /* bytes of its largest matrix as computed with (dequantised) */
    double live;                   /* most that an op reads and writes, when nothing is kept */
};
struct sp_walk {
    const struct sp_ask *a;
    const struct sp_stack *s;
    int64_t layers, rows, vocab;   /* rows: of this device */
    double compute, stored;        /* bytes of a number computed with; of an unquantised weight */
    int64_t cache;                 /* serving: bytes of one sequence's keys and values at two bytes a number */
    double trained;                /* parameters of the whole model, on however many devices */
    double table;                  /* parameters of embedding where a head shares it, else 0 */
    int n; struct sp_slot *slot;   /* layers + 2 */
    struct sp_arena mem;
};
enum sp_status sp_memory_walk(const struct sp_ask *a, const struct sp_stack *s, struct sp_walk *out, struct sp_err *err);
/* The device that holds most.  Of the cut only tensor, expert, context and sequence are in the walk: w->a may be another
 * question that differs in the rest. */
void sp_memory_of_walk(const struct sp_walk *w, const struct sp_memory_constants *k, struct sp_memory_plan *out, struct sp_explain *explain);
void sp_walk_clear(struct sp_walk *w);
bool sp_ask_mixed(const struct sp_ask *a);
#endif
