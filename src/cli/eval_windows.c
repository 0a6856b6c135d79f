/* cli/eval_windows.c - models on windows of texts, as llama-perplexity takes them:
 * alone, against another model, or against its saved log-probabilities.
 *
 * The base is loaded once, the models one after the other; a batch of windows' logits
 * is the most that is held of any of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "eval.h"

enum { CONTEXT = 512 }; /* the field's window, where the model's context holds it */

struct opened { struct sp_weights weights; struct sp_job job; struct sp_live live; bool open; };
struct text { struct sp_ids ids; struct sp_windows windows; };

struct evaluating {
    const struct eval_options *o;
    const struct verb_call *call;
    const struct sp_machine *machine;
    struct sp_pool *pool;
    struct sp_tokenizer *tokenizer;
    struct sp_logits_file file;       /* of --against, or with no map  */
    struct opened model, base;
    struct text text[EVAL_TEXTS_MAX];
    struct sp_out save;
    struct sp_progress bar;
    struct eval_result *out;
};

static void on_event(void *self, const struct sp_event *e)
{
    char extra[64];
    sp_format(extra, sizeof extra, "loss %.4f", e->loss);
    if (e->kind == SP_EVENT_STEP)
        sp_progress_show(self, (double)e->done, (double)e->total, extra);
}

/* ---- models ---- */

static void close_model(struct opened *m)
{
    if (m->open) {
        sp_live_clear(&m->live);
        sp_job_clear(&m->job);
        sp_weights_close(&m->weights);
    }
    *m = (struct opened){ 0 };
}

static enum sp_status start_model(struct evaluating *k, struct opened *m, struct sp_err *err)
{
    int64_t context = k->out->context, wanted = k->o->batch * sp_windows_scored(context);
    struct sp_score_shape shape = { .batch = k->o->batch, .tokens = context, .wanted = wanted, .compute = k->o->compute ? SP_BF16 : SP_F32,
                                    .stored_of = sp_weights_stored, .stored_self = &m->weights };
    TRY(sp_step_scoring(&m->weights.config, &shape, k->machine, &m->job, err));
    TRY(sp_live_new(&m->live, &m->job, k->pool, false, err));
    return sp_live_fill(&m->live, &m->weights, NULL, NULL, err);
}

static enum sp_status open_files(struct opened *m, const char *path, struct sp_err *err)
{
    TRY(sp_weights_open(&m->weights, path, err));
    m->open = true;
    return SP_OK;
}

static enum sp_status open_tokenizer(struct evaluating *k, struct sp_err *err)
{
    const char *named = k->o->data.tokenizer;
    if (!strcmp(named, "bytes"))
        return sp_tokenizer_bytes(&k->tokenizer, "<|endoftext|>", err);
    bool made = !strcmp(named, "bpe") || !strcmp(named, "chars"); /* of the data that is scored: never meant here */
    TRY(sp_weights_tokenizer(&k->model.weights, made ? NULL : named, &k->tokenizer, err));
    if (k->tokenizer)
        return SP_OK;
    sp_fail(err, SP_USAGE, "%s has no tokenizer", k->call->operands[0]);
    return sp_remedy(err, "--tokenizer FILE, a tokenizer.json");
}

/* ---- texts ---- */

/* Documents are joined by an empty line; the last end of line of all is left out, as llama-perplexity does. */
static enum sp_status join(const struct sp_documents *d, struct sp_text *all, struct sp_err *err)
{
    all->max = SP_DATA_BYTES_MAX;
    for (int64_t i = 0; i < d->n; i++) {
        if (i)
            sp_text_add(all, "\n\n", 2);
        sp_text_add(all, d->at[i].text.at, d->at[i].text.n);
    }
    if (all->n && all->at[all->n - 1] == '\n')
        all->n--;
    return all->full ? sp_fail(err, SP_NOMEM, "no memory for the text") : SP_OK;
}

