/* text/template_parse.c - statements of a template, from tokens to a tree.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "template.h"

/* Statements until one of the tags in `ends` ("endif elif else"); the parser then stands at its name. */
static enum sp_status body(struct sp_tpl_parser *p, const char *ends, struct sp_tpl_node **out);

static enum sp_status tag_end(struct sp_tpl_parser *p)
{
    if (p->at->kind != SP_TPL_T_TAG_END)
        return sp_tpl_wrong(p, "the end of the tag");
    p->at++;
    return SP_OK;
}

static bool listed(const struct sp_tpl_token *t, const char *words)
{
    for (const char *w = words; *w;) {
        size_t n = strcspn(w, " ");
        if (n == t->n && !memcmp(w, t->at, n))
            return true;
        w += n + (w[n] == ' ');
    }
    return false;
}

/* A name, names with commas, or ns.name: what can be assigned. */
static enum sp_status target(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL, *one = NULL, *all = NULL;
    bool paren = sp_tpl_take_op(p, "(");
    do {
        TRY(sp_tpl_node(p, SP_TPL_NAME, &one));
        TRY(sp_tpl_want_name(p, &one->name));
        if (sp_tpl_take_op(p, ".")) {
            TRY(sp_tpl_node(p, SP_TPL_ATTR, &e));
            e->a = one;
            TRY(sp_tpl_want_name(p, &e->name));
            one = e;
        }
        if (!all && sp_tpl_is_op(p, ","))
            TRY(sp_tpl_node(p, SP_TPL_SEQ, &all));
        if (all)
            sp_tpl_kid(all, one);
    } while (sp_tpl_take_op(p, ","));
    *out = all ? all : one;
    return paren ? sp_tpl_want_op(p, ")") : SP_OK;
}

static enum sp_status if_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    TRY(sp_tpl_node(p, SP_TPL_IF, out));
    for (bool with = true, more = true; more;) {
        struct sp_tpl_node *branch = NULL;
        TRY(sp_tpl_node(p, SP_TPL_BRANCH, &branch));
        if (with)
            TRY(sp_tpl_tuple(p, &branch->a));
        TRY(tag_end(p));
        TRY(body(p, with ? "elif else endif" : "endif", &branch->b));
        sp_tpl_kid(*out, branch);
        with = sp_tpl_is_name(p, "elif");
        more = !sp_tpl_is_name(p, "endif");
        p->at++;
    }
    return tag_end(p);
}

static enum sp_status for_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL;
    TRY(sp_tpl_node(p, SP_TPL_FOR, &e));
    TRY(target(p, &e->a));
    if (!sp_tpl_take_name(p, "in"))
        return sp_tpl_wrong(p, "in");
    TRY(sp_tpl_expr(p, false, &e->b));
    if (sp_tpl_take_name(p, "if"))
        TRY(sp_tpl_expr(p, true, &e->c));
    if (sp_tpl_is_name(p, "recursive"))
        return sp_fail(p->err, SP_UNSUPPORTED, "line %d: recursive loops aren't supported", p->at->line);
    TRY(tag_end(p));
    TRY(body(p, "else endfor", &e->d));
    if (sp_tpl_take_name(p, "else")) {
        TRY(tag_end(p));
        TRY(body(p, "endfor", &e->kids));
    }
    p->at++;
    *out = e;
    return tag_end(p);
}

static enum sp_status set_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL;
    TRY(sp_tpl_node(p, SP_TPL_SET, &e));
    TRY(target(p, &e->a));
    *out = e;
    if (sp_tpl_take_op(p, "=")) {
        TRY(sp_tpl_tuple(p, &e->b));
        return tag_end(p);
    }
    if (sp_tpl_is_op(p, "|")) { /* the filters stand on a value that the body fills */
        TRY(sp_tpl_node(p, SP_TPL_NAME, &e->b));
        TRY(sp_tpl_postfix(p, &e->b, true));
    }
    TRY(tag_end(p));
    TRY(body(p, "endset", &e->c));
    p->at++;
    return tag_end(p);
}

static enum sp_status parameters(struct sp_tpl_parser *p, struct sp_tpl_node *of)
{
    TRY(sp_tpl_want_op(p, "("));
    while (!sp_tpl_take_op(p, ")")) {
        struct sp_tpl_node *e = NULL;
        TRY(sp_tpl_node(p, SP_TPL_ARG, &e));
        TRY(sp_tpl_want_name(p, &e->name));
        if (sp_tpl_take_op(p, "="))
            TRY(sp_tpl_expr(p, true, &e->a));
        sp_tpl_kid(of, e);
        if (!sp_tpl_is_op(p, ")"))
            TRY(sp_tpl_want_op(p, ","));
    }
    return SP_OK;
}

