/* model/model_gpt2.c - GPT-2 (Radford et al. 2019): learned positions, layer norm,
 * one matrix for q, k and v, GELU.
 *
 * Weights keep Hugging Face's layout: its Conv1D stores [in,out].  "bias": false
 * (ours) leaves out every bias, of layers and of norms.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

/* ---- configuration ---- */

static enum sp_status gpt2_read(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    enum { BIG = 1 << 30 };
    TRY(sp_json_int(j, "vocab_size", 1, BIG, 50257, &c->vocab, err));
    TRY(sp_key_int(j, "n_embd|hidden_size|hidden_dim", 1, BIG, 768, &c->width, err));
    TRY(sp_key_int(j, "n_layer|num_hidden_layers|num_layers", 1, 10000, 12, &c->layers, err));
    TRY(sp_key_int(j, "n_head|num_attention_heads", 1, 100000, 12, &c->heads, err));
    TRY(sp_key_int(j, "n_inner|intermediate_size|ffn_embed_dim", 1, BIG, 4 * c->width, &c->ffn, err));
    TRY(sp_key_int(j, "n_positions|max_position_embeddings|max_seq_len|n_ctx", 1, BIG, 1024, &c->context, err));
    TRY(sp_key_real(j, "layer_norm_epsilon|layer_norm_eps", 0, 1, 1e-5, &c->norm_eps, err));
    TRY(sp_json_real(j, "resid_pdrop", 0, 1, 0.1, &c->dropout, err));
    TRY(sp_json_bool(j, "tie_word_embeddings", true, &c->tied, err));
    TRY(sp_json_bool(j, "bias", true, &c->bias, err));
    return sp_key_activation(c, j, err);
}

static enum sp_status gpt2_write(const struct sp_model_config *c, json_t *j)
{
    const char *act = c->activation == SP_RELU ? "relu" : c->activation == SP_GELU_ERF ? "gelu" : "gelu_new";
    int bad = 0;
    bad |= json_object_set_new(j, "architectures", json_pack("[s]", "GPT2LMHeadModel"));
    bad |= json_object_set_new(j, "model_type", json_string("gpt2"));
    bad |= json_object_set_new(j, "vocab_size", json_integer(c->vocab));
    bad |= json_object_set_new(j, "n_embd", json_integer(c->width));
    bad |= json_object_set_new(j, "n_layer", json_integer(c->layers));
    bad |= json_object_set_new(j, "n_head", json_integer(c->heads));
    bad |= json_object_set_new(j, "n_inner", json_integer(c->ffn));
    bad |= json_object_set_new(j, "n_positions", json_integer(c->context));
    bad |= json_object_set_new(j, "layer_norm_epsilon", json_real(c->norm_eps));
    bad |= json_object_set_new(j, "activation_function", json_string(act));
    bad |= json_object_set_new(j, "resid_pdrop", json_real(c->dropout));
    bad |= json_object_set_new(j, "embd_pdrop", json_real(c->dropout));
    bad |= json_object_set_new(j, "attn_pdrop", json_real(0));
    bad |= json_object_set_new(j, "tie_word_embeddings", json_boolean(c->tied));
    if (!c->bias)
        bad |= json_object_set_new(j, "bias", json_false());
    return bad ? SP_NOMEM : SP_OK;
}

/* ---- graph ---- */

static const char EMBEDDING[] = "transformer.wte.weight";

/* WHAT.weight and, where the model has them, WHAT.bias. */
static sp_ref bias(struct sp_builder *s, const char *what, int64_t n)
{
    return s->c->bias ? sp_builder_vector(s, sp_builder_name(s, "%s.bias", what), n) : SP_NONE;
}

static sp_ref norm(struct sp_builder *s, sp_ref x, const char *what)
{
    sp_ref in[3] = { x, sp_builder_vector(s, sp_builder_name(s, "%s.weight", what), s->c->width), bias(s, what, s->c->width) };
    return sp_graph_add(s->g, &sp_op_layernorm, NULL, s->c->bias ? 3 : 2, in,
                        (&(struct sp_attr){ .f = { s->c->norm_eps }, .format = (int)s->b->compute }));
}

/* A matrix [in,out]; in blocks, which run along what is summed, [out,in]. */
struct turnable { sp_ref w; int trans; };
static struct turnable matrix(struct sp_builder *s, const char *what, int64_t in, int64_t out)
{
    const char *name = sp_builder_name(s, "%s.weight", what);
    if (sp_formats[sp_builder_stored(s, name)].block > 1)
        return (struct turnable){ sp_builder_matrix(s, name, out, in), 2 };
    return (struct turnable){ sp_builder_matrix(s, name, in, out), 0 };
}

static sp_ref conv(struct sp_builder *s, sp_ref x, const char *what, int64_t in, int64_t out)
{
    struct turnable m = matrix(s, what, in, out);
    return sp_builder_linear(s, x, m.w, m.trans, bias(s, what, out), SP_NONE, s->b->compute);
}

static sp_ref onto(struct sp_builder *s, sp_ref x, sp_ref y, const char *what, int64_t in)
{
    struct turnable m = matrix(s, what, in, s->c->width);
    return sp_builder_residual(s, x, y, m.w, m.trans, bias(s, what, s->c->width), what);
}

