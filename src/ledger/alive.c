/* ledger/alive.c - whose process a run is, and booking as killed the runs whose
 * process is gone.
 *
 * A process is known by host, boot, process-number space, number and start time;
 * a run of another host or another space of numbers is left alone, for it can't
 * be seen from here.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "inner.h"

enum { STAT_START_FIELD = 22, BURY_MAX = 256 };

static void first_line(const char *path, char *buf, size_t cap)
{
    FILE *f = fopen(path, "re");
    if (!f || !fgets(buf, (int)cap, f))
        buf[0] = 0;
    if (f)
        fclose(f);
    buf[strcspn(buf, "\n")] = 0;
}

/* Start of a process in ticks since boot, 0 when there is none, or it is dead and only not yet waited for.  Asked of its
 * first thread, which every process of the system sees alike: an emulator makes up /proc/PID/stat for the process itself. */
static int64_t start_of(int64_t pid)
{
    char path[64], line[1024];
    snprintf(path, sizeof path, "/proc/%lld/task/%lld/stat", (long long)pid, (long long)pid);
    first_line(path, line, sizeof line);
    char *p = strrchr(line, ')'); /* the name may hold blanks and parentheses */
    if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
        return 0;
    for (int field = 2; p && field < STAT_START_FIELD; field++)
        p = strchr(p + 1, ' ');
    return p ? strtoll(p + 1, NULL, 10) : 0;
}

json_t *sp_ledger_process(void)
{
    char host[256] = "", boot[64], space[64];
    gethostname(host, sizeof host - 1);
    first_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    ssize_t n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    space[n > 0 ? n : 0] = 0;
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "host", host, "boot", boot, "space", space, "pid", (json_int_t)getpid(),
                     "start", (json_int_t)start_of(getpid()));
}

static bool same(const json_t *a, const json_t *b, const char *key)
{
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

static bool is_gone(const json_t *p, const json_t *here)
{
    if (!p || !same(p, here, "host"))
        return false;
    if (!same(p, here, "boot"))
        return true;
    if (!same(p, here, "space"))
        return false;
    return start_of(json_integer_value(json_object_get(p, "pid"))) != json_integer_value(json_object_get(p, "start"));
}

static int gone_runs(sqlite3_stmt *s, const json_t *here, int64_t *run)
{
    int n = 0;
    while (n < BURY_MAX && sqlite3_step(s) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(s, 1);
        sp_json_begin();
        json_t *body = text ? json_loads(text, 0, NULL) : NULL;
        if (!sp_json_ran_out() && is_gone(json_object_get(body, "process"), here))
            run[n++] = sqlite3_column_int64(s, 0);
        json_decref(body);
    }
    return n;
}

static enum sp_status find_gone(struct sp_ledger *l, int64_t *run, int *n, struct sp_err *err)
{
    sqlite3_stmt *s;
    json_t *here = sp_ledger_process();
    if (!here)
        return sp_fail(err, SP_NOMEM, "ledger: no memory to look for runs that were killed");
    enum sp_status st = sp_ledger_prepare(l, &s, "SELECT run, body FROM event e WHERE kind = 'started' AND NOT EXISTS"
                                                 " (SELECT 1 FROM event o WHERE o.run = e.run AND (o.kind = 'started') = 0)", err);
    if (!st) {
        *n = gone_runs(s, here, run);
        sqlite3_finalize(s);
    }
    json_decref(here);
    return st;
}

static enum sp_status bury_all(struct sp_ledger *l, struct sp_err *err)
{
    int64_t run[BURY_MAX];
    int n = 0;
    TRY(find_gone(l, run, &n, err)); /* again, now that nobody else writes */
    sp_json_begin();
    json_t *body = json_pack("{s:s}", "note", "its process was gone when the ledger was next opened");
    enum sp_status st = SP_OK;
    for (int i = 0; i < n && !st; i++)
        st = sp_ledger_append(l, &run[i], "killed", body, err);
    json_decref(body);
    return st;
}

enum sp_status sp_ledger_bury(struct sp_ledger *l, struct sp_err *err)
{
    int64_t run[BURY_MAX];
    int n = 0;
    TRY(find_gone(l, run, &n, err));
    if (!n)
        return SP_OK;
    TRY(sp_ledger_begin(l, err));
    return sp_ledger_close_transaction(l, bury_all(l, err), err);
}
