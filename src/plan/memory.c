/* plan/memory.c - from what each layer holds to what a device holds: optimizers,
 * sharding, the moment when most is alive, what a process takes besides.
 *
 * Sources: Rajbhandari et al. 2020 (ZeRO), Korthikanti et al. 2022 (activations under
 * tensor, sequence and pipeline parallel), Narayanan et al. 2021 (interleaved 1F1B),
 * Dettmers et al. 2022 and 2023 (8-bit and paged optimizers, 4-bit weights).
 * SPDX-License-Identifier: Apache-2.0 */
#include "memory_walk.h"

#include <math.h>
#include <string.h>

#include "../step/step.h"

const char *const sp_holding_names[SP_HOLDINGS] = { "weights", "gradients", "optimizer", "activations", "logits", "cache", "temporary", "overhead" };

/* Fitted on all admitted rows of a table of measured peaks, with its scatter: sparsam plan check memory FILE.csv --constants all */
const struct sp_memory_constants sp_memory_compiled = { .working = 1.05, .fixed = 1.08, .low = 1 / 1.5, .high = 1.5, .low_all = 0.97, .high_all = 1.03 };

/* One device of a pipeline: the layers it has, and what it holds, in bytes. */
struct stage { int64_t index, from, to; double hold[SP_HOLDINGS], host, trained, parameters; };

/* ---- states ---- */

struct sums { double parameters, weights, gathered, trained, owned, moments, adapters, gathered_most, outside, outside_most; };

static struct sums sum_of(const struct sp_walk *w, const struct stage *t)
{
    struct sums u = { 0 };
    bool last = t->to == w->layers;
    for (int64_t i = 0; i < w->n; i++) {
        bool mine = (i == 0 && t->from == 0) || (i == w->layers + 1 && last) || (i > t->from && i <= t->to);
        const struct sp_slot *s = &w->slot[i];
        if (!mine)
            continue;
        u.parameters += s->parameters;
        u.weights += s->weights + s->extra;
        u.gathered += s->gathered;
        u.trained += s->trained;
        u.owned += s->owned;
        u.moments += s->moments;
        u.adapters += s->adapters;
        if (i > 0 && i <= w->layers) {
            u.gathered_most = fmax(u.gathered_most, s->gathered);
            continue;
        }
        u.outside += s->gathered;
        u.outside_most = fmax(u.outside_most, s->gathered);
    }
    return u;
}

/* A shared head that becomes a tensor of its own: of software that unties it, and of a pipeline's last stage. */
static void untie(const struct sp_walk *w, const struct stage *t, struct sums *u)
{
    const struct sp_ask *a = w->a;
    bool apart = w->s->unties ? t->to == w->layers : a->cut.pipeline > 1 && t->to == w->layers && t->from > 0;
    double n = w->table / (double)a->cut.tensor;
    if (!apart || w->s->layers_only)
        return;
    bool trained = a->task != SP_TASK_SERVE && a->method == SP_METHOD_FULL;
    u->parameters += n;
    u->weights += n * (a->bits > 0 && !trained && w->s->quantizes_head ? a->bits / 8 : w->stored);
    u->gathered += n * w->compute;
    u->outside += n * w->compute;
    u->outside_most = fmax(u->outside_most, n * w->compute);
    u->trained += trained ? n : 0;
    u->owned += trained ? n : 0;
    u->moments += trained ? 8 * n : 0;
}

/* Bytes a trained parameter of the model has beside its weight. */
static bool has_master(const struct sp_walk *w)
{
    return sp_ask_mixed(w->a) && !w->s->amp;
}

static double gradient_bytes(const struct sp_walk *w)
{
    return has_master(w) && w->s->gradient > 0 ? w->s->gradient : w->stored;
}

static double adapter_bytes(const struct sp_walk *w)
{
    return w->s->adapter > 0 ? w->s->adapter : sp_ask_mixed(w->a) && w->s->amp ? 4 : w->compute;
}

static double copies(const struct sp_ask *a)
{
    return (double)(a->cut.data * a->cut.context);
}

