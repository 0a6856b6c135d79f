/* ledger/schema.c - opening the file: pragmas, migrations, the rules that no row
 * of the chain is ever changed or removed.
 *
 * Write-ahead logging with synchronous = FULL: an event is on the disk when the
 * append returns, so a run that was told to be booked stays booked when the power
 * fails.  NORMAL would keep the chain whole too, but could lose its last events; the
 * price is one fdatasync an event, two a run.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <unistd.h>
#include "inner.h"

/* Pages in the write-ahead file before a start tidies it: reading them back is what opening costs. */
enum { BUSY_MS = 20000, WAL_TRIES = 200, WAL_PAGES = 256 };

/* migrations[i] leads from version i to i + 1; add at the end, never change one. */
static const char *const migrations[] = {
    "CREATE TABLE event("
    " seq INTEGER PRIMARY KEY,"
    " run INTEGER NOT NULL REFERENCES event(seq),"
    " kind TEXT NOT NULL CHECK(kind IN ('started','finished','failed','killed')),"
    " at TEXT NOT NULL,"
    " body TEXT NOT NULL,"
    " prev TEXT NOT NULL,"
    " hash TEXT NOT NULL UNIQUE);"
    "CREATE UNIQUE INDEX event_once ON event(run, kind = 'started');" /* one start, one end */
    "CREATE TRIGGER event_no_update BEFORE UPDATE ON event"
    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TRIGGER event_no_delete BEFORE DELETE ON event"
    " BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;"
    "CREATE TABLE rate("
    " machine TEXT NOT NULL, row TEXT NOT NULL, flops_per_s REAL NOT NULL, bytes_per_s REAL NOT NULL,"
    " how TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY(machine, row)) WITHOUT ROWID;",
};

enum sp_status sp_ledger_fail(struct sp_ledger *l, const char *doing, struct sp_err *err)
{
    int code = sqlite3_errcode(l->db) & 0xff, system = code == SQLITE_IOERR || code == SQLITE_CANTOPEN ? sqlite3_system_errno(l->db) : 0;
    enum sp_status st = code == SQLITE_NOMEM ? SP_NOMEM : code == SQLITE_NOTADB || code == SQLITE_CORRUPT ? SP_FORMAT : SP_IO;
    sp_fail(err, st, "ledger: %s: %s%s%s", doing, sqlite3_errmsg(l->db), system ? ": " : "", system ? strerror(system) : "");
    sp_remedy(err, "--ledger names another file, --no-ledger books nothing");
    return sp_where(err, "%s", l->path);
}

enum sp_status sp_ledger_exec(struct sp_ledger *l, const char *sql, const char *doing, struct sp_err *err)
{
    return sqlite3_exec(l->db, sql, NULL, NULL, NULL) == SQLITE_OK ? SP_OK : sp_ledger_fail(l, doing, err);
}

enum sp_status sp_ledger_prepare(struct sp_ledger *l, sqlite3_stmt **s, const char *sql, struct sp_err *err)
{
    return sqlite3_prepare_v2(l->db, sql, -1, s, NULL) == SQLITE_OK ? SP_OK : sp_ledger_fail(l, "asking", err);
}

static enum sp_status version(struct sp_ledger *l, int *out, struct sp_err *err)
{
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, "PRAGMA user_version", err));
    int got = sqlite3_step(s);
    *out = got == SQLITE_ROW ? sqlite3_column_int(s, 0) : 0;
    sqlite3_finalize(s);
    return got == SQLITE_ROW ? SP_OK : sp_ledger_fail(l, "reading its version", err);
}

static enum sp_status bring_up(struct sp_ledger *l, int from, struct sp_err *err)
{
    char set[48];
    for (size_t i = (size_t)from; i < SP_COUNT(migrations); i++)
        TRY(sp_ledger_exec(l, migrations[i], "bringing it up to date", err));
    snprintf(set, sizeof set, "PRAGMA user_version = %d", (int)SP_COUNT(migrations));
    return sp_ledger_exec(l, set, "bringing it up to date", err);
}

/* Two processes that open a new file at once: WAL may answer "busy" at once, whatever the timeout. */
static enum sp_status write_ahead(struct sp_ledger *l, struct sp_err *err)
{
    int got = SQLITE_BUSY;
    for (int i = 0; i < WAL_TRIES && (got & 0xff) == SQLITE_BUSY; i++) {
        got = sqlite3_exec(l->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((got & 0xff) == SQLITE_BUSY)
            usleep(10000);
    }
    return got == SQLITE_OK ? SP_OK : sp_ledger_fail(l, "switching to write-ahead logging", err);
}

/* A data base of another program is left as it is. */
static enum sp_status check_ours(struct sp_ledger *l, struct sp_err *err)
{
    static const char tables[] = "SELECT count(*), coalesce(sum(name = 'event'), 0) FROM sqlite_master WHERE type = 'table'";
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, tables, err));
    int got = sqlite3_step(s), n = got == SQLITE_ROW ? sqlite3_column_int(s, 0) : 0, ours = got == SQLITE_ROW ? sqlite3_column_int(s, 1) : 0;
    sqlite3_finalize(s);
    if (got != SQLITE_ROW)
        return sp_ledger_fail(l, "reading its tables", err);
    if (!n || ours)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "this is another program's data base, with %d tables and no events", n);
    sp_remedy(err, "--ledger names a file of its own");
    return sp_where(err, "%s", l->path);
}

enum sp_status sp_ledger_migrate(struct sp_ledger *l, struct sp_err *err)
{
    int now = 0;
    sqlite3_busy_timeout(l->db, BUSY_MS);
    TRY(check_ours(l, err));
    TRY(write_ahead(l, err));
    sqlite3_wal_autocheckpoint(l->db, WAL_PAGES);
    TRY(sp_ledger_exec(l, "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL", "setting it up", err));
    TRY(version(l, &now, err));
    if (now > (int)SP_COUNT(migrations)) {
        sp_fail(err, SP_UNSUPPORTED, "ledger of version %d, this program knows up to %d", now, (int)SP_COUNT(migrations));
        sp_remedy(err, "a newer sparsam wrote it: use that, or another file with --ledger");
        return sp_where(err, "%s", l->path);
    }
    if (now == (int)SP_COUNT(migrations))
        return SP_OK;
    TRY(sp_ledger_begin(l, err));
    enum sp_status st = version(l, &now, err); /* another process may have been faster */
    return sp_ledger_close_transaction(l, st ? st : bring_up(l, now, err), err);
}
