/* tests/test_model.c - configurations as published, parameter counts as published,
 * hostile safetensors refused, folders written and read back bit for bit.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

/* ---- configurations ---- */

static enum sp_status parse(const char *text, struct sp_model_config *c)
{
    json_t *j = NULL;
    OK(sp_json_parse(&j, text, strlen(text), "a configuration", &err));
    enum sp_status st = sp_model_config_parse(c, j, &err);
    json_decref(j);
    return st;
}

/* From the published config.json files; counts from the models' own pages and papers. */
static const struct { const char *what, *text; int64_t parameters; } published[] = {
    { "GPT-2", "{\"model_type\":\"gpt2\",\"n_embd\":768,\"n_layer\":12}", 124439808 },
    { "GPT-2 XL", "{\"architectures\":[\"GPT2LMHeadModel\"],\"n_embd\":1600,\"n_head\":25,\"n_layer\":48,\"vocab_size\":50257}", 1557611200 },
    { "Llama 2 7B", "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":4096,\"intermediate_size\":11008,\"num_attention_heads\":32,"
                    "\"num_hidden_layers\":32,\"vocab_size\":32000}", 6738415616 },
    { "Llama 3 8B", "{\"model_type\":\"llama\",\"hidden_size\":4096,\"intermediate_size\":14336,\"num_attention_heads\":32,"
                    "\"num_key_value_heads\":8,\"num_hidden_layers\":32,\"vocab_size\":128256,\"rope_theta\":500000.0}", 8030261248 },
    { "Llama 3.2 1B", "{\"model_type\":\"llama\",\"hidden_size\":2048,\"intermediate_size\":8192,\"num_attention_heads\":32,\"head_dim\":64,"
                      "\"num_key_value_heads\":8,\"num_hidden_layers\":16,\"vocab_size\":128256,\"tie_word_embeddings\":true}", 1235814400 },
    { "Llama 3.1 405B", "{\"model_type\":\"llama\",\"hidden_size\":16384,\"intermediate_size\":53248,\"num_attention_heads\":128,"
                        "\"num_key_value_heads\":8,\"num_hidden_layers\":126,\"vocab_size\":128256}", 405853388800 },
    { "Mistral 7B", "{\"model_type\":\"mistral\",\"hidden_size\":4096,\"intermediate_size\":14336,\"num_attention_heads\":32,"
                    "\"num_key_value_heads\":8,\"num_hidden_layers\":32,\"vocab_size\":32000,\"sliding_window\":4096}", 7241732096 },
    { "Qwen2 0.5B", "{\"model_type\":\"qwen2\",\"hidden_size\":896,\"intermediate_size\":4864,\"num_attention_heads\":14,"
                    "\"num_key_value_heads\":2,\"num_hidden_layers\":24,\"vocab_size\":151936,\"tie_word_embeddings\":true,"
                    "\"sliding_window\":131072,\"use_sliding_window\":false}", 494032768 },
    { "SmolLM2 135M", "{\"model_type\":\"llama\",\"hidden_size\":576,\"intermediate_size\":1536,\"num_attention_heads\":9,"
                      "\"num_key_value_heads\":3,\"num_hidden_layers\":30,\"vocab_size\":49152,\"tie_word_embeddings\":true}", 134515008 },
    /* 96 layers, 12288 wide, of Brown et al. 2020 table 2.1; with context 2048 and a tied head */
    { "GPT-3 175B", "{\"model_type\":\"gpt2\",\"n_embd\":12288,\"n_head\":96,\"n_layer\":96,\"n_positions\":2048}", 174604259328 },
    /* the character model: no bias, tied; nanoGPT prints it without positions (98304) as 10.65M */
    { "character model", "{\"model_type\":\"gpt2\",\"n_embd\":384,\"n_head\":6,\"n_layer\":6,\"n_positions\":256,\"vocab_size\":65,"
                         "\"bias\":false}", 10745088 },
    { "MLP", "{\"model_type\":\"mlp\",\"input_size\":784,\"hidden_size\":100,\"num_hidden_layers\":2,\"num_labels\":10}", 89600 },
    { "MLP, layers that differ", "{\"model_type\":\"mlp\",\"input_size\":784,\"hidden_sizes\":[512,256],\"num_labels\":10}", 535808 },
};

