/* cli/verb_run.c - let a model answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "work.h"

struct run_options { struct sp_recipe_serve serve; const char *prompt_ids, *tokenizer, *system; bool chat, logits; };

#define AT(field) offsetof(struct run_options, field)
static const struct sp_option run_options[] = {
    { .name = "prompt-ids", .kind = SP_OPT_TEXT, .at = AT(prompt_ids), .group = "Prompt", .unit = "N,N,...", .help = "token numbers instead of text" },
    { .name = "chat", .kind = SP_OPT_FLAG, .at = AT(chat), .help = "the prompt is what somebody says, put as the model's chat template wants it" },
    { .name = "system", .kind = SP_OPT_TEXT, .at = AT(system), .unit = "TEXT", .help = "with --chat: how the model is to behave" },
    { .name = "tokenizer", .kind = SP_OPT_TEXT, .at = AT(tokenizer), .unit = "FILE", .help = "tokenizer.json, where it isn't beside the model" },
    { .name = "logits", .kind = SP_OPT_FLAG, .at = AT(logits), .help = "give the logits after the prompt" },
    { 0 },
};
#undef AT

/* ---- the prompt ---- */

static enum sp_status parse_ids(const char *s, struct sp_ids *ids, struct sp_err *err)
{
    while (*s) {
        char part[24];
        size_t n = strcspn(s, ", ");
        int64_t id;
        snprintf(part, sizeof part, "%.*s", (int)(n < 23 ? n : 23), s);
        if (!sp_parse_int(part, &id) || id < 0 || id > INT32_MAX)
            return sp_fail(err, SP_USAGE, "--prompt-ids must be token numbers with commas between, not '%s'", part);
        sp_ids_add(ids, (int32_t)id);
        s += n + (s[n] != 0);
    }
    return ids->full ? sp_fail(err, SP_NOMEM, "no memory for the prompt") : SP_OK;
}

static bool say(json_t *messages, const char *role, const char *text, size_t n)
{
    return !json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", role, "content", text, n));
}

/* What is said, as the model's own template puts it: it brings the beginning token itself. */
static enum sp_status chat_prompt(struct sp_engine *e, const char *system, const struct sp_text *said, struct sp_ids *ids, struct sp_err *err)
{
    struct sp_template *t = NULL;
    TRY(sp_weights_template(&e->weights, &t, err));
    if (!t) {
        sp_fail(err, SP_USAGE, "the model carries no chat template");
        return sp_remedy(err, "without --chat the prompt is continued as a text");
    }
    json_t *messages = json_array();
    bool ok = (!system || say(messages, "system", system, strlen(system))) && say(messages, "user", said->n ? said->at : "", said->n);
    enum sp_status st = ok ? sp_template_tokens(t, e->tokenizer, messages, true, ids, err) : sp_fail(err, SP_USAGE, "what is said must be UTF-8 text");
    json_decref(messages);
    sp_template_free(t);
    return st;
}

static enum sp_status make_prompt(struct sp_engine *e, const struct run_options *o, const struct verb_call *call, struct sp_ids *ids, struct sp_err *err)
{
    struct sp_text text = { 0 };
    if (o->chat && o->prompt_ids)
        return sp_fail(err, SP_USAGE, "--chat puts what is said into tokens, --prompt-ids gives them: one of both");
    if (o->system && !o->chat)
        return sp_fail(err, SP_USAGE, "--system is said by a chat template: with --chat");
    if (o->prompt_ids)
        return parse_ids(o->prompt_ids, ids, err);
    if (!e->tokenizer) {
        sp_fail(err, SP_USAGE, "there is no tokenizer beside the model");
        return sp_remedy(err, "--tokenizer FILE, or --prompt-ids N,N,...");
    }
    for (int i = 1; i < call->n_operands; i++)
        sp_text_printf(&text, "%s%s", i > 1 ? " " : "", call->operands[i]);
    enum sp_status st = o->chat ? chat_prompt(e, o->system, &text, ids, err)
                                : sp_tokenizer_encode(e->tokenizer, text.at ? text.at : "", text.n, true, ids, err);
    sp_text_clear(&text);
    int64_t begin = e->job.config.bos >= 0 ? e->job.config.bos : sp_tokenizer_eos(e->tokenizer);
    if (!st && !ids->n && begin >= 0)
        sp_ids_add(ids, (int32_t)begin);
    return st;
}

/* ---- the answer ---- */

static void on_token(void *self, const struct sp_event *e)
{
    if (e->kind == SP_EVENT_TOKEN && e->text) {
        fputs(e->text, self);
        fflush(self);
    }
}

static json_t *ids_json(const struct sp_ids *ids)
{
    json_t *a = json_array();
    for (size_t i = 0; a && i < ids->n; i++)
        json_array_append_new(a, json_integer(ids->at[i]));
    return a;
}

static double rate(double n, double s)
{
    return s > 0 ? n / s : 0;
}

static json_t *answer_json(const struct sp_answer *a, const float *logits, int64_t vocab)
{
    json_t *j = json_pack("{s:s, s:s%, s:o, s:I, s:f, s:f, s:f, s:b}", "schema", "sparsam.run/1", "text", a->text.at ? a->text.at : "", a->text.n, "token_ids",
                          ids_json(&a->ids), "prompt_tokens", (json_int_t)a->prompt_tokens, "prompt_tokens_per_s", rate((double)a->prompt_tokens, a->prompt_s),
                          "generate_tokens_per_s", rate((double)a->ids.n, a->generate_s), "first_token_s", a->first_token_s, "ended", (int)a->ended);
    json_t *list = logits ? json_array() : NULL;
    for (int64_t i = 0; list && i < vocab; i++)
        json_array_append_new(list, json_real((double)logits[i]));
    if (j && list)
        json_object_set_new(j, "logits", list);
    return j;
}

