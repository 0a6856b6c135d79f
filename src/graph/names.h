/* graph/names.h - a map from name to index, private to the room.
 * Names are not copied; they live in the owner's arena.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_NAMES_H
#define SP_NAMES_H
#include <stdbool.h>
#include <stdint.h>

struct sp_name_map { uint32_t cap, n; const char **key; int32_t *value; };

struct sp_name_map *sp_names_new(void);                          /* NULL when out of memory */
void sp_names_free(struct sp_name_map *m);
int32_t sp_names_find(const struct sp_name_map *m, const char *key); /* -1: absent */
bool sp_names_put(struct sp_name_map *m, const char *key, int32_t value); /* false when out of memory */
#endif