static void parameters_as_published(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(published); i++) {
        struct sp_model_config c;
        int64_t n = 0;
        OK(parse(published[i].text, &c));
        OK(sp_model_parameters(&c, &n, &err));
        if (n != published[i].parameters)
            fail_msg("%s: %lld parameters, published %lld", published[i].what, (long long)n, (long long)published[i].parameters);
    }
    print_message("%zu published parameter counts\n", SP_COUNT(published));
}

static void writing_loses_nothing(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(published); i++) {
        struct sp_model_config a, b;
        memset(&a, 0, sizeof a);
        memset(&b, 0, sizeof b);
        OK(parse(published[i].text, &a));
        json_t *j = sp_model_config_json(&a, SP_BF16);
        assert_non_null(j);
        OK(sp_model_config_parse(&b, j, &err));
        json_decref(j);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void rope_is_read_old_and_new(void **u)
{
    static const char *const text[] = {
        "{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,\"vocab_size\":32000,\"intermediate_size\":11008,\"rope_theta\":500000.0,\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}}",
        "{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,\"vocab_size\":32000,\"intermediate_size\":11008,\"rope_parameters\":{\"rope_theta\":500000.0,\"rope_type\":\"llama3\",\"factor\":8.0,\"low_freq_factor\":1.0,"
        "\"high_freq_factor\":4.0,\"original_max_position_embeddings\":8192}}",
    };
    struct sp_model_config c;
    (void)u;
    for (size_t i = 0; i < SP_COUNT(text); i++) {
        OK(parse(text[i], &c));
        assert_true(c.rope_theta == 500000 && c.rope_factor == 8 && c.rope_original == 8192 && c.rope_scaling == SP_SCALING_LLAMA3);
    }
    OK(parse("{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,\"vocab_size\":32000,\"intermediate_size\":11008,\"rope_scaling\":null,\"eos_token_id\":[5,6,7]}", &c));
    assert_true(c.rope_scaling == SP_SCALING_NONE && c.n_eos == 3 && c.eos[2] == 7 && c.rope_theta == 10000);
}

/* Hugging Face's keys, their defaults, and back; sizes by hand: 0.1 ln 4 + 1, and (0.0707 ln 40 + 1) / (0.1 ln 40 + 1). */
static const struct { const char *scaling; double factor, low, high, original, size; } yarns[] = {
    { "\"rope_type\":\"yarn\",\"factor\":4.0,\"original_max_position_embeddings\":32768", 4, 1, 32, 32768, 0 },
    { "\"type\":\"yarn\",\"original_max_position_embeddings\":8192", 8, 1, 32, 8192, 0 },
    { "\"type\":\"yarn\",\"factor\":2,\"attention_factor\":1.25,\"beta_fast\":16,\"beta_slow\":2", 2, 2, 16, 65536, 1.25 },
    { "\"type\":\"yarn\",\"factor\":40,\"mscale\":0.707,\"mscale_all_dim\":1.0,\"original_max_position_embeddings\":4096", 40, 1, 32, 4096, 0.92104236 },
};

static void yarn_is_read_and_written(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(yarns); i++) {
        struct sp_model_config c, again;
        char text[300];
        snprintf(text, sizeof text, "{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,\"vocab_size\":32000,\"intermediate_size\":11008,\"max_position_embeddings\":65536,\"rope_scaling\":{%s}}", yarns[i].scaling);
        OK(parse(text, &c));
        assert_int_equal(c.rope_scaling, SP_SCALING_YARN);
        assert_true(c.rope_factor == yarns[i].factor && c.rope_low == yarns[i].low && c.rope_high == yarns[i].high);
        assert_true(c.rope_original == yarns[i].original && fabs(c.rope_size - yarns[i].size) < 1e-6);
        json_t *j = sp_model_config_json(&c, SP_F32);
        OK(sp_model_config_parse(&again, j, &err));
        json_decref(j);
        assert_true(again.rope_scaling == c.rope_scaling && again.rope_factor == c.rope_factor && again.rope_original == c.rope_original);
        assert_true(again.rope_low == c.rope_low && again.rope_high == c.rope_high && fabs(again.rope_size - c.rope_size) < 1e-12);
    }
}

