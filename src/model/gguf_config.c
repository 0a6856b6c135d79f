/* model/gguf_config.c - the keys of a GGUF file are read as those of config.json, and
 * written from a configuration.
 *
 * Llama 3's scaling of rotary positions stands in a GGUF file as divisors, tensor
 * rope_freqs.weight; the four numbers it came from are found again from these.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"
#include "weights.h"

enum { KEY_MAX = 128, FREQS_MAX = 4096, STILL_EVERY = 4 /* of smollm3: no key says it, its readers know it */ };

/* pairs: rotary pairs side by side.  write: this program writes it. */
static const struct arch { const char *gguf, *type; bool pairs, write; } archs[] = {
    { "llama", "llama", true, true }, { "llama", "mistral", true, true }, { "llama", "mixtral", true, false }, { "llama4", "llama4_text", true, false },
    { "qwen", "qwen", false, false }, { "qwen2", "qwen2", false, true }, { "qwen3", "qwen3", false, true }, { "qwen2moe", "qwen2_moe", false, false },
    { "qwen3moe", "qwen3_moe", false, false }, { "gemma", "gemma", false, true }, { "gemma2", "gemma2", false, true }, { "gemma3", "gemma3_text", false, true },
    { "phi2", "phi", false, true }, { "phi3", "phi3", false, false }, { "falcon", "falcon", false, false }, { "gptneox", "gpt_neox", false, true },
    { "gptj", "gptj", false, false }, { "gpt2", "gpt2", false, true }, { "bloom", "bloom", false, false }, { "mpt", "mpt", false, false },
    { "starcoder", "gpt_bigcode", false, false }, { "starcoder2", "starcoder2", false, true }, { "stablelm", "stablelm", false, true },
    { "command-r", "cohere", false, false }, { "olmo", "olmo", true, false }, { "olmo2", "olmo2", false, true }, { "olmoe", "olmoe", false, false },
    { "dbrx", "dbrx", false, false }, { "deepseek", "deepseek", true, false }, { "deepseek2", "deepseek_v2", false, false },
    { "gpt-oss", "gpt_oss", false, false }, { "granite", "granite", true, false }, { "smollm3", "smollm3", true, true }, { "bert", "bert", false, false },
    { "t5", "t5", false, false },
};
static const struct { const char *gguf, *key; } words[] = {
    { "vocab_size", "vocab_size" }, { "embedding_length", "hidden_size" }, { "block_count", "num_hidden_layers" },
    { "feed_forward_length", "intermediate_size" }, { "attention.head_count", "num_attention_heads" },
    { "attention.head_count_kv", "num_key_value_heads" }, { "context_length", "max_position_embeddings" }, { "attention.key_length", "head_dim" },
    { "rope.dimension_count", "rotary_dim" }, { "rope.freq_base", "rope_theta" }, { "rope.freq_base_swa", "rope_local_base_freq" },
    { "attention.layer_norm_rms_epsilon", "rms_norm_eps" }, { "attention.layer_norm_epsilon", "layer_norm_eps" },
    { "attention.sliding_window", "sliding_window" }, { "attention.sliding_window_pattern", "sliding_window_pattern" },
    { "use_parallel_residual", "use_parallel_residual" }, { "expert_count", "num_experts" },
    { "expert_used_count", "num_experts_per_tok" }, { "expert_feed_forward_length", "moe_intermediate_size" },
    { "expert_shared_feed_forward_length", "shared_expert_intermediate_size" }, { "expert_shared_count", "n_shared_experts" },
    { "leading_dense_block_count", "first_k_dense_replace" }, { "attention.kv_lora_rank", "kv_lora_rank" },
    { "attention.q_lora_rank", "q_lora_rank" }, { "attn_logit_softcapping", "attn_logit_softcapping" },
    { "final_logit_softcapping", "final_logit_softcapping" },
};

bool sp_gguf_pairs(const char *arch)
{
    for (size_t i = 0; i < SP_COUNT(archs); i++)
        if (!strcmp(archs[i].gguf, arch))
            return archs[i].pairs;
    return false;
}

