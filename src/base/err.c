/* base/err.c - the sentence, the place, the remedy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <string.h>

static const struct { const char *name, *text; } names[] = {
#define X(name, value, text) [value] = { #name, text },
    SP_STATUS_MAP(X)
#undef X
};

const char *sp_status_name(enum sp_status st)
{
    return (size_t)st < SP_COUNT(names) ? names[st].name : "UNKNOWN";
}

const char *sp_status_text(enum sp_status st)
{
    return (size_t)st < SP_COUNT(names) ? names[st].text : "unknown status";
}

enum sp_status sp_fail(struct sp_err *err, enum sp_status st, const char *fmt, ...)
{
    va_list ap;
    err->status = st;
    err->where[0] = err->remedy[0] = 0;
    va_start(ap, fmt);
    vsnprintf(err->what, sizeof err->what, fmt, ap);
    va_end(ap);
    return st;
}

enum sp_status sp_where(struct sp_err *err, const char *fmt, ...)
{
    char place[sizeof err->where], was[sizeof err->where];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(place, sizeof place, fmt, ap);
    va_end(ap);
    memcpy(was, err->where, sizeof was);
    snprintf(err->where, sizeof err->where, "%.150s%s%.100s", place, was[0] ? ": " : "", was);
    return err->status;
}

enum sp_status sp_remedy(struct sp_err *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->remedy, sizeof err->remedy, fmt, ap);
    va_end(ap);
    return err->status;
}

const char *sp_err_line(const struct sp_err *err, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s%s%s%s%s%s", err->where, err->where[0] ? ": " : "", err->what, err->remedy[0] ? " (" : "", err->remedy,
             err->remedy[0] ? ")" : "");
    return buf;
}
