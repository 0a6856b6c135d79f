/* kernel/attention_avx2.c - attention, its backward pass and rotary positions, eight floats a vector.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 8
#include "attention_vec.h"
#include "attention_back_vec.h"
#include "rope_vec.h"

void sp_attention_avx2(const void *args, int phase, int64_t task, void *scratch)
{
    (void)phase;
    flash(args, task, scratch);
}

void sp_attention_back_avx2(const void *args, int phase, int64_t task, void *scratch)
{
    if (phase)
        flash_back(args, task, scratch);
    else
        back_deltas(args, task, scratch);
}

void sp_rope_avx2(const void *args, int phase, int64_t task, void *scratch)
{
    (void)phase;
    turn_rows(args, task, scratch);
}
