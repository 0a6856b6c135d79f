/* graph/op/op_outside.c - values that come from outside: runtime inputs, and
 * entries of the state region.  Neither is a step.
 * SPDX-License-Identifier: Apache-2.0 */
#include "graph.h"
#include "ops.h"

static enum sp_status outside_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    (void)in;
    return sp_fail(err, SP_USAGE, "%s is made by sp_graph_%s", n->op->name, n->op->name);
}

const struct sp_op sp_op_input = {
    .name = "input", .help = "a value written before each run", .n_out = 1, .shape = outside_shape,
};

const struct sp_op sp_op_state = {
    .name = "state", .help = "an entry of the state region, kept between runs", .n_out = 1, .shape = outside_shape,
};
