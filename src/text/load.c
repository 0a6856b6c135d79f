/* text/load.c - reading a tokenizer: which file it is, its vocabulary, its merges,
 * its added tokens.  The steps around the model are read in load_steps.c.
 *
 * The file is not trusted: numbers, sizes and names are checked before use, and what
 * can't be done exactly is refused.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"

static const char *const bos_names[] = { "<s>", "<|begin_of_text|>", "<bos>", "<|startoftext|>" };
static const char *const eos_names[] = { "<|endoftext|>", "</s>", "<|end_of_text|>", "<eos>", "<|im_end|>" };

static enum sp_status check_model(const json_t *model, struct sp_err *err)
{
    const char *type = NULL, *text;
    bool has_merges = json_is_array(json_object_get(model, "merges"));
    TRY(sp_json_text(model, "type", has_merges ? "BPE" : "Unigram", &type, err));
    if (strcmp(type, "BPE") != 0) {
        sp_fail(err, SP_UNSUPPORTED, "the tokenizer's model is \"%.40s\"; BPE is what can be read", type);
        return sp_remedy(err, "Unigram and WordPiece tokenizers are not supported yet");
    }
    const json_t *dropout = json_object_get(model, "dropout");
    if (dropout && !json_is_null(dropout) && json_number_value(dropout) != 0)
        return sp_fail(err, SP_UNSUPPORTED, "the tokenizer drops merges at random (model.dropout)");
    static const char *const affixes[] = { "continuing_subword_prefix", "end_of_word_suffix" };
    for (size_t i = 0; i < SP_COUNT(affixes); i++) {
        if (json_is_null(json_object_get(model, affixes[i])))
            continue;
        TRY(sp_json_text(model, affixes[i], "", &text, err));
        if (*text)
            return sp_fail(err, SP_UNSUPPORTED, "model.%s \"%.20s\" is not supported", affixes[i], text);
    }
    return SP_OK;
}

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
    *top = -1;
    json_object_foreach((json_t *)vocab, name, v)
        TRY(token_number(v, name, top, err));
    json_array_foreach(added, i, v)
        TRY(token_number(json_object_get(v, "id"), "(added)", top, err));
    if (*top < 0)
        return sp_fail(err, SP_FORMAT, "the vocabulary is empty");
    return SP_OK;
}

static enum sp_status load_vocab(struct sp_tokenizer *t, const json_t *vocab, struct sp_err *err)
{
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)vocab, name, v)
        TRY(sp_tok_put(t, name, strlen(name), (int32_t)json_integer_value(v), err));
    return SP_OK;
}

static int32_t model_token(const struct sp_tokenizer *t, const char *name, size_t n)
{
    char bytes[SP_TOK_TOKEN_BYTES_MAX];
    size_t m;
    if (!t->byte_level)
        return sp_tok_names_get(&t->names, name, n);
    return n <= sizeof bytes && sp_tok_unmap(name, n, bytes, &m) ? sp_tok_names_get(&t->names, bytes, m) : -1;
}

/* "a b" or ["a","b"]. */
static enum sp_status merge_parts(const json_t *m, size_t i, struct sp_slice part[2], struct sp_err *err)
{
    if (json_is_string(m)) {
        const char *s = json_string_value(m), *gap = strchr(s, ' ');
        if (gap && gap != s && gap[1] && !strchr(gap + 1, ' ')) {
            part[0] = (struct sp_slice){ s, (size_t)(gap - s) };
            part[1] = (struct sp_slice){ gap + 1, strlen(gap + 1) };
            return SP_OK;
        }
    } else if (json_is_array(m) && json_array_size(m) == 2) {
        const json_t *a = json_array_get(m, 0), *b = json_array_get(m, 1);
        if (json_is_string(a) && json_is_string(b)) {
            part[0] = (struct sp_slice){ json_string_value(a), json_string_length(a) };
            part[1] = (struct sp_slice){ json_string_value(b), json_string_length(b) };
            return SP_OK;
        }
    }
    return sp_fail(err, SP_FORMAT, "merge %zu is neither \"a b\" nor [\"a\",\"b\"]", i);
}

static enum sp_status load_merges(struct sp_tokenizer *t, const json_t *merges, struct sp_err *err)
{
    size_t i;
    json_t *m;
    if (json_array_size(merges) > SP_TOK_MERGES_MAX)
        return sp_fail(err, SP_LIMIT, "%zu merges; at most %d are allowed", json_array_size(merges), SP_TOK_MERGES_MAX);
    json_array_foreach(merges, i, m) {
        struct sp_slice part[2] = { 0 };
        int32_t id[2];
        TRY(merge_parts(m, i, part, err));
        for (int k = 0; k < 2; k++) {
            id[k] = model_token(t, part[k].at, part[k].n);
            if (id[k] < 0)
                return sp_fail(err, SP_FORMAT, "merge %zu names \"%.*s\", which isn't in the vocabulary", i,
                               (int)(part[k].n > 40 ? 40 : part[k].n), part[k].at);
        }
        TRY(sp_tok_put_merge(t, id[0], id[1], (uint32_t)i, err));
    }
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
        int32_t own = model_token(t, content, strlen(content));
        TRY(sp_tok_add(t, content, strlen(content), own >= 0 ? own : id, set, err));
    }
    return SP_OK;
}

static enum sp_status load_unknown(struct sp_tokenizer *t, const json_t *model, struct sp_err *err)
{
    const char *unk = NULL;
    TRY(sp_json_bool(model, "fuse_unk", false, &t->fuse_unk, err));
    TRY(sp_json_bool(model, "byte_fallback", false, &t->byte_fallback, err));
    TRY(sp_json_bool(model, "ignore_merges", false, &t->ignore_merges, err));
    if (!json_is_string(json_object_get(model, "unk_token")))
        return SP_OK;
    TRY(sp_json_text(model, "unk_token", NULL, &unk, err));
    t->unk = model_token(t, unk, strlen(unk));
    if (t->unk < 0)
        return sp_fail(err, SP_FORMAT, "unk_token \"%.40s\" isn't in the vocabulary", unk);
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
    const json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab"),
                 *added = json_object_get(root, "added_tokens");
    int32_t top = -1;
    if (!json_is_object(model))
        return sp_fail(err, SP_FORMAT, "no \"model\" object: not a tokenizer.json");
    TRY(check_model(model, err));
    if (!json_is_object(vocab) || !json_is_array(json_object_get(model, "merges")))
        return sp_fail(err, SP_FORMAT, "model.vocab must be an object and model.merges a list");
    if (added && !json_is_null(added) && !json_is_array(added))
        return sp_fail(err, SP_FORMAT, "added_tokens must be a list");
    TRY(largest_number(vocab, added, &top, err));
    TRY(sp_tok_reserve(t, top + 1, err));
    TRY(sp_tok_load_steps(t, root, err));
    TRY(load_vocab(t, vocab, err));
    TRY(load_merges(t, json_object_get(model, "merges"), err));
    TRY(load_unknown(t, model, err));
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
