/* file/yaml.c - a recipe file as dotted keys and text (libyaml's events).
 *
 * Maps nest, sequences repeat their key.  Anchors and aliases are refused: a
 * few lines of them stand for gigabytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <yaml.h>

#include "file.h"

enum { DEPTH_MAX = 16, KEY_MAX = 256, BYTES_MAX = 1 << 20, SCALARS_MAX = 100000 };

struct level { bool map, has_key; size_t key_end; };
struct reader {
    const char *path;
    enum sp_status (*each)(void *self, const char *key, const char *value, struct sp_err *err);
    void *self;
    char key[KEY_MAX];
    struct level level[DEPTH_MAX];
    int depth, scalars;
};

static enum sp_status at(const struct reader *r, const yaml_event_t *e, struct sp_err *err)
{
    return sp_where(err, "%s:%zu", r->path, e->start_mark.line + 1);
}

static enum sp_status set_key(struct reader *r, const char *name, struct sp_err *err)
{
    struct level *l = &r->level[r->depth - 1];
    size_t start = r->depth > 1 ? r->level[r->depth - 2].key_end : 0, n = strlen(name);
    if (start + n + 2 > KEY_MAX)
        return sp_fail(err, SP_LIMIT, "key longer than %d bytes", KEY_MAX);
    if (start)
        r->key[start++] = '.';
    memcpy(r->key + start, name, n + 1);
    l->key_end = start + n;
    l->has_key = true;
    return SP_OK;
}

static enum sp_status scalar(struct reader *r, const char *text, struct sp_err *err)
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
    return r->each(r->self, r->key, text, err);
}

static enum sp_status open_level(struct reader *r, bool map, struct sp_err *err)
{
    size_t end = r->depth ? r->level[r->depth - 1].key_end : 0;
    if (r->depth == DEPTH_MAX)
        return sp_fail(err, SP_LIMIT, "nested deeper than %d", DEPTH_MAX);
    if (r->depth && r->level[r->depth - 1].map && !r->level[r->depth - 1].has_key)
        return sp_fail(err, SP_FORMAT, "a key must be text");
    if (r->depth)
        r->level[r->depth - 1].has_key = false;
    r->level[r->depth++] = (struct level){ .map = map, .key_end = end };
    return SP_OK;
}

static enum sp_status event(struct reader *r, const yaml_event_t *e, struct sp_err *err)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        if (e->data.scalar.anchor)
            return sp_fail(err, SP_UNSUPPORTED, "anchors are not read");
        if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
            return sp_fail(err, SP_FORMAT, "a value contains a zero byte");
        return scalar(r, (const char *)e->data.scalar.value, err);
    case YAML_ALIAS_EVENT: return sp_fail(err, SP_UNSUPPORTED, "aliases are not read");
    case YAML_MAPPING_START_EVENT: return open_level(r, true, err);
    case YAML_SEQUENCE_START_EVENT: return open_level(r, false, err);
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

enum sp_status sp_yaml_read(const char *path, enum sp_status (*each)(void *self, const char *key, const char *value, struct sp_err *err),
                            void *self, struct sp_err *err)
{
    struct reader r = { .path = path, .each = each, .self = self };
    struct sp_text text = { 0 };
    yaml_parser_t p;
    TRY(sp_read_file(&text, path, BYTES_MAX, err));
    if (!yaml_parser_initialize(&p)) {
        sp_text_clear(&text);
        return sp_fail(err, SP_NOMEM, "no memory to read %s", path);
    }
    yaml_parser_set_input_string(&p, (const unsigned char *)text.at, text.n);
    enum sp_status st = parse(&r, &p, err);
    yaml_parser_delete(&p);
    sp_text_clear(&text);
    return st;
}
