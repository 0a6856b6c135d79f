/* report/report.h - runs and costs for people: words first, then a table.  [door of report]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_REPORT_H
#define SP_REPORT_H
#include <jansson.h>
#include <stdio.h>
#include "../base/base.h"
#include "../cost/cost.h"
#include "../ledger/ledger.h"

/* One cost, a line a figure: likely value, range, how it is known. */
void sp_report_cost(const struct sp_cost *c, FILE *out);
/* Predicted against measured, line by line, with their ratio.  Lines that neither has are left out. */
void sp_report_predicted(const struct sp_cost *predicted, const struct sp_cost *measured, FILE *out);
json_t *sp_report_predicted_json(const struct sp_cost *predicted, const struct sp_cost *measured);

/* Runs as sp_ledger_list and sp_ledger_run give them; the head's line closes each report. */
void sp_report_list(const json_t *runs, FILE *out);
enum sp_status sp_report_run(const json_t *run, FILE *out, struct sp_err *err);
/* What b saved against a, with the quality of both beside it.  SP_USAGE when one has no measured cost. */
enum sp_status sp_report_compare(const json_t *a, const json_t *b, FILE *out, struct sp_err *err);
enum sp_status sp_report_compare_json(const json_t *a, const json_t *b, json_t **out, struct sp_err *err);
void sp_report_head(const struct sp_hash *head, int64_t events, FILE *out);
#endif
