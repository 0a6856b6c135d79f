/* model/export.c - a model's parameters as a list for another form of file, and their
 * rows in that form.  Writing is in export_write.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"

enum { NAME_MAX_ = 256, ROPE_DIM_MAX = 4096 };

/* ---- the list ---- */

static enum sp_status no_memory(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "no memory for the list of parameters");
}

/* What is stored now, or, where the other form doesn't have that, f32. */
static enum sp_format kept(const struct sp_export *e, const struct sp_export_tensor *t)
{
    enum sp_format f = sp_tensor_format(t->from);
    bool has = f < SP_FORMATS && (e->arch ? sp_formats[f].gguf != NULL : sp_formats[f].safetensors != NULL);
    if (!has || (e->arch && !t->matrix))
        return SP_F32;
    return sp_export_fitting(t, f);
}

static enum sp_status list_one(struct sp_export *e, const char *name, const struct sp_type *type, struct sp_err *err)
{
    struct sp_export_tensor *t = &e->tensor[e->n];
    char stored[NAME_MAX_] = "";
    t->name = sp_arena_printf(&e->mem, "%s", name);
    t->from = sp_weights_find(e->w, name);
    t->type = *type;
    t->matrix = type->n > 1;
    if (!t->from)
        return sp_fail(err, SP_MISSING, "tensor %s is missing from the model's files", name);
    bool same = t->from->n == type->n;
    for (int i = 0; same && i < type->n; i++)
        same = t->from->dim[i] == type->dim[i];
    if (!same)
        return sp_fail(err, SP_SHAPE, "tensor %s isn't of the shape that the configuration wants", name);
    if (e->arch && !sp_gguf_name(&e->w->config, name, stored, sizeof stored))
        return sp_fail(err, SP_UNSUPPORTED, "GGUF has no name for tensor %s", name);
    t->stored_name = e->arch ? sp_arena_printf(&e->mem, "%s", stored) : t->name;
    if (!t->name || !t->stored_name)
        return no_memory(err);
    if (e->arch)
        t->layout = sp_gguf_layout(&e->w->config, e->arch, name);
    t->matrix &= !e->arch || strcmp(stored, "position_embd.weight"); /* llama.cpp adds it as f32 */
    if (t->layout.transposed) {
        t->type.dim[0] = type->dim[1];
        t->type.dim[1] = type->dim[0];
    }
    t->type.format = kept(e, t);
    e->n++;
    return SP_OK;
}

/* Llama 3's divisors of frequencies are a tensor in GGUF. */
static void list_divisors(struct sp_export *e)
{
    const struct sp_model_config *c = &e->w->config;
    int64_t dim = c->rotary ? c->rotary : c->head_dim;
    if (e->arch && c->rope_scaling == SP_SCALING_LLAMA3 && dim <= ROPE_DIM_MAX)
        e->tensor[e->n++] = (struct sp_export_tensor){ .name = "rope_freqs.weight", .stored_name = "rope_freqs.weight",
                                                       .type = { .format = SP_F32, .n = 1, .dim = { dim / 2 } } };
}

static enum sp_status list_all(struct sp_export *e, const struct sp_graph *g, struct sp_err *err)
{
    e->tensor = sp_arena_take(&e->mem, ((size_t)g->n + 2) * sizeof *e->tensor);
    if (!e->tensor)
        return no_memory(err);
    for (int v = 0; v < g->n; v++)
        if (g->node[v].op == &sp_op_state && g->node[v].state_kind == SP_STATE_PARAM)
            TRY(list_one(e, g->node[v].name, &g->node[v].out[0], err));
    list_divisors(e);
    return SP_OK;
}

enum sp_status sp_export_begin(struct sp_export *e, const struct sp_weights *w, bool gguf, struct sp_err *err)
{
    struct sp_export n = { .w = w, .arch = gguf ? sp_gguf_arch(&w->config) : NULL };
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = 1, .tokens = 1 };
    if (gguf && !n.arch)
        return sp_fail(err, SP_UNSUPPORTED, "a %s model can't be written as GGUF yet", sp_model_type(&w->config));
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = sp_model_build(g, &w->config, &b, err);
    st = st ? st : list_all(&n, g, err);
    sp_graph_free(g);
    if (st)
        sp_export_clear(&n);
    else
        *e = n;
    return st;
}

void sp_export_clear(struct sp_export *e)
{
    sp_arena_clear(&e->mem);
    *e = (struct sp_export){ 0 };
}

/* ---- formats ---- */

enum sp_format sp_export_fitting(const struct sp_export_tensor *t, enum sp_format f)
{
    static const enum sp_format smaller[SP_FORMATS] = { [SP_Q2_K] = SP_IQ4_NL, [SP_Q3_K] = SP_IQ4_NL, [SP_Q4_K] = SP_Q5_0, [SP_Q5_K] = SP_Q5_1,
                                                        [SP_Q6_K] = SP_Q8_0, [SP_IQ4_XS] = SP_IQ4_NL, [SP_TQ1_0] = SP_Q4_0, [SP_TQ2_0] = SP_Q4_0 };
    int64_t cols = t->type.n ? t->type.dim[t->type.n - 1] : 1;
    if (cols % sp_formats[f].block && smaller[f])
        f = smaller[f];
    return cols % sp_formats[f].block ? SP_F16 : f;
}

uint64_t sp_export_bytes(const struct sp_export *e)
{
    uint64_t n = 0;
    for (int i = 0; i < e->n; i++)
        n += (uint64_t)sp_type_bytes(&e->tensor[i].type);
    return n;
}

static enum sp_status weighted_rows(const struct sp_export_tensor *t, int64_t first, int64_t n, enum sp_format f, unsigned char *to, struct sp_err *err)
{
    int64_t cols = t->type.dim[t->type.n - 1];
    float *x = sp_alloc((size_t)(n * cols) * sizeof *x);
    enum sp_status st = x ? sp_tensor_rows(t->from, t->layout, first, n, SP_F32, x, err) : sp_fail(err, SP_NOMEM, "no memory for rows of %s", t->name);
    for (int64_t i = 0; !st && i < n; i++)
        sp_formats[f].encode_weighted(to + sp_format_bytes(f, i * cols), x + i * cols, t->importance, cols);
    sp_free(x);
    return st;
}

enum sp_status sp_export_rows(const struct sp_export *e, const struct sp_export_tensor *t, int64_t first, int64_t n, enum sp_format f, void *to,
                              struct sp_err *err)
{
    float x[ROPE_DIM_MAX / 2];
    if (t->from && t->importance && t->matrix && sp_formats[f].encode_weighted)
        return weighted_rows(t, first, n, f, to, err);
    if (t->from)
        return sp_tensor_rows(t->from, t->layout, first, n, f, to, err);
    for (int64_t i = 0; i < n; i++)
        x[i] = (float)sp_gguf_divisor(&e->w->config, first + i);
    sp_formats[f].encode(to, x, n);
    return SP_OK;
}
