/* model/weights.c - opens a model's files, whatever they are, and fills a state
 * region from them by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"
#include "weights.h"

enum { INDEX_BYTES_MAX = 64 << 20, SHARDS_MAX = 4096, READ_BYTES = 8 << 20 /* of a tensor at once */ };
enum { PAGES_LEAST = 64 << 10 /* bytes of a tensor that is worth pages of its own */, ALIGN = 64 /* of plain numbers in the state */ };

/* ---- opening ---- */

static enum sp_status add_file(struct sp_weights *w, const char *path, struct sp_err *err)
{
    struct sp_safetensors *more = sp_realloc(w->file, (size_t)(w->n_files + 1) * sizeof *more);
    if (!more)
        return sp_fail(err, SP_NOMEM, "no memory to open %s", path);
    w->file = more;
    TRY(sp_safetensors_open(&w->file[w->n_files], path, err));
    w->n_files++;
    return SP_OK;
}

static bool plain_name(const char *name)
{
    size_t n = strlen(name);
    return n > 12 && n < 256 && name[0] != '.' && !strpbrk(name, "/\\") && !strcmp(name + n - 12, ".safetensors");
}

static enum sp_status add_shard(struct sp_weights *w, const char *folder, const char *name, struct sp_arena *seen, struct sp_err *err)
{
    if (!plain_name(name))
        return sp_fail(err, SP_FORMAT, "shard \"%.100s\" isn't a plain .safetensors name", name);
    const char *path = sp_path_join(seen, folder, name);
    if (!path)
        return sp_fail(err, SP_NOMEM, "no memory for a path");
    for (int i = 0; i < w->n_files; i++)
        if (!strcmp(w->file[i].map.path, path))
            return SP_OK;
    if (w->n_files == SHARDS_MAX)
        return sp_fail(err, SP_LIMIT, "more than %d shards", SHARDS_MAX);
    return add_file(w, path, err);
}

static enum sp_status add_shards(struct sp_weights *w, const char *folder, const char *index, struct sp_err *err)
{
    json_t *j = NULL;
    struct sp_arena seen = { 0 };
    const char *key;
    json_t *v;
    TRY(sp_json_read(&j, index, INDEX_BYTES_MAX, err));
    json_t *map = json_object_get(j, "weight_map");
    enum sp_status st = json_is_object(map) ? SP_OK : sp_fail(err, SP_FORMAT, "%s has no weight_map", index);
    if (!st)
        json_object_foreach(map, key, v)
            if ((st = json_is_string(v) ? add_shard(w, folder, json_string_value(v), &seen, err)
                                        : sp_fail(err, SP_FORMAT, "weight_map \"%.100s\" must be a file name", key)))
                break;
    if (st)
        sp_where(err, "%s", index);
    json_decref(j);
    sp_arena_clear(&seen);
    return st;
}

