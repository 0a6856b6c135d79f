/* file/json.c - JSON through jansson, with our memory and our limits.
 *
 * Refused: duplicate keys, text that is not UTF-8, NUL bytes, deep nesting.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "file.h"

enum { BYTES_MAX = 1 << 30, DEPTH_MAX = 512 };

static _Thread_local bool ran_out; /* jansson calls some of these syntax errors */

static void *take(size_t bytes)
{
    void *p = sp_alloc(bytes);
    if (!p) { /* a second try: jansson 2.14's lexer goes on without the room it asked for */
        ran_out = true;
        p = sp_alloc(bytes);
    }
    return p;
}

/* Before main: a value must be freed by the functions that allocated it. */
__attribute__((constructor)) static void use_our_memory(void)
{
    json_set_alloc_funcs(take, sp_free);
}

/* Brackets open at once at the deepest place, strings left out; jansson itself allows 2048. */
static int depth_of(const char *text, size_t n)
{
    int depth = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '"')
            for (i++; i < n && text[i] != '"'; i++)
                i += text[i] == '\\';
        else if (text[i] == '[' || text[i] == '{')
            depth++;
        else if (text[i] == ']' || text[i] == '}')
            depth--;
        most = depth > most ? depth : most;
    }
    return most;
}

enum sp_status sp_json_parse(json_t **out, const char *text, size_t n, const char *what, struct sp_err *err)
{
    json_error_t e;
    if (n > BYTES_MAX)
        return sp_fail(err, SP_LIMIT, "the JSON of %s has %zu bytes, at most %d are read", what, n, BYTES_MAX);
    if (depth_of(text, n) > DEPTH_MAX)
        return sp_fail(err, SP_LIMIT, "the JSON of %s is nested deeper than %d", what, DEPTH_MAX);
    ran_out = false;
    json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (ran_out) { /* also when jansson went on: it drops the character it had no room for */
        json_decref(j);
        return sp_fail(err, SP_NOMEM, "no memory for the JSON of %s", what);
    }
    if (!j)
        return sp_fail(err, SP_FORMAT, "%s is not sound JSON: line %d column %d: %s", what, e.line, e.column, e.text);
    *out = j;
    return SP_OK;
}

enum sp_status sp_json_read(json_t **out, const char *path, size_t max, struct sp_err *err)
{
    struct sp_text t = { 0 };
    TRY(sp_read_file(&t, path, max, err));
    enum sp_status st = sp_json_parse(out, t.at, t.n, path, err);
    sp_text_clear(&t);
    return st;
}

static int add_text(const char *s, size_t n, void *text)
{
    sp_text_add(text, s, n);
    return ((struct sp_text *)text)->full ? -1 : 0;
}

void sp_json_begin(void)
{
    ran_out = false;
}

bool sp_json_ran_out(void)
{
    return ran_out;
}

/* Through our own text: json_dumps passes over a failure while it writes a key, and
 * would hand back JSON with a hole. */
enum sp_status sp_json_print(struct sp_text *out, const json_t *j, size_t flags, struct sp_err *err)
{
    bool bad = json_dump_callback(j, add_text, out, flags);
    if (out->full || ran_out)
        return sp_fail(err, SP_NOMEM, "no memory to write JSON");
    return bad ? sp_fail(err, SP_FORMAT, "this value can't be written as JSON") : SP_OK;
}

enum sp_status sp_json_write(const char *path, const json_t *j, struct sp_err *err)
{
    struct sp_text t = { .max = BYTES_MAX };
    enum sp_status st = sp_json_print(&t, j, JSON_INDENT(2) | JSON_REAL_PRECISION(17), err);
    sp_text_add(&t, "\n", 1);
    if (!st && t.full)
        st = sp_fail(err, SP_NOMEM, "no memory to write JSON");
    st = st ? sp_where(err, "%s", path) : sp_write_file(path, t.at, t.n, err);
    sp_text_clear(&t);
    return st;
}

static enum sp_status wrong(const char *key, const char *wanted, const json_t *found, struct sp_err *err)
{
    static const char *const names[] = { "an object", "a list", "text", "a whole number", "a number", "true", "false", "null" };
    return sp_fail(err, SP_FORMAT, "\"%s\" must be %s, not %s", key, wanted, names[json_typeof(found)]);
}

static const json_t *present(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return v && !json_is_null(v) ? v : NULL;
}

enum sp_status sp_json_int(const json_t *j, const char *key, int64_t min, int64_t max, int64_t fallback, int64_t *out, struct sp_err *err)
{
    const json_t *v = present(j, key);
    if (!v) {
        *out = fallback;
        return SP_OK;
    }
    double r = json_is_real(v) ? json_real_value(v) : 0;
    bool whole = json_is_real(v) && fabs(r) < 0x1p53 && floor(r) >= r;
    if (!json_is_integer(v) && !whole)
        return wrong(key, "a whole number", v, err);
    int64_t i = whole ? (int64_t)r : json_integer_value(v);
    if (i < min || i > max)
        return sp_fail(err, SP_FORMAT, "\"%s\" must be from %lld to %lld, not %lld", key, (long long)min, (long long)max, (long long)i);
    *out = i;
    return SP_OK;
}

enum sp_status sp_json_real(const json_t *j, const char *key, double min, double max, double fallback, double *out, struct sp_err *err)
{
    const json_t *v = present(j, key);
    if (!v) {
        *out = fallback;
        return SP_OK;
    }
    if (!json_is_number(v))
        return wrong(key, "a number", v, err);
    double r = json_number_value(v);
    if (!(r >= min && r <= max))
        return sp_fail(err, SP_FORMAT, "\"%s\" must be from %g to %g, not %g", key, min, max, r);
    *out = r;
    return SP_OK;
}

enum sp_status sp_json_bool(const json_t *j, const char *key, bool fallback, bool *out, struct sp_err *err)
{
    const json_t *v = present(j, key);
    if (v && !json_is_boolean(v))
        return wrong(key, "true or false", v, err);
    *out = v ? json_is_true(v) : fallback;
    return SP_OK;
}

enum sp_status sp_json_text(const json_t *j, const char *key, const char *fallback, const char **out, struct sp_err *err)
{
    const json_t *v = present(j, key);
    if (v && !json_is_string(v))
        return wrong(key, "text", v, err);
    *out = v ? json_string_value(v) : fallback;
    return SP_OK;
}