enum sp_status eval_encode(struct sp_tokenizer *t, const struct sp_recipe_data *data, const char *path, int32_t bos, struct sp_ids *ids, struct sp_err *err)
{
    struct sp_data_options o = { .key = data->key, .split = SP_DATA_SPLIT_NONE, .bytes_max = (uint64_t)data->bytes_max, .keep_duplicates = true };
    struct sp_documents d = { 0 };
    struct sp_text all = { 0 };
    TRY(sp_documents_read(&d, path, &o, NULL, err));
    enum sp_status st = join(&d, &all, err);
    if (!st && bos >= 0)
        sp_ids_add(ids, bos);
    if (!st)
        st = sp_tokenizer_encode(t, all.at ? all.at : "", all.n, false, ids, err);
    sp_text_clear(&all);
    sp_documents_free(&d);
    return st;
}

static enum sp_status open_text(struct evaluating *k, const char *path, struct text *t, struct sp_err *err)
{
    int64_t context = k->out->context, most = k->o->windows;
    TRY(eval_encode(k->tokenizer, &k->o->data, path, k->out->bos, &t->ids, err));
    t->windows = (struct sp_windows){ .ids = t->ids.at, .n = (int64_t)t->ids.n / context, .context = context, .bos = k->out->bos };
    if (t->windows.n < 1) {
        sp_fail(err, SP_USAGE, "%s: %zu tokens are no window of %lld", path, t->ids.n, (long long)context);
        return sp_remedy(err, "a longer text, or --tokens N for shorter windows");
    }
    t->windows.n = most > 0 && most < t->windows.n ? most : t->windows.n;
    return SP_OK;
}

/* The tokens of a file of log-probabilities are the text; one that is named must be the same. */
static enum sp_status text_of_file(struct evaluating *k, struct text *t, struct sp_err *err)
{
    struct sp_windows w = k->file.windows;
    w.bos = k->out->bos;
    w.n = k->o->windows > 0 && k->o->windows < w.n ? k->o->windows : w.n;
    if (k->o->texts.n) {
        TRY(open_text(k, k->o->texts.at[0], t, err));
        w.n = t->windows.n < w.n ? t->windows.n : w.n;
        if (memcmp(w.ids, t->windows.ids, (size_t)(w.n * w.context) * sizeof *w.ids)) {
            sp_fail(err, SP_USAGE, "%s holds other tokens than %s", k->o->against, k->o->texts.at[0]);
            return sp_remedy(err, "leave --text out: the file's own tokens are scored then");
        }
    }
    t->windows = w;
    return SP_OK;
}

static enum sp_status open_texts(struct evaluating *k, struct sp_err *err)
{
    struct eval_result *r = k->out;
    if (k->o->given) {
        k->text[0].windows = *k->o->given;
        r->bos = k->o->given->bos;
        return SP_OK;
    }
    TRY(open_tokenizer(k, err));
    r->bos = sp_tokenizer_adds_bos(k->tokenizer) ? sp_tokenizer_bos(k->tokenizer) : -1;
    if (k->file.map.at)
        return text_of_file(k, &k->text[0], err);
    for (int i = 0; i < r->texts; i++)
        TRY(open_text(k, k->o->texts.at[i], &k->text[i], err));
    return SP_OK;
}

/* ---- scoring ---- */

static enum sp_status score(struct evaluating *k, int model, int text, struct sp_err *err)
{
    struct eval_result *r = k->out;
    struct eval_cell *c = &r->cell[model * r->texts + text];
    struct sp_watch watch = { on_event, &k->bar };
    const struct sp_windows *w = &k->text[text].windows;
    struct sp_judging j = { .windows = *w, .model = { .live = &k->model.live }, .base = { k->base.open ? &k->base.live : NULL, k->file.map.at ? &k->file : NULL },
                            .save = k->o->save ? &k->save : NULL, .pool = k->pool, .watch = &watch };
    c->model = k->call->operands[model];
    c->text = k->o->given ? k->o->given_name : k->o->texts.n ? k->o->texts.at[text] : k->o->against;
    if (j.save)
        TRY(sp_logits_create(j.save, k->o->save, w, k->model.weights.config.vocab, err));
    sp_progress_begin(&k->bar, c->text, k->call->common.quiet || k->call->common.json);
    double began = sp_now();
    enum sp_status st = sp_judge_windows(&j, &c->scored, err);
    c->tokens_per_s = (double)(w->n * w->context) / (sp_now() - began);
    sp_progress_end(&k->bar, st ? "stopped" : "done");
    TRY(st);
    TRY(sp_scored_summary(&c->scored, &c->of, err));
    if (model && c->of.compared)
        TRY(sp_scored_compare(&r->cell[text].scored, &c->scored, &c->beside_first, err));
    return j.save ? sp_out_commit(j.save, err) : SP_OK;
}

