/* model/decoder_attention.c - attention of a decoder's layer: projections, norms of
 * queries and keys, rotary positions of all or part of a head, the cache, windows; and
 * latent attention, which is counted only.
 * SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

/* What layer i may look back; 0: everything. */
static int64_t window_of(const struct sp_model_config *c, int i)
{
    int64_t every = c->window_every, at = c->window_at ? c->window_at : every;
    return every && i % every == at - 1 ? 0 : c->window;
}

static sp_ref rotate(struct sp_builder *s, int i, sp_ref x, int64_t heads)
{
    const struct sp_model_config *c = s->c;
    bool part = c->rotary != 0;
    bool still = c->still_every && i % c->still_every == c->still_every - 1;
    if (c->positions != SP_POSITIONS_ROTARY || still || s->g->status)
        return x;
    struct sp_attr attr = { .format = -1 };
    sp_ref in[3] = { part ? sp_builder_view(s, x, s->rows * heads, c->head_dim) : x, window_of(c, i) ? s->rope_local : s->rope, s->past };
    attr.i[SP_ROPE_T] = s->b->tokens;
    attr.i[SP_ROPE_HEADS] = part ? 1 : heads;
    attr.i[SP_ROPE_EACH] = part ? heads : 1;
    attr.i[SP_ROPE_DIM] = part ? c->rotary : c->head_dim;
    attr.i[SP_ROPE_INTERLEAVED] = c->interleaved;
    sp_ref y = sp_graph_add(s->g, &sp_op_rope, NULL, sp_is(in[2]) ? 3 : 2, in, &attr);
    return part ? sp_builder_view(s, y, s->rows, heads * c->head_dim) : y;
}

/* The norm of queries or keys, a head at a time or all at once. */
static sp_ref normed(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t heads)
{
    const struct sp_model_config *c = s->c;
    int64_t dim = c->head_dim;
    if (c->qk_norm_wide)
        return sp_decoder_norm(s, i, what, x, heads * dim, s->b->compute);
    if (!c->qk_norm || s->g->status)
        return x;
    x = sp_decoder_norm(s, i, what, sp_builder_view(s, x, s->rows * heads, dim), dim, s->b->compute);
    return sp_builder_view(s, x, s->rows, heads * dim);
}

static sp_ref projected(struct sp_builder *s, int i, const char *what, const char *norm, sp_ref y, int64_t heads)
{
    const struct sp_model_config *c = s->c;
    enum sp_format f = norm && (c->qk_norm || c->qk_norm_wide) ? SP_F32 : s->b->compute;
    sp_ref x = sp_decoder_linear(s, i, what, y, heads * c->head_dim, c->width, c->qkv_bias, f);
    return norm ? rotate(s, i, normed(s, i, norm, x, heads), heads) : x;
}

struct heads { sp_ref q, k, v; };

/* One matrix for q, k and v: all q, all k, all v, or those of each key-value head side by side. */
static struct heads unpacked(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    int64_t groups = w->grouped ? c->kv_heads : 1, q = c->heads / groups * c->head_dim, k = c->kv_heads / groups * c->head_dim;
    sp_ref all = sp_decoder_linear(s, i, w->qkv, y, (c->heads + 2 * c->kv_heads) * c->head_dim, c->width, c->qkv_bias, s->b->compute);
    if (groups > 1)
        all = sp_builder_view(s, all, s->rows * groups, q + 2 * k);
    struct heads h = { sp_builder_columns(s, all, 0, q), sp_builder_columns(s, all, q, k), sp_builder_columns(s, all, q + k, k) };
    if (groups > 1) {
        h.q = sp_builder_view(s, h.q, s->rows, groups * q);
        h.k = sp_builder_view(s, h.k, s->rows, groups * k);
        h.v = sp_builder_view(s, h.v, s->rows, groups * k);
    }
    h.q = rotate(s, i, h.q, c->heads);
    h.k = rotate(s, i, h.k, c->kv_heads);
    return h;
}

