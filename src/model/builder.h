/* model/builder.h - what the architectures share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BUILDER_H
#define SP_BUILDER_H
#include "model.h"
#include "../graph/ops.h"

extern const struct sp_arch sp_arch_llama, sp_arch_gpt2, sp_arch_mlp, sp_arch_decoder, sp_arch_bert, sp_arch_t5;

/* What a decoder's tensors are called, under the prefix of their layer; NULL: it has none such. */
struct sp_words {
    const char *embed, *embed_norm, *positions, *types, *transform, *transform_norm, *head_bias, *project_in, *project_out, *final_norm, *head, *layer;
    const char *norm1, *norm2, *one /* where one norm serves both parts; NULL: norm1 */, *after1, *after2, *q, *k, *v, *qkv, *o, *q_norm, *k_norm, *sinks, *gate, *up, *gate_up, *down;
    const char *router, *route_bias, *experts, *shared, *shared_gate;
    bool grouped;                    /* qkv: q, k, v of each key-value head side by side, else all q, all k, all v */
};
/* A model type within an architecture. */
struct sp_kind {
    const char *type, *class, *class2; /* "model_type" in config.json, or "architectures" */
    const struct sp_words *words;
    struct sp_model_config like;       /* what config.json leaves unsaid */
};
const struct sp_words *sp_builder_words(const struct sp_model_config *c);
/* The first of `keys` ("a|b|c.d": d within c) that is there and not null; a missing one gives `fallback`. */
enum sp_status sp_key_int(const json_t *j, const char *keys, int64_t min, int64_t max, int64_t fallback, int64_t *out, struct sp_err *err);
enum sp_status sp_key_real(const json_t *j, const char *keys, double min, double max, double fallback, double *out, struct sp_err *err);
enum sp_status sp_key_bool(const json_t *j, const char *keys, bool fallback, bool *out, struct sp_err *err);
enum sp_status sp_key_text(const json_t *j, const char *keys, const char *fallback, const char **out, struct sp_err *err);
/* An activation's name in "hidden_act" and its kin; c->activation is what a missing one gives. */
enum sp_status sp_key_activation(struct sp_model_config *c, const json_t *j, struct sp_err *err);
/* Rotary base and scaling. */
enum sp_status sp_rope_read(struct sp_model_config *c, const json_t *j, struct sp_err *err);
int sp_rope_write(const struct sp_model_config *c, json_t *j);
/* Sizes and ways of any decoder, in whatever words; all of them back. */
enum sp_status sp_decoder_read(struct sp_model_config *c, const json_t *j, struct sp_err *err);
enum sp_status sp_decoder_write(const struct sp_model_config *c, json_t *j);
void sp_decoder_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b);
/* From the tensors of a safetensors file alone. */
enum sp_status sp_config_by_tensors(struct sp_model_config *out, const char *path, struct sp_err *err);
/* The type that another name of a model type stands for. */
const char *sp_known_type(const char *type);
/* Where a configuration names no model type: the kind its other keys give away, or NULL. */
const char *sp_foreign_type(const json_t *j);
/* It, or of litgpt's entries a copy with what they leave to their class (new reference; NULL: no memory). */
json_t *sp_foreign_filled(const json_t *j);

/* One use of a model while it is built. */
struct sp_builder {
    struct sp_graph *g;
    const struct sp_model_config *c;
    const struct sp_words *words;    /* NULL: not a decoder           */
    struct sp_build *b;
    int64_t rows;                    /* batch * tokens */
    sp_ref past, counter;
    sp_ref rope, rope_local;         /* tables of rotary positions    */
    sp_ref head_bias;
};
void sp_builder_init(struct sp_builder *s, struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b);
/* A parameter under its full name; matrices in the stored format. */
sp_ref sp_builder_vector(struct sp_builder *s, const char *name, int64_t n);
sp_ref sp_builder_matrix(struct sp_builder *s, const char *name, int64_t rows, int64_t cols);
/* The format such a matrix will have. */
enum sp_format sp_builder_stored(const struct sp_builder *s, const char *name);
/* name under the current layer's prefix; points into the graph's arena. */
const char *sp_builder_name(struct sp_builder *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* x w (+ bias) (+ onto); trans 2: w is [out,in]. */
sp_ref sp_builder_linear(struct sp_builder *s, sp_ref x, sp_ref w, int trans, sp_ref bias, sp_ref onto, enum sp_format f);
/* The same into the residual stream x, through dropout when training. */
sp_ref sp_builder_residual(struct sp_builder *s, sp_ref x, sp_ref y, sp_ref w, int trans, sp_ref bias, const char *mask);
sp_ref sp_builder_dropout(struct sp_builder *s, sp_ref x, const char *mask);
/* Attention of layer i, its weights dropped when training; k and v NONE: q holds all three.  attr as of the op. */
sp_ref sp_builder_attention(struct sp_builder *s, int i, sp_ref q, sp_ref k, sp_ref v, struct sp_attr *attr);
/* Keys or values behind those of the cache "cache/LAYER/which", of which at most `window` are kept (0: all). */
sp_ref sp_builder_cached(struct sp_builder *s, int layer, const char *which, sp_ref rows, int64_t window);
sp_ref sp_builder_columns(struct sp_builder *s, sp_ref x, int64_t first, int64_t n);
sp_ref sp_builder_view(struct sp_builder *s, sp_ref x, int64_t rows, int64_t cols);
sp_ref sp_builder_cast(struct sp_builder *s, sp_ref x, enum sp_format f);
/* The decoder's feed-forward part of layer i, of normed rows y, onto the stream x (a norm behind it: `after`). */
sp_ref sp_decoder_feed(struct sp_builder *s, int i, sp_ref x, sp_ref y);
/* Attention of layer i over normed rows, up to what the output projection takes. */
sp_ref sp_decoder_attend(struct sp_builder *s, int i, sp_ref y);
/* WHAT.weight [out,in], perhaps WHAT.bias, under layer i's prefix (i -1: none). */
sp_ref sp_decoder_linear(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t out, int64_t in, bool bias, enum sp_format f);
sp_ref sp_decoder_onto(struct sp_builder *s, int i, const char *what, sp_ref x, sp_ref y, int64_t in, bool bias, const char *after, const char *mask);
sp_ref sp_decoder_norm(struct sp_builder *s, int i, const char *what, sp_ref x, int64_t n, enum sp_format f);
/* Of a part: the rows of an embedding [vocab, cols] times `scale` (0: 1) as they come in; the stream as it enters and leaves. */
sp_ref sp_builder_looked_up(struct sp_builder *s, const char *embedding, int64_t cols, double scale);
sp_ref sp_builder_entering(struct sp_builder *s);
void sp_builder_leaving(struct sp_builder *s, sp_ref x);
/* Layers that the part has. */
int64_t sp_builder_first(const struct sp_builder *s);
int64_t sp_builder_last(const struct sp_builder *s);
/* Final normalised rows and head weights [vocab, width] to "loss", "nll" or "logits". */
void sp_builder_head(struct sp_builder *s, sp_ref x, sp_ref w);
#endif
