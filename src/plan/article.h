/* plan/article.h - the rule of thumb of a well-known introductory article, cell
 * by cell, beside what the article prints, what physics says and what is
 * published.  Part of the door of plan.
 *
 * A cell is computed from the inputs; what the article prints and what is
 * published are facts.  Every sentence on a deviation is made of the same
 * numbers, so that it changes when an input does.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ARTICLE_H
#define SP_ARTICLE_H
#include "../base/base.h"
#include "../cost/cost.h"

/* The article's assumptions; every one is an option, and its fallback is the article's. */
struct sp_article_input {
    double bytes_per_parameter;    /* in training                                                 */
    double device_gb, usable_gb;   /* of a GPU                                                    */
    double practical;              /* GPUs really taken over GPUs that memory asks for (164 / 140) */
    double pf_days, per_pf;        /* effort of the largest model; GPUs that do 1 petaflop/s       */
    double watts, chip_watts;      /* a GPU with what is around it; its chip alone                 */
    double price;                  /* EUR a GPU-hour                                              */
    double epochs, fold, tokens_per_parameter; /* fold: bytes in training over bytes stored        */
    double parameters;             /* of a fourth model, the person's own; 0: none                 */
};
extern const struct sp_option sp_article_options[];

enum sp_article_model { SP_ARTICLE_GPT35, SP_ARTICLE_TURBO, SP_ARTICLE_LLAMA2, SP_ARTICLE_OWN, SP_ARTICLE_MODELS };
enum sp_article_quantity { SP_ARTICLE_MEMORY /* GB */, SP_ARTICLE_NEEDED /* GPUs, on memory */, SP_ARTICLE_GPUS, SP_ARTICLE_PF_DAYS, SP_ARTICLE_TOKENS,
                           SP_ARTICLE_GPU_DAYS, SP_ARTICLE_DAYS, SP_ARTICLE_POWER /* kW */, SP_ARTICLE_ENERGY /* kWh */, SP_ARTICLE_MONEY /* EUR */,
                           SP_ARTICLE_QUANTITIES };
/* A number as printed, and the last place it is printed to; step 0: not printed. */
struct sp_article_print { double value, step; };
struct sp_article_cell {
    double computed;
    struct sp_article_print printed, printed_too; /* the article prints two values of one quantity at times */
    struct sp_figure physical;     /* how SP_HOW_UNKNOWN: none                                    */
    double published;              /* NAN: none                                                   */
    const char *source;            /* of what is published                                        */
};
extern const struct sp_article_row { const char *key, *label, *unit, *formula; } sp_article_rows[SP_ARTICLE_QUANTITIES];

struct sp_article_format { const char *name; double bytes; int exponent, fraction; double stored_gb, trained_gb; }; /* of 1e9 parameters */
/* Tokens: by the rule, by the planner's default scaling law, and what it was trained on. */
struct sp_article_optimal { const char *name; double parameters, optimal, by_law, trained; };
enum { SP_ARTICLE_FORMATS = 4, SP_ARTICLE_OPTIMALS = 3, SP_ARTICLE_NOTES_MAX = 16, SP_ARTICLE_VALUES_MAX = 6 };
struct sp_article_note {
    const char *key;
    char text[480];
    struct { const char *name; double value; } at[SP_ARTICLE_VALUES_MAX]; /* the numbers of the sentence; ends with name NULL */
};
struct sp_article {
    struct sp_article_input in;
    int models;                    /* SP_ARTICLE_MODELS, or without a model of one's own one less */
    const char *name[SP_ARTICLE_MODELS];
    double parameters[SP_ARTICLE_MODELS];
    struct sp_article_cell cell[SP_ARTICLE_MODELS][SP_ARTICLE_QUANTITIES];
    struct sp_article_format format[SP_ARTICLE_FORMATS];
    struct sp_article_optimal optimal[SP_ARTICLE_OPTIMALS];
    struct sp_figure a100_hours;   /* physical estimate of Llama 2 7B on A100s, the devices it was published for */
    int notes;
    struct sp_article_note note[SP_ARTICLE_NOTES_MAX];
};

/* Every cell, every sentence.  The physical estimate is of the same model on the same GPUs. */
enum sp_status sp_article_make(const struct sp_article_input *in, struct sp_article *out, struct sp_err *err);
/* "2,410,103.04": digits in groups of three; returns buf. */
const char *sp_article_number(double v, int decimals, char *buf, size_t cap);
/* Computed and printed are the same in the places that are printed. */
bool sp_article_agrees(double computed, struct sp_article_print printed);
#endif