/* Each is refused with a sentence that holds `says`. */
static const struct { const char *text, *says; enum sp_status st; } bad_config[] = {
    { "{\"model_type\":\"mamba\"}", "mamba", SP_UNSUPPORTED },
    { "{\"architectures\":[\"VisionModel\"]}", "VisionModel", SP_UNSUPPORTED },
    { "{\"model_type\":\"qwen3\",\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":4}", "vocab_size", SP_FORMAT },
    { "{}", "model_type", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_size\":64}", "num_hidden_layers", SP_FORMAT },
    { "[]", "object", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_size\":96,\"num_hidden_layers\":1,\"vocab_size\":9,\"intermediate_size\":8,\"num_attention_heads\":6,\"num_key_value_heads\":4}", "share", SP_SHAPE },
    { "{\"model_type\":\"llama\",\"num_hidden_layers\":0}", "num_hidden_layers", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_size\":1e12}", "hidden_size", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_size\":\"64\"}", "hidden_size", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"longest\",\"factor\":4}}", "longest", SP_UNSUPPORTED },
    { "{\"model_type\":\"llama\",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4,\"beta_fast\":1}}", "beta_slow", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_act\":\"relu6\"}", "relu6", SP_UNSUPPORTED },
    { "{\"model_type\":\"gpt2\",\"n_embd\":768,\"n_layer\":12,\"n_head\":7}", "divide", SP_SHAPE },
    { "{\"model_type\":\"llama\",\"eos_token_id\":[1,-2]}", "eos_token_id", SP_FORMAT },
    { "{\"model_type\":\"llama\",\"hidden_size\":4096,\"num_hidden_layers\":32,\"num_attention_heads\":32,\"vocab_size\":32000,\"intermediate_size\":11008,\"head_dim\":7}", "even", SP_SHAPE },
    { "{\"model_type\":\"mlp\"}", "features", SP_FORMAT },
    { "{\"model_type\":\"mlp\",\"input_size\":4,\"hidden_sizes\":[3,-1]}", "entry 2", SP_FORMAT },
};

static void bad_configurations_are_refused(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(bad_config); i++) {
        struct sp_model_config c;
        enum sp_status st = parse(bad_config[i].text, &c);
        if (st != bad_config[i].st || !strstr(err.what, bad_config[i].says))
            fail_msg("%s gave %s: %s", bad_config[i].text, sp_status_name(st), err.what);
    }
    print_message("%zu bad configurations refused\n", SP_COUNT(bad_config));
}

static void shared_configurations(void **u)
{
    static const struct { const char *name; int64_t parameters; } row[] = {
        { "meta-llama__Llama-3.1-8B", 8030261248 }, { "meta-llama__Llama-3.2-1B", 1235814400 }, { "meta-llama__Llama-3.2-3B", 3212749824 },
        { "HuggingFaceTB__SmolLM2-135M", 134515008 }, { "Qwen__Qwen2-0.5B", 494032768 }, { "gpu_poor__gpt2-xl", 1557611200 },
        { "gpu_poor__meta-llama__Llama-2-13b-hf", 13015864320 },
    };
    const char *root = getenv("SPARSAM_SHARED");
    int read = 0;
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_model_config c;
        char path[512];
        int64_t n;
        snprintf(path, sizeof path, "%s/data/configs/%s.json", root ? root : "../shared", row[i].name);
        if (access(path, R_OK))
            continue;
        OK(sp_model_config_read(&c, path, &err));
        OK(sp_model_parameters(&c, &n, &err));
        if (n != row[i].parameters)
            fail_msg("%s: %lld parameters", row[i].name, (long long)n);
        read++;
    }
    if (!read)
        skip();
    print_message("%d shared configurations\n", read);
}

/* ---- hostile safetensors ---- */

