/* plan/ask.c - the options of a question to the planner, the model it names, and
 * what completes it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "serve.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "../catalog/models.h"
#include "../file/file.h"

#define AT(field) offsetof(struct sp_ask, field)
const char *const sp_method_names[] = { "full", "lora", "qlora", "dora", "ia3", "bitfit", "adapter", "prefix", "freeze", NULL };
const char *const sp_optimizer_names[] = { "adamw", "adamw-8bit", "adamw-paged", "adafactor", "galore", "sgd", "none", NULL };
const char *const sp_precision_names[] = { "bf16-mixed", "fp16-mixed", "bf16", "fp16", "f32", "fp8", NULL };
static const char *const recomputes[] = { "none", "full", "selective", "auto", NULL };

#define STACK { .name = "stack", .kind = SP_OPT_TEXT, .at = AT(stack), .unit = "NAME", \
                .help = "software: sparsam, hf, torch-fsdp, megatron, llama.cpp, paper; without it the usual one of the job" }

const struct sp_option sp_ask_train_options[] = {
    { .name = "tokens", .kind = SP_OPT_REAL, .at = AT(tokens), .min = 0, .max = 1e17, .group = "Job", .unit = "N",
      .help = "tokens of the data (300G, 1.4T); 0: 20 a parameter" },
    { .name = "epochs", .kind = SP_OPT_REAL, .at = AT(epochs), .min = 0, .max = 1e4, .fallback = 1, .help = "how often they are seen" },
    { .name = "method", .kind = SP_OPT_CHOICE, .at = AT(method), .choices = sp_method_names, .help = "what is trained; all but full need a model to begin with" },
    { .name = "rank", .kind = SP_OPT_INT, .at = AT(rank), .min = 1, .max = 65536, .fallback = 8, .help = "of lora and dora; width of an adapter, tokens of a prefix, layers that freeze leaves free" },
    { .name = "optimizer", .kind = SP_OPT_CHOICE, .at = AT(optimizer), .choices = sp_optimizer_names, .help = "what keeps moments, and in how many bytes" },
    { .name = "precision", .kind = SP_OPT_CHOICE, .at = AT(precision), .choices = sp_precision_names, .help = "of weights and arithmetic; mixed: over f32 master weights" },
    { .name = "bits", .kind = SP_OPT_REAL, .at = AT(bits), .min = 0, .max = 32, .help = "of a stored frozen weight; 0: as precision, qlora 4.127" },
    { .name = "batch", .letter = 'b', .kind = SP_OPT_INT, .at = AT(batch), .min = 1, .max = 1 << 20, .fallback = 1, .unit = "sequences", .help = "a device and micro-step" },
    { .name = "accumulate", .kind = SP_OPT_INT, .at = AT(accumulate), .min = 0, .max = 1 << 20,
      .help = "micro-steps an update; 0: on accelerators what a usual batch takes (DeepSeek's rule), here and for fine-tuning 1" },
    { .name = "context", .letter = 'c', .kind = SP_OPT_INT, .at = AT(context), .min = 0, .max = 1 << 24, .unit = "tokens", .help = "a sequence; 0: the model's, at most 4096" },
    { .name = "dropout", .kind = SP_OPT_REAL, .at = AT(dropout), .min = 0, .max = 0.95, .help = "share of activations dropped" },
    { .name = "recompute", .kind = SP_OPT_CHOICE, .at = AT(recompute), .choices = recomputes, .fallback = SP_RECOMPUTE_AUTO,
      .help = "what the backward pass computes again instead of keeping; auto: as train does here, elsewhere all where the job fits only so" },
    { .name = "flash", .kind = SP_OPT_FLAG, .at = AT(flash), .fallback = 1, .help = "attention that doesn't store its weights" },
    STACK,
    { .name = "data-parallel", .kind = SP_OPT_INT, .at = AT(cut.data), .min = 0, .max = 1 << 20, .group = "How it is cut", .help = "copies of the model; 0: what the devices allow" },
    { .name = "tensor-parallel", .kind = SP_OPT_INT, .at = AT(cut.tensor), .min = 1, .max = 1024, .fallback = 1, .help = "devices that share each layer" },
    { .name = "pipeline-parallel", .kind = SP_OPT_INT, .at = AT(cut.pipeline), .min = 1, .max = 1024, .fallback = 1, .help = "devices in a row, some layers each" },
    { .name = "interleave", .kind = SP_OPT_INT, .at = AT(cut.interleave), .min = 1, .max = 1024, .fallback = 1, .help = "pieces of the model that each device of a pipeline has" },
    { .name = "expert-parallel", .kind = SP_OPT_INT, .at = AT(cut.expert), .min = 1, .max = 4096, .fallback = 1, .help = "devices that share the experts of a mixture" },
    { .name = "context-parallel", .kind = SP_OPT_INT, .at = AT(cut.context), .min = 1, .max = 1024, .fallback = 1, .help = "devices that share a sequence" },
    { .name = "zero", .kind = SP_OPT_INT, .at = AT(cut.zero), .min = 0, .max = 3, .help = "copies share 1: optimizer, 2: and gradients, 3: and weights (FSDP)" },
    { .name = "sequence-parallel", .kind = SP_OPT_FLAG, .at = AT(cut.sequence), .help = "norms and dropout shared like the layers" },
    { .name = "offload", .kind = SP_OPT_FLAG, .at = AT(cut.offload), .help = "optimizer in the host's memory" },
    { 0 },
};

const struct sp_option sp_ask_serve_options[] = {
    { .name = "bits", .kind = SP_OPT_REAL, .at = AT(bits), .min = 0, .max = 32, .group = "Job", .help = "of a stored weight (4.85: Q4_K_M); 0: as precision" },
    { .name = "cache-bits", .kind = SP_OPT_REAL, .at = AT(cache_bits), .min = 0, .max = 32, .help = "of a cached key or value; 0: as precision, at most 16" },
    { .name = "precision", .kind = SP_OPT_CHOICE, .at = AT(precision), .choices = sp_precision_names, .fallback = SP_PRECISION_BF16, .help = "of arithmetic" },
    { .name = "context", .letter = 'c', .kind = SP_OPT_INT, .at = AT(context), .min = 0, .max = 1 << 24, .unit = "tokens", .help = "kept for each user; 0: prompt and answer" },
    { .name = "prompt", .kind = SP_OPT_INT, .at = AT(prompt), .min = 1, .max = 1 << 24, .fallback = 512, .unit = "tokens", .help = "of a question" },
    { .name = "generate", .kind = SP_OPT_INT, .at = AT(generate), .min = 1, .max = 1 << 24, .fallback = 256, .unit = "tokens", .help = "of an answer" },
    { .name = "users", .letter = 'u', .kind = SP_OPT_INT, .at = AT(users), .min = 1, .max = 1 << 20, .fallback = 1, .help = "answered at the same time" },
    { .name = "tokens-per-second", .kind = SP_OPT_REAL, .at = AT(user_tokens_s_least), .min = 0, .max = 1e6, .help = "promised to each user; 0: nothing is" },
    { .name = "first-token", .kind = SP_OPT_REAL, .at = AT(first_token_s_most), .min = 0, .max = 1e6, .unit = "seconds", .help = "promised until the first token; 0: nothing is" },
    { .name = "stack", .kind = SP_OPT_TEXT, .at = AT(stack), .unit = "NAME",
      .help = "software: llama.cpp, exllama, gpt-fast, vllm, tensorrt-llm, hf, sparsam; without it llama.cpp or, on servers, vllm" },
    { .name = "tensor-parallel", .kind = SP_OPT_INT, .at = AT(cut.tensor), .min = 0, .max = 1024, .help = "devices that share each layer; 0: all" },
    { 0 },
};
#undef AT

double sp_precision_bytes(int precision)
{
    return precision == SP_PRECISION_F32 ? 4 : precision == SP_PRECISION_FP8 ? 1 : 2;
}

int64_t sp_ask_devices(const struct sp_ask *a)
{
    return a->machine.device.count > 1 ? a->machine.device.count : 1;
}

/* ---- the model ---- */

