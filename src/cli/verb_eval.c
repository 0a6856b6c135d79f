/* cli/verb_eval.c - how well a model predicts a text, alone or against another.
 * SPDX-License-Identifier: Apache-2.0 */
#include "eval.h"

#define AT(field) offsetof(struct eval_options, field)
static const char *const computes[] = { "f32", "bf16", NULL };
static const struct sp_option eval_options[] = {
    { .name = "text", .letter = 't', .kind = SP_OPT_LIST, .at = AT(texts), .group = "Scoring by windows, as llama-perplexity", .unit = "PATH",
      .help = "a text, whole; may be given several times: one table" },
    { .name = "against", .kind = SP_OPT_TEXT, .at = AT(against), .unit = "MODEL",
      .help = "the original, or its saved log-probabilities: KL divergence, ratio of perplexities, same most likely token" },
    { .name = "save-logits", .kind = SP_OPT_TEXT, .at = AT(save), .unit = "FILE", .help = "write log-probabilities as llama-perplexity --kl-divergence-base does" },
    { .name = "batch", .letter = 'b', .kind = SP_OPT_INT, .at = AT(batch), .min = 1, .max = 4096, .fallback = 4, .group = "Scoring", .unit = "windows", .help = "windows at once" },
    { .name = "tokens", .kind = SP_OPT_INT, .at = AT(tokens), .min = 0, .max = 1 << 20, .fallback = 0, .unit = "tokens",
      .help = "length of a window; 0: the model's context, with --text at most 512" },
    { .name = "windows", .kind = SP_OPT_INT, .at = AT(windows), .min = 0, .max = 1e9, .fallback = 0,
      .help = "windows to score: of --data spread over it, of --text the first ones; 0: all" },
    { .name = "compute", .kind = SP_OPT_CHOICE, .at = AT(compute), .choices = computes, .help = "format of matrix inputs" },
    { .name = "held-out", .kind = SP_OPT_FLAG, .at = AT(held_out), .help = "only the share of --data that training with the same data didn't see" },
    { 0 },
};
#undef AT

struct evaluating { const struct sp_machine *machine; struct sp_pool *pool; struct sp_weights weights; struct sp_job job; struct sp_live live; struct work_text text; struct sp_progress bar; };

static enum sp_status evaluate(struct evaluating *k, struct verb_call *call, struct sp_quality *q, struct sp_err *err)
{
    const struct eval_options *o = call->options;
    char beside[4096] = "";
    struct sp_watch watch = { work_show_step, &k->bar };
    TRY(sp_pool_new(&k->pool, k->machine->threads, err));
    TRY(sp_weights_open(&k->weights, call->operands[0], err));
    if (k->weights.gguf)
        snprintf(beside, sizeof beside, "%s", call->operands[0]);
    else if (k->weights.folder)
        snprintf(beside, sizeof beside, "%s/tokenizer.json", k->weights.folder);
    TRY(work_text_open(&k->text, &o->data, sp_is_file(beside) ? beside : NULL, !o->held_out, &call->common, err));
    if (sp_tokenizer_vocab(k->text.tokenizer) > k->weights.config.vocab)
        return sp_fail(err, SP_USAGE, "the tokenizer has %d tokens, the model only %lld", (int)sp_tokenizer_vocab(k->text.tokenizer), (long long)k->weights.config.vocab);
    struct sp_score_shape shape = { .batch = o->batch, .tokens = o->tokens > 0 ? o->tokens : k->weights.config.context, .compute = o->compute ? SP_BF16 : SP_F32,
                                    .stored_of = sp_weights_stored, .stored_self = &k->weights };
    TRY(sp_step_scoring(&k->weights.config, &shape, k->machine, &k->job, err));
    TRY(sp_live_new(&k->live, &k->job, k->pool, false, err));
    TRY(sp_live_fill(&k->live, &k->weights, NULL, NULL, err));
    sp_progress_begin(&k->bar, "scoring", call->common.quiet || call->common.json);
    enum sp_status st = sp_judge_tokens(&k->live, &k->text.valid, o->windows, &watch, q, err);
    sp_progress_end(&k->bar, st ? "stopped" : "done");
    return st;
}

