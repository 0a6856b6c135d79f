/* bench/bench_step.c - where the time of a training step goes, by kernel row and shape.
 *
 *   build/bench/bench_step [char|gpt2|mlp|tiny [batch [tokens [threads [f32|bf16 [steps [full|selective]]]]]]]
 *
 * Ids are drawn by chance; sizes, formats and programs are those of `sparsam train`.
 * SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meter/meter.h"
#include "step/step.h"

struct shape { const char *name; struct sp_model_config c; int64_t batch, tokens; };
static const struct shape shapes[] = {
    { "char", { .family = SP_FAMILY_GPT2, .vocab = 65, .context = 256, .layers = 6, .width = 384, .heads = 6, .tied = true, .bos = -1, .activation = SP_GELU }, 16, 256 },
    { "gpt2", { .family = SP_FAMILY_GPT2, .vocab = 50257, .context = 1024, .layers = 12, .width = 768, .heads = 12, .tied = true, .bias = true, .bos = -1,
                .activation = SP_GELU }, 4, 64 },
    { "mlp", { .family = SP_FAMILY_MLP, .inputs = 784, .vocab = 10, .layers = 2, .width = 512, .widths = { 512, 256 }, .context = 1, .bias = true, .bos = -1,
               .activation = SP_RELU }, 128, 1 },
    { "tiny", { .family = SP_FAMILY_LLAMA, .vocab = 2048, .context = 256, .layers = 4, .width = 256, .heads = 4, .tied = true, .bos = -1, .activation = SP_SILU }, 8, 256 },
};

/* ---- one step ---- */

static void fill_ids(struct sp_live *l, const char *name, int64_t n, int64_t vocab)
{
    int32_t *ids = sp_live_at(l, SP_RUN_MICRO, name);
    struct sp_random r = { .key = 3 };
    for (int64_t i = 0; i < n; i++)
        ids[i] = (int32_t)sp_random_below(&r, (uint64_t)vocab);
}

static void step(struct sp_live *l, int number)
{
    const struct sp_train_shape *t = &l->job->train;
    float *weights = sp_live_at(l, SP_RUN_MICRO, "weights");
    float *x = sp_live_at(l, SP_RUN_MICRO, "x");
    for (int64_t i = 0; x && i < t->batch * l->job->config.inputs; i++)
        x[i] = (float)(i % 251) / 251;
    if (!x)
        fill_ids(l, "ids", t->batch * t->tokens, l->job->config.vocab);
    fill_ids(l, "targets", t->batch * t->tokens, l->job->config.vocab);
    for (int64_t i = 0; i < t->batch * t->tokens; i++)
        weights[i] = 1 / (float)(t->batch * t->tokens);
    sp_live_run(l, SP_RUN_MICRO);
    *(float *)sp_live_at(l, SP_RUN_UPDATE, "lr") = 1e-4f;
    *(float *)sp_live_at(l, SP_RUN_UPDATE, "max_norm") = 1;
    *(int32_t *)sp_live_at(l, SP_RUN_UPDATE, "step") = number;
    sp_live_run(l, SP_RUN_UPDATE);
    if (l->job->has[SP_RUN_REFRESH])
        sp_live_run(l, SP_RUN_REFRESH);
}

/* ---- the table ---- */

struct line { char what[80]; double seconds, flops, bytes; int n; };
struct table { struct line line[200]; int n; };

static struct line *line_of(struct table *t, const struct sp_step *s)
{
    char what[80];
    const struct sp_gemm_args *g = (const void *)s->args;
    if (s->kernel == &sp_kernel_gemm)
        snprintf(what, sizeof what, "%s %" PRId64 "x%" PRId64 "x%" PRId64 " trans %d%s", s->row->name, g->m, g->n, g->k, g->trans, g->b_packed ? " packed" : "");
    else
        snprintf(what, sizeof what, "%s", s->row->name);
    for (int i = 0; i < t->n; i++)
        if (!strcmp(t->line[i].what, what))
            return &t->line[i];
    struct line *l = &t->line[t->n < (int)SP_COUNT(t->line) - 1 ? t->n++ : t->n];
    memcpy(l->what, what, sizeof what);
    return l;
}

static void collect(struct table *t, const struct sp_exec *x, int steps)
{
    for (int i = 0; i < x->program->n; i++) {
        const struct sp_step *s = &x->program->step[i];
        struct line *l = line_of(t, s);
        l->seconds += x->seconds[i] / steps, l->flops += s->flops, l->bytes += s->bytes, l->n++;
    }
}

