/* bits/tensor.c - rows of a tensor on their way to a file, by all threads; and numbers as
 * a reader of the file would have them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../kernel/kernel.h"
#include "inner.h"

enum { TASKS = 64 };

struct making { const struct sp_export *e; const struct sp_export_tensor *t; int64_t first, rows, each; enum sp_format f; unsigned char *to; struct sp_err err[TASKS]; };

static void some(void *arg, int64_t task, int thread)
{
    struct making *m = arg;
    int64_t from = task * m->each, n = m->rows - from < m->each ? m->rows - from : m->each;
    (void)thread;
    (void)sp_export_rows(m->e, m->t, m->first + from, n, m->f, m->to + sp_format_bytes(m->f, from * sp_type_cols(&m->t->type)), &m->err[task]);
}

enum sp_status sp_bits_rows(const struct sp_export *e, const struct sp_export_tensor *t, int64_t first, int64_t n, enum sp_format f, struct sp_pool *pool, void *to,
                            struct sp_err *err)
{
    struct making m = { .e = e, .t = t, .first = first, .rows = n, .each = (n + TASKS - 1) / TASKS, .f = f, .to = to };
    sp_pool_run(pool, some, &m, (n + m.each - 1) / m.each);
    for (int i = 0; i < TASKS; i++)
        if (m.err[i].status) {
            *err = m.err[i];
            return err->status;
        }
    return SP_OK;
}

enum sp_status sp_bits_read_back(const struct sp_export_tensor *t, enum sp_format f, const void *stored, enum sp_format as, void *to, struct sp_err *err)
{
    char name[] = "what was rounded";
    struct sp_map map = { .at = stored, .bytes = (size_t)sp_format_bytes(f, sp_type_elements(&t->type)), .path = name };
    struct sp_tensor in = *t->from;
    in.dtype = sp_formats[f].safetensors ? sp_formats[f].safetensors : sp_formats[f].name;
    in.block_format = sp_formats[f].block > 1 ? f : SP_F32;
    in.layout = t->layout;
    in.map = &map;
    in.at = 0;
    in.bytes = map.bytes;
    return sp_tensor_read(&in, as, to, err);
}
