/* model/gguf.c - reads GGUF headers, strictly: keys, tensors, places.
 *
 * Layout: ggml's docs/gguf.md, versions 2 and 3.  Tensors fill the data part in order,
 * without holes, as ggml's own reader wants them; counts and lengths are held against
 * what is left of the file before anything is allocated, which is a small multiple of the
 * header.  What keys mean is in gguf_config.c, how tensors are called in gguf_names.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"

enum { PAIRS_MAX = 1 << 16, TENSORS_MAX = 1 << 20, HEADER_MAX = 1 << 28, KEY_BYTES_MAX = 65535, NAME_BYTES_MAX = 63, ALIGN_MAX = 1 << 20, DIMS_MAX = 4,
       VALUES_MAX = 1 << 30, PAIR_BYTES_MIN = 14, TENSOR_BYTES_MIN = 25 };

static const int kind_bytes[SP_GGUF_KINDS] = { [SP_GGUF_U8] = 1, [SP_GGUF_I8] = 1, [SP_GGUF_U16] = 2, [SP_GGUF_I16] = 2, [SP_GGUF_U32] = 4, [SP_GGUF_I32] = 4,
                                               [SP_GGUF_F32] = 4, [SP_GGUF_BOOL] = 1, [SP_GGUF_U64] = 8, [SP_GGUF_I64] = 8, [SP_GGUF_F64] = 8 };

/* ggml.h's numbers; those not here were given up. */
static const struct sp_gguf_type types[] = {
    { 0, "F32", 1, 4 }, { 1, "F16", 1, 2 }, { 2, "Q4_0", 32, 18 }, { 3, "Q4_1", 32, 20 }, { 6, "Q5_0", 32, 22 }, { 7, "Q5_1", 32, 24 }, { 8, "Q8_0", 32, 34 },
    { 9, "Q8_1", 32, 36 }, { 10, "Q2_K", 256, 84 }, { 11, "Q3_K", 256, 110 }, { 12, "Q4_K", 256, 144 }, { 13, "Q5_K", 256, 176 }, { 14, "Q6_K", 256, 210 },
    { 15, "Q8_K", 256, 292 }, { 16, "IQ2_XXS", 256, 66 }, { 17, "IQ2_XS", 256, 74 }, { 18, "IQ3_XXS", 256, 98 }, { 19, "IQ1_S", 256, 50 }, { 20, "IQ4_NL", 32, 18 },
    { 21, "IQ3_S", 256, 110 }, { 22, "IQ2_S", 256, 82 }, { 23, "IQ4_XS", 256, 136 }, { 24, "I8", 1, 1 }, { 25, "I16", 1, 2 }, { 26, "I32", 1, 4 },
    { 27, "I64", 1, 8 }, { 28, "F64", 1, 8 }, { 29, "IQ1_M", 256, 56 }, { 30, "BF16", 1, 2 }, { 34, "TQ1_0", 256, 54 }, { 35, "TQ2_0", 256, 66 },
    { 39, "MXFP4", 32, 17 }, { 40, "NVFP4", 64, 36 }, { 41, "Q1_0", 128, 18 }, { 42, "Q2_0", 64, 18 },
};

enum sp_format sp_gguf_format(const struct sp_gguf_type *t)
{
    for (int f = 0; f < SP_FORMATS; f++)
        if (sp_formats[f].gguf && sp_formats[f].gguf_type == t->id)
            return (enum sp_format)f;
    return SP_FORMATS;
}

/* ---- bytes ---- */

struct cursor { const unsigned char *from, *at, *end; struct sp_gguf *g; bool keep; uint64_t file_bytes; };

static enum sp_status cut_short(const struct cursor *c, struct sp_err *err)
{
    return sp_fail(err, SP_FORMAT, "the header ends or lies at byte %zu", (size_t)(c->at - c->from));
}

