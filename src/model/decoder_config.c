/* model/decoder_config.c - the configuration of a decoder, whoever spelled it: sizes,
 * what differs from Llama's way, and all of it back under Hugging Face's names.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "builder.h"

enum { BIG = 1 << 30, MANY = 100000, LAYERS = 10000 };

static const struct sp_kind *kind_of(const struct sp_model_config *c)
{
    return c->kind ? c->kind : sp_arch_of(c->family)->kinds;
}

const struct sp_words *sp_builder_words(const struct sp_model_config *c)
{
    return kind_of(c)->words;
}

static bool is(const struct sp_model_config *c, const char *type)
{
    return !strcmp(kind_of(c)->type, type);
}

/* ---- sizes ---- */

static enum sp_status missing(const struct sp_model_config *c, const char *key, struct sp_err *err)
{
    sp_fail(err, SP_FORMAT, "config.json of a %s model says nothing of \"%s\"", kind_of(c)->type, key);
    return sp_remedy(err, "add it; the parameters can't be counted without");
}

/* All four sizes, or, where the class has sizes of its own and none is given, those. */
static enum sp_status read_shape(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const struct sp_model_config *like = &kind_of(c)->like;
    TRY(sp_key_int(j, "padded_vocab_size|vocab_size", 1, BIG, 0, &c->vocab, err));
    TRY(sp_key_int(j, is(c, "distilbert") ? "dim|hidden_size" : "hidden_size|n_embd|n_embed|d_model|hidden_dim|dim", 1, BIG, 0, &c->width, err));
    TRY(sp_key_int(j, "num_hidden_layers|n_layer|n_layers|num_layers", 1, LAYERS, 0, &c->layers, err));
    TRY(sp_key_int(j, "num_attention_heads|n_head|n_heads|num_heads", 1, MANY, 0, &c->heads, err));
    if (!c->vocab && !c->width && !c->layers && !c->heads && like->width) {
        c->vocab = like->vocab, c->width = like->width, c->layers = like->layers, c->heads = like->heads;
        return SP_OK;
    }
    return !c->width    ? missing(c, "hidden_size", err)
           : !c->layers ? missing(c, "num_hidden_layers", err)
           : !c->heads  ? missing(c, "num_attention_heads", err)
           : !c->vocab  ? missing(c, "vocab_size", err) : SP_OK;
}

/* Llama's own rule: two thirds of four widths, rounded up to whole 256s; tools that know no gate write the four widths. */
static int64_t gated_width(int64_t four)
{
    return (2 * four / 3 + 255) / 256 * 256;
}

static enum sp_status read_ffn(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const struct sp_model_config *like = &kind_of(c)->like;
    bool gated;
    double times;
    int64_t four;
    TRY(sp_key_int(j, is(c, "distilbert") ? "hidden_dim|intermediate_size" : "intermediate_size_mlp|intermediate_size|ffn_dim|n_inner|d_ff|inter_dim|ffn_hidden_size|"
                   "ffn_config.ffn_hidden_size", 1, BIG, 0, &c->ffn, err));
    TRY(sp_key_int(j, "ffn_embed_dim", 1, BIG, 0, &four, err));
    TRY(sp_key_bool(j, "mlp_gated_linear_units", false, &gated, err));
    TRY(sp_key_real(j, "expansion_ratio", 0.01, 100, 4, &times, err));
    if (four && !c->ffn)
        c->ffn = c->ungated || gated ? four : gated_width(four);
    if (is(c, "qwen"))
        c->ffn /= 2; /* counts gate and up together */
    if (!c->ffn && c->ungated)
        c->ffn = (int64_t)(times * (double)c->width);
    if (!c->ffn && c->width == like->width)
        c->ffn = like->ffn;
    return c->ffn ? SP_OK : missing(c, "intermediate_size", err);
}

