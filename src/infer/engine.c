/* infer/engine.c - a model loaded for answering.
 * SPDX-License-Identifier: Apache-2.0 */
#include "infer.h"

/* What families call the end of a turn or a text, where neither configuration nor metadata list it. */
static void find_ends(struct sp_engine *e)
{
    static const char *const names[] = { "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end_of_turn|>", "<|END_OF_TURN_TOKEN|>",
                                         "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<|return|>" };
    for (int i = 0; i < e->job.config.n_eos; i++)
        sp_engine_add_end(e, (int32_t)e->job.config.eos[i]);
    if (!e->tokenizer)
        return;
    sp_engine_add_end(e, sp_tokenizer_eos(e->tokenizer));
    for (size_t i = 0; i < SP_COUNT(names); i++) {
        int32_t id = sp_tokenizer_find(e->tokenizer, names[i]);
        if (id >= 0 && sp_tokenizer_is_special(e->tokenizer, id))
            sp_engine_add_end(e, id);
    }
}

/* A copy in huge pages is read faster (docs/performance.md), for which memory has to be ample. */
static bool stays_on_file(const struct sp_weights *w, const struct sp_machine *m)
{
    uint64_t bytes = 0;
    for (int i = 0; i < w->n; i++)
        bytes += w->tensor[i]->bytes;
    return m->memory_bytes && bytes > m->memory_bytes / 2;
}

static enum sp_status open_parts(struct sp_engine *e, const char *path, const char *tokenizer, const struct sp_serve_shape *shape,
                                 const struct sp_machine *m, struct sp_err *err)
{
    TRY(sp_weights_open(&e->weights, path, err));
    TRY(sp_weights_tokenizer(&e->weights, tokenizer, &e->tokenizer, err));
    struct sp_serve_shape as_stored = *shape;
    as_stored.stored_of = sp_weights_stored;
    as_stored.phase_of = stays_on_file(&e->weights, m) ? sp_weights_phase : NULL;
    as_stored.stored_self = &e->weights;
    TRY(sp_step_serve(&e->weights.config, &as_stored, m, NULL, NULL, &e->job, err));
    TRY(sp_live_new(&e->live, &e->job, e->pool, false, err));
    e->candidates = sp_alloc((size_t)e->job.config.vocab * sizeof *e->candidates);
    if (!e->candidates)
        return sp_fail(err, SP_NOMEM, "no memory to draw tokens");
    find_ends(e);
    return sp_live_fill(&e->live, &e->weights, NULL, NULL, err);
}

enum sp_status sp_engine_open(struct sp_engine *e, const char *path, const char *tokenizer, const struct sp_serve_shape *shape,
                              const struct sp_machine *m, struct sp_pool *pool, struct sp_err *err)
{
    *e = (struct sp_engine){ .pool = pool };
    enum sp_status st = open_parts(e, path, tokenizer, shape, m, err);
    if (st)
        sp_engine_close(e);
    return st;
}

void sp_engine_close(struct sp_engine *e)
{
    sp_free(e->candidates);
    sp_live_clear(&e->live);
    sp_job_clear(&e->job);
    sp_weights_close(&e->weights);
    sp_tokenizer_free(e->tokenizer);
    *e = (struct sp_engine){ 0 };
}

bool sp_engine_is_end(const struct sp_engine *e, int32_t id)
{
    for (int i = 0; i < e->n_ends; i++)
        if (e->end[i] == id)
            return true;
    return false;
}

void sp_engine_add_end(struct sp_engine *e, int32_t id)
{
    if (id >= 0 && e->n_ends < SP_ENDS_MAX && !sp_engine_is_end(e, id))
        e->end[e->n_ends++] = id;
}
