/* cli/verb_plan_quantize.c - what a model takes in fewer bits, before it is quantized:
 * bytes, memory, speed, energy, beside what it takes now.
 *
 * The technique says the bits of the file that `quantize` would write, the planner of
 * serving all else. Quality isn't foretold: quantize measures it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "plan.h"
#include "work.h"

enum { ROWS_MAX = SP_OPTION_LIST_MAX + 3, NAME_MAX_ = 48 };
#define OFF 1.3                    /* a measured rate is taken to be so far off at most, for all formats: other rows, other work */
#define PROCESS_BYTES 12e6         /* as in plan/here.c */

struct plan_quantize_options {
    struct sp_option_list to;
    const char *size, *on;
    double bits, cache_bits;
    int64_t context, prompt, generate;
    bool importance, pure, explain;
};

#define AT(field) offsetof(struct plan_quantize_options, field)
static const struct sp_option quantize_options[] = {
    { .name = "to", .kind = SP_OPT_LIST, .at = AT(to), .group = "Storage", .unit = "FORMAT", .help = "a format of GGUF files or a mix (q4_k_m); may be repeated; without any the usual ones" },
    { .name = "size", .kind = SP_OPT_TEXT, .at = AT(size), .unit = "SIZE", .help = "a file no larger: 300MB, bytes, or 45% of the original" },
    { .name = "bits", .kind = SP_OPT_REAL, .at = AT(bits), .min = 0, .max = 32, .help = "the same in bits a weight" },
    { .name = "pure", .kind = SP_OPT_FLAG, .at = AT(pure), .help = "every matrix in the format of --to" },
    { .name = "importance", .kind = SP_OPT_FLAG, .at = AT(importance), .help = "there will be a calibration text: some mixes then choose otherwise" },
    { .name = "on", .kind = SP_OPT_TEXT, .at = AT(on), .fallback_text = "this", .group = "Use", .unit = "PLACE", .help = "this machine, or a device of the catalogue" },
    { .name = "cache-bits", .kind = SP_OPT_REAL, .at = AT(cache_bits), .min = 0, .max = 32, .fallback = 0, .help = "of a cached key or value; 0: 16" },
    { .name = "context", .letter = 'c', .kind = SP_OPT_INT, .at = AT(context), .min = 0, .max = 1 << 24, .unit = "tokens", .help = "kept; 0: prompt and answer" },
    { .name = "prompt", .kind = SP_OPT_INT, .at = AT(prompt), .min = 1, .max = 1 << 24, .fallback = 512, .unit = "tokens", .help = "of a question" },
    { .name = "generate", .kind = SP_OPT_INT, .at = AT(generate), .min = 1, .max = 1 << 24, .fallback = 256, .unit = "tokens", .help = "of an answer" },
    { .name = "explain", .kind = SP_OPT_FLAG, .at = AT(explain), .help = "every formula with its numbers and source" },
    { 0 },
};
#undef AT

struct row { char name[NAME_MAX_]; bool exact; double bits; struct sp_planned plan; struct sp_explain explain; };
struct asked {
    const struct plan_quantize_options *o;
    struct sp_ask ask;
    bool files, here;
    double bytes_per_s, flops_per_s, flops_per_s_16; /* measured on this machine; 0: not */
    int n; struct row row[ROWS_MAX];
};

/* ---- the question ---- */

static const struct sp_technique *technique(void)
{
    const struct sp_technique *const *t = sp_techniques;
    while (*t && strcmp((*t)->name, "quantize"))
        t++;
    return *t;
}

/* Bits of a weight by the technique, its options filled through its table. */
static enum sp_status bits_of(const struct asked *q, const char *option, const char *value, double *bits, struct sp_err *err)
{
    const struct sp_technique *t = technique();
    struct sp_arena mem = { 0 };
    struct sp_recipe r;
    char *word[] = { sp_arena_printf(&mem, "--quantize-%s=%s", option, value), sp_arena_printf(&mem, "--%squantize-pure", q->o->pure ? "" : "no-"),
                     sp_arena_printf(&mem, "--%squantize-importance", q->o->importance ? "" : "no-") };
    void *options = sp_arena_take(&mem, t->options_bytes);
    struct sp_option_set set = { t->options, options };
    int operands;
    enum sp_status st = options && word[0] && word[1] && word[2] ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for a plan");
    if (!st) {
        sp_option_defaults(&set, 1);
        st = sp_option_parse(&set, 1, (int)SP_COUNT(word), word, &operands, err);
    }
    sp_recipe_defaults(&r);
    r.model.path = q->ask.model_name;
    st = st ? st : t->recipe(&r, options, err);
    *bits = st ? 0 : r.serve.bits;
    sp_arena_clear(&mem);
    return st;
}

