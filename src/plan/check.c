/* plan/check.c - the table of kinds of checks, and what is made of their rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHECK_ROWS_MAX = 1 << 20 };
static const size_t CHECK_FILE_MAX = 64 << 20;

const char *const sp_check_constants_names[] = { "left-out", "all", "compiled", NULL };

const struct sp_check *const sp_checks[] = {
    &sp_check_memory,
    &sp_check_training,
    &sp_check_inference,
    &sp_check_energy,
    NULL,
};

enum sp_status sp_check_find(const char *name, const struct sp_check **out, struct sp_err *err)
{
    struct sp_text known = { 0 };
    for (const struct sp_check *const *c = sp_checks; *c; c++) {
        if (!strcmp((*c)->name, name)) {
            *out = *c;
            sp_text_clear(&known);
            return SP_OK;
        }
        sp_text_printf(&known, "%s%s", known.n ? ", " : "", (*c)->name);
    }
    sp_fail(err, SP_USAGE, "there is no check of \"%.60s\"", name);
    sp_remedy(err, "one of: %s", known.full || !known.n ? "those that --help lists" : known.at);
    sp_text_clear(&known);
    return SP_USAGE;
}

void sp_check_clear(struct sp_check_result *r)
{
    sp_free(r->row);
    sp_arena_clear(&r->mem);
    *r = (struct sp_check_result){ 0 };
}

enum sp_status sp_check_file(const struct sp_check *c, const char *path, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    struct sp_csv t;
    struct sp_check_result r = { 0 };
    TRY(sp_csv_read(&t, path, CHECK_FILE_MAX, err));
    enum sp_status st = c->fn(&t, o, &r, err);
    if (st && !*err->where)
        sp_where(err, "%s", path);
    sp_csv_clear(&t);
    if (st) {
        sp_check_clear(&r);
        return st;
    }
    *out = r;
    return SP_OK;
}

struct sp_check_row *sp_check_add(struct sp_check_result *r, int csv_row, const char *label, const char *group)
{
    if (r->n == r->cap) {
        int cap = r->cap ? 2 * r->cap : 128;
        struct sp_check_row *more = cap > CHECK_ROWS_MAX ? NULL : sp_realloc(r->row, (size_t)cap * sizeof *more);
        if (!more)
            return NULL;
        r->row = more;
        r->cap = cap;
    }
    struct sp_check_row *row = &r->row[r->n];
    *row = (struct sp_check_row){ .line = csv_row + 2, .truth = NAN };
    row->label = sp_arena_printf(&r->mem, "%s", label);
    row->group = sp_arena_printf(&r->mem, "%s", group);
    if (!row->label || !row->group)
        return NULL;
    r->n++;
    return row;
}

/* ---- what is made of them ---- */

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double sp_check_median(double *v, int n)
{
    if (n <= 0)
        return NAN;
    qsort(v, (size_t)n, sizeof *v, by_size);
    return n % 2 ? v[n / 2] : 0.5 * (v[n / 2 - 1] + v[n / 2]);
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

static bool counts(const struct sp_check_row *w)
{
    return !w->skipped && w->truth > 0 && w->predicted.likely > 0;
}

static int count_groups(const struct sp_check_result *r, const char *set)
{
    int groups = 0;
    for (int i = 0; i < r->n; i++) {
        int k = 0;
        while (k < i && !(counts(&r->row[k]) && same(r->row[k].set, set) && !strcmp(r->row[k].group, r->row[i].group)))
            k++;
        groups += k == i && counts(&r->row[i]) && same(r->row[i].set, set);
    }
    return groups;
}

static void judge(struct sp_check_figures *f, const struct sp_check_row *w)
{
    if (w->skipped || !w->judged)
        return;
    f->was += w->was;
    f->was_not += !w->was;
    f->said_wrongly += w->said && !w->was;
    f->missed += !w->said && w->was;
}

static void figures(const struct sp_check_result *r, const char *set, struct sp_check_figures *f, double *room)
{
    double *off = room, *signs = room + r->n, *widths = room + 2 * (size_t)r->n, worst = 0, sum = 0;
    int n = 0, inside = 0, ten = 0, twenty = 0;
    *f = (struct sp_check_figures){ .set = set };
    for (int i = 0; i < r->n; i++) {
        const struct sp_check_row *w = &r->row[i];
        if (!same(w->set, set))
            continue;
        f->given++;
        judge(f, w);
        if (!counts(w))
            continue;
        signs[n] = w->predicted.likely / w->truth - 1;
        off[n] = fabs(signs[n]);
        widths[n] = w->predicted.high / w->predicted.low;
        sum += off[n];
        worst = off[n] > worst ? off[n] : worst;
        ten += off[n] <= 0.1;
        twenty += off[n] <= 0.2;
        inside += w->truth >= w->predicted.low && w->truth <= w->predicted.high;
        n++;
    }
    double per = n ? 1.0 / n : NAN;
    f->used = n;
    f->groups = count_groups(r, set);
    f->median = sp_check_median(off, n);
    f->median_signed = sp_check_median(signs, n);
    f->width = sp_check_median(widths, n);
    f->mean = sum * per;
    f->worst = n ? worst : NAN;
    f->within_10 = ten * per;
    f->within_20 = twenty * per;
    f->coverage = inside * per;
}

static int by_rows(const void *a, const void *b)
{
    return ((const struct sp_check_skip *)b)->rows - ((const struct sp_check_skip *)a)->rows;
}

static void count_skip(struct sp_check_summary *s, const char *why)
{
    int k = 0;
    while (k < s->n_skips && strcmp(s->skip[k].why, why))
        k++;
    if (k == SP_CHECK_SKIPS_MAX)
        s->skip[k - 1].why = "other reasons", s->skip[k - 1].rows++;
    else if (k == s->n_skips)
        s->skip[s->n_skips++] = (struct sp_check_skip){ why, 1 };
    else
        s->skip[k].rows++;
}

static void add_set(struct sp_check_summary *s, const char *set)
{
    for (int k = 0; k < s->n_sets; k++)
        if (same(s->set[k].set, set))
            return;
    if (s->n_sets < SP_CHECK_SETS_MAX)
        s->set[s->n_sets++].set = set;
}

void sp_check_summarize(const struct sp_check_result *r, struct sp_check_summary *out)
{
    double *room = sp_alloc(((size_t)r->n + 1) * 3 * sizeof *room);
    *out = (struct sp_check_summary){ .given = 0 };
    add_set(out, NULL);
    for (int i = 0; i < r->n; i++) {
        out->given += !i || r->row[i].line != r->row[i - 1].line; /* a line may be several measurements */
        if (r->row[i].skipped)
            count_skip(out, r->row[i].skipped);
        add_set(out, r->row[i].set);
    }
    qsort(out->skip, (size_t)out->n_skips, sizeof *out->skip, by_rows);
    for (int k = 0; room && k < out->n_sets; k++)
        figures(r, out->set[k].set, &out->set[k], room);
    sp_free(room);
}
