/* plan/hours.c - the time of training on devices: counted arithmetic, the slowness of
 * published runs, and what this job's own links add where they are slower than theirs.
 *
 * What published runs needed holds their links and their waiting.  So parts by data
 * sheet are not added to it: the job takes the longer of the two, the learned time
 * and the sum of its parts at the best that kernels were seen to reach.
 * SPDX-License-Identifier: Apache-2.0 */
#include "hours.h"

#include <math.h>

#include "efficiency.h"
#include "work.h"

/* Parameters that adapters add, and so what is exchanged and updated for them, over the model's; assumed. */
static const double ADAPTERS = 0.01;
/* Arithmetic of what selective recomputation repeats (activations, norms) over that of a step; assumed, it has no products. */
static const double CHEAP_AGAIN = 0.02;
/* The best share of the peak that whole steps were seen to reach; matrix products alone reach more. */
static const double BEST = 0.65;
/* Of the hours of a run, the share in which steps advance it: rows of published runs that name a utilisation of their
 * steps beside their hours (PaLM 0.67, TinyLlama 0.90, Gopher 0.93; Llama 3's report says over 0.90). */
static const struct sp_figure ADVANCING = { 0.67, 0.90, 0.97, SP_HOW_MODEL };
/* Frozen 4-bit weights are widened before each product: time of QLoRA over LoRA, nine pairs of litgpt's table. */
static const double QLORA = 1.44;
/* What nobody published is printed wider than what was seen. */
static const double UNSEEN_JOB = 1.35;
/* A gradient is ready while the backward pass goes on: this share of the arithmetic hides it. */
static const double HIDES = 2.0 / 3;
/* Devices that share the experts of a mixture where nobody says how many (DeepSeek-V3: 64). */
enum { EXPERTS_SPREAD = 64 };
/* Between nodes where the catalogue says nothing: 100 Gbit/s. */
static const double NET_UNKNOWN = 12.5e9;
static const double DEADLINE_DEVICES_MAX = 1 << 20;
/* Bytes of memory an update moves for a trained parameter: weight 16 bits and f32, gradient, moments read and written. */
static const double update_bytes[] = { [SP_OPTIMIZER_ADAMW] = 30, [SP_OPTIMIZER_ADAMW_8BIT] = 18, [SP_OPTIMIZER_ADAMW_PAGED] = 30, [SP_OPTIMIZER_ADAFACTOR] = 15,
                                       [SP_OPTIMIZER_GALORE] = 13, [SP_OPTIMIZER_SGD] = 14, [SP_OPTIMIZER_NONE] = 0 };

const char *const sp_time_part_names[SP_TIME_PARTS] = { "arithmetic", "memory", "update", "gradients", "tensor parallel", "pipeline" };

/* ---- what is trained ---- */

static bool all_trained(const struct sp_ask *a)
{
    return a->method == SP_METHOD_FULL;
}

/* Frozen weights get no gradient of their own: one product less of three. */
static double passes(const struct sp_ask *a)
{
    return all_trained(a) ? 3 : 2;
}

static double trained(const struct sp_ask *a)
{
    return all_trained(a) ? a->parameters : ADAPTERS * a->parameters;
}

/* Share of the arithmetic on top that is computed again. */
static double again(const struct sp_ask *a)
{
    return a->recompute == SP_RECOMPUTE_FULL ? 1 / passes(a) : a->recompute == SP_RECOMPUTE_SELECTIVE ? CHEAP_AGAIN : 0;
}

/* ---- the parts, from data sheets ---- */

static double node_size(const struct sp_device *d)
{
    return d->per_node > 0 ? d->per_node : 8;
}

/* Seconds to exchange so many bytes among n devices in rings: within each node over its links, then every device of a
 * node carries its part between the nodes. */
static double exchange(const struct sp_device *d, double bytes, double times, double n)
{
    double inside = fmin(n, node_size(d)), nodes = ceil(n / inside), net = d->net_bytes_per_s > 0 ? d->net_bytes_per_s : NET_UNKNOWN;
    double link = d->link_bytes_per_s > 0 ? d->link_bytes_per_s : net;
    return times * bytes * ((inside - 1) / inside / link + (nodes - 1) / nodes / inside / net);
}

