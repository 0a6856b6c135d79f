/* plan/solve.h - small systems of linear equations.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_PLAN_SOLVE_H
#define SP_PLAN_SOLVE_H

/* x of A x = b in b; a[n][n] symmetric and positive definite, row by row, is overwritten (Cholesky). */
void sp_solve(int n, double *a, double *b);
#endif