/* Falcon and GPT-BigCode say only whether there is one key-value head. */
static enum sp_status read_heads(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const struct sp_model_config *like = &kind_of(c)->like;
    bool one, new;
    double turned;
    TRY(sp_key_bool(j, "multi_query", like->kv_heads == 1, &one, err));
    TRY(sp_key_int(j, "num_key_value_heads|num_kv_heads|n_head_kv|n_query_groups|attn_config.kv_n_heads", 1, MANY, 0, &c->kv_heads, err));
    if (is(c, "falcon")) {
        TRY(sp_key_bool(j, "new_decoder_architecture", c->kv_heads > 1 && c->kv_heads != c->heads, &new, err));
        c->kv_heads = new && c->kv_heads ? c->kv_heads : new ? c->heads : one ? 1 : c->heads;
        c->one_norm = !new && c->parallel;
    } else if (!c->kv_heads)
        c->kv_heads = one ? 1 : like->kv_heads > 1 && c->heads % like->kv_heads == 0 ? like->kv_heads : c->heads;
    TRY(sp_key_int(j, "head_dim|head_size|d_kv", 1, MANY, like->head_dim, &c->head_dim, err));
    if (!c->head_dim)
        c->head_dim = c->width / c->heads;
    TRY(sp_key_real(j, "partial_rotary_factor|rotary_pct|rotary_percentage", 0, 1, 0, &turned, err));
    TRY(sp_key_int(j, "rotary_dim", 1, MANY, turned > 0 ? (int64_t)(turned * (double)c->head_dim) : like->rotary < 0 ? c->head_dim / -like->rotary : like->rotary, &c->rotary, err));
    c->rotary = c->rotary >= c->head_dim ? 0 : c->rotary;
    return sp_key_int(j, "max_position_embeddings|n_positions|max_seq_len|max_sequence_length|seq_length|n_ctx|block_size", 1, BIG,
                      like->context ? like->context : 2048, &c->context, err);
}

/* ---- what else differs ---- */

static enum sp_status read_biases(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    bool all = json_is_boolean(json_object_get(j, "bias")) || json_is_boolean(json_object_get(j, "use_bias")), value, attention;
    TRY(sp_key_bool(j, "bias|use_bias", false, &value, err));
    if (all && c->family == SP_FAMILY_DECODER && !is(c, "gptj") && !is(c, "gpt_neo"))
        c->qkv_bias = c->out_bias = c->mlp_bias = value;
    TRY(sp_key_bool(j, "attention_bias", c->out_bias, &attention, err));
    if (json_is_boolean(json_object_get(j, "attention_bias")))
        c->out_bias = attention, c->qkv_bias = attention || kind_of(c)->like.qkv_bias;
    TRY(sp_key_bool(j, "qkv_bias|use_qkv_bias|attn_bias", c->qkv_bias, &c->qkv_bias, err));
    return sp_key_bool(j, "mlp_bias", c->mlp_bias, &c->mlp_bias, err);
}

static enum sp_status read_window(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    bool slides;
    TRY(sp_key_bool(j, "use_sliding_window", strncmp(kind_of(c)->type, "qwen", 4) != 0, &slides, err));
    TRY(sp_key_int(j, "sliding_window|sliding_window_size|window_size", 1, BIG, c->window, &c->window, err));
    c->window = slides ? c->window : 0;
    return sp_key_int(j, "sliding_window_pattern|_sliding_window_pattern", 1, LAYERS, c->window_every, &c->window_every, err);
}

static enum sp_status read_experts(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    int64_t shared;
    if (!c->experts_used)
        return SP_OK;
    TRY(sp_key_int(j, "num_local_experts|num_experts|n_routed_experts|ffn_config.moe_num_experts|n_expert", 1, MANY, c->experts, &c->experts, err));
    TRY(sp_key_int(j, "num_experts_per_tok|n_activated_experts|experts_per_token|ffn_config.moe_top_k|n_expert_per_token", 1, MANY, c->experts_used,
                   &c->experts_used, err));
    TRY(sp_key_int(j, is(c, "llama4_text") ? "intermediate_size" : "moe_intermediate_size|moe_inter_dim", 1, BIG, c->ffn, &c->expert_ffn, err));
    TRY(sp_key_int(j, "n_shared_experts", 0, MANY, is(c, "llama4_text"), &shared, err));
    TRY(sp_key_int(j, "interleave_moe_layer_step|decoder_sparse_step", 1, LAYERS, 0, &c->expert_every, err));
    c->expert_every = c->expert_every > 1 ? c->expert_every : 0;
    TRY(sp_key_int(j, "shared_expert_intermediate_size", 0, BIG, shared * c->expert_ffn, &c->shared_ffn, err));
    TRY(sp_key_int(j, "first_k_dense_replace|n_dense_layers", 0, LAYERS, 0, &c->dense_layers, err));
    if (!c->experts)
        return missing(c, "num_experts", err);
    return SP_OK;
}