static struct heads apart(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_words *w = s->words;
    struct heads h;
    h.q = projected(s, i, w->q, w->q_norm ? w->q_norm : "", y, s->c->heads);
    h.k = projected(s, i, w->k, w->k_norm ? w->k_norm : "", y, s->c->kv_heads);
    h.v = projected(s, i, w->v, NULL, y, s->c->kv_heads);
    return h;
}

/* Scores that depend on the distance, or that a sink takes from: counted only. */
static sp_ref biased(struct sp_builder *s, int i, struct heads h, struct sp_attr *attr)
{
    const struct sp_words *w = s->words;
    sp_ref table = s->c->sinks ? sp_builder_vector(s, sp_builder_name(s, "%s%d.%s", w->layer, i, w->sinks), s->c->heads) : SP_NONE;
    sp_ref in[6] = { h.q, h.k, h.v, s->past, SP_NONE, table };
    attr->format = (int)s->b->compute;
    attr->i[SP_ATTN_BATCH] = s->b->batch;
    return sp_graph_add(s->g, &sp_op_attention_bias, NULL, 6, in, attr);
}

static sp_ref ordinary(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    struct heads h = s->words->qkv ? unpacked(s, i, y) : apart(s, i, y);
    int64_t window = window_of(c, i);
    struct sp_attr attr = { .f = { c->attn_scale, c->attn_cap } };
    if (s->b->mode == SP_BUILD_SERVE && !c->full) {
        h.k = sp_builder_cached(s, i, "k", h.k, window);
        h.v = sp_builder_cached(s, i, "v", h.v, window);
    }
    attr.i[SP_ATTN_HEADS] = c->heads;
    attr.i[SP_ATTN_KV_HEADS] = c->kv_heads;
    attr.i[SP_ATTN_DIM] = c->head_dim;
    attr.i[SP_ATTN_WINDOW] = window;
    attr.i[SP_ATTN_FULL] = c->full;
    return c->positions == SP_POSITIONS_ALIBI || c->sinks ? biased(s, i, h, &attr) : sp_builder_attention(s, i, h.q, h.k, h.v, &attr);
}

/* ---- latent ---- */

/* Heads of a part that stays and a part that turns: both, the second turned. */
static void split(struct sp_builder *s, sp_ref q, sp_ref *stays, sp_ref *turns)
{
    const struct sp_model_config *c = s->c;
    sp_ref rows = sp_builder_view(s, q, s->rows * c->heads, c->nope_dim + c->rope_dim);
    *stays = sp_builder_columns(s, rows, 0, c->nope_dim);
    *turns = sp_builder_columns(s, rows, c->nope_dim, c->rope_dim);
}

static sp_ref turn(struct sp_builder *s, sp_ref x, int64_t each)
{
    struct sp_attr attr = { .format = -1 };
    sp_ref in[3] = { x, s->rope, s->past };
    attr.i[SP_ROPE_T] = s->b->tokens;
    attr.i[SP_ROPE_HEADS] = 1;
    attr.i[SP_ROPE_EACH] = each;
    attr.i[SP_ROPE_DIM] = s->c->rope_dim;
    attr.i[SP_ROPE_INTERLEAVED] = 1;
    return sp_graph_add(s->g, &sp_op_rope, NULL, sp_is(in[2]) ? 3 : 2, in, &attr);
}

static sp_ref latent_queries(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    int64_t wide = c->heads * (c->nope_dim + c->rope_dim);
    if (!c->q_rank)
        return sp_decoder_linear(s, i, "self_attn.q_proj", y, wide, c->width, false, s->b->compute);
    sp_ref low = sp_decoder_linear(s, i, "self_attn.q_a_proj", y, c->q_rank, c->width, false, SP_F32);
    low = sp_decoder_norm(s, i, "self_attn.q_a_layernorm", low, c->q_rank, s->b->compute);
    return sp_decoder_linear(s, i, "self_attn.q_b_proj", low, wide, c->q_rank, false, s->b->compute);
}

