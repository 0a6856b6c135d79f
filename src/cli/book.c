/* cli/book.c - meter and ledger around one run.
 * SPDX-License-Identifier: Apache-2.0 */
#include "book.h"

#include <string.h>

enum { COMMAND_MAX = 65536 };

/* The verb and its operands as typed; options stand in the recipe. */
static void command_text(const struct verb_call *call, struct sp_text *t)
{
    sp_text_printf(t, "sparsam %s", call->verb->name);
    for (int i = 0; i < call->n_operands; i++)
        if (sp_utf8_valid(call->operands[i], strlen(call->operands[i])))
            sp_text_printf(t, " %s", call->operands[i]);
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
    enum sp_status st = sp_ledger_start(b->ledger, &s, &b->run, err);
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

enum sp_status book_begin(struct book *b, const struct verb_call *call, const struct sp_machine *m, json_t *recipe, const struct sp_cost *predicted,
                          struct sp_err *err)
{
    *b = (struct book){ 0 };
    enum sp_status st = sp_meter_new(&b->meter, m, err);
    if (!st)
        st = open_ledger(b, call, m, recipe, predicted, err);
    json_decref(recipe);
    if (st)
        close_all(b);
    else
        sp_meter_begin(b->meter);
    return st;
}

void book_phase(struct book *b, const char *name)
{
    sp_meter_phase(b->meter, name);
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
        struct sp_run_end e = { .error = failed, .measured = &b->measured, .predicted = predicted, .phases = phases, .quality = quality,
                                .energy_source = sp_meter_energy_source(b->meter), .idle_share = sp_meter_idle_share(b->meter), .more = more };
        st = sp_ledger_end(b->ledger, b->run, &e, err);
        if (!st)
            st = sp_ledger_head(b->ledger, &head, &events, err);
        if (!st)
            snprintf(b->head, sizeof b->head, "%s", head.hex);
        json_decref(phases);
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
