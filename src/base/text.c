/* base/text.c - growing text and UTF-8.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <string.h>

#define TEXT_MAX ((size_t)1 << 30)

static bool room(struct sp_text *t, size_t n)
{
    size_t max = t->max ? t->max : TEXT_MAX;
    if (t->full || n > max || t->n > max - n) {
        t->full = true;
        return false;
    }
    if (t->n + n + 1 <= t->cap)
        return true;
    size_t cap = t->cap ? t->cap : 64;
    while (cap < t->n + n + 1)
        cap *= 2;
    char *more = sp_realloc(t->at, cap);
    if (!more) {
        t->full = true;
        return false;
    }
    t->at = more;
    t->cap = cap;
    return true;
}

void sp_text_add(struct sp_text *t, const char *s, size_t n)
{
    if (!room(t, n))
        return;
    if (n)
        memcpy(t->at + t->n, s, n);
    t->n += n;
    t->at[t->n] = 0;
}

void sp_text_printf(struct sp_text *t, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        t->full = true;
    else if (room(t, (size_t)n)) {
        vsnprintf(t->at + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
}

void sp_text_clear(struct sp_text *t)
{
    sp_free(t->at);
    *t = (struct sp_text){ .max = t->max };
}

/* Bytes of the character that starts at s, 0 when it is malformed (Unicode table 3-7). */
static size_t character(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xC2 && s[0] <= 0xDF ? 2 : (s[0] & 0xF0) == 0xE0 ? 3 : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4 : 0;
    if (!len || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) || (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F))
        return 0;
    return len;
}

bool sp_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0, len; i < n; i += len)
        if (!(len = character((const unsigned char *)s + i, n - i)))
            return false;
    return true;
}

size_t sp_utf8_whole(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)s[n - back];
        if (c < 0x80)
            return n;
        if (c >= 0xC0) {
            size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
            return len > back ? n - back : n;
        }
    }
    return n;
}
