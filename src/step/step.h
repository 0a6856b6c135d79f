/* step/step.h - what a step is, once: training, prefill, decode, score.  [door of step]
 *
 * A job is a small set of programs over one state region.  plan counts them,
 * learn and infer run them: there is no other place where a step is put
 * together.  Making a job allocates no tensor memory, so a step of a
 * 405-billion-parameter model is counted in milliseconds.
 *
 * Ownership in one sentence: a job owns its programs and the state's layout, a
 * live job owns the memory and needs the job to outlive it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_STEP_H
#define SP_STEP_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../graph/graph.h"
#include "../model/model.h"
#include "../recipe/recipe.h"

/* LOAD once after the weights are in the state (tables); MICRO per micro-batch; UPDATE after the last micro-step (NORM
 * before it, of one among several ranks: its part of the gradient's sum of squares, "norm" f32[1]);
 * REFRESH whenever weights have changed, by an update or by hand (packed copies; often there is none); SCORE any
 * time; PREFILL and DECODE over the cache. */
enum sp_run { SP_RUN_LOAD, SP_RUN_MICRO, SP_RUN_NORM, SP_RUN_UPDATE, SP_RUN_REFRESH, SP_RUN_SCORE, SP_RUN_PREFILL, SP_RUN_DECODE, SP_RUNS };
extern const char *const sp_run_names[SP_RUNS];    /* "load", "micro", ... */

struct sp_train_shape {
    int64_t batch, tokens, score_batch;  /* score_batch 0: batch; negative: no score program */
    int64_t first, batch_all;            /* of several ranks: its rows of all rows of a micro-step; batch_all 0: batch */
    enum sp_format compute;
    double dropout; uint64_t seed;
    enum sp_recompute recompute;
    int64_t loss_rows;
    bool soft;                           /* against a teacher's logits (model.h); gradients alone: no UPDATE, no moments */
    struct sp_adamw adamw;
};
struct sp_serve_shape {
    int64_t batch, prefill, cache;       /* prefill: positions a chunk; cache: positions a sequence */
    enum sp_format compute, stored, cached;
    sp_stored_fn *stored_of; const void *stored_self; /* of each matrix; NULL: all are `stored`.  Blocks that no fast product
                                            takes on the machine become f32.  Called while the job is made. */
    sp_phase_fn *phase_of;               /* of a param, asked of stored_self too; not NULL: weights stay pages of their files, see
                                            sp_weights_phase */
    bool all_logits;                     /* of every row of a prefill chunk (tests, scoring of prompts) */
    bool rings;                          /* layers with a window keep no more than that: counted, not yet run */
    int64_t score_batch, score_tokens;   /* both > 0: a score program over the same weights */
};

struct sp_job {
    struct sp_model_config config;
    struct sp_machine machine;
    struct sp_state state;
    bool has[SP_RUNS];
    struct sp_program program[SP_RUNS];
    int64_t parameters, trainable, nodes;
    struct sp_train_shape train;         /* as completed; the other is zero */
    struct sp_serve_shape serve;
};
/* Inputs and outputs by name, see model.h; UPDATE has "lr" f32[1], "max_norm" f32[1], "step" i32[1] (from 1) and the
 * norm before clipping as "clip:1" f32[1]; with several ranks also "sumsq" f32[1], all ranks' NORM added up.  Technique hook: called on the forward graph, before the gradient; may be NULL. */
typedef enum sp_status sp_graph_hook(struct sp_graph *g, void *self, struct sp_err *err);
enum sp_status sp_step_train(const struct sp_model_config *c, const struct sp_train_shape *t, const struct sp_machine *m,
                             sp_graph_hook *hook, void *self, struct sp_job *out, struct sp_err *err);
enum sp_status sp_step_serve(const struct sp_model_config *c, const struct sp_serve_shape *s, const struct sp_machine *m,
                             sp_graph_hook *hook, void *self, struct sp_job *out, struct sp_err *err);
