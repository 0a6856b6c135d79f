/* learn/learn.h - the training loop, schedules and checkpoints.  [door of learn]
 *
 * A step depends on (seed, step number, weights) alone, so a run that was
 * interrupted and resumed ends with the same bits as one that was not.
 *
 * Several ranks train as one: the recipe's batch is that of all together, so the
 * same recipe has the same losses up to rounding.  The first rank alone scores,
 * reads and writes files, and its clock counts; the others' folders aren't touched.
 *
 * It doesn't measure or book anything: it reports to a watch.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LEARN_H
#define SP_LEARN_H
#include "../base/base.h"
#include "../data/data.h"
#include "../judge/judge.h"
#include "../link/link.h"
#include "../recipe/recipe.h"
#include "../step/step.h"

struct sp_learn {
    const struct sp_recipe_train *how;
    struct sp_live *live;              /* of a training job; weights drawn or loaded        */
    const struct sp_tokens *train, *valid; /* valid may be NULL                             */
    const char *tokenizer;             /* file copied beside the model, or NULL             */
    const struct sp_watch *watch;
    struct sp_link *link;              /* of several ranks, whose job has its part of the shape; NULL: alone */
};
struct sp_learned {
    int64_t steps, begun_at, tokens;   /* last step done, step resumed from, tokens of this process */
    double first_loss, loss, best_valid, seconds, tokens_per_s;
    bool interrupted, complete;        /* complete: nothing was left to do                  */
    struct sp_quality valid;           /* of the last evaluation; tokens 0: there was none  */
};
/* Trains until the recipe's limit.  Resumes from how->out/checkpoint.safetensors when how->resume and it is there.
 * A signal ends with a checkpoint and .interrupted, which is no error.  A loss that is no number, or has left the
 * range it began in, is SP_DIVERGED: the last checkpoint stays.  how->out NULL: nothing is written. */
enum sp_status sp_learn_run(const struct sp_learn *l, struct sp_learned *out, struct sp_err *err);

/* Learning rate of step 1.. when `progress` (0..1) of the run is done. */
double sp_learn_rate(const struct sp_recipe_train *how, int64_t step, double progress);
/* Steps that the recipe's limits in steps or tokens allow; 0: only time limits it. */
int64_t sp_learn_steps(const struct sp_recipe_train *how, int64_t tokens_a_step);

/* checkpoint.c: parameters and moments of the state with the step number, one sealed file that appears by rename; the one
 * before it stays as checkpoint.old.safetensors.  All ranks call; the first writes and reads the same file as one alone,
 * the moments come from and go to the others (weights don't). */
enum sp_status sp_checkpoint_save(const char *folder, struct sp_live *l, struct sp_link *link, int64_t step, double seconds, struct sp_err *err);
/* SP_MISSING when there is none.  A damaged file falls back to the one before, with a warning,
 * and is set aside as checkpoint.damaged.safetensors; SP_FORMAT when neither is whole. */
enum sp_status sp_checkpoint_load(const char *folder, struct sp_live *l, struct sp_link *link, int64_t *step, double *seconds, struct sp_err *err);
#endif