static uint64_t number_at(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static enum sp_status take(struct cursor *c, int bytes, uint64_t *out, struct sp_err *err)
{
    if (c->end - c->at < bytes)
        return cut_short(c, err);
    *out = number_at(c->at, bytes);
    c->at += bytes;
    return SP_OK;
}

static enum sp_status take_text(struct cursor *c, struct sp_slice *out, struct sp_err *err)
{
    uint64_t n = 0;
    TRY(take(c, 8, &n, err));
    if (n > (uint64_t)(c->end - c->at))
        return cut_short(c, err);
    *out = (struct sp_slice){ (const char *)c->at, (size_t)n };
    c->at += n;
    return SP_OK;
}

struct sp_slice sp_gguf_next_text(const unsigned char **at)
{
    struct sp_slice s = { (const char *)*at + 8, (size_t)number_at(*at, 8) };
    *at += 8 + s.n;
    return s;
}

/* ---- pairs ---- */

static enum sp_status pass_values(struct cursor *c, struct sp_gguf_pair *p, struct sp_err *err)
{
    uint64_t left = (uint64_t)(c->end - c->at), each = p->kind == SP_GGUF_TEXT ? 8 : (uint64_t)kind_bytes[p->kind];
    if (p->n > VALUES_MAX || p->n > left / each)
        return cut_short(c, err);
    p->at = c->at;
    if (p->kind != SP_GGUF_TEXT)
        c->at += p->n * each;
    for (uint64_t i = 0; p->kind == SP_GGUF_TEXT && i < p->n; i++) {
        struct sp_slice s;
        TRY(take_text(c, &s, err));
    }
    return SP_OK;
}

static enum sp_status take_pair(struct cursor *c, struct sp_gguf_pair *p, struct sp_err *err)
{
    uint64_t kind = 0;
    *p = (struct sp_gguf_pair){ .n = 1 };
    TRY(take_text(c, &p->key, err));
    if (!p->key.n || p->key.n > KEY_BYTES_MAX)
        return sp_fail(err, SP_FORMAT, "a key of %zu bytes; from 1 to %d are allowed", p->key.n, KEY_BYTES_MAX);
    TRY(take(c, 4, &kind, err));
    if (kind == SP_GGUF_ARRAY) {
        p->list = true;
        TRY(take(c, 4, &kind, err));
        TRY(take(c, 8, &p->n, err));
        if (kind == SP_GGUF_ARRAY)
            return sp_fail(err, SP_FORMAT, "\"%.*s\" is an array of arrays, which isn't read", (int)(p->key.n < 60 ? p->key.n : 60), p->key.at);
    }
    if (kind >= SP_GGUF_KINDS)
        return sp_fail(err, SP_FORMAT, "\"%.*s\" is of type %llu, which GGUF doesn't have", (int)(p->key.n < 60 ? p->key.n : 60), p->key.at,
                       (unsigned long long)kind);
    p->kind = (enum sp_gguf_kind)kind;
    return pass_values(c, p, err);
}

static int compare(struct sp_slice a, struct sp_slice b)
{
    int d = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);
    return d ? d : a.n < b.n ? -1 : a.n > b.n;
}

static int by_key(const void *x, const void *y)
{
    const struct sp_gguf_pair *a = x, *b = y;
    return compare(a->key, b->key);
}

static enum sp_status check_keys(struct sp_gguf *g, struct sp_err *err)
{
    qsort(g->pair, (size_t)g->n_pairs, sizeof *g->pair, by_key);
    for (int i = 1; i < g->n_pairs; i++)
        if (!by_key(&g->pair[i - 1], &g->pair[i]))
            return sp_fail(err, SP_FORMAT, "key \"%.*s\" stands twice", (int)(g->pair[i].key.n < 60 ? g->pair[i].key.n : 60), g->pair[i].key.at);
    const struct sp_gguf_pair *align = sp_gguf_find(g, "general.alignment");
    g->align = 32;
    if (align && (align->kind != SP_GGUF_U32 || align->list))
        return sp_fail(err, SP_FORMAT, "general.alignment must be a u32");
    if (align)
        g->align = number_at(align->at, 4);
    if (g->align < 1 || g->align > ALIGN_MAX || (g->align & (g->align - 1)))
        return sp_fail(err, SP_FORMAT, "general.alignment is %llu; a power of two up to %d is wanted", (unsigned long long)g->align, ALIGN_MAX);
    return SP_OK;
}

const struct sp_gguf_pair *sp_gguf_find(const struct sp_gguf *g, const char *key)
{
    struct sp_gguf_pair wanted = { .key = { key, strlen(key) } };
    return g->n_pairs ? bsearch(&wanted, g->pair, (size_t)g->n_pairs, sizeof *g->pair, by_key) : NULL;
}

static json_t *number(enum sp_gguf_kind k, uint64_t bits)
{
    float f;
    double d;
    uint32_t low = (uint32_t)bits;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &bits, sizeof d);
    switch (k) {
    case SP_GGUF_F32: return json_real((double)f);
    case SP_GGUF_F64: return json_real(d);
    case SP_GGUF_BOOL: return json_boolean(bits != 0);
    case SP_GGUF_I8: return json_integer((int8_t)bits);
    case SP_GGUF_I16: return json_integer((int16_t)bits);
    case SP_GGUF_I32: return json_integer((int32_t)bits);
    default: return json_integer((json_int_t)bits);
    }
}

/* The first number of an array stands for it: layers that differ are counted as the first. */
json_t *sp_gguf_value(const struct sp_gguf *g, const char *key)
{
    const struct sp_gguf_pair *p = sp_gguf_find(g, key);
    if (!p || !p->n)
        return NULL;
    const unsigned char *at = p->at;
    if (p->kind != SP_GGUF_TEXT)
        return number(p->kind, number_at(at, kind_bytes[p->kind]));
    struct sp_slice s = sp_gguf_next_text(&at);
    return json_stringn(s.at, s.n);
}

