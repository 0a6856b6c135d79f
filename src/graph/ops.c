/* graph/ops.c - the table of ops: one file in op/, one row here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <string.h>

const struct sp_op *const sp_ops[] = {
    /* values that come from outside */
    &sp_op_input,
    &sp_op_state,

    /* matrix products */


    /* attention, positions, moving data */


    /* element by element, rows, reductions, optimizer */


    NULL,
};

const struct sp_op *sp_op_find(const char *name)
{
    for (const struct sp_op *const *o = sp_ops; *o; o++)
        if (!strcmp((*o)->name, name))
            return *o;
    return NULL;
}
