/* plan/check_memory.h - what reading a table of peaks and learning from it share.
 * Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CHECK_MEMORY_H
#define SP_CHECK_MEMORY_H
#include "../catalog/catalog.h"
#include "check.h"
#include "memory_walk.h"

enum sp_row_column { MODEL, TASK, METHOD, PRECISION, OPTIMIZER, BATCH, SEQ, HARDWARE, DEVICES, PEAK, FITS, SOURCE, LOOKED_UP, SP_ROW_COLUMNS };
struct sp_rows { struct sp_catalog *catalog; const struct sp_csv *t; const struct sp_check_options *o; int column[SP_ROW_COLUMNS]; struct sp_check_result *out; };

/* The question of a row, and what it comes to with both factors at 1, in bytes: weights and optimizer; what works; of the
 * process, where the software's figure has it; of the process.  device: what one has, 0 unknown. */
struct sp_reading { int row; struct sp_ask ask; struct sp_stack stack; double states, working, fixed, own, device; bool learns; };

const char *sp_row_at(const struct sp_rows *r, int row, enum sp_row_column c);
bool sp_row_says(const char *text, const char *word);      /* without regard to case */
double sp_row_behind(const char *text, const char *key);   /* the number that follows; NAN: none */
double sp_row_number(const char *text);                    /* NAN: none */
int64_t sp_row_whole(double v);                            /* 0: no count */
/* A line that lives as long as the result. */
const char *sp_row_text(const struct sp_rows *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The source gives a model's sizes and how it is cut; the question of such a row. */
bool sp_row_is_paper(const char *source);
void sp_row_paper(struct sp_reading *g, const char *source, const char *method, double tokens);
/* The question of any other row; or why there is none. */
const char *sp_row_ask(const struct sp_rows *r, int i, struct sp_reading *g);
#endif
