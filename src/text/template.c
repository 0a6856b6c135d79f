/* text/template.c - a chat template: read once, rendered for each conversation.
 *
 * The subset of Jinja that the templates of published models use, in the setting Hugging Face gives it.
 * What isn't known is refused by name.  A template is a program from a stranger: steps, depth, memory and
 * output have limits (template.h).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "template.h"
#include <string.h>

struct sp_template {
    struct sp_arena mem;
    struct sp_tpl_node *body;
};

/* ---- statements ---- */

enum sp_status sp_tpl_frame_push(struct sp_tpl_run *r, struct sp_tpl_frame *up)
{
    struct sp_tpl_frame *f = NULL;
    TRY(sp_tpl_take(r, sizeof *f, &f));
    f->up = up;
    r->frame = f;
    return SP_OK;
}

static struct sp_tpl_val name_key(struct sp_slice name)
{
    return (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { name.at, NULL, name.n } };
}

static enum sp_status unpack(struct sp_tpl_run *r, const struct sp_tpl_node *targets, const struct sp_tpl_val *v)
{
    struct sp_tpl_list *l = NULL;
    size_t i = 0;
    TRY(sp_tpl_iterate(r, v, &l));
    for (const struct sp_tpl_node *k = targets->kids; k; k = k->next, i++) {
        if (i >= l->n)
            return sp_tpl_fail(r, SP_FORMAT, "there are more names than the %zu values they take", l->n);
        TRY(sp_tpl_assign(r, k, &l->at[i]));
    }
    return i == l->n ? SP_OK : sp_tpl_fail(r, SP_FORMAT, "%zu values are unpacked into %zu names", l->n, i);
}

enum sp_status sp_tpl_assign(struct sp_tpl_run *r, const struct sp_tpl_node *target, const struct sp_tpl_val *v)
{
    struct sp_tpl_val key = name_key(target->name), to;
    if (target->kind == SP_TPL_SEQ)
        return unpack(r, target, v);
    if (target->kind == SP_TPL_NAME)
        return sp_tpl_dict_put(r, &r->frame->vars, &key, v);
    TRY(sp_tpl_eval(r, target->a, &to));
    if (to.kind != SP_TPL_DICT || to.dict->role != SP_TPL_NAMESPACE)
        return sp_tpl_fail(r, SP_FORMAT, "an attribute can be set on a namespace, not on %s", sp_tpl_kind_name(&to));
    return sp_tpl_dict_put(r, to.dict, &key, v);
}

static enum sp_status capture(struct sp_tpl_run *r, const struct sp_tpl_node *body, struct sp_tpl_val *out)
{
    struct sp_tpl_buf text = { 0 }, *was = r->out;
    struct sp_tpl_frame *frame = r->frame;
    r->out = &text;
    TRY(sp_tpl_frame_push(r, frame));
    TRY(sp_tpl_exec(r, body));
    r->frame = frame;
    r->out = was;
    *out = sp_tpl_buf_take(&text);
    return SP_OK;
}

static enum sp_status exec_set(struct sp_tpl_run *r, const struct sp_tpl_node *e)
{
    struct sp_tpl_val v;
    if (e->c) {
        TRY(capture(r, e->c, &v));
        if (e->b) {
            struct sp_tpl_val key = name_key((struct sp_slice){ "", 0 });
            TRY(sp_tpl_dict_put(r, &r->frame->vars, &key, &v));
            TRY(sp_tpl_eval(r, e->b, &v));
        }
    } else
        TRY(sp_tpl_eval(r, e->b, &v));
    return sp_tpl_assign(r, e->a, &v);
}

static enum sp_status exec_if(struct sp_tpl_run *r, const struct sp_tpl_node *e)
{
    for (const struct sp_tpl_node *k = e->kids; k; k = k->next) {
        struct sp_tpl_val v = sp_tpl_bool(true);
        if (k->a)
            TRY(sp_tpl_eval(r, k->a, &v));
        if (sp_tpl_true(&v))
            return sp_tpl_exec(r, k->b);
    }
    return SP_OK;
}

