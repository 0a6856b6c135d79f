/* text/template.h - what the files of the template interpreter share: tokens, tree, values, the run.
 *
 * Everything of a template lives in its arena, everything of a rendering in the rendering's; nothing is freed
 * alone.  A string carries a mark for each byte: 0 the template's own text, 1 what came from a conversation,
 * so that whoever encodes the result can keep special tokens out of what people wrote.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_TEMPLATE_H
#define SP_TEMPLATE_H
#include <jansson.h>
#include "text.h"

enum {
    SP_TPL_SOURCE_MAX = 1 << 20,      /* bytes of a template                 */
    SP_TPL_NESTING_MAX = 64,          /* of expressions and blocks           */
    SP_TPL_DEPTH_MAX = 400,           /* of evaluation, macros included      */
    SP_TPL_STEPS_MAX = 4000000,       /* of one rendering                    */
    SP_TPL_MEMORY_BASE = 16 << 20,    /* bytes a rendering may take, */
    SP_TPL_MEMORY_FACTOR = 64,        /* and so many for each byte that goes in */
};

/* ---- values (template_value.c) ---- */
enum sp_tpl_kind {
    SP_TPL_UNDEFINED, /* s: its name */
    SP_TPL_NONE,
    SP_TPL_BOOL,
    SP_TPL_INT,
    SP_TPL_REAL,
    SP_TPL_STR,
    SP_TPL_LIST,
    SP_TPL_DICT,
    SP_TPL_MACRO,
    SP_TPL_METHOD
};
struct sp_tpl_str {
    const char *at;
    const unsigned char *mark; /* [n], NULL: all own */
    size_t n;
};
struct sp_tpl_val {
    enum sp_tpl_kind kind;
    union {
        bool on;
        int64_t i;
        double r;
        struct sp_tpl_str s;
        struct sp_tpl_list *list;
        struct sp_tpl_dict *dict;
        struct sp_tpl_macro *macro;
        struct sp_tpl_method *method;
    };
};
struct sp_tpl_list {
    struct sp_tpl_val *at;
    size_t n, cap;
    bool tuple;
};
enum sp_tpl_role { SP_TPL_PLAIN, SP_TPL_NAMESPACE, SP_TPL_LOOP };
struct sp_tpl_dict { /* in order of insertion */
    struct sp_tpl_val *key, *val;
    size_t n, cap;
    enum sp_tpl_role role;
};
struct sp_tpl_method { /* a method of self; self undefined: a function of the environment */
    struct sp_tpl_val self;
    struct sp_slice name;
};

/* ---- tokens (template_lex.c) ---- */
enum sp_tpl_token_kind {
    SP_TPL_T_DATA,
    SP_TPL_T_PRINT,
    SP_TPL_T_PRINT_END,
    SP_TPL_T_TAG,
    SP_TPL_T_TAG_END,
    SP_TPL_T_NAME,
    SP_TPL_T_STRING, /* without its quotes, escapes as written */
    SP_TPL_T_INT,
    SP_TPL_T_REAL,
    SP_TPL_T_OP,
    SP_TPL_T_END
};
struct sp_tpl_token {
    enum sp_tpl_token_kind kind;
    int line;
    const char *at;
    size_t n;
};
struct sp_tpl_tokens {
    struct sp_tpl_token *at;
    size_t n, cap;
};
/* Line ends become \n and the last one is dropped.  The list grows in mem. */
enum sp_status sp_tpl_lex(struct sp_arena *mem, const char *source, size_t n, struct sp_tpl_tokens *out,
                          struct sp_err *err);

