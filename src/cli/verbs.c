/* cli/verbs.c - the table of verbs, in the order the overview shows them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include "verb.h"

extern const struct verb sp_verb_demo, sp_verb_train, sp_verb_eval, sp_verb_run, sp_verb_measure, sp_verb_report, sp_verb_machine, sp_verb_techniques,
    sp_verb_plan_train, sp_verb_plan_finetune, sp_verb_plan_serve, sp_verb_plan_check, sp_verb_plan_article, sp_verb_plan_cap, sp_verb_plan_when;
extern const struct verb sp_verb_plan_optimal, sp_verb_plan_fit, sp_verb_plan_quantize;
extern const struct verb sp_verb_quantize, sp_verb_export;
extern const struct verb sp_verb_plan_where, sp_verb_catalog_list, sp_verb_catalog_show, sp_verb_catalog_add;

const struct verb *const sp_verbs[] = {
    /* the whole story */
    &sp_verb_demo,

    /* work */
    &sp_verb_train,
    &sp_verb_quantize,
    &sp_verb_export,
    &sp_verb_eval,
    &sp_verb_run,
    &sp_verb_measure,

    /* plan */
    &sp_verb_plan_train,
    &sp_verb_plan_finetune,
    &sp_verb_plan_serve,
    &sp_verb_plan_quantize,
    &sp_verb_plan_check,
    &sp_verb_plan_article,
    &sp_verb_plan_cap,
    &sp_verb_plan_when,
    &sp_verb_plan_optimal,
    &sp_verb_plan_fit,
    &sp_verb_plan_where,

    /* look */
    &sp_verb_report,
    &sp_verb_machine,
    &sp_verb_techniques,
    &sp_verb_catalog_list,
    &sp_verb_catalog_show,
    &sp_verb_catalog_add,

    NULL,
};

const struct verb *sp_verb_find(const char *name)
{
    for (const struct verb *const *v = sp_verbs; *v; v++)
        if (!strcmp((*v)->name, name))
            return *v;
    return NULL;
}

const struct verb *sp_verb_named(int n, char **word, int *words)
{
    char both[64];
    for (*words = n < 2 ? n : 2; *words > 0; --*words) {
        snprintf(both, sizeof both, "%s%s%s", word[0], *words == 2 ? " " : "", *words == 2 ? word[1] : "");
        const struct verb *v = sp_verb_find(both);
        if (v)
            return v;
    }
    return NULL;
}

bool sp_verb_group(const char *first)
{
    size_t n = strlen(first);
    for (const struct verb *const *v = sp_verbs; *v; v++)
        if (!strncmp((*v)->name, first, n) && (*v)->name[n] == ' ')
            return true;
    return false;
}

const char *sp_verb_nearest(const char *name)
{
    const char *best = NULL;
    int least = 3;
    for (const struct verb *const *v = sp_verbs; *v; v++) {
        int d = strncmp((*v)->name, name, 3) ? sp_text_distance(name, (*v)->name) : 1;
        if (d < least) {
            least = d;
            best = (*v)->name;
        }
    }
    return best;
}
