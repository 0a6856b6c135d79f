/* cli/verb_quantize.c - store a model in fewer bits, or in another form: tensor by
 * tensor, with a table of what became smaller.
 *
 * Both verbs are one: `export` keeps the numbers as they are stored, `quantize` is told
 * what to store them in, and on what text to find out how.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "quantize.h"

static const char *const methods[] = { "best", "nearest", "importance", "compensate", NULL };

#define AT(field) offsetof(struct quantize_options, field)
static const struct sp_option export_options[] = {
    { .name = "to", .key = "quantize.to", .kind = SP_OPT_TEXT, .at = AT(to), .group = "Storage", .unit = "FORMAT",
      .help = "of matrices: f32, f16, bf16; in GGUF also a mix (q4_k_m and others, formats by tensor as llama-quantize has them), mxfp4, tq1_0, tq2_0" },
    { .name = "pure", .key = "quantize.pure", .kind = SP_OPT_FLAG, .at = AT(pure), .help = "every matrix in the format of --to: no better ones for values and head" },
    { .name = "embed", .key = "quantize.embed", .kind = SP_OPT_TEXT, .at = AT(embed), .unit = "FORMAT", .help = "of the embedding and the head, where they differ" },
    { .name = "out", .key = "quantize.out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .unit = "PATH",
      .help = "NAME.gguf, or a Hugging Face folder" },
    { .name = "tokenizer", .key = "quantize.tokenizer", .kind = SP_OPT_TEXT, .at = AT(tokenizer), .unit = "FILE", .help = "where the model has none of its own; none: goes without" },
    { 0 },
};
static const struct sp_option quantize_options[] = {
    { .name = "size", .key = "quantize.size", .kind = SP_OPT_TEXT, .at = AT(size), .group = "Budget", .unit = "SIZE",
      .help = "of the file at most: 300MB, bytes, or 45% of the original; formats are chosen tensor by tensor" },
    { .name = "bits", .key = "quantize.bits", .kind = SP_OPT_REAL, .at = AT(bits), .min = 0, .max = 32, .fallback = 0, .help = "the same in bits a number, the file all in all" },
    { .name = "explain", .kind = SP_OPT_FLAG, .at = AT(explain), .help = "say what was chosen for each tensor, and what it costs" },
    { .name = "calibrate", .key = "quantize.calibrate", .letter = 'c', .kind = SP_OPT_TEXT, .at = AT(calibrate), .group = "Quality", .unit = "FILE",
      .help = "a text that tells which inputs of a matrix matter" },
    { .name = "windows", .key = "quantize.windows", .kind = SP_OPT_INT, .at = AT(windows), .min = 1, .max = 1e6, .fallback = 400, .help = "of the text that calibrate" },
    { .name = "text-key", .key = "quantize.text_key", .kind = SP_OPT_TEXT, .at = AT(key), .fallback_text = "text", .help = "key of the text in .jsonl" },
    { .name = "imatrix", .key = "quantize.imatrix", .kind = SP_OPT_TEXT, .at = AT(imatrix), .unit = "FILE", .help = "importance from llama.cpp's file instead of from a text" },
    { .name = "save-imatrix", .kind = SP_OPT_TEXT, .at = AT(save_imatrix), .unit = "FILE", .help = "write the importance found on --calibrate for llama-quantize" },
    { .name = "method", .key = "quantize.method", .kind = SP_OPT_CHOICE, .at = AT(method), .choices = methods, 
      .help = "how numbers are rounded (best: the last of these that the model, --calibrate and --imatrix allow): nearest with a searched scale, "
              "errors weighted by importance, or also made up for by later numbers of the row" },
    { .name = "fit", .key = "quantize.fit", .kind = SP_OPT_INT, .at = AT(fit), .min = 0, .max = 1e6, .fallback = 0, .unit = "STEPS",
      .help = "afterwards move norms' gains and blocks' scales toward the original's logits on the calibration text, in so many steps" },
    { .name = "text", .letter = 't', .kind = SP_OPT_LIST, .at = AT(texts), .unit = "FILE",
      .help = "a text to compare with the original on; without it the end of the calibration text, which didn't calibrate" },
    { .name = "no-judge", .kind = SP_OPT_FLAG, .at = AT(no_judge), .help = "don't run both models to compare them" },
    { 0 },
};
#undef AT

/* ---- the work ---- */

