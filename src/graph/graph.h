/* graph/graph.h - what a model computes, as plain data.  [door of graph]
 *
 * A graph holds shapes, not numbers: a 175-billion-parameter graph costs
 * nothing.  Nodes stand in evaluation order; a node has several outputs, each
 * with a shape and a number format, an alias rule from its op and a workspace.
 * Nodes are known by name; sp_ref is only a handle while one graph is built.
 *
 *   rewrite  graph -> graph      sp_graph_grad, sp_graph_recompute, sp_graph_pack, techniques
 *   lower    graph -> program    kernel rows and offsets
 *   read     program             counted, run, printed as C
 *
 * A job is a small set of programs over one state region: state entries
 * (parameters, gradients, moments, caches) are added and never move.
 *
 * Building is sticky: the first failure is kept in the graph and every later
 * call returns SP_NONE; ask sp_graph_status once at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_GRAPH_H
#define SP_GRAPH_H
#include "../base/base.h"
#include "../cost/cost.h"
#include "../kernel/kernel.h"

enum { SP_DIMS_MAX = 4, SP_IN_MAX = 8, SP_OUT_MAX = 4, SP_NODES_MAX = 1 << 20 };

struct sp_type { int n; int64_t dim[SP_DIMS_MAX]; enum sp_format format; };
struct sp_type sp_type_of(enum sp_format f, int n, const int64_t *dim);
#define SP_TYPE(f, ...) sp_type_of(f, (int)SP_COUNT(((int64_t[]){ __VA_ARGS__ })), (int64_t[]){ __VA_ARGS__ })
bool sp_type_equal(const struct sp_type *a, const struct sp_type *b);
int64_t sp_type_elements(const struct sp_type *t);
int64_t sp_type_bytes(const struct sp_type *t);
int64_t sp_type_cols(const struct sp_type *t);      /* last dimension, 1 for a scalar */
int64_t sp_type_rows(const struct sp_type *t);      /* product of the others         */
const char *sp_type_text(const struct sp_type *t, char *buf, size_t cap);  /* "f32[3,5]" */

typedef struct { int32_t node, out; } sp_ref;
#define SP_NONE ((sp_ref){ -1, 0 })
static inline bool sp_is(sp_ref r) { return r.node >= 0; }

/* Meaning belongs to the op; its file documents each index. */
struct sp_attr { int64_t i[12]; double f[8]; int format; /* of output 0; -1: the op's own choice */ };
#define SP_ATTR(...) (&(struct sp_attr){ .format = -1, __VA_ARGS__ })

enum sp_part { SP_PART_FORWARD, SP_PART_RECOMPUTE, SP_PART_BACKWARD, SP_PART_UPDATE, SP_PARTS };
enum sp_state_kind { SP_STATE_PARAM, SP_STATE_GRAD, SP_STATE_MOMENT, SP_STATE_CACHE, SP_STATE_PACKED, SP_STATE_TABLE, SP_STATE_KINDS };

struct sp_op;
struct sp_node {
    const struct sp_op *op;
    const char *name;                   /* unique in the graph */
    int n_in, n_out;
    sp_ref in[SP_IN_MAX];               /* SP_NONE: an optional operand left out */
    struct sp_type out[SP_OUT_MAX];
    struct sp_attr attr;
    int64_t work_bytes;
    int layer;                          /* -1 outside layers */
    enum sp_part part;
    enum sp_state_kind state_kind;      /* op state only */
    bool needs_grad;                    /* set when built: some input leads to a trainable parameter */
    bool trainable;                     /* op state only */
    bool in_place;                      /* outputs are written over what alias[] names, which need not die here */
};

/* What one step does, by class; bytes are what the kernel must move at least. */
struct sp_count {
    double flops_matmul, flops_attention, flops_other, bytes_read, bytes_written;
    double flops_by_part[SP_PARTS];
    int64_t steps;
};

/* One op = one file defining one of these + one row in ops.c.  in[] are types in node order; an operand
 * left out has n = -1. */
