/* api/model.c - the public model: loaded once, answers prompts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "api.h"
#include "../infer/infer.h"

enum { PREFILL = 64 };   /* positions of a prompt taken at once */

struct sparsam_model { struct sp_engine engine; };

static enum sp_status model_open(struct sparsam_model *h, struct sparsam_machine *m, const char *path,
                                 const struct sparsam_model_options *given, struct sp_err *err)
{
    struct sparsam_model_options o = SPARSAM_MODEL_OPTIONS;
    TRY(sp_api_options(&o, sizeof o, given, "sparsam_model_options", err));
    enum sp_format compute = o.bf16 ? SP_BF16 : SP_F32;
    struct sp_serve_shape shape = { .batch = 1, .prefill = PREFILL, .cache = o.context, .compute = compute,
                                    .stored = compute, .cached = compute };
    return sp_engine_open(&h->engine, path, o.tokenizer, &shape, &m->m, m->pool, err);
}

enum sparsam_status sparsam_model_open(struct sparsam_model **out, struct sparsam_machine *m, const char *path,
                                       const struct sparsam_model_options *options)
{
    struct sp_err err = { 0 };
    struct sparsam_model *h = sp_zalloc(1, sizeof *h);
    enum sp_status st = h ? model_open(h, m, path, options, &err) : sp_fail(&err, SP_NOMEM, "out of memory for a model");
    if (st)
        sp_free(h);
    else
        *out = h;
    return sp_api_status(st, &err);
}

void sparsam_model_close(struct sparsam_model *model)
{
    if (model)
        sp_engine_close(&model->engine);
    sp_free(model);
}

int64_t sparsam_model_parameters(const struct sparsam_model *model)
{
    return model->engine.job.parameters;
}

static void hand_on(void *self, const struct sp_event *e)
{
    const struct sparsam_generate_options *o = self;
    if (e->kind == SP_EVENT_TOKEN && o->on_text && e->text)
        o->on_text(o->self, e->text);
}

static enum sp_status generate(struct sparsam_model *model, const struct sp_ids *prompt, struct sparsam_generate_options *o,
                               struct sparsam_answer *a, struct sp_err *err)
{
    struct sp_sampling how = { .temperature = o->temperature, .top_p = o->top_p, .min_p = o->min_p, .repeat_penalty = 1,
                               .top_k = o->top_k, .seed = o->seed, .greedy = o->temperature <= 0 };
    struct sp_watch watch = { hand_on, o };
    struct sp_answer got = { 0 };
    struct sp_session s;
    sp_session_begin(&s, &model->engine);
    enum sp_status st = sp_generate(&s, prompt->at, (int64_t)prompt->n, &how, o->max_tokens, false, &watch, &got, err);
    char *text = st ? NULL : sp_strdup(got.text.at ? got.text.at : "");
    if (!st && !text)
        st = sp_fail(err, SP_NOMEM, "out of memory for the answer");
    if (!st)
        *a = (struct sparsam_answer){ sizeof *a, text, got.prompt_tokens, (int64_t)got.ids.n, got.prompt_s, got.generate_s };
    sp_answer_clear(&got);
    sp_session_end(&s);
    return st;
}

static enum sp_status answer(struct sparsam_model *model, const char *prompt, const struct sparsam_generate_options *given,
                             struct sparsam_answer *a, struct sp_err *err)
{
    struct sparsam_generate_options o = SPARSAM_GENERATE_OPTIONS;
    struct sp_ids ids = { 0 };
    TRY(sp_api_options(&o, sizeof o, given, "sparsam_generate_options", err));
    if (!model->engine.tokenizer) {
        sp_fail(err, SP_MISSING, "this model has no tokenizer beside it");
        return sp_remedy(err, "name one in sparsam_model_options");
    }
    enum sp_status st = sp_tokenizer_encode(model->engine.tokenizer, prompt, strlen(prompt), true, &ids, err);
    if (!st)
        st = generate(model, &ids, &o, a, err);
    sp_ids_clear(&ids);
    return st;
}

enum sparsam_status sparsam_generate(struct sparsam_model *model, const char *prompt,
                                     const struct sparsam_generate_options *options, struct sparsam_answer *out)
{
    struct sp_err err = { 0 };
    struct sparsam_answer a = SPARSAM_ANSWER;
    enum sp_status st = answer(model, prompt, options, &a, &err);
    if (!st)
        sp_api_result(out, &a, sizeof a);
    return sp_api_status(st, &err);
}

void sparsam_answer_clear(struct sparsam_answer *a)
{
    sp_free(a->text);
    a->text = NULL;
}
