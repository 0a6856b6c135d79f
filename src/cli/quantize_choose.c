/* cli/quantize_choose.c - what every tensor becomes: importance from a calibration text,
 * formats by a name or under a budget.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <strings.h>

#include "quantize.h"

enum { FORMAT_NAMES_MAX = 256, CONTEXT = 512, GRADIENT_WINDOWS = 16, MEASURED_WINDOWS = 8, MEASURED_ROWS = 64, TRIAL_WINDOWS = 64, JUDGED_SHARE = 10, JUDGED_MOST = 100 };

static const double DAMP = 0.01; /* of the mean square of inputs; as GPTQ has it */

/* ---- options that go together ---- */

enum sp_status quantize_check(const struct quantize_options *o, bool gguf, struct sp_err *err)
{
    bool budget = o->size || o->bits > 0;
    if (o->to && budget) {
        sp_fail(err, SP_USAGE, "--to says the formats and --%s leaves them to the budget", o->size ? "size" : "bits");
        return sp_remedy(err, "give one of them");
    }
    if (o->size && o->bits > 0)
        return sp_fail(err, SP_USAGE, "--size and --bits are two budgets: give one");
    if (budget && !gguf)
        return sp_fail(err, SP_USAGE, "a budget chooses formats of a GGUF file: -o NAME.gguf");
    if (budget && !o->calibrate) {
        sp_fail(err, SP_USAGE, "a budget is spent where the model is sensitive, which is measured on a text");
        return sp_remedy(err, "--calibrate FILE, a text like those it will be used on");
    }
    if (budget && (o->embed || o->pure))
        return sp_fail(err, SP_USAGE, "--%s says a format, the budget chooses them all", o->embed ? "embed" : "pure");
    if (o->calibrate && o->imatrix)
        return sp_fail(err, SP_USAGE, "--calibrate and --imatrix both say which inputs matter: give one");
    if (o->save_imatrix && !o->calibrate) {
        sp_fail(err, SP_USAGE, "--save-imatrix writes what --calibrate finds");
        return sp_remedy(err, "--calibrate FILE");
    }
    if (o->method == QUANTIZE_COMPENSATE && !gguf)
        return sp_fail(err, SP_USAGE, "errors are made up for in formats of a GGUF file: -o NAME.gguf");
    if ((o->method == QUANTIZE_IMPORTANCE && !o->calibrate && !o->imatrix) || (o->method == QUANTIZE_COMPENSATE && !o->calibrate)) {
        sp_fail(err, SP_USAGE, "importance is measured on a text");
        return sp_remedy(err, "--calibrate FILE%s", o->method == QUANTIZE_IMPORTANCE ? ", or --imatrix FILE" : "");
    }
    return SP_OK;
}

/* ---- importance ---- */

static enum sp_status make_windows(struct quantizing *q, const struct quantize_options *o, struct sp_err *err)
{
    struct sp_recipe_data data = { .key = o->key };
    int64_t context = q->weights.config.context < CONTEXT ? q->weights.config.context : CONTEXT;
    int32_t bos = q->tokenizer && sp_tokenizer_adds_bos(q->tokenizer) ? sp_tokenizer_bos(q->tokenizer) : -1;
    if (!q->tokenizer) {
        sp_fail(err, SP_USAGE, "the model has no tokenizer to read %s with", o->calibrate);
        return sp_remedy(err, "--tokenizer FILE");
    }
    TRY(eval_encode(q->tokenizer, &data, o->calibrate, bos, &q->ids, err));
    int64_t n = (int64_t)q->ids.n / context, judged = o->texts.n || o->no_judge ? 0 : n / JUDGED_SHARE;
    judged = judged > JUDGED_MOST ? JUDGED_MOST : judged;
    q->calibrating = (struct sp_windows){ q->ids.at, n - judged < o->windows ? n - judged : o->windows, context, bos };
    q->judging = (struct sp_windows){ q->ids.at + (n - judged) * context, judged, context, bos };
    if (q->calibrating.n >= 1)
        return SP_OK;
    sp_fail(err, SP_USAGE, "%s: %zu tokens are no window of %lld", o->calibrate, q->ids.n, (long long)context);
    return sp_remedy(err, "a longer text: some hundred windows are usual");
}

