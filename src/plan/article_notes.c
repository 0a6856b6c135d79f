/* plan/article_notes.c - where the rule of thumb goes wrong, in sentences made of
 * its own numbers: they change when an input does.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>

#include "article_inner.h"

static double value(const struct sp_article *a, int model, enum sp_article_quantity q)
{
    return a->cell[model][q].computed;
}

static struct sp_article_note *note(struct sp_article *a, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static struct sp_article_note *note(struct sp_article *a, const char *key, const char *fmt, ...)
{
    struct sp_article_note *n = &a->note[a->notes++];
    va_list ap;
    va_start(ap, fmt);
    *n = (struct sp_article_note){ .key = key };
    sp_vformat(n->text, sizeof n->text, fmt, ap);
    va_end(ap);
    return n;
}

static void with(struct sp_article_note *n, const char *name, double v)
{
    int i = 0;
    while (n->at[i].name)
        i++;
    n->at[i].name = name;
    n->at[i].value = v;
}


/* One number of a sentence, in groups of three; several may stand in one sentence. */
struct digits { char at[40]; };
#define N(v, decimals) sp_article_number(v, decimals, (struct digits){ { 0 } }.at, sizeof(struct digits))

static void note_practical(struct sp_article *a)
{
    double needed = value(a, 0, SP_ARTICLE_NEEDED), taken = value(a, 0, SP_ARTICLE_GPUS), turbo = value(a, 1, SP_ARTICLE_NEEDED),
           llama = value(a, 2, SP_ARTICLE_NEEDED), factor = a->in.practical;
    struct sp_article_note *n =
        note(a, "practical", "From %s GPUs to %s: the factor of %.2f is an input (--practical), nothing derives it; and it isn't applied to the smaller models, "
             "which would take %s and %s GPUs in place of %s and %s.", N(needed, 0), N(taken, 0), factor, N(round(turbo * factor), 0),
             N(round(llama * factor), 0), N(turbo, 0), N(llama, 0));
    with(n, "factor", factor);
    with(n, "needed", needed);
    with(n, "taken", taken);
}

static void note_money(struct sp_article *a)
{
    const struct sp_article_cell *c = &a->cell[0][SP_ARTICLE_MONEY];
    double days = c->printed_too.value / 24 / a->in.price;
    bool first = sp_article_agrees(c->computed, c->printed), second = sp_article_agrees(c->computed, c->printed_too);
    struct sp_article_note *n =
        note(a, "money", "%s GPU-days x 24 h x %s EUR = %s EUR: the %.2f million printed in one place %s from these inputs, the %s printed in another %s; "
             "at this price it would be %s GPU-days.", N(value(a, 0, SP_ARTICLE_GPU_DAYS), 0), N(a->in.price, 4), N(c->computed, 0), c->printed.value / 1e6,
             first ? "follows" : "does not follow", N(c->printed_too.value, 2), second ? "follows too" : "does not", N(days, 1));
    with(n, "computed", c->computed);
    with(n, "first_follows", first);
    with(n, "second_follows", second);
    with(n, "implied_gpu_days", days);
}

static double implied_days(const struct sp_article *a, int m)
{
    return a->cell[m][SP_ARTICLE_MONEY].printed.value / 24 / a->in.price;
}

static void note_square(struct sp_article *a)
{
    double days = value(a, 0, SP_ARTICLE_DAYS), turbo = implied_days(a, 1), llama = implied_days(a, 2);
    double turbo_tokens = sp_article_tokens(turbo / a->in.per_pf, a->parameters[1]), llama_tokens = sp_article_tokens(llama / a->in.per_pf, a->parameters[2]);
    double power = log(value(a, 0, SP_ARTICLE_GPU_DAYS) / value(a, 1, SP_ARTICLE_GPU_DAYS)) / log(a->parameters[0] / a->parameters[1]);
    struct sp_article_note *n =
        note(a, "square", "The smaller models' days are %s x N/175e9 (%.2f, %.2f) and their GPUs fall with N as well, so effort falls with N squared (here N to the %.2f): "
             "the printed costs are %.1f and %.1f GPU-days, enough for about %.0f and %.0f billion tokens, not for the %.0f billion of the largest.", N(days, 1),
             value(a, 1, SP_ARTICLE_DAYS), value(a, 2, SP_ARTICLE_DAYS), power, turbo, llama, turbo_tokens, llama_tokens, value(a, 0, SP_ARTICLE_TOKENS));
    with(n, "exponent", power);
    with(n, "turbo_gpu_days", turbo);
    with(n, "llama_gpu_days", llama);
    with(n, "turbo_tokens_b", turbo_tokens);
    with(n, "llama_tokens_b", llama_tokens);
}

