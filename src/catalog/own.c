/* catalog/own.c - a person's own file of facts: columns by name, numbers within
 * their bounds, every fault with file, row and column.
 *
 * Columns that are missing are empty unless needed; columns too many are passed over.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>
#include "inner.h"

enum { COLUMNS_MAX = 32 };

static bool is_date(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (i == 4 || i == 7 ? s[i] != '-' : !isdigit((unsigned char)s[i]))
            return false;
    int month = n >= 7 ? 10 * (s[5] - '0') + s[6] - '0' : 1, day = n == 10 ? 10 * (s[8] - '0') + s[9] - '0' : 1;
    return (n == 4 || n == 7 || n == 10) && (s[0] == '1' || s[0] == '2') && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static enum sp_status outside(const struct sp_catalog_column *col, double v, struct sp_err *err)
{
    sp_fail(err, SP_FORMAT, "%s is %.12g, and lies between %g and %g%s%s", col->name, v, col->min, col->max, col->unit ? " " : "", col->unit ? col->unit : "");
    return sp_remedy(err, "correct the number, or its unit");
}

static enum sp_status number(const struct sp_csv *t, int row, int column, const struct sp_catalog_column *col, void *to, struct sp_err *err)
{
    double v;
    TRY(sp_csv_real(t, row, column, &v, err));
    if (isnan(v) && col->needed)
        return sp_fail(err, SP_FORMAT, "%s is empty, a number is wanted", col->name);
    if (!isnan(v) && (v < col->min || v > col->max) && (v != 0 || col->needed))
        return outside(col, v, err);
    v = isnan(v) ? 0 : v;
    if (col->type == SP_COLUMN_INT && v != floor(v))
        return sp_fail(err, SP_FORMAT, "%s is %g, a whole number is wanted", col->name, v);
    if (col->type == SP_COLUMN_INT)
        *(int *)to = (int)v;
    else
        *(double *)to = v;
    return SP_OK;
}

static enum sp_status cell(const struct sp_csv *t, int row, int column, const struct sp_catalog_column *col, char *to, struct sp_err *err)
{
    if (column < 0 && (col->type == SP_COLUMN_REAL || col->type == SP_COLUMN_INT))
        return SP_OK; /* the row is zero already */
    if (col->type == SP_COLUMN_REAL || col->type == SP_COLUMN_INT)
        return number(t, row, column, col, to + col->at, err);
    const char *s = sp_csv_at(t, row, column);
    if (!*s && col->needed)
        return sp_fail(err, SP_FORMAT, "%s is empty", col->name);
    if (!sp_utf8_valid(s, strlen(s)))
        return sp_fail(err, SP_FORMAT, "%s is not UTF-8", col->name);
    if (col->type == SP_COLUMN_DATE && !is_date(s)) {
        sp_fail(err, SP_FORMAT, "%s \"%.20s\" is no date", col->name, s);
        return sp_remedy(err, "write a year or a year and a month: 2026, 2026-11");
    }
    *(const char **)(void *)(to + col->at) = s;
    return SP_OK;
}

static enum sp_status find_columns(const struct sp_csv *t, const struct sp_catalog_kind *kind, int *column, struct sp_err *err)
{
    for (int i = 0; kind->columns[i].name; i++) {
        column[i] = sp_csv_column(t, kind->columns[i].name);
        if (column[i] < 0 && kind->columns[i].needed) {
            sp_fail(err, SP_FORMAT, "no column is called \"%s\"", kind->columns[i].name);
            sp_remedy(err, "sparsam catalog show %s lists the columns", kind->name);
            return sp_where(err, "%s", t->name);
        }
    }
    return SP_OK;
}

static enum sp_status read_rows(struct sp_own *own, const struct sp_catalog_kind *kind, struct sp_err *err)
{
    const struct sp_csv *t = &own->table;
    int column[COLUMNS_MAX];
    TRY(find_columns(t, kind, column, err));
    if (t->rows > CATALOG_ROWS_MAX)
        return sp_fail(err, SP_LIMIT, "%s: more than %d rows", t->name, CATALOG_ROWS_MAX);
    own->rows = sp_zalloc((size_t)t->rows + 1, kind->bytes);
    if (!own->rows)
        return sp_fail(err, SP_NOMEM, "out of memory for the catalogue");
    for (own->n = 0; own->n < t->rows; own->n++)
        for (int i = 0; kind->columns[i].name; i++)
            if (cell(t, own->n, column[i], &kind->columns[i], (char *)own->rows + (size_t)own->n * kind->bytes, err))
                return *err->where ? err->status : sp_where(err, "%s row %d", t->name, own->n + 1);
    return SP_OK;
}

enum sp_status sp_own_read(struct sp_own *own, const struct sp_catalog_kind *kind, const char *path, struct sp_err *err)
{
    struct sp_own read = { 0 };
    TRY(sp_csv_read(&read.table, path, CATALOG_BYTES_MAX, err));
    enum sp_status st = read_rows(&read, kind, err);
    if (st)
        sp_own_clear(&read);
    else
        *own = read;
    return st;
}

void sp_own_clear(struct sp_own *own)
{
    sp_csv_clear(&own->table);
    sp_free(own->rows);
    *own = (struct sp_own){ 0 };
}

/* What a row names of another table must be there. */
static enum sp_status check_names(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const void *row, struct sp_err *err)
{
    const struct sp_instance *p = row;
    const struct sp_purchase *b = row;
    const struct sp_region *r = row;
    const char *part = kind == SP_KIND_INSTANCES ? p->accelerator : kind == SP_KIND_PURCHASES ? b->accelerator : NULL;
    struct sp_machine m = { 0 };
    if (part && !sp_catalog_accelerator(c, part)) {
        struct sp_err near = { 0 };
        bool meant = !sp_catalog_place(c, part, &m, &near) && m.device.name[0];
        sp_fail(err, SP_FORMAT, "no accelerator is called exactly \"%.40s\"%s%s", part, meant ? "; meant is " : "", meant ? m.device.name : "");
        return sp_remedy(err, "write its name as sparsam catalog list accelerators does, or add it to accelerators first");
    }
    if (kind == SP_KIND_REGIONS && r->g_per_kwh <= 0 && *r->zone && !sp_catalog_grid(c, r->zone)) {
        sp_fail(err, SP_FORMAT, "no grid zone is called \"%.20s\"", r->zone);
        return sp_remedy(err, "sparsam catalog list grid shows them; or give g_per_kwh");
    }
    return SP_OK;
}

static enum sp_status check_rows(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const struct sp_own *own, const char *path, struct sp_err *err)
{
    const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
    for (int i = 0; i < own->n; i++) {
        const char *row = (const char *)own->rows + (size_t)i * k->bytes;
        if (check_names(c, kind, row, err))
            return sp_where(err, "%s row %d", path, i + 1);
        for (int j = 0; j < i; j++)
            if (sp_own_same(k, row, (const char *)own->rows + (size_t)j * k->bytes))
                return sp_fail(err, SP_FORMAT, "%s: rows %d and %d are of the same thing", path, j + 1, i + 1);
    }
    return own->n ? SP_OK : sp_fail(err, SP_FORMAT, "%s has no rows", path);
}

enum sp_status sp_catalog_check(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const char *path, int *rows, struct sp_err *err)
{
    struct sp_own own = { 0 };
    TRY(sp_own_read(&own, &sp_catalog_kinds[kind], path, err));
    enum sp_status st = check_rows(c, kind, &own, path, err);
    if (!st)
        *rows = own.n;
    sp_own_clear(&own);
    return st;
}
