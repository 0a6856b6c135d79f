/* bits/bits.h - what a model's numbers are worth, and how they are stored in fewer
 * bits: calibration, importance, rounding, formats under a budget.  [door of bits]
 *
 * Matrices are known by their Hugging Face names and seen as their product sees them:
 * rows are outputs, cols are inputs, whatever way round a file has them.
 *
 * Ownership in one sentence: what a function fills, its _clear frees; every other
 * pointer is only read.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BITS_DOOR_H
#define SP_BITS_DOOR_H
#include "../base/base.h"
#include "../graph/graph.h"
#include "../judge/judge.h"
#include "../model/model.h"
#include "../step/step.h"

/* ======== calibrate.c: statistics of a model on a text =================================
 * With the loss L = the sum of nats over a window's tokens, y = W x at every token t, g_t = dL/dy_t:
 *
 *   x2[j] = mean of x_tj^2        g2[i] = mean of g_ti^2        xg[j] = mean of |g_t|^2 x_tj^2 / mean of |g_t|^2
 *   h = mean of x_t x_t', or, weighted, mean of |g_t|^2 x_t x_t' / mean of |g_t|^2
 *
 * so that 1/2 sum over i, j of g2[i] x2[j] (change of W[i,j])^2 foretells, with targets drawn from the model (Fisher's
 * information), the divergence a token in nats.  A tied head has the statistics of the final norm's output; an
 * embedding that isn't the head has none.  Matrices that take the same input share x2, and h where it isn't weighted. */
struct sp_bits_matrix {
    const char *name;              /* Hugging Face's                       */
    int64_t rows, cols;            /* outputs, inputs                      */
    int layer;                     /* -1: outside layers                   */
    double tokens;                 /* that x2 is a mean of                 */
    const float *x2;               /* [cols]                               */
    const float *g2;               /* [rows], in Hugging Face's order; NULL: not made */
    const float *xg;               /* [cols]; NULL: not made               */
    const float *h;                /* [cols, cols]; NULL: not made         */
};
struct sp_bits_stats {
    int n; struct sp_bits_matrix *matrix;
    const char *text;              /* what was calibrated on, or ""        */
    int64_t windows, context;      /* of it                                */
    struct sp_arena mem;
};
const struct sp_bits_matrix *sp_bits_find(const struct sp_bits_stats *s, const char *name); /* NULL: there is none */
void sp_bits_stats_clear(struct sp_bits_stats *s);

/* What is collected: bits to add up.  G2, XG and HG want a graph with its gradient. */
enum { SP_BITS_X2 = 1, SP_BITS_G2 = 2, SP_BITS_XG = 4, SP_BITS_H = 8, SP_BITS_HG = 16 /* h weighted; not with H */ };

/* The rewrite: at every product with a parameter, nodes that add up, in place, over all runs.  Call it after sp_graph_grad
 * where there is a gradient, before sp_graph_pack.  h is collected in layers first <= layer < last alone (last 0: in
 * all, and outside).  taps: for each matrix the states (f32) in which its sums stand; NULL: it isn't collected. */
struct sp_bits_tap { const char *name; int64_t rows, cols; int layer; const char *x2, *g2, *xg, *h, *energy /* f32[1]: sum of |g_t|^2 */; };
struct sp_bits_taps { int n; struct sp_bits_tap *tap; struct sp_arena mem; };
enum sp_status sp_bits_tap(struct sp_graph *g, int what, int first, int last, struct sp_bits_taps *taps, struct sp_err *err);
void sp_bits_taps_clear(struct sp_bits_taps *t);
/* Makes the gradients of parameters, which nobody reads then, not be computed: those of values stay. */
enum sp_status sp_bits_values_only(struct sp_graph *g, struct sp_err *err);

struct sp_calibration {
    int what;                      /* SP_BITS_X2, ...                      */
    bool sampled; uint64_t seed;   /* targets drawn from the model, one more pass; else those of the text */
    int first, last;               /* layers of h, as in sp_bits_tap       */
    bool head;                     /* also h of what enters the head (forward alone) */
    const char *text;              /* what the text is called              */
};
/* Every token of every window counts, as llama-imatrix counts.  SP_DIVERGED names the tensor into which something that is no
 * number goes; SP_INTERRUPTED on a signal. */