static enum sp_status put(struct sp_tpl_run *r, struct sp_tpl_dict *d, const char *key, struct sp_tpl_val v)
{
    struct sp_tpl_val k = sp_tpl_own(key);
    return sp_tpl_dict_put(r, d, &k, &v);
}

/* What `loop` says in the i-th of the list's turns. */
static enum sp_status loop_facts(struct sp_tpl_run *r, struct sp_tpl_dict *d, const struct sp_tpl_list *l, size_t i)
{
    struct sp_tpl_val none = { .kind = SP_TPL_UNDEFINED };
    int64_t at = (int64_t)i, n = (int64_t)l->n;
    d->role = SP_TPL_LOOP;
    TRY(put(r, d, "index", sp_tpl_int(at + 1)));
    TRY(put(r, d, "index0", sp_tpl_int(at)));
    TRY(put(r, d, "revindex", sp_tpl_int(n - at)));
    TRY(put(r, d, "revindex0", sp_tpl_int(n - at - 1)));
    TRY(put(r, d, "first", sp_tpl_bool(i == 0)));
    TRY(put(r, d, "last", sp_tpl_bool(at + 1 == n)));
    TRY(put(r, d, "length", sp_tpl_int(n)));
    TRY(put(r, d, "previtem", i ? l->at[i - 1] : none));
    return put(r, d, "nextitem", i + 1 < l->n ? l->at[i + 1] : none);
}

/* Only what the loop's own condition lets through. */
static enum sp_status filtered(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_frame *up, struct sp_tpl_list **io)
{
    struct sp_tpl_val kept, is;
    TRY(sp_tpl_list_new(r, &kept));
    for (size_t i = 0; i < (*io)->n; i++) {
        TRY(sp_tpl_frame_push(r, up));
        TRY(sp_tpl_assign(r, e->a, &(*io)->at[i]));
        TRY(sp_tpl_eval(r, e->c, &is));
        if (sp_tpl_true(&is))
            TRY(sp_tpl_list_add(r, kept.list, &(*io)->at[i]));
    }
    r->frame = up;
    *io = kept.list;
    return SP_OK;
}

static enum sp_status exec_for(struct sp_tpl_run *r, const struct sp_tpl_node *e)
{
    struct sp_tpl_frame *up = r->frame;
    struct sp_tpl_val v, loop;
    struct sp_tpl_list *l = NULL;
    TRY(sp_tpl_eval(r, e->b, &v));
    r->line = e->line;
    TRY(sp_tpl_iterate(r, &v, &l));
    if (e->c)
        TRY(filtered(r, e, up, &l));
    TRY(sp_tpl_dict_new(r, &loop));
    for (size_t i = 0; i < l->n && r->loop != SP_TPL_BREAKS; i++) {
        TRY(sp_tpl_frame_push(r, up));
        TRY(loop_facts(r, loop.dict, l, i));
        TRY(put(r, &r->frame->vars, "loop", loop));
        TRY(sp_tpl_assign(r, e->a, &l->at[i]));
        TRY(sp_tpl_exec(r, e->d));
        r->loop = r->loop == SP_TPL_CONTINUES ? SP_TPL_GO : r->loop;
    }
    r->loop = SP_TPL_GO;
    r->frame = up;
    return !l->n && e->kids ? sp_tpl_exec(r, e->kids) : SP_OK;
}

static enum sp_status define(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out)
{
    struct sp_tpl_macro *m = NULL;
    TRY(sp_tpl_take(r, sizeof *m, &m));
    *m = (struct sp_tpl_macro){ e, r->frame };
    *out = (struct sp_tpl_val){ .kind = SP_TPL_MACRO, .macro = m };
    return SP_OK;
}

