/* tests/step_formulas.h - negative log-likelihoods of small models, from their papers' formulas
 * in double precision, by another program; weights as fill_by_name in test_step.c.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_STEP_FORMULAS_H
#define SP_STEP_FORMULAS_H

#define LLAMA_TINY "\"hidden_size\":16,\"intermediate_size\":20,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":6," \
                   "\"num_hidden_layers\":2,\"vocab_size\":33,\"max_position_embeddings\":8,\"rms_norm_eps\":1e-5"
#define FOUR "\"hidden_size\":16,\"num_attention_heads\":4,\"num_hidden_layers\":2,\"vocab_size\":33,\"max_position_embeddings\":8,\"layer_norm_eps\":1e-5"
#define SMALL "\"intermediate_size\":20," FOUR
enum { TOKENS = 7 };
static const struct { const char *what, *config; double nll[TOKENS]; } formula[] = {
    { "gpt2", "{\"model_type\":\"gpt2\",\"n_embd\":16,\"n_head\":4,\"n_layer\":2,\"n_positions\":8,\"vocab_size\":33}",
      { 2.079210137, 4.381257656, 7.058850251, 6.405754988, 5.397968373, 7.072433178, 8.039907390 } },
    { "llama, tied", "{\"model_type\":\"llama\",\"tie_word_embeddings\":true," LLAMA_TINY "}",
      { 2.891987831, 4.014298038, 3.217479016, 3.202848401, 3.165871340, 4.066188098, 4.361629570 } },
    { "llama 3 scaling and every bias", "{\"model_type\":\"llama\",\"attention_bias\":true,\"mlp_bias\":true,\"rope_scaling\":{\"rope_type\":"
      "\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,\"original_max_position_embeddings\":16}," LLAMA_TINY "}",
      { 2.840229910, 4.854094749, 3.905904560, 3.973088645, 3.980593710, 3.745104812, 4.199447823 } },
    { "qwen2, tied", "{\"model_type\":\"qwen2\",\"tie_word_embeddings\":true," LLAMA_TINY "}",
      { 2.896716554, 3.970055322, 3.233009124, 3.224103878, 3.191364662, 4.020367684, 4.300549004 } },
    { "mistral, window 3", "{\"model_type\":\"mistral\",\"sliding_window\":3," LLAMA_TINY "}",
      { 3.333356307, 4.408179309, 3.534232805, 3.585190325, 3.168242928, 4.142793859, 4.464108382 } },
    { "qwen3, tied", "{\"model_type\":\"qwen3\",\"tie_word_embeddings\":true," LLAMA_TINY "}",
      { 2.891987831, 4.019635330, 3.142579095, 3.149905474, 3.116679104, 4.154692102, 5.002866869 } },
    { "gemma", "{\"model_type\":\"gemma\"," LLAMA_TINY "}",
      { 2.259996064, 5.494105134, 2.636370580, 2.638931731, 2.638174931, 5.913551120, 6.447203166 } },
    { "gemma2", "{\"model_type\":\"gemma2\",\"sliding_window\":3,\"query_pre_attn_scalar\":8,\"attn_logit_softcapping\":5,\"final_logit_softcapping\":3," LLAMA_TINY "}",
      { 2.303936562, 5.161668326, 2.451518071, 2.414044742, 2.532260922, 5.731369159, 4.867972289 } },
    { "gemma3", "{\"model_type\":\"gemma3_text\",\"sliding_window\":3,\"sliding_window_pattern\":2,\"query_pre_attn_scalar\":8," LLAMA_TINY "}",
      { 1.998325735, 5.698707647, 2.309668164, 2.134948164, 2.483953785, 5.999600982, 4.853205807 } },
    { "phi3", "{\"model_type\":\"phi3\"," LLAMA_TINY "}",
      { 3.516803472, 4.283881512, 2.688837784, 2.817128900, 2.805968420, 5.020675809, 4.628090563 } },
    { "olmo", "{\"model_type\":\"olmo\"," LLAMA_TINY "}",
      { 3.296262420, 4.354134641, 3.474070710, 3.528532779, 3.505958059, 3.734645845, 4.405340558 } },
    { "olmo2", "{\"model_type\":\"olmo2\"," LLAMA_TINY "}",
      { 3.048555215, 3.956142146, 3.194051878, 3.303296088, 3.296027007, 4.346721774, 3.568670510 } },
    { "stablelm", "{\"model_type\":\"stablelm\",\"layer_norm_eps\":1e-5,\"partial_rotary_factor\":0.34," LLAMA_TINY "}",
      { 3.681569064, 3.957695450, 2.667880678, 2.822942924, 2.870037018, 4.875666410, 4.302027585 } },
    { "cohere", "{\"model_type\":\"cohere\"," LLAMA_TINY "}",
      { 3.179384009, 3.688904359, 2.742876998, 2.742245664, 2.774696182, 4.591566335, 3.898785413 } },
    { "gpt-neox", "{\"model_type\":\"gpt_neox\",\"rotary_pct\":0.5," SMALL "}",
      { 3.395586883, 3.039791529, 4.804460317, 4.726370964, 4.690147262, 2.718419949, 3.764539124 } },
    { "falcon, one key", "{\"model_type\":\"falcon\"," FOUR "}",
      { 2.894949140, 5.580767644, 4.679792351, 4.031076146, 3.822188419, 3.300057263, 4.519503376 } },
    { "falcon, groups", "{\"model_type\":\"falcon\",\"new_decoder_architecture\":true,\"num_kv_heads\":2," FOUR "}",
      { 2.124136111, 6.039282186, 4.808963059, 4.063378479, 4.038180395, 4.794063983, 4.475204007 } },
    { "gpt-j", "{\"model_type\":\"gptj\",\"rotary_dim\":2," FOUR "}",
      { 4.627328492, 5.811603691, 6.154998268, 5.845074833, 5.848441045, 4.555214374, 6.703739501 } },
    { "phi", "{\"model_type\":\"phi\"," SMALL "}",
      { 6.963964638, 5.039426111, 4.494660272, 4.132888324, 4.070023279, 3.013854763, 5.309359162 } },
    { "opt", "{\"model_type\":\"opt\"," SMALL "}",
      { 3.801550787, 6.237276453, 3.278263375, 2.964498103, 3.312288354, 3.265172139, 4.252245240 } },
    { "opt, norms of sums", "{\"model_type\":\"opt\",\"do_layer_norm_before\":false,\"word_embed_proj_dim\":12," SMALL "}",
      { 3.379904335, 3.731571831, 3.742404000, 3.111917631, 3.534966870, 3.383834500, 3.328063765 } },
    { "gpt-bigcode", "{\"model_type\":\"gpt_bigcode\"," SMALL "}",
      { 2.749930722, 3.435569460, 3.164402480, 3.161678236, 2.875017582, 6.753377512, 3.764022198 } },
    { "gpt-neo", "{\"model_type\":\"gpt_neo\",\"window_size\":3," SMALL "}",
      { 3.203432405, 2.997607572, 2.989389955, 2.794340937, 2.536478821, 4.973155422, 3.282841083 } },
    { "starcoder2", "{\"model_type\":\"starcoder2\",\"num_key_value_heads\":2,\"sliding_window\":3," SMALL "}",
      { 2.432515853, 5.038235830, 3.706927816, 3.469305256, 3.587363402, 3.818002817, 3.502093351 } },
    { "bert", "{\"model_type\":\"bert\"," SMALL "}",
      { 4.099314611, 3.142643745, 3.447120382, 3.098181077, 3.005840718, 3.907772122, 3.476735881 } },
};
#endif
