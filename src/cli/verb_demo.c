/* cli/verb_demo.c - the whole story in a few minutes: what the machine is, what a
 * small model will cost, training it, how good it is, what it says, what it cost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "work.h"

static const char HANDBOOK[] = "/usr/share/doc/debian-handbook/html/en-US";
static const char PROMPT[] = "The package";
enum { GENERATE = 96 };

struct demo_options { const char *data, *out, *prompt; double minutes; };

#define AT(field) offsetof(struct demo_options, field)
static const struct sp_option demo_options[] = {
    { .name = "data", .letter = 'd', .kind = SP_OPT_TEXT, .at = AT(data), .fallback_text = HANDBOOK, .group = "Demo", .unit = "PATH",
      .help = "text to learn from: a file or folder of .txt, .jsonl, .html, also .gz and .zst" },
    { .name = "minutes", .kind = SP_OPT_REAL, .at = AT(minutes), .min = 0.05, .max = 600, .fallback = 2, .unit = "min", .help = "how long to train" },
    { .name = "out", .letter = 'o', .kind = SP_OPT_TEXT, .at = AT(out), .fallback_text = "demo-model", .unit = "FOLDER", .help = "where the model goes" },
    { .name = "prompt", .kind = SP_OPT_TEXT, .at = AT(prompt), .fallback_text = PROMPT, .unit = "TEXT", .help = "what the model goes on from" },
    { 0 },
};
#undef AT

static void make_recipe(const struct demo_options *o, struct sp_recipe *r)
{
    sp_recipe_defaults(r);
    r->model.family = SP_FAMILY_LLAMA;
    r->model.layers = 4;
    r->model.width = 256;
    r->model.heads = 4;
    r->model.kv_heads = 2;
    r->model.context = 256;
    r->data.path = o->data;
    r->data.vocab = 2048;
    r->train.batch = 8;
    r->train.minutes = o->minutes;
    r->train.lr = 2e-3;
    r->train.warmup_steps = 20;
    r->train.out = o->out;
    r->train.resume = false;
    r->train.checkpoint_every = 0;
}

static void say(const struct verb_call *call, const char *text)
{
    if (!call->common.json && !call->common.quiet)
        printf("\n%s\n", text);
    fflush(stdout);
}

/* ---- 1: the machine ---- */

static void show_sensors(bool readable, const char *title)
{
    struct sp_sensors s;
    const char *sep = "";
    sp_meter_sensors(&s);
    fputs(title, stdout);
    for (int i = 0; i < s.n; i++)
        if (s.at[i].readable == readable) {
            printf("%s %s", sep, s.at[i].name);
            sep = ",";
        }
    puts(*sep ? "." : " none.");
}

static void show_machine(const struct sp_machine *m)
{
    char bytes[32];
    show_sensors(true, "Sensors it can read:");
    show_sensors(false, "Sensors it can't (sparsam machine says why):");
    printf("%d processors, %s of memory, %d threads used. Kernel rows it runs:\n ", m->cores, sp_show_bytes((double)m->memory_bytes, bytes, sizeof bytes), m->threads);
    for (const struct sp_kernel *const *k = sp_kernels; *k; k++)
        for (const struct sp_kernel_row *r = (*k)->rows;; r++)
            if (!(r->needs & ~m->features)) {
                printf(" %s", r->name);
                break;
            }
    putchar('\n');
}

/* ---- 4: the answer ---- */

static void on_token(void *self, const struct sp_event *e)
{
    (void)self;
    if (e->kind == SP_EVENT_TOKEN && e->text) {
        fputs(e->text, stdout);
        fflush(stdout);
    }
}

static enum sp_status generate(struct sp_engine *e, const struct demo_options *o, bool show, struct sp_answer *a, struct sp_err *err)
{
    struct sp_sampling how = { .temperature = 0.7, .top_k = 40, .top_p = 0.95, .repeat_penalty = 1.1, .seed = 1 };
    struct sp_watch watch = { on_token, NULL };
    struct sp_session s;
    struct sp_ids prompt = { 0 };
    enum sp_status st = sp_tokenizer_encode(e->tokenizer, o->prompt, strlen(o->prompt), true, &prompt, err);
    sp_session_begin(&s, e);
    if (!st && show)
        printf("  \"%s", o->prompt);
    if (!st)
        st = sp_generate(&s, prompt.at, (int64_t)prompt.n, &how, GENERATE, false, show ? &watch : NULL, a, err);
    if (!st && show)
        printf("\"\n  prompt %.0f tokens/s, generated %.0f tokens/s\n", (double)a->prompt_tokens / a->prompt_s, (double)a->ids.n / a->generate_s);
    sp_session_end(&s);
    sp_ids_clear(&prompt);
    return st;
}

