/* model/llama2c_model.c - reads llama2.c's checkpoints (the first version: seven
 * numbers, then f32 weights in a fixed order), as tensors under Hugging Face names.
 *
 * Rotary pairs stand side by side in these files; rows of q and k are put in
 * halves when read.  A negative vocabulary means the head isn't the embedding.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "weights.h"

enum { HEADER_WORDS = 7, PER_LAYER = 9 };

struct bin { struct sp_weights *w; struct sp_tensor *t; uint64_t at; int n; };

static enum sp_status put(struct bin *b, const char *name, int dims, int64_t rows, int64_t cols, int64_t rope_heads, struct sp_err *err)
{
    struct sp_tensor *t = &b->t[b->n];
    uint64_t bytes = (uint64_t)rows * (uint64_t)cols * 4;
    if (b->at + bytes > b->w->bin.bytes)
        return sp_fail(err, SP_FORMAT, "the file ends at byte %zu, inside %s", b->w->bin.bytes, name);
    *t = (struct sp_tensor){ .name = sp_arena_printf(&b->w->mem, "%s", name), .dtype = "F32", .n = dims, .at = b->at, .bytes = bytes,
                             .map = &b->w->bin, .layout.rope_heads = rope_heads };
    t->dim[0] = dims == 2 ? rows : cols;
    t->dim[1] = cols;
    if (!t->name)
        return sp_fail(err, SP_NOMEM, "no memory for a tensor's name");
    b->n++;
    b->at += bytes;
    return SP_OK;
}

/* The same tensor of every layer, one behind the other. */
static enum sp_status put_layers(struct bin *b, const char *what, int dims, int64_t rows, int64_t cols, int64_t rope_heads, struct sp_err *err)
{
    char name[96];
    for (int i = 0; i < b->w->config.layers; i++) {
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", i, what);
        TRY(put(b, name, dims, rows, cols, rope_heads, err));
    }
    return SP_OK;
}

static enum sp_status put_all(struct bin *b, struct sp_err *err)
{
    const struct sp_model_config *c = &b->w->config;
    int64_t kv = c->kv_heads * c->head_dim;
    TRY(put(b, "model.embed_tokens.weight", 2, c->vocab, c->width, 0, err));
    TRY(put_layers(b, "input_layernorm", 1, 1, c->width, 0, err));
    TRY(put_layers(b, "self_attn.q_proj", 2, c->width, c->width, c->heads, err));
    TRY(put_layers(b, "self_attn.k_proj", 2, kv, c->width, c->kv_heads, err));
    TRY(put_layers(b, "self_attn.v_proj", 2, kv, c->width, 0, err));
    TRY(put_layers(b, "self_attn.o_proj", 2, c->width, c->width, 0, err));
    TRY(put_layers(b, "post_attention_layernorm", 1, 1, c->width, 0, err));
    TRY(put_layers(b, "mlp.gate_proj", 2, c->ffn, c->width, 0, err));
    TRY(put_layers(b, "mlp.down_proj", 2, c->width, c->ffn, 0, err));
    TRY(put_layers(b, "mlp.up_proj", 2, c->ffn, c->width, 0, err));
    TRY(put(b, "model.norm.weight", 1, 1, c->width, 0, err));
    b->at += (uint64_t)c->context * (uint64_t)c->head_dim * 4; /* two tables of cosines and sines */
    return c->tied ? SP_OK : put(b, "lm_head.weight", 2, c->vocab, c->width, 0, err);
}

static enum sp_status read_header(struct sp_weights *w, struct sp_err *err)
{
    int32_t h[HEADER_WORDS];
    if (w->bin.bytes < sizeof h)
        return sp_fail(err, SP_FORMAT, "a file of %zu bytes is too short for a llama2.c checkpoint", w->bin.bytes);
    TRY(sp_map_copy(&w->bin, 0, sizeof h, h, err));
    for (int i = 0; i < HEADER_WORDS; i++)
        if ((h[i] < 1 && i != 5) || h[i] > 1 << 24 || h[i] < -(1 << 24) || !h[i])
            return sp_fail(err, SP_FORMAT, "number %d of its header is %d: this isn't a llama2.c checkpoint", i, h[i]);
    w->config = (struct sp_model_config){ .family = SP_FAMILY_LLAMA, .width = h[0], .ffn = h[1], .layers = h[2], .heads = h[3],
                                          .kv_heads = h[4], .vocab = abs(h[5]), .tied = h[5] > 0, .context = h[6],
                                          .activation = SP_SILU, .norm_eps = 1e-5, .rope_theta = 10000, .bos = 1, .n_eos = 1, .eos = { 2 } };
    if (h[0] % h[3])
        return sp_fail(err, SP_FORMAT, "%d heads do not divide a width of %d", h[3], h[0]);
    return sp_model_config_finish(&w->config, err);
}

static int by_name(const void *x, const void *y)
{
    const struct sp_tensor *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

enum sp_status sp_weights_open_bin(struct sp_weights *w, const char *path, struct sp_err *err)
{
    struct bin b = { .w = w, .at = HEADER_WORDS * 4 };
    TRY(sp_map_open(&w->bin, path, err));
    if (read_header(w, err))
        return sp_where(err, "%s", path);
    size_t n = (size_t)w->config.layers * PER_LAYER + 3;
    b.t = sp_arena_take(&w->mem, n * sizeof *b.t);
    w->tensor = sp_alloc((n + 1) * sizeof *w->tensor);
    if (!b.t || !w->tensor)
        return sp_fail(err, SP_NOMEM, "no memory for %zu tensors", n);
    if (put_all(&b, err))
        return sp_where(err, "%s", path);
    for (w->n = 0; w->n < b.n; w->n++)
        w->tensor[w->n] = &b.t[w->n];
    qsort(w->tensor, (size_t)w->n, sizeof *w->tensor, by_name);
    return SP_OK;
}
