/* model/builder.h - what the architectures share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BUILDER_H
#define SP_BUILDER_H
#include "model.h"
#include "../graph/ops.h"

extern const struct sp_arch sp_arch_llama, sp_arch_gpt2, sp_arch_mlp;

/* One use of a model while it is built. */
struct sp_builder {
    struct sp_graph *g;
    const struct sp_model_config *c;
    struct sp_build *b;
    int64_t rows;                    /* batch * tokens */
    sp_ref past, counter;
};
void sp_builder_init(struct sp_builder *s, struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b);
/* A parameter under its full name; matrices in the stored format. */
sp_ref sp_builder_vector(struct sp_builder *s, const char *name, int64_t n);
sp_ref sp_builder_matrix(struct sp_builder *s, const char *name, int64_t rows, int64_t cols);
/* name under the current layer's prefix; points into the graph's arena. */
const char *sp_builder_name(struct sp_builder *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* x w (+ bias) (+ onto); trans 2: w is [out,in]. */
sp_ref sp_builder_linear(struct sp_builder *s, sp_ref x, sp_ref w, int trans, sp_ref bias, sp_ref onto, enum sp_format f);
/* The same into the residual stream x, through dropout when training. */
sp_ref sp_builder_residual(struct sp_builder *s, sp_ref x, sp_ref y, sp_ref w, int trans, sp_ref bias, const char *mask);
sp_ref sp_builder_dropout(struct sp_builder *s, sp_ref x, const char *mask);
/* Attention of layer i, its weights dropped when training; k and v NONE: q holds all three.  attr as of the op. */
sp_ref sp_builder_attention(struct sp_builder *s, int i, sp_ref q, sp_ref k, sp_ref v, struct sp_attr *attr);
/* Keys or values behind those of the cache "cache/LAYER/which". */
sp_ref sp_builder_cached(struct sp_builder *s, int layer, const char *which, sp_ref rows);
/* Final normalised rows and head weights [vocab, width] to "loss", "nll" or "logits". */
void sp_builder_head(struct sp_builder *s, sp_ref x, sp_ref w);
#endif