static enum sp_status work(struct quantizing *q, struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    const char *model = call->operands[0];
    char name[SP_EXPORT_NAME_MAX];
    struct sp_watch watch = { work_show_step, &q->bar };
    TRY(quantize_check(o, sp_ends_with(o->out, ".gguf"), err));
    TRY(quantize_fit_check(o, sp_ends_with(o->out, ".gguf"), err));
    TRY(sp_pool_new(&q->pool, q->machine.threads, err));
    TRY(sp_weights_open(&q->weights, model, err));
    if (!o->tokenizer || strcmp(o->tokenizer, "none"))
        if (sp_weights_tokenizer(&q->weights, o->tokenizer, &q->tokenizer, err))
            return sp_remedy(err, "--tokenizer FILE names another, --tokenizer none goes without");
    TRY(sp_export_begin(&q->export, &q->weights, sp_ends_with(o->out, ".gguf"), err));
    TRY(quantize_calibrate(q, call, err));
    TRY(quantize_choose(q, call, sp_export_name(model, name), err));
    q->rounding.watch = &watch;
    sp_progress_begin(&q->bar, q->export.round ? "rounding and storing" : "storing", call->common.quiet || call->common.json);
    enum sp_status st = sp_export_write(&q->export, o->out, sp_export_name(model, name), q->tokenizer, q->pool, q->export.round ? NULL : &watch, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    if (!st)
        st = quantize_fit(q, call, err);
    return st ? st : quantize_judge(q, call, err);
}

/* ---- booked ---- */

static json_t *recipe(const struct verb_call *call)
{
    const struct quantize_options *o = call->options;
    return json_pack("{s:s, s:{s:s?, s:s?, s:b, s:s?, s:f, s:s?, s:s?, s:I, s:I, s:s, s:s?, s:s?}}", "model", call->operands[0], "quantize", "to", o->to, "embed", o->embed,
                     "pure", (int)o->pure, "size", o->size, "bits", o->bits,
                     "calibrate", o->calibrate, "imatrix", o->imatrix, "windows", (json_int_t)o->windows, "fit", (json_int_t)o->fit, "method", methods[o->method], "out", o->out, "tokenizer",
                     o->tokenizer);
}

static void clear(struct quantizing *q)
{
    if (q->quality)
        eval_result_clear(q->quality);
    sp_free(q->quality);
    sp_free(q->choices);
    sp_bits_rounding_clear(&q->rounding);
    sp_bits_stats_clear(&q->stats);
    sp_ids_clear(&q->ids);
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
    TRY(book_begin_of(&b, call, &q->machine, recipe(call), call->operands[0], err));
    book_file(&b, false, call->operands[0]);
    book_file(&b, true, o->out);
    enum sp_status st = work(q, call, err);
    json_t *more = st ? NULL : quantize_json(q);
    book_measure(&b);
    enum sp_status booked = book_write(&b, NULL, NULL, json_incref(more), st ? err : NULL, &booking);
    if (!st && booked)
        *err = booking;
    if (st || booked) {
        json_decref(more);
        return st ? st : booked;
    }
    if (call->common.json) {
        json_object_set_new(more, "schema", json_string("sparsam.quantize/1"));
        json_object_set_new(more, "measured", sp_cost_json(&b.measured));
        call->answer = more;
        return SP_OK;
    }
    json_decref(more);
    quantize_show(q, o);
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
    if (o->to || o->size || o->bits > 0)
        return run(call, err);
    sp_fail(err, SP_USAGE, "nothing says what to store the numbers in");
    return sp_remedy(err, "--to q4_k_m, --size 30%% or --bits 4.5, for example; sparsam export keeps them as they are");
}

const struct verb sp_verb_quantize = {
    .name = "quantize",
    .help = "store a model in fewer bits",
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,
    .text = "MODEL is a Hugging Face folder, a GGUF file, or a llama2.c checkpoint. Without a text,\n"
            "matrices are rounded to the nearest number of the format, a few rows at a time, so that\n"
            "memory stays far below the model. With --calibrate the model runs on the text, a layer at\n"
            "a time, and errors are put where they matter least. Vectors (norms, biases) stay as they\n"
            "are. Where rows don't divide into a format's blocks, a format that fits is taken.\n"
            "\n"
            "  sparsam quantize model --to q4_k_m -o model.gguf\n"
            "  sparsam quantize model --to q4_0 --pure --embed q6_k -o model.gguf\n"
            "  sparsam quantize model --bits 4.5 --calibrate book.txt --explain -o model.gguf\n"
            "  sparsam quantize model --size 30% --calibrate book.txt --text other.txt -o model.gguf\n"
            "  sparsam quantize model.gguf --to bf16 -o folder\n",
    .sets = { { export_options, 0 }, { quantize_options, 0 } },
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
    .sets = { { export_options, 0 } },
    .options_bytes = sizeof(struct quantize_options),
    .run = run,
};