#define T(dtype, shape, from, to) "{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" from "," to "]}"
static const struct { const char *what, *header; uint64_t data; } hostile[] = {
    { "offsets past the file", "{\"a\":" T("F32", "4", "0", "16") "}", 8 },
    { "a file with a tail", "{\"a\":" T("F32", "1", "0", "4") "}", 8 },
    { "a hole", "{\"a\":" T("F32", "1", "0", "4") ",\"b\":" T("F32", "1", "8", "12") "}", 12 },
    { "a hole at the start", "{\"a\":" T("F32", "1", "4", "8") "}", 8 },
    { "overlap", "{\"a\":" T("F32", "2", "0", "8") ",\"b\":" T("F32", "2", "4", "12") "}", 12 },
    { "two tensors over the same bytes", "{\"a\":" T("F32", "1", "0", "4") ",\"b\":" T("F32", "1", "0", "4") "}", 4 },
    { "end before begin", "{\"a\":" T("F32", "1", "4", "0") "}", 4 },
    { "shape and size differ", "{\"a\":" T("F32", "3", "0", "8") "}", 8 },
    { "a shape that overflows", "{\"a\":" T("F32", "4294967296,4294967296,4294967296", "0", "0") "}", 0 },
    { "a shape past 64 bits", "{\"a\":" T("F32", "99999999999999999999999", "0", "4") "}", 4 },
    { "a negative size", "{\"a\":" T("F32", "-1", "0", "4") "}", 4 },
    { "a negative offset", "{\"a\":" T("F32", "1", "-4", "0") "}", 4 },
    { "a size with a point", "{\"a\":" T("F32", "1.0", "0", "4") "}", 4 },
    { "a size with an exponent", "{\"a\":" T("F32", "1e0", "0", "4") "}", 4 },
    { "a size as text", "{\"a\":" T("F32", "\"1\"", "0", "4") "}", 4 },
    { "an unknown dtype", "{\"a\":" T("F31", "1", "0", "4") "}", 4 },
    { "half a byte", "{\"a\":" T("F4", "1", "0", "0") "}", 0 },
    { "a missing field", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4 },
    { "an extra field", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4 },
    { "three offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4 },
    { "a name twice", "{\"a\":" T("F32", "1", "0", "4") ",\"a\":" T("F32", "1", "4", "8") "}", 8 },
    { "an empty name", "{\"\":" T("F32", "1", "0", "4") "}", 4 },
    { "a zero byte in a name", "{\"a\\u0000b\":" T("F32", "1", "0", "4") "}", 4 },
    { "deep nesting", "{\"a\":{\"dtype\":\"F32\",\"shape\":[[1]],\"data_offsets\":[0,4]}}", 4 },
    { "nine dimensions", "{\"a\":" T("F32", "1,1,1,1,1,1,1,1,1", "0", "4") "}", 4 },
    { "metadata that isn't text", "{\"__metadata__\":{\"a\":1},\"a\":" T("F32", "1", "0", "4") "}", 4 },
    { "metadata that isn't an object", "{\"__metadata__\":\"x\",\"a\":" T("F32", "1", "0", "4") "}", 4 },
    { "a list", "[" T("F32", "1", "0", "4") "]", 4 },
    { "a space in front", " {\"a\":" T("F32", "1", "0", "4") "}", 4 },
    { "something behind", "{\"a\":" T("F32", "1", "0", "4") "}x", 4 },
    { "an entry that is a number", "{\"a\":7}", 0 },
    { "an entry that is a list", "{\"a\":[1,2]}", 0 },
    { "broken JSON", "{\"a\":", 0 },
    { "bytes that aren't UTF-8", "{\"\xff\":" T("F32", "1", "0", "4") "}", 4 },
    { "an unfinished text", "{\"a\\", 0 },
    { "many empty objects", "{\"a\":{},\"b\":{},\"c\":{},\"d\":{},\"e\":{},\"f\":{},\"g\":{},\"h\":{},\"i\":{},\"j\":{}}", 0 },
};

static void hostile_headers_are_refused(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(hostile); i++) {
        struct sp_safetensors s;
        size_t n = strlen(hostile[i].header);
        uint64_t live = sp_mem_live();
        enum sp_status st = sp_safetensors_parse(&s, hostile[i].header, n, 8 + n + hostile[i].data, &err);
        if (!st)
            fail_msg("%s was accepted", hostile[i].what);
        if (sp_mem_live() != live)
            fail_msg("%s: %llu blocks were left", hostile[i].what, (unsigned long long)(sp_mem_live() - live));
    }
    print_message("%zu hostile headers refused\n", SP_COUNT(hostile));
}

