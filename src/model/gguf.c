/* model/gguf.c - what the header of a GGUF file says of its model: the configuration,
 * and how many bytes its tensors take.
 *
 * Layout: ggml's docs/gguf.md, versions 2 and 3.  The keys are turned into those of
 * config.json and read as such.  The numbers themselves are not read here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

enum { PAIRS_MAX = 1 << 16, TENSORS_MAX = 1 << 20, KEY_MAX = 128, TEXT_MAX = 256, ALIGN_MAX = 1 << 20, DIMS_MAX = 4 };
enum kind { U8, I8, U16, I16, U32, I32, F32, BOOL, TEXT, ARRAY, U64, I64, F64, KINDS };
static const int kind_bytes[KINDS] = { [U8] = 1, [I8] = 1, [U16] = 2, [I16] = 2, [U32] = 4, [I32] = 4, [F32] = 4, [BOOL] = 1, [U64] = 8, [I64] = 8, [F64] = 8 };

struct header {
    const unsigned char *at, *end;
    json_t *pairs;               /* key -> number, text, or of an array its first number */
    int64_t tokens, elements, tensors, align;
    bool head, qkv_bias;
    const unsigned char *from;
};

/* ---- bytes ---- */

static enum sp_status cut_short(const struct header *h, struct sp_err *err)
{
    return sp_fail(err, SP_FORMAT, "the header ends or lies at byte %zu", (size_t)(h->at - h->from));
}

static enum sp_status take(struct header *h, int bytes, uint64_t *out, struct sp_err *err)
{
    if (h->end - h->at < bytes)
        return cut_short(h, err);
    *out = 0;
    for (int i = bytes - 1; i >= 0; i--)
        *out = *out << 8 | h->at[i];
    h->at += bytes;
    return SP_OK;
}

/* A text; what is longer than the room is passed over and leaves it empty. */
static enum sp_status take_text(struct header *h, char *to, size_t cap, struct sp_err *err)
{
    uint64_t n = 0;
    TRY(take(h, 8, &n, err));
    if (n > (uint64_t)(h->end - h->at))
        return cut_short(h, err);
    size_t kept = n < cap ? (size_t)n : 0;
    memcpy(to, h->at, kept);
    to[kept] = 0;
    h->at += n;
    return SP_OK;
}

/* ---- pairs ---- */

static json_t *number(enum kind k, uint64_t bits)
{
    float f;
    double d;
    uint32_t low = (uint32_t)bits;
    memcpy(&f, &low, sizeof f);
    memcpy(&d, &bits, sizeof d);
    switch (k) {
    case F32: return json_real((double)f);
    case F64: return json_real(d);
    case BOOL: return json_boolean(bits != 0);
    case I8: return json_integer((int8_t)bits);
    case I16: return json_integer((int16_t)bits);
    case I32: return json_integer((int32_t)bits);
    default: return json_integer((json_int_t)bits);
    }
}

static enum sp_status take_number(struct header *h, enum kind k, json_t **out, struct sp_err *err)
{
    uint64_t bits = 0;
    TRY(take(h, kind_bytes[k], &bits, err));
    if (out)
        *out = number(k, bits);
    return SP_OK;
}

/* The first number of an array stands for it: layers that differ are counted as the first. */
static enum sp_status take_array(struct header *h, const char *key, json_t **out, struct sp_err *err)
{
    uint64_t kind = 0, n = 0;
    TRY(take(h, 4, &kind, err));
    TRY(take(h, 8, &n, err));
    if (kind >= KINDS || kind == ARRAY || n > (uint64_t)(h->end - h->at))
        return cut_short(h, err);
    if (!strcmp(key, "tokenizer.ggml.tokens"))
        h->tokens = (int64_t)n;
    for (uint64_t i = 0; i < n && kind == TEXT; i++) {
        char none[1];
        TRY(take_text(h, none, sizeof none, err));
    }
    if (kind == TEXT || !n)
        return SP_OK;
    if (n > (uint64_t)(h->end - h->at) / (uint64_t)kind_bytes[kind])
        return cut_short(h, err);
    const unsigned char *after = h->at + n * (uint64_t)kind_bytes[kind];
    TRY(take_number(h, (enum kind)kind, out, err));
    h->at = after;
    return SP_OK;
}

