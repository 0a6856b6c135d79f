/* model/model_t5.c - encoder and decoder with positions by distance (Raffel et al. 2020):
 * T5, Flan-T5, mT5.  Counted only: no kernel adds a bias to scores.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

/* ---- configuration ---- */

#define T5_WORDS(side, feed) .embed = "shared", .head = "lm_head", .layer = side ".block.", .final_norm = side ".final_layer_norm", \
                             .norm1 = "layer.0.layer_norm", .norm2 = feed ".layer_norm", .down = feed ".DenseReluDense.wo"
static const struct sp_words encoder[2] = {
    { T5_WORDS("encoder", "layer.1"), .gate = "layer.1.DenseReluDense.wi_0", .up = "layer.1.DenseReluDense.wi_1" },
    { T5_WORDS("encoder", "layer.1"), .up = "layer.1.DenseReluDense.wi" } };
static const struct sp_words decoder[2] = {
    { T5_WORDS("decoder", "layer.2"), .gate = "layer.2.DenseReluDense.wi_0", .up = "layer.2.DenseReluDense.wi_1" },
    { T5_WORDS("decoder", "layer.2"), .up = "layer.2.DenseReluDense.wi" } };

static const struct sp_kind t5_kinds[] = {
    { "t5", "T5ForConditionalGeneration", "T5WithLMHeadModel", encoder, { .context = 512, .head_dim = 64, .activation = SP_RELU, .tied = true,
      .ungated = true, .buckets = 32, .attn_scale = 1 } },
    { "mt5", "MT5ForConditionalGeneration", NULL, encoder, { .context = 512, .head_dim = 64, .activation = SP_GELU, .buckets = 32, .attn_scale = 1 } },
    { 0 },
};

static enum sp_status t5_read(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    enum { LAYERS = 10000, BUCKETS = 1 << 20 };
    const char *feed;
    TRY(sp_json_text(j, "feed_forward_proj", NULL, &feed, err));
    if (feed)
        c->ungated = strncmp(feed, "gated-", 6) != 0;
    if (feed && !c->ungated)
        c->activation = strstr(feed, "silu") ? SP_SILU : SP_GELU;
    TRY(sp_decoder_read(c, j, err));
    c->encoder_layers = c->layers;
    TRY(sp_key_int(j, "num_layers", 1, LAYERS, c->layers, &c->encoder_layers, err));
    TRY(sp_key_int(j, "num_decoder_layers", 1, LAYERS, c->encoder_layers, &c->layers, err));
    return sp_key_int(j, "relative_attention_num_buckets", 1, BUCKETS, c->buckets, &c->buckets, err);
}

/* ---- graph ---- */

struct part {
    struct sp_builder *s;
    const char *side;         /* "encoder", "decoder"                          */
    sp_ref table;             /* bias of every distance, the same in all layers */
    bool full;
};

static sp_ref keys(struct part *p, int i, const char *what, sp_ref y)
{
    struct sp_builder *s = p->s;
    return sp_decoder_linear(s, i, what, y, s->c->heads * s->c->head_dim, s->c->width, false, s->b->compute);
}

static sp_ref attend(struct sp_builder *s, sp_ref q, sp_ref k, sp_ref v, sp_ref past, sp_ref table, bool full)
{
    struct sp_attr attr = { .f = { 1 }, .format = (int)s->b->compute };
    sp_ref in[6] = { q, k, v, past, SP_NONE, table };
    attr.i[SP_ATTN_HEADS] = attr.i[SP_ATTN_KV_HEADS] = s->c->heads;
    attr.i[SP_ATTN_DIM] = s->c->head_dim;
    attr.i[SP_ATTN_BATCH] = s->b->batch;
    attr.i[SP_ATTN_FULL] = full;
    return sp_graph_add(s->g, &sp_op_attention_bias, NULL, 6, in, &attr);
}

static sp_ref self_attention(struct part *p, int i, sp_ref x)
{
    struct sp_builder *s = p->s;
    const struct sp_model_config *c = s->c;
    bool caches = s->b->mode == SP_BUILD_SERVE && !p->full;
    sp_ref y = sp_decoder_norm(s, i, s->words->norm1, x, c->width, s->b->compute);
    sp_ref q = keys(p, i, "layer.0.SelfAttention.q", y), k = keys(p, i, "layer.0.SelfAttention.k", y), v = keys(p, i, "layer.0.SelfAttention.v", y);
    if (caches) {
        k = sp_builder_cached(s, i, "k", k, 0);
        v = sp_builder_cached(s, i, "v", v, 0);
    }
    y = attend(s, q, k, v, caches ? s->past : SP_NONE, p->table, p->full);
    return sp_decoder_onto(s, i, "layer.0.SelfAttention.o", x, y, c->heads * c->head_dim, false, NULL, sp_builder_name(s, "%s.%d.self", p->side, i));
}