static int by_name(const void *x, const void *y)
{
    const struct sp_tensor *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

/* One sorted list over all files; a name in two shards is an error. */
static enum sp_status list_tensors(struct sp_weights *w, struct sp_err *err)
{
    size_t n = 0;
    for (int i = 0; i < w->n_files; i++)
        n += (size_t)w->file[i].n;
    if (!(w->tensor = sp_alloc((n + 1) * sizeof *w->tensor)))
        return sp_fail(err, SP_NOMEM, "no memory for %zu tensors", n);
    for (int i = 0; i < w->n_files; i++)
        for (int t = 0; t < w->file[i].n; t++) {
            w->file[i].tensor[t].map = &w->file[i].map;
            w->tensor[w->n++] = &w->file[i].tensor[t];
        }
    qsort(w->tensor, n, sizeof *w->tensor, by_name);
    for (int i = 1; i < w->n; i++)
        if (!strcmp(w->tensor[i - 1]->name, w->tensor[i]->name))
            return sp_fail(err, SP_FORMAT, "tensor %s stands in two files", w->tensor[i]->name);
    return SP_OK;
}

static enum sp_status open_folder(struct sp_weights *w, const char *folder, struct sp_err *err)
{
    const char *one = sp_path_join(&w->mem, folder, "model.safetensors");
    const char *index = sp_path_join(&w->mem, folder, "model.safetensors.index.json");
    if (!one || !index)
        return sp_fail(err, SP_NOMEM, "no memory for a path");
    TRY(sp_model_config_read(&w->config, folder, err));
    if (sp_is_file(one))
        TRY(add_file(w, one, err));
    else if (sp_is_file(index))
        TRY(add_shards(w, folder, index, err));
    else
        return sp_fail(err, SP_MISSING, "%s holds neither model.safetensors nor model.safetensors.index.json", folder);
    return list_tensors(w, err);
}

static enum sp_status open_beside(struct sp_weights *w, const char *path, struct sp_err *err)
{
    TRY(sp_model_config_read(&w->config, w->folder, err));
    TRY(add_file(w, path, err));
    return list_tensors(w, err);
}

static enum sp_status open_any(struct sp_weights *w, const char *path, struct sp_err *err)
{
    const char *slash = strrchr(path, '/');
    bool folder = sp_is_folder(path);
    w->folder = folder ? sp_arena_printf(&w->mem, "%s", path)
                       : slash ? sp_arena_printf(&w->mem, "%.*s", (int)(slash - path), path) : sp_arena_printf(&w->mem, ".");
    if (!w->folder)
        return sp_fail(err, SP_NOMEM, "no memory for a path");
    if (folder)
        return open_folder(w, path, err);
    if (sp_ends_with(path, ".safetensors"))
        return open_beside(w, path, err);
    if (sp_ends_with(path, ".bin"))
        return sp_weights_open_bin(w, path, err);
    if (sp_ends_with(path, ".gguf"))
        return sp_weights_open_gguf(w, path, err);
    sp_fail(err, sp_is_file(path) ? SP_UNSUPPORTED : SP_MISSING, sp_is_file(path) ? "%s isn't a model" : "%s: no such file or folder", path);
    return sp_remedy(err, "a model is a Hugging Face folder, a .safetensors file with config.json beside it, a .gguf file, or a llama2.c .bin");
}

enum sp_status sp_weights_open(struct sp_weights *w, const char *path, struct sp_err *err)
{
    struct sp_weights n = { 0 };
    enum sp_status st = open_any(&n, path, err);
    if (!st && (st = sp_model_check_runs(&n.config, err)))
        sp_where(err, "%s", path);
    if (st) {
        sp_weights_close(&n);
        return st;
    }
    *w = n;
    for (int i = 0; n.bin.path && i < n.n; i++)   /* the map moved with the struct */
        ((struct sp_tensor *)(uintptr_t)w->tensor[i])->map = &w->bin;
    return SP_OK;
}

void sp_weights_close(struct sp_weights *w)
{
    for (int i = 0; i < w->n_files; i++)
        sp_safetensors_close(&w->file[i]);
    if (w->bin.path)
        sp_map_close(&w->bin);
    if (w->gguf)
        sp_gguf_clear(w->gguf);
    sp_free(w->gguf);
    sp_free(w->file);
    sp_free(w->tensor);
    sp_arena_clear(&w->mem);
    *w = (struct sp_weights){ 0 };
}

/* ---- by name ---- */

static int index_of(const struct sp_weights *w, const char *name)
{
    int lo = 0, hi = w->n - 1;
    while (lo <= hi) {
        int mid = (lo + hi) / 2, d = strcmp(w->tensor[mid]->name, name);
        if (!d)
            return mid;
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid - 1;
    }
    return -1;
}

static int find(const struct sp_weights *w, const char *name)
{
    const char *prefix = sp_arch_of(w->config.family)->prefix;
    char with[512];
    int i = index_of(w, name);
    if (i < 0 && *prefix && !strncmp(name, prefix, strlen(prefix)))
        return index_of(w, name + strlen(prefix));
    if (i < 0 && snprintf(with, sizeof with, "%s%s", prefix, name) < (int)sizeof with)
        return index_of(w, with);
    return i;
}

const struct sp_tensor *sp_weights_find(const struct sp_weights *w, const char *name)
{
    int i = find(w, name);
    return i < 0 ? NULL : w->tensor[i];
}

/* Added rows, as learned positions are, stay f32. */
enum sp_format sp_weights_stored(const void *weights, const char *name)
{
    const struct sp_weights *w = weights;
    const struct sp_tensor *t = sp_weights_find(w, name);
    enum sp_format f = t ? sp_tensor_format(t) : SP_F32;
    char gguf[256] = "";
    if (f >= SP_FORMATS || !sp_formats[f].decode || (sp_formats[f].block == 1 && f != SP_F16 && f != SP_BF16) ||
        (sp_gguf_name(&w->config, name, gguf, sizeof gguf) && !strcmp(gguf, "position_embd.weight")))
        return SP_F32;
    return f;
}

/* ---- filling ---- */

static bool same_shape(const struct sp_tensor *t, const struct sp_type *want)
{
    if (t->n != want->n)
        return false;
    for (int i = 0; i < t->n; i++)
        if (t->dim[i] != want->dim[i])
            return false;
    return true;
}

/* GPT-2's matrices in blocks stand turned in the state, wherever they come from. */
static bool is_turned(const struct sp_weights *w, const struct sp_state_entry *e)
{
    return sp_formats[e->type.format].block > 1 && sp_gguf_layout(&w->config, "", e->name).transposed;
}

/* Some rows at a time, so that little of the file is in memory twice. */
static enum sp_status read_rows(const struct sp_tensor *t, bool turned, const struct sp_state_entry *e, unsigned char *to, struct sp_err *err)
{
    struct sp_layout as = { .transposed = turned };
    int64_t rows = e->type.n > 1 ? sp_type_rows(&e->type) : sp_type_elements(&e->type);
    int64_t row = rows ? sp_type_elements(&e->type) / rows : 0, some = sp_format_bytes(e->type.format, row * rows) / READ_BYTES;
    some = rows / (some + 1) + 1;
    if (e->type.n < 2)
        return sp_tensor_read(t, e->type.format, to, err);
    for (int64_t i = 0; i < rows; i += some) {
        TRY(sp_tensor_rows(t, as, i, rows - i < some ? rows - i : some, e->type.format, to + sp_format_bytes(e->type.format, i * row), err));
        sp_map_forget(t->map, t->at, t->bytes);
    }
    return SP_OK;
}

static enum sp_status wrong_shape(const struct sp_tensor *t, const struct sp_type *want, struct sp_err *err)
{
    char wanted[80];
    struct sp_text found = { .max = 200 };
    for (int i = 0; i < t->n; i++)
        sp_text_printf(&found, "%s%lld", i ? "," : "", (long long)t->dim[i]);
    sp_fail(err, SP_SHAPE, "tensor %s is [%s], the configuration wants %s", t->name, found.at ? found.at : "",
            sp_type_text(want, wanted, sizeof wanted));
    sp_text_clear(&found);
    return SP_SHAPE;
}

int64_t sp_weights_phase(const void *weights, const char *name, const struct sp_type *type)
{
    const struct sp_tensor *t = sp_weights_find(weights, name);
    const struct sp_layout *l = t ? &t->layout : NULL;
    if (!t || !t->map || sp_tensor_format(t) != type->format || !same_shape(t, type) || l->rope_heads || l->groups || l->transposed || l->plus != 0 ||
        t->bytes < PAGES_LEAST || (sp_formats[type->format].block == 1 && t->at % ALIGN))
        return -1;
    return (int64_t)(t->at % SP_STATE_PAGE);
}

static enum sp_status fill_one(const struct sp_weights *w, const struct sp_state_entry *e, unsigned char *region, bool by_pages, bool *used,
                               struct sp_err *err)
{
    int i = find(w, e->name);
    if (i < 0) {
        sp_fail(err, SP_MISSING, "tensor %s is missing from the model's files, which hold %d others", e->name, w->n);
        return sp_remedy(err, "check that config.json belongs to these weights");
    }
    used[i] = true;
    struct sp_type want = e->type;
    bool turned = is_turned(w, e);
    if (turned)
        want.dim[0] = e->type.dim[1], want.dim[1] = e->type.dim[0];
    if (!same_shape(w->tensor[i], &want))
        return wrong_shape(w->tensor[i], &want, err);
    if (by_pages && !turned && sp_weights_phase(w, e->name, &e->type) >= 0)
        return sp_map_onto(w->tensor[i]->map, w->tensor[i]->at, w->tensor[i]->bytes, region + e->at, err);
    return read_rows(w->tensor[i], turned, e, region + e->at, err);
}

/* Buffers old files carry, and a head that is the embedding. */
static bool expected_extra(const struct sp_weights *w, const char *name)
{
    static const char *const buffers[] = { ".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq",
                                         "rope_freqs.weight" /* read with the configuration */ };
    for (size_t i = 0; i < SP_COUNT(buffers); i++)
        if (sp_ends_with(name, buffers[i]))
            return true;
    return w->config.tied && sp_ends_with(name, "lm_head.weight");
}

enum sp_status sp_weights_fill(const struct sp_weights *w, const struct sp_state *s, unsigned char *region, int *n_extra,
                               const char **extra, struct sp_err *err)
{
    bool *used = sp_zalloc((size_t)w->n + 1, sizeof *used);
    enum sp_status st = used ? SP_OK : sp_fail(err, SP_NOMEM, "no memory to fill %d tensors", w->n);
    int left = 0;
    for (int i = 0; !st && i < s->n; i++)
        if (s->entry[i].kind == SP_STATE_PARAM)
            st = fill_one(w, &s->entry[i], region, s->phase_of != NULL, used, err);
    for (int i = 0; !st && i < w->n; i++)
        if (!used[i] && !expected_extra(w, w->tensor[i]->name) && !left++ && extra)
            *extra = w->tensor[i]->name;
    sp_free(used);
    if (!st && n_extra)
        *n_extra = left;
    return st;
}
