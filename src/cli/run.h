/* cli/run.h - what `run` shares between one answer and a conversation.
 * Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_RUN_H
#define SP_RUN_H
#include "../infer/infer.h"
#include "../recipe/recipe.h"
#include "verb.h"

struct run_options {
    struct sp_recipe_serve serve;
    const char *prompt, *prompt_file, *prompt_ids, *tokenizer, *system, *stop;
    bool interactive, chat, plain, stats, logits;
};
/* A watch function: the text of each token, as it comes, to the FILE that self is. */
void run_on_token(void *file, const struct sp_event *e);
struct sp_sampling run_sampling(const struct sp_recipe_serve *s);
double run_rate(double n, double seconds);

/* ---- chat.c ---- */
/* A conversation: lines of standard input are what somebody says, the first of them is `first` unless that is empty.
 * Ends with the input, with /exit, or a signal at the prompt.  With --json call->answer tells all of it. */
enum sp_status chat_run(struct verb_call *call, struct sp_engine *e, const struct sp_text *first, struct sp_err *err);

/* ---- lines.c: lines of standard input; on a terminal edited, with those before at hand ---- */
struct lines;
enum lines_end { LINES_GOT, LINES_DROPPED, LINES_OVER }; /* a line; one that Ctrl-C took back; no more */
enum sp_status lines_new(struct lines **out, bool quiet, struct sp_err *err);
void lines_free(struct lines *l);
bool lines_edited(const struct lines *l);      /* somebody types them */
/* The next line, without its end; one that ends in a backslash goes on with the next. */
enum sp_status lines_next(struct lines *l, struct sp_text *line, enum lines_end *end, struct sp_err *err);
#endif
