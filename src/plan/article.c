/* plan/article.c - a rule of thumb, computed cell by cell from its inputs, and
 * where it goes wrong.
 *
 * The article reckons: memory = bytes a parameter x parameters; GPUs = memory over
 * what one can use; effort of the largest model in petaflop/s-days; days of the
 * smaller ones in proportion to parameters; energy and money from GPUs and days.
 * It is reproduced as it is, its rounding too.  Published: Brown et al. 2020 (table
 * D.1), Patterson et al. 2021 (table 4), Touvron et al. 2023 (table 2), Hoffmann et
 * al. 2022.
 * SPDX-License-Identifier: Apache-2.0 */
#include "article_inner.h"

#include <math.h>
#include <string.h>

#include "../kernel/kernel.h"


#define AT(field) offsetof(struct sp_article_input, field)
const struct sp_option sp_article_options[] = {
    { .name = "bytes-per-parameter", .kind = SP_OPT_REAL, .at = AT(bytes_per_parameter), .min = 0.125, .max = 1000, .fallback = 24, .group = "What the article assumes",
      .unit = "bytes", .help = "of memory in training" },
    { .name = "device-gb", .kind = SP_OPT_REAL, .at = AT(device_gb), .min = 1, .max = 1e4, .fallback = 32, .unit = "GB", .help = "memory of a GPU" },
    { .name = "usable-gb", .kind = SP_OPT_REAL, .at = AT(usable_gb), .min = 1, .max = 1e4, .fallback = 30, .unit = "GB", .help = "of it that can be used" },
    { .name = "practical", .kind = SP_OPT_REAL, .at = AT(practical), .min = 1, .max = 100, .fallback = 164.0 / 140, .unit = "FACTOR",
      .help = "GPUs taken over GPUs needed, largest model (164 for 140)" },
    { .name = "pf-days", .kind = SP_OPT_REAL, .at = AT(pf_days), .min = 1e-6, .max = 1e12, .fallback = 3700, .help = "petaflop/s-days of the largest model, one epoch" },
    { .name = "gpus-per-pf", .kind = SP_OPT_REAL, .at = AT(per_pf), .min = 1e-3, .max = 1e6, .fallback = 8, .help = "GPUs that do a petaflop/s" },
    { .name = "watts", .kind = SP_OPT_REAL, .at = AT(watts), .min = 1, .max = 1e5, .fallback = 500, .unit = "W", .help = "a GPU with what is around it" },
    { .name = "chip-watts", .kind = SP_OPT_REAL, .at = AT(chip_watts), .min = 1, .max = 1e5, .fallback = 250, .unit = "W", .help = "its chip alone" },
    { .name = "gpu-hour", .kind = SP_OPT_REAL, .at = AT(price), .min = 0, .max = 1e5, .fallback = 3.3926, .unit = "EUR", .help = "price of a GPU-hour" },
    { .name = "epochs", .kind = SP_OPT_REAL, .at = AT(epochs), .min = 1e-3, .max = 1e4, .fallback = 1, .help = "passes over the data" },
    { .name = "fold", .kind = SP_OPT_REAL, .at = AT(fold), .min = 1, .max = 1000, .fallback = 20, .help = "bytes in training over bytes stored, in its second table" },
    { .name = "tokens-per-parameter", .kind = SP_OPT_REAL, .at = AT(tokens_per_parameter), .min = 0.1, .max = 1e5, .fallback = 20, .help = "of compute-optimal training" },
    { .name = "parameters", .kind = SP_OPT_REAL, .at = AT(parameters), .min = 0, .max = 1e14, .unit = "N", .help = "of a model of your own, reckoned the same way (13B)" },
    { 0 },
};

