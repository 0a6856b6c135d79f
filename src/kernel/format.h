/* kernel/format.h - what the files of number formats share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FORMAT_H
#define SP_FORMAT_H
#include "kernel.h"

/* One body (format_search_body.h) for each instruction set, the same bytes. */
#define SP_FORMAT_ROWS(isa)                                                                                  \
    /* any format in blocks: see encode_weighted */                                                          \
    void sp_format_search_##isa(int format, void *to, const float *from, const float *weight, int64_t n);    \
    void sp_format_nearest_q8_0_##isa(void *to, const float *from, int64_t n);                               \
    /* f16, or bf16 when upper */                                                                            \
    void sp_format_decode_16_##isa(float *to, const uint16_t *from, int64_t n, bool upper);
SP_FORMAT_ROWS(plain)
SP_FORMAT_ROWS(avx2)
#endif