/* ---- the tree (template_parse.c, template_expr.c) ---- */
enum sp_tpl_node_kind {
    SP_TPL_VALUE,   /* value */
    SP_TPL_NAME,    /* name */
    SP_TPL_SEQ,     /* kids; op 't': a tuple */
    SP_TPL_PAIRS,   /* kids: key, value, key, value */
    SP_TPL_ATTR,    /* a.name */
    SP_TPL_ITEM,    /* a[b] */
    SP_TPL_SLICE,   /* a[b:c:d] */
    SP_TPL_CALL,    /* a(kids) */
    SP_TPL_FILTER,  /* a|name(kids) */
    SP_TPL_TEST,    /* a is name(kids); op '!': is not */
    SP_TPL_UNARY,   /* op a: '!', '-', '+' */
    SP_TPL_BINARY,  /* a op b */
    SP_TPL_COMPARE, /* a, kids: SP_TPL_OPERAND */
    SP_TPL_OPERAND, /* op a */
    SP_TPL_CHOICE,  /* a if b else c */
    SP_TPL_ARG,     /* name=a, or a */
    SP_TPL_DATA,    /* value */
    SP_TPL_PRINT,   /* a */
    SP_TPL_IF,      /* kids: SP_TPL_BRANCH */
    SP_TPL_BRANCH,  /* a (NULL: else), body b */
    SP_TPL_FOR,     /* for a in b if c: d, else kids */
    SP_TPL_SET,     /* a = b, or a = what body c prints, through the filters of b */
    SP_TPL_MACRODEF, /* name, kids: SP_TPL_ARG (a: default), body b */
    SP_TPL_CALLBLOCK, /* a: the call, b: SP_TPL_MACRODEF */
    SP_TPL_BODY,    /* kids */
    SP_TPL_BREAK,
    SP_TPL_CONTINUE
};
enum { SP_TPL_EQ = 256, SP_TPL_NE, SP_TPL_LE, SP_TPL_GE, SP_TPL_IN, SP_TPL_NOT_IN, SP_TPL_FLOOR, SP_TPL_POW, SP_TPL_AND, SP_TPL_OR };
struct sp_tpl_node {
    enum sp_tpl_node_kind kind;
    int line, op;
    struct sp_slice name;
    struct sp_tpl_val value;
    struct sp_tpl_node *a, *b, *c, *d, *kids, *last, *next;
};
struct sp_tpl_parser {
    struct sp_arena *mem;
    const struct sp_tpl_token *at;
    int nesting;
    struct sp_err *err;
};
enum sp_status sp_tpl_parse(struct sp_arena *mem, const struct sp_tpl_tokens *tokens, struct sp_tpl_node **out,
                            struct sp_err *err);
enum sp_status sp_tpl_node(struct sp_tpl_parser *p, enum sp_tpl_node_kind kind, struct sp_tpl_node **out);
void sp_tpl_kid(struct sp_tpl_node *of, struct sp_tpl_node *kid);
bool sp_tpl_is_op(const struct sp_tpl_parser *p, const char *op);
bool sp_tpl_is_name(const struct sp_tpl_parser *p, const char *name);
bool sp_tpl_take_op(struct sp_tpl_parser *p, const char *op);
bool sp_tpl_take_name(struct sp_tpl_parser *p, const char *name);
enum sp_status sp_tpl_want_op(struct sp_tpl_parser *p, const char *op);
enum sp_status sp_tpl_want_name(struct sp_tpl_parser *p, struct sp_slice *out);
enum sp_status sp_tpl_wrong(const struct sp_tpl_parser *p, const char *wanted);
enum sp_status sp_tpl_expr(struct sp_tpl_parser *p, bool choice, struct sp_tpl_node **out); /* choice: x if y may follow */
enum sp_status sp_tpl_tuple(struct sp_tpl_parser *p, struct sp_tpl_node **out);             /* a, b */
enum sp_status sp_tpl_primary(struct sp_tpl_parser *p, struct sp_tpl_node **out);
enum sp_status sp_tpl_postfix(struct sp_tpl_parser *p, struct sp_tpl_node **io, bool filters);
enum sp_status sp_tpl_arguments(struct sp_tpl_parser *p, struct sp_tpl_node *of); /* "(" stands next */

