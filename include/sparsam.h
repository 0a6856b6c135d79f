/* sparsam.h - what an AI model costs, how it gets cheaper, what that really saved.
 *
 * A program:
 *     #include <sparsam.h>
 *     #include <stdio.h>
 *     int main(int argc, char **argv)
 *     {
 *         struct sparsam_machine *here = NULL;
 *         struct sparsam_model *model = NULL;
 *         struct sparsam_answer answer = SPARSAM_ANSWER;
 *         if (argc < 3 || sparsam_machine_open(&here, NULL) || sparsam_model_open(&model, here, argv[1], NULL) ||
 *             sparsam_generate(model, argv[2], NULL, &answer))
 *             return fprintf(stderr, "%s\n", argc < 3 ? "usage: MODEL PROMPT" : sparsam_error()) < 0 ? 2 : 1;
 *         puts(answer.text);
 *         sparsam_answer_clear(&answer), sparsam_model_close(model), sparsam_machine_close(here);
 *     }
 *
 * Handles are opaque and belong to the caller until closed; closing NULL does
 * nothing.  Option structs begin with their size, so that a program compiled
 * against an older header keeps working: start from SPARSAM_..._OPTIONS.
 * A function that fails returns a status and leaves its sentence for
 * sparsam_error(), which is kept for each thread.  Nothing here prints or exits.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SPARSAM_H
#define SPARSAM_H
#include <stddef.h>
#include <stdint.h>

#define SPARSAM_VERSION "0.1.0"

#ifdef __cplusplus
extern "C" {
#endif
#define SPARSAM_API __attribute__((visibility("default")))

enum sparsam_status {
    SPARSAM_OK,
    SPARSAM_NOMEM,
    SPARSAM_USAGE,
    SPARSAM_SHAPE,
    SPARSAM_FORMAT,
    SPARSAM_IO,
    SPARSAM_LIMIT,
    SPARSAM_UNSUPPORTED,
    SPARSAM_DIVERGED,
    SPARSAM_INTERRUPTED,
    SPARSAM_MISSING,
};

/* The library's version, which may be newer than SPARSAM_VERSION of this header. */
SPARSAM_API const char *sparsam_version(void);
/* The sentence of this thread's last failure: what was found, what was wanted, the way out.  "" before any. */
SPARSAM_API const char *sparsam_error(void);

/* ---- the machine ---- */
struct sparsam_machine;
struct sparsam_machine_options {
    size_t size;    /* sizeof this struct                                */
    int threads;    /* 0: as many as this process may use                */
};
#define SPARSAM_MACHINE_OPTIONS { sizeof(struct sparsam_machine_options), 0 }
/* options NULL: all defaults. */
SPARSAM_API enum sparsam_status sparsam_machine_open(struct sparsam_machine **out,
                                                     const struct sparsam_machine_options *options);
SPARSAM_API void sparsam_machine_close(struct sparsam_machine *m);
/* One line about it into buf; returns buf. */
SPARSAM_API const char *sparsam_machine_text(const struct sparsam_machine *m, char *buf, size_t cap);
SPARSAM_API int sparsam_machine_threads(const struct sparsam_machine *m);

/* ---- a model that answers ----
 * path: a Hugging Face folder (config.json, model.safetensors, tokenizer.json) or a llama2.c checkpoint.
 * The machine must stay open longer than the model.  A model answers one prompt at a time. */
struct sparsam_model;
struct sparsam_model_options {
    size_t size;
    int64_t context;        /* positions to keep; 0: the model's own            */
    int bf16;               /* compute in bfloat16 instead of f32               */
    const char *tokenizer;  /* a file; NULL: the one beside the model           */
};
#define SPARSAM_MODEL_OPTIONS { sizeof(struct sparsam_model_options), 0, 0, NULL }
SPARSAM_API enum sparsam_status sparsam_model_open(struct sparsam_model **out, struct sparsam_machine *m,
                                                   const char *path, const struct sparsam_model_options *options);
SPARSAM_API void sparsam_model_close(struct sparsam_model *model);
SPARSAM_API int64_t sparsam_model_parameters(const struct sparsam_model *model);

struct sparsam_generate_options {
    size_t size;
    int64_t max_tokens;
    double temperature;     /* 0: always the likeliest token                    */
    double top_p, min_p;    /* 1 and 0: off                                     */
    int64_t top_k;          /* 0: off                                           */
    int64_t seed;
    /* Called with each piece of text as it becomes whole characters; may be NULL. */
    void (*on_text)(void *self, const char *text);
    void *self;
};
#define SPARSAM_GENERATE_OPTIONS { sizeof(struct sparsam_generate_options), 256, 0, 1, 0, 0, 0, NULL, NULL }
struct sparsam_answer {
    size_t size;
    char *text;             /* UTF-8, ends with 0; sparsam_answer_clear frees it */
    int64_t prompt_tokens, tokens;
    double prompt_s, generate_s;
};
#define SPARSAM_ANSWER { sizeof(struct sparsam_answer), NULL, 0, 0, 0, 0 }
SPARSAM_API enum sparsam_status sparsam_generate(struct sparsam_model *model, const char *prompt,
                                                 const struct sparsam_generate_options *options,
                                                 struct sparsam_answer *out);
SPARSAM_API void sparsam_answer_clear(struct sparsam_answer *a);

/* ---- what a training step costs, counted without running it ----
 * recipe: a YAML file as `sparsam train --print-recipe` writes it.  Its model must say its vocabulary. */
struct sparsam_prediction {
    size_t size;
    double parameters;
    double flops_step;          /* one update: all its micro-steps              */
    double flops_matmul_step;   /* of these, in matrix products                 */
    double memory_peak_bytes;   /* of tensors, to the byte                      */
};
#define SPARSAM_PREDICTION { sizeof(struct sparsam_prediction), 0, 0, 0, 0 }
SPARSAM_API enum sparsam_status sparsam_predict_training(const struct sparsam_machine *m, const char *recipe,
                                                         struct sparsam_prediction *out);

#ifdef __cplusplus
}
#endif
#endif
