/* kernel/format_search.c - blocks with searched scales, for any processor.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_SEARCH sp_format_search_plain
#define SP_NEAREST_Q8_0 sp_format_nearest_q8_0_plain
#define SP_DECODE_16 sp_format_decode_16_plain
#include "format_search_body.h"