const char *sp_gguf_arch(const struct sp_model_config *c)
{
    const char *type = sp_model_type(c);
    if (c->family == SP_FAMILY_LLAMA && !c->kind && c->qkv_bias && !c->out_bias)
        type = "qwen2"; /* made by hand: as its config.json would say */
    if (c->still_every && c->still_every != STILL_EVERY)
        return NULL;
    for (size_t i = 0; i < SP_COUNT(archs); i++)
        if (archs[i].write && !strcmp(archs[i].type, type))
            return archs[i].gguf;
    return NULL;
}

/* ---- reading ---- */

struct reading { const struct sp_gguf *g; const struct sp_map *map; const char *arch; json_t *j; };

static json_t *of_arch(const struct reading *r, const char *what)
{
    char key[2 * KEY_MAX];
    snprintf(key, sizeof key, "%.100s.%s", r->arch, what);
    return sp_gguf_value(r->g, key);
}

static double real_of(const struct reading *r, const char *what, double fallback)
{
    json_t *v = of_arch(r, what);
    double x = json_is_number(v) ? json_number_value(v) : fallback;
    json_decref(v);
    return x;
}

static const char *type_of(const struct reading *r)
{
    const char *type = NULL;
    for (size_t i = SP_COUNT(archs); i > 0; i--)
        if (!strcmp(archs[i - 1].gguf, r->arch))
            type = archs[i - 1].type;
    if (!strcmp(r->arch, "llama") && real_of(r, "expert_count", 0) > 0)
        return "mixtral";
    if (!strcmp(r->arch, "deepseek2") && real_of(r, "expert_gating_func", 0) == 2.0) /* sigmoid */
        return "deepseek_v3";
    return type;
}

/* Latent heads: a key is what stays and what turns; newer files keep the heads' own widths under "_mla". */
static void latent(const struct reading *r)
{
    double turns = real_of(r, "rope.dimension_count", 0), whole = real_of(r, "attention.key_length_mla", real_of(r, "attention.key_length", 0));
    double value = real_of(r, "attention.value_length_mla", real_of(r, "attention.value_length", 0));
    if (!json_object_get(r->j, "kv_lora_rank") || whole <= turns || turns <= 0 || value <= 0)
        return;
    json_object_del(r->j, "head_dim");
    json_object_del(r->j, "rotary_dim");
    json_object_set(r->j, "num_key_value_heads", json_object_get(r->j, "num_attention_heads"));
    json_object_set_new(r->j, "qk_nope_head_dim", json_integer((json_int_t)(whole - turns)));
    json_object_set_new(r->j, "qk_rope_head_dim", json_integer((json_int_t)turns));
    json_object_set_new(r->j, "v_head_dim", json_integer((json_int_t)value));
}

static bool holds(const struct reading *r, const char *tensor)
{
    return sp_gguf_tensor_find(r->g, tensor) != NULL;
}

/* What the tensors themselves tell. */
static void by_tensors(const struct reading *r)
{
    if (!r->g->n)
        return;
    json_object_set_new(r->j, "tie_word_embeddings", json_boolean(!holds(r, "output.weight")));
    json_object_set_new(r->j, "attention_bias", json_boolean(holds(r, "blk.0.attn_output.bias")));
    json_object_set_new(r->j, "qkv_bias", json_boolean(holds(r, "blk.0.attn_q.bias") || holds(r, "blk.0.attn_qkv.bias")));
    json_object_set_new(r->j, "mlp_bias", json_boolean(holds(r, "blk.0.ffn_up.bias")));
    if (!strcmp(r->arch, "gpt2"))
        json_object_set_new(r->j, "bias", json_boolean(holds(r, "blk.0.attn_norm.bias")));
}

/* Gemma 2 and 3 scale queries by the head's size, the largest of each by width over heads; no key says so. */
static void gemma_scale(const struct reading *r, const char *type)
{
    int64_t layers = json_integer_value(json_object_get(r->j, "num_hidden_layers")), heads = json_integer_value(json_object_get(r->j, "num_attention_heads"));
    bool second = !strcmp(type, "gemma2");
    if (!second && strcmp(type, "gemma3_text"))
        return;
    if (layers == (second ? 46 : 62) && heads > 0)
        json_object_set_new(r->j, "query_pre_attn_scalar", json_integer(json_integer_value(json_object_get(r->j, "hidden_size")) / heads));
    else
        json_object_set(r->j, "query_pre_attn_scalar", json_object_get(r->j, "head_dim"));
}

