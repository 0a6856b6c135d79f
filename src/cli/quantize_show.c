/* cli/quantize_show.c - what was written beside the original: bytes, quality, speed and
 * memory, in words first.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "quantize.h"

/* ---- quality ---- */

static enum sp_status score(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    struct eval_options with = { .batch = 4, .against = call->operands[0], .texts = o->texts, .given = o->texts.n ? NULL : &q->judging,
                                 .given_name = "the end of the calibration text", .data = { .key = o->key, .tokenizer = o->tokenizer ? o->tokenizer : "bpe" } };
    char *operand[1] = { (char *)(uintptr_t)o->out };
    struct verb_call c = *call;
    c.options = &with;
    c.operands = operand;
    c.n_operands = 1;
    return eval_windows(&c, &q->machine, q->quality, err);
}

enum sp_status quantize_judge(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    if (o->no_judge || (!o->texts.n && q->judging.n < 1))
        return SP_OK;
    q->quality = sp_zalloc(1, sizeof *q->quality);
    if (!q->quality)
        return sp_fail(err, SP_NOMEM, "no memory for the table");
    TRY(score(q, call, err));
    q->judged = true;
    quantize_measure(q, call->operands[0], o->out);
    return SP_OK;
}

/* ---- for people ---- */

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

static void words(const struct quantizing *q)
{
    printf("%.2f times smaller", (double)q->before / (double)q->after);
    if (q->speed_before.generate > 0 && q->speed_after.generate > 0)
        printf(", answers %.2f times as fast", q->speed_after.generate / q->speed_before.generate);
    if (q->judged) {
        const struct sp_fidelity *f = &q->quality->cell[0].of;
        printf(", KL divergence %.6f +- %.6f nats a token, the same most likely token in %.2f %%", f->divergence.value, f->divergence.error_windows, 100 * f->same_top.value);
    }
    puts(".");
}

/* What --method best came to, and why. */
static void best(const struct quantizing *q, const struct quantize_options *o)
{
    if (o->method != QUANTIZE_BEST || !q->export.arch || !(o->to || q->choices))
        return;
    if (q->export.round)
        puts("Method: compensate, since there is a calibration text: errors are made up for by later numbers of the row.");
    else if (q->stats.n)
        puts("Method: importance, since --imatrix tells which inputs matter, not how they go together.");
    else
        puts("Method: nearest, since there is neither --calibrate nor --imatrix.");
}

static double loss_of(const struct quantizing *q, int i)
{
    return q->choices[i].at[q->choices[i].chosen].loss;
}

/* The name of a kind: its first tensor's with the layer's number left out. */
static const char *kind_name(const char *name, char out[64])
{
    size_t n = 0;
    for (bool begins = true; *name && n < 63; begins = *name == '.', name++) {
        size_t digits = strspn(name, "0123456789");
        if (begins && digits && name[digits] == '.') {
            name += digits;
            out[n++] = 'N';
        }
        if (n < 63)
            out[n++] = *name;
    }
    out[n] = 0;
    return out;
}

static void explain(const struct quantizing *q)
{
    char kind[64];
    printf("%-28s %-8s %14s %12s %12s %8s\n", "tensor", "stored", "numbers", "bytes", "foretold", "share of the divergence, in nats a token");
    for (int i = 0; i < q->export.n; i++) {
        const struct sp_export_tensor *t = &q->export.tensor[i];
        if (t->matrix)
            printf("%-28s %-8s %14lld %12lld %12.3e %7.2f %%\n", t->stored_name, sp_formats[t->type.format].name, (long long)sp_type_elements(&t->type),
                   (long long)sp_type_bytes(&t->type), loss_of(q, i), q->predicted > 0 ? 100 * loss_of(q, i) / q->predicted : 0);
    }
    printf("%-28s %-8s %14s %12s %12s\n", "all of a kind alone", "tried", "tensors", "measured", "by gradients");
    for (int i = 0; i < q->export.n; i++) {
        const struct sp_choices *c = &q->choices[i];
        if (c->tensors)
            printf("%-28s %-8s %14d %12.3e %12.3e\n", kind_name(q->export.tensor[i].stored_name, kind), sp_formats[c->tried].name, c->tensors, c->measured, c->foretold);
    }
}

static void speeds(const struct quantize_speed *b, const struct quantize_speed *a)
{
    char before[32], after[32];
    printf("%-26s %12s %12s\n%-26s %12.1f %12.1f\n%-26s %12.1f %12.1f\n%-26s %12.1f %12.1f\n", "", "before", "after", "prompt, tokens a second", b->prompt, a->prompt,
           "answer, tokens a second", b->generate, a->generate, "memory at most, MB", b->bytes / 1e6, a->bytes / 1e6);
    if (b->joules > 0 && a->joules > 0)
        printf("%-26s %12s %12s\n", "energy, a token answered", sp_show_energy(b->joules, before, sizeof before), sp_show_energy(a->joules, after, sizeof after));
}

