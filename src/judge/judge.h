/* judge/judge.h - how good a model is, on text it was not trained on.  [door of judge]
 *
 * Every figure comes with its error: windows of text are the independent pieces,
 * tokens within one are not.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_JUDGE_H
#define SP_JUDGE_H
#include "../base/base.h"
#include "../data/data.h"
#include "../file/file.h"
#include "../step/step.h"

/* ---- every token of a stream: what training calls its held-out loss ---- */

struct sp_quality {
    double loss, loss_stderr;      /* nats a token, over `tokens`; standard error over windows */
    double perplexity;             /* e^loss                                                    */
    double bits_per_byte;          /* of the text these tokens stand for                        */
    int64_t tokens, windows, windows_given; /* used, and how many there are                     */
};
/* Scores windows of the stream with the job's SCORE program (its batch and length).  windows_max 0: all of them;
 * fewer are spread evenly over the stream.  SP_INTERRUPTED on a signal. */
enum sp_status sp_judge_tokens(struct sp_live *l, const struct sp_tokens *tokens, int64_t windows_max, const struct sp_watch *watch,
                               struct sp_quality *out, struct sp_err *err);

/* ---- windows by the field's convention ------------------------------------------
 * As llama.cpp's llama-perplexity takes them: windows of `context` tokens side by side (a rest too short for one is left
 * out), the first token of each replaced by bos where the tokenizer puts one in front of a text.  Scored are the last
 * context - 1 - context/2 targets of each, so that half a window stands before every prediction. */
enum { SP_WINDOW_LEAST = 4, SP_WINDOW_MOST = 1 << 20 };
struct sp_windows { const int32_t *ids; int64_t n, context; int32_t bos; }; /* ids[n*context]; bos -1: none */
static inline int64_t sp_windows_scored(int64_t context) { return context - 1 - context / 2; }

/* ---- llama.cpp's file of log-probabilities (--kl-divergence-base) -----------------
 * "_logits_", u32 context, i32 vocab, i32 windows, the tokens as i32; then for every scored token a row: f32 scale, f32
 * smallest log-probability, a u16 a token (an even number of them): log p = scale * code + smallest.  Nothing below
 * the most likely token's by more than 16 is told apart.  Little-endian.  A row is sp_logits_row_bytes long. */
struct sp_logits_file { struct sp_map map; int64_t vocab; struct sp_windows windows; /* bos -1: say it */ };
int64_t sp_logits_row_bytes(int64_t vocab);
bool sp_logits_is(const char *path);   /* a file that begins as one */
/* Header, size and tokens are checked, rows when they are read: SP_FORMAT says what is wrong. */
enum sp_status sp_logits_open(struct sp_logits_file *f, const char *path, struct sp_err *err);
void sp_logits_close(struct sp_logits_file *f);
/* All rows of window w into rows; decode gives false for a row that is no distribution. */
enum sp_status sp_logits_window(const struct sp_logits_file *f, int64_t w, unsigned char *rows, struct sp_err *err);
void sp_logits_encode(const float *logits, int64_t vocab, unsigned char *row);
bool sp_logits_decode(const unsigned char *row, int64_t vocab, float *logp);
/* Writing: the header, then all rows in order, then sp_out_commit; nothing is left of a file abandoned before. */
enum sp_status sp_logits_create(struct sp_out *o, const char *path, const struct sp_windows *w, int64_t vocab, struct sp_err *err);

/* ---- a model on windows, alone or against another --------------------------------- */
struct sp_judge_side { struct sp_live *live; const struct sp_logits_file *file; }; /* one of them: a job of sp_step_logits, or a file */
struct sp_judging {
    struct sp_windows windows;
    struct sp_judge_side model, base;  /* base empty: none                       */
    struct sp_out *save;               /* the live model's rows go there; or NULL */
    struct sp_pool *pool;              /* rows are compared on it                */
    const struct sp_watch *watch;
};
/* A number for every scored token, window by window; the last four are there with a base alone. */
struct sp_scored { int64_t windows, each; double *nll, *base_nll, *divergence, *p_change; unsigned char *same_top; };
/* One batch of logits at a time.  divergence: sum of p_base * ln(p_base / p) in nats over tokens with ln p_base > -16;
 * p_change: p - p_base of the token that follows.  SP_INTERRUPTED on a signal. */
enum sp_status sp_judge_windows(const struct sp_judging *j, struct sp_scored *out, struct sp_err *err);
void sp_scored_clear(struct sp_scored *s);

/* error: over tokens as if they were independent, what llama-perplexity prints; error_windows: over windows' means, which
 * holds as neighbouring tokens are not. */
struct sp_estimate { double value, error, error_windows; };
struct sp_fidelity {
    int64_t tokens, windows;
    bool compared;                     /* else only these                        */
    struct sp_estimate loss, perplexity;
    struct sp_estimate base_perplexity, loss_change, perplexity_ratio; /* loss_change = ln of the ratio; paired */
    double correlation;                /* of both models' nats, over tokens      */
    double t, chance;                  /* of loss_change over windows: Student's t, and how likely as large a one is by chance */
    struct sp_estimate divergence, same_top, p_change, p_change_rms;
    double median, q90, q99, q999, largest; /* of the divergence                  */
};
enum sp_status sp_scored_summary(const struct sp_scored *s, struct sp_fidelity *out, struct sp_err *err);
/* Two models' divergences from the same base on the same windows: mean of a over mean of b, and of the paired difference over
 * windows t and chance as above. */
struct sp_rivalry { struct sp_estimate ratio; double t, chance; };
enum sp_status sp_scored_compare(const struct sp_scored *a, const struct sp_scored *b, struct sp_rivalry *out, struct sp_err *err);
/* Two-sided chance of a Student's t at least as large with so many degrees of freedom. */
double sp_chance_of_t(double t, double freedom);
#endif
