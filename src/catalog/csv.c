/* catalog/csv.c - comma-separated facts of a user's: quotes, blank lines, a
 * first line with the names of the columns.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

/* Splits one line in place; a quoted field may hold commas and doubled quotes. */
static int split(char *line, const char **field)
{
    int n = 0;
    char *from = line;
    while (from && n < CATALOG_FIELDS_MAX) {
        char *to = from, *start = from;
        bool quoted = false;
        for (; *from && (quoted || *from != ','); from++) {
            if (*from == '"' && quoted && from[1] == '"')
                *to++ = *from++;
            else if (*from == '"')
                quoted = !quoted;
            else
                *to++ = *from;
        }
        char *next = *from ? from + 1 : NULL;
        *to = 0;
        field[n++] = start;
        from = next;
    }
    return n;
}

enum sp_status sp_csv_field(const struct sp_csv_row *r, int column, double *out, struct sp_err *err)
{
    double v = 0;
    const char *s = r->field[column];
    if (*s && !sp_parse_real(s, &v))
        return sp_fail(err, SP_FORMAT, "column %d: \"%.40s\" is not a number", column + 1, s);
    *out = v;
    return SP_OK;
}

typedef enum sp_status each_fn(void *self, const struct sp_csv_row *r, struct sp_err *err);

static enum sp_status each_line(char *text, const char *path, int columns, each_fn *each, void *self, struct sp_err *err)
{
    struct sp_csv_row r = { .line = 0 };
    for (char *line = text, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        line[strcspn(line, "\r")] = 0;
        if (++r.line == 1 || !*line)
            continue;
        r.n = split(line, r.field);
        enum sp_status st = r.line > CATALOG_ROWS_MAX ? sp_fail(err, SP_LIMIT, "more than %d rows", CATALOG_ROWS_MAX)
                          : r.n < columns ? sp_fail(err, SP_FORMAT, "%d columns, %d are wanted", r.n, columns) : each(self, &r, err);
        if (st)
            return sp_where(err, "%s line %d", path, r.line);
    }
    return SP_OK;
}

enum sp_status sp_csv_each(const char *folder, const char *name, int columns, struct sp_arena *mem, each_fn *each, void *self, struct sp_err *err)
{
    struct sp_text t = { 0 };
    const char *path = sp_path_join(mem, folder, name);
    if (!path)
        return sp_fail(err, SP_NOMEM, "out of memory for the catalogue");
    if (!sp_is_file(path))
        return SP_OK;
    TRY(sp_read_file(&t, path, CATALOG_BYTES_MAX, err));
    char *kept = sp_arena_printf(mem, "%.*s", (int)t.n, t.at ? t.at : "");
    sp_text_clear(&t);
    return kept ? each_line(kept, path, columns, each, self, err) : sp_fail(err, SP_NOMEM, "out of memory for the catalogue");
}
