/* graph/op/op.h - small things that many ops share.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_OP_H
#define SP_OP_H
#include "graph.h"
#include "ops.h"

/* Bytes of every operand and result, once. */
static inline void op_count_bytes(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    for (int i = 0; i < n->n_in; i++)
        c->bytes_read += in[i].n < 0 ? 0 : (double)sp_type_bytes(&in[i]);
    for (int o = 0; o < n->n_out; o++)
        c->bytes_written += (double)sp_type_bytes(&n->out[o]);
}

/* `each` operations an element of output 0. */
static inline void op_count_elements(const struct sp_node *n, const struct sp_type *in, struct sp_count *c, double each)
{
    c->flops_other += each * (double)sp_type_elements(&n->out[0]);
    op_count_bytes(n, in, c);
}

static inline enum sp_format op_format(const struct sp_node *n, enum sp_format otherwise)
{
    return n->attr.format < 0 ? otherwise : (enum sp_format)n->attr.format;
}

static inline bool op_is_float(const struct sp_type *t)
{
    return t->format == SP_F32 || t->format == SP_BF16 || t->format == SP_F16;
}

static inline enum sp_status op_want(const struct sp_node *n, bool sound, const char *wanted, const struct sp_type *found, struct sp_err *err)
{
    char text[80];
    if (sound)
        return SP_OK;
    return sp_fail(err, SP_SHAPE, "%s wants %s, not %s", n->op->name, wanted, sp_type_text(found, text, sizeof text));
}

static inline struct sp_type op_scalar(void)
{
    return SP_TYPE(SP_F32, 1);
}

/* A number where 0 stands for 1. */
static inline double op_or_one(double v)
{
    return v < 0 || v > 0 ? v : 1;
}

/* The gradient that a loss itself has. */
static inline bool op_is_one(const struct sp_graph *g, sp_ref r)
{
    const struct sp_node *n = &g->node[r.node];
    return n->op == &sp_op_fill && n->attr.f[0] >= 1 && n->attr.f[0] <= 1 && sp_type_elements(&n->out[0]) == 1;
}

/* x times the scalar s; x itself where s is the constant 1. */
static inline sp_ref op_times(struct sp_graph *g, sp_ref x, sp_ref s)
{
    if (g->status || op_is_one(g, s))
        return x;
    sp_ref in[3] = { x, SP_NONE, s };
    return sp_graph_add(g, &sp_op_scale, NULL, 3, in, NULL);
}
#endif
