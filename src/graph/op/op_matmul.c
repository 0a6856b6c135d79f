/* graph/op/op_matmul.c - y = op(a) op(b) (+ bias) (+ acc): the product everything
 * else is small beside.
 *
 * attr.i[0]: trans, bit 0 a is stored [k,m], bit 1 b is stored [n,k].
 * attr.format: of y; by default f32.  b in bytes was written by op pack on the same machine: attr.i[1] is then n,
 * attr.i[2] the format b was stored in; there is no gradient.
 * Inputs a [.., k] (leading dimensions are rows), b [k,n], bias [n] or none, acc
 * [m,n] or none; y is written over acc.  Both gradients are matmuls again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "op.h"

struct sizes { int64_t m, n, k; };

static int trans(const struct sp_node *n)
{
    return (int)n->attr.i[0];
}

static bool is_packed(const struct sp_type *in)
{
    return in[1].format == SP_BYTES;
}

static struct sizes sizes(const struct sp_node *n, const struct sp_type *in)
{
    int64_t ar = sp_type_rows(&in[0]), ac = sp_type_cols(&in[0]), br = sp_type_rows(&in[1]), bc = sp_type_cols(&in[1]);
    return (struct sizes){ trans(n) & 1 ? ac : ar, is_packed(in) ? n->attr.i[1] : trans(n) & 2 ? br : bc, trans(n) & 1 ? ar : ac };
}

static enum sp_status matmul_shape(struct sp_node *n, const struct sp_type *in, struct sp_err *err)
{
    struct sizes s = sizes(n, in);
    int64_t bk = trans(n) & 2 ? sp_type_cols(&in[1]) : sp_type_rows(&in[1]);
    if ((!is_packed(in) && (s.k != bk || in[1].n != 2)) || in[0].n < 1)
        return sp_fail(err, SP_SHAPE, "matmul: [%lld,%lld] times [%lld,%lld]", (long long)s.m, (long long)s.k, (long long)bk, (long long)s.n);
    TRY(op_want(n, in[2].n < 0 || sp_type_elements(&in[2]) == s.n, "a bias as wide as its result", &in[2], err));
    TRY(op_want(n, op_is_float(&in[0]), "a matrix in f32, f16 or bf16", &in[0], err));
    n->out[0] = in[0];
    if (trans(n) & 1 || in[0].n < 2)
        n->out[0] = SP_TYPE(SP_F32, s.m, s.n);
    n->out[0].dim[n->out[0].n - 1] = s.n;
    n->out[0].format = op_format(n, SP_F32);
    if (!is_packed(in) && sp_formats[in[1].format].block > 1)
        n->work_bytes = SP_GEMM_WORK(s.m, s.k);
    return op_want(n, in[3].n < 0 || sp_type_elements(&in[3]) == s.m * s.n, "an accumulator of its result's size", &in[3], err);
}

static sp_ref product(struct sp_graph *g, sp_ref a, sp_ref b, int t, enum sp_format f)
{
    return SP_ADD(g, &sp_op_matmul, NULL, (&(struct sp_attr){ .i = { t }, .format = (int)f }), a, b);
}

/* By layout: which operands (0 a, 1 b, 2 dy), in which order, transposed how. */
static void matmul_grad(struct sp_graph *g, int node, const sp_ref *dout, sp_ref *din)
{
    static const struct { int left, right, trans; } rule[4][2] = {
        { { 2, 1, 2 }, { 0, 2, 1 } }, /* y = a b  : dy b' , a' dy  */
        { { 1, 2, 2 }, { 0, 2, 0 } }, /* y = a'b  : b dy' , a dy   */
        { { 2, 1, 0 }, { 2, 0, 1 } }, /* y = a b' : dy b  , dy' a  */
        { { 1, 2, 3 }, { 2, 0, 3 } }, /* y = a'b' : b'dy' , dy'a'  */
    };
    const struct sp_node n = g->node[node];
    sp_ref arg[3] = { n.in[0], n.in[1], dout[0] };
    int t = trans(&n);
    for (int i = 0; i < 2; i++)
        if (sp_graph_needs_grad(g, n.in[i]))
            din[i] = product(g, arg[rule[t][i].left], arg[rule[t][i].right], rule[t][i].trans,
                             i ? SP_F32 : sp_graph_type(g, n.in[0])->format);
    if (n.n_in > 2 && sp_graph_needs_grad(g, n.in[2]))
        din[2] = SP_ADD(g, &sp_op_sum_rows, NULL, NULL, dout[0]);
    if (n.n_in > 3 && sp_graph_needs_grad(g, n.in[3]))
        din[3] = dout[0];
}

static void matmul_count(const struct sp_node *n, const struct sp_type *in, struct sp_count *c)
{
    struct sizes s = sizes(n, in);
    c->flops_matmul += 2.0 * (double)s.m * (double)s.n * (double)s.k;
    op_count_bytes(n, in, c);
}

static void matmul_args(const struct sp_node *n, const struct sp_type *in, void *args)
{
    struct sp_gemm_args *a = args;
    struct sizes s = sizes(n, in);
    *a = (struct sp_gemm_args){ .m = s.m, .n = s.n, .k = s.k, .lda = sp_type_cols(&in[0]), .ldb = trans(n) & 2 ? s.k : s.n, .ldc = s.n,
                                .trans = trans(n), .a_format = in[0].format, .c_format = n->out[0].format,
                                .b_format = is_packed(in) ? (int32_t)n->attr.i[2] : (int32_t)in[1].format, .b_packed = is_packed(in) };
}

const struct sp_op sp_op_matmul = {
    .name = "matmul", .help = "matrix product, either side transposed, with bias, onto an accumulator",
    .n_in_min = 2, .n_in_max = 4, .n_out = 1, .shape = matmul_shape, .grad = matmul_grad, .count = matmul_count,
    .kernel = &sp_kernel_gemm, .args = matmul_args, .alias = { 1 + 3 },
};
