/* learn/schedule.c - learning rates over a run.
 *
 * Linear warm-up, then constant; cosine (Loshchilov & Hutter 2017); or warm-up,
 * stable, decay (Hu et al. 2024), with the last decay_fraction going down as 1 - sqrt.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "learn.h"

double sp_learn_rate(const struct sp_recipe_train *how, int64_t step, double progress)
{
    double warm = how->warmup_steps > 0 && (double)step < how->warmup_steps ? (double)step / how->warmup_steps : 1;
    double least = how->min_lr, x = progress < 0 ? 0 : progress > 1 ? 1 : progress, shape = 1;
    if (how->schedule == SP_SCHEDULE_COSINE)
        shape = least + (1 - least) * 0.5 * (1 + cos(3.14159265358979 * x));
    if (how->schedule == SP_SCHEDULE_WSD && how->decay_fraction > 0 && x > 1 - how->decay_fraction)
        shape = 1 - (1 - least) * sqrt((x - (1 - how->decay_fraction)) / how->decay_fraction);
    return how->lr * warm * shape;
}

int64_t sp_learn_steps(const struct sp_recipe_train *how, int64_t tokens_a_step)
{
    int64_t by_tokens = how->tokens_total > 0 ? (how->tokens_total + tokens_a_step - 1) / tokens_a_step : 0;
    if (how->steps > 0 && by_tokens > 0)
        return how->steps < by_tokens ? how->steps : by_tokens;
    return how->steps > 0 ? how->steps : by_tokens;
}
