/* plan/check.h - predictions against a person's table of what happened.  Part of
 * the door of plan.
 *
 * A kind of check is one file (check_memory.c, ...) and one row in check.c.  It
 * decides by rules on what a row says, never by how far off it is, which rows
 * count; it predicts each row without having seen the row's group (its source,
 * family or device); and it says why a row was passed over.  What is made of the
 * rows (median error, coverage) is the same for all kinds, and stands here.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CHECK_H
#define SP_CHECK_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../file/file.h"

enum { SP_CHECK_SKIPS_MAX = 64, SP_CHECK_SETS_MAX = 16 };

/* What the figures are computed with. */
enum sp_check_constants { SP_CHECK_LEFT_OUT /* fitted on the other groups */, SP_CHECK_ALL /* on all admitted rows */, SP_CHECK_COMPILED /* not fitted */ };
extern const char *const sp_check_constants_names[];       /* NULL-terminated */
struct sp_check_options { int constants; };

/* truth and predicted in the kind's unit.  A row without a truth may still be judged (fits or not). */
struct sp_check_row {
    int line;                      /* in the file; the first row behind the names is 2 */
    const char *label, *group;     /* who is left out together */
    const char *skipped;           /* why it isn't used, a phrase; NULL: it is */
    const char *set;               /* reported apart from the others under this name; NULL: the figures of the check */
    double truth;                  /* NAN: not known */
    struct sp_figure predicted;
    bool judged, was, said;        /* a yes or no (it fits): known, as it was, as predicted */
};
struct sp_check_constant { const char *name, *unit; double value; };
struct sp_check_result {
    const char *quantity, *unit, *judgement;   /* "peak memory of a device", "GB", "fits"; judgement NULL: none */
    int n, cap; struct sp_check_row *row;
    int n_constants; struct sp_check_constant constant[32]; /* that were fitted, at their values from all admitted rows */
    struct sp_arena mem;           /* of every text above */
};
struct sp_check {
    const char *name, *help;       /* "memory" */
    enum sp_status (*fn)(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err);
};
extern const struct sp_check *const sp_checks[];           /* NULL-terminated */
extern const struct sp_check sp_check_memory, sp_check_training, sp_check_inference, sp_check_energy;
/* SP_USAGE naming those there are. */
enum sp_status sp_check_find(const char *name, const struct sp_check **out, struct sp_err *err);
/* The kind's fn over a file. */
enum sp_status sp_check_file(const struct sp_check *c, const char *path, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err);
void sp_check_clear(struct sp_check_result *r);
/* A row of the result, zeroed, with label and group copied (printf-like label is the caller's); NULL: out of memory. */
struct sp_check_row *sp_check_add(struct sp_check_result *r, int csv_row, const char *label, const char *group);

/* Errors are |predicted / truth - 1|, of `likely`.  A row is inside when its truth is within low..high. */
struct sp_check_figures {
    const char *set;               /* NULL: the check's own */
    int given, used, groups;       /* rows of the set; with a truth and a prediction; sources among those */
    double median, mean, within_10, within_20, worst, median_signed; /* errors as fractions; shares */
    double coverage, width;        /* share inside; median of high / low */
    int was, was_not, said_wrongly /* said yes, was no */, missed /* said no, was yes */;
};
struct sp_check_skip { const char *why; int rows; };
struct sp_check_summary {
    int given;                     /* rows of the file */
    int n_sets; struct sp_check_figures set[SP_CHECK_SETS_MAX];    /* the check's own first */
    int n_skips; struct sp_check_skip skip[SP_CHECK_SKIPS_MAX];    /* most rows first; the last may stand for all others */
};
void sp_check_summarize(const struct sp_check_result *r, struct sp_check_summary *out);
/* For kinds: the median of n numbers, which are put in order; NAN of none. */
double sp_check_median(double *v, int n);
#endif
