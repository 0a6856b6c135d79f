/* ledger/ledger.c - opening, starting and ending a run, measured rates.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "inner.h"

/* The folder above the file, made when absent. */
static enum sp_status make_room(const char *path, struct sp_err *err)
{
    const char *slash = strrchr(path, '/');
    if (!slash || slash == path)
        return SP_OK;
    char *folder = sp_strdup(path);
    if (!folder)
        return sp_fail(err, SP_NOMEM, "out of memory for the ledger");
    folder[slash - path] = 0;
    enum sp_status st = sp_make_folder(folder, err);
    sp_free(folder);
    return st;
}

enum sp_status sp_ledger_check(const char *path, struct sp_err *err)
{
    TRY(make_room(path, err));
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        sp_fail(err, SP_IO, "ledger: %s", strerror(errno));
        sp_remedy(err, "--ledger names another file, --no-ledger books nothing");
        return sp_where(err, "%s", path);
    }
    close(fd);
    return SP_OK;
}

static enum sp_status open_file(struct sp_ledger *l, const char *path, struct sp_err *err)
{
    l->path = sp_strdup(path);
    if (!l->path)
        return sp_fail(err, SP_NOMEM, "out of memory for the ledger");
    TRY(make_room(path, err));
    if (sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) != SQLITE_OK) {
        if (!l->db)
            return sp_fail(err, SP_NOMEM, "out of memory for the ledger");
        return sp_ledger_fail(l, "opening", err);
    }
    TRY(sp_ledger_migrate(l, err));
    return sp_ledger_bury(l, err);
}

enum sp_status sp_ledger_open(struct sp_ledger **out, const char *path, struct sp_err *err)
{
    struct sp_ledger *l = sp_zalloc(1, sizeof *l);
    if (!l)
        return sp_fail(err, SP_NOMEM, "out of memory for the ledger");
    enum sp_status st = open_file(l, path, err);
    if (st)
        sp_ledger_close(l);
    else
        *out = l;
    return st;
}

void sp_ledger_close(struct sp_ledger *l)
{
    if (!l)
        return;
    sqlite3_close(l->db);
    sp_free(l->path);
    sp_free(l);
}

const char *sp_ledger_path(const struct sp_ledger *l)
{
    return l->path;
}

json_t *sp_machine_json(const struct sp_machine *m)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:i, s:i, s:I, s:I}", "name", m->name, "cpu", m->cpu, "features", (json_int_t)m->features,
                          "cores", m->cores, "threads", m->threads, "memory_bytes", (json_int_t)m->memory_bytes, "cache_bytes",
                          (json_int_t)m->cache_bytes);
    json_t *power = json_pack("{s:f, s:f, s:f, s:s, s:s}", "idle_w", m->idle_w, "watts_thread", m->watts_thread, "tdp_w", m->tdp_w, "how",
                              sp_how_name(m->power_how), "source", m->power_source);
    json_t *place = json_pack("{s:s, s:f, s:s, s:f, s:f, s:s, s:f, s:f}", "zone", m->zone, "co2e_g_per_kwh", m->co2e_g_per_kwh,
                              "co2e_source", m->co2e_source, "price_per_kwh", m->price_per_kwh, "price_per_hour", m->price_per_hour,
                              "currency", m->currency, "embodied_g_per_hour", m->embodied_g_per_hour, "pue", m->pue);
    if (j && power && place) {
        json_object_set(j, "power", power);
        json_object_set(j, "place", place);
    }
    json_decref(power);
    json_decref(place);
    return j;
}

/* ---- runs ---- */

static void put(json_t *j, const char *key, const json_t *v)
{
    if (v)
        json_object_set(j, key, (json_t *)(uintptr_t)v); /* jansson counts, it does not change */
}

static void put_new(json_t *j, const char *key, json_t *v)
{
    if (v)
        json_object_set_new(j, key, v);
}

static enum sp_status append_alone(struct sp_ledger *l, int64_t *run, const char *kind, const json_t *body, struct sp_err *err)
{
    TRY(sp_ledger_begin(l, err));
    return sp_ledger_close_transaction(l, sp_ledger_append(l, run, kind, body, err), err);
}

