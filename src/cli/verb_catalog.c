/* cli/verb_catalog.c - the facts: what kinds there are, their rows, one thing in all
 * of them, and rows of a person's own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "../catalog/catalog.h"
#include "../catalog/models.h"
#include "verb.h"

enum { LINE_MAX_COLUMNS = 32, TEXT_WIDTH = 34, CELL = 40 };

static enum sp_status kind_named(const char *name, int *out, struct sp_err *err)
{
    for (int k = 0; k < SP_KINDS; k++)
        if (!strcasecmp(sp_catalog_kinds[k].name, name)) {
            *out = k;
            return SP_OK;
        }
    sp_fail(err, SP_USAGE, "no kind of facts is called \"%.40s\"", name);
    return sp_remedy(err, "accelerators, instances, purchases, regions, grid, processors, server_power, defaults, models");
}

static bool is_number(const struct sp_catalog_column *col)
{
    return col->type == SP_COLUMN_REAL || col->type == SP_COLUMN_INT;
}

/* The date of a price that may be stale; NULL: this kind has none. */
static const struct sp_catalog_column *dated(const struct sp_catalog_kind *k)
{
    for (const struct sp_catalog_column *col = k->columns; col->name; col++)
        if (col->type == SP_COLUMN_DATE)
            return col;
    return NULL;
}

static bool is_stale(const struct sp_catalog_kind *k, const void *row)
{
    char buf[CELL];
    const struct sp_catalog_column *col = dated(k);
    return col && sp_catalog_stale(sp_catalog_cell(col, row, buf, sizeof buf), 0);
}

static json_t *row_json(const struct sp_catalog_kind *k, const void *row, bool own)
{
    char buf[CELL];
    json_t *j = json_object();
    for (const struct sp_catalog_column *col = k->columns; j && col->name; col++) {
        const char *text = sp_catalog_cell(col, row, buf, sizeof buf);
        double v = 0;
        if (*text && is_number(col) && sp_parse_real(text, &v))
            json_object_set_new(j, col->name, json_real(v));
        else if (*text)
            json_object_set_new(j, col->name, json_string(text));
    }
    json_object_set_new(j, "own", json_boolean(own));
    if (dated(k))
        json_object_set_new(j, "stale", json_boolean(is_stale(k, row)));
    return j;
}

static bool holds(const struct sp_catalog_kind *k, const void *row, const char *text)
{
    char buf[CELL];
    for (const struct sp_catalog_column *col = k->columns; text && col->name; col++)
        if (!is_number(col) && strcmp(col->name, "source") && strcmp(col->name, "licence") && strcasestr(sp_catalog_cell(col, row, buf, sizeof buf), text))
            return true;
    return !text;
}

/* ---- list ---- */

static void show_kind(const struct sp_catalog_kind *k, int own, int stale)
{
    char more[64] = "";
    if (own)
        snprintf(more, sizeof more, " and %d your own", own);
    if (stale)
        snprintf(more + strlen(more), sizeof more - strlen(more), ", %d stale", stale);
    printf("%-13s %5d rows%-14s  %s\n", k->name, *k->n, more, k->help);
}

static enum sp_status kinds_list(struct verb_call *call, const struct sp_catalog *c, struct sp_err *err)
{
    char folder[4096];
    json_t *list = json_array();
    sp_catalog_folder(folder, sizeof folder);
    for (int k = 0; k < SP_KINDS; k++) {
        const struct sp_catalog_kind *kind = &sp_catalog_kinds[k];
        int own = 0, stale = 0;
        const void *row;
        bool mine;
        for (int i = 0; (row = sp_catalog_row(c, (enum sp_catalog_kind_id)k, i, &mine)); i++) {
            own += mine;
            stale += is_stale(kind, row);
        }
        if (call->common.json)
            json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:i, s:i}", "kind", kind->name, "help", kind->help, "rows", *kind->n, "own", own, "stale", stale));
        else
            show_kind(kind, own, stale);
    }
    if (!call->common.json)
        printf("\nFacts of your own go to %s (sparsam catalog add).\n", *folder ? folder : "the folder that SPARSAM_CATALOG names");
    else
        call->answer = json_pack("{s:s, s:s, s:O}", "schema", "sparsam.catalog-list/1", "folder", folder, "kinds", list);
    json_decref(list);
    return call->common.json && !call->answer ? sp_fail(err, SP_NOMEM, "out of memory for the answer") : SP_OK;
}