/* Published runs were cut so that links did not hold them up.  So is a job on several nodes of which nobody says how. */
static bool cut_is_said(const struct sp_ask *a)
{
    const struct sp_sharding *c = &a->cut;
    return c->tensor > 1 || c->pipeline > 1 || c->context > 1 || c->expert > 1 || c->zero > 0 || (double)sp_ask_devices(a) <= node_size(&a->machine.device);
}

/* Sequences whose tokens meet at one expert: those of all devices that share the experts. */
static int64_t sequences(const struct sp_ask *a)
{
    int64_t own = a->batch > 0 ? a->batch : 1, shared = a->cut.expert;
    if (a->model.experts > 1 && !cut_is_said(a))
        shared = sp_ask_devices(a) < EXPERTS_SPREAD ? sp_ask_devices(a) : EXPERTS_SPREAD;
    return a->model.experts > 1 && shared > 1 ? own * shared : own;
}

/* Gradients that copies tell each other: experts are copied less often. */
static double exchanged(const struct sp_ask *a)
{
    double always = a->active > 0 && a->cut.expert > 1 ? a->active / a->parameters : 1;
    return trained(a) * (always + (1 - always) / (double)(a->cut.expert > 0 ? a->cut.expert : 1));
}

static void add_parts(const struct sp_ask *a, const struct sp_work *w, struct sp_time_plan *p)
{
    const struct sp_sharding *c = &a->cut;
    const struct sp_device *d = &a->machine.device;
    double model = (double)(c->tensor * c->pipeline), width = sp_precision_bytes(a->precision), tokens = p->tokens_step / (double)c->data;
    double own = tokens / (model * (double)c->context), arithmetic = passes(a) * own * w->arithmetic_s;
    double shards = c->zero > 0 || !cut_is_said(a) ? (double)c->data : 1, weights = width * a->parameters / model;
    p->part_s[SP_TIME_ARITHMETIC] = arithmetic * (1 + p->flops_again);
    p->part_s[SP_TIME_MEMORY] = passes(a) * own * w->waiting_s;
    if (d->bytes_per_s > 0)
        p->part_s[SP_TIME_UPDATE] = update_bytes[a->optimizer] * trained(a) / model / shards / d->bytes_per_s;
    if (cut_is_said(a))
        p->part_s[SP_TIME_DATA] = exchange(d, width * exchanged(a) / model, 2, (double)c->data);
    if (c->zero == 3)
        p->part_s[SP_TIME_DATA] += exchange(d, weights, 2 * (double)a->accumulate, (double)c->data);
    double carried = own * (double)c->tensor * w->streams * width * (double)w->layers / (double)c->pipeline;
    p->part_s[SP_TIME_TENSOR] = exchange(d, carried, 8, (double)c->tensor);
    p->part_s[SP_TIME_PIPELINE] = (double)(c->pipeline - 1) / (double)a->accumulate * p->part_s[SP_TIME_ARITHMETIC] / BEST;
}

/* An update cannot be faster than this. */
static double sum_of_parts(const struct sp_time_plan *p)
{
    const double *s = p->part_s;
    double exposed = fmax(0, s[SP_TIME_DATA] - HIDES * s[SP_TIME_ARITHMETIC] / BEST);
    return s[SP_TIME_ARITHMETIC] / BEST + s[SP_TIME_MEMORY] + s[SP_TIME_UPDATE] + exposed + s[SP_TIME_TENSOR] + s[SP_TIME_PIPELINE];
}

static enum sp_time_part largest(const struct sp_time_plan *p)
{
    enum sp_time_part most = SP_TIME_ARITHMETIC;
    for (int i = 0; i < SP_TIME_PARTS; i++)
        most = p->part_s[i] > p->part_s[most] ? (enum sp_time_part)i : most;
    return most;
}

/* ---- the answer ---- */

