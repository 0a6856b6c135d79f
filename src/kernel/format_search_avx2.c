/* kernel/format_search_avx2.c - blocks with searched scales, for AVX2.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_SEARCH sp_format_search_avx2
#include "format_search_body.h"
