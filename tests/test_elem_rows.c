/* tests/test_elem_rows.c - every fast row of the families that work element by
 * element, by rows and in sums, against the portable row: odd sizes, operands off
 * alignment, both formats, canaries behind every operand.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "cost/cost.h"
#include "kernel/kernel.h"

enum { CANARY = 16, POINTERS = 12 };

/* An operand: its field, format, elements; ids below `below`; or the place of another operand. */
struct operand { const char *field; enum sp_format format; int64_t n; int64_t below; const char *same; bool positive; };
struct row_case { const char *what; const struct sp_kernel *k; const void *args; struct operand op[POINTERS]; };

#define F(name, n_) { .field = #name, .format = SP_F32, .n = n_ }
#define P(name, n_) { .field = #name, .format = SP_F32, .n = n_, .positive = true }
#define B(name, n_) { .field = #name, .format = SP_BF16, .n = n_ }
#define I(name, n_, below_) { .field = #name, .format = SP_I32, .n = n_, .below = below_ }
#define D(name, n_) { .field = #name, .format = SP_BYTES, .n = 8 * (n_) }
#define AS(name, other) { .field = #name, .same = #other }

#define UNARY(kind_, X)                                                                                                                   \
    { "unary f32 " #kind_, &sp_kernel_unary, &(struct sp_unary_args){ .n = 1003, .kind = kind_ }, { X(x, 1003), F(y, 1003) } },          \
    { "unary bf16 " #kind_, &sp_kernel_unary, &(struct sp_unary_args){ .n = 77, .kind = kind_, .x_format = SP_BF16, .y_format = SP_BF16 }, \
      { B(x, 77), B(y, 77) } },                                                                                                          \
    { "unary_back " #kind_, &sp_kernel_unary_back, &(struct sp_unary_back_args){ .n = 1003, .kind = kind_, .x_format = SP_BF16 },         \
      { F(dy, 1003), { .field = "x", .format = SP_BF16, .n = 1003, .positive = kind_ == SP_LOG || kind_ == SP_SQRT }, F(dx, 1003) } }
#define GLU(kind_)                                                                                                                        \
    { "glu " #kind_, &sp_kernel_glu, &(struct sp_glu_args){ .n = 501, .kind = kind_, .y_format = SP_BF16 }, { F(gate, 501), F(up, 501), B(y, 501) } }, \
    { "glu_back " #kind_, &sp_kernel_glu_back, &(struct sp_glu_back_args){ .n = 501, .kind = kind_ },                                     \
      { F(dy, 501), F(gate, 501), F(up, 501), F(dgate, 501), F(dup, 501) } }
#define NORM(m_, n_, layer_)                                                                                                             \
    { "norm", &sp_kernel_norm, &(struct sp_norm_args){ .m = m_, .n = n_, .eps = 1e-5f, .layer = layer_ },                                 \
      { F(x, m_ * n_), F(gain, n_), F(bias, n_), F(y, m_ * n_), F(stat, 2 * m_) } },                                                     \
    { "norm_back", &sp_kernel_norm_back, &(struct sp_norm_back_args){ .m = m_, .n = n_, .layer = layer_ },                                \
      { F(dy, m_ * n_), F(x, m_ * n_), F(gain, n_), P(stat, 2 * m_), F(dx_acc, m_ * n_), F(dgain_acc, n_), AS(dbias_acc, dbias),          \
        F(dx, m_ * n_), F(dgain, n_), F(dbias, n_), { .field = "work", .format = SP_F32, .n = 2 * n_ * ((m_ + 63) / 64) } } }

static const struct row_case cases[] = {
    UNARY(SP_RELU, F), UNARY(SP_GELU, F), UNARY(SP_GELU_ERF, F), UNARY(SP_SILU, F), UNARY(SP_TANH, F), UNARY(SP_SIGMOID, F),
    UNARY(SP_EXP, F), UNARY(SP_LOG, P), UNARY(SP_SQUARE, F), UNARY(SP_SQRT, P), UNARY(SP_NEG, F),
    GLU(SP_SILU), GLU(SP_GELU), GLU(SP_RELU), GLU(SP_SIGMOID),
    { "two blocks", &sp_kernel_unary, &(struct sp_unary_args){ .n = 16391, .kind = SP_SILU }, { F(x, 16391), AS(y, x) } },
    { "add", &sp_kernel_binary, &(struct sp_binary_args){ .n = 999, .nb = 999, .alpha = 1, .beta = 2 }, { F(a, 999), F(b, 999), F(y, 999) } },
    { "add repeated", &sp_kernel_binary, &(struct sp_binary_args){ .n = 39 * 13, .nb = 13, .alpha = 1, .beta = 1, .b_format = SP_BF16 },
      { F(a, 507), B(b, 13), F(y, 507) } },
    { "add over blocks", &sp_kernel_binary, &(struct sp_binary_args){ .n = 170 * 100, .nb = 100, .alpha = 1, .beta = 1, .y_format = SP_BF16 },
      { F(a, 17000), F(b, 100), B(y, 17000) } },
    { "mul by one", &sp_kernel_binary, &(struct sp_binary_args){ .n = 55, .nb = 1, .alpha = 1, .beta = 1, .kind = 1 }, { F(a, 55), F(b, 1), F(y, 55) } },
    { "scale", &sp_kernel_binary, &(struct sp_binary_args){ .n = 55, .nb = 1, .alpha = 3, .beta = 1, .kind = 1 },
      { F(a, 55), F(scale, 1), AS(y, a) } },
    { "dropout", &sp_kernel_dropout, &(struct sp_dropout_args){ .n = 16384 + 517, .key = 0x123456789abcdefu, .p = 0.3f },
      { F(x, 16901), I(counter, 1, 100), F(y, 16901) } },
    { "dropout bf16", &sp_kernel_dropout, &(struct sp_dropout_args){ .n = 7, .key = 5, .p = 0.5f, .x_format = SP_BF16, .y_format = SP_BF16 },
      { B(x, 7), I(counter, 1, 100), B(y, 7) } },
    { "fill", &sp_kernel_fill, &(struct sp_fill_args){ .n = 1001, .value = 3.5f }, { F(y, 1001) } },
    NORM(3, 37, 1), NORM(65, 64, 0), NORM(130, 300, 1), NORM(2, 1, 0),
    { "norm bf16", &sp_kernel_norm, &(struct sp_norm_args){ .m = 5, .n = 48, .eps = 1e-5f, .y_format = SP_BF16 },
      { F(x, 240), F(gain, 48), B(y, 240), F(stat, 10) } },
    { "norm_back bf16", &sp_kernel_norm_back, &(struct sp_norm_back_args){ .m = 70, .n = 33, .dy_format = SP_BF16 },
      { B(dy, 2310), F(x, 2310), F(gain, 33), P(stat, 140), F(dx, 2310), F(dgain, 33), F(work, 132) } },
    { "softmax", &sp_kernel_softmax, &(struct sp_softmax_args){ .m = 19, .n = 61, .scale = 2 }, { F(x, 1159), F(y, 1159) } },
    { "softmax of one", &sp_kernel_softmax, &(struct sp_softmax_args){ .m = 3, .n = 1, .scale = 1 }, { F(x, 3), AS(y, x) } },
    { "softmax_back", &sp_kernel_softmax_back, &(struct sp_softmax_back_args){ .m = 19, .n = 61, .scale = 2 },
      { F(dy, 1159), F(y, 1159), F(dx, 1159) } },
    { "xent", &sp_kernel_xent, &(struct sp_xent_args){ .m = 13, .n = 67 },
      { F(x, 871), I(target, 13, 67), F(weight, 13), F(loss_acc, 1), F(loss, 1), F(dx, 871), F(nll, 13) } },
    { "xent in place, targets beyond", &sp_kernel_xent, &(struct sp_xent_args){ .m = 13, .n = 1000 },
      { F(x, 13000), I(target, 13, 1500), F(loss, 1), AS(dx, x), F(nll, 13) } },
    { "xent bf16", &sp_kernel_xent, &(struct sp_xent_args){ .m = 9, .n = 65, .x_format = SP_BF16, .dx_format = SP_BF16 },
      { B(x, 585), I(target, 9, 65), F(loss, 1), B(dx, 585), F(nll, 9) } },
    { "xent, loss only", &sp_kernel_xent, &(struct sp_xent_args){ .m = 9, .n = 65 }, { F(x, 585), I(target, 9, 65), F(loss, 1), F(nll, 9) } },
    { "embed", &sp_kernel_embed, &(struct sp_embed_args){ .m = 70, .n = 19, .rows = 11, .scale = 0.5f, .table_format = SP_BF16 },
      { I(ids, 70, 13), B(table, 209), F(y, 1330) } },
    { "embed_back", &sp_kernel_embed_back, &(struct sp_embed_back_args){ .m = 70, .n = 83, .rows = 11, .scale = 2, .dy_format = SP_BF16 },
      { I(ids, 70, 13), B(dy, 5810), F(dtable, 913) } },
    { "embed_back onto", &sp_kernel_embed_back, &(struct sp_embed_back_args){ .m = 70, .n = 83, .rows = 11, .scale = 1 },
      { I(ids, 70, 13), F(dy, 5810), AS(acc, dtable), F(dtable, 913) } },
    { "sum_rows", &sp_kernel_sum_rows, &(struct sp_sum_rows_args){ .m = 301, .n = 131 }, { F(x, 39431), F(acc, 131), F(y, 131) } },
    { "sum_rows bf16", &sp_kernel_sum_rows, &(struct sp_sum_rows_args){ .m = 5, .n = 64, .x_format = SP_BF16 }, { B(x, 320), F(y, 64) } },
    { "sum", &sp_kernel_sum, &(struct sp_sum_args){ .n = 20001, .scale = 0.5f }, { F(x, 20001), F(acc, 1), F(y, 1), D(work, 2) } },
    { "sum of squares", &sp_kernel_sum, &(struct sp_sum_args){ .n = 20001, .scale = 1, .kind = 1, .x_format = SP_BF16 },
      { B(x, 20001), F(y, 1), D(work, 2) } },
    { "adamw", &sp_kernel_adamw, &(struct sp_adamw_args){ .n = 16401, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-8f, .decay = 0.1f },
      { F(p, 16401), F(grad, 16401), F(m, 16401), P(v, 16401), P(factor, 1), P(lr, 1), { .field = "step", .format = SP_I32, .n = 1, .below = -7 } } },
    { "sgd", &sp_kernel_sgd, &(struct sp_sgd_args){ .n = 101, .momentum = 0.9f, .decay = 0.1f }, { F(p, 101), F(grad, 101), P(lr, 1), F(m, 101) } },
    { "sgd, no momentum", &sp_kernel_sgd, &(struct sp_sgd_args){ .n = 101 }, { F(p, 101), F(grad, 101), P(lr, 1) } },
};

struct side { _Alignas(64) unsigned char args[SP_KERNEL_ARGS_MAX]; unsigned char *base[POINTERS], *at[POINTERS]; };

static int64_t bytes_of(const struct operand *o)
{
    return o->same ? 0 : sp_format_bytes(o->format, o->n);
}

static int operand_of(const struct row_case *c, const char *field)
{
    for (int i = 0; i < POINTERS && c->op[i].field; i++)
        if (!strcmp(c->op[i].field, field))
            return i;
    return -1;
}

static void fill(const struct operand *o, void *at, struct sp_random *r)
{
    for (int64_t e = 0; e < o->n; e++) {
        double u = o->positive ? 0.1 + sp_random_unit(r) : 4 * sp_random_unit(r) - 2;
        if (o->format == SP_I32)
            ((int32_t *)at)[e] = o->below < 0 ? (int32_t)-o->below : (int32_t)sp_random_below(r, (uint64_t)o->below);
        else if (o->format == SP_BYTES)
            ((unsigned char *)at)[e] = 0xA5;
        else
            sp_formats[o->format].encode((unsigned char *)at + e * sp_formats[o->format].bytes, &(float){ (float)u }, 1);
    }
}

/* Operands stand one element (work: not) off alignment. */
static void bring_up(const struct row_case *c, struct side *s)
{
    struct sp_random r = { .key = 11 };
    memset(s, 0, sizeof *s);
    memcpy(s->args, c->args, c->k->args_bytes);
    for (int i = 0; i < POINTERS && c->op[i].field; i++) {
        const struct operand *o = &c->op[i];
        if (o->same)
            continue;
        int64_t off = o->format == SP_BYTES ? 0 : sp_formats[o->format].bytes;
        s->base[i] = sp_alloc((size_t)(off + bytes_of(o) + CANARY));
        assert_non_null(s->base[i]);
        s->at[i] = s->base[i] + off;
        fill(o, s->at[i], &r);
        memset(s->at[i] + bytes_of(o), 0x5C, CANARY);
    }
    for (int i = 0; i < POINTERS && c->op[i].field; i++)
        if (c->op[i].same)
            s->at[i] = s->at[operand_of(c, c->op[i].same)];
    for (const struct sp_field *f = c->k->fields; f->name && f->kind <= SP_FIELD_WORK; f++) {
        int i = operand_of(c, f->name);
        void *p = i < 0 ? NULL : s->at[i];
        memcpy(s->args + f->at, &p, sizeof p);
    }
}

static void take_down(struct side *s)
{
    for (int i = 0; i < POINTERS; i++)
        sp_free(s->base[i]);
}

static void compare(const struct row_case *c, const struct sp_kernel_row *row, const struct side *got, const struct side *want)
{
    for (int i = 0; i < POINTERS && c->op[i].field; i++) {
        const struct operand *o = &c->op[i];
        if (o->same)
            continue;
        for (int j = 0; j < CANARY; j++)
            if (got->at[i][bytes_of(o) + j] != 0x5C)
                fail_msg("%s, %s: wrote behind %s", row->name, c->what, o->field);
        if (o->format == SP_BYTES || o->format == SP_I32 || !strcmp(o->field, "work"))
            continue;
        double tolerance = (double)row->tolerance + (o->format == SP_BF16 ? 0x1p-7 : 0);
        for (int64_t e = 0; e < o->n; e++) {
            float a, b;
            sp_formats[o->format].decode(&a, got->at[i] + e * sp_formats[o->format].bytes, 1);
            sp_formats[o->format].decode(&b, want->at[i] + e * sp_formats[o->format].bytes, 1);
            if (!(fabs((double)a - (double)b) <= tolerance * (1 + fabs((double)b))) && !(isnan(a) && isnan(b)))
                fail_msg("%s, %s: %s[%lld] is %.9g, portable says %.9g", row->name, c->what, o->field, (long long)e, (double)a, (double)b);
        }
    }
}

static void rows_agree(void **unused)
{
    uint32_t features = sp_cpu_features();
    int compared = 0;
    (void)unused;
    for (size_t k = 0; k < SP_COUNT(cases); k++) {
        const struct row_case *c = &cases[k];
        const struct sp_kernel_row *row = c->k->rows;
        for (; row->needs; row++) {
            struct side got, want;
            if ((row->needs & ~features) || (row->fits && !row->fits(c->args)))
                continue;
            bring_up(c, &got);
            bring_up(c, &want);
            const struct sp_kernel_row *last = row;
            while (last->needs)
                last++;
            sp_kernel_run(c->k, last, want.args, NULL, NULL, 0);
            sp_kernel_run(c->k, row, got.args, NULL, NULL, 0);
            compare(c, row, &got, &want);
            take_down(&got);
            take_down(&want);
            compared++;
        }
    }
    print_message("fast rows: %d comparisons with the portable row\n", compared);
}

/* The same bits for any number of threads. */
static void threads_do_not_matter(void **unused)
{
    struct sp_pool *pool = NULL;
    struct sp_err err;
    (void)unused;
    assert_int_equal(sp_pool_new(&pool, 3, &err), SP_OK);
    for (size_t k = 0; k < SP_COUNT(cases); k++) {
        struct side one, three;
        bring_up(&cases[k], &one);
        bring_up(&cases[k], &three);
        const struct sp_kernel_row *row = sp_kernel_pick(cases[k].k, sp_cpu_features(), cases[k].args);
        sp_kernel_run(cases[k].k, row, one.args, NULL, NULL, 0);
        sp_kernel_run(cases[k].k, row, three.args, pool, NULL, 0);
        for (int i = 0; i < POINTERS && cases[k].op[i].field; i++)
            if (!cases[k].op[i].same)
                assert_memory_equal(one.at[i], three.at[i], (size_t)bytes_of(&cases[k].op[i]));
        take_down(&one);
        take_down(&three);
    }
    sp_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows_agree), cmocka_unit_test(threads_do_not_matter) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