const struct sp_article_row sp_article_rows[SP_ARTICLE_QUANTITIES] = {
    [SP_ARTICLE_MEMORY] = { "memory_gb", "memory in training", "GB", "parameters x bytes a parameter" },
    [SP_ARTICLE_NEEDED] = { "gpus_needed", "GPUs, on memory", "", "memory / usable GB, rounded up" },
    [SP_ARTICLE_GPUS] = { "gpus", "GPUs taken", "", "largest model: GPUs on memory x practical factor; others: GPUs on memory" },
    [SP_ARTICLE_PF_DAYS] = { "pf_days", "effort", "PF/s-days", "largest model: given x epochs; others: GPU-days / GPUs of a petaflop/s" },
    [SP_ARTICLE_TOKENS] = { "tokens_b", "tokens that effort is", "10^9", "effort x 8.64e19 FLOP / (6 x parameters)" },
    [SP_ARTICLE_GPU_DAYS] = { "gpu_days", "GPU-days", "", "largest model: effort x GPUs of a petaflop/s; others: GPUs x days" },
    [SP_ARTICLE_DAYS] = { "days", "days", "", "largest model: GPU-days / GPUs, to a tenth; others: those days x parameters / 175e9" },
    [SP_ARTICLE_POWER] = { "power_kw", "power", "kW", "GPUs x watts" },
    [SP_ARTICLE_ENERGY] = { "energy_kwh", "energy", "kWh", "power x days x 24, days of the smaller models rounded up" },
    [SP_ARTICLE_MONEY] = { "money_eur", "money", "EUR", "GPU-days x 24 x price of a GPU-hour" },
};

static const char BROWN[] = "Brown et al. 2020, table D.1", PATTERSON[] = "Patterson et al. 2021, table 4: 14.8 days on 10,000 V100 (count assumed), power measured",
    TOUVRON[] = "Touvron et al. 2023, table 2: 184,320 A100-hours, 2.0T tokens", TOUVRON_W[] = "Touvron et al. 2023, table 2: A100-hours x 400 W, not measured";

enum { PUBLISHED_MAX = 6 };
/* What the article prints of a model, and what is published of it. */
static const struct model {
    const char *name;
    double parameters;
    struct sp_article_print printed[SP_ARTICLE_QUANTITIES], money_too;
    struct { enum sp_article_quantity of; double value; const char *source; } published[PUBLISHED_MAX]; /* ends with source NULL */
} models[SP_ARTICLE_OWN] = {
    { "GPT-3.5 (175B)", 175e9,
      { [SP_ARTICLE_MEMORY] = { 4200, 1 }, [SP_ARTICLE_NEEDED] = { 140, 1 }, [SP_ARTICLE_GPUS] = { 164, 1 }, [SP_ARTICLE_PF_DAYS] = { 3700, 1 },
        [SP_ARTICLE_GPU_DAYS] = { 29600, 1 }, [SP_ARTICLE_DAYS] = { 180.5, 0.1 }, [SP_ARTICLE_POWER] = { 82, 1 }, [SP_ARTICLE_ENERGY] = { 355224, 1 },
        [SP_ARTICLE_MONEY] = { 2.41e6, 1e4 } },
      { 2403738.88, 0.01 },
      { { SP_ARTICLE_PF_DAYS, 3640, BROWN }, { SP_ARTICLE_TOKENS, 300, BROWN }, { SP_ARTICLE_GPU_DAYS, 148000, PATTERSON }, { SP_ARTICLE_ENERGY, 1287e3, PATTERSON } } },
    { "GPT-3.5 Turbo (20B)", 20e9,
      { [SP_ARTICLE_MEMORY] = { 480, 1 }, [SP_ARTICLE_NEEDED] = { 16, 1 }, [SP_ARTICLE_GPUS] = { 16, 1 }, [SP_ARTICLE_DAYS] = { 20.6, 0.1 },
        [SP_ARTICLE_ENERGY] = { 4032, 1 }, [SP_ARTICLE_MONEY] = { 26894.43, 0.01 } },
      { 0, 0 }, { { 0 } } },
    { "Llama 2 7B", 7e9,
      { [SP_ARTICLE_MEMORY] = { 168, 1 }, [SP_ARTICLE_NEEDED] = { 6, 1 }, [SP_ARTICLE_GPUS] = { 6, 1 }, [SP_ARTICLE_DAYS] = { 7.2, 0.1 },
        [SP_ARTICLE_ENERGY] = { 576, 1 }, [SP_ARTICLE_MONEY] = { 3517.99, 0.01 } },
      { 3600, 100 },
      { { SP_ARTICLE_TOKENS, 2000, TOUVRON }, { SP_ARTICLE_GPU_DAYS, 7680, TOUVRON }, { SP_ARTICLE_ENERGY, 73728, TOUVRON_W } } },
};
static const struct sp_article_optimal optimals[SP_ARTICLE_OPTIMALS] = {
    { "Chinchilla 70B", 70e9, 0, 0, 1.4e12 }, { "LLaMA-65B", 65e9, 0, 0, 1.4e12 }, { "GPT-3 175B", 175e9, 0, 0, 300e9 },
};