/* The number a key names, -1: none in the vocabulary. */
static int64_t token_named(const struct reading *r, const char *key)
{
    json_t *v = sp_gguf_value(r->g, key);
    int64_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    json_decref(v);
    return id < json_integer_value(json_object_get(r->j, "vocab_size")) ? id : -1;
}

/* An answer ends with the end of the text, of a turn, or of a message. */
static void special_tokens(const struct reading *r)
{
    static const char *const end[] = { "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id" };
    int64_t bos = token_named(r, "tokenizer.ggml.bos_token_id"), id;
    json_t *ends = json_array();
    if (bos >= 0)
        json_object_set_new(r->j, "bos_token_id", json_integer(bos));
    for (size_t i = 0; i < SP_COUNT(end); i++)
        if ((id = token_named(r, end[i])) >= 0)
            json_array_append_new(ends, json_integer(id));
    if (json_array_size(ends))
        json_object_set(r->j, "eos_token_id", ends);
    json_decref(ends);
}

/* ---- rotary scaling ---- */

/* What frequency i of a head is divided by (Llama 3). */
double sp_gguf_divisor(const struct sp_model_config *c, int64_t i)
{
    double dim = (double)(c->rotary ? c->rotary : c->head_dim), turns = c->rope_original * pow(c->rope_theta, -2 * (double)i / dim) / (2 * M_PI);
    double s = (turns - c->rope_low) / (c->rope_high - c->rope_low);
    return s > 1 ? 1 : s < 0 ? c->rope_factor : 1 / ((1 - s) / c->rope_factor + s);
}

/* A straight line through (turns of a position, share kept) gives the bounds: low is set to 1, as only ratios matter. */
static void fit(const float *d, int n, double theta, struct sp_model_config *c)
{
    double k = 0, x1 = 0, y1 = 0, xx = 0, xy = 0, most = 1;
    for (int i = 0; i < n; i++)
        most = (double)d[i] > most ? (double)d[i] : most;
    for (int i = 0; i < n; i++) {
        double s = (1 / (double)d[i] - 1 / most) / (1 - 1 / most), x = pow(theta, -(double)i / n) / (2 * M_PI);
        if (s > 1e-6 && s < 1 - 1e-6)
            k += 1, x1 += x, y1 += s, xx += x * x, xy += x * s;
    }
    double slope = k > 1 ? (k * xy - x1 * y1) / (k * xx - x1 * x1) : k > 0 ? (y1 + 1.0 / 3) / x1 : 0, below = k > 1 ? (slope * x1 - y1) / k : 1.0 / 3;
    c->rope_low = 1;
    c->rope_factor = round(most * 1e5) / 1e5;
    c->rope_high = k > 0 && below > 0 ? round((1 + 1 / below) * 1e3) / 1e3 : 4;
    c->rope_original = k > 0 ? round(slope * (c->rope_high - 1)) : 8192;
    c->rope_theta = theta;
}

static enum sp_status divisors(const struct reading *r, const struct sp_gguf_tensor *t, struct sp_err *err)
{
    float d[FREQS_MAX];
    struct sp_model_config c = { .head_dim = 2 * t->elements };
    if (t->n != 1 || t->elements < 1 || t->elements > FREQS_MAX || t->type->id)
        return sp_fail(err, SP_FORMAT, "rope_freqs.weight must hold up to %d numbers of type F32", FREQS_MAX);
    TRY(sp_map_copy(r->map, (size_t)(r->g->data + t->at), (size_t)t->bytes, d, err));
    for (int64_t i = 0; i < t->elements; i++)
        if (!(d[i] >= 1 && d[i] <= 1e6F))
            return sp_fail(err, SP_UNSUPPORTED, "rope_freqs.weight divides a frequency by %g", (double)d[i]);
    double theta = real_of(r, "rope.freq_base", 10000);
    fit(d, (int)t->elements, theta > 1 ? theta : 10000, &c);
    for (int64_t i = 0; i < t->elements; i++)
        if (fabs(sp_gguf_divisor(&c, i) / (double)d[i] - 1) > 2e-3)
            return sp_fail(err, SP_UNSUPPORTED, "the divisors in rope_freqs.weight don't follow Llama 3's rule: number %lld is %g", (long long)i, (double)d[i]);
    json_object_set_new(r->j, "rope_scaling", json_pack("{s:s, s:f, s:f, s:f, s:f}", "rope_type", "llama3", "factor", c.rope_factor, "low_freq_factor", c.rope_low,
                                                        "high_freq_factor", c.rope_high, "original_max_position_embeddings", c.rope_original));
    return SP_OK;
}

