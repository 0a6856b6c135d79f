/* text/table.c - lists of ids, and the two hash tables: numbers to numbers, strings to numbers.
 * Open addressing, linear probing, at most two thirds full.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "inner.h"

static const uint64_t no_key = UINT64_MAX;

enum sp_status sp_tok_nomem(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "tokenizer: out of memory");
}

static bool ids_room(struct sp_ids *ids, size_t cap)
{
    int32_t *at = cap <= SIZE_MAX / sizeof *at ? sp_realloc(ids->at, cap * sizeof *at) : NULL;
    if (!at) {
        ids->full = true;
        return false;
    }
    ids->at = at;
    ids->cap = cap;
    return true;
}

void sp_ids_reserve(struct sp_ids *ids, size_t n)
{
    if (n > ids->cap - ids->n)
        ids_room(ids, ids->n + n);
}

void sp_ids_add(struct sp_ids *ids, int32_t id)
{
    if (ids->n < ids->cap || ids_room(ids, ids->cap ? ids->cap * 2 : 64))
        ids->at[ids->n++] = id;
}

void sp_ids_clear(struct sp_ids *ids)
{
    sp_free(ids->at);
    *ids = (struct sp_ids){ 0 };
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

uint64_t sp_tok_hash(const char *s, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ n;
    for (; n >= 8; s += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, s, 8);
        h = mix(h ^ w) + 0x632be59bd9b4e019u;
    }
    uint64_t w = 0;
    memcpy(&w, s, n);
    return mix(h ^ w);
}

static enum sp_status map_grow(struct sp_tok_map *m, struct sp_err *err)
{
    struct sp_tok_map to = { .cap = m->cap ? m->cap * 2 : 64 };
    to.slot = sp_alloc(to.cap * sizeof *to.slot);
    if (!to.slot)
        return sp_tok_nomem(err);
    memset(to.slot, 0xff, to.cap * sizeof *to.slot);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slot[i].key != no_key)
            sp_tok_map_put(&to, m->slot[i].key, m->slot[i].value, err);
    sp_tok_map_clear(m);
    *m = to;
    return SP_OK;
}

/* Where the key is, or the empty slot where it would be. */
static struct sp_tok_entry *map_slot(const struct sp_tok_map *m, uint64_t key)
{
    size_t i = mix(key) & (m->cap - 1);
    while (m->slot[i].key != no_key && m->slot[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return &m->slot[i];
}

enum sp_status sp_tok_map_put(struct sp_tok_map *m, uint64_t key, uint64_t value, struct sp_err *err)
{
    if ((m->n + 1) * 3 > m->cap * 2)
        TRY(map_grow(m, err));
    struct sp_tok_entry *slot = map_slot(m, key);
    m->n += slot->key == no_key;
    *slot = (struct sp_tok_entry){ key, value };
    return SP_OK;
}

bool sp_tok_map_get(const struct sp_tok_map *m, uint64_t key, uint64_t *value)
{
    if (!m->n)
        return false;
    const struct sp_tok_entry *slot = map_slot(m, key);
    if (slot->key == no_key)
        return false;
    *value = slot->value;
    return true;
}

void sp_tok_map_clear(struct sp_tok_map *m)
{
    sp_free(m->slot);
    *m = (struct sp_tok_map){ 0 };
}

static enum sp_status names_grow(struct sp_tok_names *t, struct sp_err *err)
{
    struct sp_tok_names to = { .cap = t->cap ? t->cap * 2 : 64 };
    to.slot = sp_zalloc(to.cap, sizeof *to.slot);
    if (!to.slot)
        return sp_tok_nomem(err);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i].at)
            sp_tok_names_put(&to, t->slot[i].at, t->slot[i].n, t->slot[i].id, err);
    sp_free(t->slot);
    *t = to;
    return SP_OK;
}

static struct sp_tok_name *names_slot(const struct sp_tok_names *t, const char *s, size_t n)
{
    size_t i = sp_tok_hash(s, n) & (t->cap - 1);
    while (t->slot[i].at && (t->slot[i].n != n || memcmp(t->slot[i].at, s, n) != 0))
        i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

enum sp_status sp_tok_names_put(struct sp_tok_names *t, const char *s, size_t n, int32_t id, struct sp_err *err)
{
    if ((t->n + 1) * 3 > t->cap * 2)
        TRY(names_grow(t, err));
    struct sp_tok_name *slot = names_slot(t, s, n);
    t->n += !slot->at;
    *slot = (struct sp_tok_name){ s, (uint32_t)n, id };
    return SP_OK;
}

int32_t sp_tok_names_get(const struct sp_tok_names *t, const char *s, size_t n)
{
    if (!t->n)
        return -1;
    const struct sp_tok_name *slot = names_slot(t, s, n);
    return slot->at ? slot->id : -1;
}

void sp_tok_names_clear(struct sp_tok_names *t)
{
    sp_free(t->slot);
    *t = (struct sp_tok_names){ 0 };
}
