/* model/build.c - what the builders share: parameters, residual connections,
 * the cache, the head; and building by family.
 *
 * The residual stream stays f32; what enters a matrix product is in the compute
 * format.  Without dropout a projection is accumulated straight onto the stream.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

enum { LOSS_ELEMENTS = 1 << 24, LOSS_ROWS_LEAST = 96, LOSS_ROWS_MIN = 64, DIM_LIMIT = 1 << 30 };

void sp_builder_init(struct sp_builder *s, struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    *s = (struct sp_builder){ .g = g, .c = c, .words = sp_builder_words(c), .b = b, .rows = b->batch * b->tokens, .past = SP_NONE, .counter = SP_NONE,
                               .rope = SP_NONE, .rope_local = SP_NONE, .head_bias = SP_NONE };
    b->loss = SP_NONE;
    if (b->mode == SP_BUILD_SERVE && !c->full)
        s->past = sp_graph_input(g, "past", SP_TYPE(SP_I32, 1));
    if (b->mode == SP_BUILD_TRAIN && b->dropout > 0)
        s->counter = sp_graph_input(g, "dropout_counter", SP_TYPE(SP_I32, 1));
}

const char *sp_builder_name(struct sp_builder *s, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *name = sp_arena_printf(&s->g->mem, "%s", text);
    if (!name && !s->g->status)
        s->g->status = sp_fail(&s->g->err, SP_NOMEM, "no memory for a tensor's name");
    return name ? name : "";
}

static sp_ref parameter(struct sp_builder *s, const char *name, struct sp_type t)
{
    return sp_graph_state(s->g, name, SP_STATE_PARAM, s->b->mode == SP_BUILD_TRAIN, t);
}

sp_ref sp_builder_vector(struct sp_builder *s, const char *name, int64_t n)
{
    return parameter(s, name, SP_TYPE(SP_F32, n));
}

enum sp_format sp_builder_stored(const struct sp_builder *s, const char *name)
{
    return s->b->stored_of ? s->b->stored_of(s->b->stored_self, name) : s->b->stored;
}

sp_ref sp_builder_matrix(struct sp_builder *s, const char *name, int64_t rows, int64_t cols)
{
    return parameter(s, name, SP_TYPE(sp_builder_stored(s, name), rows, cols));
}

sp_ref sp_builder_linear(struct sp_builder *s, sp_ref x, sp_ref w, int trans, sp_ref bias, sp_ref onto, enum sp_format f)
{
    sp_ref in[4] = { x, w, bias, onto };
    int n = sp_is(onto) ? 4 : sp_is(bias) ? 3 : 2;
    return sp_graph_add(s->g, &sp_op_matmul, NULL, n, in, (&(struct sp_attr){ .i = { trans }, .format = (int)f }));
}

sp_ref sp_builder_dropout(struct sp_builder *s, sp_ref x, const char *mask)
{
    if (!sp_is(s->counter))
        return x;
    int64_t key = (int64_t)sp_random_key(s->b->seed, mask);
    return SP_ADD(s->g, &sp_op_dropout, NULL, SP_ATTR(.i = { key }, .f = { s->b->dropout }), x, s->counter);
}

sp_ref sp_builder_residual(struct sp_builder *s, sp_ref x, sp_ref y, sp_ref w, int trans, sp_ref bias, const char *mask)
{
    if (!sp_is(s->counter))
        return sp_builder_linear(s, y, w, trans, bias, x, SP_F32);
    sp_ref z = sp_builder_dropout(s, sp_builder_linear(s, y, w, trans, bias, SP_NONE, SP_F32), mask);
    return SP_ADD(s->g, &sp_op_add, NULL, NULL, x, z);
}

sp_ref sp_builder_attention(struct sp_builder *s, int i, sp_ref q, sp_ref k, sp_ref v, struct sp_attr *attr)
{
    sp_ref in[5] = { q, k, v, s->past, s->counter };
    attr->format = (int)s->b->compute;
    attr->i[SP_ATTN_BATCH] = s->b->batch;
    if (sp_is(s->counter)) {
        attr->i[SP_ATTN_KEY] = (int64_t)sp_random_key(s->b->seed, sp_builder_name(s, "%d.weights", i));
        attr->f[2] = s->b->dropout;
    }
    return sp_graph_add(s->g, &sp_op_attention, NULL, 5, in, attr);
}

/* A chunk longer than the ring attends to itself: what it needs of the ring is gone by then. */
sp_ref sp_builder_cached(struct sp_builder *s, int layer, const char *which, sp_ref rows, int64_t window)
{
    if (s->g->status)
        return SP_NONE;
    const char *name = sp_builder_name(s, "cache/%d/%s", layer, which);
    bool ring = s->b->rings && window > 0 && window < s->b->cache;
    enum sp_format f = s->c->head_dim % sp_formats[s->b->cached].block ? SP_F16 : s->b->cached;
    struct sp_type t = SP_TYPE(f, s->b->batch * (ring ? window : s->b->cache), sp_type_cols(sp_graph_type(s->g, rows)));
    sp_ref cache = sp_graph_state(s->g, name, SP_STATE_CACHE, false, t);
    sp_ref kept = SP_ADD(s->g, ring ? &sp_op_ring_append : &sp_op_cache_append, NULL, SP_ATTR(.i = { s->b->batch }), cache, rows, s->past);
    return ring && s->b->tokens > window ? rows : kept;
}