enum sp_status sp_bits_calibrate(const struct sp_weights *w, const struct sp_windows *windows, const struct sp_calibration *o, const struct sp_machine *m,
                                 struct sp_pool *pool, const struct sp_watch *watch, struct sp_bits_stats *out, struct sp_err *err);

/* ======== imatrix.c: llama.cpp's files of x2 ============================================
 * Read: the GGUF form (general.type "imatrix") and the older binary one.  Entries of tensors that the model doesn't have
 * are passed over; one of another width is an error.  Write: the GGUF form, which llama-quantize --imatrix takes. */
enum sp_status sp_imatrix_read(struct sp_bits_stats *out, const char *path, const struct sp_weights *w, struct sp_err *err);
enum sp_status sp_imatrix_write(const struct sp_bits_stats *s, const struct sp_weights *w, const char *path, struct sp_err *err);

/* ======== mixes.c: formats by tensor under a name, as the field knows them ==============
 * What llama-quantize of August 2026 makes of a type's name ("q4_k_m"): most matrices in one format, values, feed-forward
 * outputs and the head in better ones.  importance: some choose otherwise when importance is known. */
bool sp_bits_mix_is(const char *name);
const char *sp_bits_mix_names(void);    /* "q2_k, q2_k_s, ..." */
/* Sets the format of every matrix of a list for GGUF.  SP_USAGE when there is no such mix. */
enum sp_status sp_bits_mix(struct sp_export *e, const char *name, bool importance, struct sp_err *err);

/* size.c: the same by a mix's name, or (pure, or where there is no such mix) one format for all matrices. */
enum sp_status sp_bits_named(struct sp_export *e, const char *to, bool pure, bool importance, struct sp_err *err);
/* "45%" of whole, "300MB", "1.5GiB", or bytes. */
enum sp_status sp_bits_parse_size(const char *s, uint64_t whole, uint64_t *out, struct sp_err *err);

/* ======== budget.c, measure.c: formats by tensor, so that a file is no larger than said ==
 * Of each tensor its candidates: bytes, and the loss (nats of divergence a token) foretold with that tensor alone so stored.
 * Losses add up as long as they are small; so the least sum within bytes is found one step of a tensor's lower convex hull
 * after the other, the steepest first, and what is left over is spent on whatever still fits (Shoham and Gersho 1988). */
enum { SP_CHOICES_MAX = 16 };
struct sp_choice { enum sp_format format; uint64_t bytes; double loss; };
struct sp_choices {
    int n, chosen; struct sp_choice at[SP_CHOICES_MAX];
    /* By sp_bits_measure.  A kind: tensors whose names differ in the layer's number alone. */
    int kind;                      /* the first tensor of its kind; others' are zero from here */
    int tensors; enum sp_format tried; double foretold, measured; /* divergence with all of the kind so stored; tensors 0: not measured */
};
/* SP_LIMIT when the smallest of all are more than bytes. */
enum sp_status sp_bits_choose(struct sp_choices *tensor, int n, uint64_t bytes, struct sp_err *err);
/* Candidates of every tensor of a list for GGUF, in its order; vectors have their one.  The loss is half the sum over rows
 * i (512 of a large one) and columns j of g2[i] x2[j] times the square of what rounding alone changes; what known doesn't have
 * counts 1.  known, pool and watch may be NULL. */
enum sp_status sp_bits_candidates(const struct sp_export *e, const struct sp_bits_stats *known, struct sp_pool *pool, const struct sp_watch *watch,
                                  struct sp_choices *out, struct sp_err *err);
/* The same losses with two factors.  One a tensor: what is left of its error where the list's rounding makes up for errors (trace
 * of D over trace of h, sp_bits_factor).  One a kind: all its tensors are stored in one format as they would be written, the
 * divergence is measured, and is to what was foretold of them as it is in all formats.  So a model is run once for each
 * kind, however many layers it has.  live holds the original's weights in f32, and has them again afterwards. */
