/* cli/verb_quantize.c - store a model in fewer bits, or in another form: tensor by
 * tensor, rounded to nearest, with a table of what became smaller.
 *
 * Both verbs are one: `export` keeps the numbers as they are stored, `quantize` is told
 * what to store them in.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "../bits/bits.h"
#include "work.h"

enum { FORMAT_NAMES_MAX = 256, NAME_MAX_ = 128 };

struct quantize_options { const char *to, *embed, *out, *tokenizer; bool pure; };

#define AT(field) offsetof(struct quantize_options, field)
static const struct sp_option quantize_options[] = {
    { .name = "to", .key = "quantize.to", .kind = SP_OPT_TEXT, .at = AT(to), .group = "Storage", .unit = "FORMAT",
      .help = "of matrices: f32, f16, bf16; in GGUF also a mix (q4_k_m and others, formats by tensor as llama-quantize has them), mxfp4, tq1_0, tq2_0" },
    { .name = "pure", .key = "quantize.pure", .kind = SP_OPT_FLAG, .at = AT(pure), .help = "every matrix in the format of --to: no better ones for values and head" },
    { .name = "embed", .key = "quantize.embed", .kind = SP_OPT_TEXT, .at = AT(embed), .unit = "FORMAT", .help = "of the embedding and the head, where they differ" },
    { .name = "out", .key = "quantize.out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .unit = "PATH",
      .help = "NAME.gguf, or a Hugging Face folder" },
    { .name = "tokenizer", .key = "quantize.tokenizer", .kind = SP_OPT_TEXT, .at = AT(tokenizer), .unit = "FILE", .help = "where the model has none of its own; none: goes without" },
    { 0 },
};
#undef AT

struct quantizing { struct sp_machine machine; struct sp_pool *pool; struct sp_weights weights; struct sp_tokenizer *tokenizer; struct sp_export export;
                    struct sp_progress bar; uint64_t before, after; int64_t parameters; };

/* ---- formats ---- */

static enum sp_status format_named(const char *option, const char *name, bool gguf, enum sp_format *out, struct sp_err *err)
{
    struct sp_text known = { .max = FORMAT_NAMES_MAX };
    for (int f = 0; f < SP_FORMATS; f++) {
        if (!sp_formats[f].encode || !(gguf ? sp_formats[f].gguf : sp_formats[f].safetensors))
            continue;
        if (!strcasecmp(sp_formats[f].name, name)) {
            *out = (enum sp_format)f;
            sp_text_clear(&known);
            return SP_OK;
        }
        sp_text_printf(&known, "%s%s", known.n ? ", " : "", sp_formats[f].name);
    }
    sp_fail(err, SP_USAGE, "--%s %.40s isn't a format of a %s", option, name, gguf ? "GGUF file" : "Hugging Face folder");
    sp_remedy(err, "%s", known.at ? known.at : "");
    sp_text_clear(&known);
    return SP_USAGE;
}

static bool is_embedding(const struct quantizing *q, const struct sp_export_tensor *t)
{
    const struct sp_model_config *c = &q->weights.config;
    return t->matrix && t->type.n == 2 && t->type.dim[0] == c->vocab; /* embedding or head */
}

static enum sp_status choose(struct quantizing *q, const struct quantize_options *o, struct sp_err *err)
{
    enum sp_format all = SP_F32, embed;
    bool gguf = q->export.arch != NULL, mix = gguf && o->to && !o->pure && sp_bits_mix_is(o->to);
    if (mix)
        TRY(sp_bits_mix(&q->export, o->to, false, err));
    else if (o->to)
        TRY(format_named("to", o->to, gguf, &all, err));
    embed = all;
    if (o->embed)
        TRY(format_named("embed", o->embed, gguf, &embed, err));
    for (int i = 0; i < q->export.n; i++) {
        struct sp_export_tensor *t = &q->export.tensor[i];
        bool special = is_embedding(q, t);
        if (t->matrix && ((o->to && !mix) || (special && o->embed)))
            t->type.format = sp_export_fitting(t, special ? embed : all);
        q->parameters += sp_type_elements(&t->type);
        q->before += t->from ? t->from->bytes : 0;
    }
    q->after = sp_export_bytes(&q->export);
    return SP_OK;
}

