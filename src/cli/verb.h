/* cli/verb.h - a verb: one file, one descriptor, one row in verbs.c.  [door of cli]
 *
 * A verb does its work and returns; it never prints an error and never picks an
 * exit status: main does.  Text for a person goes to standard output unless
 * common.json; then the verb hands main one object (answer), which main prints
 * and frees.  Progress and warnings go to standard error, nothing when quiet.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_VERB_H
#define SP_VERB_H
#include <jansson.h>
#include "../base/base.h"
#include "../recipe/recipe.h"

enum { VERB_SETS_MAX = 8, VERB_OPERANDS_ANY = 4096 };

/* What every verb understands.  A verb whose recipe has a place gets the same values here. */
struct verb_common {
    bool json, quiet, no_ledger;
    const char *ledger;            /* path; see sp_verb_ledger_path */
    struct sp_recipe_place place;  /* threads, zone, prices         */
};

struct verb;
struct verb_call {
    const struct verb *verb;
    struct verb_common common;
    void *options;                 /* the verb's struct, filled              */
    int n_operands;
    char **operands;
    json_t *answer;                /* set by the verb when common.json; main prints and frees it */
    bool silent;                   /* another process of the same run tells a failure and gives its status */
    int exit_status;               /* when not 0, main exits with it (measure passes its command's on) */
};

/* One option table and where in the verb's struct its offsets count from. */
struct verb_set { const struct sp_option *table; size_t at; };

struct verb {
    const char *name, *help;       /* one word or two; help: one line, lower case, no full stop */
    const char *operands;          /* "[MODEL] [PROMPT...]", "" when none    */
    int operands_min, operands_max;
    bool rest;                     /* everything from the first operand on belongs to a command */
    int own_failure;               /* exit status of every failure of its own; 0: 1, and 2 for wrong usage */
    /* Long help: paragraphs that teach; lines that begin with two spaces are examples. */
    const char *text;
    struct verb_set sets[VERB_SETS_MAX]; /* ends with table NULL; keyed rows give the verb --recipe and --print-recipe */
    size_t options_bytes;
    enum sp_status (*run)(struct verb_call *call, struct sp_err *err);
};

extern const struct verb *const sp_verbs[];    /* NULL-terminated, in the order of the overview */
const struct verb *sp_verb_find(const char *name);
/* A verb's name is one word or two ("plan train"): the verb that the first words name, and how many they are. */
const struct verb *sp_verb_named(int n, char **word, int *words);
/* True for the first word of verbs of two words. */
bool sp_verb_group(const char *first);
const char *sp_verb_nearest(const char *name); /* for "did you mean"; NULL when nothing is near */

/* The path of the ledger this call books to: --ledger, else $SPARSAM_LEDGER, else sparsam.db
 * below $XDG_DATA_HOME (~/.local/share); NULL with --no-ledger.  buf holds the text. */
const char *sp_verb_ledger_path(const struct verb_common *c, char *buf, size_t cap);

/* parse.c: command line and recipe to a call.  *wanted says what else was asked for. */
enum verb_wanted { VERB_RUN, VERB_HELP, VERB_PRINT_RECIPE };
enum sp_status sp_verb_parse(const struct verb *v, int argc, char **argv, struct verb_call *call, struct sp_arena *mem,
                             enum verb_wanted *wanted, struct sp_err *err);
/* True when the verb's own tables hold the place section, so that it is not shown twice. */
bool sp_verb_has_place(const struct verb *v);
/* The verb's own sets over its filled struct. */
int sp_verb_sets(const struct verb_call *call, struct sp_option_set *out);
extern const struct sp_option sp_common_options[], sp_recipe_options[];
bool sp_verb_has_recipe(const struct verb *v);

/* help.c */
void sp_help_overview(FILE *out);
void sp_help_group(const char *first, FILE *out);
void sp_help_verb(const struct verb *v, FILE *out);
void sp_help_man(FILE *out);
#endif
