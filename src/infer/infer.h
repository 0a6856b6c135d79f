/* infer/infer.h - answering: an engine (a loaded model) and a session (one
 * timeline over its cache).  [door of infer]
 *
 * An engine holds the weights packed for this machine, the tokenizer and the
 * memory of one cache; so it has one session at a time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_INFER_H
#define SP_INFER_H
#include "../base/base.h"
#include "../model/model.h"
#include "../recipe/recipe.h"
#include "../step/step.h"
#include "../text/text.h"

enum { SP_ENDS_MAX = 32, SP_STOP_BYTES_MAX = 256 };
struct sp_candidate { float logit; int32_t id; };
struct sp_engine {
    struct sp_weights weights;
    struct sp_job job;
    struct sp_live live;
    struct sp_tokenizer *tokenizer;    /* NULL: none beside the model        */
    struct sp_pool *pool;              /* the caller's                       */
    struct sp_candidate *candidates;   /* [vocab], where tokens are drawn    */
    int32_t end[SP_ENDS_MAX]; int n_ends; /* tokens that end an answer: those the model's files name, and a special
                                          * token of the vocabulary whose name says so (<|im_end|>, <|eot_id|>, ...) */
};
/* path: as sp_weights_open.  Matrices are kept as the files store them (shape->stored is not looked at).  tokenizer: a file, or NULL for the one beside the model. */
enum sp_status sp_engine_open(struct sp_engine *e, const char *path, const char *tokenizer, const struct sp_serve_shape *shape,
                              const struct sp_machine *m, struct sp_pool *pool, struct sp_err *err);
void sp_engine_close(struct sp_engine *e);

struct sp_sampling { double temperature, top_p, min_p, repeat_penalty; int64_t top_k, seed; bool greedy; };
struct sp_session {
    struct sp_engine *engine;
    int64_t past;                      /* positions in the cache             */
    const float *logits;               /* f32[vocab] of the last position; in the arena until the next run */
    uint64_t drawn;                    /* random numbers used                */
    struct sp_ids history;             /* [past]                             */
    const char *stop;                  /* an answer ends before this text, of at most SP_STOP_BYTES_MAX bytes; NULL: none */
};
void sp_session_begin(struct sp_session *s, struct sp_engine *e);
void sp_session_end(struct sp_session *s);
/* Goes back to the first n positions; what is fed next stands behind them.  There are no logits until then. */
void sp_session_cut(struct sp_session *s, int64_t n);
/* How many tokens at the beginning of ids are in the cache already. */
int64_t sp_session_shared(const struct sp_session *s, const int32_t *ids, int64_t n);
/* Takes tokens in, in chunks; logits of the last one are ready after it.  SP_LIMIT when the cache is full; a signal
 * between chunks gives SP_INTERRUPTED, and what was fed until then stays. */
enum sp_status sp_session_feed(struct sp_session *s, const int32_t *ids, int64_t n, struct sp_err *err);
/* The next token by these rules, from s->logits; not yet fed. */
enum sp_status sp_session_sample(struct sp_session *s, const struct sp_sampling *how, int32_t *id, struct sp_err *err);
bool sp_engine_is_end(const struct sp_engine *e, int32_t id);   /* one of engine's ends */
void sp_engine_add_end(struct sp_engine *e, int32_t id);        /* past SP_ENDS_MAX it is passed over */

struct sp_answer {
    struct sp_ids ids;                 /* generated                          */
    struct sp_text text;               /* empty without a tokenizer          */
    int64_t prompt_tokens;
    double prompt_s, generate_s, first_token_s; /* first_token_s: from the call to the first token */
    bool ended;                        /* by an end token or the stop text, not by the limit */
};
/* Prompt in, at most max_tokens out; each token is told to the watch with its text as it becomes whole. */
enum sp_status sp_generate(struct sp_session *s, const int32_t *prompt, int64_t n, const struct sp_sampling *how, int64_t max_tokens,
                           bool ignore_end, const struct sp_watch *watch, struct sp_answer *out, struct sp_err *err);
void sp_answer_clear(struct sp_answer *a);
#endif
