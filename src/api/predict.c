/* api/predict.c - the public prediction of a training step, from a recipe file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "api.h"
#include "../recipe/recipe.h"
#include "../step/step.h"

static enum sp_status count(const struct sp_recipe *r, const struct sp_machine *m, struct sparsam_prediction *p, struct sp_err *err)
{
    struct sp_model_config c;
    struct sp_job job;
    int64_t bytes[SP_MEM_KINDS], micros = r->train.accumulate > 1 ? r->train.accumulate : 1;
    TRY(sp_recipe_config(r, r->model.vocab ? 0 : r->data.vocab, &c, err));
    struct sp_train_shape shape = sp_train_shape_of(r, &c);
    TRY(sp_step_train(&c, &shape, m, NULL, NULL, &job, err));
    const struct sp_count *micro = &job.program[SP_RUN_MICRO].count, *update = &job.program[SP_RUN_UPDATE].count;
    p->parameters = (double)job.parameters;
    p->flops_matmul_step = (double)micros * micro->flops_matmul;
    p->flops_step = (double)micros * (micro->flops_matmul + micro->flops_attention + micro->flops_other) + update->flops_other;
    sp_job_memory(&job, m->threads, bytes);
    for (int i = 0; i < SP_MEM_KINDS; i++)
        p->memory_peak_bytes += (double)bytes[i];
    sp_job_clear(&job);
    return SP_OK;
}

enum sparsam_status sparsam_predict_training(const struct sparsam_machine *m, const char *recipe, struct sparsam_prediction *out)
{
    struct sp_err err = { 0 };
    struct sp_arena mem = { 0 };
    struct sp_recipe r;
    struct sparsam_prediction p = SPARSAM_PREDICTION;
    sp_recipe_defaults(&r);
    enum sp_status st = sp_recipe_read(&r, recipe, &mem, &err);
    if (!st)
        st = count(&r, &m->m, &p, &err);
    if (!st)
        sp_api_result(out, &p, sizeof p);
    sp_arena_clear(&mem);
    return sp_api_status(st, &err);
}
