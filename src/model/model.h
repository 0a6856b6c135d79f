/* model/model.h - architectures as graph builders, and the files models live in.
 * [door of model]
 *
 * A model is a configuration (plain data, what config.json says), a builder that
 * writes the graph for one use of it, and tensors named as Hugging Face names
 * them.  The graph's parameter states carry exactly those names, so files, state
 * region and graph need no table between them.
 *
 * It doesn't: train, sample, quantize, or know what a prompt is.
 *
 * Ownership in one sentence: sp_weights_open gives files that sp_weights_close
 * closes, a configuration is a value, every other pointer is only read.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_MODEL_H
#define SP_MODEL_H
#include "../base/base.h"
#include "../file/file.h"
#include "../graph/graph.h"
#include "../text/text.h"

/* ---- configuration ---------------------------------------------------------- */
enum sp_family { SP_FAMILY_LLAMA, SP_FAMILY_GPT2, SP_FAMILY_MLP, SP_FAMILY_DECODER, SP_FAMILY_BERT, SP_FAMILY_T5 /* from here on counted only */, SP_FAMILIES };
enum sp_norm { SP_NORM_RMS, SP_NORM_LAYER, SP_NORM_PLAIN /* layer norm without gain */ };
enum sp_norm_at { SP_NORM_BEFORE, SP_NORM_AROUND, SP_NORM_BEHIND, SP_NORM_OF_SUM /* of the stream, behind each part */ };
enum sp_positions { SP_POSITIONS_ROTARY, SP_POSITIONS_LEARNED, SP_POSITIONS_ALIBI };
enum sp_rope_scaling { SP_SCALING_NONE, SP_SCALING_LINEAR, SP_SCALING_LLAMA3, SP_SCALING_YARN, SP_SCALING_OTHER /* counted only */ };
enum { SP_EOS_MAX = 8 };

enum { SP_WIDTHS_MAX = 16 };
struct sp_model_config {
    enum sp_family family;
    int64_t vocab;                 /* MLP: classes                                            */
    int64_t context;               /* most positions                                          */
    int64_t layers, width, heads, kv_heads, head_dim, ffn; /* MLP: layers of `width` before the last */
    int64_t inputs;                /* MLP: features a row                                     */
    int64_t widths[SP_WIDTHS_MAX]; /* MLP: of layer i where not 0, else width                  */
    bool tied;                     /* the head is the embedding                               */
    bool bias;                     /* GPT-2, MLP: linear layers and norms have one            */
    bool qkv_bias, out_bias, mlp_bias; /* Llama family                                        */
    int64_t window;                /* sliding attention; 0: none                              */
    enum sp_unary activation;
    double norm_eps, initializer_range, dropout;
    double rope_theta, rope_factor, rope_low, rope_high, rope_original, rope_size; /* size: of cosines and sines, 0: the rule */
    enum sp_rope_scaling rope_scaling;
    int64_t bos; int n_eos; int64_t eos[SP_EOS_MAX]; /* bos -1: none                          */

    /* What decoders differ in; all 0 is Llama's way.  kind: the row of the architecture, NULL its first. */
    const struct sp_kind *kind;
    enum sp_norm norm;
    enum sp_positions positions;
    bool norm_bias, gain_one;      /* norms have a bias; are multiplied by 1 + gain           */
    enum sp_norm_at norm_at;       /* before each part; and behind it; only behind it; of the sum */
    bool qk_norm, qk_norm_wide;    /* queries and keys are normed, a head or all at a time    */
    bool parallel, one_norm;       /* attention and feed-forward side by side; of one norm    */
    bool ungated, head_bias, embed_norm;
    int64_t rotary;                /* numbers of a head that turn; 0: all                     */
    bool interleaved;              /* they turn in neighbouring pairs                         */
    int64_t offset;                /* rows before the first learned position (OPT: 2)         */
    int64_t embed_width;           /* of embedding and head where projected; 0: width         */
    int64_t window_every;          /* every so many layers one without window; 0: none such   */
    int64_t window_at;             /* which of them that is, from 1; 0: the last              */
    double rope_local;             /* base in layers with a window; 0: the same               */
    int64_t still_every;           /* every so many layers the last has no rotary positions; 0: none such */
    double attn_scale, attn_cap, logit_cap, embed_scale; /* 0: 1/sqrt(head_dim), none, none, 1 */
    int64_t experts, experts_used, expert_ffn, shared_ffn, dense_layers, expert_every; /* mixture; the first layers without; every so many with (0: all) */
    bool expert_bias, route_bias, shared_gate, sinks;
    int64_t q_rank, kv_rank, nope_dim, rope_dim, v_dim; /* latent attention; kv_rank 0: none   */
    bool full, masked_head;        /* every token sees all; the head transforms rows first (BERT) */
    int64_t token_types;           /* kinds of segments a token may belong to                 */
    int64_t buckets, encoder_layers; /* T5: of relative positions; before the decoder         */
};
/* Completes what is 0 (kv_heads, head_dim, ffn, eps, theta, ...) and checks bounds and divisibility. */
enum sp_status sp_model_config_finish(struct sp_model_config *c, struct sp_err *err);
/* path: a config.json, the folder it is in, a .safetensors file beside it (without one its header is read, and what no
 * shape tells is as usual), or a .gguf file, of which the header is read.
 * An unknown model_type is SP_UNSUPPORTED naming those known. */
