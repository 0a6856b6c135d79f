/* cli/parse.c - a command line, and the recipe file it may name, to a verb's call.
 *
 * Defaults, then the recipe file, then flags: what is written on the command
 * line wins.  The line is read twice, once to learn of the recipe file.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include "verb.h"
#include "../file/file.h"

struct recipe_flags { const char *path; bool print, help; };

#define AT(field) offsetof(struct verb_common, field)
const struct sp_option sp_common_options[] = {
    { .name = "json", .kind = SP_OPT_FLAG, .at = AT(json), .group = "Every verb",
      .help = "print one JSON object (docs/json.md) and nothing else" },
    { .name = "quiet", .letter = 'q', .kind = SP_OPT_FLAG, .at = AT(quiet), .help = "no progress, no warnings" },
    { .name = "ledger", .kind = SP_OPT_TEXT, .at = AT(ledger), .unit = "PATH",
      .help = "book in this file ($SPARSAM_LEDGER, else ~/.local/share/sparsam/ledger.db)" },
    { .name = "no-ledger", .kind = SP_OPT_FLAG, .at = AT(no_ledger), .help = "book nothing" },
    { 0 },
};
#undef AT

const struct sp_option sp_recipe_options[] = {
    { .name = "recipe", .kind = SP_OPT_TEXT, .at = offsetof(struct recipe_flags, path), .group = "Recipe", .unit = "FILE",
      .help = "read settings from this YAML file; flags win over it" },
    { .name = "print-recipe", .kind = SP_OPT_FLAG, .at = offsetof(struct recipe_flags, print),
      .help = "print the complete recipe and do nothing" },
    { 0 },
};

static const struct sp_option help_options[] = {
    { .name = "help", .letter = 'h', .kind = SP_OPT_FLAG, .at = offsetof(struct recipe_flags, help),
      .help = "explain this verb" },
    { 0 },
};

bool sp_verb_has_recipe(const struct verb *v)
{
    for (const struct verb_set *s = v->sets; s < v->sets + VERB_SETS_MAX && s->table; s++)
        for (const struct sp_option *o = s->table; o->name; o++)
            if (o->key)
                return true;
    return false;
}

static const struct verb_set *place_set(const struct verb *v)
{
    for (const struct verb_set *s = v->sets; s < v->sets + VERB_SETS_MAX && s->table; s++)
        if (s->table == sp_recipe_place_options)
            return s;
    return NULL;
}

bool sp_verb_has_place(const struct verb *v)
{
    return place_set(v) != NULL;
}

int sp_verb_sets(const struct verb_call *call, struct sp_option_set *out)
{
    int n = 0;
    for (; n < VERB_SETS_MAX && call->verb->sets[n].table; n++) {
        out[n].table = call->verb->sets[n].table;
        out[n].into = (char *)call->options + call->verb->sets[n].at;
    }
    return n;
}

struct recipe_reader { struct sp_option_set *set; int n; struct sp_arena *mem; };

static enum sp_status take_key(void *self, const char *key, const char *value, struct sp_err *err)
{
    struct recipe_reader *r = self;
    enum sp_status st = sp_option_set_key(r->set, r->n, key, value, r->mem, err);
    if (st == SP_MISSING) {
        sp_fail(err, SP_USAGE, "no setting is called %s", key);
        return sp_remedy(err, "--print-recipe prints every setting this verb has");
    }
    return st;
}

/* How many words the options may use: all, or those before a command's name. */
static int option_words(const struct verb *v, const struct sp_option_set *set, int n_set, int argc, char **argv)
{
    if (!v->rest)
        return argc;
    for (int i = 0; i < argc; i++) {
        if (argv[i][0] != '-' || !strcmp(argv[i], "--"))
            return i;
        for (int s = 0; s < n_set; s++)
            for (const struct sp_option *o = set[s].table; o->name; o++)
                if (o->kind != SP_OPT_FLAG && ((!strncmp(argv[i], "--", 2) && !strcmp(argv[i] + 2, o->name)) ||
                                               (o->letter && argv[i][1] == o->letter && !argv[i][2]))) {
                    i++; /* its value is the next word */
                    s = n_set - 1;
                    break;
                }
    }
    return argc;
}

