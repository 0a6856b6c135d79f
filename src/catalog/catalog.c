/* catalog/catalog.c - looking facts up; a user's rows first.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "../file/file.h"
#include "inner.h"

/* ---- a user's rows ---- */

/* Room for one more row in an array that grows by doubling; NULL when full. */
static void *grow(void **rows, int n, size_t size)
{
    if (n == 0 || (n & (n - 1)) == 0) {
        void *more = sp_realloc(*rows, (size_t)(n ? 2 * n : 1) * size);
        if (!more)
            return NULL;
        *rows = more;
    }
    return (char *)*rows + (size_t)n * size;
}

#define MORE(c, rows, n) grow((void **)(void *)&(c)->rows, (c)->n, sizeof *(c)->rows)

static enum sp_status no_room(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "out of memory for the catalogue");
}

/* code,name,g_per_kwh,basis,year,source */
static enum sp_status add_grid(void *self, const struct sp_csv_row *r, struct sp_err *err)
{
    struct sp_catalog *c = self;
    double g, year;
    TRY(sp_csv_field(r, 2, &g, err));
    TRY(sp_csv_field(r, 4, &year, err));
    struct sp_grid *row = MORE(c, grid, grids);
    if (!row)
        return no_room(err);
    *row = (struct sp_grid){ r->field[0], r->field[1], g, (int)year, r->field[5] };
    c->grids++;
    return SP_OK;
}

/* name,class,cores,threads,tdp_w,year,source */
static enum sp_status add_processor(void *self, const struct sp_csv_row *r, struct sp_err *err)
{
    struct sp_catalog *c = self;
    double v[4];
    for (int i = 0; i < 4; i++)
        TRY(sp_csv_field(r, 2 + i, &v[i], err));
    struct sp_processor *row = MORE(c, processor, processors);
    if (!row)
        return no_room(err);
    *row = (struct sp_processor){ r->field[0], r->field[1], (int)v[0], (int)v[1], v[2], (int)v[3], r->field[6] };
    c->processors++;
    return SP_OK;
}

/* make,era,from,to,p0..p100,idle_w_thread,full_w_thread,source */
static enum sp_status add_server(void *self, const struct sp_csv_row *r, struct sp_err *err)
{
    struct sp_catalog *c = self;
    double v[15];
    for (int i = 0; i < 15; i++)
        TRY(sp_csv_field(r, 2 + i, &v[i], err));
    struct sp_server_power *row = MORE(c, server, servers);
    if (!row)
        return no_room(err);
    *row = (struct sp_server_power){ .make = r->field[0], .era = r->field[1], .from = (int)v[0], .to = (int)v[1],
                                     .idle_w_thread = v[13], .full_w_thread = v[14], .source = r->field[17] };
    memcpy(row->load, v + 2, sizeof row->load);
    c->servers++;
    return SP_OK;
}

/* name,low,likely,high,unit,how,source */
static enum sp_status add_default(void *self, const struct sp_csv_row *r, struct sp_err *err)
{
    struct sp_catalog *c = self;
    double v[3];
    for (int i = 0; i < 3; i++)
        TRY(sp_csv_field(r, 1 + i, &v[i], err));
    struct sp_default *row = MORE(c, fallback, fallbacks);
    if (!row)
        return no_room(err);
    *row = (struct sp_default){ r->field[0], v[0], v[1], v[2], r->field[4], r->field[5], r->field[6] };
    c->fallbacks++;
    return SP_OK;
}

static enum sp_status read_folder(struct sp_catalog *c, const char *folder, struct sp_err *err)
{
    if (!sp_is_folder(folder)) {
        sp_fail(err, SP_MISSING, "SPARSAM_CATALOG names %s, which is no folder", folder);
        return sp_remedy(err, "name a folder with grid.csv, processors.csv, server_power.csv or defaults.csv");
    }
    TRY(sp_csv_each(folder, "grid.csv", 6, &c->mem, add_grid, c, err));
    TRY(sp_csv_each(folder, "processors.csv", 7, &c->mem, add_processor, c, err));
    TRY(sp_csv_each(folder, "server_power.csv", 18, &c->mem, add_server, c, err));
    return sp_csv_each(folder, "defaults.csv", 7, &c->mem, add_default, c, err);
}

