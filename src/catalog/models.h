/* catalog/models.h - models by the name people type: configuration, published
 * parameters, source.  Part of the door of catalog.
 *
 * The rows are catalog/models.csv, whose lines are compiled in; a file of the same
 * name and columns in the person's folder stands before them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_MODELS_H
#define SP_MODELS_H
#include "../base/base.h"

/* config: text of a minimal config.json.  parameters, active (those a token meets; 0: dense, or not published): as
 * published, to the digit where the digits are known.  aliases are separated by ';'.  looked_up: "file" where the
 * configuration was read from one, "memory" where it was not. */
struct sp_model_fact { const char *name, *aliases, *config, *source, *looked_up; double parameters, active; };

struct sp_models;
enum sp_status sp_models_open(struct sp_models **out, struct sp_err *err);  /* SP_FORMAT: the person's file */
void sp_models_free(struct sp_models *m);
int sp_models_count(const struct sp_models *m);
const struct sp_model_fact *sp_models_at(const struct sp_models *m, int i); /* the person's first */
/* By name or alias, without regard to case, blanks, hyphens, underscores; "meta-llama/Llama-2-7b-hf" and
 * "llama-2-7b-chat" find "llama-2-7b": the owner goes, then what says only how a model was trained further.
 * NULL: there is none. */
const struct sp_model_fact *sp_models_find(const struct sp_models *m, const char *name);
/* The `n` names most like it, after one another. */
void sp_models_nearest(const struct sp_models *m, const char *name, int n, struct sp_text *out);

extern const char *const sp_models_lines[];   /* of the compiled file */
extern const int sp_models_lines_n;
#endif
