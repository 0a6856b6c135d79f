/* model/keys.c - one meaning under many names: config.json as Hugging Face's classes,
 * DeepSeek's own code and other people's tools spell it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "builder.h"

enum { KEY_MAX = 64 };

/* The object that holds a key "a.b", and b. */
static const json_t *within(const json_t *j, const char **key, char room[KEY_MAX])
{
    const char *dot = strchr(*key, '.');
    if (!dot)
        return j;
    memcpy(room, *key, (size_t)(dot - *key));
    room[dot - *key] = 0;
    *key = dot + 1;
    return json_object_get(j, room);
}

/* The first key of the list that is there: its object, and its name in `name`. */
static const json_t *first(const json_t *j, const char *keys, char name[KEY_MAX])
{
    for (size_t n; *keys; keys += n + (keys[n] == '|')) {
        char room[KEY_MAX], one[KEY_MAX];
        const char *key = one;
        n = strcspn(keys, "|");
        snprintf(one, sizeof one, "%.*s", (int)n, keys);
        const json_t *in = within(j, &key, room), *v = json_object_get(in, key);
        if (v && !json_is_null(v)) {
            memmove(name, key, strlen(key) + 1);
            return in;
        }
    }
    return NULL;
}

enum sp_status sp_key_int(const json_t *j, const char *keys, int64_t min, int64_t max, int64_t fallback, int64_t *out, struct sp_err *err)
{
    char name[KEY_MAX];
    const json_t *in = first(j, keys, name);
    *out = fallback;
    return in ? sp_json_int(in, name, min, max, fallback, out, err) : SP_OK;
}

enum sp_status sp_key_real(const json_t *j, const char *keys, double min, double max, double fallback, double *out, struct sp_err *err)
{
    char name[KEY_MAX];
    const json_t *in = first(j, keys, name);
    *out = fallback;
    return in ? sp_json_real(in, name, min, max, fallback, out, err) : SP_OK;
}

enum sp_status sp_key_bool(const json_t *j, const char *keys, bool fallback, bool *out, struct sp_err *err)
{
    char name[KEY_MAX];
    const json_t *in = first(j, keys, name);
    *out = fallback;
    return in ? sp_json_bool(in, name, fallback, out, err) : SP_OK;
}

enum sp_status sp_key_text(const json_t *j, const char *keys, const char *fallback, const char **out, struct sp_err *err)
{
    char name[KEY_MAX];
    const json_t *in = first(j, keys, name);
    *out = fallback;
    return in ? sp_json_text(in, name, fallback, out, err) : SP_OK;
}

enum sp_status sp_key_activation(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    static const struct { const char *name; enum sp_unary f; } row[] = {
        { "silu", SP_SILU }, { "swish", SP_SILU }, { "gelu_pytorch_tanh", SP_GELU }, { "gelu_new", SP_GELU }, { "gelu_fast", SP_GELU },
        { "gelu_tanh", SP_GELU }, { "gelu", SP_GELU_ERF }, { "relu", SP_RELU },
    };
    const char *act;
    TRY(sp_key_text(j, "hidden_activation|hidden_act|activation_function|activation", NULL, &act, err));
    for (size_t i = 0; act && i < SP_COUNT(row); i++)
        if (!strcmp(act, row[i].name)) {
            c->activation = row[i].f;
            return SP_OK;
        }
    return act ? sp_fail(err, SP_UNSUPPORTED, "activation \"%.40s\" isn't supported; silu, gelu, gelu_new, gelu_pytorch_tanh and relu are", act) : SP_OK;
}

/* ---- configurations that name no type ---- */