static enum sp_status macro_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL;
    TRY(sp_tpl_node(p, SP_TPL_MACRODEF, &e));
    TRY(sp_tpl_want_name(p, &e->name));
    TRY(parameters(p, e));
    TRY(tag_end(p));
    TRY(body(p, "endmacro", &e->b));
    p->at++;
    if (p->at->kind == SP_TPL_T_NAME)
        p->at++;
    *out = e;
    return tag_end(p);
}

static enum sp_status call_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    struct sp_tpl_node *e = NULL;
    TRY(sp_tpl_node(p, SP_TPL_CALLBLOCK, &e));
    TRY(sp_tpl_node(p, SP_TPL_MACRODEF, &e->b));
    e->b->name = (struct sp_slice){ "caller", 6 };
    if (sp_tpl_is_op(p, "("))
        TRY(parameters(p, e->b));
    TRY(sp_tpl_expr(p, true, &e->a));
    if (e->a->kind != SP_TPL_CALL)
        return sp_tpl_wrong(p, "a call");
    TRY(tag_end(p));
    TRY(body(p, "endcall", &e->b->b));
    p->at++;
    *out = e;
    return tag_end(p);
}

/* {% generation %} marks what a model is trained on: only its contents matter here. */
static enum sp_status generation_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    TRY(tag_end(p));
    TRY(body(p, "endgeneration", out));
    p->at++;
    return tag_end(p);
}

static enum sp_status break_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    TRY(sp_tpl_node(p, SP_TPL_BREAK, out));
    return tag_end(p);
}

static enum sp_status continue_tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    TRY(sp_tpl_node(p, SP_TPL_CONTINUE, out));
    return tag_end(p);
}

static const struct {
    const char *name;
    enum sp_status (*parse)(struct sp_tpl_parser *p, struct sp_tpl_node **out);
} tags[] = {
    { "if", if_tag },     { "for", for_tag },   { "set", set_tag },
    { "macro", macro_tag }, { "call", call_tag }, { "generation", generation_tag },
    { "break", break_tag }, { "continue", continue_tag },
};

static enum sp_status tag(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    for (size_t i = 0; i < SP_COUNT(tags); i++)
        if (sp_tpl_take_name(p, tags[i].name))
            return tags[i].parse(p, out);
    return sp_fail(p->err, SP_UNSUPPORTED, "line %d: the tag '%.*s' isn't known", p->at->line, p->at->n < 40 ? (int)p->at->n : 40, p->at->at);
}

static enum sp_status statement(struct sp_tpl_parser *p, struct sp_tpl_node **out)
{
    if (p->at->kind == SP_TPL_T_DATA) {
        TRY(sp_tpl_node(p, SP_TPL_DATA, out));
        (*out)->value = (struct sp_tpl_val){ .kind = SP_TPL_STR, .s = { p->at->at, NULL, p->at->n } };
        p->at++;
        return SP_OK;
    }
    if (p->at->kind == SP_TPL_T_TAG) {
        p->at++;
        return tag(p, out);
    }
    if (p->at->kind != SP_TPL_T_PRINT)
        return sp_tpl_wrong(p, "a statement");
    p->at++;
    TRY(sp_tpl_node(p, SP_TPL_PRINT, out));
    TRY(sp_tpl_tuple(p, &(*out)->a));
    if (p->at->kind != SP_TPL_T_PRINT_END)
        return sp_tpl_wrong(p, "}}");
    p->at++;
    return SP_OK;
}

static enum sp_status body(struct sp_tpl_parser *p, const char *ends, struct sp_tpl_node **out)
{
    struct sp_tpl_node *all = NULL, *one = NULL;
    TRY(sp_tpl_node(p, SP_TPL_BODY, &all));
    if (++p->nesting > SP_TPL_NESTING_MAX)
        return sp_fail(p->err, SP_LIMIT, "line %d: more than %d levels of nesting", p->at->line, SP_TPL_NESTING_MAX);
    for (;;) {
        bool end = p->at->kind == SP_TPL_T_END;
        if (end && *ends)
            return sp_tpl_wrong(p, ends);
        if (end)
            break;
        if (p->at->kind == SP_TPL_T_TAG && p->at[1].kind == SP_TPL_T_NAME && listed(&p->at[1], ends)) {
            p->at++;
            break;
        }
        TRY(statement(p, &one));
        sp_tpl_kid(all, one);
    }
    p->nesting--;
    *out = all;
    return SP_OK;
}

enum sp_status sp_tpl_parse(struct sp_arena *mem, const struct sp_tpl_tokens *tokens, struct sp_tpl_node **out,
                            struct sp_err *err)
{
    struct sp_tpl_parser p = { .mem = mem, .at = tokens->at, .err = err };
    return body(&p, "", out);
}
