/* tests/test_gguf.c - models known by the header of a GGUF or safetensors file; headers that lie.
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
#include "plan/ask.h"
#include "step/step.h"
#include "place.h"

static struct sp_err err;
static char path[] = "/tmp/sparsam-test-XXXXXX.gguf";

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

/* ---- a file, byte by byte as docs/gguf.md lays it out ---- */

struct file { unsigned char at[1 << 16]; size_t n; };

static void put(struct file *f, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        f->at[f->n++] = (unsigned char)(v >> (8 * i));
}

static void put_text(struct file *f, const char *s)
{
    put(f, strlen(s), 8);
    memcpy(f->at + f->n, s, strlen(s));
    f->n += strlen(s);
}

/* A value that begins with a letter is text; a number with a point f32; "[n]" an array of n texts, "[n,v]" of n numbers v. */
struct pair { const char *key, *value; };

static void put_pair(struct file *f, const struct pair *p)
{
    int n, v;
    put_text(f, p->key);
    if (sscanf(p->value, "[%d,%d]", &n, &v) == 2) {
        put(f, 9, 4), put(f, 4, 4), put(f, (uint64_t)n, 8);
        for (int i = 0; i < n; i++)
            put(f, (uint64_t)v, 4);
    } else if (sscanf(p->value, "[%d]", &n) == 1) {
        put(f, 9, 4), put(f, 8, 4), put(f, (uint64_t)n, 8);
        for (int i = 0; i < n; i++)
            put_text(f, "token");
    } else if (strchr(p->value, '.')) {
        float x = strtof(p->value, NULL);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        put(f, 6, 4), put(f, bits, 4);
    } else if (p->value[0] >= '0' && p->value[0] <= '9')
        put(f, 4, 4), put(f, (uint64_t)atoi(p->value), 4);
    else
        put(f, 8, 4), put_text(f, p->value);
}

/* Of Q4_0: 18 bytes for 32 numbers. */
static void put_tensor(struct file *f, const char *name, int64_t a, int64_t b, uint64_t at)
{
    put_text(f, name);
    put(f, 2, 4), put(f, (uint64_t)a, 8), put(f, (uint64_t)b, 8), put(f, 2, 4), put(f, at, 8);
}
enum { TENSOR_BYTES = (64 * 100 / 32 * 18 + 31) / 32 * 32 };

static void begin(struct file *f, int tensors, int pairs)
{
    f->n = 0;
    put(f, 0x46554747, 4), put(f, 3, 4), put(f, (uint64_t)tensors, 8), put(f, (uint64_t)pairs, 8);
}

static void make(struct file *f, const struct pair *p, const char *const *tensor)
{
    int pairs = 0, tensors = 0;
    while (p[pairs].key)
        pairs++;
    while (tensor[tensors])
        tensors++;
    begin(f, tensors, pairs);
    for (int i = 0; i < pairs; i++)
        put_pair(f, &p[i]);
    for (int i = 0; i < tensors; i++)
        put_tensor(f, tensor[i], 64, 100, (uint64_t)i * TENSOR_BYTES);
    while (f->n % 32)
        f->at[f->n++] = 0;
    memset(f->at + f->n, 0, (size_t)tensors * TENSOR_BYTES);
    f->n += (size_t)tensors * TENSOR_BYTES;
}

/* ---- what is read ---- */