static enum sp_status take_pair(struct header *h, struct sp_err *err)
{
    char key[KEY_MAX], text[TEXT_MAX];
    uint64_t kind = 0;
    json_t *value = NULL;
    TRY(take_text(h, key, sizeof key, err));
    TRY(take(h, 4, &kind, err));
    if (kind >= KINDS)
        return sp_fail(err, SP_FORMAT, "\"%.60s\" is of type %llu, which GGUF doesn't have", key, (unsigned long long)kind);
    if (kind == TEXT) {
        TRY(take_text(h, text, sizeof text, err));
        value = sp_utf8_valid(text, strlen(text)) ? json_string(text) : NULL;
    } else if (kind == ARRAY)
        TRY(take_array(h, key, &value, err));
    else
        TRY(take_number(h, (enum kind)kind, &value, err));
    if (value && !strcmp(key, "general.alignment") && json_is_integer(value))
        h->align = json_integer_value(value);
    if (value && key[0] && sp_utf8_valid(key, strlen(key)))
        return json_object_set_new(h->pairs, key, value) ? sp_fail(err, SP_NOMEM, "no memory for a header") : SP_OK;
    json_decref(value); /* a key too long to be one of ours */
    return SP_OK;
}

/* ---- tensors ---- */

static enum sp_status take_tensor(struct header *h, struct sp_err *err)
{
    char name[KEY_MAX];
    uint64_t dims = 0, rest = 0;
    int64_t n = 1;
    TRY(take_text(h, name, sizeof name, err));
    TRY(take(h, 4, &dims, err));
    if (dims > DIMS_MAX)
        return sp_fail(err, SP_FORMAT, "tensor %.60s has %llu dimensions", name, (unsigned long long)dims);
    for (uint64_t i = 0; i < dims; i++) {
        TRY(take(h, 8, &rest, err));
        if (rest > INT64_MAX || __builtin_mul_overflow(n, (int64_t)rest, &n))
            return sp_fail(err, SP_FORMAT, "tensor %.60s is larger than can be", name);
    }
    TRY(take(h, 4, &rest, err));
    TRY(take(h, 8, &rest, err));
    if (__builtin_add_overflow(h->elements, n, &h->elements))
        return sp_fail(err, SP_FORMAT, "the tensors are larger than can be");
    h->head |= !strcmp(name, "output.weight");
    h->qkv_bias |= !strcmp(name, "blk.0.attn_q.bias") || !strcmp(name, "blk.0.attn_qkv.bias");
    return SP_OK;
}

static enum sp_status parse(void *arg, struct sp_err *err)
{
    struct header *h = arg;
    uint64_t magic = 0, version = 0, tensors = 0, pairs = 0;
    TRY(take(h, 4, &magic, err));
    TRY(take(h, 4, &version, err));
    if (magic != 0x46554747 || version < 2 || version > 3)
        return sp_fail(err, SP_FORMAT, magic != 0x46554747 ? "this is no GGUF file" : "GGUF of version %llu isn't supported; 2 and 3 are",
                       (unsigned long long)version);
    TRY(take(h, 8, &tensors, err));
    TRY(take(h, 8, &pairs, err));
    if (tensors > TENSORS_MAX || pairs > PAIRS_MAX)
        return sp_fail(err, SP_LIMIT, "%llu tensors and %llu keys; at most %d and %d are read", (unsigned long long)tensors, (unsigned long long)pairs,
                       TENSORS_MAX, PAIRS_MAX);
    for (uint64_t i = 0; i < pairs; i++)
        TRY(take_pair(h, err));
    for (uint64_t i = 0; i < tensors; i++)
        TRY(take_tensor(h, err));
    h->tensors = (int64_t)tensors;
    return SP_OK;
}

