/* graph/state.c - the state region: entries are added and never move.
 * SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <string.h>

#include "names.h"

enum { ALIGN = 64 };

void sp_state_clear(struct sp_state *s)
{
    sp_names_free(s->names);
    sp_free(s->entry);
    sp_arena_clear(&s->mem);
    *s = (struct sp_state){ 0 };
}

const struct sp_state_entry *sp_state_find(const struct sp_state *s, const char *name)
{
    int32_t i = s->names ? sp_names_find(s->names, name) : -1;
    return i < 0 ? NULL : &s->entry[i];
}

static enum sp_status room(struct sp_state *s, struct sp_err *err)
{
    if (!s->names && !(s->names = sp_names_new()))
        return sp_fail(err, SP_NOMEM, "no memory for the state's names");
    if (s->n < s->cap)
        return SP_OK;
    int cap = s->cap ? 2 * s->cap : 128;
    struct sp_state_entry *more = sp_realloc(s->entry, (size_t)cap * sizeof *more);
    if (!more)
        return sp_fail(err, SP_NOMEM, "no memory for %d state entries", cap);
    s->entry = more;
    s->cap = cap;
    return SP_OK;
}

enum sp_status sp_state_add(struct sp_state *s, const struct sp_node *n, int64_t *at, struct sp_err *err)
{
    const struct sp_state_entry *old = sp_state_find(s, n->name);
    char was[80], now[80];
    if (old && !sp_type_equal(&old->type, &n->out[0]))
        return sp_fail(err, SP_SHAPE, "state %s is %s in one program and %s in another", n->name,
                       sp_type_text(&old->type, was, sizeof was), sp_type_text(&n->out[0], now, sizeof now));
    if (old) {
        *at = old->at;
        return SP_OK;
    }
    TRY(room(s, err));
    int64_t phase = s->phase_of ? s->phase_of(s->phase_self, n->name, &n->out[0]) : -1;
    if (phase >= 0)
        s->bytes += (phase - s->bytes) & (SP_STATE_PAGE - 1);
    char *name = sp_arena_printf(&s->mem, "%s", n->name);
    if (!name || !sp_names_put(s->names, name, s->n))
        return sp_fail(err, SP_NOMEM, "no memory for the state's names");
    s->entry[s->n++] = (struct sp_state_entry){ .name = name, .kind = n->state_kind, .type = n->out[0], .at = s->bytes,
                                                .trainable = n->trainable };
    *at = s->bytes;
    s->bytes = (s->bytes + sp_type_bytes(&n->out[0]) + ALIGN - 1) / ALIGN * ALIGN;
    return SP_OK;
}