static void sound_headers_are_read(void **u)
{
    static const char text[] = "{\"__metadata__\":{\"format\":\"pt\"},\"b\":" T("BF16", "2,3", "4", "16") ",\"a\":" T("F32", "", "0", "4")
                               ",\"empty\":" T("F32", "0,7", "16", "16") "}   ";
    struct sp_safetensors s;
    size_t n = sizeof text - 1;
    (void)u;
    OK(sp_safetensors_parse(&s, text, n, 8 + n + 16, &err));
    assert_int_equal(s.n, 3);
    const struct sp_tensor *b = sp_safetensors_find(&s, "b");
    assert_true(b && b->n == 2 && b->dim[1] == 3 && b->at == 8 + n + 4 && b->bytes == 12 && sp_tensor_format(b) == SP_BF16);
    assert_string_equal(json_string_value(json_object_get(s.metadata, "format")), "pt");
    assert_null(sp_safetensors_find(&s, "c"));
    sp_safetensors_close(&s);
}

/* Files whose first eight bytes lie. */
static void lying_lengths_are_refused(void **u)
{
    static const struct { const char bytes[24]; size_t n; } row[] = {
        { "", 0 }, { "\x02\0\0", 3 }, { "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10 }, { "\x03\0\0\0\0\0\0\0{}", 10 },
        { "\0\0\0\0\0\0\0\x80{}", 10 }, { "\0\0\0\0\0\0\0\0{}", 10 },
    };
    char path[] = "/tmp/sparsam-test-XXXXXX";
    int fd = mkstemp(path);
    (void)u;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_safetensors s;
        OK(sp_write_file(path, row[i].bytes, row[i].n, &err));
        assert_true(sp_safetensors_open(&s, path, &err) != SP_OK);
    }
    unlink(path);
}

/* ---- folders ---- */

struct model { struct sp_model_config c; struct sp_graph *g; struct sp_state state; struct sp_program p; unsigned char *region; };

static void make(struct model *m, const char *config, uint64_t seed)
{
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = 1, .tokens = 1 };
    struct sp_machine machine;
    static const char *const want[] = { "nll" };
    memset(m, 0, sizeof *m);
    sp_machine_portable(&machine);
    OK(parse(config, &m->c));
    OK(sp_model_build(m->g = sp_graph_new(), &m->c, &b, &err));
    OK(sp_lower(m->g, "score", want, 1, &machine, &m->state, &m->p, &err));
    m->region = sp_zalloc(1, (size_t)m->state.bytes);
    assert_non_null(m->region);
    OK(sp_model_init(&m->c, &m->state, m->region, seed, &err));
}

static void drop(struct model *m)
{
    sp_graph_free(m->g);
    sp_program_clear(&m->p);
    sp_state_clear(&m->state);
    sp_free(m->region);
}

static const char *const little[] = {
    ("{\"model_type\":\"llama\",\"hidden_size\":16,\"intermediate_size\":24,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
    "\"num_hidden_layers\":2,\"vocab_size\":33,\"max_position_embeddings\":8,\"attention_bias\":true,\"mlp_bias\":true}"),
    "{\"model_type\":\"gpt2\",\"n_embd\":16,\"n_head\":2,\"n_layer\":2,\"n_positions\":8,\"vocab_size\":33}",
    "{\"model_type\":\"mlp\",\"input_size\":7,\"hidden_size\":5,\"num_hidden_layers\":2,\"num_labels\":3}",
    "{\"model_type\":\"mlp\",\"input_size\":7,\"hidden_sizes\":[5,9],\"num_labels\":3}",
};

static void remove_folder(const char *folder)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command))
        fail();
}

