/* plan/serve_fit.c - the time of a step of serving: what is known of software, the
 * learned numbers, the formulas.
 * SPDX-License-Identifier: Apache-2.0 */
#include "serve_fit.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* Not learned: few rows say anything of them. */
static const double REDUCE_S = 10e-6;      /* a sum over devices, before its bytes: two launches and a round of messages */
static const double HAND_OVER_S = 100e-6;  /* from one device to the next in a row, through the host */
static const double EAGER_LAYER_S = 600e-6; /* some 60 operations a layer that Python starts at 10 us each */
static const double LIBRARY_PEAK = 0.6;    /* of matrix units, by the vendor's library with thousands of rows */
static const double ECC_SHARE = 15.0 / 16;  /* a sixteenth of GDDR6 holds the check bits when they share the memory */
static const double CHUNK = 2048;           /* tokens of a prompt that go through the layers at a time */
static const double OVERLAP_CHUNK = 512, OVERLAP_MOST = 4; /* of a prompt that devices in a row work on together */

const struct sp_serve_stack sp_serve_stacks[] = {
    { "llama.cpp", "GGUF files; several devices hold layers in a row", "llama.cpp", SP_K_LLAMACPP, 0, 0, true },
    { "exllama", "GPTQ and EXL2 on one GPU", "llama.cpp", SP_K_EXLLAMA, 0, 0, true },
    { "gpt-fast", "compiled PyTorch", "vllm", SP_K_COMPILED, 0, LIBRARY_PEAK, false },
    { "vllm", "many users at a time; its pace taken from gpt-fast", "vllm", SP_K_COMPILED, 0, LIBRARY_PEAK, false },
    { "tensorrt-llm", "many users at a time; its pace taken from gpt-fast", "vllm", SP_K_COMPILED, 0, LIBRARY_PEAK, false },
    { "hf", "transformers, eager", "hf", SP_K_COMPILED, EAGER_LAYER_S, LIBRARY_PEAK, true },
    { "sparsam", "its pace on other machines taken from llama.cpp", "llama.cpp", SP_K_LLAMACPP, 0, 0, true },
    { NULL },
};

const struct sp_serve_stack *sp_serve_stack_find(const char *name)
{
    for (const struct sp_serve_stack *s = sp_serve_stacks; s->name; s++)
        if (!strcasecmp(s->name, name))
            return s;
    return NULL;
}

/* Beginnings: a memory gives 92 % of its rated bandwidth to plain reading; 2 FLOP for each 16-bit weight, and as much
 * again for addresses; a layer is about ten launches of 5 us; a token 0.3 ms of sampling and host; software, Apple's
 * driver and mixtures as all others until rows say otherwise; a thread brings in 25 GB/s and unpacks a weight in
 * 2.5 FLOP, with table look-ups in three times that; prompts reach 40 % of the matrix units, 60 % where there are
 * none, 80 % of the f32 rate of a processor (which works in int8, and waits).  Fitted: on 248 measurements, answers and
 * prompts of GPUs (69, 39) and of processors (70, 70), by
 *
 *     sparsam plan check inference runs_inference.csv --constants all Fitted, on 208 measurements of 195 rows:
 *   sparsam plan check inference runs_inference.csv --constants all */
