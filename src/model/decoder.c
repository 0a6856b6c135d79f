/* model/decoder.c - the graph of a decoder: embedding, layers, head.
 *
 * One builder for all of them.  What a tensor is called stands in the kind's words,
 * what is done in the configuration; attention is in decoder_attention.c, the
 * feed-forward part in decoder_feed.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

/* ---- pieces ---- */

static const char *name_of(struct sp_builder *s, int i, const char *what, const char *end)
{
    if (i < 0)
        return sp_builder_name(s, "%s%s", what ? what : "?", end);
    return sp_builder_name(s, "%s%d.%s%s", s->words->layer, i, what ? what : "?", end);
}

struct linear { sp_ref w, bias; };
static struct linear linear(struct sp_builder *s, int i, const char *what, int64_t out, int64_t in, bool bias)
{
    struct linear l = { .bias = SP_NONE };
    l.w = sp_builder_matrix(s, name_of(s, i, what, ".weight"), out, in);
    if (bias)
        l.bias = sp_builder_vector(s, name_of(s, i, what, ".bias"), out);
    return l;
}

sp_ref sp_decoder_linear(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t out, int64_t in, bool bias, enum sp_format f)
{
    struct linear l = linear(s, i, what, out, in, bias);
    return sp_builder_linear(s, x, l.w, 2, l.bias, SP_NONE, f);
}

static sp_ref ones(struct sp_builder *s, int64_t n)
{
    return sp_graph_add(s->g, &sp_op_fill, NULL, 0, NULL, SP_ATTR(.i = { 1, n }, .f = { 1 }));
}

sp_ref sp_decoder_norm(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t n, enum sp_format f)
{
    const struct sp_model_config *c = s->c;
    sp_ref gain = c->norm == SP_NORM_PLAIN ? ones(s, n) : sp_builder_vector(s, name_of(s, i, what, ".weight"), n);
    if (c->gain_one)
        gain = SP_ADD(s->g, &sp_op_add, NULL, NULL, gain, ones(s, n));
    sp_ref in[3] = { x, gain, c->norm_bias ? sp_builder_vector(s, name_of(s, i, what, ".bias"), n) : SP_NONE };
    return sp_graph_add(s->g, c->norm == SP_NORM_RMS ? &sp_op_rmsnorm : &sp_op_layernorm, NULL, c->norm_bias ? 3 : 2, in,
                        (&(struct sp_attr){ .f = { c->norm_eps }, .format = (int)f }));
}

sp_ref sp_decoder_onto(struct sp_builder *s, int i, const char *what, sp_ref x, sp_ref y, int64_t in, bool bias, const char *after, const char *mask)
{
    const struct sp_model_config *c = s->c;
    struct linear l = linear(s, i, what, c->width, in, bias);
    if (c->norm_at == SP_NORM_BEFORE)
        return sp_builder_residual(s, x, y, l.w, 2, l.bias, mask);
    if (c->norm_at == SP_NORM_OF_SUM)
        return sp_decoder_norm(s, i, after, sp_builder_residual(s, x, y, l.w, 2, l.bias, mask), c->width, SP_F32);
    sp_ref z = sp_builder_dropout(s, sp_builder_linear(s, y, l.w, 2, l.bias, SP_NONE, SP_F32), mask);
    return SP_ADD(s->g, &sp_op_add, NULL, NULL, x, sp_decoder_norm(s, i, after, z, c->width, SP_F32));
}

/* ---- layers ---- */

static sp_ref before(struct sp_builder *s, int i, const char *what, sp_ref x)
{
    if (s->c->norm_at == SP_NORM_BEHIND || s->c->norm_at == SP_NORM_OF_SUM)
        return sp_builder_cast(s, x, s->b->compute);
    return sp_decoder_norm(s, i, what, x, s->c->width, s->b->compute);
}

