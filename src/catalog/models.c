/* catalog/models.c - reading the models' rows and finding one by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "models.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "../file/file.h"

enum { MODELS_BYTES_MAX = 4 << 20, MODELS_MAX = 10000, NAME_LEN = 96 };

struct sp_models { struct sp_csv own, ours; char *text; int n; struct sp_model_fact *fact; };

/* ---- reading ---- */

static enum sp_status no_room(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "out of memory for the models of the catalogue");
}

static enum sp_status add_rows(struct sp_models *m, const struct sp_csv *t, struct sp_err *err)
{
    static const char *const names[] = { "name", "aliases", "config", "source", "looked_up", "parameters", "active" };
    int at[SP_COUNT(names)];
    for (size_t i = 0; i < SP_COUNT(names); i++)
        TRY(sp_csv_need(t, names[i], &at[i], err));
    for (int row = 0; row < t->rows; row++) {
        struct sp_model_fact f = { sp_csv_at(t, row, at[0]), sp_csv_at(t, row, at[1]), sp_csv_at(t, row, at[2]), sp_csv_at(t, row, at[3]),
                                   sp_csv_at(t, row, at[4]), 0, 0 };
        TRY(sp_csv_real(t, row, at[5], &f.parameters, err));
        TRY(sp_csv_real(t, row, at[6], &f.active, err));
        f.parameters = f.parameters > 0 ? f.parameters : 0;
        f.active = f.active > 0 ? f.active : 0;
        m->fact[m->n++] = f;
    }
    return SP_OK;
}

static enum sp_status read_ours(struct sp_models *m, struct sp_err *err)
{
    size_t bytes = 1, at = 0;
    for (int i = 0; i < sp_models_lines_n; i++)
        bytes += strlen(sp_models_lines[i]) + 1;
    if (!(m->text = sp_alloc(bytes)))
        return no_room(err);
    for (int i = 0; i < sp_models_lines_n; i++) {
        size_t n = strlen(sp_models_lines[i]);
        memcpy(m->text + at, sp_models_lines[i], n);
        m->text[at + n] = '\n';
        at += n + 1;
    }
    m->text[at] = 0;
    return sp_csv_parse(&m->ours, m->text, "models.csv", err);
}

static enum sp_status read_all(struct sp_models *m, struct sp_err *err)
{
    const char *folder = getenv("SPARSAM_CATALOG");
    char path[4096];
    bool own = folder && *folder && snprintf(path, sizeof path, "%s/models.csv", folder) < (int)sizeof path && sp_is_file(path);
    if (own)
        TRY(sp_csv_read(&m->own, path, MODELS_BYTES_MAX, err));
    TRY(read_ours(m, err));
    if (m->own.rows > MODELS_MAX)
        return sp_fail(err, SP_LIMIT, "%s has %d models, at most %d are read", path, m->own.rows, MODELS_MAX);
    if (!(m->fact = sp_zalloc((size_t)(m->own.rows + m->ours.rows) + 1, sizeof *m->fact)))
        return no_room(err);
    if (own)
        TRY(add_rows(m, &m->own, err));
    return add_rows(m, &m->ours, err);
}

enum sp_status sp_models_open(struct sp_models **out, struct sp_err *err)
{
    struct sp_models *m = sp_zalloc(1, sizeof *m);
    if (!m)
        return no_room(err);
    enum sp_status st = read_all(m, err);
    if (st)
        sp_models_free(m);
    else
        *out = m;
    return st;
}

void sp_models_free(struct sp_models *m)
{
    if (!m)
        return;
    sp_csv_clear(&m->own);
    sp_csv_clear(&m->ours);
    sp_free(m->text);
    sp_free(m->fact);
    sp_free(m);
}

int sp_models_count(const struct sp_models *m)
{
    return m->n;
}

const struct sp_model_fact *sp_models_at(const struct sp_models *m, int i)
{
    return i >= 0 && i < m->n ? &m->fact[i] : NULL;
}

/* ---- finding ---- */

/* Letters, digits and points in lower case, nothing else; the length. */
static size_t squash(const char *s, size_t n, char to[NAME_LEN])
{
    size_t at = 0;
    for (size_t i = 0; i < n && s[i] && at < NAME_LEN - 1; i++)
        if (isalnum((unsigned char)s[i]) || s[i] == '.')
            to[at++] = (char)tolower((unsigned char)s[i]);
    to[at] = 0;
    return at;
}

static bool is_called(const struct sp_model_fact *f, const char *wanted)
{
    char name[NAME_LEN];
    squash(f->name, strlen(f->name), name);
    if (!strcmp(name, wanted))
        return true;
    for (const char *s = f->aliases; *s; s += strcspn(s, ";"), s += *s == ';') {
        squash(s, strcspn(s, ";"), name);
        if (!strcmp(name, wanted))
            return true;
    }
    return false;
}

/* What says how a model was trained further or is stored, not what it is. */
static bool shorten(char *name)
{
    static const char *const ends[] = { "hf", "instruct", "chat", "base", "it", "v0.1", "v0.2", "v0.3", "v1.0", "fp8", "fp16", "bf16", "gguf", "awq",
                                        "gptq", "int4", "int8", "2507", "thinking", "pt", "dpo", "sft", "deduped" };
    size_t n = strlen(name);
    for (size_t i = 0; i < SP_COUNT(ends); i++) {
        size_t e = strlen(ends[i]);
        if (n > e + 2 && !strcmp(name + n - e, ends[i])) {
            name[n - e] = 0;
            return true;
        }
    }
    return false;
}

const struct sp_model_fact *sp_models_find(const struct sp_models *m, const char *name)
{
    char wanted[NAME_LEN];
    const char *slash = strrchr(name, '/'), *own = slash ? slash + 1 : name;
    if (!squash(own, strlen(own), wanted))
        return NULL;
    do {
        for (int i = 0; i < m->n; i++)
            if (is_called(&m->fact[i], wanted))
                return &m->fact[i];
    } while (shorten(wanted));
    return NULL;
}

/* Edits that make b of a (Wagner and Fischer 1974). */
static int edits(const char *a, const char *b)
{
    int row[NAME_LEN + 1], n = (int)strlen(b);
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = corner + (a[i - 1] != b[j - 1]);
            best = row[j] + 1 < best ? row[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

void sp_models_nearest(const struct sp_models *m, const char *name, int n, struct sp_text *out)
{
    char wanted[NAME_LEN], other[NAME_LEN];
    const char *slash = strrchr(name, '/'), *own = slash ? slash + 1 : name;
    int least = 0, last = -1;
    squash(own, strlen(own), wanted);
    for (int found = 0; found < n; found++) {
        int best = -1, by = NAME_LEN + 1;
        for (int i = 0; i < m->n; i++) { /* the next after (least, last) in order of edits, then of rows */
            squash(m->fact[i].name, strlen(m->fact[i].name), other);
            int d = edits(wanted, other);
            if ((d > least || (d == least && i > last)) && d < by)
                best = i, by = d;
        }
        if (best < 0)
            return;
        sp_text_printf(out, "%s%s", found ? ", " : "", m->fact[best].name);
        least = by, last = best;
    }
}