/* Llama's proportions: heads of 128 (64 when small), a feed-forward part of 8/3, a layer for every 128 of width at
 * 4096 (32) and fewer below; 32,000 tokens. */
enum sp_status sp_ask_typical(double parameters, struct sp_model_config *out, struct sp_err *err)
{
    if (!(parameters >= 1e5) || parameters > 1e14) {
        sp_fail(err, SP_USAGE, "%g parameters are outside what can be planned", parameters);
        return sp_remedy(err, "100 thousand to 100 trillion (params=125M, 7B, 1.8T)");
    }
    struct sp_model_config best = { 0 };
    double least = INFINITY;
    for (int64_t width = 64; width <= 65536; width += width < 1024 ? 64 : 256) {
        double body = 4.0 * (double)width * (double)width + 3.0 * (double)width * 64 * round((double)width * 8 / 3 / 64);
        int64_t vocab = parameters < 5e7 ? 4096 : 32000;
        double rest = (parameters > 1e9 ? 2.0 : 1.0) * (double)(vocab * width), layers = round((parameters - rest) / body);
        double usual = 32 * pow((double)width / 4096, 0.8);
        if (layers < 1 || layers > 1000)
            continue;
        double off = fabs(log(layers / usual)) + 8 * fabs(log((body * layers + rest) / parameters));
        if (off >= least)
            continue;
        least = off;
        best = (struct sp_model_config){ .family = SP_FAMILY_LLAMA, .vocab = vocab, .context = 4096, .layers = (int64_t)layers, .width = width,
                                         .heads = width / (width >= 1024 ? 128 : 64), .ffn = 64 * (int64_t)round((double)width * 8 / 3 / 64),
                                         .tied = parameters <= 1e9, .bos = -1 };
    }
    if (!best.layers)
        return sp_fail(err, SP_USAGE, "no typical shape has %g parameters", parameters);
    *out = best;
    return sp_model_config_finish(out, err);
}