/* ---- in the words of config.json ---- */

static const struct { const char *gguf, *type; } archs[] = {
    { "llama", "llama" }, { "llama4", "llama4_text" }, { "qwen", "qwen" }, { "qwen2", "qwen2" }, { "qwen3", "qwen3" }, { "qwen2moe", "qwen2_moe" },
    { "qwen3moe", "qwen3_moe" }, { "gemma", "gemma" }, { "gemma2", "gemma2" }, { "gemma3", "gemma3_text" }, { "phi2", "phi" }, { "phi3", "phi3" },
    { "falcon", "falcon" }, { "gptneox", "gpt_neox" }, { "gptj", "gptj" }, { "gpt2", "gpt2" }, { "bloom", "bloom" }, { "mpt", "mpt" },
    { "starcoder", "gpt_bigcode" }, { "starcoder2", "starcoder2" }, { "stablelm", "stablelm" }, { "command-r", "cohere" }, { "olmo", "olmo" },
    { "olmo2", "olmo2" }, { "olmoe", "olmoe" }, { "dbrx", "dbrx" }, { "deepseek", "deepseek" }, { "deepseek2", "deepseek_v2" },
    { "gpt-oss", "gpt_oss" }, { "granite", "granite" }, { "bert", "bert" }, { "t5", "t5" },
};
static const struct { const char *gguf, *key; } words[] = {
    { "vocab_size", "vocab_size" }, { "embedding_length", "hidden_size" }, { "block_count", "num_hidden_layers" },
    { "feed_forward_length", "intermediate_size" }, { "attention.head_count", "num_attention_heads" },
    { "attention.head_count_kv", "num_key_value_heads" }, { "context_length", "max_position_embeddings" }, { "attention.key_length", "head_dim" },
    { "rope.dimension_count", "rotary_dim" }, { "rope.freq_base", "rope_theta" }, { "attention.layer_norm_rms_epsilon", "rms_norm_eps" },
    { "attention.layer_norm_epsilon", "layer_norm_eps" }, { "attention.sliding_window", "sliding_window" }, { "expert_count", "num_experts" },
    { "expert_used_count", "num_experts_per_tok" }, { "expert_feed_forward_length", "moe_intermediate_size" },
    { "expert_shared_feed_forward_length", "shared_expert_intermediate_size" }, { "expert_shared_count", "n_shared_experts" },
    { "leading_dense_block_count", "first_k_dense_replace" }, { "attention.kv_lora_rank", "kv_lora_rank" },
    { "attention.q_lora_rank", "q_lora_rank" }, { "attn_logit_softcapping", "attn_logit_softcapping" },
    { "final_logit_softcapping", "final_logit_softcapping" },
};

static json_t *of_arch(const struct header *h, const char *arch, const char *what)
{
    char key[2 * KEY_MAX];
    snprintf(key, sizeof key, "%s.%s", arch, what);
    return json_object_get(h->pairs, key);
}

static const char *type_of(const struct header *h, const char *arch)
{
    for (size_t i = 0; i < SP_COUNT(archs); i++)
        if (!strcmp(archs[i].gguf, arch)) {
            if (!strcmp(arch, "llama") && json_integer_value(of_arch(h, arch, "expert_count")) > 0)
                return "mixtral";
            if (!strcmp(arch, "deepseek2") && json_integer_value(of_arch(h, arch, "expert_gating_func")) == 2) /* sigmoid */
                return "deepseek_v3";
            return archs[i].type;
        }
    return NULL;
}

