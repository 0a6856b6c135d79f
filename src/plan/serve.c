/* plan/serve.c - a question about serving, answered: speeds, users, what a million
 * tokens take.
 *
 * All users are taken to be in the middle of their answers at once.  Prompts come in
 * between (continuous batching), so that a request holds the devices for its share of
 * the steps and for the whole of its prompt.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "memory.h"
#include "serve_fit.h"

enum { USERS_MOST = 1 << 16, APART = 64 /* users of the two plans that memory is drawn through */ };

const char *const sp_serve_part_names[SP_SERVE_PARTS] = { "weights", "cache", "arithmetic", "delay", "links" };

struct serving {
    const struct sp_ask *a;
    const struct sp_serve_constants *k;
    int64_t half;                          /* positions in the middle of an answer */
    double copies;                         /* of the model */
    struct sp_serve_case few[2];           /* one user a copy, and two */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* likely value and the range that goes with the case; wider where facts were assumed. */
static struct sp_figure ranged(const struct sp_serve_case *c, const struct sp_serve_constants *k, double seconds)
{
    double off = k->v[sp_serve_off_of(c)] * (c->flops_assumed || c->bytes_assumed ? 1.5 : 1) * (c->parts * c->chain > 1 ? 1.3 : 1);
    return sp_range(seconds * exp(-off), seconds, seconds * exp(off), c->bytes_assumed ? SP_HOW_ASSUMED : SP_HOW_MODEL);
}

static struct sp_figure over(double what, struct sp_figure s)
{
    return sp_range(what / s.high, what / s.likely, what / s.low, s.how);
}

static int64_t users_a_copy(const struct serving *s, int64_t users)
{
    return (int64_t)ceil((double)users / s->copies);
}

/* Without experts every count grows by the same with a user: two counts say them all. */
static enum sp_status case_of(const struct serving *s, int64_t users, struct sp_serve_case *c, struct sp_err *err)
{
    const struct sp_serve_case *one = &s->few[0], *two = &s->few[1];
    double more = (double)users - 1;
    if (one->mixture)
        return sp_serve_case_of(s->a, users, 1, s->half, c, err);
    *c = *one;
    c->rows += more * (two->rows - one->rows);
    c->weights += more * (two->weights - one->weights);
    c->cache_bytes += more * (two->cache_bytes - one->cache_bytes);
    c->flops += more * (two->flops - one->flops);
    return SP_OK;
}

static enum sp_status decode(const struct serving *s, int64_t users, struct sp_serve_case *c, double part[SP_SERVE_PARTS], struct sp_figure *out, struct sp_err *err)
{
    TRY(case_of(s, users_a_copy(s, users), c, err));
    *out = ranged(c, s->k, sp_serve_step_s(c, s->k, part));
    return SP_OK;
}

/* ---- memory ---- */

/* One copy of the model with so many users, by the planner of memory. */
static enum sp_status memory_of(const struct serving *s, const struct sp_serve_stack *stack, int64_t users, struct sp_memory_plan *out, struct sp_err *err)
{
    struct sp_ask one = *s->a;
    one.users = users;
    one.stack = stack->memory;
    one.cut.data = 1;
    one.machine.device.count = one.machine.device.count > 0 ? (int)(one.cut.tensor * one.cut.pipeline) : 0;
    return sp_plan_memory(&one, out, NULL, err);
}

/* Caches grow by the same with every user, so two plans say how many fit; what else grows with them is stepped over. */
static enum sp_status users_that_fit(const struct serving *s, const struct sp_serve_stack *stack, int64_t *users, struct sp_err *err)
{
    struct sp_memory_plan one, many;
    TRY(memory_of(s, stack, 1, &one, err));
    *users = 0;
    if (!one.fits)
        return SP_OK;
    TRY(memory_of(s, stack, 1 + APART, &many, err));
    double each = (many.device.high - one.device.high) / APART, room = each > 0 ? (one.device_bytes - one.device.high) / each : USERS_MOST;
    int64_t n = 1 + (int64_t)fmin(USERS_MOST, room);
    for (many.fits = false; !many.fits && n > 1; n -= many.fits ? 0 : 1 + n / 64)
        TRY(memory_of(s, stack, n, &many, err));
    *users = n > 1 ? n : 1;
    return SP_OK;
}

static enum sp_status fill_memory(const struct serving *s, const struct sp_serve_stack *stack, struct sp_serve_plan *p, struct sp_err *err)
{
    const struct sp_ask *a = s->a;
    struct sp_serve_count n;
    struct sp_memory_plan m;
    int64_t users;
    double bits = a->bits > 0 ? a->bits : 8 * sp_precision_bytes(a->precision);
    double cache = a->cache_bits > 0 ? a->cache_bits : fmin(16, 8 * sp_precision_bytes(a->precision));
    TRY(sp_serve_counted(a, 1, 1, a->context, &n, err));
    p->weights_bytes = a->parameters * bits / 8;
    p->cache_user_bytes = n.cache_bytes * cache / 16;
    TRY(memory_of(s, stack, users_a_copy(s, a->users), &m, err));
    p->device_bytes = m.device.likely;
    p->work_bytes = fmax(0, m.device.likely * (double)(a->cut.tensor * a->cut.pipeline) - p->weights_bytes - (double)users_a_copy(s, a->users) * p->cache_user_bytes);
    p->fits = m.fits;
    TRY(users_that_fit(s, stack, &users, err));
    p->users_memory = (int64_t)fmin(USERS_MOST, (double)users * s->copies);
    return SP_OK;
}

/* ---- users ---- */

static bool kept(const struct sp_ask *a, struct sp_figure step, struct sp_figure first)
{
    return (a->user_tokens_s_least <= 0 || 1 / step.likely >= a->user_tokens_s_least) && (a->first_token_s_most <= 0 || first.likely <= a->first_token_s_most);
}

/* A step never gets shorter by one user more, so the border is found by halving. */
static enum sp_status fill_users(const struct serving *s, struct sp_figure first, struct sp_serve_plan *p, struct sp_err *err)
{
    struct sp_serve_case c;
    struct sp_figure step;
    int64_t high = p->users_memory, low = s->a->user_tokens_s_least > 0 || s->a->first_token_s_most > 0 ? 0 : high;
    while (low < high) {
        int64_t users = low + (high - low + 1) / 2;
        TRY(decode(s, users, &c, NULL, &step, err));
        if (kept(s->a, step, first))
            low = users;
        else
            high = users - 1;
    }
    p->users_most = low;
    if (!low)
        return SP_OK;
    TRY(decode(s, low, &c, NULL, &step, err));
    p->tokens_s_most = over((double)low, step);
    return SP_OK;
}

/* ---- a million tokens ---- */

static void fill_million(const struct serving *s, struct sp_figure prompt, struct sp_figure step, double prompt_flops, struct sp_serve_plan *p)
{
    const struct sp_ask *a = s->a;
    double users = (double)a->users / s->copies, answers = 1e6 / (double)a->generate;
    struct sp_figure answer = sp_figure_add(prompt, sp_figure_scale(step, (double)a->generate / fmax(1, users)));
    p->million.time_s = sp_figure_scale(answer, answers / s->copies);
    p->million.device_hours = sp_figure_scale(p->million.time_s, (double)sp_ask_devices(a) / 3600);
    p->million.flops = sp_exact(1e6 * p->flops_token + answers * prompt_flops, SP_HOW_MODEL);
    p->million.parameters = sp_exact(a->parameters, SP_HOW_MODEL);
    p->million.memory[SP_MEM_WEIGHTS] = sp_exact(p->weights_bytes, SP_HOW_MODEL);
    p->million.memory[SP_MEM_CACHE] = sp_exact(p->cache_user_bytes * (double)a->users, SP_HOW_MODEL);
    p->million.memory[SP_MEM_PROGRAM] = sp_exact(p->work_bytes, SP_HOW_ASSUMED);
    p->million.memory_peak = sp_exact(p->weights_bytes + p->work_bytes + p->cache_user_bytes * (double)a->users, SP_HOW_MODEL);
}

/* ---- in words ---- */

static void explain_step(struct sp_explain *x, const struct sp_serve_case *c, const struct sp_serve_constants *k, const double part[SP_SERVE_PARTS])
{
    sp_explain(x, "a step reads %.6g weights of %g bits and %.6g bytes of cache (counted from the graph), and computes %.6g FLOP", c->weights, c->bits,
               c->cache_bytes, c->flops);
    if (c->maker == SP_SERVE_PROCESSOR)
        sp_explain(x, "bytes a second = min(%g threads x %.4g, %.4g%s x %.3g); %.3g FLOP to unpack a weight, of %.4g a thread and second", c->threads, k->v[SP_K_THREAD], c->bytes_per_s,
                   c->bytes_assumed ? " (assumed)" : "", k->v[SP_K_SHARE_PROCESSOR], k->v[SP_K_UNPACK], c->flops_core);
    else
        sp_explain(x, "seconds a byte = (1 / (%.4g x %.3g%s) + %.3g x %.3g FLOP / %.4g FLOP/s%s) / %g devices", c->bytes_per_s,
                   k->v[c->maker == SP_SERVE_APPLE ? SP_K_SHARE_APPLE : SP_K_SHARE], c->ecc ? " x 15/16 for check bits" : "", k->v[SP_K_HANDLING],
                   k->v[c->stack->pace] * (c->maker == SP_SERVE_APPLE ? k->v[SP_K_HANDLING_APPLE] : 1), c->flops_f32, c->flops_assumed ? " (assumed)" : "", c->parts);
    sp_explain(x, "step = weights %.4g + cache %.4g + arithmetic %.4g + delay %.4g (%g layers, %s) + links %.4g s; of reading and arithmetic the longer",
               part[SP_SERVE_WEIGHTS], part[SP_SERVE_CACHE], part[SP_SERVE_ARITHMETIC], part[SP_SERVE_DELAY], c->layers, c->stack->name, part[SP_SERVE_LINKS]);
}

static const char *class_of(const struct sp_serve_case *c)
{
    return c->maker == SP_SERVE_PROCESSOR ? "processor" : c->maker == SP_SERVE_APPLE ? "Apple GPU" : c->ecc ? "GPU with check bits in memory" : "GPU";
}

static void fill_step(const struct sp_serve_case *c, struct sp_serve_plan *p)
{
    p->flops_token = c->flops / c->rows;
    p->bytes_token = (c->weights * c->bits / 8 + c->cache_bytes) / c->rows;
    for (int i = 0; i < SP_SERVE_PARTS; i++)
        p->bound = p->part_s[i] > p->part_s[p->bound] ? (enum sp_serve_part)i : p->bound;
    p->device_class = class_of(c);
    p->stack = c->stack->name;
}

static enum sp_status check(const struct sp_ask *a, struct sp_err *err)
{
    if (a->model.family == SP_FAMILY_MLP) {
        sp_fail(err, SP_USAGE, "a network over tables writes no tokens");
        return sp_remedy(err, "plan serve takes language models");
    }
    if (a->prompt >= 1 && a->generate >= 1 && a->users >= 1 && a->context >= a->prompt + a->generate)
        return SP_OK;
    sp_fail(err, SP_USAGE, "a context of %lld tokens cannot hold a question of %lld and an answer of %lld", (long long)a->context, (long long)a->prompt,
            (long long)a->generate);
    return sp_remedy(err, "raise --context, or leave it out");
}

enum sp_status sp_plan_serve_with(const struct sp_ask *a, const struct sp_serve_constants *k, struct sp_serve_plan *out, struct sp_explain *x, struct sp_err *err)
{
    struct serving s = { a, k, least(a->context, a->prompt + a->generate / 2), (double)(a->cut.data > 0 ? a->cut.data : 1), { { 0 } } };
    struct sp_serve_plan p = { 0 };
    struct sp_serve_case step_case, prompt_case;
    struct sp_figure step;
    TRY(check(a, err));
    for (int i = 0; i < 2; i++)
        TRY(sp_serve_case_of(a, i + 1, 1, s.half, &s.few[i], err));
    TRY(decode(&s, a->users, &step_case, p.part_s, &step, err));
    TRY(sp_serve_case_of(a, 1, a->prompt, a->prompt, &prompt_case, err));
    prompt_case.prefill = true;
    struct sp_figure prompt = ranged(&prompt_case, k, sp_serve_step_s(&prompt_case, k, NULL));
    p.prefill_tokens_s = over((double)a->prompt * s.copies, prompt);
    p.user_tokens_s = over(1, step);
    p.tokens_s = over((double)a->users, step);
    p.first_token_s = sp_figure_add(prompt, step);
    p.answer_s = sp_figure_add(prompt, sp_figure_scale(step, (double)a->generate));
    fill_step(&step_case, &p);
    TRY(fill_memory(&s, step_case.stack, &p, err));
    TRY(fill_users(&s, p.first_token_s, &p, err));
    fill_million(&s, prompt, step, prompt_case.flops, &p);
    explain_step(x, &step_case, k, p.part_s);
    sp_explain(x, "a prompt: %.6g FLOP at %.4g FLOP/s x %g devices x the share that prompts reach = %.4g s", prompt_case.flops, prompt_case.flops_peak,
               prompt_case.parts, prompt.likely);
    sp_explain(x, "memory: weights %.6g + %lld users x %.6g of cache at %lld tokens + %.3g for all else; %.6g on each device", p.weights_bytes,
               (long long)a->users, p.cache_user_bytes, (long long)a->context, p.work_bytes, p.device_bytes);
    *out = p;
    return SP_OK;
}

enum sp_status sp_plan_serve(const struct sp_ask *a, struct sp_serve_plan *out, struct sp_explain *explain, struct sp_err *err)
{
    struct sp_serve_constants k = sp_serve_compiled();
    return sp_plan_serve_with(a, &k, out, explain, err);
}
