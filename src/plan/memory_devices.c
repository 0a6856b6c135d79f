/* plan/memory_devices.c - how many devices a job needs, by memory alone.
 *
 * The graph is walked once for each number of devices that share a layer; all else
 * of a cut is arithmetic on what the walk found.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "memory_walk.h"
#include "serve.h"

enum { DEVICES_MAX = 1 << 20, SHARED_MAX = 4 /* 1, 2, 4 or 8 devices a layer */, SERVED_MAX = 64 };

struct search { const struct sp_ask *a; const struct sp_stack *s; struct sp_ask ask[SHARED_MAX]; struct sp_walk walk[SHARED_MAX]; bool has[SHARED_MAX]; };

static enum sp_status walk(struct search *f, int i, struct sp_err *err)
{
    if (f->has[i])
        return SP_OK;
    f->ask[i] = *f->a;
    f->ask[i].cut = (struct sp_sharding){ .data = 1, .tensor = 1 << i, .pipeline = 1, .expert = 1, .context = 1, .interleave = 1, .sequence = f->a->cut.sequence,
                                          .offload = f->a->cut.offload };
    f->ask[i].accumulate = f->a->accumulate > 0 ? f->a->accumulate : 1;
    TRY(sp_memory_walk(&f->ask[i], f->s, &f->walk[i], err));
    f->has[i] = true;
    return SP_OK;
}

static void keep_roomier(struct sp_memory_plan *best, const struct sp_memory_plan *p)
{
    if (!(best->device.high > 0) || p->device.high < best->device.high)
        *best = *p;
}

/* The roomiest cut of a training job among n devices. */
static enum sp_status trained(struct search *f, int64_t n, struct sp_memory_plan *best, struct sp_err *err)
{
    struct sp_memory_plan p;
    for (int i = 0; i < SHARED_MAX; i++) {
        int64_t t = 1 << i;
        if (n % t || f->a->model.heads % t)
            continue;
        TRY(walk(f, i, err));
        struct sp_sharding *c = &f->ask[i].cut;
        c->pipeline = n / t <= f->walk[i].layers ? n / t : 0;
        c->data = 1;
        c->zero = 0;
        if (c->pipeline) {
            sp_memory_of_walk(&f->walk[i], &sp_memory_compiled, &p, NULL);
            keep_roomier(best, &p);
        }
        c->pipeline = 1;
        c->data = n / t;
        c->zero = n / t > 1 ? 3 : 0;
        sp_memory_of_walk(&f->walk[i], &sp_memory_compiled, &p, NULL);
        keep_roomier(best, &p);
    }
    return SP_OK;
}

static enum sp_status served(struct search *f, int64_t n, struct sp_memory_plan *best, struct sp_err *err)
{
    struct sp_ask a = *f->a;
    bool row = sp_serve_by_layers(&a);
    if (n > SERVED_MAX || (row ? n > a.model.layers : a.model.heads % n))
        return SP_OK;
    a.cut = (struct sp_sharding){ .data = 1, .tensor = row ? 1 : n, .pipeline = row ? n : 1, .expert = 1, .context = 1 };
    return sp_plan_memory_with(&a, f->s, &sp_memory_compiled, best, NULL, err);
}

static enum sp_status none_fits(const struct sp_memory_plan *p, struct sp_err *err)
{
    char need[32], has[32];
    if (!(p->device_bytes > 0)) {
        sp_fail(err, SP_LIMIT, "the memory of a device isn't known");
        return sp_remedy(err, "name a machine of the catalogue with --on");
    }
    sp_fail(err, SP_LIMIT, "no number of devices holds this job: each would still need up to %s, and has %s", sp_show_bytes(p->device.high, need, sizeof need),
            sp_show_bytes(p->device_bytes, has, sizeof has));
    return sp_remedy(err, "take a smaller batch or context, or recompute activations (--recompute full)");
}

static enum sp_status find(struct search *f, int64_t *devices, struct sp_memory_plan *out, struct sp_err *err)
{
    struct sp_memory_plan best = { 0 }, least = { 0 };
    for (int64_t n = 1, step = 1; n <= DEVICES_MAX; n += step, step = n & (n - 1) ? step : n > 2 ? n / 2 : 1) {
        best = (struct sp_memory_plan){ 0 };
        TRY(f->a->task == SP_TASK_SERVE ? served(f, n, &best, err) : trained(f, n, &best, err));
        if (best.fits) {
            *devices = n;
            if (out)
                *out = best;
            return SP_OK;
        }
        if (best.device.high > 0)
            keep_roomier(&least, &best);
        if ((least.device.high > 0 && !(least.device_bytes > 0)) || (f->a->task == SP_TASK_SERVE && n > SERVED_MAX))
            break;
    }
    return none_fits(&least, err);
}

enum sp_status sp_plan_devices(const struct sp_ask *a, int64_t *devices, struct sp_memory_plan *out, struct sp_err *err)
{
    struct search f = { .a = a };
    TRY(sp_stack_find(a->stack, a->task, &f.s, err));
    enum sp_status st = find(&f, devices, out, err);
    for (int i = 0; i < SHARED_MAX; i++)
        if (f.has[i])
            sp_walk_clear(&f.walk[i]);
    return st;
}
