/* cli/eval_show.c - quality by the field's windows, for people and for programs: a
 * figure a line, a text a column.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "eval.h"

enum { LABEL = 27, COLUMN = 29 };

/* ---- for people ---- */

/* How a figure is written into a column. */
struct line { const char *label; void (*write)(const struct eval_cell *c, char *buf, size_t cap); bool compared; };

static void with_error(char *buf, size_t cap, struct sp_estimate e, double times, int figures, const char *unit)
{
    sp_format(buf, cap, "%.*f +- %.*f (%.*f)%s", figures, times * e.value, figures, times * e.error, figures, times * e.error_windows, unit);
}

static void scored(const struct eval_cell *c, char *b, size_t n)
{
    sp_format(b, n, "%lld in %lld windows", (long long)c->of.tokens, (long long)c->of.windows);
}
static void perplexity(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.perplexity, 1, 4, ""); }
static void base_perplexity(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.base_perplexity, 1, 4, ""); }
static void ratio(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.perplexity_ratio, 1, 5, ""); }
static void divergence(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.divergence, 1, 6, ""); }
static void median(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.6f", c->of.median); }
static void q99(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.6f", c->of.q99); }
static void q999(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.6f", c->of.q999); }
static void largest(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.6f", c->of.largest); }
static void same_top(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.same_top, 100, 3, " %"); }
static void rms(const struct eval_cell *c, char *b, size_t n) { with_error(b, n, c->of.p_change_rms, 100, 3, " %"); }
static void correlation(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.4f %%", 100 * c->of.correlation); }
static void speed(const struct eval_cell *c, char *b, size_t n) { sp_format(b, n, "%.0f", c->tokens_per_s); }
static void chance(const struct eval_cell *c, char *b, size_t n)
{
    if (c->of.chance < 1e-4)
        sp_format(b, n, "below 0.0001 (t = %.2f)", c->of.t);
    else
        sp_format(b, n, "%.4f (t = %.2f)", c->of.chance, c->of.t);
}

static const struct line lines[] = {
    { "tokens scored", scored, false },
    { "perplexity", perplexity, false },
    { "perplexity of the other", base_perplexity, true },
    { "ratio of perplexities", ratio, true },
    { "  by chance alone", chance, true },
    { "KL divergence, mean, nats", divergence, true },
    { "  median", median, true },
    { "  99 % are below", q99, true },
    { "  99.9 % are below", q999, true },
    { "  largest", largest, true },
    { "same most likely token", same_top, true },
    { "change of p, rms", rms, true },
    { "correlation of ln p", correlation, true },
    { "tokens a second", speed, false },
};

static const char *short_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void show_model(FILE *out, const struct eval_result *r, const struct eval_cell *c)
{
    char text[96];
    fprintf(out, "%s%s%s\n%-*s", c->model, r->base ? " against " : "", r->base ? r->base : "", LABEL, "");
    for (int t = 0; t < r->texts; t++)
        fprintf(out, " %*.*s", COLUMN, COLUMN, short_name(c[t].text));
    fputc('\n', out);
    for (size_t i = 0; i < SP_COUNT(lines); i++) {
        if (lines[i].compared && !c->of.compared)
            continue;
        fprintf(out, "%-*s", LABEL, lines[i].label);
        for (int t = 0; t < r->texts; t++) {
            lines[i].write(&c[t], text, sizeof text);
            fprintf(out, " %*s", COLUMN, text);
        }
        fputc('\n', out);
    }
}

void eval_show(FILE *out, const struct eval_result *r)
{
    const struct eval_cell *first = r->cell;
    for (int m = 0; m < r->models; m++)
        show_model(out, r, &r->cell[m * r->texts]);
    for (int m = 1; m < r->models && first->of.compared; m++)
        for (int t = 0; t < r->texts; t++) {
            const struct eval_cell *c = &r->cell[m * r->texts + t];
            fprintf(out, "%s: divergence of %s is %.4f +- %.4f of that of %s; by chance alone %.4f.\n", short_name(c->text), first->model,
                    c->beside_first.ratio.value, c->beside_first.ratio.error_windows, c->model, c->beside_first.chance);
        }
    fprintf(out, "Windows of %lld tokens%s, the last %lld of each scored; +- over tokens as llama-perplexity says it, in brackets over windows.\n",
            (long long)r->context, r->bos >= 0 ? " with the beginning of a text in front" : "", (long long)sp_windows_scored(r->context));
}

/* ---- for programs ---- */

static json_t *estimate(struct sp_estimate e)
{
    return json_pack("{s:f, s:f, s:f}", "value", e.value, "error", e.error, "error_windows", e.error_windows);
}

static void add_compared(json_t *j, const struct sp_fidelity *f)
{
    json_object_set_new(j, "base_perplexity", estimate(f->base_perplexity));
    json_object_set_new(j, "perplexity_ratio", estimate(f->perplexity_ratio));
    json_object_set_new(j, "loss_change", estimate(f->loss_change));
    json_object_set_new(j, "loss_change_t", json_real(f->t));
    json_object_set_new(j, "loss_change_chance", json_real(f->chance));
    json_object_set_new(j, "correlation", json_real(f->correlation));
    json_object_set_new(j, "kl_divergence", estimate(f->divergence));
    json_object_set_new(j, "kl_divergence_quantiles",
                        json_pack("{s:f, s:f, s:f, s:f, s:f}", "0.5", f->median, "0.9", f->q90, "0.99", f->q99, "0.999", f->q999, "1", f->largest));
    json_object_set_new(j, "same_top", estimate(f->same_top));
    json_object_set_new(j, "p_change", estimate(f->p_change));
    json_object_set_new(j, "p_change_rms", estimate(f->p_change_rms));
}

static json_t *cell_json(const struct eval_cell *c, bool first)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:f}", "model", c->model, "text", c->text, "tokens", (json_int_t)c->of.tokens, "windows",
                          (json_int_t)c->of.windows, "loss", estimate(c->of.loss), "perplexity", estimate(c->of.perplexity), "tokens_per_s", c->tokens_per_s);
    if (c->of.compared)
        add_compared(j, &c->of);
    if (c->of.compared && !first)
        json_object_set_new(j, "divergence_of_first", json_pack("{s:o, s:f, s:f}", "ratio", estimate(c->beside_first.ratio), "t", c->beside_first.t, "chance",
                                                                c->beside_first.chance));
    return j;
}

/* loss, perplexity, tokens and windows of the first stand on top, where those of `eval --data` do. */
json_t *eval_json(const struct eval_result *r)
{
    const struct sp_fidelity *f = &r->cell[0].of;
    json_t *j = json_pack("{s:f, s:f, s:f, s:I, s:I, s:I, s:o}", "loss", f->loss.value, "loss_stderr", f->loss.error_windows, "perplexity", f->perplexity.value,
                          "tokens", (json_int_t)f->tokens, "windows", (json_int_t)f->windows, "context", (json_int_t)r->context, "texts", json_array());
    if (r->bos >= 0)
        json_object_set_new(j, "bos", json_integer(r->bos));
    if (r->base)
        json_object_set_new(j, "against", json_string(r->base));
    for (int i = 0; i < r->models * r->texts; i++)
        json_array_append_new(json_object_get(j, "texts"), cell_json(&r->cell[i], i < r->texts));
    return j;
}