enum sp_status sp_model_config_read(struct sp_model_config *out, const char *path, struct sp_err *err);
/* By the header of a GGUF file; bits: that a number takes in it, all in all (0: it holds none; may be NULL). */
enum sp_status sp_gguf_config(struct sp_model_config *out, const char *path, double *bits, struct sp_err *err);
enum sp_status sp_model_config_parse(struct sp_model_config *out, const json_t *j, struct sp_err *err);
/* Writes Hugging Face's config.json (path names the file); format: what the tensors are stored in. */
enum sp_status sp_model_config_write(const struct sp_model_config *c, enum sp_format format, const char *path, struct sp_err *err);
json_t *sp_model_config_json(const struct sp_model_config *c, enum sp_format format); /* new reference, or NULL when out of memory */
const char *sp_family_name(enum sp_family f);      /* "llama" */
const char *sp_model_type(const struct sp_model_config *c); /* as in config.json: "qwen3" */

/* ---- building ----------------------------------------------------------------
 * Inputs (i32[batch*tokens] row by row unless said):
 *   TRAIN   "ids" "targets" "weights" f32; "dropout_counter" i32[1] when dropout > 0     -> "loss" f32[1]
 *   SCORE   "ids" "targets" "weights"                                                    -> "loss", "nll" f32[batch*tokens]
 *   either with .soft: "teacher" f32[batch*tokens, vocab], another model's logits, for "targets": loss and nll are then
 *   the divergence from it
 *   SCORE with .wanted: "ids", "rows" i32[wanted] (numbers of rows)                      -> "logits" f32[wanted, vocab]
 *   SERVE   "ids" "past" i32[1]; "last" i32[batch] when tokens > 1 and not all_logits; GPT-2 also "positions"
 *           (past + place in its sequence)                       -> "logits" f32[batch or all rows, vocab]
 *   LOAD    nothing: fills tables (rotary positions) in the state region; run it once after the weights are there
 * loss = sum of weights * nll: give weights that sum to 1 over all micro-steps of an update, and the gradient
 * is that of the mean.  last: the rows (0 .. batch*tokens-1) whose logits are wanted; a chunk of a prompt may be
 * padded behind.  The MLP takes "x" f32[batch, inputs] for "ids", and has tokens = 1.
 * An encoder (BERT) also takes "types" where it has token types, and keeps no cache.  T5 takes "source" i32[batch*tokens]
 * for its encoder, whose keys and values it keeps in "cache/LAYER/cross_k" and "/cross_v"; a prefill runs the encoder
 * and one decoder position a sequence.
 * States: parameters under their Hugging Face names (GPT-2's matrices in blocks turned, [out,in]), SP_STATE_CACHE "cache/LAYER/k" and "/v"
 * [batch*cache, kv_heads*head_dim], SP_STATE_TABLE "table/rope". */
/* A part alone (SCORE), for a model too large to be run whole: hidden states go in and come out, the programs of all parts
 * one after another do what that of the whole does.
 *   EMBED   "rows" f32[batch*tokens, columns]: rows of the tensor `embedding`   -> "hidden" f32[batch*tokens, width]
 *   LAYERS  "entering" f32[batch*tokens, width], through layers first <= i < last -> "hidden"
 *   HEAD    "entering"; the rest as the whole                                   -> as the whole */
