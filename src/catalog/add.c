/* catalog/add.c - a person's file becomes part of the catalogue: its rows, then those
 * of the file already there that it doesn't replace.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <strings.h>
#include "inner.h"

const char *sp_catalog_cell(const struct sp_catalog_column *column, const void *row, char *buf, size_t cap)
{
    const char *at = (const char *)row + column->at;
    double v;
    if (column->type == SP_COLUMN_TEXT || column->type == SP_COLUMN_DATE) {
        const char *s = *(const char *const *)(const void *)at;
        return s ? s : "";
    }
    v = column->type == SP_COLUMN_INT ? *(const int *)(const void *)at : *(const double *)(const void *)at;
    *buf = 0;
    if (v > 0 || v < 0)
        sp_format(buf, cap, "%.15g", v);
    return buf;
}

/* RFC 4180: quotes where a comma, a quote or a line break stands. */
static void put_field(struct sp_text *t, const char *s)
{
    bool quoted = strpbrk(s, ",\"\r\n") != NULL;
    if (quoted)
        sp_text_add(t, "\"", 1);
    for (; *s; s++)
        sp_text_add(t, *s == '"' ? "\"\"" : s, *s == '"' ? 2 : 1);
    if (quoted)
        sp_text_add(t, "\"", 1);
}

static void put_rows(struct sp_text *t, const struct sp_catalog_kind *kind, const void *row, bool names)
{
    char number[40];
    for (const struct sp_catalog_column *col = kind->columns; col->name; col++) {
        if (col != kind->columns)
            sp_text_add(t, ",", 1);
        put_field(t, names ? col->name : sp_catalog_cell(col, row, number, sizeof number));
    }
    sp_text_add(t, "\n", 1);
}

static const void *row_at(const struct sp_own *own, const struct sp_catalog_kind *kind, int i)
{
    return (const char *)own->rows + (size_t)i * kind->bytes;
}

bool sp_own_same(const struct sp_catalog_kind *kind, const void *a, const void *b)
{
    char x[40], y[40];
    for (int i = 0; i < kind->identity; i++)
        if (strcasecmp(sp_catalog_cell(&kind->columns[i], a, x, sizeof x), sp_catalog_cell(&kind->columns[i], b, y, sizeof y)))
            return false;
    return true;
}

static bool is_replaced(const struct sp_catalog_kind *kind, const struct sp_own *by, const void *row)
{
    for (int i = 0; i < by->n; i++)
        if (sp_own_same(kind, row_at(by, kind, i), row))
            return true;
    return false;
}

static enum sp_status write_both(const struct sp_catalog_kind *kind, const struct sp_own *mine, const struct sp_own *old, const char *path, int *rows,
                                 struct sp_err *err)
{
    struct sp_text t = { .max = CATALOG_BYTES_MAX };
    *rows = mine->n;
    put_rows(&t, kind, NULL, true);
    for (int i = 0; i < mine->n; i++)
        put_rows(&t, kind, row_at(mine, kind, i), false);
    for (int i = 0; i < old->n; i++)
        if (!is_replaced(kind, mine, row_at(old, kind, i))) {
            put_rows(&t, kind, row_at(old, kind, i), false);
            ++*rows;
        }
    enum sp_status st = t.full || *rows > CATALOG_ROWS_MAX ? sp_fail(err, SP_LIMIT, "%s: more than %d rows or %d bytes", path, CATALOG_ROWS_MAX, CATALOG_BYTES_MAX)
                                                           : sp_write_file(path, t.at, t.n, err);
    sp_text_clear(&t);
    return st;
}

static enum sp_status add_to(const struct sp_catalog_kind *kind, const struct sp_own *mine, const char *path, int *rows, struct sp_err *err)
{
    struct sp_own old = { 0 };
    if (sp_is_file(path))
        TRY(sp_own_read(&old, kind, path, err));
    enum sp_status st = write_both(kind, mine, &old, path, rows, err);
    sp_own_clear(&old);
    return st;
}

enum sp_status sp_catalog_add(const struct sp_catalog *c, enum sp_catalog_kind_id kind, const char *file, char *path, size_t cap, int *rows, struct sp_err *err)
{
    const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
    struct sp_own mine = { 0 };
    char folder[4096];
    int given;
    TRY(sp_catalog_check(c, kind, file, &given, err));
    if (!*sp_catalog_folder(folder, sizeof folder)) {
        sp_fail(err, SP_MISSING, "there is no folder for facts of your own");
        return sp_remedy(err, "name one with SPARSAM_CATALOG");
    }
    TRY(sp_own_read(&mine, k, file, err));
    enum sp_status st = sp_make_folder(folder, err);
    if (!st) {
        snprintf(path, cap, "%s/%s.csv", folder, k->name);
        st = add_to(k, &mine, path, rows, err);
    }
    sp_own_clear(&mine);
    return st;
}
