/* model/model_llama.c - the Llama family: RMS norm, rotary positions, grouped
 * key-value heads, gated feed-forward (Touvron et al. 2023; Grattafiori et al. 2024).
 * Mistral (a window) and Qwen2 (biases on q, k, v) differ by a field.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "builder.h"

/* ---- configuration ---- */

static double yarn_size(double factor, double by)
{
    return factor > 1 ? 0.1 * by * log(factor) + 1 : 1;
}

/* Peng et al. 2023, with the keys of Hugging Face: attention_factor, else mscale over mscale_all_dim, else by the factor. */
static enum sp_status read_yarn(struct sp_model_config *c, const json_t *r, struct sp_err *err)
{
    double own, all;
    bool whole;
    TRY(sp_json_real(r, "original_max_position_embeddings", 1, 1e9, (double)c->context, &c->rope_original, err));
    TRY(sp_json_real(r, "factor", 1e-6, 1e6, (double)c->context / c->rope_original, &c->rope_factor, err));
    TRY(sp_json_real(r, "beta_slow", 1e-6, 1e6, 1, &c->rope_low, err));
    TRY(sp_json_real(r, "beta_fast", 1e-6, 1e6, 32, &c->rope_high, err));
    TRY(sp_json_real(r, "attention_factor", 0, 1e6, 0, &c->rope_size, err));
    TRY(sp_json_real(r, "mscale", 0, 1e6, 0, &own, err));
    TRY(sp_json_real(r, "mscale_all_dim", 0, 1e6, 0, &all, err));
    TRY(sp_json_bool(r, "truncate", true, &whole, err));
    if (!whole)
        return sp_fail(err, SP_UNSUPPORTED, "yarn with \"truncate\": false isn't supported");
    if (c->rope_low >= c->rope_high)
        return sp_fail(err, SP_FORMAT, "yarn's beta_slow %g must be below its beta_fast %g", c->rope_low, c->rope_high);
    if (!(c->rope_size > 0) && own > 0 && all > 0)
        c->rope_size = yarn_size(c->rope_factor, own) / yarn_size(c->rope_factor, all);
    return SP_OK;
}

static enum sp_status read_scaling(struct sp_model_config *c, const json_t *r, struct sp_err *err)
{
    static const char *const names[] = { "default", "linear", "llama3", "yarn" };
    const char *type;
    TRY(sp_json_text(r, "rope_type", NULL, &type, err));
    if (!type)
        TRY(sp_json_text(r, "type", "default", &type, err));
    int i = 0;
    while (i < (int)SP_COUNT(names) && strcmp(type, names[i]))
        i++;
    if (i == (int)SP_COUNT(names))
        return sp_fail(err, SP_UNSUPPORTED, "rotary scaling \"%.40s\" isn't supported; default, linear, llama3 and yarn are", type);
    c->rope_scaling = (enum sp_rope_scaling)i;
    TRY(sp_json_real(r, "rope_theta", 1.001, 1e12, c->rope_theta, &c->rope_theta, err));
    if (i == SP_SCALING_YARN)
        return read_yarn(c, r, err);
    TRY(sp_json_real(r, "factor", 1e-6, 1e6, 1, &c->rope_factor, err));
    TRY(sp_json_real(r, "low_freq_factor", 1e-6, 1e6, 1, &c->rope_low, err));
    TRY(sp_json_real(r, "high_freq_factor", 1e-6, 1e6, 4, &c->rope_high, err));
    return sp_json_real(r, "original_max_position_embeddings", 1, 1e9, 8192, &c->rope_original, err);
}

static enum sp_status read_rope(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    TRY(sp_json_real(j, "rope_theta", 1.001, 1e12, 10000, &c->rope_theta, err));
    c->rope_factor = 1;
    for (int i = 0; i < 2; i++) {
        const char *key = i ? "rope_parameters" : "rope_scaling";
        const json_t *r = json_object_get(j, key);
        if (json_is_object(r) && read_scaling(c, r, err))
            return sp_where(err, "%s", key);
    }
    return SP_OK;
}

