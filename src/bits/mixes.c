/* bits/mixes.c - formats by tensor under a name, as the field knows them.
 *
 * Written down from the files that llama-quantize of August 2026 makes of models of
 * several shapes (4 to 80 layers; one to eight query heads a key head; head tied or not;
 * widths that blocks of 256 don't divide), which tests/test_mixes.c holds.
 *
 * What it doesn't know: mixtures of experts, and types whose formats aren't in the table.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bits.h"

enum part { VALUES = 1, DOWN, OUT };
enum where { ALL = 0, FIRST2, FIRST4, EIGHTH, SIXTEENTH, MORE, SHARED };
enum when { ALWAYS = 0, WEIGHTED, PLAIN };
enum { RULES = 5, MANY_LAYERS = 80, SHARED_HEADS = 4 };

/* The first rule that holds wins; matrices without one take the base, the head Q6_K unless said. */
struct rule { enum part part; enum where where; enum sp_format format; enum when when; };
struct mix { const char *name; enum sp_format base, head; struct rule rule[RULES]; };

static const struct mix mixes[] = {
    { "q2_k", SP_Q2_K, SP_Q6_K, { { VALUES, SHARED, SP_Q4_K, 0 }, { VALUES, ALL, SP_Q3_K, 0 }, { DOWN, ALL, SP_Q3_K, 0 }, { OUT, ALL, SP_Q3_K, 0 } } },
    { "q2_k_s", SP_Q2_K, SP_Q6_K, { { VALUES, SHARED, SP_Q4_K, 0 }, { DOWN, EIGHTH, SP_Q4_K, 0 } } },
    { "q3_k_s", SP_Q3_K, SP_Q6_K, { { 0 } } },
    { "q3_k_m", SP_Q3_K, SP_Q6_K, { { VALUES, FIRST2, SP_Q5_K, 0 }, { VALUES, ALL, SP_Q4_K, 0 }, { DOWN, SIXTEENTH, SP_Q5_K, 0 }, { DOWN, ALL, SP_Q4_K, 0 },
                                  { OUT, ALL, SP_Q4_K, 0 } } },
    { "q3_k_l", SP_Q3_K, SP_Q6_K, { { VALUES, ALL, SP_Q5_K, 0 }, { DOWN, ALL, SP_Q5_K, 0 }, { OUT, ALL, SP_Q5_K, 0 } } },
    { "q4_k_s", SP_Q4_K, SP_Q6_K, { { VALUES, FIRST4, SP_Q5_K, 0 }, { DOWN, EIGHTH, SP_Q5_K, 0 } } },
    { "q4_k_m", SP_Q4_K, SP_Q6_K, { { VALUES, MORE, SP_Q6_K, 0 }, { DOWN, MORE, SP_Q6_K, 0 } } },
    { "q5_k_s", SP_Q5_K, SP_Q6_K, { { 0 } } },
    { "q5_k_m", SP_Q5_K, SP_Q6_K, { { VALUES, MORE, SP_Q6_K, 0 }, { DOWN, MORE, SP_Q6_K, 0 } } },
    { "q6_k", SP_Q6_K, SP_Q6_K, { { 0 } } },
    { "q8_0", SP_Q8_0, SP_Q8_0, { { 0 } } },
    { "iq4_xs", SP_IQ4_XS, SP_Q6_K, { { VALUES, SHARED, SP_Q5_K, 0 }, { DOWN, EIGHTH, SP_Q5_K, PLAIN } } },
    { "iq4_nl", SP_IQ4_NL, SP_Q6_K, { { VALUES, SHARED, SP_Q5_K, 0 }, { DOWN, EIGHTH, SP_Q5_K, PLAIN } } },
    { "q4_0", SP_Q4_0, SP_Q6_K, { { DOWN, EIGHTH, SP_Q4_1, WEIGHTED } } },
    { "q5_0", SP_Q5_0, SP_Q6_K, { { DOWN, EIGHTH, SP_Q5_1, WEIGHTED } } },
    { "q4_1", SP_Q4_1, SP_Q6_K, { { 0 } } },
    { "q5_1", SP_Q5_1, SP_Q6_K, { { 0 } } },
};
static const struct { const char *name, *mix; } aliases[] = { { "q3_k", "q3_k_m" }, { "q4_k", "q4_k_m" }, { "q5_k", "q5_k_m" } };

