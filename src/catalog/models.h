/* catalog/models.h - a model found by the name people type.  Part of the door of
 * catalog.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_MODELS_H
#define SP_MODELS_H
#include "catalog.h"

struct sp_models;
enum sp_status sp_models_open(struct sp_models **out, struct sp_err *err);  /* as sp_catalog_open */
void sp_models_free(struct sp_models *m);
int sp_models_count(const struct sp_models *m);
const struct sp_model_fact *sp_models_at(const struct sp_models *m, int i); /* the person's first */
/* By name or alias, without regard to case, blanks, hyphens, underscores; "meta-llama/Llama-2-7b-hf" and
 * "llama-2-7b-chat" find "llama-2-7b": the owner goes, then what says only how a model was trained further.
 * NULL: there is none. */
const struct sp_model_fact *sp_models_find(const struct sp_models *m, const char *name);
/* The `n` names most like it, after one another. */
void sp_models_nearest(const struct sp_models *m, const char *name, int n, struct sp_text *out);
#endif