/* Latent heads: a key is what stays and what turns; newer files keep the heads' own widths under "_mla". */
static void latent(const struct header *h, const char *arch, json_t *j)
{
    json_t *key = of_arch(h, arch, "attention.key_length_mla"), *value = of_arch(h, arch, "attention.value_length_mla");
    json_int_t whole = json_integer_value(key ? key : of_arch(h, arch, "attention.key_length"));
    json_int_t turns = json_integer_value(of_arch(h, arch, "rope.dimension_count"));
    value = value ? value : of_arch(h, arch, "attention.value_length");
    if (!json_object_get(j, "kv_lora_rank") || whole <= turns || turns <= 0 || !value)
        return;
    json_object_del(j, "head_dim");
    json_object_del(j, "rotary_dim");
    json_object_set(j, "num_key_value_heads", json_object_get(j, "num_attention_heads"));
    json_object_set_new(j, "qk_nope_head_dim", json_integer(whole - turns));
    json_object_set_new(j, "qk_rope_head_dim", json_integer(turns));
    json_object_set(j, "v_head_dim", value);
}

static enum sp_status as_config(const struct header *h, json_t *j, struct sp_err *err)
{
    const char *arch = json_string_value(json_object_get(h->pairs, "general.architecture"));
    const char *type = arch ? type_of(h, arch) : NULL;
    if (!type)
        return sp_fail(err, arch ? SP_UNSUPPORTED : SP_FORMAT, arch ? "architecture \"%.60s\" isn't supported" : "the header names no general.architecture%s", arch ? arch : "");
    json_object_set_new(j, "model_type", json_string(type));
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        json_t *v = of_arch(h, arch, words[i].gguf);
        bool none = json_is_integer(v) && json_integer_value(v) <= 0; /* 0 stands for "has none" */
        if (v && !none)
            json_object_set(j, words[i].key, v);
    }
    if (h->tokens > 0)
        json_object_set_new(j, "vocab_size", json_integer(h->tokens));
    if (!json_object_get(j, "intermediate_size") && json_object_get(j, "moe_intermediate_size"))
        json_object_set(j, "intermediate_size", json_object_get(j, "moe_intermediate_size"));
    if (h->tensors > 0) {
        json_object_set_new(j, "tie_word_embeddings", json_boolean(!h->head));
        json_object_set_new(j, "qkv_bias", json_boolean(h->qkv_bias));
    }
    latent(h, arch, j);
    return SP_OK;
}

static enum sp_status read_header(struct header *h, struct sp_model_config *out, const struct sp_map *m, struct sp_err *err)
{
    sp_json_begin();
    json_t *j = json_object();
    h->pairs = json_object();
    h->align = 32;
    h->at = h->from = m->at;
    h->end = m->at + m->bytes;
    enum sp_status st = j && h->pairs ? sp_map_guard(m, parse, h, err) : sp_fail(err, SP_NOMEM, "no memory for a header");
    if (!st && (h->align < 1 || h->align > ALIGN_MAX || (h->align & (h->align - 1))))
        st = sp_fail(err, SP_FORMAT, "general.alignment is %lld", (long long)h->align);
    if (!st)
        st = as_config(h, j, err);
    if (!st && sp_json_ran_out())
        st = sp_fail(err, SP_NOMEM, "no memory for a header");
    if (!st)
        st = sp_model_config_parse(out, j, err);
    json_decref(h->pairs);
    json_decref(j);
    return st;
}

enum sp_status sp_gguf_config(struct sp_model_config *out, const char *path, double *bits, struct sp_err *err)
{
    struct sp_map m;
    struct header h = { 0 };
    struct sp_model_config c;
    TRY(sp_map_open(&m, path, err));
    enum sp_status st = read_header(&h, &c, &m, err);
    int64_t at = st ? 0 : ((h.at - h.from) + h.align - 1) / h.align * h.align;
    if (!st && bits)
        *bits = h.elements > 0 && (int64_t)m.bytes > at ? 8 * (double)((int64_t)m.bytes - at) / (double)h.elements : 0;
    sp_map_close(&m);
    if (st)
        return sp_where(err, "%s", path);
    *out = c;
    return SP_OK;
}
