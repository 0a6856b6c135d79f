/* catalog/inner.h - the compiled rows, the user's rows, reading CSV.  [private to catalog]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CATALOG_INNER_H
#define SP_CATALOG_INNER_H
#include "catalog.h"

extern const struct sp_grid sp_grid_rows[];
extern const struct sp_processor sp_processor_rows[];
extern const struct sp_server_power sp_server_rows[];
extern const struct sp_default sp_default_rows[];
extern const int sp_grid_rows_n, sp_processor_rows_n, sp_server_rows_n, sp_default_rows_n;

enum { CATALOG_FIELDS_MAX = 24, CATALOG_ROWS_MAX = 20000, CATALOG_BYTES_MAX = 16 << 20 };

/* Calls `each` with the fields of every line after the first; text lives in the arena.  An absent file has no rows. */
struct sp_csv_row { const char *field[CATALOG_FIELDS_MAX]; int n, line; };
enum sp_status sp_csv_each(const char *folder, const char *name, int columns, struct sp_arena *mem,
                           enum sp_status (*each)(void *self, const struct sp_csv_row *r, struct sp_err *err), void *self, struct sp_err *err);
/* Number in a field, empty: 0; SP_FORMAT says column and text. */
enum sp_status sp_csv_field(const struct sp_csv_row *r, int column, double *out, struct sp_err *err);

struct sp_catalog {
    struct sp_arena mem;
    struct sp_grid *grid;
    struct sp_processor *processor;
    struct sp_server_power *server;
    struct sp_default *fallback;
    int grids, processors, servers, fallbacks;
};
#endif
