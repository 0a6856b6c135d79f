/* tests/test_attention_narrow.c - test_attention_wide.c with four lanes, as NEON has.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 4
#include "test_attention_wide.c"
