/* base/option_help.c - what an option table says of itself: --help, the manual
 * page, a complete recipe.
 * SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <string.h>

enum { COLUMN = 30, WIDTH = 100 };

static const char *value_name(const struct sp_option *o)
{
    switch (o->kind) {
    case SP_OPT_INT: return "N";
    case SP_OPT_REAL: return "X";
    case SP_OPT_FLAG: return "";
    case SP_OPT_CHOICE: return "WORD";
    default: return "TEXT";
    }
}

/* "1 to 64 tokens, normally 8" */
static void bounds(const struct sp_option *o, struct sp_text *t)
{
    char a[32], b[32], c[32];
    const char *gap = o->unit ? " " : "", *unit = o->unit ? o->unit : "";
    if (o->kind == SP_OPT_INT || o->kind == SP_OPT_REAL)
        sp_text_printf(t, "%s to %s%s%s, normally %s", sp_show_number(o->min, a, sizeof a), sp_show_number(o->max, b, sizeof b), gap, unit,
                       sp_show_number(o->fallback, c, sizeof c));
    for (int i = 0; o->kind == SP_OPT_CHOICE && o->choices[i]; i++)
        sp_text_printf(t, "%s%s%s", i ? ", " : "", o->choices[i], i == (int)o->fallback ? " (normally)" : "");
    if (o->kind == SP_OPT_TEXT && o->fallback_text)
        sp_text_printf(t, "normally %s", o->fallback_text);
    if (o->kind == SP_OPT_LIST)
        sp_text_printf(t, "may be repeated");
}

static void wrapped(const char *s, FILE *out)
{
    int at = COLUMN;
    while (*s) {
        size_t n = strcspn(s, " \n");
        if (at + (int)n + 1 > WIDTH && at > COLUMN) {
            fprintf(out, "\n%*s", COLUMN, "");
            at = COLUMN;
        }
        fprintf(out, "%s%.*s", at > COLUMN ? " " : "", (int)n, s);
        at += (int)n + 1;
        s += n + (s[n] != 0);
    }
    fputc('\n', out);
}

void sp_option_help(const struct sp_option *table, FILE *out)
{
    const char *group = "";
    for (const struct sp_option *o = table; o->name; o++) {
        char flag[80];
        struct sp_text text = { 0 };
        if (o->group && strcmp(o->group, group))
            fprintf(out, "\n%s:\n", group = o->group);
        snprintf(flag, sizeof flag, "  %c%c%c --%s %s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ', o->letter ? ',' : ' ', o->name,
                 value_name(o));
        fprintf(out, "%-*s%s", COLUMN - 1, flag, strlen(flag) >= COLUMN ? "\n" : " ");
        if (strlen(flag) >= COLUMN)
            fprintf(out, "%*s", COLUMN, "");
        sp_text_printf(&text, "%s", o->help);
        struct sp_text b = { 0 };
        bounds(o, &b);
        if (b.n)
            sp_text_printf(&text, " (%s)", b.at);
        wrapped(text.at ? text.at : o->help, out);
        sp_text_clear(&b);
        sp_text_clear(&text);
    }
}

static void groff(const char *s, FILE *out)
{
    for (; *s; s++)
        if (*s == '-')
            fputs("\\-", out);
        else if (*s == '\\')
            fputs("\\e", out);
        else
            fputc(*s, out);
}

void sp_option_man(const struct sp_option *table, FILE *out)
{
    for (const struct sp_option *o = table; o->name; o++) {
        struct sp_text b = { 0 };
        bounds(o, &b);
        fputs(".TP\n\\fB\\-\\-", out);
        groff(o->name, out);
        fprintf(out, "\\fR \\fI%s\\fR\n", value_name(o));
        groff(o->help, out);
        if (b.n) {
            fputs(" (", out);
            groff(b.at, out);
            fputc(')', out);
        }
        fputc('\n', out);
        sp_text_clear(&b);
    }
}

/* ---- the complete recipe ---- */

static void quoted(const char *s, FILE *out)
{
    fputc('"', out);
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if (*s == '\n')
            fputs("\\n", out);
        else
            fputc(*s, out);
    fputc('"', out);
}

static void exact(double v, FILE *out)
{
    char buf[40];
    double back = 0;
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buf, sizeof buf, "%.*g", digits, v);
        char *comma = strchr(buf, ',');
        if (comma)
            *comma = '.';
        if (sp_parse_real(buf, &back) && !(back < v) && !(back > v))
            break;
    }
    fputs(buf, out);
}

static void yaml_value(const struct sp_option *o, const void *into, FILE *out)
{
    const char *at = (const char *)into + o->at;
    const struct sp_option_list *list = (const void *)at;
    switch (o->kind) {
    case SP_OPT_INT: fprintf(out, " %lld", (long long)*(const int64_t *)(const void *)at); break;
    case SP_OPT_REAL: fputc(' ', out); exact(*(const double *)(const void *)at, out); break;
    case SP_OPT_FLAG: fputs(*(const bool *)at ? " true" : " false", out); break;
    case SP_OPT_CHOICE: fprintf(out, " %s", o->choices[*(const int *)(const void *)at]); break;
    case SP_OPT_TEXT: fputc(' ', out); quoted(*(const char *const *)(const void *)at, out); break;
    case SP_OPT_LIST:
        fputs(" [", out);
        for (int i = 0; i < list->n; i++) {
            fputs(i ? ", " : "", out);
            quoted(list->at[i], out);
        }
        fputs("]", out);
        break;
    }
}

void sp_option_yaml(const struct sp_option_set *set, int n_set, FILE *out)
{
    char section[64] = "";
    for (int s = 0; s < n_set; s++)
        for (const struct sp_option *o = set[s].table; o->name; o++) {
            const char *dot = o->key ? strrchr(o->key, '.') : NULL;
            const char *text = o->kind == SP_OPT_TEXT ? *(const char *const *)(const void *)((const char *)set[s].into + o->at) : "";
            if (!o->key || !text || (o->kind == SP_OPT_LIST && !((const struct sp_option_list *)(const void *)((const char *)set[s].into + o->at))->n))
                continue;
            if (dot && ((size_t)(dot - o->key) != strlen(section) || strncmp(section, o->key, (size_t)(dot - o->key)))) {
                snprintf(section, sizeof section, "%.*s", (int)(dot - o->key), o->key);
                fprintf(out, "%s:\n", section);
            }
            fprintf(out, "%s%s:", dot ? "  " : "", dot ? dot + 1 : o->key);
            yaml_value(o, set[s].into, out);
            fputc('\n', out);
        }
}