/* Score alone (eval of a model that is neither trained nor served): inputs and outputs as in sp_build.  wanted > 0: the
 * logits of so many rows in place of losses: inputs "ids" and "rows" i32[wanted], output "logits" f32[wanted, vocab]. */
struct sp_score_shape {
    int64_t batch, tokens, wanted;
    enum sp_format compute, stored;
    sp_stored_fn *stored_of; const void *stored_self; /* as of sp_serve_shape */
};
enum sp_status sp_step_scoring(const struct sp_model_config *c, const struct sp_score_shape *s, const struct sp_machine *m, struct sp_job *out, struct sp_err *err);
/* The same with all matrices in one format: losses; and logits. */
enum sp_status sp_step_score(const struct sp_model_config *c, int64_t batch, int64_t tokens, enum sp_format compute, enum sp_format stored,
                             const struct sp_machine *m, struct sp_job *out, struct sp_err *err);
enum sp_status sp_step_logits(const struct sp_model_config *c, int64_t batch, int64_t tokens, int64_t wanted, enum sp_format compute,
                              enum sp_format stored, const struct sp_machine *m, struct sp_job *out, struct sp_err *err);
void sp_job_clear(struct sp_job *j);
/* The part of one of several ranks: its rows of the batch, its share of the optimizer; only the first scores.
 * SP_USAGE when there are more ranks than rows. */
enum sp_status sp_train_shape_share(struct sp_train_shape *t, int rank, int ranks, struct sp_err *err);
/* Bytes that each rank sends for an update: its gradients to their owners, its new weights to all. */
double sp_job_exchanged(const struct sp_job *j);
struct sp_train_shape sp_train_shape_of(const struct sp_recipe *r, const struct sp_model_config *c);
struct sp_serve_shape sp_serve_shape_of(const struct sp_recipe *r, const struct sp_model_config *c);

/* Bytes by kind of the running job: state entries by their kind, activations = the one arena all programs share
 * (the largest), scratch a thread.  Their sum is what sp_live_new allocates. */
void sp_job_memory(const struct sp_job *j, int threads, int64_t bytes[SP_MEM_KINDS]);
int64_t sp_job_arena_bytes(const struct sp_job *j);

/* A job bound to memory.  All programs share one arena: inputs must be written before each run, outputs read before
 * another program runs.  The state starts as zeros. */
struct sp_live {
    const struct sp_job *job;
    struct sp_block state, arena;
    struct sp_lent *lent;                /* of a state with pages of files; lent->lost: a file became shorter, results are void */
    struct sp_exec exec[SP_RUNS];
};
enum sp_status sp_live_new(struct sp_live *l, const struct sp_job *j, struct sp_pool *pool, bool profile, struct sp_err *err);
void sp_live_clear(struct sp_live *l);
void *sp_live_at(const struct sp_live *l, enum sp_run run, const char *name);       /* memory of an input or output */
void *sp_live_state(const struct sp_live *l, const char *name);                     /* of a state entry; NULL: no such */
static inline void sp_live_run(struct sp_live *l, enum sp_run run) { sp_exec_run(&l->exec[run]); }
/* Weights from files, or drawn; then LOAD and REFRESH run. */
enum sp_status sp_live_fill(struct sp_live *l, const struct sp_weights *w, int *n_extra, const char **extra, struct sp_err *err);
enum sp_status sp_live_init(struct sp_live *l, uint64_t seed, struct sp_err *err);

/* Counted and forgotten: for plans, however large. */
struct sp_step_count { struct sp_count micro, update, score, prefill, decode; int64_t parameters, state_bytes, arena_bytes, nodes; };
enum sp_status sp_step_count_train(const struct sp_model_config *c, const struct sp_train_shape *t, const struct sp_machine *m,
                                   struct sp_step_count *out, struct sp_err *err);
#endif
