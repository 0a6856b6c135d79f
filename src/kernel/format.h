/* kernel/format.h - what the files of number formats share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FORMAT_H
#define SP_FORMAT_H
#include "kernel.h"

/* Any format in blocks: see encode_weighted.  One body (format_search_body.h) for each instruction set, the same bytes. */
void sp_format_search_plain(int format, void *to, const float *from, const float *weight, int64_t n);
void sp_format_search_avx2(int format, void *to, const float *from, const float *weight, int64_t n);
#endif