static enum sp_status bind_parameters(struct sp_tpl_run *r, const struct sp_tpl_macro *m, const struct sp_tpl_args *a)
{
    int i = 0;
    const struct sp_tpl_val *caller = sp_tpl_arg(a, -1, "caller");
    for (const struct sp_tpl_node *k = m->def->kids; k; k = k->next, i++) {
        struct sp_tpl_val key = name_key(k->name), v = { .kind = SP_TPL_UNDEFINED, .s = { k->name.at, NULL, k->name.n } };
        const struct sp_tpl_val *given = i < a->n ? &a->at[i] : NULL;
        for (int n = 0; !given && n < a->n_named; n++)
            given = a->name[n].n == k->name.n && !memcmp(a->name[n].at, k->name.at, k->name.n) ? &a->named[n] : NULL;
        if (!given && k->a)
            TRY(sp_tpl_eval(r, k->a, &v));
        TRY(sp_tpl_dict_put(r, &r->frame->vars, &key, given ? given : &v));
    }
    if (a->n > i)
        return sp_tpl_fail(r, SP_FORMAT, "the macro '%.*s' takes %d values, not %d", m->def->name.n < 60 ? (int)m->def->name.n : 60, m->def->name.at, i, a->n);
    return caller ? put(r, &r->frame->vars, "caller", *caller) : SP_OK;
}

enum sp_status sp_tpl_call_macro(struct sp_tpl_run *r, const struct sp_tpl_macro *m, const struct sp_tpl_args *a, struct sp_tpl_val *out)
{
    struct sp_tpl_frame *was = r->frame;
    TRY(sp_tpl_frame_push(r, m->frame));
    TRY(bind_parameters(r, m, a));
    TRY(capture(r, m->def->b, out));
    r->loop = SP_TPL_GO;
    r->frame = was;
    return SP_OK;
}

static enum sp_status exec_call(struct sp_tpl_run *r, const struct sp_tpl_node *e)
{
    struct sp_tpl_val f, caller, v;
    struct sp_tpl_args a, with;
    TRY(sp_tpl_eval(r, e->a->a, &f));
    TRY(sp_tpl_eval_args(r, e->a->kids, &a));
    TRY(define(r, e->b, &caller));
    with = a;
    with.n_named++;
    TRY(sp_tpl_take(r, (size_t)with.n_named * sizeof *with.named, &with.named));
    TRY(sp_tpl_take(r, (size_t)with.n_named * sizeof *with.name, &with.name));
    for (int i = 0; i < a.n_named; i++) {
        with.named[i] = a.named[i];
        with.name[i] = a.name[i];
    }
    with.named[a.n_named] = caller;
    with.name[a.n_named] = e->b->name;
    TRY(sp_tpl_call(r, &f, &with, &v));
    return sp_tpl_buf_val(r, r->out, &v);
}

static enum sp_status exec_one(struct sp_tpl_run *r, const struct sp_tpl_node *e)
{
    struct sp_tpl_val v, key = name_key(e->name);
    r->line = e->line;
    switch (e->kind) {
    case SP_TPL_DATA:
        return sp_tpl_buf_val(r, r->out, &e->value);
    case SP_TPL_PRINT:
        TRY(sp_tpl_eval(r, e->a, &v));
        return sp_tpl_buf_val(r, r->out, &v);
    case SP_TPL_IF:
        return exec_if(r, e);
    case SP_TPL_FOR:
        return exec_for(r, e);
    case SP_TPL_SET:
        return exec_set(r, e);
    case SP_TPL_MACRODEF:
        TRY(define(r, e, &v));
        return sp_tpl_dict_put(r, &r->frame->vars, &key, &v);
    case SP_TPL_CALLBLOCK:
        return exec_call(r, e);
    case SP_TPL_BODY:
        return sp_tpl_exec(r, e);
    default:
        r->loop = e->kind == SP_TPL_BREAK ? SP_TPL_BREAKS : SP_TPL_CONTINUES;
        return SP_OK;
    }
}