static double yarn_size(double factor)
{
    return factor > 1 ? 0.1 * log(factor) + 1 : 1;
}

static enum sp_status scaling(const struct reading *r, struct sp_err *err)
{
    const struct sp_gguf_tensor *t = sp_gguf_tensor_find(r->g, "rope_freqs.weight");
    json_t *type = of_arch(r, "rope.scaling.type"), *s;
    double factor = real_of(r, "rope.scaling.factor", real_of(r, "rope.scale_linear", 0)), own = real_of(r, "rope.scaling.attn_factor", 0);
    const char *name = json_is_string(type) ? json_string_value(type) : "linear";
    bool none = !strcmp(name, "none") || (!strcmp(name, "linear") && (!(factor > 0) || (factor >= 1 && factor <= 1)));
    if (!none && (s = json_pack("{s:s, s:f}", "rope_type", name, "factor", factor > 0 ? factor : 1))) {
        if (!strcmp(name, "yarn"))
            json_object_set_new(s, "original_max_position_embeddings", json_real(real_of(r, "rope.scaling.original_context_length", 8192)));
        if (!strcmp(name, "yarn") && own > 0)
            json_object_set_new(s, "attention_factor", json_real(own * yarn_size(factor)));
        json_object_set_new(r->j, "rope_scaling", s);
    }
    json_decref(type);
    return t ? divisors(r, t, err) : SP_OK;
}

static enum sp_status as_config(const struct reading *r, struct sp_err *err)
{
    const struct sp_gguf_pair *tokens = sp_gguf_find(r->g, "tokenizer.ggml.tokens");
    const char *type = type_of(r);
    if (!type)
        return sp_fail(err, SP_UNSUPPORTED, "architecture \"%.60s\" isn't supported", r->arch);
    json_object_set_new(r->j, "model_type", json_string(type));
    for (size_t i = 0; i < SP_COUNT(words); i++) {
        json_t *v = of_arch(r, words[i].gguf);
        bool none = json_is_integer(v) && json_integer_value(v) <= 0; /* 0 stands for "has none" */
        if (v && !none)
            json_object_set(r->j, words[i].key, v);
        json_decref(v);
    }
    if (tokens && tokens->list && tokens->n)
        json_object_set_new(r->j, "vocab_size", json_integer((json_int_t)tokens->n));
    if (!json_object_get(r->j, "intermediate_size") && json_object_get(r->j, "moe_intermediate_size"))
        json_object_set(r->j, "intermediate_size", json_object_get(r->j, "moe_intermediate_size"));
    by_tensors(r);
    special_tokens(r);
    gemma_scale(r, type);
    latent(r);
    return scaling(r, err);
}

/* The embedding is the measure: a vocabulary may be shorter than its table. */
static void vocab_of_table(const struct reading *r)
{
    const struct sp_gguf_tensor *t = sp_gguf_tensor_find(r->g, "token_embd.weight");
    if (t && t->n == 2 && t->dim[1] > 0 && t->dim[1] <= 1 << 30)
        json_object_set_new(r->j, "vocab_size", json_integer(t->dim[1]));
}

enum sp_status sp_gguf_to_config(const struct sp_gguf *g, struct sp_model_config *out, const struct sp_map *m, struct sp_err *err)
{
    sp_json_begin();
    json_t *arch = sp_gguf_value(g, "general.architecture"), *parts = sp_gguf_value(g, "split.count");
    struct reading r = { g, m, json_string_value(arch), json_object() };
    enum sp_status st = r.j ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for a header");
    if (!st && !r.arch)
        st = sp_fail(err, SP_FORMAT, "the header names no general.architecture");
    if (!st && json_integer_value(parts) > 1) {
        st = sp_fail(err, SP_UNSUPPORTED, "this is one of %lld parts of a model", (long long)json_integer_value(parts));
        sp_remedy(err, "join them: llama-gguf-split --merge");
    }
    st = st ? st : as_config(&r, err);
    if (!st)
        vocab_of_table(&r);
    if (!st && sp_json_ran_out())
        st = sp_fail(err, SP_NOMEM, "no memory for a header");
    st = st ? st : sp_model_config_parse(out, r.j, err);
    json_decref(arch);
    json_decref(parts);
    json_decref(r.j);
    return st;
}

