/* file/csv.c - tables of comma-separated values (RFC 4180): quotes, commas and
 * line breaks within quotes, doubled quotes, CR LF, a byte order mark.
 *
 * The first row names the columns.  A row with more or fewer fields is an error
 * with its line, because a comma too many silently moves every figure behind it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "file.h"

enum { CSV_COLUMNS_MAX = 256, CSV_CELLS_MAX = 1 << 24 };

struct reader { struct sp_csv *t; char *at; int line, cap; const char **row; int n; };

/* One field, unquoted in place; *end says what stood behind it: ',', '\n' or 0. */
static enum sp_status field(struct reader *r, char *end, const char **out, struct sp_err *err)
{
    char *from = r->at, *to = r->at;
    int opened = r->line;
    bool quoted = false;
    *out = to;
    for (;; from++) {
        if (!*from && quoted)
            return sp_fail(err, SP_FORMAT, "line %d: a quote is opened and never closed", opened);
        if (!*from || (!quoted && (*from == ',' || *from == '\n')))
            break;
        r->line += *from == '\n';
        if (*from == '"' && quoted && from[1] == '"')
            *to++ = *from++;
        else if (*from == '"')
            quoted = !quoted;
        else if (quoted || *from != '\r' || from[1] != '\n')
            *to++ = *from;
    }
    *end = *from;
    r->line += *from == '\n';
    r->at = from + (*from != 0);
    *to = 0;
    return SP_OK;
}

static enum sp_status row(struct reader *r, struct sp_err *err)
{
    char end = ',';
    for (r->n = 0; end == ','; r->n++) {
        if (r->n == CSV_COLUMNS_MAX)
            return sp_fail(err, SP_LIMIT, "line %d: more than %d columns", r->line, CSV_COLUMNS_MAX);
        TRY(field(r, &end, &r->row[r->n], err));
    }
    return SP_OK;
}

static enum sp_status keep(struct reader *r, int line, struct sp_err *err)
{
    struct sp_csv *t = r->t;
    if (!t->columns)
        t->columns = r->n;
    if (r->n != t->columns)
        return sp_fail(err, SP_FORMAT, "line %d: %d fields, the first row has %d", line, r->n, t->columns);
    int64_t used = (int64_t)(t->rows + 1) * t->columns;
    if (used + t->columns > CSV_CELLS_MAX)
        return sp_fail(err, SP_LIMIT, "more than %d cells", CSV_CELLS_MAX);
    if (used > r->cap || !t->cell) {
        int cap = r->cap ? 2 * r->cap : 64 * t->columns;
        const char **more = sp_realloc(t->cell, (size_t)cap * sizeof *more);
        if (!more)
            return sp_fail(err, SP_NOMEM, "out of memory for a table");
        t->cell = more;
        r->cap = cap;
    }
    memcpy(t->cell + (size_t)t->rows * (size_t)t->columns, r->row, (size_t)t->columns * sizeof *r->row);
    t->rows++;
    return SP_OK;
}

static enum sp_status rows(struct reader *r, struct sp_err *err)
{
    while (*r->at) {
        int line = r->line;
        TRY(row(r, err));
        if (r->n == 1 && !*r->row[0])
            continue; /* a blank line */
        TRY(keep(r, line, err));
    }
    if (!r->t->rows)
        return sp_fail(err, SP_FORMAT, "the file is empty, a first row with the names of the columns is wanted");
    r->t->rows--;
    return SP_OK;
}

enum sp_status sp_csv_parse(struct sp_csv *out, char *text, const char *name, struct sp_err *err)
{
    const char *fields[CSV_COLUMNS_MAX];
    struct sp_csv t = { .name = name };
    struct reader r = { .t = &t, .at = text, .line = 1, .row = fields };
    if (!strncmp(r.at, "\xEF\xBB\xBF", 3))
        r.at += 3;
    enum sp_status st = rows(&r, err);
    if (st) {
        sp_where(err, "%s", name);
        sp_csv_clear(&t);
        return st;
    }
    *out = t;
    return SP_OK;
}

enum sp_status sp_csv_read(struct sp_csv *out, const char *path, size_t max, struct sp_err *err)
{
    struct sp_text text = { 0 };
    TRY(sp_read_file(&text, path, max, err));
    if (text.n != (text.at ? strlen(text.at) : 0)) {
        sp_text_clear(&text);
        sp_fail(err, SP_FORMAT, "the file holds a zero byte, so it is no table of text");
        return sp_where(err, "%s", path);
    }
    enum sp_status st = sp_csv_parse(out, text.at ? text.at : (char[]){ 0 }, path, err);
    if (st)
        sp_text_clear(&text);
    else
        out->text = text.at;
    return st;
}

void sp_csv_clear(struct sp_csv *t)
{
    sp_free(t->text);
    sp_free(t->cell);
    *t = (struct sp_csv){ 0 };
}

int sp_csv_column(const struct sp_csv *t, const char *name)
{
    for (int i = 0; i < t->columns; i++)
        if (!strcmp(t->cell[i], name))
            return i;
    return -1;
}

const char *sp_csv_at(const struct sp_csv *t, int row, int column)
{
    return column < 0 ? "" : t->cell[((size_t)row + 1) * (size_t)t->columns + (size_t)column];
}

enum sp_status sp_csv_need(const struct sp_csv *t, const char *name, int *column, struct sp_err *err)
{
    *column = sp_csv_column(t, name);
    if (*column >= 0)
        return SP_OK;
    sp_fail(err, SP_FORMAT, "no column is called \"%s\"", name);
    return sp_where(err, "%s", t->name);
}

enum sp_status sp_csv_real(const struct sp_csv *t, int row, int column, double *out, struct sp_err *err)
{
    const char *s = sp_csv_at(t, row, column);
    *out = NAN;
    if (!*s || sp_parse_real(s, out))
        return SP_OK;
    sp_fail(err, SP_FORMAT, "\"%.40s\" in column %s is not a number", s, t->cell[column]);
    return sp_where(err, "%s row %d", t->name, row + 1);
}
