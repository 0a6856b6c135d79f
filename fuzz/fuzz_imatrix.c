/* fuzz/fuzz_imatrix.c - hostile files of importance, both forms, for a small model.
 * SPDX-License-Identifier: Apache-2.0 */
#include "bits/bits.h"
#include "temp.h"

static const char config[] = "{\"model_type\": \"llama\", \"vocab_size\": 16, \"hidden_size\": 8, \"num_hidden_layers\": 1, \"num_attention_heads\": 2, "
                             "\"intermediate_size\": 12, \"max_position_embeddings\": 16}";
static const struct sp_tensor tensors[] = { { .name = "lm_head.weight", .n = 2, .dim = { 16, 8 } },
                                            { .name = "model.layers.0.mlp.down_proj.weight", .n = 2, .dim = { 8, 12 } },
                                            { .name = "model.layers.0.self_attn.q_proj.weight", .n = 2, .dim = { 8, 8 } } };
static const struct sp_tensor *list[] = { &tensors[0], &tensors[1], &tensors[2] };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_err err = { 0 };
    struct sp_weights w = { .n = 3, .tensor = list };
    struct sp_bits_stats s;
    char path[128];
    json_t *j = json_loads(config, 0, NULL);
    if (j && !sp_model_config_parse(&w.config, j, &err) && fuzz_file(path, sizeof path, "input.dat", data, size)) {
        if (!sp_imatrix_read(&s, path, &w, &err))
            sp_bits_stats_clear(&s);
        fuzz_remove(path);
    }
    json_decref(j);
    return 0;
}