enum sp_build_part { SP_BUILD_WHOLE, SP_BUILD_EMBED, SP_BUILD_LAYERS, SP_BUILD_HEAD };
/* The format a parameter matrix is kept in, by its name. */
typedef enum sp_format sp_stored_fn(const void *self, const char *name);
enum sp_build_mode { SP_BUILD_TRAIN, SP_BUILD_SCORE, SP_BUILD_SERVE, SP_BUILD_LOAD };
struct sp_build {
    enum sp_build_mode mode;
    int64_t batch, tokens;         /* sequences, positions of each                            */
    int64_t cache;                 /* SERVE: positions a sequence can hold                    */
    int64_t positions;             /* rows of the rotary table, the same in all programs of a job; 0: context */
    enum sp_format compute;        /* of matrix inputs: SP_F32 or SP_BF16; the residual stream is f32 */
    enum sp_format stored;         /* of parameter matrices (SP_F32 when trained)             */
    sp_stored_fn *stored_of; const void *stored_self; /* the same matrix by matrix; NULL: all are `stored` */
    enum sp_format cached;         /* of keys and values in the cache; blocks where a head divides into them */
    bool all_logits;               /* SERVE: of every row                                     */
    bool rings;                    /* SERVE: a layer with a window keeps no more than that; counted, not yet run */
    double dropout; uint64_t seed; /* TRAIN: seed keys the masks                              */
    int64_t wanted;                /* SCORE: so many rows' logits instead of losses; 0: none   */
    int64_t loss_rows;             /* logits made for at most so many rows at a time; 0: chosen */
    bool soft;                     /* TRAIN, SCORE: a teacher's logits are the target         */
    enum sp_build_part part;
    int64_t first, last;           /* LAYERS                                                  */
    sp_ref loss;                   /* out: what sp_graph_grad takes (TRAIN)                   */
    const char *embedding;         /* out: EMBED; lives with the graph                        */
};
enum sp_status sp_model_build(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b, struct sp_err *err);
/* SP_UNSUPPORTED with a sentence where it can only be counted, or does something else than go on with a text. */
enum sp_status sp_model_check_runs(const struct sp_model_config *c, struct sp_err *err);
/* Exact, from the graph. */
enum sp_status sp_model_parameters(const struct sp_model_config *c, int64_t *out, struct sp_err *err);
/* Those a token meets: of experts only the chosen ones. */
enum sp_status sp_model_active_parameters(const struct sp_model_config *c, int64_t *out, struct sp_err *err);
/* Keys and values (or latent rows) of one sequence of `positions`, to the byte: layers with a window keep at most that. */
enum sp_status sp_model_cache_bytes(const struct sp_model_config *c, int64_t positions, enum sp_format format, int64_t *out, struct sp_err *err);
/* Standard deviation a fresh tensor is drawn with; 0: zeros; negative: ones. */
double sp_model_init_std(const struct sp_model_config *c, const char *tensor, const struct sp_type *t);
/* Draws every parameter of the state; each tensor's numbers depend on (seed, its name) alone. */
enum sp_status sp_model_init(const struct sp_model_config *c, const struct sp_state *s, unsigned char *region, uint64_t seed, struct sp_err *err);

/* An architecture: one file, one row in archs.c. */
struct sp_arch {
    const char *name, *help;
    enum sp_family family;
    const struct sp_kind *kinds;     /* the model types it reads; ends with one without a name */
    enum sp_status (*read)(struct sp_model_config *c, const json_t *j, struct sp_err *err); /* c: the kind's ways */
    enum sp_status (*write)(const struct sp_model_config *c, json_t *j); /* SP_NOMEM or SP_OK */
    void (*build)(struct sp_graph *g, const struct sp_model_config *c, struct sp_build *b);
    bool (*residual)(const char *tensor);  /* projections into the residual stream: drawn smaller */
    const char *prefix;              /* "model.": files may leave it out  */
};
extern const struct sp_arch *const sp_archs[];   /* NULL-terminated */
const struct sp_arch *sp_arch_of(enum sp_family f);

/* How the rows of a stored matrix stand, seen from Hugging Face's: all 0 is as there. */
struct sp_layout {
    int64_t rope_heads;            /* rotary pairs of so many heads side by side; there in halves              */
    int64_t groups;                /* all q, all k, all v of so many heads; there those of each head together  */
    bool transposed;               /* [cols, rows]                                                             */
    float plus;                    /* added to every number                                                    */
};
int64_t sp_layout_row(const struct sp_layout *l, int64_t place, int64_t rows); /* Hugging Face's row that stands at `place` of `rows` */