static void save_and_load(const char *config, uint64_t shard_bytes)
{
    char folder[] = "/tmp/sparsam-test-XXXXXX", inner[64];
    struct model a, b;
    struct sp_weights w;
    int extra = -1;
    assert_non_null(mkdtemp(folder));
    snprintf(inner, sizeof inner, "%s/deep/model", folder);
    make(&a, config, 1);
    make(&b, config, 2);
    assert_true(memcmp(a.region, b.region, (size_t)a.state.bytes) != 0);
    OK(sp_model_save(inner, &a.c, &a.state, a.region, SP_F32, NULL, shard_bytes, &err));
    OK(sp_weights_open(&w, inner, &err));
    assert_true(shard_bytes ? w.n_files > 1 : w.n_files == 1);
    assert_int_equal(w.config.layers, a.c.layers);
    OK(sp_weights_fill(&w, &b.state, b.region, &extra, NULL, &err));
    assert_int_equal(extra, 0);
    assert_memory_equal(a.region, b.region, (size_t)a.state.bytes);
    sp_weights_close(&w);
    drop(&a);
    drop(&b);
    remove_folder(folder);
}

static void folders_come_back_bit_for_bit(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(little); i++) {
        save_and_load(little[i], 0);
        save_and_load(little[i], 100);
    }
}

static void fresh_weights_have_their_spread(void **u)
{
    struct model m;
    (void)u;
    make(&m, "{\"model_type\":\"gpt2\",\"n_embd\":64,\"n_head\":2,\"n_layer\":8,\"n_positions\":8,\"vocab_size\":500}", 7);
    static const struct { const char *name; double std; } row[] = { { "transformer.wte.weight", 0.02 }, { "transformer.h.3.mlp.c_fc.weight", 0.02 },
        { "transformer.h.3.mlp.c_proj.weight", 0.005 }, { "transformer.h.0.attn.c_attn.bias", 0 } };
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        const struct sp_state_entry *e = sp_state_find(&m.state, row[i].name);
        assert_non_null(e);
        const float *x = (const float *)(const void *)(m.region + e->at);
        double sum = 0, n = (double)sp_type_elements(&e->type);
        for (int64_t k = 0; k < sp_type_elements(&e->type); k++)
            sum += (double)x[k] * (double)x[k];
        assert_true(fabs(sqrt(sum / n) - row[i].std) <= 0.03 * row[i].std);
    }
    const struct sp_state_entry *gain = sp_state_find(&m.state, "transformer.ln_f.weight");
    assert_true(((const float *)(const void *)(m.region + gain->at))[5] == 1);
    drop(&m);
}

/* Halved formats; names without their prefix; what is missing, misshapen, left over. */
static void foreign_folders(void **u)
{
    char folder[] = "/tmp/sparsam-test-XXXXXX", path[64], name[8][128];
    struct model m;
    struct sp_weights w;
    struct sp_tensor_out t[40] = { 0 };
    const char *extra = NULL;
    float more[2] = { 1, 2 };
    int n = 0, n_extra = 0;
    (void)u;
    assert_non_null(mkdtemp(folder));
    make(&m, little[1], 1);
    OK(sp_model_save(folder, &m.c, &m.state, m.region, SP_BF16, NULL, 0, &err));
    OK(sp_weights_open(&w, folder, &err));
    assert_string_equal(sp_weights_find(&w, "transformer.wte.weight")->dtype, "BF16");
    sp_weights_close(&w);
    for (int i = 0; i < m.state.n; i++) {
        const struct sp_state_entry *e = &m.state.entry[i];
        if (e->kind == SP_STATE_PARAM)
            t[n++] = (struct sp_tensor_out){ .name = e->name + strlen("transformer."), .type = e->type, .at = m.region + e->at, .as = SP_F32 };
    }
    snprintf(name[0], sizeof name[0], "h.0.attn.bias");   /* a mask that old files carry */
    snprintf(name[1], sizeof name[1], "surprise");
    for (int i = 0; i < 2; i++)
        t[n + i] = (struct sp_tensor_out){ .name = name[i], .type = SP_TYPE(SP_F32, 2), .at = more, .as = SP_F32 };
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    OK(sp_safetensors_write(path, t, n + 2, &err));
    OK(sp_weights_open(&w, folder, &err));
    OK(sp_weights_fill(&w, &m.state, m.region, &n_extra, &extra, &err));
    assert_int_equal(n_extra, 1);
    assert_string_equal(extra, "surprise");
    sp_weights_close(&w);

    OK(sp_safetensors_write(path, t + 1, n - 1, &err));
    OK(sp_weights_open(&w, folder, &err));
    assert_int_equal(sp_weights_fill(&w, &m.state, m.region, NULL, NULL, &err), SP_MISSING);
    assert_non_null(strstr(err.what, t[0].name));
    sp_weights_close(&w);

    t[0].type = SP_TYPE(SP_F32, 1, 1);
    OK(sp_safetensors_write(path, t, n, &err));
    OK(sp_weights_open(&w, folder, &err));
    assert_int_equal(sp_weights_fill(&w, &m.state, m.region, NULL, NULL, &err), SP_SHAPE);
    assert_non_null(strstr(err.what, "[1,1]"));
    sp_weights_close(&w);
    drop(&m);
    remove_folder(folder);
}

