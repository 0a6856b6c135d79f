/* model/model_mlp.c - a multi-layer perceptron over rows of features.
 * Its config.json is ours: model_type "mlp".
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

enum { BIG = 1 << 30 };

static const char *const act_names[] = { [SP_RELU] = "relu", [SP_GELU] = "gelu_new", [SP_GELU_ERF] = "gelu", [SP_SILU] = "silu", [SP_TANH] = "tanh" };

/* "hidden_sizes": [512, 256], where layers differ. */
static enum sp_status read_widths(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const json_t *list = json_object_get(j, "hidden_sizes");
    if (!list)
        return SP_OK;
    c->layers = (int64_t)json_array_size(list);
    if (!json_is_array(list) || c->layers > SP_WIDTHS_MAX)
        return sp_fail(err, SP_FORMAT, "hidden_sizes must be a list of at most %d whole numbers", SP_WIDTHS_MAX);
    for (int i = 0; i < c->layers; i++) {
        c->widths[i] = json_integer_value(json_array_get(list, (size_t)i));
        if (c->widths[i] < 1 || c->widths[i] > BIG)
            return sp_fail(err, SP_FORMAT, "hidden_sizes: entry %d must be a whole number from 1 to %d", i + 1, BIG);
    }
    c->width = c->layers ? c->widths[0] : c->width;
    return SP_OK;
}

static int64_t width(const struct sp_model_config *c, int64_t i)
{
    return i < 0 ? c->inputs : i < SP_WIDTHS_MAX && c->widths[i] ? c->widths[i] : c->width;
}

static enum sp_status mlp_read(struct sp_model_config *c, const json_t *j, struct sp_err *err)
{
    const char *act;
    TRY(sp_json_int(j, "input_size", 1, BIG, 0, &c->inputs, err));
    TRY(sp_json_int(j, "hidden_size", 1, BIG, 128, &c->width, err));
    TRY(sp_json_int(j, "num_hidden_layers", 0, 10000, 1, &c->layers, err));
    TRY(read_widths(c, j, err));
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
    json_t *widths = c->widths[0] ? json_array() : NULL;
    for (int i = 0; widths && i < c->layers; i++)
        bad |= json_array_append_new(widths, json_integer(width(c, i)));
    if (c->widths[0])
        bad |= json_object_set_new(j, "hidden_sizes", widths);
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

static sp_ref layer(struct sp_builder *s, int i, sp_ref x)
{
    int64_t in = width(s->c, i - 1), out = width(s->c, i);
    sp_graph_scope(s->g, i, "layer.%d.", i);
    sp_ref w = sp_builder_matrix(s, sp_builder_name(s, "layers.%d.weight", i), out, in);
    sp_ref bias = s->c->bias ? sp_builder_vector(s, sp_builder_name(s, "layers.%d.bias", i), out) : SP_NONE;
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
        x = layer(&s, i, x);
    head.width = width(c, c->layers - 1);
    s.c = &head;
    sp_builder_head(&s, x, sp_builder_matrix(&s, "head.weight", c->vocab, head.width));
}

static bool mlp_residual(const char *tensor)
{
    (void)tensor;
    return false;
}

static const struct sp_kind mlp_kinds[] = { { "mlp", NULL, NULL, NULL, { 0 } }, { 0 } };

const struct sp_arch sp_arch_mlp = {
    .name = "mlp", .help = "layers over rows of features", .family = SP_FAMILY_MLP, .kinds = mlp_kinds,
    .read = mlp_read, .write = mlp_write, .build = mlp_build, .residual = mlp_residual, .prefix = "",
};