/* ---- safetensors ------------------------------------------------------------- */
enum { SP_TENSOR_DIMS_MAX = 8 };
struct sp_tensor {
    const char *name, *dtype;      /* dtype as in the header: "BF16", "Q4_K" */
    int n; int64_t dim[SP_TENSOR_DIMS_MAX];
    uint64_t at, bytes;            /* in the file                         */
    const struct sp_map *map;      /* NULL when only a header was parsed  */
    enum sp_format block_format;   /* of a dtype that safetensors doesn't know; SP_F32: by the dtype */
    struct sp_layout layout;       /* dim is Hugging Face's shape all the same */
};
struct sp_safetensors { int n; struct sp_tensor *tensor; struct sp_map map; struct sp_arena mem; json_t *metadata; };
/* header: the JSON text; file_bytes: size of the whole file.  Every rule of the format is checked. */
enum sp_status sp_safetensors_parse(struct sp_safetensors *out, const char *header, size_t n, uint64_t file_bytes, struct sp_err *err);
enum sp_status sp_safetensors_open(struct sp_safetensors *out, const char *path, struct sp_err *err);
void sp_safetensors_close(struct sp_safetensors *s);
const struct sp_tensor *sp_safetensors_find(const struct sp_safetensors *s, const char *name);
enum sp_format sp_tensor_format(const struct sp_tensor *t);   /* SP_FORMATS: none of ours */
/* Numbers of a tensor, converted; `to` holds sp_format_bytes(format, elements). */
enum sp_status sp_tensor_read(const struct sp_tensor *t, enum sp_format format, void *to, struct sp_err *err);
/* The same of rows [first, first + n) of the matrix as it stands in the layout `as`; a tensor of one dimension is one
 * column (of none: one number), one of more is rows of its last dimension.  Threads may read at once. */
enum sp_status sp_tensor_rows(const struct sp_tensor *t, struct sp_layout as, int64_t first, int64_t n, enum sp_format format, void *to,
                              struct sp_err *err);
/* as: format in the file.  bring, where given, says where the numbers are when their turn comes; they must stay there
 * until the next is brought. */
struct sp_tensor_out {
    const char *name; struct sp_type type; const void *at; enum sp_format as;
    enum sp_status (*bring)(void *self, const char *name, const void **at, struct sp_err *err); void *self;
};
/* Sorted by alignment and name, 8-aligned, appears by rename. */
enum sp_status sp_safetensors_write(const char *path, const struct sp_tensor_out *t, int n, struct sp_err *err);
/* The same with a last tensor "content/blake2b", the file's seal (sp_check_seal). */
enum sp_status sp_safetensors_write_sealed(const char *path, const struct sp_tensor_out *t, int n, struct sp_err *err);

/* ---- a model's files -----------------------------------------------------------
 * path: a Hugging Face folder, a .safetensors file with config.json beside it, a GGUF file, or a llama2.c checkpoint
 * (.bin).  Whatever it is, tensors have Hugging Face's names and shapes and are read as they would stand there. */
struct sp_weights {
    struct sp_model_config config;
    int n; const struct sp_tensor **tensor;
    int n_files; struct sp_safetensors *file;
    struct sp_map bin; struct sp_arena mem; /* bin: a llama2.c or GGUF file */
    struct sp_gguf *gguf;          /* its header, or NULL                 */
    const char *folder;            /* where tokenizer.json may be         */
};
enum sp_status sp_weights_open(struct sp_weights *w, const char *path, struct sp_err *err);
void sp_weights_close(struct sp_weights *w);
/* The model's tokenizer: that of `path`, else the GGUF file's own, else tokenizer.json beside the weights; NULL: there is none. */
enum sp_status sp_weights_tokenizer(const struct sp_weights *w, const char *path, struct sp_tokenizer **out, struct sp_err *err);
/* The chat template that the GGUF file or the folder carries; NULL: there is none. */
enum sp_status sp_weights_template(const struct sp_weights *w, struct sp_template **out, struct sp_err *err);
const struct sp_tensor *sp_weights_find(const struct sp_weights *w, const char *name); /* with or without the prefix */
/* The format a matrix has in the files, where products can take it, else f32: an sp_stored_fn (self: the weights). */
enum sp_format sp_weights_stored(const void *weights, const char *name);
/* An sp_phase_fn (self: the weights): large matrices whose bytes the state wants as they stand in the file. */
int64_t sp_weights_phase(const void *weights, const char *name, const struct sp_type *type);
/* Every SP_STATE_PARAM of the state, converted to its format; pages of the files that were read are let go.  A tensor missing or of another shape is an error
 * naming it; tensors nobody asked for are counted in *n_extra and the first is named in `extra` (both may be NULL). */
