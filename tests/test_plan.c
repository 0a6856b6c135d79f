/* tests/test_plan.c - what is counted is what happens: arena and state against
 * memory that ends where the count ends, FLOPs against formulas, very large models
 * in moments, and every count against a committed file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "plan/plan.h"

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static const double COUNTED_S = SANITIZED ? 0.5 : 0.1, EMULATED_S = 2, COUNTED_BYTES = SANITIZED ? 400e6 : 50e6; /* sanitizers keep what is freed */

static struct sp_err err;

#define OK(call)                                                                \
    do {                                                                        \
        if (call)                                                               \
            fail_msg("%s: %s: %s (%s)", #call, err.where, err.what, err.remedy); \
    } while (0)

/* ---- fixed models ---- */

#define GPT2(...) { .family = SP_FAMILY_GPT2, .tied = true, .bias = true, .activation = SP_GELU, .bos = -1, __VA_ARGS__ }
#define LLAMA(...) { .family = SP_FAMILY_LLAMA, .activation = SP_SILU, .bos = -1, __VA_ARGS__ }

enum { GPT2_124M, CHARS_10M, LLAMA_1B, GPT3_175B, LLAMA_405B, FIXED };
static const struct fixed { const char *name; struct sp_model_config config; int64_t batch, tokens; } fixed[FIXED] = {
    [GPT2_124M] = { "gpt2-124m", GPT2(.vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12), 4, 64 },
    [CHARS_10M] = { "chars-10.7m", GPT2(.vocab = 65, .context = 256, .layers = 6, .width = 384, .heads = 6), 16, 256 },
    [LLAMA_1B] = { "llama-1b",
                   LLAMA(.vocab = 128256, .context = 131072, .layers = 16, .width = 2048, .heads = 32, .kv_heads = 8, .ffn = 8192, .tied = true), 1, 2048 },
    [GPT3_175B] = { "gpt3-175b", GPT2(.vocab = 50257, .context = 2048, .layers = 96, .width = 12288, .heads = 96), 1, 2048 },
    [LLAMA_405B] = { "llama3-405b",
                     LLAMA(.vocab = 128256, .context = 8192, .layers = 126, .width = 16384, .heads = 128, .kv_heads = 8, .ffn = 53248), 1, 8192 },
};

static struct sp_train_shape shape_of(const struct fixed *f, bool recompute)
{
    return (struct sp_train_shape){ .batch = f->batch, .tokens = f->tokens, .recompute = recompute, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
}

/* Portable, so that no count depends on this processor. */
static struct sp_step_count count_of(const struct fixed *f, bool recompute)
{
    struct sp_machine m;
    struct sp_model_config c = f->config;
    struct sp_train_shape t = shape_of(f, recompute);
    struct sp_step_count n;
    sp_machine_portable(&m);
    OK(sp_model_config_finish(&c, &err));
    OK(sp_step_count_train(&c, &t, &m, &n, &err));
    return n;
}

static double all_flops(const struct sp_count *c)
{
    return c->flops_matmul + c->flops_attention + c->flops_other;
}

/* ---- golden counts: a change of meaning shows in the file's diff ---- */

static const char GOLDEN[] = "tests/golden_counts.csv";
static const char HEADER[] = "model,batch,tokens,recompute,parameters,flops_matmul,flops_attention,flops_other,flops_recomputed,arena_bytes,state_bytes\n";

static void golden_row(const struct fixed *f, bool recompute, char *line, size_t cap)
{
    struct sp_step_count n = count_of(f, recompute);
    snprintf(line, cap, "%s,%lld,%lld,%d,%lld,%.0f,%.0f,%.0f,%.0f,%lld,%lld\n", f->name, (long long)f->batch, (long long)f->tokens, recompute,
             (long long)n.parameters, n.micro.flops_matmul, n.micro.flops_attention, n.micro.flops_other, n.micro.flops_by_part[SP_PART_RECOMPUTE],
             (long long)n.arena_bytes, (long long)n.state_bytes);
}

/* SPARSAM_GOLDEN=write makes the file anew. */
static void counts_are_golden(void **u)
{
    char want[512], got[512];
    const char *how = getenv("SPARSAM_GOLDEN");
    bool write = how && !strcmp(how, "write");
    FILE *f = fopen(GOLDEN, write ? "w" : "r");
    (void)u;
    if (!f)
        fail_msg("%s can't be opened: tests run in the top folder", GOLDEN);
    if (write)
        fputs(HEADER, f);
    else
        assert_string_equal(fgets(want, sizeof want, f), HEADER);
    for (int i = 0; i < 2 * FIXED; i++) {
        golden_row(&fixed[i / 2], i % 2, got, sizeof got);
        if (write)
            fputs(got, f);
        else if (!fgets(want, sizeof want, f) || strcmp(want, got))
            fail_msg("counted %s  golden %s  SPARSAM_GOLDEN=write writes %s anew", got, want, GOLDEN);
    }
    fclose(f);
    print_message("%d golden counts\n", 2 * FIXED);
}

/* ---- formulas ---- */

/* Per layer and token a matrix of 3 C^2 (q, k, v), C^2 (out), 4 C^2 (up), 4 C^2 (down); the head is V C.  A product
 * of [m,k] and [k,n] is 2 m n k; backward makes two of the same size.  Attention is 2 products forward, 5 backward over
 * the pairs of a causal mask.  Recomputed: all of a layer but the last matrix, whose output nothing needs, and attention forward. */
static void gpt2_as_the_formula(void **u)
{
    double m = 4 * 64, c = 768, v = 50257, layers = 12, pairs = 4 * 12 * (64 * 65 / 2.0), dim = 64;
    double matmul = 3 * 2 * m * (layers * (3 + 1 + 4 + 4) * c * c + v * c), attention = layers * (2 + 5) * 2 * dim * pairs;
    double again = 2 * m * layers * (3 + 1 + 4) * c * c, attention_again = layers * 2 * 2 * dim * pairs;
    struct sp_step_count plain = count_of(&fixed[GPT2_124M], false), less = count_of(&fixed[GPT2_124M], true);
    (void)u;
    assert_int_equal(plain.parameters, 124439808);
    assert_true(plain.micro.flops_matmul == matmul);
    assert_true(plain.micro.flops_attention == attention);
    assert_true(plain.micro.flops_by_part[SP_PART_RECOMPUTE] == 0);
    assert_true(less.micro.flops_matmul == matmul + again);
    assert_true(less.micro.flops_attention == attention + attention_again);
    double other = less.micro.flops_by_part[SP_PART_RECOMPUTE] - again - attention_again;
    assert_true(other > 0 && other == less.micro.flops_other - plain.micro.flops_other);
    print_message("GPT-2 124M: %.0f FLOP in matrix products, %.0f in attention, recomputed %.0f and %.0f\n", matmul, attention, again, attention_again);
}

/* 12 layers over 1024 tokens: the memory falls by three at least, the work grows by a third at most. */
static void recomputation_pays(void **u)
{
    static const struct fixed twelve[] = {
        { "gpt2", GPT2(.vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12), 4, 1024 },
        { "gpt2, one sequence", GPT2(.vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12), 1, 1024 },
        { "llama", LLAMA(.vocab = 4096, .context = 1024, .layers = 12, .width = 384, .heads = 6, .tied = true), 4, 1024 },
    };
    (void)u;
    for (size_t i = 0; i < SP_COUNT(twelve); i++) {
        struct sp_step_count plain = count_of(&twelve[i], false), less = count_of(&twelve[i], true);
        double memory = (double)plain.arena_bytes / (double)less.arena_bytes, work = all_flops(&less.micro) / all_flops(&plain.micro);
        print_message("%s: activations %.2f times smaller for %.3f times the work\n", twelve[i].name, memory, work);
        assert_true(memory >= 3);
        assert_true(work > 1 && work <= 1.35);
        assert_int_equal(plain.state_bytes, less.state_bytes);
    }
}

/* ---- very large models ---- */

struct took { double seconds, bytes; };

static double high_water(void)
{
    char line[256];
    long long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return 1024.0 * (double)kib;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* In a process of its own: its peak is the count's, whatever ran before. */
static struct took count_apart(const struct fixed *f, bool recompute)
{
    struct took *t = mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(t != MAP_FAILED);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        double before = high_water(), began = cpu_seconds();
        struct sp_step_count n = count_of(f, recompute);
        *t = (struct took){ cpu_seconds() - began, high_water() - before };
        _exit(n.parameters <= 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    struct took out = *t;
    munmap(t, sizeof *t);
    return out;
}

static void large_models_in_moments(void **u)
{
    (void)u;
    for (int i = 0; i < 4; i++) {
        const struct fixed *f = &fixed[GPT3_175B + i / 2];
        struct took t = count_apart(f, i % 2), second = count_apart(f, i % 2);
        t.seconds = fmin(t.seconds, second.seconds); /* others use this machine too */
        print_message("%s%s: counted in %.3f s and %.1f MB\n", f->name, i % 2 ? ", recomputing" : "", t.seconds, 1e-6 * t.bytes);
        assert_true(t.seconds < (getenv("RUNNER") ? EMULATED_S : COUNTED_S)); /* RUNNER: an emulator */
        assert_true(t.bytes < COUNTED_BYTES);
    }
}

/* ---- memory: the count and nothing else ---- */

enum { PAINT = 0xA5, LINE = 64 };

/* Bytes that end at a page nobody may touch and begin behind a painted one. */
struct fenced { unsigned char *map, *at; size_t bytes, mapped; };

static struct fenced fence(int64_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = ((size_t)bytes + page - 1) / page * page;
    struct fenced f = { .bytes = (size_t)bytes, .mapped = whole + 2 * page };
    f.map = mmap(NULL, f.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(f.map != MAP_FAILED);
    f.at = f.map + page + whole - bytes;
    assert_int_equal((uintptr_t)f.at % LINE, 0);
    memset(f.map, PAINT, whole + page);
    assert_int_equal(mprotect(f.map + whole + page, page, PROT_NONE), 0);
    return f;
}

static void unfence(struct fenced *f)
{
    munmap(f->map, f->mapped);
}

static size_t changed(const unsigned char *from, const unsigned char *to)
{
    size_t n = 0;
    for (; from < to; from++)
        n += *from != PAINT;
    return n;
}

static void fill_inputs(const struct sp_exec *x)
{
    const struct sp_program *p = x->program;
    for (int i = 0; i < p->n_named; i++) {
        const struct sp_type *t = &p->named[i].type;
        void *at = sp_exec_at(x, p->named[i].name);
        if (t->format == SP_I32)
            for (int64_t k = 0; k < sp_type_elements(t); k++)
                ((int32_t *)at)[k] = !strcmp(p->named[i].name, "step");
        else if (t->format == SP_F32)
            for (int64_t k = 0; k < sp_type_elements(t); k++)
                ((float *)at)[k] = 0.25f;
    }
}

/* Runs every program in fenced memory; how many bytes of the arena's last line were written by the largest. */
static void run_fenced(const struct sp_job *j, const char *what)
{
    struct fenced arena = fence(sp_job_arena_bytes(j)), state = fence(j->state.bytes);
    size_t last_line = 0;
    memset(state.at, 0, state.bytes);
    OK(sp_model_init(&j->config, &j->state, state.at, 1, &err));
    for (int i = 0; i < SP_RUNS; i++) {
        struct sp_exec x;
        if (!j->has[i])
            continue;
        memset(arena.at, PAINT, arena.bytes);
        OK(sp_exec_bind(&x, &j->program[i], arena.at, state.at, NULL, false, &err));
        fill_inputs(&x);
        sp_exec_run(&x);
        sp_exec_clear(&x);
        size_t used = (size_t)j->program[i].arena_bytes;
        if (changed(arena.at + used, arena.at + arena.bytes))
            fail_msg("%s: program %s writes behind its arena of %zu bytes", what, sp_run_names[i], used);
        if (used == arena.bytes)
            last_line += changed(arena.at + used - LINE, arena.at + used);
    }
    if (!last_line)
        fail_msg("%s: the arena's last line of %zu bytes is never used", what, arena.bytes);
    assert_int_equal(changed(arena.map, arena.at), 0);
    assert_int_equal(changed(state.map, state.at), 0);
    unfence(&arena);
    unfence(&state);
}

/* What sp_live_new takes is what was counted, and a line for reading. */
static void check_allocation(const struct sp_job *j)
{
    struct sp_live live;
    int64_t bytes[SP_MEM_KINDS], state = 0;
    OK(sp_live_new(&live, j, NULL, false, &err));
    assert_int_equal(live.state.bytes, j->state.bytes + LINE);
    assert_int_equal(live.arena.bytes, sp_job_arena_bytes(j) + LINE);
    sp_live_clear(&live);
    sp_job_memory(j, 1, bytes);
    for (int i = 0; i < j->state.n; i++) {
        const struct sp_state_entry *e = &j->state.entry[i];
        assert_int_equal(e->at, state); /* no gaps but to the next line */
        state += (sp_type_bytes(&e->type) + LINE - 1) / LINE * LINE;
    }
    assert_int_equal(state, j->state.bytes);
    assert_int_equal(bytes[SP_MEM_ACTIVATIONS], sp_job_arena_bytes(j));
}

static int check_job(struct sp_job *j, const char *what)
{
    check_allocation(j);
    run_fenced(j, what);
    sp_job_clear(j);
    return 1;
}

static struct sp_model_config small(enum sp_family f)
{
    struct sp_model_config c = { .family = f, .vocab = 101, .context = 33, .layers = 3, .width = 48, .heads = 4, .kv_heads = 2, .ffn = 88, .inputs = 7,
                                 .tied = f != SP_FAMILY_LLAMA, .bias = true, .bos = -1,
                                 .activation = f == SP_FAMILY_LLAMA ? SP_SILU : f == SP_FAMILY_GPT2 ? SP_GELU : SP_TANH };
    OK(sp_model_config_finish(&c, &err));
    return c;
}

static int fenced_jobs(enum sp_family f, enum sp_format compute, const struct sp_machine *m)
{
    char what[64];
    struct sp_model_config c = small(f);
    struct sp_job j;
    int n = 0;
    for (int kind = 0; kind < 3; kind++) {
        struct sp_train_shape t = { .batch = 3, .tokens = c.context, .compute = compute, .recompute = kind == 1, .loss_rows = kind == 2 ? 20 : 0,
                                    .dropout = kind == 2 ? 0.25 : 0, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
        snprintf(what, sizeof what, "%s, training %d, format %d", sp_family_name(f), kind, (int)compute);
        OK(sp_step_train(&c, &t, m, NULL, NULL, &j, &err));
        n += check_job(&j, what);
    }
    if (f == SP_FAMILY_MLP)
        return n;
    struct sp_serve_shape s = { .batch = 2, .prefill = 9, .cache = 29, .compute = compute, .stored = compute, .cached = compute, .score_batch = 1,
                                .score_tokens = 31 };
    snprintf(what, sizeof what, "%s, serving, format %d", sp_family_name(f), (int)compute);
    OK(sp_step_serve(&c, &s, m, NULL, NULL, &j, &err));
    return n + check_job(&j, what);
}

static void memory_is_what_was_counted(void **u)
{
    struct sp_machine m;
    int n = 0;
    (void)u;
    sp_machine_portable(&m);
    for (int fast = 0; fast < 2; fast++) {
        m.features = fast ? sp_cpu_features() : 0;
        for (int f = 0; f < SP_FAMILY_T5; f++) {
            n += fenced_jobs((enum sp_family)f, SP_F32, &m);
            n += f == SP_FAMILY_MLP ? 0 : fenced_jobs((enum sp_family)f, SP_BF16, &m);
        }
    }
    print_message("%d jobs in memory that ends where the count ends\n", n);
    assert_true(n > 0);
}

/* ---- the plan ---- */

/* Rates of one FLOP and one byte a second: seconds are then the work itself; rows without one are asked for, once each. */
static void time_is_work_over_rate(void **u)
{
    struct sp_machine m;
    struct sp_model_config c = small(SP_FAMILY_LLAMA);
    struct sp_train_shape t = { .batch = 3, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
    struct sp_job j;
    struct sp_rates rates = { 0 };
    struct sp_plan_questions q = { 0 };
    (void)u;
    sp_machine_portable(&m);
    OK(sp_step_train(&c, &t, &m, NULL, NULL, &j, &err));
    assert_int_equal(sp_plan_program(&j.program[SP_RUN_MICRO], &rates, 1, &q).how, SP_HOW_ASSUMED);
    assert_true(q.n > 5);
    for (int i = 0; i < q.n; i++) {
        struct sp_rate r = { .flops_per_s = i % 2, .bytes_per_s = 1, .how = SP_HOW_COUNTER };
        snprintf(r.row, sizeof r.row, "%s", q.row[i]->name);
        sp_rates_put(&rates, &r);
    }
    struct sp_row_count row[SP_PLAN_QUESTIONS_MAX];
    struct sp_plan_questions none = { 0 };
    double want = 0;
    int n = sp_program_rows(&j.program[SP_RUN_MICRO], row, SP_PLAN_QUESTIONS_MAX);
    assert_int_equal(n, q.n);
    for (int i = 0; i < n; i++)
        want += sp_rates_find(&rates, row[i].row->name)->flops_per_s > 0 ? fmax(row[i].flops, row[i].bytes) : row[i].bytes;
    struct sp_figure f = sp_plan_program(&j.program[SP_RUN_MICRO], &rates, 1, &none);
    assert_true(fabs(f.likely - want) <= 1e-9 * want && f.low < f.likely && f.likely < f.high && f.how == SP_HOW_MODEL);
    assert_int_equal(none.n, 0);
    sp_job_clear(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_golden),       cmocka_unit_test(gpt2_as_the_formula),        cmocka_unit_test(recomputation_pays),
        cmocka_unit_test(large_models_in_moments), cmocka_unit_test(memory_is_what_was_counted), cmocka_unit_test(time_is_work_over_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
