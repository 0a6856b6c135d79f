/* cli/text.c - a recipe's data section: documents, held-out part, tokenizer, tokens.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "work.h"

static const char END_OF_TEXT[] = "<|endoftext|>";

void work_show_step(void *progress, const struct sp_event *e)
{
    if (e->kind == SP_EVENT_STEP)
        sp_progress_show(progress, (double)e->done, (double)e->total, NULL);
}

static enum sp_status read_all(struct sp_documents *d, const char *path, const struct sp_recipe_data *r, const struct verb_common *c, struct sp_err *err)
{
    struct sp_data_options o = { .key = r->key, .split = (enum sp_data_split)r->split, .bytes_max = (uint64_t)r->bytes_max };
    char line[256];
    TRY(sp_documents_read(d, path, &o, NULL, err));
    if (!c->quiet && !c->json)
        fprintf(stderr, "%s: %s\n", path, sp_data_report_line(&d->report, line, sizeof line));
    return SP_OK;
}

static enum sp_status make_tokenizer(struct work_text *t, const struct sp_recipe_data *r, const struct verb_common *c, struct sp_err *err)
{
    static const char *const specials[] = { END_OF_TEXT };
    if (!strcmp(r->tokenizer, "bytes"))
        return sp_tokenizer_bytes(&t->tokenizer, END_OF_TEXT, err);
    if (!strcmp(r->tokenizer, "chars")) {
        struct sp_text all = { .max = (size_t)1 << 32 };
        for (int64_t i = 0; i < t->documents.n; i++)
            sp_text_add(&all, t->documents.at[i].text.at, t->documents.at[i].text.n);
        enum sp_status st = all.full ? sp_fail(err, SP_NOMEM, "no memory for the text") : sp_tokenizer_chars(&t->tokenizer, all.at, all.n, NULL, err);
        sp_text_clear(&all);
        return st;
    }
    struct sp_progress bar;
    struct sp_watch w = { work_show_step, &bar };
    sp_progress_begin(&bar, "tokenizer", c->quiet || c->json);
    enum sp_status st = sp_bpe_train(&t->tokenizer, t->split.train, t->split.n_train, (int32_t)r->vocab, specials, 1, &w, err);
    sp_progress_end(&bar, "trained");
    return st;
}

static bool is_made(const char *name)
{
    return !strcmp(name, "bpe") || !strcmp(name, "bytes") || !strcmp(name, "chars");
}

/* A tokenizer.json, or a GGUF file that holds its own. */
static enum sp_status load_beside(struct work_text *t, const char *path, struct sp_err *err)
{
    struct sp_weights w;
    size_t n = strlen(path);
    if (n < 5 || strcmp(path + n - 5, ".gguf"))
        return sp_tokenizer_load(&t->tokenizer, path, err);
    TRY(sp_weights_open(&w, path, err));
    enum sp_status st = sp_weights_tokenizer(&w, NULL, &t->tokenizer, err);
    sp_weights_close(&w);
    return st || t->tokenizer ? st : sp_fail(err, SP_MISSING, "%s holds no tokenizer", path);
}

static enum sp_status fill(struct work_text *t, const struct sp_recipe_data *d, const char *beside, bool whole, const struct verb_common *c,
                           struct sp_err *err)
{
    if (!d->path) {
        sp_fail(err, SP_USAGE, "no text is named");
        return sp_remedy(err, "--data FILE or FOLDER");
    }
    TRY(read_all(&t->documents, d->path, d, c, err));
    if (d->valid_path)
        TRY(read_all(&t->held_out, d->valid_path, d, c, err));
    TRY(sp_documents_split(&t->documents, whole || d->valid_path ? 0 : d->valid_share, &t->split, err));
    if (d->tokenizer && !is_made(d->tokenizer))
        TRY(sp_tokenizer_load(&t->tokenizer, d->tokenizer, err));
    else if (beside)
        TRY(load_beside(t, beside, err));
    else
        TRY(make_tokenizer(t, d, c, err));
    TRY(sp_tokens_build(whole ? &t->valid : &t->train, t->split.train, t->split.n_train, t->tokenizer, NULL, err));
    if (t->held_out.n) {
        struct sp_split all;
        TRY(sp_documents_split(&t->held_out, 0, &all, err));
        enum sp_status st = sp_tokens_build(&t->valid, all.train, all.n_train, t->tokenizer, NULL, err);
        sp_split_free(&all);
        return st;
    }
    return !whole && t->split.n_valid ? sp_tokens_build(&t->valid, t->split.valid, t->split.n_valid, t->tokenizer, NULL, err) : SP_OK;
}

enum sp_status work_text_open(struct work_text *t, const struct sp_recipe_data *d, const char *tokenizer_beside, bool whole, const struct verb_common *c,
                              struct sp_err *err)
{
    *t = (struct work_text){ 0 };
    enum sp_status st = fill(t, d, tokenizer_beside, whole, c, err);
    if (st)
        work_text_close(t);
    return st;
}

void work_text_close(struct work_text *t)
{
    sp_tokens_free(&t->train);
    sp_tokens_free(&t->valid);
    sp_tokenizer_free(t->tokenizer);
    sp_split_free(&t->split);
    sp_documents_free(&t->documents);
    sp_documents_free(&t->held_out);
    *t = (struct work_text){ 0 };
}

double work_text_bytes(const struct work_text *t)
{
    return (double)(t->train.n * (t->train.u16 ? 2 : 4) + t->valid.n * (t->valid.u16 ? 2 : 4)) + (double)t->documents.mem.total + (double)t->held_out.mem.total;
}
