/* catalog/inner.h - the compiled rows, the person's rows, names.  [private to catalog]
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_CATALOG_INNER_H
#define SP_CATALOG_INNER_H
#include "../file/file.h"
#include "catalog.h"

extern const struct sp_grid sp_grid_rows[];
extern const struct sp_processor sp_processor_rows[];
extern const struct sp_server_power sp_server_rows[];
extern const struct sp_default sp_default_rows[];
extern const struct sp_accelerator sp_accelerator_rows[];
extern const struct sp_instance sp_instance_rows[];
extern const struct sp_purchase sp_purchase_rows[];
extern const struct sp_region sp_region_rows[];
extern const struct sp_model_fact sp_model_rows[];
extern const int sp_grid_rows_n, sp_processor_rows_n, sp_server_rows_n, sp_default_rows_n, sp_accelerator_rows_n, sp_instance_rows_n,
    sp_purchase_rows_n, sp_region_rows_n, sp_model_rows_n;

enum { CATALOG_ROWS_MAX = 20000, CATALOG_BYTES_MAX = 16 << 20 };

/* A person's rows of one kind; their text lies in the table. */
struct sp_own { struct sp_csv table; void *rows; int n; };
enum sp_status sp_own_read(struct sp_own *own, const struct sp_catalog_kind *kind, const char *path, struct sp_err *err);
void sp_own_clear(struct sp_own *own);
bool sp_own_same(const struct sp_catalog_kind *kind, const void *a, const void *b); /* the columns that tell rows apart agree */

struct sp_catalog { struct sp_own own[SP_KINDS]; };

/* Letters and digits of s in lower case, nothing else. */
void sp_name_squash(const char *s, char *to, size_t cap);

/* A name as it was asked for, taken apart: how many, which memory, and the words that are left. */
enum { NAME_ATOMS = 32, NAME_ATOM = 24 };
struct sp_name_atom { char text[NAME_ATOM]; bool glued, number; }; /* glued: nothing stands between it and the one before */
struct sp_name {
    int n, count;                  /* atoms; how many machines, 0: not said */
    double memory_gb, bandwidth_gbs; /* 0: not said */
    bool cpu;                      /* the word cpu stands in it */
    struct sp_name_atom at[NAME_ATOMS];
};
/* False: more than a name can hold, or a count that is none (0, a billion). */
bool sp_name_parse(const char *s, struct sp_name *out);
/* Where key ("rtx6000ada") stands in the name: atoms [*from, return), or 0 when it doesn't. */
int sp_name_find(const struct sp_name *name, const char *key, size_t letters, int *from);
#endif
