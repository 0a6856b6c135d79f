/* plan/memo.h - what was counted of one model before, for a search that asks for the
 * same job on many machines.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_MEMO_H
#define SP_MEMO_H
#include "../base/base.h"

struct sp_memo { struct sp_arena mem; struct sp_memo_entry *first; };
/* What is kept, and so the first thing a key is of; compared as pointers. */
extern const char sp_memo_walk[], sp_memo_slots[], sp_memo_work[], sp_memo_serve[];
/* The value put under this kind and key; NULL: none, or no memo (m NULL). */
const void *sp_memo_find(const struct sp_memo *m, const char *kind, const void *key, size_t n);
/* A copy of the value that later finds give; NULL when m is or memory has run out: then it is counted again. */
const void *sp_memo_put(struct sp_memo *m, const char *kind, const void *key, size_t n, const void *value, size_t bytes);
void sp_memo_clear(struct sp_memo *m);
#endif
