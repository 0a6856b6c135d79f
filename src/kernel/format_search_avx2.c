/* kernel/format_search_avx2.c - blocks with searched scales, for AVX2.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_SEARCH sp_format_search_avx2
#define SP_NEAREST_Q8_0 sp_format_nearest_q8_0_avx2
#define SP_DECODE_16 sp_format_decode_16_avx2
#include "format_search_body.h"