static void hostile_indexes_are_refused(void **u)
{
    static const char *const row[] = {
        "{\"weight_map\":{\"a\":\"../evil.safetensors\"}}", "{\"weight_map\":{\"a\":\"/etc/evil.safetensors\"}}",
        "{\"weight_map\":{\"a\":\".safetensors\"}}", "{\"weight_map\":{\"a\":\"model.bin\"}}", "{\"weight_map\":{\"a\":7}}", "{\"weight_map\":[]}",
        "{}", "{\"weight_map\":{\"a\":\"absent.safetensors\"}}", "{\"weight_map\":{\"a\":\"a/../b.safetensors\"}}",
    };
    char folder[] = "/tmp/sparsam-test-XXXXXX", path[64];
    (void)u;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    OK(sp_write_file(path, little[1], strlen(little[1]), &err));
    snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_weights w;
        OK(sp_write_file(path, row[i], strlen(row[i]), &err));
        if (!sp_weights_open(&w, folder, &err))
            fail_msg("%s was accepted", row[i]);
    }
    remove_folder(folder);
    print_message("%zu hostile indexes refused\n", SP_COUNT(row));
}

/* Every allocation of opening a folder fails in turn. */
static void allocations_fail(void **u)
{
    char folder[] = "/tmp/sparsam-test-XXXXXX";
    struct model m;
    int64_t tries = 0;
    (void)u;
    assert_non_null(mkdtemp(folder));
    make(&m, little[0], 1);
    OK(sp_model_save(folder, &m.c, &m.state, m.region, SP_F32, NULL, 3000, &err));
    uint64_t before = sp_mem_count();
    struct sp_weights w;
    OK(sp_weights_open(&w, folder, &err));
    sp_weights_close(&w);
    int64_t all = (int64_t)(sp_mem_count() - before);
    for (; tries < all; tries++) {
        uint64_t live = sp_mem_live();
        sp_mem_fail_at(tries);
        enum sp_status st = sp_weights_open(&w, folder, &err);
        sp_mem_fail_at(-1);
        if (!st)
            fail_msg("allocation %lld of %lld failed, and nobody noticed", (long long)tries, (long long)all);
        if (sp_mem_live() != live)
            fail_msg("allocation %lld: %lld blocks left", (long long)tries, (long long)(sp_mem_live() - live));
    }
    drop(&m);
    remove_folder(folder);
    print_message("%lld allocations failed in turn\n", (long long)tries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_as_published), cmocka_unit_test(writing_loses_nothing), cmocka_unit_test(rope_is_read_old_and_new),
        cmocka_unit_test(yarn_is_read_and_written), cmocka_unit_test(bad_configurations_are_refused), cmocka_unit_test(shared_configurations),
        cmocka_unit_test(hostile_headers_are_refused), cmocka_unit_test(sound_headers_are_read), cmocka_unit_test(lying_lengths_are_refused),
        cmocka_unit_test(folders_come_back_bit_for_bit), cmocka_unit_test(fresh_weights_have_their_spread), cmocka_unit_test(foreign_folders),
        cmocka_unit_test(hostile_indexes_are_refused), cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