/* What the name of a model says of its architecture; longer before shorter. */
static const struct { const char *in, *type; } names[] = {
    { "gemma-3", "gemma3_text" }, { "gemma-2-", "gemma2" }, { "gemma", "gemma" }, { "mixtral", "mixtral" }, { "mistral", "mistral" },
    { "olmo-2", "olmo2" }, { "olmo", "olmo" }, { "phi-3", "phi3" }, { "phi-4", "phi3" }, { "phi-", "phi" }, { "pythia", "gpt_neox" },
    { "neox", "gpt_neox" }, { "falcon", "falcon" }, { "bloom", "bloom" }, { "opt-", "opt" }, { "gpt-j", "gptj" }, { "gpt-neo", "gpt_neo" },
    { "qwen2", "qwen2" }, { "llama", "llama" }, { "smollm", "llama" }, { "bert", "bert" }, { "minilm", "bert" },
};

static const char *by_name(const json_t *j)
{
    static const char *const keys[] = { "hf_name", "name", "_name_or_path" };
    for (size_t k = 0; k < SP_COUNT(keys); k++) {
        const char *name = json_string_value(json_object_get(j, keys[k]));
        bool mixture = json_is_integer(json_object_get(j, "num_experts")) || json_is_integer(json_object_get(j, "n_expert"));
        if (name && strcasestr(name, "qwen3"))
            return mixture ? "qwen3_moe" : "qwen3";
        for (size_t i = 0; name && i < SP_COUNT(names); i++)
            if (strcasestr(name, names[i].in))
                return names[i].type;
    }
    return NULL;
}

/* litgpt's own entries leave out what its class has by default. */
json_t *sp_foreign_filled(const json_t *j)
{
    static const struct { const char *key; json_int_t value; } row[] = {
        { "n_embd", 4096 }, { "n_layer", 16 }, { "n_head", 32 }, { "vocab_size", 50254 }, { "block_size", 4096 }, { "padding_multiple", 512 },
    };
    if (!json_is_object(json_object_get(j, "hf_config")))
        return json_incref((json_t *)(uintptr_t)j);
    sp_json_begin();
    json_t *all = json_copy((json_t *)(uintptr_t)j);
    for (size_t i = 0; all && i < SP_COUNT(row); i++)
        if (!json_object_get(all, row[i].key))
            json_object_set_new(all, row[i].key, json_integer(row[i].value));
    json_int_t v = json_integer_value(json_object_get(all, "vocab_size")), by = json_integer_value(json_object_get(all, "padding_multiple"));
    if (v > 0 && v < 1 << 30 && by > 0 && by < 1 << 30 && !json_object_get(all, "padded_vocab_size"))
        json_object_set_new(all, "padded_vocab_size", json_integer((v + by - 1) / by * by));
    if (!sp_json_ran_out())
        return all;
    json_decref(all);
    return NULL;
}

const char *sp_foreign_type(const json_t *j)
{
    if (json_object_get(j, "n_activated_experts") && json_object_get(j, "kv_lora_rank"))
        return json_is_string(json_object_get(j, "score_func")) ? "deepseek_v3" : "deepseek_v2"; /* DeepSeek's own code */
    const char *type = by_name(j);
    if (type)
        return type;
    if (json_object_get(j, "type_vocab_size"))
        return "bert"; /* the first release of BERT */
    bool gpt2 = json_object_get(j, "n_embd") || (json_object_get(j, "hidden_dim") && json_object_get(j, "ffn_embed_dim"));
    return gpt2 ? "gpt2" : NULL;
}

const char *sp_known_type(const char *type)
{
    static const struct { const char *type, *known; } row[] = {
        { "RefinedWeb", "falcon" }, { "RefinedWebModel", "falcon" }, { "gemma3", "gemma3_text" }, { "llama4", "llama4_text" }, { "kimi_k2", "deepseek_v3" },
        { "stablelm_epoch", "stablelm" }, { "phi-msft", "phi" }, { "mistral3", "mistral" }, { "yi", "llama" },
    };
    for (size_t i = 0; i < SP_COUNT(row); i++)
        if (!strcmp(type, row[i].type))
            return row[i].known;
    return type;
}