static enum sp_status read_sizes(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    enum { BIG = 1 << 30 };
    TRY(sp_json_int(j, "vocab_size", 1, BIG, 32000, &c->vocab, err));
    TRY(sp_json_int(j, "hidden_size", 1, BIG, 4096, &c->width, err));
    TRY(sp_json_int(j, "intermediate_size", 1, BIG, 11008, &c->ffn, err));
    TRY(sp_json_int(j, "num_hidden_layers", 1, 10000, 32, &c->layers, err));
    TRY(sp_json_int(j, "num_attention_heads", 1, 100000, 32, &c->heads, err));
    TRY(sp_json_int(j, "num_key_value_heads", 1, 100000, c->heads, &c->kv_heads, err));
    TRY(sp_json_int(j, "head_dim", 1, 100000, 0, &c->head_dim, err));
    return sp_json_int(j, "max_position_embeddings", 1, BIG, 2048, &c->context, err);
}

static enum sp_status read_act(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const char *act;
    TRY(sp_json_text(j, "hidden_act", "silu", &act, err));
    if (!strcmp(act, "silu"))
        c->activation = SP_SILU;
    else if (!strcmp(act, "gelu_pytorch_tanh"))
        c->activation = SP_GELU;
    else
        return sp_fail(err, SP_UNSUPPORTED, "hidden_act \"%.40s\" isn't supported; silu and gelu_pytorch_tanh are", act);
    return SP_OK;
}

static enum sp_status llama_read(struct sp_model_config *c, const char *type, const json_t *j, struct sp_err *err)
{
    bool attention_bias, slides;
    TRY(read_sizes(c, j, err));
    TRY(read_act(c, j, err));
    TRY(read_rope(c, j, err));
    TRY(sp_json_real(j, "rms_norm_eps", 0, 1, 1e-6, &c->norm_eps, err));
    TRY(sp_json_bool(j, "tie_word_embeddings", false, &c->tied, err));
    TRY(sp_json_bool(j, "attention_bias", false, &attention_bias, err));
    TRY(sp_json_bool(j, "mlp_bias", false, &c->mlp_bias, err));
    TRY(sp_json_real(j, "attention_dropout", 0, 1, 0, &c->dropout, err));
    c->qkv_bias = attention_bias || !strcmp(type, "qwen2");
    c->out_bias = attention_bias;
    TRY(sp_json_bool(j, "use_sliding_window", !strcmp(type, "mistral"), &slides, err));
    return slides ? sp_json_int(j, "sliding_window", 1, 1 << 30, 0, &c->window, err) : SP_OK;
}

static json_t *yarn_json(const struct sp_model_config *c)
{
    json_t *r = json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "yarn", "factor", c->rope_factor, "beta_slow", c->rope_low, "beta_fast",
                          c->rope_high, "original_max_position_embeddings", (json_int_t)c->rope_original);
    if (r && c->rope_size > 0 && json_object_set_new(r, "attention_factor", json_real(c->rope_size))) {
        json_decref(r);
        return NULL;
    }
    return r;
}

static int write_rope(const struct sp_model_config *c, json_t *j)
{
    int bad = json_object_set_new(j, "rope_theta", json_real(c->rope_theta));
    if (c->rope_scaling == SP_SCALING_NONE)
        return bad;
    json_t *r = c->rope_scaling == SP_SCALING_LINEAR
                    ? json_pack("{s:s, s:f}", "rope_type", "linear", "factor", c->rope_factor)
                : c->rope_scaling == SP_SCALING_YARN ? yarn_json(c)
                    : json_pack("{s:s, s:f, s:f, s:f, s:I}", "rope_type", "llama3", "factor", c->rope_factor, "low_freq_factor",
                                c->rope_low, "high_freq_factor", c->rope_high, "original_max_position_embeddings",
                                (json_int_t)c->rope_original);
    return bad | json_object_set_new(j, "rope_scaling", r);
}

