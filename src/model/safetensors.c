/* model/safetensors.c - reads safetensors headers, strictly.
 *
 * The rules are the reference reader's, and more: entries fill the data part
 * exactly, in order, without holes or overlap; sizes match dtype and shape;
 * numbers are whole; no duplicate or path-breaking names; shallow JSON.  What is
 * allocated is a small multiple of the header, never of what the header claims.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "model.h"
#include "weights.h"

enum { HEADER_BYTES_MAX = 100000000, DEPTH_MAX = 3, NAME_BYTES_MAX = 4096, TENSORS_MAX = 1 << 20, ENTRY_BYTES_MIN = 40 };

struct dtype { const char *name; int bits; };
static const struct dtype dtypes[] = {
    { "F32", 32 }, { "F16", 16 }, { "BF16", 16 }, { "I32", 32 }, { "I64", 64 }, { "F64", 64 }, { "BOOL", 8 }, { "U8", 8 }, { "I8", 8 },
    { "I16", 16 }, { "U16", 16 }, { "U32", 32 }, { "U64", 64 }, { "C64", 64 }, { "F8_E5M2", 8 }, { "F8_E4M3", 8 }, { "F8_E8M0", 8 },
    { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 }, { "F4", 4 }, { "F6_E2M3", 6 }, { "F6_E3M2", 6 },
};

static const struct dtype *find_dtype(const char *name)
{
    for (size_t i = 0; i < SP_COUNT(dtypes); i++)
        if (!strcmp(dtypes[i].name, name))
            return &dtypes[i];
    return NULL;
}

enum sp_format sp_tensor_format(const struct sp_tensor *t)
{
    if (t->block_format)
        return t->block_format;
    for (int f = 0; f < SP_FORMATS; f++)
        if (sp_formats[f].safetensors && !strcmp(sp_formats[f].safetensors, t->dtype))
            return (enum sp_format)f;
    return SP_FORMATS;
}

/* ---- the text, before a JSON reader sees it ---- */

/* Depth, numbers that are not plain whole ones, long lists, and more objects than so many bytes can describe: the
 * JSON reader then needs a small multiple of the header.  It checks the rest. */
static enum sp_status scan(const char *s, size_t n, struct sp_err *err)
{
    size_t objects = 0, items = 0;
    int depth = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '"') {
            for (i++; i < n && s[i] != '"'; i++)
                i += s[i] == '\\';
        } else if (c == '{' || c == '[') {
            objects += c == '{';
            items = 0;
            if (++depth > DEPTH_MAX)
                return sp_fail(err, SP_FORMAT, "the header nests deeper than %d", DEPTH_MAX);
        } else if (c == '}' || c == ']') {
            depth--;
        } else if (c == ',' && depth == 3 && ++items >= SP_TENSOR_DIMS_MAX) {
            return sp_fail(err, SP_FORMAT, "the header holds a list of more than %d", SP_TENSOR_DIMS_MAX);
        } else if (c == '-' || c == '.' || c == '+' || (depth == 1 && c >= '0' && c <= '9')) {
            return sp_fail(err, SP_FORMAT, "the header holds a number that is negative, not whole, or out of place");
        } else if (depth < 1 && c != ' ') {
            return sp_fail(err, SP_FORMAT, "the header holds more than one object");
        }
    }
    return objects > n / ENTRY_BYTES_MIN + 2 ? sp_fail(err, SP_FORMAT, "%zu objects in %zu bytes describe no tensors", objects, n) : SP_OK;
}

/* ---- one entry ---- */

static enum sp_status check_name(const char *name, size_t n, struct sp_err *err)
{
    if (!n || n > NAME_BYTES_MAX || memchr(name, 0, n))
        return sp_fail(err, SP_FORMAT, "a tensor's name is empty, longer than %d bytes, or holds a zero byte", NAME_BYTES_MAX);
    return SP_OK;
}

static enum sp_status read_shape(struct sp_tensor *t, const json_t *shape, struct sp_err *err)
{
    size_t n = json_array_size(shape);
    if (!json_is_array(shape) || n > SP_TENSOR_DIMS_MAX)
        return sp_fail(err, SP_FORMAT, "\"shape\" must be a list of at most %d sizes", SP_TENSOR_DIMS_MAX);
    t->n = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0)
            return sp_fail(err, SP_FORMAT, "\"shape\" must hold whole numbers");
        t->dim[i] = json_integer_value(d);
    }
    return SP_OK;
}

