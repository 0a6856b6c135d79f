/* bits/stream.c - a model run part by part on windows of text: one layer's weights are in
 * memory, and all windows go through it before the next is read.
 *
 * What goes from layer to layer is kept in f32, so that the parts do to the bit what the
 * whole does.  Weights stay 16-bit numbers where the file has such, else they are f32.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "bits.h"
#include "inner.h"

enum { PARTS = 1 << 20 }; /* that progress is told in */

static enum sp_format held(const void *weights, const char *name)
{
    enum sp_format f = sp_weights_stored(weights, name);
    return sp_formats[f].block == 1 ? f : SP_F32;
}

static struct sp_build build_of(const struct sp_bits_stream *s, enum sp_build_part part, int layer)
{
    const struct sp_model_config *c = &s->w->config;
    int64_t context = s->windows->context;
    return (struct sp_build){ .mode = SP_BUILD_SCORE, .batch = 1, .tokens = context, .positions = c->context > context ? c->context : context, .compute = SP_F32,
                              .stored = SP_F32, .stored_of = held, .stored_self = s->w, .loss_rows = context, .part = part, .first = layer, .last = layer + 1 };
}

static enum sp_status lower(struct sp_bits_stream *s, enum sp_run run, struct sp_build b, int what, struct sp_err *err)
{
    static const char *const hidden[] = { "hidden" };
    int wanted = b.mode == SP_BUILD_SCORE && b.part != SP_BUILD_HEAD;
    struct sp_graph *g = sp_graph_new();
    enum sp_status st = sp_model_build(g, &s->w->config, &b, err);
    if (!st && b.embedding && !s->embedding && !(s->embedding = sp_strdup(b.embedding)))
        st = sp_fail(err, SP_NOMEM, "no memory for a tensor's name");
    if (!st && what)
        st = sp_bits_tap(g, what, 0, 0, &s->taps, err);
    if (!st)
        st = sp_lower(g, sp_run_names[run], hidden, wanted, s->machine, &s->job.state, &s->job.program[run], err);
    s->job.has[run] = !st && s->job.program[run].n > 0;
    sp_graph_free(g);
    return st;
}

enum sp_status sp_bits_stream_open(struct sp_bits_stream *s, enum sp_build_part part, int layer, int what, struct sp_err *err)
{
    struct sp_build b = build_of(s, part, layer);
    sp_bits_stream_shut(s);
    s->job.config = s->w->config;
    s->job.machine = *s->machine;
    if (what)
        TRY(lower(s, SP_RUN_MICRO, b, what, err));
    if (part != SP_BUILD_HEAD)
        TRY(lower(s, SP_RUN_SCORE, b, 0, err));
    b.mode = SP_BUILD_LOAD;
    TRY(lower(s, SP_RUN_LOAD, b, 0, err));
    TRY(sp_live_new(&s->live, &s->job, s->pool, false, err));
    return sp_live_fill(&s->live, s->w, NULL, NULL, err);
}

void sp_bits_stream_shut(struct sp_bits_stream *s)
{
    sp_live_clear(&s->live);
    sp_job_clear(&s->job);
    sp_bits_taps_clear(&s->taps);
}

/* ---- windows ---- */

static enum sp_status enter(struct sp_bits_stream *s, enum sp_run run, int64_t window, struct sp_err *err)
{
    const struct sp_windows *w = s->windows;
    float *rows = sp_live_at(&s->live, run, "rows"), *entering = sp_live_at(&s->live, run, "entering");
    if (entering)
        return sp_scratch_read(&s->hidden, window, entering, err);
    int64_t cols = sp_type_cols(&sp_program_find(&s->job.program[run], "rows")->type);
    for (int64_t i = 0; i < w->context; i++)
        TRY(s->row(s->self, s->embedding, i || w->bos < 0 ? w->ids[window * w->context + i] : w->bos, cols, rows + i * cols, err));
    return SP_OK;
}

enum sp_status sp_bits_stream_run(struct sp_bits_stream *s, enum sp_run run, bool on, double from, double to, struct sp_err *err)
{
    int64_t n = s->windows->n;
    if (!s->job.has[run])
        return SP_OK;
    for (int64_t i = 0; i < n; i++) {
        TRY(enter(s, run, i, err));
        sp_live_run(&s->live, run);
        if (on)
            TRY(sp_scratch_write(&s->hidden, i, sp_live_at(&s->live, run, "hidden"), err));
        sp_tell(s->watch, &(struct sp_event){ .kind = SP_EVENT_STEP, .phase = "calibrate", .done = (int64_t)(PARTS * (from + (to - from) * (double)(i + 1) / (double)n)),
                                              .total = PARTS, .tokens = s->windows->context });
        if (sp_signal_pending())
            return sp_fail(err, SP_INTERRUPTED, "interrupted while calibrating");
    }
    return SP_OK;
}

/* ---- the embedding ---- */

static enum sp_status stored_row(void *weights, const char *tensor, int32_t id, int64_t cols, float *to, struct sp_err *err)
{
    const struct sp_tensor *t = sp_weights_find(weights, tensor);
    if (!t)
        return sp_fail(err, SP_MISSING, "tensor %s is missing from the model's files", tensor);
    if (t->n != 2 || id >= t->dim[0] || t->dim[1] != cols)
        return sp_fail(err, SP_SHAPE, "tensor %s isn't of the shape that the configuration wants", tensor);
    return sp_tensor_rows(t, (struct sp_layout){ 0 }, id, 1, SP_F32, to, err);
}

enum sp_status sp_bits_stream_begin(struct sp_bits_stream *s, double to, int what, struct sp_err *err)
{
    if (!s->row) {
        s->row = stored_row;
        s->self = (void *)(uintptr_t)s->w;
    }
    TRY(sp_scratch_new(&s->hidden, (size_t)(s->windows->context * s->w->config.width) * sizeof(float), s->windows->n, err));
    TRY(sp_bits_stream_open(s, SP_BUILD_EMBED, 0, what, err));
    if (s->taps.n)
        TRY(sp_bits_stream_run(s, SP_RUN_MICRO, false, 0, 0, err));
    return sp_bits_stream_run(s, SP_RUN_SCORE, true, 0, to, err);
}

void sp_bits_stream_clear(struct sp_bits_stream *s)
{
    sp_bits_stream_shut(s);
    sp_scratch_clear(&s->hidden);
    sp_free(s->embedding);
    *s = (struct sp_bits_stream){ 0 };
}