/* ---- tensors ---- */

static enum sp_status take_shape(struct cursor *c, struct sp_gguf_tensor *t, struct sp_err *err)
{
    uint64_t dims = 0, d = 0;
    TRY(take(c, 4, &dims, err));
    if (dims > DIMS_MAX)
        return sp_fail(err, SP_FORMAT, "%llu dimensions, at most %d are allowed", (unsigned long long)dims, DIMS_MAX);
    t->n = (int)dims;
    t->elements = 1;
    for (int i = 0; i < t->n; i++) {
        TRY(take(c, 8, &d, err));
        if (d > INT64_MAX || __builtin_mul_overflow(t->elements, (int64_t)d, &t->elements))
            return sp_fail(err, SP_FORMAT, "it is larger than can be");
        t->dim[i] = (int64_t)d;
    }
    return SP_OK;
}

static enum sp_status take_type(struct cursor *c, struct sp_gguf_tensor *t, struct sp_err *err)
{
    uint64_t id = 0;
    int64_t row = t->n ? t->dim[0] : 1;
    TRY(take(c, 4, &id, err));
    for (size_t i = 0; i < SP_COUNT(types); i++)
        if ((uint64_t)types[i].id == id)
            t->type = &types[i];
    if (!t->type)
        return sp_fail(err, SP_FORMAT, "its number format is %llu, which GGUF doesn't have (or no longer has)", (unsigned long long)id);
    if (row % t->type->block)
        return sp_fail(err, SP_FORMAT, "its rows of %lld do not divide into %s's blocks of %d", (long long)row, t->type->name, t->type->block);
    if (__builtin_mul_overflow((uint64_t)(t->elements / t->type->block), (uint64_t)t->type->bytes, &t->bytes))
        return sp_fail(err, SP_FORMAT, "it is larger than can be");
    return SP_OK;
}

static enum sp_status take_tensor(struct cursor *c, struct sp_gguf_tensor *t, struct sp_err *err)
{
    *t = (struct sp_gguf_tensor){ 0 };
    TRY(take_text(c, &t->name, err));
    if (!t->name.n || t->name.n > NAME_BYTES_MAX || memchr(t->name.at, 0, t->name.n) || !sp_utf8_valid(t->name.at, t->name.n))
        return sp_fail(err, SP_FORMAT, "a tensor's name is empty, longer than %d bytes, or no text", NAME_BYTES_MAX);
    enum sp_status st = take_shape(c, t, err);
    st = st ? st : take_type(c, t, err);
    st = st ? st : take(c, 8, &t->at, err);
    return st ? sp_where(err, "tensor %.*s", (int)t->name.n, t->name.at) : SP_OK;
}

static int by_name(const void *x, const void *y)
{
    const struct sp_gguf_tensor *const *a = x, *const *b = y;
    return compare((*a)->name, (*b)->name);
}

static enum sp_status check_names(struct sp_gguf *g, struct sp_err *err)
{
    const struct sp_gguf_tensor **by = sp_alloc(((size_t)g->n + 1) * sizeof *by);
    enum sp_status st = by ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for %d tensors", g->n);
    for (int i = 0; !st && i < g->n; i++)
        by[i] = &g->tensor[i];
    if (!st)
        qsort(by, (size_t)g->n, sizeof *by, by_name);
    for (int i = 1; !st && i < g->n; i++)
        if (!by_name(&by[i - 1], &by[i]))
            st = sp_fail(err, SP_FORMAT, "tensor %.*s stands twice", (int)by[i]->name.n, by[i]->name.at);
    sp_free(by);
    return st;
}

/* One behind the other, each at a multiple of the alignment, all in the file. */
static enum sp_status check_places(struct cursor *c, struct sp_err *err)
{
    struct sp_gguf *g = c->g;
    uint64_t at = 0, head = (uint64_t)(c->at - c->from);
    g->data = (head + g->align - 1) / g->align * g->align;
    g->data_bytes = c->file_bytes > g->data ? c->file_bytes - g->data : 0;
    for (int i = 0; i < g->n; i++) {
        const struct sp_gguf_tensor *t = &g->tensor[i];
        if (t->at != at)
            return sp_fail(err, SP_FORMAT, "tensor %.*s begins at byte %llu of the data, wanted is %llu (no hole, no overlap)", (int)t->name.n, t->name.at,
                           (unsigned long long)t->at, (unsigned long long)at);
        if (t->bytes > g->data_bytes || at > g->data_bytes - t->bytes)
            return sp_fail(err, SP_FORMAT, "tensor %.*s leaves the file: its data part has %llu bytes", (int)t->name.n, t->name.at,
                           (unsigned long long)g->data_bytes);
        at = (at + t->bytes + g->align - 1) / g->align * g->align;
        g->elements += (uint64_t)t->elements;
    }
    return SP_OK;
}

