/* cli/quantize_fit.c - --fit: gains and scales of what was written moved toward the
 * original's logits on the calibration text, at no bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "quantize.h"

enum sp_status quantize_fit_check(const struct quantize_options *o, bool gguf, struct sp_err *err)
{
    if (o->fit && !gguf)
        return sp_fail(err, SP_USAGE, "--fit moves scales of blocks of a GGUF file: -o NAME.gguf");
    if (!o->fit || o->calibrate)
        return SP_OK;
    sp_fail(err, SP_USAGE, "--fit compares the file with the original on a text");
    return sp_remedy(err, "--calibrate FILE, a text like those it will be used on");
}

enum sp_status quantize_fit(struct quantizing *q, const struct verb_call *call, struct sp_err *err)
{
    const struct quantize_options *o = call->options;
    struct sp_fit how = { .what = SP_FIT_GAINS | SP_FIT_SCALES, .steps = o->fit };
    struct sp_watch watch = { work_show_step, &q->bar };
    struct sp_weights student;
    double began = sp_now();
    if (!o->fit)
        return SP_OK;
    TRY(sp_weights_open(&student, o->out, err));
    sp_progress_begin(&q->bar, "fitting", call->common.quiet || call->common.json);
    enum sp_status st = sp_bits_fit(&q->weights, &student, &q->calibrating, &how, o->out, &q->machine, q->pool, &watch, &q->fitted, err);
    sp_progress_end(&q->bar, st ? "stopped" : "done");
    sp_weights_close(&student);
    q->fit_seconds = sp_now() - began;
    return st;
}

void quantize_fit_show(const struct quantizing *q)
{
    const struct sp_fitted *f = &q->fitted;
    if (!f->steps)
        return;
    printf("Fitted in %lld steps, %.1f seconds: divergence on windows held out of the calibration text %.6f before, ", (long long)f->steps, q->fit_seconds, f->before);
    if (f->best)
        printf("%.6f after %lld.\n", f->after, (long long)f->best);
    else
        puts("never less after: the file is as it was.");
}

json_t *quantize_fit_json(const struct quantizing *q)
{
    const struct sp_fitted *f = &q->fitted;
    return json_pack("{s:I, s:I, s:f, s:f, s:f}", "steps", (json_int_t)f->steps, "best_step", (json_int_t)f->best, "seconds", q->fit_seconds,
                     "kl_divergence_before", f->before, "kl_divergence_after", f->after);
}
