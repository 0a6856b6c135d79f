/* graph/print.c - a program as C99 that needs nothing.
 *
 * There is no second implementation: the text of the portable kernels is
 * printed, and one call a step with constant arguments.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "graph.h"

struct printer { FILE *out; const struct sp_state *state; };

static bool first_use(const struct sp_program *const *p, int n, int at, int step)
{
    const char *source = p[at]->step[step].kernel->source; /* several kernels may share a text */
    for (int i = 0; i <= at && i < n; i++)
        for (int j = 0; j < (i == at ? step : p[i]->n); j++)
            if (p[i]->step[j].kernel->source == source)
                return false;
    return true;
}

/* Whether a step reads numbers in blocks (of Q8_0 the plain text knows). */
static bool reads_blocks(const struct sp_step *s)
{
    for (const struct sp_field *f = s->kernel->fields; f->name; f++) {
        const char *end = strstr(f->name, "_format");
        int32_t format;
        memcpy(&format, s->args + f->at, sizeof format);
        if (f->kind == SP_FIELD_I32 && end && format >= 0 && format < SP_FORMATS && format != SP_Q8_0 && sp_formats[format].block > 1)
            return true;
    }
    return false;
}

static void print_kernels(const struct sp_program *const *p, int n, FILE *out)
{
    bool blocks = false;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < p[i]->n; j++)
            blocks |= reads_blocks(&p[i]->step[j]);
    if (!blocks)
        fputs("#define SP_PLAIN_FORMATS 1\n", out);
    fputs(sp_kernel_prelude, out);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < p[i]->n; j++)
            if (first_use(p, n, i, j))
                fputs(p[i]->step[j].kernel->source, out);
}

static void print_float(FILE *out, double v)
{
    if (isnan(v))
        fputs("(0.0f / 0.0f)", out);
    else if (isinf(v))
        fputs(v > 0 ? "(1.0f / 0.0f)" : "(-1.0f / 0.0f)", out);
    else
        fprintf(out, "%a", v);
}

static void print_number(FILE *out, const struct sp_field *f, const unsigned char *args)
{
    const void *at = args + f->at;
    switch (f->kind) {
    case SP_FIELD_I64: fprintf(out, "INT64_C(%lld)", (long long)*(const int64_t *)at); break;
    case SP_FIELD_U64: fprintf(out, "UINT64_C(%llu)", (unsigned long long)*(const uint64_t *)at); break;
    case SP_FIELD_I32: fprintf(out, "%d", (int)*(const int32_t *)at); break;
    case SP_FIELD_F32: print_float(out, (double)*(const float *)at); fputs("f", out); break;
    case SP_FIELD_F64: print_float(out, *(const double *)at); break;
    default: break;
    }
}

static void print_step(FILE *out, const char *name, const struct sp_step *s, int number)
{
    const char *sep = " ";
    int i = 0;
    fprintf(out, "    {\n        static const %s a%d = {", s->kernel->args_type, number);
    for (const struct sp_field *f = s->kernel->fields; f->name; f++) {
        if (f->kind > SP_FIELD_WORK) {
            fprintf(out, "%s.%s = ", sep, f->name);
            print_number(out, f, s->args);
        } else if (!s->ptr[i].none) {
            fprintf(out, "%s.%s = (%s)(void *)(%s.at + %lld)", sep, f->name, f->ctype,
                    s->ptr[i].in_state ? "sp_state" : name, (long long)s->ptr[i].at);
        } else {
            fprintf(out, "%s.%s = 0", sep, f->name);
        }
        i += f->kind <= SP_FIELD_WORK;
        sep = ", ";
    }
    fputs(" };\n", out);
    for (int phase = 0; phase < s->kernel->phases; phase++)
        fprintf(out, "        for (int64_t t = 0; t < %lld; t++)\n            %s(&a%d, %d, t);\n",
                (long long)s->kernel->tasks(s->args, phase), s->kernel->function, number, phase);
    fputs("    }\n", out);
}

static void print_lookup(const struct printer *r, const struct sp_program *p, const char *arena)
{
    fprintf(r->out, "\nvoid *%s_at(const char *name);\nvoid *%s_at(const char *name)\n{\n", p->name, p->name);
    for (int i = 0; i < p->n_named; i++)
        fprintf(r->out, "    if (!sp_differ(name, \"%s\"))\n        return %s.at + %lld;\n", p->named[i].name,
                p->named[i].place.in_state ? "sp_state" : arena, (long long)p->named[i].place.at);
    for (int i = 0; i < r->state->n; i++)
        fprintf(r->out, "    if (!sp_differ(name, \"%s\"))\n        return sp_state.at + %lld;\n", r->state->entry[i].name,
                (long long)r->state->entry[i].at);
    fputs("    return 0;\n}\n", r->out);
}

static void print_program(const struct printer *r, const struct sp_program *p)
{
    char arena[128];
    snprintf(arena, sizeof arena, "%s_arena", p->name);
    fprintf(r->out, "\nstatic union { double align[8]; unsigned char at[%lld]; } %s;\n", (long long)p->arena_bytes + 64, arena);
    print_lookup(r, p, arena);
    fprintf(r->out, "\nvoid %s(void);\nvoid %s(void)\n{\n", p->name, p->name);
    for (int i = 0; i < p->n; i++)
        print_step(r->out, arena, &p->step[i], i);
    fputs("}\n", r->out);
}

static enum sp_status check(const struct sp_program *p, struct sp_err *err)
{
    for (const char *c = p->name; *c; c++)
        if (!(*c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (c != p->name && *c >= '0' && *c <= '9')))
            return sp_fail(err, SP_USAGE, "'%s' can't be the name of a C function", p->name);
    for (int i = 0; i < p->n; i++)
        if (!p->step[i].kernel || p->step[i].row->needs)
            return sp_fail(err, SP_USAGE, "program %s was not lowered for the portable machine, which alone can be printed", p->name);
    return SP_OK;
}

enum sp_status sp_program_print(const struct sp_program *const *programs, int n, const struct sp_state *state, FILE *out, struct sp_err *err)
{
    struct printer r = { out, state };
    for (int i = 0; i < n; i++)
        TRY(check(programs[i], err));
    fputs("/* Printed by sparsam: C99, needs no library but libm. */\n", out);
    print_kernels(programs, n, out);
    fprintf(out, "\nstatic union { double align[8]; unsigned char at[%lld]; } sp_state;\n", (long long)state->bytes + 64);
    fputs("\nstatic int sp_differ(const char *a, const char *b)\n{\n    while (*a && *a == *b)\n        a++, b++;\n    return *a != *b;\n}\n", out);
    for (int i = 0; i < n; i++)
        print_program(&r, programs[i]);
    return ferror(out) ? sp_fail(err, SP_IO, "the C text could not be written") : SP_OK;
}
