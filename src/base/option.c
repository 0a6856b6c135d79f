/* base/option.c - option tables: defaults, flags, recipe keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <string.h>

enum { SUGGEST_WITHIN = 3, NAME_MAX_BYTES = 64 };

static void *field(const struct sp_option *o, void *into)
{
    return (char *)into + o->at;
}

static void set_default(const struct sp_option *o, void *into)
{
    switch (o->kind) {
    case SP_OPT_INT: *(int64_t *)field(o, into) = (int64_t)o->fallback; break;
    case SP_OPT_REAL: *(double *)field(o, into) = o->fallback; break;
    case SP_OPT_TEXT: *(const char **)field(o, into) = o->fallback_text; break;
    case SP_OPT_FLAG: *(bool *)field(o, into) = o->fallback != 0; break;
    case SP_OPT_CHOICE: *(int *)field(o, into) = (int)o->fallback; break;
    case SP_OPT_LIST: *(struct sp_option_list *)field(o, into) = (struct sp_option_list){ 0 }; break;
    }
}

void sp_option_defaults(const struct sp_option_set *set, int n_set)
{
    for (int s = 0; s < n_set; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++)
            set_default(o, set[s].into);
}

/* ---- one value ---- */

static enum sp_status out_of_bounds(const struct sp_option *o, const char *text, struct sp_err *err)
{
    const char *unit = o->unit ? o->unit : "", *gap = o->unit ? " " : "";
    sp_fail(err, SP_USAGE, "--%s must be %s from %.10g to %.10g%s%s, not '%s'", o->name,
            o->kind == SP_OPT_INT ? "a whole number" : "a number", o->min, o->max, gap, unit, text);
    return sp_remedy(err, "--help shows what it means");
}

static enum sp_status set_choice(const struct sp_option *o, void *into, const char *text, struct sp_err *err)
{
    struct sp_text all = { .max = 400 };
    for (int i = 0; o->choices[i]; i++) {
        if (!strcmp(o->choices[i], text)) {
            *(int *)field(o, into) = i;
            return SP_OK;
        }
        sp_text_printf(&all, "%s%s", i ? ", " : "", o->choices[i]);
    }
    sp_fail(err, SP_USAGE, "--%s must be one of %s, not '%s'", o->name, all.at ? all.at : "its choices", text);
    sp_text_clear(&all);
    return SP_USAGE;
}

static enum sp_status set_flag(const struct sp_option *o, void *into, const char *text, struct sp_err *err)
{
    static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
    for (size_t i = 0; i < SP_COUNT(yes); i++)
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *(bool *)field(o, into) = !strcmp(text, yes[i]);
            return SP_OK;
        }
    return sp_fail(err, SP_USAGE, "--%s must be true or false, not '%s'", o->name, text);
}

static enum sp_status set_value(const struct sp_option *o, void *into, const char *text, struct sp_err *err)
{
    int64_t i;
    double v;
    struct sp_option_list *list;
    switch (o->kind) {
    case SP_OPT_INT:
        if (!sp_parse_int(text, &i) || (double)i < o->min || (double)i > o->max)
            return out_of_bounds(o, text, err);
        *(int64_t *)field(o, into) = i;
        return SP_OK;
    case SP_OPT_REAL:
        if (!sp_parse_real(text, &v) || v < o->min || v > o->max)
            return out_of_bounds(o, text, err);
        *(double *)field(o, into) = v;
        return SP_OK;
    case SP_OPT_TEXT: *(const char **)field(o, into) = text; return SP_OK;
    case SP_OPT_FLAG: return set_flag(o, into, text, err);
    case SP_OPT_CHOICE: return set_choice(o, into, text, err);
    case SP_OPT_LIST:
        list = field(o, into);
        if (list->n == SP_OPTION_LIST_MAX)
            return sp_fail(err, SP_USAGE, "--%s is given more than %d times", o->name, SP_OPTION_LIST_MAX);
        list->at[list->n++] = text;
        return SP_OK;
    }
    return SP_OK;
}

/* ---- flags ---- */

static int distance(const char *a, const char *b)
{
    int row[NAME_MAX_BYTES + 1], n = (int)strlen(b);
    if (n > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            best = row[j] + 1 < best ? row[j] + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
        }
    }
    return row[n];
}

static enum sp_status unknown(const struct sp_option_set *set, int n_set, const char *arg, struct sp_err *err)
{
    const char *best = NULL;
    int least = SUGGEST_WITHIN + 1;
    for (int s = 0; s < n_set; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++) {
            int d = distance(arg + 2, o->name);
            if (!strncmp(arg, "--", 2) && d < least) {
                least = d;
                best = o->name;
            }
        }
    sp_fail(err, SP_USAGE, "there is no option %s", arg);
    return best ? sp_remedy(err, "did you mean --%s?", best) : sp_remedy(err, "--help lists them");
}

struct found { const struct sp_option *option; void *into; const char *value; bool negated; };

static bool matches(const struct sp_option *o, const char *arg, struct found *f)
{
    size_t n = strlen(o->name);
    if (arg[1] != '-')
        return o->letter && arg[1] == o->letter && !arg[2];
    if (!strncmp(arg + 2, o->name, n) && (!arg[2 + n] || arg[2 + n] == '=')) {
        f->value = arg[2 + n] ? arg + 3 + n : NULL;
        return true;
    }
    f->negated = o->kind == SP_OPT_FLAG && !strncmp(arg, "--no-", 5) && !strcmp(arg + 5, o->name);
    return f->negated;
}

static struct found find(const struct sp_option_set *set, int n_set, const char *arg)
{
    for (int s = 0; s < n_set; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++) {
            struct found f = { .option = o, .into = set[s].into };
            if (matches(o, arg, &f))
                return f;
        }
    return (struct found){ 0 };
}

enum sp_status sp_option_parse(const struct sp_option_set *set, int n_set, int argc, char **argv, int *n_operands, struct sp_err *err)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (!strcmp(argv[i], "--")) {
            while (++i < argc)
                argv[kept++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            argv[kept++] = argv[i];
            continue;
        }
        struct found f = find(set, n_set, argv[i]);
        if (!f.option)
            return unknown(set, n_set, argv[i], err);
        if (f.option->kind == SP_OPT_FLAG && !f.value)
            f.value = f.negated ? "false" : "true";
        else if (!f.value && ++i == argc)
            return sp_fail(err, SP_USAGE, "--%s wants a value", f.option->name);
        TRY(set_value(f.option, f.into, f.value ? f.value : argv[i], err));
    }
    *n_operands = kept;
    return SP_OK;
}

enum sp_status sp_option_set_key(const struct sp_option_set *set, int n_set, const char *key, const char *value, struct sp_arena *mem,
                                 struct sp_err *err)
{
    for (int s = 0; s < n_set; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++) {
            if (!o->key || strcmp(o->key, key))
                continue;
            char *copy = sp_arena_printf(mem, "%s", value);
            if (!copy)
                return sp_fail(err, SP_NOMEM, "no memory for the value of %s", key);
            if (set_value(o, set[s].into, copy, err))
                return sp_where(err, "%s", key);
            return SP_OK;
        }
    sp_fail(err, SP_MISSING, "a recipe has no key '%s'", key);
    return sp_remedy(err, "--print-recipe shows all of them");
}