static enum sp_status read_offsets(struct sp_tensor *t, const json_t *at, uint64_t data_bytes, struct sp_err *err)
{
    const json_t *from = json_array_get(at, 0), *to = json_array_get(at, 1);
    if (json_array_size(at) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return sp_fail(err, SP_FORMAT, "\"data_offsets\" must be two whole numbers");
    int64_t a = json_integer_value(from), b = json_integer_value(to);
    if (a < 0 || b < a || (uint64_t)b > data_bytes)
        return sp_fail(err, SP_FORMAT, "data_offsets %lld to %lld leave the data part of %llu bytes", (long long)a, (long long)b,
                       (unsigned long long)data_bytes);
    t->at = (uint64_t)a;
    t->bytes = (uint64_t)(b - a);
    return SP_OK;
}

static enum sp_status check_size(const struct sp_tensor *t, int bits, struct sp_err *err)
{
    uint64_t n = (uint64_t)bits;
    for (int i = 0; i < t->n; i++)
        if (__builtin_mul_overflow(n, (uint64_t)t->dim[i], &n))
            return sp_fail(err, SP_FORMAT, "its shape overflows");
    if (n % 8 || n / 8 != t->bytes)
        return sp_fail(err, SP_FORMAT, "shape and dtype want %llu bits, data_offsets give %llu bytes", (unsigned long long)n,
                       (unsigned long long)t->bytes);
    return SP_OK;
}

static enum sp_status read_entry(struct sp_tensor *t, const json_t *e, uint64_t data_bytes, struct sp_err *err)
{
    const char *dtype = json_string_value(json_object_get(e, "dtype"));
    if (!json_is_object(e) || json_object_size(e) != 3 || !dtype)
        return sp_fail(err, SP_FORMAT, "it must hold dtype, shape and data_offsets and nothing else");
    const struct dtype *d = find_dtype(dtype);
    if (!d)
        return sp_fail(err, SP_FORMAT, "dtype \"%.20s\" isn't known", dtype);
    t->dtype = d->name;
    TRY(read_shape(t, json_object_get(e, "shape"), err));
    TRY(read_offsets(t, json_object_get(e, "data_offsets"), data_bytes, err));
    return check_size(t, d->bits, err);
}

static enum sp_status check_metadata(const json_t *m, struct sp_err *err)
{
    const char *key;
    const json_t *v;
    if (!json_is_object(m))
        return sp_fail(err, SP_FORMAT, "__metadata__ must be an object of strings");
    json_object_foreach((json_t *)m, key, v)
        if (!json_is_string(v))
            return sp_fail(err, SP_FORMAT, "__metadata__ \"%.60s\" must be text", key);
    return SP_OK;
}

/* ---- all entries ---- */

static int by_place(const void *x, const void *y)
{
    const struct sp_tensor *a = x, *b = y;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? -1 : 1) : strcmp(a->name, b->name);
}

static enum sp_status check_places(const struct sp_safetensors *s, uint64_t data_bytes, struct sp_err *err)
{
    uint64_t end = 0;
    for (int i = 0; i < s->n; i++) {
        if (s->tensor[i].at != end)
            return sp_fail(err, SP_FORMAT, "tensor \"%.100s\" begins at byte %llu of the data, wanted is %llu (no hole, no overlap)",
                           s->tensor[i].name, (unsigned long long)s->tensor[i].at, (unsigned long long)end);
        end += s->tensor[i].bytes;
    }
    if (end != data_bytes)
        return sp_fail(err, SP_FORMAT, "the tensors end at byte %llu of the data, the file has %llu", (unsigned long long)end,
                       (unsigned long long)data_bytes);
    return SP_OK;
}

