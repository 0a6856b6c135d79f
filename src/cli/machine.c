/* cli/machine.c - this machine as the working verbs see it: features, prices,
 * and rates measured in a moment, once: the ledger keeps them with the machine.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sparsam.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../catalog/catalog.h"
#include "../meter/meter.h"
#include "work.h"

enum sp_status work_machine(const struct verb_common *c, struct sp_machine *m, struct sp_err *err)
{
    struct sp_machine here;
    struct sp_catalog *facts;
    sp_meter_probe(&here, (int)c->place.threads);
    here.price_per_kwh = c->place.price_per_kwh >= 0 ? c->place.price_per_kwh : 0;
    here.price_how = SP_HOW_CATALOGUE;
    here.price_per_hour = c->place.price_per_hour >= 0 ? c->place.price_per_hour : 0;
    here.pue = c->place.pue;
    if (c->place.co2e_per_kwh > 0) {
        here.co2e_g_per_kwh = c->place.co2e_per_kwh;
        here.co2e_how = SP_HOW_CATALOGUE;
        snprintf(here.zone, sizeof here.zone, "%.15s", c->place.zone ? c->place.zone : "");
        snprintf(here.co2e_source, sizeof here.co2e_source, "as given for the hours it runs (--co2e-kwh)");
    }
    if (c->place.currency)
        snprintf(here.currency, sizeof here.currency, "%.3s", c->place.currency);
    TRY(sp_catalog_open(&facts, err));
    enum sp_status st = sp_catalog_machine(facts, c->place.zone, &here, err);
    sp_catalog_free(facts);
    if (!st)
        *m = here;
    return st;
}

double work_process_bytes(void)
{
    double pages = 0;
    char text[128] = "";
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    long long size, resident;
    if (fgets(text, sizeof text, f) && sscanf(text, "%lld %lld", &size, &resident) == 2)
        pages = (double)resident;
    fclose(f);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- rates ---- */

enum { PROBE_RUNS = 3, PROBE_SECONDS = 1 /* a machine so slow that one run takes longer is measured by that run */ };

static void collect(const struct sp_live *l, enum sp_run run, int runs, struct sp_rates *rates)
{
    const struct sp_exec *x = &l->exec[run];
    const struct sp_program *p = x->program;
    for (int i = 0; i < p->n; i++) {
        double seconds = 0, flops = 0, bytes = 0;
        for (int j = 0; j < p->n; j++)
            if (p->step[j].row == p->step[i].row) {
                seconds += x->seconds[j];
                flops += p->step[j].flops;
                bytes += p->step[j].bytes;
            }
        struct sp_rate r = { .how = SP_HOW_METER };
        bool products = !strncmp(p->step[i].kernel->name, "gemm", 4) || !strncmp(p->step[i].kernel->name, "attention", 9);
        snprintf(r.row, sizeof r.row, "%s", p->step[i].row->name);
        if (seconds <= 0)
            continue;
        if (products)
            r.flops_per_s = runs * flops / seconds;
        else
            r.bytes_per_s = runs * bytes / seconds;
        sp_rates_put(rates, &r);
    }
}

/* Chunks of the loss and dropout are there for the rows that only they use. */
static const struct sp_train_shape probe_shape = { .batch = 2, .tokens = 256, .score_batch = -1, .dropout = 0.1, .loss_rows = 256,
                                                   .adamw = { 0.9, 0.95, 1e-8, 0.1, NULL } };

static void probe_step(struct sp_live *l)
{
    static const char *const zero[] = { "ids", "targets", "weights" };
    for (size_t i = 0; i < SP_COUNT(zero); i++)
        memset(sp_live_at(l, SP_RUN_MICRO, zero[i]), 0, (size_t)(probe_shape.batch * probe_shape.tokens) * 4);
    *(int32_t *)sp_live_at(l, SP_RUN_MICRO, "dropout_counter") = 0;
    sp_live_run(l, SP_RUN_MICRO);
    *(float *)sp_live_at(l, SP_RUN_UPDATE, "lr") = 0;
    *(float *)sp_live_at(l, SP_RUN_UPDATE, "max_norm") = 1;
    *(int32_t *)sp_live_at(l, SP_RUN_UPDATE, "step") = 1;
    sp_live_run(l, SP_RUN_UPDATE);
}

static double seconds_of(const struct sp_live *l)
{
    double sum = 0;
    for (int i = 0; i < l->exec[SP_RUN_MICRO].program->n; i++)
        sum += l->exec[SP_RUN_MICRO].seconds[i];
    return sum;
}

static enum sp_status probe_job(const struct sp_job *job, struct sp_pool *pool, struct sp_rates *rates, struct sp_err *err)
{
    struct sp_live live;
    TRY(sp_live_new(&live, job, pool, true, err));
    enum sp_status st = sp_live_init(&live, 1, err);
    if (!st) {
        probe_step(&live); /* the first run only warms up */
        bool slow = seconds_of(&live) > PROBE_SECONDS;
        for (int s = 0; s < SP_RUNS && !slow; s++)
            if (job->has[s])
                memset(live.exec[s].seconds, 0, (size_t)job->program[s].n * sizeof(double));
        for (int i = 0; i < PROBE_RUNS && !slow; i++)
            probe_step(&live);
        collect(&live, SP_RUN_MICRO, slow ? 1 : PROBE_RUNS, rates);
        collect(&live, SP_RUN_UPDATE, slow ? 1 : PROBE_RUNS, rates);
    }
    sp_live_clear(&live);
    return st;
}

