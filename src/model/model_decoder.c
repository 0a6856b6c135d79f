/* model/model_decoder.c - decoders with layer norm and a feed-forward part without a
 * gate: GPT-NeoX (Black et al. 2022), GPT-J, GPT-Neo, Falcon, Phi, OPT, BLOOM, MPT,
 * StarCoder; and DBRX, which has gates and experts.  A row each says what differs.
 * Positions by distance alone (BLOOM, MPT) and experts are counted only.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

static const struct sp_words neox = {
    .embed = "gpt_neox.embed_in", .final_norm = "gpt_neox.final_layer_norm", .head = "embed_out", .layer = "gpt_neox.layers.",
    .norm1 = "input_layernorm", .norm2 = "post_attention_layernorm", .qkv = "attention.query_key_value", .grouped = true, .o = "attention.dense",
    .up = "mlp.dense_h_to_4h", .down = "mlp.dense_4h_to_h" };
static const struct sp_words gptj = {
    .embed = "transformer.wte", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.", .norm1 = "ln_1",
    .q = "attn.q_proj", .k = "attn.k_proj", .v = "attn.v_proj", .o = "attn.out_proj", .up = "mlp.fc_in", .down = "mlp.fc_out" };
static const struct sp_words neo = {
    .embed = "transformer.wte", .positions = "transformer.wpe", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.",
    .norm1 = "ln_1", .norm2 = "ln_2", .q = "attn.attention.q_proj", .k = "attn.attention.k_proj", .v = "attn.attention.v_proj",
    .o = "attn.attention.out_proj", .up = "mlp.c_fc", .down = "mlp.c_proj" };
static const struct sp_words falcon = {
    .embed = "transformer.word_embeddings", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.", .norm1 = "ln_attn",
    .norm2 = "ln_mlp", .one = "input_layernorm", .qkv = "self_attention.query_key_value", .grouped = true, .o = "self_attention.dense", .up = "mlp.dense_h_to_4h",
    .down = "mlp.dense_4h_to_h" };
static const struct sp_words phi = {
    .embed = "model.embed_tokens", .final_norm = "model.final_layernorm", .head = "lm_head", .layer = "model.layers.", .norm1 = "input_layernorm",
    .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .o = "self_attn.dense", .up = "mlp.fc1", .down = "mlp.fc2" };
static const struct sp_words opt = {
    .embed = "model.decoder.embed_tokens", .positions = "model.decoder.embed_positions", .final_norm = "model.decoder.final_layer_norm",
    .project_in = "model.decoder.project_in", .project_out = "model.decoder.project_out", .head = "lm_head", .layer = "model.decoder.layers.",
    .norm1 = "self_attn_layer_norm", .norm2 = "final_layer_norm", .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj",
    .o = "self_attn.out_proj", .up = "fc1", .down = "fc2" };
static const struct sp_words bloom = {
    .embed = "transformer.word_embeddings", .embed_norm = "transformer.word_embeddings_layernorm", .final_norm = "transformer.ln_f",
    .head = "lm_head", .layer = "transformer.h.", .norm1 = "input_layernorm", .norm2 = "post_attention_layernorm",
    .qkv = "self_attention.query_key_value", .grouped = true, .o = "self_attention.dense", .up = "mlp.dense_h_to_4h", .down = "mlp.dense_4h_to_h" };
static const struct sp_words mpt = {
    .embed = "transformer.wte", .positions = "transformer.wpe", .final_norm = "transformer.norm_f", .head = "lm_head", .layer = "transformer.blocks.",
    .norm1 = "norm_1", .norm2 = "norm_2", .qkv = "attn.Wqkv", .o = "attn.out_proj", .up = "ffn.up_proj", .down = "ffn.down_proj" };
static const struct sp_words bigcode = {
    .embed = "transformer.wte", .positions = "transformer.wpe", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.",
    .norm1 = "ln_1", .norm2 = "ln_2", .qkv = "attn.c_attn", .o = "attn.c_proj", .up = "mlp.c_fc", .down = "mlp.c_proj" };
static const struct sp_words starcoder2 = {
    .embed = "model.embed_tokens", .final_norm = "model.norm", .head = "lm_head", .layer = "model.layers.", .norm1 = "input_layernorm",
    .norm2 = "post_attention_layernorm", .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .o = "self_attn.o_proj",
    .up = "mlp.c_fc", .down = "mlp.c_proj" };
static const struct sp_words dbrx = {
    .embed = "transformer.wte", .final_norm = "transformer.norm_f", .head = "lm_head", .layer = "transformer.blocks.",
    .norm1 = "norm_attn_norm.norm_1", .norm2 = "norm_attn_norm.norm_2", .qkv = "norm_attn_norm.attn.Wqkv", .o = "norm_attn_norm.attn.out_proj",
    .router = "ffn.router.layer", .experts = "ffn.experts.mlp" };

#define LAYER .norm = SP_NORM_LAYER, .ungated = true
#define BIASED LAYER, .norm_bias = true, .qkv_bias = true, .out_bias = true, .mlp_bias = true
static const struct sp_kind decoder_kinds[] = {
    { "gpt_neox", "GPTNeoXForCausalLM", NULL, &neox, { BIASED, .context = 2048, .activation = SP_GELU_ERF, .parallel = true, .rotary = -4 } },
    { "gptj", "GPTJForCausalLM", NULL, &gptj, { LAYER, .norm_bias = true, .mlp_bias = true, .head_bias = true, .context = 2048,
      .activation = SP_GELU, .parallel = true, .one_norm = true, .rotary = 64, .interleaved = true } },
    { "gpt_neo", "GPTNeoForCausalLM", NULL, &neo, { LAYER, .norm_bias = true, .out_bias = true, .mlp_bias = true, .context = 2048,
      .activation = SP_GELU, .tied = true, .positions = SP_POSITIONS_LEARNED, .window = 256, .window_every = 2, .window_at = 1, .attn_scale = 1 } },
    { "falcon", "FalconForCausalLM", "RWForCausalLM", &falcon, { LAYER, .norm_bias = true, .context = 2048, .activation = SP_GELU_ERF, .tied = true,
      .parallel = true, .kv_heads = 1 } },
    { "phi", "PhiForCausalLM", NULL, &phi, { BIASED, .context = 2048, .activation = SP_GELU, .parallel = true, .one_norm = true, .rotary = -2,
      .head_bias = true } },
    { "opt", "OPTForCausalLM", NULL, &opt, { BIASED, .context = 2048, .activation = SP_RELU, .tied = true, .positions = SP_POSITIONS_LEARNED,
      .offset = 2 } },
    { "bloom", "BloomForCausalLM", "BloomModel", &bloom, { BIASED, .context = 2048, .activation = SP_GELU, .tied = true,
      .positions = SP_POSITIONS_ALIBI, .embed_norm = true } },
    { "mpt", "MPTForCausalLM", "MptForCausalLM", &mpt, { LAYER, .context = 2048, .activation = SP_GELU_ERF, .tied = true,
      .positions = SP_POSITIONS_ALIBI } },
    { "gpt_bigcode", "GPTBigCodeForCausalLM", NULL, &bigcode, { BIASED, .context = 8192, .activation = SP_GELU, .tied = true, .kv_heads = 1,
      .positions = SP_POSITIONS_LEARNED } },
    { "starcoder2", "Starcoder2ForCausalLM", NULL, &starcoder2, { BIASED, .context = 4096, .activation = SP_GELU, .tied = true } },
    { "dbrx", "DbrxForCausalLM", NULL, &dbrx, { .norm = SP_NORM_LAYER, .context = 32768, .activation = SP_SILU, .experts = 16, .experts_used = 4 } },
    { 0 },
};

static bool decoder_residual(const char *tensor)
{
    static const char *const onto[] = { "4h_to_h.weight", "out_proj.weight", "c_proj.weight", "down_proj.weight", "fc2.weight", "fc_out.weight",
                                        "attention.dense.weight", "o_proj.weight", "self_attn.dense.weight" };
    for (size_t i = 0; i < SP_COUNT(onto); i++)
        if (strstr(tensor, onto[i]))
            return true;
    return false;
}

const struct sp_arch sp_arch_decoder = {
    .name = "decoder", .help = "layer norm, feed-forward without a gate: GPT-NeoX and its kin", .family = SP_FAMILY_DECODER,
    .kinds = decoder_kinds, .read = sp_decoder_read, .write = sp_decoder_write, .build = sp_decoder_build, .residual = decoder_residual,
    .prefix = "",
};