static sp_ref layer(struct sp_builder *s, int i, sp_ref x)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    sp_ref into = x;
    sp_graph_scope(s->g, i, "layer.%d.", i);
    sp_ref y = before(s, i, c->one_norm && w->one ? w->one : w->norm1, x);
    int64_t wide = c->heads * (c->kv_rank ? c->v_dim : c->head_dim);
    x = sp_decoder_onto(s, i, w->o, x, sp_decoder_attend(s, i, y), wide, c->out_bias, w->after1 ? w->after1 : w->norm1,
                        sp_builder_name(s, "%d.attention", i));
    if (!c->parallel || !c->one_norm)
        y = before(s, i, w->norm2, c->parallel ? into : x);
    return sp_decoder_feed(s, i, x, y);
}

/* ---- positions ---- */

static int64_t turned(const struct sp_model_config *c)
{
    return c->kv_rank ? c->rope_dim : c->rotary ? c->rotary : c->head_dim;
}

static sp_ref rope_state(struct sp_builder *s, const char *name)
{
    return sp_graph_state(s->g, name, SP_STATE_TABLE, false, SP_TYPE(SP_F32, s->b->positions, turned(s->c)));
}

static void fill_rope(struct sp_builder *s, const char *name, const char *table, double base, enum sp_rope_scaling scaling)
{
    const struct sp_model_config *c = s->c;
    struct sp_attr attr = { .format = -1, .f = { base, c->rope_factor, c->rope_low, c->rope_high, c->rope_original, c->rope_size } };
    attr.i[SP_ROPE_TABLE_MAX] = s->b->positions;
    attr.i[SP_ROPE_TABLE_DIM] = turned(c);
    attr.i[SP_ROPE_TABLE_SCALING] = scaling == SP_SCALING_OTHER ? SP_SCALING_NONE : scaling;
    const struct sp_op *op = scaling == SP_SCALING_OTHER ? &sp_op_rope_table_other : &sp_op_rope_table;
    sp_ref made = sp_graph_add(s->g, op, table, 0, NULL, &attr);
    SP_ADD(s->g, &sp_op_put_rows, name, NULL, rope_state(s, sp_builder_name(s, "table/%s", name)), made);
}

/* The model's positions, filled once (LOAD) or read. */
static void rope(struct sp_builder *s)
{
    const struct sp_model_config *c = s->c;
    bool local = c->rope_local > 0 && c->window > 0;
    if (c->positions != SP_POSITIONS_ROTARY)
        return;
    if (s->b->mode == SP_BUILD_LOAD) {
        fill_rope(s, "rope", "rope_table", c->rope_theta, c->rope_scaling);
        if (local)
            fill_rope(s, "rope_local", "rope_local_table", c->rope_local, SP_SCALING_NONE);
        return;
    }
    s->rope = rope_state(s, "table/rope");
    s->rope_local = local ? rope_state(s, "table/rope_local") : s->rope;
}

/* Rows of a learned table: looked up while serving, else its first rows under every sequence. */
static sp_ref add_positions(struct sp_builder *s, sp_ref x)
{
    struct sp_graph *g = s->g;
    int64_t t = s->b->tokens, c = s->c->width, skip = s->c->offset;
    sp_ref table = sp_builder_matrix(s, name_of(s, -1, s->words->positions, ".weight"), s->c->context + skip, c);
    if (s->b->mode == SP_BUILD_SERVE) {
        sp_ref at = sp_graph_input(g, "positions", SP_TYPE(SP_I32, s->rows));
        sp_ref from = skip ? SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { skip * c, 2, s->c->context, c }), table) : table;
        return SP_ADD(g, &sp_op_add, NULL, NULL, x, SP_ADD(g, &sp_op_embed, "position", NULL, at, from));
    }
    sp_ref rows = SP_ADD(g, &sp_op_view, "position", SP_ATTR(.i = { skip * c, 2, t, c }), table);
    sp_ref deep = SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 3, s->b->batch, t, c }), x);
    sp_ref sum = SP_ADD(g, &sp_op_add, NULL, NULL, deep, rows);
    return SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 2, s->rows, c }), sum);
}

/* ---- all of it ---- */

static sp_ref embedding(struct sp_builder *s)
{
    return sp_builder_matrix(s, name_of(s, -1, s->words->embed, ".weight"), s->c->vocab, s->c->embed_width ? s->c->embed_width : s->c->width);
}

