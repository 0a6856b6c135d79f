/* plan/memo.c - a list of what was counted; a search has a few dozen.
 * SPDX-License-Identifier: Apache-2.0 */
#include "memo.h"

#include <string.h>

const char sp_memo_walk[] = "walk", sp_memo_slots[] = "slots", sp_memo_work[] = "work", sp_memo_serve[] = "serve";

struct sp_memo_entry { struct sp_memo_entry *next; const char *kind; size_t n; void *key, *value; };

const void *sp_memo_find(const struct sp_memo *m, const char *kind, const void *key, size_t n)
{
    for (const struct sp_memo_entry *e = m ? m->first : NULL; e; e = e->next)
        if (e->kind == kind && e->n == n && !memcmp(e->key, key, n))
            return e->value;
    return NULL;
}

const void *sp_memo_put(struct sp_memo *m, const char *kind, const void *key, size_t n, const void *value, size_t bytes)
{
    struct sp_memo_entry *e = m ? sp_arena_take(&m->mem, sizeof *e) : NULL;
    if (!e || !(e->key = sp_arena_take(&m->mem, n)) || !(e->value = sp_arena_take(&m->mem, bytes)))
        return NULL;
    memcpy(e->key, key, n);
    memcpy(e->value, value, bytes);
    e->kind = kind;
    e->n = n;
    e->next = m->first;
    m->first = e;
    return e->value;
}

void sp_memo_clear(struct sp_memo *m)
{
    sp_arena_clear(&m->mem);
    *m = (struct sp_memo){ 0 };
}
