/* base/option.c - option tables read: flags and recipe keys into structs.
 *
 * Reads every value through one function, so that a flag and a recipe key accept
 * the same text and refuse it with the same sentence: name, value, what is allowed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base.h"

enum {
    NAME_MAX_BYTES = 64, /* longer names get no suggestion               */
    LISTS_MAX = 32,      /* list options that one command line may set   */
};

struct place {
    const struct sp_option *row;
    unsigned char *field;
};

/* What one call of sp_option_parse knows. */
struct parse {
    const struct sp_option_set *set;
    int n_set, argc;
    char **argv;
    const void *list_seen[LISTS_MAX];
    int n_list_seen;
    struct sp_err *err;
};

void sp_option_defaults(const struct sp_option_set *set, int n_set)
{
    for (int i = 0; i < n_set; i++)
        for (const struct sp_option *o = set[i].table; o->name; o++) {
            void *field = (unsigned char *)set[i].into + o->at;
            switch (o->kind) {
            case SP_OPT_INT:
                *(int64_t *)field = (int64_t)o->fallback;
                break;
            case SP_OPT_REAL:
                *(double *)field = o->fallback;
                break;
            case SP_OPT_TEXT:
                *(const char **)field = o->fallback_text;
                break;
            case SP_OPT_FLAG:
                *(bool *)field = o->fallback != 0;
                break;
            case SP_OPT_CHOICE:
                *(int *)field = (int)o->fallback;
                break;
            case SP_OPT_LIST:
                ((struct sp_option_list *)field)->n = 0;
                break;
            }
        }
}

/* ---- one value ---- */

static enum sp_status refuse_number(const struct sp_option *o, const char *name, const char *value, struct sp_err *err)
{
    const char *kind = o->kind == SP_OPT_INT ? "a whole number" : "a number";
    const char *unit = o->unit ? o->unit : "", *gap = o->unit ? " " : "";
    if (o->min == 0 && o->max == 0)
        return sp_fail(err, SP_USAGE, "%s %s: wanted %s%s%s", name, value, kind, gap, unit);
    return sp_fail(err, SP_USAGE, "%s %s: wanted %s from %.15g to %.15g%s%s", name, value, kind, o->min, o->max, gap,
                   unit);
}

