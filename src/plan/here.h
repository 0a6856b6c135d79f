/* plan/here.h - a question about this machine, answered from the programs it
 * would run.  Part of the door of plan.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_HERE_H
#define SP_HERE_H
#include "ask.h"
#include "plan.h"

/* Training and serving by sparsam itself on a->machine's processor, with rates as measured there; rows without one are
 * returned as questions and counted at assumed rates.  SP_UNSUPPORTED for what sparsam doesn't do itself. */
enum sp_status sp_plan_here(const struct sp_ask *a, const struct sp_rates *rates, struct sp_cost *out, struct sp_plan_questions *questions,
                            struct sp_explain *explain, struct sp_err *err);
#endif