/* Weights, gradients, optimizer; on the device or on the host. */
static void hold_states(const struct sp_walk *w, const struct sums *u, struct stage *t)
{
    const struct sp_ask *a = w->a;
    double n = copies(a), own = has_master(w) ? 4 : w->stored, ab = adapter_bytes(w);
    double weights = u->weights + u->adapters * ab, gradients = u->trained * gradient_bytes(w) + u->adapters * ab;
    double none = a->optimizer == SP_OPTIMIZER_NONE || a->optimizer == SP_OPTIMIZER_SGD ? 0 : a->optimizer == SP_OPTIMIZER_ADAMW_8BIT ? 2 : 2 * ab;
    double moments = u->moments * (a->optimizer == SP_OPTIMIZER_ADAMW_8BIT ? 1 : own / 4) + u->adapters * none;
    double master = has_master(w) ? u->owned * (4 + w->s->master_gradient) : 0;
    weights /= a->cut.zero >= 3 ? n : 1;
    bool whole = w->s->whole_until_step && a->accumulate > 1;
    gradients /= a->cut.zero >= 2 && !whole ? n : 1;
    moments /= a->cut.zero >= 1 ? n : 1;
    master /= a->cut.zero >= 1 ? n : 1;
    if (w->s->buckets && a->cut.zero == 0 && n > 1)
        t->hold[SP_HOLD_TEMPORARY] += gradients;
    bool paged = a->optimizer == SP_OPTIMIZER_ADAMW_PAGED;
    t->host = a->cut.offload ? moments + master + gradients + (a->cut.zero >= 3 ? weights : 0) : paged ? moments : 0;
    t->hold[SP_HOLD_WEIGHTS] = a->cut.offload && a->cut.zero >= 3 ? 0 : weights;
    t->hold[SP_HOLD_GRADIENTS] = a->cut.offload ? fmin(gradients, u->gathered_most) : gradients;
    t->hold[SP_HOLD_OPTIMIZER] = a->cut.offload ? 0 : master + (paged ? 0 : moments);
    t->trained = u->trained + u->adapters;
    t->parameters = u->parameters + u->adapters;
}

/* ---- activations ---- */

/* Micro-batches that wait at once on stage i of p under 1F1B; the first holds as many as there are stages, and with v
 * pieces a device a share (p - 1) / (p v) more. */
static double in_flight(const struct sp_ask *a, int64_t i)
{
    double p = (double)a->cut.pipeline, v = (double)(a->cut.interleave > 1 ? a->cut.interleave : 1), m = p - (double)i;
    if (p == 1)
        return 1;
    m = v > 1 ? p * (1 + (p - 1) / (p * v)) - (double)i : m;
    return fmin(m, (double)a->accumulate);
}

static double kept_of(const struct sp_walk *w, const struct sp_slot *s)
{
    switch (w->a->recompute) {
    case SP_RECOMPUTE_FULL: return s->enters;
    case SP_RECOMPUTE_SELECTIVE: return s->kept - s->kept_selective;
    default: return s->kept;
    }
}

struct alive { double kept, layer, largest, matrix; };

static struct alive alive_of(const struct sp_walk *w, const struct stage *t)
{
    struct alive v = { 0 };
    for (int64_t i = 0; i < w->n; i++) {
        const struct sp_slot *s = &w->slot[i];
        bool inner = i >= 1 && i <= w->layers;
        if (inner && (i <= t->from || i > t->to))
            continue;
        if ((i == 0 && t->from > 0) || (i > w->layers && t->to < w->layers))
            continue;
        v.kept += inner ? kept_of(w, s) : s->kept;
        v.layer = fmax(v.layer, inner ? s->kept : 0);
        v.largest = fmax(v.largest, s->largest);
        v.matrix = fmax(v.matrix, s->matrix);
    }
    return v;
}

static void hold_logits(const struct sp_walk *w, struct stage *t)
{
    double rows = (double)w->rows, at_once = w->s->loss_chunks > 0 ? ceil(rows / (double)w->s->loss_chunks) : rows;
    at_once = w->s->loss_rows > 0 ? fmin(at_once, (double)w->s->loss_rows) : at_once;
    if (t->to == w->layers)
        t->hold[SP_HOLD_LOGITS] = (rows * w->s->logit_kept + at_once * w->s->logit_working) * (double)w->vocab / (double)w->a->cut.tensor;
}

/* Weights gathered for a layer (two: the next one is on its way), those of no layer for the whole step, and the gradients
 * of both before they are shared. */
