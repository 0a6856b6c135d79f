/* base/number.c - numbers from text and for people, the same in every locale.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base.h"

static const struct suffix {
    const char *text;
    int64_t times;
} suffixes[] = {
    { "", 1 },          { "k", 1000 },       { "M", 1000000 },    { "G", 1000000000 }, { "B", 1000000000 },
    { "T", 1000000000000 }, { "K", 1000 },
    { "Ki", 1 << 10 }, { "Mi", 1 << 20 }, { "Gi", 1 << 30 }, { "Ti", (int64_t)1 << 40 },
};

static const struct suffix *suffix_find(const char *s)
{
    for (size_t i = 0; i < SP_COUNT(suffixes); i++)
        if (!strcmp(s, suffixes[i].text))
            return &suffixes[i];
    return NULL;
}

/* Digits begin right here: no blanks, hexadecimal, infinities or NaN. */
static bool decimal_begins(const char *s)
{
    s += *s == '-' || *s == '+';
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X'))
        return false;
    s += *s == '.';
    return *s >= '0' && *s <= '9';
}

bool sp_parse_real(const char *s, double *out)
{
    if (!s || !decimal_begins(s))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    char *end;
    double v = c ? strtod_l(s, &end, c) : strtod(s, &end);
    if (c)
        freelocale(c);
    const struct suffix *x = suffix_find(end);
    if (!x || !isfinite(v * (double)x->times))
        return false;
    *out = v * (double)x->times;
    return true;
}

bool sp_parse_int(const char *s, int64_t *out)
{
    if (!s || !decimal_begins(s))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    const struct suffix *x = suffix_find(end);
    int64_t r;
    if (end != s && x) {
        if (errno || __builtin_mul_overflow((int64_t)v, x->times, &r))
            return false;
        *out = r;
        return true;
    }
    double real; /* "1.5k", "1e6" */
    if (!sp_parse_real(s, &real) || real != floor(real) || fabs(real) > 9007199254740992.0)
        return false;
    *out = (int64_t)real;
    return true;
}

/* One decimal below 100 unless it is zero: 1.2, 12.3, 12, 124. */
static int show_three(char *buf, size_t cap, double v, const char *unit)
{
    double tenths = floor(fabs(v) * 10 + 0.5);
    bool whole = !isfinite(v) || tenths >= 1000 || fmod(tenths, 10) == 0;
    return sp_format(buf, cap, whole ? "%.0f%s" : "%.1f%s", v, unit);
}

struct unit {
    double size;
    const char *name;
};

/* The largest unit in which v is at least one after rounding; the first row otherwise. */
static const char *show_unit(double v, const struct unit *u, int n, char *buf, size_t cap)
{
    int i = n - 1;
    while (i > 0 && fabs(v) < u[i].size * 0.9995)
        i--;
    show_three(buf, cap, v / u[i].size, u[i].name);
    return buf;
}

const char *sp_show_bytes(double bytes, char *buf, size_t cap)
{
    static const struct unit u[] = { { 1, " B" },     { 1e3, " kB" },  { 1e6, " MB" },
                                     { 1e9, " GB" }, { 1e12, " TB" }, { 1e15, " PB" } };
    return show_unit(bytes, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_energy(double joules, char *buf, size_t cap)
{
    static const struct unit u[] = { { 1e-3, " mJ" },    { 1, " J" },         { 3600, " Wh" },
                                     { 3600e3, " kWh" }, { 3600e6, " MWh" }, { 3600e9, " GWh" } };
    if (joules == 0)
        return sp_format(buf, cap, "0 J"), buf;
    return show_unit(joules, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_mass(double grams, char *buf, size_t cap)
{
    static const struct unit u[] = { { 1e-6, " ug" }, { 1e-3, " mg" }, { 1, " g" }, { 1e3, " kg" }, { 1e6, " t" } };
    if (grams == 0)
        return sp_format(buf, cap, "0 g"), buf;
    return show_unit(grams, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_number(double v, char *buf, size_t cap)
{
    static const struct unit u[] = { { 1, "" }, { 1e3, "k" }, { 1e6, "M" }, { 1e9, "G" },  { 1e12, "T" },
                                     { 1e15, "P" }, { 1e18, "E" }, { 1e21, "Z" }, { 1e24, "Y" } };
    if (v != 0 && fabs(v) < 1)
        return sp_format(buf, cap, "%.2g", v), buf;
    return show_unit(v, u, SP_COUNT(u), buf, cap);
}

const char *sp_show_time(double seconds, char *buf, size_t cap)
{
    static const struct unit small[] = { { 1e-9, " ns" }, { 1e-6, " us" }, { 1e-3, " ms" }, { 1, " s" } };
    static const struct {
        double size, part;
        const char *name, *part_name;
    } big[] = { { 31557600, 86400, "a", "d" }, { 86400, 3600, "d", "h" }, { 3600, 60, "h", "min" }, { 60, 1, "min", "s" } };
    if (seconds == 0 || !isfinite(seconds))
        return sp_format(buf, cap, "%.0f s", seconds), buf;
    if (fabs(seconds) < 59.95)
        return show_unit(seconds, small, SP_COUNT(small), buf, cap);
    const char *sign = seconds < 0 ? "-" : "";
    double v = fabs(seconds);
    for (size_t i = 0; i < SP_COUNT(big); i++) {
        double parts = floor(v / big[i].part + 0.5), per = floor(big[i].size / big[i].part + 0.5);
        if (parts < per)
            continue;
        double whole = floor(parts / per), rest = parts - whole * per;
        if (rest > 0 && whole < 100)
            sp_format(buf, cap, "%s%.0f %s %.0f %s", sign, whole, big[i].name, rest, big[i].part_name);
        else
            sp_format(buf, cap, "%s%.0f %s", sign, whole, big[i].name);
        break;
    }
    return buf;
}
