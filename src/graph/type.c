/* graph/type.c - shapes with a number format.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "graph.h"

struct sp_type sp_type_of(enum sp_format f, int n, const int64_t *dim)
{
    struct sp_type t = { .n = n, .format = f };
    for (int i = 0; i < n && i < SP_DIMS_MAX; i++)
        t.dim[i] = dim[i];
    return t;
}

bool sp_type_equal(const struct sp_type *a, const struct sp_type *b)
{
    return a->n == b->n && a->format == b->format && (a->n <= 0 || !memcmp(a->dim, b->dim, (size_t)a->n * sizeof *a->dim));
}

int64_t sp_type_elements(const struct sp_type *t)
{
    int64_t e = t->n < 0 ? 0 : 1;
    for (int i = 0; i < t->n; i++)
        e *= t->dim[i];
    return e;
}

int64_t sp_type_bytes(const struct sp_type *t)
{
    return sp_format_bytes(t->format, sp_type_elements(t));
}

int64_t sp_type_cols(const struct sp_type *t)
{
    return t->n > 0 ? t->dim[t->n - 1] : 1;
}

int64_t sp_type_rows(const struct sp_type *t)
{
    int64_t r = 1;
    for (int i = 0; i + 1 < t->n; i++)
        r *= t->dim[i];
    return r;
}

const char *sp_type_text(const struct sp_type *t, char *buf, size_t cap)
{
    size_t at = (size_t)snprintf(buf, cap, "%s[", t->format < SP_FORMATS ? sp_formats[t->format].name : "?");
    for (int i = 0; i < t->n && at < cap; i++)
        at += (size_t)snprintf(buf + at, cap - at, "%s%lld", i ? "," : "", (long long)t->dim[i]);
    if (at < cap)
        snprintf(buf + at, cap - at, "]");
    return buf;
}
