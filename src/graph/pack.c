/* graph/pack.c - weights laid out for the row that reads them.
 *
 * A matrix product whose row wants b in panels reads them from the state
 * "pack/ROW/tT/NAME", which a pack node in `refresh` writes: once for constant
 * weights, once an update for trained ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"
#include "ops.h"

/* No row of this version wants panels prepared beforehand: they are made on the way, a tile at a time. */
enum sp_status sp_graph_pack(struct sp_graph *user, struct sp_graph *refresh, const struct sp_machine *m, struct sp_err *err)
{
    (void)refresh;
    (void)m;
    return sp_graph_status(user, err);
}
