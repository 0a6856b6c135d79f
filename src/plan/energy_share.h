/* plan/energy_share.h - the share of its rated power that a device draws, and how
 * that is learned for answers.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_ENERGY_SHARE_H
#define SP_ENERGY_SHARE_H
#include "energy.h"

/* share = exp(k0 + k1 ln(GB of weights a device / 30) + k2 log2(devices of a copy)), within LEAST and 1. */
enum { SP_DECODE_TERMS = 3 };
struct sp_decode_share { double k[SP_DECODE_TERMS], spread; int rows; };
extern const struct sp_decode_share sp_decode_published;
/* weight_bytes: of the whole model, 0 where unknown; devices: that hold one copy. */
struct sp_decode_terms { double v[SP_DECODE_TERMS]; };
struct sp_decode_terms sp_decode_terms_of(double weight_bytes, double devices);
double sp_decode_share_of(const struct sp_decode_share *s, const struct sp_decode_terms *t);
struct sp_decode_row { struct sp_decode_terms t; double share; const char *group; };
/* Of all rows but those of one group (NULL: of all); with none it is what was believed before. */
void sp_decode_learn(const struct sp_decode_row *row, int n, const char *without, struct sp_decode_share *out);
/* The plan with that share in place of the published one (NULL). */
enum sp_status sp_energy_with(const struct sp_ask *a, enum sp_load load, const struct sp_decode_share *s, struct sp_figure device_hours,
                              struct sp_energy_plan *out, struct sp_explain *explain, struct sp_err *err);
#endif
