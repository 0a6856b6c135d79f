/* base/err.c - errors as a status and three sentences: what, where, remedy.
 *
 * Nothing here allocates, so running out of memory can be reported too.  A
 * sentence that is too long is cut at a character, never inside one.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include "base.h"

__attribute__((format(printf, 3, 0))) static void put(char *to, size_t cap, const char *fmt, va_list ap)
{
    sp_vformat(to, cap, fmt, ap);
    to[sp_utf8_whole(to, strlen(to))] = 0;
}

enum sp_status sp_fail(struct sp_err *err, enum sp_status st, const char *fmt, ...)
{
    if (!err)
        return st;
    char what[sizeof err->what]; /* an argument may be err->what itself */
    va_list ap;
    va_start(ap, fmt);
    put(what, sizeof what, fmt, ap);
    va_end(ap);
    memcpy(err->what, what, sizeof what);
    err->status = st;
    err->where[0] = err->remedy[0] = 0;
    return st;
}

enum sp_status sp_where(struct sp_err *err, const char *fmt, ...)
{
    char old[sizeof err->where];
    memcpy(old, err->where, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    put(err->where, sizeof err->where, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->where);
    if (old[0])
        sp_format(err->where + n, sizeof err->where - n, ": %s", old);
    err->where[sp_utf8_whole(err->where, strlen(err->where))] = 0;
    return err->status;
}

enum sp_status sp_remedy(struct sp_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put(err->remedy, sizeof err->remedy, fmt, ap);
    va_end(ap);
    return err->status;
}

const char *sp_status_name(enum sp_status st)
{
    switch (st) {
#define X(name, value, text) \
    case SP_##name:          \
        return #name;
        SP_STATUS_MAP(X)
#undef X
    }
    return "UNKNOWN";
}

const char *sp_status_text(enum sp_status st)
{
    switch (st) {
#define X(name, value, text) \
    case SP_##name:          \
        return text;
        SP_STATUS_MAP(X)
#undef X
    }
    return "unknown status";
}

const char *sp_err_line(const struct sp_err *err, char *buf, size_t cap)
{
    const char *what = err->what[0] ? err->what : sp_status_text(err->status);
    sp_format(buf, cap, "%s%s%s%s%s%s", err->where, err->where[0] ? ": " : "", what, err->remedy[0] ? " (" : "",
              err->remedy, err->remedy[0] ? ")" : "");
    if (cap)
        buf[sp_utf8_whole(buf, strlen(buf))] = 0;
    return buf;
}
