/* cli/plan.h - what the three verbs that plan a job share: an answer in words, in
 * tables, and for programs.  Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CLI_PLAN_H
#define SP_CLI_PLAN_H
#include <jansson.h>
#include "../plan/answer.h"

/* One side of a comparison: the question with its model and place. */
struct plan_side { struct sp_planned answer; struct sp_explain explain; };
void plan_show_one(const struct plan_side *s);            /* words first, then the figures          */
void plan_show_sides(const struct plan_side *s, int n);   /* a column each                          */
json_t *plan_side_json(const struct plan_side *s);        /* docs/json.md; new reference, or NULL   */
void plan_show_best(const struct sp_best *b, int by);     /* by: enum sp_best_by                    */
json_t *plan_best_json(const struct sp_best *b);
#endif