#define R(id, name_, unit_, begin_, spread_, fitted_, of_) [id] = { name_, unit_, begin_, spread_, fitted_, of_ }
const struct sp_serve_constant_row sp_serve_constant_rows[SP_SERVE_CONSTANTS] = {
    R(SP_K_SHARE, "bandwidth reached, GPU", "of rated", 0.92, 0.05, 0.9717, SP_SERVE_DECODE),
    R(SP_K_SHARE_APPLE, "bandwidth reached, Apple GPU", "of rated", 0.92, 0.05, 0.9226, SP_SERVE_DECODE),
    R(SP_K_HANDLING, "handling of what is read", "FLOP a byte", 4, 1, 5.375, SP_SERVE_DECODE),
    R(SP_K_HANDLING_APPLE, "handling, Apple GPU", "times", 1, 0.5, 1.352, SP_SERVE_DECODE),
    R(SP_K_LAYER, "delay of a layer", "s", 50e-6, 0.7, 4.432e-05, SP_SERVE_DECODE),
    R(SP_K_LAYER_APPLE, "delay of a layer, Apple GPU", "times", 1, 0.5, 1.457, SP_SERVE_DECODE),
    R(SP_K_LAYER_MIXTURE, "delay of a layer with experts", "times", 1, 0.5, 1.721, SP_SERVE_DECODE),
    R(SP_K_STEP, "delay of a token", "s", 300e-6, 0.3, 0.0002792, SP_SERVE_DECODE),
    R(SP_K_LLAMACPP, "handling and delay, llama.cpp", "times", 1, 0.3, 1.617, SP_SERVE_DECODE),
    R(SP_K_EXLLAMA, "handling and delay, exllama", "times", 1, 0.3, 0.7246, SP_SERVE_DECODE),
    R(SP_K_COMPILED, "handling and delay, gpt-fast", "times", 1, 0.3, 0.8571, SP_SERVE_DECODE),
    R(SP_K_THREAD, "bandwidth of a thread", "byte/s", 25e9, 0.3, 3.596e+10, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_SHARE_PROCESSOR, "bandwidth reached, all threads", "of rated", 0.9, 0.1, 0.798, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_UNPACK, "unpacking of a weight", "FLOP", 2.5, 0.7, 2.965, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_UNPACK_PLANES, "unpacking, bits in two planes", "times", 1, 0.3, 1.376, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_UNPACK_VALUES, "unpacking, table of values", "times", 1, 0.3, 1.004, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_UNPACK_CODEBOOK, "unpacking, table of groups", "times", 3, 0.5, 2.412, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_UNPACK_IK, "unpacking, ik_llama.cpp repacked", "times", 0.7, 0.3, 0.6585, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_PEAK, "peak reached by prompts, GPU", "of rated", 0.4, 0.5, 0.3723, SP_SERVE_PREFILL),
    R(SP_K_PEAK_APPLE, "peak reached by prompts, Apple GPU", "of rated", 0.6, 0.5, 0.705, SP_SERVE_PREFILL),
    R(SP_K_PEAK_PACKED, "of that with packed weights", "times", 0.8, 0.3, 0.8066, SP_SERVE_PREFILL),
    R(SP_K_PEAK_THREAD, "peak reached by prompts, processor", "of f32 rate", 0.8, 0.7, 0.5389, SP_SERVE_PREFILL_PROCESSOR),
    R(SP_K_PEAK_CODEBOOK, "of that with tables of groups", "times", 0.5, 0.5, 0.5547, SP_SERVE_PREFILL_PROCESSOR),
    R(SP_K_PEAK_IK, "of that in ik_llama.cpp", "times", 1.5, 0.5, 3.304, SP_SERVE_PREFILL_PROCESSOR),
    R(SP_K_OFF, "half width of the range, GPU", "log", 0.3, 0, 0.2609, SP_SERVE_DECODE),
    R(SP_K_OFF_PROCESSOR, "half width of the range, processor", "log", 0.5, 0, 0.4254, SP_SERVE_DECODE_PROCESSOR),
    R(SP_K_OFF_PREFILL, "half width of the range, prompts, GPU", "log", 0.5, 0, 0.5161, SP_SERVE_PREFILL),
    R(SP_K_OFF_PREFILL_PROCESSOR, "half width of the range, prompts, processor", "log", 0.6, 0, 0.7317, SP_SERVE_PREFILL_PROCESSOR),
};
#undef R

struct sp_serve_constants sp_serve_compiled(void)
{
    struct sp_serve_constants k;
    for (int i = 0; i < SP_SERVE_CONSTANTS; i++)
        k.v[i] = sp_serve_constant_rows[i].fitted;
    return k;
}

enum sp_serve_what sp_serve_what_of(const struct sp_serve_case *c)
{
    return c->maker == SP_SERVE_PROCESSOR ? c->prefill ? SP_SERVE_PREFILL_PROCESSOR : SP_SERVE_DECODE_PROCESSOR
                                          : c->prefill ? SP_SERVE_PREFILL : SP_SERVE_DECODE;
}

enum sp_serve_constant sp_serve_off_of(const struct sp_serve_case *c)
{
    return (enum sp_serve_constant)(SP_K_OFF + (int)sp_serve_what_of(c));
}

/* ---- a processor ---- */

static double unpacking(const struct sp_serve_case *c, const double *k)
{
    double s = k[SP_K_UNPACK] / c->flops_core * (c->ik ? k[SP_K_UNPACK_IK] : 1);
    s *= c->packing == SP_SERVE_PLANES || c->packing == SP_SERVE_CODEBOOK3 ? k[SP_K_UNPACK_PLANES] : 1;
    s *= c->packing == SP_SERVE_VALUES ? k[SP_K_UNPACK_VALUES] : 1;
    return s * (c->packing >= SP_SERVE_CODEBOOK ? k[SP_K_UNPACK_CODEBOOK] : 1);
}