static enum sp_status answer(struct sp_engine *e, struct verb_call *call, struct sp_answer *a, float *logits, struct sp_err *err)
{
    const struct run_options *o = call->options;
    const struct sp_recipe_serve *s = &o->serve;
    struct sp_sampling how = { s->temperature, s->top_p, s->min_p, s->repeat_penalty, s->top_k, s->seed, s->greedy };
    struct sp_watch watch = { on_token, stdout };
    struct sp_session session;
    struct sp_ids prompt = { 0 };
    enum sp_status st = make_prompt(e, o, call, &prompt, err);
    sp_session_begin(&session, e);
    if (!st && logits) {
        st = sp_session_feed(&session, prompt.at, (int64_t)prompt.n, err);
        if (!st)
            memcpy(logits, session.logits, (size_t)e->job.config.vocab * sizeof *logits);
        sp_session_end(&session);
        sp_session_begin(&session, e);
    }
    if (!st)
        st = sp_generate(&session, prompt.at, (int64_t)prompt.n, &how, s->max_tokens, s->ignore_eos, call->common.json ? NULL : &watch, a, err);
    sp_session_end(&session);
    sp_ids_clear(&prompt);
    return st;
}

static void show(const struct sp_answer *a, const float *logits, int64_t vocab, bool quiet)
{
    if (a->text.n == 0)
        for (size_t i = 0; i < a->ids.n; i++)
            printf("%s%d", i ? "," : "", (int)a->ids.at[i]);
    putchar('\n');
    for (int64_t i = 0; logits && i < vocab; i++)
        printf("%lld %.6f\n", (long long)i, (double)logits[i]);
    if (!quiet)
        fprintf(stderr, "prompt %lld tokens at %.0f/s, generated %zu at %.0f/s\n", (long long)a->prompt_tokens, rate((double)a->prompt_tokens, a->prompt_s),
                a->ids.n, rate((double)a->ids.n, a->generate_s));
}

static enum sp_status with_engine(struct verb_call *call, struct sp_engine *e, struct sp_err *err)
{
    const struct run_options *o = call->options;
    struct sp_answer a = { 0 };
    float *logits = o->logits ? sp_alloc((size_t)e->job.config.vocab * sizeof *logits) : NULL;
    if (o->logits && !logits)
        return sp_fail(err, SP_NOMEM, "no memory for the logits");
    enum sp_status st = answer(e, call, &a, logits, err);
    if (!st && call->common.json)
        call->answer = answer_json(&a, logits, e->job.config.vocab);
    else if (!st)
        show(&a, logits, e->job.config.vocab, call->common.quiet);
    sp_answer_clear(&a);
    sp_free(logits);
    return st;
}

static enum sp_status open_and_answer(struct verb_call *call, const struct sp_machine *m, struct sp_pool *pool, struct sp_err *err)
{
    const struct run_options *o = call->options;
    struct sp_recipe r = { .serve = o->serve };
    struct sp_model_config c;
    struct sp_weights w;
    struct sp_engine e;
    TRY(sp_weights_open(&w, call->operands[0], err));
    c = w.config;
    sp_weights_close(&w);
    struct sp_serve_shape shape = sp_serve_shape_of(&r, &c);
    TRY(sp_engine_open(&e, call->operands[0], o->tokenizer, &shape, m, pool, err));
    enum sp_status st = with_engine(call, &e, err);
    sp_engine_close(&e);
    return st;
}

static enum sp_status run_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_machine m;
    struct sp_pool *pool;
    struct book b;
    struct sp_err booking;
    TRY(work_machine(&call->common, &m, err));
    sp_signals_install();
    TRY(sp_pool_new(&pool, m.threads, err));
    enum sp_status st = book_begin(&b, call, &m, json_pack("{s:s}", "model", call->operands[0]), NULL, err);
    if (!st) {
        book_file(&b, false, call->operands[0]);
        st = open_and_answer(call, &m, pool, err);
        enum sp_status booked = book_end(&b, NULL, NULL, st ? err : NULL, &booking);
        if (!st && booked) {
            *err = booking;
            st = booked;
        }
    }
    sp_pool_free(pool);
    return st;
}

const struct verb sp_verb_run = {
    .name = "run",
    .help = "let a model answer",
    .operands = "MODEL [PROMPT...]", .operands_min = 1, .operands_max = VERB_OPERANDS_ANY,
    .text = "MODEL is a Hugging Face folder, a GGUF file, or a llama2.c checkpoint. The answer goes\n"
            "to standard output as it comes, the speed to standard error.\n"
            "\n"
            "  sparsam run model Once upon a time\n"
            "  sparsam run model.gguf --chat Why is the sky blue?\n"
            "  sparsam run model --prompt-ids 1,403 --greedy --max-tokens 64\n",
    .sets = { { sp_recipe_serve_options, offsetof(struct run_options, serve) }, { run_options, 0 } },
    .options_bytes = sizeof(struct run_options),
    .run = run_run,
};
