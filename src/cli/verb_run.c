/* cli/verb_run.c - let a model answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "run.h"
#include "work.h"

enum { PROMPT_MAX = 64 << 20, ANSWER_TOKENS = 128 };

#define AT(field) offsetof(struct run_options, field)
static const struct sp_option run_options[] = {
    { .name = "prompt", .kind = SP_OPT_TEXT, .at = AT(prompt), .group = "Prompt", .unit = "TEXT", .help = "the prompt, as the words behind MODEL are; -: standard input" },
    { .name = "prompt-file", .kind = SP_OPT_TEXT, .at = AT(prompt_file), .unit = "FILE", .help = "the prompt from a file, less the end of its last line" },
    { .name = "prompt-ids", .kind = SP_OPT_TEXT, .at = AT(prompt_ids), .unit = "N,N,...", .help = "token numbers instead of text" },
    { .name = "interactive", .letter = 'i', .kind = SP_OPT_FLAG, .at = AT(interactive), .help = "a conversation, also where no terminal is: a line is what is said" },
    { .name = "chat", .kind = SP_OPT_FLAG, .at = AT(chat), .help = "the prompt is what somebody says, put as the model's chat template wants it" },
    { .name = "plain", .kind = SP_OPT_FLAG, .at = AT(plain), .help = "a conversation without the chat template: the text goes on" },
    { .name = "system", .kind = SP_OPT_TEXT, .at = AT(system), .unit = "TEXT", .help = "with a chat template: how the model is to behave" },
    { .name = "stop", .kind = SP_OPT_TEXT, .at = AT(stop), .unit = "TEXT", .help = "an answer ends before this text" },
    { .name = "tokenizer", .kind = SP_OPT_TEXT, .at = AT(tokenizer), .unit = "FILE", .help = "tokenizer.json, where it isn't beside the model" },
    { .name = "stats", .kind = SP_OPT_FLAG, .at = AT(stats), .help = "in a conversation: the speed after each answer" },
    { .name = "logits", .kind = SP_OPT_FLAG, .at = AT(logits), .help = "give the logits after the prompt" },
    { 0 },
};
#undef AT

/* ---- the prompt's text ---- */

static enum sp_status read_input(struct sp_text *out, struct sp_err *err)
{
    char part[1 << 14];
    for (size_t n; (n = fread(part, 1, sizeof part, stdin)) > 0 && !out->full;)
        sp_text_add(out, part, n);
    if (out->full)
        return sp_fail(err, SP_LIMIT, "standard input: more than %d bytes of prompt", PROMPT_MAX);
    return ferror(stdin) ? sp_fail(err, SP_IO, "standard input can't be read") : SP_OK;
}

static void strip_end(struct sp_text *t)
{
    t->n -= t->n && t->at[t->n - 1] == '\n';
    t->n -= t->n && t->at[t->n - 1] == '\r';
}

static bool from_input(const struct run_options *o, const struct verb_call *call)
{
    bool none = call->n_operands < 2 && !o->prompt && !o->prompt_file && !o->prompt_ids;
    return (o->prompt && !strcmp(o->prompt, "-")) || (o->prompt_file && !strcmp(o->prompt_file, "-")) || (none && !o->interactive && !isatty(0));
}

static enum sp_status prompt_text(const struct run_options *o, const struct verb_call *call, struct sp_text *text, struct sp_err *err)
{
    int given = (call->n_operands > 1) + (o->prompt != NULL) + (o->prompt_file != NULL) + (o->prompt_ids != NULL);
    enum sp_status st = SP_OK;
    if (given > 1)
        return sp_fail(err, SP_USAGE, "words behind MODEL, --prompt, --prompt-file and --prompt-ids give the prompt: one of them");
    if (from_input(o, call) && o->interactive)
        return sp_fail(err, SP_USAGE, "--interactive takes lines from standard input, so that the prompt can't come from there");
    if (from_input(o, call))
        st = read_input(text, err);
    else if (o->prompt_file)
        st = sp_read_file(text, o->prompt_file, PROMPT_MAX, err);
    else if (o->prompt)
        sp_text_add(text, o->prompt, strlen(o->prompt));
    if (!st && (from_input(o, call) || o->prompt_file))
        strip_end(text);
    for (int i = 1; i < call->n_operands; i++)
        sp_text_printf(text, "%s%s", i > 1 ? " " : "", call->operands[i]);
    return !st && text->full ? sp_fail(err, SP_NOMEM, "no memory for the prompt") : st;
}

