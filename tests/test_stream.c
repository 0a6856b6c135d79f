/* tests/test_stream.c - a model run part by part: statistics are those of the whole at once, for every kind of decoder; a layer is
 * rounded on what the written model puts into it; and memory stays far below the model.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bits/bits.h"
#include "draw.h"
#include "place.h"

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

#ifdef __has_feature
#define HAS(x) __has_feature(x)
#else
#define HAS(x) 0
#endif
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED HAS(address_sanitizer)
#endif

enum { WINDOWS = 4, CONTEXT = 24, VOCAB = 64 };
#define SIZES "\"vocab_size\": 64, \"hidden_size\": 256, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"intermediate_size\": 512, " \
              "\"max_position_embeddings\": 32, \"initializer_range\": 0.1, "
static const char *const kinds[] = {
    "{" SIZES "\"model_type\": \"llama\", \"num_key_value_heads\": 2, \"tie_word_embeddings\": true}",
    "{" SIZES "\"model_type\": \"llama\", \"num_key_value_heads\": 2}",
    "{" SIZES "\"model_type\": \"qwen2\", \"num_key_value_heads\": 2}",
    "{" SIZES "\"model_type\": \"qwen3\", \"num_key_value_heads\": 2, \"head_dim\": 64, \"tie_word_embeddings\": true}",
    "{" SIZES "\"model_type\": \"gemma\", \"num_key_value_heads\": 1, \"head_dim\": 64}",
    "{" SIZES "\"model_type\": \"gemma2\", \"num_key_value_heads\": 2, \"head_dim\": 64, \"sliding_window\": 8, \"query_pre_attn_scalar\": 64}",
    "{" SIZES "\"model_type\": \"gemma3_text\", \"num_key_value_heads\": 2, \"head_dim\": 64, \"sliding_window\": 8}",
    "{" SIZES "\"model_type\": \"gpt_neox\"}",
    "{\"model_type\": \"gpt2\", \"vocab_size\": 64, \"n_embd\": 256, \"n_layer\": 2, \"n_head\": 4, \"n_positions\": 32, \"initializer_range\": 0.1}",
};

static struct sp_err err;
static struct sp_machine machine;
static char folder[] = "/tmp/sparsam-test-XXXXXX";
static int32_t ids[WINDOWS * CONTEXT];
static const struct sp_windows windows = { ids, WINDOWS, CONTEXT, 1 };

static const char *in(const char *name)
{
    return place_in(folder, name);
}

static void bend(void *self, int number, float *x, int64_t n)
{
    (void)self;
    for (int64_t k = 0; k < n; k++)
        x[k] += 0.3F * (float)sin((double)k + number);
}

/* A model with random weights, vectors too, opened. */
static struct sp_weights model(const char *config, enum sp_format f)
{
    struct sp_weights w;
    draw_model(in("hf"), config, 5, f, &machine, bend, NULL);
    OK(sp_weights_open(&w, in("hf"), &err));
    return w;
}

static struct sp_bits_stats calibrate(const struct sp_weights *w, int what)
{
    struct sp_calibration o = { .what = what };
    struct sp_bits_stats s;
    OK(sp_bits_calibrate(w, &windows, &o, &machine, NULL, NULL, &s, &err));
    return s;
}

static void near(const float *a, const float *b, int64_t n, const char *name)
{
    double most = 0;
    assert_true(a && b);
    for (int64_t i = 0; i < n; i++)
        most = fabs((double)a[i]) > most ? fabs((double)a[i]) : most;
    assert_true(most > 0);
    for (int64_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= 1e-6 * most))
            fail_msg("%s: number %lld is %g and %g, of at most %g", name, (long long)i, (double)a[i], (double)b[i], most);
}

