/* cli/eval.h - what the two ways of `eval` share: its options, and scoring by the
 * field's windows.  Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_EVAL_H
#define SP_EVAL_H
#include "work.h"

enum { EVAL_MODELS_MAX = 8, EVAL_TEXTS_MAX = 8, EVAL_CELLS_MAX = EVAL_MODELS_MAX * EVAL_TEXTS_MAX };
struct eval_options {
    struct sp_recipe_data data;
    int64_t batch, tokens, windows;
    int compute;
    bool held_out;
    struct sp_option_list texts;
    const char *against, *save;
    const struct sp_windows *given; const char *given_name; /* in place of texts: no option */
};

/* A model on a text. */
struct eval_cell { const char *model, *text; struct sp_scored scored; struct sp_fidelity of; struct sp_rivalry beside_first; double tokens_per_s; };
struct eval_result { int64_t context; int32_t bos; int models, texts; const char *base; struct eval_cell cell[EVAL_CELLS_MAX]; }; /* text by text of the first model, ... */

/* eval_windows.c: every model (operand) on every --text, by llama-perplexity's convention, against --against. */
enum sp_status eval_windows(struct verb_call *call, const struct sp_machine *m, struct eval_result *out, struct sp_err *err);
/* A text, whole, as tokens behind bos (-1: none). */
enum sp_status eval_encode(struct sp_tokenizer *t, const struct sp_recipe_data *data, const char *path, int32_t bos, struct sp_ids *ids, struct sp_err *err);
void eval_result_clear(struct eval_result *r);
/* eval_show.c */
void eval_show(FILE *out, const struct eval_result *r);
json_t *eval_json(const struct eval_result *r); /* new reference */
#endif
