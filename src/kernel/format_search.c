/* kernel/format_search.c - blocks with searched scales, for any processor.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_SEARCH sp_format_search_plain
#include "format_search_body.h"
