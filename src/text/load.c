/* text/load.c - reading a tokenizer: which file it is, its added tokens, the special ones.  The model
 * is read in load_model.c, the steps around it in load_steps.c and load_out.c.
 *
 * The file is not trusted: numbers, sizes and names are checked before use, and what
 * can't be done exactly is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

static const char *const bos_names[] = { "<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>", "[CLS]" };
static const char *const eos_names[] = { "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>", "[SEP]" };

static enum sp_status token_number(const json_t *v, const char *name, int32_t *top, struct sp_err *err)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= SP_TOK_VOCAB_MAX)
        return sp_fail(err, SP_FORMAT, "token \"%.40s\" needs a number from 0 to %d", name, SP_TOK_VOCAB_MAX - 1);
    int32_t id = (int32_t)json_integer_value(v);
    *top = id > *top ? id : *top;
    return SP_OK;
}

static enum sp_status largest_number(const json_t *vocab, const json_t *added, int32_t *top, struct sp_err *err)
{
    const char *name;
    json_t *v;
    size_t i;
    *top = json_is_array(vocab) ? (int32_t)json_array_size(vocab) - 1 : -1;
    if (json_array_size(vocab) > SP_TOK_VOCAB_MAX)
        return sp_fail(err, SP_LIMIT, "%zu tokens; at most %d are allowed", json_array_size(vocab), SP_TOK_VOCAB_MAX);
    json_object_foreach((json_t *)vocab, name, v)
        TRY(token_number(v, name, top, err));
    json_array_foreach(added, i, v)
        TRY(token_number(json_object_get(v, "id"), "(added)", top, err));
    if (*top < 0)
        return sp_fail(err, SP_FORMAT, "the vocabulary is empty");
    return SP_OK;
}

static enum sp_status load_added(struct sp_tokenizer *t, const json_t *added, struct sp_err *err)
{
    static const struct {
        const char *key;
        uint32_t flag;
    } flags[] = {
        { "special", SP_TOK_SPECIAL }, { "normalized", SP_TOK_NORMALIZED },   { "lstrip", SP_TOK_LSTRIP },
        { "rstrip", SP_TOK_RSTRIP },   { "single_word", SP_TOK_SINGLE_WORD },
    };
    size_t i;
    json_t *a;
    json_array_foreach(added, i, a) {
        const char *content = NULL;
        uint32_t set = 0;
        TRY(sp_json_text(a, "content", "", &content, err));
        for (size_t k = 0; k < SP_COUNT(flags); k++) {
            bool on = false;
            TRY(sp_json_bool(a, flags[k].key, false, &on, err));
            set |= on ? flags[k].flag : 0;
        }
        /* A content that the model's vocabulary has keeps the number it has there. */
        int32_t id = (int32_t)json_integer_value(json_object_get(a, "id"));
        int32_t own = sp_tok_model_token(t, content, strlen(content));
        TRY(sp_tok_add(t, content, strlen(content), own >= 0 ? own : id, set, err));
    }
    return SP_OK;
}

/* Conventional names, where no file says it. */
static int32_t by_name(const struct sp_tokenizer *t, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t id = sp_tokenizer_find(t, names[i]);
        if (sp_tokenizer_is_special(t, id))
            return id;
    }
    return -1;
}

static enum sp_status load_root(struct sp_tokenizer *t, const json_t *root, struct sp_err *err)
{
    const json_t *model = json_object_get(root, "model"), *added = json_object_get(root, "added_tokens");
    int32_t top = -1;
    if (!json_is_object(model))
        return sp_fail(err, SP_FORMAT, "no \"model\" object: not a tokenizer.json");
    TRY(sp_tok_check_model(t, model, err));
    if (added && !json_is_null(added) && !json_is_array(added))
        return sp_fail(err, SP_FORMAT, "added_tokens must be a list");
    TRY(largest_number(json_object_get(model, "vocab"), added, &top, err));
    TRY(sp_tok_reserve(t, top + 1, err));
    TRY(sp_tok_load_steps(t, root, err));
    TRY(sp_tok_load_model(t, model, err));
    TRY(load_added(t, added, err));
    TRY(sp_tok_finish(t, err));
    TRY(sp_tok_load_post(t, json_object_get(root, "post_processor"), err));
    t->bos = t->n_before ? t->before[0] : by_name(t, bos_names, SP_COUNT(bos_names));
    t->eos = by_name(t, eos_names, SP_COUNT(eos_names));
    return SP_OK;
}