/* As the model is stored now; where there are no files, in 16 bits. */
static enum sp_status bits_now(struct asked *q, double *bits, struct sp_err *err)
{
    struct sp_weights w;
    uint64_t bytes = 0;
    *bits = q->ask.bits > 0 ? q->ask.bits : 16;
    if (!sp_is_file(q->ask.model_name) && !sp_is_folder(q->ask.model_name))
        return SP_OK;
    enum sp_status st = sp_weights_open(&w, q->ask.model_name, err);
    if (st == SP_MISSING) { /* a configuration alone */
        *err = (struct sp_err){ 0 };
        return SP_OK;
    }
    TRY(st);
    for (int i = 0; i < w.n; i++)
        bytes += w.tensor[i]->bytes;
    *bits = 8 * (double)bytes / q->ask.parameters;
    q->files = true;
    sp_weights_close(&w);
    return SP_OK;
}

static enum sp_status measure(struct asked *q, const struct verb_call *call, struct sp_err *err)
{
    struct sp_rates rates = { 0 };
    work_rates_kept(&call->common, &q->ask.machine, SP_BF16, &rates);
    for (int i = 0; i < rates.n; i++)
        if (!strncmp(rates.at[i].row, "gemm", 4))
            q->flops_per_s_16 = fmax(q->flops_per_s_16, rates.at[i].flops_per_s);
    return work_rates_bits(&q->ask.machine, &q->bytes_per_s, &q->flops_per_s, err);
}

/* This machine's processor is planned as one of the catalogue is, by its threads; its power is that of this machine. */
static enum sp_status find_place(struct asked *q, const struct verb_call *call, const struct sp_catalog *facts, struct sp_err *err)
{
    struct sp_machine *m = &q->ask.machine;
    TRY(work_machine(&call->common, m, err));
    q->here = !strcmp(q->o->on, "this");
    if (!q->here)
        return sp_catalog_place(facts, q->o->on, m, err);
    snprintf(m->device.name, sizeof m->device.name, "%.63s", m->cpu[0] ? m->cpu : "this machine");
    return measure(q, call, err);
}

static struct sp_figure about(double v)
{
    return sp_range(v / OFF, v, v * OFF, SP_HOW_METER);
}

/* On this machine what was measured stands in place of what published runs taught, and the program's memory is its own. */
static void as_here(const struct asked *q, struct row *r)
{
    struct sp_serve_plan *s = &r->plan.serve;
    struct sp_cost *c = &r->plan.cost;
    double flops = r->bits < 16 ? q->flops_per_s : q->flops_per_s_16;
    if (q->bytes_per_s > 0)
        s->user_tokens_s = about(1 / fmax(s->bytes_token / q->bytes_per_s, flops > 0 ? s->flops_token / flops : 0));
    if (flops > 0)
        s->prefill_tokens_s = about(flops / s->flops_token);
    double prompt = (double)q->ask.prompt / (double)q->ask.generate; /* tokens of a prompt for one of an answer */
    struct sp_figure t = sp_range(1 / s->user_tokens_s.high + prompt / s->prefill_tokens_s.high, 1 / s->user_tokens_s.likely + prompt / s->prefill_tokens_s.likely,
                 1 / s->user_tokens_s.low + prompt / s->prefill_tokens_s.low, s->prefill_tokens_s.how > s->user_tokens_s.how ? s->prefill_tokens_s.how : s->user_tokens_s.how);
    c->time_s = sp_figure_scale(t, 1e6);
    c->cpu_s = sp_figure_scale(c->time_s, q->ask.machine.threads);
    c->energy_j = (struct sp_figure){ .how = SP_HOW_UNKNOWN };
    c->memory[SP_MEM_PROGRAM] = sp_exact(PROCESS_BYTES, SP_HOW_ASSUMED);
    r->plan.memory.device = (struct sp_figure){ 0 };
    for (int i = 0; i < SP_MEM_KINDS; i++)
        r->plan.memory.device = sp_figure_add(r->plan.memory.device, c->memory[i]);
    c->memory_peak = r->plan.memory.device;
    r->plan.fits = c->memory_peak.high <= (double)q->ask.machine.memory_bytes;
    sp_cost_price(c, &q->ask.machine);
}

static enum sp_status plan_row(struct asked *q, struct sp_err *err)
{
    struct row *r = &q->row[q->n];
    struct sp_ask a = q->ask;
    struct sp_planned_with with = { .price_per_hour = -1, .count_given = true };
    a.bits = r->bits;
    TRY(sp_plan_answer(&a, &with, &r->plan, q->o->explain ? &r->explain : NULL, err));
    if (q->here)
        as_here(q, r);
    q->n++;
    return SP_OK;
}

