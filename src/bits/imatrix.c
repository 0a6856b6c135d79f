/* bits/imatrix.c - llama.cpp's files of importance: mean squares of what enters a
 * matrix, by GGUF's names.
 *
 * GGUF form (llama.cpp, July 2025): general.type "imatrix"; of every matrix NAME.in_sum2, sums of squares
 * over tokens, and NAME.counts, how many tokens.  Older form, little-endian: i32 entries; each i32 length, name, i32 calls,
 * i32 n, n f32 (mean square times calls); then perhaps i32 chunks, i32 length, name of the text.  Columns stand as in
 * Hugging Face's files: GGUF permutes rows alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "../model/gguf.h"

enum { NAME_MAX_ = 256, TEXT_MAX = 4096, ENTRIES_MAX = 1 << 20, COLS_MAX = 1 << 24, SHOWN = 60 };

static const char SUMS[] = ".in_sum2", COUNTS[] = ".counts";

struct reading { const struct sp_weights *w; const struct sp_map *map; const char *arch; struct sp_bits_stats out; int cap; size_t at; };

static enum sp_status no_memory(const struct reading *r, struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "no memory to read %s", r->map->path);
}

/* ---- an entry ---- */

/* Numbers: sums in the file, little-endian f32. */
struct entry { struct sp_slice name; int64_t n; double count; const unsigned char *sums; };

static bool name_of(const struct reading *r, struct sp_slice gguf, char *name)
{
    static const struct sp_slice embed = { "token_embd.weight", 17 };
    if (!sp_gguf_name_back(&r->w->config, gguf, name, NAME_MAX_))
        return false;
    if (sp_weights_find(r->w, name))
        return true;
    bool head = gguf.n == 13 && !memcmp(gguf.at, "output.weight", 13);
    return head && r->w->config.tied && sp_gguf_name_back(&r->w->config, embed, name, NAME_MAX_);
}

static int layer_of(struct sp_slice gguf)
{
    int layer = -1;
    char text[SHOWN + 1];
    snprintf(text, sizeof text, "%.*s", (int)gguf.n, gguf.at);
    return sscanf(text, "blk.%9d.", &layer) == 1 ? layer : -1;
}

static enum sp_status read_numbers(const struct reading *r, const struct entry *e, float *x, struct sp_err *err)
{
    for (int64_t i = 0; i < e->n; i++) {
        memcpy(&x[i], e->sums + i * 4, 4);
        x[i] = (float)((double)x[i] / e->count);
        if (!isfinite(x[i]) || x[i] < 0)
            return sp_fail(err, SP_FORMAT, "%s: number %lld of %.*s is no mean of squares", r->map->path, (long long)i + 1,
                           (int)(e->name.n < SHOWN ? e->name.n : SHOWN), e->name.at);
    }
    return SP_OK;
}

static enum sp_status take_entry(struct reading *r, const struct entry *e, struct sp_err *err)
{
    char name[NAME_MAX_];
    const struct sp_tensor *t = name_of(r, e->name, name) ? sp_weights_find(r->w, name) : NULL;
    if (!t || t->n != 2 || sp_bits_find(&r->out, name) || !(e->count > 0) || r->out.n == r->cap)
        return SP_OK;
    bool turned = r->arch && sp_gguf_layout(&r->w->config, r->arch, name).transposed;
    int64_t cols = t->dim[turned ? 0 : 1];
    if (e->n != cols) {
        sp_fail(err, SP_SHAPE, "%s: %.*s has %lld numbers, the model's has %lld inputs", r->map->path, (int)(e->name.n < SHOWN ? e->name.n : SHOWN), e->name.at,
                (long long)e->n, (long long)cols);
        return sp_remedy(err, "it was made of another model");
    }
    float *x = sp_arena_take(&r->out.mem, (size_t)cols * sizeof *x);
    if (!x)
        return no_memory(r, err);
    TRY(read_numbers(r, e, x, err));
    r->out.matrix[r->out.n++] = (struct sp_bits_matrix){ .name = sp_arena_printf(&r->out.mem, "%s", name), .rows = t->dim[turned ? 1 : 0], .cols = cols,
                                                         .layer = layer_of(e->name), .tokens = e->count, .x2 = x };
    return r->out.matrix[r->out.n - 1].name ? SP_OK : no_memory(r, err);
}