static enum sp_status llama_write(const struct sp_model_config *c, json_t *j)
{
    bool qwen = c->qkv_bias && !c->out_bias, slides = c->window > 0 && !qwen;
    int bad = 0;
    bad |= json_object_set_new(j, "architectures", json_pack("[s]", qwen ? "Qwen2ForCausalLM" : slides ? "MistralForCausalLM" : "LlamaForCausalLM"));
    bad |= json_object_set_new(j, "model_type", json_string(qwen ? "qwen2" : slides ? "mistral" : "llama"));
    bad |= json_object_set_new(j, "hidden_size", json_integer(c->width));
    bad |= json_object_set_new(j, "intermediate_size", json_integer(c->ffn));
    bad |= json_object_set_new(j, "num_hidden_layers", json_integer(c->layers));
    bad |= json_object_set_new(j, "num_attention_heads", json_integer(c->heads));
    bad |= json_object_set_new(j, "num_key_value_heads", json_integer(c->kv_heads));
    bad |= json_object_set_new(j, "head_dim", json_integer(c->head_dim));
    bad |= json_object_set_new(j, "vocab_size", json_integer(c->vocab));
    bad |= json_object_set_new(j, "max_position_embeddings", json_integer(c->context));
    bad |= json_object_set_new(j, "rms_norm_eps", json_real(c->norm_eps));
    bad |= json_object_set_new(j, "hidden_act", json_string(c->activation == SP_GELU ? "gelu_pytorch_tanh" : "silu"));
    bad |= json_object_set_new(j, "attention_bias", json_boolean(c->out_bias));
    bad |= json_object_set_new(j, "mlp_bias", json_boolean(c->mlp_bias));
    bad |= json_object_set_new(j, "attention_dropout", json_real(c->dropout));
    bad |= json_object_set_new(j, "tie_word_embeddings", json_boolean(c->tied));
    if (c->window > 0)
        bad |= json_object_set_new(j, "sliding_window", json_integer(c->window)) |
               (qwen ? json_object_set_new(j, "use_sliding_window", json_true()) : 0);
    return bad | write_rope(c, j) ? SP_NOMEM : SP_OK;
}

/* ---- graph ---- */

struct llama { struct sp_builder s; sp_ref rope; };

static sp_ref rope_state(struct sp_builder *s)
{
    return sp_graph_state(s->g, "table/rope", SP_STATE_TABLE, false, SP_TYPE(SP_F32, s->b->positions, s->c->head_dim));
}

static void fill_rope(struct sp_builder *s)
{
    const struct sp_model_config *c = s->c;
    struct sp_attr attr = { .format = -1, .f = { c->rope_theta, c->rope_factor, c->rope_low, c->rope_high, c->rope_original, c->rope_size } };
    attr.i[SP_ROPE_TABLE_MAX] = s->b->positions;
    attr.i[SP_ROPE_TABLE_DIM] = c->head_dim;
    attr.i[SP_ROPE_TABLE_SCALING] = c->rope_scaling;
    sp_ref table = sp_graph_add(s->g, &sp_op_rope_table, "rope_table", 0, NULL, &attr);
    SP_ADD(s->g, &sp_op_put_rows, "rope", NULL, rope_state(s), table);
}

static sp_ref norm(struct sp_builder *s, sp_ref x, const char *name)
{
    sp_ref gain = sp_builder_vector(s, name, s->c->width);
    return SP_ADD(s->g, &sp_op_rmsnorm, NULL, (&(struct sp_attr){ .f = { s->c->norm_eps }, .format = (int)s->b->compute }), x, gain);
}

/* One projection of layer i: "model.layers.I.WHAT.weight" [out,in] and perhaps ".bias". */
struct projection { sp_ref w, bias; };
static struct projection projection(struct sp_builder *s, int i, const char *what, int64_t out, int64_t in, bool bias)
{
    struct projection p = { .bias = SP_NONE };
    p.w = sp_builder_matrix(s, sp_builder_name(s, "model.layers.%d.%s.weight", i, what), out, in);
    if (bias)
        p.bias = sp_builder_vector(s, sp_builder_name(s, "model.layers.%d.%s.bias", i, what), out);
    return p;
}

static sp_ref project(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t out, int64_t in, bool bias)
{
    struct projection p = projection(s, i, what, out, in, bias);
    return sp_builder_linear(s, x, p.w, 2, p.bias, SP_NONE, s->b->compute);
}

static sp_ref rotate(struct llama *m, sp_ref x, int64_t heads)
{
    struct sp_attr attr = { .format = -1 };
    sp_ref in[3] = { x, m->rope, m->s.past };
    attr.i[SP_ROPE_T] = m->s.b->tokens;
    attr.i[SP_ROPE_HEADS] = heads;
    attr.i[SP_ROPE_DIM] = m->s.c->head_dim;
    return sp_graph_add(m->s.g, &sp_op_rope, NULL, sp_is(in[2]) ? 3 : 2, in, &attr);
}

