/* kernel/attention_neon.c - attention, its backward pass and rotary positions, four floats a vector.
 * SPDX-License-Identifier: Apache-2.0 */
#define SP_W 4
#include "attention_vec.h"
#include "attention_back_vec.h"
#include "rope_vec.h"

void sp_attention_neon(const void *args, int phase, int64_t task, void *scratch)
{
    (void)phase;
    flash(args, task, scratch);
}

void sp_attention_back_neon(const void *args, int phase, int64_t task, void *scratch)
{
    if (phase)
        flash_back(args, task, scratch);
    else
        back_deltas(args, task, scratch);
}

void sp_rope_neon(const void *args, int phase, int64_t task, void *scratch)
{
    (void)phase;
    turn_rows(args, task, scratch);
}
