/* catalog/models.c - finding a model by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "models.h"

#include <ctype.h>
#include <string.h>

#include "inner.h"

enum { NAME_LEN = 96 };

struct sp_models { struct sp_catalog *catalog; };

enum sp_status sp_models_open(struct sp_models **out, struct sp_err *err)
{
    struct sp_models *m = sp_zalloc(1, sizeof *m);
    enum sp_status st = m ? sp_catalog_open(&m->catalog, err) : sp_fail(err, SP_NOMEM, "out of memory for the models of the catalogue");
    if (st)
        sp_models_free(m);
    else
        *out = m;
    return st;
}

void sp_models_free(struct sp_models *m)
{
    if (m)
        sp_catalog_free(m->catalog);
    sp_free(m);
}

int sp_models_count(const struct sp_models *m)
{
    return m->catalog->own[SP_KIND_MODELS].n + sp_model_rows_n;
}

const struct sp_model_fact *sp_models_at(const struct sp_models *m, int i)
{
    return sp_catalog_row(m->catalog, SP_KIND_MODELS, i, NULL);
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

/* Without the owner in front and what is added in parentheses. */
static size_t squash_own(const char *name, char to[NAME_LEN])
{
    size_t whole = strcspn(name, "("), from = whole;
    while (from > 0 && name[from - 1] != '/')
        from--;
    return squash(name + from, whole - from, to);
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
                                        "gptq", "int4", "int8", "2507", "thinking", "pt", "dpo", "sft", "deduped", "moe", "mxfp4", "q40", "q41",
                                        "q50", "q51", "q80", "q2k", "q3km", "q4k", "q4km", "q4ks", "q5km", "q6k", "f16", "f32" };
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
    if (!squash_own(name, wanted))
        return NULL;
    do {
        for (int i = 0; i < sp_models_count(m); i++)
            if (is_called(sp_models_at(m, i), wanted))
                return sp_models_at(m, i);
    } while (shorten(wanted));
    return NULL;
}

void sp_models_nearest(const struct sp_models *m, const char *name, int n, struct sp_text *out)
{
    char wanted[NAME_LEN], other[NAME_LEN];
    int least = 0, last = -1;
    squash_own(name, wanted);
    for (int found = 0; found < n; found++) {
        int best = -1, by = NAME_LEN + 1;
        for (int i = 0; i < sp_models_count(m); i++) { /* the next after (least, last) in order of edits, then of rows */
            squash(sp_models_at(m, i)->name, strlen(sp_models_at(m, i)->name), other);
            int d = sp_text_distance(wanted, other);
            if ((d > least || (d == least && i > last)) && d < by)
                best = i, by = d;
        }
        if (best < 0)
            return;
        sp_text_printf(out, "%s%s", found ? ", " : "", sp_models_at(m, best)->name);
        least = by, last = best;
    }
}