struct sp_measuring {
    struct sp_windows windows;     /* all of them are one batch of live         */
    struct sp_live *live;          /* a job of sp_step_logits                   */
    struct sp_bits_rounding *rounding; /* the list's, not yet asked for any; or NULL */
    struct sp_pool *pool; const struct sp_watch *watch;
};
enum sp_status sp_bits_measure(struct sp_export *e, const struct sp_measuring *m, struct sp_choices *c, struct sp_err *err);

/* ======== round.c, round_model.c: rounding that makes up for its errors ==================
 * GPTQ (Frantar et al. 2023) in the form of LDLQ (Chee et al. 2023), which is the same: with h = (F + 1) D (F + 1)', F
 * strictly upper, columns are rounded in order, number j to the nearest of w_j + sum over i < j of (w_i - rounded_i) F_ij,
 * which makes (w - rounded) h (w - rounded)' small.  A block's scales are searched (encode_weighted) when its turn comes. */
/* factor[cols, cols] = F of h, which is symmetric, + damp times its mean diagonal, or more where that isn't positive; factor may be h.
 * *left: trace of D over trace of h, what making up leaves of a squared error. */
enum sp_status sp_bits_factor(const float *h, int64_t cols, double damp, struct sp_pool *pool, float *factor, double *left, struct sp_err *err);
/* w[rows, cols] to blocks of f, which sp_format_grid knows.  importance[cols] weights errors in the search of scales.  Rows
 * don't depend on each other, nor bytes on the pool. */
enum sp_status sp_bits_round(enum sp_format f, const float *w, int64_t rows, int64_t cols, const float *importance, const float *factor,
                             struct sp_pool *pool, void *to, struct sp_err *err);
/* All matrices of a list for GGUF so rounded as they are written: e.round = sp_bits_round_tensor, e.rounding = one of these.
 * Layer by layer: h is collected on what the layers before, already rounded, put out, then all of the layer is rounded, kept until it
 * is written, and the windows go through it.  A tied head, which is written first, takes known's h (sp_calibration.head).
 * Memory: one layer's weights and h, and a scratch file of what goes between layers (windows * context * width * 4 bytes). */
struct sp_bits_walk;
struct sp_bits_rounding {
    const struct sp_bits_stats *known;       /* x2 of all matrices               */
    struct sp_windows windows;
    const struct sp_machine *machine;
    struct sp_pool *pool;
    const struct sp_watch *watch;            /* told of all tensors' progress; or NULL */
    double damp;                             /* 0.01 is usual                    */
    double *left;                            /* NULL, or [the list's n]: what is left of a tensor's squared error goes there */
    struct sp_bits_walk *walk;               /* private                          */
};
enum sp_status sp_bits_round_tensor(void *rounding, const struct sp_export *e, int tensor, const void **at, struct sp_err *err);
void sp_bits_rounding_clear(struct sp_bits_rounding *r);

/* ======== fit.c: gains and scales of a file, fitted to the original's logits =============
 * Gradient descent on the mean divergence of the student from its original over the windows' tokens, the codes fixed: gains of
 * norms (and other f32 vectors) move, and f16 scales of blocks, each by a factor.  What is stored is what every step computes with.
 * The last windows are held out; the state with the least divergence on them is written to `out`, which has the student's
 * size; where nothing helped, nothing is written.  Needs both models in f32, gradients of what moves, and two batches' logits. */
enum { SP_FIT_GAINS = 1, SP_FIT_SCALES = 2 };
struct sp_fit {
    int what;                      /* SP_FIT_GAINS, ... added up           */
    int64_t steps;
    double rate;                   /* relative change a step, at first; 0: chosen */
    int64_t batch, held;           /* windows a step, held out; 0: chosen  */
};
struct sp_fitted { double before, after; /* divergence on held-out windows */ int64_t steps, best; /* best 0: the student as it was */ };
/* student: a GGUF file; out may be its path.  SP_SHAPE where the models don't match, SP_UNSUPPORTED where nothing can move. */
enum sp_status sp_bits_fit(const struct sp_weights *original, const struct sp_weights *student, const struct sp_windows *windows, const struct sp_fit *o,
                           const char *out, const struct sp_machine *m, struct sp_pool *pool, const struct sp_watch *watch, struct sp_fitted *result,
                           struct sp_err *err);
#endif