static bool compensates(const struct quantizing *q, const struct quantize_options *o)
{
    return o->method == QUANTIZE_COMPENSATE || (o->method == QUANTIZE_BEST && o->calibrate && q->export.arch);
}

static enum sp_status make_importance(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    struct sp_watch watch = { work_show_step, &q->bar };
    struct sp_calibration how = { .what = SP_BITS_X2, .text = o->calibrate, .head = compensates(q, o) && q->weights.config.tied };
    if (o->imatrix)
        return sp_imatrix_read(&q->stats, o->imatrix, &q->weights, err);
    if (o->method == QUANTIZE_NEAREST && !o->save_imatrix)
        return SP_OK;
    sp_progress_begin(&q->bar, "calibrating", call->common.quiet || call->common.json);
    enum sp_status st = sp_bits_calibrate(&q->weights, &q->calibrating, &how, &q->machine, q->pool, &watch, &q->stats, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    return !st && o->save_imatrix ? sp_imatrix_write(&q->stats, &q->weights, o->save_imatrix, err) : st;
}

enum sp_status quantize_calibrate(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    if (!o->calibrate && !o->imatrix)
        return SP_OK;
    if (o->calibrate)
        TRY(make_windows(q, o, err));
    TRY(make_importance(q, call, err));
    if (o->method == QUANTIZE_NEAREST)
        return SP_OK;
    for (int i = 0; i < q->export.n; i++) {
        struct sp_export_tensor *t = &q->export.tensor[i];
        const struct sp_bits_matrix *m = sp_bits_find(&q->stats, t->name);
        if (m && t->matrix && m->cols == t->type.dim[t->type.n - 1])
            t->importance = m->x2;
    }
    if (compensates(q, o)) {
        q->rounding = (struct sp_bits_rounding){ .known = &q->stats, .windows = q->calibrating, .machine = &q->machine, .pool = q->pool, .damp = DAMP };
        q->export.round = sp_bits_round_tensor;
        q->export.rounding = &q->rounding;
    }
    return SP_OK;
}

/* ---- formats by name ---- */

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
    return t->matrix && t->type.n == 2 && t->type.dim[0] == q->weights.config.vocab; /* embedding or head */
}

static enum sp_status by_name(struct quantizing *q, const struct quantize_options *o, struct sp_err *err)
{
    enum sp_format all = SP_F32, embed;
    bool gguf = q->export.arch != NULL, mix = gguf && o->to && !o->pure && sp_bits_mix_is(o->to);
    if (mix)
        TRY(sp_bits_mix(&q->export, o->to, q->stats.n > 0 && o->method != QUANTIZE_NEAREST, err));
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
    }
    return SP_OK;
}

/* ---- formats under a budget ---- */

/* One pass of gradients with targets drawn from the model: half the sum of g2 x2 (change)^2 is then its divergence, up to what
 * measuring finds.  Where the model has no gradient only inputs are known. */
