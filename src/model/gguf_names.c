/* model/gguf_names.c - what a parameter is called in a GGUF file, and how its rows
 * stand there.
 *
 * Rows of q and k of architectures whose rotary pairs stand side by side are put so;
 * GPT-2's matrices are turned to [out,in]; GPT-NeoX's q, k, v of each head become all q,
 * all k, all v; gains that count from one are stored whole.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"

enum { NAME_MAX_ = 256 };

#define AT(field) offsetof(struct sp_words, field)
static const struct { const char *gguf; size_t at; } outside[] = {
    { "token_embd", AT(embed) }, { "position_embd", AT(positions) }, { "token_embd_norm", AT(embed_norm) }, { "output_norm", AT(final_norm) },
    { "output", AT(head) },
}, inside[] = {
    { "attn_norm", AT(one) }, { "attn_norm", AT(norm1) }, { "ffn_norm", AT(norm2) }, { "post_attention_norm", AT(after1) }, { "post_ffw_norm", AT(after2) },
    { "attn_q", AT(q) }, { "attn_k", AT(k) }, { "attn_v", AT(v) }, { "attn_qkv", AT(qkv) }, { "attn_output", AT(o) }, { "attn_q_norm", AT(q_norm) },
    { "attn_k_norm", AT(k_norm) }, { "ffn_gate", AT(gate) }, { "ffn_up", AT(up) }, { "ffn_up", AT(gate_up) }, { "ffn_down", AT(down) },
};
#undef AT

static const struct sp_words gpt2 = {
    .embed = "transformer.wte", .positions = "transformer.wpe", .final_norm = "transformer.ln_f", .head = "lm_head", .layer = "transformer.h.",
    .norm1 = "ln_1", .norm2 = "ln_2", .qkv = "attn.c_attn", .o = "attn.c_proj", .up = "mlp.c_fc", .down = "mlp.c_proj" };

static const struct sp_words *words_of(const struct sp_model_config *c)
{
    return c->family == SP_FAMILY_GPT2 ? &gpt2 : c->family == SP_FAMILY_LLAMA || c->family == SP_FAMILY_DECODER ? sp_builder_words(c) : NULL;
}

static const char *word(const struct sp_words *w, size_t at)
{
    return *(const char *const *)(const void *)((const char *)w + at);
}

/* WORD and what follows it ("." and the rest); NULL: another word. */
static const char *behind(const char *name, const char *what)
{
    size_t n = what ? strlen(what) : 0;
    return n && !strncmp(name, what, n) && (!strcmp(name + n, ".weight") || !strcmp(name + n, ".bias")) ? name + n : NULL;
}

/* Under a layer's prefix: its number, and what follows. */
static const char *in_layer(const char *name, const char *prefix, long *layer)
{
    char *end;
    size_t n = strlen(prefix);
    if (strncmp(name, prefix, n) || name[n] < '0' || name[n] > '9')
        return NULL;
    *layer = strtol(name + n, &end, 10);
    return *end == '.' ? end + 1 : NULL;
}

bool sp_gguf_name(const struct sp_model_config *c, const char *name, char *out, size_t cap)
{
    const struct sp_words *w = words_of(c);
    const char *rest, *end;
    long i = 0;
    if (!w)
        return false;
    if ((rest = in_layer(name, w->layer, &i)))
        for (size_t k = 0; k < SP_COUNT(inside); k++)
            if ((end = behind(rest, word(w, inside[k].at))))
                return snprintf(out, cap, "blk.%ld.%s%s", i, inside[k].gguf, end) < (int)cap;
    for (size_t k = 0; k < SP_COUNT(outside); k++)
        if ((end = behind(name, word(w, outside[k].at))))
            return snprintf(out, cap, "%s%s", outside[k].gguf, end) < (int)cap;
    return false;
}

bool sp_gguf_name_back(const struct sp_model_config *c, struct sp_slice gguf, char *out, size_t cap)
{
    const struct sp_words *w = words_of(c);
    char name[NAME_MAX_];
    const char *rest, *end;
    long i = 0;
    if (!w || gguf.n >= sizeof name)
        return false;
    memcpy(name, gguf.at, gguf.n);
    name[gguf.n] = 0;
    if ((rest = in_layer(name, "blk.", &i)))
        for (size_t k = 0; k < SP_COUNT(inside); k++)
            if (word(w, inside[k].at) && (end = behind(rest, inside[k].gguf)))
                return snprintf(out, cap, "%s%ld.%s%s", w->layer, i, word(w, inside[k].at), end) < (int)cap;
    for (size_t k = 0; k < SP_COUNT(outside); k++)
        if (word(w, outside[k].at) && (end = behind(name, outside[k].gguf)))
            return snprintf(out, cap, "%s%s", word(w, outside[k].at), end) < (int)cap;
    return false;
}

struct sp_layout sp_gguf_layout(const struct sp_model_config *c, const char *arch, const char *name)
{
    const struct sp_words *w = words_of(c);
    struct sp_layout l = { 0 };
    long i = 0;
    const char *rest = w ? in_layer(name, w->layer, &i) : NULL;
    size_t n = strlen(name);
    if (w && c->gain_one && n > 11 && !strcmp(name + n - 11, "norm.weight"))
        l.plus = 1;
    if (!rest)
        return l;
    if (sp_gguf_pairs(arch) && !c->interleaved)
        l.rope_heads = behind(rest, w->q) ? c->heads : behind(rest, w->k) ? c->kv_heads : 0;
    if (w->grouped && behind(rest, w->qkv))
        l.groups = c->heads;
    if (w == &gpt2 && (!strcmp(rest, "attn.c_attn.weight") || !strcmp(rest, "attn.c_proj.weight") || !strcmp(rest, "mlp.c_fc.weight") ||
                       !strcmp(rest, "mlp.c_proj.weight")))
        l.transposed = true;
    return l;
}
