/* model/archs.c - the table of architectures: one file and one row each.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "builder.h"

const struct sp_arch *const sp_archs[] = {
    &sp_arch_llama,
    &sp_arch_gpt2,
    &sp_arch_mlp,
    &sp_arch_decoder,
    &sp_arch_bert,
    &sp_arch_t5,
    NULL,
};

const struct sp_arch *sp_arch_of(enum sp_family f)
{
    for (const struct sp_arch *const *a = sp_archs; *a; a++)
        if ((*a)->family == f)
            return *a;
    return NULL;
}

const char *sp_model_type(const struct sp_model_config *c)
{
    return c->kind ? c->kind->type : sp_family_name(c->family);
}

/* Families whose numbers are multiplied on the way: counted alike, but what they answer would be wrong. */
static bool multiplies(const struct sp_model_config *c)
{
    const char *type = sp_model_type(c);
    return !strcmp(type, "granite") || !strcmp(type, "cohere");
}

enum sp_status sp_model_check_runs(const struct sp_model_config *c, struct sp_err *err)
{
    const char *why = c->full                                      ? "it fills in masked words"
                      : c->family == SP_FAMILY_T5                  ? "no kernel adds a bias to attention's scores"
                      : c->experts                                 ? "no kernel runs a mixture of experts"
                      : c->kv_rank                                 ? "no kernel runs latent attention"
                      : c->positions == SP_POSITIONS_ALIBI || c->sinks ? "no kernel adds a bias to attention's scores"
                      : multiplies(c)                              ? "the factors of its logits and residual stream aren't built"
                      : c->rope_scaling == SP_SCALING_OTHER        ? "its scaling of rotary positions isn't known" : NULL;
    if (!why)
        return SP_OK;
    sp_fail(err, SP_UNSUPPORTED, "a %s model can be planned, but neither trained nor run yet: %s", sp_model_type(c), why);
    return sp_remedy(err, "sparsam plan counts what it costs");
}

const char *sp_family_name(enum sp_family f)
{
    const struct sp_arch *a = sp_arch_of(f);
    return a ? a->name : "?";
}