static const struct pair llama[] = {
    { "general.architecture", "llama" }, { "llama.block_count", "2" }, { "llama.embedding_length", "64" }, { "llama.feed_forward_length", "172" },
    { "llama.attention.head_count", "8" }, { "llama.attention.head_count_kv", "4" }, { "llama.context_length", "512" },
    { "llama.attention.layer_norm_rms_epsilon", "0.00001" }, { "llama.rope.dimension_count", "8" }, { "llama.rope.freq_base", "10000.0" },
    { "tokenizer.ggml.tokens", "[100]" }, { "tokenizer.ggml.scores", "[100,1]" }, { 0 },
};
static const struct pair mixtral[] = {
    { "general.architecture", "llama" }, { "llama.block_count", "2" }, { "llama.embedding_length", "64" }, { "llama.feed_forward_length", "[2,96]" },
    { "llama.attention.head_count", "[2,8]" }, { "llama.attention.head_count_kv", "[2,2]" }, { "llama.vocab_size", "100" }, { "llama.expert_count", "8" },
    { "llama.expert_used_count", "2" }, { 0 },
};
static const struct pair deepseek[] = {
    { "general.architecture", "deepseek2" }, { "deepseek2.block_count", "3" }, { "deepseek2.embedding_length", "64" },
    { "deepseek2.feed_forward_length", "96" }, { "deepseek2.attention.head_count", "4" }, { "deepseek2.attention.head_count_kv", "1" },
    { "deepseek2.attention.key_length", "40" }, { "deepseek2.attention.value_length", "32" }, { "deepseek2.attention.key_length_mla", "24" },
    { "deepseek2.attention.value_length_mla", "16" }, { "deepseek2.rope.dimension_count", "8" }, { "deepseek2.attention.kv_lora_rank", "32" },
    { "deepseek2.attention.q_lora_rank", "0" }, { "deepseek2.expert_count", "4" }, { "deepseek2.expert_used_count", "2" },
    { "deepseek2.expert_feed_forward_length", "48" }, { "deepseek2.expert_shared_count", "1" }, { "deepseek2.leading_dense_block_count", "1" },
    { "deepseek2.expert_gating_func", "2" }, { "deepseek2.vocab_size", "100" }, { 0 },
};
static const char *const tied[] = { "token_embd.weight", NULL }, *const apart[] = { "token_embd.weight", "output.weight", "blk.0.attn_q.bias", NULL },
                        *const head[] = { "output.weight", NULL };

/* Llama: an embedding of 100 x 64; a layer 64 x (64 + 32 + 32 + 64) in attention, 3 x 64 x 172, two norms; a last norm. */
enum { LLAMA = 100 * 64 + 2 * (64 * 192 + 3 * 64 * 172 + 128) + 64,
       MIXTRAL = 2 * 100 * 64 + 2 * (64 * (64 + 16 + 16 + 64) + 8 * 64 + 8 * 3 * 64 * 96 + 128) + 64,
       LATENT = 64 * 4 * 24 + 64 * 40 + 32 + 32 * 4 * 32 + 64 * 64 + 128,
       DEEPSEEK = 2 * 100 * 64 + 3 * LATENT + 3 * 64 * 96 + 2 * (5 * 3 * 64 * 48 + 4 * 64 + 4) + 64 };

static const struct { const char *what; const struct pair *pairs; const char *const *tensors; int64_t parameters; const char *type; } models[] = {
    { "a tied llama", llama, tied, LLAMA, "llama" },
    { "a llama with a head and biases", llama, apart, LLAMA + 100 * 64 + 2 * (64 + 32 + 32), "llama" },
    { "a mixture, layer by layer", mixtral, head, MIXTRAL, "mixtral" },
    { "latent attention", deepseek, head, DEEPSEEK, "deepseek_v3" },
};

static void headers_are_read(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(models); i++) {
        static struct file f;
        struct sp_model_config c;
        int64_t n;
        double bits;
        make(&f, models[i].pairs, models[i].tensors);
        OK(sp_write_file(path, f.at, f.n, &err));
        OK(sp_gguf_config(&c, path, &bits, &err));
        OK(sp_model_parameters(&c, &n, &err));
        if (n != models[i].parameters)
            fail_msg("%s: %lld parameters, by hand %lld", models[i].what, (long long)n, (long long)models[i].parameters);
        assert_string_equal(sp_model_type(&c), models[i].type);
        assert_true(bits >= 4.5 && bits <= 4.53);
        struct sp_ask a = { .task = SP_TASK_SERVE };
        OK(sp_ask_model(&a, path, &err));
        assert_true(a.bits >= 4.5 && a.bits <= 4.53 && a.parameters > 0);
    }
}