static enum sp_status answer(const struct work_training *w, const struct demo_options *o, bool show, struct sp_answer *a, struct sp_err *err)
{
    struct sp_serve_shape shape = sp_serve_shape_of(&w->recipe, &w->config);
    struct sp_engine e;
    TRY(sp_engine_open(&e, o->out, NULL, &shape, &w->machine, w->pool, err));
    enum sp_status st = e.tokenizer ? generate(&e, o, show, a, err) : sp_fail(err, SP_MISSING, "%s has no tokenizer.json", o->out);
    sp_engine_close(&e);
    return st;
}

/* ---- the story ---- */

static enum sp_status tell(struct verb_call *call, struct work_training *w, struct book *b, struct sp_answer *a, struct sp_err *err)
{
    const struct demo_options *o = call->options;
    bool show = !call->common.json && !call->common.quiet;
    const struct sp_quality *q = &w->quality;
    say(call, "2. What it will cost");
    if (show)
        show_cost(stdout, "Training a small Llama-family model here, as predicted:", &w->predicted);
    say(call, "3. Training");
    TRY(work_training_run(w, &call->common, b, err));
    if (w->learned.interrupted)
        return sp_fail(err, SP_INTERRUPTED, "interrupted; the checkpoint is in %s", o->out);
    say(call, "4. How good it is");
    if (show && q->tokens)
        printf("Held-out documents: loss %.4f +- %.4f nats a token, perplexity %.2f, %.3f bits a byte (%lld tokens, %lld of %lld windows).\n", q->loss,
               q->loss_stderr, q->perplexity, q->bits_per_byte, (long long)q->tokens, (long long)q->windows, (long long)q->windows_given);
    sp_live_clear(&w->live);
    book_phase(b, "generate");
    return answer(w, o, show, a, err);
}

static json_t *result_json(const struct work_training *w, const struct book *b, const struct sp_answer *a)
{
    json_t *j = json_pack("{s:s, s:o, s:o, s:o, s:s%, s:f, s:f, s:I}", "schema", "sparsam.demo/1", "predicted", sp_cost_json(&w->predicted), "measured",
                          sp_cost_json(&b->measured), "eval", quality_json(&w->quality), "text", a->text.at ? a->text.at : "", a->text.n,
                          "generate_tokens_per_s", a->generate_s > 0 ? (double)a->ids.n / a->generate_s : 0, "tokens_per_s",
                          w->learned.seconds > 0 ? (double)w->learned.tokens / w->learned.seconds : 0, "steps", (json_int_t)w->learned.steps);
    return j;
}

static enum sp_status told_and_booked(struct verb_call *call, struct work_training *w, struct sp_err *err)
{
    struct book b;
    struct sp_answer a = { 0 };
    struct sp_err booking;
    TRY(book_begin(&b, call, &w->machine, sp_recipe_json(&w->recipe), &w->predicted, err));
    work_files(&b, &w->recipe);
    enum sp_status st = tell(call, w, &b, &a, err);
    enum sp_status booked = book_end(&b, &w->predicted, st || !w->quality.tokens ? NULL : quality_json(&w->quality), st ? err : NULL, &booking);
    if (!st && booked) {
        *err = booking;
        st = booked;
    }
    if (!st && call->common.json)
        call->answer = result_json(w, &b, &a);
    if (!st && !call->common.json) {
        say(call, "5. What it cost");
        show_compared(stdout, &w->predicted, &b.measured);
        book_show(&b, stdout);
    }
    sp_answer_clear(&a);
    return st;
}

static enum sp_status demo_run(struct verb_call *call, struct sp_err *err)
{
    const struct demo_options *o = call->options;
    struct work_training *w = sp_zalloc(1, sizeof *w);
    if (!w)
        return sp_fail(err, SP_NOMEM, "no memory for the demo");
    make_recipe(o, &w->recipe);
    sp_signals_install();
    if (!strcmp(o->data, HANDBOOK) && !sp_is_folder(HANDBOOK)) {
        sp_free(w);
        sp_fail(err, SP_MISSING, "the Debian Handbook is not installed");
        return sp_remedy(err, "apt-get install debian-handbook, or --data FILE for text of your own");
    }
    say(call, "1. This machine");
    TRY(work_machine(&call->common, &w->machine, err));
    if (!call->common.json && !call->common.quiet)
        show_machine(&w->machine);
    enum sp_status st = work_training_open(w, &call->common, err);
    if (!st)
        st = told_and_booked(call, w, err);
    work_training_close(w);
    sp_free(w);
    return st;
}

const struct verb sp_verb_demo = {
    .name = "demo",
    .help = "the whole story in a few minutes on real text",
    .operands = "",
    .text = "Says what this machine is, predicts what a small language model will cost here, trains\n"
            "it, scores it on documents it didn't see, lets it write, and prints what was predicted\n"
            "beside what was measured. Without --data it learns from the Debian Handbook.\n"
            "\n"
            "  sparsam demo\n"
            "  sparsam demo --data my-notes/ --minutes 10\n",
    .sets = { { demo_options, 0 } },
    .options_bytes = sizeof(struct demo_options),
    .run = demo_run,
};