/* ---- the work ---- */

static void on_event(void *self, const struct sp_event *e)
{
    if (e->kind == SP_EVENT_STEP)
        sp_progress_show(self, (double)e->done, (double)e->total, NULL);
}

/* "models/judge/" is called judge, "a/b.gguf" b. */
static const char *name_of(const char *path, char name[NAME_MAX_])
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t from = n;
    while (from > 0 && path[from - 1] != '/')
        from--;
    snprintf(name, NAME_MAX_, "%.*s", (int)(n - from < NAME_MAX_ ? n - from : NAME_MAX_ - 1), path + from);
    char *dot = strrchr(name, '.');
    if (dot && (!strcmp(dot, ".gguf") || !strcmp(dot, ".bin") || !strcmp(dot, ".safetensors")))
        *dot = 0;
    return name;
}

static bool ends(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static enum sp_status work(struct quantizing *q, struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    const char *model = call->operands[0];
    char name[NAME_MAX_];
    struct sp_watch watch = { on_event, &q->bar };
    TRY(sp_pool_new(&q->pool, q->machine.threads, err));
    TRY(sp_weights_open(&q->weights, model, err));
    if (!o->tokenizer || strcmp(o->tokenizer, "none"))
        if (sp_weights_tokenizer(&q->weights, o->tokenizer, &q->tokenizer, err))
            return sp_remedy(err, "--tokenizer FILE names another, --tokenizer none goes without");
    TRY(sp_export_begin(&q->export, &q->weights, ends(o->out, ".gguf"), err));
    TRY(choose(q, o, err));
    sp_progress_begin(&q->bar, "storing", call->common.quiet || call->common.json);
    enum sp_status st = sp_export_write(&q->export, o->out, name_of(model, name), q->tokenizer, q->pool, &watch, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    return st;
}

/* ---- the table ---- */

struct sum { int64_t tensors, numbers; uint64_t before, after; };

static struct sum sum_of(const struct quantizing *q, enum sp_format f)
{
    struct sum s = { 0 };
    for (int i = 0; i < q->export.n; i++) {
        const struct sp_export_tensor *t = &q->export.tensor[i];
        if (t->type.format != f)
            continue;
        s.tensors++;
        s.numbers += sp_type_elements(&t->type);
        s.before += t->from ? t->from->bytes : 0;
        s.after += (uint64_t)sp_type_bytes(&t->type);
    }
    return s;
}

static double bits(uint64_t bytes, int64_t numbers)
{
    return numbers > 0 ? 8 * (double)bytes / (double)numbers : 0;
}

static void show(const struct quantizing *q)
{
    printf("%-8s %8s %14s %15s %15s %8s\n", "stored", "tensors", "numbers", "bytes before", "bytes after", "bits");
    for (int f = 0; f < SP_FORMATS; f++) {
        struct sum s = sum_of(q, (enum sp_format)f);
        if (s.tensors)
            printf("%-8s %8lld %14lld %15llu %15llu %8.4f\n", sp_formats[f].name, (long long)s.tensors, (long long)s.numbers, (unsigned long long)s.before,
                   (unsigned long long)s.after, bits(s.after, s.numbers));
    }
    printf("%-8s %8d %14lld %15llu %15llu %8.4f\n", "all", q->export.n, (long long)q->parameters, (unsigned long long)q->before, (unsigned long long)q->after,
           bits(q->after, q->parameters));
}

static json_t *answer(const struct quantizing *q, const struct book *b)
{
    json_t *rows = json_array();
    for (int f = 0; rows && f < SP_FORMATS; f++) {
        struct sum s = sum_of(q, (enum sp_format)f);
        if (s.tensors)
            json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:I, s:I}", "format", sp_formats[f].name, "tensors", (json_int_t)s.tensors, "numbers",
                                                  (json_int_t)s.numbers, "bytes_before", (json_int_t)s.before, "bytes_after", (json_int_t)s.after));
    }
    return json_pack("{s:s, s:I, s:I, s:I, s:f, s:o, s:o}", "schema", "sparsam.quantize/1", "parameters", (json_int_t)q->parameters, "bytes_before",
                     (json_int_t)q->before, "bytes_after", (json_int_t)q->after, "bits", bits(q->after, q->parameters), "formats", rows, "measured",
                     sp_cost_json(&b->measured));
}

