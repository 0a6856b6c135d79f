/* tests/test_ledger.c - booking, the chain against tampering, two processes at
 * once, runs whose process died.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "ledger/ledger.h"

static char folder[] = "/tmp/sparsam-ledger-XXXXXX", path[128];

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[160];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static struct sp_ledger *open_ledger(const char *name)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = NULL;
    snprintf(path, sizeof path, "%s/below/%s.db", folder, name);
    enum sp_status st = sp_ledger_open(&l, path, &err);
    if (st)
        print_error("%s: %s\n", err.where, err.what);
    assert_int_equal(st, SP_OK);
    return l;
}

static int64_t book(struct sp_ledger *l, const char *verb)
{
    struct sp_err err = { 0 };
    struct sp_machine machine = { .name = "m", .cpu = "c", .threads = 2 };
    struct sp_cost cost = { .time_s = sp_exact(2, SP_HOW_COUNTER), .energy_j = sp_range(3, 4, 5, SP_HOW_MODEL), .currency = "EUR" };
    json_t *recipe = json_pack("{s:i}", "steps", 3), *quality = json_pack("{s:f}", "loss", 1.5);
    struct sp_run_start s = { .verb = verb, .command = "sparsam x", .recipe = recipe, .machine = &machine };
    struct sp_run_end e = { .measured = &cost, .quality = quality };
    int64_t run = 0;
    assert_int_equal(sp_ledger_start(l, &s, &run, &err), SP_OK);
    assert_int_equal(sp_ledger_end(l, run, &e, &err), SP_OK);
    json_decref(recipe);
    json_decref(quality);
    return run;
}

static void books_and_reads(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = open_ledger("books");
    struct sp_cost cost;
    json_t *j = NULL;
    (void)state;
    int64_t a = book(l, "train"), b = book(l, "eval");
    assert_true(b > a);
    assert_int_equal(sp_ledger_run(l, a, &j, &err), SP_OK);
    assert_string_equal(json_string_value(json_object_get(j, "status")), "finished");
    assert_int_equal(sp_cost_from_json(&cost, json_object_get(json_object_get(j, "end"), "measured"), &err), SP_OK);
    assert_true(cost.energy_j.high > 4.9 && cost.energy_j.how == SP_HOW_MODEL);
    json_decref(j);
    assert_int_equal(sp_ledger_list(l, 0, &j, &err), SP_OK);
    assert_int_equal(json_array_size(j), 2);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(j, 0), "run")), b);
    json_decref(j);
    assert_int_equal(sp_ledger_run(l, 99, &j, &err), SP_MISSING);
    sp_ledger_close(l);
}

static void fails_are_booked(void **state)
{
    struct sp_err err = { 0 }, why = { .status = SP_DIVERGED, .what = "loss is NaN" };
    struct sp_ledger *l = open_ledger("fails");
    int64_t run = 0;
    json_t *j = NULL;
    (void)state;
    assert_int_equal(sp_ledger_start(l, &(struct sp_run_start){ .verb = "train" }, &run, &err), SP_OK);
    assert_int_equal(sp_ledger_end(l, run, &(struct sp_run_end){ .error = &why }, &err), SP_OK);
    assert_int_equal(sp_ledger_run(l, run, &j, &err), SP_OK);
    assert_string_equal(json_string_value(json_object_get(j, "status")), "failed");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(j, "end"), "error"), "code")), "DIVERGED");
    json_decref(j);
    sp_ledger_close(l);
}

/* A run ends once, and only one that was started: an end's own number is none. */
static void ends_are_refused(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = open_ledger("ends");
    struct sp_run_end e = { 0 };
    int64_t a = book(l, "train"), events = 0;
    const struct { int64_t run; const char *says; } row[] = {
        { a, "already ended: it is finished" }, { a + 1, "never started" }, { 99, "never started" }, { 0, "no run 0" }, { -3, "no run -3" },
    };
    (void)state;
    for (size_t i = 0; i < SP_COUNT(row); i++) {
        assert_int_equal(sp_ledger_end(l, row[i].run, &e, &err), SP_USAGE);
        if (!strstr(err.what, row[i].says))
            fail_msg("run %lld: says \"%s\"", (long long)row[i].run, err.what);
    }
    assert_int_equal(sp_ledger_verify(l, NULL, &events, &err), SP_OK);
    assert_int_equal(events, 2);
    sp_ledger_close(l);
}