static enum sp_status check_ask(const struct sp_ask *a, struct sp_peak *rate, struct sp_err *err)
{
    if (a->machine.device.count < 1) {
        sp_fail(err, SP_USAGE, "training on a processor is planned from measured rates");
        return sp_remedy(err, "--on this plans it; --on a100-80gb*8 plans devices");
    }
    if (!(a->tokens > 0)) {
        sp_fail(err, SP_USAGE, "the time of training needs a number of tokens");
        return sp_remedy(err, "--tokens 2T");
    }
    return sp_device_peak(&a->machine.device, a->precision, rate, err);
}

/* As published runs: all weights trained in 16 bits or less, on devices of a kind that was seen. */
static bool was_seen(const struct sp_ask *a)
{
    return all_trained(a) && a->machine.device.memory_bytes >= 32e9 && a->precision != SP_PRECISION_F32;
}

static void set_figures(const struct sp_ask *a, double slowness, double spread, struct sp_time_plan *p)
{
    double devices = (double)sp_ask_devices(a), wide = exp(spread), hours = slowness * p->flops / p->peak_flops / 3600;
    enum sp_how how = was_seen(a) ? SP_HOW_MODEL : SP_HOW_ASSUMED;
    p->device_hours = sp_range(hours / wide, hours, hours * wide, how);
    p->run_s = sp_figure_scale(p->device_hours, 3600 / devices);
    p->efficiency = sp_range(1 / slowness / wide, 1 / slowness, fmin(1, wide / slowness), how);
    p->run_share = ADVANCING;
    double step = fmin(1, 1 / slowness / ADVANCING.likely), step_wide = sqrt(wide);
    p->step_efficiency = sp_range(step / step_wide, step, fmin(1, step * step_wide), how);
    double s = p->tokens_step * p->flops_token / (p->peak_flops * devices);
    p->step_s = sp_range(s / p->step_efficiency.high, s / step, s / p->step_efficiency.low, how);
    p->tokens_s = sp_range(p->tokens_step / p->step_s.high, p->tokens_step / p->step_s.likely, p->tokens_step / p->step_s.low, how);
}

static void explain_it(struct sp_explain *x, const struct sp_ask *a, const struct sp_terms *t, const struct sp_work *w, const struct sp_time_plan *p)
{
    const struct sp_efficiency *e = &sp_efficiency_published;
    sp_explain(x, "arithmetic of a token = %g passes x (%.4g matrix + %.4g attention) = %.4g FLOP, from the graph at context %lld; 6 x %.4g parameters = %.4g",
               passes(a), w->matmul, w->attention, p->flops_token, (long long)a->context, a->active > 0 ? a->active : a->parameters, p->flops_token_6n);
    sp_explain(x, "run = %.4g FLOP a token x %.4g tokens = %.4g FLOP; %.1f %% of it computed again", p->flops_token, p->tokens, p->flops, 100 * p->flops_again);
    sp_explain(x, "slowness = %.3f x (1 + %.3f waiting for memory) + %.3f x %.3f beyond one node + %.3f x %.3f little memory = %.3f, learned from %d published runs of %d "
               "families (sparsam plan check training FILE.csv)", e->k[0], t->v[0] - 1, e->k[1], t->v[1], e->k[2], t->v[2], sp_efficiency_slowness(e, t), e->rows,
               e->families);
    for (int i = 0; i < SP_TIME_PARTS; i++)
        if (p->part_s[i] > 0)
            sp_explain(x, "an update by data sheet: %.4g s of %s", p->part_s[i], sp_time_part_names[i]);
    sp_explain(x, "device-hours = %.4g FLOP / (%.4g FLOP/s x 3600 x utilisation %.3f) = %.4g; utilisation of the run %.3f, of a steady step %.3f (%.2f of the hours advance it)",
               p->flops, p->peak_flops, p->efficiency.likely, p->device_hours.likely, p->efficiency.likely, p->step_efficiency.likely, p->run_share.likely);
}

static int64_t context_of(const struct sp_ask *a)
{
    return a->context > 0 ? a->context : a->model.context;
}

static enum sp_status count_work(const struct sp_ask *a, struct sp_peak *rate, struct sp_work *w, struct sp_err *err)
{
    TRY(check_ask(a, rate, err));
    struct sp_rate_of d = { rate->pace, a->machine.device.bytes_per_s, sp_precision_bytes(a->precision) };
    return sp_work_count(&a->model, sequences(a), context_of(a), &d, a->memo, w, err);
}