static double gathered(const struct sp_walk *w, const struct sums *u)
{
    const struct sp_stack *s = w->s;
    double unit = s->units_apart ? fmax(u->gathered_most, u->outside_most) : u->gathered_most, rest = s->units_apart ? 0 : u->outside;
    if (s->frozen_stay && w->a->method != SP_METHOD_FULL)
        return u->gathered;
    bool whole = s->whole_until_step && w->a->accumulate > 1;
    return 2 * unit + rest + (u->trained > 0 && !whole ? unit + rest : 0);
}

/* Gathered weights, 16-bit copies, dequantised weights, gradients of activations. */
static void hold_temporary(const struct sp_walk *w, const struct sums *u, const struct alive *v, struct stage *t)
{
    const struct sp_ask *a = w->a;
    double *to = &t->hold[SP_HOLD_TEMPORARY];
    if (a->cut.zero >= 3 && copies(a) > 1)
        *to += gathered(w, u);
    else if (sp_ask_mixed(a) && w->s->amp)
        *to += u->trained * w->compute;
    double unpacked = v->matrix > 0 && w->s->keeps_dequantised ? fmax(u->gathered_most * 8 * w->compute / a->bits, v->matrix) : v->matrix;
    *to += unpacked * (a->method == SP_METHOD_DORA ? 3 : 1) + w->s->flow * v->largest;
}

/* What the optimizer's step takes for itself; one that works number by number (8-bit, paged) takes nothing. */
static double step_bytes(const struct sp_walk *w, const struct sums *u)
{
    double share = w->a->cut.zero >= 1 ? copies(w->a) : 1, own = has_master(w) ? 4 : w->stored, each = w->s->step < 0 ? own : w->s->step;
    bool in_tensors = w->a->optimizer == SP_OPTIMIZER_ADAMW || w->a->optimizer == SP_OPTIMIZER_ADAFACTOR || w->a->optimizer == SP_OPTIMIZER_GALORE;
    return w->a->cut.offload || w->s->step_in_backward || !in_tensors ? 0 : (u->owned * each + u->adapters * (w->s->step < 0 ? adapter_bytes(w) : w->s->step)) / share;
}

/* Three moments: the forward pass has ended; the backward pass has ended; the optimizer's step.  Gradients that don't
 * stay are there in the last two only. */
static void hold_working(const struct sp_walk *w, const struct sums *u, struct stage *t)
{
    const struct sp_stack *s = w->s;
    struct alive v = alive_of(w, t);
    double again = w->a->recompute == SP_RECOMPUTE_FULL ? v.layer : 0, held = v.kept * in_flight(w->a, t->index), *h = t->hold;
    if (s->kept_on_host) {
        t->host += held;
        held = 0;
    }
    hold_logits(w, t);
    h[SP_HOLD_ACTIVATIONS] = held + fmax(0, again - h[SP_HOLD_LOGITS]);
    if (s->layers_only)
        return;
    hold_temporary(w, u, &v, t);
    bool stay = s->gradients_stay || w->a->accumulate > 1;
    double gradients = s->step_in_backward ? fmin(h[SP_HOLD_GRADIENTS], u->gathered_most) : h[SP_HOLD_GRADIENTS], step = step_bytes(w, u);
    double forward = h[SP_HOLD_ACTIVATIONS] + h[SP_HOLD_LOGITS] + h[SP_HOLD_TEMPORARY] + (stay ? gradients : 0), back = gradients + v.layer + h[SP_HOLD_TEMPORARY];
    if (forward >= back && forward >= gradients + step) {
        h[SP_HOLD_GRADIENTS] = stay ? gradients : 0;
        return;
    }
    h[SP_HOLD_GRADIENTS] = gradients;
    h[SP_HOLD_ACTIVATIONS] = back >= gradients + step ? v.layer : 0;
    h[SP_HOLD_LOGITS] = 0;
    h[SP_HOLD_TEMPORARY] = back >= gradients + step ? h[SP_HOLD_TEMPORARY] : step;
}

/* ---- serving ---- */

/* Devices that share a cache: at most one a key-value head; latent rows are whole on each. */
static double cache_parts(const struct sp_ask *a)
{
    return a->model.kv_rank > 0 ? 1 : fmin((double)a->cut.tensor, (double)(a->model.kv_heads > 0 ? a->model.kv_heads : 1));
}

