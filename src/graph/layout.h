/* graph/layout.h - private to the room: where buffers with lifetimes go.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LAYOUT_H
#define SP_LAYOUT_H
#include "graph.h"

/* A buffer is alive from step `from` to step `to`, both included. */
struct sp_span { int64_t bytes, at; int32_t from, to; };

/* Fills .at (multiples of 64), gives the end of the arena and the most bytes alive at once. */
enum sp_status sp_layout(struct sp_span *span, int n, int n_steps, int64_t *arena_bytes, int64_t *live_bytes, struct sp_err *err);
#endif
