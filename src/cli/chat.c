/* cli/chat.c - a conversation with a model, line by line.
 *
 * Each turn puts all that was said into tokens anew, by the model's own template, and feeds only what differs from what
 * is cached: keys and values stay from turn to turn as long as the beginning is the same.  A model without a template
 * goes on with the text.  When the context is full the oldest exchanges go, and that is said.
 *
 * It doesn't know the ledger: a conversation is one run of the verb.
 * SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <string.h>

#include "../file/file.h"
#include "run.h"

enum { FILE_MAX = 64 << 20 };

struct chat {
    const struct verb_call *call;
    const struct run_options *o;
    struct sp_engine *engine;
    struct sp_template *template;  /* NULL: what is said goes on as a text   */
    struct sp_session session;
    struct lines *in;
    json_t *messages;              /* with a template                        */
    struct sp_ids ids;             /* all that was said, as tokens           */
    struct sp_text text, stop;     /* without a template: all of the text; how the template ends an answer */
    struct { int64_t answers, prompt, cached, generated, dropped; double prompt_s, generate_s, first_s; } sum;
    bool over;
};

static int64_t cache_of(const struct chat *c)
{
    return c->engine->job.serve.cache;
}

__attribute__((format(printf, 2, 3))) static void note(const struct chat *c, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    sp_vformat(line, sizeof line, fmt, ap);
    va_end(ap);
    if (!c->call->common.quiet && !c->call->common.json)
        fprintf(stderr, "(%s)\n", line);
}

/* ---- messages ---- */

static enum sp_status add_message(struct chat *c, const char *role, const char *s, size_t n, struct sp_err *err)
{
    json_t *m = json_pack("{s:s, s:s%}", "role", role, "content", s ? s : "", n);
    if (!m)
        return sp_fail(err, sp_utf8_valid(s ? s : "", n) ? SP_NOMEM : SP_USAGE, "what is said must be UTF-8 text");
    return json_array_append_new(c->messages, m) ? sp_fail(err, SP_NOMEM, "no memory for the conversation") : SP_OK;
}

static bool has_role(const json_t *m, const char *role)
{
    const char *r = json_string_value(json_object_get(m, "role"));
    return r && !strcmp(r, role);
}

static size_t first_said(const struct chat *c)
{
    return has_role(json_array_get(c->messages, 0), "system");
}