static void parts_do_what_the_whole_does(void **u)
{
    (void)u;
    for (size_t k = 0; k < SP_COUNT(kinds); k++) {
        struct sp_weights w = model(kinds[k], SP_F32);
        struct sp_bits_stats whole = calibrate(&w, SP_BITS_G2 | SP_BITS_X2 | SP_BITS_H), parts = calibrate(&w, SP_BITS_X2 | SP_BITS_H);
        assert_true(parts.n == whole.n && parts.n >= 2 * 4 && parts.windows == WINDOWS);
        for (int i = 0; i < whole.n; i++) {
            const struct sp_bits_matrix *a = &whole.matrix[i], *b = sp_bits_find(&parts, a->name);
            assert_true(b && a->rows == b->rows && a->cols == b->cols && a->layer == b->layer && !(fabs(a->tokens - b->tokens) > 0));
            near(a->x2, b->x2, a->cols, a->name);
            near(a->h, b->h, a->cols * a->cols, a->name);
        }
        sp_bits_stats_clear(&whole);
        sp_bits_stats_clear(&parts);
        sp_weights_close(&w);
    }
}

/* ---- rounding ---- */

/* only: in whose names that is; other matrices f16. */
static void write_rounded(const struct sp_weights *w, struct sp_bits_stats *known, struct sp_export *e, enum sp_format f, enum sp_format embedding, const char *only)
{
    struct sp_calibration o = { .what = SP_BITS_X2, .head = w->config.tied };
    OK(sp_bits_calibrate(w, &windows, &o, &machine, NULL, NULL, known, &err));
    struct sp_bits_rounding r = { .known = known, .windows = windows, .machine = &machine, .damp = 0.01 };
    OK(sp_export_begin(e, w, true, &err));
    for (int i = 0; i < e->n; i++)
        if (e->tensor[i].matrix)
            e->tensor[i].type.format = e->tensor[i].type.dim[0] == VOCAB ? embedding : strstr(e->tensor[i].name, only) ? f : SP_F16;
    e->round = sp_bits_round_tensor;
    e->rounding = &r;
    OK(sp_export_write(e, in("a.gguf"), "a", NULL, NULL, NULL, &err));
    sp_bits_rounding_clear(&r);
}

/* The same bytes as rounding with h of the model in the file, of which the layers before are; but for what f32 leaves open. */
static void as_by_hand(const struct sp_export *e, int i, const struct sp_bits_stats *of_file, const struct sp_bits_stats *known, const struct sp_weights *file)
{
    const struct sp_export_tensor *t = &e->tensor[i];
    const struct sp_bits_matrix *m = sp_bits_find(of_file, t->name);
    const struct sp_tensor *stored = sp_weights_find(file, t->name);
    int64_t rows = t->type.dim[0], cols = t->type.dim[1], same = 0, n = sp_type_bytes(&t->type);
    assert_true(m && m->cols == cols && stored && stored->bytes == (uint64_t)n);
    float *x = sp_alloc((size_t)(rows * cols) * sizeof *x), *factor = sp_alloc((size_t)(cols * cols) * sizeof *factor);
    unsigned char *to = sp_alloc((size_t)n);
    OK(sp_export_rows(e, t, 0, rows, SP_F32, x, &err));
    double left;
    OK(sp_bits_factor(m->h, cols, 0.01, NULL, factor, &left, &err));
    OK(sp_bits_round(t->type.format, x, rows, cols, sp_bits_find(known, t->name)->x2, factor, NULL, to, &err));
    for (int64_t k = 0; k < n; k++)
        same += to[k] == stored->map->at[stored->at + (uint64_t)k];
    if (same < n - n / 25)
        fail_msg("%s: of %lld bytes %lld are as made by hand", t->name, (long long)n, (long long)same);
    sp_free(x);
    sp_free(factor);
    sp_free(to);
}

