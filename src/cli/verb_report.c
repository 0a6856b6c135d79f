/* cli/verb_report.c - what was spent and saved, from the ledger.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../ledger/ledger.h"
#include "../report/report.h"
#include "verb.h"

struct report_options { int64_t run, last; bool compare, verify; const char *head; };

#define AT(field) offsetof(struct report_options, field)
static const struct sp_option report_options[] = {
    { .name = "run", .kind = SP_OPT_INT, .at = AT(run), .min = 0, .max = 1e15, .group = "What to report", .unit = "N", .help = "one run, in full" },
    { .name = "compare", .kind = SP_OPT_FLAG, .at = AT(compare), .help = "two runs, their numbers as operands: what the second saved" },
    { .name = "last", .kind = SP_OPT_INT, .at = AT(last), .min = 1, .max = SP_LEDGER_LIST_MAX, .fallback = 50, .unit = "N", .help = "list at most this many runs" },
    { .name = "verify", .kind = SP_OPT_FLAG, .at = AT(verify), .help = "walk the whole chain: was a row changed or removed?" },
    { .name = "head", .kind = SP_OPT_TEXT, .at = AT(head), .unit = "HASH", .help = "with --verify: a head printed earlier that must still be there" },
    { 0 },
};
#undef AT

static enum sp_status with_head(struct sp_ledger *l, struct verb_call *call, json_t *answer, struct sp_err *err)
{
    struct sp_hash head;
    int64_t events;
    enum sp_status st = sp_ledger_head(l, &head, &events, err);
    if (!call->common.json) {
        if (!st)
            sp_report_head(&head, events, stdout);
        json_decref(answer);
        return st;
    }
    call->answer = answer;
    TRY(st);
    if (!answer || json_object_set_new(answer, "head", json_string(head.hex)) || json_object_set_new(answer, "events", json_integer(events)) ||
        json_object_set_new(answer, "schema", json_string("sparsam.report/1")))
        return sp_fail(err, SP_NOMEM, "out of memory for the answer");
    return SP_OK;
}

static enum sp_status report_list(struct sp_ledger *l, struct verb_call *call, struct sp_err *err)
{
    const struct report_options *o = call->options;
    json_t *runs;
    TRY(sp_ledger_list(l, (int)o->last, &runs, err));
    if (!call->common.json)
        sp_report_list(runs, stdout);
    return with_head(l, call, json_pack("{s:o}", "runs", runs), err);
}

static enum sp_status report_one(struct sp_ledger *l, struct verb_call *call, struct sp_err *err)
{
    const struct report_options *o = call->options;
    json_t *run;
    TRY(sp_ledger_run(l, o->run, &run, err));
    enum sp_status st = call->common.json ? SP_OK : sp_report_run(run, stdout, err);
    if (st) {
        json_decref(run);
        return st;
    }
    return with_head(l, call, json_pack("{s:[o]}", "runs", run), err);
}

static enum sp_status report_compare(struct sp_ledger *l, struct verb_call *call, struct sp_err *err)
{
    int64_t number[2];
    json_t *run[2] = { NULL, NULL }, *answer = NULL;
    enum sp_status st = SP_OK;
    if (call->n_operands != 2 || !sp_parse_int(call->operands[0], &number[0]) || !sp_parse_int(call->operands[1], &number[1]))
        return sp_fail(err, SP_USAGE, "--compare wants the numbers of two runs: sparsam report --compare 3 5");
    for (int i = 0; i < 2 && !st; i++)
        st = sp_ledger_run(l, number[i], &run[i], err);
    if (!st)
        st = call->common.json ? sp_report_compare_json(run[0], run[1], &answer, err) : sp_report_compare(run[0], run[1], stdout, err);
    json_decref(run[0]);
    json_decref(run[1]);
    return st ? st : with_head(l, call, answer, err);
}

static enum sp_status report_verify(struct sp_ledger *l, struct verb_call *call, struct sp_err *err)
{
    const struct report_options *o = call->options;
    int64_t events;
    TRY(sp_ledger_verify(l, o->head, &events, err));
    if (!call->common.json)
        printf("All %lld events are as they were written%s.\n", (long long)events, o->head ? ", and the head given is among them" : "");
    return with_head(l, call, json_pack("{s:b, s:I}", "verified", 1, "sound", (json_int_t)events), err);
}

static enum sp_status report_run(struct verb_call *call, struct sp_err *err)
{
    const struct report_options *o = call->options;
    char buf[4096];
    struct sp_ledger *l;
    const char *path = sp_verb_ledger_path(&call->common, buf, sizeof buf);
    if (!path)
        return sp_fail(err, SP_USAGE, "a report needs the ledger: leave --no-ledger away");
    if (call->n_operands && !o->compare)
        return sp_fail(err, SP_USAGE, "did not expect \"%s\": one run is --run %s", call->operands[0], call->operands[0]);
    if (o->head && !o->verify)
        return sp_fail(err, SP_USAGE, "--head is checked by --verify");
    TRY(sp_ledger_open(&l, path, err));
    enum sp_status st = o->verify ? report_verify(l, call, err) : o->compare ? report_compare(l, call, err)
                      : o->run ? report_one(l, call, err) : report_list(l, call, err);
    sp_ledger_close(l);
    return st;
}

const struct verb sp_verb_report = {
    .name = "report",
    .help = "show what was spent and saved",
    .operands = "[RUN RUN]",
    .operands_max = 2,
    .text = "Every command that works is booked in the ledger, runs that failed too. A report ends\n"
            "with the ledger's head, the hash of its last row, which holds all rows before it: keep\n"
            "it, and --verify --head tells later whether anything was changed or cut off.\n"
            "\n"
            "  sparsam report\n"
            "  sparsam report --run 3\n"
            "  sparsam report --compare 3 5\n"
            "  sparsam report --verify --head HASH\n",
    .sets = { { report_options, 0 } },
    .options_bytes = sizeof(struct report_options),
    .run = report_run,
};
