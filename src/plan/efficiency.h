/* plan/efficiency.h - how much longer than the arithmetic of their data sheets real
 * runs take, learned from published ones.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_EFFICIENCY_H
#define SP_EFFICIENCY_H
#include "ask.h"

/* Device time over that of the model's arithmetic at the peak is a sum of such terms, each times a learned number. */
enum sp_term { SP_TERM_KERNELS /* arithmetic and waiting for memory */, SP_TERM_NODES /* beyond one node */, SP_TERM_ROOM /* and with little memory a device */, SP_TERMS };
struct sp_terms { double v[SP_TERMS]; };
/* spread: half of the printed range in the logarithm; rows, families: that it was learned from. */
struct sp_efficiency { double k[SP_TERMS], spread; int rows, families; };
extern const struct sp_efficiency sp_efficiency_published;
/* Its constants were learned with runs of this family. */
bool sp_efficiency_knows(const char *family);
extern const char *const sp_term_names[SP_TERMS];

/* waiting: time beyond arithmetic over that of arithmetic (sp_work); devices 0: not known, taken for many. */
struct sp_terms sp_terms_of(double waiting, const struct sp_device *d, double pace, int64_t devices);
/* Of one device for a precision, FLOP/s: the data sheet's peak, and that by which steps are timed: in fp8 whole steps
 * are little faster than in 16 bits, whatever the products are.  SP_USAGE naming what is missing. */
struct sp_peak { double peak, pace; };
enum sp_status sp_device_peak(const struct sp_device *d, int precision, struct sp_peak *out, struct sp_err *err);
/* 1 / utilisation of the pace. */
double sp_efficiency_slowness(const struct sp_efficiency *e, const struct sp_terms *t);

/* A published run: its terms, its slowness, and what it is left out with. */
struct sp_published { struct sp_terms t; double slowness; const char *family; };
/* Fits on all runs but those of one family (NULL: on all).  SP_LIMIT: fewer than EFFICIENCY_RUNS_MIN are left. */
enum sp_status sp_efficiency_fit(const struct sp_published *run, int n, const char *without, struct sp_efficiency *out, struct sp_err *err);
#endif
