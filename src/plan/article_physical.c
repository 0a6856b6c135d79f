/* plan/article_physical.c - the same models on the same GPUs as the planner sees
 * them: counted memory, time by the efficiency of published runs, measured watts.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "../catalog/catalog.h"
#include "article_inner.h"
#include "energy.h"
#include "fit.h"
#include "memory.h"
#include "hours.h"

static const char V100[] = "v100-sxm2-32gb", A100[] = "a100-sxm4-80gb*64"; /* of the catalogue */

enum { MOST = 4096 /* copies of a model */ };

/* Tokens a step and of the run as published (Brown et al. 2020, table 2.1; Touvron et al. 2023, table 1).  Of 20B nothing
 * is: a typical shape, and the data of the largest. */
static const struct { const char *name; double step_tokens, tokens; } jobs[SP_ARTICLE_OWN] = {
    { "gpt-3-175b", 3.2e6, 300e9 }, { NULL, 3.2e6, 300e9 }, { "llama-2-7b", 4e6, 2e12 },
};

static enum sp_status model_of(const struct sp_article *in, int m, struct sp_ask *a, struct sp_err *err)
{
    char number[40];
    if (m < SP_ARTICLE_OWN && jobs[m].name)
        return sp_ask_model(a, jobs[m].name, err);
    sp_format(number, sizeof number, "params=%.0f", in->parameters[m]);
    TRY(sp_ask_model(a, number, err));
    a->model_name = in->name[m];
    return SP_OK;
}

static enum sp_status ask_of(const struct sp_article *in, int m, const struct sp_machine *on, struct sp_ask *a, struct sp_err *err)
{
    struct sp_option_set set = { sp_ask_train_options, a };
    *a = (struct sp_ask){ .task = SP_TASK_TRAIN };
    sp_option_defaults(&set, 1);
    TRY(model_of(in, m, a, err));
    a->tokens = m == SP_ARTICLE_OWN ? in->in.tokens_per_parameter * a->parameters : jobs[m].tokens;
    a->epochs = in->in.epochs;
    a->precision = SP_PRECISION_FP16_MIXED;
    a->recompute = SP_RECOMPUTE_FULL;
    a->context = a->model.context;
    a->cut.zero = 3;
    a->machine = *on;
    return SP_OK;
}

/* Copies that share weights, gradients and optimizer among them (ZeRO 3), a sequence each at a time. */
static enum sp_status spread(struct sp_ask *a, double devices, double step_tokens, struct sp_err *err)
{
    double tensor = (double)a->cut.tensor, copies = ceil(devices / tensor);
    a->machine.device.count = (int)(copies * tensor);
    a->cut.data = (int64_t)copies;
    a->accumulate = (int64_t)fmax(1, round(step_tokens / (double)a->context / copies));
    return sp_ask_finish(a, err);
}

static enum sp_status memory_of(const struct sp_ask *a, int64_t copies, struct sp_memory_plan *memory, struct sp_err *err)
{
    struct sp_ask b = *a;
    TRY(spread(&b, (double)(copies * b.cut.tensor), 1, err));
    return sp_plan_memory(&b, memory, NULL, err);
}

/* The fewest copies that hold it.  What copies share falls as 1 / copies, so two points say about where; then one by one. */
static enum sp_status fewest(const struct sp_ask *a, const struct sp_memory_plan *most, int64_t *copies, struct sp_memory_plan *memory, struct sp_err *err)
{
    enum { FEW = 16 };
    struct sp_memory_plan few;
    TRY(memory_of(a, FEW, &few, err));
    double shared = (few.device.high - most->device.high) / (1.0 / FEW - 1.0 / MOST), fixed = most->device.high - shared / MOST;
    int64_t n = (int64_t)fmin(MOST, fmax(1, ceil(shared / (most->device_bytes - fixed))));
    TRY(memory_of(a, n, memory, err));
    while (!memory->fits && n < MOST)
        TRY(memory_of(a, ++n, memory, err));
    while (n > 1) {
        TRY(memory_of(a, n - 1, &few, err));
        if (!few.fits)
            break;
        *memory = few;
        n--;
    }
    *copies = n;
    return SP_OK;
}

/* Where no number of copies holds it, layers are cut among the devices of a node, as few as do. */
static enum sp_status hold(struct sp_ask *a, int64_t *devices, struct sp_memory_plan *memory, struct sp_err *err)
{
    int64_t copies = 0;
    for (;; a->cut.tensor *= 2) {
        TRY(memory_of(a, MOST, memory, err));
        if (memory->fits)
            break;
        if (2 * a->cut.tensor > a->machine.device.per_node)
            return sp_fail(err, SP_LIMIT, "%s: no number of %s holds it", a->model_name, a->machine.device.name);
    }
    const struct sp_memory_plan most = *memory;
    TRY(fewest(a, &most, &copies, memory, err));
    *devices = copies * a->cut.tensor;
    return SP_OK;
}

