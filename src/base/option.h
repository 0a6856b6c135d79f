/* base/option.h - option tables: one table parses flags and YAML keys, checks
 * bounds, prints --help, the manual page and the complete recipe.
 *
 * The rows are the only description of an option.  A row without a name ends a
 * table.  Bounds are inclusive; min == max == 0 means none.  A NaN fallback of a
 * REAL means "not set" and is written as null.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_OPTION_H
#define SP_OPTION_H
#include <stddef.h>
#include <stdio.h>
#include "base.h"

enum sp_option_kind {
    SP_OPT_INT,    /* int64_t; suffixes k M G allowed                     */
    SP_OPT_REAL,   /* double                                              */
    SP_OPT_TEXT,   /* const char *, points into argv or the arena         */
    SP_OPT_FLAG,   /* bool; --name, --no-name                             */
    SP_OPT_CHOICE, /* int: index into .choices                            */
    SP_OPT_LIST,   /* struct sp_option_list: may be repeated, or a YAML sequence */
};

enum { SP_OPTION_LIST_MAX = 64 };
struct sp_option_list { int n; const char *at[SP_OPTION_LIST_MAX]; };

struct sp_option {
    const char *name;              /* --name                                     */
    const char *key;               /* YAML key "train.lr"; NULL: not in a recipe */
    char letter;                   /* -l, or 0                                   */
    enum sp_option_kind kind;
    size_t at;                     /* offsetof(struct, field)                    */
    double min, max, fallback;     /* CHOICE: fallback is the index              */
    const char *fallback_text;     /* TEXT: may be NULL                          */
    const char *const *choices;    /* NULL-terminated                            */
    const char *unit, *group, *help; /* group: heading in --help; NULL: as the row before */
};

/* Several tables may describe one struct or several: a set is a list of pairs. */
struct sp_option_set { const struct sp_option *table; void *into; };

struct sp_arena;
struct sp_err;
void sp_option_defaults(const struct sp_option_set *set, int n_set);
/* Flags of argv[0..argc) (no program name among them) fill the structs; operands
 * (and what follows "--") are moved to the front of argv in order and counted in
 * *n_operands.  --name=value, --name value, -lvalue, -l value, --no-name; unknown
 * options suggest the nearest name.  A list given here replaces what it held.  To
 * let flags win over a recipe file: parse a copy of argv to find the file, then
 * defaults, set_key for each key, parse again. */
enum sp_status sp_option_parse(const struct sp_option_set *set, int n_set, int argc, char **argv,
                               int *n_operands, struct sp_err *err);
/* One key from a recipe file; SP_MISSING when no row has it. */
enum sp_status sp_option_set_key(const struct sp_option_set *set, int n_set, const char *key,
                                 const char *value, struct sp_arena *mem, struct sp_err *err);
void sp_option_help(const struct sp_option *table, FILE *out);      /* terminal      */
void sp_option_man(const struct sp_option *table, FILE *out);       /* groff man(7)  */
void sp_option_yaml(const struct sp_option_set *set, int n_set, FILE *out); /* complete recipe */
#endif