static void layers_are_rounded_on_what_is_written(void **u)
{
    static const size_t some[] = { 0, 1, 5, 7, 8 };
    (void)u;
    for (size_t k = 0; k < SP_COUNT(some); k++) {
        struct sp_weights w = model(kinds[some[k]], SP_F32), file;
        struct sp_bits_stats known, of_file;
        struct sp_export e;
        int seen = 0;
        write_rounded(&w, &known, &e, SP_Q4_K, SP_F32, k % 2 ? "q" : "");
        OK(sp_weights_open(&file, in("a.gguf"), &err));
        of_file = calibrate(&file, SP_BITS_H);
        for (int i = 0; i < e.n; i++) {
            const struct sp_bits_matrix *m = sp_bits_find(&known, e.tensor[i].name);
            const char *name = e.tensor[i].stored_name;
            if (m && m->layer == 1 && e.tensor[i].type.format == SP_Q4_K && (strstr(name, "attn_q.") || strstr(name, "attn_qkv.") || strstr(name, "attn_v."))) {
                as_by_hand(&e, i, &of_file, &known, &file); /* what enters the last layer */
                seen++;
            }
        }
        assert_true(seen >= 1);
        sp_bits_stats_clear(&known);
        sp_bits_stats_clear(&of_file);
        sp_export_clear(&e);
        sp_weights_close(&file);
        sp_weights_close(&w);
    }
}

/* sum over rows of (w - stored) h (w - stored)'. */
static double lost(const struct sp_weights *w, const struct sp_weights *file, const struct sp_bits_matrix *m)
{
    int64_t n = m->rows * m->cols;
    float *a = sp_alloc((size_t)n * sizeof *a), *b = sp_alloc((size_t)n * sizeof *b);
    double sum = 0;
    OK(sp_tensor_read(sp_weights_find(w, m->name), SP_F32, a, &err));
    OK(sp_tensor_read(sp_weights_find(file, m->name), SP_F32, b, &err));
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t i = 0; i < m->cols; i++) {
            double d = (double)(a[r * m->cols + i] - b[r * m->cols + i]), s = 0;
            for (int64_t j = 0; j < m->cols; j++)
                s += (double)m->h[i * m->cols + j] * (double)(a[r * m->cols + j] - b[r * m->cols + j]);
            sum += d * s;
        }
    sp_free(a);
    sp_free(b);
    return sum;
}

/* A tied head is written first, one of its own last: both are made up for. */
static void heads_are_rounded_too(void **u)
{
    (void)u;
    for (int k = 0; k < 2; k++) {
        struct sp_weights w = model(kinds[k], SP_BF16), file;
        struct sp_bits_stats known, h = { 0 };
        struct sp_export e;
        double sum[2];
        write_rounded(&w, &known, &e, SP_Q4_K, SP_Q4_K, "v_proj");
        h = calibrate(&w, SP_BITS_H);
        const struct sp_bits_matrix *m = sp_bits_find(&h, k ? "lm_head.weight" : "model.embed_tokens.weight");
        assert_true(m && m->h);
        OK(sp_weights_open(&file, in("a.gguf"), &err));
        sum[0] = lost(&w, &file, m);
        sp_weights_close(&file);
        e.round = NULL;
        for (int i = 0; i < e.n; i++)
            if (sp_bits_find(&known, e.tensor[i].name))
                e.tensor[i].importance = sp_bits_find(&known, e.tensor[i].name)->x2;
        OK(sp_export_write(&e, in("a.gguf"), "a", NULL, NULL, NULL, &err));
        OK(sp_weights_open(&file, in("a.gguf"), &err));
        sum[1] = lost(&w, &file, m);
        assert_true(sum[0] < 0.8 * sum[1]);
        sp_weights_close(&file);
        sp_bits_stats_clear(&known);
        sp_bits_stats_clear(&h);
        sp_export_clear(&e);
        sp_weights_close(&w);
    }
}

/* ---- memory ---- */

static atomic_bool watching;
static atomic_long peak;

static long anonymous(void)
{
    char line[256];
    long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "RssAnon:", 8))
            kb = strtol(line + 8, NULL, 10);
    if (f)
        fclose(f);
    return kb;
}