static bool in_bounds(const struct sp_option *o, double v)
{
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

static enum sp_status read_choice(const struct sp_option *o, const char *name, const char *value, int *field,
                                  struct sp_err *err)
{
    char list[256] = "";
    for (int i = 0; o->choices[i]; i++) {
        if (!strcmp(o->choices[i], value)) {
            *field = i;
            return SP_OK;
        }
        size_t n = strlen(list);
        sp_format(list + n, sizeof list - n, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return sp_fail(err, SP_USAGE, "%s %s: wanted one of %s", name, value, list);
}

static enum sp_status read_flag(const char *name, const char *value, bool *field, struct sp_err *err)
{
    static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < SP_COUNT(yes); i++)
        if (!strcmp(value, yes[i]) || !strcmp(value, no[i])) {
            *field = !strcmp(value, yes[i]);
            return SP_OK;
        }
    return sp_fail(err, SP_USAGE, "%s %s: wanted true or false", name, value);
}

/* `name` is how the user spelled the option; value must outlive the struct. */
static enum sp_status read_value(struct place p, const char *name, const char *value, struct sp_err *err)
{
    int64_t whole;
    double real;
    struct sp_option_list *list = (void *)p.field;
    switch (p.row->kind) {
    case SP_OPT_INT:
        if (!sp_parse_int(value, &whole) || !in_bounds(p.row, (double)whole))
            return refuse_number(p.row, name, value, err);
        *(int64_t *)(void *)p.field = whole;
        return SP_OK;
    case SP_OPT_REAL:
        if (!sp_parse_real(value, &real) || !in_bounds(p.row, real))
            return refuse_number(p.row, name, value, err);
        *(double *)(void *)p.field = real;
        return SP_OK;
    case SP_OPT_TEXT:
        *(const char **)(void *)p.field = value;
        return SP_OK;
    case SP_OPT_FLAG:
        return read_flag(name, value, (bool *)p.field, err);
    case SP_OPT_CHOICE:
        return read_choice(p.row, name, value, (int *)(void *)p.field, err);
    case SP_OPT_LIST:
        if (list->n >= SP_OPTION_LIST_MAX)
            return sp_fail(err, SP_LIMIT, "%s %s: given more than %d times", name, value, SP_OPTION_LIST_MAX);
        list->at[list->n++] = value;
        return SP_OK;
    }
    return SP_OK;
}

/* ---- the nearest name ---- */

/* The known name (or key) nearest to `s`, NULL when none is near. */
static const char *nearest(const struct sp_option_set *set, int n_set, const char *s, bool keys)
{
    const char *best = NULL;
    int least = 1 + ((int)strlen(s) < 6 ? 2 : (int)strlen(s) / 3);
    for (int i = 0; i < n_set; i++)
        for (const struct sp_option *o = set[i].table; o->name; o++) {
            const char *known = keys ? o->key : o->name;
            if (!known)
                continue;
            int d = sp_text_distance(s, known);
            if (*s && !strncmp(known, s, strlen(s)))
                d = 1;
            if (d < least) {
                least = d;
                best = known;
            }
        }
    return best;
}

static enum sp_status unknown(const struct parse *p, const char *dashes, const char *name)
{
    sp_fail(p->err, SP_USAGE, "unknown option %s%s", dashes, name);
    const char *near = dashes[1] ? nearest(p->set, p->n_set, name, false) : NULL;
    return near ? sp_remedy(p->err, "did you mean --%s?", near) : sp_remedy(p->err, "--help lists the options");
}

/* ---- a command line ---- */

static struct place find_name(const struct parse *p, const char *name, size_t n)
{
    for (int i = 0; i < p->n_set; i++)
        for (const struct sp_option *o = p->set[i].table; o->name; o++)
            if (strlen(o->name) == n && !memcmp(o->name, name, n))
                return (struct place){ o, (unsigned char *)p->set[i].into + o->at };
    return (struct place){ 0 };
}

static struct place find_letter(const struct parse *p, char letter)
{
    for (int i = 0; i < p->n_set; i++)
        for (const struct sp_option *o = p->set[i].table; o->name; o++)
            if (o->letter == letter)
                return (struct place){ o, (unsigned char *)p->set[i].into + o->at };
    return (struct place){ 0 };
}

/* A list starts anew where the command line first names it. */
static void renew_list(struct parse *p, struct place at)
{
    if (at.row->kind != SP_OPT_LIST)
        return;
    for (int i = 0; i < p->n_list_seen; i++)
        if (p->list_seen[i] == at.field)
            return;
    if (p->n_list_seen < LISTS_MAX)
        p->list_seen[p->n_list_seen++] = at.field;
    ((struct sp_option_list *)(void *)at.field)->n = 0;
}

/* value NULL: it is the next argument; *i moves over it. */
static enum sp_status take_value(struct parse *p, struct place at, const char *name, const char *value, int *i)
{
    if (!value && at.row->kind == SP_OPT_FLAG) {
        *(bool *)at.field = true;
        return SP_OK;
    }
    if (!value) {
        if (*i + 1 >= p->argc)
            return sp_fail(p->err, SP_USAGE, "%s: a value is missing", name);
        value = p->argv[++*i];
    }
    renew_list(p, at);
    return read_value(at, name, value, p->err);
}

static enum sp_status parse_long(struct parse *p, int *i)
{
    const char *arg = p->argv[*i], *name = arg + 2, *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    char spelled[NAME_MAX_BYTES + 8];
    sp_format(spelled, sizeof spelled, "--%.*s", (int)(n > NAME_MAX_BYTES ? NAME_MAX_BYTES : n), name);
    struct place at = find_name(p, name, n);
    if (at.row)
        return take_value(p, at, spelled, equals ? equals + 1 : NULL, i);
    if (!strncmp(name, "no-", 3)) {
        at = find_name(p, name + 3, n - 3);
        if (at.row && at.row->kind == SP_OPT_FLAG && !equals) {
            *(bool *)at.field = false;
            return SP_OK;
        }
    }
    return unknown(p, "--", spelled + 2);
}

/* -q, -qv (flags), -n5, -n 5 */
static enum sp_status parse_short(struct parse *p, int *i)
{
    const char *arg = p->argv[*i];
    for (const char *c = arg + 1; *c; c++) {
        char spelled[] = { '-', *c, 0 };
        struct place at = find_letter(p, *c);
        if (!at.row)
            return unknown(p, "-", spelled + 1);
        bool flag = at.row->kind == SP_OPT_FLAG;
        TRY(take_value(p, at, spelled, !flag && c[1] ? c + 1 : NULL, i));
        if (!flag)
            break;
    }
    return SP_OK;
}

/* Moves argv[i] to argv[to], the ones between one further. */
static void move_front(char **argv, int to, int i)
{
    char *operand = argv[i];
    memmove(argv + to + 1, argv + to, (size_t)(i - to) * sizeof *argv);
    argv[to] = operand;
}

enum sp_status sp_option_parse(const struct sp_option_set *set, int n_set, int argc, char **argv, int *n_operands,
                               struct sp_err *err)
{
    struct parse p = { .set = set, .n_set = n_set, .argc = argc, .argv = argv, .err = err };
    int n = 0;
    bool only_operands = false;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (only_operands || a[0] != '-' || !a[1])
            move_front(argv, n++, i);
        else if (!strcmp(a, "--"))
            only_operands = true;
        else if (a[1] == '-')
            TRY(parse_long(&p, &i));
        else
            TRY(parse_short(&p, &i));
    }
    *n_operands = n;
    return SP_OK;
}

/* ---- a recipe key ---- */

enum sp_status sp_option_set_key(const struct sp_option_set *set, int n_set, const char *key, const char *value,
                                 struct sp_arena *mem, struct sp_err *err)
{
    for (int i = 0; i < n_set; i++)
        for (const struct sp_option *o = set[i].table; o->name; o++) {
            if (!o->key || strcmp(o->key, key))
                continue;
            struct place at = { o, (unsigned char *)set[i].into + o->at };
            if (o->kind == SP_OPT_TEXT || o->kind == SP_OPT_LIST)
                value = sp_arena_printf(mem, "%s", value);
            if (!value)
                return sp_fail(err, SP_NOMEM, "%s: out of memory", key);
            return read_value(at, key, value, err);
        }
    sp_fail(err, SP_MISSING, "unknown key %s", key);
    const char *near = nearest(set, n_set, key, true);
    return near ? sp_remedy(err, "did you mean %s?", near) : SP_MISSING;
}