static bool is_listed(const struct sp_catalog_column *col)
{
    return strcmp(col->name, "source") && strcmp(col->name, "licence") && strcmp(col->name, "keys") && strcmp(col->name, "config");
}

static void measure(const struct sp_catalog *c, int kind, const char *text, int *width)
{
    const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
    const void *row;
    char buf[CELL];
    for (int j = 0; k->columns[j].name; j++)
        width[j] = (int)strlen(k->columns[j].name);
    for (int i = 0; (row = sp_catalog_row(c, (enum sp_catalog_kind_id)kind, i, NULL)); i++)
        for (int j = 0; k->columns[j].name && holds(k, row, text); j++) {
            int n = (int)strlen(sp_catalog_cell(&k->columns[j], row, buf, sizeof buf));
            width[j] = n > TEXT_WIDTH ? TEXT_WIDTH : n > width[j] ? n : width[j];
        }
}

static void print_row(const struct sp_catalog_kind *k, const void *row, const int *width)
{
    char buf[CELL];
    for (int j = 0; k->columns[j].name; j++) {
        const struct sp_catalog_column *col = &k->columns[j];
        const char *text = row ? sp_catalog_cell(col, row, buf, sizeof buf) : col->name;
        if (is_listed(col))
            printf(is_number(col) ? "%*.*s  " : "%-*.*s  ", width[j], TEXT_WIDTH, text);
    }
}

static enum sp_status rows_list(struct verb_call *call, const struct sp_catalog *c, int kind, const char *text, struct sp_err *err)
{
    const struct sp_catalog_kind *k = &sp_catalog_kinds[kind];
    int width[LINE_MAX_COLUMNS], shown = 0;
    const void *row;
    bool own;
    json_t *list = json_array();
    measure(c, kind, text, width);
    if (!call->common.json) {
        print_row(k, NULL, width);
        putchar('\n');
    }
    for (int i = 0; (row = sp_catalog_row(c, (enum sp_catalog_kind_id)kind, i, &own)); i++) {
        if (!holds(k, row, text))
            continue;
        shown++;
        if (call->common.json) {
            json_array_append_new(list, row_json(k, row, own));
            continue;
        }
        print_row(k, row, width);
        printf("%s%s\n", own ? "your own " : "", is_stale(k, row) ? "stale" : "");
    }
    if (call->common.json)
        call->answer = json_pack("{s:s, s:s, s:O}", "schema", "sparsam.catalog-list/1", "kind", k->name, "rows", list);
    json_decref(list);
    if (call->common.json && !call->answer)
        return sp_fail(err, SP_NOMEM, "out of memory for the answer");
    if (!shown && text) {
        sp_fail(err, SP_MISSING, "no row of %s holds \"%.40s\"", k->name, text);
        return sp_remedy(err, "sparsam catalog list %s shows all", k->name);
    }
    return SP_OK;
}

static enum sp_status list_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_catalog *c;
    int kind = 0;
    if (call->n_operands)
        TRY(kind_named(call->operands[0], &kind, err));
    TRY(sp_catalog_open(&c, err));
    enum sp_status st = call->n_operands ? rows_list(call, c, kind, call->n_operands > 1 ? call->operands[1] : NULL, err) : kinds_list(call, c, err);
    sp_catalog_free(c);
    return st;
}