/* Every token of a stream of documents. */
static enum sp_status eval_stream(struct verb_call *call, const struct sp_machine *m, struct sp_quality *q, struct sp_err *err)
{
    struct evaluating k = { .machine = m };
    if (call->n_operands > 1) {
        sp_fail(err, SP_USAGE, "%d models are named, --data is scored by one", call->n_operands);
        return sp_remedy(err, "--text FILE compares several");
    }
    enum sp_status st = evaluate(&k, call, q, err);
    sp_live_clear(&k.live);
    sp_job_clear(&k.job);
    work_text_close(&k.text);
    sp_weights_close(&k.weights);
    sp_pool_free(k.pool);
    return st;
}

static void show_stream(const struct sp_quality *q)
{
    printf("Loss %.4f +- %.4f nats a token, perplexity %.3f, %.4f bits a byte (%lld tokens in %lld of %lld windows).\n", q->loss, q->loss_stderr, q->perplexity,
           q->bits_per_byte, (long long)q->tokens, (long long)q->windows, (long long)q->windows_given);
}

static void book_files(struct book *b, const struct verb_call *call)
{
    const struct eval_options *o = call->options;
    for (int i = 0; i < call->n_operands && b->files < BOOK_FILES_MAX - 4; i++)
        book_file(b, false, call->operands[i]);
    book_file(b, false, o->against);
    book_file(b, true, o->save);
    book_file(b, false, o->data.path);
    for (int i = 0; i < o->texts.n && b->files < BOOK_FILES_MAX; i++)
        book_file(b, false, o->texts.at[i]);
}

static enum sp_status eval_run(struct verb_call *call, struct sp_err *err)
{
    const struct eval_options *o = call->options;
    bool windows = o->texts.n || o->against || o->save;
    struct sp_machine m;
    struct sp_quality q = { 0 };
    static struct eval_result r;
    struct book b;
    struct sp_err booking;
    TRY(work_machine(&call->common, &m, err));
    sp_signals_install();
    TRY(book_begin(&b, call, &m, json_pack("{s:s}", "model", call->operands[0]), NULL, err));
    book_files(&b, call);
    enum sp_status st = windows ? eval_windows(call, &m, &r, err) : eval_stream(call, &m, &q, err);
    json_t *answer = st ? NULL : windows ? eval_json(&r) : quality_json(&q);
    enum sp_status booked = book_end(&b, NULL, json_incref(answer), st ? err : NULL, &booking);
    if (!st && booked)
        *err = booking;
    if (!st && !booked && call->common.json) {
        call->answer = json_incref(answer);
        json_object_set_new(call->answer, "schema", json_string("sparsam.eval/1"));
        json_object_set_new(call->answer, "measured", sp_cost_json(&b.measured));
    } else if (!st && !booked && windows)
        eval_show(stdout, &r);
    else if (!st && !booked)
        show_stream(&q);
    json_decref(answer);
    eval_result_clear(&r);
    return st ? st : booked;
}

const struct verb sp_verb_eval = {
    .name = "eval",
    .help = "measure how well a model predicts a text",
    .operands = "MODEL...", .operands_min = 1, .operands_max = EVAL_MODELS_MAX,
    .text = "With --data: loss in nats a token, perplexity, and bits a byte (which compares models with\n"
            "different tokenizers) over every token, with the standard error over windows of text.\n"
            "\n"
            "With --text: perplexity as llama-perplexity says it: windows of 512 tokens, the second half of\n"
            "each scored.  --against an original adds what a change of the model has done to it: KL\n"
            "divergence, ratio of perplexities with the error of the paired difference, agreement of the\n"
            "most likely token.  Of several models the first is also compared with each other one.\n"
            "Files of log-probabilities are llama.cpp's: either program scores what the other wrote.\n"
            "\n"
            "  sparsam eval model --data other.txt\n"
            "  sparsam eval model --data book.txt --held-out\n"
            "  sparsam eval small.gguf --against model --text english.txt --text german.txt\n"
            "  sparsam eval model --text english.txt --save-logits model.kld\n"
            "  sparsam eval small.gguf --against model.kld\n",
    .sets = { { sp_recipe_data_options, offsetof(struct eval_options, data) }, { eval_options, 0 } },
    .options_bytes = sizeof(struct eval_options),
    .run = eval_run,
};