bool sp_article_agrees(double computed, struct sp_article_print printed)
{
    return fabs(computed - printed.value) <= 0.5001 * printed.step;
}

const char *sp_article_number(double v, int decimals, char *buf, size_t cap)
{
    char plain[64];
    sp_format(plain, sizeof plain, "%.*f", decimals, fabs(v));
    size_t whole = strcspn(plain, "."), n = 0;
    if (v < 0 && cap > 1)
        buf[n++] = '-';
    for (size_t i = 0; plain[i] && n + 2 < cap; i++) {
        if (i && i < whole && (whole - i) % 3 == 0)
            buf[n++] = ',';
        buf[n++] = plain[i];
    }
    buf[n] = 0;
    return buf;
}

/* ---- the cells ---- */

double sp_article_whole_up(double v)
{
    return ceil(v - 1e-9);
}

static double *cell_of(struct sp_article *a, int model, enum sp_article_quantity q)
{
    return &a->cell[model][q].computed;
}

static double value(const struct sp_article *a, int model, enum sp_article_quantity q)
{
    return a->cell[model][q].computed;
}

double sp_article_tokens(double pf_days, double parameters)
{
    return pf_days * PF_DAY / (PASSES * parameters) / 1e9;
}

static void compute_largest(struct sp_article *a)
{
    const struct sp_article_input *in = &a->in;
    double pf_days = in->pf_days * in->epochs, gpus = round(in->practical * value(a, 0, SP_ARTICLE_NEEDED));
    *cell_of(a, 0, SP_ARTICLE_GPUS) = gpus;
    *cell_of(a, 0, SP_ARTICLE_PF_DAYS) = pf_days;
    *cell_of(a, 0, SP_ARTICLE_GPU_DAYS) = pf_days * in->per_pf;
    *cell_of(a, 0, SP_ARTICLE_DAYS) = round(10 * pf_days * in->per_pf / gpus) / 10;
}

/* Days in proportion to parameters, and the GPUs as well. */
static void compute_smaller(struct sp_article *a, int m)
{
    double gpus = value(a, m, SP_ARTICLE_NEEDED), days = value(a, 0, SP_ARTICLE_DAYS) * a->parameters[m] / a->parameters[0];
    *cell_of(a, m, SP_ARTICLE_GPUS) = gpus;
    *cell_of(a, m, SP_ARTICLE_DAYS) = days;
    *cell_of(a, m, SP_ARTICLE_GPU_DAYS) = gpus * days;
    *cell_of(a, m, SP_ARTICLE_PF_DAYS) = gpus * days / a->in.per_pf;
}

static void compute_model(struct sp_article *a, int m)
{
    const struct sp_article_input *in = &a->in;
    double memory = a->parameters[m] * in->bytes_per_parameter / 1e9;
    *cell_of(a, m, SP_ARTICLE_MEMORY) = memory;
    *cell_of(a, m, SP_ARTICLE_NEEDED) = sp_article_whole_up(memory / in->usable_gb);
    if (m)
        compute_smaller(a, m);
    else
        compute_largest(a);
    double days = value(a, m, SP_ARTICLE_DAYS), power = value(a, m, SP_ARTICLE_GPUS) * in->watts / 1000;
    *cell_of(a, m, SP_ARTICLE_POWER) = power;
    *cell_of(a, m, SP_ARTICLE_ENERGY) = power * (m ? sp_article_whole_up(days) : days) * 24;
    *cell_of(a, m, SP_ARTICLE_MONEY) = value(a, m, SP_ARTICLE_GPU_DAYS) * 24 * in->price;
    *cell_of(a, m, SP_ARTICLE_TOKENS) = sp_article_tokens(value(a, m, SP_ARTICLE_PF_DAYS), a->parameters[m]);
}

