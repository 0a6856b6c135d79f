/* base/text.c - growing text, formatting without a locale, UTF-8 checks.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <locale.h>
#include <string.h>
#include "base.h"

enum { CAP_MIN = 256 };
static const size_t TEXT_MAX = (size_t)1 << 30; /* where .max is 0 */

int sp_vformat(char *buf, size_t cap, const char *fmt, va_list ap)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc: a constant, nothing to free */
    locale_t before = c ? uselocale(c) : (locale_t)0;
    int n = vsnprintf(buf, cap, fmt, ap);
    if (c) {
        uselocale(before);
        freelocale(c);
    }
    return n;
}

int sp_format(char *buf, size_t cap, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = sp_vformat(buf, cap, fmt, ap);
    va_end(ap);
    return n;
}

/* Room for n more bytes and a final NUL. */
static bool text_room(struct sp_text *t, size_t n)
{
    size_t max = t->max ? t->max : TEXT_MAX;
    if (t->full || t->n > max || n > max - t->n) {
        t->full = true;
        return false;
    }
    if (t->n + n < t->cap)
        return true;
    size_t cap = t->cap < CAP_MIN ? CAP_MIN : 2 * t->cap;
    cap = cap < t->n + n + 1 ? t->n + n + 1 : cap;
    cap = cap > max + 1 ? max + 1 : cap;
    char *at = sp_realloc(t->at, cap);
    if (!at) {
        t->full = true;
        return false;
    }
    t->at = at;
    t->cap = cap;
    return true;
}

void sp_text_reserve(struct sp_text *t, size_t n)
{
    text_room(t, n);
}

void sp_text_add(struct sp_text *t, const char *s, size_t n)
{
    if (!text_room(t, n))
        return;
    if (n)
        memcpy(t->at + t->n, s, n);
    t->n += n;
    t->at[t->n] = 0;
}

void sp_text_printf(struct sp_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = sp_vformat(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        t->full = true;
    if (n < 0 || !text_room(t, (size_t)n))
        return;
    va_start(ap, fmt);
    sp_vformat(t->at + t->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->n += (size_t)n;
}

void sp_text_clear(struct sp_text *t)
{
    sp_free(t->at);
    *t = (struct sp_text){ .max = t->max };
}

/* Length of the character at s[0..n): 1 to 4, 0 when malformed, -1 when only begun
 * (Unicode 15, table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF). */
static int utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    int len = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    for (int i = 1; i < len; i++, low = 0x80, high = 0xBF) {
        if ((size_t)i >= n)
            return -1;
        if (s[i] < low || s[i] > high)
            return 0;
    }
    return len;
}

bool sp_utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        int len = utf8_length((const unsigned char *)s + i, n - i);
        if (len <= 0)
            return false;
        i += (size_t)len;
    }
    return true;
}

size_t sp_utf8_whole(const char *s, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        const unsigned char *at = (const unsigned char *)s + n - back;
        if ((*at & 0xC0) == 0x80)
            continue;
        return utf8_length(at, back) == -1 ? n - back : n;
    }
    return n;
}

/* Wagner & Fischer 1974, one row at a time. */
int sp_text_distance(const char *a, const char *b)
{
    enum { LONGEST = 63 };
    int n = (int)strnlen(a, LONGEST), m = (int)strnlen(b, LONGEST), row[LONGEST + 1];
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int corner = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int change = corner + (a[i - 1] != b[j - 1]), least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            corner = row[j];
            row[j] = change < least + 1 ? change : least + 1;
        }
    }
    return row[m];
}

bool sp_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}
