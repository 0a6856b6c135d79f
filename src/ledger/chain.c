/* ledger/chain.c - the chain: appending an event, the head, walking all of it.
 *
 * hash = BLAKE2b-256 of {"at","body","kind","prev","run","seq"} as canonical
 * JSON: keys sorted, no blanks.  The body is hashed as the text that is stored.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>
#include "inner.h"

static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";

struct event { int64_t seq, run; const char *kind, *at, *body, *prev; };

static enum sp_status hash_event(const struct event *e, struct sp_hash *out, struct sp_err *err)
{
    struct sp_text text = { 0 };
    sp_json_begin();
    json_t *j = json_pack("{s:I, s:I, s:s, s:s, s:s, s:s}", "seq", (json_int_t)e->seq, "run", (json_int_t)e->run, "kind", e->kind,
                          "at", e->at, "body", e->body, "prev", e->prev);
    enum sp_status st = SP_OK;
    if (!j && sp_json_ran_out())
        st = sp_fail(err, SP_NOMEM, "ledger: no memory to hash event %lld", (long long)e->seq);
    else if (!j)
        st = sp_fail(err, SP_FORMAT, "ledger: event %lld holds text that is not UTF-8", (long long)e->seq);
    else
        st = sp_json_print(&text, j, JSON_SORT_KEYS | JSON_COMPACT, err);
    st = st ? st : sp_hash_bytes(out, text.at, text.n, err);
    sp_text_clear(&text);
    json_decref(j);
    return st;
}

/* "2026-01-31T12:00:00Z" */
static void now_text(char buf[32])
{
    struct tm t;
    time_t now = time(NULL);
    gmtime_r(&now, &t);
    strftime(buf, 32, "%Y-%m-%dT%H:%M:%SZ", &t);
}

enum sp_status sp_ledger_begin(struct sp_ledger *l, struct sp_err *err)
{
    return sp_ledger_exec(l, "BEGIN IMMEDIATE", "waiting for its turn", err);
}

enum sp_status sp_ledger_close_transaction(struct sp_ledger *l, enum sp_status st, struct sp_err *err)
{
    if (!st)
        st = sp_ledger_exec(l, "COMMIT", "writing", err);
    if (st)
        sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

enum sp_status sp_ledger_head(struct sp_ledger *l, struct sp_hash *head, int64_t *events, struct sp_err *err)
{
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, "SELECT seq, hash FROM event ORDER BY seq DESC LIMIT 1", err));
    int got = sqlite3_step(s);
    if (got == SQLITE_ROW) {
        snprintf(head->hex, sizeof head->hex, "%s", (const char *)sqlite3_column_text(s, 1));
        *events = sqlite3_column_int64(s, 0);
    } else if (got == SQLITE_DONE) {
        memcpy(head->hex, zeros, sizeof zeros);
        *events = 0;
    }
    sqlite3_finalize(s);
    return got == SQLITE_ROW || got == SQLITE_DONE ? SP_OK : sp_ledger_fail(l, "reading its head", err);
}

static enum sp_status insert(struct sp_ledger *l, const struct event *e, const struct sp_hash *hash, struct sp_err *err)
{
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, "INSERT INTO event(seq, run, kind, at, body, prev, hash) VALUES(?,?,?,?,?,?,?)", err));
    sqlite3_bind_int64(s, 1, e->seq);
    sqlite3_bind_int64(s, 2, e->run);
    sqlite3_bind_text(s, 3, e->kind, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 4, e->at, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 5, e->body, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 6, e->prev, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 7, hash->hex, -1, SQLITE_STATIC);
    int got = sqlite3_step(s);
    sqlite3_finalize(s);
    return got == SQLITE_DONE ? SP_OK : sp_ledger_fail(l, "appending", err);
}

