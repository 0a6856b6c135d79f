/* text/template_chat.c - finding a model's chat template, and a conversation to token numbers with it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "../file/file.h"
#include "inner.h"
#include "template.h"

enum { STOP_MIN = 3, STOP_MAX = 200 }; /* bytes of a text that ends an answer */

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

/* All that a template may ask for. */
static json_t *variables(struct sp_tokenizer *tokenizer, const json_t *messages, bool answer)
{
    return json_pack("{s:O, s:b, s:n, s:n, s:o, s:o}", "messages", messages, "add_generation_prompt", (int)answer, "tools", "documents",
                     "bos_token", token_text(tokenizer, sp_tokenizer_bos(tokenizer)), "eos_token",
                     token_text(tokenizer, sp_tokenizer_eos(tokenizer)));
}

static enum sp_status render(const struct sp_template *t, struct sp_tokenizer *tokenizer, const json_t *messages, bool answer,
                             struct sp_template_text *made, struct sp_err *err)
{
    json_t *v = variables(tokenizer, messages, answer);
    if (!v)
        return sp_fail(err, SP_NOMEM, "no memory for the conversation");
    enum sp_status st = sp_template_render(t, v, 0, made, err);
    json_decref(v);
    return st;
}

enum sp_status sp_template_tokens(const struct sp_template *t, struct sp_tokenizer *tokenizer, const json_t *messages,
                                  bool answer, struct sp_ids *out, struct sp_err *err)
{
    struct sp_template_text made = { 0 };
    enum sp_status st = render(t, tokenizer, messages, answer, &made, err);
    if (!st)
        st = sp_tokenizer_encode_marked(tokenizer, made.text.n ? made.text.at : "", (unsigned char *)made.mark.at, made.text.n, out, err);
    sp_template_text_clear(&made);
    return st;
}

/* ---- how an answer ends ---- */

static const char answer_sign[] = "qAnswerq", next_sign[] = "qNextq";

/* The text between the two signs. */
static struct sp_slice between(const struct sp_text *text)
{
    const char *from = text->n ? strstr(text->at, answer_sign) : NULL;
    const char *to = from ? strstr(from, next_sign) : NULL;
    if (!to)
        return (struct sp_slice){ "", 0 };
    from += sizeof answer_sign - 1;
    return (struct sp_slice){ from, (size_t)(to - from) };
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct sp_slice trimmed(struct sp_slice s)
{
    while (s.n && is_space(*s.at))
        s.at++, s.n--;
    while (s.n && is_space(s.at[s.n - 1]))
        s.n--;
    return s;
}

static enum sp_status read_ending(struct sp_tokenizer *tokenizer, struct sp_slice s, int32_t *id, struct sp_text *stop, struct sp_err *err)
{
    struct sp_ids ids = { 0 };
    enum sp_status st = sp_tokenizer_encode(tokenizer, s.at, s.n, false, &ids, err);
    int32_t found = -1;
    for (size_t i = 0; i < ids.n && !st && found < 0; i++)
        if (sp_tokenizer_is_special(tokenizer, ids.at[i]))
            found = ids.at[i];
    sp_ids_clear(&ids);
    if (st)
        return st;
    s = trimmed(s);
    if (found < 0 && s.n >= STOP_MIN && s.n <= STOP_MAX)
        sp_text_add(stop, s.at, s.n);
    *id = found;
    return stop->full ? sp_fail(err, SP_NOMEM, "no memory for the chat template's ending") : SP_OK;
}

enum sp_status sp_template_ending(const struct sp_template *t, struct sp_tokenizer *tokenizer, int32_t *id,
                                  struct sp_text *stop, struct sp_err *err)
{
    struct sp_template_text made = { 0 };
    json_t *messages = json_pack("[{s:s,s:s},{s:s,s:s},{s:s,s:s}]", "role", "user", "content", "q", "role", "assistant", "content", answer_sign, "role",
                                 "user", "content", next_sign);
    enum sp_status st = messages ? render(t, tokenizer, messages, false, &made, err) : sp_fail(err, SP_NOMEM, "no memory for the conversation");
    if (!st)
        st = read_ending(tokenizer, between(&made.text), id, stop, err);
    json_decref(messages);
    sp_template_text_clear(&made);
    return st;
}