static enum sp_status add(struct asked *q, const char *option, const char *value, struct sp_err *err)
{
    struct row *r = &q->row[q->n];
    bool format = !strcmp(option, "to");
    snprintf(r->name, sizeof r->name, "%s%.30s", format ? "" : strcmp(option, "size") ? "bits " : "size ", value);
    r->exact = format;
    TRY(bits_of(q, option, value, &r->bits, err));
    return plan_row(q, err);
}

static enum sp_status ask_all(struct asked *q, struct sp_err *err)
{
    static const char *const usual[] = { "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q4_0", "iq4_xs", "q3_k_m", "q2_k" };
    const struct plan_quantize_options *o = q->o;
    char number[32];
    bool some = o->to.n || o->size || o->bits > 0;
    snprintf(q->row[0].name, NAME_MAX_, "now");
    TRY(bits_now(q, &q->row[0].bits, err));
    TRY(plan_row(q, err));
    for (size_t i = 0; !some && i < SP_COUNT(usual); i++)
        TRY(add(q, "to", usual[i], err));
    for (int i = 0; i < o->to.n; i++)
        TRY(add(q, "to", o->to.at[i], err));
    if (o->size)
        TRY(add(q, "size", o->size, err));
    snprintf(number, sizeof number, "%g", o->bits);
    return o->bits > 0 ? add(q, "bits", number, err) : SP_OK;
}

/* ---- the answer ---- */

static double file_bytes(const struct asked *q, const struct row *r)
{
    return round(r->bits * q->ask.parameters / 8);
}

static double joules(const struct row *r)
{
    return r->plan.cost.energy_j.likely / 1e6; /* the cost is of a million tokens */
}

static double memory_has(const struct asked *q, const struct row *r)
{
    return r->plan.memory.device_bytes > 0 ? r->plan.memory.device_bytes : (double)q->ask.machine.memory_bytes;
}

/* The one that was asked for; of several the largest that fits. */
static const struct row *the_one(const struct asked *q)
{
    for (int i = 1; i < q->n; i++)
        if (q->row[i].plan.fits)
            return &q->row[i];
    return &q->row[q->n - 1];
}

static void words(const struct asked *q)
{
    const struct row *r = the_one(q), *now = &q->row[0];
    const struct sp_figure *t = &r->plan.serve.user_tokens_s;
    char b[32], w[32], m[32], h[32], l[32], k[32], u[32], e[32];
    printf("%s at %s takes %s (%.2f bits a weight), %.2f times less than now (%s at %.2f bits).\n", q->ask.model_name, r->name,
           sp_show_bytes(file_bytes(q, r), b, sizeof b), r->bits, now->bits / r->bits, sp_show_bytes(file_bytes(q, now), w, sizeof w), now->bits);
    printf("With %lld tokens it needs %s of %s: it %s. About %s tokens/s (%s to %s)", (long long)r->plan.ask.context, sp_show_bytes(r->plan.memory.device.likely, m, sizeof m),
           sp_show_bytes(memory_has(q, r), h, sizeof h), r->plan.fits ? "fits" : "does NOT fit", sp_show_number(t->likely, k, sizeof k),
           sp_show_number(t->low, l, sizeof l), sp_show_number(t->high, u, sizeof u));
    if (joules(now) > 0)
        printf(", and saves %s a token", sp_show_energy(joules(now) - joules(r), e, sizeof e));
    puts(".");
}

static void table(const struct asked *q)
{
    char n[32], m[32], p[32], t[32], e[32];
    printf("\n%-12s %16s %8s %12s %5s %12s %12s %12s %7s\n", "stored", "bytes", "bits", "memory", "fits", "prompt tok/s", "answer tok/s", "J a token", "saved");
    for (int i = 0; i < q->n; i++) {
        const struct row *r = &q->row[i];
        const struct sp_serve_plan *s = &r->plan.serve;
        snprintf(n, sizeof n, "%s%.0f", r->exact && q->files ? "" : "~", file_bytes(q, r));
        printf("%-12s %16s %8.3f %12s %5s %12s %12s %12s %5.1f %%\n", r->name, n, r->bits, sp_show_bytes(r->plan.memory.device.likely, m, sizeof m),
               r->plan.fits ? "yes" : "no", sp_show_number(s->prefill_tokens_s.likely, p, sizeof p), sp_show_number(s->user_tokens_s.likely, t, sizeof t),
               joules(r) > 0 ? sp_show_energy(joules(r), e, sizeof e) : "?", joules(r) > 0 ? 100 * (1 - joules(r) / joules(&q->row[0])) : 0);
    }
    puts(q->files ? "\nBytes without ~ are those of the file that quantize writes." : "\nBytes (~) are without the vocabulary, which only the model's files tell.");
    if (q->bytes_per_s > 0)
        printf("Speeds: bytes and arithmetic at what products with blocks were just measured to do here, %s bytes/s and %s FLOP/s", sp_show_number(q->bytes_per_s, p, sizeof p),
               sp_show_number(q->flops_per_s, t, sizeof t));
    else
        printf("Speeds: bytes over the memory's bandwidth and arithmetic, as a %s of published runs reaches it", q->row[0].plan.serve.device_class);
    printf("; energy: %s.\n", sp_how_name(q->row[0].plan.cost.energy_j.how));
    puts("Quality isn't foretold: sparsam quantize measures it.");
}