static void *watch_memory(void *unused)
{
    while (atomic_load(&watching)) {
        long now = anonymous();
        if (now > atomic_load(&peak))
            atomic_store(&peak, now);
        usleep(1000);
    }
    return unused;
}

static void memory_stays_below_the_model(void **u)
{
    static const char large[] = "{\"model_type\": \"llama\", \"vocab_size\": 64, \"hidden_size\": 256, \"num_hidden_layers\": 30, \"num_attention_heads\": 4, "
                                "\"intermediate_size\": 768, \"max_position_embeddings\": 32}";
    (void)u;
    if (SANITIZED) /* whose own memory counts */
        skip();
    struct sp_weights w = model(large, SP_BF16);
    struct sp_bits_stats known;
    struct sp_export e;
    pthread_t thread;
    double bytes = 0;
    for (int i = 0; i < w.n; i++)
        bytes += (double)w.tensor[i]->bytes;
    sp_mem_trim();
    long before = anonymous();
    atomic_store(&peak, before);
    atomic_store(&watching, true);
    assert_int_equal(pthread_create(&thread, NULL, watch_memory, NULL), 0);
    write_rounded(&w, &known, &e, SP_Q4_0, SP_Q4_0, "down_proj");
    atomic_store(&watching, false);
    pthread_join(thread, NULL);
    double more = 1024 * (double)(atomic_load(&peak) - before);
    print_message("%.1f MB of a model of %.1f MB\n", more / 1e6, bytes / 1e6);
    assert_true(before > 0 && more < 0.3 * bytes);
    sp_bits_stats_clear(&known);
    sp_export_clear(&e);
    sp_weights_close(&w);
}

/* ---- pieces ---- */

static void pieces_come_back(void **u)
{
    static const size_t sizes[] = { 1000, 1 << 20 }; /* 40 of them: in memory; in a file */
    (void)u;
    for (size_t k = 0; k < SP_COUNT(sizes); k++) {
        struct sp_scratch s = { 0 };
        unsigned char *a = sp_alloc(sizes[k]);
        OK(sp_scratch_new(&s, sizes[k], 40, &err));
        assert_true(!s.at == (k == 1) && !s.fd == (k == 0));
        for (int i = 39; i >= 0; i--) {
            memset(a, i, sizes[k]);
            OK(sp_scratch_write(&s, i, a, &err));
        }
        for (int i = 0; i < 40; i++) {
            OK(sp_scratch_read(&s, i, a, &err));
            assert_true(a[0] == i && a[sizes[k] - 1] == i);
        }
        sp_scratch_clear(&s);
        sp_free(a);
    }
    struct sp_scratch none = { 0 };
    setenv("TMPDIR", "/nowhere/at/all", 1);
    OK(sp_scratch_new(&none, 1 << 20, 40, &err)); /* in /tmp then */
    unsetenv("TMPDIR");
    sp_scratch_clear(&none);
    assert_int_equal(sp_scratch_new(&none, 0, 1, &err), SP_USAGE);
}

static int setup(void **u)
{
    (void)u;
    sp_machine_portable(&machine);
    machine.features = sp_cpu_features();
    for (int i = 0; i < WINDOWS * CONTEXT; i++)
        ids[i] = (i * i * 7 + i / 5) % VOCAB;
    return mkdtemp(folder) ? 0 : 1;
}

static int teardown(void **u)
{
    static const char *const made[] = { "hf/config.json", "hf/model.safetensors", "a.gguf" };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(made); i++)
        unlink(in(made[i]));
    return rmdir(in("hf")) | rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(parts_do_what_the_whole_does), cmocka_unit_test(layers_are_rounded_on_what_is_written),
                                        cmocka_unit_test(heads_are_rounded_too), cmocka_unit_test(memory_stays_below_the_model), cmocka_unit_test(pieces_come_back) };
    return cmocka_run_group_tests(tests, setup, teardown);
}
