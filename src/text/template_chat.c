/* text/template_chat.c - finding a model's chat template, and a conversation to token numbers with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"
#include "template.h"

/* Of templates by name, "default"; without one by that name, the first. */
static const char *pick(const json_t *v)
{
    const json_t *best = json_is_string(v) ? v : NULL;
    size_t i;
    json_t *e;
    json_array_foreach(v, i, e) {
        const char *name = json_string_value(json_object_get(e, "name"));
        if (!best || (name && !strcmp(name, "default")))
            best = json_object_get(e, "template");
    }
    return json_string_value(best);
}

static enum sp_status from_config(const char *path, struct sp_text *source, struct sp_err *err)
{
    struct sp_text file = { 0 };
    json_error_t why;
    TRY(sp_read_file(&file, path, SP_TOK_FILE_MAX, err));
    json_t *root = json_loadb(file.n ? file.at : "", file.n, JSON_DECODE_INT_AS_REAL, &why);
    const char *text = pick(json_object_get(root, "chat_template"));
    sp_text_add(source, text ? text : "", text ? strlen(text) : 0);
    enum sp_status st = root ? SP_OK : sp_fail(err, SP_FORMAT, "%s: line %d: %s", path, why.line, why.text);
    json_decref(root);
    sp_text_clear(&file);
    return st;
}

enum sp_status sp_template_find(const char *folder, struct sp_text *source, struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    const char *own = sp_path_join(&mem, folder, "chat_template.jinja"), *config = sp_path_join(&mem, folder, "tokenizer_config.json");
    enum sp_status st = !own || !config ? sp_fail(err, SP_NOMEM, "no memory to look for a chat template") : SP_OK;
    if (!st && sp_is_file(own))
        st = sp_read_file(source, own, SP_TPL_SOURCE_MAX, err);
    else if (!st && sp_is_file(config))
        st = from_config(config, source, err);
    sp_arena_clear(&mem);
    return !st && source->full ? sp_fail(err, SP_NOMEM, "no memory for the chat template") : st;
}

static json_t *token_text(const struct sp_tokenizer *t, int32_t id)
{
    size_t n = 0;
    const char *s = id >= 0 ? sp_tokenizer_token(t, id, &n) : NULL;
    json_t *j = s ? json_stringn(s, n) : NULL;
    return j ? j : json_string("");
}

enum sp_status sp_template_tokens(const struct sp_template *t, struct sp_tokenizer *tokenizer, const json_t *messages,
                                  bool answer, struct sp_ids *out, struct sp_err *err)
{
    struct sp_template_text made = { 0 };
    json_t *v = json_pack("{s:O, s:b, s:n, s:n, s:o, s:o}", "messages", messages, "add_generation_prompt", (int)answer, "tools", "documents",
                          "bos_token", token_text(tokenizer, sp_tokenizer_bos(tokenizer)), "eos_token",
                          token_text(tokenizer, sp_tokenizer_eos(tokenizer)));
    if (!v)
        return sp_fail(err, SP_NOMEM, "no memory for the conversation");
    enum sp_status st = sp_template_render(t, v, 0, &made, err);
    if (!st)
        st = sp_tokenizer_encode_marked(tokenizer, made.text.n ? made.text.at : "", (unsigned char *)made.mark.at, made.text.n, out, err);
    sp_template_text_clear(&made);
    json_decref(v);
    return st;
}
