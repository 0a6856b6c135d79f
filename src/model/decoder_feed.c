/* model/decoder_feed.c - the feed-forward part of a decoder's layer: gated or not, or a
 * mixture of experts, some of which every token meets.
 * SPDX-License-Identifier: Apache-2.0 */
#include "builder.h"

static const struct sp_op *activation(const struct sp_model_config *c)
{
    static const struct sp_op *const op[] = { [SP_RELU] = &sp_op_relu, [SP_GELU] = &sp_op_gelu, [SP_GELU_ERF] = &sp_op_gelu_erf,
                                              [SP_SILU] = &sp_op_silu, [SP_TANH] = &sp_op_tanh };
    return op[c->activation];
}

static sp_ref glu(struct sp_builder *s, sp_ref gate, sp_ref up)
{
    return SP_ADD(s->g, &sp_op_glu, NULL, (&(struct sp_attr){ .i = { s->c->activation }, .format = (int)s->b->compute }), gate, up);
}

static sp_ref inner(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    if (c->ungated)
        return SP_ADD(s->g, activation(c), NULL, NULL, sp_decoder_linear(s, i, w->up, y, c->ffn, c->width, c->mlp_bias, s->b->compute));
    if (w->gate_up) {
        sp_ref both = sp_decoder_linear(s, i, w->gate_up, y, 2 * c->ffn, c->width, c->mlp_bias, s->b->compute);
        sp_ref gate = sp_builder_columns(s, both, 0, c->ffn);
        return glu(s, gate, sp_builder_columns(s, both, c->ffn, c->ffn));
    }
    sp_ref gate = sp_decoder_linear(s, i, w->gate, y, c->ffn, c->width, c->mlp_bias, s->b->compute);
    return glu(s, gate, sp_decoder_linear(s, i, w->up, y, c->ffn, c->width, c->mlp_bias, s->b->compute));
}

/* ---- experts ---- */

/* All experts' matrices of one kind, and biases: "EXPERTS.WHAT.weight" [experts, out, in]. */
static sp_ref of_experts(struct sp_builder *s, int i, const char *what, sp_ref x, sp_ref index, int64_t out, int64_t in, enum sp_format f)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    bool train = s->b->mode == SP_BUILD_TRAIN;
    sp_ref bias = SP_NONE, all = sp_graph_state(s->g, sp_builder_name(s, "%s%d.%s.%s.weight", w->layer, i, w->experts, what), SP_STATE_PARAM, train,
                                                SP_TYPE(s->b->stored, c->experts, out, in));
    if (c->expert_bias)
        bias = sp_builder_matrix(s, sp_builder_name(s, "%s%d.%s.%s.bias", w->layer, i, w->experts, what), c->experts, out);
    sp_ref inputs[4] = { x, all, index, bias };
    return sp_graph_add(s->g, &sp_op_expert_matmul, NULL, 4, inputs, (&(struct sp_attr){ .format = (int)f }));
}

/* Chosen by a row's logits: weights, and as output 1 their numbers. */
static sp_ref chosen(struct sp_builder *s, int i, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    sp_ref logits = sp_decoder_linear(s, i, w->router, y, c->experts, c->width, false, SP_F32);
    sp_ref bias = c->route_bias ? sp_builder_vector(s, sp_builder_name(s, "%s%d.%s", w->layer, i, w->route_bias), c->experts) : SP_NONE;
    return SP_ADD(s->g, &sp_op_route, NULL, SP_ATTR(.i = { c->experts_used }), logits, bias);
}

/* What every token meets, perhaps as far as its own gate lets it. */
static sp_ref shared(struct sp_builder *s, int i, sp_ref x, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    sp_ref gate = sp_decoder_linear(s, i, sp_builder_name(s, "%s.gate_proj", w->shared), y, c->shared_ffn, c->width, false, s->b->compute);
    sp_ref up = sp_decoder_linear(s, i, sp_builder_name(s, "%s.up_proj", w->shared), y, c->shared_ffn, c->width, false, s->b->compute);
    sp_ref z = glu(s, gate, up);
    sp_ref down = sp_builder_matrix(s, sp_builder_name(s, "%s%d.%s.down_proj.weight", w->layer, i, w->shared), c->width, c->shared_ffn);
    if (!c->shared_gate)
        return sp_builder_linear(s, z, down, 2, SP_NONE, x, SP_F32);
    sp_ref share = SP_ADD(s->g, &sp_op_sigmoid, NULL, NULL, sp_decoder_linear(s, i, w->shared_gate, y, 1, c->width, false, SP_F32));
    z = sp_builder_linear(s, z, down, 2, SP_NONE, SP_NONE, SP_F32);
    return SP_ADD(s->g, &sp_op_expert_combine, NULL, SP_ATTR(.i = { 1 }), z, share, x);
}

static sp_ref mixture(struct sp_builder *s, int i, sp_ref x, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    sp_ref weights = chosen(s, i, y), index = { weights.node, 1 };
    if (s->g->status)
        return SP_NONE;
    sp_ref gate = of_experts(s, i, "gate_proj", y, index, c->expert_ffn, c->width, s->b->compute);
    sp_ref up = of_experts(s, i, "up_proj", y, index, c->expert_ffn, c->width, s->b->compute);
    sp_ref out = of_experts(s, i, "down_proj", glu(s, gate, up), index, c->width, c->expert_ffn, s->b->compute);
    x = SP_ADD(s->g, &sp_op_expert_combine, NULL, SP_ATTR(.i = { c->experts_used }), out, weights, x);
    return c->shared_ffn ? shared(s, i, x, y) : x;
}

sp_ref sp_decoder_feed(struct sp_builder *s, int i, sp_ref x, sp_ref y)
{
    const struct sp_model_config *c = s->c;
    const struct sp_words *w = s->words;
    if (c->experts && i >= c->dense_layers && (!c->expert_every || (i + 1) % c->expert_every == 0))
        return mixture(s, i, x, y);
    sp_ref z = inner(s, i, y);
    return sp_decoder_onto(s, i, w->down, x, z, c->ffn, c->mlp_bias, w->after2 ? w->after2 : w->norm2, sp_builder_name(s, "%d.feed_forward", i));
}