static void refuse(const struct file *f, size_t n, const char *says)
{
    struct sp_model_config c;
    uint64_t live = sp_mem_live();
    OK(sp_write_file(path, f->at, n, &err));
    if (!sp_gguf_config(&c, path, NULL, &err))
        fail_msg("%s: accepted", says);
    if (*says && !strstr(err.what, says))
        fail_msg("wanted \"%s\", it said \"%s\"", says, err.what);
    assert_int_equal(sp_mem_live(), live);
}

static void lies_are_refused(void **u)
{
    static struct file f;
    (void)u;
    make(&f, llama, apart);
    for (size_t n = 0; n < f.n; n += n < 200 ? 1 : 97)
        refuse(&f, n, "");
    f.at[4] = 0, f.at[7] = 3, refuse(&f, f.n, "endianness");
    begin(&f, 1 << 21, 0), refuse(&f, f.n, "at most");
    begin(&f, 0, 1 << 20), refuse(&f, f.n, "at most");
    begin(&f, 0, 0), f.at[4] = 1, refuse(&f, f.n, "version 1");
    begin(&f, 0, 0), f.at[0] = 'X', refuse(&f, f.n, "no GGUF");
    begin(&f, 0, 0), refuse(&f, f.n, "general.architecture");
    begin(&f, 0, 1), put(&f, UINT64_MAX, 8), put(&f, 0, 8), refuse(&f, f.n, "ends or lies");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 13, 4), put(&f, 0, 8), refuse(&f, f.n, "type 13");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 9, 4), put(&f, 9, 4), put(&f, 1, 8), refuse(&f, f.n, "array of arrays");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 9, 4), put(&f, 10, 4), put(&f, UINT64_MAX / 4, 8), refuse(&f, f.n, "ends or lies");
    begin(&f, 0, 1), put(&f, 0, 8), put(&f, 4, 4), put(&f, 0, 8), refuse(&f, f.n, "key of 0 bytes");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, llama), refuse(&f, f.n, "stands twice");
    begin(&f, 1, 0), put_text(&f, "t"), put(&f, 5, 4), put(&f, 0, 8), put(&f, 0, 8), refuse(&f, f.n, "dimensions");
    begin(&f, 1, 0), put_tensor(&f, "t", INT64_MAX / 2, 3, 0), refuse(&f, f.n, "larger");
    begin(&f, 1, 0), put_tensor(&f, "t", 48, 3, 0), refuse(&f, f.n, "blocks of 32");
    begin(&f, 1, 0), put_tensor(&f, "t", 64, 1 << 20, 0), refuse(&f, f.n, "leaves the file");
    begin(&f, 1, 0), put_tensor(&f, "t", 32, 1, 32), refuse(&f, f.n, "no hole");
    begin(&f, 1, 0), put_tensor(&f, "a name of more than sixty-three bytes, which no reader of these files takes", 32, 1, 0), refuse(&f, f.n, "name");
    begin(&f, 1, 0), put_tensor(&f, "", 32, 1, 0), refuse(&f, f.n, "name");
    begin(&f, 2, 0), put_tensor(&f, "t", 32, 1, 0), put_tensor(&f, "t", 32, 1, 32), refuse(&f, f.n, "stands twice");
    begin(&f, 1, 0), put_text(&f, "t"), put(&f, 1, 4), put(&f, 32, 8), put(&f, 4, 4), put(&f, 0, 8), refuse(&f, f.n, "no longer");
    begin(&f, 0, 1), put_pair(&f, &(struct pair){ "general.architecture", "clip" }), refuse(&f, f.n, "clip");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, &(struct pair){ "general.alignment", "33" }), refuse(&f, f.n, "power of two");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, &(struct pair){ "general.alignment", "32.0" }), refuse(&f, f.n, "must be a u32");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, &(struct pair){ "split.count", "3" }), refuse(&f, f.n, "3 parts");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, &llama[1]), refuse(&f, f.n, "hidden_size");
}

