/* cli/book.h - a run measured from its beginning to its end, and booked.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_BOOK_H
#define SP_BOOK_H
#include "../cost/cost.h"
#include "verb.h"

struct book {
    const struct verb_call *call;
    const struct sp_machine *machine;
    double began, cpu_began;
    struct sp_cost measured;
};
/* recipe may be NULL; its reference is taken. */
enum sp_status book_begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, struct sp_err *err);
/* Measures to the end and books it; quality may be NULL, its reference is taken.  failed: the run's own failure, or NULL. */
enum sp_status book_end(struct book *b, const struct sp_cost *predicted, json_t *quality, const struct sp_err *failed, struct sp_err *err);
#endif