static void sql(const char *text, int want)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), want);
    sqlite3_close(db);
}

#define NO_TRIGGERS "DROP TRIGGER event_no_update; DROP TRIGGER event_no_delete; "

/* What is done to the file, whether the head printed before is given, and the event that is named. */
static const struct { const char *name, *doing; bool with_head; const char *says; int64_t sound; } tampering[] = {
    { "none", "SELECT 1", true, NULL, 8 },
    { "body", NO_TRIGGERS "UPDATE event SET body = replace(body, '1.5', '1.4') WHERE seq = 4", false, "event 4 was changed", 3 },
    { "time", NO_TRIGGERS "UPDATE event SET at = '2001-01-01T00:00:00Z' WHERE seq = 5", false, "event 5 was changed", 4 },
    { "kind", NO_TRIGGERS "UPDATE event SET kind = 'failed' WHERE seq = 2", false, "event 2 was changed", 1 },
    { "middle", NO_TRIGGERS "DELETE FROM event WHERE seq = 4", false, "event 4 is missing", 3 },
    { "first", NO_TRIGGERS "DELETE FROM event WHERE seq IN (1, 2)", false, "event 1 is missing", 0 },
    { "rehash", NO_TRIGGERS "UPDATE event SET hash = 'x' WHERE seq = 3", false, "event 3 was changed", 2 },
    { "renumber", NO_TRIGGERS "PRAGMA foreign_keys=OFF; DELETE FROM event WHERE seq = 2; UPDATE event SET seq = seq - 1 WHERE seq > 2", false,
      "event 2 does not follow", 1 },
    { "tail unseen", NO_TRIGGERS "DELETE FROM event WHERE seq > 6", false, NULL, 6 },
    { "tail", NO_TRIGGERS "DELETE FROM event WHERE seq > 6", true, "its end is missing", 6 },
};

static void tampering_shows(void **state)
{
    (void)state;
    for (size_t i = 0; i < SP_COUNT(tampering); i++) {
        struct sp_err err = { 0 };
        struct sp_hash head;
        int64_t events = 0;
        struct sp_ledger *l = open_ledger(tampering[i].name);
        for (int k = 0; k < 4; k++)
            book(l, "eval");
        assert_int_equal(sp_ledger_head(l, &head, &events, &err), SP_OK);
        assert_int_equal(events, 8);
        sql(tampering[i].doing, SQLITE_OK);
        enum sp_status st = sp_ledger_verify(l, tampering[i].with_head ? head.hex : NULL, &events, &err);
        assert_int_equal(st, tampering[i].says ? SP_FORMAT : SP_OK);
        if (tampering[i].says && !strstr(err.what, tampering[i].says))
            fail_msg("%s: says \"%s\"", tampering[i].name, err.what);
        assert_int_equal(events, tampering[i].sound);
        sp_ledger_close(l);
    }
    print_message("%zu ways to tamper\n", SP_COUNT(tampering));
}

static void refuses_change(void **state)
{
    (void)state;
    struct sp_ledger *l = open_ledger("refuses");
    book(l, "eval");
    sql("UPDATE event SET body = '{}' WHERE seq = 1", SQLITE_CONSTRAINT);
    sql("DELETE FROM event", SQLITE_CONSTRAINT);
    sp_ledger_close(l);
}

enum { RUNS = 100 };

static void many_runs(void)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l;
    if (sp_ledger_open(&l, path, &err))
        _exit(2);
    for (int i = 0; i < RUNS; i++) {
        int64_t run = 0;
        if (sp_ledger_start(l, &(struct sp_run_start){ .verb = "measure" }, &run, &err) ||
            sp_ledger_end(l, run, &(struct sp_run_end){ 0 }, &err))
            _exit(3);
    }
    sp_ledger_close(l);
    _exit(0);
}

static void two_processes_lose_nothing(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l;
    int64_t events = 0;
    int status;
    pid_t child[2];
    (void)state;
    snprintf(path, sizeof path, "%s/two.db", folder); /* the file is new: both create it */
    for (int i = 0; i < 2; i++)
        if (!(child[i] = fork()))
            many_runs();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    assert_int_equal(sp_ledger_open(&l, path, &err), SP_OK);
    assert_int_equal(sp_ledger_verify(l, NULL, &events, &err), SP_OK);
    assert_int_equal(events, 2 * 2 * RUNS);
    sp_ledger_close(l);
}

