/* model/model_mlp.c - a multi-layer perceptron over rows of features.
 * Its config.json is ours: model_type "mlp".
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

static const char *const act_names[] = { [SP_RELU] = "relu", [SP_GELU] = "gelu_new", [SP_GELU_ERF] = "gelu", [SP_SILU] = "silu", [SP_TANH] = "tanh" };

static enum sp_status mlp_read(struct sp_model_config *c, const char *type, const json_t *j, struct sp_err *err)
{
    enum { BIG = 1 << 30 };
    const char *act;
    (void)type;
    TRY(sp_json_int(j, "input_size", 1, BIG, 0, &c->inputs, err));
    TRY(sp_json_int(j, "hidden_size", 1, BIG, 128, &c->width, err));
    TRY(sp_json_int(j, "num_hidden_layers", 0, 10000, 1, &c->layers, err));
    TRY(sp_json_int(j, "num_labels", 1, BIG, 2, &c->vocab, err));
    TRY(sp_json_bool(j, "bias", true, &c->bias, err));
    TRY(sp_json_real(j, "dropout", 0, 1, 0, &c->dropout, err));
    TRY(sp_json_text(j, "hidden_act", "relu", &act, err));
    for (int i = 0; i < (int)SP_COUNT(act_names); i++)
        if (!strcmp(act, act_names[i])) {
            c->activation = (enum sp_unary)i;
            return SP_OK;
        }
    return sp_fail(err, SP_UNSUPPORTED, "hidden_act \"%.40s\" isn't supported; relu, gelu, gelu_new, silu and tanh are", act);
}

static enum sp_status mlp_write(const struct sp_model_config *c, json_t *j)
{
    int bad = 0;
    bad |= json_object_set_new(j, "model_type", json_string("mlp"));
    bad |= json_object_set_new(j, "input_size", json_integer(c->inputs));
    bad |= json_object_set_new(j, "hidden_size", json_integer(c->width));
    bad |= json_object_set_new(j, "num_hidden_layers", json_integer(c->layers));
    bad |= json_object_set_new(j, "num_labels", json_integer(c->vocab));
    bad |= json_object_set_new(j, "hidden_act", json_string(act_names[c->activation]));
    bad |= json_object_set_new(j, "bias", json_boolean(c->bias));
    bad |= json_object_set_new(j, "dropout", json_real(c->dropout));
    return bad ? SP_NOMEM : SP_OK;
}

static const struct sp_op *activation(const struct sp_model_config *c)
{
    static const struct sp_op *const op[] = { [SP_RELU] = &sp_op_relu, [SP_GELU] = &sp_op_gelu, [SP_GELU_ERF] = &sp_op_gelu_erf,
                                              [SP_SILU] = &sp_op_silu, [SP_TANH] = &sp_op_tanh };
    return op[c->activation];
}

static sp_ref layer(struct sp_builder *s, int i, sp_ref x, int64_t in)
{
    sp_graph_scope(s->g, i, "layer.%d.", i);
    sp_ref w = sp_builder_matrix(s, sp_builder_name(s, "layers.%d.weight", i), s->c->width, in);
    sp_ref bias = s->c->bias ? sp_builder_vector(s, sp_builder_name(s, "layers.%d.bias", i), s->c->width) : SP_NONE;
    x = sp_builder_linear(s, x, w, 2, bias, SP_NONE, s->b->compute);
    x = SP_ADD(s->g, activation(s->c), NULL, NULL, x);
    return sp_builder_dropout(s, x, sp_builder_name(s, "%d", i));
}

/* The head is as wide as the last layer, which is the input when there is none. */
static void mlp_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b)
{
    struct sp_builder s;
    struct sp_model_config head = *c;
    sp_builder_init(&s, g, c, b);
    if (b->mode == SP_BUILD_LOAD)
        return;
    sp_ref x = sp_graph_input(g, "x", SP_TYPE(SP_F32, s.rows, c->inputs));
    for (int i = 0; i < c->layers && !g->status; i++)
        x = layer(&s, i, x, i ? c->width : c->inputs);
    head.width = c->layers ? c->width : c->inputs;
    s.c = &head;
    sp_builder_head(&s, x, sp_builder_matrix(&s, "head.weight", c->vocab, head.width));
}

static bool mlp_residual(const char *tensor)
{
    (void)tensor;
    return false;
}

static const char *const mlp_types[] = { "mlp", NULL };
static const char *const mlp_classes[] = { NULL };

const struct sp_arch sp_arch_mlp = {
    .name = "mlp", .help = "layers of one width over rows of features", .family = SP_FAMILY_MLP, .model_types = mlp_types,
    .architectures = mlp_classes, .read = mlp_read, .write = mlp_write, .build = mlp_build, .residual = mlp_residual, .prefix = "",
};
