/* bench/bench_serve.c - a model file answering: prompt and generated tokens a second as
 * llama-bench times them, the first token from a cold start, the peak of memory; and
 * where the time goes.
 *
 *   build/bench/bench_serve FILE [prompt [generate [threads [rounds [profile]]]]]    512 128 2 3
 *   build/bench/bench_serve make FOLDER      a model of 1.1 billion random weights, f16
 *
 * Token numbers are drawn by chance.  A prompt enters an empty cache; generated tokens follow one another from an
 * empty cache, each fed back.  The first token counts from before the file is opened.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "infer/infer.h"
#include "meter/meter.h"

enum { SEED = 1, LINES_MAX = 64 };
static const struct sp_model_config shape = { .family = SP_FAMILY_LLAMA, .vocab = 32000, .context = 2048, .layers = 22, .width = 2048, .heads = 32, .kv_heads = 4,
                                              .ffn = 5632, .bos = 1, .n_eos = 1, .eos = { 2 }, .activation = SP_SILU };

static int fail(const struct sp_err *err)
{
    fprintf(stderr, "bench_serve: %s\n", err->what);
    return 1;
}

/* ---- a model by chance ---- */

static enum sp_status draw(struct sp_live *l, struct sp_job *job, const struct sp_machine *m, struct sp_pool *pool, const char *folder, struct sp_err *err)
{
    struct sp_model_config c = shape;
    TRY(sp_model_config_finish(&c, err));
    TRY(sp_step_score(&c, 1, 1, SP_F32, SP_F16, m, job, err));
    TRY(sp_live_new(l, job, pool, false, err));
    TRY(sp_live_init(l, SEED, err));
    return sp_model_save(folder, &c, &job->state, l->state.at, SP_F16, NULL, 0, err);
}

static int make(const struct sp_machine *m, struct sp_pool *pool, const char *folder)
{
    struct sp_live l = { 0 };
    struct sp_job job = { 0 };
    struct sp_err err;
    enum sp_status st = draw(&l, &job, m, pool, folder, &err);
    sp_live_clear(&l);
    sp_job_clear(&job);
    return st ? fail(&err) : 0;
}

/* ---- times ---- */

struct bench { int64_t prompt, generate, rounds; bool profile; int32_t *ids; struct sp_engine engine; };

static enum sp_status feed(struct bench *b, int64_t n, int64_t each, double *seconds, struct sp_err *err)
{
    struct sp_session s;
    enum sp_status st = SP_OK;
    sp_session_begin(&s, &b->engine);
    double began = sp_now();
    for (int64_t i = 0; !st && i < n; i += each)
        st = sp_session_feed(&s, b->ids + i, n - i < each ? n - i : each, err);
    *seconds = sp_now() - began;
    sp_session_end(&s);
    return st;
}

/* Mean and spread of tokens a second. */
static enum sp_status rate(struct bench *b, const char *what, int64_t n, int64_t each, struct sp_err *err)
{
    double sum = 0, squares = 0, s;
    for (int64_t i = 0; i < b->rounds; i++) {
        TRY(feed(b, n, each, &s, err));
        sum += (double)n / s;
        squares += (double)n / s * ((double)n / s);
    }
    double mean = sum / (double)b->rounds, spread = squares / (double)b->rounds - mean * mean;
    printf("  %s %" PRId64 ": %.2f +- %.2f tokens/s\n", what, n, mean, spread > 0 ? sqrt(spread) : 0);
    return SP_OK;
}

/* ---- where the time goes ---- */

struct line { const char *name; double seconds; int n; };

/* The program bound anew, so that its steps are timed from here on. */
static enum sp_status watch(struct bench *b, enum sp_run run, struct sp_pool *pool, struct sp_err *err)
{
    struct sp_live *l = &b->engine.live;
    sp_exec_clear(&l->exec[run]);
    return b->engine.job.has[run] ? sp_exec_bind(&l->exec[run], &b->engine.job.program[run], l->arena.at, l->state.at, pool, true, err) : SP_OK;
}