static int by_seconds(const void *a, const void *b)
{
    double x = ((const struct line *)a)->seconds, y = ((const struct line *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void show(struct table *t, double wall)
{
    double flops = 0;
    qsort(t->line, (size_t)t->n, sizeof *t->line, by_seconds);
    printf("%-48s %5s %9s %6s %9s %7s\n", "row", "calls", "ms", "share", "GFLOP/s", "GB/s");
    for (int i = 0; i < t->n; i++) {
        const struct line *l = &t->line[i];
        flops += l->flops;
        printf("%-48s %5d %9.2f %5.1f%% %9.1f %7.1f\n", l->what, l->n, l->seconds * 1e3, 100 * l->seconds / wall, l->flops / l->seconds * 1e-9,
               l->bytes / l->seconds * 1e-9);
    }
    printf("%.1f GFLOP a step, %.1f GFLOP/s over all\n", flops * 1e-9, flops / wall * 1e-9);
}

/* ---- the run ---- */

static int bench(struct sp_live *l, int steps, int threads)
{
    const struct sp_train_shape *s = &l->job->train;
    struct table t = { 0 };
    double best = 1e9;
    step(l, 1);
    for (int r = 0; r < SP_RUNS; r++)
        if (l->job->has[r])
            memset(l->exec[r].seconds, 0, (size_t)l->job->program[r].n * sizeof(double));
    double began = sp_now();
    for (int i = 0; i < steps; i++) {
        double before = sp_now();
        step(l, i + 2);
        best = sp_now() - before < best ? sp_now() - before : best;
    }
    double wall = (sp_now() - began) / steps;
    collect(&t, &l->exec[SP_RUN_MICRO], steps);
    collect(&t, &l->exec[SP_RUN_UPDATE], steps);
    if (l->job->has[SP_RUN_REFRESH])
        collect(&t, &l->exec[SP_RUN_REFRESH], steps);
    show(&t, wall);
    printf("%" PRId64 " parameters, batch %" PRId64 " x %" PRId64 ", %d threads: %.1f ms a step, best %.1f; %.0f tokens/s, best %.0f; arena %.0f MB, state %.0f MB\n",
           l->job->parameters, s->batch, s->tokens, threads, wall * 1e3, best * 1e3, (double)(s->batch * s->tokens) / wall,
           (double)(s->batch * s->tokens) / best, (double)sp_job_arena_bytes(l->job) * 1e-6, (double)l->job->state.bytes * 1e-6);
    return 0;
}

static enum sp_status run(const struct shape *s, int threads, enum sp_format compute, int steps, enum sp_recompute recompute, struct sp_err *err)
{
    struct sp_model_config c = s->c;
    struct sp_train_shape t = { .batch = s->batch, .tokens = s->tokens, .score_batch = -1, .compute = compute, .recompute = recompute,
                                .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };
    struct sp_machine m;
    struct sp_pool *pool;
    struct sp_job job;
    struct sp_live live;
    sp_meter_probe(&m, threads);
    TRY(sp_model_config_finish(&c, err));
    TRY(sp_step_train(&c, &t, &m, NULL, NULL, &job, err));
    TRY(sp_pool_new(&pool, threads, err));
    TRY(sp_live_new(&live, &job, pool, true, err));
    TRY(sp_live_init(&live, 1, err));
    bench(&live, steps, sp_pool_threads(pool));
    sp_live_clear(&live);
    sp_job_clear(&job);
    sp_pool_free(pool);
    return SP_OK;
}

int main(int argc, char **argv)
{
    struct sp_err err = { 0 };
    struct shape s = shapes[0];
    for (size_t i = 0; argc > 1 && i < SP_COUNT(shapes); i++)
        if (!strcmp(argv[1], shapes[i].name))
            s = shapes[i];
    s.batch = argc > 2 ? atol(argv[2]) : s.batch;
    s.tokens = argc > 3 ? atol(argv[3]) : s.tokens;
    s.c.context = s.tokens > s.c.context ? (int)s.tokens : s.c.context;
    bool bf16 = argc > 5 && !strcmp(argv[5], "bf16");
    if (run(&s, argc > 4 ? atoi(argv[4]) : 0, bf16 ? SP_BF16 : SP_F32, argc > 6 ? atoi(argv[6]) : 5, argc <= 7 ? SP_RECOMPUTE_NONE : !strcmp(argv[7], "full") ? SP_RECOMPUTE_FULL : SP_RECOMPUTE_SELECTIVE, &err)) {
        fprintf(stderr, "bench_step: %s\n", err.what);
        return 1;
    }
    return 0;
}
