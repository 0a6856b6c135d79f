/* learn/ranks.c - data-parallel training: every rank has all weights and its part of
 * the batch, and its share of the gradients, the moments and the update.
 *
 * After Rajbhandari et al. 2020 (ZeRO, stages 1 and 2 without the saving of
 * gradients): gradients are added up where they are used, new weights go from
 * there to all, which moves as many bytes as adding the gradients up everywhere
 * would.  Every tensor is cut into one part a rank, so that the parts are of one
 * size whatever the tensors are (30 % of GPT-2 is one tensor).
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "inner.h"

static struct sp_link_array array_of(const struct sp_live *v, const struct sp_state_entry *e)
{
    return (struct sp_link_array){ (float *)(void *)(v->state.at + e->at), sp_type_elements(&e->type) };
}

static int by_name(const void *a, const void *b)
{
    const struct sp_state_entry *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* By name: the order of the state differs where other kernel rows do (packed weights). */
static void list_tensors(struct ranks *r)
{
    const struct sp_state *s = &r->live->job->state;
    char name[SP_RANKS_NAME];
    for (int i = 0; i < s->n; i++)
        if (s->entry[i].kind == SP_STATE_PARAM)
            r->all[r->n_all++] = &s->entry[i];
    qsort(r->all, (size_t)r->n_all, sizeof(void *), by_name);
    for (int i = 0; i < r->n_all; i++) {
        snprintf(name, sizeof name, "grad/%s", r->all[i]->name);
        const struct sp_state_entry *g = sp_state_find(s, name);
        if (!g)
            continue;
        r->grad[r->n] = array_of(r->live, g);
        r->param[r->n++] = array_of(r->live, r->all[i]);
    }
}

enum sp_status ranks_open(struct ranks *r, struct sp_link *link, struct sp_live *live, struct sp_err *err)
{
    size_t n = (size_t)live->job->state.n;
    *r = (struct ranks){ .link = link, .live = live };
    if (!link)
        return SP_OK;
    r->all = sp_alloc(n * sizeof(void *));
    r->grad = sp_alloc(n * sizeof *r->grad);
    r->param = sp_alloc(n * sizeof *r->param);
    if (!r->all || !r->grad || !r->param) {
        ranks_close(r);
        return sp_fail(err, SP_NOMEM, "no memory for a list of %zu tensors", n);
    }
    list_tensors(r);
    return SP_OK;
}

void ranks_close(struct ranks *r)
{
    sp_free(r->all);
    sp_free(r->grad);
    sp_free(r->param);
    *r = (struct ranks){ 0 };
}

/* ---- the same everywhere ---- */

static enum sp_status number_of(const void *p, size_t n, uint64_t *out, struct sp_err *err)
{
    struct sp_hash h;
    TRY(sp_hash_bytes(&h, p, n, err));
    memcpy(out, h.hex, sizeof *out);
    return SP_OK;
}

enum sp_status ranks_check(const struct ranks *r, const struct sp_learn *l, struct sp_err *err)
{
    const struct sp_tokens *t = l->train;
    const struct sp_recipe_train *h = l->how;
    const double how[] = { (double)h->batch, (double)h->tokens, (double)h->accumulate, (double)h->steps, (double)h->tokens_total, h->minutes, h->lr,
                           h->min_lr, h->warmup_steps, h->decay_fraction, h->schedule, h->weight_decay, h->beta1, h->beta2, h->eps, h->clip,
                           h->dropout, (double)h->seed, h->compute, h->resume, (double)h->eval_every, (double)h->checkpoint_every, h->out != NULL };
    uint64_t text = 0, recipe = 0;
    if (!r->link)
        return SP_OK;
    enum sp_status st = number_of(t->u16 ? (const void *)t->u16 : t->i32, (size_t)t->n * (t->u16 ? 2 : 4), &text, err);
    if (!st)
        st = number_of(how, sizeof how, &recipe, err);
    TRY(sp_link_agree(r->link, st, err));
    TRY(sp_link_same(r->link, text, "training text", err));
    TRY(sp_link_same(r->link, recipe, "recipe", err));
    return sp_link_same(r->link, (uint64_t)l->live->job->parameters, "model", err);
}

enum sp_status ranks_begin(struct ranks *r, struct sp_err *err)
{
    for (int i = 0; i < r->n_all; i++)
        TRY(sp_link_copy(r->link, r->live->state.at + r->all[i]->at, (size_t)sp_type_bytes(&r->all[i]->type), err));
    return SP_OK;
}

/* ---- a step ---- */

static void clear_rest(const struct ranks *r)
{
    for (int i = 0; i < r->n; i++) {
        const struct sp_link_array *g = &r->grad[i];
        struct sp_share s = sp_share_of(g->n, sp_link_rank(r->link), sp_link_ranks(r->link));
        int64_t end = s.from + s.count;
        memset(g->at, 0, (size_t)s.from * sizeof *g->at);
        memset(g->at + end, 0, (size_t)(g->n - end) * sizeof *g->at);
    }
}

enum sp_status ranks_reduce(struct ranks *r, struct sp_err *err)
{
    double squares = 0;
    if (!r->link)
        return SP_OK;
    TRY(sp_link_reduce(r->link, r->grad, r->n, err));
    clear_rest(r);
    if (r->live->job->has[SP_RUN_NORM]) {
        sp_live_run(r->live, SP_RUN_NORM);
        squares = (double)*(const float *)sp_live_at(r->live, SP_RUN_NORM, "norm");
    }
    TRY(sp_link_sum(r->link, &squares, 1, err));
    *(float *)sp_live_at(r->live, SP_RUN_UPDATE, "sumsq") = (float)squares;
    return SP_OK;
}

enum sp_status ranks_spread(struct ranks *r, struct sp_err *err)
{
    return sp_link_spread(r->link, r->param, r->n, err);
}