static enum sp_status check(const struct evaluating *k, struct sp_err *err)
{
    const struct eval_result *r = k->out;
    if (r->texts > EVAL_TEXTS_MAX || r->models > EVAL_MODELS_MAX)
        return sp_fail(err, SP_USAGE, "%d models on %d texts; at most %d and %d", r->models, r->texts, EVAL_MODELS_MAX, EVAL_TEXTS_MAX);
    if (k->file.map.at && k->o->texts.n > 1)
        return sp_fail(err, SP_USAGE, "%s holds one text's log-probabilities, %d texts are named", k->o->against, k->o->texts.n);
    if (k->o->save && (r->models > 1 || r->texts > 1))
        return sp_fail(err, SP_USAGE, "--save-logits takes one model on one text, not %d on %d", r->models, r->texts);
    if (!r->texts) {
        sp_fail(err, SP_USAGE, "no text is named");
        return sp_remedy(err, "--text FILE, which may be given several times");
    }
    return SP_OK;
}

static int64_t context_of(const struct evaluating *k)
{
    int64_t most = k->model.weights.config.context;
    if (k->file.map.at)
        return k->file.windows.context;
    if (k->o->given)
        return k->o->given->context;
    return k->o->tokens > 0 ? k->o->tokens : most < CONTEXT ? most : CONTEXT;
}

static enum sp_status evaluate(struct evaluating *k, struct sp_err *err)
{
    struct eval_result *r = k->out;
    bool logits = k->o->against && sp_logits_is(k->o->against);
    if (logits)
        TRY(sp_logits_open(&k->file, k->o->against, err));
    r->texts = (logits && !k->o->texts.n) || k->o->given ? 1 : k->o->texts.n;
    TRY(check(k, err));
    TRY(sp_pool_new(&k->pool, k->machine->threads, err));
    TRY(open_files(&k->model, k->call->operands[0], err));
    r->context = context_of(k);
    TRY(open_texts(k, err));
    if (k->o->against && !logits) {
        TRY(open_files(&k->base, k->o->against, err));
        TRY(start_model(k, &k->base, err));
    }
    for (int m = 0; m < r->models; m++) {
        if (m)
            TRY(open_files(&k->model, k->call->operands[m], err));
        TRY(start_model(k, &k->model, err));
        for (int t = 0; t < r->texts; t++)
            TRY(score(k, m, t, err));
        close_model(&k->model);
    }
    return SP_OK;
}

enum sp_status eval_windows(struct verb_call *call, const struct sp_machine *m, struct eval_result *out, struct sp_err *err)
{
    const struct eval_options *o = call->options;
    struct evaluating k = { .o = o, .call = call, .machine = m, .out = out };
    *out = (struct eval_result){ .models = call->n_operands, .base = o->against };
    enum sp_status st = evaluate(&k, err);
    close_model(&k.model);
    close_model(&k.base);
    sp_out_abandon(&k.save);
    sp_logits_close(&k.file);
    for (int i = 0; i < EVAL_TEXTS_MAX; i++)
        sp_ids_clear(&k.text[i].ids);
    sp_tokenizer_free(k.tokenizer);
    sp_pool_free(k.pool);
    return st;
}

void eval_result_clear(struct eval_result *r)
{
    for (int i = 0; i < EVAL_CELLS_MAX; i++)
        sp_scored_clear(&r->cell[i].scored);
}
