/* cli/book.h - a run measured from its beginning to its end, and booked in the
 * ledger; failed runs too.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BOOK_H
#define SP_BOOK_H
#include "../cost/cost.h"
#include "../ledger/ledger.h"
#include "../link/link.h"
#include "../meter/meter.h"
#include "verb.h"

enum { BOOK_FILES_MAX = 8 };
struct book {
    struct sp_meter *meter;
    struct sp_ledger *ledger;          /* NULL with --no-ledger        */
    int64_t run;
    struct { const char *path; bool output; } file[BOOK_FILES_MAX]; /* hashed when booked */
    int files;
    const char *source;                /* of which a run is the parent, or NULL */
    struct sp_cost measured;           /* after book_end               */
    char head[65];                     /* of the ledger after book_end */
};
/* recipe and predicted may be NULL; recipe's reference is taken. */
enum sp_status book_begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                          struct sp_err *err);
/* The same of work on a model: the run that made source (its weights, by their content; above 1 GB by their place) is the parent. */
enum sp_status book_begin_of(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const char *source,
                             struct sp_err *err);
/* The same in two steps, for a verb whose work begins before it is booked; the second closes the ledger when it fails. */
enum sp_status book_meter(struct book *b, const struct verb_call *call, const struct sp_machine *m, struct sp_err *err);
enum sp_status book_start(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                          struct sp_err *err);
/* A file or folder that goes in or comes out: its content hash is booked (after measuring).  NULL and names that are
 * no file are passed over; the path must live until the end. */
void book_file(struct book *b, bool output, const char *path);
/* Names what follows; the phase before ends. */
void book_phase(struct book *b, const char *name);
/* Adds the processor time of the other ranks so far to what is measured here, and counts their machines. */
enum sp_status book_others(struct book *b, struct sp_link *link, struct sp_err *err);
/* Measures to the end, books it, closes everything.  quality may be NULL, its reference is taken.  failed: the run's
 * own failure, or NULL. */
enum sp_status book_end(struct book *b, const struct sp_cost *predicted, json_t *quality, const struct sp_err *failed, struct sp_err *err);
/* The same in two steps, for a verb that corrects what was measured.  more: whatever else is kept; its reference is taken. */
void book_measure(struct book *b);
enum sp_status book_write(struct book *b, const struct sp_cost *predicted, json_t *quality, json_t *more, const struct sp_err *failed,
                          struct sp_err *err);
/* "run 12 in /path, head 3f2a..." for a person; nothing with --no-ledger. */
void book_show(const struct book *b, FILE *out);
#endif
