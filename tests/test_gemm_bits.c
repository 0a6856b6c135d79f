/* tests/test_gemm_bits.c - every gemm row on weights in blocks: see the header.
 * SPDX-License-Identifier: Apache-2.0 */
#include "test_gemm_bits.h"

static void nothing_is_lost(void **unused)
{
    (void)unused;
    products_of(sp_kernel_gemm.rows, false);
    for (const struct sp_kernel_row *r = sp_kernel_gemm.rows; r->needs; r++)
        many_rows(r);
}

int main(void)
{
    return run_bits_test(nothing_is_lost);
}