static enum sp_status from_root(struct sp_tokenizer **out, const json_t *root, struct sp_err *err)
{
    struct sp_tokenizer *t = NULL;
    TRY(sp_tok_new(&t, err));
    enum sp_status st = load_root(t, root, err);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}

enum sp_status sp_tokenizer_from_json(struct sp_tokenizer **out, const char *json, size_t n, struct sp_err *err)
{
    json_t *root = NULL;
    TRY(sp_json_parse(&root, json, n, "tokenizer.json", err));
    enum sp_status st = from_root(out, root, err);
    json_decref(root);
    return st;
}

/* tokenizer_config.json: a token's name, as text or as an object with "content". */
static int32_t named_token(const struct sp_tokenizer *t, const json_t *config, const char *key, int32_t fallback)
{
    const json_t *v = json_object_get(config, key);
    if (json_is_object(v))
        v = json_object_get(v, "content");
    int32_t id = json_is_string(v) ? sp_tokenizer_find(t, json_string_value(v)) : -1;
    return id >= 0 ? id : fallback;
}

/* Its numbers (a model_max_length of 1e30 in digits) fit no integer, so they are read as reals. */
static enum sp_status read_config(json_t **out, const char *path, struct sp_err *err)
{
    struct sp_text file = { 0 };
    json_error_t why;
    TRY(sp_read_file(&file, path, SP_TOK_FILE_MAX, err));
    *out = json_loadb(file.n ? file.at : "", file.n, JSON_DECODE_INT_AS_REAL, &why);
    sp_text_clear(&file);
    return *out ? SP_OK : sp_fail(err, SP_FORMAT, "%s: line %d: %s", path, why.line, why.text);
}

static enum sp_status beside(struct sp_tokenizer *t, const char *path, struct sp_err *err)
{
    const char *slash = strrchr(path, '/');
    char *config = sp_arena_printf(&t->mem, "%.*stokenizer_config.json", slash ? (int)(slash - path) + 1 : 0, path);
    json_t *root = NULL;
    if (!config)
        return sp_tok_nomem(err);
    if (!sp_is_file(config))
        return SP_OK;
    TRY(read_config(&root, config, err));
    if (!t->n_before)
        t->bos = named_token(t, root, "bos_token", t->bos);
    t->eos = named_token(t, root, "eos_token", t->eos);
    json_decref(root);
    return SP_OK;
}

static enum sp_status load_file(struct sp_tokenizer **out, const char *path, struct sp_err *err)
{
    size_t n = strlen(path);
    if (n > 4 && strcmp(path + n - 4, ".bin") == 0)
        return sp_tok_load_llama2c(out, path, err);
    json_t *root = NULL;
    struct sp_tokenizer *t = NULL;
    TRY(sp_json_read(&root, path, SP_TOK_FILE_MAX, err));
    enum sp_status st = from_root(&t, root, err);
    json_decref(root);
    if (st)
        return sp_where(err, "%s", path);
    st = beside(t, path, err);
    if (st)
        sp_tokenizer_free(t);
    else
        *out = t;
    return st;
}

enum sp_status sp_tokenizer_load(struct sp_tokenizer **out, const char *path, struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    const char *file = sp_is_folder(path) ? sp_path_join(&mem, path, "tokenizer.json") : path;
    enum sp_status st = SP_OK;
    if (!file)
        st = sp_tok_nomem(err);
    else if (!sp_is_file(file)) {
        sp_fail(err, SP_MISSING, "%s: no tokenizer there", file);
        st = sp_remedy(err, "give a tokenizer.json, a folder that holds one, or a llama2.c tokenizer .bin");
    } else
        st = load_file(out, file, err);
    sp_arena_clear(&mem);
    return st;
}
