/* cli/book.c - meter and ledger around one run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "book.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { COMMAND_MAX = 65536, HASHED_MAX = 1 << 30, FOLDER_MAX = 4096 };

/* The verb and its operands as typed; options stand in the recipe. */
static void command_text(const struct verb_call *call, struct sp_text *t)
{
    sp_text_printf(t, "sparsam %s", call->verb->name);
    for (int i = 0; i < call->n_operands; i++)
        if (sp_utf8_valid(call->operands[i], strlen(call->operands[i])))
            sp_text_printf(t, " %s", call->operands[i]);
}

/* Of the source the first file of weights; 0: nobody booked it. */
static enum sp_status parent_of(const struct book *b, int64_t *run, struct sp_err *err)
{
    static const char *const weights[] = { ".safetensors", ".gguf", ".bin" };
    struct sp_arena mem = { 0 };
    struct sp_err ignored;
    struct sp_hash hash;
    struct stat s;
    char whole[PATH_MAX];
    const char **name, *file = NULL;
    int n = 0;
    if (!b->source || sp_list_files(b->source, FOLDER_MAX, &mem, &name, &n, &ignored))
        n = 0;
    for (int i = 0; i < n && !file; i++)
        for (size_t k = 0; k < SP_COUNT(weights); k++)
            file = sp_ends_with(name[i], weights[k]) ? name[i] : file;
    enum sp_status st = SP_OK;
    if (file && !stat(file, &s) && realpath(file, whole)) {
        bool small = s.st_size <= HASHED_MAX && !sp_hash_file(&hash, file, &ignored);
        st = sp_ledger_maker(b->ledger, small ? hash.hex : NULL, whole, run, err);
    }
    sp_arena_clear(&mem);
    return st;
}

static enum sp_status open_ledger(struct book *b, const struct verb_call *call, const struct sp_machine *m, const json_t *recipe,
                                  const struct sp_cost *predicted, struct sp_err *err)
{
    char path[4096];
    const char *where = sp_verb_ledger_path(&call->common, path, sizeof path);
    if (!where)
        return SP_OK;
    TRY(sp_ledger_open(&b->ledger, where, err));
    json_t *cost = predicted ? sp_cost_json(predicted) : NULL;
    struct sp_text command = { .max = COMMAND_MAX };
    command_text(call, &command);
    struct sp_run_start s = { .verb = call->verb->name, .command = command.at, .recipe = recipe, .predicted = cost, .machine = m };
    enum sp_status st = parent_of(b, &s.parent, err);
    st = st ? st : sp_ledger_start(b->ledger, &s, &b->run, err);
    json_decref(cost);
    sp_text_clear(&command);
    return st;
}

static void close_all(struct book *b)
{
    sp_ledger_close(b->ledger);
    sp_meter_free(b->meter);
    b->ledger = NULL;
    b->meter = NULL;
}

enum sp_status book_meter(struct book *b, const struct verb_call *call, const struct sp_machine *m, struct sp_err *err)
{
    char path[4096];
    const char *where = sp_verb_ledger_path(&call->common, path, sizeof path);
    *b = (struct book){ 0 };
    if (where)
        TRY(sp_ledger_check(where, err));
    return sp_meter_new(&b->meter, m, err);
}

enum sp_status book_start(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                          struct sp_err *err)
{
    enum sp_status st = open_ledger(b, call, m, recipe, predicted, err);
    json_decref(recipe);
    if (!st)
        return SP_OK;
    sp_ledger_close(b->ledger);
    b->ledger = NULL;
    return st;
}

static enum sp_status begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                            struct sp_err *err)
{
    enum sp_status made = sp_meter_new(&b->meter, m, err);
    if (made)
        json_decref(recipe);
    else
        made = book_start(b, call, m, recipe, predicted, err);
    if (made)
        close_all(b);
    else
        sp_meter_begin(b->meter);
    return made;
}

