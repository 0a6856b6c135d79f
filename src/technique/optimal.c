/* technique/optimal.c - the model size and the amount of data that a budget is best
 * spent on.
 *
 * Rewrites the recipe's shape (layers, width, heads; in the proportions it has) and
 * its tokens.  What a shape takes is counted from its graph, embeddings and attention
 * and all, without what is computed twice to save memory; the budget divided by that
 * is its data; the law (plan/fit.h) says which shape reaches the lowest loss.  What it
 * doesn't do: choose a batch, a learning rate, or other proportions.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../plan/fit.h"
#include "../recipe/recipe.h"
#include "../step/step.h"

enum { WIDTH_MAX = 1 << 16, WORSE_MAX = 4 /* shapes in a row that are worse end the search */, LAYERS_MAX = 1000 };
#define NEXT 1.06                  /* a shape is about so much wider than the last */

struct optimal { double flops, unique; const char *law; };

#define AT(field) offsetof(struct optimal, field)
static const struct sp_option optimal_options[] = {
    { .name = "optimal-flops", .kind = SP_OPT_REAL, .at = AT(flops), .min = 0, .max = 1e30, .group = "Compute-optimal", .unit = "FLOP", .help = "budget of training" },
    { .name = "optimal-unique", .kind = SP_OPT_REAL, .at = AT(unique), .min = 0, .max = 1e30, .unit = "tokens", .help = "no more different tokens than this: the rest is repeated" },
    { .name = "optimal-law", .kind = SP_OPT_TEXT, .at = AT(law), .fallback_text = "epoch", .unit = "NAME|FILE", .help = "scaling law; plan fit makes one of your own runs" },
    { 0 },
};
#undef AT

/* ---- one shape ---- */

/* Of `heads` heads in the proportions of m; false: it is none. */
static bool shape_of(const struct sp_recipe_model *m, int64_t heads, struct sp_recipe_model *out)
{
    int64_t size = m->head_dim > 0 ? m->head_dim : m->width / m->heads;
    double by = (double)heads / (double)m->heads;
    *out = *m;
    out->heads = heads;
    out->head_dim = m->head_dim;
    out->width = m->head_dim > 0 ? (int64_t)round((double)m->width * by) : heads * size;
    out->layers = (int64_t)fmax(1, round((double)m->layers * by));
    out->ffn = m->ffn > 0 ? 8 * (int64_t)fmax(1, round((double)m->ffn * by / 8)) : 0;
    if (m->kv_heads > 0 && m->heads % m->kv_heads == 0) {
        int64_t group = m->heads / m->kv_heads; /* heads that share keys and values */
        if (heads % group)
            return false;
        out->kv_heads = heads / group;
    }
    return out->width <= WIDTH_MAX && out->layers <= LAYERS_MAX;
}

/* As training will see it: a tokenizer to be made has the size that is asked of it. */
static int64_t vocabulary(const struct sp_recipe *r)
{
    if (r->model.vocab > 0 || !r->data.tokenizer || strcmp(r->data.tokenizer, "bpe"))
        return r->model.vocab;
    return r->data.vocab;
}

/* Parameters, and FLOP that training takes for each token. */
static enum sp_status count_shape(const struct sp_recipe *r, double *parameters, double *flops_token, struct sp_err *err)
{
    struct sp_model_config c;
    struct sp_step_count n;
    struct sp_machine m;
    sp_machine_portable(&m);
    TRY(sp_recipe_config(r, vocabulary(r), &c, err));
    struct sp_train_shape t = sp_train_shape_of(r, &c);
    t.batch = 1;
    t.score_batch = -1;
    TRY(sp_step_count_train(&c, &t, &m, &n, err));
    double all = n.micro.flops_matmul + n.micro.flops_attention + n.micro.flops_other - n.micro.flops_by_part[SP_PART_RECOMPUTE];
    *parameters = (double)n.parameters;
    *flops_token = all / (double)t.tokens;
    return SP_OK;
}

/* ---- the best of them ---- */

static double loss_of(const struct sp_law *l, const struct optimal *o, double parameters, double tokens)
{
    return o->unique > 0 ? sp_law_loss_repeated(l, parameters, tokens, o->unique) : sp_law_loss(l, parameters, tokens);
}

/* From small to large, until more only makes it worse. */
static enum sp_status search(const struct sp_recipe *r, const struct optimal *o, const struct sp_law *l, struct sp_recipe *out, struct sp_err *err)
{
    double best = INFINITY;
    int worse = 0;
    for (int64_t heads = 1; worse < WORSE_MAX; heads = (int64_t)fmax((double)heads + 1, floor((double)heads * NEXT))) {
        struct sp_recipe try = *r;
        double parameters, flops_token;
        if (!shape_of(&r->model, heads, &try.model)) {
            if (heads > WIDTH_MAX)
                break;
            continue;
        }
        TRY(count_shape(&try, &parameters, &flops_token, err));
        double loss = loss_of(l, o, parameters, o->flops / flops_token);
        worse = loss < best ? 0 : worse + 1;
        if (worse)
            continue;
        best = loss;
        *out = try;
        out->train.tokens_total = (int64_t)fmin(o->flops / flops_token, 1e15);
    }
    return SP_OK;
}

static enum sp_status check(const struct sp_recipe *r, const struct optimal *o, struct sp_err *err)
{
    if (!(o->flops > 0)) {
        sp_fail(err, SP_USAGE, "optimal: no budget is given");
        return sp_remedy(err, "--optimal-flops 1e17");
    }
    if (r->model.path) {
        sp_fail(err, SP_USAGE, "optimal: the recipe names a model (%.200s), whose size is settled", r->model.path);
        return sp_remedy(err, "give layers, width and heads instead of model.path: their proportions are kept");
    }
    if (r->model.family == SP_FAMILY_MLP)
        return sp_fail(err, SP_UNSUPPORTED, "optimal: scaling laws are of language models, not of an MLP");
    if (r->model.width % r->model.heads && r->model.head_dim <= 0)
        return sp_fail(err, SP_USAGE, "optimal: a width of %lld isn't made of %lld equal heads", (long long)r->model.width, (long long)r->model.heads);
    return SP_OK;
}

static enum sp_status optimal_recipe(struct sp_recipe *r, const void *options, struct sp_err *err)
{
    const struct optimal *o = options;
    struct sp_recipe best;
    struct sp_law l;
    TRY(check(r, o, err));
    TRY(sp_law_open(&l, o->law, err));
    TRY(search(r, o, &l, &best, err));
    double outside = sp_law_outside(&l, o->flops);
    if (outside > 0)
        sp_log(SP_LOG_WARN, "%.3g FLOP are %.1f powers of ten outside the runs of the law \"%s\": an extrapolation", o->flops, outside, l.name);
    best.train.steps = 0;
    best.train.minutes = 0;
    *r = best;
    return SP_OK;
}

const struct sp_technique sp_technique_optimal = {
    .name = "optimal", .help = "the model size and the amount of data that a budget is best spent on", .options = optimal_options,
    .options_bytes = sizeof(struct optimal), .recipe = optimal_recipe,
};