static void note_rounding(struct sp_article *a)
{
    double turbo = value(a, 1, SP_ARTICLE_DAYS), llama = value(a, 2, SP_ARTICLE_DAYS), turbo_up = sp_article_whole_up(turbo), llama_up = sp_article_whole_up(llama);
    double turbo_paid = implied_days(a, 1) / value(a, 1, SP_ARTICLE_GPUS), llama_paid = implied_days(a, 2) / value(a, 2, SP_ARTICLE_GPUS);
    struct sp_article_note *n =
        note(a, "rounding", "The energy rounds the days up (%.2f to %.0f, %.2f to %.0f: %.1f and %.1f %% more) where the cost doesn't (as printed it is %.2f and %.2f days).",
             turbo, turbo_up, llama, llama_up, 100 * (turbo_up / turbo - 1), 100 * (llama_up / llama - 1), turbo_paid, llama_paid);
    with(n, "turbo_days_energy", turbo_up);
    with(n, "llama_days_energy", llama_up);
    with(n, "turbo_days_cost", turbo_paid);
    with(n, "llama_days_cost", llama_paid);
}

static void note_unit(struct sp_article *a)
{
    double kwh = value(a, 0, SP_ARTICLE_ENERGY), each = kwh / value(a, 0, SP_ARTICLE_GPUS);
    struct sp_article_note *n =
        note(a, "unit", "Energy is printed in kW where kWh is meant: %s kW x %s days x 24 h = %s kWh; as a power it would be %s kW a GPU.",
             N(value(a, 0, SP_ARTICLE_POWER), 0), N(value(a, 0, SP_ARTICLE_DAYS), 1), N(kwh, 0), N(each, 0));
    with(n, "kwh", kwh);
    with(n, "kw_a_gpu", each);
}

static void note_utilisation(struct sp_article *a)
{
    const struct sp_article_cell *c = &a->cell[0][SP_ARTICLE_GPU_DAYS];
    double assumed = 1e15 / (a->in.per_pf * V100_FLOPS);
    double real = PASSES * a->parameters[0] * a->cell[0][SP_ARTICLE_TOKENS].published * 1e9 / (c->published * 86400 * V100_FLOPS);
    struct sp_article_note *n =
        note(a, "utilisation", "%s V100 for a petaflop/s are %.0f %% of their peak of 125 TFLOP/s; the published run (%s GPU-days for %.0f billion tokens) reached %.0f %%, "
             "so it took %.1f times the article's GPU-days.", N(a->in.per_pf, 0), 100 * assumed, N(c->published, 0), a->cell[0][SP_ARTICLE_TOKENS].published, 100 * real,
             c->published / c->computed);
    with(n, "assumed", assumed);
    with(n, "published", real);
    with(n, "times", c->published / c->computed);
}

static void note_epochs(struct sp_article *a)
{
    double each = value(a, 0, SP_ARTICLE_GPU_DAYS) / a->in.epochs;
    struct sp_article_note *n =
        note(a, "epochs", "%s epoch%s assumed (--epochs): each pass of the largest model over its data is %s GPU-days and %s EUR; runs that failed, trials and evaluation are not in it.",
             a->in.epochs > 1 || a->in.epochs < 1 ? N(a->in.epochs, 2) : "One", a->in.epochs > 1 || a->in.epochs < 1 ? "s are" : " is", N(each, 0), N(each * 24 * a->in.price, 0));
    with(n, "epochs", a->in.epochs);
    with(n, "gpu_days_each", each);
}

