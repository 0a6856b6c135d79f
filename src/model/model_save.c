/* model/model_save.c - writes a Hugging Face folder: config.json,
 * model.safetensors or shards with an index, tokenizer.json.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>

#include "model.h"

enum { SHARDS_MAX = 99999, TOKENIZER_BYTES_MAX = 256 << 20 };
#define SHARD_BYTES 4000000000ull

struct saving {
    const char *folder;
    struct sp_arena mem;
    struct sp_tensor_out *t;
    int *shard;                    /* [n]: number of its shard, from 0 */
    int n, n_shards;
    uint64_t bytes, here;          /* here: in the current shard       */
};

static enum sp_status no_memory(const struct saving *s, struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "no memory to write %s", s->folder);
}

static uint64_t bytes_of(const struct sp_tensor_out *t)
{
    return (uint64_t)sp_format_bytes(t->as, sp_type_elements(&t->type));
}

static enum sp_status begin(struct saving *s, int n, struct sp_err *err)
{
    s->t = sp_arena_take(&s->mem, ((size_t)n + 1) * sizeof *s->t);
    s->shard = sp_arena_take(&s->mem, ((size_t)n + 1) * sizeof *s->shard);
    return s->t && s->shard ? SP_OK : no_memory(s, err);
}

/* Into the current shard, or, where that is full, the next. */
static void add(struct saving *s, const struct sp_tensor_out *t, uint64_t shard_bytes)
{
    uint64_t most = shard_bytes ? shard_bytes : SHARD_BYTES;
    if (s->here && s->here + bytes_of(t) > most) {
        s->n_shards++;
        s->here = 0;
    }
    s->here += bytes_of(t);
    s->bytes += bytes_of(t);
    s->t[s->n] = *t;
    s->shard[s->n++] = s->n_shards;
}

static enum sp_status end(struct saving *s, struct sp_err *err)
{
    s->n_shards++;
    return s->n ? SP_OK : sp_fail(err, SP_USAGE, "there are no parameters to save");
}

static const char *shard_name(struct saving *s, int i)
{
    return sp_arena_printf(&s->mem, "model-%05d-of-%05d.safetensors", i + 1, s->n_shards);
}

static enum sp_status write_part(struct saving *s, int shard, const char *name, struct sp_err *err)
{
    int first = 0, n = 0;
    while (s->shard[first] != shard)
        first++;
    while (first + n < s->n && s->shard[first + n] == shard)
        n++;
    const char *path = name ? sp_path_join(&s->mem, s->folder, name) : NULL;
    return path ? sp_safetensors_write(path, s->t + first, n, err) : no_memory(s, err);
}

static enum sp_status write_index(struct saving *s, const char *path, struct sp_err *err)
{
    sp_json_begin();
    json_t *map = json_object(), *j = json_pack("{s:{s:I}, s:o}", "metadata", "total_size", (json_int_t)s->bytes, "weight_map", map);
    bool bad = !j;
    for (int i = 0; !bad && i < s->n; i++) {
        const char *name = shard_name(s, s->shard[i]);
        bad = !name || json_object_set_new(map, s->t[i].name, json_string(name));
    }
    enum sp_status st = bad ? no_memory(s, err) : sp_json_write(path, j, err);
    json_decref(j);
    return st;
}

/* The one kind of file is removed when the other is written: a folder holds one model. */
static enum sp_status write_tensors(struct saving *s, struct sp_err *err)
{
    const char *one = sp_path_join(&s->mem, s->folder, "model.safetensors");
    const char *index = sp_path_join(&s->mem, s->folder, "model.safetensors.index.json");
    if (!one || !index)
        return no_memory(s, err);
    if (s->n_shards > SHARDS_MAX)
        return sp_fail(err, SP_LIMIT, "%d shards, at most %d", s->n_shards, SHARDS_MAX);
    if (s->n_shards == 1) {
        TRY(write_part(s, 0, "model.safetensors", err));
        unlink(index);
        return SP_OK;
    }
    for (int i = 0; i < s->n_shards; i++)
        TRY(write_part(s, i, shard_name(s, i), err));
    TRY(write_index(s, index, err));
    unlink(one);
    return SP_OK;
}

static enum sp_status copy_tokenizer(struct saving *s, const char *from, struct sp_err *err)
{
    struct sp_text t = { 0 };
    const char *path = sp_is_folder(from) ? sp_path_join(&s->mem, from, "tokenizer.json") : from;
    const char *to = sp_path_join(&s->mem, s->folder, "tokenizer.json");
    if (!path || !to)
        return no_memory(s, err);
    if (path != from && !sp_is_file(path))
        return SP_OK;
    TRY(sp_read_file(&t, path, TOKENIZER_BYTES_MAX, err));
    enum sp_status st = sp_write_file(to, t.at, t.n, err);
    sp_text_clear(&t);
    return st;
}

/* tokenizer: a path to copy from, or one to write. */
static enum sp_status save(struct saving *s, const struct sp_model_config *c, enum sp_format format, const char *copied, const struct sp_tokenizer *written,
                           struct sp_err *err)
{
    const char *config = sp_path_join(&s->mem, s->folder, "config.json"), *tokenizer = sp_path_join(&s->mem, s->folder, "tokenizer.json");
    if (!config || !tokenizer)
        return no_memory(s, err);
    TRY(sp_make_folder(s->folder, err));
    if (copied)
        TRY(copy_tokenizer(s, copied, err));
    if (written)
        TRY(sp_tokenizer_save(written, tokenizer, err));
    TRY(sp_model_config_write(c, format, config, err));
    return write_tensors(s, err);
}

enum sp_status sp_model_save(const char *folder, const struct sp_model_config *c, const struct sp_state *s, const unsigned char *region,
                             enum sp_format format, const char *tokenizer, uint64_t shard_bytes, struct sp_err *err)
{
    struct saving v = { .folder = folder };
    enum sp_status st = begin(&v, s->n, err);
    for (int i = 0; !st && i < s->n; i++) {
        const struct sp_state_entry *e = &s->entry[i];
        if (e->kind == SP_STATE_PARAM)
            add(&v, &(struct sp_tensor_out){ e->name, e->type, region + e->at, e->type.n > 1 ? format : e->type.format }, shard_bytes);
    }
    st = st ? st : end(&v, err);
    st = st ? st : save(&v, c, format, tokenizer, NULL, err);
    sp_arena_clear(&v.mem);
    return st;
}

enum sp_status sp_model_save_tensors(const char *folder, const struct sp_model_config *c, const struct sp_tensor_out *t, int n, enum sp_format format,
                                     const struct sp_tokenizer *tokenizer, uint64_t shard_bytes, struct sp_err *err)
{
    struct saving v = { .folder = folder };
    enum sp_status st = begin(&v, n, err);
    for (int i = 0; !st && i < n; i++)
        add(&v, &t[i], shard_bytes);
    st = st ? st : end(&v, err);
    st = st ? st : save(&v, c, format, NULL, tokenizer, err);
    sp_arena_clear(&v.mem);
    return st;
}