/* A run's end needs its start, and comes once.  The table's own constraints see only that some event has the number. */
static enum sp_status check_open(struct sp_ledger *l, int64_t run, struct sp_err *err)
{
    sqlite3_stmt *s;
    bool started = false;
    char ended[16] = "";
    int got;
    TRY(sp_ledger_prepare(l, &s, "SELECT kind, seq = run FROM event WHERE run = ?", err));
    sqlite3_bind_int64(s, 1, run);
    while ((got = sqlite3_step(s)) == SQLITE_ROW)
        if (sqlite3_column_int(s, 1))
            started = true;
        else
            snprintf(ended, sizeof ended, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    if (got != SQLITE_DONE)
        return sp_ledger_fail(l, "asking for a run", err);
    if (started && !ended[0])
        return SP_OK;
    if (!started)
        sp_fail(err, SP_USAGE, "ledger: run %lld was never started", (long long)run);
    else
        sp_fail(err, SP_USAGE, "ledger: run %lld has already ended: it is %s", (long long)run, ended);
    sp_remedy(err, "end each run once, with the number its start gave");
    return sp_where(err, "%s", l->path);
}

enum sp_status sp_ledger_append(struct sp_ledger *l, int64_t *run, const char *kind, const json_t *body, struct sp_err *err)
{
    struct sp_hash head, hash;
    char at[32];
    int64_t events;
    if (*run)
        TRY(check_open(l, *run, err));
    TRY(sp_ledger_head(l, &head, &events, err));
    struct sp_text text = { 0 };
    enum sp_status st = body ? sp_json_print(&text, body, JSON_SORT_KEYS | JSON_COMPACT, err) : sp_fail(err, SP_NOMEM, "ledger: no memory for an event");
    now_text(at);
    struct event e = { events + 1, *run ? *run : events + 1, kind, at, text.at, head.hex };
    if (!st)
        st = hash_event(&e, &hash, err);
    if (!st)
        st = insert(l, &e, &hash, err);
    sp_text_clear(&text);
    if (!st)
        *run = e.run;
    return st;
}

/* ---- verification ---- */

static const char *column(sqlite3_stmt *s, int i)
{
    const char *t = (const char *)sqlite3_column_text(s, i);
    return t ? t : "";
}

static enum sp_status check(sqlite3_stmt *s, int64_t seq, const char *prev, struct sp_err *err)
{
    struct event e = { sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1), column(s, 2), column(s, 3), column(s, 4), column(s, 5) };
    struct sp_hash hash;
    if (e.seq != seq)
        return sp_fail(err, SP_FORMAT, "ledger: event %lld is missing", (long long)seq);
    if (strcmp(e.prev, prev))
        return sp_fail(err, SP_FORMAT, "ledger: event %lld does not follow the event before it", (long long)seq);
    TRY(hash_event(&e, &hash, err));
    if (strcmp(hash.hex, column(s, 6)))
        return sp_fail(err, SP_FORMAT, "ledger: event %lld was changed after it was written", (long long)seq);
    return SP_OK;
}

static enum sp_status walk(struct sp_ledger *l, sqlite3_stmt *s, const char *head, bool *seen, int64_t *events, struct sp_err *err)
{
    char prev[65];
    int got;
    memcpy(prev, zeros, sizeof zeros);
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        TRY(check(s, *events + 1, prev, err));
        snprintf(prev, sizeof prev, "%s", column(s, 6));
        *seen = *seen || (head && !strcmp(prev, head));
        ++*events;
    }
    return got == SQLITE_DONE ? SP_OK : sp_ledger_fail(l, "reading", err);
}

enum sp_status sp_ledger_verify(struct sp_ledger *l, const char *head, int64_t *events, struct sp_err *err)
{
    sqlite3_stmt *s;
    bool seen = !head || !strcmp(head, zeros);
    *events = 0;
    TRY(sp_ledger_prepare(l, &s, "SELECT seq, run, kind, at, body, prev, hash FROM event ORDER BY seq", err));
    enum sp_status st = walk(l, s, head, &seen, events, err);
    sqlite3_finalize(s);
    if (!st && !seen) {
        st = sp_fail(err, SP_FORMAT, "ledger: its %lld events do not hold the head %.16s...: its end is missing, or it was written anew",
                     (long long)*events, head);
        sp_remedy(err, "compare with a backup; events after a printed head were lost");
    }
    return st ? sp_where(err, "%s", l->path) : SP_OK;
}