static void processor_step(const struct sp_serve_case *c, const double *k, double part[SP_SERVE_PARTS])
{
    double band = fmin(c->threads * k[SP_K_THREAD], c->bytes_per_s * k[SP_K_SHARE_PROCESSOR]);
    double peak = c->threads * c->flops_core * k[SP_K_PEAK_THREAD] * (c->ik ? k[SP_K_PEAK_IK] : 1) * (c->packing >= SP_SERVE_CODEBOOK ? k[SP_K_PEAK_CODEBOOK] : 1);
    part[SP_SERVE_WEIGHTS] = c->weights * hypot(c->bits / 8 / band, c->prefill ? 0 : unpacking(c, k) / c->threads) * ceil(c->rows / CHUNK);
    part[SP_SERVE_CACHE] = c->cache_bytes / band;
    part[SP_SERVE_ARITHMETIC] = c->flops / peak;
}

/* ---- an accelerator ---- */

static double delay(const struct sp_serve_case *c, const double *k)
{
    double layer = c->stack->layer_s > 0 ? c->stack->layer_s
                                         : k[SP_K_LAYER] * k[c->stack->pace] * (c->maker == SP_SERVE_APPLE ? k[SP_K_LAYER_APPLE] : 1);
    return c->layers * layer * (c->mixture ? k[SP_K_LAYER_MIXTURE] : 1) + k[SP_K_STEP];
}

static void device_step(const struct sp_serve_case *c, const double *k, double part[SP_SERVE_PARTS])
{
    bool apple = c->maker == SP_SERVE_APPLE;
    double band = c->bytes_per_s * k[apple ? SP_K_SHARE_APPLE : SP_K_SHARE] * (c->ecc ? ECC_SHARE : 1);
    double handling = c->prefill ? 0 : k[SP_K_HANDLING] * k[c->stack->pace] * (apple ? k[SP_K_HANDLING_APPLE] : 1) / c->flops_f32;
    double byte_s = (1 / band + handling) / c->parts;
    double peak = c->flops_peak * (c->stack->peak > 0 ? c->stack->peak : k[apple ? SP_K_PEAK_APPLE : SP_K_PEAK]) * (c->packed ? k[SP_K_PEAK_PACKED] : 1);
    part[SP_SERVE_WEIGHTS] = c->weights * c->bits / 8 * byte_s * ceil(c->rows / CHUNK);
    part[SP_SERVE_CACHE] = c->cache_bytes * byte_s;
    part[SP_SERVE_ARITHMETIC] = c->flops / peak / c->parts;
    part[SP_SERVE_DELAY] = delay(c, k);
}

/* ---- several devices ---- */

/* Two sums over the devices a layer, each of `rows` rows of 16-bit numbers, of which a device sends 2 (n-1)/n. */
static double links(const struct sp_serve_case *c)
{
    double bytes = 2 * (c->parts - 1) / c->parts * c->rows * c->width * 2;
    double reduce = REDUCE_S + (c->link_bytes_per_s > 0 ? bytes / c->link_bytes_per_s : 0);
    return (c->parts > 1 ? 2 * c->layers * reduce : 0) + (c->chain - 1) * HAND_OVER_S;
}

/* A prompt goes through devices in a row in chunks, so that they work at the same time. */
static double overlap(const struct sp_serve_case *c)
{
    double chunks = fmin(OVERLAP_MOST, ceil(c->rows / OVERLAP_CHUNK));
    return c->prefill ? c->chain * chunks / (c->chain + chunks - 1) : 1;
}

double sp_serve_step_s(const struct sp_serve_case *c, const struct sp_serve_constants *k, double out[SP_SERVE_PARTS])
{
    double part[SP_SERVE_PARTS] = { 0 }, all = 0;
    if (c->maker == SP_SERVE_PROCESSOR)
        processor_step(c, k->v, part);
    else
        device_step(c, k->v, part);
    double reading = part[SP_SERVE_WEIGHTS] + part[SP_SERVE_CACHE], slower = overlap(c);
    if (part[SP_SERVE_ARITHMETIC] > reading) /* the shorter hides behind the longer */
        part[SP_SERVE_WEIGHTS] = part[SP_SERVE_CACHE] = 0;
    else
        part[SP_SERVE_ARITHMETIC] = 0;
    part[SP_SERVE_LINKS] = links(c);
    for (int i = 0; i < SP_SERVE_PARTS; i++) {
        part[i] /= i == SP_SERVE_LINKS ? 1 : slower;
        all += part[i];
    }
    if (out)
        memcpy(out, part, sizeof part);
    return all;
}