const struct sp_gguf_tensor *sp_gguf_tensor_find(const struct sp_gguf *g, const char *name)
{
    for (int i = 0; i < g->n; i++)
        if (g->tensor[i].name.n == strlen(name) && !memcmp(g->tensor[i].name.at, name, g->tensor[i].name.n))
            return &g->tensor[i];
    return NULL;
}

/* ---- all of it ---- */

static enum sp_status take_beginning(struct cursor *c, uint64_t *tensors, uint64_t *pairs, struct sp_err *err)
{
    uint64_t magic = 0, version = 0;
    TRY(take(c, 4, &magic, err));
    if (magic != 0x46554747)
        return sp_fail(err, SP_FORMAT, "this is no GGUF file");
    TRY(take(c, 4, &version, err));
    if (version && !(version & 0xffff)) {
        sp_fail(err, SP_UNSUPPORTED, "this GGUF file is of the other endianness (most significant byte first)");
        return sp_remedy(err, "take the file that was made for this kind of machine");
    }
    if (version < 2 || version > 3)
        return sp_fail(err, SP_FORMAT, "GGUF of version %llu isn't supported; 2 and 3 are", (unsigned long long)version);
    TRY(take(c, 8, tensors, err));
    TRY(take(c, 8, pairs, err));
    if (*tensors > TENSORS_MAX || *pairs > PAIRS_MAX)
        return sp_fail(err, SP_LIMIT, "%llu tensors and %llu keys; at most %d and %d are read", (unsigned long long)*tensors, (unsigned long long)*pairs,
                       TENSORS_MAX, PAIRS_MAX);
    uint64_t left = (uint64_t)(c->end - c->at);
    return *pairs * PAIR_BYTES_MIN + *tensors * TENSOR_BYTES_MIN > left ? cut_short(c, err) : SP_OK;
}

/* Once without keeping anything, to see how far it goes; then, over a copy, for good. */
static enum sp_status walk(void *arg, struct sp_err *err)
{
    struct cursor *c = arg;
    struct sp_gguf *g = c->g;
    struct sp_gguf_pair pair;
    struct sp_gguf_tensor tensor;
    uint64_t tensors = 0, pairs = 0;
    TRY(take_beginning(c, &tensors, &pairs, err));
    if (c->keep) {
        g->pair = sp_arena_take(&g->mem, ((size_t)pairs + 1) * sizeof *g->pair);
        g->tensor = sp_arena_take(&g->mem, ((size_t)tensors + 1) * sizeof *g->tensor);
        if (!g->pair || !g->tensor)
            return sp_fail(err, SP_NOMEM, "no memory for %llu keys and %llu tensors", (unsigned long long)pairs, (unsigned long long)tensors);
    }
    for (uint64_t i = 0; i < pairs; i++)
        TRY(take_pair(c, c->keep ? &g->pair[g->n_pairs++] : &pair, err));
    for (uint64_t i = 0; i < tensors; i++)
        TRY(take_tensor(c, c->keep ? &g->tensor[g->n++] : &tensor, err));
    if (!c->keep)
        return SP_OK;
    TRY(check_keys(g, err));
    TRY(check_names(g, err));
    return check_places(c, err);
}

static enum sp_status read_copy(struct sp_gguf *g, const struct sp_map *m, struct sp_err *err)
{
    if (!m->bytes)
        return sp_fail(err, SP_FORMAT, "the file is empty");
    struct cursor c = { .from = m->at, .at = m->at, .end = m->at + (m->bytes < HEADER_MAX ? m->bytes : HEADER_MAX), .g = g, .file_bytes = m->bytes };
    TRY(sp_map_guard(m, walk, &c, err));
    g->header_bytes = (size_t)(c.at - c.from);
    if (!(g->header = sp_alloc(g->header_bytes)))
        return sp_fail(err, SP_NOMEM, "no memory for a header of %zu bytes", g->header_bytes);
    TRY(sp_map_copy(m, 0, g->header_bytes, g->header, err));
    c = (struct cursor){ .from = g->header, .at = g->header, .end = g->header + g->header_bytes, .g = g, .keep = true, .file_bytes = m->bytes };
    return walk(&c, err);
}

enum sp_status sp_gguf_read(struct sp_gguf *g, const struct sp_map *m, struct sp_err *err)
{
    struct sp_gguf n = { 0 };
    enum sp_status st = read_copy(&n, m, err);
    if (st)
        sp_gguf_clear(&n);
    else
        *g = n;
    return st;
}

void sp_gguf_clear(struct sp_gguf *g)
{
    sp_free(g->header);
    sp_arena_clear(&g->mem);
    *g = (struct sp_gguf){ 0 };
}