sp_ref sp_builder_columns(struct sp_builder *s, sp_ref x, int64_t first, int64_t n)
{
    struct sp_attr attr = { .format = -1 };
    attr.i[SP_SLICE_COL] = first;
    attr.i[SP_SLICE_COLS] = n;
    return SP_ADD(s->g, &sp_op_slice, NULL, &attr, x);
}

sp_ref sp_builder_view(struct sp_builder *s, sp_ref x, int64_t rows, int64_t cols)
{
    return SP_ADD(s->g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 2, rows, cols }), x);
}

sp_ref sp_builder_cast(struct sp_builder *s, sp_ref x, enum sp_format f)
{
    if (s->g->status || sp_graph_type(s->g, x)->format == f)
        return x;
    return SP_ADD(s->g, &sp_op_cast, NULL, (&(struct sp_attr){ .format = (int)f }), x);
}

/* ---- a part of the model ---- */

sp_ref sp_builder_looked_up(struct sp_builder *s, const char *embedding, int64_t cols, double scale)
{
    s->b->embedding = embedding;
    sp_ref rows = sp_graph_input(s->g, "rows", SP_TYPE(SP_F32, s->rows, cols));
    return SP_ADD(s->g, &sp_op_scale, "embed", SP_ATTR(.f = { scale > 0 ? scale : 1 }), rows);
}

sp_ref sp_builder_entering(struct sp_builder *s)
{
    return sp_graph_input(s->g, "entering", SP_TYPE(SP_F32, s->rows, s->c->width));
}

void sp_builder_leaving(struct sp_builder *s, sp_ref x)
{
    sp_graph_scope(s->g, -1, "%s", "");
    SP_ADD(s->g, &sp_op_view, "hidden", SP_ATTR(.i = { 0, 2, s->rows, s->c->width }), x);
}

int64_t sp_builder_first(const struct sp_builder *s)
{
    return s->b->part == SP_BUILD_LAYERS ? s->b->first : 0;
}

int64_t sp_builder_last(const struct sp_builder *s)
{
    return s->b->part == SP_BUILD_LAYERS ? s->b->last : s->b->part == SP_BUILD_WHOLE ? s->c->layers : 0;
}

/* ---- the head ---- */

static int64_t loss_rows(const struct sp_builder *s)
{
    if (s->b->loss_rows)
        return s->b->loss_rows < LOSS_ROWS_MIN ? LOSS_ROWS_MIN : s->b->loss_rows;
    int64_t most = LOSS_ELEMENTS / s->c->vocab;
    most = most < LOSS_ROWS_LEAST ? LOSS_ROWS_LEAST : most;
    int64_t chunks = (s->rows + most - 1) / most; /* of equal size */
    return (s->rows + chunks - 1) / chunks;
}