static enum sp_status foretell(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    struct sp_watch watch = { work_show_step, &q->bar };
    struct sp_windows some = q->calibrating;
    struct sp_calibration how = { .what = SP_BITS_X2 | SP_BITS_G2, .sampled = true };
    struct sp_bits_stats known = { 0 };
    some.n = some.n < GRADIENT_WINDOWS ? some.n : GRADIENT_WINDOWS;
    sp_progress_begin(&q->bar, "gradients", call->common.quiet || call->common.json);
    enum sp_status st = sp_bits_calibrate(&q->weights, &some, &how, &q->machine, q->pool, &watch, &known, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    if (st == SP_UNSUPPORTED)
        st = SP_OK;
    sp_progress_begin(&q->bar, "counting errors", call->common.quiet || call->common.json);
    st = st ? st : sp_bits_candidates(&q->export, known.n ? &known : &q->stats, q->pool, &watch, q->choices, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    sp_bits_stats_clear(&known);
    return st;
}

/* Windows that didn't calibrate, where there are as many; else the last. */
static struct sp_windows measured_windows(const struct quantizing *q)
{
    struct sp_windows w = q->calibrating;
    int64_t rest = (int64_t)q->ids.n / w.context - w.n - q->judging.n;
    w.n = w.n < MEASURED_WINDOWS ? w.n : MEASURED_WINDOWS;
    w.ids += (q->calibrating.n - (rest >= w.n ? 0 : w.n)) * w.context;
    return w;
}

/* A trial of rounding knows inputs well enough from fewer windows. */
static enum sp_status try_kinds(struct quantizing *q, struct sp_live *live, const struct sp_windows *windows, const struct sp_watch *watch, struct sp_err *err)
{
    struct sp_bits_rounding trial = q->rounding;
    struct sp_measuring how = { *windows, live, q->export.round ? &trial : NULL, q->pool, watch };
    trial.windows.n = trial.windows.n < TRIAL_WINDOWS ? trial.windows.n : TRIAL_WINDOWS;
    q->export.rounding = &trial;
    enum sp_status st = sp_bits_measure(&q->export, &how, q->choices, err);
    q->export.rounding = &q->rounding;
    sp_bits_rounding_clear(&trial);
    return st;
}

static enum sp_status measure(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    struct sp_job job = { 0 };
    struct sp_live live = { 0 };
    struct sp_watch watch = { work_show_step, &q->bar };
    struct sp_windows w = measured_windows(q);
    int64_t rows = w.n * (w.context < 2 * MEASURED_ROWS ? (w.context + 1) / 2 : MEASURED_ROWS);
    enum sp_status st = sp_step_logits(&q->weights.config, w.n, w.context, rows, SP_F32, SP_F32, &q->machine, &job, err);
    st = st ? st : sp_live_new(&live, &job, q->pool, false, err);
    st = st ? st : sp_live_fill(&live, &q->weights, NULL, NULL, err);
    sp_progress_begin(&q->bar, "measuring divergence", call->common.quiet || call->common.json);
    st = st ? st : try_kinds(q, &live, &w, &watch, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    sp_live_clear(&live);
    sp_job_clear(&job);
    return st;
}

static enum sp_status candidates(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    q->choices = sp_zalloc((size_t)q->export.n + 1, sizeof *q->choices);
    if (!q->choices)
        return sp_fail(err, SP_NOMEM, "no memory to choose formats");
    TRY(foretell(q, call, err));
    return measure(q, call, err);
}

/* The header and what stands between tensors, whatever their formats. */
static enum sp_status overhead(struct quantizing *q, const char *name, uint64_t *out, struct sp_err *err)
{
    uint64_t file, sum = 0;
    for (int i = 0; i < q->export.n; i++) {
        q->export.tensor[i].type.format = q->choices[i].at[0].format;
        sum += q->choices[i].at[0].bytes;
    }
    TRY(sp_export_file_bytes(&q->export, name, q->tokenizer, &file, err));
    *out = file - sum;
    return SP_OK;
}

static enum sp_status by_budget(struct quantizing *q, const struct verb_call *call, const char *name, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    uint64_t target = (uint64_t)(o->bits * (double)q->parameters / 8), more;
    if (o->size)
        TRY(sp_bits_parse_size(o->size, q->before, &target, err));
    TRY(candidates(q, call, err));
    TRY(overhead(q, name, &more, err));
    TRY(sp_bits_choose(q->choices, q->export.n, target > more ? target - more : 0, err));
    for (int i = 0; i < q->export.n; i++) {
        const struct sp_choice *c = &q->choices[i].at[q->choices[i].chosen];
        q->export.tensor[i].type.format = c->format;
        q->predicted += c->loss;
    }
    return SP_OK;
}

enum sp_status quantize_choose(struct quantizing *q, const struct verb_call *call, const char *name, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    for (int i = 0; i < q->export.n; i++) {
        const struct sp_export_tensor *t = &q->export.tensor[i];
        q->parameters += sp_type_elements(&t->type);
        q->before += t->from ? t->from->bytes : 0;
    }
    TRY(o->size || o->bits > 0 ? by_budget(q, call, name, err) : by_name(q, o, err));
    q->after = sp_export_bytes(&q->export);
    return SP_OK;
}
