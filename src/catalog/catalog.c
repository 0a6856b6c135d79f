/* catalog/catalog.c - opening the catalogue and looking facts up; a person's rows
 * first.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include "inner.h"

/* ---- opening ---- */

const char *sp_catalog_folder(char *buf, size_t cap)
{
    const char *given = getenv("SPARSAM_CATALOG"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (given && *given)
        snprintf(buf, cap, "%s", given);
    else if (data && *data == '/')
        snprintf(buf, cap, "%s/sparsam/catalog", data);
    else if (home && *home)
        snprintf(buf, cap, "%s/.local/share/sparsam/catalog", home);
    else
        snprintf(buf, cap, "%s", "");
    return buf;
}

static enum sp_status read_folder(struct sp_catalog *c, const char *folder, struct sp_err *err)
{
    char path[4096 + 64];
    for (int k = 0; k < SP_KINDS; k++) {
        snprintf(path, sizeof path, "%s/%s.csv", folder, sp_catalog_kinds[k].name);
        if (sp_is_file(path))
            TRY(sp_own_read(&c->own[k], &sp_catalog_kinds[k], path, err));
    }
    return SP_OK;
}

enum sp_status sp_catalog_open(struct sp_catalog **out, struct sp_err *err)
{
    const char *given = getenv("SPARSAM_CATALOG");
    char folder[4096];
    sp_catalog_folder(folder, sizeof folder);
    if (given && *given && !sp_is_folder(folder)) {
        sp_fail(err, SP_MISSING, "SPARSAM_CATALOG names %s, which is no folder", given);
        return sp_remedy(err, "name a folder with grid.csv, instances.csv or others that sparsam catalog lists");
    }
    struct sp_catalog *c = sp_zalloc(1, sizeof *c);
    if (!c)
        return sp_fail(err, SP_NOMEM, "out of memory for the catalogue");
    enum sp_status st = *folder && sp_is_folder(folder) ? read_folder(c, folder, err) : SP_OK;
    if (st)
        sp_catalog_free(c);
    else
        *out = c;
    return st;
}

void sp_catalog_free(struct sp_catalog *c)
{
    for (int k = 0; c && k < SP_KINDS; k++)
        sp_own_clear(&c->own[k]);
    sp_free(c);
}

const void *sp_catalog_row(const struct sp_catalog *c, enum sp_catalog_kind_id kind, int i, bool *own)
{
    const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
    const struct sp_own *mine = &c->own[kind];
    if (own)
        *own = i < mine->n;
    if (i < 0 || i >= mine->n + *k->n)
        return NULL;
    return i < mine->n ? (const char *)mine->rows + (size_t)i * k->bytes : (const char *)k->rows + (size_t)(i - mine->n) * k->bytes;
}

bool sp_catalog_stale(const char *date, int64_t today)
{
    enum { MONTHS = 12 };
    struct tm t;
    time_t now = today ? (time_t)today : time(NULL);
    int year = 0, month = 1;
    if (!date || sscanf(date, "%4d-%2d", &year, &month) < 1 || !gmtime_r(&now, &t))
        return true;
    return 12 * (t.tm_year + 1900 - year) + t.tm_mon + 1 - month > MONTHS;
}

/* ---- looking up ---- */

static const struct sp_grid *grid_of(const struct sp_catalog *c, const char *zone, size_t letters)
{
    const struct sp_grid *g;
    for (int i = 0; (g = sp_catalog_row(c, SP_KIND_GRID, i, NULL)); i++)
        if (strlen(g->code) == letters && !strncasecmp(g->code, zone, letters))
            return g;
    return NULL;
}

const struct sp_grid *sp_catalog_grid(const struct sp_catalog *c, const char *zone)
{
    size_t whole = strlen(zone), country = strcspn(zone, "-");
    const struct sp_grid *g = whole ? grid_of(c, zone, whole) : NULL;
    return g || !country || country == whole ? g : grid_of(c, zone, country);
}

enum { PROCESSOR_NAME = 96 };

/* A word that says nothing of which processor it is. */
static bool is_filler(const char *w, size_t n)
{
    static const char *const filler[] = { "cpu", "processor", "gen", "with", "radeon", "graphics", "apu" };
    for (size_t i = 0; i < SP_COUNT(filler); i++)
        if (strlen(filler[i]) == n && !strncasecmp(w, filler[i], n))
            return true;
    bool ordinal = n == 4 && isdigit((unsigned char)w[0]) && !strncasecmp(w + 2, "th", 2);
    return ordinal || (n > 5 && !strncasecmp(w + n - 5, "-core", 5));
}

/* "Intel(R) Xeon(R) Platinum 8380 CPU @ 2.30GHz" to "intel xeon platinum 8380". */
static void plain_name(const char *s, char to[PROCESSOR_NAME])
{
    size_t at = 0;
    while (*s && *s != '@') {
        size_t n = strcspn(s, " (@");
        if (n && !is_filler(s, n)) {
            if (at && at < PROCESSOR_NAME - 1)
                to[at++] = ' ';
            for (size_t i = 0; i < n && at < PROCESSOR_NAME - 1; i++)
                to[at++] = (char)tolower((unsigned char)s[i]);
        }
        s += n;
        if (*s == '(')
            s += strcspn(s, ")");
        s += *s && *s != '@';
    }
    to[at] = 0;
}

/* A plain name's words stand in the row as they are: the last one (the number) rules nearly every row out at once. */
const struct sp_processor *sp_catalog_processor(const struct sp_catalog *c, const char *cpu)
{
    char wanted[PROCESSOR_NAME], name[PROCESSOR_NAME];
    plain_name(cpu, wanted);
    const char *blank = strrchr(wanted, ' '), *last = blank ? blank + 1 : wanted;
    const struct sp_processor *p;
    for (int i = 0; (p = sp_catalog_row(c, SP_KIND_PROCESSORS, i, NULL)); i++) {
        if (!strcasestr(p->name, last))
            continue;
        plain_name(p->name, name);
        if (!strcmp(name, wanted))
            return p;
    }
    return NULL;
}

const struct sp_server_power *sp_catalog_server(const struct sp_catalog *c, const char *make, int year)
{
    const struct sp_server_power *s;
    for (int i = 0; (s = sp_catalog_row(c, SP_KIND_SERVER_POWER, i, NULL)); i++)
        if (!strcasecmp(s->make, make) && year >= s->from && year <= s->to)
            return s;
    return NULL;
}

const struct sp_default *sp_catalog_default(const struct sp_catalog *c, const char *name)
{
    const struct sp_default *d;
    for (int i = 0; (d = sp_catalog_row(c, SP_KIND_DEFAULTS, i, NULL)); i++)
        if (!strcmp(d->name, name))
            return d;
    return NULL;
}

const struct sp_accelerator *sp_catalog_accelerator(const struct sp_catalog *c, const char *name)
{
    const struct sp_accelerator *a;
    for (int i = 0; (a = sp_catalog_row(c, SP_KIND_ACCELERATORS, i, NULL)); i++)
        if (!strcasecmp(a->name, name))
            return a;
    return NULL;
}

/* Without "Standard_" (Azure) and without regard to case, blanks and punctuation. */
const struct sp_instance *sp_catalog_instance(const struct sp_catalog *c, const char *name)
{
    char wanted[64], own[64];
    const struct sp_instance *p;
    sp_name_squash(strncasecmp(name, "standard", 8) ? name : name + 8, wanted, sizeof wanted);
    for (int i = 0; *wanted && (p = sp_catalog_row(c, SP_KIND_INSTANCES, i, NULL)); i++) {
        sp_name_squash(p->instance, own, sizeof own);
        if (!strcmp(own, wanted))
            return p;
    }
    return NULL;
}

double sp_catalog_load(const struct sp_server_power *s, double load)
{
    double at = 10 * (load < 0 ? 0 : load > 1 ? 1 : load);
    int i = at >= 10 ? 9 : (int)at;
    return s->load[i] + (at - i) * (s->load[i + 1] - s->load[i]);
}
