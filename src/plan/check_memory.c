/* plan/check_memory.c - predicted memory against a table of measured peaks, each
 * source predicted with what the other sources teach.
 *
 * Rows are chosen by the rules of docs/planning.md, "Which rows of published peaks
 * are used", in their order.  What a row leaves unsaid is its software's own habit.
 * Three numbers are learned: a factor on what works, a factor on a process's fixed
 * bytes, and the width of the range.
 * SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "../catalog/catalog.h"
#include "memory_walk.h"

enum { TEXT_MAX = 512, STEPS = 40, FEW = 10 /* rows that say nothing of a scatter: the range is as wide as where fitting begins */ };
static const char *const PAPER = "pretraining, as a paper counts", *const EXACT = "the same, every parameter counted (megatron)", *const SERVING = "serving";

enum column { MODEL, TASK, METHOD, PRECISION, OPTIMIZER, BATCH, SEQ, HARDWARE, DEVICES, PEAK, FITS, SOURCE, LOOKED_UP, COLUMNS };
static const char *const column_names[COLUMNS] = { "model", "task", "method", "precision", "optimizer", "batch", "seq", "hardware", "devices", "peak_gb", "fits", "source", "looked_up" };

struct reader { struct sp_catalog *catalog; const struct sp_csv *t; const struct sp_check_options *o; int column[COLUMNS]; struct sp_check_result *out; };

/* What a row is predicted from, with both factors at 1. */
struct reading { int row; struct sp_ask ask; struct sp_stack stack; double states, working, fixed, device, own; bool learns; };

/* ---- words ---- */

static bool says(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (; *text; text++) {
        size_t i = 0;
        while (i < n && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)word[i]))
            i++;
        if (i == n)
            return true;
    }
    return n == 0;
}

static bool is(const char *a, const char *b)
{
    return !strcmp(a, b);
}

static const char *at(const struct reader *r, int row, enum column c)
{
    return sp_csv_at(r->t, row, r->column[c]);
}

/* The number that follows `key` in a text; NAN: none. */
static double number_behind(const char *text, const char *key)
{
    const char *p = strstr(text, key);
    char digits[32];
    double v;
    if (!p)
        return NAN;
    p += strlen(key);
    p += strspn(p, " ");
    size_t n = strspn(p, "0123456789.");
    while (n && p[n - 1] == '.')
        n--;
    if (!n || n >= sizeof digits)
        return NAN;
    memcpy(digits, p, n);
    digits[n] = 0;
    return sp_parse_real(digits, &v) ? v : NAN;
}

static double number(const char *text)
{
    double v;
    return sp_parse_real(text, &v) ? v : NAN;
}

/* A source is what stands before the first space or @. */
static void group_of(const char *source, char *to, size_t cap)
{
    size_t n = strcspn(source, " @\t");
    sp_format(to, cap, "%.*s", (int)(n < cap - 1 ? n : cap - 1), source);
    for (char *p = to; *p; p++)
        *p = (char)tolower((unsigned char)*p);
}

/* ---- what a row says, into a question ---- */

static bool read_precision(struct sp_ask *a, const struct sp_stack *s, const char *text)
{
    static const struct { const char *word; double bits; } stored[] = {
        { "nf4-dq", 4.127 }, { "nf4", 4.5 }, { "fp4-dq", 4.127 }, { "fp4", 4.5 }, { "4-bit", 4.5 }, { "int4", 4.16 }, { "gptq", 4.16 }, { "awq", 4.16 }, { "int8", 8 },
        { "8-bit", 8 }, { "q2_k", 2.96 }, { "q3_k_s", 3.5 }, { "q3_k", 3.91 }, { "q4_0", 4.5 }, { "q4_1", 5 }, { "q4_k_s", 4.58 }, { "q4_k", 4.85 }, { "q5_0", 5.5 }, { "q5_1", 6 },
        { "q5_k", 5.69 }, { "q6_k", 6.57 }, { "q8_0", 8.5 }, { "iq4_xs", 4.25 },
    };
    bool sixteen = says(text, "16"), mixed = says(text, "mixed") || says(text, "amp"), known = sixteen || says(text, "32");
    bool plain = a->task != SP_TASK_SERVE && s->plain_is_mixed && a->method == SP_METHOD_FULL && !says(text, "true") && !says(text, "pure");
    a->precision = !sixteen && says(text, "32") && !mixed ? SP_PRECISION_F32 : mixed || plain ? SP_PRECISION_BF16_MIXED : SP_PRECISION_BF16;
    for (size_t i = 0; i < SP_COUNT(stored); i++)
        if (says(text, stored[i].word)) {
            a->bits = strstr(stored[i].word, "nf4") && !strstr(stored[i].word, "dq") && s->nf4 > 0 ? s->nf4 : stored[i].bits;
            return true;
        }
    return known;
}

