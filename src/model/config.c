/* model/config.c - config.json to plain data and back; defaults and bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "builder.h"

enum { CONFIG_BYTES_MAX = 4 << 20, SIZE_MAX_ = 1 << 30, HEAD_DIM_MAX = 512, LAYERS_MAX = 10000 };

/* ---- which architecture ---- */

static enum sp_status unknown(const char *key, const char *found, struct sp_err *err)
{
    struct sp_text known = { .max = 600 };
    for (const struct sp_arch *const *a = sp_archs; *a; a++)
        for (const struct sp_kind *k = (*a)->kinds; k->type; k++)
            sp_text_printf(&known, "%s%s", known.n ? ", " : "", k->type);
    sp_fail(err, SP_UNSUPPORTED, "%s \"%.60s\" isn't supported", key, found);
    sp_remedy(err, "supported are %s", known.at ? known.at : "");
    sp_text_clear(&known);
    return SP_UNSUPPORTED;
}

static bool same(const char *a, const char *b)
{
    return a && b && !strcmp(a, b);
}

static const struct sp_kind *find_kind(const char *type, const char *class, const struct sp_arch **arch)
{
    for (const struct sp_arch *const *a = sp_archs; *a; a++)
        for (const struct sp_kind *k = (*a)->kinds; k->type; k++)
            if (type ? same(k->type, type) : same(k->class, class) || same(k->class2, class)) {
                *arch = *a;
                return k;
            }
    return NULL;
}

/* By model_type, else by class, else by what the other keys say. */
static enum sp_status find_arch(const json_t *j, const struct sp_arch **arch, const struct sp_kind **out, struct sp_err *err)
{
    const char *type, *class = json_string_value(json_array_get(json_object_get(j, "architectures"), 0));
    TRY(sp_json_text(j, "model_type", NULL, &type, err));
    const char *known = type ? sp_known_type(type) : class ? NULL : sp_foreign_type(j);
    if (!known && !class) {
        sp_fail(err, SP_FORMAT, "config.json names neither \"model_type\" nor \"architectures\"");
        return sp_remedy(err, "add \"model_type\": \"llama\", or what it is");
    }
    *out = find_kind(known, class, arch);
    return *out ? SP_OK : type ? unknown("model_type", type, err) : unknown("architecture", known ? known : class, err);
}

/* ---- reading ---- */

static void add_end(struct sp_model_config *c, int64_t id)
{
    for (int i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return;
    if (id >= 0 && c->n_eos < SP_EOS_MAX)
        c->eos[c->n_eos++] = id;
}

/* One number or a list of them. */
static enum sp_status read_ends(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const json_t *eos = json_object_get(j, "eos_token_id");
    int64_t id;
    if (!json_is_array(eos)) {
        TRY(sp_json_int(j, "eos_token_id", -1, SIZE_MAX_, -1, &id, err));
        add_end(c, id);
        return SP_OK;
    }
    if (json_array_size(eos) > SP_EOS_MAX)
        return sp_fail(err, SP_LIMIT, "\"eos_token_id\" lists %zu tokens, at most %d are kept", json_array_size(eos), SP_EOS_MAX);
    for (size_t i = 0; i < json_array_size(eos); i++) {
        const json_t *e = json_array_get(eos, i);
        if (!json_is_integer(e) || json_integer_value(e) < 0 || json_integer_value(e) > SIZE_MAX_)
            return sp_fail(err, SP_FORMAT, "\"eos_token_id\" must list token numbers");
        add_end(c, json_integer_value(e));
    }
    return SP_OK;
}

static enum sp_status read_tokens(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    TRY(sp_json_int(j, "bos_token_id", -1, SIZE_MAX_, -1, &c->bos, err));
    return read_ends(c, j, err);
}

/* A shape that isn't said would silently be that of a class's defaults: 6.7 billion parameters for a "llama". */
static enum sp_status check_shape_is_said(const json_t *j, struct sp_err *err)
{
    static const char *const needed[] = { "hidden_size|n_embd|n_embed|d_model|hidden_dim|dim|text_config.hidden_size",
                                          "num_hidden_layers|n_layer|n_layers|num_layers|text_config.num_hidden_layers" };
    for (size_t i = 0; i < SP_COUNT(needed); i++) {
        int64_t v;
        TRY(sp_key_int(j, needed[i], 1, SIZE_MAX_, 0, &v, err));
        if (v)
            continue;
        sp_fail(err, SP_FORMAT, "\"%.*s\" is missing", (int)strcspn(needed[i], "|"), needed[i]);
        return sp_remedy(err, "take the config.json that came with the model, whole");
    }
    return SP_OK;
}

static enum sp_status parse(struct sp_model_config *out, const json_t *j, struct sp_err *err)
{
    const struct sp_arch *a = NULL;
    const struct sp_kind *k = NULL;
    TRY(find_arch(j, &a, &k, err));
    struct sp_model_config c = k->like;
    c.family = a->family;
    c.kind = k;
    c.bos = -1;
    TRY(sp_json_real(j, "initializer_range", 0, 10, 0.02, &c.initializer_range, err));
    TRY(read_tokens(&c, j, err));
    TRY(a->read(&c, j, err));
    if (a->family != SP_FAMILY_MLP)
        TRY(check_shape_is_said(j, err));
    TRY(sp_model_config_finish(&c, err));
    *out = c;
    return SP_OK;
}

enum sp_status sp_model_config_parse(struct sp_model_config *out, const json_t *j, struct sp_err *err)
{
    if (!json_is_object(j))
        return sp_fail(err, SP_FORMAT, "config.json must be an object");
    json_t *all = sp_foreign_filled(j);
    enum sp_status st = all ? parse(out, all, err) : sp_fail(err, SP_NOMEM, "no memory for a configuration");
    json_decref(all);
    return st;
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), e = strlen(end);
    return n >= e && !strcasecmp(s + n - e, end);
}