static void hold_serving(const struct sp_walk *w, const struct sums *u, struct stage *t)
{
    const struct sp_ask *a = w->a;
    double users = (double)(a->users > 0 ? a->users : 1), bits = a->cache_bits > 0 ? a->cache_bits : fmin(16, 8 * sp_precision_bytes(a->precision));
    double live = 0, matrix = 0, prompt = (double)(a->prompt > 0 ? a->prompt : 1);
    for (int64_t i = 0; i < w->n; i++) {
        live = fmax(live, w->slot[i].live);
        matrix = fmax(matrix, w->slot[i].matrix);
    }
    bool batched = !w->s->prefill; /* whole prompts of all users at once */
    t->hold[SP_HOLD_WEIGHTS] = u->weights;
    t->hold[SP_HOLD_CACHE] = (double)w->cache * users * bits / 16 / cache_parts(a);
    t->hold[SP_HOLD_LOGITS] = users * (w->s->logits_all ? prompt * 6 : 4) * (double)w->vocab / (double)a->cut.tensor;
    t->hold[SP_HOLD_TEMPORARY] = live * (batched ? users : 1) + (w->s->prefill ? 0 : matrix) + w->s->cache_slack * t->hold[SP_HOLD_CACHE];
    t->parameters = u->parameters;
}

/* ---- all of it ---- */

static double total(const struct stage *t)
{
    double sum = 0;
    for (int i = 0; i < SP_HOLDINGS; i++)
        sum += t->hold[i];
    return sum;
}

static struct stage stage_of(const struct sp_walk *w, int64_t i)
{
    int64_t p = w->a->cut.pipeline, each = (w->layers + p - 1) / p;
    struct stage t = { .index = i, .from = i * each, .to = (i + 1) * each };
    t.to = t.to > w->layers ? w->layers : t.to;
    t.from = t.from > t.to ? t.to : t.from;
    struct sums u = sum_of(w, &t);
    untie(w, &t, &u);
    if (w->a->task == SP_TASK_SERVE) {
        hold_serving(w, &u, &t);
        return t;
    }
    hold_states(w, &u, &t);
    hold_working(w, &u, &t);
    return t;
}

static struct stage fullest(const struct sp_walk *w)
{
    struct stage most = stage_of(w, 0);
    for (int64_t i = 1; i < w->a->cut.pipeline; i++) {
        struct stage t = stage_of(w, i);
        if (total(&t) > total(&most))
            most = t;
    }
    return most;
}

static bool is_working(int i)
{
    return i == SP_HOLD_ACTIVATIONS || i == SP_HOLD_LOGITS || i == SP_HOLD_TEMPORARY;
}

static void figures(const struct stage *t, const struct sp_stack *s, const struct sp_memory_constants *k, bool served, struct sp_memory_plan *p)
{
    bool counted = s->layers_only; /* a paper's own count is no prediction */
    for (int i = 0; i < SP_HOLDINGS; i++) {
        double v = t->hold[i];
        p->hold[i] = is_working(i) && !counted ? sp_range(v * k->working * k->low, v * k->working, v * k->working * k->high, SP_HOW_MODEL)
                                               : sp_exact(v, SP_HOW_MODEL);
        p->allocated = sp_figure_add(p->allocated, p->hold[i]);
    }
    if (!counted) {
        p->allocated.low *= k->low_all * (served ? SP_MEMORY_SERVED_LOW : 1);
        p->allocated.high *= k->high_all;
    }
    double fixed = s->fixed * k->fixed;
    p->hold[SP_HOLD_OVERHEAD] = fixed > 0 ? sp_range(0.5 * fixed, fixed, 1.7 * fixed, SP_HOW_ASSUMED) : sp_exact(0, SP_HOW_MODEL);
    p->device = sp_figure_add(p->allocated, p->hold[SP_HOLD_OVERHEAD]);
    p->host = sp_exact(t->host, SP_HOW_MODEL);
    p->trained = t->trained;
    p->parameters = t->parameters;
    p->stack = s->name;
}

struct sp_figure sp_memory_reported(const struct sp_memory_plan *p, const struct sp_stack *s)
{
    return s->reports == SP_REPORTS_ALLOCATED ? p->allocated : p->device;
}