enum sp_status sp_tpl_exec(struct sp_tpl_run *r, const struct sp_tpl_node *body)
{
    if (++r->depth > SP_TPL_DEPTH_MAX)
        return sp_tpl_fail(r, SP_LIMIT, "more than %d levels of calls and expressions", SP_TPL_DEPTH_MAX);
    for (const struct sp_tpl_node *k = body->kids; k && r->loop == SP_TPL_GO; k = k->next) {
        TRY(sp_tpl_tick(r, 1));
        TRY(exec_one(r, k));
    }
    r->depth--;
    return SP_OK;
}

/* ---- the door ---- */

enum sp_status sp_template_parse(struct sp_template **out, const char *source, size_t n, struct sp_err *err)
{
    struct sp_tpl_tokens tokens = { 0 };
    struct sp_template *t = sp_zalloc(1, sizeof *t);
    if (!t)
        return sp_fail(err, SP_NOMEM, "no memory for the template");
    enum sp_status st = sp_tpl_lex(&t->mem, source, n, &tokens, err);
    if (!st)
        st = sp_tpl_parse(&t->mem, &tokens, &t->body, err);
    if (st) {
        sp_template_free(t);
        return sp_where(err, "chat template");
    }
    *out = t;
    return SP_OK;
}

void sp_template_free(struct sp_template *t)
{
    if (t)
        sp_arena_clear(&t->mem);
    sp_free(t);
}

static enum sp_status fill_variables(struct sp_tpl_run *r, const json_t *variables)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)variables, name, value) {
        struct sp_tpl_val v, key = sp_tpl_own(name);
        bool foreign = !strcmp(name, "messages") || !strcmp(name, "tools") || !strcmp(name, "documents");
        TRY(sp_tpl_from_json(r, value, foreign, &v));
        TRY(sp_tpl_dict_put(r, &r->frame->vars, &key, &v));
    }
    return SP_OK;
}

static enum sp_status render(struct sp_tpl_run *r, const struct sp_template *t, const json_t *variables, struct sp_template_text *out)
{
    struct sp_tpl_buf text = { 0 };
    r->out = &text;
    TRY(sp_tpl_frame_push(r, NULL));
    TRY(fill_variables(r, variables));
    TRY(sp_tpl_exec(r, t->body));
    sp_text_add(&out->text, text.n ? text.at : "", text.n);
    sp_text_add(&out->mark, text.n ? (char *)text.mark : "", text.n);
    return out->text.full || out->mark.full ? sp_fail(r->err, SP_NOMEM, "no memory for the prompt") : SP_OK;
}

static size_t json_bytes(const json_t *j)
{
    const char *name;
    json_t *v;
    size_t i, n = 16 + (json_is_string(j) ? json_string_length(j) : 0);
    json_object_foreach((json_t *)j, name, v)
        n += strlen(name) + json_bytes(v);
    json_array_foreach(j, i, v)
        n += json_bytes(v);
    return n;
}

enum sp_status sp_template_render(const struct sp_template *t, const json_t *variables, int64_t now, struct sp_template_text *out,
                                  struct sp_err *err)
{
    struct sp_arena mem = { 0 };
    struct sp_tpl_run r = { .mem = &mem, .now = now, .err = err };
    struct sp_template_text made = { 0 };
    r.memory_max = SP_TPL_MEMORY_BASE + SP_TPL_MEMORY_FACTOR * json_bytes(variables);
    enum sp_status st = render(&r, t, variables, &made);
    sp_arena_clear(&mem);
    if (st) {
        sp_template_text_clear(&made);
        return sp_where(err, "chat template");
    }
    sp_template_text_clear(out);
    *out = made;
    return SP_OK;
}

void sp_template_text_clear(struct sp_template_text *t)
{
    sp_text_clear(&t->text);
    sp_text_clear(&t->mark);
}
