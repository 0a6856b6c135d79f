/* cli/help.c - the overview, a verb's help and the manual page, from the tables.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sparsam.h>
#include "verb.h"

static const char overview[] =
    "sparsam says what an AI model costs, makes it cheaper, and proves the saving.\n";

static const char closing[] =
    "Every verb explains itself:\n"
    "\n"
    "  sparsam VERB --help\n"
    "\n"
    "A first look, a few minutes on real text:\n"
    "\n"
    "  make demo\n"
    "\n"
    "Every verb prints one JSON object with --json, keeps quiet with --quiet, and\n"
    "books what it did in a ledger that `sparsam report` reads.  Exit status: 0 done,\n"
    "1 failed, 2 wrong usage.\n";

void sp_help_overview(FILE *out)
{
    fprintf(out, "%s\nusage: sparsam VERB [options] [operands]\n\n", overview);
    for (const struct verb *const *v = sp_verbs; *v; v++)
        fprintf(out, "  %-15s %s\n", (*v)->name, (*v)->help);
    fprintf(out, "\n%s", closing);
}

void sp_help_group(const char *first, FILE *out)
{
    size_t n = strlen(first);
    fprintf(out, "usage: sparsam %s WHAT [options] [operands]\n\n", first);
    for (const struct verb *const *v = sp_verbs; *v; v++)
        if (!strncmp((*v)->name, first, n) && (*v)->name[n] == ' ')
            fprintf(out, "  %-15s %s\n", (*v)->name, (*v)->help);
    fprintf(out, "\nsparsam %s WHAT --help explains each.\n", first);
}

void sp_help_verb(const struct verb *v, FILE *out)
{
    fprintf(out, "sparsam %s: %s\n\nusage: sparsam %s [options]%s%s\n\n%s", v->name, v->help, v->name,
            *v->operands ? " " : "", v->operands, v->text);
    for (const struct verb_set *s = v->sets; s < v->sets + VERB_SETS_MAX && s->table; s++)
        sp_option_help(s->table, out);
    if (sp_verb_has_recipe(v))
        sp_option_help(sp_recipe_options, out);
    if (!sp_verb_has_place(v))
        sp_option_help(sp_recipe_place_options, out);
    sp_option_help(sp_common_options, out);
}

/* One line of text for groff: backslashes doubled, a leading dot or quote disarmed. */
static void man_line(const char *s, size_t n, FILE *out)
{
    if (n && (*s == '.' || *s == '\''))
        fputs("\\&", out);
    for (; n; n--, s++)
        fputs(*s == '\\' ? "\\e" : *s == '-' ? "\\-" : (char[]){ *s, 0 }, out);
    fputc('\n', out);
}

/* Paragraphs are filled; lines that begin with two spaces stand as they are. */
static void man_text(const char *text, FILE *out)
{
    bool example = false;
    for (const char *s = text, *e; *s; s = *e ? e + 1 : e) {
        e = s + strcspn(s, "\n");
        bool now = e - s >= 2 && s[0] == ' ' && s[1] == ' ';
        if (now != example && (now || e != s)) {
            fputs(now ? ".RS 2\n.nf\n" : ".fi\n.RE\n", out);
            example = now;
        }
        if (e == s)
            fputs(example ? "\n" : ".PP\n", out);
        else
            man_line(s + (now ? 2 : 0), (size_t)(e - s) - (now ? 2 : 0), out);
    }
    if (example)
        fputs(".fi\n.RE\n", out);
}

static void man_verb(const struct verb *v, FILE *out)
{
    fprintf(out, ".SS \"sparsam %s \\- %s\"\n.B sparsam %s\n[options] %s\n.PP\n", v->name, v->help, v->name, v->operands);
    man_text(v->text, out);
    for (const struct verb_set *s = v->sets; s < v->sets + VERB_SETS_MAX && s->table; s++)
        if (s->table != sp_recipe_place_options)
            sp_option_man(s->table, out);
}

void sp_help_man(FILE *out)
{
    fprintf(out,
            ".TH SPARSAM 1 \"\" \"sparsam " SPARSAM_VERSION "\" \"User Commands\"\n"
            ".SH NAME\nsparsam \\- what an AI model costs, how it gets cheaper, what that really saved\n"
            ".SH SYNOPSIS\n.B sparsam\n.I VERB\n[options] [operands]\n.SH DESCRIPTION\n");
    man_text(overview, out);
    man_text(closing, out);
    fputs(".SH VERBS\n", out);
    for (const struct verb *const *v = sp_verbs; *v; v++)
        man_verb(*v, out);
    fputs(".SH OPTIONS OF EVERY VERB\n", out);
    sp_option_man(sp_common_options, out);
    sp_option_man(sp_recipe_place_options, out);
    fputs(".SH OPTIONS OF VERBS THAT TAKE A RECIPE\n", out);
    sp_option_man(sp_recipe_options, out);
    fputs(".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage.\n.B sparsam measure\n"
          "passes the status of its command on; its own failures are 125 to 127.\n"
          ".SH ENVIRONMENT\n.TP\n.B SPARSAM_LEDGER\nthe ledger's path\n"
          ".TP\n.B SPARSAM_CPU\nkernel rows to allow: portable, avx2, avx512, \\-dnnl\n"
          ".TP\n.B SPARSAM_LOG\nerror, warn, info or debug\n", out);
}