/* ---- a rendering (template_run.c, template_eval.c, template_filter.c, template_method.c) ---- */
struct sp_tpl_frame {
    struct sp_tpl_frame *up;
    struct sp_tpl_dict vars;
};
struct sp_tpl_macro {
    const struct sp_tpl_node *def;
    struct sp_tpl_frame *frame; /* where it was defined */
};
struct sp_tpl_buf { /* text being made, with its marks */
    char *at;
    unsigned char *mark;
    size_t n, cap;
};
struct sp_tpl_run {
    struct sp_arena *mem;
    size_t taken, memory_max;
    int64_t steps, now;
    int depth, line;
    enum { SP_TPL_GO, SP_TPL_BREAKS, SP_TPL_CONTINUES } loop;
    struct sp_tpl_frame *frame;
    struct sp_tpl_buf *out;
    struct sp_err *err;
};
struct sp_tpl_args {
    struct sp_tpl_val *at; /* those without a name */
    struct sp_slice *name;
    struct sp_tpl_val *named;
    int n, n_named;
};
enum sp_status sp_tpl_fail(struct sp_tpl_run *r, enum sp_status st, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
enum sp_status sp_tpl_tick(struct sp_tpl_run *r, size_t steps);
enum sp_status sp_tpl_take(struct sp_tpl_run *r, size_t bytes, void *out); /* out: of any pointer */

/* Values.  A string value may point at what lives as long as the rendering. */
struct sp_tpl_val sp_tpl_own(const char *s);
struct sp_tpl_val sp_tpl_int(int64_t i);
struct sp_tpl_val sp_tpl_bool(bool on);
bool sp_tpl_named(struct sp_slice name, const char *s);
const char *sp_tpl_kind_name(const struct sp_tpl_val *v);
enum sp_status sp_tpl_list_new(struct sp_tpl_run *r, struct sp_tpl_val *out);
enum sp_status sp_tpl_list_add(struct sp_tpl_run *r, struct sp_tpl_list *l, const struct sp_tpl_val *v);
enum sp_status sp_tpl_dict_new(struct sp_tpl_run *r, struct sp_tpl_val *out);
enum sp_status sp_tpl_dict_put(struct sp_tpl_run *r, struct sp_tpl_dict *d, const struct sp_tpl_val *key,
                               const struct sp_tpl_val *v);
struct sp_tpl_val *sp_tpl_dict_get(const struct sp_tpl_dict *d, const char *key, size_t n); /* NULL: absent */
enum sp_status sp_tpl_dict_find(struct sp_tpl_run *r, const struct sp_tpl_dict *d, const struct sp_tpl_val *key,
                                struct sp_tpl_val **out);
/* foreign: strings are marked, but for a plain word under "role". */
enum sp_status sp_tpl_from_json(struct sp_tpl_run *r, const json_t *j, bool foreign, struct sp_tpl_val *out);
bool sp_tpl_true(const struct sp_tpl_val *v);
enum sp_status sp_tpl_equal(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b, bool *out);
enum sp_status sp_tpl_order(struct sp_tpl_run *r, const struct sp_tpl_val *a, const struct sp_tpl_val *b, int *out);
/* What a loop or filter walks over: list, characters of a string, keys of a dict; nothing for undefined. */
enum sp_status sp_tpl_iterate(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_tpl_list **out);
enum sp_status sp_tpl_length(struct sp_tpl_run *r, const struct sp_tpl_val *v, int64_t *out);

/* Text. */
enum sp_status sp_tpl_buf_add(struct sp_tpl_run *r, struct sp_tpl_buf *b, const char *s, const unsigned char *mark, size_t n);
enum sp_status sp_tpl_buf_str(struct sp_tpl_run *r, struct sp_tpl_buf *b, const char *s);
enum sp_status sp_tpl_buf_val(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v); /* as print does */
enum sp_status sp_tpl_buf_json(struct sp_tpl_run *r, struct sp_tpl_buf *b, const struct sp_tpl_val *v, int indent, int level);
struct sp_tpl_val sp_tpl_buf_take(const struct sp_tpl_buf *b);
enum sp_status sp_tpl_to_str(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_tpl_str *out);
struct sp_tpl_val sp_tpl_part(const struct sp_tpl_str *s, size_t from, size_t to);
size_t sp_tpl_char(const struct sp_tpl_str *s, size_t at); /* bytes of the character there */

/* Expressions and calls. */
enum sp_status sp_tpl_eval(struct sp_tpl_run *r, const struct sp_tpl_node *e, struct sp_tpl_val *out);
enum sp_status sp_tpl_binary(struct sp_tpl_run *r, int op, const struct sp_tpl_val *a, const struct sp_tpl_val *b,
                             struct sp_tpl_val *out);
enum sp_status sp_tpl_contains(struct sp_tpl_run *r, const struct sp_tpl_val *in, const struct sp_tpl_val *v, bool *out);
enum sp_status sp_tpl_attr(struct sp_tpl_run *r, const struct sp_tpl_val *v, struct sp_slice name, struct sp_tpl_val *out);
enum sp_status sp_tpl_item(struct sp_tpl_run *r, const struct sp_tpl_val *v, const struct sp_tpl_val *key, struct sp_tpl_val *out);
enum sp_status sp_tpl_eval_args(struct sp_tpl_run *r, const struct sp_tpl_node *kids, struct sp_tpl_args *out);
/* The argument at a place or of that name; NULL: not given. */
const struct sp_tpl_val *sp_tpl_arg(const struct sp_tpl_args *a, int place, const char *name);
enum sp_status sp_tpl_call(struct sp_tpl_run *r, const struct sp_tpl_val *f, const struct sp_tpl_args *a, struct sp_tpl_val *out);
enum sp_status sp_tpl_call_macro(struct sp_tpl_run *r, const struct sp_tpl_macro *m, const struct sp_tpl_args *a, struct sp_tpl_val *out);
enum sp_status sp_tpl_filter(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_val *v, const struct sp_tpl_args *a,
                             struct sp_tpl_val *out);
enum sp_status sp_tpl_test(struct sp_tpl_run *r, struct sp_slice name, const struct sp_tpl_val *v, const struct sp_tpl_args *a, bool *out);
bool sp_tpl_has_method(const struct sp_tpl_val *v, struct sp_slice name);
enum sp_status sp_tpl_method(struct sp_tpl_run *r, const struct sp_tpl_method *m, const struct sp_tpl_args *a, struct sp_tpl_val *out);
/* Methods that are filters too. */
enum sp_status sp_tpl_strip(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_val *chars, int sides, struct sp_tpl_val *out); /* 1 left, 2 right */
enum sp_status sp_tpl_replace(struct sp_tpl_run *r, const struct sp_tpl_str *s, const struct sp_tpl_args *a, struct sp_tpl_val *out);
enum sp_status sp_tpl_letters(struct sp_tpl_run *r, const struct sp_tpl_str *s, int how, struct sp_tpl_val *out); /* u l c t */
enum sp_status sp_tpl_items(struct sp_tpl_run *r, const struct sp_tpl_dict *d, int what, struct sp_tpl_val *out); /* i k v */
enum sp_status sp_tpl_join(struct sp_tpl_run *r, const struct sp_tpl_list *l, const struct sp_tpl_str *by, struct sp_tpl_val *out);
/* Statements. */
enum sp_status sp_tpl_exec(struct sp_tpl_run *r, const struct sp_tpl_node *body);
enum sp_status sp_tpl_assign(struct sp_tpl_run *r, const struct sp_tpl_node *target, const struct sp_tpl_val *v);
enum sp_status sp_tpl_frame_push(struct sp_tpl_run *r, struct sp_tpl_frame *up);
#endif