/* Whoever sits at a terminal and gives no prompt wants to talk. */
static bool is_conversation(const struct run_options *o, const struct verb_call *call)
{
    bool none = call->n_operands < 2 && !o->prompt && !o->prompt_file && !o->prompt_ids;
    return o->interactive || (none && isatty(0) && !o->logits && !call->common.json);
}

/* ---- the prompt's tokens ---- */

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
    int32_t end = -1;
    struct sp_text unused = { 0 };
    struct sp_err ignored;
    if (!sp_template_ending(t, e->tokenizer, &end, &unused, &ignored))
        sp_engine_add_end(e, end);
    sp_text_clear(&unused);
    json_t *messages = json_array();
    bool ok = (!system || say(messages, "system", system, strlen(system))) && say(messages, "user", said->n ? said->at : "", said->n);
    enum sp_status st = ok ? sp_template_tokens(t, e->tokenizer, messages, true, ids, err) : sp_fail(err, SP_USAGE, "what is said must be UTF-8 text");
    json_decref(messages);
    sp_template_free(t);
    return st;
}

static enum sp_status make_prompt(struct sp_engine *e, const struct run_options *o, const struct sp_text *text, struct sp_ids *ids, struct sp_err *err)
{
    if (o->chat && o->prompt_ids)
        return sp_fail(err, SP_USAGE, "--chat puts what is said into tokens, --prompt-ids gives them: one of both");
    if (o->plain)
        return sp_fail(err, SP_USAGE, "--plain is for conversations: without --chat a prompt is a text already");
    if (o->system && !o->chat)
        return sp_fail(err, SP_USAGE, "--system is said by a chat template: with --chat");
    if (o->prompt_ids)
        return parse_ids(o->prompt_ids, ids, err);
    if (!e->tokenizer) {
        sp_fail(err, SP_USAGE, "there is no tokenizer beside the model");
        return sp_remedy(err, "--tokenizer FILE, or --prompt-ids N,N,...");
    }
    enum sp_status st = o->chat ? chat_prompt(e, o->system, text, ids, err)
                                : sp_tokenizer_encode(e->tokenizer, text->n ? text->at : "", text->n, true, ids, err);
    int64_t begin = e->job.config.bos >= 0 ? e->job.config.bos : sp_tokenizer_eos(e->tokenizer);
    if (!st && !ids->n && begin >= 0)
        sp_ids_add(ids, (int32_t)begin);
    return st;
}

/* ---- the answer ---- */

void run_on_token(void *self, const struct sp_event *e)
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

double run_rate(double n, double s)
{
    return s > 0 ? n / s : 0;
}

static json_t *answer_json(const struct sp_answer *a, const float *logits, int64_t vocab)
{
    json_t *j = json_pack("{s:s, s:s%, s:o, s:I, s:f, s:f, s:f, s:b}", "schema", "sparsam.run/1", "text", a->text.at ? a->text.at : "", a->text.n, "token_ids",
                          ids_json(&a->ids), "prompt_tokens", (json_int_t)a->prompt_tokens, "prompt_tokens_per_s", run_rate((double)a->prompt_tokens, a->prompt_s),
                          "generate_tokens_per_s", run_rate((double)a->ids.n, a->generate_s), "first_token_s", a->first_token_s, "ended", (int)a->ended);
    json_t *list = logits ? json_array() : NULL;
    for (int64_t i = 0; list && i < vocab; i++)
        json_array_append_new(list, json_real((double)logits[i]));
    if (j && list)
        json_object_set_new(j, "logits", list);
    return j;
}

struct sp_sampling run_sampling(const struct sp_recipe_serve *s)
{
    return (struct sp_sampling){ s->temperature, s->top_p, s->min_p, s->repeat_penalty, s->top_k, s->seed, s->greedy };
}

