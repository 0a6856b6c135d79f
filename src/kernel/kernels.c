/* kernel/kernels.c - the table of kernel families.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kernel.h"

const struct sp_kernel *const sp_kernels[] = {
    /* matrix products */


    /* attention, positions, moving data */


    /* element by element, rows, reductions, optimizer */


    NULL,
};