const struct verb sp_verb_catalog_list = {
    .name = "catalog list",
    .help = "the facts it computes with: hardware, prices, grids",
    .operands = "[KIND [TEXT]]",
    .operands_max = 2,
    .text = "Without KIND the kinds of facts; with it their rows, those of your own first, or only the\n"
            "rows that hold TEXT. Prices older than twelve months are said to be stale.\n"
            "\n"
            "  sparsam catalog list\n"
            "  sparsam catalog list accelerators a100\n"
            "  sparsam catalog list instances --json | jq '.rows[] | select(.stale | not)'\n",
    .run = list_run,
};

/* ---- show ---- */

static void show_row(const struct sp_catalog_kind *k, const void *row, bool own)
{
    char buf[CELL];
    printf("%s%s%s\n", k->name, own ? ", your own" : "", is_stale(k, row) ? ", stale" : "");
    for (const struct sp_catalog_column *col = k->columns; col->name; col++) {
        const char *text = sp_catalog_cell(col, row, buf, sizeof buf);
        if (*text)
            printf("  %-16s %s%s%s\n", col->name, text, col->unit ? " " : "", col->unit ? col->unit : "");
    }
}

static void show_columns(const struct sp_catalog_kind *k)
{
    printf("%s: %s\nColumns of %s.csv, in any order:\n", k->name, k->help, k->name);
    for (const struct sp_catalog_column *col = k->columns; col->name; col++) {
        printf("  %-16s %s", col->name, is_number(col) ? "number" : col->type == SP_COLUMN_DATE ? "date (2026 or 2026-11)" : "text");
        if (is_number(col))
            printf(", %g to %g%s%s", col->min, col->max, col->unit ? " " : "", col->unit ? col->unit : "");
        puts(col->needed ? ", needed" : "");
    }
}

/* Rows of every kind that are called that, or that name the accelerator. */
static int show_all(struct verb_call *call, const struct sp_catalog *c, const char *name, json_t *list)
{
    char buf[CELL];
    const void *row;
    int shown = 0;
    bool own;
    for (int k = 0; k < SP_KINDS; k++)
        for (int i = 0; (row = sp_catalog_row(c, (enum sp_catalog_kind_id)k, i, &own)); i++) {
            const struct sp_catalog_kind *kind = &sp_catalog_kinds[k];
            bool meant = !strcasecmp(sp_catalog_cell(&kind->columns[0], row, buf, sizeof buf), name);
            for (const struct sp_catalog_column *col = kind->columns; !meant && col->name; col++)
                meant = !strcmp(col->name, "accelerator") && !strcasecmp(sp_catalog_cell(col, row, buf, sizeof buf), name);
            if (!meant)
                continue;
            if (call->common.json) {
                json_t *j = row_json(kind, row, own);
                json_object_set_new(j, "kind_of_fact", json_string(kind->name));
                json_array_append_new(list, j);
            } else
                show_row(kind, row, own);
            shown++;
        }
    return shown;
}

/* The name of the model that is meant, "" when none is. */
static enum sp_status model_called(const char *name, char *out, size_t cap, struct sp_err *err)
{
    struct sp_models *models;
    TRY(sp_models_open(&models, err));
    const struct sp_model_fact *f = sp_models_find(models, name);
    snprintf(out, cap, "%s", f ? f->name : "");
    sp_models_free(models);
    return SP_OK;
}

static enum sp_status show_named(struct verb_call *call, const struct sp_catalog *c, json_t *list, struct sp_err *err)
{
    char name[256] = "", model[96];
    struct sp_machine m = { 0 };
    for (int i = 0; i < call->n_operands; i++)
        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%s", i ? " " : "", call->operands[i]);
    if (show_all(call, c, name, list))
        return SP_OK;
    TRY(model_called(name, model, sizeof model, err));
    if (*model && show_all(call, c, model, list))
        return SP_OK;
    if (sp_catalog_place(c, name, &m, err))
        return err->status;
    const struct sp_instance *p = sp_catalog_instance(c, name);
    if (!show_all(call, c, p ? p->instance : m.device.name[0] ? m.device.name : m.cpu, list))
        return sp_fail(err, SP_MISSING, "nothing is called \"%.60s\"", name);
    return SP_OK;
}