/* Every tensor of the model at most once. */
static enum sp_status begin(struct reading *r, struct sp_err *err)
{
    r->cap = r->w->n;
    r->arch = sp_gguf_arch(&r->w->config);
    r->out.matrix = sp_arena_take(&r->out.mem, ((size_t)r->cap + 1) * sizeof *r->out.matrix);
    r->out.text = "";
    return r->out.matrix ? SP_OK : no_memory(r, err);
}

static enum sp_status set_text(struct reading *r, const char *s, size_t n, struct sp_err *err)
{
    n = n < TEXT_MAX && sp_utf8_valid(s, n) ? n : 0;
    r->out.text = sp_arena_printf(&r->out.mem, "%.*s", (int)n, s);
    return r->out.text ? SP_OK : no_memory(r, err);
}

/* ---- GGUF form ---- */

static bool ends(struct sp_slice s, const char *end)
{
    size_t n = strlen(end);
    return s.n > n && !memcmp(s.at + s.n - n, end, n);
}

static enum sp_status copy_numbers(const struct reading *r, const struct sp_gguf *g, const struct sp_gguf_tensor *t, unsigned char **out, struct sp_err *err)
{
    if (strcmp(t->type->name, "F32") || t->elements < 1 || t->elements > COLS_MAX)
        return sp_fail(err, SP_FORMAT, "%s: tensor %.*s isn't a row of f32", r->map->path, (int)t->name.n, t->name.at);
    unsigned char *x = sp_alloc((size_t)t->bytes);
    if (!x)
        return no_memory(r, err);
    enum sp_status st = sp_map_copy(r->map, (size_t)(g->data + t->at), (size_t)t->bytes, x, err);
    if (st)
        sp_free(x);
    else
        *out = x;
    return st;
}

static enum sp_status read_count(const struct reading *r, const struct sp_gguf *g, const struct sp_gguf_tensor *sums, double *count, struct sp_err *err)
{
    char name[NAME_MAX_];
    size_t stem = sums->name.n - strlen(SUMS);
    unsigned char *x = NULL;
    float first;
    snprintf(name, sizeof name, "%.*s%s", (int)stem, sums->name.at, COUNTS);
    const struct sp_gguf_tensor *t = sp_gguf_tensor_find(g, name);
    if (!t)
        return sp_fail(err, SP_FORMAT, "%s: %.*s has no tensor %s beside it", r->map->path, (int)sums->name.n, sums->name.at, name);
    TRY(copy_numbers(r, g, t, &x, err));
    memcpy(&first, x, sizeof first);
    sp_free(x);
    if (!isfinite(first) || first < 0)
        return sp_fail(err, SP_FORMAT, "%s: %s is no number of tokens", r->map->path, name);
    *count = t->elements == 1 ? (double)first : 0; /* of experts each has its own: passed over */
    return SP_OK;
}

static enum sp_status read_tensor(struct reading *r, const struct sp_gguf *g, const struct sp_gguf_tensor *t, struct sp_err *err)
{
    struct entry e = { .name = { t->name.at, t->name.n - strlen(SUMS) }, .n = t->elements };
    unsigned char *x = NULL;
    TRY(read_count(r, g, t, &e.count, err));
    TRY(copy_numbers(r, g, t, &x, err));
    e.sums = x;
    enum sp_status st = take_entry(r, &e, err);
    sp_free(x);
    return st;
}

static int64_t word(const struct sp_gguf *g, const char *key)
{
    json_t *v = sp_gguf_value(g, key);
    int64_t n = json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : 0;
    json_decref(v);
    return n;
}

