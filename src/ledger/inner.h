/* ledger/inner.h - the open ledger, statements, one event.  [private to ledger]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LEDGER_INNER_H
#define SP_LEDGER_INNER_H
#include <sqlite3.h>
#include "ledger.h"

struct sp_ledger { sqlite3 *db; char *path; };

/* SQLite's sentence with the file's name. */
enum sp_status sp_ledger_fail(struct sp_ledger *l, const char *doing, struct sp_err *err);
enum sp_status sp_ledger_exec(struct sp_ledger *l, const char *sql, const char *doing, struct sp_err *err);
enum sp_status sp_ledger_prepare(struct sp_ledger *l, sqlite3_stmt **s, const char *sql, struct sp_err *err);

/* schema.c: folder, file, pragmas, migrations, triggers. */
enum sp_status sp_ledger_migrate(struct sp_ledger *l, struct sp_err *err);

/* chain.c: appends within a transaction that the caller holds; run 0: a new run, whose number is returned. */
enum sp_status sp_ledger_append(struct sp_ledger *l, int64_t *run, const char *kind, const json_t *body, struct sp_err *err);
enum sp_status sp_ledger_begin(struct sp_ledger *l, struct sp_err *err);  /* BEGIN IMMEDIATE */
enum sp_status sp_ledger_close_transaction(struct sp_ledger *l, enum sp_status st, struct sp_err *err); /* COMMIT or ROLLBACK */

/* alive.c: who runs this, and whether a run's process is still there. */
json_t *sp_ledger_process(void);
enum sp_status sp_ledger_bury(struct sp_ledger *l, struct sp_err *err);
#endif