/* The plan of a job whose token is counted. */
static struct sp_time_plan plan_of(const struct sp_ask *a, const struct sp_work *w, struct sp_peak rate, struct sp_explain *explain)
{
    struct sp_time_plan p = { .rows = sp_efficiency_published.rows, .peak_flops = rate.peak, .flops_again = again(a) };
    p.flops_token = passes(a) * (w->matmul + w->attention);
    p.flops_token_6n = 6 * (a->active > 0 ? a->active : a->parameters);
    p.tokens = a->tokens * (a->epochs > 0 ? a->epochs : 1);
    p.flops = p.flops_token * p.tokens;
    p.tokens_step = (double)(a->batch > 0 ? a->batch : 1) * (double)context_of(a) * (double)a->accumulate * (double)a->cut.data;
    p.steps = ceil(p.tokens / p.tokens_step);
    add_parts(a, w, &p);
    p.bound = largest(&p);
    struct sp_terms t = sp_terms_of(w->waiting_s / w->arithmetic_s, &a->machine.device, rate.pace, sp_ask_devices(a));
    double learned = sp_efficiency_slowness(&sp_efficiency_published, &t) * (1 + p.flops_again) * (a->method == SP_METHOD_QLORA ? QLORA : 1);
    double ideal = p.part_s[SP_TIME_ARITHMETIC] / (1 + p.flops_again), of_parts = sum_of_parts(&p) / ideal / ADVANCING.likely;
    set_figures(a, fmax(learned, of_parts) * rate.peak / rate.pace, sp_efficiency_published.spread * (was_seen(a) ? 1 : UNSEEN_JOB), &p);
    explain_it(explain, a, &t, w, &p);
    if (of_parts > learned)
        sp_explain(explain, "the parts of this job alone take %.2f times as long as published runs did; the largest of them is %s", of_parts / learned,
                   sp_time_part_names[p.bound]);
    return p;
}

enum sp_status sp_plan_time(const struct sp_ask *a, struct sp_time_plan *out, struct sp_explain *explain, struct sp_err *err)
{
    struct sp_work w;
    struct sp_peak rate;
    TRY(count_work(a, &rate, &w, err));
    *out = plan_of(a, &w, rate, explain);
    return SP_OK;
}

/* ---- a deadline ---- */

struct copies { const struct sp_ask *a; struct sp_work w; struct sp_peak rate; int64_t one; };

static struct sp_time_plan on_copies(const struct copies *c, int64_t copies)
{
    struct sp_ask b = *c->a;
    b.cut.data = copies;
    b.machine.device.count = (int)(copies * c->one);
    return plan_of(&b, &c->w, c->rate, NULL);
}

enum sp_status sp_plan_deadline(const struct sp_ask *a, double deadline_s, int64_t *devices, struct sp_time_plan *out, struct sp_err *err)
{
    struct copies c = { .a = a, .one = a->cut.tensor * a->cut.pipeline * a->cut.context };
    int64_t low = 0, high = 1; /* low copies are too few */
    if (!(deadline_s > 0)) {
        sp_fail(err, SP_USAGE, "a deadline of %g seconds leaves no time", deadline_s);
        return sp_remedy(err, "give it a day or more");
    }
    TRY(count_work(a, &c.rate, &c.w, err));
    for (; (double)(high * c.one) <= DEADLINE_DEVICES_MAX && on_copies(&c, high).run_s.likely > deadline_s; high *= 2)
        low = high;
    if ((double)(high * c.one) > DEADLINE_DEVICES_MAX) {
        sp_fail(err, SP_LIMIT, "not even %g devices are likely to be done in time", DEADLINE_DEVICES_MAX);
        return sp_remedy(err, "take a later deadline, fewer tokens or a smaller model");
    }
    while (high - low > 1) {
        int64_t mid = low + (high - low) / 2;
        if (on_copies(&c, mid).run_s.likely <= deadline_s)
            high = mid;
        else
            low = mid;
    }
    *devices = high * c.one;
    if (out)
        *out = on_copies(&c, high);
    return SP_OK;
}
