/* plan/green.h - spending less energy and fewer grams on the same work: power caps
 * for GPUs, and hours of the day.  Part of the door of plan.
 *
 * A cap is chosen by a rule with one learned number, from GPUs other than the one
 * that is capped.  An hour is chosen from a forecast that knows nothing of the
 * hour it is made in or any later one.  Both say beside what they save what
 * choosing with the answer known would have saved.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GREEN_H
#define SP_GREEN_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../file/file.h"

/* ---- caps (green_cap.c) ---- */

enum { SP_CAP_POINTS_MAX = 32, SP_CAP_GPUS_MAX = 16 };
struct sp_cap_point { double limit_w, time_s, power_w; };             /* power_w NAN: not measured */
/* One workload on one GPU under each limit, lowest limit first; the last point is the largest limit. */
struct sp_cap_work { char name[96]; int n; struct sp_cap_point at[SP_CAP_POINTS_MAX]; };
struct sp_cap_gpu { char name[64]; double top_w; int n, given, skipped; struct sp_cap_work *work; }; /* given: workloads in the file */
/* A table with the columns power_limit (W), time_per_epoch (s) and average_power (W; may be missing or empty); all other
 * columns together name the workload.  A workload that lacks the file's largest limit or any second one is skipped. */
enum sp_status sp_cap_read(struct sp_cap_gpu *out, const char *path, struct sp_err *err);
void sp_cap_clear(struct sp_cap_gpu *g);

/* A rule: the cap of a workload by what may be looked at and one number x. */
enum sp_cap_rule { SP_CAP_LABEL /* x of the largest limit */, SP_CAP_DRAW /* x of the uncapped draw */, SP_CAP_TIME /* lowest limit, going down, whose
                   time is at most x of the uncapped */, SP_CAP_RULES };
extern const struct sp_cap_rule_row { const char *name, *looks_at; double from, to, step, all; } sp_cap_rules[SP_CAP_RULES]; /* all: x learned on all
                                                                                                                    GPUs of docs/planning.md */
/* The point chosen, as an index into w->at. */
int sp_cap_choose(enum sp_cap_rule rule, double x, const struct sp_cap_work *w, double top_w);
/* Over workloads, against the largest limit: mean energy saved and time added, as fractions. */
struct sp_cap_score { int works; double saved, slower, slower_most; };
void sp_cap_score(struct sp_cap_score *to, enum sp_cap_rule rule, double x, const struct sp_cap_gpu *g);   /* adds g's workloads */
/* The x that saves most on all GPUs but `except` (-1: none is left out) at no more than 0.9 of `slower` on average. */
enum sp_status sp_cap_learn(enum sp_cap_rule rule, const struct sp_cap_gpu *g, int n, int except, double slower, double *x, struct sp_err *err);
/* With the answer known: for every workload the limit that saves most, at no more than `slower` on average over all. */
void sp_cap_oracle(const struct sp_cap_gpu *g, int n, double slower, struct sp_cap_score *each /* n of them */, struct sp_cap_score *all);
/* What a cap at x of the draw did to workloads that drew about so much of the largest limit: the middle 80 of 100. */
struct sp_cap_effect { double draw_to; struct sp_figure saved, slower; int works; };
enum { SP_CAP_EFFECTS = 4 };
void sp_cap_effects(const struct sp_cap_gpu *g, int n, double x, struct sp_cap_effect out[SP_CAP_EFFECTS]);
extern const struct sp_cap_effect sp_cap_effects_known[SP_CAP_EFFECTS]; /* of the same GPUs as `all` */

/* ---- hours (green_hour.c) ---- */

enum { SP_HOURS_MAX = 200000, SP_WINDOW_MAX = 24 * 28, SP_WARM_UP = 24 * 28 /* hours of history before a back test begins */ };
/* Mean intensity of every hour, g CO2e/kWh; NAN: not in the file. */
struct sp_hours { double *g; int n; int64_t first; /* hours since 1970-01-01 00:00 */ bool profile; /* means of a month, no history */ char name[64]; };
/* A table of times and intensities (any step up to an hour; averaged to hours, in the order of time), or of mean days
 * (zone, month, h00 ... h23: the row of that zone and month, repeated).  column: NULL: the first whose name says
 * "intensity", else the second. */
enum sp_status sp_hours_read(struct sp_hours *out, const char *path, const char *column, const char *zone, int month, struct sp_err *err);
void sp_hours_clear(struct sp_hours *h);
bool sp_hours_parse(const char *text, int64_t *hour);                 /* "2020-03-01 17:00", hours since 1970 */
const char *sp_hours_show(int64_t hour, char *buf, size_t cap);       /* "Sun 2020-03-01 17:00" */

/* Intensity of the n hours from t on, from the hours before t alone: means of the same hour of the last 14 days
 * (days of the other kind, working day or weekend, count a quarter), and how far the last hour was off, fading as fast
 * as it did in those days.  False: there is no history to go by. */
bool sp_hours_forecast(const struct sp_hours *h, int t, int n, double *out);
/* The same hours of the day before: what the forecast must beat. */
bool sp_hours_yesterday(const struct sp_hours *h, int t, int n, double *out);

struct sp_when_ask { int64_t hours, slack; bool interruptible; };     /* a job of so many hours that may end so much later */
/* Marks the hours of a window of hours + slack to run in: those with the least intensity, together or one by one. */
void sp_when_choose(const struct sp_when_ask *a, const double *g, bool *chosen);

/* Every start from the warm-up on for which the file has the whole window, by the forecast of that moment. */
struct sp_when_test {
    int starts, passed_over;       /* passed over: hours missing */
    double now, planned, persistence, oracle;       /* mean g CO2e/kWh of the job */
    struct sp_figure saved;        /* of one start, as a fraction: middle 80 of 100; likely: of all together */
    double saved_persistence, saved_oracle, share;  /* share: saved of what the oracle saves */
    double off_low, off_high;      /* what came over what was forecast, middle 80 of 100 */
};
/* SP_LIMIT: fewer hours than warm-up and window. */
enum sp_status sp_when_evaluate(const struct sp_hours *h, const struct sp_when_ask *a, struct sp_when_test *out, struct sp_err *err);
#endif
