/* report/saving.h - what a run that made a model smaller saved.  Private to report.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_REPORT_SAVING_H
#define SP_REPORT_SAVING_H
#include <stdio.h>
#include "report.h"

/* more: what the run kept of its own (the answer of `quantize`). */
bool sp_report_has_saving(const json_t *more);
void sp_report_saving(const json_t *more, FILE *out);
/* "3.01x smaller, KL 0.00203"; false: it is no such run. */
bool sp_report_saving_short(const json_t *more, char *buf, size_t cap);
#endif