static void note_bytes(struct sp_article *a)
{
    double other = a->format[0].trained_gb, memory = a->parameters[0] * other / 1e9, gpus = sp_article_whole_up(memory / a->in.usable_gb);
    struct sp_article_note *n =
        note(a, "bytes", "%s bytes a parameter here and %s there (%s bytes of FP32 x %s): with the second rule the largest model takes %s GB and %s GPUs in place of %s and %s.",
             N(a->in.bytes_per_parameter, 0), N(other, 0), N(a->format[0].bytes, 0), N(a->in.fold, 0), N(memory, 0), N(gpus, 0), N(value(a, 0, SP_ARTICLE_MEMORY), 0),
             N(value(a, 0, SP_ARTICLE_NEEDED), 0));
    with(n, "here", a->in.bytes_per_parameter);
    with(n, "there", other);
    with(n, "memory_gb", memory);
    with(n, "gpus", gpus);
}

static void note_llama(struct sp_article *a)
{
    double hours = a->cell[2][SP_ARTICLE_GPU_DAYS].published * 24, printed = implied_days(a, 2) * 24, times = hours / printed;
    struct sp_article_note *n =
        note(a, "llama", "Meta reports %s A100-hours for Llama 2 7B, %.0f times the %s GPU-hours that the article's cost is; and an A100 does %.1f times the arithmetic of a V100.",
             N(hours, 0), times, N(printed, 0), A100_FLOPS / V100_FLOPS);
    with(n, "published_hours", hours);
    with(n, "article_hours", printed);
    with(n, "times", times);
    with(n, "times_flops", times * A100_FLOPS / V100_FLOPS);
}

static void note_energy(struct sp_article *a)
{
    const struct sp_article_cell *c = &a->cell[0][SP_ARTICLE_ENERGY];
    double w = c->published * 1e3 / (a->cell[0][SP_ARTICLE_GPU_DAYS].published * 24);
    struct sp_article_note *n =
        note(a, "watts", "%s W a GPU are %.1f times its chip's %s W; the published run took %s W a GPU, host and building included, and %.1f times the article's energy, "
             "because it ran longer.", N(a->in.watts, 0), a->in.watts / a->in.chip_watts, N(a->in.chip_watts, 0), N(w, 0), c->published / c->computed);
    with(n, "watts_published", w);
    with(n, "times", c->published / c->computed);
}

static void note_physical(struct sp_article *a)
{
    const struct sp_article_cell *c = &a->cell[0][SP_ARTICLE_GPU_DAYS];
    double hours = a->cell[2][SP_ARTICLE_GPU_DAYS].published * 24;
    struct sp_article_note *n =
        note(a, "physical", "Counted from the models and the efficiency of published runs it is %s to %s V100-days for the largest (published %s) and %s to %s A100-hours for Llama 2 7B "
             "(published %s).", N(c->physical.low, 0), N(c->physical.high, 0), N(c->published, 0), N(a->a100_hours.low, 0), N(a->a100_hours.high, 0), N(hours, 0));
    with(n, "gpu_days_low", c->physical.low);
    with(n, "gpu_days_high", c->physical.high);
    with(n, "a100_hours_low", a->a100_hours.low);
    with(n, "a100_hours_likely", a->a100_hours.likely);
    with(n, "a100_hours_high", a->a100_hours.high);
}

void sp_article_cannot(struct sp_article *a, const char *why)
{
    note(a, "own", "Of a model of your own there is no physical estimate: %s.", why);
}

static void (*const notes[])(struct sp_article *a) = {
    note_practical, note_money, note_square, note_rounding, note_unit, note_utilisation, note_epochs, note_bytes, note_llama, note_energy, note_physical,
};
_Static_assert(SP_COUNT(notes) < SP_ARTICLE_NOTES_MAX, "room for every note, and one of one's own model");

void sp_article_notes(struct sp_article *a)
{
    for (size_t i = 0; i < SP_COUNT(notes); i++)
        notes[i](a);
}
