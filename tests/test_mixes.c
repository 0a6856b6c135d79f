/* tests/test_mixes.c - formats by tensor are those that llama-quantize says it would write
 * (--dry-run, August 2026) for models of several shapes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bits/bits.h"

enum { LAYERS_MAX = 80, PARTS = 4, TENSORS_MAX = LAYERS_MAX * PARTS + 2, NAME_MAX_ = 64 };
struct shape { int layers, heads, kv_heads; bool tied; };
/* A letter a format: embedding, head ('-': tied), query matrices, outputs of attention, then values and feed-forward outputs by layer. */
struct golden { struct shape shape; const char *mix; char embed, head, base; const char *out, *values, *down; };

static const struct golden golden[] = {
    { { 22, 8, 8, false }, "q2_k", '2', '6', '2', "3",
      "3333333333333333333333", "3333333333333333333333" },
    { { 22, 8, 8, false }, "q2_k_s", '2', '6', '2', "2",
      "2222222222222222222222", "4422222222222222222222" },
    { { 22, 8, 8, false }, "q3_k_s", '3', '6', '3', "3",
      "3333333333333333333333", "3333333333333333333333" },
    { { 22, 8, 8, false }, "q3_k_m", '3', '6', '3', "4",
      "5544444444444444444444", "5444444444444444444444" },
    { { 22, 8, 8, false }, "q3_k_l", '3', '6', '3', "5",
      "5555555555555555555555", "5555555555555555555555" },
    { { 22, 8, 8, false }, "q4_k_s", '4', '6', '4', "4",
      "5555444444444444444444", "5544444444444444444444" },
    { { 22, 8, 8, false }, "q4_k_m", '4', '6', '4', "4",
      "6644644644644644644666", "6644644644644644644666" },
    { { 22, 8, 8, false }, "q5_k_s", '5', '6', '5', "5",
      "5555555555555555555555", "5555555555555555555555" },
    { { 22, 8, 8, false }, "q5_k_m", '5', '6', '5', "5",
      "6655655655655655655666", "6655655655655655655666" },
    { { 22, 8, 8, false }, "q6_k", '6', '6', '6', "6",
      "6666666666666666666666", "6666666666666666666666" },
    { { 22, 8, 8, false }, "q8_0", '8', '8', '8', "8",
      "8888888888888888888888", "8888888888888888888888" },
    { { 22, 8, 8, false }, "iq4_xs", 'x', '6', 'x', "x",
      "xxxxxxxxxxxxxxxxxxxxxx", "55xxxxxxxxxxxxxxxxxxxx" },
    { { 22, 8, 8, false }, "iq4_nl", 'n', '6', 'n', "n",
      "nnnnnnnnnnnnnnnnnnnnnn", "55nnnnnnnnnnnnnnnnnnnn" },
    { { 22, 8, 8, false }, "q4_0", 'o', '6', 'o', "o",
      "oooooooooooooooooooooo", "oooooooooooooooooooooo" },
    { { 22, 8, 8, false }, "q5_0", 'p', '6', 'p', "p",
      "pppppppppppppppppppppp", "pppppppppppppppppppppp" },
    { { 22, 8, 2, true }, "q2_k", '6', '-', '2', "3",
      "4444444444444444444444", "3333333333333333333333" },
    { { 22, 8, 2, true }, "q2_k_s", '6', '-', '2', "2",
      "4444444444444444444444", "4422222222222222222222" },
    { { 22, 8, 2, true }, "q3_k_s", '6', '-', '3', "3",
      "3333333333333333333333", "3333333333333333333333" },
    { { 22, 8, 2, true }, "q3_k_m", '6', '-', '3', "4",
      "5544444444444444444444", "5444444444444444444444" },
    { { 22, 8, 2, true }, "q3_k_l", '6', '-', '3', "5",
      "5555555555555555555555", "5555555555555555555555" },
    { { 22, 8, 2, true }, "q4_k_s", '6', '-', '4', "4",
      "5555444444444444444444", "5544444444444444444444" },
    { { 22, 8, 2, true }, "q4_k_m", '6', '-', '4', "4",
      "6644644644644644644666", "6644644644644644644666" },
    { { 22, 8, 2, true }, "q5_k_s", '6', '-', '5', "5",
      "5555555555555555555555", "5555555555555555555555" },
    { { 22, 8, 2, true }, "q5_k_m", '6', '-', '5', "5",
      "6655655655655655655666", "6655655655655655655666" },
    { { 22, 8, 2, true }, "q6_k", '6', '-', '6', "6",
      "6666666666666666666666", "6666666666666666666666" },
    { { 22, 8, 2, true }, "q8_0", '8', '-', '8', "8",
      "8888888888888888888888", "8888888888888888888888" },
    { { 22, 8, 2, true }, "iq4_xs", '6', '-', 'x', "x",
      "5555555555555555555555", "55xxxxxxxxxxxxxxxxxxxx" },
    { { 22, 8, 2, true }, "iq4_nl", '6', '-', 'n', "n",
      "5555555555555555555555", "55nnnnnnnnnnnnnnnnnnnn" },
    { { 22, 8, 2, true }, "q4_0", '6', '-', 'o', "o",
      "oooooooooooooooooooooo", "oooooooooooooooooooooo" },
    { { 22, 8, 2, true }, "q5_0", '6', '-', 'p', "p",
      "pppppppppppppppppppppp", "pppppppppppppppppppppp" },
    { { 80, 8, 1, false }, "q3_k_m", '3', '6', '3', "4",
      "55555555555555555555555555555555555555555555555555555555555555555555555555555555", "55555444444444444444444444444444444444444444444444444444444444444444444444444444" },
    { { 80, 8, 1, false }, "q4_k_s", '4', '6', '4', "4",
      "55555555555555555555555555555555555555555555555555555555555555555555555555555555", "55555555554444444444444444444444444444444444444444444444444444444444444444444444" },
    { { 80, 8, 1, false }, "q4_k_m", '4', '6', '4', "4",
      "66666666665565565565565565565565565565565565565565565565565565565565566666666666", "66666666664464464464464464464464464464464464464464464464464464464464466666666666" },
    { { 80, 8, 1, false }, "iq4_xs", 'x', '6', 'x', "x",
      "55555555555555555555555555555555555555555555555555555555555555555555555555555555", "5555555555xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" },
};
static const char letters[SP_FORMATS] = { [SP_Q2_K] = '2', [SP_Q3_K] = '3', [SP_Q4_K] = '4', [SP_Q5_K] = '5', [SP_Q6_K] = '6', [SP_Q8_0] = '8',
                                          [SP_IQ4_XS] = 'x', [SP_IQ4_NL] = 'n', [SP_Q4_0] = 'o', [SP_Q5_0] = 'p', [SP_Q4_1] = 'q' };
