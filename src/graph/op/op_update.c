/* graph/op/op_update.c - the optimizer as nodes: clipping, AdamW, gradient descent.
 *
 * clip: inputs sum of squares, max_norm; outputs factor, norm.
 * adamw: inputs p, grad, m, v, factor, lr, step; written in place, grad set to zero;
 * attr.f: beta1, beta2, eps, decay.
 * sgd: inputs p, grad, factor, lr, m or none; attr.f: momentum, decay.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

static enum sp_status clip_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    n->out[0] = n->out[1] = op_scalar();
    return op_want(n, sp_type_elements(&in[0]) == 1 && sp_type_elements(&in[1]) == 1, "two scalars", &in[0], err);
}

static void clip_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 3);
}

static void no_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    (void)n;
    (void)in;
    (void)args;
}

static enum sp_status update_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    for (int i = 0; i < n->op->n_out; i++) {
        n->out[i] = in[i];
        TRY(op_want(n, in[i].format == SP_F32 && sp_type_elements(&in[i]) == sp_type_elements(&in[0]),
                    "f32 parameter, gradient and moments of one size", &in[i], err));
    }
    return SP_OK;
}

static void adamw_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    op_count_elements(n, in, c, 14);
}

static void adamw_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_adamw_args *)args = (struct sp_adamw_args){ .n = sp_type_elements(&in[0]), .beta1 = (float)n->attr.f[0],
        .beta2 = (float)n->attr.f[1], .eps = (float)n->attr.f[2], .decay = (float)n->attr.f[3] };
}

static void sgd_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    *(struct sp_sgd_args *)args = (struct sp_sgd_args){ .n = sp_type_elements(&in[0]), .momentum = (float)n->attr.f[0],
                                                        .decay = (float)n->attr.f[1] };
}

const struct sp_op sp_op_clip = {
    .name = "clip", .help = "the factor that clips a gradient's norm", .n_in_min = 2, .n_in_max = 2, .n_out = 2, .shape = clip_shape,
    .count = clip_count, .kernel = &sp_kernel_clip, .args = no_args,
};
const struct sp_op sp_op_adamw = {
    .name = "adamw", .help = "AdamW step, in place", .n_in_min = 7, .n_in_max = 7, .n_out = 4, .shape = update_shape,
    .count = adamw_count, .kernel = &sp_kernel_adamw, .args = adamw_args, .alias = { 1, 2, 3, 4 }, .must_alias = true,
};
const struct sp_op sp_op_sgd = {
    .name = "sgd", .help = "gradient descent step with momentum, in place", .n_in_min = 4, .n_in_max = 5, .n_out = 2, .shape = update_shape,
    .count = adamw_count, .kernel = &sp_kernel_sgd, .args = sgd_args, .alias = { 1, 2 }, .must_alias = true,
};