static enum sp_status read_keys(struct reading *r, const struct sp_gguf *g, struct sp_err *err)
{
    json_t *type = sp_gguf_value(g, "general.type"), *text = sp_gguf_value(g, "imatrix.datasets");
    bool right = json_is_string(type) && !strcmp(json_string_value(type), "imatrix");
    enum sp_status st = SP_OK;
    if (!right) {
        st = sp_fail(err, SP_FORMAT, "%s: this GGUF file holds %s, not an imatrix", r->map->path, json_is_string(type) ? json_string_value(type) : "something else");
        sp_remedy(err, "llama-imatrix writes such files, and sparsam quantize --calibrate");
    }
    if (!st && json_is_string(text))
        st = set_text(r, json_string_value(text), json_string_length(text), err);
    json_decref(type);
    json_decref(text);
    r->out.windows = word(g, "imatrix.chunk_count");
    r->out.context = word(g, "imatrix.chunk_size");
    return st;
}

static enum sp_status read_gguf(struct reading *r, struct sp_err *err)
{
    struct sp_gguf g;
    TRY(sp_gguf_read(&g, r->map, err) ? sp_where(err, "%s", r->map->path) : SP_OK);
    enum sp_status st = read_keys(r, &g, err);
    for (int i = 0; !st && i < g.n; i++)
        if (ends(g.tensor[i].name, SUMS))
            st = read_tensor(r, &g, &g.tensor[i], err);
    sp_gguf_clear(&g);
    return st;
}

/* ---- older form ---- */

static enum sp_status cut_short(const struct reading *r, struct sp_err *err)
{
    sp_fail(err, SP_FORMAT, "%s: this is no imatrix, or it is cut short: it ends or lies at byte %zu", r->map->path, r->at);
    return sp_remedy(err, "llama-imatrix writes such files, and sparsam quantize --calibrate");
}

static enum sp_status take_word(struct reading *r, int64_t least, int64_t most, int64_t *out, struct sp_err *err)
{
    int32_t v;
    if (r->map->bytes - r->at < sizeof v)
        return cut_short(r, err);
    memcpy(&v, r->map->at + r->at, sizeof v);
    if (v < least || v > most)
        return cut_short(r, err);
    r->at += sizeof v;
    *out = v;
    return SP_OK;
}

static enum sp_status take_bytes(struct reading *r, int64_t n, const unsigned char **out, struct sp_err *err)
{
    if ((uint64_t)n > r->map->bytes - r->at)
        return cut_short(r, err);
    *out = r->map->at + r->at;
    r->at += (size_t)n;
    return SP_OK;
}

static enum sp_status read_entry(struct reading *r, struct sp_err *err)
{
    struct entry e = { .n = 0 };
    const unsigned char *name = NULL;
    int64_t n = 0, calls = 0;
    TRY(take_word(r, 1, NAME_MAX_ - 1, &n, err));
    TRY(take_bytes(r, n, &name, err));
    e.name = (struct sp_slice){ (const char *)name, (size_t)n };
    if (memchr(name, 0, (size_t)n) || !sp_utf8_valid(e.name.at, e.name.n))
        return cut_short(r, err);
    TRY(take_word(r, 0, INT32_MAX, &calls, err));
    TRY(take_word(r, 1, COLS_MAX, &e.n, err));
    TRY(take_bytes(r, e.n * 4, &e.sums, err));
    e.count = (double)calls;
    return take_entry(r, &e, err);
}

static enum sp_status read_old(void *arg, struct sp_err *err)
{
    struct reading *r = arg;
    int64_t entries = 0, n = 0;
    const unsigned char *text = NULL;
    TRY(take_word(r, 1, ENTRIES_MAX, &entries, err));
    for (int64_t i = 0; i < entries; i++)
        TRY(read_entry(r, err));
    if (r->at == r->map->bytes)
        return SP_OK;
    TRY(take_word(r, 0, INT32_MAX, &r->out.windows, err));
    if (r->at == r->map->bytes)
        return SP_OK;
    TRY(take_word(r, 0, INT32_MAX, &n, err));
    TRY(take_bytes(r, n, &text, err));
    return set_text(r, (const char *)text, (size_t)n, err);
}

/* ---- reading ---- */

static bool is_gguf(const struct sp_map *m)
{
    unsigned char magic[4];
    struct sp_err err;
    return m->bytes >= 4 && !sp_map_copy(m, 0, 4, magic, &err) && !memcmp(magic, "GGUF", 4);
}