static struct sp_figure draw_of(const struct sp_energy_plan *e)
{
    return sp_figure_mul(sp_figure_add(sp_figure_add(e->device_w, e->host_w), e->network_w), e->pue);
}

static enum sp_status fill(struct sp_article *out, int m, const struct sp_machine *on, struct sp_err *err)
{
    struct sp_ask a;
    struct sp_memory_plan memory;
    struct sp_time_plan time;
    struct sp_energy_plan energy;
    struct sp_article_cell *c = out->cell[m];
    int64_t needed = 0;
    TRY(ask_of(out, m, on, &a, err));
    TRY(hold(&a, &needed, &memory, err));
    double gpus = fmax((double)needed, c[SP_ARTICLE_GPUS].computed);
    TRY(spread(&a, gpus, m < SP_ARTICLE_OWN ? jobs[m].step_tokens : jobs[0].step_tokens, err));
    TRY(sp_plan_time(&a, &time, NULL, err));
    TRY(sp_plan_energy(&a, SP_LOAD_TRAINING, time.device_hours, &energy, NULL, err));
    c[SP_ARTICLE_MEMORY].physical = sp_figure_scale(memory.device, (double)needed / 1e9);
    c[SP_ARTICLE_NEEDED].physical = sp_exact((double)needed, SP_HOW_MODEL);
    gpus = a.machine.device.count;
    c[SP_ARTICLE_GPUS].physical = sp_exact(gpus, SP_HOW_MODEL);
    c[SP_ARTICLE_PF_DAYS].physical = sp_exact(time.flops / PF_DAY, SP_HOW_MODEL);
    c[SP_ARTICLE_TOKENS].physical = sp_exact(time.tokens / 1e9, SP_HOW_ASSUMED);
    c[SP_ARTICLE_GPU_DAYS].physical = sp_figure_scale(time.device_hours, 1.0 / 24);
    c[SP_ARTICLE_DAYS].physical = sp_figure_scale(time.run_s, 1.0 / 86400);
    c[SP_ARTICLE_POWER].physical = sp_figure_scale(draw_of(&energy), gpus / 1000);
    c[SP_ARTICLE_ENERGY].physical = energy.kwh;
    c[SP_ARTICLE_MONEY].physical = sp_figure_scale(time.device_hours, out->in.price);
    return SP_OK;
}

static enum sp_status fill_a100(struct sp_article *out, const struct sp_machine *on, struct sp_err *err)
{
    struct sp_ask a;
    struct sp_time_plan time;
    TRY(ask_of(out, SP_ARTICLE_LLAMA2, on, &a, err));
    a.precision = SP_PRECISION_BF16_MIXED;
    a.recompute = SP_RECOMPUTE_NONE; /* there is room */
    TRY(spread(&a, on->device.count, jobs[SP_ARTICLE_LLAMA2].step_tokens, err));
    TRY(sp_plan_time(&a, &time, NULL, err));
    out->a100_hours = time.device_hours;
    return SP_OK;
}

static enum sp_status places(struct sp_machine *v100, struct sp_machine *a100, struct sp_err *err)
{
    struct sp_catalog *facts;
    *v100 = *a100 = (struct sp_machine){ 0 };
    TRY(sp_catalog_open(&facts, err));
    enum sp_status st = sp_catalog_place(facts, V100, v100, err);
    if (!st)
        st = sp_catalog_place(facts, A100, a100, err);
    sp_catalog_free(facts);
    return st;
}

/* Tokens at which a model of this size is the best of all that take as much compute: the law's best size grows with it. */
static double tokens_by_law(const struct sp_law *l, double parameters)
{
    double low = 0, high = 80; /* ln FLOP */
    for (int i = 0; i < 100; i++) {
        double middle = (low + high) / 2;
        if (sp_law_best(l, exp(middle)).parameters < parameters)
            low = middle;
        else
            high = middle;
    }
    return sp_law_best(l, exp(high)).tokens;
}

enum sp_status sp_article_physical(struct sp_article *out, struct sp_err *err)
{
    struct sp_machine v100, a100;
    TRY(places(&v100, &a100, err));
    for (int m = 0; m < SP_ARTICLE_OWN; m++)
        TRY(fill(out, m, &v100, err));
    struct sp_err own = { 0 };
    if (out->models > SP_ARTICLE_OWN && fill(out, SP_ARTICLE_OWN, &v100, &own)) /* its rule of thumb stands all the same */
        sp_article_cannot(out, own.what);
    for (int i = 0; i < SP_ARTICLE_OPTIMALS; i++)
        out->optimal[i].by_law = tokens_by_law(&sp_laws[0], out->optimal[i].parameters);
    return fill_a100(out, &a100, err);
}