static void explain_states(struct sp_explain *e, const struct sp_walk *w, const struct sums *u, const struct stage *t)
{
    char b[5][32];
    const struct sp_ask *a = w->a;
    double n = copies(a);
    sp_explain(e, "weights: %s parameters, %g bytes each as %s and %g as computed with; stored %s%s", sp_show_number(u->parameters, b[0], sizeof b[0]), w->stored,
               sp_precision_names[a->precision], w->compute, sp_show_bytes(u->weights, b[1], sizeof b[1]), a->cut.zero >= 3 && n > 1 ? ", shared among copies" : "");
    if (a->task == SP_TASK_SERVE)
        return;
    sp_explain(e, "trained: %s of the model's own and %s of adapters (%s, %g bytes each)", sp_show_number(u->trained, b[0], sizeof b[0]),
               sp_show_number(u->adapters, b[1], sizeof b[1]), sp_method_names[a->method], adapter_bytes(w));
    sp_explain(e, "gradients: %s x %g bytes; optimizer %s: %s of moments at 4 bytes a number, kept in %g, and a master of %g bytes; copies %g, ZeRO stage %lld%s",
               sp_show_number(u->trained, b[0], sizeof b[0]), gradient_bytes(w), sp_optimizer_names[a->optimizer], sp_show_bytes(u->moments, b[1], sizeof b[1]),
               has_master(w) ? 4.0 : w->stored, has_master(w) ? 4 + w->s->master_gradient : 0, n, (long long)a->cut.zero, a->cut.offload ? ", on the host" : "");
    if (t->host > 0)
        sp_explain(e, "on the host, for this device: %s", sp_show_bytes(t->host, b[0], sizeof b[0]));
}

static void explain_working(struct sp_explain *e, const struct sp_walk *w, const struct stage *t)
{
    char b[4][32];
    const struct sp_slot *s = &w->slot[w->layers > 0];
    double step = total(t) - t->hold[SP_HOLD_WEIGHTS] - t->hold[SP_HOLD_OPTIMIZER] - t->hold[SP_HOLD_GRADIENTS] - t->hold[SP_HOLD_TEMPORARY];
    sp_explain(e, "layer 1 keeps %s for the backward pass at %lld rows; selective recomputation spares %s of it, and %s enter it (Korthikanti et al. 2022)",
               sp_show_bytes(s->kept, b[0], sizeof b[0]), (long long)w->rows, sp_show_bytes(s->kept_selective, b[1], sizeof b[1]),
               sp_show_bytes(s->enters, b[2], sizeof b[2]));
    sp_explain(e, "micro-batches in flight: %g; logits: %lld rows x %lld words x (%g bytes kept + %g while the loss is made)", in_flight(w->a, t->index),
               (long long)w->rows, (long long)w->vocab, w->s->logit_kept, w->s->logit_working);
    sp_explain(e, "most is held %s", step > 0 ? "while activations wait for the backward pass" : "in the optimizer's step");
}

static void explain_plan(struct sp_explain *e, const struct sp_walk *w, const struct stage *t, const struct sp_memory_constants *k)
{
    char b[32];
    if (!e)
        return;
    struct sums u = sum_of(w, t);
    untie(w, t, &u);
    sp_explain(e, "stack %s (%s): %s", w->s->name, w->s->help, w->s->source);
    sp_explain(e, "the fullest device has layers %lld to %lld of %lld, a part in %lld of each", (long long)t->from + 1, (long long)t->to, (long long)w->layers,
               (long long)w->a->cut.tensor);
    explain_states(e, w, &u, t);
    if (w->a->task != SP_TASK_SERVE)
        explain_working(e, w, t);
    for (int i = 0; i < SP_HOLDINGS - 1; i++)
        if (t->hold[i] > 0)
            sp_explain(e, "%s: %s%s", sp_holding_names[i], sp_show_bytes(t->hold[i], b, sizeof b), is_working(i) ? ", before the factor below" : "");
    sp_explain(e, "learned from runs (sparsam plan check memory): a factor %g on activations, logits and temporary buffers; a process takes %s x %g before it begins",
               k->working, sp_show_bytes(w->s->fixed, b, sizeof b), k->fixed);
}

/* ---- this program itself: the layout that runs ---- */

