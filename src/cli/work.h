/* cli/work.h - what the working verbs share: text to tokens, a training run from
 * recipe to quality, the machine with its prices, measured rates, booking.
 * Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WORK_H
#define SP_WORK_H
#include "../data/data.h"
#include "../infer/infer.h"
#include "../judge/judge.h"
#include "../learn/learn.h"
#include "../link/link.h"
#include "../plan/plan.h"
#include "../recipe/recipe.h"
#include "../step/step.h"
#include "book.h"
#include "verb.h"

/* ---- machine.c: this machine, with zone and prices of the call ---- */
enum sp_status work_machine(const struct verb_common *c, struct sp_machine *m, struct sp_err *err);
double work_process_bytes(void);             /* resident now */
/* Rates of the kernel rows this machine picks: those kept in the ledger for this machine, use and version, else (or anew)
 * from a short profiled run of two small models (about a second) in a process of its own, so that its memory is not this
 * one's; then they are kept. */
enum sp_status work_rates(const struct verb_common *c, const struct sp_machine *m, enum sp_format compute, bool anew, struct sp_rates *rates, struct sp_err *err);
/* Only those kept; none is no error. */
void work_rates_kept(const struct verb_common *c, const struct sp_machine *m, enum sp_format compute, struct sp_rates *rates);

/* ---- rates_bits.c: products with weights in blocks, measured now; 0 where no row does them ---- */
enum sp_status work_rates_bits(const struct sp_machine *m, double *bytes_per_s, double *flops_per_s, struct sp_err *err);

/* ---- text.c: documents and tokens ---- */
/* A watch function: shows how far a step is on the struct sp_progress that self is. */
void work_show_step(void *progress, const struct sp_event *e);
struct work_text {
    struct sp_documents documents, held_out;
    struct sp_split split;
    struct sp_tokenizer *tokenizer;
    struct sp_tokens train, valid;
};
/* Reads, splits, makes or loads the tokenizer, and turns text into tokens.  whole: all of it is "valid" (eval). */
enum sp_status work_text_open(struct work_text *t, const struct sp_recipe_data *d, const char *tokenizer_beside, bool whole,
                              const struct verb_common *c, struct sp_err *err);
void work_text_close(struct work_text *t);
double work_text_bytes(const struct work_text *t);

/* ---- training.c: from recipe to quality; `train` and `demo` ---- */
struct work_training {
    struct sp_recipe recipe;
    struct sp_machine machine;
    struct sp_pool *pool;
    struct work_text text;
    struct sp_model_config config;
    struct sp_job job;
    struct sp_live live;
    struct sp_rates rates;
    struct sp_cost predicted;
    struct sp_learned learned;
    struct sp_quality quality;
    char tokenizer_path[4096];
    struct sp_link *link;                    /* to the other ranks, or NULL; belongs to the verb */
    double link_bytes_per_s;
    json_t *steps;                           /* [{step, loss, lr, ...}] when asked for */
};
enum sp_status work_training_open(struct work_training *w, const struct verb_common *c, struct sp_err *err);  /* .recipe is set */
enum sp_status work_training_run(struct work_training *w, const struct verb_common *c, struct book *b, struct sp_err *err);
void work_training_close(struct work_training *w);
void work_files(struct book *b, const struct sp_recipe *r); /* whose content hashes are booked */

/* ---- show.c: answers for people and for programs ---- */
void show_cost(FILE *out, const char *title, const struct sp_cost *c);
void show_compared(FILE *out, const struct sp_cost *predicted, const struct sp_cost *measured);
json_t *quality_json(const struct sp_quality *q);
#endif