static bool read_method(struct sp_ask *a, struct sp_stack *s, const char *text)
{
    static const struct { const char *word; int method; } all[] = {
        { "qlora", SP_METHOD_QLORA }, { "q-lora", SP_METHOD_QLORA }, { "dora", SP_METHOD_DORA }, { "lora", SP_METHOD_LORA }, { "ia3", SP_METHOD_IA3 }, { "bitfit", SP_METHOD_BITFIT },
        { "adapter", SP_METHOD_ADAPTER }, { "prefix", SP_METHOD_PREFIX }, { "freeze", SP_METHOD_FREEZE }, { "full", SP_METHOD_FULL }, { "fsdp", SP_METHOD_FULL }, { "zero", SP_METHOD_FULL },
    };
    a->rank = s->rank > 0 ? s->rank : 8;
    s->trains_outside = says(text, "(emb") || says(text, "embedding");
    for (int i = 0; i < SP_STACK_METHODS_MAX && s->method[i].word; i++)
        if (says(text, s->method[i].word)) {
            a->method = s->method[i].method;
            a->rank = s->method[i].rank > 0 ? s->method[i].rank : a->rank;
            s->targets = s->method[i].targets;
            return true;
        }
    for (size_t i = 0; i < SP_COUNT(all); i++)
        if (says(text, all[i].word)) {
            a->method = all[i].method;
            return true;
        }
    return false;
}

static void read_optimizer(struct sp_ask *a, const char *optimizer, const char *method)
{
    bool eight = says(optimizer, "8-bit") || says(optimizer, "8bit") || says(method, "8-bit adam");
    a->optimizer = says(optimizer, "paged") ? SP_OPTIMIZER_ADAMW_PAGED : eight ? SP_OPTIMIZER_ADAMW_8BIT : says(optimizer, "adafactor") ? SP_OPTIMIZER_ADAFACTOR
                 : says(optimizer, "galore") ? SP_OPTIMIZER_GALORE : says(optimizer, "sgd") ? SP_OPTIMIZER_SGD : SP_OPTIMIZER_ADAMW;
}

/* Options that a table adds one by one, in the order in which torchtune's adds them: a row has those of the rows before it. */
static const char *const added[] = { "packed", "compile", "chunked", "checkpoint", "fuse", "activation offload", "8-bit", NULL };
enum { COMPILE = 1, CHUNKED = 2, CHECKPOINT = 3, FUSE = 4, EIGHT = 6 };

static int flags_of(const char *method, const char *source)
{
    int flags = 0, last = -1;
    for (int i = 0; added[i]; i++)
        if (says(method, added[i])) {
            flags |= 1 << i;
            last = i;
        } else if (says(source, added[i]))
            flags |= 1 << i;
    if (!says(source, "on top of previous"))
        return flags;
    return last >= 0 ? (2 << last) - 1 : says(method, "full") ? flags : (1 << 7) - 1; /* what is no option comes behind all of them */
}