static void dead_runs_are_killed(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = open_ledger("dead");
    int64_t mine = 0, events = 0;
    json_t *j;
    int ready[2], status;
    char byte;
    (void)state;
    assert_int_equal(sp_ledger_start(l, &(struct sp_run_start){ .verb = "train" }, &mine, &err), SP_OK);
    sp_ledger_close(l);
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (!child) {
        int64_t run = 0;
        if (!sp_ledger_open(&l, path, &err) && !sp_ledger_start(l, &(struct sp_run_start){ .verb = "eval" }, &run, &err))
            byte = 'x';
        if (write(ready[1], &byte, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    kill(child, SIGKILL); /* opened while the child is dead and not yet waited for, too */
    usleep(20000);
    l = open_ledger("dead");
    waitpid(child, &status, 0);
    assert_int_equal(sp_ledger_list(l, 0, &j, &err), SP_OK);
    assert_string_equal(json_string_value(json_object_get(json_array_get(j, 0), "status")), "killed");
    assert_string_equal(json_string_value(json_object_get(json_array_get(j, 1), "status")), "running"); /* we live */
    json_decref(j);
    assert_int_equal(sp_ledger_verify(l, NULL, &events, &err), SP_OK);
    assert_int_equal(events, 3);
    sp_ledger_close(l);
    close(ready[0]);
    close(ready[1]);
}

static void rates_are_kept(void **state)
{
    struct sp_err err = { 0 };
    struct sp_rates r = { 0 }, back = { 0 };
    struct sp_ledger *l = open_ledger("rates");
    (void)state;
    sp_rates_put(&r, &(struct sp_rate){ "gemm_f32.avx2", 5e10, 2e10, SP_HOW_COUNTER });
    assert_int_equal(sp_ledger_rates_put(l, "here", &r, &err), SP_OK);
    r.at[0].flops_per_s = 6e10;
    assert_int_equal(sp_ledger_rates_put(l, "here", &r, &err), SP_OK);
    assert_int_equal(sp_ledger_rates_get(l, "here", &back, &err), SP_OK);
    assert_int_equal(back.n, 1);
    assert_true(back.at[0].flops_per_s > 5.9e10 && back.at[0].how == SP_HOW_COUNTER);
    assert_int_equal(sp_ledger_rates_get(l, "elsewhere", &back, &err), SP_OK);
    sp_ledger_close(l);
}

static void foreign_files_are_refused(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = NULL;
    (void)state;
    snprintf(path, sizeof path, "%s/text.db", folder);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fputs("this is no data base\n", f);
    fclose(f);
    assert_int_equal(sp_ledger_open(&l, path, &err), SP_FORMAT);
    assert_null(l);
    assert_non_null(strstr(err.where, "text.db"));
    snprintf(path, sizeof path, "%s/other.db", folder);
    sql("CREATE TABLE recipes (name TEXT)", SQLITE_OK);
    assert_int_equal(sp_ledger_open(&l, path, &err), SP_FORMAT);
    assert_non_null(strstr(err.what, "another program"));
    sp_ledger_close(open_ledger("newer"));
    sql("PRAGMA user_version = 1000", SQLITE_OK);
    assert_int_equal(sp_ledger_open(&l, path, &err), SP_UNSUPPORTED);
}

/* The end of a run is in the write-ahead file, synced; closing does not tidy, the next opening reads it. */
static void ends_quickly(void **state)
{
    struct sp_err err = { 0 };
    struct sp_ledger *l = open_ledger("quick");
    int64_t run = 0, events = 0;
    char wal[600];
    (void)state;
    snprintf(wal, sizeof wal, "%s-wal", path);
    assert_int_equal(sp_ledger_start(l, &(struct sp_run_start){ .verb = "run" }, &run, &err), SP_OK);
    assert_int_equal(sp_ledger_end(l, run, &(struct sp_run_end){ 0 }, &err), SP_OK);
    sp_ledger_close(l);
    assert_int_equal(access(wal, F_OK), 0);
    l = NULL;
    assert_int_equal(sp_ledger_open(&l, path, &err), SP_OK);
    assert_int_equal(sp_ledger_verify(l, NULL, &events, &err), SP_OK);
    assert_int_equal(events, 2);
    sp_ledger_close(l);
}

static void looks_before_opening(void **state)
{
    struct sp_err err = { 0 };
    char deep[600];
    (void)state;
    snprintf(deep, sizeof deep, "%s/deep/er/look.db", folder);
    assert_int_equal(sp_ledger_check(deep, &err), SP_OK);
    assert_int_equal(access(deep, F_OK), 0);
    assert_int_equal(sp_ledger_check("/proc/no/such.db", &err), SP_IO);
    assert_int_equal(sp_ledger_check(folder, &err), SP_IO);
    assert_non_null(strstr(err.remedy, "--no-ledger"));
}

/* Every allocation of ours fails in turn: a status each time, never a broken chain. */
static void allocations_fail(void **state)
{
    struct sp_err err = { 0 };
    int64_t events = 0, n = 0;
    struct sp_ledger *l = open_ledger("alloc");
    struct sp_cost cost = { .time_s = sp_exact(2, SP_HOW_COUNTER) };
    (void)state;
    for (; n < 300; n++) {
        int64_t run = 0;
        sp_mem_fail_at(n);
        if (!sp_ledger_start(l, &(struct sp_run_start){ .verb = "eval" }, &run, &err))
            sp_ledger_end(l, run, &(struct sp_run_end){ .measured = &cost }, &err);
        sp_mem_fail_at(-1);
    }
    assert_int_equal(sp_ledger_verify(l, NULL, &events, &err), SP_OK);
    print_message("%lld allocations failed in turn\n", (long long)n);
    sp_ledger_close(l);
}

/* Who made a file: the newest run that booked its content as an output, or its place; failed runs and inputs don't count. */
static void makers_are_found(void **state)
{
    static const char hash[] = "5f1d", other[] = "77aa";
    struct sp_err err = { 0 };
    struct sp_ledger *l = open_ledger("makers");
    char place[256], twisted[256];
    int64_t run[4], found = -1;
    (void)state;
    snprintf(place, sizeof place, "%s/below/makers.db", folder); /* some file that is there */
    snprintf(twisted, sizeof twisted, "%s/./below/makers.db", folder);
    for (int i = 0; i < 4; i++) {
        struct sp_run_start s = { .verb = "train" };
        json_t *files = json_pack("{s:s}", twisted, i == 1 ? "not hashed: 2000000000 bytes" : hash), *none = json_pack("{s:s}", "a.gguf", other);
        struct sp_err broken = { .status = SP_IO, .what = "broken" };
        struct sp_run_end e = { .inputs = i == 2 ? files : none, .outputs = i == 2 ? none : files, .error = i == 3 ? &broken : NULL };
        assert_int_equal(sp_ledger_start(l, &s, &run[i], &err), SP_OK);
        assert_int_equal(sp_ledger_end(l, run[i], &e, &err), SP_OK);
        json_decref(files);
        json_decref(none);
    }
    assert_int_equal(sp_ledger_maker(l, hash, NULL, &found, &err), SP_OK);
    assert_int_equal(found, run[0]);
    assert_int_equal(sp_ledger_maker(l, NULL, place, &found, &err), SP_OK);
    assert_int_equal(found, run[1]);
    assert_int_equal(sp_ledger_maker(l, other, NULL, &found, &err), SP_OK);
    assert_int_equal(found, run[2]);
    assert_int_equal(sp_ledger_maker(l, "0000", NULL, &found, &err), SP_OK);
    assert_int_equal(found, 0);
    sp_ledger_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(books_and_reads), cmocka_unit_test(fails_are_booked), cmocka_unit_test(ends_are_refused), cmocka_unit_test(tampering_shows),
        cmocka_unit_test(refuses_change), cmocka_unit_test(two_processes_lose_nothing), cmocka_unit_test(dead_runs_are_killed),
        cmocka_unit_test(rates_are_kept), cmocka_unit_test(foreign_files_are_refused), cmocka_unit_test(ends_quickly), cmocka_unit_test(makers_are_found),
        cmocka_unit_test(looks_before_opening), cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
