/* base/number.c - numbers to and from text, in no locale but C: a German
 * decimal comma never gets into a file.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base.h"

#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static locale_t c_locale;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_locale(void)
{
    c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

/* printf in the C locale. */
static int print(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static int print(char *buf, size_t cap, const char *fmt, ...)
{
    va_list ap;
    pthread_once(&once, make_locale);
    locale_t was = c_locale ? uselocale(c_locale) : (locale_t)0;
    va_start(ap, fmt);
    int n = vsnprintf(buf, cap, fmt, ap);
    va_end(ap);
    if (was)
        uselocale(was);
    return n;
}

static const struct { const char *suffix; double by; } suffixes[] = {
    { "", 1 },           { "k", 1e3 },          { "K", 1e3 },           { "M", 1e6 },  { "G", 1e9 },  { "B", 1e9 }, { "T", 1e12 },
    { "Ki", 0x1p10 },    { "Mi", 0x1p20 },      { "Gi", 0x1p30 },       { "Ti", 0x1p40 },
};

bool sp_parse_real(const char *s, double *out)
{
    char *end;
    pthread_once(&once, make_locale);
    if (!s || !*s || *s == ' ' || *s == '\t' || *s == '\n')
        return false;
    double v = c_locale ? strtod_l(s, &end, c_locale) : strtod(s, &end);
    if (end == s || isnan(v))
        return false;
    for (size_t i = 0; i < SP_COUNT(suffixes); i++)
        if (!strcmp(end, suffixes[i].suffix)) {
            *out = v * suffixes[i].by;
            return isfinite(*out);
        }
    return false;
}

bool sp_parse_int(const char *s, int64_t *out)
{
    char *end;
    double v;
    if (!s || !*s || *s == ' ')
        return false;
    long long whole = strtoll(s, &end, 10);
    if (end != s && !*end && whole != INT64_MAX && whole != INT64_MIN) {
        *out = whole;
        return true;
    }
    if (!sp_parse_real(s, &v) || v != floor(v) || fabs(v) > 0x1p53)
        return false;
    *out = (int64_t)v;
    return true;
}

struct unit { double from, by; const char *name; };

/* The last unit whose threshold the value reaches; three significant digits. */
static const char *show(double v, const struct unit *u, int n, char *buf, size_t cap)
{
    int i = 0;
    while (i + 1 < n && fabs(v) >= u[i + 1].from)
        i++;
    double x = v / u[i].by;
    int digits = fabs(x) >= 99.95 || x == 0 ? 0 : fabs(x) >= 9.995 ? 1 : 2;
    print(buf, cap, "%.*f%s%s", digits, x, *u[i].name ? " " : "", u[i].name);
    return buf;
}

const char *sp_show_bytes(double bytes, char *buf, size_t cap)
{
    static const struct unit u[] = { { 0, 1, "B" }, { 1e3, 1e3, "kB" }, { 1e6, 1e6, "MB" }, { 1e9, 1e9, "GB" }, { 1e12, 1e12, "TB" }, { 1e15, 1e15, "PB" } };
    return show(bytes, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_energy(double joules, char *buf, size_t cap)
{
    static const struct unit u[] = { { 0, 1e-3, "mJ" }, { 1, 1, "J" }, { 1e3, 1e3, "kJ" }, { 3.6e5, 3.6e6, "kWh" }, { 3.6e9, 3.6e9, "MWh" }, { 3.6e12, 3.6e12, "GWh" } };
    return show(joules, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_mass(double grams, char *buf, size_t cap)
{
    static const struct unit u[] = { { 0, 1e-3, "mg" }, { 0.1, 1, "g" }, { 1e3, 1e3, "kg" }, { 1e6, 1e6, "t" } };
    return show(grams, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_number(double v, char *buf, size_t cap)
{
    static const char *const name[] = { "", "k", "M", "G", "T", "P", "E", "Z", "Y" };
    size_t i = 0;
    double x = v;
    while (fabs(x) >= 999.5 && i + 1 < SP_COUNT(name)) {
        x /= 1000;
        i++;
    }
    int digits = fabs(x) >= 99.95 || (i == 0 && x == floor(x)) ? 0 : fabs(x) >= 9.995 ? 1 : fabs(x) >= 0.0995 ? 2 : 4;
    print(buf, cap, "%.*f%s", digits, x, name[i]);
    return buf;
}

const char *sp_show_time(double seconds, char *buf, size_t cap)
{
    static const struct unit u[] = { { 0, 1e-6, "us" }, { 1e-3, 1e-3, "ms" }, { 1, 1, "s" } };
    int64_t s = (int64_t)(seconds + 0.5);
    if (seconds < 99.95)
        return show(seconds, u, SP_COUNT(u), buf, cap);
    if (seconds >= 3.15576e9)
        print(buf, cap, "%.0f years", seconds / 3.15576e7);
    else if (s >= 86400)
        print(buf, cap, "%lld d %lld h", (long long)(s / 86400), (long long)(s / 3600 % 24));
    else if (s >= 3600)
        print(buf, cap, "%lld h %lld min", (long long)(s / 3600), (long long)(s / 60 % 60));
    else
        print(buf, cap, "%lld min %lld s", (long long)(s / 60), (long long)(s % 60));
    return buf;
}
