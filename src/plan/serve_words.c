/* plan/serve_words.c - what the words of a table of measured speeds mean.
 * SPDX-License-Identifier: Apache-2.0 */
#include "serve_words.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { WORDS = 96 };

static bool says(const char *text, const char *word)
{
    return strcasestr(text, word) != NULL;
}

double sp_words_number(const char *s)
{
    double v;
    return sp_parse_real(s, &v) && v > 0 ? v : 0;
}

/* The number that ends right before `end` in text: "12.9B active". */
double sp_words_number_before(const char *text, const char *end)
{
    const char *e = strcasestr(text, end), *b = e;
    char digits[32];
    while (b && b > text && (isdigit((unsigned char)b[-1]) || b[-1] == '.'))
        b--;
    if (!e || b == e || (size_t)(e - b) >= sizeof digits)
        return 0;
    snprintf(digits, sizeof digits, "%.*s", (int)(e - b), b);
    return sp_words_number(digits);
}

/* "A3B" within a name: parameters a token meets. */
double sp_words_active(const char *model)
{
    double active = sp_words_number_before(model, "B active");
    for (const char *s = model; !active && (s = strpbrk(s, "Aa")); s++) {
        char *end;
        bool starts = s == model || !isalnum((unsigned char)s[-1]);
        double v = isdigit((unsigned char)s[1]) ? strtod(s + 1, &end) : 0;
        if (starts && v > 0 && (*end == 'B' || *end == 'b'))
            active = v;
    }
    return active * 1e9;
}

bool sp_words_gguf(const char *f)
{
    return !strncasecmp(f, "MXFP4", 5) || ((f[0] == 'Q' || f[0] == 'q') && isdigit((unsigned char)f[1])) ||
           (!strncasecmp(f, "IQ", 2) && isdigit((unsigned char)f[2]));
}

const struct sp_serve_stack *sp_words_stack(const char *text)
{
    static const struct { const char *word, *stack; } words[] = { { "exllama", "exllama" }, { "gpt-fast", "gpt-fast" }, { "llama.cpp", "llama.cpp" },
                                                                  { "llama-bench", "llama.cpp" } };
    for (size_t i = 0; i < SP_COUNT(words); i++)
        if (says(text, words[i].word))
            return sp_serve_stack_find(words[i].stack);
    return NULL;
}

enum sp_serve_packing sp_words_packing(const char *f)
{
    bool codebook = !strncasecmp(f, "IQ", 2) && isdigit((unsigned char)f[2]);
    char bits = codebook ? f[2] : (f[0] == 'Q' || f[0] == 'q') && isdigit((unsigned char)f[1]) ? f[1] : 0;
    if (says(f, "nf4") || says(f, "MXFP4") || (codebook && bits == '4'))
        return SP_SERVE_VALUES;
    if (codebook)
        return bits == '3' ? SP_SERVE_CODEBOOK3 : SP_SERVE_CODEBOOK;
    return bits == '3' || bits == '5' || bits == '6' ? SP_SERVE_PLANES : SP_SERVE_PLAIN;
}

void sp_words_chip(const char *device, char *to, size_t cap)
{
    static const char *const dropped[] = { "nvidia", "amd", "intel", "apple", "geforce", "tesla", "rtx", "gtx", "pcie", "nvl", "processor", "dgxs" };
    char word[32];
    size_t n = 0;
    to[0] = 0;
    for (const char *s = device; *s && sscanf(s, "%31s", word) == 1; s = strstr(s, word) + strlen(word)) {
        size_t end = strlen(word);
        bool drop = !strncasecmp(word, "sxm", 3) || (isdigit((unsigned char)word[0]) && end > 2 && !strcasecmp(word + end - 2, "gb"));
        for (size_t i = 0; i < SP_COUNT(dropped); i++)
            drop = drop || !strcasecmp(word, dropped[i]);
        for (char *c = word; !drop && *c && n + 1 < cap; c++)
            to[n++] = (char)tolower((unsigned char)*c);
        to[n < cap ? n : cap - 1] = 0;
    }
}

/* ---- models ---- */

/* "7b", "8x7b", "a3b", "135m": a size, not a name. */
static bool is_size(const char *s)
{
    size_t n = strlen(s);
    if (n < 2 || (s[n - 1] != 'b' && s[n - 1] != 'm'))
        return false;
    s += *s == 'a';
    size_t digits = strspn(s, "0123456789.x");
    return digits > 0 && !s[digits + 1] && isdigit((unsigned char)*s);
}

static bool is_no_name(const char *s)
{
    static const char *const words[] = { "instruct", "chat", "base", "hf", "it", "moe", "gguf" };
    for (size_t i = 0; i < SP_COUNT(words); i++)
        if (!strcmp(s, words[i]))
            return true;
    return is_size(s) || sp_words_gguf(s);
}

/* The next word in lower case, points within numbers kept; where it ends, or NULL. */
static const char *next_word(const char *s, const char *end, char word[WORDS])
{
    size_t n = 0;
    while (s < end && !isalnum((unsigned char)*s))
        s++;
    for (; s < end && n + 1 < WORDS; s++) {
        bool point = *s == '.' && n && isdigit((unsigned char)s[-1]) && s + 1 < end && isdigit((unsigned char)s[1]);
        if (!isalnum((unsigned char)*s) && !point)
            break;
        word[n++] = (char)tolower((unsigned char)*s);
    }
    word[n] = 0;
    return n ? s : NULL;
}

/* The name without size, format and what it was trained for: "Llama-3.1-8B-Instruct" gives "llama3.1". */
static void base_of(const char *name, size_t letters, char to[WORDS])
{
    char word[WORDS];
    const char *end = name + letters, *bracket = memchr(name, '(', letters);
    size_t n = 0;
    end = bracket ? bracket : end;
    for (const char *s = name; (s = next_word(s, end, word));) {
        size_t w = strlen(word);
        if (is_no_name(word) || n + w >= WORDS)
            continue;
        w -= w > 3 && !strcmp(word + w - 3, "moe") ? 3 : 0;
        memcpy(to + n, word, w);
        n += w;
    }
    to[n] = 0;
}

static bool is_called(const struct sp_model_fact *f, const char *base)
{
    char own[WORDS];
    base_of(f->name, strlen(f->name), own);
    bool same = !strcmp(own, base);
    for (const char *s = f->aliases, *next; !same && s && *s; s = *next ? next + 1 : next) {
        next = s + strcspn(s, ";");
        base_of(s, (size_t)(next - s), own);
        same = !strcmp(own, base);
    }
    return same;
}

const struct sp_model_fact *sp_words_model(const struct sp_models *m, const char *name, double parameters, double active)
{
    const struct sp_model_fact *best = NULL;
    double least = 0.1;
    char base[WORDS];
    base_of(name, strlen(name), base);
    for (int i = 0; base[0] && i < sp_models_count(m); i++) {
        const struct sp_model_fact *f = sp_models_at(m, i);
        double off = fabs(parameters / f->parameters - 1);
        if (off < least && is_called(f, base) && (active <= 0 || f->active <= 0 || fabs(active / f->active - 1) < 0.2)) {
            least = off;
            best = f;
        }
    }
    return best;
}
