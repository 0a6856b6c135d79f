/* plan/serve_fit.h - the time of a step of serving from what it reads and computes:
 * the formulas, the learned numbers in them, and how those are learned.
 *
 * One step answers `rows` tokens at once: those of a prompt (prefill) or one of each
 * user (decode).  On an accelerator
 *
 *   decode   max(bytes / (bandwidth share) + handling bytes / flops, arithmetic) + delay layers + delay + links
 *   prefill  max(arithmetic, bytes / (bandwidth share)) + the same
 *
 * handling: work of ordinary units for every byte that comes in (unpacking, multiplying, addresses).  It is why a
 * device with much bandwidth for its arithmetic (A100: 10 FLOP a byte; RTX 4090: 82) reaches a smaller share of
 * the bandwidth.  On a processor a thread brings in only so many bytes, and unpacks weights with work that depends on
 * how they are packed, at the rate of a core.
 *
 * Every number begins at a stated value and leaves it only as far as rows insist: least squares in the logarithm
 * of the time, rows far off counting by their distance alone (Huber), plus (log(number / beginning) / spread)^2.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_SERVE_FIT_H
#define SP_SERVE_FIT_H
#include "serve.h"

enum sp_serve_maker { SP_SERVE_GPU, SP_SERVE_APPLE, SP_SERVE_PROCESSOR };
/* How weights are packed: bits side by side; in two planes (3, 5, 6 bits); a table of 16 values; tables of whole groups. */
enum sp_serve_packing { SP_SERVE_PLAIN, SP_SERVE_PLANES, SP_SERVE_VALUES, SP_SERVE_CODEBOOK, SP_SERVE_CODEBOOK3 };

enum sp_serve_constant {
    SP_K_SHARE, SP_K_SHARE_APPLE, SP_K_HANDLING, SP_K_HANDLING_APPLE, SP_K_LAYER, SP_K_LAYER_APPLE, SP_K_LAYER_MIXTURE, SP_K_STEP,
    SP_K_LLAMACPP, SP_K_EXLLAMA, SP_K_COMPILED,
    SP_K_THREAD, SP_K_SHARE_PROCESSOR, SP_K_UNPACK, SP_K_UNPACK_PLANES, SP_K_UNPACK_VALUES, SP_K_UNPACK_CODEBOOK, SP_K_UNPACK_IK,
    SP_K_PEAK, SP_K_PEAK_APPLE, SP_K_PEAK_PACKED,
    SP_K_PEAK_THREAD, SP_K_PEAK_CODEBOOK, SP_K_PEAK_IK,
    SP_K_OFF, SP_K_OFF_PROCESSOR, SP_K_OFF_PREFILL, SP_K_OFF_PREFILL_PROCESSOR, /* half width of the printed range, as a logarithm */
    SP_SERVE_CONSTANTS,
};
/* What is fitted together. */
enum sp_serve_what { SP_SERVE_DECODE, SP_SERVE_DECODE_PROCESSOR, SP_SERVE_PREFILL, SP_SERVE_PREFILL_PROCESSOR, SP_SERVE_WHATS };
struct sp_serve_constants { double v[SP_SERVE_CONSTANTS]; };
struct sp_serve_constant_row { const char *name, *unit; double begin, spread, fitted; enum sp_serve_what of; };
extern const struct sp_serve_constant_row sp_serve_constant_rows[SP_SERVE_CONSTANTS];
struct sp_serve_constants sp_serve_compiled(void);

/* Software; a row of the table in serve_fit.c. */
struct sp_serve_stack {
    const char *name, *help, *memory; /* memory: its row among the stacks of memory.h */
    enum sp_serve_constant pace;   /* factor on handling and delay                             */
    double layer_s;                /* delay of a layer in place of the learned one; 0: none    */
    double peak;                   /* share of it that prompts reach in place of the learned one; 0: none */
    bool by_layers;                /* several devices hold layers in a row                     */
};
extern const struct sp_serve_stack sp_serve_stacks[];      /* ends with name NULL */
const struct sp_serve_stack *sp_serve_stack_find(const char *name);     /* NULL: there is none */

struct sp_serve_case {
    enum sp_serve_maker maker;
    const struct sp_serve_stack *stack;
    bool ecc, mixture, prefill, packed, ik; /* ecc: in the memory's own bits; packed: weights are unpacked to be computed with; ik: llama.cpp's fork with repacked weights */
    enum sp_serve_packing packing;
    double bytes_per_s, flops_f32, flops_peak, link_bytes_per_s; /* of a device; peak: of the matrix units in the format used */
    double threads, flops_core;    /* of a processor: those that work; f32 rate of one core */
    double weights, bits, cache_bytes, flops, rows; /* of a step, one copy of the model; weights: numbers read */
    double layers, width;
    double parts, chain;           /* devices that share each layer; devices in a row */
    bool flops_assumed, bytes_assumed;
};
/* Seconds; part may be NULL. */
double sp_serve_step_s(const struct sp_serve_case *c, const struct sp_serve_constants *k, double part[SP_SERVE_PARTS]);
enum sp_serve_what sp_serve_what_of(const struct sp_serve_case *c);
enum sp_serve_constant sp_serve_off_of(const struct sp_serve_case *c);  /* which range goes with it */

struct sp_serve_row { struct sp_serve_case c; double seconds; int group; };
/* Fits all rows but those of group `without` (-1: all), each kind of row the numbers that are of its kind. */
void sp_serve_fit(const struct sp_serve_row *row, int n, int without, struct sp_serve_constants *out);

/* ---- counted from the graph ---- */
struct sp_serve_count { double weights, cache_bytes, flops; };  /* a step: weights read; bytes of 16-bit caches of all sequences */
enum sp_status sp_serve_count(const struct sp_model_config *c, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_count *out, struct sp_err *err);
/* The same of a's model, from a->memo where it was counted before. */
enum sp_status sp_serve_counted(const struct sp_ask *a, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_count *out, struct sp_err *err);
/* The step of a: `batch` sequences of `tokens` tokens each with `positions` in the cache (of them). */
enum sp_status sp_serve_case_of(const struct sp_ask *a, int64_t batch, int64_t tokens, int64_t positions, struct sp_serve_case *out, struct sp_err *err);
enum sp_status sp_plan_serve_with(const struct sp_ask *a, const struct sp_serve_constants *k, struct sp_serve_plan *out, struct sp_explain *x, struct sp_err *err);
#endif
