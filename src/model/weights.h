/* model/weights.h - the kinds of model files.  Private to the room.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SP_WEIGHTS_H
#define SP_WEIGHTS_H
#include "model.h"

/* A llama2.c checkpoint: fills config, bin and tensors of an empty w. */
enum sp_status sp_weights_open_bin(struct sp_weights *w, const char *path, struct sp_err *err);
/* A GGUF file: the same, and its header. */
enum sp_status sp_weights_open_gguf(struct sp_weights *w, const char *path, struct sp_err *err);
/* n numbers from one format to another; n: whole blocks of both. */
void sp_tensor_convert(void *to, enum sp_format to_format, const void *from, enum sp_format from_format, int64_t n);
#endif