static const char *const parts[PARTS] = { "attn_q", "attn_output", "attn_v", "ffn_down" };

struct list { struct sp_weights w; struct sp_export e; struct sp_export_tensor tensor[TENSORS_MAX]; char name[TENSORS_MAX][NAME_MAX_]; };

static void add(struct list *l, const char *name)
{
    snprintf(l->name[l->e.n], NAME_MAX_, "%s", name);
    l->tensor[l->e.n] = (struct sp_export_tensor){ .stored_name = l->name[l->e.n], .matrix = true, .type = { .format = SP_F16, .n = 2, .dim = { 256, 256 } } };
    l->e.n++;
}

static void make(struct list *l, const struct shape *s)
{
    char name[NAME_MAX_];
    *l = (struct list){ .w.config = { .layers = s->layers, .heads = s->heads, .kv_heads = s->kv_heads, .tied = s->tied, .vocab = 256 } };
    l->e.w = &l->w;
    l->e.tensor = l->tensor;
    add(l, "token_embd.weight");
    for (int i = 0; i < s->layers; i++)
        for (int p = 0; p < PARTS; p++) {
            snprintf(name, sizeof name, "blk.%d.%s.weight", i, parts[p]);
            add(l, name);
        }
    if (!s->tied)
        add(l, "output.weight");
}

static void same_formats(void **state)
{
    static struct list l;
    struct sp_err err;
    (void)state;
    for (size_t g = 0; g < SP_COUNT(golden); g++) {
        const struct golden *x = &golden[g];
        make(&l, &x->shape);
        assert_int_equal(sp_bits_mix(&l.e, x->mix, false, &err), SP_OK);
        for (int i = 0; i < l.e.n; i++) {
            int layer = (i - 1) / PARTS, part = (i - 1) % PARTS;
            char want = i == 0 ? x->embed : layer >= x->shape.layers ? x->head : part == 0 ? x->base : part == 1 ? x->out[0] : part == 2 ? x->values[layer] : x->down[layer];
            if (letters[l.tensor[i].type.format] != want)
                fail_msg("%s, %d layers: %s is %s, wanted '%c'", x->mix, x->shape.layers, l.name[i], sp_formats[l.tensor[i].type.format].name, want);
        }
    }
    print_message("%zu mixes of shapes\n", SP_COUNT(golden));
}

/* Widths that 256 doesn't divide, and importance that is known. */
static void others(void **state)
{
    static struct list l;
    struct sp_err err;
    (void)state;
    make(&l, &(struct shape){ 16, 8, 2, false });
    l.tensor[1].type.dim[1] = 192;
    l.tensor[l.e.n - 1].type.dim[1] = 192;
    assert_int_equal(sp_bits_mix(&l.e, "q4_k_m", false, &err), SP_OK);
    assert_int_equal(l.tensor[1].type.format, SP_Q5_0);
    assert_int_equal(l.tensor[l.e.n - 1].type.format, SP_Q8_0);
    make(&l, &(struct shape){ 16, 8, 2, false });
    assert_int_equal(sp_bits_mix(&l.e, "iq4_xs", true, &err), SP_OK);
    assert_int_equal(l.tensor[4].type.format, SP_IQ4_XS);
    assert_int_equal(sp_bits_mix(&l.e, "q4_0", true, &err), SP_OK);
    assert_int_equal(l.tensor[4].type.format, SP_Q4_1);
    assert_int_equal(sp_bits_mix(&l.e, "Q4_K", false, &err), SP_OK);
    assert_int_equal(sp_bits_mix(&l.e, "q9_k", false, &err), SP_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(same_formats), cmocka_unit_test(others) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