/* Keys and values of the source: made of its rows, or while serving kept from when they were. */
static sp_ref of_source(struct part *p, int i, const char *which, const char *what, sp_ref source)
{
    struct sp_builder *s = p->s;
    const struct sp_model_config *c = s->c;
    sp_ref made = sp_is(source) ? keys(p, i, what, source) : SP_NONE;
    if (s->b->mode != SP_BUILD_SERVE || s->g->status)
        return made;
    if (sp_is(source))
        return sp_builder_cached(s, i, which, made, 0);
    return sp_graph_state(s->g, sp_builder_name(s, "cache/%d/%s", i, which), SP_STATE_CACHE, false,
                          SP_TYPE(s->b->cached, s->b->batch * s->b->cache, c->heads * c->head_dim));
}

static sp_ref cross_attention(struct part *p, int i, sp_ref x, sp_ref source)
{
    struct sp_builder *s = p->s;
    const struct sp_model_config *c = s->c;
    sp_ref y = sp_decoder_norm(s, i, "layer.1.layer_norm", x, c->width, s->b->compute);
    sp_ref q = keys(p, i, "layer.1.EncDecAttention.q", y);
    sp_ref k = of_source(p, i, "cross_k", "layer.1.EncDecAttention.k", source), v = of_source(p, i, "cross_v", "layer.1.EncDecAttention.v", source);
    y = attend(s, q, k, v, SP_NONE, SP_NONE, true);
    return sp_decoder_onto(s, i, "layer.1.EncDecAttention.o", x, y, c->heads * c->head_dim, false, NULL, sp_builder_name(s, "%s.%d.cross", p->side, i));
}

static sp_ref embedded(struct part *p, const char *ids, sp_ref shared)
{
    struct sp_builder *s = p->s;
    sp_graph_scope(s->g, -1, "%s.", p->side);
    sp_ref x = SP_ADD(s->g, &sp_op_embed, "embed", NULL, sp_graph_input(s->g, ids, SP_TYPE(SP_I32, s->rows)), shared);
    p->table = sp_builder_matrix(s, sp_builder_name(s, "%s.block.0.layer.0.SelfAttention.relative_attention_bias.weight", p->side), s->c->buckets, s->c->heads);
    return sp_builder_dropout(s, x, sp_builder_name(s, "%s.embed", p->side));
}

static sp_ref layers(struct part *p, sp_ref x, sp_ref source, int64_t n, int first)
{
    struct sp_builder *s = p->s;
    for (int i = 0; i < n && !s->g->status; i++) {
        sp_graph_scope(s->g, first + i, "%s.%d.", p->side, i);
        x = self_attention(p, i, x);
        if (!p->full)
            x = cross_attention(p, i, x, source);
        x = sp_decoder_feed(s, i, x, sp_decoder_norm(s, i, s->words->norm2, x, s->c->width, s->b->compute));
    }
    sp_graph_scope(s->g, -1, "%s.", p->side);
    return sp_decoder_norm(s, -1, s->words->final_norm, x, s->c->width, s->b->compute);
}

static sp_ref encode(struct sp_builder *s, sp_ref shared)
{
    struct part p = { .s = s, .side = "encoder", .full = true };
    s->words = &encoder[s->c->ungated];
    return layers(&p, embedded(&p, "source", shared), SP_NONE, s->c->encoder_layers, 0);
}

/* Serving: a prefill reads the source and begins the answer with one position; a decoded token needs neither again. */
static void t5_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    struct sp_builder s;
    struct sp_build one = *b;
    sp_builder_init(&s, g, c, b);
    if (b->mode == SP_BUILD_LOAD)
        return;
    sp_ref shared = sp_builder_matrix(&s, "shared.weight", c->vocab, c->width);
    bool serves = b->mode == SP_BUILD_SERVE;
    sp_ref source = serves && b->tokens == 1 ? SP_NONE : encode(&s, shared);
    one.tokens = 1;
    if (serves) {
        s.b = &one;
        s.rows = one.batch;
    }
    struct part p = { .s = &s, .side = "decoder" };
    s.words = &decoder[c->ungated];
    sp_ref x = layers(&p, embedded(&p, "ids", shared), source, c->layers, (int)c->encoder_layers);
    sp_graph_scope(g, -1, "%s", "");
    sp_builder_head(&s, x, c->tied ? shared : sp_builder_matrix(&s, "lm_head.weight", c->vocab, c->width));
}

static bool t5_residual(const char *tensor)
{
    return strstr(tensor, ".o.weight") || strstr(tensor, ".wo.weight");
}

const struct sp_arch sp_arch_t5 = {
    .name = "t5", .help = "encoder and decoder, positions by distance", .family = SP_FAMILY_T5, .kinds = t5_kinds, .read = t5_read,
    .write = sp_decoder_write, .build = t5_build, .residual = t5_residual, .prefix = "",
};