static void explain(const struct asked *q)
{
    for (int i = 0; i < q->n; i++)
        if (q->row[i].explain.text.at)
            printf("\nHow %s is reckoned:\n%s", q->row[i].name, q->row[i].explain.text.at);
}

static json_t *row_json(const struct asked *q, const struct row *r)
{
    const struct sp_serve_plan *s = &r->plan.serve;
    return json_pack("{s:s, s:f, s:f, s:b, s:b, s:o, s:o, s:o, s:o}", "stored", r->name, "bytes", file_bytes(q, r), "bits", r->bits, "exact", (int)(r->exact && q->files),
                     "fits", (int)r->plan.fits, "memory", sp_figure_json(&r->plan.memory.device), "prompt_tokens_s", sp_figure_json(&s->prefill_tokens_s), "answer_tokens_s",
                     sp_figure_json(&s->user_tokens_s), "million_tokens", sp_cost_json(&r->plan.cost));
}

static json_t *answer_json(const struct asked *q)
{
    json_t *rows = json_array();
    for (int i = 0; rows && i < q->n; i++)
        json_array_append_new(rows, row_json(q, &q->row[i]));
    return json_pack("{s:s, s:s, s:s, s:f, s:o}", "schema", "sparsam.plan-quantize/1", "model", q->ask.model_name, "on", q->here ? "this" : q->ask.machine.device.name,
                     "parameters", q->ask.parameters, "rows", rows);
}

/* ---- the verb ---- */

static enum sp_status answer(struct asked *q, struct verb_call *call, const struct sp_catalog *facts, struct sp_err *err)
{
    const struct plan_quantize_options *o = q->o;
    q->ask = (struct sp_ask){ .task = SP_TASK_SERVE, .precision = SP_PRECISION_BF16, .context = o->context, .prompt = o->prompt, .generate = o->generate, .users = 1,
                              .cache_bits = o->cache_bits, .flash = true };
    TRY(find_place(q, call, facts, err));
    TRY(sp_ask_model(&q->ask, call->operands[0], err));
    TRY(ask_all(q, err));
    if (call->common.json) {
        call->answer = answer_json(q);
        return call->answer ? SP_OK : sp_fail(err, SP_NOMEM, "out of memory for the answer");
    }
    words(q);
    table(q);
    explain(q);
    return SP_OK;
}

static enum sp_status run(struct verb_call *call, struct sp_err *err)
{
    struct sp_catalog *facts;
    TRY(sp_catalog_open(&facts, err));
    struct asked *q = sp_zalloc(1, sizeof *q);
    enum sp_status st = SP_NOMEM;
    if (q) {
        q->o = call->options;
        st = answer(q, call, facts, err);
        for (int i = 0; i < ROWS_MAX; i++)
            sp_text_clear(&q->row[i].explain.text);
    } else
        sp_fail(err, SP_NOMEM, "out of memory for a plan");
    sp_free(q);
    sp_catalog_free(facts);
    return st;
}

const struct verb sp_verb_plan_quantize = {
    .name = "plan quantize",
    .help = "what a model takes in fewer bits: bytes, memory, speed, energy",
    .operands = "MODEL", .operands_min = 1, .operands_max = 1,
    .text = "Nothing is quantized. The file's bytes are counted from the same list of tensors and formats\n"
            "that quantize writes; MODEL may also be a name of the catalogue or params=7B, then all but\n"
            "the vocabulary is known.\n"
            "\n"
            "  sparsam plan quantize model\n"
            "  sparsam plan quantize llama-2-7b --to q4_k_m --context 4096\n"
            "  sparsam plan quantize llama-3-8b --on rtx-4090 --to q8_0 --to q5_k_m --bits 4.5\n",
    .sets = { { quantize_options, 0 } },
    .options_bytes = sizeof(struct plan_quantize_options),
    .run = run,
};