static const struct mix *named(const char *name)
{
    for (size_t i = 0; i < SP_COUNT(aliases); i++)
        if (!strcasecmp(name, aliases[i].name))
            name = aliases[i].mix;
    for (size_t i = 0; i < SP_COUNT(mixes); i++)
        if (!strcasecmp(name, mixes[i].name))
            return &mixes[i];
    return NULL;
}

bool sp_bits_mix_is(const char *name)
{
    return named(name) != NULL;
}

const char *sp_bits_mix_names(void)
{
    return "q2_k, q2_k_s, q3_k_s, q3_k_m, q3_k_l, q4_k_s, q4_k_m, q5_k_s, q5_k_m, q6_k, q8_0, iq4_xs, iq4_nl, q4_0, q4_1, q5_0, q5_1";
}

static enum part part_of(const char *what)
{
    static const struct { const char *name; enum part part; } parts[] = {
        { "attn_v.weight", VALUES }, { "attn_qkv.weight", VALUES }, { "ffn_down.weight", DOWN }, { "attn_output.weight", OUT } };
    for (size_t i = 0; i < SP_COUNT(parts); i++)
        if (!strcmp(what, parts[i].name))
            return parts[i].part;
    return 0;
}

static bool holds(const struct rule *r, const struct sp_model_config *c, int64_t layer, bool importance)
{
    int64_t n = c->layers, eighth = n / 8;
    if ((r->when == WEIGHTED && !importance) || (r->when == PLAIN && importance))
        return false;
    switch (r->where) {
    case FIRST2: return layer < 2;
    case FIRST4: return layer < 4;
    case EIGHTH: return layer < eighth;
    case SIXTEENTH: return layer < n / 16;
    case MORE: return layer < eighth || layer >= 7 * n / 8 || (layer - eighth) % 3 == 2;
    case SHARED: return c->kv_heads > 0 && c->heads / c->kv_heads >= SHARED_HEADS;
    case ALL: break;
    }
    return true;
}

static enum sp_format in_layer(const struct mix *m, const struct sp_model_config *c, const char *name, bool importance)
{
    char *rest;
    int64_t layer = strtol(name, &rest, 10);
    enum part part = *rest == '.' ? part_of(rest + 1) : 0;
    enum sp_format f = m->base;
    for (int i = RULES - 1; i >= 0; i--)
        if (part && m->rule[i].part == part && holds(&m->rule[i], c, layer, importance))
            f = m->rule[i].format;
    if (part == VALUES && c->layers == MANY_LAYERS && (f == SP_Q3_K || f == SP_Q4_K))
        f = SP_Q5_K; /* models of 70 billion parameters: values are a small part, shared by eight heads */
    return f;
}

enum sp_status sp_bits_mix(struct sp_export *e, const char *name, bool importance, struct sp_err *err)
{
    const struct mix *m = named(name);
    const struct sp_model_config *c = &e->w->config;
    if (!m)
        return sp_fail(err, SP_USAGE, "there is no mix %.40s; there are %s", name, sp_bits_mix_names());
    for (int i = 0; i < e->n; i++) {
        struct sp_export_tensor *t = &e->tensor[i];
        enum sp_format f = m->base;
        if (!strncmp(t->stored_name, "blk.", 4))
            f = in_layer(m, c, t->stored_name + 4, importance);
        else if (!strcmp(t->stored_name, "output.weight") || (c->tied && !strcmp(t->stored_name, "token_embd.weight")))
            f = m->head;
        if (t->matrix)
            t->type.format = sp_export_fitting(t, f);
    }
    return SP_OK;
}