static enum sp_status answer(struct sp_engine *e, struct verb_call *call, const struct sp_text *text, struct sp_answer *a, float *logits, struct sp_err *err)
{
    const struct run_options *o = call->options;
    const struct sp_recipe_serve *s = &o->serve;
    struct sp_sampling how = run_sampling(s);
    struct sp_watch watch = { run_on_token, stdout };
    struct sp_session session;
    struct sp_ids prompt = { 0 };
    enum sp_status st = make_prompt(e, o, text, &prompt, err);
    sp_session_begin(&session, e);
    if (!st && logits) {
        st = sp_session_feed(&session, prompt.at, (int64_t)prompt.n, err);
        if (!st)
            memcpy(logits, session.logits, (size_t)e->job.config.vocab * sizeof *logits);
        sp_session_end(&session);
        sp_session_begin(&session, e);
    }
    session.stop = o->stop;
    if (!st)
        st = sp_generate(&session, prompt.at, (int64_t)prompt.n, &how, s->max_tokens < 0 ? ANSWER_TOKENS : s->max_tokens, s->ignore_eos, call->common.json ? NULL : &watch, a, err);
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
    fflush(stdout); /* before what goes to the other stream */
    if (!quiet)
        fprintf(stderr, "prompt %lld tokens at %.0f/s, generated %zu at %.0f/s\n", (long long)a->prompt_tokens, run_rate((double)a->prompt_tokens, a->prompt_s),
                a->ids.n, run_rate((double)a->ids.n, a->generate_s));
}

static enum sp_status with_engine(struct verb_call *call, struct sp_engine *e, const struct sp_text *text, struct sp_err *err)
{
    const struct run_options *o = call->options;
    struct sp_answer a = { 0 };
    float *logits = o->logits ? sp_alloc((size_t)e->job.config.vocab * sizeof *logits) : NULL;
    if (o->logits && !logits)
        return sp_fail(err, SP_NOMEM, "no memory for the logits");
    enum sp_status st = answer(e, call, text, &a, logits, err);
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
    struct sp_text text = { .max = PROMPT_MAX };
    TRY(sp_weights_open(&w, call->operands[0], err));
    c = w.config;
    sp_weights_close(&w);
    struct sp_serve_shape shape = sp_serve_shape_of(&r, &c);
    TRY(sp_engine_open(&e, call->operands[0], o->tokenizer, &shape, m, pool, err));
    enum sp_status st = prompt_text(o, call, &text, err);
    if (!st)
        st = is_conversation(o, call) ? chat_run(call, &e, &text, err) : with_engine(call, &e, &text, err);
    sp_text_clear(&text);
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
    .help = "let a model answer, or talk with it",
    .operands = "MODEL [PROMPT...]", .operands_min = 1, .operands_max = VERB_OPERANDS_ANY,
    .text = "MODEL is a Hugging Face folder, a GGUF file, or a llama2.c checkpoint. The answer goes\n"
            "to standard output as it comes, the speed to standard error.\n"
            "\n"
            "  sparsam run model Once upon a time\n"
            "  sparsam run model.gguf --chat Why is the sky blue?\n"
            "  sparsam run model.gguf --chat --prompt-file question.txt\n"
            "  echo Once upon a time | sparsam run model\n"
            "  sparsam run model --prompt-ids 1,403 --greedy --max-tokens 64\n"
            "\n"
            "On a terminal and without a prompt it is a conversation: by the model's chat template, or,\n"
            "where it has none, a text that goes on. Only what is new of it goes through the model.\n"
            "Ctrl-C stops an answer, Ctrl-D ends, /help lists what else can be said to the program.\n"
            "A full context forgets the oldest exchanges and says so. Lines from elsewhere: -i.\n"
            "\n"
            "  sparsam run model.gguf\n"
            "  sparsam run model.gguf --system \"Answer in one sentence.\"\n"
            "  sparsam run model.gguf -i --json <questions.txt\n",
    .sets = { { sp_recipe_serve_options, offsetof(struct run_options, serve) }, { run_options, 0 } },
    .options_bytes = sizeof(struct run_options),
    .run = run_run,
};