static sp_ref looked_up(struct sp_builder *s, sp_ref table)
{
    const struct sp_model_config *c = s->c;
    if (s->b->part == SP_BUILD_EMBED)
        return sp_builder_looked_up(s, name_of(s, -1, s->words->embed, ".weight"), c->embed_width ? c->embed_width : c->width, c->embed_scale);
    sp_ref ids = sp_graph_input(s->g, "ids", SP_TYPE(SP_I32, s->rows));
    return SP_ADD(s->g, &sp_op_embed, "embed", SP_ATTR(.f = { c->embed_scale }), ids, table);
}

static sp_ref embed(struct sp_builder *s, sp_ref table)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    sp_ref x = looked_up(s, table);
    if (c->embed_width)
        x = sp_decoder_linear(s, -1, w->project_in, sp_builder_cast(s, x, s->b->compute), c->width, c->embed_width, false, SP_F32);
    if (c->token_types) {
        sp_ref types = sp_graph_input(s->g, "types", SP_TYPE(SP_I32, s->rows));
        sp_ref kinds = sp_builder_matrix(s, name_of(s, -1, w->types, ".weight"), c->token_types, c->width);
        x = SP_ADD(s->g, &sp_op_add, NULL, NULL, x, SP_ADD(s->g, &sp_op_embed, "type", NULL, types, kinds));
    }
    if (c->positions == SP_POSITIONS_LEARNED)
        x = add_positions(s, x);
    if (c->embed_norm)
        x = sp_decoder_norm(s, -1, w->embed_norm, x, c->width, SP_F32);
    return sp_builder_dropout(s, x, "embed");
}

static void head(struct sp_builder *s, sp_ref x, sp_ref table)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    struct sp_model_config narrow = *c;
    x = c->norm_at == SP_NORM_OF_SUM ? sp_builder_cast(s, x, s->b->compute) : sp_decoder_norm(s, -1, w->final_norm, x, c->width, s->b->compute);
    if (c->embed_width) {
        x = sp_decoder_linear(s, -1, w->project_out, x, c->embed_width, c->width, false, s->b->compute);
        narrow.width = c->embed_width;
        s->c = &narrow;
    }
    if (c->masked_head) {
        x = sp_decoder_linear(s, -1, w->transform, x, c->width, c->width, true, s->b->compute);
        x = SP_ADD(s->g, c->activation == SP_GELU ? &sp_op_gelu : &sp_op_gelu_erf, NULL, (&(struct sp_attr){ .format = SP_F32 }), x);
        x = sp_decoder_norm(s, -1, w->transform_norm, x, c->width, s->b->compute);
    }
    sp_ref matrix = c->tied ? table : sp_builder_matrix(s, name_of(s, -1, w->head, ".weight"), c->vocab, narrow.width);
    if (c->head_bias)
        s->head_bias = sp_builder_vector(s, w->head_bias ? w->head_bias : name_of(s, -1, w->head, ".bias"), c->vocab);
    sp_builder_head(s, x, matrix);
    s->c = c;
}

void sp_decoder_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    struct sp_builder s;
    sp_builder_init(&s, g, c, b);
    rope(&s);
    if (b->mode == SP_BUILD_LOAD)
        return;
    bool begins = b->part == SP_BUILD_WHOLE || b->part == SP_BUILD_EMBED, ends = b->part == SP_BUILD_WHOLE || b->part == SP_BUILD_HEAD;
    sp_ref table = b->part == SP_BUILD_WHOLE || (ends && c->tied) ? embedding(&s) : SP_NONE;
    sp_ref x = begins ? embed(&s, table) : sp_builder_entering(&s);
    for (int64_t i = sp_builder_first(&s); i < sp_builder_last(&s) && !g->status; i++)
        x = layer(&s, (int)i, x);
    sp_graph_scope(g, -1, "%s", "");
    if (ends)
        head(&s, x, table);
    else
        sp_builder_leaving(&s, x);
}