static enum sp_status own_layout(const struct sp_ask *a, const struct sp_stack *s, struct sp_memory_plan *out, struct sp_err *err)
{
    static const int holds[SP_MEM_KINDS] = { [SP_MEM_WEIGHTS] = SP_HOLD_WEIGHTS, [SP_MEM_GRADIENTS] = SP_HOLD_GRADIENTS, [SP_MEM_OPTIMIZER] = SP_HOLD_OPTIMIZER,
                                             [SP_MEM_ACTIVATIONS] = SP_HOLD_ACTIVATIONS, [SP_MEM_CACHE] = SP_HOLD_CACHE, [SP_MEM_PACKED] = SP_HOLD_TEMPORARY,
                                             [SP_MEM_DATA] = SP_HOLD_TEMPORARY, [SP_MEM_PROGRAM] = SP_HOLD_TEMPORARY };
    enum sp_format compute = a->precision == SP_PRECISION_F32 ? SP_F32 : SP_BF16;
    struct sp_train_shape t = { .batch = a->batch, .tokens = a->context, .score_batch = -1, .compute = compute, .dropout = a->dropout,
                                .recompute = (enum sp_recompute)a->recompute, .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL, 0, 0 } };
    struct sp_serve_shape v = { .batch = a->users, .prefill = a->prompt, .cache = a->context, .compute = compute, .stored = SP_F32, .cached = compute };
    int64_t bytes[SP_MEM_KINDS];
    struct stage fill = { 0 };
    struct sp_job j;
    struct sp_memory_constants exact = { 1, 1, 1, 1, 1, 1 };
    TRY(a->task == SP_TASK_SERVE ? sp_step_serve(&a->model, &v, &a->machine, NULL, NULL, &j, err) : sp_step_train(&a->model, &t, &a->machine, NULL, NULL, &j, err));
    sp_job_memory(&j, a->machine.threads > 0 ? a->machine.threads : 1, bytes);
    for (int i = 0; i < SP_MEM_KINDS; i++)
        fill.hold[holds[i]] += (double)bytes[i];
    fill.parameters = (double)j.parameters;
    fill.trained = (double)j.trainable;
    sp_job_clear(&j);
    figures(&fill, s, &exact, false, out);
    return SP_OK;
}

static bool runs_itself(const struct sp_ask *a, const struct sp_stack *s)
{
    const struct sp_sharding *c = &a->cut;
    return !strcmp(s->name, "sparsam") && a->method == SP_METHOD_FULL && a->optimizer == SP_OPTIMIZER_ADAMW && !(a->bits > 0) &&
           c->data * c->tensor * c->pipeline * c->context <= 1;
}

/* ---- the door ---- */

static void judge(const struct sp_ask *a, struct sp_memory_plan *p)
{
    p->device_bytes = a->machine.device.count > 0 ? a->machine.device.memory_bytes : (double)a->machine.memory_bytes;
    p->fits = p->device_bytes > 0 && p->device.high <= p->device_bytes;
    p->cut = a->cut;
}

void sp_memory_of_walk(const struct sp_walk *w, const struct sp_memory_constants *k, struct sp_memory_plan *out, struct sp_explain *explain)
{
    struct stage t = fullest(w);
    *out = (struct sp_memory_plan){ 0 };
    figures(&t, w->s, k, w->a->task == SP_TASK_SERVE, out);
    out->trained = w->trained;
    explain_plan(explain, w, &t, k);
    judge(w->a, out);
}

enum sp_status sp_plan_memory_with(const struct sp_ask *a, const struct sp_stack *s, const struct sp_memory_constants *k, struct sp_memory_plan *out,
                                   struct sp_explain *explain, struct sp_err *err)
{
    struct sp_memory_plan p = { 0 };
    struct sp_ask whole = *a; /* 0 is one */
    struct sp_walk w;
    int64_t *ones[] = { &whole.cut.data, &whole.cut.tensor, &whole.cut.pipeline, &whole.cut.expert, &whole.cut.context, &whole.accumulate };
    for (size_t i = 0; i < SP_COUNT(ones); i++)
        *ones[i] = *ones[i] > 0 ? *ones[i] : 1;
    a = &whole;
    if (runs_itself(a, s)) {
        TRY(own_layout(a, s, &p, err));
        sp_explain(explain, "stack sparsam: the sum of what the layout of its programs takes, exact to the byte");
    } else {
        TRY(sp_memory_walk(a, s, &w, err));
        sp_memory_of_walk(&w, k, &p, explain);
        sp_walk_clear(&w);
    }
    judge(a, &p);
    *out = p;
    return SP_OK;
}

enum sp_status sp_plan_memory(const struct sp_ask *a, struct sp_memory_plan *out, struct sp_explain *explain, struct sp_err *err)
{
    const struct sp_stack *s;
    TRY(sp_stack_find(a->stack, a->task, &s, err));
    return sp_plan_memory_with(a, s, &sp_memory_compiled, out, explain, err);
}
