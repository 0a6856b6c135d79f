/* tests/test_attention_wide.c - the 16-lane and (test_attention_narrow.c) 4-lane
 * rows of attention and rope on any processor: the same bodies, their vectors cut
 * by the compiler, against the portable rows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernel_cases_attn.h"

#pragma GCC diagnostic ignored "-Wpsabi"
#ifndef SP_W
#define SP_W 16
#endif
#include "../src/kernel/attention_vec.h"
#include "../src/kernel/attention_back_vec.h"
#include "../src/kernel/rope_vec.h"

static void attention_any(const void *args, int phase, int64_t task, void *room)
{
    (void)phase;
    flash(args, task, room);
}

static void back_any(const void *args, int phase, int64_t task, void *room)
{
    if (phase)
        flash_back(args, task, room);
    else
        back_deltas(args, task, room);
}

static void rope_any(const void *args, int phase, int64_t task, void *room)
{
    (void)phase;
    turn_rows(args, task, room);
}

static void *scratch;

/* Tasks are cut as the family's own fast row cuts them. */
static struct sp_kernel_row row_like(const struct sp_kernel *k, sp_kernel_fn *fn)
{
    struct sp_kernel_row r = k->rows[0];
    r.fn = fn;
    return r;
}

static unsigned char *run(struct kernel_case *c, const struct sp_kernel *k, const struct sp_kernel_row *row, struct case_buffer *b,
                          const unsigned char *start)
{
    unsigned char *kept = sp_alloc((size_t)b->bytes + 1);
    memcpy(b->at, start, (size_t)b->bytes);
    sp_kernel_run(k, row, c->args, NULL, scratch, SP_SCRATCH_MAX);
    memcpy(kept, b->at, (size_t)b->bytes);
    return kept;
}

static void compare(const struct case_buffer *b, const unsigned char *want, const unsigned char *got, double tolerance, const char *row, int number)
{
    const struct sp_format_row *f = &sp_formats[b->format];
    double sum = 0;
    tolerance += b->format == SP_F32 ? 0 : b->format == SP_F16 ? 1.0 / 1024 : 1.0 / 128;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t i = 0; i < b->elements; i++) {
            float w, g;
            f->decode(&w, want + i * f->bytes, 1), f->decode(&g, got + i * f->bytes, 1);
            if (!pass)
                sum += fabs((double)w);
            else if (!(fabs((double)(w - g)) <= tolerance * (fabs((double)w) + sum / (double)b->elements)))
                fail_msg("%s with %d lanes, case %d: %g, portable %g", row, SP_W, number, (double)g, (double)w);
        }
}

static void walk(const struct kernel_cases *family, sp_kernel_fn *fn)
{
    const struct sp_kernel *k = family->kernel;
    const struct sp_kernel_row *portable = k->rows;
    struct sp_kernel_row fast = row_like(k, fn);
    while (portable->needs)
        portable++;
    for (int number = 0; number < family->n; number += 2 + number % 2) {
        struct kernel_case c = { .random = { .key = sp_random_key((uint64_t)number, k->name) } };
        family->make(&c, number);
        for (int i = 0; i < c.n && fast.fits(c.args); i++) {
            struct case_buffer *b = &c.buffer[i];
            if (b->role != CASE_OUT)
                continue;
            unsigned char *start = sp_alloc((size_t)b->bytes + 1);
            memcpy(start, b->at, (size_t)b->bytes);
            unsigned char *want = run(&c, k, portable, b, start), *got = run(&c, k, &fast, b, start);
            compare(b, want, got, (double)fast.tolerance, k->name, number);
            sp_free(start), sp_free(want), sp_free(got);
        }
        case_clear(&c);
    }
}

static void lanes_change_nothing(void **unused)
{
    (void)unused;
    scratch = sp_alloc(SP_SCRATCH_MAX);
    walk(&kernel_cases_attn[0], attention_any);
    walk(&kernel_cases_attn[1], back_any);
    walk(&kernel_cases_attn[2], rope_any);
    sp_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(lanes_change_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
