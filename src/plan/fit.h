/* plan/fit.h - scaling laws: the loss that a model's size and its data lead to, the
 * best of both for a budget, and the law of a person's own runs.  Part of the door
 * of plan.
 *
 * L(N, D) = E + A / N^alpha + B / D^beta, nats a token; N parameters, D tokens of
 * training (Hoffmann et al. 2022, approach 3).  Training takes C = 6 N D FLOP: 2 for
 * a multiplication forward, 4 backward, for each parameter and token.  That formula
 * belongs to the laws, which were fitted with it; what a step of a known model takes
 * is counted from its graph instead (technique/optimal.c).
 *
 * Nothing here is true outside the runs a law was fitted to: sp_law_outside says by
 * how many powers of ten a budget is outside, and every range grows with it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_FIT_H
#define SP_FIT_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../file/file.h"

/* ---- a law ---- */
enum { SP_LAW_E, SP_LAW_A, SP_LAW_B, SP_LAW_ALPHA, SP_LAW_BETA, SP_LAW_NUMBERS }; /* order of covariance: log E, log A, log B, alpha, beta */
extern const char *const sp_law_number_names[SP_LAW_NUMBERS];
struct sp_law {
    char name[64], source[200];
    double E, A, B, alpha, beta;
    double covariance[SP_LAW_NUMBERS][SP_LAW_NUMBERS];
    double scatter;                /* standard deviation of the log loss of one run about the law */
    enum sp_how how;               /* of covariance and scatter; ASSUMED: borrowed from another fit */
    double flops_min, flops_max;   /* of the runs it was fitted to                                  */
    int runs;                      /* 0: not published                                              */
};
/* Published ones, the default first; ends with an empty name. */
extern const struct sp_law sp_laws[];
const struct sp_law *sp_law_find(const char *name);                       /* NULL: none */
/* By name, or from a file that `plan fit` wrote.  SP_MISSING names those known. */
enum sp_status sp_law_open(struct sp_law *out, const char *name_or_path, struct sp_err *err);
json_t *sp_law_json(const struct sp_law *l);                              /* new reference or NULL */
enum sp_status sp_law_from_json(struct sp_law *out, const json_t *j, struct sp_err *err);

/* ---- what it says ---- */
struct sp_law_point { double parameters, tokens, flops, loss; };
double sp_law_loss(const struct sp_law *l, double parameters, double tokens);
/* The best split of a training budget, closed form: N = G (C/6)^(beta/(alpha+beta)), D = C/(6 N). */
struct sp_law_point sp_law_best(const struct sp_law *l, double flops);
/* The fewest FLOP that reach a loss, and how; INFINITY at or below E. */
struct sp_law_point sp_law_cheapest(const struct sp_law *l, double loss);
/* The rule of thumb: D = 20 N, so N = sqrt(C / 120); loss by the law. */
struct sp_law_point sp_law_twenty(const struct sp_law *l, double flops);
/* Powers of ten by which a budget is outside the runs of the law; 0: within. */
double sp_law_outside(const struct sp_law *l, double flops);

/* Data that is repeated (Muennighoff et al. 2023): of D tokens only `unique` are different.  Repeated tokens and
 * parameters beyond what the unique tokens deserve count less and less (their R_D* and R_N*). */
double sp_law_loss_repeated(const struct sp_law *l, double parameters, double tokens, double unique);
struct sp_law_point sp_law_best_repeated(const struct sp_law *l, double flops, double unique);
/* The fewest FLOP that reach a loss with so many different tokens; INFINITY: none do. */
double sp_law_flops_repeated(const struct sp_law *l, double loss, double unique);

/* Serving counted too (Sardana et al. 2024): of all models that reach `loss`, the one with the least 6 N D + 2 N served.
 * flops is of training; serving adds 2 N served.  All NAN at or below E. */
struct sp_law_point sp_law_best_served(const struct sp_law *l, double loss, double served);

/* ---- how sure ----
 * 95 % ranges of a positive quantity q(law): first order in the law's covariance, in log q, widened by the factor
 * 1 + outside.  one_run: q is the loss of one run, whose scatter counts too. */
