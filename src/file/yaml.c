/* file/yaml.c - a recipe file as dotted keys and text (libyaml's events).
 *
 * Maps nest, sequences repeat their key; a key without a value (null) is passed
 * over.  Anchors and aliases are refused: a few lines of them stand for gigabytes.
 * So is a key that stands twice in one map: one of the two would be lost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <yaml.h>

#include "file.h"

enum { DEPTH_MAX = 16, KEY_MAX = 256, BYTES_MAX = 1 << 20, SCALARS_MAX = 4096 };

struct level { bool map, has_key; size_t key_end; int number; };
struct reader {
    const char *path;
    enum sp_status (*each)(void *self, const char *key, const char *value, struct sp_err *err);
    void *self;
    char key[KEY_MAX];
    struct level level[DEPTH_MAX];
    int depth, scalars, n_seen, maps, documents;
    uint64_t seen[SCALARS_MAX]; /* hash of map and key */
};

static enum sp_status at(const struct reader *r, const yaml_event_t *e, struct sp_err *err)
{
    return sp_where(err, "%s:%zu", r->path, e->start_mark.line + 1);
}

/* FNV-1a over the map's number and the name. */
static bool seen_before(struct reader *r, int map, const char *name)
{
    uint64_t h = (0xCBF29CE484222325 ^ (uint64_t)map) * 0x100000001B3;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 0x100000001B3;
    for (int i = 0; i < r->n_seen; i++)
        if (r->seen[i] == h)
            return true;
    r->seen[r->n_seen++] = h; /* at most one a scalar */
    return false;
}

static enum sp_status set_key(struct reader *r, const char *name, struct sp_err *err)
{
    struct level *l = &r->level[r->depth - 1];
    size_t start = r->depth > 1 ? r->level[r->depth - 2].key_end : 0, n = strlen(name);
    if (start + n + 2 > KEY_MAX)
        return sp_fail(err, SP_LIMIT, "key longer than %d bytes", KEY_MAX);
    if (!n)
        return sp_fail(err, SP_FORMAT, "a key is empty");
    if (seen_before(r, l->number, name))
        return sp_fail(err, SP_FORMAT, "key %.60s stands twice", name);
    if (start)
        r->key[start++] = '.';
    memcpy(r->key + start, name, n + 1);
    l->key_end = start + n;
    l->has_key = true;
    return SP_OK;
}

static bool is_null(const char *s)
{
    return !*s || !strcmp(s, "~") || !strcmp(s, "null");
}

static enum sp_status scalar(struct reader *r, const char *text, bool plain, struct sp_err *err)
{
    if (!r->depth)
        return sp_fail(err, SP_FORMAT, "a recipe is a map of keys, not '%.60s'", text);
    if (++r->scalars > SCALARS_MAX)
        return sp_fail(err, SP_LIMIT, "more than %d values", SCALARS_MAX);
    struct level *l = &r->level[r->depth - 1];
    if (l->map && !l->has_key)
        return set_key(r, text, err);
    l->has_key = false;
    r->key[l->key_end] = 0;
    if (plain && is_null(text))
        return SP_OK;
    return r->each(r->self, r->key, text, err);
}

static enum sp_status open_level(struct reader *r, bool map, struct sp_err *err)
{
    size_t end = r->depth ? r->level[r->depth - 1].key_end : 0;
    if (!r->depth && !map)
        return sp_fail(err, SP_FORMAT, "a recipe is a map of keys, not a list");
    if (r->depth == DEPTH_MAX)
        return sp_fail(err, SP_LIMIT, "nested deeper than %d", DEPTH_MAX);
    if (r->depth && r->level[r->depth - 1].map && !r->level[r->depth - 1].has_key)
        return sp_fail(err, SP_FORMAT, "a key must be text");
    if (r->depth)
        r->level[r->depth - 1].has_key = false;
    r->level[r->depth++] = (struct level){ .map = map, .key_end = end, .number = r->maps++ };
    return SP_OK;
}

/* A new level, unless the event carries an anchor. */
static enum sp_status open_plain(struct reader *r, bool map, const void *anchor, struct sp_err *err)
{
    return anchor ? sp_fail(err, SP_UNSUPPORTED, "anchors are not read") : open_level(r, map, err);
}

static enum sp_status event(struct reader *r, const yaml_event_t *e, struct sp_err *err)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return sp_fail(err, SP_UNSUPPORTED, "anchors are not read");
        if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
            return sp_fail(err, SP_FORMAT, "a value contains a zero byte");
        return scalar(r, (const char *)e->data.scalar.value, e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, err);
    case YAML_DOCUMENT_START_EVENT:
        return r->documents++ ? sp_fail(err, SP_FORMAT, "a recipe is one document, here begins another") : SP_OK;
    case YAML_ALIAS_EVENT: return sp_fail(err, SP_UNSUPPORTED, "aliases are not read");
    case YAML_MAPPING_START_EVENT: return open_plain(r, true, e->data.mapping_start.anchor, err);
    case YAML_SEQUENCE_START_EVENT: return open_plain(r, false, e->data.sequence_start.anchor, err);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: r->depth--; return SP_OK;
    default: return SP_OK;
    }
}

static enum sp_status parse(struct reader *r, yaml_parser_t *p, struct sp_err *err)
{
    for (bool end = false; !end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(p, &e)) {
            sp_fail(err, SP_FORMAT, "not sound YAML: %s", p->problem ? p->problem : "unknown");
            return sp_where(err, "%s:%zu", r->path, p->problem_mark.line + 1);
        }
        enum sp_status st = event(r, &e, err);
        if (st)
            at(r, &e, err);
        end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
        if (st)
            return st;
    }
    return SP_OK;
}

static enum sp_status read_text(struct reader *r, const struct sp_text *text, struct sp_err *err)
{
    yaml_parser_t p;
    if (!yaml_parser_initialize(&p))
        return sp_fail(err, SP_NOMEM, "no memory to read %s", r->path);
    yaml_parser_set_input_string(&p, (const unsigned char *)text->at, text->n);
    enum sp_status st = parse(r, &p, err);
    yaml_parser_delete(&p);
    return st;
}

enum sp_status sp_yaml_read(const char *path, enum sp_status (*each)(void *self, const char *key, const char *value, struct sp_err *err),
                            void *self, struct sp_err *err)
{
    struct sp_text text = { 0 };
    TRY(sp_read_file(&text, path, BYTES_MAX, err));
    struct reader *r = sp_zalloc(1, sizeof *r);
    enum sp_status st = r ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to read %s", path);
    if (!st) {
        r->path = path;
        r->each = each;
        r->self = self;
        st = read_text(r, &text, err);
    }
    sp_free(r);
    sp_text_clear(&text);
    return st;
}