static enum sp_status check_operands(const struct verb_call *call, struct sp_err *err)
{
    const struct verb *v = call->verb;
    if (call->n_operands > v->operands_max) {
        sp_fail(err, SP_USAGE, "did not expect \"%s\"", call->operands[v->operands_max]);
        return sp_remedy(err, "sparsam %s --help shows what it takes", v->name);
    }
    if (call->n_operands < v->operands_min) {
        sp_fail(err, SP_USAGE, "something is missing: sparsam %s %s", v->name, v->operands);
        return sp_remedy(err, "sparsam %s --help shows examples", v->name);
    }
    return SP_OK;
}

static enum sp_status read_words(struct verb_call *call, struct sp_option_set *set, int n_set, int argc, char **argv,
                                 struct sp_err *err)
{
    int own = option_words(call->verb, set, n_set, argc, argv), n = 0;
    TRY(sp_option_parse(set, n_set, own, argv, &n, err));
    if (own < argc && !strcmp(argv[own], "--"))
        own++;
    if (call->verb->rest && own <= argc && n == 0) {
        call->operands = argv + own;
        call->n_operands = argc - own;
    } else {
        call->operands = argv;
        call->n_operands = n;
    }
    return SP_OK;
}

enum sp_status sp_verb_parse(const struct verb *v, int argc, char **argv, struct verb_call *call, struct sp_arena *mem,
                             enum verb_wanted *wanted, struct sp_err *err)
{
    struct recipe_flags flags = { 0 };
    struct sp_option_set set[VERB_SETS_MAX + 4];
    const struct verb_set *place = place_set(v);
    call->verb = v;
    call->options = sp_arena_take(mem, v->options_bytes + 1);
    char **copy = sp_arena_take(mem, ((size_t)argc + 1) * sizeof *copy);
    if (!call->options || !copy)
        return sp_fail(err, SP_NOMEM, "out of memory for the command line");
    memcpy(copy, argv, (size_t)argc * sizeof *copy);
    int own = sp_verb_sets(call, set), n = own;
    set[n++] = (struct sp_option_set){ sp_common_options, &call->common };
    set[n++] = (struct sp_option_set){ help_options, &flags };
    if (!place)
        set[n++] = (struct sp_option_set){ sp_recipe_place_options, &call->common.place };
    if (sp_verb_has_recipe(v))
        set[n++] = (struct sp_option_set){ sp_recipe_options, &flags };
    sp_option_defaults(set, n);
    TRY(read_words(call, set, n, argc, copy, err));
    if (flags.path) {
        struct recipe_reader reader = { set, own, mem };
        sp_option_defaults(set, own);
        enum sp_status st = sp_yaml_read(flags.path, take_key, &reader, err);
        if (st)
            return st == SP_FORMAT ? (err->status = SP_USAGE) : st;
        memcpy(copy, argv, (size_t)argc * sizeof *copy);
        TRY(read_words(call, set, n, argc, copy, err));
    }
    if (place)
        call->common.place = *(const struct sp_recipe_place *)(const void *)((const char *)call->options + place->at);
    *wanted = flags.help ? VERB_HELP : flags.print ? VERB_PRINT_RECIPE : VERB_RUN;
    return *wanted == VERB_RUN ? check_operands(call, err) : SP_OK;
}

const char *sp_verb_ledger_path(const struct verb_common *c, char *buf, size_t cap)
{
    const char *given = c->ledger ? c->ledger : getenv("SPARSAM_LEDGER");
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (c->no_ledger)
        return NULL;
    if (given && *given)
        snprintf(buf, cap, "%s", given);
    else if (data && *data == '/')
        snprintf(buf, cap, "%s/sparsam/ledger.db", data);
    else
        snprintf(buf, cap, "%s/.local/share/sparsam/ledger.db", home && *home ? home : ".");
    return buf;
}
