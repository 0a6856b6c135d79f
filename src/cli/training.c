/* cli/training.c - a training run from recipe to quality.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "work.h"

enum { EVAL_WINDOWS_MAX = 2000 };

/* ---- opening: text, model, job, prediction ---- */

static enum sp_status save_tokenizer(struct work_training *w, struct sp_err *err)
{
    const char *out = w->recipe.train.out;
    if (!out || sp_link_rank(w->link))
        return SP_OK;
    int n = snprintf(w->tokenizer_path, sizeof w->tokenizer_path, "%s/tokenizer.json", out);
    if (n < 0 || n >= (int)sizeof w->tokenizer_path)
        return sp_fail(err, SP_LIMIT, "%s: the path is too long", out);
    TRY(sp_make_folder(out, err));
    return sp_tokenizer_save(w->text.tokenizer, w->tokenizer_path, err);
}

/* A run that goes on uses the tokenizer it began with; so does one that begins with a model's weights. */
static const char *tokenizer_beside(const struct sp_recipe *r, char *buf, size_t cap)
{
    const char *folder[3] = { r->train.resume ? r->train.out : NULL, r->train.init, r->model.path };
    for (int i = 0; i < 3; i++) {
        snprintf(buf, cap, "%s/tokenizer.json", folder[i] ? folder[i] : "");
        if (folder[i] && sp_is_file(buf))
            return buf;
    }
    return NULL;
}

static void predict(struct work_training *w, double process_bytes)
{
    const struct sp_recipe_train *t = &w->recipe.train;
    int64_t micros = t->accumulate > 0 ? t->accumulate : 1, a_step = w->job.train.batch_all * w->job.train.tokens * micros;
    double steps = (double)sp_learn_steps(t, a_step), looks = t->eval_every > 0 ? floor(steps / (double)t->eval_every) : 0;
    double windows = w->text.valid.n ? (double)sp_window_count(&w->text.valid, w->job.train.tokens) : 0;
    struct sp_plan_ask ask = { .job = &w->job, .machine = &w->machine, .rates = &w->rates, .data_bytes = work_text_bytes(&w->text),
                               .process_bytes = process_bytes, .limit_s = 60 * t->minutes, .link_bytes_per_s = w->link_bytes_per_s };
    if (!(steps > 0))
        steps = 1e15; /* the time limit decides */
    ask.runs[SP_RUN_MICRO] = steps * (double)micros;
    ask.runs[SP_RUN_NORM] = ask.runs[SP_RUN_UPDATE] = steps;
    ask.runs[SP_RUN_SCORE] = w->text.valid.n ? looks * (double)t->eval_batches + fmin(windows, EVAL_WINDOWS_MAX) / (double)w->job.train.score_batch : 0;
    sp_plan_job(&ask, &w->predicted, NULL);
}

static enum sp_status open_parts(struct work_training *w, const struct verb_common *c, struct sp_err *err)
{
    char beside[4096];
    struct sp_recipe *r = &w->recipe;
    TRY(work_text_open(&w->text, &r->data, tokenizer_beside(r, beside, sizeof beside), false, c, err));
    TRY(sp_recipe_config(r, sp_tokenizer_vocab(w->text.tokenizer), &w->config, err));
    if (sp_tokenizer_eos(w->text.tokenizer) >= 0 && !w->config.n_eos)
        w->config.eos[w->config.n_eos++] = sp_tokenizer_eos(w->text.tokenizer);
    struct sp_train_shape shape = sp_train_shape_of(r, &w->config);
    if (!w->text.valid.n)
        shape.score_batch = -1;
    if (w->link)
        TRY(sp_train_shape_share(&shape, sp_link_rank(w->link), sp_link_ranks(w->link), err));
    TRY(sp_step_train(&w->config, &shape, &w->machine, NULL, NULL, &w->job, err));
    if (!sp_link_rank(w->link)) /* the first predicts for all; forks: before this process has threads */
        TRY(work_rates(c, &w->machine, shape.compute, false, &w->rates, err));
    return sp_pool_new(&w->pool, w->machine.threads, err);
}

/* Ranks on one machine share its processors; what machines cost is that of all of them (taken to be alike). */
static void share_machine(struct work_training *w, const struct verb_common *c)
{
    int here = sp_link_here(w->link), machines = sp_link_machines(w->link);
    int64_t all = sysconf(_SC_NPROCESSORS_ONLN), each = all / here > 0 ? all / here : 1;
    if (w->link && !c->place.threads && w->machine.threads > each) /* mpirun may have bound it to fewer */
        w->machine.threads = (int)each;
    w->machine.idle_w *= machines;
    w->machine.price_per_hour *= machines;
    w->machine.embodied_g_per_hour *= machines;
}

