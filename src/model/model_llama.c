/* model/model_llama.c - decoders with RMS norm, rotary positions and a gated
 * feed-forward part (Touvron et al. 2023; Grattafiori et al. 2024) and what grew from
 * them: a row each says what differs.  Mixtures of experts (Jiang et al. 2024) and latent
 * attention (DeepSeek-AI 2024) are counted only.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

#define OUTSIDE .embed = "model.embed_tokens", .final_norm = "model.norm", .head = "lm_head", .layer = "model.layers."
#define ATTENTION .q = "self_attn.q_proj", .k = "self_attn.k_proj", .v = "self_attn.v_proj", .o = "self_attn.o_proj", \
                  .q_norm = "self_attn.q_norm", .k_norm = "self_attn.k_norm"
#define FEED .gate = "mlp.gate_proj", .up = "mlp.up_proj", .down = "mlp.down_proj"
#define NORMS .norm1 = "input_layernorm", .norm2 = "post_attention_layernorm"
#define EXPERTS .router = "mlp.gate", .route_bias = "mlp.gate.e_score_correction_bias", .experts = "mlp.experts", .shared = "mlp.shared_experts"

static const struct sp_words plain = { OUTSIDE, NORMS, ATTENTION, FEED };
static const struct sp_words around = { OUTSIDE, ATTENTION, FEED, .norm1 = "input_layernorm", .norm2 = "pre_feedforward_layernorm",
                                        .after1 = "post_attention_layernorm", .after2 = "post_feedforward_layernorm" };
static const struct sp_words fused = { OUTSIDE, NORMS, .qkv = "self_attn.qkv_proj", .o = "self_attn.o_proj", .gate_up = "mlp.gate_up_proj",
                                       .down = "mlp.down_proj" };
static const struct sp_words one_norm = { OUTSIDE, ATTENTION, FEED, .norm1 = "input_layernorm" };
static const struct sp_words qwen1 = { .embed = "transformer.wte", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.",
                                       .norm1 = "ln_1", .norm2 = "ln_2", .qkv = "attn.c_attn", .o = "attn.c_proj", .gate = "mlp.w2", .up = "mlp.w1",
                                       .down = "mlp.c_proj" };
static const struct sp_words mixtral = { OUTSIDE, NORMS, ATTENTION, .router = "block_sparse_moe.gate", .experts = "block_sparse_moe.experts" };
static const struct sp_words mixture = { OUTSIDE, NORMS, ATTENTION, FEED, EXPERTS };
static const struct sp_words gated_share = { OUTSIDE, NORMS, ATTENTION, FEED, .router = "mlp.gate", .experts = "mlp.experts",
                                             .shared = "mlp.shared_expert", .shared_gate = "mlp.shared_expert_gate" };
static const struct sp_words oss = { OUTSIDE, NORMS, ATTENTION, .router = "mlp.router", .route_bias = "mlp.router.bias", .experts = "mlp.experts",
                                     .sinks = "self_attn.sinks" };

/* Sizes stand only where the class has sizes of its own for a configuration that gives none. */
#define SEVEN .vocab = 32000, .width = 4096, .layers = 32, .heads = 32
static const struct sp_kind llama_kinds[] = {
    { "llama", "LlamaForCausalLM", "LLaMAForCausalLM", &plain, { SEVEN, .ffn = 11008, .context = 2048, .activation = SP_SILU } },
    { "mistral", "MistralForCausalLM", NULL, &plain, { SEVEN, .ffn = 14336, .kv_heads = 8, .context = 32768, .activation = SP_SILU } },
    { "qwen2", "Qwen2ForCausalLM", NULL, &plain, { .vocab = 151936, .width = 4096, .layers = 32, .heads = 32, .ffn = 22016, .context = 32768,
      .activation = SP_SILU, .qkv_bias = true } },
    { "qwen", "QWenLMHeadModel", NULL, &qwen1, { .context = 8192, .activation = SP_SILU, .qkv_bias = true } },
    { "qwen3", "Qwen3ForCausalLM", NULL, &plain, { .context = 32768, .activation = SP_SILU, .head_dim = 128, .qk_norm = true } },
    { "gemma", "GemmaForCausalLM", NULL, &plain, { .context = 8192, .activation = SP_GELU, .head_dim = 256, .tied = true, .gain_one = true } },
    { "gemma2", "Gemma2ForCausalLM", NULL, &around, { .context = 8192, .activation = SP_GELU, .head_dim = 256, .tied = true, .gain_one = true,
      .norm_at = SP_NORM_AROUND, .window = 4096, .window_every = 2, .attn_scale = 0.0625, .attn_cap = 50, .logit_cap = 30 } },
    { "gemma3_text", "Gemma3ForCausalLM", "Gemma3ForConditionalGeneration", &around, { .context = 131072, .activation = SP_GELU, .head_dim = 256,
      .tied = true, .gain_one = true, .norm_at = SP_NORM_AROUND, .qk_norm = true, .window = 1024, .window_every = 6, .attn_scale = 0.0625,
      .rope_theta = 1e6, .rope_local = 1e4 } },
    { "smollm3", "SmolLM3ForCausalLM", NULL, &plain, { .context = 32768, .activation = SP_SILU, .tied = true, .still_every = 4, .rope_theta = 2e6 } },
    { "phi3", "Phi3ForCausalLM", NULL, &fused, { .context = 4096, .activation = SP_SILU } },
    { "olmo", "OlmoForCausalLM", NULL, &plain, { .context = 2048, .activation = SP_SILU, .norm = SP_NORM_PLAIN } },
    { "olmo2", "Olmo2ForCausalLM", NULL, &around, { .context = 4096, .activation = SP_SILU, .norm_at = SP_NORM_BEHIND, .qk_norm_wide = true } },
    { "stablelm", "StableLmForCausalLM", "StableLMEpochForCausalLM", &plain, { .context = 4096, .activation = SP_SILU, .norm = SP_NORM_LAYER,
      .norm_bias = true, .rotary = -4 } },
    { "cohere", "CohereForCausalLM", NULL, &one_norm, { .context = 8192, .activation = SP_SILU, .norm = SP_NORM_LAYER, .tied = true,
      .parallel = true, .one_norm = true, .interleaved = true } },
    { "granite", "GraniteForCausalLM", NULL, &plain, { .context = 4096, .activation = SP_SILU } },
    { "mixtral", "MixtralForCausalLM", NULL, &mixtral, { .context = 32768, .activation = SP_SILU, .kv_heads = 8, .experts = 8, .experts_used = 2 } },
    { "qwen2_moe", "Qwen2MoeForCausalLM", NULL, &gated_share, { .context = 32768, .activation = SP_SILU, .qkv_bias = true, .experts_used = 4,
      .shared_gate = true } },
    { "qwen3_moe", "Qwen3MoeForCausalLM", NULL, &mixture, { .context = 32768, .activation = SP_SILU, .head_dim = 128, .qk_norm = true,
      .experts_used = 8 } },
    { "olmoe", "OlmoeForCausalLM", NULL, &mixture, { .context = 4096, .activation = SP_SILU, .qk_norm_wide = true, .experts = 64, .experts_used = 8 } },
    { "llama4_text", "Llama4ForConditionalGeneration", "Llama4ForCausalLM", &mixture, { .context = 131072, .activation = SP_SILU, .interleaved = true,
      .experts_used = 1 } },
    { "deepseek", "DeepseekForCausalLM", NULL, &mixture, { .context = 4096, .activation = SP_SILU, .experts_used = 6 } },
    { "gpt_oss", "GptOssForCausalLM", NULL, &oss, { .context = 131072, .activation = SP_SILU, .head_dim = 64, .qkv_bias = true, .out_bias = true,
      .experts_used = 4, .expert_bias = true, .route_bias = true, .sinks = true, .window = 128, .window_every = 2 } },
    { "deepseek_v2", "DeepseekV2ForCausalLM", NULL, &mixture, { .context = 163840, .activation = SP_SILU, .interleaved = true, .experts_used = 6,
      .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .v_dim = 128 } },
    { "deepseek_v3", "DeepseekV3ForCausalLM", NULL, &mixture, { .context = 163840, .activation = SP_SILU, .interleaved = true, .experts_used = 8,
      .route_bias = true, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .v_dim = 128 } },
    { 0 },
};

static bool llama_residual(const char *tensor)
{
    return strstr(tensor, "o_proj.weight") || strstr(tensor, "down_proj.weight");
}

const struct sp_arch sp_arch_llama = {
    .name = "llama", .help = "RMS norm, rotary positions, grouped key-value heads, gated feed-forward", .family = SP_FAMILY_LLAMA,
    .kinds = llama_kinds, .read = sp_decoder_read, .write = sp_decoder_write, .build = sp_decoder_build, .residual = llama_residual,
    .prefix = "model.",
};