/* llama.cpp's vocabularies: no tensors, but a model's keys. */
static void published_headers(void **u)
{
    static const struct { const char *name, *type; int64_t vocab, width; } row[] = {
        { "ggml-vocab-llama-spm", "llama", 32000, 4096 }, { "ggml-vocab-gpt-2", "gpt2", 50257, 768 }, { "ggml-vocab-bert-bge", "bert", 30522, 384 },
    };
    const char *root = getenv("SPARSAM_SHARED");
    int read = 0;
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_model_config c;
        char file[512];
        snprintf(file, sizeof file, "%s/data/tokenizers/gguf_vocab/%s.gguf", root ? root : "../shared", row[i].name);
        if (access(file, R_OK))
            continue;
        OK(sp_model_config_read(&c, file, &err));
        assert_string_equal(sp_model_type(&c), row[i].type);
        assert_true(c.vocab == row[i].vocab && c.width == row[i].width);
        read++;
    }
    if (!read)
        skip();
}

/* ---- tensors without a config.json ---- */

static const struct { const char *config, *type; } bare[] = {
    { "{\"model_type\":\"llama\",\"hidden_size\":128,\"intermediate_size\":72,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":64,"
      "\"num_hidden_layers\":3,\"vocab_size\":33}", "llama" },
    { "{\"model_type\":\"qwen3\",\"hidden_size\":48,\"intermediate_size\":72,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":10,"
      "\"num_hidden_layers\":2,\"vocab_size\":33,\"tie_word_embeddings\":true}", "qwen3" },
    { "{\"model_type\":\"gemma2\",\"hidden_size\":48,\"intermediate_size\":72,\"num_attention_heads\":4,\"num_key_value_heads\":2,\"head_dim\":64,"
      "\"num_hidden_layers\":2,\"vocab_size\":33}", "gemma2" },
    { "{\"model_type\":\"gpt2\",\"n_embd\":64,\"n_head\":1,\"n_layer\":2,\"n_positions\":8,\"vocab_size\":33}", "gpt2" },
};

/* The file alone; without its first tensor it says too little. */
static void tensors_tell(void **u)
{
    char folder[] = "/tmp/sparsam-test-XXXXXX", file[64];
    (void)u;
    assert_non_null(mkdtemp(folder));
    snprintf(file, sizeof file, "%s/model.safetensors", folder);
    for (size_t i = 0; i < SP_COUNT(bare); i++) {
        struct sp_model_config c, found;
        struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = 1, .tokens = 1 };
        struct sp_graph *g = sp_graph_new();
        struct sp_tensor_out out[128] = { 0 };
        json_t *j = NULL;
        int64_t want, got;
        int n = 0;
        OK(sp_json_parse(&j, bare[i].config, strlen(bare[i].config), "a configuration", &err));
        OK(sp_model_config_parse(&c, j, &err));
        json_decref(j);
        OK(sp_model_build(g, &c, &b, &err));
        void *zeros = sp_zalloc(1, 1 << 20);
        for (int v = 0; v < g->n; v++)
            if (!strcmp(g->node[v].op->name, "state") && g->node[v].state_kind == SP_STATE_PARAM)
                out[n++] = (struct sp_tensor_out){ .name = g->node[v].name, .type = g->node[v].out[0], .at = zeros, .as = SP_F32 };
        OK(sp_safetensors_write(file, out, n, &err));
        OK(sp_model_config_read(&found, file, &err));
        OK(sp_model_parameters(&c, &want, &err));
        OK(sp_model_parameters(&found, &got, &err));
        assert_string_equal(sp_model_type(&found), bare[i].type);
        assert_true(want == got && found.heads == c.heads && found.kv_heads == c.kv_heads);
        OK(sp_safetensors_write(file, out + 1, n - 1, &err));
        assert_int_equal(sp_model_config_read(&found, file, &err), SP_MISSING);
        sp_free(zeros);
        sp_graph_free(g);
    }
    unlink(file);
    rmdir(folder);
}