static sp_ref attend(struct sp_builder *s, int i, sp_ref qkv)
{
    const struct sp_model_config *c = s->c;
    struct sp_attr attr = { 0 };
    attr.i[SP_ATTN_HEADS] = attr.i[SP_ATTN_KV_HEADS] = c->heads;
    attr.i[SP_ATTN_DIM] = c->head_dim;
    if (s->b->mode != SP_BUILD_SERVE) {
        attr.i[SP_ATTN_PACKED] = 1;
        return sp_builder_attention(s, i, qkv, SP_NONE, SP_NONE, &attr);
    }
    sp_ref k = sp_builder_cached(s, i, "k", sp_builder_columns(s, qkv, c->width, c->width), 0);
    sp_ref v = sp_builder_cached(s, i, "v", sp_builder_columns(s, qkv, 2 * c->width, c->width), 0);
    return sp_builder_attention(s, i, sp_builder_columns(s, qkv, 0, c->width), k, v, &attr);
}

static const struct sp_op *activation(const struct sp_model_config *c)
{
    return c->activation == SP_RELU ? &sp_op_relu : c->activation == SP_GELU_ERF ? &sp_op_gelu_erf : &sp_op_gelu;
}

static sp_ref layer(struct sp_builder *s, int i, sp_ref x)
{
    const struct sp_model_config *c = s->c;
    sp_graph_scope(s->g, i, "layer.%d.", i);
    sp_ref y = norm(s, x, sp_builder_name(s, "transformer.h.%d.ln_1", i));
    y = attend(s, i, conv(s, y, sp_builder_name(s, "transformer.h.%d.attn.c_attn", i), c->width, 3 * c->width));
    x = onto(s, x, y, sp_builder_name(s, "transformer.h.%d.attn.c_proj", i), c->width);
    y = norm(s, x, sp_builder_name(s, "transformer.h.%d.ln_2", i));
    y = conv(s, y, sp_builder_name(s, "transformer.h.%d.mlp.c_fc", i), c->width, c->ffn);
    y = SP_ADD(s->g, activation(c), NULL, NULL, y);
    return onto(s, x, y, sp_builder_name(s, "transformer.h.%d.mlp.c_proj", i), c->ffn);
}

/* Rows of the position table: looked up while serving, else its first rows under every sequence. */
static sp_ref add_positions(struct sp_builder *s, sp_ref x)
{
    struct sp_graph *g = s->g;
    int64_t t = s->b->tokens, c = s->c->width;
    sp_ref table = sp_builder_matrix(s, "transformer.wpe.weight", s->c->context, c);
    if (s->b->mode == SP_BUILD_SERVE) {
        sp_ref at = sp_graph_input(g, "positions", SP_TYPE(SP_I32, s->rows));
        return SP_ADD(g, &sp_op_add, NULL, NULL, x, SP_ADD(g, &sp_op_embed, "position", NULL, at, table));
    }
    sp_ref rows = SP_ADD(g, &sp_op_view, "position", SP_ATTR(.i = { 0, 2, t, c }), table);
    sp_ref deep = SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 3, s->b->batch, t, c }), x);
    sp_ref sum = SP_ADD(g, &sp_op_add, NULL, NULL, deep, rows);
    return SP_ADD(g, &sp_op_view, NULL, SP_ATTR(.i = { 0, 2, s->rows, c }), sum);
}

static sp_ref embed(struct sp_builder *s, sp_ref table)
{
    sp_ref x;
    if (s->b->part == SP_BUILD_EMBED)
        x = sp_builder_looked_up(s, EMBEDDING, s->c->width, 1);
    else
        x = SP_ADD(s->g, &sp_op_embed, "embed", NULL, sp_graph_input(s->g, "ids", SP_TYPE(SP_I32, s->rows)), table);
    return sp_builder_dropout(s, add_positions(s, x), "embed");
}

static void gpt2_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    struct sp_builder s;
    sp_builder_init(&s, g, c, b);
    if (b->mode == SP_BUILD_LOAD)
        return;
    bool begins = b->part == SP_BUILD_WHOLE || b->part == SP_BUILD_EMBED, ends = b->part == SP_BUILD_WHOLE || b->part == SP_BUILD_HEAD;
    sp_ref table = b->part == SP_BUILD_WHOLE || (ends && c->tied) ? sp_builder_matrix(&s, EMBEDDING, c->vocab, c->width) : SP_NONE;
    sp_ref x = begins ? embed(&s, table) : sp_builder_entering(&s);
    for (int64_t i = sp_builder_first(&s); i < sp_builder_last(&s) && !g->status; i++)
        x = layer(&s, (int)i, x);
    sp_graph_scope(g, -1, "%s", "");
    if (!ends) {
        sp_builder_leaving(&s, x);
        return;
    }
    x = norm(&s, x, "transformer.ln_f");
    sp_builder_head(&s, x, c->tied ? table : sp_builder_matrix(&s, "lm_head.weight", c->vocab, c->width));
}

static bool gpt2_residual(const char *tensor)
{
    return strstr(tensor, "c_proj.weight");
}

static const struct sp_kind gpt2_kinds[] = { { "gpt2", "GPT2LMHeadModel", "GPT2Model", NULL, { .activation = SP_GELU } }, { 0 } };

const struct sp_arch sp_arch_gpt2 = {
    .name = "gpt2", .help = "learned positions, layer norm, GELU", .family = SP_FAMILY_GPT2, .kinds = gpt2_kinds,
    .read = gpt2_read, .write = gpt2_write, .build = gpt2_build, .residual = gpt2_residual,
    .prefix = "transformer.",
};
