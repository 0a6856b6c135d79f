/* base/cpus.h - how many processors this process may use.  [private to base]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CPUS_H
#define SP_CPUS_H
/* The smaller of the affinity mask and the control group's quota; at least 1. */
int sp_cpus_usable(void);
#endif