/* ---- both ways ---- */

#define SMALL "\"vocab_size\": 96, \"hidden_size\": 32, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 48, " \
              "\"max_position_embeddings\": 64, \"eos_token_id\": 2, \"bos_token_id\": 1, \"initializer_range\": 0.02"
static const char *const kinds[] = {
    "{\"model_type\": \"llama\", \"num_key_value_heads\": 2, " SMALL "}",
    "{\"model_type\": \"llama\", \"head_dim\": 32, \"rope_theta\": 500000, \"attention_bias\": true, \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, "
    "\"low_freq_factor\": 1, \"high_freq_factor\": 4, \"original_max_position_embeddings\": 8192}, " SMALL "}",
    "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}, " SMALL "}",
    "{\"model_type\": \"llama\", \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 16}, " SMALL "}",
    "{\"model_type\": \"qwen2\", " SMALL "}",
    "{\"model_type\": \"qwen3\", \"head_dim\": 16, " SMALL "}",
    "{\"model_type\": \"gemma\", \"head_dim\": 16, " SMALL "}",
    "{\"model_type\": \"gemma2\", \"head_dim\": 16, \"query_pre_attn_scalar\": 16, \"sliding_window\": 16, " SMALL "}",
    "{\"model_type\": \"gemma3_text\", \"head_dim\": 16, \"query_pre_attn_scalar\": 16, \"sliding_window\": 16, " SMALL "}",
    "{\"model_type\": \"gpt2\", " SMALL "}",
    "{\"model_type\": \"gpt_neox\", \"rotary_pct\": 0.5, " SMALL "}",
    "{\"model_type\": \"phi\", " SMALL "}",
    "{\"model_type\": \"starcoder2\", " SMALL "}",
    "{\"model_type\": \"stablelm\", " SMALL "}",
    "{\"model_type\": \"olmo2\", " SMALL "}",
};

static char place[] = "/tmp/sparsam-test-XXXXXX";

static const char *in(const char *name)
{
    return place_in(place, name);
}

struct drawn { struct sp_job job; unsigned char *region; };

static struct drawn state_of(const struct sp_model_config *c)
{
    struct drawn d;
    struct sp_machine m;
    sp_machine_portable(&m);
    OK(sp_step_score(c, 1, 4, SP_F32, SP_F32, &m, &d.job, &err));
    d.region = sp_zalloc((size_t)d.job.state.bytes + 64, 1);
    assert_non_null(d.region);
    return d;
}

static void forget(struct drawn *d)
{
    sp_job_clear(&d->job);
    sp_free(d->region);
}

/* Every parameter another number, gains too. */
static void draw(struct drawn *d)
{
    struct sp_random r = { .key = 7 };
    for (int i = 0; i < d->job.state.n; i++) {
        const struct sp_state_entry *e = &d->job.state.entry[i];
        float *x = (float *)(void *)(d->region + e->at);
        for (int64_t k = 0; e->kind == SP_STATE_PARAM && k < sp_type_elements(&e->type); k++)
            x[k] = (float)(int)(sp_random_u32(&r) % 4096) / 1024; /* a whole number of 1024ths: one more or less is exact */
    }
}

static void convert_to(const char *from, const char *to, bool gguf)
{
    struct sp_weights w;
    struct sp_export e;
    OK(sp_weights_open(&w, from, &err));
    OK(sp_export_begin(&e, &w, gguf, &err));
    OK(sp_export_write(&e, to, "small", NULL, NULL, NULL, &err));
    sp_export_clear(&e);
    sp_weights_close(&w);
}