struct sp_graph;
struct sp_op {
    const char *name, *help;
    int n_in_min, n_in_max, n_out;
    /* Checks inputs, sets n->out[] (honouring attr.format), n->work_bytes.  Errors: "matmul: [3,5] times [4,4]". */
    enum sp_status (*shape)(struct sp_node *n, const struct sp_type *in, struct sp_err *err);
    /* Adds nodes computing din[i] for inputs that need it; dout[o] may be SP_NONE.  din starts SP_NONE. */
    void (*grad)(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din);
    void (*count)(const struct sp_node *n, const struct sp_type *in, struct sp_count *c);
    const struct sp_kernel *kernel;     /* NULL: nothing to run (input, state, view) or plan only */
    /* Fills sizes, strides, formats, numbers.  Pointers are bound by lowering: fields of kind IN take the
     * node's inputs in order, OUT its outputs, WORK the workspace. */
    void (*args)(const struct sp_node *n, const struct sp_type *in, void *args);
    /* alias[o] = 1+i: output o is written over input i (always when must_alias, else when i dies here).  An
     * optional input i left out is an accumulator: sp_graph_grad may put the gradient's state there. */
    int8_t alias[SP_OUT_MAX];
    uint8_t optional_out;               /* bit o: the kernel leaves output o out when it is bound NULL */
    bool must_alias, view;              /* view: output 0 is input 0 (+ attr.i[0] elements), no step at all */
    bool plan_only;
    bool cheap;                         /* one pass over its inputs, which the gradient wants kept anyway */
};
extern const struct sp_op *const sp_ops[];          /* NULL-terminated table */
const struct sp_op *sp_op_find(const char *name);