static enum sp_status read_latent(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    if (!c->kv_rank)
        return SP_OK;
    TRY(sp_key_int(j, "kv_lora_rank", 1, BIG, c->kv_rank, &c->kv_rank, err));
    TRY(sp_key_int(j, "q_lora_rank", 0, BIG, 0, &c->q_rank, err));
    TRY(sp_key_int(j, "qk_nope_head_dim", 1, MANY, c->nope_dim, &c->nope_dim, err));
    TRY(sp_key_int(j, "qk_rope_head_dim", 2, MANY, c->rope_dim, &c->rope_dim, err));
    TRY(sp_key_int(j, "v_head_dim", 1, MANY, c->v_dim, &c->v_dim, err));
    c->head_dim = c->nope_dim + c->rope_dim;
    c->rotary = 0;
    return SP_OK;
}

/* Layers whose queries and keys don't turn: the last of every so many; a list of layers (1: they turn) must say the same. */
static enum sp_status read_still(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const json_t *list = json_object_get(j, "no_rope_layers");
    if (!c->still_every)
        return SP_OK;
    TRY(sp_key_int(j, "no_rope_layer_interval", 1, LAYERS, c->still_every, &c->still_every, err));
    for (size_t i = 0; i < json_array_size(list); i++)
        if ((json_integer_value(json_array_get(list, i)) == 0) != ((int64_t)i % c->still_every == c->still_every - 1)) {
            sp_fail(err, SP_UNSUPPORTED, "no_rope_layers: layer %zu isn't as no_rope_layer_interval %lld has it", i, (long long)c->still_every);
            return sp_remedy(err, "only layers at equal distances without rotary positions are supported");
        }
    return SP_OK;
}

static enum sp_status read_attention(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    double scalar;
    bool alibi;
    TRY(sp_key_real(j, "query_pre_attn_scalar|attention_scores_scalar", 1e-6, 1e9, 0, &scalar, err));
    if (scalar > 0)
        c->attn_scale = 1 / sqrt(scalar);
    TRY(sp_key_real(j, "attn_logit_softcapping|attention_logit_softcapping", 0, 1e6, c->attn_cap, &c->attn_cap, err));
    TRY(sp_key_real(j, "final_logit_softcapping", 0, 1e6, c->logit_cap, &c->logit_cap, err));
    TRY(sp_key_bool(j, "attn_config.alibi|alibi", c->positions == SP_POSITIONS_ALIBI, &alibi, err));
    if (alibi != (c->positions == SP_POSITIONS_ALIBI))
        c->positions = alibi ? SP_POSITIONS_ALIBI : is(c, "mpt") ? SP_POSITIONS_LEARNED : SP_POSITIONS_ROTARY;
    return sp_key_bool(j, "parallel_residual|use_parallel_residual|parallel_attn", c->parallel, &c->parallel, err);
}

static enum sp_status read_rest(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    bool before;
    TRY(sp_key_int(j, "type_vocab_size", 1, MANY, c->token_types, &c->token_types, err));
    TRY(sp_key_real(j, "rms_norm_eps|layer_norm_eps|layer_norm_epsilon|layernorm_epsilon|norm_eps", 0, 1, c->norm == SP_NORM_RMS ? 1e-6 : 1e-5, &c->norm_eps, err));
    TRY(sp_key_bool(j, "tie_word_embeddings", c->tied, &c->tied, err));
    TRY(sp_key_real(j, "attention_dropout", 0, 1, 0, &c->dropout, err));
    TRY(sp_key_bool(j, "do_layer_norm_before", c->norm_at != SP_NORM_OF_SUM, &before, err));
    if (!before)
        c->norm_at = SP_NORM_OF_SUM;
    TRY(sp_key_int(j, "word_embed_proj_dim", 1, BIG, c->width, &c->embed_width, err));
    c->embed_width = c->embed_width == c->width ? 0 : c->embed_width;
    if (c->gain_one) /* Gemma */
        c->embed_scale = sqrt((double)c->width);
    return SP_OK;
}

