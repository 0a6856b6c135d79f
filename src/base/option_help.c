/* base/option_help.c - option tables printed: --help, manual section, recipe.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include "base.h"

enum { HELP_COLUMN = 28, HELP_WIDTH = 80, VALUE_MAX = 64 };

/* ---- what all three print ---- */

/* The shortest decimal that reads back as v. */
static const char *real_text(double v, char *buf, size_t cap)
{
    double back;
    for (int digits = 6; digits <= 17; digits++) {
        sp_format(buf, cap, "%.*g", digits, v);
        if (sp_parse_real(buf, &back) && back == v)
            break;
    }
    return buf;
}

static const char *value_word(const struct sp_option *o)
{
    static const char *const words[] = { "N", "X", "TEXT", "", "WORD", "TEXT" };
    return words[o->kind];
}

static void add_default(struct sp_text *t, const struct sp_option *o)
{
    char num[VALUE_MAX];
    const char *gap = o->unit ? " " : "", *unit = o->unit ? o->unit : "";
    if ((o->kind == SP_OPT_INT || o->kind == SP_OPT_REAL) && !isnan(o->fallback))
        sp_text_printf(t, "default %s%s%s", real_text(o->fallback, num, sizeof num), gap, unit);
    else if (o->kind == SP_OPT_TEXT && o->fallback_text)
        sp_text_printf(t, "default %s", o->fallback_text);
    else if (o->kind == SP_OPT_FLAG && o->fallback != 0)
        sp_text_printf(t, "default on, --no-%s switches off", o->name);
    else if (o->kind == SP_OPT_CHOICE)
        sp_text_printf(t, "default %s", o->choices[(int)o->fallback]);
    else if (o->kind == SP_OPT_LIST)
        sp_text_printf(t, "may be repeated");
}

static void add_allowed(struct sp_text *t, const struct sp_option *o)
{
    char low[VALUE_MAX], high[VALUE_MAX];
    if (o->kind == SP_OPT_CHOICE)
        for (int i = 0; o->choices[i]; i++)
            sp_text_printf(t, "%s%s", i ? ", " : "", o->choices[i]);
    else if ((o->kind == SP_OPT_INT || o->kind == SP_OPT_REAL) && (o->min != 0 || o->max != 0))
        sp_text_printf(t, "%s to %s", real_text(o->min, low, sizeof low), real_text(o->max, high, sizeof high));
}

/* "help (allowed; default)"; .full when memory ran out. */
static struct sp_text describe(const struct sp_option *o)
{
    struct sp_text t = { 0 }, more = { 0 };
    add_allowed(&more, o);
    if (more.n)
        sp_text_printf(&more, "; ");
    size_t before = more.n;
    add_default(&more, o);
    if (more.n == before && more.n)
        more.at[more.n -= 2] = 0;
    sp_text_printf(&t, "%s", o->help ? o->help : "");
    if (more.n)
        sp_text_printf(&t, "%s(%s)", t.n ? " " : "", more.at);
    t.full = t.full || more.full;
    sp_text_clear(&more);
    return t;
}

/* A row without a heading stands under that of the row before it. */
static const char *group_of(const struct sp_option *table, const struct sp_option *o)
{
    while (!o->group && o > table)
        o--;
    return o->group ? o->group : "Options";
}

static bool group_begins(const struct sp_option *table, const struct sp_option *o)
{
    for (const struct sp_option *p = table; p < o; p++)
        if (!strcmp(group_of(table, p), group_of(table, o)))
            return false;
    return true;
}

/* Rows of one heading together, headings in the order they first appear. */
static void each_group(const struct sp_option *table, FILE *out, void (*heading)(FILE *, const char *),
                       void (*row)(FILE *, const struct sp_option *))
{
    for (const struct sp_option *g = table; g->name; g++) {
        if (!group_begins(table, g))
            continue;
        heading(out, group_of(table, g));
        for (const struct sp_option *o = g; o->name; o++)
            if (!strcmp(group_of(table, o), group_of(table, g)))
                row(out, o);
    }
}

/* ---- terminal ---- */

static void help_heading(FILE *out, const char *group)
{
    fprintf(out, "%s:\n", group);
}

