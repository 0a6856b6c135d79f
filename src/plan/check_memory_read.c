/* plan/check_memory_read.c - what a row of a table of peaks says, in the words of its
 * source, into a question to the planner.
 *
 * What a row leaves unsaid is its software's own habit (stack.c).  Nothing here looks
 * at the peak.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "check_memory.h"

enum { TEXT_MAX = 512, LAYERS_MAX = 2000 };
static const double WHOLE_MAX = 1e9;

/* ---- words ---- */

bool sp_row_says(const char *text, const char *word)
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

const char *sp_row_at(const struct sp_rows *r, int row, enum sp_row_column c)
{
    return sp_csv_at(r->t, row, r->column[c]);
}

/* The number that follows `key` in a text; NAN: none. */
double sp_row_behind(const char *text, const char *key)
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

double sp_row_number(const char *text)
{
    double v;
    return sp_parse_real(text, &v) ? v : NAN;
}

/* A count in a table: 0 unless it is one, of a size that can be. */
int64_t sp_row_whole(double v)
{
    return v >= 1 && v <= WHOLE_MAX ? (int64_t)v : 0;
}

const char *sp_row_text(const struct sp_rows *r, const char *fmt, ...)
{
    char line[TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    const char *t = sp_arena_printf(&r->out->mem, "%s", line);
    return t ? t : "out of memory";
}

/* ---- what a row says, into a question ---- */

static bool read_precision(struct sp_ask *a, const struct sp_stack *s, const char *text)
{
    static const struct { const char *word; double bits; } stored[] = {
        { "nf4-dq", 4.127 }, { "nf4", 4.5 }, { "fp4-dq", 4.127 }, { "fp4", 4.5 }, { "4-bit", 4.5 }, { "int4", 4.16 }, { "gptq", 4.16 }, { "awq", 4.16 }, { "int8", 8 },
        { "8-bit", 8 }, { "q2_k", 2.96 }, { "q3_k_s", 3.5 }, { "q3_k", 3.91 }, { "q4_0", 4.5 }, { "q4_1", 5 }, { "q4_k_s", 4.58 }, { "q4_k", 4.85 }, { "q5_0", 5.5 }, { "q5_1", 6 },
        { "q5_k", 5.69 }, { "q6_k", 6.57 }, { "q8_0", 8.5 }, { "iq4_xs", 4.25 },
    };
    bool sixteen = sp_row_says(text, "16"), mixed = sp_row_says(text, "mixed") || sp_row_says(text, "amp"), known = sixteen || sp_row_says(text, "32");
    bool plain = a->task != SP_TASK_SERVE && s->plain_is_mixed && a->method == SP_METHOD_FULL && !sp_row_says(text, "true") && !sp_row_says(text, "pure");
    a->precision = !sixteen && sp_row_says(text, "32") && !mixed ? SP_PRECISION_F32 : mixed || plain ? SP_PRECISION_BF16_MIXED : SP_PRECISION_BF16;
    for (size_t i = 0; i < SP_COUNT(stored); i++)
        if (sp_row_says(text, stored[i].word)) {
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
    s->trains_outside = sp_row_says(text, "(emb") || sp_row_says(text, "embedding");
    for (int i = 0; i < SP_STACK_METHODS_MAX && s->method[i].word; i++)
        if (sp_row_says(text, s->method[i].word)) {
            a->method = s->method[i].method;
            a->rank = s->method[i].rank > 0 ? s->method[i].rank : a->rank;
            s->targets = s->method[i].targets;
            return true;
        }
    for (size_t i = 0; i < SP_COUNT(all); i++)
        if (sp_row_says(text, all[i].word)) {
            a->method = all[i].method;
            return true;
        }
    return false;
}

static void read_optimizer(struct sp_ask *a, const char *optimizer, const char *method)
{
    bool eight = sp_row_says(optimizer, "8-bit") || sp_row_says(optimizer, "8bit") || sp_row_says(method, "8-bit adam");
    a->optimizer = sp_row_says(optimizer, "paged") ? SP_OPTIMIZER_ADAMW_PAGED : eight ? SP_OPTIMIZER_ADAMW_8BIT : sp_row_says(optimizer, "adafactor") ? SP_OPTIMIZER_ADAFACTOR
                 : sp_row_says(optimizer, "galore") ? SP_OPTIMIZER_GALORE : sp_row_says(optimizer, "sgd") ? SP_OPTIMIZER_SGD : SP_OPTIMIZER_ADAMW;
}

/* Options that a table adds one by one, in the order in which torchtune's adds them: a row has those of the rows before it. */
static const char *const added[] = { "packed", "compile", "chunked", "checkpoint", "fuse", "activation offload", "8-bit", NULL };
enum { COMPILE = 1, CHUNKED = 2, CHECKPOINT = 3, FUSE = 4, OFFLOAD = 5, EIGHT = 6 };

static int flags_of(const char *method, const char *source)
{
    int flags = 0, last = -1;
    for (int i = 0; added[i]; i++)
        if (sp_row_says(method, added[i])) {
            flags |= 1 << i;
            last = i;
        } else if (sp_row_says(source, added[i]))
            flags |= 1 << i;
    if (!sp_row_says(source, "on top of previous"))
        return flags;
    return last >= 0 ? (2 << last) - 1 : sp_row_says(method, "full") ? flags : (1 << 7) - 1; /* what is no option comes behind all of them */
}

static void apply_flags(struct sp_reading *g, int flags, bool table)
{
    struct sp_ask *a = &g->ask;
    if (flags & 1 << COMPILE) {
        g->stack.keep = sp_keep_compiled;
        g->stack.logit_working = fmin(g->stack.logit_working, 4); /* the loss is fused: no copy of its own */
    }
    if (flags & 1 << CHUNKED || table)
        g->stack.loss_chunks = flags & 1 << CHUNKED ? 8 : 0;
    g->stack.step_in_backward = g->stack.step_in_backward || flags & 1 << FUSE;
    g->stack.kept_on_host = flags & 1 << OFFLOAD;
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
    double v = sp_row_number(seq);
    if (v >= 1)
        return sp_row_whole(v);
    const char *p = sp_row_says(seq, "model max") ? strstr(source, "max len") : NULL;
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
        tokens = sp_row_behind(p, " ");
        if (*name && !strncmp(plain, name, strlen(name)) && tokens >= 1)
            return sp_row_whole(tokens);
    }
    return 0;
}

/* The number that stands before "GB"; else what the catalogue has under that name. */
static double device_bytes(const struct sp_rows *r, const char *hardware)
{
    const char *p = strstr(hardware, "GB"), *end = p;
    while (p && p > hardware && p[-1] == ' ')
        p--;
    while (p && p > hardware && (isdigit((unsigned char)p[-1]) || p[-1] == '.'))
        p--;
    double gb = p && p < end ? sp_row_behind(p, "") : NAN;
    struct sp_machine m = { .device.count = 0 };
    struct sp_err err;
    if (gb > 0)
        return gb * 1e9;
    return !sp_catalog_place(r->catalog, hardware, &m, &err) && m.device.count > 0 ? m.device.memory_bytes : 0;
}

/* Micro-steps an update, if the source says. */
static int64_t accumulated(const struct sp_stack *s, const char *source, int64_t batch)
{
    double said = sp_row_behind(source, "grad accum"), all = sp_row_behind(source, "minibatch");
    return sp_row_whole(said) ? sp_row_whole(said) : all >= (double)batch && batch > 0 && sp_row_whole(all) ? sp_row_whole(all) / batch : s->accumulate;
}

/* Which matrices an adapter stands beside: those whose number of trained parameters is nearest to what the source says. */
static void read_targets(struct sp_reading *g, const char *source)
{
    char digits[32];
    const char *p = strstr(source, "trainable ");
    size_t n = 0;
    for (p = p ? p + 10 : ""; *p && n + 1 < sizeof digits && (isdigit((unsigned char)*p) || *p == ','); p++)
        if (*p != ',')
            digits[n++] = *p;
    digits[n] = 0;
    double said = n ? sp_row_number(digits) : NAN, least = INFINITY;
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
    bool shared = sp_row_says(method, "fsdp") || sp_row_says(method, "zero-3") || sp_row_says(method, "zero3") || devices > 1;
    a->cut = (struct sp_sharding){ .data = (int64_t)devices, .tensor = 1, .pipeline = 1, .expert = 1, .context = 1, .interleave = 1, .zero = devices > 1 && shared ? 3 : 0 };
    if (sp_row_says(method, "zero-2") || sp_row_says(method, "zero2"))
        a->cut.zero = 2;
    if (sp_row_says(method, "zero-1") || sp_row_says(method, "zero1"))
        a->cut.zero = 1;
    a->cut.offload = sp_row_says(source, "cpu offload") || sp_row_says(method, "offload_opt") || sp_row_says(method, "cpu offload");
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
    bool generates = sp_row_says(method, "generate");
    if (generates) {
        double n = sp_row_behind(method, "generate");
        a->context += n != (double)a->context ? sp_row_whole(n) : 0;
        a->prompt = 1;
    }
    a->cache_bits = sp_row_says(method, "kv int8") || sp_row_says(method, "kv q8_0") ? (sp_row_says(method, "q8_0") ? 8.5 : 8) : 0;
    a->flash = true;
}

bool sp_row_is_paper(const char *s)
{
    return sp_row_behind(s, "L=") > 0 && sp_row_behind(s, "h=") > 0 && sp_row_behind(s, "heads=") > 0 && sp_row_behind(s, "TP=") > 0 && sp_row_behind(s, "PP=") > 0 &&
           sp_row_behind(s, "microbatch=") > 0;
}

/* ---- a paper's own figures ---- */

void sp_row_paper(struct sp_reading *g, const char *s, const char *method, double tokens)
{
    struct sp_ask *a = &g->ask;
    a->task = SP_TASK_TRAIN;
    a->model = (struct sp_model_config){ .family = SP_FAMILY_GPT2, .vocab = 51200, .context = sp_row_whole(tokens), .layers = sp_row_behind(s, "L=") <= LAYERS_MAX ? sp_row_whole(sp_row_behind(s, "L=")) : 0,
                                         .width = sp_row_whole(sp_row_behind(s, "h=")), .heads = sp_row_whole(sp_row_behind(s, "heads=")), .tied = true, .bias = true,
                                         .activation = SP_GELU, .bos = -1 };
    a->batch = sp_row_whole(sp_row_behind(s, "microbatch="));
    a->context = sp_row_whole(tokens);
    a->dropout = 0.1;
    a->precision = SP_PRECISION_FP16_MIXED;
    a->cut = (struct sp_sharding){ .data = 1, .tensor = sp_row_whole(sp_row_behind(s, "TP=")), .pipeline = sp_row_whole(sp_row_behind(s, "PP=")), .expert = 1, .context = 1,
                                   .interleave = 1, .sequence = sp_row_says(method, "seq-par") && !sp_row_says(method, "no seq-par") };
    a->cut.interleave = sp_row_behind(s, "interleave=") > 1 ? sp_row_whole(sp_row_behind(s, "interleave=")) : 1;
    a->accumulate = 16 * a->cut.pipeline; /* enough to fill the pipeline */
    a->recompute = sp_row_says(method, "selective") ? SP_RECOMPUTE_SELECTIVE : sp_row_says(method, "full recompute") ? SP_RECOMPUTE_FULL : SP_RECOMPUTE_NONE;
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
const char *sp_row_ask(const struct sp_rows *r, int i, struct sp_reading *g)
{
    const char *method = sp_row_at(r, i, METHOD), *source = sp_row_at(r, i, SOURCE), *task = sp_row_at(r, i, TASK), *precision = sp_row_at(r, i, PRECISION);
    struct sp_ask *a = &g->ask;
    struct sp_err err;
    double devices = sp_row_number(sp_row_at(r, i, DEVICES)), batch = sp_row_number(sp_row_at(r, i, BATCH));
    const struct sp_stack *s = sp_stack_in(source);
    s = s ? s : sp_stack_in(method);
    s = s ? s : &sp_stacks[0];
    g->stack = *s;
    a->stack = s->name;
    a->task = is(task, "inference") ? SP_TASK_SERVE : is(task, "finetune") ? SP_TASK_FINETUNE : SP_TASK_TRAIN;
    if (model_of(a, sp_row_at(r, i, MODEL), &err))
        return sp_row_text(r, "no model \"%.60s\" in the catalogue", sp_row_at(r, i, MODEL));
    int64_t tokens = tokens_of(sp_row_at(r, i, SEQ), sp_row_at(r, i, MODEL), source);
    a->batch = sp_row_whole(batch);
    devices = sp_row_whole(devices) ? devices : 1;
    a->accumulate = accumulated(s, source, a->batch);
    if (a->task != SP_TASK_SERVE && (!a->batch || !tokens))
        return "no batch or no number of tokens";
    if (a->task == SP_TASK_SERVE)
        a->batch = a->batch ? a->batch : 1;
    if (a->task != SP_TASK_SERVE && !read_method(a, &g->stack, method))
        return sp_row_text(r, "no method in \"%.80s\"", method);
    if (!read_precision(a, s, precision))
        return sp_row_text(r, "no precision in \"%.60s\"", precision);
    if (a->method == SP_METHOD_QLORA && !(a->bits > 0))
        a->bits = s->nf4 > 0 ? s->nf4 : 4.5;
    read_optimizer(a, sp_row_at(r, i, OPTIMIZER), method);
    bool lean = s->lean_full && devices < 2 && a->method == SP_METHOD_FULL && sp_row_says(sp_row_at(r, i, OPTIMIZER), "recipe");
    a->optimizer = lean ? SP_OPTIMIZER_ADAMW_8BIT : a->optimizer;
    cut_devices(a, method, source, devices);
    a->context = tokens;
    a->flash = true;
    a->recompute = devices > 1 ? s->recompute_sharded : s->recompute;
    a->recompute = sp_row_says(method, "no ckpt") ? SP_RECOMPUTE_NONE : a->recompute;
    if (a->task == SP_TASK_SERVE)
        read_serving(a, s, method, tokens);
    if (a->context > a->model.context && a->model.family == SP_FAMILY_GPT2)
        return "more tokens than the model has positions";
    g->stack.keeps_dequantised = sp_row_says(precision, "gptq");
    g->stack.frozen_rest = g->stack.keeps_dequantised ? 0 : s->frozen_rest;
    read_targets(g, source);
    apply_flags(g, flags_of(method, source), sp_row_says(source, "on top of previous"));
    g->stack.step_in_backward = g->stack.step_in_backward || lean;
    g->device = device_bytes(r, sp_row_at(r, i, HARDWARE));
    a->machine.device.count = 1;
    a->machine.device.memory_bytes = g->device;
    return NULL;
}
