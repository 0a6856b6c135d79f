/* catalog/names.c - hardware as people write it, taken apart: "3090 24GB * 4",
 * "A100-40GB x2 TP2", "M1 Max 400 GB/s (Metal)", "MI-250x one GCD".
 *
 * A name becomes atoms, runs of letters or of digits in lower case, after the count,
 * the memory, the bandwidth and what says nothing have been taken out.  A key of the
 * catalogue is found where neighbouring atoms spell it, so that blanks and hyphens do
 * not matter; an atom that is glued to it ("V100S" for "v100") means another part.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "inner.h"

enum { NAME_LETTERS = 192, COUNT_MAX = 1000000 };

void sp_name_squash(const char *s, char *to, size_t cap)
{
    size_t n = 0;
    for (; *s && n + 1 < cap; s++)
        if (isalnum((unsigned char)*s))
            to[n++] = (char)tolower((unsigned char)*s);
    to[n] = 0;
}

static bool in_list(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(s, *list))
            return true;
    return false;
}

/* ---- how many ---- */

static const char *digits_end(const char *s)
{
    return s + strspn(s, "0123456789");
}

/* Blanks out [from, to) and takes the number at `digits` as the count; false: no count that can be. */
static bool take_count(char *from, const char *to, const char *digits, struct sp_name *out)
{
    long n = digits_end(digits) - digits > 7 ? 0 : strtol(digits, NULL, 10);
    memset(from, ' ', (size_t)(to - from));
    out->count = n > out->count ? (int)n : out->count;
    return n >= 1 && n <= COUNT_MAX;
}

/* "8xH100", "8 x H100", "8*H100" at the beginning. */
static bool count_before(char *s, struct sp_name *out)
{
    char *from = s + strspn(s, " ");
    const char *end = digits_end(from), *sign = end + strspn(end, " ");
    bool part = *sign == 'x' && sign[1] == 't' && (!isalnum((unsigned char)sign[2]) || sign[2] == 'x'); /* "7900 XT", "7900 XTX" */
    if (end == from || (*sign != 'x' && *sign != '*') || !sign[1] || part)
        return true;
    return take_count(from, sign + 1, from, out);
}

/* "* 64" anywhere; " x8" as a word of its own; " x 8" at the end; "tp8". */
static bool count_behind(char *s, struct sp_name *out)
{
    for (char *p = s; *p; p++) {
        bool word = p == s || !isalnum((unsigned char)p[-1]), tp = word && !strncmp(p, "tp", 2);
        const char *digits = p + (tp ? 2 : 1);
        if (*p == '*' || (word && *p == 'x'))
            digits += strspn(digits, " ");
        else if (!tp)
            continue;
        const char *end = digits_end(digits);
        bool apart = digits > p + 1 && *p == 'x', lanes = *p == 'x' && p - s > 4 && !strncmp(p - 5, "pcie ", 5);
        if (end == digits || isalnum((unsigned char)*end) || *end == '.' || *end == '_' || lanes || (apart && end[strspn(end, " ")]))
            continue;
        if (!take_count(p, end, digits, out))
            return false;
    }
    return true;
}

/* ---- what is left ---- */

static const char *const fillers[] = { "nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "gpu", "gpus", "graphics", "card", "one", NULL };

static void drop(struct sp_name *out, int atoms)
{
    out->n -= atoms;
}

/* A unit behind a number, and what says nothing, leave the name again. */
static const char *settle(struct sp_name *out, const char *behind)
{
    struct sp_name_atom *a = &out->at[out->n - 1], *before = out->n > 1 ? a - 1 : NULL;
    bool counted = before && before->number, gb = !strcmp(a->text, "gb") || !strcmp(a->text, "gib");
    bool short_gb = !strcmp(a->text, "g") && a->glued && counted && !before->glued && !isalnum((unsigned char)*behind);
    if (counted && (gb || short_gb)) {
        double v = strtod(before->text, NULL);
        bool speed = !strncmp(behind, "/s", 2);
        *(speed ? &out->bandwidth_gbs : &out->memory_gb) = v;
        drop(out, 2);
        return behind + (speed ? 2 : 0);
    }
    if (counted && (!strcmp(a->text, "core") || !strcmp(a->text, "cores") || (!strcmp(a->text, "w") && a->glued)))
        drop(out, 2);
    else if (in_list(a->text, fillers))
        drop(out, 1);
    else if (!strcmp(a->text, "cpu"))
        out->cpu = true;
    return behind;
}

static bool take_atoms(const char *s, struct sp_name *out)
{
    bool glued = false;
    while (*s) {
        if (!isalnum((unsigned char)*s)) {
            glued = *s == '.';
            s++;
            continue;
        }
        bool number = isdigit((unsigned char)*s);
        const char *from = s;
        while (isalnum((unsigned char)*s) && number == !!isdigit((unsigned char)*s))
            s++;
        if (out->n == NAME_ATOMS || s - from >= NAME_ATOM)
            return false;
        struct sp_name_atom *a = &out->at[out->n++];
        *a = (struct sp_name_atom){ .glued = glued, .number = number };
        memcpy(a->text, from, (size_t)(s - from));
        int held = out->n;
        s = settle(out, s);
        glued = out->n == held;
    }
    return true;
}

bool sp_name_parse(const char *s, struct sp_name *out)
{
    char text[NAME_LETTERS];
    size_t n = 0;
    *out = (struct sp_name){ 0 };
    for (; *s; s++) {
        if (n + 1 == sizeof text)
            return false;
        bool times = !strncmp(s, "\xC3\x97", 2);
        text[n++] = times ? '*' : (unsigned char)*s < 128 ? (char)tolower((unsigned char)*s) : ' ';
        s += times;
    }
    text[n] = 0;
    return count_before(text, out) && count_behind(text, out) && take_atoms(text, out);
}

/* ---- finding a key ---- */

static bool may_begin(const struct sp_name *name, int i)
{
    static const char *const series[] = { "rtx", "gtx", "rx", "quadro", "apple", "ryzen", "epyc", "xeon", "arc", NULL };
    return i == 0 || !name->at[i].glued || in_list(name->at[i - 1].text, series);
}

static bool may_end(const struct sp_name *name, int i)
{
    static const char *const forms[] = { "sxm", "pcie", NULL };
    return i == name->n || !name->at[i].glued || in_list(name->at[i].text, forms);
}

int sp_name_find(const struct sp_name *name, const char *key, size_t letters, int *from)
{
    for (int i = 0; i < name->n; i++) {
        size_t got = 0;
        int j = i;
        for (; j < name->n && got < letters; j++) {
            size_t n = strlen(name->at[j].text);
            if (n > letters - got || memcmp(key + got, name->at[j].text, n))
                break;
            got += n;
        }
        if (got == letters && may_begin(name, i) && may_end(name, j)) {
            *from = i;
            return j;
        }
    }
    return 0;
}
