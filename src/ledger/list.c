/* ledger/list.c - runs read back, a start and its end joined.
 * SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "inner.h"

#define RUNS "SELECT s.run, s.at, s.body, e.kind, e.at, e.body FROM event s" \
             " LEFT JOIN event e ON e.run = s.run AND (e.kind = 'started') = 0 WHERE s.kind = 'started'"

static const char *column(sqlite3_stmt *s, int i)
{
    return (const char *)sqlite3_column_text(s, i);
}

static json_t *read_run(sqlite3_stmt *s)
{
    const char *kind = column(s, 3), *body = column(s, 5);
    json_t *start = json_loads(column(s, 2) ? column(s, 2) : "", 0, NULL), *end = body ? json_loads(body, 0, NULL) : NULL;
    const char *verb = json_string_value(json_object_get(start, "verb"));
    json_t *j = json_pack("{s:I, s:s, s:s, s:s}", "run", (json_int_t)sqlite3_column_int64(s, 0), "verb", verb ? verb : "?", "status",
                          kind ? kind : "running", "started", column(s, 1));
    if (j && start)
        json_object_set(j, "start", start);
    if (j && end) {
        json_object_set_new(j, "ended", json_string(column(s, 4)));
        json_object_set(j, "end", end);
    }
    json_decref(start);
    json_decref(end);
    return j;
}

enum sp_status sp_ledger_list(struct sp_ledger *l, int max, json_t **out, struct sp_err *err)
{
    sqlite3_stmt *s;
    int got;
    json_t *list = json_array();
    if (!list)
        return sp_fail(err, SP_NOMEM, "out of memory for the list of runs");
    enum sp_status st = sp_ledger_prepare(l, &s, RUNS " ORDER BY s.run DESC LIMIT ?", err);
    if (st) {
        json_decref(list);
        return st;
    }
    sp_json_begin();
    sqlite3_bind_int(s, 1, max > 0 && max < SP_LEDGER_LIST_MAX ? max : SP_LEDGER_LIST_MAX);
    while ((got = sqlite3_step(s)) == SQLITE_ROW)
        json_array_append_new(list, read_run(s));
    sqlite3_finalize(s);
    if (got != SQLITE_DONE || sp_json_ran_out()) {
        json_decref(list);
        return got != SQLITE_DONE ? sp_ledger_fail(l, "reading runs", err) : sp_fail(err, SP_NOMEM, "out of memory for the list of runs");
    }
    *out = list;
    return SP_OK;
}

enum sp_status sp_ledger_run(struct sp_ledger *l, int64_t run, json_t **out, struct sp_err *err)
{
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, RUNS " AND s.run = ?", err));
    sp_json_begin();
    sqlite3_bind_int64(s, 1, run);
    int got = sqlite3_step(s);
    json_t *j = got == SQLITE_ROW ? read_run(s) : NULL;
    sqlite3_finalize(s);
    if (got != SQLITE_ROW && got != SQLITE_DONE)
        return sp_ledger_fail(l, "reading a run", err);
    if (sp_json_ran_out() || (!j && got == SQLITE_ROW)) {
        json_decref(j);
        return sp_fail(err, SP_NOMEM, "out of memory for run %lld", (long long)run);
    }
    if (!j) {
        sp_fail(err, SP_MISSING, "run %lld is not in the ledger", (long long)run);
        sp_remedy(err, "sparsam report lists the runs");
        return sp_where(err, "%s", l->path);
    }
    *out = j;
    return SP_OK;
}

/* Outputs are {"path": "hash"}, paths as they were typed. */
static bool made(const char *body, const char *hash, const char *path)
{
    json_t *end = json_loads(body, 0, NULL), *v;
    const char *key;
    char whole[PATH_MAX];
    bool found = false;
    json_object_foreach(json_object_get(end, "outputs"), key, v)
    {
        const char *is = json_string_value(v);
        found |= hash ? is && !strcmp(is, hash) : realpath(key, whole) && !strcmp(whole, path);
    }
    json_decref(end);
    return found;
}

enum sp_status sp_ledger_maker(struct sp_ledger *l, const char *hash, const char *path, int64_t *run, struct sp_err *err)
{
    sqlite3_stmt *s;
    int got;
    const char *slash = path ? strrchr(path, '/') : NULL;
    int64_t by = 0;
    TRY(sp_ledger_prepare(l, &s, "SELECT run, body FROM event WHERE kind = 'finished' AND instr(body, ?) ORDER BY run DESC", err));
    sqlite3_bind_text(s, 1, hash ? hash : slash ? slash + 1 : "", -1, SQLITE_STATIC);
    while ((got = sqlite3_step(s)) == SQLITE_ROW && !by)
        by = column(s, 1) && made(column(s, 1), hash, path) ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (got != SQLITE_DONE && got != SQLITE_ROW)
        return sp_ledger_fail(l, "looking for the run that made a file", err);
    *run = by;
    return SP_OK;
}