static double peak_bytes(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss * 1024;
}

static void profile(const struct sp_exec *x)
{
    struct line line[LINES_MAX];
    double all = 0;
    int lines = 0;
    for (int i = 0; x->seconds && i < x->program->n; i++) {
        int at = 0;
        while (at < lines && line[at].name != x->program->step[i].row->name)
            at++;
        if (at == lines && lines == LINES_MAX)
            continue;
        if (at == lines)
            line[lines++] = (struct line){ .name = x->program->step[i].row->name };
        line[at].seconds += x->seconds[i];
        line[at].n++;
        all += x->seconds[i];
    }
    printf("  program %s, %.3f s in all runs\n", x->program->name, all);
    for (int i = 0; i < lines; i++)
        printf("    %-24s %4d steps %6.2f %%\n", line[i].name, line[i].n, all > 0 ? 100 * line[i].seconds / all : 0);
}

static enum sp_status measure(struct bench *b, const char *path, const struct sp_machine *m, struct sp_pool *pool, struct sp_err *err)
{
    int64_t cache = b->prompt > b->generate ? b->prompt : b->generate;
    struct sp_serve_shape how = { .batch = 1, .prefill = b->prompt, .cache = cache, .compute = SP_F32, .cached = SP_F32 };
    double began = sp_now(), seconds;
    TRY(sp_engine_open(&b->engine, path, NULL, &how, m, pool, err));
    double opened = sp_now() - began;
    for (int i = SP_RUN_PREFILL; b->profile && i <= SP_RUN_DECODE; i++)
        TRY(watch(b, (enum sp_run)i, pool, err));
    struct sp_random r = { .key = SEED };
    for (int64_t i = 0; i < cache; i++)
        b->ids[i] = (int32_t)sp_random_below(&r, (uint64_t)b->engine.job.config.vocab);
    TRY(feed(b, b->prompt, b->prompt, &seconds, err));
    printf("%s\n  loaded after %.3f s, first token of prompt %" PRId64 " after %.3f s\n", path, opened, b->prompt, opened + seconds);
    TRY(rate(b, "prompt", b->prompt, b->prompt, err));
    TRY(rate(b, "generate", b->generate, 1, err));
    printf("  peak memory %.1f MB\n", peak_bytes() / 1e6);
    for (int i = SP_RUN_PREFILL; b->profile && i <= SP_RUN_DECODE; i++)
        profile(&b->engine.live.exec[i]);
    return SP_OK;
}

static int64_t argument(int argc, char **argv, int i, int64_t otherwise)
{
    return argc > i ? strtoll(argv[i], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    struct sp_machine m;
    struct sp_pool *pool;
    struct sp_err err;
    struct bench b = { .prompt = argument(argc, argv, 2, 512), .generate = argument(argc, argv, 3, 128), .rounds = argument(argc, argv, 5, 3), .profile = argc > 6 };
    if (argc < 2 || (!strcmp(argv[1], "make") && argc < 3)) {
        fprintf(stderr, "usage: bench_serve FILE [prompt [generate [threads [rounds [profile]]]]], or bench_serve make FOLDER\n");
        return 2;
    }
    sp_meter_probe(&m, (int)argument(argc, argv, 4, 2));
    if (sp_pool_new(&pool, m.threads, &err))
        return fail(&err);
    if (!strcmp(argv[1], "make"))
        return make(&m, pool, argv[2]);
    b.ids = sp_zalloc((size_t)(b.prompt + b.generate + 1), sizeof *b.ids);
    enum sp_status st = b.ids ? measure(&b, argv[1], &m, pool, &err) : sp_fail(&err, SP_NOMEM, "no memory");
    sp_engine_close(&b.engine);
    sp_free(b.ids);
    sp_pool_free(pool);
    return st ? fail(&err) : 0;
}
