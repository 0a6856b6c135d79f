/* cli/quantize.h - what the parts of `quantize` share.  Private to cli.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_QUANTIZE_H
#define SP_QUANTIZE_H
#include "../bits/bits.h"
#include "eval.h"

enum quantize_method { QUANTIZE_BEST, QUANTIZE_NEAREST, QUANTIZE_IMPORTANCE, QUANTIZE_COMPENSATE };
struct quantize_options {
    const char *to, *embed, *size, *out, *tokenizer, *calibrate, *key, *imatrix, *save_imatrix;
    struct sp_option_list texts;
    double bits;
    int64_t windows, fit;
    int method;
    bool pure, explain, no_judge;
};

/* What running a model gave: tokens a second, memory at most; joules a token of an answer, 0 where no counter says.  prompt 0: it wasn't run. */
struct quantize_speed { double prompt, generate, bytes, joules; };

struct quantizing {
    struct sp_machine machine;
    struct sp_pool *pool;
    struct sp_weights weights;
    struct sp_tokenizer *tokenizer;
    struct sp_export export;
    struct sp_progress bar;
    struct sp_ids ids;                       /* of the calibration text          */
    struct sp_windows calibrating, judging;  /* its beginning and its end        */
    struct sp_bits_stats stats;
    struct sp_bits_rounding rounding;
    struct sp_fitted fitted; double fit_seconds; /* steps 0: it wasn't    */
    struct sp_choices *choices;              /* of every tensor; NULL: no budget */
    double predicted;                        /* nats a token, with a budget      */
    uint64_t before, after, file;            /* bytes of tensors; of the file    */
    int64_t parameters;
    bool judged;
    struct eval_result *quality;
    struct quantize_speed speed_before, speed_after;
};

/* quantize_choose.c: windows and importance from --calibrate, or importance from --imatrix; formats by --to, --size or --bits. */
enum sp_status quantize_check(const struct quantize_options *o, bool gguf, struct sp_err *err);
enum sp_status quantize_calibrate(struct quantizing *q, const struct verb_call *call, struct sp_err *err);
enum sp_status quantize_choose(struct quantizing *q, const struct verb_call *call, const char *name, struct sp_err *err);
/* quantize_fit.c: --fit, of the file that was written; what it brought, in words and for programs (new reference). */
enum sp_status quantize_fit_check(const struct quantize_options *o, bool gguf, struct sp_err *err);
enum sp_status quantize_fit(struct quantizing *q, const struct verb_call *call, struct sp_err *err);
void quantize_fit_show(const struct quantizing *q);
json_t *quantize_fit_json(const struct quantizing *q);
/* quantize_speed.c: speed_before and speed_after, side by side; what fails is left out. */
void quantize_measure(struct quantizing *q, const char *before, const char *after);
/* quantize_show.c: quality, speed and memory of what was written beside the original's; the table. */
enum sp_status quantize_judge(struct quantizing *q, const struct verb_call *call, struct sp_err *err);
void quantize_show(const struct quantizing *q, const struct quantize_options *o);
json_t *quantize_json(const struct quantizing *q); /* new reference */
#endif