enum sp_status work_training_open(struct work_training *w, const struct verb_common *c, struct sp_err *err)
{
    enum sp_status st = work_machine(c, &w->machine, err);
    if (!st)
        share_machine(w, c);
    if (!st)
        st = open_parts(w, c, err);
    st = sp_link_agree(w->link, st, err);
    sp_mem_trim();
    if (!st)
        st = sp_link_rate(w->link, &w->link_bytes_per_s, err);
    if (!st)
        predict(w, fmax(0, work_process_bytes() - work_text_bytes(&w->text))); /* with what reading and tokenizing left behind */
    if (st)
        work_training_close(w);
    return st;
}

void work_training_close(struct work_training *w)
{
    sp_live_clear(&w->live);
    sp_job_clear(&w->job);
    work_text_close(&w->text);
    sp_pool_free(w->pool);
    json_decref(w->steps);
    w->pool = NULL;
    w->steps = NULL;
}

/* ---- running ---- */

struct watching { struct sp_progress bar; struct work_training *w; double first_valid; };

static void on_step(struct watching *k, const struct sp_event *e)
{
    char extra[160];
    snprintf(extra, sizeof extra, "step %lld  loss %.4f  %.0f tokens/s", (long long)e->done, e->loss, e->tokens_per_s);
    sp_progress_show(&k->bar, (double)e->done, (double)e->total, extra);
    if (k->w->steps)
        json_array_append_new(k->w->steps, json_pack("{s:I, s:f, s:f, s:f, s:f}", "step", (json_int_t)e->done, "loss", e->loss, "lr", e->lr,
                                                     "grad_norm", e->grad_norm, "tokens_per_s", e->tokens_per_s));
}

static void on_event(void *self, const struct sp_event *e)
{
    struct watching *k = self;
    if (e->kind == SP_EVENT_STEP)
        on_step(k, e);
    if (e->kind == SP_EVENT_QUALITY && !k->bar.quiet)
        fprintf(stderr, "%sstep %lld: held-out loss %.4f%s\n", k->bar.live ? "\r" : "", (long long)e->done, e->loss, k->bar.live ? "\033[K" : "");
}

static enum sp_status begin_weights(struct work_training *w, struct sp_err *err)
{
    const char *from = w->recipe.train.init;
    struct sp_weights files;
    if (!from)
        return sp_live_init(&w->live, (uint64_t)w->recipe.train.seed, err);
    TRY(sp_weights_open(&files, from, err));
    enum sp_status st = sp_live_fill(&w->live, &files, NULL, NULL, err);
    sp_weights_close(&files);
    return st;
}

static enum sp_status begin(struct work_training *w, struct sp_err *err)
{
    TRY(save_tokenizer(w, err));
    TRY(sp_live_new(&w->live, &w->job, w->pool, false, err));
    return begin_weights(w, err);
}

static enum sp_status judge(struct work_training *w, bool quiet, struct sp_err *err)
{
    struct sp_progress bar;
    struct sp_watch watch = { work_show_step, &bar };
    if (!w->text.valid.n || w->learned.interrupted || sp_link_rank(w->link))
        return SP_OK;
    sp_progress_begin(&bar, "held-out text", quiet);
    enum sp_status st = sp_judge_tokens(&w->live, &w->text.valid, EVAL_WINDOWS_MAX, &watch, &w->quality, err);
    sp_progress_end(&bar, st ? "stopped" : "scored");
    if (st != SP_INTERRUPTED)
        return st;
    *err = (struct sp_err){ 0 };
    return SP_OK;
}

void work_files(struct book *b, const struct sp_recipe *r)
{
    const char *in[] = { r->data.path, r->data.valid_path, r->model.path, r->train.init };
    for (size_t i = 0; i < SP_COUNT(in); i++)
        book_file(b, false, in[i]);
    book_file(b, true, r->train.out);
}

enum sp_status work_training_run(struct work_training *w, const struct verb_common *c, struct book *b, struct sp_err *err)
{
    bool quiet = c->quiet || c->json;
    struct watching k = { .w = w };
    struct sp_watch watch = { on_event, &k };
    TRY(sp_link_agree(w->link, begin(w, err), err));
    struct sp_learn l = { .how = &w->recipe.train, .live = &w->live, .train = &w->text.train, .valid = w->text.valid.n ? &w->text.valid : NULL,
                          .tokenizer = w->tokenizer_path[0] ? w->tokenizer_path : NULL, .watch = &watch, .link = w->link };
    book_phase(b, "train");
    sp_progress_begin(&k.bar, "training", quiet);
    enum sp_status st = sp_learn_run(&l, &w->learned, err);
    sp_progress_end(&k.bar, st ? "stopped" : w->learned.interrupted ? "interrupted, checkpoint written" : w->learned.complete ? "was done already" : "done");
    TRY(st);
    TRY(book_others(b, w->link, err));
    book_phase(b, "eval");
    return sp_link_agree(w->link, judge(w, quiet, err), err);
}
