/* graph/run.c - a program bound to memory, and run.  Nothing here allocates
 * after sp_exec_bind.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"

enum { ALIGN = 64 };

static void *resolve(const struct sp_exec *x, struct sp_place p)
{
    return p.none ? NULL : (p.in_state ? x->state : x->arena) + p.at;
}

static void bind_step(struct sp_exec *x, const struct sp_step *s, unsigned char *args)
{
    int i = 0;
    memcpy(args, s->args, s->kernel->args_bytes);
    for (const struct sp_field *f = s->kernel->fields; f->name && f->kind <= SP_FIELD_WORK; f++) {
        void *p = resolve(x, s->ptr[i++]);
        memcpy(args + f->at, &p, sizeof p);
    }
}

enum sp_status sp_exec_bind(struct sp_exec *x, const struct sp_program *p, unsigned char *arena, unsigned char *state,
                            struct sp_pool *pool, bool profile, struct sp_err *err)
{
    struct sp_exec y = { .program = p, .arena = arena, .state = state, .pool = pool };
    y.stride = (p->scratch_bytes + ALIGN - 1) / ALIGN * ALIGN + ALIGN;
    y.scratch = sp_alloc(y.stride * (size_t)sp_pool_threads(pool));
    y.bound = sp_alloc((size_t)(p->n + 1) * SP_KERNEL_ARGS_MAX);
    y.seconds = profile ? sp_zalloc((size_t)p->n + 1, sizeof *y.seconds) : NULL;
    if (!y.scratch || !y.bound || (profile && !y.seconds)) {
        sp_exec_clear(&y);
        return sp_fail(err, SP_NOMEM, "no memory to bind program %s", p->name);
    }
    for (int i = 0; i < p->n; i++) {
        if (!p->step[i].kernel) {
            sp_exec_clear(&y);
            return sp_fail(err, SP_UNSUPPORTED, "program %s holds a step that can only be counted", p->name);
        }
        bind_step(&y, &p->step[i], y.bound + (size_t)i * SP_KERNEL_ARGS_MAX);
    }
    *x = y;
    return SP_OK;
}

void sp_exec_run(struct sp_exec *x)
{
    const struct sp_program *p = x->program;
    for (int i = 0; i < p->n; i++) {
        double began = x->seconds ? sp_now() : 0;
        sp_kernel_run(p->step[i].kernel, p->step[i].row, x->bound + (size_t)i * SP_KERNEL_ARGS_MAX, x->pool, x->scratch, x->stride);
        if (x->seconds)
            x->seconds[i] += sp_now() - began;
    }
}

void *sp_exec_at(const struct sp_exec *x, const char *name)
{
    const struct sp_named *v = sp_program_find(x->program, name);
    return v ? resolve(x, v->place) : NULL;
}

void sp_exec_clear(struct sp_exec *x)
{
    sp_free(x->scratch);
    sp_free(x->bound);
    sp_free(x->seconds);
    *x = (struct sp_exec){ 0 };
}
