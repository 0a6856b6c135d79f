/* learn/moments.c - moments of several ranks brought together and dealt out, so that
 * a checkpoint is the same file whatever the number of ranks.
 *
 * The first rank asks for one tensor after the other (by the place of its gradient
 * in the state, which is the same on all ranks), so it may stop in the middle: a
 * full disk, a damaged file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "inner.h"

enum { DONE = -1 };
struct question { int32_t entry, second, deal; };

static float *at_entry(const struct sp_live *v, const struct sp_state_entry *e)
{
    return e ? (float *)(void *)(v->state.at + e->at) : NULL;
}

/* One's own share of the moment that belongs to a gradient; NULL where it is empty. */
static float *own_part(const struct moments *m, const struct sp_state_entry *grad, bool second)
{
    char name[512];
    snprintf(name, sizeof name, "%c/%s", second ? 'v' : 'm', strchr(grad->name, '/') + 1);
    return at_entry(m->live, sp_state_find(&m->live->job->state, name));
}

static enum sp_status answer(const struct moments *m, const struct question *q, struct sp_err *err)
{
    const struct sp_state_entry *grad = &m->live->job->state.entry[q->entry];
    float *whole = at_entry(m->live, grad), *part = own_part(m, grad, q->second);
    int64_t n = sp_type_elements(&grad->type);
    return q->deal ? sp_link_deal(m->link, whole, part, n, err) : sp_link_collect(m->link, whole, part, n, err);
}

enum sp_status moments_serve(struct moments *m, struct sp_err *err)
{
    for (struct question q;;) {
        TRY(sp_link_copy(m->link, &q, sizeof q, err));
        if (q.entry == DONE)
            return SP_OK;
        TRY(answer(m, &q, err));
    }
}

static enum sp_status ask(struct moments *m, bool second, bool deal, struct sp_err *err)
{
    struct question q = { (int32_t)(m->used - m->live->job->state.entry), second, deal };
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
    char grad[512];
    clear(m);
    snprintf(grad, sizeof grad, "grad/%s", name + 2);
    m->used = sp_state_find(&m->live->job->state, grad);
}

enum sp_status moments_collect(void *moments, const char *name, const void **at, struct sp_err *err)
{
    struct moments *m = moments;
    use(m, name);
    *at = at_entry(m->live, m->used);
    return ask(m, name[0] == 'v', false, err);
}

enum sp_status moments_deal(struct moments *m, const char *name, const struct sp_tensor *from, struct sp_err *err)
{
    use(m, name);
    TRY(sp_tensor_read(from, SP_F32, at_entry(m->live, m->used), err));
    return ask(m, name[0] == 'v', true, err);
}

enum sp_status moments_done(struct moments *m, struct sp_err *err)
{
    struct question q = { .entry = DONE };
    clear(m);
    return sp_link_copy(m->link, &q, sizeof q, err);
}