/* The last words of a run: one sync, of the write-ahead file alone, which is left to be tidied by the next start. */
static enum sp_status append_end(struct sp_ledger *l, int64_t *run, const char *kind, const json_t *body, struct sp_err *err)
{
    sqlite3_wal_autocheckpoint(l->db, 0);
    sqlite3_db_config(l->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
    return append_alone(l, run, kind, body, err);
}

enum sp_status sp_ledger_start(struct sp_ledger *l, const struct sp_run_start *s, int64_t *run, struct sp_err *err)
{
    sp_json_begin();
    json_t *body = json_pack("{s:s, s:o}", "verb", s->verb, "process", sp_ledger_process());
    int64_t made = 0;
    if (!body)
        return sp_fail(err, SP_NOMEM, "out of memory for booking a run");
    if (s->command)
        put_new(body, "command", json_string(s->command));
    if (s->parent)
        put_new(body, "parent", json_integer(s->parent));
    put(body, "recipe", s->recipe);
    put(body, "predicted", s->predicted);
    put(body, "inputs", s->inputs);
    if (s->machine)
        put_new(body, "machine", sp_machine_json(s->machine));
    enum sp_status st = append_alone(l, &made, "started", body, err);
    json_decref(body);
    if (!st)
        *run = made;
    return st;
}

static json_t *error_json(const struct sp_err *e)
{
    return json_pack("{s:s, s:s, s:s, s:s}", "code", sp_status_name(e->status), "what", e->what, "where", e->where, "remedy", e->remedy);
}

enum sp_status sp_ledger_end(struct sp_ledger *l, int64_t run, const struct sp_run_end *e, struct sp_err *err)
{
    sp_json_begin();
    json_t *body = json_object();
    if (!body)
        return sp_fail(err, SP_NOMEM, "out of memory for booking a run");
    if (run <= 0) {
        json_decref(body);
        return sp_fail(err, SP_USAGE, "ledger: there is no run %lld, the first is 1", (long long)run);
    }
    if (e->error)
        put_new(body, "error", error_json(e->error));
    if (e->measured)
        put_new(body, "measured", sp_cost_json(e->measured));
    if (e->predicted)
        put_new(body, "predicted", sp_cost_json(e->predicted));
    put(body, "phases", e->phases);
    put(body, "quality", e->quality);
    put(body, "inputs", e->inputs);
    put(body, "outputs", e->outputs);
    put(body, "more", e->more);
    if (e->energy_source)
        put_new(body, "energy_source", json_string(e->energy_source));
    if (e->idle_share > 0)
        put_new(body, "idle_share", json_real(e->idle_share));
    enum sp_status st = append_end(l, &run, e->error ? "failed" : "finished", body, err);
    json_decref(body);
    return st;
}

/* ---- rates ---- */

enum sp_status sp_ledger_rates_get(struct sp_ledger *l, const char *machine, struct sp_rates *out, struct sp_err *err)
{
    sqlite3_stmt *s;
    int got;
    TRY(sp_ledger_prepare(l, &s, "SELECT row, flops_per_s, bytes_per_s, how FROM rate WHERE machine = ? ORDER BY row", err));
    sqlite3_bind_text(s, 1, machine, -1, SQLITE_STATIC);
    while ((got = sqlite3_step(s)) == SQLITE_ROW) {
        struct sp_rate r = { .flops_per_s = sqlite3_column_double(s, 1), .bytes_per_s = sqlite3_column_double(s, 2), .how = SP_HOW_UNKNOWN };
        snprintf(r.row, sizeof r.row, "%s", (const char *)sqlite3_column_text(s, 0));
        sp_how_parse((const char *)sqlite3_column_text(s, 3), &r.how);
        sp_rates_put(out, &r);
    }
    sqlite3_finalize(s);
    return got == SQLITE_DONE ? SP_OK : sp_ledger_fail(l, "reading rates", err);
}

static enum sp_status put_rate(struct sp_ledger *l, const char *machine, const struct sp_rate *r, struct sp_err *err)
{
    sqlite3_stmt *s;
    TRY(sp_ledger_prepare(l, &s, "INSERT OR REPLACE INTO rate VALUES(?, ?, ?, ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))", err));
    sqlite3_bind_text(s, 1, machine, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 2, r->row, -1, SQLITE_STATIC);
    sqlite3_bind_double(s, 3, r->flops_per_s);
    sqlite3_bind_double(s, 4, r->bytes_per_s);
    sqlite3_bind_text(s, 5, sp_how_name(r->how), -1, SQLITE_STATIC);
    int got = sqlite3_step(s);
    sqlite3_finalize(s);
    return got == SQLITE_DONE ? SP_OK : sp_ledger_fail(l, "writing a rate", err);
}

enum sp_status sp_ledger_rates_put(struct sp_ledger *l, const char *machine, const struct sp_rates *r, struct sp_err *err)
{
    enum sp_status st = SP_OK;
    TRY(sp_ledger_begin(l, err));
    for (int i = 0; i < r->n && !st; i++)
        st = put_rate(l, machine, &r->at[i], err);
    return sp_ledger_close_transaction(l, st, err);
}
