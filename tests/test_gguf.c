/* tests/test_gguf.c - models known by the header of a GGUF or safetensors file; headers that lie.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/model.h"
#include "plan/ask.h"

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

static void put_tensor(struct file *f, const char *name, int64_t a, int64_t b)
{
    put_text(f, name);
    put(f, 2, 4), put(f, (uint64_t)a, 8), put(f, (uint64_t)b, 8), put(f, 0, 4), put(f, 0, 8);
}

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
        put_tensor(f, tensor[i], 64, 100);
    while (f->n % 32)
        f->at[f->n++] = 0;
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
        for (int k = 0; models[i].tensors[k]; k++) /* half a byte a number */
            f.n += 3200;
        OK(sp_write_file(path, f.at, f.n, &err));
        OK(sp_gguf_config(&c, path, &bits, &err));
        OK(sp_model_parameters(&c, &n, &err));
        if (n != models[i].parameters)
            fail_msg("%s: %lld parameters, by hand %lld", models[i].what, (long long)n, (long long)models[i].parameters);
        assert_string_equal(sp_model_type(&c), models[i].type);
        assert_true(bits >= 4 && bits <= 4);
        struct sp_ask a = { .task = SP_TASK_SERVE };
        OK(sp_ask_model(&a, path, &err));
        assert_true(a.bits >= 4 && a.bits <= 4 && a.parameters > 0);
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
    size_t whole = f.n - f.n % 32 - 31;
    for (size_t n = 0; n < whole; n += n < 200 ? 1 : 7)
        refuse(&f, n, "");
    begin(&f, 1 << 21, 0), refuse(&f, f.n, "at most");
    begin(&f, 0, 1 << 20), refuse(&f, f.n, "at most");
    begin(&f, 0, 0), f.at[4] = 1, refuse(&f, f.n, "version 1");
    begin(&f, 0, 0), f.at[0] = 'X', refuse(&f, f.n, "no GGUF");
    begin(&f, 0, 0), refuse(&f, f.n, "general.architecture");
    begin(&f, 0, 1), put(&f, UINT64_MAX, 8), refuse(&f, f.n, "ends or lies");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 13, 4), refuse(&f, f.n, "type 13");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 9, 4), put(&f, 9, 4), put(&f, 1, 8), refuse(&f, f.n, "ends or lies");
    begin(&f, 0, 1), put_text(&f, "k"), put(&f, 9, 4), put(&f, 10, 4), put(&f, UINT64_MAX / 4, 8), refuse(&f, f.n, "ends or lies");
    begin(&f, 1, 0), put_text(&f, "t"), put(&f, 5, 4), refuse(&f, f.n, "dimensions");
    begin(&f, 1, 0), put_tensor(&f, "t", INT64_MAX / 2, 3), refuse(&f, f.n, "larger");
    begin(&f, 0, 1), put_pair(&f, &(struct pair){ "general.architecture", "clip" }), refuse(&f, f.n, "clip");
    begin(&f, 0, 2), put_pair(&f, llama), put_pair(&f, &(struct pair){ "general.alignment", "33" }), refuse(&f, f.n, "alignment");
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

static int setup(void **u)
{
    (void)u;
    int fd = mkstemps(path, 5);
    return fd < 0 || close(fd);
}

static int teardown(void **u)
{
    (void)u;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(headers_are_read), cmocka_unit_test(lies_are_refused), cmocka_unit_test(published_headers),
                                        cmocka_unit_test(tensors_tell) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