static bool is_number_of_parameters(const char *name, double *out)
{
    const char *s = strncmp(name, "params=", 7) ? name : name + 7;
    char number[32];
    size_t n = strspn(s, "0123456789.eE+");
    double unit = !s[n] ? 1 : strchr("Kk", s[n]) ? 1e3 : strchr("Mm", s[n]) ? 1e6 : strchr("BbGg", s[n]) ? 1e9 : strchr("Tt", s[n]) ? 1e12 : 0;
    if (!n || n >= sizeof number || unit == 0 || (s[n] && s[n + 1]))
        return false;
    memcpy(number, s, n);
    number[n] = 0;
    if (!sp_parse_real(number, out))
        return false;
    *out *= unit;
    return true;
}

static enum sp_status of_catalogue(struct sp_model_config *out, const struct sp_model_fact *f, struct sp_err *err)
{
    json_t *j = NULL;
    enum sp_status st = sp_json_parse(&j, f->config, strlen(f->config), f->name, err);
    if (!st && (st = sp_model_config_parse(out, j, err)))
        sp_where(err, "%s of the catalogue", f->name);
    json_decref(j);
    return st;
}

/* Of a GGUF file the bits that a weight is stored in are known too. */
static enum sp_status by_file(struct sp_ask *a, const char *name, struct sp_err *err)
{
    size_t n = strlen(name);
    double bits = 0;
    if (n < 5 || strcasecmp(name + n - 5, ".gguf"))
        return sp_model_config_read(&a->model, name, err);
    TRY(sp_gguf_config(&a->model, name, &bits, err));
    if (a->task == SP_TASK_SERVE && a->bits <= 0)
        a->bits = bits;
    return SP_OK;
}

/* A file or folder where there is one, else a name of the catalogue. */
static enum sp_status by_name(struct sp_ask *a, const char *name, struct sp_err *err)
{
    struct sp_models *known = NULL;
    struct sp_text near = { .max = 200 };
    if (sp_is_folder(name) || sp_is_file(name))
        return by_file(a, name, err);
    TRY(sp_models_open(&known, err));
    const struct sp_model_fact *f = sp_models_find(known, name);
    enum sp_status st = f ? of_catalogue(&a->model, f, err) : sp_fail(err, SP_MISSING, "no model is called \"%.60s\", and no file or folder either", name);
    if (!f) {
        sp_models_nearest(known, name, 3, &near);
        sp_remedy(err, "near it are %s; a folder with config.json or params=7B will do as well", near.at ? near.at : "none");
    }
    sp_text_clear(&near);
    sp_models_free(known);
    return st;
}