static enum sp_status show_run(struct verb_call *call, struct sp_err *err)
{
    struct sp_catalog *c;
    int kind;
    if (call->n_operands == 1 && !call->common.json && !kind_named(call->operands[0], &kind, &(struct sp_err){ 0 })) {
        show_columns(&sp_catalog_kinds[kind]);
        return SP_OK;
    }
    TRY(sp_catalog_open(&c, err));
    json_t *list = json_array();
    enum sp_status st = show_named(call, c, list, err);
    if (!st && call->common.json) {
        call->answer = json_pack("{s:s, s:O}", "schema", "sparsam.catalog-show/1", "rows", list);
        st = call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    json_decref(list);
    sp_catalog_free(c);
    return st;
}

const struct verb sp_verb_catalog_show = {
    .name = "catalog show",
    .help = "all that is known of one thing, with source and date",
    .operands = "NAME...",
    .operands_min = 1,
    .operands_max = 16,
    .text = "NAME is an accelerator, an instance, a zone, a processor or a model, or a kind of facts, whose\n"
            "columns are shown: what a file of your own must hold.\n"
            "\n"
            "  sparsam catalog show a100-40gb\n"
            "  sparsam catalog show p4d.24xlarge\n"
            "  sparsam catalog show DE\n"
            "  sparsam catalog show instances\n",
    .run = show_run,
};

/* ---- add ---- */

/* The folder that SPARSAM_CATALOG names may be made by this: what it will hold is checked against the rest. */
static enum sp_status open_for_adding(struct sp_catalog **c, struct sp_err *err)
{
    char folder[4096];
    if (*sp_catalog_folder(folder, sizeof folder))
        TRY(sp_make_folder(folder, err));
    return sp_catalog_open(c, err);
}

static enum sp_status add_run(struct verb_call *call, struct sp_err *err)
{
    char path[4096 + 64];
    int kind = 0, rows, given;
    struct sp_catalog *c;
    TRY(kind_named(call->operands[0], &kind, err));
    TRY(open_for_adding(&c, err));
    enum sp_status st = sp_catalog_check(c, (enum sp_catalog_kind_id)kind, call->operands[1], &given, err);
    if (!st)
        st = sp_catalog_add(c, (enum sp_catalog_kind_id)kind, call->operands[1], path, sizeof path, &rows, err);
    sp_catalog_free(c);
    if (st)
        return st;
    if (!call->common.json) {
        printf("%d row%s of %s %s sound; %s holds %d of your own now, which win over the catalogue's.\n", given, given == 1 ? "" : "s", call->operands[1],
               given == 1 ? "is" : "are", path, rows);
        return SP_OK;
    }
    call->answer = json_pack("{s:s, s:s, s:s, s:i, s:i}", "schema", "sparsam.catalog-add/1", "kind", sp_catalog_kinds[kind].name, "path", path, "given", given, "rows", rows);
    return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
}

const struct verb sp_verb_catalog_add = {
    .name = "catalog add",
    .help = "facts of your own: checked, kept, and used from now on",
    .operands = "KIND FILE.csv",
    .operands_min = 2,
    .operands_max = 2,
    .text = "Reads a table of the kind's columns (sparsam catalog show KIND), checks names, numbers and\n"
            "dates, and puts it into your own folder of facts: the one that SPARSAM_CATALOG names, else\n"
            "~/.local/share/sparsam/catalog. Rows already there stay, but for those it replaces.\n"
            "\n"
            "  sparsam catalog show instances\n"
            "  sparsam catalog add instances my-prices.csv\n",
    .run = add_run,
};