static enum sp_status read_entries(struct sp_safetensors *s, const json_t *j, uint64_t data_bytes, struct sp_err *err)
{
    size_t n = json_object_size(j);
    if (n > TENSORS_MAX)
        return sp_fail(err, SP_LIMIT, "the header lists %zu tensors, at most %d are read", n, TENSORS_MAX);
    if (!(s->tensor = sp_zalloc(n + 1, sizeof *s->tensor)))
        return sp_fail(err, SP_NOMEM, "no memory for %zu tensors", n);
    const char *key;
    size_t key_n;
    json_t *e;
    json_object_keylen_foreach((json_t *)j, key, key_n, e) {
        if (!strcmp(key, "__metadata__")) {
            TRY(check_metadata(e, err));
            s->metadata = json_incref(e);
            continue;
        }
        TRY(check_name(key, key_n, err));
        struct sp_tensor *t = &s->tensor[s->n];
        if (!(t->name = sp_arena_printf(&s->mem, "%s", key)))
            return sp_fail(err, SP_NOMEM, "no memory for a tensor's name");
        if (read_entry(t, e, data_bytes, err))
            return sp_where(err, "tensor \"%.100s\"", key);
        s->n++;
    }
    qsort(s->tensor, (size_t)s->n, sizeof *s->tensor, by_place);
    return check_places(s, data_bytes, err);
}

enum sp_status sp_safetensors_parse(struct sp_safetensors *out, const char *header, size_t n, uint64_t file_bytes, struct sp_err *err)
{
    struct sp_safetensors s = { 0 };
    json_t *j = NULL;
    if (n > HEADER_BYTES_MAX)
        return sp_fail(err, SP_LIMIT, "a header of %zu bytes, at most %d are read", n, HEADER_BYTES_MAX);
    if (file_bytes < 8 || n > file_bytes - 8)
        return sp_fail(err, SP_FORMAT, "a header of %zu bytes in a file of %llu", n, (unsigned long long)file_bytes);
    if (!n || header[0] != '{' || !sp_utf8_valid(header, n))
        return sp_fail(err, SP_FORMAT, "the header isn't a JSON object in UTF-8");
    TRY(scan(header, n, err));
    TRY(sp_json_parse(&j, header, n, "the header", err));
    enum sp_status st = read_entries(&s, j, file_bytes - 8 - n, err);
    json_decref(j);
    if (st) {
        sp_safetensors_close(&s);
        return st;
    }
    for (int i = 0; i < s.n; i++)
        s.tensor[i].at += 8 + n;
    *out = s;
    return SP_OK;
}

static enum sp_status parse_map(struct sp_safetensors *out, const struct sp_map *m, struct sp_err *err)
{
    unsigned char word[8];
    uint64_t n = 0;
    if (m->bytes < 8)
        return sp_fail(err, SP_FORMAT, "a file of %zu bytes is too short", m->bytes);
    TRY(sp_map_copy(m, 0, 8, word, err));
    for (int i = 7; i >= 0; i--)
        n = n << 8 | word[i];
    if (n > HEADER_BYTES_MAX || n > m->bytes - 8)
        return sp_fail(err, SP_FORMAT, "the header claims %llu bytes, the file has %zu (and at most %d are read)", (unsigned long long)n,
                       m->bytes, HEADER_BYTES_MAX);
    char *header = sp_alloc((size_t)n + 1);
    if (!header)
        return sp_fail(err, SP_NOMEM, "no memory for a header of %llu bytes", (unsigned long long)n);
    enum sp_status st = sp_map_copy(m, 8, (size_t)n, header, err);
    st = st ? st : sp_safetensors_parse(out, header, (size_t)n, m->bytes, err);
    sp_free(header);
    return st;
}

enum sp_status sp_safetensors_open(struct sp_safetensors *out, const char *path, struct sp_err *err)
{
    struct sp_map m;
    struct sp_safetensors s;
    TRY(sp_map_open(&m, path, err));
    if (parse_map(&s, &m, err)) {
        sp_map_close(&m);
        return sp_file_refused(err, path);
    }
    s.map = m;
    *out = s;
    for (int i = 0; i < out->n; i++)
        out->tensor[i].map = &out->map;
    return SP_OK;
}

void sp_safetensors_close(struct sp_safetensors *s)
{
    if (s->map.path)
        sp_map_close(&s->map);
    json_decref(s->metadata);
    sp_free(s->tensor);
    sp_arena_clear(&s->mem);
    *s = (struct sp_safetensors){ 0 };
}

const struct sp_tensor *sp_safetensors_find(const struct sp_safetensors *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (!strcmp(s->tensor[i].name, name))
            return &s->tensor[i];
    return NULL;
}
