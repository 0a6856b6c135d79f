/* graph/state.h - private to the room: adding an entry while lowering.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_STATE_H
#define SP_STATE_H
#include "graph.h"

/* The offset of the entry that node n (op state) names; added when new. */
enum sp_status sp_state_add(struct sp_state *s, const struct sp_node *n, int64_t *at, struct sp_err *err);
#endif
