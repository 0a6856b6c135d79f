/* model/weights_gguf.c - a GGUF file's tensors, under the names and in the shapes that
 * Hugging Face gives them; and the tokenizer of a model's files.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "gguf.h"
#include "weights.h"

static int by_name(const void *x, const void *y)
{
    const struct sp_tensor *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

static enum sp_status put(struct sp_weights *w, const char *arch, const struct sp_gguf_tensor *from, struct sp_tensor *t, struct sp_err *err)
{
    char name[256];
    bool known = sp_gguf_name_back(&w->config, from->name, name, sizeof name);
    *t = (struct sp_tensor){ .dtype = from->type->name, .n = from->n, .at = w->gguf->data + from->at, .bytes = from->bytes, .map = &w->bin,
                             .block_format = sp_gguf_format(from->type) };
    t->name = known ? sp_arena_printf(&w->mem, "%s", name) : sp_arena_printf(&w->mem, "%.*s", (int)from->name.n, from->name.at);
    if (!t->name)
        return sp_fail(err, SP_NOMEM, "no memory for a tensor's name");
    for (int i = 0; i < t->n; i++)
        t->dim[i] = from->dim[t->n - 1 - i];
    if (!known)
        return SP_OK;
    t->layout = sp_gguf_layout(&w->config, arch, t->name);
    if (t->layout.transposed && t->n == 2) {
        t->dim[0] = from->dim[0];
        t->dim[1] = from->dim[1];
    }
    return SP_OK;
}

static enum sp_status put_all(struct sp_weights *w, struct sp_err *err)
{
    const struct sp_gguf *g = w->gguf;
    json_t *arch = sp_gguf_value(g, "general.architecture");
    struct sp_tensor *t = sp_arena_take(&w->mem, ((size_t)g->n + 1) * sizeof *t);
    w->tensor = sp_alloc(((size_t)g->n + 1) * sizeof *w->tensor);
    enum sp_status st = arch && t && w->tensor ? SP_OK : sp_fail(err, SP_NOMEM, "no memory for %d tensors", g->n);
    for (int i = 0; !st && i < g->n; i++) {
        st = put(w, json_string_value(arch), &g->tensor[i], &t[i], err);
        w->tensor[w->n++] = &t[i];
    }
    json_decref(arch);
    TRY(st);
    qsort(w->tensor, (size_t)w->n, sizeof *w->tensor, by_name);
    for (int i = 1; i < w->n; i++)
        if (!strcmp(w->tensor[i - 1]->name, w->tensor[i]->name))
            return sp_fail(err, SP_FORMAT, "tensor %s stands twice, under two names", w->tensor[i]->name);
    return SP_OK;
}

static enum sp_status open_all(struct sp_weights *w, struct sp_err *err)
{
    TRY(sp_gguf_read(w->gguf, &w->bin, err));
    TRY(sp_gguf_to_config(w->gguf, &w->config, &w->bin, err));
    return put_all(w, err);
}

enum sp_status sp_weights_open_gguf(struct sp_weights *w, const char *path, struct sp_err *err)
{
    TRY(sp_map_open(&w->bin, path, err));
    if (!(w->gguf = sp_zalloc(1, sizeof *w->gguf)))
        return sp_fail(err, SP_NOMEM, "no memory to open %s", path);
    return open_all(w, err) ? sp_file_refused(err, path) : SP_OK;
}

/* ---- tokenizer ---- */

enum sp_status sp_weights_tokenizer(const struct sp_weights *w, const char *path, struct sp_tokenizer **out, struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    if (path)
        return sp_tokenizer_load(out, path, err);
    if (w->gguf && sp_gguf_find(w->gguf, "tokenizer.ggml.tokens"))
        return sp_gguf_tokenizer(w->gguf, out, err) ? sp_file_refused(err, w->bin.path) : SP_OK;
    const char *beside = w->folder ? sp_path_join(&mem, w->folder, "tokenizer.json") : NULL;
    enum sp_status st = w->folder && !beside ? sp_fail(err, SP_NOMEM, "no memory to look for a tokenizer") : SP_OK;
    if (!st && beside && sp_is_file(beside))
        st = sp_tokenizer_load(out, beside, err);
    else if (!st)
        *out = NULL;
    sp_arena_clear(&mem);
    return st;
}

enum sp_status sp_weights_template(const struct sp_weights *w, struct sp_template **out, struct sp_err *err)
{
    struct sp_text source = { 0 };
    json_t *v = w->gguf ? sp_gguf_value(w->gguf, "tokenizer.chat_template") : NULL;
    enum sp_status st = SP_OK;
    *out = NULL;
    if (json_is_string(v))
        st = sp_template_parse(out, json_string_value(v), json_string_length(v), err);
    else if (w->folder && !w->gguf)
        st = sp_template_find(w->folder, &source, err);
    if (!st && source.n)
        st = sp_template_parse(out, source.at, source.n, err);
    json_decref(v);
    sp_text_clear(&source);
    return st;
}