static void same_model(const char *what, const char *file, const struct drawn *d, const struct sp_model_config *c)
{
    struct sp_weights w;
    struct drawn back;
    const char *name = NULL;
    int extra = 0;
    OK(sp_weights_open(&w, file, &err));
    back = state_of(&w.config);
    OK(sp_weights_fill(&w, &back.job.state, back.region, &extra, &name, &err));
    if (extra)
        fail_msg("%s: %d tensors too many, one is %s", what, extra, name);
    assert_int_equal(back.job.state.bytes, d->job.state.bytes);
    assert_memory_equal(back.region, d->region, (size_t)d->job.state.bytes);
    json_t *a = sp_model_config_json(c, SP_F32), *b = sp_model_config_json(&w.config, SP_F32);
    const char *key;
    json_t *v;
    json_object_foreach(a, key, v) {
        const json_t *other = json_object_get(b, key);
        bool near = json_is_real(v) && json_is_real(other) && fabs(json_real_value(v) - json_real_value(other)) <= 1e-6 * fabs(json_real_value(v));
        if (!near && !json_is_object(v) && !strstr(key, "drop") && !json_equal(v, other))
            fail_msg("%s: %s is %s, was %s", what, key, json_dumps(other, JSON_ENCODE_ANY), json_dumps(v, JSON_ENCODE_ANY));
    }
    if (fabs(w.config.rope_factor - c->rope_factor) > 1e-6 || w.config.rope_scaling != c->rope_scaling || fabs(w.config.rope_original - c->rope_original) > 1e-6)
        fail_msg("%s: rotary scaling is another one", what);
    json_decref(a);
    json_decref(b);
    forget(&back);
    sp_weights_close(&w);
}

/* Folder to GGUF, to GGUF again, to a folder: the same numbers bit for bit, the same configuration, the same file. */
static void both_ways(void **u)
{
    (void)u;
    for (size_t i = 0; i < SP_COUNT(kinds); i++) {
        struct sp_model_config c;
        json_t *j = NULL;
        struct sp_hash a, b;
        OK(sp_json_parse(&j, kinds[i], strlen(kinds[i]), "a configuration", &err));
        OK(sp_model_config_parse(&c, j, &err));
        json_decref(j);
        struct drawn d = state_of(&c);
        draw(&d);
        OK(sp_model_save(in("hf"), &c, &d.job.state, d.region, SP_F32, NULL, 0, &err));
        convert_to(in("hf"), in("a.gguf"), true);
        same_model(kinds[i], in("a.gguf"), &d, &c);
        convert_to(in("a.gguf"), in("b.gguf"), true);
        OK(sp_hash_file(&a, in("a.gguf"), &err));
        OK(sp_hash_file(&b, in("b.gguf"), &err));
        assert_string_equal(a.hex, b.hex);
        convert_to(in("b.gguf"), in("back"), false);
        same_model(kinds[i], in("back"), &d, &c);
        forget(&d);
    }
}

/* Number `at` of a tensor as it stands in the file, beside that of Hugging Face's. */
static void stands(const struct sp_weights *w, const struct drawn *d, const char *name, int64_t at, int64_t of, float plus)
{
    const struct sp_tensor *t = sp_weights_find(w, name);
    const struct sp_state_entry *e = sp_state_find(&d->job.state, name);
    float x, y;
    assert_non_null(t);
    assert_non_null(e);
    memcpy(&x, t->map->at + t->at + 4 * at, 4);
    memcpy(&y, d->region + e->at + 4 * of, 4);
    if (x < y + plus || x > y + plus)
        fail_msg("%s: number %lld in the file is %g, number %lld of Hugging Face's %g", name, (long long)at, (double)x, (long long)of, (double)y);
}

/* The order of rows in the file, as llama.cpp's converter describes it: halves of a head become pairs; GPT-2 turned;
 * GPT-NeoX all q, all k, all v; Gemma's gains whole. */