static void put_facts(struct sp_article *a, int m)
{
    for (int q = 0; q < SP_ARTICLE_QUANTITIES; q++) {
        a->cell[m][q].published = NAN;
        a->cell[m][q].physical.how = SP_HOW_UNKNOWN;
        if (m < SP_ARTICLE_OWN)
            a->cell[m][q].printed = models[m].printed[q];
    }
    if (m == SP_ARTICLE_OWN)
        return;
    a->cell[m][SP_ARTICLE_MONEY].printed_too = models[m].money_too;
    for (int i = 0; i < PUBLISHED_MAX && models[m].published[i].source; i++) {
        struct sp_article_cell *c = &a->cell[m][models[m].published[i].of];
        c->published = models[m].published[i].value;
        c->source = models[m].published[i].source;
    }
}

/* ---- bytes a value ---- */

static float there_and_back(enum sp_format f, float v)
{
    unsigned char stored[4];
    float back;
    sp_formats[f].encode(stored, &v, 1);
    sp_formats[f].decode(&back, stored, 1);
    return back;
}

static bool kept(enum sp_format f, float v)
{
    float d = there_and_back(f, v) - v;
    return !(d < 0) && !(d > 0); /* not a number is neither */
}

/* Read off the format's own encoder: the smallest step above 1, and the largest power of two. */
static void floating_bits(enum sp_format f, int *exponent, int *fraction)
{
    int largest = 0;
    for (*fraction = 0; *fraction < 23 && kept(f, 1 + ldexpf(1, -*fraction - 1));)
        ++*fraction;
    while (largest < 127 && isfinite(there_and_back(f, ldexpf(1, largest + 1))))
        largest++;
    *exponent = (int)lround(log2(largest + 1)) + 1;
}

/* Steps between 0 and the largest value of a block with a common scale. */
static int whole_bits(void)
{
    float v[32] = { 0 }, back[32];
    unsigned char block[34];
    int levels = 0;
    for (int most = 1; most < 256; most++) {
        v[0] = (float)most;
        v[1] = 1;
        sp_formats[SP_Q8_0].encode(block, v, 32);
        sp_formats[SP_Q8_0].decode(back, block, 32);
        if (fabsf(back[1] - 1) < 1e-6f && fabsf(back[0] - v[0]) < 1e-6f)
            levels = most;
    }
    return (int)lround(log2(levels + 1));
}

static void compute_formats(struct sp_article *a)
{
    static const struct { const char *name; enum sp_format format; } rows[SP_ARTICLE_FORMATS] = {
        { "FP32", SP_F32 }, { "FP16", SP_F16 }, { "BF16", SP_BF16 }, { "INT8", SP_Q8_0 },
    };
    for (int i = 0; i < SP_ARTICLE_FORMATS; i++) {
        struct sp_article_format *f = &a->format[i];
        bool whole = rows[i].format == SP_Q8_0;
        f->name = rows[i].name;
        if (whole)
            f->fraction = whole_bits();
        else
            floating_bits(rows[i].format, &f->exponent, &f->fraction);
        f->bytes = (1 + f->exponent + f->fraction) / 8.0; /* a sign, exponent, fraction or value; scales of blocks not counted */
        f->stored_gb = f->bytes;
        f->trained_gb = f->bytes * a->in.fold;
    }
}

enum sp_status sp_article_make(const struct sp_article_input *in, struct sp_article *out, struct sp_err *err)
{
    struct sp_article a = { .in = *in, .models = in->parameters > 0 ? SP_ARTICLE_MODELS : SP_ARTICLE_OWN };
    if (in->usable_gb > in->device_gb) {
        sp_fail(err, SP_USAGE, "--usable-gb %g is more than the %g GB of --device-gb", in->usable_gb, in->device_gb);
        return sp_remedy(err, "a GPU can't offer more memory than it has");
    }
    for (int m = 0; m < a.models; m++) {
        a.name[m] = m < SP_ARTICLE_OWN ? models[m].name : "your own";
        a.parameters[m] = m < SP_ARTICLE_OWN ? models[m].parameters : in->parameters;
        put_facts(&a, m);
        compute_model(&a, m);
    }
    compute_formats(&a);
    for (int i = 0; i < SP_ARTICLE_OPTIMALS; i++) {
        a.optimal[i] = optimals[i];
        a.optimal[i].optimal = optimals[i].parameters * in->tokens_per_parameter;
    }
    TRY(sp_article_physical(&a, err));
    sp_article_notes(&a);
    *out = a;
    return SP_OK;
}
