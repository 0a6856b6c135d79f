/* model/by_tensors.c - a configuration guessed from the names and shapes of the tensors
 * alone, where a safetensors file has no config.json beside it.
 *
 * Sizes and parameters are exact; what no shape tells (how wide a head is where nothing
 * norms it, the context) is taken as usual: 128, or 64 below a width of 2048.  Only
 * for models of Llama's and GPT-2's words, and only of whole files.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

enum { LAYERS_MAX = 10000, WIDE = 2048 };

static const struct sp_tensor *named(const struct sp_safetensors *s, const char *prefix, int i, const char *what)
{
    char name[128];
    if (i < 0)
        snprintf(name, sizeof name, "%s%s", prefix, what);
    else
        snprintf(name, sizeof name, "%s%d.%s", prefix, i, what);
    return sp_safetensors_find(s, name);
}

static int layers(const struct sp_safetensors *s, const char *prefix, const char *what)
{
    int n = 0;
    while (n < LAYERS_MAX && named(s, prefix, n, what))
        n++;
    return n;
}

static int64_t rows(const struct sp_tensor *t) { return t && t->n > 0 ? t->dim[0] : 0; }
static int64_t cols(const struct sp_tensor *t) { return t && t->n > 1 ? t->dim[t->n - 1] : 0; }

static json_t *gpt2(const struct sp_safetensors *s, const char *prefix)
{
    const struct sp_tensor *table = named(s, prefix, -1, "wte.weight"), *places = named(s, prefix, -1, "wpe.weight");
    char layer[64];
    snprintf(layer, sizeof layer, "%sh.", prefix);
    int n = layers(s, layer, "attn.c_attn.weight");
    if (!table || !places || !n || !named(s, prefix, -1, "ln_f.weight") || cols(table) % 64)
        return NULL;
    return json_pack("{s:s, s:I, s:I, s:I, s:i, s:I}", "model_type", "gpt2", "vocab_size", (json_int_t)rows(table), "n_embd", (json_int_t)cols(table),
                     "n_positions", (json_int_t)rows(places), "n_layer", n, "n_head", (json_int_t)(cols(table) / 64));
}

static const char *llama_type(const struct sp_safetensors *s, const char *layer)
{
    bool norms = named(s, layer, 0, "self_attn.q_norm.weight");
    if (named(s, layer, 0, "pre_feedforward_layernorm.weight"))
        return norms ? "gemma3_text" : "gemma2";
    return norms ? "qwen3" : named(s, layer, 0, "self_attn.q_proj.bias") && !named(s, layer, 0, "self_attn.o_proj.bias") ? "qwen2" : "llama";
}

static json_t *llama(const struct sp_safetensors *s)
{
    static const char layer[] = "model.layers.";
    const struct sp_tensor *table = named(s, "model.", -1, "embed_tokens.weight"), *q = named(s, layer, 0, "self_attn.q_proj.weight");
    const struct sp_tensor *k = named(s, layer, 0, "self_attn.k_proj.weight"), *gate = named(s, layer, 0, "mlp.gate_proj.weight");
    int n = layers(s, layer, "input_layernorm.weight");
    if (!table || !q || !k || !gate || !n || !named(s, "model.", -1, "norm.weight"))
        return NULL;
    int64_t dim = rows(named(s, layer, 0, "self_attn.q_norm.weight"));
    dim = dim ? dim : cols(table) >= WIDE && rows(q) % 128 == 0 ? 128 : 64;
    if (rows(q) % dim || rows(k) % dim || !rows(k))
        return NULL;
    return json_pack("{s:s, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:b, s:b, s:b}", "model_type", llama_type(s, layer), "vocab_size", (json_int_t)rows(table),
                     "hidden_size", (json_int_t)cols(table), "num_hidden_layers", n, "num_attention_heads", (json_int_t)(rows(q) / dim),
                     "num_key_value_heads", (json_int_t)(rows(k) / dim), "head_dim", (json_int_t)dim, "intermediate_size", (json_int_t)rows(gate),
                     "tie_word_embeddings", !sp_safetensors_find(s, "lm_head.weight"), "attention_bias", named(s, layer, 0, "self_attn.o_proj.bias") != NULL,
                     "mlp_bias", named(s, layer, 0, "mlp.up_proj.bias") != NULL);
}

enum sp_status sp_config_by_tensors(struct sp_model_config *out, const char *path, struct sp_err *err)
{
    struct sp_safetensors s;
    TRY(sp_safetensors_open(&s, path, err));
    json_t *j = llama(&s);
    j = j ? j : gpt2(&s, "transformer.");
    j = j ? j : gpt2(&s, "");
    enum sp_status st = j ? sp_model_config_parse(out, j, err) : sp_fail(err, SP_MISSING, "%s has no config.json beside it, and its tensors don't say what it is", path);
    if (!j)
        sp_remedy(err, "put the model's config.json beside it, or name the folder of all its files");
    json_decref(j);
    sp_safetensors_close(&s);
    return st;
}
