/* technique/quantize.c - a model stored in fewer bits: what that makes of a recipe,
 * before anything is quantized.
 *
 * Rewrites the bits that a stored weight takes when the model is served.  By a format or
 * a mix they are those of the very file that `sparsam quantize` will write: the same list
 * of tensors, the same formats, its header and its vocabulary.  The work is that of bits
 * and model.  What it doesn't do: foretell the quality, which is measured.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../bits/bits.h"
#include "../plan/ask.h"
#include "../recipe/recipe.h"

struct quantize { const char *to, *size; double bits; bool pure, importance; };

#define AT(field) offsetof(struct quantize, field)
static const struct sp_option quantize_options[] = {
    { .name = "quantize-to", .kind = SP_OPT_TEXT, .at = AT(to), .group = "Quantization", .unit = "FORMAT", .help = "a format of GGUF files, or a mix (q4_k_m)" },
    { .name = "quantize-size", .kind = SP_OPT_TEXT, .at = AT(size), .unit = "SIZE", .help = "of the file at most: 300MB, bytes, or 45% of the original" },
    { .name = "quantize-bits", .kind = SP_OPT_REAL, .at = AT(bits), .min = 0, .max = 32, .help = "the same in bits a weight" },
    { .name = "quantize-pure", .kind = SP_OPT_FLAG, .at = AT(pure), .help = "every matrix in the format" },
    { .name = "quantize-importance", .kind = SP_OPT_FLAG, .at = AT(importance), .help = "importance is known: some mixes then choose otherwise" },
    { 0 },
};
#undef AT

/* A model by its files, with vocabulary and bytes as they are; or by a configuration or a name, then without. */
struct source { bool files; struct sp_weights weights; struct sp_tokenizer *tokenizer; struct sp_export list; };

static enum sp_status open_source(struct source *s, const char *model, struct sp_err *err)
{
    struct sp_ask a = { .task = SP_TASK_SERVE };
    if (sp_is_file(model) || sp_is_folder(model)) {
        enum sp_status st = sp_weights_open(&s->weights, model, err);
        s->files = !st;
        if (st && st != SP_MISSING)
            return st;
    }
    if (s->files) {
        TRY(sp_weights_tokenizer(&s->weights, NULL, &s->tokenizer, err));
        return sp_export_begin(&s->list, &s->weights, true, err);
    }
    *err = (struct sp_err){ 0 };
    TRY(sp_ask_model(&a, model, err));
    return sp_export_planned(&s->list, &a.model, err);
}

static void close_source(struct source *s)
{
    sp_export_clear(&s->list);
    sp_tokenizer_free(s->tokenizer);
    if (s->files)
        sp_weights_close(&s->weights);
}

static enum sp_status file_bytes(struct source *s, const char *model, const struct quantize *o, uint64_t *bytes, struct sp_err *err)
{
    char name[SP_EXPORT_NAME_MAX];
    uint64_t whole = 0;
    if (o->to) {
        TRY(sp_bits_named(&s->list, o->to, o->pure, o->importance, err));
        return sp_export_file_bytes(&s->list, sp_export_name(model, name), s->tokenizer, bytes, err);
    }
    for (int i = 0; i < s->list.n; i++)
        whole += s->list.tensor[i].from ? s->list.tensor[i].from->bytes : (uint64_t)sp_type_bytes(&s->list.tensor[i].type);
    return sp_bits_parse_size(o->size, whole, bytes, err);
}

static enum sp_status check(const struct sp_recipe *r, const struct quantize *o, struct sp_err *err)
{
    if (!r->model.path) {
        sp_fail(err, SP_USAGE, "quantize: the recipe names no model");
        return sp_remedy(err, "model.path: a folder, a GGUF file, or a name of the catalogue");
    }
    if ((o->to != NULL) + (o->size != NULL) + (o->bits > 0) == 1)
        return SP_OK;
    sp_fail(err, SP_USAGE, "quantize: one thing says what the numbers become: a format, a size, or bits");
    return sp_remedy(err, "--quantize-to q4_k_m, --quantize-size 30%%, or --quantize-bits 4.5");
}

static enum sp_status quantize_recipe(struct sp_recipe *r, const void *options, struct sp_err *err)
{
    const struct quantize *o = options;
    struct source s = { 0 };
    uint64_t bytes = 0;
    int64_t n = 0;
    TRY(check(r, o, err));
    if (o->bits > 0) {
        r->serve.bits = o->bits;
        return SP_OK;
    }
    enum sp_status st = open_source(&s, r->model.path, err);
    st = st ? st : file_bytes(&s, r->model.path, o, &bytes, err);
    for (int i = 0; i < s.list.n; i++)
        n += sp_type_elements(&s.list.tensor[i].type);
    close_source(&s);
    if (!st && n > 0)
        r->serve.bits = 8 * (double)bytes / (double)n;
    return st;
}

const struct sp_technique sp_technique_quantize = {
    .name = "quantize", .help = "a model stored in fewer bits", .options = quantize_options, .options_bytes = sizeof(struct quantize), .recipe = quantize_recipe,
};
