/* cli/verb_eval.c - how well a model predicts a text.
 * SPDX-License-Identifier: Apache-2.0 */
#include "work.h"

struct eval_options { struct sp_recipe_data data; int64_t batch, tokens, windows; int compute; bool held_out; };

#define AT(field) offsetof(struct eval_options, field)
static const char *const computes[] = { "f32", "bf16", NULL };
static const struct sp_option eval_options[] = {
    { .name = "batch", .letter = 'b', .kind = SP_OPT_INT, .at = AT(batch), .min = 1, .max = 4096, .fallback = 4, .group = "Scoring", .unit = "windows", .help = "windows at once" },
    { .name = "tokens", .kind = SP_OPT_INT, .at = AT(tokens), .min = 0, .max = 1 << 24, .fallback = 0, .unit = "tokens", .help = "length of a window; 0: the model's context" },
    { .name = "windows", .kind = SP_OPT_INT, .at = AT(windows), .min = 0, .max = 1e9, .fallback = 0, .help = "windows to score, spread over the text; 0: all" },
    { .name = "compute", .kind = SP_OPT_CHOICE, .at = AT(compute), .choices = computes, .help = "format of matrix inputs" },
    { .name = "held-out", .kind = SP_OPT_FLAG, .at = AT(held_out), .help = "only the share of --data that training with the same data didn't see" },
    { 0 },
};
#undef AT

struct evaluating { struct sp_machine machine; struct sp_pool *pool; struct sp_weights weights; struct sp_job job; struct sp_live live; struct work_text text; struct sp_progress bar; };

static void on_event(void *self, const struct sp_event *e)
{
    if (e->kind == SP_EVENT_STEP)
        sp_progress_show(self, (double)e->done, (double)e->total, NULL);
}

static enum sp_status evaluate(struct evaluating *k, struct verb_call *call, struct sp_quality *q, struct sp_err *err)
{
    const struct eval_options *o = call->options;
    char beside[4096] = "";
    struct sp_watch watch = { on_event, &k->bar };
    TRY(sp_pool_new(&k->pool, k->machine.threads, err));
    TRY(sp_weights_open(&k->weights, call->operands[0], err));
    if (k->weights.folder)
        snprintf(beside, sizeof beside, "%s/tokenizer.json", k->weights.folder);
    TRY(work_text_open(&k->text, &o->data, sp_is_file(beside) ? beside : NULL, !o->held_out, &call->common, err));
    if (sp_tokenizer_vocab(k->text.tokenizer) > k->weights.config.vocab)
        return sp_fail(err, SP_USAGE, "the tokenizer has %d tokens, the model only %lld", (int)sp_tokenizer_vocab(k->text.tokenizer), (long long)k->weights.config.vocab);
    enum sp_format compute = o->compute ? SP_BF16 : SP_F32;
    TRY(sp_step_score(&k->weights.config, o->batch, o->tokens > 0 ? o->tokens : k->weights.config.context, compute, SP_F32, &k->machine, &k->job, err));
    TRY(sp_live_new(&k->live, &k->job, k->pool, false, err));
    TRY(sp_live_fill(&k->live, &k->weights, NULL, NULL, err));
    sp_progress_begin(&k->bar, "scoring", call->common.quiet || call->common.json);
    enum sp_status st = sp_judge_tokens(&k->live, &k->text.valid, o->windows, &watch, q, err);
    sp_progress_end(&k->bar, st ? "stopped" : "done");
    return st;
}

static enum sp_status eval_run(struct verb_call *call, struct sp_err *err)
{
    struct evaluating k = { 0 };
    struct sp_quality q = { 0 };
    struct book b;
    struct sp_err booking;
    TRY(work_machine(&call->common, &k.machine, err));
    sp_signals_install();
    TRY(book_begin(&b, call, &k.machine, json_pack("{s:s}", "model", call->operands[0]), NULL, err));
    book_file(&b, false, call->operands[0]);
    book_file(&b, false, ((const struct eval_options *)call->options)->data.path);
    enum sp_status st = evaluate(&k, call, &q, err), booked = book_end(&b, NULL, st ? NULL : quality_json(&q), st ? err : NULL, &booking);
    sp_live_clear(&k.live);
    sp_job_clear(&k.job);
    work_text_close(&k.text);
    sp_weights_close(&k.weights);
    sp_pool_free(k.pool);
    TRY(st);
    if (booked)
        *err = booking;
    TRY(booked);
    if (call->common.json) {
        call->answer = quality_json(&q);
        json_object_set_new(call->answer, "schema", json_string("sparsam.eval/1"));
        json_object_set_new(call->answer, "measured", sp_cost_json(&b.measured));
        return SP_OK;
    }
    printf("Loss %.4f +- %.4f nats a token, perplexity %.3f, %.4f bits a byte (%lld tokens in %lld of %lld windows).\n", q.loss, q.loss_stderr, q.perplexity,
           q.bits_per_byte, (long long)q.tokens, (long long)q.windows, (long long)q.windows_given);
    return SP_OK;
}

const struct verb sp_verb_eval = {
    .name = "eval",
    .help = "measure how well a model predicts a text",
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,
    .text = "Loss in nats a token, perplexity, and bits a byte (which compares models with different\n"
            "tokenizers), with the standard error over windows of text.\n"
            "\n"
            "  sparsam eval model --data other.txt\n"
            "  sparsam eval model --data book.txt --held-out\n",
    .sets = { { sp_recipe_data_options, offsetof(struct eval_options, data) }, { eval_options, 0 } },
    .options_bytes = sizeof(struct eval_options),
    .run = eval_run,
};
