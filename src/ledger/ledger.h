/* ledger/ledger.h - booked runs: an SQLite file of events that are only ever
 * appended, each chained by hash to the one before.  [door of ledger]
 *
 * A run is one `started` event and at most one of finished, failed, killed; its
 * number is the sequence number of its start.  A changed or missing row breaks
 * the chain; a missing tail shows when the head is compared with a printed one.
 * Two processes may write at once.  A run whose process is gone is booked as
 * killed by whoever opens the ledger next.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_LEDGER_H
#define SP_LEDGER_H
#include <jansson.h>
#include "../base/base.h"
#include "../cost/cost.h"
#include "../file/file.h"

struct sp_ledger;
/* Creates file and folder when absent, migrates, books killed runs.  One thread at a time. */
enum sp_status sp_ledger_open(struct sp_ledger **out, const char *path, struct sp_err *err);
/* Whether there is a file that could be opened so, made empty when absent: costs a few system calls, opening milliseconds. */
enum sp_status sp_ledger_check(const char *path, struct sp_err *err);
void sp_ledger_close(struct sp_ledger *l);       /* NULL is fine */
const char *sp_ledger_path(const struct sp_ledger *l);

/* Everything is borrowed and may be NULL but the verb.  parent 0: none. */
struct sp_run_start {
    const char *verb, *command;                  /* command: the line as typed              */
    int64_t parent;                              /* the run it continues or compares with   */
    const json_t *recipe, *predicted, *inputs;   /* inputs: {"path": "blake2b hex", ...}    */
    const struct sp_machine *machine;
};
enum sp_status sp_ledger_start(struct sp_ledger *l, const struct sp_run_start *s, int64_t *run, struct sp_err *err);

struct sp_run_end {
    const struct sp_err *error;                  /* NULL: finished; else failed, with its sentence */
    const struct sp_cost *measured, *predicted;
    const json_t *phases, *quality, *inputs, *outputs; /* hashes as in sp_run_start                  */
    const json_t *more;                          /* whatever else the verb wants kept       */
    const char *energy_source;
    double idle_share;
};
/* On disk when it returns; the write-ahead file is left to the next start to tidy, so that the end is quick.
 * SP_USAGE when the run is unknown or has already ended. */
enum sp_status sp_ledger_end(struct sp_ledger *l, int64_t run, const struct sp_run_end *e, struct sp_err *err);

/* Runs as JSON, newest first, at most `max` (0: SP_LEDGER_LIST_MAX): {"run", "verb", "status"
 * ("running", "finished", "failed", "killed"), "started", "ended", "start": {...}, "end": {...}}. */
enum { SP_LEDGER_LIST_MAX = 10000 };
enum sp_status sp_ledger_list(struct sp_ledger *l, int max, json_t **out, struct sp_err *err);
enum sp_status sp_ledger_run(struct sp_ledger *l, int64_t run, json_t **out, struct sp_err *err); /* SP_MISSING */

/* The newest finished run that booked this content (hash) as an output, or, where hash is NULL, a file of this absolute
 * path; *run 0: none did. */
enum sp_status sp_ledger_maker(struct sp_ledger *l, const char *hash, const char *path, int64_t *run, struct sp_err *err);

/* Hash and number of the last event; an empty ledger gives 64 zeros and 0. */
enum sp_status sp_ledger_head(struct sp_ledger *l, struct sp_hash *head, int64_t *events, struct sp_err *err);
/* Walks the whole chain.  head (or NULL): a hash printed earlier, which must still be in it.
 * SP_FORMAT names the first event that is wrong; *events: how many are sound. */
enum sp_status sp_ledger_verify(struct sp_ledger *l, const char *head, int64_t *events, struct sp_err *err);

/* Measured kernel rates of a machine (its name). */
enum sp_status sp_ledger_rates_get(struct sp_ledger *l, const char *machine, struct sp_rates *out, struct sp_err *err);
enum sp_status sp_ledger_rates_put(struct sp_ledger *l, const char *machine, const struct sp_rates *r, struct sp_err *err);

json_t *sp_machine_json(const struct sp_machine *m); /* new reference or NULL */
#endif