/* generation_config.json beside it may name more tokens that end an answer. */
static enum sp_status more_ends(struct sp_model_config *c, const char *config, struct sp_arena *mem, struct sp_err *err)
{
    const char *slash = strrchr(config, '/');
    const char *path = sp_arena_printf(mem, "%.*sgeneration_config.json", slash ? (int)(slash - config) + 1 : 0, config);
    json_t *j = NULL;
    if (!path)
        return sp_fail(err, SP_NOMEM, "no memory for a path");
    if (!sp_is_file(path))
        return SP_OK;
    TRY(sp_json_read(&j, path, CONFIG_BYTES_MAX, err));
    enum sp_status st = read_ends(c, j, err);
    if (st)
        sp_where(err, "%s", path);
    json_decref(j);
    return st;
}

/* The config.json that belongs to a path. */
static const char *config_of(struct sp_arena *mem, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (sp_is_folder(path))
        return sp_path_join(mem, path, "config.json");
    if (!ends(path, ".safetensors"))
        return path;
    return slash ? sp_arena_printf(mem, "%.*s/config.json", (int)(slash - path), path) : "config.json";
}

enum sp_status sp_model_config_read(struct sp_model_config *out, const char *path, struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    json_t *j = NULL;
    if (ends(path, ".gguf"))
        return sp_gguf_config(out, path, NULL, err);
    const char *file = config_of(&mem, path);
    if (file && file != path && ends(path, ".safetensors") && !sp_is_file(file)) {
        sp_arena_clear(&mem);
        return sp_config_by_tensors(out, path, err);
    }
    enum sp_status st = file ? sp_json_read(&j, file, CONFIG_BYTES_MAX, err) : sp_fail(err, SP_NOMEM, "no memory for a path");
    if (!st && (st = sp_model_config_parse(out, j, err)))
        sp_where(err, "%s", file);
    json_decref(j);
    if (!st && sp_ends_with(file, "config.json"))
        st = more_ends(out, file, &mem, err);
    sp_arena_clear(&mem);
    return st;
}

/* ---- writing ---- */

static int write_common(const struct sp_model_config *c, enum sp_format format, json_t *j)
{
    static const char *const dtype[SP_FORMATS] = { [SP_F32] = "float32", [SP_F16] = "float16", [SP_BF16] = "bfloat16" };
    int bad = json_object_set_new(j, "initializer_range", json_real(c->initializer_range));
    if (dtype[format])
        bad |= json_object_set_new(j, "torch_dtype", json_string(dtype[format]));
    if (c->bos >= 0)
        bad |= json_object_set_new(j, "bos_token_id", json_integer(c->bos));
    if (c->n_eos == 1)
        return bad | json_object_set_new(j, "eos_token_id", json_integer(c->eos[0]));
    json_t *list = c->n_eos ? json_array() : NULL;
    for (int i = 0; i < c->n_eos; i++)
        bad |= json_array_append_new(list, json_integer(c->eos[i]));
    return bad | (list ? json_object_set_new(j, "eos_token_id", list) : 0);
}