enum sp_status sp_decoder_read(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const json_t *text = json_object_get(j, "text_config"); /* the language half of a model that also sees */
    if (json_is_object(text) && !json_object_get(j, "hidden_size"))
        j = text;
    TRY(read_shape(c, j, err));
    TRY(read_attention(c, j, err));
    TRY(read_still(c, j, err));
    TRY(read_heads(c, j, err));
    TRY(read_ffn(c, j, err));
    TRY(sp_key_activation(c, j, err));
    if (c->positions == SP_POSITIONS_ROTARY && c->family != SP_FAMILY_T5)
        TRY(sp_rope_read(c, j, err));
    TRY(read_biases(c, j, err));
    TRY(read_window(c, j, err));
    TRY(read_experts(c, j, err));
    TRY(read_latent(c, j, err));
    return read_rest(c, j, err);
}

/* ---- writing ---- */

/* A configuration made by hand has no kind: its fields say which it is. */
static const char *type_of(const struct sp_model_config *c)
{
    if (c->kind || c->family != SP_FAMILY_LLAMA)
        return kind_of(c)->type;
    return c->qkv_bias && !c->out_bias ? "qwen2" : c->window > 0 ? "mistral" : "llama";
}

static const char *class_of(const struct sp_model_config *c, const char *type)
{
    const struct sp_kind *k = sp_arch_of(c->family)->kinds;
    while (k->type && strcmp(k->type, type))
        k++;
    return k->class ? k->class : "";
}

static int write_sizes(const struct sp_model_config *c, const char *type, json_t *j)
{
    int bad = json_object_set_new(j, "architectures", json_pack("[s]", class_of(c, type)));
    bad |= json_object_set_new(j, "model_type", json_string(type));
    bad |= json_object_set_new(j, "hidden_size", json_integer(c->width));
    bad |= json_object_set_new(j, "intermediate_size", json_integer(strcmp(type, "qwen") ? c->ffn : 2 * c->ffn));
    bad |= json_object_set_new(j, "num_hidden_layers", json_integer(c->layers));
    bad |= json_object_set_new(j, "num_attention_heads", json_integer(c->heads));
    bad |= json_object_set_new(j, "num_key_value_heads", json_integer(c->kv_heads));
    if (!c->kv_rank)
        bad |= json_object_set_new(j, "head_dim", json_integer(c->head_dim));
    if (c->rotary)
        bad |= json_object_set_new(j, "rotary_dim", json_integer(c->rotary));
    bad |= json_object_set_new(j, "vocab_size", json_integer(c->vocab));
    bad |= json_object_set_new(j, "max_position_embeddings", json_integer(c->context));
    return bad;
}

static int write_ways(const struct sp_model_config *c, const char *type, json_t *j)
{
    static const char *const act[] = { [SP_RELU] = "relu", [SP_GELU] = "gelu_pytorch_tanh", [SP_GELU_ERF] = "gelu", [SP_SILU] = "silu" };
    int bad = json_object_set_new(j, c->norm == SP_NORM_RMS ? "rms_norm_eps" : "layer_norm_eps", json_real(c->norm_eps));
    bad |= json_object_set_new(j, "hidden_act", json_string(act[c->activation]));
    bad |= json_object_set_new(j, "attention_dropout", json_real(c->dropout));
    bad |= json_object_set_new(j, "tie_word_embeddings", json_boolean(c->tied));
    bad |= json_object_set_new(j, "attention_bias", json_boolean(c->out_bias));
    bad |= json_object_set_new(j, "mlp_bias", json_boolean(c->mlp_bias));
    if (c->qkv_bias != c->out_bias)
        bad |= json_object_set_new(j, "qkv_bias", json_boolean(c->qkv_bias));
    if (c->window > 0)
        bad |= json_object_set_new(j, "sliding_window", json_integer(c->window)) |
               (strncmp(type, "qwen", 4) ? 0 : json_object_set_new(j, "use_sliding_window", json_true()));
    if (c->still_every)
        bad |= json_object_set_new(j, "no_rope_layer_interval", json_integer(c->still_every));
    if (c->window_every)
        bad |= json_object_set_new(j, "sliding_window_pattern", json_integer(c->window_every));
    if (c->attn_scale > 0 && strcmp(type, "gpt_neo"))
        bad |= json_object_set_new(j, "query_pre_attn_scalar", json_real(round(1e6 / (c->attn_scale * c->attn_scale)) / 1e6));
    if (c->attn_cap > 0)
        bad |= json_object_set_new(j, "attn_logit_softcapping", json_real(c->attn_cap));
    if (c->logit_cap > 0)
        bad |= json_object_set_new(j, "final_logit_softcapping", json_real(c->logit_cap));
    return bad;
}