typedef double sp_law_quantity(const struct sp_law *l, const void *arg);
struct sp_figure sp_law_range(const struct sp_law *l, sp_law_quantity *q, const void *arg, double outside, bool one_run);

/* ---- a budget ----
 * Each limit that is not 0 is turned into FLOP; the tightest counts. */
struct sp_budget {
    double flops;                  /* of training                                             */
    double device_hours;
    double money, price;           /* price of a device for an hour                           */
    double energy_kwh, watts;      /* watts of a device, its share of host and building included */
    double days; double devices;
    double peak_flops;             /* of a device, a second                                   */
    double utilisation;            /* share of the peak that 6 N D reaches                    */
};
enum sp_budget_limit { SP_BUDGET_FLOPS, SP_BUDGET_HOURS, SP_BUDGET_MONEY, SP_BUDGET_ENERGY, SP_BUDGET_DAYS, SP_BUDGET_LIMITS };
extern const char *const sp_budget_names[SP_BUDGET_LIMITS];
/* SP_USAGE names what is missing.  hours: of all devices together; NAN when the devices are not known. */
enum sp_status sp_budget_flops(const struct sp_budget *b, double *flops, double *hours, enum sp_budget_limit *tightest, struct sp_err *err);

/* ---- batch and learning rate ----
 * DeepSeek LLM (2024), section 3.1: best batch (tokens) 0.2920 C^0.3271 and learning rate 0.3118 C^-0.1250, from runs
 * of 1e17 to 2e19 FLOP, C without embeddings.  Advice: a wide valley, other data and optimizers move it. */
void sp_law_batch(double flops, double *tokens, double *learning_rate);
enum { SP_LAW_BATCH_DECADE_MIN = 17, SP_LAW_BATCH_DECADE_MAX = 20 };

/* ---- runs and the fit ---- */
enum { SP_RUNS_MAX = 100000, SP_RUNS_MIN = 8, SP_RUNS_SIZES_MIN = 3 };
struct sp_law_runs {
    int n, given;                  /* used of given                                          */
    int missing, negative, largest; /* left out by rules 1, 2 and 3 of docs/planning.md      */
    bool tokens_from_flops;
    double *parameters, *tokens, *loss; /* one block, owned                                  */
};
/* Columns by name, as people write them: parameters | params | N | Model Size; tokens | D; FLOP | flops | C |
 * Training FLOP; loss | L | val_loss.  Missing tokens are FLOP / (6 N). */
enum sp_status sp_law_runs_read(struct sp_law_runs *out, const struct sp_csv *t, int drop_largest, struct sp_err *err);
void sp_law_runs_clear(struct sp_law_runs *r);

struct sp_fit_options {
    bool tied;                     /* alpha = beta                                           */
    int resamples;                 /* of the bootstrap; 0: no intervals                      */
    double delta;                  /* of Huber's loss; 0: 1e-3                               */
    uint64_t seed;
    struct sp_pool *pool;          /* resamples in parallel; the result is the same without  */
};
enum { SP_FIT_RESAMPLES_MAX = 100000 };
struct sp_fit {
    struct sp_law law;             /* covariance: of the resamples                           */
    double objective;              /* sum over runs of Huber(log L - log law)                */
    int starts, descents, resamples;
    int64_t evaluations;           /* of the objective, the bootstrap's included             */
    struct sp_figure number[SP_LAW_NUMBERS]; /* 95 %, percentiles of the bootstrap           */
    double error[SP_LAW_NUMBERS];  /* standard deviations                                    */
    struct sp_figure exponent;     /* of N in C: beta / (alpha + beta)                       */
};
/* Huber on the log of the loss, summed and not averaged (averaging made the published fit stop too early: Besiroglu et
 * al. 2024).  For every alpha and beta of a grid, E, A and B follow by least squares (they enter linearly); the best
 * descend with L-BFGS.  SP_UNSUPPORTED: the runs do not determine the law. */
enum sp_status sp_fit_law(const struct sp_law_runs *r, const struct sp_fit_options *o, struct sp_fit *out, struct sp_err *err);
/* The objective at a law, and its gradient by log E, log A, log B, alpha, beta (may be NULL). */
double sp_fit_objective(const struct sp_law_runs *r, const struct sp_law *l, double delta, double gradient[SP_LAW_NUMBERS]);
#endif