/* Words of s from `column` on, wrapped at HELP_WIDTH. */
static void help_wrap(FILE *out, const char *s, int column)
{
    for (bool first = true; *s; first = false) {
        int n = (int)strcspn(s, " ");
        if (!first && column + 1 + n > HELP_WIDTH) {
            fprintf(out, "\n%*s", HELP_COLUMN, "");
            column = HELP_COLUMN;
        } else if (!first) {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", n, s);
        column += n;
        s += n;
        s += strspn(s, " ");
    }
    fputc('\n', out);
}

static void help_row(FILE *out, const struct sp_option *o)
{
    char left[128], letter[8] = "    ";
    if (o->letter)
        sp_format(letter, sizeof letter, "-%c, ", o->letter);
    int n = sp_format(left, sizeof left, "  %s--%s%s%s", letter, o->name, o->kind == SP_OPT_FLAG ? "" : " ",
                      value_word(o));
    fputs(left, out);
    if (n + 2 > HELP_COLUMN)
        fprintf(out, "\n%*s", HELP_COLUMN, "");
    else
        fprintf(out, "%*s", HELP_COLUMN - n, "");
    struct sp_text t = describe(o);
    help_wrap(out, t.at ? t.at : "", HELP_COLUMN);
    sp_text_clear(&t);
}

void sp_option_help(const struct sp_option *table, FILE *out)
{
    each_group(table, out, help_heading, help_row);
}

/* ---- manual: groff man(7) ---- */

static void man_text(FILE *out, const char *s)
{
    if (*s == '.' || *s == '\'')
        fputs("\\&", out);
    for (; *s; s++) {
        if (*s == '-')
            fputs("\\-", out);
        else if (*s == '\\')
            fputs("\\e", out);
        else
            fputc(*s == '\n' ? ' ' : *s, out);
    }
}

static void man_heading(FILE *out, const char *group)
{
    fputs(".SS ", out);
    man_text(out, group);
    fputc('\n', out);
}

static void man_row(FILE *out, const struct sp_option *o)
{
    fputs(".TP\n", out);
    if (o->letter)
        fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", out);
    man_text(out, o->name);
    fputs("\\fR", out);
    if (o->kind != SP_OPT_FLAG)
        fprintf(out, " \\fI%s\\fR", value_word(o));
    fputc('\n', out);
    struct sp_text t = describe(o);
    man_text(out, t.at ? t.at : "");
    if (o->key) {
        fputs(" Recipe key: ", out);
        man_text(out, o->key);
        fputc('.', out);
    }
    fputc('\n', out);
    sp_text_clear(&t);
}

void sp_option_man(const struct sp_option *table, FILE *out)
{
    each_group(table, out, man_heading, man_row);
}

/* ---- recipe: dotted keys as nested mappings, in the order of the rows ---- */

static void yaml_quoted(FILE *out, const char *s)
{
    fputc('"', out);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            fprintf(out, "\\x%02X", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void yaml_list(FILE *out, const struct sp_option_list *list)
{
    fputc('[', out);
    for (int i = 0; i < list->n; i++) {
        fputs(i ? ", " : "", out);
        yaml_quoted(out, list->at[i]);
    }
    fputc(']', out);
}

static void yaml_value(FILE *out, const struct sp_option *o, const void *field)
{
    char num[VALUE_MAX];
    const char *text;
    switch (o->kind) {
    case SP_OPT_INT:
        fprintf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case SP_OPT_REAL:
        fputs(isnan(*(const double *)field) ? "null" : real_text(*(const double *)field, num, sizeof num), out);
        break;
    case SP_OPT_TEXT:
        text = *(const char *const *)field;
        if (text)
            yaml_quoted(out, text);
        else
            fputs("null", out);
        break;
    case SP_OPT_FLAG:
        fputs(*(const bool *)field ? "true" : "false", out);
        break;
    case SP_OPT_CHOICE:
        yaml_quoted(out, o->choices[*(const int *)field]);
        break;
    case SP_OPT_LIST:
        yaml_list(out, field);
        break;
    }
}

/* What the walk over the keys carries: the rows of every set, one after another. */
struct yaml {
    const struct sp_option_set *set;
    int n_set;
    FILE *out;
};

/* The i-th row over all sets; NULL at the end. */
static const struct sp_option *yaml_row(const struct yaml *y, int i, const void **field)
{
    for (int s = 0; s < y->n_set; s++)
        for (const struct sp_option *o = y->set[s].table; o->name; o++)
            if (i-- == 0) {
                *field = (const unsigned char *)y->set[s].into + o->at;
                return o;
            }
    return NULL;
}

/* Did an earlier row begin with the first n bytes of this key and end there, or go on with a dot? */
static bool yaml_seen(const struct yaml *y, int before, const char *key, size_t n)
{
    const void *field;
    for (int i = 0; i < before; i++) {
        const struct sp_option *o = yaml_row(y, i, &field);
        if (o->key && !strncmp(o->key, key, n) && (o->key[n] == '.' || !o->key[n]))
            return true;
    }
    return false;
}

/* Every key that begins with prefix[0..n), from row `from` on. */
static void yaml_level(const struct yaml *y, int from, const char *prefix, size_t n, int depth)
{
    const void *field;
    const struct sp_option *o;
    for (int i = from; (o = yaml_row(y, i, &field)); i++) {
        if (!o->key || strncmp(o->key, prefix, n))
            continue;
        size_t end = n + strcspn(o->key + n, ".");
        if (yaml_seen(y, i, o->key, end))
            continue;
        fprintf(y->out, "%*s%.*s:", 2 * depth, "", (int)(end - n), o->key + n);
        if (o->key[end]) {
            fputc('\n', y->out);
            yaml_level(y, i, o->key, end + 1, depth + 1);
            continue;
        }
        fputc(' ', y->out);
        yaml_value(y->out, o, field);
        fprintf(y->out, "%s%s\n", o->help ? "  # " : "", o->help ? o->help : "");
    }
}

void sp_option_yaml(const struct sp_option_set *set, int n_set, FILE *out)
{
    struct yaml y = { set, n_set, out };
    yaml_level(&y, 0, "", 0, 0);
}