enum sp_status sp_catalog_open(struct sp_catalog **out, struct sp_err *err)
{
    const char *folder = getenv("SPARSAM_CATALOG");
    struct sp_catalog *c = sp_zalloc(1, sizeof *c);
    if (!c)
        return no_room(err);
    enum sp_status st = folder && *folder ? read_folder(c, folder, err) : SP_OK;
    if (st)
        sp_catalog_free(c);
    else
        *out = c;
    return st;
}

void sp_catalog_free(struct sp_catalog *c)
{
    if (!c)
        return;
    sp_free(c->grid);
    sp_free(c->processor);
    sp_free(c->server);
    sp_free(c->fallback);
    sp_arena_clear(&c->mem);
    sp_free(c);
}

/* ---- looking up ---- */

static const struct sp_grid *grid_in(const struct sp_grid *rows, int n, const char *zone, size_t letters)
{
    for (int i = 0; i < n; i++)
        if (strlen(rows[i].code) == letters && !strncasecmp(rows[i].code, zone, letters))
            return &rows[i];
    return NULL;
}

const struct sp_grid *sp_catalog_grid(const struct sp_catalog *c, const char *zone)
{
    size_t whole = strlen(zone), country = strcspn(zone, "-");
    for (size_t letters = whole; letters; letters = letters == whole && country < whole ? country : 0) {
        const struct sp_grid *g = grid_in(c->grid, c->grids, zone, letters);
        g = g ? g : grid_in(sp_grid_rows, sp_grid_rows_n, zone, letters);
        if (g)
            return g;
    }
    return NULL;
}

int sp_catalog_grids(const struct sp_catalog *c, const struct sp_grid **rows)
{
    (void)c;
    *rows = sp_grid_rows;
    return sp_grid_rows_n;
}

enum { NAME_LEN = 96 };

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
static void plain_name(const char *s, char to[NAME_LEN])
{
    size_t at = 0;
    while (*s && *s != '@') {
        size_t n = strcspn(s, " (@");
        if (n && !is_filler(s, n)) {
            if (at && at < NAME_LEN - 1)
                to[at++] = ' ';
            for (size_t i = 0; i < n && at < NAME_LEN - 1; i++)
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
static const struct sp_processor *processor_in(const struct sp_processor *rows, int n, const char *wanted)
{
    char name[NAME_LEN];
    const char *blank = strrchr(wanted, ' '), *last = blank ? blank + 1 : wanted;
    for (int i = 0; i < n; i++) {
        if (!strcasestr(rows[i].name, last))
            continue;
        plain_name(rows[i].name, name);
        if (!strcmp(name, wanted))
            return &rows[i];
    }
    return NULL;
}

const struct sp_processor *sp_catalog_processor(const struct sp_catalog *c, const char *cpu)
{
    char wanted[NAME_LEN];
    plain_name(cpu, wanted);
    const struct sp_processor *p = processor_in(c->processor, c->processors, wanted);
    return p ? p : processor_in(sp_processor_rows, sp_processor_rows_n, wanted);
}

static const struct sp_server_power *server_in(const struct sp_server_power *rows, int n, const char *make, int year)
{
    for (int i = 0; i < n; i++)
        if (!strcasecmp(rows[i].make, make) && year >= rows[i].from && year <= rows[i].to)
            return &rows[i];
    return NULL;
}

const struct sp_server_power *sp_catalog_server(const struct sp_catalog *c, const char *make, int year)
{
    const struct sp_server_power *s = server_in(c->server, c->servers, make, year);
    return s ? s : server_in(sp_server_rows, sp_server_rows_n, make, year);
}

static const struct sp_default *default_in(const struct sp_default *rows, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

const struct sp_default *sp_catalog_default(const struct sp_catalog *c, const char *name)
{
    const struct sp_default *d = default_in(c->fallback, c->fallbacks, name);
    return d ? d : default_in(sp_default_rows, sp_default_rows_n, name);
}

double sp_catalog_load(const struct sp_server_power *s, double load)
{
    double at = 10 * (load < 0 ? 0 : load > 1 ? 1 : load);
    int i = at >= 10 ? 9 : (int)at;
    return s->load[i] + (at - i) * (s->load[i + 1] - s->load[i]);
}
