/* graph/names.c - open addressing over FNV-1a; grows at half full.
 * SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <string.h>

#include "../base/base.h"

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static uint32_t slot(const struct sp_name_map *m, const char *key)
{
    uint32_t i = hash(key) & (m->cap - 1);
    while (m->key[i] && strcmp(m->key[i], key))
        i = (i + 1) & (m->cap - 1);
    return i;
}

static bool resize(struct sp_name_map *m, uint32_t cap)
{
    struct sp_name_map old = *m;
    const char **key = sp_zalloc(cap, sizeof *key);
    int32_t *value = sp_zalloc(cap, sizeof *value);
    if (!key || !value) {
        sp_free(key);
        sp_free(value);
        return false;
    }
    m->cap = cap;
    m->key = key;
    m->value = value;
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.key[i]) {
            uint32_t at = slot(m, old.key[i]);
            m->key[at] = old.key[i];
            m->value[at] = old.value[i];
        }
    sp_free(old.key);
    sp_free(old.value);
    return true;
}

struct sp_name_map *sp_names_new(void)
{
    struct sp_name_map *m = sp_zalloc(1, sizeof *m);
    if (m && !resize(m, 256)) {
        sp_free(m);
        return NULL;
    }
    return m;
}

void sp_names_free(struct sp_name_map *m)
{
    if (!m)
        return;
    sp_free(m->key);
    sp_free(m->value);
    sp_free(m);
}

int32_t sp_names_find(const struct sp_name_map *m, const char *key)
{
    uint32_t i = slot(m, key);
    return m->key[i] ? m->value[i] : -1;
}

bool sp_names_put(struct sp_name_map *m, const char *key, int32_t value)
{
    if (2 * (m->n + 1) > m->cap && !resize(m, 2 * m->cap))
        return false;
    uint32_t i = slot(m, key);
    if (!m->key[i])
        m->n++;
    m->key[i] = key;
    m->value[i] = value;
    return true;
}
