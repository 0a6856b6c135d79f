/* learn/moments.c - moments of several ranks brought together and dealt out, so that
 * a checkpoint is the same file whatever the number of ranks.
 *
 * The first rank asks for one tensor after the other, by name, so it may stop in the
 * middle: a full disk, a damaged file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "inner.h"

struct question { bool deal; char name[SP_RANKS_NAME]; }; /* name "": no more */

static float *at_entry(const struct sp_live *v, const struct sp_state_entry *e)
{
    return e ? (float *)(void *)(v->state.at + e->at) : NULL;
}

/* The gradient that belongs to "m/NAME" or "v/NAME". */
static const struct sp_state_entry *gradient(const struct moments *m, const char *name)
{
    char grad[SP_RANKS_NAME + 8];
    snprintf(grad, sizeof grad, "grad/%s", name + 2);
    return sp_state_find(&m->live->job->state, grad);
}

static enum sp_status answer(const struct moments *m, const struct question *q, struct sp_err *err)
{
    const struct sp_state_entry *grad = gradient(m, q->name);
    float *whole = at_entry(m->live, grad), *part = at_entry(m->live, sp_state_find(&m->live->job->state, q->name));
    int64_t n = sp_type_elements(&grad->type);
    return q->deal ? sp_link_deal(m->link, whole, part, n, err) : sp_link_collect(m->link, whole, part, n, err);
}

enum sp_status moments_serve(struct moments *m, struct sp_err *err)
{
    for (struct question q;;) {
        TRY(sp_link_copy(m->link, &q, sizeof q, err));
        if (!q.name[0])
            return SP_OK;
        TRY(answer(m, &q, err));
    }
}

static enum sp_status ask(struct moments *m, const char *name, bool deal, struct sp_err *err)
{
    struct question q = { .deal = deal };
    snprintf(q.name, sizeof q.name, "%s", name);
    TRY(sp_link_copy(m->link, &q, sizeof q, err));
    return answer(m, &q, err);
}

static void clear(struct moments *m)
{
    if (m->used)
        memset(at_entry(m->live, m->used), 0, (size_t)sp_type_bytes(&m->used->type));
    m->used = NULL;
}

static void use(struct moments *m, const char *name)
{
    clear(m);
    m->used = gradient(m, name);
}

enum sp_status moments_collect(void *moments, const char *name, const void **at, struct sp_err *err)
{
    struct moments *m = moments;
    use(m, name);
    *at = at_entry(m->live, m->used);
    return ask(m, name, false, err);
}

enum sp_status moments_deal(struct moments *m, const char *name, const struct sp_tensor *from, struct sp_err *err)
{
    use(m, name);
    TRY(sp_tensor_read(from, SP_F32, at_entry(m->live, m->used), err));
    return ask(m, name, true, err);
}

enum sp_status moments_done(struct moments *m, struct sp_err *err)
{
    struct question q = { 0 };
    clear(m);
    return sp_link_copy(m->link, &q, sizeof q, err);
}