static void rows_stand_as_llama_cpp_wants_them(void **u)
{
    static const struct { int kind; const char *tensor; int64_t at, of; float plus; } row[] = {
        { 0, "model.layers.1.self_attn.q_proj.weight", 1 * 32 + 3, 4 * 32 + 3, 0 }, { 0, "model.layers.1.self_attn.q_proj.weight", 10 * 32, 9 * 32, 0 },
        { 0, "model.layers.0.self_attn.k_proj.weight", 15 * 32 + 1, 15 * 32 + 1, 0 }, { 0, "model.layers.0.self_attn.k_proj.weight", 2 * 32, 1 * 32, 0 },
        { 0, "model.layers.0.self_attn.v_proj.weight", 2 * 32, 2 * 32, 0 }, { 1, "model.layers.0.self_attn.q_proj.bias", 1, 16, 0 },
        { 5, "model.layers.1.self_attn.q_proj.weight", 1 * 32, 1 * 32, 0 }, { 6, "model.norm.weight", 5, 5, 1 },
        { 8, "model.layers.0.self_attn.q_norm.weight", 5, 5, 1 }, { 9, "transformer.h.0.mlp.c_fc.weight", 5 * 32 + 7, 7 * 48 + 5, 0 },
        { 10, "gpt_neox.layers.0.attention.query_key_value.weight", 32 * 32 + 4, 8 * 32 + 4, 0 },
        { 10, "gpt_neox.layers.0.attention.query_key_value.bias", 9, 25, 0 },
    };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        struct sp_model_config c;
        struct sp_weights w;
        json_t *j = NULL;
        OK(sp_json_parse(&j, kinds[row[i].kind], strlen(kinds[row[i].kind]), "a configuration", &err));
        OK(sp_model_config_parse(&c, j, &err));
        json_decref(j);
        struct drawn d = state_of(&c);
        draw(&d);
        OK(sp_model_save(in("hf"), &c, &d.job.state, d.region, SP_F32, NULL, 0, &err));
        convert_to(in("hf"), in("a.gguf"), true);
        OK(sp_weights_open(&w, in("a.gguf"), &err));
        stands(&w, &d, row[i].tensor, row[i].at, row[i].of, row[i].plus);
        sp_weights_close(&w);
        forget(&d);
    }
}

/* A cut or changed file of a whole model never does more than fail with a sentence. */
static void whole_files_that_lie(void **u)
{
    struct sp_text whole = { 0 };
    struct sp_random r = { .key = 3 };
    (void)u;
    OK(sp_read_file(&whole, in("a.gguf"), 1 << 24, &err));
    for (int i = 0; i < 300; i++) {
        struct sp_weights w;
        size_t n = i % 3 ? whole.n : sp_random_below(&r, whole.n), at = sp_random_below(&r, 3000);
        char kept = whole.at[at];
        uint64_t live = sp_mem_live();
        whole.at[at] ^= (char)(1 << sp_random_below(&r, 8));
        OK(sp_write_file(in("lie.gguf"), whole.at, n, &err));
        whole.at[at] = kept;
        if (!sp_weights_open(&w, in("lie.gguf"), &err)) {
            for (int k = 0; k < w.n && k < 40; k++) {
                unsigned char *to = sp_alloc((size_t)w.tensor[k]->bytes * 32 + 64);
                (void)sp_tensor_read(w.tensor[k], SP_F32, to, &err);
                sp_free(to);
            }
            sp_weights_close(&w);
        }
        assert_int_equal(sp_mem_live(), live);
    }
    sp_text_clear(&whole);
}

static int setup(void **u)
{
    (void)u;
    int fd = mkstemps(path, 5);
    return fd < 0 || close(fd) || !mkdtemp(place);
}

static int teardown(void **u)
{
    (void)u;
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "back/config.json", "back/model.safetensors", "a.gguf", "b.gguf", "lie.gguf" };
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    rmdir(in("hf"));
    rmdir(in("back"));
    return rmdir(place) | unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(headers_are_read), cmocka_unit_test(lies_are_refused), cmocka_unit_test(published_headers),
                                        cmocka_unit_test(tensors_tell), cmocka_unit_test(both_ways),
                                        cmocka_unit_test(rows_stand_as_llama_cpp_wants_them), cmocka_unit_test(whole_files_that_lie) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
