/* model/export.c - a model's parameters as a list for another form of file, and their
 * rows in that form.  Writing is in export_write.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"
#include "weights.h"

enum { NAME_MAX_ = 256, ROPE_DIM_MAX = 4096 };

/* ---- the list ---- */

static enum sp_status no_memory(struct sp_err *err)
{
    return sp_fail(err, SP_NOMEM, "no memory for the list of parameters");
}

/* What is stored now, or, where the other form doesn't have that, f32. */
static enum sp_format kept(const struct sp_export *e, const struct sp_export_tensor *t)
{
    enum sp_format f = e->planned ? SP_F16 : sp_tensor_format(t->from);
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
    if (!t->from && !e->planned)
        return sp_fail(err, SP_MISSING, "tensor %s is missing from the model's files", name);
    bool same = e->planned || t->from->n == type->n;
    for (int i = 0; same && !e->planned && i < type->n; i++)
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

/* n: whose it is, and what form; its memory may hold something already. */
static enum sp_status begin(struct sp_export n, bool gguf, struct sp_export *e, struct sp_err *err)
{
    struct sp_build b = { .mode = SP_BUILD_SCORE, .batch = 1, .tokens = 1 };
    n.arch = gguf ? sp_gguf_arch(&n.w->config) : NULL;
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = gguf && !n.arch ? sp_fail(err, SP_UNSUPPORTED, "a %s model can't be written as GGUF yet", sp_model_type(&n.w->config))
                                        : sp_model_build(g, &n.w->config, &b, err);
    st = st ? st : list_all(&n, g, err);
    sp_graph_free(g);
    if (!st) {
        *e = n;
        return SP_OK;
    }
    const char *path = n.planned ? NULL : n.w->bin.path ? n.w->bin.path : n.w->folder;
    sp_export_clear(&n);
    return path ? sp_file_refused(err, path) : st;
}

enum sp_status sp_export_begin(struct sp_export *e, const struct sp_weights *w, bool gguf, struct sp_err *err)
{
    return begin((struct sp_export){ .w = w }, gguf, e, err);
}

enum sp_status sp_export_planned(struct sp_export *e, const struct sp_model_config *c, struct sp_err *err)
{
    struct sp_export n = { .planned = true };
    struct sp_weights *w = sp_arena_take(&n.mem, sizeof *w); /* of a configuration, without tensors */
    if (!w)
        return no_memory(err);
    *w = (struct sp_weights){ .config = *c };
    n.w = w;
    return begin(n, true, e, err);
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

const char *sp_export_name(const char *path, char name[SP_EXPORT_NAME_MAX])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    snprintf(name, SP_EXPORT_NAME_MAX, "%.*s", (int)(n - from < SP_EXPORT_NAME_MAX ? n - from : SP_EXPORT_NAME_MAX - 1), path + from);
    char *dot = strrchr(name, '.');
    if (dot && (!strcmp(dot, ".gguf") || !strcmp(dot, ".bin") || !strcmp(dot, ".safetensors")))
        *dot = 0;
    return name;
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
