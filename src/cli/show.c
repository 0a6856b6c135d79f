/* cli/show.c - costs and quality for people and for programs.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "work.h"

enum { WIDTH = 20 };

static bool is_known(const struct sp_figure *f)
{
    return f->low < 0 || f->low > 0 || f->likely > 0 || f->high > 0;
}

static const struct sp_figure *figure(const struct sp_cost *c, const struct sp_cost_row *r)
{
    return (const struct sp_figure *)(const void *)((const char *)c + r->at);
}

static void line(FILE *out, const char *label, const struct sp_figure *f, const char *(*show)(double, char *, size_t), const char *unit)
{
    char a[40], b[40], c[40];
    if (is_known(f))
        fprintf(out, "  %-*s %12s %12s %12s %s  %s\n", WIDTH, label, show(f->low, a, sizeof a), show(f->likely, b, sizeof b), show(f->high, c, sizeof c), unit,
                sp_how_name(f->how));
}

static bool is_money(const struct sp_cost_row *r)
{
    return r->at == offsetof(struct sp_cost, money);
}

void show_cost(FILE *out, const char *title, const struct sp_cost *c)
{
    fprintf(out, "%s\n  %-*s %12s %12s %12s  %s\n", title, WIDTH, "", "low", "likely", "high", "known by");
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++)
        line(out, r->label, figure(c, r), r->show, is_money(r) ? c->currency : "");
    line(out, "memory, peak", &c->memory_peak, sp_show_bytes, "");
    for (int i = 0; i < SP_MEM_KINDS; i++) {
        char label[40];
        snprintf(label, sizeof label, "  %s", sp_memory_names[i]);
        line(out, label, &c->memory[i], sp_show_bytes, "");
    }
}

static void compared(FILE *out, const char *label, const struct sp_figure *p, const struct sp_figure *m, const char *(*show)(double, char *, size_t))
{
    char a[40], b[40], c[40], d[40];
    if (!is_known(p) || !is_known(m))
        return;
    bool inside = m->likely >= p->low && m->likely <= p->high;
    fprintf(out, "  %-*s %12s %12s (%s to %s)  %+6.1f %%%s\n", WIDTH, label, show(m->likely, a, sizeof a), show(p->likely, b, sizeof b), show(p->low, c, sizeof c),
            show(p->high, d, sizeof d), 100 * (m->likely / p->likely - 1), inside ? "" : "  outside");
}

void show_compared(FILE *out, const struct sp_cost *predicted, const struct sp_cost *measured)
{
    fprintf(out, "Predicted against measured\n  %-*s %12s %12s\n", WIDTH, "", "measured", "predicted");
    for (const struct sp_cost_row *r = sp_cost_rows; r->key; r++)
        compared(out, r->label, figure(predicted, r), figure(measured, r), r->show);
    compared(out, "memory, peak", &predicted->memory_peak, &measured->memory_peak, sp_show_bytes);
}

json_t *quality_json(const struct sp_quality *q)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "loss", q->loss, "loss_stderr", q->loss_stderr, "perplexity", q->perplexity, "bits_per_byte",
                     q->bits_per_byte, "tokens", (json_int_t)q->tokens, "windows", (json_int_t)q->windows, "windows_given", (json_int_t)q->windows_given);
}