static enum sp_status probe_family(enum sp_family family, const struct sp_machine *m, struct sp_pool *pool, enum sp_format compute, struct sp_rates *rates,
                                   struct sp_err *err)
{
    struct sp_model_config c = { .family = family, .vocab = 2048, .context = 256, .layers = 1, .width = 256, .heads = 4, .tied = true, .bias = true,
                                 .bos = -1, .activation = family == SP_FAMILY_LLAMA ? SP_SILU : SP_GELU };
    struct sp_train_shape t = probe_shape;
    struct sp_job job;
    t.compute = compute;
    TRY(sp_model_config_finish(&c, err));
    TRY(sp_step_train(&c, &t, m, NULL, NULL, &job, err));
    enum sp_status st = probe_job(&job, pool, rates, err);
    sp_job_clear(&job);
    return st;
}

static enum sp_status probe_all(const struct sp_machine *m, enum sp_format compute, struct sp_rates *rates, struct sp_err *err)
{
    struct sp_pool *pool = NULL;
    TRY(sp_pool_new(&pool, m->threads, err));
    enum sp_status st = probe_family(SP_FAMILY_GPT2, m, pool, compute, rates, err);
    if (!st)
        st = probe_family(SP_FAMILY_LLAMA, m, pool, compute, rates, err);
    sp_pool_free(pool);
    return st;
}

struct probed { enum sp_status status; struct sp_err err; struct sp_rates rates; };

static bool write_all(int fd, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t k = write(fd, at, n);
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static bool read_all(int fd, void *p, size_t n)
{
    for (char *at = p; n;) {
        ssize_t k = read(fd, at, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return false;
        at += k;
        n -= (size_t)k;
    }
    return true;
}

static enum sp_status wait_for(pid_t child, int from, struct probed *p, struct sp_err *err)
{
    bool whole = read_all(from, p, sizeof *p);
    close(from);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return whole ? SP_OK : sp_fail(err, SP_IO, "the process that measures rates ended early");
}

static enum sp_status probe(const struct sp_machine *m, enum sp_format compute, struct sp_rates *rates, struct sp_err *err)
{
    int fd[2];
    struct probed *p = sp_zalloc(1, sizeof *p);
    if (!p)
        return sp_fail(err, SP_NOMEM, "no memory to measure rates");
    if (pipe(fd)) {
        sp_free(p);
        return sp_fail(err, SP_IO, "no pipe: %s", strerror(errno));
    }
    pid_t child = fork();
    if (!child) {
        p->status = probe_all(m, compute, &p->rates, &p->err);
        _exit(write_all(fd[1], p, sizeof *p) ? 0 : 1);
    }
    close(fd[1]);
    enum sp_status st = child < 0 ? sp_fail(err, SP_IO, "no process to measure rates in: %s", strerror(errno)) : wait_for(child, fd[0], p, err);
    if (child < 0)
        close(fd[0]);
    if (!st && p->status) {
        *err = p->err;
        st = p->status;
    }
    if (!st)
        for (int i = 0; i < p->rates.n; i++)
            sp_rates_put(rates, &p->rates.at[i]);
    sp_free(p);
    return st;
}

/* ---- rates kept in the ledger ---- */

enum { KEY_MAX = 320 };

/* What they hold for: another machine, another use of it or another version has rates of its own. */
static void rates_key(const struct sp_machine *m, enum sp_format compute, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s; %s; features %x; %d threads; %s; sparsam %s", m->name, m->cpu, (unsigned)m->features, m->threads, sp_formats[compute].name,
             SPARSAM_VERSION);
}

void work_rates_kept(const struct verb_common *c, const struct sp_machine *m, enum sp_format compute, struct sp_rates *rates)
{
    char path[4096], key[KEY_MAX];
    const char *where = sp_verb_ledger_path(c, path, sizeof path);
    struct sp_ledger *l;
    struct sp_err ignored = { 0 };
    if (!where || !sp_is_file(where) || sp_ledger_open(&l, where, &ignored))
        return;
    rates_key(m, compute, key, sizeof key);
    sp_ledger_rates_get(l, key, rates, &ignored);
    sp_ledger_close(l);
}

static void keep_rates(const struct verb_common *c, const struct sp_machine *m, enum sp_format compute, const struct sp_rates *rates)
{
    char path[4096], key[KEY_MAX];
    const char *where = sp_verb_ledger_path(c, path, sizeof path);
    struct sp_ledger *l = NULL;
    struct sp_err err = { 0 };
    if (!where)
        return;
    rates_key(m, compute, key, sizeof key);
    if (sp_ledger_open(&l, where, &err) || sp_ledger_rates_put(l, key, rates, &err))
        sp_log(SP_LOG_WARN, "measured rates are not kept: %s", err.what);
    sp_ledger_close(l);
}

enum sp_status work_rates(const struct verb_common *c, const struct sp_machine *m, enum sp_format compute, bool anew, struct sp_rates *rates, struct sp_err *err)
{
    *rates = (struct sp_rates){ 0 };
    if (!anew)
        work_rates_kept(c, m, compute, rates);
    if (rates->n)
        return SP_OK;
    TRY(probe(m, compute, rates, err));
    keep_rates(c, m, compute, rates);
    return SP_OK;
}