static int write_decoder(const struct sp_model_config *c, const char *type, json_t *j)
{
    int bad = json_object_set_new(j, "use_parallel_residual", json_boolean(c->parallel));
    bad |= json_object_set_new(j, "multi_query", json_boolean(c->kv_heads == 1));
    bad |= json_object_set_new(j, "alibi", json_boolean(c->positions == SP_POSITIONS_ALIBI));
    if (!strcmp(type, "falcon"))
        bad |= json_object_set_new(j, "new_decoder_architecture", json_boolean(c->parallel && !c->one_norm));
    if (!strcmp(type, "opt"))
        bad |= json_object_set_new(j, "do_layer_norm_before", json_boolean(c->norm_at != SP_NORM_OF_SUM)) |
               json_object_set_new(j, "word_embed_proj_dim", json_integer(c->embed_width ? c->embed_width : c->width));
    return bad;
}

/* BERT and T5. */
static int write_encoder(const struct sp_model_config *c, json_t *j)
{
    int bad = c->token_types ? json_object_set_new(j, "type_vocab_size", json_integer(c->token_types)) : 0;
    if (c->family != SP_FAMILY_T5)
        return bad;
    bad |= json_object_set_new(j, "num_layers", json_integer(c->encoder_layers));
    bad |= json_object_set_new(j, "num_decoder_layers", json_integer(c->layers));
    bad |= json_object_set_new(j, "relative_attention_num_buckets", json_integer(c->buckets));
    return bad | json_object_set_new(j, "feed_forward_proj", json_string(c->ungated ? "relu" : "gated-gelu"));
}

static int write_experts(const struct sp_model_config *c, json_t *j)
{
    int bad = json_object_set_new(j, "num_experts", json_integer(c->experts));
    if (c->expert_every)
        bad |= json_object_set_new(j, "decoder_sparse_step", json_integer(c->expert_every));
    if (is(c, "llama4_text"))
        bad |= json_object_set_new(j, "intermediate_size", json_integer(c->expert_ffn)) | json_object_set_new(j, "intermediate_size_mlp", json_integer(c->ffn));
    bad |= json_object_set_new(j, "num_experts_per_tok", json_integer(c->experts_used));
    bad |= json_object_set_new(j, "moe_intermediate_size", json_integer(c->expert_ffn));
    bad |= json_object_set_new(j, "shared_expert_intermediate_size", json_integer(c->shared_ffn));
    return bad | json_object_set_new(j, "first_k_dense_replace", json_integer(c->dense_layers));
}

static int write_latent(const struct sp_model_config *c, json_t *j)
{
    int bad = json_object_set_new(j, "kv_lora_rank", json_integer(c->kv_rank));
    bad |= json_object_set_new(j, "q_lora_rank", json_integer(c->q_rank));
    bad |= json_object_set_new(j, "qk_nope_head_dim", json_integer(c->nope_dim));
    bad |= json_object_set_new(j, "qk_rope_head_dim", json_integer(c->rope_dim));
    return bad | json_object_set_new(j, "v_head_dim", json_integer(c->v_dim));
}

enum sp_status sp_decoder_write(const struct sp_model_config *c, json_t *j)
{
    const char *type = type_of(c);
    int bad = write_sizes(c, type, j) | write_ways(c, type, j);
    if (c->family == SP_FAMILY_DECODER)
        bad |= write_decoder(c, type, j);
    if (c->family == SP_FAMILY_BERT || c->family == SP_FAMILY_T5)
        bad |= write_encoder(c, j);
    else if (c->positions == SP_POSITIONS_ROTARY)
        bad |= sp_rope_write(c, j);
    if (c->experts)
        bad |= write_experts(c, j);
    if (c->kv_rank)
        bad |= write_latent(c, j);
    return bad ? SP_NOMEM : SP_OK;
}
