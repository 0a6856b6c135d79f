/* model/archs.c - the table of architectures: one file and one row each.
 * SPDX-License-Identifier: Apache-2.0 */
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

const char *sp_family_name(enum sp_family f)
{
    const struct sp_arch *a = sp_arch_of(f);
    return a ? a->name : "?";
}