enum sp_status book_begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                          struct sp_err *err)
{
    *b = (struct book){ 0 };
    return begin(b, call, m, recipe, predicted, err);
}

enum sp_status book_begin_of(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const char *source,
                             struct sp_err *err)
{
    *b = (struct book){ .source = source };
    return begin(b, call, m, recipe, NULL, err);
}

void book_file(struct book *b, bool output, const char *path)
{
    if (path && b->files < BOOK_FILES_MAX) {
        b->file[b->files].path = path;
        b->file[b->files++].output = output;
    }
}

/* "path": hash; a file too large to read again says how large it is. */
static void add_hash(json_t *to, const char *path)
{
    struct sp_err ignored;
    struct sp_hash hash;
    struct stat s;
    char large[64];
    if (stat(path, &s) || !S_ISREG(s.st_mode))
        return;
    snprintf(large, sizeof large, "not hashed: %lld bytes", (long long)s.st_size);
    if (s.st_size > HASHED_MAX)
        json_object_set_new(to, path, json_string(large));
    else if (!sp_hash_file(&hash, path, &ignored))
        json_object_set_new(to, path, json_string(hash.hex)); /* a name that is not UTF-8 is left out */
}

static json_t *hashes(const struct book *b, bool output)
{
    json_t *j = json_object();
    struct sp_arena mem = { 0 };
    struct sp_err ignored;
    for (int i = 0; j && i < b->files; i++) {
        const char **name;
        int n = 0;
        if (b->file[i].output == output && !sp_list_files(b->file[i].path, FOLDER_MAX, &mem, &name, &n, &ignored))
            for (int k = 0; k < n; k++)
                add_hash(j, name[k]);
    }
    sp_arena_clear(&mem);
    if (json_object_size(j))
        return j;
    json_decref(j);
    return NULL;
}

void book_phase(struct book *b, const char *name)
{
    sp_meter_phase(b->meter, name);
}

enum sp_status book_others(struct book *b, struct sp_link *link, struct sp_err *err)
{
    double own = sp_meter_cpu(b->meter), all = own;
    TRY(sp_link_sum(link, &all, 1, err));
    sp_meter_add_cpu(b->meter, all - own);
    sp_meter_machines(b->meter, sp_link_machines(link));
    return SP_OK;
}

void book_measure(struct book *b)
{
    sp_meter_end(b->meter, &b->measured);
}

enum sp_status book_write(struct book *b, const struct sp_cost *predicted, json_t *quality, json_t *more, const struct sp_err *failed,
                          struct sp_err *err)
{
    enum sp_status st = SP_OK;
    struct sp_hash head;
    int64_t events;
    if (b->ledger) {
        json_t *phases = sp_meter_phases_json(b->meter);
        json_t *in = hashes(b, false), *out = hashes(b, true);
        struct sp_run_end e = { .error = failed, .measured = &b->measured, .predicted = predicted, .phases = phases, .quality = quality, .inputs = in, .outputs = out,
                                .energy_source = sp_meter_energy_source(b->meter), .idle_share = sp_meter_idle_share(b->meter), .more = more };
        st = sp_ledger_end(b->ledger, b->run, &e, err);
        if (!st)
            st = sp_ledger_head(b->ledger, &head, &events, err);
        if (!st)
            snprintf(b->head, sizeof b->head, "%s", head.hex);
        json_decref(phases);
        json_decref(in);
        json_decref(out);
    }
    json_decref(quality);
    json_decref(more);
    close_all(b);
    return st;
}

enum sp_status book_end(struct book *b, const struct sp_cost *predicted, json_t *quality, const struct sp_err *failed, struct sp_err *err)
{
    book_measure(b);
    return book_write(b, predicted, quality, NULL, failed, err);
}

void book_show(const struct book *b, FILE *out)
{
    if (b->head[0])
        fprintf(out, "Booked as run %lld; the ledger's head is %.16s.\n", (long long)b->run, b->head);
}