static void drop_last(struct chat *c)
{
    json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

/* The oldest thing said and its answer; false when only the last is left. */
static bool drop_oldest(struct chat *c)
{
    size_t at = first_said(c), next = at + 1;
    while (next < json_array_size(c->messages) && !has_role(json_array_get(c->messages, next), "user"))
        next++;
    if (next >= json_array_size(c->messages))
        return false;
    for (; next > at; next--)
        json_array_remove(c->messages, at);
    return true;
}

/* ---- room ---- */

static enum sp_status render(struct chat *c, struct sp_err *err)
{
    c->ids.n = 0;
    return sp_template_tokens(c->template, c->engine->tokenizer, c->messages, true, &c->ids, err);
}

/* Positions kept for an answer. */
static int64_t reserve_of(const struct chat *c)
{
    int64_t quarter = cache_of(c) / 4, most = c->o->serve.max_tokens;
    return most >= 0 && most < quarter ? most : quarter;
}

static enum sp_status no_room(const struct chat *c, struct sp_err *err)
{
    sp_fail(err, SP_LIMIT, "what was said takes %zu tokens, the context holds %lld", c->ids.n, (long long)cache_of(c));
    return sp_remedy(err, "say less at once, or --cache N");
}

/* With a template exchanges go until half of the context is free, so that not every turn begins anew. */
static enum sp_status fit_messages(struct chat *c, struct sp_err *err)
{
    int64_t dropped = 0;
    TRY(render(c, err));
    if ((int64_t)c->ids.n + reserve_of(c) <= cache_of(c))
        return SP_OK;
    for (; (int64_t)c->ids.n > cache_of(c) / 2 && drop_oldest(c); dropped++)
        TRY(render(c, err));
    if ((int64_t)c->ids.n >= cache_of(c))
        return no_room(c, err);
    c->sum.dropped += dropped;
    if (dropped)
        note(c, "the context of %lld tokens is full: the oldest %lld exchange%s forgotten; --cache N makes it larger", (long long)cache_of(c),
             (long long)dropped, dropped > 1 ? "s are" : " is");
    return SP_OK;
}

/* Without one the oldest tokens go, but the text's beginning token. */
static enum sp_status fit_text(struct chat *c, struct sp_err *err)
{
    int64_t n = (int64_t)c->ids.n, keep = cache_of(c) / 2, from = n - keep;
    int64_t first = n && c->ids.at[0] == c->engine->job.config.bos;
    if (n + reserve_of(c) <= cache_of(c))
        return SP_OK;
    if (from <= first)
        return n < cache_of(c) ? SP_OK : no_room(c, err);
    memmove(c->ids.at + first, c->ids.at + from, (size_t)(n - from) * sizeof *c->ids.at);
    c->ids.n = (size_t)(n - from + first);
    c->sum.dropped += from - first;
    note(c, "the context of %lld tokens is full: the oldest %lld tokens are forgotten; --cache N makes it larger", (long long)cache_of(c),
         (long long)(from - first));
    return SP_OK;
}

/* ---- a turn ---- */

static void count(struct chat *c, const struct sp_answer *a, int64_t cached)
{
    c->sum.answers++;
    c->sum.prompt += a->prompt_tokens;
    c->sum.cached += cached;
    c->sum.generated += (int64_t)a->ids.n;
    c->sum.prompt_s += a->prompt_s;
    c->sum.generate_s += a->generate_s;
    c->sum.first_s += a->first_token_s;
    if (c->o->stats)
        note(c, "prompt %lld tokens at %.0f/s, %lld were cached, generated %zu at %.0f/s", (long long)a->prompt_tokens,
             run_rate((double)a->prompt_tokens, a->prompt_s), (long long)cached, a->ids.n, run_rate((double)a->ids.n, a->generate_s));
}

/* The answer to c->ids. */
static enum sp_status speak(struct chat *c, struct sp_answer *a, struct sp_err *err)
{
    const struct sp_recipe_serve *s = &c->o->serve;
    struct sp_sampling how = run_sampling(s);
    struct sp_watch watch = { run_on_token, stdout };
    int64_t n = (int64_t)c->ids.n, shared = sp_session_shared(&c->session, c->ids.at, n);
    shared = shared < n ? shared : n - 1; /* the last token gives the logits */
    sp_session_cut(&c->session, shared);
    enum sp_status st = sp_generate(&c->session, c->ids.at + shared, n - shared, &how, s->max_tokens < 0 ? cache_of(c) : s->max_tokens, s->ignore_eos,
                                    c->call->common.json ? NULL : &watch, a, err);
    if (!c->call->common.json)
        putchar('\n');
    bool stopped = sp_signal_pending() == SIGINT;
    if (stopped) {
        sp_signal_forget();
        note(c, "stopped");
    }
    if (st)
        return st;
    if (!stopped && !a->ended && c->session.past >= cache_of(c))
        note(c, "the answer ends here: the context of %lld tokens is full; --cache N makes it larger", (long long)cache_of(c));
    count(c, a, shared);
    return SP_OK;
}

static enum sp_status say_by_template(struct chat *c, const struct sp_text *said, struct sp_err *err)
{
    struct sp_answer a = { 0 };
    TRY(add_message(c, "user", said->at, said->n, err));
    enum sp_status st = fit_messages(c, err);
    if (!st)
        st = speak(c, &a, err);
    if (!st)
        st = add_message(c, "assistant", a.text.at, a.text.n, err);
    else
        drop_last(c);
    sp_answer_clear(&a);
    return st;
}

/* What is said stands on a line of its own; an empty line lets the model go on. */
static enum sp_status say_as_text(struct chat *c, const struct sp_text *said, struct sp_err *err)
{
    struct sp_answer a = { 0 };
    size_t was = c->text.n, was_ids = c->ids.n;
    if (was && said->n && c->text.at[was - 1] != '\n')
        sp_text_add(&c->text, "\n", 1);
    sp_text_add(&c->text, said->n ? said->at : "", said->n);
    enum sp_status st = sp_tokenizer_encode(c->engine->tokenizer, c->text.n ? c->text.at + was : "", c->text.n - was, !was_ids, &c->ids, err);
    if (!st && !c->ids.n)
        return SP_OK;
    if (!st)
        st = fit_text(c, err);
    if (!st)
        st = speak(c, &a, err);
    if (st) {
        c->text.n = was;
        c->ids.n = was_ids < c->ids.n ? was_ids : c->ids.n;
        return st;
    }
    sp_text_add(&c->text, a.text.n ? a.text.at : "", a.text.n);
    for (size_t i = 0; i < a.ids.n; i++)
        sp_ids_add(&c->ids, a.ids.at[i]);
    sp_answer_clear(&a);
    return c->text.full || c->ids.full ? sp_fail(err, SP_NOMEM, "no memory for the conversation") : SP_OK;
}

/* ---- what is said to the program ---- */

static enum sp_status need_template(const struct chat *c, struct sp_err *err)
{
    return c->template ? SP_OK : sp_fail(err, SP_USAGE, "the model has no chat template: what is said goes on as a text");
}

static enum sp_status set_system(struct chat *c, const char *text, struct sp_err *err)
{
    TRY(need_template(c, err));
    if (first_said(c))
        json_array_remove(c->messages, 0);
    if (!*text)
        return SP_OK;
    TRY(add_message(c, "system", text, strlen(text), err));
    json_t *m = json_incref(json_array_get(c->messages, json_array_size(c->messages) - 1));
    drop_last(c);
    return json_array_insert_new(c->messages, 0, m) ? sp_fail(err, SP_NOMEM, "no memory for the conversation") : SP_OK;
}

static enum sp_status clear(struct chat *c, const char *none, struct sp_err *err)
{
    (void)none, (void)err;
    while (c->template && json_array_size(c->messages) > first_said(c))
        drop_last(c);
    c->text.n = c->ids.n = 0;
    note(c, "forgotten");
    return SP_OK;
}

static enum sp_status need_file(const char *path, struct sp_err *err)
{
    return *path ? SP_OK : sp_fail(err, SP_USAGE, "which file? its name goes behind the command");
}

static enum sp_status save(struct chat *c, const char *path, struct sp_err *err)
{
    TRY(need_file(path, err));
    if (!c->template) {
        TRY(sp_write_file(path, c->text.n ? c->text.at : "", c->text.n, err));
    } else {
        sp_json_begin();
        json_t *j = json_pack("{s:O}", "messages", c->messages);
        enum sp_status st = j ? sp_json_write(path, j, err) : sp_fail(err, SP_NOMEM, "no memory for the conversation");
        json_decref(j);
        TRY(st);
    }
    note(c, "written to %s", path);
    return SP_OK;
}

/* {"messages": [{"role", "content"}]}. */
static enum sp_status read_messages(struct chat *c, const json_t *j, struct sp_err *err)
{
    const json_t *list = json_object_get(j, "messages"), *m;
    size_t i;
    if (!json_is_array(list))
        return sp_fail(err, SP_FORMAT, "no \"messages\", as /save writes them");
    json_array_foreach(list, i, m)
        if (!json_is_string(json_object_get(m, "role")) || !json_is_string(json_object_get(m, "content")))
            return sp_fail(err, SP_FORMAT, "message %zu has no \"role\" and \"content\" that are text", i + 1);
    json_array_clear(c->messages);
    return json_array_extend(c->messages, json_object_get(j, "messages")) ? sp_fail(err, SP_NOMEM, "no memory for the conversation") : SP_OK;
}

static enum sp_status load(struct chat *c, const char *path, struct sp_err *err)
{
    json_t *j = NULL;
    TRY(need_template(c, err));
    TRY(need_file(path, err));
    TRY(sp_json_read(&j, path, FILE_MAX, err));
    enum sp_status st = read_messages(c, j, err);
    if (st)
        sp_where(err, "%s", path);
    else
        note(c, "%zu messages from %s", json_array_size(c->messages), path);
    json_decref(j);
    return st;
}

static void show_sums(const struct chat *c)
{
    note(c, "%lld answer%s; prompt %lld tokens at %.0f/s, %lld more were cached; generated %lld at %.0f/s", (long long)c->sum.answers,
         c->sum.answers == 1 ? "" : "s", (long long)c->sum.prompt, run_rate((double)c->sum.prompt, c->sum.prompt_s), (long long)c->sum.cached,
         (long long)c->sum.generated, run_rate((double)c->sum.generated, c->sum.generate_s));
}

static enum sp_status stats(struct chat *c, const char *none, struct sp_err *err)
{
    (void)none, (void)err;
    show_sums(c);
    note(c, "%lld of the context's %lld tokens are taken", (long long)c->session.past, (long long)cache_of(c));
    return SP_OK;
}

static enum sp_status leave(struct chat *c, const char *none, struct sp_err *err)
{
    (void)none, (void)err;
    c->over = true;
    return SP_OK;
}

static enum sp_status help(struct chat *c, const char *none, struct sp_err *err);
static const struct command {
    const char *name, *argument, *help;
    enum sp_status (*run)(struct chat *c, const char *argument, struct sp_err *err);
} commands[] = {
    { "help", "", "this list", help },
    { "system", "TEXT", "how the model is to behave; without TEXT as it likes", set_system },
    { "clear", "", "forgets what was said", clear },
    { "save", "FILE", "writes what was said: messages as JSON, or the text", save },
    { "load", "FILE", "goes on with messages that /save wrote", load },
    { "stats", "", "tokens and their speed so far", stats },
    { "exit", "", "ends, as Ctrl-D does", leave },
    { "bye", "", NULL, leave },
    { "quit", "", NULL, leave },
};

static enum sp_status help(struct chat *c, const char *none, struct sp_err *err)
{
    (void)c, (void)none, (void)err;
    for (size_t i = 0; i < SP_COUNT(commands); i++)
        if (commands[i].help)
            fprintf(stderr, "  /%-7s%-5s %s\n", commands[i].name, commands[i].argument, commands[i].help);
    fputs("  A line that ends in \\ goes on with the next; // says a line that begins with /.\n"
          "  Ctrl-C stops an answer; at the prompt it takes a line back, and twice it ends.\n", stderr);
    return SP_OK;
}

static enum sp_status command(struct chat *c, const char *line, struct sp_err *err)
{
    size_t n = strcspn(line, " \t");
    const char *argument = line + n + strspn(line + n, " \t");
    for (size_t i = 0; i < SP_COUNT(commands); i++)
        if (strlen(commands[i].name) == n && !strncmp(commands[i].name, line, n))
            return commands[i].run(c, argument, err);
    sp_fail(err, SP_USAGE, "/%.*s is no command", (int)(n > 40 ? 40 : n), line);
    return sp_remedy(err, "/help lists them; // says a line that begins with /");
}

/* ---- the conversation ---- */

static enum sp_status say(struct chat *c, const struct sp_text *said, struct sp_err *err)
{
    if (!c->template)
        return say_as_text(c, said, err);
    return said->n ? say_by_template(c, said, err) : SP_OK;
}

static enum sp_status turn(struct chat *c, const struct sp_text *line, struct sp_err *err)
{
    struct sp_text said = *line;
    if (!line->n || line->at[0] != '/')
        return say(c, &said, err);
    if (line->n < 2 || line->at[1] != '/')
        return command(c, line->at + 1, err);
    said.at++, said.n--;
    return say(c, &said, err);
}

/* Whoever types hears what is wrong and goes on; lines from elsewhere end with it. */
static enum sp_status heard(const struct chat *c, enum sp_status st, struct sp_err *err)
{
    char line[1024];
    bool stopped = st == SP_INTERRUPTED && !sp_signal_pending();
    if (!st || (!stopped && (st == SP_NOMEM || st == SP_DIVERGED || !lines_edited(c->in))))
        return st;
    if (!stopped)
        fprintf(stderr, "sparsam: %s\n", sp_err_line(err, line, sizeof line));
    *err = (struct sp_err){ 0 };
    return SP_OK;
}

static enum sp_status converse(struct chat *c, const struct sp_text *first, struct sp_err *err)
{
    struct sp_text line = { 0 };
    enum lines_end end = LINES_GOT;
    struct sp_text begun = *first;
    enum sp_status st = begun.n ? heard(c, say(c, &begun, err), err) : SP_OK;
    while (!st && !c->over && end != LINES_OVER && !sp_signal_pending()) {
        st = lines_next(c->in, &line, &end, err);
        if (!st && end == LINES_GOT)
            st = heard(c, turn(c, &line, err), err);
    }
    sp_text_clear(&line);
    return st;
}

static enum sp_status begin(struct chat *c, struct sp_err *err)
{
    int32_t end = -1;
    struct sp_err ignored;
    if (!c->engine->tokenizer) {
        sp_fail(err, SP_USAGE, "there is no tokenizer beside the model, so nobody can talk to it");
        return sp_remedy(err, "--tokenizer FILE, or --prompt-ids N,N,...");
    }
    if (!c->o->plain)
        TRY(sp_weights_template(&c->engine->weights, &c->template, err));
    if (!(c->messages = json_array()))
        return sp_fail(err, SP_NOMEM, "no memory for the conversation");
    if (!c->template && (c->o->chat || c->o->system)) {
        sp_fail(err, SP_USAGE, "the model carries no chat template");
        return sp_remedy(err, "without --chat and --system a text is continued");
    }
    TRY(lines_new(&c->in, c->call->common.quiet || c->call->common.json, err));
    if (!c->template)
        note(c, "no chat template: what is said goes on as a text, an empty line lets the model go on");
    else if (sp_template_ending(c->template, c->engine->tokenizer, &end, &c->stop, &ignored) == SP_NOMEM)
        return sp_fail(err, SP_NOMEM, "no memory for the chat template");
    sp_engine_add_end(c->engine, end);
    c->session.stop = c->o->stop ? c->o->stop : c->stop.n ? c->stop.at : NULL;
    return c->o->system ? set_system(c, c->o->system, err) : SP_OK;
}

static json_t *chat_json(const struct chat *c)
{
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "schema", "sparsam.chat/1", "answers", (json_int_t)c->sum.answers, "prompt_tokens",
                          (json_int_t)c->sum.prompt, "cached_tokens", (json_int_t)c->sum.cached, "generated_tokens", (json_int_t)c->sum.generated, "forgotten",
                          (json_int_t)c->sum.dropped, "prompt_tokens_per_s", run_rate((double)c->sum.prompt, c->sum.prompt_s), "generate_tokens_per_s",
                          run_rate((double)c->sum.generated, c->sum.generate_s));
    if (j && c->template)
        json_object_set(j, "messages", c->messages);
    else if (j)
        json_object_set_new(j, "text", json_stringn(c->text.n ? c->text.at : "", c->text.n));
    return j;
}

enum sp_status chat_run(struct verb_call *call, struct sp_engine *e, const struct sp_text *first, struct sp_err *err)
{
    struct chat c = { .call = call, .o = call->options, .engine = e };
    sp_session_begin(&c.session, e);
    enum sp_status st = begin(&c, err);
    if (!st)
        st = converse(&c, first, err);
    if (!st && call->common.json)
        call->answer = chat_json(&c);
    if (!st)
        show_sums(&c);
    lines_free(c.in);
    sp_session_end(&c.session);
    sp_template_free(c.template);
    sp_ids_clear(&c.ids);
    sp_text_clear(&c.text);
    sp_text_clear(&c.stop);
    json_decref(c.messages);
    return st;
}