static void apply_flags(struct reading *g, int flags, bool table)
{
    struct sp_ask *a = &g->ask;
    if (flags & 1 << COMPILE) {
        g->stack.keep = sp_keep_compiled;
        g->stack.logit_working = fmin(g->stack.logit_working, 4); /* the loss is fused: no copy of its own */
    }
    if (flags & 1 << CHUNKED || table)
        g->stack.loss_chunks = flags & 1 << CHUNKED ? 8 : 0;
    g->stack.step_in_backward = g->stack.step_in_backward || flags & 1 << FUSE;
    if (flags & 1 << EIGHT)
        a->optimizer = SP_OPTIMIZER_ADAMW_8BIT;
    if (flags & 1 << CHECKPOINT)
        a->recompute = SP_RECOMPUTE_FULL;
    else if (table)
        a->recompute = SP_RECOMPUTE_NONE;
}

/* Tokens: a number; or where that is the model's most, what the source says behind "max len" for the longest name that
 * the model's begins with. */
static int64_t tokens_of(const char *seq, const char *model, const char *source)
{
    double v = number(seq);
    if (v >= 1)
        return (int64_t)v;
    const char *p = says(seq, "model max") ? strstr(source, "max len") : NULL;
    char plain[64] = "";
    for (size_t n = 0; *model && n + 1 < sizeof plain; model++)
        if (isalnum((unsigned char)*model)) {
            plain[n++] = (char)tolower((unsigned char)*model);
            plain[n] = 0;
        }
    for (p = p ? p + 7 : NULL; p && *p && *p != ')'; p += strcspn(p, "/)"), p += *p == '/') {
        char name[64] = "";
        double tokens = NAN;
        p += strspn(p, " ");
        size_t n = strcspn(p, " /)");
        sp_format(name, sizeof name, "%.*s", (int)(n < 60 ? n : 60), p);
        for (char *c = name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        tokens = number_behind(p, " ");
        if (*name && !strncmp(plain, name, strlen(name)) && tokens >= 1)
            return (int64_t)tokens;
    }
    return 0;
}

/* The number that stands before "GB"; else what the catalogue has under that name. */
static double device_bytes(const struct reader *r, const char *hardware)
{
    const char *p = strstr(hardware, "GB"), *end = p;
    while (p && p > hardware && p[-1] == ' ')
        p--;
    while (p && p > hardware && (isdigit((unsigned char)p[-1]) || p[-1] == '.'))
        p--;
    double gb = p && p < end ? number_behind(p, "") : NAN;
    struct sp_machine m = { .device.count = 0 };
    struct sp_err err;
    if (gb > 0)
        return gb * 1e9;
    return !sp_catalog_place(r->catalog, hardware, &m, &err) && m.device.count > 0 ? m.device.memory_bytes : 0;
}

/* Micro-steps an update, if the source says. */
static int64_t accumulated(const struct sp_stack *s, const char *source, int64_t batch)
{
    double said = number_behind(source, "grad accum"), all = number_behind(source, "minibatch");
    return said >= 1 ? (int64_t)said : all >= (double)batch && batch > 0 ? (int64_t)all / batch : s->accumulate;
}

/* Which matrices an adapter stands beside: those whose number of trained parameters is nearest to what the source says. */
static void read_targets(struct reading *g, const char *source)
{
    char digits[32];
    const char *p = strstr(source, "trainable ");
    size_t n = 0;
    for (p = p ? p + 10 : ""; *p && n + 1 < sizeof digits && (isdigit((unsigned char)*p) || *p == ','); p++)
        if (*p != ',')
            digits[n++] = *p;
    digits[n] = 0;
    double said = n ? number(digits) : NAN, least = INFINITY;
    int best = g->stack.targets;
    struct sp_memory_plan plan;
    struct sp_err err;
    bool adapts = g->ask.method == SP_METHOD_LORA || g->ask.method == SP_METHOD_QLORA || g->ask.method == SP_METHOD_DORA;
    for (int t = SP_TARGET_QV; t <= SP_TARGET_ALL && said > 0 && adapts; t++) {
        g->stack.targets = t;
        if (!sp_plan_memory_with(&g->ask, &g->stack, &sp_memory_compiled, &plan, NULL, &err) && plan.trained > 0 && fabs(log(plan.trained / said)) < least) {
            least = fabs(log(plan.trained / said));
            best = t;
        }
    }
    g->stack.targets = best;
}

static void cut_devices(struct sp_ask *a, const char *method, const char *source, double devices)
{
    bool shared = says(method, "fsdp") || says(method, "zero-3") || says(method, "zero3") || devices > 1;
    a->cut = (struct sp_sharding){ .data = (int64_t)devices, .tensor = 1, .pipeline = 1, .expert = 1, .context = 1, .interleave = 1, .zero = devices > 1 && shared ? 3 : 0 };
    if (says(method, "zero-2") || says(method, "zero2"))
        a->cut.zero = 2;
    if (says(method, "zero-1") || says(method, "zero1"))
        a->cut.zero = 1;
    a->cut.offload = says(source, "cpu offload") || says(method, "offload_opt") || says(method, "cpu offload");
    if (a->task == SP_TASK_SERVE) {
        a->cut.tensor = (int64_t)devices;
        a->cut.data = 1;
        a->cut.zero = 0;
    }
}

static void read_serving(struct sp_ask *a, const struct sp_stack *s, const char *method, int64_t tokens)
{
    a->users = a->batch;
    a->context = tokens > 0 ? tokens : s->tokens > 0 ? s->tokens : a->model.context < 2048 ? a->model.context : 2048;
    a->prompt = a->context;
    bool generates = says(method, "generate");
    if (generates) {
        double n = number_behind(method, "generate");
        a->context += n > 0 && n != (double)a->context ? (int64_t)n : 0;
        a->prompt = 1;
    }
    a->cache_bits = says(method, "kv int8") || says(method, "kv q8_0") ? (says(method, "q8_0") ? 8.5 : 8) : 0;
    a->flash = true;
}

/* ---- rules ---- */

static const char *no_measurement(const struct reader *r, int i)
{
    const char *looked = at(r, i, LOOKED_UP), *fits = at(r, i, FITS), *method = at(r, i, METHOD), *source = at(r, i, SOURCE), *task = at(r, i, TASK);
    if (*looked && !is(looked, "yes"))
        return "nobody looked the figure up";
    if (!is(fits, "yes") && !is(fits, "no") && !(!*fits && *at(r, i, PEAK)))
        return "an estimate, a formula, a file's size or the best of a search, not a measured peak";
    if (says(method, "RELATIVE") || says(method, "CIRCULAR") || says(source, "CIRCULAR") || says(source, "estimated") || says(source, "excludes"))
        return "a share of another row, or an estimate by its own words";
    if (!is(task, "train") && !is(task, "pretrain") && !is(task, "finetune") && !is(task, "inference"))
        return "neither training nor serving";
    if (number(at(r, i, DEVICES)) > 1 && says(source, "total"))
        return "a total of several devices";
    return NULL;
}

/* The source without what follows its last semicolon. */
static size_t stem(const char *source)
{
    const char *p = strrchr(source, ';');
    return p ? (size_t)(p - source) : strlen(source);
}

static bool listed_before(const struct reader *r, int i)
{
    const char *a = at(r, i, SOURCE);
    size_t n = stem(a);
    for (int k = 0; k < i; k++) {
        const char *b = at(r, k, SOURCE);
        bool same = stem(b) == n && !strncmp(a, b, n);
        for (int c = MODEL; same && c <= DEVICES; c++)
            same = is(at(r, i, (enum column)c), at(r, k, (enum column)c));
        if (same)
            return true;
    }
    return false;
}

static const char *text(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *text(struct reader *r, const char *fmt, ...)
{
    char line[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    const char *t = sp_arena_printf(&r->out->mem, "%s", line);
    return t ? t : "out of memory";
}

static bool is_cut_in_source(const char *s)
{
    return number_behind(s, "L=") > 0 && number_behind(s, "h=") > 0 && number_behind(s, "heads=") > 0 && number_behind(s, "TP=") > 0 && number_behind(s, "PP=") > 0 &&
           number_behind(s, "microbatch=") > 0;
}

/* ---- a paper's own figures ---- */

static void read_paper(struct reading *g, const char *s, const char *method, double tokens)
{
    struct sp_ask *a = &g->ask;
    a->task = SP_TASK_TRAIN;
    a->model = (struct sp_model_config){ .family = SP_FAMILY_GPT2, .vocab = 51200, .context = (int64_t)tokens, .layers = (int64_t)number_behind(s, "L="),
                                         .width = (int64_t)number_behind(s, "h="), .heads = (int64_t)number_behind(s, "heads="), .tied = true, .bias = true,
                                         .activation = SP_GELU, .bos = -1 };
    a->batch = (int64_t)number_behind(s, "microbatch=");
    a->context = (int64_t)tokens;
    a->dropout = 0.1;
    a->precision = SP_PRECISION_FP16_MIXED;
    a->cut = (struct sp_sharding){ .data = 1, .tensor = (int64_t)number_behind(s, "TP="), .pipeline = (int64_t)number_behind(s, "PP="), .expert = 1, .context = 1,
                                   .interleave = 1, .sequence = says(method, "seq-par") && !says(method, "no seq-par") };
    a->cut.interleave = number_behind(s, "interleave=") > 1 ? (int64_t)number_behind(s, "interleave=") : 1;
    a->accumulate = a->cut.pipeline;
    a->recompute = says(method, "selective") ? SP_RECOMPUTE_SELECTIVE : says(method, "full recompute") ? SP_RECOMPUTE_FULL : SP_RECOMPUTE_NONE;
}

static enum sp_status paper_row(struct reader *r, int i, const char *stack, const char *set, struct sp_err *err)
{
    const char *method = at(r, i, METHOD);
    struct sp_check_row *w = &r->out->row[r->out->n - 1];
    struct reading g = { 0 };
    const struct sp_stack *s;
    struct sp_memory_plan p;
    read_paper(&g, at(r, i, SOURCE), method, number(at(r, i, SEQ)));
    TRY(sp_stack_find(stack, SP_TASK_TRAIN, &s, err));
    TRY(sp_model_config_finish(&g.ask.model, err));
    TRY(sp_plan_memory_with(&g.ask, s, &sp_memory_compiled, &p, NULL, err));
    w->set = set;
    w->predicted = says(method, "activation") ? p.hold[SP_HOLD_ACTIVATIONS]
                                              : sp_figure_add(sp_figure_add(p.hold[SP_HOLD_WEIGHTS], p.hold[SP_HOLD_GRADIENTS]), p.hold[SP_HOLD_OPTIMIZER]);
    w->predicted = sp_figure_scale(w->predicted, 1e-9);
    w->truth = number(at(r, i, PEAK));
    return SP_OK;
}

/* ---- any other row ---- */

/* The model of that name; or of its first words, where the last ones only say its size again ("phi-1.5 1.3 B"). */
static enum sp_status model_of(struct sp_ask *a, const char *name, struct sp_err *err)
{
    char words[TEXT_MAX];
    sp_format(words, sizeof words, "%s", name);
    while (sp_ask_model(a, words, err)) {
        char *space = strrchr(words, ' ');
        if (!space)
            return err->status;
        *space = 0;
    }
    a->model_name = name;
    return SP_OK;
}

/* The question that a row puts, or why there is none. */
static const char *ask_of(struct reader *r, int i, struct reading *g)
{
    const char *method = at(r, i, METHOD), *source = at(r, i, SOURCE), *task = at(r, i, TASK), *precision = at(r, i, PRECISION);
    struct sp_ask *a = &g->ask;
    struct sp_err err;
    double devices = number(at(r, i, DEVICES)), batch = number(at(r, i, BATCH));
    const struct sp_stack *s = sp_stack_in(source);
    s = s ? s : sp_stack_in(method);
    s = s ? s : &sp_stacks[0];
    g->stack = *s;
    a->stack = s->name;
    a->task = is(task, "inference") ? SP_TASK_SERVE : is(task, "finetune") ? SP_TASK_FINETUNE : SP_TASK_TRAIN;
    if (model_of(a, at(r, i, MODEL), &err))
        return text(r, "no model \"%.60s\" in the catalogue", at(r, i, MODEL));
    int64_t tokens = tokens_of(at(r, i, SEQ), at(r, i, MODEL), source);
    a->batch = batch >= 1 ? (int64_t)batch : 0;
    devices = devices >= 1 ? devices : 1;
    a->accumulate = accumulated(s, source, a->batch);
    if (a->task != SP_TASK_SERVE && (!a->batch || !tokens))
        return "no batch or no number of tokens";
    if (a->task == SP_TASK_SERVE)
        a->batch = a->batch ? a->batch : 1;
    if (a->task != SP_TASK_SERVE && !read_method(a, &g->stack, method))
        return text(r, "no method in \"%.80s\"", method);
    if (!read_precision(a, s, precision))
        return text(r, "no precision in \"%.60s\"", precision);
    if (a->method == SP_METHOD_QLORA && !(a->bits > 0))
        a->bits = s->nf4 > 0 ? s->nf4 : 4.5;
    read_optimizer(a, at(r, i, OPTIMIZER), method);
    bool lean = s->lean_full && devices < 2 && a->method == SP_METHOD_FULL && says(at(r, i, OPTIMIZER), "recipe");
    a->optimizer = lean ? SP_OPTIMIZER_ADAMW_8BIT : a->optimizer;
    cut_devices(a, method, source, devices);
    a->context = tokens;
    a->flash = true;
    a->recompute = devices > 1 ? s->recompute_sharded : s->recompute;
    a->recompute = says(method, "no ckpt") ? SP_RECOMPUTE_NONE : a->recompute;
    if (a->task == SP_TASK_SERVE)
        read_serving(a, s, method, tokens);
    if (a->context > a->model.context && a->model.family == SP_FAMILY_GPT2)
        return "more tokens than the model has positions";
    g->stack.keeps_dequantised = says(precision, "gptq");
    read_targets(g, source);
    apply_flags(g, flags_of(method, source), says(source, "on top of previous"));
    g->stack.step_in_backward = g->stack.step_in_backward || lean;
    g->device = device_bytes(r, at(r, i, HARDWARE));
    a->machine.device.count = 1;
    a->machine.device.memory_bytes = g->device;
    return NULL;
}

static enum sp_status measure(struct reading *g, struct sp_err *err)
{
    static const struct sp_memory_constants unit = { 1, 1, 1, 1, 1, 1 };
    struct sp_memory_plan p;
    TRY(sp_plan_memory_with(&g->ask, &g->stack, &unit, &p, NULL, err));
    g->working = p.hold[SP_HOLD_ACTIVATIONS].likely + p.hold[SP_HOLD_LOGITS].likely + p.hold[SP_HOLD_TEMPORARY].likely;
    g->own = p.hold[SP_HOLD_OVERHEAD].likely;
    g->states = p.device.likely - g->own - g->working;
    g->fixed = g->stack.reports == SP_REPORTS_DEVICE ? g->own : 0;
    return SP_OK;
}

static enum sp_status read_row(struct reader *r, int i, struct reading *g, bool *reads, struct sp_err *err)
{
    char group[96], label[160];
    const char *source = at(r, i, SOURCE);
    group_of(source, group, sizeof group);
    sp_format(label, sizeof label, "%.30s %.40s %.24s b%.6s s%.8s", at(r, i, MODEL), at(r, i, METHOD), at(r, i, PRECISION), at(r, i, BATCH), at(r, i, SEQ));
    struct sp_check_row *w = sp_check_add(r->out, i, label, group);
    *reads = false;
    if (!w)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", r->t->rows);
    w->skipped = no_measurement(r, i);
    if (!w->skipped && listed_before(r, i))
        w->skipped = "the same run as an earlier row";
    if (w->skipped)
        return SP_OK;
    if (is_cut_in_source(source)) {
        TRY(paper_row(r, i, "paper", PAPER, err));
        if (!sp_check_add(r->out, i, label, group))
            return sp_fail(err, SP_NOMEM, "out of memory for %d rows", r->t->rows);
        return paper_row(r, i, "megatron", EXACT, err);
    }
    *g = (struct reading){ .row = r->out->n - 1 };
    const char *why = ask_of(r, i, g);
    struct sp_err told;
    if (!why && measure(g, &told))
        why = text(r, "%.200s", told.what);
    w = &r->out->row[r->out->n - 1];
    w->skipped = why;
    *reads = !why;
    if (why)
        return SP_OK;
    double peak = number(at(r, i, PEAK)), devices = number(at(r, i, DEVICES));
    bool bound = peak > 0 && g->device > 0 && peak * 1e9 >= 0.995 * g->device * (devices > 1 && peak * 1e9 > g->device ? devices : 1);
    w->truth = bound ? NAN : peak;
    w->set = g->ask.task == SP_TASK_SERVE ? SERVING : NULL;
    w->judged = g->device > 0 && (is(at(r, i, FITS), "yes") || is(at(r, i, FITS), "no"));
    w->was = is(at(r, i, FITS), "yes");
    g->learns = !w->set && w->truth > 0;
    return SP_OK;
}

/* ---- learning ---- */

struct learning { const struct sp_check_result *out; const struct reading *g; int n; const char *without; };

static bool taught_by(const struct learning *l, int i)
{
    return l->g[i].learns && !(l->without && is(l->out->row[l->g[i].row].group, l->without));
}

static double rows_of_group(const struct learning *l, int i)
{
    double n = 0;
    for (int k = 0; k < l->n; k++)
        n += l->g[k].learns && is(l->out->row[l->g[k].row].group, l->out->row[l->g[i].row].group);
    return n;
}

static double predicted(const struct reading *g, double working, double fixed)
{
    return 1e-9 * (g->states + working * g->working + fixed * g->fixed);
}

/* Mean over sources of their rows' mean relative error, and what drawing the factors to 1 costs. */
static double loss(const struct learning *l, const double *weight, double working, double fixed)
{
    double sum = 0, weights = 0;
    for (int i = 0; i < l->n; i++)
        if (taught_by(l, i)) {
            sum += weight[i] * fabs(predicted(&l->g[i], working, fixed) / l->out->row[l->g[i].row].truth - 1);
            weights += weight[i];
        }
    return (weights > 0 ? sum / weights : 0) + 0.05 * (log(working) * log(working) + log(fixed) * log(fixed));
}

/* Share of what is taught that a range of `spread` around working memory holds. */
static double covered(const struct learning *l, const double *weight, const struct sp_memory_constants *k, double spread)
{
    double in = 0, all = 0;
    for (int i = 0; i < l->n; i++)
        if (taught_by(l, i)) {
            double truth = l->out->row[l->g[i].row].truth;
            bool inside = truth >= k->low_all * predicted(&l->g[i], k->working / spread, 0.5 * k->fixed) &&
                          truth <= k->high_all * predicted(&l->g[i], k->working * spread, 1.7 * k->fixed);
            in += inside ? weight[i] : 0;
            all += weight[i];
        }
    return all > 0 ? in / all : 1;
}

static enum sp_status learn(const struct learning *l, struct sp_memory_constants *k, struct sp_err *err)
{
    double *weight = sp_zalloc((size_t)l->n + 1, sizeof *weight), least = INFINITY, spread = 1.15;
    int taught = 0;
    if (!weight)
        return sp_fail(err, SP_NOMEM, "out of memory for %d rows", l->n);
    for (int i = 0; i < l->n; i++)
        weight[i] = taught_by(l, i) ? 1 / rows_of_group(l, i) : 0;
    *k = (struct sp_memory_constants){ .low_all = 0.97, .high_all = 1.03 };
    for (int i = -STEPS; i <= STEPS; i++)
        for (int f = -STEPS; f <= STEPS; f++) {
            double working = exp(i / (double)STEPS), fixed = exp(f / (double)STEPS), now = loss(l, weight, working, fixed);
            if (now < least) {
                least = now;
                k->working = working;
                k->fixed = fixed;
            }
        }
    for (int i = 0; i < l->n; i++)
        taught += taught_by(l, i);
    spread = taught < FEW ? 1.5 : spread;
    while (spread < 3 && covered(l, weight, k, spread) < 0.85)
        spread += 0.05;
    k->low = 1 / spread;
    k->high = spread;
    sp_free(weight);
    return SP_OK;
}

/* ---- predicting ---- */

static void predict(struct reader *r, const struct reading *g, const struct sp_memory_constants *k)
{
    struct sp_check_row *w = &r->out->row[g->row];
    double low = k->low_all * 1e-9 * (g->states + k->low * k->working * g->working), high = k->high_all * 1e-9 * (g->states + k->high * k->working * g->working);
    double fixed = 1e-9 * k->fixed * g->fixed, own = 1e-9 * k->fixed * g->own;
    w->predicted = sp_range(low + 0.5 * fixed, predicted(g, k->working, k->fixed), high + 1.7 * fixed, SP_HOW_MODEL);
    w->said = (high + 1.7 * own) * 1e9 <= g->device;
}

static enum sp_status predict_all(struct reader *r, const struct reading *g, int n, struct sp_err *err)
{
    struct learning l = { r->out, g, n, NULL };
    struct sp_memory_constants k, all;
    TRY(learn(&l, &all, err));
    for (int i = 0; i < n; i++) {
        l.without = r->out->row[g[i].row].group;
        if (r->o->constants == SP_CHECK_LEFT_OUT && (i == 0 || !is(l.without, r->out->row[g[i - 1].row].group)))
            TRY(learn(&l, &k, err));
        predict(r, &g[i], r->o->constants == SP_CHECK_COMPILED ? &sp_memory_compiled : r->o->constants == SP_CHECK_ALL ? &all : &k);
    }
    struct sp_check_constant c[] = { { "factor on activations, logits and temporary buffers", "", all.working }, { "factor on a process's fixed bytes", "", all.fixed },
                                     { "range of what works, up and down", "", all.high } };
    memcpy(r->out->constant, c, sizeof c);
    r->out->n_constants = (int)SP_COUNT(c);
    return SP_OK;
}

static enum sp_status check_memory(const struct sp_csv *t, const struct sp_check_options *o, struct sp_check_result *out, struct sp_err *err)
{
    struct reader r = { .t = t, .o = o, .out = out };
    for (int c = 0; c < COLUMNS; c++)
        if (c == LOOKED_UP)
            r.column[c] = sp_csv_column(t, column_names[c]);
        else
            TRY(sp_csv_need(t, column_names[c], &r.column[c], err));
    out->quantity = "peak memory of a device";
    out->unit = "GB";
    out->judgement = "fits";
    struct reading *g = sp_zalloc((size_t)t->rows + 1, sizeof *g);
    int n = 0;
    enum sp_status st = g ? sp_catalog_open(&r.catalog, err) : sp_fail(err, SP_NOMEM, "out of memory for %d rows", t->rows);
    for (int i = 0; i < t->rows && !st; i++) {
        bool reads;
        st = read_row(&r, i, &g[n], &reads, err);
        n += !st && reads;
    }
    if (!st)
        st = predict_all(&r, g, n, err);
    sp_catalog_free(r.catalog);
    sp_free(g);
    return st;
}

const struct sp_check sp_check_memory = {
    .name = "memory", .help = "peak memory of a device while training, fine-tuning or serving, in GB", .fn = check_memory,
};