/* The same value under a plain name. */
static void call_it(struct sp_builder *s, const char *name, sp_ref r, int64_t n)
{
    SP_ADD(s->g, &sp_op_view, name, SP_ATTR(.i = { 0, 1, n }), r);
}

static sp_ref part(struct sp_builder *s, sp_ref x, int64_t row, int64_t n, int64_t cols)
{
    if (n == s->rows)
        return x;
    if (cols)
        return SP_ADD(s->g, &sp_op_view, NULL, SP_ATTR(.i = { row * cols, 2, n, cols }), x);
    return SP_ADD(s->g, &sp_op_view, NULL, SP_ATTR(.i = { row, 1, n }), x);
}

/* Logits of rows x: with the head's bias, and no further from 0 than the cap. */
static sp_ref logits_of(struct sp_builder *s, sp_ref x, sp_ref w)
{
    sp_ref y = sp_builder_linear(s, x, w, 2, s->head_bias, SP_NONE, SP_F32);
    if (!(s->c->logit_cap > 0))
        return y;
    y = SP_ADD(s->g, &sp_op_scale, NULL, SP_ATTR(.f = { 1 / s->c->logit_cap }), y);
    y = SP_ADD(s->g, &sp_op_tanh, NULL, NULL, y);
    return SP_ADD(s->g, &sp_op_scale, NULL, SP_ATTR(.f = { s->c->logit_cap }), y);
}

/* Loss and negative log-likelihood of every row, some rows of logits at a time. */
static void score(struct sp_builder *s, sp_ref x, sp_ref w, sp_ref targets, sp_ref weights)
{
    struct sp_graph *g = s->g;
    int64_t step = loss_rows(s), all = s->rows;
    sp_ref loss = SP_NONE, nll = SP_NONE;
    if (step < all)
        nll = sp_graph_add(g, &sp_op_fill, NULL, 0, NULL, SP_ATTR(.i = { 2, all, 1 }, .f = { 0 }));
    for (int64_t row = 0; row < all && !g->status; row += step) {
        int64_t n = row + step < all ? step : all - row;
        sp_ref logits = logits_of(s, part(s, x, row, n, s->c->width), w);
        loss = SP_ADD(g, s->b->soft ? &sp_op_soft : &sp_op_xent, NULL, NULL, logits, part(s, targets, row, n, s->b->soft ? s->c->vocab : 0), part(s, weights, row, n, 0), loss);
        sp_ref some = { loss.node, 2 };
        nll = step < all ? SP_ADD(g, &sp_op_put_rows, NULL, SP_ATTR(.i = { row }), nll,
                                  SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 2, n, 1 }), some)) : some;
    }
    call_it(s, "loss", loss, 1);
    call_it(s, "nll", nll, all);
}

/* The rows whose numbers come in as `name`. */
static sp_ref chosen(struct sp_builder *s, sp_ref x, const char *name, int64_t n)
{
    sp_ref rows = sp_graph_input(s->g, name, SP_TYPE(SP_I32, n));
    return SP_ADD(s->g, &sp_op_embed, NULL, (&(struct sp_attr){ .format = (int)s->b->compute }), rows, x);
}

static void logits(struct sp_builder *s, sp_ref x, sp_ref w)
{
    if (s->b->mode == SP_BUILD_SCORE)
        x = chosen(s, x, "rows", s->b->wanted);
    else if (s->b->tokens > 1 && !s->b->all_logits)
        x = chosen(s, x, "last", s->b->batch);
    if (s->g->status)
        return;
    if (!sp_is(s->head_bias) && !(s->c->logit_cap > 0)) {
        SP_ADD(s->g, &sp_op_matmul, "logits", (&(struct sp_attr){ .i = { 2 }, .format = SP_F32 }), x, w);
        return;
    }
    int64_t rows = sp_type_rows(sp_graph_type(s->g, x));
    SP_ADD(s->g, &sp_op_view, "logits", SP_ATTR(.i = { 0, 2, rows, s->c->vocab }), logits_of(s, x, w));
}

