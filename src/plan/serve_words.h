/* plan/serve_words.h - what the words of a table of measured speeds mean: formats,
 * software, chips, models.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_SERVE_WORDS_H
#define SP_SERVE_WORDS_H
#include "../catalog/models.h"
#include "serve_fit.h"

double sp_words_number(const char *s);     /* positive, or 0 */
double sp_words_number_before(const char *text, const char *end); /* "12.9B active", "B active": 12.9; 0: none */
double sp_words_active(const char *model); /* parameters a token meets, of "30B-A3B" or "(12.9B active)"; 0: not said */
bool sp_words_gguf(const char *format);    /* a format of GGUF files */
const struct sp_serve_stack *sp_words_stack(const char *text);    /* software named in it; NULL: none of ours */
enum sp_serve_packing sp_words_packing(const char *format);
/* A chip, however it is sold: the catalogue's name without maker, memory and form. */
void sp_words_chip(const char *device, char *to, size_t cap);
/* The catalogue's model of that name, size aside, whose parameters are nearest and within a tenth; active 0: not said. */
const struct sp_model_fact *sp_words_model(const struct sp_models *m, const char *name, double parameters, double active);
#endif