enum sp_status sp_gguf_config(struct sp_model_config *out, const char *path, double *bits, struct sp_err *err)
{
    struct sp_map m;
    struct sp_gguf g;
    TRY(sp_map_open(&m, path, err));
    enum sp_status st = sp_gguf_read(&g, &m, err);
    if (!st) {
        st = sp_gguf_to_config(&g, out, &m, err);
        if (!st && bits)
            *bits = g.elements ? 8 * (double)g.data_bytes / (double)g.elements : 0;
        sp_gguf_clear(&g);
    }
    sp_map_close(&m);
    return st ? sp_file_refused(err, path) : SP_OK;
}

/* ---- writing ---- */

static void put_sizes(struct sp_gguf_keys *k, const struct sp_model_config *c, const char *arch)
{
    bool turns = c->positions == SP_POSITIONS_ROTARY && c->family != SP_FAMILY_GPT2;
    const struct { const char *key; int64_t v; } row[] = {
        { "context_length", c->context }, { "embedding_length", c->width }, { "block_count", c->layers }, { "feed_forward_length", c->ffn },
        { "attention.head_count", c->heads }, { "attention.head_count_kv", c->kv_heads }, { "attention.key_length", c->head_dim },
        { "attention.value_length", c->head_dim }, { "rope.dimension_count", !turns ? 0 : c->rotary ? c->rotary : c->head_dim },
        { "attention.sliding_window", c->window }, { "attention.sliding_window_pattern", c->window_every }, { "vocab_size", c->vocab },
    };
    char key[KEY_MAX];
    for (size_t i = 0; i < SP_COUNT(row); i++)
        if (row[i].v > 0) {
            snprintf(key, sizeof key, "%s.%s", arch, row[i].key);
            sp_gguf_put_word(k, key, (uint32_t)row[i].v);
        }
}

static void put_reals(struct sp_gguf_keys *k, const struct sp_model_config *c, const char *arch)
{
    bool turns = c->positions == SP_POSITIONS_ROTARY && c->family != SP_FAMILY_GPT2, rms = c->norm == SP_NORM_RMS && c->family != SP_FAMILY_GPT2;
    bool yarn = c->rope_scaling == SP_SCALING_YARN, scaled = turns && (yarn || c->rope_scaling == SP_SCALING_LINEAR);
    const struct { const char *key; double v; } row[] = {
        { rms ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", c->norm_eps }, { "rope.freq_base", turns ? c->rope_theta : 0 },
        { "rope.freq_base_swa", c->rope_local }, { "attn_logit_softcapping", c->attn_cap }, { "final_logit_softcapping", c->logit_cap },
        { "rope.scaling.factor", scaled ? c->rope_factor : 0 },
        { "rope.scaling.attn_factor", scaled && yarn && c->rope_size > 0 ? c->rope_size / yarn_size(c->rope_factor) : 0 },
    };
    char key[KEY_MAX];
    for (size_t i = 0; i < SP_COUNT(row); i++)
        if (row[i].v > 0) {
            snprintf(key, sizeof key, "%s.%s", arch, row[i].key);
            sp_gguf_put_real(k, key, row[i].v);
        }
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch);
    if (scaled)
        sp_gguf_put_text(k, key, yarn ? "yarn" : "linear");
    snprintf(key, sizeof key, "%s.rope.scaling.original_context_length", arch);
    if (scaled && yarn)
        sp_gguf_put_word(k, key, (uint32_t)c->rope_original);
}

void sp_gguf_put_config(struct sp_gguf_keys *k, const struct sp_model_config *c, const char *arch)
{
    char key[KEY_MAX];
    put_sizes(k, c, arch);
    put_reals(k, c, arch);
    snprintf(key, sizeof key, "%s.use_parallel_residual", arch);
    if (c->kind && (c->parallel || !strcmp(arch, "gptneox")))
        sp_gguf_put_bool(k, key, c->parallel);
}