/* ---- building ---- */
struct sp_graph {
    int n, cap; struct sp_node *node;
    struct sp_arena mem;                /* names */
    struct sp_name_map *names;
    enum sp_status status; struct sp_err err;
    char scope[128]; int layer; enum sp_part part;
};
struct sp_graph *sp_graph_new(void);    /* NULL when out of memory */
void sp_graph_free(struct sp_graph *g);
enum sp_status sp_graph_status(const struct sp_graph *g, struct sp_err *err);
/* Names of following nodes start with the printed scope ("model.layers.3."); layer -1: outside. */
void sp_graph_scope(struct sp_graph *g, int layer, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* name NULL: op name and number.  in: n_in refs.  Returns output 0; output o is {r.node, o}. */
sp_ref sp_graph_add(struct sp_graph *g, const struct sp_op *op, const char *name, int n_in, const sp_ref *in,
                    const struct sp_attr *attr);
#define SP_ADD(g, op, name, attr, ...) \
    sp_graph_add(g, op, name, (int)SP_COUNT(((sp_ref[]){ __VA_ARGS__ })), (sp_ref[]){ __VA_ARGS__ }, attr)
sp_ref sp_graph_input(struct sp_graph *g, const char *name, struct sp_type t);  /* full name, no scope */
sp_ref sp_graph_state(struct sp_graph *g, const char *name, enum sp_state_kind kind, bool trainable, struct sp_type t);
sp_ref sp_graph_find(const struct sp_graph *g, const char *name);               /* "name" or "name:1" */
const struct sp_type *sp_graph_type(const struct sp_graph *g, sp_ref r);
bool sp_graph_needs_grad(const struct sp_graph *g, sp_ref r);

/* ---- rewrites ---- */
/* Reverse mode: d loss / d every trainable state, accumulated in place into state "grad/NAME" (f32).
 * loss is a scalar.  Gradients flow only where needs_grad. */
enum sp_status sp_graph_grad(struct sp_graph *g, sp_ref loss, struct sp_err *err);
/* What the backward pass computes again instead of keeping it: FULL all but what enters each layer (a forward pass
 * more), SELECTIVE activations and norms, whose inputs are kept in any case (a percent or two of time). */
enum sp_recompute { SP_RECOMPUTE_NONE, SP_RECOMPUTE_FULL, SP_RECOMPUTE_SELECTIVE };
enum sp_status sp_graph_recompute(struct sp_graph **g, enum sp_recompute which, struct sp_err *err);
/* Language-model loss over chunks of at most `rows` rows of logits; x[M,C], w[V,C], targets i32[M], weights f32[M].
 * Gradients, when needed, are made chunk by chunk.  Returns the summed loss (scalar). */
sp_ref sp_graph_lm_loss(struct sp_graph *g, sp_ref x, sp_ref w, sp_ref targets, sp_ref weights, int64_t rows, enum sp_format compute);
/* The same against a teacher's logits [M,V]: the summed Kullback-Leibler divergence of this model from it. */
sp_ref sp_graph_soft_loss(struct sp_graph *g, sp_ref x, sp_ref w, sp_ref teacher, sp_ref weights, int64_t rows, enum sp_format compute);
/* Update program: clipped AdamW over every gradient of `micro`; inputs "lr", "max_norm", "step"; the norm before
 * clipping is value "clip:1".  decays NULL: matrices decay, vectors do not.
 * One of several ranks (ranks > 1) updates its sp_share_of every tensor and has the moments of that alone; the sum
 * of squares is then the input "sumsq", since only all ranks together know it. */
struct sp_adamw { double beta1, beta2, eps, decay; bool (*decays)(const char *name, const struct sp_type *t); int rank, ranks; };
enum sp_status sp_graph_adamw(struct sp_graph *update, const struct sp_graph *micro, const struct sp_adamw *o, struct sp_err *err);
/* The rank's part of it: value "norm" is the sum of squares of its shares of the gradients; nothing is added to
 * `norm` where it has none. */
enum sp_status sp_graph_norm(struct sp_graph *norm, const struct sp_graph *micro, const struct sp_adamw *o, struct sp_err *err);
/* Nodes from number `from` on, added last, move up to where their inputs are there, so that those need not live until
 * the end.  No ref taken before means anything afterwards. */
enum sp_status sp_graph_settle(struct sp_graph *g, int from, struct sp_err *err);
/* Where the machine's matrix rows want packed weights: reads them from state "pack/..." that `refresh` writes. */
enum sp_status sp_graph_pack(struct sp_graph *user, struct sp_graph *refresh, const struct sp_machine *m, struct sp_err *err);

/* ---- lowering ---- */
struct sp_state_entry { const char *name; enum sp_state_kind kind; struct sp_type type; int64_t at; bool trainable; };
/* Where in a page an entry has to begin, so that pages of a file can take its place; below 0: anywhere. */
typedef int64_t sp_phase_fn(const void *self, const char *name, const struct sp_type *type);
enum { SP_STATE_PAGE = 4096 };
struct sp_state {
    int n, cap; struct sp_state_entry *entry; int64_t bytes; struct sp_arena mem; struct sp_name_map *names;
    sp_phase_fn *phase_of; const void *phase_self; /* asked when an entry is added; NULL: nothing comes from pages */
};
void sp_state_clear(struct sp_state *s);
const struct sp_state_entry *sp_state_find(const struct sp_state *s, const char *name);

/* Where a value lives: an offset into the arena or the state region. */
struct sp_place { int64_t at; bool in_state; bool none; };
struct sp_step {
    const struct sp_kernel *kernel; const struct sp_kernel_row *row;
    int32_t node; int8_t n_ptr; double flops, bytes; struct sp_place ptr[SP_IN_MAX + SP_OUT_MAX + 1]; /* by pointer field */
    _Alignas(8) unsigned char args[SP_KERNEL_ARGS_MAX];
};
struct sp_named { const char *name; struct sp_place place; struct sp_type type; };
struct sp_program {
    const char *name; int n; struct sp_step *step;
    int64_t arena_bytes, live_bytes;    /* live_bytes: the lower bound, most alive at once */
    size_t scratch_bytes;               /* a thread */
    int n_named; struct sp_named *named;/* runtime inputs and wanted outputs */
    struct sp_count count;
    struct sp_arena mem;
};
/* Drops what nobody wants, picks rows, lays out.  `want`: names kept until the end; what writes into the
 * state region is always kept.  Adds the graph's state entries to `state`. */
enum sp_status sp_lower(const struct sp_graph *g, const char *name, const char *const *want, int n_want,
                        const struct sp_machine *m, struct sp_state *state, struct sp_program *out, struct sp_err *err);
void sp_program_clear(struct sp_program *p);
const struct sp_named *sp_program_find(const struct sp_program *p, const char *name);

/* ---- the three readings ---- */
/* counted: p->count, p->arena_bytes, state->bytes; by kernel row: */
struct sp_row_count { const struct sp_kernel_row *row; double flops, bytes; int64_t steps; };
int sp_program_rows(const struct sp_program *p, struct sp_row_count *out, int max);

/* run: bound once to memory, then no allocation.  arena and state 64-byte aligned; scratch inside exec. */
struct sp_exec {
    const struct sp_program *program; unsigned char *arena, *state; struct sp_pool *pool;
    void *scratch; size_t stride; unsigned char *bound; double *seconds; /* a step; NULL unless profiled */
};
enum sp_status sp_exec_bind(struct sp_exec *x, const struct sp_program *p, unsigned char *arena, unsigned char *state,
                            struct sp_pool *pool, bool profile, struct sp_err *err);
void sp_exec_run(struct sp_exec *x);
void *sp_exec_at(const struct sp_exec *x, const char *name);  /* memory of a named value; NULL: no such */
void sp_exec_clear(struct sp_exec *x);

/* printed: C99 that needs nothing: kernels' text, `static` arena and state, void NAME(void), and
 * void *NAME_at(const char *) for named values and state entries.  Only programs lowered portable. */
enum sp_status sp_program_print(const struct sp_program *const *programs, int n, const struct sp_state *state, FILE *out, struct sp_err *err);
#endif