static sp_ref attend(struct llama *m, int i, sp_ref x)
{
    struct sp_builder *s = &m->s;
    const struct sp_model_config *c = s->c;
    int64_t dim = c->head_dim;
    struct sp_attr attr = { 0 };
    sp_ref q = rotate(m, project(s, i, "self_attn.q_proj", x, c->heads * dim, c->width, c->qkv_bias), c->heads);
    sp_ref k = rotate(m, project(s, i, "self_attn.k_proj", x, c->kv_heads * dim, c->width, c->qkv_bias), c->kv_heads);
    sp_ref v = project(s, i, "self_attn.v_proj", x, c->kv_heads * dim, c->width, c->qkv_bias);
    if (s->b->mode == SP_BUILD_SERVE) {
        k = sp_builder_cached(s, i, "k", k);
        v = sp_builder_cached(s, i, "v", v);
    }
    attr.i[SP_ATTN_HEADS] = c->heads;
    attr.i[SP_ATTN_KV_HEADS] = c->kv_heads;
    attr.i[SP_ATTN_DIM] = dim;
    attr.i[SP_ATTN_WINDOW] = c->window;
    return sp_builder_attention(s, i, q, k, v, &attr);
}

static sp_ref feed(struct sp_builder *s, int i, sp_ref x)
{
    const struct sp_model_config *c = s->c;
    sp_ref gate = project(s, i, "mlp.gate_proj", x, c->ffn, c->width, c->mlp_bias);
    sp_ref up = project(s, i, "mlp.up_proj", x, c->ffn, c->width, c->mlp_bias);
    return SP_ADD(s->g, &sp_op_glu, NULL, (&(struct sp_attr){ .i = { c->activation }, .format = (int)s->b->compute }), gate, up);
}

static sp_ref layer(struct llama *m, int i, sp_ref x)
{
    struct sp_builder *s = &m->s;
    const struct sp_model_config *c = s->c;
    sp_graph_scope(s->g, i, "layer.%d.", i);
    sp_ref y = attend(m, i, norm(s, x, sp_builder_name(s, "model.layers.%d.input_layernorm.weight", i)));
    struct projection o = projection(s, i, "self_attn.o_proj", c->width, c->heads * c->head_dim, c->out_bias);
    x = sp_builder_residual(s, x, y, o.w, 2, o.bias, sp_builder_name(s, "%d.attention", i));
    y = feed(s, i, norm(s, x, sp_builder_name(s, "model.layers.%d.post_attention_layernorm.weight", i)));
    struct projection d = projection(s, i, "mlp.down_proj", c->width, c->ffn, c->mlp_bias);
    return sp_builder_residual(s, x, y, d.w, 2, d.bias, sp_builder_name(s, "%d.feed_forward", i));
}

static void llama_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    struct llama m;
    sp_builder_init(&m.s, g, c, b);
    if (b->mode == SP_BUILD_LOAD) {
        fill_rope(&m.s);
        return;
    }
    m.rope = rope_state(&m.s);
    sp_ref ids = sp_graph_input(g, "ids", SP_TYPE(SP_I32, m.s.rows));
    sp_ref embed = sp_builder_matrix(&m.s, "model.embed_tokens.weight", c->vocab, c->width);
    sp_ref x = sp_builder_dropout(&m.s, SP_ADD(g, &sp_op_embed, "embed", NULL, ids, embed), "embed");
    for (int i = 0; i < c->layers && !g->status; i++)
        x = layer(&m, i, x);
    sp_graph_scope(g, -1, "%s", "");
    x = norm(&m.s, x, "model.norm.weight");
    sp_builder_head(&m.s, x, c->tied ? embed : sp_builder_matrix(&m.s, "lm_head.weight", c->vocab, c->width));
}

static bool llama_residual(const char *tensor)
{
    return strstr(tensor, "o_proj.weight") || strstr(tensor, "down_proj.weight");
}

static const char *const llama_types[] = { "llama", "mistral", "qwen2", NULL };
static const char *const llama_classes[] = { "LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", NULL };

const struct sp_arch sp_arch_llama = {
    .name = "llama", .help = "RMS norm, rotary positions, grouped key-value heads, gated feed-forward", .family = SP_FAMILY_LLAMA,
    .model_types = llama_types, .architectures = llama_classes, .read = llama_read, .write = llama_write, .build = llama_build,
    .residual = llama_residual, .prefix = "model.",
};