enum sp_status sp_weights_fill(const struct sp_weights *w, const struct sp_state *s, unsigned char *region,
                               int *n_extra, const char **extra, struct sp_err *err);
/* config.json, model.safetensors (shards and an index above shard_bytes; 0: 4 GB), tokenizer.json copied from
 * tokenizer (a file or folder; NULL: none).  The folder is made.  format: what matrices are stored in. */
enum sp_status sp_model_save(const char *folder, const struct sp_model_config *c, const struct sp_state *s,
                             const unsigned char *region, enum sp_format format, const char *tokenizer,
                             uint64_t shard_bytes, struct sp_err *err);
/* The same of tensors given one by one.  format: what config.json says; tokenizer: NULL, or what becomes tokenizer.json. */
enum sp_status sp_model_save_tensors(const char *folder, const struct sp_model_config *c, const struct sp_tensor_out *t, int n, enum sp_format format,
                                     const struct sp_tokenizer *tokenizer, uint64_t shard_bytes, struct sp_err *err);

/* ---- a model's files in another form ---------------------------------------------
 * The parameters of an open model, in the order of their use, as they will stand in a GGUF file or a Hugging Face
 * folder: a list to choose number formats in, then written a few rows at a time, so that memory stays far below the
 * model.  Rows are those of the file to be: for GGUF q and k are in its rotary order, GPT-2's matrices turned. */
struct sp_export_tensor {
    const char *name, *stored_name;/* Hugging Face's; in the file to be   */
    struct sp_type type;           /* in the file to be; its format may be changed before writing (a matrix's alone) */
    bool matrix;                   /* else a vector, f32 in GGUF          */
    const struct sp_tensor *from;  /* NULL: made of the configuration     */
    struct sp_layout layout;       /* of the file to be                   */
    const float *importance;       /* [columns] in the file to be: what a square of each column's error counts when a scale is
                                      searched; NULL: the format's own choice */
};
struct sp_export {
    const struct sp_weights *w; const char *arch; /* GGUF's name of the architecture; NULL: a Hugging Face folder */
    int n; struct sp_export_tensor *tensor; struct sp_arena mem;
    bool planned;                  /* of a configuration alone            */
    /* Asked before a tensor is written to GGUF: *at = all its bytes, good until the next call; NULL: its rows are
     * made as ever.  round NULL: never asked. */
    enum sp_status (*round)(void *self, const struct sp_export *e, int tensor, const void **at, struct sp_err *err);
    void *rounding;
};
/* gguf: a GGUF file, else a folder.  Every format is what the model has stored, where the other form has it too. */
enum sp_status sp_export_begin(struct sp_export *e, const struct sp_weights *w, bool gguf, struct sp_err *err);
/* The list of a model that there is no file of, for GGUF: to choose formats in and to count bytes; matrices are f16. */
enum sp_status sp_export_planned(struct sp_export *e, const struct sp_model_config *c, struct sp_err *err);
void sp_export_clear(struct sp_export *e);
/* What a tensor can take in place of f, whose blocks its rows may not divide into. */
enum sp_format sp_export_fitting(const struct sp_export_tensor *t, enum sp_format f);
uint64_t sp_export_bytes(const struct sp_export *e);    /* of all tensors */
/* What a model is called by the path that it is read from: "models/judge/" judge, "a/b.gguf" b. */
enum { SP_EXPORT_NAME_MAX = 128 };
const char *sp_export_name(const char *path, char name[SP_EXPORT_NAME_MAX]);
/* Of a GGUF file, to the byte. */
enum sp_status sp_export_file_bytes(const struct sp_export *e, const char *name, const struct sp_tokenizer *tokenizer, uint64_t *out, struct sp_err *err);
/* Rows [first, first + n), in t's format where f is that, else in f. */
enum sp_status sp_export_rows(const struct sp_export *e, const struct sp_export_tensor *t, int64_t first, int64_t n, enum sp_format f, void *to,
                              struct sp_err *err);
/* name: of the model.  path: the file, or the folder.  tokenizer, pool and watch may be NULL. */
enum sp_status sp_export_write(const struct sp_export *e, const char *path, const char *name, const struct sp_tokenizer *tokenizer, struct sp_pool *pool,
                               const struct sp_watch *watch, struct sp_err *err);
#endif