enum sp_status sp_imatrix_read(struct sp_bits_stats *out, const char *path, const struct sp_weights *w, struct sp_err *err)
{
    struct sp_map map;
    TRY(sp_map_open(&map, path, err));
    struct reading r = { .w = w, .map = &map };
    enum sp_status st = begin(&r, err);
    if (!st && !map.bytes)
        st = cut_short(&r, err);
    else if (!st)
        st = is_gguf(&map) ? read_gguf(&r, err) : sp_map_guard(&map, read_old, &r, err);
    if (!st && !r.out.n) {
        st = sp_fail(err, SP_SHAPE, "%s: no entry is of a matrix of this model", path);
        sp_remedy(err, "it was made of another model");
    }
    sp_map_close(&map);
    if (st)
        sp_bits_stats_clear(&r.out);
    else
        *out = r.out;
    return st;
}

/* ---- writing ---- */

struct named { char name[NAME_MAX_]; const struct sp_bits_matrix *m; };

static int by_name(const void *x, const void *y)
{
    return strcmp(((const struct named *)x)->name, ((const struct named *)y)->name);
}

static void put_tensor(struct sp_text *t, const char *stem, const char *end, int64_t cols, uint64_t *at)
{
    char name[NAME_MAX_ + 16];
    struct sp_type type = SP_TYPE(SP_F32, 1, cols);
    snprintf(name, sizeof name, "%s%s", stem, end);
    sp_gguf_put_tensor(t, name, &type, at);
}

static void put_keys(struct sp_text *t, const struct sp_bits_stats *s, uint64_t tensors)
{
    struct sp_gguf_keys k = { 0 };
    struct sp_slice text = { s->text, strlen(s->text) };
    sp_gguf_put_text(&k, "general.type", "imatrix");
    sp_gguf_put_texts(&k, "imatrix.datasets", text.n ? 1 : 0, &text);
    sp_gguf_put_word(&k, "imatrix.chunk_count", (uint32_t)s->windows);
    sp_gguf_put_word(&k, "imatrix.chunk_size", (uint32_t)s->context);
    sp_gguf_put_head(t, tensors, &k);
}

static void pad(struct sp_text *t)
{
    while (t->n % SP_GGUF_ALIGN && !t->full)
        sp_text_add(t, "", 1);
}

static void put_number(struct sp_text *t, double x)
{
    float f = (float)x;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    sp_gguf_add(t, bits, 4);
}

static void put_all(struct sp_text *t, const struct sp_bits_stats *s, const struct named *e, int n)
{
    uint64_t at = 0;
    put_keys(t, s, 2 * (uint64_t)n);
    for (int i = 0; i < n; i++) {
        put_tensor(t, e[i].name, SUMS, e[i].m->cols, &at);
        put_tensor(t, e[i].name, COUNTS, 1, &at);
    }
    pad(t);
    for (int i = 0; i < n; i++) {
        for (int64_t j = 0; j < e[i].m->cols; j++)
            put_number(t, (double)e[i].m->x2[j] * e[i].m->tokens);
        pad(t);
        put_number(t, e[i].m->tokens);
        pad(t);
    }
}

enum sp_status sp_imatrix_write(const struct sp_bits_stats *s, const struct sp_weights *w, const char *path, struct sp_err *err)
{
    struct sp_text t = { 0 };
    int n = 0;
    struct named *e = sp_alloc(((size_t)s->n + 1) * sizeof *e);
    if (!e)
        return sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    for (int i = 0; i < s->n; i++)
        if (s->matrix[i].x2 && sp_gguf_name(&w->config, s->matrix[i].name, e[n].name, NAME_MAX_))
            e[n++].m = &s->matrix[i];
    qsort(e, (size_t)n, sizeof *e, by_name);
    enum sp_status st = n ? SP_OK : sp_fail(err, SP_UNSUPPORTED, "%s: GGUF has no names for a %s model's matrices", path, sp_model_type(&w->config));
    if (!st)
        put_all(&t, s, e, n);
    if (!st && t.full)
        st = sp_fail(err, SP_NOMEM, "no memory to write %s", path);
    if (!st)
        st = sp_write_file(path, t.at, t.n, err);
    sp_text_clear(&t);
    sp_free(e);
    return st;
}
