/* step/live.c - a job bound to memory: one state region, one arena for all
 * programs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "step.h"

static const enum sp_memory kind_of[SP_STATE_KINDS] = {
    [SP_STATE_PARAM] = SP_MEM_WEIGHTS, [SP_STATE_GRAD] = SP_MEM_GRADIENTS, [SP_STATE_MOMENT] = SP_MEM_OPTIMIZER,
    [SP_STATE_CACHE] = SP_MEM_CACHE,   [SP_STATE_PACKED] = SP_MEM_PACKED,  [SP_STATE_TABLE] = SP_MEM_PROGRAM,
};

int64_t sp_job_arena_bytes(const struct sp_job *j)
{
    int64_t most = 0;
    for (int i = 0; i < SP_RUNS; i++)
        if (j->has[i] && j->program[i].arena_bytes > most)
            most = j->program[i].arena_bytes;
    return most;
}

void sp_job_memory(const struct sp_job *j, int threads, int64_t bytes[SP_MEM_KINDS])
{
    for (int i = 0; i < SP_MEM_KINDS; i++)
        bytes[i] = 0;
    for (int i = 0; i < j->state.n; i++)
        bytes[kind_of[j->state.entry[i].kind]] += sp_type_bytes(&j->state.entry[i].type);
    bytes[SP_MEM_ACTIVATIONS] = sp_job_arena_bytes(j);
    for (int i = 0; i < SP_RUNS; i++)
        if (j->has[i])
            bytes[SP_MEM_PROGRAM] += (int64_t)j->program[i].scratch_bytes * threads +
                                     (int64_t)j->program[i].n * (SP_KERNEL_ARGS_MAX + (int64_t)sizeof(struct sp_step));
}

/* Refused before memory is asked for. */
static enum sp_status runnable(const struct sp_job *j, struct sp_err *err)
{
    for (int i = 0; i < SP_RUNS; i++)
        for (int k = 0; j->has[i] && k < j->program[i].n; k++)
            if (!j->program[i].step[k].kernel) {
                TRY(sp_model_check_runs(&j->config, err));
                return sp_fail(err, SP_UNSUPPORTED, "program %s holds a step that can only be counted", sp_run_names[i]);
            }
    return SP_OK;
}

static enum sp_status make(struct sp_live *l, struct sp_pool *pool, bool profile, struct sp_err *err)
{
    const struct sp_job *j = l->job;
    TRY(runnable(j, err));
    TRY(sp_block_new(&l->state, (size_t)j->state.bytes + 64, err));
    if (!j->state.phase_of)
        sp_block_touch(&l->state, pool);
    else if (!(l->lent = sp_map_lend(l->state.at, l->state.bytes)))
        return sp_fail(err, SP_NOMEM, "no memory to watch a file");
    TRY(sp_block_new(&l->arena, (size_t)sp_job_arena_bytes(j) + 64, err));
    sp_block_touch(&l->arena, pool);
    for (int i = 0; i < SP_RUNS; i++)
        if (j->has[i])
            TRY(sp_exec_bind(&l->exec[i], &j->program[i], l->arena.at, l->state.at, pool, profile, err));
    return SP_OK;
}

enum sp_status sp_live_new(struct sp_live *l, const struct sp_job *j, struct sp_pool *pool, bool profile, struct sp_err *err)
{
    *l = (struct sp_live){ .job = j };
    enum sp_status st = make(l, pool, profile, err);
    if (st)
        sp_live_clear(l);
    return st;
}

void sp_live_clear(struct sp_live *l)
{
    for (int i = 0; i < SP_RUNS; i++)
        sp_exec_clear(&l->exec[i]);
    sp_map_lend_end(l->lent);
    sp_block_free(&l->state);
    sp_block_free(&l->arena);
    *l = (struct sp_live){ 0 };
}

void *sp_live_at(const struct sp_live *l, enum sp_run run, const char *name)
{
    return l->job->has[run] ? sp_exec_at(&l->exec[run], name) : NULL;
}

void *sp_live_state(const struct sp_live *l, const char *name)
{
    const struct sp_state_entry *e = sp_state_find(&l->job->state, name);
    return e ? l->state.at + e->at : NULL;
}

static void load(struct sp_live *l)
{
    if (l->job->has[SP_RUN_LOAD])
        sp_live_run(l, SP_RUN_LOAD);
    if (l->job->has[SP_RUN_REFRESH])
        sp_live_run(l, SP_RUN_REFRESH);
}

enum sp_status sp_live_fill(struct sp_live *l, const struct sp_weights *w, int *n_extra, const char **extra, struct sp_err *err)
{
    TRY(sp_weights_fill(w, &l->job->state, l->state.at, n_extra, extra, err));
    load(l);
    return SP_OK;
}

enum sp_status sp_live_init(struct sp_live *l, uint64_t seed, struct sp_err *err)
{
    TRY(sp_model_init(&l->job->config, &l->job->state, l->state.at, seed, err));
    load(l);
    return SP_OK;
}