static json_t *recipe(const struct verb_call *call)
{
    const struct quantize_options *o = call->options;
    return json_pack("{s:s, s:{s:s?, s:s?, s:b, s:s?, s:s?}}", "model", call->operands[0], "quantize", "to", o->to, "embed", o->embed, "pure", (int)o->pure, "out", o->out, "tokenizer",
                     o->tokenizer);
}

static void clear(struct quantizing *q)
{
    sp_export_clear(&q->export);
    sp_tokenizer_free(q->tokenizer);
    sp_weights_close(&q->weights);
    sp_pool_free(q->pool);
}

static enum sp_status whole(struct quantizing *q, struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    struct book b;
    struct sp_err booking;
    TRY(book_begin(&b, call, &q->machine, recipe(call), NULL, err));
    book_file(&b, false, call->operands[0]);
    book_file(&b, true, o->out);
    enum sp_status st = work(q, call, err);
    json_t *sizes = st ? NULL : json_pack("{s:I, s:I, s:f}", "bytes_before", (json_int_t)q->before, "bytes_after", (json_int_t)q->after, "bits",
                                          bits(q->after, q->parameters));
    book_measure(&b);
    enum sp_status booked = book_write(&b, NULL, NULL, sizes, st ? err : NULL, &booking);
    TRY(st);
    if (booked)
        *err = booking;
    TRY(booked);
    if (call->common.json) {
        call->answer = answer(q, &b);
        return SP_OK;
    }
    show(q);
    printf("The model is in %s.\n", o->out);
    book_show(&b, stdout);
    return SP_OK;
}

static enum sp_status run(struct verb_call *call, struct sp_err *err)
{
    struct quantizing q = { 0 };
    const struct quantize_options *o = call->options;
    if (!o->out) {
        sp_fail(err, SP_USAGE, "nothing says where the model goes");
        return sp_remedy(err, "-o NAME.gguf, or -o FOLDER");
    }
    TRY(work_machine(&call->common, &q.machine, err));
    sp_signals_install();
    enum sp_status st = whole(&q, call, err);
    clear(&q);
    return st;
}

static enum sp_status quantize_run(struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    if (o->to)
        return run(call, err);
    sp_fail(err, SP_USAGE, "nothing says what to store the numbers in");
    return sp_remedy(err, "--to q4_k_m, for example; sparsam export keeps them as they are");
}

const struct verb sp_verb_quantize = {
    .name = "quantize",
    .help = "store a model in fewer bits",
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,
    .text = "MODEL is a Hugging Face folder, a GGUF file, or a llama2.c checkpoint. Matrices are\n"
            "rounded to the nearest number of the format, a few rows at a time, so that memory stays\n"
            "far below the model; vectors (norms, biases) stay as they are. Where rows don't divide\n"
            "into a format's blocks, the next larger format that fits is taken.\n"
            "\n"
            "  sparsam quantize model --to q4_k_m -o model.gguf\n"
            "  sparsam quantize model --to q4_0 --pure --embed q6_k -o model.gguf\n"
            "  sparsam quantize model.gguf --to bf16 -o folder\n",
    .sets = { { quantize_options, 0 } },
    .options_bytes = sizeof(struct quantize_options),
    .run = quantize_run,
};

const struct verb sp_verb_export = {
    .name = "export",
    .help = "write a model as a GGUF file or a Hugging Face folder",
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,
    .text = "Numbers stay as they are stored, where the other form has that format, else they become\n"
            "f32; --to says another. A GGUF file holds the tokenizer too.\n"
            "\n"
            "  sparsam export model -o model.gguf\n"
            "  sparsam export model.gguf -o folder\n",
    .sets = { { quantize_options, 0 } },
    .options_bytes = sizeof(struct quantize_options),
    .run = run,
};