void quantize_show(const struct quantizing *q, const struct quantize_options *o)
{
    words(q);
    best(q, o);
    if (q->choices && o->explain)
        explain(q);
    printf("%-8s %8s %14s %15s %15s %8s\n", "stored", "tensors", "numbers", "bytes before", "bytes after", "bits");
    for (int f = 0; f < SP_FORMATS; f++) {
        struct sum s = sum_of(q, (enum sp_format)f);
        if (s.tensors)
            printf("%-8s %8lld %14lld %15llu %15llu %8.4f\n", sp_formats[f].name, (long long)s.tensors, (long long)s.numbers, (unsigned long long)s.before,
                   (unsigned long long)s.after, bits(s.after, s.numbers));
    }
    printf("%-8s %8d %14lld %15llu %15llu %8.4f\n", "all", q->export.n, (long long)q->parameters, (unsigned long long)q->before, (unsigned long long)q->after,
           bits(q->after, q->parameters));
    if (q->choices)
        printf("Divergence foretold, as the sum over tensors: %.6f nats a token.\n", q->predicted);
    quantize_fit_show(q);
    if (q->judged)
        eval_show(stdout, q->quality);
    else
        puts(o->no_judge ? "Quality isn't measured (--no-judge)." : "Quality isn't measured: --text FILE says on what.");
    if (q->speed_before.prompt > 0 && q->speed_after.prompt > 0)
        speeds(&q->speed_before, &q->speed_after);
}

/* ---- for programs ---- */

static json_t *speed(const struct quantize_speed *s)
{
    json_t *j = json_pack("{s:f, s:f, s:f}", "prompt_tokens_per_s", s->prompt, "generate_tokens_per_s", s->generate, "memory_bytes", s->bytes);
    if (j && s->joules > 0)
        json_object_set_new(j, "joules_per_token", json_real(s->joules));
    return j;
}

static json_t *tensors(const struct quantizing *q)
{
    json_t *a = json_array();
    for (int i = 0; a && i < q->export.n; i++)
        json_array_append_new(a, json_pack("{s:s, s:s, s:f}", "name", q->export.tensor[i].stored_name, "format", sp_formats[q->export.tensor[i].type.format].name,
                                           "kl_divergence", loss_of(q, i)));
    return a;
}

static json_t *kinds(const struct quantizing *q)
{
    char kind[64];
    json_t *a = json_array();
    for (int i = 0; a && i < q->export.n; i++) {
        const struct sp_choices *c = &q->choices[i];
        if (c->tensors)
            json_array_append_new(a, json_pack("{s:s, s:s, s:i, s:f, s:f}", "name", kind_name(q->export.tensor[i].stored_name, kind), "format", sp_formats[c->tried].name,
                                               "tensors", c->tensors, "kl_divergence_measured", c->measured, "kl_divergence_by_gradients", c->foretold));
    }
    return a;
}

json_t *quantize_json(const struct quantizing *q)
{
    json_t *rows = json_array();
    for (int f = 0; rows && f < SP_FORMATS; f++) {
        struct sum s = sum_of(q, (enum sp_format)f);
        if (s.tensors)
            json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:I, s:I}", "format", sp_formats[f].name, "tensors", (json_int_t)s.tensors, "numbers",
                                                  (json_int_t)s.numbers, "bytes_before", (json_int_t)s.before, "bytes_after", (json_int_t)s.after));
    }
    json_t *j = json_pack("{s:I, s:I, s:I, s:f, s:o}", "parameters", (json_int_t)q->parameters, "bytes_before", (json_int_t)q->before, "bytes_after",
                          (json_int_t)q->after, "bits", bits(q->after, q->parameters), "formats", rows);
    if (j && q->choices) {
        json_object_set_new(j, "kl_divergence_predicted", json_real(q->predicted));
        json_object_set_new(j, "tensors", tensors(q));
        json_object_set_new(j, "kinds", kinds(q));
    }
    if (j && q->fitted.steps)
        json_object_set_new(j, "fit", quantize_fit_json(q));
    if (j && q->judged)
        json_object_set_new(j, "quality", eval_json(q->quality));
    if (j && q->speed_before.prompt > 0 && q->speed_after.prompt > 0) {
        json_object_set_new(j, "before", speed(&q->speed_before));
        json_object_set_new(j, "after", speed(&q->speed_after));
    }
    return j;
}