void sp_builder_head(struct sp_builder *s, sp_ref x, sp_ref w)
{
    struct sp_graph *g = s->g;
    sp_graph_scope(g, -1, "%s", "");
    if (g->status)
        return;
    if (s->b->mode == SP_BUILD_SERVE || (s->b->mode == SP_BUILD_SCORE && s->b->wanted > 0)) {
        logits(s, x, w);
        return;
    }
    sp_ref targets = s->b->soft ? sp_graph_input(g, "teacher", SP_TYPE(SP_F32, s->rows, s->c->vocab)) : sp_graph_input(g, "targets", SP_TYPE(SP_I32, s->rows));
    sp_ref weights = sp_graph_input(g, "weights", SP_TYPE(SP_F32, s->rows));
    if (s->b->mode == SP_BUILD_SCORE) {
        score(s, x, w, targets, weights);
        return;
    }
    if (sp_is(s->head_bias) || s->c->logit_cap > 0) /* all logits at once: their slopes pass through more than a product */
        s->b->loss = SP_ADD(g, s->b->soft ? &sp_op_soft : &sp_op_xent, NULL, NULL, logits_of(s, x, w), targets, weights);
    else
        s->b->loss = (s->b->soft ? sp_graph_soft_loss : sp_graph_lm_loss)(g, x, w, targets, weights, loss_rows(s), s->b->compute);
    call_it(s, "loss", s->b->loss, 1);
}

/* ---- by family ---- */

static enum sp_status check(const struct sp_model_config *c, const struct sp_build *b, struct sp_err *err)
{
    if (b->batch < 1 || b->tokens < 1 || b->batch > DIM_LIMIT / b->tokens)
        return sp_fail(err, SP_USAGE, "a batch of %lld times %lld tokens", (long long)b->batch, (long long)b->tokens);
    if (c->family == SP_FAMILY_MLP && b->tokens != 1)
        return sp_fail(err, SP_USAGE, "an MLP takes rows: tokens must be 1, not %lld", (long long)b->tokens);
    bool decodes = c->family == SP_FAMILY_LLAMA || c->family == SP_FAMILY_GPT2 || c->family == SP_FAMILY_DECODER;
    if (b->part && (b->mode == SP_BUILD_TRAIN || b->mode == SP_BUILD_SERVE || !decodes))
        return sp_fail(err, SP_UNSUPPORTED, "only decoders are built in parts, and only to score");
    if (b->part == SP_BUILD_LAYERS && (b->first < 0 || b->last <= b->first || b->last > c->layers))
        return sp_fail(err, SP_USAGE, "layers %lld to %lld of %lld", (long long)b->first, (long long)b->last, (long long)c->layers);
    int64_t most = b->mode == SP_BUILD_SERVE && c->family != SP_FAMILY_MLP ? b->cache : b->tokens;
    bool learned = c->family == SP_FAMILY_GPT2 || c->positions == SP_POSITIONS_LEARNED;
    if (learned && most > c->context) {
        sp_fail(err, SP_USAGE, "%lld positions, but the model has learned %lld", (long long)most, (long long)c->context);
        return sp_remedy(err, "use at most %lld tokens a sequence", (long long)c->context);
    }
    if (b->mode == SP_BUILD_SERVE && c->family != SP_FAMILY_MLP && (b->cache < b->tokens || b->cache > DIM_LIMIT / b->batch))
        return sp_fail(err, SP_USAGE, "a cache of %lld positions for %lld tokens at once", (long long)b->cache, (long long)b->tokens);
    return SP_OK;
}

enum sp_status sp_model_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b, struct sp_err *err)
{
    const struct sp_arch *a = sp_arch_of(c->family);
    if (!g)
        return sp_fail(err, SP_NOMEM, "no memory for a graph");
    if (b->mode == SP_BUILD_LOAD)
        b->batch = b->tokens = 1;
    TRY(check(c, b, err));
    int64_t most = b->tokens > b->cache ? b->tokens : b->cache;
    if (b->positions < most)
        b->positions = most > c->context ? most : c->context;
    a->build(g, c, b);
    sp_graph_scope(g, -1, "%s", "");
    return sp_graph_status(g, err);
}
