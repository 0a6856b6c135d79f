/* report/saving.c - what a run that made a model smaller saved: both sides of what it
 * measured, and what it lost.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "saving.h"

static double at(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

static const json_t *first_text(const json_t *more)
{
    return json_array_get(json_object_get(json_object_get(more, "quality"), "texts"), 0);
}

static double value(const json_t *text, const char *key)
{
    return at(json_object_get(text, key), "value");
}

static void line(FILE *out, const char *label, double before, double after, const char *(*show)(double, char *, size_t))
{
    char b[40], a[40];
    if (before > 0 && after > 0)
        fprintf(out, "  %-28s %14s %14s  %+.1f %%\n", label, show(before, b, sizeof b), show(after, a, sizeof a), 100 * (after / before - 1));
}

bool sp_report_has_saving(const json_t *more)
{
    return at(more, "bytes_before") > 0 && at(more, "bytes_after") > 0;
}

void sp_report_saving(const json_t *more, FILE *out)
{
    const json_t *b = json_object_get(more, "before"), *a = json_object_get(more, "after"), *t = first_text(more);
    if (!sp_report_has_saving(more))
        return;
    fprintf(out, "\n  %-28s %14s %14s\n", "What it saved", "before", "after");
    line(out, "bytes of tensors", at(more, "bytes_before"), at(more, "bytes_after"), sp_show_bytes);
    line(out, "prompt, tokens a second", at(b, "prompt_tokens_per_s"), at(a, "prompt_tokens_per_s"), sp_show_number);
    line(out, "answer, tokens a second", at(b, "generate_tokens_per_s"), at(a, "generate_tokens_per_s"), sp_show_number);
    line(out, "memory at most", at(b, "memory_bytes"), at(a, "memory_bytes"), sp_show_bytes);
    line(out, "energy, a token answered", at(b, "joules_per_token"), at(a, "joules_per_token"), sp_show_energy);
    if (!t) {
        fputs("  Quality wasn't measured.\n", out);
        return;
    }
    line(out, "perplexity", value(t, "base_perplexity"), value(t, "perplexity"), sp_show_number);
    fprintf(out, "  KL divergence %.6f +- %.6f nats a token, the same most likely token in %.2f %% (%s)\n", value(t, "kl_divergence"),
            at(json_object_get(t, "kl_divergence"), "error_windows"), 100 * value(t, "same_top"), json_string_value(json_object_get(t, "text")));
}

bool sp_report_saving_short(const json_t *more, char *buf, size_t cap)
{
    const json_t *t = first_text(more);
    if (!sp_report_has_saving(more))
        return false;
    int n = snprintf(buf, cap, "%.2fx smaller", at(more, "bytes_before") / at(more, "bytes_after"));
    if (t && n > 0 && (size_t)n < cap)
        snprintf(buf + n, cap - (size_t)n, ", KL %.5f", value(t, "kl_divergence"));
    return true;
}
