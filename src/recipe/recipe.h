/* recipe/recipe.h - what will be done, as plain data.  [door of recipe]
 *
 * The model, the data, how it is trained, how it is served, and the place.  One
 * option table a section fills it from flags or from YAML, prints --help, and
 * prints the complete recipe back.  Techniques rewrite it.
 *
 * Text fields point into argv, the arena given, or constants.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_RECIPE_H
#define SP_RECIPE_H
#include "../base/base.h"
#include "../model/model.h"
#include "technique.h"

struct sp_recipe_model {
    const char *path;              /* model or config to start from; NULL: the shape below */
    int family;                    /* enum sp_family                                       */
    int64_t layers, width, heads, kv_heads, head_dim, ffn, vocab, context;
    bool tied, bias;
};
struct sp_recipe_data {
    const char *path, *valid_path, *tokenizer, *key; /* tokenizer: file, or "bpe", "bytes", "chars" to make one */
    double valid_share;
    int64_t vocab, bytes_max;      /* vocab: of a tokenizer to train                       */
    int split;                     /* index: eot, none, blank                              */
};
enum sp_schedule { SP_SCHEDULE_CONSTANT, SP_SCHEDULE_COSINE, SP_SCHEDULE_WSD };
enum sp_compute { SP_COMPUTE_F32, SP_COMPUTE_BF16 };
enum sp_cached { SP_CACHED_F32, SP_CACHED_BF16, SP_CACHED_F16, SP_CACHED_Q8_0, SP_CACHED_Q4_0 };
struct sp_recipe_train {
    int64_t batch, tokens, accumulate;        /* tokens: a sequence; 0: the context           */
    int64_t steps, tokens_total; double minutes; /* whichever ends first; 0: not a limit      */
    double lr, min_lr, warmup_steps, decay_fraction; int schedule; /* min_lr: a share of lr   */
    double weight_decay, beta1, beta2, eps, clip, dropout;
    int64_t seed;
    int compute;                              /* enum sp_compute                              */
    int recompute; bool resume;        /* recompute: sp_recompute of graph.h                  */
    int64_t eval_every, eval_batches, checkpoint_every, loss_rows;
    const char *out, *init;                   /* init: a model whose weights to begin with    */
};
struct sp_recipe_serve {
    int64_t max_tokens, top_k, seed, prefill, cache, batch;
    double temperature, top_p, min_p, repeat_penalty;
    bool greedy, ignore_eos;
    int compute, cached;                      /* enum sp_compute, enum sp_cached              */
    double bits;                              /* of a stored weight, the file all in all; set by the technique quantize; 0: as the model's files have it */
};
struct sp_recipe_place {
    int64_t threads; const char *zone, *currency;
    double price_per_kwh, price_per_hour;     /* negative: unknown                            */
    double co2e_per_kwh;                      /* of the grid when it runs, g; 0 or less: the zone's mean */
    double pue;                               /* of the building; 1: nothing but the machine  */
};
struct sp_recipe {
    struct sp_recipe_model model;
    struct sp_recipe_data data;
    struct sp_recipe_train train;
    struct sp_recipe_serve serve;
    struct sp_recipe_place place;
};

/* One table a section; offsets are within that section's struct.  Keys: "train.lr". */
extern const struct sp_option sp_recipe_model_options[], sp_recipe_data_options[], sp_recipe_train_options[],
    sp_recipe_serve_options[], sp_recipe_place_options[];
enum { SP_RECIPE_SETS = 5 };
void sp_recipe_sets(struct sp_recipe *r, struct sp_option_set set[SP_RECIPE_SETS]);
void sp_recipe_defaults(struct sp_recipe *r);
/* Reads YAML over what is there (call sp_recipe_defaults first; parse flags after).  Texts go to the arena. */
enum sp_status sp_recipe_read(struct sp_recipe *r, const char *path, struct sp_arena *mem, struct sp_err *err);
void sp_recipe_print(const struct sp_recipe *r, FILE *out);            /* complete YAML */
json_t *sp_recipe_json(const struct sp_recipe *r);                     /* for the ledger; new reference or NULL */
/* The model's configuration: read from model.path, or from the shape.  vocab (of the tokenizer; 0: as the recipe
 * says) wins over model.vocab when a shape is given. */
enum sp_status sp_recipe_config(const struct sp_recipe *r, int64_t vocab, struct sp_model_config *out, struct sp_err *err);
#endif