json_t *sp_model_config_json(const struct sp_model_config *c, enum sp_format format)
{
    json_t *j = json_object();
    if (!j || sp_arch_of(c->family)->write(c, j) || write_common(c, format, j)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

enum sp_status sp_model_config_write(const struct sp_model_config *c, enum sp_format format, const char *path, struct sp_err *err)
{
    sp_json_begin();
    json_t *j = sp_model_config_json(c, format);
    if (!j)
        return sp_fail(err, SP_NOMEM, "no memory for %s", path);
    enum sp_status st = sp_json_write(path, j, err);
    json_decref(j);
    return st;
}

/* ---- defaults and bounds ---- */

static enum sp_status within(const char *what, int64_t v, int64_t min, int64_t max, struct sp_err *err)
{
    if (v < min || v > max)
        return sp_fail(err, SP_FORMAT, "%s must be from %lld to %lld, not %lld", what, (long long)min, (long long)max, (long long)v);
    return SP_OK;
}

static void complete(struct sp_model_config *c)
{
    bool llama = c->family == SP_FAMILY_LLAMA, own = llama || c->family == SP_FAMILY_DECODER || c->family == SP_FAMILY_T5;
    c->kv_heads = c->kv_heads && own ? c->kv_heads : c->heads;
    if ((!c->head_dim || !own) && c->heads)
        c->head_dim = c->width / c->heads;
    if (!c->ffn)  /* Llama: two thirds of four widths, in whole 64s */
        c->ffn = llama ? (8 * c->width / 3 + 63) / 64 * 64 : 4 * c->width;
    if (c->family == SP_FAMILY_T5) {
        c->buckets = c->buckets ? c->buckets : 32;
        c->encoder_layers = c->encoder_layers ? c->encoder_layers : c->layers;
    }
    if (!(c->norm_eps > 0))
        c->norm_eps = 1e-5;
    if (!(c->rope_theta > 0))
        c->rope_theta = 10000;
    if (!(c->rope_factor > 0))
        c->rope_factor = 1;
    if (!(c->initializer_range > 0))
        c->initializer_range = 0.02;
}

/* Experts and latent rows. */
static enum sp_status check_parts(const struct sp_model_config *c, struct sp_err *err)
{
    if (c->experts || c->experts_used) {
        TRY(within("the number of experts", c->experts, 1, 100000, err));
        TRY(within("the number of experts of a token", c->experts_used, 1, c->experts, err));
        TRY(within("an expert's width", c->expert_ffn, 1, SIZE_MAX_, err));
        TRY(within("the shared experts' width", c->shared_ffn, 0, SIZE_MAX_, err));
        TRY(within("the number of layers without experts", c->dense_layers, 0, c->layers, err));
    }
    if (c->kv_rank) {
        TRY(within("the rank of latent keys and values", c->kv_rank, 1, SIZE_MAX_, err));
        TRY(within("the rank of queries", c->q_rank, 0, SIZE_MAX_, err));
        TRY(within("the turned part of a head", c->rope_dim, 2, HEAD_DIM_MAX, err));
        TRY(within("the other part of a head", c->nope_dim, 1, HEAD_DIM_MAX, err));
        TRY(within("a value's width", c->v_dim, 1, HEAD_DIM_MAX, err));
    }
    return SP_OK;
}

static enum sp_status check_heads(const struct sp_model_config *c, struct sp_err *err)
{
    TRY(within("the number of heads", c->heads, 1, 100000, err));
    TRY(within("the number of key-value heads", c->kv_heads, 1, c->heads, err));
    TRY(within("the feed-forward width", c->ffn, 1, SIZE_MAX_, err));
    TRY(within("the context", c->context, 1, SIZE_MAX_, err));
    if (c->heads % c->kv_heads)
        return sp_fail(err, SP_SHAPE, "%lld heads cannot share %lld key-value heads evenly", (long long)c->heads, (long long)c->kv_heads);
    if (c->family == SP_FAMILY_GPT2 && c->width % c->heads)
        return sp_fail(err, SP_SHAPE, "%lld heads do not divide a width of %lld", (long long)c->heads, (long long)c->width);
    TRY(within("the head's dimension", c->head_dim, 1, HEAD_DIM_MAX, err));
    bool turns = (c->family == SP_FAMILY_LLAMA || c->family == SP_FAMILY_DECODER) && c->positions == SP_POSITIONS_ROTARY;
    int64_t turned = c->rotary ? c->rotary : c->head_dim;
    if (turns && (turned % 2 || turned < 2 || turned > c->head_dim))
        return sp_fail(err, SP_SHAPE, "rotary positions want an even head dimension, not %lld", (long long)turned);
    return c->experts || c->experts_used || c->kv_rank ? check_parts(c, err) : SP_OK;
}

enum sp_status sp_model_config_finish(struct sp_model_config *c, struct sp_err *err)
{
    if (!sp_arch_of(c->family))
        return sp_fail(err, SP_UNSUPPORTED, "there is no model family %d", (int)c->family);
    complete(c);
    TRY(within("the vocabulary", c->vocab, 1, SIZE_MAX_, err));
    TRY(within("the width", c->width, 1, SIZE_MAX_, err));
    TRY(within("the number of layers", c->layers, c->family != SP_FAMILY_MLP, LAYERS_MAX, err));
    if (!(c->dropout >= 0 && c->dropout < 1))
        return sp_fail(err, SP_FORMAT, "dropout must be from 0 to below 1, not %g", c->dropout);
    if (c->family == SP_FAMILY_MLP) {
        c->context = 1; /* a row stands alone */
        return within("the number of features", c->inputs, 1, SIZE_MAX_, err);
    }
    if (c->bos >= c->vocab)
        return sp_fail(err, SP_FORMAT, "bos token %lld is outside a vocabulary of %lld", (long long)c->bos, (long long)c->vocab);
    return check_heads(c, err);
}