static sp_ref absorb(struct sp_builder *s, sp_ref x, sp_ref w, int64_t from, int64_t rows, bool back)
{
    struct sp_attr attr = { .format = -1 };
    attr.i[SP_ABSORB_HEADS] = s->c->heads;
    attr.i[SP_ABSORB_FROM] = from;
    attr.i[SP_ABSORB_ROWS] = rows;
    attr.i[SP_ABSORB_BACK] = back;
    return SP_ADD(s->g, &sp_op_latent_absorb, NULL, &attr, x, w);
}

static sp_ref latent_op(struct sp_builder *s, sp_ref q, sp_ref kv, sp_ref kr, bool shared)
{
    const struct sp_model_config *c = s->c;
    struct sp_attr attr = { .format = (int)s->b->compute };
    sp_ref in[4] = { q, kv, kr, s->past };
    attr.i[SP_LATENT_HEADS] = c->heads;
    attr.i[SP_LATENT_NOPE] = shared ? c->kv_rank : c->nope_dim;
    attr.i[SP_LATENT_ROPE] = c->rope_dim;
    attr.i[SP_LATENT_V] = shared ? c->kv_rank : c->v_dim;
    attr.i[SP_LATENT_BATCH] = s->b->batch;
    attr.i[SP_LATENT_SHARED] = shared;
    return sp_graph_add(s->g, &sp_op_latent, NULL, sp_is(in[3]) ? 4 : 3, in, &attr);
}

/* One token attends to the latent rows themselves: the unpacking matrix goes to its query and its result. */
static sp_ref over_latent_rows(struct sp_builder *s, sp_ref stays, sp_ref turns, sp_ref c_kv, sp_ref kr, sp_ref unpack)
{
    const struct sp_model_config *c = s->c;
    sp_ref low = absorb(s, stays, unpack, 0, c->nope_dim, false);
    sp_ref q = SP_ADD(s->g, &sp_op_concat, NULL, NULL, low, turns);
    q = sp_builder_view(s, q, s->rows, c->heads * (c->kv_rank + c->rope_dim));
    sp_ref o = latent_op(s, q, c_kv, kr, true);
    o = absorb(s, sp_builder_view(s, o, s->rows * c->heads, c->kv_rank), unpack, c->nope_dim, c->v_dim, true);
    return sp_builder_view(s, o, s->rows, c->heads * c->v_dim);
}

static sp_ref latent(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    sp_ref stays, turns, q = latent_queries(s, i, y);
    if (s->g->status)
        return SP_NONE;
    split(s, q, &stays, &turns);
    turns = turn(s, turns, c->heads);
    sp_ref both = sp_decoder_linear(s, i, "self_attn.kv_a_proj_with_mqa", y, c->kv_rank + c->rope_dim, c->width, false, SP_F32);
    sp_ref rows = sp_decoder_norm(s, i, "self_attn.kv_a_layernorm", sp_builder_columns(s, both, 0, c->kv_rank), c->kv_rank, s->b->compute);
    sp_ref kr = turn(s, sp_builder_cast(s, sp_builder_columns(s, both, c->kv_rank, c->rope_dim), s->b->compute), 1);
    sp_ref unpack = sp_builder_matrix(s, sp_builder_name(s, "%s%d.self_attn.kv_b_proj.weight", s->words->layer, i),
                                      c->heads * (c->nope_dim + c->v_dim), c->kv_rank);
    if (s->b->mode == SP_BUILD_SERVE) {
        rows = sp_builder_cached(s, i, "latent", rows, 0);
        kr = sp_builder_cached(s, i, "rope", kr, 0);
        if (s->b->tokens == 1)
            return over_latent_rows(s, stays, turns, rows, kr, unpack);
    }
    q = sp_builder_view(s, SP_ADD(s->g, &sp_op_concat, NULL, NULL, stays, turns), s->rows, c->heads * (c->nope_dim + c->rope_dim));
    sp_ref kv = sp_builder_linear(s, rows, unpack, 2, SP_NONE, SP_NONE, s->b->compute);
    return latent_op(s, q, kv, kr, false);
}

sp_ref sp_decoder_attend(struct sp_builder *s, int i, sp_ref y)
{
    return s->c->kv_rank ? latent(s, i, y) : ordinary(s, i, y);
}