enum sp_status sp_ask_model(struct sp_ask *a, const char *name, struct sp_err *err)
{
    double wanted;
    int64_t all, active;
    a->model_name = name;
    a->typical = is_number_of_parameters(name, &wanted);
    if (a->typical)
        TRY(sp_ask_typical(wanted, &a->model, err));
    else
        TRY(by_name(a, name, err));
    TRY(sp_model_parameters(&a->model, &all, err));
    TRY(sp_model_active_parameters(&a->model, &active, err));
    a->parameters = (double)all;
    a->active = (double)active;
    return SP_OK;
}

/* ---- completing ---- */

static enum sp_status divides(const char *what, int64_t n, const char *of, int64_t parts, struct sp_err *err)
{
    if (n % parts == 0)
        return SP_OK;
    sp_fail(err, SP_USAGE, "--%s %lld does not divide the model's %lld %s", what, (long long)parts, (long long)n, of);
    return sp_remedy(err, "take a divisor of %lld", (long long)n);
}

static enum sp_status check_cut(const struct sp_ask *a, struct sp_err *err)
{
    const struct sp_sharding *c = &a->cut;
    int64_t one = c->tensor * c->pipeline * c->context, all = sp_ask_devices(a);
    TRY(divides("tensor-parallel", a->model.heads, "heads", c->tensor, err));
    if (c->pipeline > a->model.layers) {
        sp_fail(err, SP_USAGE, "--pipeline-parallel %lld is more than the model's %lld layers", (long long)c->pipeline, (long long)a->model.layers);
        return sp_remedy(err, "give every device a layer at least");
    }
    if (one * c->data != all) {
        sp_fail(err, SP_USAGE, "data %lld x tensor %lld x pipeline %lld x context %lld is not the %lld devices of --on", (long long)c->data,
                (long long)c->tensor, (long long)c->pipeline, (long long)c->context, (long long)all);
        return sp_remedy(err, "let the four multiply to the number of devices, or leave --data-parallel out");
    }
    return SP_OK;
}

/* Tokens of an update where nobody says: 0.2920 C^0.3271 for C FLOP of training (DeepSeek LLM 2024, section 3). */
static int64_t usual_accumulation(const struct sp_ask *a)
{
    double all = 0.2920 * pow(6 * a->active * a->tokens * (a->epochs > 0 ? a->epochs : 1), 0.3271);
    double micro = (double)(a->batch > 0 ? a->batch : 1) * (double)a->context * (double)(a->cut.data > 0 ? a->cut.data : 1);
    double n = round(all / micro);
    return a->task != SP_TASK_TRAIN || !a->machine.device.count || !(n > 1) ? 1 : n < 1 << 20 ? (int64_t)n : 1 << 20;
}

enum sp_status sp_ask_finish(struct sp_ask *a, struct sp_err *err)
{
    struct sp_sharding *c = &a->cut;
    int64_t all = sp_ask_devices(a);
    if (a->task == SP_TASK_SERVE) {
        bool row = !c->tensor && sp_serve_by_layers(a);
        c->tensor = row ? 1 : c->tensor ? c->tensor : all;
        c->pipeline = row ? all : 1;
        c->context = c->expert = 1;
        c->data = all / (c->tensor * c->pipeline);
        a->context = a->context ? a->context : a->prompt + a->generate;
    } else if (!a->context)
        a->context = a->model.context < 4096 ? a->model.context : 4096;
    if (a->task == SP_TASK_TRAIN && a->method != SP_METHOD_FULL) {
        sp_fail(err, SP_USAGE, "--method %s needs a trained model to begin with", sp_method_names[a->method]);
        return sp_remedy(err, "sparsam plan finetune plans that");
    }
    if (!c->data && c->tensor * c->pipeline * c->context > 0)
        c->data = all / (c->tensor * c->pipeline * c->context);
    if (!a->tokens && a->task == SP_TASK_TRAIN)
        a->tokens = 20 * a->parameters;
    if (!a->bits && a->method == SP_METHOD_QLORA)
        a->bits = 4.127;
    if (a->recompute == SP_RECOMPUTE_AUTO)
        a->recompute = a->machine.device.name[0] ? SP_RECOMPUTE_NONE : SP_RECOMPUTE_SELECTIVE;
    if (!a->accumulate)
        a->accumulate = usual_accumulation(a);
    return check_cut(a, err);
}

void sp_explain(struct sp_explain *e, const char *fmt, ...)
{
    char line[1024];
    va_list ap;
    if (!e)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    sp_text_printf(&e->text, "%s\n", line);
}
