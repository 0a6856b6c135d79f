/* cli/verb_techniques.c - lists the techniques this program knows.
 * SPDX-License-Identifier: Apache-2.0 */
#include "verb.h"
#include "../recipe/technique.h"

static enum sp_status techniques_json(struct verb_call *call, struct sp_err *err)
{
    json_t *list = json_array();
    call->answer = json_pack("{s:s, s:o}", "schema", "sparsam.techniques/1", "techniques", list);
    if (!call->answer)
        return sp_fail(err, SP_NOMEM, "out of memory for the answer");
    for (const struct sp_technique *const *t = sp_techniques; *t; t++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", (*t)->name, "help", (*t)->help));
    return SP_OK;
}

static enum sp_status techniques_run(struct verb_call *call, struct sp_err *err)
{
    if (call->common.json)
        return techniques_json(call, err);
    if (!sp_techniques[0]) {
        puts("The table is empty: this version measures and predicts, and applies no technique yet.");
        return SP_OK;
    }
    for (const struct sp_technique *const *t = sp_techniques; *t; t++)
        printf("%-14s %s\n", (*t)->name, (*t)->help);
    return SP_OK;
}

const struct verb sp_verb_techniques = {
    .name = "techniques",
    .help = "list the ways to spend less that it knows",
    .operands = "",
    .text = "A technique rewrites what will be done: the recipe, the graph, or the weights.\n"
            "It has no estimate of its own. What it saves is the cost counted with it minus\n"
            "the cost counted without it, so a prediction cannot drift from what is done.\n"
            "\n"
            "  sparsam techniques\n"
            "  sparsam techniques --json | jq '.techniques[].name'\n",
    .run = techniques_run,
};
